//! A change that is put in force on all nodes, or on none.

mod crashes;

use std::time::Duration;

use owsync::cli::render::Fields;
use owsync::model::Direction;
use owsync::model::settings::{Mode, Reload};
use owsync::node::DeltaChange;
use owsync::node::api::{Command, CommitRequest, Reply, Tree};

use crate::world::{World, path};

const NETWORK: &str = "\nconfig interface 'lan'\n\toption mtu '1500'\n\toption proto 'static'\n\n";
const FIREWALL: &str = "\nconfig defaults 'defaults'\n\toption input 'REJECT'\n\n";

/// Machines in sync, all connected to each other, whose share holds two UCI packages.
fn routers(seed: u64, count: usize) -> World {
    let mut world = World::new(seed, count);
    for a in 0..count {
        for b in a + 1..count {
            world.pair(a, b);
        }
        world.share_settings(a).reload = Some(Reload::Uci);
        world.share_settings(a).confirm = Some(30);
        world.machines[a].programs.takes = Some(50);
    }
    world.start_all();
    world.settle();
    world.write(0, "network", NETWORK);
    world.write(0, "firewall", FIREWALL);
    world.settle();
    // Nothing of that awaits confirmation any more.
    world.run(Duration::from_secs(60));
    world.settle();
    world
}

/// Two machines whose share is in mode manual.
fn manual(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    for id in 0..2 {
        world.share_settings(id).mode = Mode::Manual;
    }
    world.start_all();
    world.settle();
    world
}

/// A commit of uncommitted changes.
fn commit(deltas: &[(&str, &str)]) -> CommitRequest {
    let deltas = deltas.iter().map(|(package, text)| (path(package), text.as_bytes().to_vec()));
    CommitRequest { deltas: deltas.collect(), wait: true, ..CommitRequest::default() }
}

const MTU: (&str, &str) = ("network", "network.lan.mtu='1400'\n");
const INPUT: (&str, &str) = ("firewall", "firewall.defaults.input='ACCEPT'\n");

fn ask(request: CommitRequest) -> Command {
    Command::Commit(Box::new(request))
}

/// Begins a commit, and returns the number under which the answer will come.
fn begin(world: &mut World, id: usize, request: CommitRequest) -> u64 {
    let number = 1_000_000 + world.steps;
    world.with(id, |node, now| node.handle_command(now, number, ask(request)));
    number
}

/// What the answer says, as a text.
fn text_of(reply: &Reply) -> (bool, String) {
    match reply {
        Reply::Done(tree) => (true, tree.text("message").to_string()),
        Reply::Failed { message, .. } => (false, message.clone()),
    }
}

/// Commits, and says whether it is kept, and what the user reads.
fn commits(world: &mut World, id: usize, request: CommitRequest) -> (bool, String) {
    text_of(&world.command(id, ask(request)))
}

fn files(world: &World, name: &str) -> Vec<String> {
    (0..world.machines.len()).map(|id| world.read(id, name).unwrap_or_default()).collect()
}

fn assert_nothing_is_left(world: &mut World) {
    world.settle();
    // What is left of a broken transfer is kept for a while.
    world.run(Duration::from_secs(700));
    for id in 0..world.machines.len() {
        let state = world.node(id).state();
        assert!(state.shares.values().all(|share| share.landing.is_none()), "m{id} has a transaction");
        assert!(world.is_swept(id), "m{id} has staged files");
    }
}

#[test]
fn a_change_of_two_packages_is_kept_on_all_routers_at_once() {
    let mut world = routers(1, 3);
    let (kept, text) = commits(&mut world, 0, commit(&[MTU, INPUT]));
    assert!(kept, "{text}");
    assert_eq!(text, "kept on all 3 routers");
    for (name, wanted) in [("network", "option mtu '1400'"), ("firewall", "option input 'ACCEPT'")] {
        assert!(files(&world, name).iter().all(|text| text.contains(wanted)), "{name}: {:?}", files(&world, name));
    }
    assert_nothing_is_left(&mut world);
    world.assert_equal();
    for id in 0..3 {
        assert!(world.history_holds(id, NETWORK), "m{id}");
    }
    let changed: Vec<DeltaChange> = world.machines[0].deltas.iter().map(|(change, _)| *change).collect();
    assert_eq!(changed, [DeltaChange::Remove], "what was committed is not uncommitted any more");
    let events: Vec<&String> =
        world.machines[0].events.iter().filter(|(name, _)| *name == "owsync.commit").map(|(_, text)| text).collect();
    for step in ["prepared", "applied", "reachable", "kept"] {
        assert_eq!(events.iter().filter(|text| text.ends_with(&format!(": {step}"))).count(), 3, "{step}: {events:?}");
    }
}

