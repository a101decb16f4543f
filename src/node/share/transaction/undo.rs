//! Cleans up after a transaction that was rolled back.
//!
//! Everything lies again where it lay. What could not be put back is in history before the landing counts as over: until
//! then its only copy lies in the staging area, under a name that the next content may get.

use crate::fs::{Found, Fs, FsError, Root, apply};
use crate::model::{Reason, RelPath, limits};
use crate::node::Output;
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::inbox::batch::Content;
use crate::node::share::transaction::apply::Landing;
use crate::node::share::transaction::keep::{Lost, found, item_of};
use crate::node::share::transaction::step::{Op, Outcome};
use crate::store::state::{Cause, Change, Why};

impl<F: Fs> Share<F> {
    /// A landing was undone because of one path: its batch is owed, or tried again soon.
    pub(crate) fn end_rolled_back(&mut self, cx: &mut Context<F>, path: &RelPath, reason: Reason) {
        let Some(mut landing) = self.transaction.landing.take() else { return };
        // What was put back must be there for good before the state says so: its staged copy goes at the next start.
        let kept = self
            .flush_dirs(&mut landing)
            .and_then(|()| self.keep_strays(cx, &landing))
            .and_then(|()| self.look_at_stuck(&mut landing));
        if let Err(error) = kept {
            self.retry_end(cx, landing, &format!("the paths that were already applied cannot be restored: {error}"));
            return;
        }
        if landing.cause == Cause::Committed {
            return self.end_commit_rolled_back(cx, landing, path, reason);
        }
        let (stuck, back): (Vec<Op>, Vec<Op>) = std::mem::take(&mut landing.ops)
            .into_iter()
            .partition(|op| matches!(op.outcome, Outcome::Done | Outcome::Changed));
        let batch = landing.batch;
        self.fail_request(cx, &landing, path, &reason);
        if landing.cause == Cause::TakenBack {
            self.note_refused(cx, path, &reason);
        }
        landing.command = None;
        // What stayed in place has landed, whatever became of the rest: were it not written down, a deletion of it that
        // comes next would pass it by, and the next scan would take it for a file that somebody made since.
        landing.ops = stuck;
        self.record_landing(cx, landing);
        cx.stirred = true;
        let Some(id) = batch else {
            back.iter().for_each(|op| self.leftovers(op.step.staged.as_ref()));
            return;
        };
        if reason == Reason::Busy {
            if let Some(batch) = self.inbox.batches.get_mut(&id) {
                let since = *batch.busy_since.get_or_insert(cx.now.mono);
                if cx.now.mono.since(since) < limits::LOCK_TIME {
                    batch.not_before = cx.now.mono.plus(std::time::Duration::from_millis(100));
                    return;
                }
            }
        }
        let free = self.root.as_ref().and_then(|root| root.free().ok()).unwrap_or(0);
        let reason = if matches!(reason, Reason::NoRoom { .. }) { Reason::NoRoom { need: 0, free } } else { reason };
        let offers = self.inbox.batches.get_mut(&id).into_iter().flat_map(|batch| batch.offers.iter_mut());
        for (_, pending) in offers.filter(|(other, _)| reason.delays_batch() || *other == path) {
            let merged = pending.merging.take().and_then(|merging| merging.staged);
            self.transaction.leftovers.extend(merged);
            if let Content::Staged(staged) = &pending.content {
                self.transaction.leftovers.push(staged.clone());
                pending.content = Content::Wanted;
            }
        }
        self.fail_path(cx, id, path, reason);
        if let Some(batch) = self.inbox.batches.get_mut(&id) {
            // What is left of it need not wait for the one path.
            batch.busy_since = None;
        }
    }

    /// A commit was rolled back. What was edited here meanwhile stays, and is an edit of what was there before.
    fn end_commit_rolled_back(&mut self, cx: &mut Context<F>, mut landing: Landing, path: &RelPath, reason: Reason) {
        if let Some(op) = landing.ops.iter().find(|op| op.outcome == Outcome::Done) {
            // Recorded as applied, it would be in an index, and spread from here.
            let why = format!("{} of a commit that was rolled back cannot be restored", op.step.path);
            landing.undo_all(path.clone(), reason);
            return self.retry_end(cx, landing, &why);
        }
        let mut back = Vec::new();
        for op in &landing.ops {
            let path = op.step.path.clone();
            if op.outcome == Outcome::Changed {
                let line = format!("share {}: {path} was edited while it was committed: the edit stays", self.name);
                cx.log(Level::Warning, line);
            }
            // The same file has another time of change now, and is read again.
            self.detect.hints.add(cx.now.mono, crate::fs::scan::Hint { path: path.clone(), deep: true });
            self.leftovers(op.step.staged.as_ref());
            back.push(path);
        }
        if !back.is_empty() {
            let some: Vec<String> = back.iter().take(4).map(RelPath::to_text).collect();
            let line = format!("share {}: rolled back a commit of {}: {reason}", self.name, some.join(", "));
            cx.log(Level::Warning, line);
            cx.outputs.push_back(Output::Landed { share: self.name.clone(), paths: back, begun: None });
        }
        cx.store.change(Change::Landed(self.name.clone()));
        self.note_commit_rolled_back(cx, format!("{path}: {reason}"));
    }

