//! A commit during which a machine dies or loses its connections, at each of its steps in turn.
//!
//! What must hold afterwards: all files are equal, and either all are as they were or all are as committed; what the user read
//! is true. `OWSYNC_SIM_CASE` runs one case with its trace.

use std::time::Duration;

use owsync::node::DeltaChange;

use super::{INPUT, MTU, NETWORK, assert_nothing_is_left, begin, commit, files, routers, text_of};
use crate::chaos::number;
use crate::disk::Fault;
use crate::world::World;

#[derive(Debug, Clone, Copy)]
enum What {
    Kill,
    LosePower,
    Cut,
    Stop,
}

/// Cases that CI runs: every so many-th.
const STRIDE: u64 = 7;

/// How many steps of the world a commit takes at most.
const STEPS: u64 = 1_200;

/// All machines have the change, or none has; which of these.
fn check(world: &mut World) -> bool {
    world.settle();
    let texts = files(world, "network");
    let kept = texts[0].contains("1400");
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    assert!(kept || texts[0] == NETWORK, "{texts:?}");
    assert!(files(world, "firewall").iter().all(|text| text.contains(if kept { "ACCEPT" } else { "REJECT" })));
    assert_nothing_is_left(world);
    world.assert_equal();
    kept
}

fn case(nodes: usize, victim: usize, what: What, after: u64, trace: bool) -> Option<bool> {
    let mut world = routers(50 + after, nodes);
    world.trace = trace;
    let number = begin(&mut world, 0, commit(&[MTU, INPUT]));
    let until = world.now_ms + 20_000;
    for _ in 0..after {
        if world.machines[0].replies.contains_key(&number) || !world.step(until) {
            return None;
        }
    }
    match what {
        What::Kill => world.kill(victim),
        What::LosePower => world.lose_power(victim),
        What::Stop => world.stop(victim),
        What::Cut => world.reset_links(victim),
    }
    if !matches!(what, What::Cut) {
        world.run(Duration::from_secs(3));
        world.start(victim);
    }
    world.run(Duration::from_secs(200));
    let kept = check(&mut world);
    // The answer of a coordinator that died is lost.
    if let Some(reply) = world.machines[0].replies.get(&number) {
        let (said, text) = text_of(reply);
        assert_eq!(said, kept, "{text}");
        let last = world.machines[0].deltas.last().map(|(change, _)| *change);
        let wanted = if kept { last == Some(DeltaChange::Remove) } else { last != Some(DeltaChange::Remove) };
        assert!(wanted, "{last:?}: {text}");
    }
    Some(kept)
}

#[test]
fn a_crash_at_any_step_leaves_all_routers_with_the_change_or_none() {
    let only = number("OWSYNC_SIM_CASE");
    let stride = number("OWSYNC_SWEEP_STRIDE").unwrap_or(STRIDE);
    let mut outcomes = [0_u64; 2];
    for nodes in [2, 3] {
        for victim in 0..nodes {
            for (kind, what) in [What::Kill, What::LosePower, What::Cut, What::Stop].into_iter().enumerate() {
                let mut after = (victim as u64 * 4 + kind as u64) % stride;
                while after < STEPS {
                    let name = ((nodes * 10 + victim) * 10 + kind) as u64 * 10_000 + after;
                    if only.is_none_or(|only| only == name) {
                        let run = || case(nodes, victim, what, after, only.is_some());
                        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
                        match result.unwrap_or_else(|_| panic!("OWSYNC_SIM_CASE={name}: {what:?} of m{victim}")) {
                            Some(kept) => outcomes[usize::from(kept)] += 1,
                            None => break,
                        }
                    }
                    after += stride;
                }
            }
        }
    }
    println!("kept {}, rolled back {}", outcomes[1], outcomes[0]);
    assert!(only.is_some() || outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

/// Operations of a machine's disk during a commit, at most.
const OPERATIONS: u64 = 150;

/// A fault at an operation of a machine's disk; whether it came to that.
fn disk_case(victim: usize, fault: Fault, after: u64, trace: bool) -> bool {
    let mut world = routers(90 + after, 3);
    world.trace = trace;
    let number = begin(&mut world, 0, commit(&[MTU, INPUT]));
    let at = {
        let mut disk = world.machines[victim].disk.0.borrow_mut();
        let at = disk.operations + after;
        disk.faults.insert(at, fault);
        at
    };
    let until = world.now_ms + 200_000;
    while world.now_ms < until {
        world.run_ms(100);
        if world.machines[victim].node.is_none() {
            world.run(Duration::from_secs(3));
            world.start(victim);
        }
    }
    let happened = world.machines[victim].disk.0.borrow().operations > at;
    world.machines[victim].disk.0.borrow_mut().faults.clear();
    let kept = check(&mut world);
    if let Some(reply) = world.machines[0].replies.get(&number) {
        let (said, text) = text_of(reply);
        assert_eq!(said, kept, "{text}");
    }
    happened
}

#[test]
fn a_disk_that_fails_at_any_operation_leaves_all_routers_with_the_change_or_none() {
    let only = number("OWSYNC_SIM_CASE");
    let stride = number("OWSYNC_SWEEP_STRIDE").unwrap_or(3);
    let faults = [Fault::Crash, Fault::Kill, Fault::Errno(libc::EIO), Fault::Errno(libc::ENOSPC)];
    let mut happened = 0;
    for victim in 0..3 {
        for (kind, fault) in faults.into_iter().enumerate() {
            let mut after = (victim as u64 * 4 + kind as u64) % stride;
            while after < OPERATIONS {
                let name = (victim * 10 + kind) as u64 * 10_000 + after;
                if only.is_none_or(|only| only == name) {
                    let run = || disk_case(victim, fault, after, only.is_some());
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
                    match result.unwrap_or_else(|_| panic!("OWSYNC_SIM_CASE={name}: {fault:?} of m{victim}")) {
                        true => happened += 1,
                        false => break,
                    }
                }
                after += stride;
            }
        }
    }
    println!("{happened} faults");
    assert!(only.is_some() || happened * stride > 150, "{happened}");
}
