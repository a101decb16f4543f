//! Peers that are configured by several addresses, and a node's own address among those of its peers.

use std::time::Duration;

use owsync::model::PeerName;
use owsync::model::settings::Address;
use owsync::node::api::status::PeerState;

use crate::world::{MachineId, World};

/// A machine has another, or itself, configured by its second address.
fn second(world: &mut World, a: MachineId, b: MachineId) {
    world.peer(a, b);
    let peer = world.machines[a].settings.peers.last_mut().unwrap();
    peer.name = PeerName(format!("m{b}-second").into());
    peer.address = Some(Address { host: World::second_address(b).to_string(), port: 4321, source: None });
}

/// Nothing begins or ends, and nothing is logged, while nothing happens.
#[track_caller]
fn assert_quiet(world: &mut World) {
    let before: Vec<(usize, usize)> =
        world.machines.iter().map(|machine| (machine.events.len(), machine.log.len())).collect();
    world.run(Duration::from_secs(3_000));
    for (id, (events, log)) in before.into_iter().enumerate() {
        let machine = &world.machines[id];
        let told: Vec<_> = machine.events[events..].iter().collect();
        assert!(told.is_empty(), "m{id}: {told:?}");
        let loud = |(_, level, _): &&(u64, owsync::node::api::Level, String)| *level != owsync::node::api::Level::Debug;
        let said: Vec<_> = machine.log[log..].iter().filter(loud).collect();
        assert!(said.is_empty(), "m{id}: {said:?}");
    }
}

/// F88: two addresses of one peer are one peer.
#[test]
fn two_addresses_of_one_peer_are_one_session_and_one_state() {
    let variants = |seed| [(seed, false, false), (seed, true, false), (seed, seed % 2 == 0, true)];
    for (seed, encrypted, both) in (600..606).flat_map(variants) {
        if encrypted && cfg!(not(feature = "encryption")) {
            continue;
        }
        let mut world = World::new(seed, 2);
        world.peer(1, 0);
        second(&mut world, 1, 0);
        if both {
            world.peer(0, 1);
            second(&mut world, 0, 1);
        }
        if encrypted {
            world.encrypt();
        }
        world.start_all();
        world.write(0, "f", "one");
        world.settle();
        world.run_ms(10_000);
        assert_eq!(world.read(1, "f").as_deref(), Some("one"));
        assert_quiet(&mut world);
        assert!(world.is_in_sync(), "seed {seed}");
        for name in ["m0", "m0-second"] {
            assert_eq!(world.of_named(1, name).in_sync, Some(true), "{name}");
        }
        let same = ["m0", "m0-second"].map(|name| world.of_named(1, name).same_node_as);
        assert_eq!(same.iter().flatten().count(), 1, "{same:?}");
        // The session breaks: either address brings it back.
        world.reset_links(0);
        world.run_ms(10_000);
        world.write(1, "f", "two");
        world.settle();
        assert_eq!(world.read(0, "f").as_deref(), Some("two"));
    }
}

/// F88: the same list of all nodes is on every node, itself included.
#[test]
fn one_s_own_address_among_the_peers_is_recognised() {
    for (seed, encrypted) in (610..616).flat_map(|seed| [(seed, false), (seed, true)]) {
        if encrypted && cfg!(not(feature = "encryption")) {
            continue;
        }
        let mut world = World::new(seed, 3);
        for a in 0..3 {
            for b in 0..3 {
                world.peer(a, b);
            }
        }
        if encrypted {
            world.encrypt();
        }
        world.start_all();
        world.write(0, "f", "one");
        world.settle();
        world.run_ms(10_000);
        for id in 0..3 {
            assert_eq!(world.read(id, "f").as_deref(), Some("one"));
            assert_eq!(world.of_peer(id, id).state, PeerState::ThisNode);
            assert!(!world.log_has(id, "same identity"));
        }
        assert!(world.is_in_sync());
        assert_quiet(&mut world);
    }
}

/// F88: a copy of this node is no address of its own, and is still named.
#[test]
#[cfg(feature = "encryption")]
fn a_copy_of_this_node_is_not_taken_for_it() {
    let mut world = World::new(620, 2);
    world.pair(0, 1);
    world.encrypt();
    world.machines[1].identity = world.machines[0].identity;
    world.start_all();
    world.await_reason(0, 1, "same_identity");
    world.await_reason(1, 0, "same_identity");
}
