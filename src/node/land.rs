//! Putting one approved batch in place, step by step, whole or not at all.
//!
//! A [`Landing`] is made from an [`ApprovedPlan`] whose record is in the journal, or from that record after a crash. It
//! goes through its paths, a few per step of work. A path that somebody changed meanwhile is left out; one that the
//! system refuses undoes everything done so far. Only when all paths are in place do the old files, which still lie in
//! the staging area, move into history; until then nothing is lost and everything can be undone.

use crate::fs::apply::{self, Refusal, Seen};
use crate::fs::{Attributes, Found, Fs, FsError, Rename, Root};
use crate::model::entry::SETID_BITS;
use crate::model::{DiskStat, Entry, Index, Kind, Monotonic, NodeId, Reason, RelPath, Set, limits};
use crate::store::state::{LandingRecord, LandingStep};

/// What became of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not tried yet.
    Todo,
    /// In place. The old file, if there was one, lies at the step's staging name.
    Done,
    /// Nothing on disk had to change.
    Noted,
    /// Somebody changed it since: it is decided again. What was staged is still staged.
    Changed,
    /// It was in place and could not be put back.
    Stuck,
}

/// One path on its way into place.
pub(crate) struct Op {
    pub step: LandingStep,
    /// What lies there, as the decision saw it.
    pub seen: Option<Seen>,
    pub outcome: Outcome,
    /// What lies there now.
    pub disk: Option<DiskStat>,
    /// The staged file, as it was before it went into place.
    ready: Option<DiskStat>,
    /// Directories that had to be made above it.
    made: Vec<RelPath>,
    /// Written in place, so a write of somebody else at the same moment may hide behind our time.
    pub in_place: bool,
}

/// Where a landing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Paths go into place.
    Applying,
    /// They go back, because this path was refused.
    Undoing(RelPath, Reason),
    /// Nothing is in place; the batch is owed.
    Undone(RelPath, Reason),
    /// All are in place; the old files move into history.
    Keeping,
}

/// A batch going into place.
pub(crate) struct Landing {
    pub run: u64,
    pub from: Option<NodeId>,
    /// The batch it lands; `None` after a crash.
    pub batch: Option<u64>,
    pub ops: Vec<Op>,
    next: usize,
    pub phase: Phase,
    /// The next attempt, after something failed that may succeed later.
    retry_at: Monotonic,
    /// Directories whose names changed.
    pub touched: Set<Option<RelPath>>,
}

impl Landing {
    /// A landing of these paths, in this order.
    pub fn new(record: &LandingRecord, seen: Vec<Option<Seen>>, batch: Option<u64>) -> Landing {
        let ops = record
            .steps
            .iter()
            .cloned()
            .zip(seen)
            .map(|(step, seen)| Op {
                step,
                seen,
                outcome: Outcome::Todo,
                disk: None,
                ready: None,
                made: Vec::new(),
                in_place: false,
            })
            .collect();
        Landing {
            run: record.run,
            from: record.from,
            batch,
            ops,
            next: 0,
            phase: Phase::Applying,
            retry_at: Monotonic(0),
            touched: Default::default(),
        }
    }

    /// A landing that a crash interrupted: what was done is told apart from what was not by what lies where.
    ///
    /// # Errors
    /// Of looking.
    pub fn resume<R: Root>(record: &LandingRecord, root: &R, index: &Index) -> Result<Landing, FsError> {
        let seen = record.steps.iter().map(|step| seen_in(index, &step.path)).collect();
        let mut landing = Landing::new(record, seen, None);
        for op in &mut landing.ops {
            let Some(staged) = &op.step.staged else { continue };
            apply::finish_exchange(root, staged, &op.step.path)?;
            let staged_digest = match root.stat(staged)? {
                Some(Found::Synced(stat)) if matches!(stat.kind, Kind::File | Kind::Symlink) => {
                    Some(apply::digest_of(root, staged, stat.kind)?)
                }
                _ => None,
            };
            let done = match (op.step.entry.has_content(), staged_digest) {
                // The new content is still staged.
                (true, Some(digest)) if digest == op.step.entry.digest => false,
                (true, _) => true,
                // What went lies aside.
                (false, Some(_)) => true,
                // Nothing lies aside: either the old file is still where it was, or it is in history already.
                (false, None) => match (op.step.old, root.stat(&op.step.path)?) {
                    (None, _) => false,
                    (Some(old), Some(Found::Synced(stat))) if matches!(stat.kind, Kind::File | Kind::Symlink) => {
                        apply::digest_of(root, &op.step.path, stat.kind)? != old
                    }
                    (Some(_), _) => true,
                },
            };
            if done {
                // Its stat stays unknown, so the first scan reads it and sees whatever somebody did since.
                op.outcome = Outcome::Done;
            }
        }
        Ok(landing)
    }

