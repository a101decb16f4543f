//! Receives the index of a peer: its entries become batches, or pending, or were known.

use crate::fs::{Fs, Root};
use crate::model::settings::{Accept, FirstSync};
use crate::model::{Entry, Kind, Life, RelPath, ShareName, Version, limits};
use crate::node::LinkId;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::disconnect::Offence;
use crate::node::peers::link::Link;
use crate::node::share::Share;
use crate::node::share::inbox::batch::{Batch, Content, Pending};
use crate::node::share::inbox::judge::{Admission, Judgement};
use crate::node::share::transaction::apply::attributes_of;
use crate::proto::message::{self, IndexPart, Offer};
use crate::reconcile::FirstContact;
use crate::store::state::{Change, Owed};

impl<F: Fs> Share<F> {
    /// A peer sends a part of its index.
    ///
    /// # Errors
    /// What is wrong with that.
    pub(crate) fn handle_index(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        id: LinkId,
        part: IndexPart,
    ) -> Result<(), Offence> {
        let Some(link) = peers.links.get_mut(&id) else { return Ok(()) };
        let Some(exchange) = link.exchanges.get_mut(&self.name) else { return Err(unasked(&self.name)) };
        if !exchange.listening || part.round != exchange.round {
            // The share is held here, and everything is asked for again when that ends; or it was, and this answers what
            // was asked before.
            return Ok(());
        }
        if part.upto < exchange.heard || part.entries.first().is_some_and(|offer| offer.seq <= exchange.heard) {
            return Err(Offence::Misbehaved("an index with descending sequence numbers".into()));
        }
        exchange.heard = part.upto;
        exchange.unacked.add(part.upto, part.entries.len());
        if exchange.unacked.is_exceeded() {
            let most = limits::INDEX_WINDOW;
            return Err(Offence::Misbehaved(format!("more than {most} changes were sent that were not acknowledged")));
        }
        exchange.their_top = exchange.their_top.max(part.upto);
        exchange.heard_all |= part.last;
        let me = cx.store.state().me.clone();
        let ahead = |version: &Version| version.number(me.state) > me.number;
        let is_ahead = part.entries.iter().any(|offer| ahead(&offer.entry.version));
        let mut too_much = false;
        for offer in part.entries {
            if exchange.partial.last().is_some_and(|before| before.batch != offer.batch) {
                exchange.end_partial();
            }
            exchange.partial_bytes += message::offer_size(&offer.path, &offer.entry);
            exchange.partial.push(offer);
            too_much |= exchange.partial.len() > limits::BATCH_MAX || exchange.partial_bytes > limits::BATCH_CHANGES;
        }
        if part.last {
            exchange.end_partial();
        }
        if too_much {
            let (paths, mib) = (limits::BATCH_MAX, limits::BATCH_CHANGES >> 20);
            return Err(Offence::Misbehaved(format!("a batch of more than {paths} paths or {mib} MiB")));
        }
        if is_ahead {
            return Err(Offence::KnowsMore("a peer has changes of this node that its database does not have"));
        }
        self.prepare_received(cx, peers, id)?;
        cx.stirred = true;
        Ok(())
    }

    /// Prepares the next batches that a peer sent, as far as its queue has room and this input has done little. The rest
    /// has its turn when some of them are applied.
    pub(crate) fn prepare_received(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        id: LinkId,
    ) -> Result<(), Offence> {
        let name = &self.name.clone();
        let Some(life) = peers.links.get(&id).and_then(Link::life) else { return Ok(()) };
        let mut offers = 0;
        loop {
            let open = self.inbox.batches.values().filter(|batch| batch.from == life).count();
            let link = peers.links.get_mut(&id).filter(|link| !link.session.is_ended());
            let Some(exchange) = link.and_then(|link| link.exchanges.get_mut(name)) else { return Ok(()) };
            if exchange.waiting.is_empty() || open >= limits::QUEUE_BATCHES {
                return Ok(());
            }
            if offers >= limits::INDEX_CHUNK {
                // Others have their turn first.
                cx.stirred = true;
                return Ok(());
            }
            let Some(next) = exchange.waiting.pop_front() else { return Ok(()) };
            let bytes: usize = next.iter().map(|offer| message::offer_size(&offer.path, &offer.entry)).sum();
            exchange.waiting_bytes = exchange.waiting_bytes.saturating_sub(bytes);
            offers += next.len();
            self.open_batch(cx, peers, id, life, next)?;
        }
    }

