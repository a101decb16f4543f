//! A disk in memory that can lose power, fill up, fail at any operation, and be changed by users behind owsync's back.
//!
//! What was not flushed may be lost at a power cut: of the changes of names since the last flush of any directory a
//! random prefix survives, as on a journaling filesystem; of a file's content either what was flushed, or what was
//! written, or part of it. Reads and stats see what was written, flushed or not.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use owsync::fs::{Attributes, Found, Fs, FsError, Place, Rename, Root};
use owsync::model::{DiskStat, Kind, Owner, RelPath, WallTime};

use super::Dice;

type Ino = u64;

#[derive(Clone, Debug, PartialEq)]
enum Body {
    File(Vec<u8>),
    Dir,
    Link(Vec<u8>),
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
}

/// One change of a name: in this directory, this name now means that, or nothing.
#[derive(Clone, Debug)]
struct NameChange {
    dir: Ino,
    name: Vec<u8>,
    to: Option<Ino>,
}

/// How an operation is to fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// With this error, once.
    Errno(i32),
    /// The machine loses power in the middle of it.
    Crash,
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
    /// Power is gone: nothing works until [`Disk::boot`].
    pub dead: bool,
    pub reads: u64,
    pub writes: u64,
    /// RENAME_EXCHANGE is not known, as on JFFS2.
    pub no_exchange: bool,
    /// A user's act between two operations: done before operation number k.
    pub intrusions: BTreeMap<u64, Intrusion>,
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
            reads: 0,
            writes: 0,
            no_exchange: false,
            intrusions: BTreeMap::new(),
            intruded: Vec::new(),
        };
        let disk = Disk(Rc::new(RefCell::new(state)));
        for root in ["/share", "/state", "/run"] {
            disk.0.borrow_mut().add_root(root, "simfs disk0");
        }
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
        s.inodes.values_mut().for_each(|inode| inode.locked = false);
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

impl State {
    fn add_root(&mut self, path: &str, filesystem: &str) {
        let ino = self.new_inode(Body::Dir, 0o755);
        self.durable_inodes.insert(ino, self.inodes[&ino].clone());
        self.durable_names.insert(ino, BTreeMap::new());
        self.roots.insert(path.into(), (ino, filesystem.into()));
    }

    fn new_inode(&mut self, body: Body, mode: u32) -> Ino {
        let ino = self.next;
        self.next += 1;
        if body == Body::Dir {
            self.names.insert(ino, BTreeMap::new());
        }
        self.inodes.insert(
            ino,
            Inode { body, mode, uid: 0, gid: 0, mtime_ns: self.clock_ns, ctime_ns: self.clock_ns, locked: false },
        );
        ino
    }

    /// Counts an operation of owsync's that changes something; fails it if it is its turn.
    fn operate(&mut self, op: &'static str, path: Option<&RelPath>) -> Result<(), FsError> {
        if self.dead {
            return Err(FsError::new(op, path, libc::EIO));
        }
        let number = self.operations;
        self.operations += 1;
        if let Some(intrusion) = self.intrusions.remove(&number) {
            if let Some((root, _)) =
                self.roots.get(&intrusion.root).cloned().filter(|_| !self.hidden.contains_key(&intrusion.root))
            {
                let old = self.walk(root, &intrusion.path).ok().and_then(|ino| match &self.inodes[&ino].body {
                    Body::File(bytes) => Some(bytes.clone()),
                    _ => None,
                });
                let new = intrusion.bytes.clone();
                let path = intrusion.path.clone();
                // No file is ever renamed over a directory.
                let dir = self.walk(root, &path).is_ok_and(|ino| self.inodes[&ino].body == Body::Dir);
                if dir {
                } else if intrusion.by_rename || self.walk(root, &intrusion.path).is_err() {
                    if let Ok((dir, name)) = self.walk_parent(root, &intrusion.path) {
                        let ino = self.new_inode(Body::File(intrusion.bytes), 0o644);
                        self.make_durable(ino);
                        self.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
                        self.flush_names();
                    }
                } else if let Ok(ino) = self.walk(root, &intrusion.path) {
                    let now = self.clock_ns;
                    if let Some(inode) = self.inodes.get_mut(&ino) {
                        inode.body = Body::File(intrusion.bytes);
                        inode.mtime_ns = now;
                        inode.ctime_ns = now;
                        let inode = inode.clone();
                        self.durable_inodes.insert(ino, inode);
                    }
                }
                let there =
                    self.walk(root, &path).ok().is_some_and(|ino| self.inodes[&ino].body == Body::File(new.clone()));
                if there {
                    self.intruded.push((path, old, new));
                }
            }
        }
        match self.faults.get(&number) {
            Some(Fault::Errno(errno)) => Err(FsError::new(op, path, *errno)),
            Some(Fault::Crash) => {
                self.dead = true;
                Err(FsError::new(op, path, libc::EIO))
            }
            None => Ok(()),
        }
    }

