//! Routers that are upgraded in turns: UCI packages of one release series do not reach routers of another.

use std::time::Duration;

use owsync::model::Release;
use owsync::model::settings::Reload;
use owsync::node::api::{Command, Pick};

use super::tree;
use crate::world::{MachineId, World};

/// The text of a package; in these tests its one option stands for its form.
fn package(form: &str) -> String {
    format!("config dnsmasq\n\toption form '{form}'\n")
}

/// Machines with a UCI share that all know each other, on these releases.
fn routers(seed: u64, releases: &[Option<&str>]) -> World {
    let mut world = World::new(seed, releases.len());
    world.mesh();
    for (id, release) in releases.iter().enumerate() {
        world.share_settings(id).reload = Some(Reload::Uci);
        world.machines[id].settings.release = release.and_then(Release::parse);
    }
    world.start_all();
    world
}

/// A system upgrade: the daemon ends, the package is migrated, and the daemon starts on the new release.
fn upgrade(world: &mut World, id: MachineId, release: &str, migrated: &str) {
    let migrated = package(migrated);
    world.stop(id);
    assert!(world.user(id).write(&crate::world::path("dhcp"), migrated.as_bytes()));
    world.machines[id].settings.release = Release::parse(release);
    world.start(id);
}

/// F120: a package that an upgraded router migrated waits at the routers of the old release, and theirs at it, until they
/// are upgraded too; routers of one series go on with each other.
#[test]
fn packages_wait_while_the_releases_differ() {
    let mut world = routers(120, &[Some("24.10.4"), Some("24.10.3"), Some("24.10-SNAPSHOT")]);
    world.write(0, "dhcp", &package("old form"));
    world.write(0, "firewall", &package("rules"));
    world.settle();
    world.assert_equal();

    upgrade(&mut world, 0, "25.12.1", "new form");
    world.run(Duration::from_secs(200));
    assert_eq!(world.read(1, "dhcp"), Some(package("old form")));
    assert_eq!(world.read(2, "dhcp"), Some(package("old form")));
    assert_eq!(world.owed(1), [("dhcp".to_string(), "release_differs")].into());
    // Both sides say what waits for what.
    let here = world.of_peer(1, 0).message.unwrap();
    let there = world.of_peer(0, 1).message.unwrap();
    for message in [&here, &there] {
        assert!(message.contains("dhcp"), "{message}");
        assert!(message.contains("a node on release 25.12.1 and waits on release 24.10.3"), "{message}");
    }

    // An edit on the old release, and a deletion, reach the other old router and not the new one.
    world.write(1, "dhcp", &package("old form, edited"));
    world.remove(1, "firewall");
    world.run(Duration::from_secs(200));
    assert_eq!(world.tree(2), tree! { "dhcp" => package("old form, edited") });
    assert_eq!(world.tree(0), tree! { "dhcp" => package("new form"), "firewall" => package("rules") });
    assert_eq!(world.owed(0), [("dhcp".to_string(), "release_differs"), ("firewall".into(), "release_differs")].into());
    assert!(!world.is_in_sync());

    // Nobody can wave it through by mistake.
    let approve = Command::Approve { share: None, path: None, pick: None, dry_run: false };
    world.command(1, approve);
    world.run(Duration::from_secs(60));
    assert_eq!(world.read(1, "dhcp"), Some(package("old form, edited")));

    upgrade(&mut world, 1, "25.12.2", "new form, edited");
    world.run(Duration::from_secs(200));
    // 25.12.1 and 25.12.2 exchange, and the later edit wins.
    assert_eq!(world.tree(0), tree! { "dhcp" => package("new form, edited") });
    assert_eq!(world.tree(1), tree! { "dhcp" => package("new form, edited") });
    assert_eq!(world.read(2, "dhcp"), Some(package("old form, edited")));

    upgrade(&mut world, 2, "25.12.1", "new form, edited");
    world.settle();
    world.assert_equal();
    assert_eq!(world.tree(2), tree! { "dhcp" => package("new form, edited") });
    for id in 0..3 {
        assert_eq!(world.owed(id), [].into());
    }
}

