//! Noticing what changed on disk: opening roots, scanning when it is time, and the guards that a scan must pass.

use crate::fs::scan::{Hint, Scan, Scanned};
use crate::fs::{Fs, FsError, Root};
use crate::model::reason::{Hold, LeftOut};
use crate::model::{Digest, Hasher, Kind, Now, Reason, RelPath, Set, ShareName, WallTime, limits};
use crate::node::api::Level;
use crate::node::edit::Edit;
use crate::node::land::Landing;
use crate::node::moved::moved;
use crate::node::{LinkId, Node, Output};
use crate::reconcile::safety::{self, ScanCounts};
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
                // What is staged is in the former directory, and its batches are received again.
                let swapped = share.root.is_some();
                if swapped {
                    share.landing = None;
                    share.scan = None;
                    share.batches.clear();
                    share.fetching.clear();
                    share.broken.clear();
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
                        // Scanned now, half of a batch would be recorded as edits of this node.
                        Some(Err(error)) => {
                            return self.hold_without_root(now, name, Hold::Interrupted(error.to_string()));
                        }
                        None => {}
                    }
                }
                share.root = Some(root);
                share.next_poll = now.mono;
                self.outputs.push_back(Output::Watch { share: name.clone() });
                if swapped && self.hold_of(name).is_none() {
                    self.listen_to_all(name);
                }
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

    /// A share's root cannot be opened.
    fn lose_root(&mut self, now: Now, name: &ShareName, error: &FsError) {
        if let Some(share) = self.shares.get_mut(name) {
            share.scan = None;
            if error.is_exhausted() && share.root.is_some() {
                // The directory is there, and what is on its way in is good: only descriptors are missing for a while.
                share.hints.add_all(now.mono);
                share.next_poll = now.mono.plus(limits::LOCK_TIME);
                return;
            }
        }
        self.hold_without_root(now, name, Hold::RootMissing(error.cause()));
    }

    /// A share's root cannot be used: nothing of it may be taken for deleted, or for an edit.
    fn hold_without_root(&mut self, now: Now, name: &ShareName, hold: Hold) {
        if let Some(share) = self.shares.get_mut(name) {
            share.scan = None;
            share.root = None;
            share.landing = None;
            share.batches.clear();
            share.fetching.clear();
            share.next_poll = now.mono.plus(self.settings.poll_interval.min(limits::LOCK_TIME));
        }
        self.hold_share(now, name, hold);
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
                if owes {
                    share.retry_at = now.mono.plus(share.retry_pause);
                    share.retry_pause = share.retry_pause.saturating_mul(2).min(limits::RETRY_OWED_MAX);
                } else {
                    share.retry_at = crate::model::Monotonic::NEVER;
                    share.retry_pause = limits::RETRY_OWED;
                }
                self.retry_owed(now, &name, false, |_, _, _| true);
            }
            let Some(share) = self.shares.get_mut(&name) else { continue };
            if share.broken_until() <= now.mono {
                // Of one moment: what is a little younger is about to go as well.
                share.drop_broken(now.mono);
            }
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
        // A part of a share says nothing about what holds the whole.
        let state = self.store.state().shares.get(name);
        let held = state.is_some_and(|state| state.meta.hold.is_some());
        let hints = share.hints.take().flatten().filter(|_| !poll && !held && !share.unseen && share.ready);
        if hints.is_none() {
            share.next_poll = now.mono.plus(self.settings.poll_interval);
        }
        share.generation = share.generation.wrapping_add(1);
        share.scan = Some(Scan::new(share.generation, hints, now));
        share.peeks = false;
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
        let peeks = share.peeks;
        let mut blank = crate::model::Index::default();
        let index = self.store.index_mut(name).unwrap_or(&mut blank);
        let rules = share.rules();
        match scan.step(root, index, &rules, now, budget) {
            Ok(None) => share.scan = Some(scan),
            Ok(Some(scanned)) if peeks => self.take_peek(now, name, &scanned),
            Ok(Some(scanned)) => self.take_scan(now, name, scanned, scan.started()),
            Err(error) => self.lose_root(now, name, &error),
        }
    }

    /// The guard that what a scan counted does not pass.
    pub(crate) fn guard(&mut self, now: Now, name: &ShareName, counts: ScanCounts) -> Option<Hold> {
        let share = self.shares.get_mut(name)?;
        let lately = share.deleted_lately(now.mono);
        let known_mount =
            self.store.state().shares.get(name).map(|state| state.meta.filesystem.clone()).unwrap_or_default();
        let other_mount = !known_mount.is_empty() && known_mount != share.place.filesystem;
        let first = share.unseen && !self.attended;
        let set_back = share.set_back && !self.attended;
        safety::check_scan(counts, share.settings.delete_guard, lately, other_mount, first, set_back)
    }

    /// A scan is over: through the guards with it, then into the index.
    fn take_scan(&mut self, now: Now, name: &ShareName, mut scanned: Scanned, started: WallTime) {
        scanned.counts.moved = self.moved_within(now, name, &scanned);
        let held = self.guard(now, name, scanned.counts);
        let Some(share) = self.shares.get_mut(name) else { return };
        let unseen = share.unseen;
        // Nothing that is absent from another directory was deleted, and nothing in it overwrites what others have.
        let other_dir = share.moved;
        let answer = share.answer.take();
        let before = self.hold_of(name).cloned();
        let held = match (held, &before) {
            // What vanished while owsync was running did not vanish while it was not.
            (Some(Hold::Replaced { changed: gone, known }), Some(Hold::MassDeletion { .. }))
                if scanned.counts.changed == 0 =>
            {
                Some(Hold::MassDeletion { gone, known })
            }
            (held, _) => held,
        };
        // What is written into an emptied share brings nothing back.
        let still_gone = scanned.counts.gone == scanned.counts.known && matches!(before, Some(Hold::Emptied { .. }));
        let waits = still_gone || before.as_ref().is_some_and(|hold| !hold.ends_by_itself());
        let mut answered = None;
        if let Some(hold) = held.or(before.filter(|_| waits)).filter(|_| !other_dir) {
            let content = self.held_content(name, &scanned);
            let covering = answer.as_ref().filter(|answer| answer.covers(&hold, content));
            answered = covering.map(|answer| answer.rejects);
            if covering.is_none() {
                if answer.is_some() {
                    let text = format!(
                        "share {name}: the hold changed since it was answered, so it needs a new answer: {hold}"
                    );
                    self.log(Level::Warning, text);
                }
                // What was found is found again when the user has decided, or the files are back.
                if let Some(share) = self.shares.get_mut(name) {
                    share.held_content = Some(content);
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
        self.record_scan(now, name, scanned, started, answered);
        if self.hold_of(name).is_some() {
            self.release_share(name);
        }
        self.become_ready(now, name);
    }

    /// How many of the files that a scan missed are still in the share under another path.
    ///
    /// The index is walked only where the number can decide something.
    pub(crate) fn moved_within(&mut self, now: Now, name: &ShareName, scanned: &Scanned) -> u64 {
        let counts = scanned.counts;
        let Some(share) = self.shares.get_mut(name) else { return 0 };
        let many = counts.gone.saturating_add(share.deleted_lately(now.mono)) >= limits::DELETE_GUARD_FILES;
        if counts.gone == 0 || !(many || counts.gone == counts.known || share.unseen) {
            return 0;
        }
        let Some(index) = self.store.state().shares.get(name).map(|state| &state.index) else { return 0 };
        let gone: Set<&RelPath> = scanned.gone.iter().collect();
        let found = scanned.found.iter().filter(|(_, finding)| finding.stat.kind != Kind::Dir);
        moved(index, &gone, &found.map(|(path, finding)| (path, finding.digest)).collect())
    }

    /// A digest of which paths a hold of what a scan found concerns, and what was found there.
    fn held_content(&self, name: &ShareName, scanned: &Scanned) -> Digest {
        let index = self.store.state().shares.get(name).map(|state| &state.index);
        let mut hasher = Hasher::new();
        let mut add = |path: &RelPath, digest: Digest| {
            hasher.update(path.as_bytes());
            hasher.update(&[0]);
            hasher.update(&digest.0);
        };
        for path in scanned.gone.iter().collect::<Set<&RelPath>>().iter() {
            add(path, Digest::NONE);
        }
        for (path, finding) in scanned.found.iter() {
            let was = index.and_then(|index| index.get(path)).filter(|record| record.is_awake_and_live());
            if was.is_some_and(|was| was.entry.has_content() && was.entry.digest != finding.digest) {
                add(path, finding.digest);
            }
        }
        hasher.finish()
    }

    /// What a scan found becomes entries. `answered`: a guard held it, and the user rejected (`true`) or approved it.
    fn record_scan(&mut self, now: Now, name: &ShareName, scanned: Scanned, started: WallTime, answered: Option<bool>) {
        let lost = scanned.counts.lost();
        let Scanned { found, gone, asleep, awake, absent, dropped, skipped, restless, full, .. } = scanned;
        let Some(share) = self.shares.get_mut(name) else { return };
        let place = share.place.filesystem.clone();
        let dir = share.settings.dir.clone();
        let moved = std::mem::take(&mut share.moved);
        let deleted = !moved && !gone.is_empty();
        let skipped_before = share.skipped.clone();
        if full {
            // Notes on paths that did land, and only their owner did not, outlive a scan.
            share.skipped.retain(|_, reason| matches!(reason, Reason::UnknownOwner(_)));
            share.skipped_more = LeftOut::default();
            share.unreadable_more = 0;
        } else {
            for path in found.keys().chain(&gone) {
                share.skipped.remove(path);
            }
            share.skipped.retain(|path, _| !absent.iter().any(|gone| path == gone || path.is_below(gone)));
        }
        let mut told = Vec::new();
        for (path, reason) in skipped {
            if share.note_skipped(&path, &reason) {
                told.push((path, reason));
            }
        }
        let span = limits::YOUNG_COARSE;
        let young: Vec<RelPath> =
            found.iter().filter(|(_, finding)| finding.young).map(|(path, _)| path.clone()).collect();
        if !young.is_empty() {
            // Read once more when another write could no longer hide behind the same time.
            let coarse = found.values().any(|finding| finding.young && finding.stat.ctime_ns % 1_000_000_000 == 0);
            share.relook.extend(young);
            share.relook_at = share.relook_at.min(now.mono.plus(if coarse { span } else { limits::YOUNG * 2 }));
        }
        share.restless.retain(|path, _| restless.contains(path));
        for path in restless {
            let reads = share.restless.get_or_insert(path.clone(), 0);
            *reads = reads.saturating_add(1);
            if *reads < limits::RESTLESS_READS {
                share.hints.add(now.mono, Hint { path, deep: true });
                continue;
            }
            let doublings = (*reads - limits::RESTLESS_READS).min(8);
            let pause = limits::LOCK_TIME.saturating_mul(1 << doublings).min(limits::RETRY_MAX);
            share.relook_at = share.relook_at.min(now.mono.plus(pause));
            let reason = Reason::Unreadable("it changes whenever it is read".into());
            if share.skipped.insert(path.clone(), reason.clone()).is_none() {
                told.push((path.clone(), reason));
            }
            share.relook.push(path);
        }
        share.note_deletions(now.mono, if moved { 0 } else { lost });
        if share.skipped != skipped_before {
            share.skipped_round += 1;
            // Peers are told how many paths are left out, and which.
            self.stirred = true;
        }
        // A full scan finds again what was skipped before.
        told.retain(|(path, reason)| skipped_before.get(path) != Some(reason));
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
            self.note_looked(name);
        }
        let mut edit = Edit::new(meta.past, started);
        edit.giving_up = answered == Some(true) || moved;
        edit.approved = answered == Some(false);
        for path in dropped {
            self.give_up(now, name, path, &mut edit);
        }
        for (path, sleep) in asleep {
            self.put_to_sleep(now, name, path, sleep, &mut edit);
        }
        for path in &absent {
            self.reconsider(name, path);
        }
        for path in awake {
            self.record_awake(now, name, path, &mut edit);
        }
        // Only hooks are told which paths that were.
        let has_hook = self.has_hook(name);
        let mut changed = Vec::new();
        let given_up = match self.shares.get_mut(name) {
            Some(share) => std::mem::take(&mut share.given_up),
            None => Set::new(),
        };
        let all = edit.giving_up;
        for path in gone {
            let (before, told) = (edit.count, has_hook.then(|| path.clone()));
            edit.giving_up = all || given_up.contains(&path);
            self.record_gone(now, name, path, &mut edit);
            changed.extend(told.filter(|_| edit.count > before));
        }
        for (path, finding) in found {
            let (before, told) = (edit.count, has_hook.then(|| path.clone()));
            edit.giving_up = all || given_up.contains(&path);
            self.record_found(now, name, path, finding, &mut edit);
            changed.extend(told.filter(|_| edit.count > before));
        }
        edit.giving_up = all || !given_up.is_empty();
        self.tell_before_send(name, changed);
        if let Some(share) = self.shares.get_mut(name).filter(|_| full) {
            // Only now: what is gone went since the scan before this one.
            share.last_scan = started;
        }
        if edit.giving_up {
            self.hear_again(name);
        }
        if full || deleted {
            self.settle_kept_dirs(now, name);
        }
        if full && self.crosses(name) {
            // A person's sync found all there is to find, or the share waits for nobody any more.
            self.let_go(now, name);
        }
        if meta.past {
            let (paths, count) = std::mem::take(&mut edit.to_send);
            self.begin_delivery(now, name, paths, count);
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
        self.listen_to_all(name);
    }

    /// Asks every connected peer anew for what was not received of a share.
    fn listen_to_all(&mut self, name: &ShareName) {
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
        // What checks here may be another program than before, or find other things in place.
        self.check_again(now, name);
        let links: Vec<LinkId> = self.links.iter().filter(|(_, link)| link.is_admitted()).map(|(id, _)| *id).collect();
        for id in links {
            if self.links.get(&id).is_some_and(|link| link.exchanges.contains_key(name)) {
                self.listen(id, name);
            } else {
                self.begin_exchange(now, id, name);
            }
        }
    }
}

/// Whether so much changed before a person started this run that they should hear of it.
fn set_back_report(scanned: &Scanned) -> bool {
    let counts = scanned.counts;
    counts.known >= limits::REPLACED_FILES && (counts.gone + counts.changed) * 10 >= counts.known * 9
}
