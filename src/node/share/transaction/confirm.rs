//! Rolls back what may have cut this router off unless the node that sent it can still be reached.
//!
//! A batch that touches the network's own configuration lands, services are told, and then its origin must answer: a
//! question asked after the services had their time to go down, answered before `confirm` is over. Until then nothing
//! else lands in the share. If no answer comes, the former contents are landed again as an edit of this node, which the
//! origin takes too; its own later correction is newer and wins.
//!
//! # Why does an end of the daemon within the time also take it back?
//! The trial is written down together with its landing. Whoever finds one at the start did not see its end: the power
//! may have been cut by the user who stands before a router that is no longer reachable. Where the change was good, it
//! is in history on both sides, and `owsync restore` or another edit brings it again. What would reopen it: routers that
//! reboot by themselves to put a change in force.

use std::time::Duration;

use crate::fs::Fs;
use crate::model::{Map, Monotonic, NodeId, Now, Reason, Record, RelPath, limits};
use crate::node::api::status::UnconfirmedStatus;
use crate::node::api::{Event, Fault, Level, Reply, Tree};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::node::share::transaction::keep::{Lost, item_of};
use crate::node::{CommandId, LinkId, Output};
use crate::proto::message::Message;
use crate::store::history::Item;
use crate::store::state::{Cause, Change, Trial, TrialStep, Why};

/// A trial of this process: one that was found at its start has none.
pub(crate) struct Unconfirmed {
    opened: Monotonic,
    /// Services have been told, so what they do to the network is under way.
    told: Option<Monotonic>,
    /// What each session with the origin had asked when the time to ask came.
    asked: Map<LinkId, u64>,
    next: Monotonic,
    /// It goes back, as soon as that can be done.
    over: bool,
    /// Attempts at that which the disk refused.
    refused: u32,
    /// That it is rolled back was reported: a later attempt does not report it again.
    reported: bool,
    probe: Probe,
}

/// What this machine's own program says of a trial.
#[derive(Debug, PartialEq, Eq)]
enum Probe {
    /// It does not run; why it failed, if it did.
    Wanted(Option<String>),
    /// It runs; why it failed the last time, if it did.
    Asked(Option<String>),
    /// It found that the machine works.
    Passed,
}

impl Unconfirmed {
    pub fn new(now: Now) -> Unconfirmed {
        Unconfirmed {
            opened: now.mono,
            told: None,
            asked: Map::new(),
            next: now.mono.plus(EVERY),
            over: false,
            refused: 0,
            reported: false,
            probe: Probe::Wanted(None),
        }
    }

    pub fn poll_timeout(&self) -> Monotonic {
        self.next
    }
}

/// Time between two questions to the origin, and between two attempts to connect to it.
const EVERY: Duration = Duration::from_secs(1);

/// Services are given this part of the trial before an answer counts, and at most [`limits::TRIAL_GRACE`].
const GRACE_PART: u32 = 6;

impl<F: Fs> Share<F> {
    /// What landed is on trial. One that a crash interrupted is over when it is complete.
    pub(crate) fn begin_confirmation(&mut self, cx: &mut Context<F>, trial: Trial, interrupted: bool) {
        let name = &self.name;
        if trial.steps.is_empty() {
            return;
        }
        let (label, secs) = (cx.node_label(trial.from), trial.secs);
        let what = if trial.first { "the first sync".to_string() } else { format!("run {}", trial.run) };
        let text = format!("share {name}: {what} will be rolled back unless {label} responds within {secs} s");
        cx.log(Level::Notice, text);
        cx.store.change(Change::Trial(name.clone(), Some(Box::new(trial))));
        self.transaction.unconfirmed = Some(Unconfirmed { over: interrupted, ..Unconfirmed::new(cx.now) });
    }

    /// What was on trial went back. `left` of it did not: it stays on trial, and is tried again.
    pub(crate) fn note_rolled_back(&mut self, cx: &mut Context<F>, left: Option<&RelPath>) {
        if self.still_on_trial(cx).0.is_empty() {
            self.end_trial(cx);
        }
        if let Some(path) = left {
            self.note_refused(cx, path, &Reason::Other("the path, or a directory above it, was replaced".into()));
        }
    }

    fn end_trial(&mut self, cx: &mut Context<F>) {
        let paths = self.still_on_trial(cx).0.into_iter().map(|step| step.path).collect();
        self.offer_confirmed(cx, paths);
        let name = &self.name;
        cx.store.change(Change::Trial(name.clone(), None));
        self.transaction.unconfirmed = None;
    }

    /// Merges among these paths are not rolled back any more: they are offered.
    fn offer_confirmed(&mut self, cx: &mut Context<F>, mut paths: Vec<RelPath>) {
        let index = &cx.store.share(&self.name).index;
        paths.retain(|path| index.get(path).is_some_and(|record| record.pending));
        self.renumber(cx, paths.into_iter(), |_, record| record.pending = false);
    }

