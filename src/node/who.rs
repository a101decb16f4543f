//! Which peer a word means: one answer for every command.
//!
//! A peer has a section, an id, a public key, the name it calls itself, and addresses. They are tried in this order, and
//! the first of them that fits decides; where it fits several peers, nothing is guessed: every OpenWrt is called OpenWrt
//! until somebody renames it.

use std::net::IpAddr;

use crate::fs::Fs;
use crate::model::{NodeId, PeerName, escape};
use crate::node::api::{Fault, Reply};
use crate::node::{LinkId, Node};
use crate::store::state::KnownPeer;

/// Shortest beginning of an id or public key that names a peer, in digits: below that a name is more likely meant.
const PREFIX_MIN: usize = 4;

/// A peer, with everything that it can be named by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    /// What status shows: the section, else the name, with the id where another node has the same name.
    pub label: String,
    pub section: Option<PeerName>,
    /// `None` where it was never met.
    pub node: Option<NodeId>,
    pub public_key: Option<[u8; 32]>,
    /// What it calls itself.
    pub name: String,
    pub addresses: Vec<String>,
}

impl Who {
    fn fits(&self, tier: usize, text: &str) -> bool {
        let begins = |hex: String| text.len() >= PREFIX_MIN && hex.starts_with(&text.to_ascii_lowercase());
        match tier {
            0 => self.section.as_ref().is_some_and(|section| *section.0 == *text),
            1 => self.label == text,
            2 => {
                self.node.is_some_and(|node| begins(node.to_hex()))
                    || self.public_key.is_some_and(|key| begins(escape::hex(&key)))
            }
            3 => !self.name.is_empty() && self.name == text,
            _ => self.addresses.iter().any(|address| address == text),
        }
    }

    /// Its name with its id, for a list from which the user picks one.
    fn with_id(&self) -> String {
        let id = self.node.map(|node| format!(" ({node})")).unwrap_or_default();
        if self.label.ends_with(&id) { self.label.clone() } else { format!("{}{id}", self.label) }
    }
}

/// The one of these that `text` means.
///
/// # Errors
/// None of them, or several.
pub(crate) fn choose(all: Vec<Who>, text: &str) -> Result<Who, Reply> {
    for tier in 0..=4 {
        let mut found: Vec<&Who> = all.iter().filter(|who| who.fits(tier, text)).collect();
        if found.len() > 1 {
            found.sort_by(|a, b| a.label.cmp(&b.label));
            let list: Vec<String> = found.iter().map(|who| who.with_id()).collect();
            let text = escape::visible(text);
            let message = format!("'{text}' means several peers: {}: use the id", list.join(", "));
            return Err(Reply::failed(Fault::Argument, message));
        }
        if let Some(who) = found.first() {
            return Ok((*who).clone());
        }
    }
    let text = escape::visible(text);
    Err(Reply::failed(Fault::NotFound, format!("there is no peer {text}: `owsync peers` lists them")))
}

impl<F: Fs> Node<F> {
    /// The peer that a word means.
    ///
    /// # Errors
    /// None, or several.
    pub(crate) fn who(&self, text: &str) -> Result<Who, Reply> {
        choose(self.everybody(), text)
    }

    /// The same as [`Node::who`], as the name by which everything else knows it.
    pub(crate) fn peer_meant(&self, peer: Option<PeerName>) -> Result<Option<PeerName>, Reply> {
        match peer {
            None => Ok(None),
            Some(text) => self.who(&text.0).map(|who| Some(PeerName(who.label.into()))),
        }
    }

    /// Every peer that is configured, connected or remembered.
    fn everybody(&self) -> Vec<Who> {
        let mut all = Vec::new();
        let plain = |ip: IpAddr| ip.to_canonical().to_string();
        for peer in self.peers() {
            let link = self.links.values().find(|link| link.is_admitted() && link.section.as_ref() == Some(&peer.name));
            let mut known = self.store.state().peers.iter();
            let known = known.find(|(_, known)| known.accepted && known.section.as_deref() == Some(&*peer.name.0));
            let hello = link.and_then(|link| link.hello.as_ref()).map(|hello| hello.name.clone());
            let address = peer.address.iter().flat_map(|address| [address.host.clone(), address.to_string()]);
            all.push(Who {
                label: peer.name.to_string(),
                section: Some(peer.name.clone()),
                node: link.and_then(|link| link.node).or(known.map(|(node, _)| *node)),
                public_key: peer.public_key.or(known.and_then(|(_, known)| known.public_key)),
                name: hello.or(known.map(|(_, known)| known.name.clone())).unwrap_or_default(),
                addresses: address.chain(link.map(|link| plain(link.remote))).collect(),
            });
        }
        for (id, link) in self.links.iter().filter(|(_, link)| link.is_admitted() && link.section.is_none()) {
            all.push(Who {
                label: self.peer_label(*id),
                section: None,
                node: link.node,
                public_key: link.public_key,
                name: link.hello.as_ref().map(|hello| hello.name.clone()).unwrap_or_default(),
                addresses: vec![plain(link.remote)],
            });
        }
        for (node, known) in self.away() {
            all.push(Who {
                label: self.node_label(node),
                section: None,
                node: Some(node),
                public_key: known.public_key,
                name: known.name.clone(),
                addresses: Vec::new(),
            });
        }
        all
    }

