//! Applies uncommitted changes to a package's text, byte for byte as `uci commit` does.
//!
//! What libuci does with a change (uci, delta.c, `uci_parse_delta_line`; list.c, `uci_set` and its siblings) is kept with its
//! surprises, because the user has seen the result of it in `uci show`:
//! - A section that gets a type of a different length gets its made-up name for good; with the same length it does not.
//! - A rename to a name that exists makes two sections, or options, of that name. Later changes are about the first one.
//! - An empty list keeps its place: an item that is added later is where the list was.
//! - A change that is applied counts, even if nothing changes by it: then the file is written in the form of a commit and
//!   loses its comments. A file without such a change stays as it is.
//! - A line that sets something existing to nothing removes it, and is applied a second time after all others: libuci
//!   appends the removal to the file before it reads it again. No tool writes such lines.
//!
//! # What is refused
//! libuci passes over a change that cannot be applied, and the user's wish is gone without a word. A commit on all routers
//! refuses it instead: [`Refused::NoSection`] and [`Refused::NoOption`]. Only the removal of an option, or of a section
//! that was given a name, is passed over: what is gone need not be removed. The removal of an unnamed section is refused,
//! because its number may be another section's by now. [`Refused::Exists`] is an unnamed section that was added under a
//! number that another section has taken since; libuci would mix the two.
//!
//! A limit: where the package was changed so that a made-up name is a different section of the same type now, neither libuci
//! nor this function can know. A node therefore does not apply a peer's change that would do so while there are uncommitted
//! changes (see [`numbers`](mod@crate::uci::numbers)).

use std::fmt;

use crate::model::limits;
use crate::uci::delta::{Change, Operation};
use crate::uci::model::{Package, Value};
use crate::uci::name::{self, PackageName};
use crate::uci::parse::parse;
use crate::uci::{ParseError, write};

/// Why uncommitted changes cannot be committed. No text contains a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The package's file is no UCI package; `uci commit` fails as well.
    Package(ParseError),
    /// The section that a change is about is not there any more.
    NoSection(Change),
    /// The option that is given another name is not there any more.
    NoOption(Change),
    /// The unnamed section that was added has the number of another section now.
    Exists(Change),
    /// A position that means different things to different systems.
    Position(Change),
    /// The result would not be a package: two sections of different types have the same name.
    Result(ParseError),
    /// More changes, of a larger package, than are applied.
    TooLarge,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Package(error) => write!(f, "the package cannot be read: {error}"),
            Refused::NoSection(change) => {
                write!(f, "cannot {change}: the package changed and has no section '{}' now", change.section)
            }
            Refused::NoOption(change) => write!(f, "cannot {change}: the package changed and has no such option now"),
            Refused::Exists(change) => {
                write!(f, "cannot {change}: the package changed and '{}' is a different section now", change.section)
            }
            Refused::Position(change) => write!(f, "cannot {change}: its position is not valid"),
            Refused::Result(error) => write!(f, "the package would not be valid after these changes: {error}"),
            Refused::TooLarge => f.write_str("too many uncommitted changes for a package of this size"),
        }
    }
}

impl std::error::Error for Refused {}

/// The text that `uci commit` would write: `changes` applied to the `text` of a package, in their order.
///
/// # Errors
/// Why they cannot be committed; see the module.
pub fn apply(name: &PackageName, text: &[u8], changes: &[Change]) -> Result<Vec<u8>, Refused> {
    let package = parse(name, text).map_err(Refused::Package)?;
    let options: usize = package.sections().iter().map(|section| 1 + section.options().count()).sum();
    if (options + changes.len()).saturating_mul(changes.len()) > limits::DELTA_WORK {
        return Err(Refused::TooLarge);
    }
    let mut result = Working::of(package.clone());
    result.apply_all(changes)?;
    let emptied = std::mem::take(&mut result.emptied);
    if !emptied.is_empty() {
        result = Working::of(package);
        result.apply_all(changes)?;
        for (section, option) in &emptied {
            result.remove(section, option.as_deref());
        }
    }
    if !result.is_changed {
        return Ok(text.to_vec());
    }
    let text = write::committed(&result.package);
    parse(name, &text).map_err(Refused::Result)?;
    Ok(text)
}

/// A package while changes are applied. Names may occur twice in it, and lists may be empty.
struct Working {
    package: Package,
    /// A change was applied: libuci writes the file.
    is_changed: bool,
    /// Sections and options that were removed by setting them to nothing.
    emptied: Vec<(String, Option<String>)>,
}

impl Working {
    fn of(package: Package) -> Working {
        Working { package, is_changed: false, emptied: Vec::new() }
    }

