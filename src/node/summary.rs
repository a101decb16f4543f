//! Summarises an exchange: what was transferred, which paths were not, and why.

use crate::fs::Fs;
use crate::model::{Reason, RelPath, ShareName, limits};
use crate::node::Node;

/// What an exchange came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Files that were received and applied.
    pub received_files: u64,
    /// Bytes of content received.
    pub received_bytes: u64,
    /// Files whose content was sent.
    pub supplied_files: u64,
    /// Bytes of content sent.
    pub supplied_bytes: u64,
    /// Files that were deleted here.
    pub deleted: u64,
    /// Paths that should have been synced and were not, on either side; at most [`limits::REPLY_PATHS`].
    pub failed: Vec<NotSynced>,
    /// Paths that are left out by choice; at most [`limits::REPLY_PATHS`].
    pub skipped: Vec<NotSynced>,
}

/// A path that was not synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSynced {
    /// The share.
    pub share: ShareName,
    /// The path.
    pub path: RelPath,
    /// Why, in words.
    pub message: String,
}

impl<F: Fs> Node<F> {
    /// What was transferred since the start, and which paths were not.
    pub fn summary(&self) -> Summary {
        let counters = &self.cx.counters;
        let mut summary = Summary {
            received_files: counters.landed.saturating_sub(counters.deleted),
            received_bytes: counters.received,
            supplied_files: counters.supplied_files,
            supplied_bytes: counters.supplied,
            deleted: counters.deleted,
            ..Summary::default()
        };
        for (name, share) in self.shares.iter() {
            for (path, reason) in share.detect.skipped.listed.iter() {
                summary.add(name, path, reason, "");
            }
            let Some(state) = self.cx.store.state().shares.get(name) else { continue };
            for ((node, path), owed) in state.owed.iter() {
                let here = self.peers.links.values().any(|link| link.is_admitted() && link.node == Some(*node));
                if here {
                    summary.add(name, path, &owed.reason, "");
                }
            }
        }
        for link in self.peers.links.values().filter(|link| link.is_admitted()) {
            for (name, exchange) in link.exchanges.iter() {
                for (path, reason) in &exchange.paths_there {
                    summary.add(name, path, reason, "there: ");
                }
            }
        }
        summary
    }
}

impl Summary {
    /// Adds a path. One that is left out by choice is as the user wants it; any other has failed.
    fn add(&mut self, share: &ShareName, path: &RelPath, reason: &Reason, side: &str) {
        let list = if reason.is_choice() { &mut self.skipped } else { &mut self.failed };
        if list.len() < limits::REPLY_PATHS {
            list.push(NotSynced { share: share.clone(), path: path.clone(), message: format!("{side}{reason}") });
        }
    }
}
