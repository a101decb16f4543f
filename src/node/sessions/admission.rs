//! Decides who may connect and who is accepted, and begins to exchange with them.

use crate::fs::Fs;
use crate::model::reason::{JoinText, Trouble};
use crate::model::settings::Accept;
use crate::model::{NodeId, Now, PeerName, limits};
use crate::node::api::{Event, Level, Tree};
use crate::node::peers::link::Link;
use crate::node::peers::mesh;
use crate::node::{LinkId, Node};
use crate::proto::frame::Alert;
use crate::proto::message::{Hello, Message, Patterns, ShareHello};
use crate::proto::{self};
use crate::store::state::KnownPeer;
use std::net::IpAddr;

impl<F: Fs> Node<F> {
    /// Somebody connected: whether there is room for a stranger, and in plain mode whether its address is known.
    pub(crate) fn check_connection(&mut self, now: Now, id: LinkId) {
        let Some(remote) = self.peers.links.get(&id).map(|link| link.remote) else { return };
        let configured = self.peers.is_configured_address(&self.cx, remote);
        if !self.cx.identity.mode.is_encrypted() && !configured && !self.cx.settings.plain_from_anywhere {
            self.refuse(now, id, Alert::NotConfigured, Trouble::NotConfiguredHere);
            return;
        }
        let strangers = |link: &Link<F::Root>| link.is_stranger() && link.dialled_for.is_none();
        let from_there = self.peers.links.values().filter(|link| strangers(link) && link.remote == remote).count();
        if from_there > limits::STRANGERS_PER_ADDRESS {
            // The oldest of the same address goes, so that one machine behind it is not locked out by another's debris.
            self.drop_oldest_stranger(now, id, |link| link.remote == remote);
        }
        if self.peers.links.values().filter(|link| strangers(link)).count() > limits::STRANGERS_MAX {
            let addresses: Vec<IpAddr> = self
                .peers
                .links
                .values()
                .map(|link| link.remote)
                .filter(|remote| self.peers.is_configured_address(&self.cx, *remote))
                .collect();
            // Configured peers are never dropped for strangers.
            if !self.drop_oldest_stranger(now, id, |link| !addresses.contains(&link.remote)) && !configured {
                self.refuse(now, id, Alert::Full, Trouble::TooManySessions);
                return;
            }
        }
        // Whoever holds the key is turned away by name, after its Hello.
        let most = self.cx.settings.max_sessions + limits::STRANGERS_MAX;
        if self.peers.links.values().filter(|link| !link.over).count() > most && !configured {
            self.refuse(now, id, Alert::Full, Trouble::TooManySessions);
        }
    }

