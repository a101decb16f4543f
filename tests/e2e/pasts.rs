//! Tests established and new nodes: which one may overwrite which, which is accepted, and what an old state may still do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::{throughout, until};

const DAY_MS: i64 = 86_400_000;

/// A file as it was written some time ago.
fn write_aged(node: &Node, path: &str, content: &str, age: Duration) {
    node.write(path, content);
    let file = fs::File::options().write(true).open(node.path(path)).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

/// F1
#[test]
fn a_fresh_default_never_replaces_what_the_reference_has() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    write_aged(a, "config", "production", Duration::from_secs(7 * 86_400));
    a.start();
    a.ask("init", json!({}));
    b.write("config", "factory default");
    b.write("only-here", "made by b");

    // However often it was started and edited before the two meet.
    a.stop();
    b.start();
    b.write("config", "factory default, edited");
    b.sync();
    b.restart();
    a.start();

    b.until_holds("config", "production");
    a.until_holds("only-here", "made by b");
    cluster.until_equal();
    assert_eq!(a.read("config").as_deref(), Some("production"));
    assert!(b.history("config").contains(&"factory default, edited".to_string()), "{:?}", b.history("config"));
}

/// F5
#[test]
fn an_edit_made_after_seeing_the_other_wins_whatever_the_clock_says() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    b.write("f", "of b");
    a.until_holds("f", "of b");

    // As from a clock that is late, or from a backup restored with `cp -p`.
    write_aged(a, "f", "later, with an older time", Duration::from_secs(40));

    b.until_holds("f", "later, with an older time");
    cluster.until_equal();
    assert_eq!(a.status()["counters"]["conflicts"], json!(0));
}

/// F6
#[test]
fn an_older_edit_that_comes_by_another_node_does_not_win() {
    let cluster = Cluster::running(&["a", "b", "c"]);
    let (a, b, c) = (&cluster["a"], &cluster["b"], &cluster["c"]);
    a.write("f", "0");
    cluster.until_equal();

    c.stop();
    write_aged(a, "f", "older, of a", Duration::from_secs(30));
    b.until_holds("f", "older, of a");
    a.stop();
    c.write("f", "newer, of c");
    c.start();

    b.until_holds("f", "newer, of c");
    a.start();
    cluster.until_equal();
    assert_eq!(a.read("f").as_deref(), Some("newer, of c"));
}

/// Makes every tombstone in a stopped node's database this much older.
fn age_tombstones(node: &Node, days: i64) {
    let mut document: Value = serde_json::from_slice(&fs::read(node.database()).unwrap()).unwrap();
    for line in document["state"].as_array_mut().unwrap() {
        if line["entry"]["is"]["kind"] == json!("deleted") {
            let entry = &mut line["entry"];
            entry["recorded"] = json!(entry["recorded"].as_i64().unwrap() - days * DAY_MS);
        }
    }
    fs::write(node.database(), document.to_string()).unwrap();
}

/// F19
#[test]
fn a_tombstone_of_31_days_ends_no_daemon_and_brings_nothing_back() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("gone", "x");
    a.write("kept", "y");
    cluster.until_equal();
    a.remove("gone");
    b.until_gone("gone");
    cluster.until_in_sync();

    for node in [a, b] {
        node.stop();
        age_tombstones(node, 31);
    }
    cluster.start();

    cluster.until_equal();
    for node in [a, b] {
        node.sync();
        node.restart();
    }
    cluster.until_equal();
    assert_eq!(a.tree().into_keys().collect::<Vec<_>>(), ["kept"]);
}

/// F19
#[test]
fn a_node_that_was_away_for_31_days_brings_nothing_back() {
    let cluster = Cluster::running(&["a", "b", "c"]);
    let (a, b, c) = (&cluster["a"], &cluster["b"], &cluster["c"]);
    a.write("gone", "x");
    a.write("kept", "y");
    cluster.until_equal();
    c.stop();
    a.remove("gone");
    b.until_gone("gone");
    until("b is in step with a", || b.peer("a")["in_sync"] == json!(true) && a.peer("b")["in_sync"] == json!(true));
    for node in [a, b] {
        node.stop();
        age_tombstones(node, 31);
    }
    c.write("made-meanwhile", "z");

    cluster.start();

    c.until_gone("gone");
    a.until_holds("made-meanwhile", "z");
    cluster.until_equal();
    assert_eq!(a.tree().into_keys().collect::<Vec<_>>(), ["kept", "made-meanwhile"]);
}

