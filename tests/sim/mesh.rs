//! Nodes that one reference invited are introduced to each other, and forgotten by all at once.

use std::time::Duration;

use owsync::model::settings::{Accept, Address, PeerSettings};
use owsync::model::{Direction, Key, PeerName, escape, limits};
use owsync::node::api::status::PeerState;
use owsync::node::api::{Command, Reply, Tree};
use owsync::proto::handshake;

use crate::world::{MachineId, World};

/// Machines that are not started; each but the first has the first as its introducer, as `owsync join` writes it.
fn strangers(seed: u64, machines: usize) -> World {
    let mut world = World::new(seed, machines);
    world.encrypt();
    world.set_all(|settings| settings.accept = Accept::Known);
    for id in 1..machines {
        let reference = reference(&world, 0);
        world.machines[id].settings.peers.push(reference);
    }
    world.start(0);
    world.init(0);
    world
}

/// A peer section that pins a machine and makes it an introducer.
fn reference(world: &World, id: MachineId) -> PeerSettings {
    PeerSettings {
        name: PeerName(format!("m{id}").into()),
        enabled: true,
        address: Some(Address { host: World::address(id).to_string(), port: 4321, source: None }),
        public_key: Some(handshake::public_key(&Key::new(world.machines[id].identity.unwrap()))),
        introducer: true,
        shares: None,
        direction: Direction::Both,
    }
}

/// A machine that runs shows a token of another's.
fn show_token(world: &mut World, id: MachineId, of: MachineId) {
    let answer = world.done(of, Command::Invite);
    let Some(Tree::Text(token)) = answer.get("token") else { panic!("{answer:?}") };
    let token = escape::unhex(token).unwrap();
    world.with(id, |node, _| node.show_token(token));
}

/// A machine joins the cluster of the first.
fn join(world: &mut World, id: MachineId) {
    world.start(id);
    show_token(world, id, 0);
}

/// A cluster that was joined by all machines.
fn cluster(seed: u64, machines: usize) -> World {
    let mut world = strangers(seed, machines);
    (1..machines).for_each(|id| join(&mut world, id));
    world.settle();
    world
}

/// The machines that a machine has a session with.
fn sessions(world: &mut World, id: MachineId) -> Vec<MachineId> {
    let machines = world.machines.len();
    (0..machines).filter(|other| world.of_peer(id, *other).connected).collect()
}

/// Time passes until each of these machines has sessions with exactly all others of them.
#[track_caller]
fn until_each_to_each(world: &mut World, machines: &[MachineId]) {
    let all = |world: &mut World| {
        machines.iter().all(|id| {
            let others: Vec<MachineId> = machines.iter().copied().filter(|other| other != id).collect();
            sessions(world, *id) == others
        })
    };
    let done = world.run_until(Duration::from_secs(300), all);
    let have: Vec<Vec<MachineId>> = machines.iter().map(|id| sessions(world, *id)).collect();
    assert!(done, "{have:?}");
}

/// A change at one machine reaches these.
#[track_caller]
fn assert_reaches(world: &mut World, from: MachineId, machines: &[MachineId], what: &str) {
    world.write(from, "news", what);
    let reached = |world: &mut World| machines.iter().all(|id| world.read(*id, "news").as_deref() == Some(what));
    let done = world.run_until(Duration::from_secs(180), reached);
    let have: Vec<Option<String>> = machines.iter().map(|id| world.read(*id, "news")).collect();
    assert!(done, "{what}: {have:?}");
}

fn forget(world: &mut World, id: MachineId, peer: MachineId) -> Reply {
    world.command(id, Command::ForgetPeer { peer: format!("m{peer}") })
}

/// Whether a machine remembers the identity of another.
fn knows(world: &World, id: MachineId, other: MachineId) -> bool {
    let key = handshake::public_key(&Key::new(world.machines[other].identity.unwrap()));
    world.node(id).state().peers.get(&handshake::node_id(&key)).is_some()
}

/// F113: three nodes connect each to each, and need the reference no more.
#[test]
fn two_nodes_that_one_reference_invited_sync_without_it() {
    let mut world = cluster(500, 3);
    until_each_to_each(&mut world, &[0, 1, 2]);
    for (id, other) in [(1, 2), (2, 1)] {
        assert_eq!(world.of_peer(id, other).introduced_by.as_deref(), Some("m0"));
        assert_eq!(world.of_peer(id, other).path.as_deref(), Some("direct"));
        assert_eq!(world.of_peer(id, other).in_sync, Some(true));
    }
    assert_eq!(world.of_peer(0, 1).introduced_by, None, "it joined here");
    world.stop(0);
    world.run_ms(5_000);
    assert_reaches(&mut world, 1, &[2], "without the reference");
    // Nor after both were off, nor with another key of the cluster.
    for id in [1, 2] {
        world.kill(id);
    }
    world.run_ms(10_000);
    for id in [1, 2] {
        world.machines[id].settings.key = Some(Key::new([8; 32]));
        world.start(id);
    }
    assert_reaches(&mut world, 2, &[1], "after a restart");
    // When it comes back it is one of three again.
    world.machines[0].settings.key = Some(Key::new([8; 32]));
    world.start(0);
    until_each_to_each(&mut world, &[0, 1, 2]);
    world.settle();
}

