//! Old states: factory defaults, lost databases, deletions that a node has not heard of for long.

use std::time::Duration;

use owsync::model::WallTime;
use owsync::model::settings::FirstSync;
use owsync::node::api::Command;

use super::{couple, tree, trio};
use crate::world::{World, main, path};

const DAY_MS: i64 = 86_400_000;

/// F1
#[test]
fn a_fresh_default_never_wins_however_long_its_node_ran_and_however_often_it_was_edited() {
    for first_sync in [FirstSync::Newest, FirstSync::Ask] {
        // Given a production file of a week ago on the reference,
        let mut world = World::new(20, 2);
        world.set_all(|settings| settings.first_sync = first_sync);
        world.pair(0, 1);
        let aged = world.wall(0).plus_ms(-7 * DAY_MS);
        assert!(world.user(0).write(&path("dhcp"), b"production"));
        world.user(0).set_mtime(&path("dhcp"), aged);
        world.start(0);
        world.run_ms(2_000);
        world.init(0);
        world.set_cut(0, 1, true);
        // and a newer default on a node that ran for a day, rebooted, and was edited,
        world.write(1, "dhcp", "factory default");
        world.start(1);
        world.run(Duration::from_secs(86_400));
        world.write(1, "dhcp", "factory default, edited");
        world.write(1, "own", "only here");
        world.run_ms(60_000);
        world.stop(1);
        world.start(1);
        world.run(Duration::from_secs(1_200));
        // when they meet,
        world.heal_all();
        world.settle();
        // then production stays, the default is kept, and what was only there travels.
        for id in 0..2 {
            assert_eq!(world.tree(id), tree! { "dhcp" => "production", "own" => "only here" }, "{first_sync:?}");
        }
        assert!(world.history_holds(1, "factory default, edited"));
        assert_eq!(mtime(&world, 1, "dhcp"), aged);
    }
}

/// F1
#[test]
fn what_grew_among_fresh_routers_does_not_win_over_the_reference() {
    // Given the reference, and two fresh routers that synced with each other for a day,
    let mut world = World::new(28, 3);
    world.pair(0, 1);
    world.pair(1, 2);
    world.write(0, "dhcp", "production");
    world.start(0);
    world.run_ms(2_000);
    world.init(0);
    world.set_cut(0, 1, true);
    world.run_ms(60_000);
    world.write(2, "dhcp", "factory default");
    world.start(1);
    world.start(2);
    world.run(Duration::from_secs(86_400));
    world.write(1, "dhcp", "factory default, edited by both");
    world.run_ms(5_000);
    assert_eq!(world.tree(2), tree! { "dhcp" => "factory default, edited by both" });
    // when they meet, then what a person declared the reference stays, and theirs is kept.
    world.heal_all();
    world.settle();
    (0..3).for_each(|id| assert_eq!(world.tree(id), tree! { "dhcp" => "production" }, "m{id}"));
    assert!((1..3).any(|id| world.history_holds(id, "factory default, edited by both")));
}

/// F1
#[test]
fn an_edit_of_a_default_does_not_win_while_the_version_of_the_cluster_is_pending() {
    for deletes in [false, true] {
        // Given a new router that has exchanged with the reference, and whose checks refuse one of its files so far,
        let mut world = World::new(29, 2);
        world.share_settings(1).validate = Some("/usr/libexec/validate".into());
        world.pair(0, 1);
        world.put(0, &tree! { "dhcp" => "production", "firewall" => "production too" });
        world.start(0);
        world.run_ms(2_000);
        world.init(0);
        world.put(1, &tree! { "dhcp" => "factory default", "firewall" => "factory default" });
        world.machines[1].programs.dislikes = Some(("too", "not yet"));
        world.start(1);
        world.run(Duration::from_secs(30));
        assert_eq!(world.read(1, "firewall").as_deref(), Some("factory default"));
        // when its default is edited there, or deleted, before the check passes,
        if deletes {
            world.remove(1, "firewall");
        } else {
            world.write(1, "firewall", "factory default, edited");
        }
        world.run(Duration::from_secs(30));
        world.share_settings(1).validate = None;
        world.reload(1);
        world.settle();
        // then what the cluster has stays, and the edit is in the history.
        for id in 0..2 {
            assert_eq!(world.tree(id), tree! { "dhcp" => "production", "firewall" => "production too" });
        }
        assert!(world.history_holds(1, if deletes { "factory default" } else { "factory default, edited" }));
    }
}

