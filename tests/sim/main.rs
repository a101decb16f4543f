//! The whole program except sockets, clocks and the real disk: many nodes in one thread, on virtual time, from a seed.
//!
//! `world` is the machinery, `disk` the disks; `chaos` runs random histories and checks what must hold when it is quiet;
//! `scenarios` are the stories behind single promises and faults; `sweep` crashes and fails a fixed story at every
//! operation. A failure prints its seed: `tests/run sim --seed N` runs it again with its trace.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod addresses;
mod chaos;
mod checks;
mod commands;
mod committing;
mod dice;
// The target `disk` uses what nothing here does.
#[allow(dead_code)]
mod disk;
mod guards;
mod holds;
mod local;
mod manual;
mod merging;
#[cfg(feature = "encryption")]
mod mesh;
mod metrics;
mod names;
mod paused;
mod previews;
mod reload;
mod scenarios;
mod status;
mod sweep;
mod trials;
mod uncommitted;
mod undoing;
mod withheld;
mod world;

use dice::Dice;
