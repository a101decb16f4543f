//! Changes who belongs to the cluster: accepting, inviting and forgetting nodes, introductions, and being the reference.

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{NodeId, Now, RelPath, ShareName, escape, limits};
use crate::node::api::{Fault, Level, Reply, Tree};
use crate::node::peers::mesh::{ROUND_MAX, node_of};
use crate::node::peers::names::{self, Who};
use crate::node::{LinkId, Node};
use crate::proto::message::{Introduced, Introduction};
use crate::store::state::{Change, KnownPeer, Mesh, ShareMeta, Token};

impl<F: Fs> Node<F> {
    /// Nothing is pending from nodes that are neither configured nor missed, nor from this node itself: a database that was
    /// copied from another node knows this one as a peer, by its former identity or by the one that it still has.
    pub(crate) fn retire_the_unconfigured(&mut self) {
        let configured = |known: &KnownPeer| {
            let section = known.section.as_deref();
            section.is_some_and(|section| self.cx.peers().any(|peer| *peer.name.0 == *section))
        };
        let peers = self.cx.store.state().peers.iter();
        let gone = peers.filter(|(_, known)| known.section.is_some() && !configured(known) && !self.is_missed(known));
        let gone: Vec<NodeId> = gone.map(|(node, _)| *node).chain([self.cx.identity.id]).collect();
        for node in gone {
            self.peers.expect_nothing_from(&mut self.cx, node);
        }
    }

    pub(crate) fn accept(&mut self, now: Now, peer: Option<&str>) -> Reply {
        let waiting = self.peers.waiting.iter().filter(|(_, waiting)| waiting.trouble != Trouble::Duplicate);
        let waiting: Vec<Who> = waiting
            .map(|(node, waiting)| Who {
                label: waiting.name.clone(),
                section: None,
                node: Some(*node),
                public_key: waiting.public_key,
                name: waiting.name.clone(),
                addresses: vec![waiting.remote.to_canonical().to_string()],
            })
            .collect();
        let found = match (peer, &waiting[..]) {
            (None, [only]) => Ok(only.clone()),
            (None, []) => Err(Reply::failed(Fault::NotFound, "no peer is waiting to be accepted")),
            (None, _) => Err(Reply::failed(
                Fault::Argument,
                "several peers are waiting to be accepted: name one that `owsync peers` lists",
            )),
            (Some(text), _) => names::choose(waiting, text),
        };
        let node = match found {
            Ok(Who { node: Some(node), .. }) => node,
            Ok(_) => return Reply::failed(Fault::NotFound, "no such peer is waiting to be accepted"),
            Err(Reply::Failed { fault: Fault::NotFound, .. }) if peer.is_some() => {
                return Reply::failed(
                    Fault::NotFound,
                    "no such peer is waiting to be accepted: `owsync peers` lists them",
                );
            }
            Err(reply) => return reply,
        };
        let Some(waiting) = self.peers.waiting.remove(&node) else { return Reply::failed(Fault::NotFound, "it left") };
        let remote = waiting.remote.to_canonical();
        let section = self
            .cx
            .settings
            .peers
            .iter()
            .find(|peer| {
                peer.public_key.is_none()
                    && peer.address.as_ref().and_then(|a| a.ip()).is_some_and(|ip| ip.to_canonical() == remote)
            })
            .map(|peer| peer.name.0.to_string());
        if let Some(section) = &section {
            // It takes the place of who was known there before.
            let before: Vec<(NodeId, KnownPeer)> = self
                .cx
                .store
                .state()
                .peers
                .iter()
                .filter(|(other, known)| **other != node && known.section.as_ref() == Some(section))
                .map(|(n, k)| (*n, k.clone()))
                .collect();
            for (other, known) in before {
                self.cx.store.change(Change::Peer(other, KnownPeer { section: None, accepted: false, ..known }));
            }
        }
        let mesh = if waiting.public_key.is_some() {
            self.peers.welcome_member(&mut self.cx, node, waiting.addresses.clone())
        } else {
            Mesh::default()
        };
        self.cx.store.change(Change::Peer(
            node,
            KnownPeer {
                public_key: waiting.public_key,
                name: waiting.name.clone(),
                section,
                accepted: true,
                met: now.wall,
                mesh,
            },
        ));
        self.cx.set_up_introduced();
        self.set_up_dials(now);
        self.cx.log(Level::Notice, format!("{} ({remote}) was accepted by the user", waiting.name));
        self.peers.dial_now(&mut self.cx, None);
        Reply::Done(Tree::map().with("accepted", waiting.name).with("node", node.to_hex()))
    }

