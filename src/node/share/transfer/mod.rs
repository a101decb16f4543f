//! Moves content: from peers, from this machine, and to peers.
//!
//! `fetch` asks for what batches need, `reuse` takes what this machine has already, `partial` keeps what an interrupted
//! transfer brought, and `serve` sends what peers ask for.

pub(crate) mod fetch;
pub(crate) mod partial;
pub(crate) mod reuse;
pub(crate) mod serve;

use crate::fs::Root;
use crate::model::{Digest, Map, RelPath};
use partial::PartialContent;

/// Content on its way here.
pub(crate) struct Transfer<R: Root> {
    /// Which batch asks for a content, so that no two do.
    pub fetching: Map<(RelPath, Digest), u64>,
    /// What transfers brought that were interrupted.
    pub partial: Map<RelPath, PartialContent<R>>,
}

impl<R: Root> Transfer<R> {
    pub fn new() -> Transfer<R> {
        Transfer { fetching: Map::new(), partial: Map::new() }
    }
}
