//! Holds: reasons why a share waits for the user.

use std::fmt;

/// Why a share waits for the user. The documentation of a variant says if its hold ends automatically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Its root cannot be opened. Ends automatically.
    RootMissing(String),
    /// A transaction that was interrupted cannot be completed, so the disk has half of it. Ends automatically.
    Interrupted(String),
    /// A different filesystem than the known one is at its root, and files are gone. Ends automatically.
    NotMounted,
    /// Every file it should contain is gone. Ends automatically when they are back.
    Emptied {
        /// Files it should contain.
        known: u64,
    },
    /// Nine in ten files changed or vanished while owsync was not running.
    Replaced {
        /// Files that changed or vanished.
        changed: u64,
        /// Files it should contain.
        known: u64,
    },
    /// The database was restored or copied, and files differ from it.
    SetBack {
        /// Files that differ.
        changed: u64,
        /// Files it should contain.
        known: u64,
    },
    /// More files vanished at once than `delete_guard` allows.
    MassDeletion {
        /// Files that vanished.
        gone: u64,
        /// Files it should contain.
        known: u64,
    },
}

impl Hold {
    /// The code for scripts.
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
            Hold::RootMissing(error) => write!(f, "the directory cannot be opened: {error}; create or mount it, and the sync resumes automatically"),
            Hold::Interrupted(error) => write!(f, "a transaction was interrupted and cannot be completed: {error}; owsync retries automatically"),
            Hold::NotMounted => f.write_str("not mounted: the directory is on a different filesystem than before, and files are missing; mount it, or accept the present files with `owsync approve`"),
            Hold::Emptied { known } => write!(f, "emptied: all {known} files are gone; `owsync approve` propagates the deletions (other nodes may ask for confirmation too), `owsync reject` restores the files"),
            Hold::Replaced { changed, known } => write!(
                f,
                "replaced while owsync was not running: {changed} of {known} files changed or vanished; `owsync approve` makes them changes of this node, `owsync reject` restores the other nodes' state"
            ),
            Hold::SetBack { changed, known } => write!(
                f,
                "the database was restored or copied and {changed} of {known} files differ from it; `owsync approve` makes them changes of this node, `owsync reject` restores the other nodes' state"
            ),
            Hold::MassDeletion { gone, known } => write!(f, "{gone} of {known} files vanished at once; `owsync approve` propagates the deletions (other nodes may ask for confirmation too), `owsync reject` restores the files"),
        }
    }
}
