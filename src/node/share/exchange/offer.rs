//! Offers peers what changed here, and takes in how far they have come with it.

use std::collections::VecDeque;

use crate::fs::Fs;
use crate::model::{Direction, Entry, Life, Record, RelPath, ShareName, limits};
use crate::node::LinkId;
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::disconnect::Offence;
use crate::node::peers::exchange::{Exchange, Offers};
use crate::node::share::Share;
use crate::node::share::exchange::withdraw::Word;
use crate::proto::message::{self, IndexPart, Message, Offer, Progress};
use crate::store::state::{Change, Ledger};

/// What a node sends another of a record; `deletions`: they leave the share.
fn word_of(record: &Record, offers: Offers, deletions: bool, peer: Life) -> Option<Word> {
    Word::of(record, may_go(record, offers, deletions, peer) && !record.pending, peer)
}

/// The same once a person says `sync`.
pub(crate) fn may_go(record: &Record, offers: Offers, deletions: bool, peer: Life) -> bool {
    let goes = match offers {
        Offers::All => true,
        // What it wrote itself has no version.
        Offers::Relayed => !record.entry.version.is_unversioned(),
        Offers::Nothing => false,
    };
    let goes = goes && (deletions || record.entry.is_live());
    goes && record.sleep.is_none() && record.from != Some(peer)
}

impl<F: Fs> Share<F> {
    /// Begins to exchange a share with a peer, if both have it and may.
    pub(crate) fn begin_exchange(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, id: LinkId) {
        let name = &self.name.clone();
        let Some(direction) = self.direction_with(cx, peers, id) else { return };
        let Some(link) = peers.links.get(&id) else { return };
        let (ready, deletions) = (self.is_ready(), self.settings.deletions.sends());
        let (Some(node), Some(hello)) = (link.node, &link.hello) else { return };
        let Some(theirs) = hello.shares.iter().find(|theirs| theirs.name == *name).cloned() else { return };
        let their_state = hello.state;
        let before = cx.store.share(name).ledgers.get(&node).cloned().unwrap_or_default();
        // Whoever only receives still relays, and so could bring back what was deleted.
        let sends = theirs.direction != Direction::Observe;
        let offers = self.offers_to(cx, peers, id);
        let mut ledger = Ledger {
            sends,
            withheld: before.withheld || offers != Offers::All || !deletions,
            withheld_all: before.withheld_all || offers == Offers::Nothing,
            ..before.clone()
        };
        if ledger.their_state != Some(their_state) {
            // Another life of its database: its numbers mean other things, and everything is heard anew.
            cx.forget_pending_from(name, node);
            ledger = Ledger { their_state: Some(their_state), heard: 0, our_state: None, acked: 0, ..ledger };
            // Nor does it still have what it once gave, or applied.
            self.disown(cx, node, None);
        }
        if ledger != before {
            cx.store.change_lazily(Change::Ledger(name.clone(), node, ledger.clone()));
        }
        let held = cx.stop_text(name);
        let rules = self.rules_digest();
        if let Some(link) = peers.links.get_mut(&id) {
            if link.told_held.contains(name) != held.is_some() {
                // That changed between our Hello and theirs.
                link.say(Message::ShareNews { share: name.clone(), held });
            }
            let mut exchange = Exchange::new(theirs, direction, offers, ledger.heard);
            if rules.0.starts_with(&exchange.theirs.filter) {
                // Both filters hold the same paths.
                exchange.their_filter = None;
            }
            link.exchanges.insert(name.clone(), exchange);
        }
        self.log_release_gap(cx, peers, id);
        if ready && cx.hold_of(name).is_none() {
            self.listen(cx, peers, id);
        }
    }

    /// What share and peer section together allow; `None` when the peer has no part in the share.
    pub(crate) fn direction_with(&self, cx: &Context<F>, peers: &Peers<F>, id: LinkId) -> Option<Direction> {
        let name = &self.name;
        if self.is_leaving() {
            return None;
        }
        let link = peers.links.get(&id)?;
        let peer = link.section.as_ref().and_then(|section| cx.peer_settings(section));
        let paused = link.section.as_ref().and_then(|section| peers.dials.get(section)).is_some_and(|dial| dial.paused);
        if paused || peer.is_some_and(|peer| !peer.allows(name)) {
            return None;
        }
        Some(self.settings.direction.and(peer.map_or(Direction::Both, |peer| peer.direction)))
    }

