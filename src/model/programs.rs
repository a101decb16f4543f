//! Programs of the administrator's: who is told what landed, and what happened.

use std::fmt;
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

/// Who is told that something landed in a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// Nobody.
    Nobody,
    /// procd, one package at a time: whoever uses the package reads it again.
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
