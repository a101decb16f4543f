//! From an invocation to a question for the running daemon.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::args::Invocation;
use crate::cli::table::{Opt, Verb};
use crate::config::values;
use crate::model::{escape, limits};

/// Versions that `log` lists when nobody says how many.
const LOG_LINES: u64 = 50;

/// How long an answer may take that the daemon has in memory, or needs a few reads of the disk for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is asked.
    pub method: &'static str,
    /// Its arguments.
    pub params: Value,
    /// How long to wait for the answer.
    pub patience: Duration,
}

impl Request {
    /// A question without arguments.
    pub fn plain(method: &'static str) -> Request {
        Request { method, params: json!({}), patience: PATIENCE }
    }
}

/// What a word may name on the daemon that is asked.
#[derive(Debug, Default)]
pub struct Known {
    /// Its shares, where [`needs_shares`].
    pub shares: Vec<String>,
    /// Its peers, where [`needs_peers`].
    pub peers: Peers,
}

/// Everything that peers can be named by.
#[derive(Debug, Default)]
pub struct Peers {
    /// Their sections, names and addresses.
    pub names: Vec<String>,
    /// Their ids, of which a beginning is enough.
    pub ids: Vec<String>,
}

impl Peers {
    /// Those in an answer of the daemon.
    pub fn of(answer: &Value) -> Peers {
        let mut peers = Peers::default();
        let listed = answer.get("peers").and_then(Value::as_object).into_iter().flatten();
        for (label, peer) in listed {
            let text = |key: &str| peer.get(key).and_then(Value::as_str).map(str::to_string);
            peers.names.push(label.clone());
            peers.names.extend(text("name").into_iter().chain(text("address")));
            peers.ids.extend(text("node"));
        }
        peers
    }

    /// Whether a word means one of them; the daemon says which.
    fn include(&self, word: &str) -> bool {
        let begins = |id: &String| word.len() >= 8 && id.starts_with(&word.to_ascii_lowercase());
        self.names.iter().any(|name| name == word) || self.ids.iter().any(begins)
    }
}

/// Whether the question depends on which shares there are: `approve X` means the share X where there is one.
pub fn needs_shares(invocation: &Invocation) -> bool {
    matches!(invocation.verb, Verb::Approve | Verb::Reject) && !invocation.operands.is_empty()
}

/// Whether the question depends on which peers there are: `diff X` means the peer X where there is one.
pub fn needs_peers(invocation: &Invocation) -> bool {
    invocation.verb == Verb::Diff
}

