//! A new configuration is put in force while everything runs: what it does not concern goes on.

#[cfg(feature = "encryption")]
mod keys;
mod moved;
mod shares;

use std::time::Duration;

use owsync::model::settings::{Accept, FirstSync, HistoryBounds};
use owsync::model::{Direction, PeerName};
use owsync::node::api::Command;
use owsync::node::api::status::PeerState;

use super::world::{MachineId, World, main, path};

/// Three machines that know each other and are in sync.
fn three(seed: u64) -> World {
    let mut world = World::new(seed, 3);
    world.mesh();
    world.start_all();
    world.write(0, "dhcp", "one");
    world.settle();
    forget_logs(&mut world);
    world
}

fn couple(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    forget_logs(&mut world);
    world
}

fn forget_logs(world: &mut World) {
    world.machines.iter_mut().for_each(|machine| machine.log.clear());
}

/// How often a machine's session with another ended since the logs were forgotten.
fn ends(world: &World, id: MachineId, peer: MachineId) -> usize {
    let line = format!("peer m{peer}: disconnected");
    world.machines[id].log.iter().filter(|(_, _, text)| text.starts_with(&line)).count()
}

fn write_in(world: &mut World, id: MachineId, root: &str, name: &str, content: &str) {
    assert!(world.user_of(id, root).write(&path(name), content.as_bytes()));
}

