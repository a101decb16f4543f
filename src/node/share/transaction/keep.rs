//! Moves what a transaction replaced into the history, before anything else is known of it.

use crate::fs::apply;
use crate::fs::{Attributes, Fs, FsError, Rename, Root};
use crate::model::{Digest, DiskStat, Entry, Kind, NodeId, Record, RelPath, ShareName, Stamp, Version, limits};
use crate::node::Output;
use crate::node::api::{Level, LogLine};
use crate::node::context::{Context, NotKept, Noted};
use crate::node::share::Share;
use crate::node::share::transaction::apply::Landing;
use crate::node::share::transaction::step::{Op, Outcome};
use crate::store::history::{Item, Room};
use crate::store::state::Why;

impl<F: Fs> Share<F> {
    /// Moves what a transaction replaced into history.
    ///
    /// # Errors
    /// The first path whose former content could not be kept. What was moved already is in history, and stays there until
    /// [`Share::give_back`].
    pub(crate) fn keep_replaced(&mut self, cx: &mut Context<F>, landing: &Landing) -> Result<(), Unkept> {
        let name = &self.name.clone();
        let (mut dropped, mut changed) = (Vec::new(), Vec::new());
        let mut kept = None;
        for op in &landing.ops {
            let path = &op.step.path;
            match self.keep_step(cx, landing, op) {
                Ok(Kept::Moved) => kept = kept.or(Some(path)),
                Ok(Kept::Changed) => {
                    kept = kept.or(Some(path));
                    changed.push((path.clone(), "the history has the written content, not the previous version"));
                }
                Ok(Kept::Late) => {
                    kept = kept.or(Some(path));
                    changed.push((path.clone(), "the history has the previous version and the written content"));
                }
                Ok(Kept::Dropped(size)) => dropped.push((path.clone(), size)),
                Ok(Kept::Nothing) => {}
                Err(error) => return Err(Unkept { path: path.clone(), error }),
            }
        }
        match (cx.history.commit(), kept) {
            (Ok(()), _) => {}
            (Err(error), Some(path)) => return Err(Unkept { path: path.clone(), error }),
            // Only that nothing was there before could not be noted: that is written with the next line.
            (Err(error), None) => cx.log(Level::Warning, format!("the history cannot be written: {error}")),
        }
        for (path, what) in changed {
            let line = format!("share {name}: a program wrote to {path} after it was replaced: {what}");
            cx.log(Level::Warning, line);
        }
        for (path, size) in dropped {
            cx.note_not_kept(name, path, size);
        }
        Ok(())
    }

