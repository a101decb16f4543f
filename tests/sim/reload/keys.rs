//! Keys that change.

use owsync::model::settings::Accept;
use owsync::model::{Key, Map};
use owsync::proto::session::Mode;

use super::{World, ends, forget_logs, three};

fn encrypted(seed: u64) -> World {
    let mut world = World::new(seed, 3);
    world.mesh();
    world.encrypt();
    world.start_all();
    world.write(0, "dhcp", "one");
    world.settle();
    forget_logs(&mut world);
    world
}

#[test]
fn another_key_ends_every_session() {
    let mut world = encrypted(70);
    world.machines[0].settings.key = Some(Key::new([8; 32]));
    world.reload(0);
    world.run_ms(10_000);
    assert_eq!((ends(&world, 0, 1), ends(&world, 0, 2)), (1, 1));
    assert!(world.log_has(1, "wrong key"));
    world.set_all(|settings| settings.key = Some(Key::new([8; 32])));
    (0..3).for_each(|id| world.reload(id));
    world.settle();
}

#[test]
fn keys_are_changed_in_turn_without_ending_a_session_that_both_may_still_open() {
    let mut world = encrypted(71);
    let (old, new) = (Key::new([7; 32]), Key::new([8; 32]));
    world.set_all(|settings| settings.previous_key = Some(new.clone()));
    (0..3).for_each(|id| world.reload(id));
    world.set_all(|settings| (settings.key, settings.previous_key) = (Some(new.clone()), Some(old.clone())));
    (0..3).for_each(|id| world.reload(id));
    world.run_ms(2_000);
    assert_eq!((ends(&world, 0, 1), ends(&world, 0, 2)), (0, 0));
    // The old key goes: whoever holds only that one must be gone, too.
    world.set_all(|settings| settings.previous_key = None);
    (0..3).for_each(|id| world.reload(id));
    world.settle();
    assert!(ends(&world, 0, 1) > 0);
}

#[test]
fn a_cluster_goes_from_plain_mode_to_keys() {
    let mut world = three(72);
    world.encrypt();
    world.set_all(|settings| settings.accept = Accept::Known);
    (0..3).for_each(|id| world.reload(id));
    world.write(1, "network", "behind keys");
    world.settle();
    assert_eq!(world.read(2, "network").as_deref(), Some("behind keys"));
    world.assert_equal();
}

/// F130: where plain mode ends and the key is missing, sessions go on in plain mode.
#[test]
fn a_node_that_lacks_its_key_keeps_no_session_and_opens_none() {
    let mut world = three(73);
    let settings = world.machines[0].settings.clone();

    world.with(0, |node, now| node.reconfigure(now, settings, Mode::Closed, Map::new()));

    world.write(1, "network", "not for everybody");
    world.run_ms(20_000);
    assert!(ends(&world, 0, 1) > 0 && ends(&world, 0, 2) > 0);
    assert_eq!(world.read(0, "network"), None);
    assert_eq!(world.read(2, "network").as_deref(), Some("not for everybody"));
}
