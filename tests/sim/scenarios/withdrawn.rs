//! Entries that a node no longer has, and peers that still wait for them.

use std::time::Duration;

use owsync::model::Direction;
use owsync::model::settings::Mode;
use owsync::node::api::Command;

use super::{couple, tree};
use crate::disk::User;
use crate::world::{World, main, path};

/// What the second machine, which was told to wait for its user, has pending from the first; then its user says `sync`.
fn waiting(seed: u64) -> World {
    let mut world = couple(seed);
    world.put(0, &tree! { "kept" => "1", "other" => "2", "more" => "3", "d/below" => "4" });
    world.settle();
    world.share_settings(1).mode = Mode::Manual;
    world.reload(1);
    world.settle();
    world.write(0, "dhcp", "offered, and not applied");
    world.run_ms(5_000);
    assert_eq!(world.owed(1).get("dhcp"), Some(&"manual"));
    world
}

/// The user says when, and nothing waits for what is not there any more.
fn ends(mut world: World, what: &str) -> World {
    world.run_ms(5_000);
    world.done(1, Command::Sync { peer: None, share: Some(main()), dry_run: false, wait: false });
    world.run(Duration::from_secs(60));
    assert_eq!(world.owed(1), [].into(), "{what}");
    assert_eq!(world.of_peer(1, 0).in_sync, Some(true), "{what}");
    assert_eq!(world.of_peer(0, 1).in_sync, Some(true), "{what}");
    assert_eq!(world.read(1, "dhcp"), None, "{what}");
    world
}

#[test]
fn what_a_reject_gives_up_is_pending_nowhere() {
    let mut world = waiting(601);
    // Given a root that is emptied, and a user who takes what the other nodes have,
    let user: User = world.user(0);
    for name in ["kept", "other", "more", "d", "dhcp"] {
        assert!(user.remove(&path(name)));
    }
    world.with(0, |node, now| node.handle_change(now, &main(), None));
    world.run(Duration::from_secs(60));
    assert_eq!(world.hold(0), Some("emptied"));
    world.reject(0);
    // then the files that others have come back, and what nobody has is waited for by nobody.
    let world = ends(world, "given up");
    assert_eq!(world.tree(0), world.tree(1));
    assert_eq!(world.tree(0).len(), 4);
    // A node that met the withdrawal and one that did not know the same.
    let index = &world.node(0).state().shares[&main()].index;
    assert!(index.get(&path("dhcp")).is_none_or(|record| record.entry.is_nothing()));
}

#[test]
fn what_a_share_in_another_directory_no_longer_has_is_pending_nowhere() {
    let mut world = waiting(602);
    world.machines[0].disk.add_root("/moved");
    world.share_settings(0).dir = "/moved".into();
    world.reload(0);
    world.run(Duration::from_secs(10));
    world.done(1, Command::Sync { peer: None, share: Some(main()), dry_run: false, wait: false });
    world.run(Duration::from_secs(60));
    assert_eq!(world.owed(1), [].into());
}

#[test]
fn what_a_setting_puts_to_sleep_is_pending_nowhere_and_comes_back_with_it() {
    let exclude: fn(&mut World) = |world| world.share_settings(0).exclude = vec![b"dhcp".to_vec()];
    let limit: fn(&mut World) = |world| world.share_settings(0).max_file_size = 3;
    for (what, change) in [("filter", exclude), ("max_file_size", limit)] {
        let mut world = waiting(603);
        let before = (world.share_settings(0).exclude.clone(), world.share_settings(0).max_file_size);
        change(&mut world);
        world.reload(0);
        let mut world = ends(world, what);
        (world.share_settings(0).exclude, world.share_settings(0).max_file_size) = before;
        world.reload(0);
        world.share_settings(1).mode = Mode::Auto;
        world.reload(1);
        world.settle();
        assert_eq!(world.read(1, "dhcp").as_deref(), Some("offered, and not applied"), "{what}");
        world.assert_equal();
    }
}

#[test]
fn what_an_edit_that_stays_here_replaced_is_pending_nowhere() {
    let manual: fn(&mut World) = |world| world.share_settings(0).mode = Mode::Manual;
    let receive: fn(&mut World) = |world| world.share_settings(0).direction = Direction::Receive;
    let observe: fn(&mut World) = |world| world.share_settings(0).direction = Direction::Observe;
    for (what, change) in [("manual", manual), ("receive", receive), ("observe", observe)] {
        let mut world = waiting(604);
        change(&mut world);
        world.reload(0);
        world.run_ms(3_000);
        world.write(0, "dhcp", "stays here");
        world.run_ms(5_000);
        world.done(1, Command::Sync { peer: None, share: Some(main()), dry_run: false, wait: false });
        world.run(Duration::from_secs(60));
        assert_eq!(world.owed(1), [].into(), "{what}");
        assert_eq!(world.read(1, "dhcp"), None, "{what}");
    }
}

#[test]
fn a_deletion_that_does_not_leave_a_node_withdraws_what_it_deleted() {
    let mut world = waiting(605);
    world.share_settings(0).deletions = Direction::Receive;
    world.reload(0);
    world.run_ms(3_000);
    world.remove(0, "dhcp");
    let _ = ends(world, "propagate_deletions");
}

#[test]
fn a_new_node_withdraws_what_it_showed_and_deleted_before_it_had_a_claim() {
    let mut world = World::new(606, 3);
    world.pair(0, 1);
    world.pair(1, 2);
    world.share_settings(0).mode = Mode::Manual;
    world.user(1).write(&path("dhcp"), b"shown");
    world.start(0);
    world.start(1);
    // Given a node that has shown a file to one peer, and lost it before an exchange was complete,
    let until = world.now_ms + 60_000;
    while world.owed(0).is_empty() {
        assert!(world.step(until), "it is shown");
    }
    world.set_cut(0, 1, true);
    world.reset_links(0);
    world.remove(1, "dhcp");
    world.run_ms(1_000);
    assert_eq!(world.owed(0).get("dhcp"), Some(&"manual"));
    assert!(!world.node(1).state().shares[&main()].meta.past);
    // when it completes its first exchange with another peer, and then meets the first one again,
    world.start(2);
    world.run(Duration::from_secs(20));
    world.heal_all();
    world.run(Duration::from_secs(60));
    // then that one waits for nothing.
    world.done(0, Command::Sync { peer: None, share: Some(main()), dry_run: false, wait: false });
    world.run(Duration::from_secs(60));
    assert_eq!(world.owed(0), [].into());
}

#[test]
fn nothing_is_pending_from_a_peer_that_no_longer_has_the_share() {
    let mut world = waiting(607);
    world.machines[0].settings.shares.clear();
    world.reload(0);
    world.run(Duration::from_secs(20));
    assert_eq!(world.owed(1), [].into());
}

#[test]
fn a_filter_that_leaves_out_what_everybody_has_sends_nothing() {
    let mut world = couple(608);
    for n in 0..200 {
        world.user(0).write(&path(&format!("many/{n}")), b"x");
    }
    world.write(0, "last", "1");
    world.settle();
    let before = world.bytes;
    world.share_settings(0).exclude = vec![b"many".to_vec()];
    world.reload(0);
    world.run(Duration::from_secs(5));
    // A new session, and no list of two hundred names.
    assert!(world.bytes - before < 8_000, "{} bytes", world.bytes - before);
}
