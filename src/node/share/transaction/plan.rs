//! Plans a complete batch: what becomes of each path, approved by every guard.

use crate::fs::apply;
use crate::fs::{Fs, Root};
use crate::model::{
    DiskStat, Entry, Index, Kind, LostBy, Map, Reason, Record, RelPath, Set, Version, WallTime, limits,
};
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::commit::{reason_for_commit, unseen_by_commit};
use crate::node::share::detect::renames::moved;
use crate::node::share::inbox::batch::Content;
use crate::node::share::inbox::judge::Judgement;
use crate::node::share::transaction::apply::{attributes_of, seen_in};
use crate::node::share::transaction::keep::Lost;
use crate::node::share::transaction::prepared::{Noted, Prepared, PreparedStep};
use crate::node::share::transaction::record::NotBegun;
use crate::node::share::transaction::step::synced;
use crate::reconcile::safety::{self, Deletions, Step};
use crate::reconcile::{self, Loser, Source};
use crate::store::history::Room;
use crate::store::state::{Cause, LandingStep, Why};

impl<F: Fs> Share<F> {
    /// Lands the next batch of a share that can land.
    pub(crate) fn apply_next(&mut self, cx: &mut Context<F>) {
        let name = &self.name.clone();
        loop {
            if !self.is_ready()
                || self.paused
                || self.transaction.landing.is_some()
                || self.root.is_none()
                || cx.hold_of(name).is_some()
                || cx.trial_of(name).is_some()
                || cx.store_trouble.is_some()
            {
                return;
            }
            // The peers have their turns: one that sends ten thousand batches delays the others by one of them each.
            let last = self.inbox.last_from;
            let next = self
                .inbox
                .batches
                .iter()
                .filter(|(_, batch)| batch.not_before <= cx.now.mono && !batch.checks.are_under_way())
                .filter(|(id, batch)| batch.is_complete() && self.commits.lets_decide(**id))
                .min_by_key(|(id, batch)| (Some(batch.from.node) <= last, batch.from.node, **id))
                .map(|(id, batch)| (*id, batch.from.node));
            let Some((id, from)) = next else { return };
            self.inbox.last_from = Some(from);
            if !self.decide(cx, id) {
                return;
            }
        }
    }

