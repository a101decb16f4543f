//! Makes a request to the running daemon from an invocation of one of the operations in [`crate::ops`].

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::args::Invocation;
use crate::cli::table::Opt;
use crate::config::values;
use crate::model::escape;
use crate::node::api::status::PeerStatus;
use crate::ops::{Argument, Form, Kind, Op, Or};

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
    /// Everything that these peers can be named by.
    pub fn of(listed: &BTreeMap<String, PeerStatus>) -> Peers {
        let mut peers = Peers::default();
        for (label, peer) in listed {
            peers.names.push(label.clone());
            peers.names.extend(peer.name.iter().chain(&peer.address).cloned());
            peers.ids.extend(peer.node.clone());
        }
        peers
    }

    /// Whether a word means one of them; the daemon says which.
    fn include(&self, word: &str) -> bool {
        let begins = |id: &String| word.len() >= 8 && id.starts_with(&word.to_ascii_lowercase());
        self.names.iter().any(|name| name == word) || self.ids.iter().any(begins)
    }
}

/// Whether the question depends on which shares there are: `approve X` means the share X if there is one.
pub fn needs_shares(invocation: &Invocation, op: &Op) -> bool {
    !invocation.operands.is_empty() && has_operand(op, Or::Share)
}

/// Whether the question depends on which peers there are: `diff X` means the peer X if there is one.
pub fn needs_peers(invocation: &Invocation, op: &Op) -> bool {
    !invocation.operands.is_empty() && has_operand(op, Or::Peer)
}

fn has_operand(op: &Op, wanted: Or) -> bool {
    op.operands().any(|argument| matches!(argument.form, Form::Operand { or, .. } if or == wanted))
}

/// The request that a command makes.
///
/// # Errors
/// The options contradict each other, or make no sense.
pub fn request(invocation: &Invocation, op: &'static Op, known: &Known) -> Result<Request, String> {
    let mut params = Map::new();
    let mut operands = invocation.operands.iter().map(|word| word.as_os_str()).peekable();
    for argument in op.arguments {
        let given = match argument.form {
            Form::Operand { .. } if argument.kind == Kind::Texts => {
                let words = operands.by_ref().map(|word| Value::from(escape::as_typed(word.as_bytes())));
                Some(words.collect::<Vec<_>>()).filter(|words| !words.is_empty()).map(|all| (argument.name, all.into()))
            }
            Form::Operand { or, .. } => match operands.next() {
                Some(word) => Some(operand(argument, or, word, operands.peek().is_none(), known)?),
                None => None,
            },
            Form::Option { .. } | Form::Unless(_) | Form::Each | Form::None => {
                option(argument, invocation)?.map(|value| (argument.name, value))
            }
        };
        let Some((name, value)) = given else { continue };
        match params.insert(name.into(), value.clone()) {
            Some(other) if other != value => return Err(format!("two {name}s are named")),
            _ => {}
        }
    }
    Ok(Request { method: op.name, params: Value::Object(params), patience: PATIENCE + op.takes })
}

/// The argument that an operand gives: its own, or the share or peer that it names instead.
fn operand(
    argument: &Argument,
    or: Or,
    word: &OsStr,
    is_last: bool,
    known: &Known,
) -> Result<(&'static str, Value), String> {
    let text = escape::as_typed(word.as_bytes());
    match or {
        Or::Share if known.shares.contains(&text) => return Ok(("share", text.into())),
        // The first of two words is a path, whatever it is called.
        Or::Peer if is_last && known.peers.include(&text) => return Ok(("peer", text.into())),
        Or::Share | Or::Peer | Or::Nothing => {}
    }
    let Form::Operand { label, .. } = argument.form else { unreachable!("only operands are words") };
    Ok((argument.name, value(argument.kind, label, word)?))
}