    /// Sorts one batch of offers: known, owed, or on its way.
    fn open_batch(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        id: LinkId,
        life: Life,
        offers: Vec<Offer>,
    ) -> Result<(), Offence> {
        let name = &self.name.clone();
        let contact = peers.contact_with(cx, id);
        let Some(direction) =
            peers.links.get(&id).and_then(|link| link.exchanges.get(name)).map(|exchange| exchange.direction)
        else {
            return Ok(());
        };
        let long_away = cx.store.share(name).ledgers.get(&life.node).is_some_and(|ledger| ledger.away);
        let release = peers.links.get(&id).and_then(|link| self.release_gap(cx, link));
        let admission = Admission { direction, long_away, release, by_person: false };
        let trusted = self.trusts_approvals(cx, peers, id);
        let number = cx.next_batch;
        cx.next_batch += 1;
        let mut batch: Batch<F::Root> = Batch::new(life, id, contact, cx.now.mono);
        for offer in offers {
            let Offer { path, entry, seq, batch: their_batch, approved } = offer;
            let approved = approved && trusted;
            // A later word on a path replaces the earlier one; content that is on its way may be the same.
            let arrived = self.supersede(cx, peers, life, &path, &entry, number);
            let unknown = cx.store.share(name).index.get(&path).is_none();
            if unknown && cx.store.share(name).index.len() >= limits::INDEX_MAX {
                return Err(Offence::Misbehaved(format!("more than {} paths in one share", limits::INDEX_MAX)));
            }
            cx.finish_stamps(name, [&path]);
            let judged = self.judge(cx, &path, &entry, contact, Some(&admission));
            let keep = matches!(&judged, Judgement::Apply { wanted: true, .. });
            let (arrived, left) = if keep { (arrived, None) } else { (None, arrived) };
            self.discard(left);
            match judged {
                Judgement::LeftOut => {}
                Judgement::Known if !entry.is_live() && entry.version.is_unversioned() => {
                    self.disown(cx, life.node, Some(&path));
                }
                Judgement::Known => self.note_equal(cx, life, &path, &entry),
                Judgement::Pending(reason) => self.note_pending(
                    cx,
                    life,
                    path,
                    Owed { entry, seq, batch: their_batch, reason, since: cx.now.wall, decided: false, approved },
                ),
                Judgement::Apply { wanted, .. } => {
                    batch.add(path, Pending::offered(entry, (seq, their_batch), approved), wanted, arrived);
                }
            }
        }
        self.add_batch(cx, number, batch);
        Ok(())
    }

    /// Whether an approval of a peer's user counts here: only from an identity that was accepted. With `accept key` that is
    /// one that is pinned, and in plain mode nobody shows one.
    fn trusts_approvals(&self, cx: &Context<F>, peers: &Peers<F>, id: LinkId) -> bool {
        let Some(link) = peers.links.get(&id) else { return false };
        let pinned = || {
            let section = link.section.as_ref();
            let peer = cx.settings.peers.iter().find(|peer| Some(&peer.name) == section);
            peer.is_some_and(|peer| peer.public_key.is_some() && peer.public_key == link.public_key)
        };
        let propagates = self.settings.propagate_approvals;
        propagates && link.public_key.is_some() && (cx.settings.accept == Accept::Known || pinned())
    }

    fn discard(&self, content: Option<Content<F::Root>>) {
        if let (Some(content), Some(root)) = (content, self.root.as_ref()) {
            content.discard(root);
        }
    }

    /// Puts a batch in the queue, unless nothing is left of it.
    pub(crate) fn add_batch(&mut self, cx: &mut Context<F>, id: u64, batch: Batch<F::Root>) {
        if batch.offers.is_empty() {
            return;
        }
        self.inbox.batches.insert(id, batch);
        cx.stirred = true;
    }

    /// Both sides have the same. Of two unversioned entries, the node with the smaller id will give the version.
    fn note_equal(&mut self, cx: &mut Context<F>, life: Life, path: &RelPath, entry: &Entry) {
        let name = &self.name;
        let smaller = life.node < cx.identity.id;
        let Some(record) = cx.store.index_mut(name).and_then(|index| index.get_mut(path)) else { return };
        let same = record.entry.version == entry.version && record.entry.content == entry.content;
        if !same || !record.entry.same_fields(entry) {
            return;
        }
        if !entry.version.is_unversioned() || smaller {
            record.from = Some(life);
        }
    }

