//! Everything that happens because time passes.

use crate::fs::Fs;
use crate::model::{Monotonic, Now};
use crate::node::dial::Dial;
use crate::node::link::Link;
use crate::node::{Node, StoreTrouble};

impl<F: Fs> Node<F> {
    /// The time has come that [`Node::poll_timeout`] named.
    pub fn handle_timeout(&mut self, now: Now) {
        self.clock.tick(now);
        if self.store_trouble.as_ref().is_some_and(|trouble| now.mono >= trouble.retry_at) {
            self.stirred = true;
            self.store_trouble =
                self.store_trouble.take().map(|trouble| StoreTrouble { retry_at: Monotonic(0), ..trouble });
        }
        self.time_links(now);
        self.time_exchanges(now);
        self.time_shares(now);
        self.time_trials(now);
        self.time_dials(now);
        self.time_expiry(now);
        self.time_pauses(now);
        self.time_runs(now);
        self.finish(now);
    }

    /// When to call [`Node::handle_timeout`], if nothing else happens before.
    pub fn poll_timeout(&self) -> Monotonic {
        let links = self.links.values().map(Link::poll_timeout).min().unwrap_or(Monotonic::NEVER);
        let shares = self
            .shares
            .values()
            .map(|share| share.poll_timeout(self.settings.settle))
            .min()
            .unwrap_or(Monotonic::NEVER);
        let dials = self.dials.values().map(Dial::poll_timeout).min().unwrap_or(Monotonic::NEVER);
        let store = self.store_trouble.as_ref().map_or(Monotonic::NEVER, |trouble| trouble.retry_at);
        let runs = self.syncs.iter().map(|run| run.deadline).min().unwrap_or(Monotonic::NEVER);
        links
            .min(self.next_limit())
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
        timers.extend(self.links.iter().map(|(id, link)| (format!("session {id}"), link.poll_timeout())));
        timers.extend(
            self.shares.iter().map(|(name, share)| (format!("share {name}"), share.poll_timeout(self.settings.settle))),
        );
        timers.extend(self.dials.iter().map(|(name, dial)| (format!("dial {name}"), dial.poll_timeout())));
        timers.extend(self.store_trouble.iter().map(|trouble| ("database".to_string(), trouble.retry_at)));
        timers.push(("resume".to_string(), self.next_resume));
        timers.push(("preview".to_string(), self.previews_timeout().min(self.comparisons_timeout())));
        timers.extend(self.syncs.iter().map(|run| ("sync".to_string(), run.deadline)));
        timers
    }
}