#[test]
fn a_database_restored_from_a_backup_waits_for_a_person() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let names: Vec<String> = (0..5).map(|n| format!("f{n}")).collect();
    names.iter().for_each(|name| a.write(name, "old"));
    cluster.until_equal();
    b.stop();
    let backup = fs::read(b.database()).unwrap();
    b.start();
    names.iter().for_each(|name| a.write(name, "new"));
    cluster.until_equal();

    b.stop();
    fs::write(b.database(), backup).unwrap();
    // Its files were restored as well.
    names.iter().for_each(|name| b.write(name, "from the backup"));
    b.start();

    until("the share is held", || b.main()["state"] == json!("held"));
    let reason = b.main()["hold"]["reason"].clone();
    assert!(reason == json!("set_back") || reason == json!("replaced"), "{reason}");
    assert_eq!(a.read("f0").as_deref(), Some("new"));
    b.ask("reject", json!({}));
    cluster.until_equal();
    assert!(names.iter().all(|name| a.read(name).as_deref() == Some("new")));
    assert!(b.history("f0").contains(&"from the backup".to_string()));
}

#[test]
#[cfg(feature = "encryption")]
fn a_copied_identity_is_refused_by_name() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.start();
    let identity = |node: &Node| format!("{}-identity", node.database().display());
    fs::copy(identity(a), identity(b)).unwrap();

    b.spawn();

    until("both say so", || {
        b.try_status().is_some_and(|status| status["peers"]["a"]["reason"] == json!("same_identity"))
            && a.peer("b")["reason"] == json!("same_identity")
    });
    b.until_logged("owsync identity --new");
}

#[test]
#[cfg(feature = "encryption")]
fn who_holds_the_key_but_is_not_known_waits_for_a_person() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.set("accept", "known");
    b.dials(a);
    b.write("f", "of b");
    a.start();
    b.start();

    until("it waits", || a.status()["waiting"][0]["reason"] == json!("not_accepted"));
    until("it knows", || b.peer("a")["reason"] == json!("not_accepted_there"));
    throughout(Duration::from_millis(300), "nothing is exchanged", || !a.exists("f"));
    assert_eq!(a.status()["waiting"][0]["name"], json!("b"));

    a.ask("accept", json!({}));
    a.until_holds("f", "of b");
    cluster.until_in_sync();
    assert_eq!(a.status()["waiting"], json!([]));
    // And is remembered.
    a.restart();
    b.write("f", "again");
    a.until_holds("f", "again");
}

#[test]
#[cfg(feature = "encryption")]
fn another_identity_at_a_known_address_is_refused_until_accepted() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    cluster.set("accept", "known");
    cluster.start();
    a.write("f", "1");
    cluster.until_equal();

    b.stop();
    fs::remove_dir_all(b.database().parent().unwrap()).unwrap();
    fs::create_dir(b.database().parent().unwrap()).unwrap();
    b.start();
    until("both name it", || {
        a.peer("b")["reason"] == json!("identity_changed") && b.peer("a")["reason"] == json!("identity_changed")
    });
    a.write("f", "2");
    a.sync();
    assert_eq!(b.read("f").as_deref(), Some("1"));

    a.ask("accept", json!({ "peer": "b" }));
    b.until_holds("f", "2");
    cluster.until_equal();
}

#[test]
fn plain_mode_takes_configured_addresses_only() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    for node in [a, b] {
        node.unset("encryption_key");
        node.set("plain_mode", "1");
    }
    b.dials(a);
    b.write("f", "of b");
    a.set_peer("other", "address", &format!("127.0.0.77:{}", a.port));
    a.start();
    b.start();

    until("it is told why", || {
        b.peer("a")["message"].as_str().is_some_and(|text| text.contains("configure this node"))
    });
    assert!(!a.exists("f"));
    assert!(a.log().contains("plain mode: nothing is encrypted"));
    a.awaits(b);
    a.restart();
    a.until_holds("f", "of b");
}

#[test]
fn a_database_has_one_owner_and_its_files_are_private() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    a.start();
    a.write("secret", "x");
    a.sync();

    let output = a.owsync(&["daemon", "-f"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("in use by owsync (pid {})", a.pid())), "{text}");

    let mode = |path: &std::path::Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&a.socket()), 0o600);
    for entry in fs::read_dir(a.database().parent().unwrap()).unwrap().flatten() {
        let wanted = if entry.path().is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&entry.path()), wanted, "{}", entry.path().display());
    }
}
