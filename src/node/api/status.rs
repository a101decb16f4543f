//! Declares the status of a node: what `status`, `peers`, `shares` and `identity` answer with.
//!
//! Every value is known from memory. Times are seconds since 1970 in JSON and on ubus, durations are seconds, sizes are
//! bytes, and names and paths are escaped. A field that says nothing (false, 0, empty) is left out of the answer, unless it
//! is marked `always`.

use std::collections::BTreeMap;

use crate::model::WallTime;
use crate::node::api::record::{record, words};

words! {
    /// What a node is in its cluster.
    pub enum Role {
        /// The user declared it the reference (`owsync init`).
        Reference = "reference",
        /// It synced with a reference, or with a node that did.
        Member = "member",
        /// Neither: its files yield to those of any established node.
        New = "new",
    }

    /// The state of a peer.
    pub enum PeerState {
        /// It is connected, and everything is in sync with it.
        InSync = "in sync",
        /// It is connected, and changes are being exchanged.
        Syncing = "syncing",
        /// It is connected, and something prevents that all is in sync with it.
        NotInSync = "not in sync",
        /// The session is being opened.
        Connecting = "connecting",
        /// It cannot be reached, or refuses; `reason` says why.
        NotConnected = "not connected",
        /// There is no direct session; another peer relays its changes.
        Relayed = "relayed",
        /// It connects to this node, and is not connected now.
        Away = "away",
        /// The user paused it.
        Paused = "paused",
        /// Its section in the configuration is disabled.
        Disabled = "disabled",
        /// The user made this node forget it, and its section is still in the configuration.
        Forgotten = "forgotten",
        /// Its address belongs to this node itself.
        ThisNode = "this node",
    }

    /// The state of a share.
    pub enum ShareState {
        /// A guard or a missing directory stops it; `hold` says why.
        Held = "held",
        /// The user paused it.
        Paused = "paused",
        /// Its files are being scanned.
        Scanning = "scanning",
        /// A peer's change is being applied.
        Applying = "applying",
        /// It is watched for changes.
        Idle = "idle",
    }
}

record! {
    /// Who a node is.
    pub struct Identity {
        /// Its name, as the user sees it.
        name: String = always,
        /// Its node id, in hexadecimal digits.
        node: String = always,
        /// Its public key, in hexadecimal digits; none in plain mode.
        public_key: Option<String>,
        /// Whether sessions are encrypted; false in plain mode.
        encryption: Option<bool>,
        /// A fingerprint of the cluster's key, the same on every node that has the same key.
        key_fingerprint: Option<String>,
        /// What it is in its cluster.
        role: Role,
        /// Whether the user declared it the reference.
        reference: Option<bool>,
        /// The OpenWrt release it runs.
        release: Option<String>,
    }

    /// The whole status of a node.
    pub struct Status {
        /// Who it is.
        identity: Identity = flat,
        /// The version of owsync.
        version: String = always,
        /// Seconds since it was started.
        uptime: u64 = always,
        /// Whether it is in sync with every peer in every share.
        in_sync: bool = always,
        /// Since when it is in sync, if it is.
        since: Option<WallTime>,
        /// The verdict in one sentence.
        summary: String = always,
        /// Why it is not in sync, the most useful reason first.
        reasons: Vec<StatusReason> = always,
        /// What restricts the verdict without changing it, in clauses: paths left out by choice, nodes behind a peer.
        exceptions: Vec<String> = always,
        /// How many paths are left out by choice, by the reason's word.
        left_out: BTreeMap<String, u64>,
        /// The peers, by name.
        peers: BTreeMap<String, PeerStatus> = always,
        /// The shares, by name.
        shares: BTreeMap<String, ShareStatus> = always,
        /// Why the database cannot be written.
        database_error: Option<String>,
        /// Previous versions that did not fit into the history, the latest first.
        not_kept: Vec<NotKeptStatus>,
        /// How many such versions there were since the start.
        not_kept_count: u64,
        /// Nodes that want to connect and are not accepted yet.
        waiting: Vec<WaitingPeer> = always,
        /// The latest events, the newest first.
        events: Vec<EventStatus> = always,
        /// Numbers that only grow since the start, and the size of the history.
        counters: CounterStatus = always,
    }

