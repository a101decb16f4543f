//! Configuration: turns config files and UCI into checked [`Settings`], or returns every error at once.
//!
//! Two sources give the same [`Section`]s: a config file (`conf`) and UCI (`uci`). One table ([`options`]) says which
//! option may stand where, what it means and what is wrong with a value; so both have the same names, and nothing is
//! accepted in one place that is ignored in another. Nothing here starts anything: reading a configuration, also a broken
//! one, has no effect.

pub mod conf;
pub mod finish;
mod known;
pub mod options;
mod peer;
pub mod share;
pub mod uci;
pub mod values;

use std::fmt;
use std::path::PathBuf;

use crate::model::reserved::Reserved;
use crate::model::settings::ShareSettings;
use crate::model::{Key, Settings, ShareName, escape};
use crate::reconcile::filter::Filter;

/// Where a section or an option stands, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of a config file.
    Line(usize),
    /// A UCI section.
    Section(String),
    /// The command line.
    Argument,
}

/// What a section describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The node, and the share `main`.
    Main,
    /// A peer with this name.
    Peer(String),
    /// A share with this name.
    Share(String),
}

/// An option as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Where.
    pub place: Place,
    /// Its name.
    pub key: String,
    /// Its value, or the values of a list.
    pub values: Vec<Vec<u8>>,
}

/// A section as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it describes.
    pub kind: Kind,
    /// Where it begins.
    pub place: Place,
    /// Its options.
    pub options: Vec<Raw>,
}

/// Something wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The option, if it is about one.
    pub key: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// One line, whatever the configuration holds: a name of a section or an address stands in the reason as it was written.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = escape::visible(&self.reason);
        match (&self.place, self.key.is_empty()) {
            (Place::Line(line), true) => write!(f, "line {line}: {reason}"),
            (Place::Line(line), false) => write!(f, "line {line}: {}: {reason}", self.key),
            (Place::Section(section), true) => write!(f, "{section}: {reason}"),
            (Place::Section(section), false) => write!(f, "{section}.{}: {reason}", self.key),
            (Place::Argument, true) => f.write_str(&reason),
            (Place::Argument, false) => write!(f, "{}: {reason}", self.key),
        }
    }
}

/// Which defaults and which tolerance apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// A config file, or options alone: as the predecessor's, which tolerated some nonsense.
    Conf,
    /// UCI: stricter, and more careful with strangers.
    Uci,
}

/// A configuration as it was written, without what depends on the machine.
#[derive(Debug, Clone)]
pub struct Told {
    /// The node's settings, without key.
    pub settings: Settings,
    /// The addresses to listen on, and the port.
    pub bind_host: String,
    /// The port to listen on, and to dial where a peer names none.
    pub port: u16,
    /// 0 error to 3 debug.
    pub log_level: u8,
    /// The key itself.
    pub key: Option<Key>,
    /// File of the key.
    pub key_file: Option<PathBuf>,
    /// File of the second key.
    pub previous_key_file: Option<PathBuf>,
    /// File of the database; the default depends on the machine.
    pub database: Option<PathBuf>,
    /// Where metrics are written to.
    pub metrics_file: Option<PathBuf>,
    /// UCI: whether the service is wanted at all.
    pub enabled: bool,
    /// UCI: the firewall is to open the port. The init script does it; here it is only checked.
    pub firewall_rule: bool,
    /// UCI: zones in which it does; `*` for all. `None`: lan.
    pub firewall_zones: Option<Vec<String>>,
    /// UCI: networks on whose addresses to listen, instead of `bind_host`.
    pub networks: Vec<String>,
    /// UCI: umdns is to announce the port. The init script does it; here it is only checked.
    pub mdns: bool,
    /// The share `main` was given a directory.
    pub has_main_dir: bool,
    /// The size of the history was given; the default depends on the machine.
    pub has_history_size: bool,
}

impl Told {
    /// The port to dial where a peer names none.
    pub fn dial_port(&self) -> u16 {
        if self.port == 0 { PORT } else { self.port }
    }
}

/// Whether a configuration that is about to be written will be read as it is meant; `problems` is what was found wrong so
/// far.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(sections: &[Section], mut problems: Vec<Problem>, flavour: Flavour) -> Result<(), Vec<String>> {
    let outcome = options::build(sections, flavour, "node");
    problems.extend(outcome.warnings);
    problems.extend(outcome.result.err().unwrap_or_default());
    // Line numbers of a file that does not exist yet do not help: the option's name and the reason do.
    let line = |problem: &Problem| match problem.key.as_str() {
        "" => problem.reason.clone(),
        key => format!("{key}: {}", problem.reason),
    };
    if problems.is_empty() { Ok(()) } else { Err(problems.iter().map(line).collect()) }
}

/// The default port that owsync listens on and dials.
pub const PORT: u16 = 4321;

/// A configuration that can be started.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's settings.
    pub settings: Settings,
    /// The addresses to listen on.
    pub bind_host: String,
    /// Networks of netifd on whose addresses to listen, instead of `bind_host`; empty: there are none.
    pub networks: Vec<String>,
    /// The port to listen on.
    pub port: u16,
    /// 0 error to 3 debug.
    pub log_level: u8,
    /// File of the database.
    pub database: PathBuf,
    /// Where metrics are written to.
    pub metrics_file: Option<PathBuf>,
    /// File of the key, existing or not.
    pub key_file: PathBuf,
    /// Why there is no key, although one is needed: under UCI the node idles and reports it.
    pub key_problem: Option<String>,
    /// Why a daemon of this configuration cannot exchange with any peer although its mode is usable: one that was started with a
    /// config file exits, any other idles and reports it. Set for commands that run a daemon or check its configuration.
    pub peer_problem: Option<String>,
    /// The release in the settings was configured, and not found on the system.
    pub configured_release: bool,
    /// Names that must never be synced, per share.
    pub reserved: Vec<(ShareName, Vec<Reserved>)>,
    /// The file it came from, if it came from one.
    pub file: Option<PathBuf>,
    /// Which defaults applied.
    pub flavour: Flavour,
    /// UCI: whether the service is wanted at all.
    pub enabled: bool,
}

impl Config {
    /// Why nothing can be exchanged and no port is opened; `None` where all is well.
    pub fn idle_because(&self) -> Option<&str> {
        self.key_problem.as_deref().or(self.peer_problem.as_deref())
    }

    /// The port to dial where a peer names none.
    pub fn dial_port(&self) -> u16 {
        if self.port == 0 { PORT } else { self.port }
    }

    /// The filter of a share, with the names in it that must never be synced.
    pub fn filter(&self, share: &ShareSettings) -> Filter {
        let reserved = self.reserved.iter().find(|(name, _)| *name == share.name);
        let reserved = reserved.map(|(_, reserved)| reserved.as_slice()).unwrap_or_default();
        Filter::new(&share.include, &share.exclude, reserved)
    }
}

/// What reading a configuration gave.
pub struct Outcome<T> {
    /// It, or every error.
    pub result: Result<T, Vec<Problem>>,
    /// What was tolerated.
    pub warnings: Vec<Problem>,
}
