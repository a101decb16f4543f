//! Which packages of a share have two forms, and the conversion of one into the other.

use crate::model::{Digest, Record, RelPath, limits};
use crate::uci::PackageName;
use crate::uci::form::{self, FormError, Listed, LocalValue};
use crate::uci::local::Pattern;

/// What belongs to this router in the packages of a share.
#[derive(Debug, Clone, Default)]
pub struct LocalOptions {
    /// Files at the top of the share are UCI packages.
    packages: bool,
    patterns: Vec<Pattern>,
    offers: Offers,
}

/// Whether a share offers changes made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offers {
    /// It does: what a pattern here covers becomes local on every node.
    #[default]
    Edits,
    /// It does not: what a pattern here covers stays what the shared form says.
    Nothing,
}

/// The shared form of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Its text.
    pub text: Vec<u8>,
    /// Whether anything of the package is local, or may become so, and the text must be stored.
    pub is_local: bool,
    /// It says the same as the current one, so that the package was not edited.
    pub is_current: bool,
    /// Options that have a marker and no value in the file, as `SECTION.OPTION`.
    pub missing: Vec<String>,
    /// Patterns that match nothing in the file.
    pub idle: Vec<String>,
    /// Patterns that name one of several sections by its place.
    pub unsteady: Vec<String>,
}

/// A file after a shared form was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its text.
    pub text: Vec<u8>,
    /// Whether anything of it is local.
    pub is_local: bool,
    /// A pattern here makes the package local in more places than the applied form does: that is an edit to come.
    pub is_edit: bool,
    /// Local values whose place is gone, as `SECTION.OPTION`.
    pub dropped: Vec<String>,
    /// Patterns that match nothing in it.
    pub idle: Vec<String>,
}

impl LocalOptions {
    /// The local options of a share. A text that is no pattern was refused when the configuration was read.
    pub fn new(packages: bool, patterns: &[String], offers: Offers) -> LocalOptions {
        let patterns = patterns.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        LocalOptions { packages, patterns, offers }
    }

    /// The patterns.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The package at a path, if its forms may differ: a pattern is about it, or its current shared form is stored.
    pub fn package(&self, path: &RelPath, record: Option<&Record>) -> Option<PackageName> {
        let stored = record.is_some_and(|record| record.local.is_some());
        if !stored && self.patterns.is_empty() {
            return None;
        }
        let name = PackageName::at(path)?;
        (stored || (self.packages && self.patterns.iter().any(|pattern| *pattern.package() == name))).then_some(name)
    }

    /// Whether a package may have sections that exist on this router only.
    pub fn has_own_sections(&self, name: &PackageName) -> bool {
        self.patterns.iter().any(|pattern| pattern.package() == name && pattern.is_of_sections())
    }

    /// The shared form of a file, given the current shared form.
    ///
    /// # Errors
    /// As [`form::shared`].
    pub fn shared(&self, name: &PackageName, file: &[u8], current: Option<&[u8]>) -> Result<Shared, FormError> {
        let make = match self.offers {
            Offers::Edits => form::shared,
            Offers::Nothing => form::followed,
        };
        let form::Shared { text, is_local, missing, idle, unsteady } = make(name, file, &self.patterns, current)?;
        // A form that is not stored would be unknown when the first such section is made while owsync is not running.
        let is_local = is_local || self.has_own_sections(name);
        let is_current = current.is_some_and(|current| form::says_the_same(name, current, &text) == Ok(true));
        Ok(Shared { text, is_local, is_current, missing, idle, unsteady })
    }

    /// The shared form of a previous one that is to be in force again.
    ///
    /// # Errors
    /// As [`form::restored`].
    pub fn restored(&self, name: &PackageName, text: &[u8], current: Option<&[u8]>) -> Result<Vec<u8>, FormError> {
        form::restored(name, text, &self.patterns, current).map(|shared| shared.text)
    }

    /// The file that `new` makes of `file`, which corresponds to the shared form `old`.
    ///
    /// # Errors
    /// As [`form::apply`].
    pub fn apply(
        &self,
        name: &PackageName,
        file: Option<&[u8]>,
        old: Option<&[u8]>,
        new: &[u8],
    ) -> Result<Applied, FormError> {
        let form::Applied { text, missing: _, dropped } = form::apply(name, &self.patterns, file, old, new)?;
        let after = self.shared(name, &text, Some(new))?;
        let is_local = after.is_local || text != new;
        Ok(Applied { is_local, is_edit: !after.is_current, dropped: names(&dropped), idle: after.idle, text })
    }

    /// What would be lost if the file were deleted, as `SECTION.OPTION`.
    ///
    /// # Errors
    /// As [`form::local_values`].
    pub fn values(
        &self,
        name: &PackageName,
        file: &[u8],
        current: Option<&[u8]>,
    ) -> Result<Vec<LocalValue>, FormError> {
        form::local_values(name, file, &self.patterns, current)
    }

    /// All options of the file, each with whether it is local.
    ///
    /// # Errors
    /// As [`form::listed`].
    pub fn listed(&self, name: &PackageName, file: &[u8], current: Option<&[u8]>) -> Result<Vec<Listed>, FormError> {
        form::listed(name, file, &self.patterns, current)
    }
}

/// How reports name local values: a report goes to logs, where no value belongs.
pub fn names(values: &[LocalValue]) -> Vec<String> {
    let name = |value: &LocalValue| match &value.option {
        Some(option) => format!("{}.{option}", value.section),
        None => value.section.clone(),
    };
    values.iter().map(name).collect()
}

/// The digest of a text, with its size.
pub fn measured(text: &[u8]) -> (Digest, u64) {
    (Digest::of(text), text.len() as u64)
}

/// Why a package of this size cannot have local options, if it cannot.
pub fn too_large(size: u64) -> Option<String> {
    (size > limits::PACKAGE_KEPT as u64).then(|| {
        format!("a package with local options has at most {} bytes, and this one has {size}", limits::PACKAGE_KEPT)
    })
}
