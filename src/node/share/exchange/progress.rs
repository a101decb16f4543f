//! Works out how far this node has come with what a peer offered, writes it down and reports it.

use crate::fs::Fs;
use crate::model::{Direction, Hasher, Reason, RelPath, limits};
use crate::node::LinkId;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::exchange::{Exchange, LeftOutCount, Told};
use crate::node::share::Share;
use crate::node::share::hold::held_reason;
use crate::proto::message::{self, Message, Progress};
use crate::store::state::{Change, Ledger, Owed};

impl<F: Fs> Share<F> {
    /// What this node has of a path is new: what is owed for it may be known by now.
    pub(crate) fn reconsider(&mut self, cx: &mut Context<F>, path: &RelPath) {
        let name = &self.name;
        let owed = cx.store.share(name).owed.keys().any(|(_, owed)| owed == path);
        if owed {
            self.inbox.reconsider.insert(path.clone());
            cx.stirred = true;
        }
    }

    /// What waited for a path that has been replaced by a later word is tried without it.
    pub(crate) fn end_waits(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let again = std::mem::take(&mut self.inbox.reconsider);
        if !again.is_empty() {
            self.retry_pending(cx, peers, false, |_, path, _| again.contains(path));
        }
        for (node, batch, path) in std::mem::take(&mut self.inbox.waits_over) {
            self.retry_pending(cx, peers, false, |owner, _, owed| {
                owner == node
                    && owed.batch == batch
                    && matches!(&owed.reason, Reason::WaitsFor(other) if *other == path)
            });
        }
    }

    /// Works out how far this node has come with every peer, writes it down and tells them.
    pub(crate) fn note_progress(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let name = &self.name.clone();
        self.count_left_out(cx, peers);
        let state = cx.store.share(name);
        let ids: Vec<LinkId> = peers
            .links
            .iter()
            .filter(|(_, link)| {
                link.is_admitted() && link.exchanges.get(name).is_some_and(|exchange| exchange.listening)
            })
            .map(|(id, _)| *id)
            .collect();
        let unreleased = count_of(self.unreleased(cx).count());
        let unconfirmed = count_of(state.trial.as_ref().map_or(0, |trial| trial.steps.len()));
        // What waits here whoever changed it last: what flaps, what cannot be read, what is not confirmed in LuCI.
        let withheld: Vec<RelPath> = self.withheld(cx).cloned().collect();
        let unreadable: Vec<(RelPath, Reason)> =
            self.unreadable().map(|(path, reason)| (path.clone(), reason.clone())).collect();
        let unreadable_more = self.detect.skipped.unreadable_more as usize;
        let mut changes = Vec::new();
        for id in ids {
            let Some(link) = peers.links.get_mut(&id) else { continue };
            let (Some(life), Some(exchange)) = (link.life(), link.exchanges.get_mut(name)) else { continue };
            let node = life.node;
            let partial = exchange.lowest_waiting();
            let batches = || self.inbox.batches.values().filter(|batch| batch.from == life);
            let below = |lowest: Option<u64>| lowest.map_or(u64::MAX, |seq| seq.saturating_sub(1));
            // What a restart would hear again: everything that is only in memory.
            let in_memory = batches().filter_map(|batch| batch.lowest_unowed()).chain(partial).min();
            let heard = exchange.heard.min(below(in_memory));
            let owed_to = || state.owed.iter().filter(|((owner, _), _)| *owner == node);
            let sums = owed_to().fold(Sums::default(), |sums, ((_, path), owed)| sums.with(path, owed));
            let outstanding = batches().filter_map(|batch| batch.lowest()).chain(partial).chain(sums.lowest).min();
            exchange.full = sums.rows > limits::PENDING_ROWS || sums.bytes > limits::PENDING_BYTES;
            let queued: usize = batches().map(|batch| batch.bytes()).sum();
            let busy = exchange.waiting.len() >= limits::QUEUE_BATCHES
                || exchange.waiting_bytes + queued > limits::QUEUE_BYTES;
            if !exchange.full && !busy {
                // The peer goes on once it knows.
                exchange.acked = exchange.heard;
                exchange.unacked.acknowledge(exchange.acked);
            }
            let observes = !exchange.direction.takes() && exchange.direction != Direction::Send;
            let applied = if observes { 0 } else { exchange.acked.min(below(outstanding)) };
            let unsettled = batches()
                .filter_map(|batch| batch.lowest())
                .chain(partial)
                .chain(owed_to().filter(|(_, owed)| !owed.reason.is_choice()).map(|(_, owed)| owed.seq))
                .min();
            let settled = exchange.acked.min(below(unsettled));
            if let Some(ledger) = state.ledgers.get(&node).filter(|ledger| ledger.heard != heard) {
                changes.push(Change::Ledger(name.clone(), node, Ledger { heard, ..ledger.clone() }));
            }
            // What is held here waits here as well, whoever changed it last.
            let held = || {
                let paths = self.detect.guards.held_paths.iter();
                let paths = paths.filter(|path| !state.owed.contains_key(&(node, RelPath::clone(path))));
                paths.filter_map(|path| {
                    let reason = held_reason(state.index.get(path)?, self.detect.guards.lost_sections.get(path))?;
                    Some((path.clone(), reason))
                })
            };
            let waiting = || {
                let withheld = withheld.iter().map(|path| (path.clone(), Reason::Unconfirmed));
                held().chain(unreadable.iter().cloned()).chain(withheld)
            };
            let pending = owed_to().filter(|(_, owed)| !owed.reason.is_choice()).count();
            let pending = count_of(pending + waiting().count() + unreadable_more);
            let counted = exchange.left_out.as_ref();
            let left_out = counted.map(|counted| counted.count).unwrap_or_default();
            let named = counted.map(|counted| counted.digest);
            let (heard, full) = (exchange.acked, exchange.full);
            let told = Told { heard, applied, settled, pending, left_out, named, unreleased, unconfirmed, full };
            if exchange.told != Some(told) {
                exchange.told = Some(told);
                let mut paths: Vec<(RelPath, Reason)> =
                    owed_to().map(|((_, path), owed)| (path.clone(), owed.reason.clone())).chain(waiting()).collect();
                paths.extend(self.detect.skipped.listed.iter().filter(|(_, reason)| reason.is_choice()).map(owned));
                paths.extend(exchange.left_out.iter().flat_map(|counted| counted.named.iter().cloned()));
                // The causes first: they must not be cut off by what only waits for them.
                paths.sort_by_key(|(_, reason)| reason.rank());
                let paths = Progress::name_paths(paths.into_iter());
                let Told { heard, applied, .. } = told;
                let share = name.clone();
                link.say(Message::Progress(Progress {
                    share,
                    heard,
                    applied,
                    settled,
                    pending,
                    left_out,
                    paths,
                    unreleased,
                    unconfirmed,
                    full,
                }));
            }
        }
        for change in changes {
            // Hearing something twice costs nothing but the hearing.
            cx.store.change_lazily(change);
        }
    }

