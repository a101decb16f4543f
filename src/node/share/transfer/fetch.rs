//! Asks peers for content and stages what they send.
//!
//! Content is only ever pulled. Requests of up to [`limits::REQUEST_PIECE`] are kept on their way up to a window, so a
//! large file streams and small ones fill records together. No content is asked for twice at a time, unless whoever was
//! asked has been quiet for [`limits::FETCH_PATIENCE`]. A broken transfer goes on at its offset.

use crate::fs::stage::{ArrivalError, Incoming};
use crate::fs::{Fs, Root, form};
use crate::model::{Digest, Entry, Kind, Map, Reason, RelPath, limits};
use crate::node::LinkId;
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::link::Requested;
use crate::node::share::Share;
use crate::node::share::inbox::batch::{Arriving, Content};
use crate::node::share::transaction::apply::attributes_of;
use crate::proto::message::{Chunk, Message, Piece};
use crate::store::state::Change;

impl<F: Fs> Share<F> {
    /// Asks for what the open batches need.
    pub(crate) fn fetch(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let ids: Vec<u64> = self.inbox.batches.keys().copied().collect();
        let mut open: Map<LinkId, usize> = Map::new();
        for id in ids {
            let Some(batch) = self.inbox.batches.get(&id).filter(|batch| !batch.is_complete()) else { continue };
            let Some(link) = batch.link else { continue };
            let count = open.get_or_insert(link, 0);
            *count += 1;
            if *count <= limits::BATCHES_OPEN {
                self.fetch_for(cx, peers, id, link);
            }
        }
    }

    /// Asks for what one batch needs, as far as the window allows.
    fn fetch_for(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, batch_id: u64, link_id: LinkId) {
        self.seek_locally(cx, batch_id);
        let mut pieces = Vec::new();
        // Pieces of what is arriving already come first.
        let arriving: Vec<RelPath> = match self.inbox.batches.get(&batch_id) {
            Some(batch) => batch
                .offers
                .iter()
                .filter(|(_, pending)| matches!(&pending.content, Content::Arriving(a) if a.asked < pending.entry.size))
                .map(|(path, _)| path.clone())
                .collect(),
            None => return,
        };
        for path in arriving {
            if !self.ask(cx, peers, batch_id, link_id, &path, &mut pieces) {
                break;
            }
        }
        while let Some(batch) = self.inbox.batches.get_mut(&batch_id) {
            let Some(path) = batch.unasked.front().cloned() else { break };
            if !batch.offers.get(&path).is_some_and(|pending| matches!(pending.content, Content::Wanted)) {
                batch.unasked.pop_front();
                continue;
            }
            if !self.may_ask(cx, batch_id, &path) {
                // Somebody else is bringing it. It comes up again when that has landed, or failed.
                let Some(batch) = self.inbox.batches.get_mut(&batch_id) else {
                    break;
                };
                batch.not_before = cx.now.mono.plus(limits::FETCH_PATIENCE);
                break;
            }
            if !self.begin(cx, batch_id, &path) {
                continue;
            }
            if !self.ask(cx, peers, batch_id, link_id, &path, &mut pieces) {
                break;
            }
            if let Some(batch) = self.inbox.batches.get_mut(&batch_id) {
                batch.unasked.pop_front();
            }
        }
        self.send_request(peers, link_id, pieces);
    }