    /// Whether a path is as an unconfirmed change made it.
    pub(crate) fn is_on_trial(&self, cx: &Context<F>, path: &RelPath, record: &Record) -> bool {
        let mut steps = cx.trial_of(&self.name).into_iter().flat_map(|trial| &trial.steps);
        steps.any(|step| step.path == *path && step.version == record.entry.version)
    }

    /// What was applied is in force, as far as services had to be notified.
    pub(crate) fn handle_in_force(&mut self, cx: &Context<F>) {
        if let Some(unconfirmed) = &mut self.transaction.unconfirmed {
            unconfirmed.told.get_or_insert(cx.now.mono);
        }
    }

    /// The program that [`Output::Probe`] asked for has ended.
    pub(crate) fn handle_probed(&mut self, cx: &Context<F>, run: u64, result: Result<(), String>) {
        let current = cx.trial_of(&self.name).is_some_and(|trial| trial.run == run);
        if let Some(unconfirmed) = self.transaction.unconfirmed.as_mut().filter(|_| current) {
            unconfirmed.probe = match result {
                Ok(()) => Probe::Passed,
                Err(why) => Probe::Wanted(Some(why)),
            };
        }
    }

    /// Asks the origin of changes that await confirmation, and ends the wait when its time has come.
    pub(crate) fn time_confirmation(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let Some(trial) = cx.trial_of(&self.name) else { return };
        let (from, time) = (trial.from, Duration::from_secs(trial.secs.into()));
        let unseen = Unconfirmed { over: true, ..Unconfirmed::new(cx.now) };
        let found = self.transaction.unconfirmed.is_none();
        let unconfirmed = self.transaction.unconfirmed.get_or_insert(unseen);
        if cx.now.mono < unconfirmed.next && !found {
            return;
        }
        unconfirmed.next = cx.now.mono.plus(EVERY);
        if self.transaction.landing.is_some() || self.root.is_none() {
            return;
        }
        if unconfirmed.over {
            self.roll_back_unconfirmed(cx, None, "it was not confirmed");
            return;
        }
        let late = cx.now.mono.since(unconfirmed.opened) >= time;
        let grace = (time / GRACE_PART).min(limits::TRIAL_GRACE);
        let due = unconfirmed.told.is_some_and(|told| cx.now.mono.since(told) >= grace);
        unconfirmed.over = late;
        let reached = self.ask_origin(cx, peers, from, due);
        let failed = self.probe(cx, due && !late);
        match (reached, failed) {
            (true, None) => self.end_confirmed(cx, &format!("{} responded", cx.node_label(from))),
            (true, Some(why)) if late => drop(self.roll_back_unconfirmed(cx, None, &why)),
            (false, _) if late => {
                let why = format!("{} did not respond within {} s", cx.node_label(from), time.as_secs());
                self.roll_back_unconfirmed(cx, None, &why);
            }
            _ => {}
        }
    }

    /// Asks the origin of a trial whether it is there; whether it answered what was asked since the answer counts.
    fn ask_origin(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, from: NodeId, due: bool) -> bool {
        let Some(unconfirmed) = self.transaction.unconfirmed.as_mut() else { return false };
        let (mut answered, mut reached) = (false, false);
        for (id, link) in peers.links.iter_mut().filter(|(_, link)| link.node == Some(from) && link.is_admitted()) {
            reached = true;
            if due {
                match unconfirmed.asked.get(id) {
                    Some(asked) => answered |= link.answers > *asked,
                    None => {
                        unconfirmed.asked.insert(*id, link.questions);
                    }
                }
            }
            link.questions += 1;
            link.say(Message::Ping(cx.now.wall));
        }
        if !reached {
            let known = cx.store.state().peers.get(&from).and_then(|peer| peer.section.clone());
            for (peer, dial) in peers.dials.iter_mut().filter(|(peer, _)| known.as_deref() == Some(&*peer.0)) {
                if dial.link.is_none() && !dial.paused && cx.settings.peers.iter().any(|one| one.name == *peer) {
                    dial.at = dial.at.min(cx.now.mono.plus(EVERY));
                }
            }
        }
        answered
    }

    /// Has this machine's own program look whether all is well, if there is one; why it is not, as far as is known.
    fn probe(&mut self, cx: &mut Context<F>, may_ask: bool) -> Option<String> {
        let name = &self.name;
        let trial = cx.trial_of(name).map(|trial| (trial.run, trial.secs));
        self.settings.probe.as_ref()?;
        let ((run, secs), unconfirmed) = (trial?, self.transaction.unconfirmed.as_mut()?);
        if let (Probe::Wanted(before), true) = (&mut unconfirmed.probe, may_ask) {
            unconfirmed.probe = Probe::Asked(before.take());
            let time = Duration::from_secs(secs.into()).saturating_sub(cx.now.mono.since(unconfirmed.opened));
            cx.outputs.push_back(Output::Probe { share: name.clone(), run, time });
        }
        match &unconfirmed.probe {
            Probe::Passed => None,
            Probe::Wanted(Some(why)) | Probe::Asked(Some(why)) => Some(format!("its probe failed: {why}")),
            Probe::Wanted(None) | Probe::Asked(None) => Some("its probe has not ended".into()),
        }
    }

