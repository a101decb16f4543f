//! Reasons why something is not in sync, with the texts that status, log, JSON and both sides of a session share.
//!
//! Each boundary has a type. [`Trouble`] keeps a peer from exchanging, [`Hold`] stops a share until the user decides,
//! [`Reason`] keeps one path from being synced or applied. Each has a `code` for scripts, which never changes, and a text
//! for users, which says what to do where that is not obvious.

mod choice;
mod hold;

use std::fmt;
use std::time::Duration;

use crate::model::{RelPath, Release, time};

pub use choice::{Choice, LeftOut};
pub use hold::Hold;

/// Why a peer is not exchanging with this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No connection to its address is possible; the text is the system's.
    Unreachable(String),
    /// Its name does not resolve; the text is the resolver's.
    Unresolved(String),
    /// It could not read this node's handshake: it has a different key.
    KeyRefusedThere,
    /// Its handshake could not be read: it has a different key.
    KeyRefusedHere,
    /// It speaks plain mode and this node does not.
    PlainThere,
    /// This node speaks plain mode and it does not.
    PlainHere,
    /// Its clock is ahead of this node's by this many milliseconds (behind, when negative).
    ClockSkew(i64),
    /// It speaks different versions of the protocol.
    Version {
        /// Lowest version.
        min: u16,
        /// Highest version.
        max: u16,
    },
    /// It is the C program, owsync 1.x.
    Predecessor,
    /// It does not know this node yet; the user must accept this node there.
    NotAcceptedThere(JoinText),
    /// This node does not know it yet; the user must accept it here.
    NotAcceptedHere(JoinText),
    /// Its public key differs from the one that is pinned or remembered here.
    IdentityRefusedHere,
    /// This node's public key differs from the one that is pinned or remembered there.
    IdentityRefusedThere,
    /// It has this node's own identity.
    SameIdentity,
    /// Two machines have its identity at once.
    TwoMachines,
    /// It was silent for longer than two keepalives.
    Silent,
    /// The user paused it here; the text says until when, and why.
    PausedHere(String),
    /// The user paused this node there; the text is the peer's.
    PausedThere(String),
    /// Its machine stopped responding during a session: the cable or the power was cut.
    NoAnswer,
    /// This is the address of this node itself.
    ThisNode,
    /// It closed the connection.
    Closed,
    /// It broke the protocol; the text says how.
    Misbehaved(String),
    /// It reports that this node broke the protocol; the text says how.
    Accuses(String),
    /// It, or this node, has too many sessions already.
    TooManySessions,
    /// It is disabled in the configuration here.
    DisabledHere,
    /// This node is disabled in the configuration there, or its address is not configured (plain mode).
    DisabledThere,
    /// Without encryption, it connected from an address that no configured peer has.
    NotConfiguredHere,
    /// It shuts down, restarts, or starts every session again.
    Leaving,
    /// This node ended the session; the text says why.
    EndedHere(&'static str),
    /// A different session with it replaces this one.
    Duplicate,
    /// A reason that this version does not know.
    Other(String),
}

/// What a node that is not accepted proved of the join text that it was set up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinText {
    /// It has none.
    None,
    /// Another node joined with the same text.
    Used,
    /// The text expired.
    Expired,
    /// The text is unknown here: it was made by another node, or long ago.
    Unknown,
}

impl JoinText {
    /// What is wrong with it, for users; `None` where there is none.
    fn word(self) -> Option<&'static str> {
        match self {
            JoinText::None => None,
            JoinText::Used => Some("was used already"),
            JoinText::Expired => Some("expired"),
            JoinText::Unknown => Some("was not made by this reference, or expired long ago"),
        }
    }
}

