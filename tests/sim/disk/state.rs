//! The inodes and names of a disk, and the faults and intrusions that its operations meet.

use owsync::fs::{Attributes, Found, FsError};
use owsync::model::{DiskStat, Kind, RelPath};
use std::collections::{BTreeMap, BTreeSet};

use super::{Body, Fault, Ino, Inode, NameChange, State};

impl State {
    pub(super) fn add_root(&mut self, path: &str, filesystem: &str) {
        let ino = self.new_inode(Body::Dir, 0o755);
        self.durable_inodes.insert(ino, self.inodes[&ino].clone());
        self.durable_names.insert(ino, BTreeMap::new());
        self.roots.insert(path.into(), (ino, filesystem.into()));
    }

    pub(super) fn new_inode(&mut self, body: Body, mode: u32) -> Ino {
        let ino = self.next;
        self.next += 1;
        if body == Body::Dir {
            self.names.insert(ino, BTreeMap::new());
        }
        self.inodes.insert(
            ino,
            Inode {
                body,
                mode,
                uid: 0,
                gid: 0,
                mtime_ns: self.clock_ns,
                ctime_ns: self.clock_ns,
                locked: false,
                writers: 0,
                extended: Vec::new(),
            },
        );
        ino
    }

    /// Counts an operation of owsync's that changes something; fails it if it is its turn.
    pub(super) fn operate(&mut self, op: &'static str, path: Option<&RelPath>) -> Result<(), FsError> {
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
        if let Some(path) = path {
            if matches!(op, "create" | "move") {
                self.room_for(path)?;
            }
            if op == "flush" && self.bad_below.as_ref().is_some_and(|bad| path.as_bytes().starts_with(bad)) {
                return Err(FsError::new(op, Some(path), libc::EIO));
            }
        }
        match self.faults.get(&number) {
            Some(Fault::Errno(errno)) => Err(FsError::new(op, path, *errno)),
            Some(fault @ (Fault::Crash | Fault::Kill)) => {
                self.killed = *fault == Fault::Kill;
                self.dead = true;
                Err(FsError::new(op, path, libc::EIO))
            }
            None => Ok(()),
        }
    }

    /// Whether a name can be made at `path`.
    pub(super) fn room_for(&self, path: &RelPath) -> Result<(), FsError> {
        match &self.full_below {
            Some(full) if path.as_bytes().starts_with(full) => Err(FsError::new("create", Some(path), libc::ENOSPC)),
            _ => Ok(()),
        }
    }

    /// Whether the directories above a path let owsync through.
    pub(super) fn reach(&self, root: Ino, path: &RelPath) -> Result<(), i32> {
        let closed = |dir: &RelPath| {
            let ino = self.walk(root, dir);
            ino.is_ok_and(|ino| self.inodes[&ino].body == Body::Dir && self.inodes[&ino].mode & 0o700 == 0)
        };
        if path.ancestors().any(|dir| closed(&dir)) { Err(libc::EACCES) } else { Ok(()) }
    }

    /// The directory of a path in which owsync changes a name.
    pub(super) fn writable_parent(&self, root: Ino, path: &RelPath) -> Result<(Ino, Vec<u8>), i32> {
        let (dir, name) = self.walk_parent(root, path)?;
        if self.inodes[&dir].mode & 0o200 != 0 { Ok((dir, name)) } else { Err(libc::EACCES) }
    }

    pub(super) fn walk(&self, root: Ino, path: &RelPath) -> Result<Ino, i32> {
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
            if !last && self.mounts.contains_key(&at) {
                return Err(libc::EXDEV);
            }
            if !last && matches!(self.inodes.get(&at).map(|inode| &inode.body), Some(Body::Link(_))) {
                return Err(libc::ELOOP);
            }
        }
        Ok(at)
    }

    pub(super) fn walk_dir(&self, root: Ino, dir: Option<&RelPath>) -> Result<Ino, i32> {
        let ino = dir.map_or(Ok(root), |dir| self.walk(root, dir))?;
        if self.mounts.contains_key(&ino) {
            return Err(libc::EXDEV);
        }
        match self.inodes.get(&ino).map(|inode| &inode.body) {
            Some(Body::Dir) => Ok(ino),
            Some(Body::Link(_)) => Err(libc::ELOOP),
            _ => Err(libc::ENOTDIR),
        }
    }

    pub(super) fn walk_parent(&self, root: Ino, path: &RelPath) -> Result<(Ino, Vec<u8>), i32> {
        Ok((self.walk_dir(root, path.parent().as_ref())?, path.name().to_vec()))
    }

    /// Whether another inode fits.
    pub(super) fn spare_inode(&self) -> Result<(), i32> {
        let full = self.inodes_max < usize::MAX && self.named().len() >= self.inodes_max;
        if full { Err(libc::ENOSPC) } else { Ok(()) }
    }

    pub(super) fn set_names(&mut self, changes: Vec<NameChange>) {
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

    pub(super) fn make_durable(&mut self, ino: Ino) {
        let inode = self.inodes[&ino].clone();
        self.durable_inodes.insert(ino, inode);
    }

    pub(super) fn flush_names(&mut self) {
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

    /// Inodes that have a name.
    pub(super) fn named(&self) -> BTreeSet<Ino> {
        self.names.values().flat_map(|names| names.values().copied()).collect()
    }

    pub fn used(&self) -> u64 {
        let named = self.named();
        self.inodes
            .iter()
            .filter(|(ino, _)| named.contains(ino))
            .map(|(_, inode)| if let Body::File(bytes) = &inode.body { bytes.len() as u64 + 512 } else { 512 })
            .sum()
    }

    pub(super) fn touch(&mut self, ino: Ino) {
        let now = self.clock_ns;
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.ctime_ns = now;
        }
    }

    pub(super) fn found(&self, ino: Ino) -> Found {
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

    pub(super) fn set(&mut self, ino: Ino, attributes: Attributes) {
        let now = self.clock_ns;
        if let Some(inode) = self.inodes.get_mut(&ino) {
            if let Some((uid, gid)) = attributes.owner {
                inode.uid = uid;
                inode.gid = gid;
            }
            if let Some(mode) = attributes.mode {
                inode.mode = mode & 0o7777;
            }
            if let Some(mtime) = attributes.mtime {
                // Filesystems keep the nearest time that they can hold.
                inode.mtime_ns = mtime.0.saturating_mul(1_000_000);
            }
            inode.ctime_ns = now;
        }
    }
}
