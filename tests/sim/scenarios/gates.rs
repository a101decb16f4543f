//! Errors and what they make wait: the smallest thing they concern, with a reason in status, until they end.

use std::time::Duration;

use owsync::model::limits;

use super::{couple, tree};
use crate::disk::Fault;
use crate::world::{World, main, path};

fn operations(world: &World, id: usize) -> u64 {
    world.machines[id].disk.0.borrow().operations
}

/// F76
#[test]
fn an_empty_file_as_the_only_change_arrives_at_once() {
    let mut world = couple(76);
    world.write(0, "full", "f");
    world.settle();
    for (name, content) in [("x", ""), ("full", "")] {
        world.write(0, name, content);
        world.run_ms(2_000);
        assert_eq!(world.read(1, name).as_deref(), Some(""), "{name}");
        assert!(world.is_in_sync());
    }
}

/// F71
#[test]
fn a_staging_area_that_vanishes_delays_its_batch_and_nothing_else() {
    let begin = || {
        let mut world = couple(71);
        world.put(0, &tree! { "a" => "old", "gone" => "g" });
        world.settle();
        world
    };
    let change = |world: &mut World| {
        world.put(0, &tree! { "a" => "new", "b" => "b", "d/c" => "c" });
        world.remove(0, "gone");
    };
    let mut world = begin();
    let first = operations(&world, 1);
    change(&mut world);
    world.settle();
    let count = operations(&world, 1) - first;
    for k in 0..count {
        // When somebody removes it before any operation,
        let mut world = begin();
        let first = operations(&world, 1);
        change(&mut world);
        while operations(&world, 1) < first + k && world.now_ms < 100_000 {
            world.run_ms(1);
        }
        let user = world.user(1);
        let area = user.paths().into_iter().find(|p| p.as_bytes().starts_with(b".owsync-"));
        if let Some(area) = area {
            user.remove(&area);
        }
        world.run_ms(15_000);
        // then the database is not blamed, and everything arrives without a restart.
        assert!(!world.log_has(1, "database cannot be written"), "operation {k}");
        let settled = world.run_until(Duration::from_secs(130), |world| world.is_in_sync());
        assert!(settled, "operation {k}: {:?}", world.status(1).summary);
        assert_eq!(world.tree(1), tree! { "a" => "new", "b" => "b", "d/c" => "c" }, "operation {k}");
    }
}

/// F71: the same where what is staged cannot be flushed.
#[test]
fn staged_content_that_cannot_be_flushed_is_a_matter_of_its_batch() {
    let mut world = couple(710);
    world.put(0, &tree! { "a" => "old", "gone" => "g" });
    world.settle();
    world.machines[1].disk.0.borrow_mut().bad_below = Some(b".owsync-".to_vec());
    world.write(0, "a", "new");
    world.run_ms(5_000);
    assert_eq!(world.owed(1).get("a"), Some(&"unwritable"));
    world.await_reason(0, 1, "pending_there");
    // What needs no staged content goes on, in both directions.
    world.write(1, "from here", "h");
    world.remove(0, "gone");
    world.run_ms(5_000);
    assert_eq!(world.read(0, "from here").as_deref(), Some("h"));
    assert_eq!(world.read(1, "gone"), None);
    assert!(!world.log_has(1, "database cannot be written"));
    world.machines[1].disk.0.borrow_mut().bad_below = None;
    world.settle();
    assert_eq!(world.read(1, "a").as_deref(), Some("new"));
}

/// F79
#[test]
fn a_directory_that_may_not_be_written_takes_what_its_batch_brings_and_keeps_its_mode() {
    let mut world = couple(79);
    world.put(0, &tree! { "ro/f" => "1", "ro/deep/g" => "2", "other" => "o" });
    for dir in ["ro/deep", "ro"] {
        world.user(0).chmod(&path(dir), 0o555);
    }
    world.announce(0, &path("ro"));
    world.settle();
    let check = |world: &World, what: &str| {
        world.assert_equal();
        for id in 0..2 {
            assert_eq!(world.user(id).mode(&path("ro")), Some(0o555), "m{id}: {what}");
        }
    };
    check(&world, "first");
    // An edit, a new file, a deletion, and all of them at once.
    type Act<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);
    let acts: [Act; 4] = [
        ("edit", &[("ro/f", Some("edited"))]),
        ("new", &[("ro/new/file", Some("n")), ("ro/deep/new", Some("n"))]),
        ("deletion", &[("ro/deep", None)]),
        ("all", &[("ro/f", None), ("ro/new", None), ("ro/deep/h", Some("h")), ("ro/x", Some("x"))]),
    ];
    for (what, act) in acts {
        // A user has to open it first, and closes it afterwards.
        for dir in ["ro", "ro/deep"] {
            world.user(0).chmod(&path(dir), 0o755);
        }
        for (name, content) in act {
            match content {
                Some(content) => assert!(world.user(0).write(&path(name), content.as_bytes())),
                None => assert!(world.user(0).remove(&path(name))),
            }
        }
        for dir in ["ro", "ro/deep"] {
            world.user(0).chmod(&path(dir), 0o555);
        }
        world.write(0, "other", what);
        world.announce(0, &path("ro"));
        world.settle();
        check(&world, what);
    }
    assert!(world.counters(0).edited > 0);
    assert_eq!(world.counters(1).edited, 0, "opening a directory is nobody's edit");
}

