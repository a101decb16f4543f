//! Programs that the administrator configured for events and for applied changes.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A program that is run on events, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The program, absolute; `None`: no program is run.
    pub program: Option<PathBuf>,
    /// Time after which it is killed, with its whole process group.
    pub time: Duration,
}

impl Default for Hook {
    fn default() -> Hook {
        Hook { program: None, time: Duration::from_secs(30) }
    }
}

/// What is notified after a batch was applied in a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// Nothing.
    Nobody,
    /// procd, one package at a time: each service that uses the package reloads.
    Uci,
    /// This program of the administrator's is run.
    Script(PathBuf),
    /// These init scripts are run with `reload`.
    Services(Vec<String>),
}

/// As the option says it.
impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reload::Nobody => f.write_str("none"),
            Reload::Uci => f.write_str("uci"),
            Reload::Script(script) => write!(f, "{}", script.display()),
            Reload::Services(names) => f.write_str(&names.join(" ")),
        }
    }
}
