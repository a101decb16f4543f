//! Verdicts: the result of reconciling two entries of one path.

use crate::model::settings::FirstSync;
use crate::model::{Entry, LostBy};

/// What two nodes know of each other when neither has a claim to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstContact {
    /// The rule: `ask` on either side beats `newest`.
    pub rule: FirstSync,
    /// This node was up for ten minutes when the session began.
    pub settled_here: bool,
    /// The peer was up for ten minutes.
    pub settled_there: bool,
}

/// Where the content is that both must agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Here: nothing needs to be transferred, and only times, mode and owner may change on disk.
    Here,
    /// At the peer: the content here is replaced or deleted.
    There,
}

/// Why the content here, or there, is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loser {
    /// The winner's author had seen it.
    Seen,
    /// The winner's author did not replace it knowingly: they had not seen each other, or it was rejected or rolled back.
    Unseen(LostBy),
    /// Neither side had a claim, or this side had none.
    FirstContact,
    /// Its changes are part of the content that replaces it.
    Merged,
}

/// The result of reconciling one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The entry here includes the peer's: nothing to do.
    Known,
    /// Both must agree on `entry`.
    Agree {
        /// The entry that this node must have.
        entry: Entry,
        /// Where its content is.
        source: Source,
        /// What happens to the other content, where there is one.
        loser: Option<Loser>,
        /// Equal versions with different entries: one of the databases was set back.
        set_back: bool,
    },
    /// Neither side has a claim, they differ, and the user must choose.
    Ask,
}