impl Trouble {
    /// The code for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Trouble::Unreachable(_) => "unreachable",
            Trouble::Unresolved(_) => "unresolved",
            Trouble::KeyRefusedThere | Trouble::KeyRefusedHere => "wrong_key",
            Trouble::PlainThere | Trouble::PlainHere => "wrong_mode",
            Trouble::ClockSkew(_) => "clock_skew",
            Trouble::Version { .. } => "version",
            Trouble::Predecessor => "predecessor",
            Trouble::NotAcceptedThere(_) => "not_accepted_there",
            Trouble::NotAcceptedHere(_) => "not_accepted",
            Trouble::IdentityRefusedHere | Trouble::IdentityRefusedThere => "identity_changed",
            Trouble::SameIdentity => "same_identity",
            Trouble::TwoMachines => "two_machines",
            Trouble::Silent => "silent",
            Trouble::PausedHere(_) => "paused",
            Trouble::PausedThere(_) => "paused_there",
            Trouble::NoAnswer => "no_answer",
            Trouble::ThisNode => "this_node",
            Trouble::Closed => "closed",
            Trouble::Misbehaved(_) | Trouble::Accuses(_) => "protocol",
            Trouble::TooManySessions => "too_many_sessions",
            Trouble::DisabledHere | Trouble::DisabledThere => "disabled",
            Trouble::NotConfiguredHere => "not_configured",
            Trouble::Leaving => "leaving",
            Trouble::EndedHere(_) => "ended_here",
            Trouble::Duplicate => "duplicate",
            Trouble::Other(_) => "other",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Unreachable(error) => write!(f, "unreachable: {error}"),
            Trouble::Unresolved(error) => write!(f, "the peer's name does not resolve: {error}"),
            Trouble::KeyRefusedThere => f.write_str("wrong key: the peer refused this node's key; compare the key fingerprints that `owsync identity` prints on both"),
            Trouble::KeyRefusedHere => f.write_str("wrong key: the peer does not have this node's key; compare the key fingerprints that `owsync identity` prints on both"),
            Trouble::PlainThere => f.write_str("wrong mode: the peer runs in plain mode, this node is encrypted; set plain_mode to the same value on both"),
            Trouble::PlainHere => f.write_str("wrong mode: this node runs in plain mode, the peer is encrypted; set plain_mode to the same value on both"),
            Trouble::ClockSkew(ms) => {
                let size = time::short(Duration::from_millis(ms.unsigned_abs()));
                write!(f, "clock skew: the peer's clock is {} s {} this node's ({size}); set the right time on both", ms.unsigned_abs().div_ceil(1000), if *ms < 0 { "behind" } else { "ahead of" })
            }
            Trouble::Version { min, max } if min == max => write!(f, "no common protocol version: the peer speaks version {min}; update owsync on the older node"),
            Trouble::Version { min, max } => write!(f, "no common protocol version: the peer speaks versions {min} to {max}; update owsync on the older node"),
            Trouble::Predecessor => f.write_str("the peer runs owsync 1.x, which has a different protocol: update owsync there"),
            Trouble::NotAcceptedThere(text) => match text.word() {
                None => f.write_str("waiting to be accepted there: run `owsync accept` on the peer"),
                Some(word) => write!(f, "the join text {word}: run `owsync invite` there and join with the new text, or run `owsync accept` there"),
            },
            Trouble::NotAcceptedHere(text) => match text.word() {
                None => f.write_str("waiting to be accepted here: run `owsync accept`"),
                Some(word) => write!(f, "its join text {word}: run `owsync accept` if the node belongs to the cluster, or invite it with a new text (`owsync invite`)"),
            },
            Trouble::IdentityRefusedHere => f.write_str("identity changed: the peer does not have the identity that it had before; if it was reinstalled, run `owsync accept` for it, otherwise a different machine uses the key"),
            Trouble::IdentityRefusedThere => f.write_str("identity changed: the peer expects a different identity of this node; if this node was reinstalled, run `owsync accept` there"),
            Trouble::SameIdentity => f.write_str("same identity: the peer is a copy of this node; run `owsync identity --new` on one of the two"),
            Trouble::TwoMachines => f.write_str("two machines have this identity: one is a copy; run `owsync identity --new` on the copy"),
            Trouble::Silent => f.write_str("silent: nothing was received from the peer for two keepalives"),
            Trouble::PausedHere(text) => f.write_str(text),
            Trouble::PausedThere(text) => write!(f, "there: {text}"),
            Trouble::NoAnswer => f.write_str("connection lost: the peer no longer responds; check its power and cable"),
            Trouble::ThisNode => f.write_str("this is the address of this node itself, which needs no session"),
            Trouble::Closed => f.write_str("the peer closed the connection"),
            Trouble::Misbehaved(how) => write!(f, "the peer broke the protocol: {how}"),
            Trouble::Accuses(how) => write!(f, "the peer reports that this node broke the protocol: {how}"),
            Trouble::TooManySessions => f.write_str("too many sessions"),
            Trouble::DisabledHere => f.write_str("disabled here"),
            Trouble::DisabledThere => f.write_str("the peer does not accept connections from this node's address: configure this node as a peer there"),
            Trouble::NotConfiguredHere => f.write_str("refused: in plain mode only the addresses of configured peers may connect"),
            Trouble::Leaving => f.write_str("the peer is shutting down, or starts a new session"),
            Trouble::EndedHere(why) => f.write_str(why),
            Trouble::Duplicate => f.write_str("a different session with the peer is in use"),
            Trouble::Other(text) => f.write_str(text),
        }
    }
}

