//! What a guard lets pass, what it holds, and what an answer of the user covers.

use std::time::Duration;

use owsync::node::api::status::Role;
use owsync::node::api::{Command, Fault, Reply};

use owsync::model::settings::{Accept, Reload};

use super::world::{World, main, path};

fn approve() -> Command {
    Command::Approve { share: None, path: None, pick: None, dry_run: false }
}

/// Two machines in sync with these many files of different content, below `dir` unless that is empty.
fn couple(seed: u64, files: usize, dir: &str) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    for n in 0..files {
        world.write(0, &format!("{dir}f{n:02}"), &format!("content {n}"));
    }
    world.settle();
    assert_eq!(world.tree(1).len(), files);
    world
}

/// A directory with another inode takes the place of a share's root.
fn swap_root(world: &mut World, id: usize) {
    let disk = world.machines[id].disk.clone();
    disk.remove_root("/share");
    disk.add_root("/share");
}

/// F67
#[test]
fn an_approval_while_the_root_is_missing_lets_nothing_pass_later() {
    for rejects in [false, true] {
        let mut world = couple(501, 5, "");
        world.machines[1].disk.remove_root("/share");
        world.run(Duration::from_secs(70));
        assert_eq!(world.hold(1), Some("root_missing"));

        let reply = if rejects { world.reject(1) } else { world.command(1, approve()) };
        let Reply::Failed { fault: Fault::State, message } = &reply else { panic!("{reply:?}") };
        assert!(message.contains("cannot be opened"), "{message}");
        // An administrator makes the directory again, or the mount point shows without its stick.
        world.machines[1].disk.add_root("/share");
        world.run(Duration::from_secs(70));
        assert_eq!(world.hold(1), Some("emptied"), "rejects: {rejects}");
        assert_eq!(world.tree(0).len(), 5, "rejects: {rejects}: nothing was deleted on the peer");
    }
}

/// F67
#[test]
fn an_approval_ends_when_what_is_held_changes() {
    for rejects in [false, true] {
        let mut world = couple(502, 30, "");
        (0..16).for_each(|n| world.remove(1, &format!("f{n:02}")));
        world.run_ms(3_000);
        assert_eq!(world.hold(1), Some("mass_deletion"));

        // The user answers what status showed; before it is looked at again, more goes, and another file comes instead.
        let name = "f16";
        assert!(world.user(1).remove(&path(name)));
        let back = world.user(1).write(&path("f00"), b"content 0");
        assert!(back);
        let _ = if rejects { world.reject(1) } else { world.command(1, approve()) };
        world.run_ms(3_000);
        assert_eq!(world.hold(1), Some("mass_deletion"), "rejects: {rejects}");
        assert_eq!(world.tree(0).len(), 30, "nothing went that nobody was asked about");
        assert!(world.log_has(1, "the hold changed"), "{:?}", world.machines[1].log.last());

        // An answer to what is held now is carried out.
        let _ = if rejects { world.reject(1) } else { world.command(1, approve()) };
        world.run_ms(3_000);
        assert_eq!(world.hold(1), None, "rejects: {rejects}");
    }
}

/// F67
#[test]
fn an_approval_that_nothing_used_is_over_when_the_hold_is() {
    let mut world = couple(503, 5, "");
    (0..5).for_each(|n| world.remove(1, &format!("f{n:02}")));
    world.run_ms(3_000);
    assert_eq!(world.hold(1), Some("emptied"));
    world.machines[1].disk.remove_root("/share");
    // The root goes in the moment in which the approval comes.
    world.command(1, approve());
    world.run(Duration::from_secs(70));
    assert_eq!(world.hold(1), Some("root_missing"));
    world.machines[1].disk.add_root("/share");
    world.run(Duration::from_secs(70));
    assert_eq!(world.hold(1), Some("emptied"));
    assert_eq!(world.tree(0).len(), 5);
}

