//! Two nodes change one UCI package before they see each other's change: both changes are in force everywhere.

mod histories;

use std::rc::Rc;
use std::time::Duration;

use owsync::model::settings::Reload;
use owsync::node::api::{Command, Fault, Former, Reply, Tree};

use crate::world::{World, path};

const BASE: &str = "\nconfig interface 'lan'\n\toption mtu '1500'\n\toption proto 'static'\n\nconfig interface 'wan'\n\toption mtu '1500'\n\n";

/// The package `network` with these values of `mtu`.
fn network(lan: &str, wan: &str) -> String {
    BASE.replacen("'1500'", &format!("'{lan}'"), 1).replacen(
        "'wan'\n\toption mtu '1500'",
        &format!("'wan'\n\toption mtu '{wan}'"),
        1,
    )
}

/// Machines in sync, all connected to each other, whose share holds UCI packages.
fn routers(seed: u64, count: usize) -> World {
    routers_with(seed, count, "network")
}

/// The same with a package of this name.
fn routers_with(seed: u64, count: usize, package: &str) -> World {
    let mut world = World::new(seed, count);
    for a in 0..count {
        for b in a + 1..count {
            world.pair(a, b);
        }
        world.share_settings(a).reload = Some(Reload::Uci);
    }
    world.start_all();
    world.settle();
    world.write(0, package, BASE);
    world.settle();
    // An edit on each node gives it a claim to the path, and the base a version.
    world.write(0, package, &network("1500", "1492"));
    world.settle();
    world
}

fn apart(world: &mut World, cut: bool) {
    let count = world.machines.len();
    for a in 0..count {
        for b in a + 1..count {
            world.set_cut(a, b, cut);
        }
    }
    if cut {
        world.run(Duration::from_secs(60));
    }
}

/// The first machine writes `older` and the second `newer` while they do not see each other; then they do.
fn conflict(world: &mut World, older: &str, newer: &str) {
    apart(world, true);
    for (id, text) in [(0, older), (1, newer)] {
        world.write(id, "network", text);
        world.run_ms(5_000);
    }
    apart(world, false);
    world.settle();
}

/// Contents and reasons of history, of one path.
fn kept(world: &World, id: usize, name: &str) -> Vec<(String, &'static str)> {
    let of = |(path, content, why): (_, Vec<u8>, _)| -> Option<(String, &'static str)> {
        let path: owsync::model::RelPath = path;
        (path.to_text() == name).then(|| (String::from_utf8(content).unwrap(), why))
    };
    world.history(id).into_iter().filter_map(of).collect()
}

#[test]
fn different_options_of_one_package_are_both_in_force_on_all_nodes() {
    for count in [2, 3] {
        let mut world = routers(801, count);
        conflict(&mut world, &network("1400", "1492"), &network("1500", "1480"));

        for id in 0..count {
            assert_eq!(world.read(id, "network").unwrap(), network("1400", "1480"), "machine {id} of {count}");
        }
        // The older change was replaced, and its author merged.
        assert!(world.log_has(0, "network: merged the change of m1 with this node's"));
        assert_eq!(world.counters(0).merges, 1);
        let merged: Vec<_> = kept(&world, 0, "network").into_iter().filter(|(_, why)| *why == "merged").collect();
        let (theirs, mine) = (network("1500", "1480"), network("1400", "1492"));
        assert_eq!(merged, [(theirs, "merged"), (mine, "merged")]);
    }
}

#[test]
fn of_two_values_of_one_option_the_newer_is_in_force_and_the_other_is_named() {
    let mut world = routers(802, 2);
    conflict(&mut world, &network("1400", "1491"), &network("1500", "1480"));

    assert_eq!(world.read(0, "network"), world.read(1, "network"));
    assert_eq!(world.read(0, "network").unwrap(), network("1400", "1480"));
    assert!(world.log_has(0, "network: merged the change of m1 with this node's; not in force from here: wan.mtu: kept '1480', not '1491'"), "{:?}", world.machines[0].log);
    assert!(world.history_holds(0, &network("1400", "1491")));
}

