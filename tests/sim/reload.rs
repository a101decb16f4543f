//! A new configuration is put in force while everything runs: what it does not concern goes on.

use std::path::PathBuf;
use std::time::Duration;

use owsync::model::settings::{Accept, FirstSync, HistoryBounds, ShareSettings, Symlinks};
use owsync::model::{Direction, PeerName, ShareName};
use owsync::node::api::{Command, Tree};

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

fn vpn() -> ShareName {
    ShareName::parse("vpn").unwrap()
}

fn add_vpn(world: &mut World, id: MachineId) {
    world.machines[id].disk.add_root("/vpn");
    let mut share = ShareSettings::new(vpn(), PathBuf::from("/vpn"));
    share.include = vec![b"*".to_vec()];
    share.min_free = 64 * 1024;
    world.machines[id].settings.shares.push(share);
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
    settings.settle = Duration::from_millis(10);
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
fn a_guard_that_is_switched_off_lets_pass_what_it_held() {
    let mut world = three(4);
    (0..20).for_each(|number| world.write(0, &format!("many/{number}"), "x"));
    world.settle();
    (0..20).for_each(|number| world.remove(0, &format!("many/{number}")));
    world.run_ms(5_000);
    assert!(world.log_has(0, "vanished at once"));
    forget_logs(&mut world);
    (0..3).for_each(|id| world.share_settings(id).delete_guard = 0);
    (0..3).for_each(|id| world.reload(id));
    world.settle();
    assert_eq!(world.read(2, "many/7"), None);
    assert_eq!((ends(&world, 0, 1), ends(&world, 0, 2)), (0, 0));
}

#[test]
fn nothing_is_offered_by_another_filter_before_a_scan_has_applied_it() {
    let mut world = couple(5);
    let state = |world: &mut World| {
        let shares = world.done(0, Command::Shares);
        shares.get("shares").and_then(|shares| shares.get("main")).and_then(|share| share.get("state")).cloned()
    };
    world.share_settings(0).min_free = 0;
    world.reload(0);
    assert_eq!(state(&mut world), Some(Tree::from("idle")));
    world.share_settings(0).exclude = vec![b"network".to_vec()];
    world.reload(0);
    assert_eq!(state(&mut world), Some(Tree::from("looking")));
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
    assert!(
        world
            .done(0, Command::Peers)
            .get("peers")
            .unwrap()
            .get("m1")
            .is_none_or(|peer| peer.get("state") == Some(&Tree::from("away")))
    );
    assert!(world.log_has(1, "it does not take connections from this node's address"), "m1 is told why");
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

#[test]
fn a_new_share_is_exchanged_and_sessions_without_it_stand() {
    let mut world = three(30);
    (0..3).for_each(|id| add_vpn(&mut world, id));
    write_in(&mut world, 0, "/vpn", "ca.pem", "secret");
    peer_mut(&mut world, 0, 2).shares = Some(vec![main()]);
    world.reload(1);
    world.reload(2);
    world.reload(0);
    world.run_ms(5_000);
    forget_logs(&mut world);
    world.machines[0].settings.shares[1].max_file_size = 1_000;
    world.reload(0);
    world.run_ms(5_000);
    assert_eq!(read_in(&world, 1, "/vpn", "ca.pem").as_deref(), Some("secret"));
    assert_eq!((ends(&world, 0, 1), ends(&world, 0, 2)), (1, 0));
}

#[test]
fn a_share_that_was_removed_and_comes_back_resurrects_nothing() {
    let mut world = World::new(31, 2);
    world.pair(0, 1);
    (0..2).for_each(|id| add_vpn(&mut world, id));
    world.start_all();
    write_in(&mut world, 0, "/vpn", "old.pem", "old");
    write_in(&mut world, 0, "/vpn", "ca.pem", "one");
    sync_all(&mut world);
    assert_eq!(read_in(&world, 1, "/vpn", "old.pem").as_deref(), Some("old"));
    // When m0 gives the share up, and both sides change it meanwhile,
    let share = world.machines[0].settings.shares.pop().unwrap();
    world.reload(0);
    world.settle();
    assert!(world.user_of(1, "/vpn").remove(&path("old.pem")));
    write_in(&mut world, 0, "/vpn", "ca.pem", "two");
    sync_all(&mut world);
    assert_eq!(read_in(&world, 0, "/vpn", "old.pem").as_deref(), Some("old"), "nobody looks after it now");
    assert_eq!(read_in(&world, 1, "/vpn", "ca.pem").as_deref(), Some("one"));
    // then what was deleted there goes here, and what was edited here goes there.
    world.machines[0].settings.shares.push(share);
    world.reload(0);
    sync_all(&mut world);
    assert_eq!(read_in(&world, 0, "/vpn", "old.pem"), None);
    assert_eq!(read_in(&world, 1, "/vpn", "old.pem"), None);
    assert_eq!(read_in(&world, 1, "/vpn", "ca.pem").as_deref(), Some("two"));
}

#[test]
fn a_narrower_filter_deletes_nothing_and_a_wider_one_hears_again() {
    let mut world = couple(40);
    world.write(0, "dhcp", "one");
    world.write(0, "network", "left alone");
    world.settle();
    world.share_settings(1).exclude = vec![b"network".to_vec()];
    world.reload(1);
    world.settle();
    world.write(0, "network", "changed while left out");
    world.write(0, "wireless", "new");
    world.settle();
    assert_eq!(world.read(1, "network").as_deref(), Some("left alone"));
    assert_eq!(world.read(1, "wireless").as_deref(), Some("new"));
    assert_eq!(world.read(0, "network").as_deref(), Some("changed while left out"));
    world.share_settings(1).exclude.clear();
    world.reload(1);
    world.settle();
    assert_eq!(world.read(1, "network").as_deref(), Some("changed while left out"));
    world.assert_equal();
}

#[test]
fn a_larger_size_limit_lets_in_what_was_too_large() {
    let mut world = couple(41);
    world.share_settings(1).max_file_size = 100;
    world.reload(1);
    world.settle();
    world.write(0, "image", &"x".repeat(200));
    world.settle();
    assert_eq!(world.read(1, "image"), None);
    world.share_settings(1).max_file_size = 1000;
    world.reload(1);
    world.settle();
    assert_eq!(world.read(1, "image"), Some("x".repeat(200)));
}

#[test]
fn symlinks_travel_once_both_sides_say_so() {
    let mut world = couple(42);
    world.write(0, "dhcp", "one");
    assert!(world.user(0).make_link(&path("link"), b"dhcp"));
    sync_all(&mut world);
    assert!(world.user(1).stat(&path("link")).is_none());
    for id in 0..2 {
        world.share_settings(id).symlinks = Symlinks::Copy;
        world.reload(id);
    }
    world.settle();
    assert!(world.user(1).stat(&path("link")).is_some());
}

#[test]
fn what_was_on_its_way_when_the_filter_changed_is_left_out() {
    let mut world = couple(43);
    (0..200).for_each(|number| world.write(0, &format!("many/{number}"), "x"));
    world.write(0, "zz", "of m0");
    run_until_it_lands(&mut world, 1);
    // A user is faster than the landing, so this path of it is decided again, and nobody is there to tell more of it.
    assert!(world.user(1).write(&path("zz"), b"of m1"));
    world.share_settings(1).exclude = vec![b"zz".to_vec()];
    world.set_cut(0, 1, true);
    world.reload(1);
    world.run_ms(20_000);
    let left = world.user(1).paths();
    assert!(left.iter().all(|path| !path.to_text().contains("owsync")), "{left:?}");
    world.heal_all();
    world.settle();
    assert_eq!(world.read(1, "zz").as_deref(), Some("of m1"));
    assert_eq!(world.read(1, "many/199").as_deref(), Some("x"));
}

/// A machine's share moves to another directory that holds `files`.
fn move_share(world: &mut World, id: MachineId, files: &[(&str, &str)]) {
    world.machines[id].disk.add_root("/elsewhere");
    for (name, content) in files {
        write_in(world, id, "/elsewhere", name, content);
    }
    world.share_settings(id).dir = PathBuf::from("/elsewhere");
}

/// Both have `a`, `b` and `c`; a fourth file was deleted.
fn settled(seed: u64) -> World {
    let mut world = couple(seed);
    for name in ["a", "b", "c", "gone"] {
        world.write(0, name, &format!("{name} is here"));
    }
    world.settle();
    world.remove(0, "gone");
    world.settle();
    forget_logs(&mut world);
    world
}

fn files_in(world: &World, id: MachineId, root: &str) -> Vec<(String, String)> {
    let files = world.machines[id].disk.user(root).files();
    files.into_iter().map(|(path, bytes)| (path.to_text(), String::from_utf8_lossy(&bytes).into_owned())).collect()
}

/// Whether nothing that lies on a machine is without a version.
fn versioned(world: &World, id: MachineId) -> bool {
    let state = world.machines[id].node.as_ref().unwrap().state();
    state.shares[&main()].index.iter().all(|(_, record)| !record.entry.version.is_unversioned())
}

const SETTLED: [(&str, &str); 3] = [("a", "a is here"), ("b", "b is here"), ("c", "c is here")];

fn expect_settled(world: &World) {
    let want: Vec<(String, String)> = SETTLED.iter().map(|(n, c)| (n.to_string(), c.to_string())).collect();
    assert_eq!(files_in(world, 0, "/share"), want, "the other node keeps what it has");
    assert_eq!(files_in(world, 1, "/elsewhere"), want);
}

#[test]
fn a_share_that_moves_to_an_empty_directory_is_filled_and_deletes_nothing() {
    let mut world = settled(50);
    move_share(&mut world, 1, &[]);
    world.reload(1);
    world.settle();
    expect_settled(&world);
    assert_eq!(files_in(&world, 1, "/share").len(), 3, "the old directory is left as it is");
    assert!(world.user_of(1, "/share").paths().iter().all(|path| !path.to_text().contains("owsync")));
}

#[test]
fn a_share_whose_files_moved_with_it_transfers_nothing() {
    let mut world = settled(51);
    move_share(&mut world, 1, &SETTLED);
    world.reload(1);
    world.settle();
    expect_settled(&world);
    let counters = world.status(1).get("counters").cloned().unwrap();
    let (before, bytes) = (4 * "a is here".len() as i64 + 3, counters.get("received_bytes").cloned().unwrap());
    assert_eq!(bytes, Tree::Int(before), "only what came before it moved");
}

#[test]
fn what_differs_where_a_share_moved_yields_and_is_kept() {
    let mut world = settled(52);
    move_share(&mut world, 1, &[("a", "another a"), ("gone", "gone is here"), ("own", "only here")]);
    world.reload(1);
    world.settle();
    let want = [("a", "a is here"), ("b", "b is here"), ("c", "c is here"), ("own", "only here")];
    let want: Vec<(String, String)> = want.iter().map(|(n, c)| (n.to_string(), c.to_string())).collect();
    assert_eq!(files_in(&world, 1, "/elsewhere"), want);
    assert_eq!(files_in(&world, 0, "/share"), want, "what nobody else has is shared");
    assert!(world.history_holds(1, "another a"));
    assert!(world.history_holds(1, "gone is here"), "a deletion is not undone by an old copy");
    assert!(versioned(&world, 1), "what stayed has a version, so that everybody can tell its edits from others");
    // And the deletion of what came with the move travels like any other.
    world.remove(0, "own");
    world.settle();
    assert_eq!(read_in(&world, 1, "/elsewhere", "own"), None);
}

#[test]
fn a_directory_that_changed_while_owsync_was_not_running_is_no_deletion_either() {
    let mut world = settled(53);
    world.stop(1);
    move_share(&mut world, 1, &[("a", "another a")]);
    world.start(1);
    world.settle();
    expect_settled(&world);
}

#[test]
fn a_share_that_moves_to_a_missing_directory_waits_for_it() {
    let mut world = settled(54);
    move_share(&mut world, 1, &[]);
    world.machines[1].disk.remove_root("/elsewhere");
    world.reload(1);
    world.run_ms(30_000);
    assert_eq!(files_in(&world, 0, "/share").len(), 3);
    assert!(world.log_has(1, "its directory cannot be opened"));
    world.machines[1].disk.mount("/elsewhere");
    world.settle();
    expect_settled(&world);
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
fn a_landing_is_brought_to_its_end_where_it_began() {
    for crash in [false, true] {
        let mut world = settled(55);
        let names: Vec<String> = (0..200).map(|number| format!("many/{number}")).collect();
        for name in &names {
            assert!(world.user(0).write(&path(name), name.as_bytes()));
        }
        assert!(world.user(0).write(&path("a"), b"a after the move"));
        world.with(0, |node, now| node.handle_change(now, &main(), None));
        run_until_it_lands(&mut world, 1);
        move_share(&mut world, 1, &SETTLED);
        if crash {
            world.kill(1);
            world.start(1);
        } else {
            world.reload(1);
        }
        world.settle();
        assert_eq!(files_in(&world, 1, "/elsewhere"), files_in(&world, 0, "/share"), "crash {crash}");
        assert!(world.history_holds(1, "a is here"), "crash {crash}");
        let left = world.user_of(1, "/share").paths();
        assert!(left.iter().all(|path| !path.to_text().contains("owsync")), "crash {crash}: {left:?}");
    }
}

#[test]
fn a_landing_of_a_share_that_is_removed_is_brought_to_its_end() {
    let mut world = settled(56);
    for number in 0..200 {
        assert!(world.user(0).write(&path(&format!("many/{number}")), b"x"));
    }
    assert!(world.user(0).write(&path("a"), b"a after"));
    world.with(0, |node, now| node.handle_change(now, &main(), None));
    run_until_it_lands(&mut world, 1);
    let share = world.machines[1].settings.shares.pop().unwrap();
    world.reload(1);
    world.run_ms(5_000);
    assert!(!lands(&world, 1));
    assert_eq!(world.done(1, Command::Shares).get("shares"), Some(&Tree::map()));
    assert!(world.history_holds(1, "a is here"));
    let left = world.user(1).paths();
    assert!(left.iter().all(|path| !path.to_text().contains("owsync")), "{left:?}");
    world.machines[1].settings.shares.push(share);
    world.reload(1);
    world.settle();
    world.assert_equal();
}

#[test]
fn another_name_is_told_to_everybody() {
    let mut world = couple(60);
    world.machines[0].settings.name = "gateway".into();
    world.reload(0);
    world.settle();
    let peers = world.done(1, Command::Peers);
    let name = peers.get("peers").and_then(|peers| peers.get("m0")).and_then(|peer| peer.get("name")).cloned();
    assert_eq!(name, Some(Tree::from("gateway")));
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

#[test]
fn a_receiver_that_becomes_a_full_member_offers_what_only_it_has() {
    for before in [Direction::Receive, Direction::Observe] {
        let mut world = couple(62);
        world.write(0, "dhcp", "one");
        world.settle();
        world.share_settings(1).direction = before;
        world.reload(1);
        world.run_ms(5_000);
        world.write(1, "only", "here");
        world.write(1, "dhcp", "changed here");
        world.run_ms(20_000);
        assert_eq!(world.read(0, "only"), None, "{before:?}");
        world.share_settings(1).direction = Direction::Both;
        world.reload(1);
        world.settle();
        assert_eq!(world.read(0, "only").as_deref(), Some("here"), "{before:?}");
        assert!(versioned(&world, 0) && versioned(&world, 1), "{before:?}");
        world.assert_equal();
        world.remove(0, "only");
        world.settle();
        assert_eq!(world.read(1, "only"), None, "{before:?}");
    }
}

#[test]
fn a_receiver_relays_what_it_took_and_keeps_its_own() {
    let mut world = World::new(64, 3);
    world.pair(0, 1);
    world.pair(1, 2);
    world.share_settings(1).direction = Direction::Receive;
    world.start_all();
    world.write(0, "dhcp", "from m0");
    world.write(1, "own", "of m1");
    world.run_ms(5_000);
    assert_eq!(world.read(2, "dhcp").as_deref(), Some("from m0"));
    assert_eq!((world.read(0, "own"), world.read(2, "own")), (None, None));
}

#[test]
fn a_peer_that_may_take_more_is_offered_what_it_missed() {
    let mut world = couple(63);
    peer_mut(&mut world, 0, 1).direction = Direction::Receive;
    world.reload(0);
    world.run_ms(5_000);
    world.write(0, "dhcp", "missed");
    world.run_ms(10_000);
    assert_eq!(world.read(1, "dhcp"), None);
    peer_mut(&mut world, 0, 1).direction = Direction::Both;
    world.reload(0);
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("missed"));
}

#[test]
fn a_deletion_that_a_direction_kept_from_a_peer_does_not_expire() {
    let mut world = couple(65);
    world.set_all(|settings| settings.poll_interval = Duration::from_secs(86_400));
    world.write(1, "dhcp", "old");
    world.settle();
    peer_mut(&mut world, 0, 1).direction = Direction::Receive;
    (0..2).for_each(|id| world.reload(id));
    world.settle();
    world.remove(0, "dhcp");
    world.run(Duration::from_secs(32 * 86_400));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("old"));
    peer_mut(&mut world, 0, 1).direction = Direction::Both;
    world.reload(0);
    world.settle();
    assert_eq!((world.read(0, "dhcp"), world.read(1, "dhcp")), (None, None));
}

#[cfg(feature = "encryption")]
mod keys {
    use super::*;
    use owsync::model::Key;

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
}
