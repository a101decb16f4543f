//! A transaction that passed every guard and check and has its content staged, and on disk nothing has changed.
//!
//! This is the one entrance: a peer's batch comes to it through the plan, and what a user restores, or what is rolled back,
//! comes to it with the previous versions staged. From here on a crash can be completed.

use crate::fs::Fs;
use crate::fs::apply::Seen;
use crate::model::{DiskStat, NodeId, RelPath};
use crate::node::CommandId;
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::transaction::apply::Landing;
use crate::node::share::transaction::record::NotBegun;
use crate::node::share::transaction::step::Outcome;
use crate::store::state::{Cause, LandingRecord, LandingStep};

/// A prepared transaction. See the module's text.
pub(crate) struct Prepared {
    pub cause: Cause,
    /// Who offered it.
    pub from: Option<NodeId>,
    /// Seconds within which it must be confirmed; 0: it need not be.
    pub confirm: u32,
    /// The batch it applies; `None` for what this node brings back.
    pub batch: Option<u64>,
    /// The request that waits for its end.
    pub command: Option<CommandId>,
    /// Paths that were asked for and changed since, so they are left alone.
    pub left: Vec<RelPath>,
    /// Of its deletions, how many leave a content that is still in the share.
    pub moved: u64,
    /// Something changes on disk, so that it must be journaled.
    pub on_disk: bool,
    /// Its paths, in the order in which they are applied.
    pub steps: Vec<PreparedStep>,
}

/// One path of a prepared transaction.
pub(crate) struct PreparedStep {
    pub step: LandingStep,
    /// What is at the path, as the decision saw it.
    pub seen: Option<Seen>,
    /// Nothing changes on disk, where this is.
    pub noted: Option<Noted>,
}

/// Only what is known of a path changes; what is on disk stays.
pub(crate) struct Noted(pub Option<DiskStat>);

impl<F: Fs> Share<F> {
    /// Begins a transaction: writes it to the journal, if anything changes on disk.
    ///
    /// # Errors
    /// Why it was not begun; nothing has changed then.
    pub(crate) fn begin_transaction(&mut self, cx: &mut Context<F>, prepared: Prepared) -> Result<(), NotBegun> {
        let run = cx.next_run;
        cx.next_run += 1;
        let Prepared { cause, from, confirm, batch, command, left, moved, on_disk, steps } = prepared;
        let mut record = LandingRecord { run, from, cause, confirm, steps: Vec::with_capacity(steps.len()) };
        let (mut seen, mut noted) = (Vec::with_capacity(steps.len()), Vec::with_capacity(steps.len()));
        for one in steps {
            record.steps.push(one.step);
            seen.push(one.seen);
            noted.push(one.noted);
        }
        if on_disk {
            self.journal_landing(cx, &record)?;
        }
        let mut landing = Landing::new(&record, seen, batch);
        landing.begun = Some(cx.now.mono);
        landing.moved = moved;
        landing.command = command;
        landing.left = left;
        for (op, noted) in landing.ops.iter_mut().zip(noted) {
            if let Some(Noted(disk)) = noted {
                op.outcome = Outcome::Noted;
                op.disk = disk;
            }
        }
        if cause == Cause::Committed {
            self.note_commit_begun(run);
        }
        self.transaction.landing = Some(landing);
        Ok(())
    }
}
