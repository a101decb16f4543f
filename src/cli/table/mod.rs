//! The table of commands and options: what parsing, help and the tests of both read.
//!
//! Commands that ask the running daemon come from [`crate::ops`]: a row there is a command here. [`OWN`] has the others,
//! which start something or work on files.
//!
//! An option's name means one thing wherever it may stand, except `--share`, which names a share where a running daemon
//! is asked, and describes one where a configuration is written. Whether an option takes a value depends on its name
//! alone, so that options can stand before the command too.

mod commands;
mod options;

use crate::ops::{self, Argument, Form, Kind, Op};

pub use commands::OWN;
pub use options::OPTIONS;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Runs the daemon.
    Daemon,
    /// Waits for peers.
    Listen,
    /// Exchanges once with one peer.
    Connect,
    /// Prints what a directory contains.
    Scan,
    /// Generates a key.
    Genkey,
    /// Makes this node the reference of a cluster.
    Init,
    /// Makes this node part of a cluster.
    Join,
    /// Prints another join text.
    Invite,
    /// Prints who this node is.
    Identity,
    /// Prints the effective configuration, or what is wrong with it.
    Check,
    /// Merges three files that hold versions of a UCI package.
    MergeFile,
    /// Prints help.
    Help,
    /// Asks the running daemon.
    Ask(&'static Op),
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
    /// A share to be made.
    ShareDir,
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
    /// An option of an operation, by its name.
    Ask(&'static str),
}

/// What there is to say about an option.
#[derive(Debug, Clone, Copy)]
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

/// A command that does more than ask the running daemon.
#[derive(Debug)]
pub struct OwnCommand {
    /// Which.
    pub verb: Verb,
    /// Where help lists it.
    pub group: Group,
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

/// The parts of the list of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What starts the daemon.
    Run,
    /// What makes a cluster.
    SetUp,
    /// What asks the running daemon.
    Ask,
    /// What works on files alone.
    Files,
}

impl Group {
    /// Every part, in the order of help.
    pub const ALL: [Group; 4] = [Group::Run, Group::SetUp, Group::Ask, Group::Files];

    /// Its heading.
    pub fn heading(self) -> &'static str {
        match self {
            Group::Run => "Run",
            Group::SetUp => "Set up",
            Group::Ask => "Ask the running daemon",
            Group::Files => "Work on files",
        }
    }
}

/// What there is to say about a command.
#[derive(Debug, Clone, Copy)]
pub enum CommandSpec {
    /// One of [`OWN`].
    Own(&'static OwnCommand),
    /// An operation that is a command of this name.
    Ask(&'static str, &'static Op),
}

/// Every command.
pub fn commands() -> impl Iterator<Item = CommandSpec> {
    let asking = ops::OPS.iter().filter_map(|op| Some(CommandSpec::Ask(op.command?, op)));
    OWN.iter().map(CommandSpec::Own).chain(asking)
}

/// Every option of any command. One name may be there more than once, and always takes a value or never.
pub fn options() -> impl Iterator<Item = OptionSpec> {
    let asking = commands().flat_map(|command| match command {
        CommandSpec::Ask(_, op) => op.arguments.iter().flat_map(of_argument).collect(),
        CommandSpec::Own(_) => Vec::new(),
    });
    OPTIONS.iter().copied().chain(asking)
}

/// What there is to say about one of [`OPTIONS`].
pub fn option(opt: Opt) -> OptionSpec {
    let found = OPTIONS.iter().find(|spec| spec.opt == opt);
    *found.unwrap_or_else(|| unreachable!("every option is in the table: {opt:?}"))
}

/// The options that give an argument of an operation.
fn of_argument(argument: &'static Argument) -> Vec<OptionSpec> {
    let flag = |long: &'static &'static str, meaning| OptionSpec {
        opt: Opt::Ask(long),
        short: None,
        long: std::slice::from_ref(long),
        value: None,
        meaning,
        default: "off",
    };
    match (&argument.form, argument.kind) {
        (Form::Option { short, long, value, default }, kind) => vec![OptionSpec {
            opt: Opt::Ask(long),
            short: *short,
            long: std::slice::from_ref(long),
            value: (kind != Kind::Flag).then_some(*value),
            meaning: argument.help,
            default,
        }],
        (Form::Unless(long), _) => vec![flag(long, argument.help)],
        (Form::Each, Kind::Word(choices)) => choices.iter().map(|choice| flag(&choice.word, choice.help)).collect(),
        (Form::Each | Form::Operand { .. } | Form::None, _) => Vec::new(),
    }
}

impl CommandSpec {
    /// Which.
    pub fn verb(&self) -> Verb {
        match self {
            CommandSpec::Own(own) => own.verb,
            CommandSpec::Ask(_, op) => Verb::Ask(op),
        }
    }

