//! Every bound in one place, with its unit and its reason. None of them is a setting.

use std::time::Duration;

/// Longest path, in bytes: Linux's PATH_MAX.
pub const PATH_MAX: usize = 4096;
/// Longest name, in bytes: what every Linux filesystem that owsync meets allows.
pub const NAME_MAX: usize = 255;
/// Longest name of a share, a peer section or a node, in bytes.
pub const LABEL_MAX: usize = 64;
/// Longest user or group name, in bytes: twice what useradd allows.
pub const OWNER_MAX: usize = 64;
/// Shares of one node: a config file is written by hand.
pub const SHARES_MAX: usize = 64;
/// Peers configured on one node.
pub const PEERS_MAX: usize = 256;
/// Patterns per list of a share.
pub const PATTERNS_MAX: usize = 1024;
/// Longest pattern, in bytes.
pub const PATTERN_MAX: usize = 1024;
/// Paths in one share's index, tombstones included: bounds what a hostile peer can make us remember.
pub const INDEX_MAX: usize = 200_000;
/// Longest text of a symlink, in bytes: Linux's PATH_MAX.
pub const LINK_TEXT_MAX: usize = 4096;

/// Ids in a version vector that an edit leaves: a cluster has at most this many writers at a time.
pub const VERSION_IDS: usize = 32;
/// Ids in a version vector that a peer may send, and that a join may have: twice what an edit leaves, since concurrent
/// edits share most of what they have seen. A longer one is refused where it is received, and never made: see
/// [`crate::model::Version::joined`].
pub const VERSION_IDS_JOINED: usize = 64;

/// Earlier lives of its database that a node remembers: as many as a version has ids.
pub const FORMER_STATES: usize = VERSION_IDS;

/// Lost edits that an entry lists: the oldest are dropped, long after their nodes were connected.
pub const LOST_IDS: usize = 8;

