//! What a person switches off stays off for as long as they said, whatever happens meanwhile.

use std::time::Duration;

use owsync::model::PeerName;
use owsync::node::api::{Command, Reply};

use super::world::{World, main};

fn couple(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.write(0, "dhcp", "one");
    world.settle();
    world
}

fn pause(peer: Option<&str>, seconds: Option<u64>) -> Command {
    let peer = peer.map(|name| PeerName(name.into()));
    let share = if peer.is_none() { Some(main()) } else { None };
    Command::Pause { peer, share, reason: Some("update of\nthe firmware".into()), seconds }
}

/// The name under which the first machine knows the second.
fn peer(world: &World) -> String {
    world.machines[0].settings.peers[0].name.to_string()
}

#[test]
fn a_pause_outlives_a_restart_says_why_and_ends_by_itself() {
    for of_peer in [false, true] {
        let mut world = couple(150);
        let name = peer(&world);
        let of = of_peer.then_some(&*name);
        world.done(0, pause(of, Some(3_600)));
        world.write(0, "dhcp", "two");
        world.run(Duration::from_secs(600));
        world.stop(0);
        world.start(0);
        world.run(Duration::from_secs(600));
        assert_eq!(world.read(1, "dhcp").as_deref(), Some("one"));
        let why = world.of_peer(0, 1).message.unwrap();
        assert!(why.contains("paused by the user until ") && why.ends_with(": update of\\x0athe firmware"), "{why}");

        world.run(Duration::from_secs(3_600));
        world.settle();
        assert_eq!(world.read(1, "dhcp").as_deref(), Some("two"));
        world.assert_equal();
    }
}

#[test]
fn one_without_an_end_waits_for_a_person_and_a_new_one_replaces_the_old() {
    let mut world = couple(151);
    world.done(0, pause(None, Some(60)));
    world.done(0, pause(None, None));
    world.write(0, "dhcp", "two");
    world.run(Duration::from_secs(100_000));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("one"));
    world.done(0, Command::Resume { peer: None, share: None });
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("two"));
    assert!(world.log_has(0, "share main: resumed"));
}

#[test]
fn a_reason_as_long_as_a_letter_is_refused_and_so_is_a_stranger() {
    let mut world = couple(152);
    let long = Command::Pause { peer: None, share: None, reason: Some("x".repeat(201)), seconds: None };
    assert!(matches!(world.command(0, long), Reply::Failed { .. }));
    assert!(matches!(world.command(0, pause(Some("nobody"), None)), Reply::Failed { .. }));
    world.write(0, "dhcp", "two");
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("two"));
}
