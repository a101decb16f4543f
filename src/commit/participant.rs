//! The part of one node in a commit.

use crate::commit::Limit;
use crate::model::commit::{Answer, Step};

/// The part of one node in a commit. See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    phase: Phase,
    /// Services had their time, and the probe passed.
    works: bool,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Contents are fetched and checked.
    Preparing,
    /// Everything is here, and nothing has changed.
    Ready,
    /// Contents are being put in place.
    Applying,
    /// They are in place.
    Applied,
    /// The entries are being recorded.
    Keeping,
    /// The previous contents are being put back, for this reason, if it is this node's.
    RollingBack(Option<String>),
    /// Everything is as it was, for this reason, if it is this node's.
    Back(Option<String>),
    /// The entries are in the index.
    Kept,
}

/// What the node is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Put the contents in place; then [`Participant::applied`] or [`Participant::failed`].
    Apply,
    /// Record the entries; then [`Participant::kept`] or [`Participant::failed`].
    Keep,
    /// Drop what is prepared, or put the previous contents back; then [`Participant::rolled_back`].
    RollBack,
    /// Tell the coordinator.
    Answer(Answer),
}

impl Participant {
    /// A node that begins to prepare.
    pub fn new() -> Participant {
        Participant { phase: Phase::Preparing, works: false }
    }

    /// The wait that must end: [`Participant::time_is_up`] ends it.
    pub fn limit(&self) -> Option<Limit> {
        match self.phase {
            Phase::Preparing => Some(Limit::Preparing),
            Phase::Ready => Some(Limit::Ready),
            // A disk that refuses to apply must not make it wait without a limit.
            Phase::Applying | Phase::Applied => Some(Limit::Unconfirmed),
            Phase::Keeping | Phase::RollingBack(_) | Phase::Back(_) | Phase::Kept => None,
        }
    }

    /// Whether nothing of it is left to do here.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Back(_) | Phase::Kept)
    }

    /// Whether its contents are in place, or being put there.
    pub fn is_in_place(&self) -> bool {
        matches!(self.phase, Phase::Applying | Phase::Applied | Phase::Keeping | Phase::RollingBack(_))
    }

    /// Whether it still prepares.
    pub fn is_preparing(&self) -> bool {
        self.phase == Phase::Preparing
    }

    /// Whether everything is in place and waits for the coordinator.
    pub fn is_applied(&self) -> bool {
        self.phase == Phase::Applied
    }

    /// The coordinator has it do something.
    pub fn told(&mut self, step: Step) -> Vec<Task> {
        match (step, &self.phase) {
            (Step::Apply, Phase::Ready) => {
                self.phase = Phase::Applying;
                vec![Task::Apply]
            }
            (Step::Keep, Phase::Applied) => {
                self.phase = Phase::Keeping;
                vec![Task::Keep]
            }
            (Step::RollBack, Phase::Preparing | Phase::Ready | Phase::Applying | Phase::Applied) => self.back(None),
            (Step::RollBack, Phase::Back(_)) => vec![Task::Answer(Answer::RolledBack)],
            (Step::Probe, Phase::Applied) if !self.works => Vec::new(),
            // It was done: the report of that was lost.
            (Step::Apply | Step::Probe, Phase::Applied) | (Step::Keep | Step::RollBack, Phase::Kept) => self.report(),
            // It is too late for that, or it is being done and reported at its end.
            (Step::Prepare | Step::Apply | Step::Probe | Step::Keep | Step::RollBack, _) => Vec::new(),
        }
    }

    /// Everything is here and was checked.
    pub fn prepared(&mut self) -> Vec<Task> {
        if self.phase != Phase::Preparing {
            return Vec::new();
        }
        self.phase = Phase::Ready;
        self.report()
    }

    /// The contents are in place.
    pub fn applied(&mut self) -> Vec<Task> {
        if self.phase != Phase::Applying {
            return Vec::new();
        }
        self.phase = Phase::Applied;
        self.report()
    }

    /// Services were notified and had their time, and the probe passed.
    pub fn works(&mut self) {
        self.works = true;
    }

    /// Something failed, or changed here since: nothing stays in place.
    pub fn failed(&mut self, why: String) -> Vec<Task> {
        match self.phase {
            Phase::Preparing | Phase::Ready | Phase::Applying | Phase::Applied | Phase::Keeping => self.back(Some(why)),
            Phase::RollingBack(_) | Phase::Back(_) | Phase::Kept => Vec::new(),
        }
    }

    /// The entries are in the index, and that is on disk.
    pub fn kept(&mut self) -> Vec<Task> {
        if self.phase != Phase::Keeping {
            return Vec::new();
        }
        self.phase = Phase::Kept;
        self.report()
    }

    /// The previous contents are in place, and that is on disk.
    pub fn rolled_back(&mut self) -> Vec<Task> {
        let Phase::RollingBack(why) = &mut self.phase else { return Vec::new() };
        self.phase = Phase::Back(why.take());
        vec![Task::Answer(Answer::RolledBack)]
    }

    /// The wait that [`Participant::limit`] names took too long.
    pub fn time_is_up(&mut self) -> Vec<Task> {
        let why = match self.phase {
            Phase::Preparing => "it could not be prepared in time",
            Phase::Ready => "it was prepared, and not applied in time",
            Phase::Applying => "it could not be applied in time",
            Phase::Applied => "it was not confirmed in time",
            _ => return Vec::new(),
        };
        self.back(Some(why.into()))
    }

    /// Tells the coordinator again where it is: what it answered may be lost, with the connection.
    pub fn report(&self) -> Vec<Task> {
        let answer = match &self.phase {
            Phase::Preparing | Phase::Applying | Phase::Keeping => return Vec::new(),
            Phase::RollingBack(None) => return Vec::new(),
            Phase::Ready => Answer::Ready,
            Phase::Applied if self.works => Answer::Reachable,
            Phase::Applied => Answer::Applied,
            Phase::RollingBack(Some(why)) | Phase::Back(Some(why)) => Answer::Refused(why.clone()),
            Phase::Back(None) => Answer::RolledBack,
            Phase::Kept => Answer::Kept,
        };
        vec![Task::Answer(answer)]
    }

    fn back(&mut self, why: Option<String>) -> Vec<Task> {
        self.phase = Phase::RollingBack(why);
        let mut tasks = self.report();
        tasks.push(Task::RollBack);
        tasks
    }
}

impl Default for Participant {
    fn default() -> Participant {
        Participant::new()
    }
}
