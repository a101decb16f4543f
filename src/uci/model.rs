//! A package: sections in their order, options in theirs.
//!
//! Every name in a [`Package`] is one that libuci accepts, no option is empty and no value holds a NUL byte, so whatever is
//! in a model can be written and read again.

use crate::model::Map;
use std::collections::BTreeMap;
use std::fmt;

use crate::uci::name::{self, PackageName};

/// Why a change to a model was refused; the model is as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditError {
    /// Not the name of a section or an option.
    Name(String),
    /// Not the type of a section.
    Type(String),
    /// A section of this name is there, with another type.
    OtherType(String),
    /// A value with a NUL byte.
    Nul,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditError::Name(name) => write!(f, "'{name}' cannot be a name in UCI: letters, digits and '_'"),
            EditError::Type(kind) => write!(f, "'{kind}' cannot be the type of a UCI section"),
            EditError::OtherType(name) => write!(f, "the section '{name}' exists with a different type"),
            EditError::Nul => f.write_str("a value with a NUL byte"),
        }
    }
}

impl std::error::Error for EditError {}

/// What an option holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `option`; never empty.
    One(Vec<u8>),
    /// `list`; never without an item, but items may be empty.
    List(Vec<Vec<u8>>),
}

impl Value {
    /// The value, or the items.
    pub fn items(&self) -> &[Vec<u8>] {
        match self {
            Value::One(value) => std::slice::from_ref(value),
            Value::List(items) => items,
        }
    }

    pub(super) fn push(&mut self, item: Vec<u8>) {
        if let Value::One(first) = self {
            *self = Value::List(vec![std::mem::take(first)]);
        }
        if let Value::List(items) = self {
            items.push(item);
        }
    }
}

/// A section. Two are equal if they have the same type, the same given name, the same options and the same markers.
#[derive(Debug, Clone)]
pub struct Section {
    kind: String,
    name: String,
    named: bool,
    options: Vec<(String, Value)>,
    /// Options that have a value of their own on every router, and how many options stood before each when it was read;
    /// only shared forms have them.
    markers: BTreeMap<String, usize>,
}

/// Options and markers in the order of the text; a marker has no value.
pub(crate) type OwnedSettings = Vec<(String, Option<Value>)>;

impl Section {
    /// Its type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its name; for a section without one the `cfgXXXXXX` that libuci makes up, which holds until the file changes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, if it was given one.
    pub fn given_name(&self) -> Option<&str> {
        self.named.then_some(&*self.name)
    }

