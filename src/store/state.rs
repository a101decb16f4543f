//! The state of a node: everything that must survive a restart, as a value.
//!
//! [`State`] changes only by [`Change`]s, and each change is one line of the journal: replaying the lines gives the
//! state back, and writing the document is writing one change per thing there is. So there is one form on disk, one
//! decoder, and nothing in memory that a restart would not bring back.

mod pause;

mod why;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::model::reason::Hold;
use crate::model::{
    Digest, Direction, Entry, Index, Map, NodeId, Reason, Record, RelPath, ShareName, StateId, Version, WallTime,
    limits,
};

pub use why::Why;

pub use pause::{Pause, Paused};

/// Everything that survives.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// This node's own part.
    pub me: Me,
    /// Its shares, also those that are no longer configured.
    pub shares: Map<ShareName, ShareState>,
    /// The nodes that were connected or accepted.
    pub peers: Map<NodeId, KnownPeer>,
    /// The nodes that users removed from the cluster.
    pub forgotten: Map<NodeId, Forgotten>,
    /// The tokens of join texts that were printed.
    pub tokens: Vec<Token>,
    /// What the user paused.
    pub pauses: Vec<Pause>,
}

/// This node's own part of the state.
#[derive(Debug, Clone, PartialEq)]
pub struct Me {
    /// Its id in plain mode.
    pub plain_id: NodeId,
    /// This life of the database.
    pub state: StateId,
    /// Earlier lives, the latest last: this node still merges the edits that they made.
    pub former: Vec<StateId>,
    /// 1 once it was declared the reference, or exchanged with a descendant of one.
    pub rank: u8,
    /// The user declared this very node the reference, here.
    pub reference: bool,
    /// The last number given to an edit.
    pub number: u64,
    /// The last number given to a change of an index.
    pub seq: u64,
}

impl Me {
    /// Whether an edit of this life of a database was made by this node.
    pub fn made(&self, author: StateId) -> bool {
        author == self.state || self.former.contains(&author)
    }

    /// The next life of the database.
    pub fn renewed(&self, state: StateId) -> Me {
        let mut former = self.former.clone();
        former.push(self.state);
        former.drain(..former.len().saturating_sub(limits::FORMER_STATES));
        Me { state, former, ..self.clone() }
    }
}

/// What is known of one share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareState {
    /// Its entries.
    pub index: Index,
    /// The rest.
    pub meta: ShareMeta,
    /// How far it and each other node have received and applied each other's changes.
    pub ledgers: Map<NodeId, Ledger>,
    /// Received changes that are pending.
    pub owed: BTreeMap<(NodeId, RelPath), Box<Owed>>,
    /// The transaction in progress.
    pub landing: Option<LandingRecord>,
    /// The applied batch that is not confirmed yet.
    pub trial: Option<Box<Trial>>,
}

impl ShareState {
    /// Whether a peer that was offered a record may still wait for it: it has not acknowledged that it applied it. `me` is
    /// the life of this node's database.
    pub fn is_awaited(&self, me: StateId, record: &Record) -> bool {
        let deviates = self.meta.direction == Direction::Receive && record.entry.version.is_unversioned();
        let offered = record.sleep.is_none() && !record.pending && !deviates && record.entry.is_live();
        let open = |ledger: &Ledger| ledger.our_state != Some(me) || ledger.acked < record.seq;
        (offered || record.withdraws) && self.ledgers.values().any(open)
    }
}

/// The small facts of a share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareMeta {
    /// An exchange has completed, or this node was declared the reference: its entries are versioned.
    pub past: bool,
    /// Digest of filter, size limit and symlink rule: if it changes, everything must be received again.
    pub rules: Option<Digest>,
    /// Which way its changes went.
    pub direction: Direction,
    /// Type and source of the filesystem its root was on.
    pub filesystem: String,
    /// Why it is held, and since when.
    pub hold: Option<(Hold, WallTime)>,
    /// When it was last scanned as a whole, as far as that was recorded.
    pub scanned: WallTime,
    /// The directory that was last scanned: a different one contains other files, and does not show what is missing.
    pub dir: PathBuf,
}

