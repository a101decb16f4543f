//! Detects what changes on disk, from the first hint to an entry of the index.
//!
//! `hints` collects changed paths until they are quiet, `scan` reads the directory and passes what it finds through the
//! `guards`, and `edit` makes entries of it: the only place where edits of this node begin. `packages` keeps the previous
//! content of UCI packages that are edited, `sections` guards those that lose most of their content, `renames` tells a rename
//! from a deletion.

pub(crate) mod edit;
pub(crate) mod guards;
pub(crate) mod hints;
pub(crate) mod packages;
pub(crate) mod renames;
pub(crate) mod scan;
pub(crate) mod sections;

use crate::fs::Root;
use crate::fs::scan::Scan;
use crate::model::reason::LeftOut;
use crate::model::{Map, Monotonic, Reason, RelPath, Set, WallTime, limits};
use guards::Guards;
use hints::Hints;

/// What changes on disk, from the first hint to an entry of the index.
pub(crate) struct Detect<R: Root> {
    /// Changed paths, until they are quiet.
    pub hints: Hints,
    /// Whether changes on disk are announced, or must be found by scans.
    pub watched: bool,
    /// The scan that is running.
    pub scan: Option<Scan<R>>,
    /// What the scan finds goes to the previews that wait for it, and is not recorded.
    pub peeks: bool,
    /// The number of the latest scan.
    pub generation: u32,
    /// When to scan the whole share next.
    pub next_poll: Monotonic,
    /// When the share was last scanned as a whole.
    pub last_scan: WallTime,
    /// Paths to be scanned again: another write could hide behind the same time, or they change whenever they are read.
    pub relook: Vec<RelPath>,
    pub relook_at: Monotonic,
    /// Paths that changed while they were read, and how many reads in a row.
    pub restless: Map<RelPath, u32>,
    pub skipped: Skipped,
    /// The database was set back, and this share was not scanned since.
    pub set_back: bool,
    /// It has another directory than when it was last scanned.
    pub moved: bool,
    /// Paths at which the next scan gives up what is here, because the user rejected it.
    pub given_up: Set<RelPath>,
    /// Paths that another process changed and has not confirmed.
    pub withheld: Set<RelPath>,
    pub guards: Guards,
}

impl<R: Root> Detect<R> {
    pub fn new() -> Detect<R> {
        Detect {
            hints: Hints::default(),
            watched: false,
            scan: None,
            peeks: false,
            generation: 0,
            next_poll: Monotonic(0),
            last_scan: WallTime(0),
            relook: Vec::new(),
            relook_at: Monotonic::NEVER,
            restless: Map::new(),
            skipped: Skipped::default(),
            set_back: false,
            moved: false,
            given_up: Set::new(),
            withheld: Set::new(),
            guards: Guards::default(),
        }
    }
}

/// Paths that are left out, by choice or because they cannot be read.
#[derive(Default)]
pub(crate) struct Skipped {
    /// At most [`limits::SKIPPED_MAX`] of them.
    pub listed: Map<RelPath, Reason>,
    /// Grows whenever other paths are skipped, or for other reasons.
    pub round: u64,
    /// Those that are not listed: by choice, and because they cannot be read.
    pub more: LeftOut,
    pub unreadable_more: u32,
}

impl Skipped {
    /// Lists a path; whether it is new. What cannot be read takes the place of what is left out by choice.
    pub fn note(&mut self, path: &RelPath, reason: &Reason) -> bool {
        if self.listed.len() >= limits::SKIPPED_MAX && !self.listed.contains_key(path) {
            let choice = self.listed.iter().find_map(|(path, reason)| Some((path.clone(), reason.choice()?)));
            match (reason.choice(), choice) {
                (Some(choice), _) => {
                    self.more.add(choice);
                    return false;
                }
                (None, None) => {
                    self.unreadable_more = self.unreadable_more.saturating_add(1);
                    return false;
                }
                (None, Some((other, choice))) => {
                    self.listed.remove(&other);
                    self.more.add(choice);
                }
            }
        }
        self.listed.insert(path.clone(), reason.clone()).is_none()
    }

    /// How many paths are skipped.
    pub fn count(&self) -> u64 {
        self.listed.len() as u64 + self.more.total() + u64::from(self.unreadable_more)
    }
}