    fn drop_oldest_stranger(&mut self, now: Now, except: LinkId, which: impl Fn(&Link<F::Root>) -> bool) -> bool {
        let oldest = self
            .peers
            .links
            .iter()
            .filter(|(id, link)| **id != except && link.is_stranger() && link.dialled_for.is_none() && which(link))
            .min_by_key(|(_, link)| link.opened)
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            if let Some(link) = self.peers.links.get_mut(&id) {
                link.session.end(Trouble::TooManySessions);
            }
            self.pump(now, id);
        }
        oldest.is_some()
    }

    fn refuse(&mut self, now: Now, id: LinkId, alert: Alert, trouble: Trouble) {
        if let Some(link) = self.peers.links.get_mut(&id) {
            link.session.refuse(alert, trouble);
        }
        self.pump(now, id);
    }

    /// The handshake is over: say who we are, unless there is a session with that node already.
    pub(crate) fn handle_open(&mut self, now: Now, id: LinkId, public_key: Option<[u8; 32]>) {
        let Some(link) = self.peers.links.get_mut(&id) else { return };
        link.public_key = public_key;
        link.opened = now.mono;
        let dialled_for = link.dialled_for.clone();
        let node = public_key.and_then(mesh::node_of);
        if let Some(dial) = dialled_for.as_ref().and_then(|name| self.peers.dials.get_mut(name)) {
            if node.is_some() {
                dial.node = node;
            } else if dial
                .node
                .is_some_and(|node| self.peers.links.values().any(|link| link.is_admitted() && link.node == Some(node)))
            {
                // Without keys only its Hello tells whether it is that node again.
                if let Some(link) = self.peers.links.get_mut(&id) {
                    link.hello_waits = true;
                }
                return;
            }
        }
        if dialled_for.is_some() && node.is_some_and(|node| self.peers.has_dialled(&self.cx, id, node)) {
            self.disconnect(now, id, Trouble::Duplicate);
            return;
        }
        self.send_hello(now, id);
    }

    /// Says who we are.
    pub(crate) fn send_hello(&mut self, now: Now, id: LinkId) {
        let public_key = self.peers.links.get(&id).and_then(|link| link.public_key);
        let settled = now.mono >= self.cx.settled_at;
        let me = &self.cx.store.state().me;
        let mut room = limits::PATTERNS_TOLD;
        let shares = self
            .shares
            .values()
            .filter(|share| !share.is_leaving())
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
                    seq: share.outgoing.top,
                    direction: share.settings.direction,
                    filter,
                    patterns: Some(patterns).filter(|_| fits),
                    held: self.cx.stop_text(name),
                    release_guard: share.settings.guards_release(),
                }
            })
            .collect();
        let hello = Hello {
            versions: proto::VERSIONS,
            name: self.cx.settings.name.clone(),
            wall: now.wall,
            settled,
            rank: me.rank,
            state: me.state,
            asks: self.cx.settings.first_sync == crate::model::settings::FirstSync::Ask,
            token: self.peers.token.filter(|_| self.peers.is_reference(&self.cx, id, public_key.as_ref())),
            shares,
            node: self.cx.identity.id,
            program: env!("CARGO_PKG_VERSION").into(),
            release: self.cx.settings.release.clone(),
            instance: self.peers.instance,
            // Only a reference uses them, and in plain mode there is none.
            addresses: if public_key.is_some() {
                self.cx.settings.reachable.iter().take(limits::ADDRESSES_TOLD).copied().collect()
            } else {
                Vec::new()
            },
        };
        if let Some(link) = self.peers.links.get_mut(&id) {
            link.hello_waits = false;
            link.token_shown = hello.token.is_some();
            link.told_held =
                hello.shares.iter().filter(|share| share.held.is_some()).map(|share| share.name.clone()).collect();
            link.session.send(&Message::Hello(hello));
        }
    }

    /// The peer says who it is: may it enter?
    pub(crate) fn handle_hello(&mut self, now: Now, id: LinkId, hello: Hello) {
        let Some(link) = self.peers.links.get(&id) else { return };
        let (remote, public_key, waits) = (link.remote, link.public_key, link.hello_waits);
        let dialled_for = link.dialled_for.clone();
        let node = self.cx.node_of(public_key, &hello);
        if let Some(dial) = dialled_for.as_ref().and_then(|name| self.peers.dials.get_mut(name)) {
            dial.node = Some(node);
        }
        if waits {
            if self.peers.has_dialled(&self.cx, id, node) {
                self.disconnect(now, id, Trouble::Duplicate);
                return;
            }
            self.send_hello(now, id);
        }
        match self.admit(now, id, node, &hello) {
            Ok(section) => self.accept_session(now, id, node, hello, section),
            Err(trouble) => {
                if matches!(
                    trouble,
                    Trouble::NotAcceptedHere(_) | Trouble::IdentityRefusedHere | Trouble::TooManySessions
                ) {
                    self.peers.note_waiting(&mut self.cx, node, &hello, remote, public_key, trouble.clone());
                }
                self.disconnect(now, id, trouble);
            }
        }
    }

    /// Whether the peer may enter, and to which section it belongs.
    fn admit(&mut self, now: Now, id: LinkId, node: NodeId, hello: &Hello) -> Result<Option<PeerName>, Trouble> {
        let Some(link) = self.peers.links.get(&id) else { return Err(Trouble::Closed) };
        if node == self.cx.identity.id {
            // A copy of this node was started by itself.
            let own = hello.instance == self.peers.instance;
            return Err(if own { Trouble::ThisNode } else { Trouble::SameIdentity });
        }
        let (min, max) = hello.versions;
        if max < proto::VERSIONS.0 || min > proto::VERSIONS.1 {
            return Err(Trouble::Version { min, max });
        }
        let skew = hello.wall.since_ms(now.wall);
        if self.cx.is_skewed(skew) {
            return Err(Trouble::ClockSkew(skew));
        }
        let section = self.cx.section_of(link, node);
        let public_key = link.public_key;
        let shown = if public_key.is_some() { self.cx.use_token(hello) } else { Err(JoinText::None) };
        let invited = shown.is_ok();
        if let Some(link) = self.peers.links.get_mut(&id) {
            link.invited = invited;
        }
        if self.cx.is_forgotten(node) {
            shown.map_err(Trouble::NotAcceptedHere)?;
        }
        if let Some(name) = &section {
            let Some(peer) = self.cx.peer_settings(name) else {
                return Err(Trouble::DisabledHere);
            };
            if !peer.enabled {
                return Err(Trouble::DisabledHere);
            }
            if let Some(pause) = self.cx.pause_of_peer(name) {
                return Err(Trouble::PausedHere(pause.to_string()));
            }
            let pinned_to_other = peer.public_key.is_some() && peer.public_key != public_key;
            // `accept key` remembers who was met, but insists only on what was configured.
            let known_other = self.cx.settings.accept == Accept::Known
                && public_key.is_some()
                && peer.public_key.is_none()
                && self.cx.store.state().peers.iter().any(|(other, known)| {
                    // In plain mode it showed no identity that could be insisted on.
                    let shown = known.public_key.is_some();
                    *other != node && shown && known.accepted && known.section.as_deref() == Some(&name.0)
                });
            if pinned_to_other && self.cx.is_introduced(name) {
                // An address that was told leads elsewhere from here: nothing that a user should look into.
                return Err(Trouble::Unreachable("a different node responds at this address".into()));
            }
            if (pinned_to_other && public_key.is_some()) || known_other {
                return Err(Trouble::IdentityRefusedHere);
            }
        } else if let Some(pause) = self.cx.pause_of_node(node) {
            return Err(Trouble::PausedHere(pause.to_string()));
        } else if self.cx.settings.accept == Accept::Known && public_key.is_some() {
            let known = self.cx.store.state().peers.get(&node).is_some_and(|known| known.accepted);
            if !known {
                shown.map_err(Trouble::NotAcceptedHere)?;
            }
        }
        if let Some(other) = self.peers.other_link_of(id, node) {
            self.settle_duplicate(now, id, other, node, hello)?;
        } else if section.is_none()
            && self.peers.links.values().filter(|link| link.is_admitted()).count() >= self.cx.settings.max_sessions
        {
            return Err(Trouble::TooManySessions);
        }
        Ok(section)
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
        let opener = |dialled: bool| if dialled { self.cx.identity.id } else { node };
        let (Some(link), Some(old)) = (self.peers.links.get(&id), self.peers.links.get(&other)) else { return Ok(()) };
        let (new_opener, old_opener) = (opener(link.session.dialled()), opener(old.session.dialled()));
        if old.hello.as_ref().is_some_and(|known| known.state != hello.state) {
            // Another life of its database. If the old session still answers, these are two machines with one identity;
            // if it does not, the peer has restarted, and is let in when it tries again.
            if old.probed.is_some_and(|at| now.mono.since(at) < limits::PROBE_COUNTS) {
                return Err(Trouble::TwoMachines);
            }
            // Asked once: a newcomer that comes again and again does not put the answer off.
            if let Some(old) = self.peers.links.get_mut(&other).filter(|old| old.probe.is_none()) {
                old.questions += 1;
                old.say(Message::Ping(now.wall));
                old.probe = Some(now.mono.plus(limits::PROBE_TIME));
            }
            return Err(Trouble::Duplicate);
        }
        if new_opener != old_opener && old_opener == self.cx.identity.id.min(node) {
            return Err(Trouble::Duplicate);
        }
        // The new one was opened by the smaller id; or both by the same side, and then the older one is debris.
        self.disconnect(now, other, Trouble::Duplicate);
        Ok(())
    }

    /// The peer may enter: begin to exchange.
    fn accept_session(&mut self, now: Now, id: LinkId, node: NodeId, hello: Hello, section: Option<PeerName>) {
        self.peers.waiting.remove(&node);
        let me = self.cx.store.state().me.state;
        if hello.state == me {
            // Somebody copied a database: both of us go on under ids of our own.
            self.renew_for(now, id, "another node shows the same state id");
            return;
        }
        let Some(link) = self.peers.links.get_mut(&id) else { return };
        link.node = Some(node);
        link.section = section.clone();
        let known = KnownPeer {
            public_key: link.public_key,
            name: hello.name.clone(),
            section: section.as_ref().map(|name| name.0.to_string()),
            accepted: true,
            met: now.wall,
            mesh: self.peers.mesh_of(&self.cx, id, node, &hello),
        };
        if known.mesh.joined {
            self.cx.recall(node);
        }
        let hello_name = hello.name.clone();
        if section.is_none() {
            self.cx.guests.insert(id, (node, hello_name.clone()));
        }
        if let Some(link) = self.peers.links.get_mut(&id) {
            link.hello = Some(hello);
        }
        self.peers.mesh_stirred = true;
        self.cx.note_return(node);
        self.peers.replace_predecessors(&mut self.cx, node, section.as_ref());
        self.cx.remember_peer(node, known);
        if let Some(name) = &section {
            self.peers.note_dial_success(name, id);
        }
        let name = self.peers.peer_label(&self.cx, id);
        if self.cx.log_of_peer(now, node, Level::Notice, format!("peer {name}: connected ({hello_name})")) {
            self.cx.tell(Event {
                name: "owsync.peer",
                at: now.wall,
                text: format!("{name} connected"),
                details: Tree::map().with("peer", name).with("up", true),
            });
        }
        self.cx.clock.confirm(now);
        self.begin_exchanges(id);
    }
}