/// How far this node and another have received and applied each other's changes in one share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ledger {
    /// The life of the other's database that `heard` belongs to.
    pub their_state: Option<StateId>,
    /// Everything of theirs up to here was received, and is applied or pending.
    pub heard: u64,
    /// The life of our database that `acked` belongs to.
    pub our_state: Option<StateId>,
    /// Everything of this node up to here was applied there.
    pub acked: u64,
    /// An exchange with them has completed: they count for the expiry of tombstones.
    pub met: bool,
    /// They can send in this share.
    pub sends: bool,
    /// They were away for so long that tombstones did not wait for them: what only they have may have been deleted.
    pub away: bool,
    /// Because of its direction this node did not send them something that they may have counted as received.
    pub withheld: bool,
    /// That was everything, also what others wrote.
    pub withheld_all: bool,
}

/// A received change that is pending.
#[derive(Debug, Clone, PartialEq)]
pub struct Owed {
    /// What they have.
    pub entry: Entry,
    /// Their number of the change.
    pub seq: u64,
    /// Their number that stands for the batch it came in.
    pub batch: u64,
    /// Why it is pending.
    pub reason: Reason,
    /// Since when.
    pub since: WallTime,
    /// The user chose their content here: the entry is this node's decision, which they have not received.
    pub decided: bool,
    /// A user approved this very version where a guard held it, at a peer that is trusted with that.
    pub approved: bool,
}

/// A transaction: enough to complete a batch after a crash.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LandingRecord {
    /// Number of this run, for the history.
    pub run: u64,
    /// Who offered it.
    pub from: Option<NodeId>,
    /// Its purpose.
    pub cause: Cause,
    /// Seconds within which it must be confirmed; 0: it need not be.
    pub confirm: u32,
    /// Its paths, in the order in which they are applied.
    pub steps: Vec<LandingStep>,
}

/// Why a transaction is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cause {
    /// A peer offered it.
    #[default]
    Offered,
    /// The user restores a previous version.
    Restored,
    /// The user undoes a run.
    Undone,
    /// The user merges a previous version into the current one.
    Merged,
    /// A change that was not confirmed in time is rolled back.
    TakenBack,
    /// It is a commit: put in force on all nodes, or on none.
    Committed,
}

/// An applied batch that is rolled back unless it is confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its run.
    pub run: u64,
    /// Who offered it, and must respond.
    pub from: NodeId,
    /// Seconds it has.
    pub secs: u32,
    /// It came with the first exchange, which the user asked for, so it is no alarm.
    pub first: bool,
    /// What it changed, and what was there before.
    pub steps: Vec<TrialStep>,
}

/// One path of a [`Trial`].
#[derive(Debug, Clone, PartialEq)]
pub struct TrialStep {
    /// The path.
    pub path: RelPath,
    /// The previous entry; a tombstone for nothing.
    pub was: Entry,
    /// The version that was applied: a path with a different version was changed since.
    pub version: Version,
}

impl Cause {
    /// The word in JSON and in output for users.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Offered => "offered",
            Cause::Restored => "restored",
            Cause::Undone => "undone",
            Cause::Merged => "merged",
            Cause::TakenBack => "rolled back",
            Cause::Committed => "committed",
        }
    }

    /// The cause of a word.
    pub fn from_word(word: &str) -> Option<Cause> {
        [Cause::Offered, Cause::Restored, Cause::Undone, Cause::Merged, Cause::TakenBack, Cause::Committed]
            .into_iter()
            .find(|cause| cause.word() == word)
    }
}

/// One path of a [`LandingRecord`].
#[derive(Debug, Clone, PartialEq)]
pub struct LandingStep {
    /// The path.
    pub path: RelPath,
    /// The entry that the node must have.
    pub entry: Entry,
    /// The staged file, or the name that the old file is moved aside to.
    pub staged: Option<RelPath>,
    /// The content that is replaced.
    pub old: Option<Digest>,
    /// Why it is replaced.
    pub why: Option<Why>,
    /// The digest of the bytes on disk, where they are not the entry's; see [`Record::local`].
    pub local: Option<Digest>,
    /// Values of this router have no place in the new content: the previous file must be kept.
    pub drops_local: bool,
}

