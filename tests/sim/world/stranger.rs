//! Whoever holds the other end of a connection in a test: bytes and messages said by hand, right or wrong.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use owsync::model::reason::Trouble;
use owsync::model::{Digest, Entry, Kind, NodeId, Stamp, StateId, Version};
use owsync::node::LinkId;
use owsync::proto::message::{Hello, IndexPart, Offer, Piece};
use owsync::proto::session::Mode;
use owsync::proto::{Event, Message, Session};
use sha2::{Digest as _, Sha256};

use super::{MachineId, World, main, path, words};

/// A connection to a machine's node that the test itself holds.
pub struct Stranger {
    to: MachineId,
    /// Which node it claims, or proves, to be.
    pub node: NodeId,
    link: LinkId,
    session: Session,
    said: VecDeque<Message>,
    /// Bytes that the node wrote.
    pub heard: Vec<u8>,
    /// Why the session is over.
    pub ended: Option<Trouble>,
    /// The life of the node's database, once it said Hello.
    pub state: StateId,
    /// Of its last Want.
    round: u32,
    /// When the daemon it talks to was started.
    started: u64,
}

impl World {
    /// Somebody connects to a machine, from an address at which no machine is, and says nothing.
    pub fn knock(&mut self, to: MachineId, from: u8) -> Stranger {
        self.knock_in(to, from, Mode::Plain, NodeId([0xaa; 16]))
    }

    fn knock_in(&mut self, to: MachineId, from: u8, mode: Mode, node: NodeId) -> Stranger {
        let ephemeral = if mode.is_encrypted() { self.dice.bytes32() } else { [0; 32] };
        let remote = IpAddr::V4(Ipv4Addr::new(192, 0, 2, from));
        let link = self.with(to, |node, now| node.handle_incoming(now, remote)).expect("it runs");
        let session = Session::dial(self.now(to).mono, mode, false, ephemeral);
        Stranger {
            to,
            node,
            link,
            session,
            said: VecDeque::new(),
            heard: Vec::new(),
            ended: None,
            state: StateId(0),
            round: 0,
            started: self.machines[to].started_ms,
        }
    }

    /// As [`World::knock`], in plain mode, and both said Hello; ours may be changed.
    pub fn meet(&mut self, to: MachineId, change: impl FnOnce(&mut Hello)) -> Stranger {
        let mut stranger = self.knock(to, 1);
        let mut hello = self.hello(to);
        change(&mut hello);
        stranger.talk(self);
        stranger.say(self, &Message::Hello(hello));
        if let Message::Hello(hello) = stranger.until(self, "its Hello", |message| matches!(message, Message::Hello(_)))
        {
            stranger.state = hello.state;
        }
        stranger
    }

    /// A Hello to a machine that nothing is wrong with.
    pub fn hello(&self, to: MachineId) -> Hello {
        words::hello(self.wall(to))
    }

    /// A file as a stranger offers it to a machine, in a batch of its own.
    pub fn offer(&self, to: MachineId, name: &str, content: &str, seq: u64) -> Offer {
        let wall = self.wall(to);
        let entry = Entry {
            kind: Kind::File,
            digest: digest(content),
            size: content.len() as u64,
            mtime: wall,
            mode: 0o644,
            owner: None,
            version: Version::from_pairs([(StateId(0xaa), seq)]),
            stamp: Stamp { rank: 1, ms: wall.0 },
            content: None,
            given_up: None,
        };
        Offer { path: path(name), entry, seq, batch: seq, approved: false }
    }
}

impl World {
    /// Somebody connects and says Hello: in plain mode as this node, and where sessions are encrypted with the cluster's key
    /// and an identity made from this; `None` if it is not heard.
    pub fn call(&mut self, to: MachineId, node: NodeId, state: StateId) -> Option<Stranger> {
        self.machines[to].node.as_ref()?;
        let (mode, node) = self.disguise(to, node);
        let mut stranger = self.knock_in(to, 77, mode, node);
        let hello = Hello { node, state, name: format!("h{}", node.0[15]), ..self.hello(to) };
        stranger.talk(self);
        stranger.say(self, &Message::Hello(hello));
        stranger.take_want();
        Some(stranger)
    }

    #[cfg(feature = "encryption")]
    fn disguise(&self, to: MachineId, node: NodeId) -> (Mode, NodeId) {
        use owsync::model::Key;
        use owsync::proto::{Credentials, handshake};
        let settings = &self.machines[to].settings;
        let (Some(key), Some(_)) = (&settings.key, self.machines[to].identity) else { return (Mode::Plain, node) };
        let mut secret = [0x5a; 32];
        secret[..16].copy_from_slice(&node.0);
        let identity = Key::new(secret);
        let node = handshake::node_id(&handshake::public_key(&identity));
        (Mode::Encrypted(Credentials { key: key.clone(), previous: None, identity }), node)
    }

    #[cfg(not(feature = "encryption"))]
    fn disguise(&self, _: MachineId, node: NodeId) -> (Mode, NodeId) {
        (Mode::Plain, node)
    }
}

impl Stranger {
    /// The machine that it talks to, and its daemon's start.
    pub fn whom(&self) -> (MachineId, u64) {
        (self.to, self.started)
    }