/// The question that a command asks.
///
/// # Errors
/// The options contradict each other, or make no sense.
pub fn request(invocation: &Invocation, known: &Known) -> Result<Request, String> {
    let mut params = Map::new();
    let mut patience = PATIENCE;
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            params.insert(name.into(), value);
        }
    };
    let word = |index: usize| invocation.operand(index).map(|word| escape::as_typed(word.as_bytes()));
    let path = |index: usize| invocation.operand(index).map(|word| path(word, &Place::here()));
    let share = invocation.last(Opt::Share).map(|share| Value::from(escape::as_typed(share.as_bytes())));
    let method = match invocation.verb {
        Verb::Status => "status",
        Verb::Peers => "peers",
        Verb::Shares => "shares",
        Verb::Metrics => "metrics",
        Verb::Identity => "identity",
        Verb::Sync => {
            let (dry, wait) = (invocation.has(Opt::DryRun), !invocation.has(Opt::NoWait));
            set("peer", word(0).map(Value::from));
            set("share", share);
            set("dry_run", dry.then_some(Value::Bool(true)));
            set("wait", (wait && !dry).then_some(Value::Bool(true)));
            patience += limits::SYNC_TIME;
            "sync"
        }
        Verb::Pause | Verb::Resume => {
            set("peer", word(0).map(Value::from));
            set("share", share);
            set("reason", invocation.last(Opt::Reason).map(|reason| Value::from(reason.to_string_lossy())));
            if let Some(time) = invocation.last(Opt::For) {
                let time = time.to_str().and_then(values::duration).filter(|time| !time.is_zero());
                let time = time.ok_or("--for needs a time: seconds, or 5m, 2h, 1d")?;
                set("for", Some(Value::from(time.as_secs())));
            }
            if invocation.verb == Verb::Pause { "pause" } else { "resume" }
        }
        Verb::Approve | Verb::Reject => {
            let (named, path) = match (invocation.operand(0), path(0)) {
                (Some(word), _) if known.shares.iter().any(|share| word.to_str() == Some(share)) => {
                    (word.to_str().map(Value::from), None)
                }
                (_, path) => (None, path.map(Value::from)),
            };
            if named.is_some() && share.is_some() && named != share {
                return Err("two shares are named".into());
            }
            set("share", named.or(share));
            set("path", path);
            let picks = [(Opt::Mine, "mine"), (Opt::Theirs, "theirs"), (Opt::Newest, "newest")];
            let given: Vec<&str> =
                picks.iter().filter(|(opt, _)| invocation.has(*opt)).map(|(_, word)| *word).collect();
            match given[..] {
                [] => {}
                [pick] => set("pick", Some(pick.into())),
                _ => return Err("--mine, --theirs and --newest exclude each other".into()),
            }
            set("dry_run", invocation.has(Opt::DryRun).then_some(Value::Bool(true)));
            if invocation.verb == Verb::Approve { "approve" } else { "reject" }
        }
        Verb::Log => {
            let limit = match invocation.last(Opt::Limit).map(OsStr::to_str) {
                None => LOG_LINES,
                Some(text) => text
                    .and_then(|text| text.parse().ok())
                    .filter(|&limit| limit > 0)
                    .ok_or("--limit needs a number from 1")?,
            };
            set("path", path(0).map(Value::from));
            set("share", share);
            let text = |opt| invocation.last(opt).map(|text| Value::from(escape::as_typed(text.as_bytes())));
            set("why", text(Opt::Why));
            set("node", text(Opt::Node));
            set("limit", Some(limit.into()));
            "history"
        }
        Verb::Show => {
            set("path", path(0).map(Value::from));
            "show"
        }
        Verb::Diff => {
            let peer = |index: usize| word(index).filter(|word| known.peers.include(word));
            match (peer(0), invocation.operand(1)) {
                (Some(peer), None) => {
                    set("peer", Some(peer.into()));
                    set("share", share);
                    set("dry_run", Some(Value::Bool(true)));
                    "sync"
                }
                _ => {
                    set("path", path(0).map(Value::from));
                    match peer(1) {
                        Some(peer) => set("peer", Some(peer.into())),
                        None => set("with", path(1).map(Value::from)),
                    }
                    "diff"
                }
            }
        }
        Verb::Restore => {
            set("path", path(0).map(Value::from));
            "restore"
        }
        Verb::Confirm | Verb::Rollback => {
            set("share", word(0).map(Value::from));
            if invocation.verb == Verb::Confirm { "confirm" } else { "rollback" }
        }
        Verb::Undo => {
            let run = word(0).and_then(|text| text.parse::<u64>().ok()).ok_or("undo needs the number of a run")?;
            set("run", Some(run.into()));
            "undo"
        }
        Verb::Forget => {
            set("path", path(0).map(Value::from));
            "forget"
        }
        Verb::Accept => {
            set("peer", word(0).map(Value::from));
            "accept"
        }
        Verb::PeersForget => {
            set("peer", word(0).map(Value::from));
            "forget_peer"
        }
        Verb::Invite => "invite",
        Verb::Init => "init",
        Verb::Daemon
        | Verb::Listen
        | Verb::Connect
        | Verb::Scan
        | Verb::Genkey
        | Verb::Join
        | Verb::Check
        | Verb::MergeFile
        | Verb::Help => unreachable!("{:?} asks nobody", invocation.verb),
    };
    Ok(Request { method, params: Value::Object(params), patience })
}

/// Where a typed path is relative to, and what is there.
struct Place<'a> {
    current: Option<PathBuf>,
    exists: &'a dyn Fn(&Path) -> bool,
}

impl Place<'_> {
    fn here() -> Place<'static> {
        Place { current: std::env::current_dir().ok(), exists: &|path| std::fs::symlink_metadata(path).is_ok() }
    }
}

/// A path for the daemon, as escaped text.
///
/// What comes out of `status` goes in again, so text is taken to be escaped. What the shell completed is not: a path
/// that begins with `./` or `../`, and an absolute one that exists, is taken as it stands.
fn path(word: &OsStr, place: &Place<'_>) -> String {
    let bytes = word.as_bytes();
    let relative = matches!(bytes, b"." | b"..") || bytes.starts_with(b"./") || bytes.starts_with(b"../");
    if let (true, Some(current)) = (relative, &place.current) {
        return escape::escape(tidy(&current.join(word)).as_os_str().as_bytes());
    }
    let bare = Path::new(OsStr::from_bytes(without_version(bytes)));
    if bare.is_absolute() && (place.exists)(bare) {
        return escape::escape(tidy(Path::new(word)).as_os_str().as_bytes());
    }
    escape::as_typed(bytes)
}

