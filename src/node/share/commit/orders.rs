//! Carries what the machines of a commit say to each other, and does their tasks.

use crate::commit::{Action, Phase, Task, Verdict};
use crate::fs::Fs;
use crate::model::commit::{Answer, CommitId, Step};
use crate::model::{Monotonic, NodeId, RelPath, limits};
use crate::node::api::status::{CommitStatus, CommitStepStatus, LastCommitStatus};
use crate::node::api::{Event, Fault, Level, Reply, Tree};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::node::share::commit::{Commit, Ended, Happened, Probe};
use crate::node::share::transaction::apply::Landing;
use crate::node::{DeltaChange, LinkId, Output};
use crate::proto::message::{Message, Offer, Order};
use crate::store::state::Cause;

impl<F: Fs> Share<F> {
    /// The coordinator of a commit has this node do something.
    pub(crate) fn handle_order(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, link: LinkId, order: Order) {
        let Some(node) = peers.links.get(&link).and_then(|link| link.node) else { return };
        let id = CommitId { coordinator: node, number: order.number };
        let step = order.step;
        if let Some(commit) = self.commits.current.as_mut().filter(|commit| commit.id == id) {
            let tasks = commit.part.told(step);
            return self.do_tasks(cx, peers, tasks);
        }
        let answer = match step {
            Step::Prepare => match self.prepare_commit(cx, peers, link, id, order) {
                Ok(()) => return,
                Err(why) => {
                    cx.log(Level::Notice, format!("share {}: a commit is refused: {why}", self.name));
                    Answer::Refused(why)
                }
            },
            Step::RollBack => Answer::RolledBack,
            Step::Apply | Step::Probe => Answer::Refused("it does not know this commit: owsync was restarted".into()),
            // What was kept elsewhere reaches it as any other change.
            Step::Keep => return,
        };
        self.answer_commit(cx, peers, id, answer);
    }

    /// A node of a commit that this node decides reports.
    pub(crate) fn handle_commit_answer(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        link: LinkId,
        number: u64,
        answer: Answer,
    ) {
        let Some(node) = peers.links.get(&link).and_then(|link| link.node) else { return };
        let mine = |commit: &&mut Commit| commit.id.number == number && commit.decision.is_some();
        if self.commits.current.as_mut().filter(mine).is_some() {
            return self.note_answer(cx, peers, node, answer);
        }
        if matches!(answer, Answer::Ready | Answer::Applied | Answer::Reachable) {
            // It was away when this ended. What is not known was not kept: the coordinator was restarted since.
            let kept = self.commits.ended.iter().any(|ended| ended.id.number == number && ended.is_kept);
            self.send_order(peers, node, number, if kept { Step::Keep } else { Step::RollBack });
        }
    }

    fn note_answer(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, node: NodeId, answer: Answer) {
        let Some(commit) = &mut self.commits.current else { return };
        let id = commit.id;
        let Some(decision) = &mut commit.decision else { return };
        let before = decision.coordinator.nodes().find(|(known, _)| *known == node).map(|(_, answer)| answer.cloned());
        let actions = decision.coordinator.answered(node, answer.clone());
        if before.is_some_and(|before| before.as_ref() != Some(&answer)) {
            self.report_step(cx, id, node, &answer);
        }
        self.do_actions(cx, peers, actions);
    }

    /// Reports a step of one node as an event.
    fn report_step(&self, cx: &mut Context<F>, id: CommitId, node: NodeId, answer: &Answer) {
        let name = &self.name;
        let router = cx.router_label(node);
        let mut text = format!("share {name}: commit: {router}: {}", answer.word());
        let mut details = Tree::map()
            .with("share", name.to_string())
            .with("commit", id.to_string())
            .with("router", router)
            .with("step", answer.word());
        if let Some(why) = answer.reason() {
            text = format!("{text}: {why}");
            details = details.with("reason", why);
        }
        cx.tell(Event { name: "owsync.commit", at: cx.now.wall, text, details });
    }

