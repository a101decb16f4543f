//! Carries a transaction from its first line in the journal to its last, and reports what was applied.

use crate::fs::{Fs, FsError, Root};
use crate::model::{Digest, Entry, Kind, LostBy, Map, NodeId, Reason, Record, RelPath, Sleep, limits};
use crate::node::Output;
use crate::node::api::{Event, Level, Tree};
use crate::node::context::Context;
use crate::node::context::notices::{LostKind, LostNews};
use crate::node::share::Share;
use crate::node::share::inbox::batch::Content;
use crate::node::share::transaction::apply::{Landing, Phase, reason_of};
use crate::node::share::transaction::keep::Unkept;
use crate::node::share::transaction::merge::Report;
use crate::node::share::transaction::step::{Op, Outcome};
use crate::store::state::{Cause, Change, LandingRecord, LandingStep, Trial, TrialStep, Why};

/// Why a transaction was not begun; nothing has changed then.
pub(crate) enum NotBegun {
    /// Staged files were removed.
    Vanished,
    /// The system refused to flush the content of this path.
    Refused(RelPath, Reason),
    /// The database cannot be written.
    Database,
}

impl<F: Fs> Share<F> {
    /// Goes on with a share's landing.
    pub(crate) fn continue_transaction(&mut self, cx: &mut Context<F>) {
        let (Some(root), Some(landing)) = (&self.root, &mut self.transaction.landing) else { return };
        if !landing.can_work(cx.now.mono) {
            return;
        }
        // Each step of work resolves its paths anew.
        let _ = root.place();
        if !landing.step(&cx.fs, root, self.settings.allow_setuid) {
            return;
        }
        match landing.phase.clone() {
            Phase::Applying | Phase::Undoing(..) => {}
            Phase::InPlace => self.note_in_place(cx),
            Phase::Keeping => self.keep_and_record(cx),
            Phase::Undone(path, reason) => self.end_rolled_back(cx, &path, reason),
        }
    }

    /// Everything of a commit is in place, in no index: services use it from here on.
    fn note_in_place(&mut self, cx: &mut Context<F>) {
        let Some(landing) = &self.transaction.landing else { return };
        let in_place = |op: &&Op| op.outcome == Outcome::Done;
        let paths: Vec<RelPath> = landing.ops.iter().filter(in_place).map(|op| op.step.path.clone()).collect();
        let begun = landing.begun;
        self.note_commit_applied(cx);
        cx.outputs.push_back(Output::Landed { share: self.name.clone(), paths, begun });
    }

    /// Flushes what is staged and writes the landing down, so that a crash from here on can be completed.
    ///
    /// # Errors
    /// Why nothing was begun: only trouble of the database concerns more than this batch.
    pub(crate) fn journal_landing(&mut self, cx: &mut Context<F>, record: &LandingRecord) -> Result<(), NotBegun> {
        let name = &self.name.clone();
        self.flush_staged(record)?;
        cx.store.change(Change::Landing(name.clone(), Box::new(record.clone())));
        cx.store.commit().map_err(|error| {
            cx.store.change(Change::Landed(name.clone()));
            cx.note_store_trouble(error);
            NotBegun::Database
        })
    }

    /// Flushes the staged files of a transaction.
    fn flush_staged(&self, record: &LandingRecord) -> Result<(), NotBegun> {
        let Some(root) = &self.root else { return Ok(()) };
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
        root.sync_dir(Some(self.staging.dir())).map_err(|error| failed(first, error))
    }