    /// What of this node a peer may be offered.
    fn offers_to(&self, cx: &Context<F>, peers: &Peers<F>, id: LinkId) -> Offers {
        let section = peers.links.get(&id).and_then(|link| link.section.as_ref());
        let peer = section.and_then(|section| cx.peer_settings(section));
        if peer.is_some_and(|peer| !peer.direction.sends()) {
            return Offers::Nothing;
        }
        match self.settings.direction {
            Direction::Both | Direction::Send => Offers::All,
            Direction::Receive => Offers::Relayed,
            Direction::Observe => Offers::Nothing,
        }
    }

    /// A direction kept from a peer what it counts as heard, and does so no more: what it may have missed gets new
    /// numbers, under which everybody hears it, most of them for the second time.
    fn offer_anew(&mut self, cx: &mut Context<F>, upto: u64) {
        let name = &self.name;
        let state = cx.store.share(name);
        let mut missed: Vec<(u64, RelPath)> = state
            .index
            .iter()
            .filter(|(_, record)| record.seq <= upto)
            .map(|(path, record)| (record.seq, path.clone()))
            .collect();
        missed.sort_unstable();
        self.renumber(cx, missed.into_iter().map(|(_, path)| path), |_, _| ());
    }

    /// Asks a peer for everything that was not heard of a share.
    pub(crate) fn listen(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, id: LinkId) {
        let name = &self.name;
        if self.paused {
            return;
        }
        let Some(link) = peers.links.get_mut(&id) else { return };
        let (Some(node), Some(hello)) = (link.node, &link.hello) else { return };
        let state = hello.state;
        let Some(exchange) = link.exchanges.get_mut(name) else { return };
        let ledger = cx.store.share(name).ledgers.get(&node);
        exchange.heard = ledger.map_or(0, |ledger| ledger.heard);
        exchange.acked = exchange.heard;
        exchange.unacked.clear();
        exchange.listening = true;
        exchange.heard_all = false;
        exchange.forget_received();
        exchange.round = exchange.round.wrapping_add(1);
        let (since, round) = (exchange.heard, exchange.round);
        link.say(Message::Want { share: name.clone(), state, since, round });
    }

    /// A peer wants to hear what changed here.
    pub(crate) fn handle_want(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        id: LinkId,
        since: u64,
        round: u32,
    ) {
        let name = &self.name.clone();
        let me = cx.store.state().me.clone();
        let Some(link) = peers.links.get(&id) else { return };
        let Some(node) = link.node else { return };
        let Some(offers) = link.exchanges.get(name).map(|exchange| exchange.offers) else {
            cx.log(Level::Debug, format!("a peer asks for the share {name}, in which it does not take part"));
            return;
        };
        let ledger = cx.store.share(name).ledgers.get(&node).cloned();
        let all = offers == Offers::All && self.settings.deletions.sends();
        let some = offers != Offers::Nothing;
        if let Some(ledger) = ledger.filter(|ledger| (ledger.withheld && all) || (ledger.withheld_all && some)) {
            self.offer_anew(cx, since);
            let withheld = ledger.withheld && !all;
            cx.store.change(Change::Ledger(name.clone(), node, Ledger { withheld, withheld_all: false, ..ledger }));
        }
        let ledger = cx.store.share(name).ledgers.get(&node).cloned();
        if let Some(ledger) = ledger.filter(|ledger| ledger.our_state == Some(me.state) && ledger.acked > since) {
            // It gave up what it had applied.
            cx.store.change(Change::Ledger(name.clone(), node, Ledger { acked: since, ..ledger }));
        }
        let Some(exchange) = peers.links.get_mut(&id).and_then(|link| link.exchanges.get_mut(name)) else { return };
        if let Some(index) = cx.store.index_mut(name) {
            // It may have given up what it once gave us: whatever it asks for, it hears.
            index
                .iter_mut()
                .filter(|(_, record)| record.seq > since && record.from.is_some_and(|from| from.node == node))
                .for_each(|(_, record)| record.from = None);
        }
        exchange.offered = Some(since);
        exchange.their_round = round;
        exchange.queue.clear();
        exchange.in_flight.clear();
        exchange.catch_up = None;
        let acked = cx
            .store
            .share(name)
            .ledgers
            .get(&node)
            .filter(|ledger| ledger.our_state == Some(me.state))
            .map_or(0, |ledger| ledger.acked);
        exchange.their_applied = exchange.their_applied.max(acked.min(since));
        exchange.their_settled = exchange.their_settled.max(exchange.their_applied);
        cx.stirred = true;
    }

