//! What a node's own programs refuse does not land, says why, and holds up only what belongs to it.

use std::time::Duration;

use owsync::model::settings::Reload;
use owsync::node::api::{Command, Reply};

use super::world::{World, main, path};

/// Two machines in sync, of which the second has a `validate` that dislikes the word `bad`.
fn careful(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.share_settings(1).validate = Some("/usr/libexec/validate".into());
    world.machines[1].programs.dislikes = Some(("bad", "line 1: no such target"));
    world.start_all();
    world.write(0, "firewall", "good");
    world.write(0, "dhcp", "good");
    world.settle();
    world
}

fn approve(name: Option<&str>) -> Command {
    Command::Approve { share: Some(main()), path: name.map(path), pick: None, dry_run: false }
}

#[test]
fn a_refused_file_stays_out_with_the_programs_words_on_both_sides_until_it_is_mended() {
    let mut world = careful(130);
    assert!(world.machines[1].programs.shown.contains(&"good".to_string()));

    world.write(0, "firewall", "bad");
    world.run(Duration::from_secs(20));
    assert_eq!(world.read(1, "firewall").as_deref(), Some("good"));
    assert_eq!(world.owed(1).get("firewall"), Some(&"refused"));
    assert!(world.log_has(1, "firewall from m0: refused by a check: line 1: no such target"));
    let there = world.of_peer(0, 1).message.unwrap();
    assert_eq!(there, "pending there: firewall: refused by a check: line 1: no such target");

    // It is looked at once, however long it stays so, and whatever else lands meanwhile.
    let shown = world.machines[1].programs.shown.len();
    world.write(0, "dhcp", "better");
    world.run(Duration::from_secs(300));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("better"));
    assert_eq!(world.machines[1].programs.shown.len(), shown + 1);
    // After a restart once more: what checks may be another program by then.
    world.stop(1);
    world.start(1);
    world.run(Duration::from_secs(300));
    assert_eq!(world.machines[1].programs.shown.len(), shown + 2);
    assert_eq!(world.owed(1).get("firewall"), Some(&"refused"));

    world.write(0, "firewall", "mended");
    world.settle();
    assert_eq!(world.read(1, "firewall").as_deref(), Some("mended"));
    world.assert_equal();
}

#[test]
fn the_rest_of_its_batch_waits_for_it_until_a_person_lets_it_go_on_without() {
    let mut world = careful(131);
    world.write(0, "firewall", "bad");
    world.write(0, "dhcp", "belongs to it");
    world.run(Duration::from_secs(120));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("good"));
    assert_eq!(world.owed(1).get("dhcp"), Some(&"waits_for"));

    world.done(1, approve(None));
    world.run(Duration::from_secs(10));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("belongs to it"));
    assert_eq!(world.read(1, "firewall").as_deref(), Some("good"));

    // Naming it is the only way to let it in.
    let Reply::Failed { message, .. } = world.command(1, approve(None)) else { panic!("nothing else waits") };
    assert!(message.contains("refused by a check"), "{message}");
    world.done(1, approve(Some("firewall")));
    world.settle();
    assert_eq!(world.read(1, "firewall").as_deref(), Some("bad"));
    world.assert_equal();
}

#[test]
fn what_is_mended_there_brings_the_rest_of_its_batch_with_it() {
    let mut world = careful(132);
    world.write(0, "firewall", "bad");
    world.write(0, "dhcp", "belongs to it");
    world.run(Duration::from_secs(60));
    world.write(0, "firewall", "mended");
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("belongs to it"));
    world.assert_equal();
}

#[test]
fn another_program_looks_again_at_what_was_refused() {
    let mut world = careful(133);
    world.write(0, "firewall", "bad");
    world.run(Duration::from_secs(10));
    world.share_settings(1).validate = None;
    world.reload(1);
    world.settle();
    assert_eq!(world.read(1, "firewall").as_deref(), Some("bad"));
}

