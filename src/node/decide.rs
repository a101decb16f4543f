//! From a batch that is complete to a landing that is approved and journaled, and from there to records.

use std::collections::BTreeMap;

use crate::fs::apply;
use crate::fs::{Fs, Root};
use crate::model::{DiskStat, Entry, Kind, NodeId, Now, Reason, Record, RelPath, ShareName, Sleep, limits};
use crate::node::api::{Event, Level, Tree};
use crate::node::batch::Content;
use crate::node::land::{Landing, Op, Outcome, Phase, attributes_of, seen_in};
use crate::node::{Node, Output};
use crate::reconcile::safety::{self, Deletions, Step};
use crate::reconcile::{self, Loser, Source, Verdict};
use crate::store::history::{Item, Room};
use crate::store::state::{Change, LandingRecord, LandingStep, Why};

impl<F: Fs> Node<F> {
    /// Lands the next batch of a share that can land.
    pub(crate) fn try_land(&mut self, now: Now, name: &ShareName) {
        loop {
            let Some(share) = self.shares.get(name) else { return };
            if !share.ready
                || share.paused
                || share.landing.is_some()
                || share.root.is_none()
                || self.hold_of(name).is_some()
                || self.store_trouble.is_some()
            {
                return;
            }
            let next = share
                .batches
                .iter()
                .find(|(_, batch)| batch.is_complete() && batch.not_before <= now.mono)
                .map(|(id, _)| *id);
            let Some(id) = next else { return };
            if !self.decide(now, name, id) {
                return;
            }
        }
    }

    /// Decides a batch; whether another one may be looked at.
    fn decide(&mut self, now: Now, name: &ShareName, id: u64) -> bool {
        let Some(mut steps) = self.plan(now, name, id) else { return true };
        self.keep_trees_whole(now, name, id, &mut steps);
        let Some(share) = self.shares.get_mut(name) else { return false };
        let Some(batch) = share.batches.get(&id) else { return true };
        let (node, by_person) = (batch.from, batch.by_person);
        if steps.is_empty() {
            share.batches.remove(&id);
            self.stirred = true;
            return true;
        }
        let lately = share.deleted_lately(now.mono);
        let live = self.store.state().shares.get(name).map_or(0, |state| state.index.live_files().0);
        let deletions = Deletions { live, lately, guard: share.settings.delete_guard };
        let plan = match safety::approve(steps, deletions, by_person) {
            Ok(plan) => plan,
            Err((reason, _)) => {
                self.owe_batch(now, name, id, |_| reason.clone());
                return true;
            }
        };
        let steps = apply::order(plan);
        let Some(share) = self.shares.get_mut(name) else { return false };
        let Some(root) = &share.root else { return false };
        if let Err(free) = Self::has_room(root, 0, share.settings.min_free) {
            self.owe_batch(now, name, id, |_| Reason::NoRoom { need: 0, free });
            return true;
        }
        let min_free = share.settings.min_free;
        let Some(state) = self.store.state().shares.get(name) else { return false };
        for step in &steps {
            let line = format!(
                "share {name}: {}: {} from {node}, loser {:?}, version {:?}",
                step.path,
                step.entry.kind.word(),
                step.loser,
                step.entry.version
            );
            self.outputs
                .push_back(crate::node::Output::Log(crate::node::api::LogLine { level: Level::Debug, text: line }));
        }
        let mut record = LandingRecord { run: self.next_run, from: Some(node), steps: Vec::with_capacity(steps.len()) };
        let mut seen = Vec::with_capacity(steps.len());
        let mut on_disk = false;
        for step in steps {
            let old = seen_in(&state.index, &step.path);
            let why = why_of(&step);
            let replaces = old.filter(|old| old.stat.kind != Kind::Dir && step.source == Source::There);
            if let Some(old) = replaces {
                if self.history.room(old.digest, old.stat.size, why, min_free) == Room::Full {
                    let path = step.path;
                    self.owe_batch(now, name, id, |p| {
                        if *p == path { Reason::HistoryFull } else { Reason::WaitsFor(path.clone()) }
                    });
                    return true;
                }
            }
            let changes = step.source == Source::There
                || attributes_differ(&self.fs, state.index.get(&step.path), &step.entry, share.settings.allow_setuid);
            let staged = match share
                .batches
                .get(&id)
                .and_then(|batch| batch.offers.get(&step.path))
                .map(|pending| &pending.content)
            {
                Some(Content::Staged(staged)) if step.source == Source::There && step.entry.has_content() => {
                    Some(staged.clone())
                }
                _ if replaces.is_some() => match share.staging.name(root) {
                    Ok(aside) => Some(aside),
                    Err(error) => {
                        let reason = Reason::Unwritable(error.cause());
                        self.owe_batch(now, name, id, |_| reason.clone());
                        return true;
                    }
                },
                _ => None,
            };
            on_disk |= changes && (old.is_some() || step.entry.is_live());
            record.steps.push(LandingStep {
                path: step.path,
                entry: step.entry,
                staged,
                old: replaces.map(|old| old.digest),
                why: replaces.map(|_| why),
            });
            seen.push(if changes { Some(old) } else { None });
        }
        self.next_run += 1;
        let untouched: Vec<bool> = seen.iter().map(Option::is_none).collect();
        let mut landing = Landing::new(&record, seen.into_iter().map(Option::flatten).collect(), Some(id));
        for (op, untouched) in landing.ops.iter_mut().zip(untouched) {
            if untouched {
                // Only what is known of it changes.
                op.outcome = Outcome::Noted;
                op.disk = state.index.get(&op.step.path).and_then(|record| record.disk);
            }
        }
        if on_disk && !self.journal_landing(now, name, id, &record) {
            return false;
        }
        if let Some(share) = self.shares.get_mut(name) {
            share.landing = Some(landing);
        }
        if !on_disk {
            self.land_on(now, name);
            return true;
        }
        false
    }

