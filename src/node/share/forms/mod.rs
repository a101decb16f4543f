//! Keeps what belongs to this router in its UCI packages out of what is synced.
//!
//! The conversion is in [`crate::fs::form`]; here is where it happens. `found` gives the index the shared form of what a scan
//! found, `applied` makes the file that a peer's shared form means here, `restored` does the same for previous versions,
//! `missing` fetches forms that are not stored here, and `listed` answers users.
//!
//! What holds in between: a record whose `local` is set is the shared form of a package, the text of that form is stored among
//! the contents of the history, flushed before the record, and it is what peers get; nothing else reads the file itself.
//! A share without patterns and without markers has no such record, and then nothing here does anything.

pub(crate) mod applied;
pub(crate) mod found;
pub(crate) mod listed;
pub(crate) mod missing;
pub(crate) mod restored;

use std::rc::Rc;

use crate::fs::form::{LocalOptions, Offers};
use crate::fs::{Fs, FsError};
use crate::model::settings::{Reload, ShareSettings};
use crate::model::{Digest, Direction, Kind, Map, Record, RelPath, Set, ShareName};
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::share::Share;
use crate::uci::PackageName;
use crate::uci::local::Pattern;

/// The local options of a share.
pub(crate) struct Forms {
    pub options: LocalOptions,
    /// Patterns may have changed since the packages were read.
    pub reread: bool,
    /// Patterns that name one of several sections by its place, as they were reported.
    pub unsteady: Map<RelPath, Vec<String>>,
    /// Patterns that match nothing in a package, as it was last read or applied.
    pub idle: Map<RelPath, Vec<String>>,
    /// Markers that the user removes, with the next scan.
    pub given: Map<RelPath, Pattern>,
    /// Forms that peers are asked for.
    pub missing: missing::MissingForms,
}

impl Forms {
    /// Those of a share with these settings.
    pub fn new(settings: &ShareSettings) -> Forms {
        let offers = match settings.direction {
            Direction::Both | Direction::Send => Offers::Edits,
            Direction::Receive | Direction::Observe => Offers::Nothing,
        };
        let options = LocalOptions::new(settings.reload() == Reload::Uci, &settings.local, offers);
        Forms { options, reread: true, unsteady: Map::new(), idle: Map::new(), given: Map::new(), missing: Map::new() }
    }
}

impl<F: Fs> Share<F> {
    /// The package at a path, if its forms may differ.
    pub(crate) fn formed(&self, path: &RelPath, record: Option<&Record>) -> Option<PackageName> {
        self.forms.options.package(path, record)
    }

    /// The stored shared form of a record.
    ///
    /// # Errors
    /// Why it is not there, for users.
    pub(crate) fn stored_form(&self, cx: &Context<F>, path: &RelPath, record: &Record) -> Result<Rc<[u8]>, String> {
        if let Some(text) = cx.packages.get(&self.name, path, record.entry.digest) {
            return Ok(text);
        }
        match cx.history.content(record.entry.digest) {
            Ok(Some(text)) => Ok(text.into()),
            Ok(None) => Err(MISSING.into()),
            Err(error) => Err(format!("its shared form cannot be read: {error}")),
        }
    }
}

impl<F: Fs> Context<F> {
    /// Stores a shared form until the record that needs it is written, and as long as that is current.
    ///
    /// # Errors
    /// Of writing.
    pub(crate) fn store_form(&mut self, text: &[u8]) -> Result<Digest, FsError> {
        self.forms_stirred = true;
        self.history.store_form(text)
    }

    /// The shared forms that records and transactions need.
    pub(crate) fn needed_forms(&self) -> Set<Digest> {
        let mut needed = Set::new();
        for share in self.store.state().shares.values() {
            for (_, record) in share.index.iter().filter(|(_, record)| record.local.is_some()) {
                needed.insert(record.entry.digest);
            }
            for step in share.landing.iter().flat_map(|landing| &landing.steps).filter(|step| step.local.is_some()) {
                needed.insert(step.entry.digest);
            }
        }
        needed
    }

    /// Tells the history at the start which contents are shared forms.
    pub(crate) fn find_forms(&mut self) {
        let needed = self.needed_forms();
        // Nothing is removed, because nothing was kept before.
        let _ = self.history.keep_forms(needed);
    }

    /// Notes that a path of a share has no values of this router any more.
    pub(crate) fn report_dropped(&mut self, share: &ShareName, path: &RelPath, dropped: &[String]) {
        let which = if dropped.is_empty() { String::new() } else { format!(": {}", dropped.join(", ")) };
        let text = format!(
            "share {share}: {path}: values of this router have no place in the applied version{which}; the previous file is in \
             the history: `owsync log {share}:{path}`"
        );
        self.log(Level::Warning, text);
    }
}

/// Whether something at a path is a file that is recorded as such.
pub(crate) fn is_live_file(record: &Record) -> bool {
    record.entry.kind == Kind::File
}

/// Why a package with local options sleeps.
const MISSING: &str = "its shared form, which the history stored, is missing or damaged";
