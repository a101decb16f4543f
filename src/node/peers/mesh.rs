//! Introduces nodes: those that one reference invited learn of each other, accept each other and connect directly.
//!
//! A node that joined has its reference configured as an *introducer*: a peer section with a public key and
//! `introducer 1`, as `owsync join` writes it. What the introducer says of the nodes that joined through it is taken in:
//! each becomes a peer like one that is configured with its public key, is dialled at the addresses that were told, and is
//! accepted without a question. Up to [`limits::MESH_FULL`] nodes connect each to each other. In a larger cluster a node
//! connects to the reference and its two neighbours on a ring by node id, which stays whole without the reference.
//! Where a direct session is not possible (NAT), the reference relays, as without introductions.
//!
//! # What an introduction can do, and what not
//! Only a configured introducer vouches, on a session with its proved key. The introduced node must itself prove the key
//! that it was introduced with; addresses are candidates for dialling, and whoever answers there with another key is
//! left again without a word to the user. Everything that the introducer's section allows or forbids (shares, direction)
//! holds for those that it introduced. A node that is known by other means keeps them. Introduced peers are in the state
//! and survive restarts, new cluster keys, and the end of the introducer.
//!
//! # Forgetting
//! `owsync peers forget` removes a node and remembers that. The decision travels to every member: from and to the
//! introducer, and among those that it introduced. Each decision on a node, to let it in or to forget it, has a number
//! greater than the last (a round), so that old news never undoes it: a forgotten node comes back only when a user invites
//! or accepts it anew. A node that a section of this configuration names, and that neither introduces, was introduced nor
//! joined here, is this user's business: others cannot have it forgotten.
//!
//! # Why not in plain mode?
//! There nothing proves who is who, so there is nothing to vouch for: peers are the configured addresses, and no
//! introduction is sent or taken. A forgotten node may come back in plain mode, if its address is still configured.

use std::net::{IpAddr, SocketAddr};

use crate::fs::Fs;
use crate::model::settings::{Address, PeerSettings};
use crate::model::{Direction, NodeId, PeerName, limits};
use crate::node::LinkId;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::link::Link;
#[cfg(feature = "encryption")]
use crate::proto::handshake;
use crate::proto::message::{Hello, Introduced, Introduction, Message};
use crate::store::state::{Change, Forgotten, KnownPeer, Mesh};

/// Greatest number of a decision that is believed: counting on from it never overflows.
pub(crate) const ROUND_MAX: u64 = u64::MAX / 4;

impl<F: Fs> Peers<F> {
    /// Whether changes reach a peer that is not connected by way of the node that introduced it.
    pub(crate) fn is_relayed(&self, cx: &Context<F>, name: &PeerName) -> bool {
        cx.introducer_of(name).and_then(|by| self.relay(by)).is_some()
    }

    /// The session with a node that relays.
    pub(crate) fn relay(&self, by: NodeId) -> Option<(LinkId, &Link<F::Root>)> {
        self.links.iter().find(|(_, link)| link.is_admitted() && link.node == Some(by)).map(|(id, link)| (*id, link))
    }

    /// Whether one more session may be opened for a peer that was introduced.
    pub(crate) fn has_room_for_introduced(&self, cx: &Context<F>) -> bool {
        self.links.values().filter(|link| !link.over).count() < cx.settings.max_sessions
    }

