//! Checks a batch before it is applied: a UCI package must parse, and this machine's programs may refuse a file.
//!
//! A batch whose content is staged and verified waits here until it was looked at: by the parser, and where the share has
//! a program for it, by the node's owner ([`Output::Check`], answered with [`crate::node::Node::handle_checked`]). What is refused is
//! owed with the check's own words, which its sender sees as well. It is not tried again until it changes there, another
//! program is configured here, or a person names it; the rest of its batch waits for it, unless a person says otherwise.

use crate::fs::form::read_small;
use crate::fs::{Fs, Root};
use crate::model::settings::Reload;
use crate::model::{Digest, Kind, Map, Reason, RelPath, Set, limits};
use crate::node::Output;
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::parts::Candidate;
use crate::node::share::Share;
use crate::node::share::inbox::batch::{Batch, Pending};
use crate::node::share::transaction::uncommitted::Known;
use crate::reconcile::Source;
use crate::reconcile::safety::Step;
use crate::store::state::{Change, Owed};
use crate::uci::{self, PackageName};

/// What checks said of a batch.
#[derive(Default)]
pub(crate) struct Checks {
    /// Contents that were found good.
    passed: Map<RelPath, Digest>,
    /// Paths that a person lets pass.
    pub forced: Set<RelPath>,
    /// Contents that are being looked at.
    asked: Map<RelPath, Digest>,
    /// Which question that is.
    number: u64,
    /// Paths that the user applies although uncommitted changes refer to sections by number.
    pub despite_uncommitted: Set<RelPath>,
    /// What is known of uncommitted changes.
    pub uncommitted: Known,
}

impl Checks {
    /// Whether the batch waits for an answer.
    pub fn are_under_way(&self) -> bool {
        !self.asked.is_empty() || matches!(self.uncommitted, Known::Asked(_))
    }

    /// What was found of a path is no longer what would be applied.
    pub fn forget(&mut self, path: &RelPath) {
        self.passed.remove(path);
    }
}

impl<F: Fs> Share<F> {
    /// The programs that [`Output::Check`] asked for have ended: what they refused, with their words.
    pub(crate) fn handle_checked(&mut self, cx: &mut Context<F>, check: u64, refused: &[(RelPath, String)]) {
        let found = self
            .inbox
            .batches
            .iter_mut()
            .find(|(_, batch)| !batch.checks.asked.is_empty() && batch.checks.number == check);
        // It may be gone by now: its session ended, or everything in it was replaced by a later word.
        if let Some((id, batch)) = found {
            let id = *id;
            let asked = std::mem::take(&mut batch.checks.asked);
            // What was replaced meanwhile was not what they looked at.
            let same = |path: &RelPath| {
                let digest = batch.offers.get(path).map(Pending::digest);
                digest.is_some() && asked.get(path) == digest.as_ref()
            };
            let good = asked.iter().filter(|(path, _)| !refused.iter().any(|(refused, _)| refused == *path));
            batch.checks.passed.extend(good.map(|(path, digest)| (path.clone(), *digest)));
            let is_local = |path: &RelPath| batch.forms.get(path).is_some_and(|formed| formed.is_local);
            let (own, refused): (Vec<_>, Vec<_>) =
                refused.iter().filter(|(path, _)| same(path)).cloned().partition(|(path, _)| is_local(path));
            // A program that read a file with values of this router may repeat them, and peers are shown the reason.
            for (path, words) in &own {
                cx.log(Level::Warning, format!("share {}: {path} is refused: {}", self.name, short(words)));
            }
            let own = own.into_iter().map(|(path, _)| (path, REFUSED_LOCALLY.to_string()));
            let refused: Map<RelPath, String> = refused.into_iter().chain(own).collect();
            if !refused.is_empty() {
                self.refuse_paths(cx, id, &refused);
            }
        }
    }

