//! Puts one path in place, and back.

use crate::fs::apply::{self, Refusal, Seen};
use crate::fs::{Attributes, Found, Fs, FsError, Rename, Root};
use crate::model::{DiskStat, Entry, Kind, RelPath};
use crate::node::share::transaction::apply::attributes_of;
use crate::store::state::LandingStep;

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
    pub ready: Option<DiskStat>,
    /// Directories that had to be made above it.
    pub made: Vec<RelPath>,
    /// Extended attributes of the old file could not be given to the new one.
    pub lost_extended: bool,
    /// Written in place, so a write of somebody else at the same moment may hide behind our time.
    pub in_place: bool,
}

impl Op {
    /// Puts the path in place.
    pub fn perform<F: Fs>(&mut self, fs: &F, root: &F::Root, allow_setid: bool) -> Result<Outcome, Refusal> {
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
            (Kind::Tombstone, Some(_), Some(aside)) => {
                self.take_away(root, aside)?;
                self.hold_content(root, aside)?;
            }
            (Kind::Dir, Some(Kind::File | Kind::Symlink), Some(aside)) => {
                self.take_away(root, aside)?;
                self.hold_content(root, aside)?;
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
                if (entry.kind, old) == (Kind::File, Some(Kind::File)) {
                    self.keep_extended(root, staged, attributes);
                }
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
                if old == Some(Kind::File) {
                    self.hold_content(root, staged)?;
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
            // Nothing was staged for it, so what lies there was moved aside; or a crash came between, and bytes decide.
            (Some(there), None) => !self.is_new(root, staged, &there)?,
        })
    }

    /// Whether it put content where nothing lay.
    pub fn has_created(&self, before: Option<&Entry>) -> bool {
        self.outcome == Outcome::Done && self.step.entry.has_content() && before.is_none_or(|entry| !entry.is_live())
    }

    /// Whether what is at `path`, in place or staged, is the content that the step puts in place. A transaction that a
    /// crash interrupted knows no stat of it.
    pub(crate) fn is_new<R: Root>(&self, root: &R, path: &RelPath, there: &DiskStat) -> Result<bool, FsError> {
        let entry = &self.step.entry;
        if !entry.has_content() || there.kind != entry.kind {
            return Ok(false);
        }
        match self.disk.or(self.ready) {
            Some(put) => Ok(there.same_file(&put)),
            None => Ok(apply::digest_of(root, path, there.kind)? == self.step.disk_digest()),
        }
    }

    /// Whether what it put in place is still there.
    pub fn is_in_place<R: Root>(&self, root: &R) -> Result<bool, FsError> {
        let there = synced(root, &self.step.path)?;
        Ok(match (self.step.entry.kind, there) {
            (Kind::Tombstone, there) => there.is_none(),
            (Kind::Dir, there) => there.is_some_and(|there| there.kind == Kind::Dir),
            (_, Some(there)) => self.is_new(root, &self.step.path, &there)?,
            (_, None) => false,
        })
    }

    fn unmake_parents<R: Root>(&mut self, root: &R) {
        for dir in self.made.drain(..).rev() {
            // Not empty: somebody uses it by now.
            let _ = root.remove_dir(&dir);
        }
    }

    /// Moves what was put where nothing was to its staging name again.
    fn take_back<R: Root>(&self, root: &R, staged: &RelPath, path: &RelPath) -> Result<(), FsError> {
        root.rename(path, staged, Rename::New)?;
        let out = synced(root, staged)?;
        if out.is_some_and(|out| self.is_new(root, staged, &out).unwrap_or(false)) {
            return Ok(());
        }
        // Another process edited the new file since: that edit stays.
        root.rename(staged, path, Rename::New)?;
        Err(FsError::new("undo", Some(path), libc::EBUSY))
    }

    fn exchange_back<R: Root>(&self, root: &R, staged: &RelPath, path: &RelPath) -> Result<(), FsError> {
        match root.rename(staged, path, Rename::Exchange) {
            Err(error) if error.is_unsupported() => return root.rename(staged, path, Rename::Replace),
            result => result?,
        }
        let out = synced(root, staged)?;
        if out.is_some_and(|out| self.is_new(root, staged, &out).unwrap_or(false)) {
            return Ok(());
        }
        // Another process edited the new file since: that edit stays.
        root.rename(staged, path, Rename::Exchange)?;
        Err(FsError::new("undo", Some(path), libc::EBUSY))
    }

    fn take_away<R: Root>(&self, root: &R, aside: &RelPath) -> Result<(), Refusal> {
        let Some(seen) = self.seen else { return Err(Refusal::Changed) };
        apply::delete(root, &self.step.path, aside, seen)
    }

    /// The old file lies aside: whatever a program still writes into it must not reach its previous version. Where that is not
    /// possible, everything goes back.
    fn hold_content<R: Root>(&mut self, root: &R, aside: &RelPath) -> Result<(), Refusal> {
        let Some(seen) = self.seen else { return Ok(()) };
        apply::hold_content(root, aside, seen).inspect_err(|_| {
            self.outcome = Outcome::Done;
            self.undo(root);
        })
    }

    /// What is in place carries extended attributes, access control lists among them, that do not travel: the new file gets
    /// them before it takes its place.
    fn keep_extended<R: Root>(&mut self, root: &R, staged: &RelPath, attributes: Attributes) {
        let kept = root.keep_extended(&self.step.path, staged).and_then(|kept| {
            // An access control list sets the mode, too.
            let mode = Attributes { mode: attributes.mode, mtime: attributes.mtime, owner: None };
            root.set_file(&root.open_file(staged)?, mode)?;
            Ok(kept)
        });
        self.lost_extended = !matches!(kept, Ok(true));
    }

    /// Before a crash, a directory may have been made, removed or given its attributes: nothing staged tells, so it is
    /// undone as if it was.
    pub fn suspect_done(&mut self) {
        let was_dir = self.seen.is_some_and(|seen| seen.stat.kind == Kind::Dir);
        let is_dir = self.step.entry.kind == Kind::Dir && self.seen.is_none() || was_dir;
        if self.outcome == Outcome::Todo && self.step.staged.is_none() && is_dir {
            self.outcome = Outcome::Done;
        }
    }

    /// Puts back what was there. Whatever somebody else put there since stays: it is newer than both.
    pub fn undo<R: Root>(&mut self, root: &R) {
        if self.outcome != Outcome::Done {
            return;
        }
        let LandingStep { path, entry, staged, .. } = &self.step;
        if let Some(staged) = staged {
            apply::drop_held(root, staged);
        }
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
                self.exchange_back(root, staged, path)
            }
            (Kind::File | Kind::Symlink, seen, Some(staged)) => {
                self.take_back(root, staged, path).and_then(|()| match seen {
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
        let end_rolled_back = result.is_ok();
        self.unmake_parents(root);
        self.outcome = if end_rolled_back { Outcome::Todo } else { Outcome::Stuck };
    }
}

/// What is at a path, if it can be synced; nothing behind a symlink or a mount point can.
pub(crate) fn synced<R: Root>(root: &R, path: &RelPath) -> Result<Option<DiskStat>, FsError> {
    match root.stat(path) {
        Ok(Some(Found::Synced(stat))) => Ok(Some(stat)),
        Ok(_) => Ok(None),
        Err(error) if error.leads_elsewhere() => Ok(None),
        Err(error) => Err(error),
    }
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
