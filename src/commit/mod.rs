//! Commits: changes that are put in force on all nodes of a share, or on none.
//!
//! Two machines without clock, disk and network. A [`Coordinator`] decides, on the node where the commit was begun; a
//! [`Participant`] is the part of every node in it, also of the coordinator's own. Both are given what happened and return
//! what is to be done; which of their waits has a limit they say, and their owner has the clock.
//!
//! | step | coordinator | participant |
//! | --- | --- | --- |
//! | prepare | sends the entries | fetches and checks: *ready*, or *refused* with the reason |
//! | apply | all are ready: applies here, then tells all | puts the contents in place: *applied*, or *refused* |
//! | probe | all have applied: asks until all have answered | services had their time: *reachable*, or *refused* |
//! | keep | all are reachable: records it, **then** tells all | takes the entries into its index: *kept* |
//! | roll back | a refusal, a limit, or the user | puts the previous contents back: *rolled back* |
//!
//! # What holds
//! - Until it is kept, the entries are in no index. So a rollback is no edit: were it one, that of a late node would
//!   undo what was reported as kept.
//! - A participant never keeps on its own, and never waits without a limit: it rolls back then. A *keep* that it missed
//!   reaches it as an ordinary offer later.
//! - What was not recorded as kept was rolled back, also after a crash. So neither machine is stored: a node that finds an
//!   applied commit at its start rolls it back, and the coordinator's index is the record of what was kept.
//!
//! `tests/commit.rs` runs every interleaving of three nodes with crashes and lost messages, and finds a violation where one of
//! these rules is taken out.

mod coordinator;
mod participant;

pub use coordinator::{Action, Coordinator, Phase, Verdict};
pub use participant::{Participant, Task};

/// A wait that must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// For what others must do before anything is in place.
    Preparing,
    /// For the coordinator, by a node that is ready.
    Ready,
    /// For all to apply it, and to be reachable then.
    Applying,
    /// For the end of a commit that is in place.
    Unconfirmed,
    /// For reports that only complete the answer to the user.
    Reports,
}
