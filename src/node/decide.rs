//! From a batch that is complete to a landing that is approved and journaled.

use crate::fs::Fs;
use crate::fs::apply;
use crate::model::{DiskStat, Entry, Index, Kind, LostBy, Map, Now, Reason, Record, RelPath, Set, ShareName, limits};
use crate::node::Node;
use crate::node::api::Level;
use crate::node::batch::Content;
use crate::node::keep::Lost;
use crate::node::land::{Landing, attributes_of, seen_in};
use crate::node::landed::NotBegun;
use crate::node::moved::moved;
use crate::node::op::Outcome;
use crate::reconcile::safety::{self, Deletions, Step};
use crate::reconcile::{self, Loser, Source, Verdict};
use crate::store::history::Room;
use crate::store::state::{Cause, LandingRecord, LandingStep, Why};

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
                || self.trial_of(name).is_some()
                || self.store_trouble.is_some()
            {
                return;
            }
            // The peers have their turns: one that sends ten thousand batches delays the others by one of them each.
            let last = share.last_from;
            let next = share
                .batches
                .iter()
                .filter(|(_, batch)| batch.not_before <= now.mono && !batch.checks.are_under_way())
                .filter(|(_, batch)| batch.is_complete())
                .min_by_key(|(id, batch)| (Some(batch.from.node) <= last, batch.from.node, **id))
                .map(|(id, batch)| (*id, batch.from.node));
            let Some((id, from)) = next else { return };
            if let Some(share) = self.shares.get_mut(name) {
                share.last_from = Some(from);
            }
            if !self.decide(now, name, id) {
                return;
            }
        }
    }

    /// Decides a batch; whether another one may be looked at.
    fn decide(&mut self, now: Now, name: &ShareName, id: u64) -> bool {
        let Some(mut steps) = self.plan(now, name, id) else { return true };
        if !self.keep_trees_whole(now, name, id, &mut steps) {
            return true;
        }
        let Some(share) = self.shares.get_mut(name) else { return false };
        let Some(batch) = share.batches.get(&id) else { return true };
        let (node, by_person) = (batch.from.node, batch.by_person);
        if steps.is_empty() {
            share.batches.remove(&id);
            self.stirred = true;
            return true;
        }
        if let Some(path) = steps.iter().map(|step| &step.path).find(|path| share.withheld.contains(*path)).cloned() {
            let withheld = share.withheld.clone();
            self.owe_batch(now, name, id, |p| {
                if withheld.contains(p) { Reason::Unconfirmed } else { Reason::WaitsFor(path.clone()) }
            });
            return true;
        }
        let shrinking = if by_person { Map::new() } else { self.shrinking(name, id, &steps) };
        if let Some((first, _)) = shrinking.iter().next() {
            self.owe_batch(now, name, id, |path| {
                shrinking.get(path).cloned().unwrap_or_else(|| Reason::WaitsFor(first.clone()))
            });
            return true;
        }
        let Some(share) = self.shares.get_mut(name) else { return false };
        let lately = share.deleted_lately(now.mono);
        let index = self.store.state().shares.get(name).map(|state| &state.index);
        let live = index.map_or(0, |index| index.live_files().0);
        let renamed = index.map_or(0, |index| moved_by(index, &steps, lately));
        let deletions = Deletions { live, lately, moved: renamed, guard: share.settings.delete_guard };
        let plan = match safety::approve(steps, deletions, by_person) {
            Ok(plan) => plan,
            Err((reason, _)) => {
                self.owe_batch(now, name, id, |_| reason.clone());
                return true;
            }
        };
        if self.must_wait_for_checks(now, name, id, plan.steps()) {
            return true;
        }
        let steps = apply::order(plan);
        let Some(share) = self.shares.get_mut(name) else { return false };
        let Some(root) = &share.root else { return false };
        share.staging.check(root);
        if let Err(free) = Self::has_room(root, 0, share.settings.min_free) {
            self.owe_batch(now, name, id, |_| Reason::NoRoom { need: 0, free });
            return true;
        }
        let min_free = share.settings.min_free;
        let Some(state) = self.store.state().shares.get(name) else { return false };
        for step in steps.iter().filter(|_| self.verbose) {
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
        let confirm = share.settings.confirm_for(steps.iter().map(|step| &step.path));
        let mut record = LandingRecord {
            run: self.next_run,
            from: Some(node),
            cause: Cause::Offered,
            confirm,
            steps: Vec::with_capacity(steps.len()),
        };
        let mut seen = Vec::with_capacity(steps.len());
        let mut on_disk = false;
        for step in steps {
            let old = seen_in(&state.index, &step.path);
            let why = match why_of(&step) {
                Why::Replaced if confirm > 0 => Why::OnTrial,
                why => why,
            };
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
        landing.begun = Some(now.mono);
        landing.moved = renamed;
        for (op, untouched) in landing.ops.iter_mut().zip(untouched) {
            if untouched {
                // Only what is known of it changes.
                op.outcome = Outcome::Noted;
                op.disk = state.index.get(&op.step.path).and_then(|record| record.disk);
            }
        }
        if on_disk {
            if let Err(why) = self.journal_landing(now, name, &record) {
                let database = matches!(why, NotBegun::Database);
                self.not_begun(now, name, id, why);
                return !database;
            }
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

    /// The steps of a batch as things stand now; `None` when something of it must be fetched first.
    fn plan(&mut self, now: Now, name: &ShareName, id: u64) -> Option<Vec<Step>> {
        let offered: Vec<RelPath> = self.shares.get(name)?.batches.get(&id)?.offers.keys().cloned().collect();
        self.finish_stamps(now, name, &offered);
        let share = self.shares.get(name)?;
        let batch = share.batches.get(&id)?;
        let (node, link, contact) = (batch.from.node, batch.link, batch.contact);
        let mut steps = Vec::new();
        let mut known = Vec::new();
        let mut missing = Vec::new();
        let mut owed = Vec::new();
        let index = &self.store.state().shares.get(name)?.index;
        for (path, pending) in batch.offers.iter() {
            let record = index.get(path);
            let same_content = record.is_some_and(|record| record.entry.same_content(&pending.entry));
            if !share.filter.holds_as(path, pending.entry.kind) {
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
                        let approved = pending.approved;
                        let path = path.clone();
                        steps.push(Step { path, entry, source, loser, set_back, replaces_content, approved });
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
                    paid.push((path, pending.seq));
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
        for (path, seq) in paid {
            self.pay(name, node, &path, seq);
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
    /// made a file and a directory of one name come to this from both sides alike. `false`: the content that gives way
    /// cannot be kept now, so the batch waits.
    fn keep_trees_whole(&mut self, now: Now, name: &ShareName, id: u64, steps: &mut Vec<Step>) -> bool {
        let Some(index) = self.store.state().shares.get(name).map(|state| &state.index) else { return true };
        let after: Map<&RelPath, &Entry> = steps.iter().map(|step| (&step.path, &step.entry)).collect();
        let entry_of = |path: &RelPath| {
            after
                .get(path)
                .copied()
                .or_else(|| index.get(path).filter(|record| record.sleep.is_none()).map(|record| &record.entry))
        };
        let mut turned: Map<RelPath, Entry> = Map::new();
        for step in steps.iter().filter(|step| step.entry.is_live()) {
            for above in step.path.ancestors() {
                if let Some(entry) = entry_of(&above).filter(|entry| entry.has_content()) {
                    turned.insert(above, entry.clone());
                }
            }
            if step.entry.has_content() {
                let (from, to) = step.path.subtree();
                let below_after = after.range(&from, &to).any(|(_, entry)| entry.is_live());
                let below_before = index
                    .below(&step.path)
                    .any(|(path, record)| record.is_awake_and_live() && !after.contains_key(path));
                if below_after || below_before {
                    turned.insert(step.path.clone(), step.entry.clone());
                }
            }
        }
        for (path, entry) in turned {
            let Some(record) = self.store.state().shares.get(name).map(|state| state.index.get(&path).cloned()) else {
                return true;
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
            let from = self.shares.get(name).and_then(|share| share.batches.get(&id)).map(|batch| batch.from.node);
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
                let (path, entry, run) = (&path, &entry, self.next_run);
                let lost = Lost { share: name, path, entry, why: Why::Conflict, by: from, run, after: None };
                if !self.keep(now, &staged, &lost) {
                    // The directory would dominate the file everywhere, and nobody would keep its content.
                    let batch = self.shares.get_mut(name).and_then(|share| share.batches.get_mut(&id));
                    if let Some(pending) = batch.and_then(|batch| batch.offers.get_mut(path)) {
                        pending.content = Content::Staged(staged);
                    }
                    self.owe_batch(now, name, id, |p| {
                        if p == path { Reason::HistoryFull } else { Reason::WaitsFor(path.clone()) }
                    });
                    return false;
                }
            }
            let replaces_content =
                record.as_ref().is_some_and(|record| record.entry.has_content() && record.sleep.is_none());
            let step = Step {
                path: path.clone(),
                entry: dir,
                source: Source::There,
                loser: replaces_content.then_some(Loser::Unseen(LostBy::Conflict)),
                set_back: false,
                replaces_content,
                approved: false,
            };
            match steps.iter_mut().find(|known| known.path == path) {
                Some(known) => *known = step,
                None => steps.push(step),
            }
        }
        true
    }

    /// A whole batch cannot land now.
    pub(crate) fn owe_batch(&mut self, now: Now, name: &ShareName, id: u64, reason: impl Fn(&RelPath) -> Reason) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let Some(batch) = share.batches.remove(&id) else { return };
        share.fetching.retain(|_, by| *by != id);
        let life = batch.from;
        let mut owed = Vec::new();
        for (path, pending) in batch.offers {
            let reason = reason(&path);
            owed.push((path, pending.give_up(share.root.as_ref(), reason, now.wall)));
        }
        for (path, owed) in owed {
            self.owe(now, name, life, path, owed);
        }
        self.stirred = true;
    }
}

/// How many deletions of a batch leave a content that is still in the share. The index is walked only where
/// that can decide something.
fn moved_by(index: &Index, steps: &[Step], lately: u64) -> u64 {
    let goes = |step: &&Step| step.deletes_content() && !step.approved;
    let gone: Set<&RelPath> = steps.iter().filter(goes).map(|step| &step.path).collect();
    if gone.is_empty() || (gone.len() as u64).saturating_add(lately) < limits::DELETE_GUARD_FILES {
        return 0;
    }
    let after = steps.iter().filter(|step| step.entry.has_content() && step.source == Source::There);
    moved(index, &gone, &after.map(|step| (&step.path, step.entry.digest)).collect())
}

/// Why a step's old content goes to history.
fn why_of(step: &Step) -> Why {
    match step.loser {
        Some(Loser::Unseen(LostBy::Conflict)) => Why::Conflict,
        Some(Loser::Unseen(LostBy::Rejection)) => Why::Rejected,
        Some(Loser::Unseen(LostBy::Rollback)) => Why::RolledBack,
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
