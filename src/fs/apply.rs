//! Applies an approved batch, path by path, so that nothing written meanwhile is lost.
//!
//! [`order`] turns an [`ApprovedPlan`], and nothing else, into operations in a possible order: deletions first,
//! directories before their contents. [`put`] and [`delete`] are the two that replace something. Both swap the old
//! file out first, *check which file came out*, and put it back if it is not the one that the decision was made for: a lock
//! alone is not enough, because libuci unlocks before it renames. The old file is then in the staging area, where the caller
//! moves it into history.
//!
//! A program may still hold the replaced file open for writing, or write to it by another name. So the file is copied
//! as soon as it is out of the way ([`hold_content`]), and the copy is verified: what could be read at the path at the moment
//! of the replacement is what history gets, whatever is written into the old file later. What is written there until the
//! transaction ends goes to history as well; what is written later is lost with the file, which has no name any more.
//!
//! A race that is accepted: where the filesystem cannot exchange two names (JFFS2), the old file is linked aside first,
//! and an editor that renames over the path in the microseconds between the last check and our rename is overwritten.

use std::cmp::Ordering;

use crate::fs::form::Content;
use crate::fs::{Attributes, Found, FsError, Rename, Root};
use crate::model::{Digest, DiskStat, Hasher, Kind, RelPath, limits};
use crate::reconcile::Source;
use crate::reconcile::safety::{ApprovedPlan, Step};

/// What must be at a path for a decision about it to be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its stat when it was recorded.
    pub stat: DiskStat,
    /// Its content's digest.
    pub digest: Digest,
}

/// Why a path was not applied. Everything is as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Another process changed it since the decision: decide again.
    Changed,
    /// It is locked by another program.
    Busy,
    /// Something that is not synced is at the path.
    InTheWay(&'static str),
    /// The directory that is to be deleted contains something that is not synced.
    DirNotEmpty,
    /// The system returned an error.
    Fs(FsError),
}

impl From<FsError> for Refusal {
    fn from(error: FsError) -> Refusal {
        Refusal::Fs(error)
    }
}

/// The steps of a plan in the order in which they can be applied: deletions from the leaves, then directories from the
/// root, then everything else.
pub fn order(plan: ApprovedPlan) -> Vec<Step> {
    let mut steps = plan.into_steps();
    // Nothing is removed from a path whose own state stays.
    let goes = |step: &Step| step.entry.kind == Kind::Tombstone && step.source == Source::There;
    steps.sort_unstable_by(|a, b| in_turn((a.entry.kind, goes(a), &a.path), (b.entry.kind, goes(b), &b.path)));
    steps
}

/// Which of two paths is applied first, by its new kind, whether something is removed from it, and its name.
pub fn in_turn(a: (Kind, bool, &RelPath), b: (Kind, bool, &RelPath)) -> Ordering {
    let rank = |(kind, goes, _): (Kind, bool, &RelPath)| match kind {
        _ if goes => 0,
        Kind::Dir => 1,
        _ => 2,
    };
    let by_path = a.2.cmp(b.2);
    rank(a).cmp(&rank(b)).then(if a.1 { by_path.reverse() } else { by_path })
}

/// Puts the staged file in place of the file that the decision was made for. On success the old file, if
/// there was one, has the staging name.
///
/// # Errors
/// A [`Refusal`]. The staged file is then still staged, unless another process replaced it while it was in place: then an
/// older file of that process, which was not replaced knowingly, is under its name and must be kept.
pub fn put<R: Root>(root: &R, staged: &RelPath, path: &RelPath, seen: Option<Seen>) -> Result<(), Refusal> {
    let Some(seen) = seen else {
        return match root.rename(staged, path, Rename::New) {
            Err(error) if error.is_unsupported() => {
                // link(2) also refuses to replace; then the file has two names for a moment.
                root.link(staged, path)
                    .map_err(|error| if error.exists() { Refusal::Changed } else { error.into() })?;
                Ok(root.remove(staged)?)
            }
            Err(error) if error.exists() => Err(something_there(root, path)),
            result => Ok(result?),
        };
    };
    let _lock = hold_still(root, path, seen)?;
    let ours = root.stat(staged)?;
    match root.rename(staged, path, Rename::Exchange) {
        Ok(()) => {}
        Err(error) if error.is_unsupported() => return put_without_exchange(root, staged, path, seen),
        // The path is empty now.
        Err(error) if error.is_missing() => return Err(Refusal::Changed),
        Err(error) => return Err(error.into()),
    }
    if is_what_was_seen(root, staged, seen) {
        return Ok(());
    }
    put_back(root, staged, path, ours);
    Err(Refusal::Changed)
}

