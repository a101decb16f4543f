//! Scans a share in bounded steps: what exists, what changed, what is missing.
//!
//! A [`Scan`] reads only what its stat says may have changed: kind, size, mtime and ctime in nanoseconds, inode, mode and
//! owner are compared with what was recorded. It decides nothing and records nothing: its [`Scanned`] outcome goes
//! through the guards of [`crate::reconcile::safety`] first. A path that it cannot read (unreadable, filtered, another
//! filesystem) is asleep, never missing.

mod finding;

use std::collections::VecDeque;
use std::rc::Rc;

use crate::fs::form::{self, Content};
use crate::fs::{Found, FsError, Root};
use crate::model::settings::Symlinks;
use crate::model::{Hasher, Index, Kind, Map, Now, Reason, Record, RelPath, Set, Sleep, WallTime, limits};

use crate::uci::{PackageName, SectionCounter};

pub use finding::{Finding, Hint, Rules, Scanned, is_young};

/// A scan in progress.
pub struct Scan<R: Root> {
    generation: u32,
    /// `None`: the whole share.
    scope: Option<Vec<Hint>>,
    started: WallTime,
    /// Directories to read, and hinted paths to check, from the end.
    todo: Vec<Task>,
    reading: Option<(Option<RelPath>, R::Dir)>,
    names: VecDeque<(RelPath, Found)>,
    hashing: Option<Hashing<R>>,
    /// Paths that could not be read: what is recorded below them sleeps.
    blocked: Vec<(RelPath, Sleep)>,
    /// Directories that were checked without what is below them.
    shallow: Set<RelPath>,
    outcome: Scanned,
    /// Bytes of packages in `outcome`.
    kept: usize,
    buffer: Vec<u8>,
}

enum Task {
    Dir(Option<RelPath>),
    Look(Hint),
}

struct Hashing<R: Root> {
    path: RelPath,
    content: Content<R>,
    hasher: Hasher,
    /// Of a UCI package.
    sections: Option<SectionCounter>,
    /// The bytes of a UCI package so far, while it is small enough to be kept in memory.
    package: Option<Vec<u8>>,
}

/// The rest of a step's allowance, in bytes; every checked name costs something.
struct Allowance(usize);

impl Allowance {
    fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }
}

/// The cost of checking one name: about the time of hashing these many bytes.
const LOOK_COST: usize = limits::STEP / limits::STEP_NAMES;

impl<R: Root> Scan<R> {
    /// A scan of the whole share, or of the hinted paths. `generation` must differ from that of every earlier scan.
    pub fn new(generation: u32, hints: Option<Vec<Hint>>, now: Now) -> Scan<R> {
        let todo = match &hints {
            None => vec![Task::Dir(None)],
            Some(hints) => hints.iter().cloned().map(Task::Look).collect(),
        };
        Scan {
            generation,
            scope: hints,
            started: now.wall,
            todo,
            reading: None,
            names: VecDeque::new(),
            hashing: None,
            blocked: Vec::new(),
            shallow: Set::new(),
            outcome: Scanned::default(),
            kept: 0,
            buffer: Vec::new(),
        }
    }

    /// Whether the whole share is scanned.
    pub fn is_full(&self) -> bool {
        self.scope.is_none()
    }

    /// A change was applied at `path`: what was seen there before is outdated.
    pub fn overtake(&mut self, path: &RelPath) {
        self.outcome.found.remove(path);
        if self.hashing.as_ref().is_some_and(|hashing| hashing.path == *path) {
            self.hashing = None;
        }
    }

    /// When it began.
    pub fn started(&self) -> WallTime {
        self.started
    }

    /// Continues for about `budget` bytes; returns the outcome when everything was scanned.
    ///
    /// # Errors
    /// The root itself could not be read: nothing that was seen so far may be used.
    pub fn step(
        &mut self,
        root: &R,
        index: &mut Index,
        rules: &Rules<'_>,
        now: Now,
        budget: usize,
    ) -> Result<Option<Scanned>, FsError> {
        let mut allowance = Allowance(budget);
        while allowance.0 > 0 {
            if self.hashing.is_some() {
                self.hash_on(root, index, now, &mut allowance);
            } else if let Some((path, found)) = self.names.pop_front() {
                allowance.spend(LOOK_COST);
                self.look(root, index, rules, path, found, true);
            } else if let Some((dir, mut handle)) = self.reading.take() {
                match root.read_dir(&mut handle, limits::STEP_NAMES) {
                    Ok(names) if names.is_empty() => {}
                    Ok(names) => {
                        allowance.spend(names.len());
                        for (name, found) in names {
                            match RelPath::below(dir.as_ref(), &name) {
                                Ok(path) => self.names.push_back((path, found)),
                                Err(error) => self.skip_unnamable(dir.as_ref(), &error.to_string()),
                            }
                        }
                        self.reading = Some((dir, handle));
                    }
                    Err(error) => self.block_dir(dir, error)?,
                }
            } else if let Some(task) = self.todo.pop() {
                allowance.spend(LOOK_COST);
                match task {
                    Task::Dir(dir) => match root.open_dir(dir.as_ref()) {
                        Ok(handle) => self.reading = Some((dir, handle)),
                        Err(error) => self.block_dir(dir, error)?,
                    },
                    Task::Look(hint) => self.look_at_hint(root, index, rules, hint),
                }
            } else {
                return Ok(Some(self.finish(index, rules)));
            }
        }
        Ok(None)
    }

