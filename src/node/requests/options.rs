//! Lists which options of a UCI package differ between two contents: for `diff` with `options`, and for previews.
//!
//! A package is what libuci reads as one: a file at the top of a share whose `reload` is `uci`. Two contents that say the
//! same as models are no difference here, whatever their comments, quotes and order of options. That is only judged where
//! both contents are at hand: the verdict of status, and everything else that compares what peers offered, has digests
//! only, and so a package that differs by a comment is synced like any other change.

use std::fmt::Write as _;

use crate::fs::Fs;
use crate::model::{Digest, Map, Monotonic, RelPath, ShareName, escape, limits};
use crate::node::api::{Fault, Reply, Tree};
use crate::node::peers::link::Sample;
use crate::node::requests::preview::Preview;
use crate::node::requests::versions::{Named, Text};
use crate::node::{LinkId, Node};
use crate::proto::message::{Message, Piece};
use crate::uci::PackageName;
use crate::uci::changes::{Change, Changes, What, changes};
use crate::uci::merge::Setting;

/// Two contents of a package that a preview compares: what is there before, and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compared {
    pub share: ShareName,
    pub path: RelPath,
    /// The peer whose content one of them is.
    pub peer: String,
    pub before: (Digest, u64),
    pub after: (Digest, u64),
    /// Whether the change happens at the peer.
    pub there: bool,
}

/// The contents that a preview compares by option.
#[derive(Default)]
pub(crate) struct Contents {
    found: Map<Digest, Vec<u8>>,
    /// Contents that peers were asked for.
    pub asked: Vec<(LinkId, u32)>,
    /// They were looked for.
    pub collected: bool,
    bytes: u64,
}

impl Contents {
    /// Notes a content that a peer sent, or that it cannot send.
    pub(crate) fn receive(&mut self, link: LinkId, number: u32, content: Option<&[u8]>) -> bool {
        let Some(at) = self.asked.iter().position(|one| *one == (link, number)) else { return false };
        self.asked.remove(at);
        if let Some(content) = content {
            // Under the digest that it has, so that a file that changed meanwhile is not taken for the one offered.
            self.found.insert(Digest::of(content), content.to_vec());
        }
        true
    }

    /// What a preview says of the options of a row.
    pub(crate) fn describe(&self, row: Tree, package: &PackageName, compared: &Compared) -> Tree {
        let missing = |why: &str| ("options_unknown", Tree::from(why));
        let empty = Digest::of(b"");
        let content = |digest: Digest| {
            let found = self.found.get(&digest).map(Vec::as_slice);
            found.or(if digest == empty { Some(&[]) } else { None })
        };
        let (key, value) = match (content(compared.before.0), content(compared.after.0)) {
            (Some(before), Some(after)) => match changes(package, before, after) {
                Ok(changes) => {
                    let count = changes.list.len();
                    let lines = changes.lines().take(limits::PREVIEW_OPTIONS).map(|line| Tree::from(short(line)));
                    let row = row.with("options", lines.collect::<Vec<_>>());
                    return if count > limits::PREVIEW_OPTIONS { row.with("options_count", count) } else { row };
                }
                Err(why) => missing(&why.to_string()),
            },
            _ if self.bytes > limits::PREVIEW_CONTENT => missing("too many packages differ"),
            _ => missing("the content was not received in time"),
        };
        row.with(key, value)
    }
}

/// A line of a preview, cut after [`limits::PREVIEW_OPTION`] bytes.
fn short(mut line: String) -> String {
    if line.len() > limits::PREVIEW_OPTION {
        let mut end = limits::PREVIEW_OPTION;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push_str("...");
    }
    line
}

impl<F: Fs> Node<F> {
    /// The package at a path, if libuci reads it as one.
    pub(crate) fn package_at(&self, name: &ShareName, path: &RelPath) -> Option<PackageName> {
        self.shares.get(name)?.package_at(path)
    }

    /// The same, or the reply that there is none.
    pub(crate) fn package_to_compare(&self, name: &ShareName, path: &RelPath) -> Result<PackageName, Reply> {
        let none = || {
            let text = format!(
                "{name}:{path} is not a UCI package (a file of a share with `reload uci`): compare it without --options"
            );
            Reply::failed(Fault::Argument, text)
        };
        self.package_at(name, path).ok_or_else(none)
    }

    /// Looks for the contents that a preview compares: on disk, in history, and at the peers.
    pub(crate) fn collect_contents(&mut self, index: usize, now: Monotonic) {
        let Some(preview) = self.previews.get(index) else { return };
        let compared: Vec<Compared> = self.compared_in(preview).into_iter().map(|(_, one)| one).collect();
        let mut contents = Contents { collected: true, ..Contents::default() };
        // A decision may send the content of one peer to others.
        let mut holders: Map<Digest, String> = Map::new();
        for one in &compared {
            let digest = if one.there { one.before.0 } else { one.after.0 };
            holders.get_or_insert(digest, one.peer.clone());
        }
        for one in &compared {
            for (digest, size) in [one.before, one.after] {
                let known = contents.found.get(&digest).is_some() || size == 0;
                if known || size > limits::OPTIONS_FILE {
                    continue;
                }
                contents.bytes += size;
                if contents.bytes > limits::PREVIEW_CONTENT {
                    break;
                }
                if let Some(bytes) = self.stored_here(one, digest) {
                    contents.found.insert(digest, bytes);
                    continue;
                }
                let peer = holders.get(&digest).unwrap_or(&one.peer);
                let link = self.peers.links.iter().find(|(id, link)| {
                    let has_share = link.exchanges.contains_key(&one.share);
                    link.is_admitted() && has_share && self.peers.peer_label(&self.cx, **id) == *peer
                });
                let Some(id) = link.map(|(id, _)| *id) else { continue };
                contents.asked.extend(self.ask_for_content(id, one, digest, size).map(|number| (id, number)));
            }
        }
        if let Some(preview) = self.previews.get_mut(index) {
            preview.contents = contents;
            preview.deadline = now.plus(limits::PREVIEW_CONTENT_TIME);
        }
    }

