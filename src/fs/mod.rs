//! The disk behind a trait: one real implementation, one simulated in tests.
//!
//! A [`Root`] is a directory opened once; every path is taken relative to it, and resolving one never follows a symlink,
//! never leaves the root and never crosses into another filesystem. It is the only way owsync touches a share or its own
//! state, so the simulation and the crash sweep see every operation there is. The logic above it (what to scan, how to
//! apply a batch) knows no system call and is the same in both worlds.

pub mod apply;
pub mod form;
pub mod local;
pub mod owners;
pub mod scan;
pub mod stage;
pub mod uci_file;
#[allow(unsafe_code)]
pub mod unix;

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use crate::model::{DiskStat, Owner, RelPath, WallTime, limits};

/// An operation on the disk that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsError {
    /// What was attempted, as a verb.
    pub op: &'static str,
    /// On what, escaped; empty for the root itself.
    pub path: String,
    /// The system's number for the cause.
    pub errno: i32,
}

impl FsError {
    /// An error of `op` on `path`.
    pub fn new(op: &'static str, path: Option<&RelPath>, errno: i32) -> FsError {
        FsError { op, path: path.map(RelPath::to_text).unwrap_or_default(), errno }
    }

    /// Nothing is there, or something above it is not a directory.
    pub fn is_missing(&self) -> bool {
        matches!(self.errno, libc::ENOENT | libc::ENOTDIR)
    }

    /// Something is there already.
    pub fn exists(&self) -> bool {
        self.errno == libc::EEXIST
    }

    /// The filesystem, or the user's quota, is full.
    pub fn is_full(&self) -> bool {
        matches!(self.errno, libc::ENOSPC | libc::EDQUOT)
    }

    /// The directory is not empty.
    pub fn is_not_empty(&self) -> bool {
        matches!(self.errno, libc::ENOTEMPTY | libc::EEXIST)
    }

    /// Source and target are on different filesystems, or the path crosses into another one.
    pub fn crosses(&self) -> bool {
        self.errno == libc::EXDEV
    }

    /// A component of the path is a symlink.
    pub fn is_symlink(&self) -> bool {
        self.errno == libc::ELOOP
    }

    /// The path leads out of the directory now, over a symlink or a mount point: nothing below it is part of a share.
    pub fn leads_elsewhere(&self) -> bool {
        self.is_symlink() || self.crosses()
    }

    /// The filesystem, or the kernel, does not know this operation.
    pub fn is_unsupported(&self) -> bool {
        matches!(self.errno, libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)
    }

    /// Its mode, or that of a directory above it, does not allow this user in.
    pub fn is_denied(&self) -> bool {
        self.errno == libc::EACCES
    }

    /// This process, or the machine, has no descriptor left: the path itself is not at fault.
    pub fn is_exhausted(&self) -> bool {
        matches!(self.errno, libc::EMFILE | libc::ENFILE)
    }

    /// Another process has it locked.
    pub fn is_busy(&self) -> bool {
        self.errno == libc::EWOULDBLOCK
    }

    /// The system's text for the cause alone.
    pub fn cause(&self) -> String {
        let text = std::io::Error::from_raw_os_error(self.errno).to_string();
        // std appends " (os error N)"; the number does not help a reader of status.
        text.split(" (os error").next().unwrap_or_default().to_lowercase()
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "its directory" } else { &self.path };
        write!(f, "{} {path}: {}", self.op, self.cause())
    }
}

impl std::error::Error for FsError {}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Something that can be synced.
    Synced(DiskStat),
    /// A device, socket or fifo, by its word.
    Special(&'static str),
}

/// The attributes that a file, directory or symlink gets. `None` leaves a field as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Numeric owner and group.
    pub owner: Option<(u32, u32)>,
    /// Modification time.
    pub mtime: Option<WallTime>,
}

/// How a rename treats the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rename {
    /// The target must not exist.
    New,
    /// The target is replaced.
    Replace,
    /// Both names swap, in one step.
    Exchange,
}

/// Identifies a directory, beyond its path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Type and source of its filesystem: the same across restarts.
    pub filesystem: String,
    /// Its mount and inode: the same while it is not replaced.
    pub identity: (u64, u64),
}

