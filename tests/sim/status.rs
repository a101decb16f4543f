//! "In sync" is said only where it is true, with what it leaves out; everything else has a reason, the most useful first.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "encryption")]
use owsync::model::escape;
#[cfg(feature = "encryption")]
use owsync::model::settings::Accept;
use owsync::model::settings::{Mode, ShareSettings};
use owsync::model::{Direction, PeerName, RelPath, ShareName};
use owsync::node::api::record::Field;
use owsync::node::api::status::PathStatus;
use owsync::node::api::{Command, Tree};
use owsync::proto::Message;
use owsync::proto::message::Progress;
use owsync::store::state::Why;

use super::world::{MachineId, World, main, path};

/// Two machines in sync.
fn couple(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.write(0, "dhcp", "one");
    world.settle();
    world
}

fn paths(list: Vec<PathStatus>) -> Vec<String> {
    list.into_iter().map(|one| one.path).collect()
}

fn listed_texts(list: Option<&Tree>) -> Vec<String> {
    let Some(Tree::List(list)) = list else { return Vec::new() };
    let text = |one: &Tree| match one {
        Tree::Text(text) => text.clone(),
        other => panic!("no text: {other:?}"),
    };
    list.iter().map(text).collect()
}

fn is_in_sync(world: &mut World, id: MachineId) -> bool {
    world.status(id).in_sync
}

/// F85: shares are common by their names; without a common one nothing is in sync, and both are named.
#[test]
fn without_a_common_share_nobody_is_in_sync() {
    let mut world = World::new(700, 2);
    world.pair(0, 1);
    world.share_settings(1).name = ShareName::parse("mian").unwrap();
    world.start_all();
    world.run(Duration::from_secs(30));
    for (id, other) in [(0, 1), (1, 0)] {
        assert!(!is_in_sync(&mut world, id));
        assert_eq!(world.of_peer(id, other).reason.as_deref(), Some("no_common_share"));
        let summary = world.summary(id);
        assert!(summary.contains("main") && summary.contains("mian"), "{summary}");
    }
    let answer = world.done(0, Command::Sync { peer: None, share: None, dry_run: false, wait: true });
    assert_eq!(answer.get("in_sync"), Some(&Tree::Bool(false)));
}

/// F85: a share that no connected peer has is not in sync, although another one is.
#[test]
fn a_share_that_nobody_else_has_is_named() {
    let mut world = World::new(701, 2);
    world.pair(0, 1);
    for (id, name) in [(0, "vpn"), (1, "vpm")] {
        let mut share = ShareSettings::new(ShareName::parse(name).unwrap(), PathBuf::from("/vpn"));
        share.include = vec![b"*".to_vec()];
        share.min_free = 64 * 1024;
        world.machines[id].settings.shares.push(share);
        world.machines[id].disk.add_root("/vpn");
    }
    world.start_all();
    world.run(Duration::from_secs(30));
    let summary = world.summary(0);
    assert!(summary.contains("share vpn: no connected peer has this share"), "{summary}");
}

/// F85: without an include pattern at one end nothing is synced, and both ends say so.
#[test]
fn a_missing_include_is_a_reason_on_both_sides() {
    let mut world = World::new(702, 2);
    world.pair(0, 1);
    world.share_settings(1).include = Vec::new();
    world.start_all();
    world.write(0, "dhcp", "one");
    world.run(Duration::from_secs(30));
    assert_eq!(world.of_peer(0, 1).reason.as_deref(), Some("no_include_there"));
    assert_eq!(world.of_peer(1, 0).reason.as_deref(), Some("no_include"));
    assert!(!is_in_sync(&mut world, 0) && !is_in_sync(&mut world, 1));
}

/// F85: what filters, sizes and kinds leave out is counted in the sentence on both sides, and changes no verdict.
#[test]
fn what_differs_by_choice_is_counted_on_both_sides() {
    let mut world = couple(703);
    world.share_settings(1).exclude = vec![b"*.key".to_vec()];
    world.share_settings(1).max_file_size = 10;
    world.reload(1);
    world.settle();
    world.write(0, "a.key", "secret");
    world.write(0, "b.key", "secret");
    world.write(0, "large", "more than ten bytes");
    world.settle();
    world.run(Duration::from_secs(70));
    for id in [0, 1] {
        assert_eq!(world.summary(id), "in sync; 3 paths left out: 2 by filter, 1 too large", "m{id}");
    }
    // What is changed behind a path that is left out is not in sync before it has arrived.
    world.write(0, "dhcp", "two");
    let seen = world.run_until(Duration::from_secs(5), |world| !is_in_sync(world, 0));
    assert!(seen, "the change is offered and not settled there");
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("two"));
    let (me, them) = (world.node(0).id(), world.node(1).id());
    let names: Vec<String> = world.node(0).left_out(them, &main()).keys().map(|path| path.to_text()).collect();
    assert_eq!(names, ["a.key", "b.key", "large"]);
    assert!(
        world.node(1).verdict_with(me).is_some_and(|verdict| verdict.is_in_sync() && verdict.left_out.total() == 3)
    );
}