    /// The disk refused the end of a transaction: it is tried again, less and less often, and status says why.
    pub(crate) fn retry_end(&mut self, cx: &mut Context<F>, mut landing: Landing, why: &str) {
        let name = &self.name;
        if landing.trouble.as_deref() != Some(why) {
            cx.log(Level::Error, format!("share {name}: {why}; the share waits, and owsync retries automatically"));
        }
        landing.wait(cx.now.mono, why);
        self.transaction.landing = Some(landing);
    }

    /// A staged file that nothing needs any more, once the end of its landing is written down.
    pub(crate) fn leftovers(&mut self, staged: Option<&RelPath>) {
        self.transaction.leftovers.extend(staged.cloned());
    }

    /// Tells apart what stayed in place and what somebody changed since.
    fn look_at_stuck(&self, landing: &mut Landing) -> Result<(), FsError> {
        let Some(root) = self.root.as_ref() else { return Ok(()) };
        let is_recorded = landing.cause != Cause::Committed;
        for op in landing.ops.iter_mut().filter(|op| op.outcome == Outcome::Stuck) {
            // It was in place, so a user who removed it since has seen it: recorded as applied, it is a deletion. What is not
            // recorded, because its commit is rolled back, is a deletion of what was there before.
            let is_removed = is_recorded && op.step.entry.has_content() && root.stat(&op.step.path)?.is_none();
            op.outcome = if is_removed || op.is_in_place(root)? { Outcome::Done } else { Outcome::Changed };
        }
        Ok(())
    }

    /// Keeps what could not be put back. It can be tried again: what is kept no longer lies aside.
    fn keep_strays(&mut self, cx: &mut Context<F>, landing: &Landing) -> Result<(), FsError> {
        let name = &self.name;
        let Some(root) = self.root.as_ref() else { return Ok(()) };
        let mut kept = Vec::new();
        let mut is_committed = true;
        for op in &landing.ops {
            let Some(staged) = &op.step.staged else { continue };
            apply::finish_exchange(root, staged, &op.step.path)?;
            let was_replaced = op.outcome == Outcome::Stuck && op.step.old.is_some();
            if was_replaced && root.stat(staged)?.is_none() {
                // History took it before a crash, or before its list could not be written.
                is_committed = false;
                let Some(record) = cx.store.share(name).index.get(&op.step.path) else { continue };
                let lost = Lost {
                    share: name,
                    path: &op.step.path,
                    entry: &record.entry,
                    why: op.step.why.unwrap_or(Why::Replaced),
                    by: landing.from,
                    run: landing.run,
                    after: Some(op.step.entry.digest),
                    seq: record.seq,
                };
                if cx.history.adopt_object(item_of(cx.noted(), &lost))? {
                    kept.push(op.step.path.clone());
                }
                continue;
            }
            if !op.holds_a_stray(root)? {
                continue;
            }
            let Some(Found::Synced(stat)) = root.stat(staged)? else { continue };
            let entry = found(&stat, apply::digest_of(root, staged, stat.kind)?);
            let (path, entry) = (&op.step.path, &entry);
            let lost = Lost {
                share: name,
                path,
                entry,
                why: Why::Conflict,
                by: landing.from,
                run: landing.run,
                after: None,
                seq: 0,
            };
            cx.history.keep(root, staged, item_of(cx.noted(), &lost))?;
            kept.push(op.step.path.clone());
        }
        if kept.is_empty() && is_committed {
            return Ok(());
        }
        cx.history.commit()?;
        for path in kept {
            let line =
                format!("share {name}: {path} could not be restored; it is in the history: run `owsync restore`");
            cx.log(Level::Error, line);
        }
        Ok(())
    }
}
