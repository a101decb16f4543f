//! The merge of UCI packages: its decisions as a table, its laws over random edits of real packages, and how often edits
//! as LuCI makes them merge. Also what holds for the list of changes between two texts.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod changes;
mod deltas;
#[path = "../sim/dice.rs"]
#[allow(dead_code)]
mod dice;
mod edits;
mod forms;
mod laws;
mod notation;
mod table;
