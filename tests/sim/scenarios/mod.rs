//! The stories behind single promises and faults.

mod stamps;

use super::world::World;

/// Two machines that know each other and have completed their first exchange.
fn couple(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    world
}

#[test]
fn a_file_travels_and_so_does_its_deletion() {
    let mut world = couple(1);
    world.write(0, "dhcp", "one");
    world.write(0, "d/deep/x", "two");
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("one"));
    assert_eq!(world.read(1, "d/deep/x").as_deref(), Some("two"));
    world.remove(1, "dhcp");
    world.settle();
    assert_eq!(world.read(0, "dhcp"), None);
    assert!(world.history_holds(0, "one"));
    world.assert_equal();
}