/// F1
#[test]
fn a_router_that_was_reset_takes_what_the_others_have() {
    let mut world = couple(21);
    world.write(0, "dhcp", "production");
    world.write(1, "firewall", "production too");
    world.settle();
    world.factory_reset(1);
    world.run(Duration::from_secs(3_600));
    world.write(1, "dhcp", "factory default");
    world.start(1);
    world.settle();
    world.assert_equal();
    assert_eq!(world.tree(0), tree! { "dhcp" => "production", "firewall" => "production too" });
    assert!(world.history_holds(1, "factory default"));
}

/// F14
#[test]
fn a_deletion_survives_the_loss_of_a_database_which_is_kept_aside() {
    // Given a deletion that m2 has not heard of, because it is down,
    let mut world = trio(22);
    world.put(0, &tree! { "gone" => "1", "kept" => "2" });
    world.settle();
    world.stop(2);
    world.remove(0, "gone");
    world.run_ms(5_000);
    assert_eq!(world.tree(1), tree! { "kept" => "2" });
    // and m1, whose database is damaged while it is down too,
    world.stop(1);
    let disk = world.user_of(1, "/state");
    assert!(disk.write(&path("owsync.db"), b"{ not what it was"));
    disk.remove(&path("owsync.db-journal"));
    // when both are back,
    world.start(1);
    world.start(2);
    world.settle();
    // then the file stays deleted everywhere, and a person can look at what is left of the database.
    (0..3).for_each(|id| assert_eq!(world.tree(id), tree! { "kept" => "2" }, "m{id}"));
    let files = world.user_of(1, "/state").files();
    let kept = files.iter().find(|(name, _)| name.to_text().starts_with("owsync.db.damaged-"));
    assert_eq!(kept.map(|(_, bytes)| &bytes[..]), Some(&b"{ not what it was"[..]));
    assert!(!world.machines[1].news.is_empty(), "and it is reported");
}

/// F14
#[test]
fn a_database_that_is_gone_brings_no_deleted_file_back() {
    let mut world = trio(23);
    world.put(0, &tree! { "gone" => "1", "kept" => "2" });
    world.settle();
    world.remove(0, "gone");
    world.settle();
    world.stop(1);
    for name in ["owsync.db", "owsync.db-journal"] {
        world.user_of(1, "/state").remove(&path(name));
    }
    world.start(1);
    world.settle();
    (0..3).for_each(|id| assert_eq!(world.tree(id), tree! { "kept" => "2" }, "m{id}"));
}

/// F15
#[test]
fn of_a_deletion_and_an_edit_that_did_not_know_of_each_other_the_later_wins() {
    for (edit_first, seed) in [(false, 24), (true, 25)] {
        let mut world = couple(seed);
        world.put(0, &tree! { "dhcp" => "old", "kept" => "k" });
        world.settle();
        world.set_cut(0, 1, true);
        if edit_first {
            world.write(1, "dhcp", "edited");
            world.run_ms(300);
            world.remove(0, "dhcp");
        } else {
            world.remove(0, "dhcp");
            world.run_ms(300);
            world.write(1, "dhcp", "edited");
        }
        world.run_ms(300);
        world.heal_all();
        world.settle();
        world.assert_equal();
        if edit_first {
            assert_eq!(world.read(1, "dhcp"), None);
            assert!((0..2).any(|id| world.history_holds(id, "edited")), "what lost is kept");
        } else {
            assert_eq!(world.read(0, "dhcp").as_deref(), Some("edited"));
        }
    }
}