    /// Decides a batch; whether another one may be looked at.
    fn decide(&mut self, cx: &mut Context<F>, id: u64) -> bool {
        let name = &self.name.clone();
        let Some(mut steps) = self.plan(cx, id) else { return true };
        if !self.keep_trees_whole(cx, id, &mut steps) {
            return true;
        }
        let Some(batch) = self.inbox.batches.get(&id) else { return true };
        let (node, by_person) = (batch.from.node, batch.by_person);
        if steps.is_empty() {
            self.inbox.batches.remove(&id);
            cx.stirred = true;
            if let Some(commit) = self.commits.current.as_mut().filter(|commit| commit.batch == Some(id)) {
                commit.batch = None;
                self.note_commit_prepared(cx);
            }
            return true;
        }
        if self.commits.of_batch(id).is_some() {
            if let Some(why) = unseen_by_commit(&steps) {
                self.refuse_commit(cx, id, why);
                return true;
            }
        }
        if let Some(path) =
            steps.iter().map(|step| &step.path).find(|path| self.detect.withheld.contains(*path)).cloned()
        {
            let withheld = self.detect.withheld.clone();
            self.note_batch_pending(cx, id, |p| {
                if withheld.contains(p) { Reason::Unconfirmed } else { Reason::WaitsFor(path.clone()) }
            });
            return true;
        }
        self.merge_steps(cx, id, &mut steps);
        if !self.form_batch(cx, id, &mut steps) {
            return true;
        }
        let shrinking = if by_person { Map::new() } else { self.shrinking(cx, id, &steps) };
        if let Some((first, _)) = shrinking.iter().next() {
            self.note_batch_pending(cx, id, |path| {
                shrinking.get(path).cloned().unwrap_or_else(|| Reason::WaitsFor(first.clone()))
            });
            return true;
        }
        let lately = self.detect.guards.deletions.lately(cx.now.mono);
        let index = Some(&cx.store.share(name).index);
        let live = index.map_or(0, |index| index.live_files().0);
        let renamed = index.map_or(0, |index| moved_by(index, &steps, lately));
        let deletions = Deletions { live, lately, moved: renamed, guard: self.settings.delete_guard };
        let plan = match safety::approve(steps, deletions, by_person) {
            Ok(plan) => plan,
            Err((reason, _)) => {
                self.note_batch_pending(cx, id, |_| reason.clone());
                return true;
            }
        };
        if self.must_wait_for_checks(cx, id, plan.steps()) || self.must_wait_for_commits(cx, id, plan.steps()) {
            return true;
        }
        let steps = apply::order(plan);
        let Some(root) = &self.root else { return false };
        self.staging.check(root);
        if let Err(free) = Context::<F>::has_room(root, 0, self.settings.min_free) {
            self.note_batch_pending(cx, id, |_| Reason::NoRoom { need: 0, free });
            return true;
        }
        let min_free = self.settings.min_free;
        let state = cx.store.share(name);
        for step in steps.iter().filter(|_| cx.verbose) {
            let line = format!(
                "share {name}: {}: {} from {node}, loser {:?}, version {:?}",
                step.path,
                step.entry.kind.word(),
                step.loser,
                step.entry.version
            );
            cx.outputs
                .push_back(crate::node::Output::Log(crate::node::api::LogLine { level: Level::Debug, text: line }));
        }
        let commit = self.commits.of_batch(id);
        let confirm = match commit {
            Some(commit) => commit.secs(),
            None => self.settings.confirm_for(steps.iter().map(|step| &step.path)),
        };
        let (of_commit, prepares) = (commit.is_some(), commit.is_some_and(|commit| commit.is_preparing()));
        let mut prepared = Vec::with_capacity(steps.len());
        let mut on_disk = false;
        let batch = self.inbox.batches.get(&id);
        let forms = batch.map(|batch| &batch.forms);
        for step in steps {
            let formed = forms.and_then(|forms| forms.get(&step.path)).filter(|formed| formed.is_for(&step));
            let record = state.index.get(&step.path);
            let old = seen_in(&state.index, &step.path);
            let why = match why_of(&step) {
                Why::Replaced if confirm > 0 && !of_commit => Why::OnTrial,
                why => why,
            };
            let drops_local = formed.is_some_and(|formed| !formed.dropped.is_empty());
            let replaces = old.filter(|old| old.stat.kind != Kind::Dir && step.source == Source::There);
            if let Some(old) = replaces {
                let needed = if drops_local { Why::Local } else { why };
                if cx.history.room(old.digest, old.stat.size, needed, min_free) == Room::Full {
                    let path = step.path;
                    self.note_batch_pending(cx, id, |p| {
                        if *p == path { Reason::HistoryFull } else { Reason::WaitsFor(path.clone()) }
                    });
                    return true;
                }
            }
            let changes = step.source == Source::There
                || attributes_differ(&cx.fs, record, &step.entry, formed.is_some(), self.settings.allow_setuid);
            let staged = match batch.and_then(|batch| batch.staged(&step.path)) {
                Some(staged) if step.source == Source::There && step.entry.has_content() => Some(staged.clone()),
                _ if replaces.is_some() => match self.staging.name(root) {
                    Ok(aside) => Some(aside),
                    Err(error) => {
                        let reason = Reason::Unwritable(error.cause());
                        self.note_batch_pending(cx, id, |_| reason.clone());
                        return true;
                    }
                },
                _ => None,
            };
            on_disk |= changes && (old.is_some() || step.entry.is_live());
            // Only what is known of it changes otherwise.
            let disk = || state.index.get(&step.path).and_then(|record| record.disk);
            let noted = (!changes).then(|| Noted(disk()));
            let seen = old.filter(|_| changes);
            let (old, why) = (replaces.map(|old| old.digest), replaces.map(|_| why));
            let local = match formed {
                Some(formed) => formed.is_local.then_some(formed.digest),
                None => record.filter(|record| record.entry.same_content(&step.entry)).and_then(|record| record.local),
            };
            let step = LandingStep { path: step.path, entry: step.entry, staged, old, why, local, drops_local };
            prepared.push(PreparedStep { step, seen, noted });
        }
        if prepares {
            if let Some(path) = changed_on_disk(root, &prepared) {
                self.refuse_commit(cx, id, format!("{path}: it changed at this moment"));
                return true;
            }
            self.note_commit_prepared(cx);
            return true;
        }
        let prepared = Prepared {
            cause: if of_commit { Cause::Committed } else { Cause::Offered },
            from: Some(node).filter(|node| *node != cx.identity.id),
            confirm,
            batch: Some(id),
            command: None,
            left: Vec::new(),
            moved: renamed,
            on_disk,
            steps: prepared,
        };
        if let Err(why) = self.begin_transaction(cx, prepared) {
            let database = matches!(why, NotBegun::Database);
            self.not_begun(cx, id, why);
            return !database;
        }
        if !on_disk {
            self.continue_transaction(cx);
            return true;
        }
        false
    }

