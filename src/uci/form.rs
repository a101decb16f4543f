//! Shared and local forms of a package: what the nodes of a share have in common, and the file of one router.
//!
//! The *local form* is the file on disk. The *shared form* is the package without the values that belong to this router:
//! each is replaced by a marker, a line `local NAME`, and sections that exist on this router only are left out. Only
//! shared forms are hashed, offered, merged and kept in history, so a local value never leaves its router.
//!
//! [`shared`] makes the one from the other, [`apply`] puts a peer's shared form into the file here.
//!
//! # Guarantees
//! - An option is local if a pattern here covers it, or if the current shared form has a marker for it; so one router's
//!   pattern protects the values of all.
//! - `apply(file, form, form)` is `file`, and `shared(apply(file, old, new))` says what `new` says, as far as no pattern
//!   here keeps a value that `new` brings.
//! - Applying never changes a local value of a section that stays. Values whose place is gone are returned, so that the
//!   caller can keep the previous file.
//! - A package with nothing local keeps its bytes in both directions.
//!
//! # Sections of this router only
//! A section that a new pattern makes this router's own stays in the shared form as it was: the other routers keep theirs.
//! From then on neither follows the other's changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::uci::ParseError;
use crate::uci::local::{Locals, Pattern};
use crate::uci::name::PackageName;
use crate::uci::pairs::Pairs;
use crate::uci::parse::{parse, parse_shared};
use crate::uci::part::{self, Part, Setting, package, parts};
use crate::uci::write;

/// The shared form of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Its text: the file's own bytes where nothing is local.
    pub text: Vec<u8>,
    /// Whether anything of the package is local.
    pub is_local: bool,
    /// Options that have a marker and no value in the file, as `SECTION.OPTION`.
    pub missing: Vec<String>,
    /// Patterns that match nothing in the file.
    pub idle: Vec<String>,
    /// Patterns that name one of several sections by its place, which may be another one tomorrow.
    pub unsteady: Vec<String>,
}

/// The file after a shared form was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its text.
    pub text: Vec<u8>,
    /// Options that have a marker and no value here, as `SECTION.OPTION`.
    pub missing: Vec<String>,
    /// Local values whose place is gone: the previous file must be kept.
    pub dropped: Vec<LocalValue>,
}

/// A value that belongs to this router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalValue {
    /// The section, as `uci show` calls it.
    pub section: String,
    /// The option; `None` for a section that exists on this router only.
    pub option: Option<String>,
    /// The value.
    pub value: Option<Setting>,
    /// The pattern that makes it local; `None`: a marker, from another router.
    pub pattern: Option<String>,
}

/// An option of a file, or a section that exists on this router only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name and value, and why it is local.
    pub value: LocalValue,
    /// Whether it belongs to this router.
    pub is_local: bool,
    /// The pattern that means this option alone; `None` where its section has no name by which one could.
    pub exact: Option<String>,
}

impl fmt::Display for LocalValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.section)?;
        if let Some(option) = &self.option {
            write!(f, ".{option}")?;
        }
        match &self.value {
            Some(value) => write!(f, " = {value}"),
            None => Ok(()),
        }
    }
}

/// Why there is no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormError {
    /// The file is no UCI package, and something of it is local.
    File(ParseError),
    /// A shared form is no package.
    Form(ParseError),
    /// Without their local options, two unnamed sections of a type are the same: whose value is whose cannot be known.
    Ambiguous,
    /// A section that exists on this router only has the name of one of a different type in the form.
    NameTaken,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormError::File(error) => write!(f, "the file is not a UCI package: {error}"),
            FormError::Form(error) => write!(f, "the shared form is not a UCI package: {error}"),
            FormError::Ambiguous => f.write_str(
                "two unnamed sections of one type are the same without their local options: give them names",
            ),
            FormError::NameTaken => f.write_str(
                "a section that exists on this router only has the name of one with a different type: rename one of them",
            ),
        }
    }
}

impl std::error::Error for FormError {}

/// What the texts say, and what is local in them.
struct Forms<'a> {
    locals: Locals<'a>,
    file: Vec<Part>,
    form: Vec<Part>,
    /// Which section of the form is which of the file.
    pairs: Pairs,
    /// Sections of the file with the options that a renamed section of the form had as markers.
    renamed: BTreeMap<usize, BTreeSet<String>>,
}

