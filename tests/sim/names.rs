//! What a word of the user's means: a peer, a version, a pattern, a join text.

use std::time::Duration;

use owsync::model::settings::Accept;
use owsync::model::{PeerName, escape};
use owsync::node::api::status::PeerState;
use owsync::node::api::{Command, DiffWith, Fault, Former, Reply, Tree};

use super::world::{World, main, path};

/// Two machines of one name that dial a third, which has neither configured.
#[cfg(feature = "encryption")]
fn two_namesakes(seed: u64) -> (World, [String; 2]) {
    let mut world = World::new(seed, 3);
    world.peer(1, 0);
    world.peer(2, 0);
    world.encrypt();
    for id in [1, 2] {
        world.machines[id].settings.name = "OpenWrt".into();
    }
    world.start_all();
    world.write(0, "dhcp", "one");
    world.settle();
    let ids = [1, 2].map(|id| world.node(id).id().to_hex());
    (world, ids)
}

fn peer(text: &str) -> PeerName {
    PeerName(text.into())
}

fn pause(text: &str) -> Command {
    Command::Pause { peer: Some(peer(text)), share: None, reason: None, seconds: None }
}

/// F111: a peer that dialled in had no name in `pause`, and of two equal names one was taken without a word.
#[test]
#[cfg(feature = "encryption")]
fn a_peer_that_dialled_in_has_a_name_and_namesakes_have_ids() {
    let (mut world, ids) = two_namesakes(180);
    let labels = ids.clone().map(|id| format!("OpenWrt ({})", &id[..8]));
    let shown: Vec<String> = world.status(0).peers.into_keys().collect();
    let mut expected = labels.to_vec();
    expected.sort();
    assert_eq!(shown, expected);

    let sync = Command::Sync { peer: Some(peer("OpenWrt")), share: None, dry_run: false, wait: false };
    let diff =
        Command::DiffPeer { peer: peer("OpenWrt"), share: None, path: path("dhcp"), number: None, options: false };
    let log = Command::Log { share: None, path: None, why: None, node: Some("OpenWrt".into()), limit: 9 };
    let forget = Command::ForgetPeer { peer: "OpenWrt".into() };
    for command in [pause("OpenWrt"), sync, diff, log, forget] {
        match world.command(0, command.clone()) {
            Reply::Failed { fault: Fault::Argument, message } => {
                assert!(labels.iter().all(|label| message.contains(label)), "{command:?}: {message}");
            }
            other => panic!("{command:?}: {other:?}"),
        }
    }

    // By the start of its id, one of them is paused, also across a restart; the other is not.
    world.done(0, pause(&ids[0][..8]));
    world.stop(0);
    world.start(0);
    world.write(1, "paused", "waits");
    world.write(2, "free", "goes on");
    world.run_ms(60_000);
    assert_eq!((world.read(0, "paused"), world.read(0, "free").as_deref()), (None, Some("goes on")));
    assert_eq!(world.of_named(0, &labels[0]).state, PeerState::Paused);

    // By the name that status shows, it goes on.
    world.done(0, Command::Resume { peer: Some(peer(&labels[0])), share: None });
    world.settle();
    assert_eq!(world.read(0, "paused").as_deref(), Some("waits"));
    world.write(0, "dhcp", "two");
    world.settle();
    world.write(1, "dhcp", "three");
    world.settle();
    let log = Command::Log { share: None, path: None, why: None, node: Some(ids[0][..6].into()), limit: 9 };
    let Some(Tree::List(versions)) = world.done(0, log).get("versions").cloned() else { panic!("a list") };
    assert!(!versions.is_empty());
    assert!(versions.iter().all(|one| one.get("node") == Some(&Tree::Text(labels[0].clone()))), "{versions:?}");
}