    fn walk(&self, root: Ino, path: &RelPath) -> Result<Ino, i32> {
        let mut at = root;
        let components: Vec<&[u8]> = path.as_bytes().split(|&b| b == b'/').collect();
        for (n, name) in components.iter().enumerate() {
            match self.inodes.get(&at).map(|inode| &inode.body) {
                Some(Body::Dir) => {}
                Some(Body::Link(_)) => return Err(libc::ELOOP),
                _ => return Err(libc::ENOTDIR),
            }
            at = *self.names.get(&at).and_then(|names| names.get(*name)).ok_or(libc::ENOENT)?;
            let last = n + 1 == components.len();
            if !last && matches!(self.inodes.get(&at).map(|inode| &inode.body), Some(Body::Link(_))) {
                return Err(libc::ELOOP);
            }
        }
        Ok(at)
    }

    fn walk_parent(&self, root: Ino, path: &RelPath) -> Result<(Ino, Vec<u8>), i32> {
        let dir = match path.parent() {
            Some(dir) => self.walk(root, &dir)?,
            None => root,
        };
        match self.inodes.get(&dir).map(|inode| &inode.body) {
            Some(Body::Dir) => Ok((dir, path.name().to_vec())),
            Some(Body::Link(_)) => Err(libc::ELOOP),
            _ => Err(libc::ENOTDIR),
        }
    }

    fn set_names(&mut self, changes: Vec<NameChange>) {
        for change in &changes {
            let names = self.names.entry(change.dir).or_default();
            match change.to {
                Some(ino) => names.insert(change.name.clone(), ino),
                None => names.remove(&change.name),
            };
            if let Some(dir) = self.inodes.get_mut(&change.dir) {
                dir.mtime_ns = self.clock_ns;
            }
        }
        self.unflushed.push(changes);
    }

    fn make_durable(&mut self, ino: Ino) {
        let inode = self.inodes[&ino].clone();
        self.durable_inodes.insert(ino, inode);
    }

    fn flush_names(&mut self) {
        for change in self.unflushed.drain(..).flatten() {
            let names = self.durable_names.entry(change.dir).or_default();
            match change.to {
                Some(ino) => names.insert(change.name, ino),
                None => names.remove(&change.name),
            };
        }
        let dirs: Vec<Ino> =
            self.inodes.iter().filter(|(_, inode)| inode.body == Body::Dir).map(|(ino, _)| *ino).collect();
        for ino in dirs {
            self.durable_inodes.insert(ino, self.inodes[&ino].clone());
            self.durable_names.entry(ino).or_default();
        }
    }

    fn used(&self) -> u64 {
        let mut named: BTreeSet<Ino> = BTreeSet::new();
        for names in self.names.values() {
            named.extend(names.values());
        }
        self.inodes
            .iter()
            .filter(|(ino, _)| named.contains(ino))
            .map(|(_, inode)| if let Body::File(bytes) = &inode.body { bytes.len() as u64 + 512 } else { 512 })
            .sum()
    }

