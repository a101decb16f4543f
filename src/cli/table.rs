//! The table of commands and options: what parsing, help and the tests of both read.
//!
//! An option's name means one thing wherever it may stand, except `--share`, which names a share where a running daemon
//! is asked, and makes one where a configuration is written. Whether an option takes a value depends on its name alone,
//! so that options can stand before the command too.

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Keeps the shares equal, until ended.
    Daemon,
    /// Waits for peers, until ended.
    Listen,
    /// Exchanges once with one peer.
    Connect,
    /// Prints what a directory holds.
    Scan,
    /// Makes a key.
    Genkey,
    /// Makes this node the reference of a cluster.
    Init,
    /// Makes this node part of a cluster.
    Join,
    /// Prints another join text.
    Invite,
    /// Lets a waiting peer in.
    Accept,
    /// Prints who this node is.
    Identity,
    /// Prints the effective configuration, or what is wrong with it.
    Check,
    /// Whether everything is in sync.
    Status,
    /// The peers.
    Peers,
    /// Forgets a peer.
    PeersForget,
    /// The shares.
    Shares,
    /// Looks at everything and exchanges it now.
    Sync,
    /// Stops exchanging.
    Pause,
    /// Goes on exchanging.
    Resume,
    /// Lets what is held go on.
    Approve,
    /// Takes the other nodes' state.
    Reject,
    /// Former versions.
    Log,
    /// The content of a former version.
    Show,
    /// What changed between versions.
    Diff,
    /// Brings a former version back.
    Restore,
    /// Removes former versions.
    Forget,
    /// Prints help.
    Help,
}

/// An option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opt {
    /// The config file.
    Config,
    /// No encryption.
    Plain,
    /// The directory of the share `main`.
    Dir,
    /// The database.
    Database,
    /// What is synced.
    Include,
    /// What is not.
    Exclude,
    /// Where to listen.
    Host,
    /// The port.
    Port,
    /// Time between rescans.
    PollInterval,
    /// A peer.
    AutoSync,
    /// Log to standard error as well.
    Foreground,
    /// Everything.
    Verbose,
    /// Errors only.
    Quiet,
    /// How much is logged.
    LogLevel,
    /// Machine-readable output.
    Json,
    /// Only this share.
    Share,
    /// A share to be made.
    ShareDir,
    /// Say what would happen.
    DryRun,
    /// Do not wait for the end.
    NoWait,
    /// This node's side.
    Mine,
    /// The peer's side.
    Theirs,
    /// The newer one.
    Newest,
    /// How many.
    Limit,
    /// An address of this node, or of the one to join.
    Address,
    /// A new identity.
    New,
    /// Help.
    Help,
    /// Version.
    Version,
}

/// What there is to say about an option.
pub struct OptionSpec {
    /// Which.
    pub opt: Opt,
    /// Its letter.
    pub short: Option<char>,
    /// Its names, its own first.
    pub long: &'static [&'static str],
    /// What its value is, if it takes one.
    pub value: Option<&'static str>,
    /// What it does.
    pub meaning: &'static str,
    /// What holds without it; empty where that goes without saying.
    pub default: &'static str,
}

/// What there is to say about a command.
pub struct CommandSpec {
    /// Which.
    pub verb: Verb,
    /// Its name.
    pub name: &'static str,
    /// Its operands, as usage shows them.
    pub operands: &'static str,
    /// How many there must be, and may be.
    pub count: (usize, usize),
    /// What it does, in a line.
    pub summary: &'static str,
    /// What else there is to know.
    pub detail: &'static str,
    /// The options it takes, besides help and version.
    pub options: &'static [Opt],
}

const fn flag(opt: Opt, short: Option<char>, long: &'static [&'static str], meaning: &'static str) -> OptionSpec {
    OptionSpec { opt, short, long, value: None, meaning, default: "off" }
}

