//! One node: a real process with a directory, a configuration and a port of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::control::Control;
use crate::ports::hold_port;
use crate::wait::{PATIENCE, until, until_within};

/// The program under test.
pub const OWSYNC: &str = env!("CARGO_BIN_EXE_owsync");

/// The key of every encrypted test cluster.
pub const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A node, running or not.
pub struct Node {
    pub name: String,
    pub ip: IpAddr,
    pub port: u16,
    home: PathBuf,
    share: RefCell<PathBuf>,
    options: RefCell<Vec<(String, String)>>,
    peers: RefCell<BTreeMap<String, Vec<(String, String)>>>,
    /// Put in front of the command line: how to enter the node's namespaces, or become another user.
    launch: RefCell<Vec<String>>,
    program: RefCell<PathBuf>,
    child: RefCell<Option<Child>>,
    /// Keeps the port for this node while it does not run.
    _port: Option<OwnedFd>,
    /// A port of this node's address where nothing ever listens.
    closed: Option<(OwnedFd, u16)>,
}

impl Node {
    /// A node that was never started; its files lie below `home`. `ip` is where it listens and what it dials from.
    pub fn new(home: &Path, name: &str, ip: IpAddr) -> Node {
        let held = hold_port(ip);
        let port = held.as_ref().map_or(4321, |(_, port)| *port);
        let node = Node {
            name: name.into(),
            ip,
            port,
            home: home.into(),
            share: RefCell::new(home.join("share")),
            options: RefCell::default(),
            peers: RefCell::default(),
            launch: RefCell::default(),
            program: RefCell::new(OWSYNC.into()),
            child: RefCell::default(),
            _port: held.map(|(socket, _)| socket),
            closed: hold_port(ip),
        };
        for dir in ["share", "state", "run"] {
            fs::create_dir_all(home.join(dir)).unwrap();
        }
        for (key, value) in [
            ("name", name.to_string()),
            ("sync_dir", node.home.join("share").display().to_string()),
            ("database", node.database().display().to_string()),
            ("bind_host", ip.to_string()),
            ("port", port.to_string()),
            if cfg!(feature = "encryption") {
                ("encryption_key", KEY.to_string())
            } else {
                ("plain_mode", "1".to_string())
            },
            ("include", "*".to_string()),
            // Everything that is decided shows in the log of a failed test.
            ("log_level", "3".to_string()),
        ] {
            node.set(key, &value);
        }
        node
    }

    // Configuration.

    /// Gives an option this value, in place of any it had.
    pub fn set(&self, key: &str, value: &str) {
        self.unset(key);
        self.add(key, value);
    }

    /// Gives an option one value more.
    pub fn add(&self, key: &str, value: &str) {
        self.options.borrow_mut().push((key.into(), value.into()));
    }

    /// Takes an option out.
    pub fn unset(&self, key: &str) {
        self.options.borrow_mut().retain(|(known, _)| known != key);
    }

    /// Makes `other` a peer, in a section with its name.
    pub fn dials(&self, other: &Node) {
        self.set_peer(&other.name, "address", &other.address().to_string());
        self.set_peer(&other.name, "source_address", &self.ip.to_string());
    }

    /// Makes `other` a peer that is not dialled: a connection from its address belongs to the section.
    pub fn awaits(&self, other: &Node) {
        self.set_peer(&other.name, "address", &other.closed_address().to_string());
    }

    /// Gives an option of a peer section this value.
    pub fn set_peer(&self, peer: &str, key: &str, value: &str) {
        let mut peers = self.peers.borrow_mut();
        let options = peers.entry(peer.into()).or_default();
        options.retain(|(known, _)| known != key);
        options.push((key.into(), value.into()));
    }

    /// Takes a peer section out.
    pub fn forget_peer(&self, peer: &str) {
        self.peers.borrow_mut().remove(peer);
    }

    /// Runs the node by another command: `launch` stands in front of its command line.
    pub fn launch_by(&self, launch: Vec<String>) {
        *self.launch.borrow_mut() = launch;
    }