    /// A peer reports how far it has come with what was offered.
    ///
    /// # Errors
    /// What is wrong with that.
    pub(crate) fn handle_progress(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        id: LinkId,
        progress: Progress,
    ) -> Result<(), Offence> {
        let state = cx.store.state().me.state;
        let Some(link) = peers.links.get_mut(&id) else { return Ok(()) };
        let Some(node) = link.node else { return Ok(()) };
        let Some(exchange) = link.exchanges.get_mut(&self.name) else { return Ok(()) };
        let offered = exchange.offered.unwrap_or(0);
        let Progress { heard, applied, settled, .. } = progress;
        if heard > offered.max(exchange.their_heard) || applied > heard || settled > heard {
            return Err(Offence::Misbehaved("it reports as applied what was never offered".into()));
        }
        let offers = exchange.offers;
        exchange.in_flight.acknowledge(progress.heard);
        exchange.full_there = progress.full;
        exchange.their_heard = progress.heard;
        exchange.their_applied = progress.applied;
        exchange.their_settled = settled;
        exchange.pending_there = progress.pending;
        exchange.paths_there = progress.paths;
        exchange.left_out_there = progress.left_out;
        exchange.unreleased_there = progress.unreleased;
        exchange.unconfirmed_there = progress.unconfirmed;
        if settled >= offered || progress.pending > 0 {
            exchange.unanswered = None;
            exchange.late = false;
        } else if exchange.unanswered.is_some() {
            // It moves: its time begins anew.
            exchange.unanswered = Some(cx.now.mono);
        }
        let before = cx.store.share(&self.name).ledgers.get(&node).cloned().unwrap_or_default();
        let acked = match before.our_state == Some(state) {
            // What was kept from it, it has not applied.
            _ if offers != Offers::All => before.acked,
            true => before.acked.max(progress.applied),
            false => progress.applied,
        };
        let ledger = Ledger { our_state: Some(state), acked, ..before.clone() };
        if ledger != before {
            // Learned again at the next session, so it need not cost a write of its own.
            cx.store.change_lazily(Change::Ledger(self.name.clone(), node, ledger));
        }
        cx.stirred = true;
        Ok(())
    }

    /// Whether a share may say what it has. While a batch is on its way into place its records are not the disk.
    pub(crate) fn may_offer(&self, cx: &Context<F>) -> bool {
        let name = &self.name;
        self.is_ready()
            && !self.paused
            && !self.outgoing.sending.asked
            && self.transaction.landing.is_none()
            && cx.hold_of(name).is_none()
            && cx.store_trouble.is_none()
    }

    /// Offers everything that is new to each peer that wants to receive it. Called when the state is about to be written.
    pub(crate) fn push_offers(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        if self.may_offer(cx) {
            for id in peers.exchanging(&self.name) {
                self.push_offers_to(cx, peers, id);
            }
        }
    }

