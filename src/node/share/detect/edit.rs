//! Makes entries of what a scan found: the only place where edits of this node begin.

use std::rc::Rc;

use crate::fs::scan::Finding;
use crate::fs::{Fs, Root};
use crate::model::{
    Digest, Direction, DiskStat, Entry, Kind, Record, RelPath, Sleep, Stamp, Version, WallTime, limits,
};
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::detect::packages::Former;
use crate::node::share::detect::sections::Passage;
use crate::proto::message::offer_size;
use crate::store::state::Change;

/// A change that a scan noticed at a path.
struct Noticed {
    /// What was recorded of it.
    old: Option<Record>,
    /// What it is now, without version.
    entry: Entry,
    disk: Option<DiskStat>,
    /// Another write may hide behind the same time.
    young: bool,
    /// Of a UCI package.
    sections: u32,
    package: Option<Rc<[u8]>>,
    /// The digest of the file, where the entry is its shared form.
    local: Option<Digest>,
    /// The user approved it.
    approved: bool,
}

/// What the edits of one settle have in common.
pub(crate) struct Edit {
    past: bool,
    batch: Option<u64>,
    files: usize,
    bytes: u64,
    /// Bytes of its changes, as a message counts them.
    offered: usize,
    pub count: u64,
    /// Some of the paths that are offered, and how many there are.
    pub to_send: (Vec<RelPath>, u64),
    /// A person rejected what differs here: it has no claim, and the peers' state is taken.
    pub giving_up: bool,
    /// A guard held what went, and the user approved it.
    pub approved: bool,
    /// What its edits of UCI packages replaced.
    pub former: Vec<Former>,
}

impl Edit {
    pub(crate) fn new(past: bool) -> Edit {
        Edit {
            past,
            batch: None,
            files: 0,
            bytes: 0,
            offered: 0,
            count: 0,
            to_send: (Vec::new(), 0),
            giving_up: false,
            approved: false,
            former: Vec::new(),
        }
    }
}

impl<F: Fs> Share<F> {
    /// A recorded path is gone from the disk.
    pub(crate) fn record_gone(&mut self, cx: &mut Context<F>, path: RelPath, edit: &mut Edit) {
        let name = &self.name.clone();
        let Some(old) = cx.record_of(name, &path) else { return };
        if edit.giving_up {
            self.give_up(cx, path, edit);
            edit.count += 1;
            return;
        }
        // When it happened is known only as nearly as the directory above tells, or the last time it was seen.
        let parent = path.parent();
        let last_seen = self.detect.last_scan;
        let dir_time = self.root.as_ref().and_then(|root| dir_mtime(root, parent.as_ref()));
        let when = dir_time.filter(|time| *time > last_seen && *time <= cx.now.wall).unwrap_or(last_seen);
        let entry = Entry::tombstone(Version::UNVERSIONED, Stamp { rank: 0, ms: when.0 });
        self.record_edit(
            cx,
            path,
            Noticed {
                old: Some(old),
                entry,
                disk: None,
                young: false,
                sections: 0,
                package: None,
                local: None,
                approved: edit.approved,
            },
            edit,
        );
    }

    /// Looks after deleted directories that had to stay because something lay in them. Empty by now: it goes. Something
    /// synced lies in it: it lives again, as a change of this node. Something unsynced: it stays as it is.
    pub(crate) fn settle_kept_dirs(&mut self, cx: &mut Context<F>) {
        let name = &self.name.clone();
        let Some(root) = self.root.as_ref() else { return };
        let state = cx.store.share(name);
        let past = state.meta.past;
        let kept = state.index.iter().rev().filter(|(_, record)| {
            !record.entry.is_live() && record.sleep.is_none() && record.disk.is_some_and(|disk| disk.kind == Kind::Dir)
        });
        let mut empty = Vec::new();
        let mut alive = Vec::new();
        for (path, record) in kept {
            if state.index.has_live_below(path) {
                if let Ok(Some(crate::fs::Found::Synced(stat))) = root.stat(path) {
                    alive.push((path.clone(), stat));
                }
            } else if root.remove_dir(path).is_ok() {
                empty.push((path.clone(), Record { disk: None, ..record.clone() }));
            }
        }
        for (path, record) in empty {
            cx.store.change_lazily(Change::Record(name.clone(), path, record));
        }
        let mut edit = Edit::new(past);
        for (path, stat) in alive.into_iter().filter(|(_, stat)| stat.kind == Kind::Dir) {
            self.record_found(cx, path, Finding::dir(stat), &mut edit);
            cx.stirred = true;
        }
    }

