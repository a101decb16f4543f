//! Long answers: the paths of a share, former versions.

use crate::fs::Fs;
use crate::model::{Kind, RelPath, ShareName, limits};
use crate::node::Node;
use crate::node::api::{Fault, Reply, Tree};
use crate::store::history::Item;
use crate::store::state::Why;

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

    /// Former versions, the newest last.
    pub(crate) fn log_tree(&self, wanted: &Wanted, limit: usize) -> Reply {
        let Wanted { share, path, why, node } = wanted;
        let by = |item: &Item, name: &str| match item.by {
            None => name == self.settings.name || self.identity.id.to_hex().starts_with(name),
            Some(by) => self.node_label(by) == name || by.to_hex().starts_with(name),
        };
        let covers = |item: &&Item| {
            share.as_ref().is_none_or(|name| *name == item.share)
                && path.as_ref().is_none_or(|path| item.path == *path || item.path.is_below(path))
                && why.is_none_or(|why| why == item.why)
                && node.as_ref().is_none_or(|name| by(item, name))
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

/// Which former versions are listed.
pub(crate) struct Wanted {
    pub share: Option<ShareName>,
    pub path: Option<RelPath>,
    pub why: Option<Why>,
    /// Whose change replaced them.
    pub node: Option<String>,
}
