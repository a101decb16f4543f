//! The laws of `reconcile`, over every small case there is and over generated large ones.
//!
//! - both sides of an exchange decide alike, and applying the decision is the end of it
//! - one side unchanged means exactly the other's change
//! - no content is lost: it is current, or a user who saw it replaced it, or it is in a history; and what such a user
//!   replaced does not come back
//! - the order in which a node hears of things does not matter, nor the order in which nodes meet
//! - a path outside a filter never appears
//!
//! `cluster` is the node around `reconcile`, reduced to what these laws speak of; `spaces` walks whole spaces of
//! histories; `filters` has the laws of filters.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "reconcile/cluster.rs"]
mod cluster;
#[path = "reconcile/filters.rs"]
mod filters;
#[path = "reconcile/pairs.rs"]
mod pairs;
#[path = "reconcile/spaces.rs"]
mod spaces;