    /// A reason why a node is not in sync.
    pub struct StatusReason {
        /// The peer that it concerns.
        peer: Option<String>,
        /// The share that it concerns.
        share: Option<String>,
        /// The word that scripts test.
        reason: String = always,
        /// The reason in words.
        message: String = always,
        /// Whether `owsync approve` or `owsync reject` resolves it.
        needs_user: bool = always,
    }

    /// A peer.
    pub struct PeerStatus {
        /// Its state.
        state: PeerState = always,
        /// Whether there is a session with it.
        connected: bool = always,
        /// Whether this node is in sync with it; none for a peer whose absence is no fault.
        in_sync: Option<bool>,
        /// Since when it is in sync, or not connected.
        since: Option<WallTime>,
        /// The word for why it is not in sync.
        reason: Option<String>,
        /// The reason in words, and what to do.
        message: Option<String>,
        /// Nodes that it reports not to be in sync with it.
        behind: Vec<BehindNode>,
        /// Shares that it does not have.
        only_here: Vec<String>,
        /// Shares that only it has.
        only_there: Vec<String>,
        /// Seconds since the session was opened.
        connected_for: Option<u64>,
        /// Its node id, in hexadecimal digits.
        node: Option<String>,
        /// Its public key, in hexadecimal digits.
        public_key: Option<String>,
        /// What it calls itself.
        name: Option<String>,
        /// Its version of owsync.
        version: Option<String>,
        /// The OpenWrt release it runs.
        release: Option<String>,
        /// Seconds since it last sent something.
        quiet_for: Option<u64>,
        /// The common shares, by name.
        shares: BTreeMap<String, ExchangeStatus>,
        /// Seconds until the next attempt to connect.
        retry_in: Option<u64>,
        /// Attempts to connect since the last session.
        retries: u64,
        /// When it was last connected.
        last_connected: Option<WallTime>,
        /// The user's pause.
        paused: Option<PauseStatus>,
        /// Whether its address belongs to this node itself.
        this_node: bool,
        /// Its address, as configured or connected.
        address: Option<String>,
        /// The configured peer that is the same node.
        same_node_as: Option<String>,
        /// Whether it has a section in the configuration, or was named by an option.
        configured: bool = always,
        /// The node that introduced it.
        introduced_by: Option<String>,
        /// How an introduced node is reached: `direct`, `relayed by NAME` or `none`.
        path: Option<String>,
        /// The configured direction, where it is not `both`.
        direction: Option<String>,
    }

    /// A node that a peer reports not to be in sync with it.
    pub struct BehindNode {
        /// What it calls itself.
        name: String = always,
        /// Its node id.
        node: Option<String>,
        /// The word for why.
        reason: String = always,
    }

    /// A share that is common with a peer.
    pub struct ExchangeStatus {
        /// Whether it is in sync with the peer.
        in_sync: bool = always,
        /// Since when, if it is.
        since: Option<WallTime>,
        /// The word for why it is not.
        reason: Option<String>,
        /// The reason in words.
        message: Option<String>,
        /// The sequence number up to which this node's changes were offered.
        offered: u64 = always,
        /// The sequence number up to which the peer applied them.
        applied_there: u64 = always,
        /// The peer's sequence number up to which its changes were received.
        received: u64 = always,
        /// The peer's sequence number up to which they were applied here.
        applied: u64 = always,
        /// The peer's changes that were received and not applied yet, the causes first.
        pending: Vec<PathStatus>,
        /// How many there are.
        pending_count: u64,
        /// This node's changes that are pending at the peer, as far as it named them.
        pending_there: Vec<PathStatus>,
        /// How many there are.
        pending_there_count: u64,
        /// Changes at the peer that wait for `owsync sync` there (mode manual).
        unreleased_there: u64,
        /// This node's changes that await confirmation at the peer.
        unconfirmed_there: u64,
        /// How many paths are left out by choice, by the reason's word.
        left_out: BTreeMap<String, u64>,
        /// The paths that are known to be left out by choice.
        left_out_paths: Vec<PathStatus>,
        /// How many such paths there are.
        left_out_count: u64,
        /// Whether the peer's filters differ from this node's.
        filters_differ: bool,
    }

