//! The edges around one [`Node`](crate::node::Node): sockets, clock, signals, inotify and log.
//!
//! [`run`] starts a node and stays with it. Everything that can wake owsync is a descriptor or a time in one wait
//! (`poller`); nothing else blocks. After every input the node's outputs are taken before the next input, so nothing
//! piles up and an order that a peer sees is the order in which things happened.
//!
//! # Reading order
//! `shell` is the loop. `place` finds and locks the database; `start` makes the node; `conn`, `dial` and
//! `listener` are its connections, `control` and `ubus` its requests, `watcher` its inotify watches, `connect`
//! the command that ends after one exchange.

mod applies;
mod checks;
mod conn;
mod connect;
pub mod control;
mod dial;
pub mod env;
mod hooks;
mod inforce;
pub mod joining;
pub mod json;
mod listener;
pub mod log;
mod memory;
mod metrics;
pub mod place;
mod poller;
mod runner;
mod selfwatch;
mod shell;
pub mod signals;
#[cfg(test)]
mod skipped;
mod start;
pub mod status;
pub mod ubus;
mod uncommitted;
mod watcher;

use crate::config::{Config, Outcome};
use crate::model::settings::Address;

pub(crate) use start::make_node;

/// The role of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Keeps going, whatever is missing.
    Daemon,
    /// As a daemon, but a user waits at a terminal: it ends on a fault that a daemon would wait out.
    Listen,
    /// Exchanges with one peer, and ends.
    Connect {
        /// The peer.
        to: Address,
        /// Print nothing but errors.
        quiet: bool,
    },
}

/// Reads the configuration again.
pub type Reread = Box<dyn Fn() -> Outcome<Config>>;

/// Everything that a process of owsync starts with.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// What it is for.
    pub role: Role,
    /// Where lines go.
    pub log: log::Log,
    /// How to read the configuration again; `None` where it came from options alone.
    pub reread: Option<Reread>,
}

/// Runs until the end; the exit code.
///
/// # Errors
/// The fault that keeps it from starting, as one line for users: exit code 1.
pub fn run(start: Start) -> Result<u8, String> {
    let mut shell = start::start(start)?;
    Ok(shell.run())
}