impl LandingStep {
    /// The digest of the bytes that are put on disk.
    pub fn disk_digest(&self) -> Digest {
        self.local.unwrap_or(self.entry.digest)
    }
}

/// A known node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// Its public key; `None` in plain mode.
    pub public_key: Option<[u8; 32]>,
    /// What it calls itself.
    pub name: String,
    /// The section or address it belongs to here.
    pub section: Option<String>,
    /// It is accepted: it joined, was accepted, or was connected at a configured address.
    pub accepted: bool,
    /// When it was last connected, as far as that was recorded.
    pub met: WallTime,
    /// Its part in introductions.
    pub mesh: Mesh,
}

/// The part of a known or introduced node in introductions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mesh {
    /// It joined the cluster through this node: it showed a token of this node, or a user accepted it here.
    pub joined: bool,
    /// The node that introduced it here, if nothing else makes it a peer.
    pub by: Option<NodeId>,
    /// Where it can be dialled, as reported: a node that responds there must still prove its identity.
    pub addresses: Vec<SocketAddr>,
    /// How often its membership was decided: of two decisions the one with the higher number counts.
    pub round: u64,
}

/// A node that a user removed from the cluster: it is neither accepted nor introduced, until it is invited again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// The number of the decision, as in [`Mesh::round`].
    pub round: u64,
    /// When this node learned of it.
    pub at: WallTime,
}

/// The token of a join text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What the joining node must prove.
    pub token: [u8; 16],
    /// Until when.
    pub expires: WallTime,
    /// A node joined with it.
    pub used: bool,
}

impl Token {
    /// Whether a node may still join with it.
    pub fn is_valid(&self, now: WallTime) -> bool {
        !self.used && now < self.expires
    }

    /// Whether it is still known, so that a node that uses it gets the right message.
    pub fn is_remembered(&self, now: WallTime) -> bool {
        now < self.expires.plus(limits::TOKEN_REMEMBERED)
    }
}

/// One change of the state.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// This node's own part.
    Me(Me),
    /// A path of a share.
    Record(ShareName, RelPath, Record),
    /// A path of a share is forgotten.
    Drop(ShareName, RelPath),
    /// Every provisional stamp of a share becomes final, now.
    Stamped(ShareName, WallTime),
    /// The small facts of a share.
    Share(ShareName, ShareMeta),
    /// How far a peer has come.
    Ledger(ShareName, NodeId, Ledger),
    /// A peer is no longer part of a share.
    NoLedger(ShareName, NodeId),
    /// A change is pending.
    Owed(ShareName, NodeId, RelPath, Box<Owed>),
    /// A pending change is resolved.
    Paid(ShareName, NodeId, RelPath),
    /// A transaction begins.
    Landing(ShareName, Box<LandingRecord>),
    /// The transaction is complete.
    Landed(ShareName),
    /// The applied batch must be confirmed; `None`: nothing must.
    Trial(ShareName, Option<Box<Trial>>),
    /// A node is known.
    Peer(NodeId, KnownPeer),
    /// A node is forgotten.
    NoPeer(NodeId),
    /// A node was removed from the cluster by a user.
    Forgotten(NodeId, Forgotten),
    /// A node that was removed may come back.
    Recalled(NodeId),
    /// The valid tokens.
    Tokens(Vec<Token>),
    /// The pauses.
    Pauses(Vec<Pause>),
}

impl State {
    /// The state of a new node.
    pub fn new(plain_id: NodeId, state: StateId) -> State {
        State {
            me: Me { plain_id, state, former: Vec::new(), rank: 0, reference: false, number: 0, seq: 0 },
            shares: Map::new(),
            peers: Map::new(),
            forgotten: Map::new(),
            tokens: Vec::new(),
            pauses: Vec::new(),
        }
    }