    /// Runs the node from another copy of the program.
    pub fn run_program(&self, program: &Path) {
        *self.program.borrow_mut() = program.into();
    }

    /// Looks for the node's files at another path than it does itself: that of its mount namespace.
    pub fn look_at(&self, share: &Path) {
        *self.share.borrow_mut() = share.into();
    }

    /// The configuration file, as it is now to be.
    pub fn config_text(&self) -> String {
        let line = |(key, value): &(String, String)| format!("{key}={value}\n");
        let mut text: String = self.options.borrow().iter().map(line).collect();
        for (peer, options) in self.peers.borrow().iter() {
            text.push_str(&format!("[peer {peer}]\n"));
            text.extend(options.iter().map(line));
        }
        let options = self.options.borrow();
        let has = |key: &str| options.iter().any(|(known, value)| known == key && value != "0");
        if has("plain_mode") && !has("peer") && self.peers.borrow().is_empty() {
            // In plain mode a daemon that could exchange with no peer does not start. A peer that is disabled is as none.
            text.push_str(&format!("[peer nobody]\naddress={}\nenabled=0\n", self.closed_address()));
        }
        text
    }

    /// Writes the configuration file.
    pub fn write_config(&self) {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(self.config()).unwrap();
        std::io::Write::write_all(&mut file, self.config_text().as_bytes()).unwrap();
    }

    // Places.

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn config(&self) -> PathBuf {
        self.home.join("owsync.conf")
    }

    pub fn database(&self) -> PathBuf {
        self.home.join("state/owsync.db")
    }

    /// The root of its share.
    pub fn share(&self) -> PathBuf {
        self.share.borrow().clone()
    }

    pub fn run_dir(&self) -> PathBuf {
        self.home.join("run")
    }

