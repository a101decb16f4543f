//! Filters of shares: which paths a share contains, by globs over bytes.
//!
//! Excludes come first and are final, then at least one include must match; no include matches nothing. `*` matches any
//! bytes, also `/`; `?` one byte; `[a-z]`, `[!a-z]` and `[^a-z]` one byte of, or outside, a set; a backslash takes the
//! next byte literally. A pattern that matches a directory covers everything below it. A `/` at either end of a pattern
//! is ignored: every pattern is relative to the root, and covers what is below anyway.
//!
//! Why not the `glob` crate? It matches `str` only, and file names are bytes. Matching here takes
//! `O(pattern * path)` at worst, without recursion, so that no pattern can make a scan hang.

use crate::model::glob::match_set;
pub use crate::model::glob::matches;
use crate::model::reserved::{self, Reserved};
use crate::model::{Digest, Hasher, Index, Kind, Record, RelPath, escape, limits};

/// The filter of one share on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    include: Vec<Vec<u8>>,
    exclude: Vec<Vec<u8>>,
    reserved: Vec<Reserved>,
    /// Patterns of the directories on the way to what an include names: `vpn` of `vpn/*.conf`.
    ways: Vec<Vec<u8>>,
}

impl Filter {
    /// A filter of these patterns, which never lets `reserved` names pass.
    pub fn new(include: &[Vec<u8>], exclude: &[Vec<u8>], reserved: &[Reserved]) -> Filter {
        let trimmed =
            |patterns: &[Vec<u8>]| patterns.iter().map(|pattern| trim_slashes(pattern).to_vec()).collect::<Vec<_>>();
        let include = trimmed(include);
        let ways = include.iter().flat_map(|pattern| ways_to(pattern)).collect();
        Filter { include, exclude: trimmed(exclude), reserved: reserved.to_vec(), ways }
    }

    /// Whether the share contains `path` as something of this kind: as [`Filter::holds`], and a directory also where an
    /// include names something in it, as `vpn` for `vpn/*.conf`. Its mode and owner protect its contents, so they are synced
    /// too; other files in it are not. A tombstone may be one of such a directory.
    pub fn holds_as(&self, path: &RelPath, kind: Kind) -> bool {
        let is_way = || match kind {
            Kind::Dir | Kind::Tombstone => self.ways.iter().any(|way| matches(way, path.as_bytes())),
            Kind::File | Kind::Symlink => false,
        };
        self.holds(path) || (is_way() && !self.excludes(path))
    }

    /// The includes that match none of these paths, so that a mistake in one is reported.
    pub fn idle_includes<'a>(&'a self, index: &'a Index) -> impl Iterator<Item = &'a [u8]> {
        self.include.iter().map(Vec::as_slice).filter(|pattern| {
            let literal = literal_prefix(pattern);
            let live = |record: &Record| record.entry.is_live();
            if let (Ok(path), true) = (RelPath::parse(pattern), literal.len() == pattern.len()) {
                return !index.get(&path).is_some_and(live) && !index.below(&path).any(|(_, record)| live(record));
            }
            // Everything that a pattern matches begins with its literal part, so few paths need the full match.
            let pattern = [pattern.to_vec()];
            let fits = |path: &RelPath| path.as_bytes().starts_with(literal) && covers_any(&pattern, path);
            !index.iter().any(|(path, record)| live(record) && fits(path))
        })
    }

    /// Whether the share contains `path`.
    pub fn holds(&self, path: &RelPath) -> bool {
        !self.excludes(path) && covers_any(&self.include, path)
    }

    /// Whether the share may contain something below the directory `dir`, so that a scan must read it.
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

    /// Whether `path` is a name of owsync's or libuci's own, which status does not list.
    pub fn is_reserved(&self, path: &RelPath) -> bool {
        reserved::is_temporary(path) || self.reserved.iter().any(|reserved| reserved.covers(path))
    }

    /// A digest of everything that decides: equal digests contain the same paths.
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

/// Whether a pattern covers a path: matches it, or a directory above it.
pub fn covers(pattern: &[u8], path: &RelPath) -> bool {
    covers_any(&[trim_slashes(pattern).to_vec()], path)
}

/// Patterns of the directories above what a pattern names, outermost first. A pattern that begins with a wildcard has none:
/// what it matches can be anywhere, and then every directory would be one.
fn ways_to(pattern: &[u8]) -> Vec<Vec<u8>> {
    let first = pattern.iter().position(|&b| b == b'/').unwrap_or(0);
    if literal_prefix(pattern).len() < first {
        return Vec::new();
    }
    let mut ways = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            b'\\' => at += 1,
            b'[' => at = set_end(pattern, at + 1).map_or(at, |(end, _)| end - 1),
            b'/' => ways.push(pattern[..at].to_vec()),
            _ => {}
        }
        at += 1;
    }
    ways
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

/// Faults in the form of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It can never match as intended: it would leave out, or send, something else than the user believes.
    Wrong(String),
    /// It may be right, and is more likely a mistake.
    Odd(String),
}

