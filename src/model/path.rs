//! Relative paths: the only way to name a file.
//!
//! The text of a [`RelPath`] cannot leave its root: no leading `/`, no `.` or `..` component, no empty component, no
//! NUL. `fs` refuses to follow symlinks. Names are bytes, as in the kernel.

use std::fmt;

use crate::model::{escape, limits};

/// A bounded, relative path of bytes, components separated by `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Box<[u8]>);

/// Why bytes are not a [`RelPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// No bytes at all.
    Empty,
    /// Longer than [`limits::PATH_MAX`] bytes.
    TooLong,
    /// A component longer than [`limits::NAME_MAX`] bytes.
    NameTooLong,
    /// Starts with `/`.
    Absolute,
    /// Two slashes in a row, or one at the end.
    EmptyComponent,
    /// A component is `.` or `..`.
    Dots,
    /// Contains a NUL byte.
    Nul,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathError::Empty => "path is empty",
            PathError::TooLong => "path is longer than 4096 bytes",
            PathError::NameTooLong => "a name in the path is longer than 255 bytes",
            PathError::Absolute => "path is absolute",
            PathError::EmptyComponent => "path has an empty component",
            PathError::Dots => "path has a '.' or '..' component",
            PathError::Nul => "path contains a NUL byte",
        })
    }
}

impl std::error::Error for PathError {}

impl RelPath {
    /// Parses a path. There is no other constructor: every rule of the module doc is checked here.
    ///
    /// # Errors
    /// The first rule that `bytes` breaks.
    pub fn parse(bytes: &[u8]) -> Result<RelPath, PathError> {
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        if bytes.len() > limits::PATH_MAX {
            return Err(PathError::TooLong);
        }
        if bytes[0] == b'/' {
            return Err(PathError::Absolute);
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul);
        }
        for component in bytes.split(|&b| b == b'/') {
            match component {
                b"" => return Err(PathError::EmptyComponent),
                b"." | b".." => return Err(PathError::Dots),
                name if name.len() > limits::NAME_MAX => return Err(PathError::NameTooLong),
                _ => {}
            }
        }
        Ok(RelPath(bytes.into()))
    }

    /// The path's bytes, without a leading or trailing slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The last component.
    pub fn name(&self) -> &[u8] {
        match self.slash() {
            Some(at) => &self.0[at + 1..],
            None => &self.0,
        }
    }

    /// The path without its last component; `None` directly below the root.
    pub fn parent(&self) -> Option<RelPath> {
        // A prefix that ends before a slash keeps every rule that the whole path keeps.
        self.slash().map(|at| RelPath(self.0[..at].into()))
    }

    /// This path with one more component.
    ///
    /// # Errors
    /// As [`RelPath::parse`] of the joined bytes.
    pub fn join(&self, name: &[u8]) -> Result<RelPath, PathError> {
        RelPath::below(Some(self), name)
    }

    /// `name` below `dir`, where `None` is the root.
    ///
    /// # Errors
    /// As [`RelPath::parse`] of the joined bytes.
    pub fn below(dir: Option<&RelPath>, name: &[u8]) -> Result<RelPath, PathError> {
        match dir {
            None => RelPath::parse(name),
            Some(dir) => {
                let mut bytes = Vec::with_capacity(dir.0.len() + 1 + name.len());
                bytes.extend_from_slice(&dir.0);
                bytes.push(b'/');
                bytes.extend_from_slice(name);
                RelPath::parse(&bytes)
            }
        }
    }

    /// Whether this path is below `dir` (a path is not below itself).
    pub fn is_below(&self, dir: &RelPath) -> bool {
        self.0.len() > dir.0.len() && self.0.starts_with(&dir.0) && self.0[dir.0.len()] == b'/'
    }

    /// Every directory that contains this path, the nearest first; the root is not among them.
    pub fn ancestors(&self) -> impl Iterator<Item = RelPath> + '_ {
        std::iter::successors(self.parent(), RelPath::parent)
    }

    /// The half-open range of all paths below this one, in byte order: from `self/` up to `self0`.
    pub fn subtree(&self) -> (RelPath, RelPath) {
        let edge = |last: u8| {
            let mut bytes = self.0.to_vec();
            bytes.push(last);
            RelPath(bytes.into())
        };
        // '0' is the byte after '/', so nothing below `self` is outside the two edges. The edges themselves are no
        // paths a file can have; they only serve as keys of a range.
        (edge(b'/'), edge(b'0'))
    }

    /// The path as text that [`escape::unescape`] reads back to the same bytes.
    pub fn to_text(&self) -> String {
        escape::escape(&self.0)
    }

    fn slash(&self) -> Option<usize> {
        self.0.iter().rposition(|&b| b == b'/')
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_predecessor_never_synced_are_paths_f18() {
        for name in ["nginx.tmpl", "a.dbus", "a..b", "...", ".hidden", "d/.h", "a b\nc", "x.db.d/f", "caf\u{e9}"] {
            assert!(RelPath::parse(name.as_bytes()).is_ok(), "{name}");
        }
        assert!(RelPath::parse(&[0xff, 0xfe]).is_ok());
        assert!(RelPath::parse(&[b'n'; 255]).is_ok());
    }

    #[test]
    fn nothing_that_could_leave_the_root_is_a_path() {
        let table: &[(&[u8], PathError)] = &[
            (b"", PathError::Empty),
            (b"/etc/passwd", PathError::Absolute),
            (b"..", PathError::Dots),
            (b"a/../../b", PathError::Dots),
            (b"a/.", PathError::Dots),
            (b"a//b", PathError::EmptyComponent),
            (b"a/", PathError::EmptyComponent),
            (b"a\0b", PathError::Nul),
            (&[b'n'; 256], PathError::NameTooLong),
        ];
        for (bytes, error) in table {
            assert_eq!(RelPath::parse(bytes), Err(*error));
        }
        let deep = vec![b"d".as_slice(); 2049].join(&b'/');
        assert_eq!(RelPath::parse(&deep), Err(PathError::TooLong));
    }

    #[test]
    fn subtree_holds_exactly_what_lies_below() {
        let p = |s: &str| RelPath::parse(s.as_bytes()).unwrap();
        let (from, to) = p("a").subtree();
        for (path, below) in [("a", false), ("a/b", true), ("a/b/c", true), ("a-b", false), ("a0", false), ("b", false)]
        {
            assert_eq!(p(path) >= from && p(path) < to, below, "{path}");
            assert_eq!(p(path).is_below(&p("a")), below, "{path}");
        }
    }
}