/// Opens directories, and translates owners.
pub trait Fs {
    /// A directory opened by it.
    type Root: Root;

    /// Opens a directory; its path may hold symlinks.
    ///
    /// # Errors
    /// It does not exist, is not a directory, or may not be opened.
    fn open(&self, dir: &Path) -> Result<Self::Root, FsError>;

    /// Bytes written so far into files of its directories.
    fn written(&self) -> u64;

    /// The names of a numeric owner and group; `None` where owners are not synced because owsync does not run as root.
    fn owner(&self, uid: u32, gid: u32) -> Option<Rc<Owner>>;

    /// The numbers of an owner on this machine; `None` where a name is not known, or owners are not synced.
    fn owner_ids(&self, owner: &Owner) -> Option<(u32, u32)>;
}

/// A directory opened once, and everything below it.
///
/// All paths are relative to it. No method follows a symlink in any component, leaves the directory or crosses into
/// another filesystem; such a path gives an error of [`FsError::is_symlink`] or [`FsError::crosses`]. [`Root::stat`] and
/// [`Root::read_dir`] return the mount point itself, as the directory or file it looks like.
pub trait Root {
    /// An open file.
    type File;
    /// An open directory, being read.
    type Dir;
    /// A lock that ends when dropped.
    type Lock;

    /// Which directory this is.
    fn place(&self) -> Result<Place, FsError>;
    /// When a name directly in it last changed.
    fn mtime(&self) -> Result<WallTime, FsError>;
    /// Bytes that may still be written to its filesystem.
    fn free(&self) -> Result<u64, FsError>;