    /// A deletion that slept, because something that is not synced was at its path, is awake: nothing is there any more.
    pub(crate) fn record_awake(&mut self, cx: &mut Context<F>, path: RelPath, edit: &mut Edit) {
        let name = &self.name.clone();
        let Some(record) = cx.record_of(name, &path) else { return };
        let mut record = Record { disk: None, sleep: None, ..record };
        self.number(cx, &path, &mut record, edit);
        self.reconsider(cx, &path);
        cx.store.change_lazily(Change::Record(name.clone(), path, record));
        cx.stirred = true;
    }

    /// Something on disk is new, or not as recorded.
    pub(crate) fn record_found(&mut self, cx: &mut Context<F>, path: RelPath, finding: Finding, edit: &mut Edit) {
        let name = &self.name.clone();
        let old = cx.record_of(name, &path);
        let (entry, same) = cx.entry_of(old.as_ref(), &finding);
        let Finding { stat, young, sections, local, .. } = finding;
        if let Some(record) = old.as_ref().filter(|_| same) {
            let awake = record.sleep.is_some();
            if !awake && record.disk == Some(stat) {
                // Only whether it is young can be new, and a restart need not know that.
                if let Some(known) = cx.store.index_mut(name).and_then(|index| index.get_mut(&path)) {
                    known.young = young;
                }
                return;
            }
            let mut record = Record { disk: Some(stat), local, sleep: None, young, sections, ..record.clone() };
            if awake {
                self.number(cx, &path, &mut record, edit);
                // What a peer changed while it slept is owed for that reason alone.
                self.reconsider(cx, &path);
            }
            cx.store.change_lazily(Change::Record(name.clone(), path, record));
            cx.stirred |= awake;
            return;
        }
        let passage = match &old {
            Some(old) if !edit.giving_up => self.holds_back(cx, &path, old, &finding),
            _ => Passage::Free,
        };
        if passage == Passage::Held {
            return;
        }
        let approved = passage == Passage::Approved;
        let package = finding.package;
        let noticed = Noticed { old, entry, disk: Some(stat), young, sections, package, local, approved };
        self.record_edit(cx, path, noticed, edit);
    }

    /// Gives an entry its version and stamp as an edit of this node, and records it.
    fn record_edit(&mut self, cx: &mut Context<F>, path: RelPath, noticed: Noticed, edit: &mut Edit) {
        let name = &self.name.clone();
        let Noticed { old, mut entry, disk, young, sections, package, local, approved } = noticed;
        let content = entry.has_content() || old.as_ref().is_some_and(|old| old.entry.has_content());
        let flapping = content && self.detect.guards.flaps.note(cx.now.mono, &path, true);
        let receives = self.settings.direction == Direction::Receive;
        if !edit.giving_up && !flapping {
            self.put_aside(cx, &path, old.as_ref(), &entry, edit);
        }
        self.remember_package(cx, &path, entry.digest, package);
        self.forms.given.remove(&path);
        cx.forms_stirred |= local.is_some() || old.as_ref().is_some_and(|old| old.local.is_some());
        let me = cx.store.state().me.clone();
        let replaced = old.as_ref().map(|old| &old.entry);
        let written = WallTime(entry.stamp.ms);
        let (base, ms) = old.as_ref().map_or((i64::MIN, written.0), |old| old.draft_after(written, cx.now.wall));
        entry.stamp.ms = ms;
        entry.stamp.rank = me.rank.max(replaced.map_or(0, |entry| entry.stamp.rank));
        // Whoever edits what has a version has seen it, past or no past. What has none while a peer's version of it waits
        // here has not been part of the cluster yet, and an edit of it must not win over what the cluster has.
        let is_versioned = match replaced {
            Some(entry) if entry.version.is_unversioned() => edit.past && !self.awaits_version(cx, &path),
            Some(_) => true,
            None => edit.past,
        };
        if is_versioned && !receives && !edit.giving_up {
            let number = cx.store.next_number(cx.now.wall);
            entry = entry.edited(replaced, me.state, number);
        } else {
            entry.stamp.rank = 0;
        }
        if !edit.giving_up || entry.is_live() {
            let pending = !self.crosses(cx);
            let mut record = Record {
                recorded: cx.now.wall,
                draft: Some(base),
                pending,
                young,
                sections,
                local,
                approved,
                ..Record::new(entry, disk)
            };
            if flapping {
                record.sleep = Some(Sleep::Flapping);
                self.report_flapping(cx, &path);
            }
            record.seen = self.detect.generation;
            self.number(cx, &path, &mut record, edit);
            self.reconsider(cx, &path);
            if cx.verbose {
                cx.log(
                    Level::Debug,
                    format!(
                        "share {name}: {path}: {} here, {:?} {:o} {} version {:?}",
                        record.entry.kind.word(),
                        record.entry.digest,
                        record.entry.mode,
                        record.entry.mtime.0,
                        record.entry.version
                    ),
                );
            }
            if !record.pending && record.sleep.is_none() && !receives {
                let (paths, count) = &mut edit.to_send;
                *count += 1;
                if paths.len() < limits::SENT_PATHS {
                    paths.push(path.clone());
                }
            }
            cx.store.change(Change::Record(name.clone(), path, record));
        } else {
            self.give_up(cx, path, edit);
        }
        edit.count += 1;
    }

