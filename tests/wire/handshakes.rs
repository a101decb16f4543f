//! Encrypted sessions: the handshake byte by byte, and everything that must not pass for one.
//!
//! The golden bytes come from a second implementation of Noise_XXpsk0_25519_AESGCM_SHA256, written from the
//! specification (noiseprotocol.org, revision 34) for this purpose: key 05.., identities 01.. and 02.., ephemeral keys
//! 03.. and 04.., the preface as prologue.

use owsync::model::reason::Trouble;
use owsync::model::{Key, limits};
use owsync::proto::handshake::{node_id, public_key};
use owsync::proto::session::Mode;
use owsync::proto::{Credentials, Event, Message, Session};

use crate::bytes::hex;
use crate::pair::{Pair, START, alone, however_it_is_split, ping};

const PREFACE: &str = "6f 77 73 79 6e 63 45 31";
const FIRST: &str = "0030 5dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef22
                          16da878e400e230efdc4dfb7c276a0ee";
const SECOND: &str = "0060 ac01b2209e86354fb853237b5de0f4fab13c7fcbf433a61c019369617fecf10b
                           8bb55f51659ab15599853cd198291009ce09e20e9c0e51a493687a04749f742a
                           38baa8f639a351f426b3a3b52b960947391ff4a0658f59cfeaf4fb6c62ed799a";
const THIRD: &str = "0040 afb8fabf70ad71347262fa6d9e2abd65ae35c4c41e80bd32f2f0f8431313cfed
                          f6caa763c3961a541b64d52ff782f2518bb553886993923456f3cc838c106837";
/// `09 a1 00 00`, a Ping, as each end's first and the dialling end's second record.
const PING_OUT: &str = "0014 5778d7e1acf6d5d21816db915f327d0136e78c21";
const PING_OUT_2: &str = "0014 9258d8290c498c968652c3a3a5ea120c3f5fc73b";
/// `0a a1 00 00`, a Pong, as the answering end's first record.
const PONG_BACK: &str = "0014 f68e3505934077c7b6f37e1e68b6249236fcf689";

/// Encrypted with this key, perhaps a second one, and this identity.
pub fn mode(key: u8, previous: Option<u8>, identity: u8) -> Mode {
    Mode::Encrypted(Credentials {
        key: Key::new([key; 32]),
        previous: previous.map(|key| Key::new([key; 32])),
        identity: Key::new([identity; 32]),
    })
}

fn pair() -> Pair {
    Pair::new(mode(5, None, 1), mode(5, None, 2))
}

fn open_pair() -> Pair {
    let mut pair = pair();
    pair.talk();
    assert!(pair.dialled.is_open() && pair.answered.is_open());
    pair
}

/// What was said after the opening.
fn after_open(mut events: Vec<Event>) -> Vec<Event> {
    let open = events.iter().position(|event| matches!(event, Event::Open { .. })).expect("an open session");
    events.split_off(open + 1)
}

fn not_sealed() -> Event {
    Event::Ended(Trouble::Misbehaved("a record that its key did not seal, or not in this order".into()))
}

fn does_not_fit() -> Event {
    Event::Ended(Trouble::Misbehaved("a handshake that does not fit".into()))
}

#[test]
fn a_session_byte_by_byte() {
    let mut pair = open_pair();
    pair.dialled.send(&ping(0));
    pair.dialled.send(&ping(0));
    pair.answered.send(&Message::Pong(owsync::model::WallTime(0)));
    pair.talk();
    assert_eq!(pair.wrote[0], hex(&[PREFACE, FIRST, THIRD, PING_OUT, PING_OUT_2].join("\n")));
    assert_eq!(pair.wrote[1], hex(&[PREFACE, SECOND, PONG_BACK].join("\n")));
    // Each end knows who the other is.
    let (dialling, answering) = (public_key(&Key::new([1; 32])), public_key(&Key::new([2; 32])));
    assert_eq!(pair.events[0][0], Event::Open { public_key: Some(answering) });
    assert_eq!(pair.events[1][0], Event::Open { public_key: Some(dialling) });
    assert_eq!(dialling[..], hex("a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209"));
    assert_eq!(node_id(&dialling).0[..], hex("1a92f23852dc908d97316a3b13578281"));
}

#[test]
fn a_session_is_the_same_however_it_is_split_f34() {
    however_it_is_split(pair, |pair| {
        for n in [0, 1] {
            pair.end(n).send(&ping(1));
            pair.end(n).send(&Message::Unknown(200));
        }
    });
}

