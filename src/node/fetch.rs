//! Asking for content, and taking it in.
//!
//! Content is only ever pulled. Requests of up to [`limits::REQUEST_PIECE`] are kept on their way up to a window, so a
//! large file streams and small ones fill records together. No content is asked for twice at a time, unless whoever was
//! asked has been quiet for [`limits::FETCH_PATIENCE`]. A broken transfer goes on at its offset.

use crate::fs::stage::{ArrivalError, Incoming};
use crate::fs::{Fs, Root, form};
use crate::model::{Digest, Entry, Kind, Map, Now, Reason, RelPath, ShareName, limits};
use crate::node::api::Level;
use crate::node::batch::{Arriving, Content};
use crate::node::land::attributes_of;
use crate::node::link::Requested;
use crate::node::{LinkId, Node};
use crate::proto::message::{Chunk, Message, Piece};
use crate::store::state::Change;

impl<F: Fs> Node<F> {
    /// Asks for what the open batches of every session need.
    pub(crate) fn fetch(&mut self, now: Now) {
        let names: Vec<ShareName> = self.shares.keys().cloned().collect();
        for name in names {
            let ids: Vec<u64> =
                self.shares.get(&name).map(|share| share.batches.keys().copied().collect()).unwrap_or_default();
            let mut open: Map<LinkId, usize> = Default::default();
            for id in ids {
                let Some(batch) = self.shares.get(&name).and_then(|share| share.batches.get(&id)) else { continue };
                let Some(link) = batch.link else { continue };
                if batch.is_complete() {
                    continue;
                }
                let count = open.get_or_insert(link, 0);
                *count += 1;
                if *count <= limits::BATCHES_OPEN {
                    self.fetch_for(now, &name, id, link);
                }
            }
        }
    }

    /// Asks for what one batch needs, as far as the window allows.
    fn fetch_for(&mut self, now: Now, name: &ShareName, batch_id: u64, link_id: LinkId) {
        self.seek_locally(name, batch_id);
        let mut pieces = Vec::new();
        // Pieces of what is arriving already come first.
        let arriving: Vec<RelPath> = match self.shares.get(name).and_then(|share| share.batches.get(&batch_id)) {
            Some(batch) => batch
                .offers
                .iter()
                .filter(|(_, pending)| matches!(&pending.content, Content::Arriving(a) if a.asked < pending.entry.size))
                .map(|(path, _)| path.clone())
                .collect(),
            None => return,
        };
        for path in arriving {
            if !self.ask(now, name, batch_id, link_id, &path, &mut pieces) {
                break;
            }
        }
        while let Some(batch) = self.shares.get_mut(name).and_then(|share| share.batches.get_mut(&batch_id)) {
            let Some(path) = batch.unasked.front().cloned() else { break };
            if !batch.offers.get(&path).is_some_and(|pending| matches!(pending.content, Content::Wanted)) {
                batch.unasked.pop_front();
                continue;
            }
            if !self.may_ask(now, name, batch_id, &path) {
                // Somebody else is bringing it. It comes up again when that has landed, or failed.
                let Some(batch) = self.shares.get_mut(name).and_then(|share| share.batches.get_mut(&batch_id)) else {
                    break;
                };
                batch.not_before = now.mono.plus(limits::FETCH_PATIENCE);
                break;
            }
            if !self.begin(now, name, batch_id, &path) {
                continue;
            }
            if !self.ask(now, name, batch_id, link_id, &path, &mut pieces) {
                break;
            }
            if let Some(batch) = self.shares.get_mut(name).and_then(|share| share.batches.get_mut(&batch_id)) {
                batch.unasked.pop_front();
            }
        }
        self.send_request(link_id, name, pieces);
    }

