//! Options that belong to one router: their values never leave it and are never replaced.

use owsync::model::Direction;
use owsync::model::settings::Reload;
use owsync::node::api::{Command, Former, Reply, Tree};

use super::world::{MachineId, World, path};

/// A package as every router has it, with values that belong to one.
fn network(id: MachineId, mtu: &str) -> String {
    format!(
        "\nconfig interface 'loopback'\n\toption device 'lo'\n\toption proto 'static'\n\toption ipaddr '127.0.0.1'\n\n\
         config interface 'lan'\n\toption device 'br-lan'\n\toption proto 'static'\n\toption ipaddr '{}'\n\n\
         config interface 'wan'\n\toption device 'eth1'\n\toption proto 'dhcp'\n\toption mtu '{mtu}'\n\n",
        address(id)
    )
}

/// Bytes that only this machine has.
fn address(id: MachineId) -> String {
    format!("192.168.77.{}{}", id + 1, id + 1)
}

/// Machines of a cluster in sync, whose shares have UCI packages; the first is the reference. `local` are the patterns of each.
fn cluster(seed: u64, local: &[&[&str]]) -> World {
    let mut world = World::new(seed, local.len());
    world.mesh();
    for (id, patterns) in local.iter().enumerate() {
        let share = world.share_settings(id);
        share.reload = Some(Reload::Uci);
        share.local = patterns.iter().map(ToString::to_string).collect();
    }
    world.tape = Some(Vec::new());
    world
}

/// Every machine has its own package from the beginning; they come in sync.
fn begin(world: &mut World, texts: impl Fn(MachineId) -> String) {
    for id in 0..world.machines.len() {
        world.write(id, "network", &texts(id));
    }
    world.start_all();
    world.init(0);
    world.settle();
}

fn option(world: &World, id: MachineId, name: &str) -> Option<String> {
    let text = world.read(id, "network").expect("the package is there");
    let line = text.lines().find(|line| line.trim().starts_with(&format!("option {name} ")))?;
    line.split('\'').nth(1).map(Into::into)
}

/// The value of `lan.ipaddr`.
fn lan(world: &World, id: MachineId) -> Option<String> {
    let text = world.read(id, "network").expect("the package is there");
    let lan = text.split("config interface 'lan'").nth(1)?;
    let section = lan.split("config ").next()?;
    let line = section.lines().find(|line| line.trim().starts_with("option ipaddr "))?;
    line.split('\'').nth(1).map(Into::into)
}

