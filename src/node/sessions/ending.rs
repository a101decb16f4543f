//! Ends sessions: with a reason that is sent, because of silence, or because the other side is gone.

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{Monotonic, Now, WallTime, limits};
use crate::node::api::{Event, Level, Tree};
use crate::node::peers::disconnect::{JOIN_TEXTS, Offence};
use crate::node::{LinkId, Node, Output};
use crate::proto::message::{Bye, ByeCode, Message};
use crate::proto::{self};

impl<F: Fs> Node<F> {
    /// Every Index and keepalive carries the clock.
    pub(crate) fn check_clock(&mut self, now: Now, id: LinkId, wall: WallTime) {
        let skew = wall.since_ms(now.wall);
        if self.cx.is_skewed(skew) {
            self.disconnect(now, id, Trouble::ClockSkew(skew));
        }
    }

    /// The peer broke the protocol: say so on both sides, and end the session.
    pub(crate) fn misbehaved(&mut self, now: Now, id: LinkId, how: String) {
        self.disconnect(now, id, Trouble::Misbehaved(how));
    }

    /// Answers what a peer did that it may not, or cannot have done to this database.
    pub(crate) fn answer_offence(&mut self, now: Now, id: LinkId, result: Result<(), Offence>) {
        match result {
            Ok(()) => {}
            Err(Offence::Misbehaved(how)) => self.misbehaved(now, id, how),
            Err(Offence::KnowsMore(why)) => self.renew_for(now, id, why),
        }
    }

    /// Ends a session from this side, saying why.
    pub(crate) fn disconnect(&mut self, now: Now, id: LinkId, trouble: Trouble) {
        let Some(link) = self.peers.links.get_mut(&id) else { return };
        if link.session.is_ended() {
            return;
        }
        let (code, number, text) = match &trouble {
            Trouble::ClockSkew(ms) => (ByeCode::ClockSkew, ms.saturating_neg(), String::new()),
            Trouble::Version { .. } => {
                (ByeCode::Version, i64::from(proto::VERSIONS.0) << 16 | i64::from(proto::VERSIONS.1), String::new())
            }
            Trouble::NotAcceptedHere(text) => {
                let number = JOIN_TEXTS.iter().find(|(known, _)| known == text).map_or(0, |(_, number)| *number);
                (ByeCode::NotAccepted, number, String::new())
            }
            Trouble::IdentityRefusedHere => (ByeCode::IdentityRefused, 0, String::new()),
            Trouble::SameIdentity => (ByeCode::SameIdentity, 0, String::new()),
            Trouble::TwoMachines => (ByeCode::TwoMachines, 0, String::new()),
            Trouble::Misbehaved(how) => (ByeCode::Misbehaved, 0, how.chars().take(200).collect()),
            Trouble::TooManySessions => (ByeCode::Full, 0, String::new()),
            Trouble::DisabledHere => (ByeCode::Disabled, 0, String::new()),
            Trouble::Duplicate => (ByeCode::Duplicate, 0, String::new()),
            Trouble::Silent => (ByeCode::Silent, 0, String::new()),
            Trouble::PausedHere(text) => (ByeCode::Paused, 0, text.clone()),
            _ => (ByeCode::Leaving, 0, String::new()),
        };
        link.session.send(&Message::Bye(Bye { code, number, text }));
        link.session.end(trouble);
        self.pump(now, id);
    }

    /// A session is over.
    pub(crate) fn handle_ended(&mut self, now: Now, id: LinkId, trouble: Trouble) {
        let Some(link) = self.peers.links.get_mut(&id) else { return };
        if std::mem::replace(&mut link.over, true) {
            return;
        }
        let (section, dialled_for, node, remote) =
            (link.section.clone(), link.dialled_for.clone(), link.node, link.remote);
        let stood = now.mono.since(link.opened);
        let opened = link.session.dialled() || link.hello.is_some();
        self.cx.guests.remove(&id);
        self.cx.outputs.push_back(Output::Close { link: id, linger: trouble == Trouble::Predecessor });
        self.drop_exchanges(now, id);
        self.cx.stirred = true;
        if let Some(node) = node {
            let label = self.peers.peer_label(&self.cx, id);
            if trouble != Trouble::Duplicate {
                let said =
                    self.cx.log_of_peer(now, node, Level::Notice, format!("peer {label}: disconnected: {trouble}"));
                let details = Tree::map()
                    .with("peer", label.clone())
                    .with("up", false)
                    .with("reason", trouble.code())
                    .with("message", trouble.to_string());
                if said {
                    self.cx.tell(Event {
                        name: "owsync.peer",
                        at: now.wall,
                        text: format!("{label} disconnected: {trouble}"),
                        details,
                    });
                }
            }
        } else if dialled_for.is_none() {
            // A stranger: one line, and only a debug one for what is no owsync at all, like a port scan.
            let level = match trouble {
                Trouble::Closed | Trouble::Silent | Trouble::TooManySessions | Trouble::Duplicate => Level::Debug,
                // The one that was turned away says what to do.
                Trouble::NotConfiguredHere => Level::Debug,
                // A person did that, and knows.
                Trouble::PausedHere(_) => Level::Debug,
                // The same session's other end says so.
                Trouble::ThisNode => Level::Debug,
                Trouble::Misbehaved(_) if !opened => Level::Debug,
                _ => Level::Warning,
            };
            self.cx.log_of_stranger(now, level, format!("{remote}: {trouble}"));
            self.peers.note_trouble_at(&mut self.cx, remote, &trouble);
        }
        let replaced = trouble == Trouble::Duplicate;
        if let Some(node) = node.filter(|_| section.is_some()) {
            self.peers.retire(&mut self.cx, node);
        }
        let name = section.or(dialled_for);
        if let Some(name) = &name {
            self.peers.note_link_end(&mut self.cx, name, id, stood, trouble);
        }
        let node = node.filter(|_| !replaced);
        self.peers.note_aliases_end(&mut self.cx, id, node, name.as_ref());
    }

    /// Keepalives, silence, and answers that are late.
    pub(crate) fn time_links(&mut self, now: Now) {
        let ids: Vec<LinkId> = self.peers.links.keys().copied().collect();
        for id in ids {
            let Some(link) = self.peers.links.get_mut(&id) else { continue };
            if link.over {
                continue;
            }
            link.session.handle_timeout(now.mono);
            if !link.session.is_ended() {
                if link.is_admitted() {
                    if now.mono >= link.silent_at() {
                        self.disconnect(now, id, Trouble::Silent);
                        continue;
                    }
                    if now.mono >= link.ping_due() {
                        // Also when the state cannot be written now and nothing may be said.
                        link.pinged = Some(now.mono);
                        link.questions += 1;
                        link.say(Message::Ping(now.wall));
                    }
                    if now.mono >= link.around_due {
                        // The end of this input tells it, or says when; after the database can be written, if it cannot.
                        link.around_due = Monotonic::NEVER;
                    }
                    for exchange in link.exchanges.values_mut() {
                        if exchange.unanswered.is_some_and(|at| now.mono.since(at) >= limits::ANSWER_TIME) {
                            exchange.unanswered = None;
                            exchange.late = true;
                            self.cx.stirred = true;
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
