//! Merges a UCI package that was changed on two nodes, so that neither change is given up.
//!
//! # Who merges?
//! The node that made an edit which the losing bytes include and the winning ones do not, in the moment in which they would
//! be replaced on its disk. Every other node takes the winner and waits for the merge. If every node that has the bytes
//! merged, fifty access points would put fifty ids into a version; if only the latest author did, edits would be lost.
//!
//! # Which base?
//! The stored content whose edits are exactly those that both sides include, and no other: with an older one, an option that
//! was set back to its previous value would look unchanged, and be overwritten.
//!
//! A merged text is an edit of this node that has seen both sides. It is checked, applied and confirmed in the place of the
//! winner, with the rest of its batch. Where something refuses it the winner is applied, and the two contents are not
//! merged again.

use crate::fs::Fs;
use crate::fs::form::read_small;
use crate::model::{Digest, Entry, Kind, LostBy, Map, NodeId, RelPath, ShareName, StateId, Version, limits};
use crate::node::api::{Event, Level, Tree};
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::transaction::apply::{attributes_of, stage_text};
use crate::node::share::transaction::keep::{Lost, item_of};
use crate::reconcile::safety::Step;
use crate::reconcile::{self, Loser, Source};
use crate::store::history::{Item, Room};
use crate::store::state::Why;
use crate::uci::merge::{Loss, Merged, Note, merge};

/// A merged text that waits to be applied in the place of what a peer offered.
pub(crate) struct Merging {
    /// What was here and what the peer has: both must still be so.
    of: (Entry, Entry),
    /// Where the text is staged; `None` where it is what the peer has, or what is here.
    pub staged: Option<RelPath>,
    /// The edit of this node that it will be.
    pub entry: Entry,
    pub report: Report,
}

/// What a merge did.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// Changes of this node that did not make it into the text.
    pub lost: Vec<String>,
    /// Those of them that are options, as `restore` takes them.
    pub not_taken: Vec<String>,
    /// What a user may want to read again.
    pub notes: Vec<String>,
}

impl Report {
    pub fn of(lost: &[Loss], notes: &[Note]) -> Report {
        let option = |loss: &Loss| match loss {
            Loss::Option { section, option, .. } => Some(format!("{section}.{option}")),
            Loss::Section { .. } | Loss::Type { .. } | Loss::Order { .. } => None,
        };
        Report {
            lost: lost.iter().map(Loss::without_secrets).collect(),
            not_taken: lost.iter().filter_map(option).collect(),
            notes: notes.iter().map(Note::to_string).collect(),
        }
    }

    /// Adds it to an answer or an event.
    pub fn add_to(self, tree: Tree) -> Tree {
        let list = |lines: Vec<String>| lines.into_iter().map(Tree::Text).collect::<Vec<_>>();
        tree.with("lost", list(self.lost)).with("not_taken", list(self.not_taken)).with("notes", list(self.notes))
    }
}

impl Merging {
    /// What is reported once it is applied, with the digest of what was here before.
    pub fn to_report(&self) -> (Report, Digest) {
        (self.report.clone(), self.of.0.digest)
    }
}

/// Pairs of contents that are not merged (again), by their paths.
pub(crate) type NotMerged = Map<RelPath, (Digest, Digest)>;

impl<F: Fs> Share<F> {
    /// Whether two changes of a path are merged in this share.
    pub(crate) fn merges(&self, path: &RelPath) -> bool {
        self.settings.merge && self.is_package(path)
    }

    /// Where a batch would replace an edit of this node that its author had not seen, both are merged instead, if that is
    /// possible. A merge that was made for an earlier plan of the batch, of other contents, is over.
    pub(crate) fn merge_steps(&mut self, cx: &mut Context<F>, id: u64, steps: &mut [Step]) {
        for step in steps {
            let batch = self.inbox.batches.get_mut(&id);
            let before = batch.and_then(|batch| batch.offers.get_mut(&step.path)?.merging.take());
            let merging = self.merging_of(cx, id, step, before);
            if let Some(merging) = &merging {
                step.loser = Some(Loser::Merged);
                step.entry = merging.entry.clone();
                step.set_back = false;
                if merging.entry.digest == merging.of.0.digest {
                    step.source = Source::Here;
                }
            }
            let batch = self.inbox.batches.get_mut(&id);
            if let Some(pending) = batch.and_then(|batch| batch.offers.get_mut(&step.path)) {
                pending.merging = merging;
            }
        }
    }

    /// The merge that a step is to apply: `before`, if it is one of the same contents.
    fn merging_of(
        &mut self,
        cx: &mut Context<F>,
        id: u64,
        step: &Step,
        before: Option<Box<Merging>>,
    ) -> Option<Box<Merging>> {
        let of = self.to_merge(cx, id, step);
        match before {
            Some(before) if of.as_ref() == Some(&before.of) => return Some(before),
            before => self.transaction.leftovers.extend(before.and_then(|before| before.staged)),
        }
        let (local, theirs) = of?;
        let pair = (local.digest, theirs.digest);
        match self.merge_path(cx, id, step, local, theirs) {
            Ok(merging) => Some(Box::new(merging)),
            Err(why) => {
                let from = self.inbox.batches.get(&id).map(|batch| batch.from.node);
                self.note_not_merged(cx, from, &step.path, pair, &why);
                None
            }
        }
    }