    fn touch(&mut self, ino: Ino) {
        let now = self.clock_ns;
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.ctime_ns = now;
        }
    }

    fn found(&self, ino: Ino) -> Found {
        let inode = &self.inodes[&ino];
        let (kind, size) = match &inode.body {
            Body::File(bytes) => (Kind::File, bytes.len() as u64),
            Body::Dir => (Kind::Dir, 0),
            Body::Link(text) => (Kind::Symlink, text.len() as u64),
            Body::Fifo => return Found::Special("fifo"),
        };
        Found::Synced(DiskStat {
            kind,
            size,
            mtime_ns: inode.mtime_ns,
            ctime_ns: inode.ctime_ns,
            inode: ino,
            mode: if kind == Kind::Symlink { 0 } else { inode.mode },
            uid: inode.uid,
            gid: inode.gid,
        })
    }
}

/// What a node opens.
pub struct SimFs(pub Disk);

impl Fs for SimFs {
    type Root = SimRoot;

    fn open(&self, dir: &Path) -> Result<SimRoot, FsError> {
        let state = self.0.0.borrow();
        if state.dead {
            return Err(FsError::new("open", None, libc::EIO));
        }
        match state.roots.get(dir) {
            Some((ino, filesystem)) => Ok(SimRoot { disk: self.0.clone(), ino: *ino, filesystem: filesystem.clone() }),
            None => Err(FsError::new("open", None, libc::ENOENT)),
        }
    }

    fn owner(&self, uid: u32, gid: u32) -> Option<Rc<Owner>> {
        Some(Rc::new(Owner { user: format!("u{uid}").into(), group: format!("g{gid}").into() }))
    }

    fn owner_ids(&self, owner: &Owner) -> Option<(u32, u32)> {
        Some((owner.user.strip_prefix('u')?.parse().ok()?, owner.group.strip_prefix('g')?.parse().ok()?))
    }
}

/// A directory of a simulated disk.
pub struct SimRoot {
    disk: Disk,
    ino: Ino,
    filesystem: String,
}

/// A lock that ends when dropped.
pub struct SimLock(Disk, Ino);

impl Drop for SimLock {
    fn drop(&mut self) {
        if let Some(inode) = self.0.0.borrow_mut().inodes.get_mut(&self.1) {
            inode.locked = false;
        }
    }
}

/// A directory being read: the names that are left.
pub struct SimDir(Vec<(Vec<u8>, Ino)>);

impl SimRoot {
    fn error(op: &'static str, path: &RelPath) -> impl Fn(i32) -> FsError {
        let path = path.clone();
        move |errno| FsError::new(op, Some(&path), errno)
    }

    fn alive(&self, op: &'static str) -> Result<std::cell::Ref<'_, State>, FsError> {
        let state = self.disk.0.borrow();
        if state.dead { Err(FsError::new(op, None, libc::EIO)) } else { Ok(state) }
    }
}

impl Root for SimRoot {
    type File = Ino;
    type Dir = SimDir;
    type Lock = SimLock;

    fn place(&self) -> Result<Place, FsError> {
        self.alive("stat")?;
        Ok(Place { filesystem: self.filesystem.clone(), identity: (1, self.ino) })
    }

    fn mtime(&self) -> Result<WallTime, FsError> {
        let s = self.alive("stat")?;
        Ok(WallTime(s.inodes[&self.ino].mtime_ns.div_euclid(1_000_000)))
    }

    fn free(&self) -> Result<u64, FsError> {
        let s = self.alive("statfs")?;
        Ok(s.capacity.saturating_sub(s.used()))
    }

