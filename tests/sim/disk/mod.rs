//! A disk in memory that can lose power, fill up, fail at any operation, and be changed by users behind owsync's back.
//!
//! What was not flushed may be lost at a power cut: of the changes of names since the last flush of any directory a
//! random prefix survives, as on a journaling filesystem; of a file's content either what was flushed, or what was
//! written, or part of it. Reads and stats see what was written, flushed or not.

mod root;
#[allow(unused_imports)]
pub use root::SimRoot;
mod state;
mod user;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use owsync::model::{RelPath, WallTime};

use super::Dice;
pub use root::SimFs;
#[allow(unused_imports)]
pub use user::{User, Writer};

type Ino = u64;

#[derive(Clone, Debug, PartialEq)]
enum Body {
    File(Vec<u8>),
    Dir,
    Link(Vec<u8>),
    #[allow(dead_code)]
    Fifo,
}

#[derive(Clone, Debug)]
struct Inode {
    body: Body,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime_ns: i64,
    ctime_ns: i64,
    locked: bool,
    /// Programs that have it open for writing.
    writers: u32,
    /// An access control list, say.
    extended: Vec<u8>,
}

/// One change of a name: in this directory, this name now means that, or nothing.
#[derive(Clone, Debug)]
struct NameChange {
    dir: Ino,
    name: Vec<u8>,
    to: Option<Ino>,
}

/// The filesystem of /run: in memory, so flushing it flushes nothing of the disk.
const TMPFS: &str = "tmpfs run";

/// How an operation is to fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// With this error, once.
    Errno(i32),
    /// The machine loses power in the middle of it.
    Crash,
    /// The daemon is killed in the middle of it; what it did so far stays.
    Kill,
}

#[derive(Debug)]
pub struct State {
    inodes: BTreeMap<Ino, Inode>,
    names: BTreeMap<Ino, BTreeMap<Vec<u8>, Ino>>,
    durable_inodes: BTreeMap<Ino, Inode>,
    durable_names: BTreeMap<Ino, BTreeMap<Vec<u8>, Ino>>,
    /// Changes of names that are not flushed, oldest first; those of one operation together.
    unflushed: Vec<Vec<NameChange>>,
    roots: BTreeMap<PathBuf, (Ino, String)>,
    hidden: BTreeMap<PathBuf, (Ino, String)>,
    next: Ino,
    pub clock_ns: i64,
    pub capacity: u64,
    /// Operations so far that change something or flush.
    pub operations: u64,
    /// What happens at which of them.
    pub faults: BTreeMap<u64, Fault>,
    /// Power is gone, or the daemon: nothing works until [`Disk::boot`].
    pub dead: bool,
    /// It was only the daemon.
    pub killed: bool,
    pub reads: u64,
    pub writes: u64,
    /// Files and directories that are open now, that were at most, and that may be.
    pub open: Rc<Cell<usize>>,
    pub most_open: Cell<usize>,
    pub descriptors: usize,
    /// How often there was none left.
    pub exhausted: Cell<u64>,
    /// Inodes that the filesystem has room for.
    pub inodes_max: usize,
    /// RENAME_EXCHANGE is not known, as on JFFS2.
    pub no_exchange: bool,
    /// A user's act between two operations: done before operation number k.
    pub intrusions: BTreeMap<u64, Intrusion>,
    /// Nothing can be said of names below this one.
    pub unreadable_below: Option<Vec<u8>>,
    /// There is no room for new names below this one.
    pub full_below: Option<Vec<u8>>,
    /// Directories below this name cannot be flushed.
    pub bad_below: Option<Vec<u8>>,
    /// Directories that something is mounted on, in its place; by what is mounted there.
    mounts: BTreeMap<Ino, (Ino, Vec<u8>, Option<Ino>)>,
    /// What those acts replaced, and by what.
    pub intruded: Vec<(RelPath, Option<Vec<u8>>, Vec<u8>)>,
}

/// What a user does between two of owsync's operations.
#[derive(Clone, Debug)]
pub struct Intrusion {
    pub root: PathBuf,
    pub path: RelPath,
    pub bytes: Vec<u8>,
    /// As an editor: a new file is renamed over the path. Otherwise the file is written in place.
    pub by_rename: bool,
}

/// A machine's disk. Clones are the same disk.
#[derive(Clone)]
pub struct Disk(pub Rc<RefCell<State>>);

impl Disk {
    pub fn new() -> Disk {
        let state = State {
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_inodes: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unflushed: Vec::new(),
            roots: BTreeMap::new(),
            hidden: BTreeMap::new(),
            next: 1,
            clock_ns: 1_700_000_000_000_000_000,
            capacity: 64 * 1024 * 1024,
            operations: 0,
            faults: BTreeMap::new(),
            dead: false,
            killed: false,
            reads: 0,
            writes: 0,
            open: Rc::default(),
            most_open: Cell::default(),
            descriptors: usize::MAX,
            exhausted: Cell::default(),
            inodes_max: usize::MAX,
            no_exchange: false,
            intrusions: BTreeMap::new(),
            intruded: Vec::new(),
            unreadable_below: None,
            full_below: None,
            bad_below: None,
            mounts: BTreeMap::new(),
        };
        let disk = Disk(Rc::new(RefCell::new(state)));
        for root in ["/share", "/state"] {
            disk.0.borrow_mut().add_root(root, "simfs disk0");
        }
        disk.0.borrow_mut().add_root("/run", TMPFS);
        disk
    }

    /// Adds another directory that can be opened.
    pub fn add_root(&self, path: &str) {
        self.0.borrow_mut().add_root(path, "simfs disk0");
    }

