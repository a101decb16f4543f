//! Changes on trial: what may cut this router off stays only if the node that sent it can still be reached.
//!
//! A batch that touches the network's own configuration lands, services are told, and then its origin must answer: a
//! question asked after the services had their time to go down, answered before `confirm` is over. Until then nothing
//! else lands in the share. If no answer comes, the former contents are landed again as an edit of this node, which the
//! origin takes too; its own later correction is newer and wins.
//!
//! # Why does an end of the daemon within the time also take it back?
//! The trial is written down together with its landing. Whoever finds one at the start did not see its end: the power
//! may have been cut by a person who stands before a router that is no longer reachable. Where the change was good, it
//! is in history on both sides, and `owsync restore` or another edit brings it again. What would reopen it: routers that
//! reboot by themselves to put a change in force.

use std::time::Duration;

use crate::fs::Fs;
use crate::model::{Map, Monotonic, NodeId, Now, Reason, RelPath, ShareName, limits};
use crate::node::api::{Event, Fault, Level, Reply, Tree};
use crate::node::keep::{Lost, item_of};
use crate::node::{CommandId, LinkId, Node, Output};
use crate::proto::message::Message;
use crate::store::history::Item;
use crate::store::state::{Cause, Change, Trial, TrialStep, Why};

/// A trial of this process: one that was found at its start has none.
pub(crate) struct Proving {
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

impl Proving {
    pub fn new(now: Now) -> Proving {
        Proving {
            opened: now.mono,
            told: None,
            asked: Map::new(),
            next: now.mono.plus(EVERY),
            over: false,
            refused: 0,
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

impl<F: Fs> Node<F> {
    /// The trial of a share, if one is open.
    pub(crate) fn trial_of(&self, name: &ShareName) -> Option<&Trial> {
        self.store.state().shares.get(name)?.trial.as_deref()
    }

    /// Shares in which something waits to be confirmed.
    ///
    /// A landing that a crash interrupted counts if what it brings has to be confirmed: it is completed, and goes back.
    pub fn on_trial(&self) -> usize {
        let shares = self.store.state().shares.values();
        shares.filter(|share| share.trial.is_some() || share.landing.as_ref().is_some_and(|l| l.confirm > 0)).count()
    }

    /// What landed is on trial. One that a crash interrupted is over when it is complete.
    pub(crate) fn begin_trial(&mut self, now: Now, name: &ShareName, trial: Trial, interrupted: bool) {
        if trial.steps.is_empty() {
            return;
        }
        let (label, secs) = (self.node_label(trial.from), trial.secs);
        let what = if trial.first { "the first sync" } else { "it" };
        let text = format!("share {name}: {what} will be rolled back unless {label} responds within {secs} s");
        self.log(Level::Notice, text);
        self.store.change(Change::Trial(name.clone(), Some(Box::new(trial))));
        if let Some(share) = self.shares.get_mut(name) {
            share.proving = Some(Proving { over: interrupted, ..Proving::new(now) });
        }
    }

    /// What was on trial went back. `left` of it did not: it stays on trial, and is tried again.
    pub(crate) fn went_back(&mut self, name: &ShareName, left: Option<&RelPath>) {
        if self.still_on_trial(name).0.is_empty() {
            self.end_trial(name);
        }
        if let Some(path) = left {
            self.note_refused(name, path, &Reason::Other("something else lies there, or above it".into()));
        }
    }

    fn end_trial(&mut self, name: &ShareName) {
        self.store.change(Change::Trial(name.clone(), None));
        if let Some(share) = self.shares.get_mut(name) {
            share.proving = None;
        }
    }

    /// What landed was put in force, as far as anybody was to be told.
    pub fn handle_in_force(&mut self, now: Now, name: &ShareName) {
        if let Some(proving) = self.shares.get_mut(name).and_then(|share| share.proving.as_mut()) {
            proving.told.get_or_insert(now.mono);
        }
    }

    /// Asks the origins of changes on trial, and ends the trials whose time has come.
    pub(crate) fn time_trials(&mut self, now: Now) {
        for name in self.trials(None) {
            let Some(trial) = self.trial_of(&name) else { continue };
            let (from, time) = (trial.from, Duration::from_secs(trial.secs.into()));
            let Some(share) = self.shares.get_mut(&name) else { continue };
            let unseen = Proving { over: true, ..Proving::new(now) };
            let found = share.proving.is_none();
            let proving = share.proving.get_or_insert(unseen);
            if now.mono < proving.next && !found {
                continue;
            }
            proving.next = now.mono.plus(EVERY);
            if share.landing.is_some() || share.root.is_none() {
                continue;
            }
            if proving.over {
                self.take_back(now, &name, None, "it was not confirmed");
                continue;
            }
            let late = now.mono.since(proving.opened) >= time;
            let grace = (time / GRACE_PART).min(limits::TRIAL_GRACE);
            let due = proving.told.is_some_and(|told| now.mono.since(told) >= grace);
            proving.over = late;
            let reached = self.ask_origin(now, &name, from, due);
            let failed = self.probe(now, &name, due && !late);
            match (reached, failed) {
                (true, None) => self.keep_trial(&name, &format!("{} was reached", self.node_label(from))),
                (true, Some(why)) if late => drop(self.take_back(now, &name, None, &why)),
                (false, _) if late => {
                    let why = format!("{} was not reached within {} s", self.node_label(from), time.as_secs());
                    self.take_back(now, &name, None, &why);
                }
                _ => {}
            }
        }
    }

    /// Asks the origin of a trial whether it is there; whether it answered what was asked since the answer counts.
    fn ask_origin(&mut self, now: Now, name: &ShareName, from: NodeId, due: bool) -> bool {
        let Some(proving) = self.shares.get_mut(name).and_then(|share| share.proving.as_mut()) else { return false };
        let (mut answered, mut reached) = (false, false);
        for (id, link) in self.links.iter_mut().filter(|(_, link)| link.node == Some(from) && link.is_admitted()) {
            reached = true;
            if due {
                match proving.asked.get(id) {
                    Some(asked) => answered |= link.answers > *asked,
                    None => {
                        proving.asked.insert(*id, link.questions);
                    }
                }
            }
            link.questions += 1;
            link.say(Message::Ping(now.wall));
        }
        if !reached {
            let known = self.store.state().peers.get(&from).and_then(|peer| peer.section.clone());
            for (peer, dial) in self.dials.iter_mut().filter(|(peer, _)| known.as_deref() == Some(&*peer.0)) {
                if dial.link.is_none() && !dial.paused && self.settings.peers.iter().any(|one| one.name == *peer) {
                    dial.at = dial.at.min(now.mono.plus(EVERY));
                }
            }
        }
        answered
    }

    /// Has this machine's own program look whether all is well, if there is one; why it is not, as far as is known.
    fn probe(&mut self, now: Now, name: &ShareName, may_ask: bool) -> Option<String> {
        let trial = self.trial_of(name).map(|trial| (trial.run, trial.secs));
        let share = self.shares.get_mut(name)?;
        share.settings.probe.as_ref()?;
        let ((run, secs), proving) = (trial?, share.proving.as_mut()?);
        if let (Probe::Wanted(before), true) = (&mut proving.probe, may_ask) {
            proving.probe = Probe::Asked(before.take());
            let time = Duration::from_secs(secs.into()).saturating_sub(now.mono.since(proving.opened));
            self.outputs.push_back(Output::Probe { share: name.clone(), run, time });
        }
        match &proving.probe {
            Probe::Passed => None,
            Probe::Wanted(Some(why)) | Probe::Asked(Some(why)) => Some(format!("its probe failed: {why}")),
            Probe::Wanted(None) | Probe::Asked(None) => Some("its probe has not ended".into()),
        }
    }

    /// The program that [`Output::Probe`] asked for has ended.
    pub fn handle_probed(&mut self, now: Now, name: &ShareName, run: u64, result: Result<(), String>) {
        let current = self.trial_of(name).is_some_and(|trial| trial.run == run);
        let proving = self.shares.get_mut(name).and_then(|share| share.proving.as_mut()).filter(|_| current);
        if let Some(proving) = proving {
            proving.probe = match result {
                Ok(()) => Probe::Passed,
                Err(why) => Probe::Wanted(Some(why)),
            };
        }
        self.finish(now);
    }

    /// A trial is over and what it brought stays.
    fn keep_trial(&mut self, name: &ShareName, why: &str) {
        let Some(run) = self.trial_of(name).map(|trial| trial.run) else { return };
        self.end_trial(name);
        self.log(Level::Notice, format!("share {name}: run {run} is confirmed: {why}"));
        self.stirred = true;
    }

    /// The paths of a trial that are as it brought them, and those that are not any more.
    fn still_on_trial(&self, name: &ShareName) -> (Vec<TrialStep>, Vec<TrialStep>) {
        let Some(state) = self.store.state().shares.get(name) else { return Default::default() };
        let steps = state.trial.iter().flat_map(|trial| trial.steps.iter().cloned());
        steps.partition(|step| state.index.get(&step.path).is_some_and(|record| record.entry.version == step.version))
    }

    /// The disk refused a path on its way back: after some attempts the others go back without it.
    pub(crate) fn note_refused(&mut self, name: &ShareName, path: &RelPath, reason: &Reason) {
        let Some(proving) = self.shares.get_mut(name).and_then(|share| share.proving.as_mut()) else { return };
        proving.refused += 1;
        if proving.refused == 1 {
            self.log(Level::Error, format!("share {name}: {path} cannot be put back: {reason}; tried again"));
        } else if proving.refused > limits::TRIAL_REFUSALS {
            proving.refused = 0;
            self.log(Level::Error, format!("share {name}: {path} is not put back: {reason}"));
            if let Some(mut trial) = self.trial_of(name).cloned() {
                trial.steps.retain(|step| step.path != *path);
                self.store.change(Change::Trial(name.clone(), Some(Box::new(trial))));
            }
        }
    }

    /// A person confirms what is on trial.
    pub(crate) fn confirm(&mut self, share: Option<&ShareName>) -> Reply {
        let names = self.trials(share);
        for name in &names {
            self.keep_trial(name, "by a person");
        }
        match names.len() {
            0 => Reply::failed(Fault::State, "nothing is awaiting confirmation"),
            count => Reply::Done(Tree::map().with("confirmed", count)),
        }
    }

    /// A person takes back what is on trial, or the start of a machine does.
    pub(crate) fn roll_back(&mut self, now: Now, id: CommandId, share: Option<&ShareName>) -> Option<Reply> {
        let names = self.trials(share);
        let Some((last, others)) = names.split_last() else {
            return Some(Reply::failed(
                Fault::State,
                "nothing is awaiting confirmation, so there is nothing to roll back",
            ));
        };
        for name in others {
            self.take_back(now, name, None, "by a person");
        }
        self.take_back(now, last, Some(id), "by a person")
    }

    fn trials(&self, share: Option<&ShareName>) -> Vec<ShareName> {
        let wanted = |name: &&ShareName| share.is_none_or(|only| only == *name) && self.trial_of(name).is_some();
        self.shares.keys().filter(wanted).cloned().collect()
    }

    /// Lands the former contents of a trial again; the answer, when it cannot begin: it is tried again.
    fn take_back(&mut self, now: Now, name: &ShareName, command: Option<CommandId>, why: &str) -> Option<Reply> {
        let trial = self.trial_of(name)?.clone();
        let (back, left) = self.still_on_trial(name);
        let item = |step: &TrialStep| {
            let (path, entry, by) = (&step.path, &step.was, Some(trial.from));
            let lost = Lost { share: name, path, entry, why: Why::OnTrial, by, run: trial.run, after: None };
            item_of(self.noted(now), &lost)
        };
        let items: Vec<Item> = back.iter().map(item).collect();
        if items.is_empty() {
            self.keep_trial(name, "everything it brought was changed again since");
            return command.map(|_| Reply::failed(Fault::State, "everything it brought was changed again since"));
        }
        let left = left.into_iter().map(|step| step.path).collect();
        match self.land_own(now, command, name, Cause::TakenBack, &items, left) {
            Ok(()) => {
                let tried = self.shares.get(name).and_then(|share| share.proving.as_ref());
                if tried.is_some_and(|proving| proving.refused > 0) {
                    return None;
                }
                let text = format!("share {name}: run {} is rolled back: {why}", trial.run);
                self.log(Level::Error, text.clone());
                let paths: Vec<Tree> = items.iter().map(|item| Tree::Text(item.path.to_text())).collect();
                let details = Tree::map()
                    .with("share", name.to_string())
                    .with("run", trial.run)
                    .with("peer", self.node_label(trial.from))
                    .with("reason", why)
                    .with("paths", paths);
                self.tell(Event { name: "owsync.rollback", at: now.wall, text, details });
                None
            }
            Err(reply) => Some(reply),
        }
    }

    /// What status says of a trial.
    pub(crate) fn trial_tree(&self, now: Now, name: &ShareName) -> Option<Tree> {
        let trial = self.trial_of(name)?;
        let proving = self.shares.get(name).and_then(|share| share.proving.as_ref());
        let time = Duration::from_secs(trial.secs.into());
        let left = proving.map(|proving| time.saturating_sub(now.mono.since(proving.opened)).as_secs());
        let paths: Vec<Tree> = trial.steps.iter().map(|step| Tree::Text(step.path.to_text())).collect();
        let tree = Tree::map().with("run", trial.run).with("peer", self.node_label(trial.from)).with("paths", paths);
        let tree = tree.with("first", trial.first);
        Some(tree.with_some("seconds_left", left))
    }
}
