//! Modes: how sessions are secured.

use crate::model::Key;

/// How a session is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Plain mode: not at all.
    Plain,
    /// There is no session: a key is needed, and this node has none.
    Closed,
    /// With a key and an identity.
    #[cfg(feature = "encryption")]
    Encrypted(Credentials),
}

impl Mode {
    /// Whether sessions are, or would be, encrypted and authenticated.
    pub fn is_encrypted(&self) -> bool {
        match self {
            Mode::Plain => false,
            Mode::Closed => true,
            #[cfg(feature = "encryption")]
            Mode::Encrypted(_) => true,
        }
    }

    /// Whether every node that could open a session in this mode still can in `next`, under the same identity of this node:
    /// then the open sessions need not end.
    pub fn is_included_in(&self, next: &Mode) -> bool {
        match (self, next) {
            (Mode::Plain, Mode::Plain) => true,
            #[cfg(feature = "encryption")]
            (Mode::Encrypted(old), Mode::Encrypted(new)) => {
                let accepted = |key: &Key| *key == new.key || new.previous.as_ref() == Some(key);
                old.identity == new.identity && accepted(&old.key) && old.previous.as_ref().is_none_or(accepted)
            }
            #[cfg(feature = "encryption")]
            (Mode::Plain, Mode::Encrypted(_)) | (Mode::Encrypted(_), Mode::Plain) => false,
            (Mode::Closed, _) | (_, Mode::Closed) => false,
        }
    }
}

/// What an encrypted session needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The cluster's key.
    pub key: Key,
    /// A second key: tried when the first one fails.
    pub previous: Option<Key>,
    /// This node's private key.
    pub identity: Key,
}