/// F75
#[test]
fn a_root_without_any_known_file_is_held_whatever_else_is_in_it() {
    for others in [1, 4] {
        let mut world = couple(504, 9, "");
        let files = world.tree(0);
        swap_root(&mut world, 1);
        for n in 0..others {
            assert!(world.user(1).write(&path(&format!("README{n}")), b"made by a package script"));
        }
        world.run(Duration::from_secs(70));
        assert_eq!(world.hold(1), Some("emptied"), "{others} others");
        assert_eq!(world.tree(0), files, "{others} others");
        world.reject(1);
        world.settle();
        assert_eq!(world.tree(0).len(), 9 + others, "nothing is lost on either side");
        world.assert_equal();
    }
}

/// F91
#[test]
fn a_renamed_directory_is_no_mass_deletion_on_any_node() {
    let mut world = couple(505, 12, "conf.d/");
    world.write(0, "main.conf", "1");
    world.settle();
    let user = world.user(0);
    for n in 0..12 {
        assert!(user.rename(&path(&format!("conf.d/f{n:02}")), &path(&format!("conf.available/f{n:02}"))));
    }
    assert!(user.remove(&path("conf.d")));
    world.announce(0, &path("conf.d"));
    world.announce(0, &path("conf.available"));
    world.settle();
    assert_eq!(world.hold(0), None);
    assert_eq!(world.tree(1).len(), 13);
    assert!(world.tree(1).contains_key("conf.available/f11"));
    world.assert_equal();
}