/// F85: a share that is paused at the other end is a reason here, too.
#[test]
fn a_share_that_is_paused_there_is_not_in_sync_here() {
    let mut world = couple(704);
    let pause = Command::Pause { peer: None, share: Some(main()), reason: Some("moving".into()), seconds: None };
    world.done(1, pause);
    world.write(1, "dhcp", "two");
    world.run(Duration::from_secs(5));
    assert!(!is_in_sync(&mut world, 0));
    assert!(world.of_peer(0, 1).message.unwrap().contains("moving"));
    world.done(1, Command::Resume { peer: None, share: Some(main()) });
    world.settle();
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("two"));
}

/// F86: of nodes behind a peer it is said which is not in sync; not for a moment's change, and not when it is over.
#[test]
fn a_node_behind_a_peer_that_is_not_in_sync_is_named() {
    let mut world = World::new(705, 4);
    (0..3).for_each(|id| world.pair(id, id + 1));
    world.start_all();
    world.write(0, "dhcp", "one");
    world.settle();
    assert!(world.summary(0).starts_with("in sync"), "{}", world.summary(0));
    assert!(!world.summary(0).contains("behind"), "{}", world.summary(0));
    world.share_settings(2).min_free = 1 << 40;
    world.reload(2);
    world.settle();
    world.write(0, "dhcp", "two");
    world.run(Duration::from_secs(10));
    assert_eq!(world.summary(0), "in sync; m2, behind m1, is not in sync");
    world.share_settings(2).min_free = 64 * 1024;
    world.reload(2);
    world.settle();
    world.stop(3);
    world.run(Duration::from_secs(30));
    // Two nodes away, and said by the one between.
    assert_eq!(world.summary(0), "in sync; m3, behind m1, is not in sync");
    world.start(3);
    world.settle();
    assert_eq!(world.summary(0), "in sync");
}

/// F86: a peer that is one too many is named where it was refused.
#[test]
fn a_peer_that_is_turned_away_is_named() {
    let count = 10;
    let mut world = World::new(706, count);
    world.machines[0].settings.max_sessions = 8;
    world.slowest = 1;
    (1..count).for_each(|id| world.peer(id, 0));
    world.start_all();
    world.run(Duration::from_secs(40));
    let summary = world.summary(0);
    assert!(summary.contains("refused, because 8 sessions are open (max_sessions): m"), "{summary}");
    let waiting: Vec<String> = world.status(0).waiting.into_iter().map(|one| one.reason).collect();
    assert_eq!(waiting, ["too_many_sessions"]);
    let away = (1..count).filter(|id| world.of_peer(*id, 0).reason.as_deref() == Some("too_many_sessions"));
    assert_eq!(away.collect::<Vec<_>>().len(), 1);
}

/// F87: what was changed in a share that only receives is listed, and counted by its peer.
#[test]
fn local_deviations_of_a_receiver_are_listed() {
    let mut world = couple(707);
    world.write(0, "f1", "one");
    world.write(0, "f2", "one");
    world.settle();
    world.share_settings(1).direction = Direction::Receive;
    world.reload(1);
    world.settle();
    assert_eq!(world.summary(1), "in sync");
    world.remove(1, "f1");
    world.write(1, "f2", "local");
    world.write(1, "own", "local");
    world.run(Duration::from_secs(130));
    assert_eq!(paths(world.share(1).deviations), ["f1", "f2", "own"]);
    for id in [0, 1] {
        assert_eq!(world.summary(id), "in sync; 3 paths left out: 3 by direction", "m{id}");
    }
    // A preview lists them too, also one that was not recorded yet, of all peers or of one.
    world.write(1, "later", "local");
    for peer in [None, Some(PeerName("m0".into()))] {
        let preview = world.done(1, Command::Sync { peer, share: None, dry_run: true, wait: false });
        assert_eq!(
            paths(preview.get("deviations").and_then(Vec::from_tree).unwrap_or_default()),
            ["f1", "f2", "own", "later"]
        );
    }
    world.remove(1, "later");
    world.settle();
    // The next version of the peer ends it.
    world.write(0, "f2", "two");
    world.settle();
    assert_eq!(world.read(1, "f2").as_deref(), Some("two"));
    assert_eq!(paths(world.share(1).deviations), ["f1", "own"]);
}

