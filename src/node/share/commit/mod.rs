//! The part of a share in a commit: a change that is put in force on all nodes that have the share, or on none.
//!
//! [`crate::commit`] decides; here its tasks are done with what the share has. `begin` makes the entries on the node where the
//! commit is typed, `prepare` takes them in on the others, and `orders` carries what the two machines say to each other and to
//! the disk.
//!
//! # How is it applied?
//! As a peer's batch, with the same guards and checks, in two pieces. The batch is planned when it is complete, and if nothing
//! keeps it back the node is ready. When all are, the same plan is made again and begun as a transaction, which stops when
//! everything is in place: the previous files are still in the staging area, and the record in the journal says that they
//! belong in their places. From there it is rolled back as any transaction of which a path was refused, byte for byte, or
//! continues with the history and the index. Until then no other batch is applied in the share, and no scan takes what is in
//! place for an edit.
//!
//! # Why is a rollback here no edit, and one of an unconfirmed change is?
//! An unconfirmed change of the option `confirm` is in the indexes of other nodes already, which only a newer edit can
//! change. That of a commit is in none.

mod begin;
mod orders;
mod prepare;

use std::time::Duration;

use crate::commit::{Coordinator, Limit, Participant, Phase};
use crate::fs::{Fs, Root};
use crate::model::commit::CommitId;
use crate::model::{Digest, Map, Monotonic, NodeId, RelPath, WallTime, limits};
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::inbox::batch::Content;
use crate::node::{CommandId, DeltaChange, Output};
use crate::proto::message::Offer;

pub(crate) use begin::Wish;
pub(crate) use prepare::{reason_for_commit, unseen_by_commit};

/// A commit that is under way.
pub(crate) struct Commit {
    pub id: CommitId,
    part: Participant,
    part_waits: Wait,
    /// What is to be applied here; `None` where nothing is.
    pub batch: Option<u64>,
    /// Seconds within which all must have applied it, and be reachable.
    confirm: u32,
    /// Seconds after which it is rolled back unless it is kept.
    secs: u32,
    /// The transaction, once it has begun.
    run: Option<u64>,
    /// Services were notified of what is in place.
    notified: Option<Monotonic>,
    probe: Probe,
    /// The coordinator, if that is this node.
    decision: Option<Decision>,
    /// All other nodes in it.
    pub members: Vec<NodeId>,
    /// What has happened on this node, and counts once everything before it is on disk.
    happened: Vec<Happened>,
}

/// What the coordinator's node knows besides.
struct Decision {
    coordinator: Coordinator,
    waits: Wait,
    /// The command that began it, and whether its answer is the end.
    command: CommandId,
    answers: bool,
    probe_at: Monotonic,
    /// What the others are to have.
    offers: Vec<Offer>,
    /// The uncommitted changes that it is made of, by package; none where it is made of changes of a share in mode manual, which
    /// are in place here already, and released when it is kept.
    deltas: Map<RelPath, Vec<u8>>,
    /// libuci's files do not have them any more.
    deltas_are_removed: bool,
}

/// How far this machine's own program has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Probe {
    Wanted,
    Asked,
    Passed,
}

/// What has happened on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Happened {
    Prepared,
    Applied,
    Kept,
    RolledBack,
    Failed(String),
}

/// What one of the machines waits for, and when that ends.
#[derive(Debug, Clone, Copy, Default)]
struct Wait(Option<(Limit, Monotonic)>);

impl Wait {
    /// Notes for what is waited now; `time` says how long that may take.
    fn note(&mut self, limit: Option<Limit>, now: Monotonic, time: impl Fn(Limit) -> Duration) {
        if self.0.map(|(limit, _)| limit) != limit {
            self.0 = limit.map(|limit| (limit, now.plus(time(limit))));
        }
    }

    fn ends(&self) -> Monotonic {
        self.0.map_or(Monotonic::NEVER, |(_, end)| end)
    }
}

