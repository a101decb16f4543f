//! Uncommitted changes: the files that `uci set` appends to below /tmp/.uci, and LuCI below a directory for each session.
//!
//! One change is one line `[+-@^|~]PACKAGE.SECTION[.OPTION][='VALUE']`, where a value may go over several lines (uci,
//! delta.c, `uci_parse_delta_tuple`). A line that is none is passed over, as libuci does; the caller learns how many.
//!
//! - [`parse`] reads such a file.
//! - [`apply()`] makes of a package's text the text that `uci commit` would write, for `owsync commit`.
//! - [`uncommitted`] says what is left of such a file after its changes were committed.
//! - [`changes`](mod@crate::uci::changes) compares the text before and after in UCI's notation, for a preview: it says what
//!   a commit changes, where the lines say how the user got there.
//!
//! Reading, locking and writing the files is the business of `fs::uci_file`.

mod apply;

pub use apply::{Refused, apply};

use std::fmt;

use crate::uci::lexer::Lexer;
use crate::uci::name::{self, PackageName};

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Sets an option, or makes a named section.
    Set,
    /// Makes a section without a name.
    Add,
    /// Removes a section, an option, or one item of a list.
    Remove,
    /// Gives a section or option another name.
    Rename,
    /// Moves a section.
    Reorder,
    /// Adds an item to a list.
    ListAdd,
    /// Removes an item from a list.
    ListRemove,
}

/// A change that was not committed. Its text leaves the value out: that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it does.
    pub operation: Operation,
    /// The section, by its name, also a made-up one.
    pub section: String,
    /// The option, unless it is about the section itself.
    pub option: Option<String>,
    /// The value, type, name or position; a removal may have none.
    pub value: Option<Vec<u8>>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.operation {
            Operation::Set => "set",
            Operation::Add => "add",
            Operation::Remove => "remove",
            Operation::Rename => "rename",
            Operation::Reorder => "move",
            Operation::ListAdd => "add to",
            Operation::ListRemove => "remove from",
        };
        write!(f, "{word} {}", self.section)?;
        match &self.option {
            Some(option) => write!(f, ".{option}"),
            None => Ok(()),
        }
    }
}

/// The changes in a delta file, and how many lines of it are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The changes, oldest first.
    pub changes: Vec<Change>,
    /// Lines that are no change to this package.
    pub unreadable: usize,
}

/// Reads a delta file of a package.
pub fn parse(package: &PackageName, text: &[u8]) -> Changes {
    let mut lexer = Lexer::new(text);
    let mut found = Changes::default();
    while lexer.next_line() {
        let change = match lexer.word() {
            Ok(word) if word.is_empty() && lexer.at_end() => continue,
            Ok(word) if lexer.at_end() => change(package, &word),
            _ => None,
        };
        match change {
            Some(change) => found.changes.push(change),
            None => found.unreadable += 1,
        }
    }
    found
}

fn change(package: &PackageName, word: &[u8]) -> Option<Change> {
    let operation = match word.first()? {
        b'+' => Operation::Add,
        b'-' => Operation::Remove,
        b'@' => Operation::Rename,
        b'^' => Operation::Reorder,
        b'|' => Operation::ListAdd,
        b'~' => Operation::ListRemove,
        _ => Operation::Set,
    };
    let word = if operation == Operation::Set { word } else { &word[1..] };
    let (place, value) = match word.iter().position(|&b| b == b'=') {
        Some(equals) => (&word[..equals], Some(&word[equals + 1..])),
        None => (word, None),
    };
    let mut names = place.split(|&b| b == b'.');
    if names.next() != Some(package.as_str().as_bytes()) {
        return None;
    }
    let section = name::name_of(names.next()?)?;
    let option = match names.next() {
        Some(option) => Some(name::name_of(option)?),
        None => None,
    };
    let kind = |kind: &[u8]| option.is_some() || kind.is_empty() || name::type_of(kind).is_some();
    let printable = |value: &[u8]| value.iter().all(|&b| b >= b' ' || matches!(b, b'\t' | b'\n' | b'\r'));
    let complete = match operation {
        Operation::Remove => true,
        Operation::Set | Operation::Add => value.is_some_and(kind),
        Operation::Rename => value.is_some_and(|name| name::name_of(name).is_some()),
        Operation::Reorder => value.is_some() && option.is_none(),
        Operation::ListAdd | Operation::ListRemove => value.is_some() && option.is_some(),
    };
    (complete && names.next().is_none() && value.is_none_or(printable)).then(|| Change {
        operation,
        section,
        option,
        value: value.map(<[u8]>::to_vec),
    })
}

