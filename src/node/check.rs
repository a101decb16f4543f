//! Checked before it lands: a UCI package must parse, and this node's own programs may refuse a file.
//!
//! A batch whose content is staged and verified waits here until it was looked at: by the parser, and where the share has
//! a program for it, by the node's owner ([`Output::Check`], answered with [`Node::handle_checked`]). What is refused is
//! owed with the check's own words, which its sender sees as well. It is not tried again until it changes there, another
//! program is configured here, or a person names it; the rest of its batch waits for it, unless a person says otherwise.

use crate::fs::form::Content;
use crate::fs::{Fs, Root};
use crate::model::settings::Reload;
use crate::model::{Digest, Kind, Map, Now, Reason, RelPath, Set, ShareName, limits};
use crate::node::batch::{self, Batch};
use crate::node::parts::Candidate;
use crate::node::{Node, Output};
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
}

impl Checks {
    /// Whether the batch waits for an answer.
    pub fn are_under_way(&self) -> bool {
        !self.asked.is_empty()
    }
}

impl<F: Fs> Node<F> {
    /// Has a batch looked at; whether it cannot land now for that reason.
    pub(crate) fn must_wait_for_checks(&mut self, now: Now, name: &ShareName, id: u64, steps: &[Step]) -> bool {
        let Some(share) = self.shares.get(name) else { return true };
        let (Some(batch), Some(root)) = (share.batches.get(&id), &share.root) else { return true };
        let parses = share.settings.reload() == Reload::Uci;
        let asks = share.settings.validate.is_some() || self.has_hook(name);
        if !parses && !asks {
            return false;
        }
        let checks = &batch.checks;
        let fresh: Vec<&Step> = steps
            .iter()
            .filter(|step| step.source == Source::There && !checks.forced.contains(&step.path))
            .filter(|step| checks.passed.get(&step.path) != Some(&step.entry.digest))
            .collect();
        let mut refused: Map<RelPath, String> = Map::new();
        if parses {
            for step in fresh.iter().filter(|step| step.entry.kind == Kind::File) {
                if let Some(why) = staged(batch, &step.path).and_then(|staged| unparsable(root, &step.path, staged)) {
                    refused.insert(step.path.clone(), why);
                }
            }
        }
        if !refused.is_empty() {
            self.refuse_paths(now, name, id, &refused);
            return true;
        }
        if !asks || fresh.is_empty() {
            return false;
        }
        let asked: Map<RelPath, Digest> = fresh.iter().map(|step| (step.path.clone(), step.entry.digest)).collect();
        let candidates = fresh
            .iter()
            .map(|step| Candidate {
                path: step.path.clone(),
                kind: step.entry.kind,
                size: step.entry.size,
                staged: staged(batch, &step.path).cloned(),
            })
            .collect();
        let number = self.next_check;
        self.next_check += 1;
        self.outputs.push_back(Output::Check { share: name.clone(), check: number, candidates });
        if let Some(batch) = self.shares.get_mut(name).and_then(|share| share.batches.get_mut(&id)) {
            batch.checks.asked = asked;
            batch.checks.number = number;
        }
        true
    }

    /// The programs that [`Output::Check`] asked for have looked at a batch: what they refused, with their words.
    pub fn handle_checked(&mut self, now: Now, name: &ShareName, check: u64, refused: &[(RelPath, String)]) {
        let batches = self.shares.get_mut(name).into_iter().flat_map(|share| share.batches.iter_mut());
        let found = batches.into_iter().find(|(_, batch)| batch.checks.are_under_way() && batch.checks.number == check);
        // It may be gone by now: its session ended, or everything in it was replaced by a later word.
        if let Some((id, batch)) = found {
            let id = *id;
            let asked = std::mem::take(&mut batch.checks.asked);
            // What was replaced meanwhile was not what they looked at.
            let same = |path: &RelPath| {
                let digest = batch.offers.get(path).map(|pending| pending.entry.digest);
                digest.is_some() && asked.get(path) == digest.as_ref()
            };
            let good = asked.iter().filter(|(path, _)| !refused.iter().any(|(refused, _)| refused == *path));
            batch.checks.passed.extend(good.map(|(path, digest)| (path.clone(), *digest)));
            let refused: Map<RelPath, String> = refused.iter().filter(|(path, _)| same(path)).cloned().collect();
            if !refused.is_empty() {
                self.refuse_paths(now, name, id, &refused);
            }
        }
        self.stirred = true;
        self.finish(now);
    }

    /// A batch does not land: some paths are refused, the others wait for them.
    fn refuse_paths(&mut self, now: Now, name: &ShareName, id: u64, refused: &Map<RelPath, String>) {
        let Some((first, _)) = refused.iter().next() else { return };
        self.owe_batch(now, name, id, |path| match refused.get(path) {
            Some(why) => Reason::Refused(short(why)),
            None => Reason::WaitsFor(first.clone()),
        });
    }

    /// Other programs check what lands from here on: what was refused is looked at again.
    pub(crate) fn check_again(&mut self, now: Now, name: &ShareName) {
        if let Some(share) = self.shares.get_mut(name) {
            let landing = share.landing.as_ref().and_then(|landing| landing.batch);
            // Whatever is being looked at is no answer any more.
            for (_, batch) in share.batches.iter_mut().filter(|(id, _)| landing != Some(**id)) {
                self.stirred = true;
                batch.checks = Checks { forced: std::mem::take(&mut batch.checks.forced), ..Checks::default() };
            }
        }
        let Some(state) = self.store.state().shares.get(name) else { return };
        let refused: Vec<_> = state
            .owed
            .iter()
            .filter(|(_, owed)| matches!(owed.reason, Reason::Refused(_)))
            .map(|((node, path), owed)| (*node, path.clone(), Owed::clone(owed)))
            .collect();
        for (node, path, owed) in refused {
            let owed = Owed { reason: Reason::Other("it is checked again".into()), ..owed };
            self.store.change_lazily(Change::Owed(name.clone(), node, path, Box::new(owed)));
            if let Some(share) = self.shares.get_mut(name) {
                share.retry_at = now.mono;
            }
        }
    }
}

/// Where the content of a path of a batch is staged.
fn staged<'a, R: Root>(batch: &'a Batch<R>, path: &RelPath) -> Option<&'a RelPath> {
    match &batch.offers.get(path)?.content {
        batch::Content::Staged(staged) => Some(staged),
        _ => None,
    }
}

/// Why a staged file is no UCI package, where its path says that it is one. What is too large for a package, or cannot be
/// read, is left to the landing.
fn unparsable<R: Root>(root: &R, path: &RelPath, staged: &RelPath) -> Option<String> {
    let name = PackageName::at(path)?;
    let content = Content::open(root, staged, Kind::File).ok()?;
    let mut text = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match content.read(root, text.len() as u64, &mut buffer) {
            Ok(0) => break,
            Ok(count) if text.len() + count <= limits::PACKAGE_MAX => text.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
    uci::parse(&name, &text).err().map(|error| error.to_string())
}

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