    /// Whether the peer of a session is one whose introductions count here: a user made it that, and it proved its key.
    pub(crate) fn is_introducer(&self, cx: &Context<F>, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id).filter(|link| link.is_admitted()) else { return false };
        let by_key = |peer: &PeerSettings| peer.introducer && peer.enabled && peer.public_key == link.public_key;
        link.public_key.is_some() && cx.settings.peers.iter().any(by_key)
    }

    /// Whether the peer of a session belongs to the same cluster by introductions: it introduces, was introduced, or
    /// joined through this node.
    pub(crate) fn is_member(&self, cx: &Context<F>, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id) else { return false };
        let known = link.node.and_then(|node| cx.store.state().peers.get(&node));
        self.is_introducer(cx, id) || known.is_some_and(|known| known.mesh.joined || known.mesh.by.is_some())
    }

    /// What is remembered of a node that just said Hello.
    pub(crate) fn mesh_of(&self, cx: &Context<F>, id: LinkId, node: NodeId, hello: &Hello) -> Mesh {
        let before = cx.store.state().peers.get(&node).map(|known| known.mesh.clone()).unwrap_or_default();
        let Some(link) = self.links.get(&id).filter(|link| link.public_key.is_some()) else { return before };
        if link.invited {
            let round = before.round.max(cx.forgotten_round(node)).saturating_add(1);
            return Mesh { joined: true, addresses: seen_at(link.remote, hello), round, ..before };
        }
        if before.joined { Mesh { addresses: seen_at(link.remote, hello), ..before } } else { before }
    }

    /// Tells every peer that it concerns who belongs to the cluster, where that is news to it.
    pub(crate) fn introduce(&mut self, cx: &mut Context<F>) {
        if !std::mem::take(&mut self.mesh_stirred) || !cx.identity.mode.is_encrypted() {
            return;
        }
        let ids: Vec<LinkId> = self.links.iter().filter(|(_, link)| link.is_admitted()).map(|(id, _)| *id).collect();
        for id in ids {
            if !self.is_member(cx, id) {
                continue;
            }
            let Some(node) = self.links.get(&id).and_then(|link| link.node) else { continue };
            let Some(known) = cx.store.state().peers.get(&node) else { continue };
            let introduction = cx.introduction_for(node, known);
            if let Some(link) = self.links.get_mut(&id).filter(|link| link.introduced != introduction) {
                link.introduced = introduction.clone();
                link.say(Message::Introduce(introduction));
            }
        }
    }

    /// A user here lets a node in: what was decided before counts no more.
    pub(crate) fn welcome_member(&mut self, cx: &mut Context<F>, node: NodeId, addresses: Vec<SocketAddr>) -> Mesh {
        let before = cx.store.state().peers.get(&node).map(|known| known.mesh.clone()).unwrap_or_default();
        let round = before.round.max(cx.forgotten_round(node)).saturating_add(1);
        cx.recall(node);
        self.mesh_stirred = true;
        Mesh { joined: true, addresses, round, ..before }
    }

    /// Which peer each node is reached as, for status: names of introduced peers by node.
    pub(crate) fn path_of(&self, cx: &Context<F>, name: &PeerName, connected: bool) -> Option<String> {
        let by = cx.introducer_of(name)?;
        Some(match (connected, self.is_relayed(cx, name)) {
            (true, _) => "direct".into(),
            (false, true) => format!("relayed by {}", cx.node_label(by)),
            (false, false) => "none".into(),
        })
    }
}

impl<F: Fs> Context<F> {
    /// Makes the introduced peers' settings from the state and the configuration.
    pub(crate) fn set_up_introduced(&mut self) {
        self.introduced.clear();
        if !self.identity.mode.is_encrypted() {
            return;
        }
        let mut introduced: Vec<PeerSettings> = Vec::new();
        let state = self.store.state();
        for (node, known) in state.peers.iter() {
            let (Some(by), Some(public_key)) = (known.mesh.by, known.public_key) else { continue };
            // What a user configured says more.
            let configured = self.settings.peers.iter().any(|peer| peer.public_key == Some(public_key));
            if configured || !known.accepted || state.forgotten.get(node).is_some() {
                continue;
            }
            let label = known.section.clone().unwrap_or_else(|| known.name.clone());
            let taken = |label: &str| {
                label.is_empty() || self.settings.peers.iter().chain(&introduced).any(|peer| *peer.name.0 == *label)
            };
            let label = if taken(&label) { long_label(&known.name, *node) } else { label };
            let section = state.peers.get(&by).and_then(|known| known.section.as_deref());
            let section = section.and_then(|name| self.settings.peers.iter().find(|peer| *peer.name.0 == *name));
            introduced.push(PeerSettings {
                name: PeerName(label.into()),
                enabled: true,
                address: known.mesh.addresses.first().map(address_of),
                public_key: Some(public_key),
                introducer: false,
                shares: section.and_then(|peer| peer.shares.clone()),
                direction: section.map_or(Direction::Both, |peer| peer.direction),
            });
        }
        self.introduced = introduced;
    }

    /// Who introduced the node of a peer.
    pub(crate) fn introducer_of(&self, name: &PeerName) -> Option<NodeId> {
        let key = self.introduced.iter().find(|peer| peer.name == *name)?.public_key;
        self.store.state().peers.values().find(|known| known.public_key == key)?.mesh.by
    }

    /// Where to dial an introduced peer the next time, and how many places there are.
    pub(crate) fn candidate(&self, name: &PeerName, attempt: u32) -> Option<(Address, u32)> {
        let key = self.introduced.iter().find(|peer| peer.name == *name)?.public_key;
        let known = self.store.state().peers.values().find(|known| known.public_key == key)?;
        let count = u32::try_from(known.mesh.addresses.len()).unwrap_or(u32::MAX);
        let at = usize::try_from(attempt.checked_rem(count)?).ok()?;
        Some((known.mesh.addresses.get(at).map(address_of)?, count))
    }

    /// Whether a configured introducer has this public key.
    pub(crate) fn introduces(&self, public_key: Option<[u8; 32]>) -> bool {
        public_key.is_some() && self.settings.peers.iter().any(|peer| peer.introducer && peer.public_key == public_key)
    }

    pub(crate) fn forgotten_round(&self, node: NodeId) -> u64 {
        self.store.state().forgotten.get(&node).map_or(0, |one| one.round)
    }

