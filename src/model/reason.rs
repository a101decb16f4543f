//! Why something is not in sync: the texts that status, log, JSON and both sides of a session share.
//!
//! Three boundaries, three types. [`Trouble`] keeps a peer from exchanging, [`Hold`] keeps a share from doing anything
//! without a person, [`Reason`] keeps one path from travelling or landing. Each has a `code` for scripts, which never
//! changes, and a text for people, which says what to do where that is not obvious.

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
    /// Nobody answered at its address; the text is the system's.
    Unreachable(String),
    /// Its name does not resolve; the text is the resolver's.
    Unresolved(String),
    /// It could not read our handshake: it has another key.
    KeyRefusedThere,
    /// Its handshake could not be read: it has another key.
    KeyRefusedHere,
    /// It speaks plain mode and this node does not.
    PlainThere,
    /// This node speaks plain mode and it does not.
    PlainHere,
    /// Its clock is ahead of ours by this many milliseconds (behind, when negative).
    ClockSkew(i64),
    /// It speaks other versions of the protocol.
    Version {
        /// Lowest it speaks.
        min: u16,
        /// Highest it speaks.
        max: u16,
    },
    /// It is the C program, owsync 1.x.
    Predecessor,
    /// It does not know this node yet; a person must accept it there.
    NotAcceptedThere(JoinText),
    /// This node does not know it yet; a person must accept it here.
    NotAcceptedHere(JoinText),
    /// It shows another public key than it is pinned to here.
    IdentityRefusedHere,
    /// This node shows another public key than it is pinned to there.
    IdentityRefusedThere,
    /// It shows this node's own identity.
    SameIdentity,
    /// Two machines show its identity at once.
    TwoMachines,
    /// It was silent for longer than two keepalives.
    Silent,
    /// A person here paused it; the text says until when, and why.
    PausedHere(String),
    /// A person there paused it; the text is theirs.
    PausedThere(String),
    /// Its machine stopped answering while there was a session: a cable was pulled, or it lost power.
    NoAnswer,
    /// This is the address of this node itself.
    ThisNode,
    /// It closed the connection.
    Closed,
    /// It broke the protocol; the text says how.
    Misbehaved(String),
    /// It says that we broke the protocol; the text says how.
    Accuses(String),
    /// It, or this node, has too many sessions already.
    TooManySessions,
    /// It is switched off in the configuration here.
    DisabledHere,
    /// This node is switched off in the configuration there, or its address is not configured (plain mode).
    DisabledThere,
    /// Without encryption, it connected from an address that no configured peer has.
    NotConfiguredHere,
    /// It shuts down, restarts, or begins every session anew.
    Leaving,
    /// This node ended the session; the text says why.
    EndedHere(&'static str),
    /// Another session with it stays in place of this one.
    Duplicate,
    /// It said something that this version has no word for.
    Other(String),
}

/// What a node that is not accepted showed of the join text that it was set up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinText {
    /// It showed none.
    None,
    /// Another node joined with the same text.
    Used,
    /// Its time is over.
    Expired,
    /// Nothing is known of it here: it was made by another node, or long ago.
    Unknown,
}

