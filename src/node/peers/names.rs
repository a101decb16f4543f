//! Finds the peer that a word means: one answer for every command.
//!
//! A peer has a section, an id, a public key, the name it calls itself, and addresses. They are tried in this order, and
//! the first of them that fits decides; where it fits several peers, nothing is guessed: every OpenWrt is called OpenWrt
//! until somebody renames it.

use crate::fs::Fs;
use crate::model::{NodeId, PeerName, escape};
use crate::node::LinkId;
use crate::node::api::{Fault, Reply};
use crate::node::context::Context;
use crate::node::peers::Peers;

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
    pub(crate) fn fits(&self, tier: usize, text: &str) -> bool {
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
    pub(crate) fn with_id(&self) -> String {
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
            let message = format!("'{text}' matches several peers: {}: use the id", list.join(", "));
            return Err(Reply::failed(Fault::Argument, message));
        }
        if let Some(who) = found.first() {
            return Ok((*who).clone());
        }
    }
    let text = escape::visible(text);
    Err(Reply::failed(Fault::NotFound, format!("there is no peer {text}: `owsync peers` lists them")))
}

impl<F: Fs> Peers<F> {
    /// The name by which users know the peer of a session.
    pub fn peer_label(&self, cx: &Context<F>, id: LinkId) -> String {
        let Some(link) = self.links.get(&id) else { return "?".into() };
        match (&link.section, &link.hello) {
            (Some(section), _) => section.to_string(),
            (None, Some(hello)) if !hello.name.is_empty() => cx.distinct(&hello.name, link.node),
            _ => link.node.map_or_else(|| link.remote.to_string(), |node| node.to_string()),
        }
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
