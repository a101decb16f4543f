//! Writes what came of each history, so that two versions of owsync can be compared.
//!
//! `OWSYNC_SIM_DIGESTS=FILE` makes a line per seed: the digest of the outcome (files, indexes and histories of every
//! machine, and the number of messages), the number of messages, and the digest of everything that happened on the way. A
//! change that claims to change no behaviour leaves the file as it was. Renamed texts may change the last column, because
//! it counts bytes.

use std::fmt::Write;
use std::hash::{Hash, Hasher};

use owsync::model::{Digest, Hasher as Sha256};

use crate::world::World;

/// What came of a history.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    digest: Digest,
    messages: u64,
    trace: u64,
}

/// Feeds what is hashed into a digest that does not differ between versions of Rust.
struct Feed(Sha256);

impl Hasher for Feed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the digest is read, not the hash")
    }
}

impl Outcome {
    pub fn of(world: &World) -> Outcome {
        let mut feed = Feed(Sha256::new());
        for (id, machine) in world.machines.iter().enumerate() {
            let user = world.user(id);
            for path in user.paths() {
                (&path, user.mode(&path), user.read(&path)).hash(&mut feed);
            }
            for (path, content, why) in world.history(id) {
                (path, content, why).hash(&mut feed);
            }
            let shares = machine.node.iter().flat_map(|node| node.state().shares.iter());
            for (name, state) in shares {
                name.to_string().hash(&mut feed);
                for (path, record) in state.index.iter() {
                    let entry = &record.entry;
                    (path, entry.kind, entry.digest, entry.size, entry.mtime, entry.mode).hash(&mut feed);
                    (entry.version.pairs(), entry.stamp.rank, entry.stamp.ms).hash(&mut feed);
                    (record.seq, record.batch, record.recorded).hash(&mut feed);
                }
            }
        }
        world.messages.hash(&mut feed);
        Outcome { digest: feed.0.finish(), messages: world.messages, trace: world.digest }
    }
}

/// Writes a line per seed where the environment asks for it.
#[allow(clippy::disallowed_methods)]
pub fn write(outcomes: &[(u64, Option<Outcome>)]) {
    let Ok(file) = std::env::var("OWSYNC_SIM_DIGESTS") else { return };
    let mut text = String::new();
    for (seed, outcome) in outcomes {
        match outcome {
            Some(Outcome { digest, messages, trace }) => writeln!(text, "{seed} {digest} {messages} {trace:016x}"),
            None => writeln!(text, "{seed} failed"),
        }
        .expect("a string takes every line");
    }
    std::fs::write(&file, text).unwrap_or_else(|error| panic!("{file}: {error}"));
}
