//! `init`, `join`, `invite` and `identity` where no daemon runs: what they write, and what they refuse to overwrite.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use owsync::daemon::joining::text::JoinText;
use owsync::daemon::place::{Holder, Place};
use owsync::model::WallTime;

use crate::bench::{Bench, Run};

/// A reference: its files below `one`, its share in `one/tree`.
fn init(bench: &Bench) -> Run {
    fs::create_dir_all(bench.path("one/tree")).unwrap();
    bench.run(&[
        "init",
        "-c",
        &bench.path("one/owsync.conf"),
        "--dir",
        &bench.path("one/tree"),
        "-i",
        "dhcp",
        "-e",
        "x",
        "--db",
        &bench.path("one/owsync.db"),
        "--address",
        "192.0.2.1",
    ])
}

/// A node that joins with this text: its files below `two`, its share in `two/tree`.
fn join(bench: &Bench, text: &str) -> Run {
    fs::create_dir_all(bench.path("two/tree")).unwrap();
    bench.run_with(
        &[
            "join",
            "-c",
            &bench.path("two/owsync.conf"),
            "--dir",
            &bench.path("two/tree"),
            "--db",
            &bench.path("two/owsync.db"),
        ],
        text,
    )
}

fn mode(bench: &Bench, name: &str) -> u32 {
    fs::metadata(bench.path(name)).unwrap().mode() & 0o777
}

fn key(bench: &Bench, name: &str) -> String {
    fs::read_to_string(bench.path(name)).unwrap().trim().to_string()
}

#[test]
fn init_makes_configuration_key_and_identity_and_prints_a_text_and_nothing_else() {
    let bench = Bench::new();

    let run = init(&bench);

    assert_eq!(run.code, 0, "{}", run.err);
    for name in ["one/owsync.conf", "one/key", "one/owsync.db-identity", "one/owsync.db"] {
        assert_eq!(mode(&bench, name), 0o600, "{name}");
    }
    let text = JoinText::parse(&run.out).unwrap();
    assert!(run.out.starts_with("[owsync-join-1]\n"), "{}", run.out);
    assert_eq!(text.addresses[0].to_string(), "192.0.2.1:4321");
    assert_eq!(text.shares[0].include, [b"dhcp".to_vec()]);
    assert!(run.err.contains("keep it secret"), "{}", run.err);
    assert!(!run.err.contains(&key(&bench, "one/key")));
    let database = fs::read_to_string(bench.path("one/owsync.db")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&database).is_ok());
}

#[test]
fn init_again_keeps_key_and_identity_and_changes_no_configuration() {
    let bench = Bench::new();
    let first = JoinText::parse(&init(&bench).out).unwrap();
    let written = fs::read(bench.path("one/owsync.conf")).unwrap();

    let refused = init(&bench);
    let again = bench.run(&["init", "-c", &bench.path("one/owsync.conf"), "--address", "192.0.2.1"]);
    let invited = bench.run(&["invite", "-c", &bench.path("one/owsync.conf"), "--address", "192.0.2.9:7"]);

    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("exists already, so options would change nothing"), "{}", refused.err);
    assert_eq!(fs::read(bench.path("one/owsync.conf")).unwrap(), written);
    for (run, address) in [(again, "192.0.2.1:4321"), (invited, "192.0.2.9:7")] {
        assert_eq!(run.code, 0, "{}", run.err);
        let text = JoinText::parse(&run.out).unwrap();
        let (old, new) = (first.secret.clone().unwrap(), text.secret.unwrap());
        assert_eq!((old.key, old.public_key), (new.key, new.public_key));
        assert_ne!(old.token, new.token, "each text has a token of its own");
        assert_eq!(text.addresses[0].to_string(), address);
    }
}

#[test]
fn init_uses_a_key_that_is_there() {
    let bench = Bench::new();
    fs::create_dir(bench.path("one")).unwrap();
    assert_eq!(bench.run(&["genkey", &bench.path("one/key")]).code, 0);
    let before = key(&bench, "one/key");

    let text = JoinText::parse(&init(&bench).out).unwrap();

    assert_eq!(key(&bench, "one/key"), before);
    assert_eq!(text.secret.unwrap().key.to_hex().as_str(), before);
}