/// F95: the cause is named first, however many paths wait for it, on both sides.
#[test]
fn the_cause_of_what_is_pending_comes_first() {
    let mut world = couple(708);
    world.machines[1].settings.shares[0].validate = Some("/usr/libexec/validate".into());
    world.machines[1].programs.dislikes = Some(("bad", "line 1: no such target"));
    world.reload(1);
    world.settle();
    for n in 0..40 {
        world.write(0, &format!("a{n:02}"), "good");
    }
    world.write(0, "zbig", "bad");
    world.run(Duration::from_secs(20));
    assert_eq!(paths(world.share(1).pending)[0], "zbig");
    for id in [0, 1] {
        let summary = world.summary(id);
        assert!(
            summary.contains("zbig: refused by a check: line 1") && summary.contains("and 40 more paths"),
            "{summary}"
        );
    }
}

/// F97: every hold that approve or reject ends says that it needs the user.
#[test]
fn a_hold_that_approve_ends_needs_the_user() {
    let mut world = couple(709);
    (0..20).for_each(|n| world.write(0, &format!("d{n}"), "x"));
    world.settle();
    for n in 0..20 {
        world.user(0).remove(&path(&format!("d{n}")));
    }
    world.tell(0, Command::Sync { peer: None, share: None, dry_run: false, wait: false });
    world.run(Duration::from_secs(60));
    let hold = world.share(0).hold.expect("it is held");
    assert!(hold.needs_user, "{hold:?}");
    world.done(0, Command::Approve { share: None, path: None, pick: None, dry_run: false });
    world.run(Duration::from_secs(10));
    assert_eq!(world.hold(0), None, "and approve ends it");
}

/// F134: a change that reached the peers is told where it was made: as event, in the log and in status.
#[test]
fn what_was_sent_is_told_where_it_was_made() {
    let mut world = World::new(710, 3);
    world.mesh();
    world.start_all();
    world.write(0, "dhcp", "one");
    world.settle();
    world.write(0, "dhcp", "two");
    world.settle();
    let sent = |world: &World, id: MachineId| {
        let events = world.machines[id].events.iter().filter(|(name, _)| *name == "owsync.sent");
        events.map(|(_, text)| text.clone()).collect::<Vec<_>>()
    };
    let told = sent(&world, 0);
    assert_eq!(told.len(), 1, "one event for a change: {told:?}");
    assert!(
        told[0].starts_with("main: dhcp sent to m1 and m2 in 0.")
            || told[0].starts_with("main: dhcp sent to m2 and m1 in 0."),
        "{told:?}"
    );
    assert!(world.log_has(0, "dhcp sent to m"));
    assert_eq!(world.share(0).last_sent.expect("the last change").files, 1);
    assert_eq!(sent(&world, 1), [] as [String; 0], "who relays did not make it");
    // `owsync log` lists it too: of all, of this path, and of either peer; not of another path or for a reason.
    let asked = |world: &mut World, id, path: Option<&str>, why, node: Option<&str>| {
        let path = path.map(|text| RelPath::parse(text.as_bytes()).unwrap());
        let log = world.done(id, Command::Log { share: None, path, why, node: node.map(Into::into), limit: 9 });
        match log.get("sent") {
            Some(Tree::List(list)) => list.iter().flat_map(|one| listed_texts(one.get("paths"))).collect(),
            _ => Vec::new(),
        }
    };
    for (path, node) in [(None, None), (Some("dhcp"), None), (None, Some("m2")), (None, Some("m0"))] {
        assert_eq!(asked(&mut world, 0, path, None, node), ["dhcp"], "{path:?} {node:?}");
    }
    assert_eq!(asked(&mut world, 0, Some("other"), None, None), [] as [String; 0]);
    assert_eq!(asked(&mut world, 0, None, Some(Why::Conflict), None), [] as [String; 0]);
    assert_eq!(asked(&mut world, 1, None, None, None), [] as [String; 0]);
    // Nobody is there: it is told when somebody has it.
    world.stop(1);
    world.stop(2);
    world.write(0, "dhcp", "three");
    world.run(Duration::from_secs(60));
    assert_eq!(sent(&world, 0).len(), 1);
    world.start(1);
    world.run(Duration::from_secs(90));
    assert!(sent(&world, 0)[1].starts_with("main: dhcp sent to m1 in "), "{:?}", sent(&world, 0));
    // A share whose changes wait for the user: told once they are released and have arrived.
    world.start(2);
    world.share_settings(0).mode = Mode::Manual;
    world.reload(0);
    world.settle();
    let before = sent(&world, 0).len();
    world.write(0, "dhcp", "four");
    world.run(Duration::from_secs(30));
    assert_eq!(sent(&world, 0).len(), before);
    world.done(0, Command::Sync { peer: None, share: None, dry_run: false, wait: true });
    world.settle();
    assert_eq!(sent(&world, 0).len(), before + 1);
}

