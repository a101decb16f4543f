//! Generates random bytes from a seed that is passed in.
//!
//! A hash generator over SHA-256: each draw replaces the state by a one-way step, so a state that is read later reveals
//! nothing of earlier draws. The daemon seeds it with 32 bytes from the kernel, the simulation with its seed.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroize;

/// A seeded source of random bytes; cryptographically as good as its seed.
pub struct Rng([u8; 32]);

impl Rng {
    /// A source that draws the same bytes for the same seed.
    pub fn new(seed: [u8; 32]) -> Rng {
        Rng(seed)
    }

    /// 32 random bytes.
    pub fn bytes32(&mut self) -> [u8; 32] {
        let step = |label: u8, state: &[u8; 32]| -> [u8; 32] {
            Sha256::new().chain_update(state).chain_update([label]).finalize().into()
        };
        let drawn = step(0, &self.0);
        self.0 = step(1, &self.0);
        drawn
    }

    /// A number derived from this source without drawing: later draws do not depend on it.
    pub fn mark(&self) -> u64 {
        let drawn: [u8; 32] = Sha256::new().chain_update(self.0).chain_update([2]).finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&drawn[..8]);
        u64::from_be_bytes(first)
    }

    /// A random number, never 0.
    pub fn number(&mut self) -> u64 {
        let mut drawn = [0; 8];
        drawn.copy_from_slice(&self.bytes32()[..8]);
        u64::from_be_bytes(drawn).max(1)
    }

    /// A number below `end` (0 when `end` is 0), for jitter: the slight bias of the remainder does not matter there.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.number() % end }
    }
}

impl Drop for Rng {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
