//! The edges: sockets, clock, signals, inotify, log, around one [`Node`](crate::node::Node).

pub mod env;
pub mod log;
pub mod signals;
pub mod watcher;
