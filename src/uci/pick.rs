//! Takes single options of a package from another version of it.
//!
//! An option is named as `diff --options` prints it: `lan.mtu`, `@rule[name=Allow-Ping].target`, `@host[3].ip`, with or
//! without the package's name in front. The section is the one that the other version calls so; it is recognised in the
//! present text as in a merge. What the other version does not set is removed. Everything else stays; the text is written
//! as `uci commit` writes it, so comments are gone.

use std::fmt;

use crate::model::{escape, limits};
use crate::uci::model::{Package, Value};
use crate::uci::pairs::Pairs;
use crate::uci::part::{self, Part};
use crate::uci::{PackageName, ParseError, name, parse_shared, write};

/// Why an option cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// The present text is no UCI package.
    Present(ParseError),
    /// The other version is no UCI package.
    Version(ParseError),
    /// The packages are too large to recognise their sections.
    TooLarge,
    /// It does not name a section and an option.
    Name(String),
    /// The other version has no such section.
    NoSection(String),
    /// The section of the other version is not in the present text.
    SectionGone(String),
    /// Neither text sets the option.
    NoOption(String),
    /// The option is local to each router, so no version has its value.
    Local(String),
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| escape::escape(text.as_bytes());
        match self {
            NotTaken::Present(error) => write!(f, "the present file is no UCI package: {error}"),
            NotTaken::Version(error) => write!(f, "that version is no UCI package: {error}"),
            NotTaken::TooLarge => f.write_str("the package is too large to be changed by option"),
            NotTaken::Name(text) => {
                write!(
                    f,
                    "{}: name a section and an option, as in lan.mtu or @rule[name=Allow-Ping].target",
                    shown(text)
                )
            }
            NotTaken::NoSection(text) => write!(f, "{}: that version has no such section", shown(text)),
            NotTaken::SectionGone(text) => {
                write!(
                    f,
                    "{}: the present file does not have this section any more; restore the whole version",
                    shown(text)
                )
            }
            NotTaken::NoOption(text) => write!(f, "{}: neither that version nor the present file sets it", shown(text)),
            NotTaken::Local(text) => {
                write!(f, "{}: it is local to each router, so no version has its value", shown(text))
            }
        }
    }
}

impl std::error::Error for NotTaken {}

/// The present text with these options as `version` has them.
///
/// # Errors
/// One of them cannot be taken; then none is.
pub fn pick(package: &PackageName, present: &[u8], version: &[u8], options: &[String]) -> Result<Vec<u8>, NotTaken> {
    if present.len().max(version.len()) as u64 > limits::OPTIONS_FILE {
        return Err(NotTaken::TooLarge);
    }
    let mut present = parse_shared(package, present).map_err(NotTaken::Present)?;
    let version = parse_shared(package, version).map_err(NotTaken::Version)?;
    let (there, here) = (part::parts(&version), part::parts(&present));
    if there.len().max(here.len()) > limits::MERGE_SECTIONS {
        return Err(NotTaken::TooLarge);
    }
    let pairs = Pairs::find(&there, &here);
    for text in options {
        let (section, option) = split(package, text).ok_or_else(|| NotTaken::Name(text.clone()))?;
        let from = find(&version, &there, section).ok_or_else(|| NotTaken::NoSection(text.clone()))?;
        let to = pairs.other(from).map(|(to, _)| to).ok_or_else(|| NotTaken::SectionGone(text.clone()))?;
        let (from, to) = (version.section_at(from), present.section_at_mut(to));
        if from.is_local(option) || to.is_local(option) {
            return Err(NotTaken::Local(text.clone()));
        }
        // The name was checked, and a value that was read can be written.
        let set = match from.option(option) {
            Some(Value::One(value)) => to.set(option, value),
            Some(Value::List(items)) => to.set_list(option, items),
            None if to.option(option).is_none() => return Err(NotTaken::NoOption(text.clone())),
            None => to.set(option, b""),
        };
        set.map_err(|_| NotTaken::Name(text.clone()))?;
    }
    Ok(write::committed(&present))
}

