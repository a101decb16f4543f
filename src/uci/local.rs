//! Patterns of options and sections that stay on one router: `network.lan.ipaddr`, `system.@system[0].hostname`,
//! `firewall.@rule[name=Guest*].enabled`, `network.iot`.
//!
//! A pattern is `PACKAGE.SECTION.OPTION`, or `PACKAGE.SECTION` for sections that exist on this router only. The last
//! pattern that matches decides, and one that begins with `!` excludes what an earlier one covers.

use std::fmt;

use crate::model::{escape, glob, limits};
use crate::uci::model::Value;
use crate::uci::name::{self, PackageName};
use crate::uci::part::{Part, Setting, place};

/// A pattern of what is local.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    takes_back: bool,
    package: PackageName,
    section: SectionPattern,
    /// `None`: whole sections.
    option: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SectionPattern {
    /// A name, or a glob of names: sections without one are matched by `*` only.
    Name(String),
    /// Every section of a type.
    Type(String),
    /// The section of a type at this place.
    At(String, usize),
    /// Sections of a type whose option has a value that matches.
    With(String, String, Vec<u8>),
}

/// What usually belongs to one router.
pub const USUAL: [&str; 8] = [
    "system.@system[0].hostname",
    "network.*.ipaddr",
    "network.*.ip6addr",
    "network.*.macaddr",
    "network.globals.ula_prefix",
    "keepalived.@vrrp_instance.priority",
    "keepalived.@vrrp_instance.state",
    "wireless.@wifi-device.path",
];

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// There is no dot between a package and a section.
    NoSection,
    /// The part before the dot is not the name of a package.
    Package,
    /// It is about owsync's own configuration, which is never synced.
    OwnPackage,
    /// A name, type or option holds what none can hold.
    Name,
    /// A `[` without `]`, or something behind it.
    Bracket,
    /// A place (`@rule[3]`) for whole sections: the shared text does not have them, so places differ.
    PlaceOfWhole,
    /// Longer than [`limits::LOCAL_PATTERN`] bytes.
    TooLong,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatternError::NoSection => f.write_str("expected PACKAGE.SECTION or PACKAGE.SECTION.OPTION"),
            PatternError::Package => f.write_str("the part before the first dot is not the name of a UCI package"),
            PatternError::OwnPackage => f.write_str("owsync's own package is never synced"),
            PatternError::Name => f.write_str("a name has letters, digits and '_'; '*' and '?' stand for others"),
            PatternError::Bracket => f.write_str("expected @TYPE[NUMBER] or @TYPE[OPTION=VALUE]"),
            PatternError::PlaceOfWhole => f.write_str(
                "a number identifies a section only together with an option; use a name or @TYPE[OPTION=VALUE]",
            ),
            PatternError::TooLong => write!(f, "longer than {} bytes", limits::LOCAL_PATTERN),
        }
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if text.len() > limits::LOCAL_PATTERN {
            return Err(PatternError::TooLong);
        }
        let (takes_back, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (package, rest) = rest.split_once('.').ok_or(PatternError::NoSection)?;
        let package = PackageName::parse(package.as_bytes()).ok_or(PatternError::Package)?;
        if package.as_str() == "owsync" {
            return Err(PatternError::OwnPackage);
        }
        let (section, option) = match rest.strip_prefix('@') {
            Some(rest) => section_of_type(rest)?,
            None => {
                let (name, option) = rest.split_once('.').map_or((rest, None), |(name, option)| (name, Some(option)));
                (SectionPattern::Name(name_glob(name)?), option)
            }
        };
        if option.is_none() && matches!(section, SectionPattern::At(..)) {
            return Err(PatternError::PlaceOfWhole);
        }
        let option = option.map(name_glob).transpose()?;
        Ok(Pattern { text: text.into(), takes_back, package, section, option })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it makes whole sections local, and not single options.
    pub fn is_of_sections(&self) -> bool {
        self.option.is_none() && !self.takes_back
    }

    /// The package it is about.
    pub fn package(&self) -> &PackageName {
        &self.package
    }

    /// Whether it is about the section at `index`.
    pub(super) fn is_about(&self, parts: &[Part], index: usize) -> bool {
        let part = &parts[index];
        match &self.section {
            SectionPattern::Name(name) if name == "*" => true,
            SectionPattern::Name(name) => {
                part.name.as_deref().is_some_and(|known| glob::matches(name.as_bytes(), known.as_bytes()))
            }
            SectionPattern::Type(kind) => part.kind == *kind,
            SectionPattern::At(kind, at) => {
                part.kind == *kind && parts[..index].iter().filter(|other| other.kind == *kind).count() == *at
            }
            SectionPattern::With(kind, option, value) => {
                part.kind == *kind
                    && match part.option(option) {
                        Some(Setting::Value(known)) => {
                            Value::items(known).iter().any(|item| glob::matches(value, item))
                        }
                        Some(Setting::Local) | None => false,
                    }
            }
        }
    }

    /// The pattern that means this option of a section and no other, if there is one that means the same tomorrow.
    pub(super) fn exact(package: &PackageName, parts: &[Part], index: usize, option: &str) -> Option<Pattern> {
        let pattern = Pattern::parse(&format!("{package}.{}.{option}", place(parts, index))).ok()?;
        let about: Vec<usize> = (0..parts.len()).filter(|index| pattern.is_about(parts, *index)).collect();
        (about == [index] && !pattern.is_a_place_among(parts)).then_some(pattern)
    }

    /// Whether it names a section by its place where there are more of the type: the place may mean another one tomorrow.
    pub(super) fn is_a_place_among(&self, parts: &[Part]) -> bool {
        match &self.section {
            SectionPattern::At(kind, _) => parts.iter().filter(|part| part.kind == *kind).count() > 1,
            SectionPattern::Name(_) | SectionPattern::Type(_) | SectionPattern::With(..) => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape::escape(self.text.as_bytes()))
    }
}

