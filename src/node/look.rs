//! Noticing what changed on disk, and making it entries: the only place where edits of this node are born.

use crate::fs::scan::{Finding, Hint, Scan, Scanned};
use crate::fs::{Fs, FsError, Root};
use crate::model::reason::Hold;
use crate::model::{
    Digest, Direction, Entry, Kind, Now, Reason, Record, RelPath, ShareName, Sleep, Stamp, Version, WallTime, limits,
};
use crate::node::api::{Event, Level, Tree};
use crate::node::land::Landing;
use crate::node::{LinkId, Node, Output};
use crate::proto::message::Message;
use crate::reconcile::safety;
use crate::store::state::{Change, Ledger, ShareMeta};

impl<F: Fs> Node<F> {
    /// Opens a share's root, or finds out why that is not possible.
    pub(crate) fn open_share(&mut self, now: Now, name: &ShareName) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let opened = self.fs.open(&share.settings.dir).and_then(|root| root.place().map(|place| (root, place)));
        match opened {
            Ok((root, place)) => {
                let moved = share.root.is_none() || share.place.identity != place.identity;
                if !moved {
                    return;
                }
                share.place = place;
                let landing = self.store.state().shares.get(name).and_then(|state| state.landing.clone());
                let keep = landing
                    .iter()
                    .flat_map(|landing| landing.steps.iter().filter_map(|step| step.staged.clone()))
                    .collect();
                let swept = share.staging.sweep(&root, &keep);
                if let (Some(record), None) = (&landing, &share.landing) {
                    // A crash interrupted it: complete it before anything is looked at.
                    match self.store.state().shares.get(name).map(|state| Landing::resume(record, &root, &state.index))
                    {
                        Some(Ok(landing)) => share.landing = Some(landing),
                        Some(Err(error)) => self.outputs.push_back(Output::Log(crate::node::api::LogLine {
                            level: Level::Error,
                            text: format!("share {name}: an interrupted batch cannot be looked at: {error}"),
                        })),
                        None => {}
                    }
                }
                share.root = Some(root);
                share.next_poll = now.mono;
                self.outputs.push_back(Output::Watch { share: name.clone() });
                match swept {
                    Ok(0) => {}
                    Ok(count) => self.log(
                        Level::Notice,
                        format!("share {name}: removed {count} temporary files that an earlier run left"),
                    ),
                    Err(error) => self.log(
                        Level::Warning,
                        format!("share {name}: temporary files of an earlier run cannot be removed: {error}"),
                    ),
                }
            }
            Err(error) => self.lose_root(now, name, &error),
        }
    }

    /// A share's root cannot be opened: nothing of it may be taken for deleted.
    fn lose_root(&mut self, now: Now, name: &ShareName, error: &FsError) {
        if let Some(share) = self.shares.get_mut(name) {
            share.scan = None;
            share.root = None;
            share.landing = None;
            share.batches.clear();
            share.fetching.clear();
            share.next_poll = now.mono.plus(self.settings.poll_interval.min(limits::LOCK_TIME));
        }
        self.hold_share(now, name, Hold::RootMissing(error.cause()));
    }

    /// Begins scans that are due, and tries again what is owed.
    pub(crate) fn time_shares(&mut self, now: Now) {
        let names: Vec<ShareName> = self.shares.keys().cloned().collect();
        for name in names {
            let Some(share) = self.shares.get_mut(&name) else { continue };
            if share.landing.as_ref().is_some_and(|landing| landing.retry_at() <= now.mono) {
                self.land_on(now, &name);
            }
            let Some(share) = self.shares.get_mut(&name) else { continue };
            for batch in share
                .batches
                .values_mut()
                .filter(|batch| batch.not_before > crate::model::Monotonic(0) && batch.not_before <= now.mono)
            {
                batch.not_before = crate::model::Monotonic(0);
                self.stirred = true;
            }
            if share.retry_at <= now.mono {
                let owes = self.store.state().shares.get(&name).is_some_and(|state| !state.owed.is_empty());
                share.retry_at = if owes { now.mono.plus(limits::RETRY_OWED) } else { crate::model::Monotonic::NEVER };
                self.retry_owed(now, &name, false, |_, _, _| true);
            }
            let Some(share) = self.shares.get_mut(&name) else { continue };
            if share.relook_at <= now.mono {
                share.relook_at = crate::model::Monotonic::NEVER;
                for path in std::mem::take(&mut share.relook) {
                    share.hints.add(now.mono, Hint { path, deep: false });
                }
            }
            if share.look_at(self.settings.settle) <= now.mono {
                self.begin_scan(now, &name);
            }
        }
    }

    /// Begins to look at what was hinted at, or at everything.
    fn begin_scan(&mut self, now: Now, name: &ShareName) {
        self.open_share(now, name);
        let Some(share) = self.shares.get_mut(name) else { return };
        if share.root.is_none() {
            return;
        }
        let poll = share.next_poll <= now.mono;
        let hints = share.hints.take().flatten().filter(|_| !poll && !share.unseen && share.ready);
        if hints.is_none() {
            share.next_poll = now.mono.plus(self.settings.poll_interval);
        }
        share.generation = share.generation.wrapping_add(1);
        share.scan = Some(Scan::new(share.generation, hints, now));
    }

    /// Goes on with a share's scan.
    pub(crate) fn look_on(&mut self, now: Now, name: &ShareName, budget: usize) {
        let Some(share) = self.shares.get_mut(name) else { return };
        // What is in place and not recorded yet would be taken for an edit made here.
        if share.landing.is_some() {
            return;
        }
        let (Some(mut scan), Some(root)) = (share.scan.take(), &share.root) else { return };
        let _ = root.place();
        let mut blank = crate::model::Index::default();
        let index = self.store.index_mut(name).unwrap_or(&mut blank);
        let rules = share.rules();
        match scan.step(root, index, &rules, now, budget) {
            Ok(None) => share.scan = Some(scan),
            Ok(Some(scanned)) => self.take_scan(now, name, scanned, scan.started()),
            Err(error) => self.lose_root(now, name, &error),
        }
    }

    /// A scan is over: through the guards with it, then into the index.
    fn take_scan(&mut self, now: Now, name: &ShareName, scanned: Scanned, started: WallTime) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let lately = share.deleted_lately(now.mono);
        let known_mount =
            self.store.state().shares.get(name).map(|state| state.meta.filesystem.clone()).unwrap_or_default();
        let other_mount = !known_mount.is_empty() && known_mount != share.place.filesystem;
        let unseen = share.unseen;
        let first = unseen && !self.attended;
        let set_back = share.set_back && !self.attended;
        // Nothing that is absent from another directory was deleted, and nothing in it overwrites what others have.
        let approved = std::mem::take(&mut share.approved) || share.moved;
        let guard = share.settings.delete_guard;
        let held = safety::check_scan(scanned.counts, guard, lately, other_mount, first, set_back);
        let before = self.hold_of(name).cloned();
        let waits = before.as_ref().is_some_and(|hold| !hold.ends_by_itself());
        if !approved {
            if let Some(hold) = held.or(before.filter(|_| waits)) {
                // What was found is found again when a person has decided, or the files are back.
                if let Some(share) = self.shares.get_mut(name) {
                    share.scan = None;
                    if scanned.full {
                        share.next_poll = now.mono.plus(self.settings.poll_interval.min(limits::LOCK_TIME));
                    } else {
                        share.hints.add_all(now.mono);
                    }
                }
                self.hold_share(now, name, hold);
                return;
            }
        }
        if self.attended && unseen && set_back_report(&scanned) {
            let counts = scanned.counts;
            self.log(
                Level::Warning,
                format!(
                    "share {name}: {} of {} files changed or vanished since owsync last ran",
                    counts.gone + counts.changed,
                    counts.known
                ),
            );
        }
        self.record_scan(now, name, scanned, started);
        if self.hold_of(name).is_some() {
            self.release_share(name);
        }
        self.become_ready(now, name);
    }

    /// What a scan found becomes entries.
    fn record_scan(&mut self, now: Now, name: &ShareName, scanned: Scanned, started: WallTime) {
        let Scanned { found, gone, asleep, dropped, skipped, restless, full, .. } = scanned;
        let Some(share) = self.shares.get_mut(name) else { return };
        let place = share.place.filesystem.clone();
        let dir = share.settings.dir.clone();
        let moved = std::mem::take(&mut share.moved);
        let deleted = if moved { 0 } else { gone.len() as u64 };
        if full {
            // Notes on paths that did land, and only their owner did not, outlive a scan.
            share.skipped.retain(|_, reason| matches!(reason, Reason::UnknownOwner(_)));
            share.skipped_more = 0;
        } else {
            for path in found.keys().chain(&gone) {
                share.skipped.remove(path);
            }
        }
        let mut told = Vec::new();
        for (path, reason) in skipped {
            if share.skipped.len() < limits::SKIPPED_MAX || share.skipped.contains_key(&path) {
                if share.skipped.insert(path.clone(), reason.clone()).is_none() {
                    told.push((path, reason));
                }
            } else {
                share.skipped_more += 1;
            }
        }
        let span = limits::YOUNG_COARSE;
        let young: Vec<RelPath> =
            found.iter().filter(|(_, finding)| finding.young).map(|(path, _)| path.clone()).collect();
        if !young.is_empty() {
            // Read once more when another write could no longer hide behind the same time.
            let coarse = young.iter().any(|path| found[path].stat.ctime_ns.rem_euclid(1_000_000_000) == 0);
            share.relook.extend(young);
            share.relook_at = share.relook_at.min(now.mono.plus(if coarse { span } else { limits::YOUNG * 2 }));
        }
        for path in restless {
            share.hints.add(now.mono, Hint { path, deep: true });
        }
        share.note_deletions(now.mono, deleted);
        for (path, reason) in told {
            let level = if reason.is_choice() { Level::Notice } else { Level::Warning };
            self.log(level, format!("share {name}: {path}: {reason}"));
        }
        let meta = self.store.state().shares.get(name).map(|state| state.meta.clone()).unwrap_or_default();
        let meta = ShareMeta { past: meta.past && !moved, filesystem: place, dir, ..meta };
        if self.store.state().shares.get(name).is_none_or(|state| state.meta != meta) {
            self.store.change_lazily(Change::Share(name.clone(), meta.clone()));
        }
        if full {
            if let Some(share) = self.shares.get_mut(name) {
                share.last_scan = started;
            }
            self.note_looked(name);
        }
        let mut edit = Edit::new(meta.past, started);
        edit.giving_up = self.shares.get_mut(name).is_some_and(|share| std::mem::take(&mut share.taking_back)) || moved;
        for path in dropped {
            self.store.change_lazily(Change::Drop(name.clone(), path));
        }
        for (path, sleep) in asleep {
            if let Some(record) = self.record_of(name, &path) {
                self.store.change_lazily(Change::Record(name.clone(), path, Record { sleep: Some(sleep), ..record }));
            }
        }
        for path in gone {
            self.record_gone(now, name, path, &mut edit);
        }
        for (path, finding) in found {
            self.record_found(now, name, path, finding, &mut edit);
        }
        if edit.giving_up {
            self.hear_again(name);
        }
        if full || deleted > 0 {
            self.settle_kept_dirs(now, name);
        }
        if edit.count > 0 {
            self.counters.edited += edit.count;
            self.log(Level::Debug, format!("share {name}: {} paths changed here", edit.count));
            self.stirred = true;
        }
    }

    /// Hears everything of a share again, from every peer.
    pub(crate) fn hear_again(&mut self, name: &ShareName) {
        let ledgers = self.store.state().shares.get(name).map(|state| state.ledgers.clone()).unwrap_or_default();
        for (node, ledger) in ledgers {
            self.forget_owed_to(name, node);
            self.store.change(Change::Ledger(name.clone(), node, Ledger { heard: 0, ..ledger }));
        }
        self.drop_batches(name, |_| true);
        let links: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.exchanges.get(name).is_some_and(|exchange| exchange.listening))
            .map(|(id, _)| *id)
            .collect();
        for id in links {
            self.listen(id, name);
        }
    }

    fn record_of(&self, name: &ShareName, path: &RelPath) -> Option<Record> {
        self.store.state().shares.get(name).and_then(|state| state.index.get(path)).cloned()
    }

    /// A recorded path is gone from the disk.
    fn record_gone(&mut self, now: Now, name: &ShareName, path: RelPath, edit: &mut Edit) {
        let Some(old) = self.record_of(name, &path) else { return };
        if edit.giving_up {
            self.store.change(Change::Drop(name.clone(), path));
            edit.count += 1;
            return;
        }
        // When it happened is known only as nearly as the directory above tells, or the last time it was seen.
        let parent = path.parent();
        let last_seen = self.shares.get(name).map_or(edit.started, |share| share.last_scan);
        let dir_time = self
            .shares
            .get(name)
            .and_then(|share| share.root.as_ref())
            .and_then(|root| dir_mtime(root, parent.as_ref()));
        let when = dir_time.filter(|time| *time > last_seen && *time <= now.wall).unwrap_or(last_seen);
        let entry = Entry::tombstone(Version::UNVERSIONED, Stamp { rank: 0, ms: when.0 });
        self.record_edit(now, name, path, Some(old), entry, None, false, edit);
    }

    /// Looks after deleted directories that had to stay because something lay in them. Empty by now: it goes. Something
    /// synced lies in it: it lives again, as a change of this node. Something unsynced: it stays as it is.
    pub(crate) fn settle_kept_dirs(&mut self, now: Now, name: &ShareName) {
        let Some(root) = self.shares.get(name).and_then(|share| share.root.as_ref()) else { return };
        let Some(state) = self.store.state().shares.get(name) else { return };
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
            self.store.change_lazily(Change::Record(name.clone(), path, record));
        }
        let mut edit = Edit::new(past, now.wall);
        for (path, stat) in alive.into_iter().filter(|(_, stat)| stat.kind == Kind::Dir) {
            self.record_found(now, name, path, Finding { stat, digest: Digest::NONE, young: false }, &mut edit);
            self.stirred = true;
        }
    }

    /// Something on disk is new, or not as recorded.
    fn record_found(&mut self, now: Now, name: &ShareName, path: RelPath, finding: Finding, edit: &mut Edit) {
        let Finding { stat, digest, young } = finding;
        let old = self.record_of(name, &path);
        let owner = self.fs.owner(stat.uid, stat.gid);
        let mut entry = Entry {
            kind: stat.kind,
            digest,
            size: if stat.kind == Kind::Dir { 0 } else { stat.size },
            mtime: if stat.kind == Kind::File { stat.mtime() } else { WallTime(0) },
            mode: stat.mode,
            owner,
            version: Version::UNVERSIONED,
            stamp: Stamp { rank: 0, ms: stat.mtime().0 },
            lost: None,
        };
        if stat.kind == Kind::Dir {
            entry.digest = Digest::NONE;
        }
        if let Some(record) = old.as_ref().filter(|record| record.entry.is_live() && record.entry.kind == entry.kind) {
            if let Some(disk) = record.disk {
                // What this machine could not put on disk as the entry has it (an owner it does not know, set-user-id
                // bits it does not allow) is no edit as long as nobody touched it here.
                if disk.mode == stat.mode {
                    entry.mode = record.entry.mode;
                }
                if (disk.uid, disk.gid) == (stat.uid, stat.gid) {
                    entry.owner = record.entry.owner.clone();
                }
                if disk.mtime_ns == stat.mtime_ns {
                    entry.mtime = record.entry.mtime;
                }
            } else if entry.owner.is_none() {
                entry.owner = record.entry.owner.clone();
            }
            if entry.owner.is_none() {
                entry.owner = record.entry.owner.clone();
            }
            if entry.same_fields(&record.entry) {
                let awake = record.sleep.is_some();
                let mut record = Record { disk: Some(stat), sleep: None, young, ..record.clone() };
                if awake {
                    self.number(now, name, &mut record, edit);
                }
                self.store.change_lazily(Change::Record(name.clone(), path, record));
                self.stirred |= awake;
                return;
            }
        }
        self.record_edit(now, name, path, old, entry, Some(stat), young, edit);
    }

    /// Gives an entry its version and stamp as an edit of this node, and records it.
    #[allow(clippy::too_many_arguments)]
    fn record_edit(
        &mut self,
        now: Now,
        name: &ShareName,
        path: RelPath,
        old: Option<Record>,
        mut entry: Entry,
        disk: Option<crate::model::DiskStat>,
        young: bool,
        edit: &mut Edit,
    ) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let content = entry.has_content() || old.as_ref().is_some_and(|old| old.entry.has_content());
        let flapping = content && share.flaps.note(now.mono, &path, true);
        let receives = share.settings.direction == Direction::Receive;
        let me = self.store.state().me.clone();
        let replaced = old.as_ref().map(|old| &old.entry);
        let base = replaced.map_or(i64::MIN, |entry| entry.stamp.ms);
        entry.stamp.rank = me.rank.max(replaced.map_or(0, |entry| entry.stamp.rank));
        // Whoever edits what has a version has seen it, past or no past.
        if (edit.past || replaced.is_some_and(|entry| !entry.version.is_unversioned())) && !receives && !edit.giving_up
        {
            let version = replaced.map_or(Version::UNVERSIONED, |entry| entry.version.clone());
            let number = self.store.next_number(now.wall);
            entry.version = version.edited(me.state, number, limits::VERSION_IDS);
            entry.lost = replaced.and_then(|entry| entry.lost.clone());
        } else {
            entry.stamp.rank = 0;
        }
        if !edit.giving_up || entry.is_live() {
            let mut record = Record { recorded: now.wall, draft: Some(base), young, ..Record::new(entry, disk) };
            if flapping {
                record.sleep = Some(Sleep::Flapping);
                self.report_flapping(now, name, &path);
            }
            if let Some(share) = self.shares.get(name) {
                record.seen = share.generation;
            }
            self.number(now, name, &mut record, edit);
            self.reconsider(name, &path);
            self.log(
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
            self.store.change(Change::Record(name.clone(), path, record));
        } else {
            self.store.change(Change::Drop(name.clone(), path));
        }
        edit.count += 1;
    }

    /// Gives a record its place among the changes of this settle.
    fn number(&mut self, now: Now, name: &ShareName, record: &mut Record, edit: &mut Edit) {
        record.seq = self.store.next_seq(now.wall);
        // A first contact goes in batches that a small router can stage; what changes later lands as it changed.
        let full = !edit.past
            && edit.batch.is_some()
            && (edit.files >= limits::BATCH_FILES
                || edit.bytes.saturating_add(record.entry.size) > limits::BATCH_BYTES);
        if edit.batch.is_none() || full || edit.files >= limits::BATCH_MAX {
            edit.batch = Some(record.seq);
            edit.files = 0;
            edit.bytes = 0;
        }
        edit.files += 1;
        edit.bytes = edit.bytes.saturating_add(record.entry.size);
        record.batch = edit.batch.unwrap_or(record.seq);
        record.from = None;
        if let Some(share) = self.shares.get_mut(name) {
            share.top = record.seq;
        }
    }

    /// A scan was recorded: the share may take part from here on.
    fn become_ready(&mut self, now: Now, name: &ShareName) {
        let Some(share) = self.shares.get_mut(name) else { return };
        share.unseen = false;
        share.set_back = false;
        if share.ready {
            return;
        }
        share.ready = true;
        self.stirred = true;
        let links: Vec<LinkId> = self.links.iter().filter(|(_, link)| link.is_admitted()).map(|(id, _)| *id).collect();
        for id in links {
            if self.links.get(&id).is_some_and(|link| link.exchanges.contains_key(name)) {
                self.listen(id, name);
            } else {
                self.begin_exchange(now, id, name);
            }
        }
    }

    /// Why a share is held, if it is.
    pub(crate) fn hold_of(&self, name: &ShareName) -> Option<&Hold> {
        self.store.state().shares.get(name).and_then(|state| state.meta.hold.as_ref()).map(|(hold, _)| hold)
    }

    /// The same, as the text that peers are told.
    pub(crate) fn hold_text(&self, name: &ShareName) -> Option<String> {
        self.hold_of(name).map(ToString::to_string)
    }

    /// A share waits for a person, or for its files.
    pub(crate) fn hold_share(&mut self, now: Now, name: &ShareName, hold: Hold) {
        let meta = self.store.state().shares.get(name).map(|state| state.meta.clone()).unwrap_or_default();
        let before = meta.hold.as_ref().map(|(hold, _)| hold.code());
        if meta.hold.as_ref().is_some_and(|(known, _)| *known == hold) {
            return;
        }
        let news = before != Some(hold.code());
        let since = meta.hold.as_ref().filter(|_| !news).map_or(now.wall, |(_, since)| *since);
        self.store.change(Change::Share(name.clone(), ShareMeta { hold: Some((hold.clone(), since)), ..meta }));
        self.drop_batches(name, |_| true);
        for link in self.links.values_mut() {
            if let Some(exchange) = link.exchanges.get_mut(name) {
                exchange.listening = false;
                exchange.partial.clear();
                if news {
                    link.say(Message::ShareNews { share: name.clone(), held: Some(hold.to_string()) });
                }
            }
        }
        self.stirred = true;
        if news {
            self.log(Level::Error, format!("share {name} is held: {hold}"));
            let details = Tree::map()
                .with("share", name.to_string())
                .with("reason", hold.code())
                .with("message", hold.to_string());
            self.tell(Event { name: "owsync.hold", at: now.wall, text: format!("{name} is held: {hold}"), details });
        }
    }

    /// A held share goes on.
    pub(crate) fn release_share(&mut self, name: &ShareName) {
        let Some(meta) = self.store.state().shares.get(name).map(|state| state.meta.clone()) else { return };
        if meta.hold.is_none() {
            return;
        }
        self.store.change(Change::Share(name.clone(), ShareMeta { hold: None, ..meta }));
        self.log(Level::Notice, format!("share {name} goes on"));
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.exchanges.contains_key(name)).map(|(id, _)| *id).collect();
        let ready = self.shares.get(name).is_some_and(|share| share.ready);
        for id in links {
            if let Some(link) = self.links.get_mut(&id) {
                link.say(Message::ShareNews { share: name.clone(), held: None });
            }
            if ready {
                self.listen(id, name);
            }
        }
        self.stirred = true;
    }

    pub(crate) fn report_flapping(&mut self, now: Now, name: &ShareName, path: &RelPath) {
        let text = format!("share {name}: {path}: {}", Reason::Flapping);
        self.log(Level::Error, text.clone());
        let details = Tree::map()
            .with("share", name.to_string())
            .with("path", path.to_text())
            .with("reason", Reason::Flapping.code());
        self.tell(Event { name: "owsync.hold", at: now.wall, text, details });
    }
}

/// What the edits of one settle have in common.
struct Edit {
    past: bool,
    started: WallTime,
    batch: Option<u64>,
    files: usize,
    bytes: u64,
    count: u64,
    /// A person rejected what differs here: it has no claim, and the peers' state is taken.
    giving_up: bool,
}

impl Edit {
    fn new(past: bool, started: WallTime) -> Edit {
        Edit { past, started, batch: None, files: 0, bytes: 0, count: 0, giving_up: false }
    }
}

/// Whether so much changed before a person started this run that they should hear of it.
fn set_back_report(scanned: &Scanned) -> bool {
    let counts = scanned.counts;
    counts.known >= limits::REPLACED_FILES && (counts.gone + counts.changed) * 10 >= counts.known * 9
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