    fn keep_step(&mut self, cx: &mut Context<F>, landing: &Landing, op: &Op) -> Result<Kept, FsError> {
        let name = &self.name;
        let Some(root) = &self.root else { return Ok(Kept::Nothing) };
        let formed = cx.record_of(name, &op.step.path).is_some_and(|record| record.local.is_some());
        if formed || (op.step.local.is_some() && op.step.old.is_none()) {
            self.keep_form(cx, landing, op)?;
        }
        let index = Some(&cx.store.share(name).index);
        let path = &op.step.path;
        let record = index.and_then(|index| index.get(path));
        let lost = |entry, why| Lost {
            share: name,
            path,
            entry,
            why,
            by: landing.from,
            run: landing.run,
            after: Some(op.step.entry.digest),
            seq: record.map_or(0, |record| record.seq),
        };
        let (Some(aside), Some(old)) = (&op.step.staged, op.step.old) else {
            // A first exchange is nothing that anybody undoes.
            let small = landing.ops.len() <= limits::UNDO_CREATED;
            if small && op.has_created(record.map(|record| &record.entry)) {
                let nothing = Entry::tombstone(Version::UNVERSIONED, Stamp::default());
                cx.history.note_created(item_of(cx.noted(), &lost(&nothing, Why::Created)));
            }
            return Ok(Kept::Nothing);
        };
        let stat = match root.stat(aside)? {
            Some(crate::fs::Found::Synced(stat)) => stat,
            // Kept already, before a crash or a failure.
            _ => {
                if let Some(record) = record.filter(|_| op.outcome == Outcome::Done) {
                    let gone = op.seen.map(|seen| found(&seen.stat, old)).filter(|_| formed);
                    let lost = match &gone {
                        Some(_) if !op.step.drops_local => return Ok(Kept::Moved),
                        Some(entry) => lost(entry, Why::Local),
                        None => lost(&record.entry, op.step.why.unwrap_or(Why::Replaced)),
                    };
                    cx.history.adopt_object(item_of(cx.noted(), &lost))?;
                    return Ok(Kept::Moved);
                }
                return Ok(Kept::Nothing);
            }
        };
        let mut late = false;
        let held = if op.outcome == Outcome::Done { apply::held_content(root, aside, old)? } else { None };
        let stat = match held {
            Some(copy) => {
                let written = apply::digest_of(root, aside, stat.kind)?;
                if written != old {
                    // It was never at the path, so it is kept only where that is possible.
                    let entry = found(&stat, written);
                    let (by, run, after) = (landing.from, landing.run, Some(op.step.entry.digest));
                    let why = if formed { Why::Local } else { Why::Conflict };
                    let of_late = Lost { share: name, path, entry: &entry, why, by, run, after, seq: 0 };
                    let item = item_of(cx.noted(), &of_late);
                    late = cx.history.keep(root, aside, item).is_ok();
                }
                root.rename(&copy, aside, Rename::Replace)?;
                DiskStat { size: op.seen.map_or(stat.size, |seen| seen.stat.size), ..stat }
            }
            None => stat,
        };
        let stray = op.outcome == Outcome::Changed;
        if stray && !op.holds_a_stray(root)? {
            // Still the new content, waiting to be decided again.
            return Ok(Kept::Nothing);
        }
        let why = match stray {
            // A file with values of this router is no content of the share.
            _ if formed => Why::Local,
            true => Why::Conflict,
            false => op.step.why.unwrap_or(Why::Replaced),
        };
        if formed && !stray && !op.step.drops_local {
            // Its shared form is kept; it goes when that is written down.
            return Ok(Kept::Moved);
        }
        let digest = if stray { apply::digest_of(root, aside, stat.kind)? } else { old };
        let entry = recorded(record, found(&stat, digest));
        if cx.history.room(digest, stat.size, why, self.settings.min_free) == Room::LetGo {
            root.remove(aside)?;
            return Ok(Kept::Dropped(stat.size));
        }
        match cx.history.keep(root, aside, item_of(cx.noted(), &lost(&entry, why))) {
            // As where there is no room to begin with: whoever replaced it had seen it.
            Err(error) if error.is_full() && !why.must_be_kept() => {
                root.remove(aside)?;
                Ok(Kept::Dropped(stat.size))
            }
            result => result.map(|(_, taken)| match taken == digest {
                true if late => Kept::Late,
                true => Kept::Moved,
                false => Kept::Changed,
            }),
        }
    }

    /// Lists the shared form of a package that a step replaces.
    fn keep_form(&self, cx: &mut Context<F>, landing: &Landing, op: &Op) -> Result<(), FsError> {
        let Some(record) = cx.record_of(&self.name, &op.step.path) else { return Ok(()) };
        let done = matches!(op.outcome, Outcome::Done | Outcome::Noted);
        if !done || record.entry.kind != Kind::File || record.entry.same_content(&op.step.entry) {
            return Ok(());
        }
        let why = op.step.why.unwrap_or(Why::Replaced);
        if cx.history.room(record.entry.digest, record.entry.size, why, self.settings.min_free) == Room::LetGo {
            return Ok(());
        }
        let lost = Lost {
            share: &self.name,
            path: &op.step.path,
            entry: &record.entry,
            why,
            by: landing.from,
            run: landing.run,
            after: Some(op.step.entry.digest),
            seq: record.seq,
        };
        let item = item_of(cx.noted(), &lost);
        cx.history.list_form(item)?;
        Ok(())
    }

    /// A transaction goes back: what history took of it already lies aside again, as far as that is possible. What is not
    /// is in place for good, with its former content in history.
    pub(crate) fn give_back(&mut self, cx: &mut Context<F>, landing: &Landing) {
        let name = &self.name;
        let Some(root) = self.root.as_ref() else { return };
        for op in landing.ops.iter().filter(|op| op.outcome == Outcome::Done) {
            let (Some(aside), Some(old), Some(seen)) = (&op.step.staged, op.step.old, op.seen) else { continue };
            if !matches!(root.stat(aside), Ok(None)) {
                continue;
            }
            let attributes = Attributes {
                mode: (seen.stat.kind == Kind::File).then_some(seen.stat.mode),
                owner: Some((seen.stat.uid, seen.stat.gid)),
                mtime: (seen.stat.kind == Kind::File).then_some(seen.stat.mtime()),
            };
            let back = cx.history.give_back(root, aside, old, seen.stat.kind, attributes);
            match back {
                Ok(()) => cx.history.forget_run(name, &op.step.path, landing.run),
                Err(error) => cx.outputs.push_back(Output::Log(LogLine {
                    level: Level::Warning,
                    text: format!("share {name}: {} keeps its applied state: {error}", op.step.path),
                })),
            }
        }
    }