/// The part after an `@`: the sections, and the option after them.
fn section_of_type(rest: &str) -> Result<(SectionPattern, Option<&str>), PatternError> {
    let end = rest.find(['[', '.']).unwrap_or(rest.len());
    let (kind, behind) = rest.split_at(end);
    let kind = name::type_of(kind.as_bytes()).ok_or(PatternError::Name)?;
    let Some(inside) = behind.strip_prefix('[') else {
        return Ok((SectionPattern::Type(kind), behind.strip_prefix('.')));
    };
    let (inside, behind) = inside.split_once(']').ok_or(PatternError::Bracket)?;
    let option = match behind.strip_prefix('.') {
        Some(option) => Some(option),
        None if behind.is_empty() => None,
        None => return Err(PatternError::Bracket),
    };
    let section = match inside.split_once('=') {
        Some((option, value)) => {
            let option = name::name_of(option.as_bytes()).ok_or(PatternError::Name)?;
            SectionPattern::With(kind, option, value.as_bytes().to_vec())
        }
        None => SectionPattern::At(kind, inside.parse().map_err(|_| PatternError::Bracket)?),
    };
    Ok((section, option))
}

/// A name of a section or option, with wildcards.
fn name_glob(text: &str) -> Result<String, PatternError> {
    let valid = |b: u8| name::is_name_byte(b) || matches!(b, b'*' | b'?' | b'[' | b']' | b'-');
    if text.is_empty() || !text.bytes().all(valid) { Err(PatternError::Name) } else { Ok(text.into()) }
}

/// The patterns of one package.
#[derive(Debug, Clone, Copy)]
pub(super) struct Locals<'a> {
    patterns: &'a [Pattern],
    package: &'a PackageName,
}

impl<'a> Locals<'a> {
    pub(super) fn new(patterns: &'a [Pattern], package: &'a PackageName) -> Locals<'a> {
        Locals { patterns, package }
    }

    fn of_package(self) -> impl DoubleEndedIterator<Item = &'a Pattern> {
        self.patterns.iter().filter(move |pattern| pattern.package == *self.package)
    }

    /// Whether the whole section exists on this router only.
    pub(super) fn owns(self, parts: &[Part], index: usize) -> bool {
        self.owner(parts, index).is_some()
    }

    /// The pattern because of which a section exists on this router only.
    pub(super) fn owner(self, parts: &[Part], index: usize) -> Option<&'a Pattern> {
        let last = self.of_package().rev().find(|pattern| pattern.option.is_none() && pattern.is_about(parts, index));
        last.filter(|pattern| !pattern.takes_back)
    }

    /// The pattern that makes an option local.
    pub(super) fn covers(self, parts: &[Part], index: usize, option: &str) -> Option<&'a Pattern> {
        let about = |pattern: &&Pattern| {
            let option = match &pattern.option {
                Some(known) => glob::matches(known.as_bytes(), option.as_bytes()),
                // Whole sections are decided separately, but `!` in front excludes their options too.
                None => pattern.takes_back,
            };
            option && pattern.is_about(parts, index)
        };
        self.of_package().rev().find(about).filter(|pattern| !pattern.takes_back)
    }

    /// Patterns that match nothing in a package.
    pub(super) fn idle(self, parts: &[Part]) -> impl Iterator<Item = &'a Pattern> {
        self.of_package().filter(move |pattern| {
            let about = |index: &usize| pattern.is_about(parts, *index);
            let has = |index: usize| match &pattern.option {
                Some(option) => {
                    let mut names = parts[index].options.iter().map(|(name, _)| name);
                    names.any(|name| glob::matches(option.as_bytes(), name.as_bytes()))
                }
                None => true,
            };
            !(0..parts.len()).filter(about).any(has)
        })
    }

    /// Patterns that name one of several sections by its place.
    pub(super) fn unsteady(self, parts: &[Part]) -> impl Iterator<Item = &'a Pattern> {
        self.of_package().filter(move |pattern| pattern.is_a_place_among(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pattern_says_why() {
        for (text, error) in [
            ("network", PatternError::NoSection),
            ("net/work.lan", PatternError::Package),
            ("owsync.main.port", PatternError::OwnPackage),
            ("network.", PatternError::Name),
            ("network.lan.", PatternError::Name),
            ("network.lan.a.b", PatternError::Name),
            ("network.@.x", PatternError::Name),
            ("network.@rule[0.x", PatternError::Bracket),
            ("network.@rule[x].y", PatternError::Bracket),
            ("network.@rule[0]y", PatternError::Bracket),
            ("network.@rule[0]", PatternError::PlaceOfWhole),
            (&format!("network.{}", "x".repeat(200)), PatternError::TooLong),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
        for text in
            ["network.lan.ipaddr", "network.*.ip*", "!firewall.@rule[name=Allow-*]", "a.@b[c=d.e].f", "a.@b.c", "a.b"]
        {
            assert_eq!(Pattern::parse(text).unwrap().as_str(), text);
        }
    }
}
