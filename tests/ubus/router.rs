//! A router: a node that reads the UCI package below its home, with an ubus of its own.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use owsync::fs::uci_file::Dirs;
use owsync::uci::PackageName;
use serde_json::Value;

use crate::bus::Bus;
use crate::node::{KEY, Node};
use crate::wait::until;

/// A router.
pub struct Router<'a> {
    pub node: &'a Node,
    pub bus: Bus,
}

impl<'a> Router<'a> {
    /// A running one without a key, whose share is the node's; its package says this as well.
    #[cfg(feature = "encryption")]
    pub fn start(node: &'a Node, more: &str) -> Router<'a> {
        let router = Router::idle(node, more);
        router.run(&[]);
        router
    }

    /// One that shares the packages beside its own and has the cluster's key, not started. Its package says this as well.
    pub fn of_packages(node: &'a Node, more: &str) -> Router<'a> {
        let mut options = fs::OpenOptions::new();
        let mut key =
            options.write(true).create(true).truncate(true).mode(0o600).open(node.home().join("key")).unwrap();
        std::io::Write::write_all(&mut key, KEY.as_bytes()).unwrap();
        node.look_at(&node.home().join("root/etc/config"));
        // What lies below /etc/config needs no word about it.
        let told = "\toption reload 'uci'\n\tlist include '*'\n\tlist exclude 'owsync'\n";
        Router::idle(node, &format!("{told}{more}"))
    }

    fn idle(node: &'a Node, more: &str) -> Router<'a> {
        let bus = Bus::start_in(node.home());
        let router = Router { node, bus };
        fs::create_dir_all(router.root().join("etc/config")).unwrap();
        let key = if cfg!(feature = "encryption") {
            format!("\toption key_file '{}'\n", node.home().join("key").display())
        } else {
            "\toption plain_mode '1'\n".to_string()
        };
        let package = format!(
            "config owsync 'main'\n\toption enabled '1'\n\toption name '{}'\n\toption bind_host '{}'\n\toption port '{}'\n\
             \toption log_level '3'\n\toption database '{}'\n\toption dir '{}'\n{key}{more}",
            node.name,
            node.ip,
            node.port,
            node.database().display(),
            node.share().display(),
        );
        // In plain mode a daemon that could exchange with no peer opens no port; a disabled peer is enough.
        let peer = if cfg!(feature = "encryption") {
            ""
        } else {
            "\nconfig peer 'disabled'\n\toption address '127.0.0.1:9'\n\toption enabled '0'\n"
        };
        fs::write(router.root().join("etc/config/owsync"), package + peer).unwrap();
        router
    }

    /// Starts it, entering its namespaces by these words, and waits until it is on its ubus.
    pub fn run(&self, enter: &[String]) {
        let mut launch = enter.to_vec();
        launch.extend([
            "env".to_string(),
            format!("OWSYNC_ROOT={}", self.root().display()),
            format!("OWSYNC_UBUS_SOCKET={}", self.bus.socket().display()),
        ]);
        self.node.launch_by(launch);
        self.node.adopt(&mut self.node.command(&["daemon", "-f"]));
        self.bus.until_there("owsync");
    }

    /// What its /etc, /tmp and /var lie below.
    pub fn root(&self) -> PathBuf {
        self.node.home().join("root")
    }

    /// Makes another router a peer, at an address and dialled from another.
    pub fn dials(&self, peer: &Router, address: &str, source: &str) {
        let section = format!(
            "\nconfig peer '{}'\n\toption address '{address}'\n\toption port '{}'\n\toption source_address '{source}'\n",
            peer.node.name, peer.node.port,
        );
        fs::write(self.root().join("etc/config/owsync"), self.package() + &section).unwrap();
    }

    /// The text of its own package.
    pub fn package(&self) -> String {
        fs::read_to_string(self.root().join("etc/config/owsync")).unwrap()
    }

    /// Sets an option and commits it, as `uci` does: a new file beside the old one, then in its place. `OWSYNC_TEST_UCI`
    /// names a program that does it, such as OpenWrt's own.
    #[track_caller]
    pub fn uci_set(&self, package: &str, section: &str, option: &str, value: &str) {
        if let Some(uci) = std::env::var_os("OWSYNC_TEST_UCI") {
            fs::create_dir_all(self.root().join("tmp")).unwrap();
            for words in
                [vec!["set".to_string(), format!("{package}.{section}.{option}={value}")], vec!["commit".into()]]
            {
                let mut command = std::process::Command::new(&uci);
                command.arg("-c").arg(self.root().join("etc/config")).arg("-t").arg(self.root().join("tmp/.uci"));
                assert!(command.args(words).status().unwrap().success(), "{package}.{section}.{option}");
            }
            return;
        }
        let name = PackageName::parse(package.as_bytes()).unwrap();
        let set = Dirs::below(&self.root())
            .edit(&name, |package| package.section_mut(section).unwrap().set(option, value.as_bytes()));
        set.unwrap();
    }

    /// Calls a method of its daemon.
    pub fn call(&self, method: &str, arguments: Value) -> (i32, Value) {
        let (status, mut data) = self.bus.client().call(method, arguments);
        (status, data.remove(0))
    }

    /// Waits until its status says that everything is in sync.
    #[track_caller]
    pub fn until_in_sync(&self) {
        until(&format!("{} is in sync", self.node.name), || {
            self.call("status", serde_json::json!({})).1["in_sync"] == serde_json::json!(true)
        });
    }
}
