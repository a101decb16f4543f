//! What people and scripts ask of a node, and what it says.
//!
//! The same requests come from the command line over the control socket, from ubus and from LuCI; the same answers go
//! back. An answer is a [`Tree`]: what JSON and blobmsg have in common. Field names are the words of the product, stable,
//! and absent rather than null where there is nothing to say.

use std::time::Duration;

pub mod record;
pub mod status;
mod tree;

use crate::model::{Map, PeerName, RelPath, ShareName, WallTime};
use crate::store::state::Why;

pub use tree::Tree;

/// What is to be committed on all nodes, or on none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitRequest {
    /// The share, where it is named.
    pub share: Option<ShareName>,
    /// UCI packages by name, and files of a share in mode manual as SHARE:PATH; nothing: every change that waits.
    pub what: Vec<String>,
    /// The LuCI session whose uncommitted changes are meant; without it, those of `uci`.
    pub session: Option<String>,
    /// Nodes that need not take part, by their names; `away`: all that are not connected.
    pub without: Vec<String>,
    /// The user keeps it with `owsync confirm`.
    pub by_hand: bool,
    /// Only say what would be committed, and where.
    pub dry_run: bool,
    /// The answer comes when it is decided, not when it has begun.
    pub wait: bool,
    /// The uncommitted changes by package, as they are in libuci's files, which only the daemon reads.
    pub deltas: Map<RelPath, Vec<u8>>,
}

/// What a person or a script asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What belongs to this node in UCI packages.
    Local {
        /// The share; all, if there is none.
        share: Option<ShareName>,
        /// Only in this package.
        path: Option<RelPath>,
        /// List options that are shared too.
        all: bool,
    },
    /// Put changes in force on all nodes of a share, or on none.
    Commit(Box<CommitRequest>),
    /// Give the local values that a pattern covers to all nodes.
    ShareLocal {
        /// The pattern.
        pattern: String,
        /// Do it; else only list them.
        yes: bool,
    },
    /// The paths of a share.
    Files {
        /// The share.
        share: Option<ShareName>,
        /// Only from this path on.
        from: Option<RelPath>,
    },
    /// Look at everything again, and exchange it with every peer. The answer comes when that is done, if `wait`.
    Sync {
        /// Only with this peer.
        peer: Option<PeerName>,
        /// Only this share.
        share: Option<ShareName>,
        /// Say what would happen, and do nothing.
        dry_run: bool,
        /// Answer when it is done, not at once.
        wait: bool,
    },
    /// Stop exchanging.
    Pause {
        /// Only with this peer.
        peer: Option<PeerName>,
        /// Only this share.
        share: Option<ShareName>,
        /// Why, for people.
        reason: Option<String>,
        /// For so long; `None` or 0: until it is resumed.
        seconds: Option<u64>,
    },
    /// Go on exchanging.
    Resume {
        /// Only with this peer.
        peer: Option<PeerName>,
        /// Only this share.
        share: Option<ShareName>,
    },
    /// Let a held share, or held paths of it, go on.
    Approve {
        /// The share; the only one, if there is one.
        share: Option<ShareName>,
        /// This path, or what is below it.
        path: Option<RelPath>,
        /// Which side wins at first contact.
        pick: Option<Pick>,
        /// Say what would happen, and do nothing.
        dry_run: bool,
    },
    /// Take the other side's state back in.
    Reject {
        /// The share; the only one, if there is one.
        share: Option<ShareName>,
        /// This path, or what is below it.
        path: Option<RelPath>,
        /// Say what would happen, and do nothing.
        dry_run: bool,
    },
    /// Former versions.
    Log {
        /// The share.
        share: Option<ShareName>,
        /// This path, or what is below it.
        path: Option<RelPath>,
        /// Only those that are there for this reason.
        why: Option<Why>,
        /// Only those that a change of this node replaced: its name here, or the start of its id.
        node: Option<String>,
        /// At most this many, the newest.
        limit: usize,
    },
    /// One former version.
    Show {
        /// Which.
        version: Former,
    },
    /// What changed since a former version.
    Diff {
        /// Which.
        version: Former,
        /// Compared with what; `None`: with what lies at its path now.
        with: Option<DiffWith>,
        /// As UCI packages, option by option.
        options: bool,
    },
    /// What changed from what a peer has to what is here.
    DiffPeer {
        /// The peer.
        peer: PeerName,
        /// The share; the only one, if there is one.
        share: Option<ShareName>,
        /// The path.
        path: RelPath,
        /// A former version of it; `None`: what lies there now.
        number: Option<u64>,
        /// As UCI packages, option by option.
        options: bool,
    },
    /// Bring a former version back.
    Restore {
        /// Which.
        version: Former,
        /// Of a UCI package, only these options, as `diff` with `options` names them; all of the file if there are none.
        options: Vec<String>,
    },
    /// Merge a previous version of a UCI package into the current one.
    Merge {
        /// Which.
        version: Former,
        /// Only show what would come of it.
        dry_run: bool,
    },
    /// Undo a landing: what it replaced comes back, what it made goes.
    Undo {
        /// Its number, as `log` has it.
        run: u64,
    },
    /// Confirm what is on trial: it stays.
    Confirm {
        /// Only in this share.
        share: Option<ShareName>,
    },
    /// Take back what is on trial.
    Rollback {
        /// Only in this share.
        share: Option<ShareName>,
    },
    /// Remove every former version of a path.
    Forget {
        /// The share.
        share: Option<ShareName>,
        /// The path, or what is below it.
        path: RelPath,
    },
    /// Let a waiting, or changed, peer in.
    Accept {
        /// Its name, address or the start of its key; the only one that waits, if there is one.
        peer: Option<String>,
    },
    /// Forget a peer that is gone for good.
    ForgetPeer {
        /// Its name, address or the start of its key.
        peer: String,
    },
    /// Make a token for a join text.
    Invite,
    /// Declare this node the reference, and make a token for a join text.
    Init,
    /// A new identity, in plain mode: the database is a copy of another node's.
    NewIdentity,
    /// Who this node is.
    Identity,
    /// What it counts, for Prometheus.
    Metrics,
}

