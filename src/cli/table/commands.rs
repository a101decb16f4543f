//! Every command.

use crate::cli::table::{CommandSpec, Opt, Verb};

/// The options of everything that syncs.
const ENGINE: &[Opt] = &[
    Opt::Config,
    Opt::Dir,
    Opt::Database,
    Opt::Include,
    Opt::Exclude,
    Opt::Plain,
    Opt::Host,
    Opt::Port,
    Opt::PollInterval,
    Opt::AutoSync,
    Opt::Foreground,
    Opt::Verbose,
    Opt::Quiet,
    Opt::LogLevel,
];

const ASK: &[Opt] = &[Opt::Config, Opt::Database, Opt::Json, Opt::Quiet, Opt::Verbose];
const ASK_SHARE: &[Opt] = &[Opt::Share, Opt::Config, Opt::Database, Opt::Json, Opt::Quiet, Opt::Verbose];

const PATH: &str = "PATH is SHARE:PATH, an absolute path, one that begins with ./ or ../ (from the current directory), \
or a path in the only share, written as status prints it.";
const VERSION: &str = "PATH@N is version N of a path, as `owsync log` numbers them. PATH alone is its newest former \
version. PATH is SHARE:PATH, an absolute path, one that begins with ./ or ../ (from the current directory), or a path \
in the only share, written as status prints it.";

const DIFF: &str = "PATH@N is version N of a path, as `owsync log` numbers them. PATH alone is its newest former version; \
with a PEER it is the file as it lies here, and the peer is asked for its own. A PEER alone: path by path, what differs and \
what would happen, as `owsync sync PEER --dry-run` says it. PEER is a name that `owsync peers` prints; a file of the same \
name is ./NAME or SHARE:NAME.";

const TRIAL: &str = "What touches network, wireless, firewall or dropbear is taken back by itself unless the node that sent it \
is reached in time (option confirm).";

const RUN: &str = "RUN is the number of a run, as `owsync log` shows it. What changed since stays as it is, and is named. \
Undoing is a change like any other: it travels, and can itself be undone.";

