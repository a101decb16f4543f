//! What keeps machines apart, each under a name of its own on both sides.

use super::tree;
use crate::world::World;

/// Two machines that know each other, started, with a file on the first that must not travel.
fn strange_couple(seed: u64, prepare: impl FnOnce(&mut World)) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    prepare(&mut world);
    world.write(0, "dhcp", "of m0");
    world.start_all();
    world
}

/// Waits until both name this reason; each says it in words of its own, which the log has too.
#[track_caller]
fn until_both_say(world: &mut World, reason: &str, texts: [&str; 2]) {
    for (id, text) in texts.into_iter().enumerate() {
        world.await_reason(id, 1 - id, reason);
        let message = world.of_peer(id, 1 - id).message.unwrap();
        assert!(message.contains(text), "m{id}: {message}");
        assert!(world.log_has(id, text), "m{id} logs it");
    }
    assert_eq!(world.tree(1), tree! {});
    assert!(!world.is_in_sync());
}

/// F55
#[test]
#[cfg(feature = "encryption")]
fn another_key_is_named_on_both_sides_and_ends_when_it_is_set_right() {
    let mut world = strange_couple(70, |world| {
        world.encrypt();
        world.machines[1].settings.key = Some(owsync::model::Key::new([8; 32]));
    });
    until_both_say(&mut world, "wrong_key", ["wrong key", "wrong key"]);
    world.machines[1].settings.key = Some(owsync::model::Key::new([7; 32]));
    world.reload(1);
    world.settle();
    assert_eq!(world.tree(1), tree! { "dhcp" => "of m0" });
}

/// F55
#[test]
#[cfg(feature = "encryption")]
fn another_mode_is_named_on_both_sides() {
    let mut world = strange_couple(71, |world| {
        world.encrypt();
        let plain = &mut world.machines[1];
        plain.identity = None;
        plain.settings.plain_mode = true;
        plain.settings.plain_from_anywhere = true;
        plain.settings.key = None;
    });
    until_both_say(&mut world, "wrong_mode", ["the peer runs in plain mode", "this node runs in plain mode"]);
}

/// F55
#[test]
fn clocks_that_differ_are_named_with_the_seconds_and_end_by_themselves() {
    let mut world = strange_couple(72, |world| world.machines[1].skew_ms = -90_000);
    until_both_say(&mut world, "clock_skew", ["s behind this node's", "s ahead of this node's"]);
    let message = world.of_peer(0, 1).message.unwrap();
    let seconds: u64 = message.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!((89..=92).contains(&seconds), "{message}");
    world.machines[1].skew_ms = 0;
    world.settle();
    assert_eq!(world.tree(1), tree! { "dhcp" => "of m0" });
}

/// F55
#[test]
fn a_clock_that_begins_to_differ_later_is_named_too() {
    let mut world = strange_couple(73, |_| ());
    world.settle();
    world.machines[0].skew_ms = 100_000;
    world.await_reason(0, 1, "clock_skew");
    world.await_reason(1, 0, "clock_skew");
    world.machines[0].skew_ms = 0;
    world.settle();
}

/// F55
#[test]
fn a_version_without_one_in_common_is_named_with_the_numbers() {
    let mut world = strange_couple(74, |_| ());
    let mut stranger = world.meet(0, |hello| hello.versions = (7, 9));
    stranger.talk(&mut world);
    assert!(stranger.is_closed(&world));
    assert!(world.log_has(0, "the peer speaks versions 7 to 9"));
}

/// F55
#[test]
fn a_machine_that_cannot_be_reached_is_named_as_the_system_names_it() {
    let mut world = World::new(75, 2);
    world.peer(0, 1);
    world.start(0);
    world.await_reason(0, 1, "unreachable");
    assert!(world.log_has(0, "unreachable: connection refused"));
}
