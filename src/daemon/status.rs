//! The status of a daemon: that of its node, with what only the daemon knows.

use std::collections::BTreeMap;

use crate::model::WallTime;
use crate::node::api::record::record;
use crate::node::api::status::Status;

record! {
    /// The whole status of a daemon.
    pub struct DaemonStatus {
        /// The status of its node. `in_sync` and `summary` also regard the first of the problems below.
        node: Status = flat,
        /// What the user has to fix: configuration, port, services, metrics file, ubus.
        problems: Vec<String> = always,
        /// The process id.
        pid: u64 = always,
        /// The addresses that it listens on.
        listen: Vec<String> = always,
        /// The connection to ubus: `registered`, `not connected` or `name taken`; none if ubus was never there.
        ubus: Option<String>,
        /// The services that were notified of changes, by UCI package or share.
        in_force: BTreeMap<String, InForceStatus> = always,
        /// Where the database is.
        database: String = always,
        /// The config file; none under UCI.
        config: Option<String>,
    }

    /// The last notification of a service.
    pub struct InForceStatus {
        /// When it was notified.
        notified: WallTime = always,
        /// Why it does not run with the change.
        failed: Option<String>,
    }
}
