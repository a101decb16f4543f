//! A disk as a node opens it: every operation counted, and failing when its turn has come.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use owsync::fs::{Attributes, Found, Fs, FsError, Place, Rename, Root};
use owsync::model::{DiskStat, Owner, RelPath, WallTime};

use super::{Body, Disk, Ino, Inode, NameChange, State, TMPFS};

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

    fn written(&self) -> u64 {
        self.0.0.borrow().writes
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
pub struct SimDir(SimFile, Vec<Vec<u8>>);

/// An open file or directory: one descriptor until it is dropped.
pub struct SimFile(Rc<Cell<usize>>, Ino);

impl Drop for SimFile {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl SimRoot {
    fn error(op: &'static str, path: &RelPath) -> impl Fn(i32) -> FsError {
        let path = path.clone();
        move |errno| FsError::new(op, Some(&path), errno)
    }

    fn alive(&self, op: &'static str) -> Result<std::cell::Ref<'_, State>, FsError> {
        let state = self.disk.0.borrow();
        if state.dead { Err(FsError::new(op, None, libc::EIO)) } else { Ok(state) }
    }

    /// A descriptor for what was opened, if one is left.
    fn descriptor(s: &State, op: &'static str, path: Option<&RelPath>, ino: Ino) -> Result<SimFile, FsError> {
        let open = s.open.get() + 1;
        if open > s.descriptors {
            s.exhausted.set(s.exhausted.get() + 1);
            return Err(FsError::new(op, path, libc::EMFILE));
        }
        s.open.set(open);
        s.most_open.set(s.most_open.get().max(open));
        Ok(SimFile(s.open.clone(), ino))
    }
}

impl Root for SimRoot {
    type File = SimFile;
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
        if s.unreadable_below.as_ref().is_some_and(|bad| path.as_bytes().starts_with(bad)) {
            return Err(FsError::new("stat", Some(path), libc::EIO));
        }
        s.reach(self.ino, path).map_err(Self::error("stat", path))?;
        match s.walk(self.ino, path) {
            Ok(ino) => Ok(Some(s.found(ino))),
            Err(libc::ENOENT | libc::ENOTDIR) => Ok(None),
            Err(errno) => Err(FsError::new("stat", Some(path), errno)),
        }
    }

    fn open_dir(&self, dir: Option<&RelPath>) -> Result<SimDir, FsError> {
        let s = self.alive("open")?;
        let ino = s.walk_dir(self.ino, dir).map_err(|errno| FsError::new("open", dir, errno))?;
        if s.inodes[&ino].mode & 0o700 == 0 {
            return Err(FsError::new("open", dir, libc::EACCES));
        }
        Ok(SimDir(Self::descriptor(&s, "open", dir, ino)?, s.names[&ino].keys().rev().cloned().collect()))
    }

    fn read_dir(&self, dir: &mut SimDir, most: usize) -> Result<Vec<(Vec<u8>, Found)>, FsError> {
        let s = self.alive("read")?;
        let mut names = Vec::new();
        while names.len() < most {
            let Some(name) = dir.1.pop() else { break };
            if let Some(ino) = s.names.get(&dir.0.1).and_then(|there| there.get(&name)) {
                names.push((name, s.found(*ino)));
            }
        }
        Ok(names)
    }

    fn open_file(&self, path: &RelPath) -> Result<SimFile, FsError> {
        let s = self.alive("open")?;
        s.reach(self.ino, path).map_err(Self::error("open", path))?;
        let ino = s.walk(self.ino, path).map_err(Self::error("open", path))?;
        match &s.inodes[&ino].body {
            Body::File(_) if s.inodes[&ino].mode & 0o400 == 0 => Err(FsError::new("open", Some(path), libc::EACCES)),
            Body::File(_) => Self::descriptor(&s, "open", Some(path), ino),
            Body::Link(_) => Err(FsError::new("open", Some(path), libc::ELOOP)),
            _ => Err(FsError::new("open", Some(path), libc::ENOENT)),
        }
    }

    fn open_write(&self, path: &RelPath) -> Result<SimFile, FsError> {
        self.open_file(path)
    }

    fn stat_file(&self, file: &SimFile) -> Result<DiskStat, FsError> {
        let s = self.alive("stat")?;
        match s.found(file.1) {
            Found::Synced(stat) => Ok(stat),
            Found::Special(_) => Err(FsError::new("stat", None, libc::EINVAL)),
        }
    }

    fn read(&self, file: &SimFile, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        drop(self.alive("read")?);
        let mut s = self.disk.0.borrow_mut();
        s.reads += 1;
        let Body::File(bytes) = &s.inodes[&file.1].body else { return Err(FsError::new("read", None, libc::EINVAL)) };
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

    fn create(&self, path: &RelPath) -> Result<SimFile, FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("create", Some(path))?;
        s.spare_inode().map_err(Self::error("create", path))?;
        let (dir, name) = s.writable_parent(self.ino, path).map_err(Self::error("create", path))?;
        if s.names[&dir].contains_key(&name) {
            return Err(FsError::new("create", Some(path), libc::EEXIST));
        }
        let ino = s.next;
        let file = Self::descriptor(&s, "create", Some(path), ino)?;
        s.new_inode(Body::File(Vec::new()), 0o600);
        s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
        Ok(file)
    }

    fn write(&self, file: &SimFile, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        let result = s.operate("write", None);
        let room = s.capacity.saturating_sub(s.used());
        s.writes += bytes.len() as u64;
        let now = s.clock_ns;
        let inode = s.inodes.get_mut(&file.1).ok_or_else(|| FsError::new("write", None, libc::EBADF))?;
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

    fn truncate(&self, file: &SimFile, size: u64) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("truncate", None)?;
        if let Some(Inode { body: Body::File(content), .. }) = s.inodes.get_mut(&file.1) {
            content.resize(size as usize, 0);
        }
        Ok(())
    }

    fn keep_extended(&self, from: &RelPath, to: &RelPath) -> Result<bool, FsError> {
        let (old, new) = (self.open_file(from)?, self.open_file(to)?);
        let mut s = self.disk.0.borrow_mut();
        let extended = s.inodes[&old.1].extended.clone();
        if let Some(inode) = s.inodes.get_mut(&new.1) {
            inode.extended = extended;
        }
        Ok(true)
    }

    fn set_file(&self, file: &SimFile, attributes: Attributes) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("set", None)?;
        s.set(file.1, attributes);
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
        s.spare_inode().map_err(Self::error("create", path))?;
        let (dir, name) = s.writable_parent(self.ino, path).map_err(Self::error("create", path))?;
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
        s.spare_inode().map_err(Self::error("create", path))?;
        let (dir, name) = s.writable_parent(self.ino, path).map_err(Self::error("create", path))?;
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
        let (dir, name) = s.writable_parent(self.ino, path).map_err(Self::error("remove", path))?;
        s.set_names(vec![NameChange { dir, name, to: None }]);
        Ok(())
    }

    fn remove_dir(&self, path: &RelPath) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("remove", Some(path))?;
        let ino = s.walk(self.ino, path).map_err(Self::error("remove", path))?;
        if s.mounts.contains_key(&ino) {
            return Err(FsError::new("remove", Some(path), libc::EBUSY));
        }
        match s.names.get(&ino) {
            Some(names) if s.inodes[&ino].body == Body::Dir && !names.is_empty() => {
                return Err(FsError::new("remove", Some(path), libc::ENOTEMPTY));
            }
            Some(_) if s.inodes[&ino].body == Body::Dir => {}
            _ => return Err(FsError::new("remove", Some(path), libc::ENOTDIR)),
        }
        let (dir, name) = s.writable_parent(self.ino, path).map_err(Self::error("remove", path))?;
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
        let source = s.writable_parent(self.ino, from).map_err(Self::error("rename", from))?;
        let target = s.writable_parent(self.ino, to).map_err(Self::error("rename", to))?;
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
        let (dir, name) = s.writable_parent(self.ino, to).map_err(Self::error("link", to))?;
        if s.names[&dir].contains_key(&name) {
            return Err(FsError::new("link", Some(to), libc::EEXIST));
        }
        s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
        s.touch(ino);
        Ok(())
    }

    fn may_change(&self, path: &RelPath) -> Result<bool, FsError> {
        let s = self.alive("stat")?;
        let ino = s.walk(self.ino, path).map_err(Self::error("stat", path))?;
        let names = s.names.values().flat_map(BTreeMap::values).filter(|there| **there == ino).count();
        Ok(names > 1 || s.inodes[&ino].writers > 0)
    }

    fn adopt(&self, from: &SimRoot, path: &RelPath, to: &RelPath) -> Result<bool, FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("move", Some(path))?;
        s.room_for(to)?;
        let ino = s.walk(from.ino, path).map_err(Self::error("move", path))?;
        let other_names = s.names.values().flat_map(BTreeMap::values).filter(|there| **there == ino).count() > 1;
        if other_names || self.filesystem != from.filesystem || s.inodes[&ino].writers > 0 {
            return Ok(false);
        }
        let source = s.writable_parent(from.ino, path).map_err(Self::error("move", path))?;
        let target = s.writable_parent(self.ino, to).map_err(Self::error("move", to))?;
        s.set_names(vec![
            NameChange { dir: source.0, name: source.1, to: None },
            NameChange { dir: target.0, name: target.1, to: Some(ino) },
        ]);
        s.touch(ino);
        Ok(true)
    }

    fn lock(&self, file: &SimFile) -> Result<SimLock, FsError> {
        drop(self.alive("lock")?);
        let mut s = self.disk.0.borrow_mut();
        let inode = s.inodes.get_mut(&file.1).ok_or_else(|| FsError::new("lock", None, libc::EBADF))?;
        if std::mem::replace(&mut inode.locked, true) {
            return Err(FsError::new("lock", None, libc::EWOULDBLOCK));
        }
        Ok(SimLock(self.disk.clone(), file.1))
    }

    fn sync(&self, file: &SimFile) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("flush", None)?;
        if let Some(inode) = s.inodes.get(&file.1).cloned() {
            s.durable_inodes.insert(file.1, inode);
        }
        Ok(())
    }

    fn sync_dir(&self, dir: Option<&RelPath>) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("flush", dir)?;
        s.walk_dir(self.ino, dir).map_err(|errno| FsError::new("flush", dir, errno))?;
        if self.filesystem != TMPFS {
            s.flush_names();
        }
        Ok(())
    }

    fn sync_all(&self) -> Result<(), FsError> {
        let mut s = self.disk.0.borrow_mut();
        s.operate("flush", None)?;
        if self.filesystem != TMPFS {
            s.flush_names();
            s.durable_inodes = s.inodes.clone();
        }
        Ok(())
    }
}