    fn push_offers_to(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, id: LinkId) {
        let name = &self.name;
        let Some(link) = peers.links.get_mut(&id) else { return };
        let Some(life) = link.life() else { return };
        let Some(exchange) = link.exchanges.get_mut(name) else { return };
        let Some(offered) = exchange.offered else { return };
        let deletions = self.settings.deletions.sends();
        let approvals = self.settings.propagate_approvals;
        // It may have heard a number that nothing bears any more: a deletion that was forgotten since.
        let top = self.outgoing.top.max(offered);
        let first = exchange.catch_up.is_none();
        if exchange.queue.is_empty() && offered >= top && !first {
            return;
        }
        let state = cx.store.share(name);
        if exchange.queue.is_empty() {
            exchange.queue_top = top;
        }
        if exchange.queue.is_empty() && offered < top {
            let mut fresh: Vec<(u64, RelPath)> = state
                .index
                .iter()
                .filter(|(_, record)| {
                    record.seq > offered
                        && match word_of(record, exchange.offers, deletions, life) {
                            Some(Word::Entry) => true,
                            // A peer that has received nothing waits for nothing.
                            Some(Word::Withdrawal) => offered > 0,
                            None => false,
                        }
                })
                .map(|(path, record)| (record.seq, path.clone()))
                .collect();
            fresh.sort_unstable();
            exchange.queue = fresh.into();
        }
        // What was never offered has a provisional stamp, which is made final now that the clock was checked.
        let drafts =
            exchange.queue.iter().any(|(_, path)| state.index.get(path).is_some_and(|record| record.draft.is_some()));
        if drafts {
            cx.store.change(Change::Stamped(name.clone(), cx.now.wall));
        }
        loop {
            let Some(link) = peers.links.get_mut(&id) else { return };
            let state = cx.store.share(name);
            if link.is_full() {
                // Goes on when some of it was sent.
                return;
            }
            let Some(exchange) = link.exchanges.get_mut(name) else { return };
            if !exchange.queue.is_empty() && !exchange.in_flight.has_room() {
                // Goes on when the peer acknowledged some of it.
                return;
            }
            let mut entries = Vec::new();
            let mut size = 0;
            while entries.len() < limits::INDEX_CHUNK {
                let Some((seq, path)) = exchange.queue.front() else { break };
                let record = state.index.get(path).filter(|record| record.seq == *seq);
                let word = record.and_then(|record| word_of(record, exchange.offers, deletions, life));
                // What changed again since will come under its new number.
                if let (Some(record), Some(word)) = (record, word) {
                    let entry = match word {
                        Word::Entry => record.entry.clone(),
                        Word::Withdrawal => Entry::nothing(),
                    };
                    size += message::offer_size(path, &entry);
                    if size > limits::DATA_MAX {
                        break;
                    }
                    entries.push(Offer {
                        path: path.clone(),
                        entry,
                        seq: *seq,
                        batch: record.batch.min(*seq),
                        approved: record.approved && approvals,
                    });
                }
                exchange.queue.pop_front();
            }
            let empty = exchange.queue.is_empty();
            // What got a new number while the queue waited (for room, or for the peer) is above the queue's top, and is not
            // offered yet: the queue is filled again before its end is announced.
            let last = empty && exchange.queue_top >= top;
            let upto = match entries.last() {
                _ if empty => exchange.queue_top,
                Some(offer) => offer.seq,
                None => exchange.offered.unwrap_or(0),
            };
            if !entries.is_empty() {
                exchange.unanswered.get_or_insert(cx.now.mono);
            }
            exchange.offered = Some(upto);
            if last {
                exchange.queue = VecDeque::new();
                exchange.catch_up.get_or_insert(upto);
            } else if empty && entries.is_empty() {
                return self.push_offers_to(cx, peers, id);
            }
            exchange.in_flight.add(upto, entries.len());
            let round = exchange.their_round;
            link.say(Message::Index(IndexPart { share: name.clone(), round, wall: cx.now.wall, upto, last, entries }));
            if last {
                return;
            }
            if empty {
                return self.push_offers_to(cx, peers, id);
            }
        }
    }
}

impl<F: Fs> Context<F> {
    /// Makes the provisional stamps of a share final when one of these paths has one, which is about to be compared with
    /// a peer's: the two clocks were checked against each other when the session began.
    pub(crate) fn finish_stamps<'a>(&mut self, name: &ShareName, paths: impl IntoIterator<Item = &'a RelPath>) {
        let Some(state) = self.store.state().shares.get(name) else { return };
        let is_draft = |path: &RelPath| state.index.get(path).is_some_and(|record| record.draft.is_some());
        if paths.into_iter().any(is_draft) {
            self.store.change(Change::Stamped(name.clone(), self.now.wall));
        }
    }
}
