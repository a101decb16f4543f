//! Prefaces, records, alerts, and sessions that are not encrypted.

use owsync::model::reason::Trouble;
use owsync::model::{Monotonic, RelPath, ShareName, limits};
use owsync::proto::frame::{Alert, Preface, Received, TooLong, push_record};
use owsync::proto::message::{Bye, ByeCode};
use owsync::proto::session::Mode;
use owsync::proto::{Event, Message, Session};

use crate::bytes::hex;
use crate::pair::{Pair, START, alone, however_it_is_split, ping};

const PREFACE_E: &str = "6f 77 73 79 6e 63 45 31";
const PREFACE_P: &str = "6f 77 73 79 6e 63 50 31";

fn plain_pair() -> Pair {
    Pair::new(Mode::Plain, Mode::Plain)
}

#[test]
fn a_record_is_its_length_and_its_bytes() {
    let mut stream = Vec::new();
    push_record(&mut stream, b"one");
    push_record(&mut stream, b"");
    push_record(&mut stream, &[7; 256]);
    assert_eq!(stream, [hex("0003 6f6e65 0000 0100"), vec![7; 256]].concat());
    let records = |pieces: &[&[u8]]| {
        let mut received = Received::default();
        let mut records: Vec<Vec<u8>> = Vec::new();
        for piece in pieces {
            received.push(piece);
            while let Some(record) = received.record(256).unwrap() {
                records.push(record.to_vec());
            }
        }
        records
    };
    let whole = records(&[&stream]);
    assert_eq!(whole, [b"one".to_vec(), Vec::new(), vec![7; 256]]);
    for at in 0..=stream.len() {
        let (one, two) = stream.split_at(at);
        assert_eq!(records(&[one, two]), whole, "split after {at} bytes");
    }
}

#[test]
fn a_record_that_is_too_long_is_refused_by_its_length_alone() {
    for (most, head, outcome) in
        [(256, "0101", Err(TooLong(257))), (256, "0100", Ok(None)), (limits::RECORD_MAX, "ffff", Ok(None))]
    {
        let mut received = Received::default();
        received.push(&hex(head));
        assert_eq!(received.record(most), outcome);
    }
}

#[test]
fn prefaces_are_as_the_specification_has_them() {
    assert_eq!(Preface::bytes(true)[..], hex(PREFACE_E));
    assert_eq!(Preface::bytes(false)[..], hex(PREFACE_P));
    // As a length, the first four bytes are more than the predecessor takes.
    assert!(u32::from_be_bytes(*b"owsy") > 33_554_432);
}

#[test]
fn alerts_have_the_numbers_they_always_had() {
    for (alert, code) in [
        (Alert::KeyRefused, 1),
        (Alert::PlainMode, 2),
        (Alert::EncryptedMode, 3),
        (Alert::Full, 4),
        (Alert::NotConfigured, 5),
        (Alert::UnknownForm, 6),
        (Alert::Unknown(7), 7),
        (Alert::Unknown(0), 0),
    ] {
        assert_eq!((alert.code(), Alert::from_code(code)), (code, alert));
    }
}

#[test]
fn an_alert_is_heard_as_what_it_means() {
    for (code, trouble) in [
        ("01", Trouble::KeyRefusedThere),
        ("02", Trouble::PlainThere),
        ("03", Trouble::PlainHere),
        ("04", Trouble::TooManySessions),
        ("05", Trouble::DisabledThere),
        ("06", Trouble::Version { min: 0, max: 0 }),
        ("c8", Trouble::Other("it refused with code 200, which this version does not know".into())),
    ] {
        let heard = hex(&format!("{PREFACE_P} 0001 {code}"));
        let (events, wrote) = alone(Session::dial(START, Mode::Plain, false, [0; 32]), &heard);
        assert_eq!(events, [Event::Open { public_key: None }, Event::Ended(trouble)]);
        assert_eq!(wrote, b"");
    }
}

