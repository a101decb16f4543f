//! Reads and changes the uncommitted changes of UCI packages for commits.

use crate::daemon::env;
use crate::daemon::shell::Shell;
use crate::fs::uci_file::{DeltaDir, SessionId, UciFileError};
use crate::model::{Map, RelPath};
use crate::node::api::{Command, Fault, Level, Reply};
use crate::node::{CommandId, DeltaChange};
use crate::uci::PackageName;

/// Commits whose uncommitted changes may have to be put back.
const REMEMBERED: usize = 8;

impl Shell {
    /// The same command, with the uncommitted changes that it is to commit.
    ///
    /// # Errors
    /// The answer: there are none, or they cannot be read.
    pub(super) fn with_deltas(&mut self, id: CommandId, command: Command) -> Result<Command, Reply> {
        let Command::Commit(mut request) = command else { return Ok(command) };
        let failed = |error: UciFileError| Reply::failed(Fault::System, error.to_string());
        let dir = match &request.session {
            None => DeltaDir::Uci,
            Some(text) => DeltaDir::Session(
                SessionId::parse(text)
                    .ok_or_else(|| Reply::failed(Fault::Argument, "a session ID has 32 hexadecimal digits"))?,
            ),
        };
        let dirs = env::uci_dirs();
        let named: Vec<&String> = request.what.iter().filter(|word| !word.contains([':', '/'])).collect();
        let packages = if request.what.is_empty() {
            dirs.changed_packages(&dir).map_err(failed)?
        } else {
            let parse = |word: &&String| {
                let wrong = || Reply::failed(Fault::Argument, format!("{word} is no name of a UCI package"));
                PackageName::parse(word.as_bytes()).ok_or_else(wrong)
            };
            named.iter().map(parse).collect::<Result<Vec<_>, _>>()?
        };
        let mut deltas: Map<RelPath, Vec<u8>> = Map::new();
        for package in packages {
            let text = dirs.delta(&dir, &package).map_err(failed)?;
            if text.is_empty() {
                return Err(Reply::failed(Fault::NotFound, format!("{package} has no uncommitted changes")));
            }
            if let Ok(path) = RelPath::parse(package.as_str().as_bytes()) {
                deltas.insert(path, text);
            }
        }
        request.deltas = deltas;
        self.committing.push((id, dir));
        if self.committing.len() > REMEMBERED {
            self.committing.remove(0);
        }
        Ok(Command::Commit(request))
    }

    /// Removes uncommitted changes that are in their packages by now, or puts them back.
    pub(super) fn change_deltas(&mut self, command: CommandId, deltas: &Map<RelPath, Vec<u8>>, change: DeltaChange) {
        let Some(dir) = self.committing.iter().find(|(id, _)| *id == command).map(|(_, dir)| dir.clone()) else {
            return;
        };
        let dirs = env::uci_dirs();
        for (path, text) in deltas.iter() {
            let Some(package) = PackageName::at(path) else { continue };
            let changed = match change {
                DeltaChange::Remove => dirs.remove_delta(&dir, &package, text),
                DeltaChange::PutBack => dirs.restore_delta(&dir, &package, text),
            };
            let problem = match changed {
                Ok(true) => continue,
                Ok(false) => "another program changed them".to_string(),
                Err(error) => error.to_string(),
            };
            let what = match change {
                DeltaChange::Remove => "were committed and cannot be removed: run `uci revert",
                DeltaChange::PutBack => "were rolled back and are lost: see `owsync log",
            };
            let line = format!("the uncommitted changes of {package} {what} {package}`: {problem}");
            self.p.log.say(Level::Warning, line);
        }
    }
}