#[test]
fn one_refusal_leaves_all_files_untouched_and_is_quoted() {
    let mut world = routers(2, 3);
    world.share_settings(2).validate = Some("/bin/validate".into());
    world.reload(2);
    world.settle();
    let before: Vec<_> = (0..3).map(|id| world.tree(id)).collect();
    world.machines[2].programs.dislikes = Some(("1400", "mtu too small"));
    let (kept, text) = commits(&mut world, 0, commit(&[MTU, INPUT]));
    assert!(!kept);
    assert!(text.starts_with("rolled back: m2: network: ") && text.contains("mtu too small"), "{text}");
    assert_nothing_is_left(&mut world);
    assert_eq!((0..3).map(|id| world.tree(id)).collect::<Vec<_>>(), before);
    assert!(world.machines[0].deltas.is_empty(), "they were never removed");
    // It is no obstacle for the next one.
    world.machines[2].programs.dislikes = None;
    let (kept, text) = commits(&mut world, 1, commit(&[MTU]));
    assert!(kept, "{text}");
}

#[test]
fn a_change_that_cuts_one_router_off_is_rolled_back_on_all() {
    for cut_off in 0..3 {
        let mut world = routers(3, 3);
        world.machines[cut_off].deaf_after = Some("1400");
        let before: Vec<_> = (0..3).map(|id| world.tree(id)).collect();
        let (kept, text) = commits(&mut world, 0, commit(&[MTU, INPUT]));
        assert!(!kept);
        // Whether its report that it applied still came through depends on who was faster.
        let reasons = ["could not be reached after the change", "did not apply the change in time"];
        assert!(reasons.iter().any(|why| text.contains(why)), "{text}");
        world.run(Duration::from_secs(120));
        assert_nothing_is_left(&mut world);
        assert_eq!((0..3).map(|id| world.tree(id)).collect::<Vec<_>>(), before, "m{cut_off}");
        let changed: Vec<DeltaChange> = world.machines[0].deltas.iter().map(|(change, _)| *change).collect();
        assert_eq!(changed, [DeltaChange::Remove, DeltaChange::PutBack], "the user's changes are uncommitted again");
    }
}

#[test]
fn a_probe_that_fails_on_one_router_rolls_back_on_all() {
    let mut world = routers(4, 3);
    for id in 0..3 {
        world.share_settings(id).probe = Some("/usr/sbin/probe".into());
        world.reload(id);
    }
    world.settle();
    let before: Vec<_> = (0..3).map(|id| world.tree(id)).collect();
    world.machines[1].programs.is_broken = true;
    let (kept, text) = commits(&mut world, 0, commit(&[MTU]));
    assert!(!kept && text.contains("m1: its probe failed: no route"), "{text}");
    assert_nothing_is_left(&mut world);
    assert_eq!((0..3).map(|id| world.tree(id)).collect::<Vec<_>>(), before);
    world.machines[1].programs.is_broken = false;
    let (kept, text) = commits(&mut world, 0, commit(&[MTU]));
    assert!(kept, "{text}");
}

#[test]
fn a_router_that_is_away_is_named_and_can_be_left_out() {
    let mut world = routers(5, 3);
    (0..2).for_each(|other| world.set_cut(2, other, true));
    world.run(Duration::from_secs(120));
    let before: Vec<_> = (0..3).map(|id| world.tree(id)).collect();
    let (kept, text) = commits(&mut world, 0, commit(&[MTU]));
    assert!(!kept && text.starts_with("m2 is not connected to this router"), "{text}");
    assert_eq!((0..3).map(|id| world.tree(id)).collect::<Vec<_>>(), before);
    let without = CommitRequest { without: vec!["away".into()], ..commit(&[MTU]) };
    let (kept, text) = commits(&mut world, 0, without);
    assert!(kept && text == "kept on all 2 routers", "{text}");
    world.heal_all();
    world.settle();
    world.assert_equal();
    assert!(files(&world, "network").iter().all(|text| text.contains("1400")));
    let (kept, text) = commits(&mut world, 0, CommitRequest { without: vec!["m7".into()], ..commit(&[INPUT]) });
    assert!(!kept && text.contains("is called m7"), "{text}");
}