/// The value that options give to an argument.
fn option(argument: &Argument, invocation: &Invocation) -> Result<Option<Value>, String> {
    Ok(match (argument.form, argument.kind) {
        (Form::Option { long, .. }, Kind::Flag) => invocation.has(Opt::Ask(long)).then_some(Value::Bool(true)),
        (Form::Option { long, .. }, Kind::Texts) => {
            let given = invocation.all(Opt::Ask(long)).map(|text| escape::as_typed(text.as_bytes()).into());
            let given: Vec<Value> = given.collect();
            (!given.is_empty()).then_some(Value::Array(given))
        }
        (Form::Option { long, .. }, kind) => match invocation.last(Opt::Ask(long)) {
            Some(text) => Some(value(kind, &format!("--{long}"), text)?),
            None => None,
        },
        (Form::Unless(long), _) => (!invocation.has(Opt::Ask(long))).then_some(Value::Bool(true)),
        (Form::Each, Kind::Word(choices)) => {
            let given: Vec<&str> =
                choices.iter().map(|choice| choice.word).filter(|word| invocation.has(Opt::Ask(word))).collect();
            match given[..] {
                [] => None,
                [word] => Some(word.into()),
                [first, second, ..] => return Err(format!("--{first} and --{second} exclude each other")),
            }
        }
        (Form::Each | Form::Operand { .. } | Form::None, _) => None,
    })
}

/// The value of an argument; `given` names it in messages.
fn value(kind: Kind, given: &str, text: &OsStr) -> Result<Value, String> {
    let positive = |text: &str| text.parse::<u64>().ok().filter(|&number| number > 0);
    Ok(match kind {
        Kind::Path => path(text, &Place::here()).into(),
        Kind::Number => {
            text.to_str().and_then(positive).ok_or_else(|| format!("{given} needs to be a number from 1"))?.into()
        }
        Kind::Seconds => {
            let time = text.to_str().and_then(values::duration).filter(|time| !time.is_zero());
            time.ok_or_else(|| format!("{given} needs a time: seconds, or 5m, 2h, 1d"))?.as_secs().into()
        }
        Kind::Text | Kind::Word(_) | Kind::Texts | Kind::Flag => escape::as_typed(text.as_bytes()).into(),
    })
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
    use crate::cli::table::Verb;

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
                let Verb::Ask(op) = invocation.verb else { panic!("{line}") };
                request(&invocation, op, &known).map(|request| (request.method, request.params))
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
            ("sync --dry-run", "sync", json!({"dry_run": true, "wait": true})),
            ("pause r2 --for 2h --reason x", "pause", json!({"peer": "r2", "for": 7200, "reason": "x"})),
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
            ("log", "history", json!({})),
            ("log --why conflict --node r2", "history", json!({"why": "conflict", "node": "r2"})),
            ("show dhcp@4", "show", json!({"path": "dhcp@4"})),
            ("diff dhcp@4 dhcp@5", "diff", json!({"path": "dhcp@4", "with": "dhcp@5"})),
            ("diff dhcp@4 r2", "diff", json!({"path": "dhcp@4", "peer": "r2"})),
            ("diff dhcp r3", "diff", json!({"path": "dhcp", "with": "r3"})),
            ("diff dhcp 5AC1F00D", "diff", json!({"path": "dhcp", "peer": "5AC1F00D"})),
            ("diff r2", "diff", json!({"peer": "r2"})),
            ("diff 10.0.0.9:4321 --share vpn", "diff", json!({"peer": "10.0.0.9:4321", "share": "vpn"})),
            ("diff dhcp@4 --options", "diff", json!({"path": "dhcp@4", "options": true})),
            ("diff r2 dhcp@3", "diff", json!({"path": "r2", "with": "dhcp@3"})),
            ("restore main:dhcp@4", "restore", json!({"path": "main:dhcp@4"})),
            (
                "restore dhcp@4 --option lan.limit --option @host[name=a].ip",
                "restore",
                json!({"path": "dhcp@4", "option": ["lan.limit", "@host[name=a].ip"]}),
            ),
            ("forget dhcp", "forget", json!({"path": "dhcp"})),
            ("undo 7", "undo", json!({"run": 7})),
            ("local network", "local", json!({"path": "network"})),
            ("local --share network.lan.* --yes", "local", json!({"pattern": "network.lan.*", "yes": true})),
            ("confirm vpn", "confirm", json!({"share": "vpn"})),
            ("accept", "accept", json!({})),
            ("peers forget r2", "forget_peer", json!({"peer": "r2"})),
        ] {
            assert_eq!(asked(line), Ok((method, params)), "{line}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "approve --mine --theirs",
            "approve vpn --share main",
            "log -n none",
            "log -n 0",
            "undo x",
            "pause --for soon",
        ] {
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
