//! How changes travel: whatever the order of sessions, the clocks and the shape of the mesh.

use std::time::Duration;

use owsync::model::WallTime;

use super::{chain, couple, tree, trio};
use crate::world::{World, path};

#[test]
fn a_file_travels_and_so_does_its_deletion() {
    let mut world = couple(1);
    world.put(0, &tree! { "dhcp" => "one", "d/deep/x" => "two" });
    world.settle();
    assert_eq!(world.tree(1), tree! { "dhcp" => "one", "d/deep/x" => "two" });
    world.remove(1, "dhcp");
    world.settle();
    assert_eq!(world.tree(0), tree! { "d/deep/x" => "two" });
    assert!(world.history_holds(0, "one"));
    world.assert_equal();
}

#[test]
fn a_change_is_on_the_peer_within_a_second() {
    let mut world = couple(2);
    world.write(0, "dhcp", "one");
    world.run_ms(999);
    assert_eq!(world.tree(1), tree! { "dhcp" => "one" });
}

/// F5
#[test]
fn an_edit_wins_by_what_it_had_seen_although_its_clock_is_behind() {
    let mut world = couple(5);
    world.machines[0].skew_ms = -40_000;
    world.write(1, "dhcp", "one");
    world.settle();
    world.write(0, "dhcp", "two");
    world.settle();
    assert_eq!(world.tree(1), tree! { "dhcp" => "two" });
    assert_eq!(world.tree(0), tree! { "dhcp" => "two" });
}

#[test]
fn an_old_backup_that_a_person_puts_back_is_a_change_like_any_other() {
    let mut world = couple(6);
    world.write(0, "dhcp", "new");
    world.settle();
    assert!(world.user(1).write(&path("dhcp"), b"old"));
    world.user(1).set_mtime(&path("dhcp"), WallTime(1_000_000_000_000));
    world.announce(1, &path("dhcp"));
    world.settle();
    assert_eq!(world.tree(0), tree! { "dhcp" => "old" });
    assert_eq!(mtime(&world, 0, "dhcp"), WallTime(1_000_000_000_000), "and carries its time");
}

/// F6
#[test]
fn a_relayed_edit_keeps_the_time_at_which_it_was_written() {
    // Given an edit on m0, and a later one on m2, none of which m1 has heard of,
    let mut world = chain(7);
    world.write(0, "dhcp", "before");
    world.settle();
    world.set_cut(0, 1, true);
    world.set_cut(1, 2, true);
    world.write(0, "dhcp", "older");
    let older = mtime(&world, 0, "dhcp");
    world.run_ms(5_000);
    world.write(2, "dhcp", "newer");
    let written = mtime(&world, 2, "dhcp");
    world.run_ms(5_000);
    // when m1 hears of the older one now, and then meets m2,
    world.set_cut(0, 1, false);
    let heard = world.run_until(Duration::from_secs(200), |world| world.read(1, "dhcp").as_deref() == Some("older"));
    assert!(heard);
    assert_eq!(mtime(&world, 1, "dhcp"), older);
    world.heal_all();
    world.settle();
    // then the later one wins.
    assert_eq!(world.tree(0), tree! { "dhcp" => "newer" });
    assert_eq!(mtime(&world, 0, "dhcp"), written);
    world.assert_equal();
}

/// F10
#[test]
fn three_edits_of_one_moment_come_to_one_on_every_node() {
    for seed in 0..20 {
        let mut world = trio(seed);
        (0..3).for_each(|id| world.write(id, "dhcp", &format!("of m{id}")));
        world.settle();
        let (_, content) = world.assert_equal().into_iter().next().unwrap();
        for id in 0..3 {
            let text = format!("of m{id}");
            let kept = (0..3).any(|id| world.history_holds(id, &text));
            assert!(content == text.as_bytes() || kept, "seed {seed}: {text} is neither current nor kept");
        }
    }
}

