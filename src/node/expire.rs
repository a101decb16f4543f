//! What may be forgotten: tombstones, when everybody has them, and only if the clock can be believed.

use crate::fs::Fs;
use crate::model::{NodeId, Now, RelPath, ShareName, WallTime, limits};
use crate::node::Node;
use crate::node::api::Level;
use crate::store::state::{Change, KnownPeer, Ledger};

/// The clock as far as it can be believed.
pub(crate) struct Clock {
    latest: Now,
    /// A peer confirmed the time since it last jumped.
    trusted: bool,
}

impl Clock {
    pub fn new(now: Now) -> Clock {
        Clock { latest: now, trusted: false }
    }

    /// Notices a jump: the calendar moved by a day more, or less, than time passed.
    pub fn tick(&mut self, now: Now) {
        let passed = i64::try_from(now.mono.since(self.latest.mono).as_millis()).unwrap_or(i64::MAX);
        let jump = now.wall.since_ms(self.latest.wall).saturating_sub(passed).unsigned_abs();
        if u128::from(jump) > limits::CLOCK_JUMP.as_millis() {
            self.trusted = false;
        }
        self.latest = now;
    }

    /// A peer's clock agrees.
    pub fn confirm(&mut self, now: Now) {
        self.tick(now);
        self.trusted = true;
    }

    /// Whether times noted now may be wrong by days.
    pub fn is_doubtful(&self) -> bool {
        !self.trusted
    }

    pub fn latest(&self) -> Now {
        self.latest
    }
}

impl<F: Fs> Node<F> {
    /// Looks for tombstones that may go, once an hour.
    pub(crate) fn time_expiry(&mut self, now: Now) {
        if now.mono < self.next_expiry {
            return;
        }
        self.next_expiry = now.mono.plus(limits::EXPIRY_EVERY);
        self.note_met(now);
        let names: Vec<ShareName> = self.store.state().shares.keys().cloned().collect();
        for name in names {
            if self.clock.trusted {
                self.expire_tombstones(now, &name);
            }
            self.bound_tombstones(&name);
            self.forget_withdrawals(&name);
        }
        let tokens: Vec<_> =
            self.store.state().tokens.iter().filter(|token| token.is_remembered(now.wall)).cloned().collect();
        if tokens.len() < self.store.state().tokens.len() {
            self.store.change(Change::Tokens(tokens));
        }
        self.prune_history(now);
    }

    /// Drops the former versions that the bounds no longer cover.
    pub(crate) fn prune_history(&mut self, now: Now) {
        // A clock that is wrong by months must not clear the history.
        let believed = self.clock.trusted.then_some(now.wall);
        if let Err(error) = self.history.prune(believed) {
            self.log(Level::Warning, format!("history could not be pruned: {error}"));
        }
    }

    /// Whoever is connected is met, also in a session that stands for months.
    fn note_met(&mut self, now: Now) {
        let week = 7 * 86_400_000;
        let connected: Vec<NodeId> =
            self.links.values().filter(|link| link.is_admitted()).filter_map(|link| link.node).collect();
        for node in connected {
            if let Some(peer) = self.store.state().peers.get(&node).filter(|peer| now.wall.since_ms(peer.met) > week) {
                let peer = KnownPeer { met: now.wall, ..peer.clone() };
                self.store.change_lazily(Change::Peer(node, peer));
            }
        }
    }

    /// Tombstones expire 30 days after they were recorded here, but not before everybody who could bring the file back
    /// has applied them.
    fn expire_tombstones(&mut self, now: Now, name: &ShareName) {
        let me = self.store.state().me.state;
        let Some(state) = self.store.state().shares.get(name) else { return };
        let waited_for = |node: &NodeId, ledger: &Ledger| {
            let met = self.store.state().peers.get(node).map_or(WallTime(0), |peer| peer.met);
            ledger.met && ledger.sends && !is_older(now.wall, met, limits::FORGOTTEN_AFTER)
        };
        let waiting: Vec<u64> = state
            .ledgers
            .iter()
            .filter(|(node, ledger)| waited_for(node, ledger))
            .map(|(_, ledger)| if ledger.our_state == Some(me) { ledger.acked } else { 0 })
            .collect();
        let expired: Vec<RelPath> = state
            .index
            .iter()
            .filter(|(_, record)| !record.entry.is_live() && record.disk.is_none())
            .filter(|(_, record)| {
                // Nobody was told of one that is pending.
                !record.pending
                    && is_older(now.wall, record.recorded, limits::TOMBSTONE_LIFE)
                    && waiting.iter().all(|acked| *acked >= record.seq)
            })
            .map(|(path, _)| path.clone())
            .collect();
        if !expired.is_empty() {
            self.log(
                Level::Debug,
                format!("share {name}: {} deletions are known to everybody and forgotten", expired.len()),
            );
        }
        for path in expired {
            self.store.change(Change::Drop(name.clone(), path));
        }
    }

