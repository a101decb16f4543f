//! Reports tests that cannot be run on this machine by name.

use std::io::Write;

use crate::daemon::env;

/// Says that this test was not run, and why: on standard error, and as a line `NAME: reason` at the end of the file that
/// `OWSYNC_TEST_SKIPPED` names, which `make test` prints.
pub fn say(reason: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {reason}\n", thread.name().unwrap_or("?"));
    eprint!("not run: {line}");
    if let Some(path) = env::variable("OWSYNC_TEST_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        // One write, so that tests side by side do not mix their lines.
        file.write_all(line.as_bytes()).unwrap();
    }
}
