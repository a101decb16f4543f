//! Disks that are full, gone or cut off, and users who write where owsync does.

use std::time::Duration;

use owsync::node::api::{Command, Fault as ApiFault, Reply};

use super::{couple, tree};
use crate::disk::{Fault, Intrusion};
use crate::world::{MachineId, World, path};

/// F2, F3
#[test]
fn a_file_for_which_there_is_no_room_leaves_the_old_one_and_both_sides_say_so() {
    let mut world = couple(30);
    world.write(0, "dhcp", "old");
    world.settle();
    let new = "0123456789abcdef".repeat(4_000);
    world.machines[1].disk.0.borrow_mut().capacity = 100_000;
    world.write(0, "dhcp", &new);
    world.await_reason(0, 1, "pending_there");
    world.await_reason(1, 0, "pending");
    assert_eq!(world.owed(1), std::collections::BTreeMap::from([("dhcp".to_string(), "no_room")]));
    assert!(!world.is_in_sync());
    // Once more, and again after a restart: neither copy is touched.
    world.reset_links(1);
    world.run(Duration::from_secs(300));
    world.stop(1);
    world.start(1);
    world.run(Duration::from_secs(300));
    assert_eq!(world.read(0, "dhcp").as_deref(), Some(&new[..]));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("old"));
    // Something small has room all the same, and with room everything lands.
    world.write(0, "small", "s");
    world.run_ms(5_000);
    assert_eq!(world.read(1, "small").as_deref(), Some("s"));
    world.machines[1].disk.0.borrow_mut().capacity = 64 * 1024 * 1024;
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some(&new[..]));
    assert!(world.is_swept(1));
}

/// F2, F3
#[test]
fn a_disk_that_is_full_at_any_moment_never_shows_part_of_a_file() {
    let new = "0123456789abcdef".repeat(4_000);
    let begin = || {
        let mut world = couple(31);
        world.share_settings(1).min_free = 0;
        world.reload(1);
        world.write(0, "dhcp", "old");
        world.settle();
        world
    };
    // Given how many operations it takes,
    let mut world = begin();
    let first = operations(&world, 1);
    world.write(0, "dhcp", &new);
    world.settle();
    let count = operations(&world, 1) - first;
    assert!(count > 5);
    for (k, row) in (0..count).flat_map(|k| [(k, 1), (k, 12)]) {
        // when the disk is full at one of them, or from one of them on for a while,
        let mut world = begin();
        let first = operations(&world, 1);
        for failing in first + k..first + k + row {
            world.machines[1].disk.0.borrow_mut().faults.insert(failing, Fault::Errno(libc::ENOSPC));
        }
        world.write(0, "dhcp", &new);
        for _ in 0..100 {
            world.run_ms(20);
            // then there is the old file or the new one, at any moment and on both sides,
            let there = world.read(1, "dhcp").unwrap();
            assert!(there == "old" || there == new, "operation {k}: {} bytes", there.len());
            assert_eq!(world.read(0, "dhcp").as_deref(), Some(&new[..]));
        }
        // and in the end the new one.
        world.settle();
        assert_eq!(world.read(1, "dhcp").as_deref(), Some(&new[..]), "operation {k}");
        assert_eq!(world.tree(1).len(), 1, "operation {k}: no file is left of it");
    }
}

/// F4
#[test]
fn a_directory_that_is_not_mounted_or_gone_for_a_while_deletes_nothing_anywhere() {
    for (hold, written) in [("root_missing", false), ("not_mounted", false), ("not_mounted", true)] {
        let mut world = couple(32);
        let files = tree! { "dhcp" => "1", "firewall" => "2", "network" => "3" };
        world.put(0, &files);
        world.settle();
        match hold {
            "root_missing" => world.machines[1].disk.remove_root("/share"),
            _ => world.machines[1].disk.unmount("/share"),
        }
        if written {
            // Somebody writes below the mount point.
            assert!(world.user(1).write(&path("below"), b"by a program that did not notice"));
        }
        if hold == "not_mounted" {
            world.announce(1, &path("dhcp"));
        }
        world.run(Duration::from_secs(70));
        assert_eq!(world.hold(1), Some(hold));
        assert_eq!(world.of_peer(0, 1).reason.as_deref(), Some("held_there"));
        assert_eq!(world.tree(0), files);
        // A restart meanwhile changes nothing, nor does a change of the peer's.
        world.stop(1);
        world.write(0, "system", "4");
        world.start(1);
        world.run(Duration::from_secs(70));
        assert_eq!(world.hold(1), Some(hold));
        assert_eq!(world.tree(0).len(), 4);
        // It ends by itself, with everything in its place.
        world.machines[1].disk.mount("/share");
        world.run(Duration::from_secs(70));
        world.settle();
        world.assert_equal();
        assert_eq!(world.tree(1).len(), 4, "{hold}");
    }
}

