//! The recorded words of the real ubusd, ubus and libubus: read, and written again byte for byte.
//!
//! The hexadecimal lines are those of a conversation between the C programs; the codec under test had no part in it.

use std::time::Duration;

use owsync::daemon::ubus::blobmsg;
use owsync::daemon::ubus::message::{self, Body, Message, Outbox};
use owsync::daemon::ubus::methods::signature;
use owsync::node::api::Tree;
use owsync::ops::{Access, Argument, Arguments, Form, Kind, Op, Read, Request};

const ADD_OBJECT: &str = "0006000100000000000000700200000b6f7773796e63000006000060820000100006737461747573000000008200004c000473796e63000085000010000470656572000000000003850000100005666f726365000000000785000010000362696700000000000004850000100003616e7900000000000000";
const INVOKE_STATUS: &str = "0005000244a677af0000003403000008f644f9de0400000b73746174757300000c000009726f6f74000000000d000009726f6f740000000007000004";
const DATA: &str = "0002000244a677af000000b803000008f644f9de070000ac83000011000573746174650069646c6500000000870000110007656e61626c656400000001000000850000100005706565727300000000028400001400056279746573000000010000000000880000140005726174696f003fe00000000000008100002c00046c69737400008300000a000000006100000082000014000000008500000c00017800000000018000000c00036e756c0000008500001000036e6567000000fffffffb";
const STATUS: &str = "0001000244a677af00000014010000080000000003000008f644f9de";
const INVOKE_SYNC: &str = "000500021a610df70000007403000008f644f9de0400000973796e63000000000c000009726f6f74000000000d000009726f6f7400000000070000448300000e0004706565720000610000008700000d0005666f726365000100000084000014000362696700000000000001000000008500000c00016e0000000003";
const INVOKE_NOSUCH: &str = "00050002adeec1630000003403000008f644f9de0400000b6e6f7375636800000c000009726f6f74000000000d000009726f6f740000000007000004";
const SUBSCRIBED: &str = "000a0001000000000000001403000008f644f9de0900000501000000";
const NOTIFY: &str = "000a0002f644f9de0000003803000008f644f9de0400000e73796e632e646f6e65000000070000148300000f0004706565720000723200000a00000501000000";
const EVENT: &str = "00050003000000010000005003000008000000010400000973656e6400000000070000388300001300026964000000006f7773796e6300008200002000046461746100008300001300056576656e740073796e6365640000";
const LOOKUP: &str = "0004000500000000000000100200000b6f7773796e630000";

const OBJECT: u32 = 0xf644_f9de;

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The message that the whole of `bytes` is.
#[track_caller]
fn read(bytes: &[u8]) -> Message<'_> {
    let (message, length) = message::parse(bytes).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    message
}

#[track_caller]
fn assert_writes(recorded: &str, write: impl FnOnce(&mut Outbox)) {
    let mut out = Outbox::default();
    write(&mut out);
    assert_eq!(hex(out.bytes()), recorded);
}

#[test]
fn what_is_asked_of_ubusd_is_written_as_libubus_writes_it() {
    const fn argument(name: &'static str, kind: Kind) -> Argument {
        Argument { name, kind, form: Form::None, help: "", on_ubus: true }
    }
    const fn method(name: &'static str, arguments: &'static [Argument]) -> Op {
        let (access, takes) = (Access::Read, Duration::ZERO);
        let read = |_: &Arguments<'_>| Ok(Request::Read(Read::Status));
        Op { name, command: None, help: "", detail: "", access, arguments, takes, read }
    }
    const METHODS: &[Op] =
        &[method("status", &[]), method("sync", &[argument("peer", Kind::Text), argument("force", Kind::Flag)])];
    assert_writes(LOOKUP, |out| out.lookup(5, "owsync"));
    // The recorded object declares two arguments more, of types that this one has no word for: the lengths differ by them.
    let (recorded, _) = ADD_OBJECT.split_once("85000010000362696700").unwrap();
    let ours = [("00000070", "00000050"), ("06000060", "06000040"), ("8200004c", "8200002c")]
        .iter()
        .fold(recorded.to_string(), |text, (theirs, ours)| text.replacen(theirs, ours, 1));
    assert_writes(&ours, |out| out.add_object(1, "owsync", &signature(METHODS.iter())));
}

