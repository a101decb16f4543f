//! ubus: the bytes against recorded ones, the connection against hand-written and broken ones, and the daemon against a
//! broker and a command line that know nothing of it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

// Real nodes are those of the end-to-end tests.
#[path = "../e2e/cluster.rs"]
#[allow(dead_code)]
mod cluster;
#[path = "../e2e/control.rs"]
#[allow(dead_code)]
mod control;
#[path = "../e2e/files.rs"]
#[allow(dead_code)]
mod files;
#[path = "../e2e/node.rs"]
#[allow(dead_code)]
mod node;
#[path = "../e2e/ports.rs"]
#[allow(dead_code)]
mod ports;
#[path = "../e2e/scratch.rs"]
#[allow(dead_code)]
mod scratch;
#[path = "../e2e/skip.rs"]
#[allow(dead_code)]
mod skip;
#[path = "../e2e/space.rs"]
#[allow(dead_code)]
mod space;
#[path = "../e2e/wait.rs"]
#[allow(dead_code)]
mod wait;

mod broken;
mod bus;
mod client;
mod connection;
mod daemon;
mod faults;
mod golden;
// Who joins shows a key.
#[cfg(feature = "encryption")]
mod joining;
mod luci;
mod procd;
mod refusing;
mod router;
mod socket;
mod stand_in;
mod story;
mod ubusd;
mod uncommitted;
