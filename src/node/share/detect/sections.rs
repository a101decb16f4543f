//! Guards UCI packages that lose most of their sections at once, where that is noticed and where a peer offers it.
//!
//! A power cut while a package is written, or a full flash, leaves an empty file, or one that is cut off. Nothing about
//! that file says that nobody wrote it on purpose, except how much is missing.

use crate::fs::form::Content as FormContent;
use crate::fs::scan::Finding;
use crate::fs::{Fs, FsError, Root};
use crate::model::settings::Reload;
use crate::model::{Digest, Kind, Map, Reason, Record, RelPath, Sleep, limits};
use crate::node::context::Context;
use crate::node::share::Share;
use crate::reconcile::safety::{self, Step};
use crate::reconcile::{Loser, Source};
use crate::store::state::Change;
use crate::uci::{PackageName, SectionCounter};

/// A package that is held here: what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LostSections {
    pub digest: Digest,
    pub has: u32,
}

/// Whether a change that a scan found may be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// No guard concerns it.
    Free,
    /// The user approved it.
    Approved,
    /// It waits for the user.
    Held,
}

impl<F: Fs> Share<F> {
    /// The UCI package at a path, if libuci reads it as one.
    pub(crate) fn package_at(&self, path: &RelPath) -> Option<PackageName> {
        PackageName::at(path).filter(|_| self.settings.reload() == Reload::Uci)
    }

    /// Whether there is a UCI package at a path.
    pub(crate) fn is_package(&self, path: &RelPath) -> bool {
        self.package_at(path).is_some()
    }

    /// Whether a change that a scan found may be recorded.
    pub(crate) fn holds_back(
        &mut self,
        cx: &mut Context<F>,
        path: &RelPath,
        old: &Record,
        finding: &Finding,
    ) -> Passage {
        let name = &self.name;
        let awake = old.sleep.is_none();
        if !(awake || old.sleep == Some(Sleep::SectionsLost))
            || (old.entry.kind, finding.stat.kind) != (Kind::File, Kind::File)
            || !self.is_package(path)
        {
            return Passage::Free;
        }
        let found = LostSections { digest: finding.digest, has: finding.sections };
        let emptied = finding.stat.size == 0 && old.entry.size > 0;
        let had = if emptied { old.sections.max(1) } else { old.sections };
        let passes = self.detect.guards.let_through.remove(path) == Some(found.digest);
        if passes || !safety::loses_sections(had, found.has) {
            self.detect.guards.lost_sections.remove(path);
            self.detect.guards.held_paths.remove(path);
            return if passes { Passage::Approved } else { Passage::Free };
        }
        let before = self.detect.guards.lost_sections.insert(path.clone(), found);
        self.detect.guards.held_paths.insert(path.clone());
        if awake || before.is_some_and(|before| before != found) {
            let record = Record { sleep: Some(Sleep::SectionsLost), ..old.clone() };
            cx.store.change(Change::Record(name.clone(), path.clone(), record));
            let reason = Reason::SectionsLost { had: had.into(), has: found.has.into() };
            cx.note_held(name, path, &reason, None);
            cx.stirred = true;
        }
        Passage::Held
    }

    /// The packages of a batch that would lose most of their sections by it.
    pub(crate) fn shrinking(&self, cx: &Context<F>, id: u64, steps: &[Step]) -> Map<RelPath, Reason> {
        let name = &self.name;
        let mut shrinking = Map::new();
        if self.settings.reload() != Reload::Uci {
            return shrinking;
        }
        let (Some(batch), Some(root)) = (self.inbox.batches.get(&id), &self.root) else { return shrinking };
        let index = &cx.store.share(name).index;
        for step in steps {
            // Whoever joins takes what the reference has.
            let taken = step.source == Source::There && step.loser != Some(Loser::FirstContact);
            if !taken
                || step.approved
                || !step.replaces_content
                || step.entry.kind != Kind::File
                || PackageName::at(&step.path).is_none()
            {
                continue;
            }
            let Some(staged) = batch.staged(&step.path) else { continue };
            let Some(record) = index.get(&step.path) else { continue };
            let Ok(has) = count_sections(root, staged) else { continue };
            let emptied = step.entry.size == 0 && record.entry.size > 0;
            let had = if emptied { record.sections.max(1) } else { record.sections };
            if safety::loses_sections(had, has) {
                let reason = Reason::SectionsLost { had: had.into(), has: has.into() };
                shrinking.insert(step.path.clone(), reason);
            }
        }
        shrinking
    }

    /// Sections of the package that is at a path now; 0 for everything else.
    pub(crate) fn sections_at(&self, path: &RelPath, record: &Record) -> u32 {
        if record.entry.kind != Kind::File || !self.is_package(path) {
            return 0;
        }
        let root = self.root.as_ref();
        // What cannot be read now counts as unknown: the next scan that reads it counts again.
        root.and_then(|root| count_sections(root, path).ok()).unwrap_or(0)
    }
}

/// Sections of a package on disk; of a file above [`limits::UCI_FILE_MAX`], of its beginning.
fn count_sections<R: Root>(root: &R, path: &RelPath) -> Result<u32, FsError> {
    let content = FormContent::open(root, path, Kind::File)?;
    let mut counter = SectionCounter::default();
    let mut buffer = vec![0; usize::try_from(content.stat().size).unwrap_or(limits::STEP).clamp(1, limits::STEP)];
    let mut offset = 0;
    while offset < limits::UCI_FILE_MAX {
        match content.read(root, offset, &mut buffer)? {
            0 => break,
            count => {
                counter.feed(&buffer[..count]);
                offset += count as u64;
            }
        }
    }
    Ok(counter.count())
}