    /// When to try again.
    pub fn retry_at(&self) -> Monotonic {
        if self.retry_at > Monotonic(0) { self.retry_at } else { Monotonic::NEVER }
    }

    /// Whether it can go on now.
    pub fn can_work(&self, now: Monotonic) -> bool {
        now >= self.retry_at
    }

    /// Waits before the next attempt.
    pub fn wait(&mut self, now: Monotonic, time: std::time::Duration) {
        self.retry_at = now.plus(time);
    }

    /// Goes on with at most [`limits::STEP_PATHS`] paths; whether this phase is over.
    pub fn step<F: Fs>(&mut self, fs: &F, root: &F::Root, allow_setid: bool) -> bool {
        self.retry_at = Monotonic(0);
        for _ in 0..limits::STEP_PATHS {
            match &self.phase {
                Phase::Applying => {
                    let Some(op) = self.ops.get_mut(self.next) else {
                        self.phase = Phase::Keeping;
                        return true;
                    };
                    self.next += 1;
                    if op.outcome != Outcome::Todo {
                        self.touched.insert(op.step.path.parent());
                        continue;
                    }
                    match op.perform(fs, root, allow_setid) {
                        Ok(outcome) => {
                            op.outcome = outcome;
                            self.touched.insert(op.step.path.parent());
                            self.touched.extend(op.made.iter().map(RelPath::parent));
                        }
                        Err(Refusal::Changed) => op.outcome = Outcome::Changed,
                        Err(refusal) => {
                            let reason = reason_of(refusal);
                            self.phase = Phase::Undoing(op.step.path.clone(), reason);
                        }
                    }
                }
                Phase::Undoing(path, reason) => {
                    let Some(at) = self.next.checked_sub(1) else {
                        self.phase = Phase::Undone(path.clone(), reason.clone());
                        return true;
                    };
                    self.next = at;
                    if let Some(op) = self.ops.get_mut(at) {
                        op.undo(root);
                    }
                }
                Phase::Undone(..) | Phase::Keeping => return true,
            }
        }
        false
    }
}

/// What the index says lies at a path.
pub(crate) fn seen_in(index: &Index, path: &RelPath) -> Option<Seen> {
    let record = index.get(path)?;
    record.disk.map(|stat| Seen { stat, digest: record.entry.digest })
}

/// The attributes an entry is to have on this machine.
pub(crate) fn attributes_of<F: Fs>(fs: &F, entry: &Entry, allow_setid: bool) -> Attributes {
    let mode = if allow_setid { entry.mode } else { entry.mode & !SETID_BITS };
    Attributes {
        mode: (entry.kind != Kind::Symlink).then_some(mode),
        owner: entry.owner.as_ref().and_then(|owner| fs.owner_ids(owner)),
        mtime: (entry.kind == Kind::File).then_some(entry.mtime),
    }
}

/// Why a path could not land, for people.
pub(crate) fn reason_of(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::Changed => Reason::Other("it changed meanwhile".into()),
        Refusal::Busy => Reason::Busy,
        Refusal::InTheWay(what) => Reason::InTheWay(what),
        Refusal::DirNotEmpty => Reason::DirNotEmpty,
        Refusal::Fs(error) if error.is_full() => Reason::NoRoom { need: 0, free: 0 },
        Refusal::Fs(error) if error.crosses() => Reason::OtherFilesystem,
        Refusal::Fs(error) if error.is_symlink() => Reason::InTheWay("symlink"),
        Refusal::Fs(error) => Reason::Unwritable(error.cause()),
    }
}