/// F4
#[test]
fn a_directory_that_is_emptied_waits_for_a_person() {
    let mut world = couple(33);
    let files = tree! { "dhcp" => "1", "firewall" => "2", "network" => "3" };
    world.put(0, &files);
    world.settle();
    files.keys().for_each(|name| world.remove(1, name));
    world.run(Duration::from_secs(300));
    assert_eq!(world.hold(1), Some("emptied"));
    assert_eq!(world.tree(0), files);
    world.reject(1);
    world.settle();
    assert_eq!(world.tree(1), files);
    world.assert_equal();
}

/// F4
#[test]
fn whatever_else_happens_in_a_held_share_it_stays_held() {
    let names = |range: std::ops::Range<usize>| range.map(|n| (format!("f{n:02}"), n.to_string()));
    for (hold, known, gone) in [("mass_deletion", 25, 0..20), ("not_mounted", 4, 0..4), ("emptied", 4, 0..4)] {
        // Given a share that is held,
        let mut world = couple(34);
        let files: std::collections::BTreeMap<_, _> = names(0..known).collect();
        world.put(0, &files);
        world.settle();
        if hold == "not_mounted" {
            world.machines[1].disk.unmount("/share");
            world.announce(1, &path("f00"));
        } else {
            names(gone).for_each(|(name, _)| world.remove(1, &name));
        }
        world.run_ms(5_000);
        assert_eq!(world.hold(1), Some(hold));
        // when something is written in it, and what is left there goes,
        world.write(1, "new", "meanwhile");
        world.run_ms(5_000);
        assert_eq!(world.hold(1), Some(hold));
        names(20..known).for_each(|(name, _)| world.remove(1, &name));
        // then it waits for a person all the same; where no known file is left, for that reason.
        world.run(Duration::from_secs(200));
        let last = if hold == "mass_deletion" { "emptied" } else { hold };
        assert_eq!(world.hold(1), Some(last));
        assert_eq!(world.tree(0), files, "{hold}");
    }
}

/// F7
#[test]
fn an_edit_of_a_file_that_is_being_sent_is_the_version_that_arrives() {
    for seed in 0..10 {
        let mut world = couple(340 + seed);
        let old = "1".repeat(3_000_000);
        let new = format!("{}edited{}", "1".repeat(2_000_000), "1".repeat(999_994));
        world.write(0, "big", &old);
        // When a part of it has come, at this moment or another,
        let mut staged = false;
        while !staged {
            world.run_ms(1);
            assert_eq!(world.read(1, "big"), None, "it is not there yet");
            staged = !world.is_swept(1);
        }
        let later = world.dice.below(30);
        world.run_ms(later);
        // and a user edits it in place, without changing its size,
        let still = world.read(1, "big").is_none();
        assert!(world.user(0).write_in_place(&path("big"), new.as_bytes()));
        world.announce(0, &path("big"));
        world.settle();
        // then the edit is on both sides, and nothing else ever was.
        assert!(still, "seed {seed}: the edit came in the middle");
        assert_eq!(world.read(0, "big").as_deref(), Some(&new[..]));
        world.assert_equal();
        assert_eq!(world.counters(1).applied, 1, "seed {seed}: the mixture never landed");
        assert!(world.is_swept(1));
    }
}

