//! Names the files of owsync and of libuci that are never synced, whatever the patterns of a share say.

use crate::model::RelPath;

/// Names that are never synced, whatever the patterns are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reserved {
    /// This file, and what is below it: a config file, a key file, a history directory.
    Path(RelPath),
    /// A database of owsync, with the files that lie beside it under names made from its own.
    Database(RelPath),
    /// The directory where this is `/etc/config` itself (`None`) or is below it.
    UciDir(Option<RelPath>),
}

/// What owsync makes beside a database `owsync.db`: the name continues with exactly one of these.
pub const DATABASE_SUFFIXES: [&str; 10] =
    ["", "-journal", "-history", "-identity", "-lock", "-new", "-journal-new", "-identity-new", "-sock", "-token"];

/// Start of the name a damaged database is set aside under; digits follow.
pub const DAMAGED: &str = ".damaged-";

/// Start of the name of a share's staging directory, directly below its root; 16 hexadecimal digits follow.
pub const STAGING: &str = ".owsync-";

impl Reserved {
    /// Whether it is, or has in it, this path.
    pub fn covers(&self, path: &RelPath) -> bool {
        match self {
            Reserved::Path(own) => path == own || path.is_below(own),
            Reserved::Database(database) => {
                std::iter::once(path.clone()).chain(path.ancestors()).any(|p| beside_database(&p, database))
            }
            Reserved::UciDir(dir) => {
                let inside = match dir {
                    None => true,
                    Some(dir) => path.is_below(dir),
                };
                let name = path.name();
                inside && (name == b"owsync" || name.ends_with(b".apk-new") || name.ends_with(b"-opkg"))
            }
        }
    }
}

/// Whether `path` is the database or one of the files that owsync makes beside it.
fn beside_database(path: &RelPath, database: &RelPath) -> bool {
    let Some(rest) = path.as_bytes().strip_prefix(database.as_bytes()) else { return false };
    if let Some(time) = rest.strip_prefix(DAMAGED.as_bytes()) {
        return !time.is_empty() && time.iter().all(u8::is_ascii_digit);
    }
    DATABASE_SUFFIXES.iter().any(|suffix| rest == suffix.as_bytes())
}

/// Whether `path` is a temporary file of owsync or libuci, or is in the staging directory of some owsync.
pub fn is_temporary(path: &RelPath) -> bool {
    is_staging(path) || is_libuci_temporary(path.name())
}

/// Whether `path` is, or is in, the staging directory of some owsync.
fn is_staging(path: &RelPath) -> bool {
    let top = path.as_bytes().split(|&b| b == b'/').next().unwrap_or_default();
    top.strip_prefix(STAGING.as_bytes())
        .is_some_and(|rest| rest.len() == 16 && rest.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// libuci writes `.NAME.uci-XXXXXX` (six characters of mkstemp) before it renames: uci, file.c, uci_file_commit.
fn is_libuci_temporary(name: &[u8]) -> bool {
    let Some(at) = name.len().checked_sub(".uci-XXXXXX".len()) else { return false };
    at > 1
        && name[0] == b'.'
        && name[at..].starts_with(b".uci-")
        && name[at + 5..].iter().all(u8::is_ascii_alphanumeric)
}
