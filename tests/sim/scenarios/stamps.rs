//! When something happened, as nearly as can be known.

use owsync::model::{Stamp, Version};

use super::super::world::{MachineId, World, main, path};
use super::couple;

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

/// A user of `id` replaces `name` by a file from a backup, with its time (`cp -p`, `tar x`).
fn put_back(world: &mut World, id: MachineId, name: &str, content: &str, age_ms: i64) {
    let what = path(name);
    let user = world.user(id);
    assert!(user.write(&what, content.as_bytes()));
    user.set_mtime(&what, world.wall(id).plus_ms(-age_ms));
    world.announce(id, &what);
}

/// F66
#[test]
fn edits_with_an_old_time_in_a_row_win_over_an_older_conflict_of_a_peer() {
    for edits in 1..4 {
        // Given an edit of m2 that nobody saw, and a later one of m0 that m1 saw,
        let mut world = super::trio(66);
        world.write(0, "f", "base");
        world.settle();
        world.stop(2);
        world.write(2, "f", "of m2, older");
        world.run_ms(2_000);
        world.write(0, "f", "of m0, later");
        world.run_ms(5_000);
        assert_eq!(world.read(1, "f").as_deref(), Some("of m0, later"));
        // when m0 replaces that by backups, while m1 merges the older edit,
        world.set_cut(0, 1, true);
        world.set_cut(0, 2, true);
        world.reset_links(0);
        world.run_ms(1_000);
        for edit in 0..edits {
            put_back(&mut world, 0, "f", &format!("backup {edit} of m0"), 40_000_000);
            world.run_ms(3_000);
        }
        world.start(2);
        world.run_ms(5_000);
        assert_eq!(world.read(2, "f").as_deref(), Some("of m0, later"));
        world.heal_all();
        world.settle();
        // then the last of them, whose author had seen everything, stays on all nodes.
        let last = format!("backup {} of m0", edits - 1);
        assert_eq!(world.assert_equal().into_values().next(), Some(last.into_bytes()), "{edits} edits");
    }
}

/// F66: also with the peer whose older edit it is, and while the stamp is provisional.
#[test]
fn an_edit_with_an_old_time_wins_over_a_conflict_that_what_it_replaced_won() {
    let mut world = couple(67);
    world.write(0, "f", "base");
    world.settle();
    world.set_cut(0, 1, true);
    world.reset_links(0);
    world.run_ms(1_000);
    world.write(1, "f", "older");
    world.run_ms(5_000);
    world.write(0, "f", "later");
    world.run_ms(5_000);
    put_back(&mut world, 0, "f", "from a backup", 40_000_000);
    world.run_ms(5_000);
    world.heal_all();
    world.settle();
    assert_eq!(world.assert_equal().into_values().next(), Some(b"from a backup".to_vec()));
}

/// F66: the property. Whatever times users give their edits, and whoever merges what meanwhile, of two entries of which
/// one had seen the other, that one has no earlier stamp.
#[test]
fn stamps_grow_along_every_causal_chain() {
    for seed in 0..150 {
        let mut world = super::trio(6_600 + seed);
        world.write(0, "f", "base");
        world.settle();
        let mut seen: Vec<(Version, Stamp, MachineId)> = Vec::new();
        // So few that nothing is taken for a quarrel between programs.
        for round in 0..9 {
            let id = world.dice.below(3) as usize;
            match world.dice.below(8) {
                0 => {
                    let other = (id + 1) % 3;
                    world.set_cut(id, other, true);
                    world.reset_links(id);
                }
                1 => world.heal_all(),
                2 => {
                    if world.user(id).remove(&path("f")) {
                        world.announce(id, &path("f"));
                    }
                }
                3 => {
                    world.stop(id);
                    world.start(id);
                }
                _ => {
                    // Old, present, equal and future times.
                    let age = *world.dice.pick(&[40_000_000, 40_000_000, 500, 0, 0, -90_000]);
                    put_back(&mut world, id, "f", &format!("m{id} {round}"), age);
                }
            }
            let ms = *world.dice.pick(&[30, 400, 3_000]);
            world.run_ms(ms);
            for id in 0..3 {
                let state = &world.node(id).state().shares[&main()];
                let Some(record) = state.index.get(&path("f")) else { continue };
                let stamp = record.final_stamp(world.wall(id));
                assert!(stamp.ms <= world.wall(id).0 + 1_000, "seed {seed}, round {round}: {stamp:?} is in the future");
                let now = (record.entry.version.clone(), stamp, id);
                if record.draft.is_none() && !seen.contains(&now) {
                    seen.push(now);
                }
            }
        }
        let grows = |a: &(Version, Stamp, MachineId), b: &(Version, Stamp, MachineId)| {
            a.0.compare(&b.0) != Some(std::cmp::Ordering::Less) || a.1 <= b.1
        };
        for a in &seen {
            for b in &seen {
                assert!(grows(a, b), "seed {seed}: {a:?} was seen by {b:?}");
            }
        }
        world.heal_all();
        world.settle();
        world.assert_equal();
    }
}
