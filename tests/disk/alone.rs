//! A process of a test's own: to mount what only it sees, or to be another user.
//!
//! The test binary is started again for that one test, in namespaces where there is need; what is mounted there goes
//! with the process. As root they are made directly, otherwise in a user namespace, where the kernel allows that.

use std::path::Path;
use std::process::{Command, Output};

use crate::skip::{has_program, is_root, not_run};

/// Set in a process that may mount.
const MOUNTS: &str = "OWSYNC_DISK_MOUNTS";
/// Set in a process that runs one test.
const ALONE: &str = "OWSYNC_DISK_ALONE";

/// The command that starts another in a mount namespace of its own; `None`, and reported, where there can be none.
fn unshare() -> Option<Command> {
    if !has_program("unshare") || !has_program("mount") {
        not_run("needs unshare and mount");
        return None;
    }
    let make = || {
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
    };
    let tried = make().arg("true").output().unwrap();
    if !tried.status.success() {
        not_run(&format!("needs root, or namespaces for everybody: {}", String::from_utf8_lossy(&tried.stderr).trim()));
        return None;
    }
    Some(make())
}

/// Starts this test binary with these arguments where it may mount.
pub fn again_with_mounts(words: &[&str], variables: &[(&str, &str)]) -> Option<Output> {
    let mut command = unshare()?;
    command.arg(std::env::current_exe().unwrap()).args(words).env(MOUNTS, "1");
    command.envs(variables.iter().copied());
    Some(command.output().unwrap())
}

/// Whether this process may mount.
pub fn may_mount() -> bool {
    std::env::var_os(MOUNTS).is_some()
}

/// Continues only where this process may mount; otherwise the calling test is run again, to its end, where it may.
///
/// ```ignore
/// if !alone::with_mounts() { return; }
/// ```
#[track_caller]
pub fn with_mounts() -> bool {
    if may_mount() {
        return true;
    }
    let name = own_name();
    if let Some(output) = again_with_mounts(&["--exact", &name, "--nocapture"], &[]) {
        must_have_passed(&output);
    }
    false
}

/// Continues only in a process that no other test shares, so that it can change its user or its limits; otherwise the
/// calling test is run again, to its end, in such a one.
#[track_caller]
pub fn in_a_process() -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", &own_name(), "--nocapture"]).env(ALONE, "1").output().unwrap();
    must_have_passed(&output);
    false
}

/// Becomes a user without privileges; whether that can be. Only after [`in_a_process`].
pub fn become_nobody() -> bool {
    if !is_root() {
        return true;
    }
    assert!(std::env::var_os(ALONE).is_some(), "other tests would become nobody too");
    match nix::unistd::seteuid(nix::unistd::Uid::from_raw(65_534)) {
        Ok(()) => true,
        // In a user namespace there may be no user but root.
        Err(error) => {
            not_run(&format!("cannot become another user: {error}"));
            false
        }
    }
}

/// Takes [`become_nobody`] back.
pub fn become_oneself() {
    if nix::unistd::getuid() != nix::unistd::geteuid() {
        nix::unistd::seteuid(nix::unistd::getuid()).unwrap();
    }
}

/// Mounts; only after [`with_mounts`].
#[track_caller]
pub fn mount(kind: &str, source: &str, options: &str, at: &Path) {
    let output = try_mount(kind, source, options, at);
    assert!(output.status.success(), "mount {kind}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Mounts, or says why not.
pub fn try_mount(kind: &str, source: &str, options: &str, at: &Path) -> Output {
    assert!(may_mount(), "everybody would see this mount");
    let mut command = Command::new("mount");
    if kind == "bind" {
        command.arg("--bind");
    } else {
        command.args(["-t", kind]);
    }
    if !options.is_empty() {
        command.args(["-o", options]);
    }
    command.arg(source).arg(at).output().unwrap()
}

/// Unmounts what is mounted there, also while it is in use.
pub fn unmount(at: &Path) {
    let output = Command::new("umount").arg("-l").arg(at).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The calling test's name: libtest gives its thread the same.
fn own_name() -> String {
    std::thread::current().name().expect("a test's thread has its name").to_string()
}

#[track_caller]
pub fn must_have_passed(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // A name that matched no test would pass too.
    assert!(output.status.success() && !out.contains("running 0 tests"), "\n{out}\n{err}");
    eprint!("{err}");
}
