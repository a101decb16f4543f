//! Watches shares with inotify.
//!
//! Every directory that may contain something synced has a watch. Where the kernel has none left, or the filesystem reports
//! nothing, the share's rescan is the detector, and status reports it. Events only say which path to scan; what changed is
//! found by the scan.
//!
//! A new directory may be filled, and renamed, before its watch exists. So it is watched first and listed after,
//! and its hint is deep: earlier changes in it are found by the scan, later ones are reported.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::fs::scan::Hint;
use crate::model::{Map, RelPath, Set, ShareName};
use crate::reconcile::filter::Filter;

/// The watches of all shares.
pub struct Watcher {
    inotify: Inotify,
    watches: Map<WatchDescriptor, Watched>,
    /// What a share's watches depend on: its root, and what may be in it.
    shares: Map<ShareName, (PathBuf, Filter)>,
    /// Shares that are not completely watched, which was reported.
    partly: Set<ShareName>,
}

#[derive(Clone)]
struct Watched {
    share: ShareName,
    /// `None`: the root.
    dir: Option<RelPath>,
}

/// What happened.
#[derive(Debug, PartialEq)]
pub enum Seen {
    /// Something at, or below, a path of a share.
    Hint(ShareName, Hint),
    /// Anything in a share: events were lost, or its root itself went.
    Anything(ShareName),
    /// A directory that came could not be watched: from now on not everything in the share is announced.
    Partly(ShareName),
}

/// Reads of the kernel's queue before anything else has its turn: about as much as it holds by default.
const READS: usize = 64;

const EVENTS: AddWatchFlags = AddWatchFlags::IN_MODIFY
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR)
    .union(AddWatchFlags::IN_DONT_FOLLOW);

