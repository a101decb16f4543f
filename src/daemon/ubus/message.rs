//! Messages between a client and ubusd.
//!
//! Eight bytes of head (version, type, sequence, peer) and one blob attribute that encloses all others; everything
//! big-endian, whatever the machine (ubus:ubusmsg.h, libubox:blob.h). The stream is cut into messages here and not by
//! `ubus::wire::Codec`: that one takes a head without the rest behind it, which a slow socket delivers now and then, for
//! a whole message, and cannot pass over a type that it does not know.

use ubus::envelope::{EnvAttr, EnvBuilder, UbusAttr, iter_attrs};

use crate::model::limits;

/// Head, and the head of the enclosing attribute.
const HEAD: usize = 12;

/// `UBUS_SYSTEM_OBJECT_EVENT`: ubusd's own object, whose method `send` passes an event on to all listeners for its name.
pub const EVENTS: u32 = 1;

/// Types of messages (ubus:ubusmsg.h `enum ubus_msg_type`).
mod kind {
    pub const HELLO: u8 = 0;
    pub const STATUS: u8 = 1;
    pub const DATA: u8 = 2;
    pub const LOOKUP: u8 = 4;
    pub const INVOKE: u8 = 5;
    pub const ADD_OBJECT: u8 = 6;
    pub const NOTIFY: u8 = 10;
}

/// A message to this client, with its sequence and its peer: who asks, or what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Answers carry that of their question.
    pub seq: u16,
    /// The client that asks, or the object that answers; 0 for ubusd itself.
    pub peer: u32,
    /// What it says.
    pub body: Body<'a>,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// ubusd is ready.
    Hello,
    /// An answer is over. `object` is absent where ubusd answers in an object's place.
    Status {
        /// `UBUS_STATUS_*`.
        status: i32,
        /// Whose answer.
        object: Option<u32>,
    },
    /// A part of an answer.
    Data {
        /// An object that was added or looked up.
        object: Option<u32>,
        /// The content of a table.
        content: &'a [u8],
    },
    /// A client calls a method of an object of this client.
    Invoke {
        /// The object.
        object: u32,
        /// The method.
        method: &'a [u8],
        /// The content of the table of arguments.
        content: &'a [u8],
        /// The caller does not wait for an answer.
        no_reply: bool,
    },
    /// An object of this client has its first subscriber, or lost its last.
    Subscribed {
        /// The object.
        object: u32,
        /// There are listeners.
        active: bool,
    },
    /// Something that owsync has no use for.
    Other,
}

/// The stream is out of step: nothing that follows can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfStep;

/// The next message in `bytes`, and how many of them it takes; `None` while it is not all there.
///
/// # Errors
/// [`OutOfStep`].
pub fn parse(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, OutOfStep> {
    let Some((&[version, kind, seq_high, seq_low, p0, p1, p2, p3, _, l0, l1, l2], rest)) =
        bytes.split_first_chunk::<HEAD>()
    else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
    if version != 0 || !(4..=limits::UBUS_MESSAGE).contains(&length) {
        return Err(OutOfStep);
    }
    let Some(attributes) = rest.get(..length - 4) else { return Ok(None) };
    let message = Message {
        seq: u16::from_be_bytes([seq_high, seq_low]),
        peer: u32::from_be_bytes([p0, p1, p2, p3]),
        body: body(kind, attributes).unwrap_or(Body::Other),
    };
    Ok(Some((message, length + HEAD - 4)))
}

/// The attributes of a message that owsync reads. Of several with one id the last one counts, as in libubox; one with
/// a length that its type cannot have does not count (`blob_parse_untrusted`).
#[derive(Default)]
struct Attributes<'a> {
    status: Option<i32>,
    object: Option<u32>,
    method: Option<&'a [u8]>,
    content: Option<&'a [u8]>,
    active: bool,
    no_reply: bool,
}

