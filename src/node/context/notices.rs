//! Reports once what concerns many paths: held paths, and changes that gave way.
//!
//! A batch of 30 deletions that waits for the user is one event, one line in the log and one mail with a count, and so is
//! a rejected or rolled back batch: a list of events that holds [`limits::EVENTS_KEPT`] must not be flushed by one of them.

use crate::fs::Fs;
use crate::model::entry::LostBy;
use crate::model::{Map, NodeId, Now, Reason, RelPath, ShareName, StateId, limits};
use crate::node::api::{Event, Level, Tree};
use crate::node::context::Context;

/// Held paths that have not been told of yet: by share, reason and the peer whose change it is.
pub(crate) type HeldNews = Map<(ShareName, &'static str, Option<NodeId>), (Reason, Paths)>;

/// Some paths, of which the first are known by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths {
    first: Vec<RelPath>,
    count: u64,
}

impl Paths {
    pub fn add(&mut self, path: &RelPath) {
        self.count += 1;
        if self.first.len() < limits::OWED_TOLD {
            self.first.push(path.clone());
        }
    }

    /// One by name; of several their number, and some by name.
    fn text(&self) -> String {
        let named: Vec<String> = self.first.iter().take(4).map(RelPath::to_text).collect();
        match self.count - named.len() as u64 {
            _ if self.count == 1 => named.concat(),
            0 => format!("{} paths ({})", self.count, named.join(", ")),
            more => format!("{} paths ({} and {more} more)", self.count, named.join(", ")),
        }
    }

    pub(crate) fn tell(&self, tree: Tree) -> Tree {
        let paths: Vec<Tree> = self.first.iter().map(|path| Tree::Text(path.to_text())).collect();
        let path = self.first.first().filter(|_| self.count == 1).map(RelPath::to_text);
        tree.with_some("path", path).with("count", self.count).with("files", self.count).with("paths", paths)
    }
}

/// Changes that were replaced in one transaction.
pub(crate) type LostNews = Map<LostKind, Paths>;

/// What is reported together of changes that were replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LostKind {
    pub by: LostBy,
    /// They were in force on this node.
    pub here: bool,
    /// A reference's change won.
    pub by_rank: bool,
    /// Whose edits they are, where that node merges them into what won.
    pub merged_by: Option<StateId>,
}

impl<F: Fs> Context<F> {
    /// A path is held, here (`peer` is `None`) or as a change of a peer: it is told of at the end of this input.
    pub fn note_held(&mut self, name: &ShareName, path: &RelPath, reason: &Reason, peer: Option<NodeId>) {
        let key = (name.clone(), reason.code(), peer);
        self.held_news.get_or_insert_with(key, || (reason.clone(), Paths::default())).1.add(path);
    }

    /// Tells of everything that was held during this input.
    pub fn report_held(&mut self, now: Now) {
        for ((name, code, peer), (reason, paths)) in std::mem::take(&mut self.held_news) {
            let node = peer;
            let peer = node.map(|node| self.node_label(node));
            let from = peer.as_ref().map(|peer| format!(" from {peer}")).unwrap_or_default();
            let text = format!("share {name}: {}{from}: {reason}", paths.text());
            match node {
                Some(node) if !self.log_of_peer(now, node, Level::Warning, text.clone()) => continue,
                Some(_) => {}
                None => self.log(Level::Error, text.clone()),
            }
            let details = Tree::map()
                .with("share", name.to_string())
                .with("reason", code)
                .with("message", reason.to_string())
                .with_some("peer", peer);
            self.tell(Event { name: "owsync.hold", at: now.wall, text, details: paths.tell(details) });
        }
    }

    /// Tells of the changes that gave way in one landing.
    pub fn report_lost(&mut self, now: Now, name: &ShareName, from: Option<NodeId>, news: LostNews) {
        let peer = from.map_or_else(|| "a peer".into(), |node| self.node_label(node));
        for (LostKind { by, here: lost_here, by_rank, merged_by }, paths) in news {
            let which = paths.text();
            let here = "this node's version is in the history: `owsync log` lists it, `owsync restore` restores it";
            let (event, text) = match by {
                // Nothing of this node's gave way: its author is told.
                LostBy::Rollback | LostBy::Rejection if !lost_here => continue,
                LostBy::Rollback => {
                    let text = format!(
                        "share {name}: {which} was rolled back by {peer} or a node behind it, because it was not confirmed; {here}"
                    );
                    ("owsync.rollback", text)
                }
                LostBy::Rejection => {
                    let text = format!(
                        "share {name}: the change of {which} was rejected by the user on {peer} or a node behind it"
                    );
                    self.counters.rejections += 1;
                    ("owsync.rejected", text)
                }
                LostBy::Conflict if merged_by.is_some() => {
                    let author = merged_by.and_then(|state| self.author_label(name, state));
                    let then = match author {
                        Some(author) => format!("until {author} has merged its change into it"),
                        // It may be a node behind a peer, or one whose database was lost since.
                        None => "unless the other version's author, which is no peer of this node, merges its change into it; \
                                 the other version is in the history of the nodes that had it"
                            .into(),
                    };
                    let text = format!(
                        "share {name}: {which} was changed on two nodes before they saw each other; the newer version is in \
                         force {then}"
                    );
                    ("owsync.conflict", text)
                }
                LostBy::Conflict => {
                    self.counters.conflicts += paths.count;
                    let stays = if by_rank { "the reference's version was kept" } else { "the newer version was kept" };
                    let what = if lost_here { here } else { "the other version is in the history of its node" };
                    let text = format!(
                        "share {name}: conflict: {which} was changed on two nodes before they saw each other; {stays}, {what}"
                    );
                    ("owsync.conflict", text)
                }
            };
            match from {
                Some(node) => drop(self.log_of_peer(now, node, Level::Warning, text.clone())),
                None => self.log(Level::Warning, text.clone()),
            }
            let details =
                Tree::map().with("share", name.to_string()).with("peer", peer.clone()).with("lost_here", lost_here);
            let details = details.with("reason", by.word());
            self.tell(Event { name: event, at: now.wall, text, details: paths.tell(details) });
        }
    }

    /// The name of the node whose life of a database this is.
    fn author_label(&self, name: &ShareName, state: StateId) -> Option<String> {
        let ledgers = &self.store.share(name).ledgers;
        let (node, _) = ledgers.iter().find(|(_, ledger)| ledger.their_state == Some(state))?;
        Some(self.node_label(*node))
    }
}
