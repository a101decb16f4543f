//! Sections as a merge and the forms compare them: without regard to the order of options, with markers among them.

use std::fmt;

use crate::model::escape;
use crate::uci::model::{Package, Section, Value};
use crate::uci::name::PackageName;
use crate::uci::write;

/// What a section says about an option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// It has this value.
    Value(Value),
    /// It is local: every router has a value of its own.
    Local,
}

/// A section of one of the texts, or of the result. The order of its options carries no meaning.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub kind: String,
    pub name: Option<String>,
    pub options: Vec<(String, Setting)>,
}

impl Part {
    pub fn of(section: &Section) -> Part {
        let setting = |value: Option<&Value>| value.map_or(Setting::Local, |value| Setting::Value(value.clone()));
        let options = section.settings().into_iter().map(|(name, value)| (name.to_string(), setting(value)));
        Part {
            kind: section.kind().to_string(),
            name: section.given_name().map(str::to_string),
            options: options.collect(),
        }
    }

    pub fn option(&self, name: &str) -> Option<&Setting> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, setting)| setting)
    }

    /// The value of its option `name`, by which firewall rules and zones are called.
    pub fn label(&self) -> Option<&[u8]> {
        match self.option("name") {
            Some(Setting::Value(Value::One(value))) => Some(value),
            _ => None,
        }
    }

    /// Options that both have with the same setting.
    pub fn in_common(&self, other: &Part) -> usize {
        self.options.iter().filter(|(name, setting)| other.option(name) == Some(setting)).count()
    }

    /// What two sections that say the same have in common.
    pub fn key(&self) -> Key<'_> {
        let mut options: Vec<&(String, Setting)> = self.options.iter().collect();
        options.sort();
        (&self.kind, self.name.as_deref(), options)
    }
}

pub(super) type Key<'a> = (&'a str, Option<&'a str>, Vec<&'a (String, Setting)>);

impl PartialEq for Part {
    fn eq(&self, other: &Part) -> bool {
        self.kind == other.kind
            && self.name == other.name
            && self.options.len() == other.options.len()
            && self.in_common(other) == self.options.len()
    }
}

pub(super) fn parts(package: &Package) -> Vec<Part> {
    package.sections().iter().map(Part::of).collect()
}

/// The same without copies of names and values, for texts of which there are several at a time.
pub(super) fn into_parts(package: Package) -> Vec<Part> {
    let part = |section: Section| {
        let (kind, name, settings) = section.into_settings();
        let setting = |value: Option<Value>| value.map_or(Setting::Local, Setting::Value);
        Part { kind, name, options: settings.into_iter().map(|(name, value)| (name, setting(value))).collect() }
    };
    package.into_sections().into_iter().map(part).collect()
}

pub(super) fn package(name: &PackageName, sections: &[Part]) -> Package {
    let mut package = Package::new(name.clone());
    for part in sections {
        let index = package.push(part.kind.clone(), part.name.clone());
        let section = package.section_at_mut(index);
        for (option, setting) in &part.options {
            match setting {
                Setting::Value(value) => section.options_mut().push((option.clone(), value.clone())),
                // The name was an option's when it was read.
                Setting::Local => drop(section.mark_local(option)),
            }
        }
    }
    package
}

/// How a report calls a section: by name, by its option `name` if that is unique, or by its number.
pub(super) fn place(parts: &[Part], index: usize) -> String {
    let part = &parts[index];
    if let Some(name) = &part.name {
        return name.clone();
    }
    let kind = escape::escape(part.kind.as_bytes());
    let of_kind = || parts.iter().enumerate().filter(|(_, other)| other.kind == part.kind);
    if let Some(label) = part.label() {
        if of_kind().filter(|(_, other)| other.label() == Some(label)).count() == 1 {
            return format!("@{kind}[name={}]", escape::escape(label));
        }
    }
    let number = of_kind().take_while(|(other, _)| *other < index).count();
    format!("@{kind}[{number}]")
}

/// A setting as UCI writes it.
pub(super) fn setting(setting: Option<&Setting>) -> String {
    match setting {
        None => "nothing".into(),
        Some(Setting::Local) => "a local value".into(),
        Some(Setting::Value(value)) => {
            let quoted = value.items().iter().map(|item| {
                let mut text = Vec::new();
                write::push_quoted(&mut text, item);
                escape::escape(&text)
            });
            quoted.collect::<Vec<_>>().join(" ")
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&setting(Some(self)))
    }
}
