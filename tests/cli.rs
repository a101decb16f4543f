//! The real binary, as far as it needs no daemon: texts, exit codes, and what it writes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[path = "cli/bench.rs"]
mod bench;

use bench::Bench;
use owsync::cli::table::{self, Verb};

#[test]
fn help_of_every_command_goes_to_standard_output_and_ends_with_0() {
    let bench = Bench::new();
    for spec in table::commands() {
        let words: Vec<&str> = spec.name().split(' ').chain(["--help"]).collect();
        let run = bench.run(&words);

        assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", spec.name());
        if spec.verb() != Verb::Help {
            assert!(run.out.starts_with(&format!("Usage: owsync {}", spec.name())), "{}", run.out);
        }
        assert!(!run.out.contains("debug-clock-offset"));
    }
    for words in [&["--help"][..], &["-h"], &["help"]] {
        let run = bench.run(words);
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        assert!(run.out.contains("daemon") && run.out.contains("connect PEER"), "{}", run.out);
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_so_on_standard_error() {
    let bench = Bench::new();
    for (words, text) in [
        (&[][..], "Usage: owsync"),
        (&["frobnicate"], "unknown command 'frobnicate'"),
        (&["listen", "--debug-clock-offset", "5"], "unknown option '--debug-clock-offset'"),
        (&["connect"], "'connect' needs PEER"),
        (&["daemon", "--port"], "missing argument for option '--port'"),
        (&["daemon", "--dir", "/nonexistent", "--plain"], "requires at least one --auto-sync peer"),
        (&["connect", "1:2:3", "--dir", "/nonexistent", "--plain"], "not an IPv6 address"),
        (&["daemon", "-c", "/nonexistent/owsync.conf"], "cannot open /nonexistent/owsync.conf"),
        (&["status", "-c", "/nonexistent/owsync.conf"], "cannot open /nonexistent/owsync.conf"),
    ] {
        let run = bench.run(words);

        assert_eq!((run.code, run.out.as_str()), (2, ""), "{words:?}: {}", run.err);
        assert!(run.err.contains(text), "{words:?}: {}", run.err);
    }
}

#[test]
fn the_version_is_the_packages() {
    let bench = Bench::new();
    for option in ["--version", "-V"] {
        let run = bench.run(&[option]);
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        assert!(run.out.starts_with(&format!("owsync {}", env!("CARGO_PKG_VERSION"))), "{}", run.out);
        assert_eq!(run.out.contains("without encryption"), !cfg!(feature = "encryption"));
    }
}

#[test]
fn every_error_of_a_configuration_is_reported_at_once_and_nothing_starts() {
    let bench = Bench::new();
    let file = bench.write(
        "bad.conf",
        "port=70000\nencryption_key=5ecre75ecre7\nmax_file_size=lots\nnonsense\ncolour=red\n[share a b]\n[share vpn]\ninclude=*\nprevious_key_file=/x\n",
    );
    let database = bench.path("state/owsync.db");
    for command in ["daemon", "listen", "check"] {
        let run = bench.run(&[command, "-c", &file, "--db", &database, "--poll-interval", "x"]);

        assert_eq!((run.code, run.out.as_str()), (2, ""), "{command}");
        for text in ["line 1: port:", "line 2: encryption_key:", "line 3: max_file_size:", "line 7: dir:"] {
            assert!(run.err.contains(&format!("owsync: {file}: {text}")), "{command}: {text}: {}", run.err);
        }
        for text in ["line 4: missing '='", "line 5: colour: unknown option", "poll_interval: 'x'"] {
            let warned = run.err.lines().any(|line| line.starts_with("owsync: warning: ") && line.contains(text));
            assert!(warned, "{command}: {text}: {}", run.err);
        }
        assert!(!run.err.contains("5ecre7"), "{}", run.err);
        assert!(!bench.exists("state"));
    }
}

#[test]
fn what_only_the_machine_can_tell_is_reported_with_the_rest() {
    let bench = Bench::new();
    let file = bench.write("bad.conf", "port=70000\nkey_file=/nonexistent/key\n");

    let run = bench.run(&["check", "-c", &file]);

    let second =
        if cfg!(feature = "encryption") { "/nonexistent/key does not exist" } else { "built without encryption" };
    assert!(run.err.contains("line 1: port:") && run.err.contains(second), "{}", run.err);
    assert_eq!(run.code, 2);
}

#[test]
fn a_directory_that_cannot_be_synced_ends_it_with_1() {
    let bench = Bench::new();
    let file = bench.write("file", "");
    let absent = bench.path("absent");
    for (dir, text) in [(&absent, "does not exist"), (&file, "is not a directory")] {
        for words in [&["listen"][..], &["connect", "127.0.0.1:1"], &["daemon", "--auto-sync", "127.0.0.1:1"]] {
            let run =
                bench.run(&[words, &["--plain", "-i", "*", "--dir", dir, "--db", &bench.path("owsync.db")]].concat());

            assert_eq!(run.code, 1, "{words:?} {text}: {}", run.err);
            assert!(run.err.contains(text), "{words:?}: {}", run.err);
            assert!(!bench.exists("owsync.db"));
        }
    }
}

#[test]
fn a_directory_that_may_not_be_read_is_named_with_the_reason() {
    let bench = Bench::new();
    let Some(nobody) = bench.as_nobody() else { return };
    let dir = bench.path("closed");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o000)).unwrap();

    let run = nobody.run(&["listen", "--plain", "--dir", &dir, "--db", &bench.path("owsync.db")]);

    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(run.code, 1);
    assert!(run.err.contains(&format!("cannot read {dir}: permission denied")), "{}", run.err);
}