    /// Flushes what is staged and writes the landing down, so that a crash from here on can be completed.
    fn journal_landing(&mut self, now: Now, name: &ShareName, id: u64, record: &LandingRecord) -> bool {
        let Some(share) = self.shares.get_mut(name) else { return false };
        let Some(root) = &share.root else { return false };
        let staged: Vec<&RelPath> = record
            .steps
            .iter()
            .filter(|step| step.entry.kind == Kind::File)
            .filter_map(|step| step.staged.as_ref())
            .collect();
        let flushed = if staged.len() > limits::FLUSH_EACH {
            root.sync_all()
        } else {
            staged
                .iter()
                .try_for_each(|path| root.sync(&root.open_file(path)?))
                .and_then(|()| if staged.is_empty() { Ok(()) } else { root.sync_dir(Some(share.staging.dir())) })
        };
        self.store.change(Change::Landing(name.clone(), Box::new(record.clone())));
        let result = flushed.and_then(|()| self.store.commit());
        if let Err(error) = result {
            self.store.change(Change::Landed(name.clone()));
            self.note_store_trouble(now, error);
            if let Some(batch) = self.shares.get_mut(name).and_then(|share| share.batches.get_mut(&id)) {
                batch.not_before = now.mono.plus(limits::LOCK_TIME);
            }
            return false;
        }
        true
    }

