//! Dials the configured peers: one session with each, with backoff.

use std::time::Duration;

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{Monotonic, NodeId, PeerName, Rng, Set, WallTime, limits};
use crate::node::api::{Level, LogLine};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::link::Link;
use crate::node::{LinkId, Output};
use crate::proto::Session;

/// What is known of reaching one configured peer.
pub(crate) struct Dial {
    /// The next attempt; [`Monotonic::NEVER`] while there is a session, or none is wanted.
    pub at: Monotonic,
    /// The wait after the next failure.
    backoff: Duration,
    /// Knock with the second key, because the first was refused.
    with_previous: bool,
    /// Why there is no session, and since when.
    pub trouble: Option<(Trouble, WallTime)>,
    /// The session that is being opened, or stands.
    pub link: Option<LinkId>,
    /// When an exchange with it last went well.
    pub last_ok: Option<WallTime>,
    /// When its node was last known to hold the same.
    pub last_in_sync: Option<WallTime>,
    /// A person asked for no exchange.
    pub paused: bool,
    /// Attempts since there was a session.
    pub retries: u32,
    /// The node that answered there last.
    pub node: Option<NodeId>,
    /// It was this node itself that answered.
    pub own: bool,
}

impl Dial {
    pub fn new(at: Monotonic) -> Dial {
        Dial {
            at,
            backoff: limits::BACKOFF_FIRST,
            with_previous: false,
            trouble: None,
            link: None,
            last_ok: None,
            last_in_sync: None,
            paused: false,
            retries: 0,
            node: None,
            own: false,
        }
    }

    pub fn poll_timeout(&self) -> Monotonic {
        if self.link.is_none() && !self.paused { self.at } else { Monotonic::NEVER }
    }

    /// Waits longer each time, with up to a quarter of jitter, so that forty access points that lost one router do not
    /// all call it at the same moment.
    pub(crate) fn back_off(&mut self, now: Monotonic, rng: &mut Rng) {
        let wait = u64::try_from(self.backoff.as_millis()).unwrap_or(u64::MAX);
        let jitter = Duration::from_millis(rng.below(wait / 4 + 1));
        self.at = now.plus(self.backoff).plus(jitter);
        self.backoff = (self.backoff * 2).min(limits::BACKOFF_MAX);
    }
}