    /// Checks a hinted path.
    fn look_at_hint(&mut self, root: &R, index: &mut Index, rules: &Rules<'_>, hint: Hint) {
        match root.stat(&hint.path) {
            Ok(Some(found)) => self.look(root, index, rules, hint.path, found, hint.deep),
            Ok(None) => self.outcome.absent.push(hint.path),
            // Nothing was learned of it: the next scan decides.
            Err(error) if error.is_exhausted() => self.outcome.restless.push(hint.path),
            Err(error) if error.leads_elsewhere() && self.look_above(root, &hint.path) => {}
            Err(error) => {
                let sleep = if error.crosses() || error.is_symlink() { Sleep::Skipped } else { Sleep::Unreadable };
                // The state of everything below something unreadable is unknown too.
                self.blocked.push((hint.path.clone(), sleep));
                self.skip(hint.path, Reason::Unreadable(error.cause()));
            }
        }
    }

    /// A hinted path is behind a symlink or a mount point: that one decides about it, so it is checked, with
    /// everything that is recorded below it. Returns whether there is one.
    fn look_above(&mut self, root: &R, path: &RelPath) -> bool {
        let mut above: Vec<RelPath> = path.ancestors().collect();
        above.reverse();
        let mut at = None;
        for dir in above {
            match root.stat(&dir) {
                // The last directory that can be reached is the mount point, if there is no symlink.
                Ok(Some(Found::Synced(stat))) if stat.kind == Kind::Dir => at = Some(dir),
                Ok(Some(_)) => {
                    at = Some(dir);
                    break;
                }
                Ok(None) | Err(_) => break,
            }
        }
        let Some(path) = at else { return false };
        let hint = Hint { path, deep: true };
        if let Some(scope) = self.scope.as_mut().filter(|scope| !scope.contains(&hint)) {
            scope.push(hint.clone());
            self.todo.push(Task::Look(hint));
        }
        true
    }

