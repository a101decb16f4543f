//! Every operation that a running owsync offers, in one table.
//!
//! [`OPS`] has a row for each: its name, its arguments with their types and help, its help line, who may call it, and
//! the function that turns arguments into a [`Request`]. Three interfaces are derived from it:
//! - the control socket: [`request`] finds the row by name and calls its function;
//! - ubus: `daemon::ubus::methods` declares the rows as methods and converts their arguments;
//! - the command line: `cli::table` makes a command with operands and options of every row that has one, and
//!   `cli::request` asks the daemon with them.
//!
//! A new operation is a row here, whose function makes a [`Command`], and the handler of that command in
//! `node::command`. Commands of the command line that do not ask a daemon are in `cli::table`.

use std::time::Duration;

use crate::model::{Settings, escape};
use crate::node::api::{Command, Fault, Reply, Tree};

mod arguments;
mod table;

pub use arguments::{Arguments, texts};
pub use table::OPS;

/// An operation.
pub struct Op {
    /// Its name on the control socket and on ubus.
    pub name: &'static str,
    /// Its name at the command line; `None` where it is no command, or one that does more than ask the daemon.
    pub command: Option<&'static str>,
    /// What it does: an imperative clause.
    pub help: &'static str,
    /// What else there is to know; empty where that is all.
    pub detail: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it takes. Every argument may be left out here; the function says which ones it needs.
    pub arguments: &'static [Argument],
    /// How long the answer may take, beyond what memory and a few reads of the disk need.
    pub takes: Duration,
    /// Makes a request of the arguments.
    pub read: fn(&Arguments<'_>) -> Result<Request, Reply>,
}

/// Who may call an operation, over interfaces that know more than one kind of caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone who may see the state: it changes nothing, and shows neither contents nor keys.
    Read,
    /// It needs the user: it changes something, or shows a content or a key.
    User,
    /// As `Read`, and only on a connection of the control socket, which it changes.
    Connection,
}

/// An argument of an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Argument {
    /// Its name on the control socket and on ubus.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// How it is given at the command line.
    pub form: Form,
    /// What it means.
    pub help: &'static str,
    /// Whether ubus has it too.
    pub on_ubus: bool,
}

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A path as status prints it, with or without `@N` behind it.
    Path,
    /// One of a few words.
    Word(&'static [Choice]),
    /// A whole number.
    Number,
    /// A time in seconds; the command line also takes `5m`, `2h` and `1d`.
    Seconds,
    /// True or false; also 1 or 0, since a shell has nothing else.
    Flag,
    /// A list of texts; also one text.
    Texts,
}

/// One of the words that an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The word.
    pub word: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// How an argument is given at the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As a word behind the command.
    Operand {
        /// As usage shows it.
        label: &'static str,
        /// Whether the command needs it.
        required: bool,
        /// What else the word may be.
        or: Or,
    },
    /// As an option; without a value if the argument is a flag.
    Option {
        /// Its letter.
        short: Option<char>,
        /// Its name.
        long: &'static str,
        /// What its value is, as help shows it; empty for a flag.
        value: &'static str,
        /// What holds without it, as help shows it.
        default: &'static str,
    },
    /// True unless this option is given.
    Unless(&'static str),
    /// As an option for each word that it may be.
    Each,
    /// Not at all.
    None,
}

/// What an operand may be besides what its argument says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Or {
    /// Nothing else.
    Nothing,
    /// The name of a share.
    Share,
    /// What `owsync peers` calls a peer.
    Peer,
}

/// What an interface asks for.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// The node answers.
    Command(Command),
    /// The daemon answers from memory, with a value that [`crate::node::api::status`] describes.
    Read(Read),
    /// Read the configuration again.
    Reload,
    /// Receive events on this connection from now on.
    Subscribe,
    /// Join the cluster that a join text belongs to.
    Join {
        /// The text.
        text: String,
        /// Where the reference is, if not at the addresses in the text.
        addresses: Vec<String>,
    },
}

/// What is answered from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The whole status.
    Status,
    /// The peers.
    Peers,
    /// The shares.
    Shares,
}

/// The operation of this name.
pub fn named(name: &str) -> Option<&'static Op> {
    OPS.iter().find(|op| op.name == name)
}

