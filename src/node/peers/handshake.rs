//! Tells whether a connection may be that of a configured peer, or of one that is connected already.

use std::net::IpAddr;

use crate::fs::Fs;
use crate::model::NodeId;
use crate::node::LinkId;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::link::Link;
use crate::node::peers::mesh;

impl<F: Fs> Peers<F> {
    pub(crate) fn is_configured_address(&self, cx: &Context<F>, remote: IpAddr) -> bool {
        let remote = remote.to_canonical();
        let literal =
            |address: &crate::model::settings::Address| address.ip().is_some_and(|ip| ip.to_canonical() == remote);
        cx.settings.peers.iter().any(|peer| peer.enabled && peer.address.as_ref().is_some_and(literal))
            || self.links.values().any(|link| {
                !link.over && link.dialled_for.is_some() && link.connected && link.remote.to_canonical() == remote
            })
    }

    /// Whether this session leads to the node that a join text named: whoever else has the key must not see its token.
    pub(crate) fn is_reference(&self, cx: &Context<F>, id: LinkId, public_key: Option<&[u8; 32]>) -> bool {
        let section = self.links.get(&id).and_then(|link| link.dialled_for.as_ref());
        let peer = section.and_then(|name| cx.settings.peers.iter().find(|peer| peer.name == *name));
        peer.is_some_and(|peer| peer.public_key.is_none() || peer.public_key.as_ref() == public_key)
    }

    /// Whether this side has opened another session with a node.
    pub(crate) fn has_dialled(&self, cx: &Context<F>, id: LinkId, node: NodeId) -> bool {
        let same = |link: &Link<F::Root>| {
            link.node == Some(node) || link.public_key.and_then(mesh::node_of).is_some_and(|other| other == node)
        };
        node != cx.identity.id
            && self.links.iter().any(|(other, link)| {
                *other != id && !link.over && link.dialled_for.is_some() && link.connected && same(link)
            })
    }
}
