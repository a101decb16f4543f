//! owsync keeps directories equal on several machines, first of all the configuration of OpenWrt routers that stand in
//! for each other.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod fs;
pub mod model;
pub mod node;
pub mod proto;
pub mod reconcile;
pub mod store;
pub mod uci;