/// The request that an operation and its arguments make.
///
/// # Errors
/// The reply that says what is wrong with them.
pub fn request(settings: &Settings, name: &str, params: &Tree) -> Result<Request, Reply> {
    match named(name) {
        Some(op) => (op.read)(&Arguments::new(settings, params)),
        None => Err(Reply::failed(Fault::NotFound, format!("there is no method {}", escape::escape(name.as_bytes())))),
    }
}

impl Op {
    /// Whether ubus has it as a method.
    pub fn is_method(&self) -> bool {
        self.access != Access::Connection
    }

    /// Its operands, in their order at the command line.
    pub fn operands(&self) -> impl Iterator<Item = &'static Argument> {
        self.arguments.iter().filter(|argument| matches!(argument.form, Form::Operand { .. }))
    }
}

impl PartialEq for Op {
    fn eq(&self, other: &Op) -> bool {
        self.name == other.name
    }
}

impl Eq for Op {}

impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Op({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ShareName;
    use crate::model::settings::ShareSettings;
    use std::collections::BTreeSet;

    fn settings() -> Settings {
        let shares = vec![ShareSettings::new(ShareName::main(), "/etc/config".into())];
        Settings { shares, ..Settings::new("r1") }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = OPS.iter().map(|op| op.name).collect();
        assert_eq!(names.len(), OPS.len());
        let commands: Vec<&str> = OPS.iter().filter_map(|op| op.command).collect();
        assert_eq!(commands.iter().collect::<BTreeSet<_>>().len(), commands.len());
        for op in OPS {
            let arguments: BTreeSet<&str> = op.arguments.iter().map(|argument| argument.name).collect();
            assert_eq!(arguments.len(), op.arguments.len(), "{}", op.name);
        }
    }

    /// Valid arguments of an operation, with one of them replaced.
    fn arguments(op: &Op, other: Option<(&str, Tree)>) -> Tree {
        let mut arguments = Tree::map();
        // A version is named by a number or by its path, and is compared with a peer's file or with another version.
        let excluded = |name: &str| match &other {
            Some((replaced, _)) if *replaced == "with" => matches!(name, "number" | "peer"),
            Some((replaced, _)) if *replaced == "number" => name == "with",
            _ => matches!(name, "number" | "with"),
        };
        for argument in op.arguments.iter().filter(|argument| !excluded(argument.name)) {
            let value = match (argument.name, argument.kind) {
                (name, _) if other.as_ref().is_some_and(|(replaced, _)| *replaced == name) => continue,
                ("share", _) => Tree::from("main"),
                ("why", _) => "first-contact".into(),
                (_, Kind::Word(choices)) => choices[0].word.into(),
                (_, Kind::Text | Kind::Path) => "x".into(),
                (_, Kind::Number | Kind::Seconds) => 1i64.into(),
                (_, Kind::Flag) => true.into(),
                (_, Kind::Texts) => vec![Tree::from("x")].into(),
            };
            arguments = arguments.with(argument.name, value);
        }
        match other {
            Some((name, value)) => arguments.with(name, value),
            None => arguments,
        }
    }

    #[test]
    fn every_operation_reads_each_of_its_arguments() {
        for op in OPS {
            let reply = request(&settings(), op.name, &arguments(op, None));
            assert!(reply.is_ok(), "{}: {reply:?}", op.name);
            for argument in op.arguments {
                let wrong = arguments(op, Some((argument.name, Tree::map())));
                let reply = request(&settings(), op.name, &wrong);
                assert!(matches!(reply, Err(Reply::Failed { .. })), "{}: {} is not read", op.name, argument.name);
            }
        }
    }

    #[test]
    fn help_is_a_clause_in_the_imperative() {
        let all =
            OPS.iter().flat_map(|op| std::iter::once(op.help).chain(op.arguments.iter().map(|argument| argument.help)));
        for help in all {
            assert!(!help.is_empty() && !help.ends_with('.'), "{help}");
            assert!(!help.starts_with("the peers,") && !help.starts_with("what "), "{help}");
        }
    }

    #[test]
    fn an_unknown_operation_is_named() {
        let reply = request(&settings(), "no\nsuch", &Tree::map());
        assert_eq!(reply, Err(Reply::failed(Fault::NotFound, "there is no method no\\x0asuch")));
    }
}
