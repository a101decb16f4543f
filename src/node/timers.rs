//! Does what is due because time passes.

use crate::fs::Fs;
use crate::model::{Monotonic, Now};
use crate::node::Node;
use crate::node::context::StoreTrouble;
use crate::node::peers::dial::Dial;
use crate::node::peers::link::Link;

impl<F: Fs> Node<F> {
    /// The time has come that [`Node::poll_timeout`] named.
    pub fn handle_timeout(&mut self, now: Now) {
        self.cx.now = now;
        self.cx.clock.tick(now);
        if self.cx.store_trouble.as_ref().is_some_and(|trouble| now.mono >= trouble.retry_at) {
            self.cx.stirred = true;
            self.cx.store_trouble =
                self.cx.store_trouble.take().map(|trouble| StoreTrouble { retry_at: Monotonic(0), ..trouble });
        }
        self.time_links(now);
        for share in self.shares.values_mut() {
            share.time_exchanges(&mut self.cx, &mut self.peers);
        }
        for share in self.shares.values_mut() {
            share.handle_timeout(&mut self.cx, &mut self.peers);
        }
        for share in self.shares.values_mut() {
            share.time_confirmation(&mut self.cx, &mut self.peers);
            share.time_commit(&mut self.cx, &mut self.peers);
        }
        self.peers.time_dials(&mut self.cx);
        self.time_expiry(now);
        self.time_pauses(now);
        self.time_runs(now);
        self.finish(now);
    }

    /// When to call [`Node::handle_timeout`], if nothing else happens before.
    pub fn poll_timeout(&self) -> Monotonic {
        let links = self.peers.links.values().map(Link::poll_timeout).min().unwrap_or(Monotonic::NEVER);
        let shares = self
            .shares
            .values()
            .map(|share| share.poll_timeout(self.cx.settings.settle))
            .min()
            .unwrap_or(Monotonic::NEVER);
        let limits = self.shares.values().map(|share| share.next_limit(&self.peers)).min().unwrap_or(Monotonic::NEVER);
        let dials = self.peers.dials.values().map(Dial::poll_timeout).min().unwrap_or(Monotonic::NEVER);
        let store = self.cx.store_trouble.as_ref().map_or(Monotonic::NEVER, |trouble| trouble.retry_at);
        let runs = self.cx.syncs.iter().map(|run| run.deadline).min().unwrap_or(Monotonic::NEVER);
        links
            .min(limits)
            .min(shares)
            .min(dials)
            .min(store)
            .min(runs)
            .min(self.next_expiry)
            .min(self.previews_timeout())
            .min(self.comparisons_timeout())
            .min(self.next_resume)
    }

    /// What [`Node::poll_timeout`] waits for, by name: for whoever wonders why a node wakes.
    pub fn timers(&self) -> Vec<(String, Monotonic)> {
        let mut timers = vec![("expiry".to_string(), self.next_expiry)];
        timers.extend(self.peers.links.iter().map(|(id, link)| (format!("session {id}"), link.poll_timeout())));
        timers.extend(
            self.shares
                .iter()
                .map(|(name, share)| (format!("share {name}"), share.poll_timeout(self.cx.settings.settle))),
        );
        timers.extend(self.peers.dials.iter().map(|(name, dial)| (format!("dial {name}"), dial.poll_timeout())));
        timers.extend(self.cx.store_trouble.iter().map(|trouble| ("database".to_string(), trouble.retry_at)));
        timers.push(("resume".to_string(), self.next_resume));
        timers.push(("preview".to_string(), self.previews_timeout().min(self.comparisons_timeout())));
        timers.extend(self.cx.syncs.iter().map(|run| ("sync".to_string(), run.deadline)));
        timers
    }
}