impl JoinText {
    /// What is wrong with it, for people; `None` where none was shown.
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
    /// The word that scripts test.
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
            Trouble::Unresolved(error) => write!(f, "its name does not resolve: {error}"),
            Trouble::KeyRefusedThere => f.write_str("wrong key: it refused ours; compare the key fingerprints that `owsync identity` prints on both"),
            Trouble::KeyRefusedHere => f.write_str("wrong key: it does not have ours; compare the key fingerprints that `owsync identity` prints on both"),
            Trouble::PlainThere => f.write_str("wrong mode: it runs in plain mode, this node is encrypted; set plain_mode alike on both"),
            Trouble::PlainHere => f.write_str("wrong mode: this node runs in plain mode, it is encrypted; set plain_mode alike on both"),
            Trouble::ClockSkew(ms) => {
                let size = time::short(Duration::from_millis(ms.unsigned_abs()));
                write!(f, "clock skew: its clock is {} s {} ours ({size}); set the time on one of them", ms.unsigned_abs().div_ceil(1000), if *ms < 0 { "behind" } else { "ahead of" })
            }
            Trouble::Version { min, max } if min == max => write!(f, "it speaks version {min} of the protocol, which this node does not: update owsync on the older one"),
            Trouble::Version { min, max } => write!(f, "it speaks versions {min} to {max} of the protocol, which this node does not: update owsync on the older one"),
            Trouble::Predecessor => f.write_str("it runs owsync 1.x, which speaks another protocol: update owsync there"),
            Trouble::NotAcceptedThere(text) => match text.word() {
                None => f.write_str("waiting to be accepted there: run `owsync accept` on it"),
                Some(word) => write!(f, "the join text {word}: run `owsync invite` there and join with the new text, or run `owsync accept` there"),
            },
            Trouble::NotAcceptedHere(text) => match text.word() {
                None => f.write_str("waiting to be accepted here: run `owsync accept`"),
                Some(word) => write!(f, "its join text {word}: run `owsync accept` if it belongs to the cluster, or give it a new text (`owsync invite`)"),
            },
            Trouble::IdentityRefusedHere => f.write_str("it shows another identity than it had: if it was reinstalled, run `owsync accept` for it, else somebody else has the key"),
            Trouble::IdentityRefusedThere => f.write_str("it expects another identity of this node: if this node was reinstalled, run `owsync accept` there"),
            Trouble::SameIdentity => f.write_str("same identity: it is a copy of this node; run `owsync identity --new` on one of the two"),
            Trouble::TwoMachines => f.write_str("two machines show its identity: one is a copy, run `owsync identity --new` on it"),
            Trouble::Silent => f.write_str("silent: nothing was heard of it for two keepalives"),
            Trouble::PausedHere(text) => f.write_str(text),
            Trouble::PausedThere(text) => write!(f, "there: {text}"),
            Trouble::NoAnswer => f.write_str("connection lost: the peer does not answer any more; check its power and the cable"),
            Trouble::ThisNode => f.write_str("this is the address of this node itself, which needs no session"),
            Trouble::Closed => f.write_str("it closed the connection"),
            Trouble::Misbehaved(how) => write!(f, "it broke the protocol: {how}"),
            Trouble::Accuses(how) => write!(f, "it says this node broke the protocol: {how}"),
            Trouble::TooManySessions => f.write_str("too many sessions"),
            Trouble::DisabledHere => f.write_str("switched off here"),
            Trouble::DisabledThere => f.write_str("it does not take connections from this node's address: configure this node as its peer"),
            Trouble::NotConfiguredHere => f.write_str("turned away: in plain mode only the addresses of configured peers may connect"),
            Trouble::Leaving => f.write_str("it is shutting down, or begins the session anew"),
            Trouble::EndedHere(why) => f.write_str(why),
            Trouble::Duplicate => f.write_str("another session with it is in use"),
            Trouble::Other(text) => f.write_str(text),
        }
    }
}

