//! Finds and locks a database, and finds the files beside it.
//!
//! One process has a database at a time: [`Lock`]. Everything else about a place (identity, control socket, run
//! directory) is found from the database's absolute path alone, so that a command started anywhere finds the daemon.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::daemon::env;
use crate::fs::local;
use crate::model::{Key, escape, limits};

/// What a reboot clears, and where the control sockets lie; `OWSYNC_RUN_DIR` names another place, for containers and
/// tests.
const RUN: &str = "/var/run/owsync";

/// A database, named by its absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    database: PathBuf,
    hash: [u8; 8],
}

/// Who may share a database in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Runs until it is ended.
    Daemon,
    /// Runs until it is ended.
    Listen,
    /// Ends after one exchange: the next one waits for it.
    Connect,
    /// A command that writes the database itself, because no daemon runs.
    Setup,
}

impl Holder {
    /// The word in the lock file.
    pub fn word(self) -> &'static str {
        match self {
            Holder::Daemon => "daemon",
            Holder::Listen => "listen",
            Holder::Connect => "connect",
            Holder::Setup => "setup",
        }
    }
}

/// This process has the database, until this value goes.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// Why a database could not be had.
#[derive(Debug)]
pub enum Taken {
    /// Another process has it.
    By {
        /// Its process number, where it said so.
        pid: u32,
        /// What it is, as [`Holder::word`] has it.
        holder: String,
    },
    /// It could not be found out.
    Failed(String),
}

impl Place {
    /// The place of a database.
    pub fn new(database: &Path) -> Place {
        // The same file must have the same name, however it is reached.
        let absolute = std::path::absolute(database).unwrap_or_else(|_| database.to_path_buf());
        let database = match (absolute.parent().map(std::fs::canonicalize), absolute.file_name()) {
            (Some(Ok(parent)), Some(name)) => parent.join(name),
            _ => absolute,
        };
        let digest = Sha256::digest(database.as_os_str().as_encoded_bytes());
        let mut hash = [0; 8];
        hash.copy_from_slice(&digest[..8]);
        Place { database, hash }
    }

    /// The database.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The directory of the database.
    pub fn directory(&self) -> &Path {
        self.database.parent().unwrap_or(Path::new("/"))
    }

    /// A number that tells this database from others on this machine.
    pub fn tag(&self) -> u64 {
        u64::from_be_bytes(self.hash)
    }