    fn stat(&self, path: &RelPath) -> Result<Option<Found>, FsError> {
        let s = self.alive("stat")?;
        match s.walk(self.ino, path) {
            Ok(ino) => Ok(Some(s.found(ino))),
            Err(libc::ENOENT | libc::ENOTDIR) => Ok(None),
            Err(errno) => Err(FsError::new("stat", Some(path), errno)),
        }
    }

    fn open_dir(&self, dir: Option<&RelPath>) -> Result<SimDir, FsError> {
        let s = self.alive("open")?;
        let ino = match dir {
            Some(dir) => s.walk(self.ino, dir).map_err(Self::error("open", dir))?,
            None => self.ino,
        };
        match s.names.get(&ino) {
            Some(names) if s.inodes[&ino].body == Body::Dir => {
                Ok(SimDir(names.iter().rev().map(|(name, ino)| (name.clone(), *ino)).collect()))
            }
            _ => Err(FsError::new(
                "open",
                dir,
                if matches!(s.inodes.get(&ino).map(|i| &i.body), Some(Body::Link(_))) {
                    libc::ELOOP
                } else {
                    libc::ENOTDIR
                },
            )),
        }
    }

    fn read_dir(&self, dir: &mut SimDir, most: usize) -> Result<Vec<(Vec<u8>, Found)>, FsError> {
        let s = self.alive("read")?;
        let mut names = Vec::new();
        while names.len() < most {
            let Some((name, ino)) = dir.0.pop() else { break };
            if s.inodes.contains_key(&ino) {
                names.push((name, s.found(ino)));
            }
        }
        Ok(names)
    }

    fn open_file(&self, path: &RelPath) -> Result<Ino, FsError> {
        let s = self.alive("open")?;
        let ino = s.walk(self.ino, path).map_err(Self::error("open", path))?;
        match &s.inodes[&ino].body {
            Body::File(_) if s.inodes[&ino].mode & 0o400 == 0 => Err(FsError::new("open", Some(path), libc::EACCES)),
            Body::File(_) => Ok(ino),
            Body::Link(_) => Err(FsError::new("open", Some(path), libc::ELOOP)),
            _ => Err(FsError::new("open", Some(path), libc::ENOENT)),
        }
    }

    fn open_write(&self, path: &RelPath) -> Result<Ino, FsError> {
        self.open_file(path)
    }

    fn stat_file(&self, file: &Ino) -> Result<DiskStat, FsError> {
        let s = self.alive("stat")?;
        match s.found(*file) {
            Found::Synced(stat) => Ok(stat),
            Found::Special(_) => Err(FsError::new("stat", None, libc::EINVAL)),
        }
    }

    fn read(&self, file: &Ino, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        drop(self.alive("read")?);
        let mut s = self.disk.0.borrow_mut();
        s.reads += 1;
        let Body::File(bytes) = &s.inodes[file].body else { return Err(FsError::new("read", None, libc::EINVAL)) };
        let start = (offset as usize).min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn read_link(&self, path: &RelPath) -> Result<Vec<u8>, FsError> {
        let s = self.alive("read")?;
        let ino = s.walk(self.ino, path).map_err(Self::error("read", path))?;
        match &s.inodes[&ino].body {
            Body::Link(text) => Ok(text.clone()),
            _ => Err(FsError::new("read", Some(path), libc::EINVAL)),
        }
    }

    fn create(&self, path: &RelPath) -> Result<Ino, FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("create", Some(path))?;
        let (dir, name) = s.walk_parent(self.ino, path).map_err(Self::error("create", path))?;
        if s.names[&dir].contains_key(&name) {
            return Err(FsError::new("create", Some(path), libc::EEXIST));
        }
        let ino = s.new_inode(Body::File(Vec::new()), 0o600);
        s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
        Ok(ino)
    }

