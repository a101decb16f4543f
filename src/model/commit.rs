//! The words of a commit: a change that is put in force on all nodes of a share, or on none.

use std::fmt;

use crate::model::NodeId;

/// Names a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId {
    /// The node on which it was begun, which decides.
    pub coordinator: NodeId,
    /// A random number of the coordinator.
    pub number: u64,
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.number)
    }
}

/// What the coordinator has a node do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Fetch the contents and check them; nothing changes.
    Prepare,
    /// Put them in place, so that they can be rolled back.
    Apply,
    /// Say whether the node still works, now that services were notified.
    Probe,
    /// Take the entries into the index: the commit was recorded.
    Keep,
    /// Put the previous contents back.
    RollBack,
}

/// What a node has done of a commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Everything was fetched and checked, and can be applied.
    Ready,
    /// The contents are in place.
    Applied,
    /// Services were notified, had their time, and this node is still reachable; its probe, if it has one, passed.
    Reachable,
    /// The entries are in its index.
    Kept,
    /// The previous contents are in place.
    RolledBack,
    /// It does not take part, or no longer: why. Nothing of the commit is in place there, or it will be rolled back.
    Refused(String),
}

impl Step {
    /// Every step, in the order of their numbers on the wire.
    pub const ALL: [Step; 5] = [Step::Prepare, Step::Apply, Step::Probe, Step::Keep, Step::RollBack];
}

impl Answer {
    /// The word for users.
    pub fn word(&self) -> &'static str {
        match self {
            Answer::Ready => "prepared",
            Answer::Applied => "applied",
            Answer::Reachable => "reachable",
            Answer::Kept => "kept",
            Answer::RolledBack => "rolled back",
            Answer::Refused(_) => "refused",
        }
    }

    /// Why a node refused, for users.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Answer::Refused(why) => Some(why),
            Answer::Ready | Answer::Applied | Answer::Reachable | Answer::Kept | Answer::RolledBack => None,
        }
    }
}
