//! Tests that cannot be run here say so by name, instead of passing in silence.

use std::io::Write;

/// Says that this test was not run, and why: on standard error, and as a line `NAME: reason` at the end of the file that
/// OWSYNC_TEST_SKIPPED names, which `make test` prints.
pub fn not_run(reason: &str) {
    let thread = std::thread::current();
    let line = format!("{}::{}: {}\n", env!("CARGO_CRATE_NAME"), thread.name().unwrap_or("?"), reason.trim());
    eprint!("not run: {line}");
    if let Some(file) = std::env::var_os("OWSYNC_TEST_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        // One write, so that tests side by side do not mix their lines.
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Whether a program is there to be used.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The prefix of a command that runs it as a user without rights: nothing for a user who has none.
pub fn as_nobody() -> Vec<String> {
    if !is_root() {
        return Vec::new();
    }
    ["setpriv", "--reuid=nobody", &format!("--regid={}", nobody().gid), "--clear-groups", "--"]
        .map(String::from)
        .to_vec()
}

/// The user without rights.
pub fn nobody() -> nix::unistd::User {
    nix::unistd::User::from_name("nobody").unwrap().expect("a user 'nobody'")
}
