//! The end of every input: what can land is begun, what is missing is asked for, everything is written down, and only
//! then anybody is told.

use std::time::Duration;

use crate::fs::{Fs, FsError, Root};
use crate::model::reason::Trouble;
use crate::model::{Direction, Hasher, NodeId, Now, Reason, RelPath, ShareName, WallTime, limits};
use crate::node::api::{Fault, Level, Reply};
use crate::node::hold::held_reason;
use crate::node::link::{Exchange, LeftOutCount, Told};
use crate::node::{Identity, LinkId, Node, StoreTrouble};
use crate::proto::message::{self, Message, Progress};
use crate::store::state::{Change, Ledger, Me, Owed, ShareMeta};

impl<F: Fs> Node<F> {
    /// Brings everything that follows from the latest input to an end.
    pub(crate) fn settle(&mut self, now: Now) {
        // A landing that needs nothing of the disk stirs things up again; each round uses up batches, so it ends.
        for _ in 0..limits::BATCHES_OPEN {
            if !std::mem::take(&mut self.stirred) {
                break;
            }
            let names: Vec<ShareName> = self.shares.keys().cloned().collect();
            let exchanging: Vec<(LinkId, ShareName)> = self
                .links
                .iter()
                .flat_map(|(id, link)| link.exchanges.keys().map(|name| (*id, name.clone())))
                .collect();
            for (id, name) in exchanging {
                self.open_waiting(now, id, &name);
            }
            for name in &names {
                self.end_waits(now, name);
                self.try_land(now, name);
            }
            self.fetch(now);
            for name in &names {
                self.note_progress(now, name);
            }
            self.push_offers(now);
            let exchanges: Vec<(LinkId, ShareName)> = self
                .links
                .iter()
                .flat_map(|(id, link)| {
                    link.exchanges
                        .iter()
                        .filter(|(_, exchange)| !exchange.completed)
                        .map(|(name, _)| (*id, name.clone()))
                })
                .collect();
            for (id, name) in exchanges {
                self.check_completed(now, id, &name);
            }
        }
        self.tell_held(now);
        if self.store.is_dirty() && !self.write_down(now) {
            // Nobody is told anything that a crash could take back.
            return;
        }
        self.again = self.stirred;
        for share in self.shares.values_mut() {
            for path in std::mem::take(&mut share.litter) {
                // What cannot be removed now goes with the staging area.
                let _ = share.root.as_ref().map(|root| root.remove(&path));
            }
        }
        for share in self
            .shares
            .values_mut()
            .filter(|share| share.batches.is_empty() && share.broken.is_empty() && share.landing.is_none())
        {
            if let Some(root) = &share.root {
                share.staging.close(root);
            }
        }
        for link in self.links.values_mut().filter(|link| !link.over) {
            link.flush();
        }
        self.drop_the_deaf(now);
        self.note_sync_times(now);
        self.note_deliveries(now);
        self.tell_around(now);
        self.note_paces(now);
        self.time_runs(now);
    }

    /// Writes the state; `false` when that is not possible now.
    fn write_down(&mut self, now: Now) -> bool {
        if self.store_trouble.as_ref().is_some_and(|trouble| now.mono < trouble.retry_at) {
            return false;
        }
        self.note_scans(Some(limits::SCAN_NOTED));
        match self.store.commit() {
            Ok(()) => {
                if self.store_trouble.take().is_some() {
                    self.log(Level::Notice, "the database can be written again".into());
                    self.stirred = true;
                }
                true
            }
            Err(error) => {
                self.note_store_trouble(now, error);
                false
            }
        }
    }

    /// Writes down when shares were last looked at, where what is written is older than `span`: whatever is found deleted
    /// after a restart went since then.
    pub(crate) fn note_scans(&mut self, span: Option<Duration>) {
        let most = span.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        for (name, share) in self.shares.iter() {
            let Some(state) = self.store.state().shares.get(name) else { continue };
            // Also when the clock was ahead and is put right: nothing can have been seen later than now.
            if share.last_scan.since_ms(state.meta.scanned).unsigned_abs() > most && share.last_scan > WallTime(0) {
                let meta = ShareMeta { scanned: share.last_scan, ..state.meta.clone() };
                self.store.change_lazily(Change::Share(name.clone(), meta));
            }
        }
    }

