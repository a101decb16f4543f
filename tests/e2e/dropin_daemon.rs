//! What scripts written for the C predecessor rely on: `daemon`, its configuration and its files.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::dropin::{MODE, assert_done, by_options, connect, give_key, listen, text};
use crate::node::{KEY, Node, OWSYNC};
use crate::skip::{as_nobody, not_run};
use crate::strangers::memory;
use crate::wait::{promptly, throughout, timed, until};

#[test]
fn directories_that_cannot_be_synced_are_named_at_once() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    fs::write(a.home().join("file"), "").unwrap();
    let run = |dir: &str, command: &[&str]| {
        let database = a.home().join("x.db").display().to_string();
        let options = ["--port", "0", "--db", &database, "-i", "*", "--dir", dir];
        let words = [command, &options].concat();
        let mut command = a.command(&[&words[..], MODE].concat());
        give_key(&mut command);
        let output = command.output().unwrap();
        (output.status.code(), text(&output))
    };
    let (missing, file) = (a.home().join("missing").display().to_string(), a.home().join("file").display().to_string());
    for command in [&["listen"][..], &["connect", "127.0.0.1"], &["daemon", "-f", "--auto-sync", "127.0.0.1"]] {
        let (code, said) = run(&missing, command);
        assert!(code == Some(1) && said.contains("does not exist"), "{command:?}: {code:?} {said}");
        let (code, said) = run(&file, command);
        assert!(code == Some(1) && said.contains("not a directory"), "{command:?}: {code:?} {said}");
    }
    let (locked, program) = (a.home().join("locked"), cluster.scratch().path().join("owsync"));
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o0)).unwrap();
    fs::copy(OWSYNC, &program).unwrap();
    // Root may read everything.
    a.launch_by(as_nobody());
    a.run_program(&program);
    let (code, said) = run(locked.to_str().unwrap(), &["listen"]);
    assert!(code == Some(1) && said.to_lowercase().contains("permission"), "{code:?} {said}");
}

#[test]
fn wrong_commands_start_nothing_and_help_ends_well() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    let run = |words: &[&str]| {
        let mut command = a.command(words);
        give_key(&mut command);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), text(&output))
    };
    let dir = a.share().display().to_string();

    for words in [&["--help"][..], &["listen", "--help"], &["connect", "--help"], &["daemon", "-h"], &["-h"]] {
        let (code, out, _) = run(words);
        assert_eq!(code, Some(0), "{words:?}");
        assert!(out.contains("--port") || out.contains("listen"), "{words:?}: {out}");
        assert!(!out.contains("debug-clock-offset"), "{out}");
    }
    let (code, out, _) = run(&["--version"]);
    assert!(code == Some(0) && out.starts_with("owsync "), "{out}");
    let (code, _, all) = run(&["listen", "--debug-clock-offset", "5", "--dir", &dir]);
    assert!(code == Some(2) && all.contains("--debug-clock-offset"), "{all}");
    let (code, _, all) = run(&[&["daemon", "--dir", &dir, "-i", "*"], MODE].concat());
    assert!(code == Some(2) && all.contains("requires at least one --auto-sync peer"), "{code:?} {all}");
    let (code, _, all) = run(&["daemon", "-c", "/nonexistent/owsync.conf"]);
    assert!(code == Some(2) && all.contains("cannot open"), "{code:?} {all}");
}

#[test]
fn what_a_config_file_may_hold_still_starts_with_a_warning() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    (1..=17).for_each(|n| a.add("peer", &format!("127.0.9.{n}")));
    let mut config = format!("# a comment\n\n{}", a.config_text());
    config.push_str(
        "  poll_interval = not_a_number  \nlog_level=abc\nlog_level = 99\nunknown_key=1\na line without equals\n",
    );
    config.push_str("peer=fd00::1\npeer=[2001:db8::1]:4321\npeer=::1,::1\n");
    fs::write(a.config(), &config).unwrap();
    fs::set_permissions(a.config(), fs::Permissions::from_mode(0o600)).unwrap();

    a.adopt(&mut a.command(&["daemon", "-f", "-c", a.config().to_str().unwrap()]));
    until("it answers", || a.try_status().is_some());

    assert_eq!(a.status()["peers"].as_object().unwrap().len(), 20);
    for (line, what) in [("poll_interval", "60"), ("log_level", "2"), ("unknown_key", ""), ("missing '='", "")] {
        let log = a.log();
        assert!(log.lines().any(|said| said.contains(line) && said.contains(what)), "{line}: {log}");
    }
    let number = config.lines().position(|text| text.starts_with("unknown_key")).unwrap() + 1;
    assert!(a.log().contains(&format!("{number}")), "it names the line");
}

