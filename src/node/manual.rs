//! Shares whose mode is manual: what changes here waits to be offered, what is heard waits to land, until a person says
//! `sync`. While such a sync runs, changes cross as anywhere else.

use crate::fs::Fs;
use crate::model::settings::Mode;
use crate::model::{Now, Record, RelPath, ShareName, limits};
use crate::node::Node;
use crate::store::Store;
use crate::store::state::Change;

impl<F: Fs> Node<F> {
    /// Whether changes of a share cross now.
    pub(crate) fn crosses(&self, name: &ShareName) -> bool {
        let manual = self.shares.get(name).is_some_and(|share| share.settings.mode == Mode::Manual);
        !manual || self.syncs.iter().any(|run| run.share.as_ref().is_none_or(|only| only == name))
    }

    /// Changes made here that are not released by `owsync sync`.
    pub(crate) fn unreleased(&self, name: &ShareName) -> impl Iterator<Item = (&RelPath, &Record)> {
        // Asked with every input, so the index is not gone through where nothing can wait.
        let waits = self.shares.get(name).is_some_and(|share| share.settings.mode == Mode::Manual);
        let state = self.store.state().shares.get(name).filter(|_| waits);
        state.into_iter().flat_map(|state| state.index.iter()).filter(|(_, record)| record.pending)
    }

    /// What changed here may travel: it gets new numbers, under which everybody hears it.
    pub(crate) fn let_go(&mut self, now: Now, name: &ShareName) {
        let Some(state) = self.store.state().shares.get(name) else { return };
        let pending = state.index.iter().filter(|(_, record)| record.pending);
        let mut waiting: Vec<(u64, RelPath)> = pending.map(|(path, record)| (record.seq, path.clone())).collect();
        waiting.sort_unstable();
        let (count, some) = (waiting.len() as u64, waiting.iter().take(limits::SENT_PATHS));
        let some = some.map(|(_, path)| path.clone()).collect();
        self.renumber(now, name, waiting.into_iter().map(|(_, path)| path), |_, record| record.pending = false);
        self.begin_delivery(now, name, some, count);
    }

    /// Gives records new numbers in this order, under which everybody hears them; what was one batch stays one.
    pub(crate) fn renumber(
        &mut self,
        now: Now,
        name: &ShareName,
        paths: impl Iterator<Item = RelPath>,
        change: impl Fn(&mut Store<F::Root>, &mut Record),
    ) {
        let mut batches: Option<(u64, u64)> = None;
        for path in paths {
            let Some(mut record) = self.record_of(name, &path) else { continue };
            change(&mut self.store, &mut record);
            record.seq = self.store.next_seq(now.wall);
            let before = record.batch;
            record.batch = match batches {
                Some((old, new)) if old == before => new,
                _ => record.seq,
            };
            batches = Some((before, record.batch));
            if let Some(share) = self.shares.get_mut(name) {
                share.top = record.seq;
            }
            self.store.change(Change::Record(name.clone(), path, record));
            self.stirred = true;
        }
    }
}
