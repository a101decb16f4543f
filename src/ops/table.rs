//! The rows.

use std::time::Duration;

use crate::model::{Map, limits};
use crate::node::api::{Command, CommitRequest, Fault, Reply};
use crate::ops::{Access, Argument, Choice, Form, Kind, Op, Or, Read, Request};

/// Versions that `history` lists if the caller does not say how many.
const LISTED: usize = 100;

const AT_ONCE: Duration = Duration::ZERO;

/// The longest that a commit waits for its end: prepared, applied for `confirm`, kept by hand.
const COMMIT_TAKES: Duration = Duration::from_secs(limits::CONFIRM_MAX.as_secs() + limits::COMMIT_BY_HAND as u64 + 120);

const NOTHING: &[Argument] = &[];

const fn operand(name: &'static str, kind: Kind, label: &'static str, required: bool, help: &'static str) -> Argument {
    Argument { name, kind, form: Form::Operand { label, required, or: Or::Nothing }, help, on_ubus: true }
}

const fn option(
    name: &'static str,
    kind: Kind,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Argument {
    Argument { name, kind, form: Form::Option { short: None, long: name, value, default }, help, on_ubus: true }
}

/// An argument that the command line does not have.
const fn plain(name: &'static str, kind: Kind, help: &'static str) -> Argument {
    Argument { name, kind, form: Form::None, help, on_ubus: true }
}

const SHARE: Argument =
    option("share", Kind::Text, "NAME", "all; where one must be named, the only one", "only this share");

const PEER: Argument =
    operand("peer", Kind::Text, "[PEER]", false, "a peer, by its name, its address, or the start of its node id");

const DRY_RUN: Argument = Argument {
    name: "dry_run",
    kind: Kind::Flag,
    form: Form::Option { short: None, long: "dry-run", value: "", default: "off" },
    help: "preview what would change here and on the peers, path by path, without changing anything",
    on_ubus: true,
};

const PATH: &str = "SHARE:PATH, an absolute path, a path that begins with ./ or ../ (relative to the current directory), \
or a path in the only share, written as status prints it";

const VERSION: &str = "version N of a path, as `owsync log` numbers them; without @N, the newest previous version. PATH is \
SHARE:PATH, an absolute path, a path that begins with ./ or ../ (relative to the current directory), or a path in the \
only share, written as status prints it";

const NUMBER: Argument = plain("number", Kind::Number, "the number of a version, instead of a path");

const IN_SHARE: Argument = Argument { on_ubus: false, ..plain("share", Kind::Text, "the share of the path") };

/// A held share, or paths in it.
const HELD: Argument = Argument {
    name: "path",
    kind: Kind::Path,
    form: Form::Operand { label: "[SHARE|PATH]", required: false, or: Or::Share },
    help: PATH,
    on_ubus: true,
};

const UNCONFIRMED: Argument = operand("share", Kind::Text, "[SHARE]", false, "only in this share");

const ADDRESS: Argument =
    plain("address", Kind::Texts, "addresses of the reference, if not those that it found itself");

const PICK: &[Choice] = &[
    Choice { word: "mine", help: "at first contact, where both sides have a path: keep this node's version" },
    Choice { word: "theirs", help: "as --mine, but take the peer's version" },
    Choice { word: "newest", help: "as --mine, but take the newer version of each path" },
];

const TRIAL: &str = "A change of network, wireless, firewall or dropbear is rolled back automatically unless the node that \
sent it can still reach this one within the time that the option confirm sets.";

/// Every operation, in the order of help.
pub const OPS: &[Op] = &[
    Op {
        name: "status",
        command: Some("status"),
        help: "show whether everything is in sync, since when, and if not, why",
        detail: "Exits 0 if everything is in sync, 1 if not, 3 if no daemon runs that this user may ask. -q prints only the first \
sentence; -v prints whole lists, events and counters.",
        access: Access::Read,
        arguments: NOTHING,
        takes: AT_ONCE,
        read: |_| Ok(Request::Read(Read::Status)),
    },
    Op {
        name: "peers",
        command: Some("peers"),
        help: "list peers and their sync state",
        detail: "",
        access: Access::Read,
        arguments: NOTHING,
        takes: AT_ONCE,
        read: |_| Ok(Request::Read(Read::Peers)),
    },
    Op {
        name: "forget_peer",
        command: Some("peers forget"),
        help: "forget a peer that is gone for good",
        detail: "Deletions no longer wait for it. Remove it from the configuration too.",
        access: Access::User,
        arguments: &[operand("peer", Kind::Text, "PEER", true, "the peer, by its name or the start of its node id")],
        takes: AT_ONCE,
        read: |given| match given.text("peer")? {
            Some(peer) => Ok(Request::Command(Command::ForgetPeer { peer: peer.into() })),
            None => Err(Reply::failed(Fault::Argument, "name the peer to forget")),
        },
    },
    Op {
        name: "accept",
        command: Some("accept"),
        help: "accept a peer that is waiting to be accepted",
        detail: "",
        access: Access::User,
        arguments: &[operand(
            "peer",
            Kind::Text,
            "[PEER]",
            false,
            "the peer, by its name, its address, or the start of its public key, as `owsync status` lists waiting peers; \
not needed if only one is waiting",
        )],
        takes: AT_ONCE,
        read: |given| Ok(Request::Command(Command::Accept { peer: given.text("peer")?.map(str::to_string) })),
    },
    Op {
        name: "shares",
        command: Some("shares"),
        help: "list shares and their sync state",
        detail: "",
        access: Access::Read,
        arguments: NOTHING,
        takes: AT_ONCE,
        read: |_| Ok(Request::Read(Read::Shares)),
    },
    Op {
        name: "files",
        command: None,
        help: "list the synced paths of a share",
        detail: "",
        access: Access::User,
        arguments: &[
            plain("share", Kind::Text, "the share; not needed if there is only one"),
            plain("from", Kind::Path, "the path to begin with"),
        ],
        takes: AT_ONCE,
        read: |given| {
            let (share, from) = given.place("from")?;
            Ok(Request::Command(Command::Files { share, from }))
        },
    },
    Op {
        name: "local",
        command: Some("local"),
        help: "list the options and sections that belong to this node, or share their values",
        detail: "A local option is set by `list local PATTERN` of a share, here or on another node. --share gives the values of \
this node to all others and ends that the options are local; without --yes it lists what would be shared.",
        access: Access::User,
        arguments: &[
            operand("path", Kind::Path, "[PATH]", false, PATH),
            Argument {
                name: "pattern",
                kind: Kind::Text,
                form: Form::Option { short: None, long: "share", value: "PATTERN", default: "list only" },
                help: "share what this pattern covers, as network.lan.ipaddr",
                on_ubus: true,
            },
            Argument {
                name: "yes",
                kind: Kind::Flag,
                form: Form::Option { short: None, long: "yes", value: "", default: "only list what would be shared" },
                help: "share the values now",
                on_ubus: true,
            },
            Argument {
                name: "all",
                kind: Kind::Flag,
                form: Form::Option { short: None, long: "all", value: "", default: "only what is local" },
                help: "list the options that are shared too",
                on_ubus: true,
            },
            IN_SHARE,
        ],
        takes: AT_ONCE,
        read: |given| {
            let ((share, path), yes, all) = (given.place("path")?, given.flag("yes")?, given.flag("all")?);
            Ok(Request::Command(match given.text("pattern")? {
                Some(pattern) => Command::ShareLocal { pattern: pattern.into(), yes },
                None => Command::Local { share, path, all },
            }))
        },
    },
    Op {
        name: "metrics",
        command: Some("metrics"),
        help: "print counters in the text format of Prometheus",
        detail: "The option metrics_file writes the same text to a file, for the textfile collector of a node exporter.",
        access: Access::User,
        arguments: NOTHING,
        takes: AT_ONCE,
        read: |_| Ok(Request::Command(Command::Metrics)),
    },
    Op {
        name: "sync",
        command: Some("sync"),
        help: "scan every share and exchange changes now, with all peers or one",
        detail: "Exits 0 if everything is in sync; otherwise exits 1 and lists what is missing.",
        access: Access::User,
        arguments: &[
            PEER,
            DRY_RUN,
            // Callers on ubus give up after 20 or 30 s; an event reports the end.
            Argument {
                name: "wait",
                kind: Kind::Flag,
                form: Form::Unless("no-wait"),
                help: "return at once instead of waiting until everything is in sync or 30 s have passed",
                on_ubus: false,
            },
            SHARE,
        ],
        takes: limits::SYNC_TIME,
        read: |given| {
            Ok(Request::Command(Command::Sync {
                peer: given.peer()?,
                share: given.share()?,
                dry_run: given.flag("dry_run")?,
                wait: given.flag("wait")?,
            }))
        },
    },
    Op {
        name: "pause",
        command: Some("pause"),
        help: "stop syncing with a peer, in a share, or at all",
        detail: "Syncing stays paused across restarts, until `owsync resume` or for as long as --for says. Status shows the reason.",
        access: Access::User,
        arguments: &[
            PEER,
            option("reason", Kind::Text, "TEXT", "none", "reason that status shows"),
            option("for", Kind::Seconds, "TIME", "until `owsync resume`", "duration: seconds, or 5m, 2h, 1d"),
            SHARE,
        ],
        takes: AT_ONCE,
        read: |given| {
            Ok(Request::Command(Command::Pause {
                peer: given.peer()?,
                share: given.share()?,
                reason: given.text("reason")?.map(str::to_string),
                seconds: given.number("for")?,
            }))
        },
    },
    Op {
        name: "resume",
        command: Some("resume"),
        help: "resume syncing",
        detail: "",
        access: Access::User,
        arguments: &[PEER, SHARE],
        takes: AT_ONCE,
        read: |given| Ok(Request::Command(Command::Resume { peer: given.peer()?, share: given.share()? })),
    },
    Op {
        name: "approve",
        command: Some("approve"),
        help: "approve a held share or held paths",
        detail: "",
        access: Access::User,
        arguments: &[
            HELD,
            Argument {
                name: "pick",
                kind: Kind::Word(PICK),
                form: Form::Each,
                help: "which side wins at first contact",
                on_ubus: true,
            },
            DRY_RUN,
            SHARE,
        ],
        takes: AT_ONCE,
        read: |given| {
            let (share, path) = given.place("path")?;
            Ok(Request::Command(Command::Approve { share, path, pick: given.pick()?, dry_run: given.flag("dry_run")? }))
        },
    },
    Op {
        name: "reject",
        command: Some("reject"),
        help: "reject a held share or held paths, and keep or restore the state of the other nodes",
        detail: "",
        access: Access::User,
        arguments: &[HELD, DRY_RUN, SHARE],
        takes: AT_ONCE,
        read: |given| {
            let (share, path) = given.place("path")?;
            Ok(Request::Command(Command::Reject { share, path, dry_run: given.flag("dry_run")? }))
        },
    },
    Op {
        name: "confirm",
        command: Some("confirm"),
        help: "confirm applied changes that are awaiting confirmation",
        detail: TRIAL,
        access: Access::User,
        arguments: &[UNCONFIRMED],
        takes: AT_ONCE,
        read: |given| Ok(Request::Command(Command::Confirm { share: given.share()? })),
    },
    Op {
        name: "rollback",
        command: Some("rollback"),
        help: "roll back applied changes that are awaiting confirmation; works without a daemon too, as at boot",
        detail: TRIAL,
        access: Access::User,
        arguments: &[UNCONFIRMED],
        takes: AT_ONCE,
        read: |given| Ok(Request::Command(Command::Rollback { share: given.share()? })),
    },
    Op {
        name: "history",
        command: Some("log"),
        help: "list previous versions: number, time, node, reason, path",
        detail: "Below them it lists the last changes made here that were sent to peers since the daemon started.",
        access: Access::Read,
        arguments: &[
            operand("path", Kind::Path, "[PATH]", false, PATH),
            option(
                "why",
                Kind::Text,
                "REASON",
                "all reasons",
                "only versions kept for this reason: replaced, edited, deleted, conflict, first-contact, given-up, created, \
unconfirmed, rolled-back, rejected or local",
            ),
            option(
                "node",
                Kind::Text,
                "NODE",
                "all nodes",
                "only versions that a change of this node replaced, by its name or the start of its node id",
            ),
            Argument {
                name: "limit",
                kind: Kind::Number,
                form: Form::Option { short: Some('n'), long: "limit", value: "N", default: "100" },
                help: "list at most N versions, the newest",
                on_ubus: true,
            },
            SHARE,
        ],
        takes: AT_ONCE,
        read: |given| {
            let (share, path) = given.place("path")?;
            Ok(Request::Command(Command::Log {
                share,
                path,
                why: given.why()?,
                node: given.text("node")?.map(str::to_string),
                limit: given.number("limit")?.map_or(LISTED, |n| usize::try_from(n).unwrap_or(LISTED)),
            }))
        },
    },
    Op {
        name: "show",
        command: Some("show"),
        help: "print a previous version to standard output",
        detail: "",
        access: Access::User,
        arguments: &[operand("path", Kind::Path, "PATH[@N]", true, VERSION), NUMBER, IN_SHARE],
        takes: AT_ONCE,
        read: |given| Ok(Request::Command(Command::Show { version: given.version()? })),
    },
    Op {
        name: "diff",
        command: Some("diff"),
        help: "compare a previous version with the file, with another version, or with a peer's file",
        detail: "Without @N and with a PEER, the file here is compared with the peer's. A PEER alone previews path by path what \
differs and what would change, as `owsync sync PEER --dry-run` does, with the options of UCI packages. PEER is a name that `owsync peers` prints; for a file \
of the same name write ./NAME or SHARE:NAME.",
        access: Access::User,
        arguments: &[
            Argument {
                name: "path",
                kind: Kind::Path,
                form: Form::Operand { label: "PATH[@N]|PEER", required: true, or: Or::Peer },
                help: VERSION,
                on_ubus: true,
            },
            NUMBER,
            Argument {
                name: "with",
                kind: Kind::Path,
                form: Form::Operand { label: "[PATH@M|PEER]", required: false, or: Or::Peer },
                help: "the version or file to compare with; the file itself if left out",
                on_ubus: true,
            },
            plain("peer", Kind::Text, "the peer whose file to compare with"),
            Argument {
                name: "options",
                kind: Kind::Flag,
                form: Form::Option { short: None, long: "options", value: "", default: "compare lines" },
                help: "compare UCI packages by option; comments, quotes and the order of options are no difference",
                on_ubus: true,
            },
            Argument { on_ubus: false, ..SHARE },
        ],
        takes: limits::SYNC_TIME,
        read: |given| {
            Ok(Request::Command(match (given.peer()?, given.text("path")?) {
                (Some(peer), None) if given.number("number")?.is_none() => {
                    Command::Sync { peer: Some(peer), share: given.share()?, dry_run: true, wait: false }
                }
                (Some(peer), _) => given.peer_comparison(peer)?,
                (None, _) => Command::Diff {
                    version: given.version()?,
                    with: given.compared_with()?,
                    options: given.flag("options")?,
                },
            }))
        },
    },
    Op {
        name: "restore",
        command: Some("restore"),
        help: "restore a previous version, as a change that is synced like any other",
        detail: "",
        access: Access::User,
        arguments: &[
            operand("path", Kind::Path, "PATH@N", true, VERSION),
            NUMBER,
            option(
                "option",
                Kind::Texts,
                "OPTION",
                "the whole file",
                "restore only this option of a UCI package, as `owsync diff PATH@N --options` names it, for example lan.mtu; \
repeatable",
            ),
            IN_SHARE,
        ],
        takes: AT_ONCE,
        read: |given| {
            Ok(Request::Command(Command::Restore { version: given.version()?, options: given.texts("option")? }))
        },
    },
    Op {
        name: "merge",
        command: Some("merge"),
        help: "merge a previous version of a UCI package into the current one",
        detail: "owsync merges changes of two nodes on its own where it can; this is for a version that was not merged. Where both \
changed an option, the current value stays, and --dry-run names the other. Merging is a change that is synced like any other.",
        access: Access::User,
        arguments: &[operand("path", Kind::Path, "PATH@N", true, VERSION), NUMBER, DRY_RUN, IN_SHARE],
        takes: AT_ONCE,
        read: |given| {
            Ok(Request::Command(Command::Merge { version: given.version()?, dry_run: given.flag("dry_run")? }))
        },
    },
    Op {
        name: "commit",
        command: Some("commit"),
        help: "put uncommitted changes in force on all routers of a share, or on none",
        detail: "Checks the changes on every router, applies them on all of them, and keeps them once every router is reachable \
again; otherwise every router has its previous files back. Use it in place of `uci commit`. Exits 0 if the changes are kept, 1 if \
they were rolled back, with the router and its reason.",
        access: Access::User,
        arguments: &[
            operand(
                "what",
                Kind::Texts,
                "[PACKAGE|SHARE:PATH]...",
                false,
                "UCI packages with uncommitted changes, or changed files of a share in mode manual; without any, all \
uncommitted changes of one share",
            ),
            option(
                "session",
                Kind::Text,
                "ID",
                "the changes of `uci`",
                "commit the uncommitted changes of this LuCI session",
            ),
            option(
                "without",
                Kind::Texts,
                "NAME",
                "none",
                "do not wait for this router, which gets the changes when it is connected; `away` is every router that is not \
connected; repeatable",
            ),
            Argument {
                name: "by_hand",
                kind: Kind::Flag,
                form: Form::Option { short: None, long: "by-hand", value: "", default: "off" },
                help: "roll back after 10 minutes unless `owsync confirm` is run on this router",
                on_ubus: true,
            },
            Argument {
                help: "list what would change, option by option, and on which routers, without changing anything",
                ..DRY_RUN
            },
            Argument { on_ubus: true, ..SHARE },
            plain("wait", Kind::Flag, "answer when it is decided (default), or when it has begun: status has the rest"),
        ],
        takes: COMMIT_TAKES,
        read: |given| {
            Ok(Request::Command(Command::Commit(Box::new(CommitRequest {
                share: given.share()?,
                what: given.texts("what")?,
                session: given.text("session")?.map(str::to_string),
                without: given.texts("without")?,
                by_hand: given.flag("by_hand")?,
                dry_run: given.flag("dry_run")?,
                wait: !given.is_off("wait")?,
                deltas: Map::new(),
            }))))
        },
    },
    Op {
        name: "undo",
        command: Some("undo"),
        help: "undo a run: restore what it replaced and delete what it created",
        detail: "Paths that changed since are left unchanged and listed. Undoing is a change that is synced like any other, and \
can be undone.",
        access: Access::User,
        arguments: &[operand("run", Kind::Number, "RUN", true, "the number of a run, as `owsync log` shows it")],
        takes: AT_ONCE,
        read: |given| match given.number("run")? {
            Some(run) => Ok(Request::Command(Command::Undo { run })),
            None => Err(Reply::failed(Fault::Argument, "name the run to undo, by its number in `owsync log`")),
        },
    },
    Op {
        name: "forget",
        command: Some("forget"),
        help: "delete every previous version of a path from this node's history",
        detail: "",
        access: Access::User,
        arguments: &[
            operand("path", Kind::Path, "PATH", true, PATH),
            plain("share", Kind::Text, "the share of the path"),
        ],
        takes: AT_ONCE,
        read: |given| match given.place("path")? {
            (share, Some(path)) => Ok(Request::Command(Command::Forget { share, path })),
            (_, None) => Err(Reply::failed(Fault::Argument, "name the path to forget")),
        },
    },
    Op {
        name: "identity",
        command: None,
        help: "show this node's name and public key",
        detail: "",
        access: Access::User,
        arguments: NOTHING,
        takes: AT_ONCE,
        read: |_| Ok(Request::Command(Command::Identity)),
    },
    Op {
        name: "reload",
        command: None,
        help: "read the configuration again",
        detail: "",
        access: Access::User,
        arguments: NOTHING,
        takes: AT_ONCE,
        read: |_| Ok(Request::Reload),
    },
    // These two answer with a join text, which contains the cluster's key; no other operation gives a key.
    Op {
        name: "init",
        command: None,
        help: "make this node the reference of a new cluster and return a join text",
        detail: "",
        access: Access::User,
        arguments: &[ADDRESS],
        takes: AT_ONCE,
        read: |given| given.texts("address").map(|_| Request::Command(Command::Init)),
    },
    Op {
        name: "invite",
        command: None,
        help: "return another join text, for one more node",
        detail: "",
        access: Access::User,
        arguments: &[ADDRESS],
        takes: AT_ONCE,
        read: |given| given.texts("address").map(|_| Request::Command(Command::Invite)),
    },
    Op {
        name: "join",
        command: None,
        help: "join the cluster that a join text belongs to",
        detail: "",
        access: Access::User,
        arguments: &[plain("text", Kind::Text, "the join text"), ADDRESS],
        takes: AT_ONCE,
        read: |given| match given.text("text")? {
            Some(text) => Ok(Request::Join { text: text.into(), addresses: given.texts("address")? }),
            None => Err(Reply::failed(Fault::Argument, "there is no join text")),
        },
    },
    Op {
        name: "subscribe",
        command: None,
        help: "receive events on this connection from now on",
        detail: "",
        access: Access::Connection,
        arguments: NOTHING,
        takes: AT_ONCE,
        read: |_| Ok(Request::Subscribe),
    },
];