#[test]
fn a_refusal_is_a_preface_and_an_alert() {
    let mut session = Session::answer(START, Mode::Plain, [0; 32]);
    session.refuse(Alert::Full, Trouble::TooManySessions);
    let mut wrote = Vec::new();
    session.poll_transmit(&mut wrote);
    assert_eq!(wrote, hex(&format!("{PREFACE_P} 0001 04")));
    assert_eq!(session.poll_event(), Some(Event::Ended(Trouble::TooManySessions)));
}

#[test]
fn a_plain_session_byte_by_byte() {
    let mut pair = plain_pair();
    pair.talk();
    pair.dialled.send(&ping(0));
    pair.talk();
    pair.answered.send(&Message::Pong(owsync::model::WallTime(0)));
    pair.talk();
    assert_eq!(pair.wrote[0], hex(&format!("{PREFACE_P} 0004 09a10000")));
    assert_eq!(pair.wrote[1], hex(&format!("{PREFACE_P} 0004 0aa10000")));
    let open = Event::Open { public_key: None };
    assert_eq!(pair.events[1], [open, Event::Message(ping(0))]);
}

#[test]
fn a_plain_session_is_the_same_however_it_is_split_f34() {
    however_it_is_split(plain_pair, |pair| {
        for n in [0, 1] {
            for message in [ping(1), ping(i64::MAX)] {
                pair.end(n).send(&message);
            }
        }
    });
}

#[test]
fn a_message_of_a_later_version_is_handed_on_as_unknown() {
    // One byte would be an alert, so even an empty later message has a body.
    let heard = hex(&format!("{PREFACE_P} 0002 c8 a0"));
    let (events, _) = alone(Session::answer(START, Mode::Plain, [0; 32]), &heard);
    assert_eq!(events[1..], [Event::Message(Message::Unknown(200))]);
}

#[test]
fn a_bad_message_ends_the_session_with_its_reason() {
    for (record, reason) in [
        ("0000", "empty message"),
        ("0005 09a1000000", "malformed Ping: trailing bytes"),
        ("0009 0ba10065 612f622f63", "a share's name is not a label"),
    ] {
        let heard = hex(&format!("{PREFACE_P} {record} 0004 09a10000"));
        let (events, wrote) = alone(Session::answer(START, Mode::Plain, [0; 32]), &heard);
        // The rest is not read, and the other side is notified.
        assert_eq!(events[1..], [Event::Ended(Trouble::Misbehaved(reason.into()))]);
        let (mut bye, mut told) = (Vec::new(), hex(PREFACE_P));
        Message::Bye(Bye { code: ByeCode::Misbehaved, number: 0, text: reason.into() }).encode(&mut bye);
        push_record(&mut told, &bye);
        assert_eq!(wrote, told);
    }
}

#[test]
fn the_predecessor_is_recognised_by_its_first_byte_and_nothing_is_written_to_it() {
    // Its Hello: a length, then JSON. A state of 32 MiB, its largest frame, begins with 2.
    let hello = [&hex("00000040")[..], br#"{"type":"Hello","hostname":"r1","timestamp":17.0,"version":1}"#].concat();
    for heard in [&hello[..], &hello[..1], &[2, 0, 0, 0], &[0]] {
        for session in [
            Session::answer(START, Mode::Plain, [0; 32]),
            Session::dial(START, Mode::Plain, false, [0; 32]),
            #[cfg(feature = "encryption")]
            Session::answer(START, crate::handshakes::mode(5, None, 2), [0; 32]),
            #[cfg(feature = "encryption")]
            Session::dial(START, crate::handshakes::mode(5, None, 2), false, [0; 32]),
        ] {
            let (events, wrote) = alone(session, heard);
            assert_eq!(events, [Event::Ended(Trouble::Predecessor)]);
            assert_eq!(wrote, b"", "a write would kill it");
        }
    }
}

#[test]
fn a_stranger_hears_nothing() {
    for heard in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0", b"\x03", b"\xff", b"owsynd", b"ox"] {
        let (events, wrote) = alone(Session::answer(START, Mode::Plain, [0; 32]), heard);
        assert_eq!(events, [Event::Ended(Trouble::Misbehaved("it is not owsync".into()))]);
        assert_eq!(wrote, b"");
    }
}

