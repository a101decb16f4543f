//! Keeps back changes in shares whose mode is manual, in both directions, until the user runs `owsync sync`. While such a
//! sync runs, changes cross as anywhere else.

use crate::fs::Fs;
use crate::model::settings::Mode;
use crate::model::{Record, RelPath, limits};
use crate::node::context::Context;
use crate::node::share::Share;
use crate::store::Store;
use crate::store::state::Change;

impl<F: Fs> Share<F> {
    /// Whether changes of a share cross now.
    pub(crate) fn crosses(&self, cx: &Context<F>) -> bool {
        let name = &self.name;
        let manual = self.settings.mode == Mode::Manual;
        !manual || cx.syncs.iter().any(|run| run.share.as_ref().is_none_or(|only| only == name))
    }

    /// Changes made here that are not released by `owsync sync`.
    pub(crate) fn unreleased<'a>(
        &self,
        cx: &'a Context<F>,
    ) -> impl Iterator<Item = (&'a RelPath, &'a Record)> + use<'a, F> {
        let name = &self.name;
        // Asked with every input, so the index is not gone through where nothing can wait.
        let waits = self.settings.mode == Mode::Manual;
        let state = cx.store.state().shares.get(name).filter(|_| waits);
        state.into_iter().flat_map(|state| state.index.iter()).filter(|(_, record)| record.pending)
    }

    /// What changed here may travel: it gets new numbers, under which everybody hears it.
    pub(crate) fn let_go(&mut self, cx: &mut Context<F>) {
        let name = &self.name;
        let state = cx.store.share(name);
        let pending = state.index.iter().filter(|(path, record)| record.pending && !self.is_on_trial(cx, path, record));
        let mut waiting: Vec<(u64, RelPath)> = pending.map(|(path, record)| (record.seq, path.clone())).collect();
        waiting.sort_unstable();
        let (count, some) = (waiting.len() as u64, waiting.iter().take(limits::SENT_PATHS));
        let some = some.map(|(_, path)| path.clone()).collect();
        self.renumber(cx, waiting.into_iter().map(|(_, path)| path), |_, record| record.pending = false);
        self.begin_delivery(cx, some, count);
    }

    /// Gives records new numbers in this order, under which everybody hears them; what was one batch stays one.
    pub(crate) fn renumber(
        &mut self,
        cx: &mut Context<F>,
        paths: impl Iterator<Item = RelPath>,
        change: impl Fn(&mut Store<F::Root>, &mut Record),
    ) {
        let name = &self.name;
        let mut batches: Option<(u64, u64)> = None;
        for path in paths {
            let Some(mut record) = cx.record_of(name, &path) else { continue };
            change(&mut cx.store, &mut record);
            record.seq = cx.store.next_seq(cx.now.wall);
            let before = record.batch;
            record.batch = match batches {
                Some((old, new)) if old == before => new,
                _ => record.seq,
            };
            batches = Some((before, record.batch));
            self.outgoing.top = record.seq;
            cx.store.change(Change::Record(name.clone(), path, record));
            cx.stirred = true;
        }
    }
}