/// Commits of a share: the one under way, and what became of earlier ones.
#[derive(Default)]
pub(crate) struct Commits {
    pub current: Option<Commit>,
    /// The latest that ended and that this node decided.
    ended: Vec<Ended>,
}

/// How a commit ended.
struct Ended {
    id: CommitId,
    at: WallTime,
    is_kept: bool,
    /// For users.
    text: String,
}

impl Commits {
    /// When something of it is due.
    pub fn poll_timeout(&self) -> Monotonic {
        self.current.as_ref().map_or(Monotonic::NEVER, Commit::poll_timeout)
    }

    /// Whether a batch may be decided now: one of a commit only when its coordinator says so.
    pub fn lets_decide(&self, batch: u64) -> bool {
        let of_it = self.current.as_ref().filter(|commit| commit.batch == Some(batch));
        of_it.is_none_or(|commit| {
            let prepares = commit.part.is_preparing() && !commit.happened.contains(&Happened::Prepared);
            prepares || commit.is_to_be_applied()
        })
    }

    /// The decision of the commit under way, if that is this node's.
    fn decision(&mut self) -> Option<&mut Decision> {
        self.current.as_mut()?.decision.as_mut()
    }

    fn note_end(&mut self, ended: Ended) {
        self.ended.push(ended);
        if self.ended.len() > limits::COMMITS_REMEMBERED {
            self.ended.remove(0);
        }
    }

    /// The commit that a batch belongs to.
    pub fn of_batch(&self, batch: u64) -> Option<&Commit> {
        self.current.as_ref().filter(|commit| commit.batch == Some(batch))
    }
}

impl Commit {
    fn new(id: CommitId, members: Vec<NodeId>, confirm: u32, secs: u32) -> Commit {
        Commit {
            id,
            part: Participant::new(),
            part_waits: Wait::default(),
            batch: None,
            confirm,
            secs,
            run: None,
            notified: None,
            probe: Probe::Wanted,
            decision: None,
            members,
            happened: Vec::new(),
        }
    }

    /// Whether the coordinator said that its batch is to be applied, and that has not begun.
    pub fn is_to_be_applied(&self) -> bool {
        self.part.is_in_place() && !self.part.is_applied() && self.run.is_none()
    }

    /// Whether it still prepares.
    pub fn is_preparing(&self) -> bool {
        self.part.is_preparing()
    }

    /// Whether this node decides it.
    pub fn is_decided_here(&self) -> bool {
        self.decision.is_some()
    }

    /// Seconds after which it is rolled back unless it is kept.
    pub fn secs(&self) -> u32 {
        self.secs
    }

    /// Notes what the machines wait for now.
    fn note_waits(&mut self, now: Monotonic) {
        let (confirm, secs) = (self.confirm, self.secs);
        let time = |limit: Limit| match limit {
            Limit::Preparing => limits::COMMIT_PREPARE,
            Limit::Ready => limits::COMMIT_READY,
            Limit::Applying => Duration::from_secs(confirm.into()),
            Limit::Unconfirmed => Duration::from_secs(secs.into()),
            Limit::Reports => limits::COMMIT_REPORTS,
        };
        self.part_waits.note(self.part.limit(), now, time);
        let Some(decision) = &mut self.decision else { return };
        decision.waits.note(decision.coordinator.limit(), now, time);
        if *decision.coordinator.phase() != Phase::Applying {
            decision.probe_at = Monotonic::NEVER;
        } else if decision.probe_at == Monotonic::NEVER {
            decision.probe_at = now.plus(limits::COMMIT_PROBE);
        }
    }

    /// When something of it is due.
    fn poll_timeout(&self) -> Monotonic {
        let waits = match &self.decision {
            Some(decision) => decision.waits.ends().min(decision.probe_at),
            None => self.part_waits.ends(),
        };
        waits.min(self.probe_due())
    }