/// F91
#[test]
fn content_that_is_still_there_explains_one_path_each() {
    // Of 30 files that are alike, 26 go: four contents are still there, and explain four.
    let mut world = World::new(506, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    (0..30).for_each(|n| world.write(0, &format!("f{n:02}"), "alike"));
    world.settle();
    (0..26).for_each(|n| world.remove(0, &format!("f{n:02}")));
    world.run_ms(3_000);
    assert_eq!(world.hold(0), Some("mass_deletion"));
    assert_eq!(world.tree(1).len(), 30);
}

/// A UCI package with so many sections.
fn package(sections: usize) -> String {
    (0..sections).map(|n| format!("config rule 'r{n}'\n\toption name 'config {n}'\n")).collect()
}

/// Two machines in sync whose share holds UCI packages; `firewall` has ten sections.
fn routers(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    for id in [0, 1] {
        world.share_settings(id).reload = Some(Reload::Uci);
    }
    world.start_all();
    world.settle();
    world.write(0, "firewall", &package(10));
    world.write(0, "dhcp", &package(3));
    world.settle();
    assert_eq!(world.tree(1).len(), 2);
    world
}

fn owed(world: &World, id: usize) -> Vec<(String, &'static str)> {
    world.owed(id).into_iter().collect()
}

/// F77
#[test]
fn a_package_that_is_emptied_is_held_where_that_happens_also_while_owsync_is_down() {
    let zeros = "\0".repeat(package(10).len());
    for (author, content, down) in [
        (0, "", false),
        (1, "", false),
        (0, "", true),
        (1, "", true),
        (1, &zeros[..], true),
        (0, &package(4)[..], true),
    ] {
        let mut world = routers(510);
        let good = world.read(0, "firewall").unwrap();
        if down {
            world.stop(author);
        }
        world.write(author, "firewall", content);
        if down {
            world.start(author);
        }
        world.write(author, "system", "config system\n");
        world.run(Duration::from_secs(70));
        let other = 1 - author;
        let what = format!("m{author}, {} bytes, down: {down}", content.len());
        assert_eq!(world.read(other, "firewall").as_deref(), Some(&good[..]), "{what}");
        assert!(world.read(other, "system").is_some(), "{what}: nothing else waits for it");
        assert!(!world.is_in_sync(), "{what}");
        assert!(world.of_peer(other, author).message.unwrap_or_default().contains("10 sections"), "{what}");
        let held = world.machines[author].events.iter().filter(|(name, _)| *name == "owsync.hold").count();
        assert_eq!(held, 1, "{what}: one event");
        // The good one comes back when the user says so.
        world.reject(author);
        world.settle();
        assert_eq!(world.read(author, "firewall").as_deref(), Some(&good[..]), "{what}");
        assert!(world.history_holds(author, content), "{what}: what was there can be looked at");
        world.assert_equal();
    }
}

/// F77
#[test]
fn an_emptied_package_that_the_user_approves_is_asked_about_by_the_peer_as_well_and_then_goes() {
    for (rejects, repaired) in [(false, false), (true, false), (false, true)] {
        let mut world = routers(511);
        world.share_settings(1).delete_guard = 0;
        world.write(0, "firewall", "");
        world.run_ms(3_000);
        if repaired {
            // An approval is one of what was seen: not of what is there by now.
            world.write(0, "firewall", &package(1));
            world.run_ms(3_000);
        }
        world.done(0, approve());
        world.write(0, "dhcp", &package(4));
        world.run_ms(5_000);
        if world.read(1, "firewall").as_deref() == Some(&package(10)[..]) {
            assert!(owed(&world, 1).iter().any(|(path, reason)| path == "firewall" && *reason == "sections_lost"));
            if rejects {
                world.reject(1);
            } else {
                world.done(1, approve());
            }
        }
        world.settle();
        let expected = match (rejects, repaired) {
            (true, _) => package(10),
            (_, true) => package(1),
            _ => String::new(),
        };
        assert_eq!(world.read(0, "firewall"), Some(expected));
        world.assert_equal();
    }
}

/// F74
#[test]
fn a_program_that_keeps_a_replaced_file_open_changes_neither_history_nor_what_is_restored() {
    for (while_open, moment) in [(true, 0), (true, 5), (false, 0)] {
        let mut world = couple(520, 0, "");
        world.write(0, "f", "the only copy");
        world.settle();
        // A program of the second machine has it open while a peer's change comes, and saves in place as it always does.
        let program = world.user(1).open(&path("f")).unwrap();
        world.write(0, "f", "changed on m0");
        world.settle();
        if !while_open {
            drop(program);
            assert!(world.history_holds(1, "the only copy"));
            continue;
        }
        world.run_ms(moment * 1_000);
        program.save(b"state of the program");
        world.run_ms(2_000);
        assert!(world.history_holds(1, "the only copy"), "{:?}", world.history(1));

        let of = owsync::node::api::Former::Newest { share: None, path: path("f") };
        world.done(1, Command::Restore { version: of, options: Vec::new() });
        world.settle();
        assert_eq!(world.read(0, "f").as_deref(), Some("the only copy"));
        world.assert_equal();
    }
}

/// F74: what could be read at a path when it was replaced is in history, whatever a program writes into the file from then
/// on, and what it writes until the transaction ends is kept as well.
#[test]
fn a_write_into_the_replaced_file_reaches_no_previous_version() {
    for deletes in [false, true] {
        let mut world = couple(522, 0, "");
        for n in 0..400 {
            world.user(0).write(&path(&format!("f{n:03}")), b"before");
        }
        world.write(0, "a", "the only copy");
        world.settle();
        let program = world.user(1).open(&path("a")).unwrap();
        // Given a transaction of several steps, of which the first replaces the file,
        for n in 0..400 {
            world.user(0).write(&path(&format!("f{n:03}")), b"changed");
        }
        let user = world.user(0);
        assert!(if deletes { user.remove(&path("a")) } else { user.write(&path("a"), b"changed on m0") });
        world.with(0, |node, now| node.handle_change(now, &main(), None));
        let until = world.now_ms + 60_000;
        while world.read(1, "a").as_deref() == Some("the only copy") {
            assert!(world.step(until), "it is replaced");
        }
        assert!(!world.history_holds(1, "the only copy"), "the transaction goes on");
        // when a program that has the file open writes to it,
        program.save(b"state of the program");
        world.settle();
        // then history has both.
        assert!(world.history_holds(1, "the only copy"), "deletes: {deletes}: {:?}", world.history(1));
        assert!(world.history_holds(1, "state of the program"));
        world.assert_equal();
    }
}

/// F74
#[test]
fn a_conflicts_loser_is_kept_although_history_once_had_its_content() {
    let mut world = couple(521, 0, "");
    world.write(1, "f", "the only copy");
    world.write(1, "g", "base");
    world.settle();
    let program = world.user(1).open(&path("f")).unwrap();
    world.write(0, "f", "changed on m0");
    world.settle();
    program.save(b"state of the program");
    drop(program);
    // Both change g before they see each other; the second machine's loses, and is what history has of f.
    world.set_cut(0, 1, true);
    world.write(1, "g", "the only copy");
    world.run_ms(5_000);
    world.write(0, "g", "newer");
    world.run_ms(1_000);
    world.heal_all();
    world.settle();
    assert_eq!(world.read(1, "g").as_deref(), Some("newer"));
    let kept: Vec<_> = world.history(1).into_iter().filter(|(at, ..)| *at == path("g")).collect();
    assert!(kept.iter().any(|(_, bytes, _)| bytes == b"the only copy"), "{kept:?}");
}

/// F91
#[test]
fn a_renamed_directory_sends_no_content() {
    const FILES: usize = 400;
    let mut world = World::new(530, 3);
    world.pair(0, 1);
    world.pair(1, 2);
    world.start_all();
    world.settle();
    for n in 0..FILES {
        world.write(0, &format!("conf.d/f{n:03}"), &format!("{n} {}", "x".repeat(300)));
    }
    world.write(0, "big", &"0123456789abcdef".repeat(60_000));
    world.settle();
    let received: Vec<u64> = [1, 2].map(|id| world.counters(id).received_bytes).to_vec();
    let user = world.user(0);
    for n in 0..FILES {
        assert!(user.rename(&path(&format!("conf.d/f{n:03}")), &path(&format!("conf.available/f{n:03}"))));
    }
    assert!(user.remove(&path("conf.d")) && user.rename(&path("big"), &path("bigger")));
    for changed in ["conf.d", "conf.available", "big", "bigger"] {
        world.announce(0, &path(changed));
    }
    world.settle();
    world.assert_equal();
    for id in [1, 2] {
        assert_eq!(world.counters(id).received_bytes, received[id - 1], "m{id}: nothing was sent");
        assert_eq!(world.counters(id).reused_files, FILES as u64 + 1, "m{id}");
    }
    // What went is in the history, and comes from there when it is written anew.
    world.remove(0, "bigger");
    world.settle();
    world.write(0, "again", &"0123456789abcdef".repeat(60_000));
    world.settle();
    world.assert_equal();
    assert_eq!(world.counters(1).received_bytes, received[0], "nor what the history has");
}

/// F91
#[test]
fn a_local_copy_that_is_not_what_was_recorded_is_not_taken() {
    let mut world = couple(531, 3, "");
    let content = world.read(0, "f01").unwrap();
    // It was overwritten in place a moment ago, and no scan has seen that.
    world.machines[1].inotify = false;
    assert!(world.user(1).write_in_place(&path("f01"), b"CONTENT 1"));
    world.write(0, "copy of f01", &content);
    world.run_ms(5_000);
    assert_eq!(world.read(1, "copy of f01"), Some(content));
}

/// F93
#[test]
fn a_hold_is_one_event_with_a_count() {
    let mut world = couple(540, 40, "");
    world.share_settings(0).delete_guard = 0;
    world.reload(0);
    (0..30).for_each(|n| world.remove(0, &format!("f{n:02}")));
    world.run_ms(5_000);
    assert_eq!(world.owed(1).len(), 30);
    let held: Vec<String> = world.machines[1]
        .events
        .iter()
        .filter(|(name, _)| *name == "owsync.hold")
        .map(|(_, text)| text.clone())
        .collect();
    assert_eq!(held.len(), 1, "{held:?}");
    assert!(held[0].contains("30 paths (f00, f01, f02, f03 and 26 more) from m0"), "{held:?}");
    let lines =
        world.machines[1].log.iter().filter(|(_, _, line)| line.contains("`owsync approve` deletes them")).count();
    assert_eq!(lines, 1, "and one line in the log");
}

/// F92
#[test]
fn a_rejection_is_called_one_and_is_no_conflict() {
    let mut world = couple(541, 40, "");
    world.share_settings(0).delete_guard = 0;
    world.reload(0);
    (0..30).for_each(|n| world.remove(0, &format!("f{n:02}")));
    world.run_ms(5_000);
    world.reject(1);
    world.settle();
    assert_eq!(world.assert_equal().len(), 40);
    for id in [0, 1] {
        assert_eq!(world.counters(id).conflicts, 0, "m{id}");
        assert!(!world.log_has(id, "conflict"), "m{id}");
    }
    let told: Vec<_> = world.machines[0].events.iter().filter(|(name, _)| *name == "owsync.rejected").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.contains("30 paths"), "{told:?}");
}