/// F19
#[test]
fn a_tombstone_expires_after_30_days_and_nothing_comes_back() {
    let mut world = World::new(26, 2);
    world.set_all(|settings| settings.poll_interval = Duration::from_secs(3_600));
    world.pair(0, 1);
    world.start_all();
    world.put(0, &tree! { "gone" => "1", "kept" => "2" });
    world.settle();
    world.remove(0, "gone");
    world.settle();
    assert_eq!((tombstones(&world, 0), tombstones(&world, 1)), (1, 1));
    world.run(Duration::from_secs(29 * 86_400));
    assert_eq!((tombstones(&world, 0), tombstones(&world, 1)), (1, 1), "not before its time");
    world.run(Duration::from_secs(2 * 86_400));
    assert_eq!((tombstones(&world, 0), tombstones(&world, 1)), (0, 0));
    for id in 0..2 {
        world.stop(id);
        world.start(id);
    }
    world.settle();
    assert_eq!(world.assert_equal().len(), 1);
}

/// F19
#[test]
fn a_node_that_was_away_for_31_days_resurrects_nothing_and_loses_nothing() {
    let mut world = trio(27);
    world.put(0, &tree! { "gone" => "1", "kept" => "2" });
    world.settle();
    world.stop(2);
    world.remove(0, "gone");
    world.run_ms(5_000);
    // All are switched off for a month; the two that deleted are back first, long enough to forget.
    world.sleep_through(31);
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(2 * 86_400));
    world.write(2, "made", "meanwhile");
    world.start(2);
    world.settle();
    (0..3).for_each(|id| assert_eq!(world.tree(id), tree! { "kept" => "2", "made" => "meanwhile" }, "m{id}"));
}

/// F19: deletions do not wait for a node that is away for half a year, so what only that node has waits for the user.
#[test]
fn what_only_a_node_has_that_was_away_for_half_a_year_waits_for_the_user() {
    let mut world = trio(29);
    world.put(0, &tree! { "gone" => "1", "kept" => "2" });
    world.settle();
    world.stop(2);
    world.remove(0, "gone");
    world.run_ms(5_000);
    world.sleep_through(181);
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(2 * 86_400));
    assert_eq!((tombstones(&world, 0), tombstones(&world, 1)), (0, 0), "nothing says any more that it was deleted");

    world.start(2);
    world.run(Duration::from_secs(60));

    for id in 0..2 {
        assert_eq!(world.owed(id).get("gone"), Some(&"long_away"), "m{id}");
        assert_eq!(world.tree(id), tree! { "kept" => "2" }, "m{id}");
    }
    // The user of one decides for all.
    world.command(0, Command::Approve { share: None, path: None, pick: None, dry_run: false });
    world.settle();
    (0..3).for_each(|id| assert_eq!(world.tree(id), tree! { "gone" => "1", "kept" => "2" }, "m{id}"));
}

/// F19: a clock that jumped by more than a day is not believed before a peer confirms it.
#[test]
fn a_clock_that_jumps_makes_no_deletion_expire() {
    let mut world = couple(28);
    world.write(0, "gone", "1");
    world.settle();
    world.remove(0, "gone");
    world.settle();
    world.stop(1);
    world.run_ms(5_000);
    world.machines[0].skew_ms += 40 * DAY_MS;
    world.run(Duration::from_secs(3 * 3_600));
    assert_eq!(tombstones(&world, 0), 1);
}

fn tombstones(world: &World, id: usize) -> usize {
    let index = &world.node(id).state().shares[&main()].index;
    index.iter().filter(|(_, record)| record.entry.kind == owsync::model::Kind::Tombstone).count()
}

fn mtime(world: &World, id: usize, name: &str) -> WallTime {
    match world.user(id).stat(&path(name)) {
        Some(owsync::fs::Found::Synced(stat)) => stat.mtime(),
        other => panic!("{name}: {other:?}"),
    }
}