    /// Has a batch looked at; whether it cannot land now for that reason.
    pub(crate) fn must_wait_for_checks(&mut self, cx: &mut Context<F>, id: u64, steps: &[Step]) -> bool {
        let name = &self.name;
        let (Some(batch), Some(root)) = (self.inbox.batches.get(&id), &self.root) else { return true };
        let parses = self.settings.reload() == Reload::Uci;
        let asks = self.settings.validate.is_some() || self.has_hook(cx);
        if !parses && !asks {
            return false;
        }
        let checks = &batch.checks;
        let fresh: Vec<&Step> = steps
            .iter()
            .filter(|step| step.source == Source::There && !checks.forced.contains(&step.path))
            .filter(|step| checks.passed.get(&step.path) != Some(&offered(batch, step)))
            .collect();
        let mut refused: Map<RelPath, String> = Map::new();
        if parses {
            for step in fresh.iter().filter(|step| step.entry.kind == Kind::File) {
                if let Some(why) = batch.staged(&step.path).and_then(|staged| unparsable(root, &step.path, staged)) {
                    refused.insert(step.path.clone(), why);
                }
            }
        }
        if !refused.is_empty() {
            self.refuse_paths(cx, id, &refused);
            return true;
        }
        if !asks || fresh.is_empty() {
            return false;
        }
        let asked: Map<RelPath, Digest> = fresh.iter().map(|step| (step.path.clone(), offered(batch, step))).collect();
        let candidates = fresh
            .iter()
            .map(|step| Candidate {
                path: step.path.clone(),
                kind: step.entry.kind,
                size: step.entry.size,
                staged: batch.staged(&step.path).cloned(),
            })
            .collect();
        let number = cx.next_check;
        cx.next_check += 1;
        let commit = self.commits.of_batch(id).is_some();
        cx.outputs.push_back(Output::Check { share: name.clone(), check: number, candidates, commit });
        if let Some(batch) = self.inbox.batches.get_mut(&id) {
            batch.checks.asked = asked;
            batch.checks.number = number;
        }
        true
    }

    /// A batch does not land: some paths are refused, the others wait for them.
    pub(crate) fn refuse_paths(&mut self, cx: &mut Context<F>, id: u64, refused: &Map<RelPath, String>) {
        let refused = &self.drop_refused_merges(cx, id, refused);
        let Some((first, _)) = refused.iter().next() else { return };
        self.note_batch_pending(cx, id, |path| match refused.get(path) {
            Some(why) => Reason::Refused(short(why)),
            None => Reason::WaitsFor(first.clone()),
        });
    }

    /// Other programs check what lands from here on: what was refused is looked at again.
    pub(crate) fn check_again(&mut self, cx: &mut Context<F>) {
        let name = &self.name;
        let landing = self.transaction.landing.as_ref().and_then(|landing| landing.batch);
        // Whatever is being looked at is no answer any more.
        for (_, batch) in self.inbox.batches.iter_mut().filter(|(id, _)| landing != Some(**id)) {
            cx.stirred = true;
            batch.checks = Checks {
                forced: std::mem::take(&mut batch.checks.forced),
                despite_uncommitted: std::mem::take(&mut batch.checks.despite_uncommitted),
                ..Checks::default()
            };
        }
        let state = cx.store.share(name);
        let refused: Vec<_> = state
            .owed
            .iter()
            .filter(|(_, owed)| owed.reason.is_refusal())
            .map(|((node, path), owed)| (*node, path.clone(), Owed::clone(owed)))
            .collect();
        for (node, path, owed) in refused {
            let owed = Owed { reason: Reason::Other("it is being checked again".into()), ..owed };
            cx.store.change_lazily(Change::Owed(name.clone(), node, path, Box::new(owed)));
            self.inbox.retry_at = cx.now.mono;
        }
    }
}

/// The digest of the content that would be synced by a step; what it becomes on disk here may differ.
fn offered<R: Root>(batch: &Batch<R>, step: &Step) -> Digest {
    batch.offers.get(&step.path).map_or(step.entry.digest, Pending::digest)
}

/// Why a staged file is no UCI package, where its path says that it is one. What is too large for a package, or cannot be
/// read, is left to the landing.
fn unparsable<R: Root>(root: &R, path: &RelPath, staged: &RelPath) -> Option<String> {
    let name = PackageName::at(path)?;
    let text = read_small(root, staged, limits::PACKAGE_MAX).ok()??;
    uci::parse(&name, &text).err().map(|error| error.to_string())
}

/// The reason where the words of a check must not leave this node.
const REFUSED_LOCALLY: &str = "a program of this node refuses it together with the local options here: see its log";

/// The words of a check as a reason has room for them: their end, on one line.
fn short(why: &str) -> String {
    let line = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let mut start = line.len().saturating_sub(limits::REFUSAL_TEXT);
    while !line.is_char_boundary(start) {
        start += 1;
    }
    line[start..].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_check_are_one_line_and_their_end_counts() {
        assert_eq!(short("a\n\n b \n"), "a; b");
        let long = format!("{}\u{e9}end", "x".repeat(limits::REFUSAL_TEXT - 4));
        assert!(short(&long).ends_with("\u{e9}end") && short(&long).len() <= limits::REFUSAL_TEXT);
    }
}