/// F79: also when the machine dies while the directory is open, or something else in the batch is refused.
#[test]
fn a_directory_that_was_opened_for_a_batch_is_closed_again_after_a_crash() {
    let begin = || {
        let mut world = couple(790);
        world.put(0, &tree! { "ro/f" => "1", "ro/g" => "2", "other" => "o" });
        world.user(0).chmod(&path("ro"), 0o555);
        world.announce(0, &path("ro"));
        world.settle();
        world
    };
    let change = |world: &mut World| {
        let user = world.user(0);
        user.chmod(&path("ro"), 0o755);
        user.write(&path("ro/f"), b"edited");
        user.write(&path("ro/new"), b"new");
        user.remove(&path("ro/g"));
        user.chmod(&path("ro"), 0o555);
        world.announce(0, &path("ro"));
    };
    let mut world = begin();
    let first = operations(&world, 1);
    change(&mut world);
    world.settle();
    let count = operations(&world, 1) - first;
    for fault in [Fault::Crash, Fault::Kill, Fault::Errno(libc::EIO)] {
        for k in 0..count {
            let mut world = begin();
            let first = operations(&world, 1);
            world.machines[1].disk.0.borrow_mut().faults.insert(first + k, fault);
            change(&mut world);
            world.run_ms(5_000);
            if world.machines[1].node.is_none() {
                world.start(1);
            }
            world.settle();
            let what = format!("{fault:?} at {k} of {count}");
            assert_eq!(world.tree(1), tree! { "ro/f" => "edited", "ro/new" => "new", "other" => "o" }, "{what}");
            for id in 0..2 {
                assert_eq!(world.user(id).mode(&path("ro")), Some(0o555), "m{id}: {what}");
            }
        }
    }
}

/// F80
#[test]
fn half_a_batch_is_never_taken_for_edits_when_it_cannot_be_resumed() {
    let begin = || {
        let mut world = couple(80);
        world.put(0, &tree! { "a" => "1", "b" => "1", "c" => "1", "gone" => "g" });
        world.settle();
        world
    };
    let change = |world: &mut World| {
        world.put(0, &tree! { "a" => "2", "b" => "2", "c" => "2", "d/new" => "n" });
        world.remove(0, "gone");
    };
    let mut world = begin();
    let first = operations(&world, 1);
    change(&mut world);
    world.settle();
    let count = operations(&world, 1) - first;
    let mut interrupted = 0;
    for k in 0..count {
        let mut world = begin();
        let first = operations(&world, 1);
        world.machines[1].disk.0.borrow_mut().faults.insert(first + k, Fault::Kill);
        change(&mut world);
        world.run_ms(3_000);
        if world.machines[1].node.is_some() {
            continue;
        }
        let edited = world.counters(0).edited;
        // When what is staged cannot be read at the start,
        world.set_cut(0, 1, true);
        world.machines[1].disk.0.borrow_mut().unreadable_below = Some(b".owsync-".to_vec());
        world.start(1);
        world.run_ms(20_000);
        if world.node(1).state().shares[&main()].landing.is_some() {
            interrupted += 1;
            assert_eq!(world.hold(1), Some("interrupted"), "operation {k}");
            // Nothing here is touched, and a user's edit is not recorded either.
            world.write(1, "meanwhile", "m");
            world.run_ms(2_000);
            assert!(world.node(1).state().shares[&main()].index.get(&path("meanwhile")).is_none());
            world.remove(1, "meanwhile");
        }
        world.machines[1].disk.0.borrow_mut().unreadable_below = None;
        world.run_ms(30_000);
        world.heal_all();
        world.settle();
        // then nothing of it is an edit of this machine, and the batch is completed.
        let here: Vec<&String> =
            world.machines[1].log.iter().map(|(_, _, line)| line).filter(|line| line.contains(" here")).collect();
        assert!(here.is_empty(), "operation {k}: {here:?} {:#?}", world.machines[1].log);
        assert_eq!(world.counters(1).edited, 0, "operation {k}");
        assert_eq!(world.counters(0).edited, edited, "operation {k}");
        assert_eq!(world.tree(1), tree! { "a" => "2", "b" => "2", "c" => "2", "d/new" => "n" }, "operation {k}");
        world.assert_equal();
    }
    assert!(interrupted > 2, "{interrupted} of {count}");
}