/// F92, F136
#[test]
fn a_rollback_is_called_one_in_log_history_and_events() {
    let mut world = couple(542, 30, "");
    for id in [0, 1] {
        world.share_settings(id).confirm = Some(60);
        world.reload(id);
    }
    world.settle();
    (0..28).for_each(|n| world.write(0, &format!("f{n:02}"), &format!("changed {n}")));
    assert!(world.run_until(Duration::from_secs(5), |world| world.read(1, "f27").as_deref() == Some("changed 27")));
    world.done(1, Command::Rollback { share: None });
    world.settle();
    assert_eq!(world.read(0, "f27").as_deref(), Some("content 27"));
    world.assert_equal();
    for id in [0, 1] {
        assert_eq!(world.counters(id).conflicts, 0, "m{id}");
        assert!(!world.log_has(id, "conflict"), "m{id}");
        let told = world.machines[id].events.iter().filter(|(name, _)| *name == "owsync.rollback").count();
        assert_eq!(told, 1, "m{id}");
        let whys: Vec<&str> = world
            .history(id)
            .into_iter()
            .filter(|(_, bytes, _)| bytes.starts_with(b"changed"))
            .map(|(_, _, why)| why)
            .collect();
        assert_eq!(whys, ["rolled back"; 28], "m{id}");
    }
}

