//! owsync keeps directories in sync on several machines, first of all the configuration of OpenWrt routers.
//!
//! One idea carries the design: decide in pure code, act at the edge. The program except sockets, clocks and the real
//! disk is a value, [`node::Node`], of which a test runs ten in one thread, on virtual time, from a seed.
//! `docs/architecture.md` has a drawing, and the decisions with their reasons.
//!
//! # Layers
//! Imports go downwards only; `tests/layers.rs` checks it.
//!
//! | layer | modules | |
//! | --- | --- | --- |
//! | L4 | [`cli`], [`daemon`], [`config`] | arguments, the poll loop, sockets, signals, clock, configuration |
//! | | [`ops`] | the table of everything that a running owsync can be asked for |
//! | L3 | [`node`] | the program without its edges: peers, shares, transfers, commands |
//! | L2 | [`fs`], [`store`] | the disk behind a trait; scan, stage, apply; state and history |
//! | L1 | [`reconcile`], [`commit`], [`proto`], [`uci`] | decisions; the wire protocol; UCI text. They do not know each other |
//! | L0 | [`model`] | values: paths, digests, times, versions, entries, settings, limits |
//!
//! # Reading order
//! [`model`] for the words. [`reconcile`] for the one decision that everything serves. `docs/protocol.md` and [`proto`]
//! for the wire. [`fs`] and [`store`] for what is promised about the disk. [`node`] ties them together; its
//! text names the path of a change. [`daemon`] is the loop around it, [`config`] and [`cli`] are the user's side.
//!
//! # Invariants
//! - Whatever a user wrote is current on a node, or was replaced by a user who had seen it, or is in a history.
//! - Nothing is reported to a peer before the state that it refers to is on disk.
//! - No name from a peer, a disk or a user becomes a path except through [`model::RelPath::parse`], and no path is
//!   resolved outside its share.
//! - L0, L1 and L3 contain no clock, randomness, socket, file, thread or order that depends on a hash.
//! - Everything received is bounded before it is kept: [`model::limits`] has every bound, with its reason.
//! - Commands that owsync runs come from this machine's configuration only.
//!
//! # Words
//! *node*: a machine running owsync. *peer*: another node. *share*: a named directory tree that is synced. *entry*: what is
//! known of one path. *tombstone*: the entry of a deleted path. *version*: a version vector per entry. *stamp*: when an
//! entry was written, growing along every causal chain. *session*: a connection between two nodes. *batch*: the changes of
//! one settle period of one author, applied together. *transaction*: a batch while it is applied. *history*: stored
//! previous versions. *established*: took part in a cluster before; the opposite is *new*. *hold*: owsync waits for the
//! user. *received*, *applied*: up to where a peer's changes are known here, and in place. *pending*: received and not
//! applied yet, with a reason; retried automatically. *unconfirmed*: applied, and rolled back unless it is confirmed.

pub mod cli;
pub mod commit;
pub mod config;
pub mod daemon;
pub mod fs;
pub mod model;
pub mod node;
pub mod ops;
pub mod proto;
pub mod reconcile;
pub mod store;
pub mod uci;
