//! The configuration of a command: its source, and the options on top of it.
//!
//! Options become lines like those of a config file, said last: so one table says what a value means wherever it stands,
//! and a broken option is reported together with every broken line.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::cli::Failure;
use crate::cli::args::Invocation;
use crate::cli::ask;
use crate::cli::table::{Opt, Verb};
use crate::config::finish::{self, Surroundings};
use crate::config::{Config, Flavour, Kind, Outcome, Place, Problem, Raw, Section, Told, conf, options, uci};
use crate::daemon::{env, place};
use crate::fs::local;
use crate::model::limits;

/// The config file where there is no UCI.
pub const CONF: &str = "/etc/owsync/owsync.conf";

/// UCI's configuration of owsync.
const UCI: &str = "/etc/config/owsync";

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A config file.
    File(PathBuf),
    /// UCI.
    Uci,
    /// Nowhere: options are all there is.
    Options,
}

impl Source {
    /// Where the configuration of this command comes from.
    pub fn of(invocation: &Invocation) -> Source {
        if invocation.verb == Verb::Scan {
            // It is about a directory, not about this node: only what is named counts.
            return choose(invocation.path(Opt::Config), true, false, false);
        }
        choose(
            invocation.path(Opt::Config),
            invocation.has(Opt::Dir) && !matches!(invocation.verb, Verb::Init | Verb::Join),
            exists(&env::uci_dirs().path(&uci::package_name())),
            exists(Path::new(CONF)),
        )
    }

    /// The file it is read from.
    fn path(&self) -> Option<PathBuf> {
        match self {
            Source::File(file) => Some(file.clone()),
            Source::Uci => Some(env::uci_dirs().path(&uci::package_name())),
            Source::Options => None,
        }
    }

    /// Its name, in front of what is wrong with it.
    pub fn label(&self) -> String {
        match self {
            Source::File(file) => file.display().to_string(),
            Source::Uci => UCI.into(),
            Source::Options => String::new(),
        }
    }

    fn flavour(&self) -> Flavour {
        match self {
            Source::File(_) | Source::Options => Flavour::Conf,
            Source::Uci => Flavour::Uci,
        }
    }

    /// Its sections as they were written, and what is wrong with their form.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self) -> Result<(Vec<Section>, Vec<Problem>), Vec<Problem>> {
        match self {
            Source::Options => Ok((Vec::new(), Vec::new())),
            Source::File(file) => match local::read(file, limits::CONF_FILE_MAX).map(Zeroizing::new) {
                Ok(text) => Ok(conf::parse(&text)),
                Err(error) => Err(vec![whole(format!("cannot open {}: {}", file.display(), place::plain(&error)))]),
            },
            Source::Uci => uci::load(&env::uci_dirs()),
        }
    }
}

/// Whether there is a file, as far as this user can know: in a directory that is closed to the user there may be one.
fn exists(file: &Path) -> bool {
    file.try_exists().unwrap_or(true)
}

fn choose(file: Option<PathBuf>, dir: bool, uci: bool, conf: bool) -> Source {
    match file {
        Some(file) => Source::File(file),
        None if dir => Source::Options,
        None if uci => Source::Uci,
        None if conf => Source::File(CONF.into()),
        None => Source::Options,
    }
}

/// A problem of the configuration as a whole.
fn whole(reason: String) -> Problem {
    Problem { place: Place::Argument, key: String::new(), reason }
}

/// Why a command does not know which database it is about.
#[derive(Debug, PartialEq, Eq)]
pub enum NoDatabase {
    /// This user may not read the configuration that names it.
    Forbidden(PathBuf),
    /// The configuration cannot be read, as lines for users.
    Broken(Vec<String>),
}

impl From<NoDatabase> for Failure {
    fn from(error: NoDatabase) -> Failure {
        match error {
            NoDatabase::Forbidden(path) => Failure::NoDaemon(ask::forbidden(&path)),
            NoDatabase::Broken(lines) => Failure::Usage(lines),
        }
    }
}

/// A configuration with what to say about it.
pub struct Loaded<T> {
    /// It, or every error in it as lines for users.
    pub result: Result<T, Vec<String>>,
    /// Tolerated faults, as lines for users.
    pub warnings: Vec<String>,
}

/// Reads the whole configuration of a command.
pub fn load(invocation: &Invocation) -> Loaded<Config> {
    let source = Source::of(invocation);
    in_words(&source, outcome(&source, &overrides(invocation), invocation.verb))
}

/// As [`load`], without keys and without asking the machine: for commands that need no more than what was written.
pub fn load_told(invocation: &Invocation) -> Loaded<Told> {
    let source = Source::of(invocation);
    in_words(&source, told(&source, &overrides(invocation)))
}