/// Why one path is not synced or not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A device, socket or fifo.
    Special(&'static str),
    /// A symlink where `symlinks` is `ignore`, or a path at or below one.
    SymlinkIgnored,
    /// A symlink whose target leaves the share.
    SymlinkOutside,
    /// Larger than `max_file_size`.
    TooLarge {
        /// Bytes.
        size: u64,
        /// The share's `max_file_size`, bytes.
        max: u64,
    },
    /// It cannot be read; the text is the system's.
    Unreadable(String),
    /// Another filesystem is mounted there.
    OtherFilesystem,
    /// Something that is not synced is at its path.
    InTheWay(&'static str),
    /// The directory that is to be deleted, or to become a file, contains something that is not synced.
    DirNotEmpty,
    /// Applying it would leave less than `min_free`.
    NoRoom {
        /// Bytes it needs.
        need: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The history must keep the replaced content, and has no room for it.
    HistoryFull,
    /// It could not be written; the text is the system's.
    Unwritable(String),
    /// Another program has it locked.
    Busy,
    /// The peer could not supply it; the text is the peer's.
    NotSupplied(String),
    /// It waits for another path of its batch.
    WaitsFor(RelPath),
    /// The share is held.
    ShareHeld,
    /// Both nodes have it and neither has a claim: the user must choose.
    FirstContact,
    /// It is part of a mass deletion that a peer asks for.
    MassDeletion {
        /// Files that would be deleted.
        gone: u64,
        /// Files there are.
        known: u64,
    },
    /// It comes from a node that was away for so long that it may have been deleted meanwhile.
    LongAway,
    /// It changed back and forth between nodes.
    Flapping,
    /// The UCI package would lose most of its sections at once, or all of them.
    SectionsLost {
        /// Sections before.
        had: u64,
        /// Sections afterwards.
        has: u64,
    },
    /// A change in LuCI touches it that is not confirmed yet and may be rolled back.
    Unconfirmed,
    /// A check of this node refused it; the text is the check's.
    Refused(String),
    /// It would give numbers, by which uncommitted changes here refer to unnamed sections, to other sections; the text names
    /// one of them.
    Uncommitted(String),
    /// The share's mode is manual: changes are exchanged on `owsync sync`.
    Manual,
    /// The share does not take over deletions.
    KeepsDeleted,
    /// This share, or peer, only sends.
    OnlySends,
    /// This share, or peer, only observes.
    OnlyObserves,
    /// Its owner does not exist on this machine.
    UnknownOwner(String),
    /// The share guards UCI packages, and the two systems run releases that differ.
    ReleaseDiffers {
        /// Release of the node that offers it.
        from: Release,
        /// Release of the node that does not apply it.
        to: Release,
    },
    /// It differs by choice, for which no other reason has details.
    LeftOut(Choice),
    /// A reason from a peer that this version does not know.
    Other(String),
}

impl Reason {
    /// The code for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Special(_) => "special",
            Reason::SymlinkIgnored => "symlink_ignored",
            Reason::SymlinkOutside => "symlink_outside",
            Reason::TooLarge { .. } => "too_large",
            Reason::Unreadable(_) => "unreadable",
            Reason::OtherFilesystem => "other_filesystem",
            Reason::InTheWay(_) => "in_the_way",
            Reason::DirNotEmpty => "dir_not_empty",
            Reason::NoRoom { .. } => "no_room",
            Reason::HistoryFull => "history_full",
            Reason::Unwritable(_) => "unwritable",
            Reason::Busy => "busy",
            Reason::NotSupplied(_) => "not_supplied",
            Reason::WaitsFor(_) => "waits_for",
            Reason::ShareHeld => "share_held",
            Reason::FirstContact => "first_contact",
            Reason::MassDeletion { .. } => "mass_deletion",
            Reason::LongAway => "long_away",
            Reason::Flapping => "flapping",
            Reason::SectionsLost { .. } => "sections_lost",
            Reason::Unconfirmed => "unconfirmed",
            Reason::Refused(_) => "refused",
            Reason::Uncommitted(_) => "uncommitted",
            Reason::Manual => "manual",
            Reason::KeepsDeleted => "keeps_deleted",
            Reason::OnlySends => "only_sends",
            Reason::OnlyObserves => "only_observes",
            Reason::UnknownOwner(_) => "unknown_owner",
            Reason::ReleaseDiffers { .. } => "release_differs",
            Reason::LeftOut(choice) => choice.code(),
            Reason::Other(_) => "other",
        }
    }

    /// Whether `approve` or `reject` would end it; everything else, and what waits for uncommitted changes, is retried
    /// automatically.
    pub fn needs_user(&self) -> bool {
        matches!(
            self,
            Reason::FirstContact
                | Reason::MassDeletion { .. }
                | Reason::LongAway
                | Reason::Flapping
                | Reason::SectionsLost { .. }
                | Reason::Refused(_)
                | Reason::Uncommitted(_)
        )
    }

    /// Whether a check of this node stopped it, so that only `approve` with its path applies it.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Reason::Refused(_) | Reason::Uncommitted(_))
    }

    /// The option for which the path differs, where one does and nothing is wrong.
    pub fn choice(&self) -> Option<Choice> {
        Some(match self {
            Reason::Special(_) => Choice::Special,
            Reason::SymlinkIgnored | Reason::SymlinkOutside => Choice::Symlink,
            Reason::TooLarge { .. } => Choice::TooLarge,
            Reason::OtherFilesystem => Choice::Mount,
            Reason::KeepsDeleted => Choice::Deletion,
            Reason::OnlySends | Reason::OnlyObserves => Choice::Direction,
            Reason::UnknownOwner(_) => Choice::Owner,
            Reason::LeftOut(choice) => *choice,
            Reason::Unreadable(_)
            | Reason::InTheWay(_)
            | Reason::DirNotEmpty
            | Reason::NoRoom { .. }
            | Reason::HistoryFull
            | Reason::Unwritable(_)
            | Reason::Busy
            | Reason::NotSupplied(_)
            | Reason::WaitsFor(_)
            | Reason::ShareHeld
            | Reason::FirstContact
            | Reason::MassDeletion { .. }
            | Reason::LongAway
            | Reason::Flapping
            | Reason::SectionsLost { .. }
            | Reason::Unconfirmed
            | Reason::Refused(_)
            | Reason::Uncommitted(_)
            | Reason::Manual
            | Reason::ReleaseDiffers { .. }
            | Reason::Other(_) => return None,
        })
    }

    /// Whether the path is left out because of an option, so that nothing is wrong.
    pub fn is_choice(&self) -> bool {
        self.choice().is_some()
    }

    /// The order in which reasons are listed: what the user must decide, then causes, then what only waits for those.
    pub fn rank(&self) -> u8 {
        match self {
            _ if self.needs_user() => 0,
            Reason::WaitsFor(_) | Reason::ShareHeld => 3,
            Reason::Busy | Reason::NotSupplied(_) | Reason::Unconfirmed | Reason::Manual => 2,
            _ if self.is_choice() => 4,
            _ => 1,
        }
    }

    /// Whether the rest of a batch must wait while this path cannot be applied: what this node's own filter or
    /// `max_file_size` leaves out, or its direction, delays nothing.
    pub fn delays_batch(&self) -> bool {
        !matches!(
            self,
            Reason::TooLarge { .. }
                | Reason::Manual
                | Reason::KeepsDeleted
                | Reason::OnlySends
                | Reason::OnlyObserves
                | Reason::FirstContact
                | Reason::LongAway
                | Reason::Flapping
                | Reason::SymlinkIgnored
                | Reason::LeftOut(_)
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Special(what) => write!(f, "skipped: it is a {what}"),
            Reason::SymlinkIgnored => f.write_str("skipped: there is a symlink, and this share has symlinks ignore"),
            Reason::SymlinkOutside => f.write_str("skipped: it is a symlink with a target outside the share"),
            Reason::TooLarge { size, max } => write!(f, "too large: {size} bytes, max_file_size is {max}"),
            Reason::Unreadable(error) => write!(f, "unreadable: {error}"),
            Reason::OtherFilesystem => f.write_str("skipped: another filesystem is mounted there; make it a share of its own"),
            Reason::InTheWay(what) => write!(f, "a {what} that is not synced is in the way; move it away"),
            Reason::DirNotEmpty => f.write_str("the directory contains files that are not synced; move them away"),
            Reason::NoRoom { need: 0, free } => write!(f, "no room: {free} bytes are free, less than min_free"),
            Reason::NoRoom { need, free } => {
                write!(f, "no room: {need} bytes are needed, and {free} bytes are free, of which min_free stays free")
            }
            Reason::HistoryFull => f.write_str("history full: the replaced content must be kept, and min_free leaves no room for it"),
            Reason::Unwritable(error) => write!(f, "cannot be written: {error}"),
            Reason::Busy => f.write_str("locked by another program"),
            Reason::NotSupplied(why) => write!(f, "the peer could not send it: {why}"),
            Reason::WaitsFor(path) => write!(f, "waits for {path}, which changed together with it"),
            Reason::ShareHeld => f.write_str("the share is held"),
            Reason::FirstContact => f.write_str("first contact: both nodes have it, and the versions differ; choose with `owsync approve --mine`, `--theirs` or `--newest`"),
            Reason::MassDeletion { gone, known } => write!(f, "held: a peer deletes {gone} of {known} files at once; `owsync approve` deletes them here too, `owsync reject` restores them there"),
            Reason::LongAway => f.write_str("held: its node was away for so long that the file may have been deleted meanwhile; `owsync approve` accepts it, `owsync reject` deletes it there"),
            Reason::Flapping => f.write_str("held: it changed back and forth between nodes; stop the program that changes it, then run `owsync approve`"),
            Reason::SectionsLost { had, has } => write!(f, "held: this UCI package shrinks from {had} sections to {has} at once; `owsync approve` accepts that, `owsync reject` restores the other version"),
            Reason::Unconfirmed => {
                f.write_str("changes made here in LuCI await confirmation; this one is applied when they are confirmed or rolled back")
            }
            Reason::Refused(why) => write!(f, "refused by a check: {why}"),
            Reason::Uncommitted(section) => write!(f, "waits: uncommitted changes refer to {section} by number, and this change would give that number to a different section; commit or revert them, or apply this change with `owsync approve` and its path"),
            Reason::Manual => f.write_str("mode manual: waits for `owsync sync`"),
            Reason::KeepsDeleted => f.write_str("not deleted: this share does not take over deletions (propagate_deletions)"),
            Reason::OnlySends => f.write_str("this node only sends"),
            Reason::OnlyObserves => f.write_str("this node only observes"),
            Reason::UnknownOwner(owner) => write!(f, "its owner {owner} does not exist on this machine"),
            Reason::ReleaseDiffers { from, to } => write!(f, "it comes from a node on release {from} and waits on release {to} until both nodes run the same release; `release_guard 0` disables this check"),
            Reason::LeftOut(choice) => choice.fmt(f),
            Reason::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests;
