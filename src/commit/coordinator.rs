//! The decision of a commit.

use crate::commit::Limit;
use crate::model::commit::{Answer, Step};
use crate::model::{Map, NodeId};

/// Decides a commit. See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinator {
    me: NodeId,
    /// Every node that takes part, this one as well, and what it has reported last.
    nodes: Map<NodeId, Option<Answer>>,
    phase: Phase,
    /// The user keeps it, not the machine.
    by_hand: bool,
}

/// Where a commit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// All prepare.
    Preparing,
    /// The coordinator's own node applies.
    ApplyingHere,
    /// All apply.
    Applying,
    /// All are reachable; the user decides.
    ByHand,
    /// The entries are being recorded on the coordinator's node.
    Keeping,
    /// It is kept, for good; the others are notified.
    Kept,
    /// It is rolled back everywhere: which node it failed on, and why.
    RollingBack(Why),
    /// Everything is done that can be done from here.
    Over(Verdict),
}

/// Why a commit is rolled back: the node, if it is a node's reason, and its words.
pub type Why = (Option<NodeId>, String);

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is in force. These nodes have not reported yet: they keep it when they hear of it, or get it as an ordinary change.
    Kept(Vec<NodeId>),
    /// It is in force nowhere, for this reason. These nodes have not reported yet: they roll back when they hear of it, and
    /// when their time is over.
    RolledBack(Why, Vec<NodeId>),
}

/// What the coordinator's node is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell a node; this one as well.
    Tell(NodeId, Step),
    /// It ended.
    End(Verdict),
}

impl Coordinator {
    /// A commit that this node, `me`, decides for itself and `members`.
    pub fn new(me: NodeId, members: &[NodeId], by_hand: bool) -> Coordinator {
        let nodes = members.iter().chain([&me]).map(|node| (*node, None)).collect();
        Coordinator { me, nodes, phase: Phase::Preparing, by_hand }
    }

    /// Begins it.
    pub fn begin(&self) -> Vec<Action> {
        self.tell_all(Step::Prepare)
    }

