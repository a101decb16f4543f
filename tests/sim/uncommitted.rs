//! A change that gives numbers of sections to other sections waits while uncommitted changes refer to them by number.

use std::time::Duration;

use owsync::model::settings::Reload;
use owsync::node::api::{Command, Reply};

use super::world::{World, main, path};

const BASE: &str = "config dnsmasq\n\toption domain 'lan'\n\nconfig host\n\toption name 'a'\n\toption ip '10.0.0.1'\n";

/// Two machines with a share of UCI packages in sync.
fn packages(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    for id in [0, 1] {
        world.share_settings(id).reload = Some(Reload::Uci);
    }
    world.start_all();
    world.write(0, "dhcp", BASE);
    world.write(0, "system", "config system\n\toption hostname 'x'\n");
    world.settle();
    world
}

/// The base with a named section before the others, which counts as well.
fn with_one_before() -> String {
    format!("config dhcp 'lan'\n\toption limit '9'\n\n{BASE}")
}

/// The user of the second machine has changed these sections, and not committed that.
fn uncommitted(world: &mut World, names: &[&str]) {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    world.machines[1].programs.uncommitted = [("dhcp".to_string(), names)].into();
}

fn approve(name: Option<&str>) -> Command {
    Command::Approve { share: Some(main()), path: name.map(path), pick: None, dry_run: false }
}

#[test]
fn a_change_that_moves_a_section_waits_until_uncommitted_changes_are_committed() {
    let mut world = packages(160);
    uncommitted(&mut world, &["cfg02fe63"]);
    let new = with_one_before();
    world.write(0, "dhcp", &new);
    world.run(Duration::from_secs(10));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some(BASE));
    assert_eq!(world.owed(1).get("dhcp"), Some(&"uncommitted"));
    let event = world.machines[1].events.iter().find(|(name, _)| *name == "owsync.hold").map(|(_, text)| text.clone());
    let event = event.unwrap();
    assert!(event.contains("dhcp.cfg02fe63 by number") && event.contains("commit or revert them"), "{event}");
    let there = world.of_peer(0, 1).message.unwrap();
    assert!(there.starts_with("pending there: dhcp: waits: uncommitted changes refer to dhcp.cfg02fe63"), "{there}");

    // It is asked again every minute, and its content is not fetched again.
    let (asked, fetched) = (world.machines[1].programs.asked, world.node(1).counters().received);
    world.run(Duration::from_secs(600));
    let times = world.machines[1].programs.asked - asked;
    assert!((9..=11).contains(&times), "{times}");
    assert_eq!(world.node(1).counters().received, fetched);
    assert_eq!(world.read(1, "dhcp").as_deref(), Some(BASE));

    uncommitted(&mut world, &[]);
    world.run(Duration::from_secs(65));
    assert_eq!(world.read(1, "dhcp"), Some(new));
    world.settle();
    world.assert_equal();
    assert!(world.owed(1).is_empty());
    assert!(world.is_swept(1));
    let asked = world.machines[1].programs.asked;
    world.run(Duration::from_secs(600));
    assert_eq!(world.machines[1].programs.asked, asked, "nothing waits");
}

#[test]
fn changes_that_move_no_referenced_section_are_applied_at_once() {
    let mut world = packages(161);
    uncommitted(&mut world, &["cfg02fe63", "cfg01411c"]);
    for new in [
        BASE.replace("10.0.0.1", "10.0.0.2"),
        format!("{BASE}\nconfig host\n\toption name 'b'\n\toption ip '10.0.0.3'\n"),
        format!("# a comment\n{BASE}"),
    ] {
        world.write(0, "dhcp", &new);
        world.settle();
        assert_eq!(world.read(1, "dhcp"), Some(new));
    }
    // The number that an uncommitted `uci add` has taken.
    uncommitted(&mut world, &["cfg03fe63"]);
    world.write(0, "dhcp", &format!("{BASE}\nconfig host\n\toption name 'c'\n"));
    world.run(Duration::from_secs(10));
    assert_eq!(world.owed(1).get("dhcp"), Some(&"uncommitted"));
}

#[test]
fn only_its_path_approves_it_and_the_rest_of_its_batch_can_go_without() {
    let mut world = packages(162);
    uncommitted(&mut world, &["cfg01411c"]);
    let new = with_one_before();
    world.write(0, "dhcp", &new);
    world.write(0, "system", "config system\n\toption hostname 'y'\n");
    world.run(Duration::from_secs(120));
    assert_eq!(world.owed(1).get("system"), Some(&"waits_for"));

    world.done(1, approve(None));
    world.run(Duration::from_secs(10));
    assert_eq!(world.read(1, "system").as_deref(), Some("config system\n\toption hostname 'y'\n"));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some(BASE));
    let Reply::Failed { message, .. } = world.command(1, approve(None)) else { panic!("only its path approves it") };
    assert!(message.contains("by number"), "{message}");

    world.done(1, approve(Some("dhcp")));
    world.settle();
    assert_eq!(world.read(1, "dhcp"), Some(new));
    world.assert_equal();
}

#[test]
fn it_waits_across_a_restart_and_a_corrected_change_ends_it() {
    let mut world = packages(163);
    uncommitted(&mut world, &["cfg01411c"]);
    world.write(0, "dhcp", &with_one_before());
    world.run(Duration::from_secs(10));
    world.stop(1);
    world.start(1);
    world.run(Duration::from_secs(300));
    assert_eq!(world.owed(1).get("dhcp"), Some(&"uncommitted"));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some(BASE));

    let after = format!("{BASE}\nconfig dhcp 'lan'\n\toption limit '9'\n");
    world.write(0, "dhcp", &after);
    world.settle();
    assert_eq!(world.read(1, "dhcp"), Some(after), "behind them it moves nothing");
    world.assert_equal();
}

#[test]
fn other_files_and_other_shares_do_not_ask() {
    let mut world = packages(164);
    uncommitted(&mut world, &["cfg01411c"]);
    world.share_settings(1).reload = Some(Reload::Nobody);
    world.reload(1);
    let new = with_one_before();
    world.write(0, "dhcp", &new);
    world.settle();
    assert_eq!(world.read(1, "dhcp"), Some(new));
}
