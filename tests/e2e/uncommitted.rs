//! Uncommitted changes of UCI that refer to sections by number.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::{until, until_some, until_within};

const BASE: &str =
    "config dnsmasq\n\toption domain 'lan'\n\nconfig host\n\toption name 'printer'\n\toption ip '10.0.0.9'\n";

/// Two nodes with routers' trees of their own, whose packages are in sync.
fn routers() -> (Cluster, PathBuf) {
    let cluster = Cluster::idle(&["a", "b"]);
    for name in ["a", "b"] {
        let node = &cluster[name];
        let root = node.home().join("root");
        let packages = root.join("etc/config");
        for dir in ["etc/config", "tmp/.uci", "var/run/rpcd/uci-0123456789abcdef"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        node.launch_by(vec!["env".into(), format!("OWSYNC_ROOT={}", root.display())]);
        node.set("sync_dir", &packages.display().to_string());
        node.set("reload", "uci");
        node.look_at(&packages);
    }
    cluster.start();
    cluster["a"].write("dhcp", BASE);
    cluster["b"].until_holds("dhcp", BASE);
    let changes = cluster["b"].home().join("root");
    (cluster, changes)
}

/// What keeps `dhcp` from being applied.
fn pending(node: &Node) -> Option<(String, String)> {
    let main = node.main();
    let one = main["pending"].as_array()?.iter().find(|one| one["path"] == json!("dhcp"))?.clone();
    Some((one["reason"].as_str()?.into(), one["message"].as_str()?.into()))
}

/// Both sides are in sync with each other. As a whole they are not: there is no procd to notify.
fn until_exchanged(a: &Node, b: &Node) {
    until("they are in sync", || a.peer("b")["in_sync"] == json!(true) && b.peer("a")["in_sync"] == json!(true));
    assert_eq!(pending(b), None);
}

/// F138: `uci set dhcp.@host[0].ip=...` is stored under the name that libuci makes up from the section's number.
#[test]
fn a_change_that_renumbers_a_section_waits_while_uncommitted_changes_refer_to_it() {
    let (cluster, root) = routers();
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let delta = root.join("tmp/.uci/dhcp");
    fs::write(&delta, "dhcp.cfg02fe63.ip='10.0.0.10'\n").unwrap();

    let new = format!("config dhcp 'guest'\n\toption limit '50'\n\n{BASE}");
    a.write("dhcp", &new);
    let (reason, message) = until_some("it waits", || pending(b));
    assert_eq!(reason, "uncommitted");
    assert!(message.contains("uncommitted changes refer to dhcp.cfg02fe63 by number"), "{message}");
    assert_eq!(b.read("dhcp").as_deref(), Some(BASE));
    let status = String::from_utf8(b.owsync(&["status"]).stdout).unwrap();
    assert!(status.contains("commit or revert them"), "{status}");
    until("its author learns why", || a.status().to_string().contains("dhcp.cfg02fe63 by number"));

    // `uci commit` leaves an empty file behind.
    fs::write(&delta, "").unwrap();
    until_within(Duration::from_secs(90), "it is applied within a minute", || b.read("dhcp") == Some(new.clone()));
    until_exchanged(a, b);
}

#[test]
fn a_session_of_luci_counts_too_and_its_path_approves_the_change() {
    let (cluster, root) = routers();
    let (a, b) = (&cluster["a"], &cluster["b"]);
    fs::write(root.join("var/run/rpcd/uci-0123456789abcdef/dhcp"), "-dhcp.cfg02fe63\n").unwrap();

    a.write("dhcp", BASE.replace("10.0.0.9", "10.0.0.99"));
    b.until_holds("dhcp", &BASE.replace("10.0.0.9", "10.0.0.99"));
    let new = BASE.replace("config host", "config host\n\toption name 'camera'\n\nconfig host");
    a.write("dhcp", &new);
    let (_, message) = until_some("it waits", || pending(b));
    assert!(message.contains("dhcp.cfg02fe63 in LuCI by number"), "{message}");

    let output = b.owsync(&["approve", "dhcp"]);
    assert!(output.status.success(), "{output:?}");
    b.until_holds("dhcp", &new);
    until_exchanged(a, b);
}
