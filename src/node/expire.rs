//! Forgets tombstones when every node has them, and only if the clock can be believed.

use crate::fs::Fs;
use crate::model::settings::Reload;
use crate::model::{Kind, Map, NodeId, Now, RelPath, Set, ShareName, WallTime, limits};
use crate::node::Node;
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::store::history::Item;
use crate::store::state::{Change, KnownPeer, Ledger, ShareState};
use crate::uci::PackageName;

impl<F: Fs> Context<F> {
    /// Drops the former versions that the bounds no longer cover.
    pub(crate) fn prune_history(&mut self) {
        // A clock that is wrong by months must not clear the history.
        let believed = self.clock.is_trusted().then_some(self.now.wall);
        let bases = self.bases();
        if let Err(error) = self.history.prune(believed, &bases) {
            self.log(Level::Warning, format!("the history cannot be pruned: {error}"));
        }
    }

    /// The versions of UCI packages from which a peer's next change may start: of each path the newest one that it has
    /// applied, where it has not applied the current one. Without them a node that is edited often could not be merged with
    /// one that was away.
    fn bases(&self) -> Set<u64> {
        let mut bases = Set::new();
        for (name, state) in self.store.state().shares.iter() {
            if !self.settings.share(name).is_some_and(|share| share.merge && share.reload() == Reload::Uci) {
                continue;
            }
            let applied: Set<u64> = self.counting(state).collect();
            let is_package = |item: &&Item| {
                let known = item.share == *name && item.kind == Kind::File && PackageName::at(&item.path).is_some();
                known && item.size <= limits::PACKAGE_KEPT as u64 && item.seq > 0
            };
            let mut newest: Map<(u64, &RelPath), u64> = Map::new();
            for item in self.history.items().filter(is_package) {
                let Some(record) = state.index.get(&item.path) else { continue };
                for acked in applied.iter().filter(|acked| (item.seq..record.seq).contains(acked)) {
                    newest.insert((*acked, &item.path), item.number);
                }
            }
            bases.extend(newest.values().copied());
        }
        bases
    }

    /// How far each node has come that has not been away for too long and may change a share.
    fn counting<'a>(&'a self, state: &'a ShareState) -> impl Iterator<Item = u64> + 'a {
        let me = self.store.state().me.state;
        let counts = move |node: &NodeId, ledger: &Ledger| {
            let met = self.store.state().peers.get(node).map_or(WallTime(0), |peer| peer.met);
            ledger.met && ledger.sends && !is_older(self.now.wall, met, limits::FORGOTTEN_AFTER)
        };
        let counting = state.ledgers.iter().filter(move |(node, ledger)| counts(node, ledger));
        counting.map(move |(_, ledger)| if ledger.our_state == Some(me) { ledger.acked } else { 0 })
    }
}

impl<F: Fs> Peers<F> {
    /// Whoever is connected is met, also in a session that stands for months.
    fn note_met(&mut self, cx: &mut Context<F>) {
        let week = 7 * 86_400_000;
        let connected: Vec<NodeId> =
            self.links.values().filter(|link| link.is_admitted()).filter_map(|link| link.node).collect();
        for node in connected {
            if let Some(peer) = cx.store.state().peers.get(&node).filter(|peer| cx.now.wall.since_ms(peer.met) > week) {
                let peer = KnownPeer { met: cx.now.wall, ..peer.clone() };
                cx.store.change_lazily(Change::Peer(node, peer));
            }
        }
    }
}

impl<F: Fs> Context<F> {
    /// Tombstones expire 30 days after they were recorded here, but not before everybody who could bring the file back
    /// has applied them.
    fn expire_tombstones(&mut self, name: &ShareName) {
        let Some(state) = self.store.state().shares.get(name) else { return };
        let waiting: Vec<u64> = self.counting(state).collect();
        let expired: Vec<RelPath> = state
            .index
            .iter()
            .filter(|(_, record)| !record.entry.is_live() && record.disk.is_none())
            .filter(|(_, record)| {
                // Nobody was told of one that is pending.
                !record.pending
                    && is_older(self.now.wall, record.recorded, limits::TOMBSTONE_LIFE)
                    && waiting.iter().all(|acked| *acked >= record.seq)
            })
            .map(|(path, _)| path.clone())
            .collect();
        if !expired.is_empty() {
            self.log(
                Level::Debug,
                format!("share {name}: removed {} tombstones that every node has applied", expired.len()),
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
            format!("share {name}: more than {} tombstones; removed the oldest {excess}", limits::TOMBSTONES_MAX),
        );
        for (_, _, path) in tombstones {
            self.store.change(Change::Drop(name.clone(), path));
        }
        for (node, ledger) in behind {
            self.store.change(Change::Ledger(name.clone(), node, Ledger { away: true, heard: 0, ..ledger }));
        }
    }

    /// A node returns: was it away for so long that tombstones did not wait for it?
    pub(crate) fn note_return(&mut self, node: NodeId) {
        let Some(met) = self.store.state().peers.get(&node).map(|peer| peer.met) else { return };
        if !is_older(self.now.wall, met, limits::FORGOTTEN_AFTER) {
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
            // Also what it had before: this node may have forgotten since that it was deleted.
            self.store.change(Change::Ledger(name, node, Ledger { away: true, heard: 0, ..ledger }));
        }
    }
}

impl<F: Fs> Node<F> {
    /// Looks for tombstones that may go, once an hour.
    pub(crate) fn time_expiry(&mut self, now: Now) {
        if now.mono < self.next_expiry {
            return;
        }
        self.next_expiry = now.mono.plus(limits::EXPIRY_EVERY);
        self.peers.note_met(&mut self.cx);
        let names: Vec<ShareName> = self.cx.store.state().shares.keys().cloned().collect();
        for name in names {
            if self.cx.clock.is_trusted() {
                self.cx.expire_tombstones(&name);
            }
            self.cx.bound_tombstones(&name);
            self.cx.forget_withdrawals(&name);
        }
        let tokens: Vec<_> =
            self.cx.store.state().tokens.iter().filter(|token| token.is_remembered(now.wall)).cloned().collect();
        if tokens.len() < self.cx.store.state().tokens.len() {
            self.cx.store.change(Change::Tokens(tokens));
        }
        self.cx.prune_history();
    }
}

/// Whether `then` lies longer ago than `span`.
fn is_older(now: WallTime, then: WallTime, span: std::time::Duration) -> bool {
    now.since_ms(then) > i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
