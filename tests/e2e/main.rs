//! The real binary, end to end: on loopback, and in namespaces of its own.
//!
//! `cluster` and `node` are the machinery: real processes with directories, ports and control sockets of their own;
//! `space` gives a test its own mounts or network; `wait` is the only way to wait; `skip` says what could not be run here
//! and why. Everything else is tests, a module for each part of docs/faults.md; a test's number stands in front of its claim.
//!
//! A test that needs the disk, the network or the time of others to be quiet does not exist here: each waits for what it
//! claims, up to a deadline that only a broken build reaches.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod cluster;
mod control;
mod files;
mod node;
mod ports;
mod proxy;
mod scratch;
mod skip;
mod space;
mod stranger;
mod wait;
mod words;

mod basics;
mod budgets;
mod committing;
mod disks;
mod dropin;
mod dropin_daemon;
mod edits;
mod hooks;
mod hostile;
mod local;
#[cfg(feature = "encryption")]
mod mesh;
mod metrics;
mod network;
mod pasts;
mod people;
mod programs;
mod races;
mod signals;
mod strangers;
mod troubles;
mod uncommitted;
