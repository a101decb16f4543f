//! What users do to files, alone and at once: it arrives, and nothing of it is lost.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::cluster::Cluster;
use crate::node::OWSYNC;
use crate::skip::{as_nobody, is_root, nobody, not_run};
use crate::wait::{until, until_some};

/// F9
#[test]
fn an_unreadable_file_is_reported_and_deleted_nowhere() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    if is_root() {
        // Root reads everything: this node runs as a different user, from a copy of the program that he can reach.
        let program = cluster.scratch().path().join("owsync");
        fs::copy(OWSYNC, &program).unwrap();
        a.run_program(&program);
        a.launch_by(as_nobody());
        a.write_config();
        for path in [a.home().to_path_buf(), a.share(), a.config(), a.home().join("state"), a.run_dir()] {
            chown(path, Some(nobody().uid.as_raw()), Some(nobody().gid.as_raw())).unwrap();
        }
    }
    cluster.start();
    b.write("f", "content");
    a.until_holds("f", "content");

    a.chmod("f", 0o000);
    let skipped = until_some("the file is reported", || a.main()["skipped"].as_array().map(|all| all[0].clone()));
    assert_eq!((&skipped["path"], &skipped["reason"]), (&json!("f"), &json!("unreadable")));
    a.sync();
    assert_eq!(b.read("f").as_deref(), Some("content"));

    a.chmod("f", 0o644);
    cluster.until_equal();
    assert_eq!(b.read("f").as_deref(), Some("content"));
}

/// F10
#[test]
fn three_nodes_that_each_edit_at_once_converge() {
    let cluster = Cluster::running(&["a", "b", "c"]);
    cluster["a"].write("shared", "0");
    cluster.until_equal();

    for node in cluster.nodes() {
        node.write(&format!("own-{}", node.name), &node.name);
        node.write("shared", format!("by {}", node.name));
    }

    let tree = cluster.settled();
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["own-a", "own-b", "own-c", "shared"]);
    let winner = cluster["a"].read("shared").unwrap();
    for name in ["a", "b", "c"] {
        let written = format!("by {name}");
        let kept = cluster.nodes().iter().any(|node| node.history("shared").contains(&written));
        assert!(winner == written || kept, "what {name} wrote is lost; {winner} won");
    }
}

/// F11
#[test]
fn a_change_goes_through_a_chain() {
    let cluster = Cluster::apart(&["a", "b", "c"]);
    let (a, b, c) = (&cluster["a"], &cluster["b"], &cluster["c"]);
    for (one, other) in [(a, b), (b, a), (b, c), (c, b)] {
        one.dials(other);
    }
    cluster.start();

    a.write("from-a", "1");
    c.write("from-c", "2");

    c.until_holds("from-a", "1");
    a.until_holds("from-c", "2");
    c.remove("from-a");
    a.until_gone("from-a");
    cluster.until_equal();
}

/// F12
#[test]
fn a_change_while_the_peer_is_down_is_sent_when_it_is_back() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("old", "1");
    b.until_holds("old", "1");

    b.stop();
    a.write("new", "2");
    a.remove("old");
    until("the peer is missed", || a.status()["in_sync"] == json!(false));
    b.start();

    b.until_holds("new", "2");
    b.until_gone("old");
    cluster.until_equal();
}

/// F13
#[test]
fn many_deletions_over_several_sessions_stay_deleted() {
    let cluster = Cluster::running(&["a", "b", "c"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let all: Vec<String> = (0..110).map(|n| format!("f{n:03}")).collect();
    all.iter().for_each(|name| a.write(name, name));
    cluster.until_equal();

    // Two nodes delete at once, together fewer than the guard against mass deletions lets pass.
    all[..25].iter().for_each(|name| a.remove(name));
    all[25..50].iter().for_each(|name| b.remove(name));

    for name in &all[..50] {
        cluster.nodes().iter().for_each(|node| node.until_gone(name));
    }
    cluster.nodes().iter().for_each(|node| drop(node.sync()));
    assert_eq!(cluster.settled().len(), 60);
}

/// F14
#[test]
fn a_deletion_survives_the_loss_of_a_state_file() {
    let cluster = Cluster::running(&["a", "b", "c"]);
    let (a, b, c) = (&cluster["a"], &cluster["b"], &cluster["c"]);
    a.write("gone", "1");
    a.write("kept", "2");
    cluster.until_equal();

    c.stop();
    a.remove("gone");
    b.until_gone("gone");
    b.stop();
    fs::write(b.database(), "{ not what it was").unwrap();
    let _ = fs::remove_file(format!("{}-journal", b.database().display()));
    b.start();
    c.start();

    c.until_gone("gone");
    cluster.until_equal();
    assert_eq!(cluster["a"].tree().keys().collect::<Vec<_>>(), ["kept"]);
    let beside = fs::read_dir(b.database().parent().unwrap()).unwrap().flatten();
    let damaged: Vec<_> =
        beside.filter(|entry| entry.file_name().to_string_lossy().starts_with("owsync.db.damaged-")).collect();
    assert_eq!(fs::read_to_string(damaged[0].path()).unwrap(), "{ not what it was");
    assert!(b.log().contains("damaged"), "the log says it");
}

/// F15
#[test]
fn an_edit_that_is_newer_than_an_unseen_deletion_wins() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("f", "old");
    b.until_holds("f", "old");

    b.stop();
    a.remove("f");
    until("the deletion is recorded", || a.main()["tombstones"] == json!(1));
    b.write("f", "newer edit");
    b.start();

    a.until_holds("f", "newer edit");
    assert_eq!(cluster.settled().len(), 1);
}

/// F16
#[test]
fn a_directory_becomes_a_file_and_a_file_a_directory() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("x/one", "1");
    a.write("x/two/three", "3");
    a.write("y", "a file");
    cluster.until_equal();

    fs::remove_dir_all(a.path("x")).unwrap();
    a.write("x", "now a file");
    a.remove("y");
    a.write("y/inside", "now a directory");

    b.until_holds("x", "now a file");
    b.until_holds("y/inside", "now a directory");
    cluster.until_equal();
}

