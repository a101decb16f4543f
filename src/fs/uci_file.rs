//! UCI packages on disk: their paths, reading, changing, and uncommitted changes.
//!
//! A package is in /etc/config, unless /var/run/uci has one of its name: then that one counts, for reading and for
//! writing, as for libuci (`conf2dir`). [`Dirs::edit`] writes as `uci commit` does, under the file's lock, into
//! `.NAME.uci-XXXXXX` beside it, flushed and then in its place, with the mode and owner it had; what a symlink points to is
//! replaced, not the symlink. Two things are done better than there: a file that another process replaced since it was read is read
//! and changed again instead of overwritten (libuci unlocks before it renames, so its lock alone protects nothing), and the
//! directory is flushed too.
//!
//! A limit that remains: a `uci commit` that read the file before an edit was applied, and renames after it, reverts the edit.
//! Only libuci could prevent that.
//!
//! Uncommitted changes as a whole, for a commit of owsync, are the business of `deltas`.
//!
//! Why here and not in `config`: `daemon` compares packages and reports changes as well, and only `fs` touches the disk in
//! this way. Nothing blocks: a lock that another process holds is [`UciFileError::Busy`], and the caller tries again later.

mod deltas;

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fs::apply::{self, Refusal, Seen};
use crate::fs::unix::{UnixFs, UnixRoot};
use crate::fs::{Attributes, Found, Fs, FsError, Root, read_whole};
use crate::model::{Digest, DiskStat, Hasher, Kind, RelPath, limits};
use crate::uci::delta::{self, Change};
use crate::uci::{self, EditError, Package, PackageName, ParseError, write};

pub use deltas::{DeltaDir, SessionId};

/// The directories of UCI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// The packages.
    pub config: PathBuf,
    /// Packages that count instead of those (uci, uci.h, `UCI_CONF2DIR`).
    pub override_config: PathBuf,
    /// Changes of `uci set` that were not committed (uci, uci.h, `UCI_SAVEDIR`).
    pub changes: PathBuf,
    /// What holds a directory `uci-ID` of such changes for each session of LuCI (rpcd, include/rpcd/uci.h).
    pub sessions: PathBuf,
}

impl Default for Dirs {
    fn default() -> Dirs {
        Dirs {
            config: "/etc/config".into(),
            override_config: "/var/run/uci".into(),
            changes: "/tmp/.uci".into(),
            sessions: "/var/run/rpcd".into(),
        }
    }
}

/// Start of the name of a session's directory.
const SESSION: &[u8] = b"uci-";

/// Why a package could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UciFileError {
    /// There is no such file.
    Missing(PathBuf),
    /// It is not a UCI package.
    Syntax(PathBuf, ParseError),
    /// Another process has it locked, or keeps changing it.
    Busy(PathBuf),
    /// Something other than a regular file is there.
    NoFile(PathBuf),
    /// The change is not valid.
    Edit(EditError),
    /// The system returned an error.
    Fs(PathBuf, FsError),
}

impl fmt::Display for UciFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UciFileError::Missing(path) => write!(f, "{} does not exist", path.display()),
            UciFileError::Syntax(path, error) => write!(f, "{}: {error}", path.display()),
            UciFileError::Busy(path) => write!(f, "{} is being changed by another program", path.display()),
            UciFileError::NoFile(path) => write!(f, "{} is not a regular file", path.display()),
            UciFileError::Edit(error) => error.fmt(f),
            UciFileError::Fs(path, error) => write!(f, "{} {}: {}", error.op, path.display(), error.cause()),
        }
    }
}

impl std::error::Error for UciFileError {}

impl From<EditError> for UciFileError {
    fn from(error: EditError) -> UciFileError {
        UciFileError::Edit(error)
    }
}

/// Uncommitted changes of a package: they will be applied on top of its content at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The package.
    pub package: PackageName,
    /// The directory in which they are stored: one for `uci set`, one for each session of LuCI.
    pub dir: PathBuf,
    /// The changes, oldest first.
    pub changes: Vec<Change>,
}