    /// Whether a version that an established peer gave a path is pending here, or being received.
    fn awaits_version(&self, cx: &Context<F>, path: &RelPath) -> bool {
        let pending = cx.store.share(&self.name).owed.iter();
        let mut pending = pending.filter(|((_, other), _)| other == path).map(|(_, owed)| &owed.entry);
        let mut received =
            self.inbox.batches.values().filter_map(|batch| batch.offers.get(path)).map(|offer| &offer.entry);
        pending.any(|entry| !entry.version.is_unversioned()) || received.any(|entry| !entry.version.is_unversioned())
    }

    /// Gives a record its place among the changes of this settle.
    pub(crate) fn number(&mut self, cx: &mut Context<F>, path: &RelPath, record: &mut Record, edit: &mut Edit) {
        record.seq = cx.store.next_seq(cx.now.wall);
        // A first contact goes in batches that a small router can stage; what changes later lands as it changed.
        let full = !edit.past
            && edit.batch.is_some()
            && (edit.files >= limits::BATCH_FILES
                || edit.bytes.saturating_add(record.entry.size) > limits::BATCH_BYTES);
        let size = offer_size(path, &record.entry);
        let most = edit.files >= limits::BATCH_MAX || edit.offered + size > limits::BATCH_CHANGES;
        if edit.batch.is_none() || full || most {
            edit.batch = Some(record.seq);
            edit.files = 0;
            edit.bytes = 0;
            edit.offered = 0;
        }
        edit.files += 1;
        edit.offered += size;
        edit.bytes = edit.bytes.saturating_add(record.entry.size);
        record.batch = edit.batch.unwrap_or(record.seq);
        record.from = None;
        self.outgoing.top = record.seq;
    }
}

impl<F: Fs> Context<F> {
    /// What lies somewhere as an entry, without version; and whether it is what is recorded, so that nobody edited it.
    pub(crate) fn entry_of(&self, old: Option<&Record>, finding: &Finding) -> (Entry, bool) {
        let &Finding { stat, digest, size, .. } = finding;
        let owner = self.fs.owner(stat.uid, stat.gid);
        let mut entry = Entry {
            kind: stat.kind,
            digest,
            size: if stat.kind == Kind::Dir { 0 } else { size },
            mtime: if stat.kind == Kind::File { stat.mtime() } else { WallTime(0) },
            mode: stat.mode,
            owner,
            version: Version::UNVERSIONED,
            stamp: Stamp { rank: 0, ms: stat.mtime().0 },
            content: None,
            given_up: None,
        };
        if stat.kind == Kind::Dir {
            entry.digest = Digest::NONE;
        }
        if let Some(record) = old.filter(|record| record.entry.is_live() && record.entry.kind == entry.kind) {
            if let Some(disk) = record.disk {
                // What this machine could not put on disk as the entry has it (an owner it does not know, set-user-id
                // bits it does not allow) is no edit as long as nobody touched it here.
                if disk.mode == stat.mode {
                    entry.mode = record.entry.mode;
                }
                if (disk.uid, disk.gid) == (stat.uid, stat.gid) {
                    entry.owner = record.entry.owner.clone();
                }
                // What LuCI put back has a new time and the old content: nobody edited it, so it must not win over what a
                // peer changed meanwhile.
                let put_back = record.sleep == Some(Sleep::Withheld) && digest == record.entry.digest;
                // A value of this router, or a comment, was changed: what is synced was not.
                let own = finding.local.is_some() && digest == record.entry.digest;
                if disk.mtime_ns == stat.mtime_ns || put_back || own {
                    entry.mtime = record.entry.mtime;
                }
            } else if entry.owner.is_none() {
                entry.owner = record.entry.owner.clone();
            }
            if entry.owner.is_none() {
                entry.owner = record.entry.owner.clone();
            }
            let same = entry.same_fields(&record.entry);
            return (entry, same);
        }
        (entry, false)
    }
}

/// When a name in a directory last changed.
fn dir_mtime<R: Root>(root: &R, dir: Option<&RelPath>) -> Option<WallTime> {
    match dir {
        Some(dir) => match root.stat(dir) {
            Ok(Some(crate::fs::Found::Synced(stat))) => Some(stat.mtime()),
            _ => None,
        },
        None => root.mtime().ok(),
    }
}