/// F135: the author of a change says that a peer has it, awaiting confirmation, and not that all is in sync.
#[test]
fn a_change_that_is_unconfirmed_there_is_not_in_sync_here() {
    let mut world = couple(711);
    world.share_settings(1).confirm = Some(60);
    world.reload(1);
    world.settle();
    world.write(0, "network", "new");
    let seen = world
        .run_until(Duration::from_secs(5), |world| world.of_peer(0, 1).reason.as_deref() == Some("unconfirmed_there"));
    assert!(seen, "{}", world.summary(0));
    assert_eq!(world.of_peer(0, 1).message.as_deref(), Some("m1 has 1 path awaiting confirmation there"));
    world.done(1, Command::Confirm { share: None });
    world.settle();
    assert_eq!(world.summary(0), "in sync");
}

fn reason(world: &mut World, id: MachineId, other: MachineId) -> Option<String> {
    world.of_peer(id, other).reason
}

/// F85: what one machine says of the pair, and of itself as a whole, also while nobody is connected.
#[test]
fn a_share_that_cannot_go_on_is_a_reason_with_and_without_a_peer() {
    // A hold,
    let mut world = couple(720);
    (0..3).for_each(|n| world.write(0, &format!("f{n}"), "x"));
    world.settle();
    (0..3).for_each(|n| world.remove(0, &format!("f{n}")));
    world.remove(0, "dhcp");
    world.run(Duration::from_secs(5));
    assert_eq!(reason(&mut world, 0, 1).as_deref(), Some("held"));
    world.stop(1);
    world.run(Duration::from_secs(30));
    let gaps = |world: &World| {
        let verdict = world.node(0).verdict(world.now(0), None, None);
        verdict.gaps.iter().map(|gap| (gap.code, gap.share.is_some())).collect::<Vec<_>>()
    };
    assert!(gaps(&world).contains(&("held", true)), "{:?}", gaps(&world));

    // a share without a pattern,
    let mut world = couple(721);
    world.share_settings(0).include = Vec::new();
    world.reload(0);
    world.stop(1);
    world.run(Duration::from_secs(30));
    assert!(gaps(&world).contains(&("no_include", true)), "{:?}", gaps(&world));

    // and a transaction whose end the disk refuses.
    let mut world = couple(722);
    world.write(1, "d/f", "x");
    world.settle();
    world.machines[0].disk.0.borrow_mut().bad_below = Some(b"d".to_vec());
    world.write(1, "d/f", "y");
    world.run(Duration::from_secs(5));
    assert_eq!(reason(&mut world, 0, 1).as_deref(), Some("blocked"));
    world.stop(1);
    world.run(Duration::from_secs(30));
    assert!(gaps(&world).contains(&("blocked", true)), "{:?}", gaps(&world));
    world.machines[0].disk.0.borrow_mut().bad_below = None;
    world.start(1);
    world.settle();

    // Without any peer at all it is not in sync either.
    let mut world = World::new(723, 1);
    world.start_all();
    world.run(Duration::from_secs(5));
    assert_eq!(gaps(&world), [("no_peer", false)]);
}

