//! The table of commands and options: what parsing, help and the tests of both read.
//!
//! An option's name means one thing wherever it may stand, except `--share`, which names a share where a running daemon
//! is asked, and makes one where a configuration is written. Whether an option takes a value depends on its name alone,
//! so that options can stand before the command too.

mod commands;
mod options;

pub use commands::COMMANDS;
pub use options::OPTIONS;

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
    /// What is counted, for Prometheus.
    Metrics,
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
    /// Keeps what must be confirmed.
    Confirm,
    /// Takes it back.
    Rollback,
    /// Former versions.
    Log,
    /// The content of a former version.
    Show,
    /// What changed between versions.
    Diff,
    /// Brings a former version back.
    Restore,
    /// Undoes a landing.
    Undo,
    /// Removes former versions.
    Forget,
    /// Merges three files that hold versions of a UCI package.
    MergeFile,
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
    /// Former versions that are there for this reason.
    Why,
    /// Former versions that this node's changes replaced.
    Node,
    /// Why.
    Reason,
    /// How long.
    For,
    /// An address of this node, or of the one to join.
    Address,
    /// A new identity.
    New,
    /// Where the result goes.
    Output,
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
