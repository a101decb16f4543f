//! Routes what sessions report and what peers send to the machine that it concerns.

use crate::fs::Fs;
use crate::model::commit::{Answer, Step};
use crate::model::{Now, Reason, ShareName, StateId};
use crate::node::api::Level;
use crate::node::peers::link::Link;
use crate::node::share::inbox::receive::unasked;
use crate::node::{LinkId, Node};
use crate::proto::Event as SessionEvent;
use crate::proto::message::{Chunk, IndexPart, Message, Order, Progress};

impl<F: Fs> Node<F> {
    /// Takes everything that a session has to say.
    pub(crate) fn pump(&mut self, now: Now, id: LinkId) {
        while let Some(event) = self.peers.links.get_mut(&id).and_then(Link::next_event) {
            match event {
                SessionEvent::Open { public_key } => self.handle_open(now, id, public_key),
                SessionEvent::Message(message) => self.handle_message(now, id, message),
                SessionEvent::Ended(trouble) => self.handle_ended(now, id, trouble),
            }
        }
    }

    fn handle_message(&mut self, now: Now, id: LinkId, message: Message) {
        let Some(link) = self.peers.links.get_mut(&id) else { return };
        if link.session.is_ended() {
            return;
        }
        let accepted = link.node.is_some() && !matches!(message, Message::Bye(_) | Message::Unknown(_));
        if accepted && std::mem::take(&mut link.token_shown) {
            // A peer that continues after this node's Hello has accepted it: the token was used, and is valid once.
            self.peers.token = None;
        }
        match (message, link.node.is_some()) {
            (Message::Hello(_), true) => self.misbehaved(now, id, "a second Hello".into()),
            (Message::Hello(hello), false) => self.handle_hello(now, id, hello),
            (Message::Bye(bye), _) => {
                let trouble = crate::node::peers::disconnect::trouble_of(bye);
                link.session.end(trouble);
            }
            (Message::Unknown(number), _) => self.cx.log(
                Level::Debug,
                format!("a message of type {number}, which this version does not know, was skipped"),
            ),
            (_, false) => self.misbehaved(now, id, "a message before Hello".into()),
            (Message::Want { share, state, since, round }, true) => {
                self.handle_want(now, id, &share, state, since, round);
            }
            (Message::Index(part), true) => self.handle_index(now, id, part),
            (Message::Request { share, pieces }, true) => self.handle_request(now, id, &share, pieces),
            (Message::Data(chunks), true) => self.handle_data(now, id, chunks),
            (Message::Unavailable { id: request, reason }, true) => self.handle_unavailable(id, request, reason),
            (Message::Progress(progress), true) => self.handle_progress(now, id, progress),
            (Message::Ask { id: number, share, paths }, true) => self.handle_ask(id, number, &share, paths),
            (Message::Tell { id: number, last, entries }, true) => self.handle_tell(now, id, number, last, entries),
            (Message::Commit(order), true) => {
                if let Some(share) = self.shares.get_mut(&order.share) {
                    share.handle_order(&mut self.cx, &mut self.peers, id, order);
                } else {
                    let why = format!("it has no share {}", order.share);
                    let (share, number) = (order.share, order.number);
                    link.say(Message::CommitAnswer { share, number, answer: Answer::Refused(why) });
                }
            }
            (Message::CommitAnswer { share, number, answer }, true) => {
                if let Some(share) = self.shares.get_mut(&share) {
                    share.handle_commit_answer(&mut self.cx, &mut self.peers, id, number, answer);
                } else if matches!(answer, Answer::Ready | Answer::Applied | Answer::Reachable) {
                    // A share that this node had when it began the commit: what is not recorded is not kept.
                    link.say(Message::Commit(Order::plain(share, number, Step::RollBack)));
                }
            }
            (Message::Around(nodes), true) => self.peers.handle_around(id, nodes),
            (Message::Ping(wall), true) => {
                link.say(Message::Pong(now.wall));
                self.check_clock(now, id, wall);
            }
            (Message::Pong(wall), true) => {
                link.answers += 1;
                self.check_clock(now, id, wall);
            }
            (Message::Introduce(introduction), true) => self.handle_introduction(now, id, introduction),
            (Message::ShareNews { share, held }, true) => {
                if let Some(exchange) = link.exchanges.get_mut(&share) {
                    exchange.theirs.held = held;
                    self.cx.stirred = true;
                }
            }
        }
    }

    /// The peer was let in: begin with every share that both have.
    pub(crate) fn begin_exchanges(&mut self, id: LinkId) {
        for share in self.shares.values_mut() {
            share.begin_exchange(&mut self.cx, &mut self.peers, id);
            share.resume_commit(&mut self.cx, &mut self.peers, id);
        }
        self.peers.end_parts(&mut self.cx, id);
        self.cx.stirred = true;
    }