    fn send_request(&mut self, peers: &mut Peers<F>, link_id: LinkId, pieces: Vec<Piece>) {
        let name = &self.name;
        let Some(link) = peers.links.get_mut(&link_id) else { return };
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
    fn may_ask(&self, cx: &Context<F>, batch_id: u64, path: &RelPath) -> bool {
        let Some(pending) = self.inbox.batches.get(&batch_id).and_then(|batch| batch.offers.get(path)) else {
            return false;
        };
        let Some(by) = self.transfer.fetching.get(&(path.clone(), pending.entry.digest)) else { return true };
        let Some(other) = self.inbox.batches.get(by).filter(|_| by != &batch_id) else { return true };
        match other.offers.get(path).map(|pending| &pending.content) {
            Some(Content::Arriving(arriving)) => cx.now.mono.since(arriving.last) >= limits::FETCH_PATIENCE,
            // It is staged there, and lands as soon as the rest of its batch is.
            Some(Content::Staged(_)) => cx.now.mono.since(other.opened) >= limits::FETCH_PATIENCE,
            _ => true,
        }
    }

    /// Prepares to receive a content; `false` when that is not possible, and the path is owed.
    fn begin(&mut self, cx: &mut Context<F>, batch_id: u64, path: &RelPath) -> bool {
        let pending = self.inbox.batches.get(&batch_id).and_then(|batch| batch.offers.get(path));
        let Some(entry) = pending.map(|pending| pending.entry.clone()) else { return false };
        if let Some(content) = self.take_partial(path, &entry) {
            return self.resume_partial(cx, batch_id, path, content);
        }
        let min_free = self.settings.min_free;
        let Some(root) = &self.root else { return false };
        let Some(batch) = self.inbox.batches.get_mut(&batch_id) else { return false };
        // What the rest of the batch still brings must fit as well, or nothing of it should begin.
        let need: u64 = batch
            .offers
            .values()
            .filter(|p| matches!(p.content, Content::Wanted | Content::Arriving(_) | Content::Copying(_)))
            .map(|p| p.entry.size)
            .fold(0, u64::saturating_add);
        let Some(pending) = batch.offers.get_mut(path) else { return false };
        let Entry { kind, size, digest, .. } = entry;
        let started = match Context::<F>::has_room(root, need, min_free) {
            Err(free) => Err(Reason::NoRoom { need, free }),
            Ok(_) => self.staging.name(root).map(|staged| Incoming::start(staged, kind, size)).map_err(|error| {
                if error.is_full() {
                    Reason::NoRoom { need, free: root.free().unwrap_or(0) }
                } else {
                    Reason::Unwritable(error.cause())
                }
            }),
        };
        match started {
            Ok(incoming) => {
                pending.content = Content::Arriving(Box::new(Arriving { incoming, asked: 0, last: cx.now.mono }));
                self.transfer.fetching.insert((path.clone(), digest), batch_id);
                if size == 0 {
                    self.complete(cx, batch_id, path);
                }
                true
            }
            Err(reason) => {
                self.fail_path(cx, batch_id, path, reason);
                false
            }
        }
    }

    /// Goes on with a content where an earlier attempt broke off.
    fn resume_partial(
        &mut self,
        cx: &mut Context<F>,
        batch_id: u64,
        path: &RelPath,
        content: Content<F::Root>,
    ) -> bool {
        let Some(pending) = self.inbox.batches.get_mut(&batch_id).and_then(|batch| batch.offers.get_mut(path)) else {
            return false;
        };
        pending.content = match content {
            Content::Arriving(mut arriving) => {
                arriving.asked = arriving.incoming.arrived();
                arriving.last = cx.now.mono;
                Content::Arriving(arriving)
            }
            content => content,
        };
        self.transfer.fetching.insert((path.clone(), pending.entry.digest), batch_id);
        cx.stirred = true;
        true
    }

    /// Asks for the next pieces of a content; `false` when the window is full.
    fn ask(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        batch_id: u64,
        link_id: LinkId,
        path: &RelPath,
        pieces: &mut Vec<Piece>,
    ) -> bool {
        let name = &self.name;
        let Some(link) = peers.links.get_mut(&link_id) else { return false };
        let Some(pending) = self.inbox.batches.get_mut(&batch_id).and_then(|batch| batch.offers.get_mut(path)) else {
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
                link.requesting_since = cx.now.mono;
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
            arriving.last = cx.now.mono;
            pieces.push(Piece { id, path: path.clone(), digest: pending.entry.digest, offset, length });
        }
        true
    }

    /// Writes a chunk where it belongs; it may belong nowhere any more.
    pub(crate) fn take_chunk(
        &mut self,
        cx: &mut Context<F>,
        batch_id: u64,
        path: &RelPath,
        digest: Digest,
        chunk: &Chunk,
    ) {
        let Some(root) = &self.root else { return };
        let Some(pending) = self
            .inbox
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
        arriving.last = cx.now.mono;
        match arriving.incoming.take(root, chunk.offset, &chunk.bytes) {
            Ok(()) if arriving.incoming.is_complete() => self.complete(cx, batch_id, path),
            Ok(()) => {}
            Err(error) => {
                let exhausted = matches!(&error, ArrivalError::Fs(error) if error.is_exhausted());
                self.fail_arrival(cx, batch_id, path, error);
                if exhausted {
                    // Descriptors come back with whatever ends next.
                    self.inbox.retry_at = self.inbox.retry_at.min(cx.now.mono.plus(limits::LOCK_TIME));
                }
            }
        }
    }

    fn arrival_reason(&self, error: ArrivalError) -> Reason {
        let free = self.root.as_ref().and_then(|root| root.free().ok()).unwrap_or(0);
        match error {
            ArrivalError::Fs(error) if error.is_full() => Reason::NoRoom { need: 0, free },
            ArrivalError::Fs(error) => Reason::Unwritable(error.cause()),
            ArrivalError::OutOfPlace => Reason::NotSupplied("it came in the wrong order".into()),
            ArrivalError::OtherDigest => Reason::NotSupplied("it changed while it was sent".into()),
        }
    }

    /// All bytes of a content are here: verify it.
    fn complete(&mut self, cx: &mut Context<F>, batch_id: u64, path: &RelPath) {
        let allow_setid = self.settings.allow_setuid;
        let Some(root) = &self.root else { return };
        let Some(pending) = self.inbox.batches.get_mut(&batch_id).and_then(|batch| batch.offers.get_mut(path)) else {
            return;
        };
        let Content::Arriving(arriving) = std::mem::replace(&mut pending.content, Content::Wanted) else { return };
        let attributes = attributes_of(&cx.fs, &pending.entry, allow_setid);
        let outside = pending.entry.kind == Kind::Symlink
            && !arriving.incoming.text().is_some_and(|text| form::link_stays_inside(path, text));
        if outside {
            arriving.incoming.discard(root);
            self.fail_path(cx, batch_id, path, Reason::SymlinkOutside);
            return;
        }
        // Also what needs no byte from the peer, as an empty file, may make its batch complete.
        cx.stirred = true;
        match arriving.incoming.finish(root, pending.entry.digest, attributes) {
            Ok(staged) => pending.content = Content::Staged(staged),
            Err(error) => self.fail_arrival(cx, batch_id, path, error),
        }
    }

    /// A content could not be staged. Where another process removed the temporary file, or the staging area, it is asked
    /// for once more; everything else makes its path wait.
    fn fail_arrival(&mut self, cx: &mut Context<F>, batch_id: u64, path: &RelPath, error: ArrivalError) {
        let vanished = matches!(&error, ArrivalError::Fs(error) if error.is_missing());
        if vanished {
            if let (Some(root), Some(batch)) = (&self.root, self.inbox.batches.get_mut(&batch_id)) {
                self.staging.check(root);
                if batch.vanished < limits::BATCHES_OPEN + batch.offers.len() {
                    batch.vanished += 1;
                    if let Some(pending) = batch.offers.get_mut(path) {
                        pending.content = Content::Wanted;
                        batch.unasked.push_back(path.clone());
                    }
                    cx.stirred = true;
                    return;
                }
            }
        }
        let reason = self.arrival_reason(error);
        self.fail_path(cx, batch_id, path, reason);
    }

    pub(crate) fn void_decision(&mut self, cx: &mut Context<F>, batch_id: u64, path: &RelPath) {
        let name = &self.name;
        let Some(batch) = self.inbox.batches.get_mut(&batch_id) else { return };
        let node = batch.from.node;
        let Some(pending) = batch.offers.remove(path) else { return };
        self.transfer.fetching.retain(|(fetched, _), by| *by != batch_id || fetched != path);
        if let Some(root) = &self.root {
            pending.content.discard(root);
        }
        if batch.offers.is_empty() {
            self.inbox.batches.remove(&batch_id);
        }
        cx.log(
            Level::Warning,
            format!(
                "share {name}: {path}: the chosen version no longer exists; choose again if the nodes still differ"
            ),
        );
        cx.store.change(Change::Paid(name.clone(), node, path.clone()));
        cx.stirred = true;
    }

    /// A path of a batch cannot land: it is owed, and so is the rest of its batch, if the reason is one to wait for.
    pub(crate) fn fail_path(&mut self, cx: &mut Context<F>, batch_id: u64, path: &RelPath, reason: Reason) {
        if self.refuse_commit(cx, batch_id, format!("{path}: {reason}")) {
            return;
        }
        let Some(batch) = self.inbox.batches.get_mut(&batch_id) else { return };
        let life = batch.from;
        let failed: Vec<RelPath> =
            if reason.delays_batch() { batch.offers.keys().cloned().collect() } else { vec![path.clone()] };
        let mut owed = Vec::new();
        for each in failed {
            let Some(pending) = batch.offers.remove(&each) else { continue };
            self.transfer.fetching.retain(|(fetched, _), by| *by != batch_id || *fetched != each);
            let reason = if each == *path { reason.clone() } else { Reason::WaitsFor(path.clone()) };
            owed.push((each, pending.give_up(self.root.as_ref(), reason, cx.now.wall)));
        }
        if batch.offers.is_empty() {
            self.inbox.batches.remove(&batch_id);
        }
        for (path, owed) in owed {
            self.note_pending(cx, life, path, owed);
        }
        cx.stirred = true;
    }
}