/// Largest record on the wire, its tag included, in bytes: a Noise message is at most 65,535.
pub const RECORD_MAX: usize = 65_535;
/// Bytes that AES-GCM adds to a record.
pub const TAG: usize = 16;
/// Largest message in a record, its type byte included.
pub const MESSAGE_MAX: usize = RECORD_MAX - TAG;
/// Bytes of a text in a message: what fits in a line. Longer ones are cut where the message is built, and where it is read.
pub const TEXT_MAX: usize = 300;
/// File bytes in one Data message: a full record less the room for its heads.
pub const DATA_MAX: usize = MESSAGE_MAX - 1024;
/// Largest handshake message, in bytes: XXpsk0's second is 96 and carries no payload.
pub const HANDSHAKE_MAX: usize = 256;
/// Time from the first byte to the end of a handshake, and from there to Hello.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// Sessions that have not authenticated yet.
pub const STRANGERS_MAX: usize = 16;
/// Of these, from one address.
pub const STRANGERS_PER_ADDRESS: usize = 3;
/// All sessions together, unless `max_sessions` says otherwise: a site of 250 access points with one reference.
pub const SESSIONS_MAX: usize = 256;
/// Largest `max_sessions`: each needs a descriptor, of [`DESCRIPTORS`], and up to 100 KB.
pub const SESSIONS_CEILING: usize = 2048;
/// Time for which a connection of owsync 1.x is read to its end, because closing it early would kill that program.
pub const PREDECESSOR_TIME: Duration = Duration::from_secs(30);
/// Bytes waiting to be sent to one peer above which nothing more is produced for it.
pub const SEND_HIGH: usize = 512 * 1024;
/// Bytes waiting to be sent to one peer above which it counts as not reading, and the session ends.
pub const SEND_MAX: usize = 16 * 1024 * 1024;
/// Entries in one Index message at most; a message is also bounded by [`MESSAGE_MAX`].
pub const INDEX_CHUNK: usize = 512;
/// Changes of a share that a peer may have sent and that are not acknowledged: it waits before it sends more, and one
/// that does not is disconnected. Bounds what one input can bring, and with it the work that follows from it.
pub const INDEX_WINDOW: usize = 2 * INDEX_CHUNK;
/// Batches of one peer and share that are prepared for being applied at a time. Other received batches wait in order, so
/// that the work per input does not grow with what a peer sends.
pub const QUEUE_BATCHES: usize = 32;
/// Bytes of the changes of one peer and share, as a message counts them, that are received and neither applied nor
/// pending, above which no more are acknowledged: about twice that in memory.
pub const QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// Changes that were received from one peer in one share and are pending, on disk: above that no more are acknowledged
/// until some are resolved. About 250 bytes each on a flash of 8 MiB.
pub const PENDING_ROWS: usize = 10_000;
/// Bytes of such changes, as a message counts them.
pub const PENDING_BYTES: usize = 3 * 1024 * 1024;
/// Times within [`RENEWALS_TIME`] that the database gets a new id because of what a peer says, which ends every session:
/// above that the peer is disconnected instead.
pub const RENEWALS_MAX: usize = 3;
/// As [`RENEWALS_MAX`].
pub const RENEWALS_TIME: Duration = Duration::from_secs(3600);
/// Log lines within [`LINES_TIME`] about connections of nodes that are not accepted; more are counted.
pub const STRANGER_LINES: u32 = 20;
/// Log lines within [`LINES_TIME`] about what one peer sends; more are counted. logd keeps 64 KiB, about 600 lines.
pub const PEER_LINES: u32 = 200;
/// As [`STRANGER_LINES`] and [`PEER_LINES`].
pub const LINES_TIME: Duration = Duration::from_secs(600);
/// Peers whose lines are counted one by one; those of others are counted as those of strangers.
pub const LINES_PEERS: usize = SESSIONS_MAX;
/// Requests that may be outstanding at one peer.
pub const REQUESTS_MAX: usize = 1024;
/// Paths in one Ask message, and their bytes together: the answer is one message, or a few.
pub const ASK_PATHS: usize = 128;
/// As [`ASK_PATHS`].
pub const ASK_BYTES: usize = 16 * 1024;
/// Such questions that wait for one peer's answer.
pub const ASKS_MAX: usize = 32;
/// Bytes that may be outstanding at one peer.
pub const REQUEST_WINDOW: u64 = 4 * 1024 * 1024;
/// Bytes of one request: a larger file is asked for piece by piece.
pub const REQUEST_PIECE: u64 = 512 * 1024;
/// Requests that a peer may have outstanding here; more is its fault.
pub const SERVE_MAX: usize = 2 * REQUESTS_MAX;
/// A peer that does not send any of the requested bytes for this long has stalled.
pub const TRANSFER_STALL: Duration = Duration::from_secs(60);

/// Quiet time on a session after which a keepalive is sent.
pub const KEEPALIVE: Duration = Duration::from_secs(60);
/// Silence after which a peer is gone: two keepalives and the time to answer one.
pub const SILENCE: Duration = Duration::from_secs(130);
/// Time in which an old session must answer when another machine seems to show its identity.
pub const PROBE_TIME: Duration = Duration::from_secs(3);
/// How long such an answer counts: the newcomer tries again within its backoff.
pub const PROBE_COUNTS: Duration = Duration::from_secs(120);
/// Time in which a peer should report a change as applied, before status reports that it does not respond.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);
/// First wait before dialling again; doubled each time.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longest wait before dialling again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A session of this duration resets the backoff: one that ends at once, repeatedly, does not.
pub const BACKOFF_RESET: Duration = Duration::from_secs(10);
/// Time in which a connection must be made.
pub const DIAL_TIME: Duration = Duration::from_secs(10);

/// How much the recorded time of the last scan may be behind: it is only written with other changes, and at the end.
pub const SCAN_NOTED: Duration = Duration::from_secs(600);
/// Longest time that changes settle before they are offered, however busy the share is, where `settle_max` is not set.
pub const SETTLE_MAX: Duration = Duration::from_secs(2);
/// A file changed this recently may change again without a new time: kernels stamp files with the tick of the clock.
pub const YOUNG: Duration = Duration::from_millis(50);
/// As [`YOUNG`], on filesystems that keep whole seconds (JFFS2, FAT).
pub const YOUNG_COARSE: Duration = Duration::from_millis(2_100);
/// Changed paths remembered one by one; more become a full rescan.
pub const HINTS_MAX: usize = 4096;
/// Skipped paths listed in status; more are counted.
pub const SKIPPED_MAX: usize = 64;
/// Bytes hashed, copied or written in one step of work.
pub const STEP: usize = 256 * 1024;
/// Directory entries read in one step of work.
pub const STEP_NAMES: usize = 512;
/// Paths applied in one step of work.
pub const STEP_PATHS: usize = 64;