/// F113
#[test]
fn nodes_join_in_any_order_while_others_are_away() {
    let mut world = strangers(501, 4);
    join(&mut world, 2);
    world.run_ms(5_000);
    world.lose_power(2);
    join(&mut world, 1);
    world.run_ms(5_000);
    world.kill(0);
    world.run_ms(5_000);
    world.start(2);
    world.run_ms(20_000);
    world.start(0);
    world.run_ms(60_000);
    join(&mut world, 3);
    until_each_to_each(&mut world, &[0, 1, 2, 3]);
    world.stop(0);
    assert_reaches(&mut world, 3, &[1, 2], "whoever came when");
}

/// F113
#[test]
fn eight_nodes_connect_each_to_each() {
    let mut world = cluster(502, limits::MESH_FULL);
    let all: Vec<MachineId> = (0..limits::MESH_FULL).collect();
    until_each_to_each(&mut world, &all);
    world.stop(0);
    assert_reaches(&mut world, 7, &all[1..7], "to all");
}

/// F113: above eight nodes each connects to the reference and two more, and these are enough without it.
#[test]
fn a_larger_cluster_is_the_reference_and_a_ring() {
    for count in [9, 13] {
        let mut world = strangers(503, count);
        // The ninth makes a full mesh of eight a ring.
        (1..8).for_each(|id| join(&mut world, id));
        until_each_to_each(&mut world, &[0, 1, 2, 3, 4, 5, 6, 7]);
        (8..count).for_each(|id| join(&mut world, id));
        let ring = |world: &mut World| {
            (1..count).all(|id| {
                let peers = sessions(world, id);
                peers.len() == 3 && peers[0] == 0
            })
        };
        let done = world.run_until(Duration::from_secs(300), ring);
        let have: Vec<Vec<MachineId>> = (0..count).map(|id| sessions(&mut world, id)).collect();
        assert!(done, "{have:?}");
        assert_eq!(have[0].len(), count - 1, "the reference has all");
        world.settle();
        world.stop(0);
        let others: Vec<MachineId> = (2..count).collect();
        assert_reaches(&mut world, 1, &others, "around the ring");
    }
}

/// F113: without a way to each other the reference relays, and status says so instead of being out of sync.
#[test]
fn nodes_that_cannot_connect_are_relayed() {
    let mut world = strangers(504, 3);
    world.set_cut(1, 2, true);
    join(&mut world, 1);
    join(&mut world, 2);
    world.settle();
    assert_reaches(&mut world, 1, &[0, 2], "by way of the reference");
    world.run_ms(120_000);
    for (id, other) in [(1, 2), (2, 1)] {
        assert_eq!(world.of_peer(id, other).path.as_deref(), Some("relayed by m0"));
        assert!(!world.of_peer(id, other).connected);
    }
    assert!(world.is_in_sync());
    // With the reference gone they miss each other.
    world.stop(0);
    world.run_ms(5_000);
    assert_eq!(world.of_peer(1, 2).path.as_deref(), Some("none"));
    assert!(!world.is_in_sync());
    world.set_cut(1, 2, false);
    assert_reaches(&mut world, 1, &[2], "directly, once there is a way");
}

/// F113: a forgotten node is forgotten by all, also by those that were away, and comes back only when it is invited anew.
#[test]
fn forgetting_is_told_to_all_and_final() {
    // At the reference, or at any other node.
    for forgetter in [0, 1] {
        let mut world = cluster(505, 4);
        until_each_to_each(&mut world, &[0, 1, 2, 3]);
        world.stop(2);
        assert!(matches!(forget(&mut world, forgetter, 3), Reply::Done(_)));
        world.run_ms(20_000);
        assert!(!knows(&world, 0, 3) && !knows(&world, 1, 3), "who was there forgot it");
        world.start(2);
        world.run_ms(60_000);
        assert!(!knows(&world, 2, 3), "and who was away");
        assert!(sessions(&mut world, 3).is_empty(), "nobody accepts it");
        assert_eq!(world.of_peer(3, 0).reason.as_deref(), Some("not_accepted_there"));
        // Restarts of everybody change nothing.
        for id in 0..4 {
            world.kill(id);
            world.start(id);
        }
        world.run_ms(300_000);
        assert!(sessions(&mut world, 3).is_empty(), "nobody accepts it after a restart");
        until_each_to_each(&mut world, &[0, 1, 2]);
        // Invited anew, it is one of them again.
        show_token(&mut world, 3, 0);
        until_each_to_each(&mut world, &[0, 1, 2, 3]);
        world.settle();
    }
}

