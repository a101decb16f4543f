//! ubus: the bytes against recorded ones, the connection against hand-written and broken ones, and the daemon against a
//! broker and a command line that know nothing of it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod broken;
mod connection;
mod golden;
mod ubusd;