impl Op {
    /// Puts the path in place.
    fn perform<F: Fs>(&mut self, fs: &F, root: &F::Root, allow_setid: bool) -> Result<Outcome, Refusal> {
        let LandingStep { path, entry, staged, .. } = &self.step.clone();
        let attributes = attributes_of(fs, entry, allow_setid);
        let old = self.seen.map(|seen| seen.stat.kind);
        match (entry.kind, old, staged) {
            (Kind::Tombstone, None, _) => return Ok(Outcome::Noted),
            (Kind::Tombstone, Some(Kind::Dir), _) => match apply::remove_dir(root, path) {
                // What is not synced keeps it there. It is gone for everybody else, and not created again here.
                Err(Refusal::DirNotEmpty) => {
                    self.disk = synced(root, path)?;
                    return Ok(Outcome::Noted);
                }
                result => result?,
            },
            (Kind::Tombstone, Some(_), Some(aside)) => self.take_away(root, aside)?,
            (Kind::Dir, Some(Kind::File | Kind::Symlink), Some(aside)) => {
                self.take_away(root, aside)?;
                self.outcome = Outcome::Done;
                if let Err(refusal) = apply::make_dir(root, path, attributes) {
                    self.undo(root);
                    return Err(refusal);
                }
            }
            (Kind::Dir, _, _) => {
                self.made = apply::make_parents(root, path)?;
                apply::make_dir(root, path, attributes)?;
            }
            (Kind::File | Kind::Symlink, Some(_), None) => {
                let Some(seen) = self.seen else { return Err(Refusal::Changed) };
                self.disk = Some(apply::set_attributes(root, path, attributes, seen)?);
                self.in_place = entry.kind == Kind::File;
                return Ok(Outcome::Done);
            }
            (Kind::File | Kind::Symlink, old, Some(staged)) => {
                let ready = synced(root, staged)?.ok_or(Refusal::Changed)?;
                self.ready = Some(ready);
                let dir = self.seen.filter(|_| old == Some(Kind::Dir));
                if dir.is_some() {
                    apply::remove_dir(root, path)?;
                }
                if old.is_none() {
                    self.made = apply::make_parents(root, path)?;
                }
                let put = apply::put(root, staged, path, self.seen.filter(|_| dir.is_none()));
                if let Err(refusal) = put {
                    self.unmake_parents(root);
                    if let Some(dir) = dir {
                        remake_dir(root, path, dir.stat)?;
                    }
                    return Err(refusal);
                }
                // An edit that came in after the exchange must not be taken for what was put there.
                self.disk = Some(synced(root, path)?.filter(|stat| stat.same_file(&ready)).unwrap_or(ready));
                return Ok(Outcome::Done);
            }
            (Kind::File | Kind::Symlink, None, None) | (Kind::Tombstone, Some(_), None) => {
                return Err(Refusal::Changed);
            }
        }
        self.disk = synced(root, path)?;
        Ok(Outcome::Done)
    }

    /// Whether the staging name holds something else than the content that was staged, although the path did not land:
    /// putting back what came out of an exchange failed, and it must not be thrown away.
    pub fn holds_a_stray<R: Root>(&self, root: &R) -> Result<bool, FsError> {
        let Some(staged) = self.step.staged.as_ref().filter(|_| self.outcome != Outcome::Done) else {
            return Ok(false);
        };
        let there = synced(root, staged)?;
        Ok(match (there, self.ready) {
            (None, _) => false,
            (Some(there), Some(ready)) => !there.same_file(&ready),
            // Nothing was staged for it, so what lies there was moved aside.
            (Some(_), None) => !self.step.entry.has_content(),
        })
    }

