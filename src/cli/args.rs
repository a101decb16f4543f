//! From arguments to an [`Invocation`], by the table.
//!
//! Why lexopt? `argh`, which the project was first asked for, knows no `--opt=value`, `-h` and `-V`; lexopt gives the
//! arguments one by one and leaves their meaning to [`table`], so that options may stand before the command.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::cli::table::{self, CommandSpec, Opt, OptionSpec, Verb};
use crate::model::escape;

/// What the arguments ask for.
#[derive(Debug, PartialEq)]
pub enum Wish {
    /// This.
    Run(Invocation),
    /// Help, of everything or of the command of this name.
    Help(Option<&'static str>),
    /// The version.
    Version,
    /// Nothing was said.
    Nothing,
}

/// A command with its operands and options.
#[derive(Debug, PartialEq)]
pub struct Invocation {
    /// The command.
    pub verb: Verb,
    /// Its operands.
    pub operands: Vec<OsString>,
    /// Its options with their values, in the order in which they were given.
    pub options: Vec<(Opt, OsString)>,
}

impl Invocation {
    /// Whether an option was given.
    pub fn has(&self, opt: Opt) -> bool {
        self.options.iter().any(|(given, _)| *given == opt)
    }

    /// The last value of an option.
    pub fn last(&self, opt: Opt) -> Option<&OsStr> {
        self.all(opt).last()
    }

    /// Every value of an option.
    pub fn all(&self, opt: Opt) -> impl Iterator<Item = &OsStr> {
        self.options.iter().filter(move |(given, _)| *given == opt).map(|(_, value)| value.as_os_str())
    }

    /// The last value of an option that names a file or directory.
    pub fn path(&self, opt: Opt) -> Option<PathBuf> {
        self.last(opt).map(PathBuf::from)
    }

    /// The last value of an option as text; `None` also where it is not UTF-8, which no name or number is.
    pub fn text(&self, opt: Opt) -> Option<&str> {
        self.last(opt).and_then(OsStr::to_str)
    }

    /// The operand at this place.
    pub fn operand(&self, index: usize) -> Option<&OsStr> {
        self.operands.get(index).map(OsString::as_os_str)
    }
}

/// An option as it was written, before the command says what it means.
enum Given {
    Long(String),
    Short(char),
}

impl Given {
    fn matches(&self, spec: &OptionSpec) -> bool {
        match self {
            Given::Long(name) => spec.long.contains(&name.as_str()),
            Given::Short(letter) => spec.short == Some(*letter),
        }
    }

