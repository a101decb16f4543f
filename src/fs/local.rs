//! Reads files of this machine that are in no share: configurations, keys, tokens.
//!
//! Like [`crate::fs::Root`], this never blocks: a fifo at the path is refused, not opened until a program writes to it.
//! Everything that reads a file by its name uses this function or a `Root`; `tests/layers.rs` checks it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads a regular file of at most `most` bytes, following symlinks.
///
/// The buffer never grows during the read, so no copy of a key stays in memory.
///
/// # Errors
/// Of opening or reading; `InvalidInput` where the path is not a regular file, `FileTooLarge` where it is longer.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Without O_NONBLOCK, opening a fifo waits for a writer.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    read_open(file, most)
}

fn read_open(mut file: File, most: u64) -> io::Result<Vec<u8>> {
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let too_large = || io::Error::new(ErrorKind::FileTooLarge, format!("larger than {most} bytes"));
    if about.len() > most {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).map_err(|_| too_large())? + 1);
    // A writer may append meanwhile: bytes beyond the first size belong to the next read.
    Read::by_ref(&mut file).take(about.len()).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A directory for one test, removed at its end.
#[cfg(test)]
pub(crate) struct Scratch(std::path::PathBuf);

#[cfg(test)]
impl Scratch {
    /// An empty directory. `name` tells it from those of other tests.
    pub fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("owsync-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    /// A directory in it.
    pub fn dir(&self, name: &str) -> std::path::PathBuf {
        let dir = self.0.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    /// Removes a file in it.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.join(name)).unwrap();
    }
}

#[cfg(test)]
impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F68: opening a fifo by its name waited for a writer.
    #[test]
    fn a_fifo_a_directory_and_a_large_file_are_refused_at_once() {
        let dir = std::env::temp_dir().join(format!("owsync-local-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::write(dir.join("file"), "abc").unwrap();

        let kind = |name: &str| read(&dir.join(name), 3).map_err(|error| error.kind());

        assert_eq!(kind("fifo"), Err(ErrorKind::InvalidInput));
        assert_eq!(kind("file"), Ok(b"abc".to_vec()));
        assert_eq!(kind("absent"), Err(ErrorKind::NotFound));
        assert_eq!(read(&dir, 3).map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
        std::fs::write(dir.join("file"), "abcd").unwrap();
        assert_eq!(kind("file"), Err(ErrorKind::FileTooLarge));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
