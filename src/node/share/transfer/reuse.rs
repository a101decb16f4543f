//! Takes content that is already on this machine instead of asking a peer for it: what a rename moves does not travel.
//!
//! Content is found by its digest: at another path of the share, staged for another batch, or in the history. It is copied
//! into the staging area in bounded steps and verified as what a peer sends is; never linked, because a program may have
//! the source open. A source that turns out to be something else, or vanishes, costs a request to the peer and nothing else.

use crate::fs::form::Content as FormContent;
use crate::fs::stage::Incoming;
use crate::fs::{Fs, Root};
use crate::model::{Digest, Kind, Map, RelPath, limits};
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::inbox::batch::Content;
use crate::node::share::transaction::apply::attributes_of;

/// Where a content is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// At a path of the share, or staged in it.
    Share(RelPath),
    /// In the history, as the file there.
    History(RelPath),
}

/// A content that is being copied.
pub(crate) struct Copying<R: Root> {
    source: Source,
    /// Not before its turn has come.
    open: Option<(FormContent<R>, Incoming<R>)>,
}

impl<R: Root> Copying<R> {
    /// Removes what was copied so far.
    pub fn discard(self, root: &R) {
        if let Some((_, incoming)) = self.open {
            incoming.discard(root);
        }
    }
}

impl<F: Fs> Share<F> {
    /// Looks for what a batch wants on this machine, once.
    pub(crate) fn seek_locally(&mut self, cx: &mut Context<F>, batch_id: u64) {
        let name = &self.name;
        let Some(batch) = self.inbox.batches.get_mut(&batch_id).filter(|batch| !batch.sought) else { return };
        batch.sought = true;
        let index = &cx.store.share(name).index;
        let wanted: Vec<(RelPath, Digest, u64)> = batch
            .offers
            .iter()
            .filter(|(_, pending)| matches!(pending.content, Content::Wanted) && pending.entry.kind == Kind::File)
            .filter(|(path, pending)| pending.entry.size > 0 && !self.transfer.partial.contains_key(*path))
            .map(|(path, pending)| (path.clone(), pending.entry.digest, pending.entry.size))
            .collect();
        // Looking at a path takes about as long as receiving a byte over a fast network.
        let bytes = wanted.iter().fold(0u64, |sum, (_, _, size)| sum.saturating_add(*size));
        if wanted.is_empty() || bytes < index.len() as u64 {
            return;
        }
        let mut sources: Map<Digest, Option<Source>> = wanted.iter().map(|(_, digest, _)| (*digest, None)).collect();
        let mut found = |digest: &Digest, source: &mut dyn FnMut() -> Option<Source>| {
            if let Some(slot @ None) = sources.get_mut(digest) {
                *slot = source();
            }
        };
        for (path, record) in index.iter() {
            if record.entry.kind == Kind::File
                && record.is_awake_and_live()
                && record.disk.is_some()
                && record.local.is_none()
            {
                found(&record.entry.digest, &mut || Some(Source::Share(path.clone())));
            }
        }
        for other in self.inbox.batches.values() {
            for pending in other.offers.values() {
                if let (Content::Staged(staged), Kind::File) = (&pending.content, pending.entry.kind) {
                    found(&pending.entry.digest, &mut || Some(Source::Share(staged.clone())));
                }
            }
        }
        let history = &cx.history;
        for item in history.items().filter(|item| item.kind == Kind::File) {
            found(&item.digest, &mut || history.object(item.digest).ok().map(Source::History));
        }
        let Some(batch) = self.inbox.batches.get_mut(&batch_id) else { return };
        for (path, digest, _) in wanted {
            let Some(Some(source)) = sources.get(&digest).cloned() else { continue };
            if let Some(pending) = batch.offers.get_mut(&path) {
                pending.content = Content::Copying(Box::new(Copying { source, open: None }));
                self.transfer.fetching.insert((path.clone(), digest), batch_id);
                batch.copies.push_back(path);
            }
        }
    }

    /// Whether something of a share is to be copied.
    pub(crate) fn copies(&self) -> bool {
        self.root.is_some() && self.inbox.batches.values().any(|batch| !batch.copies.is_empty())
    }

    /// Copies about `budget` bytes.
    pub(crate) fn continue_copying(&mut self, cx: &mut Context<F>, budget: usize) {
        let mut left = budget;
        let mut buffer = Vec::new();
        while left > 0 {
            let Some(root) = &self.root else { return };
            let Some((_, batch)) = self.inbox.batches.iter_mut().find(|(_, batch)| !batch.copies.is_empty()) else {
                return;
            };
            let Some(path) = batch.copies.front().cloned() else { return };
            let Some(pending) = batch.offers.get_mut(&path) else {
                batch.copies.pop_front();
                continue;
            };
            let entry = &pending.entry;
            let Content::Copying(copying) = &mut pending.content else {
                // A later word replaced it.
                batch.copies.pop_front();
                continue;
            };
            // Opening a small file costs about as much as reading a page of it.
            left = left.saturating_sub(4096);
            buffer.resize(limits::STEP, 0);
            let min_free = self.settings.min_free;
            let history = cx.history.root();
            let from = |source: &Source| if matches!(source, Source::History(_)) { history } else { root };
            let mut step = || -> Option<bool> {
                if copying.open.is_none() {
                    let (Source::Share(at) | Source::History(at)) = &copying.source;
                    let content = FormContent::open(from(&copying.source), at, Kind::File).ok()?;
                    Context::<F>::has_room(root, entry.size, min_free).ok()?;
                    let staged = self.staging.name(root).ok()?;
                    copying.open = Some((content, Incoming::start(staged, Kind::File, entry.size)));
                }
                let (content, incoming) = copying.open.as_mut()?;
                while left > 0 && !incoming.is_complete() {
                    let most = usize::try_from(entry.size - incoming.arrived()).unwrap_or(usize::MAX).min(buffer.len());
                    let count = content.read(from(&copying.source), incoming.arrived(), &mut buffer[..most]).ok()?;
                    if count == 0 {
                        return None;
                    }
                    incoming.take(root, incoming.arrived(), &buffer[..count]).ok()?;
                    left = left.saturating_sub(count);
                }
                Some(incoming.is_complete())
            };
            let complete = step();
            if complete == Some(false) {
                continue;
            }
            batch.copies.pop_front();
            let Content::Copying(copying) = std::mem::replace(&mut pending.content, Content::Wanted) else { continue };
            let attributes = attributes_of(&cx.fs, &pending.entry, self.settings.allow_setuid);
            let staged = match (complete, copying.open) {
                (Some(true), Some((_, incoming))) => incoming.finish(root, pending.entry.digest, attributes).ok(),
                (_, Some((_, incoming))) => {
                    incoming.discard(root);
                    None
                }
                (_, None) => None,
            };
            match staged {
                Some(staged) => {
                    cx.counters.reused_files += 1;
                    cx.counters.reused += pending.entry.size;
                    pending.content = Content::Staged(staged);
                }
                None => {
                    // The peer has it.
                    self.transfer.fetching.remove(&(path.clone(), pending.entry.digest));
                    batch.unasked.push_back(path);
                }
            }
            if batch.link.is_none() && !batch.is_complete() && batch.copies.is_empty() {
                // Whoever had the rest has left meanwhile: it is offered again.
                batch.not_before = cx.now.mono;
            }
            cx.stirred = true;
        }
    }
}
