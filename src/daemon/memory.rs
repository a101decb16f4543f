//! Configures the C library's allocator, so that memory that was needed for a while, to scan all files or to exchange an
//! index, is returned when it is free.
//!
//! Left alone, glibc takes each large buffer that was freed as a reason to keep twice its size from then on, and keeps
//! what is free between two blocks in use: after a first exchange of 10,000 files a daemon would hold 17 MB of
//! which it uses 3. Other C libraries give back as it is.

#![cfg_attr(target_env = "gnu", allow(unsafe_code))]

use std::time::Duration;

use crate::model::Monotonic;

/// Time between two searches for free memory; each takes about as long as reading the memory in use.
const AGAIN: Duration = Duration::from_secs(10);

/// The allocator of this process.
pub(super) struct Memory {
    searched: Monotonic,
}

impl Memory {
    /// Sets it up.
    pub fn new(now: Monotonic) -> Memory {
        #[cfg(target_env = "gnu")]
        {
            /// Bytes at the end of the heap that are kept, and above which a buffer has pages of its own: more than a
            /// connection's buffer needs, so that sending a large file does not fetch and return pages all the time.
            const KEPT: libc::c_int = 1024 * 1024;
            // SAFETY: mallopt takes two numbers, and touches no memory that is in use.
            unsafe {
                libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
                libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT);
            }
        }
        Memory { searched: now }
    }

    /// Returns free memory to the system. Called when there is nothing to do; it causes no wake-up.
    pub fn give_back(&mut self, now: Monotonic) {
        if now.since(self.searched) < AGAIN {
            return;
        }
        self.searched = now;
        #[cfg(target_env = "gnu")]
        // SAFETY: malloc_trim takes a number, and touches no memory that is in use.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