    fn apply_all(&mut self, changes: &[Change]) -> Result<(), Refused> {
        for change in changes {
            self.is_changed |= self.apply(change)?;
        }
        Ok(())
    }

    /// Applies a change; whether libuci counts it as applied.
    fn apply(&mut self, change: &Change) -> Result<bool, Refused> {
        let value = change.value.as_deref().unwrap_or_default();
        let option = change.option.as_deref();
        let is_removal = match change.operation {
            Operation::Remove => true,
            Operation::Set | Operation::Add => option.is_some() && value.is_empty(),
            Operation::Rename | Operation::Reorder | Operation::ListAdd | Operation::ListRemove => false,
        };
        let Some(index) = self.package.find(&change.section) else {
            return match (change.operation, option) {
                (Operation::Set | Operation::Add, None) => Ok(self.add(change, value)),
                _ if is_removal && !name::is_made_up(&change.section) => Ok(false),
                _ => Err(Refused::NoSection(change.clone())),
            };
        };
        match (change.operation, option) {
            (Operation::Add, None) if !value.is_empty() => return Err(Refused::Exists(change.clone())),
            (Operation::Set | Operation::Add, None) => self.set_kind(index, value),
            (Operation::Set | Operation::Add, Some(option)) => self.set(index, option, value),
            (Operation::Remove, _) => return self.remove_part(index, change, value),
            (Operation::Rename, None) => self.package.section_at_mut(index).set_name(text(value), true),
            (Operation::Rename, Some(option)) => match self.option(index, option) {
                Some(at) => self.options(index)[at].0 = text(value),
                None => return Err(Refused::NoOption(change.clone())),
            },
            (Operation::Reorder, _) => match position(value) {
                Some(before) => self.package.move_to(index, before),
                None => return Err(Refused::Position(change.clone())),
            },
            (Operation::ListAdd, Some(option)) => match self.option(index, option) {
                Some(at) => self.options(index)[at].1.push(value.to_vec()),
                None => self.options(index).push((option.into(), Value::List(vec![value.to_vec()]))),
            },
            (Operation::ListRemove, Some(option)) => {
                if let Some(at) = self.option(index, option) {
                    if let Value::List(items) = &mut self.options(index)[at].1 {
                        items.retain(|item| item != value);
                    }
                }
            }
            // The parser lets no list through without an option.
            (Operation::ListAdd | Operation::ListRemove, None) => return Ok(false),
        }
        Ok(true)
    }

    /// Makes a section; one without a type is none, and that is no error.
    fn add(&mut self, change: &Change, kind: &[u8]) -> bool {
        if !kind.is_empty() {
            let index = self.package.push(text(kind), Some(change.section.clone()));
            if change.operation == Operation::Add {
                self.package.section_at_mut(index).set_name(change.section.clone(), false);
            }
        }
        true
    }

    fn set_kind(&mut self, index: usize, kind: &[u8]) {
        let section = self.package.section_at_mut(index);
        if kind.is_empty() {
            self.emptied.push((section.name().to_string(), None));
            self.package.remove_at(index);
            return;
        }
        if section.kind().len() != kind.len() {
            // libuci replaces the section by one that is given the present name.
            section.set_name(section.name().to_string(), true);
        }
        section.set_kind(text(kind));
    }

    fn set(&mut self, index: usize, option: &str, value: &[u8]) {
        match (self.option(index, option), value) {
            (None, b"") => {}
            (Some(at), b"") => {
                self.emptied.push((self.package.section_at(index).name().to_string(), Some(option.to_string())));
                self.options(index).remove(at);
            }
            (None, value) => self.options(index).push((option.into(), Value::One(value.to_vec()))),
            (Some(at), value) => self.options(index)[at].1 = Value::One(value.to_vec()),
        }
    }

    /// Removes a section, an option, or the item of a list that `value` counts.
    fn remove_part(&mut self, index: usize, change: &Change, value: &[u8]) -> Result<bool, Refused> {
        let Some(option) = &change.option else {
            self.package.remove_at(index);
            return Ok(true);
        };
        let Some(at) = self.option(index, option) else { return Ok(false) };
        match &mut self.options(index)[at].1 {
            Value::List(items) if !value.is_empty() => match item(value) {
                Item::At(number) if number < items.len() => drop(items.remove(number)),
                Item::At(_) | Item::Nothing => {}
                Item::Unclear => return Err(Refused::Position(change.clone())),
            },
            Value::List(_) | Value::One(_) => drop(self.options(index).remove(at)),
        }
        Ok(true)
    }