/// F85: each path that waits here is a reason here, and not only where its change comes from.
#[test]
fn a_path_that_waits_here_is_a_reason_here() {
    let mut world = couple(724);
    world.write(0, "key", "secret");
    world.settle();
    world.user(0).chmod(&path("key"), 0);
    world.announce(0, &path("key"));
    world.run(Duration::from_secs(5));
    assert_eq!(reason(&mut world, 0, 1).as_deref(), Some("unreadable"));
    world.user(0).chmod(&path("key"), 0o644);
    world.announce(0, &path("key"));
    world.settle();

    // An unconfirmed change in LuCI,
    world.with(0, |node, now| node.handle_withheld(now, &main(), [path("dhcp")].into_iter().collect()));
    world.write(0, "dhcp", "locks out");
    world.run(Duration::from_secs(5));
    assert_eq!(reason(&mut world, 0, 1).as_deref(), Some("unconfirmed"));
    world.with(0, |node, now| node.handle_withheld(now, &main(), Default::default()));
    world.settle();

    // one of a peer,
    world.share_settings(0).confirm = Some(60);
    world.reload(0);
    world.settle();
    world.write(1, "dhcp", "new");
    let seen = world.run_until(Duration::from_secs(5), |world| reason(world, 0, 1).as_deref() == Some("unconfirmed"));
    assert!(seen, "{}", world.summary(0));
    world.done(0, Command::Confirm { share: None });
    world.share_settings(0).confirm = None;
    world.reload(0);
    world.settle();

    // and a package of which most is gone.
    let package = |sections: usize| (0..sections).map(|n| format!("config rule 'r{n}'\n")).collect::<String>();
    world.share_settings(0).reload = Some(owsync::model::settings::Reload::Uci);
    world.reload(0);
    world.write(0, "firewall", &package(9));
    world.settle();
    world.write(0, "firewall", &package(1));
    world.run(Duration::from_secs(5));
    assert_eq!(reason(&mut world, 0, 1).as_deref(), Some("held"));
}

/// F85: what a peer has not said yet, or says of itself, is a reason here.
#[test]
fn what_a_peer_says_and_does_not_say_is_a_reason() {
    let mut world = World::new(725, 1);
    world.start_all();
    world.write(0, "dhcp", "one");
    world.run(Duration::from_secs(5));
    let of = |world: &mut World| world.of_named(0, "stranger").reason;
    let mut peer = world.meet(0, |hello| hello.rank = 1);
    peer.until_wanted(&mut world);
    assert_eq!(of(&mut world).as_deref(), Some("exchanging"), "it has said nothing of its files");
    let heard = world.offer(0, "theirs", "", 5);
    peer.offer_part(&mut world, Vec::new(), true);
    world.run_ms(100);
    assert_eq!(of(&mut world).as_deref(), Some("exchanging"), "it has asked for nothing");

    let state = peer.state;
    peer.say(&mut world, &Message::Want { share: main(), state, since: 0, round: 1 });
    let top = |world: &World| {
        let records = world.node(0).state().shares[&main()].index.iter();
        records.map(|(_, record)| record.seq).max().unwrap()
    };
    let offered = top(&world);
    let progress = |settled: u64| Progress {
        share: main(),
        heard: offered,
        applied: 0,
        settled,
        pending: 0,
        left_out: Default::default(),
        paths: Vec::new(),
        unreleased: 0,
        unconfirmed: 0,
        full: false,
    };
    peer.say(&mut world, &Message::Progress(progress(0)));
    world.run_ms(100);
    assert_eq!(of(&mut world).as_deref(), Some("sending"), "it has applied nothing");
    world.run(Duration::from_secs(11));
    assert_eq!(of(&mut world).as_deref(), Some("late"));

    // The exchange is complete by now, and what had no version has one, under a new number.
    let offered = top(&world);
    let progress = |settled: u64| Progress { heard: offered, ..progress(settled) };
    for (says, expected) in [
        (Progress { pending: 1, ..progress(offered) }, Some("pending_there")),
        (Progress { full: true, ..progress(offered) }, Some("full_there")),
        (progress(offered), None),
    ] {
        peer.say(&mut world, &Message::Progress(says));
        world.run_ms(100);
        assert_eq!(of(&mut world).as_deref(), expected);
    }

    // After a pause everything is asked for again.
    world.done(0, Command::Pause { peer: None, share: Some(main()), reason: None, seconds: None });
    world.done(0, Command::Resume { peer: None, share: Some(main()) });
    world.run_ms(100);
    assert_eq!(of(&mut world).as_deref(), Some("exchanging"), "it has not said yet whether anything is new");
    peer.until_wanted(&mut world);
    peer.offer_part(&mut world, Vec::new(), true);
    world.run_ms(100);
    assert_eq!(of(&mut world), None);

    // A change of it that is on its way here: without its end, and without its content.
    peer.offer_part(&mut world, vec![heard.clone()], false);
    world.run_ms(100);
    assert_eq!(of(&mut world).as_deref(), Some("receiving"), "its batch may go on");
    let large = world.offer(0, "large", "content", 6);
    peer.offer_part(&mut world, vec![large], true);
    world.run_ms(100);
    assert_eq!(of(&mut world).as_deref(), Some("receiving"), "its content is missing");
}