/// Undoes an exchange after which an unexpected file is under the staging name: another process wrote between the check and
/// the exchange. If the file that then comes out is not the one that was put in place, it wrote again, and that is the latest.
fn put_back<R: Root>(root: &R, staged: &RelPath, path: &RelPath, ours: Option<Found>) {
    let mut put = ours;
    for _ in 0..MOST_EXCHANGES {
        let back = root.stat(staged);
        // Where even this fails, everything still has a name.
        if root.rename(staged, path, Rename::Exchange).is_err() {
            return;
        }
        let same = match (root.stat(staged), put) {
            (Ok(Some(Found::Synced(out))), Some(Found::Synced(put))) => out.same_file(&put),
            _ => false,
        };
        if same {
            return;
        }
        put = back.ok().flatten();
    }
}

/// How often other processes may write between two exchanges before their last file is left under the staging name.
const MOST_EXCHANGES: usize = 16;

/// Moves the file that the decision was made for away from its path, to `aside`.
///
/// # Errors
/// A [`Refusal`].
pub fn delete<R: Root>(root: &R, path: &RelPath, aside: &RelPath, seen: Seen) -> Result<(), Refusal> {
    let _lock = hold_still(root, path, seen)?;
    match root.rename(path, aside, Rename::New) {
        Err(error) if error.is_unsupported() => root.rename(path, aside, Rename::Replace)?,
        Err(error) if error.is_missing() => return Err(Refusal::Changed),
        result => result?,
    }
    if is_what_was_seen(root, aside, seen) {
        return Ok(());
    }
    match root.rename(aside, path, Rename::New) {
        // A third file was created there meanwhile: it is the latest and stays. The one in between has no other place;
        // the caller keeps the file at `aside`.
        Err(error) if error.exists() => {}
        Err(error) if error.is_unsupported() => root.rename(aside, path, Rename::Replace)?,
        result => result?,
    }
    Err(Refusal::Changed)
}

/// Makes the content that was replaced independent of programs that may still write to its file, which is at `aside`: a
/// copy of it is made beside it, for [`held_content`].
///
/// # Errors
/// [`Refusal::Changed`] when something was written into the file since the decision; of copying. There is no copy then.
pub fn hold_content<R: Root>(root: &R, aside: &RelPath, seen: Seen) -> Result<(), Refusal> {
    if seen.stat.kind != Kind::File || !root.may_change(aside)? {
        return Ok(());
    }
    let copy = with_suffix(aside, COPY)?;
    let _ = root.remove(&copy);
    let copied = copy_file(root, aside, &copy, seen.stat);
    match copied {
        Ok(digest) if digest == seen.digest => return Ok(()),
        _ => drop(root.remove(&copy)),
    }
    copied?;
    Err(Refusal::Changed)
}

/// The copy that [`hold_content`] made, if there is one and it is whole.
///
/// # Errors
/// Of looking or reading.
pub fn held_content<R: Root>(root: &R, aside: &RelPath, digest: Digest) -> Result<Option<RelPath>, FsError> {
    let copy = with_suffix(aside, COPY)?;
    match root.stat(&copy)? {
        Some(Found::Synced(stat)) if stat.kind == Kind::File => {
            Ok((digest_of(root, &copy, stat.kind)? == digest).then_some(copy))
        }
        _ => Ok(None),
    }
}

/// Drops the copy that [`hold_content`] made, if there is one.
pub fn drop_held<R: Root>(root: &R, aside: &RelPath) {
    if let Ok(copy) = with_suffix(aside, COPY) {
        // What cannot be removed now goes with the staging area.
        let _ = root.remove(&copy);
    }
}

/// Copies a file with its attributes, flushed; the digest of the copy.
fn copy_file<R: Root>(root: &R, from: &RelPath, to: &RelPath, stat: DiskStat) -> Result<Digest, FsError> {
    let content = Content::open(root, from, Kind::File)?;
    let file = root.create(to)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; limits::STEP];
    while let count @ 1.. = content.read(root, hasher.fed(), &mut buffer)? {
        root.write(&file, hasher.fed(), &buffer[..count])?;
        hasher.update(&buffer[..count]);
    }
    let attributes = Attributes { mode: Some(stat.mode), mtime: Some(stat.mtime()), owner: None };
    root.set_file(&file, attributes)?;
    root.sync(&file)?;
    Ok(hasher.finish())
}