/// What is wrong with a pattern by its form alone, if anything; the text follows the pattern, and says what is right.
///
/// A backslash before the character in question makes it part of the name.
pub fn doubt(pattern: &[u8]) -> Option<Doubt> {
    let wrong = |text: &str| Some(Doubt::Wrong(text.into()));
    if pattern.is_empty() {
        return wrong("is empty");
    }
    if pattern.len() > limits::PATTERN_MAX {
        return wrong("is longer than 1024 bytes");
    }
    if pattern.contains(&0) {
        return wrong("contains a NUL byte");
    }
    let show = |bytes: &[u8]| escape::escape(bytes);
    if let [quote @ (b'"' | b'\''), inner @ .., last] = pattern {
        if quote == last {
            return Some(Doubt::Wrong(format!("has quotes, which would belong to the name: write {}", show(inner))));
        }
    }
    let bare = trim_slashes(pattern);
    let tidy = tidied(bare);
    if bare != tidy {
        return Some(Doubt::Wrong(format!(
            "can never match, because no path has '.', '..' or nothing between slashes: write '{}'",
            show(&tidy)
        )));
    }
    let mut braces: Option<(usize, bool)> = None;
    let mut at = 0;
    let mut comma = false;
    while at < pattern.len() {
        match pattern[at] {
            b'\\' => at += 1,
            b'[' => match set_end(pattern, at + 1) {
                None => {
                    return wrong(
                        "has a '[' that is not closed: write ']' after it, or '\\[' for the character itself",
                    );
                }
                Some((_, true)) => {
                    return wrong("has a range that ends before it begins, as '[z-a]': nothing is in it");
                }
                Some((end, false)) => {
                    at = end;
                    continue;
                }
            },
            b'{' => braces = Some((at, false)),
            b'}' => {
                if let Some((open, true)) = braces {
                    return Some(Doubt::Wrong(format!(
                        "has braces, which are not expanded: write {} as patterns of their own ('\\{{' is the character itself)",
                        expanded(pattern, open, at)
                    )));
                }
            }
            b',' => {
                comma = true;
                braces = braces.map(|(open, _)| (open, true));
            }
            b'#' if at > 0 && pattern[at - 1].is_ascii_whitespace() => {
                let meant = pattern[..at].trim_ascii_end();
                return Some(Doubt::Wrong(format!(
                    "has a comment in it, which needs a line of its own: write '{}'",
                    show(meant)
                )));
            }
            _ => {}
        }
        at += 1;
    }
    let odd = |text: String| Some(Doubt::Odd(text));
    if comma {
        let parts: Vec<String> =
            pattern.split(|&b| b == b',').map(|part| format!("'{}'", show(part.trim_ascii()))).collect();
        return odd(format!(
            "has a comma, which belongs to the name: if several are meant, write {} one by one",
            parts.join(" and ")
        ));
    }
    if pattern.starts_with(b"!") {
        return odd(format!(
            "begins with '!', which belongs to the name: if '{}' is to be left out, exclude it",
            show(&pattern[1..])
        ));
    }
    if pattern.starts_with(b"~/") {
        return odd(
            "begins with '~', which is not expanded: patterns are relative to the directory of the share".into()
        );
    }
    if pattern.trim_ascii().len() < pattern.len() {
        return odd(format!(
            "has white space at an end, which belongs to the name: if not, write '{}'",
            show(pattern.trim_ascii())
        ));
    }
    None
}

/// What an absolute path as a pattern means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absolute {
    /// It is below the root of the share: this is the pattern that was meant.
    Inside(Vec<u8>),
    /// It looks like a path of the machine that is not in the share. It is taken below the root, as every pattern.
    Outside,
}

/// Whether a pattern that begins with a slash is an absolute path, in a share with this root; `None` where the slash only
/// says that the pattern begins at the root of the share.
pub fn absolute(pattern: &[u8], root: &[u8]) -> Option<Absolute> {
    /// Directories of every Linux: a pattern that begins with one of these means the machine's directory.
    const TOP: [&[u8]; 22] = [
        b"bin", b"boot", b"dev", b"etc", b"home", b"lib", b"lib64", b"media", b"mnt", b"opt", b"overlay", b"proc",
        b"rom", b"root", b"run", b"sbin", b"srv", b"sys", b"tmp", b"usr", b"var", b"www",
    ];
    if !pattern.starts_with(b"/") || root == b"/" {
        return None;
    }
    let (bare, root) = (trim_slashes(pattern), trim_slashes(root));
    match bare.strip_prefix(root) {
        Some([]) => return Some(Absolute::Inside(b"*".to_vec())),
        Some([b'/', rest @ ..]) => {
            let meant = trim_slashes(rest);
            return Some(Absolute::Inside(if meant.is_empty() { b"*".to_vec() } else { meant.to_vec() }));
        }
        _ => {}
    }
    let first = bare.split(|&b| b == b'/').next().unwrap_or_default();
    (TOP.contains(&first) && bare.contains(&b'/')).then_some(Absolute::Outside)
}

