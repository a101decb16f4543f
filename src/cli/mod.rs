//! The command line: arguments in, an exit code out.
//!
//! [`table`] says which commands and options there are; parsing ([`args`]) and help ([`help`]) are made from it.
//! [`setup`] finds the configuration. A command either starts something ([`start`]), works on files alone, or asks the
//! running daemon. Each gives a [`Done`] or a [`Failure`]; only [`run`] prints. So what a command says is a value, and
//! what it cost to find out is not mixed with how it looks.
//!
//! Keys never come from an argument and never go into a message; the only texts with a key in them are those whose
//! purpose it is: a new key, and a join text.

pub mod args;
pub mod ask;
pub mod asking;
pub mod check;
pub mod conf_text;
pub mod help;
pub mod init;
pub mod join;
pub mod keys;
pub mod merge_file;
pub mod offline;
pub mod render;
pub mod request;
mod rollback;
pub mod scan;
pub mod setup;
pub mod shares;
pub mod start;
mod suggest;
pub mod table;
pub mod zone;

use std::ffi::OsString;
use std::io::{self, Write};

use args::{Invocation, Wish};
use table::Verb;

/// What a command that did its work has to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// For standard output.
    pub text: Vec<u8>,
    /// For standard error, a line each.
    pub notes: Vec<String>,
    /// The exit code.
    pub code: u8,
}

/// Why a command did not do its work, as lines for standard error.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The arguments, or the configuration, cannot be used: exit code 2.
    Usage(Vec<String>),
    /// It was tried and failed: exit code 1.
    Failed(Vec<String>),
    /// No daemon runs that this user could ask: exit code 3.
    NoDaemon(Vec<String>),
}

impl Failure {
    /// Something failed.
    pub fn failed(line: impl Into<String>) -> Failure {
        Failure::Failed(vec![line.into()])
    }

    /// Something was asked for that cannot be.
    pub fn usage(line: impl Into<String>) -> Failure {
        Failure::Usage(vec![line.into()])
    }
}

impl Done {
    /// Done, with this to say.
    pub fn text(text: impl Into<Vec<u8>>) -> Done {
        Done { text: text.into(), ..Done::default() }
    }
}

/// The exit code where no daemon runs, or this user may not ask it.
pub const NO_DAEMON: u8 = 3;

/// Runs the command that the arguments (without the program's name) ask for; the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    match args::parse(arguments) {
        Ok(Wish::Run(invocation)) => report(command(&invocation)),
        Ok(Wish::Help(None)) => report(Ok(Done::text(help::overview()))),
        Ok(Wish::Help(Some(name))) => {
            let page = table::commands().find(|spec| spec.name() == name).map(|spec| help::command(&spec));
            report(Ok(Done::text(page.unwrap_or_else(help::overview))))
        }
        Ok(Wish::Version) => report(Ok(Done::text(help::version()))),
        Ok(Wish::Nothing) => {
            say(&help::overview());
            2
        }
        Err(error) => {
            say(&format!("owsync: {error}\nowsync: `owsync --help` lists the commands and options\n"));
            2
        }
    }
}

fn command(invocation: &Invocation) -> Result<Done, Failure> {
    match invocation.verb {
        Verb::Daemon | Verb::Listen | Verb::Connect => start::start(invocation),
        Verb::Ask(op) if op.name == "rollback" => rollback::rollback(invocation, op),
        Verb::Ask(op) => asking::asking(invocation, op),
        Verb::Scan => scan::scan(invocation),
        Verb::Genkey => keys::genkey(invocation),
        Verb::Identity => keys::identity(invocation),
        Verb::Check => check::check(invocation),
        Verb::MergeFile => merge_file::merge_file(invocation),
        Verb::Init => init::init(invocation),
        Verb::Invite => init::invite(invocation),
        Verb::Join => join::join(invocation),
        Verb::Help => unreachable!("help is answered before"),
    }
}

/// Prints what a command has to say; the exit code.
fn report(outcome: Result<Done, Failure>) -> u8 {
    let (lines, code) = match outcome {
        Ok(done) => {
            let mut out = io::stdout().lock();
            // A reader that closed the pipe has seen enough; any other error means that the output did not arrive.
            if let Err(error) = out.write_all(&done.text).and_then(|()| out.flush()) {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    say(&format!("owsync: cannot write to standard output: {error}\n"));
                    return 1;
                }
            }
            (done.notes, done.code)
        }
        Err(Failure::Usage(lines)) => (lines, 2),
        Err(Failure::Failed(lines)) => (lines, 1),
        Err(Failure::NoDaemon(lines)) => (lines, NO_DAEMON),
    };
    for line in lines {
        say(&format!("owsync: {line}\n"));
    }
    code
}

/// Writes to standard error; where that is closed the line is lost.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
