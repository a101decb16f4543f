//! Creates keys and files that only their owner may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::daemon::env;
use crate::daemon::place::plain;
use crate::model::Key;

/// A new random key.
///
/// # Errors
/// The kernel has no randomness.
pub fn new_key() -> Result<Key, String> {
    env::random().map(Key::new)
}

/// Writes a key file that was not there.
///
/// # Errors
/// Something is there, or it cannot be written; the text does not repeat the key.
pub fn write_key(file: &Path, key: &Key) -> Result<(), String> {
    let mut text = key.to_hex();
    text.push('\n');
    write_new(file, text.as_bytes())
}

/// Writes a file that was not there, readable by its owner alone, so that it is on disk when this returns.
///
/// # Errors
/// Something is there, or it cannot be written.
pub fn write_new(file: &Path, bytes: &[u8]) -> Result<(), String> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut beside = file.as_os_str().to_owned();
        beside.push(format!(".new-{}", std::process::id()));
        let beside = Path::new(&beside);
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
        // The name appears with the whole content or not at all: a power cut must not leave an empty key file behind.
        let written = new.write_all(bytes).and_then(|()| new.sync_all()).and_then(|()| name_new(beside, file));
        // Nothing where it was renamed; the first error is the one to report.
        let _ = std::fs::remove_file(beside);
        written?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => format!("{} exists and is not overwritten", file.display()),
        _ => format!("cannot write {}: {}", file.display(), plain(&error)),
    })
}

/// Gives a file its name, which nothing may have; some filesystems have no links.
fn name_new(beside: &Path, file: &Path) -> io::Result<()> {
    match std::fs::hard_link(beside, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if file.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(beside, file),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::finish;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_key_is_written_for_its_owner_alone_and_never_over_another() {
        let dir = std::env::temp_dir().join(format!("owsync-keys-{}", std::process::id()));
        let file = dir.join("below/key");
        write_key(&file, &Key::new([1; 32])).unwrap();

        let again = write_key(&file, &Key::new([2; 32])).unwrap_err();

        assert_eq!(std::fs::read_dir(dir.join("below")).unwrap().count(), 1, "nothing is left beside it");
        assert!(again.ends_with("key exists and is not overwritten"), "{again}");
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(dir.join("below")).unwrap().mode() & 0o777, 0o700);
        assert_eq!(finish::read_key(&file, &mut Vec::new()), Ok(Some(Key::new([1; 32]))));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