    /// A content of this digest that is on disk here or in history.
    fn stored_here(&self, one: &Compared, digest: Digest) -> Option<Vec<u8>> {
        if let Ok(Named { text: Text::Whole(bytes), .. }) = self.current_text(&one.share, &one.path) {
            if Digest::of(&bytes) == digest {
                return Some(bytes);
            }
        }
        let item = self.cx.history.items().find(|item| item.digest == digest)?;
        match self.cx.text_of(item) {
            Ok(Named { text: Text::Whole(bytes), .. }) => Some(bytes),
            _ => None,
        }
    }

    fn ask_for_content(&mut self, id: LinkId, one: &Compared, digest: Digest, size: u64) -> Option<u32> {
        let link = self.peers.links.get_mut(&id)?;
        if link.samples.len() >= limits::ASKS_MAX {
            return None;
        }
        let number = link.next_request;
        link.next_request = link.next_request.wrapping_add(1);
        link.samples.insert(number, Sample { bytes: Vec::new(), size: usize::try_from(size).ok()? });
        let piece = Piece { id: number, path: one.path.clone(), digest, offset: 0, length: size };
        link.say(Message::Request { share: one.share.clone(), pieces: vec![piece] });
        Some(number)
    }

    /// The rows of a preview that change a package, with what they compare.
    pub(crate) fn compared_in(&self, preview: &Preview) -> Vec<(PackageName, Compared)> {
        let all = self.would_list(preview).compared.into_iter().flatten();
        all.filter_map(|one| Some((self.package_at(&one.share, &one.path)?, one))).collect()
    }
}

/// What a `diff` with `options` answers, beside what is said already.
pub(crate) fn differences(tree: Tree, package: &PackageName, old: &Named, new: &Named) -> Reply {
    let large = || {
        let text = format!("{} is too large to be compared by option: at most {} bytes", package, limits::OPTIONS_FILE);
        Reply::failed(Fault::State, format!("{text}; compare it without --options"))
    };
    let (Some(before), Some(after)) = (content(&old.text), content(&new.text)) else { return large() };
    match changes(package, before, after) {
        Ok(found) => {
            let (list, truncated) = list(&found);
            // Two different texts that say the same are worth a word.
            let same_text = before == after;
            Reply::Done(tree.with("options", list).with("same_text", same_text).with("truncated", truncated))
        }
        Err(why) => {
            let mut text = format!("{} and {}: {why}", old.name, new.name);
            let _ = write!(text, "; compare them without --options");
            Reply::failed(Fault::State, text)
        }
    }
}

fn content(text: &Text) -> Option<&[u8]> {
    match text {
        Text::Nothing => Some(b""),
        Text::Whole(bytes) => Some(bytes),
        Text::Large(_) => None,
    }
}

/// The changes for scripts; whether some are left out because an answer has no room for more.
fn list(found: &Changes) -> (Vec<Tree>, bool) {
    let mut left = limits::DIFF_TEXT;
    let mut list = Vec::new();
    for (change, text) in found.list.iter().zip(found.lines()) {
        let Some(rest) = left.checked_sub(text.len()) else { return (list, true) };
        left = rest;
        list.push(tree_of(change, text));
    }
    (list, false)
}

fn tree_of(change: &Change, text: String) -> Tree {
    let tree = Tree::map().with("section", change.section.clone());
    let tree = tree.with_some("option", change.what.option());
    let what = match &change.what {
        What::SectionAdded { .. } => "section_added",
        What::SectionRemoved { .. } => "section_removed",
        What::Moved => "moved",
        What::ItemAdded { .. } => "item_added",
        What::ItemRemoved { .. } => "item_removed",
        What::Option { from: None, .. } => "added",
        What::Option { to: None, .. } => "removed",
        What::Option { .. } => "changed",
    };
    let tree = tree.with("what", what).with("text", text);
    let items = |items: &[Vec<u8>]| -> Vec<Tree> { items.iter().map(|item| escape::escape(item).into()).collect() };
    let setting = |tree: Tree, key: &str, setting: &Option<Setting>| match setting {
        None => tree,
        Some(Setting::Local) => tree.with(format!("{key}_local"), true),
        Some(Setting::Value(value)) => tree.with(key, items(value.items())),
    };
    match &change.what {
        What::SectionAdded { kind } | What::SectionRemoved { kind } => {
            tree.with("type", escape::escape(kind.as_bytes()))
        }
        What::Moved => tree,
        What::Option { from, to, .. } => setting(setting(tree, "from", from), "to", to),
        What::ItemAdded { item, .. } => tree.with("to", items(std::slice::from_ref(item))),
        What::ItemRemoved { item, .. } => tree.with("from", items(std::slice::from_ref(item))),
    }
}
