//! Watches owsync's own UCI package, so that `uci commit owsync` is enough to apply it.
//!
//! libuci replaces the file by rename, so its directory is watched. What counts is what it holds: a file that was written
//! again unchanged, or touched, reloads nothing. A config file is read again only by SIGHUP, because an editor may save it
//! halfway.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use sha2::{Digest, Sha256};

use crate::fs::local;
use crate::model::{Monotonic, limits};

/// Quiet time before the file is read: LuCI commits several packages, one after the other.
const SETTLE: Duration = Duration::from_millis(500);

/// The watch on one file.
pub struct SelfWatch {
    inotify: Inotify,
    file: PathBuf,
    /// Its content when it was last read.
    seen: [u8; 32],
    due: Monotonic,
}

impl SelfWatch {
    /// Watches a file; `None` where that is not possible, which leaves the other ways to reload.
    pub fn new(file: &Path) -> Option<SelfWatch> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
        let events = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE;
        inotify.add_watch(file.parent()?, events).ok()?;
        Some(SelfWatch { inotify, file: file.into(), seen: digest(file), due: Monotonic::NEVER })
    }

    /// To wait on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Takes what happened in the directory.
    pub fn handle_events(&mut self, now: Monotonic) {
        while let Ok(events) = self.inotify.read_events() {
            if events.is_empty() {
                return;
            }
            if events.iter().any(|event| event.name.as_deref() == self.file.file_name()) {
                self.due = now.plus(SETTLE);
            }
        }
    }

    /// When [`SelfWatch::has_changed`] is worth asking.
    pub fn poll_timeout(&self) -> Monotonic {
        self.due
    }

    /// Whether the file holds something else than the last time, once it has settled.
    pub fn has_changed(&mut self, now: Monotonic) -> bool {
        if self.due > now {
            return false;
        }
        self.due = Monotonic::NEVER;
        let holds = digest(&self.file);
        std::mem::replace(&mut self.seen, holds) != holds
    }
}

/// What a file holds; one that cannot be read holds nothing.
fn digest(file: &Path) -> [u8; 32] {
    Sha256::digest(local::read(file, limits::UCI_FILE_MAX).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_content_is_a_change() {
        let dir = std::env::temp_dir().join(format!("owsync-selfwatch-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("owsync");
        std::fs::write(&file, "a").unwrap();
        let mut watch = SelfWatch::new(&file).unwrap();
        let later = Monotonic(0).plus(SETTLE);

        std::fs::write(dir.join("other"), "b").unwrap();
        watch.handle_events(Monotonic(0));
        assert_eq!(watch.poll_timeout(), Monotonic::NEVER);

        std::fs::write(&file, "a").unwrap();
        watch.handle_events(Monotonic(0));
        assert!(!watch.has_changed(Monotonic(0)));
        assert!(!watch.has_changed(later));

        std::fs::write(dir.join("new"), "c").unwrap();
        std::fs::rename(dir.join("new"), &file).unwrap();
        watch.handle_events(Monotonic(0));
        assert!(watch.has_changed(later));
        assert!(!watch.has_changed(later));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
