//! The real disk keeps what [`owsync::fs::Root`] promises, and the simulated one behaves as the kernel does.
//!
//! A claim is a function over a [`machine::Machine`]: what owsync opens, and a user beside it. [`claims!`] makes of each
//! two tests, one on the simulated disk and one on a real one; so what random histories prove of the first holds for the
//! second. `elsewhere` runs all real ones again on a tmpfs, on an overlay of two filesystems with everything that a claim
//! is given in its lower layer, and as on a kernel that knows neither openat2 nor RENAME_EXCHANGE.
//!
//! `ground` is the real machine, `alone` gives a test a process, mounts or a user of its own, `meddled` lets somebody act
//! between two of owsync's operations. Everything else is claims, a module for each part of the promise.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

#[macro_use]
mod machine;

mod alone;
mod ground;
mod meddled;

#[allow(dead_code)]
#[path = "../e2e/skip.rs"]
mod skip;

#[allow(dead_code)]
#[path = "../sim/dice.rs"]
mod dice;
#[allow(dead_code)]
#[path = "../sim/disk/mod.rs"]
mod simdisk;

mod attributes;
mod content;
mod elsewhere;
mod full;
mod inside;
mod landing;
mod looker;
mod names;
mod pruning;
mod replacing;
mod scanning;
mod stores;

use dice::Dice;
use owsync::model::RelPath;

/// A path, from text that is one.
#[track_caller]
pub fn p(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}