#[test]
fn a_router_that_only_sends_does_not_count_and_one_that_only_receives_cannot_commit() {
    let mut world = routers(6, 3);
    for (id, direction) in [(1, Direction::Send), (2, Direction::Receive)] {
        world.share_settings(id).direction = direction;
        world.reload(id);
    }
    world.settle();
    let (kept, text) = commits(&mut world, 0, commit(&[MTU]));
    assert!(kept && text == "kept on all 2 routers", "{text}");
    let (kept, text) = commits(&mut world, 2, commit(&[INPUT]));
    assert!(!kept && text.contains("direction receive"), "{text}");
}

#[test]
fn an_edit_that_the_committing_router_has_not_seen_refuses_the_commit() {
    let mut world = routers(7, 2);
    world.share_settings(0).validate = Some("/bin/validate".into());
    world.reload(0);
    world.settle();
    world.machines[0].programs.dislikes = Some(("1300", "too small"));
    world.write(1, "network", &NETWORK.replace("1500", "1300"));
    world.run(Duration::from_secs(60));
    let (kept, text) = commits(&mut world, 0, commit(&[MTU]));
    assert!(
        !kept && text.contains("m1: network: it has a change that the committing router has not received"),
        "{text}"
    );
    assert!(world.read(1, "network").unwrap().contains("1300"));
}

#[test]
fn of_two_commits_at_once_none_is_half_in_force() {
    for seed in 0..40 {
        let mut world = routers(100 + seed, 3);
        let a = begin(&mut world, 0, commit(&[MTU]));
        world.run_ms(seed * 7);
        let b = begin(&mut world, 1, commit(&[("network", "network.lan.mtu='1300'\n")]));
        world.run(Duration::from_secs(120));
        let replies = [(0, a), (1, b)].map(|(id, number)| text_of(&world.machines[id].replies[&number]));
        assert!(!(replies[0].0 && replies[1].0), "seed {seed}: {replies:?}");
        assert_nothing_is_left(&mut world);
        world.assert_equal();
        let wanted = if replies[0].0 {
            "1400"
        } else if replies[1].0 {
            "1300"
        } else {
            "1500"
        };
        assert!(files(&world, "network").iter().all(|text| text.contains(wanted)), "seed {seed}: {replies:?}");
    }
}

#[test]
fn an_edit_of_a_committed_file_meanwhile_stays_and_travels() {
    for (kept, edited) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        let mut world = routers(8, 2);
        let number = begin(&mut world, 0, commit(&[MTU]));
        let in_place = |world: &mut World| files(world, "network").iter().all(|text| text.contains("1400"));
        assert!(world.run_until(Duration::from_secs(20), in_place), "it is in place");
        let text = world.read(edited, "network").unwrap().replace("static", "dhcp");
        world.write(edited, "network", &text);
        if !kept {
            world.done(0, Command::Rollback { share: None });
        }
        world.run(Duration::from_secs(90));
        let (was_kept, words) = text_of(&world.machines[0].replies[&number]);
        assert_eq!(was_kept, kept, "{words}");
        assert_nothing_is_left(&mut world);
        world.assert_equal();
        assert!(files(&world, "network").iter().all(|text| text.contains("dhcp")), "{:?}", files(&world, "network"));
    }
}

