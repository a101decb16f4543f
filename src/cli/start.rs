//! `daemon`, `listen` and `connect`: from arguments to a running node.
//!
//! Everything that can be wrong with a configuration is said before anything starts.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

use crate::cli::args::Invocation;
use crate::cli::setup::{self, Source};
use crate::cli::table::{Opt, Verb};
use crate::cli::{Done, Failure, say};
use crate::config::{Config, Flavour, values};
use crate::daemon::log::{Form, Log};
use crate::daemon::{self, Role, Start};
use crate::model::Direction;
use crate::node::api::Level;

/// Starts a node, and returns when it has ended.
///
/// # Errors
/// It could not start; nothing was begun.
pub fn start(invocation: &Invocation) -> Result<Done, Failure> {
    let loaded = setup::load(invocation);
    let config = match loaded.result {
        Ok(config) => config,
        Err(errors) => {
            let warnings = loaded.warnings.iter().map(|warning| format!("warning: {warning}"));
            return Err(Failure::Usage(errors.into_iter().chain(warnings).collect()));
        }
    };
    let role = role(invocation, &config)?;
    let alone = Source::of(invocation) == Source::Options;
    if matches!(role, Role::Daemon) && alone && config.settings.peers.is_empty() {
        // The predecessor's words: scripts look for them.
        return Err(Failure::usage("daemon requires at least one --auto-sync peer"));
    }
    if let (Flavour::Conf, Some(problem)) = (config.flavour, &config.peer_problem) {
        return Err(Failure::usage(problem.clone()));
    }
    if alone || !matches!(role, Role::Daemon) {
        // The user waits for an answer. A daemon with a configuration holds such a share instead, until the directory exists.
        let problems: Vec<String> = config
            .settings
            .shares
            .iter()
            .filter(|share| share.enabled)
            .filter_map(|share| directory_problem(&share.dir, share.direction))
            .collect();
        if !problems.is_empty() {
            return Err(Failure::Failed(problems));
        }
    }
    let log = log(invocation, &role, config.log_level);
    for warning in &loaded.warnings {
        log.say(Level::Warning, warning);
        if !on_stderr(invocation, &role) {
            say(&format!("owsync: warning: {warning}\n"));
        }
    }
    let reread = setup::reread(invocation);
    match daemon::run(Start { config, role, log, reread }) {
        Ok(code) => Ok(Done { code, ..Done::default() }),
        Err(error) => Err(Failure::failed(error)),
    }
}

fn role(invocation: &Invocation, config: &Config) -> Result<Role, Failure> {
    Ok(match invocation.verb {
        Verb::Listen => Role::Listen,
        Verb::Connect => {
            let text = invocation.operand(0).map(|peer| peer.to_string_lossy().into_owned()).unwrap_or_default();
            let to = values::address(&text, config.dial_port())
                .map_err(|error| Failure::usage(format!("connect: {error}")))?;
            Role::Connect { to, quiet: invocation.has(Opt::Quiet) }
        }
        _ => Role::Daemon,
    })
}

/// A command writes to standard error; a daemon writes to syslog.
fn log(invocation: &Invocation, role: &Role, level: u8) -> Log {
    match role {
        Role::Connect { .. } => Log::new(level, false, Form::Plain),
        Role::Daemon | Role::Listen => {
            let form = if invocation.has(Opt::Foreground) { Form::Daemon } else { Form::Off };
            Log::new(level, true, form)
        }
    }
}

fn on_stderr(invocation: &Invocation, role: &Role) -> bool {
    matches!(role, Role::Connect { .. }) || invocation.has(Opt::Foreground)
}

/// What keeps a directory from being synced, if something does; `None` otherwise.
pub fn directory_problem(dir: &Path, direction: Direction) -> Option<String> {
    let shown = dir.display();
    match std::fs::metadata(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(format!("{shown} does not exist")),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Some(format!("{shown} does not exist: a part of its path is not a directory"));
        }
        Err(error) => return Some(format!("cannot read {shown}: {}", daemon::place::plain(&error))),
        Ok(meta) if !meta.is_dir() => return Some(format!("{shown} is not a directory")),
        Ok(_) => {}
    }
    if let Err(error) = access(dir, AccessFlags::R_OK | AccessFlags::X_OK) {
        return Some(format!("cannot read {shown}: {}", error.desc().to_lowercase()));
    }
    if direction.takes() {
        if let Err(error) = access(dir, AccessFlags::W_OK) {
            return Some(format!("cannot write to {shown}: {}", error.desc().to_lowercase()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_synced_is_named_with_the_reason() {
        let file = std::env::temp_dir().join(format!("owsync-cli-start-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let problem = |path: &Path| directory_problem(path, Direction::Both).unwrap_or_default();

        assert!(problem(Path::new("/nonexistent/x")).ends_with("does not exist"));
        assert!(problem(&file).ends_with("is not a directory"));
        assert!(problem(&file.join("below")).contains("does not exist"));
        assert_eq!(directory_problem(&std::env::temp_dir(), Direction::Both), None);

        std::fs::remove_file(&file).unwrap();
    }
}