/// A package's place, with every symlink followed.
struct Spot {
    path: PathBuf,
    root: UnixRoot,
    file: RelPath,
}

impl Dirs {
    /// The same places below another root, as an image of a router or a test has them.
    pub fn below(root: &Path) -> Dirs {
        let under = |path: PathBuf| root.join(path.strip_prefix("/").unwrap_or(&path));
        let Dirs { config, override_config, changes, sessions } = Dirs::default();
        Dirs {
            config: under(config),
            override_config: under(override_config),
            changes: under(changes),
            sessions: under(sessions),
        }
    }

    /// The path of a package, existing or not.
    pub fn path(&self, name: &PackageName) -> PathBuf {
        let first = self.override_config.join(name.as_str());
        if first.exists() { first } else { self.config.join(name.as_str()) }
    }

    /// Reads a package.
    ///
    /// # Errors
    /// It does not exist, is not a package, or cannot be read.
    pub fn read(&self, name: &PackageName) -> Result<Package, UciFileError> {
        let path = self.path(name);
        match Spot::find(&path)?.read(name)? {
            Some((package, _)) => Ok(package),
            None => Err(UciFileError::Missing(path)),
        }
    }

    /// Reads a package, changes it and writes it back; the file as it was if the change changes nothing. A package that is
    /// not there begins empty, and its file with mode 0600.
    ///
    /// `change` is called again when another process replaced the file meanwhile, each time with its present content.
    ///
    /// # Errors
    /// The file is as it was.
    pub fn edit<T>(
        &self,
        name: &PackageName,
        mut change: impl FnMut(&mut Package) -> Result<T, EditError>,
    ) -> Result<T, UciFileError> {
        let path = self.path(name);
        for _ in 0..16 {
            let spot = Spot::find(&path)?;
            let (before, seen) = match spot.read(name)? {
                Some((package, seen)) => (package, Some(seen)),
                None => (Package::new(name.clone()), None),
            };
            let mut after = before.clone();
            let answer = change(&mut after)?;
            if after == before {
                return Ok(answer);
            }
            match spot.replace(name, &write::committed(&after), seen) {
                Ok(()) => return Ok(answer),
                Err(Refusal::Changed) => {}
                Err(Refusal::Busy) => return Err(UciFileError::Busy(path)),
                Err(Refusal::InTheWay(_) | Refusal::DirNotEmpty) => return Err(UciFileError::NoFile(path)),
                Err(Refusal::Fs(error)) => return Err(UciFileError::Fs(path, error)),
            }
        }
        Err(UciFileError::Busy(path))
    }

    /// Uncommitted changes of the wanted packages. A directory that does not exist contains none.
    ///
    /// # Errors
    /// Of reading a directory or file.
    pub fn pending(&self, wanted: impl Fn(&PackageName) -> bool) -> Result<Vec<Pending>, UciFileError> {
        let mut dirs = vec![self.changes.clone()];
        for (name, found) in names_in(&self.sessions)? {
            if name.starts_with(SESSION) && is_kind(&found, Kind::Dir) {
                dirs.push(self.sessions.join(OsStr::from_bytes(&name)));
            }
        }
        let mut pending = Vec::new();
        for dir in dirs {
            for (name, found) in names_in(&dir)? {
                // A link there was made by no UCI tool, and would redirect the read to any file.
                let (Some(package), true) = (PackageName::parse(&name), is_kind(&found, Kind::File)) else { continue };
                if !wanted(&package) {
                    continue;
                }
                let text = Spot::find(&dir.join(package.as_str()))?.bytes()?.map(|(text, _)| text).unwrap_or_default();
                let changes = delta::parse(&package, &text).changes;
                // A commit leaves an empty file behind.
                if !changes.is_empty() {
                    pending.push(Pending { package, dir: dir.clone(), changes });
                }
            }
        }
        Ok(pending)
    }
}