    fn write(&self, file: &Ino, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        let result = s.operate("write", None);
        let room = s.capacity.saturating_sub(s.used());
        s.writes += bytes.len() as u64;
        let now = s.clock_ns;
        let inode = s.inodes.get_mut(file).ok_or_else(|| FsError::new("write", None, libc::EBADF))?;
        let Body::File(content) = &mut inode.body else { return Err(FsError::new("write", None, libc::EINVAL)) };
        let end = offset as usize + bytes.len();
        let grows = end.saturating_sub(content.len()) as u64;
        // A failing disk takes part of it; so does a full one.
        let take = if result.is_err() {
            bytes.len() / 2
        } else if grows > room {
            (bytes.len() as u64).saturating_sub(grows - room) as usize
        } else {
            bytes.len()
        };
        if content.len() < offset as usize + take {
            content.resize(offset as usize + take, 0);
        }
        content[offset as usize..offset as usize + take].copy_from_slice(&bytes[..take]);
        inode.mtime_ns = now;
        inode.ctime_ns = now;
        result?;
        if take < bytes.len() { Err(FsError::new("write", None, libc::ENOSPC)) } else { Ok(()) }
    }

    fn truncate(&self, file: &Ino, size: u64) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("truncate", None)?;
        if let Some(Inode { body: Body::File(content), .. }) = s.inodes.get_mut(file) {
            content.resize(size as usize, 0);
        }
        Ok(())
    }