    /// Its options in their order.
    pub fn options(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.options.iter().map(|(name, value)| (&**name, value))
    }

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&Value> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Sets an option, in its place if there is one; an empty value removes it, as in `uci set`.
    ///
    /// # Errors
    /// The name or the value is none.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), EditError> {
        let new = (!value.is_empty()).then(|| Value::One(value.to_vec()));
        self.put(name, &[value], new)
    }

    /// Sets a list, in the place of the option of that name if there is one; no items remove it.
    ///
    /// # Errors
    /// The name or an item is none.
    pub fn set_list<T: AsRef<[u8]>>(&mut self, name: &str, items: &[T]) -> Result<(), EditError> {
        let items: Vec<&[u8]> = items.iter().map(AsRef::as_ref).collect();
        let new = (!items.is_empty()).then(|| Value::List(items.iter().map(|item| item.to_vec()).collect()));
        self.put(name, &items, new)
    }

    /// Adds an item to a list; an option of that name becomes a list.
    ///
    /// # Errors
    /// The name or the item is none.
    pub fn add_to_list(&mut self, name: &str, item: &[u8]) -> Result<(), EditError> {
        let mut new = self.option(name).cloned().unwrap_or(Value::List(Vec::new()));
        new.push(item.to_vec());
        self.put(name, &[item], Some(new))
    }

    /// The options that a shared form marks as local: each router has its own value, which is not in the text. Sorted.
    pub fn markers(&self) -> impl Iterator<Item = &str> {
        self.markers.keys().map(String::as_str)
    }

    /// Options and markers in the order of the text; a marker has no value.
    pub fn settings(&self) -> Vec<(&str, Option<&Value>)> {
        let mut settings: Vec<(&str, Option<&Value>)> =
            self.options.iter().map(|(name, value)| (&**name, Some(value))).collect();
        let mut markers: Vec<(&str, usize)> = self.markers.iter().map(|(name, at)| (&**name, *at)).collect();
        markers.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        for (name, at) in markers {
            settings.insert(at.min(settings.len()), (name, None));
        }
        settings
    }

    /// Its type, its given name, and its [`settings`](Section::settings), without copies of them.
    pub(crate) fn into_settings(self) -> (String, Option<String>, OwnedSettings) {
        let Section { kind, name, named, options, markers } = self;
        let mut settings: OwnedSettings = options.into_iter().map(|(name, value)| (name, Some(value))).collect();
        let mut markers: Vec<(String, usize)> = markers.into_iter().collect();
        markers.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        for (name, at) in markers {
            settings.insert(at.min(settings.len()), (name, None));
        }
        (kind, named.then_some(name), settings)
    }

    /// Whether the shared form marks an option as local.
    pub fn is_local(&self, name: &str) -> bool {
        self.markers.contains_key(name)
    }

    /// Marks an option as local and removes its value; whether it was not marked before.
    ///
    /// # Errors
    /// The name is not valid for an option.
    pub fn mark_local(&mut self, name: &str) -> Result<bool, EditError> {
        let Some(valid) = name::name_of(name.as_bytes()) else { return Err(EditError::Name(name.into())) };
        self.options.retain(|(known, _)| *known != valid);
        let before = self.options.len();
        Ok(self.markers.insert(valid, before).is_none())
    }

    fn put(&mut self, name: &str, values: &[&[u8]], new: Option<Value>) -> Result<(), EditError> {
        let Some(valid) = name::name_of(name.as_bytes()) else { return Err(EditError::Name(name.into())) };
        if values.iter().any(|value| value.contains(&0)) {
            return Err(EditError::Nul);
        }
        let at = self.options.iter().position(|(known, _)| *known == valid);
        match (at, new) {
            (Some(at), Some(new)) => self.options[at].1 = new,
            (None, Some(new)) => self.options.push((valid, new)),
            (Some(at), None) => drop(self.options.remove(at)),
            (None, None) => {}
        }
        Ok(())
    }

    pub(super) fn options_mut(&mut self) -> &mut Vec<(String, Value)> {
        &mut self.options
    }

    /// Changes its type, which was checked.
    pub(super) fn set_kind(&mut self, kind: String) {
        self.kind = kind;
    }

    /// Changes its name, which was checked, and whether it is written.
    pub(super) fn set_name(&mut self, name: String, named: bool) {
        self.name = name;
        self.named = named;
    }
}

impl PartialEq for Section {
    fn eq(&self, other: &Section) -> bool {
        self.kind == other.kind
            && self.given_name() == other.given_name()
            && self.options == other.options
            && self.markers().eq(other.markers())
    }
}

impl Eq for Section {}

/// A package. Two are equal if they have equal sections in the same order, whatever their files look like.
#[derive(Debug, Clone)]
pub struct Package {
    name: PackageName,
    sections: Vec<Section>,
    /// How many sections were ever made; part of the names libuci makes up.
    made: usize,
}

impl Package {
    /// A package without sections.
    pub fn new(name: PackageName) -> Package {
        Package { name, sections: Vec::new(), made: 0 }
    }

    /// Its name.
    pub fn name(&self) -> &PackageName {
        &self.name
    }

    /// Its sections in their order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Its sections alone.
    pub(crate) fn into_sections(self) -> Vec<Section> {
        self.sections
    }

