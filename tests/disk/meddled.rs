//! A directory in which somebody acts just before one of owsync's operations, and that remembers what was opened.

use std::cell::{Cell, RefCell};

use owsync::fs::{Attributes, Found, FsError, Place, Rename, Root};
use owsync::model::{DiskStat, RelPath, WallTime};

/// Where an act comes in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// A rename.
    Rename,
    /// Taking a lock.
    Lock,
    /// Reading a file's bytes.
    Read,
    /// Asking an open file what it is.
    StatFile,
}

type Act<'a> = (Before, usize, Box<dyn FnOnce() + 'a>);

/// The directory `root`, meddled with.
pub struct Meddled<'a, R: Root> {
    root: &'a R,
    acts: RefCell<Vec<Act<'a>>>,
    /// Files opened to be read, in order.
    pub opened: RefCell<Vec<RelPath>>,
    renames: Cell<usize>,
    locks: Cell<usize>,
    reads: Cell<usize>,
    stats: Cell<usize>,
}

impl<'a, R: Root> Meddled<'a, R> {
    pub fn new(root: &'a R) -> Meddled<'a, R> {
        Meddled {
            root,
            acts: RefCell::default(),
            opened: RefCell::default(),
            renames: Cell::default(),
            locks: Cell::default(),
            reads: Cell::default(),
            stats: Cell::default(),
        }
    }

    /// Does this just before operation number `count` of its kind, from 0.
    pub fn before(self, what: Before, count: usize, act: impl FnOnce() + 'a) -> Meddled<'a, R> {
        self.acts.borrow_mut().push((what, count, Box::new(act)));
        self
    }

    fn comes(&self, what: Before) {
        let count = match what {
            Before::Rename => &self.renames,
            Before::Lock => &self.locks,
            Before::Read => &self.reads,
            Before::StatFile => &self.stats,
        };
        let number = count.replace(count.get() + 1);
        let at = self.acts.borrow().iter().position(|(before, at, _)| (*before, *at) == (what, number));
        if let Some(at) = at {
            let (_, _, act) = self.acts.borrow_mut().remove(at);
            act();
        }
    }
}

impl<R: Root> Drop for Meddled<'_, R> {
    fn drop(&mut self) {
        // An act that never came proves nothing.
        assert!(self.acts.borrow().is_empty() || std::thread::panicking(), "nobody meddled");
    }
}

impl<R: Root> Root for Meddled<'_, R> {
    type File = R::File;
    type Dir = R::Dir;
    type Lock = R::Lock;

    fn open_file(&self, path: &RelPath) -> Result<R::File, FsError> {
        self.opened.borrow_mut().push(path.clone());
        self.root.open_file(path)
    }
    fn rename(&self, from: &RelPath, to: &RelPath, how: Rename) -> Result<(), FsError> {
        self.comes(Before::Rename);
        self.root.rename(from, to, how)
    }
    fn lock(&self, file: &R::File) -> Result<R::Lock, FsError> {
        self.comes(Before::Lock);
        self.root.lock(file)
    }
    fn read(&self, file: &R::File, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        self.comes(Before::Read);
        self.root.read(file, offset, buffer)
    }
    fn stat_file(&self, file: &R::File) -> Result<DiskStat, FsError> {
        self.comes(Before::StatFile);
        self.root.stat_file(file)
    }

    fn place(&self) -> Result<Place, FsError> {
        self.root.place()
    }
    fn mtime(&self) -> Result<WallTime, FsError> {
        self.root.mtime()
    }
    fn free(&self) -> Result<u64, FsError> {
        self.root.free()
    }
    fn stat(&self, path: &RelPath) -> Result<Option<Found>, FsError> {
        self.root.stat(path)
    }
    fn open_dir(&self, dir: Option<&RelPath>) -> Result<R::Dir, FsError> {
        self.root.open_dir(dir)
    }
    fn read_dir(&self, dir: &mut R::Dir, most: usize) -> Result<Vec<(Vec<u8>, Found)>, FsError> {
        self.root.read_dir(dir, most)
    }
    fn open_write(&self, path: &RelPath) -> Result<R::File, FsError> {
        self.root.open_write(path)
    }
    fn read_link(&self, path: &RelPath) -> Result<Vec<u8>, FsError> {
        self.root.read_link(path)
    }
    fn create(&self, path: &RelPath) -> Result<R::File, FsError> {
        self.root.create(path)
    }
    fn write(&self, file: &R::File, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.root.write(file, offset, bytes)
    }
    fn truncate(&self, file: &R::File, size: u64) -> Result<(), FsError> {
        self.root.truncate(file, size)
    }
    fn set_file(&self, file: &R::File, attributes: Attributes) -> Result<(), FsError> {
        self.root.set_file(file, attributes)
    }
    fn set_path(&self, path: &RelPath, attributes: Attributes) -> Result<(), FsError> {
        self.root.set_path(path, attributes)
    }
    fn make_link(&self, path: &RelPath, text: &[u8]) -> Result<(), FsError> {
        self.root.make_link(path, text)
    }
    fn make_dir(&self, path: &RelPath) -> Result<(), FsError> {
        self.root.make_dir(path)
    }
    fn remove(&self, path: &RelPath) -> Result<(), FsError> {
        self.root.remove(path)
    }
    fn remove_dir(&self, path: &RelPath) -> Result<(), FsError> {
        self.root.remove_dir(path)
    }
    fn link(&self, from: &RelPath, to: &RelPath) -> Result<(), FsError> {
        self.root.link(from, to)
    }
    fn may_change(&self, path: &RelPath) -> Result<bool, FsError> {
        self.root.may_change(path)
    }
    fn adopt(&self, from: &Self, path: &RelPath, to: &RelPath) -> Result<bool, FsError> {
        self.root.adopt(from.root, path, to)
    }
    fn sync(&self, file: &R::File) -> Result<(), FsError> {
        self.root.sync(file)
    }
    fn sync_dir(&self, dir: Option<&RelPath>) -> Result<(), FsError> {
        self.root.sync_dir(dir)
    }
    fn sync_all(&self) -> Result<(), FsError> {
        self.root.sync_all()
    }
}
