//! The rows of a preview.

use crate::model::{Entry, Kind, RelPath, ShareName, limits};
use crate::node::api::Tree;
use crate::node::requests::options::Compared;
use crate::node::status::deviation_status;

/// The answer, as it grows.
#[derive(Default)]
pub(in crate::node::requests) struct List {
    pub(super) rows: Vec<Tree>,
    /// Of each row that changes a file, the contents before and after.
    pub(in crate::node::requests) compared: Vec<Option<Compared>>,
    pub(super) count: u64,
    pub(super) unknown: Vec<Tree>,
    /// Changes made here in shares that only receive: a sync does not end these differences.
    pub(super) deviations: Vec<Tree>,
    pub(super) deviations_count: u64,
    /// Something that a person may let go on was among it.
    pub(super) waits: bool,
}

/// What would happen to one path at one side.
pub(super) struct Row<'a> {
    pub(super) share: &'a ShareName,
    pub(super) peer: &'a str,
    pub(super) path: &'a RelPath,
    pub(super) there: bool,
    pub(super) before: Before<'a>,
    pub(super) after: &'a Entry,
    pub(super) why: &'a str,
    /// It does not happen by itself: `why` says what it waits for.
    pub(super) waits: bool,
}

/// What lies where something would happen.
#[derive(Clone, Copy)]
pub(super) enum Before<'a> {
    /// This, or nothing.
    Known(Option<&'a Entry>),
    /// The peer is away, or did not answer.
    Unknown,
}

impl List {
    pub(super) fn push(&mut self, row: Row<'_>) {
        let what = match row.before {
            Before::Known(before) => what(before, row.after),
            Before::Unknown => Some(if row.after.is_live() { "sent" } else { "deleted" }),
        };
        let Some(what) = what else { return };
        self.count += 1;
        if self.rows.len() >= limits::REPLY_PATHS {
            return;
        }
        let size = if row.after.is_live() { row.after.size } else { row.before.size() };
        let tree = Tree::map()
            .with("share", row.share.to_string())
            .with("peer", row.peer)
            .with("path", row.path.to_text())
            .with("where", if row.there { "there" } else { "here" })
            .with("what", what)
            .with("size", size)
            .with("why", row.why);
        let file = |entry: &Entry| (entry.kind == Kind::File).then_some((entry.digest, entry.size));
        let contents = match row.before {
            Before::Known(Some(before)) if what == "changed" => file(before).zip(file(row.after)),
            _ => None,
        };
        self.compared.push(contents.map(|(before, after)| Compared {
            share: row.share.clone(),
            path: row.path.clone(),
            peer: row.peer.to_string(),
            before,
            after,
            there: row.there,
        }));
        self.rows.push(if row.waits { tree.with("waits", true) } else { tree });
    }

    pub(super) fn unknown(&mut self, share: &ShareName, peer: &str, message: String) {
        let tree = Tree::map().with("share", share.to_string()).with("peer", peer).with("message", message);
        self.unknown.push(tree);
    }

    pub(super) fn deviation(&mut self, share: &ShareName, path: &RelPath, entry: &Entry) {
        self.deviations_count += 1;
        if self.deviations.len() < limits::REPLY_PATHS {
            self.deviations.push(Tree::from(&deviation_status(path, entry)).with("share", share.to_string()));
        }
    }

    /// The answer; `describe` adds to a row what its contents differ in.
    pub(super) fn tree(self, describe: impl Fn(Tree, &Compared) -> Tree) -> Tree {
        let truncated = self.count > self.rows.len() as u64;
        let rows = self.rows.into_iter().zip(&self.compared).map(|(row, compared)| match compared {
            Some(compared) => describe(row, compared),
            None => row,
        });
        let rows: Vec<Tree> = rows.collect();
        let mut tree = Tree::map().with("preview", rows).with("count", self.count).with("truncated", truncated);
        if !self.deviations.is_empty() {
            tree = tree.with("deviations", self.deviations).with("deviations_count", self.deviations_count);
        }
        if self.unknown.is_empty() { tree } else { tree.with("unknown", self.unknown) }
    }
}

impl Before<'_> {
    fn size(self) -> u64 {
        match self {
            Before::Known(Some(entry)) => entry.size,
            Before::Known(None) | Before::Unknown => 0,
        }
    }
}

/// What a change of a path is called; `None` where a person would see none.
fn what(before: Option<&Entry>, after: &Entry) -> Option<&'static str> {
    let Some(before) = before.filter(|before| before.is_live()) else {
        return after.is_live().then_some("created");
    };
    Some(match after {
        _ if !after.is_live() => "deleted",
        _ if !before.same_content(after) => "changed",
        _ if before.mode != after.mode => "mode",
        _ if before.owner != after.owner => "owner",
        _ if before.mtime != after.mtime => "time",
        _ => return None,
    })
}