    /// The steps of a batch as things stand now; `None` when something of it must be fetched first.
    fn plan(&mut self, now: Now, name: &ShareName, id: u64) -> Option<Vec<Step>> {
        let share = self.shares.get(name)?;
        let batch = share.batches.get(&id)?;
        let (node, link, contact) = (batch.from, batch.link, batch.contact);
        let mut steps = Vec::new();
        let mut known = Vec::new();
        let mut missing = Vec::new();
        let mut owed = Vec::new();
        let index = &self.store.state().shares.get(name)?.index;
        for (path, pending) in &batch.offers {
            let record = index.get(path);
            let same_content = record.is_some_and(|record| record.entry.same_content(&pending.entry));
            if !share.filter.holds(path) {
                // Another filter came into force while it was on its way.
                known.push(path.clone());
                continue;
            }
            match reconcile::reconcile(record.map(|record| &record.entry), &pending.entry, contact) {
                Verdict::Known => known.push(path.clone()),
                Verdict::Ask => owed.push((path.clone(), Reason::FirstContact)),
                Verdict::Agree { entry, source, loser, set_back } => {
                    if record.is_some_and(|record| record.sleep.is_some()) {
                        owed.push((path.clone(), Reason::Other("what lies there is not synced now".into())));
                    } else if source == Source::There
                        && entry.has_content()
                        && !same_content
                        && !matches!(pending.content, Content::Staged(_))
                    {
                        missing.push(path.clone());
                    } else {
                        let replaces_content = record.is_some_and(|record| record.entry.has_content());
                        steps.push(Step { path: path.clone(), entry, source, loser, set_back, replaces_content });
                    }
                }
            }
        }
        let share = self.shares.get_mut(name)?;
        let batch = share.batches.get_mut(&id)?;
        let mut paid = Vec::new();
        for path in known {
            if let Some(pending) = batch.offers.remove(&path) {
                share.fetching.retain(|(fetched, _), by| *by != id || *fetched != path);
                if let Some(root) = &share.root {
                    pending.content.discard(root);
                }
                if pending.owed {
                    paid.push(path);
                }
            }
        }
        for path in missing.iter().cloned() {
            if let Some(pending) = batch.offers.get_mut(&path) {
                pending.content = Content::Wanted;
                batch.unasked.push_back(path);
            }
        }
        self.stirred = true;
        for path in paid {
            self.store.change_lazily(Change::Paid(name.clone(), node, path));
        }
        let gone = !owed.is_empty();
        for (path, reason) in owed {
            self.fail_path(now, name, id, &path, reason);
        }
        if !missing.is_empty() && link.is_none() {
            // Whoever had it has left.
            self.owe_batch(now, name, id, |_| Reason::NotSupplied("it is not connected".into()));
        }
        (!gone && missing.is_empty()).then_some(steps)
    }

    /// A file or symlink that something live lies below becomes a directory, as a change of this node. Two nodes that
    /// made a file and a directory of one name come to this from both sides alike.
    fn keep_trees_whole(&mut self, now: Now, name: &ShareName, id: u64, steps: &mut Vec<Step>) {
        let Some(index) = self.store.state().shares.get(name).map(|state| &state.index) else { return };
        let after: BTreeMap<&RelPath, &Entry> = steps.iter().map(|step| (&step.path, &step.entry)).collect();
        let entry_of = |path: &RelPath| {
            after
                .get(path)
                .copied()
                .or_else(|| index.get(path).filter(|record| record.sleep.is_none()).map(|record| &record.entry))
        };
        let mut turned: BTreeMap<RelPath, Entry> = BTreeMap::new();
        for step in steps.iter().filter(|step| step.entry.is_live()) {
            for above in step.path.ancestors() {
                if let Some(entry) = entry_of(&above).filter(|entry| entry.has_content()) {
                    turned.insert(above, entry.clone());
                }
            }
            if step.entry.has_content() {
                let (from, to) = step.path.subtree();
                let below_after = after.range::<RelPath, _>(&from..&to).any(|(_, entry)| entry.is_live());
                let below_before = index
                    .below(Some(&step.path))
                    .any(|(path, record)| record.is_awake_and_live() && !after.contains_key(path));
                if below_after || below_before {
                    turned.insert(step.path.clone(), step.entry.clone());
                }
            }
        }
        for (path, entry) in turned {
            let Some(record) = self.store.state().shares.get(name).map(|state| state.index.get(&path).cloned()) else {
                return;
            };
            let number = self.store.next_number(now.wall);
            let me = &self.store.state().me;
            let dir = Entry {
                kind: Kind::Dir,
                digest: crate::model::Digest::NONE,
                size: 0,
                mtime: crate::model::WallTime(0),
                mode: 0o755,
                owner: None,
                version: entry.version.edited(me.state, number, limits::VERSION_IDS),
                stamp: reconcile::edit_stamp(
                    me.rank,
                    crate::model::WallTime(entry.stamp.ms),
                    now.wall,
                    Some(entry.stamp),
                ),
                lost: entry.lost.clone(),
            };
            self.log(Level::Warning, format!("share {name}: {path} is a file on one node and a directory on another: it becomes a directory, the file is in history"));
            let from = self.shares.get(name).and_then(|share| share.batches.get(&id)).map(|batch| batch.from);
            let staged = match self
                .shares
                .get_mut(name)
                .and_then(|share| share.batches.get_mut(&id))
                .and_then(|batch| batch.offers.get_mut(&path))
            {
                Some(pending) => match std::mem::replace(&mut pending.content, Content::Unneeded) {
                    Content::Staged(staged) => Some(staged),
                    other => {
                        pending.content = other;
                        None
                    }
                },
                None => None,
            };
            if let Some(staged) = staged {
                self.keep(now, name, &staged, &path, &entry, Why::Conflict, from, self.next_run);
            }
            let replaces_content =
                record.as_ref().is_some_and(|record| record.entry.has_content() && record.sleep.is_none());
            let step = Step {
                path: path.clone(),
                entry: dir,
                source: Source::There,
                loser: replaces_content.then_some(Loser::Conflict),
                set_back: false,
                replaces_content,
            };
            match steps.iter_mut().find(|known| known.path == path) {
                Some(known) => *known = step,
                None => steps.push(step),
            }
        }
    }

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

