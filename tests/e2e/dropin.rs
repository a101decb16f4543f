//! What scripts written for the C predecessor rely on: `listen` and `connect`.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::node::{KEY, Node};
use crate::skip::not_run;
use crate::wait::{promptly, timed, until};

/// Options of a build without encryption, where the predecessor's scripts would have a key.
pub const MODE: &[&str] = if cfg!(feature = "encryption") { &[] } else { &["--plain"] };

/// `owsync COMMAND... OPTIONS` for this node, configured by options and environment alone.
pub fn by_options(node: &Node, words: &[&str], more: &[&str]) -> Command {
    let (dir, database) = (node.share().display().to_string(), node.database().display().to_string());
    let mut all = words.to_vec();
    all.extend(["--dir", &dir, "--db", &database, "--include", "*"]);
    all.extend(MODE);
    all.extend(more);
    let mut command = node.command(&all);
    give_key(&mut command);
    command
}

pub fn give_key(command: &mut Command) {
    if cfg!(feature = "encryption") {
        command.env("OWSYNC_KEY", KEY);
    }
}

/// Starts `owsync listen`, and waits until it can be reached, as `nc -z` does.
pub fn listen(node: &Node, more: &[&str]) {
    let (host, port) = (node.ip.to_string(), node.port.to_string());
    node.adopt(&mut by_options(node, &["listen", "-f", "--host", &host, "--port", &port], more));
    until("it listens", || TcpStream::connect(node.address()).is_ok());
}

/// `owsync connect` to a listening node.
pub fn connect(from: &Node, to: &Node, more: &[&str]) -> Output {
    by_options(from, &["connect", &to.address().to_string()], more).output().unwrap()
}

/// Everything that a command printed.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
pub fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", text(output));
}

/// F65
#[test]
fn connect_takes_host_and_port_in_every_form() {
    let cluster = Cluster::at(&[
        ("a", "127.0.0.10".parse().unwrap()),
        ("b", "127.0.0.11".parse().unwrap()),
        ("six", "::1".parse().unwrap()),
    ]);
    let (a, b, six) = (&cluster["a"], &cluster["b"], &cluster["six"]);
    listen(b, &[]);
    a.write("one", "1");
    assert_done(&connect(a, b, &[]));
    assert_eq!(b.read("one").as_deref(), Some("1"));
    let port = b.port.to_string();
    a.write("two", "2");
    assert_done(&by_options(a, &["connect", &b.ip.to_string(), "--port", &port], &[]).output().unwrap());
    assert_eq!(b.read("two").as_deref(), Some("2"));

    if six.port == 4321 {
        return not_run("needs IPv6 on loopback");
    }
    listen(six, &[]);
    assert_done(&by_options(a, &["connect", &format!("[::1]:{}", six.port)], &[]).output().unwrap());
    assert_eq!(six.tree(), a.tree());
}

#[test]
fn connect_ends_when_both_sides_have_applied_everything() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let deep = vec!["level"; 21].join("/");
    a.write(&format!("{deep}/file"), "deep");
    a.write("inject; touch pwned_file/f", "harmless");
    a.write(&"n".repeat(200), "long");
    a.write("with space.and.dots", "x");
    a.write("tool", "#!/bin/sh");
    a.chmod("tool", 0o755);
    a.write("mebi", vec![0x5a; 1 << 20]);
    (0..100).for_each(|n| a.write(&format!("many/{n}"), format!("{n}")));
    b.write("binary", (0..10_240u32).map(|n| (n * 7) as u8).collect::<Vec<u8>>());
    listen(b, &[]);

    let output = connect(a, b, &[]);

    assert_done(&output);
    assert_eq!(a.tree(), b.tree());
    assert_eq!(b.mode("tool"), Some(0o755));
    assert!(!a.exists("pwned_file") && !b.exists("pwned_file"));
    assert!(text(&output).contains("in sync with"), "{}", text(&output));

    // And again, after changes and deletions on both sides.
    b.kill();
    a.remove("tool");
    a.write("many/7", "changed");
    b.remove("many/8");
    b.write("new", "n");
    listen(b, &[]);
    assert_done(&connect(a, b, &[]));
    b.kill();
    assert_eq!(a.tree(), b.tree());
    assert!(!b.exists("tool") && !a.exists("many/8"));
    assert_eq!((b.read("many/7").as_deref(), a.read("new").as_deref()), (Some("changed"), Some("n")));
}

