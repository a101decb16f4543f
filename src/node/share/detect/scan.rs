//! Opens the directory of a share, scans it when it is time, and passes what it finds through the guards.

use crate::fs::scan::{Hint, Scan, Scanned};
use crate::fs::{Fs, FsError, Root};
use crate::model::reason::{Hold, LeftOut};
use crate::model::{Digest, Hasher, Kind, Monotonic, Reason, RelPath, Set, WallTime, limits};
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::detect::edit::Edit;
use crate::node::share::detect::renames::moved;
use crate::node::share::forms::found::Purpose;
use crate::node::share::inbox::batch::Batch;
use crate::node::share::transaction::apply::Landing;
use crate::node::share::{Lifecycle, Share};
use crate::node::{LinkId, Output};
use crate::reconcile::safety::{self, ScanCounts};
use crate::store::state::{Change, Ledger, ShareMeta};

impl<F: Fs> Share<F> {
    /// Begins a scan that is due, and tries again what is pending.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let now = cx.now;
        if self.transaction.landing.as_ref().is_some_and(|landing| landing.retry_at() <= now.mono) {
            self.continue_transaction(cx);
        }
        let waited = |batch: &&mut Batch<F::Root>| batch.not_before > Monotonic(0) && batch.not_before <= now.mono;
        for batch in self.inbox.batches.values_mut().filter(waited) {
            batch.not_before = Monotonic(0);
            cx.stirred = true;
        }
        if self.inbox.retry_at <= now.mono {
            if cx.store.share(&self.name).owed.is_empty() {
                self.inbox.retry_at = Monotonic::NEVER;
                self.inbox.retry_pause = limits::RETRY_OWED;
            } else {
                self.inbox.retry_at = now.mono.plus(self.inbox.retry_pause);
                self.inbox.retry_pause = self.inbox.retry_pause.saturating_mul(2).min(limits::RETRY_OWED_MAX);
            }
            self.retry_pending(cx, peers, false, |_, _, _| true);
        }
        self.ask_uncommitted_again(cx);
        if self.partial_until() <= now.mono {
            // Of one moment: what is a little younger is about to go as well.
            self.drop_partial(now.mono);
        }
        if self.detect.relook_at <= now.mono {
            self.detect.relook_at = Monotonic::NEVER;
            for path in std::mem::take(&mut self.detect.relook) {
                self.detect.hints.add(now.mono, Hint { path, deep: false });
            }
        }
        if self.scan_due(cx.settings.settle) <= now.mono {
            self.begin_scan(cx, peers);
        }
    }

    /// Opens a share's root, or finds out why that is not possible.
    pub(crate) fn open_share(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let name = &self.name.clone();
        let opened = cx.fs.open(&self.settings.dir).and_then(|root| root.place().map(|place| (root, place)));
        match opened {
            Ok((root, place)) => {
                let moved = self.root.is_none() || self.place.identity != place.identity;
                if !moved {
                    return;
                }
                // What is staged is in the former directory, and its batches are received again.
                let swapped = self.root.is_some();
                if swapped {
                    self.transaction.landing = None;
                    self.detect.scan = None;
                    self.inbox.batches.clear();
                    self.transfer.fetching.clear();
                    self.transfer.partial.clear();
                }
                self.place = place;
                let landing = cx.store.share(name).landing.clone();
                let keep = landing
                    .iter()
                    .flat_map(|landing| landing.steps.iter().filter_map(|step| step.staged.clone()))
                    .collect();
                let swept = self.staging.sweep(&root, &keep);
                if let (Some(record), None) = (&landing, &self.transaction.landing) {
                    // A crash interrupted it: complete it before anything is looked at.
                    match Landing::resume(record, &root, &cx.store.share(name).index) {
                        Ok(landing) => self.transaction.landing = Some(landing),
                        // Scanned now, half of a batch would be recorded as edits of this node.
                        Err(error) => {
                            return self.hold_without_root(cx, peers, Hold::Interrupted(error.to_string()));
                        }
                    }
                }
                self.root = Some(root);
                self.roll_back_found_commit(cx);
                self.detect.next_poll = cx.now.mono;
                cx.outputs.push_back(Output::Watch { share: name.clone() });
                if swapped && cx.hold_of(name).is_none() {
                    self.request_all_indexes(cx, peers);
                }
                match swept {
                    Ok(0) => {}
                    Ok(count) => cx
                        .log(Level::Notice, format!("share {name}: removed {count} temporary files of an earlier run")),
                    Err(error) => cx.log(
                        Level::Warning,
                        format!("share {name}: temporary files of an earlier run cannot be removed: {error}"),
                    ),
                }
            }
            Err(error) => self.lose_root(cx, peers, &error),
        }
    }

    /// A share's root cannot be opened.
    fn lose_root(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, error: &FsError) {
        self.detect.scan = None;
        if error.is_exhausted() && self.root.is_some() {
            // The directory is there, and what is on its way in is good: only descriptors are missing for a while.
            self.detect.hints.add_all(cx.now.mono);
            self.detect.next_poll = cx.now.mono.plus(limits::LOCK_TIME);
            return;
        }
        self.hold_without_root(cx, peers, Hold::RootMissing(error.cause()));
    }

    /// A share's root cannot be used: nothing of it may be taken for deleted, or for an edit.
    fn hold_without_root(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, hold: Hold) {
        self.detect.scan = None;
        self.root = None;
        self.transaction.landing = None;
        self.inbox.batches.clear();
        self.transfer.fetching.clear();
        self.detect.next_poll = cx.now.mono.plus(cx.settings.poll_interval.min(limits::LOCK_TIME));
        self.hold_share(cx, peers, hold);
    }

    /// Begins to look at what was hinted at, or at everything.
    fn begin_scan(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let name = &self.name.clone();
        self.open_share(cx, peers);
        if self.root.is_none() {
            return;
        }
        let poll = self.detect.next_poll <= cx.now.mono;
        // A part of a share says nothing about what holds the whole.
        let held = cx.hold_of(name).is_some();
        let hints = self.detect.hints.take().flatten().filter(|_| !poll && !held && self.is_ready());
        if hints.is_none() {
            self.detect.next_poll = cx.now.mono.plus(cx.settings.poll_interval);
        }
        self.detect.generation = self.detect.generation.wrapping_add(1);
        self.detect.scan = Some(Scan::new(self.detect.generation, hints, cx.now));
        self.detect.peeks = false;
    }

    /// Goes on with a share's scan.
    pub(crate) fn continue_scan(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, budget: usize) {
        let name = &self.name.clone();
        // What is in place and not recorded yet would be taken for an edit made here.
        if self.transaction.landing.is_some() {
            return;
        }
        let (Some(mut scan), Some(root)) = (self.detect.scan.take(), &self.root) else { return };
        let _ = root.place();
        let peeks = self.detect.peeks;
        let mut blank = crate::model::Index::default();
        let index = cx.store.index_mut(name).unwrap_or(&mut blank);
        let rules = self.rules();
        match scan.step(root, index, &rules, cx.now, budget) {
            Ok(None) => self.detect.scan = Some(scan),
            Ok(Some(mut scanned)) if peeks => {
                self.form_findings(cx, &mut scanned, Purpose::Preview);
                self.take_peek(cx, &scanned);
            }
            Ok(Some(mut scanned)) => {
                self.form_findings(cx, &mut scanned, Purpose::Record);
                self.take_scan(cx, peers, scanned, scan.started());
            }
            Err(error) => self.lose_root(cx, peers, &error),
        }
    }

    /// The guard that what a scan counted does not pass.
    pub(crate) fn guard(&mut self, cx: &mut Context<F>, counts: ScanCounts) -> Option<Hold> {
        let name = &self.name.clone();
        let lately = self.detect.guards.deletions.lately(cx.now.mono);
        let known_mount = cx.store.share(name).meta.filesystem.clone();
        let other_mount = !known_mount.is_empty() && known_mount != self.place.filesystem;
        let first = self.is_new() && !cx.attended;
        let set_back = self.detect.set_back && !cx.attended;
        safety::check_scan(counts, self.settings.delete_guard, lately, other_mount, first, set_back)
    }

    /// A scan is over: through the guards with it, then into the index.
    fn take_scan(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, mut scanned: Scanned, started: WallTime) {
        let name = &self.name.clone();
        scanned.counts.moved = self.moved_within(cx, &scanned);
        let held = self.guard(cx, scanned.counts);
        let unseen = self.is_new();
        // Nothing that is absent from another directory was deleted, and nothing in it overwrites what others have.
        let other_dir = self.detect.moved;
        let answer = self.detect.guards.answer.take();
        let before = cx.hold_of(name).cloned();
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
            let content = self.held_content(cx, &scanned);
            let covering = answer.as_ref().filter(|answer| answer.covers(&hold, content));
            answered = covering.map(|answer| answer.rejects);
            if covering.is_none() {
                if answer.is_some() {
                    let text =
                        format!("share {name}: the hold changed after it was answered and needs a new answer: {hold}");
                    cx.log(Level::Warning, text);
                }
                // What was found is found again when the user has decided, or the files are back.
                {
                    self.detect.guards.held_content = Some(content);
                    self.detect.scan = None;
                    if scanned.full {
                        self.detect.next_poll = cx.now.mono.plus(cx.settings.poll_interval.min(limits::LOCK_TIME));
                    } else {
                        self.detect.hints.add_all(cx.now.mono);
                    }
                }
                self.hold_share(cx, peers, hold);
                return;
            }
        }
        if cx.attended && unseen && set_back_report(&scanned) {
            let counts = scanned.counts;
            cx.log(
                Level::Warning,
                format!(
                    "share {name}: {} of {} files changed or vanished since owsync last ran",
                    counts.gone + counts.changed,
                    counts.known
                ),
            );
        }
        self.record_scan(cx, peers, scanned, started, answered);
        if cx.hold_of(name).is_some() {
            self.release_share(cx, peers);
        }
        self.become_ready(cx, peers);
    }

    /// How many of the files that a scan missed are still in the share under another path.
    ///
    /// The index is walked only where the number can decide something.
    pub(crate) fn moved_within(&mut self, cx: &mut Context<F>, scanned: &Scanned) -> u64 {
        let name = &self.name.clone();
        let counts = scanned.counts;
        let many =
            counts.gone.saturating_add(self.detect.guards.deletions.lately(cx.now.mono)) >= limits::DELETE_GUARD_FILES;
        if counts.gone == 0 || !(many || counts.gone == counts.known || self.is_new()) {
            return 0;
        }
        let index = &cx.store.share(name).index;
        let gone: Set<&RelPath> = scanned.gone.iter().collect();
        let found = scanned.found.iter().filter(|(_, finding)| finding.stat.kind != Kind::Dir);
        moved(index, &gone, &found.map(|(path, finding)| (path, finding.digest)).collect())
    }

    /// A digest of which paths a hold of what a scan found concerns, and what was found there.
    fn held_content(&self, cx: &Context<F>, scanned: &Scanned) -> Digest {
        let name = &self.name.clone();
        let index = Some(&cx.store.share(name).index);
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
    fn record_scan(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        scanned: Scanned,
        started: WallTime,
        answered: Option<bool>,
    ) {
        let name = &self.name.clone();
        let lost = scanned.counts.lost();
        let Scanned { found, gone, asleep, awake, absent, dropped, skipped, restless, full, .. } = scanned;
        let place = self.place.filesystem.clone();
        let dir = self.settings.dir.clone();
        let moved = std::mem::take(&mut self.detect.moved);
        let deleted = !moved && !gone.is_empty();
        let skipped_before = self.detect.skipped.listed.clone();
        if full {
            // Notes on paths that did land, and only their owner did not, outlive a scan.
            self.detect.skipped.listed.retain(|_, reason| matches!(reason, Reason::UnknownOwner(_)));
            self.detect.skipped.more = LeftOut::default();
            self.detect.skipped.unreadable_more = 0;
        } else {
            for path in found.keys().chain(&gone) {
                self.detect.skipped.listed.remove(path);
            }
            self.detect.skipped.listed.retain(|path, _| !absent.iter().any(|gone| path == gone || path.is_below(gone)));
        }
        let mut told = Vec::new();
        for (path, reason) in skipped {
            if self.detect.skipped.note(&path, &reason) {
                told.push((path, reason));
            }
        }
        let span = limits::YOUNG_COARSE;
        let young: Vec<RelPath> =
            found.iter().filter(|(_, finding)| finding.young).map(|(path, _)| path.clone()).collect();
        if !young.is_empty() {
            // Read once more when another write could no longer hide behind the same time.
            let coarse = found.values().any(|finding| finding.young && finding.stat.ctime_ns % 1_000_000_000 == 0);
            self.detect.relook.extend(young);
            self.detect.relook_at =
                self.detect.relook_at.min(cx.now.mono.plus(if coarse { span } else { limits::YOUNG * 2 }));
        }
        self.detect.restless.retain(|path, _| restless.contains(path));
        for path in restless {
            let reads = self.detect.restless.get_or_insert(path.clone(), 0);
            *reads = reads.saturating_add(1);
            if *reads < limits::RESTLESS_READS {
                self.detect.hints.add(cx.now.mono, Hint { path, deep: true });
                continue;
            }
            let doublings = (*reads - limits::RESTLESS_READS).min(8);
            let pause = limits::LOCK_TIME.saturating_mul(1 << doublings).min(limits::RETRY_MAX);
            self.detect.relook_at = self.detect.relook_at.min(cx.now.mono.plus(pause));
            let reason = Reason::Unreadable("it changes during every read".into());
            if self.detect.skipped.listed.insert(path.clone(), reason.clone()).is_none() {
                told.push((path.clone(), reason));
            }
            self.detect.relook.push(path);
        }
        self.detect.guards.deletions.note(cx.now.mono, if moved { 0 } else { lost });
        if self.detect.skipped.listed != skipped_before {
            self.detect.skipped.round += 1;
            // Peers are told how many paths are left out, and which.
            cx.stirred = true;
        }
        // A full scan finds again what was skipped before.
        told.retain(|(path, reason)| skipped_before.get(path) != Some(reason));
        for (path, reason) in told {
            let level = if reason.is_choice() { Level::Notice } else { Level::Warning };
            cx.log(level, format!("share {name}: {path}: {reason}"));
        }
        let meta = cx.store.share(name).meta.clone();
        let meta = ShareMeta { past: meta.past && !moved, filesystem: place, dir, ..meta };
        if cx.store.share(name).meta != meta {
            cx.store.change_lazily(Change::Share(name.clone(), meta.clone()));
        }
        if full {
            cx.note_looked(name);
            self.forms.reread = false;
        }
        let mut edit = Edit::new(meta.past);
        edit.giving_up = answered == Some(true) || moved;
        edit.approved = answered == Some(false);
        for path in dropped {
            self.give_up(cx, path, &mut edit);
        }
        for (path, sleep) in asleep {
            self.put_to_sleep(cx, path, sleep, &mut edit);
        }
        for path in &absent {
            self.reconsider(cx, path);
        }
        for path in awake {
            self.record_awake(cx, path, &mut edit);
        }
        // Only hooks are told which paths that were.
        let has_hook = self.has_hook(cx);
        let mut changed = Vec::new();
        let given_up = std::mem::take(&mut self.detect.given_up);
        let all = edit.giving_up;
        for path in gone {
            let (before, told) = (edit.count, has_hook.then(|| path.clone()));
            edit.giving_up = all || given_up.contains(&path);
            self.record_gone(cx, path, &mut edit);
            changed.extend(told.filter(|_| edit.count > before));
        }
        for (path, finding) in found {
            let (before, told) = (edit.count, has_hook.then(|| path.clone()));
            edit.giving_up = all || given_up.contains(&path);
            self.record_found(cx, path, finding, &mut edit);
            changed.extend(told.filter(|_| edit.count > before));
        }
        edit.giving_up = all || !given_up.is_empty();
        self.keep_former(cx, std::mem::take(&mut edit.former));
        self.tell_before_send(cx, changed);
        if full {
            // Only now: what is gone went since the scan before this one.
            self.detect.last_scan = started;
        }
        if edit.giving_up {
            self.receive_again(cx, peers);
        }
        if full || deleted {
            self.settle_kept_dirs(cx);
        }
        if full && self.crosses(cx) {
            // A person's sync found all there is to find, or the share waits for nobody any more.
            self.let_go(cx);
        }
        if meta.past {
            let (paths, count) = std::mem::take(&mut edit.to_send);
            self.begin_delivery(cx, paths, count);
        }
        if edit.count > 0 {
            cx.counters.edited += edit.count;
            cx.log(Level::Debug, format!("share {name}: {} paths changed here", edit.count));
            cx.stirred = true;
        }
    }

    /// Hears everything of a share again, from every peer.
    pub(crate) fn receive_again(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let name = &self.name.clone();
        let ledgers = cx.store.share(name).ledgers.clone();
        for (node, ledger) in ledgers {
            cx.forget_pending_from(name, node);
            cx.store.change(Change::Ledger(name.clone(), node, Ledger { heard: 0, ..ledger }));
        }
        self.drop_batches(|_| true);
        self.request_all_indexes(cx, peers);
    }

    /// Asks every connected peer anew for what was not received of a share.
    fn request_all_indexes(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let name = &self.name.clone();
        let links: Vec<LinkId> = peers
            .links
            .iter()
            .filter(|(_, link)| link.exchanges.get(name).is_some_and(|exchange| exchange.listening))
            .map(|(id, _)| *id)
            .collect();
        for id in links {
            self.listen(cx, peers, id);
        }
    }

    /// A scan was recorded: the share may take part from here on.
    fn become_ready(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let name = &self.name.clone();
        let before = std::mem::replace(&mut self.life, Lifecycle::Ready);
        self.detect.set_back = false;
        if before == Lifecycle::Ready {
            return;
        }
        self.load_packages(cx, None);
        cx.stirred = true;
        // What checks here may be another program than before, or find other things in place.
        self.check_again(cx);
        let links: Vec<LinkId> = peers.links.iter().filter(|(_, link)| link.is_admitted()).map(|(id, _)| *id).collect();
        for id in links {
            if peers.links.get(&id).is_some_and(|link| link.exchanges.contains_key(name)) {
                self.listen(cx, peers, id);
            } else {
                self.begin_exchange(cx, peers, id);
            }
        }
    }
}

/// Whether so much changed before a person started this run that they should hear of it.
fn set_back_report(scanned: &Scanned) -> bool {
    let counts = scanned.counts;
    counts.known >= limits::REPLACED_FILES && (counts.gone + counts.changed) * 10 >= counts.known * 9
}
