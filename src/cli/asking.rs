//! Commands that the running daemon answers.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::args::Invocation;
use crate::cli::ask::{self, Absent, Refusal};
use crate::cli::render::{self, Fields, Look, acts, history, status};
use crate::cli::request::{self, Known, Peers, Request};
use crate::cli::setup::{self, NoDatabase};
use crate::cli::table::Opt;
use crate::cli::zone::Zone;
use crate::cli::{Done, Failure, NO_DAEMON};
use crate::daemon::place::{self, Place};
use crate::daemon::status::DaemonStatus;
use crate::daemon::{env, json};
use crate::fs::local;
use crate::model::{Digest, escape};
use crate::node::api::Tree;
use crate::node::api::record::{self, Field};
use crate::node::api::status::{PeerStatus, ShareStatus};
use crate::ops::Op;

/// Asks the running daemon for what a command wants to know or to do.
///
/// # Errors
/// There is no daemon, it refuses, or the arguments make no sense.
pub fn asking(invocation: &Invocation, op: &'static Op) -> Result<Done, Failure> {
    let as_json = invocation.has(Opt::Json);
    let database = match setup::database(invocation) {
        Ok(database) => database,
        Err(NoDatabase::Forbidden(path)) => return absent("forbidden", NO_DAEMON, ask::forbidden(&path), as_json),
        Err(NoDatabase::Broken(lines)) => return absent("configuration", 2, lines, as_json),
    };
    let mut daemon = match ask::find(&database) {
        Ok(daemon) => daemon,
        Err(absence) => {
            let code = if absence == Absent::NotRunning { "not_running" } else { "forbidden" };
            return absent(code, NO_DAEMON, ask::absence(&absence, &database), as_json);
        }
    };
    let outcome = (|| {
        let mut known = Known::default();
        if request::needs_shares(invocation, op) {
            known.shares = shares(&json::from_json(&daemon.ask(&Request::plain("shares"))?)).into_keys().collect();
        }
        if request::needs_peers(invocation, op) {
            known.peers = Peers::of(&peers(&json::from_json(&daemon.ask(&Request::plain("peers"))?)));
        }
        match request::request(invocation, op, &known) {
            Ok(request) if op.name == "commit" => {
                daemon.ask(&Request::plain("subscribe"))?;
                daemon.ask_and_watch(&request, &mut |name, data| {
                    if name == "owsync.commit" && data["router"].is_string() {
                        report_step(data, as_json);
                    }
                })
            }
            Ok(request) => daemon.ask(&request),
            Err(message) => Err(Refusal::Said { code: "argument".into(), message }),
        }
    })();
    match outcome {
        Ok(answer) => answered(invocation, op, &answer, &database),
        Err(refusal) => refused(refusal, as_json),
    }
}

/// Reports a step of a commit when it happens: a line per router and step, or per line an object of JSON.
fn report_step(data: &Value, as_json: bool) {
    let word = |key: &str| data[key].as_str().unwrap_or_default();
    let line = match (as_json, data["reason"].as_str()) {
        (true, _) => data.to_string(),
        (false, Some(why)) => format!("{}: {}: {why}", word("router"), word("step")),
        (false, None) => format!("{}: {}", word("router"), word("step")),
    };
    // A closed standard output must not end the commit: its result is the answer.
    let _ = writeln!(io::stdout(), "{line}");
}

/// No daemon was asked: as a failure, or with its code as JSON for scripts.
fn absent(code: &str, exit: u8, lines: Vec<String>, as_json: bool) -> Result<Done, Failure> {
    if as_json {
        let message = lines.first().cloned().unwrap_or_default();
        return Ok(Done { text: as_json_error(code, &message).into(), notes: lines, code: exit });
    }
    Err(if exit == NO_DAEMON { Failure::NoDaemon(lines) } else { Failure::Usage(lines) })
}

/// An error as scripts read it.
fn as_json_error(code: &str, message: &str) -> String {
    format!("{:#}\n", json!({ "error": { "code": code, "message": message } }))
}

/// The shares in an answer.
fn shares(answer: &Tree) -> BTreeMap<String, ShareStatus> {
    record::take(answer, "shares")
}

/// The peers in an answer.
fn peers(answer: &Tree) -> BTreeMap<String, PeerStatus> {
    record::take(answer, "peers")
}

/// A refusal as a failure, or with its code as JSON for scripts.
pub fn refused(refusal: Refusal, as_json: bool) -> Result<Done, Failure> {
    let (code, message) = match refusal {
        Refusal::Said { code, message } => (code, message),
        Refusal::Broken(message) => ("system".into(), message),
    };
    if as_json {
        let exit = if code == "argument" { 2 } else { 1 };
        return Ok(Done { text: as_json_error(&code, &message).into(), notes: vec![message], code: exit });
    }
    Err(if code == "argument" { Failure::usage(message) } else { Failure::failed(message) })
}

fn answered(invocation: &Invocation, op: &Op, answer: &Value, database: &Path) -> Result<Done, Failure> {
    let tree = json::from_json(answer);
    let look = look(invocation);
    let done = acts::done(op, &tree, &look);
    if invocation.has(Opt::Json) {
        return Ok(Done { text: format!("{answer:#}\n").into(), code: done.1, ..Done::default() });
    }
    let text = match op.name {
        "show" => return content(&tree, database),
        // A diff is content too: what a terminal must not get is left out only there.
        "diff" if tree.get("preview").is_some() => done.0,
        "diff" => return Ok(Done::text(history::diff(&tree, &look))),
        "status" => status::status(&DaemonStatus::from_tree(&tree).unwrap_or_default(), &look),
        "peers" => status::peers(&peers(&tree), &look),
        "shares" => status::shares(&shares(&tree), &look),
        "history" => history::log(&tree, &look),
        // Names in it are escaped, and a program reads it.
        "metrics" => return Ok(Done::text(tree.text("text"))),
        _ => done.0,
    };
    Ok(Done { text: render::lines(&text).into(), code: done.1, ..Done::default() })
}

/// The content of a previous version, byte for byte.
fn content(answer: &Tree, database: &Path) -> Result<Done, Failure> {
    let named = match answer.get("object") {
        Some(Tree::Text(text)) => escape::unescape(text),
        _ => None,
    };
    let Some(named) = named else {
        return Err(Failure::failed("the daemon did not report where the content is stored"));
    };
    // A relative path is relative to the directory of the database.
    let path = Place::new(database).directory().join(std::ffi::OsString::from_vec(named));
    // The text of a symlink is stored in the history as a file too.
    let read = local::read(&path, u64::MAX - 1);
    let bytes =
        read.map_err(|error| Failure::failed(format!("cannot read {}: {}", path.display(), place::plain(&error))))?;
    if matches!(answer.get("digest"), Some(Tree::Text(digest)) if *digest != Digest::of(&bytes).to_hex()) {
        return Err(Failure::failed(format!("{} is damaged: its digest differs", path.display())));
    }
    Ok(Done::text(bytes))
}

/// The form of answers on this terminal.
pub fn look(invocation: &Invocation) -> Look {
    let terminal = io::stdout().is_terminal();
    Look {
        now: env::Env::new().now().wall.as_secs(),
        zone: Zone::local(),
        verbose: invocation.has(Opt::Verbose),
        quiet: invocation.has(Opt::Quiet),
        // https://no-color.org: any value switches colours off.
        colour: terminal
            && env::variable("NO_COLOR").is_none()
            && env::variable("TERM").is_none_or(|term| term != "dumb"),
    }
}
