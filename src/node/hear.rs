//! Taking in what peers tell: entries become batches, or are owed, or were known.

use crate::fs::{Fs, Root};
use crate::model::settings::{Accept, FirstSync, Symlinks};
use crate::model::{Direction, Entry, Kind, Life, Now, Reason, RelPath, ShareName, Sleep, Version, limits};
use crate::node::batch::{Batch, Content, Pending};
use crate::node::land::attributes_of;
use crate::node::link::Link;
use crate::node::share::Share;
use crate::node::{LinkId, Node};
use crate::proto::message::{self, IndexPart, Offer};
use crate::reconcile::{self, FirstContact, Source, Verdict};
use crate::store::state::{Change, Owed};

impl<F: Fs> Node<F> {
    /// A peer tells what it has.
    pub(crate) fn handle_index(&mut self, now: Now, id: LinkId, part: IndexPart) {
        self.check_clock(now, id, part.wall);
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.session.is_ended() {
            return;
        }
        if link.node.is_none() {
            return;
        }
        let name = part.share;
        let Some(exchange) = link.exchanges.get_mut(&name) else {
            self.misbehaved(now, id, format!("entries of the share {name}, which nobody asked for"));
            return;
        };
        if !exchange.listening || part.round != exchange.round {
            // The share is held here, and everything is asked for again when that ends; or it was, and this answers what
            // was asked before.
            return;
        }
        if part.upto < exchange.heard || part.entries.first().is_some_and(|offer| offer.seq <= exchange.heard) {
            self.misbehaved(now, id, "an index that goes back".into());
            return;
        }
        exchange.heard = part.upto;
        exchange.unacked.add(part.upto, part.entries.len());
        if exchange.unacked.is_exceeded() {
            let most = limits::INDEX_WINDOW;
            self.misbehaved(now, id, format!("more than {most} changes were sent that were not acknowledged"));
            return;
        }
        exchange.their_top = exchange.their_top.max(part.upto);
        exchange.heard_all |= part.last;
        let me = self.store.state().me.clone();
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
            self.misbehaved(now, id, format!("a batch of more than {paths} paths or {mib} MiB"));
            return;
        }
        if is_ahead {
            self.renew_for(now, id, "a peer has edits of this node that its database does not know");
            return;
        }
        self.open_waiting(now, id, &name);
        self.stirred = true;
    }

    /// Prepares the next batches that a peer sent, as far as its queue has room and this input has done little. The rest
    /// has its turn when some of them are applied.
    pub(crate) fn open_waiting(&mut self, now: Now, id: LinkId, name: &ShareName) {
        let Some(life) = self.links.get(&id).and_then(Link::life) else { return };
        let mut offers = 0;
        loop {
            let Some(share) = self.shares.get(name) else { return };
            let open = share.batches.values().filter(|batch| batch.from == life).count();
            let link = self.links.get_mut(&id).filter(|link| !link.session.is_ended());
            let Some(exchange) = link.and_then(|link| link.exchanges.get_mut(name)) else { return };
            if exchange.waiting.is_empty() || open >= limits::QUEUE_BATCHES {
                return;
            }
            if offers >= limits::INDEX_CHUNK {
                // Others have their turn first.
                self.stirred = true;
                return;
            }
            let Some(next) = exchange.waiting.pop_front() else { return };
            let bytes: usize = next.iter().map(|offer| message::offer_size(&offer.path, &offer.entry)).sum();
            exchange.waiting_bytes = exchange.waiting_bytes.saturating_sub(bytes);
            offers += next.len();
            self.open_batch(now, id, life, name, next);
        }
    }

    /// Sorts one batch of offers: known, owed, or on its way.
    fn open_batch(&mut self, now: Now, id: LinkId, life: Life, name: &ShareName, offers: Vec<Offer>) {
        let contact = self.contact_with(now, id);
        let Some(direction) =
            self.links.get(&id).and_then(|link| link.exchanges.get(name)).map(|exchange| exchange.direction)
        else {
            return;
        };
        let long_away = self
            .store
            .state()
            .shares
            .get(name)
            .and_then(|share| share.ledgers.get(&life.node))
            .is_some_and(|ledger| ledger.away);
        let release = self.links.get(&id).and_then(|link| self.release_gap(link, name));
        let terms = Terms { contact, direction, long_away, release, by_person: false };
        let trusted = self.trusts_approvals(id, name);
        let number = self.next_batch;
        self.next_batch += 1;
        let mut batch: Batch<F::Root> = Batch::new(life, id, contact, now.mono);
        for offer in offers {
            let Offer { path, entry, seq, batch: their_batch, approved } = offer;
            let approved = approved && trusted;
            // A later word on a path replaces the earlier one; content that is on its way may be the same.
            let arrived = self.supersede(name, life, &path, &entry, number);
            let unknown = self.store.state().shares.get(name).is_some_and(|state| state.index.get(&path).is_none());
            if unknown
                && self.store.state().shares.get(name).is_some_and(|state| state.index.len() >= limits::INDEX_MAX)
            {
                self.misbehaved(now, id, format!("more than {} paths in one share", limits::INDEX_MAX));
                return;
            }
            self.finish_stamps(now, name, [&path]);
            let sorted = self.sort_offer(name, &path, &entry, &terms);
            let keep = matches!(sorted, Sorted::Take { wanted: true });
            let (arrived, left) = if keep { (arrived, None) } else { (None, arrived) };
            self.discard(name, left);
            match sorted {
                Sorted::LeftOut => {}
                Sorted::Known if !entry.is_live() && entry.version.is_unversioned() => {
                    self.disown(now, name, life.node, Some(&path));
                }
                Sorted::Known => self.note_equal(name, life, &path, &entry),
                Sorted::Owe(reason) => self.owe(
                    now,
                    name,
                    life,
                    path,
                    Owed { entry, seq, batch: their_batch, reason, since: now.wall, decided: false, approved },
                ),
                Sorted::Take { wanted } => batch.add(
                    path,
                    Pending {
                        entry,
                        seq,
                        batch: their_batch,
                        content: Content::Unneeded,
                        owed: false,
                        decided: false,
                        approved,
                    },
                    wanted,
                    arrived,
                ),
            }
        }
        self.add_batch(name, number, batch);
    }

    /// Whether an approval of a peer's user counts here: only from an identity that was accepted. With `accept key` that is
    /// one that is pinned, and in plain mode nobody shows one.
    fn trusts_approvals(&self, id: LinkId, name: &ShareName) -> bool {
        let Some(link) = self.links.get(&id) else { return false };
        let pinned = || {
            let section = link.section.as_ref();
            let peer = self.settings.peers.iter().find(|peer| Some(&peer.name) == section);
            peer.is_some_and(|peer| peer.public_key.is_some() && peer.public_key == link.public_key)
        };
        let propagates = self.shares.get(name).is_some_and(|share| share.settings.propagate_approvals);
        propagates && link.public_key.is_some() && (self.settings.accept == Accept::Known || pinned())
    }

    /// What becomes of an offer, as things stand now.
    pub(crate) fn sort_offer(&self, name: &ShareName, path: &RelPath, entry: &Entry, terms: &Terms) -> Sorted {
        let (Some(share), Some(state)) = (self.shares.get(name), self.store.state().shares.get(name)) else {
            return Sorted::LeftOut;
        };
        if !share.filter.holds_as(path, entry.kind) {
            return Sorted::LeftOut;
        }
        let record = state.index.get(path);
        let (agreed, lands) = match reconcile::reconcile(record.map(|record| &record.entry), entry, terms.contact) {
            Verdict::Known => return Sorted::Known,
            // A pick would cross, too.
            Verdict::Ask => return Sorted::Owe(terms.release.clone().unwrap_or(Reason::FirstContact)),
            Verdict::Agree { entry, source, .. } => (entry, source == Source::There),
        };
        if let Some(sleep) = record.and_then(|record| record.sleep) {
            return Sorted::Owe(Self::asleep(share, path, sleep));
        }
        // Whoever takes nothing still joins versions, as long as nothing changes on disk.
        let touches_disk = lands || record.is_some_and(|record| !record.entry.same_fields(&agreed));
        match terms.direction {
            Direction::Send if touches_disk => return Sorted::Owe(Reason::OnlySends),
            Direction::Observe => return Sorted::Owe(Reason::OnlyObserves),
            Direction::Both | Direction::Send | Direction::Receive => {}
        }
        if let Some(gap) = terms.release.clone().filter(|_| touches_disk) {
            return Sorted::Owe(gap);
        }
        let is_here = record.is_some_and(|record| record.entry.is_live());
        if is_here && lands && !entry.is_live() && !share.settings.deletions.takes() {
            return Sorted::Owe(Reason::KeepsDeleted);
        }
        if record.is_none() && terms.long_away && entry.is_live() {
            return Sorted::Owe(Reason::LongAway);
        }
        match self.refuses(name, path, entry) {
            Some(reason) => Sorted::Owe(reason),
            // Only what nothing else keeps out waits for the user: a sync would not bring the rest in.
            None if touches_disk && !terms.by_person && !self.crosses(name) => Sorted::Owe(Reason::Manual),
            None => Sorted::Take {
                wanted: lands && entry.has_content() && !record.is_some_and(|record| record.entry.same_content(entry)),
            },
        }
    }

    fn discard(&self, name: &ShareName, content: Option<Content<F::Root>>) {
        if let (Some(content), Some(root)) = (content, self.shares.get(name).and_then(|share| share.root.as_ref())) {
            content.discard(root);
        }
    }

    /// Puts a batch in the queue, unless nothing is left of it.
    pub(crate) fn add_batch(&mut self, name: &ShareName, id: u64, batch: Batch<F::Root>) {
        if batch.offers.is_empty() {
            return;
        }
        if let Some(share) = self.shares.get_mut(name) {
            share.batches.insert(id, batch);
        }
        self.stirred = true;
    }

    /// What both sides of a session know of each other for a first contact.
    pub(crate) fn contact_with(&self, now: Now, id: LinkId) -> FirstContact {
        self.links.get(&id).map_or_else(
            || FirstContact {
                rule: self.settings.first_sync,
                settled_here: now.mono >= self.settled_at,
                settled_there: false,
            },
            |link| self.contact_at(link),
        )
    }

    /// The same, of a session that is there.
    pub(crate) fn contact_at(&self, link: &Link<F::Root>) -> FirstContact {
        let asks = self.settings.first_sync == FirstSync::Ask || link.hello.as_ref().is_some_and(|hello| hello.asks);
        // Both sides said at Hello how long they had been up, and both decide by that, not by how long it is now.
        FirstContact {
            rule: if asks { FirstSync::Ask } else { FirstSync::Newest },
            settled_here: link.opened >= self.settled_at,
            settled_there: link.hello.as_ref().is_some_and(|hello| hello.settled),
        }
    }

    /// Why this share does not take an entry, by what it was told.
    fn refuses(&self, name: &ShareName, path: &RelPath, entry: &Entry) -> Option<Reason> {
        let share = self.shares.get(name)?;
        let max = share.settings.max_file_size;
        if share.withheld.contains(path) {
            return Some(Reason::Unconfirmed);
        }
        match entry.kind {
            Kind::File if max > 0 && entry.size > max => Some(Reason::TooLarge { size: entry.size, max }),
            Kind::Symlink if share.settings.symlinks == Symlinks::Ignore => Some(Reason::SymlinkIgnored),
            // A fifo, say, that no scan made an entry of can be there too, or above.
            _ => Self::skipped_at_or_above(share, path),
        }
    }

    /// Why nothing lands at a path, because a scan skipped what is there, or above.
    fn skipped_at_or_above(share: &Share<F::Root>, path: &RelPath) -> Option<Reason> {
        let ignored = |path: &RelPath| share.skipped.get(path) == Some(&Reason::SymlinkIgnored);
        if ignored(path) || path.ancestors().any(|dir| ignored(&dir)) {
            // Left out by choice, as the symlink itself.
            return Some(Reason::SymlinkIgnored);
        }
        let mut at_or_above = std::iter::once(path.clone()).chain(path.ancestors());
        at_or_above
            .find_map(|path| share.skipped.get(&path))
            .map(|reason| match reason {
                Reason::SymlinkOutside => Reason::InTheWay("symlink"),
                Reason::Special(word) => Reason::InTheWay(word),
                other => other.clone(),
            })
            .filter(|reason| !matches!(reason, Reason::UnknownOwner(_)))
    }

    /// Why a sleeping path takes nothing: what a setting of this node leaves out differs by choice, whether it was synced
    /// before or not.
    fn asleep(share: &Share<F::Root>, path: &RelPath, sleep: Sleep) -> Reason {
        let reason = match sleep {
            Sleep::Filtered | Sleep::Skipped | Sleep::TooLarge => Self::skipped_at_or_above(share, path),
            Sleep::Unreadable | Sleep::Flapping | Sleep::Withheld | Sleep::SectionsLost => None,
        };
        reason.unwrap_or_else(|| asleep(sleep))
    }

    /// Both sides have the same. Of two unversioned entries, the node with the smaller id will give the version.
    fn note_equal(&mut self, name: &ShareName, life: Life, path: &RelPath, entry: &Entry) {
        let smaller = life.node < self.identity.id;
        let Some(record) = self.store.index_mut(name).and_then(|index| index.get_mut(path)) else { return };
        if record.entry.version != entry.version || !record.entry.same_fields(entry) {
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
        name: &ShareName,
        life: Life,
        path: &RelPath,
        entry: &Entry,
        number: u64,
    ) -> Option<Content<F::Root>> {
        let mut handed_over = None;
        if let Some(share) = self.shares.get_mut(name) {
            let landing = share.landing.as_ref().and_then(|landing| landing.batch);
            let mut emptied = false;
            for (id, batch) in
                share.batches.iter_mut().filter(|(id, batch)| batch.from == life && landing != Some(**id))
            {
                let Some(pending) = batch.offers.remove(path) else { continue };
                emptied |= batch.offers.is_empty();
                let key = (path.clone(), pending.entry.digest);
                let mine = share.fetching.get(&key) == Some(id);
                if pending.entry.same_content(entry) && handed_over.is_none() {
                    if mine {
                        share.fetching.insert(key, number);
                    }
                    if matches!(pending.content, Content::Arriving(_)) {
                        let requests = self.links.values_mut().flat_map(|link| link.requests.values_mut());
                        requests
                            .filter(|asked| asked.batch == *id && asked.share == *name && asked.path == *path)
                            .for_each(|asked| asked.batch = number);
                    }
                    handed_over = match pending.content {
                        Content::Wanted | Content::Unneeded => None,
                        // It was staged with the mode, owner and time of the earlier word.
                        Content::Staged(staged) if !pending.entry.same_fields(entry) => {
                            let attributes = attributes_of(&self.fs, entry, share.settings.allow_setuid);
                            let set = |root: &F::Root| {
                                root.open_file(&staged).and_then(|file| root.set_file(&file, attributes))
                            };
                            let set =
                                share.root.as_ref().is_some_and(|root| entry.kind == Kind::File && set(root).is_ok());
                            if let (false, Some(root)) = (set, &share.root) {
                                let _ = root.remove(&staged);
                            }
                            set.then_some(Content::Staged(staged))
                        }
                        content => Some(content),
                    };
                } else {
                    if mine {
                        share.fetching.remove(&key);
                    }
                    if let Some(root) = &share.root {
                        pending.content.discard(root);
                    }
                }
            }
            if emptied {
                share.batches.retain(|_, batch| !batch.offers.is_empty());
            }
        }
        let owed = self
            .store
            .state()
            .shares
            .get(name)
            .and_then(|share| share.owed.get(&(life.node, path.clone())))
            .map(|owed| owed.batch);
        if let Some(batch) = owed {
            self.store.change_lazily(Change::Paid(name.clone(), life.node, path.clone()));
            // What waited for it need not wait any more.
            if let Some(share) = self.shares.get_mut(name) {
                share.waits_over.push((life.node, batch, path.clone()));
            }
            self.stirred = true;
        }
        handed_over
    }

    /// A session is over: what was not complete is heard again at the next one.
    pub(crate) fn drop_exchanges(&mut self, now: Now, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.requests.clear();
        link.outstanding = 0;
        link.serving.clear();
        link.open_file = None;
        let exchanges = std::mem::take(&mut link.exchanges);
        let section = link.section.clone();
        if exchanges.values().any(|exchange| exchange.completed) {
            if let Some(dial) = section.as_ref().and_then(|name| self.dials.get_mut(name)) {
                dial.last_ok = Some(now.wall);
            }
        }
        for name in exchanges.keys() {
            self.break_off(now, name, id);
            if let Some(share) = self.shares.get_mut(name) {
                share.batches.values_mut().filter(|batch| batch.link == Some(id)).for_each(|batch| batch.link = None);
            }
        }
    }

    /// Drops batches that cannot come about now.
    pub(crate) fn drop_batches(&mut self, name: &ShareName, which: impl Fn(&Batch<F::Root>) -> bool) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let dropped = share.take_batches(which);
        if let Some(root) = &share.root {
            dropped.into_iter().flat_map(|batch| batch.offers).for_each(|(_, pending)| pending.content.discard(root));
        }
    }
}