#[test]
fn a_wrong_key_is_named_on_both_sides() {
    let mut pair = Pair::new(mode(5, None, 1), mode(6, None, 2));
    pair.talk();
    assert_eq!(pair.troubles(), [Some(&Trouble::KeyRefusedThere), Some(&Trouble::KeyRefusedHere)]);
    assert_eq!(pair.wrote[1], hex(&format!("{PREFACE} 0001 01")));
}

#[test]
fn a_wrong_mode_is_named_on_both_sides() {
    let mut pair = Pair::new(Mode::Plain, mode(5, None, 2));
    pair.talk();
    assert_eq!(pair.troubles(), [Some(&Trouble::PlainHere), Some(&Trouble::PlainThere)]);
    assert_eq!(pair.wrote[1], hex(&format!("{PREFACE} 0001 03")));
    let mut pair = Pair::new(mode(5, None, 1), Mode::Plain);
    pair.talk();
    assert_eq!(pair.troubles(), [Some(&Trouble::PlainThere), Some(&Trouble::PlainHere)]);
    // What follows the first bytes of the wrong mode is not read as anything.
    assert!(!pair.events[1].iter().any(|event| matches!(event, Event::Message(_) | Event::Open { .. })));
}

#[test]
fn a_second_key_opens_while_keys_are_exchanged() {
    let (old, new) = (5, 6);
    let dial = |mode, with_previous| Session::dial(START, mode, with_previous, [3; 32]);
    let answer = |mode| Session::answer(START, mode, [4; 32]);
    for (claim, dialled, answered, opens) in [
        (
            "the answering node has the new key already",
            dial(mode(old, None, 1), false),
            answer(mode(new, Some(old), 2)),
            true,
        ),
        (
            "the answering node knows of the new key",
            dial(mode(new, None, 1), false),
            answer(mode(old, Some(new), 2)),
            true,
        ),
        ("both know both", dial(mode(new, Some(old), 1), false), answer(mode(old, Some(new), 2)), true),
        ("it dials with the second key", dial(mode(new, Some(old), 1), true), answer(mode(old, None, 2)), true),
        (
            "it has no second key and dials with its own",
            dial(mode(old, None, 1), true),
            answer(mode(old, None, 2)),
            true,
        ),
        ("it dials with the first key first", dial(mode(new, Some(old), 1), false), answer(mode(old, None, 2)), false),
        ("a third key opens nothing", dial(mode(7, None, 1), false), answer(mode(new, Some(old), 2)), false),
    ] {
        let mut pair = Pair::of(dialled, answered);
        pair.talk();
        assert_eq!(pair.dialled.is_open() && pair.answered.is_open(), opens, "{claim}");
        if opens {
            pair.dialled.send(&ping(1));
            pair.talk();
            assert_eq!(pair.events[1].last(), Some(&Event::Message(ping(1))), "{claim}");
        }
    }
}

#[test]
fn a_replayed_first_message_opens_nothing_and_ends_in_silence() {
    // Given what an honest node once wrote to open a session, recorded by an attacker without the key.
    let recorded = open_pair().wrote[0].clone();
    let first = &recorded[..8 + 2 + 48];
    // When it is played to another session.
    let mut session = Session::answer(START, mode(5, None, 2), [9; 32]);
    session.handle_bytes(first);
    let mut answer = Vec::new();
    session.poll_transmit(&mut answer);
    // Then that side answers with its second message, which reveals its identity only to a holder of the key, and waits.
    assert_eq!(answer.len(), 8 + 2 + 96);
    assert!(!session.is_open());
    assert_eq!(session.poll_event(), None);
    session.handle_timeout(START.plus(limits::HANDSHAKE_TIME));
    assert_eq!(session.poll_event(), Some(Event::Ended(Trouble::Silent)));
}

#[test]
fn a_replayed_session_opens_nothing_f50() {
    let mut pair = open_pair();
    pair.dialled.send(&ping(0));
    pair.talk();
    let (events, wrote) = alone(Session::answer(START, mode(5, None, 2), [9; 32]), &pair.wrote[0]);
    assert_eq!(events, [does_not_fit()]);
    assert_eq!(wrote.len(), 8 + 2 + 96, "the third message proves nothing any more");
}

