//! Files of uncommitted changes: reads them whole, and removes what was committed, as libuci would.
//!
//! A file below [`Dirs::changes`], or below the directory of a LuCI session, has the changes of one package
//! (see [`uci::delta`](mod@crate::uci::delta)). For a commit of owsync:
//!
//! | step | function |
//! | --- | --- |
//! | which packages have changes | [`Dirs::changed_packages`]`(&DeltaDir) -> Vec<PackageName>` |
//! | their changes, as bytes | [`Dirs::delta`]`(&DeltaDir, &PackageName) -> Vec<u8>` |
//! | the new text | [`delta::parse`], [`delta::apply()`] |
//! | they are committed | [`Dirs::remove_delta`]`(&DeltaDir, &PackageName, &[u8]) -> bool` |
//! | they are rolled back after that | [`Dirs::restore_delta`]`(&DeltaDir, &PackageName, &[u8]) -> bool` |
//!
//! While changes are in their file *and* in the package, every `uci` command applies them a second time: a list gets its
//! item twice, and the removal of an unnamed section removes the one that has its number now. `uci commit` would write
//! that. So they are best removed when the package is replaced, as libuci does it, and restored by a rollback.
//!
//! Lines that are added while the package is replaced are about the sections as they are numbered then. Where a rollback
//! restores older lines before them, or where they were added before the replacement, a made-up name in them may be a
//! different section: [`numbers::renumbered`](crate::uci::numbers::renumbered) of the two texts says which names those are.
//!
//! Files are locked as by libuci (uci, util.c, `uci_open_stream`: flock, exclusive for writing), for reading too, so no half
//! of a line is read. They are changed where they are and never replaced: another program that waits for the lock would
//! append to a file without a name. Nothing blocks: a lock that is taken is [`UciFileError::Busy`], and the caller tries
//! again. A symlink is not followed: no UCI tool makes one there, and /tmp is open to every user.
//!
//! A limit: to remove changes before others takes two writes. If owsync is killed between them, the file ends with remains of
//! the removed ones.

use std::path::{Path, PathBuf};

use crate::fs::uci_file::{Dirs, SESSION, UciFileError, names_in};
use crate::fs::unix::{UnixFs, UnixRoot};
use crate::fs::{Found, Fs, FsError, Root, read_open};
use crate::model::{Kind, RelPath, limits};
use crate::uci::{PackageName, delta};

/// The ID of a session of LuCI: 32 hexadecimal digits (rpcd, session.c, `rpc_random`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(String);

impl SessionId {
    /// The only door; nothing else can be part of a path.
    pub fn parse(text: &str) -> Option<SessionId> {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(hex)).then(|| SessionId(text.into()))
    }
}

/// A directory of uncommitted changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeltaDir {
    /// That of `uci`, for all its users.
    Uci,
    /// That of a LuCI session.
    Session(SessionId),
}

impl Dirs {
    /// The path of a directory of uncommitted changes, existing or not.
    pub fn delta_dir(&self, dir: &DeltaDir) -> PathBuf {
        match dir {
            DeltaDir::Uci => self.changes.clone(),
            DeltaDir::Session(SessionId(id)) => self.sessions.join(format!("{}{id}", String::from_utf8_lossy(SESSION))),
        }
    }

    /// The packages that have a file with something in it, sorted; whether that is a change, only [`Dirs::delta`] and
    /// [`delta::parse`] know. None where there is no directory.
    ///
    /// # Errors
    /// Of reading the directory.
    pub fn changed_packages(&self, dir: &DeltaDir) -> Result<Vec<PackageName>, UciFileError> {
        let with_content = |(name, found): (Vec<u8>, Found)| match found {
            Found::Synced(stat) if stat.kind == Kind::File && stat.size > 0 => PackageName::parse(&name),
            Found::Synced(_) | Found::Special(_) => None,
        };
        Ok(names_in(&self.delta_dir(dir))?.into_iter().filter_map(with_content).collect())
    }

