//! The history: previous versions that were replaced or deleted and can be restored.
//!
//! `owsync.db-history/objects/<digest>` holds the contents, each once, readable by the owner only; `index` lists the
//! versions, one checked line each, as the journal does. A content enters by moving the replaced file itself where that
//! is possible, so keeping it writes no flash but the line. A file that a program still has open for writing is copied:
//! history never shares a file with anybody. What is used of it is compared with its digest all the same.
//!
//! Bounds: [`HistoryBounds`]. What lost a conflict or a first contact, or was deleted by a peer, is never dropped before
//! a day has passed; under pressure the newest version of a path goes last.
//!
//! Why not compressed? Measured on 60 real files of an OpenWrt /etc/config (69,262 bytes, half of them below 580): DEFLATE
//! (miniz_oxide 0.8, level 6) leaves 26,117 bytes, 38 %, and LZ4 (lz4_flex 0.11) 38,781, 56 %, for 36 and 7 KiB of binary
//! (x86-64, "s", LTO). That would let 1 MiB of history hold about 2.6 times as much. On a filesystem of 4 KiB blocks it
//! saves 5 blocks of 66, because most of these files take one either way; JFFS2 and UBIFS, which most routers have below
//! /overlay, compress anyway. And it would cost what this design is made for: a replaced file enters by a rename,
//! and compressing writes it to flash once more. A history kept on a small filesystem that packs files densely and does
//! not compress would reopen this; LZ4 would then be the choice.

mod forms;
mod prune;

use std::collections::BTreeMap;

use crate::fs::form::{Content, read_small};
use crate::fs::{Attributes, FsError, Rename, Root};
use crate::model::settings::HistoryBounds;
use crate::model::{Digest, Hasher, Kind, Map, RelPath, Set, ShareName, limits};
use crate::store::item::LineItem;
use crate::store::lines;
use crate::store::state::Why;

pub use crate::store::item::Item;

/// What may be said of a content before it is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It will be kept.
    Keep,
    /// It does not fit, and its replacement was made knowingly: it is not kept.
    LetGo,
    /// It must be kept and there is no room: the path must wait.
    Full,
}

/// The previous versions of one node.
pub struct History<R: Root> {
    root: R,
    dir: RelPath,
    bounds: HistoryBounds,
    items: Map<u64, Item>,
    /// Contents that are current shared forms: they stay, listed or not.
    forms: Set<Digest>,
    next: u64,
    /// Lines not written yet.
    pending: Vec<u8>,
    index_size: u64,
    /// Objects put there since the last flush.
    fresh: Vec<RelPath>,
    /// The index must be written again as a whole: items were dropped, or a write failed.
    stale: bool,
    made: bool,
}

impl<R: Root> History<R> {
    /// Loads the history in `dir` below `root`. Contents that the index does not list, as after a crash, are
    /// listed by the caller ([`History::adopt_object`]) or swept by [`History::sweep`].
    ///
    /// # Errors
    /// Of reading. A line that makes no sense ends the list; what it listed is swept later.
    pub fn load(root: R, dir: RelPath, bounds: HistoryBounds) -> Result<History<R>, FsError> {
        let mut history = History {
            root,
            dir,
            bounds,
            items: Map::new(),
            forms: Set::new(),
            next: 1,
            pending: Vec::new(),
            index_size: 0,
            fresh: Vec::new(),
            stale: false,
            made: false,
        };
        let Some(bytes) = crate::fs::read_whole(&history.root, &history.file("index")?, limits::DOCUMENT_MAX)? else {
            return Ok(history);
        };
        let mut position = 0;
        while let Some(length) = bytes[position..].iter().position(|&b| b == b'\n') {
            let line: Option<LineItem> = lines::read_checked(&bytes[position..position + length]);
            let Some(item) = line.and_then(|line| Item::try_from(line).ok()) else { break };
            history.next = history.next.max(item.number + 1);
            history.items.insert(item.number, item);
            position += length + 1;
        }
        history.index_size = position as u64;
        history.stale = position < bytes.len();
        Ok(history)
    }

    /// Changes the bounds; they are kept at the next [`History::prune`].
    pub fn set_bounds(&mut self, bounds: HistoryBounds) {
        self.bounds = bounds;
    }