    /// Where help lists it.
    pub fn group(&self) -> Group {
        match self {
            CommandSpec::Own(own) => own.group,
            CommandSpec::Ask(..) => Group::Ask,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            CommandSpec::Own(own) => own.name,
            CommandSpec::Ask(name, _) => name,
        }
    }

    /// Its operands, as usage shows them.
    pub fn operands(&self) -> String {
        match self {
            CommandSpec::Own(own) => own.operands.into(),
            CommandSpec::Ask(_, op) => op.operands().map(label).collect::<Vec<_>>().join(" "),
        }
    }

    /// How many operands there must be, and may be.
    pub fn count(&self) -> (usize, usize) {
        match self {
            CommandSpec::Own(own) => own.count,
            CommandSpec::Ask(_, op) => {
                let required = |argument: &&Argument| matches!(argument.form, Form::Operand { required: true, .. });
                let many = op.operands().any(|argument| argument.kind == Kind::Texts);
                (op.operands().filter(required).count(), if many { usize::MAX } else { op.operands().count() })
            }
        }
    }

    /// What it does, in a line.
    pub fn summary(&self) -> &'static str {
        match self {
            CommandSpec::Own(own) => own.summary,
            CommandSpec::Ask(_, op) => op.help,
        }
    }

    /// What else there is to know.
    pub fn detail(&self) -> &'static str {
        match self {
            CommandSpec::Own(own) => own.detail,
            CommandSpec::Ask(_, op) => op.detail,
        }
    }

    /// What each operand is, where the detail does not say it.
    pub fn operand_help(&self) -> Vec<(&'static str, &'static str)> {
        match self {
            CommandSpec::Own(_) => Vec::new(),
            CommandSpec::Ask(_, op) => op.operands().map(|argument| (label(argument), argument.help)).collect(),
        }
    }

    /// Every option it takes.
    pub fn options(&self) -> Vec<OptionSpec> {
        let common = [Opt::Help, Opt::Version];
        match self {
            CommandSpec::Own(own) => own.options.iter().copied().chain(common).map(option).collect(),
            CommandSpec::Ask(_, op) => {
                let asking = [Opt::Config, Opt::Database, Opt::Json, Opt::Quiet, Opt::Verbose];
                let own = op.arguments.iter().flat_map(of_argument);
                own.chain(asking.into_iter().chain(common).map(option)).collect()
            }
        }
    }
}

fn label(argument: &'static Argument) -> &'static str {
    match argument.form {
        Form::Operand { label, .. } => label,
        Form::Option { .. } | Form::Unless(_) | Form::Each | Form::None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whether_a_value_follows() {
        for a in options() {
            for b in options() {
                let same = a.long.iter().any(|name| b.long.contains(name)) || (a.short.is_some() && a.short == b.short);
                assert!(!same || a.value.is_some() == b.value.is_some(), "{:?} {:?}", a.opt, b.opt);
            }
        }
    }

    #[test]
    fn no_command_has_two_options_of_one_name() {
        for command in commands() {
            let mut names: Vec<String> = command
                .options()
                .iter()
                .flat_map(|o| o.long.iter().map(|n| n.to_string()).chain(o.short.map(String::from)))
                .collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{}", command.name());
        }
    }

    #[test]
    fn every_option_with_a_value_has_a_default() {
        for option in options().filter(|option| option.value.is_some()) {
            assert!(!option.default.is_empty(), "{:?}", option.opt);
        }
    }

    #[test]
    fn every_operation_has_a_command() {
        // `reload` is SIGHUP's, `files` and `subscribe` are for programs.
        for op in ops::OPS.iter().filter(|op| !matches!(op.name, "reload" | "files" | "subscribe")) {
            assert!(commands().any(|command| command.name() == op.command.unwrap_or(op.name)), "{}", op.name);
        }
    }
}