    fn set_file(&self, file: &Ino, attributes: Attributes) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("set", None)?;
        s.set(*file, attributes);
        Ok(())
    }

    fn set_path(&self, path: &RelPath, attributes: Attributes) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("set", Some(path))?;
        let ino = s.walk(self.ino, path).map_err(Self::error("set", path))?;
        s.set(ino, attributes);
        Ok(())
    }

    fn make_link(&self, path: &RelPath, text: &[u8]) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("create", Some(path))?;
        let (dir, name) = s.walk_parent(self.ino, path).map_err(Self::error("create", path))?;
        if s.names[&dir].contains_key(&name) {
            return Err(FsError::new("create", Some(path), libc::EEXIST));
        }
        let ino = s.new_inode(Body::Link(text.to_vec()), 0);
        s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
        Ok(())
    }

    fn make_dir(&self, path: &RelPath) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("create", Some(path))?;
        let (dir, name) = s.walk_parent(self.ino, path).map_err(Self::error("create", path))?;
        if s.names[&dir].contains_key(&name) {
            return Err(FsError::new("create", Some(path), libc::EEXIST));
        }
        let ino = s.new_inode(Body::Dir, 0o700);
        s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
        Ok(())
    }

    fn remove(&self, path: &RelPath) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("remove", Some(path))?;
        let ino = s.walk(self.ino, path).map_err(Self::error("remove", path))?;
        if s.inodes[&ino].body == Body::Dir {
            return Err(FsError::new("remove", Some(path), libc::EISDIR));
        }
        let (dir, name) = s.walk_parent(self.ino, path).map_err(Self::error("remove", path))?;
        s.set_names(vec![NameChange { dir, name, to: None }]);
        Ok(())
    }

    fn remove_dir(&self, path: &RelPath) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("remove", Some(path))?;
        let ino = s.walk(self.ino, path).map_err(Self::error("remove", path))?;
        match s.names.get(&ino) {
            Some(names) if s.inodes[&ino].body == Body::Dir && !names.is_empty() => {
                return Err(FsError::new("remove", Some(path), libc::ENOTEMPTY));
            }
            Some(_) if s.inodes[&ino].body == Body::Dir => {}
            _ => return Err(FsError::new("remove", Some(path), libc::ENOTDIR)),
        }
        let (dir, name) = s.walk_parent(self.ino, path).map_err(Self::error("remove", path))?;
        s.set_names(vec![NameChange { dir, name, to: None }]);
        Ok(())
    }

    fn rename(&self, from: &RelPath, to: &RelPath, how: Rename) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        if how == Rename::Exchange && s.no_exchange {
            return Err(FsError::new("rename", Some(to), libc::EINVAL));
        }
        s.operate("rename", Some(to))?;
        let ino = s.walk(self.ino, from).map_err(Self::error("rename", from))?;
        assert_ne!(s.inodes[&ino].body, Body::Dir, "owsync never renames a directory: {from}");
        let source = s.walk_parent(self.ino, from).map_err(Self::error("rename", from))?;
        let target = s.walk_parent(self.ino, to).map_err(Self::error("rename", to))?;
        let there = s.names[&target.0].get(&target.1).copied();
        let change = |(dir, name): (Ino, Vec<u8>), to| NameChange { dir, name, to };
        match (how, there) {
            (Rename::New, Some(_)) => return Err(FsError::new("rename", Some(to), libc::EEXIST)),
            (Rename::Replace, Some(there)) if s.inodes[&there].body == Body::Dir => {
                return Err(FsError::new("rename", Some(to), libc::EISDIR));
            }
            (Rename::Exchange, None) => return Err(FsError::new("rename", Some(to), libc::ENOENT)),
            (Rename::Exchange, Some(there)) => {
                s.set_names(vec![change(source, Some(there)), change(target, Some(ino))]);
                s.touch(there);
            }
            _ => s.set_names(vec![change(source, None), change(target, Some(ino))]),
        }
        s.touch(ino);
        Ok(())
    }

    fn link(&self, from: &RelPath, to: &RelPath) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("link", Some(to))?;
        let ino = s.walk(self.ino, from).map_err(Self::error("link", from))?;
        let (dir, name) = s.walk_parent(self.ino, to).map_err(Self::error("link", to))?;
        if s.names[&dir].contains_key(&name) {
            return Err(FsError::new("link", Some(to), libc::EEXIST));
        }
        s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
        s.touch(ino);
        Ok(())
    }

    fn adopt(&self, from: &SimRoot, path: &RelPath, to: &RelPath) -> Result<bool, FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("move", Some(path))?;
        let ino = s.walk(from.ino, path).map_err(Self::error("move", path))?;
        if self.filesystem != from.filesystem {
            return Ok(false);
        }
        let source = s.walk_parent(from.ino, path).map_err(Self::error("move", path))?;
        let target = s.walk_parent(self.ino, to).map_err(Self::error("move", to))?;
        s.set_names(vec![
            NameChange { dir: source.0, name: source.1, to: None },
            NameChange { dir: target.0, name: target.1, to: Some(ino) },
        ]);
        s.touch(ino);
        Ok(true)
    }

    fn lock(&self, file: &Ino) -> Result<SimLock, FsError> {
        drop(self.alive("lock")?);
        let mut s = self.disk.0.borrow_mut();
        let inode = s.inodes.get_mut(file).ok_or_else(|| FsError::new("lock", None, libc::EBADF))?;
        if std::mem::replace(&mut inode.locked, true) {
            return Err(FsError::new("lock", None, libc::EWOULDBLOCK));
        }
        Ok(SimLock(self.disk.clone(), *file))
    }

    fn sync(&self, file: &Ino) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("flush", None)?;
        if let Some(inode) = s.inodes.get(file).cloned() {
            s.durable_inodes.insert(*file, inode);
        }
        Ok(())
    }

    fn sync_dir(&self, dir: Option<&RelPath>) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("flush", dir)?;
        if let Some(dir) = dir {
            s.walk(self.ino, dir).map_err(Self::error("flush", dir))?;
        }
        s.flush_names();
        Ok(())
    }

    fn sync_all(&self) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("flush", None)?;
        s.flush_names();
        s.durable_inodes = s.inodes.clone();
        Ok(())
    }
}

impl State {
    fn set(&mut self, ino: Ino, attributes: Attributes) {
        let now = self.clock_ns;
        if let Some(inode) = self.inodes.get_mut(&ino) {
            if let Some((uid, gid)) = attributes.owner {
                inode.uid = uid;
                inode.gid = gid;
            }
            if let Some(mode) = attributes.mode {
                inode.mode = mode;
            }
            if let Some(mtime) = attributes.mtime {
                inode.mtime_ns = mtime.0 * 1_000_000;
            }
            inode.ctime_ns = now;
        }
    }
}