/// F113: a reference that is gone for good is forgotten, too.
#[test]
fn a_reference_that_is_gone_can_be_forgotten_by_all() {
    let mut world = cluster(506, 3);
    until_each_to_each(&mut world, &[0, 1, 2]);
    world.stop(0);
    world.run_ms(5_000);
    assert!(!world.is_in_sync(), "it is missed");
    assert!(matches!(forget(&mut world, 1, 0), Reply::Done(_)));
    world.settle();
    for id in [1, 2] {
        assert!(!knows(&world, id, 0));
        assert_eq!(world.of_peer(id, 0).state, PeerState::Forgotten);
    }
    // It does not come back by itself, although it dials nodes whose configuration still has its key.
    world.peer(0, 1);
    world.peer(0, 2);
    world.start(0);
    world.run_ms(120_000);
    assert_eq!(sessions(&mut world, 1), [2]);
    assert_eq!(sessions(&mut world, 2), [1]);
}

/// F113: only a peer that a user made the introducer, and that proved its key, can vouch for others.
#[test]
fn an_introduction_by_anybody_else_is_refused() {
    // Given a cluster of three, and a fourth that only the second lets in,
    let mut world = strangers(507, 4);
    join(&mut world, 1);
    join(&mut world, 2);
    until_each_to_each(&mut world, &[0, 1, 2]);
    let section = reference(&world, 1);
    world.machines[3].settings.peers = vec![section];
    world.start(3);
    show_token(&mut world, 3, 1);
    // when the second introduces it to the third, which showed it a token, too,
    world.stop(2);
    let section = PeerSettings { introducer: false, ..reference(&world, 1) };
    world.machines[2].settings.peers.insert(0, section);
    world.set_cut(0, 2, true);
    world.start(2);
    show_token(&mut world, 2, 1);
    world.run_ms(20_000);
    world.set_cut(0, 2, false);
    world.run_ms(120_000);
    assert!(knows(&world, 1, 3));
    assert!(world.log_has(2, "ignored the nodes that it introduces"), "it was introduced");
    // then the third knows nothing of it, nor does the first.
    assert!(!knows(&world, 2, 3) && !knows(&world, 0, 3));
    assert!(!sessions(&mut world, 2).contains(&3));
    // Nor does a node that has the reference configured without making it an introducer believe it.
    let mut world = strangers(508, 3);
    world.machines[2].settings.peers[0].introducer = false;
    join(&mut world, 1);
    join(&mut world, 2);
    world.run_ms(120_000);
    assert!(!knows(&world, 2, 1));
    assert_eq!(world.of_peer(1, 2).path.as_deref(), Some("relayed by m0"));
}

/// F113: what the section of the introducer forbids, it forbids to those that it introduced.
#[test]
fn an_introduced_node_may_no_more_than_its_introducer() {
    let mut world = strangers(509, 3);
    world.machines[2].settings.peers[0].direction = Direction::Send;
    join(&mut world, 1);
    join(&mut world, 2);
    let connected = |world: &mut World| sessions(world, 2) == [0, 1];
    assert!(world.run_until(Duration::from_secs(300), connected));
    assert_eq!(world.of_peer(2, 1).direction.as_deref(), Some("send"));
    world.write(1, "news", "not for the third");
    world.run_ms(10_000);
    assert_eq!(world.read(0, "news").as_deref(), Some("not for the third"));
    assert_eq!(world.read(2, "news"), None);
}

/// F113: an address that was told leads elsewhere: whoever answers there is not the introduced node.
#[test]
fn a_told_address_is_only_a_place_to_look() {
    let mut world = strangers(510, 4);
    world.machines[3].settings.peers.clear();
    world.start(3);
    join(&mut world, 1);
    world.run_ms(5_000);
    // The third is seen by the reference through a NAT, at the address of another machine.
    world.seen_as(2, 3);
    join(&mut world, 2);
    world.run_ms(60_000);
    world.stop(2);
    let named = |world: &mut World| {
        let message = world.of_peer(1, 2).message;
        message.is_some_and(|text| text.contains("a different node responds at this address"))
    };
    assert!(world.run_until(Duration::from_secs(300), named));
    assert!(!knows(&world, 1, 3), "who answered there is nobody");
    assert!(world.node(1).state().peers.values().all(|known| known.name != "m3"));
    // The second place is the right one.
    world.start(2);
    until_each_to_each(&mut world, &[0, 1, 2]);
}

/// Whoever else has the cluster's key must not see the token of a join text.
#[test]
fn a_token_is_shown_to_nobody_but_the_node_that_made_it() {
    for right in [false, true] {
        let mut world = strangers(195, 3);
        // The address in the join text leads to another member.
        let pinned = if right { 2 } else { 0 };
        let section = PeerSettings { address: reference(&world, 2).address, ..reference(&world, pinned) };
        world.machines[1].settings.peers = vec![section];
        world.start(2);
        world.start(1);
        show_token(&mut world, 1, 0);
        world.run_ms(10_000);
        let said = &world.status(2).waiting[0].message;
        assert_eq!(said.contains("was not made by this reference"), right, "{said}");
    }
}
