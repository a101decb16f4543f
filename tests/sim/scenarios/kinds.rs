//! Files, directories and symlinks that take each other's place, and what gives way to something that is not synced.

use std::time::Duration;

use owsync::model::settings::Symlinks;

use super::{couple, tree};
use crate::world::{MachineId, World, path};

/// What a user can put at a path.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Thing {
    Nothing,
    File,
    OtherFile,
    EmptyDir,
    Tree,
    Link,
    Fifo,
    TooLarge,
    Unreadable,
    UnreadableDir,
    Mount,
}

const THINGS: [Thing; 11] = [
    Thing::Nothing,
    Thing::File,
    Thing::OtherFile,
    Thing::EmptyDir,
    Thing::Tree,
    Thing::Link,
    Thing::Fifo,
    Thing::TooLarge,
    Thing::Unreadable,
    Thing::UnreadableDir,
    Thing::Mount,
];

impl Thing {
    /// Whether it travels, in a share that copies or ignores symlinks.
    fn is_synced(self, symlinks: Symlinks) -> bool {
        match self {
            Thing::Nothing | Thing::File | Thing::OtherFile | Thing::EmptyDir | Thing::Tree => true,
            Thing::Link => symlinks == Symlinks::Copy,
            Thing::Fifo | Thing::TooLarge | Thing::Unreadable | Thing::UnreadableDir | Thing::Mount => false,
        }
    }
}

/// A user takes away what is at `p`, and puts this there.
fn put(world: &mut World, id: MachineId, old: Thing, new: Thing) {
    let (name, below) = (path("p"), path("p/below"));
    let user = world.user(id);
    if old == Thing::Mount {
        user.unmount(&name);
    }
    user.remove(&name);
    world.announce(id, &below);
    let user = world.user(id);
    match new {
        Thing::Nothing => {}
        Thing::File => assert!(user.write(&name, b"a file")),
        Thing::OtherFile => assert!(user.write(&name, b"another file")),
        Thing::EmptyDir => assert!(user.make_dir(&name)),
        Thing::Tree => {
            assert!(user.write(&below, b"below"));
            assert!(user.write(&path("p/deep/er"), b"deeper"));
        }
        Thing::Link => assert!(user.make_link(&name, b"kept")),
        Thing::Fifo => user.make_fifo(&name),
        Thing::TooLarge => assert!(user.write(&name, &[b'x'; 3_000])),
        Thing::Unreadable => {
            assert!(user.write(&name, b"secret"));
            user.chmod(&name, 0);
        }
        Thing::UnreadableDir => {
            assert!(user.write(&below, b"below"));
            user.chmod(&name, 0);
        }
        Thing::Mount => user.mount(&name),
    }
    world.announce(id, &name);
}

fn pair_of(symlinks: Symlinks, seed: u64) -> World {
    let mut world = couple(seed);
    for id in 0..2 {
        world.share_settings(id).symlinks = symlinks;
        world.share_settings(id).max_file_size = 2_000;
        world.reload(id);
    }
    world.write(0, "kept", "k");
    world.settle();
    world
}

/// F70, F72, F73: every ordered pair of kinds, and what follows on it.
#[test]
fn kinds_replace_each_other_in_every_order() {
    let mut seed = 7_200;
    for symlinks in [Symlinks::Ignore, Symlinks::Copy] {
        for first in THINGS {
            for second in THINGS {
                for third in [[Thing::Nothing, Thing::File, Thing::Tree][seed as usize % 3]] {
                    seed += 1;
                    // Every other time, the daemon is down while the user works.
                    {
                        let restarts = seed % 2 == 0;
                        let mut world = pair_of(symlinks, seed);
                        let what = format!("{symlinks:?}: {first:?}, then {second:?}, then {third:?}, {restarts}");
                        let mut old = Thing::Nothing;
                        for thing in [first, second, third] {
                            if restarts {
                                world.stop(0);
                            }
                            put(&mut world, 0, old, thing);
                            old = thing;
                            if restarts {
                                world.start(0);
                            }
                            world.run_ms(3_000);
                            if thing.is_synced(symlinks) {
                                let quiet = world.run_until(Duration::from_secs(200), |world| world.is_in_sync());
                                let states: Vec<_> =
                                    (0..2).map(|id| format!("{:?}", world.status(id).summary)).collect();
                                assert!(quiet, "{what}: after {thing:?}: {states:?}");
                                let trees =
                                    [world.machines[0].disk.user("/share"), world.machines[1].disk.user("/share")].map(
                                        |user| {
                                            let paths = user.paths().into_iter();
                                            paths.map(|p| (user.mode(&p), user.read(&p), p)).collect::<Vec<_>>()
                                        },
                                    );
                                assert_eq!(trees[0], trees[1], "{what}: after {thing:?}");
                            } else {
                                // What is not synced is named, takes nothing from the peer, and holds up nothing else.
                                assert!(world.skipped(0, "p").is_some(), "{what}: {thing:?} is not named");
                            }
                            world.write(0, "kept", &format!("after {thing:?}"));
                            world.run_ms(2_000);
                            assert_eq!(world.read(1, "kept").as_deref(), Some(&*format!("after {thing:?}")), "{what}");
                        }
                        assert!(world.is_swept(0) && world.is_swept(1), "{what}");
                    }
                }
            }
        }
    }
}