/// A user at the keyboard: what is done is flushed at once, never fails and is not counted.
#[derive(Clone)]
pub struct User {
    disk: Disk,
    root: PathBuf,
}

impl User {
    fn ino(&self, s: &State) -> Ino {
        s.roots[&self.root].0
    }

    pub fn exists(&self) -> bool {
        self.disk.0.borrow().roots.contains_key(&self.root)
    }

    fn flush(&self) {
        let mut s = self.disk.0.borrow_mut();
        s.flush_names();
    }

    /// Writes a file as an editor does: under another name first, then over it. Directories above are made.
    pub fn write(&self, path: &RelPath, bytes: &[u8]) -> bool {
        self.make_parents(path);
        {
            let mut s = self.disk.0.borrow_mut();
            let Ok((dir, name)) = s.walk_parent(self.ino(&s), path) else { return false };
            if let Some(there) = s.names[&dir].get(&name) {
                if s.inodes[there].body == Body::Dir {
                    return false;
                }
            }
            let mode = s.names[&dir].get(&name).map_or(0o644, |there| s.inodes[there].mode);
            let ino = s.new_inode(Body::File(bytes.to_vec()), mode);
            s.make_durable(ino);
            s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
        }
        self.flush();
        true
    }

    /// Writes a file where it lies.
    pub fn write_in_place(&self, path: &RelPath, bytes: &[u8]) -> bool {
        let mut s = self.disk.0.borrow_mut();
        let Ok(ino) = s.walk(self.ino(&s), path) else { return false };
        let now = s.clock_ns;
        let Some(inode) = s.inodes.get_mut(&ino) else { return false };
        if !matches!(inode.body, Body::File(_)) {
            return false;
        }
        inode.body = Body::File(bytes.to_vec());
        inode.mtime_ns = now;
        inode.ctime_ns = now;
        let inode = inode.clone();
        s.durable_inodes.insert(ino, inode);
        true
    }

    pub fn set_mtime(&self, path: &RelPath, mtime: WallTime) {
        let mut s = self.disk.0.borrow_mut();
        if let Ok(ino) = s.walk(self.ino(&s), path) {
            s.set(ino, Attributes { mtime: Some(mtime), ..Attributes::default() });
            let inode = s.inodes[&ino].clone();
            s.durable_inodes.insert(ino, inode);
        }
    }

    pub fn chmod(&self, path: &RelPath, mode: u32) -> bool {
        let mut s = self.disk.0.borrow_mut();
        let Ok(ino) = s.walk(self.ino(&s), path) else { return false };
        s.set(ino, Attributes { mode: Some(mode), ..Attributes::default() });
        let inode = s.inodes[&ino].clone();
        s.durable_inodes.insert(ino, inode);
        true
    }

    pub fn chown(&self, path: &RelPath, uid: u32, gid: u32) -> bool {
        let mut s = self.disk.0.borrow_mut();
        let Ok(ino) = s.walk(self.ino(&s), path) else { return false };
        s.set(ino, Attributes { owner: Some((uid, gid)), ..Attributes::default() });
        let inode = s.inodes[&ino].clone();
        s.durable_inodes.insert(ino, inode);
        true
    }

    pub fn stat(&self, path: &RelPath) -> Option<Found> {
        let s = self.disk.0.borrow();
        s.walk(self.ino(&s), path).ok().map(|ino| s.found(ino))
    }

    pub fn mode(&self, path: &RelPath) -> Option<u32> {
        match self.stat(path)? {
            Found::Synced(stat) => Some(stat.mode),
            Found::Special(_) => None,
        }
    }