    /// A file beside the database.
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.database.as_os_str().to_os_string();
        name.push(suffix);
        name.into()
    }

    /// Makes the directory of the database.
    ///
    /// # Errors
    /// Of the system, with the path.
    pub fn make_directory(&self) -> Result<(), String> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.directory())
            .map_err(|error| format!("cannot make {}: {}", self.directory().display(), plain(&error)))
    }

    /// Where the control socket may be, best first.
    pub fn control_sockets(&self) -> Vec<PathBuf> {
        let name = format!("{}.sock", escape::hex(&self.hash));
        let mut places: Vec<PathBuf> = run_directories().into_iter().map(|dir| dir.join(&name)).collect();
        places.push(self.beside("-sock"));
        places
    }

    /// A directory that a reboot clears, for the copy of the database's mark; `None` where there is none.
    pub fn run_directory(&self) -> Option<PathBuf> {
        run_directories().into_iter().find(|dir| usable(dir))
    }

    /// Takes the database for this process.
    ///
    /// # Errors
    /// Another process has it, or the lock file cannot be used.
    pub fn lock(&self, holder: Holder) -> Result<Lock, Taken> {
        let path = self.beside("-lock");
        let failed = |error: io::Error| Taken::Failed(format!("cannot lock {}: {}", path.display(), plain(&error)));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(&path)
            .map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                let written = file
                    .set_len(0)
                    .and_then(|()| file.rewind())
                    .and_then(|()| writeln!(file, "{} {}", std::process::id(), holder.word()));
                // Who has it is for messages; that it is had is the lock's.
                let _ = written;
                Ok(Lock { _file: file })
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                let mut words = text.split_whitespace();
                let pid = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
                Err(Taken::By { pid, holder: words.next().unwrap_or_default().to_string() })
            }
            Err((_, error)) => Err(failed(error.into())),
        }
    }

    /// The file of this node's private key.
    pub fn identity_file(&self) -> PathBuf {
        self.beside("-identity")
    }

    /// This node's private key, if it has one.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key.
    pub fn read_identity(&self) -> Result<Option<Key>, String> {
        let path = self.identity_file();
        match local::read(&path, limits::KEY_FILE_MAX).map(Zeroizing::new) {
            Ok(bytes) => match std::str::from_utf8(&bytes).ok().and_then(Key::from_hex) {
                Some(key) => Ok(Some(key)),
                None => Err(format!(
                    "{} {}: restore it from a backup, or create a new one with `owsync identity --new`",
                    path.display(),
                    if bytes.trim_ascii().is_empty() { "is empty" } else { "does not contain an identity" }
                )),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => Ok(None),
            Err(error) => Err(format!("cannot read {}: {}", path.display(), plain(&error))),
        }
    }

    /// This node's private key; made, flushed and kept at the first call.
    ///
    /// # Errors
    /// As [`Place::read_identity`], or it cannot be written.
    pub fn identity(&self) -> Result<Key, String> {
        match self.read_identity()? {
            Some(key) => Ok(key),
            None => self.new_identity(),
        }
    }

    /// Another identity in place of the one there is.
    ///
    /// # Errors
    /// It cannot be written; the old one is then still there.
    pub fn new_identity(&self) -> Result<Key, String> {
        let key = Key::new(env::random()?);
        let path = self.identity_file();
        let new = self.beside("-identity-new");
        let mut text = key.to_hex();
        text.push('\n');
        let write = || -> io::Result<()> {
            match std::fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            File::open(self.directory())?.sync_all()
        };
        write().map_err(|error| format!("cannot write {}: {}", path.display(), plain(&error)))?;
        Ok(key)
    }
}

impl Place {
    /// The file that holds the token of the join text that this node was set up with, until it was shown.
    pub fn token_file(&self) -> PathBuf {
        self.beside("-token")
    }

    /// That token. A malformed file counts as none: the peer then waits to be accepted.
    pub fn read_token(&self) -> Option<[u8; 16]> {
        let bytes = Zeroizing::new(local::read(&self.token_file(), limits::KEY_FILE_MAX).ok()?);
        escape::unhex(std::str::from_utf8(&bytes).ok()?.trim())
    }
}

/// Where the run directory may be, best first.
fn run_directories() -> Vec<PathBuf> {
    let run = env::variable("OWSYNC_RUN_DIR").map_or_else(|| PathBuf::from(RUN), PathBuf::from);
    let user = env::variable("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("owsync"));
    [Some(run), user].into_iter().flatten().collect()
}

/// Whether the directory is there, or could be made, and files can be made in it.
fn usable(dir: &Path) -> bool {
    let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(dir);
    made.is_ok() && nix::unistd::access(dir, nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK).is_ok()
}

/// The first of these paths whose directory can be used.
pub fn first_usable(paths: &[PathBuf]) -> Option<&PathBuf> {
    paths.iter().find(|path| path.parent().is_some_and(usable))
}

/// A system's error without Rust's `(os error N)`.
pub fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_string(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn an_identity_is_its_owners_alone_and_stays_until_another_is_asked_for() {
        let dir = std::env::temp_dir().join(format!("owsync-place-{}", std::process::id()));
        let place = Place::new(&dir.join("below/owsync.db"));
        place.make_directory().unwrap();
        let first = place.identity().unwrap();
        for _ in 0..2 {
            assert_eq!(std::fs::metadata(place.identity_file()).unwrap().mode() & 0o777, 0o600);
            assert_eq!(std::fs::metadata(place.directory()).unwrap().mode() & 0o777, 0o700);
            assert_eq!(place.identity().unwrap(), first);
        }
        assert_ne!(place.new_identity().unwrap(), first);
        // A power cut leaves such a file: it is never created again without the user's command.
        std::fs::write(place.identity_file(), "").unwrap();
        assert!(place.identity().unwrap_err().contains("is empty"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
