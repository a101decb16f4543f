//! Compares two texts of a package by section and option, and says in UCI's notation what changed.
//!
//! The texts are compared as models: comments, quoting and the order of options inside a section are no difference.
//! Sections are recognised as in a merge (see [`merge`](mod@crate::uci::merge)), with one text as the base of the other,
//! so a firewall rule that moved is reported as moved and not as removed and added.
//!
//! The list of changes is complete: it is empty exactly if both texts say the same, and it names every option of a section
//! that was added or removed. Only the place of an added section, or list item, among the others is not in it.
//!
//! Sections are named as the old text has them, added ones as the new text has them.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{escape, limits};
use crate::uci::model::Value;
use crate::uci::pairs::Pairs;
use crate::uci::part::{self, Part, Setting};
use crate::uci::{PackageName, ParseError, parse_shared, write};

/// What changed in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The package.
    pub package: PackageName,
    /// Changes of the sections that the old text has, in its order; then the added sections in the order of the new text.
    pub list: Vec<Change>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The section: its name, `@type[name=LABEL]` if that is unique, or `@type[n]`.
    pub section: String,
    /// What changed in it.
    pub what: What,
}

/// What changed in a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is new; its options follow, each as set.
    SectionAdded {
        /// Its type.
        kind: String,
    },
    /// It is gone; its options follow, each as removed.
    SectionRemoved {
        /// Its type.
        kind: String,
    },
    /// It has another place among the sections that both texts have.
    Moved,
    /// An option was set, changed or removed.
    Option {
        /// The option.
        option: String,
        /// What the old text has; `None`: it is not set there.
        from: Option<Setting>,
        /// What the new text has; `None`: it is not set there.
        to: Option<Setting>,
    },
    /// An item was added to a list whose other items kept their order.
    ItemAdded {
        /// The option.
        option: String,
        /// The item.
        item: Vec<u8>,
    },
    /// An item was removed from such a list.
    ItemRemoved {
        /// The option.
        option: String,
        /// The item.
        item: Vec<u8>,
    },
}

/// Why two texts are not compared by option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotCompared {
    /// The old text is no UCI package.
    Old(ParseError),
    /// The new text is no UCI package.
    New(ParseError),
    /// More sections than [`limits::MERGE_SECTIONS`] or bytes than [`limits::OPTIONS_FILE`].
    TooLarge,
}

impl fmt::Display for NotCompared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotCompared::Old(error) => write!(f, "the old text is no UCI package: {error}"),
            NotCompared::New(error) => write!(f, "the new text is no UCI package: {error}"),
            NotCompared::TooLarge => f.write_str("the package is too large to be compared by option"),
        }
    }
}

impl std::error::Error for NotCompared {}

/// Compares two texts of a package. An absent file is an empty text.
///
/// # Errors
/// One of them is no package, or they are too large.
pub fn changes(package: &PackageName, old: &[u8], new: &[u8]) -> Result<Changes, NotCompared> {
    if old.len().max(new.len()) as u64 > limits::OPTIONS_FILE {
        return Err(NotCompared::TooLarge);
    }
    let before = part::parts(&parse_shared(package, old).map_err(NotCompared::Old)?);
    let after = part::parts(&parse_shared(package, new).map_err(NotCompared::New)?);
    if before.len().max(after.len()) > limits::MERGE_SECTIONS {
        return Err(NotCompared::TooLarge);
    }
    let pairs = Pairs::find(&before, &after);
    let moved = moved(&before, &pairs);
    let mut list = Vec::new();
    for (index, section) in before.iter().enumerate() {
        let place = part::place(&before, index);
        match pairs.other(index) {
            Some((other, _)) => {
                if moved.contains(&index) {
                    list.push(Change { section: place.clone(), what: What::Moved });
                }
                options(&mut list, &place, section, &after[other]);
            }
            None => {
                let kind = section.kind.clone();
                list.push(Change { section: place.clone(), what: What::SectionRemoved { kind } });
                options(&mut list, &place, section, &nothing(section));
            }
        }
    }
    for index in pairs.added(&after) {
        let (place, section) = (part::place(&after, index), &after[index]);
        let kind = section.kind.clone();
        list.push(Change { section: place.clone(), what: What::SectionAdded { kind } });
        options(&mut list, &place, &nothing(section), section);
    }
    Ok(Changes { package: package.clone(), list })
}