    /// A path with a reason.
    pub struct PathStatus {
        /// The path.
        path: String = always,
        /// The word that scripts test.
        reason: String = always,
        /// The reason in words.
        message: String = always,
        /// The peer whose change it is.
        peer: Option<String>,
        /// Since when.
        since: Option<WallTime>,
        /// Whether `owsync approve` or `owsync reject` resolves it.
        needs_user: bool,
        /// What was done to it here: `changed` or `deleted`.
        what: Option<String>,
        /// Its size.
        size: Option<u64>,
    }

    /// A pause of a peer or a share.
    pub struct PauseStatus {
        /// Since when.
        since: WallTime = always,
        /// Until when; without end if none.
        until: Option<WallTime>,
        /// The user's reason.
        reason: Option<String>,
    }

    /// A share.
    pub struct ShareStatus {
        /// Its state.
        state: ShareState = always,
        /// Its directory.
        dir: String = always,
        /// Files that are synced.
        files: u64 = always,
        /// Their size.
        bytes: u64 = always,
        /// Deleted paths that are remembered.
        tombstones: u64 = always,
        /// The configured direction, where it is not `both`.
        direction: Option<String>,
        /// Why it is held.
        hold: Option<HoldStatus>,
        /// This node's changes that last reached peers.
        last_sent: Option<SentStatus>,
        /// Why a change cannot be applied at the moment.
        blocked: Option<BlockedStatus>,
        /// The user's pause.
        paused: Option<PauseStatus>,
        /// The change that awaits confirmation.
        unconfirmed: Option<UnconfirmedStatus>,
        /// The commit that is under way.
        commit: Option<CommitStatus>,
        /// How the last commit that was begun on this router ended, since owsync was started.
        last_commit: Option<LastCommitStatus>,
        /// The configured mode, where it is `manual`.
        mode: Option<String>,
        /// How many changes wait for `owsync sync`.
        unreleased_count: u64,
        /// Changes that wait for `owsync sync`.
        unreleased: Vec<PathStatus>,
        /// How many local changes there are in a share that only receives.
        deviations_count: u64,
        /// Local changes in a share that only receives.
        deviations: Vec<PathStatus>,
        /// Deleted directories that remain, because they contain files that are not synced.
        kept_dirs: Vec<PathStatus>,
        /// What is wrong with its configuration.
        warning: Option<String>,
        /// Include patterns that match nothing.
        includes_without_match: Vec<String>,
        /// Patterns of local options that match nothing.
        local_without_match: Vec<String>,
        /// Packages that are too large to be merged.
        not_merged: Vec<String>,
        /// What detects changes: `inotify` or `poll`.
        detector: String = always,
        /// Seconds until the next scan.
        next_scan: u64 = always,
        /// Paths that are skipped.
        skipped: Vec<PathStatus>,
        /// How many there are.
        skipped_count: u64,
        /// Paths that wait for the user's decision.
        held_paths: Vec<PathStatus>,
        /// How many changes of peers are pending.
        pending_count: u64,
        /// Changes of peers that were received and not applied yet, the causes first.
        pending: Vec<PathStatus>,
        /// How many changes of peers are left out by choice.
        left_out_count: u64,
        /// Changes of peers that are left out by choice.
        left_out: Vec<PathStatus>,
        /// UCI packages with uncommitted changes. The daemon adds them, which can read /tmp/.uci.
        uncommitted: Vec<String>,
        /// Why it is not known whether there are uncommitted changes.
        uncommitted_error: Option<String>,
    }

    /// Why a share is held.
    pub struct HoldStatus {
        /// The word that scripts test.
        reason: String = always,
        /// The reason in words.
        message: String = always,
        /// Since when.
        since: WallTime = always,
        /// Whether `owsync approve` or `owsync reject` resolves it.
        needs_user: bool = always,
    }