/// F8
#[test]
fn what_a_user_writes_between_decision_and_rename_is_never_lost() {
    // Where names cannot be exchanged, what is renamed over the path in the moment before our rename is lost: a race
    // that is accepted. What is written in place is not.
    for (by_rename, no_exchange) in [(true, false), (false, false), (false, true)] {
        let begin = || {
            let mut world = couple(35);
            world.machines[1].disk.0.borrow_mut().no_exchange = no_exchange;
            world.write(0, "dhcp", "old");
            world.settle();
            world
        };
        let mut world = begin();
        let first = operations(&world, 1);
        world.write(0, "dhcp", "of the peer");
        world.settle();
        let count = operations(&world, 1) - first;
        for k in 0..count {
            let mut world = begin();
            let first = operations(&world, 1);
            let name = path("dhcp");
            let bytes = b"of the user".to_vec();
            let act = Intrusion { root: "/share".into(), path: name.clone(), bytes, by_rename };
            world.machines[1].disk.0.borrow_mut().intrusions.insert(first + k, act);
            world.write(0, "dhcp", "of the peer");
            world.run_ms(3_000);
            let intruded = world.machines[1].disk.0.borrow().intruded.clone();
            let Some((_, seen, _)) = intruded.first() else { panic!("operation {k}: nobody intruded") };
            world.announce(1, &name);
            world.settle();
            let how = format!("operation {k} of {count}, by_rename {by_rename}, no_exchange {no_exchange}");
            // The user's is the later one, whether it was written over what had landed or over what was there before;
            // what is written in place between the last look and a rename that is no exchange is at least kept.
            let current = world.assert_equal().into_values().next().unwrap();
            let kept = no_exchange && (0..2).any(|id| world.history_holds(id, "of the user"));
            assert!(current == b"of the user" || kept, "{how}: the user's is lost");
            // and what the user replaced had been seen.
            let kept = current == b"of the peer" || (0..2).any(|id| world.history_holds(id, "of the peer"));
            assert!(kept || seen.as_deref() == Some(b"of the peer"), "{how}: the peer's is lost");
            assert!(world.is_swept(1), "{how}");
        }
    }
}

/// F9
#[test]
fn an_unreadable_file_is_reported_and_deleted_nowhere() {
    let mut world = couple(36);
    let name = path("key");
    world.put(0, &tree! { "key" => "secret", "dhcp" => "1" });
    world.settle();
    for restart in [false, true] {
        world.user(0).chmod(&name, 0);
        world.announce(0, &name);
        if restart {
            world.stop(0);
            world.start(0);
        }
        world.run(Duration::from_secs(130));
        assert_eq!(world.read(1, "key").as_deref(), Some("secret"));
        let said = world.skipped(0, "key").expect("it is reported");
        assert!(said.contains("read"), "{said}");
        world.user(0).chmod(&name, 0o644);
        world.announce(0, &name);
        world.settle();
        assert_eq!(
            (world.read(0, "key").as_deref(), world.read(1, "key").as_deref()),
            (Some("secret"), Some("secret"))
        );
        world.assert_equal();
    }
}

/// F16
#[test]
fn a_directory_becomes_a_file_and_the_reverse() {
    let mut world = couple(37);
    world.put(0, &tree! { "d/one" => "1", "d/deep/two" => "2", "f" => "3", "kept" => "k" });
    world.settle();
    world.remove(0, "d");
    world.write(0, "d", "a file now");
    world.remove(0, "f");
    world.write(0, "f/below", "a directory now");
    world.settle();
    assert_eq!(world.tree(1), tree! { "d" => "a file now", "f/below" => "a directory now", "kept" => "k" });
    world.assert_equal();
}

/// F16
#[test]
fn what_is_not_synced_in_a_directory_that_becomes_a_file_keeps_it_and_is_reported() {
    let mut world = couple(38);
    world.share_settings(1).exclude = vec![b"*.local".to_vec()];
    world.reload(1);
    world.put(0, &tree! { "d/one" => "1", "kept" => "k" });
    world.settle();
    world.write(1, "d/own.local", "never travels");
    world.remove(0, "d");
    world.write(0, "d", "a file now");
    world.run(Duration::from_secs(130));
    assert_eq!(world.read(1, "d/own.local").as_deref(), Some("never travels"));
    assert_eq!(world.owed(1).get("d"), Some(&"dir_not_empty"));
    world.await_reason(0, 1, "pending_there");
    // Its reason ends, and it lands.
    world.remove(1, "d/own.local");
    world.settle();
    assert_eq!(world.read(1, "d").as_deref(), Some("a file now"));
}

/// F21
#[test]
fn what_a_killed_receiver_leaves_is_removed_at_its_start() {
    let mut world = couple(39);
    world.write(0, "big", &"x".repeat(2_000_000));
    while world.is_swept(1) {
        world.run_ms(1);
    }
    world.run_ms(5);
    world.kill(1);
    assert!(!world.is_swept(1), "a part is there");
    world.set_cut(0, 1, true);
    world.start(1);
    world.run_ms(1_000);
    assert!(world.is_swept(1));
    assert_eq!(world.tree(1), tree! {});
    world.heal_all();
    world.settle();
    assert_eq!(world.tree(1).len(), 1);
}