/// Creates a directory, or sets the attributes of the one that is there.
///
/// # Errors
/// A [`Refusal`].
pub fn make_dir<R: Root>(root: &R, path: &RelPath, attributes: Attributes) -> Result<(), Refusal> {
    match root.make_dir(path) {
        Err(error) if error.exists() => match root.stat(path)? {
            Some(Found::Synced(DiskStat { kind: Kind::Dir, .. })) => {}
            _ => return Err(something_there(root, path)),
        },
        result => result?,
    }
    Ok(root.set_path(path, attributes)?)
}

/// Removes a directory; one that does not exist any more is no refusal.
///
/// # Errors
/// [`Refusal::DirNotEmpty`] when it contains something unsynced.
pub fn remove_dir<R: Root>(root: &R, path: &RelPath) -> Result<(), Refusal> {
    match root.remove_dir(path) {
        Err(error) if error.is_missing() => Ok(()),
        // Busy: another filesystem is mounted there.
        Err(error) if error.is_not_empty() || error.errno == libc::EBUSY => Err(Refusal::DirNotEmpty),
        result => Ok(result?),
    }
}

/// Creates the directories above `path` that are missing; those it created, outermost first.
///
/// # Errors
/// A [`Refusal`], when something else is at one of them.
pub fn make_parents<R: Root>(root: &R, path: &RelPath) -> Result<Vec<RelPath>, Refusal> {
    let mut missing = Vec::new();
    for dir in path.ancestors() {
        match root.stat(&dir)? {
            Some(Found::Synced(DiskStat { kind: Kind::Dir, .. })) => break,
            Some(_) => return Err(something_there(root, &dir)),
            None => missing.push(dir),
        }
    }
    missing.reverse();
    for dir in &missing {
        // As `mkdir -p` does: their attributes are not known.
        make_dir(root, dir, Attributes { mode: Some(0o755), ..Attributes::default() })?;
    }
    Ok(missing)
}

/// Sets attributes of the file at `path`, if it still is the one that was seen; returns the stat of that very file,
/// whatever another process put at its path meanwhile.
///
/// # Errors
/// A [`Refusal`].
pub fn set_attributes<R: Root>(
    root: &R,
    path: &RelPath,
    attributes: Attributes,
    seen: Seen,
) -> Result<DiskStat, Refusal> {
    if seen.stat.kind == Kind::File {
        let file =
            root.open_file(path).map_err(|error| if error.is_missing() { Refusal::Changed } else { error.into() })?;
        if root.stat_file(&file)? != seen.stat {
            return Err(Refusal::Changed);
        }
        root.set_file(&file, attributes)?;
        return Ok(root.stat_file(&file)?);
    }
    let mode = attributes.mode.filter(|_| seen.stat.kind == Kind::Dir);
    root.set_path(path, Attributes { mode, mtime: None, ..attributes })?;
    match root.stat(path)? {
        Some(Found::Synced(stat)) if stat.kind == seen.stat.kind => Ok(stat),
        _ => Err(Refusal::Changed),
    }
}

/// Locks the file at `path`, if it is the one that was seen; starts over when a different file is there after the lock.
fn hold_still<R: Root>(root: &R, path: &RelPath, seen: Seen) -> Result<Option<R::Lock>, Refusal> {
    match root.stat(path)? {
        Some(Found::Synced(stat)) if stat == seen.stat => {}
        _ => return Err(Refusal::Changed),
    }
    if seen.stat.kind != Kind::File {
        return Ok(None);
    }
    let file =
        root.open_file(path).map_err(|error| if error.is_missing() { Refusal::Changed } else { error.into() })?;
    let lock = root.lock(&file).map_err(|error| if error.is_busy() { Refusal::Busy } else { error.into() })?;
    // libuci may have renamed a different file there while it held the lock: then the lock is on a file without a name.
    match root.stat(path)? {
        Some(Found::Synced(stat)) if stat == seen.stat => Ok(Some(lock)),
        _ => Err(Refusal::Changed),
    }
}

