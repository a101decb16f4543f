//! The only reader of clocks, host name, environment and randomness.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::fs::uci_file::Dirs;
use crate::model::{Monotonic, Now, Release, WallTime};

/// This process's time.
#[derive(Debug, Clone, Copy)]
pub struct Env {
    start: Instant,
}

/// Monotonic time begins well above zero, so that subtracting a timeout from it never meets the end of the range.
const FIRST: u64 = 86_400_000;

impl Env {
    /// Time begins now.
    #[allow(clippy::disallowed_methods)]
    pub fn new() -> Env {
        Env { start: Instant::now() }
    }

    /// This moment.
    #[allow(clippy::disallowed_methods)]
    pub fn now(&self) -> Now {
        let passed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Now { mono: Monotonic(FIRST + passed), wall: WallTime(wall) }
    }

    /// When the machine will have been up for `time`, on this process's monotonic clock.
    pub fn up_for(&self, time: Duration) -> Monotonic {
        let uptime = std::fs::read_to_string("/proc/uptime").ok();
        let seconds = uptime.and_then(|text| text.split('.').next()?.parse::<u64>().ok()).unwrap_or(0);
        Monotonic(
            self.now()
                .mono
                .0
                .saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
                .saturating_sub(seconds.saturating_mul(1000)),
        )
    }
}

impl Default for Env {
    fn default() -> Env {
        Env::new()
    }
}

/// A variable of the environment.
#[allow(clippy::disallowed_methods)]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where UCI keeps its packages; `OWSYNC_ROOT` is above them in an image of a router, or a test.
pub fn uci_dirs() -> Dirs {
    match variable("OWSYNC_ROOT") {
        Some(dir) => Dirs::below(Path::new(&dir)),
        None => Dirs::default(),
    }
}

/// The release of the system, if it is OpenWrt; `OWSYNC_ROOT` is above its files, as for [`uci_dirs`].
pub fn release() -> Option<Release> {
    let root = variable("OWSYNC_ROOT").map_or_else(|| "/".into(), PathBuf::from);
    let text = |file: &str| std::fs::read_to_string(root.join(file)).ok();
    let openwrt = text("etc/openwrt_release").and_then(|text| Release::in_openwrt_release(&text));
    openwrt.or_else(|| Release::in_os_release(&text("etc/os-release").or_else(|| text("usr/lib/os-release"))?))
}

/// The machine's host name.
pub fn hostname() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".into())
}

/// 32 random bytes from the kernel.
///
/// # Errors
/// The kernel has none, which does not happen on any kernel that owsync runs on.
pub fn random() -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| format!("no randomness from the kernel: {error}"))?;
    Ok(bytes)
}

/// The kernel's id of this boot.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_string()).unwrap_or_default()
}
