//! Finds the running daemon and asks it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::request::Request;
use crate::daemon::place::{self, Place};
use crate::fs::local;
use crate::fs::owners::Owners;
use crate::model::limits;

/// Longest answer that is read, in bytes: a status with every list full is far below.
const ANSWER_MAX: u64 = 64 * 1024 * 1024;

/// A daemon that was found.
pub struct Daemon {
    stream: BufReader<UnixStream>,
    path: PathBuf,
    next: u64,
}

/// Why no daemon was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Absent {
    /// There is no socket, or no process behind it.
    NotRunning,
    /// There is one, and this user may not use it.
    Forbidden(PathBuf),
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The daemon refuses.
    Said {
        /// The code for scripts.
        code: String,
        /// What went wrong.
        message: String,
    },
    /// There is no response, or a malformed one.
    Broken(String),
}

/// Finds the daemon that has this database.
///
/// # Errors
/// There is none, or this user may not ask it.
pub fn find(database: &Path) -> Result<Daemon, Absent> {
    let place = Place::new(database);
    let mut forbidden = None;
    for path in place.control_sockets() {
        match UnixStream::connect(&path) {
            Ok(stream) => return Ok(Daemon { stream: BufReader::new(stream), path, next: 1 }),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                // In a directory of root's there may be a socket, but not that of a daemon which has a user's own database.
                if path.symlink_metadata().is_ok() || !is_own(&place) {
                    forbidden = forbidden.or(Some(path));
                }
            }
            Err(_) => {}
        }
    }
    Err(forbidden.map_or(Absent::NotRunning, Absent::Forbidden))
}

/// Whether a database belongs to this user, or would once it is made.
fn is_own(place: &Place) -> bool {
    let about = place.database().ancestors().find_map(|path| path.metadata().ok());
    about.is_some_and(|about| about.uid() == nix::unistd::geteuid().as_raw())
}

/// The message where no daemon was found.
pub fn absence(absent: &Absent, database: &Path) -> Vec<String> {
    match absent {
        Absent::Forbidden(path) => forbidden(path),
        Absent::NotRunning => {
            let place = Place::new(database);
            let looked: Vec<String> = place.control_sockets().iter().map(|path| path.display().to_string()).collect();
            vec![
                format!("no owsync daemon uses the database {} (nothing responds at {})", place.database().display(), looked.join(", ")),
                "start it with `service owsync start`, `systemctl start owsync` or `owsync daemon -c FILE`; name a different one with -c FILE or --db FILE".into(),
            ]
        }
    }
}

/// What to tell a user who may not open what leads to the daemon.
pub fn forbidden(path: &Path) -> Vec<String> {
    // In a directory that is closed to this user only the directory is seen.
    let about = path.ancestors().find_map(|path| path.metadata().ok());
    let owner = about.map_or(0, |about| about.uid());
    let passwd = local::read(Path::new("/etc/passwd"), limits::UCI_FILE_MAX).unwrap_or_default();
    let owner = Owners::parse(&passwd, b"").name(owner, 0).user.clone();
    let sudo = if &*owner == "root" { "sudo".into() } else { format!("sudo -u {owner}") };
    vec![
        format!("not allowed to ask owsync: this user may not open {}, which belongs to {owner}", path.display()),
        format!("run the command as {owner}: `{sudo} owsync ...`"),
    ]
}

impl Daemon {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The daemon refuses, or does not answer.
    pub fn ask(&mut self, request: &Request) -> Result<Value, Refusal> {
        self.ask_and_watch(request, &mut |_, _| {})
    }

    /// The same, and reports each event that comes before the answer, by its name and details.
    ///
    /// # Errors
    /// As [`Daemon::ask`].
    pub fn ask_and_watch(&mut self, request: &Request, watch: &mut dyn FnMut(&str, &Value)) -> Result<Value, Refusal> {
        let id = self.next;
        self.next += 1;
        let failed = |path: &Path, what: &str, error: &std::io::Error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                Refusal::Broken(format!("the daemon did not respond within {} s", request.patience.as_secs()))
            }
            _ => Refusal::Broken(format!("{what} {}: {}", path.display(), place::plain(error))),
        };
        let stream = self.stream.get_mut();
        let line = format!("{}\n", json!({ "id": id, "method": request.method, "params": request.params }));
        stream
            .set_read_timeout(Some(request.patience))
            .and_then(|()| stream.set_write_timeout(Some(request.patience)))
            .and_then(|()| stream.write_all(line.as_bytes()))
            .map_err(|error| failed(&self.path, "cannot connect to", &error))?;
        loop {
            let mut answer = Vec::new();
            let mut bounded = (&mut self.stream).take(ANSWER_MAX);
            bounded.read_until(b'\n', &mut answer).map_err(|error| failed(&self.path, "no response from", &error))?;
            if answer.is_empty() {
                return Err(Refusal::Broken("the daemon ended before it responded".into()));
            }
            if let Some(outcome) = read_answer(&answer, id) {
                return outcome;
            }
            let event: Option<Value> = serde_json::from_slice(&answer).ok();
            if let Some((name, data)) =
                event.as_ref().and_then(|event| Some((event["event"].as_str()?, &event["data"])))
            {
                watch(name, data);
            }
        }
    }
}

/// The answer to question `id` in a line; `None` where the line answers a different one, or is an event.
fn read_answer(line: &[u8], id: u64) -> Option<Result<Value, Refusal>> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(line) else {
        return Some(Err(Refusal::Broken("the daemon's response is not JSON".into())));
    };
    // A question that could not be read there is answered without its number.
    let about = fields.get("id");
    if !(about == Some(&json!(id)) || (about == Some(&Value::Null) && fields.contains_key("error"))) {
        return None;
    }
    if let Some(result) = fields.remove("result") {
        return Some(Ok(result));
    }
    let text = |name: &str| fields.get("error")?.get(name)?.as_str().map(str::to_string);
    Some(Err(match (text("code"), text("message")) {
        (Some(code), Some(message)) => Refusal::Said { code, message },
        _ => Refusal::Broken("the daemon's response has neither a result nor an error".into()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_belong_to_questions() {
        let said = |code: &str, message: &str| Refusal::Said { code: code.into(), message: message.into() };
        for (line, outcome) in [
            (r#"{"id":7,"result":{"a":1}}"#, Some(Ok(json!({"a": 1})))),
            (r#"{"id":6,"result":{"a":1}}"#, None),
            (r#"{"event":"owsync.synced","data":{}}"#, None),
            (r#"{"id":7,"error":{"code":"state","message":"held"}}"#, Some(Err(said("state", "held")))),
            (r#"{"id":null,"error":{"code":"argument","message":"long"}}"#, Some(Err(said("argument", "long")))),
        ] {
            assert_eq!(read_answer(line.as_bytes(), 7), outcome, "{line}");
        }
        for broken in ["", "x", r#"{"id":7}"#, r#"{"id":7,"error":{}}"#] {
            assert!(matches!(read_answer(broken.as_bytes(), 7), Some(Err(Refusal::Broken(_)))), "{broken}");
        }
    }

    #[test]
    fn a_missing_daemon_is_reported_with_its_database_and_sockets() {
        let lines = absence(&Absent::NotRunning, Path::new("/nonexistent/owsync.db"));
        assert!(lines[0].contains("/nonexistent/owsync.db (nothing responds at /"), "{lines:?}");
        assert!(lines[1].contains("owsync daemon -c FILE"), "{lines:?}");
        assert!(matches!(find(Path::new("/nonexistent/owsync.db")), Err(Absent::NotRunning)));
    }
}