    /// A trial is over and what it brought stays.
    pub(crate) fn end_confirmed(&mut self, cx: &mut Context<F>, why: &str) {
        let name = &self.name.clone();
        let Some(run) = cx.trial_of(name).map(|trial| trial.run) else { return };
        self.end_trial(cx);
        cx.log(Level::Notice, format!("share {name}: run {run} is confirmed: {why}"));
        cx.stirred = true;
    }

    /// The paths of a trial that are as it brought them, and those that are not any more.
    fn still_on_trial(&self, cx: &Context<F>) -> (Vec<TrialStep>, Vec<TrialStep>) {
        let name = &self.name;
        let state = cx.store.share(name);
        let steps = state.trial.iter().flat_map(|trial| trial.steps.iter().cloned());
        steps.partition(|step| state.index.get(&step.path).is_some_and(|record| record.entry.version == step.version))
    }

    /// The disk refused a path on its way back: after some attempts the others go back without it.
    pub(crate) fn note_refused(&mut self, cx: &mut Context<F>, path: &RelPath, reason: &Reason) {
        let name = &self.name.clone();
        let Some(unconfirmed) = self.transaction.unconfirmed.as_mut() else { return };
        unconfirmed.refused += 1;
        if unconfirmed.refused == 1 {
            cx.log(Level::Error, format!("share {name}: {path} cannot be restored: {reason}; retrying"));
        } else if unconfirmed.refused > limits::TRIAL_REFUSALS {
            unconfirmed.refused = 0;
            cx.log(Level::Error, format!("share {name}: {path} is not restored: {reason}"));
            if let Some(mut trial) = cx.trial_of(name).cloned() {
                trial.steps.retain(|step| step.path != *path);
                cx.store.change(Change::Trial(name.clone(), Some(Box::new(trial))));
                self.offer_confirmed(cx, vec![path.clone()]);
            }
        }
    }

    /// Lands the former contents of a trial again; the answer, when it cannot begin: it is tried again.
    pub(crate) fn roll_back_unconfirmed(
        &mut self,
        cx: &mut Context<F>,
        command: Option<CommandId>,
        why: &str,
    ) -> Option<Reply> {
        let name = &self.name.clone();
        let trial = cx.trial_of(name)?.clone();
        let (back, left) = self.still_on_trial(cx);
        let item = |step: &TrialStep| {
            let (path, entry, by) = (&step.path, &step.was, Some(trial.from));
            let lost = Lost { share: name, path, entry, why: Why::OnTrial, by, run: trial.run, after: None, seq: 0 };
            item_of(cx.noted(), &lost)
        };
        let items: Vec<Item> = back.iter().map(item).collect();
        if items.is_empty() {
            self.end_confirmed(cx, "everything that it changed was changed again since");
            return command.map(|_| Reply::failed(Fault::State, "everything that it changed was changed again since"));
        }
        let left = left.into_iter().map(|step| step.path).collect();
        match self.restore_items(cx, command, Cause::TakenBack, &items, left) {
            Ok(()) => {
                let unconfirmed = self.transaction.unconfirmed.as_mut();
                if unconfirmed.is_some_and(|unconfirmed| std::mem::replace(&mut unconfirmed.reported, true)) {
                    return None;
                }
                let text = format!("share {name}: run {} is rolled back: {why}", trial.run);
                cx.log(Level::Error, text.clone());
                let paths: Vec<Tree> = items.iter().map(|item| Tree::Text(item.path.to_text())).collect();
                let details = Tree::map()
                    .with("share", name.to_string())
                    .with("run", trial.run)
                    .with("peer", cx.node_label(trial.from))
                    .with("reason", why)
                    .with("paths", paths);
                cx.tell(Event { name: "owsync.rollback", at: cx.now.wall, text, details });
                None
            }
            Err(reply) => Some(reply),
        }
    }

    /// The change of this share that awaits confirmation.
    pub(crate) fn unconfirmed_status(&self, cx: &Context<F>) -> Option<UnconfirmedStatus> {
        let name = &self.name;
        let trial = cx.trial_of(name)?;
        let unconfirmed = self.transaction.unconfirmed.as_ref();
        let time = Duration::from_secs(trial.secs.into());
        let left = |opened| time.saturating_sub(cx.now.mono.since(opened)).as_secs();
        Some(UnconfirmedStatus {
            run: trial.run,
            peer: cx.node_label(trial.from),
            paths: trial.steps.iter().map(|step| step.path.to_text()).collect(),
            first: trial.first,
            seconds_left: unconfirmed.map(|unconfirmed| left(unconfirmed.opened)),
        })
    }
}
