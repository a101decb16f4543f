//! A machine as a claim sees it, and the simulated one.

use owsync::fs::{Found, Fs, Root};
use owsync::model::{DiskStat, Monotonic, Now, RelPath, WallTime};

use crate::simdisk::{Disk, SimFs, SimRoot};

/// A share on some disk, and a user who works in it.
///
/// What the user does before [`Machine::open`] is what a claim is given: on an overlay it is in the lower layer.
pub trait Machine {
    type Fs: Fs<Root = Self::Root>;
    type Root: Root;

    fn fs(&self) -> Self::Fs;
    /// Opens the share.
    fn open(&self) -> Self::Root;
    /// Opens a directory beside the share, on the same filesystem.
    fn open_beside(&self) -> Self::Root;
    /// Whether two names can be exchanged.
    fn exchanges(&self) -> bool;
    /// The time by the clock that stamps files.
    fn now(&self) -> Now;
    /// Lets time pass, until a file written now gets another time, in milliseconds too.
    fn tick(&self);

    /// Writes a file as an editor does: under another name, then over it.
    fn write(&self, path: &RelPath, bytes: &[u8]);
    /// Writes a file where it lies.
    fn write_in_place(&self, path: &RelPath, bytes: &[u8]);
    fn make_dir(&self, path: &RelPath);
    fn make_link(&self, path: &RelPath, text: &[u8]);
    fn make_fifo(&self, path: &RelPath);
    fn chmod(&self, path: &RelPath, mode: u32);
    /// Removes a file, or a directory with everything below it.
    fn remove(&self, path: &RelPath);
    /// The content of a file, or `-> ` and the text of a symlink.
    fn read(&self, path: &RelPath) -> Option<Vec<u8>>;
    /// Every path in the share, directories included, in byte order.
    fn paths(&self) -> Vec<RelPath>;
}

/// Makes two tests of each claim: on the simulated disk, and on a real one.
#[macro_export]
macro_rules! claims {
    ($($name:ident),+ $(,)?) => {
        mod simulated {
            $(#[test]
            fn $name() {
                super::$name(&$crate::machine::Simulated::new());
            })+
        }
        mod real {
            $(#[test]
            fn $name() {
                if let Some(ground) = $crate::ground::Ground::new() {
                    super::$name(&ground);
                }
            })+
        }
    };
}

/// Claims that only a real disk can keep.
#[macro_export]
macro_rules! real_claims {
    ($($name:ident),+ $(,)?) => {
        mod real {
            $(#[test]
            fn $name() {
                if let Some(ground) = $crate::ground::Ground::new() {
                    super::$name(&ground);
                }
            })+
        }
    };
}

/// What a claim says of a path, on whichever disk.
pub trait Look {
    /// What is there, if it can be synced.
    fn stat_of(&self, path: &RelPath) -> DiskStat;
}

impl<R: Root> Look for R {
    #[track_caller]
    fn stat_of(&self, path: &RelPath) -> DiskStat {
        match self.stat(path) {
            Ok(Some(Found::Synced(stat))) => stat,
            other => panic!("{path}: {other:?}"),
        }
    }
}

/// A machine of the simulation.
pub struct Simulated {
    pub disk: Disk,
}

impl Simulated {
    pub fn new() -> Simulated {
        Simulated { disk: Disk::new() }
    }

    fn user(&self) -> crate::simdisk::User {
        self.disk.user("/share")
    }
}

impl Machine for Simulated {
    type Fs = SimFs;
    type Root = SimRoot;

    fn fs(&self) -> SimFs {
        SimFs(self.disk.clone())
    }

    fn open(&self) -> SimRoot {
        self.fs().open("/share".as_ref()).unwrap()
    }

    fn open_beside(&self) -> SimRoot {
        self.fs().open("/state".as_ref()).unwrap()
    }

    fn exchanges(&self) -> bool {
        !self.disk.0.borrow().no_exchange
    }

    fn now(&self) -> Now {
        Now { mono: Monotonic(0), wall: WallTime(self.disk.0.borrow().clock_ns / 1_000_000) }
    }

    fn tick(&self) {
        self.disk.0.borrow_mut().clock_ns += 4_000_000;
    }

    fn write(&self, path: &RelPath, bytes: &[u8]) {
        assert!(self.user().write(path, bytes), "{path}");
    }

    fn write_in_place(&self, path: &RelPath, bytes: &[u8]) {
        assert!(self.user().write_in_place(path, bytes), "{path}");
    }

    fn make_dir(&self, path: &RelPath) {
        assert!(self.user().make_dir(path), "{path}");
    }

    fn make_link(&self, path: &RelPath, text: &[u8]) {
        assert!(self.user().make_link(path, text), "{path}");
    }

    fn make_fifo(&self, path: &RelPath) {
        self.user().make_fifo(path);
    }

    fn chmod(&self, path: &RelPath, mode: u32) {
        assert!(self.user().chmod(path, mode), "{path}");
    }

    fn remove(&self, path: &RelPath) {
        assert!(self.user().remove(path), "{path}");
    }

    fn read(&self, path: &RelPath) -> Option<Vec<u8>> {
        self.user().read(path)
    }

    fn paths(&self) -> Vec<RelPath> {
        self.user().paths()
    }
}
