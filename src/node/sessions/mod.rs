//! What the node does about its peers where shares are concerned as well: admission, the end of sessions, membership.
//!
//! What needs only the sessions themselves is in [`crate::node::peers`].

mod admission;
mod around;
mod dials;
mod ending;
mod membership;
mod names;