    /// All versions, oldest first.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = &Item> {
        self.items.values()
    }

    /// One version.
    pub fn item(&self, number: u64) -> Option<&Item> {
        self.items.get(&number)
    }

    /// Bytes of all contents together.
    pub fn size(&self) -> u64 {
        let contents: BTreeMap<Digest, u64> = self.items.values().map(|item| (item.digest, item.size)).collect();
        contents.values().fold(0, |sum, size| sum.saturating_add(*size))
    }

    /// The directory of the contents, and the name of one in it: for a command that shows it.
    pub fn object(&self, digest: Digest) -> Result<RelPath, FsError> {
        self.file(&format!("objects/{}", digest.to_hex()))
    }

    /// The directory it lives in.
    pub fn root(&self) -> &R {
        &self.root
    }

    /// Whether a content of `size` bytes that is about to be replaced can be kept.
    ///
    /// `min_free` is what must stay free on this filesystem.
    pub fn room(&self, digest: Digest, size: u64, why: Why, min_free: u64) -> Room {
        if self.items.values().any(|item| item.digest == digest) {
            return Room::Keep;
        }
        let fits_free = self.root.free().is_ok_and(|free| free.saturating_sub(size) >= min_free);
        // A large one is kept where there is room for it beside the others, and makes none for itself.
        let fits = || {
            size <= self.bounds.size && (!self.is_large(size) || self.size().saturating_add(size) <= self.bounds.size)
        };
        match (why.must_be_kept(), fits_free) {
            (true, true) => Room::Keep,
            (true, false) => Room::Full,
            (false, true) if fits() => Room::Keep,
            (false, _) => Room::LetGo,
        }
    }

    /// Whether a content of `size` bytes alone would take more than half of the history.
    fn is_large(&self, size: u64) -> bool {
        size > self.bounds.size / 2
    }

    /// Takes a replaced file in, which no program finds under a name of its own any more. It counts once
    /// [`History::commit`] has flushed it.
    ///
    /// The file itself becomes the content if no process can change it any more; a program that still has it open for
    /// writing keeps it, and history gets a copy. Returns the number of the version, and the digest of what was taken in:
    /// a different one from the item's when something was written into the file after it was replaced.
    ///
    /// # Errors
    /// Of moving or copying; the file is then still where it was.
    pub fn keep(&mut self, from: &R, path: &RelPath, item: Item) -> Result<(u64, Digest), FsError> {
        self.make_dirs()?;
        // Its directory may have been removed since: the next attempt creates it again.
        self.take_in(from, path, item).inspect_err(|error| self.made &= !error.is_missing())
    }

    fn take_in(&mut self, from: &R, path: &RelPath, mut item: Item) -> Result<(u64, Digest), FsError> {
        let object = self.object(item.digest)?;
        // Its mode is set by the commit: were it set here and failed, the content would be here without a line. It takes
        // the place of an equal content that is here already: moving it costs less than trusting that one.
        if item.kind == Kind::File && self.root.adopt(from, path, &object)? {
            self.fresh.push(object);
            let digest = item.digest;
            return Ok((self.list(item), digest));
        }
        // An object without a line came to be before a power cut, perhaps without all of its bytes.
        let listed = self.items.values().any(|known| known.digest == item.digest);
        if listed && self.is_intact(item.digest)? {
            from.remove(path)?;
            let digest = item.digest;
            return Ok((self.list(item), digest));
        }
        let (digest, size) = self.copy_in(from, path, item.kind)?;
        if digest != item.digest {
            item = Item { digest, size, ..item };
        }
        self.fresh.push(self.object(digest)?);
        Ok((self.list(item), digest))
    }

    /// Takes in a content from memory. It counts once [`History::commit`] has flushed it. Returns the number of the version.
    ///
    /// # Errors
    /// Of writing.
    pub fn keep_bytes(&mut self, bytes: &[u8], item: Item) -> Result<u64, FsError> {
        self.make_dirs()?;
        self.write_in(bytes, item).inspect_err(|error| self.made &= !error.is_missing())
    }

    fn write_in(&mut self, bytes: &[u8], item: Item) -> Result<u64, FsError> {
        let listed = self.items.values().any(|known| known.digest == item.digest);
        if !listed || !self.is_intact(item.digest)? {
            // The commit flushes it.
            self.write_object(item.digest, bytes, |_| Ok(()))?;
            self.fresh.push(self.object(item.digest)?);
        }
        Ok(self.list(item))
    }

    /// Writes a content beside the others, does `then` with its file, and gives it its name.
    fn write_object(
        &self,
        digest: Digest,
        bytes: &[u8],
        then: impl FnOnce(&R::File) -> Result<(), FsError>,
    ) -> Result<(), FsError> {
        let beside = self.file("objects/incoming")?;
        self.root.remove(&beside).or_else(|error| if error.is_missing() { Ok(()) } else { Err(error) })?;
        let write = || -> Result<(), FsError> {
            let file = self.root.create(&beside)?;
            self.root.write(&file, 0, bytes)?;
            then(&file)?;
            self.root.rename(&beside, &self.object(digest)?, Rename::Replace)
        };
        write().inspect_err(|_| drop(self.root.remove(&beside)))
    }

    /// A content that is not larger than a package may be; `None` where it is missing or damaged.
    ///
    /// # Errors
    /// Of reading it.
    pub fn content(&self, digest: Digest) -> Result<Option<Vec<u8>>, FsError> {
        let bytes = read_small(&self.root, &self.object(digest)?, limits::PACKAGE_MAX)?;
        Ok(bytes.filter(|bytes| Digest::of(bytes) == digest))
    }

    /// Whether a content is here, byte for byte.
    ///
    /// # Errors
    /// Of reading it.
    pub fn is_intact(&self, digest: Digest) -> Result<bool, FsError> {
        match crate::fs::apply::digest_of(&self.root, &self.object(digest)?, Kind::File) {
            Ok(found) => Ok(found == digest),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives a content back to where it was replaced, because that does not come about; it may leave history with it.
    ///
    /// # Errors
    /// Of moving or copying; the content is still here then.
    pub fn give_back(
        &mut self,
        to: &R,
        path: &RelPath,
        digest: Digest,
        kind: Kind,
        attributes: Attributes,
    ) -> Result<(), FsError> {
        let object = self.object(digest)?;
        if kind == Kind::Symlink {
            let text = crate::fs::read_whole(&self.root, &object, limits::LINK_TEXT_MAX as u64)?
                .ok_or_else(|| FsError::new("open", Some(&object), libc::ENOENT))?;
            to.make_link(path, &text)?;
            return to.set_path(path, Attributes { owner: attributes.owner, ..Attributes::default() });
        }
        let users = self.items.values().filter(|item| item.digest == digest).count();
        let users = users + usize::from(self.forms.contains(&digest));
        if users > 1 || !to.adopt(&self.root, &object, path)? {
            let content = Content::open(&self.root, &object, Kind::File)?;
            let file = to.create(path)?;
            let mut buffer = vec![0; limits::STEP];
            let mut offset = 0;
            while let count @ 1.. = content.read(&self.root, offset, &mut buffer)? {
                to.write(&file, offset, &buffer[..count]).inspect_err(|_| drop(to.remove(path)))?;
                offset += count as u64;
            }
        }
        if users <= 1 {
            self.fresh.retain(|fresh| *fresh != object);
            // After a copy: it is in the way of whatever waits for room. What cannot be removed now goes at the next start.
            let _ = self.root.remove(&object);
        }
        let file = to.open_file(path)?;
        to.set_file(&file, attributes)?;
        to.sync(&file)
    }

    /// Forgets what a transaction that did not come about had listed of a path; written with the next line.
    pub fn forget_run(&mut self, share: &ShareName, path: &RelPath, run: u64) {
        let before = self.items.len();
        self.items.retain(|_, item| item.run != run || item.path != *path || item.share != *share);
        self.stale |= self.items.len() != before;
    }

    /// Records that a path did not exist before a transaction; once, however often that transaction is completed.
    pub fn note_created(&mut self, item: Item) {
        let same = |known: &Item| known.run == item.run && known.path == item.path && known.share == item.share;
        if !self.items.values().any(same) {
            self.list(item);
        }
    }

    /// Lists a content whose object a crash left without its line.
    pub fn adopt_object(&mut self, item: Item) -> Result<bool, FsError> {
        let object = self.object(item.digest)?;
        let listed = self
            .items
            .values()
            .any(|known| known.digest == item.digest && known.path == item.path && known.share == item.share);
        if listed || self.root.stat(&object)?.is_none() || !self.is_intact(item.digest)? {
            return Ok(listed);
        }
        self.fresh.push(object);
        self.list(item);
        Ok(true)
    }

    fn list(&mut self, mut item: Item) -> u64 {
        item.number = self.next;
        self.next += 1;
        lines::push_line(&mut self.pending, &LineItem::from(&item));
        self.items.insert(item.number, item);
        self.next - 1
    }

    /// Flushes contents and lines.
    ///
    /// # Errors
    /// Of writing; it can be tried again.
    pub fn commit(&mut self) -> Result<(), FsError> {
        if self.pending.is_empty() && !self.stale {
            return Ok(());
        }
        self.make_dirs()?;
        self.write_lines().inspect_err(|error| self.made &= !error.is_missing())
    }

    fn write_lines(&mut self) -> Result<(), FsError> {
        let fresh = std::mem::take(&mut self.fresh);
        // What was removed behind our back cannot be flushed, and holds up nothing.
        self.fresh = fresh.into_iter().filter(|object| !matches!(self.root.stat(object), Ok(None))).collect();
        for object in &self.fresh {
            // It had its share's mode, perhaps readable by everybody, or set-user-id; or by no user, including this one.
            let own = Attributes { mode: Some(0o600), ..Attributes::default() };
            let file = self.root.open_file(object).or_else(|error| {
                if !error.is_denied() {
                    return Err(error);
                }
                self.root.set_path(object, own)?;
                self.root.open_file(object)
            })?;
            self.root.set_file(&file, own)?;
            if self.fresh.len() <= limits::FLUSH_EACH {
                self.root.sync(&file)?;
            }
        }
        if self.fresh.len() > limits::FLUSH_EACH {
            self.root.sync_all()?;
        }
        if !self.fresh.is_empty() {
            self.root.sync_dir(Some(&self.file("objects")?))?;
        }
        self.fresh.clear();
        let index = self.file("index")?;
        // A list that was removed is written as a whole: lines behind a hole would be unreadable.
        self.stale |= self.index_size > 0 && self.root.stat(&index)?.is_none();
        if self.stale {
            let mut bytes = Vec::new();
            for item in self.items.values() {
                lines::push_line(&mut bytes, &LineItem::from(item));
            }
            crate::fs::write_whole(&self.root, &index, &self.file("index-new")?, &bytes)?;
            self.index_size = bytes.len() as u64;
            self.stale = false;
        } else {
            let file = match self.root.open_write(&index) {
                Err(error) if error.is_missing() => {
                    let file = self.root.create(&index)?;
                    self.root.sync_dir(Some(&self.dir))?;
                    file
                }
                other => other?,
            };
            // A torn write is overwritten by the next, at the same place.
            self.root.write(&file, self.index_size, &self.pending)?;
            self.root.sync(&file)?;
            self.index_size += self.pending.len() as u64;
        }
        self.pending.clear();
        Ok(())
    }

    /// Copies a content, and removes what it was copied from; its digest, and its size in bytes.
    fn copy_in(&self, from: &R, path: &RelPath, kind: Kind) -> Result<(Digest, u64), FsError> {
        let beside = self.file("objects/incoming")?;
        self.root.remove(&beside).or_else(|error| if error.is_missing() { Ok(()) } else { Err(error) })?;
        let copy = || -> Result<(Digest, u64), FsError> {
            let content = Content::open(from, path, kind)?;
            let file = self.root.create(&beside)?;
            let mut buffer = vec![0; limits::STEP];
            let mut hasher = Hasher::new();
            while let count @ 1.. = content.read(from, hasher.fed(), &mut buffer)? {
                self.root.write(&file, hasher.fed(), &buffer[..count])?;
                hasher.update(&buffer[..count]);
            }
            self.root.sync(&file)?;
            let (size, digest) = (hasher.fed(), hasher.finish());
            self.root.rename(&beside, &self.object(digest)?, Rename::Replace)?;
            Ok((digest, size))
        };
        let copied = copy().inspect_err(|_| {
            // A part of it is of no use, and takes the room of a disk that may be full.
            let _ = self.root.remove(&beside);
        })?;
        from.remove(path)?;
        Ok(copied)
    }

    fn make_dirs(&mut self) -> Result<(), FsError> {
        if self.made {
            return Ok(());
        }
        for dir in [self.dir.clone(), self.file("objects")?] {
            match self.root.make_dir(&dir) {
                Err(error) if !error.exists() => return Err(error),
                _ => {}
            }
        }
        self.root.sync_dir(self.dir.parent().as_ref())?;
        self.root.sync_dir(Some(&self.dir))?;
        self.made = true;
        Ok(())
    }

    fn file(&self, name: &str) -> Result<RelPath, FsError> {
        self.dir.join(name.as_bytes()).map_err(|_| FsError::new("name", Some(&self.dir), libc::ENAMETOOLONG))
    }
}