#[test]
fn one_writer_in_a_mesh_never_meets_a_conflict() {
    for seed in 0..10 {
        let mut world = trio(100 + seed);
        for turn in 0..20 {
            world.write(0, "dhcp", &format!("turn {turn}"));
            let (a, b) = (turn as usize % 3, (turn as usize + 1) % 3);
            world.set_cut(a, b, turn % 2 == 0);
            let pause = world.dice.below(900);
            world.run_ms(pause);
        }
        world.heal_all();
        world.settle();
        assert_eq!(world.tree(2), tree! { "dhcp" => "turn 19" });
        (0..3).for_each(|id| assert_eq!(world.counters(id).conflicts, 0, "seed {seed}"));
    }
}

/// F11
#[test]
fn a_node_offers_onward_what_it_received() {
    let mut world = chain(8);
    world.put(0, &tree! { "dhcp" => "one", "firewall" => "two" });
    world.settle();
    assert_eq!(world.tree(2), tree! { "dhcp" => "one", "firewall" => "two" });
    world.write(2, "dhcp", "changed at the end");
    world.remove(2, "firewall");
    world.settle();
    assert_eq!(world.tree(0), tree! { "dhcp" => "changed at the end" });
}

#[test]
fn a_star_s_centre_relays_between_its_points() {
    let mut world = World::new(9, 5);
    (1..5).for_each(|id| world.pair(0, id));
    world.start_all();
    world.settle();
    world.write(3, "dhcp", "of a point");
    world.settle();
    (0..5).for_each(|id| assert_eq!(world.tree(id), tree! { "dhcp" => "of a point" }));
}

/// F12
#[test]
fn what_changed_while_a_peer_was_down_is_sent_when_it_is_back() {
    let mut world = couple(10);
    world.write(0, "firewall", "one");
    world.settle();
    world.stop(1);
    world.write(0, "dhcp", "while it was down");
    world.remove(0, "firewall");
    world.run(Duration::from_secs(600));
    world.start(1);
    world.settle();
    assert_eq!(world.tree(1), tree! { "dhcp" => "while it was down" });
}

/// F13
#[test]
fn deletions_told_in_two_sessions_at_once_stay_deletions() {
    let mut world = trio(11);
    (0..50).for_each(|n| world.write(0, &format!("f{n}"), "x"));
    world.write(0, "kept", "k");
    world.settle();
    world.set_all(|settings| settings.shares[0].delete_guard = 0);
    (0..3).for_each(|id| world.reload(id));
    world.settle();
    // Half of them are deleted on one node and the rest on another, while both talk to the third.
    for n in 0..25 {
        world.remove(0, &format!("f{n}"));
        world.remove(1, &format!("f{}", 25 + n));
    }
    world.settle();
    (0..3).for_each(|id| assert_eq!(world.tree(id), tree! { "kept" => "k" }));
}

/// F17
#[test]
fn mode_and_owner_travel() {
    let mut world = couple(12);
    world.write(0, "key", "secret");
    world.settle();
    let name = path("key");
    world.user(0).chmod(&name, 0o600);
    world.user(0).chown(&name, 7, 8);
    world.announce(0, &name);
    world.settle();
    let Some(owsync::fs::Found::Synced(stat)) = world.user(1).stat(&name) else { panic!("it is there") };
    assert_eq!((stat.mode, stat.uid, stat.gid), (0o600, 7, 8));
    assert_eq!(world.counters(1).received_bytes, 6, "its content came once");
}

/// F18
#[test]
fn every_name_that_is_no_secret_of_owsync_travels() {
    let mut world = couple(13);
    let long = "n".repeat(255);
    let names =
        ["nginx.tmpl", "a.dbus", "a..b", "...", ".hidden", "x~", "x.orig", "a b\nc", "caf\u{e9}", &long, "-rf", "*"];
    for name in names {
        assert!(world.user(0).write(&path(name), name.as_bytes()));
    }
    assert!(world.user(0).write(&owsync::model::RelPath::parse(b"latin\xe9").unwrap(), b"not UTF-8"));
    assert!(world.user(0).make_dir(&path("empty")));
    world.with(0, |node, now| node.handle_change(now, &crate::world::main(), None));
    world.settle();
    for name in names {
        assert_eq!(world.read(1, name).as_deref(), Some(name));
    }
    assert_eq!(world.assert_equal().len(), names.len() + 1);
    assert_eq!(world.user(1).mode(&path("empty")), Some(0o755));
}

