//! One session with one peer, as the node sees it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::fs::Root;
use crate::fs::form::Content;
use crate::model::{Digest, Entry, Life, Map, Monotonic, NodeId, Now, PeerName, RelPath, ShareName, WallTime, limits};
use crate::node::peers::exchange::Exchange;
use crate::proto::message::{Around, Hello, Introduction, Message, Piece};
use crate::proto::{Event, Session};

/// A session, and what the node and its peer have said on it.
pub(crate) struct Link<R: Root> {
    pub session: Session,
    pub remote: IpAddr,
    /// The peer section it was dialled for.
    pub dialled_for: Option<PeerName>,
    /// The TCP connection stands.
    pub connected: bool,
    pub opened: Monotonic,
    pub public_key: Option<[u8; 32]>,
    /// Known once Hello was accepted.
    pub node: Option<NodeId>,
    pub hello: Option<Hello>,
    /// The peer section it belongs to.
    pub section: Option<PeerName>,
    pub last_heard: Monotonic,
    /// When the keepalive was sent that the peer has not answered, with this or anything else.
    pub pinged: Option<Monotonic>,
    /// When content was asked for and none was outstanding.
    pub requesting_since: Monotonic,
    pub exchanges: Map<ShareName, Exchange>,
    /// Messages that may go once the state they speak of is on disk.
    pub outbox: VecDeque<Message>,
    pub requests: Map<u32, Requested>,
    pub next_request: u32,
    /// Bytes asked for and not here yet.
    pub outstanding: u64,
    /// Questions what it has at paths, not answered yet.
    pub asked: Map<u32, Asked>,
    /// Contents that were asked for to be compared.
    pub samples: Map<u32, Sample>,
    pub serving: VecDeque<Serving>,
    /// The file that was read from last, for the next piece of it.
    pub open_file: Option<(ShareName, RelPath, Digest, Content<R>)>,
    /// Another session of the same node with another state appeared: this one must answer until then.
    pub probe: Option<Monotonic>,
    /// When it last answered such a question.
    pub probed: Option<Monotonic>,
    /// Keepalives sent, and answers to them heard: they come in order.
    pub questions: u64,
    pub answers: u64,
    /// Shares that our Hello said are held.
    pub told_held: Vec<ShareName>,
    /// Our Hello waits for theirs: the peer may be one that is connected by another address.
    pub hello_waits: bool,
    /// Our Hello showed the token of a join text.
    pub token_shown: bool,
    /// It showed a token of this node.
    pub invited: bool,
    /// What the peer was last told of the cluster's members.
    pub introduced: Introduction,
    /// Nodes that are not in sync with the peer, as it says, and what it was told of such.
    pub around: Vec<Around>,
    pub around_told: Vec<Around>,
    /// When it was last told of such nodes, and when it is to be told what came too early after that.
    pub around_at: Option<Monotonic>,
    pub around_due: Monotonic,
    /// Since when it is not in sync.
    pub out_since: Option<Monotonic>,
    /// The session is over and only waits to be forgotten.
    pub over: bool,
}

/// A piece of content that was asked for.
pub(crate) struct Requested {
    pub share: ShareName,
    /// The batch it is for.
    pub batch: u64,
    pub path: RelPath,
    pub digest: Digest,
    /// Where the next byte of it goes.
    pub next: u64,
    pub end: u64,
}

/// A question what a peer has at paths.
pub(crate) struct Asked {
    pub share: ShareName,
    /// Each with what it said.
    pub paths: Map<RelPath, Option<Entry>>,
}

/// Content that was asked for to be compared, not to land.
pub(crate) struct Sample {
    pub bytes: Vec<u8>,
    /// Bytes that were asked for.
    pub size: usize,
}

/// A piece of content that the peer asked for.
pub(crate) struct Serving {
    pub share: ShareName,
    pub piece: Piece,
    /// Bytes of it that were sent.
    pub sent: u64,
}