    /// Counts what is left out by choice towards each peer, where that may be another number than before.
    fn count_left_out(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let name = &self.name;
        let state = cx.store.share(name);
        let mut owed = Hasher::new();
        for ((_, path), _) in state.owed.iter().filter(|(_, owed)| owed.reason.is_choice()) {
            owed.update(path.as_bytes());
            owed.update(&[0]);
        }
        let of = (self.outgoing.top, owed.finish(), self.detect.skipped.round);
        let small = state.index.len() <= limits::LEFT_OUT_AT_ONCE;
        let due = |exchange: &Exchange| match &exchange.left_out {
            None => true,
            Some(known) => {
                // Reading the index costs little, matching a filter's patterns against all of it does not.
                let matches = exchange.their_filter.is_some();
                known.of != of && (small || !matches || cx.now.mono.since(known.at) >= limits::LEFT_OUT_EVERY)
            }
        };
        let ids: Vec<LinkId> = peers
            .links
            .iter()
            .filter(|(_, link)| link.is_admitted() && link.exchanges.get(name).is_some_and(due))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let own = self.own_left_out(cx, peers, id);
            let count = self.counted(&own);
            // The peer is told of the others anyway.
            let mut hasher = Hasher::new();
            for (path, one) in own.iter() {
                hasher.update(path.as_bytes());
                hasher.update(&[0, one.choice as u8]);
            }
            let digest = hasher.finish();
            let named = own.into_iter().filter(|(_, one)| one.reason.is_none()).take(limits::OWED_TOLD);
            let named: Vec<(RelPath, Reason)> = named.map(|(path, one)| (path, Reason::LeftOut(one.choice))).collect();
            if let Some(exchange) = peers.links.get_mut(&id).and_then(|link| link.exchanges.get_mut(name)) {
                exchange.left_out = Some(LeftOutCount { count, named, digest, of, at: cx.now.mono });
            }
        }
    }
}

fn count_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn owned((path, reason): (&RelPath, &Reason)) -> (RelPath, Reason) {
    (path.clone(), reason.clone())
}

/// What is pending from one peer.
#[derive(Default)]
struct Sums {
    rows: usize,
    bytes: usize,
    /// The lowest of its numbers.
    lowest: Option<u64>,
}

impl Sums {
    pub(crate) fn with(self, path: &RelPath, owed: &Owed) -> Sums {
        Sums {
            rows: self.rows + 1,
            bytes: self.bytes + message::offer_size(path, &owed.entry),
            lowest: Some(self.lowest.map_or(owed.seq, |lowest| lowest.min(owed.seq))),
        }
    }
}
