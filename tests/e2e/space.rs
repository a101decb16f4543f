//! Namespaces: mounts and networks that only a test's own processes see, and that go with it.
//!
//! A process that does nothing holds the namespaces; others are started in them through `nsenter`. It ends when its
//! standard input does, so nothing is left behind even when a test is killed. As root they are made directly, otherwise in
//! a user namespace, where the kernel allows that.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::skip::{self, is_root};

/// What a space has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Mounts.
    Mounts,
    /// Interfaces, addresses and routes.
    Network,
}

impl Own {
    fn flag(self) -> &'static str {
        match self {
            Own::Mounts => "-m",
            Own::Network => "-n",
        }
    }
}

/// Namespaces of a test's own.
pub struct Space {
    holder: Child,
    /// How to get into them.
    enter: Vec<String>,
}

impl Space {
    /// Namespaces; when there can be none, the test is reported as not run.
    pub fn new(own: Own) -> Option<Space> {
        let user: &[&str] = if is_root() { &[] } else { &["-U", "-r"] };
        let words: Vec<String> = ["unshare"].iter().chain(user).map(ToString::to_string).collect();
        Space::held(words, own, !is_root())
    }

    /// Another one that is privileged in the same way: its network can be connected to this one's.
    pub fn beside(&self, own: Own) -> Option<Space> {
        let user = self.enter.iter().any(|word| word == "-U");
        let mut words = Vec::new();
        if user {
            words = ["nsenter", "-t", &self.holder.id().to_string(), "-U", "--preserve-credentials", "--"]
                .map(String::from)
                .to_vec();
        }
        words.push("unshare".into());
        Space::held(words, own, user)
    }

    fn held(mut words: Vec<String>, own: Own, user: bool) -> Option<Space> {
        for program in ["unshare", "nsenter"] {
            if !skip::has_program(program) {
                skip::not_run(&format!("needs {program}"));
                return None;
            }
        }
        words.extend([own.flag(), "sh", "-c", "echo ready; exec cat >&2"].map(String::from));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().unwrap();
        let mut answer = [0; 5];
        if holder.stdout.as_mut().unwrap().read_exact(&mut answer).is_err() {
            let mut text = String::new();
            let _ = holder.stderr.as_mut().unwrap().read_to_string(&mut text);
            let _ = holder.wait();
            skip::not_run(&format!("needs root, or namespaces for everybody: {}", text.trim()));
            return None;
        }
        let mut enter = vec!["nsenter".to_string(), "-t".into(), holder.id().to_string(), own.flag().into()];
        if user {
            enter.extend(["-U".to_string(), "--preserve-credentials".into()]);
        }
        enter.push("--".into());
        Some(Space { holder, enter })
    }

    /// What to put in front of a command so that it runs here.
    pub fn enter(&self) -> Vec<String> {
        self.enter.clone()
    }

    /// The process that holds the namespaces.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// Runs a command here, to its end.
    pub fn output(&self, words: &[&str]) -> Output {
        Command::new(&self.enter[0]).args(&self.enter[1..]).args(words).output().unwrap()
    }

    /// Runs a command here that must succeed.
    #[track_caller]
    pub fn run(&self, words: &[&str]) {
        let output = self.output(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Where a path of these mounts can be reached from outside.
    pub fn seen(&self, path: &Path) -> PathBuf {
        Path::new("/proc").join(self.pid().to_string()).join("root").join(path.strip_prefix("/").unwrap())
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // The end of its input is enough; waiting for it leaves no zombie.
        drop(self.holder.stdin.take());
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