/// Three machines in a row that prove their identities and accept those they were told of.
#[cfg(feature = "encryption")]
fn identified(seed: u64) -> World {
    let mut world = World::new(seed, 3);
    world.pair(0, 1);
    world.pair(1, 2);
    world.encrypt();
    world.set_all(|settings| settings.accept = Accept::Known);
    world.start_all();
    world.settle();
    (0..40).for_each(|n| world.write(0, &format!("f{n:02}"), &format!("content {n}")));
    world.settle();
    world
}

/// F94
#[test]
#[cfg(feature = "encryption")]
fn an_approval_travels_with_what_it_approves_and_with_nothing_else() {
    for (here, there) in [(true, true), (false, true), (true, false)] {
        let mut world = identified(543);
        world.share_settings(0).propagate_approvals = here;
        world.share_settings(1).propagate_approvals = there;
        world.reload(0);
        world.reload(1);
        (0..30).for_each(|n| world.remove(0, &format!("f{n:02}")));
        world.run_ms(3_000);
        assert_eq!(world.hold(0), Some("mass_deletion"));
        world.done(0, approve());
        world.run_ms(10_000);
        if here && there {
            // Nobody else is asked.
            world.settle();
            assert_eq!(world.assert_equal().len(), 10);
            continue;
        }
        assert_eq!(world.tree(1).len(), 40, "{here} {there}: asked again");
        assert_eq!(world.owed(1).values().next(), Some(&"mass_deletion"));
        world.done(1, approve());
        world.run_ms(10_000);
        if !there {
            // That one stays where it was given, too.
            assert_eq!(world.tree(2).len(), 40, "{here} {there}: asked again");
            world.done(2, approve());
        }
        world.settle();
        assert_eq!(world.assert_equal().len(), 10);
    }
    // What was not approved is asked about although something else just was.
    let mut world = identified(544);
    (0..30).for_each(|n| world.remove(0, &format!("f{n:02}")));
    world.run_ms(3_000);
    world.done(0, approve());
    world.settle();
    (0..30).for_each(|n| world.write(0, &format!("g{n:02}"), &format!("new {n}")));
    world.settle();
    world.share_settings(0).delete_guard = 0;
    world.reload(0);
    (0..30).for_each(|n| world.remove(0, &format!("g{n:02}")));
    world.run_ms(10_000);
    assert_eq!(world.owed(1).len(), 30);
}