    fn look(&mut self, root: &R, index: &mut Index, rules: &Rules<'_>, path: RelPath, found: Found, deep: bool) {
        let held = match &found {
            Found::Synced(stat) => rules.filter.holds_as(&path, stat.kind),
            Found::Special(_) => rules.filter.holds(&path),
        };
        let stat = match found {
            Found::Special(word) => {
                if held || holds_below(index, &path) {
                    self.pass_over(index, path, Reason::Special(word));
                }
                return;
            }
            Found::Synced(stat) => stat,
        };
        if stat.kind == Kind::Dir {
            if !deep {
                self.shallow.insert(path.clone());
            } else if held || rules.filter.may_hold_below(&path) {
                self.todo.push(Task::Dir(Some(path.clone())));
            }
        }
        if !held {
            // A directory of which the share contains some paths, moved to a larger disk: none of them was deleted.
            if stat.kind == Kind::Symlink && holds_below(index, &path) {
                self.pass_over(index, path, Reason::SymlinkIgnored);
            }
            return;
        }
        if rules.withheld.contains(&path) {
            self.put_to_sleep(index, &path, Sleep::Withheld);
            return;
        }
        if stat.kind == Kind::Symlink {
            let reason = match rules.symlinks {
                Symlinks::Ignore => Some(Reason::SymlinkIgnored),
                Symlinks::Copy => match root.read_link(&path) {
                    Ok(text) if form::link_stays_inside(&path, &text) => None,
                    Ok(_) => Some(Reason::SymlinkOutside),
                    Err(error) if error.is_exhausted() => return self.outcome.restless.push(path),
                    Err(error) => Some(Reason::Unreadable(error.cause())),
                },
            };
            if let Some(reason) = reason {
                self.pass_over(index, path, reason);
                return;
            }
        }
        if stat.kind == Kind::File && rules.max_file_size > 0 && stat.size > rules.max_file_size {
            self.put_to_sleep(index, &path, Sleep::TooLarge);
            self.skip(path, Reason::TooLarge { size: stat.size, max: rules.max_file_size });
            return;
        }
        let full = index.len() + self.outcome.found.len() >= limits::INDEX_MAX;
        let is_formed = |record| stat.kind == Kind::File && rules.local.package(&path, record).is_some();
        let formed = match index.get_mut(&path) {
            Some(record) => {
                record.seen = self.generation;
                let formed = is_formed(Some(record));
                let same =
                    record.disk.is_some_and(|disk| disk.unchanged(&stat)) && !record.young && !(formed && rules.reread);
                let kept_dir = stat.kind == Kind::Dir
                    && !record.entry.is_live()
                    && record.disk.is_some_and(|disk| disk.inode == stat.inode);
                // A deleted directory that still contains unsynced files stays, and was not created again. What flaps
                // waits for the user. Everything else that sleeps is awake again, whether it changed or not.
                if record.sleep == Some(Sleep::Flapping)
                    || (record.sleep.is_none() && ((same && record.entry.is_live()) || kept_dir))
                {
                    return;
                }
                formed
            }
            None if full => {
                self.skip(path, Reason::Other(format!("this share has more than {} paths", limits::INDEX_MAX)));
                return;
            }
            None => is_formed(None),
        };
        if stat.kind == Kind::Dir {
            self.outcome.found.insert(path, Finding::dir(stat));
            return;
        }
        match Content::open(root, &path, stat.kind) {
            Ok(content) => {
                let package = rules.packages && stat.kind == Kind::File && PackageName::at(&path).is_some();
                let sections = package.then(SectionCounter::default);
                let fits = stat.size <= limits::PACKAGE_KEPT as u64;
                let package = (fits && (formed || (package && self.kept < limits::PACKAGES_KEPT))).then(Vec::new);
                self.hashing = Some(Hashing { path, content, hasher: Hasher::new(), sections, package });
            }
            Err(error) => self.could_not_read(index, path, &error),
        }
    }

    /// Continues to hash the open content; records the finding at its end.
    fn hash_on(&mut self, root: &R, index: &mut Index, now: Now, allowance: &mut Allowance) {
        let Some(mut hashing) = self.hashing.take() else { return };
        self.buffer.resize(limits::STEP, 0);
        let outcome = loop {
            match hashing.content.read(root, hashing.hasher.fed(), &mut self.buffer) {
                Ok(0) => break hashing.content.stat_now(root),
                Ok(count) => {
                    hashing.hasher.update(&self.buffer[..count]);
                    if let Some(counter) = &mut hashing.sections {
                        counter.feed(&self.buffer[..count]);
                    }
                    if let Some(bytes) = &mut hashing.package {
                        bytes.extend_from_slice(&self.buffer[..count]);
                    }
                    allowance.spend(count);
                    // A short read is the end, or the file shrinks.
                    if count < self.buffer.len() {
                        break hashing.content.stat_now(root);
                    }
                    if allowance.0 == 0 {
                        self.hashing = Some(hashing);
                        return;
                    }
                }
                Err(error) => break Err(error),
            }
        };
        match outcome {
            Ok(stat) if stat == hashing.content.stat() && stat.size == hashing.hasher.fed() => {
                let young = is_young(&stat, now.wall);
                let sections = hashing.sections.map_or(0, |counter| counter.count());
                let digest = hashing.hasher.finish();
                let package: Option<Rc<[u8]>> = hashing.package.map(Into::into);
                self.kept += package.as_ref().map_or(0, |bytes| bytes.len());
                let finding = Finding { stat, digest, size: stat.size, local: None, young, sections, package };
                self.outcome.found.insert(hashing.path, finding);
            }
            Ok(_) => self.outcome.restless.push(hashing.path),
            Err(error) => self.could_not_read(index, hashing.path, &error),
        }
    }

    fn could_not_read(&mut self, index: &mut Index, path: RelPath, error: &FsError) {
        if error.is_missing() || error.is_exhausted() {
            // It was removed, or became something else, since it was seen, or no descriptor is left: the next scan decides.
            self.outcome.restless.push(path);
            return;
        }
        let (sleep, reason) = if error.crosses() {
            (Sleep::Skipped, Reason::OtherFilesystem)
        } else {
            (Sleep::Unreadable, Reason::Unreadable(error.cause()))
        };
        self.put_to_sleep(index, &path, sleep);
        self.skip(path, reason);
    }