#[test]
fn a_later_form_is_told_that_it_is_not_known() {
    for later in ["6f77 7379 6e63 45 32", "6f77 7379 6e63 51 31"] {
        let (events, wrote) = alone(Session::answer(START, Mode::Plain, [0; 32]), &hex(later));
        assert_eq!(events, [Event::Ended(Trouble::Version { min: 0, max: 0 })]);
        assert_eq!(wrote, hex(&format!("{PREFACE_P} 0001 06")));
        let (events, wrote) = alone(Session::dial(START, Mode::Plain, false, [0; 32]), &hex(later));
        assert_eq!(events, [Event::Ended(Trouble::Version { min: 0, max: 0 })]);
        assert_eq!(wrote, b"");
    }
}

#[test]
fn a_plain_node_tells_an_encrypted_one_that_it_is_plain() {
    let (events, wrote) = alone(Session::answer(START, Mode::Plain, [0; 32]), &hex(PREFACE_E));
    assert_eq!(events, [Event::Ended(Trouble::PlainHere)]);
    assert_eq!(wrote, hex(&format!("{PREFACE_P} 0001 02")));
    let (events, wrote) = alone(Session::dial(START, Mode::Plain, false, [0; 32]), &hex(PREFACE_E));
    assert_eq!(events, [Event::Ended(Trouble::PlainHere)]);
    assert_eq!(wrote, b"");
}

#[test]
fn silence_ends_a_session_until_its_first_message() {
    let late = START.plus(limits::HANDSHAKE_TIME);
    // Nothing at all, part of a preface, and a whole handshake without a message.
    for heard in ["", "6f77", PREFACE_P] {
        let mut session = Session::answer(START, Mode::Plain, [0; 32]);
        session.handle_bytes(&hex(heard));
        assert_eq!(session.poll_timeout(), late);
        session.handle_timeout(Monotonic(late.0 - 1));
        assert!(!session.is_ended());
        session.handle_timeout(late);
        let events: Vec<Event> = std::iter::from_fn(|| session.poll_event()).collect();
        assert_eq!(events.last(), Some(&Event::Ended(Trouble::Silent)));
        assert_eq!(session.poll_timeout(), Monotonic::NEVER);
    }
    let mut session = Session::answer(START, Mode::Plain, [0; 32]);
    session.handle_bytes(&hex(&format!("{PREFACE_P} 0004 09a10000")));
    assert_eq!(session.poll_timeout(), Monotonic::NEVER);
}

#[test]
fn an_ended_session_neither_hears_nor_speaks() {
    let mut session = Session::answer(START, Mode::Plain, [0; 32]);
    session.send(&ping(1));
    session.handle_bytes(&hex(PREFACE_P));
    session.handle_end();
    session.handle_end();
    session.handle_bytes(&hex("0004 09a10000"));
    session.handle_timeout(Monotonic::NEVER);
    session.send(&ping(2));
    let events: Vec<Event> = std::iter::from_fn(|| session.poll_event()).collect();
    assert_eq!(events, [Event::Open { public_key: None }, Event::Ended(Trouble::Closed)]);
    let mut wrote = Vec::new();
    session.poll_transmit(&mut wrote);
    assert_eq!(
        wrote,
        hex(PREFACE_P),
        "a message before the session is open goes nowhere, and so does one after its end"
    );
}

/// F69: every maker of messages bounds them, which debug builds insist on; what was missed costs a session.
#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "a message is never made larger than a record holds"))]
fn a_message_that_no_record_holds_ends_its_session() {
    let mut session = Session::answer(START, Mode::Plain, [0; 32]);
    session.handle_bytes(&hex(PREFACE_P));
    let paths = (0..40).map(|n| RelPath::parse(format!("{n}{}", "/x".repeat(2_000)).as_bytes()).unwrap());
    session.send(&Message::Ask { id: 1, share: ShareName::main(), paths: paths.collect() });
    assert!(session.is_ended());
}