/// F20
#[test]
fn a_file_from_the_future_can_be_edited_and_deleted_by_everybody() {
    let mut world = couple(14);
    let future = world.wall(0).plus_ms(400 * 86_400_000);
    for name in ["edited", "deleted"] {
        assert!(world.user(0).write(&path(name), b"from the future"));
        world.user(0).set_mtime(&path(name), future);
        world.announce(0, &path(name));
    }
    world.settle();
    assert_eq!(mtime(&world, 1, "edited"), future);
    world.write(1, "edited", "in the present");
    world.remove(1, "deleted");
    world.settle();
    assert_eq!(world.tree(0), tree! { "edited" => "in the present" });
    world.assert_equal();
}

/// F23
#[test]
fn an_edit_of_the_same_size_within_the_same_tick_is_seen() {
    let mut met = 0;
    for wait in 195..215 {
        let mut world = couple(15);
        let name = path("dhcp");
        world.write(0, "dhcp", "one");
        world.settle();
        // When a scan reads what was written in this very tick of the clock,
        world.announce(0, &name);
        world.run_ms(wait);
        assert!(world.user(0).write_in_place(&name, b"two"));
        let (first, reads) = (world.user(0).stat(&name), world.machines[0].disk.0.borrow().reads);
        let until = world.now_ms + 4;
        while world.now_ms < until && world.machines[0].disk.0.borrow().reads == reads {
            world.step(until);
        }
        // and the file is written again in the same tick, so that the disk shows the same times,
        let was_read = world.machines[0].disk.0.borrow().reads > reads;
        assert!(world.user(0).write_in_place(&name, b"six"));
        if !was_read || world.user(0).stat(&name) != first {
            continue;
        }
        met += 1;
        // then the second edit is seen as well, although nobody tells of it.
        world.run_ms(3_000);
        assert_eq!(world.read(1, "dhcp").as_deref(), Some("six"), "after {wait} ms");
    }
    assert!(met > 0, "a scan must read between the two");
}

/// F23
#[test]
fn a_rescan_reads_no_file_that_did_not_change() {
    let mut world = couple(16);
    (0..200).for_each(|n| world.write(0, &format!("f{n}"), &format!("content {n}")));
    world.settle();
    world.run(Duration::from_secs(300));
    let before: Vec<u64> = (0..2).map(|id| world.machines[id].disk.0.borrow().reads).collect();
    let writes: Vec<u64> = (0..2).map(|id| world.machines[id].disk.0.borrow().operations).collect();
    world.run(Duration::from_secs(600));
    for id in 0..2 {
        assert_eq!(world.machines[id].disk.0.borrow().reads, before[id], "m{id} read something");
        assert_eq!(world.machines[id].disk.0.borrow().operations, writes[id], "m{id} wrote something");
    }
}

#[test]
fn what_inotify_does_not_tell_the_rescan_finds() {
    let mut world = couple(17);
    world.machines[0].inotify = false;
    world.write(0, "dhcp", "one");
    world.run(Duration::from_secs(61));
    assert_eq!(world.tree(1), tree! { "dhcp" => "one" });
}

#[test]
fn a_file_that_is_written_in_steps_is_offered_once_it_has_settled() {
    let mut world = couple(18);
    for step in 0..5 {
        world.write(0, "dhcp", &"x".repeat(step + 1));
        world.run_ms(150);
    }
    assert_eq!(world.tree(1), tree! {}, "nothing half written was offered");
    world.settle();
    assert_eq!(world.tree(1), tree! { "dhcp" => "xxxxx" });
    assert_eq!(world.counters(1).applied, 1);
}

#[test]
fn equal_content_on_both_sides_is_no_conflict() {
    let mut world = couple(19);
    world.write(0, "dhcp", "the same");
    world.write(1, "dhcp", "the same");
    world.settle();
    assert_eq!(world.counters(0).conflicts + world.counters(1).conflicts, 0);
    assert_eq!(world.counters(0).received_bytes + world.counters(1).received_bytes, 0);
    world.assert_equal();
}

