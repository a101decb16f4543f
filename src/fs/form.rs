//! Converts content between disk and index: all content of a share passes through this module.
//!
//! A file of a share has a *shared form*, which is hashed, offered and kept in the history, and a *local form*, which is on
//! disk. The two differ in UCI packages that contain options of one router only; [`LocalOptions`] converts them in both
//! directions. Nothing else in owsync reads the bytes of a synced file.

mod local;

use crate::fs::{FsError, Root, read_whole};
use crate::model::{DiskStat, Kind, RelPath, limits};

pub use local::{Applied, LocalOptions, Offers, Shared, measured, names, too_large};

/// The content of a file or symlink in its shared form, open for reading.
pub struct Content<R: Root> {
    source: Source<R>,
    stat: DiskStat,
}

enum Source<R: Root> {
    File(R::File),
    Text(Vec<u8>),
}

impl<R: Root> Content<R> {
    /// Opens the file at `path`, which must still be of this kind.
    ///
    /// # Errors
    /// Of opening; `ENOENT` when something of a different kind is there now.
    pub fn open(root: &R, path: &RelPath, kind: Kind) -> Result<Content<R>, FsError> {
        match kind {
            Kind::File => {
                let file = root.open_file(path)?;
                let stat = root.stat_file(&file)?;
                Ok(Content { source: Source::File(file), stat })
            }
            Kind::Symlink => {
                let stat = match root.stat(path)? {
                    Some(crate::fs::Found::Synced(stat)) if stat.kind == Kind::Symlink => stat,
                    _ => return Err(FsError::new("open", Some(path), libc::ENOENT)),
                };
                Ok(Content { source: Source::Text(root.read_link(path)?), stat })
            }
            Kind::Dir | Kind::Tombstone => Err(FsError::new("open", Some(path), libc::ENOENT)),
        }
    }

    /// A shared form that is stored apart from its file, which has this stat.
    pub fn of_form(text: Vec<u8>, stat: DiskStat) -> Content<R> {
        Content { source: Source::Text(text), stat }
    }

    /// Its stat when it was opened.
    pub fn stat(&self) -> DiskStat {
        self.stat
    }

    /// Its present stat: a different one means that it was written meanwhile.
    ///
    /// # Errors
    /// Of reading the stat.
    pub fn stat_now(&self, root: &R) -> Result<DiskStat, FsError> {
        match &self.source {
            Source::File(file) => root.stat_file(file),
            Source::Text(_) => Ok(self.stat),
        }
    }

    /// Reads into `buffer` from `offset`; 0 at the end.
    ///
    /// # Errors
    /// Of reading.
    pub fn read(&self, root: &R, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        match &self.source {
            Source::File(file) => root.read(file, offset, buffer),
            Source::Text(text) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
                let count = buffer.len().min(text.len() - start);
                buffer[..count].copy_from_slice(&text[start..start + count]);
                Ok(count)
            }
        }
    }
}

/// Reads a whole file; `None` where it does not exist or is larger than `most` bytes.
///
/// # Errors
/// Of opening or reading.
pub fn read_small<R: Root>(root: &R, path: &RelPath, most: usize) -> Result<Option<Vec<u8>>, FsError> {
    match read_whole(root, path, most as u64) {
        Err(error) if error.errno == libc::EFBIG => Ok(None),
        result => result,
    }
}

/// Whether a symlink's text may be synced: its target stays inside the share and can be written on other nodes.
pub fn link_stays_inside(path: &RelPath, text: &[u8]) -> bool {
    if text.is_empty() || text.len() > limits::LINK_TEXT_MAX || text[0] == b'/' || text.contains(&0) {
        return false;
    }
    let mut depth = path.ancestors().count();
    for component in text.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_share_do_not_travel() {
        let path = RelPath::parse(b"a/b/link").unwrap();
        for (text, inside) in [
            ("x", true),
            ("../x", true),
            ("../../x", true),
            ("../../../x", false),
            ("/etc/passwd", false),
            ("", false),
            ("x/../../../..", false),
            ("./.", true),
        ] {
            assert_eq!(link_stays_inside(&path, text.as_bytes()), inside, "{text}");
        }
    }
}
