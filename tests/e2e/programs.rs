//! Tests the administrator's own programs: what they refuse is not applied, and what they get.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::until;

/// A program of a node's administrator.
fn program(node: &Node, name: &str, script: &str) -> PathBuf {
    let path = node.home().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn set_program(node: &Node, option: &str, script: &str) {
    node.set(option, &program(node, option, script).display().to_string());
}

/// Why a node does not take a path.
fn owed(node: &Node, path: &str) -> Option<(String, String)> {
    let main = node.main();
    let owed = main["pending"].as_array()?.iter().find(|owed| owed["path"] == json!(path))?.clone();
    Some((owed["reason"].as_str()?.to_string(), owed["message"].as_str()?.to_string()))
}

#[test]
fn validate_sees_the_staged_file_and_its_words_are_the_reason_on_both_sides() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let seen = b.home().join("seen");
    let script = format!(
        "echo \"$OWSYNC_SHARE $OWSYNC_PATH\" >> {}\ngrep -q '^DROP ALL' \"$1\" || exit 0\necho 'line 1: this locks you out'\nexit 1",
        seen.display()
    );
    set_program(b, "validate", &script);
    cluster.start();
    a.write("rules/firewall", "ACCEPT");
    b.until_holds("rules/firewall", "ACCEPT");
    assert!(fs::read_to_string(&seen).unwrap().contains("main rules/firewall\n"));

    a.write("rules/firewall", "DROP ALL");
    until("it is refused", || owed(b, "rules/firewall").is_some());
    let (reason, message) = owed(b, "rules/firewall").unwrap();
    assert_eq!((&*reason, &*message), ("refused", "refused by a check: line 1: this locks you out"));
    until("its author hears why", || a.status().to_string().contains("line 1: this locks you out"));
    assert_eq!(b.read("rules/firewall").as_deref(), Some("ACCEPT"));

    // A user who knows better.
    let output = b.owsync(&["approve", "main:rules/firewall"]);
    assert!(output.status.success(), "{output:?}");
    b.until_holds("rules/firewall", "DROP ALL");
    cluster.until_equal();
}

#[test]
fn a_program_that_cannot_be_run_or_never_ends_has_refused_and_holds_up_nobody() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    b.set("validate", "/nowhere/validate");
    cluster.start();
    a.write("f", "content");
    until("it is refused", || owed(b, "f").is_some());
    assert!(owed(b, "f").unwrap().1.contains("cannot run /nowhere/validate"), "{:?}", owed(b, "f"));

    // While one hangs the node answers, and a change made on it is synced.
    set_program(b, "validate", "sleep 1000");
    b.write_config();
    b.signal(nix::sys::signal::Signal::SIGHUP);
    b.until_logged("new configuration in force");
    b.write("g", "from there");
    a.until_holds("g", "from there");
    assert!(b.stop().as_secs() < 2, "nor does it keep the daemon from ending");

    b.unset("validate");
    b.write_config();
    b.start();
    b.until_holds("f", "content");
    cluster.until_equal();
}

#[test]
fn a_probe_that_fails_takes_the_change_back_on_both_nodes() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    b.set("confirm", "5");
    set_program(b, "probe", &format!("grep -q works {}/network || {{ echo no route; exit 1; }}", b.share().display()));
    cluster.start();
    a.write("network", "works");
    b.until_holds("network", "works");
    until("it is confirmed", || b.main()["unconfirmed"].is_null());

    a.write("network", "broken");
    b.until_holds("network", "broken");
    b.until_holds("network", "works");
    a.until_holds("network", "works");
    b.until_logged("is rolled back: its probe failed: no route");
    cluster.until_equal();
}

#[test]
fn a_pause_outlives_a_restart_and_the_other_side_knows_why() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("f", "1");
    b.until_holds("f", "1");
    let output = a.owsync(&["pause", "--reason", "moving the rack"]);
    assert!(output.status.success(), "{output:?}");
    a.kill();
    a.start();
    a.write("f", "2");
    until("b knows", || b.status().to_string().contains("paused by the user: moving the rack"));
    until("a says so", || a.status()["summary"].as_str().unwrap().contains("paused by the user: moving the rack"));
    assert_eq!(b.read("f").as_deref(), Some("1"));

    assert!(a.owsync(&["resume"]).status.success());
    b.until_holds("f", "2");
    assert!(!a.owsync(&["pause", "--for", "never"]).status.success());
}

#[test]
fn a_manual_share_waits_for_sync() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.set("mode", "manual");
    cluster.start();
    a.write("f", "1");
    b.write("g", "1");
    until("what is heard waits", || owed(a, "g").is_some_and(|(reason, _)| reason == "manual"));
    until("what changed waits", || a.main()["unreleased_count"] == json!(1));
    let status = String::from_utf8(a.owsync(&["status"]).stdout).unwrap();
    assert!(status.contains("changed here: f: mode manual: waits for `owsync sync`"), "{status}");
    until("the other side knows", || b.peer("a")["shares"]["main"]["unreleased_there"] == json!(1));
    assert!(!b.exists("f") && !a.exists("g"));

    let output = a.owsync(&["sync"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!((a.read("g").as_deref(), b.read("f").as_deref()), (Some("1"), Some("1")));
}

#[test]
fn a_hook_refuses_a_batch_before_it_lands_and_is_told_before_a_change_leaves() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let told = a.home().join("told");
    set_program(a, "hook", &format!("[ \"$1\" != before-send ] || echo \"$OWSYNC_PATHS\" >> {}", told.display()));
    let script = "[ \"$1\" = before-apply ] || exit 0\n\
        case \"$(cat)\" in *'\"path\":\"frozen\"'*) echo 'nobody changes that today'; exit 1 ;; esac";
    set_program(b, "hook", script);
    cluster.start();
    a.write("f", "1");
    b.until_holds("f", "1");
    assert!(fs::read_to_string(&told).unwrap().lines().any(|line| line == "f"));

    a.write("frozen", "1");
    until("it is refused", || owed(b, "frozen").is_some());
    assert_eq!(owed(b, "frozen").unwrap().1, "refused by a check: nobody changes that today");
    b.owsync(&["approve", "main:frozen"]);
    b.until_holds("frozen", "1");
    cluster.until_equal();
}
