//! Gives the index the shared forms of packages that a scan found.

use std::rc::Rc;

use crate::fs::Fs;
use crate::fs::form::measured;
use crate::fs::form::{Shared, too_large};
use crate::fs::scan::{Finding, Scanned};
use crate::model::{Kind, Reason, RelPath, Sleep};
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::forms::is_live_file;
use crate::uci::{PackageName, form};

/// Whether what a scan found is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is.
    Record,
    /// It is shown in a preview.
    Preview,
}

/// Why a found package has no shared form.
enum Unformed {
    /// It cannot have one now.
    Sleeps(String),
    /// It could not be stored: the next scan tries again.
    Later,
}

impl<F: Fs> Share<F> {
    /// Replaces what a scan found of packages with local options by their shared forms. A package that has none sleeps: it
    /// is neither offered nor replaced.
    pub(crate) fn form_findings(&mut self, cx: &mut Context<F>, scanned: &mut Scanned, purpose: Purpose) {
        let index = &cx.store.share(&self.name).index;
        let files = scanned.found.iter().filter(|(_, finding)| finding.stat.kind == Kind::File);
        let formed: Vec<(RelPath, PackageName)> =
            files.filter_map(|(path, _)| Some((path.clone(), self.formed(path, index.get(path))?))).collect();
        if formed.is_empty() {
            return;
        }
        for (path, package) in formed {
            let Some(finding) = scanned.found.get(&path).cloned() else { continue };
            match self.form_finding(cx, &path, &package, finding, purpose) {
                Ok(finding) => drop(scanned.found.insert(path, finding)),
                Err(Unformed::Later) => {
                    scanned.found.remove(&path);
                    scanned.restless.push(path);
                }
                Err(Unformed::Sleeps(why)) => {
                    scanned.found.remove(&path);
                    let record = cx.store.share(&self.name).index.get(&path);
                    if record.is_some_and(|record| record.sleep != Some(Sleep::Unreadable)) {
                        scanned.asleep.push((path.clone(), Sleep::Unreadable));
                    }
                    scanned.skipped.push((path, Reason::Unreadable(why)));
                }
            }
        }
        scanned.count_changes(&cx.store.share(&self.name).index);
    }

    /// The same finding, of the shared form.
    fn form_finding(
        &mut self,
        cx: &mut Context<F>,
        path: &RelPath,
        package: &PackageName,
        finding: Finding,
        purpose: Purpose,
    ) -> Result<Finding, Unformed> {
        let sleeps = |why: String| Err(Unformed::Sleeps(why));
        let Some(file) = finding.package.clone() else {
            return sleeps(too_large(finding.stat.size).unwrap_or_else(|| "it could not be read as a whole".into()));
        };
        let record = cx.record_of(&self.name, path).filter(is_live_file);
        let current: Option<Rc<[u8]>> = match &record {
            None => None,
            Some(record) if record.local.is_some() => match self.stored_form(cx, path, record) {
                Ok(text) => Some(text),
                // A form that the patterns alone explain is made again.
                Err(why) => match self.forms.options.shared(package, &file, None) {
                    Ok(made) if measured(&made.text).0 == record.entry.digest => Some(made.text.into()),
                    _ => {
                        self.note_missing(path, record);
                        return sleeps(why);
                    }
                },
            },
            Some(record) if record.entry.digest == finding.digest => Some(file.clone()),
            Some(record) => {
                let known = self.stored_form(cx, path, record).ok();
                if known.is_none() && self.forms.options.has_own_sections(package) {
                    self.note_missing(path, record);
                    // Left out of the shared form, sections that were shared until now would be removed on every node.
                    return sleeps(
                        "sections became local while the package was changed: its previous version is not known here"
                            .into(),
                    );
                }
                known
            }
        };
        self.forms.missing.remove(path);
        // Markers that the user removes are no part of what the file is compared with.
        let given = self.forms.given.get(path).and_then(|pattern| {
            let (unmarked, options) = form::unmarked(package, current.as_deref()?, pattern).ok()?;
            (!options.is_empty()).then_some(unmarked)
        });
        let base = given.as_deref().or(current.as_deref());
        let mut shared = match self.forms.options.shared(package, &file, base) {
            Ok(shared) => shared,
            Err(error) => return sleeps(error.to_string()),
        };
        shared.is_current &= given.is_none();
        self.forms.idle.insert(path.clone(), shared.idle.clone());
        self.report_unsteady(cx, path, &shared);
        let was_local = record.as_ref().is_some_and(|record| record.local.is_some());
        let local = Some(finding.digest);
        match (current, shared) {
            (Some(current), Shared { is_current: true, .. }) if was_local => {
                let (digest, size) = measured(&current);
                if purpose == Purpose::Record && cx.history.content(digest).ok().flatten().is_none() {
                    cx.store_form(&current).map_err(|error| self.not_stored(cx, path, &error))?;
                }
                Ok(Finding { digest, size, local, package: Some(current), ..finding })
            }
            (_, Shared { is_local: true, text, .. }) => {
                let (digest, size) = measured(&text);
                if purpose == Purpose::Record {
                    cx.store_form(&text).map_err(|error| self.not_stored(cx, path, &error))?;
                }
                Ok(Finding { digest, size, local, package: Some(text.into()), ..finding })
            }
            _ => Ok(finding),
        }
    }

    fn not_stored(&self, cx: &mut Context<F>, path: &RelPath, error: &crate::fs::FsError) -> Unformed {
        let text =
            format!("share {}: the shared form of {path} cannot be stored, so it is not offered: {error}", self.name);
        cx.log(Level::Error, text);
        Unformed::Later
    }

    /// Warns of patterns that name one of several sections by its place, once.
    fn report_unsteady(&mut self, cx: &mut Context<F>, path: &RelPath, shared: &Shared) {
        if self.forms.unsteady.get(path).map_or(&[][..], Vec::as_slice) == shared.unsteady {
            return;
        }
        self.forms.unsteady.insert(path.clone(), shared.unsteady.clone());
        for pattern in &shared.unsteady {
            let text = format!(
                "share {}: local '{pattern}' names one of several sections by its place, which may be another section later",
                self.name
            );
            cx.log(Level::Warning, text);
        }
    }
}