/// A former version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Former {
    /// The one with this number in `log`.
    Number(u64),
    /// The one with this number, which must be of this path.
    At {
        /// The share; the only one, if there is one.
        share: Option<ShareName>,
        /// The path.
        path: RelPath,
        /// Its number in `log`.
        number: u64,
    },
    /// The newest one of a path.
    Newest {
        /// The share; the only one, if there is one.
        share: Option<ShareName>,
        /// The path.
        path: RelPath,
    },
}

/// What a former version is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffWith {
    /// Another former version.
    Former(Former),
    /// What lies at a path now.
    Current {
        /// The share; the only one, if there is one.
        share: Option<ShareName>,
        /// The path.
        path: RelPath,
    },
}

/// Which side wins where neither has a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// This node's.
    Mine,
    /// The peer's.
    Theirs,
    /// The newer one, path by path.
    Newest,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It was done; this is what there is to say.
    Done(Tree),
    /// It was not.
    Failed {
        /// What kind of failure.
        fault: Fault,
        /// What went wrong, for people.
        message: String,
    },
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The command's arguments make no sense.
    Argument,
    /// What it names does not exist.
    NotFound,
    /// It cannot be done in the present state.
    State,
    /// Something that it needed failed.
    System,
}

impl Fault {
    /// The word that scripts test.
    pub fn word(self) -> &'static str {
        match self {
            Fault::Argument => "argument",
            Fault::NotFound => "not_found",
            Fault::State => "state",
            Fault::System => "system",
        }
    }
}

impl Reply {
    /// A failure.
    pub fn failed(fault: Fault, message: impl Into<String>) -> Reply {
        Reply::Failed { fault, message: message.into() }
    }
}

/// What a node tells whoever listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `owsync.synced`, `owsync.conflict`, `owsync.hold`, `owsync.peer`.
    pub name: &'static str,
    /// When.
    pub at: WallTime,
    /// One sentence for people.
    pub text: String,
    /// Its details.
    pub details: Tree,
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warning,
    /// What an administrator would tell a colleague.
    Notice,
    /// One line per decision.
    Debug,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says; escaped, without end of line.
    pub text: String,
}

/// Numbers that only grow, since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Bytes transmitted on sessions.
    pub bytes_out: u64,
    /// Bytes read on sessions.
    pub bytes_in: u64,
    /// Paths that landed.
    pub landed: u64,
    /// Of these, files that were deleted.
    pub deleted: u64,
    /// Paths changed here.
    pub edited: u64,
    /// Content bytes received.
    pub received: u64,
    /// Content bytes that were found on this machine and did not need to travel.
    pub reused: u64,
    /// Files whose content was found on this machine.
    pub reused_files: u64,
    /// Content bytes supplied.
    pub supplied: u64,
    /// Files of which the beginning was supplied.
    pub supplied_files: u64,
    /// Conflicts seen.
    pub conflicts: u64,
    /// UCI packages merged.
    pub merges: u64,
    /// Shares and paths that began to wait.
    pub holds: u64,
    /// Changes rolled back, here or at a peer that had them from here.
    pub rollbacks: u64,
    /// Changes of this node that the user rejected on another node.
    pub rejections: u64,
    /// Landings whose end was told, and the time that they took together.
    pub applied: u64,
    /// From the decision until it was in place and written down.
    pub applying: Duration,
}
