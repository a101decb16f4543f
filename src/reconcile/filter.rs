//! Which paths a share holds: globs over bytes.
//!
//! Excludes come first and are final, then at least one include must match; no include matches nothing. `*` matches any
//! bytes, also `/`; `?` one byte; `[a-z]`, `[!a-z]` and `[^a-z]` one byte of, or outside, a set; a backslash takes the
//! next byte literally. A pattern that matches a directory covers everything below it. A `/` at either end of a pattern
//! is ignored: every pattern is relative to the root, and covers what is below anyway.
//!
//! Why not the `glob` crate? It matches `str` only, and file names are bytes. Matching here takes
//! `O(pattern * path)` at worst, without recursion, so that no pattern can make a scan hang.

use crate::model::{Digest, Hasher, RelPath, limits};

/// Names that never travel, whatever the patterns say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reserved {
    /// This file, and what is below it: a config file, a key file, a history directory.
    Path(RelPath),
    /// A database of owsync, with the files that lie beside it under names made from its own.
    Database(RelPath),
    /// The directory where this is `/etc/config` itself (`None`) or lies below it.
    UciDir(Option<RelPath>),
}

/// What owsync makes beside a database `owsync.db`: the name continues with exactly one of these.
pub const DATABASE_SUFFIXES: [&str; 10] =
    ["", "-journal", "-history", "-identity", "-lock", "-new", "-journal-new", "-identity-new", "-sock", "-token"];

/// Start of the name a damaged database is set aside under; digits follow.
pub const DAMAGED: &str = ".damaged-";

/// Start of the name of a share's staging directory, directly below its root; 16 hexadecimal digits follow.
pub const STAGING: &str = ".owsync-";

/// The filter of one share on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    include: Vec<Vec<u8>>,
    exclude: Vec<Vec<u8>>,
    reserved: Vec<Reserved>,
}

impl Filter {
    /// A filter of these patterns, which never lets `reserved` names pass.
    pub fn new(include: &[Vec<u8>], exclude: &[Vec<u8>], reserved: &[Reserved]) -> Filter {
        let trimmed = |patterns: &[Vec<u8>]| patterns.iter().map(|pattern| trim_slashes(pattern).to_vec()).collect();
        Filter { include: trimmed(include), exclude: trimmed(exclude), reserved: reserved.to_vec() }
    }

    /// Whether the share holds `path`.
    pub fn holds(&self, path: &RelPath) -> bool {
        !self.excludes(path) && covers_any(&self.include, path)
    }

    /// Whether the share may hold something below the directory `dir`, so that a scan must look there.
    pub fn may_hold_below(&self, dir: &RelPath) -> bool {
        if self.excludes(dir) {
            return false;
        }
        if covers_any(&self.include, dir) {
            return true;
        }
        let (inside, _) = dir.subtree();
        self.include.iter().any(|pattern| {
            let literal = literal_prefix(pattern);
            literal.starts_with(inside.as_bytes())
                || (literal.len() < pattern.len() && inside.as_bytes().starts_with(literal))
        })
    }

    /// Whether there is no include at all, so that nothing is ever synced.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty()
    }

    /// Whether `path` is a name of owsync's or libuci's own, which no status needs to mention.
    pub fn is_reserved(&self, path: &RelPath) -> bool {
        is_staging(path)
            || is_libuci_temporary(path.name())
            || self.reserved.iter().any(|reserved| reserved.covers(path))
    }

    /// A digest of everything that decides: equal digests hold the same paths.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for list in [&self.include, &self.exclude] {
            for pattern in list {
                hasher.update(&(pattern.len() as u64).to_be_bytes());
                hasher.update(pattern);
            }
            hasher.update(&u64::MAX.to_be_bytes());
        }
        hasher.finish()
    }

    fn excludes(&self, path: &RelPath) -> bool {
        self.is_reserved(path) || covers_any(&self.exclude, path)
    }
}

impl Reserved {
    fn covers(&self, path: &RelPath) -> bool {
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

/// Whether `path` is, or lies in, the staging directory of some owsync.
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

fn covers_any(patterns: &[Vec<u8>], path: &RelPath) -> bool {
    if patterns.iter().any(|pattern| matches(pattern, path.as_bytes())) {
        return true;
    }
    let bytes = path.as_bytes();
    let slashes = bytes.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| at);
    slashes.into_iter().any(|at| patterns.iter().any(|pattern| matches(pattern, &bytes[..at])))
}

fn trim_slashes(pattern: &[u8]) -> &[u8] {
    let start = pattern.iter().take_while(|&&b| b == b'/').count();
    let mut end = pattern.len();
    while end > start + 1 && pattern[end - 1] == b'/' && pattern[end - 2] != b'\\' {
        end -= 1;
    }
    &pattern[start..end]
}

/// The bytes that every match of `pattern` starts with.
fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'));
    &pattern[..end.unwrap_or(pattern.len())]
}

/// Whether `pattern` matches all of `text`.
///
/// On a mismatch only the latest `*` takes one more byte: earlier ones never need to, because the latest can take
/// whatever they could.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        if t < text.len() {
            if let Some(next) = match_one(pattern, p, text[t]) {
                p = next;
                t += 1;
                continue;
            }
        }
        match retry {
            Some((after_star, taken)) if taken < text.len() => {
                retry = Some((after_star, taken + 1));
                p = after_star;
                t = taken + 1;
            }
            _ => return false,
        }
    }
}

/// Matches one byte at `pattern[p]`, which is no `*`; the place after it when it fits.
fn match_one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
        b'[' => match match_set(pattern, p + 1, byte) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            // No closing bracket: the bracket is itself.
            None => (byte == b'[').then_some(p + 1),
        },
        literal => (literal == byte).then_some(p + 1),
    }
}