/// F70
#[test]
fn a_deletion_below_what_is_a_symlink_or_a_mount_point_here_blocks_nothing() {
    for mounts in [false, true] {
        // Given machines of which one has something else where the other has a directory,
        let mut world = World::new(70, 2);
        world.pair(0, 1);
        match mounts {
            true => world.user(1).mount(&path("d")),
            false => assert!(world.user(1).make_link(&path("d"), b"elsewhere")),
        }
        world.write(0, "d/z", "z");
        world.write(0, "kept", "k");
        world.start(0);
        world.run_ms(3_000);
        world.remove(0, "d/z");
        world.run_ms(3_000);
        // when a deletion below it is all that is known of that path,
        world.start(1);
        world.run_ms(10_000);
        world.write(0, "d/y", "y");
        world.run_ms(3_000);
        world.remove(0, "d/y");
        world.run_ms(5_000);
        // then everything else goes on, also after a restart.
        for round in 0..2 {
            world.write(0, "kept", &format!("round {round}"));
            world.run_ms(5_000);
            assert_eq!(world.read(1, "kept"), Some(format!("round {round}")), "mounts {mounts}");
            world.stop(1);
            world.start(1);
            world.run_ms(5_000);
        }
        assert!(world.share(1).blocked.is_none());
        if mounts {
            world.user(1).unmount(&path("d"));
        } else {
            world.remove(1, "d");
        }
        world.announce(1, &path("d"));
        world.run_ms(2_000);
        world.settle();
    }
}

/// F70, F72: `symlinks copy`, with a directory moved away and a symlink in its place, in one moment or two.
#[test]
fn a_directory_that_a_symlink_replaces_goes_everywhere() {
    for pause in [0, 1_000] {
        let mut world = pair_of(Symlinks::Copy, 72);
        world.put(0, &tree! { "d/x" => "1", "d/sub/y" => "2", "e/f" => "3" });
        world.settle();
        world.remove(0, "d");
        world.run_ms(pause);
        assert!(world.user(0).make_link(&path("d"), b"e"));
        world.announce(0, &path("d/x"));
        world.announce(0, &path("d"));
        world.settle();
        for id in 0..2 {
            assert_eq!(world.read(id, "d").as_deref(), Some("-> e"), "m{id}, {pause}");
        }
        world.assert_equal();
        assert!(world.history_holds(1, "1") && world.history_holds(1, "2"));
    }
}

/// F72: a share of paths below directories of which one moves to a larger disk.
#[test]
fn a_symlink_that_the_filter_leaves_out_deletes_nothing_below_it() {
    let mut world = couple(73);
    for id in 0..2 {
        world.share_settings(id).include = vec![b"d/*.conf".to_vec(), b"kept".to_vec()];
        world.reload(id);
    }
    world.put(0, &tree! { "d/a.conf" => "1", "kept" => "k" });
    world.settle();
    world.remove(0, "d");
    assert!(world.user(0).make_link(&path("d"), b"/mnt/usb/d"));
    world.announce(0, &path("d"));
    world.run(Duration::from_secs(130));
    assert_eq!(world.read(1, "d/a.conf").as_deref(), Some("1"));
    assert!(world.skipped(0, "d").is_some());
}

/// F73: what the filter leaves out for a while, and is removed meanwhile, was deleted by nobody who knew that others
/// have it.
#[test]
fn what_is_removed_while_the_filter_leaves_it_out_comes_back_with_the_filter() {
    for restarts in [false, true] {
        let mut world = couple(74);
        world.put(0, &tree! { "a.local" => "1", "kept" => "k" });
        world.settle();
        world.share_settings(0).exclude = vec![b"*.local".to_vec()];
        world.reload(0);
        world.run_ms(3_000);
        world.remove(0, "a.local");
        world.run_ms(3_000);
        if restarts {
            world.stop(0);
        }
        world.share_settings(0).exclude.clear();
        if restarts {
            world.start(0);
        } else {
            world.reload(0);
        }
        world.settle();
        assert_eq!((world.read(0, "a.local"), world.read(1, "a.local")), (Some("1".into()), Some("1".into())));
    }
}

/// F73: the peer changed it while it slept here, before or after it was removed.
#[test]
fn what_slept_and_was_removed_meets_the_peers_edit_as_any_deletion_does() {
    for (later, left) in [(true, Some("edited")), (false, None)] {
        let mut world = pair_of(Symlinks::Ignore, 75);
        world.write(0, "p", "small");
        world.settle();
        world.write(0, "p", &"x".repeat(3_000));
        world.run_ms(3_000);
        world.set_cut(0, 1, true);
        world.run_ms(1_000);
        let edit = |world: &mut World| world.write(1, "p", "edited");
        if !later {
            edit(&mut world);
            world.run_ms(5_000);
        }
        world.remove(0, "p");
        world.run_ms(5_000);
        if later {
            edit(&mut world);
            world.run_ms(5_000);
        }
        world.heal_all();
        world.settle();
        for id in 0..2 {
            assert_eq!(world.read(id, "p").as_deref(), left, "m{id}, {later}");
        }
    }
}