    pub fn make_dir(&self, path: &RelPath) -> bool {
        {
            let mut s = self.disk.0.borrow_mut();
            let Ok((dir, name)) = s.walk_parent(self.ino(&s), path) else { return false };
            if s.names[&dir].contains_key(&name) {
                return false;
            }
            let ino = s.new_inode(Body::Dir, 0o755);
            s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
        }
        self.flush();
        true
    }

    pub fn make_fifo(&self, path: &RelPath) {
        let mut s = self.disk.0.borrow_mut();
        if let Ok((dir, name)) = s.walk_parent(self.ino(&s), path) {
            let ino = s.new_inode(Body::Fifo, 0o644);
            s.make_durable(ino);
            s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
            s.flush_names();
        }
    }

    pub fn make_link(&self, path: &RelPath, text: &[u8]) -> bool {
        {
            let mut s = self.disk.0.borrow_mut();
            let Ok((dir, name)) = s.walk_parent(self.ino(&s), path) else { return false };
            if s.names[&dir].contains_key(&name) {
                return false;
            }
            let ino = s.new_inode(Body::Link(text.to_vec()), 0);
            s.make_durable(ino);
            s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
        }
        self.flush();
        true
    }

    fn make_parents(&self, path: &RelPath) {
        let mut dirs: Vec<RelPath> = path.ancestors().collect();
        dirs.reverse();
        for dir in dirs {
            self.make_dir(&dir);
        }
    }

    /// Removes a file, or a directory with everything below it.
    pub fn remove(&self, path: &RelPath) -> bool {
        {
            let mut s = self.disk.0.borrow_mut();
            if s.walk(self.ino(&s), path).is_err() {
                return false;
            }
            let Ok((dir, name)) = s.walk_parent(self.ino(&s), path) else { return false };
            s.set_names(vec![NameChange { dir, name, to: None }]);
        }
        self.flush();
        true
    }

    pub fn rename(&self, from: &RelPath, to: &RelPath) -> bool {
        self.make_parents(to);
        {
            let mut s = self.disk.0.borrow_mut();
            let Ok(ino) = s.walk(self.ino(&s), from) else { return false };
            let (Ok(source), Ok(target)) = (s.walk_parent(self.ino(&s), from), s.walk_parent(self.ino(&s), to)) else {
                return false;
            };
            if s.names[&target.0].get(&target.1).is_some_and(|there| s.inodes[there].body == Body::Dir)
                || to.is_below(from)
            {
                return false;
            }
            s.set_names(vec![
                NameChange { dir: source.0, name: source.1, to: None },
                NameChange { dir: target.0, name: target.1, to: Some(ino) },
            ]);
            s.touch(ino);
        }
        self.flush();
        true
    }

    pub fn read(&self, path: &RelPath) -> Option<Vec<u8>> {
        let s = self.disk.0.borrow();
        let ino = s.walk(self.ino(&s), path).ok()?;
        match &s.inodes.get(&ino)?.body {
            Body::File(bytes) => Some(bytes.clone()),
            Body::Link(text) => Some([b"-> ", text.as_slice()].concat()),
            Body::Dir | Body::Fifo => None,
        }
    }

    /// Every path, directories included.
    pub fn paths(&self) -> Vec<RelPath> {
        let s = self.disk.0.borrow();
        let mut paths = Vec::new();
        let mut todo = vec![(None, self.ino(&s))];
        while let Some((dir, ino)) = todo.pop() {
            for (name, child) in s.names.get(&ino).into_iter().flatten() {
                let Ok(path) = RelPath::below(dir.as_ref(), name) else { continue };
                if s.inodes[child].body == Body::Dir {
                    todo.push((Some(path.clone()), *child));
                }
                paths.push(path);
            }
        }
        paths.sort();
        paths
    }

    /// Every file with its content.
    pub fn files(&self) -> BTreeMap<RelPath, Vec<u8>> {
        self.paths().into_iter().filter_map(|path| self.read(&path).map(|bytes| (path, bytes))).collect()
    }
}
