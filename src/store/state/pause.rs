//! Pauses: what the user stopped for a while.

use std::fmt;

use crate::model::{ShareName, WallTime};

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// What.
    pub of: Paused,
    /// Since when.
    pub since: WallTime,
    /// Until when; `None`: until `owsync resume`.
    pub until: Option<WallTime>,
    /// Why, in the user's words; escaped, and empty where no reason was given.
    pub reason: String,
}

/// What can be paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paused {
    /// A configured peer, by its name; any other, by its id in hexadecimal digits.
    Peer(String),
    /// A share.
    Share(ShareName),
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("paused by the user")?;
        if let Some(until) = self.until {
            write!(f, " until {until}")?;
        }
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}