/// Why one path does not travel or land.
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
    /// Something that is not synced lies where it should land.
    InTheWay(&'static str),
    /// The directory that should go, or become a file, holds something that is not synced.
    DirNotEmpty,
    /// Landing it would leave less than `min_free`.
    NoRoom {
        /// Bytes it needs.
        need: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// History must keep what it replaces, and has no room for it.
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
    /// Both sides have it, neither has a claim: a person must pick.
    FirstContact,
    /// It is part of a mass deletion that a peer asks for.
    MassDeletion {
        /// Files that would go.
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
    /// A change here touches it that is not confirmed yet and may be taken back.
    Unconfirmed,
    /// A check of this node's did not like it; the text is the check's.
    Refused(String),
    /// The share's mode is manual: a person says when changes cross.
    Manual,
    /// Deletions do not enter this share.
    KeepsDeleted,
    /// This share, or peer, only sends.
    OnlySends,
    /// This share, or peer, only observes.
    OnlyObserves,
    /// Its owner is not known on this machine.
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
    /// A reason from a peer that this version has no word for.
    Other(String),
}

impl Reason {
    /// The word that scripts test.
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

    /// Whether `approve` or `reject` would end it; everything else is retried automatically.
    pub fn needs_user(&self) -> bool {
        matches!(
            self,
            Reason::FirstContact
                | Reason::MassDeletion { .. }
                | Reason::LongAway
                | Reason::Flapping
                | Reason::SectionsLost { .. }
                | Reason::Refused(_)
        )
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
            | Reason::Manual
            | Reason::ReleaseDiffers { .. }
            | Reason::Other(_) => return None,
        })
    }

    /// Whether the path was left out by what this node was told, so that nothing went wrong.
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

    /// Whether the rest of a batch must wait while this path cannot land: what this node's own filter or
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
            Reason::SymlinkOutside => f.write_str("skipped: it is a symlink whose target lies outside the share"),
            Reason::TooLarge { size, max } => write!(f, "too large: {size} bytes, max_file_size is {max}"),
            Reason::Unreadable(error) => write!(f, "unreadable: {error}"),
            Reason::OtherFilesystem => f.write_str("skipped: another filesystem is mounted there; make it a share of its own"),
            Reason::InTheWay(what) => write!(f, "a {what} that is not synced lies there"),
            Reason::DirNotEmpty => f.write_str("the directory there holds something that is not synced"),
            Reason::NoRoom { need: 0, free } => write!(f, "no room: {free} bytes are free, less than min_free"),
            Reason::NoRoom { need, free } => {
                write!(f, "no room: it needs {need} bytes, and {free} bytes are free, of which min_free stays free")
            }
            Reason::HistoryFull => f.write_str("history full: what it replaces must be kept, and min_free leaves no room for it"),
            Reason::Unwritable(error) => write!(f, "cannot be written: {error}"),
            Reason::Busy => f.write_str("another program has it locked"),
            Reason::NotSupplied(why) => write!(f, "the peer could not supply it: {why}"),
            Reason::WaitsFor(path) => write!(f, "waits for {path}, which changed together with it"),
            Reason::ShareHeld => f.write_str("the share is held"),
            Reason::FirstContact => f.write_str("both sides have it and differ: pick with `owsync approve --mine`, `--theirs` or `--newest`"),
            Reason::MassDeletion { gone, known } => write!(f, "held: a peer deletes {gone} of {known} files at once; `owsync approve` deletes them here too, `owsync reject` brings them back there"),
            Reason::LongAway => f.write_str("held: its node was away for so long that this may have been deleted meanwhile; `owsync approve` takes it, `owsync reject` deletes it there"),
            Reason::Flapping => f.write_str("held: it changed back and forth between nodes; `owsync approve` lets it go on"),
            Reason::SectionsLost { had, has } => write!(f, "held: this UCI package goes from {had} sections to {has} at once; `owsync approve` accepts that, `owsync reject` brings the others back"),
            Reason::Unconfirmed => {
                f.write_str("changes made here in LuCI wait to be confirmed; it goes on when they are, or are taken back")
            }
            Reason::Refused(why) => write!(f, "refused by a check: {why}"),
            Reason::Manual => f.write_str("mode manual: it waits for `owsync sync`"),
            Reason::KeepsDeleted => f.write_str("this node keeps what others delete, as propagate_deletions says"),
            Reason::OnlySends => f.write_str("this node only sends"),
            Reason::OnlyObserves => f.write_str("this node only observes"),
            Reason::UnknownOwner(owner) => write!(f, "its owner {owner} is not known on this machine"),
            Reason::ReleaseDiffers { from, to } => write!(f, "it comes from a node on release {from} and this is for release {to}: it waits until both run the same release; `release_guard 0` switches this off"),
            Reason::LeftOut(choice) => choice.fmt(f),
            Reason::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests;