    /// A peer wants to hear what changed here.
    pub(crate) fn handle_want(
        &mut self,
        now: Now,
        id: LinkId,
        name: &ShareName,
        state: StateId,
        since: u64,
        round: u32,
    ) {
        let me = &self.cx.store.state().me;
        if state != me.state {
            // It said Hello to another life of our database, which it also forgets with the session.
            return;
        }
        if since > me.seq {
            // It has heard numbers that we do not know of: the database is older than it was.
            self.renew_for(now, id, "a peer knows more changes of this node than its database has");
            return;
        }
        match self.shares.get_mut(name) {
            Some(share) => share.handle_want(&mut self.cx, &mut self.peers, id, since, round),
            None => {
                self.cx.log(Level::Debug, format!("a peer asks for the share {name}, in which it does not take part"));
            }
        }
    }

    /// A peer sends a part of its index.
    pub(crate) fn handle_index(&mut self, now: Now, id: LinkId, part: IndexPart) {
        self.check_clock(now, id, part.wall);
        if !self.peers.links.get(&id).is_some_and(|link| link.node.is_some() && !link.session.is_ended()) {
            return;
        }
        let result = match self.shares.get_mut(&part.share) {
            Some(share) => share.handle_index(&mut self.cx, &mut self.peers, id, part),
            None => Err(unasked(&part.share)),
        };
        self.answer_offence(now, id, result);
    }

    /// A peer reports how far it has come with what was offered.
    pub(crate) fn handle_progress(&mut self, now: Now, id: LinkId, progress: Progress) {
        if let Some(share) = self.shares.get_mut(&progress.share) {
            let result = share.handle_progress(&mut self.cx, &mut self.peers, id, progress);
            self.answer_offence(now, id, result);
        }
    }

    /// Content arrived.
    pub(crate) fn handle_data(&mut self, now: Now, id: LinkId, chunks: Vec<Chunk>) {
        for chunk in chunks {
            let Some(link) = self.peers.links.get_mut(&id) else { return };
            let length = chunk.bytes.len() as u64;
            let Some(request) = link.requests.get_mut(&chunk.id) else {
                if self.take_sample(now, id, &chunk) {
                    continue;
                }
                self.misbehaved(now, id, "content that was not requested".into());
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
            self.cx.counters.received += length;
            if let Some(share) = self.shares.get_mut(&name) {
                share.take_chunk(&mut self.cx, batch, &path, digest, &chunk);
            }
        }
        self.cx.stirred = true;
    }

    /// A peer cannot supply what was asked for.
    pub(crate) fn handle_unavailable(&mut self, id: LinkId, request: u32, reason: Reason) {
        let Some(link) = self.peers.links.get_mut(&id) else { return };
        let Some(asked) = link.requests.remove(&request) else { return self.lack_sample(id, request, &reason) };
        link.outstanding = link.outstanding.saturating_sub(asked.end - asked.next);
        let batch_id = asked.batch;
        let Some(share) = self.shares.get_mut(&asked.share) else { return };
        let pending = share.inbox.batches.get(&batch_id).and_then(|batch| batch.offers.get(&asked.path));
        let Some(decided) =
            pending.filter(|pending| pending.entry.digest == asked.digest).map(|pending| pending.decided)
        else {
            return;
        };
        if decided {
            // A person here chose what the peer no longer has: the choice is void, and the peer's next word counts.
            share.void_decision(&mut self.cx, batch_id, &asked.path);
            return;
        }
        // If it changed there, the next word on it is under way, and replaces this.
        share.fail_path(&mut self.cx, batch_id, &asked.path, Reason::NotSupplied(reason.to_string()));
    }

    /// A session is over: what was not complete is heard again at the next one.
    pub(crate) fn drop_exchanges(&mut self, now: Now, id: LinkId) {
        let Some(link) = self.peers.links.get_mut(&id) else { return };
        link.requests.clear();
        link.outstanding = 0;
        link.serving.clear();
        link.open_file = None;
        let exchanges = std::mem::take(&mut link.exchanges);
        let node = link.node;
        let section = link.section.clone();
        if exchanges.values().any(|exchange| exchange.completed) {
            if let Some(dial) = section.as_ref().and_then(|name| self.peers.dials.get_mut(name)) {
                dial.last_ok = Some(now.wall);
            }
        }
        for name in exchanges.keys() {
            if let Some(share) = self.shares.get_mut(name) {
                share.break_off(&mut self.cx, id);
            }
            if let Some(share) = self.shares.get_mut(name) {
                share
                    .inbox
                    .batches
                    .values_mut()
                    .filter(|batch| batch.link == Some(id))
                    .for_each(|batch| batch.link = None);
                node.into_iter().for_each(|node| share.lose_member(&mut self.cx, &mut self.peers, node));
            }
        }
    }
}
