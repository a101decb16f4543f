//! What two entries of one path come to.

use crate::model::settings::FirstSync;
use crate::model::{Entry, LostBy};

/// What two nodes know of each other when neither has a claim on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstContact {
    /// The rule: `ask` on either side beats `newest`.
    pub rule: FirstSync,
    /// This node was up for ten minutes when the session began.
    pub settled_here: bool,
    /// The peer was.
    pub settled_there: bool,
}

/// Where the content that both must agree on lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Here: nothing needs to travel, and nothing on disk but times, mode and owner may change.
    Here,
    /// At the peer: what lies here is replaced or deleted.
    There,
}

/// Why what lies here, or there, gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loser {
    /// The winner's author had seen it.
    Seen,
    /// The winner's author did not replace it knowingly: they had not seen each other, or it was rejected or rolled back.
    Unseen(LostBy),
    /// Neither side had a claim, or this side had none.
    FirstContact,
}

/// What reconciling one path says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// What is here includes what the peer offers: nothing to do.
    Known,
    /// Both must agree on `entry`.
    Agree {
        /// The entry that this node must come to.
        entry: Entry,
        /// Where its content lies.
        source: Source,
        /// What becomes of the other content, where there is one.
        loser: Option<Loser>,
        /// Equal versions with different entries: one of the databases was set back.
        set_back: bool,
    },
    /// Neither side has a claim, they differ, and a person must pick.
    Ask,
}