/// Every command, in the order of help.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        verb: Verb::Daemon,
        name: "daemon",
        operands: "",
        count: (0, 0),
        summary: "keep the shares equal with the peers, until ended",
        detail: "Without -c and --dir the configuration is UCI's (/etc/config/owsync) where that is, else \
/etc/owsync/owsync.conf. Options come on top of it. With options alone at least one --auto-sync is needed.\n\
The key comes from the configuration, its key_file, OWSYNC_KEY, or /etc/owsync/key, in this order; never from an option.\n\
SIGHUP reads the configuration again, SIGTERM and SIGINT end.",
        options: ENGINE,
    },
    CommandSpec {
        verb: Verb::Listen,
        name: "listen",
        operands: "",
        count: (0, 0),
        summary: "wait for peers that connect, until ended",
        detail: "As daemon, but it ends with 1 when it cannot listen or a directory is missing, and needs no peer.",
        options: ENGINE,
    },
    CommandSpec {
        verb: Verb::Connect,
        name: "connect",
        operands: "PEER",
        count: (1, 1),
        summary: "exchange once with one peer, then end",
        detail: "PEER is host, host:port or [v6]:port. It ends when both sides have applied everything: with 0 when \
every path was, with 1 when one failed or is held, naming it.",
        options: ENGINE,
    },
    CommandSpec {
        verb: Verb::Init,
        name: "init",
        operands: "",
        count: (0, 0),
        summary: "make this node the reference of a new cluster, and print a join text",
        detail: "Makes a key and an identity where there are none; what is there is never overwritten. Without a \
configuration it writes -c FILE from --dir, --share, -i, -e, --db, --host, --port and --plain. What is in this node's \
shares is from now on what counts: nodes that join take it over. The join text is for `owsync join` on one other \
machine. It is a secret.",
        options: &[
            Opt::Config,
            Opt::Dir,
            Opt::Include,
            Opt::Exclude,
            Opt::ShareDir,
            Opt::Address,
            Opt::Database,
            Opt::Host,
            Opt::Port,
            Opt::Plain,
            Opt::Json,
            Opt::Quiet,
        ],
    },
    CommandSpec {
        verb: Verb::Join,
        name: "join",
        operands: "[FILE]",
        count: (0, 1),
        summary: "join a cluster, by the text that `owsync init` or `owsync invite` printed",
        detail: "Reads the text from FILE or standard input (paste it), never from an argument. Writes -c FILE and, \
beside it, the key, and prints what it wrote. It never overwrites a configuration or a key. --dir and --share say where \
a share lies here, where that is not where it lies on the reference; -i and -e add patterns.",
        options: &[
            Opt::Config,
            Opt::Dir,
            Opt::Include,
            Opt::Exclude,
            Opt::ShareDir,
            Opt::Address,
            Opt::Database,
            Opt::Host,
            Opt::Port,
            Opt::Plain,
            Opt::Json,
            Opt::Quiet,
        ],
    },
    CommandSpec {
        verb: Verb::Invite,
        name: "invite",
        operands: "",
        count: (0, 0),
        summary: "print another join text, for one more node",
        detail: "Each text lets one node in, and is valid for 24 hours. It is a secret.",
        options: &[Opt::Address, Opt::Config, Opt::Database, Opt::Json, Opt::Quiet],
    },
    CommandSpec {
        verb: Verb::Accept,
        name: "accept",
        operands: "[PEER]",
        count: (0, 1),
        summary: "let a peer in that waits for it",
        detail: "PEER is its name, address, or the start of its public key, as `owsync status` lists those who wait; \
not needed when only one does.",
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Identity,
        name: "identity",
        operands: "",
        count: (0, 0),
        summary: "print who this node is: its name and public key",
        detail: "The public key is what other nodes pin. --new needs the daemon stopped; peers that remember the old \
identity must accept the new one.",
        options: &[Opt::New, Opt::Config, Opt::Database, Opt::Json, Opt::Quiet],
    },
    CommandSpec {
        verb: Verb::Genkey,
        name: "genkey",
        operands: "[FILE]",
        count: (0, 1),
        summary: "make a key: 64 hexadecimal digits, on standard output or into a new file",
        detail: "FILE is made readable by its owner only, and never overwritten.",
        options: &[],
    },
    CommandSpec {
        verb: Verb::Check,
        name: "check",
        operands: "",
        count: (0, 0),
        summary: "print the effective configuration in config file form, or every error in it",
        detail: "Starts nothing. Keys are never printed. Ends with 2 when the configuration cannot be used.",
        options: ENGINE,
    },
    CommandSpec {
        verb: Verb::Status,
        name: "status",
        operands: "",
        count: (0, 0),
        summary: "show whether everything is in sync, since when, and if not why not",
        detail: "Exits 0 if everything is in sync, 1 if not, 3 if no daemon runs. -q prints the first sentence alone, -v whole lists, events and counters.",
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Peers,
        name: "peers",
        operands: "",
        count: (0, 0),
        summary: "the peers, and how it stands with each",
        detail: "",
        options: ASK,
    },
    CommandSpec {
        verb: Verb::PeersForget,
        name: "peers forget",
        operands: "PEER",
        count: (1, 1),
        summary: "forget a peer that is gone for good",
        detail: "PEER is its name, or the start of its node id. Deletions no longer wait for it. Remove it from the \
configuration too.",
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Shares,
        name: "shares",
        operands: "",
        count: (0, 0),
        summary: "the shares, and how it stands with each",
        detail: "",
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Metrics,
        name: "metrics",
        operands: "",
        count: (0, 0),
        summary: "what this node counts, as Prometheus scrapes it",
        detail: "The option metrics_file writes the same to a file, for a node exporter's textfile collector.",
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Sync,
        name: "sync",
        operands: "[PEER]",
        count: (0, 1),
        summary: "look at everything again and exchange it now, with every peer or one",
        detail: "Ends with 0 when everything is in sync, else with 1, saying what is missing.",
        options: &[
            Opt::DryRun,
            Opt::NoWait,
            Opt::Share,
            Opt::Config,
            Opt::Database,
            Opt::Json,
            Opt::Quiet,
            Opt::Verbose,
        ],
    },
    CommandSpec {
        verb: Verb::Pause,
        name: "pause",
        operands: "[PEER]",
        count: (0, 1),
        summary: "stop exchanging: with one peer, one share, or everything",
        detail: "Until `owsync resume`, or as long as --for says; a restart changes nothing of it. Status shows the reason.",
        options: &[Opt::Reason, Opt::For, Opt::Share, Opt::Config, Opt::Database, Opt::Json, Opt::Quiet, Opt::Verbose],
    },
    CommandSpec {
        verb: Verb::Resume,
        name: "resume",
        operands: "[PEER]",
        count: (0, 1),
        summary: "go on exchanging",
        detail: "",
        options: ASK_SHARE,
    },
    CommandSpec {
        verb: Verb::Approve,
        name: "approve",
        operands: "[SHARE|PATH]",
        count: (0, 1),
        summary: "let a held share, or held paths, go on",
        detail: PATH,
        options: &[
            Opt::Mine,
            Opt::Theirs,
            Opt::Newest,
            Opt::DryRun,
            Opt::Share,
            Opt::Config,
            Opt::Database,
            Opt::Json,
            Opt::Quiet,
            Opt::Verbose,
        ],
    },
    CommandSpec {
        verb: Verb::Reject,
        name: "reject",
        operands: "[SHARE|PATH]",
        count: (0, 1),
        summary: "take the other nodes' state for a held share, or refuse what they ask for held paths",
        detail: PATH,
        options: &[Opt::DryRun, Opt::Share, Opt::Config, Opt::Database, Opt::Json, Opt::Quiet, Opt::Verbose],
    },
    CommandSpec {
        verb: Verb::Confirm,
        name: "confirm",
        operands: "[SHARE]",
        count: (0, 1),
        summary: "keep what landed and waits to be confirmed",
        detail: TRIAL,
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Rollback,
        name: "rollback",
        operands: "[SHARE]",
        count: (0, 1),
        summary: "take back what landed and waits to be confirmed; also where no daemon runs, as at boot",
        detail: TRIAL,
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Log,
        name: "log",
        operands: "[PATH]",
        count: (0, 1),
        summary: "former versions: number, time, node, why, path",
        detail: PATH,
        options: &[
            Opt::Why,
            Opt::Node,
            Opt::Limit,
            Opt::Share,
            Opt::Config,
            Opt::Database,
            Opt::Json,
            Opt::Quiet,
            Opt::Verbose,
        ],
    },
    CommandSpec {
        verb: Verb::Show,
        name: "show",
        operands: "PATH[@N]",
        count: (1, 1),
        summary: "write the content of a former version to standard output",
        detail: VERSION,
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Diff,
        name: "diff",
        operands: "PATH[@N] [PATH@M|PEER] | PEER",
        count: (1, 2),
        summary: "what changed between a former version and the file, two versions, or a peer's file and this node's",
        detail: DIFF,
        options: ASK_SHARE,
    },
    CommandSpec {
        verb: Verb::Restore,
        name: "restore",
        operands: "PATH@N",
        count: (1, 1),
        summary: "bring a former version back; a change like any other, which travels",
        detail: VERSION,
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Undo,
        name: "undo",
        operands: "RUN",
        count: (1, 1),
        summary: "undo a whole run that landed here: what it replaced comes back, what it made goes",
        detail: RUN,
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Forget,
        name: "forget",
        operands: "PATH",
        count: (1, 1),
        summary: "remove every former version of a path from this node's history",
        detail: PATH,
        options: ASK,
    },
    CommandSpec {
        verb: Verb::Scan,
        name: "scan",
        operands: "DIR",
        count: (1, 1),
        summary: "print what a directory holds, as JSON: path, hash, mtime (ms), size, deleted",
        detail: "What is skipped is named on standard error. A configuration is read only with -c: its patterns, symlinks and \
max_file_size of the share main.",
        options: &[
            Opt::Include,
            Opt::Exclude,
            Opt::Config,
            Opt::Database,
            Opt::Plain,
            Opt::Verbose,
            Opt::Quiet,
            Opt::LogLevel,
        ],
    },
    CommandSpec {
        verb: Verb::MergeFile,
        name: "merge-file",
        operands: "BASE WINNER LOSER",
        count: (3, 3),
        summary: "merge two versions of a UCI package, by section and option",
        detail: "BASE is the text that both versions started from. Where both changed the same thing, WINNER's value stays, and \
what LOSER had is printed to standard error. A line `local NAME` is an option that every router has for itself.\n\
Exits with 0 if everything was merged, with 1 if something of LOSER was lost, and with 3 if the texts cannot be merged \
safely; then nothing is written.",
        options: &[Opt::Output, Opt::Json, Opt::Quiet],
    },
    CommandSpec {
        verb: Verb::Help,
        name: "help",
        operands: "[COMMAND]",
        count: (0, 2),
        summary: "explain a command and its options",
        detail: "",
        options: &[],
    },
];
