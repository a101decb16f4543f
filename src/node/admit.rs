//! A peer said who it is: whether it may enter, as whom, and what is remembered of it.

use std::net::{IpAddr, SocketAddr};

use crate::fs::Fs;
use crate::model::reason::{JoinText, Trouble};
use crate::model::settings::Accept;
use crate::model::{NodeId, Now, PeerName, ShareName, WallTime, limits};
use crate::node::api::{Event, Level, Tree};
use crate::node::link::Link;
use crate::node::mesh::seen_at;
use crate::node::{LinkId, Node};
use crate::proto::message::{Hello, Message};
use crate::proto::{self};
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

impl<F: Fs> Node<F> {
    /// The peer says who it is: may it enter?
    pub(crate) fn handle_hello(&mut self, now: Now, id: LinkId, hello: Hello) {
        let Some(link) = self.links.get(&id) else { return };
        let (remote, public_key, waits) = (link.remote, link.public_key, link.hello_waits);
        let dialled_for = link.dialled_for.clone();
        let node = self.node_of(public_key, &hello);
        if let Some(dial) = dialled_for.as_ref().and_then(|name| self.dials.get_mut(name)) {
            dial.node = Some(node);
        }
        if waits {
            if self.has_dialled(id, node) {
                self.say_bye(now, id, Trouble::Duplicate);
                return;
            }
            self.say_hello(now, id);
        }
        match self.admit(now, id, node, &hello) {
            Ok(section) => self.let_in(now, id, node, hello, section),
            Err(trouble) => {
                if matches!(
                    trouble,
                    Trouble::NotAcceptedHere(_) | Trouble::IdentityRefusedHere | Trouble::TooManySessions
                ) {
                    self.note_waiting(now, node, &hello, remote, public_key, trouble.clone());
                }
                self.say_bye(now, id, trouble);
            }
        }
    }

    fn node_of(&self, public_key: Option<[u8; 32]>, hello: &Hello) -> NodeId {
        match public_key {
            #[cfg(feature = "encryption")]
            Some(key) => proto::handshake::node_id(&key),
            _ => hello.node,
        }
    }

