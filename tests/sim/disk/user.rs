//! A disk as its users see it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use owsync::fs::{Attributes, Found};
use owsync::model::{RelPath, WallTime};

use super::{Body, Disk, Ino, NameChange, State};

/// A program that has a file open.
pub struct Writer {
    disk: Disk,
    ino: Ino,
}

impl Writer {
    /// Whether the file still has this name.
    pub fn is_at(&self, user: &User, path: &RelPath) -> bool {
        let s = self.disk.0.borrow();
        s.walk(user.ino(&s), path) == Ok(self.ino)
    }

    /// What the file holds, if it has a name in a root other than one that owsync stages it under: also where something
    /// hides it, a mount or another directory in the root's place.
    #[allow(dead_code)]
    pub fn named_content(&self, root: &str) -> Option<Vec<u8>> {
        let s = self.disk.0.borrow();
        let root = Path::new(root);
        let mut todo: Vec<Ino> = [s.roots.get(root), s.hidden.get(root)].into_iter().flatten().map(|at| at.0).collect();
        let mut is_named = false;
        while let Some(dir) = todo.pop() {
            let names = s.names.get(&dir).into_iter().flatten();
            for (_, child) in names.filter(|(name, _)| !name.starts_with(b".owsync-")) {
                is_named |= *child == self.ino;
                todo.push(*child);
                todo.extend(s.mounts.get(child).and_then(|(.., below)| *below));
            }
        }
        match &s.inodes.get(&self.ino)?.body {
            Body::File(bytes) if is_named => Some(bytes.clone()),
            _ => None,
        }
    }

    /// It saves in place, as it always does.
    pub fn save(&self, bytes: &[u8]) {
        let mut s = self.disk.0.borrow_mut();
        let now = s.clock_ns;
        if let Some(inode) = s.inodes.get_mut(&self.ino) {
            inode.body = Body::File(bytes.to_vec());
            inode.mtime_ns = now;
            inode.ctime_ns = now;
            let inode = inode.clone();
            s.durable_inodes.insert(self.ino, inode);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(inode) = self.disk.0.borrow_mut().inodes.get_mut(&self.ino) {
            inode.writers = inode.writers.saturating_sub(1);
        }
    }
}

/// A user at the keyboard: what is done is flushed at once, never fails and is not counted.
#[derive(Clone)]
pub struct User {
    pub(super) disk: Disk,
    pub(super) root: PathBuf,
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

    /// A program opens a file for writing, and keeps it open whatever happens to its name.
    pub fn open(&self, path: &RelPath) -> Option<Writer> {
        let mut s = self.disk.0.borrow_mut();
        let ino = s.walk(self.ino(&s), path).ok()?;
        let inode = s.inodes.get_mut(&ino).filter(|inode| matches!(inode.body, Body::File(_)))?;
        inode.writers += 1;
        Some(Writer { disk: self.disk.clone(), ino })
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

    /// Gives a file extended attributes.
    #[allow(dead_code)]
    pub fn set_extended(&self, path: &RelPath, extended: &[u8]) {
        let mut s = self.disk.0.borrow_mut();
        let Ok(ino) = s.walk(self.ino(&s), path) else { return };
        let Some(inode) = s.inodes.get_mut(&ino) else { return };
        inode.extended = extended.to_vec();
        let inode = inode.clone();
        s.durable_inodes.insert(ino, inode);
    }

    #[allow(dead_code)]
    pub fn extended(&self, path: &RelPath) -> Option<Vec<u8>> {
        let s = self.disk.0.borrow();
        s.walk(self.ino(&s), path).ok().map(|ino| s.inodes[&ino].extended.clone())
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

    /// Mounts an empty filesystem on a directory, which is made if nothing is there.
    pub fn mount(&self, path: &RelPath) {
        self.make_dir(path);
        let mut s = self.disk.0.borrow_mut();
        let (dir, name) = s.walk_parent(self.ino(&s), path).expect("a directory");
        let below = s.names[&dir].get(&name).copied();
        let ino = s.new_inode(Body::Dir, 0o755);
        s.mounts.insert(ino, (dir, name.clone(), below));
        s.set_names(vec![NameChange { dir, name, to: Some(ino) }]);
        s.flush_names();
    }

    /// Ends that: what was there before is there again.
    pub fn unmount(&self, path: &RelPath) {
        let mut s = self.disk.0.borrow_mut();
        let ino = s.walk(self.ino(&s), path).expect("a mount point");
        let (dir, name, below) = s.mounts.remove(&ino).expect("something is mounted there");
        s.set_names(vec![NameChange { dir, name, to: below }]);
        s.flush_names();
    }

    fn make_parents(&self, path: &RelPath) {
        let mut dirs: Vec<RelPath> = path.ancestors().collect();
        dirs.reverse();
        for dir in dirs {
            self.make_dir(&dir);
        }
    }

    /// Removes a file, or a directory with everything below it. As with `rm -r`, a mount point stays, with the directories
    /// above it.
    pub fn remove(&self, path: &RelPath) -> bool {
        let mounts: Vec<RelPath> = self
            .paths()
            .into_iter()
            .filter(|at| at == path || at.is_below(path))
            .filter(|at| self.is_mount(at))
            .collect();
        if mounts.contains(path) {
            return false;
        }
        if !mounts.is_empty() {
            let below: Vec<RelPath> =
                self.paths().into_iter().filter(|at| at.parent().as_ref() == Some(path)).collect();
            for at in &below {
                self.remove(at);
            }
            return true;
        }
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

    /// Whether something is mounted at a path.
    fn is_mount(&self, path: &RelPath) -> bool {
        let s = self.disk.0.borrow();
        s.walk(self.ino(&s), path).is_ok_and(|ino| s.mounts.contains_key(&ino))
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

    /// The paths at which two disks differ in kind, mode or content. What owsync stages is not compared.
    pub fn differing(&self, other: &User) -> Vec<RelPath> {
        let (mine, theirs) = (self.inodes(), other.inodes());
        let (s, o) = (self.disk.0.borrow(), other.disk.0.borrow());
        let same = |path: &RelPath| match (mine.get(path), theirs.get(path)) {
            (Some(a), Some(b)) => {
                let is_link = matches!(s.inodes[a].body, Body::Link(_));
                s.inodes[a].body == o.inodes[b].body && (is_link || s.inodes[a].mode == o.inodes[b].mode)
            }
            _ => false,
        };
        let all: std::collections::BTreeSet<&RelPath> = mine.keys().chain(theirs.keys()).collect();
        let staged = |path: &RelPath| path.as_bytes().starts_with(b".owsync-");
        all.into_iter().filter(|path| !staged(path) && !same(path)).cloned().collect()
    }

    fn inodes(&self) -> BTreeMap<RelPath, Ino> {
        let paths = self.paths();
        let s = self.disk.0.borrow();
        let root = self.ino(&s);
        paths.into_iter().filter_map(|path| Some((path.clone(), s.walk(root, &path).ok()?))).collect()
    }

    /// Every file with its content.
    pub fn files(&self) -> BTreeMap<RelPath, Vec<u8>> {
        self.paths().into_iter().filter_map(|path| self.read(&path).map(|bytes| (path, bytes))).collect()
    }
}