/// Files in one batch of a first contact.
pub const BATCH_FILES: usize = 2048;
/// Bytes in one batch of a first contact; one larger file is a batch of its own.
pub const BATCH_BYTES: u64 = 8 * 1024 * 1024;
/// Paths in any batch: bounds what is staged, journaled and recovered as one, and what a peer can leave open.
pub const BATCH_MAX: usize = 10_000;
/// Bytes of the changes in any batch, as a message counts them.
pub const BATCH_CHANGES: usize = 8 * 1024 * 1024;
/// Batches of one peer whose content is being fetched at a time: the next is fetched while one is applied.
pub const BATCHES_OPEN: usize = 8;
/// If a peer does not send content for this long, it is also requested from other peers.
pub const FETCH_PATIENCE: Duration = Duration::from_secs(2);
/// Files of a batch that are flushed one by one; with more, the filesystem is flushed as a whole.
pub const FLUSH_EACH: usize = 8;
/// A file that was exchanged is hashed again up to this size, in bytes; above it, its stat decides.
pub const LOOK_AGAIN: u64 = 1024 * 1024;
/// Time for which a file that another program has locked is retried before its path leaves the batch.
pub const LOCK_TIME: Duration = Duration::from_secs(5);

/// Life of a tombstone, from when this node recorded it.
pub const TOMBSTONE_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// Tombstones of one share; beyond that the oldest is dropped, even if not every node has applied it.
pub const TOMBSTONES_MAX: usize = 10_000;
/// A node that was not connected for this long no longer delays the expiry of tombstones.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(180 * 86_400);
/// A clock that jumps by more than this suspends expiry until a peer confirmed the time.
pub const CLOCK_JUMP: Duration = Duration::from_secs(86_400);
/// How often expiry is checked.
pub const EXPIRY_EVERY: Duration = Duration::from_secs(3600);
/// A node up for less than this may carry factory defaults that look new: its unversioned files lose to those of others.
pub const SETTLED_AFTER: Duration = Duration::from_secs(600);

/// The floor of the mass deletion guard, in files.
pub const DELETE_GUARD_FILES: u64 = 10;
/// Deletions within this time count as one for the guard.
pub const DELETE_GUARD_TIME: Duration = Duration::from_secs(60);
/// A UCI package with at least this many sections is held when it loses more than half of them at once; with fewer, when
/// it loses all.
pub const SECTIONS_GUARD: u32 = 4;
/// A share of which fewer files than this were known is never held as "replaced".
pub const REPLACED_FILES: u64 = 3;
/// Changes of one path in [`FLAP_TIME`], here and from a peer in turn, that hold it.
pub const FLAP_CHANGES: u32 = 10;
/// The time in which flapping is counted.
pub const FLAP_TIME: Duration = Duration::from_secs(60);
/// Paths watched for flapping at a time.
pub const FLAP_PATHS: usize = 1024;
/// The first wait before refused paths are retried, when nothing else shows that their reason ended. It doubles with
/// every attempt that applies none of them, up to [`RETRY_OWED_MAX`]: each attempt may write their content to flash.
pub const RETRY_OWED: Duration = Duration::from_secs(60);
/// The longest of these waits.
pub const RETRY_OWED_MAX: Duration = Duration::from_secs(240);
/// The longest wait before a transaction that the disk refused to complete, or the database, is tried again; the first is
/// [`LOCK_TIME`].
pub const RETRY_MAX: Duration = Duration::from_secs(60);
/// How often what waits for uncommitted changes of UCI packages is checked again: it reads two directories.
pub const UNCOMMITTED_AGAIN: Duration = Duration::from_secs(60);
/// A file that changed during this many consecutive reads is read less and less often, and status reports it.
pub const RESTLESS_READS: u32 = 5;