impl<F: Fs> Peers<F> {
    /// Calls whom it is time to call.
    pub(crate) fn time_dials(&mut self, cx: &mut Context<F>) {
        let due: Vec<PeerName> = self
            .dials
            .iter()
            .filter(|(_, dial)| dial.poll_timeout() <= cx.now.mono)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let retries = self.dials.get(&name).map_or(0, |dial| dial.retries);
            let introduced = cx.is_introduced(&name);
            let address = match introduced {
                true => cx.candidate(&name, retries).map(|(address, _)| address),
                false => cx.peer_settings(&name).and_then(|peer| peer.address.clone()),
            };
            let room = !introduced || self.has_room_for_introduced(cx);
            let reached = self
                .links
                .iter()
                .find(|(_, link)| link.is_admitted() && link.section.as_ref() == Some(&name))
                .map(|(id, _)| *id);
            let Some(dial) = self.dials.get_mut(&name) else { continue };
            dial.at = Monotonic::NEVER;
            if let Some(link) = reached {
                // It called us: one session is enough.
                dial.link = Some(link);
                continue;
            }
            let Some(address) = address else { continue };
            if !room {
                // Introductions never use up the sessions that other peers need: the introducer relays.
                dial.at = cx.now.mono.plus(limits::BACKOFF_MAX);
                continue;
            }
            let id = self.next_link;
            self.next_link += 1;
            dial.link = Some(id);
            let session = Session::dial(cx.now.mono, cx.identity.mode.clone(), dial.with_previous, cx.rng.bytes32());
            let mut link =
                Link::new(session, std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), Some(name), cx.now.mono);
            link.connected = false;
            self.links.insert(id, link);
            cx.outputs.push_back(Output::Dial { link: id, address });
        }
    }

    /// The connection stands: the handshake's time starts now.
    pub(crate) fn start_handshake(&mut self, cx: &mut Context<F>, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let with_previous =
            link.dialled_for.as_ref().and_then(|name| self.dials.get(name)).is_some_and(|dial| dial.with_previous);
        link.session = Session::dial(cx.now.mono, cx.identity.mode.clone(), with_previous, cx.rng.bytes32());
    }

    /// A session that was dialled did not come about, or ended.
    pub(crate) fn note_dial_failure(&mut self, cx: &mut Context<F>, name: Option<&PeerName>, trouble: Trouble) {
        let Some(name) = name else { return };
        let has_address = cx.peer_settings(name).is_some_and(|peer| peer.address.is_some());
        let introduced = cx.is_introduced(name);
        let candidates = cx.candidate(name, 0).map(|(_, count)| count);
        let Some(dial) = self.dials.get_mut(name) else { return };
        dial.link = None;
        let connected = |node: NodeId| self.links.values().any(|link| link.is_admitted() && link.node == Some(node));
        let alias = trouble == Trouble::Duplicate && dial.node.is_some_and(connected);
        let own = trouble == Trouble::ThisNode && !introduced;
        if own && !dial.own {
            cx.outputs
                .push_back(Output::Log(LogLine { level: Level::Notice, text: format!("peer {name}: {trouble}") }));
        }
        dial.own = own;
        if alias || own {
            // There is nothing to connect to; but another node may have that address one day.
            dial.trouble = None;
            dial.retries = 0;
            dial.at = cx.now.mono.plus(limits::ALIAS_AGAIN);
            return;
        }
        dial.retries = dial.retries.saturating_add(1);
        if trouble == Trouble::KeyRefusedThere && cx.settings.previous_key.is_some() {
            // The other key the next time, in turn: which one the peer has can change under way.
            dial.with_previous = !dial.with_previous;
        }
        match candidates {
            // The next address of those that were told: only when none of them answered it waits longer.
            Some(count) if dial.retries % count.max(1) != 0 => dial.at = cx.now.mono.plus(limits::BACKOFF_FIRST),
            _ => dial.back_off(cx.now.mono, &mut cx.rng),
        }
        if trouble == Trouble::Duplicate {
            return;
        }
        // One line when it changes, not one per attempt.
        let news = dial.trouble.as_ref().is_none_or(|(known, _)| known.code() != trouble.code());
        let since = dial.trouble.as_ref().filter(|_| !news).map_or(cx.now.wall, |(_, since)| *since);
        dial.trouble = Some((trouble.clone(), since));
        if !has_address {
            dial.at = Monotonic::NEVER;
        }
        if news {
            // Whoever cannot be reached directly is reached by way of the node that introduced it.
            let level = if introduced { Level::Debug } else { Level::Warning };
            cx.log(level, format!("peer {name}: {trouble}"));
        }
    }

    /// A session with a configured peer stands.
    pub(crate) fn note_dial_success(&mut self, name: &PeerName, link: LinkId) {
        if let Some(dial) = self.dials.get_mut(name) {
            dial.link = Some(link);
            dial.at = Monotonic::NEVER;
            dial.trouble = None;
            dial.retries = 0;
            dial.own = false;
        }
    }

    /// A session is over: whoever relied on it, by another address of the same node, is called again.
    pub(crate) fn note_aliases_end(
        &mut self,
        cx: &mut Context<F>,
        id: LinkId,
        node: Option<NodeId>,
        handled: Option<&PeerName>,
    ) {
        let with_address: Set<PeerName> =
            cx.peers().filter(|peer| peer.address.is_some()).map(|peer| peer.name.clone()).collect();
        for (name, dial) in self.dials.iter_mut().filter(|(name, _)| handled != Some(*name)) {
            let relied = dial.link == Some(id) || (dial.link.is_none() && node.is_some() && dial.node == node);
            if relied {
                dial.link = None;
                dial.at = if with_address.contains(name) { cx.now.mono } else { Monotonic::NEVER };
            }
        }
    }

    /// A session with a configured peer ended after `stood`.
    pub(crate) fn note_link_end(
        &mut self,
        cx: &mut Context<F>,
        name: &PeerName,
        link: LinkId,
        stood: Duration,
        trouble: Trouble,
    ) {
        let Some(dial) = self.dials.get_mut(name) else { return };
        if dial.link.is_some_and(|current| current != link) {
            return;
        }
        if stood >= limits::BACKOFF_RESET {
            dial.backoff = limits::BACKOFF_FIRST;
        }
        self.note_dial_failure(cx, Some(name), trouble);
    }

    /// Calls every peer, or one, at once.
    pub(crate) fn dial_now(&mut self, cx: &mut Context<F>, only: Option<&PeerName>) {
        let with_address: Set<PeerName> =
            cx.peers().filter(|peer| peer.address.is_some()).map(|peer| peer.name.clone()).collect();
        for (name, dial) in self.dials.iter_mut() {
            let wanted = only.is_none_or(|only| only == name);
            if wanted && with_address.contains(name) && dial.link.is_none() && !dial.paused {
                dial.at = cx.now.mono;
                dial.backoff = limits::BACKOFF_FIRST;
            }
        }
    }
}