/// F85: at no moment of a change or a restart does anybody say that it is in sync before it is.
#[test]
fn every_moment_of_a_change_has_its_reason() {
    let mut world = couple(726);
    let large = "x".repeat(3_000_000);
    let mut reasons = [BTreeSet::new(), BTreeSet::new()];
    world.write(0, "large", &large);
    world.write(0, "small", "s");
    let arrived = |world: &World| world.read(1, "small").is_some() && world.read(1, "large").is_some();
    let until = world.now_ms + 20_000;
    while !arrived(&world) && world.step(until) {
        let known = |id: MachineId| world.node(id).state().shares[&main()].index.get(&path("large")).is_some();
        let (made, has) = (known(0), known(1));
        if made && !has {
            assert!(!is_in_sync(&mut world, 0), "at {} ms", world.now_ms);
        }
        for (id, other) in [(0, 1), (1, 0)] {
            reasons[id].extend(reason(&mut world, id, other));
        }
    }
    assert!(arrived(&world));
    assert!(reasons[0].contains("sending"), "{reasons:?}");
    assert!(reasons[1].contains("receiving"), "{reasons:?}");
    world.settle();

    // What is brought back here is no peer's change, and is not in place at once either.
    (0..200).for_each(|n| world.write(0, &format!("d/f{n:03}"), "old"));
    world.settle();
    (0..200).for_each(|n| world.write(0, &format!("d/f{n:03}"), "new"));
    world.settle();
    let log = Command::Log { share: None, path: Some(path("d")), why: None, node: None, limit: 9 };
    let Some(Tree::List(versions)) = world.done(1, log).get("versions").cloned() else { panic!("a list") };
    let Some(Tree::Int(run)) = versions.last().and_then(|one| one.get("run")).cloned() else { panic!("{versions:?}") };
    world.tell(1, Command::Undo { run: u64::try_from(run).unwrap() });
    let mut seen = BTreeSet::new();
    let until = world.now_ms + 5_000;
    while world.step(until) && !seen.contains("sending") {
        seen.extend(reason(&mut world, 1, 0));
    }
    assert!(seen.contains("applying"), "{seen:?}");
    world.settle();

    // A restart is not in sync before the files were looked at.
    world.stop(1);
    world.start(1);
    let mut seen = BTreeSet::new();
    let until = world.now_ms + 60_000;
    while world.step(until) && !is_in_sync(&mut world, 1) {
        seen.extend(reason(&mut world, 1, 0));
    }
    assert!(seen.contains("exchanging"), "{seen:?}");
}

/// F86: a node that was let in and is gone is missed, and a peer that is paused is a reason as well.
#[test]
#[cfg(feature = "encryption")]
fn a_peer_that_is_away_or_paused_is_a_reason_in_the_verdict_of_all() {
    let codes = |world: &World| -> Vec<&'static str> {
        let verdict = world.node(0).verdict(world.now(0), None, None);
        verdict.gaps.iter().map(|gap| gap.code).collect()
    };
    let mut world = World::new(727, 2);
    world.peer(1, 0);
    world.encrypt();
    world.set_all(|settings| settings.accept = Accept::Known);
    world.start_all();
    let token = match world.done(0, Command::Invite).get("token") {
        Some(Tree::Text(token)) => escape::unhex(token).unwrap(),
        other => panic!("{other:?}"),
    };
    world.with(1, |node, _| node.show_token(token));
    world.settle();
    world.stop(1);
    world.run(Duration::from_secs(30));
    assert!(codes(&world).contains(&"away"), "{:?}", codes(&world));

    let mut world = couple(728);
    let peer = Some(PeerName("m1".into()));
    world.done(0, Command::Pause { peer, share: None, reason: None, seconds: None });
    world.run(Duration::from_secs(5));
    assert!(codes(&world).contains(&"paused"), "{:?}", codes(&world));
}
