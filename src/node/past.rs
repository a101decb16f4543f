//! Exchanges that complete, and who gives a version to what has none.

use crate::fs::Fs;
use crate::model::{Direction, Life, NodeId, Now, Record, RelPath, ShareName, limits};
use crate::node::api::Level;
use crate::node::edit::Edit;
use crate::node::{LinkId, Node};
use crate::store::state::{Change, Ledger};

impl<F: Fs> Node<F> {
    /// A peer no longer has what it gave (one path, or all of it): what has no version yet would have got it there, and
    /// gets it here instead.
    pub(crate) fn disown(&mut self, now: Now, name: &ShareName, node: NodeId, path: Option<&RelPath>) {
        let Some(index) = self.store.index_mut(name) else { return };
        let mut orphans = Vec::new();
        let given = |(other, record): &(&RelPath, &mut Record)| {
            record.from.is_some_and(|from| from.node == node) && path.is_none_or(|path| path == *other)
        };
        for (other, record) in index.iter_mut().filter(given) {
            record.from = None;
            if record.entry.version.is_unversioned() && record.entry.is_live() {
                orphans.push((record.seq, other.clone()));
            }
        }
        orphans.sort_unstable();
        let past = self.store.state().shares.get(name).is_some_and(|state| state.meta.past);
        let receives = self.shares.get(name).is_none_or(|share| share.settings.direction == Direction::Receive);
        if past && !receives {
            self.version_paths(now, name, orphans.into_iter().map(|(_, path)| path));
            self.stirred = true;
        }
    }

    /// Whether an exchange has just completed: both have heard each other's index to the end, landed or not.
    pub(crate) fn check_completed(&mut self, now: Now, id: LinkId, name: &ShareName) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let (Some(node), Some(hello)) = (link.node, &link.hello) else { return };
        let (their_rank, life) = (hello.rank, Life { node, state: hello.state });
        let Some(exchange) = link.exchanges.get_mut(name) else { return };
        let heard_by_them = exchange.catch_up.is_some_and(|upto| exchange.their_heard >= upto);
        if exchange.completed || !exchange.has_heard_all() || !heard_by_them {
            return;
        }
        exchange.completed = true;
        if let Some(share) = self.shares.get_mut(name) {
            // What is owed to it may land, or be known, by now.
            share.retry_at = now.mono;
            share.retry_pause = limits::RETRY_OWED;
        }
        let Some(state) = self.store.state().shares.get(name) else { return };
        let ledger = state.ledgers.get(&node).cloned().unwrap_or_default();
        if !ledger.met || ledger.away {
            // Everything it brought from its time away was heard by now, and what is unknown here is owed.
            self.store.change(Change::Ledger(name.clone(), node, Ledger { met: true, away: false, ..ledger }));
        }
        self.give_versions(now, name, life);
        let me = self.store.state().me.clone();
        if their_rank > me.rank {
            // From here on what this node writes descends from the reference. What it wrote before does not.
            self.store.change(Change::Me(crate::store::state::Me { rank: their_rank, ..me }));
        }
        self.log(Level::Debug, format!("share {name}: exchanged with {}", self.node_label(node)));
        self.stirred = true;
    }

    /// The first exchange of a share has completed: what is still unversioned, and nobody else's to version, gets one.
    fn give_versions(&mut self, now: Now, name: &ShareName, life: Life) {
        let Some(state) = self.store.state().shares.get(name) else { return };
        if state.meta.past {
            return;
        }
        let receives = self.shares.get(name).is_some_and(|share| share.settings.direction == Direction::Receive);
        let on_its_way = |path: &RelPath| {
            self.shares
                .get(name)
                .is_some_and(|share| share.batches.values().any(|batch| batch.offers.contains_key(path)))
        };
        let owed = |path: &RelPath| state.owed.keys().any(|(_, owed)| owed == path);
        let mut remaining: Vec<(u64, RelPath)> = state
            .index
            .iter()
            .filter(|(_, record)| {
                record.entry.version.is_unversioned()
                    && record.entry.is_live()
                    && record.sleep.is_none()
                    && record.from != Some(life)
            })
            .map(|(path, record)| (record.seq, path.clone()))
            .filter(|(_, path)| !receives && !on_its_way(path) && !owed(path))
            .collect();
        remaining.sort_unstable();
        // What was deleted before anybody had a claim needs no tombstone: peers that were offered it receive a withdrawal.
        let gone: Vec<RelPath> = state
            .index
            .iter()
            .filter(|(_, record)| !receives && !record.entry.is_live() && record.entry.version.is_unversioned())
            .map(|(path, _)| path.clone())
            .collect();
        let meta = crate::store::state::ShareMeta { past: true, ..state.meta.clone() };
        self.store.change(Change::Share(name.clone(), meta));
        self.store.change(Change::Stamped(name.clone(), now.wall));
        let mut edit = Edit::new(true, now.wall);
        for path in gone {
            self.give_up(now, name, path, &mut edit);
        }
        self.version_paths(now, name, remaining.into_iter().map(|(_, path)| path));
    }

    /// Gives unversioned entries their first version; their stamps keep rank 0, and their batches stay as they were.
    pub(crate) fn version_paths(&mut self, now: Now, name: &ShareName, paths: impl Iterator<Item = RelPath>) {
        let state_id = self.store.state().me.state;
        self.renumber(now, name, paths, |store, record| {
            let number = store.next_number(now.wall);
            record.entry.version = record.entry.version.edited(state_id, number, limits::VERSION_IDS);
            record.from = None;
        });
    }
}