    /// Does what the coordinator decided.
    pub(super) fn do_actions(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Tell(node, step) if node == cx.identity.id => {
                    let Some(commit) = &mut self.commits.current else { return };
                    let tasks = commit.part.told(step);
                    self.do_tasks(cx, peers, tasks);
                }
                Action::Tell(node, step) => {
                    let Some(number) = self.commits.current.as_ref().map(|commit| commit.id.number) else { return };
                    self.send_order(peers, node, number, step);
                }
                Action::End(verdict) => self.end_decision(cx, &verdict),
            }
        }
    }

    /// Does what the part of this node is to do.
    pub(super) fn do_tasks(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, tasks: Vec<Task>) {
        for task in tasks {
            let Some(commit) = &mut self.commits.current else { return };
            let id = commit.id;
            match task {
                Task::Answer(answer) if commit.decision.is_some() => {
                    self.note_answer(cx, peers, cx.identity.id, answer);
                }
                Task::Answer(answer) => self.answer_commit(cx, peers, id, answer),
                Task::Apply => {
                    cx.stirred = true;
                    if commit.batch.is_none() {
                        // Nothing of it is new here.
                        commit.notified = Some(cx.now.mono);
                        commit.happened.push(Happened::Applied);
                    }
                }
                Task::Keep => {
                    cx.stirred = true;
                    match self.commit_in_place() {
                        Some(landing) => landing.keep(),
                        None => {
                            self.release_committed(cx);
                            self.note_commit(cx, Happened::Kept);
                        }
                    }
                }
                Task::RollBack => {
                    cx.stirred = true;
                    match self.commit_in_place() {
                        Some(landing) => landing.roll_back_commit("the commit was rolled back"),
                        None => {
                            self.drop_commit_batch();
                            self.note_commit(cx, Happened::RolledBack);
                        }
                    }
                }
            }
        }
        self.end_commit(cx);
    }

    /// The transaction of a commit, from its first path on.
    fn commit_in_place(&mut self) -> Option<&mut Landing> {
        self.transaction.landing.as_mut().filter(|landing| landing.cause == Cause::Committed)
    }

    /// Changes of a share in mode manual that were committed need no `owsync sync` any more.
    fn release_committed(&mut self, cx: &mut Context<F>) {
        let Some(decision) = self.commits.current.as_ref().and_then(|commit| commit.decision.as_ref()) else { return };
        if !decision.deltas.is_empty() {
            return;
        }
        let index = &cx.store.share(&self.name).index;
        // What was edited since was not committed.
        let is_committed = |offer: &&Offer| {
            let record = index.get(&offer.path);
            record.is_some_and(|record| record.pending && record.entry.version == offer.entry.version)
        };
        let committed: Vec<RelPath> =
            decision.offers.iter().filter(is_committed).map(|offer| offer.path.clone()).collect();
        self.renumber(cx, committed.into_iter(), |_, record| record.pending = false);
    }

    /// Passes what happened on this node to its part of the commit, now that it is on disk.
    pub(crate) fn continue_commit(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        while !cx.store.is_dirty() {
            let Some(commit) = &mut self.commits.current else { return };
            let is_lost = commit.batch.is_some_and(|id| !self.inbox.batches.contains_key(&id));
            if is_lost && !commit.part.is_in_place() && !commit.part.is_over() {
                // Its share changed, or it was put away for another reason.
                commit.batch = None;
                let why = "the share changed, or the connection was lost";
                commit.happened.push(Happened::Failed(why.into()));
            }
            if commit.happened.is_empty() {
                break;
            }
            let what = commit.happened.remove(0);
            let tasks = match what {
                Happened::Prepared => commit.part.prepared(),
                Happened::Applied => commit.part.applied(),
                Happened::Kept => commit.part.kept(),
                Happened::RolledBack => commit.part.rolled_back(),
                Happened::Failed(why) => commit.part.failed(why),
            };
            self.do_tasks(cx, peers, tasks);
        }
        self.end_commit(cx);
        self.commits.current.iter_mut().for_each(|commit| commit.note_waits(cx.now.mono));
    }

    /// Services were notified of what is in place.
    pub(crate) fn note_commit_in_force(&mut self, cx: &Context<F>) {
        if let Some(commit) = self.commits.current.as_mut().filter(|commit| commit.part.is_applied()) {
            commit.notified.get_or_insert(cx.now.mono);
        }
    }

    /// The program that [`Output::Probe`] asked for has ended; whether it was asked for a commit.
    pub(crate) fn note_commit_probed(&mut self, cx: &mut Context<F>, run: u64, result: &Result<(), String>) -> bool {
        let Some(commit) = self.commits.current.as_mut().filter(|commit| commit.run == Some(run)) else { return false };
        match result {
            Ok(()) => {
                commit.probe = Probe::Passed;
                commit.part.works();
            }
            Err(why) => commit.happened.push(Happened::Failed(format!("its probe failed: {why}"))),
        }
        cx.stirred = true;
        true
    }

    /// Ends the waits of a commit that took too long, and asks whether all still work.
    pub(crate) fn time_commit(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let now = cx.now.mono;
        let Some(commit) = &mut self.commits.current else { return };
        commit.note_waits(now);
        if now >= commit.probe_due() {
            match (&self.settings.probe, commit.run) {
                (Some(_), Some(run)) => {
                    commit.probe = Probe::Asked;
                    let time = std::time::Duration::from_secs(commit.secs.into());
                    cx.outputs.push_back(Output::Probe { share: self.name.clone(), run, time });
                }
                _ => {
                    commit.probe = Probe::Passed;
                    commit.part.works();
                }
            }
        }
        // On the coordinator's node its clock is the only one.
        if commit.decision.is_none() && now >= commit.part_waits.ends() {
            let tasks = commit.part.time_is_up();
            self.do_tasks(cx, peers, tasks);
        }
        if let Some(decision) = self.commits.decision().filter(|decision| now >= decision.waits.ends()) {
            let actions = decision.coordinator.time_is_up();
            self.do_actions(cx, peers, actions);
        }
        if let Some(decision) = self.commits.decision().filter(|decision| now >= decision.probe_at) {
            decision.probe_at = now.plus(limits::COMMIT_PROBE);
            let actions = decision.coordinator.probe();
            self.do_actions(cx, peers, actions);
        }
        self.end_commit(cx);
        self.commits.current.iter_mut().for_each(|commit| commit.note_waits(now));
    }

    /// A session with a peer begins: what this node last reported to a coordinator may be lost.
    pub(crate) fn resume_commit(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, link: LinkId) {
        let node = peers.links.get(&link).and_then(|link| link.node);
        let Some(commit) = self.commits.current.as_ref().filter(|commit| Some(commit.id.coordinator) == node) else {
            return;
        };
        let tasks = commit.part.report();
        self.do_tasks(cx, peers, tasks);
    }

    /// The session with a node has ended.
    pub(crate) fn lose_member(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, node: NodeId) {
        let Some(decision) = self.commits.decision() else { return };
        let actions = decision.coordinator.lost(node);
        self.do_actions(cx, peers, actions);
    }

    /// The user keeps a commit that waits for that; `None` if none does.
    pub(crate) fn keep_commit(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) -> Option<Reply> {
        let commit = self.commits.current.as_mut()?;
        let coordinator = commit.id.coordinator;
        let Some(decision) = &mut commit.decision else {
            let text = format!("the commit was begun on {}: confirm it there", cx.node_label(coordinator));
            return Some(Reply::failed(Fault::State, text));
        };
        match decision.coordinator.confirm() {
            Some(actions) => {
                self.do_actions(cx, peers, actions);
                Some(Reply::Done(Tree::map().with("confirmed", 1_u64)))
            }
            None => Some(Reply::failed(Fault::State, "the commit is not waiting for a confirmation")),
        }
    }

    /// The user, or this node, ends a commit that is under way; `None` if none is.
    pub(crate) fn cancel_commit(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, why: &str) -> Option<Reply> {
        let commit = self.commits.current.as_mut()?;
        let decided = || Some(Reply::failed(Fault::State, "the commit is decided already"));
        if let Some(decision) = &mut commit.decision {
            let Some(actions) = decision.coordinator.cancel(why.into()) else { return decided() };
            self.do_actions(cx, peers, actions);
        } else {
            let tasks = commit.part.failed(why.into());
            if tasks.is_empty() {
                return decided();
            }
            self.do_tasks(cx, peers, tasks);
        }
        Some(Reply::Done(Tree::map().with("share", self.name.to_string()).with("commit", "rolled back")))
    }

    /// The share is removed: the command that began the commit gets its answer.
    pub(crate) fn abandon_commit(&mut self, cx: &mut Context<F>) {
        let Some(commit) = self.commits.current.take() else { return };
        cx.committing = None;
        if let Some(decision) = commit.decision.filter(|decision| decision.answers) {
            let text = "the share was removed from the configuration: the commit is rolled back";
            cx.outputs.push_back(Output::Reply { id: decision.command, reply: Reply::failed(Fault::State, text) });
        }
    }

    /// The coordinator has done everything: the user gets the answer.
    fn end_decision(&mut self, cx: &mut Context<F>, verdict: &Verdict) {
        let Some(commit) = &mut self.commits.current else { return };
        let (id, run) = (commit.id, commit.run);
        let members = commit.members.len();
        let Some(decision) = &mut commit.decision else { return };
        let kept = matches!(verdict, Verdict::Kept(_));
        let label = |node: &NodeId| cx.router_label(*node);
        let text_of = |late: &[NodeId]| late.iter().map(label).collect::<Vec<_>>();
        let (text, late, why) = match verdict {
            Verdict::Kept(late) => {
                let late = text_of(late);
                let text = match (members, late.is_empty()) {
                    (0, _) => "kept".to_string(),
                    (_, true) => format!("kept on all {} routers", members + 1),
                    (_, false) => format!(
                        "kept; no report from {} yet: it has the change, or gets it when it is connected",
                        late.join(", ")
                    ),
                };
                (text, late, None)
            }
            Verdict::RolledBack((node, words), late) => {
                let late = text_of(late);
                let why = match node.as_ref().map(label) {
                    Some(router) => format!("{router}: {words}"),
                    None => words.clone(),
                };
                let text = match late.is_empty() {
                    true => format!("rolled back: {why}"),
                    false => format!(
                        "rolled back: {why}; no report from {} yet: it rolls back on its own within {} s",
                        late.join(", "),
                        commit.secs.max(limits::COMMIT_READY.as_secs() as u32)
                    ),
                };
                (text, late, Some(why))
            }
        };
        let line = format!("share {}: commit {text}", self.name);
        cx.log(if kept { Level::Notice } else { Level::Error }, line.clone());
        let mut details = Tree::map()
            .with("share", self.name.to_string())
            .with("commit", id.to_string())
            .with("result", if kept { "kept" } else { "rolled back" })
            .with("message", text.clone())
            .with("unreported", late.into_iter().map(Tree::Text).collect::<Vec<_>>());
        if let Some(run) = run.filter(|_| kept) {
            details = details.with("run", run);
        }
        if let Some(why) = &why {
            details = details.with("reason", why.clone());
        }
        cx.tell(Event { name: "owsync.commit", at: cx.now.wall, text: line, details: details.clone() });
        let command = decision.command;
        if !kept && decision.deltas_are_removed {
            let deltas = std::mem::take(&mut decision.deltas);
            cx.outputs.push_back(Output::Deltas { command, deltas, change: DeltaChange::PutBack });
        }
        if decision.answers {
            let reply = if kept { Reply::Done(details) } else { Reply::failed(Fault::State, text.clone()) };
            cx.outputs.push_back(Output::Reply { id: command, reply });
        }
        self.commits.note_end(Ended { id, at: cx.now.wall, is_kept: kept, text });
    }

    /// Forgets a commit of which nothing is left to do here.
    fn end_commit(&mut self, cx: &mut Context<F>) {
        let Some(commit) = &self.commits.current else { return };
        let decided = |decision: &super::Decision| matches!(decision.coordinator.phase(), Phase::Over(_));
        if !commit.part.is_over() || !commit.decision.as_ref().is_none_or(decided) || !commit.happened.is_empty() {
            return;
        }
        self.drop_commit_batch();
        self.commits.current = None;
        cx.committing = None;
        cx.stirred = true;
    }

    fn answer_commit(&self, cx: &mut Context<F>, peers: &mut Peers<F>, id: CommitId, answer: Answer) {
        if cx.verbose {
            let text = format!("share {}: commit {id}: {}", self.name, answer.word());
            cx.log(Level::Debug, text);
        }
        peers.say(id.coordinator, Message::CommitAnswer { share: self.name.clone(), number: id.number, answer });
    }

    fn send_order(&self, peers: &mut Peers<F>, node: NodeId, number: u64, step: Step) {
        let mut order = Order::plain(self.name.clone(), number, step);
        if let (Step::Prepare, Some(commit)) = (step, &self.commits.current) {
            order.seconds = commit.secs;
            order.members = commit.members.clone();
            order.entries = commit.decision.iter().flat_map(|decision| decision.offers.iter().cloned()).collect();
        }
        peers.say(node, Message::Commit(order));
    }

    /// This node ends: a commit that is not decided is rolled back, so that nothing stays in force that is in no index. Where the
    /// disk does not let it, the next start does.
    pub(crate) fn end_commit_at_shutdown(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        if self.cancel_commit(cx, peers, "owsync was stopped").is_none() {
            return;
        }
        let now = cx.now.mono;
        while self.commit_in_place().is_some_and(|landing| landing.can_work(now)) {
            self.continue_transaction(cx);
        }
    }

    /// A commit that is found in place at a start was not recorded as kept, so it is kept nowhere.
    pub(crate) fn roll_back_found_commit(&mut self, cx: &mut Context<F>) {
        if self.commits.current.is_some() {
            return;
        }
        let Some(mut landing) = self.transaction.landing.take_if(|landing| landing.cause == Cause::Committed) else {
            return;
        };
        self.give_back(cx, &landing);
        landing.roll_back_commit("owsync was restarted before it was kept");
        self.transaction.landing = Some(landing);
    }

    /// The commit that is under way, for status.
    pub(crate) fn commit_status(&self, cx: &Context<F>) -> Option<CommitStatus> {
        let commit = self.commits.current.as_ref()?;
        let step = |(node, answer): (NodeId, Option<&Answer>)| CommitStepStatus {
            router: cx.router_label(node),
            step: answer.map_or("asked", Answer::word).into(),
            reason: answer.and_then(Answer::reason).map(str::to_string),
        };
        let (state, routers) = match &commit.decision {
            Some(decision) => {
                let state = match decision.coordinator.phase() {
                    Phase::Preparing => "preparing",
                    Phase::ApplyingHere | Phase::Applying => "applying",
                    Phase::ByHand => "waiting",
                    Phase::Keeping | Phase::Kept | Phase::Over(Verdict::Kept(_)) => "keeping",
                    Phase::RollingBack(_) | Phase::Over(Verdict::RolledBack(..)) => "rolling back",
                };
                (state, decision.coordinator.nodes().map(step).collect())
            }
            None => {
                let state = if commit.part.is_applied() { "applied" } else { "taking part" };
                // Only the router where it was begun knows how far the others are.
                (state, Vec::new())
            }
        };
        let ends = match &commit.decision {
            Some(decision) => decision.waits.ends(),
            None => commit.part_waits.ends(),
        };
        Some(CommitStatus {
            commit: commit.id.to_string(),
            router: cx.router_label(commit.id.coordinator),
            state: state.into(),
            routers,
            seconds_left: (ends != Monotonic::NEVER).then(|| ends.since(cx.now.mono).as_secs()),
        })
    }

    /// How the last commit of this node ended, for status.
    pub(crate) fn last_commit_status(&self) -> Option<LastCommitStatus> {
        let last = self.commits.ended.last()?;
        Some(LastCommitStatus {
            commit: last.id.to_string(),
            time: last.at,
            result: if last.is_kept { "kept" } else { "rolled back" }.into(),
            message: last.text.clone(),
        })
    }
}