/// A file of owsync's own is written in pieces of this many bytes, so that the memory in use does not depend on its size.
pub const WRITE_PIECE: usize = 64 * 1024;
/// Journal size, in bytes, below which it is not folded while running.
pub const JOURNAL_MIN: u64 = 256 * 1024;
/// Largest state document that is read, in bytes.
pub const DOCUMENT_MAX: u64 = 1024 * 1024 * 1024;
/// What lost a conflict or a first contact, or was deleted by a peer, is kept at least this long.
pub const HISTORY_KEEP: Duration = Duration::from_secs(86_400);
/// Shortest time within which an applied change must be confirmed: services and the response need some.
pub const CONFIRM_MIN: Duration = Duration::from_secs(5);
/// Attempts to restore a path that the disk refuses, before the other paths of its batch are rolled back without it.
pub const TRIAL_REFUSALS: u32 = 5;
/// How long content of an interrupted transfer is kept for the next attempt.
pub const BROKEN_KEPT: Duration = Duration::from_secs(600);
/// Incomplete contents among these, each an open file.
pub const BROKEN_OPEN: usize = 16;
/// Such contents of a share at most; of more, nothing is kept.
pub const BROKEN_PATHS: usize = 4096;
/// Bytes of a UCI package that is parsed before it is applied; the largest that OpenWrt ships has 20 KiB.
pub const PACKAGE_MAX: usize = 1 << 20;
/// Bytes of a UCI package whose current content is kept in memory, so that a local edit can be undone and merged.
pub const PACKAGE_KEPT: usize = 64 * 1024;
/// Bytes of all these packages together.
pub const PACKAGES_KEPT: usize = 512 * 1024;
/// Paths of a share whose contents could not be merged, so that they are not merged again.
pub const NOT_MERGED: usize = 64;
/// Bytes of a check's output that are kept as the reason of a refusal: what a peer shows of a reason.
pub const REFUSAL_TEXT: usize = 300;
/// Longest time within which an applied change must be confirmed: until then no other change is applied.
pub const CONFIRM_MAX: Duration = Duration::from_secs(3600);
/// Paths of one commit: its entries are one message.
pub const COMMIT_PATHS: usize = 64;
/// Nodes of one commit besides its coordinator.
pub const COMMIT_NODES: usize = 64;
/// Time for all nodes of a commit to fetch and check it.
pub const COMMIT_PREPARE: Duration = Duration::from_secs(30);
/// Time for which a node that is ready waits for the coordinator.
pub const COMMIT_READY: Duration = Duration::from_secs(60);
/// Seconds after which an applied commit that is not kept is rolled back, where the option `confirm` is 0.
pub const COMMIT_CONFIRM: u32 = 30;
/// Seconds that a user has to keep a commit by hand, unless `confirm` is longer.
pub const COMMIT_BY_HAND: u32 = 600;
/// Time for which the answer to the user waits for the last reports.
pub const COMMIT_REPORTS: Duration = Duration::from_secs(10);
/// Time between two questions whether a node still works.
pub const COMMIT_PROBE: Duration = Duration::from_secs(1);
/// Ended commits that a coordinator remembers, for nodes that come back and ask.
pub const COMMITS_REMEMBERED: usize = 8;
/// Longest time for services to restart before a response of the sending node counts as a confirmation.
pub const TRIAL_GRACE: Duration = Duration::from_secs(10);
/// Paths of a transaction up to which the history records what it created, so that it can be undone.
pub const UNDO_CREATED: usize = 256;
/// Previous versions that were not kept and that status names.
pub const NOT_KEPT_TOLD: usize = 16;
/// Versions listed in history altogether: bounds its index in memory.
pub const HISTORY_ITEMS: usize = 20_000;
/// Life of a join text's token.
pub const TOKEN_LIFE: Duration = Duration::from_secs(86_400);
/// How long an expired join text is remembered, so that a node that uses it gets the right message.
pub const TOKEN_REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// Tokens that are valid at a time.
pub const TOKENS_MAX: usize = 16;
/// Known peers, connected before or waiting.
pub const PEERS_KNOWN: usize = 1024;
/// Nodes of a cluster up to which each connects to each other; above it, to the reference and two more.
pub const MESH_FULL: usize = 8;
/// Nodes that were introduced here, by all references together.
pub const INTRODUCED_MAX: usize = 64;
/// Addresses of its own that a node reports: one per network that it is in.
pub const ADDRESSES_TOLD: usize = 8;
/// Forgotten nodes that are remembered so that no node introduces them again: the oldest decisions are dropped first.
pub const FORGOTTEN_MAX: usize = 256;
/// An address of this node itself, or of a peer that is connected by a different one, is tried again this often.
pub const ALIAS_AGAIN: Duration = Duration::from_secs(600);
/// Peers that asked to be accepted and wait.
pub const WAITING_MAX: usize = 32;

