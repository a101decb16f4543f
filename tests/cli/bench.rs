//! A directory of a test's own, and the binary run in it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where a test works.
pub struct Bench {
    home: PathBuf,
    program: PathBuf,
    user: Option<u32>,
    owner: bool,
}

/// What a run of the binary came to.
pub struct Run {
    pub out: String,
    pub err: String,
    pub code: i32,
}

impl Bench {
    pub fn new() -> Bench {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("owsync-cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let home = std::env::temp_dir().join(name);
        fs::create_dir_all(&home).unwrap();
        let home = fs::canonicalize(home).unwrap();
        Bench { home, program: env!("CARGO_BIN_EXE_owsync").into(), user: None, owner: true }
    }

    /// The same place, as a user whom permissions stop; `None`, with a word about it, where there is no becoming one.
    pub fn as_nobody(&self) -> Option<Bench> {
        let user = nix::unistd::geteuid().is_root().then_some(65_534);
        let program = self.home.join("owsync");
        if user.is_some() {
            // The build's directory may be closed to others.
            fs::copy(&self.program, &program).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            fs::set_permissions(&self.home, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let program = if user.is_some() { program } else { self.program.clone() };
        let bench = Bench { home: self.home.clone(), program, user, owner: false };
        match bench.command(&["--version"]).output() {
            Ok(output) if output.status.success() => Some(bench),
            other => {
                eprintln!("not run: the other user cannot run the binary: {other:?}");
                None
            }
        }
    }

    pub fn path(&self, name: &str) -> String {
        self.home.join(name).to_str().unwrap().into()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.home.join(name).symlink_metadata().is_ok()
    }

    /// Writes a file; its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.path(name)
    }

    pub fn run(&self, words: &[&str]) -> Run {
        self.run_with(words, "")
    }

    /// Runs with this on standard input, which stays open: a reader of more would hang.
    pub fn run_with(&self, words: &[&str], input: &str) -> Run {
        let mut child = self.command(words).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may end without reading.
        let _ = stdin.write_all(input.as_bytes());
        if input.is_empty() {
            drop(stdin);
            return Run::of(child.wait_with_output().unwrap());
        }
        let run = Run::of(child.wait_with_output().unwrap());
        drop(stdin);
        run
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .current_dir(&self.home)
            .env_clear()
            .env("OWSYNC_RUN_DIR", self.home.join("run"))
            .env("OWSYNC_ROOT", self.home.join("root"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }
}

impl Run {
    fn of(output: std::process::Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { out: text(output.stdout), err: text(output.stderr), code: output.status.code().unwrap_or(-1) }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.owner {
            let _ = fs::remove_dir_all(&self.home);
        }
    }
}