#[test]
fn a_commit_by_hand_is_kept_by_the_user_and_rolled_back_without() {
    for confirms in [true, false] {
        let mut world = routers(9, 3);
        let number = begin(&mut world, 0, CommitRequest { by_hand: true, ..commit(&[MTU]) });
        world.run(Duration::from_secs(120));
        assert!(!world.machines[0].replies.contains_key(&number), "it waits");
        assert!(files(&world, "network").iter().all(|text| text.contains("1400")));
        let there = world.command(1, Command::Confirm { share: None });
        assert!(text_of(&there).1.contains("was begun on m0"), "{there:?}");
        if confirms {
            world.done(0, Command::Confirm { share: None });
        }
        world.run(Duration::from_secs(700));
        let (kept, text) = text_of(&world.machines[0].replies[&number]);
        assert_eq!(kept, confirms, "{text}");
        assert_nothing_is_left(&mut world);
        let wanted = if confirms { "1400" } else { "1500" };
        assert!(files(&world, "network").iter().all(|text| text.contains(wanted)));
    }
}

#[test]
fn a_member_can_roll_back_what_is_in_place() {
    let mut world = routers(10, 3);
    let number = begin(&mut world, 0, CommitRequest { by_hand: true, ..commit(&[MTU]) });
    world.run(Duration::from_secs(60));
    world.done(2, Command::Rollback { share: None });
    world.run(Duration::from_secs(60));
    let (kept, text) = text_of(&world.machines[0].replies[&number]);
    assert!(!kept && text.contains("m2: the user rolled it back"), "{text}");
    assert_nothing_is_left(&mut world);
    assert!(files(&world, "network").iter().all(|text| *text == NETWORK));
}

#[test]
fn local_options_stay_and_are_not_committed() {
    let mut world = routers(11, 2);
    for id in 0..2 {
        world.share_settings(id).local = vec!["network.lan.ipaddr".into()];
        world.reload(id);
    }
    world.settle();
    for id in 0..2 {
        let own = NETWORK.replace("\toption proto", &format!("\toption ipaddr '192.168.{id}.1'\n\toption proto"));
        world.write(id, "network", &own);
        world.settle();
    }
    world.run(Duration::from_secs(60));
    let both = "network.lan.mtu='1400'\nnetwork.lan.ipaddr='192.168.9.1'\n";
    let (kept, text) = commits(&mut world, 0, commit(&[("network", both)]));
    assert!(kept, "{text}");
    assert_nothing_is_left(&mut world);
    let texts = files(&world, "network");
    assert!(texts.iter().all(|text| text.contains("1400")), "{texts:?}");
    assert!(texts[0].contains("192.168.9.1") && texts[1].contains("192.168.1.1"), "{texts:?}");
    let own = commit(&[("network", "network.lan.ipaddr='192.168.8.1'\n")]);
    let (kept, text) = commits(&mut world, 0, own);
    assert!(!kept && text.contains("run `uci commit network`"), "{text}");
}

#[test]
fn changed_files_of_a_share_in_mode_manual_are_committed() {
    let mut world = manual(12);
    world.write(0, "hosts", "a");
    world.write(0, "other", "b");
    world.run(Duration::from_secs(30));
    let (kept, text) = commits(&mut world, 0, CommitRequest { what: vec!["main:hosts".into()], ..commit(&[]) });
    assert!(kept, "{text}");
    assert_eq!(world.read(1, "hosts").as_deref(), Some("a"));
    assert_eq!(world.read(1, "other"), None);
    world.machines[1].programs.dislikes = Some(("b", "no b"));
    world.share_settings(1).validate = Some("/bin/validate".into());
    world.reload(1);
    world.run(Duration::from_secs(10));
    let (kept, text) = commits(&mut world, 0, commit(&[]));
    assert!(!kept && text.contains("no b"), "{text}");
    assert_eq!(world.read(0, "other").as_deref(), Some("b"), "the user's own file is as it was before the commit");
    assert_eq!(world.read(1, "other"), None);
}

#[test]
fn a_preview_names_options_and_routers_and_changes_nothing() {
    let mut world = routers(13, 3);
    let tree = world.done(0, ask(CommitRequest { dry_run: true, ..commit(&[MTU]) }));
    let Some(Tree::List(files)) = tree.get("files") else { panic!("{tree:?}") };
    assert_eq!(files[0].text("path"), "network");
    assert!(format!("{files:?}").contains("network.lan.mtu: '1500' -> '1400'"), "{files:?}");
    assert!(format!("{tree:?}").contains("m1") && format!("{tree:?}").contains("m2"), "{tree:?}");
    world.run(Duration::from_secs(30));
    assert_nothing_is_left(&mut world);
    assert_eq!(world.read(0, "network").as_deref(), Some(NETWORK));
}

