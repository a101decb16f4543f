//! What a person switched off for a while.

use std::fmt;

use crate::model::{ShareName, WallTime};

/// Something that a person switched off for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// What.
    pub of: Paused,
    /// Since when.
    pub since: WallTime,
    /// Until when; `None`: until a person switches it on again.
    pub until: Option<WallTime>,
    /// Why, in that person's words; escaped, and empty where they said nothing.
    pub reason: String,
}

/// What can be switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paused {
    /// A configured peer, by its name; any other, by its id in hexadecimal digits.
    Peer(String),
    /// A share.
    Share(ShareName),
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("paused by a person")?;
        if let Some(until) = self.until {
            write!(f, " until {until}")?;
        }
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}
