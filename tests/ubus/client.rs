//! The daemon as a script asks it: by the command `ubus-client`, which `make test` installs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::daemon::OnBus;
use crate::skip;

const PROGRAM: &str = "ubus-client";

struct Script<'a>(&'a OnBus);

impl Script<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("-s").arg(self.0.bus.socket()).args(words);
        command
    }

    /// Runs it to its end: its exit code, and what it printed.
    fn run(&self, words: &[&str]) -> (i32, Value) {
        let output = self.command(words).output().unwrap();
        let printed = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap(), printed)
    }

    /// Runs it until it printed a line.
    fn waits(&self, words: &[&str]) -> Child {
        let mut all = vec!["-n", "1", "-t", "40"];
        all.extend_from_slice(words);
        self.command(&all).stdout(Stdio::piped()).spawn().unwrap()
    }
}

fn line(child: Child) -> Value {
    let mut child = child;
    let mut text = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut text).unwrap();
    child.wait().unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_script_lists_calls_listens_and_subscribes() {
    if !skip::has_program(PROGRAM) {
        return skip::not_run("no ubus-client: cargo install ubus-client");
    }
    let on_bus = OnBus::alone();
    let script = Script(&on_bus);

    let (code, listed) = script.run(&["list", "owsync"]);
    assert_eq!((code, &listed[0]["path"]), (0, &json!("owsync")));
    assert_eq!(listed[0]["methods"]["sync"], json!({ "peer": 3, "share": 3, "dry_run": 7 }));
    let (code, status) = script.run(&["call", "owsync", "status"]);
    assert_eq!((code, &status["name"], &status["in_sync"]), (0, &json!("a"), &json!(false)));
    // Its exit code is the status.
    for (code, words) in [
        (2, &["call", "owsync", "sync", r#"{"dry_run":"maybe"}"#][..]),
        (3, &["call", "owsync", "none"]),
        (4, &["call", "owsync", "files", r#"{"share":"vpn"}"#]),
        (8, &["call", "owsync", "approve"]),
    ] {
        assert_eq!(script.run(words).0, code, "{words:?}");
    }

    // Until one of them has heard, nobody says whether they listen yet.
    for stream in [&["listen", "owsync.*"][..], &["subscribe", "owsync"]] {
        let mut child = script.waits(stream);
        while child.try_wait().unwrap().is_none() {
            assert_eq!(script.run(&["call", "owsync", "sync"]).0, 0);
        }
        let received = line(child);
        assert_eq!(received["event"], json!("owsync.synced"));
        // A node without peers is in sync with none.
        assert_eq!(received["data"]["in_sync"], json!(false));
        assert_eq!(received["data"]["missing"], json!(["no peer is configured or connected"]));
    }
}
