//! Long answers: the paths of a share, what a sync would do, former versions.

use crate::fs::Fs;
use crate::model::{Kind, PeerName, RelPath, ShareName, limits};
use crate::node::Node;
use crate::node::api::{Fault, Reply, Tree};
use crate::store::history::Item;

impl<F: Fs> Node<F> {
    /// The paths of a share.
    pub(crate) fn files(&self, name: &ShareName, from: Option<&RelPath>) -> Reply {
        let Some(state) = self.store.state().shares.get(name) else {
            return Reply::failed(Fault::NotFound, "no such share");
        };
        let mut files = Vec::new();
        let mut truncated = false;
        for (path, record) in state.index.iter().filter(|(path, _)| from.is_none_or(|from| *path >= from)) {
            if files.len() >= limits::REPLY_PATHS {
                truncated = true;
                break;
            }
            let entry = &record.entry;
            let mut one = Tree::map().with("path", path.to_text()).with("kind", entry.kind.word());
            if entry.has_content() {
                one = one.with("size", entry.size).with("digest", entry.digest.to_hex());
            }
            if entry.kind == Kind::File {
                one = one.with("mtime", entry.mtime);
            }
            if entry.mode != 0 {
                one = one.with("mode", format!("{:04o}", entry.mode));
            }
            files.push(one);
        }
        Reply::Done(Tree::map().with("share", name.to_string()).with("files", files).with("truncated", truncated))
    }

    /// What a sync would do.
    pub(crate) fn preview(&self, peer: Option<&PeerName>, share: Option<&ShareName>) -> Reply {
        let mut list = Vec::new();
        for (id, link) in self
            .links
            .iter()
            .filter(|(_, link)| link.is_admitted() && (peer.is_none() || link.section.as_ref() == peer))
        {
            let label = self.peer_label(*id);
            for (name, exchange) in link.exchanges.iter().filter(|(name, _)| share.is_none_or(|only| only == *name)) {
                let Some(state) = self.store.state().shares.get(name) else { continue };
                let base = |path: &RelPath, action: &str| {
                    Tree::map()
                        .with("peer", label.clone())
                        .with("share", name.to_string())
                        .with("path", path.to_text())
                        .with("action", action)
                };
                for (path, record) in state.index.iter().filter(|(_, record)| {
                    record.seq > exchange.their_applied && record.sleep.is_none() && record.from != link.node
                }) {
                    list.push(
                        base(path, if record.entry.is_live() { "send" } else { "delete there" })
                            .with("size", record.entry.size),
                    );
                }
                let pending = self
                    .shares
                    .get(name)
                    .into_iter()
                    .flat_map(|share| share.batches.values())
                    .filter(|batch| Some(batch.from) == link.node)
                    .flat_map(|batch| batch.offers.iter());
                for (path, pending) in pending {
                    list.push(
                        base(path, if pending.entry.is_live() { "receive" } else { "delete here" })
                            .with("size", pending.entry.size),
                    );
                }
                for ((_, path), owed) in state.owed.iter().filter(|((owner, _), _)| Some(*owner) == link.node) {
                    list.push(
                        base(path, "wait")
                            .with("size", owed.entry.size)
                            .with("reason", owed.reason.code())
                            .with("message", owed.reason.to_string()),
                    );
                }
            }
        }
        let truncated = list.len() > limits::REPLY_PATHS;
        list.truncate(limits::REPLY_PATHS);
        Reply::Done(Tree::map().with("changes", list).with("truncated", truncated))
    }

    /// Former versions, the newest last.
    pub(crate) fn log_tree(&self, share: Option<&ShareName>, path: Option<&RelPath>, limit: usize) -> Reply {
        let covers = |item: &&Item| {
            share.is_none_or(|name| *name == item.share)
                && path.is_none_or(|path| item.path == *path || item.path.is_below(path))
        };
        let mut items: Vec<Tree> = self
            .history
            .items()
            .rev()
            .filter(covers)
            .take(limit.min(limits::REPLY_PATHS))
            .map(|item| self.item_tree(item))
            .collect();
        items.reverse();
        Reply::Done(Tree::map().with("versions", items))
    }

    pub(crate) fn item_tree(&self, item: &Item) -> Tree {
        let by = item.by.map_or_else(|| self.settings.name.clone(), |node| self.node_label(node));
        Tree::map()
            .with("number", item.number)
            .with("share", item.share.to_string())
            .with("path", item.path.to_text())
            .with("kind", item.kind.word())
            .with("time", item.at)
            .with("node", by)
            .with("why", item.why.word())
            .with("size", item.size)
            .with("mtime", item.mtime)
            .with("mode", format!("{:04o}", item.mode))
            .with("digest", item.digest.to_hex())
            .with("run", item.run)
    }
}
