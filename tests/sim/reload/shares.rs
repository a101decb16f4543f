//! Shares that come, go, or have other rules and directions.

use std::path::PathBuf;
use std::time::Duration;

use owsync::model::settings::{ShareSettings, Symlinks};
use owsync::model::{Direction, ShareName};
use owsync::node::api::status::ShareState;

use super::{
    MachineId, World, couple, ends, forget_logs, main, path, peer_mut, read_in, run_until_it_lands, sync_all, three,
    versioned, write_in,
};

fn vpn() -> ShareName {
    ShareName::parse("vpn").unwrap()
}

fn add_vpn(world: &mut World, id: MachineId) {
    world.machines[id].disk.add_root("/vpn");
    let mut share = ShareSettings::new(vpn(), PathBuf::from("/vpn"));
    share.include = vec![b"*".to_vec()];
    share.min_free = 64 * 1024;
    world.machines[id].settings.shares.push(share);
}

#[test]
fn a_guard_that_is_switched_off_lets_pass_what_it_held() {
    let mut world = three(4);
    (0..20).for_each(|number| world.write(0, &format!("many/{number}"), "x"));
    world.settle();
    (0..20).for_each(|number| world.remove(0, &format!("many/{number}")));
    world.run_ms(5_000);
    assert!(world.log_has(0, "vanished at once"));
    forget_logs(&mut world);
    (0..3).for_each(|id| world.share_settings(id).delete_guard = 0);
    (0..3).for_each(|id| world.reload(id));
    world.settle();
    assert_eq!(world.read(2, "many/7"), None);
    assert_eq!((ends(&world, 0, 1), ends(&world, 0, 2)), (0, 0));
}

#[test]
fn nothing_is_offered_by_another_filter_before_a_scan_has_applied_it() {
    let mut world = couple(5);
    world.share_settings(0).min_free = 0;
    world.reload(0);
    assert_eq!(world.share(0).state, ShareState::Idle);
    world.share_settings(0).exclude = vec![b"network".to_vec()];
    world.reload(0);
    assert_eq!(world.share(0).state, ShareState::Scanning);
}

#[test]
fn a_new_share_is_exchanged_and_sessions_without_it_stand() {
    let mut world = three(30);
    (0..3).for_each(|id| add_vpn(&mut world, id));
    write_in(&mut world, 0, "/vpn", "ca.pem", "secret");
    peer_mut(&mut world, 0, 2).shares = Some(vec![main()]);
    world.reload(1);
    world.reload(2);
    world.reload(0);
    world.run_ms(5_000);
    forget_logs(&mut world);
    world.machines[0].settings.shares[1].max_file_size = 1_000;
    world.reload(0);
    world.run_ms(5_000);
    assert_eq!(read_in(&world, 1, "/vpn", "ca.pem").as_deref(), Some("secret"));
    assert_eq!((ends(&world, 0, 1), ends(&world, 0, 2)), (1, 0));
}

#[test]
fn a_share_that_was_removed_and_comes_back_resurrects_nothing() {
    let mut world = World::new(31, 2);
    world.pair(0, 1);
    (0..2).for_each(|id| add_vpn(&mut world, id));
    world.start_all();
    write_in(&mut world, 0, "/vpn", "old.pem", "old");
    write_in(&mut world, 0, "/vpn", "ca.pem", "one");
    sync_all(&mut world);
    assert_eq!(read_in(&world, 1, "/vpn", "old.pem").as_deref(), Some("old"));
    // When m0 gives the share up, and both sides change it meanwhile,
    let share = world.machines[0].settings.shares.pop().unwrap();
    world.reload(0);
    world.run(Duration::from_secs(5));
    assert!(world.user_of(1, "/vpn").remove(&path("old.pem")));
    write_in(&mut world, 0, "/vpn", "ca.pem", "two");
    world.run(Duration::from_secs(120));
    let summary = world.summary(1);
    assert!(summary.contains("share vpn: no connected peer has this share"), "{summary}");
    assert_eq!(read_in(&world, 0, "/vpn", "old.pem").as_deref(), Some("old"), "nobody looks after it now");
    assert_eq!(read_in(&world, 1, "/vpn", "ca.pem").as_deref(), Some("one"));
    // then what was deleted there goes here, and what was edited here goes there.
    world.machines[0].settings.shares.push(share);
    world.reload(0);
    sync_all(&mut world);
    assert_eq!(read_in(&world, 0, "/vpn", "old.pem"), None);
    assert_eq!(read_in(&world, 1, "/vpn", "old.pem"), None);
    assert_eq!(read_in(&world, 1, "/vpn", "ca.pem").as_deref(), Some("two"));
}

#[test]
fn a_narrower_filter_deletes_nothing_and_a_wider_one_hears_again() {
    let mut world = couple(40);
    world.write(0, "dhcp", "one");
    world.write(0, "network", "left alone");
    world.settle();
    world.share_settings(1).exclude = vec![b"network".to_vec()];
    world.reload(1);
    world.settle();
    world.write(0, "network", "changed while left out");
    world.write(0, "wireless", "new");
    world.settle();
    assert_eq!(world.read(1, "network").as_deref(), Some("left alone"));
    assert_eq!(world.read(1, "wireless").as_deref(), Some("new"));
    assert_eq!(world.read(0, "network").as_deref(), Some("changed while left out"));
    world.share_settings(1).exclude.clear();
    world.reload(1);
    world.settle();
    assert_eq!(world.read(1, "network").as_deref(), Some("changed while left out"));
    world.assert_equal();
}