    /// Its sections, each with how `uci show` calls it: its name, or `@type[n]`.
    pub fn referenced(&self) -> impl Iterator<Item = (String, &Section)> {
        let mut counts: Map<&str, usize> = Map::new();
        self.sections.iter().map(move |section| {
            let count = counts.get_or_default(section.kind());
            *count += 1;
            let reference = match section.given_name() {
                Some(name) => name.to_string(),
                None => format!("@{}[{}]", section.kind(), *count - 1),
            };
            (reference, section)
        })
    }

    /// Looks a section up: by name, also a made-up one, or as `@type[n]`, counted from 0, or from the end if `n` is
    /// negative. `@[n]` counts sections of any type.
    pub fn section(&self, reference: &str) -> Option<&Section> {
        self.find(reference).map(|index| &self.sections[index])
    }

    /// As [`Package::section`], to change it.
    pub fn section_mut(&mut self, reference: &str) -> Option<&mut Section> {
        self.find(reference).map(|index| &mut self.sections[index])
    }

    /// The section of this name, which is made at the end if there is none.
    ///
    /// # Errors
    /// The name or type is none, or the name belongs to a section of another type.
    pub fn named(&mut self, kind: &str, name: &str) -> Result<&mut Section, EditError> {
        let Some(valid_name) = name::name_of(name.as_bytes()) else { return Err(EditError::Name(name.into())) };
        let Some(valid_kind) = name::type_of(kind.as_bytes()) else { return Err(EditError::Type(kind.into())) };
        let index = match self.sections.iter().position(|section| section.name == valid_name) {
            Some(index) if self.sections[index].kind != valid_kind => return Err(EditError::OtherType(name.into())),
            Some(index) => index,
            None => self.push(valid_kind, Some(valid_name)),
        };
        Ok(&mut self.sections[index])
    }

    /// Adds a section without a name at the end.
    ///
    /// # Errors
    /// The type is none.
    pub fn unnamed(&mut self, kind: &str) -> Result<&mut Section, EditError> {
        let Some(valid) = name::type_of(kind.as_bytes()) else { return Err(EditError::Type(kind.into())) };
        let index = self.push(valid, None);
        Ok(&mut self.sections[index])
    }

    /// Removes a section; whether there was one.
    pub fn remove(&mut self, reference: &str) -> bool {
        let found = self.find(reference);
        if let Some(index) = found {
            self.sections.remove(index);
        }
        found.is_some()
    }

    /// The index of the section that [`Package::section`] finds.
    pub(super) fn find(&self, reference: &str) -> Option<usize> {
        let Some(extended) = reference.strip_prefix('@') else {
            return self.sections.iter().position(|section| section.name == reference);
        };
        let (kind, number) = extended.strip_suffix(']')?.split_once('[')?;
        let number: i64 = number.parse().ok()?;
        let of_kind = |section: &Section| kind.is_empty() || section.kind == kind;
        let mut found =
            self.sections.iter().enumerate().filter(|(_, section)| of_kind(section)).map(|(index, _)| index);
        match usize::try_from(number) {
            Ok(number) => found.nth(number),
            Err(_) => found.rev().nth(usize::try_from(number.checked_neg()? - 1).ok()?),
        }
    }

    /// Adds a section at the end; its index. Name and type were checked, and the name is free.
    pub(super) fn push(&mut self, kind: String, name: Option<String>) -> usize {
        self.made += 1;
        let named = name.is_some();
        let name = name.unwrap_or_else(|| name::made_up(self.made, &kind));
        self.sections.push(Section { kind, name, named, options: Vec::new(), markers: BTreeMap::new() });
        self.sections.len() - 1
    }

    pub(super) fn remove_at(&mut self, index: usize) {
        self.sections.remove(index);
    }

    /// Moves a section so that `before` others stand before it, or to the end where there are fewer.
    pub(super) fn move_to(&mut self, index: usize, before: usize) {
        let section = self.sections.remove(index);
        self.sections.insert(before.min(self.sections.len()), section);
    }

    pub(super) fn section_at(&self, index: usize) -> &Section {
        &self.sections[index]
    }

