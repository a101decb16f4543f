//! F61, F62 and F64: what was wrong on OpenWrt with the predecessor. F63 is in `procd`.

use std::fs;
use std::net::Ipv4Addr;

use serde_json::json;

use crate::bus::{Bus, nothing};
use crate::cluster::Cluster;
use crate::node::Node;
use crate::router::Router;
use crate::space::{Own, Space};
use crate::stand_in::StandIn;
use crate::wait::until;

#[test]
fn f61_a_pattern_in_uci_is_a_pattern_whatever_the_working_directory_holds() {
    let cluster = Cluster::at(&[("a", Ipv4Addr::new(127, 0, 0, 82).into())]);
    let a = Router::of_packages(&cluster.nodes()[0], "");
    a.node.write("no-such-name-in-the-root", "");
    a.node.write("nor-this", "");

    // Where procd starts services.
    a.run(&["env", "-C", "/"].map(String::from));

    until("both are seen", || a.node.main()["files"] == json!(2));
}

#[test]
fn f62_status_is_what_the_daemon_says_and_is_gone_with_it() {
    let cluster = Cluster::at(&[("a", Ipv4Addr::new(127, 0, 0, 83).into())]);
    let a = Router::of_packages(&cluster.nodes()[0], "");
    // The name of the predecessor's section, which its plugin looked for under another.
    let own = a.root().join("etc/config/owsync");
    fs::write(&own, a.package().replace("'main'", "'general'")).unwrap();
    a.run(&[]);
    let status = a.call("status", nothing()).1;
    assert_eq!((&status["pid"], &status["name"]), (&json!(a.node.pid()), &json!("a")));
    assert_eq!((&status["in_sync"], &status["problems"]), (&json!(false), &json!([])));

    a.node.kill();
    until("nobody claims that it runs", || a.bus.client().methods("owsync").is_none());

    a.run(&[]);
    assert_eq!(a.call("status", nothing()).1["pid"], json!(a.node.pid()));
}

#[test]
fn status_is_to_be_had_where_the_package_can_not_be_read() {
    let cluster = Cluster::at(&[("a", Ipv4Addr::new(127, 0, 0, 86).into())]);
    let a = Router::of_packages(&cluster.nodes()[0], "");
    with_the_usual_database(&a);
    let Some(_space) = boot(a.node, &a.bus) else { return };

    fs::write(a.root().join("etc/config/owsync"), "config owsync 'main'\n\toption name 'a\n").unwrap();

    until("status names the error", || {
        let printed = a.node.command(&["status"]).output().unwrap();
        String::from_utf8_lossy(&printed.stdout).contains("configuration: line 2: EOF with unterminated '")
    });
    a.node.stop();
    let printed = a.node.command(&["status"]).output().unwrap();
    let said = String::from_utf8_lossy(&printed.stderr).into_owned();
    assert!(printed.status.code() == Some(2) && said.contains("line 2: EOF with unterminated '"), "{said}");
}

/// Puts the database at its default path.
fn with_the_usual_database(router: &Router) {
    let told = router.package();
    let database = told.lines().find(|line| line.contains("option database")).unwrap();
    let here = format!("'{}'", router.node.share().display());
    let told = told.replace(&format!("{database}\n"), "").replace(&here, "'/etc/config'");
    fs::write(router.root().join("etc/config/owsync"), told).unwrap();
    router.node.set("database", "/etc/owsync/owsync.db");
}

/// Starts a router as after a power-up: /etc is on flash, and /var in memory. `None` where there can be no such mounts.
fn boot(node: &Node, bus: &Bus) -> Option<Space> {
    let space = Space::new(Own::Mounts)?;
    let etc = node.home().join("root/etc");
    fs::create_dir_all(etc.join("owsync")).unwrap();
    space.run(&["mount", "--bind", etc.to_str().unwrap(), "/etc"]);
    space.run(&["mount", "-t", "tmpfs", "none", "/var"]);
    let mut launch = space.enter();
    launch.extend(["env".to_string(), format!("OWSYNC_UBUS_SOCKET={}", bus.socket().display())]);
    node.launch_by(launch);
    node.adopt(&mut node.command(&["daemon", "-f"]));
    bus.until_there("owsync");
    Some(space)
}

#[test]
fn f64_a_deletion_is_remembered_through_a_reboot_that_clears_var() {
    let cluster =
        Cluster::at(&[("a", Ipv4Addr::new(127, 0, 0, 84).into()), ("b", Ipv4Addr::new(127, 0, 0, 85).into())]);
    let [a, b] = [0, 1].map(|n| Router::of_packages(&cluster.nodes()[n], ""));
    a.dials(&b, "127.0.0.85", "127.0.0.84");
    b.dials(&a, "127.0.0.84", "127.0.0.85");
    with_the_usual_database(&a);
    a.node.write("dhcp", "config dnsmasq\n");
    a.node.write("firewall", "config defaults\n");
    // Without a listener for applied changes, status would not be content.
    let _procd = [&a, &b].map(|router| StandIn::service(&router.bus));
    let Some(first) = boot(a.node, &a.bus) else { return };
    b.run(&[]);
    b.node.until_holds("dhcp", "config dnsmasq\n");
    a.until_in_sync();
    b.until_in_sync();

    b.node.stop();
    a.node.remove("dhcp");
    until("the deletion is known", || a.node.main()["tombstones"] == json!(1));
    a.node.stop();
    drop(first);
    let Some(_second) = boot(a.node, &a.bus) else { return };
    b.run(&[]);

    b.node.until_gone("dhcp");
    a.until_in_sync();
    assert!(!a.node.exists("dhcp"));
}