/// What an offer is judged by, besides what it says.
pub(crate) struct Terms {
    /// What both sides know of each other.
    pub contact: FirstContact,
    /// What share and peer section together allow.
    pub direction: Direction,
    /// It comes from a node that was away for long.
    pub long_away: bool,
    /// Why it must wait for a system upgrade. A person's approval does not end that: the upgrade does, or
    /// `release_guard 0`.
    pub release: Option<Reason>,
    /// A person asked for it.
    pub by_person: bool,
}

/// What becomes of an offer.
pub(crate) enum Sorted {
    /// This node's filter leaves it out.
    LeftOut,
    /// What is here includes it.
    Known,
    /// It cannot land now.
    Owe(Reason),
    /// It may land.
    Take {
        /// Its content must come.
        wanted: bool,
    },
}

/// Why a sleeping path takes nothing, where no scan has said more.
fn asleep(sleep: Sleep) -> Reason {
    match sleep {
        Sleep::Filtered | Sleep::Skipped => Reason::InTheWay("thing"),
        Sleep::TooLarge => Reason::InTheWay("file larger than max_file_size"),
        Sleep::Unreadable => Reason::Unreadable("what lies there cannot be read".into()),
        Sleep::Flapping => Reason::Flapping,
        Sleep::Withheld => Reason::Unconfirmed,
        Sleep::SectionsLost => Reason::Other("the change that was made here is held".into()),
    }
}