/// F81
#[test]
fn a_history_that_fills_while_a_batch_is_applied_holds_up_that_batch_with_a_reason() {
    for elsewhere in [false, true] {
        // Given a machine whose history must keep what a peer deletes,
        let mut world = couple(81);
        world.put(0, &tree! { "a" => "1", "b" => "2", "c" => "3", "other" => "o" });
        world.settle();
        // when its disk is full at that moment, also after some of the batch was kept,
        world.machines[1].disk.0.borrow_mut().full_below = Some(match elsewhere {
            false => b"owsync.db-history/objects".to_vec(),
            true => format!("owsync.db-history/objects/{}", owsync::model::Digest::of(b"2").to_hex()).into_bytes(),
        });
        world.remove(0, "a");
        world.remove(0, "b");
        world.remove(0, "c");
        world.run_ms(10_000);
        // then nothing of the batch is in place, the reason is in status on both sides,
        assert_eq!(world.tree(1), tree! { "a" => "1", "b" => "2", "c" => "3", "other" => "o" }, "{elsewhere}");
        assert!(world.owed(1).values().any(|reason| *reason == "history_full"), "{:?}", world.owed(1));
        world.await_reason(0, 1, "pending_there");
        // the rest of the share goes on,
        world.write(0, "other", "edited");
        world.write(1, "from here", "h");
        world.run_ms(5_000);
        assert_eq!(world.read(1, "other").as_deref(), Some("edited"), "{elsewhere}");
        assert_eq!(world.read(0, "from here").as_deref(), Some("h"), "{elsewhere}");
        // also after a restart, and when there is room again everything is.
        world.stop(1);
        world.start(1);
        world.run_ms(10_000);
        assert_eq!(world.read(1, "b").as_deref(), Some("2"), "{elsewhere}");
        world.machines[1].disk.0.borrow_mut().full_below = None;
        world.settle();
        assert_eq!(world.tree(1), tree! { "other" => "edited", "from here" => "h" });
        for content in ["1", "2", "3"] {
            assert!(world.history_holds(1, content), "{content}");
        }
        let kept = world.history(1).iter().filter(|(_, bytes, _)| bytes == b"1").count();
        assert_eq!(kept, 1, "a batch that went back left nothing in history");
        assert!(world.is_swept(1));
    }
}

/// F81: at every operation, for a moment and for good.
#[test]
fn a_history_that_fails_at_any_moment_loses_nothing_and_blocks_nothing() {
    let begin = || {
        let mut world = couple(810);
        world.put(0, &tree! { "a" => "1", "b" => "2", "other" => "o" });
        world.settle();
        world
    };
    let change = |world: &mut World| {
        world.remove(0, "a");
        world.remove(0, "b");
    };
    let mut world = begin();
    let first = operations(&world, 1);
    change(&mut world);
    world.settle();
    let count = operations(&world, 1) - first;
    for (errno, row) in [(libc::ENOSPC, 1), (libc::ENOSPC, 12), (libc::EIO, 1), (libc::EROFS, 12)] {
        for k in 0..count {
            let mut world = begin();
            let first = operations(&world, 1);
            for failing in first + k..first + k + row {
                world.machines[1].disk.0.borrow_mut().faults.insert(failing, Fault::Errno(errno));
            }
            change(&mut world);
            world.run_ms(4_000);
            let what = format!("{errno} at {k}, {row} times");
            // Whatever waits says why.
            let both = world.read(1, "a").is_some() && world.read(1, "b").is_some();
            let none = world.read(1, "a").is_none() && world.read(1, "b").is_none();
            assert!(both || none || !world.is_in_sync(), "{what}");
            world.settle();
            assert_eq!(world.tree(1), tree! { "other" => "o" }, "{what}");
            assert!(world.history_holds(1, "1") && world.history_holds(1, "2"), "{what}");
            // What could not be removed is, at the next occasion.
            world.run(limits::BROKEN_KEPT);
            assert!(world.is_swept(1), "{what}: {:?}", world.user(1).paths());
        }
    }
}

