//! A peer that the test plays itself: owsync's own protocol, said by hand, right or wrong.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use owsync::model::{Digest, Entry, Kind, Monotonic, RelPath, ShareName, Stamp, StateId, Version, WallTime};
use owsync::proto::message::{Hello, IndexPart, Offer, Piece};
use owsync::proto::session::Mode;
use owsync::proto::{Event, Message, Session};
use sha2::{Digest as _, Sha256};

use crate::node::Node;
use crate::ports::connect_from;
use crate::words::hello;

/// A connection to a node.
pub struct Stranger {
    pub stream: TcpStream,
    session: Session,
    /// The life of the node's database, once it said Hello.
    pub state: StateId,
    /// Of its last Want.
    round: u32,
}

impl Stranger {
    /// The address that [`Stranger::expected_by`] and [`Stranger::dial`] use.
    pub const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 200));

    /// Makes a node run in plain mode and take connections from strangers' address.
    pub fn expected_by(node: &Node) {
        node.unset("encryption_key");
        node.set("plain_mode", "1");
        // Nothing listens there, so the node itself never gets through.
        node.set_peer("stranger", "address", &SocketAddr::new(Stranger::IP, node.closed_address().port()).to_string());
    }

    /// Connects in plain mode, up to where messages begin.
    pub fn dial(node: &Node) -> Stranger {
        Stranger::dial_at(node.address())
    }

    fn dial_at(address: SocketAddr) -> Stranger {
        let stream = connect_from(Stranger::IP, address).unwrap();
        let session = Session::dial(Monotonic(0), Mode::Plain, false, [0; 32]);
        let mut stranger = Stranger { stream, session, state: StateId(0), round: 0 };
        let event = stranger.event();
        assert!(matches!(event, Some(Event::Open { .. })), "{event:?}");
        stranger
    }

    /// As [`Stranger::dial`], and both said Hello; ours may be changed.
    pub fn meet(node: &Node, change: impl FnOnce(&mut Hello)) -> Stranger {
        Stranger::meet_at(node.address(), change)
    }

    /// As [`Stranger::meet`], for a thread that has no node.
    pub fn meet_at(address: SocketAddr, change: impl FnOnce(&mut Hello)) -> Stranger {
        let mut stranger = Stranger::dial_at(address);
        let mut hello = hello(now());
        change(&mut hello);
        stranger.say(&Message::Hello(hello));
        if let Message::Hello(hello) = stranger.until("its Hello", |message| matches!(message, Message::Hello(_))) {
            stranger.state = hello.state;
        }
        stranger
    }

    /// Sends a message.
    pub fn say(&mut self, message: &Message) {
        self.session.send(message);
        self.flush();
    }

    /// Sends a record with these bytes, whatever they are.
    pub fn say_record(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        self.write(&[&length, bytes].concat());
    }

    /// Sends bytes; that the node has closed the connection is no error here.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn flush(&mut self) {
        let mut bytes = Vec::new();
        self.session.poll_transmit(&mut bytes);
        self.write(&bytes);
    }

    /// The next thing that happens; `None` when nothing does any more.
    pub fn event(&mut self) -> Option<Event> {
        let start = Instant::now();
        self.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut buffer = [0; 64 * 1024];
        loop {
            self.flush();
            if let Some(event) = self.session.poll_event() {
                return Some(event);
            }
            assert!(start.elapsed() < crate::wait::PATIENCE, "the node says nothing");
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.session.handle_end();
                    return self.session.poll_event();
                }
                Ok(count) => self.session.handle_bytes(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.session.handle_end();
                    return self.session.poll_event();
                }
            }
        }
    }

    /// Reads messages up to one of these.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            match self.event() {
                Some(Event::Message(message)) if wanted(&message) => return message,
                Some(Event::Message(_) | Event::Open { .. }) => {}
                other => panic!("instead of {what}: {other:?}"),
            }
        }
    }

    /// Waits to be asked for its index, and offers these.
    #[track_caller]
    pub fn offers(&mut self, entries: Vec<Offer>) {
        self.until_wanted();
        self.offers_more(entries);
    }

    /// Waits to be asked for its index.
    #[track_caller]
    pub fn until_wanted(&mut self) {
        if let Message::Want { round, .. } = self.until("a Want", |message| matches!(message, Message::Want { .. })) {
            self.round = round;
        }
    }

    /// Offers these as well.
    pub fn offers_more(&mut self, entries: Vec<Offer>) {
        let upto = entries.iter().map(|offer| offer.seq).max().unwrap_or(0);
        let part = IndexPart { share: main(), round: self.round, wall: now(), upto, last: true, entries };
        self.say(&Message::Index(part));
    }

    /// Waits until content is asked for: which.
    #[track_caller]
    pub fn until_asked(&mut self) -> Vec<Piece> {
        match self.until("a Request", |message| matches!(message, Message::Request { .. })) {
            Message::Request { pieces, .. } => pieces,
            _ => unreachable!("it was waited for"),
        }
    }

    /// Reads to the end: what the node said last, and why the session ended.
    #[track_caller]
    pub fn until_ended(&mut self) -> (Option<Message>, Option<owsync::model::reason::Trouble>) {
        let mut last = None;
        loop {
            match self.event() {
                Some(Event::Message(message)) => last = Some(message),
                Some(Event::Open { .. }) => {}
                Some(Event::Ended(trouble)) => {
                    let _ = self.stream.shutdown(Shutdown::Both);
                    return (last, Some(trouble));
                }
                None => return (last, None),
            }
        }
    }
}

/// The main share.
pub fn main() -> ShareName {
    ShareName::main()
}

/// This moment, as owsync counts it.
pub fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    WallTime(i64::try_from(since.as_millis()).unwrap())
}

pub fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

/// A file as a stranger offers it, in a batch of its own.
pub fn offer(name: &str, content: &[u8], mode: u32, seq: u64) -> Offer {
    let entry = Entry {
        kind: Kind::File,
        digest: Digest(Sha256::digest(content).into()),
        size: content.len() as u64,
        mtime: now(),
        mode,
        owner: None,
        version: Version::from_pairs([(StateId(0xaa), seq)]),
        stamp: Stamp { rank: 1, ms: now().0 },
        content: None,
        given_up: None,
    };
    Offer { path: path(name), entry, seq, batch: seq, approved: false }
}