    /// Everything is in place: old files to history, then the records, then everybody may know.
    fn keep_and_record(&mut self, now: Now, name: &ShareName) {
        let Some(landing) = self.shares.get_mut(name).and_then(|share| share.landing.take()) else { return };
        // The new files must be there for good before the old ones are touched: a history object has another mode, and after
        // a power cut it could otherwise lie where the old file lay.
        if let Err(error) = self.flush_dirs(name, &landing).and_then(|()| self.keep_replaced(now, name, &landing)) {
            self.log(
                Level::Error,
                format!("share {name}: what was replaced cannot be kept in history: {error}; tried again"),
            );
            if let Some(share) = self.shares.get_mut(name) {
                let mut landing = landing;
                landing.wait(now.mono, limits::LOCK_TIME);
                share.landing = Some(landing);
            }
            return;
        }
        self.record_landing(now, name, landing);
    }

    fn keep_replaced(&mut self, now: Now, name: &ShareName, landing: &Landing) -> Result<(), crate::fs::FsError> {
        let Some(share) = self.shares.get(name) else { return Ok(()) };
        let Some(root) = &share.root else { return Ok(()) };
        let min_free = share.settings.min_free;
        let index = self.store.state().shares.get(name).map(|state| &state.index);
        let mut dropped = Vec::new();
        for op in &landing.ops {
            let (Some(aside), Some(old)) = (&op.step.staged, op.step.old) else { continue };
            let stat = match root.stat(aside)? {
                Some(crate::fs::Found::Synced(stat)) => stat,
                // Kept already, before a crash or a failure.
                _ => {
                    if op.outcome == Outcome::Done {
                        if let Some(record) = index.and_then(|index| index.get(&op.step.path)) {
                            self.history.adopt_object(item_of(
                                now,
                                self.clock.is_doubtful(),
                                name,
                                &op.step.path,
                                &record.entry,
                                op.step.why.unwrap_or(Why::Replaced),
                                landing.from,
                                landing.run,
                            ))?;
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
            let entry = Entry {
                kind: stat.kind,
                digest,
                size: stat.size,
                mtime: stat.mtime(),
                mode: stat.mode,
                owner: before.and_then(|entry| entry.owner.clone()),
                ..Entry::tombstone(crate::model::Version::UNVERSIONED, crate::model::Stamp::default())
            };
            if self.history.room(digest, stat.size, why, min_free) == Room::LetGo {
                root.remove(aside)?;
                dropped.push((op.step.path.clone(), stat.size));
            } else {
                self.history.keep(
                    root,
                    aside,
                    item_of(now, self.clock.is_doubtful(), name, &op.step.path, &entry, why, landing.from, landing.run),
                )?;
            }
        }
        self.history.commit()?;
        for (path, size) in dropped {
            self.log(
                Level::Notice,
                format!(
                    "share {name}: the former {path} ({size} bytes) does not fit into history_size and was not kept"
                ),
            );
        }
        Ok(())
    }

    /// Keeps what an undone landing could not put back.
    fn keep_strays(&mut self, now: Now, name: &ShareName, landing: &Landing) {
        for op in &landing.ops {
            let Some(root) = self.shares.get(name).and_then(|share| share.root.as_ref()) else { return };
            if let Some(staged) = &op.step.staged {
                let _ = apply::finish_exchange(root, staged, &op.step.path);
            }
            let Some(aside) = op.step.staged.as_ref().filter(|_| op.holds_a_stray(root).unwrap_or(true)) else {
                continue;
            };
            let Ok(Some(crate::fs::Found::Synced(stat))) = root.stat(aside) else { continue };
            let Ok(digest) = apply::digest_of(root, aside, stat.kind) else { continue };
            let bare = Entry::tombstone(crate::model::Version::UNVERSIONED, crate::model::Stamp::default());
            let entry =
                Entry { kind: stat.kind, digest, size: stat.size, mtime: stat.mtime(), mode: stat.mode, ..bare };
            self.keep(now, name, aside, &op.step.path, &entry, Why::Conflict, landing.from, landing.run);
            self.log(
                Level::Error,
                format!(
                    "share {name}: {} could not be put back and is in history: `owsync restore` brings it back",
                    op.step.path
                ),
            );
        }
    }

    /// Keeps one staged content in history, as well as it goes.
    #[allow(clippy::too_many_arguments)]
    fn keep(
        &mut self,
        now: Now,
        name: &ShareName,
        staged: &RelPath,
        path: &RelPath,
        entry: &Entry,
        why: Why,
        by: Option<NodeId>,
        run: u64,
    ) {
        let Some(root) = self.shares.get(name).and_then(|share| share.root.as_ref()) else { return };
        let kept = self
            .history
            .keep(root, staged, item_of(now, self.clock.is_doubtful(), name, path, entry, why, by, run))
            .and_then(|_| self.history.commit());
        if let Err(error) = kept {
            self.log(Level::Error, format!("share {name}: {path} cannot be kept in history: {error}"));
        }
    }

    fn flush_dirs(&self, name: &ShareName, landing: &Landing) -> Result<(), crate::fs::FsError> {
        let Some(root) = self.shares.get(name).and_then(|share| share.root.as_ref()) else { return Ok(()) };
        if landing.touched.len() > limits::FLUSH_EACH {
            return root.sync_all();
        }
        for dir in &landing.touched {
            match root.sync_dir(dir.as_ref()) {
                // It went with what was in it.
                Err(error) if error.is_missing() => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Writes down what landed.
    fn record_landing(&mut self, now: Now, name: &ShareName, landing: Landing) {
        let batch_id = landing.batch;
        let from = landing.from;
        let offered: BTreeMap<RelPath, (Option<Entry>, bool)> =
            match batch_id.and_then(|id| self.shares.get(name)?.batches.get(&id)) {
                Some(batch) => batch
                    .offers
                    .iter()
                    .map(|(path, pending)| {
                        (path.clone(), ((!pending.decided).then(|| pending.entry.clone()), pending.owed))
                    })
                    .collect(),
                None => BTreeMap::new(),
            };
        let mut number = None;
        let mut landed = Vec::new();
        let mut deleted = 0;
        let mut again = Vec::new();
        for op in landing.ops {
            let Op { step, outcome, disk, in_place, .. } = op;
            if !matches!(outcome, Outcome::Done | Outcome::Noted) {
                self.remove_staged_unless(name, batch_id, step.staged.as_ref());
                self.want_again(name, batch_id, &step.path, step.staged.as_ref());
                again.push(step.path);
                continue;
            }
            let before = self.store.state().shares.get(name).and_then(|state| state.index.get(&step.path)).cloned();
            let seq = self.store.next_seq(now.wall);
            let first = *number.get_or_insert(seq);
            let as_offered = offered.get(&step.path).is_some_and(|(entry, _)| entry.as_ref() == Some(&step.entry));
            let mut record = Record {
                seq,
                batch: first,
                recorded: now.wall,
                from: from.filter(|_| as_offered),
                young: in_place,
                ..Record::new(step.entry, disk)
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
                if step.old.is_some() && share.flaps.note(now.mono, &step.path, false) {
                    record.sleep = Some(Sleep::Flapping);
                }
            }
            self.note_landed(now, name, from, &step.path, before.as_ref(), &record);
            deleted += u64::from(
                before.as_ref().is_some_and(|b| b.entry.has_content() && b.sleep.is_none()) && !record.entry.is_live(),
            );
            if before.is_none_or(|b| !b.entry.same_fields(&record.entry)) {
                landed.push(step.path.clone());
            }
            self.store.change(Change::Record(name.clone(), step.path.clone(), record));
            if offered.get(&step.path).is_some_and(|(_, owed)| *owed) {
                if let Some(node) = from {
                    self.store.change(Change::Paid(name.clone(), node, step.path.clone()));
                }
            }
            self.drop_offer(name, batch_id, &step.path);
            self.reconsider(name, &step.path);
        }
        self.store.change(Change::Landed(name.clone()));
        let by_person =
            batch_id.and_then(|id| self.shares.get(name)?.batches.get(&id)).is_some_and(|batch| batch.by_person);
        if let Some(share) = self.shares.get_mut(name) {
            if !by_person {
                share.note_deletions(now.mono, deleted);
            }
            for path in again {
                // Look at it first, then decide again.
                share.hints.add(now.mono, crate::fs::scan::Hint { path, deep: true });
            }
            if let Some(id) = batch_id {
                if let Some(batch) = share.batches.get_mut(&id) {
                    batch.not_before = now.mono.plus(self.settings.settle * 2);
                }
                share.batches.retain(|_, batch| !batch.offers.is_empty());
            }
        }
        self.drop_known_offers(name, &landed);
        if !landed.is_empty() {
            self.settle_kept_dirs(now, name);
        }
        self.counters.landed += landed.len() as u64;
        if !landed.is_empty() {
            self.tell_landed(now, name, from, &landed);
        }
        self.prune_history(now);
        self.stirred = true;
    }

    fn tell_landed(&mut self, now: Now, name: &ShareName, from: Option<NodeId>, landed: &[RelPath]) {
        self.outputs.push_back(Output::Landed { share: name.clone(), paths: landed.to_vec() });
        let peer = from.map_or_else(|| "an interrupted batch".into(), |node| self.node_label(node));
        let some: Vec<String> = landed.iter().take(4).map(RelPath::to_text).collect();
        let more = landed.len().saturating_sub(some.len());
        let list = if more > 0 { format!("{} and {more} more", some.join(", ")) } else { some.join(", ") };
        self.log(Level::Notice, format!("share {name}: {list} from {peer}"));
        let paths: Vec<Tree> = landed.iter().take(limits::OWED_TOLD).map(|path| Tree::Text(path.to_text())).collect();
        let details = Tree::map()
            .with("share", name.to_string())
            .with("peer", peer)
            .with("files", landed.len())
            .with("paths", paths);
        self.tell(Event { name: "owsync.synced", at: now.wall, text: format!("{name}: {list}"), details });
    }

    /// Reports conflicts, once per conflict and node, and losers.
    fn note_landed(
        &mut self,
        now: Now,
        name: &ShareName,
        from: Option<NodeId>,
        path: &RelPath,
        before: Option<&Record>,
        record: &Record,
    ) {
        if record.sleep == Some(Sleep::Flapping) {
            self.report_flapping(now, name, path);
        }
        if !record.entry.tells_more_than(before.map(|before| &before.entry)) {
            return;
        }
        self.counters.conflicts += 1;
        let lost_here = before.is_some_and(|before| record.entry.has_lost(&before.entry) && before.entry.is_live());
        let peer = from.map_or_else(|| "a peer".into(), |node| self.node_label(node));
        let what = if lost_here {
            "this node's version is in history: `owsync log` shows it, `owsync restore` brings it back"
        } else {
            "the other version is in the history of the node that had it"
        };
        let text = format!(
            "share {name}: conflict: {path} was changed on two nodes before they saw each other; the newer one stays, {what}"
        );
        self.log(Level::Warning, text.clone());
        let details = Tree::map()
            .with("share", name.to_string())
            .with("path", path.to_text())
            .with("peer", peer)
            .with("lost_here", lost_here);
        self.tell(Event { name: "owsync.conflict", at: now.wall, text, details });
    }

    /// A batch could not be put in place, and is not: it is owed, or tried again.
    fn undone(&mut self, now: Now, name: &ShareName, path: &RelPath, reason: Reason) {
        let Some(landing) = self.shares.get_mut(name).and_then(|share| share.landing.take()) else { return };
        self.keep_strays(now, name, &landing);
        self.store.change(Change::Landed(name.clone()));
        self.stirred = true;
        let Some(id) = landing.batch else {
            landing.ops.iter().for_each(|op| self.remove_staged_unless(name, None, op.step.staged.as_ref()));
            return;
        };
        if reason == Reason::Busy {
            if let Some(batch) = self.shares.get_mut(name).and_then(|share| share.batches.get_mut(&id)) {
                let since = *batch.busy_since.get_or_insert(now.mono);
                if now.mono.since(since) < limits::LOCK_TIME {
                    batch.not_before = now.mono.plus(std::time::Duration::from_millis(100));
                    return;
                }
            }
        }
        let free =
            self.shares.get(name).and_then(|share| share.root.as_ref()).and_then(|root| root.free().ok()).unwrap_or(0);
        let reason = if matches!(reason, Reason::NoRoom { .. }) { Reason::NoRoom { need: 0, free } } else { reason };
        self.fail_path(now, name, id, path, reason);
        if let Some(batch) = self.shares.get_mut(name).and_then(|share| share.batches.get_mut(&id)) {
            // What is left of it need not wait for the one path.
            batch.busy_since = None;
        }
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

    /// Removes what a landing that a crash interrupted leaves staged: no batch knows of it, and its peer offers it again.
    fn remove_staged_unless(&self, name: &ShareName, batch: Option<u64>, staged: Option<&RelPath>) {
        let root = self.shares.get(name).and_then(|share| share.root.as_ref());
        if let (None, Some(staged), Some(root)) = (batch, staged, root) {
            let _ = root.remove(staged);
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
        for (id, batch) in &mut share.batches {
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
                    paid.push((batch.from, path.clone()));
                }
            }
        }
        share.batches.retain(|_, batch| !batch.offers.is_empty());
        for (node, path) in paid {
            self.store.change(Change::Paid(name.clone(), node, path));
        }
    }

    /// A whole batch cannot land now.
    pub(crate) fn owe_batch(&mut self, now: Now, name: &ShareName, id: u64, reason: impl Fn(&RelPath) -> Reason) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let Some(batch) = share.batches.remove(&id) else { return };
        share.fetching.retain(|_, by| *by != id);
        let node = batch.from;
        let mut owed = Vec::new();
        for (path, pending) in batch.offers {
            let reason = reason(&path);
            owed.push((path, pending.give_up(share.root.as_ref(), reason, now.wall)));
        }
        for (path, owed) in owed {
            self.owe(now, name, node, path, owed);
        }
        self.stirred = true;
    }
}

/// Why a step's old content goes to history.
fn why_of(step: &Step) -> Why {
    match step.loser {
        Some(Loser::Conflict) => Why::Conflict,
        Some(Loser::FirstContact) => Why::FirstContact,
        Some(Loser::Seen) | None if !step.entry.is_live() => Why::Deleted,
        Some(Loser::Seen) | None => Why::Replaced,
    }
}

/// Whether mode, owner or time on disk must change for an entry whose content is here.
fn attributes_differ<F: Fs>(fs: &F, record: Option<&Record>, entry: &Entry, allow_setid: bool) -> bool {
    let Some(record) = record else { return true };
    if record.entry.same_fields(entry) {
        return false;
    }
    let wanted = attributes_of(fs, entry, allow_setid);
    let Some(DiskStat { mode, uid, gid, .. }) = record.disk else { return true };
    let mtime = record.disk.map(|disk| disk.mtime());
    wanted.mode.is_some_and(|wanted| wanted != mode)
        || wanted.owner.is_some_and(|wanted| wanted != (uid, gid))
        || wanted.mtime.is_some_and(|wanted| Some(wanted) != mtime)
}

fn item_of(
    now: Now,
    doubtful: bool,
    name: &ShareName,
    path: &RelPath,
    entry: &Entry,
    why: Why,
    by: Option<NodeId>,
    run: u64,
) -> Item {
    Item {
        number: 0,
        share: name.clone(),
        path: path.clone(),
        kind: entry.kind,
        digest: entry.digest,
        size: entry.size,
        mtime: entry.mtime,
        mode: entry.mode,
        owner: entry.owner.clone(),
        at: now.wall,
        doubtful,
        why,
        by,
        run,
    }
}
