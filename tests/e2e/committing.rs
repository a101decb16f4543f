//! Commits: changes that are in force on all routers, or on none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::network::Net;
use crate::node::Node;
use crate::wait::{until, until_within};

const NETWORK: &str = "\nconfig interface 'lan'\n\toption mtu '1500'\n\n";
const COMMITTED: &str = "\nconfig interface 'lan'\n\toption mtu '1400'\n\n";

/// Three nodes with routers' trees of their own, whose packages are in sync.
fn routers() -> Cluster {
    let cluster = Cluster::idle(&["r1", "r2", "r3"]);
    for node in cluster.nodes() {
        let root = node.home().join("root");
        for dir in ["etc/config", "tmp/.uci", "var/run/rpcd/uci-0123456789abcdef0123456789abcdef"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        node.launch_by(vec!["env".into(), format!("OWSYNC_ROOT={}", root.display())]);
        node.set("sync_dir", &root.join("etc/config").display().to_string());
        node.set("reload", "uci");
        node.set("confirm", "6");
        node.look_at(&root.join("etc/config"));
    }
    cluster.start();
    cluster["r1"].write("network", NETWORK);
    for name in ["r2", "r3"] {
        cluster[name].until_holds("network", NETWORK);
        until("nothing is unconfirmed", || cluster[name].main()["unconfirmed"].is_null());
    }
    cluster
}

fn delta(node: &Node) -> PathBuf {
    node.home().join("root/tmp/.uci/network")
}

fn text(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn uncommitted_changes_are_kept_on_all_routers_and_reported_step_by_step() {
    let cluster = routers();
    let r1 = &cluster["r1"];
    fs::write(delta(r1), "network.lan.mtu='1400'\n").unwrap();
    let preview = r1.owsync(&["commit", "--dry-run"]);
    assert!(preview.status.success(), "{preview:?}");
    assert_eq!(
        text(&preview),
        "network\n  network.lan.mtu: '1500' -> '1400'\nwould be committed on this router and r2, r3\n"
    );
    assert_eq!(r1.read("network").as_deref(), Some(NETWORK));

    let output = r1.owsync(&["commit"]);
    assert!(output.status.success(), "{output:?}");
    let lines = text(&output);
    for router in ["r1", "r2", "r3"] {
        for step in ["prepared", "applied", "reachable", "kept"] {
            assert!(lines.contains(&format!("{router}: {step}\n")), "{lines}");
        }
    }
    assert!(lines.ends_with("kept on all 3 routers\n"), "{lines}");
    for node in cluster.nodes() {
        assert_eq!(node.read("network").as_deref(), Some(COMMITTED), "{}", node.name);
        assert!(node.history("network").iter().any(|one| one == NETWORK), "{}", node.name);
    }
    assert_eq!(fs::read_to_string(delta(r1)).unwrap_or_default(), "", "nothing is uncommitted any more");
    let again = r1.owsync(&["commit"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(text(&again), "owsync: there are no uncommitted changes of its packages\n");
    let log = text(&r1.owsync(&["log", "network"]));
    assert!(log.contains("network@"), "{log}");
}

#[test]
fn a_refusal_of_one_router_leaves_all_files_untouched() {
    let cluster = routers();
    let (r1, r3) = (&cluster["r1"], &cluster["r3"]);
    let validate = r3.home().join("validate");
    fs::write(&validate, "#!/bin/sh\ngrep -q 1400 \"$1\" && echo 'mtu too small' && exit 1\nexit 0\n").unwrap();
    fs::set_permissions(&validate, fs::Permissions::from_mode(0o755)).unwrap();
    r3.set("validate", validate.to_str().unwrap());
    r3.restart();
    until("it is back", || r1.peer("r3")["in_sync"] == json!(true));
    fs::write(delta(r1), "network.lan.mtu='1400'\n").unwrap();
    let output = r1.owsync(&["commit", "network"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = text(&output);
    assert!(lines.contains("r3: refused: network: ") && lines.contains("mtu too small"), "{lines}");
    assert!(lines.contains("owsync: rolled back: r3: network: "), "{lines}");
    for node in cluster.nodes() {
        assert_eq!(node.read("network").as_deref(), Some(NETWORK), "{}", node.name);
    }
    assert_eq!(fs::read_to_string(delta(r1)).unwrap(), "network.lan.mtu='1400'\n", "it is still uncommitted");
}

#[test]
fn changes_of_a_luci_session_are_committed_and_wrong_words_are_named() {
    let cluster = routers();
    let r1 = &cluster["r1"];
    let session = "0123456789abcdef0123456789abcdef";
    let delta = r1.home().join(format!("root/var/run/rpcd/uci-{session}/network"));
    fs::write(&delta, "network.lan.mtu='1400'\n").unwrap();
    let output = r1.owsync(&["commit", "--session", "../x"]);
    assert_eq!(text(&output), "owsync: a session ID has 32 hexadecimal digits\n");
    assert_eq!(output.status.code(), Some(2));
    let output = r1.owsync(&["commit", "firewall"]);
    assert_eq!(text(&output), "owsync: firewall has no uncommitted changes\n");
    let output = r1.owsync(&["commit", "--session", session, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let lines = text(&output);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["step"], json!("prepared"));
    assert!(lines.contains("\"result\": \"kept\""), "{lines}");
    assert_eq!(cluster["r3"].read("network").as_deref(), Some(COMMITTED));
}

/// Three machines in networks of their own, with a share in mode manual. A script puts its file `network` in force: `down` takes
/// the cables of the second machine away.
fn machines() -> Option<Net> {
    let net = Net::new(&["r1", "r2", "r3"])?;
    let r2 = &net.cluster["r2"];
    let script = r2.home().join("put-in-force");
    let text = format!(
        "#!/bin/sh\nfor port in {} {}; do ip link set $port \"$(cat \"$OWSYNC_DIR/network\")\"; done\n",
        Net::port(1, 0),
        Net::port(1, 2)
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    r2.set("reload", script.to_str().unwrap());
    for node in net.cluster.nodes() {
        node.set("mode", "manual");
        node.set("confirm", "6");
    }
    net.cluster.start();
    let r1 = &net.cluster["r1"];
    r1.write("network", "up");
    until("it is seen", || r1.main()["unreleased_count"] == json!(1));
    let output = r1.owsync(&["commit", "main:network"]);
    assert!(output.status.success(), "{output:?}");
    Some(net)
}

/// Changes the file on the first machine, and begins to commit it.
fn begin(net: &Net) -> std::process::Child {
    let r1 = &net.cluster["r1"];
    r1.write("network", "down");
    until("it is seen", || r1.main()["unreleased_count"] == json!(1));
    let config = r1.config().display().to_string();
    r1.command(&["commit", "-c", &config]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The other machines have what they had.
fn until_back(net: &Net) {
    for name in ["r2", "r3"] {
        let node = &net.cluster[name];
        until_within(Duration::from_secs(60), "it is rolled back", || node.read("network").as_deref() == Some("up"));
    }
}

#[test]
fn a_change_that_cuts_one_router_off_is_rolled_back_on_all_in_time() {
    let Some(net) = machines() else { return };
    let output = begin(&net).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = text(&output);
    assert!(lines.contains("rolled back: r2: it "), "{lines}");
    until_back(&net);
    // The machine where it was typed has what the user wrote, unsent.
    assert_eq!(net.cluster["r1"].read("network").as_deref(), Some("down"));
    until("it is still unreleased", || net.cluster["r1"].main()["unreleased_count"] == json!(1));
}

#[test]
fn the_death_of_any_router_while_a_bad_change_is_in_place_rolls_back_on_all() {
    for victim in ["r1", "r2", "r3"] {
        let Some(net) = machines() else { return };
        let mut child = begin(&net);
        for name in ["r2", "r3"] {
            net.cluster[name].until_holds("network", "down");
        }
        let dead = &net.cluster[victim];
        dead.kill();
        if victim == "r2" {
            // As at boot, before anything else runs.
            let output = dead.command(&["rollback", "-c", dead.config().to_str().unwrap()]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            assert_eq!(dead.read("network").as_deref(), Some("up"));
            for port in [Net::port(1, 0), Net::port(1, 2)] {
                net.spaces[1].run(&["ip", "link", "set", &port, "up"]);
            }
        }
        dead.spawn();
        until_back(&net);
        let _ = child.kill();
        let _ = child.wait();
    }
}