    /// A later word on a path, of the same life of a database: what was on its way, or owed, is no more. Content that is on its way and is the same is
    /// handed over to the batch `number`.
    fn supersede(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        life: Life,
        path: &RelPath,
        entry: &Entry,
        number: u64,
    ) -> Option<Content<F::Root>> {
        let name = &self.name;
        let mut handed_over = None;
        let landing = self.transaction.landing.as_ref().and_then(|landing| landing.batch);
        let mut emptied = false;
        for (id, batch) in self
            .inbox
            .batches
            .iter_mut()
            .filter(|(id, batch)| batch.from == life && !batch.of_commit && landing != Some(**id))
        {
            let Some(mut pending) = batch.offers.remove(path) else { continue };
            if let (Some(merging), Some(root)) = (pending.merging.take(), &self.root) {
                merging.staged.iter().for_each(|staged| drop(root.remove(staged)));
            }
            emptied |= batch.offers.is_empty();
            let key = (path.clone(), pending.entry.digest);
            let mine = self.transfer.fetching.get(&key) == Some(id);
            if pending.entry.same_content(entry) && handed_over.is_none() {
                if mine {
                    self.transfer.fetching.insert(key, number);
                }
                if matches!(pending.content, Content::Arriving(_)) {
                    let requests = peers.links.values_mut().flat_map(|link| link.requests.values_mut());
                    requests
                        .filter(|asked| asked.batch == *id && asked.share == *name && asked.path == *path)
                        .for_each(|asked| asked.batch = number);
                }
                handed_over = match pending.content {
                    Content::Wanted | Content::Unneeded => None,
                    // It was staged with the mode, owner and time of the earlier word.
                    Content::Staged(staged) if !pending.entry.same_fields(entry) => {
                        let attributes = attributes_of(&cx.fs, entry, self.settings.allow_setuid);
                        let set =
                            |root: &F::Root| root.open_file(&staged).and_then(|file| root.set_file(&file, attributes));
                        let set = self.root.as_ref().is_some_and(|root| entry.kind == Kind::File && set(root).is_ok());
                        if let (false, Some(root)) = (set, &self.root) {
                            let _ = root.remove(&staged);
                        }
                        set.then_some(Content::Staged(staged))
                    }
                    content => Some(content),
                };
            } else {
                if mine {
                    self.transfer.fetching.remove(&key);
                }
                if let Some(root) = &self.root {
                    pending.content.discard(root);
                }
            }
        }
        if emptied {
            self.inbox.batches.retain(|_, batch| !batch.offers.is_empty());
        }
        let owed = cx.store.share(name).owed.get(&(life.node, path.clone())).map(|owed| owed.batch);
        if let Some(batch) = owed {
            cx.store.change_lazily(Change::Paid(name.clone(), life.node, path.clone()));
            // What waited for it need not wait any more.
            {
                self.inbox.waits_over.push((life.node, batch, path.clone()));
            }
            cx.stirred = true;
        }
        handed_over
    }

    /// Drops batches that cannot come about now.
    pub(crate) fn drop_batches(&mut self, which: impl Fn(&Batch<F::Root>) -> bool) {
        let dropped = self.take_batches(which);
        if let Some(root) = &self.root {
            dropped.into_iter().flat_map(|batch| batch.offers).for_each(|(_, pending)| pending.discard(root));
        }
    }
}

impl<F: Fs> Peers<F> {
    /// What both sides of a session know of each other for a first contact.
    pub(crate) fn contact_with(&self, cx: &Context<F>, id: LinkId) -> FirstContact {
        self.links.get(&id).map_or_else(
            || FirstContact {
                rule: cx.settings.first_sync,
                settled_here: cx.now.mono >= cx.settled_at,
                settled_there: false,
            },
            |link| self.contact_at(cx, link),
        )
    }

    /// The same, of a session that is there.
    pub(crate) fn contact_at(&self, cx: &Context<F>, link: &Link<F::Root>) -> FirstContact {
        let asks = cx.settings.first_sync == FirstSync::Ask || link.hello.as_ref().is_some_and(|hello| hello.asks);
        // Both sides said at Hello how long they had been up, and both decide by that, not by how long it is now.
        FirstContact {
            rule: if asks { FirstSync::Ask } else { FirstSync::Newest },
            settled_here: link.opened >= cx.settled_at,
            settled_there: link.hello.as_ref().is_some_and(|hello| hello.settled),
        }
    }
}

/// Entries of a share that this node did not ask for.
pub(crate) fn unasked(name: &ShareName) -> Offence {
    Offence::Misbehaved(format!("entries of the share {name} that were not asked for"))
}