/// F120: `release_guard 0` on both sides lets packages cross; on one side it does not, as the other still guards.
#[test]
fn both_sides_can_switch_the_guard_off() {
    let mut world = routers(121, &[Some("24.10.4"), Some("25.12.1")]);
    world.write(0, "dhcp", &package("one"));
    world.run(Duration::from_secs(200));
    assert_eq!(world.read(1, "dhcp"), None);

    world.share_settings(0).release_guard = false;
    world.reload(0);
    world.run(Duration::from_secs(200));
    assert_eq!(world.read(1, "dhcp"), None);
    assert_eq!(world.owed(1).get("dhcp"), Some(&"release_differs"));

    world.share_settings(1).release_guard = false;
    world.reload(1);
    world.settle();
    assert_eq!(world.read(1, "dhcp"), Some(package("one")));

    // And on again, while everything runs.
    world.share_settings(1).release_guard = true;
    world.reload(1);
    world.run(Duration::from_secs(200));
    world.write(1, "dhcp", &package("two"));
    world.run(Duration::from_secs(200));
    assert_eq!(world.read(0, "dhcp"), Some(package("one")));
    assert_eq!(world.owed(0).get("dhcp"), Some(&"release_differs"));
}

/// F120: at first contact, too, nothing crosses, also when a side is picked; what the upgraded cluster has wins later.
#[test]
fn a_new_router_on_another_release_takes_and_gives_nothing() {
    let mut world = World::new(122, 2);
    world.pair(0, 1);
    world.ask();
    for (id, release) in [(0, "25.12.1"), (1, "24.10.4")] {
        world.share_settings(id).reload = Some(Reload::Uci);
        world.machines[id].settings.release = Release::parse(release);
    }
    world.user(0).write(&crate::world::path("dhcp"), package("in production").as_bytes());
    world.user(1).write(&crate::world::path("dhcp"), package("factory default").as_bytes());
    world.start(0);
    world.init(0);
    world.start(1);
    world.run(Duration::from_secs(200));
    assert_eq!(world.read(0, "dhcp"), Some(package("in production")));
    assert_eq!(world.read(1, "dhcp"), Some(package("factory default")));
    assert_eq!(world.owed(1), [("dhcp".to_string(), "release_differs")].into());
    world.command(1, Command::Approve { share: None, path: None, pick: Some(Pick::Theirs), dry_run: false });
    world.run(Duration::from_secs(60));
    assert_eq!(world.read(1, "dhcp"), Some(package("factory default")));

    world.stop(1);
    world.machines[1].settings.release = Release::parse("25.12.1");
    world.start(1);
    world.settle();
    assert_eq!(world.read(1, "dhcp"), Some(package("in production")));
    assert_eq!(world.read(0, "dhcp"), Some(package("in production")));
}

/// F120: other files cross whatever the releases are, and so do packages where one of the two has no release; a hub that
/// is no router guards with the release it is given.
#[test]
fn only_uci_packages_between_known_releases_wait() {
    let mut world = routers(123, &[Some("24.10.4"), Some("25.12.1")]);
    for id in 0..2 {
        world.share_settings(id).reload = Some(Reload::Nobody);
        world.reload(id);
    }
    world.write(0, "notes", "one");
    world.settle();
    assert_eq!(world.read(1, "notes").as_deref(), Some("one"));

    let mut world = routers(124, &[Some("24.10.4"), None]);
    world.write(0, "dhcp", &package("one"));
    world.settle();
    assert_eq!(world.read(1, "dhcp"), Some(package("one")));

    // The hub's share holds the routers' packages and reloads nothing: their guard counts.
    let mut world = World::new(125, 3);
    world.pair(0, 1);
    world.pair(1, 2);
    for (id, release) in [(0, "24.10.4"), (1, "24.10"), (2, "25.12.1")] {
        world.share_settings(id).reload = Some(if id == 1 { Reload::Nobody } else { Reload::Uci });
        world.machines[id].settings.release = Release::parse(release);
    }
    world.start_all();
    world.write(0, "dhcp", &package("old form"));
    world.run(Duration::from_secs(200));
    assert_eq!(world.read(1, "dhcp"), Some(package("old form")));
    assert_eq!(world.read(2, "dhcp"), None);
    assert_eq!(world.owed(2).get("dhcp"), Some(&"release_differs"));
}

/// F120: a preview says that what differs would wait.
#[test]
fn a_preview_says_that_packages_wait() {
    let mut world = routers(126, &[Some("24.10.4"), Some("25.12.1")]);
    world.settle();
    world.write(0, "dhcp", &package("one"));
    world.run(Duration::from_secs(60));
    let preview = Command::Sync { peer: None, share: None, dry_run: true, wait: true };
    let text = format!("{:?}", world.done(0, preview));
    assert!(text.contains("a node on release 24.10.4 and waits on release 25.12.1"), "{text}");
}
