//! A share whose mode is manual: nothing crosses until a person says so, and then everything does.

use std::time::Duration;

use owsync::model::Direction;
use owsync::model::settings::Mode;
use owsync::node::api::Command;

use super::world::{World, main};

/// Two machines in sync, of which the first is told by a person when to exchange.
fn couple(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.write(0, "dhcp", "one");
    world.settle();
    world.share_settings(0).mode = Mode::Manual;
    world.reload(0);
    world.settle();
    world
}

fn sync() -> Command {
    Command::Sync { peer: None, share: Some(main()), dry_run: false, wait: false }
}

#[test]
fn what_changes_on_either_side_waits_and_is_listed_and_a_sync_lets_it_all_cross() {
    let mut world = couple(140);
    world.write(0, "dhcp", "two");
    world.write(1, "firewall", "from there");
    world.run(Duration::from_secs(300));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("one"));
    assert_eq!(world.read(0, "firewall"), None);
    assert_eq!(world.owed(0).get("firewall"), Some(&"manual"));
    assert_eq!(world.of_peer(1, 0).reason.as_deref(), Some("pending_there"));
    // A restart forgets nothing of it.
    world.stop(0);
    world.start(0);
    world.run(Duration::from_secs(120));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("one"));

    world.done(0, sync());
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("two"));
    assert_eq!(world.read(0, "firewall").as_deref(), Some("from there"));
    world.assert_equal();

    // And afterwards it waits again.
    world.write(0, "dhcp", "three");
    world.run(Duration::from_secs(120));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("two"));
    assert_eq!(world.of_peer(0, 1).reason.as_deref(), Some("unreleased"));
    assert_eq!(world.of_peer(1, 0).reason.as_deref(), Some("unreleased_there"));
}

#[test]
fn a_deletion_waits_too_and_is_not_undone_by_the_other_side() {
    let mut world = couple(141);
    world.remove(0, "dhcp");
    world.run(Duration::from_secs(300));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("one"));
    assert_eq!(world.read(0, "dhcp"), None);
    world.done(0, sync());
    world.settle();
    assert_eq!(world.read(1, "dhcp"), None);
    world.assert_equal();
}

#[test]
fn both_sides_changed_meanwhile_is_a_conflict_at_the_sync_and_loses_nothing() {
    let mut world = couple(142);
    world.write(0, "dhcp", "mine");
    world.run_ms(3_000);
    world.write(1, "dhcp", "theirs, later");
    world.run(Duration::from_secs(60));
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("mine"));
    world.done(0, sync());
    world.settle();
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("theirs, later"));
    assert!(world.history_holds(0, "mine"));
    world.assert_equal();
}

#[test]
fn a_share_that_is_automatic_again_waits_for_nobody() {
    let mut world = couple(143);
    world.write(0, "dhcp", "two");
    world.write(1, "firewall", "from there");
    world.run(Duration::from_secs(60));
    world.share_settings(0).mode = Mode::Auto;
    world.reload(0);
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("two"));
    assert_eq!(world.read(0, "firewall").as_deref(), Some("from there"));
    world.assert_equal();
}

#[test]
fn deletions_stay_where_they_may_not_leave_or_enter_and_follow_when_they_may() {
    for (at, deletions) in [(0, Direction::Receive), (1, Direction::Send)] {
        let mut world = World::new(144, 2);
        world.pair(0, 1);
        world.share_settings(at).deletions = deletions;
        world.start_all();
        world.write(0, "dhcp", "one");
        world.write(0, "firewall", "one");
        world.settle();

        world.remove(0, "dhcp");
        world.write(0, "firewall", "two");
        world.run(Duration::from_secs(120));
        assert_eq!(world.read(1, "dhcp").as_deref(), Some("one"));
        assert_eq!(world.read(1, "firewall").as_deref(), Some("two"), "everything else travels");
        assert_eq!(world.read(0, "dhcp"), None, "and nothing comes back");
        let owed = if at == 1 { Some("keeps_deleted") } else { None };
        assert_eq!(world.owed(1).get("dhcp").copied(), owed);

        world.share_settings(at).deletions = Direction::Both;
        world.reload(at);
        world.settle();
        assert_eq!(world.read(1, "dhcp"), None);
        world.assert_equal();
    }
}

#[test]
fn what_wins_over_a_peers_change_still_waits_for_a_person() {
    let mut world = couple(145);
    world.write(1, "dhcp", "theirs");
    world.run(Duration::from_secs(5));
    assert_eq!(world.owed(0).get("dhcp"), Some(&"manual"));
    // Nothing changes on this disk by knowing that the change made here is the newer one.
    world.write(0, "dhcp", "mine, later");
    world.run(Duration::from_secs(120));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("theirs"));
    world.done(0, sync());
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("mine, later"));
    world.assert_equal();
}

#[test]
fn a_deletion_that_nobody_was_told_of_is_not_forgotten() {
    let mut world = couple(146);
    world.remove(0, "dhcp");
    world.run(Duration::from_secs(60));
    world.sleep_through(40);
    world.start_all();
    world.run(Duration::from_secs(2 * 86_400));
    world.done(0, sync());
    world.settle();
    assert_eq!((world.read(0, "dhcp"), world.read(1, "dhcp")), (None, None));
    world.assert_equal();
}
