//! Who belongs to the cluster: accepting and forgetting nodes, inviting them, being the reference.

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{NodeId, Now, RelPath, ShareName, escape, limits};
use crate::node::Node;
use crate::node::api::{Fault, Level, Reply, Tree};
use crate::node::who::{self, Who};
use crate::store::state::{Change, KnownPeer, Mesh, ShareMeta, Token};

impl<F: Fs> Node<F> {
    pub(crate) fn accept(&mut self, now: Now, peer: Option<&str>) -> Reply {
        let waiting = self.waiting.iter().filter(|(_, waiting)| waiting.trouble != Trouble::Duplicate);
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
                "several peers wait to be accepted: name one of those that `owsync peers` lists",
            )),
            (Some(text), _) => who::choose(waiting, text),
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
        let Some(waiting) = self.waiting.remove(&node) else { return Reply::failed(Fault::NotFound, "it left") };
        let remote = waiting.remote.to_canonical();
        let section = self
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
        let node = match self.who(peer) {
            Ok(Who { node: Some(node), .. }) if self.store.state().peers.get(&node).is_some() => node,
            Ok(who) => return Reply::failed(Fault::NotFound, format!("{} has never connected", who.label)),
            Err(reply) => return reply,
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
            self.store.state().tokens.iter().filter(|token| token.is_remembered(now.wall)).cloned().collect();
        tokens.push(Token { token, expires: now.wall.plus(limits::TOKEN_LIFE), used: false });
        // What lets nobody in any more goes first.
        tokens.sort_by_key(|token| (token.is_valid(now.wall), token.expires));
        let excess = tokens.len().saturating_sub(limits::TOKENS_MAX);
        tokens.drain(..excess);
        self.store.change(Change::Tokens(tokens));
        Reply::Done(self.identity_tree().with("token", escape::hex(&token)))
    }

    /// Declares this node the reference.
    pub(crate) fn init(&mut self, now: Now) -> Reply {
        let me = self.store.state().me.clone();
        self.store.change(Change::Me(crate::store::state::Me { rank: 1, reference: true, ..me }));
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