    /// Whether the node asked for its index since it was last asked: which round that is.
    pub fn take_want(&mut self) -> Option<u32> {
        let mut found = None;
        for message in self.said.drain(..) {
            match message {
                Message::Want { round, .. } => found = Some(round),
                Message::Hello(hello) => self.state = hello.state,
                _ => {}
            }
        }
        if let Some(round) = found {
            self.round = round;
        }
        found
    }

    /// Offers these in one part of an index; `last` ends it.
    pub fn offer_part(&mut self, world: &mut World, entries: Vec<Offer>, last: bool) {
        let upto = entries.iter().map(|offer| offer.seq).max().unwrap_or(0);
        let wall = world.wall(self.to);
        let part = IndexPart { share: main(), round: self.round, wall, upto, last, entries };
        self.say(world, &Message::Index(part));
    }

    /// Writes bytes, whatever they are, and hears what comes back.
    pub fn write(&mut self, world: &mut World, bytes: &[u8]) {
        self.write_only(world, bytes);
        self.talk(world);
    }

    /// Writes bytes and leaves what comes back unread.
    pub fn write_only(&mut self, world: &mut World, bytes: &[u8]) {
        let link = self.link;
        world.with(self.to, |node, now| node.handle_bytes(now, link, bytes));
    }

    /// Closes the connection.
    pub fn hang_up(self, world: &mut World) {
        let link = self.link;
        world.with(self.to, |node, now| node.handle_closed(now, link));
    }

    /// Writes a record with these bytes, whatever they are.
    pub fn write_record(&mut self, world: &mut World, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        self.write(world, &[&length, bytes].concat());
    }

    /// Sends a message.
    pub fn say(&mut self, world: &mut World, message: &Message) {
        self.session.send(message);
        self.talk(world);
    }

    /// Sends a message without reading what the node writes.
    pub fn say_deafly(&mut self, world: &mut World, message: &Message) {
        self.session.send(message);
        let mut bytes = Vec::new();
        self.session.poll_transmit(&mut bytes);
        self.write_only(world, &bytes);
    }

    /// What the node has written since it was last read.
    pub fn read(&mut self, world: &mut World) -> Vec<u8> {
        let (link, mut bytes) = (self.link, Vec::new());
        world.with(self.to, |node, _| node.transmit(link, &mut bytes));
        bytes
    }

    /// Both sides say what they have to say, until both are quiet.
    pub fn talk(&mut self, world: &mut World) {
        loop {
            let mut bytes = Vec::new();
            self.session.poll_transmit(&mut bytes);
            if !bytes.is_empty() {
                self.write_only(world, &bytes);
            }
            let back = self.read(world);
            if bytes.is_empty() && back.is_empty() {
                return;
            }
            self.heard.extend_from_slice(&back);
            self.session.handle_bytes(&back);
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Message(message) => self.said.push_back(message),
                    Event::Ended(trouble) => self.ended = Some(trouble),
                    Event::Open { .. } => {}
                }
            }
        }
    }

    /// Reads messages up to one of these, while time passes.
    #[track_caller]
    pub fn until(&mut self, world: &mut World, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        for _ in 0..100 {
            self.talk(world);
            while let Some(message) = self.said.pop_front() {
                if wanted(&message) {
                    return message;
                }
            }
            world.run_ms(100);
        }
        panic!("instead of {what}: {:?}", self.ended);
    }

    /// The next message that the node said.
    pub fn hear(&mut self) -> Option<Message> {
        self.said.pop_front()
    }

    /// Waits to be asked for its index.
    #[track_caller]
    pub fn until_wanted(&mut self, world: &mut World) {
        if let Message::Want { round, .. } =
            self.until(world, "a Want", |message| matches!(message, Message::Want { .. }))
        {
            self.round = round;
        }
    }

    /// Waits to be asked for its index, and offers these.
    #[track_caller]
    pub fn offers(&mut self, world: &mut World, entries: Vec<Offer>) {
        self.until_wanted(world);
        self.offers_more(world, entries, true);
    }

    /// Offers these as well; `last`: no more of their batch follow.
    pub fn offers_more(&mut self, world: &mut World, entries: Vec<Offer>, last: bool) {
        let upto = entries.iter().map(|offer| offer.seq).max().unwrap_or(0);
        let wall = world.wall(self.to);
        let part = IndexPart { share: main(), round: self.round, wall, upto, last, entries };
        self.say(world, &Message::Index(part));
    }

    /// Waits until content is asked for: which.
    #[track_caller]
    pub fn until_asked(&mut self, world: &mut World) -> Vec<Piece> {
        match self.until(world, "a Request", |message| matches!(message, Message::Request { .. })) {
            Message::Request { pieces, .. } => pieces,
            _ => unreachable!("it was waited for"),
        }
    }

    /// What the node said last, if it closed the connection.
    pub fn farewell(&mut self, world: &mut World) -> Option<Message> {
        self.talk(world);
        self.is_closed(world).then(|| self.said.pop_back()).flatten()
    }

    /// Whether the node closed the connection.
    pub fn is_closed(&self, world: &World) -> bool {
        world.machines[self.to].closing.contains(&self.link)
    }
}

pub fn digest(content: &str) -> Digest {
    Digest(Sha256::digest(content.as_bytes()).into())
}