/// F81: the end of a transaction that the disk refuses blocks its share with a reason, and is tried less and less often.
#[test]
fn a_transaction_that_cannot_end_says_so_in_status() {
    let begin = || {
        let mut world = couple(811);
        world.write(0, "a", "1");
        world.settle();
        world
    };
    let mut world = begin();
    let first = operations(&world, 1);
    world.write(0, "a", "2");
    world.settle();
    let count = operations(&world, 1) - first;
    let mut said = 0;
    for k in 0..count {
        let mut world = begin();
        let first = operations(&world, 1);
        for failing in first + k..first + k + 4_000 {
            world.machines[1].disk.0.borrow_mut().faults.insert(failing, Fault::Errno(libc::EIO));
        }
        world.write(0, "a", "2");
        world.run(Duration::from_secs(200));
        let tried = operations(&world, 1) - first;
        assert!(tried < 1_000, "operation {k}: {tried} operations in 200 s");
        if world.is_in_sync() {
            // All that failed was the end of cleaning up.
            assert_eq!(world.read(1, "a").as_deref(), Some("2"), "operation {k}");
            continue;
        }
        let status = world.status(1);
        let main = world.share(1);
        said += u64::from(main.blocked.is_some());
        let named = main.blocked.is_some() || !main.pending.is_empty() || status.database_error.is_some();
        assert!(named, "operation {k}: {status:?}");
        world.machines[1].disk.0.borrow_mut().faults.clear();
        world.settle();
        assert_eq!(world.read(1, "a").as_deref(), Some("2"), "operation {k}");
    }
    assert!(said > 0, "of {count}");
}

/// A file that is written all the time is named, read less and less often, and everything else goes on.
#[test]
fn a_file_that_changes_whenever_it_is_read_is_named() {
    let mut world = couple(82);
    world.put(0, &tree! { "busy" => "b", "kept" => "k" });
    world.settle();
    let big = "x".repeat(3_000_000);
    for round in 0..600 {
        let content = format!("{round}{big}");
        if !world.user(0).write_in_place(&path("busy"), content.as_bytes()) {
            break;
        }
        world.announce(0, &path("busy"));
        world.run_ms(3);
    }
    world.settle();
    world.assert_equal();
}

/// A refused path is tried again, but not for ever at the same pace: each attempt may write its content to flash.
#[test]
fn what_is_refused_again_and_again_is_tried_less_often() {
    let mut world = couple(83);
    world.share_settings(1).exclude = vec![b"*.local".to_vec()];
    world.reload(1);
    world.put(0, &tree! { "d/one" => "1", "kept" => "k" });
    world.settle();
    world.write(1, "d/own.local", "never travels");
    world.remove(0, "d");
    world.write(0, "d", &"a file now".repeat(1_000));
    world.run(limits::RETRY_OWED);
    let writes = |world: &World| world.machines[1].disk.0.borrow().writes;
    let first = writes(&world);
    world.run(Duration::from_secs(3_600));
    let attempts = (writes(&world) - first) / 10_000;
    assert!((5..=25).contains(&attempts), "{attempts} in an hour");
    assert_eq!(world.owed(1).get("d"), Some(&"dir_not_empty"));
    world.remove(1, "d/own.local");
    world.settle();
    world.assert_equal();
}

/// F22: a peer must never have a change that a crash can take back from its author.
#[test]
fn nothing_is_sent_before_it_is_written() {
    let mut world = couple(22);
    world.write(0, "dhcp", "old");
    world.settle();
    let first = operations(&world, 0);
    let faults = (first..first + 100_000).map(|at| (at, Fault::Errno(libc::EIO))).collect();
    world.machines[0].disk.0.borrow_mut().faults = faults;

    world.write(0, "dhcp", "new");
    world.run_ms(30_000);

    assert_eq!(world.read(1, "dhcp").as_deref(), Some("old"));
    assert_eq!(world.of_peer(0, 1).reason.as_deref(), Some("database"));
    let summary = world.summary(0);
    assert!(summary.starts_with("not in sync: the database here cannot be written"), "{summary}");
    world.machines[0].disk.0.borrow_mut().faults.clear();
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("new"));
}