    /// When services had their time, so that this machine's own program may say whether all is well.
    fn probe_due(&self) -> Monotonic {
        match (self.notified, self.part.is_applied(), &self.probe) {
            (Some(notified), true, Probe::Wanted) => notified.plus(self.grace()),
            _ => Monotonic::NEVER,
        }
    }

    /// Time that services have to restart before an answer counts.
    fn grace(&self) -> Duration {
        (Duration::from_secs(self.secs.into()) / 6).min(limits::TRIAL_GRACE)
    }
}

impl<F: Fs> Share<F> {
    /// Something of a commit is done on this node, and counts once it is on disk.
    fn note_commit(&mut self, cx: &mut Context<F>, what: Happened) {
        if let Some(commit) = &mut self.commits.current {
            commit.happened.push(what);
            cx.stirred = true;
        }
    }

    /// Everything of a commit's batch is here, passed the guards and the checks, and could be applied now.
    pub(crate) fn note_commit_prepared(&mut self, cx: &mut Context<F>) {
        self.note_commit(cx, Happened::Prepared);
    }

    /// The transaction of a commit has begun.
    pub(crate) fn note_commit_begun(&mut self, run: u64) {
        if let Some(commit) = &mut self.commits.current {
            commit.run = Some(run);
        }
    }

    /// Everything of a commit is in place.
    pub(crate) fn note_commit_applied(&mut self, cx: &mut Context<F>) {
        self.note_commit(cx, Happened::Applied);
        let Some(decision) = self.commits.decision() else { return };
        if !decision.deltas.is_empty() {
            decision.deltas_are_removed = true;
            let (command, deltas) = (decision.command, decision.deltas.clone());
            cx.outputs.push_back(Output::Deltas { command, deltas, change: DeltaChange::Remove });
        }
    }

    /// The entries of a commit are in the index.
    pub(crate) fn note_commit_kept(&mut self, cx: &mut Context<F>) {
        self.note_commit(cx, Happened::Kept);
    }

    /// The transaction of a commit was rolled back, for this reason.
    pub(crate) fn note_commit_rolled_back(&mut self, cx: &mut Context<F>, why: String) {
        self.note_commit(cx, Happened::Failed(why));
        self.note_commit(cx, Happened::RolledBack);
    }

    /// A batch of a commit cannot be applied; `false` where the batch is of none.
    pub(crate) fn refuse_commit(&mut self, cx: &mut Context<F>, batch: u64, why: String) -> bool {
        if self.commits.of_batch(batch).is_none() {
            return false;
        }
        if self.transaction.landing.as_ref().is_none_or(|landing| landing.batch != Some(batch)) {
            self.drop_commit_batch();
        }
        self.note_commit(cx, Happened::Failed(why));
        true
    }

    /// Removes what is staged for a commit that has not begun.
    fn drop_commit_batch(&mut self) {
        let Some(id) = self.commits.current.as_mut().and_then(|commit| commit.batch.take()) else { return };
        self.transfer.fetching.retain(|_, by| *by != id);
        let Some(batch) = self.inbox.batches.remove(&id) else { return };
        let formed: Vec<RelPath> = batch.forms.values().filter_map(|formed| formed.file.staged().cloned()).collect();
        if let Some(root) = &self.root {
            formed.iter().for_each(|staged| drop(root.remove(staged)));
            batch.offers.into_values().for_each(|pending| pending.discard(root));
        }
    }

    /// Where a content is staged that this node commits, and that is in no index yet.
    pub(crate) fn committed_content(&self, path: &RelPath, digest: Digest) -> Option<RelPath> {
        let commit = self.commits.current.as_ref().filter(|commit| commit.is_decided_here())?;
        let pending = self.inbox.batches.get(&commit.batch?)?.offers.get(path)?;
        match &pending.content {
            Content::Staged(staged) if pending.entry.digest == digest => Some(staged.clone()),
            _ => None,
        }
    }
}
