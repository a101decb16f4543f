//! Takes in what another node commits.

use crate::fs::Fs;
use crate::model::commit::CommitId;
use crate::model::{Reason, RelPath, limits};
use crate::node::LinkId;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::link::Link;
use crate::node::share::Share;
use crate::node::share::commit::Commit;
use crate::node::share::inbox::batch::{Batch, Pending};
use crate::node::share::inbox::judge::{Admission, Judgement};
use crate::proto::message::Order;
use crate::reconcile::safety::Step;
use crate::reconcile::{Loser, Source};

impl<F: Fs> Share<F> {
    /// Begins to prepare what the node at the other end of a session commits.
    ///
    /// # Errors
    /// Why this node does not take part, for the user there.
    pub(super) fn prepare_commit(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        id: LinkId,
        commit: CommitId,
        order: Order,
    ) -> Result<(), String> {
        self.can_commit(cx)?;
        let Some((life, exchange)) =
            peers.links.get(&id).and_then(|link| Some((link.life()?, link.exchanges.get(&self.name)?)))
        else {
            return Err(format!("it does not exchange the share {} with this router", self.name));
        };
        let direction = exchange.direction;
        let release = peers.links.get(&id).and_then(|link: &Link<F::Root>| self.release_gap(cx, link));
        let contact = peers.contact_with(cx, id);
        // Who commits decides for all: a share in mode manual takes it without `owsync sync` here.
        let admission = Admission { direction, long_away: false, release, by_person: true };
        let mut batch: Batch<F::Root> = Batch::new(life, id, contact, cx.now.mono);
        batch.of_commit = true;
        for offer in order.entries {
            let path = offer.path;
            cx.finish_stamps(&self.name, [&path]);
            let wanted = match self.judge(cx, &path, &offer.entry, contact, Some(&admission)) {
                Judgement::LeftOut | Judgement::Known => continue,
                Judgement::Pending(reason) => return Err(format!("{path}: {reason}")),
                Judgement::Apply { loser, source, .. } if is_unseen(loser.as_ref()) || source == Source::Here => {
                    return Err(format!("{path}: {UNSEEN}"));
                }
                Judgement::Apply { wanted, .. } => wanted,
            };
            batch.add(path, Pending::offered(offer.entry, (offer.seq, offer.batch), false), wanted, None);
        }
        let longest = limits::CONFIRM_MAX.as_secs() as u32 + limits::COMMIT_BY_HAND;
        let secs = order.seconds.clamp(1, longest);
        let mut commit = Commit::new(commit, order.members, secs, secs);
        cx.committing = Some(self.name.clone());
        if batch.offers.is_empty() {
            self.commits.current = Some(commit);
            self.note_commit_prepared(cx);
            return Ok(());
        }
        let number = cx.next_batch;
        cx.next_batch += 1;
        commit.batch = Some(number);
        self.commits.current = Some(commit);
        self.add_batch(cx, number, batch);
        Ok(())
    }

    /// Whether this share can take part in a commit now.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn can_commit(&self, cx: &Context<F>) -> Result<(), String> {
        let name = &self.name;
        if cx.committing.is_some() || self.commits.current.is_some() {
            return Err("another commit is under way".into());
        }
        if let Some(hold) = cx.hold_of(name) {
            return Err(format!("the share {name} is held: {hold}"));
        }
        if let Some(pause) = cx.pause_of_share(name) {
            return Err(format!("the share {name} is paused: {pause}"));
        }
        if self.paused {
            return Err(format!("the share {name} is paused"));
        }
        if cx.trial_of(name).is_some() {
            return Err("a change of it is awaiting confirmation".into());
        }
        if let Some(trouble) = &cx.store_trouble {
            return Err(format!("its database cannot be written: {}", trouble.error));
        }
        if self.is_leaving() || !self.is_ready() || self.root.is_none() {
            return Err(format!("the share {name} is not ready: owsync scans it first"));
        }
        Ok(())
    }
}

/// Why a batch of a commit cannot be applied as it is planned: it would replace what its author has not seen.
pub(crate) fn unseen_by_commit(steps: &[Step]) -> Option<String> {
    let step = steps.iter().find(|step| is_unseen(step.loser.as_ref()))?;
    Some(format!("{}: {UNSEEN}", step.path))
}

/// Whether the author of a change had not seen what it would replace.
fn is_unseen(loser: Option<&Loser>) -> bool {
    matches!(loser, Some(Loser::Unseen(_) | Loser::FirstContact))
}

/// Why what a node has is not replaced by a commit.
const UNSEEN: &str =
    "it has a change that the committing router has not received yet: wait until both are in sync, then commit again";

/// The reason of a batch, for the coordinator: that of the path which is the cause.
pub(crate) fn reason_for_commit<'a>(
    paths: impl Iterator<Item = &'a RelPath>,
    reason: impl Fn(&RelPath) -> Reason,
) -> String {
    let all = paths.map(|path| (path, reason(path)));
    let cause = all.min_by_key(|(_, reason)| matches!(reason, Reason::WaitsFor(_)));
    cause.map_or_else(|| "nothing of it can be applied".into(), |(path, reason)| format!("{path}: {reason}"))
}