#[test]
fn an_empty_config_file_is_enough_with_a_key_or_plain() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    fs::write(a.config(), "").unwrap();
    let (host, port, dir, db) =
        (a.ip.to_string(), a.port.to_string(), a.share().display().to_string(), a.database().display().to_string());
    let config = a.config().display().to_string();
    let place = ["--host", &host, "--port", &port, "--dir", &dir, "--db", &db, "-i", "*"];
    let words = [&["daemon", "-f", "-c", &config], &place[..]].concat();
    let mut starts: Vec<Command> = vec![a.command(&[&words[..], &["--plain", "--auto-sync", "127.0.0.1:1"]].concat())];
    if cfg!(feature = "encryption") {
        let mut with_key = a.command(&words);
        with_key.env("OWSYNC_KEY", KEY);
        starts.push(with_key);
    }
    for mut command in starts {
        a.adopt(&mut command);
        until("it answers", || a.try_status().is_some());
        a.stop();
    }
}

#[test]
fn a_daemon_given_only_options_syncs_at_once_and_in_time() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let start = |node: &Node, peers: &[&str]| {
        let (host, port) = (node.ip.to_string(), node.port.to_string());
        let mut more: Vec<&str> = peers.iter().flat_map(|peer| ["--auto-sync", peer]).collect();
        more.extend(["--poll-interval", "2"]);
        node.adopt(&mut by_options(node, &["daemon", "-f", "--host", &host, "--port", &port], &more));
        until("it can be reached", || TcpStream::connect(node.address()).is_ok());
    };
    start(b, &[&format!("{},{}", a.closed_address(), b.ip)]);
    // A dead peer beside the other changes nothing.
    let peers = [format!("127.0.0.3:{}", a.closed_address().port()), format!("{},{}", b.address(), a.ip)];
    let peers = [&peers[0][..], &peers[1]];

    let mut round = 0;
    promptly(Duration::from_secs(2), "the first sync", || {
        round += 1;
        if a.is_running() {
            a.stop();
        }
        a.write("before", round.to_string());
        timed(|| {
            start(a, &peers);
            b.until_holds("before", &round.to_string());
        })
    });
    promptly(Duration::from_secs(4), "a change", || {
        round += 1;
        timed(|| {
            a.write("after", round.to_string());
            b.until_holds("after", &round.to_string());
        })
    });
    a.stop();
    b.stop();
}

#[test]
fn a_database_of_garbage_becomes_valid_json_after_a_sync() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    fs::write(a.database(), "this is no database").unwrap();
    a.write("f", "x");
    listen(b, &[]);

    assert_done(&connect(a, b, &[]));
    b.stop();

    for node in [a, b] {
        let document: Value = serde_json::from_slice(&fs::read(node.database()).unwrap()).unwrap();
        assert!(document.is_object());
    }
    assert_eq!(b.read("f").as_deref(), Some("x"));
}

