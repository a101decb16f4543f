//! The commands that do more than ask the running daemon.

use crate::cli::table::{Group, Opt, OwnCommand, Verb};

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

/// Every command of its own, in the order of help.
pub const OWN: &[OwnCommand] = &[
    OwnCommand {
        verb: Verb::Daemon,
        group: Group::Run,
        name: "daemon",
        operands: "",
        count: (0, 0),
        summary: "run the daemon",
        detail: "Without -c and --dir the configuration is UCI's (/etc/config/owsync) if it exists, else \
/etc/owsync/owsync.conf. Options override it. With options alone, at least one --auto-sync is needed.\n\
The key comes from the configuration, its key_file, OWSYNC_KEY, or /etc/owsync/key, in this order; never from an option.\n\
SIGHUP reads the configuration again; SIGTERM and SIGINT end the daemon.",
        options: ENGINE,
    },
    OwnCommand {
        verb: Verb::Listen,
        group: Group::Run,
        name: "listen",
        operands: "",
        count: (0, 0),
        summary: "run the daemon and wait for peers to connect",
        detail: "Like daemon, but it needs no peer, and exits 1 if it cannot listen or a directory is missing.",
        options: ENGINE,
    },
    OwnCommand {
        verb: Verb::Connect,
        group: Group::Run,
        name: "connect",
        operands: "PEER",
        count: (1, 1),
        summary: "sync once with one peer, then exit",
        detail: "PEER is host, host:port or [v6]:port. It ends when both sides have applied everything: it exits 0 if \
every path was applied, and otherwise exits 1 and lists the paths that failed or are held.",
        options: ENGINE,
    },
    OwnCommand {
        verb: Verb::Init,
        group: Group::SetUp,
        name: "init",
        operands: "",
        count: (0, 0),
        summary: "make this node the reference of a new cluster and print a join text",
        detail: "Generates a key and an identity if there are none; it never overwrites them. Without a \
configuration it writes -c FILE from --dir, --share, -i, -e, --db, --host, --port and --plain. Nodes that \
join take over the contents of this node's shares. The join text is for `owsync join` on one other machine. It is a \
secret.",
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
    OwnCommand {
        verb: Verb::Join,
        group: Group::SetUp,
        name: "join",
        operands: "[FILE]",
        count: (0, 1),
        summary: "join a cluster with the text that `owsync init` or `owsync invite` printed",
        detail: "Reads the text from FILE or standard input (paste it), never from an argument. Writes -c FILE and, \
next to it, the key, and prints what it wrote. It never overwrites a configuration or a key. --dir and --share set the \
directory of a share here if it differs from the reference's; -i and -e add patterns.",
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
    OwnCommand {
        verb: Verb::Invite,
        group: Group::SetUp,
        name: "invite",
        operands: "",
        count: (0, 0),
        summary: "print another join text, for one more node",
        detail: "Each text admits one node and is valid for 24 hours. It is a secret.",
        options: &[Opt::Address, Opt::Config, Opt::Database, Opt::Json, Opt::Quiet],
    },
    OwnCommand {
        verb: Verb::Identity,
        group: Group::SetUp,
        name: "identity",
        operands: "",
        count: (0, 0),
        summary: "print this node's name and public key",
        detail: "Other nodes pin the public key. --new needs the daemon to be stopped; peers that remember the old \
identity must accept the new one.",
        options: &[Opt::New, Opt::Config, Opt::Database, Opt::Json, Opt::Quiet],
    },
    OwnCommand {
        verb: Verb::Genkey,
        group: Group::SetUp,
        name: "genkey",
        operands: "[FILE]",
        count: (0, 1),
        summary: "generate a key of 64 hexadecimal digits and print it or write it to a new file",
        detail: "FILE is readable by its owner only, and is never overwritten.",
        options: &[],
    },
    OwnCommand {
        verb: Verb::Check,
        group: Group::SetUp,
        name: "check",
        operands: "",
        count: (0, 0),
        summary: "print the effective configuration as a config file, or every error in it",
        detail: "Starts nothing and never prints keys. Exits 2 if the configuration cannot be used.",
        options: ENGINE,
    },
    OwnCommand {
        verb: Verb::Scan,
        group: Group::Files,
        name: "scan",
        operands: "DIR",
        count: (1, 1),
        summary: "print the contents of a directory as JSON: path, hash, mtime (ms), size, deleted",
        detail: "Skipped paths are listed on standard error. A configuration is read only with -c; it gives the patterns, symlinks \
and max_file_size of the share main.",
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
    OwnCommand {
        verb: Verb::MergeFile,
        group: Group::Files,
        name: "merge-file",
        operands: "BASE WINNER LOSER",
        count: (3, 3),
        summary: "merge two versions of a UCI package, by section and option",
        detail: "BASE is the text that both versions started from. If both changed the same thing, WINNER's value is kept, and \
LOSER's is printed to standard error. A line `local NAME` is an option that every router has for itself.\n\
Exits 0 if everything was merged, 1 if something of LOSER was lost, and 3 if the texts cannot be merged safely; then \
nothing is written.",
        options: &[Opt::Output, Opt::Json, Opt::Quiet],
    },
    OwnCommand {
        verb: Verb::Help,
        group: Group::Files,
        name: "help",
        operands: "[COMMAND]",
        count: (0, 2),
        summary: "explain a command and its options",
        detail: "",
        options: &[],
    },
];
