//! Introductions: the nodes that one reference invited learn of each other, accept each other and connect directly.
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
use crate::model::reason::Trouble;
use crate::model::settings::{Address, PeerSettings};
use crate::model::{Direction, NodeId, Now, PeerName, ShareName, limits};
use crate::node::api::Level;
use crate::node::link::Link;
use crate::node::{LinkId, Node};
#[cfg(feature = "encryption")]
use crate::proto::handshake;
use crate::proto::message::{Hello, Introduced, Introduction, Message};
use crate::store::state::{Change, Forgotten, KnownPeer, Mesh};

/// Greatest number of a decision that is believed: counting on from it never overflows.
const ROUND_MAX: u64 = u64::MAX / 4;

impl<F: Fs> Node<F> {
    /// Every peer that has settings: the configured ones, then those that were introduced.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &PeerSettings> {
        self.settings.peers.iter().chain(&self.introduced)
    }

    /// The settings of a peer.
    pub(crate) fn peer_settings(&self, name: &PeerName) -> Option<&PeerSettings> {
        self.peers().find(|peer| peer.name == *name)
    }

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

    /// Whether a peer was introduced, and is not configured.
    pub(crate) fn is_introduced(&self, name: &PeerName) -> bool {
        self.introduced.iter().any(|peer| peer.name == *name)
    }

    /// Who introduced the node of a peer.
    pub(crate) fn introducer_of(&self, name: &PeerName) -> Option<NodeId> {
        let key = self.introduced.iter().find(|peer| peer.name == *name)?.public_key;
        self.store.state().peers.values().find(|known| known.public_key == key)?.mesh.by
    }

    /// Whether changes reach a peer that is not connected by way of the node that introduced it.
    pub(crate) fn is_relayed(&self, name: &PeerName) -> bool {
        self.introducer_of(name).and_then(|by| self.relay(by)).is_some()
    }

    /// The session with a node that relays.
    pub(crate) fn relay(&self, by: NodeId) -> Option<(LinkId, &Link<F::Root>)> {
        self.links.iter().find(|(_, link)| link.is_admitted() && link.node == Some(by)).map(|(id, link)| (*id, link))
    }

    /// Where to dial an introduced peer the next time, and how many places there are.
    pub(crate) fn candidate(&self, name: &PeerName, attempt: u32) -> Option<(Address, u32)> {
        let key = self.introduced.iter().find(|peer| peer.name == *name)?.public_key;
        let known = self.store.state().peers.values().find(|known| known.public_key == key)?;
        let count = u32::try_from(known.mesh.addresses.len()).unwrap_or(u32::MAX);
        let at = usize::try_from(attempt.checked_rem(count)?).ok()?;
        Some((known.mesh.addresses.get(at).map(address_of)?, count))
    }

    /// Whether one more session may be opened for a peer that was introduced.
    pub(crate) fn has_room_for_introduced(&self) -> bool {
        self.links.values().filter(|link| !link.over).count() < self.settings.max_sessions
    }

    /// Whether the peer of a session is one whose introductions count here: a user made it that, and it proved its key.
    fn is_introducer(&self, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id).filter(|link| link.is_admitted()) else { return false };
        let by_key = |peer: &PeerSettings| peer.introducer && peer.enabled && peer.public_key == link.public_key;
        link.public_key.is_some() && self.settings.peers.iter().any(by_key)
    }

    /// Whether a configured introducer has this public key.
    fn introduces(&self, public_key: Option<[u8; 32]>) -> bool {
        public_key.is_some() && self.settings.peers.iter().any(|peer| peer.introducer && peer.public_key == public_key)
    }

    /// Whether the peer of a session belongs to the same cluster by introductions: it introduces, was introduced, or
    /// joined through this node.
    fn is_member(&self, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id) else { return false };
        let known = link.node.and_then(|node| self.store.state().peers.get(&node));
        self.is_introducer(id) || known.is_some_and(|known| known.mesh.joined || known.mesh.by.is_some())
    }

    /// What is remembered of a node that just said Hello.
    pub(crate) fn mesh_of(&self, id: LinkId, node: NodeId, hello: &Hello) -> Mesh {
        let before = self.store.state().peers.get(&node).map(|known| known.mesh.clone()).unwrap_or_default();
        let Some(link) = self.links.get(&id).filter(|link| link.public_key.is_some()) else { return before };
        if link.invited {
            let round = before.round.max(self.forgotten_round(node)).saturating_add(1);
            return Mesh { joined: true, addresses: seen_at(link.remote, hello), round, ..before };
        }
        if before.joined { Mesh { addresses: seen_at(link.remote, hello), ..before } } else { before }
    }

    fn forgotten_round(&self, node: NodeId) -> u64 {
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
    fn introduction_for(&self, node: NodeId, known: &KnownPeer) -> Introduction {
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

    /// Tells every peer that it concerns who belongs to the cluster, where that is news to it.
    pub(crate) fn introduce(&mut self) {
        if !std::mem::take(&mut self.mesh_stirred) || !self.identity.mode.is_encrypted() {
            return;
        }
        let ids: Vec<LinkId> = self.links.iter().filter(|(_, link)| link.is_admitted()).map(|(id, _)| *id).collect();
        for id in ids {
            if !self.is_member(id) {
                continue;
            }
            let Some(node) = self.links.get(&id).and_then(|link| link.node) else { continue };
            let Some(known) = self.store.state().peers.get(&node) else { continue };
            let introduction = self.introduction_for(node, known);
            if let Some(link) = self.links.get_mut(&id).filter(|link| link.introduced != introduction) {
                link.introduced = introduction.clone();
                link.say(Message::Introduce(introduction));
            }
        }
    }

    /// A peer says who belongs to the cluster.
    pub(crate) fn handle_introduction(&mut self, now: Now, id: LinkId, introduction: Introduction) {
        let Some(by) = self.links.get(&id).and_then(|link| link.node) else { return };
        let label = self.peer_label(id);
        if !self.is_member(id) {
            self.log(
                Level::Debug,
                format!("peer {label}: ignored what it reports of members: it is not an introducer here"),
            );
            return;
        }
        let mut changed = false;
        for (node, round) in introduction.forgotten.into_iter().filter(|(_, round)| *round <= ROUND_MAX) {
            changed |= self.hear_forgotten(now, node, round, &label);
        }
        // Its own session may have ended with that.
        if self.is_introducer(id) {
            changed |= self.take_introduced(now, by, &label, introduction.members, introduction.nodes);
        } else if !introduction.nodes.is_empty() {
            self.log(
                Level::Debug,
                format!("peer {label}: ignored the nodes that it introduces: it is not an introducer here"),
            );
        }
        if changed {
            self.mesh_stirred = true;
            self.set_up_introduced();
            self.set_up_dials(now);
        }
    }

    /// Takes in the nodes that the introducer `by` vouches for; whether anything is new.
    fn take_introduced(&mut self, now: Now, by: NodeId, label: &str, members: u32, nodes: Vec<Introduced>) -> bool {
        let mut changed = false;
        let mut named: Vec<NodeId> = Vec::new();
        for one in nodes {
            let Some(node) = node_of(one.public_key).filter(|node| *node != self.identity.id) else { continue };
            named.push(node);
            let decided = self.store.state().forgotten.get(&node).map(|forgotten| forgotten.round);
            if one.round > ROUND_MAX || decided.is_some_and(|round| round >= one.round) {
                continue;
            }
            let before = self.store.state().peers.get(&node).cloned();
            // A node that is known by other means keeps them.
            if let Some(known) = before.as_ref().filter(|known| known.accepted && known.mesh.by.is_none()) {
                if known.mesh.round < one.round {
                    let mesh = Mesh { round: one.round, ..known.mesh.clone() };
                    self.store.change(Change::Peer(node, KnownPeer { mesh, ..known.clone() }));
                }
                continue;
            }
            if before.as_ref().and_then(|known| known.mesh.by).is_some_and(|other| other != by) {
                continue;
            }
            let count = self.store.state().peers.values().filter(|known| known.mesh.by.is_some()).count();
            if before.is_none()
                && (count >= limits::INTRODUCED_MAX || self.store.state().peers.len() >= limits::PEERS_KNOWN)
            {
                self.log(Level::Warning, format!("peer {label}: introduced more nodes than are kept"));
                break;
            }
            let mesh = Mesh { joined: false, by: Some(by), addresses: one.addresses, round: one.round };
            let section = before.as_ref().and_then(|known| known.section.clone());
            let section = section.unwrap_or_else(|| self.free_label(&one.name, node));
            let known = KnownPeer {
                public_key: Some(one.public_key),
                name: one.name,
                section: Some(section.clone()),
                accepted: true,
                met: before.as_ref().map_or(now.wall, |known| known.met),
                mesh,
            };
            if decided.is_some() {
                self.store.change(Change::Recalled(node));
            }
            if before.as_ref() != Some(&known) {
                if before.is_none() {
                    self.log(Level::Notice, format!("peer {label}: introduced {section} ({node}), which is accepted"));
                }
                self.waiting.remove(&node);
                self.store.change(Change::Peer(node, known));
                changed = true;
            }
        }
        if members as usize > limits::MESH_FULL {
            // In a large cluster whoever is no longer a neighbour is met by way of others.
            let known = self.store.state().peers.iter();
            let left = known.filter(|(node, known)| known.mesh.by == Some(by) && !named.contains(node));
            let left: Vec<NodeId> = left.map(|(node, _)| *node).collect();
            for node in left {
                self.part_with(now, node, Trouble::EndedHere("no direct session is needed in a cluster of this size"));
                changed = true;
            }
        }
        changed
    }

    /// A member says that a node was forgotten; whether that is news that counts.
    fn hear_forgotten(&mut self, now: Now, node: NodeId, round: u64, label: &str) -> bool {
        let state = self.store.state();
        if node == self.identity.id || state.forgotten.get(&node).is_some_and(|known| known.round >= round) {
            return false;
        }
        let known = state.peers.get(&node);
        if known.is_some_and(|known| known.mesh.round > round) {
            // It was let in after that.
            return false;
        }
        if let Some(known) = known {
            let member = known.mesh.joined || known.mesh.by.is_some() || self.introduces(known.public_key);
            if !member {
                return false;
            }
            let gone = self.node_label(node);
            self.part_with(now, node, Trouble::EndedHere("it was forgotten by a user"));
            self.log(Level::Notice, format!("peer {gone} was forgotten by a user, reported by {label}"));
        }
        self.note_forgotten(now, node, round);
        true
    }

    /// Writes down that a node was forgotten.
    fn note_forgotten(&mut self, now: Now, node: NodeId, round: u64) {
        let forgotten = &self.store.state().forgotten;
        if forgotten.get(&node).is_none() && forgotten.len() >= limits::FORGOTTEN_MAX {
            if let Some(oldest) = forgotten.iter().min_by_key(|(_, one)| one.at).map(|(node, _)| *node) {
                self.store.change(Change::Recalled(oldest));
            }
        }
        self.store.change(Change::Forgotten(node, Forgotten { round, at: now.wall }));
    }

    /// A user here forgets a node, for the whole cluster.
    pub(crate) fn forget_member(&mut self, now: Now, node: NodeId) {
        let known = self.store.state().peers.get(&node);
        let proved = known.is_some_and(|known| known.public_key.is_some()) && self.identity.mode.is_encrypted();
        let round = known.map_or(0, |known| known.mesh.round).max(self.forgotten_round(node)).saturating_add(1);
        self.part_with(now, node, Trouble::EndedHere("it was forgotten by a user"));
        if proved {
            self.note_forgotten(now, node, round);
        }
        self.mesh_stirred = true;
        self.set_up_introduced();
        self.set_up_dials(now);
    }

    /// A user here lets a node in: what was decided before counts no more.
    pub(crate) fn welcome_member(&mut self, node: NodeId, addresses: Vec<SocketAddr>) -> Mesh {
        let before = self.store.state().peers.get(&node).map(|known| known.mesh.clone()).unwrap_or_default();
        let round = before.round.max(self.forgotten_round(node)).saturating_add(1);
        self.recall(node);
        self.mesh_stirred = true;
        Mesh { joined: true, addresses, round, ..before }
    }

    /// A node that was forgotten is let in again.
    pub(crate) fn recall(&mut self, node: NodeId) {
        if self.store.state().forgotten.get(&node).is_some() {
            self.store.change(Change::Recalled(node));
        }
    }

    /// Ends everything with a node, and drops its identity.
    fn part_with(&mut self, now: Now, node: NodeId, why: Trouble) {
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.node == Some(node)).map(|(id, _)| *id).collect();
        for id in links {
            self.say_bye(now, id, why.clone());
        }
        let names: Vec<ShareName> = self.store.state().shares.keys().cloned().collect();
        for name in names {
            self.disown(now, &name, node, None);
            self.store.change(Change::NoLedger(name, node));
        }
        self.store.change(Change::NoPeer(node));
    }

    /// A label for a node that no other peer has here.
    fn free_label(&self, name: &str, node: NodeId) -> String {
        let known = self.store.state().peers.iter().filter(|(other, _)| **other != node);
        let taken = known.filter_map(|(_, known)| known.section.as_deref()).any(|label| label == name)
            || self.settings.peers.iter().any(|peer| *peer.name.0 == *name);
        if taken || name.is_empty() { long_label(name, node) } else { name.to_string() }
    }

    /// Which peer each node is reached as, for status: names of introduced peers by node.
    pub(crate) fn path_of(&self, name: &PeerName, connected: bool) -> Option<String> {
        let by = self.introducer_of(name)?;
        Some(match (connected, self.is_relayed(name)) {
            (true, _) => "direct".into(),
            (false, true) => format!("relayed by {}", self.node_label(by)),
            (false, false) => "none".into(),
        })
    }
}

/// A name with the beginning of the node's id: many routers are called OpenWrt.
fn long_label(name: &str, node: NodeId) -> String {
    let id = node.to_hex();
    let id = id.get(..8).unwrap_or(&id);
    if name.is_empty() { id.to_string() } else { format!("{name}-{id}") }
}

fn address_of(address: &SocketAddr) -> Address {
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
