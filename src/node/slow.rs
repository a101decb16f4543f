//! Exchanges that take too long: a soft limit warns, a hard one stops what comes in, to go on at a later time.

use std::time::Duration;

use crate::fs::Fs;
use crate::model::{Monotonic, Now, ShareName, time};
use crate::node::api::Level;
use crate::node::{LinkId, Node};

/// How long what comes in from a peer has been under way.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Since when something has been.
    since: Option<Monotonic>,
    warned: bool,
    /// It was stopped, and goes on at this time.
    pub stopped: Option<Monotonic>,
    /// How often it was stopped since it was last complete.
    pub stops: u32,
}

impl<F: Fs> Node<F> {
    /// Exchanges in shares that have a limit.
    fn limited(&self) -> Vec<(LinkId, ShareName)> {
        let admitted = self.links.iter().filter(|(_, link)| link.is_admitted());
        let pairs = admitted.flat_map(|(id, link)| link.exchanges.keys().map(|name| (*id, name)));
        let limited = pairs.filter(|(_, name)| self.limits_of(name) != (None, None));
        limited.map(|(id, name)| (id, name.clone())).collect()
    }

    /// Notes since when something has been coming in, at the end of each input: what ends and begins anew between two
    /// looks at the clock is not one long exchange.
    pub(crate) fn note_paces(&mut self, now: Now) {
        for (id, name) in self.limited() {
            let coming = self.shares.get(&name).is_some_and(|share| share.batches.values().any(|b| b.link == Some(id)));
            let Some(exchange) = self.links.get_mut(&id).and_then(|link| link.exchanges.get_mut(&name)) else {
                continue;
            };
            if !exchange.listening {
                continue;
            }
            if coming || !exchange.has_heard_all() {
                exchange.pace.since.get_or_insert(now.mono);
            } else {
                exchange.pace = Pace::default();
            }
        }
    }

    /// Warns of exchanges that take too long, stops them, and lets them go on.
    pub(crate) fn time_exchanges(&mut self, now: Now) {
        for (id, name) in self.limited() {
            self.time_exchange(now, id, &name);
        }
    }

    fn time_exchange(&mut self, now: Now, id: LinkId, name: &ShareName) {
        let (soft, hard) = self.limits_of(name);
        let Some(exchange) = self.links.get_mut(&id).and_then(|link| link.exchanges.get_mut(name)) else { return };
        if let Some(at) = exchange.pace.stopped {
            if now.mono >= at {
                exchange.pace.stopped = None;
                self.listen(id, name);
            }
            return;
        }
        let Some(taken) = exchange.pace.since.map(|since| now.mono.since(since)) else { return };
        if hard.is_some_and(|hard| taken >= hard) {
            let stops = exchange.pace.stops.saturating_add(1);
            exchange.listening = false;
            exchange.forget_received();
            let at = now.mono.plus(self.settings.poll_interval);
            exchange.pace = Pace { stopped: Some(at), stops, ..Pace::default() };
            self.break_off(now, name, id);
            let (label, taken) = (self.peer_label(id), time::short(taken));
            let next = time::short(self.settings.poll_interval);
            let text = format!(
                "share {name}: what comes from {label} was stopped after {taken} (hard_max_time); it goes on in {next}, stop {stops}"
            );
            self.log(Level::Warning, text);
        } else if soft.is_some_and(|soft| taken >= soft) && !exchange.pace.warned {
            exchange.pace.warned = true;
            let (label, taken) = (self.peer_label(id), time::short(taken));
            let text = format!("share {name}: what comes from {label} has taken {taken} (soft_max_time)");
            self.log(Level::Warning, text);
        }
    }

    fn limits_of(&self, name: &ShareName) -> (Option<Duration>, Option<Duration>) {
        self.shares.get(name).map_or((None, None), |share| (share.settings.soft_max_time, share.settings.hard_max_time))
    }

    /// When [`Node::time_exchanges`] has something to do.
    pub(crate) fn next_limit(&self) -> Monotonic {
        let of = |name: &ShareName, pace: &Pace| {
            let (soft, hard) = self.limits_of(name);
            let limit = |limit: Option<Duration>| {
                limit.zip(pace.since).map_or(Monotonic::NEVER, |(limit, since)| since.plus(limit))
            };
            let soft = if pace.warned { Monotonic::NEVER } else { limit(soft) };
            pace.stopped.unwrap_or(Monotonic::NEVER).min(soft).min(limit(hard))
        };
        let exchanges = self.links.values().flat_map(|link| link.exchanges.iter());
        exchanges.map(|(name, exchange)| of(name, &exchange.pace)).min().unwrap_or(Monotonic::NEVER)
    }
}