/// Open files that owsync asks the system for: all sessions, their connections and files, with room to spare. No more,
/// because programs that owsync runs inherit the limit, and some loop over all descriptors.
pub const DESCRIPTORS: u64 = 4096;

/// How long a `sync` waits for peers before it reports what is missing.
pub const SYNC_TIME: Duration = Duration::from_secs(30);
/// Previews that are computed at a time: each reads the files of its shares.
pub const PREVIEWS_MAX: usize = 16;
/// Bytes of UCI packages, together, that a preview reads here and asks peers for, to compare them by option.
pub const PREVIEW_CONTENT: u64 = 512 * 1024;
/// Time in which peers supply that content: with [`PREVIEW_TIME`] and [`ASK_TIME`] below the 20 s of callers over ubus.
pub const PREVIEW_CONTENT_TIME: Duration = Duration::from_secs(2);
/// Changed options that a preview lists for one path; more are counted.
pub const PREVIEW_OPTIONS: usize = 20;
/// Bytes of one such line.
pub const PREVIEW_OPTION: usize = 200;
/// Time in which a preview must be complete: callers over ubus wait for 20 s at least.
pub const PREVIEW_TIME: Duration = Duration::from_secs(12);
/// Part of that time in which peers report their entries, and supply content to compare.
pub const ASK_TIME: Duration = Duration::from_secs(5);
/// Comparisons with what a peer has that are made at a time.
pub const COMPARISONS_MAX: usize = 16;
/// Requests on the control socket served at a time.
pub const CONTROL_MAX: usize = 16;
/// Longest request line on the control socket, in bytes.
pub const CONTROL_LINE: usize = 256 * 1024;
/// Largest message on ubus without its head, in bytes: `UBUS_MAX_MSGLEN`, above which ubusd closes the connection.
pub const UBUS_MESSAGE: usize = 1024 * 1024;
/// Bytes of one answer on ubus; the rest is cut. ubusd silently drops what does not fit into the 1 MiB that it queues for
/// a client, the answer's head and end included.
pub const UBUS_ANSWER: usize = 960 * 1024;
/// Bytes waiting for ubusd above which no more questions are taken from it, and no events are sent.
pub const UBUS_BACKLOG: usize = 256 * 1024;
/// Questions from ubus that wait for their answers.
pub const UBUS_QUESTIONS: usize = 1024;
/// Calls of other objects' methods that wait for their answers.
pub const UBUS_CALLS: usize = 64;
/// Time in which a call must be answered; `ubus` itself waits 30 s, which is too long for an event.
pub const UBUS_CALL_TIME: Duration = Duration::from_secs(10);
/// Time in which ubusd itself must respond: it only passes messages on.
pub const UBUS_ANSWER_TIME: Duration = Duration::from_secs(10);
/// Interval at which the object's name is requested again while another program has it.
pub const UBUS_NAME_AGAIN: Duration = Duration::from_secs(10);
/// First wait before connecting to ubusd again; doubled each time.
pub const UBUS_RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest wait before connecting to ubusd again.
pub const UBUS_RETRY_MAX: Duration = Duration::from_secs(30);
/// Paths listed in one reply; more are counted.
pub const REPLY_PATHS: usize = 1000;
/// Largest content that is compared line by line, in bytes: larger than any file that users read.
pub const DIFF_FILE: u64 = 256 * 1024;
/// Longest diff, in bytes: an answer must fit into a message of ubus.
pub const DIFF_TEXT: usize = 512 * 1024;
/// Steps for which the shortest diff is searched, about 10 ms: what is left then counts as replaced as a whole.
pub const DIFF_WORK: usize = 2_000_000;
/// Pending paths that are named to the peer that offered them.
pub const OWED_TOLD: usize = 32;
/// Bytes of a Hello that the patterns of filters take at most: those of shares beyond that are not sent.
pub const PATTERNS_TOLD: usize = 16 * 1024;
/// Nodes behind a peer that an Around message names.
pub const AROUND_TOLD: usize = 16;
/// How often an Around message is passed on: chains of routers are not longer.
pub const AROUND_HOPS: u8 = 4;
/// How long a peer is out of sync before others are notified, where this may resolve automatically: a change takes less.
pub const AROUND_AFTER: Duration = Duration::from_secs(3);
/// Shortest time between two Around messages to a peer: they are for users, and must not keep a network busy whose nodes
/// connect and disconnect.
pub const AROUND_EVERY: Duration = Duration::from_secs(1);
/// Changes of this node, per share, for which it reports when they reached the peers.
pub const DELIVERIES: usize = 16;
/// Paths of such a change that are named.
pub const SENT_PATHS: usize = 4;
/// Such changes, per share, that `owsync log` still lists.
pub const SENT_KEPT: usize = 50;
/// Interval at which the paths that a peer's filter leaves out are counted while files change: each count reads the index.
pub const LEFT_OUT_EVERY: Duration = Duration::from_secs(5);
/// Paths of a share up to which what is left out by choice is counted whenever it may have changed: matching so many
/// against a filter's patterns takes about a millisecond. Above it, [`LEFT_OUT_EVERY`].
pub const LEFT_OUT_AT_ONCE: usize = 2_000;
/// Longest reason of a pause, in bytes.
pub const PAUSE_REASON: usize = 200;
/// Longest pause with an end: ten years.
pub const PAUSE_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Consecutive runs of the `before-send` hook while more files keep changing.
pub const SEND_CALLS: u32 = 3;
/// Hooks that run at a time: fewer than commands may run at all, so that reloads never wait for them.
pub const HOOKS_AT_ONCE: usize = 4;
/// Events that wait for a hook to end: it gets the newest, and the number of dropped ones.
pub const HOOKS_WAITING: usize = 64;
/// Longest time that a hook may take.
pub const HOOK_TIME_MAX: Duration = Duration::from_secs(3600);
/// Shortest time between two checks of the metrics file: scrapes are this far apart, or further.
pub const METRICS_EVERY: Duration = Duration::from_secs(15);
/// Reasons why this node is not in sync that status lists.
pub const GAPS_LISTED: usize = 64;
/// Recent events kept for status.
pub const EVENTS_KEPT: usize = 64;