/// Every option.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        opt: Opt::Config,
        short: Some('c'),
        long: &["config"],
        value: Some("FILE"),
        meaning: "config file",
        default: "UCI where it is, else /etc/owsync/owsync.conf",
    },
    OptionSpec {
        opt: Opt::Dir,
        short: Some('d'),
        long: &["dir"],
        value: Some("DIR"),
        meaning: "directory of the share main",
        default: "of the configuration, else the current directory",
    },
    OptionSpec {
        opt: Opt::Database,
        short: Some('b'),
        long: &["db"],
        value: Some("FILE"),
        meaning: "database",
        default: "of the configuration, else /var/lib/owsync/owsync.db; /etc/owsync/owsync.db where a reboot clears /var",
    },
    OptionSpec {
        opt: Opt::Include,
        short: Some('i'),
        long: &["include"],
        value: Some("PATTERN"),
        meaning: "what is synced; adds to the configuration's; repeatable",
        default: "nothing is synced",
    },
    OptionSpec {
        opt: Opt::Exclude,
        short: Some('e'),
        long: &["exclude"],
        value: Some("PATTERN"),
        meaning: "what is not, whatever is included; adds to the configuration's; repeatable",
        default: "nothing is excluded",
    },
    OptionSpec {
        opt: Opt::ShareDir,
        short: None,
        long: &["share"],
        value: Some("NAME=DIR"),
        meaning: "a share and its directory here; -i and -e behind it are its own; repeatable",
        default: "the share main alone",
    },
    flag(
        Opt::Plain,
        Some('p'),
        &["plain"],
        "no encryption, no authentication: only for links that are private already",
    ),
    OptionSpec {
        opt: Opt::Host,
        short: Some('H'),
        long: &["host"],
        value: Some("ADDR"),
        meaning: "address to listen on",
        default: ":: (IPv6 and IPv4)",
    },
    OptionSpec {
        opt: Opt::Port,
        short: Some('P'),
        long: &["port"],
        value: Some("PORT"),
        meaning: "port to listen on, and to dial",
        default: "4321",
    },
    OptionSpec {
        opt: Opt::PollInterval,
        short: None,
        long: &["poll-interval"],
        value: Some("TIME"),
        meaning: "time between two safety-net rescans: seconds, or 5m, 2h, 1d",
        default: "60",
    },
    OptionSpec {
        opt: Opt::AutoSync,
        short: None,
        long: &["auto-sync"],
        value: Some("PEER[,SOURCE]"),
        meaning: "peer to keep a session with (host, host:port, [v6]:port), and the address to dial from; repeatable",
        default: "the configuration's peers",
    },
    OptionSpec {
        opt: Opt::Address,
        short: None,
        long: &["address"],
        value: Some("ADDR"),
        meaning: "address of the reference, for the join text (host, host:port, [v6]:port); repeatable",
        default: "the machine's own, without virtual ones",
    },
    flag(Opt::Foreground, Some('f'), &["foreground"], "write the log to standard error too"),
    flag(Opt::Verbose, Some('v'), &["verbose", "debug"], "tell everything: log level 3, whole lists"),
    flag(Opt::Quiet, Some('q'), &["quiet"], "errors only: log level 0, no confirmations"),
    OptionSpec {
        opt: Opt::LogLevel,
        short: None,
        long: &["log-level"],
        value: Some("N"),
        meaning: "0 errors, 1 and warnings, 2 and events, 3 and every decision",
        default: "2",
    },
    OptionSpec {
        opt: Opt::Share,
        short: None,
        long: &["share"],
        value: Some("NAME"),
        meaning: "only this share",
        default: "all; where one must be named, the only one",
    },
    flag(Opt::DryRun, None, &["dry-run"], "say what would be sent, received and deleted, and do nothing"),
    flag(Opt::NoWait, None, &["no-wait"], "return at once instead of when everything is in sync, or 30 s have passed"),
    flag(Opt::Mine, None, &["mine"], "where both sides have a path and neither has a claim: this node's"),
    flag(Opt::Theirs, None, &["theirs"], "as --mine, but the peer's"),
    flag(Opt::Newest, None, &["newest"], "as --mine, but the newer one, path by path"),
    OptionSpec {
        opt: Opt::Limit,
        short: Some('n'),
        long: &["limit"],
        value: Some("N"),
        meaning: "at most so many versions, the newest",
        default: "50",
    },
    flag(Opt::New, None, &["new"], "replace this node's identity by a new one, as after copying a machine"),
    flag(Opt::Json, None, &["json"], "print JSON"),
    OptionSpec {
        opt: Opt::Help,
        short: Some('h'),
        long: &["help"],
        value: None,
        meaning: "print this help",
        default: "",
    },
    OptionSpec {
        opt: Opt::Version,
        short: Some('V'),
        long: &["version"],
        value: None,
        meaning: "print the version",
        default: "",
    },
];

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
        summary: "is everything in sync, since when, and if not why not",
        detail: "-q prints the first sentence alone, -v whole lists, events and counters.",
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
        detail: "Until `owsync resume`, or a restart.",
        options: ASK_SHARE,
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
        options: ASK_SHARE,
    },
    CommandSpec {
        verb: Verb::Log,
        name: "log",
        operands: "[PATH]",
        count: (0, 1),
        summary: "former versions: number, time, node, why, path",
        detail: PATH,
        options: &[Opt::Limit, Opt::Share, Opt::Config, Opt::Database, Opt::Json, Opt::Quiet, Opt::Verbose],
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
        operands: "PATH[@N] [PATH@M]",
        count: (1, 2),
        summary: "what changed between a former version and the file, or between two versions",
        detail: VERSION,
        options: ASK,
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
        detail: "What is skipped is named on standard error.",
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
        verb: Verb::Help,
        name: "help",
        operands: "[COMMAND]",
        count: (0, 2),
        summary: "explain a command and its options",
        detail: "",
        options: &[],
    },
];

/// What there is to say about a command.
pub fn command(verb: Verb) -> &'static CommandSpec {
    let found = COMMANDS.iter().find(|spec| spec.verb == verb);
    found.unwrap_or_else(|| unreachable!("every command is in the table: {verb:?}"))
}

/// What there is to say about an option.
pub fn option(opt: Opt) -> &'static OptionSpec {
    let found = OPTIONS.iter().find(|spec| spec.opt == opt);
    found.unwrap_or_else(|| unreachable!("every option is in the table: {opt:?}"))
}

impl CommandSpec {
    /// Every option it takes.
    pub fn every_option(&self) -> impl Iterator<Item = &'static OptionSpec> {
        self.options.iter().copied().chain([Opt::Help, Opt::Version]).map(option)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whether_a_value_follows() {
        for a in OPTIONS {
            for b in OPTIONS {
                let same = a.long.iter().any(|name| b.long.contains(name)) || (a.short.is_some() && a.short == b.short);
                assert!(!same || a.value.is_some() == b.value.is_some(), "{:?} {:?}", a.opt, b.opt);
            }
        }
    }

    #[test]
    fn no_command_has_two_options_of_one_name() {
        for command in COMMANDS {
            let mut names: Vec<String> = command
                .every_option()
                .flat_map(|o| o.long.iter().map(|n| n.to_string()).chain(o.short.map(String::from)))
                .collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{}", command.name);
        }
    }

    #[test]
    fn whatever_takes_a_value_says_what_holds_without_it() {
        for option in OPTIONS.iter().filter(|option| option.value.is_some()) {
            assert!(!option.default.is_empty(), "{:?}", option.opt);
        }
    }
}