    /// A batch could not begin to be applied: only what the reason concerns waits.
    pub(crate) fn not_begun(&mut self, cx: &mut Context<F>, id: u64, why: NotBegun) {
        let name = &self.name.clone();
        match why {
            NotBegun::Refused(path, reason) => self.fail_path(cx, id, &path, reason),
            NotBegun::Database => {
                if let Some(batch) = self.inbox.batches.get_mut(&id) {
                    batch.not_before = cx.now.mono.plus(limits::LOCK_TIME);
                }
            }
            NotBegun::Vanished => {
                let (Some(root), Some(batch)) = (&self.root, self.inbox.batches.get_mut(&id)) else { return };
                let reachable = batch.link.is_some();
                batch.not_before = cx.now.mono.plus(limits::LOCK_TIME);
                self.staging.check(root);
                for (path, pending) in batch.offers.iter_mut() {
                    let Content::Staged(staged) = &pending.content else { continue };
                    if matches!(root.stat(staged), Ok(None)) {
                        pending.content = Content::Wanted;
                        batch.unasked.push_back(path.clone());
                    }
                }
                cx.log(
                    Level::Warning,
                    format!("share {name}: temporary files were removed by another process; they are fetched again"),
                );
                if !reachable {
                    self.note_batch_pending(cx, id, |_| Reason::NotSupplied("it is not connected".into()));
                }
                cx.stirred = true;
            }
        }
    }

    /// Everything is in place: old files to history, then the records, then everybody may know.
    fn keep_and_record(&mut self, cx: &mut Context<F>) {
        let Some(mut landing) = self.transaction.landing.take() else { return };
        // The new files must be there for good before the old ones are touched: a history object has another mode, and after
        // a power cut it could otherwise lie where the old file lay.
        if let Err(error) = self.flush_dirs(&mut landing) {
            return self.retry_end(cx, landing, &format!("what was applied cannot be flushed: {error}"));
        }
        match self.keep_replaced(cx, &landing) {
            Ok(()) => self.record_landing(cx, landing),
            Err(Unkept { path, error }) => {
                // Nothing may replace what is kept nowhere: this batch goes back and waits, the share goes on.
                let reason = if error.is_full() {
                    Reason::HistoryFull
                } else {
                    Reason::Unwritable(format!("the history cannot keep the replaced content: {}", error.cause()))
                };
                self.give_back(cx, &landing);
                landing.undo_all(path, reason);
                self.transaction.landing = Some(landing);
            }
        }
    }

