//! Settings of one share.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Hook, RelPath};

pub use crate::model::programs::Reload;
use crate::model::settings::{Direction, ShareName, default_max_file_size};

/// A directory tree that is synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareSettings {
    /// Its name, the same on every node.
    pub name: ShareName,
    /// `false`: the share is known, but not synced.
    pub enabled: bool,
    /// Its root on this node.
    pub dir: PathBuf,
    /// Patterns of which one must match; none: nothing is synced.
    pub include: Vec<Vec<u8>>,
    /// Patterns of which none may match.
    pub exclude: Vec<Vec<u8>>,
    /// Which way changes go.
    pub direction: Direction,
    /// Whether symlinks are synced.
    pub symlinks: Symlinks,
    /// Largest file, in bytes; 0: no limit.
    pub max_file_size: u64,
    /// Whether set-user-id and set-group-id bits are applied.
    pub allow_setuid: bool,
    /// Percent of files vanishing at once that hold the share; 0: never.
    pub delete_guard: u8,
    /// Bytes that a write must leave free.
    pub min_free: u64,
    /// What is notified after a batch was applied; `None`: what fits its directory.
    pub reload: Option<Reload>,
    /// Seconds within which an applied change must be confirmed, 0 for never; `None`: only what can cut a router off.
    pub confirm: Option<u32>,
    /// Whether changes are exchanged automatically.
    pub mode: Mode,
    /// Program that must accept each file before it is applied.
    pub validate: Option<PathBuf>,
    /// Program that must succeed before an applied change is confirmed.
    pub probe: Option<PathBuf>,
    /// Which way deletions are exchanged, within `direction`.
    pub deletions: Direction,
    /// Whether an approval of the user is sent: other nodes then do not ask again, and this one does not ask again for
    /// what was approved at a peer whose identity was accepted.
    pub propagate_approvals: bool,
    /// Whether changes that two nodes made to one UCI package are merged; otherwise the newer file is taken whole.
    pub merge: bool,
    /// Time after which an exchange that has not ended is reported.
    pub soft_max_time: Option<Duration>,
    /// Time after which an exchange that has not ended is stopped, to resume later.
    pub hard_max_time: Option<Duration>,
    /// Whether packages of another system release wait; see [`ShareSettings::guards_release`].
    pub release_guard: bool,
    /// Patterns of UCI options and sections that belong to this node: their values are neither offered nor replaced.
    pub local: Vec<String>,
    /// The hook for the events of this share.
    pub hook: Hook,
}

impl ShareSettings {
    /// A share with the defaults of a config file.
    pub fn new(name: ShareName, dir: PathBuf) -> ShareSettings {
        ShareSettings {
            name,
            enabled: true,
            dir,
            include: Vec::new(),
            exclude: Vec::new(),
            direction: Direction::Both,
            symlinks: Symlinks::Ignore,
            max_file_size: default_max_file_size(),
            allow_setuid: false,
            delete_guard: 50,
            min_free: 1024 * 1024,
            reload: None,
            confirm: None,
            mode: Mode::Auto,
            validate: None,
            probe: None,
            deletions: Direction::Both,
            propagate_approvals: true,
            merge: true,
            soft_max_time: None,
            hard_max_time: None,
            release_guard: true,
            local: Vec::new(),
            hook: Hook::default(),
        }
    }

    /// Seconds within which a batch of these paths must be confirmed; 0: it need not be.
    pub fn confirm_for<'a>(&self, mut paths: impl Iterator<Item = &'a RelPath>) -> u32 {
        let cuts_off = |path: &RelPath| CUTTING_OFF.iter().any(|package| path.as_bytes() == package.as_bytes());
        match self.confirm {
            Some(seconds) => seconds,
            None if self.dir.starts_with(UCI_DIR) && paths.any(cuts_off) => CONFIRM,
            None => 0,
        }
    }

    /// Whether the share contains UCI packages that must not be exchanged between releases that differ.
    pub fn guards_release(&self) -> bool {
        self.release_guard && (self.dir.starts_with(UCI_DIR) || self.reload() == Reload::Uci)
    }

    /// What is notified after a batch was applied: below /etc/config procd, elsewhere nothing, unless the option is set.
    pub fn reload(&self) -> Reload {
        match &self.reload {
            Some(reload) => reload.clone(),
            None if self.dir.starts_with(UCI_DIR) => Reload::Uci,
            None => Reload::Nobody,
        }
    }
}

/// UCI packages whose change can cut a router off.
const CUTTING_OFF: [&str; 4] = ["network", "wireless", "firewall", "dropbear"];

/// Seconds within which those must be confirmed.
const CONFIRM: u32 = 60;

/// Where UCI stores its packages.
pub const UCI_DIR: &str = "/etc/config";

/// Whether changes are exchanged automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As soon as they have settled.
    #[default]
    Auto,
    /// On `owsync sync`, in either direction.
    Manual,
}

impl Mode {
    /// The word in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Manual => "manual",
        }
    }
}

/// Whether symlinks are synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symlinks {
    /// They are reported as skipped.
    Ignore,
    /// Their text is synced if its target stays inside the share.
    Copy,
}

impl Symlinks {
    /// The word in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Symlinks::Ignore => "ignore",
            Symlinks::Copy => "copy",
        }
    }
}