impl Spot {
    fn find(path: &Path) -> Result<Spot, UciFileError> {
        // Where no file exists yet, the path itself; a dangling link is then refused.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let no_file = || UciFileError::NoFile(path.clone());
        let name = path.file_name().ok_or_else(no_file)?;
        let file = RelPath::parse(name.as_encoded_bytes()).map_err(|_| no_file())?;
        let dir = path.parent().ok_or_else(no_file)?;
        match UnixFs::new().open(dir) {
            Ok(root) => Ok(Spot { root, file, path }),
            Err(error) if error.is_missing() => Err(UciFileError::Missing(path)),
            Err(error) => Err(UciFileError::Fs(path, error)),
        }
    }

    fn failed(&self, error: FsError) -> UciFileError {
        UciFileError::Fs(self.path.clone(), error)
    }

    /// The content of the file, and its stat from before it was read; `None` when there is none.
    fn bytes(&self) -> Result<Option<(Vec<u8>, DiskStat)>, UciFileError> {
        let stat = match self.root.stat(&self.file).map_err(|error| self.failed(error))? {
            None => return Ok(None),
            Some(Found::Synced(stat)) if stat.kind == Kind::File => stat,
            Some(_) => return Err(UciFileError::NoFile(self.path.clone())),
        };
        let bytes = read_whole(&self.root, &self.file, limits::UCI_FILE_MAX).map_err(|error| self.failed(error))?;
        Ok(bytes.map(|bytes| (bytes, stat)))
    }

    fn read(&self, name: &PackageName) -> Result<Option<(Package, Seen)>, UciFileError> {
        let Some((bytes, stat)) = self.bytes()? else { return Ok(None) };
        let package = uci::parse(name, &bytes).map_err(|error| UciFileError::Syntax(self.path.clone(), error))?;
        Ok(Some((package, Seen { stat, digest: digest_of(&bytes) })))
    }

    /// Puts `bytes` in place of what was seen.
    fn replace(&self, name: &PackageName, bytes: &[u8], seen: Option<Seen>) -> Result<(), Refusal> {
        let (staged, file) = self.stage(name)?;
        let put = || -> Result<(), Refusal> {
            self.root.write(&file, 0, bytes)?;
            if let Some(Seen { stat, .. }) = seen {
                let attributes =
                    Attributes { mode: Some(stat.mode), owner: Some((stat.uid, stat.gid)), ..Attributes::default() };
                self.root.set_file(&file, attributes)?;
            }
            self.root.sync(&file)?;
            apply::put(&self.root, &staged, &self.file, seen)
        };
        let result = put();
        if seen.is_some() || result.is_err() {
            // The old file, or the one that was not put in place. If it cannot be removed, its name is never read.
            let _ = self.root.remove(&staged);
        }
        result?;
        Ok(self.root.sync_dir(None)?)
    }

    /// Creates a file with a name like libuci's: `.NAME.uci-` and six characters that no other process uses.
    fn stage(&self, name: &PackageName) -> Result<(RelPath, File), FsError> {
        let mut last = FsError::new("create", None, libc::EEXIST);
        for n in 0..100 {
            let number = std::process::id().wrapping_add(n) % 1_000_000;
            let staged = RelPath::parse(format!(".{name}.uci-{number:06}").as_bytes())
                .map_err(|_| FsError::new("create", None, libc::ENAMETOOLONG))?;
            match self.root.create(&staged) {
                Ok(file) => return Ok((staged, file)),
                Err(error) if error.exists() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

fn is_kind(found: &Found, kind: Kind) -> bool {
    matches!(found, Found::Synced(stat) if stat.kind == kind)
}

/// The first names in a directory, sorted; none when it does not exist.
fn names_in(dir: &Path) -> Result<Vec<(Vec<u8>, Found)>, UciFileError> {
    let failed = |error: FsError| UciFileError::Fs(dir.into(), error);
    let root = match UnixFs::new().open(dir) {
        Ok(root) => root,
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut handle = root.open_dir(None).map_err(failed)?;
    let mut names = root.read_dir(&mut handle, limits::UCI_PENDING_MAX).map_err(failed)?;
    names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(names)
}