#[test]
fn init_writes_nothing_when_it_cannot_go_on() {
    let bench = Bench::new();
    let conf = bench.path("one/owsync.conf");
    // One that its user may write to.
    let dir = bench.path("");
    for (words, code, text) in [
        (&["-i", "*"][..], 2, "no directory"),
        (&[], 2, "init needs --dir"),
        (&["--dir", "/nonexistent/x"], 1, "does not exist"),
        (&["--dir", &dir, "--port", "99999"], 2, "not a port"),
        (&["--dir", &dir, "--share", "a b=/"], 2, "--share needs NAME=DIR"),
    ] {
        let run = bench.run(&[&["init", "-c", &conf], words].concat());
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{words:?}: {}", run.err);
        assert!(run.err.contains(text), "{words:?}: {}", run.err);
        assert!(!bench.exists("one"), "{words:?}");
    }
}

#[test]
fn join_writes_what_the_text_implies_and_prints_it_without_secrets() {
    let bench = Bench::new();
    let text = init(&bench).out;

    // Standard input stays open: the end mark is enough.
    let run = join(&bench, &format!("Hello, paste this:\n{text}"));

    assert_eq!(run.code, 0, "{}", run.err);
    for name in ["two/owsync.conf", "two/key", "two/owsync.db-token"] {
        assert_eq!(mode(&bench, name), 0o600, "{name}");
    }
    assert_eq!(key(&bench, "two/key"), key(&bench, "one/key"));
    assert_eq!(run.out, fs::read_to_string(bench.path("two/owsync.conf")).unwrap());
    for line in ["include=dhcp", "exclude=x", "address=192.0.2.1:4321", &format!("dir={}", bench.path("two/tree"))] {
        assert!(run.out.lines().any(|one| one == line), "{line}: {}", run.out);
    }
    let said = format!("{}{}", run.out, run.err);
    assert!(!said.contains(&key(&bench, "two/key")) && !said.contains(&key(&bench, "two/owsync.db-token")));
    assert!(run.err.contains("next: start owsync"), "{}", run.err);
    let check = bench.run(&["check", "-c", &bench.path("two/owsync.conf")]);
    assert_eq!((check.code, check.err.as_str()), (0, ""));
}

#[test]
fn join_never_overwrites_a_configuration_or_a_key() {
    let bench = Bench::new();
    let text = init(&bench).out;
    bench.write("two/owsync.conf", "port=1\n");

    let has_conf = join(&bench, &text);

    assert_eq!(has_conf.code, 1);
    assert!(has_conf.err.contains("exists and is not overwritten"), "{}", has_conf.err);
    assert_eq!(fs::read_to_string(bench.path("two/owsync.conf")).unwrap(), "port=1\n");

    fs::remove_file(bench.path("two/owsync.conf")).unwrap();
    let other = format!("{}\n", "5a".repeat(32));
    bench.write("two/key", &other);

    let has_key = join(&bench, &text);

    assert_eq!(has_key.code, 1);
    assert!(has_key.err.contains("contains the key of a different cluster"), "{}", has_key.err);
    assert!(!has_key.err.contains("5a5a"));
    assert_eq!(fs::read_to_string(bench.path("two/key")).unwrap(), other);
    assert!(!bench.exists("two/owsync.conf") && !bench.exists("two/owsync.db-token"));
}

#[test]
fn a_broken_paste_is_named_and_writes_nothing() {
    let bench = Bench::new();
    let text = init(&bench).out;
    let cut: Vec<&str> = text.lines().enumerate().filter(|(n, _)| *n != 2).map(|(_, line)| line).collect();
    let open = text.replace("[owsync-join-end", "");
    let file = bench.write("open.txt", &open);
    for (run, words) in [
        (join(&bench, &format!("{}\n", cut.join("\n"))), "its checksum differs"),
        (join(&bench, ""), "there is no join text"),
        (bench.run(&["join", &file, "-c", &bench.path("two/owsync.conf")]), "the end of the join text is missing"),
    ] {
        assert_eq!((run.code, run.out.as_str()), (1, ""));
        assert!(run.err.contains(words), "{}", run.err);
        assert!(!bench.exists("two/owsync.conf") && !bench.exists("two/key"));
    }
    let argument = bench.run(&["join", "[owsync-join-1]", "-c", &bench.path("two/owsync.conf")]);
    assert_eq!(argument.code, 1, "the text itself is no file: it is never taken from an argument");
}

#[test]
fn an_old_text_is_refused_with_what_to_do() {
    let bench = Bench::new();
    let old = JoinText { expires: WallTime(1_600_000_000_000), ..JoinText::parse(&init(&bench).out).unwrap() };

    let run = join(&bench, &old.encode());

    assert_eq!(run.code, 1);
    assert!(run.err.contains("the join text expired at 2020-09-13"), "{}", run.err);
    assert!(run.err.contains("owsync invite") && !bench.exists("two/key"), "{}", run.err);
}