    fn text(&self) -> String {
        match self {
            Given::Long(name) => format!("--{name}"),
            Given::Short(letter) => format!("-{letter}"),
        }
    }
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// What is wrong with them, for the person who typed them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Wish, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut given: Vec<(Given, OsString)> = Vec::new();
    let mut words: Vec<OsString> = Vec::new();
    let (mut help, mut version) = (false, false);
    loop {
        let one = match parser.next().map_err(|error| error.to_string())? {
            None => break,
            Some(lexopt::Arg::Value(word)) => {
                words.push(word);
                continue;
            }
            Some(lexopt::Arg::Long(name)) => Given::Long(name.into()),
            Some(lexopt::Arg::Short(letter)) => Given::Short(letter),
        };
        let Some(spec) = table::options().find(|spec| one.matches(spec)) else {
            return Err(format!("unknown option '{}'", one.text()));
        };
        match spec.opt {
            Opt::Help => help = true,
            Opt::Version => version = true,
            _ => {
                let value = if spec.value.is_some() {
                    parser.value().map_err(|error| error.to_string())?
                } else {
                    OsString::new()
                };
                given.push((one, value));
            }
        }
    }
    if words.is_empty() {
        return match (version, help, given.first()) {
            (true, ..) => Ok(Wish::Version),
            (_, true, _) => Ok(Wish::Help(None)),
            (.., Some(_)) => Err("there is no command".into()),
            (.., None) => Ok(Wish::Nothing),
        };
    }
    let (spec, used) = find(&words)?;
    if version {
        return Ok(Wish::Version);
    }
    let operands = words.split_off(used);
    if spec.verb() == Verb::Help {
        return match operands.is_empty() {
            true => Ok(Wish::Help(None)),
            false => find(&operands).map(|(spec, _)| Wish::Help(Some(spec.name()))),
        };
    }
    if help {
        return Ok(Wish::Help(Some(spec.name())));
    }
    let mut options = Vec::new();
    for (one, value) in given {
        match spec.options().iter().find(|option| one.matches(option)) {
            Some(option) => options.push((option.opt, value)),
            None => return Err(format!("'{}' has no option '{}'", spec.name(), one.text())),
        }
    }
    let (least, most) = spec.count();
    if operands.len() < least {
        return Err(format!("'{}' needs {}", spec.name(), spec.operands()));
    }
    if let Some(excess) = operands.get(most) {
        return Err(format!("'{}' is one argument too many for '{}'", shown(excess), spec.name()));
    }
    Ok(Wish::Run(Invocation { verb: spec.verb(), operands, options }))
}

/// The command that these words begin with, and how many of them are its name.
fn find(words: &[OsString]) -> Result<(CommandSpec, usize), String> {
    let word = |index: usize| words.get(index).and_then(|word| word.to_str()).unwrap_or_default();
    let two = format!("{} {}", word(0), word(1));
    if let Some(spec) = table::commands().find(|spec| spec.name() == two) {
        return Ok((spec, 2));
    }
    match table::commands().find(|spec| spec.name() == word(0)) {
        Some(spec) => Ok((spec, 1)),
        None => Err(format!("unknown command '{}'", words.first().map(shown).unwrap_or_default())),
    }
}

/// A word for a message.
fn shown(word: &OsString) -> String {
    escape::escape(word.as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wish, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn run(verb: Verb, operands: &[&str], options: &[(Opt, &str)]) -> Result<Wish, String> {
        Ok(Wish::Run(Invocation {
            verb,
            operands: operands.iter().map(OsString::from).collect(),
            options: options.iter().map(|(opt, value)| (*opt, OsString::from(value))).collect(),
        }))
    }

    fn ask(name: &str) -> Verb {
        Verb::Ask(crate::ops::named(name).unwrap())
    }

    #[test]
    fn options_stand_anywhere_and_in_every_form() {
        let expected = run(Verb::Connect, &["host:1"], &[(Opt::Config, "f"), (Opt::Plain, ""), (Opt::Include, "*")]);
        for line in [
            "connect host:1 -c f -p -i *",
            "-c f connect --plain --include=* host:1",
            "connect -cf -pi* host:1",
            "connect --config f --plain -i=* -- host:1",
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn one_name_means_what_the_command_makes_of_it() {
        assert_eq!(read("sync --share vpn"), run(ask("sync"), &[], &[(Opt::Ask("share"), "vpn")]));
        assert_eq!(read("init --share vpn=/x"), run(Verb::Init, &[], &[(Opt::ShareDir, "vpn=/x")]));
        assert_eq!(read("peers"), run(ask("peers"), &[], &[]));
        assert_eq!(read("peers forget r2"), run(ask("forget_peer"), &["r2"], &[]));
        assert_eq!(read("daemon --debug"), run(Verb::Daemon, &[], &[(Opt::Verbose, "")]));
        assert_eq!(read("daemon --poll-interval -5"), run(Verb::Daemon, &[], &[(Opt::PollInterval, "-5")]));
    }

    #[test]
    fn help_and_version_win_over_everything_that_could_be_read() {
        for (line, wish) in [
            ("", Wish::Nothing),
            ("-h", Wish::Help(None)),
            ("help", Wish::Help(None)),
            ("--help", Wish::Help(None)),
            ("connect -h", Wish::Help(Some("connect"))),
            ("help peers forget", Wish::Help(Some("peers forget"))),
            ("scan --json --help", Wish::Help(Some("scan"))),
            ("-V", Wish::Version),
            ("listen --version", Wish::Version),
        ] {
            assert_eq!(read(line), Ok(wish), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (line, text) in [
            ("listen --debug-clock-offset 5", "unknown option '--debug-clock-offset'"),
            ("frobnicate", "unknown command 'frobnicate'"),
            ("help frobnicate", "unknown command 'frobnicate'"),
            ("-p", "there is no command"),
            ("status --plain", "'status' has no option '--plain'"),
            ("daemon -n 5", "'daemon' has no option '-n'"),
            ("connect", "'connect' needs PEER"),
            ("connect a b", "'b' is one argument too many for 'connect'"),
            ("daemon --port", "missing argument for option '--port'"),
        ] {
            assert_eq!(read(line), Err(text.into()), "{line}");
        }
        assert!(read("daemon --plain=1").unwrap_err().contains("unexpected argument for option '--plain'"));
    }
}