/// A pattern without the components that no path has.
fn tidied(pattern: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while at <= pattern.len() {
        match pattern.get(at) {
            Some(b'\\') if at + 1 < pattern.len() => at += 1,
            // A slash in a set is none between components.
            Some(b'[') => at = set_end(pattern, at + 1).map_or(at, |(end, _)| end - 1),
            Some(b'/') | None => {
                match &pattern[from..at.min(pattern.len())] {
                    b"" | b"." => {}
                    b".." => drop(kept.pop()),
                    component => kept.push(component),
                }
                from = at + 1;
            }
            Some(_) => {}
        }
        at += 1;
    }
    kept.join(&b'/')
}

/// The position after the `]` of the set that begins at `pattern[p]`, and whether a range in it is empty; `None` when it
/// is not closed.
fn set_end(pattern: &[u8], mut p: usize) -> Option<(usize, bool)> {
    let (_, end) = match_set(pattern, p, 0)?;
    let mut empty = false;
    while p + 2 < end {
        empty |= pattern[p + 1] == b'-'
            && pattern[p + 2] != b']'
            && pattern[p] != b'\\'
            && pattern[p] > pattern[p + 2]
            && !matches!(pattern[p], b'!' | b'^');
        p += 1;
    }
    Some((end, empty))
}

/// The patterns that the braces stand for, as a list for users.
fn expanded(pattern: &[u8], open: usize, close: usize) -> String {
    let one = |part: &[u8]| {
        let whole = [&pattern[..open], part.trim_ascii(), &pattern[close + 1..]].concat();
        format!("'{}'", escape::escape(&whole))
    };
    pattern[open + 1..close].split(|&b| b == b',').map(one).collect::<Vec<_>>().join(" and ")
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
    fn excludes_are_final_and_directories_cover_what_is_below() {
        let f = filter(&["*"], &["network", "ssl/private/"]);
        assert!(f.holds(&p("dhcp")) && f.holds(&p("ssl/cert")));
        assert!(!f.holds(&p("network")) && !f.holds(&p("network/x")) && !f.holds(&p("ssl/private/key")));
        assert!(filter(&["ssl"], &[]).holds(&p("ssl/a/b")));
        assert!(!filter(&["d/*"], &[]).holds(&p("d")));
    }

    /// The lines of `patterns.txt`, which LuCI's tests read too: the expected finding, the pattern, the right form.
    fn table() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>)> {
        let lines = include_str!("patterns.txt").lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| {
            let mut parts = line.split('|');
            (parts.next().unwrap(), parts.next().unwrap(), parts.collect())
        })
    }

    /// F99: patterns that can never match as they are written were accepted.
    #[test]
    fn a_pattern_that_cannot_be_meant_is_named_with_what_is() {
        for (kind, pattern, meant) in table() {
            let text = match (kind, doubt(pattern.as_bytes())) {
                ("wrong", Some(Doubt::Wrong(text))) | ("odd", Some(Doubt::Odd(text))) => text,
                ("fine" | "inside" | "outside" | "relative", None) => continue,
                (_, found) => panic!("{kind} {pattern}: {found:?}"),
            };
            for meant in meant {
                let said = text.contains(&format!("'{meant}'")) || text.contains(&format!("write {meant}"));
                assert!(said, "{pattern}: {text}");
            }
        }
        for (pattern, part) in
            [("[z", "not closed"), ("x[a-", "not closed"), ("[z-a]x", "nothing is in it"), ("~/x", "not expanded")]
        {
            let (Some(Doubt::Wrong(text)) | Some(Doubt::Odd(text))) = doubt(pattern.as_bytes()) else {
                panic!("{pattern}")
            };
            assert!(text.contains(part), "{pattern}: {text}");
        }
    }

    /// F99: an absolute path as a pattern.
    #[test]
    fn an_absolute_pattern_is_compared_with_the_root_of_the_share() {
        for (kind, pattern, meant) in table() {
            let found = absolute(pattern.as_bytes(), b"/etc/config");
            match kind {
                "inside" => assert_eq!(found, Some(Absolute::Inside(meant[0].into())), "{pattern}"),
                "outside" => assert_eq!(found, Some(Absolute::Outside), "{pattern}"),
                _ => assert_eq!(found, None, "{pattern}"),
            }
        }
        assert_eq!(absolute(b"/etc/passwd", b"/"), None);
    }

    /// F103: the directory of `vpn/*.conf` was created with a different mode.
    #[test]
    fn a_directory_on_the_way_to_an_include_is_held_and_nothing_else_in_it() {
        let f = filter(&["vpn/*.conf", "a/b/c", "ssl/*/cert", "*.key", "*/x", "plain"], &["a/b"]);
        for (path, held) in [
            ("vpn", true),
            ("vpn/sub", false),
            ("a", true),
            ("ssl", true),
            ("ssl/site", true),
            ("other", false),
            ("a/b", false),
        ] {
            assert_eq!(f.holds_as(&p(path), Kind::Dir), held, "{path}");
            assert_eq!(f.holds_as(&p(path), Kind::Tombstone), held, "{path}");
            assert!(!f.holds_as(&p(path), Kind::File) && !f.holds(&p(path)), "{path}");
        }
        assert!(f.holds_as(&p("vpn/a.conf"), Kind::File) && !f.holds_as(&p("vpn/a.txt"), Kind::File));
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
