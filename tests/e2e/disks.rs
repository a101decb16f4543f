//! Disks that are full, gone, or cut off in the middle.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::cluster::Cluster;
use crate::files::tree;
use crate::node::Node;
use crate::proxy::{Proxy, Way};
use crate::skip::{has_program, not_run};
use crate::space::{Own, Space};
use crate::wait::{throughout, until};
use std::time::Duration;

/// Mounts a tmpfs of `size` at `path` in a space of its own, in which `node` then runs.
fn small_disk(node: &Node, path: &Path, size: &str) -> Option<Space> {
    let space = Space::new(Own::Mounts)?;
    space.run(&["mount", "-t", "tmpfs", "-o", &format!("size={size},mode=0755"), "tmpfs", path.to_str().unwrap()]);
    node.launch_by(space.enter());
    node.look_at(&space.seen(&node.share()));
    Some(space)
}

/// The reason why a path of `peer` is not applied on `node`, as both sides' status has it.
fn owed(node: &Node, there: &Node, path: &str) -> Option<[String; 2]> {
    let find = |list: serde_json::Value| {
        let one = list.as_array()?.iter().find(|one| one["path"] == json!(path))?.clone();
        Some(format!("{}: {}", one["reason"].as_str()?, one["message"].as_str()?))
    };
    let here = find(node.main()["pending"].take())?;
    let told = find(there.peer(&node.name)["shares"]["main"]["pending_there"].take())?;
    Some([here, told])
}

/// F2, F3
#[test]
fn a_full_disk_leaves_every_old_file_and_says_so_on_both_sides() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let Some(_space) = small_disk(b, &b.share(), "1M") else { return };
    // Without the reserve the kernel itself refuses to write.
    b.set("min_free", "0");
    b.set("exclude", "filler");
    cluster.start();
    a.write("f", "the old content");
    b.until_holds("f", "the old content");
    b.write("filler", vec![0; 700_000]);

    let new = "0123456789abcdef".repeat(40_000);
    a.write("f", &new);

    until("both say why it did not land", || owed(b, a, "f").is_some());
    let [here, there] = owed(b, a, "f").unwrap();
    assert!(here.starts_with("no_room: ") || here.starts_with("unwritable: "), "{here}");
    assert_eq!(here, there);
    assert_eq!(b.read("f").as_deref(), Some("the old content"));
    assert_eq!((a.status()["in_sync"].clone(), b.status()["in_sync"].clone()), (json!(false), json!(false)));
    // F3: one more exchange must not send anything back.
    a.sync();
    b.sync();
    b.restart();
    until("they met again", || b.peer("a")["connected"] == json!(true));
    assert_eq!(a.read("f").as_deref(), Some(&new[..]));
    assert_eq!(b.read("f").as_deref(), Some("the old content"));

    b.remove("filler");
    b.sync();

    b.until_holds("f", &new);
    cluster.until_in_sync();
    // Nothing that was half written is left.
    assert_eq!(b.tree(), a.tree());
}

/// F2
#[test]
fn the_reserve_of_a_disk_is_not_used_up() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let Some(_space) = small_disk(b, &b.share(), "3M") else { return };
    cluster.start();

    // Fits the disk, not what `min_free` leaves of it.
    a.write("big", vec![7; 2_500_000]);
    until("both say why the other did not", || {
        owed(b, a, "big").is_some_and(|[here, _]| here.starts_with("no_room: "))
    });
    assert!(!b.exists("big"));
    a.write("small", "lands meanwhile");
    b.until_holds("small", "lands meanwhile");
    b.set("min_free", "100K");
    b.restart();
    until("with less to keep free it lands", || b.read_bytes("big").is_some_and(|bytes| bytes.len() == 2_500_000));
    cluster.until_equal();
}

/// A full disk below the database loses nothing either: what cannot be written down is not acknowledged.
#[test]
fn a_full_disk_below_the_database_is_named_and_ends() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let state = b.database().parent().unwrap().to_path_buf();
    let Some(space) = small_disk(b, &state, "300K") else { return };
    cluster.start();
    a.write("first", "1");
    b.until_holds("first", "1");
    let filler = space.seen(&state).join("filler");
    // The kernel stops it when the disk is full.
    let _ = fs::write(&filler, vec![0; 400_000]);

    // More than the page at the end of the journal still holds.
    let names: Vec<String> = (0..50).map(|n| format!("{n}-{}", "x".repeat(200))).collect();
    names.iter().for_each(|name| b.write(name, "cannot be written down"));
    until("it says why", || b.status()["summary"].as_str().is_some_and(|text| text.contains("database")));
    assert_eq!(b.status()["in_sync"], json!(false));

    fs::remove_file(&filler).unwrap();
    b.sync();
    a.until_holds(&names[49], "cannot be written down");
    a.write("after", "2");
    b.until_holds("after", "2");
    cluster.until_equal();
}

