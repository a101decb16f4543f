//! The stories behind single promises and faults.
//!
//! Each test's name is the claim; its doc carries the number of the fault that it makes impossible, where there is one.

mod apart;
mod budgets;
mod disks;
mod gates;
mod hostile;
mod kinds;
mod lives;
mod pasts;
mod stamps;
mod strangers;
mod timing;
mod travel;
mod upgrades;
mod withdrawn;

use super::world::World;

/// Files by name: `tree! { "dhcp" => "one" }`.
macro_rules! tree {
    ($($name:expr => $content:expr),* $(,)?) => {
        std::collections::BTreeMap::<String, String>::from([$(($name.to_string(), $content.to_string())),*])
    };
}
use tree;

/// Two machines that know each other and have completed their first exchange.
fn couple(seed: u64) -> World {
    linked(seed, 2, |world| world.pair(0, 1))
}

/// Three machines in a row: the first and the last know only the one between them.
fn chain(seed: u64) -> World {
    linked(seed, 3, |world| {
        world.pair(0, 1);
        world.pair(1, 2);
    })
}

/// Three machines that all know each other.
fn trio(seed: u64) -> World {
    linked(seed, 3, World::mesh)
}

fn linked(seed: u64, machines: usize, link: impl Fn(&mut World)) -> World {
    let mut world = World::new(seed, machines);
    link(&mut world);
    world.start_all();
    world.settle();
    world
}