#[test]
fn an_author_who_was_away_merges_on_return() {
    let mut world = routers(803, 3);
    world.stop(2);
    world.run_ms(2_000);
    world.write(1, "network", &network("1500", "1480"));
    world.run_ms(10_000);
    world.start(2);
    world.set_cut(2, 0, true);
    world.set_cut(2, 1, true);
    world.run_ms(5_000);
    world.write(2, "network", &network("1400", "1492"));
    world.run_ms(5_000);
    world.write(0, "network", &network("1500", "1470"));
    world.run_ms(5_000);

    world.heal_all();
    world.settle();

    for id in 0..3 {
        assert_eq!(world.read(id, "network").unwrap(), network("1400", "1470"), "machine {id}");
    }
}

#[test]
fn a_node_that_only_holds_the_replaced_change_leaves_the_merge_to_its_author() {
    // In this world a machine that has a `network` is connected to all others when something was applied.
    let mut world = routers_with(808, 3, "dhcp");
    // The second machine sees nothing of the change of the first, which the third has.
    world.set_cut(0, 1, true);
    world.set_cut(1, 2, true);
    world.run(Duration::from_secs(60));
    world.write(0, "dhcp", &network("1400", "1492"));
    world.run_ms(5_000);
    world.write(1, "dhcp", &network("1500", "1480"));
    world.run_ms(5_000);
    assert_eq!(world.read(2, "dhcp").unwrap(), network("1400", "1492"));
    world.set_cut(0, 2, true);
    world.set_cut(1, 2, false);
    world.run(Duration::from_secs(60));

    assert_eq!(world.read(2, "dhcp").unwrap(), network("1500", "1480"), "the third has taken the newer version");
    assert_eq!(world.counters(2).merges, 0);
    assert!(world.log_has(2, "until m0 has merged its change into it"), "{:?}", world.machines[2].log);

    world.heal_all();
    world.settle();
    for id in 0..3 {
        assert_eq!(world.read(id, "dhcp").unwrap(), network("1400", "1480"), "machine {id}");
        assert_eq!(world.counters(id).merges, u64::from(id == 0), "machine {id}");
    }
}

#[test]
fn a_merged_text_that_a_check_refuses_leaves_the_newer_version_in_force() {
    let mut world = routers(804, 2);
    world.share_settings(0).validate = Some("/usr/libexec/validate".into());
    world.machines[0].programs.dislikes = Some(("bad", "no such mtu"));
    world.reload(0);
    world.run_ms(2_000);
    conflict(&mut world, &network("bad", "1492"), &network("1500", "1480"));

    assert_eq!(world.read(0, "network"), world.read(1, "network"));
    assert_eq!(world.read(0, "network").unwrap(), network("1500", "1480"));
    assert!(
        world.log_has(0, "network: not merged, the version of m1 is applied: the merged text was refused: no such mtu")
    );
    assert!(world.history_holds(0, &network("bad", "1492")));
}

#[test]
fn without_the_common_base_the_newer_version_is_taken_whole_with_the_reason() {
    let mut world = routers(805, 2);
    apart(&mut world, true);
    // What was there before is not known after a restart: the edit came while owsync did not run.
    world.stop(0);
    world.run_ms(1_000);
    world.write(0, "network", &network("1400", "1492"));
    world.run_ms(1_000);
    world.start(0);
    world.run_ms(5_000);
    world.write(1, "network", &network("1500", "1480"));
    world.run_ms(5_000);

    apart(&mut world, false);
    world.settle();

    assert_eq!(world.read(0, "network"), world.read(1, "network"));
    assert_eq!(world.read(0, "network").unwrap(), network("1500", "1480"));
    assert!(world.log_has(0, "not merged, the version of m1 is applied: the common base is no longer stored here"));
}

