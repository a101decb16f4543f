//! What a landing replaced: into history, before anything else is known of it.

use crate::fs::apply;
use crate::fs::{Fs, Root};
use crate::model::{Digest, DiskStat, Entry, NodeId, Now, RelPath, ShareName, Stamp, Version, WallTime, limits};
use crate::node::Node;
use crate::node::api::Level;
use crate::node::land::Landing;
use crate::node::op::Outcome;
use crate::store::history::{Item, Room};
use crate::store::state::Why;

impl<F: Fs> Node<F> {
    /// What history says of this moment.
    pub(crate) fn noted(&self, now: Now) -> Noted {
        Noted { at: now.wall, doubtful: self.clock.is_doubtful() }
    }

    pub(crate) fn keep_replaced(
        &mut self,
        now: Now,
        name: &ShareName,
        landing: &Landing,
    ) -> Result<(), crate::fs::FsError> {
        let Some(share) = self.shares.get(name) else { return Ok(()) };
        let Some(root) = &share.root else { return Ok(()) };
        let min_free = share.settings.min_free;
        let index = self.store.state().shares.get(name).map(|state| &state.index);
        let (mut dropped, mut changed) = (Vec::new(), Vec::new());
        // A first exchange is nothing that anybody undoes.
        let small = landing.ops.len() <= limits::UNDO_CREATED;
        for op in &landing.ops {
            let path = &op.step.path;
            let lost = |entry, why| Lost {
                share: name,
                path,
                entry,
                why,
                by: landing.from,
                run: landing.run,
                after: Some(op.step.entry.digest),
            };
            let (Some(aside), Some(old)) = (&op.step.staged, op.step.old) else {
                let before = index.and_then(|index| index.get(path)).map(|record| &record.entry);
                if small && op.has_created(before) {
                    let nothing = Entry::tombstone(Version::UNVERSIONED, Stamp::default());
                    self.history.note_created(item_of(self.noted(now), &lost(&nothing, Why::Created)));
                }
                continue;
            };
            let stat = match root.stat(aside)? {
                Some(crate::fs::Found::Synced(stat)) => stat,
                // Kept already, before a crash or a failure.
                _ => {
                    if op.outcome == Outcome::Done {
                        if let Some(record) = index.and_then(|index| index.get(&op.step.path)) {
                            let lost = lost(&record.entry, op.step.why.unwrap_or(Why::Replaced));
                            self.history.adopt_object(item_of(self.noted(now), &lost))?;
                        }
                    }
                    continue;
                }
            };
            let stray = op.outcome == Outcome::Changed;
            if stray && !op.holds_a_stray(root)? {
                // Still the new content, waiting to be decided again.
                continue;
            }
            let why = if stray { Why::Conflict } else { op.step.why.unwrap_or(Why::Replaced) };
            let digest = if stray { apply::digest_of(root, aside, stat.kind)? } else { old };
            let before = index.and_then(|index| index.get(&op.step.path)).map(|record| &record.entry);
            let entry = Entry { owner: before.and_then(|entry| entry.owner.clone()), ..found(&stat, digest) };
            if self.history.room(digest, stat.size, why, min_free) == Room::LetGo {
                root.remove(aside)?;
                dropped.push((op.step.path.clone(), stat.size));
            } else {
                let (_, kept) = self.history.keep(root, aside, item_of(self.noted(now), &lost(&entry, why)))?;
                if kept != digest {
                    changed.push(op.step.path.clone());
                }
            }
        }
        self.history.commit()?;
        for path in changed {
            self.log(
                Level::Warning,
                format!(
                    "share {name}: a program wrote into {path} after it was replaced: the history has what it wrote, not \
                     the version before"
                ),
            );
        }
        for (path, size) in dropped {
            self.log(
                Level::Warning,
                format!(
                    "share {name}: the previous version of {path} ({size} bytes) was not kept: it does not fit into \
                     history_size; raise that to keep such versions"
                ),
            );
            self.not_kept_count += 1;
            if self.not_kept.len() >= limits::NOT_KEPT_TOLD {
                self.not_kept.pop_front();
            }
            self.not_kept.push_back(NotKept { share: name.clone(), path, size, at: now.wall });
        }
        Ok(())
    }

    /// Keeps one staged content in history, as well as it goes.
    pub(crate) fn keep(&mut self, now: Now, staged: &RelPath, lost: &Lost<'_>) {
        let Some(root) = self.shares.get(lost.share).and_then(|share| share.root.as_ref()) else { return };
        let item = item_of(self.noted(now), lost);
        let kept = self.history.keep(root, staged, item).and_then(|_| self.history.commit());
        if let Err(error) = kept {
            self.log(Level::Error, format!("share {}: {} cannot be kept in history: {error}", lost.share, lost.path));
        }
    }
}

/// A previous version that did not fit into the history.
#[derive(Debug, Clone)]
pub(crate) struct NotKept {
    pub share: ShareName,
    pub path: RelPath,
    /// Bytes.
    pub size: u64,
    pub at: WallTime,
}

/// What lies somewhere, as an entry of which nothing else is known.
pub(crate) fn found(stat: &DiskStat, digest: Digest) -> Entry {
    let bare = Entry::tombstone(Version::UNVERSIONED, Stamp::default());
    Entry { kind: stat.kind, digest, size: stat.size, mtime: stat.mtime(), mode: stat.mode, ..bare }
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
}

/// When something went into history, and whether this node's clock can be believed.
pub(crate) struct Noted {
    pub at: WallTime,
    pub doubtful: bool,
}

pub(crate) fn item_of(noted: Noted, lost: &Lost<'_>) -> Item {
    let Lost { share, path, entry, why, by, run, after } = *lost;
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
    }
}