    /// Whether the peer may enter, and to which section it belongs.
    fn admit(&mut self, now: Now, id: LinkId, node: NodeId, hello: &Hello) -> Result<Option<PeerName>, Trouble> {
        let Some(link) = self.links.get(&id) else { return Err(Trouble::Closed) };
        if node == self.identity.id {
            // A copy of this node was started by itself.
            let own = hello.instance == self.instance;
            return Err(if own { Trouble::ThisNode } else { Trouble::SameIdentity });
        }
        let (min, max) = hello.versions;
        if max < proto::VERSIONS.0 || min > proto::VERSIONS.1 {
            return Err(Trouble::Version { min, max });
        }
        let skew = hello.wall.since_ms(now.wall);
        if self.is_skewed(skew) {
            return Err(Trouble::ClockSkew(skew));
        }
        let section = self.section_of(link, node);
        let public_key = link.public_key;
        let shown = if public_key.is_some() { self.use_token(now, hello) } else { Err(JoinText::None) };
        let invited = shown.is_ok();
        if let Some(link) = self.links.get_mut(&id) {
            link.invited = invited;
        }
        if self.is_forgotten(node) {
            shown.map_err(Trouble::NotAcceptedHere)?;
        }
        if let Some(name) = &section {
            let Some(peer) = self.peer_settings(name) else {
                return Err(Trouble::DisabledHere);
            };
            if !peer.enabled {
                return Err(Trouble::DisabledHere);
            }
            if let Some(pause) = self.pause_of_peer(name) {
                return Err(Trouble::PausedHere(pause.to_string()));
            }
            let pinned_to_other = peer.public_key.is_some() && peer.public_key != public_key;
            // `accept key` remembers who was met, but insists only on what was configured.
            let known_other = self.settings.accept == Accept::Known
                && public_key.is_some()
                && peer.public_key.is_none()
                && self.store.state().peers.iter().any(|(other, known)| {
                    // In plain mode it showed no identity that could be insisted on.
                    let shown = known.public_key.is_some();
                    *other != node && shown && known.accepted && known.section.as_deref() == Some(&name.0)
                });
            if pinned_to_other && self.is_introduced(name) {
                // An address that was told leads elsewhere from here: nothing that a user should look into.
                return Err(Trouble::Unreachable("a different node answers at that address".into()));
            }
            if (pinned_to_other && public_key.is_some()) || known_other {
                return Err(Trouble::IdentityRefusedHere);
            }
        } else if let Some(pause) = self.pause_of_node(node) {
            return Err(Trouble::PausedHere(pause.to_string()));
        } else if self.settings.accept == Accept::Known && public_key.is_some() {
            let known = self.store.state().peers.get(&node).is_some_and(|known| known.accepted);
            if !known {
                shown.map_err(Trouble::NotAcceptedHere)?;
            }
        }
        if let Some(other) = self.other_link_of(id, node) {
            self.settle_duplicate(now, id, other, node, hello)?;
        } else if section.is_none()
            && self.links.values().filter(|link| link.is_admitted()).count() >= self.settings.max_sessions
        {
            return Err(Trouble::TooManySessions);
        }
        Ok(section)
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
    fn use_token(&mut self, now: Now, hello: &Hello) -> Result<(), JoinText> {
        let Some(shown) = hello.token else { return Err(JoinText::None) };
        let mut tokens = self.store.state().tokens.clone();
        match tokens.iter_mut().find(|token| token.token == shown) {
            None => Err(JoinText::Unknown),
            Some(token) if token.used => Err(JoinText::Used),
            Some(token) if now.wall >= token.expires => Err(JoinText::Expired),
            Some(token) => {
                // It stays known, so that a second node that shows it can be told why it may not enter.
                token.used = true;
                self.store.change(Change::Tokens(tokens));
                Ok(())
            }
        }
    }

    fn other_link_of(&self, id: LinkId, node: NodeId) -> Option<LinkId> {
        self.links
            .iter()
            .find(|(other, link)| **other != id && link.node == Some(node) && link.is_admitted())
            .map(|(other, _)| *other)
    }

    /// Two sessions with one node: the one opened by the smaller id stays.
    fn settle_duplicate(
        &mut self,
        now: Now,
        id: LinkId,
        other: LinkId,
        node: NodeId,
        hello: &Hello,
    ) -> Result<(), Trouble> {
        let opener = |dialled: bool| if dialled { self.identity.id } else { node };
        let (Some(link), Some(old)) = (self.links.get(&id), self.links.get(&other)) else { return Ok(()) };
        let (new_opener, old_opener) = (opener(link.session.dialled()), opener(old.session.dialled()));
        if old.hello.as_ref().is_some_and(|known| known.state != hello.state) {
            // Another life of its database. If the old session still answers, these are two machines with one identity;
            // if it does not, the peer has restarted, and is let in when it tries again.
            if old.probed.is_some_and(|at| now.mono.since(at) < limits::PROBE_COUNTS) {
                return Err(Trouble::TwoMachines);
            }
            // Asked once: a newcomer that comes again and again does not put the answer off.
            if let Some(old) = self.links.get_mut(&other).filter(|old| old.probe.is_none()) {
                old.questions += 1;
                old.say(Message::Ping(now.wall));
                old.probe = Some(now.mono.plus(limits::PROBE_TIME));
            }
            return Err(Trouble::Duplicate);
        }
        if new_opener != old_opener && old_opener == self.identity.id.min(node) {
            return Err(Trouble::Duplicate);
        }
        // The new one was opened by the smaller id; or both by the same side, and then the older one is debris.
        self.say_bye(now, other, Trouble::Duplicate);
        Ok(())
    }

    /// The peer may enter: begin to exchange.
    fn let_in(&mut self, now: Now, id: LinkId, node: NodeId, hello: Hello, section: Option<PeerName>) {
        self.waiting.remove(&node);
        let me = self.store.state().me.state;
        if hello.state == me {
            // Somebody copied a database: both of us go on under ids of our own.
            self.renew_for(now, id, "another node shows the same state id");
            return;
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        link.node = Some(node);
        link.section = section.clone();
        let known = KnownPeer {
            public_key: link.public_key,
            name: hello.name.clone(),
            section: section.as_ref().map(|name| name.0.to_string()),
            accepted: true,
            met: now.wall,
            mesh: self.mesh_of(id, node, &hello),
        };
        if known.mesh.joined {
            self.recall(node);
        }
        let hello_name = hello.name.clone();
        if let Some(link) = self.links.get_mut(&id) {
            link.hello = Some(hello);
        }
        self.mesh_stirred = true;
        self.note_return(now, node);
        self.replace_predecessors(node, section.as_ref());
        self.remember_peer(now, node, known);
        if let Some(name) = &section {
            self.note_dial_success(name, id);
        }
        let name = self.peer_label(id);
        if self.log_of_peer(now, node, Level::Notice, format!("peer {name}: connected ({hello_name})")) {
            self.tell(Event {
                name: "owsync.peer",
                at: now.wall,
                text: format!("{name} connected"),
                details: Tree::map().with("peer", name).with("up", true),
            });
        }
        self.clock.confirm(now);
        self.begin_exchanges(now, id);
    }

    /// A node has taken the place of another in its section: it was reinstalled. What was heard from the other, and never
    /// landed, can come from nobody any more.
    fn replace_predecessors(&mut self, node: NodeId, section: Option<&PeerName>) {
        let Some(section) = section else { return };
        let before: Vec<(NodeId, KnownPeer)> = self
            .store
            .state()
            .peers
            .iter()
            .filter(|(other, known)| **other != node && known.section.as_deref() == Some(&section.0))
            .map(|(other, known)| (*other, known.clone()))
            .collect();
        for (other, known) in before {
            self.store.change(Change::Peer(other, KnownPeer { section: None, ..known }));
            self.retire(other);
        }
    }

    /// A session is over, or a section has another node: what was heard from a node whose place another has taken can
    /// come from nobody any more. As long as a session with it is open, it goes on; two machines may share a section.
    pub(crate) fn retire(&mut self, node: NodeId) {
        let known = self.store.state().peers.get(&node);
        if known.is_none_or(|known| known.section.is_some()) {
            return;
        }
        self.expect_nothing_from(node);
    }

    /// Nothing is pending from nodes that are neither configured nor missed, nor from this node itself: a database that was
    /// copied from another node knows this one as a peer, by its former identity or by the one that it still has.
    pub(crate) fn retire_the_unconfigured(&mut self) {
        let configured = |known: &KnownPeer| {
            let section = known.section.as_deref();
            section.is_some_and(|section| self.peers().any(|peer| *peer.name.0 == *section))
        };
        let peers = self.store.state().peers.iter();
        let gone = peers.filter(|(_, known)| known.section.is_some() && !configured(known) && !self.is_missed(known));
        let gone: Vec<NodeId> = gone.map(|(node, _)| *node).chain([self.identity.id]).collect();
        for node in gone {
            self.expect_nothing_from(node);
        }
    }

    /// Forgets what is pending from a node, unless a session with it is open.
    fn expect_nothing_from(&mut self, node: NodeId) {
        if self.links.values().any(|link| link.node == Some(node) && link.is_admitted()) {
            return;
        }
        let shares = self.store.state().shares.iter();
        let ledgers: Vec<(ShareName, Ledger)> = shares
            .filter_map(|(name, share)| Some((name.clone(), share.ledgers.get(&node)?.clone())))
            .filter(|(_, ledger)| ledger.their_state.is_some() || ledger.heard > 0)
            .collect();
        for (name, ledger) in ledgers {
            self.forget_owed_to(&name, node);
            // Whatever it still has on its way here is owed to nobody, and all of it is heard again if it returns.
            self.store.change(Change::Ledger(name, node, Ledger { their_state: None, heard: 0, ..ledger }));
        }
    }

    /// Writes down who was met, when something about it is new.
    fn remember_peer(&mut self, now: Now, node: NodeId, known: KnownPeer) {
        let before = self.store.state().peers.get(&node);
        let week = 7 * 86_400_000;
        let same = before.is_some_and(|b| {
            b.public_key == known.public_key
                && b.name == known.name
                && (b.section == known.section || known.section.is_none())
                && b.accepted
                && b.mesh == known.mesh
                && now.wall.since_ms(b.met).abs() < week
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

    fn note_waiting(
        &mut self,
        now: Now,
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
        let since = self.waiting.get(&node).map_or(now.wall, |known| known.since);
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
            if !self.log_of_stranger(now, Level::Warning, format!("{} ({remote}): {trouble}", hello.name)) {
                return;
            }
            let details = Tree::map()
                .with("peer", hello.name.clone())
                .with("up", false)
                .with("waiting", true)
                .with("address", remote.to_string());
            self.tell(Event {
                name: "owsync.peer",
                at: now.wall,
                text: match trouble {
                    Trouble::TooManySessions => format!("{} turned away: {trouble}", hello.name),
                    _ => format!("{} is waiting to be accepted", hello.name),
                },
                details,
            });
        }
    }
}