    /// What is here and what the peer has, where a step replaces one with the other and this node is to merge them.
    fn to_merge(&self, cx: &Context<F>, id: u64, step: &Step) -> Option<(Entry, Entry)> {
        let path = &step.path;
        let conflict = step.source == Source::There && step.loser == Some(Loser::Unseen(LostBy::Conflict));
        if !conflict || step.entry.kind != Kind::File || !self.merges(path) {
            return None;
        }
        let local = &cx.store.share(&self.name).index.get(path)?.entry;
        let theirs = &self.inbox.batches.get(&id)?.offers.get(path)?.entry;
        let failed = self.inbox.not_merged.get(path) == Some(&(local.digest, theirs.digest));
        let merges = local.kind == Kind::File && !failed && cx.is_author(local, theirs);
        merges.then(|| (local.clone(), theirs.clone()))
    }

    /// Merges one path, and stages the text.
    fn merge_path(
        &mut self,
        cx: &mut Context<F>,
        id: u64,
        step: &Step,
        local: Entry,
        theirs: Entry,
    ) -> Result<Merging, String> {
        let path = &step.path;
        let root = self.root.as_ref().ok_or("the directory of the share cannot be opened")?;
        let name = self.package_at(path).ok_or("it is no UCI package")?;
        let staged = self.inbox.batches.get(&id).and_then(|batch| batch.offers.get(path)?.staged().cloned());
        let read = |root: &F::Root, path: &RelPath, digest: Digest| {
            let bytes = read_small(root, path, limits::PACKAGE_KEPT).map_err(|error| error.to_string())?;
            let missing = || format!("it is not there, or larger than {} KiB", limits::PACKAGE_KEPT / 1024);
            let bytes = bytes.ok_or_else(missing)?;
            if Digest::of(&bytes) == digest { Ok(bytes) } else { Err("it changed at this moment".to_string()) }
        };
        let record = cx.store.share(&self.name).index.get(path).filter(|record| record.local.is_some());
        let ours = match record {
            // Only shared forms are merged.
            Some(record) => self.stored_form(cx, path, record)?.to_vec(),
            None => read(root, path, local.digest)?,
        };
        let base = cx.base_of(&self.name, path, local.content(), theirs.content())?;
        let winner = match &staged {
            Some(staged) => read(root, staged, theirs.digest)?,
            None => return Err("the peer's version is not here".into()),
        };
        let Merged { text, lost, notes } =
            merge(&name, &base, &winner, &ours).map_err(|refusal| refusal.to_string())?;
        let report = Report::of(&lost, &notes);
        let number = cx.store.next_number(cx.now.wall);
        let me = cx.store.state().me.state;
        let bytes = (Digest::of(&text), text.len() as u64);
        let entry = reconcile::merged(&local, &theirs, step.entry.given_up.clone(), bytes, me, number);
        let staged = if entry.digest == local.digest || entry.digest == theirs.digest {
            None
        } else {
            let staged = self.staging.name(root).map_err(|error| error.to_string())?;
            let attributes = attributes_of(&cx.fs, &entry, self.settings.allow_setuid);
            stage_text(root, &staged, &text, attributes).map_err(|error| error.to_string())?;
            Some(staged)
        };
        cx.keep_winner(&self.name, path, &theirs, &winner, self.settings.min_free);
        Ok(Merging { of: (local, theirs), staged, entry, report })
    }

    /// Checks refused merged texts: those paths get the peer's content; what else was refused.
    pub(crate) fn drop_refused_merges(
        &mut self,
        cx: &mut Context<F>,
        id: u64,
        refused: &Map<RelPath, String>,
    ) -> Map<RelPath, String> {
        let mut others = Map::new();
        for (path, why) in refused.iter() {
            let batch = self.inbox.batches.get_mut(&id);
            let from = batch.as_ref().map(|batch| batch.from.node);
            let merging = batch.and_then(|batch| batch.offers.get_mut(path)?.merging.take());
            let Some(Merging { of: (local, theirs), staged, .. }) = merging.map(|merging| *merging) else {
                others.insert(path.clone(), why.clone());
                continue;
            };
            self.transaction.leftovers.extend(staged);
            let why = format!("the merged text was refused: {why}");
            self.note_not_merged(cx, from, path, (local.digest, theirs.digest), &why);
            cx.stirred = true;
        }
        others
    }

    fn note_not_merged(
        &mut self,
        cx: &mut Context<F>,
        from: Option<NodeId>,
        path: &RelPath,
        pair: (Digest, Digest),
        why: &str,
    ) {
        let peer = from.map_or_else(|| "the peer".into(), |node| cx.node_label(node));
        let text = format!("share {}: {path}: not merged, the version of {peer} is applied: {why}", self.name);
        cx.log(Level::Warning, text);
        if self.inbox.not_merged.len() >= limits::NOT_MERGED {
            self.inbox.not_merged = NotMerged::new();
        }
        self.inbox.not_merged.insert(path.clone(), pair);
    }

