//! Every fuzz target on its corpus, and on some thousand mutations of it: the same ones every time.
//!
//! What the files in tests/fuzz/corpus once taught stays tested; tests/fuzz/libfuzzer looks for more. `OWSYNC_FUZZ_RUNS`
//! is how many mutations of each target are tried, `OWSYNC_FUZZ_FROM` the first of them, `OWSYNC_FUZZ_SEEDS=write` writes
//! the seeds to the corpus.

#![allow(missing_docs, dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::ops::Range;
use std::path::{Path, PathBuf};

#[path = "sim/dice.rs"]
mod dice;
#[path = "sim/disk/mod.rs"]
mod disk;
#[path = "fuzz/mod.rs"]
mod fuzz;
#[path = "fuzz/later.rs"]
mod later;
#[path = "fuzz/recorded.rs"]
mod recorded;
#[path = "fuzz/seeds.rs"]
mod seeds;
#[path = "sim/world/mod.rs"]
mod world;

use dice::Dice;

/// Mutations of a target's corpus, unless the environment says otherwise.
const RUNS: u64 = 10_000;

/// Fewer for what starts nodes, or writes to a disk.
const SLOW: [(&str, u64); 5] =
    [("node", 400), ("document", 1_500), ("journal", 1_500), ("history", 1_500), ("handshake", 1_500)];

/// Longest input, in bytes: more than a record holds.
const LONGEST: usize = 70_000;

/// What one input may cost, in nanoseconds of this thread: a hundred times what the dearest seed does.
const COST_NS: u64 = 2_000_000_000;

/// What all of them together may cost, in kB: resident, and address space, where a length that was believed shows.
const MEMORY_KB: [(&str, u64); 2] = [("VmHWM:", 400_000), ("VmPeak:", 6_000_000)];

/// What parsers have their edges at.
const EDGES: [&[u8]; 22] = [
    b"\0",
    b"\xff",
    b"\xff\xff",
    b"\0\0\0\0",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\0\0\0\0\0\0\0",
    // CBOR: 2^64 - 1 as a number, as the length of bytes and of a list; a list without end.
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x9f",
    b"18446744073709551615",
    b"9223372036854775807",
    b"-1",
    b"null",
    b"\"",
    b"..",
    b"/",
    b"\n",
    b"'",
    b"\\",
    b"=",
];

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name)
}

/// The files of the corpus, and what is written today.
fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let fresh = seeds::of(name);
    if std::env::var_os("OWSYNC_FUZZ_SEEDS").is_some_and(|value| value == "write") {
        std::fs::create_dir_all(corpus(name)).unwrap();
        fresh.iter().for_each(|(file, bytes)| std::fs::write(corpus(name).join(file), bytes).unwrap());
    }
    let entries = std::fs::read_dir(corpus(name)).expect("a corpus");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut all: Vec<_> = files.iter().map(|path| (named(path), std::fs::read(path).unwrap())).collect();
    for (file, bytes) in fresh {
        if all.iter().all(|(_, known)| *known != bytes) {
            all.push((format!("today's {file}"), bytes));
        }
    }
    all
}

/// The run of bytes of one sort around `at`, or of those that are not.
fn around(bytes: &[u8], at: usize, inside: impl Fn(u8) -> bool) -> Range<usize> {
    let end = bytes[at..].iter().position(|&b| !inside(b)).map_or(bytes.len(), |length| at + length);
    let start = bytes[..at].iter().rposition(|&b| !inside(b)).map_or(0, |last| last + 1);
    start..end
}

fn word(bytes: &[u8], at: usize) -> Range<usize> {
    around(bytes, at, |b| b.is_ascii_alphanumeric() || b == b'_')
}

fn line(bytes: &[u8], at: usize) -> Range<usize> {
    around(bytes, at, |b| b != b'\n')
}

