//! The staging area: where content is written, verified and kept until its batch is applied.
//!
//! One directory directly below a share's root, so that it is on the same filesystem, under a name that every owsync
//! recognises and never syncs. It exists only while something is staged. What a crash left in it is removed at
//! the next start, except what a journaled batch still needs.

use crate::fs::apply::{COPY, OLD};
use crate::fs::{Attributes, FsError, Root};
use crate::model::reserved::STAGING;
use crate::model::{Digest, Hasher, Kind, RelPath, Set, escape, limits};

/// The staging directory of one share.
pub struct Staging {
    dir: RelPath,
    next: u64,
    made: bool,
}

impl Staging {
    /// The staging directory of the database with this tag; nothing is created yet.
    pub fn new(tag: u64) -> Staging {
        let name = format!("{STAGING}{}", escape::hex(&tag.to_be_bytes()));
        // 24 characters without a slash are always a path.
        let dir = RelPath::parse(name.as_bytes()).unwrap_or_else(|_| unreachable!("a staging name is a path"));
        Staging { dir, next: 1, made: false }
    }

    /// Removes what an earlier run left, except `keep`; names in use by `keep` are not given out again.
    ///
    /// # Errors
    /// Of reading or removing; a directory that is not there is no error.
    pub fn sweep<R: Root>(&mut self, root: &R, keep: &Set<RelPath>) -> Result<usize, FsError> {
        let mut handle = match root.open_dir(Some(&self.dir)) {
            Ok(handle) => handle,
            Err(error) if error.is_missing() => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut left = Vec::new();
        loop {
            let names = root.read_dir(&mut handle, limits::STEP_NAMES)?;
            if names.is_empty() {
                break;
            }
            left.extend(names.into_iter().filter_map(|(name, _)| self.dir.join(&name).ok()));
        }
        let mut removed = 0;
        self.made = true;
        let keep_all = !keep.is_empty();
        for path in left {
            // The old file of an exchange that this filesystem cannot do is beside the staged one, and so is the copy of an
            // old file that a program may still write to.
            let base = [OLD, COPY].iter().find_map(|suffix| path.as_bytes().strip_suffix(suffix.as_bytes()));
            let base = base.and_then(|base| RelPath::parse(base).ok());
            if keep.contains(&path) || base.is_some_and(|base| keep.contains(&base)) {
                let number = std::str::from_utf8(path.name()).ok().and_then(|name| u64::from_str_radix(name, 16).ok());
                self.next = self.next.max(number.unwrap_or(0).saturating_add(1));
            } else {
                root.remove(&path)?;
                removed += 1;
            }
        }
        if !keep_all && root.remove_dir(&self.dir).is_ok() {
            self.made = false;
        }
        Ok(removed)
    }

    /// Notes that the directory was removed by another process: the next name creates it again.
    pub fn check<R: Root>(&mut self, root: &R) {
        self.made &= !matches!(root.stat(&self.dir), Ok(None));
    }

    /// An unused name, in a directory that exists.
    ///
    /// # Errors
    /// Of creating the directory.
    pub fn name<R: Root>(&mut self, root: &R) -> Result<RelPath, FsError> {
        if !self.made {
            match root.make_dir(&self.dir) {
                Err(error) if !error.exists() => return Err(error),
                _ => self.made = true,
            }
        }
        let path = self
            .dir
            .join(format!("{:x}", self.next).as_bytes())
            .map_err(|_| FsError::new("stage", Some(&self.dir), libc::ENAMETOOLONG))?;
        self.next += 1;
        Ok(path)
    }

    /// Removes the directory, and what a failed removal left in it: nothing is staged any more.
    pub fn close<R: Root>(&mut self, root: &R) {
        if !self.made {
            return;
        }
        match root.remove_dir(&self.dir) {
            Ok(()) => self.made = false,
            Err(error) if error.is_missing() => self.made = false,
            Err(error) if error.is_not_empty() => {
                // What cannot be removed now will be at the next close, or the next start.
                let _ = self.sweep(root, &Set::new());
            }
            Err(_) => {}
        }
    }

    /// The directory's path.
    pub fn dir(&self) -> &RelPath {
        &self.dir
    }
}

/// Content arriving piece by piece: written, hashed, and a staged file once complete.
///
/// A staged file is created with its first byte and open only while a piece of it is written: a thousand requested files
/// need one descriptor, not a thousand.
pub struct Incoming<R: Root> {
    path: RelPath,
    size: u64,
    hasher: Hasher,
    target: Target<R>,
}

enum Target<R: Root> {
    File {
        /// Something was created at the path.
        created: bool,
        /// Open once everything was written, for the attributes.
        complete: Option<R::File>,
    },
    /// A symlink's text is short and becomes a link at the end.
    Text(Vec<u8>),
}

/// Why content that arrived does not match the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrivalError {
    /// Writing it failed.
    Fs(FsError),
    /// A piece is at a different offset than expected, or beyond the announced size: the peer's fault.
    OutOfPlace,
    /// All bytes arrived and their digest differs: the file changed while it was sent.
    OtherDigest,
}