/// F94
#[test]
fn an_approval_of_a_peer_without_an_accepted_identity_counts_for_nothing() {
    for plain in [true, false] {
        if !plain && cfg!(not(feature = "encryption")) {
            continue;
        }
        let mut world = World::new(545, 2);
        world.pair(0, 1);
        if !plain {
            // Any holder of the key may enter: that is nobody in particular.
            world.encrypt();
        }
        world.start_all();
        world.settle();
        (0..40).for_each(|n| world.write(0, &format!("f{n:02}"), &format!("content {n}")));
        world.settle();
        (0..30).for_each(|n| world.remove(0, &format!("f{n:02}")));
        world.run_ms(3_000);
        world.done(0, approve());
        world.run_ms(10_000);
        assert_eq!(world.tree(1).len(), 40, "plain: {plain}");
        assert_eq!(world.owed(1).len(), 30, "plain: {plain}");
    }
}

/// F121
#[test]
fn what_history_has_no_room_for_is_named_and_one_large_file_takes_nobody_elses_place() {
    let mut world = couple(550, 10, "");
    world.machines[1].settings.history.size = 100_000;
    world.reload(1);
    for n in 0..10 {
        world.write(0, &format!("f{n:02}"), &format!("changed {n}"));
    }
    world.write(0, "image", &"i".repeat(1_000_000));
    world.write(0, "half", &"h".repeat(99_990));
    world.settle();
    assert!((0..10).all(|n| world.history_holds(1, &format!("content {n}"))));

    // A peer deletes what is larger than all of the history, and replaces what would fill it.
    world.remove(0, "image");
    world.write(0, "half", "smaller");
    world.settle();
    assert!((0..10).all(|n| world.history_holds(1, &format!("content {n}"))), "nothing else went for it");
    assert!(world.history_holds(1, &"i".repeat(1_000_000)), "and it is kept for a day");

    let status = world.status(1);
    let named: Vec<&str> = status.not_kept.iter().map(|one| one.path.as_str()).collect();
    assert_eq!((named, status.not_kept_count), (vec!["half"], 1));
    assert!(world.log_has(1, "the previous version of half (99990 bytes) was not kept"));
    // After that day the large one goes, and the others stay.
    world.run(Duration::from_secs(2 * 86_400));
    world.write(0, "f00", "changed again");
    world.settle();
    assert!(!world.history_holds(1, &"i".repeat(1_000_000)));
    assert!((0..10).all(|n| world.history_holds(1, &format!("content {n}"))));
}

/// F136
#[test]
fn a_node_that_joined_is_a_member_and_not_the_reference() {
    let mut world = World::new(560, 2);
    world.pair(0, 1);
    world.start_all();
    world.init(0);
    world.settle();
    let role = |world: &World, id: usize| world.status(id).identity.role;
    assert_eq!(role(&world, 0), Role::Reference);
    assert_eq!(role(&world, 1), Role::Member);
    for id in [0, 1] {
        world.stop(id);
        world.start(id);
    }
    world.settle();
    assert_eq!(role(&world, 0), Role::Reference);
    assert_eq!(role(&world, 1), Role::Member);
}

/// F137
#[test]
fn the_first_exchange_is_progress_and_still_rolled_back_when_contact_is_lost() {
    for cut in [false, true] {
        let mut world = World::new(570, 2);
        world.pair(0, 1);
        for id in [0, 1] {
            world.share_settings(id).confirm = Some(60);
        }
        world.write(0, "firewall", "of the reference");
        world.write(1, "firewall", "of the newcomer");
        world.start(0);
        world.init(0);
        world.start(1);
        let applied = |world: &mut World| world.read(1, "firewall").as_deref() == Some("of the reference");
        assert!(world.run_until(Duration::from_secs(30), applied));
        assert!(world.share(1).unconfirmed.is_some_and(|change| change.first));
        if cut {
            world.set_cut(0, 1, true);
            let back = |world: &mut World| world.read(1, "firewall").as_deref() == Some("of the newcomer");
            assert!(world.run_until(Duration::from_secs(90), back));
            continue;
        }
        world.settle();
        world.assert_equal();
        // What comes later is no first exchange.
        world.write(0, "firewall", "changed");
        assert!(
            world.run_until(Duration::from_secs(5), |world| world.read(1, "firewall").as_deref() == Some("changed"))
        );
        assert!(world.share(1).unconfirmed.is_some_and(|change| !change.first));
    }
}