#[test]
fn a_uci_package_that_does_not_parse_is_refused() {
    let mut world = World::new(134, 2);
    world.pair(0, 1);
    world.share_settings(1).reload = Some(Reload::Uci);
    world.start_all();
    world.write(0, "dhcp", "config dnsmasq\n\toption port '53'\n");
    world.write(0, "notes.txt", "config 'unfinished");
    world.settle();

    world.write(0, "dhcp", "config dnsmasq\n\toption port '53\n");
    world.run(Duration::from_secs(60));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("config dnsmasq\n\toption port '53'\n"));
    assert_eq!(world.owed(1).get("dhcp"), Some(&"refused"));
    // What cannot be a package's name is no package.
    assert_eq!(world.read(1, "notes.txt").as_deref(), Some("config 'unfinished"));

    world.done(1, approve(Some("dhcp")));
    world.settle();
    world.assert_equal();
}

#[test]
fn a_crash_while_a_program_looks_and_one_that_never_answers_lose_nothing() {
    let mut world = careful(135);
    world.machines[1].programs.hang = true;
    world.write(0, "firewall", "later");
    world.run(Duration::from_secs(60));
    assert_eq!(world.read(1, "firewall").as_deref(), Some("good"));
    // A change made there meanwhile has not been seen by the first machine: a conflict, which the newer wins.
    world.write(1, "dhcp", "from here");
    world.run(Duration::from_secs(5));
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("from here"));

    world.kill(1);
    world.machines[1].programs.hang = false;
    world.start(1);
    world.settle();
    assert_eq!(world.read(1, "firewall").as_deref(), Some("later"));
    world.assert_equal();
}

#[test]
fn a_probe_that_fails_takes_a_change_back_though_its_author_is_reached() {
    let mut world = World::new(136, 2);
    world.pair(0, 1);
    world.start_all();
    world.write(0, "network", "works");
    world.settle();
    let settings = world.share_settings(1);
    settings.confirm = Some(60);
    settings.probe = Some("/usr/libexec/probe".into());
    world.reload(1);
    world.settle();

    world.machines[1].programs.is_broken = true;
    world.write(0, "network", "no default route");
    let landed = world
        .run_until(Duration::from_secs(5), |world| world.read(1, "network").as_deref() == Some("no default route"));
    assert!(landed);
    world.run(Duration::from_secs(70));
    world.settle();
    assert_eq!(world.read(1, "network").as_deref(), Some("works"));
    assert!(world.log_has(1, "is rolled back: its probe failed: no route"));
    world.assert_equal();

    world.machines[1].programs.is_broken = false;
    world.write(0, "network", "mended");
    world.run(Duration::from_secs(30));
    assert!(world.log_has(1, "is confirmed: m0 responded"));
    world.settle();
    world.assert_equal();
}

/// Two machines in sync, of which each has a hook.
fn hooked(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.set_all(|settings| settings.hook.program = Some("/usr/libexec/hook".into()));
    world.start_all();
    world.write(0, "dhcp", "one");
    world.settle();
    world
}

#[test]
fn a_hook_is_told_before_a_change_leaves_and_another_before_it_lands() {
    let mut world = hooked(137);
    assert!(world.machines[0].programs.told.contains(&"dhcp".to_string()));
    assert!(world.machines[1].programs.shown.contains(&"one".to_string()));
    // What landed here is no change of this machine's.
    assert_eq!(world.machines[1].programs.told, [] as [&str; 0]);

    world.machines[0].programs.hang = true;
    world.write(0, "dhcp", "two");
    world.run(Duration::from_secs(60));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("one"));
    world.with(0, |node, now| node.handle_before_send(now, &main()));
    world.settle();
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("two"));
    world.assert_equal();
}

#[test]
fn a_hook_that_says_no_keeps_a_batch_out_and_an_author_who_never_rests_still_gets_through() {
    let mut world = hooked(138);
    world.machines[1].programs.dislikes = Some(("bad", "not on a Friday"));
    world.write(0, "dhcp", "bad");
    world.run(Duration::from_secs(60));
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("one"));
    assert!(world.log_has(1, "refused by a check: not on a Friday"));

    world.write(0, "dhcp", "good");
    for n in 0..60 {
        world.write(0, "busy", &n.to_string());
        world.run_ms(1_000);
    }
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("good"));
    world.settle();
    world.assert_equal();
}
