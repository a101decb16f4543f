//! The current shared forms of packages that contain values of one router only.
//!
//! The file of such a package is not what is synced, so its shared form needs a place of its own, and it must survive a
//! restart: the index has no more than its digest. It is stored among the contents of the history, flushed before the record
//! that needs it. When the form is replaced, it becomes a version without being written again.

use crate::fs::{FsError, Root};
use crate::model::{Digest, Set};
use crate::store::history::History;
use crate::store::item::Item;

impl<R: Root> History<R> {
    /// Stores a shared form, flushed; its digest. It stays until [`History::keep_forms`] no longer names it.
    ///
    /// # Errors
    /// Of writing.
    pub fn store_form(&mut self, text: &[u8]) -> Result<Digest, FsError> {
        let digest = Digest::of(text);
        if self.content(digest)?.is_some() {
            self.forms.insert(digest);
            return Ok(digest);
        }
        self.make_dirs()?;
        self.write_form(digest, text).inspect_err(|error| self.made &= !error.is_missing())?;
        self.forms.insert(digest);
        Ok(digest)
    }

    fn write_form(&self, digest: Digest, text: &[u8]) -> Result<(), FsError> {
        self.write_object(digest, text, |file| self.root.sync(file))?;
        self.root.sync_dir(Some(&self.file("objects")?))
    }

    /// Lists a stored form as a version, once for each run; whether it is listed.
    ///
    /// # Errors
    /// Of reading it.
    pub fn list_form(&mut self, item: Item) -> Result<bool, FsError> {
        let same = |known: &Item| {
            known.run == item.run && known.path == item.path && known.share == item.share && known.digest == item.digest
        };
        if self.items.values().any(same) {
            return Ok(true);
        }
        if self.content(item.digest)?.is_none() {
            return Ok(false);
        }
        self.list(item);
        Ok(true)
    }

    /// Keeps these forms, and removes those that neither they nor the list of versions name.
    ///
    /// # Errors
    /// Of removing one; what is left goes at the next start.
    pub fn keep_forms(&mut self, current: Set<Digest>) -> Result<(), FsError> {
        let before = std::mem::replace(&mut self.forms, current);
        for digest in before.iter().filter(|digest| !self.is_used(**digest)) {
            match self.root.remove(&self.object(*digest)?) {
                Err(error) if !error.is_missing() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a content is listed, or a current form.
    pub(super) fn is_used(&self, digest: Digest) -> bool {
        self.forms.contains(&digest) || self.items.values().any(|item| item.digest == digest)
    }
}