    /// Removes what is there.
    fn remove(&mut self, section: &str, option: Option<&str>) {
        let Some(index) = self.package.find(section) else { return };
        match option.map(|option| self.option(index, option)) {
            None => self.package.remove_at(index),
            Some(Some(at)) => drop(self.options(index).remove(at)),
            Some(None) => {}
        }
    }

    fn option(&self, index: usize, name: &str) -> Option<usize> {
        self.package.section_at(index).options().position(|(known, _)| known == name)
    }

    fn options(&mut self, index: usize) -> &mut Vec<(String, Value)> {
        self.package.section_at_mut(index).options_mut()
    }
}

/// A name or type, which are ASCII.
fn text(value: &[u8]) -> String {
    value.iter().map(|&b| char::from(b)).collect()
}

/// How many sections are before a moved one: strtoul(3) assigned to an int, and nothing below 0; `None` where that depends
/// on the size of a long.
fn position(value: &[u8]) -> Option<usize> {
    let Number { negative, digits } = Number::read(value);
    let number = u32::try_from(decimal(digits)).ok()?;
    let number = if negative { number.wrapping_neg() } else { number };
    // The upper half is the negative half of an int, which is the first place.
    Some(i32::try_from(number).map_or(0, |number| usize::try_from(number).unwrap_or(0)))
}

/// Which item of a list is removed.
enum Item {
    At(usize),
    /// None: the number is negative, or there is none.
    Nothing,
    /// libuci would read memory that it has not written, or a number too large for it.
    Unclear,
}

/// The item to remove: sscanf(3) of an int.
fn item(value: &[u8]) -> Item {
    let Number { negative, digits } = Number::read(value);
    match i32::try_from(decimal(digits)) {
        _ if value.iter().all(|&b| is_space(b)) => Item::Unclear,
        _ if digits.is_empty() => Item::Nothing,
        Ok(0) => Item::At(0),
        Ok(_) if negative => Item::Nothing,
        Ok(number) => Item::At(usize::try_from(number).unwrap_or(usize::MAX)),
        Err(_) => Item::Unclear,
    }
}

/// The number that a text begins with, as C reads it: white space, a sign, digits.
struct Number<'a> {
    negative: bool,
    digits: &'a [u8],
}

impl Number<'_> {
    fn read(text: &[u8]) -> Number<'_> {
        let start = text.iter().position(|&b| !is_space(b)).unwrap_or(text.len());
        let (negative, text) = match &text[start..] {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] | digits => (false, digits),
        };
        let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
        Number { negative, digits: &text[..end] }
    }
}

/// The value of decimal digits, at most `u64::MAX`; 0 without any.
fn decimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0_u64, |number, &b| number.saturating_mul(10).saturating_add(u64::from(b - b'0')))
}