impl<'a> Forms<'a> {
    fn new(locals: Locals<'a>, file: Vec<Part>, form: Vec<Part>) -> Forms<'a> {
        let pairs = Pairs::find(&comparable(&form, &form, locals), &comparable(&file, &form, locals));
        let mut renamed: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for (index, part) in form.iter().enumerate().filter(|(index, _)| pairs.other(*index).is_none()) {
            let markers: Vec<&String> = markers(part).collect();
            if markers.is_empty() {
                continue;
            }
            // Keeping too much local is better than sending one local value.
            let new = pairs.added(&file).into_iter().filter(|new| file[*new].kind == form[index].kind);
            for new in new {
                renamed.entry(new).or_default().extend(markers.iter().map(|name| (*name).clone()));
            }
        }
        Forms { locals, file, form, pairs, renamed }
    }

    /// The section of the form that a section of the file is.
    fn form_of(&self, file: usize) -> Option<&Part> {
        (0..self.form.len())
            .find(|index| self.pairs.other(*index).is_some_and(|(other, _)| other == file))
            .map(|index| &self.form[index])
    }

    fn file_of(&self, form: usize) -> Option<usize> {
        self.pairs.other(form).map(|(other, _)| other)
    }

    fn has_marker(&self, file: usize, option: &str) -> bool {
        self.form_of(file).is_some_and(|part| part.option(option) == Some(&Setting::Local))
            || self.renamed.get(&file).is_some_and(|options| options.contains(option))
    }

    fn is_local(&self, file: usize, option: &str) -> bool {
        self.has_marker(file, option) || self.locals.covers(&self.file, file, option).is_some()
    }
}

fn markers(part: &Part) -> impl Iterator<Item = &String> {
    part.options.iter().filter(|(_, setting)| *setting == Setting::Local).map(|(name, _)| name)
}

/// Sections without what may be local in one text and a marker in the other, to be compared with each other.
fn comparable(texts: &[Part], form: &[Part], locals: Locals<'_>) -> Vec<Part> {
    let mut marked: BTreeSet<(&str, &str)> = BTreeSet::new();
    for part in form {
        marked.extend(markers(part).map(|name| (part.kind.as_str(), name.as_str())));
    }
    let stripped = texts.iter().enumerate().map(|(index, part)| {
        let travels =
            |name: &str| !marked.contains(&(part.kind.as_str(), name)) && locals.covers(texts, index, name).is_none();
        let options = part.options.iter().filter(|(name, _)| travels(name)).cloned().collect();
        Part { kind: part.kind.clone(), name: part.name.clone(), options }
    });
    stripped.collect()
}

/// Refuses texts in which a local value could belong to either of two sections.
fn refuse_twins(form: &[Part]) -> Result<(), FormError> {
    let unnamed = || form.iter().filter(|part| part.name.is_none());
    for part in unnamed().filter(|part| markers(part).next().is_some()) {
        let same = |other: &&Part| other.kind == part.kind && plain(other) == plain(part);
        if unnamed().filter(same).count() > 1 {
            return Err(FormError::Ambiguous);
        }
    }
    Ok(())
}

/// Refuses two sections with one name and different types: libuci does not read such a package.
fn refuse_taken_names(parts: &[Part]) -> Result<(), FormError> {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    for part in parts {
        let known = part.name.as_ref().and_then(|name| kinds.insert(name, &part.kind));
        if known.is_some_and(|known| known != part.kind) {
            return Err(FormError::NameTaken);
        }
    }
    Ok(())
}

/// A section's options that are not markers.
fn plain(part: &Part) -> BTreeMap<&str, &Setting> {
    let plain = part.options.iter().filter(|(_, setting)| *setting != Setting::Local);
    plain.map(|(name, setting)| (name.as_str(), setting)).collect()
}

/// Makes the shared form of a file, given the current shared form of the package, if there is one.
///
/// # Errors
/// The texts cannot be read, or it cannot be known which section a local value belongs to.
pub fn shared(
    name: &PackageName,
    file: &[u8],
    patterns: &[Pattern],
    current: Option<&[u8]>,
) -> Result<Shared, FormError> {
    let parsed = parts(&parse(name, file).map_err(FormError::File)?);
    shared_of(name, (file, parsed), patterns, current, Own::Marked)
}

/// Makes the shared form of a file in a share that offers nothing: what a pattern here covers takes what the current form
/// says, so that a pattern of this router is no edit.
///
/// # Errors
/// As [`shared`].
pub fn followed(
    name: &PackageName,
    file: &[u8],
    patterns: &[Pattern],
    current: Option<&[u8]>,
) -> Result<Shared, FormError> {
    let parsed = parts(&parse(name, file).map_err(FormError::File)?);
    shared_of(name, (file, parsed), patterns, current, Own::Followed)
}

/// Makes the shared form of a previous one that is to be in force again: the markers of the current form stay.
///
/// # Errors
/// As [`shared`].
pub fn restored(
    name: &PackageName,
    text: &[u8],
    patterns: &[Pattern],
    current: Option<&[u8]>,
) -> Result<Shared, FormError> {
    let parsed = parts(&parse_shared(name, text).map_err(FormError::Form)?);
    shared_of(name, (text, parsed), patterns, current, Own::Marked)
}

/// What the shared form says of an option that a pattern here covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    /// That it is local.
    Marked,
    /// What it said before.
    Followed,
}