    /// Too many tombstones: the oldest go, and whoever had not applied them is treated as if it had been away.
    fn bound_tombstones(&mut self, name: &ShareName) {
        let me = self.store.state().me.state;
        let Some(state) = self.store.state().shares.get(name) else { return };
        let mut tombstones: Vec<(WallTime, u64, RelPath)> = state
            .index
            .iter()
            .filter(|(_, r)| !r.entry.is_live() && r.disk.is_none())
            .map(|(path, r)| (r.recorded, r.seq, path.clone()))
            .collect();
        let Some(excess) = tombstones.len().checked_sub(limits::TOMBSTONES_MAX).filter(|&excess| excess > 0) else {
            return;
        };
        tombstones.sort_unstable();
        tombstones.truncate(excess);
        let newest = tombstones.iter().map(|(_, seq, _)| *seq).max().unwrap_or(0);
        let behind: Vec<(NodeId, Ledger)> = state
            .ledgers
            .iter()
            .filter(|(_, ledger)| ledger.met && !ledger.away && (ledger.our_state != Some(me) || ledger.acked < newest))
            .map(|(node, ledger)| (*node, ledger.clone()))
            .collect();
        self.log(
            Level::Warning,
            format!(
                "share {name}: more than {} deletions are remembered; the oldest {excess} are forgotten",
                limits::TOMBSTONES_MAX
            ),
        );
        for (_, _, path) in tombstones {
            self.store.change(Change::Drop(name.clone(), path));
        }
        for (node, ledger) in behind {
            self.store.change(Change::Ledger(name.clone(), node, Ledger { away: true, ..ledger }));
        }
    }

    /// A node returns: was it away for so long that tombstones did not wait for it?
    pub(crate) fn note_return(&mut self, now: Now, node: NodeId) {
        let Some(met) = self.store.state().peers.get(&node).map(|peer| peer.met) else { return };
        if !is_older(now.wall, met, limits::FORGOTTEN_AFTER) {
            return;
        }
        let shares: Vec<(ShareName, Ledger)> = self
            .store
            .state()
            .shares
            .iter()
            .filter_map(|(name, state)| {
                state.ledgers.get(&node).filter(|ledger| ledger.met).map(|ledger| (name.clone(), ledger.clone()))
            })
            .collect();
        for (name, ledger) in shares {
            self.store.change(Change::Ledger(name, node, Ledger { away: true, ..ledger }));
        }
    }
}

/// Whether `then` lies longer ago than `span`.
fn is_older(now: WallTime, then: WallTime, span: std::time::Duration) -> bool {
    now.since_ms(then) > i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Monotonic;

    #[test]
    fn a_clock_that_jumps_is_not_believed_until_a_peer_confirms_it() {
        let at = |mono: u64, wall: i64| Now { mono: Monotonic(mono), wall: WallTime(wall) };
        let day = 86_400_000;
        let mut clock = Clock::new(at(0, 0));
        clock.confirm(at(10, 10));
        clock.tick(at(3 * 86_400_000, 3 * day + day / 2));
        assert!(clock.trusted);
        clock.tick(at(3 * 86_400_000 + 10, 60 * day));
        assert!(!clock.trusted);
        clock.confirm(at(3 * 86_400_000 + 20, 60 * day + 10));
        assert!(clock.trusted);
        clock.tick(at(3 * 86_400_000 + 30, 0));
        assert!(!clock.trusted);
    }
}
