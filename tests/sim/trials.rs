//! Changes that cut a machine off take themselves back.
//!
//! In these worlds the file `network` is the network's configuration: a machine on which it says `cut` is off the network.

use std::time::Duration;

use owsync::fs::Found;
use owsync::node::api::{Command, Reply};

use super::disk;
use super::world::{World, path};

/// Seconds that a change has to be confirmed.
const CONFIRM: u32 = 60;

/// Two machines that must confirm what they land, with a `network` that works and a `dhcp`.
fn careful(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    world.write(0, "network", "works");
    world.write(0, "dhcp", "one");
    world.settle();
    for id in [0, 1] {
        world.share_settings(id).confirm = Some(CONFIRM);
        world.reload(id);
    }
    world.settle();
    world
}

fn both(world: &World, network: &str) -> bool {
    (0..2).all(|id| world.read(id, "network").as_deref() == Some(network))
}

fn until(world: &mut World, what: &str, seconds: u64, done: impl FnMut(&mut World) -> bool) {
    assert!(world.run_until(Duration::from_secs(seconds), done), "not within {seconds} s: {what}");
}

/// Time, mode and size of the second machine's `network`.
fn stat(world: &World) -> (i64, u32, u64) {
    match world.user(1).stat(&path("network")) {
        Some(Found::Synced(stat)) => (stat.mtime().0, stat.mode, stat.size),
        other => panic!("{other:?}"),
    }
}

fn lands(world: &mut World, network: &str) {
    world.write(0, "network", network);
    until(world, "it lands", 5, |world| world.read(1, "network").as_deref() == Some(network));
}

#[test]
fn what_cuts_a_machine_off_goes_back_in_time_on_both() {
    let mut world = careful(100);
    let before = stat(&world);
    lands(&mut world, "cut");

    until(&mut world, "it is taken back", u64::from(CONFIRM) + 5, |world| {
        world.read(1, "network").as_deref() == Some("works")
    });
    assert_eq!(stat(&world), before, "byte for byte, with its time and mode");
    until(&mut world, "its author takes that", 70, |world| both(world, "works"));

    world.settle();
    assert!(world.log_has(1, "is rolled back: m0 did not respond within 60 s"), "{:?}", world.machines[1].log);
    assert!(world.log_has(0, "network was rolled back by m1"));
    assert!((0..2).all(|id| !world.log_has(id, "conflict")), "nobody disagreed");
    for id in [0, 1] {
        assert!(world.history_holds(id, "cut"), "m{id}: the bad one can be looked at");
    }
    world.assert_equal();
}

#[test]
fn what_works_stays_and_other_changes_wait_only_until_that_is_known() {
    let mut world = careful(101);
    lands(&mut world, "works better");
    world.write(0, "dhcp", "two");
    world.run_ms(2_000);
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("one"), "nothing else lands on trial");

    until(&mut world, "the next lands", 15, |world| world.read(1, "dhcp").as_deref() == Some("two"));
    world.run(Duration::from_secs(2 * u64::from(CONFIRM)));
    world.settle();
    assert!(both(&world, "works better"));
    assert!(world.log_has(1, "is confirmed: m0 responded"));
    world.assert_equal();
}

#[test]
fn an_answer_to_what_was_asked_before_services_went_down_confirms_nothing() {
    let mut world = careful(102);
    world.write(0, "network", "cut later");
    let went =
        world.run_until(Duration::from_secs(5), |world| world.read(1, "network").as_deref() == Some("cut later"));
    assert!(went);
    // The interface goes down a while after its service was told.
    world.set_cut(0, 1, false);
    world.run_ms(5_000);
    world.set_cut(0, 1, true);
    until(&mut world, "it is taken back", u64::from(CONFIRM) + 5, |world| {
        world.read(1, "network").as_deref() == Some("works")
    });
}

#[test]
fn the_authors_correction_wins_over_what_was_taken_back() {
    let mut world = careful(103);
    lands(&mut world, "cut");
    world.run_ms(3_000);
    world.write(0, "network", "works, corrected");
    until(&mut world, "the correction is everywhere", 200, |world| both(world, "works, corrected"));
    world.settle();
    world.assert_equal();
}

#[test]
fn a_crash_or_a_power_cut_within_the_time_takes_it_back_too() {
    for power in [false, true] {
        let mut world = careful(104);
        lands(&mut world, "cut");
        world.run_ms(3_000);
        if power {
            world.lose_power(1);
        } else {
            world.kill(1);
        }
        world.start(1);
        until(&mut world, "it is taken back at once", 5, |world| world.read(1, "network").as_deref() == Some("works"));
        until(&mut world, "its author takes that", 70, |world| both(world, "works"));
        world.settle();
        world.assert_equal();
    }
}

#[test]
fn a_person_confirms_or_takes_back() {
    let mut world = careful(105);
    lands(&mut world, "cut");
    world.run_ms(1_000);
    assert_eq!(world.done(1, Command::Confirm { share: None }).get("confirmed"), Some(&1u64.into()));
    world.run(Duration::from_secs(2 * u64::from(CONFIRM)));
    assert_eq!(world.read(1, "network").as_deref(), Some("cut"));
    for command in [Command::Confirm { share: None }, Command::Rollback { share: None }] {
        assert!(matches!(world.command(1, command), Reply::Failed { .. }), "nothing is on trial any more");
    }

    let mut world = careful(106);
    lands(&mut world, "cut");
    world.run_ms(1_000);
    world.done(1, Command::Rollback { share: None });
    assert_eq!(world.read(1, "network").as_deref(), Some("works"));
    world.settle();
    assert!(both(&world, "works"));
}

#[test]
fn an_edit_made_here_meanwhile_is_not_taken_back() {
    let mut world = careful(107);
    lands(&mut world, "cut");
    world.run_ms(3_000);
    world.write(1, "network", "works, by hand");
    world.put_in_force(1);
    world.settle();
    assert!(both(&world, "works, by hand"));
    world.assert_equal();
}

#[test]
fn a_fault_at_any_operation_of_a_trial_ends_with_the_former_files_and_equal_machines() {
    for operation in 1..80 {
        let mut world = careful(108);
        {
            let mut state = world.machines[1].disk.0.borrow_mut();
            let at = state.operations + operation;
            let fault = match operation % 3 {
                0 => disk::Fault::Crash,
                1 => disk::Fault::Kill,
                _ => disk::Fault::Errno(5),
            };
            state.faults.insert(at, fault);
        }
        world.write(0, "network", "cut");
        for _ in 0..4 {
            world.run_ms(20_000);
            if world.machines[1].node.is_none() {
                // As at boot, the network is configured by what lies there.
                world.put_in_force(1);
                world.start(1);
            }
        }
        until(&mut world, &format!("operation {operation}: former files"), 200, |world| both(world, "works"));
        world.settle();
        assert!((0..2).any(|id| world.history_holds(id, "cut")), "operation {operation}");
        world.assert_equal();
    }
}