/// F122
#[test]
fn what_a_file_carries_besides_its_content_is_kept_when_it_is_replaced() {
    let mut world = couple(580, 2, "");
    world.user(1).set_extended(&path("f00"), b"user:nobody:r");
    for content in ["changed", "changed again"] {
        world.write(0, "f00", content);
        world.settle();
        assert_eq!(world.read(1, "f00").as_deref(), Some(content));
        assert_eq!(world.user(1).extended(&path("f00")).as_deref(), Some(&b"user:nobody:r"[..]));
    }
    assert_eq!(world.user(0).extended(&path("f00")).as_deref(), Some(&b""[..]), "it does not travel");
}

/// F67: what waits for room, say, is nothing that an approval could end.
#[test]
fn an_approval_where_nothing_waits_for_the_user_is_refused() {
    let mut world = couple(581, 2, "");
    world.share_settings(1).min_free = 1 << 40;
    world.reload(1);
    world.write(0, "f00", "changed");
    world.run_ms(5_000);
    assert_eq!(owed(&world, 1), [("f00".to_string(), "no_room")]);
    for pick in [None, Some(path("f00"))] {
        let reply = world.command(1, Command::Approve { share: None, path: pick, pick: None, dry_run: false });
        assert!(matches!(reply, Reply::Failed { fault: Fault::State, .. }), "{reply:?}");
    }
}

/// F67: the same files are gone, and it is another question what that means.
#[test]
fn an_approval_ends_when_the_reason_of_the_hold_changes() {
    let mut world = couple(582, 4, "");
    (0..4).for_each(|n| world.remove(1, &format!("f{n:02}")));
    world.run_ms(3_000);
    assert_eq!(world.hold(1), Some("emptied"));
    world.command(1, approve());
    // Before it is looked at again, another filesystem shows: what it belongs to was not mounted, or is not any more.
    world.machines[1].disk.unmount("/share");
    world.run(Duration::from_secs(70));
    assert_eq!(world.hold(1), Some("not_mounted"));
    assert_eq!(world.tree(0).len(), 4);
    assert!(world.log_has(1, "the hold changed"));
}

/// F77: a package without any section, as one of comments, is emptied just the same.
#[test]
fn a_package_without_sections_that_is_emptied_is_held_on_both_sides() {
    for author in [0, 1] {
        let mut world = routers(583);
        world.write(author, "notes", "# which router is which\n");
        world.settle();
        world.write(author, "notes", "");
        world.run_ms(5_000);
        assert_eq!(world.of_peer(author, 1 - author).reason.as_deref(), Some("held"), "m{author}");
        world.done(author, approve());
        world.run_ms(5_000);
        let other = 1 - author;
        assert_eq!(world.read(other, "notes").as_deref(), Some("# which router is which\n"), "m{author}");
        assert_eq!(owed(&world, other), [("notes".to_string(), "sections_lost")], "m{author}");
        world.done(other, approve());
        world.settle();
        assert_eq!(world.read(other, "notes").as_deref(), Some(""));
    }
}

/// F4: many small deletions are one large one, where they are made and where they arrive.
#[test]
fn deletions_shortly_after_each_other_count_together_for_the_guard() {
    for guarded in [0, 1] {
        let mut world = couple(584, 40, "");
        world.share_settings(1 - guarded).delete_guard = 0;
        world.reload(1 - guarded);
        world.settle();
        for n in 0..32 {
            world.remove(0, &format!("f{n:02}"));
            if n % 8 == 7 {
                world.run_ms(5_000);
            }
        }
        // The third eight would have been more than half of what there was a moment before.
        match guarded {
            0 => assert_eq!(world.hold(0), Some("mass_deletion")),
            _ => assert!(owed(&world, 1).iter().any(|(_, reason)| *reason == "mass_deletion")),
        }
        assert_eq!(world.tree(1).len(), 24, "m{guarded} guards");
    }
}
