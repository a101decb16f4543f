//! Checks the nodes that present themselves against what is configured and remembered.

use std::net::{IpAddr, SocketAddr};

use crate::fs::Fs;
use crate::model::reason::{JoinText, Trouble};
use crate::model::{NodeId, PeerName, ShareName, WallTime, limits};
use crate::node::LinkId;
use crate::node::api::{Event, Level, Tree};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::link::Link;
use crate::node::peers::mesh::seen_at;
#[cfg(feature = "encryption")]
use crate::proto;
use crate::proto::message::Hello;
use crate::store::state::{Change, KnownPeer, Ledger};

/// A node that holds the key and is not known here.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub name: String,
    pub remote: IpAddr,
    pub public_key: Option<[u8; 32]>,
    pub trouble: Trouble,
    pub since: WallTime,
    /// Where it can be dialled, as far as it told.
    pub addresses: Vec<SocketAddr>,
}

impl<F: Fs> Peers<F> {
    pub(crate) fn other_link_of(&self, id: LinkId, node: NodeId) -> Option<LinkId> {
        self.links
            .iter()
            .find(|(other, link)| **other != id && link.node == Some(node) && link.is_admitted())
            .map(|(other, _)| *other)
    }

    /// A node has taken the place of a different one in its section: it was reinstalled. What was received from the former
    /// node and never applied will not come again.
    pub(crate) fn replace_predecessors(&mut self, cx: &mut Context<F>, node: NodeId, section: Option<&PeerName>) {
        let Some(section) = section else { return };
        let before: Vec<(NodeId, KnownPeer)> = cx
            .store
            .state()
            .peers
            .iter()
            .filter(|(other, known)| **other != node && known.section.as_deref() == Some(&section.0))
            .map(|(other, known)| (*other, known.clone()))
            .collect();
        for (other, known) in before {
            cx.store.change(Change::Peer(other, KnownPeer { section: None, ..known }));
            self.retire(cx, other);
        }
    }

    /// A session is over, or a section has another node: what was heard from a node whose place another has taken can
    /// come from nobody any more. As long as a session with it is open, it goes on; two machines may share a section.
    pub(crate) fn retire(&mut self, cx: &mut Context<F>, node: NodeId) {
        if cx.store.state().peers.get(&node).is_none_or(|known| known.section.is_some()) {
            return;
        }
        self.expect_nothing_from(cx, node);
    }

    /// Forgets what is pending from a node, unless a session with it is open.
    pub(crate) fn expect_nothing_from(&mut self, cx: &mut Context<F>, node: NodeId) {
        if self.links.values().any(|link| link.node == Some(node) && link.is_admitted()) {
            return;
        }
        let shares = cx.store.state().shares.iter();
        let ledgers: Vec<(ShareName, Ledger)> = shares
            .filter_map(|(name, share)| Some((name.clone(), share.ledgers.get(&node)?.clone())))
            .filter(|(_, ledger)| ledger.their_state.is_some() || ledger.heard > 0)
            .collect();
        for (name, ledger) in ledgers {
            cx.forget_pending_from(&name, node);
            // Whatever it still has on its way here is owed to nobody, and all of it is heard again if it returns.
            cx.store.change(Change::Ledger(name, node, Ledger { their_state: None, heard: 0, ..ledger }));
        }
    }