    /// Keeps one staged content in history; whether it is there for good.
    pub(crate) fn keep(&mut self, cx: &mut Context<F>, staged: &RelPath, lost: &Lost<'_>) -> bool {
        let Some(root) = &self.root else { return false };
        let item = item_of(cx.noted(), lost);
        let kept = cx.history.keep(root, staged, item).and_then(|_| cx.history.commit());
        if let Err(error) = &kept {
            cx.log(Level::Error, format!("share {}: {} cannot be kept in history: {error}", lost.share, lost.path));
        }
        kept.is_ok()
    }
}

impl<F: Fs> Context<F> {
    /// Reports a previous version that the history has no room for.
    pub(crate) fn note_not_kept(&mut self, name: &ShareName, path: RelPath, size: u64) {
        let text = format!(
            "share {name}: the previous version of {path} ({size} bytes) was not kept: the history has no room for it \
             (history_size, and min_free of its disk)"
        );
        self.log(Level::Warning, text);
        self.not_kept_count += 1;
        if self.not_kept.len() >= limits::NOT_KEPT_TOLD {
            self.not_kept.pop_front();
        }
        self.not_kept.push_back(NotKept { share: name.clone(), path, size, at: self.now.wall });
    }
}

/// What became of the former content of a path.
enum Kept {
    /// There is none to keep.
    Nothing,
    /// It is in history.
    Moved,
    /// So is what a program wrote into it after it was replaced, instead of it.
    Changed,
    /// So is that, besides it.
    Late,
    /// There was no room for these bytes, and whoever replaced them had seen them.
    Dropped(u64),
}

/// A path whose former content history did not take, and why.
pub(crate) struct Unkept {
    pub path: RelPath,
    pub error: FsError,
}

/// What lies somewhere, as an entry of which nothing else is known.
pub(crate) fn found(stat: &DiskStat, digest: Digest) -> Entry {
    let bare = Entry::tombstone(Version::UNVERSIONED, Stamp::default());
    Entry { kind: stat.kind, digest, size: stat.size, mtime: stat.mtime(), mode: stat.mode, ..bare }
}

/// Bytes found on disk, with the owner that is recorded; and where they are the recorded ones, with their version.
fn recorded(record: Option<&Record>, found: Entry) -> Entry {
    let Some(known) = record.map(|record| &record.entry) else { return found };
    let owner = known.owner.clone();
    if !known.same_content(&found) {
        return Entry { owner, ..found };
    }
    let (version, content) = (known.version.clone(), known.content.clone());
    Entry { owner, version, content, stamp: known.stamp, ..found }
}

/// Content that goes from its place, and into history.
pub(crate) struct Lost<'a> {
    pub share: &'a ShareName,
    pub path: &'a RelPath,
    /// What it was.
    pub entry: &'a Entry,
    pub why: Why,
    /// Whose change replaced it.
    pub by: Option<NodeId>,
    /// In which landing.
    pub run: u64,
    /// What came in its place, if that is known.
    pub after: Option<Digest>,
    /// The sequence number under which its entry was recorded; 0 where that is not known.
    pub seq: u64,
}

pub(crate) fn item_of(noted: Noted, lost: &Lost<'_>) -> Item {
    let Lost { share, path, entry, why, by, run, after, seq } = *lost;
    Item {
        number: 0,
        share: share.clone(),
        path: path.clone(),
        kind: entry.kind,
        digest: entry.digest,
        size: entry.size,
        mtime: entry.mtime,
        mode: entry.mode,
        owner: entry.owner.clone(),
        at: noted.at,
        doubtful: noted.doubtful,
        why,
        by,
        run,
        after,
        version: entry.version.clone(),
        content: entry.content().clone(),
        seq,
    }
}