    /// The uncommitted changes of a package as they are in their file; nothing where there is none.
    ///
    /// # Errors
    /// The file cannot be read, is larger than [`limits::UCI_FILE_MAX`], or is locked.
    pub fn delta(&self, dir: &DeltaDir, package: &PackageName) -> Result<Vec<u8>, UciFileError> {
        match Locked::open(&self.delta_dir(dir), package)? {
            Some(file) => file.read(),
            None => Ok(Vec::new()),
        }
    }

    /// Removes changes that were committed. What was added since stays.
    ///
    /// Returns false, and leaves the file as it is, where it does not begin with them: they were reverted, committed or
    /// removed by another program.
    ///
    /// # Errors
    /// As [`Dirs::delta`], and of writing.
    pub fn remove_delta(&self, dir: &DeltaDir, package: &PackageName, committed: &[u8]) -> Result<bool, UciFileError> {
        let Some(file) = Locked::open(&self.delta_dir(dir), package)? else { return Ok(committed.is_empty()) };
        let present = file.read()?;
        let Some(rest) = delta::uncommitted(&present, committed) else { return Ok(false) };
        if rest.len() < present.len() {
            file.write(rest)?;
        }
        Ok(true)
    }

    /// Puts changes that were removed before those that were added since. Does nothing where they are there already.
    ///
    /// Returns false where there is no file any more: the session ended, or the router was restarted, which ends what
    /// `uci` had not committed too.
    ///
    /// # Errors
    /// As [`Dirs::delta`], and of writing.
    pub fn restore_delta(&self, dir: &DeltaDir, package: &PackageName, removed: &[u8]) -> Result<bool, UciFileError> {
        let Some(file) = Locked::open(&self.delta_dir(dir), package)? else { return Ok(removed.is_empty()) };
        let present = file.read()?;
        if !present.starts_with(removed) {
            let line_end: &[u8] = if present.is_empty() || removed.ends_with(b"\n") { b"" } else { b"\n" };
            file.write(&[removed, line_end, &present].concat())?;
        }
        Ok(true)
    }
}

/// A file of uncommitted changes that no other program reads or writes now.
struct Locked {
    path: PathBuf,
    root: UnixRoot,
    name: RelPath,
    file: <UnixRoot as Root>::File,
    _lock: <UnixRoot as Root>::Lock,
}

impl Locked {
    fn open(dir: &Path, package: &PackageName) -> Result<Option<Locked>, UciFileError> {
        let path = dir.join(package.as_str());
        let failed = |error: FsError| match error {
            error if error.is_busy() => UciFileError::Busy(path.clone()),
            error if error.is_symlink() => UciFileError::NoFile(path.clone()),
            error => UciFileError::Fs(path.clone(), error),
        };
        let name = RelPath::parse(package.as_str().as_bytes()).map_err(|_| UciFileError::NoFile(path.clone()))?;
        let opened = UnixFs::new().open(dir).and_then(|root| {
            let file = root.open_write(&name)?;
            Ok((root, file))
        });
        let (root, file) = match opened {
            Ok(opened) => opened,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let lock = root.lock(&file).map_err(failed)?;
        Ok(Some(Locked { path, root, name, file, _lock: lock }))
    }

    fn failed(&self, error: FsError) -> UciFileError {
        UciFileError::Fs(self.path.clone(), error)
    }

    fn read(&self) -> Result<Vec<u8>, UciFileError> {
        read_open(&self.root, &self.file, &self.name, limits::UCI_FILE_MAX).map_err(|error| self.failed(error))
    }

    fn write(&self, content: &[u8]) -> Result<(), UciFileError> {
        let write = || {
            self.root.write(&self.file, 0, content)?;
            self.root.truncate(&self.file, content.len() as u64)
        };
        write().map_err(|error| self.failed(error))
    }
}
