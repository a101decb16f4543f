//! When something happened, as nearly as can be known.

use super::super::world::World;

/// Two machines with `dir/x`, cut off from each other; the second edits it, and after that the first has looked at
/// everything once more.
fn edited_elsewhere(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.write(0, "dir/x", "one");
    world.write(0, "keep", "so that the share is not empty");
    world.settle();
    world.set_cut(0, 1, true);
    world.run_ms(1_000);
    world.write(1, "dir/x", "edited elsewhere");
    world.run_ms(130_000);
    world
}

#[test]
fn a_deletion_while_owsync_was_stopped_is_later_than_what_it_had_seen_until_then() {
    let mut world = edited_elsewhere(1);
    // The directory goes too, so nothing on disk tells when.
    world.stop(0);
    world.remove(0, "dir");
    world.run_ms(1_000);
    world.start(0);
    world.heal_all();
    world.settle();
    assert_eq!((world.read(0, "dir/x"), world.read(1, "dir/x")), (None, None));
    assert!(world.history_holds(1, "edited elsewhere"));
}

#[test]
fn after_a_power_cut_it_is_later_than_the_last_scan_that_was_written_with_something_else() {
    let mut world = edited_elsewhere(2);
    world.run_ms(700_000);
    world.write(0, "other", "makes the journal be written");
    world.run_ms(5_000);
    world.lose_power(0);
    world.remove(0, "dir");
    world.run_ms(1_000);
    world.start(0);
    world.heal_all();
    world.settle();
    assert_eq!((world.read(0, "dir/x"), world.read(1, "dir/x")), (None, None));
}

#[test]
fn a_deletion_that_only_a_rescan_found_does_not_win_over_an_edit_made_before_that_scan() {
    let mut world = World::new(3, 2);
    world.pair(0, 1);
    world.machines[0].inotify = false;
    world.start_all();
    world.write(0, "dir/x", "one");
    world.write(0, "keep", "so that the share is not empty");
    world.run_ms(70_000);
    world.settle();
    world.set_cut(0, 1, true);
    world.remove(0, "dir");
    world.run_ms(2_000);
    world.write(1, "dir/x", "edited after that");
    world.run_ms(130_000);
    world.heal_all();
    world.settle();
    assert_eq!(world.read(0, "dir/x").as_deref(), Some("edited after that"));
    assert_eq!(world.read(1, "dir/x").as_deref(), Some("edited after that"));
}