fn read_in(world: &World, id: MachineId, root: &str, name: &str) -> Option<String> {
    world.machines[id].disk.user(root).read(&path(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn peer_mut(world: &mut World, id: MachineId, peer: MachineId) -> &mut owsync::model::settings::PeerSettings {
    let name = PeerName(format!("m{peer}").into());
    world.machines[id].settings.peers.iter_mut().find(|peer| peer.name == name).unwrap()
}

fn sync_all(world: &mut World) {
    for id in 0..world.machines.len() {
        world.done(id, Command::Sync { peer: None, share: None, dry_run: false, wait: false });
    }
    world.settle();
}

#[test]
fn the_same_configuration_again_ends_no_session() {
    let mut world = three(1);
    world.reload(0);
    world.run_ms(5_000);
    assert!(world.is_in_sync());
    assert_eq!((ends(&world, 0, 1), ends(&world, 0, 2)), (0, 0));
}

#[test]
fn intervals_and_bounds_apply_without_ending_a_session() {
    let mut world = three(2);
    world.machines[0].inotify = false;
    let settings = &mut world.machines[0].settings;
    settings.settle.quiet = Duration::from_millis(10);
    settings.poll_interval = Duration::from_secs(3);
    settings.max_clock_skew = Duration::from_secs(5);
    settings.accept = Accept::Known;
    settings.history = HistoryBounds { size: 0, days: 1, versions: 1 };
    world.reload(0);
    world.run_ms(700);
    // Nothing announces this change: the new interval finds it, where the old one would have taken a minute.
    assert!(world.user(0).write(&path("firewall"), b"two"));
    world.run_ms(6_000);
    assert_eq!(world.read(2, "firewall").as_deref(), Some("two"));
    assert_eq!((ends(&world, 0, 1), ends(&world, 0, 2)), (0, 0));
}

#[test]
fn a_smaller_skew_ends_the_session_with_a_clock_beyond_it() {
    let mut world = World::new(3, 2);
    world.pair(0, 1);
    world.machines[1].skew_ms = 20_000;
    world.start_all();
    world.settle();
    world.machines[0].settings.max_clock_skew = Duration::from_secs(5);
    world.reload(0);
    world.run(Duration::from_secs(70));
    assert!(world.log_has(0, "clock skew"));
    world.machines[0].settings.max_clock_skew = Duration::ZERO;
    world.reload(0);
    world.settle();
}

#[test]
fn a_changed_peer_ends_its_own_session_only() {
    for change in 0..4 {
        let mut world = three(10 + change);
        let peer = peer_mut(&mut world, 0, 1);
        match change {
            0 => peer.address.as_mut().unwrap().source = Some(World::address(0)),
            1 => peer.public_key = Some([7; 32]),
            2 => peer.direction = Direction::Send,
            _ => peer.shares = Some(Vec::new()),
        }
        world.reload(0);
        world.run_ms(10_000);
        assert_eq!((ends(&world, 0, 1), ends(&world, 0, 2)), (1, 0), "change {change}");
        world.write(2, "network", "three");
        world.run_ms(5_000);
        assert_eq!(world.read(0, "network").as_deref(), Some("three"));
    }
}

#[test]
fn a_removed_peer_leaves_and_a_new_one_is_called_at_once() {
    let mut world = three(20);
    world.set_all(|settings| settings.plain_from_anywhere = false);
    (0..3).for_each(|id| world.reload(id));
    world.settle();
    let (removed, kept) = (World::address(1), world.machines[0].settings.peers.clone());
    let gone = |peer: &owsync::model::settings::PeerSettings| {
        peer.address.as_ref().is_some_and(|address| address.host == removed.to_string())
    };
    world.machines[0].settings.peers.retain(|peer| !gone(peer));
    world.reload(0);
    world.run_ms(30_000);
    assert_eq!((ends(&world, 0, 1), ends(&world, 0, 2)), (1, 0));
    assert!(world.status(0).peers.get("m1").is_none_or(|peer| peer.state == PeerState::Away));
    assert!(world.log_has(1, "the peer does not accept connections from this node's address"), "m1 is told why");
    world.machines[0].settings.peers = kept;
    world.reload(0);
    world.run_ms(1_500);
    assert!(world.log_has(0, "peer m1: connected"), "without waiting for anybody's backoff");
    world.settle();
}

#[test]
fn a_peer_that_was_not_known_is_called_at_once() {
    let mut world = World::new(22, 2);
    world.start_all();
    world.write(1, "dhcp", "one");
    world.run_ms(100_000);
    world.peer(0, 1);
    world.reload(0);
    world.run_ms(2_000);
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("one"));
}

#[test]
fn a_section_for_whoever_is_here_already_binds_it() {
    let mut world = World::new(23, 2);
    world.peer(1, 0);
    world.start_all();
    world.settle();
    world.peer(0, 1);
    peer_mut(&mut world, 0, 1).direction = Direction::Send;
    world.reload(0);
    world.run_ms(10_000);
    world.write(1, "dhcp", "m0 only sends");
    world.run_ms(10_000);
    assert_eq!(world.read(0, "dhcp"), None);
}

#[test]
fn a_peer_switched_off_is_neither_dialled_nor_let_in() {
    let mut world = couple(21);
    peer_mut(&mut world, 0, 1).enabled = false;
    world.reload(0);
    world.write(1, "dhcp", "not for m0");
    world.run_ms(120_000);
    assert_eq!(world.read(0, "dhcp"), None);
    peer_mut(&mut world, 0, 1).enabled = true;
    world.reload(0);
    world.settle();
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("not for m0"));
}

/// Whether nothing that lies on a machine is without a version.
fn versioned(world: &World, id: MachineId) -> bool {
    let state = world.machines[id].node.as_ref().unwrap().state();
    state.shares[&main()].index.iter().all(|(_, record)| !record.entry.version.is_unversioned())
}

fn lands(world: &World, id: MachineId) -> bool {
    world.machines[id].node.as_ref().unwrap().state().shares[&main()].landing.is_some()
}

/// Time passes until a batch is on its way into place.
fn run_until_it_lands(world: &mut World, id: MachineId) {
    let until = world.now_ms + 20_000;
    while !lands(world, id) {
        assert!(world.step(until), "a landing is under way");
    }
}

#[test]
fn another_name_is_told_to_everybody() {
    let mut world = couple(60);
    world.machines[0].settings.name = "gateway".into();
    world.reload(0);
    world.settle();
    assert_eq!(world.of_peer(1, 0).name.as_deref(), Some("gateway"));
}

#[test]
fn paths_held_at_first_contact_go_on_once_everybody_says_newest() {
    let mut world = World::new(61, 2);
    world.pair(0, 1);
    world.ask();
    for id in 0..2 {
        assert!(world.user(id).write(&path("dhcp"), format!("m{id}").as_bytes()));
        world.run_ms(1_000);
    }
    world.start_all();
    world.run_ms(20_000);
    assert!(!world.is_in_sync());
    world.set_all(|settings| settings.first_sync = FirstSync::Newest);
    (0..2).for_each(|id| world.reload(id));
    world.settle();
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("m1"));
    world.assert_equal();
}