fn shared_of(
    name: &PackageName,
    (file, parsed): (&[u8], Vec<Part>),
    patterns: &[Pattern],
    current: Option<&[u8]>,
    own: Own,
) -> Result<Shared, FormError> {
    let locals = Locals::new(patterns, name);
    let form = current.map_or(Ok(Vec::new()), |text| parse_shared(name, text).map(|package| parts(&package)));
    let forms = Forms::new(locals, parsed, form.map_err(FormError::Form)?);
    let mut result: Vec<Part> = Vec::new();
    let mut missing = Vec::new();
    let mut is_local = false;
    for (index, part) in forms.file.iter().enumerate() {
        if locals.owns(&forms.file, index) {
            is_local = true;
            result.extend(forms.form_of(index).cloned());
            continue;
        }
        let known = forms.form_of(index);
        let follows = |option: &str| {
            let covered = own == Own::Followed && locals.covers(&forms.file, index, option).is_some();
            known.filter(|_| covered && !forms.has_marker(index, option))
        };
        let mut shared = Part { kind: part.kind.clone(), name: part.name.clone(), options: Vec::new() };
        for (option, setting) in &part.options {
            if let Some(known) = follows(option) {
                is_local = true;
                shared.options.extend(known.option(option).map(|setting| (option.clone(), setting.clone())));
                continue;
            }
            let local = *setting == Setting::Local || forms.is_local(index, option);
            is_local |= local;
            shared.options.push((option.clone(), if local { Setting::Local } else { setting.clone() }));
        }
        if let Some(known) = known {
            for (option, setting) in known.options.iter().filter(|(option, _)| part.option(option).is_none()) {
                if *setting == Setting::Local {
                    // A marker outlives the value: what another router has there is still not this one's business.
                    is_local = true;
                    missing.push(format!("{}.{option}", part::place(&forms.file, index)));
                    shared.options.push((option.clone(), Setting::Local));
                } else if follows(option).is_some() {
                    is_local = true;
                    shared.options.push((option.clone(), setting.clone()));
                }
            }
        }
        result.push(shared);
    }
    // Own sections that are in the form and not in the file are no deletion either.
    for (index, part) in forms.form.iter().enumerate() {
        if forms.file_of(index).is_none() && locals.owns(&forms.form, index) {
            is_local = true;
            let behind =
                forms.form[..index].iter().rev().find_map(|known| result.iter().position(|part| part == known));
            result.insert(behind.map_or(0, |at| at + 1), part.clone());
        }
    }
    refuse_twins(&result)?;
    refuse_taken_names(&result)?;
    let text = if is_local { write::committed(&package(name, &result)) } else { file.to_vec() };
    let idle = locals.idle(&forms.file).map(ToString::to_string).collect();
    let unsteady = locals.unsteady(&forms.file).map(ToString::to_string).collect();
    Ok(Shared { text, is_local, missing, idle, unsteady })
}

/// Whether a text is a shared form with at least one marker.
pub fn has_markers(name: &PackageName, text: &[u8]) -> bool {
    // Few packages have a line like that, so few are parsed.
    let begins = |line: &[u8]| line.trim_ascii_start().strip_prefix(b"local").is_some();
    text.split(|&b| b == b'\n').any(begins)
        && parse_shared(name, text).is_ok_and(|package| parts(&package).iter().any(|part| markers(part).count() > 0))
}