#[test]
fn an_answer_is_written_as_libubus_writes_it() {
    // The recorded answer also holds a double and a null, which owsync never says.
    let tree = Tree::map().with("neg", -5i64);
    assert!(hex(&blobmsg::encode(&tree)) == DATA[DATA.len() - 32..]);
    let tree =
        Tree::map().with("state", "idle").with("enabled", true).with("peers", 2i64).with("bytes", 1_099_511_627_776i64);
    let start = DATA.find("8300001100057374").unwrap();
    let end = DATA.find("88000014").unwrap();
    assert_eq!(hex(&blobmsg::encode(&tree)), DATA[start..end]);
    let list = Tree::map().with("list", vec![Tree::from("a"), Tree::map().with("x", 1i64)]);
    let (start, end) = (DATA.find("8100002c").unwrap(), DATA.find("8000000c").unwrap());
    assert_eq!(hex(&blobmsg::encode(&list)), DATA[start..end]);

    let content = &bytes(DATA)[24..];
    assert_writes(DATA, |out| out.data(2, 0x44a6_77af, OBJECT, content));
    assert_writes(STATUS, |out| out.status(2, 0x44a6_77af, OBJECT, 0));
}

#[test]
fn notifications_and_events_are_written_as_libubus_writes_them() {
    let details = blobmsg::encode(&Tree::map().with("peer", "r2"));
    assert_writes(NOTIFY, |out| out.notify(2, OBJECT, "sync.done", &details));
    let event = Tree::map().with("id", "owsync").with("data", Tree::map().with("event", "synced"));
    assert_writes(EVENT, |out| out.invoke(3, message::EVENTS, "send", &blobmsg::encode(&event)));
}

#[test]
fn what_ubusd_passes_on_is_read() {
    let (status, sync, nosuch) = (bytes(INVOKE_STATUS), bytes(INVOKE_SYNC), bytes(INVOKE_NOSUCH));
    let status = read(&status);
    assert_eq!((status.seq, status.peer), (2, 0x44a6_77af));
    assert_eq!(status.body, Body::Invoke { object: OBJECT, method: b"status", content: &[], no_reply: false });
    let Body::Invoke { method: b"sync", content, .. } = read(&sync).body else { panic!("{sync:?}") };
    let arguments = Tree::map().with("peer", "a").with("force", true).with("big", 1i64 << 32).with("n", 3i64);
    assert_eq!(blobmsg::decode(content), Ok(arguments.clone()));
    assert_eq!(blobmsg::encode(&arguments), content);
    assert!(matches!(read(&nosuch).body, Body::Invoke { method: b"nosuch", .. }));
    let subscribed = bytes(SUBSCRIBED);
    assert_eq!(read(&subscribed).body, Body::Subscribed { object: OBJECT, active: true });
}

#[test]
fn answers_of_others_are_read() {
    let (data, status) = (bytes(DATA), bytes(STATUS));
    let Body::Data { object: Some(OBJECT), content } = read(&data).body else { panic!("{data:?}") };
    let tree = blobmsg::decode(content).unwrap();
    assert_eq!(tree.get("state"), Some(&Tree::from("idle")));
    assert_eq!(tree.get("bytes"), Some(&Tree::Int(1 << 40)));
    assert_eq!(tree.get("list"), Some(&Tree::List(vec![Tree::from("a"), Tree::map().with("x", 1i64)])));
    assert_eq!((tree.get("nul"), tree.get("neg")), (None, Some(&Tree::Int(-5))));
    assert_eq!(read(&status).body, Body::Status { status: 0, object: Some(OBJECT) });
}

#[test]
fn a_message_in_pieces_is_waited_for() {
    let whole = bytes(INVOKE_SYNC);
    for length in 0..whole.len() {
        assert_eq!(message::parse(&whole[..length]), Ok(None), "{length} bytes");
    }
    // What follows belongs to the next message.
    let mut two = whole.clone();
    two.extend_from_slice(&whole[..8]);
    assert_eq!(message::parse(&two).unwrap().unwrap().1, whole.len());
}

#[test]
fn a_stream_out_of_step_is_noticed() {
    for (at, value) in [(0, 1u8), (9, 0x7f), (11, 3)] {
        let mut broken = bytes(LOOKUP);
        broken[at] = value;
        assert_eq!(message::parse(&broken), Err(message::OutOfStep), "byte {at}");
    }
    // A type of tomorrow is passed over.
    let mut unknown = bytes(LOOKUP);
    unknown[1] = 99;
    assert_eq!(read(&unknown).body, Body::Other);
}
