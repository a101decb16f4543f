//! Puts one approved batch in place, step by step, whole or not at all.
//!
//! A [`Landing`] is made from an [`ApprovedPlan`] whose record is in the journal, or from that record after a crash. It
//! goes through its paths, a few per step of work. A path that somebody changed meanwhile is left out; one that the
//! system refuses undoes everything done so far. Only when all paths are in place do the old files, which still lie in
//! the staging area, move into history; until then nothing is lost and everything can be undone.

use crate::fs::apply::{self, Refusal, Seen};
use crate::fs::{Attributes, Found, Fs, FsError, Root};
use crate::model::entry::SETID_BITS;
use crate::model::{DiskStat, Entry, Index, Kind, Map, Monotonic, NodeId, Reason, RelPath, Set, limits};
use crate::node::CommandId;
use crate::node::share::transaction::step::{Op, Outcome, synced};
use crate::store::state::{Cause, LandingRecord};

/// Where a landing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Paths go into place.
    Applying,
    /// They go back, because this path was refused.
    Undoing(RelPath, Reason),
    /// Nothing is in place; the batch is owed.
    Undone(RelPath, Reason),
    /// All are in place, and the commit that they belong to is not decided.
    InPlace,
    /// All are in place; the old files move into history.
    Keeping,
}