/// Carries the markers of `old` over to `new`, which replaces it without having seen it; `None` where `new` has them all.
///
/// # Errors
/// One of them cannot be read.
pub fn carried(name: &PackageName, old: &[u8], new: &[u8]) -> Result<Option<Vec<u8>>, FormError> {
    let read = |text| parse_shared(name, text).map(|package| parts(&package)).map_err(FormError::Form);
    let (old, mut new) = (read(old)?, read(new)?);
    let none = Locals::new(&[], name);
    let pairs = Pairs::find(&comparable(&old, &new, none), &comparable(&new, &old, none));
    let mut carries = false;
    for (index, part) in old.iter().enumerate() {
        let Some((other, _)) = pairs.other(index) else { continue };
        for marker in
            markers(part).filter(|marker| new[other].option(marker) != Some(&Setting::Local)).collect::<Vec<_>>()
        {
            carries = true;
            new[other].options.retain(|(option, _)| option != marker);
            new[other].options.push((marker.clone(), Setting::Local));
        }
    }
    Ok(carries.then(|| write::committed(&package(name, &new))))
}

/// The current shared form without the markers that `pattern` covers, so that the values of this router are shared again;
/// and what these markers stood for, as `SECTION.OPTION`.
///
/// # Errors
/// It cannot be read.
pub fn unmarked(name: &PackageName, current: &[u8], pattern: &Pattern) -> Result<(Vec<u8>, Vec<String>), FormError> {
    let mut form = parts(&parse_shared(name, current).map_err(FormError::Form)?);
    let known = form.clone();
    let one = std::slice::from_ref(pattern);
    let locals = Locals::new(one, name);
    let mut shared = Vec::new();
    for (index, part) in form.iter_mut().enumerate() {
        let whole = locals.owns(&known, index);
        part.options.retain(|(option, setting)| {
            let covered = whole || locals.covers(&known, index, option).is_some();
            let goes = *setting == Setting::Local && covered;
            if goes {
                shared.push(format!("{}.{option}", part::place(&known, index)));
            }
            !goes
        });
    }
    Ok((write::committed(&package(name, &form)), shared))
}

/// Whether two shared forms say the same.
///
/// # Errors
/// One of them cannot be read.
pub fn says_the_same(name: &PackageName, one: &[u8], other: &[u8]) -> Result<bool, FormError> {
    if one == other {
        return Ok(true);
    }
    let read = |text| parse_shared(name, text).map(|package| parts(&package)).map_err(FormError::Form);
    Ok(read(one)? == read(other)?)
}

/// Puts a shared form into this router's file: `old` is the form that `file` corresponds to, `new` the one to apply.
///
/// Where there is no file yet, it is made with what the form has.
///
/// # Errors
/// The texts cannot be read, or it cannot be known which section a local value belongs to.
pub fn apply(
    name: &PackageName,
    patterns: &[Pattern],
    file: Option<&[u8]>,
    old: Option<&[u8]>,
    new: &[u8],
) -> Result<Applied, FormError> {
    let locals = Locals::new(patterns, name);
    let whole = |text: &[u8]| Ok(Applied { text: text.to_vec(), missing: Vec::new(), dropped: Vec::new() });
    let read = |text: &[u8]| parse_shared(name, text).map(|package| parts(&package)).map_err(FormError::Form);
    let new_parts = match read(new) {
        Ok(parts) => parts,
        // What is no package has no markers: it is taken as it is unless something here is local.
        Err(error) if file.is_none() => return if patterns.is_empty() { whole(new) } else { Err(error) },
        Err(error) => return Err(error),
    };
    refuse_twins(&new_parts)?;
    let file_parts = match file {
        Some(text) => parts(&parse(name, text).map_err(FormError::File)?),
        None => Vec::new(),
    };
    let forms = Forms::new(locals, file_parts, old.map_or(Ok(Vec::new()), read)?);
    let target = Target::find(&forms, &new_parts);
    let mut result = target.sections(&forms, &new_parts);
    let dropped = target.dropped(&forms, &new_parts);
    let is_local = new_parts.iter().any(|part| markers(part).next().is_some()) || target.is_local;
    if is_local || !result.own.is_empty() {
        result.insert_own(&forms);
        refuse_taken_names(&result.parts)?;
        let text = match file {
            Some(text) if result.parts == forms.file => text.to_vec(),
            _ => write::committed(&package(name, &result.parts)),
        };
        return Ok(Applied { text, missing: result.missing, dropped });
    }
    Ok(Applied { text: new.to_vec(), missing: Vec::new(), dropped })
}

/// The local values of a file, in its order: what would be lost if the package were deleted.
///
/// # Errors
/// The texts cannot be read.
pub fn local_values(
    name: &PackageName,
    file: &[u8],
    patterns: &[Pattern],
    current: Option<&[u8]>,
) -> Result<Vec<LocalValue>, FormError> {
    let all = listed(name, file, patterns, current)?;
    Ok(all.into_iter().filter(|one| one.is_local).map(|one| one.value).collect())
}

