//! Takes in what peers offer, until it is applied or written down as pending.
//!
//! `receive` sorts the offers of an index into batches as `judge` says, `batch` is what waits in memory for its content and its turn, and
//! `pending` is what was received and cannot be applied, with its reason, on disk. There is no fourth place.

pub(crate) mod batch;
pub(crate) mod judge;
pub(crate) mod pending;
pub(crate) mod receive;

use std::time::Duration;

use crate::fs::Root;
use crate::model::{Map, Monotonic, NodeId, RelPath, Set, limits};
use crate::node::share::transaction::merge::NotMerged;
use batch::Batch;

/// What peers offer, until it is applied or written down as pending.
pub(crate) struct Inbox<R: Root> {
    pub batches: Map<u64, Batch<R>>,
    /// Whose batch was last applied, or given up.
    pub last_from: Option<NodeId>,
    /// Changes that waited for this path of this batch of this node need not wait for it any more.
    pub waits_over: Vec<(NodeId, u64, RelPath)>,
    /// Paths that changed here and for which something is pending.
    pub reconsider: Set<RelPath>,
    /// Contents that could not be merged.
    pub not_merged: NotMerged,
    /// When pending changes are tried again.
    pub retry_at: Monotonic,
    /// How long the next wait for that is.
    pub retry_pause: Duration,
}

impl<R: Root> Inbox<R> {
    pub fn new() -> Inbox<R> {
        Inbox {
            batches: Map::new(),
            last_from: None,
            waits_over: Vec::new(),
            reconsider: Set::new(),
            not_merged: NotMerged::new(),
            retry_at: Monotonic::NEVER,
            retry_pause: limits::RETRY_OWED,
        }
    }

    /// Whether a path that a node offered is on its way here.
    pub fn is_coming(&self, from: NodeId, path: &RelPath) -> bool {
        let offers = |batch: &Batch<R>| batch.from.node == from && !batch.of_commit && batch.offers.contains_key(path);
        self.batches.values().any(offers)
    }

    pub fn poll_timeout(&self) -> Monotonic {
        let waits = self.batches.values().map(|batch| batch.not_before).filter(|&at| at > Monotonic(0));
        waits.min().unwrap_or(Monotonic::NEVER).min(self.retry_at)
    }
}