    pub(super) fn section_at_mut(&mut self, index: usize) -> &mut Section {
        &mut self.sections[index]
    }
}

impl PartialEq for Package {
    fn eq(&self, other: &Package) -> bool {
        self.name == other.name && self.sections == other.sections
    }
}

impl Eq for Package {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uci::{parse, write};

    fn package(text: &str) -> Package {
        parse(&PackageName::parse(b"p").unwrap(), text.as_bytes()).unwrap()
    }

    #[test]
    fn sections_are_found_by_name_number_and_from_the_end() {
        let package = package("config peer 'a'\nconfig share 's'\nconfig peer\n\toption n 2\nconfig peer 'c'\n");
        let name = |reference: &str| package.section(reference).map(|section| section.given_name().unwrap_or("-"));
        let table = [
            ("a", Some("a")),
            ("b", None),
            ("@peer[0]", Some("a")),
            ("@peer[1]", Some("-")),
            ("@peer[-1]", Some("c")),
            ("@peer[-3]", Some("a")),
            ("@peer[-4]", None),
            ("@peer[3]", None),
            ("@[1]", Some("s")),
            ("@share[0]", Some("s")),
            ("@nothing[0]", None),
            ("@peer", None),
            ("@peer[x]", None),
            ("@peer[]", None),
            ("@peer[0]x", None),
            ("@peer[-9223372036854775808]", None),
            ("@peer[99999999999999999999]", None),
            ("cfg03f9fd", None),
        ];
        for (reference, expected) in table {
            assert_eq!(name(reference), expected, "{reference}");
        }
        let made_up = package.section("@peer[1]").unwrap().name();
        assert_eq!(name(made_up), Some("-"));
    }

    #[test]
    fn a_change_keeps_everything_else() {
        let mut package = package("config owsync 'main'\n\toption a 1\n\toption b 2\n\nconfig x\n\tlist l 1\n");

        let main = package.section_mut("main").unwrap();
        main.set("a", b"it's").unwrap();
        main.set("b", b"").unwrap();
        main.set_list("include", &["dhcp", "fire wall"]).unwrap();
        package.section_mut("@x[0]").unwrap().add_to_list("l", b"2").unwrap();
        package.named("peer", "r2").unwrap().set("address", b"10.0.0.2").unwrap();
        package.named("peer", "r2").unwrap().set("port", b"1").unwrap();
        package.unnamed("peer").unwrap().add_to_list("share", b"main").unwrap();

        assert_eq!(
            String::from_utf8(write::show(&package)).unwrap(),
            "p.main=owsync\np.main.a='it'\\''s'\np.main.include='dhcp' 'fire wall'\np.@x[0]=x\np.@x[0].l='1' '2'\n\
             p.r2=peer\np.r2.address='10.0.0.2'\np.r2.port='1'\np.@peer[1]=peer\np.@peer[1].share='main'\n"
        );
        assert!(package.remove("@peer[-1]"));
        assert!(!package.remove("@peer[-2]"));
        assert_eq!(package.sections().len(), 3);
    }

    #[test]
    fn what_could_not_be_written_is_refused() {
        let mut package = package("config owsync 'main'\n");
        assert_eq!(package.named("peer", "r-2").err(), Some(EditError::Name("r-2".into())));
        assert_eq!(package.named("pe er", "r2").err(), Some(EditError::Type("pe er".into())));
        assert_eq!(package.unnamed("").err(), Some(EditError::Type(String::new())));
        assert_eq!(package.named("peer", "main").err(), Some(EditError::OtherType("main".into())));
        let main = package.section_mut("main").unwrap();
        assert_eq!(main.set("a.b", b"1"), Err(EditError::Name("a.b".into())));
        assert_eq!(main.set("a", b"\0"), Err(EditError::Nul));
        assert_eq!(main.set_list("a", &["1", "\0"]), Err(EditError::Nul));
        assert_eq!(main.add_to_list("a", b"1\0"), Err(EditError::Nul));
        assert_eq!(main.options().count(), 0);
    }
}
