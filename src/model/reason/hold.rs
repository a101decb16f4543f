//! Why a share waits for a person.

use std::fmt;

/// Why a share waits for a person. What ends by itself when its cause ends says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Its root cannot be opened. Ends by itself.
    RootMissing(String),
    /// A transaction that was interrupted cannot be completed, so what is on disk is half of it. Ends by itself.
    Interrupted(String),
    /// Another filesystem than the known one is at its root, and files are gone. Ends by itself.
    NotMounted,
    /// Every file it should hold is gone. Ends by itself when they are back.
    Emptied {
        /// Files it should hold.
        known: u64,
    },
    /// Nine in ten files changed or vanished while owsync was not running.
    Replaced {
        /// Files that changed or vanished.
        changed: u64,
        /// Files it should hold.
        known: u64,
    },
    /// The database was restored or copied, and files differ from it.
    SetBack {
        /// Files that differ.
        changed: u64,
        /// Files it should hold.
        known: u64,
    },
    /// More files vanished at once than `delete_guard` lets pass.
    MassDeletion {
        /// Files that vanished.
        gone: u64,
        /// Files it should hold.
        known: u64,
    },
}

impl Hold {
    /// The word that scripts test.
    pub fn code(&self) -> &'static str {
        match self {
            Hold::RootMissing(_) => "root_missing",
            Hold::Interrupted(_) => "interrupted",
            Hold::NotMounted => "not_mounted",
            Hold::Emptied { .. } => "emptied",
            Hold::Replaced { .. } => "replaced",
            Hold::SetBack { .. } => "set_back",
            Hold::MassDeletion { .. } => "mass_deletion",
        }
    }

    /// Whether `approve` or `reject` ends the hold; without its directory there is nothing to decide.
    pub fn needs_user(&self) -> bool {
        match self {
            Hold::RootMissing(_) | Hold::Interrupted(_) => false,
            Hold::NotMounted
            | Hold::Emptied { .. }
            | Hold::Replaced { .. }
            | Hold::SetBack { .. }
            | Hold::MassDeletion { .. } => true,
        }
    }

    /// Whether the hold ends when its cause does, without the user.
    pub fn ends_by_itself(&self) -> bool {
        match self {
            Hold::RootMissing(_)
            | Hold::Interrupted(_)
            | Hold::NotMounted
            | Hold::Emptied { .. }
            | Hold::MassDeletion { .. } => true,
            Hold::Replaced { .. } | Hold::SetBack { .. } => false,
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::RootMissing(error) => write!(f, "its directory cannot be opened: {error}; make or mount it, and it goes on by itself"),
            Hold::Interrupted(error) => write!(f, "a transaction was interrupted and cannot be completed: {error}; it is tried again automatically"),
            Hold::NotMounted => f.write_str("not mounted: another filesystem than before is at its directory, and files are missing; mount it, or accept what is there with `owsync approve`"),
            Hold::Emptied { known } => write!(f, "emptied: all {known} files are gone; `owsync approve` deletes them on the other nodes, whose people are asked too, `owsync reject` brings them back"),
            Hold::Replaced { changed, known } => write!(
                f,
                "replaced while owsync was not running: {changed} of {known} files changed or vanished; `owsync approve` makes them this node's edits, `owsync reject` takes the other nodes' state"
            ),
            Hold::SetBack { changed, known } => write!(
                f,
                "the database was restored or copied and {changed} of {known} files differ from it; `owsync approve` makes them this node's edits, `owsync reject` takes the other nodes' state"
            ),
            Hold::MassDeletion { gone, known } => write!(f, "{gone} of {known} files vanished at once; `owsync approve` deletes them on the other nodes, whose people are asked too, `owsync reject` brings them back"),
        }
    }
}
