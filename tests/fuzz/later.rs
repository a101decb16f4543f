//! Checks that an earlier version skips what a later one adds: every seed with unknown fields, anywhere they may
//! be, means the same. So versions can differ by one, and an update can be reverted.
//!
//! Fields are added to tables. What a later version may not do is named by what is left out here: add to a list of fields
//! anywhere but at its end (tests/wire.rs), or write a new kind of line or a new word where one of a few is expected.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use owsync::daemon::control;
use owsync::daemon::joining::text::JoinText;
use owsync::model::Digest;
use owsync::proto::Message;

use crate::dice::Dice;
use crate::fuzz::known_from;
use crate::seeds;

/// Variants of each seed.
const VARIANTS: u64 = 60;

/// The seeds of a target that are understood, each with the dice of its variants.
fn each(target: &str, mut check: impl FnMut(&[u8], &mut Dice)) {
    for (name, bytes) in seeds::of(target) {
        if !name.starts_with("not-") {
            (0..VARIANTS).for_each(|variant| check(&bytes, &mut Dice::new(variant)));
        }
    }
}

/// The item at `from` with fields added to its tables.
fn grown_cbor(from: &mut Decoder<'_>, to: &mut Encoder<&mut Vec<u8>>, dice: &mut Dice) {
    match from.datatype().unwrap() {
        Type::Map => {
            let count = from.map().unwrap().unwrap();
            let added: Vec<u64> = (0..dice.below(3)).map(|_| dice.below(count + 1)).collect();
            to.map(count + added.len() as u64).unwrap();
            for at in 0..=count {
                added.iter().filter(|&&place| place == at).for_each(|_| {
                    let bits = 1 + dice.below(30);
                    to.u64(24 + dice.below(1 << bits)).unwrap();
                    anything_cbor(to, dice, 3);
                });
                if at < count {
                    to.u64(from.u64().unwrap()).unwrap();
                    grown_cbor(from, to, dice);
                }
            }
        }
        Type::Array => {
            let count = from.array().unwrap().unwrap();
            to.array(count).unwrap();
            (0..count).for_each(|_| grown_cbor(from, to, dice));
        }
        _ => {
            let start = from.position();
            from.skip().unwrap();
            to.writer_mut().extend_from_slice(&from.input()[start..from.position()]);
        }
    }
}

/// An item of any form there is.
fn anything_cbor(to: &mut Encoder<&mut Vec<u8>>, dice: &mut Dice, depth: u64) {
    let count = dice.below(4);
    match dice.below(if depth == 0 { 8 } else { 13 }) {
        0 => drop(to.u64(dice.next()).unwrap()),
        1 => drop(to.i64(-(dice.below(1 << 40) as i64)).unwrap()),
        2 => drop(to.bytes(&vec![0xff; 300 * count as usize]).unwrap()),
        3 => drop(to.str("later \u{1b}[2J").unwrap()),
        4 => drop(to.bool(count == 0).unwrap()),
        5 => drop(to.null().unwrap()),
        6 => drop(to.f64(0.5).unwrap()),
        // Bytes in pieces, and a number that is no float, integer or truth (RFC 8949, 3.2.3 and 3.3).
        7 => to.writer_mut().extend_from_slice(if count == 0 { &[0x5f, 0x41, 0, 0xff] } else { &[0xf8, 0x20] }),
        8 => {
            to.array(count).unwrap();
            (0..count).for_each(|_| anything_cbor(to, dice, depth - 1));
        }
        9 => {
            to.map(count).unwrap();
            (0..2 * count).for_each(|_| anything_cbor(to, dice, depth - 1));
        }
        10 => {
            to.begin_array().unwrap();
            (0..count).for_each(|_| anything_cbor(to, dice, depth - 1));
            to.end().unwrap();
        }
        11 => {
            to.begin_map().unwrap();
            (0..2 * count).for_each(|_| anything_cbor(to, dice, depth - 1));
            to.end().unwrap();
        }
        _ => {
            to.tag(minicbor::data::Tag::new(dice.next())).unwrap();
            anything_cbor(to, dice, depth - 1);
        }
    }
}

