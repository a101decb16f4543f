//! Finds the peer that a user means.

use crate::fs::Fs;
use crate::model::PeerName;
use crate::node::Node;
use crate::node::api::Reply;
use crate::node::peers::names::{Who, choose};
use std::net::IpAddr;

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
        for peer in self.cx.peers() {
            let link =
                self.peers.links.values().find(|link| link.is_admitted() && link.section.as_ref() == Some(&peer.name));
            let mut known = self.cx.store.state().peers.iter();
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
        for (id, link) in self.peers.links.iter().filter(|(_, link)| link.is_admitted() && link.section.is_none()) {
            all.push(Who {
                label: self.peers.peer_label(&self.cx, *id),
                section: None,
                node: link.node,
                public_key: link.public_key,
                name: link.hello.as_ref().map(|hello| hello.name.clone()).unwrap_or_default(),
                addresses: vec![plain(link.remote)],
            });
        }
        for (node, known) in self.away() {
            all.push(Who {
                label: self.cx.node_label(node),
                section: None,
                node: Some(node),
                public_key: known.public_key,
                name: known.name.clone(),
                addresses: Vec::new(),
            });
        }
        all
    }
}
