//! Keys: 32 bytes that are wiped when dropped and never printed.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::model::escape;

/// A 256-bit secret: the cluster's pre-shared key, or a node's private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// A key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Key {
        Key(bytes)
    }

    /// Reads 64 hexadecimal digits, with white space around them.
    pub fn from_hex(text: &str) -> Option<Key> {
        escape::unhex(text.trim()).map(Key)
    }

    /// The bytes, for the cipher.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hexadecimal digits: only for writing a key file or a join text.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(escape::hex(&self.0))
    }

    /// A short text for comparing keys without revealing them: 8 digits of a hash of the key.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::new().chain_update(b"owsync key fingerprint").chain_update(self.0).finalize();
        escape::hex(&hash[..4])
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(fingerprint {})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_64_digits_f37() {
        assert!(Key::from_hex(&"0f".repeat(32)).is_some());
        assert!(Key::from_hex(&format!(" {}\n", "0F".repeat(32))).is_some());
        for bad in ["", "abcd", &"0f".repeat(31), &"0f".repeat(33), &"zz".repeat(32)] {
            assert!(Key::from_hex(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn debug_output_does_not_hold_the_key() {
        let key = Key::new([0xab; 32]);
        assert!(!format!("{key:?}").contains("abab"));
    }
}
