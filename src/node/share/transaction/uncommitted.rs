//! Keeps a change that would give numbers of unnamed sections to other sections waiting, while uncommitted changes refer
//! to sections by number.
//!
//! `uci set` and LuCI store what is not committed under the names that libuci makes up from a section's number (see
//! [`crate::uci::numbers`]). If a change that is applied meanwhile alters these numbers, a later commit changes a different
//! section. So before a UCI package is replaced, the node's owner is asked which names its uncommitted changes contain
//! ([`Output::Uncommitted`]). A change that gives one of them another meaning is written down as pending, and the question
//! is asked again every minute, without fetching anything: the change is applied once they are committed or reverted, or
//! when the user approves its path.
//!
//! A limit: changes that are made between the answer and the end of the transaction, a few milliseconds, are not seen.
//! What a user restores, undoes or rolls back here does not wait: it was asked for at this moment.

use crate::fs::Fs;
use crate::fs::form::read_small;
use crate::model::settings::Reload;
use crate::model::{Digest, Kind, Map, Monotonic, NodeId, Reason, RelPath, Set, limits};
use crate::node::Output;
use crate::node::context::Context;
use crate::node::share::Share;
use crate::reconcile::Source;
use crate::reconcile::safety::Step;
use crate::store::state::{Change, Owed};
use crate::uci::{self, PackageName, numbers};

/// Sections that uncommitted changes of a package refer to by number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// Their names, `cfgXXXXXX`; others do not matter.
    pub names: Set<String>,
    /// Whether a session of LuCI has such changes: `uci changes` does not list those.
    pub in_luci: bool,
}

/// The answer of the node's owner, for the packages that have such references.
type Answer = Map<RelPath, References>;

/// Changes of a share that wait for uncommitted ones.
pub(crate) struct Uncommitted {
    waiting: Map<(NodeId, RelPath), Waiting>,
    /// The question that was asked again.
    asked: Option<u64>,
    again_at: Monotonic,
}

/// A change that waits.
struct Waiting {
    /// The content that is replaced, and the one that the peer offers.
    contents: (Digest, Digest),
    /// Names that would mean another section.
    renumbered: Set<String>,
}

impl Default for Uncommitted {
    fn default() -> Uncommitted {
        Uncommitted { waiting: Map::new(), asked: None, again_at: Monotonic::NEVER }
    }
}

impl Uncommitted {
    /// When the question is asked again.
    pub fn poll_timeout(&self) -> Monotonic {
        self.again_at
    }
}

/// What is known of the uncommitted changes that a batch would meet.
#[derive(Default)]
pub(crate) enum Known {
    #[default]
    Nothing,
    /// The question of this number was asked.
    Asked(u64),
    /// The answer, good for the decision that follows at once.
    Answer(Answer),
}

impl<F: Fs> Share<F> {
    /// Whether a batch waits for uncommitted changes, or for the answer whether it must.
    pub(crate) fn must_wait_for_commits(&mut self, cx: &mut Context<F>, id: u64, steps: &[Step]) -> bool {
        let Some(batch) = self.inbox.batches.get_mut(&id) else { return true };
        if self.settings.reload() != Reload::Uci {
            return false;
        }
        let replaces = |step: &&Step| {
            let index = &cx.store.share(&self.name).index;
            let old = index.get(&step.path).filter(|record| record.is_awake_and_live());
            step.source == Source::There
                && step.entry.kind == Kind::File
                && PackageName::at(&step.path).is_some()
                && !batch.checks.despite_uncommitted.contains(&step.path)
                && old.is_some_and(|record| record.entry.kind == Kind::File)
        };
        // What is written down as pending is what the peer offers, also where a merged text is applied in its place.
        let offered = |step: &Step| Some((step.path.clone(), batch.offers.get(&step.path)?.entry.digest));
        let packages: Vec<(RelPath, Digest)> = steps.iter().filter(replaces).filter_map(offered).collect();
        if packages.is_empty() {
            return false;
        }
        let answer = match std::mem::take(&mut batch.checks.uncommitted) {
            Known::Answer(answer) => answer,
            known @ Known::Asked(_) => {
                batch.checks.uncommitted = known;
                return true;
            }
            Known::Nothing => {
                let question = cx.next_check;
                cx.next_check += 1;
                batch.checks.uncommitted = Known::Asked(question);
                let paths = packages.into_iter().map(|(path, _)| path).collect();
                cx.outputs.push_back(Output::Uncommitted { share: self.name.clone(), question, paths });
                return true;
            }
        };
        let node = batch.from.node;
        let mut reasons: Map<RelPath, Reason> = Map::new();
        for (path, new) in packages {
            let Some(references) = answer.get(&path).filter(|references| !references.names.is_empty()) else {
                continue;
            };
            let old = cx.store.share(&self.name).index.get(&path).map_or(Digest::NONE, |record| record.entry.digest);
            let Some(renumbered) = self.renumbered(id, &path) else { continue };
            if let Some(reason) = reason(&path, &renumbered, references) {
                self.transaction
                    .uncommitted
                    .waiting
                    .insert((node, path.clone()), Waiting { contents: (old, new), renumbered });
                reasons.insert(path, reason);
            }
        }
        let Some((first, _)) = reasons.iter().next() else { return false };
        self.note_batch_pending(cx, id, |path| {
            reasons.get(path).cloned().unwrap_or_else(|| Reason::WaitsFor(first.clone()))
        });
        self.transaction.uncommitted.again_at = cx.now.mono.plus(limits::UNCOMMITTED_AGAIN);
        true
    }