    pub(crate) fn note_waiting(
        &mut self,
        cx: &mut Context<F>,
        node: NodeId,
        hello: &Hello,
        remote: IpAddr,
        public_key: Option<[u8; 32]>,
        trouble: Trouble,
    ) {
        let news = !self.waiting.contains_key(&node);
        if news && self.waiting.len() >= limits::WAITING_MAX {
            let oldest = self.waiting.iter().min_by_key(|(_, waiting)| waiting.since).map(|(node, _)| *node);
            oldest.and_then(|node| self.waiting.remove(&node));
        }
        let changed = self.waiting.get(&node).is_some_and(|known| known.trouble != trouble);
        let since = self.waiting.get(&node).map_or(cx.now.wall, |known| known.since);
        self.waiting.insert(
            node,
            Waiting {
                name: hello.name.clone(),
                remote,
                public_key,
                trouble: trouble.clone(),
                since,
                addresses: seen_at(remote, hello),
            },
        );
        if (news || changed) && trouble != Trouble::Duplicate {
            if !cx.log_of_stranger(cx.now, Level::Warning, format!("{} ({remote}): {trouble}", hello.name)) {
                return;
            }
            let details = Tree::map()
                .with("peer", hello.name.clone())
                .with("up", false)
                .with("waiting", true)
                .with("address", remote.to_string());
            cx.tell(Event {
                name: "owsync.peer",
                at: cx.now.wall,
                text: match trouble {
                    Trouble::TooManySessions => format!("{} refused: {trouble}", hello.name),
                    _ => format!("{} is waiting to be accepted", hello.name),
                },
                details,
            });
        }
    }
}

impl<F: Fs> Context<F> {
    pub(crate) fn node_of(&self, public_key: Option<[u8; 32]>, hello: &Hello) -> NodeId {
        match public_key {
            #[cfg(feature = "encryption")]
            Some(key) => proto::handshake::node_id(&key),
            _ => hello.node,
        }
    }

    /// The section a session belongs to: by public key, else by the address it was dialled at, or came from.
    pub(crate) fn section_of(&self, link: &Link<F::Root>, node: NodeId) -> Option<PeerName> {
        let pinned = self.peers().find(|peer| peer.public_key.is_some() && peer.public_key == link.public_key);
        let known = || {
            self.store.state().peers.get(&node).filter(|known| known.accepted).and_then(|known| known.section.clone())
        };
        let remembered = || known().and_then(|section| self.peers().find(|peer| *peer.name.0 == *section));
        let dialled = || link.dialled_for.as_ref().and_then(|name| self.peer_settings(name));
        let remote = link.remote.to_canonical();
        let here = |peer: &&crate::model::settings::PeerSettings| {
            let literal = peer.address.as_ref().and_then(crate::model::settings::Address::ip);
            // Two sections may share an address behind one router: then only the key can tell.
            peer.public_key.is_none() && literal.is_some_and(|ip| ip.to_canonical() == remote)
        };
        let from = || self.settings.peers.iter().find(here);
        pinned.or_else(dialled).or_else(remembered).or_else(from).map(|peer| peer.name.clone())
    }

    /// Lets the Hello's token in if it is valid, which uses it up.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn use_token(&mut self, hello: &Hello) -> Result<(), JoinText> {
        let Some(shown) = hello.token else { return Err(JoinText::None) };
        let mut tokens = self.store.state().tokens.clone();
        match tokens.iter_mut().find(|token| token.token == shown) {
            None => Err(JoinText::Unknown),
            Some(token) if token.used => Err(JoinText::Used),
            Some(token) if self.now.wall >= token.expires => Err(JoinText::Expired),
            Some(token) => {
                // It stays known, so that a second node that shows it can be told why it may not enter.
                token.used = true;
                self.store.change(Change::Tokens(tokens));
                Ok(())
            }
        }
    }

    /// Writes down who was met, when something about it is new.
    pub(crate) fn remember_peer(&mut self, node: NodeId, known: KnownPeer) {
        let before = self.store.state().peers.get(&node);
        let week = 7 * 86_400_000;
        let same = before.is_some_and(|b| {
            b.public_key == known.public_key
                && b.name == known.name
                && (b.section == known.section || known.section.is_none())
                && b.accepted
                && b.mesh == known.mesh
                && self.now.wall.since_ms(b.met).abs() < week
        });
        if same {
            return;
        }
        let section = known.section.clone().or_else(|| before.and_then(|b| b.section.clone()));
        if before.is_none() && self.store.state().peers.len() >= limits::PEERS_KNOWN {
            // The one that was not met for longest makes room.
            if let Some(oldest) =
                self.store.state().peers.iter().min_by_key(|(_, peer)| peer.met).map(|(node, _)| *node)
            {
                self.store.change(Change::NoPeer(oldest));
            }
        }
        self.store.change(Change::Peer(node, KnownPeer { section, ..known }));
    }
}