/// Whether a pattern makes something of a file local.
pub fn is_covered(name: &PackageName, file: &[u8], pattern: &Pattern) -> bool {
    shared(name, file, std::slice::from_ref(pattern), None).is_ok_and(|shared| shared.is_local)
}

/// All options of a file in its order, each with whether it is local; a section that exists here only without its options.
///
/// # Errors
/// The texts cannot be read.
pub fn listed(
    name: &PackageName,
    file: &[u8],
    patterns: &[Pattern],
    current: Option<&[u8]>,
) -> Result<Vec<Listed>, FormError> {
    let locals = Locals::new(patterns, name);
    let parsed = parts(&parse(name, file).map_err(FormError::File)?);
    let form = current.map_or(Ok(Vec::new()), |text| parse_shared(name, text).map(|package| parts(&package)));
    let forms = Forms::new(locals, parsed, form.map_err(FormError::Form)?);
    let mut list = Vec::new();
    for (index, part) in forms.file.iter().enumerate() {
        let section = part::place(&forms.file, index);
        if let Some(owner) = locals.owner(&forms.file, index) {
            let value = LocalValue { section, option: None, value: None, pattern: Some(owner.to_string()) };
            list.push(Listed { value, is_local: true, exact: None });
            continue;
        }
        for (option, setting) in &part.options {
            let value = LocalValue {
                section: section.clone(),
                option: Some(option.clone()),
                value: Some(setting.clone()),
                pattern: locals.covers(&forms.file, index, option).map(ToString::to_string),
            };
            let exact = Pattern::exact(name, &forms.file, index, option).map(|pattern| pattern.to_string());
            list.push(Listed { value, is_local: forms.is_local(index, option), exact });
        }
    }
    Ok(list)
}

/// Which section of the file gives its local values to which section of a new form.
struct Target {
    of_new: Vec<Option<usize>>,
    /// Which section of the form that the file corresponds to is which of the new one.
    known: Vec<Option<usize>>,
    is_local: bool,
}