    pub(crate) fn note_store_trouble(&mut self, now: Now, error: FsError) {
        if self.store_trouble.is_none() {
            self.log(Level::Error, format!("the database cannot be written, so nothing is exchanged: {error}"));
        }
        self.store_trouble = Some(StoreTrouble { error, retry_at: now.mono.plus(limits::LOCK_TIME) });
    }

    /// What this node has of a path is new: what is owed for it may be known by now.
    pub(crate) fn reconsider(&mut self, name: &ShareName, path: &RelPath) {
        let owed =
            self.store.state().shares.get(name).is_some_and(|state| state.owed.keys().any(|(_, owed)| owed == path));
        if let Some(share) = self.shares.get_mut(name).filter(|_| owed) {
            share.reconsider.insert(path.clone());
            self.stirred = true;
        }
    }

    /// What waited for a path that has been replaced by a later word is tried without it.
    fn end_waits(&mut self, now: Now, name: &ShareName) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let again = std::mem::take(&mut share.reconsider);
        if !again.is_empty() {
            self.retry_owed(now, name, false, |_, path, _| again.contains(path));
        }
        let Some(share) = self.shares.get_mut(name) else { return };
        for (node, batch, path) in std::mem::take(&mut share.waits_over) {
            self.retry_owed(now, name, false, |owner, _, owed| {
                owner == node
                    && owed.batch == batch
                    && matches!(&owed.reason, Reason::WaitsFor(other) if *other == path)
            });
        }
    }

    /// Works out how far this node has come with every peer, writes it down and tells them.
    fn note_progress(&mut self, now: Now, name: &ShareName) {
        self.count_left_out(now, name);
        let Some(share) = self.shares.get(name) else { return };
        let Some(state) = self.store.state().shares.get(name) else { return };
        let ids: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| {
                link.is_admitted() && link.exchanges.get(name).is_some_and(|exchange| exchange.listening)
            })
            .map(|(id, _)| *id)
            .collect();
        let unreleased = count_of(self.unreleased(name).count());
        let unconfirmed = count_of(state.trial.as_ref().map_or(0, |trial| trial.steps.len()));
        // What waits here whoever changed it last: what flaps, what cannot be read, what is not confirmed in LuCI.
        let withheld: Vec<RelPath> = self.withheld(name).cloned().collect();
        let unreadable: Vec<(RelPath, Reason)> =
            self.unreadable(name).map(|(path, reason)| (path.clone(), reason.clone())).collect();
        let unreadable_more = share.unreadable_more as usize;
        let mut changes = Vec::new();
        for id in ids {
            let Some(link) = self.links.get_mut(&id) else { continue };
            let (Some(life), Some(exchange)) = (link.life(), link.exchanges.get_mut(name)) else { continue };
            let node = life.node;
            let partial = exchange.lowest_waiting();
            let batches = || share.batches.values().filter(|batch| batch.from == life);
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
                let paths = share.held_paths.iter();
                let paths = paths.filter(|path| !state.owed.contains_key(&(node, RelPath::clone(path))));
                paths.filter_map(|path| {
                    let reason = held_reason(state.index.get(path)?, share.shrunk.get(path))?;
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
                paths.extend(share.skipped.iter().filter(|(_, reason)| reason.is_choice()).map(owned));
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
            self.store.change_lazily(change);
        }
    }

    /// Counts what is left out by choice towards each peer, where that may be another number than before.
    fn count_left_out(&mut self, now: Now, name: &ShareName) {
        let (Some(share), Some(state)) = (self.shares.get(name), self.store.state().shares.get(name)) else { return };
        let mut owed = Hasher::new();
        for ((_, path), _) in state.owed.iter().filter(|(_, owed)| owed.reason.is_choice()) {
            owed.update(path.as_bytes());
            owed.update(&[0]);
        }
        let of = (share.top, owed.finish(), share.skipped_round);
        let small = state.index.len() <= limits::LEFT_OUT_AT_ONCE;
        let due = |exchange: &Exchange| match &exchange.left_out {
            None => true,
            Some(known) => {
                // Reading the index costs little, matching a filter's patterns against all of it does not.
                let matches = exchange.their_filter.is_some();
                known.of != of && (small || !matches || now.mono.since(known.at) >= limits::LEFT_OUT_EVERY)
            }
        };
        let ids: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.is_admitted() && link.exchanges.get(name).is_some_and(due))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let own = self.own_left_out(id, name);
            let count = self.counted(name, &own);
            // The peer is told of the others anyway.
            let mut hasher = Hasher::new();
            for (path, one) in own.iter() {
                hasher.update(path.as_bytes());
                hasher.update(&[0, one.choice as u8]);
            }
            let digest = hasher.finish();
            let named = own.into_iter().filter(|(_, one)| one.reason.is_none()).take(limits::OWED_TOLD);
            let named: Vec<(RelPath, Reason)> = named.map(|(path, one)| (path, Reason::LeftOut(one.choice))).collect();
            if let Some(exchange) = self.links.get_mut(&id).and_then(|link| link.exchanges.get_mut(name)) {
                exchange.left_out = Some(LeftOutCount { count, named, digest, of, at: now.mono });
            }
        }
    }

    /// A peer that reads nothing for so long that its queue overflows is let go.
    fn drop_the_deaf(&mut self, now: Now) {
        let deaf: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| !link.over && link.session.queued() > limits::SEND_MAX)
            .map(|(id, _)| *id)
            .collect();
        for id in deaf {
            self.misbehaved(now, id, "it does not read what it is sent".into());
        }
    }

    /// A peer says what only another life of this database can explain. A peer can say that at any time, and every time it
    /// costs every session: so after a few times it is disconnected instead.
    pub(crate) fn renew_for(&mut self, now: Now, id: LinkId, why: &str) {
        while self.renewals.front().is_some_and(|&at| now.mono.since(at) >= limits::RENEWALS_TIME) {
            self.renewals.pop_front();
        }
        if self.renewals.len() >= limits::RENEWALS_MAX {
            self.misbehaved(now, id, format!("{why}, again and again"));
            return;
        }
        self.renewals.push_back(now.mono);
        self.renew_state(now, why);
    }

    /// Gives a node in plain mode, whose identity is part of its database, another one: the database is a copy of another
    /// node's.
    pub(crate) fn new_identity(&mut self, now: Now) -> Reply {
        if self.identity.mode.is_encrypted() {
            let text =
                "the identity of an encrypted node is a file beside its database: stop owsync, then run this again";
            return Reply::failed(Fault::State, text);
        }
        let mut plain_id = NodeId([0; 16]);
        plain_id.0.copy_from_slice(&self.rng.bytes32()[..16]);
        self.store.change(Change::Me(Me { plain_id, ..self.store.state().me.clone() }));
        self.renew_state(now, "the user asked for a new identity");
        self.identity = Identity::of(self.identity.mode.clone(), plain_id);
        self.retire_the_unconfigured();
        Reply::Done(self.identity_tree())
    }

    /// Begins another life of the database: every session starts anew, so that every peer hears of it.
    pub(crate) fn renew_state(&mut self, now: Now, why: &str) {
        self.log(Level::Warning, format!("the database goes on under a new state id: {why}"));
        self.store.renew_state_id();
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for id in links {
            self.say_bye(now, id, Trouble::EndedHere("this node's database goes on under a new state id"));
        }
        self.dial_now(now, None);
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
    fn with(self, path: &RelPath, owed: &Owed) -> Sums {
        Sums {
            rows: self.rows + 1,
            bytes: self.bytes + message::offer_size(path, &owed.entry),
            lowest: Some(self.lowest.map_or(owed.seq, |lowest| lowest.min(owed.seq))),
        }
    }
}
