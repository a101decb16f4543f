//! Who belongs to the cluster: accepting and forgetting nodes, inviting them, being the reference.

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{NodeId, Now, RelPath, ShareName, escape, limits};
use crate::node::Node;
use crate::node::api::{Fault, Level, Reply, Tree};
use crate::store::state::{Change, KnownPeer, Mesh, ShareMeta, Token};

impl<F: Fs> Node<F> {
    pub(crate) fn accept(&mut self, now: Now, peer: Option<&str>) -> Reply {
        let matches = |node: &NodeId, waiting: &crate::node::admit::Waiting| match peer {
            None => true,
            Some(text) => {
                waiting.name == text
                    || waiting.remote.to_canonical().to_string() == text
                    || node.to_hex().starts_with(text)
                    || waiting.public_key.is_some_and(|key| text.len() >= 8 && escape::hex(&key).starts_with(text))
            }
        };
        let found: Vec<NodeId> = self
            .waiting
            .iter()
            .filter(|(node, waiting)| waiting.trouble != Trouble::Duplicate && matches(node, waiting))
            .map(|(node, _)| *node)
            .collect();
        let [node] = found[..] else {
            return match found.len() {
                0 => {
                    Reply::failed(Fault::NotFound, "no peer like that waits to be accepted: `owsync peers` lists them")
                }
                _ => Reply::failed(
                    Fault::Argument,
                    "several peers wait to be accepted: name one of those that `owsync peers` lists",
                ),
            };
        };
        let Some(waiting) = self.waiting.remove(&node) else { return Reply::failed(Fault::NotFound, "it left") };
        let remote = waiting.remote.to_canonical();
        let section = self
            .settings
            .peers
            .iter()
            .find(|peer| {
                peer.public_key.is_none()
                    && peer
                        .address
                        .as_ref()
                        .and_then(|a| a.host.parse::<std::net::IpAddr>().ok())
                        .is_some_and(|ip| ip.to_canonical() == remote)
            })
            .map(|peer| peer.name.0.to_string());
        if let Some(section) = &section {
            // It takes the place of who was known there before.
            let before: Vec<(NodeId, KnownPeer)> = self
                .store
                .state()
                .peers
                .iter()
                .filter(|(other, known)| **other != node && known.section.as_ref() == Some(section))
                .map(|(n, k)| (*n, k.clone()))
                .collect();
            for (other, known) in before {
                self.store.change(Change::Peer(other, KnownPeer { section: None, accepted: false, ..known }));
            }
        }
        let mesh = if waiting.public_key.is_some() {
            self.welcome_member(node, waiting.addresses.clone())
        } else {
            Mesh::default()
        };
        self.store.change(Change::Peer(
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
        self.set_up_introduced();
        self.set_up_dials(now);
        self.log(Level::Notice, format!("{} ({remote}) was accepted by a person", waiting.name));
        self.dial_now(now, None);
        Reply::Done(Tree::map().with("accepted", waiting.name).with("node", node.to_hex()))
    }

    pub(crate) fn forget_peer(&mut self, now: Now, peer: &str) -> Reply {
        let matches = |node: &NodeId, known: &KnownPeer| {
            known.name == peer
                || known.section.as_deref() == Some(peer)
                || (peer.len() >= 8 && node.to_hex().starts_with(peer))
        };
        let found: Vec<NodeId> = self
            .store
            .state()
            .peers
            .iter()
            .filter(|(node, known)| matches(node, known))
            .map(|(node, _)| *node)
            .collect();
        let [node] = found[..] else {
            return match found.len() {
                0 => Reply::failed(Fault::NotFound, "no such peer was ever met"),
                _ => Reply::failed(
                    Fault::Argument,
                    "several peers have that name: give the start of the node id that `owsync peers` shows",
                ),
            };
        };
        let label = self.node_label(node);
        self.forget_member(now, node);
        self.log(Level::Notice, format!("peer {label} was forgotten by a person"));
        Reply::Done(Tree::map().with("forgotten", label))
    }

    /// A token for a join text, valid once and for a day.
    pub(crate) fn invite(&mut self, now: Now) -> Reply {
        let mut token = [0; 16];
        token.copy_from_slice(&self.rng.bytes32()[..16]);
        let mut tokens: Vec<Token> =
            self.store.state().tokens.iter().filter(|token| now.wall < token.expires).cloned().collect();
        tokens.push(Token { token, expires: now.wall.plus(limits::TOKEN_LIFE) });
        let excess = tokens.len().saturating_sub(limits::TOKENS_MAX);
        tokens.drain(..excess);
        self.store.change(Change::Tokens(tokens));
        Reply::Done(self.identity_tree().with("token", escape::hex(&token)))
    }

    /// Declares this node the reference.
    pub(crate) fn init(&mut self, now: Now) -> Reply {
        let me = self.store.state().me.clone();
        self.store.change(Change::Me(crate::store::state::Me { rank: 1, ..me }));
        let names: Vec<ShareName> = self.shares.keys().cloned().collect();
        for name in names {
            let meta = self.store.state().shares.get(&name).map(|state| state.meta.clone()).unwrap_or_default();
            self.store.change(Change::Share(name.clone(), ShareMeta { past: true, ..meta }));
            self.version_the_rest(now, &name);
        }
        self.log(Level::Notice, "this node was declared the reference".into());
        self.invite(now)
    }

    /// Gives every unversioned entry that is not disputed a version of rank 1, because a person declared this node's
    /// state to be the one that counts.
    fn version_the_rest(&mut self, now: Now, name: &ShareName) {
        let Some(state) = self.store.state().shares.get(name) else { return };
        let disputed = |path: &RelPath| state.owed.keys().any(|(_, owed)| owed == path);
        let mut paths: Vec<(u64, RelPath)> = state
            .index
            .iter()
            .filter(|(path, r)| r.entry.version.is_unversioned() && r.entry.is_live() && !disputed(path))
            .map(|(path, r)| (r.seq, path.clone()))
            .collect();
        paths.sort_unstable();
        for (_, path) in &paths {
            if let Some(record) = self.store.index_mut(name).and_then(|index| index.get_mut(path)) {
                record.entry.stamp.rank = 1;
            }
        }
        self.version_paths(now, name, paths.into_iter().map(|(_, path)| path));
        self.stirred = true;
    }
}