/// F17
#[test]
fn a_mode_travels_without_its_content() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("script", "#!/bin/sh\n");
    a.write("d/f", "x");
    cluster.until_equal();
    let received = || b.status()["counters"]["received_bytes"].clone();
    let before = received();

    a.chmod("script", 0o751);
    a.chmod("d", 0o700);

    until("both modes arrive", || b.mode("script") == Some(0o751) && b.mode("d") == Some(0o700));
    assert_eq!(received(), before);
}

/// F17
#[test]
fn an_owner_travels_by_name() {
    if !is_root() {
        return not_run("needs root: only root gives files away");
    }
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let nobody = nobody();
    a.write("f", "x");
    b.until_holds("f", "x");

    chown(a.path("f"), Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();

    until("the owner arrives", || {
        let meta = fs::metadata(b.path("f")).unwrap();
        (meta.uid(), meta.gid()) == (nobody.uid.as_raw(), nobody.gid.as_raw())
    });
}

/// F18
#[test]
fn every_name_that_a_filesystem_takes_is_synced() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let (n252, n255) = ("n".repeat(252), "m".repeat(255));
    let mut names: Vec<Vec<u8>> = [
        "nginx.tmpl",
        "a.dbus",
        "a..b",
        "...",
        ".hidden",
        "d/.hidden",
        "x.db.d/f",
        "a.tmp",
        "f~",
        "f.orig",
        "a b",
        " ",
        "new\nline",
        "tab\there",
        "-rf",
        "*",
        "?[x]",
        "\\",
        "'\"$(id)`",
        "ünïcödé",
        "日本",
        "%s%n",
        "con:aux",
        "a@1",
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.extend([n252.into_bytes(), n255.into_bytes(), b"not utf-8: \xff\xfe".to_vec()]);
    for name in &names {
        let path = a.share().join(std::ffi::OsString::from_vec(name.clone()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    fs::create_dir_all(a.path("empty/empty")).unwrap();

    let tree = cluster.settled();
    assert!(tree.contains_key("empty/empty"));
    let files = tree.values().filter(|what| what.starts_with("file")).count();
    assert_eq!(files, names.len());
    for name in &names {
        let path = b.share().join(std::ffi::OsString::from_vec(name.clone()));
        assert_eq!(&fs::read(&path).unwrap(), name, "{}", path.display());
    }
}

/// F20
#[test]
fn a_file_from_the_future_can_be_edited_and_deleted_by_others() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let future = SystemTime::now() + Duration::from_secs(400 * 86_400);
    for name in ["edited", "deleted"] {
        a.write(name, "from the future");
        fs::File::options().write(true).open(a.path(name)).unwrap().set_modified(future).unwrap();
    }
    cluster.until_equal();
    until("the time arrives", || {
        fs::metadata(b.path("edited")).unwrap().modified().unwrap() > SystemTime::now() + Duration::from_secs(86_400)
    });

    b.write("edited", "by b, today");
    b.remove("deleted");

    a.until_holds("edited", "by b, today");
    a.until_gone("deleted");
    cluster.until_equal();
}

/// F23
#[test]
fn an_edit_of_the_same_size_and_time_is_seen() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    for round in 0..5 {
        let (first, second) = (format!("a{round}"), format!("b{round}"));
        a.write("f", &first);
        b.until_holds("f", &first);
        let time = fs::metadata(a.path("f")).unwrap().modified().unwrap();

        a.write("f", &second);
        fs::File::options().write(true).open(a.path("f")).unwrap().set_modified(time).unwrap();

        b.until_holds("f", &second);
    }
}

/// F36
#[test]
fn a_fifo_is_reported_and_stops_nothing() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    nix::unistd::mkfifo(&a.path("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    cluster.start();

    a.write("f", "past it");

    b.until_holds("f", "past it");
    let skipped = a.main()["skipped"][0].clone();
    assert_eq!((&skipped["path"], &skipped["reason"]), (&json!("pipe"), &json!("special")));
    assert!(!b.exists("pipe"));
}

/// F51
#[test]
fn set_user_id_bits_travel_only_where_the_receiver_allows_them() {
    let cluster = Cluster::idle(&["a", "b", "c"]);
    let (a, b, c) = (&cluster["a"], &cluster["b"], &cluster["c"]);
    a.set("allow_setuid", "1");
    c.set("allow_setuid", "1");
    cluster.start();

    a.write("tool", "x");
    fs::set_permissions(a.path("tool"), fs::Permissions::from_mode(0o4755)).unwrap();

    until("where it is allowed it arrives", || c.mode("tool") == Some(0o4755));
    until("elsewhere the rest arrives", || b.mode("tool") == Some(0o755));
    cluster.until_in_sync();
    assert_eq!((a.mode("tool"), b.mode("tool"), c.mode("tool")), (Some(0o4755), Some(0o755), Some(0o4755)));
}