/// Whether the file at `aside` is the one that the decision was made for: its stat, and for all but large files its bytes.
fn is_what_was_seen<R: Root>(root: &R, aside: &RelPath, seen: Seen) -> bool {
    match root.stat(aside) {
        Ok(Some(Found::Synced(stat))) if stat.same_file(&seen.stat) => {}
        _ => return false,
    }
    seen.stat.size > limits::LOOK_AGAIN
        || digest_of(root, aside, seen.stat.kind).is_ok_and(|digest| digest == seen.digest)
}

/// The digest of the content at `path`.
///
/// # Errors
/// Of reading it.
pub fn digest_of<R: Root>(root: &R, path: &RelPath, kind: Kind) -> Result<Digest, FsError> {
    let content = Content::open(root, path, kind)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; usize::try_from(content.stat().size).unwrap_or(limits::STEP).clamp(1, limits::STEP)];
    loop {
        match content.read(root, hasher.fed(), &mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// As [`put`], where two names cannot be exchanged: the old file gets a second name first.
fn put_without_exchange<R: Root>(root: &R, staged: &RelPath, path: &RelPath, seen: Seen) -> Result<(), Refusal> {
    let aside = with_suffix(staged, OLD)?;
    match root.link(path, &aside) {
        Ok(()) => {
            // A file of an overlay's lower layer shows a different inode number once it has two names: the number is not compared.
            let seen = match root.stat(&aside) {
                Ok(Some(Found::Synced(linked))) => Seen { stat: DiskStat { inode: linked.inode, ..seen.stat }, ..seen },
                _ => seen,
            };
            if !is_what_was_seen(root, &aside, seen) {
                let _ = root.remove(&aside);
                return Err(Refusal::Changed);
            }
            root.rename(staged, path, Rename::Replace).inspect_err(|_| {
                let _ = root.remove(&aside);
            })?;
        }
        // No second names either (FAT): the path is empty for a moment.
        Err(_) => {
            root.rename(path, &aside, Rename::Replace)?;
            if !is_what_was_seen(root, &aside, seen) || root.rename(staged, path, Rename::Replace).is_err() {
                root.rename(&aside, path, Rename::Replace)?;
                return Err(Refusal::Changed);
            }
        }
    }
    // The caller finds the old file under the staging name, as after an exchange. If it cannot be moved there, it is moved back
    // to its path: the new content can be received again.
    root.rename(&aside, staged, Rename::Replace)
        .or_else(|error| root.rename(&aside, path, Rename::Replace).and(Err(error)))?;
    Ok(())
}

/// The suffix of the name of an old file beside the staged one.
pub const OLD: &str = "-old";

/// The suffix of a copy that was made because a program may still write to the replaced file.
pub const COPY: &str = "-copy";

/// Finishes an exchange by a second name that a crash interrupted: moves the old file to the staging
/// name if the new one has left it, back to its path if that is empty, and otherwise removes its second name.
///
/// # Errors
/// Of reading or renaming.
pub fn finish_exchange<R: Root>(root: &R, staged: &RelPath, path: &RelPath) -> Result<(), FsError> {
    let aside = with_suffix(staged, OLD)?;
    if root.stat(&aside)?.is_none() {
        return Ok(());
    }
    // Behind a new symlink or mount point, a different file is at the path.
    let there = match root.stat(path) {
        Err(error) if error.leads_elsewhere() => true,
        found => found?.is_some(),
    };
    match (root.stat(staged)?, there.then_some(())) {
        (None, _) => root.rename(&aside, staged, Rename::Replace),
        (Some(_), None) => root.rename(&aside, path, Rename::Replace),
        (Some(_), Some(_)) => root.remove(&aside),
    }
}

/// A second name in the staging area, made from a first one.
fn with_suffix(staged: &RelPath, suffix: &str) -> Result<RelPath, FsError> {
    let mut name = staged.as_bytes().to_vec();
    name.extend_from_slice(suffix.as_bytes());
    RelPath::parse(&name).map_err(|_| FsError::new("stage", Some(staged), libc::ENAMETOOLONG))
}

/// The refusal for a path that should have been empty.
fn something_there<R: Root>(root: &R, path: &RelPath) -> Refusal {
    match root.stat(path) {
        Ok(Some(Found::Special(word))) => Refusal::InTheWay(word),
        Ok(Some(Found::Synced(stat))) if stat.kind == Kind::Symlink => Refusal::InTheWay("symlink"),
        _ => Refusal::Changed,
    }
}
