//! What is not confirmed yet in LuCI stays where it is, in both directions.

use std::time::Duration;

use owsync::model::{RelPath, Set};

use super::world::{World, main, path};

/// Two machines in sync, with one package of two lines of history.
fn couple() -> World {
    let mut world = World::new(7, 2);
    world.pair(0, 1);
    world.start_all();
    world.write(0, "network", "former");
    world.write(0, "dhcp", "former");
    world.settle();
    world
}

fn withhold(world: &mut World, names: &[&str]) {
    let paths: Set<RelPath> = names.iter().map(|name| path(name)).collect();
    world.with(0, |node, now| node.handle_withheld(now, &main(), paths));
}

#[test]
fn an_unconfirmed_change_does_not_travel_and_one_taken_back_never_did() {
    let mut world = couple();

    withhold(&mut world, &["network"]);
    world.write(0, "network", "locks everybody out");
    world.write(0, "dhcp", "confirmed");
    world.run(Duration::from_secs(120));
    assert_eq!(world.read(1, "network").as_deref(), Some("former"));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("confirmed"));

    world.write(0, "network", "former");
    withhold(&mut world, &[]);
    world.settle();
    assert!(!world.history_holds(1, "locks everybody out"));
    world.assert_equal();
}

#[test]
fn a_confirmed_change_travels() {
    let mut world = couple();

    withhold(&mut world, &["network"]);
    world.write(0, "network", "better");
    world.run(Duration::from_secs(5));
    withhold(&mut world, &[]);
    world.settle();

    assert_eq!(world.read(1, "network").as_deref(), Some("better"));
    world.assert_equal();
}

#[test]
fn what_a_peer_changes_meanwhile_is_owed_and_decided_after_the_confirmation() {
    let mut world = couple();

    withhold(&mut world, &["network"]);
    world.write(0, "network", "mine, unconfirmed");
    world.run(Duration::from_secs(5));
    world.write(1, "network", "theirs");
    world.run(Duration::from_secs(5));
    assert_eq!(world.read(0, "network").as_deref(), Some("mine, unconfirmed"));

    withhold(&mut world, &[]);
    world.settle();
    world.assert_equal();
    let (won, lost) = match world.read(0, "network").as_deref() {
        Some("theirs") => ("theirs", "mine, unconfirmed"),
        _ => ("mine, unconfirmed", "theirs"),
    };
    assert_eq!(world.read(1, "network").as_deref(), Some(won));
    assert!(world.history_holds(0, lost) || world.history_holds(1, lost));
}

#[test]
fn what_was_taken_back_is_no_edit_and_yields_to_what_a_peer_changed_meanwhile() {
    let mut world = couple();

    withhold(&mut world, &["network"]);
    world.write(0, "network", "locks everybody out");
    world.run(Duration::from_secs(5));
    world.write(1, "network", "theirs");
    world.run(Duration::from_secs(5));
    world.write(0, "network", "former");
    withhold(&mut world, &[]);
    world.settle();

    assert_eq!(world.read(0, "network").as_deref(), Some("theirs"));
    assert!(!world.history_holds(1, "theirs"));
    world.assert_equal();
}

#[test]
fn nothing_lands_on_a_package_of_which_the_former_state_may_come_back() {
    let mut world = couple();

    withhold(&mut world, &["network"]);
    world.write(1, "network", "theirs");
    world.run(Duration::from_secs(5));
    assert_eq!(world.read(0, "network").as_deref(), Some("former"));

    // When that is over it lands at once, not at the next look at everything.
    withhold(&mut world, &[]);
    world.run(Duration::from_secs(2));
    assert_eq!(world.read(0, "network").as_deref(), Some("theirs"));
}

#[test]
fn a_package_that_is_not_here_yet_is_withheld_too() {
    let mut world = couple();

    withhold(&mut world, &["wireless"]);
    world.write(0, "wireless", "new");
    world.run(Duration::from_secs(70));
    assert_eq!(world.read(1, "wireless"), None);

    withhold(&mut world, &[]);
    world.settle();
    assert_eq!(world.read(1, "wireless").as_deref(), Some("new"));
}

#[test]
fn nothing_lands_on_a_package_whose_change_began_while_the_peers_content_was_on_its_way() {
    let mut world = couple();
    let theirs = "# theirs\n".repeat(300_000);
    world.write(1, "network", &theirs);
    let until = world.now_ms + 20_000;
    while world.is_swept(0) && world.step(until) {}
    withhold(&mut world, &["network"]);
    world.run(Duration::from_secs(20));
    assert_eq!(world.read(0, "network").as_deref(), Some("former"));
    assert_eq!(world.owed(0).get("network"), Some(&"unconfirmed"));
    withhold(&mut world, &[]);
    world.settle();
    assert_eq!(world.read(0, "network"), Some(theirs));
}