/// F22
#[test]
fn what_was_acknowledged_survives_a_power_cut_at_that_moment() {
    for seed in 0..30 {
        let mut world = couple(400 + seed);
        world.put(0, &tree! { "dhcp" => "old", "kept" => "k", "gone" => "g" });
        world.settle();
        world.write(0, "dhcp", "new");
        world.write(0, "d/deep", "made");
        world.remove(0, "gone");
        let acknowledged = world.run_until(Duration::from_secs(60), |world| {
            world.counters(0).edited >= 6 && world.of_peer(0, 1).in_sync == Some(true)
        });
        assert!(acknowledged);
        world.lose_power(1);
        world.set_cut(0, 1, true);
        world.start(1);
        world.run_ms(3_000);
        assert_eq!(world.tree(1), tree! { "dhcp" => "new", "d/deep" => "made", "kept" => "k" }, "seed {seed}");
        // And it knows that it has them: nothing is sent again.
        world.heal_all();
        world.settle();
        assert_eq!(world.counters(1).received_bytes, 0, "seed {seed}");
    }
}

/// F36
#[test]
fn a_fifo_is_reported_and_keeps_nothing_else_from_travelling() {
    let mut world = couple(40);
    world.user(0).make_fifo(&path("pipe"));
    world.announce(0, &path("pipe"));
    world.write(0, "dhcp", "1");
    world.settle();
    assert_eq!(world.tree(1), tree! { "dhcp" => "1" });
    assert_eq!(world.user(1).stat(&path("pipe")), None);
    assert!(world.skipped(0, "pipe").expect("it is reported").contains("fifo"));
    // A peer's file of that name does not take its place.
    world.write(1, "pipe", "a file");
    world.run(Duration::from_secs(130));
    assert!(matches!(world.user(0).stat(&path("pipe")), Some(owsync::fs::Found::Special(_))));
    assert_eq!(world.owed(0).get("pipe"), Some(&"in_the_way"));
}

fn operations(world: &World, id: MachineId) -> u64 {
    world.machines[id].disk.0.borrow().operations
}

/// F81, F121: a file that gives way to a directory waits while the history cannot take it, instead of being lost.
#[test]
fn a_file_that_becomes_a_directory_waits_until_history_can_keep_it() {
    for full in [false, true] {
        let mut world = couple(530);
        world.put(0, &tree! { "kept" => "k" });
        world.settle();
        world.set_cut(0, 1, true);
        world.write(0, "d", "a file of this name");
        world.write(1, "d/below", "a directory of this name");
        for id in 0..2 {
            world.machines[id].disk.0.borrow_mut().full_below = full.then(|| b"owsync.db-history".to_vec());
        }
        world.run_ms(2_000);
        world.heal_all();
        world.run_ms(120_000);
        for id in 0..2 {
            world.machines[id].disk.0.borrow_mut().full_below = None;
        }
        world.settle();
        world.assert_equal();
        assert!((0..2).any(|id| world.history_holds(id, "a file of this name")), "full: {full}");
    }
}

/// F81: what nobody else has is not replaced while history cannot take it.
#[test]
fn a_deletion_waits_until_history_has_room_for_what_goes() {
    let mut world = couple(38);
    let content = "0123456789abcdef".repeat(20_000);
    world.put(0, &tree! { "large" => content, "small" => "s" });
    world.settle();
    let min_free = world.machines[1].settings.shares[0].min_free;
    // There is room for what comes in, and none beside what goes.
    let used = world.machines[1].disk.0.borrow().used();
    world.machines[1].disk.0.borrow_mut().capacity = used + min_free + 200_000;

    world.remove(0, "large");
    world.run(Duration::from_secs(10));

    assert_eq!(world.owed(1), std::collections::BTreeMap::from([("large".to_string(), "history_full")]));
    assert_eq!(world.read(1, "large"), Some(content.clone()));
    world.machines[1].disk.0.borrow_mut().capacity = 64 * 1024 * 1024;
    world.settle();
    assert!(world.read(1, "large").is_none() && world.history_holds(1, &content));
}