    /// Whether a node was removed from the cluster by a user.
    pub(crate) fn is_forgotten(&self, node: NodeId) -> bool {
        self.identity.mode.is_encrypted() && self.store.state().forgotten.get(&node).is_some()
    }

    /// Whether a configured peer is pinned to a node that was forgotten.
    pub(crate) fn is_forgotten_peer(&self, peer: &PeerSettings) -> bool {
        peer.public_key.and_then(node_of).is_some_and(|node| self.is_forgotten(node))
    }

    /// What a peer is to be told of the cluster: whom to connect to, if it joined through this node, and whom to forget.
    pub(crate) fn introduction_for(&self, node: NodeId, known: &KnownPeer) -> Introduction {
        let state = self.store.state();
        let forgotten: Vec<(NodeId, u64)> = state.forgotten.iter().map(|(node, one)| (*node, one.round)).collect();
        if !known.mesh.joined {
            return Introduction { forgotten, ..Introduction::default() };
        }
        let joined =
            |(_, known): &(&NodeId, &KnownPeer)| known.mesh.joined && known.accepted && known.public_key.is_some();
        let members: Vec<(&NodeId, &KnownPeer)> = state.peers.iter().filter(joined).collect();
        let count = members.len() + 1;
        let chosen: Vec<&(&NodeId, &KnownPeer)> = if count <= limits::MESH_FULL {
            members.iter().filter(|(other, _)| **other != node).collect()
        } else {
            // The two neighbours on a ring by id: each of a pair finds the other.
            let at = members.iter().position(|(other, _)| **other == node).unwrap_or(0);
            let last = members.len() - 1;
            let before = if at == 0 { last } else { at - 1 };
            let after = if at == last { 0 } else { at + 1 };
            vec![&members[before], &members[after]]
        };
        let introduced = |(_, known): &&(&NodeId, &KnownPeer)| {
            Some(Introduced {
                public_key: known.public_key?,
                name: known.name.clone(),
                round: known.mesh.round,
                addresses: known.mesh.addresses.clone(),
            })
        };
        let nodes = chosen.iter().filter_map(introduced).collect();
        Introduction { members: u32::try_from(count).unwrap_or(u32::MAX), nodes, forgotten }
    }

    /// Writes down that a node was forgotten.
    pub(crate) fn note_forgotten(&mut self, node: NodeId, round: u64) {
        let forgotten = &self.store.state().forgotten;
        if forgotten.get(&node).is_none() && forgotten.len() >= limits::FORGOTTEN_MAX {
            if let Some(oldest) = forgotten.iter().min_by_key(|(_, one)| one.at).map(|(node, _)| *node) {
                self.store.change(Change::Recalled(oldest));
            }
        }
        self.store.change(Change::Forgotten(node, Forgotten { round, at: self.now.wall }));
    }

    /// A node that was forgotten is let in again.
    pub(crate) fn recall(&mut self, node: NodeId) {
        if self.store.state().forgotten.get(&node).is_some() {
            self.store.change(Change::Recalled(node));
        }
    }

    /// A label for a node that no other peer has here.
    pub(crate) fn free_label(&self, name: &str, node: NodeId) -> String {
        let known = self.store.state().peers.iter().filter(|(other, _)| **other != node);
        let taken = known.filter_map(|(_, known)| known.section.as_deref()).any(|label| label == name)
            || self.settings.peers.iter().any(|peer| *peer.name.0 == *name);
        if taken || name.is_empty() { long_label(name, node) } else { name.to_string() }
    }
}

/// A name with the beginning of the node's id: many routers are called OpenWrt.
pub(crate) fn long_label(name: &str, node: NodeId) -> String {
    let id = node.to_hex();
    let id = id.get(..8).unwrap_or(&id);
    if name.is_empty() { id.to_string() } else { format!("{name}-{id}") }
}

pub(crate) fn address_of(address: &SocketAddr) -> Address {
    Address { host: address.ip().to_string(), port: address.port(), source: None }
}

/// Where a node may be reached: where it was seen, with the port that it listens on, then where it says it is.
pub(crate) fn seen_at(remote: IpAddr, hello: &Hello) -> Vec<SocketAddr> {
    let Some(first) = hello.addresses.first() else { return Vec::new() };
    let mut all = vec![SocketAddr::new(remote.to_canonical(), first.port())];
    all.extend(hello.addresses.iter().filter(|one| **one != all[0]).copied().collect::<Vec<_>>());
    all.truncate(limits::ADDRESSES_TOLD);
    all
}

/// The node that a public key belongs to; none where this build knows no keys.
#[cfg(feature = "encryption")]
pub(crate) fn node_of(public_key: [u8; 32]) -> Option<NodeId> {
    Some(handshake::node_id(&public_key))
}

/// The node that a public key belongs to; none where this build knows no keys.
#[cfg(not(feature = "encryption"))]
pub(crate) fn node_of(_: [u8; 32]) -> Option<NodeId> {
    None
}