    /// Reports merges that were applied.
    ///
    /// Each comes with the digest of what was here before, which is a version in the history.
    pub(crate) fn report_merges(
        &self,
        cx: &mut Context<F>,
        from: Option<NodeId>,
        merges: Map<RelPath, (Report, Digest)>,
    ) {
        let peer = from.map_or_else(|| "a peer".into(), |node| cx.node_label(node));
        for (path, (report, before)) in merges {
            let Report { lost, not_taken, notes } = &report;
            let is_before = |item: &&Item| item.share == self.name && item.path == path && item.digest == before;
            let number = cx.history.items().rev().find(is_before).map(|item| item.number);
            let what = format!("share {}: {path}: merged the change of {peer} with this node's", self.name);
            let text = match (lost.len(), notes.len()) {
                (0, 0) => what,
                (0, _) => format!("{what}; {}", notes.join("; ")),
                _ => format!("{what}; not in force from here: {}", lost.join("; ")),
            };
            let text = match (not_taken.first(), number) {
                (Some(option), Some(number)) => {
                    let which = if lost.len() == 1 { "the other value" } else { "one of the other values" };
                    format!("{text}. `owsync restore {}:{path}@{number} --option '{option}'` takes {which}", self.name)
                }
                _ => text,
            };
            cx.log(if lost.is_empty() { Level::Notice } else { Level::Warning }, text.clone());
            cx.counters.merges += 1;
            let details = Tree::map()
                .with("share", self.name.to_string())
                .with("peer", peer.clone())
                .with("path", path.to_text())
                .with_some("number", number);
            cx.tell(Event { name: "owsync.merged", at: cx.now.wall, text, details: report.add_to(details) });
        }
    }
}

impl<F: Fs> Context<F> {
    /// Whether this node made an edit that the bytes of `loser` include and those of `winner` do not.
    fn is_author(&self, loser: &Entry, winner: &Entry) -> bool {
        unseen(loser, winner).any(|id| self.store.state().me.made(id))
    }

    /// The author of an edit that an entry's bytes do not include, if that node merges it: another one than this.
    pub(crate) fn merged_by(&self, entry: &Entry) -> Option<StateId> {
        let me = &self.store.state().me;
        let left_out = |&(id, number): &(StateId, u64)| (entry.content().number(id) < number).then_some(id);
        let mut authors = entry.version.pairs().iter().filter_map(left_out);
        let first = authors.next()?;
        (!me.made(first) && !authors.any(|id| me.made(id))).then_some(first)
    }

    /// The base of a merge: the content with exactly the edits that both sides include.
    pub(crate) fn base_of(
        &self,
        share: &ShareName,
        path: &RelPath,
        local: &Version,
        theirs: &Version,
    ) -> Result<Vec<u8>, String> {
        let both = local.within(theirs);
        if both.is_unversioned() {
            return Err("the two versions have no common base".into());
        }
        let most = limits::VERSION_IDS;
        let joined = local.join(theirs);
        if joined.pairs().len() >= most {
            return Err(format!("too many nodes have changed it: {most}"));
        }
        let is_base = |item: &&Item| {
            let of_path = item.share == *share && item.path == *path && item.kind == Kind::File;
            of_path && item.content == both && item.size <= limits::PACKAGE_KEPT as u64
        };
        let missing = || "the common base is no longer stored here".to_string();
        let item = self.history.items().rev().find(is_base).ok_or_else(missing)?;
        self.history.content(item.digest).map_err(|error| error.to_string())?.ok_or_else(missing)
    }

    /// Keeps the bytes of a merge's winner, which never lie on this disk: they may be the base of the next merge.
    fn keep_winner(&mut self, share: &ShareName, path: &RelPath, winner: &Entry, bytes: &[u8], min_free: u64) {
        let known = |item: &Item| {
            item.share == *share
                && item.path == *path
                && item.digest == winner.digest
                && item.content == *winner.content()
        };
        let room = self.history.room(winner.digest, winner.size, Why::Merged, min_free);
        if self.history.items().any(known) || room != Room::Keep {
            return;
        }
        let run = self.next_run;
        self.next_run += 1;
        let lost = Lost { share, path, entry: winner, why: Why::Merged, by: None, run, after: None, seq: 0 };
        let item = item_of(self.noted(), &lost);
        if let Err(error) = self.history.keep_bytes(bytes, item).and_then(|_| self.history.commit()) {
            self.log(Level::Warning, format!("the history cannot be written: {error}"));
        }
    }
}

/// The authors of edits that the bytes of `loser` include and those of `winner` do not.
fn unseen(loser: &Entry, winner: &Entry) -> impl Iterator<Item = StateId> {
    let content: &Version = winner.content();
    loser.content().pairs().iter().filter(|(id, number)| content.number(*id) < *number).map(|(id, _)| *id)
}
