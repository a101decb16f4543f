//! What was heard and cannot land: written down with its reason, and tried again.

use crate::fs::Fs;
use crate::model::{Life, Map, Monotonic, NodeId, Now, Reason, RelPath, ShareName, limits};
use crate::node::Node;
use crate::node::api::Level;
use crate::node::batch::{Batch, Content, Pending};
use crate::node::hear::{Sorted, Terms};
use crate::reconcile::{self, Verdict};
use crate::store::state::{Change, Ledger, Owed};

impl<F: Fs> Node<F> {
    /// Tries owed changes again, those that `which` picks, as far as their peers are there.
    pub(crate) fn retry_owed(
        &mut self,
        now: Now,
        name: &ShareName,
        by_person: bool,
        which: impl Fn(NodeId, &RelPath, &Owed) -> bool,
    ) {
        let Some(share) = self.shares.get(name) else { return };
        if !share.ready || self.hold_of(name).is_some() {
            return;
        }
        let Some(state) = self.store.state().shares.get(name) else { return };
        let mut groups: Map<(NodeId, u64), Vec<(RelPath, Owed)>> = Default::default();
        for ((node, path), owed) in
            state.owed.iter().filter(|((node, path), owed)| which(*node, path, owed) && !share.is_coming(*node, path))
        {
            groups.get_or_default((*node, owed.batch)).push((path.clone(), Owed::clone(owed)));
        }
        // What a check refused holds up the rest of its batch, also where only a part of the batch is tried.
        let mut refused_of: Map<(NodeId, u64), RelPath> = Default::default();
        for ((owner, path), owed) in state.owed.iter().filter(|(_, owed)| matches!(owed.reason, Reason::Refused(_))) {
            refused_of.get_or_insert_with((*owner, owed.batch), || path.clone());
        }
        for ((node, of), items) in groups {
            let link = self
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
                let contact = self.contact_with(now, 0);
                for (path, owed) in items {
                    let record = self.store.state().shares.get(name).and_then(|state| state.index.get(&path));
                    let entry = record.filter(|record| record.sleep.is_none()).map(|record| &record.entry);
                    if reconcile::reconcile(entry, &owed.entry, contact) == Verdict::Known {
                        self.store.change_lazily(Change::Paid(name.clone(), node, path));
                    }
                }
                continue;
            };
            let Some(direction) =
                self.links.get(&link).and_then(|link| link.exchanges.get(name)).map(|exchange| exchange.direction)
            else {
                continue;
            };
            let release = self.links.get(&link).and_then(|link| self.release_gap(link, name));
            let contact = self.contact_with(now, link);
            let number = self.next_batch;
            self.next_batch += 1;
            let mut batch: Batch<F::Root> = Batch::new(life, link, contact, now.mono);
            batch.by_person = by_person;
            let refused = |owed: &Owed| matches!(owed.reason, Reason::Refused(_));
            let mut still = refused_of.get(&(node, of)).cloned();
            for (path, owed) in items {
                // A person who lets a path pass knows where it comes from.
                let long_away = owed.reason == Reason::LongAway && !by_person;
                let terms = Terms { contact, direction, long_away, release: release.clone(), by_person };
                self.finish_stamps(now, name, [&path]);
                match self.sort_offer(name, &path, &owed.entry, &terms) {
                    // The same would only be refused again.
                    Sorted::Take { .. } if refused(&owed) && !by_person => {}
                    Sorted::LeftOut | Sorted::Known => self.store.change(Change::Paid(name.clone(), node, path)),
                    Sorted::Owe(reason) => {
                        if reason.delays_batch() {
                            still.get_or_insert_with(|| path.clone());
                        }
                        self.owe(now, name, life, path, Owed { reason, ..owed });
                    }
                    Sorted::Take { wanted } => {
                        if refused(&owed) {
                            batch.checks.forced.insert(path.clone());
                        }
                        batch.add(
                            path,
                            Pending {
                                entry: owed.entry,
                                seq: owed.seq,
                                batch: owed.batch,
                                content: Content::Unneeded,
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
                        self.owe(
                            now,
                            name,
                            life,
                            other,
                            pending.give_up(None, Reason::WaitsFor(path.clone()), now.wall),
                        );
                    }
                }
                _ => self.add_batch(name, number, batch),
            }
        }
    }

    /// Writes down that a change could not land, and why.
    ///
    /// Not if the peer's database began anew meanwhile, or another node took its place: nobody has the change any more,
    /// and it would be owed for ever.
    pub(crate) fn owe(&mut self, now: Now, name: &ShareName, life: Life, path: RelPath, owed: Owed) {
        let node = life.node;
        if !self.goes_on(name, life) {
            self.log(Level::Debug, format!("share {name}: {path}: its peer no longer has what it offered"));
            return;
        }
        let known =
            self.store.state().shares.get(name).is_some_and(|state| state.owed.contains_key(&(node, path.clone())));
        if let Some(share) = self.shares.get_mut(name) {
            if !known {
                share.retry_pause = limits::RETRY_OWED;
            }
            if !known || share.retry_at == Monotonic::NEVER {
                share.retry_at = share.retry_at.min(now.mono.plus(share.retry_pause));
            }
        }
        let before = self.store.state().shares.get(name).and_then(|share| share.owed.get(&(node, path.clone())));
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
            let label = self.node_label(node);
            let waits = matches!(owed.reason, Reason::WaitsFor(_) | Reason::Manual | Reason::ReleaseDiffers { .. });
            let level = if owed.reason.is_choice() || waits { Level::Debug } else { Level::Warning };
            if owed.reason.needs_user() {
                self.note_held(name, &path, &owed.reason, Some(node));
            } else {
                self.log_of_peer(now, node, level, format!("share {name}: {path} from {label}: {}", owed.reason));
            }
        }
        self.store.change_lazily(Change::Owed(name.clone(), node, path, Box::new(owed)));
        self.stirred = true;
    }

    /// Whether what was said in a life of a peer's database still counts: no later one was met, the peer was not forgotten,
    /// and no other node took its place.
    pub(crate) fn goes_on(&self, name: &ShareName, life: Life) -> bool {
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
    pub(crate) fn forget_owed_to(&mut self, name: &ShareName, node: NodeId) {
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
