//! Content of transfers that broke off: kept for a while, so that the next attempt goes on where this one ended.

use crate::fs::{Fs, Root};
use crate::model::{Entry, Map, Monotonic, Now, RelPath, ShareName, limits};
use crate::node::batch::{Content, Pending};
use crate::node::share::Share;
use crate::node::{LinkId, Node};

/// Content of a batch that did not become complete.
pub(crate) struct Broken<R: Root> {
    entry: Entry,
    content: Content<R>,
    since: Monotonic,
}

impl<R: Root> Share<R> {
    /// Content for this entry that an earlier attempt brought; whole, or as far as it came.
    pub fn take_broken(&mut self, path: &RelPath, entry: &Entry) -> Option<Content<R>> {
        let Broken { entry: before, content, .. } = self.broken.remove(path)?;
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
    fn keep_broken(&mut self, now: Monotonic, path: RelPath, pending: Pending<R>) {
        let Some(root) = &self.root else { return };
        let is_open = |content: &Content<R>| matches!(content, Content::Arriving(_));
        let open = || self.broken.values().filter(|broken| is_open(&broken.content)).count();
        let Pending { entry, content, .. } = pending;
        let brought = is_open(&content) || matches!(content, Content::Staged(_));
        if !brought || is_open(&content) && open() >= limits::BROKEN_OPEN {
            return content.discard(root);
        }
        if let Some(before) = self.broken.insert(path, Broken { entry, content, since: now }) {
            // The next attempt would have taken it, if it had come so far.
            before.content.discard(root);
        }
    }

    /// Gives up what broke off until `since`.
    pub fn drop_broken(&mut self, since: Monotonic) {
        let (old, young): (Map<_, Broken<R>>, _) =
            std::mem::take(&mut self.broken).into_iter().partition(|(_, broken)| broken.since <= since);
        self.broken = young;
        if let Some(root) = &self.root {
            old.into_values().for_each(|broken| broken.content.discard(root));
        }
    }

    /// When the oldest of it is given up.
    pub fn broken_until(&self) -> Monotonic {
        let oldest = self.broken.values().map(|broken| broken.since).min();
        oldest.map_or(Monotonic::NEVER, |since| since.plus(limits::BROKEN_KEPT))
    }
}

impl<F: Fs> Node<F> {
    /// The batches that a session was bringing break off; what has arrived of them is kept.
    pub(crate) fn break_off(&mut self, now: Now, name: &ShareName, id: LinkId) {
        let Some(share) = self.shares.get_mut(name) else { return };
        for batch in share.take_batches(|batch| batch.link == Some(id) && !batch.is_complete()) {
            for (path, pending) in batch.offers {
                share.keep_broken(now.mono, path, pending);
            }
        }
        if share.broken.len() > limits::BROKEN_PATHS {
            share.drop_broken(Monotonic::NEVER);
        }
    }
}
