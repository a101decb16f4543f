//! Signals: the end within a second, however owsync was started; a new configuration without one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::cluster::Cluster;
use crate::wait::{promptly, until};

#[test]
fn term_and_int_end_it_cleanly_within_a_second() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let cluster = Cluster::running(&["a", "b"]);
        let a = &cluster["a"];
        a.write("f", "written down");
        cluster.until_equal();

        let mut runs = 0;
        promptly(Duration::from_secs(1), signal.as_str(), || {
            if !a.is_running() {
                a.start();
            }
            runs += 1;
            a.signal(signal);
            let (status, took) = a.until_ended();
            assert_eq!(status.code(), Some(0), "{signal}, run {runs}");
            took
        });
        assert!(!a.socket().exists(), "{signal}: the control socket is gone");
        let journal = format!("{}-journal", a.database().display());
        assert!(fs::metadata(&journal).map_or(0, |meta| meta.len()) < 100, "{signal}: the journal is folded");
        assert_eq!(fs::metadata(a.database()).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(fs::read_to_string(a.database()).unwrap().contains("\"f\""));
    }
}

/// A background job of a script inherits SIGINT as ignored; `nohup` does so with SIGHUP.
#[test]
fn signals_that_were_inherited_as_ignored_work() {
    for (name, signal) in [("INT", Signal::SIGINT), ("TERM", Signal::SIGTERM)] {
        let cluster = Cluster::apart(&["a"]);
        let a = &cluster["a"];
        a.write_config();
        let script = format!("trap '' {name} HUP; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, crate::node::OWSYNC, "daemon", "-f", "-c", a.config().to_str().unwrap()]);
        command.env("OWSYNC_RUN_DIR", a.run_dir());
        a.adopt(&mut command);
        until("it answers", || a.try_status().is_some());

        a.signal(signal);
        let (status, _) = a.until_ended();

        assert_eq!(status.code(), Some(0), "{name}");
    }
}

#[test]
fn a_broken_pipe_on_its_log_does_not_end_it() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    a.write_config();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut command = a.command(&["daemon", "-f", "-c", a.config().to_str().unwrap()]);
    a.adopt_child(command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap());
    drop(command);
    until("it answers", || a.try_status().is_some());

    drop(reader);
    for _ in 0..5 {
        drop(std::net::TcpStream::connect(a.address()).unwrap());
        a.sync();
    }

    assert!(a.is_running());
    assert_eq!(a.status()["in_sync"], json!(false));
}

/// A configuration that is read again: changed options are in force, everything else continues undisturbed.
#[test]
fn hup_puts_a_new_configuration_in_force_and_keeps_sessions_where_it_can() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("late.txt", "outside at first");
    b.until_holds("late.txt", "outside at first");
    let uptime = || a.peer("b")["connected_for"].as_u64().unwrap();
    until("the session is not new", || uptime() >= 1);

    let node = b.peer("a")["connected_for"].clone();
    a.set("max_clock_skew", "50");
    a.set("poll_interval", "7");
    a.set("history_versions", "3");
    a.write_config();
    a.signal(Signal::SIGHUP);
    a.until_logged("the configuration was read again");
    a.write("after.txt", "goes over the same session");
    b.until_holds("after.txt", "goes over the same session");
    assert!(uptime() >= 1 && b.peer("a")["connected_for"].as_u64() >= node.as_u64());
    assert!(a.main()["next_scan"].as_u64().unwrap() <= 7);

    // A filter is part of what sessions say at their start: it is in force on the next one, without anybody's help.
    a.set("exclude", "secret*");
    a.write_config();
    a.signal(Signal::SIGHUP);
    until("the new filter is known", || b.peer("a")["shares"]["main"]["filters_differ"] == json!(true));
    a.write("secret.txt", "stays here");
    a.write("open.txt", "travels");
    b.until_holds("open.txt", "travels");
    cluster.until_in_sync();
    assert!(!b.exists("secret.txt"));
}

#[test]
fn hup_with_a_broken_configuration_changes_nothing_and_names_every_error() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let good = a.config_text();

    fs::write(a.config(), format!("{good}\n[share other]\ndir=\nmax_file_size=huge\n")).unwrap();
    a.signal(Signal::SIGHUP);

    until("status says so", || a.status()["problems"].to_string().contains("max_file_size"));
    assert!(a.status()["problems"].to_string().contains("dir"));
    assert_eq!(a.status()["in_sync"], json!(false));
    a.until_logged("the previous one stays in force");
    a.write("f", "still synced");
    b.until_holds("f", "still synced");

    a.write_config();
    a.signal(Signal::SIGHUP);
    until("it is over", || a.status()["problems"] == json!([]) && a.is_in_sync());
}

#[test]
fn hup_adds_and_removes_peers_and_shares() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let config = |node: &crate::node::Node| {
        let dir = node.home().join("second");
        fs::create_dir_all(&dir).unwrap();
        fs::write(node.config(), format!("{}\n[share second]\ndir={}\ninclude=*\n", node.config_text(), dir.display()))
            .unwrap();
        node.signal(Signal::SIGHUP);
        dir
    };
    let (of_a, of_b) = (config(a), config(b));
    fs::write(of_a.join("f"), "in the second share").unwrap();
    until("the new share is synced", || {
        fs::read_to_string(of_b.join("f")).is_ok_and(|text| text == "in the second share")
    });

    // Without it: nothing is deleted anywhere.
    a.write_config();
    a.signal(Signal::SIGHUP);
    until("the share is gone", || a.status()["shares"]["second"].is_null());
    b.write("still", "in sync");
    a.until_holds("still", "in sync");
    assert!(of_a.join("f").exists() && of_b.join("f").exists());

    a.forget_peer("b");
    b.forget_peer("a");
    for node in [a, b] {
        node.write_config();
        node.signal(Signal::SIGHUP);
    }
    until("they part", || {
        cluster.nodes().iter().all(|node| {
            let peers = node.status()["peers"].take();
            peers.as_object().unwrap().values().all(|peer| peer["connected"] != json!(true))
        })
    });
    a.write("alone", "x");
    a.sync();
    assert!(!b.exists("alone"));
}