#[test]
fn nothing_is_written_where_another_process_has_the_database() {
    let bench = Bench::new();
    let text = init(&bench).out;
    fs::create_dir_all(bench.path("two")).unwrap();
    let locks = ["one", "two"].map(|name| {
        let place = Place::new(Path::new(&bench.path(&format!("{name}/owsync.db"))));
        place.lock(Holder::Daemon).unwrap()
    });

    let conf = bench.path("one/owsync.conf");
    let runs =
        [join(&bench, &text), bench.run(&["invite", "-c", &conf]), bench.run(&["identity", "--new", "-c", &conf])];

    for run in runs {
        assert_eq!(run.code, 1);
        assert!(run.err.contains(&format!("in use by owsync (pid {})", std::process::id())), "{}", run.err);
    }
    assert!(!bench.exists("two/key") && !bench.exists("two/owsync.conf") && !bench.exists("two/owsync.db-token"));
    drop(locks);
}

#[test]
fn an_interrupted_join_can_be_given_again() {
    let bench = Bench::new();
    let text = init(&bench).out;
    assert_eq!(join(&bench, &text).code, 0);
    // Everything but the configuration, which is written last, was written.
    fs::remove_file(bench.path("two/owsync.conf")).unwrap();

    let again = join(&bench, &text);

    assert_eq!(again.code, 0, "{}", again.err);
    assert!(bench.exists("two/owsync.conf"));
}

#[test]
fn an_identity_is_made_once_and_replaced_only_on_request() {
    let bench = Bench::new();
    let public = |run: Run| {
        assert_eq!(run.code, 0, "{}", run.err);
        let answer: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        answer["public_key"].as_str().unwrap().to_string()
    };
    let text = JoinText::parse(&init(&bench).out).unwrap();
    let conf = bench.path("one/owsync.conf");

    let first = public(bench.run(&["identity", "-c", &conf, "--json"]));
    let second = public(bench.run(&["identity", "-c", &conf, "--json"]));
    let new = public(bench.run(&["identity", "--new", "-c", &conf, "--json"]));

    assert_eq!(first, second);
    assert_eq!(first, owsync::model::escape::hex(&text.secret.unwrap().public_key));
    assert_ne!(first, new);
    assert_eq!(mode(&bench, "one/owsync.db-identity"), 0o600);
}

/// A router with the package as it is shipped, keeping its key and database below `router`.
fn router(bench: &Bench) {
    fs::create_dir_all(bench.path("router/tree")).unwrap();
    bench.write(
        "root/etc/config/owsync",
        &format!(
            "config owsync 'main'\n\toption enabled '0'\n\toption dir '{}'\n\toption key_file '{}'\n\toption database '{}'\n",
            bench.path("router/tree"),
            bench.path("router/key"),
            bench.path("router/owsync.db")
        ),
    );
}

#[test]
fn a_router_joins_by_its_uci_package_and_only_once() {
    let bench = Bench::new();
    let text = init(&bench).out;
    router(&bench);

    let run = bench.run_with(&["join", "--dir", &bench.path("router/tree")], &text);

    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(key(&bench, "router/key"), key(&bench, "one/key"));
    assert!(bench.exists("router/owsync.db-token"));
    let package = fs::read_to_string(bench.path("root/etc/config/owsync")).unwrap();
    for line in ["option enabled '1'", "list include 'dhcp'", "option address '192.0.2.1:4321'", "option key_file"] {
        assert!(package.contains(line) && run.out.contains(line), "{line}: {package} {}", run.out);
    }
    assert!(run.err.contains("service owsync restart"), "{}", run.err);

    let again = bench.run_with(&["join", "--dir", &bench.path("router/tree")], &text);

    assert_eq!(again.code, 1);
    assert!(
        again.err.contains("already configured (its section of type owsync has an option 'include')"),
        "{}",
        again.err
    );
    assert_eq!(fs::read_to_string(bench.path("root/etc/config/owsync")).unwrap(), package);
}

#[test]
fn a_router_becomes_the_reference_with_what_uci_says() {
    let bench = Bench::new();
    router(&bench);

    let shaped = bench.run(&["init", "-i", "dhcp"]);
    let run = bench.run(&["init", "--address", "192.0.2.1"]);

    assert_eq!(shaped.code, 2);
    assert!(shaped.err.contains("the configuration is UCI's"), "{}", shaped.err);
    assert_eq!(run.code, 0, "{}", run.err);
    let text = JoinText::parse(&run.out).unwrap();
    assert_eq!(text.shares[0].dir.to_str(), Some(bench.path("router/tree").as_str()));
    assert!(run.err.contains("no include pattern"), "{}", run.err);
    assert_eq!(mode(&bench, "router/key"), 0o600);
}