#[test]
fn what_is_edited_after_it_was_committed_by_name_is_not_released() {
    let mut world = manual(14);
    world.write(0, "hosts", "committed");
    world.run(Duration::from_secs(30));
    let number = begin(&mut world, 0, CommitRequest { what: vec!["main:hosts".into()], ..commit(&[]) });
    let in_place = |world: &mut World| world.read(1, "hosts").is_some();
    assert!(world.run_until(Duration::from_secs(20), in_place), "it is in place");
    world.write(0, "hosts", "edited since");
    world.run(Duration::from_secs(60));
    let (kept, text) = text_of(&world.machines[0].replies[&number]);
    assert!(kept, "{text}");
    assert_eq!(world.read(1, "hosts").as_deref(), Some("committed"));
    assert_eq!(world.share(0).unreleased_count, 1, "the edit waits for the user");
}

#[test]
fn a_share_that_is_removed_meanwhile_ends_its_commit_and_the_next_one_is_possible() {
    for remover in 0..2 {
        let mut world = routers(15, 2);
        let number = begin(&mut world, 0, CommitRequest { by_hand: true, ..commit(&[MTU]) });
        let in_place = |world: &mut World| files(world, "network").iter().all(|text| text.contains("1400"));
        assert!(world.run_until(Duration::from_secs(20), in_place), "it is in place");
        let shares = std::mem::take(&mut world.machines[remover].settings.shares);
        world.reload(remover);
        world.run(Duration::from_secs(60));
        let (kept, text) = text_of(&world.machines[0].replies[&number]);
        let reasons = ["the share was removed from the configuration", "m1: it has no share main"];
        assert!(!kept && reasons.iter().any(|why| text.contains(why)), "{text}");
        assert!(files(&world, "network").iter().all(|text| *text == NETWORK), "{:?}", files(&world, "network"));
        world.machines[remover].settings.shares = shares;
        world.reload(remover);
        world.settle();
        let (kept, text) = commits(&mut world, 0, commit(&[MTU]));
        assert!(kept, "{text}");
    }
}

#[test]
fn an_edit_of_a_member_that_is_ready_refuses_the_commit_and_stays() {
    let mut world = routers(16, 3);
    world.share_settings(2).validate = Some("/bin/validate".into());
    world.reload(2);
    world.settle();
    world.machines[2].programs.takes = Some(10_000);
    let number = begin(&mut world, 0, commit(&[MTU]));
    world.run_ms(1_000);
    let edited = NETWORK.replace("static", "dhcp");
    world.write(1, "network", &edited);
    world.run(Duration::from_secs(120));
    let (kept, text) = text_of(&world.machines[0].replies[&number]);
    assert!(!kept && text.contains("it has a change that the committing router has not received"), "{text}");
    assert_nothing_is_left(&mut world);
    assert!(files(&world, "network").iter().all(|text| *text == edited), "{:?}", files(&world, "network"));
}

#[test]
fn a_committed_file_that_is_deleted_meanwhile_stays_deleted_and_ends_no_share() {
    for (kept, deleted) in [(true, 1), (false, 0), (false, 1)] {
        let mut world = routers(17, 2);
        let number = begin(&mut world, 0, commit(&[MTU]));
        let in_place = |world: &mut World| files(world, "network").iter().all(|text| text.contains("1400"));
        assert!(world.run_until(Duration::from_secs(20), in_place), "it is in place");
        world.remove(deleted, "network");
        if !kept {
            world.done(0, Command::Rollback { share: None });
        }
        world.run(Duration::from_secs(90));
        let (was_kept, words) = text_of(&world.machines[0].replies[&number]);
        assert_eq!(was_kept, kept, "{words}");
        assert_nothing_is_left(&mut world);
        world.assert_equal();
        assert_eq!(world.read(1 - deleted, "network"), None, "{kept} {deleted}");
        assert!((0..2).any(|id| world.history_holds(id, NETWORK)));
    }
}
