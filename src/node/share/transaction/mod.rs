//! Puts a batch in place, whole or not at all, and decides whether it stays.
//!
//! `plan` decides what becomes of each path, `check` has this machine's programs check it, `uncommitted` keeps it waiting for
//! uncommitted changes of UCI packages, `prepared` is what passed all of that and is staged: restores and rollbacks
//! (`restore`) begin there too. `apply` puts the paths in place (`step` is one of them), `keep` moves what they replaced into
//! the history, and `record` writes down what was applied. `undo` cleans up after a transaction that was rolled back,
//! `restore` brings previous versions back, and `confirm` rolls back what was not confirmed in time.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod confirm;
pub(crate) mod keep;
pub(crate) mod merge;
pub(crate) mod plan;
pub(crate) mod prepared;
pub(crate) mod record;
pub(crate) mod restore;
pub(crate) mod step;
pub(crate) mod uncommitted;
pub(crate) mod undo;

use crate::model::{Monotonic, RelPath};
use apply::Landing;
use confirm::Unconfirmed;
use uncommitted::Uncommitted;

/// A batch that is put in place, and whether it stays.
#[derive(Default)]
pub(crate) struct Transaction {
    /// The batch that is put in place.
    pub landing: Option<Landing>,
    /// What is in place awaits confirmation, if it was applied in this process.
    pub unconfirmed: Option<Unconfirmed>,
    /// Staged files of a transaction that ended: they are removed once it is written down that it did, because until then
    /// a restart would take their absence for having been applied.
    pub leftovers: Vec<RelPath>,
    /// What waits for uncommitted changes.
    pub uncommitted: Uncommitted,
}

impl Transaction {
    pub fn poll_timeout(&self) -> Monotonic {
        let landing = self.landing.as_ref().map_or(Monotonic::NEVER, Landing::retry_at);
        let unconfirmed = self.unconfirmed.as_ref().map_or(Monotonic::NEVER, Unconfirmed::poll_timeout);
        landing.min(unconfirmed).min(self.uncommitted.poll_timeout())
    }
}