/// Reads the configuration again, each time it is called; `None` where there is nothing to read again.
pub fn reread(invocation: &Invocation) -> Option<Box<dyn Fn() -> Outcome<Config>>> {
    let source = Source::of(invocation);
    let (raws, verb) = (overrides(invocation), invocation.verb);
    (source != Source::Options).then(|| Box::new(move || outcome(&source, &raws, verb)) as Box<_>)
}

/// A configuration's problems as lines that say where it comes from.
fn in_words<T>(source: &Source, outcome: Outcome<T>) -> Loaded<T> {
    let label = source.label();
    let line = |problem: &Problem| match (&problem.place, label.is_empty()) {
        (Place::Line(_), false) => format!("{label}: {problem}"),
        _ => problem.to_string(),
    };
    Loaded {
        result: outcome.result.map_err(|errors| errors.iter().map(line).collect()),
        warnings: outcome.warnings.iter().map(line).collect(),
    }
}

fn told(source: &Source, raws: &[Raw]) -> Outcome<Told> {
    let (sections, mut warnings) = match sections(source, raws) {
        Ok(read) => read,
        Err(errors) => return Outcome { result: Err(errors), warnings: Vec::new() },
    };
    let outcome = options::build(&sections, source.flavour(), &env::hostname());
    warnings.extend(outcome.warnings);
    Outcome { result: outcome.result, warnings }
}

/// What is written in the source, with the options said last.
fn sections(source: &Source, raws: &[Raw]) -> Result<(Vec<Section>, Vec<Problem>), Vec<Problem>> {
    let (mut sections, warnings) = source.read()?;
    sections.push(Section { kind: Kind::Main, place: Place::Argument, options: raws.to_vec() });
    Ok((sections, warnings))
}

fn outcome(source: &Source, raws: &[Raw], verb: Verb) -> Outcome<Config> {
    let (sections, mut warnings) = match sections(source, raws) {
        Ok(read) => read,
        Err(errors) => return Outcome { result: Err(errors), warnings: Vec::new() },
    };
    let (told, mut errors, tolerated) = options::read(&sections, source.flavour(), &env::hostname());
    warnings.extend(tolerated);
    let file = source.path().map(|file| std::path::absolute(&file).unwrap_or(file));
    let env_key = env::variable("OWSYNC_KEY").map(|key| Zeroizing::new(key.to_string_lossy().into_owned()));
    let finished = finish::finish(told, source.flavour(), &Surroundings { file, env_key, release: env::release() });
    warnings.extend(finished.warnings);
    let result = match finished.result {
        Ok(mut config) if errors.is_empty() => {
            let settings = &mut config.settings;
            let nobody = settings.plain_mode && !settings.peers.iter().any(|peer| peer.address.is_some());
            settings.plain_from_anywhere = verb == Verb::Listen && settings.plain_mode && settings.peers.is_empty();
            // The commands of setting up come before there is a peer.
            let runs = matches!(verb, Verb::Daemon | Verb::Listen | Verb::Check);
            if runs && nobody && !settings.plain_from_anywhere {
                let add = match source.flavour() {
                    Flavour::Conf => "add peer=ADDRESS",
                    Flavour::Uci => "add a peer with its address",
                };
                config.peer_problem = Some(format!(
                    "plain_mode accepts only the addresses of configured peers, and no peer with an address is \
                     configured: {add}"
                ));
            }
            Ok(config)
        }
        Ok(_) => Err(errors),
        Err(more) => {
            // Where the key was written wrongly, that there is none goes without saying.
            let known = |problem: &Problem| matches!(problem.key.as_str(), "encryption_key" | "key" | "key_file");
            let said = errors.iter().any(known);
            errors.extend(more.into_iter().filter(|problem| !(said && known(problem))));
            Err(errors)
        }
    };
    Outcome { result, warnings }
}

/// The options of a command that say the same as a line of a config file.
pub fn overrides(invocation: &Invocation) -> Vec<Raw> {
    let line = |(opt, value): &(Opt, std::ffi::OsString)| {
        let (key, fixed) = match opt {
            Opt::Dir => ("sync_dir", None),
            Opt::Database => ("database", None),
            Opt::Include => ("include", None),
            Opt::Exclude => ("exclude", None),
            Opt::Host => ("bind_host", None),
            Opt::Port => ("port", None),
            Opt::Plain => ("plain_mode", Some("1")),
            Opt::PollInterval => ("poll_interval", None),
            Opt::AutoSync => ("peer", None),
            Opt::Verbose => ("log_level", Some("3")),
            Opt::Quiet => ("log_level", Some("0")),
            Opt::LogLevel => ("log_level", None),
            _ => return None,
        };
        let value = fixed.map_or_else(|| value.as_encoded_bytes().to_vec(), |text| text.as_bytes().to_vec());
        Some(Raw { place: Place::Argument, key: key.into(), values: vec![value] })
    };
    invocation.options.iter().filter_map(line).collect()
}