    /// The names that mean another section once a batch has replaced a package; `None` where a text is no package.
    fn renumbered(&self, id: u64, path: &RelPath) -> Option<Set<String>> {
        let root = self.root.as_ref()?;
        let name = PackageName::at(path)?;
        let staged = self.inbox.batches.get(&id)?.staged(path)?;
        let read = |path| {
            let text = read_small(root, path, limits::PACKAGE_MAX).ok()??;
            uci::parse(&name, &text).ok()
        };
        Some(numbers::renumbered(&read(path)?, &read(staged)?).into_iter().collect())
    }

    /// The node's owner says which sections uncommitted changes refer to by number.
    pub(crate) fn handle_uncommitted(&mut self, cx: &mut Context<F>, question: u64, answer: &Answer) {
        for (_, batch) in self.inbox.batches.iter_mut() {
            if matches!(batch.checks.uncommitted, Known::Asked(asked) if asked == question) {
                batch.checks.uncommitted = Known::Answer(answer.clone());
                cx.stirred = true;
                return;
            }
        }
        if self.transaction.uncommitted.asked != Some(question) {
            return;
        }
        self.transaction.uncommitted.asked = None;
        let state = cx.store.share(&self.name);
        let mut over = Vec::new();
        for ((node, path), owed) in state.owed.iter().filter(|(_, owed)| matches!(owed.reason, Reason::Uncommitted(_)))
        {
            let waiting = self.transaction.uncommitted.waiting.get(&(*node, path.clone()));
            let old = state.index.get(path).map_or(Digest::NONE, |record| record.entry.digest);
            let waits = waiting.zip(answer.get(path)).is_some_and(|(waiting, references)| {
                waiting.contents == (old, owed.entry.digest) && reason(path, &waiting.renumbered, references).is_some()
            });
            if !waits {
                over.push((*node, path.clone(), Owed::clone(owed)));
            }
        }
        for (node, path, owed) in over {
            self.transaction.uncommitted.waiting.remove(&(node, path.clone()));
            let owed = Owed { reason: Reason::Other("it is being checked again".into()), ..owed };
            cx.store.change_lazily(Change::Owed(self.name.clone(), node, path, Box::new(owed)));
            self.inbox.retry_at = cx.now.mono;
        }
    }

    /// Asks again about what waits for uncommitted changes, when it is time.
    pub(crate) fn ask_uncommitted_again(&mut self, cx: &mut Context<F>) {
        if self.transaction.uncommitted.again_at > cx.now.mono {
            return;
        }
        let state = cx.store.share(&self.name);
        let waits = state.owed.iter().filter(|(_, owed)| matches!(owed.reason, Reason::Uncommitted(_)));
        let paths: Set<RelPath> = waits.map(|((_, path), _)| path.clone()).collect();
        if paths.is_empty() {
            self.transaction.uncommitted = Uncommitted::default();
            return;
        }
        let question = cx.next_check;
        cx.next_check += 1;
        self.transaction.uncommitted.asked = Some(question);
        self.transaction.uncommitted.again_at = cx.now.mono.plus(limits::UNCOMMITTED_AGAIN);
        let paths = paths.iter().cloned().collect();
        cx.outputs.push_back(Output::Uncommitted { share: self.name.clone(), question, paths });
    }
}

/// Why a change waits, if it does: it gives another meaning to names that uncommitted changes contain.
fn reason(path: &RelPath, renumbered: &Set<String>, references: &References) -> Option<Reason> {
    let mut names = references.names.iter().filter(|name| renumbered.contains(*name));
    let first = names.next()?;
    let more = match names.count() {
        0 => String::new(),
        1 => " and 1 more section".into(),
        count => format!(" and {count} more sections"),
    };
    let place = if references.in_luci { " in LuCI" } else { "" };
    Some(Reason::Uncommitted(format!("{path}.{first}{more}{place}")))
}