fn grown(cbor: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    grown_cbor(&mut Decoder::new(cbor), &mut Encoder::new(&mut bytes), dice);
    bytes
}

/// This JSON with fields added to its objects, where `grows` says so of an object's depth.
fn grown_json(json: &[u8], dice: &mut Dice, grows: impl Fn(usize) -> bool) -> Vec<u8> {
    const FIELDS: [&str; 6] = [
        r#""later":null"#,
        r#""zeta":{"a":[1,{"b":-0.5e300}],"\u00e9\"":""}"#,
        r#""0":[[[]],{},"}{]["]"#,
        r#""LATER":18446744073709551616"#,
        r#""":true"#,
        r#""forgotten_by":"\\\u001b""#,
    ];
    let mut grown = Vec::new();
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    for (at, &byte) in json.iter().enumerate() {
        let added = !in_text && (byte == b'{' || byte == b'}' && json[at - 1] != b'{') && dice.chance(40);
        let field = added.then(|| *dice.pick(&FIELDS));
        if byte == b'}' && !in_text {
            if let Some(field) = field.filter(|_| grows(depth)) {
                grown.push(b',');
                // Not twice the same in one object.
                grown.extend(field.replacen('"', "\"end ", 1).bytes());
            }
            depth -= 1;
        }
        grown.push(byte);
        if byte == b'{' && !in_text {
            depth += 1;
            if let Some(field) = field.filter(|_| grows(depth)) {
                grown.extend(field.bytes());
                grown.extend(if json[at + 1] == b'}' { &b""[..] } else { b"," });
            }
        }
        in_text ^= byte == b'"' && !escaped;
        escaped = in_text && byte == b'\\' && !escaped;
    }
    grown
}

#[test]
fn fields_of_a_later_message_are_passed_over() {
    let mut longer = 0;
    each("message", |bytes, dice| {
        let later = [&bytes[..1], &grown(&bytes[1..], dice)].concat();
        longer += usize::from(later.len() > bytes.len());
        assert_eq!(Message::decode(&later), Message::decode(bytes), "{later:02x?}");
    });
    assert!(longer > 300, "only {longer} have a field more");
}

#[test]
fn fields_of_a_later_join_text_are_passed_over() {
    let framed = |bytes: &[u8]| {
        let sum = Digest::of(bytes).to_hex();
        format!("[owsync-join-1]\n{}\n[owsync-join-end {}]", Base64UrlUnpadded::encode_string(bytes), &sum[..8])
    };
    each("join", |bytes, dice| {
        if bytes[0] == 0 {
            let later = JoinText::parse(&framed(&grown(&bytes[1..], dice)));
            assert_eq!(later, JoinText::parse(&framed(&bytes[1..])));
        }
    });
}

#[test]
fn fields_of_a_later_database_are_passed_over() {
    // A node that was reverted to an earlier version keeps what that one knows. The second level of a document is the kind of
    // each line, or the predecessor's paths; the first of a journal's line likewise.
    for (target, kinds) in [("document", 2), ("journal", 1), ("history", 0)] {
        let mut longer = 0;
        each(target, |bytes, dice| {
            let numbered = target == "history" && bytes[0] == 1;
            let grow = |text: &[u8], dice: &mut Dice| grown_json(text, dice, |depth| depth != kinds);
            let later = match target {
                "document" => grow(bytes, dice),
                _ => bytes.split(|&b| b == b'\n').map(|line| grow(line, dice)).collect::<Vec<_>>().join(&b'\n'),
            };
            if !numbered {
                longer += usize::from(later.len() > bytes.len());
                assert_eq!(
                    known_from(target, &later),
                    known_from(target, bytes),
                    "{}",
                    String::from_utf8_lossy(&later)
                );
            }
        });
        assert!(longer > 20, "only {longer} of {target} have a field more");
    }
}

#[test]
fn fields_of_a_later_client_are_passed_over() {
    each("control", |bytes, dice| {
        let later = grown_json(bytes, dice, |depth| depth == 1);
        assert_eq!(control::parse(&later), control::parse(bytes), "{}", String::from_utf8_lossy(&later));
    });
}