/// Largest file with a key, a token or the like that is read, in bytes.
pub const KEY_FILE_MAX: u64 = 4096;
/// Largest config file or file of a time zone that is read, in bytes.
pub const CONF_FILE_MAX: u64 = 1024 * 1024;
/// Largest UCI package, or file of changes to one, that is read, in bytes.
pub const UCI_FILE_MAX: u64 = LOOK_AGAIN;
/// Uncommitted changes of a package, times its options and them: what is compared when they are applied.
///
/// 4,000 changes of a package with 10,000 options are below it, and take a slow router a few seconds.
pub const DELTA_WORK: usize = 1 << 26;
/// Packages of one directory that are checked for uncommitted changes.
pub const UCI_PENDING_MAX: usize = 256;
/// Sections of a package above which it is not merged.
pub const MERGE_SECTIONS: usize = 4096;
/// Unnamed sections of a type, not recognised otherwise, above which a merge does not search for similar ones: each is
/// compared with each.
pub const MERGE_CANDIDATES: usize = 64;
/// Largest UCI package that is compared by option, in bytes: the same bound as for merging, because the work can grow with
/// the square of the size.
pub const OPTIONS_FILE: u64 = 64 * 1024;
/// Largest file that `merge-file` reads, in bytes.
pub const MERGE_FILE_MAX: u64 = 1024 * 1024;
/// Longest pattern of a local option, in bytes.
pub const LOCAL_PATTERN: usize = 128;
/// Patterns of local options in a share.
pub const LOCAL_PATTERNS: usize = 64;
