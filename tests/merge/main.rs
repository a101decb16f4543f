//! The merge of UCI packages: its decisions as a table, its laws over random edits of real packages, and how often edits
//! as LuCI makes them merge.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

#[path = "../sim/dice.rs"]
#[allow(dead_code)]
mod dice;
mod edits;
mod forms;
mod laws;
mod notation;
mod table;
