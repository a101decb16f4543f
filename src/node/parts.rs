//! What a node is made of, and what it wants done.

use std::time::Duration;

use crate::fs::Fs;
use crate::model::reserved::Reserved;
use crate::model::settings::Address;
use crate::model::{Kind, Map, Monotonic, NodeId, RelPath, Rng, Settings, ShareName};
use crate::node::api::{Event, LogLine, Reply};
use crate::node::{CommandId, LinkId};
#[cfg(feature = "encryption")]
use crate::proto::handshake;
use crate::proto::session::Mode;
use crate::store::history::History;
use crate::store::{News, Store};

/// What a node wants done.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Connect there; answer with [`crate::node::Node::handle_dialled`] or [`crate::node::Node::handle_dial_failed`].
    Dial {
        /// The session to be.
        link: LinkId,
        /// Where.
        address: Address,
    },
    /// Transmit what is left on this session, then close it.
    Close {
        /// The session.
        link: LinkId,
        /// Read it to its end first: the other side dies of an early close.
        linger: bool,
    },
    /// Write a line to the log.
    Log(LogLine),
    /// Answer a command.
    Reply {
        /// The command.
        id: CommandId,
        /// The answer.
        reply: Reply,
    },
    /// Tell whoever listens.
    Event(Event),
    /// These paths of a share were put in place, and that is written down: whoever uses them must be told.
    Landed {
        /// The share.
        share: ShareName,
        /// What changed.
        paths: Vec<RelPath>,
        /// When that was decided, for [`crate::node::Node::handle_told`]; `None` where a crash came between.
        begun: Option<Monotonic>,
    },
    /// What is about to land must be looked at by this machine's own programs; answer with
    /// [`crate::node::Node::handle_checked`].
    Check {
        /// The share.
        share: ShareName,
        /// The question, for the answer.
        check: u64,
        /// What would change.
        candidates: Vec<Candidate>,
        /// It is a commit: put in force on all nodes, or on none.
        commit: bool,
    },
    /// These UCI packages are about to be replaced: which sections do uncommitted changes of them refer to by number?
    /// Answer with [`crate::node::Node::handle_uncommitted`].
    Uncommitted {
        /// The share.
        share: ShareName,
        /// The question, for the answer.
        question: u64,
        /// The packages.
        paths: Vec<RelPath>,
    },
    /// These paths changed here, and programs of this machine are told before anybody else; answer with
    /// [`crate::node::Node::handle_before_send`].
    BeforeSend {
        /// The share.
        share: ShareName,
        /// Some of the paths.
        paths: Vec<RelPath>,
        /// How many there are.
        count: usize,
    },
    /// Something is on trial, and a program of this machine says whether it works; answer with
    /// [`crate::node::Node::handle_probed`].
    Probe {
        /// The share.
        share: ShareName,
        /// The landing, for the answer.
        run: u64,
        /// How long the answer may take.
        time: Duration,
    },
    /// The packages have these uncommitted changes now, so that libuci must not apply them once more; or they were rolled
    /// back, and the changes are uncommitted again.
    Deltas {
        /// The command that commits them.
        command: CommandId,
        /// The changes, as they were in libuci's files, by package.
        deltas: Map<RelPath, Vec<u8>>,
        /// What is to be done with them.
        change: DeltaChange,
    },
    /// A share's root was opened, or is another directory than before: watch it anew. A share that the settings no longer
    /// have need not be watched any more.
    Watch {
        /// The share.
        share: ShareName,
    },
}

/// What becomes of uncommitted changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaChange {
    /// They are removed from libuci's files.
    Remove,
    /// They are put back there.
    PutBack,
}

/// A path that is about to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The path.
    pub path: RelPath,
    /// What it becomes.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Where its content lies until then, in the share; `None` where only its attributes change, or it goes.
    pub staged: Option<RelPath>,
}

/// Who this node is.
pub struct Identity {
    /// How sessions are secured.
    pub mode: Mode,
    /// The node's id; in plain mode that of the state.
    pub id: NodeId,
    /// Its public key, when it has one.
    pub public_key: Option<[u8; 32]>,
}

impl Identity {
    /// The identity that a mode gives; `plain_id` is what the state keeps for plain mode.
    pub fn of(mode: Mode, plain_id: NodeId) -> Identity {
        match &mode {
            Mode::Plain | Mode::Closed => Identity { mode, id: plain_id, public_key: None },
            #[cfg(feature = "encryption")]
            Mode::Encrypted(credentials) => {
                let public_key = handshake::public_key(&credentials.identity);
                Identity { mode, id: handshake::node_id(&public_key), public_key: Some(public_key) }
            }
        }
    }
}

/// Everything a node is made of.
pub struct Parts<F: Fs> {
    /// The disk.
    pub fs: F,
    /// What it was told to do.
    pub settings: Settings,
    /// Its memory, loaded.
    pub store: Store<F::Root>,
    /// What loading it found.
    pub news: Vec<News>,
    /// Former contents, loaded.
    pub history: History<F::Root>,
    /// Who it is.
    pub identity: Identity,
    /// Random bytes.
    pub rng: Rng,
    /// Tells its staging directories from those of other databases.
    pub tag: u64,
    /// Names of its own that must never be synced, per share.
    pub reserved: Map<ShareName, Vec<Reserved>>,
    /// The machine is up for ten minutes from here on.
    pub settled_at: Monotonic,
    /// A person started it and waits: a share that was replaced meanwhile is reported, not held.
    pub attended: bool,
    /// The token of a join text, to be shown once.
    pub token: Option<[u8; 16]>,
}