/// F110: `restore PATH@N` restored whatever had the number N.
#[test]
fn a_version_of_another_path_is_refused_by_every_command() {
    let mut world = World::new(181, 2);
    world.pair(0, 1);
    world.start_all();
    for content in ["one", "two"] {
        world.write(0, "dhcp", content);
        world.write(0, "passwd", "root");
        world.settle();
    }
    let log = world.done(1, Command::Log { share: None, path: Some(path("dhcp")), why: None, node: None, limit: 9 });
    let Some(Tree::List(versions)) = log.get("versions") else { panic!("{log:?}") };
    let Some(Tree::Int(number)) = versions.last().and_then(|version| version.get("number")) else { panic!("{log:?}") };
    let number = u64::try_from(*number).unwrap();
    let at = |name: &str| Former::At { share: Some(main()), path: path(name), number };
    let before = world.tree(1);

    let right = Former::Newest { share: None, path: path("dhcp") };
    for command in [
        Command::Restore { version: at("passwd"), options: Vec::new() },
        Command::Show { version: at("passwd") },
        Command::Diff { version: at("passwd"), with: None, options: false },
        Command::Diff { version: right, with: Some(DiffWith::Former(at("passwd"))), options: false },
        Command::DiffPeer { peer: peer("m0"), share: None, path: path("passwd"), number: Some(number), options: false },
    ] {
        match world.command(1, command.clone()) {
            Reply::Failed { fault: Fault::Argument, message } => {
                assert!(message.contains("main:dhcp") && message.contains("main:passwd"), "{command:?}: {message}");
            }
            other => panic!("{command:?}: {other:?}"),
        }
    }
    assert_eq!(world.tree(1), before);

    world.done(1, Command::Restore { version: at("dhcp"), options: Vec::new() });
    world.settle();
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("one"));
}