/// The section and the option that a text names. No option's name contains a dot; a section's label may.
fn split<'a>(package: &PackageName, text: &'a str) -> Option<(&'a str, &'a str)> {
    let (place, option) = text.rsplit_once('.')?;
    name::name_of(option.as_bytes())?;
    // A section's own name contains no dot either, so one in front ends the name of the package.
    let section = place.strip_prefix(package.as_str()).and_then(|rest| rest.strip_prefix('.')).unwrap_or(place);
    (!section.is_empty()).then_some((section, option))
}

/// The section of this name, as changes call it or as `uci` does.
fn find(package: &Package, parts: &[Part], section: &str) -> Option<usize> {
    (0..parts.len()).find(|index| part::place(parts, *index) == section).or_else(|| package.find(section))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str = "config zone 'lan'\n option mtu 1400\n list network a\n list network b\n option gone x\n\
                           config rule\n option name A\n option target ACCEPT\nconfig rule\n option src wan\n option port 1\n\
                           config zone 'old'\n option x 1\n";
    const PRESENT: &str = "# kept apart\nconfig rule\n option src wan\n option port 2\nconfig zone 'lan'\n option mtu 1300\n\
                           option new 1\nconfig rule\n option name A\n option target DROP\n";

    fn picked(options: &[&str]) -> Result<String, NotTaken> {
        let options: Vec<String> = options.iter().map(|option| option.to_string()).collect();
        let name = PackageName::parse(b"firewall").unwrap();
        pick(&name, PRESENT.as_bytes(), VERSION.as_bytes(), &options).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn only_the_named_options_change() {
        let base = "\nconfig rule\n\toption src 'wan'\n\toption port '2'\n\nconfig zone 'lan'\n\toption mtu '1300'\n\
                    \toption new '1'\n\nconfig rule\n\toption name 'A'\n\toption target 'DROP'\n\n";
        for (options, from, to) in [
            (&["lan.mtu"][..], "mtu '1300'", "mtu '1400'"),
            (&["firewall.lan.mtu"], "mtu '1300'", "mtu '1400'"),
            (&["@rule[name=A].target"], "'DROP'", "'ACCEPT'"),
            (&["@rule[0].target"], "'DROP'", "'ACCEPT'"),
            (&["@rule[1].port"], "port '2'", "port '1'"),
            (&["lan.new"], "\toption new '1'\n", ""),
            (&["lan.gone"], "\toption new '1'\n", "\toption new '1'\n\toption gone 'x'\n"),
            (&["lan.network"], "\toption new '1'\n", "\toption new '1'\n\tlist network 'a'\n\tlist network 'b'\n"),
        ] {
            assert_eq!(picked(options).unwrap(), base.replacen(from, to, 1), "{options:?}");
        }
        let both = base.replace("mtu '1300'", "mtu '1400'").replace("'DROP'", "'ACCEPT'");
        assert_eq!(picked(&["lan.mtu", "@rule[name=A].target"]).unwrap(), both);
    }

    #[test]
    fn what_cannot_be_taken_says_why_and_takes_nothing() {
        let text = |text: &str| text.to_string();
        for (option, expected) in [
            ("mtu", NotTaken::Name(text("mtu"))),
            ("lan.", NotTaken::Name(text("lan."))),
            ("firewall..mtu", NotTaken::Name(text("firewall..mtu"))),
            ("guest.mtu", NotTaken::NoSection(text("guest.mtu"))),
            ("@rule[name=B].target", NotTaken::NoSection(text("@rule[name=B].target"))),
            ("old.x", NotTaken::SectionGone(text("old.x"))),
            ("lan.never", NotTaken::NoOption(text("lan.never"))),
        ] {
            assert_eq!(picked(&["lan.mtu", option]), Err(expected), "{option}");
        }
        let name = PackageName::parse(b"p").unwrap();
        let local = pick(&name, b"config a 'x'\n local o\n", b"config a 'x'\n option o 1\n", &["x.o".into()]);
        assert_eq!(local, Err(NotTaken::Local("x.o".into())));
        assert!(matches!(pick(&name, b"option", b"", &[]), Err(NotTaken::Present(_))));
    }
}