/// White space as isspace(3) has it.
fn is_space(b: u8) -> bool {
    b.is_ascii_whitespace() || b == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uci::changes::changes;
    use crate::uci::delta;

    const BASE: &str = "# comment\nconfig a 'x'\n\toption k '1'\n\tlist l 'p'\n\tlist l 'q'\n\tlist l 'q'\n\
                        config b\n\toption o 'first'\nconfig b\n\toption o 'second'\n";

    fn name() -> PackageName {
        PackageName::parse(b"p").unwrap()
    }

    fn applied(base: &str, lines: &str) -> Result<String, String> {
        let found = delta::parse(&name(), lines.as_bytes());
        apply(&name(), base.as_bytes(), &found.changes)
            .map(|text| String::from_utf8(text).unwrap())
            .map_err(|error| error.to_string())
    }

    /// A text with every section in one line: `a x k=1 l+p+q / b - o=first`.
    fn short(text: &str) -> String {
        let mut short = String::new();
        let mut list = "";
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let plain = |word: &str| word.trim_matches('\'').to_string();
            match words[..] {
                ["config", kind] => short.push_str(&format!(" / {kind} -")),
                ["config", kind, name] => short.push_str(&format!(" / {kind} {}", plain(name))),
                ["option", name, value] => short.push_str(&format!(" {name}={}", plain(value))),
                ["list", name, item] if name == list => short.push_str(&format!("+{}", plain(item))),
                ["list", name, item] => short.push_str(&format!(" {name}+{}", plain(item))),
                [] => {}
                _ => panic!("{line}"),
            }
            list = if words.first() == Some(&"list") { words[1] } else { "" };
        }
        short.trim_start_matches(" / ").to_string()
    }

    /// Each result is what the real `uci commit` wrote.
    #[test]
    fn changes_give_what_uci_commit_writes() {
        let x = "a x k=1 l+p+q+q";
        let b = "b - o=first / b - o=second";
        let all = format!("{x} / {b}");
        let table: [(&str, String); 50] = [
            // Options keep their place, new ones come last.
            ("p.x.k='2'", format!("a x k=2 l+p+q+q / {b}")),
            ("p.x.k='long'", format!("a x k=long l+p+q+q / {b}")),
            ("p.x.k='1'", all.clone()),
            ("p.x.n='2'", format!("{x} n=2 / {b}")),
            ("p.x.l='2'", format!("a x k=1 l=2 / {b}")),
            ("-p.x.k", format!("a x l+p+q+q / {b}")),
            ("-p.x.k='7'", format!("a x l+p+q+q / {b}")),
            ("-p.x.l", format!("a x k=1 / {b}")),
            ("@p.x.k='n'", format!("a x n=1 l+p+q+q / {b}")),
            // Items of a list, by number and by value.
            ("-p.x.l='0'", format!("a x k=1 l+q+q / {b}")),
            ("-p.x.l=' +2x'", format!("a x k=1 l+p+q / {b}")),
            ("-p.x.l='3'", all.clone()),
            ("-p.x.l='-1'", all.clone()),
            ("-p.x.l='p'", all.clone()),
            ("-p.x.l=''", format!("a x k=1 / {b}")),
            ("|p.x.l='r'", format!("{x}+r / {b}")),
            ("|p.x.k='2'", format!("a x k+1+2 l+p+q+q / {b}")),
            ("|p.x.n='2'", format!("{x} n+2 / {b}")),
            ("~p.x.l='q'", format!("a x k=1 l+p / {b}")),
            ("~p.x.k='1'", all.clone()),
            ("~p.x.n='1'", all.clone()),
            // An empty list keeps its place, whatever comes then.
            ("-p.x.l='0'\n~p.x.l='q'\np.x.n='1'", format!("a x k=1 n=1 / {b}")),
            ("~p.x.l='p'\n~p.x.l='q'\np.x.n='1'\n|p.x.l='r'", format!("a x k=1 l+r n=1 / {b}")),
            ("~p.x.l='p'\n~p.x.l='q'\np.x.n='1'\np.x.l='r'", format!("a x k=1 l=r n=1 / {b}")),
            // Sections.
            ("p.y='c'\np.y.k='2'", format!("{all} / c y k=2")),
            ("p.x='a'", all.clone()),
            ("p.x='c'", format!("c x k=1 l+p+q+q / {b}")),
            ("-p.x", b.into()),
            ("-p.cfg02b607", format!("{x} / b - o=second")),
            ("@p.x='y'\np.y.k='2'", format!("a y k=2 l+p+q+q / {b}")),
            ("@p.cfg03b607='y'", format!("{x} / b - o=first / b y o=second")),
            ("+p.cfg04b608='c'\np.cfg04b608.k='2'", format!("{all} / c - k=2")),
            ("+p.cfg04b608='c'\n^p.cfg04b608='0'", format!("c - / {all}")),
            ("+p.n='c'", format!("{all} / c -")),
            // A type of the same length leaves the section without a name, one of a different length does not.
            ("p.cfg02b607='c'", format!("{x} / c - o=first / b - o=second")),
            ("p.cfg02b607='cc'", format!("{x} / cc cfg02b607 o=first / b - o=second")),
            ("^p.x='1'", format!("b - o=first / {x} / b - o=second")),
            ("^p.x='9'", format!("{b} / {x}")),
            ("^p.cfg03b607='0'", format!("b - o=second / {x} / b - o=first")),
            ("^p.cfg03b607='-1'", format!("b - o=second / {x} / b - o=first")),
            ("^p.cfg03b607='4294967295'", format!("b - o=second / {x} / b - o=first")),
            ("^p.cfg03b607=' 1st'", format!("{x} / b - o=second / b - o=first")),
            ("^p.x='last'", all.clone()),
            // Names that exist.
            ("@p.cfg02b607='y'\n@p.cfg03b607='y'\np.y.o='2'", format!("{x} / b y o=2 / b y o=second")),
            ("p.x.m='2'\n@p.x.m='k'\np.x.k='3'", "a x k=3 l+p+q+q k=2 / ".to_string() + b),
            // Set to nothing: removed where it is, and once more at the end.
            ("p.x.k=''", format!("a x l+p+q+q / {b}")),
            ("p.x.k=''\np.x.k='2'", format!("a x l+p+q+q / {b}")),
            ("p.x.n=''\np.n=''", all.clone()),
            ("p.x=''\np.x='c'\np.cfg02b607.o='2'", "b - o=2 / b - o=second".into()),
            // Gone already.
            ("-p.x.n\n-p.y\n-p.y.k\np.y.k=''\np.x.k='1'", all.clone()),
        ];
        for (lines, expected) in table {
            assert_eq!(applied(BASE, lines).map(|text| short(&text)), Ok(expected), "{lines}");
        }
    }

    #[test]
    fn values_are_written_as_they_were_set() {
        assert_eq!(
            applied("", "p.x='a-b.c!'\np.x.k='it'\\''s \"a\\'\n|p.x.l=''\n|p.x.l='two\nlines'\n"),
            Ok("\nconfig a-b.c! 'x'\n\toption k 'it'\\''s \"a\\'\n\tlist l ''\n\tlist l 'two\nlines'\n\n".into())
        );
    }

    #[test]
    fn a_file_stays_as_it_is_unless_a_change_is_applied() {
        for lines in ["", "-p.y\n-p.x.n\n", "p.x\nq.x.k='1'\n"] {
            assert_eq!(applied(BASE, lines), Ok(BASE.into()), "{lines}");
        }
        // A change that changes nothing is one.
        assert_ne!(applied(BASE, "p.x.k='1'"), Ok(BASE.into()));
    }

    #[test]
    fn what_cannot_be_applied_any_more_is_refused() {
        let gone = "the package changed and has no section";
        let table = [
            ("p.y.k='1'", format!("cannot set y.k: {gone} 'y' now")),
            ("|p.y.k='1'", format!("cannot add to y.k: {gone} 'y' now")),
            ("~p.y.k='1'", format!("cannot remove from y.k: {gone} 'y' now")),
            ("@p.y='z'", format!("cannot rename y: {gone} 'y' now")),
            ("^p.y='1'", format!("cannot move y: {gone} 'y' now")),
            ("-p.cfg04b607", format!("cannot remove cfg04b607: {gone} 'cfg04b607' now")),
            ("-p.cfg04b607.o", format!("cannot remove cfg04b607.o: {gone} 'cfg04b607' now")),
            ("p.cfg04b607.o=''", format!("cannot set cfg04b607.o: {gone} 'cfg04b607' now")),
            ("@p.x.n='k'", "cannot rename x.n: the package changed and has no such option now".into()),
            (
                "+p.cfg03b607='b'",
                "cannot add cfg03b607: the package changed and 'cfg03b607' is a different section now".into(),
            ),
            ("^p.x='4294967296'", "cannot move x: its position is not valid".into()),
            ("-p.x.l='2147483648'", "cannot remove x.l: its position is not valid".into()),
            ("-p.x.l=' '", "cannot remove x.l: its position is not valid".into()),
            (
                "@p.cfg02b607='x'",
                "the package would not be valid after these changes: section of different type overwrites prior section \
                 with same name at line 8, byte 13"
                    .into(),
            ),
        ];
        for (lines, error) in table {
            assert_eq!(applied(BASE, lines), Err(error), "{lines}");
        }
        let error = applied("config a\nbogus\n", "p.x='a'").unwrap_err();
        assert_eq!(error, "the package cannot be read: invalid command at line 2, byte 0");
    }

    #[test]
    fn more_than_can_be_compared_in_time_is_refused() {
        let lines = "p.x.k='1'\n".repeat(9_000);
        assert_eq!(applied(BASE, &lines), Err("too many uncommitted changes for a package of this size".into()));
        assert!(applied(BASE, &"p.x.k='1'\n".repeat(8_000)).is_ok());
    }

    /// What `owsync commit --dry-run` shows.
    #[test]
    fn a_preview_names_every_change() {
        let lines = "p.x.k='2'\n|p.x.l='r'\n-p.cfg02b607\n+p.cfg04b608='c'\np.cfg04b608.n='new'\n^p.x='9'\n";
        let result = applied(BASE, lines).unwrap();
        let shown: Vec<String> = changes(&name(), BASE.as_bytes(), result.as_bytes()).unwrap().lines().collect();
        assert_eq!(
            shown,
            [
                "p.x: moved",
                "p.x.k: '1' -> '2'",
                "p.x.l: added item 'r'",
                "p.@b[0]: removed, type b",
                "p.@b[0].o: removed 'first'",
                "p.@c[0]: added, type c",
                "p.@c[0].n: added 'new'",
            ]
        );
        assert!(changes(&name(), BASE.as_bytes(), applied(BASE, "p.x.k='1'").unwrap().as_bytes()).unwrap().is_empty());
    }
}