#[test]
fn database_and_configuration_inside_the_directory_are_not_synced() {
    let cluster = Cluster::idle(&["a", "b"]);
    for node in cluster.nodes() {
        node.set("database", node.path("owsync.db").to_str().unwrap());
    }
    cluster.start();
    let (a, b) = (&cluster["a"], &cluster["b"]);
    for node in [a, b] {
        let own = node.path("owsync.conf");
        fs::copy(node.config(), &own).unwrap();
        node.stop();
        node.adopt(&mut node.command(&["daemon", "-f", "-c", own.to_str().unwrap()]));
        until("it answers", || node.try_status().is_some());
    }

    a.write("f", "x");
    b.until_holds("f", "x");
    b.write("mine.db", "a user's own");
    a.until_holds("mine.db", "a user's own");
    cluster.until_in_sync();

    let (config_a, config_b) = (a.read("owsync.conf").unwrap(), b.read("owsync.conf").unwrap());
    assert!(config_a.contains("name=a") && config_b.contains("name=b"));
    let shared = |node: &Node| {
        let all = node.ask("files", json!({}))["files"].take();
        all.as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(shared(a), ["f", "mine.db"]);
    assert_eq!(shared(b), ["f", "mine.db"]);
    let [identity_a, identity_b] = [a, b].map(|node| node.read_bytes("owsync.db-identity"));
    assert_eq!(identity_a.is_some(), cfg!(feature = "encryption"), "plain mode has none");
    assert!(identity_a.is_none() || identity_a != identity_b);
}

#[test]
fn a_symlink_at_the_receiver_is_never_followed() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let victim = b.home().join("victim");
    fs::write(&victim, "safe").unwrap();
    symlink(&victim, b.path("f")).unwrap();
    a.write("f", "evil");
    listen(b, &[]);

    let output = connect(a, b, &[]);

    assert_eq!(fs::read_to_string(&victim).unwrap(), "safe");
    // A symlink in the share is left out by its settings, and is not what keeps the nodes from being in sync.
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for said in ["f: there: skipped: there is a symlink", "1 path left out: 1 symlink"] {
        assert!(text(&output).contains(said), "it names the path: {}", text(&output));
    }
}

#[test]
fn bind_addresses_show_as_scripts_look_for_them() {
    for (host, table, address) in [
        ("::", "tcp6", "0".repeat(32)),
        ("::1", "tcp6", format!("{}01000000", "0".repeat(24))),
        ("0.0.0.0", "tcp", "0".repeat(8)),
        ("127.0.0.1", "tcp", "0100007F".into()),
    ] {
        let cluster = Cluster::apart(&["a"]);
        let a = &cluster["a"];
        if table == "tcp6" && std::net::TcpListener::bind("[::1]:0").is_err() {
            not_run("needs IPv6 on loopback");
            continue;
        }
        a.set("bind_host", host);
        a.set("port", "0");
        a.start();
        let listen = a.status()["listen"][0].as_str().unwrap().to_string();
        let port = listen.parse::<std::net::SocketAddr>().unwrap().port();
        let wanted = format!("{address}:{port:04X}");
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap();
        assert!(text.lines().any(|line| line.contains(&wanted) && line.contains(" 0A ")), "{host}: {wanted}\n{text}");
        if host == "::" {
            TcpStream::connect(("127.0.0.1", port)).unwrap();
        }
    }
}

#[test]
fn a_daemon_that_peers_with_itself_survives_and_does_not_grow() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    (0..50).for_each(|n| a.write(&format!("f{n}"), "x".repeat(1000)));
    let (host, port, own) = (a.ip.to_string(), a.port.to_string(), format!("{},{}", a.address(), a.ip));
    let more = ["--auto-sync", &own, "--poll-interval", "1"];
    a.adopt(&mut by_options(a, &["daemon", "-f", "--host", &host, "--port", &port], &more));
    until("it has met itself", || a.try_status().is_some() && a.log().contains("the address of this node itself"));
    until("and looked at everything", || a.main()["files"] == json!(50));
    // The first seconds fill buffers and page in code.
    throughout(Duration::from_secs(2), "it runs", || a.is_running());
    let before = memory(a).0;

    throughout(Duration::from_secs(4), "it runs", || a.is_running());

    let after = memory(a).0;
    assert!(after <= before + 100, "{before} KiB, then {after} KiB");
    assert_eq!(a.tree().len(), 50);
}

#[test]
fn a_peer_may_be_an_ipv6_address_with_a_source() {
    let loopback = "::1".parse().unwrap();
    let cluster = Cluster::at(&[("a", loopback), ("b", loopback)]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return not_run("needs IPv6 on loopback");
    }
    b.add("peer", &format!("[::1]:{},::1", a.port));
    a.add("peer", "::1,::1");
    a.write("f", "over IPv6");
    cluster.nodes().iter().for_each(Node::spawn);

    b.until_holds("f", "over IPv6");
}
