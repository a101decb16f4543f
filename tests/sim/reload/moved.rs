//! A share whose directory is another one.

use std::path::PathBuf;

use super::{
    MachineId, World, couple, forget_logs, lands, main, path, read_in, run_until_it_lands, versioned, write_in,
};

/// A machine's share moves to another directory that holds `files`.
fn move_share(world: &mut World, id: MachineId, files: &[(&str, &str)]) {
    world.machines[id].disk.add_root("/elsewhere");
    for (name, content) in files {
        write_in(world, id, "/elsewhere", name, content);
    }
    world.share_settings(id).dir = PathBuf::from("/elsewhere");
}

/// Both have `a`, `b` and `c`; a fourth file was deleted.
fn settled(seed: u64) -> World {
    let mut world = couple(seed);
    for name in ["a", "b", "c", "gone"] {
        world.write(0, name, &format!("{name} is here"));
    }
    world.settle();
    world.remove(0, "gone");
    world.settle();
    forget_logs(&mut world);
    world
}

fn files_in(world: &World, id: MachineId, root: &str) -> Vec<(String, String)> {
    let files = world.machines[id].disk.user(root).files();
    files.into_iter().map(|(path, bytes)| (path.to_text(), String::from_utf8_lossy(&bytes).into_owned())).collect()
}

const SETTLED: [(&str, &str); 3] = [("a", "a is here"), ("b", "b is here"), ("c", "c is here")];

fn expect_settled(world: &World) {
    let want: Vec<(String, String)> = SETTLED.iter().map(|(n, c)| (n.to_string(), c.to_string())).collect();
    assert_eq!(files_in(world, 0, "/share"), want, "the other node keeps what it has");
    assert_eq!(files_in(world, 1, "/elsewhere"), want);
}

#[test]
fn a_share_that_moves_to_an_empty_directory_is_filled_and_deletes_nothing() {
    let mut world = settled(50);
    move_share(&mut world, 1, &[]);
    world.reload(1);
    world.settle();
    expect_settled(&world);
    assert_eq!(files_in(&world, 1, "/share").len(), 3, "the old directory is left as it is");
    assert!(world.user_of(1, "/share").paths().iter().all(|path| !path.to_text().contains("owsync")));
}

#[test]
fn a_share_whose_files_moved_with_it_transfers_nothing() {
    let mut world = settled(51);
    move_share(&mut world, 1, &SETTLED);
    world.reload(1);
    world.settle();
    expect_settled(&world);
    let before = 4 * "a is here".len() as u64 + 3;
    assert_eq!(world.counters(1).received_bytes, before, "only what came before it moved");
}

#[test]
fn what_differs_where_a_share_moved_yields_and_is_kept() {
    let mut world = settled(52);
    move_share(&mut world, 1, &[("a", "another a"), ("gone", "gone is here"), ("own", "only here")]);
    world.reload(1);
    world.settle();
    let want = [("a", "a is here"), ("b", "b is here"), ("c", "c is here"), ("own", "only here")];
    let want: Vec<(String, String)> = want.iter().map(|(n, c)| (n.to_string(), c.to_string())).collect();
    assert_eq!(files_in(&world, 1, "/elsewhere"), want);
    assert_eq!(files_in(&world, 0, "/share"), want, "what nobody else has is shared");
    assert!(world.history_holds(1, "another a"));
    assert!(world.history_holds(1, "gone is here"), "a deletion is not undone by an old copy");
    assert!(versioned(&world, 1), "what stayed has a version, so that everybody can tell its edits from others");
    // And the deletion of what came with the move travels like any other.
    world.remove(0, "own");
    world.settle();
    assert_eq!(read_in(&world, 1, "/elsewhere", "own"), None);
}

#[test]
fn a_directory_that_changed_while_owsync_was_not_running_is_no_deletion_either() {
    let mut world = settled(53);
    world.stop(1);
    move_share(&mut world, 1, &[("a", "another a")]);
    world.start(1);
    world.settle();
    expect_settled(&world);
}

#[test]
fn a_share_that_moves_to_a_missing_directory_waits_for_it() {
    let mut world = settled(54);
    move_share(&mut world, 1, &[]);
    world.machines[1].disk.remove_root("/elsewhere");
    world.reload(1);
    world.run_ms(30_000);
    assert_eq!(files_in(&world, 0, "/share").len(), 3);
    assert!(world.log_has(1, "the directory cannot be opened"));
    world.machines[1].disk.mount("/elsewhere");
    world.settle();
    expect_settled(&world);
}

#[test]
fn a_landing_is_brought_to_its_end_where_it_began() {
    for crash in [false, true] {
        let mut world = settled(55);
        let names: Vec<String> = (0..200).map(|number| format!("many/{number}")).collect();
        for name in &names {
            assert!(world.user(0).write(&path(name), name.as_bytes()));
        }
        assert!(world.user(0).write(&path("a"), b"a after the move"));
        world.with(0, |node, now| node.handle_change(now, &main(), None));
        run_until_it_lands(&mut world, 1);
        move_share(&mut world, 1, &SETTLED);
        if crash {
            world.kill(1);
            world.start(1);
        } else {
            world.reload(1);
        }
        world.settle();
        assert_eq!(files_in(&world, 1, "/elsewhere"), files_in(&world, 0, "/share"), "crash {crash}");
        assert!(world.history_holds(1, "a is here"), "crash {crash}");
        let left = world.user_of(1, "/share").paths();
        assert!(left.iter().all(|path| !path.to_text().contains("owsync")), "crash {crash}: {left:?}");
    }
}

#[test]
fn a_landing_of_a_share_that_is_removed_is_brought_to_its_end() {
    let mut world = settled(56);
    for number in 0..200 {
        assert!(world.user(0).write(&path(&format!("many/{number}")), b"x"));
    }
    assert!(world.user(0).write(&path("a"), b"a after"));
    world.with(0, |node, now| node.handle_change(now, &main(), None));
    run_until_it_lands(&mut world, 1);
    let share = world.machines[1].settings.shares.pop().unwrap();
    world.reload(1);
    world.run_ms(5_000);
    assert!(!lands(&world, 1));
    assert!(world.status(1).shares.is_empty());
    assert!(world.history_holds(1, "a is here"));
    let left = world.user(1).paths();
    assert!(left.iter().all(|path| !path.to_text().contains("owsync")), "{left:?}");
    world.machines[1].settings.shares.push(share);
    world.reload(1);
    world.settle();
    world.assert_equal();
}
