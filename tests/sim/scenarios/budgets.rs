//! What a small machine keeps of its peers, and with how little of its own it gets by.

use std::time::Duration;

use super::{couple, tree};
use crate::world::{World, path};

/// A path of about `length` bytes.
fn long(name: &str, length: usize) -> String {
    let dir = "d".repeat(200);
    let deep = vec![dir.as_str(); (length - name.len()) / 201].join("/");
    let last = length - deep.len() - name.len();
    format!("{deep}/{}{name}", "x".repeat(last.min(200)))
}

/// F69: a Progress that is not bounded by bytes while it is built ends the daemon, again after every restart.
#[test]
fn pending_paths_of_any_length_are_reported_and_stop_nobody() {
    // Given a machine that takes no large files, and a peer that has forty of them under paths of 3,900 bytes,
    let mut world = World::new(6900, 2);
    world.pair(0, 1);
    world.share_settings(1).max_file_size = 10;
    for n in 0..40 {
        assert!(world.user(0).write(&path(&long(&format!("f{n}"), 3_900)), b"longer than that"));
    }
    world.start_all();
    // when they meet, then all of them are pending,
    assert!(world.run_until(Duration::from_secs(60), |world| world.owed(1).len() == 40));
    // and the rest goes on, also after a restart.
    world.write(0, "dhcp", "one");
    assert!(world.run_until(Duration::from_secs(5), |world| world.read(1, "dhcp").as_deref() == Some("one")));
    world.stop(1);
    world.start(1);
    world.write(0, "dhcp", "two");
    assert!(world.run_until(Duration::from_secs(20), |world| world.read(1, "dhcp").as_deref() == Some("two")));
}

/// F78: with one descriptor per requested file, a first sync of more files than that never ends.
#[test]
fn a_first_sync_of_many_files_needs_a_handful_of_descriptors() {
    let mut world = World::new(7800, 2);
    world.pair(0, 1);
    let files = (0..2_500).map(|n| (format!("d{}/f{n}", n % 50), format!("{n}"))).collect();
    world.put(0, &files);
    world.machines[1].disk.0.borrow_mut().descriptors = 8;
    world.start_all();
    world.settle();
    assert_eq!(world.tree(1), files);
    let disk = world.machines[1].disk.0.borrow();
    assert_eq!(disk.exhausted.get(), 0, "{} at once", disk.most_open.get());
}

/// F78: with one descriptor per requested file, a first sync of more files than that never ends.
#[test]
fn descriptors_that_are_used_up_for_a_while_lose_nothing_and_everything_goes_on() {
    for few in 0..3 {
        // Given two machines in sync, when one of them has hardly a descriptor left,
        let mut world = couple(7801 + few as u64);
        world.put(0, &tree! { "kept" => "k", "d/deep" => "1", "gone" => "g" });
        world.settle();
        let files = (0..300).map(|n| (format!("f{n}"), format!("{n}"))).collect();
        world.machines[1].disk.0.borrow_mut().descriptors = few;
        world.put(0, &files);
        world.write(1, "d/deep", "2");
        world.remove(0, "gone");
        // and scans, restarts and retries fall into that time,
        world.run(Duration::from_secs(150));
        assert!(few > 1 || world.machines[1].disk.0.borrow().exhausted.get() > 0);
        // then nothing is taken for deleted or unreadable,
        assert_eq!(world.read(0, "kept").as_deref(), Some("k"));
        world.machines[1].disk.0.borrow_mut().descriptors = usize::MAX;
        // and afterwards all is well without anybody's help.
        world.settle();
        let mut all: std::collections::BTreeMap<String, String> = files;
        all.extend(tree! { "kept" => "k", "d/deep" => "2" });
        assert_eq!((world.tree(0), world.tree(1)), (all.clone(), all), "with {few}");
    }
}
