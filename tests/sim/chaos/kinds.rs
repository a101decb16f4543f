//! What can happen in a story, and how often it did.

use std::collections::BTreeMap;

/// Something that only some stories have: each story has a few of them, so that a failure has few causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Empty,
    Times,
    LongPath,
    OddName,
    Links,
    Swap,
    Mount,
    Permissions,
    Direction,
    Filter,
    SizeLimit,
    Mode,
    Descriptors,
    Inodes,
    HistoryDisk,
    RootSwapped,
    Emptied,
    Decides,
    OpenFile,
    Clone,
    OtherShare,
    Hostile,
    FilterForGood,
    ShareForGood,
}

use Kind::*;

impl Kind {
    /// All of them. Those with `false` cannot happen in this build.
    pub const ALL: [(Kind, &'static str, bool); 24] = [
        (Empty, "empty file", true),
        (Times, "times in a row", true),
        (LongPath, "long path", true),
        (OddName, "name that is not UTF-8", true),
        (Links, "symlink", true),
        (Swap, "file becomes directory and back", true),
        (Mount, "mount point", true),
        (Permissions, "permissions", true),
        (Direction, "direction", true),
        (Filter, "filter", true),
        (SizeLimit, "size limit", true),
        (Mode, "mode", true),
        (Descriptors, "descriptors exhausted", true),
        (Inodes, "inodes exhausted", true),
        (HistoryDisk, "history disk full", true),
        (RootSwapped, "root swapped", true),
        (Emptied, "root emptied", true),
        (Decides, "approval or rejection", true),
        (OpenFile, "write to an open file", true),
        (Clone, "database copied", true),
        (OtherShare, "share only here", true),
        (Hostile, "hostile peer", true),
        (FilterForGood, "filter or size limit for good", true),
        (ShareForGood, "share that some have for good", true),
    ];

    pub fn word(self) -> &'static str {
        Kind::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, word, _)| word)
    }
}

/// Which kinds stories may have: those that are on, or what `OWSYNC_SIM_KINDS` names (`all`, `none`, or their words).
#[allow(clippy::disallowed_methods)]
pub fn enabled() -> Vec<Kind> {
    let asked = std::env::var("OWSYNC_SIM_KINDS").ok();
    let wanted = |(_, word, on): &(Kind, &str, bool)| match asked.as_deref() {
        None => *on,
        Some("all") => true,
        Some(words) => words.split(',').any(|asked| asked == *word),
    };
    Kind::ALL.iter().filter(|kind| wanted(kind)).map(|(kind, ..)| *kind).collect()
}

/// How often something happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<String, u64>);

impl Tally {
    pub fn note(&mut self, what: &str) {
        *self.0.entry(what.to_string()).or_default() += 1;
    }

    pub fn add(&mut self, other: &Tally) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_default() += count;
        }
    }
}

/// Guards that must fire at least once over the seeds that CI runs: holds of a share, reasons of paths that wait, and
/// causes for which a path sleeps.
pub const GUARDS: &[&str] = &[
    "a difference at rest",
    "a node says in sync",
    "held: emptied",
    "held: not_mounted",
    "held: replaced",
    "held: root_missing",
    "held: set_back",
    "sleeps: Filtered",
    "sleeps: Skipped",
    "sleeps: TooLarge",
    "sleeps: Unreadable",
    "unconfirmed",
    "waits: first_contact",
    "waits: in_the_way",
    "waits: manual",
    "waits: no_room",
    "waits: not_supplied",
    "waits: only_observes",
    "waits: only_sends",
    "waits: refused",
    "waits: too_large",
    "waits: unwritable",
    "waits: waits_for",
];
