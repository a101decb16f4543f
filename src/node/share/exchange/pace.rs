//! Limits the time that an exchange may take: a soft limit warns, a hard one stops what comes in, which resumes later.

use std::time::Duration;

use crate::fs::Fs;
use crate::model::{Monotonic, time};
use crate::node::LinkId;
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::exchange::Pace;
use crate::node::peers::link::Link;
use crate::node::share::Share;

impl<F: Fs> Share<F> {
    fn time_limits(&self) -> (Option<Duration>, Option<Duration>) {
        (self.settings.soft_max_time, self.settings.hard_max_time)
    }

    /// The sessions in which this share is exchanged, where that has a limit.
    fn limited(&self, peers: &Peers<F>) -> Vec<LinkId> {
        if self.time_limits() == (None, None) {
            return Vec::new();
        }
        let exchanging = |link: &Link<F::Root>| link.is_admitted() && link.exchanges.contains_key(&self.name);
        peers.links.iter().filter(|(_, link)| exchanging(link)).map(|(id, _)| *id).collect()
    }

    /// Notes since when something has been coming in, at the end of each input: what ends and begins again between two
    /// readings of the clock is not one long exchange.
    pub(crate) fn note_pace(&mut self, cx: &Context<F>, peers: &mut Peers<F>) {
        for id in self.limited(peers) {
            let coming = self.inbox.batches.values().any(|batch| batch.link == Some(id));
            let Some(exchange) = peers.exchange_mut(id, &self.name) else { continue };
            if !exchange.listening {
                continue;
            }
            if coming || !exchange.has_heard_all() {
                exchange.pace.since.get_or_insert(cx.now.mono);
            } else {
                exchange.pace = Pace::default();
            }
        }
    }

    /// Warns of exchanges that take too long, stops them, and resumes them.
    pub(crate) fn time_exchanges(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        for id in self.limited(peers) {
            self.time_exchange(cx, peers, id);
        }
    }

    fn time_exchange(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, id: LinkId) {
        let (soft, hard) = self.time_limits();
        let Some(exchange) = peers.exchange_mut(id, &self.name) else { return };
        if let Some(at) = exchange.pace.stopped {
            if cx.now.mono >= at {
                exchange.pace.stopped = None;
                self.listen(cx, peers, id);
            }
            return;
        }
        let Some(taken) = exchange.pace.since.map(|since| cx.now.mono.since(since)) else { return };
        if hard.is_some_and(|hard| taken >= hard) {
            let stops = exchange.pace.stops.saturating_add(1);
            exchange.listening = false;
            exchange.forget_received();
            let at = cx.now.mono.plus(cx.settings.poll_interval);
            exchange.pace = Pace { stopped: Some(at), stops, ..Pace::default() };
            self.break_off(cx, id);
            let (label, taken) = (peers.peer_label(cx, id), time::short(taken));
            let next = time::short(cx.settings.poll_interval);
            let text = format!(
                "share {}: the exchange with {label} was stopped after {taken} (hard_max_time); it resumes in {next}; stop {stops}",
                self.name
            );
            cx.log(Level::Warning, text);
        } else if soft.is_some_and(|soft| taken >= soft) && !exchange.pace.warned {
            exchange.pace.warned = true;
            let (label, taken) = (peers.peer_label(cx, id), time::short(taken));
            let text =
                format!("share {}: the exchange with {label} takes longer than {taken} (soft_max_time)", self.name);
            cx.log(Level::Warning, text);
        }
    }

    /// When [`Share::time_exchanges`] has something to do.
    pub(crate) fn next_limit(&self, peers: &Peers<F>) -> Monotonic {
        let (soft, hard) = self.time_limits();
        let of = |pace: &Pace| {
            let limit = |limit: Option<Duration>| {
                limit.zip(pace.since).map_or(Monotonic::NEVER, |(limit, since)| since.plus(limit))
            };
            let soft = if pace.warned { Monotonic::NEVER } else { limit(soft) };
            pace.stopped.unwrap_or(Monotonic::NEVER).min(soft).min(limit(hard))
        };
        let exchanges = peers.links.values().filter_map(|link| link.exchanges.get(&self.name));
        exchanges.map(|exchange| of(&exchange.pace)).min().unwrap_or(Monotonic::NEVER)
    }
}
