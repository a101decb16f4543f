//! What may be a name: of a package, a section, an option, a type.

use std::fmt;

use crate::model::{RelPath, limits};

/// The name of a package, which is the name of its file: letters, digits, `_` and `-`, at most 64 of them.
///
/// libuci would accept more; a name with `.` or `/` is no package to `uci`, LuCI or the init scripts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageName(String);

impl PackageName {
    /// The only door.
    pub fn parse(name: &[u8]) -> Option<PackageName> {
        let valid = |&b: &u8| is_name_byte(b) || b == b'-';
        (!name.is_empty() && name.len() <= limits::LABEL_MAX && name.iter().all(valid))
            .then(|| PackageName(ascii(name)))
    }

    /// The package at a path of a directory of packages, if there can be one: they are at the top of it.
    pub fn at(path: &RelPath) -> Option<PackageName> {
        if path.parent().is_some() { None } else { PackageName::parse(path.as_bytes()) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Checks the name of a section or an option: letters, digits and `_` (uci, util.c, `uci_validate_str`).
pub(super) fn name_of(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty() && bytes.iter().all(|&b| is_name_byte(b))).then(|| ascii(bytes))
}

/// Checks the type of a section: printable ASCII without blanks.
pub(super) fn type_of(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic)).then(|| ascii(bytes))
}

fn ascii(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

/// The name libuci makes up for a section without one, from its number and a hash of its type (uci, list.c,
/// `uci_fixup_section`): LuCI, rpcd and pending changes call it by that.
pub(super) fn made_up(number: usize, kind: &str) -> String {
    let hash = kind.bytes().fold(5381_u32, |hash, b| hash.wrapping_mul(33).wrapping_add(u32::from(b)));
    format!("cfg{number:02x}{:04x}", hash & 0xffff)
}

/// Whether a name looks like one that [`made_up`] gives.
pub(super) fn is_made_up(name: &str) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix("cfg").is_some_and(|number| number.len() >= 6 && number.bytes().all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_names_are_file_names() {
        for good in ["dhcp", "adblock-fast", "a_1"] {
            assert!(PackageName::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "dhcp.apk-new", ".dhcp", "a b", "\u{e9}", &"x".repeat(65)] {
            assert!(PackageName::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