/// The database of the daemon that a command means, even where the rest of the configuration is broken.
///
/// # Errors
/// The configuration cannot be read at all.
pub fn database(invocation: &Invocation) -> Result<PathBuf, NoDatabase> {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    if let Some(database) = invocation.path(Opt::Database) {
        return Ok(absolute(database));
    }
    let source = Source::of(invocation);
    let (sections, _) = match source.read() {
        Ok(read) => read,
        Err(errors) => {
            // The daemon continues with the previous configuration, and reports what is wrong with this one: commands must
            // find it, and on a router it is at the default place.
            let usual = finish::default_database(source.flavour());
            let there = source.flavour() == Flavour::Uci && ask::find(&usual).is_ok();
            if there {
                return Ok(usual);
            }
            let denied = |file: &PathBuf| {
                local::read(file, limits::CONF_FILE_MAX)
                    .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
            };
            return Err(match source.path().filter(denied) {
                Some(file) => NoDatabase::Forbidden(file),
                None => NoDatabase::Broken(errors.iter().map(ToString::to_string).collect()),
            });
        }
    };
    let written = sections
        .iter()
        .filter(|section| section.kind == Kind::Main)
        .flat_map(|section| &section.options)
        .rfind(|raw| matches!(raw.key.as_str(), "database" | "db"))
        .and_then(|raw| raw.values.last())
        .filter(|value| !value.is_empty());
    Ok(match written {
        Some(value) => {
            use std::os::unix::ffi::OsStringExt as _;
            absolute(std::ffi::OsString::from_vec(value.clone()).into())
        }
        None => finish::default_database(source.flavour()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Wish, parse};

    fn invocation(line: &str) -> Invocation {
        match parse(line.split_whitespace().map(std::ffi::OsString::from)).unwrap() {
            Wish::Run(invocation) => invocation,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_named_file_wins_then_options_then_what_the_machine_has() {
        let file = || Some(PathBuf::from("/f"));
        let conf = || Source::File(CONF.into());
        for (named, dir, uci, has_conf, expected) in [
            (file(), true, true, true, Source::File("/f".into())),
            (None, true, true, true, Source::Options),
            (None, false, true, true, Source::Uci),
            (None, false, false, true, conf()),
            (None, false, false, false, Source::Options),
        ] {
            assert_eq!(choose(named, dir, uci, has_conf), expected);
        }
    }

    #[test]
    fn options_win_over_the_file_and_add_to_its_lists() {
        let invocation = invocation(
            "daemon --dir /b --port 99 -i x --auto-sync 10.0.0.9,10.0.0.1 -p -v --log-level 1 --poll-interval -5",
        );
        let (mut sections, _) = conf::parse(b"sync_dir=/a\nport=1\ninclude=y\npeer=10.0.0.8\nplain_mode=0\n");
        sections.push(Section { kind: Kind::Main, place: Place::Argument, options: overrides(&invocation) });

        let outcome = options::build(&sections, Flavour::Conf, "node");

        let told = outcome.result.unwrap();
        assert_eq!((told.port, told.log_level, told.settings.plain_mode), (99, 1, true));
        let share = &told.settings.shares[0];
        assert_eq!((share.dir.as_path(), &share.include[..]), (Path::new("/b"), &[b"y".to_vec(), b"x".to_vec()][..]));
        let peers: Vec<String> =
            told.settings.peers.iter().map(|peer| peer.address.as_ref().unwrap().to_string()).collect();
        assert_eq!(peers, ["10.0.0.8:99", "10.0.0.9:99"]);
        assert_eq!(outcome.warnings.len(), 1, "{:?}", outcome.warnings);
    }

    #[test]
    fn the_database_is_found_in_a_file_that_is_otherwise_broken() {
        let dir = std::env::temp_dir().join(format!("owsync-cli-setup-{}", std::process::id()));
        std::fs::write(&dir, "port=nonsense\ndb=/x/one.db\n[share a]\ndatabase=/x/two.db\n").unwrap();

        let found = database(&invocation(&format!("status -c {}", dir.display())));

        std::fs::remove_file(&dir).unwrap();
        assert_eq!(found, Ok(PathBuf::from("/x/one.db")));
        assert_eq!(database(&invocation("status -b /y.db -c /nonexistent")), Ok(PathBuf::from("/y.db")));
        assert_eq!(
            database(&invocation("status -c /nonexistent/f")),
            Err(NoDatabase::Broken(vec!["cannot open /nonexistent/f: No such file or directory".into()]))
        );
    }
}
