//! SHA-256 digests of contents: equal digests mean identical files.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::model::escape;

/// The SHA-256 of a file's bytes or a symlink's text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of entries without content: directories and tombstones.
    pub const NONE: Digest = Digest([0; 32]);

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// 64 lower case hexadecimal digits.
    pub fn to_hex(self) -> String {
        escape::hex(&self.0)
    }

    /// Reads what [`Digest::to_hex`] writes.
    pub fn from_hex(text: &str) -> Option<Digest> {
        escape::unhex(text).map(Digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex()[..12])
    }
}

/// A digest in the making, fed piece by piece.
#[derive(Clone)]
pub struct Hasher {
    sha: Sha256,
    fed: u64,
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Hasher {
        Hasher { sha: Sha256::new(), fed: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha.update(bytes);
        self.fed += bytes.len() as u64;
    }

    /// Bytes taken so far.
    pub fn fed(&self) -> u64 {
        self.fed
    }

    /// The digest of everything taken.
    pub fn finish(self) -> Digest {
        Digest(self.sha.finalize().into())
    }
}

impl Default for Hasher {
    fn default() -> Hasher {
        Hasher::new()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({} bytes)", self.fed)
    }
}