    /// The steps of a batch as things stand now; `None` when something of it must be fetched first.
    fn plan(&mut self, cx: &mut Context<F>, id: u64) -> Option<Vec<Step>> {
        let name = &self.name;
        let offered: Vec<RelPath> = self.inbox.batches.get(&id)?.offers.keys().cloned().collect();
        cx.finish_stamps(name, &offered);
        let batch = self.inbox.batches.get(&id)?;
        let (node, link, contact) = (batch.from.node, batch.link, batch.contact);
        let mut steps = Vec::new();
        let mut known = Vec::new();
        let mut missing = Vec::new();
        let mut owed = Vec::new();
        for (path, pending) in batch.offers.iter() {
            match self.judge(cx, path, &pending.entry, contact, None) {
                // Left out: the filter changed while it was on its way.
                Judgement::LeftOut | Judgement::Known => known.push(path.clone()),
                Judgement::Pending(reason) => owed.push((path.clone(), reason)),
                Judgement::Apply { wanted: true, .. } if !matches!(pending.content, Content::Staged(_)) => {
                    missing.push(path.clone());
                }
                Judgement::Apply { entry, source, loser, set_back, wanted: _ } => {
                    let record = cx.store.share(name).index.get(path);
                    let replaces_content = record.is_some_and(|record| record.entry.has_content());
                    let approved = pending.approved;
                    let path = path.clone();
                    steps.push(Step { path, entry, source, loser, set_back, replaces_content, approved });
                }
            }
        }
        let batch = self.inbox.batches.get_mut(&id)?;
        let mut paid = Vec::new();
        for path in known {
            if let Some(pending) = batch.offers.remove(&path) {
                self.transfer.fetching.retain(|(fetched, _), by| *by != id || *fetched != path);
                if pending.owed {
                    paid.push((path, pending.seq));
                }
                if let Some(root) = &self.root {
                    pending.discard(root);
                }
            }
        }
        for path in missing.iter().cloned() {
            if let Some(pending) = batch.offers.get_mut(&path) {
                pending.content = Content::Wanted;
                batch.unasked.push_back(path);
            }
        }
        cx.stirred = true;
        for (path, seq) in paid {
            cx.pay(name, node, &path, seq);
        }
        let gone = !owed.is_empty();
        for (path, reason) in owed {
            self.fail_path(cx, id, &path, reason);
        }
        if !missing.is_empty() && link.is_none() {
            // Whoever had it has left.
            self.note_batch_pending(cx, id, |_| Reason::NotSupplied("it is not connected".into()));
        }
        (!gone && missing.is_empty()).then_some(steps)
    }