/// F112: without a daemon the exit code is 3, and with `--json` standard output is JSON all the same.
#[test]
fn a_command_without_a_daemon_says_where_it_looked_and_how_to_start_one() {
    let bench = Bench::new();
    let database = bench.path("owsync.db");
    for words in [&["status"][..], &["sync"], &["approve", "main"], &["log"], &["accept"], &["peers", "forget", "r2"]] {
        let run = bench.run(&[words, &["--db", &database]].concat());

        assert_eq!((run.code, run.out.as_str()), (3, ""), "{words:?}");
        let json = bench.run(&[words, &["--db", &database, "--json"]].concat());
        let answer: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!((json.code, answer["error"]["code"].as_str()), (3, Some("not_running")), "{words:?}");
        assert!(run.err.contains(&format!("no owsync daemon uses the database {database}")), "{}", run.err);
        assert!(run.err.contains(".sock") && run.err.contains("owsync daemon -c FILE"), "{}", run.err);
    }
}

/// A user who may not ask the daemon is told so, and as whom to ask, with the exit code for "no daemon".
#[test]
fn a_user_who_may_not_ask_the_daemon_is_told_whom_to_become() {
    let bench = Bench::new();
    let Some(nobody) = bench.as_nobody() else { return };
    let (config, database) = (bench.path("owsync.conf"), bench.path("owsync.db"));
    bench.write("owsync.conf", "plain_mode=1\n");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o000)).unwrap();
    let socket = bench.path("owsync.db-sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).unwrap();

    for (words, closed) in [(["-c", &config], &config), (["--db", &database], &socket)] {
        for command in ["status", "sync", "identity"] {
            let run = nobody.run(&[&[command][..], &words].concat());

            assert_eq!((run.code, run.out.as_str()), (3, ""), "{command} {words:?}: {}", run.err);
            let reason = format!("this user may not open {closed}, which belongs to ");
            assert!(run.err.contains(&reason) && run.err.contains("`sudo "), "{}", run.err);
        }
        let run = nobody.run(&[&["status", "--json"][..], &words].concat());
        let answer: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, answer["error"]["code"].as_str()), (3, Some("forbidden")), "{words:?}");
    }
    // Where other users' daemons have their sockets, in a directory of root's, a user's own daemon has none.
    fs::create_dir(bench.path("run")).unwrap();
    fs::set_permissions(bench.path("run"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(bench.path("own")).unwrap();
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(bench.path("own"), Some(65_534), None).unwrap();
    }
    let run = nobody.run(&["status", "--db", &bench.path("own/owsync.db")]);
    fs::set_permissions(bench.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(run.code == 3 && run.err.contains("no owsync daemon uses the database"), "{}: {}", run.code, run.err);
    // A configuration that cannot be read for another reason is an error of the configuration, with JSON too.
    let run = bench.run(&["status", "--json", "-c", "/nonexistent/owsync.conf"]);
    let answer: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.code, answer["error"]["code"].as_str()), (2, Some("configuration")));
}

