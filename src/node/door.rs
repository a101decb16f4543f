//! The door: who may connect, who may enter, and how a session ends.

use std::net::IpAddr;

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::settings::Accept;
use crate::model::{NodeId, Now, PeerName, WallTime, limits};
use crate::node::api::{Event, Level, Tree};
use crate::node::link::Link;
use crate::node::{LinkId, Node, Output};
use crate::proto::frame::Alert;
use crate::proto::message::{Bye, ByeCode, Hello, Message, ShareHello};
use crate::proto::{self, Event as SessionEvent};
use crate::store::state::{Change, KnownPeer};

/// A node that holds the key and is not known here.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub name: String,
    pub remote: IpAddr,
    pub public_key: Option<[u8; 32]>,
    pub trouble: Trouble,
    pub since: WallTime,
}

impl<F: Fs> Node<F> {
    /// Somebody connected: whether there is room for a stranger, and in plain mode whether its address is known.
    pub(crate) fn check_at_door(&mut self, now: Now, id: LinkId) {
        let Some(remote) = self.links.get(&id).map(|link| link.remote) else { return };
        let configured = self.is_configured_address(remote);
        if !self.identity.mode.is_encrypted() && !configured && !self.settings.plain_from_anywhere {
            self.refuse(now, id, Alert::NotConfigured, Trouble::DisabledThere);
            return;
        }
        let strangers = |link: &Link<F::Root>| link.is_stranger() && link.dialled_for.is_none();
        let from_there = self.links.values().filter(|link| strangers(link) && link.remote == remote).count();
        if from_there > limits::STRANGERS_PER_ADDRESS {
            // The oldest of the same address goes, so that one machine behind it is not locked out by another's debris.
            self.drop_oldest_stranger(now, id, |link| link.remote == remote);
        }
        if self.links.values().filter(|link| strangers(link)).count() > limits::STRANGERS_MAX {
            let addresses: Vec<IpAddr> = self
                .links
                .values()
                .map(|link| link.remote)
                .filter(|remote| self.is_configured_address(*remote))
                .collect();
            // Configured peers are never dropped for strangers.
            if !self.drop_oldest_stranger(now, id, |link| !addresses.contains(&link.remote)) && !configured {
                self.refuse(now, id, Alert::Full, Trouble::TooManySessions);
                return;
            }
        }
        if self.links.values().filter(|link| !link.over).count() > limits::SESSIONS_MAX && !configured {
            self.refuse(now, id, Alert::Full, Trouble::TooManySessions);
        }
    }