/// Whether `byte` is in the set that starts at `pattern[p]`, and the place after its `]`; `None` when it never closes.
fn match_set(pattern: &[u8], mut p: usize, byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(p), Some(b'!' | b'^'));
    if negated {
        p += 1;
    }
    let mut found = false;
    let mut first = true;
    loop {
        let mut low = *pattern.get(p)?;
        // A bracket right at the start is a member of the set (POSIX 2.13.1).
        if low == b']' && !first {
            return Some((found != negated, p + 1));
        }
        first = false;
        if low == b'\\' {
            p += 1;
            low = *pattern.get(p)?;
        }
        p += 1;
        let mut high = low;
        if pattern.get(p) == Some(&b'-') && pattern.get(p + 1).is_some_and(|&b| b != b']') {
            high = pattern[p + 1];
            p += 2;
            if high == b'\\' {
                high = *pattern.get(p)?;
                p += 1;
            }
        }
        found |= (low..=high).contains(&byte);
    }
}

/// Whether a pattern can never match because of its form; the text says why.
pub fn pattern_error(pattern: &[u8]) -> Option<&'static str> {
    if pattern.is_empty() {
        return Some("is empty");
    }
    if pattern.len() > limits::PATTERN_MAX {
        return Some("is longer than 1024 bytes");
    }
    if pattern.contains(&0) {
        return Some("contains a NUL byte");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(s: &str) -> RelPath {
        RelPath::parse(s.as_bytes()).unwrap()
    }

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let list = |l: &[&str]| l.iter().map(|s| s.as_bytes().to_vec()).collect::<Vec<_>>();
        Filter::new(&list(include), &list(exclude), &[])
    }

    #[test]
    fn globs_match_as_a_shell_with_stars_that_cross_slashes() {
        for (pattern, text, hit) in [
            ("*", "a/.b/c", true),
            ("dhcp", "dhcp", true),
            ("dhcp", "dhcp.bak", false),
            ("*.conf", "a/b.conf", true),
            ("a*b*c", "a/x/b/y/c", true),
            ("a*b*c", "a/x/b/y/d", false),
            ("?hcp", "dhcp", true),
            ("[a-d]hcp", "dhcp", true),
            ("[!a-d]hcp", "dhcp", false),
            ("[^x]hcp", "dhcp", true),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]x", "]x", true),
            ("", "", true),
            ("**", "", true),
            ("d[0-9]*", "d1", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), hit, "{pattern} {text}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_match() {
        assert!(matches(b"a?c", b"a\xffc"));
        assert!(matches(b"[\x80-\xff]", b"\xfe"));
    }

    #[test]
    fn many_stars_do_not_hang() {
        let pattern = b"*a".repeat(500);
        let text = b"a".repeat(4000);
        assert!(!matches(&[&pattern[..], b"b"].concat(), &text));
    }

    #[test]
    fn excludes_are_final_and_directories_cover_what_is_below() {
        let f = filter(&["*"], &["network", "ssl/private/"]);
        assert!(f.holds(&p("dhcp")) && f.holds(&p("ssl/cert")));
        assert!(!f.holds(&p("network")) && !f.holds(&p("network/x")) && !f.holds(&p("ssl/private/key")));
        assert!(filter(&["ssl"], &[]).holds(&p("ssl/a/b")));
        assert!(!filter(&["d/*"], &[]).holds(&p("d")));
    }

    #[test]
    fn no_include_holds_nothing() {
        assert!(!filter(&[], &[]).holds(&p("dhcp")));
        assert!(filter(&[], &[]).is_empty());
    }

    #[test]
    fn scans_enter_only_where_something_can_match() {
        let f = filter(&["config/*", "rc.local", "ssl/*/cert"], &["config/private"]);
        for (dir, enter) in [
            ("config", true),
            ("config/a", true),
            ("config/private", false),
            ("rc.d", false),
            ("ssl", true),
            ("ssl/x", true),
            ("ssl2", false),
        ] {
            assert_eq!(f.may_hold_below(&p(dir)), enter, "{dir}");
        }
        assert!(filter(&["*.conf"], &[]).may_hold_below(&p("any/where")));
    }

    #[test]
    fn own_files_are_never_part_of_a_share_f52() {
        let f = Filter::new(
            &[b"*".to_vec()],
            &[],
            &[
                Reserved::Database(p("node1/owsync.db")),
                Reserved::Path(p("owsync.conf")),
                Reserved::UciDir(Some(p("config"))),
            ],
        );
        for own in [
            "node1/owsync.db",
            "node1/owsync.db-journal",
            "node1/owsync.db-history/objects/ab",
            "node1/owsync.db-identity",
            "node1/owsync.db.damaged-1795162530",
            "owsync.conf",
            ".owsync-0123456789abcdef",
            ".owsync-0123456789abcdef/17",
            "config/owsync",
            "config/dhcp.apk-new",
            "config/dhcp-opkg",
            "config/.dhcp.uci-Ab3xYz",
        ] {
            assert!(!f.holds(&p(own)), "{own}");
        }
        for other in [
            "node1/owsync.db2",
            "node1/owsync.db.damaged-x",
            "owsync.conf.bak",
            ".owsync-0123",
            "d/.owsync-0123456789abcdef",
            "owsync",
            "dhcp-opkg",
            "config/nginx.tmpl",
            "config/a.dbus",
            "config/dhcp~",
            "config/dhcp.orig",
            "config/.hidden",
            ".uci-Ab3xYz",
        ] {
            assert!(f.holds(&p(other)), "{other}");
        }
    }
}