/// The section without its options.
fn nothing(section: &Part) -> Part {
    Part { options: Vec::new(), ..section.clone() }
}

/// Adds the differences between two versions of a section.
fn options(list: &mut Vec<Change>, place: &str, before: &Part, after: &Part) {
    let known = |part: &Part| -> BTreeMap<String, Setting> { part.options.iter().cloned().collect() };
    let (was, is) = (known(before), known(after));
    let gone = before.options.iter().map(|(name, _)| name).filter(|name| !is.contains_key(*name));
    for name in after.options.iter().map(|(name, _)| name).chain(gone) {
        let (from, to) = (was.get(name), is.get(name));
        if from == to {
            continue;
        }
        let option = || name.clone();
        let items = match (from, to) {
            (Some(Setting::Value(Value::List(from))), Some(Setting::Value(Value::List(to)))) => list_items(from, to),
            _ => None,
        };
        let of = |what| Change { section: place.to_string(), what };
        match items {
            Some((removed, added)) => {
                let removed = removed.into_iter().map(|item| What::ItemRemoved { option: option(), item });
                let added = added.into_iter().map(|item| What::ItemAdded { option: option(), item });
                list.extend(removed.chain(added).map(of));
            }
            None => list.push(of(What::Option { option: option(), from: from.cloned(), to: to.cloned() })),
        }
    }
}

type Items = Vec<Vec<u8>>;

/// The items that were removed and added, unless nothing or everything is new, or the others are in another order.
fn list_items(from: &[Vec<u8>], to: &[Vec<u8>]) -> Option<(Items, Items)> {
    let count = |items: &[Vec<u8>]| {
        let mut count: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        items.iter().for_each(|item| *count.entry(item.clone()).or_default() += 1);
        count
    };
    // Of equal items, the first ones stay.
    let split = |items: &[Vec<u8>], others: &[Vec<u8>]| {
        let mut left = count(others);
        items.iter().cloned().partition::<Vec<_>, _>(|item| match left.get_mut(item) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        })
    };
    let ((kept, removed), (kept_too, added)) = (split(from, to), split(to, from));
    (!kept.is_empty() && kept == kept_too).then_some((removed, added))
}

/// The fewest sections of the old text that have to move to get the order of the new one.
fn moved(before: &[Part], pairs: &Pairs) -> Vec<usize> {
    let places: Vec<(usize, usize)> =
        (0..before.len()).filter_map(|index| Some((index, pairs.other(index)?.0))).collect();
    // The longest increasing run stays: for each length, the run of that length with the lowest end so far.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = vec![None; places.len()];
    for (at, (_, place)) in places.iter().enumerate() {
        let length = ends.partition_point(|end| places[*end].1 < *place);
        previous[at] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut stays = vec![false; places.len()];
    let mut next = ends.last().copied();
    while let Some(at) = next {
        stays[at] = true;
        next = previous[at];
    }
    places.iter().zip(stays).filter(|(_, stays)| !stays).map(|((index, _), _)| *index).collect()
}

impl Changes {
    /// Whether both texts say the same.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// One line for each change, as `network.wan.mtu: '1400' -> '1300'`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|change| format!("{}.{change}", self.package))
    }
}

impl What {
    /// The option that it is about.
    pub fn option(&self) -> Option<&str> {
        match self {
            What::Option { option, .. } | What::ItemAdded { option, .. } | What::ItemRemoved { option, .. } => {
                Some(option)
            }
            What::SectionAdded { .. } | What::SectionRemoved { .. } | What::Moved => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.section)?;
        if let Some(option) = self.what.option() {
            write!(f, ".{option}")?;
        }
        let kind = |kind: &str| escape::escape(kind.as_bytes());
        match &self.what {
            What::SectionAdded { kind: of } => write!(f, ": added, type {}", kind(of)),
            What::SectionRemoved { kind: of } => write!(f, ": removed, type {}", kind(of)),
            What::Moved => f.write_str(": moved"),
            What::Option { from: None, to: None, .. } => f.write_str(": not set"),
            What::Option { from: None, to: Some(to), .. } => write!(f, ": added {to}"),
            What::Option { from: Some(from), to: None, .. } => write!(f, ": removed {from}"),
            What::Option { from: Some(from), to: Some(to), .. } => match (is_list(from), is_list(to)) {
                (Some(one), Some(other)) if one != other => {
                    let word = |list| if list { "list" } else { "option" };
                    write!(f, ": {} {from} -> {} {to}", word(one), word(other))
                }
                _ => write!(f, ": {from} -> {to}"),
            },
            What::ItemAdded { item, .. } => write!(f, ": added item {}", quoted(item)),
            What::ItemRemoved { item, .. } => write!(f, ": removed item {}", quoted(item)),
        }
    }
}