impl Target {
    fn find(forms: &Forms<'_>, new: &[Part]) -> Target {
        let pairs =
            Pairs::find(&comparable(&forms.form, new, forms.locals), &comparable(new, &forms.form, forms.locals));
        let mut of_new: Vec<Option<usize>> = vec![None; new.len()];
        let mut known: Vec<Option<usize>> = vec![None; new.len()];
        for old in 0..forms.form.len() {
            if let Some((other, _)) = pairs.other(old) {
                of_new[other] = forms.file_of(old);
                known[other] = Some(old);
            }
        }
        // A section that a peer renamed: the only new one of its type that has at least the same markers.
        for (old, part) in forms.form.iter().enumerate().filter(|(old, _)| pairs.other(*old).is_none()) {
            let marked: BTreeSet<&String> = markers(part).collect();
            let fits =
                |index: &usize| new[*index].kind == part.kind && marked.is_subset(&markers(&new[*index]).collect());
            let mut candidates = pairs.added(new).into_iter().filter(fits);
            if let (false, Some(only), None) = (marked.is_empty(), candidates.next(), candidates.next()) {
                of_new[only] = of_new[only].or(forms.file_of(old));
            }
        }
        // Sections that no form has told of yet: made here and not offered, or a first contact.
        let taken: BTreeSet<usize> = of_new.iter().flatten().copied().collect();
        let free: Vec<usize> =
            forms.pairs.added(&forms.file).into_iter().filter(|index| !taken.contains(index)).collect();
        for (index, slot) in of_new.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
            let same = |file: &&usize| {
                let part = &forms.file[**file];
                part.kind == new[index].kind && part.name.is_some() && part.name == new[index].name
            };
            *slot = free.iter().find(same).copied();
        }
        let mut is_local = false;
        for (index, file) in of_new.iter().enumerate() {
            if let Some(file) = *file {
                is_local |= forms.locals.owns(&forms.file, file);
                let mut options = forms.file[file].options.iter();
                is_local |= options.any(|(name, _)| forms.locals.covers(&forms.file, file, name).is_some());
            }
            is_local |= markers(&new[index]).next().is_some();
        }
        // Own sections that the file does not have any more are not created again.
        is_local |= (0..new.len()).any(|index| Self::was_removed(forms, new, known[index], of_new[index], index));
        Target { of_new, known, is_local }
    }

    /// Whether this router removed a section that would exist on it only.
    fn was_removed(forms: &Forms<'_>, new: &[Part], known: Option<usize>, file: Option<usize>, index: usize) -> bool {
        file.is_none() && known.is_some() && forms.locals.owns(new, index)
    }

    /// The new form's sections with this router's values.
    fn sections(&self, forms: &Forms<'_>, new: &[Part]) -> Sections {
        let mut sections = Sections { parts: Vec::new(), from: Vec::new(), own: Vec::new(), missing: Vec::new() };
        for (index, part) in new.iter().enumerate() {
            let file = self.of_new[index];
            if let Some(file) = file.filter(|file| forms.locals.owns(&forms.file, *file)) {
                sections.parts.push(forms.file[file].clone());
                sections.from.push(Some(file));
                continue;
            }
            if Self::was_removed(forms, new, self.known[index], file, index) {
                continue;
            }
            let here = |option: &str| file.and_then(|file| forms.file[file].option(option)).cloned();
            let before = |option: &str| self.known[index].and_then(|known| forms.form[known].option(option));
            let mut local = Part { kind: part.kind.clone(), name: part.name.clone(), options: Vec::new() };
            for (option, setting) in &part.options {
                let mine = match (setting, file) {
                    (Setting::Local, _) => here(option),
                    (_, Some(file)) if forms.locals.covers(&forms.file, file, option).is_some() => {
                        let mine = here(option);
                        // This router removed it, and a peer's value is the initial one only.
                        if mine.is_none() && before(option).is_some_and(|before| *before != Setting::Local) {
                            continue;
                        }
                        mine.or_else(|| Some(setting.clone()))
                    }
                    _ => Some(setting.clone()),
                };
                match mine {
                    Some(mine) => local.options.push((option.clone(), mine)),
                    None => sections.missing.push(format!("{}.{option}", part::place(new, index))),
                }
            }
            // Values that a pattern here keeps although the new form has nothing for them.
            if let Some(file) = file {
                for (option, setting) in &forms.file[file].options {
                    let kept = forms.locals.covers(&forms.file, file, option).is_some();
                    if kept && part.option(option).is_none() {
                        local.options.push((option.clone(), setting.clone()));
                    }
                }
            }
            sections.parts.push(local);
            sections.from.push(file);
        }
        let used: BTreeSet<usize> = self.of_new.iter().flatten().copied().collect();
        let own = |index: &usize| !used.contains(index) && forms.locals.owns(&forms.file, *index);
        sections.own = (0..forms.file.len()).filter(own).collect();
        sections
    }

    /// Local values of the file that have no place in the new form.
    fn dropped(&self, forms: &Forms<'_>, new: &[Part]) -> Vec<LocalValue> {
        let mut dropped = Vec::new();
        for (index, part) in forms.file.iter().enumerate() {
            if forms.locals.owns(&forms.file, index) {
                continue;
            }
            let there = self.of_new.iter().position(|file| *file == Some(index)).map(|new_index| &new[new_index]);
            for (option, value) in part.options.iter().filter(|(option, _)| forms.is_local(index, option)) {
                let pattern = forms.locals.covers(&forms.file, index, option);
                let stays = match there {
                    None => false,
                    Some(there) => pattern.is_some() || there.option(option) == Some(&Setting::Local),
                };
                if !stays && there.and_then(|there| there.option(option)) != Some(value) {
                    dropped.push(LocalValue {
                        section: part::place(&forms.file, index),
                        option: Some(option.clone()),
                        value: Some(value.clone()),
                        pattern: pattern.map(ToString::to_string),
                    });
                }
            }
        }
        dropped
    }
}

/// The sections of the file to be.
struct Sections {
    parts: Vec<Part>,
    /// The section of the previous file that each comes from.
    from: Vec<Option<usize>>,
    /// Sections of the previous file that exist on this router only.
    own: Vec<usize>,
    missing: Vec<String>,
}

impl Sections {
    /// Puts this router's own sections behind the sections that they stood behind.
    fn insert_own(&mut self, forms: &Forms<'_>) {
        for own in std::mem::take(&mut self.own) {
            let behind = (0..own).rev().find_map(|before| self.from.iter().position(|from| *from == Some(before)));
            let at = behind.map_or(0, |at| at + 1);
            self.parts.insert(at, forms.file[own].clone());
            self.from.insert(at, Some(own));
        }
    }
}
