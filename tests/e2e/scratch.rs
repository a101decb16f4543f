//! A directory that goes when its test does.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of this test's own.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("owsync-e2e-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        // Shares, databases and processes are compared by path: one spelling of it.
        Scratch(std::fs::canonicalize(dir).unwrap())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("OWSYNC_TEST_KEEP").is_some() {
            eprintln!("kept: {}", self.0.display());
            return;
        }
        // What a test made unreadable for others than root is removed as far as it can be.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
