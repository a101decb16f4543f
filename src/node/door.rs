//! The door: who may connect, and what sessions have to say before and after somebody is let in.

use std::net::IpAddr;

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{NodeId, Now, limits};
use crate::node::api::Level;
use crate::node::link::Link;
use crate::node::{LinkId, Node, mesh};
use crate::proto::frame::Alert;
use crate::proto::message::{Hello, Message, Patterns, ShareHello};
use crate::proto::{self, Event as SessionEvent};

impl<F: Fs> Node<F> {
    /// Somebody connected: whether there is room for a stranger, and in plain mode whether its address is known.
    pub(crate) fn check_at_door(&mut self, now: Now, id: LinkId) {
        let Some(remote) = self.links.get(&id).map(|link| link.remote) else { return };
        let configured = self.is_configured_address(remote);
        if !self.identity.mode.is_encrypted() && !configured && !self.settings.plain_from_anywhere {
            self.refuse(now, id, Alert::NotConfigured, Trouble::NotConfiguredHere);
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
        // Whoever holds the key is turned away by name, after its Hello.
        let most = self.settings.max_sessions + limits::STRANGERS_MAX;
        if self.links.values().filter(|link| !link.over).count() > most && !configured {
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
        let literal =
            |address: &crate::model::settings::Address| address.ip().is_some_and(|ip| ip.to_canonical() == remote);
        self.settings.peers.iter().any(|peer| peer.enabled && peer.address.as_ref().is_some_and(literal))
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

    /// Whether this session leads to the node that a join text named: whoever else has the key must not see its token.
    fn is_reference(&self, id: LinkId, public_key: Option<&[u8; 32]>) -> bool {
        let section = self.links.get(&id).and_then(|link| link.dialled_for.as_ref());
        let peer = section.and_then(|name| self.settings.peers.iter().find(|peer| peer.name == *name));
        peer.is_some_and(|peer| peer.public_key.is_none() || peer.public_key.as_ref() == public_key)
    }

    /// The handshake is over: say who we are, unless there is a session with that node already.
    fn handle_open(&mut self, now: Now, id: LinkId, public_key: Option<[u8; 32]>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.public_key = public_key;
        link.opened = now.mono;
        let dialled_for = link.dialled_for.clone();
        let node = public_key.and_then(mesh::node_of);
        if let Some(dial) = dialled_for.as_ref().and_then(|name| self.dials.get_mut(name)) {
            if node.is_some() {
                dial.node = node;
            } else if dial
                .node
                .is_some_and(|node| self.links.values().any(|link| link.is_admitted() && link.node == Some(node)))
            {
                // Without keys only its Hello tells whether it is that node again.
                if let Some(link) = self.links.get_mut(&id) {
                    link.hello_waits = true;
                }
                return;
            }
        }
        if dialled_for.is_some() && node.is_some_and(|node| self.has_dialled(id, node)) {
            self.say_bye(now, id, Trouble::Duplicate);
            return;
        }
        self.say_hello(now, id);
    }

    /// Whether this side has opened another session with a node.
    pub(crate) fn has_dialled(&self, id: LinkId, node: NodeId) -> bool {
        let same = |link: &Link<F::Root>| {
            link.node == Some(node) || link.public_key.and_then(mesh::node_of).is_some_and(|other| other == node)
        };
        node != self.identity.id
            && self.links.iter().any(|(other, link)| {
                *other != id && !link.over && link.dialled_for.is_some() && link.connected && same(link)
            })
    }

    /// Says who we are.
    pub(crate) fn say_hello(&mut self, now: Now, id: LinkId) {
        let public_key = self.links.get(&id).and_then(|link| link.public_key);
        let settled = now.mono >= self.settled_at;
        let me = &self.store.state().me;
        let mut room = limits::PATTERNS_TOLD;
        let shares = self
            .shares
            .values()
            .filter(|share| !share.leaving)
            .map(|share| {
                let settings = &share.settings;
                let patterns = Patterns { include: settings.include.clone(), exclude: settings.exclude.clone() };
                let fits = patterns.size() <= room;
                room = if fits { room - patterns.size() } else { room };
                let name = &share.settings.name;
                let mut filter = [0; 8];
                filter.copy_from_slice(&share.rules_digest().0[..8]);
                ShareHello {
                    name: name.clone(),
                    seq: share.top,
                    direction: share.settings.direction,
                    filter,
                    patterns: Some(patterns).filter(|_| fits),
                    held: self.stop_text(name),
                    release_guard: share.settings.guards_release(),
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
            token: self.token.filter(|_| self.is_reference(id, public_key.as_ref())),
            shares,
            node: self.identity.id,
            program: env!("CARGO_PKG_VERSION").into(),
            release: self.settings.release.clone(),
            instance: self.instance,
            // Only a reference uses them, and in plain mode there is none.
            addresses: if public_key.is_some() {
                self.settings.reachable.iter().take(limits::ADDRESSES_TOLD).copied().collect()
            } else {
                Vec::new()
            },
        };
        if let Some(link) = self.links.get_mut(&id) {
            link.hello_waits = false;
            link.token_shown = hello.token.is_some();
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
        let accepted = link.node.is_some() && !matches!(message, Message::Bye(_) | Message::Unknown(_));
        if accepted && std::mem::take(&mut link.token_shown) {
            // Whoever goes on after our Hello has let us in: the token was used, and is valid once.
            self.token = None;
        }
        match (message, link.node.is_some()) {
            (Message::Hello(_), true) => self.misbehaved(now, id, "a second Hello".into()),
            (Message::Hello(hello), false) => self.handle_hello(now, id, hello),
            (Message::Bye(bye), _) => {
                let trouble = crate::node::farewell::trouble_of(bye);
                link.session.end(trouble);
            }
            (Message::Unknown(number), _) => self.log(
                Level::Debug,
                format!("a message of type {number}, which this version does not know, was skipped"),
            ),
            (_, false) => self.misbehaved(now, id, "a message before Hello".into()),
            (Message::Want { share, state, since, round }, true) => {
                self.handle_want(now, id, &share, state, since, round);
            }
            (Message::Index(part), true) => self.handle_index(now, id, part),
            (Message::Request { share, pieces }, true) => self.handle_request(now, id, &share, pieces),
            (Message::Data(chunks), true) => self.handle_data(now, id, chunks),
            (Message::Unavailable { id: request, reason }, true) => self.handle_unavailable(now, id, request, reason),
            (Message::Progress(progress), true) => self.handle_progress(now, id, progress),
            (Message::Ask { id: number, share, paths }, true) => self.handle_ask(id, number, &share, paths),
            (Message::Tell { id: number, last, entries }, true) => self.handle_tell(now, id, number, last, entries),
            (Message::Around(nodes), true) => self.handle_around(id, nodes),
            (Message::Ping(wall), true) => {
                link.say(Message::Pong(now.wall));
                self.check_clock(now, id, wall);
            }
            (Message::Pong(wall), true) => {
                link.answers += 1;
                self.check_clock(now, id, wall);
            }
            (Message::Introduce(introduction), true) => self.handle_introduction(now, id, introduction),
            (Message::ShareNews { share, held }, true) => {
                if let Some(exchange) = link.exchanges.get_mut(&share) {
                    exchange.theirs.held = held;
                    self.stirred = true;
                }
            }
        }
    }
}