    /// What people call the peer of a session.
    pub(crate) fn peer_label(&self, id: LinkId) -> String {
        let Some(link) = self.links.get(&id) else { return "?".into() };
        match (&link.section, &link.hello) {
            (Some(section), _) => section.to_string(),
            (None, Some(hello)) if !hello.name.is_empty() => self.distinct(&hello.name, link.node),
            _ => link.node.map_or_else(|| link.remote.to_string(), |node| node.to_string()),
        }
    }

    /// What people call a node.
    pub(crate) fn node_label(&self, node: NodeId) -> String {
        match self.store.state().peers.get(&node) {
            Some(KnownPeer { section: Some(section), .. }) => section.clone(),
            Some(peer) if !peer.name.is_empty() => self.distinct(&peer.name, Some(node)),
            _ => node.to_string(),
        }
    }

    /// The name of a node without a section, with its id where the name alone could mean another.
    fn distinct(&self, name: &str, node: Option<NodeId>) -> String {
        let Some(node) = node else { return name.into() };
        let configured = |section: &str| self.peers().any(|peer| *peer.name.0 == *section);
        let taken = name == self.settings.name
            || configured(name)
            || self.links.values().any(|link| {
                link.is_admitted()
                    && link.section.is_none()
                    && link.node != Some(node)
                    && link.hello.as_ref().is_some_and(|hello| hello.name == name)
            })
            || self.store.state().peers.iter().any(|(other, known)| {
                *other != node
                    && known.accepted
                    && known.name == name
                    && !known.section.as_deref().is_some_and(configured)
            });
        if taken { format!("{name} ({node})") } else { name.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(label: &str, section: bool, id: u8, name: &str, address: &str) -> Who {
        Who {
            label: label.into(),
            section: section.then(|| PeerName(label.into())),
            node: Some(NodeId([id; 16])),
            public_key: Some([id.wrapping_add(1); 32]),
            name: name.into(),
            addresses: vec![address.into()],
        }
    }

    /// F111: each command had its own idea of what a name means, and of two equal names one was taken without a word.
    #[test]
    fn a_name_means_one_peer_or_is_refused_with_the_ids() {
        let all = || {
            vec![
                who("r2", true, 0x11, "OpenWrt", "10.0.0.2"),
                who("OpenWrt (22222222)", false, 0x22, "OpenWrt", "10.0.0.3"),
                who("OpenWrt (33333333)", false, 0x33, "OpenWrt", "10.0.0.4"),
                who("attic", false, 0x44, "attic", "10.0.0.2"),
            ]
        };
        for (text, id) in [
            ("r2", 0x11),
            ("1111", 0x11),
            ("OpenWrt (22222222)", 0x22),
            ("333333333333", 0x33),
            ("34343434", 0x33),
            ("attic", 0x44),
            ("10.0.0.4", 0x33),
        ] {
            assert_eq!(choose(all(), text).unwrap().node, Some(NodeId([id; 16])), "{text}");
        }
        let refused = |text: &str| match choose(all(), text).unwrap_err() {
            Reply::Failed { fault, message } => (fault, message),
            other => panic!("{other:?}"),
        };
        let (fault, message) = refused("OpenWrt");
        assert_eq!(fault, Fault::Argument);
        assert!(message.contains("OpenWrt (22222222), OpenWrt (33333333), r2 (11111111)"), "{message}");
        assert!(refused("10.0.0.2").1.contains("attic (44444444), r2 (11111111)"));
        for text in ["111", "r3", ""] {
            assert_eq!(refused(text).0, Fault::NotFound, "{text}");
        }
    }
}
