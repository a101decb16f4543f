//! What is held is told on every node that is there, with what to do, and survives restarts.

use owsync::node::api::Command;
use owsync::node::api::status::PathStatus;

use super::world::World;

fn approve() -> Command {
    Command::Approve { share: None, path: None, pick: None, dry_run: false }
}

/// Two machines in sync, on which two programs rewrite what the other wrote until the path is held.
fn quarrel(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    for turn in 0..12 {
        world.write(turn % 2, "dhcp", &format!("turn {turn}"));
        world.run_ms(1_500);
    }
    world.run_ms(3_000);
    world
}

fn held_paths(world: &World, id: usize) -> Vec<PathStatus> {
    world.share(id).held_paths
}

#[test]
fn a_path_that_changes_back_and_forth_is_held_and_both_nodes_say_so_also_after_a_restart() {
    let mut world = quarrel(110);
    let here = usize::from(held_paths(&world, 0).is_empty());
    let there = 1 - here;
    for restarted in [false, true] {
        if restarted {
            world.stop(here);
            world.start(here);
            world.run_ms(5_000);
        }
        let held = held_paths(&world, here);
        assert_eq!(held.len(), 1, "restarted: {restarted}");
        assert_eq!(held[0].reason, "flapping");
        assert!(held[0].since.is_some());
        let said = world.of_peer(there, here).message.unwrap_or_default();
        assert!(said.contains("dhcp: held: it changed back and forth"), "the other node: {said}");
        assert!(!world.is_in_sync());
    }

    world.done(here, approve());
    world.settle();
    assert!(held_paths(&world, here).is_empty());
    world.assert_equal();
}

#[test]
fn a_held_share_is_told_to_every_peer_also_after_a_restart_and_no_longer_once_it_goes_on() {
    let mut world = World::new(111, 3);
    world.mesh();
    world.start_all();
    world.settle();
    (0..12).for_each(|n| world.write(0, &format!("f{n}"), "content"));
    world.settle();
    (0..11).for_each(|n| world.remove(0, &format!("f{n}")));
    world.run_ms(3_000);
    for restarted in [false, true] {
        if restarted {
            world.stop(0);
            world.start(0);
            world.run_ms(10_000);
        }
        assert_eq!(world.hold(0), Some("mass_deletion"), "restarted: {restarted}");
        for other in [1, 2] {
            let said = world.of_peer(other, 0).message.unwrap_or_default();
            assert!(said.contains("held there: 11 of 12 files vanished at once"), "m{other}: {said}");
            assert!(said.contains("`owsync reject`"), "m{other}: {said}");
        }
    }
    world.reject(0);
    world.settle();
    assert_eq!(world.assert_equal().len(), 12);
}