impl<R: Root> Link<R> {
    pub fn new(session: Session, remote: IpAddr, dialled_for: Option<PeerName>, now: Monotonic) -> Link<R> {
        Link {
            session,
            remote,
            connected: dialled_for.is_none(),
            dialled_for,
            opened: now,
            public_key: None,
            questions: 0,
            answers: 0,
            node: None,
            hello: None,
            section: None,
            last_heard: now,
            pinged: None,
            requesting_since: now,
            exchanges: Map::new(),
            outbox: VecDeque::new(),
            requests: Map::new(),
            next_request: 1,
            outstanding: 0,
            asked: Map::new(),
            samples: Map::new(),
            serving: VecDeque::new(),
            open_file: None,
            probe: None,
            probed: None,
            told_held: Vec::new(),
            hello_waits: false,
            token_shown: false,
            invited: false,
            introduced: Introduction::default(),
            around: Vec::new(),
            around_told: Vec::new(),
            around_at: None,
            around_due: Monotonic::NEVER,
            out_since: None,
            over: false,
        }
    }

    /// The peer, and the life of its database that it spoke of at Hello.
    pub fn life(&self) -> Option<Life> {
        Some(Life { node: self.node?, state: self.hello.as_ref()?.state })
    }

    /// Whether the peer has passed the handshake, its Hello and the door.
    pub fn is_admitted(&self) -> bool {
        self.node.is_some() && !self.over
    }

    /// Whether at least one share is common and every common one is in sync, as of the last input.
    pub fn is_in_sync(&self) -> bool {
        !self.exchanges.is_empty() && self.exchanges.values().all(|exchange| exchange.in_sync_since.is_some())
    }

    /// When the peer was last heard of.
    pub fn heard_at(&self, now: Now) -> WallTime {
        let quiet = i64::try_from(now.mono.since(self.last_heard).as_millis()).unwrap_or(i64::MAX);
        now.wall.plus_ms(quiet.saturating_neg())
    }

    /// Whether the peer has not proved that it holds the key.
    pub fn is_stranger(&self) -> bool {
        !self.over && !self.session.is_open()
    }

    /// Queues a message for when the state is on disk.
    pub fn say(&mut self, message: Message) {
        self.outbox.push_back(message);
    }

    /// Sends what is queued.
    pub fn flush(&mut self) {
        while let Some(message) = self.outbox.pop_front() {
            self.session.send(&message);
        }
    }

    /// Notes that the peer said something: whatever it was asked, it is there.
    pub fn note_heard(&mut self, now: Monotonic) {
        self.last_heard = now;
        self.pinged = None;
        if self.probe.take().is_some() {
            self.probed = Some(now);
        }
    }

    /// Quiet time after which this side sends a keepalive: one side asks, and the other only when that one does not.
    fn keepalive(&self) -> Duration {
        if self.session.dialled() { limits::KEEPALIVE } else { limits::KEEPALIVE * 2 }
    }

    /// When a keepalive is due; [`Monotonic::NEVER`] while one waits for its answer.
    pub fn ping_due(&self) -> Monotonic {
        if self.pinged.is_some() { Monotonic::NEVER } else { self.last_heard.plus(self.keepalive()) }
    }

    /// When the peer counts as silent unless it says something. Each limit starts when the peer was asked: silence
    /// before that means nothing.
    pub fn silent_at(&self) -> Monotonic {
        let ping = self.pinged.map_or(Monotonic::NEVER, |at| at.plus(limits::SILENCE - self.keepalive()));
        let stall = if self.requests.is_empty() {
            Monotonic::NEVER
        } else {
            self.last_heard.max(self.requesting_since).plus(limits::TRANSFER_STALL)
        };
        ping.min(stall).min(self.probe.unwrap_or(Monotonic::NEVER))
    }

    /// Whether enough waits to be sent that nothing more should be made.
    pub fn is_full(&self) -> bool {
        self.session.queued() >= limits::SEND_HIGH || self.outbox.len() >= 64
    }

    /// The next thing the session has to say.
    pub fn next_event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    /// When something must happen on it.
    pub fn poll_timeout(&self) -> Monotonic {
        if self.over {
            return Monotonic::NEVER;
        }
        let quiet = if self.is_admitted() {
            let answer = self
                .exchanges
                .values()
                .filter_map(|e| e.unanswered)
                .map(|at| at.plus(limits::ANSWER_TIME))
                .min()
                .unwrap_or(Monotonic::NEVER);
            self.ping_due().min(self.silent_at()).min(answer).min(self.around_due)
        } else if self.connected {
            // Between the handshake and Hello.
            self.opened.plus(limits::HANDSHAKE_TIME)
        } else {
            self.opened.plus(limits::DIAL_TIME)
        };
        quiet.min(self.session.poll_timeout())
    }
}