impl<'a> Attributes<'a> {
    fn of(bytes: &'a [u8]) -> Attributes<'a> {
        let mut all = Attributes::default();
        for one in iter_attrs(bytes) {
            let number = || <[u8; 4]>::try_from(one.payload).ok();
            match UbusAttr::from_u8(one.id) {
                Some(UbusAttr::Status) => all.status = number().map(i32::from_be_bytes).or(all.status),
                Some(UbusAttr::ObjId) => all.object = number().map(u32::from_be_bytes).or(all.object),
                Some(UbusAttr::Method) => all.method = text(&one).or(all.method),
                Some(UbusAttr::Data) => all.content = Some(one.payload),
                Some(UbusAttr::Active) => all.active = one.as_bool_int8(),
                Some(UbusAttr::NoReply) => all.no_reply = one.as_bool_int8(),
                _ => {}
            }
        }
        all
    }
}

/// A text up to its NUL.
fn text<'a>(attribute: &EnvAttr<'a>) -> Option<&'a [u8]> {
    let end = attribute.payload.iter().position(|&b| b == 0)?;
    attribute.payload.get(..end)
}

fn body(kind: u8, attributes: &[u8]) -> Option<Body<'_>> {
    let all = Attributes::of(attributes);
    let content = all.content.unwrap_or_default();
    Some(match kind {
        kind::HELLO => Body::Hello,
        kind::STATUS => Body::Status { status: all.status?, object: all.object },
        kind::DATA => Body::Data { object: all.object, content },
        kind::INVOKE => Body::Invoke { object: all.object?, method: all.method?, content, no_reply: all.no_reply },
        kind::NOTIFY => Body::Subscribed { object: all.object?, active: all.active },
        _ => return None,
    })
}

/// Messages of this client, on their way out.
///
/// Attributes stand in the order in which libubus writes them, so that data/ubus-trace.txt is met byte for byte.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
}

impl Outbox {
    /// What waits to be written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first `count` bytes were written.
    pub fn written(&mut self, count: usize) {
        self.bytes.drain(..count);
        if self.bytes.is_empty() {
            // A large answer does not keep its room.
            self.bytes = Vec::new();
        }
    }

    /// Adds an object. `signature` is never empty for an object that is to be seen.
    pub fn add_object(&mut self, seq: u16, path: &str, signature: &[u8]) {
        let mut attributes = EnvBuilder::new();
        attributes.push_str(UbusAttr::ObjPath, path);
        attributes.push_signature(signature);
        self.push(kind::ADD_OBJECT, seq, 0, attributes);
    }

    /// Asks for the id of an object.
    pub fn lookup(&mut self, seq: u16, path: &str) {
        let mut attributes = EnvBuilder::new();
        attributes.push_str(UbusAttr::ObjPath, path);
        self.push(kind::LOOKUP, seq, 0, attributes);
    }

    /// Calls a method.
    pub fn invoke(&mut self, seq: u16, object: u32, method: &str, content: &[u8]) {
        let mut attributes = EnvBuilder::with_capacity(content.len() + 64);
        attributes.push_u32(UbusAttr::ObjId, object);
        attributes.push_str(UbusAttr::Method, method);
        attributes.push_data(content);
        self.push(kind::INVOKE, seq, object, attributes);
    }

    /// Tells the subscribers of an object of this client; none of them answers.
    pub fn notify(&mut self, seq: u16, object: u32, name: &str, content: &[u8]) {
        let mut attributes = EnvBuilder::with_capacity(content.len() + 64);
        attributes.push_u32(UbusAttr::ObjId, object);
        attributes.push_str(UbusAttr::Method, name);
        attributes.push_data(content);
        attributes.push_u8(UbusAttr::NoReply, 1);
        self.push(kind::NOTIFY, seq, object, attributes);
    }

    /// A part of an answer to a client. ubusd drops it silently unless it names the object.
    pub fn data(&mut self, seq: u16, client: u32, object: u32, content: &[u8]) {
        let mut attributes = EnvBuilder::with_capacity(content.len() + 64);
        attributes.push_u32(UbusAttr::ObjId, object);
        attributes.push_data(content);
        self.push(kind::DATA, seq, client, attributes);
    }

    /// The end of an answer to a client.
    pub fn status(&mut self, seq: u16, client: u32, object: u32, status: i32) {
        let mut attributes = EnvBuilder::new();
        attributes.push_i32(UbusAttr::Status, status);
        attributes.push_u32(UbusAttr::ObjId, object);
        self.push(kind::STATUS, seq, client, attributes);
    }

    fn push(&mut self, kind: u8, seq: u16, peer: u32, attributes: EnvBuilder) {
        self.bytes.extend_from_slice(&[0, kind]);
        self.bytes.extend_from_slice(&seq.to_be_bytes());
        self.bytes.extend_from_slice(&peer.to_be_bytes());
        self.bytes.extend_from_slice(&attributes.finish());
    }
}
