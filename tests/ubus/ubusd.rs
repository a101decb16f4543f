//! The other end of a connection, played by hand.

use owsync::daemon::ubus::blobmsg;
use owsync::daemon::ubus::connection::{Connection, Event, QuestionId};
use owsync::daemon::ubus::message::{self, Body, Outbox};
use owsync::model::Monotonic;
use owsync::node::api::Tree;

/// When everything happens, unless a test says otherwise.
pub const NOW: Monotonic = Monotonic(1_000_000);
/// The id that ubusd gave the object `owsync`.
pub const OBJECT: u32 = 0x0101_0101;
/// The client that asks.
pub const CLIENT: u32 = 0x0202_0202;

/// What a message that the connection wrote says, owned.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// An object with its path.
    Add(String),
    Lookup(String),
    Invoke {
        object: u32,
        method: String,
        arguments: Tree,
    },
    Notify {
        method: String,
        details: Tree,
    },
    Data(Tree),
    Status(i32),
}

/// A message that the connection wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub seq: u16,
    pub peer: u32,
    pub said: Said,
}

pub struct Ubusd;

impl Ubusd {
    /// Takes everything that the connection wrote.
    pub fn take(connection: &mut Connection) -> Vec<Sent> {
        let bytes = connection.output().bytes().to_vec();
        connection.output_mut().written(bytes.len());
        let mut rest = &bytes[..];
        let mut sent = Vec::new();
        while !rest.is_empty() {
            let (message, length) = message::parse(rest).unwrap().expect("a whole message");
            let kind = rest[1];
            let path = || String::from_utf8(rest[16..].iter().copied().take_while(|&b| b != 0).collect()).unwrap();
            let table = |content| blobmsg::decode(content).unwrap();
            let said = match message.body {
                Body::Data { object: Some(OBJECT), content } => Said::Data(table(content)),
                Body::Status { status, object: Some(OBJECT) } => Said::Status(status),
                Body::Invoke { object, method, content, .. } => {
                    let method = String::from_utf8(method.to_vec()).unwrap();
                    Said::Invoke { object, method, arguments: table(content) }
                }
                _ if kind == 6 => Said::Add(path()),
                _ if kind == 4 => Said::Lookup(path()),
                _ if kind == 10 => {
                    // Read as a call, which has the same attributes.
                    let mut call = rest[..length].to_vec();
                    call[1] = 5;
                    let (call, _) = message::parse(&call).unwrap().unwrap();
                    let Body::Invoke { object: OBJECT, method, content, no_reply: true } = call.body else {
                        panic!("{call:?}")
                    };
                    Said::Notify { method: String::from_utf8(method.to_vec()).unwrap(), details: table(content) }
                }
                other => panic!("{kind}: {other:?}"),
            };
            sent.push(Sent { seq: message.seq, peer: message.peer, said });
            rest = &rest[length..];
        }
        sent
    }

    /// Says hello.
    pub fn hello(connection: &mut Connection) {
        connection.handle_bytes(&[0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 4]);
    }

    /// A status of ubusd's own, which names no object.
    pub fn status(connection: &mut Connection, seq: u16, peer: u32, status: i32) {
        let mut bytes = vec![0, 1];
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(&peer.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 12, 1, 0, 0, 8]);
        bytes.extend_from_slice(&status.to_be_bytes());
        connection.handle_bytes(&bytes);
    }

    /// A message that another client writes, passed on.
    pub fn passes(connection: &mut Connection, write: impl FnOnce(&mut Outbox)) {
        let mut out = Outbox::default();
        write(&mut out);
        connection.handle_bytes(out.bytes());
    }

    /// The first subscriber came, or the last one went.
    pub fn subscribed(connection: &mut Connection, active: bool) {
        let mut bytes = vec![0, 10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 3, 0, 0, 8];
        bytes.extend_from_slice(&OBJECT.to_be_bytes());
        bytes.extend_from_slice(&[9, 0, 0, 5, u8::from(active), 0, 0, 0]);
        connection.handle_bytes(&bytes);
    }

    /// Everything that happens next.
    pub fn events(connection: &mut Connection) -> Vec<Event> {
        std::iter::from_fn(|| connection.poll_event(NOW).unwrap()).collect()
    }

    /// A connection whose object has its name.
    pub fn named() -> Connection {
        let mut connection = Connection::new();
        connection.handle_connected(NOW);
        Ubusd::names(&mut connection);
        connection
    }

    /// Says hello, and gives the object its name.
    pub fn names(connection: &mut Connection) {
        Ubusd::hello(connection);
        assert_eq!(Ubusd::events(connection), []);
        let sent = Ubusd::take(connection);
        let [Sent { seq, peer: 0, said: Said::Add(_) }, ..] = &sent[..] else { panic!("{sent:?}") };
        Ubusd::passes(connection, |out| out.data(*seq, 0, OBJECT, &[]));
        Ubusd::status(connection, *seq, 0, 0);
        assert_eq!(Ubusd::events(connection), [Event::Named]);
    }

    /// A client calls a method of the object; the question that comes of it.
    pub fn asks(connection: &mut Connection, method: &str, arguments: &Tree) -> QuestionId {
        Ubusd::calls(connection, 1, method, arguments);
        match &Ubusd::events(connection)[..] {
            [Event::Question { id, .. }] => *id,
            other => panic!("{other:?}"),
        }
    }

    /// A client calls a method of the object.
    pub fn calls(connection: &mut Connection, seq: u16, method: &str, arguments: &Tree) {
        let mut out = Outbox::default();
        out.invoke(seq, OBJECT, method, &blobmsg::encode(arguments));
        let mut bytes = out.bytes().to_vec();
        // ubusd puts the asking client in place of the object.
        bytes[4..8].copy_from_slice(&CLIENT.to_be_bytes());
        connection.handle_bytes(&bytes);
    }

    /// A client calls a method of the object, and does not wait for the answer.
    pub fn calls_without_reply(connection: &mut Connection, method: &str) {
        // A notification has the attributes of such a call.
        let mut out = Outbox::default();
        out.notify(1, OBJECT, method, &[]);
        let mut bytes = out.bytes().to_vec();
        bytes[1] = 5;
        connection.handle_bytes(&bytes);
    }
}