    fn unmake_parents<R: Root>(&mut self, root: &R) {
        for dir in self.made.drain(..).rev() {
            // Not empty: somebody uses it by now.
            let _ = root.remove_dir(&dir);
        }
    }

    fn take_away<R: Root>(&self, root: &R, aside: &RelPath) -> Result<(), Refusal> {
        let Some(seen) = self.seen else { return Err(Refusal::Changed) };
        apply::delete(root, &self.step.path, aside, seen)
    }

    /// Puts back what was there. Whatever somebody else put there since stays: it is newer than both.
    fn undo<R: Root>(&mut self, root: &R) {
        if self.outcome != Outcome::Done {
            return;
        }
        let LandingStep { path, entry, staged, .. } = &self.step;
        let result = match (entry.kind, self.seen, staged) {
            (Kind::File, Some(seen), None) => root.open_file(path).and_then(|file| {
                let _ = root.set_file(
                    &file,
                    Attributes { owner: Some((seen.stat.uid, seen.stat.gid)), ..Attributes::default() },
                );
                root.set_file(
                    &file,
                    Attributes { mode: Some(seen.stat.mode), mtime: Some(seen.stat.mtime()), owner: None },
                )
            }),
            (Kind::Symlink, Some(seen), None) => {
                root.set_path(path, Attributes { owner: Some((seen.stat.uid, seen.stat.gid)), ..Attributes::default() })
            }
            (Kind::File | Kind::Symlink, Some(seen), Some(staged)) if seen.stat.kind != Kind::Dir => {
                exchange_back(root, staged, path, self.disk)
            }
            (Kind::File | Kind::Symlink, seen, Some(staged)) => {
                root.rename(path, staged, Rename::New).and_then(|()| match seen {
                    Some(seen) => remake_dir(root, path, seen.stat),
                    None => Ok(()),
                })
            }
            (Kind::Tombstone, Some(seen), None) => remake_dir(root, path, seen.stat),
            (Kind::Tombstone, Some(_), Some(aside)) => root.rename(aside, path, Rename::New),
            (Kind::Dir, Some(seen), Some(aside)) if seen.stat.kind != Kind::Dir => {
                let _ = root.remove_dir(path);
                root.rename(aside, path, Rename::New)
            }
            (Kind::Dir, Some(seen), _) => remake_dir(root, path, seen.stat),
            (Kind::Dir, None, _) => root.remove_dir(path),
            _ => Ok(()),
        };
        let undone = result.is_ok();
        self.unmake_parents(root);
        self.outcome = if undone { Outcome::Todo } else { Outcome::Stuck };
    }
}

/// What lies at a path, if it can be synced.
pub(crate) fn synced<R: Root>(root: &R, path: &RelPath) -> Result<Option<DiskStat>, FsError> {
    Ok(match root.stat(path)? {
        Some(Found::Synced(stat)) => Some(stat),
        _ => None,
    })
}

fn exchange_back<R: Root>(root: &R, staged: &RelPath, path: &RelPath, new: Option<DiskStat>) -> Result<(), FsError> {
    match root.rename(staged, path, Rename::Exchange) {
        Err(error) if error.is_unsupported() => return root.rename(staged, path, Rename::Replace),
        result => result?,
    }
    let out = synced(root, staged)?;
    if matches!((out, new), (Some(out), Some(new)) if out.same_file(&new)) {
        return Ok(());
    }
    // Somebody edited the new file since: that edit stays.
    root.rename(staged, path, Rename::Exchange)?;
    Err(FsError::new("undo", Some(path), libc::EBUSY))
}

fn remake_dir<R: Root>(root: &R, path: &RelPath, old: DiskStat) -> Result<(), FsError> {
    match root.make_dir(path) {
        Err(error) if !error.exists() => return Err(error),
        _ => {}
    }
    // Only root can give it back to another owner; whoever is not root never took it from one.
    let _ = root.set_path(path, Attributes { owner: Some((old.uid, old.gid)), ..Attributes::default() });
    root.set_path(path, Attributes { mode: Some(old.mode), ..Attributes::default() })
}