#[test]
fn scan_prints_what_the_filter_holds() {
    let bench = Bench::new();
    for (path, content) in [("tree/a", "hello"), ("tree/d/b", ""), ("tree/d/no", "x")] {
        bench.write(path, content);
    }
    std::os::unix::fs::symlink("a", bench.path("tree/link")).unwrap();

    let run = bench.run(&["scan", &bench.path("tree"), "-i", "*", "-e", "d/no"]);

    assert_eq!(run.code, 0, "{}", run.err);
    let list: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let brief: Vec<(&str, &str, u64, bool)> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert!(one["mtime"].as_i64().unwrap() > 1_600_000_000_000);
            (
                one["path"].as_str().unwrap(),
                &one["hash"].as_str().unwrap()[..8],
                one["size"].as_u64().unwrap(),
                one["deleted"].as_bool().unwrap(),
            )
        })
        .collect();
    // `printf hello | sha256sum`, `sha256sum < /dev/null`
    assert_eq!(brief, [("a", "2cf24dba", 5, false), ("d/b", "e3b0c442", 0, false)]);
    assert!(run.err.contains("link: skipped: there is a symlink"), "{}", run.err);

    let nothing = bench.run(&["scan", &bench.path("tree")]);
    assert_eq!(nothing.out.trim(), "[]");
    assert!(nothing.err.contains("no include pattern"), "{}", nothing.err);
}

#[test]
fn genkey_makes_another_key_each_time_and_overwrites_none() {
    let bench = Bench::new();
    let (one, two) = (bench.run(&["genkey"]), bench.run(&["genkey"]));
    assert!(one.out.len() == 65 && one.out.trim().bytes().all(|b| b.is_ascii_hexdigit()), "{}", one.out);
    assert_ne!(one.out, two.out);

    let file = bench.path("key");
    assert_eq!(bench.run(&["genkey", &file]).code, 0);
    let made = fs::read_to_string(&file).unwrap();
    let again = bench.run(&["genkey", &file]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("exists and is not overwritten"), "{}", again.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), made);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
}

/// owsync 1.x ended with an error too, and a script that waits for such a daemon would never end.
#[test]
fn plain_mode_without_the_address_of_a_peer_is_an_error_of_the_configuration() {
    let bench = Bench::new();
    fs::create_dir(bench.path("tree")).unwrap();
    let database = bench.path("owsync.db");
    let text = format!("sync_dir={}\ninclude=*\nplain_mode=1\ndatabase={database}\n", bench.path("tree"));
    let missing = "plain_mode accepts only the addresses of configured peers, and no peer with an address is configured: add peer=ADDRESS";
    for text in [text.clone(), format!("{text}[peer other]\npublic_key={}\n", "a".repeat(64))] {
        let file = bench.write("owsync.conf", &text);
        for words in [&["daemon", "-f"][..], &["daemon"], &["check"]] {
            let run = bench.run(&[words, &["-c", &file]].concat());

            assert_eq!(run.code, 2, "{words:?}: {}", run.err);
            assert!(run.err.contains(missing), "{words:?}: {}", run.err);
        }
    }
    assert!(!bench.exists("owsync.db"), "nothing was begun");
    // A peer that is disabled for a while is no such error.
    let file = bench.write("owsync.conf", &format!("{text}[peer other]\naddress=127.0.0.1:1\nenabled=0\n"));
    assert_eq!(bench.run(&["check", "-c", &file]).code, 0);
    // A router's service is not ended for it: it idles, as for want of a key.
    bench.write(
        "root/etc/config/owsync",
        &format!("config owsync 'main'\n\toption dir '{}'\n\toption plain_mode '1'\n", bench.path("tree")),
    );
    let router = bench.run(&["check"]);
    assert_eq!(router.code, 0, "{}", router.err);
    assert!(
        router.err.contains("configured: add a peer with its address: owsync runs but opens no port"),
        "{}",
        router.err
    );
}

#[test]
fn check_prints_what_holds_and_is_read_as_the_same() {
    let bench = Bench::new();
    fs::create_dir(bench.path("tree")).unwrap();
    let text = format!("sync_dir={}\ninclude=*\nplain_mode=1\npeer=10.0.0.2\n", bench.path("tree"));
    let file = bench.write("owsync.conf", &text);

    let run = bench.run(&["check", "-c", &file, "-P", "4999", "-e", "x"]);

    assert_eq!((run.code, run.err.as_str()), (0, ""));
    for line in ["port=4999", "plain_mode=1", "poll_interval=60", "[share main]", "exclude=x", "[peer 10.0.0.2]"] {
        assert!(run.out.lines().any(|one| one == line), "{line}: {}", run.out);
    }
    let again = bench.run(&["check", "-c", &bench.write("printed.conf", &run.out)]);
    assert_eq!((again.code, again.out), (0, run.out));
}