    /// What is at a path, without following it; `None` for nothing.
    fn stat(&self, path: &RelPath) -> Result<Option<Found>, FsError>;
    /// Opens a directory (`None`: the root itself) to read its names.
    fn open_dir(&self, dir: Option<&RelPath>) -> Result<Self::Dir, FsError>;
    /// The next names, at most `most`, with their kinds; empty at the end. What vanishes meanwhile is left out.
    fn read_dir(&self, dir: &mut Self::Dir, most: usize) -> Result<Vec<(Vec<u8>, Found)>, FsError>;
    /// Opens a regular file for reading; anything else is an error.
    fn open_file(&self, path: &RelPath) -> Result<Self::File, FsError>;
    /// Opens a regular file for reading and writing.
    fn open_write(&self, path: &RelPath) -> Result<Self::File, FsError>;
    /// The stat of an open file.
    fn stat_file(&self, file: &Self::File) -> Result<DiskStat, FsError>;
    /// Reads into `buffer` from `offset`; the number of bytes read, less than asked only at the end of the file.
    fn read(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError>;
    /// The text of a symlink.
    fn read_link(&self, path: &RelPath) -> Result<Vec<u8>, FsError>;

    /// Creates a file that only its owner may read and write; nothing may be there.
    fn create(&self, path: &RelPath) -> Result<Self::File, FsError>;
    /// Writes all of `bytes` at `offset`; a short write is an error.
    fn write(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> Result<(), FsError>;
    /// Cuts, or extends with zeros, an open file.
    fn truncate(&self, file: &Self::File, size: u64) -> Result<(), FsError>;
    /// Sets attributes of an open file.
    fn set_file(&self, file: &Self::File, attributes: Attributes) -> Result<(), FsError>;
    /// Sets attributes of a directory, the owner of a symlink, or the mode of a file that its mode keeps from being opened.
    fn set_path(&self, path: &RelPath, attributes: Attributes) -> Result<(), FsError>;
    /// Creates a symlink with this text.
    fn make_link(&self, path: &RelPath, text: &[u8]) -> Result<(), FsError>;
    /// Creates a directory that only its owner may enter.
    fn make_dir(&self, path: &RelPath) -> Result<(), FsError>;
    /// Removes a file or symlink.
    fn remove(&self, path: &RelPath) -> Result<(), FsError>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &RelPath) -> Result<(), FsError>;
    /// Renames a file or symlink; a directory never.
    fn rename(&self, from: &RelPath, to: &RelPath, how: Rename) -> Result<(), FsError>;
    /// Gives a file a second name; nothing may be there.
    fn link(&self, from: &RelPath, to: &RelPath) -> Result<(), FsError>;
    /// Whether a program may still write to a file whose name is taken away: it has the file open for writing, or the file
    /// has other names. Where the system does not tell, the answer is yes.
    fn may_change(&self, path: &RelPath) -> Result<bool, FsError>;
    /// Moves a file in from another directory, over the one at `to`; `false` when that is on another filesystem, when the
    /// file has other names, or when a program may have it open for writing: it must be copied then, because no later change
    /// of the file may change what was moved in.
    fn adopt(&self, from: &Self, path: &RelPath, to: &RelPath) -> Result<bool, FsError>;
    /// Copies from `from` to `to` what is neither content nor synced attributes: extended
    /// attributes, access control lists among them. Returns whether all of it was copied; the file's mode may have changed.
    ///
    /// Attributes that certify the replaced content (file capabilities, IMA and EVM) are left out.
    fn keep_extended(&self, _from: &RelPath, _to: &RelPath) -> Result<bool, FsError> {
        Ok(true)
    }
    /// Takes the lock that libuci takes (flock, exclusive), without waiting.
    ///
    /// # Errors
    /// [`FsError::is_busy`] when another process holds it.
    fn lock(&self, file: &Self::File) -> Result<Self::Lock, FsError>;

    /// Flushes a file's content and attributes.
    fn sync(&self, file: &Self::File) -> Result<(), FsError>;
    /// Flushes the names in a directory (`None`: the root itself).
    fn sync_dir(&self, dir: Option<&RelPath>) -> Result<(), FsError>;
    /// Flushes everything on its filesystem.
    fn sync_all(&self) -> Result<(), FsError>;
}

/// Reads a whole file of at most `most` bytes; `None` when it does not exist.
///
/// # Errors
/// Of opening or reading; `EFBIG` when it is larger.
pub fn read_whole<R: Root>(root: &R, path: &RelPath, most: u64) -> Result<Option<Vec<u8>>, FsError> {
    let file = match root.open_file(path) {
        Ok(file) => file,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    read_open(root, &file, path, most).map(Some)
}

/// Reads a whole open file of at most `most` bytes; `path` is for the error.
///
/// # Errors
/// Of reading; `EFBIG` when it is larger.
pub fn read_open<R: Root>(root: &R, file: &R::File, path: &RelPath, most: u64) -> Result<Vec<u8>, FsError> {
    let size = root.stat_file(file)?.size;
    if size > most {
        return Err(FsError::new("read", Some(path), libc::EFBIG));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < bytes.len() {
        let read = root.read(file, filled as u64, &mut bytes[filled..])?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Writes a file so that a crash leaves the old or the new one whole: beside it, flushed, renamed, flushed.
///
/// # Errors
/// Of any step; the previous file is then still at `path`, and the new one beside it is removed.
pub fn write_whole<R: Root>(root: &R, path: &RelPath, beside: &RelPath, bytes: &[u8]) -> Result<(), FsError> {
    write_pieces(root, path, beside, |piece| {
        piece.extend_from_slice(bytes);
        false
    })?;
    Ok(())
}

/// Writes a file as [`write_whole`] does, without ever having all of it in memory: `next` appends some more of it, and
/// returns whether there is more. Returns its size in bytes.
///
/// # Errors
/// As [`write_whole`].
pub fn write_pieces<R: Root>(
    root: &R,
    path: &RelPath,
    beside: &RelPath,
    mut next: impl FnMut(&mut Vec<u8>) -> bool,
) -> Result<u64, FsError> {
    let mut write = || -> Result<u64, FsError> {
        match root.remove(beside) {
            Err(error) if !error.is_missing() => return Err(error),
            _ => {}
        }
        let file = root.create(beside)?;
        let (mut size, mut piece, mut more) = (0, Vec::new(), true);
        while more {
            more = next(&mut piece);
            if !more || piece.len() >= limits::WRITE_PIECE {
                root.write(&file, size, &piece)?;
                size += piece.len() as u64;
                piece.clear();
            }
        }
        root.sync(&file)?;
        root.rename(beside, path, Rename::Replace)?;
        root.sync_dir(path.parent().as_ref())?;
        Ok(size)
    };
    write().inspect_err(|_| {
        // The next write removes it too; an error here would only hide the first.
        let _ = root.remove(beside);
    })
}
