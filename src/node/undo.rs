//! What a landing leaves that did not come to be.
//!
//! Everything lies again where it lay. What could not be put back is in history before the landing counts as over: until
//! then its only copy lies in the staging area, under a name that the next content may get.

use crate::fs::{Found, Fs, FsError, Root, apply};
use crate::model::{Now, Reason, RelPath, ShareName, limits};
use crate::node::Node;
use crate::node::api::Level;
use crate::node::batch::Content;
use crate::node::keep::{Lost, found, item_of};
use crate::node::land::Landing;
use crate::node::op::{Op, Outcome};
use crate::store::state::{Cause, Why};

impl<F: Fs> Node<F> {
    /// A landing was undone because of one path: its batch is owed, or tried again soon.
    pub(crate) fn undone(&mut self, now: Now, name: &ShareName, path: &RelPath, reason: Reason) {
        let Some(mut landing) = self.shares.get_mut(name).and_then(|share| share.landing.take()) else { return };
        // What was put back must be there for good before the state says so: its staged copy goes at the next start.
        let kept = self
            .flush_dirs(name, &mut landing)
            .and_then(|()| self.keep_strays(now, name, &landing))
            .and_then(|()| self.look_at_stuck(name, &mut landing));
        if let Err(error) = kept {
            self.retry_end(now, name, landing, &format!("what was in place already cannot be put back: {error}"));
            return;
        }
        let (stuck, back): (Vec<Op>, Vec<Op>) = std::mem::take(&mut landing.ops)
            .into_iter()
            .partition(|op| matches!(op.outcome, Outcome::Done | Outcome::Changed));
        let batch = landing.batch;
        self.fail_own(&landing, path, &reason);
        if landing.cause == Cause::TakenBack {
            self.note_refused(name, path, &reason);
        }
        landing.command = None;
        // What stayed in place has landed, whatever became of the rest: were it not written down, a deletion of it that
        // comes next would pass it by, and the next scan would take it for a file that somebody made since.
        landing.ops = stuck;
        self.record_landing(now, name, landing);
        self.stirred = true;
        let Some(id) = batch else {
            back.iter().for_each(|op| self.litter(name, op.step.staged.as_ref()));
            return;
        };
        if reason == Reason::Busy {
            if let Some(batch) = self.shares.get_mut(name).and_then(|share| share.batches.get_mut(&id)) {
                let since = *batch.busy_since.get_or_insert(now.mono);
                if now.mono.since(since) < limits::LOCK_TIME {
                    batch.not_before = now.mono.plus(std::time::Duration::from_millis(100));
                    return;
                }
            }
        }
        let free =
            self.shares.get(name).and_then(|share| share.root.as_ref()).and_then(|root| root.free().ok()).unwrap_or(0);
        let reason = if matches!(reason, Reason::NoRoom { .. }) { Reason::NoRoom { need: 0, free } } else { reason };
        if let Some(share) = self.shares.get_mut(name) {
            let offers = share.batches.get_mut(&id).into_iter().flat_map(|batch| batch.offers.iter_mut());
            for (_, pending) in offers.filter(|(other, _)| reason.delays_batch() || *other == path) {
                if let Content::Staged(staged) = &pending.content {
                    share.litter.push(staged.clone());
                    pending.content = Content::Wanted;
                }
            }
        }
        self.fail_path(now, name, id, path, reason);
        if let Some(batch) = self.shares.get_mut(name).and_then(|share| share.batches.get_mut(&id)) {
            // What is left of it need not wait for the one path.
            batch.busy_since = None;
        }
    }

    /// The disk refused the end of a transaction: it is tried again, less and less often, and status says why.
    pub(crate) fn retry_end(&mut self, now: Now, name: &ShareName, mut landing: Landing, why: &str) {
        if landing.trouble.as_deref() != Some(why) {
            self.log(Level::Error, format!("share {name}: {why}; the share waits, and it is tried again"));
        }
        landing.wait(now.mono, why);
        if let Some(share) = self.shares.get_mut(name) {
            share.landing = Some(landing);
        }
    }

    /// A staged file that nothing needs any more, once the end of its landing is written down.
    pub(crate) fn litter(&mut self, name: &ShareName, staged: Option<&RelPath>) {
        if let Some(share) = self.shares.get_mut(name) {
            share.litter.extend(staged.cloned());
        }
    }

    /// Tells apart what stayed in place and what somebody changed since.
    fn look_at_stuck(&self, name: &ShareName, landing: &mut Landing) -> Result<(), FsError> {
        let Some(root) = self.shares.get(name).and_then(|share| share.root.as_ref()) else { return Ok(()) };
        for op in landing.ops.iter_mut().filter(|op| op.outcome == Outcome::Stuck) {
            op.outcome = if op.is_in_place(root)? { Outcome::Done } else { Outcome::Changed };
        }
        Ok(())
    }

    /// Keeps what could not be put back. It can be tried again: what is kept no longer lies aside.
    fn keep_strays(&mut self, now: Now, name: &ShareName, landing: &Landing) -> Result<(), FsError> {
        let Some(root) = self.shares.get(name).and_then(|share| share.root.as_ref()) else { return Ok(()) };
        let mut kept = Vec::new();
        for op in &landing.ops {
            let Some(staged) = &op.step.staged else { continue };
            apply::finish_exchange(root, staged, &op.step.path)?;
            if !op.holds_a_stray(root)? {
                continue;
            }
            let Some(Found::Synced(stat)) = root.stat(staged)? else { continue };
            let entry = found(&stat, apply::digest_of(root, staged, stat.kind)?);
            let (path, entry) = (&op.step.path, &entry);
            let lost =
                Lost { share: name, path, entry, why: Why::Conflict, by: landing.from, run: landing.run, after: None };
            self.history.keep(root, staged, item_of(self.noted(now), &lost))?;
            kept.push(op.step.path.clone());
        }
        if kept.is_empty() {
            return Ok(());
        }
        self.history.commit()?;
        for path in kept {
            let line = format!(
                "share {name}: {path} could not be put back and is in history: `owsync restore` brings it back"
            );
            self.log(Level::Error, line);
        }
        Ok(())
    }
}
