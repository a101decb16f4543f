//! Every fuzz target, for libFuzzer: `OWSYNC_FUZZ` names the one to run.

#![no_main]
#![allow(missing_docs, dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used)]

use std::sync::LazyLock;

#[path = "../../sim/dice.rs"]
mod dice;
#[path = "../../sim/disk/mod.rs"]
mod disk;
#[path = "../mod.rs"]
mod fuzz;
#[path = "../../sim/world/mod.rs"]
mod world;

use dice::Dice;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("OWSYNC_FUZZ").expect("OWSYNC_FUZZ names a target");
    fuzz::target(&name).expect("a target of this name")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    TARGET(data);
});