    /// Changes the state. Any change fits any state: replaying a prefix of a journal always works.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Me(me) => self.me = me,
            Change::Record(share, path, record) => self.share(share).index.insert(path, record),
            Change::Drop(share, path) => {
                self.share(share).index.remove(&path);
            }
            Change::Stamped(share, now) => {
                for (_, record) in self.share(share).index.iter_mut() {
                    record.entry.stamp = record.final_stamp(now);
                    record.draft = None;
                }
            }
            Change::Share(share, meta) => self.share(share).meta = meta,
            Change::Ledger(share, node, ledger) => {
                self.share(share).ledgers.insert(node, ledger);
            }
            Change::NoLedger(share, node) => {
                let share = self.share(share);
                share.ledgers.remove(&node);
                share.owed.retain(|(owed_to, _), _| *owed_to != node);
            }
            Change::Owed(share, node, path, owed) => {
                self.share(share).owed.insert((node, path), owed);
            }
            Change::Paid(share, node, path) => {
                self.share(share).owed.remove(&(node, path));
            }
            Change::Landing(share, landing) => self.share(share).landing = Some(*landing),
            Change::Landed(share) => self.share(share).landing = None,
            Change::Trial(share, trial) => self.share(share).trial = trial,
            Change::Peer(node, peer) => {
                self.peers.insert(node, peer);
            }
            Change::NoPeer(node) => {
                self.peers.remove(&node);
            }
            Change::Forgotten(node, forgotten) => {
                self.forgotten.insert(node, forgotten);
            }
            Change::Recalled(node) => {
                self.forgotten.remove(&node);
            }
            Change::Tokens(tokens) => self.tokens = tokens,
            Change::Pauses(pauses) => self.pauses = pauses,
        }
    }

    /// Marks a record that replaces one that peers may still wait for.
    pub fn noting_offers(&self, change: Change) -> Change {
        let Change::Record(share, path, record) = change else { return change };
        let state = self.shares.get(&share);
        let before = state.and_then(|state| Some((state, state.index.get(&path)?)));
        let withdraws = match before {
            Some((state, before)) if before.seq != record.seq => state.is_awaited(self.me.state, before),
            _ => record.withdraws,
        };
        Change::Record(share, path, Record { withdraws, ..record })
    }

    /// The changes that build this state from an empty one, in a readable order.
    pub fn as_changes(&self) -> impl Iterator<Item = Change> + '_ {
        let head = std::iter::once(Change::Me(self.me.clone()))
            .chain((!self.tokens.is_empty()).then(|| Change::Tokens(self.tokens.clone())))
            .chain((!self.pauses.is_empty()).then(|| Change::Pauses(self.pauses.clone())));
        let peers = self.peers.iter().map(|(node, peer)| Change::Peer(*node, peer.clone()));
        let forgotten = self.forgotten.iter().map(|(node, one)| Change::Forgotten(*node, one.clone()));
        let shares = self.shares.iter().flat_map(|(name, share)| {
            let meta = std::iter::once(Change::Share(name.clone(), share.meta.clone()));
            let ledgers =
                share.ledgers.iter().map(move |(node, ledger)| Change::Ledger(name.clone(), *node, ledger.clone()));
            let records = share
                .index
                .iter()
                .map(move |(path, record)| Change::Record(name.clone(), path.clone(), record.clone()));
            let owed = share
                .owed
                .iter()
                .map(move |((node, path), owed)| Change::Owed(name.clone(), *node, path.clone(), owed.clone()));
            let landing =
                share.landing.iter().map(move |landing| Change::Landing(name.clone(), Box::new(landing.clone())));
            let trial = share.trial.iter().map(move |trial| Change::Trial(name.clone(), Some(trial.clone())));
            meta.chain(ledgers).chain(owed).chain(landing).chain(trial).chain(records)
        });
        head.chain(peers).chain(forgotten).chain(shares)
    }

    fn share(&mut self, name: ShareName) -> &mut ShareState {
        self.shares.get_or_default(name)
    }
}
