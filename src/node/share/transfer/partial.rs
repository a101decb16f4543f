//! Keeps what an interrupted transfer brought for a while, so that the next attempt resumes there.

use crate::fs::{Fs, Root};
use crate::model::{Entry, Map, Monotonic, RelPath, limits};
use crate::node::LinkId;
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::inbox::batch::{Content, Pending};

/// Content of a batch that did not become complete.
pub(crate) struct PartialContent<R: Root> {
    entry: Entry,
    content: Content<R>,
    since: Monotonic,
}

impl<F: Fs> Share<F> {
    /// Content for this entry that an earlier attempt brought; whole, or as far as it came.
    pub fn take_partial(&mut self, path: &RelPath, entry: &Entry) -> Option<Content<F::Root>> {
        let PartialContent { entry: before, content, .. } = self.transfer.partial.remove(path)?;
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
    fn keep_partial(&mut self, now: Monotonic, path: RelPath, pending: Pending<F::Root>) {
        let Some(root) = &self.root else { return };
        let is_open = |content: &Content<F::Root>| matches!(content, Content::Arriving(_));
        let open = || self.transfer.partial.values().filter(|broken| is_open(&broken.content)).count();
        let Pending { entry, content, .. } = pending;
        let brought = is_open(&content) || matches!(content, Content::Staged(_));
        if !brought || is_open(&content) && open() >= limits::BROKEN_OPEN {
            return content.discard(root);
        }
        if let Some(before) = self.transfer.partial.insert(path, PartialContent { entry, content, since: now }) {
            // The next attempt would have taken it, if it had come so far.
            before.content.discard(root);
        }
    }

    /// Gives up what broke off until `since`.
    pub fn drop_partial(&mut self, since: Monotonic) {
        let (old, young): (Map<_, PartialContent<F::Root>>, _) =
            std::mem::take(&mut self.transfer.partial).into_iter().partition(|(_, broken)| broken.since <= since);
        self.transfer.partial = young;
        if let Some(root) = &self.root {
            old.into_values().for_each(|broken| broken.content.discard(root));
        }
    }

    /// When the oldest of it is given up.
    pub fn partial_until(&self) -> Monotonic {
        let oldest = self.transfer.partial.values().map(|broken| broken.since).min();
        oldest.map_or(Monotonic::NEVER, |since| since.plus(limits::BROKEN_KEPT))
    }
}

impl<F: Fs> Share<F> {
    /// The batches that a session was bringing break off; what has arrived of them is kept.
    pub(crate) fn break_off(&mut self, cx: &mut Context<F>, id: LinkId) {
        for batch in self.take_batches(|batch| batch.link == Some(id) && !batch.is_complete()) {
            for (path, pending) in batch.offers {
                self.keep_partial(cx.now.mono, path, pending);
            }
        }
        if self.transfer.partial.len() > limits::BROKEN_PATHS {
            self.drop_partial(Monotonic::NEVER);
        }
    }
}