/// F114: whoever showed a used or expired join text was "waiting to be accepted".
#[test]
#[cfg(feature = "encryption")]
fn a_join_text_that_is_used_or_expired_says_so_on_both_sides() {
    let mut world = World::new(182, 4);
    (1..4).for_each(|id| world.peer(id, 0));
    world.encrypt();
    world.set_all(|settings| settings.accept = Accept::Known);
    world.start(0);
    let invite = |world: &mut World| -> [u8; 16] {
        match world.done(0, Command::Invite).get("token") {
            Some(Tree::Text(token)) => escape::unhex(token).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let join = |world: &mut World, id: usize, token: [u8; 16]| {
        world.start(id);
        world.with(id, |node, _| node.show_token(token));
        world.run_ms(5_000);
    };
    let token = invite(&mut world);

    join(&mut world, 1, token);
    assert!(world.of_peer(1, 0).connected, "the first may enter");
    join(&mut world, 2, token);
    let late = invite(&mut world);
    world.run(Duration::from_secs(25 * 3_600));
    join(&mut world, 3, late);

    for (id, words) in [(2, "was used already"), (3, "expired")] {
        let said = world.of_peer(id, 0).message.unwrap();
        assert!(said.contains(words) && said.contains("owsync invite"), "m{id}: {said}");
        let node = world.node(id).id().to_hex();
        let waiting = world.status(0).waiting;
        let one = waiting.iter().find(|one| one.node == node).unwrap();
        assert!(one.message.contains(words), "{one:?}");
        // Accepting it is still possible.
        world.done(0, Command::Accept { peer: Some(node) });
    }
    world.run_ms(120_000);
    assert!([1, 2, 3].iter().all(|id| world.of_peer(*id, 0).connected));
}

/// With `accept known` a peer section belongs to the identity that was accepted for it, also where it pins none.
#[test]
#[cfg(feature = "encryption")]
fn another_identity_at_the_address_of_a_peer_is_refused() {
    let mut world = World::new(184, 2);
    world.pair(0, 1);
    world.encrypt();
    world.set_all(|settings| settings.accept = Accept::Known);
    world.start_all();
    world.write(0, "dhcp", "one");
    world.settle();

    world.stop(1);
    world.machines[1].identity = Some([9; 32]);
    world.start(1);
    world.write(1, "dhcp", "of somebody else");
    world.await_reason(0, 1, "identity_changed");
    world.run(Duration::from_secs(120));
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("one"));
}

/// F99: nobody was told of an include that matches nothing.
#[test]
fn an_include_that_matches_nothing_is_named_in_status() {
    let mut world = World::new(183, 2);
    world.pair(0, 1);
    for id in [0, 1] {
        world.share_settings(id).include =
            ["dhcp", "wireles", "vpn/*.conf", "ssl/*/cert"].iter().map(|one| one.as_bytes().to_vec()).collect();
    }
    world.start_all();
    world.write(0, "dhcp", "one");
    world.write(0, "ssl/site/cert", "one");
    world.settle();

    for id in [0, 1] {
        assert_eq!(world.share(id).includes_without_match, ["wireles", "vpn/*.conf"], "m{id}");
        assert!(world.status(id).in_sync, "it is no trouble");
    }
}

/// F103: the directory above what an include names was made with a mode of its own.
#[test]
fn the_directory_above_what_is_included_keeps_its_mode_and_what_is_in_it() {
    let mut world = World::new(184, 3);
    world.mesh();
    (0..3).for_each(|id| world.share_settings(id).include = vec![b"vpn/*.conf".to_vec()]);
    world.start(0);
    world.start(1);
    let vpn = path("vpn");
    world.user(0).make_dir(&vpn);
    world.user(0).chmod(&vpn, 0o700);
    world.write(0, "vpn/a.conf", "one");
    world.write(0, "vpn/a.key", "secret");
    world.announce(0, &vpn);
    world.run_ms(70_000);
    assert_eq!((world.user(1).mode(&vpn), world.read(1, "vpn/a.key")), (Some(0o700), None));

    // It goes on like any other directory: its mode travels, also by a relay, and it goes with the last of it.
    world.user(0).chmod(&vpn, 0o750);
    world.announce(0, &vpn);
    world.start(2);
    world.run_ms(70_000);
    assert_eq!((world.user(1).mode(&vpn), world.user(2).mode(&vpn)), (Some(0o750), Some(0o750)));
    world.remove(1, "vpn/a.conf");
    world.user(1).remove(&vpn);
    world.announce(1, &vpn);
    world.run_ms(70_000);
    assert_eq!(world.user(2).mode(&vpn), None);
    // Here it still has something in it.
    assert_eq!(world.read(0, "vpn/a.key").as_deref(), Some("secret"));
    assert_eq!(world.read(0, "vpn/a.conf"), None);
}

/// F103: and where it is replaced by a symlink, what was in it was not deleted.
#[test]
fn a_directory_that_no_pattern_names_may_become_a_symlink() {
    for include in ["vpn/*.conf", "*.conf"] {
        let mut world = World::new(185, 2);
        world.pair(0, 1);
        (0..2).for_each(|id| world.share_settings(id).include = vec![include.as_bytes().to_vec()]);
        world.start_all();
        world.write(0, "vpn/a.conf", "one");
        world.settle();

        world.user(0).remove(&path("vpn/a.conf"));
        world.user(0).remove(&path("vpn"));
        world.user(0).make_link(&path("vpn"), b"/mnt/larger/vpn");
        world.run_ms(200_000);

        assert_eq!(world.read(1, "vpn/a.conf").as_deref(), Some("one"), "{include}");
        let why = world.skipped(0, "vpn");
        assert!(why.as_ref().is_some_and(|why| why.contains("symlink")), "{include}: {why:?}");
    }
}

/// What a symlink keeps from its path is left out by choice, as the symlink itself.
#[test]
fn a_path_that_a_symlink_blocks_is_skipped() {
    let mut world = World::new(186, 2);
    world.pair(0, 1);
    world.start(1);
    world.user(1).make_link(&path("dir"), b"/mnt/dir");
    world.user(1).make_link(&path("file"), b"/mnt/file");
    world.run_ms(70_000);
    world.start(0);
    world.write(0, "dir/a", "one");
    world.write(0, "file", "one");
    world.write(0, "other", "one");
    world.run_ms(70_000);

    assert_eq!(world.read(1, "other").as_deref(), Some("one"), "nothing waits for it");
    for id in [0, 1] {
        let summary = world.node(id).summary();
        let named = |name: &str| summary.skipped.iter().any(|one| one.path == path(name));
        assert!(named("dir/a") && named("file"), "m{id}: {summary:?}");
        assert!(summary.failed.is_empty(), "m{id}");
    }
}