/// A batch going into place.
pub(crate) struct Landing {
    pub run: u64,
    pub from: Option<NodeId>,
    pub cause: Cause,
    pub confirm: u32,
    /// When it was decided; `None` where a crash came between.
    pub begun: Option<Monotonic>,
    /// The batch it lands; `None` after a crash, and for what this node lands of its own.
    pub batch: Option<u64>,
    /// Who asked for it and waits for the answer.
    pub command: Option<CommandId>,
    /// Paths that were asked for and changed since, so they are left alone.
    pub left: Vec<RelPath>,
    pub ops: Vec<Op>,
    /// Of its deletions, how many leave a content that is still in the share; 0 after a crash.
    pub moved: u64,
    next: usize,
    pub phase: Phase,
    /// The next attempt, after something failed that may succeed later.
    retry_at: Monotonic,
    /// A crash interrupted it, so more of it may be done than is known.
    resumed: bool,
    /// How often the disk refused its end.
    attempts: u32,
    /// Why it is tried again, for status.
    pub trouble: Option<String>,
    /// Directories whose names changed.
    pub touched: Set<Option<RelPath>>,
    /// Directories whose mode forbade what had to be done in them, with that mode: they get it back at the end.
    opened: Map<RelPath, u32>,
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
                lost_extended: false,
            })
            .collect();
        Landing {
            run: record.run,
            from: record.from,
            cause: record.cause,
            confirm: record.confirm,
            begun: None,
            batch,
            command: None,
            left: Vec::new(),
            ops,
            moved: 0,
            next: 0,
            phase: Phase::Applying,
            retry_at: Monotonic(0),
            resumed: false,
            attempts: 0,
            trouble: None,
            touched: Default::default(),
            opened: Map::new(),
        }
    }

    /// A landing that a crash interrupted: what was done is told apart from what was not by what lies where.
    ///
    /// # Errors
    /// Of looking.
    pub fn resume<R: Root>(record: &LandingRecord, root: &R, index: &Index) -> Result<Landing, FsError> {
        let seen = record.steps.iter().map(|step| seen_in(index, &step.path)).collect();
        let mut landing = Landing::new(record, seen, None);
        landing.resumed = true;
        landing.note_opened(root, index)?;
        for op in &mut landing.ops {
            let Some(staged) = &op.step.staged else { continue };
            let there = synced(root, &op.step.path)?;
            let content = there.filter(|stat| stat.kind != Kind::Dir);
            if staged.parent().is_some_and(|area| root.stat(&area).is_ok_and(|found| found.is_none())) {
                // The staging area was removed, or this is a different directory: only what is at the path tells.
                let digest = match &content {
                    Some(stat) => Some(apply::digest_of(root, &op.step.path, stat.kind)?),
                    None => None,
                };
                let done = if op.step.entry.has_content() {
                    digest == Some(op.step.disk_digest())
                } else {
                    digest.is_none() && op.step.entry.kind != Kind::Dir
                };
                op.outcome = if done { Outcome::Done } else { Outcome::Changed };
                continue;
            }
            apply::finish_exchange(root, staged, &op.step.path)?;
            let there = synced(root, &op.step.path)?;
            let staged_digest = match root.stat(staged)? {
                Some(Found::Synced(stat)) if matches!(stat.kind, Kind::File | Kind::Symlink) => {
                    Some(apply::digest_of(root, staged, stat.kind)?)
                }
                _ => None,
            };
            let done = match (op.step.entry.has_content(), staged_digest) {
                // The new content is still staged.
                (true, Some(digest)) if digest == op.step.disk_digest() => false,
                (true, _) => true,
                // What went lies aside.
                (false, Some(_)) => true,
                // Nothing lies aside: either the old file is still where it was, or it is in history already.
                (false, None) => match (op.step.old, there) {
                    (None, _) => false,
                    (Some(old), Some(stat)) if matches!(stat.kind, Kind::File | Kind::Symlink) => {
                        apply::digest_of(root, &op.step.path, stat.kind)? != old
                    }
                    (Some(_), _) => true,
                },
            };
            if let (false, Some(seen), Some(stat)) = (done, &mut op.seen, there) {
                // The same file, whose time the interrupted attempt changed.
                let access = |stat: &DiskStat| (stat.mode, stat.uid, stat.gid);
                let same = stat.same_file(&seen.stat) && access(&stat) == access(&seen.stat);
                if same && stat != seen.stat && apply::digest_of(root, &op.step.path, stat.kind)? == seen.digest {
                    seen.stat = stat;
                }
            }
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
        now >= self.retry_at && self.phase != Phase::InPlace
    }

    /// The commit that it belongs to is kept.
    pub fn keep(&mut self) {
        if self.phase == Phase::InPlace {
            self.phase = Phase::Keeping;
        }
    }

    /// Waits before the next attempt, twice as long each time.
    pub fn wait(&mut self, now: Monotonic, why: &str) {
        let time = limits::LOCK_TIME.saturating_mul(1 << self.attempts.min(8)).min(limits::RETRY_MAX);
        self.attempts = self.attempts.saturating_add(1);
        self.trouble = Some(why.into());
        self.retry_at = now.plus(time);
    }

    /// It cannot end, because of this path: everything is rolled back.
    pub fn undo_all(&mut self, path: RelPath, reason: Reason) {
        self.next = self.ops.len();
        self.phase = Phase::Undoing(path, reason);
    }

    /// The commit that it belongs to is not kept, for this reason: everything is rolled back.
    pub fn roll_back_commit(&mut self, why: &str) {
        if let Some(path) = self.ops.first().map(|op| op.step.path.clone()) {
            self.undo_all(path, Reason::Other(why.into()));
        }
    }

    /// Lets this user change what is in the directory that `path` is in, where that is what its mode forbids; whether
    /// anything is otherwise than before.
    fn open_dirs<R: Root>(&mut self, root: &R, path: &RelPath) -> bool {
        let mut dirs: Vec<RelPath> = path.ancestors().collect();
        dirs.reverse();
        let mut any = false;
        for (at, dir) in dirs.iter().enumerate() {
            let Ok(Some(DiskStat { kind: Kind::Dir, mode, .. })) = synced(root, dir) else { break };
            let last = at + 1 == dirs.len()
                || !matches!(synced(root, &dirs[at + 1]), Ok(Some(DiskStat { kind: Kind::Dir, .. })) | Err(_));
            let needed = if last { 0o300 } else { 0o100 };
            if mode & needed == needed {
                continue;
            }
            let open = Attributes { mode: Some(mode | 0o700), ..Attributes::default() };
            if root.set_path(dir, open).is_err() {
                // It is not this user's.
                return any;
            }
            any = true;
            self.touched.insert(Some(dir.clone()));
            self.opened.get_or_insert(dir.clone(), mode);
        }
        any
    }

    /// Gives the directories that were opened their modes back.
    ///
    /// # Errors
    /// Of setting one; it can be tried again.
    pub fn close_dirs<R: Root>(&mut self, root: &R) -> Result<(), FsError> {
        // From the leaves: an open parent lets its children be reached.
        let opened: Vec<(RelPath, u32)> = self.opened.iter().map(|(dir, mode)| (dir.clone(), *mode)).collect();
        for (dir, mode) in opened.into_iter().rev() {
            if matches!(synced(root, &dir)?, Some(DiskStat { kind: Kind::Dir, .. })) {
                root.set_path(&dir, Attributes { mode: Some(mode), ..Attributes::default() })?;
            }
            self.opened.remove(&dir);
        }
        Ok(())
    }

    /// Finds the directories that an interrupted attempt opened.
    fn note_opened<R: Root>(&mut self, root: &R, index: &Index) -> Result<(), FsError> {
        let above: Set<RelPath> = self.ops.iter().flat_map(|op| op.step.path.ancestors().collect::<Vec<_>>()).collect();
        for dir in above {
            let Some(known) = index.get(&dir).and_then(|record| record.disk).filter(|disk| disk.kind == Kind::Dir)
            else {
                continue;
            };
            let is_open = |there: &DiskStat| there.mode == known.mode | 0o700 && there.mode != known.mode;
            if synced(root, &dir)?.as_ref().is_some_and(is_open) {
                self.touched.insert(Some(dir.clone()));
                self.opened.insert(dir, known.mode);
            }
        }
        Ok(())
    }

    /// Goes on with at most [`limits::STEP_PATHS`] paths; whether this phase is over.
    pub fn step<F: Fs>(&mut self, fs: &F, root: &F::Root, allow_setid: bool) -> bool {
        self.retry_at = Monotonic(0);
        for _ in 0..limits::STEP_PATHS {
            match &self.phase {
                Phase::Applying => {
                    let Some(op) = self.ops.get_mut(self.next) else {
                        self.phase = if self.cause == Cause::Committed { Phase::InPlace } else { Phase::Keeping };
                        return true;
                    };
                    self.next += 1;
                    if op.outcome != Outcome::Todo {
                        if op.outcome == Outcome::Done {
                            self.touched.insert(op.step.path.parent());
                        }
                        continue;
                    }
                    let mut result = op.perform(fs, root, allow_setid);
                    if matches!(&result, Err(Refusal::Fs(error)) if error.is_denied()) {
                        let (at, path) = (self.next - 1, op.step.path.clone());
                        if self.open_dirs(root, &path) {
                            result = self.ops[at].perform(fs, root, allow_setid);
                        }
                    }
                    let Some(op) = self.ops.get_mut(self.next - 1) else { return true };
                    match result {
                        Ok(outcome) => {
                            if outcome == Outcome::Done {
                                self.touched.insert(op.step.path.parent());
                                self.touched.extend(op.made.iter().map(RelPath::parent));
                            }
                            if let (Some(mode), Some(disk)) = (self.opened.get_mut(&op.step.path), op.disk) {
                                *mode = disk.mode;
                            }
                            op.outcome = outcome;
                        }
                        // A commit is whole, or not at all.
                        Err(Refusal::Changed) if self.cause != Cause::Committed => op.outcome = Outcome::Changed,
                        Err(refusal) => {
                            // After a crash, paths behind this one are in place as well.
                            let path = op.step.path.clone();
                            self.undo_all(path, reason_of(refusal));
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
                        if self.resumed {
                            op.suspect_done();
                        }
                        op.undo(root);
                        if let (Some(mode), Some(seen)) = (self.opened.get_mut(&op.step.path), op.seen) {
                            *mode = seen.stat.mode;
                        }
                    }
                }
                Phase::Undone(..) | Phase::InPlace | Phase::Keeping => return true,
            }
        }
        false
    }
}

/// What the index says lies at a path.
pub(crate) fn seen_in(index: &Index, path: &RelPath) -> Option<Seen> {
    let record = index.get(path)?;
    record.disk.map(|stat| Seen { stat, digest: record.disk_digest() })
}

/// Writes a content to a new staged file, which the journal's next write flushes.
///
/// # Errors
/// Of writing; nothing is staged then.
pub(crate) fn stage_text<R: Root>(
    root: &R,
    staged: &RelPath,
    text: &[u8],
    attributes: Attributes,
) -> Result<(), FsError> {
    let write = || -> Result<(), FsError> {
        let file = root.create(staged)?;
        root.write(&file, 0, text)?;
        root.set_file(&file, attributes)
    };
    write().inspect_err(|_| drop(root.remove(staged)))
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