#[test]
fn a_share_that_does_not_merge_takes_the_newer_version_whole() {
    let mut world = routers(806, 2);
    world.set_all(|settings| settings.shares.iter_mut().for_each(|share| share.merge = false));
    (0..2).for_each(|id| world.reload(id));
    world.run_ms(2_000);
    conflict(&mut world, &network("1400", "1492"), &network("1500", "1480"));

    assert_eq!(world.read(0, "network").unwrap(), network("1500", "1480"));
    assert_eq!(world.counters(0).merges, 0);

    // The user can do it by hand, and sees first what it would come to.
    let merge = |world: &mut World, dry_run| {
        let version = Former::Newest { share: None, path: path("network") };
        world.command(0, Command::Merge { version, dry_run })
    };
    let Reply::Done(preview) = merge(&mut world, true) else { panic!("no preview") };
    let diff = match preview.get("diff") {
        Some(Tree::Text(diff)) => diff.clone(),
        other => panic!("{other:?}"),
    };
    assert!(diff.contains("-\toption mtu '1500'\n+\toption mtu '1400'"), "{preview:?}");
    assert_eq!(world.read(0, "network").unwrap(), network("1500", "1480"), "a preview changes nothing");
    merge(&mut world, false);
    world.settle();
    for id in [0, 1] {
        assert_eq!(world.read(id, "network").unwrap(), network("1400", "1480"));
    }
    let again = merge(&mut world, false);
    assert!(matches!(again, Reply::Failed { fault: Fault::State, .. }), "{again:?}");
}

#[test]
fn a_merge_and_the_edit_before_it_can_be_undone() {
    let mut world = routers(807, 2);
    conflict(&mut world, &network("1400", "1492"), &network("1500", "1480"));
    let run = {
        let node = world.node(0);
        let items: Vec<_> = node.history().items().filter(|item| item.after.is_some()).cloned().collect();
        items.last().unwrap().run
    };

    world.done(0, Command::Undo { run });
    world.settle();

    assert_eq!(world.read(0, "network").unwrap(), network("1400", "1492"), "what the merge replaced here is back");
    assert_eq!(world.read(1, "network").unwrap(), network("1400", "1492"));
}

#[test]
fn a_node_whose_database_began_anew_merges_the_changes_of_its_earlier_life() {
    let mut world = routers_with(809, 2, "dhcp");
    apart(&mut world, true);
    world.write(0, "dhcp", &network("1400", "1492"));
    world.run_ms(5_000);
    world.write(1, "dhcp", &network("1500", "1480"));
    world.run_ms(5_000);
    let life = |world: &World| world.node(0).state().me.state;
    let before = life(&world);
    // The end of the journal is torn: numbers may have been given out that are not recorded.
    world.kill(0);
    let state = world.machines[0].disk.user("/state");
    let journal = path("owsync.db-journal");
    let torn = [state.read(&journal).unwrap(), b"torn".to_vec()].concat();
    state.write(&journal, &torn);
    // It is remembered on disk, also by the start after the next.
    for _ in 0..2 {
        world.start(0);
        world.run_ms(5_000);
        world.stop(0);
    }
    world.start(0);
    assert_ne!(life(&world), before);

    apart(&mut world, false);
    world.settle();

    for id in 0..2 {
        assert_eq!(world.read(id, "dhcp").unwrap(), network("1400", "1480"), "machine {id}");
    }
    assert_eq!(world.counters(0).merges, 1);
}

/// The first machine merges, and has to confirm what it applies.
fn on_trial(seed: u64, is_broken: bool) -> World {
    let mut world = routers_with(seed, 2, "dhcp");
    let settings = world.share_settings(0);
    settings.confirm = Some(200);
    settings.probe = Some("/usr/libexec/probe".into());
    world.reload(0);
    world.run_ms(2_000);
    world.machines[0].programs.is_broken = is_broken;
    apart(&mut world, true);
    for (id, text) in [(0, network("1400", "1492")), (1, network("1500", "1480"))] {
        world.write(id, "dhcp", &text);
        world.run_ms(5_000);
    }
    apart(&mut world, false);
    let merged = network("1400", "1480");
    let applied = world.run_until(Duration::from_secs(60), |world| world.read(0, "dhcp").as_deref() == Some(&merged));
    assert!(applied, "{:?}", world.machines[0].log);
    world.run_ms(2_000);
    assert_eq!(world.read(1, "dhcp").unwrap(), network("1500", "1480"), "no node is offered what may be rolled back");
    world
}

#[test]
fn a_merge_that_must_be_confirmed_is_offered_once_it_is() {
    let mut world = on_trial(810, false);
    world.settle();
    assert!(world.log_has(0, "is confirmed: m1 responded"));
    assert_eq!(world.read(1, "dhcp").unwrap(), network("1400", "1480"));
    world.assert_equal();
}