/// Whether bytes appear in others.
fn holds(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// The value of one machine is in no message, and nowhere on another machine's disks.
fn assert_stays(world: &World, id: MachineId, value: &str) {
    for (_, from, bytes) in world.tape.iter().flatten() {
        assert!(!holds(bytes, value), "m{from} sent {value}");
    }
    for other in (0..world.machines.len()).filter(|other| *other != id) {
        for root in ["/share", "/state"] {
            for (path, bytes) in world.machines[other].disk.snapshot(root) {
                assert!(!holds(&bytes, value), "m{other} has {value} in {root}/{path}");
            }
        }
    }
}

fn assert_all_stay(world: &World) {
    for id in 0..world.machines.len() {
        assert_eq!(lan(world, id).as_deref(), Some(&address(id)[..]), "m{id}");
        assert_stays(world, id, &address(id));
    }
}

const ADDRESS: &[&str] = &["network.lan.ipaddr"];

#[test]
fn a_value_stays_on_its_router_and_everything_else_of_the_package_travels() {
    let mut world = cluster(700, &[ADDRESS, ADDRESS, ADDRESS]);
    begin(&mut world, |id| network(id, "1500"));
    assert_all_stay(&world);

    world.write(1, "network", &network(1, "1400"));
    world.settle();

    for id in 0..3 {
        assert_eq!(option(&world, id, "mtu").as_deref(), Some("1400"), "m{id}");
    }
    assert_all_stay(&world);
}

#[test]
fn the_pattern_of_one_router_protects_the_values_of_all() {
    let mut world = cluster(701, &[ADDRESS, &[], &[]]);
    world.write(0, "network", &network(0, "1500"));
    world.start(0);
    world.init(0);
    world.run_ms(2_000);
    for id in 1..3 {
        world.write(id, "network", &network(id, "1500"));
        world.start(id);
    }
    world.settle();

    world.write(2, "network", &network(2, "1300"));
    world.settle();

    for id in 0..3 {
        assert_eq!(option(&world, id, "mtu").as_deref(), Some("1300"), "m{id}");
    }
    assert_all_stay(&world);
}

#[test]
fn a_local_value_a_comment_and_a_new_time_are_no_edit() {
    let mut world = cluster(702, &[ADDRESS, &[]]);
    begin(&mut world, |id| network(id, "1500"));
    let version = |world: &World| {
        world.node(0).state().shares.values().next().unwrap().index.get(&path("network")).unwrap().entry.clone()
    };
    let before = version(&world);
    let sent = world.counters(0).edited;

    let text = format!("# mine\n{}", network(0, "1500").replace(&address(0), "10.9.8.7"));
    world.write(0, "network", &text);
    world.settle();

    assert_eq!(version(&world), before);
    assert_eq!(world.counters(0).edited, sent);
    assert_eq!(lan(&world, 1).as_deref(), Some(&address(1)[..]));
    assert_stays(&world, 0, "10.9.8.7");

    world.write(1, "network", &network(1, "1450"));
    world.settle();
    assert_eq!(lan(&world, 0).as_deref(), Some("10.9.8.7"), "the new value is kept when a change is applied");
    assert_eq!(option(&world, 0, "mtu").as_deref(), Some("1450"));
    assert_stays(&world, 0, "10.9.8.7");
}

#[test]
fn a_pattern_that_is_added_later_changes_no_file_and_survives_restarts() {
    let mut world = cluster(703, &[&[], &[]]);
    begin(&mut world, |_| network(0, "1500"));
    let files: Vec<_> = [0, 1].map(|id| world.user(id).stat(&path("network"))).into();

    world.share_settings(0).local = vec!["network.lan.ipaddr".into()];
    world.reload(0);
    world.settle();
    world.run_ms(90_000);

    let now: Vec<_> = [0, 1].map(|id| world.user(id).stat(&path("network"))).into();
    assert_eq!(files, now, "a marker changes no file");
    for id in [0, 1] {
        world.kill(id);
        world.start(id);
    }
    world.settle();
    world.write(1, "network", &network(1, "1500"));
    world.settle();
    assert_eq!(lan(&world, 0).as_deref(), Some(&address(0)[..]));
    assert_stays(&world, 1, &address(1));

    world.share_settings(0).local = Vec::new();
    world.reload(0);
    world.write(1, "network", &network(1, "1200"));
    world.settle();
    assert_eq!(option(&world, 0, "mtu").as_deref(), Some("1200"));
    assert_eq!(lan(&world, 0).as_deref(), Some(&address(0)[..]), "the marker outlives the pattern");
    assert_stays(&world, 1, &address(1));
}

#[test]
fn values_whose_place_is_gone_are_in_the_history_of_their_router_only() {
    let mut world = cluster(704, &[ADDRESS, ADDRESS]);
    begin(&mut world, |id| network(id, "1500"));
    let text = network(0, "1500");
    let without = text.replace(
        &format!(
            "config interface 'lan'\n\toption device 'br-lan'\n\toption proto 'static'\n\toption ipaddr '{}'\n\n",
            address(0)
        ),
        "",
    );
    assert_ne!(text, without);

    world.write(0, "network", &without);
    world.settle();

    assert!(!world.read(1, "network").unwrap().contains("'lan'"));
    let kept: Vec<_> = world.history(1).into_iter().filter(|(_, _, why)| *why == "local").collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(holds(&kept[0].1, &address(1)));
    assert!(world.log_has(1, "lan.ipaddr"), "it is reported");
    assert_stays(&world, 0, &address(0));
    assert_stays(&world, 1, &address(1));

    let number = world.node(1).history().items().find(|item| item.why.word() == "local").unwrap().number;
    let reply = world.command(1, Command::Restore { version: Former::Number(number), options: Vec::new() });
    assert!(matches!(reply, Reply::Failed { .. }), "a local form is no version of the share: {reply:?}");
}

#[test]
fn a_deleted_package_takes_its_local_values_to_the_history() {
    let mut world = cluster(705, &[ADDRESS, ADDRESS]);
    begin(&mut world, |id| network(id, "1500"));
    world.remove(0, "network");
    world.settle();
    assert_eq!(world.read(1, "network"), None);
    let kept = world.history(1);
    assert!(kept.iter().any(|(_, bytes, why)| *why == "local" && holds(bytes, &address(1))), "{kept:?}");
    assert!(kept.iter().any(|(_, bytes, why)| *why == "deleted" && holds(bytes, "local ipaddr")), "{kept:?}");
    assert_stays(&world, 1, &address(1));
}

#[test]
fn a_version_is_restored_with_the_values_of_this_router() {
    let mut world = cluster(706, &[ADDRESS, ADDRESS]);
    begin(&mut world, |id| network(id, "1500"));
    world.write(0, "network", &network(0, "1400"));
    world.settle();
    let former = world.node(1).history().items().rev().find(|item| item.path == path("network")).unwrap().number;

    world.done(1, Command::Restore { version: Former::Number(former), options: Vec::new() });
    world.settle();

    for id in 0..2 {
        assert_eq!(option(&world, id, "mtu").as_deref(), Some("1500"), "m{id}");
    }
    assert_all_stay(&world);
}

#[test]
fn a_version_from_before_the_pattern_is_restored_with_the_marker() {
    let mut world = cluster(707, &[&[], &[]]);
    begin(&mut world, |_| network(0, "1500"));
    world.write(0, "network", &network(0, "1400"));
    world.settle();
    world.share_settings(0).local = vec!["network.lan.ipaddr".into()];
    world.reload(0);
    world.settle();
    world.write(1, "network", &network(1, "1400"));
    world.settle();
    let of = |item: &&owsync::store::history::Item| item.path == path("network") && !item.version.is_unversioned();
    let former = world.node(1).history().items().find(of).unwrap().number;

    world.done(1, Command::Restore { version: Former::Number(former), options: Vec::new() });
    world.settle();

    for id in 0..2 {
        assert_eq!(option(&world, id, "mtu").as_deref(), Some("1500"), "m{id}");
    }
    assert_eq!(lan(&world, 0).as_deref(), Some(&address(0)[..]));
    assert_eq!(lan(&world, 1).as_deref(), Some(&address(1)[..]));
    assert_stays(&world, 1, &address(1));
}

#[test]
fn a_router_that_loses_a_conflict_keeps_its_values_and_the_marker() {
    let mut world = cluster(708, &[&[], &[]]);
    begin(&mut world, |_| network(0, "1500"));
    world.set_cut(0, 1, true);
    world.run_ms(5_000);
    // One makes the address local, the other edits the package later without having seen that.
    world.share_settings(0).local = vec!["network.lan.ipaddr".into()];
    world.reload(0);
    world.run_ms(5_000);
    world.share_settings(0).local = Vec::new();
    world.reload(0);
    world.run_ms(5_000);
    world.write(1, "network", &network(1, "1250"));
    world.run_ms(5_000);
    world.set_cut(0, 1, false);
    world.settle();

    for id in 0..2 {
        assert_eq!(option(&world, id, "mtu").as_deref(), Some("1250"), "m{id}");
        assert_eq!(lan(&world, id).as_deref(), Some(&address(id)[..]), "m{id}: its value stays");
    }
    world.write(0, "network", &network(0, "1251").replace(&address(0), "10.4.3.2"));
    world.settle();
    assert_eq!(option(&world, 1, "mtu").as_deref(), Some("1251"));
    assert_stays(&world, 0, "10.4.3.2");
}

#[test]
fn own_sections_are_neither_offered_nor_removed() {
    let mut world = cluster(709, &[&["network.vpn"], &[]]);
    begin(&mut world, |_| network(0, "1500"));
    let own = "\nconfig interface 'vpn'\n\toption private_key 'verysecret0'\n";
    world.write(0, "network", &format!("{}{own}", network(0, "1500")));
    world.settle();
    assert!(!world.read(1, "network").unwrap().contains("vpn"));
    world.write(1, "network", &network(0, "1480"));
    world.settle();
    let text = world.read(0, "network").unwrap();
    assert!(text.contains("verysecret0") && text.contains("'1480'"), "{text}");
    assert_stays(&world, 0, "verysecret0");
}

#[test]
fn a_router_that_offers_nothing_takes_changes_around_its_own_values() {
    let mut world = cluster(710, &[&[], ADDRESS]);
    world.share_settings(1).direction = Direction::Receive;
    begin(&mut world, |_| network(0, "1500"));
    let edited = world.counters(1).edited;
    world.write(1, "network", &network(1, "1500"));
    world.run_ms(5_000);
    world.write(0, "network", &network(0, "1333"));
    world.settle();
    assert_eq!(option(&world, 1, "mtu").as_deref(), Some("1333"));
    assert_eq!(lan(&world, 1).as_deref(), Some(&address(1)[..]));
    assert_eq!(world.counters(1).edited, edited, "its own value is no edit");
    assert_stays(&world, 1, &address(1));
}

#[test]
fn a_package_that_does_not_parse_waits_with_the_line_while_something_of_it_is_local() {
    let mut world = cluster(711, &[ADDRESS, &[]]);
    begin(&mut world, |id| network(id, "1500"));
    world.write(0, "network", "config interface 'lan'\n\toption ipaddr 'unfinished\n");
    world.run_ms(10_000);
    assert_eq!(option(&world, 1, "mtu").as_deref(), Some("1500"));
    let why = world.skipped(0, "network").unwrap();
    assert!(why.contains("line"), "{why}");
    assert_stays(&world, 0, "unfinished");

    world.write(0, "network", &network(0, "1490"));
    world.settle();
    assert_eq!(option(&world, 1, "mtu").as_deref(), Some("1490"));
    assert_all_stay(&world);
}

#[test]
fn a_crash_at_any_operation_keeps_the_value_and_sends_none() {
    let mut crashed = 0;
    for operation in 1..70 {
        let mut world = cluster(712, &[ADDRESS, ADDRESS]);
        begin(&mut world, |id| network(id, "1500"));
        {
            let mut state = world.machines[1].disk.0.borrow_mut();
            let at = state.operations + operation;
            state
                .faults
                .insert(at, if operation % 2 == 0 { super::disk::Fault::Crash } else { super::disk::Fault::Kill });
        }
        for (at, mtu) in [(0, "1400"), (1, "1300")] {
            world.write(at, "network", &network(at, mtu));
            world.run_ms(3_000);
            if world.machines[1].node.is_none() {
                crashed += 1;
                world.start(1);
            }
            world.settle();
            assert_eq!(option(&world, 1 - at, "mtu").as_deref(), Some(mtu), "operation {operation}");
        }
        assert_all_stay(&world);
    }
    assert!(crashed > 40, "{crashed} crashes");
}

#[test]
fn forms_that_nothing_needs_are_removed() {
    let mut world = cluster(713, &[ADDRESS, ADDRESS]);
    world.set_all(|settings| settings.history.versions = 1);
    begin(&mut world, |id| network(id, "1500"));
    for mtu in 1400..1420 {
        world.write(0, "network", &network(0, &mtu.to_string()));
        world.settle();
    }
    let objects = |world: &World, id: MachineId| {
        let files = world.machines[id].disk.snapshot("/state");
        files.iter().filter(|(path, _)| path.to_text().contains("objects/")).count()
    };
    for id in 0..2 {
        assert!(objects(&world, id) <= 4, "m{id}: {} contents", objects(&world, id));
    }
    let _: Tree = world.done(0, Command::Log { share: None, path: None, why: None, node: None, limit: 9 });
}

fn options(tree: &Tree, key: &str) -> Vec<String> {
    let Some(Tree::List(rows)) = tree.get(key) else { panic!("{tree:?}") };
    let text = |row: &Tree, key: &str| match row.get(key) {
        Some(Tree::Text(text)) => text.clone(),
        _ => String::new(),
    };
    rows.iter()
        .map(|row| format!("{} = {} by {}", text(row, "option"), text(row, "value"), text(row, "pattern")))
        .collect()
}

#[test]
fn what_is_local_is_listed_with_its_reason_and_can_be_shared_again() {
    let mut world = cluster(714, &[&["network.lan.ipaddr", "dhcp.lan.start"], &[]]);
    begin(&mut world, |id| network(id, "1500"));

    let listed = world.done(0, Command::Local { share: None, path: None, all: false });
    assert_eq!(options(&listed, "local"), ["network.lan.ipaddr = '192.168.77.11' by network.lan.ipaddr"]);
    assert_eq!(listed.get("without_match"), Some(&Tree::List(vec![Tree::Text("dhcp.lan.start".into())])));
    assert_eq!(world.share(0).local_without_match, ["dhcp.lan.start"]);
    let listed = world.done(1, Command::Local { share: None, path: Some(path("network")), all: false });
    assert_eq!(options(&listed, "local"), ["network.lan.ipaddr = '192.168.77.22' by "], "by a marker");

    let all = world.done(0, Command::Local { share: None, path: Some(path("network")), all: true });
    let Some(Tree::List(rows)) = all.get("local") else { panic!("a list: {all:?}") };
    let of = |name: &str| {
        rows.iter().find(|row| row.get("option") == Some(&Tree::from(name))).cloned().unwrap_or_else(Tree::map)
    };
    assert_eq!((rows.len(), of("network.lan.ipaddr").get("shared")), (9, None), "{rows:?}");
    let mtu = of("network.wan.mtu");
    assert_eq!((mtu.get("shared"), mtu.get("exact")), (Some(&Tree::Bool(true)), Some(&"network.wan.mtu".into())));

    let share = |yes| Command::ShareLocal { pattern: "network.lan.*".into(), yes };
    let refused = world.command(0, share(true));
    assert!(matches!(&refused, Reply::Failed { message, .. } if message.contains("list local")), "{refused:?}");

    let shown = world.done(1, share(false));
    assert_eq!(options(&shown, "would_share"), ["network.lan.ipaddr = '192.168.77.22' by "]);
    world.run_ms(5_000);
    assert_all_stay(&world);

    world.share_settings(0).local = Vec::new();
    world.reload(0);
    world.settle();
    world.done(1, share(true));
    world.settle();
    for id in 0..2 {
        assert_eq!(lan(&world, id).as_deref(), Some("192.168.77.22"), "m{id}");
    }
    assert!(world.history(0).iter().any(|(_, bytes, why)| *why == "local" && holds(bytes, &address(0))));
    assert_stays(&world, 0, &address(0));
    assert!(matches!(world.command(1, share(true)), Reply::Failed { .. }), "nothing is local any more");
}

#[test]
fn what_usually_belongs_to_one_router_is_suggested_until_something_of_its_package_is_local() {
    let mut world = cluster(718, &[&[], &[]]);
    begin(&mut world, |id| network(id, "1500"));
    let suggested = |world: &mut World| {
        let answer = world.done(0, Command::Local { share: None, path: None, all: false });
        answer.get("suggested").cloned()
    };
    assert_eq!(suggested(&mut world), Some(Tree::List(vec!["network.*.ipaddr".into()])));
    world.share_settings(0).local = vec!["network.wan.mtu".into()];
    world.reload(0);
    world.settle();
    assert_eq!(suggested(&mut world), Some(Tree::List(Vec::new())));
}

#[test]
fn two_changes_of_a_package_with_local_options_merge_around_them() {
    let mut world = cluster(715, &[ADDRESS, ADDRESS, ADDRESS]);
    begin(&mut world, |id| network(id, "1500"));
    world.set_cut(0, 1, true);
    world.set_cut(0, 2, true);
    world.run_ms(5_000);
    world.write(0, "network", &network(0, "1400"));
    world.run_ms(5_000);
    world.write(1, "network", &network(1, "1500").replace("'br-lan'", "'br-other'"));
    world.run_ms(5_000);
    world.set_cut(0, 1, false);
    world.set_cut(0, 2, false);
    world.settle();

    for id in 0..3 {
        assert_eq!(option(&world, id, "mtu").as_deref(), Some("1400"), "m{id}");
        assert!(world.read(id, "network").unwrap().contains("br-other"), "m{id}");
    }
    assert_all_stay(&world);
}

/// It waited without a reason, and was planned again several times a second.
#[test]
fn a_package_too_large_for_local_options_says_why_it_takes_none() {
    let large = format!("{}# {}\n", network(1, "1500"), "x".repeat(owsync::model::limits::PACKAGE_KEPT));
    let mut world = cluster(731, &[&[], &[]]);
    begin(&mut world, |_| large.clone());
    world.set_cut(0, 1, true);
    world.run(std::time::Duration::from_secs(60));
    world.share_settings(0).local = vec!["network.lan.ipaddr".into()];
    world.write(0, "network", &network(0, "1400"));
    world.run_ms(3_000);
    world.reload(0);
    world.run_ms(5_000);

    world.heal_all();
    world.run(std::time::Duration::from_secs(60));

    assert_eq!(world.owed(1).get("network"), Some(&"refused"), "{}", world.summary(1));
    assert!(world.summary(1).contains("a package with local options has at most"), "{}", world.summary(1));
    assert_eq!(world.read(1, "network").unwrap(), large);
}

/// The edit that carries the markers over has the number of this node, as its replaced change has.
#[test]
fn a_change_that_gives_way_while_its_markers_are_carried_over_is_reported() {
    let mut world = cluster(740, &[&[], &[]]);
    begin(&mut world, |_| network(0, "1500"));
    world.set_cut(0, 1, true);
    world.run(std::time::Duration::from_secs(60));
    // There is no common base for what is changed while owsync is not running.
    world.stop(1);
    world.write(1, "network", &network(1, "1400"));
    world.share_settings(1).local = vec!["network.lan.ipaddr".into()];
    world.start(1);
    world.run_ms(5_000);
    world.write(0, "network", &network(0, "1300"));
    world.run_ms(5_000);

    world.heal_all();
    world.settle();

    for id in 0..2 {
        assert_eq!(option(&world, id, "mtu").as_deref(), Some("1300"), "m{id}");
        assert_eq!(lan(&world, id).as_deref(), Some(&address(id)[..]), "m{id}");
    }
    assert!(world.log_has(1, "conflict: network was changed on two nodes"), "{:?}", world.machines[1].log);
}

#[test]
fn a_section_of_this_router_that_is_made_while_owsync_is_not_running_stays_here() {
    let mut world = cluster(741, &[&["network.vpn"], &[]]);
    begin(&mut world, |_| network(0, "1500"));
    world.stop(0);
    let vpn = "config interface 'vpn'\n\toption private_key 'of this router'\n\n";
    world.write(0, "network", &format!("{}{vpn}", network(0, "1400")));
    // No peer supplies the form that was current before.
    world.set_cut(0, 1, true);
    world.start(0);
    world.run_ms(5_000);
    assert_eq!(world.skipped(0, "network"), None);
    world.heal_all();
    world.settle();

    assert_eq!(world.read(1, "network").unwrap(), network(0, "1400"));
    assert!(world.read(0, "network").unwrap().ends_with(vpn));
    assert_stays(&world, 0, "of this router");
}

#[test]
fn a_shared_form_that_was_lost_is_fetched_from_a_peer() {
    for moved_on in [false, true] {
        let mut world = cluster(742, &[&["network.lan.ipaddr"], &[], &[]]);
        world.write(0, "network", &network(0, "1500"));
        world.start(0);
        world.init(0);
        world.run_ms(2_000);
        for id in 1..3 {
            world.write(id, "network", &network(id, "1500"));
            world.start(id);
            // Two nodes that meet before either has joined would tell each other everything.
            world.run_ms(5_000);
        }
        world.settle();
        world.write(0, "network", &network(0, "1490"));
        world.settle();
        world.stop(1);
        if moved_on {
            // Then only their histories have it.
            world.write(0, "network", &network(0, "1480"));
            world.run_ms(5_000);
        }
        let state = world.machines[1].disk.user("/state");
        for (lost, _) in state.files().into_iter().filter(|(path, _)| path.to_text().contains("history")) {
            state.remove(&lost);
        }
        world.set_cut(0, 1, true);
        world.set_cut(1, 2, true);
        world.start(1);
        world.run_ms(5_000);
        assert!(world.skipped(1, "network").unwrap().contains("is missing or damaged"));

        world.heal_all();
        world.settle();

        assert!(world.log_has(1, "a peer supplied its missing shared form"), "{:?}", world.machines[1].log);
        assert_eq!(world.skipped(1, "network"), None);
        let mtu = if moved_on { "1480" } else { "1490" };
        assert_eq!(option(&world, 1, "mtu").as_deref(), Some(mtu));
        assert_all_stay(&world);
    }
}
