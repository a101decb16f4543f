//! Content of transfers that broke off: kept for a while, so that the next attempt goes on where this one ended.

use crate::fs::{Fs, Root};
use crate::model::{Entry, Monotonic, Now, RelPath, ShareName, limits};
use crate::node::batch::{Batch, Content};
use crate::node::share::Share;
use crate::node::{LinkId, Node};

/// Content of a batch that did not become complete.
pub(crate) struct Broken<R: Root> {
    path: RelPath,
    entry: Entry,
    content: Content<R>,
    since: Monotonic,
}

impl<R: Root> Share<R> {
    /// Content for this entry that an earlier attempt brought; whole, or as far as it came.
    pub fn take_broken(&mut self, path: &RelPath, entry: &Entry) -> Option<Content<R>> {
        let at = self.broken.iter().position(|broken| broken.path == *path)?;
        let Broken { entry: before, content, .. } = self.broken.swap_remove(at);
        // What is whole has the attributes of its entry by now; what is not gets them at its end.
        let fits = match &content {
            Content::Arriving(_) => before.same_content(entry),
            _ => before.same_fields(entry),
        };
        match (fits, &self.root) {
            (true, _) => Some(content),
            (false, Some(root)) => {
                content.discard(root);
                None
            }
            (false, None) => None,
        }
    }

    /// Keeps what a transfer brought, as far as there is room for it.
    fn keep_broken(&mut self, broken: Broken<R>) {
        let Some(root) = &self.root else { return };
        let is_open = |broken: &Broken<R>| matches!(broken.content, Content::Arriving(_));
        let brought = matches!(broken.content, Content::Arriving(_) | Content::Staged(_));
        let open = self.broken.iter().filter(|broken| is_open(broken)).count();
        if !brought || is_open(&broken) && open >= limits::BROKEN_OPEN {
            return broken.content.discard(root);
        }
        if let Some(at) = self.broken.iter().position(|other| other.path == broken.path) {
            // The next attempt would have taken it, if it had come so far.
            self.broken.swap_remove(at).content.discard(root);
        }
        self.broken.push(broken);
    }

    /// Gives up what broke off before `since`.
    pub fn drop_broken(&mut self, since: Monotonic) {
        let (old, young) = std::mem::take(&mut self.broken).into_iter().partition(|broken| broken.since <= since);
        self.broken = young;
        if let Some(root) = &self.root {
            let old: Vec<Broken<R>> = old;
            old.into_iter().for_each(|broken| broken.content.discard(root));
        }
    }

    /// When the oldest of it is given up.
    pub fn broken_until(&self) -> Monotonic {
        let oldest = self.broken.iter().map(|broken| broken.since).min();
        oldest.map_or(Monotonic::NEVER, |since| since.plus(limits::BROKEN_KEPT))
    }
}

impl<F: Fs> Node<F> {
    /// The batches that a session was bringing break off; what has arrived of them is kept.
    pub(crate) fn break_off(&mut self, now: Now, name: &ShareName, id: LinkId) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let landing = share.landing.as_ref().and_then(|landing| landing.batch);
        let breaks = |batch: &Batch<F::Root>| batch.link == Some(id) && !batch.is_complete();
        let ids: Vec<u64> = share
            .batches
            .iter()
            .filter(|(id, batch)| landing != Some(**id) && breaks(batch))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let Some(batch) = share.batches.remove(&id) else { continue };
            share.fetching.retain(|_, by| *by != id);
            for (path, pending) in batch.offers {
                share.keep_broken(Broken { path, entry: pending.entry, content: pending.content, since: now.mono });
            }
        }
        if share.broken.len() > limits::BROKEN_PATHS {
            share.drop_broken(Monotonic::NEVER);
        }
    }
}