#[test]
fn a_plain_cluster_is_joined_without_any_key() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("one")).unwrap();
    let (one, two) = (bench.path("one/owsync.conf"), bench.path("two/owsync.conf"));
    let database = |name: &str| bench.path(&format!("{name}/owsync.db"));

    let init = bench.run(&[
        "init",
        "-c",
        &one,
        "--plain",
        "--dir",
        &bench.path("one"),
        "-i",
        "*",
        "--db",
        &database("one"),
        "--address",
        "192.0.2.1",
    ]);
    let join = bench.run_with(&["join", "--plain", "-c", &two, "--db", &database("two")], &init.out);

    assert_eq!((init.code, join.code), (0, 0), "{}{}", init.err, join.err);
    for name in ["one/key", "two/key", "two/owsync.db-token"] {
        assert!(!bench.exists(name), "{name}");
    }
    assert!(join.out.contains("\nplain_mode=1\n") && !join.out.contains("public_key"), "{}", join.out);
    #[cfg(not(feature = "encryption"))]
    {
        let keyed = bench.run(&["init", "-c", &bench.path("three.conf"), "--dir", &bench.path("one")]);
        assert_eq!(keyed.code, 2);
        assert!(keyed.err.contains("init needs --plain"), "{}", keyed.err);
        assert!(!bench.exists("three.conf") && !bench.exists("key"));
    }
}

#[path = "cli/joining.rs"]
#[cfg(feature = "encryption")]
mod joining;

#[test]
fn merge_file_prints_the_merge_and_says_what_was_lost() {
    let bench = Bench::new();
    let package = |wan: &str| format!("\nconfig interface 'wan'\n\toption proto 'dhcp'\n{wan}\n");
    let base = bench.write("base", &package(""));
    let winner = bench.write("winner", &package("\toption mtu '1400'\n"));
    let other = bench.write("other", &package("\toption metric '5'\n"));
    let same = bench.write("same", &package("\toption mtu '1300'\n"));
    let broken = bench.write("broken", "config interface 'wan\n");

    let run = bench.run(&["merge-file", &base, &winner, &other]);
    assert_eq!((run.code, run.out), (0, package("\toption mtu '1400'\n\toption metric '5'\n")));
    assert_eq!(run.err, "owsync: note: wan: changed on both sides, different options\n");

    let run = bench.run(&["merge-file", &base, &winner, &same]);
    assert_eq!((run.code, run.out), (1, package("\toption mtu '1400'\n")));
    assert_eq!(run.err, "owsync: lost: wan.mtu: kept '1400', not '1300'\n");

    let run = bench.run(&["merge-file", &base, &winner, &broken]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("not merged: no UCI package: EOF with unterminated '"), "{}", run.err);
    assert!(run.err.contains(&format!("({broken}, line ")), "{}", run.err);

    let run = bench.run(&["merge-file", &base, &winner, &bench.path("missing")]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("missing: cannot be read: No such file"), "{}", run.err);
}

#[test]
fn merge_file_as_json_and_into_a_file() {
    let bench = Bench::new();
    let base = bench.write("base", "config a 'x'\n\toption o '1'\n");
    let winner = bench.write("winner", "config a 'x'\n\toption o '2'\n");
    let loser = bench.write("loser", "config a 'x'\n\toption o '3'\n");

    let run = bench.run(&["merge-file", "--json", "-o", &winner, &base, &winner, &loser]);
    let json: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.code, &json["result"], run.err.as_str()), (1, &"lost".into(), ""));
    let lost = serde_json::json!([{
        "section": "x", "option": "o", "kept": ["2"], "lost": ["3"], "text": "x.o: kept '2', not '3'"
    }]);
    assert_eq!(json["lost"], lost);
    assert_eq!(fs::read_to_string(&winner).unwrap(), "\nconfig a 'x'\n\toption o '2'\n\n");

    // What cannot be merged leaves the file alone.
    fs::write(&loser, "config\n").unwrap();
    let run = bench.run(&["merge-file", "-o", &winner, &base, &winner, &loser]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert_eq!(fs::read_to_string(&winner).unwrap(), "\nconfig a 'x'\n\toption o '2'\n\n");
}
