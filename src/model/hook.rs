//! A program of the administrator's that is told what happens.

use std::path::PathBuf;
use std::time::Duration;

/// What is called when something happens, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The program, absolute; `None`: nobody is told.
    pub program: Option<PathBuf>,
    /// Time after which it is killed, with everything it started.
    pub time: Duration,
}

impl Default for Hook {
    fn default() -> Hook {
        Hook { program: None, time: Duration::from_secs(30) }
    }
}