/// What is left of a file of changes after the changes in `committed`, its content at that time, were committed: the lines
/// that were added since.
///
/// `None` where the file does not begin with what was committed: a change was reverted or committed by another program, or
/// a line was continued. Then nothing can be told apart, and the file must stay as it is.
pub fn uncommitted<'a>(present: &'a [u8], committed: &[u8]) -> Option<&'a [u8]> {
    let rest = present.strip_prefix(committed)?;
    let at_line_end = committed.is_empty() || committed.ends_with(b"\n");
    (rest.is_empty() || at_line_end).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, usize) {
        let found = parse(&PackageName::parse(b"dhcp").unwrap(), text.as_bytes());
        let show = |change: &Change| match &change.value {
            Some(value) => format!("{change} {}", String::from_utf8_lossy(value)),
            None => change.to_string(),
        };
        (found.changes.iter().map(show).collect(), found.unreadable)
    }

    #[test]
    fn every_kind_of_change_is_read() {
        let text = "dhcp.lan.start='10'\ndhcp.vpn='dhcp'\n+dhcp.cfg0abcde='host'\n-dhcp.lan.limit\n-dhcp.lan\n\
                    -dhcp.lan.dns='2'\n@dhcp.lan='lan2'\n@dhcp.lan.a='b'\n^dhcp.lan='3'\n|dhcp.lan.dns='1.1.1.1'\n\
                    ~dhcp.lan.dns='it'\\''s'\ndhcp.lan.m='a=b\nc.d'\n\n";
        let (changes, unreadable) = read(text);
        assert_eq!(
            changes,
            [
                "set lan.start 10",
                "set vpn dhcp",
                "add cfg0abcde host",
                "remove lan.limit",
                "remove lan",
                "remove lan.dns 2",
                "rename lan lan2",
                "rename lan.a b",
                "move lan 3",
                "add to lan.dns 1.1.1.1",
                "remove from lan.dns it's",
                "set lan.m a=b\nc.d",
            ]
        );
        assert_eq!(unreadable, 0);
    }

    #[test]
    fn lines_that_are_no_change_are_counted_and_passed_over() {
        let bad = [
            "network.lan.start='10'",
            "dhcp.lan.start",
            "dhcp",
            "dhcp.@host[0].ip='1'",
            "dhcp.lan.a.b='1'",
            "dhcp.lan.a-b='1'",
            "@dhcp.lan='a b'",
            "^dhcp.lan.a='1'",
            "|dhcp.lan='1'",
            "dhcp.lan.a='1' more",
            "dhcp.lan.a='\u{1}'",
            "=",
            "dhcp.lan.a='1';",
            "dhcp.vpn='a b'",
            "+dhcp.cfg0abcde='\u{e9}'",
        ];
        for line in bad {
            let (changes, unreadable) = read(&format!("{line}\ndhcp.lan.z='1'\n"));
            assert_eq!((changes, unreadable), (vec!["set lan.z 1".to_string()], 1), "{line}");
        }
        assert_eq!(read("dhcp.lan.a='1\ndhcp.lan.b=2"), (vec![], 1));
    }

    #[test]
    fn lines_that_were_added_since_stay() {
        let committed = b"dhcp.lan.a='1'\n-dhcp.x\n";
        let more = b"dhcp.lan.a='1'\n-dhcp.x\ndhcp.lan.b='2'\n";
        assert_eq!(uncommitted(committed, committed), Some(&b""[..]));
        assert_eq!(uncommitted(more, committed), Some(&b"dhcp.lan.b='2'\n"[..]));
        assert_eq!(uncommitted(more, b""), Some(&more[..]));
        // Reverted or committed meanwhile, in part or as a whole.
        assert_eq!(uncommitted(b"-dhcp.x\n", committed), None);
        assert_eq!(uncommitted(b"", committed), None);
        // The last line was continued: it is a different one now.
        assert_eq!(uncommitted(b"dhcp.lan.a='1'2\n", b"dhcp.lan.a='1'"), None);
        assert_eq!(uncommitted(b"dhcp.lan.a='1'", b"dhcp.lan.a='1'"), Some(&b""[..]));
    }
}