    fn drop_oldest_stranger(&mut self, now: Now, except: LinkId, which: impl Fn(&Link<F::Root>) -> bool) -> bool {
        let oldest = self
            .links
            .iter()
            .filter(|(id, link)| **id != except && link.is_stranger() && link.dialled_for.is_none() && which(link))
            .min_by_key(|(_, link)| link.opened)
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            if let Some(link) = self.links.get_mut(&id) {
                link.session.end(Trouble::TooManySessions);
            }
            self.pump(now, id);
        }
        oldest.is_some()
    }

    fn refuse(&mut self, now: Now, id: LinkId, alert: Alert, trouble: Trouble) {
        if let Some(link) = self.links.get_mut(&id) {
            link.session.refuse(alert, trouble);
        }
        self.pump(now, id);
    }

    pub(crate) fn is_configured_address(&self, remote: IpAddr) -> bool {
        let remote = remote.to_canonical();
        let literal = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == remote);
        self.settings
            .peers
            .iter()
            .any(|peer| peer.enabled && peer.address.as_ref().is_some_and(|address| literal(&address.host)))
            || self.links.values().any(|link| {
                !link.over && link.dialled_for.is_some() && link.connected && link.remote.to_canonical() == remote
            })
    }

    /// Takes everything that a session has to say.
    pub(crate) fn pump(&mut self, now: Now, id: LinkId) {
        while let Some(event) = self.links.get_mut(&id).and_then(Link::next_event) {
            match event {
                SessionEvent::Open { public_key } => self.handle_open(now, id, public_key),
                SessionEvent::Message(message) => self.handle_message(now, id, message),
                SessionEvent::Ended(trouble) => self.handle_ended(now, id, trouble),
            }
        }
    }

    /// The handshake is over: say who we are.
    fn handle_open(&mut self, now: Now, id: LinkId, public_key: Option<[u8; 32]>) {
        let settled = now.mono >= self.settled_at;
        let me = &self.store.state().me;
        let shares = self
            .shares
            .values()
            .filter(|share| !share.leaving)
            .map(|share| {
                let name = &share.settings.name;
                let mut filter = [0; 8];
                filter.copy_from_slice(&share.rules_digest().0[..8]);
                ShareHello {
                    name: name.clone(),
                    seq: share.top,
                    direction: share.settings.direction,
                    filter,
                    held: self.hold_text(name),
                }
            })
            .collect();
        let hello = Hello {
            versions: proto::VERSIONS,
            name: self.settings.name.clone(),
            wall: now.wall,
            settled,
            rank: me.rank,
            state: me.state,
            asks: self.settings.first_sync == crate::model::settings::FirstSync::Ask,
            token: self.token,
            shares,
            node: self.identity.id,
            program: env!("CARGO_PKG_VERSION").into(),
        };
        if let Some(link) = self.links.get_mut(&id) {
            link.public_key = public_key;
            link.opened = now.mono;
            link.last_sent = now.mono;
            link.told_held =
                hello.shares.iter().filter(|share| share.held.is_some()).map(|share| share.name.clone()).collect();
            link.session.send(&Message::Hello(hello));
        }
    }

    fn handle_message(&mut self, now: Now, id: LinkId, message: Message) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.session.is_ended() {
            return;
        }
        match (message, link.node.is_some()) {
            (Message::Hello(_), true) => self.misbehaved(now, id, "a second Hello".into()),
            (Message::Hello(hello), false) => self.handle_hello(now, id, hello),
            (Message::Bye(bye), _) => {
                let trouble = trouble_of(bye);
                link.session.end(trouble);
            }
            (Message::Unknown(number), _) => self.log(
                Level::Debug,
                format!("a message of type {number}, which this version does not know, was skipped"),
            ),
            (_, false) => self.misbehaved(now, id, "a message before Hello".into()),
            (Message::Want { share, state, since, round }, true) => {
                self.handle_want(now, id, &share, state, since, round)
            }
            (Message::Index(part), true) => self.handle_index(now, id, part),
            (Message::Request { share, pieces }, true) => self.handle_request(now, id, &share, pieces),
            (Message::Data(chunks), true) => self.handle_data(now, id, chunks),
            (Message::Unavailable { id: request, reason }, true) => self.handle_unavailable(now, id, request, reason),
            (Message::Progress(progress), true) => self.handle_progress(now, id, progress),
            (Message::Ping(wall), true) => {
                link.say(Message::Pong(now.wall));
                self.check_clock(now, id, wall);
            }
            (Message::Pong(wall), true) => self.check_clock(now, id, wall),
            (Message::ShareNews { share, held }, true) => {
                if let Some(exchange) = link.exchanges.get_mut(&share) {
                    exchange.theirs.held = held;
                    self.stirred = true;
                }
            }
        }
    }

    /// The peer says who it is: may it enter?
    fn handle_hello(&mut self, now: Now, id: LinkId, hello: Hello) {
        let Some(link) = self.links.get(&id) else { return };
        let (remote, public_key) = (link.remote, link.public_key);
        let node = self.node_of(public_key, &hello);
        match self.admit(now, id, node, &hello) {
            Ok(section) => self.let_in(now, id, node, hello, section),
            Err(trouble) => {
                if matches!(trouble, Trouble::NotAcceptedHere | Trouble::IdentityRefusedHere) {
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
            return Err(Trouble::SameIdentity);
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
        if let Some(name) = &section {
            let Some(peer) = self.settings.peers.iter().find(|peer| peer.name == *name) else {
                return Err(Trouble::DisabledHere);
            };
            if !peer.enabled {
                return Err(Trouble::DisabledHere);
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
            if (pinned_to_other && public_key.is_some()) || known_other {
                return Err(Trouble::IdentityRefusedHere);
            }
        } else if self.settings.accept == Accept::Known && public_key.is_some() {
            let known = self.store.state().peers.get(&node).is_some_and(|known| known.accepted);
            if !known && !self.use_token(now, hello) {
                return Err(Trouble::NotAcceptedHere);
            }
        }
        if let Some(other) = self.other_link_of(id, node) {
            self.settle_duplicate(now, id, other, node, hello)?;
        }
        Ok(section)
    }

    /// The section a session belongs to: by public key, else by the address it was dialled at, or came from.
    pub(crate) fn section_of(&self, link: &Link<F::Root>, node: NodeId) -> Option<PeerName> {
        let peers = &self.settings.peers;
        let pinned = peers.iter().find(|peer| peer.public_key.is_some() && peer.public_key == link.public_key);
        let known = || {
            self.store.state().peers.get(&node).filter(|known| known.accepted).and_then(|known| known.section.clone())
        };
        let remembered = || known().and_then(|section| peers.iter().find(|peer| *peer.name.0 == *section));
        let dialled = || link.dialled_for.as_ref().and_then(|name| peers.iter().find(|peer| peer.name == *name));
        let remote = link.remote.to_canonical();
        let here = |peer: &&crate::model::settings::PeerSettings| {
            let literal = peer.address.as_ref().and_then(|address| address.host.parse::<IpAddr>().ok());
            // Two sections may share an address behind one router: then only the key can tell.
            peer.public_key.is_none() && literal.is_some_and(|ip| ip.to_canonical() == remote)
        };
        let from = || peers.iter().find(here);
        pinned.or_else(dialled).or_else(remembered).or_else(from).map(|peer| peer.name.clone())
    }

    /// Whether the Hello shows a token that is valid, which is then used up.
    fn use_token(&mut self, now: Now, hello: &Hello) -> bool {
        let Some(shown) = hello.token else { return false };
        let tokens = self.store.state().tokens.clone();
        let valid = tokens.iter().any(|token| token.token == shown && now.wall < token.expires);
        if valid {
            let rest = tokens.into_iter().filter(|token| token.token != shown).collect();
            self.store.change(Change::Tokens(rest));
        }
        valid
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
            if let Some(old) = self.links.get_mut(&other) {
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
            self.renew_state(now, "another node shows the same state id");
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
        };
        let hello_name = hello.name.clone();
        link.hello = Some(hello);
        self.note_return(now, node);
        self.replace_predecessors(node, section.as_ref());
        self.remember_peer(now, node, known);
        if self.token.is_some() && self.links.get(&id).is_some_and(|link| link.session.dialled()) {
            // It was shown, and is valid once.
            self.token = None;
        }
        if let Some(name) = &section {
            self.note_dial_success(name, id);
        }
        let name = self.peer_label(id);
        self.log(Level::Notice, format!("peer {name}: connected ({hello_name})"));
        self.tell(Event {
            name: "owsync.peer",
            at: now.wall,
            text: format!("{name} connected"),
            details: Tree::map().with("peer", name).with("up", true),
        });
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
            let names: Vec<_> = self.store.state().shares.keys().cloned().collect();
            for name in names {
                self.forget_owed_to(&name, other);
            }
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
        let since = self.waiting.get(&node).map_or(now.wall, |known| known.since);
        self.waiting
            .insert(node, Waiting { name: hello.name.clone(), remote, public_key, trouble: trouble.clone(), since });
        if news && trouble != Trouble::Duplicate {
            self.log(Level::Warning, format!("{} ({remote}): {trouble}", hello.name));
            let details = Tree::map()
                .with("peer", hello.name.clone())
                .with("up", false)
                .with("waiting", true)
                .with("address", remote.to_string());
            self.tell(Event {
                name: "owsync.peer",
                at: now.wall,
                text: format!("{} waits to be accepted", hello.name),
                details,
            });
        }
    }

    pub(crate) fn is_skewed(&self, ms: i64) -> bool {
        let most = u64::try_from(self.settings.max_clock_skew.as_millis()).unwrap_or(u64::MAX);
        most > 0 && ms.unsigned_abs() > most
    }

    /// Every Index and keepalive carries the clock.
    pub(crate) fn check_clock(&mut self, now: Now, id: LinkId, wall: WallTime) {
        let skew = wall.since_ms(now.wall);
        if self.is_skewed(skew) {
            self.say_bye(now, id, Trouble::ClockSkew(skew));
        }
    }

    /// The peer broke the protocol: say so on both sides, and end the session.
    pub(crate) fn misbehaved(&mut self, now: Now, id: LinkId, how: String) {
        self.say_bye(now, id, Trouble::Misbehaved(how));
    }

    /// Ends a session from this side, saying why.
    pub(crate) fn say_bye(&mut self, now: Now, id: LinkId, trouble: Trouble) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.session.is_ended() {
            return;
        }
        let (code, number, text) = match &trouble {
            Trouble::ClockSkew(ms) => (ByeCode::ClockSkew, ms.saturating_neg(), String::new()),
            Trouble::Version { .. } => {
                (ByeCode::Version, i64::from(proto::VERSIONS.0) << 16 | i64::from(proto::VERSIONS.1), String::new())
            }
            Trouble::NotAcceptedHere => (ByeCode::NotAccepted, 0, String::new()),
            Trouble::IdentityRefusedHere => (ByeCode::IdentityRefused, 0, String::new()),
            Trouble::SameIdentity => (ByeCode::SameIdentity, 0, String::new()),
            Trouble::TwoMachines => (ByeCode::TwoMachines, 0, String::new()),
            Trouble::Misbehaved(how) => (ByeCode::Misbehaved, 0, how.chars().take(200).collect()),
            Trouble::TooManySessions => (ByeCode::Full, 0, String::new()),
            Trouble::DisabledHere => (ByeCode::Disabled, 0, String::new()),
            Trouble::Duplicate => (ByeCode::Duplicate, 0, String::new()),
            Trouble::Silent => (ByeCode::Silent, 0, String::new()),
            _ => (ByeCode::Leaving, 0, String::new()),
        };
        link.session.send(&Message::Bye(Bye { code, number, text }));
        link.session.end(trouble);
        self.pump(now, id);
    }

    /// A session is over.
    fn handle_ended(&mut self, now: Now, id: LinkId, trouble: Trouble) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if std::mem::replace(&mut link.over, true) {
            return;
        }
        let (section, dialled_for, node, remote) =
            (link.section.clone(), link.dialled_for.clone(), link.node, link.remote);
        let stood = now.mono.since(link.opened);
        let opened = link.session.dialled() || link.hello.is_some();
        self.outputs.push_back(Output::Close { link: id, linger: trouble == Trouble::Predecessor });
        self.drop_exchanges(now, id);
        self.stirred = true;
        if node.is_some() {
            let label = self.peer_label(id);
            if trouble != Trouble::Duplicate {
                self.log(Level::Notice, format!("peer {label}: disconnected: {trouble}"));
                let details = Tree::map()
                    .with("peer", label.clone())
                    .with("up", false)
                    .with("reason", trouble.code())
                    .with("message", trouble.to_string());
                self.tell(Event {
                    name: "owsync.peer",
                    at: now.wall,
                    text: format!("{label} disconnected: {trouble}"),
                    details,
                });
            }
        } else if dialled_for.is_none() {
            // A stranger: one line, and only a debug one for what is no owsync at all, like a port scan.
            let level = match trouble {
                Trouble::Closed | Trouble::Silent | Trouble::TooManySessions | Trouble::Duplicate => Level::Debug,
                Trouble::Misbehaved(_) if !opened => Level::Debug,
                _ => Level::Warning,
            };
            self.log(level, format!("{remote}: {trouble}"));
            self.note_trouble_at(now, remote, &trouble);
        }
        if let Some(name) = section.or(dialled_for) {
            self.note_link_end(now, &name, id, stood, trouble);
        }
    }

    /// A configured peer tried to connect and failed: its status should say why.
    fn note_trouble_at(&mut self, now: Now, remote: IpAddr, trouble: &Trouble) {
        if matches!(trouble, Trouble::Closed | Trouble::Silent | Trouble::Duplicate) {
            return;
        }
        let remote = remote.to_canonical();
        let literal = |peer: &&crate::model::settings::PeerSettings| {
            peer.address
                .as_ref()
                .and_then(|a| a.host.parse::<IpAddr>().ok())
                .is_some_and(|ip| ip.to_canonical() == remote)
        };
        if let Some(peer) = self.settings.peers.iter().find(literal) {
            if let Some(dial) = self.dials.get_mut(&peer.name).filter(|dial| dial.link.is_none()) {
                dial.trouble = Some((trouble.clone(), now.wall));
            }
        }
    }

    /// What people call the peer of a session.
    pub(crate) fn peer_label(&self, id: LinkId) -> String {
        let Some(link) = self.links.get(&id) else { return "?".into() };
        match (&link.section, &link.hello) {
            (Some(section), _) => section.to_string(),
            (None, Some(hello)) if !hello.name.is_empty() => hello.name.clone(),
            _ => link.node.map_or_else(|| link.remote.to_string(), |node| node.to_string()),
        }
    }

    /// What people call a node.
    pub(crate) fn node_label(&self, node: NodeId) -> String {
        match self.store.state().peers.get(&node) {
            Some(KnownPeer { section: Some(section), .. }) => section.clone(),
            Some(peer) if !peer.name.is_empty() => peer.name.clone(),
            _ => node.to_string(),
        }
    }

    /// Keepalives, silence, and answers that are late.
    pub(crate) fn time_links(&mut self, now: Now) {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            let Some(link) = self.links.get_mut(&id) else { continue };
            if link.over {
                continue;
            }
            link.session.handle_timeout(now.mono);
            let quiet = now.mono.since(link.last_heard);
            if !link.session.is_ended() {
                if link.is_admitted() {
                    let probed = link.probe.is_some_and(|at| now.mono >= at);
                    let stalled = !link.requests.is_empty() && quiet >= limits::TRANSFER_STALL;
                    if quiet >= limits::SILENCE || probed || stalled {
                        self.say_bye(now, id, Trouble::Silent);
                        continue;
                    }
                    if link.session.dialled()
                        && now.mono.since(link.last_sent.max(link.last_heard)) >= limits::KEEPALIVE
                    {
                        // Also when the state cannot be written now and nothing may be said.
                        link.last_sent = now.mono;
                        link.say(Message::Ping(now.wall));
                    }
                    for exchange in link.exchanges.values_mut() {
                        if exchange.unanswered.is_some_and(|at| now.mono.since(at) >= limits::ANSWER_TIME) {
                            exchange.unanswered = None;
                            exchange.late = true;
                            self.stirred = true;
                        }
                    }
                } else if link.connected && now.mono.since(link.opened) >= limits::HANDSHAKE_TIME {
                    link.session.end(Trouble::Silent);
                } else if !link.connected && now.mono.since(link.opened) >= limits::DIAL_TIME {
                    link.session.end(Trouble::Unreachable("connection timed out".into()));
                }
            }
            self.pump(now, id);
        }
    }
}

/// What the other side's reason means here.
fn trouble_of(bye: Bye) -> Trouble {
    match bye.code {
        ByeCode::ClockSkew => Trouble::ClockSkew(bye.number),
        ByeCode::Version => Trouble::Version { min: (bye.number >> 16) as u16, max: bye.number as u16 },
        ByeCode::NotAccepted => Trouble::NotAcceptedThere,
        ByeCode::IdentityRefused => Trouble::IdentityRefusedThere,
        ByeCode::SameIdentity => Trouble::SameIdentity,
        ByeCode::TwoMachines => Trouble::TwoMachines,
        ByeCode::Misbehaved => Trouble::Accuses(bye.text),
        ByeCode::Full => Trouble::TooManySessions,
        ByeCode::Disabled => Trouble::DisabledThere,
        ByeCode::Leaving => Trouble::Leaving,
        ByeCode::Duplicate => Trouble::Duplicate,
        ByeCode::Silent => Trouble::Silent,
        ByeCode::Unknown(_) => Trouble::Other(bye.text),
    }
}
