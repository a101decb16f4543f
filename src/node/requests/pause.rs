//! Pauses a peer, a share, or everything; with a reason, and until when.
//!
//! It is written down, so that a restart does not switch on again what somebody switched off, and ends by the wall clock.

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{Monotonic, Now, PeerName, ShareName, escape, limits};
use crate::node::api::{Fault, Level, Reply, Tree};
use crate::node::peers::names::Who;
use crate::node::{LinkId, Node};
use crate::proto::message::Message;
use crate::store::state::{Change, Pause, Paused};

/// What a person asks to switch off, or on again.
pub(crate) struct Wish {
    pub peer: Option<PeerName>,
    pub share: Option<ShareName>,
}

impl<F: Fs> Node<F> {
    /// Switches off what is meant.
    pub(crate) fn pause(&mut self, now: Now, wish: &Wish, reason: Option<String>, seconds: Option<u64>) -> Reply {
        let subjects = match self.subjects(wish) {
            Ok(subjects) => subjects,
            Err(reply) => return reply,
        };
        let reason = escape::escape(reason.unwrap_or_default().as_bytes());
        if reason.len() > limits::PAUSE_REASON {
            let most = limits::PAUSE_REASON;
            return Reply::failed(Fault::Argument, format!("the reason is longer than {most} characters"));
        }
        let seconds = seconds.filter(|&seconds| seconds > 0).map(|seconds| seconds.min(limits::PAUSE_MAX.as_secs()));
        let until = seconds.map(|seconds| now.wall.plus_ms(i64::try_from(seconds * 1000).unwrap_or(i64::MAX)));
        let mut pauses = self.cx.store.state().pauses.clone();
        pauses.retain(|pause| !subjects.contains(&pause.of));
        for of in subjects {
            pauses.push(Pause { of: of.clone(), since: now.wall, until, reason: reason.clone() });
        }
        self.cx.store.change(Change::Pauses(pauses));
        self.take_up_pauses(now);
        let tree = Tree::map().with("paused", true).with_some("until", until);
        Reply::Done(tree)
    }

    /// Switches on again what is meant.
    pub(crate) fn resume(&mut self, now: Now, wish: &Wish) -> Reply {
        let subjects = match self.subjects(wish) {
            Ok(subjects) => subjects,
            Err(reply) => return reply,
        };
        self.end_pauses(now, |pause| subjects.contains(&pause.of));
        Reply::Done(Tree::map().with("paused", false))
    }

    /// Ends the pauses whose time is over.
    pub(crate) fn time_pauses(&mut self, now: Now) {
        if self.next_resume <= now.mono {
            self.end_pauses(now, |pause| pause.until.is_some_and(|until| until <= now.wall));
        }
    }

    fn end_pauses(&mut self, now: Now, which: impl Fn(&Pause) -> bool) {
        let mut pauses = self.cx.store.state().pauses.clone();
        let before = pauses.len();
        pauses.retain(|pause| !which(pause));
        if pauses.len() != before {
            self.cx.store.change(Change::Pauses(pauses));
        }
        self.take_up_pauses(now);
    }

    /// Everything that a wish means: what it names, or all there is.
    fn subjects(&self, wish: &Wish) -> Result<Vec<Paused>, Reply> {
        if let Some(name) = wish.share.as_ref().filter(|name| !self.shares.contains_key(name)) {
            return Err(Reply::failed(Fault::NotFound, format!("there is no share {name}")));
        }
        let meant = match &wish.peer {
            None => None,
            Some(text) => Some(self.who(&text.0)?),
        };
        let named = match &meant {
            Some(Who { section: Some(section), .. }) if !self.peers.dials.contains_key(section) => {
                return Err(Reply::failed(Fault::State, format!("{section} is disabled in the configuration")));
            }
            Some(Who { section: None, node: Some(node), .. }) => Some(Paused::Peer(node.to_hex())),
            _ => None,
        };
        let section = meant.as_ref().and_then(|who| who.section.as_ref());
        let peers = self.peers.dials.keys().filter(|name| match (&meant, &wish.share) {
            (Some(_), _) => section == Some(*name),
            (None, share) => share.is_none(),
        });
        let shares = self.shares.keys().filter(|name| match (&wish.share, &wish.peer) {
            (Some(only), _) => only == *name,
            (None, peer) => peer.is_none(),
        });
        let peers = peers.map(|name| Paused::Peer(name.0.to_string()));
        Ok(named.into_iter().chain(peers).chain(shares.map(|name| Paused::Share(name.clone()))).collect())
    }

