//! Whom to call, and when: one session with each configured peer, with backoff.

use std::time::Duration;

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{Monotonic, Now, PeerName, Rng, Set, WallTime, limits};
use crate::node::api::Level;
use crate::node::link::Link;
use crate::node::{LinkId, Node, Output};
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
        }
    }

    pub fn poll_timeout(&self) -> Monotonic {
        if self.link.is_none() && !self.paused { self.at } else { Monotonic::NEVER }
    }

    /// Waits longer each time, with up to a quarter of jitter, so that forty access points that lost one router do not
    /// all call it at the same moment.
    fn back_off(&mut self, now: Monotonic, rng: &mut Rng) {
        let wait = u64::try_from(self.backoff.as_millis()).unwrap_or(u64::MAX);
        let jitter = Duration::from_millis(rng.below(wait / 4 + 1));
        self.at = now.plus(self.backoff).plus(jitter);
        self.backoff = (self.backoff * 2).min(limits::BACKOFF_MAX);
    }
}

impl<F: Fs> Node<F> {
    /// Brings the dials in line with the configured peers.
    pub(crate) fn set_up_dials(&mut self, now: Now) {
        let wanted = |peer: &&crate::model::settings::PeerSettings| peer.enabled;
        let names: Set<PeerName> = self.settings.peers.iter().filter(wanted).map(|peer| peer.name.clone()).collect();
        self.dials.retain(|name, _| names.contains(name));
        for peer in self.settings.peers.iter().filter(wanted) {
            let at = if peer.address.is_some() { now.mono } else { Monotonic::NEVER };
            let dial = self.dials.get_or_insert_with(peer.name.clone(), || Dial::new(at));
            if dial.link.is_none() {
                dial.at = at;
            }
        }
        self.take_up_pauses(now);
    }

    /// Calls whom it is time to call.
    pub(crate) fn time_dials(&mut self, now: Now) {
        let due: Vec<PeerName> = self
            .dials
            .iter()
            .filter(|(_, dial)| dial.poll_timeout() <= now.mono)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let address =
                self.settings.peers.iter().find(|peer| peer.name == name).and_then(|peer| peer.address.clone());
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
            let id = self.next_link;
            self.next_link += 1;
            dial.link = Some(id);
            let session = Session::dial(now.mono, self.identity.mode.clone(), dial.with_previous, self.rng.bytes32());
            let mut link =
                Link::new(session, std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), Some(name), now.mono);
            link.connected = false;
            self.links.insert(id, link);
            self.outputs.push_back(Output::Dial { link: id, address });
        }
    }

    /// The connection stands: the handshake's time starts now.
    pub(crate) fn start_handshake(&mut self, now: Now, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let with_previous =
            link.dialled_for.as_ref().and_then(|name| self.dials.get(name)).is_some_and(|dial| dial.with_previous);
        link.session = Session::dial(now.mono, self.identity.mode.clone(), with_previous, self.rng.bytes32());
    }

    /// A session that was dialled did not come about, or ended.
    pub(crate) fn note_dial_failure(&mut self, now: Now, name: Option<&PeerName>, trouble: Trouble) {
        let Some(name) = name else { return };
        let Some(dial) = self.dials.get_mut(name) else { return };
        dial.link = None;
        dial.retries = dial.retries.saturating_add(1);
        if trouble == Trouble::KeyRefusedThere && self.settings.previous_key.is_some() {
            // The other key the next time, in turn: which one the peer has can change under way.
            dial.with_previous = !dial.with_previous;
        }
        dial.back_off(now.mono, &mut self.rng);
        if trouble == Trouble::Duplicate {
            return;
        }
        // One line when it changes, not one per attempt.
        let news = dial.trouble.as_ref().is_none_or(|(known, _)| known.code() != trouble.code());
        let since = dial.trouble.as_ref().filter(|_| !news).map_or(now.wall, |(_, since)| *since);
        dial.trouble = Some((trouble.clone(), since));
        let has_address = self.settings.peers.iter().any(|peer| peer.name == *name && peer.address.is_some());
        if !has_address {
            dial.at = Monotonic::NEVER;
        }
        if news {
            self.log(Level::Warning, format!("peer {name}: {trouble}"));
        }
    }

    /// A session with a configured peer stands.
    pub(crate) fn note_dial_success(&mut self, name: &PeerName, link: LinkId) {
        if let Some(dial) = self.dials.get_mut(name) {
            dial.link = Some(link);
            dial.at = Monotonic::NEVER;
            dial.trouble = None;
            dial.retries = 0;
        }
    }

    /// A session with a configured peer ended after `stood`.
    pub(crate) fn note_link_end(&mut self, now: Now, name: &PeerName, link: LinkId, stood: Duration, trouble: Trouble) {
        let Some(dial) = self.dials.get_mut(name) else { return };
        if dial.link.is_some_and(|current| current != link) {
            return;
        }
        if stood >= limits::BACKOFF_RESET {
            dial.backoff = limits::BACKOFF_FIRST;
        }
        self.note_dial_failure(now, Some(name), trouble);
    }

    /// Calls every peer, or one, at once.
    pub(crate) fn dial_now(&mut self, now: Now, only: Option<&PeerName>) {
        for (name, dial) in self.dials.iter_mut() {
            let wanted = only.is_none_or(|only| only == name);
            let has_address = self.settings.peers.iter().any(|peer| peer.name == *name && peer.address.is_some());
            if wanted && has_address && dial.link.is_none() && !dial.paused {
                dial.at = now.mono;
                dial.backoff = limits::BACKOFF_FIRST;
            }
        }
    }
}
