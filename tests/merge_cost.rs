//! What a merge of a large package costs: time in parses of one text, and memory.
//!
//! A test target of its own, for the memory of the process is measured.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use owsync::uci::merge::merge;
use owsync::uci::{PackageName, parse};

/// The largest package that is merged.
const SIZE: usize = 64 * 1024;

/// Parses of one text that a merge may take; the median of what was measured is in docs/benchmarks.md.
const PARSES: u128 = 25;

/// Memory that a merge may take at a time, in KiB.
const MEMORY_KIB: u64 = 3072;

/// A package of nearly 64 KiB as a large site has it: hosts with names, and rules that only their options tell apart.
fn package() -> String {
    let mut text = String::new();
    for n in 0.. {
        let mut section = String::new();
        if n % 2 == 0 {
            let _ = write!(
                section,
                "\nconfig host\n\toption name 'pc{n}'\n\toption mac '00:11:22:33:44:55'\n\toption ip '192.168.1.{n}'\n"
            );
        } else {
            let _ = write!(
                section,
                "\nconfig rule\n\toption src 'wan'\n\toption dest_port '{n}'\n\tlist proto 'tcp'\n\tlist proto 'udp'\n"
            );
        }
        if text.len() + section.len() + 200 > SIZE {
            return text;
        }
        text.push_str(&section);
    }
    unreachable!("it ends when it is large enough")
}

/// The least time of some runs, in nanoseconds: what else the machine does only adds to it.
fn least(what: impl Fn()) -> u128 {
    let once = || {
        let begin = Instant::now();
        what();
        begin.elapsed().as_nanos()
    };
    (0..40).map(|_| once()).min().unwrap()
}

fn status_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_merge_of_64_kib_is_bounded_in_time_and_memory() {
    let name = PackageName::parse(b"p").unwrap();
    let base = package();
    // Given changes of both sides all over the package: a tenth of its values on each, and sections at its end.
    let winner = format!("{}\nconfig host\n\toption name 'new1'\n", base.replace("192.168.1.1", "10.0.0.1"));
    let loser =
        format!("{}\nconfig host\n\toption name 'new2'\n", base.replace("option dest_port '1", "option dest_port '7"));
    let texts = [base.as_bytes(), winner.as_bytes(), loser.as_bytes()];
    assert!(texts.iter().all(|text| text.len() > SIZE - 1000 && text.len() <= SIZE), "{:?}", texts.map(<[u8]>::len));
    let merged = || merge(&name, texts[0], texts[1], texts[2]).expect("both changes can be taken");

    // Before any other merge, whose memory the allocator would give to this one. The file resets the peak of the process
    // (Documentation/filesystems/proc.rst of Linux, clear_refs).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status_kib("VmHWM:");
    let outcome = black_box(merged());
    let memory = status_kib("VmHWM:") - before;
    assert!(outcome.lost.is_empty(), "{:?}", outcome.lost);
    let parsed = least(|| drop(black_box(parse(&name, texts[0]).unwrap())));
    let time = least(|| drop(black_box(merged())));

    println!(
        "{} KiB: {:.1} parses of {} us, {memory} KiB more",
        base.len() / 1024,
        time as f64 / parsed as f64,
        parsed / 1000
    );
    assert!(time <= parsed * PARSES, "{time} ns, and a parse takes {parsed}");
    assert!(memory <= MEMORY_KIB, "{memory} KiB");
}