/// Everything that a key file can hold instead of a key, with what is said of it.
fn spoiled(bench: &Bench, file: &str) -> Vec<(&'static str, &'static str)> {
    fs::create_dir_all(Path::new(&bench.path(file)).parent().unwrap()).unwrap();
    vec![("", "is empty"), ("\n", "is empty"), ("5a5a", "does not contain a key"), ("fifo", "not a regular file")]
}

/// F130: an empty or half-written key file gave a join text without a key, and a node that used it joined unencrypted.
#[test]
fn a_key_file_without_a_key_is_an_error_for_every_command() {
    let bench = Bench::new();
    router(&bench);
    let key_file = bench.path("router/key");
    for (text, words) in spoiled(&bench, "router/key") {
        let _ = fs::remove_file(&key_file);
        if text == "fifo" {
            nix::unistd::mkfifo(key_file.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        } else {
            bench.write("router/key", text);
        }
        for command in ["init", "invite"] {
            let run = bench.run(&[command, "--address", "192.0.2.1"]);
            assert_eq!((run.code, run.out.as_str()), (1, ""), "{command} {words}: {}", run.err);
            assert!(run.err.contains(words), "{command} {words}: {}", run.err);
        }
        for command in ["check", "identity"] {
            let run = bench.run(&[command]);
            assert!(run.err.contains(words), "{command} {words}: {}", run.err);
        }
        assert!(text == "fifo" || fs::read_to_string(&key_file).unwrap() == text, "nothing is put in its place");
        assert!(!bench.exists("router/owsync.db"), "no token was made");
    }
    fs::remove_file(&key_file).unwrap();
    let missing = bench.run(&["invite", "--address", "192.0.2.1"]);
    assert_eq!((missing.code, missing.out.as_str()), (1, ""), "{}", missing.err);
    assert!(missing.err.contains("does not exist"), "{}", missing.err);
    // A name that leads nowhere is no missing file: it is on a disk that is not there.
    std::os::unix::fs::symlink("/nonexistent/stick/key", &key_file).unwrap();
    let dangling = bench.run(&["init", "--address", "192.0.2.1"]);
    assert_eq!((dangling.code, dangling.out.as_str()), (1, ""), "{}", dangling.err);
}

/// F130: a join text without a key switched the node that used it to plain mode.
#[test]
fn a_join_text_never_changes_the_mode() {
    let bench = Bench::new();
    let keyed = init(&bench).out;
    let keyless = JoinText { secret: None, ..JoinText::parse(&keyed).unwrap() }.encode();
    let conf = bench.path("two/owsync.conf");
    let to_file = ["join", "-c", &conf, "--dir", &bench.path("two/tree"), "--db", &bench.path("two/owsync.db")];
    fs::create_dir_all(bench.path("two/tree")).unwrap();
    router(&bench);
    let tree = bench.path("router/tree");
    let to_uci = ["join", "--dir", &tree];
    let package = || fs::read_to_string(bench.path("root/etc/config/owsync")).unwrap();
    let before = package();

    for words in [&to_file[..], &to_uci] {
        let refused = bench.run_with(words, &keyless);
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{}", refused.err);
        assert!(refused.err.contains("contains no key") && refused.err.contains("--plain"), "{}", refused.err);
        let mixed = bench.run_with(&[words, &["--plain"]].concat(), &keyed);
        assert_eq!((mixed.code, mixed.out.as_str()), (1, ""), "{}", mixed.err);
        assert!(mixed.err.contains("is in plain mode"), "{}", mixed.err);
    }
    assert!(!bench.exists("two/owsync.conf") && package() == before);

    // Said on this side too, it is the user's choice.
    for words in [&to_file[..], &to_uci] {
        let chosen = bench.run_with(&[words, &["--plain"]].concat(), &keyless);
        assert_eq!(chosen.code, 0, "{}", chosen.err);
        assert!(chosen.out.contains("plain_mode"), "{}", chosen.out);
    }
    bench.write("root/etc/config/owsync", &format!("{before}\toption plain_mode '1'\n"));
    let set_before = bench.run_with(&to_uci, &keyless);
    assert_eq!(set_before.code, 0, "{}", set_before.err);
}