fn is_list(setting: &Setting) -> Option<bool> {
    match setting {
        Setting::Value(value) => Some(matches!(value, Value::List(_))),
        Setting::Local => None,
    }
}

fn quoted(item: &[u8]) -> String {
    let mut text = Vec::new();
    write::push_quoted(&mut text, item);
    escape::escape(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(old: &str, new: &str) -> Vec<String> {
        let name = PackageName::parse(b"firewall").unwrap();
        changes(&name, old.as_bytes(), new.as_bytes()).unwrap().lines().collect()
    }

    #[test]
    fn options_sections_items_and_places_are_in_the_notation_of_uci() {
        let old = "config zone 'lan'\n option mtu 1400\n option gone x\n list network a\n list network b\n option one 1\n\
                   config rule\n option name A\nconfig rule\n option name B\nconfig rule\n option name C\n\
                   config rule\n option src wan\n";
        let new = "config rule\n option name B\nconfig zone 'lan'\n option mtu 1300\n option new \"it's\"\n list network b\n\
                   list network c\n list one 1\nconfig rule\n option name A\nconfig rule\n option name C\n\
                   config zone 'guest'\n option name guest\n";
        assert_eq!(
            lines(old, new),
            [
                "firewall.lan.mtu: '1400' -> '1300'",
                "firewall.lan.new: added 'it'\\\\''s'",
                "firewall.lan.network: removed item 'a'",
                "firewall.lan.network: added item 'c'",
                "firewall.lan.one: option '1' -> list '1'",
                "firewall.lan.gone: removed 'x'",
                "firewall.@rule[name=B]: moved",
                "firewall.@rule[3]: removed, type rule",
                "firewall.@rule[3].src: removed 'wan'",
                "firewall.guest: added, type zone",
                "firewall.guest.name: added 'guest'",
            ]
        );
    }

    #[test]
    fn comments_quotes_and_the_order_of_options_are_no_change() {
        let old = "# old\nconfig a 'x'\n\toption o '1'\n\tlist l 'p'\n";
        let new = "package y\nconfig 'a' x\n\n list l p # new\n option o \"1\"";
        assert_eq!(lines(old, new), [""; 0]);
    }

    #[test]
    fn a_list_in_another_order_is_shown_whole() {
        let list = |items: &str| {
            let items: Vec<String> = items.chars().map(|item| format!(" list l {item}\n")).collect();
            format!("config a 'x'\n{}", items.concat())
        };
        for (from, to, expected) in [
            ("ab", "ba", "'a' 'b' -> 'b' 'a'"),
            ("ab", "cd", "'a' 'b' -> 'c' 'd'"),
            ("aab", "ab", "removed item 'a'"),
            ("ab", "cab", "added item 'c'"),
        ] {
            assert_eq!(lines(&list(from), &list(to)), [format!("firewall.x.l: {expected}")], "{from} {to}");
        }
    }

    #[test]
    fn a_marker_is_a_value_of_each_router() {
        let changes = lines("config a 'x'\n option o 1\n", "config a 'x'\n local o\n");
        assert_eq!(changes, ["firewall.x.o: '1' -> a local value"]);
    }

    #[test]
    fn what_is_no_package_says_which_side_and_where() {
        let name = PackageName::parse(b"p").unwrap();
        let error = changes(&name, b"config a\n", b"config a\noption").unwrap_err();
        assert_eq!(error.to_string(), "the new text is no UCI package: option without name at line 2, byte 0");
        let long = vec![b'\n'; usize::try_from(limits::OPTIONS_FILE).unwrap() + 1];
        assert_eq!(changes(&name, &long, b""), Err(NotCompared::TooLarge));
    }
}