/// F4
#[test]
fn an_unmounted_directory_is_held_and_deletes_nothing() {
    nothing_is_deleted_while_unmounted(None, &["emptied", "not_mounted"]);
}

/// F4
#[test]
fn an_unmounted_directory_in_which_somebody_wrote_is_held_too() {
    nothing_is_deleted_while_unmounted(Some("written by a program that did not notice"), &["not_mounted"]);
}

/// Unmounts the directory of a share and mounts it again; `below` is what a file below the mount point holds.
fn nothing_is_deleted_while_unmounted(below: Option<&str>, reasons: &[&str]) {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let Some(space) = Space::new(Own::Mounts) else { return };
    if let Some(content) = below {
        b.write("below", content);
    }
    let (inside, disk) = (b.share(), b.home().join("disk"));
    fs::create_dir_all(&disk).unwrap();
    // A second way to the same files keeps them while the first is gone.
    space.run(&["mount", "-t", "tmpfs", "tmpfs", disk.to_str().unwrap()]);
    let mount = ["mount", "--bind", disk.to_str().unwrap(), inside.to_str().unwrap()];
    space.run(&mount);
    b.launch_by(space.enter());
    b.look_at(&space.seen(&inside));
    cluster.set("poll_interval", "1");
    cluster.start();
    for name in ["one", "two", "three"] {
        a.write(name, name);
    }
    cluster.until_equal();

    space.run(&["umount", "-l", inside.to_str().unwrap()]);
    until("the share is held", || b.main()["state"] == json!("held"));
    let hold = b.main()["hold"].clone();
    assert!(reasons.contains(&hold["reason"].as_str().unwrap()), "{hold}");
    until("the peer says so too", || a.peer("b")["reason"] == json!("held_there"));
    a.write("four", "written meanwhile");
    b.ask("sync", json!({}));
    let there = tree(&space.seen(&inside));
    throughout(Duration::from_secs(2), "nothing is deleted, nothing lands", || {
        a.tree().len() == 4 && tree(&space.seen(&inside)) == there
    });
    assert_eq!(there.len(), below.iter().count());

    space.run(&mount);
    b.until_holds("four", "written meanwhile");
    cluster.until_equal();
    assert_eq!(a.tree().len(), 4);
}

/// F4
#[test]
fn a_directory_that_is_gone_for_a_while_deletes_nothing() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    cluster.set("poll_interval", "1");
    cluster.start();
    for name in ["one", "two", "three"] {
        a.write(name, name);
    }
    cluster.until_equal();
    let away = b.home().join("away");

    fs::rename(b.share(), &away).unwrap();
    until("the share is held", || b.main()["hold"]["reason"] == json!("root_missing"));
    until("the peer says so too", || a.peer("b")["reason"] == json!("held_there"));
    a.write("four", "written meanwhile");
    b.restart();
    assert_eq!(b.main()["hold"]["reason"], json!("root_missing"));
    assert_eq!(a.tree().len(), 4);
    assert!(!b.share().exists(), "it is not made anew");

    fs::rename(&away, b.share()).unwrap();
    b.until_holds("four", "written meanwhile");
    cluster.until_equal();
    assert_eq!(a.tree().len(), 4);
}

/// F4
#[test]
fn a_directory_that_is_emptied_waits_for_a_person() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    for name in ["one", "two", "three"] {
        a.write(name, name);
    }
    cluster.until_equal();

    for name in ["one", "two", "three"] {
        b.remove(name);
    }
    until("the share is held", || b.main()["hold"]["reason"] == json!("emptied"));
    assert_eq!(a.tree().len(), 3);

    b.ask("reject", json!({}));
    cluster.until_equal();
    assert_eq!(b.tree().len(), 3);
}