    /// A file or symlink that something live lies below becomes a directory, as a change of this node. Two nodes that
    /// made a file and a directory of one name come to this from both sides alike. `false`: the content that gives way
    /// cannot be kept now, so the batch waits.
    fn keep_trees_whole(&mut self, cx: &mut Context<F>, id: u64, steps: &mut Vec<Step>) -> bool {
        let name = &self.name.clone();
        let index = &cx.store.share(name).index;
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
            let record = cx.store.share(name).index.get(&path).cloned();
            let number = cx.store.next_number(cx.now.wall);
            let me = &cx.store.state().me;
            let stamp = reconcile::edit_stamp(me.rank, WallTime(entry.stamp.ms), cx.now.wall, Some(entry.stamp));
            let dir = Entry { kind: Kind::Dir, mode: 0o755, ..Entry::tombstone(Version::UNVERSIONED, stamp) };
            let dir = dir.edited(Some(&entry), me.state, number);
            cx.log(Level::Warning, format!("share {name}: {path} is a file on one node and a directory on another: it becomes a directory, and the file is kept in the history"));
            let from = self.inbox.batches.get(&id).map(|batch| batch.from.node);
            let staged = match self.inbox.batches.get_mut(&id).and_then(|batch| batch.offers.get_mut(&path)) {
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
                let (path, entry, run) = (&path, &entry, cx.next_run);
                let lost = Lost { share: name, path, entry, why: Why::Conflict, by: from, run, after: None, seq: 0 };
                if !self.keep(cx, &staged, &lost) {
                    // The directory would dominate the file everywhere, and nobody would keep its content.
                    let batch = self.inbox.batches.get_mut(&id);
                    if let Some(pending) = batch.and_then(|batch| batch.offers.get_mut(path)) {
                        pending.content = Content::Staged(staged);
                    }
                    self.note_batch_pending(cx, id, |p| {
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
    pub(crate) fn note_batch_pending(&mut self, cx: &mut Context<F>, id: u64, reason: impl Fn(&RelPath) -> Reason) {
        if self.commits.of_batch(id).is_some() {
            let paths = self.inbox.batches.get(&id).into_iter().flat_map(|batch| batch.offers.keys());
            let why = reason_for_commit(paths, reason);
            self.refuse_commit(cx, id, why);
            return;
        }
        let Some(batch) = self.inbox.batches.remove(&id) else { return };
        self.transfer.fetching.retain(|_, by| *by != id);
        let life = batch.from;
        let mut owed = Vec::new();
        for (path, pending) in batch.offers {
            let reason = reason(&path);
            owed.push((path, pending.give_up(self.root.as_ref(), reason, cx.now.wall)));
        }
        for (path, owed) in owed {
            self.note_pending(cx, life, path, owed);
        }
        cx.stirred = true;
    }
}

/// The first path that is not on disk as it is recorded.
fn changed_on_disk<R: Root>(root: &R, steps: &[PreparedStep]) -> Option<RelPath> {
    let changed = |one: &&PreparedStep| {
        let there = synced(root, &one.step.path).ok().flatten();
        one.noted.is_none()
            && there.filter(|stat| stat.kind != Kind::Dir)
                != one.seen.map(|seen| seen.stat).filter(|stat| stat.kind != Kind::Dir)
    };
    steps.iter().find(changed).map(|one| one.step.path.clone())
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
        Some(Loser::Merged) => Why::Merged,
        Some(Loser::Seen) | None if !step.entry.is_live() => Why::Deleted,
        Some(Loser::Seen) | None => Why::Replaced,
    }
}

/// Whether mode, owner or time on disk must change for an entry whose content is here.
/// The time of a file that keeps its bytes, because only its shared form changes, stays.
fn attributes_differ<F: Fs>(
    fs: &F,
    record: Option<&Record>,
    entry: &Entry,
    keeps_time: bool,
    allow_setid: bool,
) -> bool {
    let Some(record) = record else { return true };
    if record.entry.same_fields(entry) {
        return false;
    }
    let wanted = attributes_of(fs, entry, allow_setid);
    let Some(DiskStat { mode, uid, gid, .. }) = record.disk else { return true };
    let mtime = record.disk.map(|disk| disk.mtime());
    wanted.mode.is_some_and(|wanted| wanted != mode)
        || wanted.owner.is_some_and(|wanted| wanted != (uid, gid))
        || wanted.mtime.is_some_and(|wanted| Some(wanted) != mtime && !keeps_time)
}
