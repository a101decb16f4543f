//! A landing from its first line in the journal to its last: begun, carried on, written down and told.

use crate::fs::{Fs, FsError, Root};
use crate::model::{
    Entry, Kind, LostBy, Map, Monotonic, NodeId, Now, Reason, Record, RelPath, ShareName, Sleep, limits,
};
use crate::node::api::{Event, Level, Tree};
use crate::node::batch::Content;
use crate::node::keep::Unkept;
use crate::node::land::{Landing, Phase, reason_of};
use crate::node::op::{Op, Outcome};
use crate::node::told::LostNews;
use crate::node::{Node, Output};
use crate::store::state::{Cause, Change, LandingRecord, Trial, TrialStep, Why};

/// Why a transaction was not begun; nothing has changed then.
pub(crate) enum NotBegun {
    /// Staged files were removed.
    Vanished,
    /// The system refused to flush the content of this path.
    Refused(RelPath, Reason),
    /// The database cannot be written.
    Database,
}

impl<F: Fs> Node<F> {
    /// Goes on with a share's landing.
    pub(crate) fn land_on(&mut self, now: Now, name: &ShareName) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let (Some(root), Some(landing)) = (&share.root, &mut share.landing) else { return };
        if !landing.can_work(now.mono) {
            return;
        }
        // Each step of work resolves its paths anew.
        let _ = root.place();
        if !landing.step(&self.fs, root, share.settings.allow_setuid) {
            return;
        }
        match landing.phase.clone() {
            Phase::Applying | Phase::Undoing(..) => {}
            Phase::Keeping => self.keep_and_record(now, name),
            Phase::Undone(path, reason) => self.undone(now, name, &path, reason),
        }
    }

    /// Flushes what is staged and writes the landing down, so that a crash from here on can be completed.
    ///
    /// # Errors
    /// Why nothing was begun: only trouble of the database concerns more than this batch.
    pub(crate) fn journal_landing(
        &mut self,
        now: Now,
        name: &ShareName,
        record: &LandingRecord,
    ) -> Result<(), NotBegun> {
        self.flush_staged(name, record)?;
        self.store.change(Change::Landing(name.clone(), Box::new(record.clone())));
        self.store.commit().map_err(|error| {
            self.store.change(Change::Landed(name.clone()));
            self.note_store_trouble(now, error);
            NotBegun::Database
        })
    }

    /// Flushes the staged files of a transaction.
    fn flush_staged(&self, name: &ShareName, record: &LandingRecord) -> Result<(), NotBegun> {
        let Some(share) = self.shares.get(name) else { return Ok(()) };
        let Some(root) = &share.root else { return Ok(()) };
        let staged: Vec<(&RelPath, &RelPath)> = record
            .steps
            .iter()
            .filter(|step| step.entry.kind == Kind::File)
            .filter_map(|step| step.staged.as_ref().map(|staged| (&step.path, staged)))
            .collect();
        let Some((first, _)) = staged.first() else { return Ok(()) };
        let failed = |path: &RelPath, error: FsError| match error.is_missing() {
            true => NotBegun::Vanished,
            false => NotBegun::Refused(path.clone(), reason_of(error.into())),
        };
        if staged.len() > limits::FLUSH_EACH {
            return root.sync_all().map_err(|error| failed(first, error));
        }
        for (path, staged) in &staged {
            match root.open_file(staged).and_then(|file| root.sync(&file)) {
                // A daemon that is not root cannot open again what its mode lets nobody read; nothing else waits for that.
                Err(error) if error.is_denied() => root.sync_all().map_err(|error| failed(path, error))?,
                result => result.map_err(|error| failed(path, error))?,
            }
        }
        root.sync_dir(Some(share.staging.dir())).map_err(|error| failed(first, error))
    }

    /// A batch could not begin to be applied: only what the reason concerns waits.
    pub(crate) fn not_begun(&mut self, now: Now, name: &ShareName, id: u64, why: NotBegun) {
        let Some(share) = self.shares.get_mut(name) else { return };
        match why {
            NotBegun::Refused(path, reason) => self.fail_path(now, name, id, &path, reason),
            NotBegun::Database => {
                if let Some(batch) = share.batches.get_mut(&id) {
                    batch.not_before = now.mono.plus(limits::LOCK_TIME);
                }
            }
            NotBegun::Vanished => {
                let (Some(root), Some(batch)) = (&share.root, share.batches.get_mut(&id)) else { return };
                let reachable = batch.link.is_some();
                batch.not_before = now.mono.plus(limits::LOCK_TIME);
                share.staging.check(root);
                for (path, pending) in batch.offers.iter_mut() {
                    let Content::Staged(staged) = &pending.content else { continue };
                    if matches!(root.stat(staged), Ok(None)) {
                        pending.content = Content::Wanted;
                        batch.unasked.push_back(path.clone());
                    }
                }
                self.log(
                    Level::Warning,
                    format!("share {name}: temporary files were removed by another process; they are fetched again"),
                );
                if !reachable {
                    self.owe_batch(now, name, id, |_| Reason::NotSupplied("it is not connected".into()));
                }
                self.stirred = true;
            }
        }
    }

    /// Everything is in place: old files to history, then the records, then everybody may know.
    fn keep_and_record(&mut self, now: Now, name: &ShareName) {
        let Some(mut landing) = self.shares.get_mut(name).and_then(|share| share.landing.take()) else { return };
        // The new files must be there for good before the old ones are touched: a history object has another mode, and after
        // a power cut it could otherwise lie where the old file lay.
        if let Err(error) = self.flush_dirs(name, &mut landing) {
            return self.retry_end(now, name, landing, &format!("what was applied cannot be flushed: {error}"));
        }
        match self.keep_replaced(now, name, &landing) {
            Ok(()) => self.record_landing(now, name, landing),
            Err(Unkept { path, error }) => {
                // Nothing may replace what is kept nowhere: this batch goes back and waits, the share goes on.
                let reason = if error.is_full() {
                    Reason::HistoryFull
                } else {
                    Reason::Unwritable(format!("the history does not take what it replaces: {}", error.cause()))
                };
                self.give_back(name, &landing);
                landing.undo_all(path, reason);
                if let Some(share) = self.shares.get_mut(name) {
                    share.landing = Some(landing);
                }
            }
        }
    }

    pub(crate) fn flush_dirs(&self, name: &ShareName, landing: &mut Landing) -> Result<(), FsError> {
        let Some(root) = self.shares.get(name).and_then(|share| share.root.as_ref()) else { return Ok(()) };
        landing.close_dirs(root)?;
        if landing.touched.len() > limits::FLUSH_EACH {
            return root.sync_all();
        }
        for dir in landing.touched.iter() {
            match root.sync_dir(dir.as_ref()) {
                // It went with what was in it, or is behind a symlink or a mount point by now.
                Err(error) if error.is_missing() || error.leads_elsewhere() => {}
                // This user may not read it.
                Err(error) if error.is_denied() => return root.sync_all(),
                result => result?,
            }
        }
        Ok(())
    }

    /// Writes down what landed.
    pub(crate) fn record_landing(&mut self, now: Now, name: &ShareName, landing: Landing) {
        self.answer_own(name, &landing);
        let mut trial = Vec::new();
        let (batch_id, from, cause) = (landing.batch, landing.from, landing.cause);
        let (run, confirm, begun, moved) = (landing.run, landing.confirm, landing.begun, landing.moved);
        let life = batch_id.and_then(|id| self.shares.get(name)?.batches.get(&id)).map(|batch| batch.from);
        // Its peer's database may have begun anew since: then nobody else has what it brought.
        let is_over = life.is_some_and(|life| !self.goes_on(name, life));
        let offered: Map<RelPath, (Option<Entry>, Option<u64>, bool)> =
            match batch_id.and_then(|id| self.shares.get(name)?.batches.get(&id)) {
                Some(batch) => batch
                    .offers
                    .iter()
                    .map(|(path, pending)| {
                        let owed = pending.owed.then_some(pending.seq);
                        // What this node's user let pass needs no answer elsewhere either.
                        let approved = pending.approved || batch.by_person;
                        (path.clone(), ((!pending.decided).then(|| pending.entry.clone()), owed, approved))
                    })
                    .collect(),
                None => Map::new(),
            };
        let mut number = None;
        let mut landed = Vec::new();
        let mut deleted = 0;
        let mut again = Vec::new();
        let mut news = LostNews::default();
        let mut first_sync = false;
        for op in landing.ops {
            let Op { step, outcome, disk, in_place, lost_extended, .. } = op;
            if lost_extended && outcome == Outcome::Done {
                let path = &step.path;
                let text =
                    format!("share {name}: {path}: its extended attributes (access control list) could not be kept");
                self.log(Level::Warning, text);
            }
            if !matches!(outcome, Outcome::Done | Outcome::Noted) {
                match batch_id {
                    Some(_) => self.want_again(name, batch_id, &step.path, step.staged.as_ref()),
                    // No batch knows of what a landing that a crash interrupted leaves staged; its peer offers it again.
                    None => self.litter(name, step.staged.as_ref()),
                }
                again.push(step.path);
                continue;
            }
            let before = self.store.state().shares.get(name).and_then(|state| state.index.get(&step.path)).cloned();
            let seq = self.store.next_seq(now.wall);
            let first = *number.get_or_insert(seq);
            let as_offered = offered.get(&step.path).is_some_and(|(entry, _, _)| entry.as_ref() == Some(&step.entry));
            let mut record = Record {
                seq,
                batch: first,
                recorded: now.wall,
                from: life.filter(|_| as_offered),
                pending: (matches!(cause, Cause::Restored | Cause::Undone) && !self.crosses(name))
                    || (outcome == Outcome::Noted && before.as_ref().is_some_and(|before| before.pending)),
                young: in_place,
                approved: offered.get(&step.path).is_some_and(|(_, _, approved)| *approved),
                ..Record::new(step.entry, disk)
            };
            record.sections = match &before {
                Some(before) if before.entry.same_content(&record.entry) => before.sections,
                _ => self.sections_at(name, &step.path, &record),
            };
            if let Some(share) = self.shares.get_mut(name) {
                record.seen = share.generation;
                share.top = seq;
                if let Some(scan) = &mut share.scan {
                    scan.overtake(&step.path);
                    share.hints.add(now.mono, crate::fs::scan::Hint { path: step.path.clone(), deep: false });
                }
                if in_place {
                    share.relook.push(step.path.clone());
                    share.relook_at = share.relook_at.min(now.mono.plus(limits::YOUNG_COARSE));
                }
                let peers = cause == Cause::Offered;
                if step.old.is_some() && share.flaps.note(now.mono, &step.path, !peers) && peers {
                    record.sleep = Some(Sleep::Flapping);
                }
            }
            first_sync |= step.why == Some(Why::FirstContact);
            if confirm > 0 && outcome == Outcome::Done {
                let was = before.as_ref().map_or_else(
                    || Entry::tombstone(Default::default(), Default::default()),
                    |before| before.entry.clone(),
                );
                trial.push(TrialStep { path: step.path.clone(), was, version: record.entry.version.clone() });
            }
            // What goes back here was told of when it began.
            if cause != Cause::TakenBack {
                self.note_landed(name, &step.path, before.as_ref(), &record, &mut news);
            }
            deleted += u64::from(
                before.as_ref().is_some_and(|b| b.entry.has_content() && b.sleep.is_none()) && !record.entry.is_live(),
            );
            if before.is_none_or(|b| !b.entry.same_fields(&record.entry)) {
                landed.push(step.path.clone());
            }
            self.store.change(Change::Record(name.clone(), step.path.clone(), record));
            if let (Some((_, Some(seq), _)), Some(node)) = (offered.get(&step.path), from) {
                self.pay(name, node, &step.path, *seq);
            }
            if let Some(node) = life.map(|life| life.node).filter(|_| is_over) {
                self.disown(now, name, node, Some(&step.path));
            }
            self.drop_offer(name, batch_id, &step.path);
            self.reconsider(name, &step.path);
        }
        self.store.change(Change::Landed(name.clone()));
        self.tell_lost(now, name, from, news);
        if let Some(from) = from {
            self.begin_trial(
                now,
                name,
                Trial { run, from, secs: confirm, first: first_sync, steps: trial },
                batch_id.is_none(),
            );
        } else if cause == Cause::TakenBack {
            self.went_back(name, again.first());
        }
        let by_person =
            batch_id.and_then(|id| self.shares.get(name)?.batches.get(&id)).is_some_and(|batch| batch.by_person);
        if let Some(share) = self.shares.get_mut(name) {
            if !by_person && cause == Cause::Offered {
                share.note_deletions(now.mono, deleted.saturating_sub(moved));
            }
            for path in again {
                // Look at it first, then decide again.
                share.hints.add(now.mono, crate::fs::scan::Hint { path, deep: true });
            }
            if let Some(id) = batch_id {
                if let Some(batch) = share.batches.get_mut(&id) {
                    batch.not_before = now.mono.plus(self.settings.settle.quiet * 2);
                }
                share.batches.retain(|_, batch| !batch.offers.is_empty());
            }
        }
        self.drop_known_offers(name, &landed);
        if !landed.is_empty() {
            self.settle_kept_dirs(now, name);
        }
        self.counters.landed += landed.len() as u64;
        self.counters.deleted += deleted;
        if !landed.is_empty() {
            self.outputs.push_back(Output::Landed { share: name.clone(), paths: landed.clone(), begun });
            self.tell_landed(now, name, from, cause, &landed);
        }
        self.prune_history(now);
        self.stirred = true;
    }

    /// [`Output::Landed`] was taken: everything that it needed has been done by now, so this is when it ended.
    pub fn handle_told(&mut self, now: Now, begun: Monotonic) {
        self.counters.applied += 1;
        self.counters.applying += now.mono.since(begun);
    }

    fn tell_landed(&mut self, now: Now, name: &ShareName, from: Option<NodeId>, cause: Cause, landed: &[RelPath]) {
        let own = match cause {
            Cause::Offered => None,
            Cause::Restored => Some("restored by a person"),
            Cause::Undone => Some("as before, undone by a person"),
            Cause::TakenBack => Some("as before, rolled back"),
        };
        let peer = from.map(|node| self.node_label(node));
        let how = match (own, &peer) {
            (Some(own), _) => own.to_string(),
            (None, Some(peer)) => format!("from {peer}"),
            (None, None) => "from an interrupted batch".to_string(),
        };
        let some: Vec<String> = landed.iter().take(4).map(RelPath::to_text).collect();
        let more = landed.len().saturating_sub(some.len());
        let list = if more > 0 { format!("{} and {more} more", some.join(", ")) } else { some.join(", ") };
        let line = format!("share {name}: {list} {how}");
        match from {
            Some(node) => {
                self.log_of_peer(now, node, Level::Notice, line);
            }
            None => self.log(Level::Notice, line),
        }
        let paths: Vec<Tree> = landed.iter().take(limits::OWED_TOLD).map(|path| Tree::Text(path.to_text())).collect();
        let details = Tree::map()
            .with("share", name.to_string())
            .with("peer", peer.unwrap_or_else(|| self.settings.name.clone()))
            .with("cause", cause.word())
            .with("files", landed.len())
            .with("paths", paths);
        self.tell(Event { name: "owsync.synced", at: now.wall, text: format!("{name}: {list}"), details });
    }

    /// Notes what a landed path says of changes that gave way, once per change and node.
    fn note_landed(
        &mut self,
        name: &ShareName,
        path: &RelPath,
        before: Option<&Record>,
        record: &Record,
        news: &mut LostNews,
    ) {
        if record.sleep == Some(Sleep::Flapping) {
            self.report_flapping(name, path);
        }
        let Some(by) = record.entry.tells_more_than(before.map(|before| &before.entry)) else { return };
        let gave_way = before.filter(|before| record.entry.has_lost(&before.entry).is_some());
        // A deletion that was rejected gave way as well.
        let lost_here = gave_way.is_some_and(|before| before.entry.is_live() || by == LostBy::Rejection);
        let by_rank = before.is_some_and(|before| before.entry.stamp.rank < record.entry.stamp.rank);
        news.get_or_default((by, lost_here, by_rank)).add(path);
    }

    /// A path is decided again; if its content is no longer staged, it must come again.
    fn want_again(&mut self, name: &ShareName, batch: Option<u64>, path: &RelPath, staged: Option<&RelPath>) {
        let (Some(staged), Some(share)) = (staged, self.shares.get_mut(name)) else { return };
        let there = share.root.as_ref().is_some_and(|root| root.stat(staged).is_ok_and(|found| found.is_some()));
        let Some(batch) = batch.and_then(|id| share.batches.get_mut(&id)).filter(|_| !there) else { return };
        if let Some(pending) =
            batch.offers.get_mut(path).filter(|pending| matches!(pending.content, Content::Staged(_)))
        {
            pending.content = Content::Wanted;
            batch.unasked.push_back(path.clone());
        }
    }

    /// Takes a path out of a batch: it landed, so nothing is staged for it any more.
    fn drop_offer(&mut self, name: &ShareName, batch_id: Option<u64>, path: &RelPath) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let Some(id) = batch_id else { return };
        let Some(pending) = share.batches.get_mut(&id).and_then(|batch| batch.offers.remove(path)) else { return };
        let key = (path.clone(), pending.entry.digest);
        if share.fetching.get(&key) == Some(&id) {
            share.fetching.remove(&key);
        }
        // A conflict that this side won leaves the other's content staged: the other side keeps it.
        if let (Content::Staged(staged), Some(root)) = (&pending.content, &share.root) {
            let _ = root.remove(staged);
        }
    }

    /// Other peers' offers of what has just landed are known by now.
    fn drop_known_offers(&mut self, name: &ShareName, landed: &[RelPath]) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let Some(index) = self.store.state().shares.get(name).map(|state| &state.index) else { return };
        let mut paid = Vec::new();
        for (id, batch) in share.batches.iter_mut() {
            for path in landed {
                let known = match (batch.offers.get(path), index.get(path)) {
                    (Some(pending), Some(record)) => pending.entry == record.entry,
                    _ => false,
                };
                if !known {
                    continue;
                }
                let Some(pending) = batch.offers.remove(path) else { continue };
                share.fetching.retain(|(fetched, _), by| by != id || fetched != path);
                if let Some(root) = &share.root {
                    pending.content.discard(root);
                }
                if pending.owed {
                    paid.push((batch.from.node, path.clone(), pending.seq));
                }
            }
        }
        share.batches.retain(|_, batch| !batch.offers.is_empty());
        for (node, path, seq) in paid {
            self.pay(name, node, &path, seq);
        }
    }
}