    /// Brings peers and shares in line with what is switched off.
    pub(crate) fn take_up_pauses(&mut self, now: Now) {
        let until = self.cx.store.state().pauses.iter().filter_map(|pause| pause.until).min();
        self.next_resume = until.map_or(Monotonic::NEVER, |until| {
            let left = u64::try_from(until.since_ms(now.wall)).unwrap_or(0);
            now.mono.plus(std::time::Duration::from_millis(left))
        });
        let peers: Vec<(PeerName, bool)> =
            self.peers.dials.keys().map(|name| (name.clone(), self.cx.pause_of_peer(name).is_some())).collect();
        for (name, paused) in peers {
            let Some(dial) = self.peers.dials.get_mut(&name) else { continue };
            if std::mem::replace(&mut dial.paused, paused) == paused {
                continue;
            }
            dial.at = now.mono;
            let text = self.cx.pause_of_peer(&name).map_or_else(|| "resumed".to_string(), Pause::to_string);
            let links: Vec<LinkId> = self
                .peers
                .links
                .iter()
                .filter(|(_, link)| paused && link.is_admitted() && link.section.as_ref() == Some(&name))
                .map(|(id, _)| *id)
                .collect();
            for id in links {
                self.disconnect(now, id, Trouble::PausedHere(text.clone()));
            }
            self.cx.log(Level::Notice, format!("peer {name}: {text}"));
        }
        let dialled_in = self.peers.links.iter().filter(|(_, link)| link.is_admitted() && link.section.is_none());
        let paused: Vec<(LinkId, String)> =
            dialled_in.filter_map(|(id, link)| Some((*id, self.cx.pause_of_node(link.node?)?.to_string()))).collect();
        for (id, text) in paused {
            self.cx.log(Level::Notice, format!("peer {}: {text}", self.peers.peer_label(&self.cx, id)));
            self.disconnect(now, id, Trouble::PausedHere(text));
        }
        let shares: Vec<(ShareName, bool)> =
            self.shares.keys().map(|name| (name.clone(), self.cx.pause_of_share(name).is_some())).collect();
        for (name, paused) in shares {
            self.pause_share(&name, paused);
        }
        self.cx.stirred = true;
    }

    fn pause_share(&mut self, name: &ShareName, paused: bool) {
        let Some(share) = self.shares.get_mut(name) else { return };
        if std::mem::replace(&mut share.paused, paused) == paused {
            return;
        }
        let ready = share.is_ready();
        let stopped = self.cx.stop_text(name);
        if paused {
            if let Some(share) = self.shares.get_mut(name) {
                share.drop_batches(|_| true);
            }
        }
        let links: Vec<LinkId> =
            self.peers.links.iter().filter(|(_, link)| link.exchanges.contains_key(name)).map(|(id, _)| *id).collect();
        for id in links {
            if let Some(link) = self.peers.links.get_mut(&id) {
                link.say(Message::ShareNews { share: name.clone(), held: stopped.clone() });
            }
            if paused {
                if let Some(exchange) = self.peers.links.get_mut(&id).and_then(|link| link.exchanges.get_mut(name)) {
                    exchange.listening = false;
                    exchange.forget_received();
                }
            } else if ready && self.cx.hold_of(name).is_none() {
                if let Some(share) = self.shares.get_mut(name) {
                    share.listen(&mut self.cx, &mut self.peers, id);
                }
            }
        }
        let text = self.cx.pause_of_share(name).map_or_else(|| "resumed".to_string(), Pause::to_string);
        self.cx.log(Level::Notice, format!("share {name}: {text}"));
    }
}
