//! Completes exchanges, and gives a version to what has none.

use crate::fs::Fs;
use crate::model::{Direction, Life, NodeId, Record, RelPath, ShareName, limits};
use crate::node::LinkId;
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::node::share::detect::edit::Edit;
use crate::store::state::{Change, Ledger};

impl<F: Fs> Share<F> {
    /// A peer no longer has what it gave (one path, or all of it): what has no version yet would have got it there, and
    /// gets it here instead.
    pub(crate) fn disown(&mut self, cx: &mut Context<F>, node: NodeId, path: Option<&RelPath>) {
        let orphans = cx.disown(&self.name, node, path);
        if cx.store.share(&self.name).meta.past && self.settings.direction != Direction::Receive {
            self.version_paths(cx, orphans.into_iter());
            cx.stirred = true;
        }
    }

    /// Whether an exchange has just completed: both have heard each other's index to the end, landed or not.
    pub(crate) fn check_completed(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, id: LinkId) {
        let name = &self.name.clone();
        let Some(link) = peers.links.get_mut(&id) else { return };
        let (Some(node), Some(hello)) = (link.node, &link.hello) else { return };
        let (their_rank, life) = (hello.rank, Life { node, state: hello.state });
        let Some(exchange) = link.exchanges.get_mut(name) else { return };
        let heard_by_them = exchange.catch_up.is_some_and(|upto| exchange.their_heard >= upto);
        if exchange.completed || !exchange.has_heard_all() || !heard_by_them {
            return;
        }
        exchange.completed = true;
        // What is owed to it may land, or be known, by now.
        self.inbox.retry_at = cx.now.mono;
        self.inbox.retry_pause = limits::RETRY_OWED;
        let state = cx.store.share(name);
        let ledger = state.ledgers.get(&node).cloned().unwrap_or_default();
        if !ledger.met || ledger.away {
            // Everything it brought from its time away was heard by now, and what is unknown here is owed.
            cx.store.change(Change::Ledger(name.clone(), node, Ledger { met: true, away: false, ..ledger }));
        }
        self.give_versions(cx, life);
        let me = cx.store.state().me.clone();
        if their_rank > me.rank {
            // From here on what this node writes descends from the reference. What it wrote before does not.
            cx.store.change(Change::Me(crate::store::state::Me { rank: their_rank, ..me }));
        }
        cx.log(Level::Debug, format!("share {name}: exchanged with {}", cx.node_label(node)));
        cx.stirred = true;
    }

    /// The first exchange of a share has completed: what is still unversioned, and nobody else's to version, gets one.
    fn give_versions(&mut self, cx: &mut Context<F>, life: Life) {
        let name = &self.name;
        let state = cx.store.share(name);
        if state.meta.past {
            return;
        }
        let receives = self.settings.direction == Direction::Receive;
        let on_its_way = |path: &RelPath| self.inbox.batches.values().any(|batch| batch.offers.contains_key(path));
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
        cx.store.change(Change::Share(name.clone(), meta));
        cx.store.change(Change::Stamped(name.clone(), cx.now.wall));
        let mut edit = Edit::new(true);
        for path in gone {
            self.give_up(cx, path, &mut edit);
        }
        self.version_paths(cx, remaining.into_iter().map(|(_, path)| path));
    }

    /// Gives unversioned entries their first version; their stamps keep rank 0, and their batches stay as they were.
    pub(crate) fn version_paths(&mut self, cx: &mut Context<F>, paths: impl Iterator<Item = RelPath>) {
        let (state_id, wall) = (cx.store.state().me.state, cx.now.wall);
        self.renumber(cx, paths, |store, record| {
            let number = store.next_number(wall);
            record.entry = record.entry.clone().edited(Some(&record.entry), state_id, number);
            record.from = None;
        });
    }
}

impl<F: Fs> Context<F> {
    /// Forgets that a node has what it gave in a share (one path, or all of it): what has no version yet, in the order in
    /// which it was recorded.
    pub fn disown(&mut self, name: &ShareName, node: NodeId, path: Option<&RelPath>) -> Vec<RelPath> {
        let Some(index) = self.store.index_mut(name) else { return Vec::new() };
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
        orphans.into_iter().map(|(_, path)| path).collect()
    }
}
