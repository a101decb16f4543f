//! Writes down with its reason what was received and cannot be applied, and tries it again.

use crate::fs::Fs;
use crate::model::{Life, Map, Monotonic, NodeId, Reason, RelPath, ShareName, limits};
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::node::share::inbox::batch::{Batch, Content, Pending};
use crate::node::share::inbox::judge::{Admission, Judgement};
use crate::reconcile::{self, Verdict};
use crate::store::state::{Change, Ledger, Owed};

impl<F: Fs> Share<F> {
    /// Tries owed changes again, those that `which` picks, as far as their peers are there.
    pub(crate) fn retry_pending(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        by_person: bool,
        which: impl Fn(NodeId, &RelPath, &Owed) -> bool,
    ) {
        let name = &self.name.clone();
        if !self.is_ready() || cx.hold_of(name).is_some() {
            return;
        }
        let state = cx.store.share(name);
        let mut groups: Map<(NodeId, u64), Vec<(RelPath, Owed)>> = Default::default();
        for ((node, path), owed) in state
            .owed
            .iter()
            .filter(|((node, path), owed)| which(*node, path, owed) && !self.inbox.is_coming(*node, path))
        {
            groups.get_or_default((*node, owed.batch)).push((path.clone(), Owed::clone(owed)));
        }
        // What a check refused holds up the rest of its batch, also where only a part of the batch is tried.
        let mut refused_of: Map<(NodeId, u64), RelPath> = Default::default();
        for ((owner, path), owed) in state.owed.iter().filter(|(_, owed)| owed.reason.is_refusal()) {
            refused_of.get_or_insert_with((*owner, owed.batch), || path.clone());
        }
        for ((node, of), items) in groups {
            let link = peers
                .links
                .iter()
                .find(|(_, link)| {
                    link.node == Some(node)
                        && link.is_admitted()
                        && link.exchanges.get(name).is_some_and(|exchange| exchange.listening)
                })
                .and_then(|(id, link)| Some((*id, link.life()?)));
            let Some((link, life)) = link else {
                // What is known here by now is owed no more, whether its peer is there or not.
                let contact = peers.contact_with(cx, 0);
                for (path, owed) in items {
                    let record = cx.store.share(name).index.get(&path);
                    let entry = record.filter(|record| record.sleep.is_none()).map(|record| &record.entry);
                    if reconcile::reconcile(entry, &owed.entry, contact) == Verdict::Known {
                        cx.store.change_lazily(Change::Paid(name.clone(), node, path));
                    }
                }
                continue;
            };
            let Some(direction) =
                peers.links.get(&link).and_then(|link| link.exchanges.get(name)).map(|exchange| exchange.direction)
            else {
                continue;
            };
            let release = peers.links.get(&link).and_then(|link| self.release_gap(cx, link));
            let contact = peers.contact_with(cx, link);
            let number = cx.next_batch;
            cx.next_batch += 1;
            let mut batch: Batch<F::Root> = Batch::new(life, link, contact, cx.now.mono);
            batch.by_person = by_person;
            let refused = |owed: &Owed| owed.reason.is_refusal();
            let mut still = refused_of.get(&(node, of)).cloned();
            for (path, owed) in items {
                // A person who lets a path pass knows where it comes from.
                let long_away = owed.reason == Reason::LongAway && !by_person;
                let admission = Admission { direction, long_away, release: release.clone(), by_person };
                cx.finish_stamps(name, [&path]);
                match self.judge(cx, &path, &owed.entry, contact, Some(&admission)) {
                    // The same would only be refused again.
                    Judgement::Apply { .. } if refused(&owed) && !by_person => {}
                    Judgement::LeftOut | Judgement::Known => cx.store.change(Change::Paid(name.clone(), node, path)),
                    Judgement::Pending(reason) => {
                        if reason.delays_batch() {
                            still.get_or_insert_with(|| path.clone());
                        }
                        self.note_pending(cx, life, path, Owed { reason, ..owed });
                    }
                    Judgement::Apply { wanted, .. } => {
                        match owed.reason {
                            Reason::Refused(_) => drop(batch.checks.forced.insert(path.clone())),
                            Reason::Uncommitted(_) => drop(batch.checks.despite_uncommitted.insert(path.clone())),
                            _ => {}
                        }
                        batch.add(
                            path,
                            Pending {
                                entry: owed.entry,
                                seq: owed.seq,
                                batch: owed.batch,
                                content: Content::Unneeded,
                                merging: None,
                                owed: true,
                                decided: owed.decided,
                                approved: owed.approved,
                            },
                            wanted,
                            None,
                        );
                    }
                }
            }
            match still {
                // One of them still cannot land, so the others still wait for it, unless a person said otherwise.
                Some(path) if !by_person => {
                    for (other, pending) in batch.offers {
                        self.note_pending(
                            cx,
                            life,
                            other,
                            pending.give_up(None, Reason::WaitsFor(path.clone()), cx.now.wall),
                        );
                    }
                }
                _ => self.add_batch(cx, number, batch),
            }
        }
    }