impl<R: Root> Incoming<R> {
    /// Content of `size` bytes that is to be staged at `path`. Nothing is created yet.
    pub fn start(path: RelPath, kind: Kind, size: u64) -> Incoming<R> {
        let target = match kind {
            Kind::Symlink => Target::Text(Vec::new()),
            _ => Target::File { created: false, complete: None },
        };
        Incoming { path, size, hasher: Hasher::new(), target }
    }

    /// Bytes that have arrived: the offset of the next piece.
    pub fn arrived(&self) -> u64 {
        self.hasher.fed()
    }

    /// Whether all bytes have arrived.
    pub fn is_complete(&self) -> bool {
        self.arrived() == self.size
    }

    /// Where it is staged.
    pub fn path(&self) -> &RelPath {
        &self.path
    }

    /// The text so far, of a symlink.
    pub fn text(&self) -> Option<&[u8]> {
        match &self.target {
            Target::File { .. } => None,
            Target::Text(text) => Some(text),
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`ArrivalError::OutOfPlace`] or [`ArrivalError::Fs`].
    pub fn take(&mut self, root: &R, offset: u64, bytes: &[u8]) -> Result<(), ArrivalError> {
        let fits = offset == self.arrived() && (bytes.len() as u64) <= self.size - self.arrived();
        if !fits {
            return Err(ArrivalError::OutOfPlace);
        }
        match &mut self.target {
            Target::File { created, complete } => {
                let file = open(root, &self.path, created).map_err(ArrivalError::Fs)?;
                root.write(&file, offset, bytes).map_err(ArrivalError::Fs)?;
                *complete = Some(file).filter(|_| offset + bytes.len() as u64 == self.size);
            }
            Target::Text(text) if text.len() + bytes.len() > limits::LINK_TEXT_MAX => {
                return Err(ArrivalError::OutOfPlace);
            }
            Target::Text(text) => text.extend_from_slice(bytes),
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Verifies and completes it with its attributes; its path. Not flushed yet.
    ///
    /// # Errors
    /// [`ArrivalError::OtherDigest`] or [`ArrivalError::Fs`]; nothing stays staged then.
    pub fn finish(mut self, root: &R, digest: Digest, attributes: Attributes) -> Result<RelPath, ArrivalError> {
        let path = self.path.clone();
        let same = self.hasher.clone().finish() == digest;
        let mut complete = || match (&mut self.target, same) {
            (_, false) => Err(ArrivalError::OtherDigest),
            (Target::File { created, complete }, true) => {
                let file = match complete.take() {
                    Some(file) => Ok(file),
                    // An empty file has no first byte.
                    None => open(root, &self.path, created),
                };
                file.and_then(|file| root.set_file(&file, attributes)).map_err(ArrivalError::Fs)
            }
            (Target::Text(text), true) => {
                root.make_link(&self.path, text).map_err(ArrivalError::Fs)?;
                let owner = Attributes { owner: attributes.owner, ..Attributes::default() };
                root.set_path(&self.path, owner).map_err(ArrivalError::Fs)
            }
        };
        match complete() {
            Ok(()) => Ok(path),
            Err(error) => {
                // What is left is removed at the next start at the latest.
                let _ = root.remove(&path);
                Err(error)
            }
        }
    }

    /// Drops what arrived.
    pub fn discard(self, root: &R) {
        if !matches!(self.target, Target::File { created: false, .. } | Target::Text(_)) {
            let _ = root.remove(&self.path);
        }
    }
}

/// Opens a staged file to write the next piece, the first time by creating it.
fn open<R: Root>(root: &R, path: &RelPath, created: &mut bool) -> Result<R::File, FsError> {
    if *created {
        return root.open_write(path);
    }
    let file = root.create(path)?;
    *created = true;
    Ok(file)
}