#[test]
fn a_larger_size_limit_lets_in_what_was_too_large() {
    let mut world = couple(41);
    world.share_settings(1).max_file_size = 100;
    world.reload(1);
    world.settle();
    world.write(0, "image", &"x".repeat(200));
    world.settle();
    assert_eq!(world.read(1, "image"), None);
    world.share_settings(1).max_file_size = 1000;
    world.reload(1);
    world.settle();
    assert_eq!(world.read(1, "image"), Some("x".repeat(200)));
}

#[test]
fn symlinks_travel_once_both_sides_say_so() {
    let mut world = couple(42);
    world.write(0, "dhcp", "one");
    assert!(world.user(0).make_link(&path("link"), b"dhcp"));
    sync_all(&mut world);
    assert!(world.user(1).stat(&path("link")).is_none());
    for id in 0..2 {
        world.share_settings(id).symlinks = Symlinks::Copy;
        world.reload(id);
    }
    world.settle();
    assert!(world.user(1).stat(&path("link")).is_some());
}

#[test]
fn what_was_on_its_way_when_the_filter_changed_is_left_out() {
    let mut world = couple(43);
    (0..200).for_each(|number| world.write(0, &format!("many/{number}"), "x"));
    world.write(0, "zz", "of m0");
    run_until_it_lands(&mut world, 1);
    // A user is faster than the landing, so this path of it is decided again, and nobody is there to tell more of it.
    assert!(world.user(1).write(&path("zz"), b"of m1"));
    world.share_settings(1).exclude = vec![b"zz".to_vec()];
    world.set_cut(0, 1, true);
    world.reload(1);
    world.run_ms(20_000);
    let left = world.user(1).paths();
    assert!(left.iter().all(|path| !path.to_text().contains("owsync")), "{left:?}");
    world.heal_all();
    world.settle();
    assert_eq!(world.read(1, "zz").as_deref(), Some("of m1"));
    assert_eq!(world.read(1, "many/199").as_deref(), Some("x"));
}

#[test]
fn a_receiver_that_becomes_a_full_member_offers_what_only_it_has() {
    for before in [Direction::Receive, Direction::Observe] {
        let mut world = couple(62);
        world.write(0, "dhcp", "one");
        world.settle();
        world.share_settings(1).direction = before;
        world.reload(1);
        world.run_ms(5_000);
        world.write(1, "only", "here");
        world.write(1, "dhcp", "changed here");
        world.run_ms(20_000);
        assert_eq!(world.read(0, "only"), None, "{before:?}");
        world.share_settings(1).direction = Direction::Both;
        world.reload(1);
        world.settle();
        assert_eq!(world.read(0, "only").as_deref(), Some("here"), "{before:?}");
        assert!(versioned(&world, 0) && versioned(&world, 1), "{before:?}");
        world.assert_equal();
        world.remove(0, "only");
        world.settle();
        assert_eq!(world.read(1, "only"), None, "{before:?}");
    }
}

#[test]
fn a_receiver_relays_what_it_took_and_keeps_its_own() {
    let mut world = World::new(64, 3);
    world.pair(0, 1);
    world.pair(1, 2);
    world.share_settings(1).direction = Direction::Receive;
    world.start_all();
    world.write(0, "dhcp", "from m0");
    world.write(1, "own", "of m1");
    world.run_ms(5_000);
    assert_eq!(world.read(2, "dhcp").as_deref(), Some("from m0"));
    assert_eq!((world.read(0, "own"), world.read(2, "own")), (None, None));
}

#[test]
fn a_peer_that_may_take_more_is_offered_what_it_missed() {
    let mut world = couple(63);
    peer_mut(&mut world, 0, 1).direction = Direction::Receive;
    world.reload(0);
    world.run_ms(5_000);
    world.write(0, "dhcp", "missed");
    world.run_ms(10_000);
    assert_eq!(world.read(1, "dhcp"), None);
    peer_mut(&mut world, 0, 1).direction = Direction::Both;
    world.reload(0);
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("missed"));
}

#[test]
fn a_deletion_that_a_direction_kept_from_a_peer_does_not_expire() {
    let mut world = couple(65);
    world.set_all(|settings| settings.poll_interval = Duration::from_secs(86_400));
    world.write(1, "dhcp", "old");
    world.settle();
    peer_mut(&mut world, 0, 1).direction = Direction::Receive;
    (0..2).for_each(|id| world.reload(id));
    world.settle();
    world.remove(0, "dhcp");
    world.run(Duration::from_secs(32 * 86_400));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("old"));
    peer_mut(&mut world, 0, 1).direction = Direction::Both;
    world.reload(0);
    world.settle();
    assert_eq!((world.read(0, "dhcp"), world.read(1, "dhcp")), (None, None));
}
