//! Long answers: the paths of a share, former versions.

use crate::fs::Fs;
use crate::model::{Kind, NodeId, RelPath, ShareName, limits};
use crate::node::Node;
use crate::node::api::{Fault, Reply, Tree};
use crate::node::peers::names::Who;
use crate::node::share::exchange::delivery::Sent;
use crate::store::history::Item;
use crate::store::state::Why;

impl<F: Fs> Node<F> {
    /// The paths of a share.
    pub(crate) fn files(&self, name: &ShareName, from: Option<&RelPath>) -> Reply {
        let Some(state) = self.cx.store.state().shares.get(name) else {
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

    /// Former versions, and what was sent since this process started; the newest last.
    pub(crate) fn log_tree(&self, wanted: &Wanted, limit: usize) -> Reply {
        let Wanted { share, path, why, node } = wanted;
        let author = match node.as_deref().map(|text| self.author(text)).transpose() {
            Ok(author) => author,
            Err(reply) => return reply,
        };
        let by = |item: &Item, author: &Author| match (item.by, author) {
            (None, author) => *author == Author::Me,
            (Some(by), Author::Node(node)) => by == *node,
            (Some(by), Author::Gone(id)) => by.to_hex().starts_with(id),
            (Some(_), Author::Me) => false,
        };
        let covers = |item: &&Item| {
            share.as_ref().is_none_or(|name| *name == item.share)
                && path.as_ref().is_none_or(|path| item.path == *path || item.path.is_below(path))
                && why.is_none_or(|why| why == item.why)
                && author.as_ref().is_none_or(|author| by(item, author))
        };
        let mut items: Vec<Tree> = self
            .cx
            .history
            .items()
            .rev()
            .filter(covers)
            .take(limit.min(limits::REPLY_PATHS))
            .map(|item| self.item_tree(item))
            .collect();
        items.reverse();
        let reached = |sent: &Sent| match &author {
            None | Some(Author::Me) => true,
            Some(Author::Node(node)) => sent.peers.contains(&self.cx.node_label(*node)),
            Some(Author::Gone(_)) => false,
        };
        let mut sent: Vec<(&ShareName, &Sent)> = self
            .shares
            .iter()
            .filter(|(name, _)| share.as_ref().is_none_or(|only| only == *name))
            .flat_map(|(name, share)| share.outgoing.sent.iter().map(move |sent| (name, sent)))
            .filter(|(_, sent)| why.is_none() && reached(sent))
            .filter(|(_, sent)| path.as_ref().is_none_or(|path| sent.may_hold(path)))
            .collect();
        sent.sort_by_key(|(_, sent)| sent.at);
        let sent = sent.split_off(sent.len().saturating_sub(limit));
        let sent: Vec<Tree> =
            sent.into_iter().map(|(name, sent)| Tree::from(&sent.status()).with("share", name.to_string())).collect();
        let tree = Tree::map().with("versions", items);
        Reply::Done(if sent.is_empty() { tree } else { tree.with("sent", sent) })
    }

    /// Whose changes a word means.
    fn author(&self, text: &str) -> Result<Author, Reply> {
        let is_me =
            text == self.cx.settings.name || (text.len() >= 4 && self.cx.identity.id.to_hex().starts_with(text));
        match (self.who(text), is_me) {
            (Err(Reply::Failed { fault: Fault::NotFound, .. }), true) => Ok(Author::Me),
            (_, true) => {
                let me = self.cx.identity.id;
                let text = format!(
                    "'{text}' is the name of this node ({me}) and of a peer: use the id that `owsync peers -v` shows"
                );
                Err(Reply::failed(Fault::Argument, text))
            }
            (Ok(Who { node: Some(node), .. }), false) => Ok(Author::Node(node)),
            (Ok(who), false) => Err(Reply::failed(Fault::NotFound, format!("{} has never connected", who.label))),
            // It was forgotten, and history still has its changes.
            (Err(Reply::Failed { fault: Fault::NotFound, .. }), false)
                if text.len() >= 4 && text.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                Ok(Author::Gone(text.to_ascii_lowercase()))
            }
            (Err(reply), false) => Err(reply),
        }
    }

    pub(crate) fn item_tree(&self, item: &Item) -> Tree {
        let by = item.by.map_or_else(|| self.cx.settings.name.clone(), |node| self.cx.node_label(node));
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

/// Whose change replaced a version.
#[derive(PartialEq)]
enum Author {
    Me,
    Node(NodeId),
    /// One that is not known any more, by the start of its id.
    Gone(String),
}

/// Which former versions are listed.
pub(crate) struct Wanted {
    pub share: Option<ShareName>,
    pub path: Option<RelPath>,
    pub why: Option<Why>,
    /// Whose change replaced them.
    pub node: Option<String>,
}