    pub(crate) fn flush_dirs(&self, landing: &mut Landing) -> Result<(), FsError> {
        let Some(root) = self.root.as_ref() else { return Ok(()) };
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
    pub(crate) fn record_landing(&mut self, cx: &mut Context<F>, landing: Landing) {
        let name = &self.name.clone();
        self.answer_request(cx, &landing);
        let mut trial = Vec::new();
        let (batch_id, from, cause) = (landing.batch, landing.from, landing.cause);
        let (run, confirm, begun, moved) = (landing.run, landing.confirm, landing.begun, landing.moved);
        let life = batch_id.and_then(|id| self.inbox.batches.get(&id)).map(|batch| batch.from);
        let life = life.filter(|life| life.node != cx.identity.id);
        // Its peer's database may have begun anew since: then nobody else has what it brought.
        let is_over = life.is_some_and(|life| !cx.is_current(name, life));
        let offered: Map<RelPath, (Option<Entry>, Option<u64>, bool)> =
            match batch_id.and_then(|id| self.inbox.batches.get(&id)) {
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
        let mut merges: Map<RelPath, (Report, Digest)> = match batch_id.and_then(|id| self.inbox.batches.get(&id)) {
            Some(batch) => batch
                .offers
                .iter()
                .filter_map(|(path, pending)| Some((path.clone(), pending.merging.as_ref()?.to_report())))
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
                cx.log(Level::Warning, text);
            }
            if !matches!(outcome, Outcome::Done | Outcome::Noted) {
                match batch_id {
                    Some(_) => self.request_again(batch_id, &step.path, step.staged.as_ref()),
                    // No batch knows of what a landing that a crash interrupted leaves staged; its peer offers it again.
                    None => self.leftovers(step.staged.as_ref()),
                }
                merges.remove(&step.path);
                again.push(step.path);
                continue;
            }
            let before = cx.store.share(name).index.get(&step.path).cloned();
            let seq = cx.store.next_seq(cx.now.wall);
            let first = *number.get_or_insert(seq);
            let as_offered = offered.get(&step.path).is_some_and(|(entry, _, _)| entry.as_ref() == Some(&step.entry));
            let mut record = Record {
                seq,
                batch: first,
                recorded: cx.now.wall,
                from: life.filter(|_| as_offered),
                pending: (matches!(cause, Cause::Restored | Cause::Undone | Cause::Merged) && !self.crosses(cx))
                    || (outcome == Outcome::Noted && before.as_ref().is_some_and(|before| before.pending))
                    // A merge that may be rolled back is not offered yet.
                    || (confirm > 0 && outcome == Outcome::Done && merges.contains_key(&step.path)),
                young: in_place,
                approved: offered.get(&step.path).is_some_and(|(_, _, approved)| *approved),
                local: step.local,
                ..Record::new(step.entry.clone(), disk)
            };
            if before.as_ref().is_some_and(|before| before.local.is_some()) && outcome == Outcome::Done {
                // The file that was replaced, unless the history took it.
                self.leftovers(step.staged.as_ref());
            }
            if let Some(formed) = batch_id.and_then(|id| self.inbox.batches.get(&id)?.forms.get(&step.path)) {
                record.young |= formed.is_edit;
                if formed.is_edit {
                    self.detect.hints.add(cx.now.mono, crate::fs::scan::Hint { path: step.path.clone(), deep: false });
                }
                if step.drops_local && outcome == Outcome::Done {
                    cx.report_dropped(name, &step.path, &formed.dropped);
                }
            } else if step.drops_local && outcome == Outcome::Done {
                cx.report_dropped(name, &step.path, &[]);
            }
            cx.forms_stirred |= record.local.is_some() || before.as_ref().is_some_and(|before| before.local.is_some());
            record.sections = match &before {
                Some(before) if before.entry.same_content(&record.entry) => before.sections,
                _ => self.sections_at(&step.path, &record),
            };
            record.seen = self.detect.generation;
            self.outgoing.top = seq;
            if let Some(scan) = &mut self.detect.scan {
                scan.overtake(&step.path);
                self.detect.hints.add(cx.now.mono, crate::fs::scan::Hint { path: step.path.clone(), deep: false });
            }
            if in_place {
                self.detect.relook.push(step.path.clone());
                self.detect.relook_at = self.detect.relook_at.min(cx.now.mono.plus(limits::YOUNG_COARSE));
            }
            let peers = cause == Cause::Offered;
            if step.old.is_some() && self.detect.guards.flaps.note(cx.now.mono, &step.path, !peers) && peers {
                record.sleep = Some(Sleep::Flapping);
            }
            first_sync |= step.why == Some(Why::FirstContact);
            if confirm > 0 && outcome == Outcome::Done && cause != Cause::Committed {
                let was = before.as_ref().map_or_else(
                    || Entry::tombstone(Default::default(), Default::default()),
                    |before| before.entry.clone(),
                );
                trial.push(TrialStep { path: step.path.clone(), was, version: record.entry.version.clone() });
            }
            // What goes back here was told of when it began.
            if cause != Cause::TakenBack {
                self.note_lost(cx, &step, before.as_ref(), &record, &mut news);
            }
            deleted += u64::from(
                before.as_ref().is_some_and(|b| b.entry.has_content() && b.sleep.is_none()) && !record.entry.is_live(),
            );
            if before.is_none_or(|b| !b.entry.same_fields(&record.entry)) {
                landed.push(step.path.clone());
            }
            cx.store.change(Change::Record(name.clone(), step.path.clone(), record));
            if let (Some((_, Some(seq), _)), Some(node)) = (offered.get(&step.path), from) {
                cx.pay(name, node, &step.path, *seq);
            }
            if let Some(node) = life.map(|life| life.node).filter(|_| is_over) {
                self.disown(cx, node, Some(&step.path));
            }
            self.drop_offer(batch_id, &step.path);
            self.reconsider(cx, &step.path);
        }
        cx.store.change(Change::Landed(name.clone()));
        cx.report_lost(cx.now, name, from, news);
        self.report_merges(cx, from, merges);
        if let Some(from) = from.filter(|_| cause != Cause::Committed) {
            self.begin_confirmation(
                cx,
                Trial { run, from, secs: confirm, first: first_sync, steps: trial },
                batch_id.is_none(),
            );
        } else if cause == Cause::TakenBack {
            self.note_rolled_back(cx, again.first());
        }
        let by_person = batch_id.and_then(|id| self.inbox.batches.get(&id)).is_some_and(|batch| batch.by_person);
        if !by_person && cause == Cause::Offered {
            self.detect.guards.deletions.note(cx.now.mono, deleted.saturating_sub(moved));
        }
        for path in again {
            // Look at it first, then decide again.
            self.detect.hints.add(cx.now.mono, crate::fs::scan::Hint { path, deep: true });
        }
        if let Some(id) = batch_id {
            if let Some(batch) = self.inbox.batches.get_mut(&id) {
                batch.not_before = cx.now.mono.plus(cx.settings.settle.quiet * 2);
            }
            self.inbox.batches.retain(|_, batch| !batch.offers.is_empty());
        }
        self.drop_known_offers(cx, &landed);
        if !landed.is_empty() {
            self.load_packages(cx, Some(&landed));
            self.settle_kept_dirs(cx);
        }
        if cause == Cause::Committed {
            self.note_commit_kept(cx);
        }
        cx.counters.landed += landed.len() as u64;
        cx.counters.deleted += deleted;
        if !landed.is_empty() {
            if cause != Cause::Committed {
                // Of a commit it was said when it was put in place.
                cx.outputs.push_back(Output::Landed { share: name.clone(), paths: landed.clone(), begun });
            }
            self.report_applied(cx, from, cause, &landed);
        }
        cx.prune_history();
        cx.stirred = true;
    }

    fn report_applied(&mut self, cx: &mut Context<F>, from: Option<NodeId>, cause: Cause, landed: &[RelPath]) {
        let name = &self.name;
        let peer = from.map(|node| cx.node_label(node));
        let changes = if landed.len() == 1 { "1 change".to_string() } else { format!("{} changes", landed.len()) };
        let what = match (cause, &peer) {
            (Cause::Offered, Some(peer)) => format!("applied {changes} from {peer}"),
            (Cause::Offered, None) => format!("applied {changes} of an interrupted batch"),
            (Cause::Restored, _) => format!("restored {changes}"),
            (Cause::Undone, _) => format!("undid {changes}"),
            (Cause::Merged, _) => "merged a previous version into".to_string(),
            (Cause::TakenBack, _) => format!("rolled back {changes}"),
            (Cause::Committed, Some(peer)) => format!("kept {changes} committed on {peer}"),
            (Cause::Committed, None) => format!("kept {changes} committed here"),
        };
        let some: Vec<String> = landed.iter().take(4).map(RelPath::to_text).collect();
        let more = landed.len().saturating_sub(some.len());
        let list = if more > 0 { format!("{} and {more} more", some.join(", ")) } else { some.join(", ") };
        let line = format!("share {name}: {what}: {list}");
        match from {
            Some(node) => {
                cx.log_of_peer(cx.now, node, Level::Notice, line);
            }
            None => cx.log(Level::Notice, line),
        }
        let paths: Vec<Tree> = landed.iter().take(limits::OWED_TOLD).map(|path| Tree::Text(path.to_text())).collect();
        let details = Tree::map()
            .with("share", name.to_string())
            .with("peer", peer.unwrap_or_else(|| cx.settings.name.clone()))
            .with("cause", cause.word())
            .with("files", landed.len())
            .with("paths", paths);
        cx.tell(Event { name: "owsync.synced", at: cx.now.wall, text: format!("{name}: {what}: {list}"), details });
    }

    /// Notes what a landed path says of changes that gave way, once per change and node.
    fn note_lost(
        &mut self,
        cx: &mut Context<F>,
        step: &LandingStep,
        before: Option<&Record>,
        record: &Record,
        news: &mut LostNews,
    ) {
        let path = &step.path;
        if record.sleep == Some(Sleep::Flapping) {
            self.report_flapping(cx, path);
        }
        let news_of = record.entry.news_of_losses(before.map(|before| &before.entry));
        // Where the winner became an edit of this node, which carried its markers over or turned a file into a directory, the
        // number of that edit stands for this node's replaced edits, too.
        let gave_way_here = step.old.is_some() && step.why == Some(Why::Conflict);
        let Some(by) = news_of.or(gave_way_here.then_some(LostBy::Conflict)) else { return };
        let gave_way = before.filter(|before| gave_way_here || record.entry.loses(&before.entry).is_some());
        // A deletion that was rejected gave way as well.
        let lost_here = gave_way.is_some_and(|before| before.entry.is_live() || by == LostBy::Rejection);
        let by_rank = before.is_some_and(|before| before.entry.stamp.rank < record.entry.stamp.rank);
        let merges = by == LostBy::Conflict && record.entry.kind == Kind::File && self.merges(path);
        let me = cx.store.state().me.state;
        // The vectors no longer show that this node's change was replaced.
        let is_own = gave_way_here
            && before.is_some_and(|before| record.entry.content().number(me) > before.entry.content().number(me));
        let merged_by = if merges && !is_own { cx.merged_by(&record.entry) } else { None };
        news.get_or_default(LostKind { by, here: lost_here, by_rank, merged_by }).add(path);
    }

    /// A path is decided again; if its content is no longer staged, it must come again.
    fn request_again(&mut self, batch: Option<u64>, path: &RelPath, staged: Option<&RelPath>) {
        let Some(staged) = staged else { return };
        let there = self.root.as_ref().is_some_and(|root| root.stat(staged).is_ok_and(|found| found.is_some()));
        let Some(batch) = batch.and_then(|id| self.inbox.batches.get_mut(&id)).filter(|_| !there) else { return };
        if let Some(pending) =
            batch.offers.get_mut(path).filter(|pending| matches!(pending.content, Content::Staged(_)))
        {
            pending.content = Content::Wanted;
            batch.unasked.push_back(path.clone());
        }
    }

    /// Takes a path out of a batch: it landed, so nothing is staged for it any more.
    fn drop_offer(&mut self, batch_id: Option<u64>, path: &RelPath) {
        let Some(id) = batch_id else { return };
        let Some(pending) = self.inbox.batches.get_mut(&id).and_then(|batch| batch.offers.remove(path)) else { return };
        let key = (path.clone(), pending.entry.digest);
        if self.transfer.fetching.get(&key) == Some(&id) {
            self.transfer.fetching.remove(&key);
        }
        // A conflict that this side won leaves the other's content staged: the other side keeps it. So does a merge, and
        // history has it.
        if let Some(root) = &self.root {
            pending.discard(root);
        }
    }

    /// Other peers' offers of what has just landed are known by now.
    fn drop_known_offers(&mut self, cx: &mut Context<F>, landed: &[RelPath]) {
        let name = &self.name;
        let index = &cx.store.share(name).index;
        let mut paid = Vec::new();
        for (id, batch) in self.inbox.batches.iter_mut() {
            for path in landed {
                let known = match (batch.offers.get(path), index.get(path)) {
                    (Some(pending), Some(record)) => pending.entry == record.entry,
                    _ => false,
                };
                if !known {
                    continue;
                }
                let Some(pending) = batch.offers.remove(path) else { continue };
                self.transfer.fetching.retain(|(fetched, _), by| by != id || fetched != path);
                if pending.owed {
                    paid.push((batch.from.node, path.clone(), pending.seq));
                }
                if let Some(root) = &self.root {
                    pending.discard(root);
                }
            }
        }
        self.inbox.batches.retain(|_, batch| !batch.offers.is_empty());
        for (node, path, seq) in paid {
            cx.pay(name, node, &path, seq);
        }
    }
}
