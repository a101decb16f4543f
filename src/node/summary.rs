//! What came of an exchange that a person waited for.

use crate::fs::Fs;
use crate::model::{Reason, RelPath, ShareName, limits};
use crate::node::Node;
use crate::node::api::Tree;

impl<F: Fs> Node<F> {
    /// What moved since start, which paths did not and why.
    ///
    /// `failed` holds what should have travelled, on either side; `skipped` what this node was told to leave out.
    pub fn summary(&self) -> Tree {
        let counters = &self.cx.counters;
        let mut failed = Vec::new();
        let mut skipped = Vec::new();
        for (name, share) in self.shares.iter() {
            for (path, reason) in share.detect.skipped.listed.iter() {
                sort(name, path, reason, "", &mut failed, &mut skipped);
            }
            let Some(state) = self.cx.store.state().shares.get(name) else { continue };
            for ((node, path), owed) in state.owed.iter() {
                let here = self.peers.links.values().any(|link| link.is_admitted() && link.node == Some(*node));
                if here {
                    sort(name, path, &owed.reason, "", &mut failed, &mut skipped);
                }
            }
        }
        for link in self.peers.links.values().filter(|link| link.is_admitted()) {
            for (name, exchange) in link.exchanges.iter() {
                for (path, reason) in &exchange.paths_there {
                    sort(name, path, reason, "there: ", &mut failed, &mut skipped);
                }
            }
        }
        let truncated = failed.len().max(skipped.len()) > limits::REPLY_PATHS;
        failed.truncate(limits::REPLY_PATHS);
        skipped.truncate(limits::REPLY_PATHS);
        Tree::map()
            .with("received_files", counters.landed.saturating_sub(counters.deleted))
            .with("received_bytes", counters.received)
            .with("supplied_files", counters.supplied_files)
            .with("supplied_bytes", counters.supplied)
            .with("deleted", counters.deleted)
            .with("failed", failed)
            .with("skipped", skipped)
            .with("truncated", truncated)
    }
}

/// A path left out by choice went as somebody wanted; any other that did not travel failed.
fn sort(
    name: &ShareName,
    path: &RelPath,
    reason: &Reason,
    side: &str,
    failed: &mut Vec<Tree>,
    skipped: &mut Vec<Tree>,
) {
    let tree = Tree::map()
        .with("share", name.to_string())
        .with("path", path.to_text())
        .with("reason", reason.code())
        .with("message", format!("{side}{reason}"));
    if reason.is_choice() { skipped.push(tree) } else { failed.push(tree) }
}