    /// Where it is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Every node that takes part, and what it has reported last.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, Option<&Answer>)> {
        self.nodes.iter().map(|(node, answer)| (*node, answer.as_ref()))
    }

    /// The wait that must end: [`Coordinator::time_is_up`] ends it.
    pub fn limit(&self) -> Option<Limit> {
        match self.phase {
            Phase::Preparing => Some(Limit::Preparing),
            Phase::ApplyingHere | Phase::Applying => Some(Limit::Applying),
            Phase::ByHand => Some(Limit::Unconfirmed),
            Phase::Kept | Phase::RollingBack(_) => Some(Limit::Reports),
            Phase::Keeping | Phase::Over(_) => None,
        }
    }

    /// A node reports.
    pub fn answered(&mut self, node: NodeId, answer: Answer) -> Vec<Action> {
        let Some(known) = self.nodes.get_mut(&node) else { return Vec::new() };
        if let (Phase::Kept | Phase::RollingBack(_) | Phase::Over(_), Some(Answer::Kept | Answer::RolledBack)) =
            (&self.phase, &known)
        {
            return Vec::new();
        }
        let refused = matches!(answer, Answer::Refused(_));
        *known = Some(answer.clone());
        match (&self.phase, answer) {
            (Phase::Preparing | Phase::ApplyingHere | Phase::Applying | Phase::ByHand, Answer::Refused(why)) => {
                self.roll_back(Some(node), why)
            }
            // The record could not be written here, and no node was notified that it is kept.
            (Phase::Keeping, Answer::Refused(why)) if node == self.me => self.roll_back(Some(node), why),
            (Phase::Preparing, Answer::Ready) if self.all_are(|answer| *answer == Answer::Ready) => {
                self.phase = Phase::ApplyingHere;
                vec![Action::Tell(self.me, Step::Apply)]
            }
            (Phase::ApplyingHere, Answer::Applied) if node == self.me => {
                self.phase = Phase::Applying;
                let others = self.nodes.keys().filter(|other| **other != self.me);
                others.map(|other| Action::Tell(*other, Step::Apply)).collect()
            }
            // It gave up, and the reason was lost with a connection.
            (Phase::Preparing | Phase::ApplyingHere | Phase::Applying | Phase::ByHand, Answer::RolledBack) => {
                self.roll_back(Some(node), "it rolled back".into())
            }
            // The message was lost with its connection.
            (Phase::Applying, Answer::Ready) => vec![Action::Tell(node, Step::Apply)],
            (Phase::Applying, Answer::Reachable) if self.all_are(|answer| *answer == Answer::Reachable) => {
                if self.by_hand {
                    self.phase = Phase::ByHand;
                    return Vec::new();
                }
                self.record()
            }
            (Phase::Keeping, Answer::Kept) if node == self.me => {
                self.phase = Phase::Kept;
                let mut actions = self.tell_all(Step::Keep);
                actions.extend(self.end_if_reported());
                actions
            }
            (Phase::Kept | Phase::Over(Verdict::Kept(_)), Answer::Ready | Answer::Applied | Answer::Reachable) => {
                vec![Action::Tell(node, Step::Keep)]
            }
            (
                Phase::RollingBack(_) | Phase::Over(Verdict::RolledBack(..)),
                Answer::Ready | Answer::Applied | Answer::Reachable,
            ) => vec![Action::Tell(node, Step::RollBack)],
            (Phase::Kept | Phase::RollingBack(_), Answer::Kept | Answer::RolledBack | Answer::Refused(_)) => {
                if refused && matches!(self.phase, Phase::RollingBack(_)) {
                    // It rolls back on its own, and reports when it is asked whether it has.
                    return vec![Action::Tell(node, Step::RollBack)]
                        .into_iter()
                        .chain(self.end_if_reported())
                        .collect();
                }
                self.end_if_reported()
            }
            _ => Vec::new(),
        }
    }

    /// Time has passed since the message to apply was sent to all: asks those that have applied whether they still work. To be repeated.
    pub fn probe(&self) -> Vec<Action> {
        let applied = self.all_are(|answer| matches!(answer, Answer::Applied | Answer::Reachable));
        if self.phase != Phase::Applying || !applied {
            return Vec::new();
        }
        let open = self.nodes.iter().filter(|(_, answer)| **answer == Some(Answer::Applied));
        open.map(|(node, _)| Action::Tell(*node, Step::Probe)).collect()
    }

    /// The connection with a node ended. Before anything is in place that ends the commit; afterwards the node may restart its
    /// network, and has its time to come back.
    pub fn lost(&mut self, node: NodeId) -> Vec<Action> {
        let takes_part = self.nodes.contains_key(&node) && node != self.me;
        if takes_part && self.phase == Phase::Preparing {
            return self.roll_back(Some(node), "the connection to it was lost".into());
        }
        Vec::new()
    }

    /// The user keeps it; whether that is to be decided now.
    pub fn confirm(&mut self) -> Option<Vec<Action>> {
        (self.phase == Phase::ByHand).then(|| self.record())
    }

    /// The user, or the node, ends it; whether it can still be ended.
    pub fn cancel(&mut self, why: String) -> Option<Vec<Action>> {
        match self.phase {
            Phase::Preparing | Phase::ApplyingHere | Phase::Applying | Phase::ByHand => Some(self.roll_back(None, why)),
            Phase::Keeping | Phase::Kept | Phase::RollingBack(_) | Phase::Over(_) => None,
        }
    }

    /// The wait that [`Coordinator::limit`] names took too long.
    pub fn time_is_up(&mut self) -> Vec<Action> {
        let late = |wanted: &dyn Fn(&Answer) -> bool| {
            let open = self.nodes.iter().find(|(_, answer)| !answer.as_ref().is_some_and(wanted));
            open.map(|(node, _)| *node)
        };
        match self.phase {
            Phase::Preparing => {
                let node = late(&|answer| *answer == Answer::Ready);
                self.roll_back(node, "it did not answer in time".into())
            }
            Phase::ApplyingHere | Phase::Applying => {
                let applied = |answer: &Answer| matches!(answer, Answer::Applied | Answer::Reachable);
                match late(&applied) {
                    Some(node) => self.roll_back(Some(node), "it did not apply the change in time".into()),
                    None => {
                        let node = late(&|answer| *answer == Answer::Reachable);
                        let why = match node {
                            Some(node) if node == self.me => "its services, or its probe, did not end in time",
                            _ => "it could not be reached after the change",
                        };
                        self.roll_back(node, why.into())
                    }
                }
            }
            Phase::ByHand => self.roll_back(None, "it was not confirmed in time".into()),
            Phase::Kept | Phase::RollingBack(_) => self.end(),
            Phase::Keeping | Phase::Over(_) => Vec::new(),
        }
    }

    fn record(&mut self) -> Vec<Action> {
        self.phase = Phase::Keeping;
        vec![Action::Tell(self.me, Step::Keep)]
    }

    fn roll_back(&mut self, node: Option<NodeId>, why: String) -> Vec<Action> {
        self.phase = Phase::RollingBack((node, why));
        let mut actions = self.tell_all(Step::RollBack);
        actions.extend(self.end_if_reported());
        actions
    }

    fn all_are(&self, wanted: impl Fn(&Answer) -> bool) -> bool {
        self.nodes.values().all(|answer| answer.as_ref().is_some_and(&wanted))
    }

    fn tell_all(&self, step: Step) -> Vec<Action> {
        let done = |answer: &Option<Answer>| matches!(answer, Some(Answer::Kept | Answer::RolledBack));
        let open = self.nodes.iter().filter(|(_, answer)| !done(answer));
        open.map(|(node, _)| Action::Tell(*node, step)).collect()
    }

    /// Nodes that have not reported their end.
    fn open(&self) -> Vec<NodeId> {
        let ended = |answer: &Option<Answer>| match &self.phase {
            Phase::Kept => matches!(answer, Some(Answer::Kept | Answer::RolledBack | Answer::Refused(_))),
            _ => matches!(answer, Some(Answer::RolledBack)),
        };
        self.nodes.iter().filter(|(_, answer)| !ended(answer)).map(|(node, _)| *node).collect()
    }

    fn end_if_reported(&mut self) -> Vec<Action> {
        if self.open().is_empty() { self.end() } else { Vec::new() }
    }

    fn end(&mut self) -> Vec<Action> {
        let verdict = match &self.phase {
            Phase::Kept => {
                let missing = |answer: &Option<Answer>| *answer != Some(Answer::Kept);
                let late = self.nodes.iter().filter(|(_, answer)| missing(answer));
                Verdict::Kept(late.map(|(node, _)| *node).collect())
            }
            Phase::RollingBack(why) => Verdict::RolledBack(why.clone(), self.open()),
            _ => return Vec::new(),
        };
        self.phase = Phase::Over(verdict.clone());
        vec![Action::End(verdict)]
    }
}