/// A seed with a few changes, most often one.
fn mutate(seeds: &[(String, Vec<u8>)], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.pick(seeds).1.clone();
    for _ in 0..1 + dice.below(8).saturating_sub(4) {
        let at = dice.below(bytes.len() as u64 + 1) as usize;
        let count = 1 + dice.below(8) as usize;
        match dice.below(13) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.next() as u8,
            2 => drop(bytes.drain(at..(at + count).min(bytes.len()))),
            3 => drop(bytes.splice(at..at, (0..count).map(|_| dice.next() as u8).collect::<Vec<_>>())),
            4 => drop(bytes.splice(at..at, dice.pick(&EDGES).iter().copied())),
            // In place of as many bytes, of a word, of a line.
            5 => {
                let edge = dice.pick(&EDGES);
                drop(bytes.splice(at..(at + edge.len()).min(bytes.len()), edge.iter().copied()));
            }
            8 => drop(bytes.splice(word(&bytes, at), dice.pick(&EDGES).iter().copied())),
            9 | 10 => {
                let part = if dice.chance(50) { word } else { line };
                let other = &dice.pick(seeds).1;
                let from = part(other, dice.below(other.len() as u64 + 1) as usize);
                drop(bytes.splice(part(&bytes, at), other[from].iter().copied()));
            }
            11 => drop(bytes.drain(line(&bytes, at))),
            6 => {
                let from = dice.below(bytes.len() as u64 + 1) as usize;
                let piece = bytes[from..(from + 8 * count).min(bytes.len())].to_vec();
                // Now and then very often.
                let times = if dice.chance(2) { 1 << dice.below(13) } else { 1 };
                drop(bytes.splice(at..at, piece.repeat(times)));
            }
            7 => {
                let other = &dice.pick(seeds).1;
                let from = dice.below(other.len() as u64 + 1) as usize;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// Time that this thread had a processor, in nanoseconds; 0 where the kernel does not count it.
fn cost_ns() -> u64 {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    counts.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Runs a target; a failure shows the bytes.
fn run(name: &str, what: &str, bytes: &[u8]) -> bool {
    let target = fuzz::target(name).expect("a target");
    let begin = cost_ns();
    let outcome = std::panic::catch_unwind(|| target(bytes));
    let cost = cost_ns() - begin;
    if outcome.is_err() || cost > COST_NS {
        println!("{name}, {what}, {} ms: {:?}", cost / 1_000_000, String::from_utf8_lossy(bytes));
        println!("{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    assert!(cost <= COST_NS, "{name}, {what}: {} bytes took {} ms", bytes.len(), cost / 1_000_000);
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn replay(name: &str) {
    let seeds = seeds(name);
    for (file, bytes) in &seeds {
        let understood = run(name, file, bytes);
        let file = file.strip_prefix("today's ").unwrap_or(file);
        // What was found is only to come back.
        if !file.starts_with("found-") {
            assert_eq!(understood, !file.starts_with("not-"), "{name}, {file}");
        }
    }
    let runs = SLOW.iter().find(|(slow, _)| *slow == name).map_or(RUNS, |(_, runs)| *runs);
    let runs = number("OWSYNC_FUZZ_RUNS", runs);
    let from = number("OWSYNC_FUZZ_FROM", 0);
    let understood = (from..from + runs)
        .filter(|count| run(name, &format!("mutation {count}"), &mutate(&seeds, &mut Dice::new(*count))))
        .count() as u64;
    // Mutations that are all refused, or never, would test one half of the target.
    println!("{name}: {understood} of {runs} understood");
    assert!(runs < 100 || (runs / 100..=runs - runs / 100).contains(&understood), "{understood} of {runs}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for (field, most) in MEMORY_KB {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect(field);
        let kb: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kb <= most, "{field} {kb} kB after {name}, or what ran beside it");
    }
}

macro_rules! replayed {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        $($(#[$attribute])* #[test] fn $name() { replay(stringify!($name)); })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$($(#[$attribute])* stringify!($name)),*];
            assert_eq!(fuzz::TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), replayed);
        }
    };
}

replayed!(
    blobmsg,
    conf,
    control,
    document,
    escape,
    filter,
    form,
    frame,
    #[cfg(feature = "encryption")]
    handshake,
    history,
    join,
    journal,
    merge,
    message,
    node,
    path,
    #[cfg(feature = "encryption")]
    session,
    ubus,
    uci,
    uci_delta,
    zone,
);