    pub(crate) fn forget_peer(&mut self, now: Now, peer: &str) -> Reply {
        let node = match self.who(peer) {
            Ok(Who { node: Some(node), .. }) if self.cx.store.state().peers.get(&node).is_some() => node,
            Ok(who) => return Reply::failed(Fault::NotFound, format!("{} has never connected", who.label)),
            Err(reply) => return reply,
        };
        let label = self.cx.node_label(node);
        self.forget_member(now, node);
        self.cx.log(Level::Notice, format!("peer {label} was forgotten by the user"));
        Reply::Done(Tree::map().with("forgotten", label))
    }

    /// A token for a join text, valid once and for a day.
    pub(crate) fn invite(&mut self, now: Now) -> Reply {
        let mut token = [0; 16];
        token.copy_from_slice(&self.cx.rng.bytes32()[..16]);
        let mut tokens: Vec<Token> =
            self.cx.store.state().tokens.iter().filter(|token| token.is_remembered(now.wall)).cloned().collect();
        tokens.push(Token { token, expires: now.wall.plus(limits::TOKEN_LIFE), used: false });
        // What lets nobody in any more goes first.
        tokens.sort_by_key(|token| (token.is_valid(now.wall), token.expires));
        let excess = tokens.len().saturating_sub(limits::TOKENS_MAX);
        tokens.drain(..excess);
        self.cx.store.change(Change::Tokens(tokens));
        Reply::Done(Tree::from(&self.who_am_i()).with("token", escape::hex(&token)))
    }

    /// Declares this node the reference.
    pub(crate) fn init(&mut self, now: Now) -> Reply {
        let me = self.cx.store.state().me.clone();
        self.cx.store.change(Change::Me(crate::store::state::Me { rank: 1, reference: true, ..me }));
        let names: Vec<ShareName> = self.shares.keys().cloned().collect();
        for name in names {
            let meta = self.cx.store.state().shares.get(&name).map(|state| state.meta.clone()).unwrap_or_default();
            self.cx.store.change(Change::Share(name.clone(), ShareMeta { past: true, ..meta }));
            self.version_the_rest(&name);
        }
        self.cx.log(Level::Notice, "this node was declared the reference".into());
        self.invite(now)
    }

    /// Gives every unversioned entry that is not disputed a version of rank 1, because a person declared this node's
    /// state to be the one that counts.
    fn version_the_rest(&mut self, name: &ShareName) {
        let Some(state) = self.cx.store.state().shares.get(name) else { return };
        let disputed = |path: &RelPath| state.owed.keys().any(|(_, owed)| owed == path);
        let mut paths: Vec<(u64, RelPath)> = state
            .index
            .iter()
            .filter(|(path, r)| r.entry.version.is_unversioned() && r.entry.is_live() && !disputed(path))
            .map(|(path, r)| (r.seq, path.clone()))
            .collect();
        paths.sort_unstable();
        for (_, path) in &paths {
            if let Some(record) = self.cx.store.index_mut(name).and_then(|index| index.get_mut(path)) {
                record.entry.stamp.rank = 1;
            }
        }
        if let Some(share) = self.shares.get_mut(name) {
            share.version_paths(&mut self.cx, paths.into_iter().map(|(_, path)| path));
        }
        self.cx.stirred = true;
    }

    /// A peer says who belongs to the cluster.
    pub(crate) fn handle_introduction(&mut self, now: Now, id: LinkId, introduction: Introduction) {
        let Some(by) = self.peers.links.get(&id).and_then(|link| link.node) else { return };
        let label = self.peers.peer_label(&self.cx, id);
        if !self.peers.is_member(&self.cx, id) {
            self.cx.log(
                Level::Debug,
                format!("peer {label}: ignored its report of members: it is not an introducer here"),
            );
            return;
        }
        let mut changed = false;
        for (node, round) in introduction.forgotten.into_iter().filter(|(_, round)| *round <= ROUND_MAX) {
            changed |= self.hear_forgotten(now, node, round, &label);
        }
        // Its own session may have ended with that.
        if self.peers.is_introducer(&self.cx, id) {
            changed |= self.take_introduced(now, by, &label, introduction.members, introduction.nodes);
        } else if !introduction.nodes.is_empty() {
            self.cx.log(
                Level::Debug,
                format!("peer {label}: ignored the nodes that it introduces: it is not an introducer here"),
            );
        }
        if changed {
            self.peers.mesh_stirred = true;
            self.cx.set_up_introduced();
            self.set_up_dials(now);
        }
    }

