//! Merges a previous version of a UCI package into the current one on the user's request, as a node does on its own with a
//! change that another replaced: for what was not merged then.

use crate::fs::Fs;
use crate::model::{Digest, Kind};
use crate::node::api::{Fault, Reply, Tree};
use crate::node::requests::versions::{Named, Text, refused_as_local};
use crate::node::share::transaction::merge::Report;
use crate::node::{CommandId, Node};
use crate::store::history::Item;
use crate::store::state::Cause;
use crate::uci::merge::{Merged, merge};

/// A merge that was asked for, before it is applied.
struct ByHand {
    current: Named,
    merged: Merged,
    /// The version with the merged text in the place of its content.
    item: Item,
}

impl<F: Fs> Node<F> {
    /// Merges a previous version into the current one, or shows what that would come to; the answer, unless it comes later.
    pub(crate) fn merge_version(&mut self, id: CommandId, item: &Item, dry_run: bool) -> Option<Reply> {
        if let Some(reply) = refused_as_local(item) {
            return Some(reply);
        }
        let ByHand { current, merged, item: result } = match self.merged_version(item) {
            Ok(by_hand) => by_hand,
            Err(reply) => return Some(reply),
        };
        if dry_run {
            let tree = Tree::map()
                .with("share", item.share.to_string())
                .with("path", item.path.to_text())
                .with("from", item.number);
            let tree = Report::of(&merged.lost, &merged.notes).add_to(tree);
            let name = format!("{}:{} merged with @{}", item.share, item.path, item.number);
            let new = Named { name, digest: Some(result.digest), text: Text::Whole(merged.text) };
            let lines = Self::differences(tree, None, &current, &new);
            let package = self.package_at(&item.share, &item.path);
            let (Reply::Done(tree), Some(package)) = (&lines, &package) else { return Some(lines) };
            let options = Self::differences(tree.clone(), Some(package), &current, &new);
            return Some(if matches!(options, Reply::Done(_)) { options } else { lines });
        }
        self.restore_text(id, Cause::Merged, &result, &merged.text)
    }

    fn merged_version(&self, item: &Item) -> Result<ByHand, Reply> {
        let state = |text: String| Reply::failed(Fault::State, text);
        let (share, path) = (&item.share, &item.path);
        let what = format!("{share}:{path}@{}", item.number);
        let name = self.package_at(share, path).filter(|_| item.kind == Kind::File);
        let name = name.ok_or_else(|| state(format!("{what} is not a UCI package of a share with reload uci")))?;
        let record = self.cx.record_of(share, path).filter(|record| record.is_awake_and_live());
        let entry = record.map(|record| record.entry).filter(|entry| entry.kind == Kind::File);
        let entry = entry.ok_or_else(|| state(format!("{path} does not exist now: use `owsync restore`")))?;
        if entry.content().includes(&item.content) && !item.content.is_unversioned() {
            return Err(state(format!(
                "the changes of {what} are in the current version already, or were replaced knowingly"
            )));
        }
        let base = self.cx.base_of(share, path, entry.content(), &item.content).map_err(state)?;
        let loser = whole(self.cx.text_of(item)?.text).ok_or_else(|| state(format!("{what} is too large")))?;
        let current = self.current_text(share, path)?;
        let winner = match &current.text {
            Text::Whole(bytes) if Digest::of(bytes) == entry.digest => bytes.clone(),
            Text::Whole(_) | Text::Nothing => {
                return Err(state(format!("{path} changed at this moment: try again")));
            }
            Text::Large(_) => return Err(state(format!("{path} is too large"))),
        };
        let merged = merge(&name, &base, &winner, &loser).map_err(|refusal| state(format!("not merged: {refusal}")))?;
        let result = Item {
            digest: Digest::of(&merged.text),
            size: merged.text.len() as u64,
            mode: entry.mode,
            owner: entry.owner.clone(),
            ..item.clone()
        };
        Ok(ByHand { current, merged, item: result })
    }
}

fn whole(text: Text) -> Option<Vec<u8>> {
    match text {
        Text::Whole(bytes) => Some(bytes),
        Text::Nothing | Text::Large(_) => None,
    }
}