    fn send_request(&mut self, link_id: LinkId, name: &ShareName, pieces: Vec<Piece>) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        let mut pieces = pieces.into_iter().peekable();
        while pieces.peek().is_some() {
            let mut some = Vec::new();
            let mut size = 0;
            while let Some(piece) = pieces.peek() {
                size += piece.path.as_bytes().len() + 80;
                if size > limits::DATA_MAX {
                    break;
                }
                some.extend(pieces.next());
            }
            link.say(Message::Request { share: name.clone(), pieces: some });
        }
    }

    /// Whether nobody else is bringing this content, or is too slow.
    fn may_ask(&self, now: Now, name: &ShareName, batch_id: u64, path: &RelPath) -> bool {
        let Some(share) = self.shares.get(name) else { return false };
        let Some(pending) = share.batches.get(&batch_id).and_then(|batch| batch.offers.get(path)) else { return false };
        let Some(by) = share.fetching.get(&(path.clone(), pending.entry.digest)) else { return true };
        let Some(other) = share.batches.get(by).filter(|_| by != &batch_id) else { return true };
        match other.offers.get(path).map(|pending| &pending.content) {
            Some(Content::Arriving(arriving)) => now.mono.since(arriving.last) >= limits::FETCH_PATIENCE,
            // It is staged there, and lands as soon as the rest of its batch is.
            Some(Content::Staged(_)) => now.mono.since(other.opened) >= limits::FETCH_PATIENCE,
            _ => true,
        }
    }

    /// Prepares to receive a content; `false` when that is not possible, and the path is owed.
    fn begin(&mut self, now: Now, name: &ShareName, batch_id: u64, path: &RelPath) -> bool {
        let Some(share) = self.shares.get_mut(name) else { return false };
        let pending = share.batches.get(&batch_id).and_then(|batch| batch.offers.get(path));
        let Some(entry) = pending.map(|pending| pending.entry.clone()) else { return false };
        if let Some(content) = share.take_broken(path, &entry) {
            return self.go_on(now, name, batch_id, path, content);
        }
        let Some(share) = self.shares.get_mut(name) else { return false };
        let min_free = share.settings.min_free;
        let Some(root) = &share.root else { return false };
        let Some(batch) = share.batches.get_mut(&batch_id) else { return false };
        // What the rest of the batch still brings must fit as well, or nothing of it should begin.
        let need: u64 = batch
            .offers
            .values()
            .filter(|p| matches!(p.content, Content::Wanted | Content::Arriving(_) | Content::Copying(_)))
            .map(|p| p.entry.size)
            .fold(0, u64::saturating_add);
        let Some(pending) = batch.offers.get_mut(path) else { return false };
        let Entry { kind, size, digest, .. } = entry;
        let started = match Self::has_room(root, need, min_free) {
            Err(free) => Err(Reason::NoRoom { need, free }),
            Ok(_) => share.staging.name(root).map(|staged| Incoming::start(staged, kind, size)).map_err(|error| {
                if error.is_full() {
                    Reason::NoRoom { need, free: root.free().unwrap_or(0) }
                } else {
                    Reason::Unwritable(error.cause())
                }
            }),
        };
        match started {
            Ok(incoming) => {
                pending.content = Content::Arriving(Box::new(Arriving { incoming, asked: 0, last: now.mono }));
                share.fetching.insert((path.clone(), digest), batch_id);
                if size == 0 {
                    self.complete(now, name, batch_id, path);
                }
                true
            }
            Err(reason) => {
                self.fail_path(now, name, batch_id, path, reason);
                false
            }
        }
    }

    /// Goes on with a content where an earlier attempt broke off.
    fn go_on(&mut self, now: Now, name: &ShareName, batch_id: u64, path: &RelPath, content: Content<F::Root>) -> bool {
        let Some(share) = self.shares.get_mut(name) else { return false };
        let Some(pending) = share.batches.get_mut(&batch_id).and_then(|batch| batch.offers.get_mut(path)) else {
            return false;
        };
        pending.content = match content {
            Content::Arriving(mut arriving) => {
                arriving.asked = arriving.incoming.arrived();
                arriving.last = now.mono;
                Content::Arriving(arriving)
            }
            content => content,
        };
        share.fetching.insert((path.clone(), pending.entry.digest), batch_id);
        self.stirred = true;
        true
    }

    /// Asks for the next pieces of a content; `false` when the window is full.
    fn ask(
        &mut self,
        now: Now,
        name: &ShareName,
        batch_id: u64,
        link_id: LinkId,
        path: &RelPath,
        pieces: &mut Vec<Piece>,
    ) -> bool {
        let Some(link) = self.links.get_mut(&link_id) else { return false };
        let Some(pending) = self
            .shares
            .get_mut(name)
            .and_then(|share| share.batches.get_mut(&batch_id))
            .and_then(|batch| batch.offers.get_mut(path))
        else {
            return true;
        };
        let Content::Arriving(arriving) = &mut pending.content else { return true };
        while arriving.asked < pending.entry.size {
            if link.requests.len() >= limits::REQUESTS_MAX || link.outstanding >= limits::REQUEST_WINDOW {
                return false;
            }
            let length = (pending.entry.size - arriving.asked).min(limits::REQUEST_PIECE);
            let id = link.next_request;
            link.next_request = link.next_request.wrapping_add(1);
            let (offset, end) = (arriving.asked, arriving.asked + length);
            if link.requests.is_empty() {
                link.requesting_since = now.mono;
            }
            link.requests.insert(
                id,
                Requested {
                    share: name.clone(),
                    batch: batch_id,
                    path: path.clone(),
                    digest: pending.entry.digest,
                    next: offset,
                    end,
                },
            );
            link.outstanding += length;
            arriving.asked = end;
            arriving.last = now.mono;
            pieces.push(Piece { id, path: path.clone(), digest: pending.entry.digest, offset, length });
        }
        true
    }

    /// Content arrived.
    pub(crate) fn handle_data(&mut self, now: Now, id: LinkId, chunks: Vec<Chunk>) {
        for chunk in chunks {
            let Some(link) = self.links.get_mut(&id) else { return };
            let length = chunk.bytes.len() as u64;
            let Some(request) = link.requests.get_mut(&chunk.id) else {
                if self.take_sample(now, id, &chunk) {
                    continue;
                }
                self.misbehaved(now, id, "content that nobody asked for".into());
                return;
            };
            if request.next != chunk.offset || length == 0 || length > request.end - request.next {
                self.misbehaved(now, id, "content out of place".into());
                return;
            }
            request.next += length;
            link.outstanding = link.outstanding.saturating_sub(length);
            let done = request.next == request.end;
            let (name, batch, path, digest) =
                (request.share.clone(), request.batch, request.path.clone(), request.digest);
            if done {
                link.requests.remove(&chunk.id);
            }
            self.counters.received += length;
            self.take_chunk(now, &name, batch, &path, digest, &chunk);
        }
        self.stirred = true;
    }

    /// Writes a chunk where it belongs; it may belong nowhere any more.
    fn take_chunk(&mut self, now: Now, name: &ShareName, batch_id: u64, path: &RelPath, digest: Digest, chunk: &Chunk) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let Some(root) = &share.root else { return };
        let Some(pending) = share
            .batches
            .get_mut(&batch_id)
            .and_then(|batch| batch.offers.get_mut(path))
            .filter(|pending| pending.entry.digest == digest)
        else {
            return;
        };
        let Content::Arriving(arriving) = &mut pending.content else { return };
        if arriving.incoming.arrived() != chunk.offset {
            // A piece of an attempt that was given up.
            return;
        }
        arriving.last = now.mono;
        match arriving.incoming.take(root, chunk.offset, &chunk.bytes) {
            Ok(()) if arriving.incoming.is_complete() => self.complete(now, name, batch_id, path),
            Ok(()) => {}
            Err(error) => {
                let exhausted = matches!(&error, ArrivalError::Fs(error) if error.is_exhausted());
                self.fail_arrival(now, name, batch_id, path, error);
                if let Some(share) = self.shares.get_mut(name).filter(|_| exhausted) {
                    // Descriptors come back with whatever ends next.
                    share.retry_at = share.retry_at.min(now.mono.plus(limits::LOCK_TIME));
                }
            }
        }
    }

    fn arrival_reason(&self, name: &ShareName, error: ArrivalError) -> Reason {
        let free =
            self.shares.get(name).and_then(|share| share.root.as_ref()).and_then(|root| root.free().ok()).unwrap_or(0);
        match error {
            ArrivalError::Fs(error) if error.is_full() => Reason::NoRoom { need: 0, free },
            ArrivalError::Fs(error) => Reason::Unwritable(error.cause()),
            ArrivalError::OutOfPlace => Reason::NotSupplied("it came in the wrong order".into()),
            ArrivalError::OtherDigest => Reason::NotSupplied("it changed while it was sent".into()),
        }
    }

    /// All bytes of a content are here: verify it.
    fn complete(&mut self, now: Now, name: &ShareName, batch_id: u64, path: &RelPath) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let allow_setid = share.settings.allow_setuid;
        let Some(root) = &share.root else { return };
        let Some(pending) = share.batches.get_mut(&batch_id).and_then(|batch| batch.offers.get_mut(path)) else {
            return;
        };
        let Content::Arriving(arriving) = std::mem::replace(&mut pending.content, Content::Wanted) else { return };
        let attributes = attributes_of(&self.fs, &pending.entry, allow_setid);
        let outside = pending.entry.kind == Kind::Symlink
            && !arriving.incoming.text().is_some_and(|text| form::link_stays_inside(path, text));
        if outside {
            arriving.incoming.discard(root);
            self.fail_path(now, name, batch_id, path, Reason::SymlinkOutside);
            return;
        }
        // Also what needs no byte from the peer, as an empty file, may make its batch complete.
        self.stirred = true;
        match arriving.incoming.finish(root, pending.entry.digest, attributes) {
            Ok(staged) => pending.content = Content::Staged(staged),
            Err(error) => self.fail_arrival(now, name, batch_id, path, error),
        }
    }

    /// A content could not be staged. Where another process removed the temporary file, or the staging area, it is asked
    /// for once more; everything else makes its path wait.
    fn fail_arrival(&mut self, now: Now, name: &ShareName, batch_id: u64, path: &RelPath, error: ArrivalError) {
        let vanished = matches!(&error, ArrivalError::Fs(error) if error.is_missing());
        if let Some(share) = self.shares.get_mut(name).filter(|_| vanished) {
            if let (Some(root), Some(batch)) = (&share.root, share.batches.get_mut(&batch_id)) {
                share.staging.check(root);
                if batch.vanished < limits::BATCHES_OPEN + batch.offers.len() {
                    batch.vanished += 1;
                    if let Some(pending) = batch.offers.get_mut(path) {
                        pending.content = Content::Wanted;
                        batch.unasked.push_back(path.clone());
                    }
                    self.stirred = true;
                    return;
                }
            }
        }
        let reason = self.arrival_reason(name, error);
        self.fail_path(now, name, batch_id, path, reason);
    }

    /// A peer cannot supply what was asked for.
    pub(crate) fn handle_unavailable(&mut self, now: Now, id: LinkId, request: u32, reason: Reason) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(asked) = link.requests.remove(&request) else { return self.lack_sample(id, request, &reason) };
        link.outstanding = link.outstanding.saturating_sub(asked.end - asked.next);
        let batch_id = asked.batch;
        let pending = self
            .shares
            .get(&asked.share)
            .and_then(|share| share.batches.get(&batch_id))
            .and_then(|batch| batch.offers.get(&asked.path));
        let Some(decided) =
            pending.filter(|pending| pending.entry.digest == asked.digest).map(|pending| pending.decided)
        else {
            return;
        };
        if decided {
            // A person here chose what the peer no longer has: the choice is void, and the peer's next word counts.
            self.void_decision(&asked.share, batch_id, &asked.path);
            return;
        }
        // If it changed there, the next word on it is under way, and replaces this.
        self.fail_path(now, &asked.share, batch_id, &asked.path, Reason::NotSupplied(reason.to_string()));
    }

    fn void_decision(&mut self, name: &ShareName, batch_id: u64, path: &RelPath) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let Some(batch) = share.batches.get_mut(&batch_id) else { return };
        let node = batch.from.node;
        let Some(pending) = batch.offers.remove(path) else { return };
        share.fetching.retain(|(fetched, _), by| *by != batch_id || fetched != path);
        if let Some(root) = &share.root {
            pending.content.discard(root);
        }
        if batch.offers.is_empty() {
            share.batches.remove(&batch_id);
        }
        self.log(
            Level::Warning,
            format!("share {name}: {path}: what was picked is no longer there; pick again if both sides still differ"),
        );
        self.store.change(Change::Paid(name.clone(), node, path.clone()));
        self.stirred = true;
    }

    /// A path of a batch cannot land: it is owed, and so is the rest of its batch, if the reason is one to wait for.
    pub(crate) fn fail_path(&mut self, now: Now, name: &ShareName, batch_id: u64, path: &RelPath, reason: Reason) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let Some(batch) = share.batches.get_mut(&batch_id) else { return };
        let life = batch.from;
        let failed: Vec<RelPath> =
            if reason.delays_batch() { batch.offers.keys().cloned().collect() } else { vec![path.clone()] };
        let mut owed = Vec::new();
        for each in failed {
            let Some(pending) = batch.offers.remove(&each) else { continue };
            share.fetching.retain(|(fetched, _), by| *by != batch_id || *fetched != each);
            let reason = if each == *path { reason.clone() } else { Reason::WaitsFor(path.clone()) };
            owed.push((each, pending.give_up(share.root.as_ref(), reason, now.wall)));
        }
        if batch.offers.is_empty() {
            share.batches.remove(&batch_id);
        }
        for (path, owed) in owed {
            self.owe(now, name, life, path, owed);
        }
        self.stirred = true;
    }
}
