//! Tests what an administrator does before daring to sync /etc/config: previews, comparisons, undoing, and
//! decides what is held. On a tree of real OpenWrt files, where it is there.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::node::Node;
use crate::skip::not_run;
use crate::wait::until;

/// The real files of an OpenWrt /etc/config, by the names they have there.
fn packages() -> Option<BTreeMap<String, Vec<u8>>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openwrt-config");
    let Ok(entries) = std::fs::read_dir(&dir) else {
        not_run(&format!("{} is not there", dir.display()));
        return None;
    };
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "conf"));
    Some(paths.map(|path| (stem(&path), std::fs::read(&path).unwrap())).collect())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().into()
}

/// Two nodes in sync on these files.
fn routers(packages: &BTreeMap<String, Vec<u8>>) -> Cluster {
    let cluster = Cluster::running(&["a", "b"]);
    packages.iter().for_each(|(name, text)| cluster["a"].write(name, text));
    cluster.until_equal();
    cluster
}

/// What a command prints; it must succeed.
#[track_caller]
fn said(node: &Node, arguments: &[&str]) -> String {
    let output = node.owsync(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of a preview: where, what, and path.
#[track_caller]
fn would(node: &Node, arguments: &[&str]) -> Vec<[String; 3]> {
    let answer: Value = serde_json::from_str(&said(node, &[arguments, &["--dry-run", "--json"]].concat())).unwrap();
    let rows = answer["preview"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["size"].is_u64() && row["why"].as_str().is_some_and(|why| !why.is_empty())));
    let mut rows: Vec<[String; 3]> =
        rows.iter().map(|row| ["where", "what", "path"].map(|key| row[key].as_str().unwrap().into())).collect();
    rows.sort();
    rows
}

#[test]
fn what_would_happen_is_looked_at_compared_done_and_taken_back() {
    let Some(packages) = packages() else { return };
    let cluster = routers(&packages);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    said(a, &["pause", "--share", "main"]);
    let dhcp = [&packages["dhcp"][..], b"\nconfig host\n\toption name 'nas'\n"].concat();
    a.write("dhcp", &dhcp);
    a.write("nas", "config nas\n");
    a.remove("acme");
    let before = b.tree();

    let told = [["there", "changed", "dhcp"], ["there", "created", "nas"], ["there", "deleted", "acme"]];
    assert_eq!(would(a, &["sync"]), told.map(|row| row.map(String::from)));
    let table = said(a, &["diff", "b"]);
    assert!(table.contains("the share is paused here") && table.contains("main:dhcp"), "{table}");
    let diff = said(a, &["diff", "dhcp", "b"]);
    assert!(diff.starts_with("--- b/main:dhcp\n+++ main:dhcp\n"), "{diff}");
    assert!(diff.ends_with("+\n+config host\n+\toption name 'nas'\n"), "{diff}");
    assert_eq!(said(a, &["diff", "main:firewall", "b"]).as_str(), "no difference\n");
    assert_eq!(b.tree(), before, "asking changes nothing");

    said(a, &["resume", "--share", "main"]);
    cluster.until_equal();
    assert_eq!(would(a, &["sync"]), Vec::<[String; 3]>::new());
    let log = said(b, &["log", "--why", "deleted", "--node", "a"]);
    assert!(log.lines().count() == 2 && log.contains("main:acme@"), "{log}");
    assert_eq!(said(b, &["show", "acme"]).as_bytes(), &packages["acme"][..]);
    let run = log.lines().last().unwrap().split_whitespace().nth(3).unwrap().to_string();
    let undone = said(b, &["undo", &run]);
    assert!(undone.contains("acme"), "{undone}");
    cluster.until_equal();
    let now: BTreeMap<String, Vec<u8>> =
        packages.keys().map(|name| (name.clone(), a.read_bytes(name).unwrap_or_default())).collect();
    assert!(now == packages, "everything is as it was, also where it began");
    assert!(!a.exists("nas"));
}

#[test]
fn a_hold_is_told_on_both_nodes_survives_kill_9_and_is_decided_as_it_was_told() {
    let Some(packages) = packages() else { return };
    let cluster = routers(&packages);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let gone: Vec<&String> = packages.keys().take(packages.len() * 2 / 3).collect();
    gone.iter().for_each(|name| b.remove(name));
    until("b holds its share", || b.main()["hold"]["reason"] == json!("mass_deletion"));
    let since = b.main()["hold"]["since"].clone();
    let told_here = |what: [&str; 2]| -> Vec<[String; 3]> {
        gone.iter().map(|name| [what[0].into(), what[1].into(), name.to_string()]).collect()
    };

    b.kill();
    b.spawn();
    until("b answers", || b.try_status().is_some());
    until("b is connected", || b.peer("a")["connected"] == json!(true));
    assert_eq!(b.main()["hold"]["reason"], json!("mass_deletion"));
    assert_eq!(b.main()["hold"]["since"], since);
    until("a says it too", || {
        let message = a.peer("b")["message"].clone();
        message.as_str().is_some_and(|text| text.contains("held there") && text.contains("vanished at once"))
    });
    assert_eq!(would(b, &["approve"]), told_here(["there", "deleted"]));
    assert_eq!(would(b, &["reject"]), told_here(["here", "created"]));
    let status = b.owsync(&["status"]);
    assert_eq!(status.status.code(), Some(1), "not in sync");
    assert!(String::from_utf8_lossy(&status.stdout).contains("`owsync approve --dry-run`"));

    said(b, &["reject"]);
    cluster.until_equal();
    let now: BTreeMap<String, Vec<u8>> =
        packages.keys().map(|name| (name.clone(), b.read_bytes(name).unwrap_or_default())).collect();
    assert!(now == packages, "byte for byte");
}