#[test]
fn a_merge_that_is_rolled_back_was_never_elsewhere_and_its_winner_is_told() {
    let mut world = on_trial(811, true);
    // A scan of everything is in this time.
    world.run(Duration::from_secs(120));
    assert_eq!(world.read(1, "dhcp").unwrap(), network("1500", "1480"));
    world.run(Duration::from_secs(120));
    world.settle();

    assert!(world.log_has(0, "is rolled back: its probe failed"));
    for id in 0..2 {
        assert_eq!(world.read(id, "dhcp").unwrap(), network("1400", "1492"), "machine {id}");
    }
    assert!(world.log_has(1, "dhcp was rolled back by m0"), "{:?}", world.machines[1].log);
    assert!(world.history_holds(1, &network("1500", "1480")));
    assert!(!world.history_holds(1, &network("1400", "1480")));
}

#[test]
fn the_version_that_an_absent_peer_has_applied_outlives_the_number_of_versions() {
    let mut world = routers_with(812, 2, "dhcp");
    world.set_all(|settings| settings.history.versions = 1);
    (0..2).for_each(|id| world.reload(id));
    world.settle();
    apart(&mut world, true);
    for mtu in 1400..1410 {
        world.write(0, "dhcp", &network(&mtu.to_string(), "1492"));
        world.run_ms(5_000);
    }
    let dhcp = kept(&world, 0, "dhcp");
    assert_eq!(dhcp.len(), 2, "the newest, and the one that m1 has: {dhcp:?}");
    world.write(1, "dhcp", &network("1500", "1480"));
    world.run_ms(5_000);

    apart(&mut world, false);
    world.settle();

    for id in 0..2 {
        assert_eq!(world.read(id, "dhcp").unwrap(), network("1409", "1480"), "machine {id}");
    }
    assert_eq!(world.counters(0).merges, 1);
}

/// The winner becomes an edit of this node, which hides that its own change was replaced, and not only the other node's.
#[test]
fn a_change_that_gives_way_with_another_nodes_is_reported_where_markers_are_carried_over() {
    let mut world = routers_with(814, 3, "dhcp");
    world.set_cut(0, 1, true);
    world.set_cut(0, 2, true);
    world.run(Duration::from_secs(60));
    world.write(2, "dhcp", &network("1400", "1492"));
    world.run_ms(5_000);
    let settings = world.share_settings(1);
    settings.local = vec!["dhcp.lan.proto".into()];
    settings.validate = Some("/usr/libexec/validate".into());
    world.machines[1].programs.refuses = Some(Rc::new(|text| text.contains("'1300'") && text.contains("'1470'")));
    world.reload(1);
    world.run_ms(5_000);
    world.write(1, "dhcp", &network("1400", "1470"));
    world.run_ms(5_000);
    world.set_cut(1, 2, true);
    world.run(Duration::from_secs(60));
    world.write(0, "dhcp", &network("1300", "1492"));
    world.run_ms(5_000);

    world.set_cut(0, 1, false);
    world.run(Duration::from_secs(60));

    assert_eq!(world.read(1, "dhcp").unwrap(), network("1300", "1492"));
    assert!(world.log_has(1, "the merged text was refused"), "{:?}", world.machines[1].log);
    assert!(world.log_has(1, "conflict: dhcp was changed on two nodes"), "{:?}", world.machines[1].log);
}

#[test]
fn status_names_packages_that_are_too_large_to_be_merged() {
    let mut world = routers_with(813, 2, "dhcp");
    assert!(world.share(0).not_merged.is_empty());
    let large = format!("config x\n\toption y '{}'\n", "z".repeat(owsync::model::limits::PACKAGE_KEPT));
    world.write(0, "large", &large);
    let most = format!("config x\n\toption y '{}'\n", "z".repeat(owsync::model::limits::PACKAGE_KEPT - 100));
    for n in 0..9 {
        world.write(0, &format!("many{n}"), &most);
    }
    world.settle();

    // All but one of the nine have room beside `dhcp`.
    let named = world.share(0).not_merged;
    assert_eq!((named.len(), named.contains(&"large".into())), (2, true), "{named:?}");
    world.share_settings(0).merge = false;
    world.reload(0);
    world.run_ms(2_000);
    assert!(world.share(0).not_merged.is_empty(), "nothing is merged, by choice");
}