    /// The control socket, named as its documentation says.
    pub fn socket(&self) -> PathBuf {
        let named = self.options.borrow().iter().find(|(key, _)| key == "database").map(|(_, value)| value.clone());
        let database = named.map_or_else(|| self.database(), PathBuf::from);
        let digest = Sha256::digest(database.as_os_str().as_encoded_bytes());
        let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        self.run_dir().join(format!("{name}.sock"))
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    /// An address of this node where nothing listens.
    pub fn closed_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.closed.as_ref().map_or(1, |(_, port)| *port))
    }

    // Process.

    /// Starts `owsync daemon`, and waits until it answers.
    pub fn start(&self) {
        self.spawn();
        until(&format!("{} answers", self.name), || {
            assert!(self.is_running(), "{} ended instead of answering:\n{}", self.name, self.log());
            self.try_status().is_some()
        });
    }

    /// Starts `owsync daemon`, and does not wait for anything.
    pub fn spawn(&self) {
        self.write_config();
        let config = self.config();
        let mut command = self.command(&["daemon", "-f", "-c", config.to_str().unwrap()]);
        self.adopt(&mut command);
    }

    /// Starts this command as the node's process.
    pub fn adopt(&self, command: &mut Command) {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.home.join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.adopt_child(command.spawn().unwrap());
    }

    /// Takes this process, which writes elsewhere, as the node's.
    pub fn adopt_child(&self, child: Child) {
        assert!(!self.is_running(), "{} runs already", self.name);
        *self.child.borrow_mut() = Some(child);
    }

    /// A command of owsync in this node's surroundings, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let launch = self.launch.borrow();
        let mut words: Vec<String> = launch.clone();
        words.push(self.program.borrow().display().to_string());
        words.extend(arguments.iter().map(|word| word.to_string()));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        for variable in ["OWSYNC_KEY", "XDG_RUNTIME_DIR"] {
            command.env_remove(variable);
        }
        command.env("OWSYNC_RUN_DIR", self.run_dir()).stdin(Stdio::null());
        command
    }

    /// Runs a command of owsync in this node's surroundings with its configuration, to its end.
    pub fn owsync(&self, arguments: &[&str]) -> Output {
        let config = self.config();
        if !config.exists() {
            self.write_config();
        }
        let mut words = arguments.to_vec();
        words.extend(["-c", config.to_str().unwrap()]);
        self.command(&words).output().unwrap()
    }

    pub fn is_running(&self) -> bool {
        let mut child = self.child.borrow_mut();
        child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub fn pid(&self) -> u32 {
        self.child.borrow().as_ref().expect("owsync was started").id()
    }

    pub fn signal(&self, signal: Signal) {
        assert!(self.is_running(), "{} does not run:\n{}", self.name, self.log());
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Waits for the process to end; how it did and how long that took.
    pub fn until_ended(&self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let mut status = None;
        until_within(PATIENCE, &format!("{} ends", self.name), || {
            status = self.child.borrow_mut().as_mut().expect("owsync was started").try_wait().unwrap();
            status.is_some()
        });
        *self.child.borrow_mut() = None;
        (status.unwrap(), start.elapsed())
    }

    /// As a power cut for the process: kill -9.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        self.until_ended();
    }

    /// Ends it as an administrator does.
    ///
    /// # Panics
    /// It does not exit with 0.
    pub fn stop(&self) -> Duration {
        self.signal(Signal::SIGTERM);
        let (status, took) = self.until_ended();
        assert_eq!(status.code(), Some(0), "{} ended with {status}:\n{}", self.name, self.log());
        took
    }

    pub fn restart(&self) {
        self.stop();
        self.start();
    }

    // What it says.

    /// The lines of all its runs.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.home.join("log")).unwrap_or_default()).into_owned()
    }

    /// Waits until a line of the log holds this.
    #[track_caller]
    pub fn until_logged(&self, text: &str) {
        until(&format!("{} logs '{text}'", self.name), || self.log().contains(text));
    }

    /// Asks the running node.
    ///
    /// # Errors
    /// The node's own, as `{"code":..,"message":..}`.
    pub fn try_ask(&self, method: &str, params: Value) -> Result<Value, Value> {
        let mut control = Control::open(&self.socket()).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        control.ask(method, params).unwrap_or_else(|error| panic!("{}: {method}: {error}", self.name))
    }

    /// Asks the running node for what it must be able to do.
    #[track_caller]
    pub fn ask(&self, method: &str, params: Value) -> Value {
        match self.try_ask(method, params) {
            Ok(answer) => answer,
            Err(error) => panic!("{}: {method}: {error}", self.name),
        }
    }

    /// Its status; `None` while it does not answer.
    pub fn try_status(&self) -> Option<Value> {
        let mut control = Control::open(&self.socket()).ok()?;
        control.set_patience(Duration::from_secs(5));
        control.ask("status", json!({})).ok()?.ok()
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.ask("status", json!({}))
    }

    /// What its status says of a peer.
    #[track_caller]
    pub fn peer(&self, name: &str) -> Value {
        self.status()["peers"][name].take()
    }

    /// What its status says of its share.
    #[track_caller]
    pub fn main(&self) -> Value {
        self.status()["shares"]["main"].take()
    }

    pub fn is_in_sync(&self) -> bool {
        self.try_status().is_some_and(|status| status["in_sync"] == json!(true))
    }

    /// Waits until its status says that everything is in sync.
    #[track_caller]
    pub fn until_in_sync(&self) {
        until(&format!("{} is in sync", self.name), || self.is_in_sync());
    }

    /// Scans all files again, exchanges with every peer, and waits for the end of both.
    #[track_caller]
    pub fn sync(&self) -> Value {
        self.ask("sync", json!({ "wait": true }))
    }

    /// For a test that failed: what the node says, and what it logged.
    pub fn report(&self) -> String {
        let status = self.try_status().map_or("no answer".to_string(), |status| format!("{status:#}"));
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(200)..];
        format!("==== {}: status\n{status}\n==== {}: log\n{}\n", self.name, self.name, tail.join("\n"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = self.child.get_mut() {
            // It may have ended before.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