/// The path before `@N`.
fn without_version(bytes: &[u8]) -> &[u8] {
    match bytes.iter().rposition(|&b| b == b'@') {
        Some(at) if bytes[at + 1..].iter().all(u8::is_ascii_digit) => &bytes[..at],
        _ => bytes,
    }
}

/// A path without `.` and `..`, as far as names alone can tell.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Wish, parse};

    fn asked(line: &str) -> Result<(&'static str, Value), String> {
        match parse(line.split_whitespace().map(Into::into)).unwrap() {
            Wish::Run(invocation) => {
                let known = Known {
                    shares: vec!["main".into(), "vpn".into()],
                    peers: Peers {
                        names: vec!["r2".into(), "10.0.0.9:4321".into()],
                        ids: vec!["5ac1f00d11223344".into()],
                    },
                };
                request(&invocation, &known).map(|request| (request.method, request.params))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_command_asks_its_question() {
        for (line, method, params) in [
            ("status", "status", json!({})),
            ("sync", "sync", json!({"wait": true})),
            ("sync r2 --share vpn --no-wait", "sync", json!({"peer": "r2", "share": "vpn"})),
            ("sync --dry-run", "sync", json!({"dry_run": true})),
            ("pause --share vpn", "pause", json!({"share": "vpn"})),
            ("resume r2", "resume", json!({"peer": "r2"})),
            ("approve", "approve", json!({})),
            ("approve vpn", "approve", json!({"share": "vpn"})),
            ("approve dhcp --theirs", "approve", json!({"path": "dhcp", "pick": "theirs"})),
            ("approve vpn --dry-run", "approve", json!({"share": "vpn", "dry_run": true})),
            ("reject --dry-run", "reject", json!({"dry_run": true})),
            ("approve main:vpn", "approve", json!({"path": "main:vpn"})),
            ("reject --share main", "reject", json!({"share": "main"})),
            ("log dhcp -n 3", "history", json!({"path": "dhcp", "limit": 3})),
            ("log", "history", json!({"limit": 50})),
            ("log --why conflict --node r2", "history", json!({"why": "conflict", "node": "r2", "limit": 50})),
            ("show dhcp@4", "show", json!({"path": "dhcp@4"})),
            ("diff dhcp@4 dhcp@5", "diff", json!({"path": "dhcp@4", "with": "dhcp@5"})),
            ("diff dhcp@4 r2", "diff", json!({"path": "dhcp@4", "peer": "r2"})),
            ("diff dhcp r3", "diff", json!({"path": "dhcp", "with": "r3"})),
            ("diff dhcp 5AC1F00D", "diff", json!({"path": "dhcp", "peer": "5AC1F00D"})),
            ("diff r2", "sync", json!({"peer": "r2", "dry_run": true})),
            (
                "diff 10.0.0.9:4321 --share vpn",
                "sync",
                json!({"peer": "10.0.0.9:4321", "share": "vpn", "dry_run": true}),
            ),
            ("diff r2 dhcp@3", "diff", json!({"path": "r2", "with": "dhcp@3"})),
            ("restore main:dhcp@4", "restore", json!({"path": "main:dhcp@4"})),
            ("forget dhcp", "forget", json!({"path": "dhcp"})),
            ("accept", "accept", json!({})),
            ("peers forget r2", "forget_peer", json!({"peer": "r2"})),
        ] {
            assert_eq!(asked(line), Ok((method, params)), "{line}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for line in ["approve --mine --theirs", "approve vpn --share main", "log -n none", "log -n 0"] {
            assert!(asked(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_path_means_what_status_prints_or_what_the_shell_completed() {
        let place = Place { current: Some("/etc/config".into()), exists: &|path| path == Path::new("/etc/a\\b") };
        for (typed, meant) in [
            (&b"dhcp"[..], "dhcp"),
            (b"main:dhcp@3", "main:dhcp@3"),
            (b"a\\\\b", "a\\\\b"),
            (b"a\xff", "a\\xff"),
            (b"/etc/a\\b", "/etc/a\\\\b"),
            (b"/etc/a\\b@7", "/etc/a\\\\b@7"),
            (b"/gone/a\\x41", "/gone/a\\x41"),
            (b"./dhcp@12", "/etc/config/dhcp@12"),
            (b"../passwd", "/etc/passwd"),
            (b".hidden", ".hidden"),
        ] {
            assert_eq!(path(OsStr::from_bytes(typed), &place), meant, "{}", String::from_utf8_lossy(typed));
        }
    }
}