/// Each step of shutting down is done although an earlier one failed.
#[test]
fn a_database_that_cannot_be_written_at_shutdown_does_not_keep_the_history_from_being_written() {
    let mut world = couple(40);
    world.write(0, "key", "secret");
    world.settle();
    world.write(0, "key", "new");
    world.settle();
    assert!(world.history_holds(1, "secret"));
    let fail_next = |world: &World| {
        let disk = world.machines[1].disk.clone();
        let next = disk.0.borrow().operations;
        disk.0.borrow_mut().faults.insert(next, Fault::Errno(libc::EIO));
    };
    // Given a history whose list could not be written when the user removed a version,
    fail_next(&world);
    let reply = world.command(1, Command::Forget { share: None, path: path("key") });
    assert!(matches!(reply, Reply::Failed { fault: ApiFault::System, .. }), "{reply:?}");
    // when the first thing that is written at shutdown, the database, cannot be written,
    fail_next(&world);
    world.stop(1);
    assert!(world.log_has(1, "the database could not be written at shutdown"));
    // then the list of the history is written.
    world.start(1);
    assert!(!world.history_holds(1, "secret"));
}

/// What a transaction replaced is in the history also if a crash interrupted it and the disk fails while it is completed.
#[test]
fn a_transaction_that_fails_when_it_is_completed_after_a_crash_loses_nothing_that_it_replaced() {
    let begin = || {
        let mut world = couple(42);
        world.write(0, "z", "old");
        world.settle();
        world.write(0, "a/first", "1");
        world.write(0, "z", "new");
        world
    };
    let mut world = begin();
    let first = operations(&world, 1);
    world.settle();
    let count = operations(&world, 1) - first;
    let mut completed = [0, 0];
    // Given a daemon that is killed at each of the operations of a transaction,
    for (k, failing, is_edited) in
        (0..count).flat_map(|k| (0..4).flat_map(move |failing| [false, true].map(|is_edited| (k, failing, is_edited))))
    {
        let mut world = begin();
        world.machines[1].disk.0.borrow_mut().faults.insert(first + k, Fault::Kill);
        world.run_ms(3_000);
        if world.machines[1].node.is_some() || world.read(1, "z").as_deref() != Some("new") {
            continue;
        }
        // and perhaps a user who changes what it applied,
        let edited = is_edited && world.read(1, "a/first").is_some();
        if edited {
            world.write(1, "a/first", "edited");
        }
        // when an operation fails at its next start,
        world.start(1);
        let next = operations(&world, 1) + failing;
        world.machines[1].disk.0.borrow_mut().faults.insert(next, Fault::Errno(libc::EIO));
        world.settle();
        // then the transaction is completed all the same, and what it replaced is kept.
        let first = if edited { "edited" } else { "1" };
        assert_eq!(world.tree(1), tree! { "a/first" => first, "z" => "new" }, "{k}, {failing}");
        assert!(world.history_holds(1, "old"), "killed at operation {k}, operation {failing} after the start failed");
        completed[usize::from(edited)] += 1;
    }
    assert!(completed.iter().all(|count| *count > 0), "{completed:?}");
}

/// Each attempt may write to a flash memory that fails.
#[test]
fn a_database_that_cannot_be_written_is_tried_less_and_less_often() {
    let mut world = couple(43);
    world.settle();
    let first = operations(&world, 1);
    let disk = world.machines[1].disk.clone();
    disk.0.borrow_mut().faults.extend((first..first + 1_000).map(|at| (at, Fault::Errno(libc::EIO))));

    world.write(1, "key", "new");
    world.run(Duration::from_secs(600));

    // With 5 s between attempts they would be ten times as many.
    let failed = operations(&world, 1) - first;
    assert!((8..=40).contains(&failed), "{failed} operations failed in ten minutes");
    assert_eq!(world.read(0, "key"), None);
    // Once it can be written, everything is exchanged within a minute.
    disk.0.borrow_mut().faults.clear();
    world.run(Duration::from_secs(65));
    assert_eq!(world.read(0, "key").as_deref(), Some("new"));
}

/// F73: what cannot be read any more is not replaced either, also where that begins while its new content is on its way.
#[test]
fn a_path_that_falls_asleep_while_its_content_arrives_is_left_alone() {
    let mut world = couple(39);
    world.write(0, "key", "old");
    world.settle();
    let content = "0123456789abcdef".repeat(200_000);
    world.write(0, "key", &content);
    let until = world.now_ms + 20_000;
    while world.is_swept(1) && world.step(until) {}
    assert!(world.user(1).chmod(&path("key"), 0));
    world.announce(1, &path("key"));
    world.run(Duration::from_secs(20));
    assert_eq!(world.read(1, "key").as_deref(), Some("old"));
    assert!(world.owed(1).contains_key("key"), "{:?}", world.status(1).summary);
    world.user(1).chmod(&path("key"), 0o644);
    world.announce(1, &path("key"));
    world.settle();
    assert_eq!(world.read(1, "key"), Some(content));
}