fn mtime(world: &World, id: usize, name: &str) -> WallTime {
    match world.user(id).stat(&path(name)) {
        Some(owsync::fs::Found::Synced(stat)) => stat.mtime(),
        other => panic!("{name}: {other:?}"),
    }
}

/// A file of 12 MiB on its way from the first machine to the second, of which a part has arrived.
fn half_way(world: &mut World) -> u64 {
    let content: String = (0..12 * 1024 * 1024 / 16).map(|n| format!("{n:015}\n")).collect();
    world.write(0, "image", &content);
    let some = world.run_until(Duration::from_secs(30), |world| world.counters(1).received_bytes > 5 * 1024 * 1024);
    assert!(some && world.read(1, "image").is_none());
    content.len() as u64
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_did() {
    let mut world = couple(70);
    let size = half_way(&mut world);
    world.reset_links(1);
    world.settle();
    world.assert_equal();
    // Only what was under way is sent again; all that had come would be more.
    let supplied = world.counters(0).supplied_bytes;
    assert!(supplied <= size + owsync::model::limits::REQUEST_WINDOW, "{supplied} of {size}");
    assert!(world.is_swept(1));
}

#[test]
fn what_broke_off_is_given_up_when_its_file_changed_or_nobody_comes_back() {
    for comes_back in [true, false] {
        let mut world = couple(71);
        half_way(&mut world);
        world.set_cut(0, 1, true);
        world.reset_links(1);
        world.write(0, "image", "another");
        world.run(Duration::from_secs(if comes_back { 30 } else { 1_000 }));
        assert_eq!(world.is_swept(1), !comes_back);
        world.set_cut(0, 1, false);
        world.settle();
        assert_eq!(world.read(1, "image").as_deref(), Some("another"));
        world.assert_equal();
        assert!(world.is_swept(1));
    }
}

#[test]
fn an_exchange_that_takes_too_long_is_warned_of_stopped_and_goes_on_later() {
    let mut world = couple(72);
    let settings = world.share_settings(1);
    settings.soft_max_time = Some(Duration::from_secs(5));
    settings.hard_max_time = Some(Duration::from_secs(20));
    world.reload(1);
    world.settle();
    let size = half_way(&mut world);
    world.set_cut(0, 1, true);
    world.run(Duration::from_secs(10));
    assert!(world.log_has(1, "takes longer than 5 s (soft_max_time)"));
    world.run(Duration::from_secs(15));
    assert!(world.log_has(1, "was stopped after 20 s (hard_max_time); it resumes in 60 s; stop 1"));
    assert_eq!(world.of_peer(1, 0).reason.as_deref(), Some("stopped"));
    world.set_cut(0, 1, false);
    world.run(Duration::from_secs(20));
    assert_eq!(world.read(1, "image"), None);

    world.settle();
    world.assert_equal();
    let supplied = world.counters(0).supplied_bytes;
    assert!(supplied < 2 * size, "{supplied} of {size}");
}

#[test]
fn many_short_exchanges_are_no_long_one() {
    let mut world = couple(73);
    world.slowest = 400;
    world.share_settings(1).hard_max_time = Some(Duration::from_secs(5));
    world.reload(1);
    world.settle();
    for n in 0..200 {
        world.write(0, &format!("f{}", n % 7), &n.to_string());
        world.run_ms(700);
    }
    assert!(!world.log_has(1, "(hard_max_time)"));
    world.settle();
    world.assert_equal();
}

/// A peer's first exchange gives files their versions, and new numbers, while another peer is still being told of them.
#[test]
fn what_gets_a_new_number_while_a_peer_is_told_of_it_reaches_that_peer() {
    for (seed, later) in [(90, 0), (91, 20), (92, 40), (93, 80), (94, 120), (95, 160), (96, 240), (97, 320)] {
        let mut world = World::new(seed, 3);
        world.peer(1, 0);
        world.peer(2, 0);
        for n in 0..2600 {
            world.user(0).write(&path(&format!("d{}/f{n}", n % 20)), b"");
        }
        world.start(0);
        world.run_ms(2000);
        world.start(1);
        world.run_ms(later);
        world.start(2);
        world.settle();
        world.assert_equal();
    }
}