/// F21
#[test]
fn what_a_killed_receiver_leaves_is_removed_at_its_start() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let wire = Proxy::between(b, a);
    cluster.start();
    a.write("old", "1");
    b.until_holds("old", "1");

    wire.allow(Way::Back, 5_000_000);
    let content = "0123456789abcdef".repeat(700_000);
    a.write("big", &content);
    until("a part has come", || wire.is_stopped(Way::Back) && b.tree().len() > 1);
    b.kill();
    assert!(b.tree().len() > 1, "the part is still there after the kill: {:?}", b.tree());
    a.stop();
    b.start();

    assert_eq!(b.tree().into_keys().collect::<Vec<_>>(), ["old"]);
    wire.open();
    a.start();
    b.until_holds("big", &content);
    cluster.until_equal();
}

/// F22
#[test]
fn what_is_acknowledged_was_flushed() {
    if !has_program("strace") {
        return not_run("needs strace");
    }
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let trace = b.home().join("trace");
    let calls =
        "trace=fsync,fdatasync,syncfs,renameat2,renameat,rename,write,writev,pwrite64,sendto,sendmsg,openat,openat2";
    // -D: the daemon itself is our child, not strace.
    let words = ["strace", "-D", "-f", "-y", "-s", "16", "-e", calls, "-o", trace.to_str().unwrap()];
    b.launch_by(words.map(String::from).to_vec());
    b.spawn();
    a.spawn();
    until("it answers, or strace cannot trace here", || b.try_status().is_some() || !b.is_running());
    if !b.is_running() {
        return not_run(&format!("strace cannot trace here: {}", b.log().lines().last().unwrap_or_default()));
    }
    cluster.until_in_sync();

    a.write("f", "must be on disk");
    b.until_holds("f", "must be on disk");
    until("the sender knows it", || a.is_in_sync());
    b.stop();

    let text = fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let share = b.share().display().to_string();
    let position = |what: &str, from: usize, wanted: &dyn Fn(&str) -> bool| {
        let found = lines[from..].iter().position(|line| wanted(line));
        from + found.unwrap_or_else(|| panic!("{what} is missing in\n{text}"))
    };
    let is = |line: &str, names: &[&str]| names.iter().any(|name| line.contains(&format!(" {name}(")));
    let flush = |line: &str| is(line, &["fsync", "fdatasync", "syncfs"]);
    // Content, flush, in place, directory, then the database, then the peer hears of it.
    let written =
        position("the content", 0, &|line| is(line, &["write", "pwrite64"]) && line.contains("must be on disk"));
    let staged = position("its flush", written, &|line| flush(line) && line.contains(&share));
    let placed =
        position("its rename", staged, &|line| is(line, &["renameat2", "renameat", "rename"]) && line.contains(&share));
    let directory = position("the directory's flush", placed, &|line| flush(line) && line.contains(&share));
    let recorded = position("the database's flush", directory, &|line| flush(line) && line.contains("owsync.db"));
    position("the acknowledgement", recorded, &|line| {
        is(line, &["write", "sendto", "sendmsg", "writev"]) && line.contains("<socket:")
    });
}

/// F23
#[test]
fn a_rescan_reads_no_file_that_did_not_change() {
    if !has_program("strace") {
        return not_run("needs strace");
    }
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let trace = b.home().join("trace");
    let words = ["strace", "-D", "-f", "-e", "trace=openat,openat2,open", "-o", trace.to_str().unwrap()];
    b.launch_by(words.map(String::from).to_vec());
    cluster.nodes().iter().for_each(Node::spawn);
    until("it answers, or strace cannot trace here", || b.try_status().is_some() || !b.is_running());
    if !b.is_running() {
        return not_run(&format!("strace cannot trace here: {}", b.log().lines().last().unwrap_or_default()));
    }
    (0..20).for_each(|n| a.write(&format!("unchanged-{n}"), "x"));
    cluster.until_equal();
    // Young files are read once more.
    b.sync();
    let before = fs::read_to_string(&trace).unwrap().len();

    b.sync();
    b.sync();

    let after = fs::read_to_string(&trace).unwrap().split_off(before);
    let opened: Vec<&str> = after.lines().filter(|line| line.contains("unchanged-")).collect();
    assert!(opened.is_empty(), "{opened:#?}");
    assert!(before > 0 && !after.is_empty(), "the trace sees the directory itself being read");
}