    /// Changes of this node that reached peers.
    pub struct SentStatus {
        /// When.
        time: WallTime = always,
        /// How many files.
        files: u64 = always,
        /// Some of their paths.
        paths: Vec<String> = always,
        /// The peers, by name.
        peers: Vec<String> = always,
        /// Milliseconds from the change to the last peer's answer.
        took_ms: u64 = always,
    }

    /// Why a change cannot be applied at the moment.
    pub struct BlockedStatus {
        /// The reason in words.
        message: String = always,
        /// Seconds until the next attempt.
        retry_in: Option<u64>,
    }

    /// A change that awaits confirmation.
    pub struct UnconfirmedStatus {
        /// The number of its run.
        run: u64 = always,
        /// The peer that sent it, and has to respond.
        peer: String = always,
        /// Its paths.
        paths: Vec<String> = always,
        /// Whether it is the first sync with the peer.
        first: bool = always,
        /// Seconds until it is rolled back.
        seconds_left: Option<u64>,
    }

    /// A commit that is under way.
    pub struct CommitStatus {
        /// Its number.
        commit: String = always,
        /// The router on which it was begun.
        router: String = always,
        /// `preparing`, `applying`, `waiting` (for `owsync confirm`), `keeping` or `rolling back` where it was begun; `taking
        /// part` or `applied` elsewhere.
        state: String = always,
        /// The routers that take part, where it was begun.
        routers: Vec<CommitStepStatus> = always,
        /// Seconds until it is rolled back.
        seconds_left: Option<u64>,
    }

    /// How far a router has come with a commit.
    pub struct CommitStepStatus {
        /// The router.
        router: String = always,
        /// Its last report: `asked`, `prepared`, `applied`, `reachable`, `kept`, `rolled back` or `refused`.
        step: String = always,
        /// Why it refused.
        reason: Option<String>,
    }

    /// How a commit ended.
    pub struct LastCommitStatus {
        /// Its number.
        commit: String = always,
        /// When it ended.
        time: WallTime = always,
        /// `kept` or `rolled back`.
        result: String = always,
        /// The sentence for the user.
        message: String = always,
    }

    /// A previous version that did not fit into the history.
    pub struct NotKeptStatus {
        /// The share.
        share: String = always,
        /// The path.
        path: String = always,
        /// Its size.
        size: u64 = always,
        /// When it was replaced.
        time: WallTime = always,
    }

    /// A node that wants to connect and is not accepted yet.
    pub struct WaitingPeer {
        /// What it calls itself.
        name: String = always,
        /// Where it connects from.
        address: String = always,
        /// Its node id.
        node: String = always,
        /// Its public key.
        public_key: Option<String>,
        /// The word for why it is not accepted.
        reason: String = always,
        /// The reason in words, and what to do.
        message: String = always,
        /// Since when it tries.
        since: WallTime = always,
    }

    /// An event.
    pub struct EventStatus {
        /// Its name, for example `owsync.conflict`.
        event: String = always,
        /// When.
        time: WallTime = always,
        /// What happened, in a sentence.
        text: String = always,
        /// The share of a merged package.
        share: Option<String>,
        /// The merged package.
        path: Option<String>,
        /// The version in the history that has the values which are not in force.
        number: Option<u64>,
        /// Options of this node that a merge did not take.
        not_taken: Vec<String>,
    }

    /// What a node counted since its start.
    pub struct CounterStatus {
        /// Paths changed here.
        edited: u64 = always,
        /// Paths applied here.
        applied: u64 = always,
        /// Conflicts seen.
        conflicts: u64 = always,
        /// UCI packages merged.
        merges: u64 = always,
        /// Content received.
        received_bytes: u64 = always,
        /// Content found on this machine instead of being received.
        reused_bytes: u64 = always,
        /// Files whose content was found on this machine.
        reused_files: u64 = always,
        /// Content sent to peers.
        supplied_bytes: u64 = always,
        /// Bytes written on sessions.
        sent_bytes: u64 = always,
        /// Size of the history.
        history_bytes: u64 = always,
    }
}