#[test]
fn listen_serves_plain_mode_to_anybody_when_told_so() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("f", "plain");
    let plain: &[&str] = if MODE.is_empty() { &["--plain"] } else { &[] };
    let (host, port) = (b.ip.to_string(), b.port.to_string());
    let mut command = by_options(b, &["listen", "-f", "--host", &host, "--port", &port], plain);
    b.adopt(command.env_remove("OWSYNC_KEY"));
    until("it listens", || TcpStream::connect(b.address()).is_ok());

    let mut command = by_options(a, &["connect", &b.address().to_string()], plain);
    assert_done(&command.env_remove("OWSYNC_KEY").output().unwrap());

    assert_eq!(b.read("f").as_deref(), Some("plain"));
    assert!(b.log().contains("plain mode"), "{}", b.log());
}

#[test]
fn two_connects_on_one_database_wait_for_each_other() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    (0..50).for_each(|n| a.write(&format!("f{n}"), format!("{n}")));
    listen(b, &[]);

    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let commands: Vec<Command> =
            (0..3).map(|_| by_options(a, &["connect", &b.address().to_string()], &[])).collect();
        let running: Vec<_> =
            commands.into_iter().map(|mut command| scope.spawn(move || command.output().unwrap())).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    outputs.iter().for_each(assert_done);
    assert_eq!(a.tree(), b.tree());
    assert_eq!(b.tree().len(), 50);
}

#[test]
fn connect_says_who_has_the_database() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.start();
    listen(b, &[]);

    for node in [a, b] {
        promptly(Duration::from_secs(1), "the answer", || {
            timed(|| {
                let output = connect(node, b, &[]);
                assert_eq!(output.status.code(), Some(1));
                let expected = format!("in use by owsync (pid {}): use `owsync sync`", node.pid());
                assert!(text(&output).contains(&expected), "{}", text(&output));
            })
        });
    }
}

#[test]
fn connect_to_nobody_fails_within_five_seconds() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    for peer in [a.closed_address().to_string(), "no-such-host.invalid".to_string()] {
        promptly(Duration::from_secs(5), &peer, || {
            timed(|| {
                let output = by_options(a, &["connect", &peer], &[]).output().unwrap();
                assert_eq!(output.status.code(), Some(1), "{peer}: {}", text(&output));
                let said = text(&output);
                assert!(said.contains("unreachable") || said.contains("resolve"), "{said}");
            })
        });
    }
}

#[test]
fn a_file_that_is_too_large_is_named_and_stays() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    fs::File::create(a.path("huge")).unwrap().set_len(20_000_000).unwrap();
    a.write("small", "goes");
    listen(b, &[]);

    let output = connect(a, b, &[]);

    assert_done(&output);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("huge") && stderr.contains("too large") && stderr.contains("20000000"), "{stderr}");
    assert_eq!(b.tree().into_keys().collect::<Vec<_>>(), ["small"]);
}

#[test]
#[cfg(feature = "encryption")]
fn a_mismatch_of_keys_syncs_nothing() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("f", "x");
    listen(b, &[]);

    let mut command = by_options(a, &["connect", &b.address().to_string()], &[]);
    let output = command.env("OWSYNC_KEY", "cd".repeat(32)).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("wrong key"), "{}", text(&output));
    assert!(b.tree().is_empty());
}

/// F39
#[test]
fn many_clients_long_paths_and_large_states_fit() {
    let cluster = Cluster::apart(&["hub", "a", "b", "c", "d"]);
    let hub = &cluster["hub"];
    // As long as what stands before it leaves room for.
    let name = "n".repeat(250);
    hub.write(&[&name[..]; 15].join("/"), "deep");
    (0..10_000).for_each(|n| hub.write(&format!("{}/{n}", n / 100), ""));
    for leaf in &cluster.nodes()[1..] {
        leaf.write(&format!("of-{}", leaf.name), "x");
    }
    listen(hub, &[]);

    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let leaves = &cluster.nodes()[1..];
        // Each from its own address: more than three at the door from one are too many.
        let to = |leaf: &Node| format!("{},{}", hub.address(), leaf.ip);
        let commands: Vec<Command> = leaves.iter().map(|leaf| by_options(leaf, &["connect", &to(leaf)], &[])).collect();
        let running: Vec<_> =
            commands.into_iter().map(|mut command| scope.spawn(move || command.output().unwrap())).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    outputs.iter().for_each(assert_done);
    for leaf in &cluster.nodes()[1..] {
        assert_eq!(hub.read(&format!("of-{}", leaf.name)).as_deref(), Some("x"));
        assert_eq!(leaf.tree().iter().filter(|(path, _)| !path.starts_with("of-")).count(), 10_000 + 100 + 15);
    }
}