impl Watcher {
    /// A watcher without watches; `None` where the kernel has no inotify.
    pub fn new() -> Option<Watcher> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
        Some(Watcher { inotify, watches: Map::new(), shares: Map::new(), partly: Set::new() })
    }

    /// To wait on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches a share again from the start; whether all of it is watched.
    pub fn watch_share(&mut self, share: &ShareName, root: &Path, filter: &Filter) -> bool {
        self.forget_share(share);
        self.shares.insert(share.clone(), (root.into(), filter.clone()));
        let whole = self.watch_below(share, None);
        if !whole {
            self.partly.insert(share.clone());
        }
        whole
    }

    /// Watches no other shares than these any more.
    pub fn keep_only(&mut self, shares: &[ShareName]) {
        let gone: Vec<ShareName> = self.shares.keys().filter(|name| !shares.contains(name)).cloned().collect();
        gone.iter().for_each(|name| self.forget_share(name));
    }

    /// Watches a share no more.
    pub fn forget_share(&mut self, share: &ShareName) {
        self.forget(|watched| watched.share == *share);
        self.shares.remove(share);
        self.partly.remove(share);
    }

    fn forget(&mut self, which: impl Fn(&Watched) -> bool) {
        let gone: Vec<WatchDescriptor> =
            self.watches.iter().filter(|(_, watched)| which(watched)).map(|(wd, _)| *wd).collect();
        for wd in gone {
            self.watches.remove(&wd);
            // It may have been removed with its directory.
            let _ = self.inotify.rm_watch(wd);
        }
    }

    /// Watches a directory and what is below it; whether all of it is watched.
    fn watch_below(&mut self, share: &ShareName, dir: Option<RelPath>) -> bool {
        let Some((root, filter)) = self.shares.get(share).cloned() else { return false };
        let mut whole = true;
        let mut todo = vec![dir];
        while let Some(dir) = todo.pop() {
            let path = path_of(&root, dir.as_ref());
            // The root itself may be a symlink, and is resolved; nothing below it is followed.
            let target = if dir.is_none() {
                std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone())
            } else {
                path.clone()
            };
            match self.inotify.add_watch(&target, EVENTS) {
                Ok(wd) => {
                    self.watches.insert(wd, Watched { share: share.clone(), dir: dir.clone() });
                }
                // It was removed before it could be watched, or is not a directory any more: its parent reports that.
                Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR | nix::errno::Errno::ELOOP)
                    if dir.is_some() =>
                {
                    continue;
                }
                // Nothing in it can be read, and its parent tells when that changes.
                Err(nix::errno::Errno::EACCES) if dir.is_some() => continue,
                // The others are no worse for it.
                Err(nix::errno::Errno::ENAMETOOLONG) if dir.is_some() => {
                    whole = false;
                    continue;
                }
                Err(_) => return false,
            }
            let Ok(names) = std::fs::read_dir(&path) else { continue };
            for entry in names.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let Ok(below) = RelPath::below(dir.as_ref(), entry.file_name().as_bytes()) else { continue };
                if filter.holds(&below) || filter.may_hold_below(&below) {
                    todo.push(Some(below));
                }
            }
        }
        whole
    }

    /// What happened since the last call; more may be waiting.
    pub fn read(&mut self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        for _ in 0..READS {
            let Ok(events) = self.inotify.read_events() else { break };
            for event in events {
                self.take(event, &mut seen);
            }
        }
        seen
    }

    fn take(&mut self, event: InotifyEvent, seen: &mut Vec<Seen>) {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            self.start_over(seen);
            return;
        }
        let Some(Watched { share, dir }) = self.watches.get(&event.wd).cloned() else { return };
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.watches.remove(&event.wd);
            return;
        }
        let Some(name) = event.name else {
            // Of the directory itself: its attributes, or its removal.
            let deep = event.mask.intersects(AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF);
            match dir {
                Some(path) => push(seen, Seen::Hint(share, Hint { path, deep })),
                None => push(seen, Seen::Anything(share)),
            }
            return;
        };
        let Ok(path) = RelPath::below(dir.as_ref(), &name.into_vec()) else { return };
        let mut deep = false;
        if event.mask.contains(AddWatchFlags::IN_ISDIR) {
            // What came or went as a directory came or went with everything below it.
            deep = !event.mask.contains(AddWatchFlags::IN_ATTRIB);
            if event.mask.contains(AddWatchFlags::IN_MOVED_FROM) {
                // A watch moves with its directory: the new path is reported under another name, or not at all.
                self.forget(|watched| {
                    watched.share == share
                        && watched.dir.as_ref().is_some_and(|dir| *dir == path || dir.is_below(&path))
                });
            } else if event.mask.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO) {
                self.watch_newcomer(&share, &path, seen);
            } else if event.mask.contains(AddWatchFlags::IN_ATTRIB) && !self.is_watched(&share, &path) {
                // It may be readable from now on.
                deep = true;
                self.watch_newcomer(&share, &path, seen);
            }
        }
        push(seen, Seen::Hint(share, Hint { path, deep }));
    }

    /// Events were lost, and with them the names of directories that were created or moved.
    fn start_over(&mut self, seen: &mut Vec<Seen>) {
        for (share, (root, filter)) in self.shares.clone() {
            let partly = self.partly.contains(&share);
            if !self.watch_share(&share, &root, &filter) && !partly {
                seen.push(Seen::Partly(share.clone()));
            }
            push(seen, Seen::Anything(share));
        }
    }

    fn watch_newcomer(&mut self, share: &ShareName, path: &RelPath, seen: &mut Vec<Seen>) {
        let wanted =
            self.shares.get(share).is_some_and(|(_, filter)| filter.holds(path) || filter.may_hold_below(path));
        if wanted && !self.watch_below(share, Some(path.clone())) && self.partly.insert(share.clone()) {
            seen.push(Seen::Partly(share.clone()));
        }
    }

    fn is_watched(&self, share: &ShareName, path: &RelPath) -> bool {
        self.watches.values().any(|watched| watched.share == *share && watched.dir.as_ref() == Some(path))
    }
}

/// A program that writes in small pieces gives one hint, not thousands.
fn push(seen: &mut Vec<Seen>, new: Seen) {
    if seen.last() != Some(&new) {
        seen.push(new);
    }
}

fn path_of(root: &Path, dir: Option<&RelPath>) -> PathBuf {
    match dir {
        None => root.to_path_buf(),
        Some(dir) => root.join(Path::new(std::ffi::OsStr::from_bytes(dir.as_bytes()))),
    }
}

#[cfg(test)]
mod tests;