    /// Writes down that a change could not land, and why.
    ///
    /// Not if the peer's database began anew meanwhile, or another node took its place: nobody has the change any more,
    /// and it would be owed for ever.
    pub(crate) fn note_pending(&mut self, cx: &mut Context<F>, life: Life, path: RelPath, owed: Owed) {
        let name = &self.name;
        let node = life.node;
        if !cx.is_current(name, life) {
            cx.log(Level::Debug, format!("share {name}: {path}: the peer no longer has the version that it offered"));
            return;
        }
        let known = cx.store.share(name).owed.contains_key(&(node, path.clone()));
        if !known {
            self.inbox.retry_pause = limits::RETRY_OWED;
        }
        if !known || self.inbox.retry_at == Monotonic::NEVER {
            self.inbox.retry_at = self.inbox.retry_at.min(cx.now.mono.plus(self.inbox.retry_pause));
        }
        let before = cx.store.share(name).owed.get(&(node, path.clone()));
        if before.is_some_and(|before| before.seq > owed.seq) {
            // What could not land has been overtaken by a later word on its path, which cannot land either.
            return;
        }
        // Numbers in a reason change all the time and are not worth writing down; which path is waited for is.
        let same_reason = |before: &Reason| match (before, &owed.reason) {
            (Reason::WaitsFor(path), Reason::WaitsFor(other)) => path == other,
            (before, reason) => before.code() == reason.code(),
        };
        if before
            .is_some_and(|before| before.seq == owed.seq && same_reason(&before.reason) && before.entry == owed.entry)
        {
            return;
        }
        if before.is_none_or(|before| before.reason.code() != owed.reason.code()) {
            let label = cx.node_label(node);
            let waits = matches!(owed.reason, Reason::WaitsFor(_) | Reason::Manual | Reason::ReleaseDiffers { .. });
            let level = if owed.reason.is_choice() || waits { Level::Debug } else { Level::Warning };
            if owed.reason.needs_user() {
                cx.note_held(name, &path, &owed.reason, Some(node));
            } else {
                cx.log_of_peer(cx.now, node, level, format!("share {name}: {path} from {label}: {}", owed.reason));
            }
        }
        cx.store.change_lazily(Change::Owed(name.clone(), node, path, Box::new(owed)));
        cx.stirred = true;
    }
}

impl<F: Fs> Context<F> {
    /// Whether what was said in a life of a peer's database still counts: no later one was met, the peer was not forgotten,
    /// and no other node took its place.
    pub(crate) fn is_current(&self, name: &ShareName, life: Life) -> bool {
        let ledger = self.store.state().shares.get(name).and_then(|share| share.ledgers.get(&life.node));
        ledger.and_then(|ledger| ledger.their_state) == Some(life.state)
    }

    /// A change that was owed has landed, or need not. A later word on its path may be owed by now, and stays so.
    pub(crate) fn pay(&mut self, name: &ShareName, node: NodeId, path: &RelPath, seq: u64) {
        let owed = self.store.state().shares.get(name).and_then(|share| share.owed.get(&(node, path.clone())));
        if owed.is_some_and(|owed| owed.seq <= seq) {
            self.store.change(Change::Paid(name.clone(), node, path.clone()));
        }
    }

    /// Nothing is owed to a node any more; what is forgotten by that is heard again if it returns.
    pub(crate) fn forget_pending_from(&mut self, name: &ShareName, node: NodeId) {
        let Some(state) = self.store.state().shares.get(name) else { return };
        if let Some(ledger) = state.ledgers.get(&node).filter(|ledger| ledger.heard > 0).cloned() {
            self.store.change_lazily(Change::Ledger(name.clone(), node, Ledger { heard: 0, ..ledger }));
        }
        let Some(state) = self.store.state().shares.get(name) else { return };
        let paths: Vec<RelPath> =
            state.owed.keys().filter(|(owner, _)| *owner == node).map(|(_, path)| path.clone()).collect();
        for path in paths {
            self.store.change_lazily(Change::Paid(name.clone(), node, path));
        }
    }
}