    /// A directory that cannot be read: what is recorded below it sleeps.
    fn block_dir(&mut self, dir: Option<RelPath>, error: FsError) -> Result<(), FsError> {
        let Some(dir) = dir else { return Err(error) };
        if error.is_missing() || error.is_symlink() || error.is_exhausted() {
            // It was removed since it was seen, or no descriptor is left to read it with.
            self.outcome.restless.push(dir);
            return Ok(());
        }
        let (sleep, reason) = if error.crosses() {
            (Sleep::Skipped, Reason::OtherFilesystem)
        } else {
            (Sleep::Unreadable, Reason::Unreadable(error.cause()))
        };
        self.blocked.push((dir.clone(), sleep));
        self.outcome.found.remove(&dir);
        self.skip(dir, reason);
        Ok(())
    }

    fn put_to_sleep(&mut self, index: &mut Index, path: &RelPath, sleep: Sleep) {
        if let Some(record) = index.get_mut(path) {
            record.seen = self.generation;
            if record.sleep != Some(sleep) {
                self.outcome.asleep.push((path.clone(), sleep));
            }
        }
    }

    /// Something at `path` is not synced. What was recorded there, and below, sleeps: a directory replaced by
    /// a symlink to a larger disk was not deleted.
    fn pass_over(&mut self, index: &mut Index, path: RelPath, reason: Reason) {
        self.put_to_sleep(index, &path, Sleep::Skipped);
        self.blocked.push((path.clone(), Sleep::Skipped));
        self.skip(path, reason);
    }

    fn skip(&mut self, path: RelPath, reason: Reason) {
        self.outcome.skipped.push((path, reason));
    }

    fn skip_unnamable(&mut self, dir: Option<&RelPath>, why: &str) {
        if let Some(dir) = dir {
            self.skip(dir.clone(), Reason::Other(format!("a name in it cannot be synced: {why}")));
        }
    }

    /// Everything was scanned: what is recorded and was not seen is missing, or asleep.
    fn finish(&mut self, index: &Index, rules: &Rules<'_>) -> Scanned {
        let mut outcome = std::mem::take(&mut self.outcome);
        outcome.full = self.scope.is_none();
        let mut unseen: Map<&RelPath, &Record> = Map::new();
        match &self.scope {
            None => unseen.extend(index.iter()),
            Some(hints) => {
                for hint in hints {
                    unseen.extend(index.get(&hint.path).map(|record| (&hint.path, record)));
                    // A shallow check of a directory that still exists does not cover what is below it.
                    if !self.shallow.contains(&hint.path) {
                        unseen.extend(index.below(&hint.path));
                    }
                }
            }
        }
        unseen.retain(|_, record| record.seen != self.generation);
        let mut gone = Vec::new();
        let mut slept = 0;
        for (path, record) in unseen {
            let covers = |dir: &RelPath| path == dir || path.is_below(dir);
            let blocked = self.blocked.iter().find(|(dir, _)| covers(dir)).map(|&(_, sleep)| sleep);
            let blocked = blocked.or_else(|| rules.withheld.contains(path).then_some(Sleep::Withheld));
            let why = if rules.filter.holds_as(path, record.entry.kind) { blocked } else { Some(Sleep::Filtered) };
            match (why, record.sleep) {
                (Some(sleep), now) if now != Some(sleep) => outcome.asleep.push((path.clone(), sleep)),
                (Some(_), _) => {}
                // It is held, and missing for now: it still waits for the user.
                (None, Some(sleep)) if sleep.is_held() => {}
                // The user who removed it may not have known that other nodes have it, so it is requested again.
                (None, Some(Sleep::Filtered)) => outcome.dropped.push(path.clone()),
                (None, Some(_)) if !record.entry.is_live() => outcome.awake.push(path.clone()),
                (None, Some(_)) if outcome.restless.iter().any(covers) => {}
                // What could not be read, was too large, or was replaced by something that is not synced, and is missing
                // now, was deleted by a user.
                (None, Some(_)) => {
                    outcome.counts.gone += u64::from(record.entry.has_content());
                    slept += u64::from(record.entry.has_content());
                    gone.push(path.clone());
                }
                (None, None) if record.entry.is_live() && !outcome.restless.iter().any(covers) => {
                    outcome.counts.gone += u64::from(record.entry.has_content());
                    gone.push(path.clone());
                }
                (None, None) => {}
            }
        }
        outcome.gone = gone;
        outcome.counts.known = index.live_files().0 + slept;
        outcome.count_changes(index);
        outcome
    }
}

/// Whether something below `path` is recorded as being there, awake or asleep.
fn holds_below(index: &Index, path: &RelPath) -> bool {
    index.below(path).any(|(_, record)| record.entry.is_live())
}