    /// The clock that stamps files, in milliseconds; kernels stamp with the tick, 4 ms here.
    pub fn set_clock(&self, wall: WallTime) {
        self.0.borrow_mut().clock_ns = wall.0.div_euclid(4) * 4 * 1_000_000;
    }

    /// Power goes: what was not flushed is lost in part.
    pub fn lose_power(&self, dice: &mut Dice) {
        let mut s = self.0.borrow_mut();
        let survive = dice.below(s.unflushed.len() as u64 + 1) as usize;
        let changes: Vec<NameChange> = s.unflushed.drain(..).take(survive).flatten().collect();
        for change in changes {
            let names = s.durable_names.entry(change.dir).or_default();
            match change.to {
                Some(ino) => names.insert(change.name, ino),
                None => names.remove(&change.name),
            };
        }
        let inos: Vec<Ino> = s.inodes.keys().copied().collect();
        for ino in inos {
            let live = s.inodes[&ino].clone();
            let durable = s.durable_inodes.get(&ino).cloned();
            let survivor = match (durable, &live.body) {
                (Some(durable), Body::File(_)) if durable.body != live.body => match dice.below(3) {
                    0 => live,
                    1 => durable,
                    _ => torn(&live, Some(&durable), dice),
                },
                (None, Body::File(_)) => match dice.below(3) {
                    0 => live,
                    1 => Inode { body: Body::File(Vec::new()), ..live },
                    _ => torn(&live, None, dice),
                },
                _ => live,
            };
            s.durable_inodes.insert(ino, survivor);
        }
        let dirs: Vec<Ino> =
            s.durable_inodes.iter().filter(|(_, inode)| inode.body == Body::Dir).map(|(ino, _)| *ino).collect();
        for dir in dirs {
            s.durable_names.entry(dir).or_default();
        }
        s.names = s.durable_names.clone();
        s.inodes = s.durable_inodes.clone();
        s.inodes.values_mut().for_each(|inode| {
            inode.locked = false;
            inode.writers = 0;
        });
        // The run directory is cleared by a boot.
        if let Some((ino, _)) = s.roots.get(Path::new("/run")).cloned() {
            s.names.insert(ino, BTreeMap::new());
            s.durable_names.insert(ino, BTreeMap::new());
        }
        s.dead = true;
    }

    /// The machine is on again.
    pub fn boot(&self) {
        let mut s = self.0.borrow_mut();
        s.dead = false;
        s.faults.clear();
    }

    /// Another filesystem hides a root, empty; its files come back with [`Disk::mount`].
    pub fn unmount(&self, root: &str) {
        let mut s = self.0.borrow_mut();
        let old = s.roots.remove(Path::new(root)).expect("a root");
        s.hidden.insert(root.into(), old);
        s.add_root(root, "simfs rootfs");
    }

    /// The root does not exist for a while.
    pub fn remove_root(&self, root: &str) {
        let mut s = self.0.borrow_mut();
        let old = s.roots.remove(Path::new(root)).expect("a root");
        s.hidden.insert(root.into(), old);
    }

    /// Another directory with this one file takes the root's place; the old one comes back with [`Disk::mount`].
    pub fn swap_root(&self, root: &str, file: &RelPath, bytes: &[u8]) {
        {
            let mut s = self.0.borrow_mut();
            let old = s.roots.remove(Path::new(root)).expect("a root");
            let filesystem = old.1.clone();
            s.hidden.insert(root.into(), old);
            s.add_root(root, &filesystem);
        }
        self.user(root).write(file, bytes);
    }

    /// No more than so many inodes fit besides those that are there.
    pub fn set_spare_inodes(&self, spare: usize) {
        let mut s = self.0.borrow_mut();
        s.inodes_max = s.named().len().saturating_add(spare);
    }

    /// An empty filesystem is mounted on a directory; whether there is one.
    pub fn mount_on(&self, root: &str, dir: &RelPath) -> bool {
        let there = {
            let s = self.0.borrow();
            let Some((root, _)) = s.roots.get(Path::new(root)) else { return false };
            s.walk_dir(*root, Some(dir)).is_ok()
        };
        if there {
            self.user(root).mount(dir);
        }
        there
    }

    /// Nothing is mounted on any directory any more.
    pub fn unmount_all(&self) {
        let mut s = self.0.borrow_mut();
        for (dir, name, below) in std::mem::take(&mut s.mounts).into_values() {
            s.set_names(vec![NameChange { dir, name, to: below }]);
        }
        s.flush_names();
    }

    pub fn is_hidden(&self, root: &str) -> bool {
        self.0.borrow().hidden.contains_key(Path::new(root))
    }

    pub fn mount(&self, root: &str) {
        let mut s = self.0.borrow_mut();
        if let Some(old) = s.hidden.remove(Path::new(root)) {
            s.roots.insert(root.into(), old);
        }
    }

    /// A root as a user sees it: never failing, never counted.
    pub fn user(&self, root: &str) -> User {
        User { disk: self.clone(), root: root.into() }
    }

    /// Everything on this disk, for restoring a backup later.
    pub fn snapshot(&self, root: &str) -> Vec<(RelPath, Vec<u8>)> {
        let user = self.user(root);
        user.paths().into_iter().filter_map(|path| user.read(&path).map(|bytes| (path, bytes))).collect()
    }
}

/// Part of what was written: what was flushed before, as far as it was not written over, and some bytes more.
fn torn(inode: &Inode, durable: Option<&Inode>, dice: &mut Dice) -> Inode {
    let Body::File(bytes) = &inode.body else { return inode.clone() };
    let flushed = match durable {
        Some(Inode { body: Body::File(old), .. }) => old.iter().zip(bytes).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    let keep = flushed + dice.below((bytes.len() - flushed) as u64 + 1) as usize;
    Inode { body: Body::File(bytes[..keep].to_vec()), ..inode.clone() }
}