    /// Takes in the nodes that the introducer `by` vouches for; whether anything is new.
    fn take_introduced(&mut self, now: Now, by: NodeId, label: &str, members: u32, nodes: Vec<Introduced>) -> bool {
        let mut changed = false;
        let mut named: Vec<NodeId> = Vec::new();
        for one in nodes {
            let Some(node) = node_of(one.public_key).filter(|node| *node != self.cx.identity.id) else { continue };
            named.push(node);
            let decided = self.cx.store.state().forgotten.get(&node).map(|forgotten| forgotten.round);
            if one.round > ROUND_MAX || decided.is_some_and(|round| round >= one.round) {
                continue;
            }
            let before = self.cx.store.state().peers.get(&node).cloned();
            // A node that is known by other means keeps them.
            if let Some(known) = before.as_ref().filter(|known| known.accepted && known.mesh.by.is_none()) {
                if known.mesh.round < one.round {
                    let mesh = Mesh { round: one.round, ..known.mesh.clone() };
                    self.cx.store.change(Change::Peer(node, KnownPeer { mesh, ..known.clone() }));
                }
                continue;
            }
            if before.as_ref().and_then(|known| known.mesh.by).is_some_and(|other| other != by) {
                continue;
            }
            let count = self.cx.store.state().peers.values().filter(|known| known.mesh.by.is_some()).count();
            if before.is_none()
                && (count >= limits::INTRODUCED_MAX || self.cx.store.state().peers.len() >= limits::PEERS_KNOWN)
            {
                self.cx.log(Level::Warning, format!("peer {label}: introduced more nodes than are kept"));
                break;
            }
            let mesh = Mesh { joined: false, by: Some(by), addresses: one.addresses, round: one.round };
            let section = before.as_ref().and_then(|known| known.section.clone());
            let section = section.unwrap_or_else(|| self.cx.free_label(&one.name, node));
            let known = KnownPeer {
                public_key: Some(one.public_key),
                name: one.name,
                section: Some(section.clone()),
                accepted: true,
                met: before.as_ref().map_or(now.wall, |known| known.met),
                mesh,
            };
            if decided.is_some() {
                self.cx.store.change(Change::Recalled(node));
            }
            if before.as_ref() != Some(&known) {
                if before.is_none() {
                    self.cx
                        .log(Level::Notice, format!("peer {label}: introduced {section} ({node}), which is accepted"));
                }
                self.peers.waiting.remove(&node);
                self.cx.store.change(Change::Peer(node, known));
                changed = true;
            }
        }
        if members as usize > limits::MESH_FULL {
            // In a large cluster whoever is no longer a neighbour is met by way of others.
            let known = self.cx.store.state().peers.iter();
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
        let state = self.cx.store.state();
        if node == self.cx.identity.id || state.forgotten.get(&node).is_some_and(|known| known.round >= round) {
            return false;
        }
        let known = state.peers.get(&node);
        if known.is_some_and(|known| known.mesh.round > round) {
            // It was let in after that.
            return false;
        }
        if let Some(known) = known {
            let member = known.mesh.joined || known.mesh.by.is_some() || self.cx.introduces(known.public_key);
            if !member {
                return false;
            }
            let gone = self.cx.node_label(node);
            self.part_with(now, node, Trouble::EndedHere("it was forgotten by the user"));
            self.cx.log(Level::Notice, format!("peer {gone} was forgotten by the user, reported by {label}"));
        }
        self.cx.note_forgotten(node, round);
        true
    }

    /// A user here forgets a node, for the whole cluster.
    pub(crate) fn forget_member(&mut self, now: Now, node: NodeId) {
        let known = self.cx.store.state().peers.get(&node);
        let proved = known.is_some_and(|known| known.public_key.is_some()) && self.cx.identity.mode.is_encrypted();
        let round = known.map_or(0, |known| known.mesh.round).max(self.cx.forgotten_round(node)).saturating_add(1);
        self.part_with(now, node, Trouble::EndedHere("it was forgotten by the user"));
        if proved {
            self.cx.note_forgotten(node, round);
        }
        self.peers.mesh_stirred = true;
        self.cx.set_up_introduced();
        self.set_up_dials(now);
    }

    /// Ends everything with a node, and drops its identity.
    fn part_with(&mut self, now: Now, node: NodeId, why: Trouble) {
        let links: Vec<LinkId> =
            self.peers.links.iter().filter(|(_, link)| link.node == Some(node)).map(|(id, _)| *id).collect();
        for id in links {
            self.disconnect(now, id, why.clone());
        }
        let names: Vec<ShareName> = self.cx.store.state().shares.keys().cloned().collect();
        for name in names {
            match self.shares.get_mut(&name) {
                Some(share) => share.disown(&mut self.cx, node, None),
                None => drop(self.cx.disown(&name, node, None)),
            }
            self.cx.store.change(Change::NoLedger(name, node));
        }
        self.cx.store.change(Change::NoPeer(node));
    }
}