#[test]
fn a_handshake_that_was_touched_anywhere_opens_nothing() {
    let (out, back) = {
        let pair = open_pair();
        let [out, back] = pair.wrote;
        (out, back)
    };
    for (at, bit) in (0..out.len()).flat_map(|at| [(at, 0), (at, 7)]) {
        let mut touched = out.clone();
        touched[at] ^= 1 << bit;
        let (events, _) = alone(Session::answer(START, mode(5, None, 2), [4; 32]), &touched);
        assert!(!events.iter().any(|event| matches!(event, Event::Open { .. })), "byte {at} of the dialling side");
    }
    for (at, bit) in (0..back.len()).flat_map(|at| [(at, 0), (at, 7)]) {
        let mut touched = back.clone();
        touched[at] ^= 1 << bit;
        let (events, _) = alone(Session::dial(START, mode(5, None, 1), false, [3; 32]), &touched);
        assert!(!events.iter().any(|event| matches!(event, Event::Open { .. })), "byte {at} of the answering side");
    }
}

#[test]
fn handshake_records_are_bounded_and_in_turn() {
    let answer = || Session::answer(START, mode(5, None, 2), [4; 32]);
    let dial = || Session::dial(START, mode(5, None, 1), false, [3; 32]);
    let too_long = |length| Event::Ended(Trouble::Misbehaved(format!("a handshake record of {length} bytes")));
    for (claim, heard, event) in [
        ("257 bytes", format!("{PREFACE} 0101"), too_long(257)),
        ("all that a length can say", format!("{PREFACE} ffff"), too_long(65_535)),
        ("nothing", format!("{PREFACE} 0000"), Event::Ended(Trouble::KeyRefusedHere)),
        ("an alert", format!("{PREFACE} 0001 04"), Event::Ended(Trouble::TooManySessions)),
        ("the first message twice", format!("{PREFACE} {FIRST} {FIRST}"), does_not_fit()),
        ("a preface in between", format!("{PREFACE} {FIRST} {PREFACE}"), too_long(0x6f77)),
        (
            "an alert in place of the third",
            format!("{PREFACE} {FIRST} 0001 c8"),
            Event::Ended(Trouble::Other("it refused with code 200, which this version does not know".into())),
        ),
    ] {
        assert_eq!(alone(answer(), &hex(&heard)).0, [event], "{claim}");
    }
    for (claim, heard, event) in [
        ("its own first message", format!("{PREFACE} {FIRST}"), does_not_fit()),
        ("nothing", format!("{PREFACE} 0000"), does_not_fit()),
        ("a refusal", format!("{PREFACE} 0001 01"), Event::Ended(Trouble::KeyRefusedThere)),
    ] {
        assert_eq!(alone(dial(), &hex(&heard)).0, [event], "{claim}");
    }
}

#[test]
fn records_count_once_in_their_order_and_direction_f50() {
    let heard = |records: &[&str]| {
        let all = [&[PREFACE, FIRST, THIRD][..], records].concat().join("\n");
        let (events, _) = alone(Session::answer(START, mode(5, None, 2), [4; 32]), &hex(&all));
        after_open(events)
    };
    let ping = || Event::Message(ping(0));
    assert_eq!(heard(&[PING_OUT, PING_OUT_2]), [ping(), ping()]);
    assert_eq!(heard(&[PING_OUT, PING_OUT]), [ping(), not_sealed()], "replayed");
    assert_eq!(heard(&[PING_OUT_2, PING_OUT]), [not_sealed()], "out of order, or one left out");
    assert_eq!(heard(&[PONG_BACK]), [not_sealed()], "reflected");
    assert_eq!(heard(&["0004 09a10000"]), [not_sealed()], "in clear");
    assert_eq!(heard(&["0000"]), [not_sealed()], "empty");
    assert_eq!(heard(&["0001 04"]), [not_sealed()], "an alert comes in clear only before the end of the handshake");
    let record = hex(PING_OUT);
    for at in 2..record.len() {
        let mut touched = record.clone();
        touched[at] ^= 0x10;
        let text: String = touched.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(heard(&[&text]), [not_sealed()], "byte {at} touched");
    }
}

#[test]
fn the_largest_message_fills_its_record_exactly() {
    let mut pair = open_pair();
    // An Unknown type is one byte; the largest Data message is what the limits promise.
    let chunk = |size| {
        Message::Data(vec![owsync::proto::message::Chunk { id: u32::MAX, offset: u64::MAX, bytes: vec![7; size] }])
    };
    let mut written = Vec::new();
    chunk(limits::DATA_MAX).encode(&mut written);
    let room = limits::MESSAGE_MAX - written.len();
    pair.dialled.send(&chunk(limits::DATA_MAX + room));
    pair.talk();
    assert_eq!(pair.events[1].last(), Some(&Event::Message(chunk(limits::DATA_MAX + room))));
    assert_eq!(pair.wrote[0][8 + 50 + 66..][..2], [0xff, 0xff]);
}
