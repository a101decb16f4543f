//! What comes over a connection of peers.

use owsync::model::limits;
use owsync::proto::Message;
use owsync::proto::frame::{Preface, Received};

/// The first byte says how the rest is split.
pub fn frame(data: &[u8]) -> bool {
    let Some((&first, stream)) = data.split_first() else { return false };
    let (most, piece) =
        (if first & 1 == 0 { limits::HANDSHAKE_MAX } else { limits::RECORD_MAX }, usize::from(first >> 1) + 1);
    let take = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut received = Received::default();
        let mut records: Vec<Vec<u8>> = Vec::new();
        let mut end = None;
        for piece in pieces {
            received.push(piece);
            while end.is_none() {
                match received.record(most) {
                    Ok(Some(record)) => records.push(record.to_vec()),
                    Ok(None) => break,
                    Err(error) => end = Some(error),
                }
            }
            assert!(end.is_some() || received.rest().len() < most + 2, "more than a record waits");
        }
        (records, end)
    };
    let whole = take(&mut std::iter::once(stream));
    assert_eq!(take(&mut stream.chunks(piece)), whole);
    assert!(whole.0.iter().map(|record| record.len() + 2).sum::<usize>() <= stream.len());
    // What a preface is does not change once it can be told.
    let mut known = None;
    for end in 0..=stream.len().min(16) {
        let preface = Preface::read(&stream[..end]);
        assert!(known.is_none() || preface == known);
        known = preface;
    }
    whole.1.is_none() && !whole.0.is_empty()
}

pub fn message(data: &[u8]) -> bool {
    let Ok(message) = Message::decode(data) else { return false };
    let mut written = Vec::new();
    message.encode(&mut written);
    // Texts of a peer are made printable, which makes them longer, and cut: the rest must come back as it was.
    let again = Message::decode(&written).expect("what is written can be read");
    let mut twice = Vec::new();
    again.encode(&mut twice);
    match (&message, &again) {
        (Message::Index(a), Message::Index(b)) => assert_eq!(a, b),
        (Message::Request { .. } | Message::Data(_) | Message::Want { .. }, _) => assert_eq!(message, again),
        (Message::Ping(_) | Message::Pong(_) | Message::Unknown(_), _) => assert_eq!(message, again),
        _ => assert_eq!(std::mem::discriminant(&message), std::mem::discriminant(&again)),
    }
    assert!(texts(&message).iter().all(|text| !text.contains(char::is_control)), "{message:?}");
    if let Message::Index(part) = &message {
        for offer in &part.entries {
            assert!(offer.entry.version.pairs().len() <= limits::VERSION_IDS_JOINED);
            let size = owsync::proto::message::offer_size(&offer.path, &offer.entry);
            assert!(size <= limits::MESSAGE_MAX || !fits(offer), "an offer that no message can hold");
        }
    }
    !matches!(message, Message::Unknown(_))
}

/// The part that is shown to users.
fn texts(message: &Message) -> Vec<String> {
    match message {
        Message::Hello(hello) => {
            let held = hello.shares.iter().filter_map(|share| share.held.as_ref()).map(ToString::to_string);
            held.chain([hello.name.to_string(), hello.program.to_string()]).collect()
        }
        Message::Bye(bye) => vec![bye.text.to_string()],
        Message::ShareNews { held, .. } => held.iter().map(ToString::to_string).collect(),
        Message::Unavailable { reason, .. } => vec![reason.to_string()],
        Message::Progress(progress) => progress.paths.iter().map(|(_, reason)| reason.to_string()).collect(),
        _ => Vec::new(),
    }
}

/// Whether this node would ever have made it: a peer may send longer versions than an edit leaves.
fn fits(offer: &owsync::proto::message::Offer) -> bool {
    let pairs =
        offer.entry.version.pairs().len() + offer.entry.given_up.as_ref().map_or(0, |it| it.edits.pairs().len());
    pairs <= 2 * limits::VERSION_IDS_JOINED
}

#[cfg(feature = "encryption")]
pub mod encryption {
    use owsync::model::{Key, Monotonic, WallTime};
    use owsync::proto::handshake::public_key;
    use owsync::proto::session::Mode;
    use owsync::proto::{Credentials, Event, Session};

    use super::*;
    use crate::fuzz::Source;

    const START: Monotonic = Monotonic(1000);

    fn mode(identity: u8) -> Mode {
        let key = |byte| Key::new([byte; 32]);
        Mode::Encrypted(Credentials { key: key(5), previous: Some(key(6)), identity: key(identity) })
    }

    /// Who dials and who answers; with the same random numbers every time, so that what one wrote can be played again.
    pub fn ends() -> [Session; 2] {
        [Session::dial(START, mode(1), false, [3; 32]), Session::answer(START, mode(2), [4; 32])]
    }

    fn events(session: &mut Session) -> Vec<Event> {
        std::iter::from_fn(|| session.poll_event()).collect()
    }

    /// A stranger writes to a node that answers, and to one that dialled.
    pub fn handshake(data: &[u8]) -> bool {
        let Some((&first, stream)) = data.split_first() else { return false };
        let piece = usize::from(first) + 1;
        let mut opened = false;
        for mut session in ends() {
            let mut sent = Vec::new();
            for piece in stream.chunks(piece) {
                session.handle_bytes(piece);
                session.poll_transmit(&mut sent);
            }
            let said = events(&mut session);
            // The preface and two messages of a handshake are all a stranger can make a node write.
            assert!(sent.len() <= 8 + 2 + 48 + 2 + 96, "{} bytes to a stranger", sent.len());
            // Only the one recorded session with these very keys opens: no other session makes its messages.
            for event in &said {
                if let Event::Open { public_key: theirs } = event {
                    let known = [1, 2].map(|identity| Some(public_key(&Key::new([identity; 32]))));
                    assert!(known.contains(theirs), "a stranger came in");
                    opened = true;
                }
            }
            let ended = said.iter().filter(|event| matches!(event, Event::Ended(_))).count();
            assert_eq!(ended, usize::from(session.is_ended()));
            session.handle_timeout(START.plus(limits::HANDSHAKE_TIME));
            assert!(session.is_ended() || !session.poll_timeout().lt(&Monotonic::NEVER), "silence never ends");
        }
        opened
    }

    /// Two nodes exchange, and a program between them cuts, changes, repeats, swaps and drops what they write.
    pub fn session(data: &[u8]) -> bool {
        let mut source = Source::new(data);
        let mut ends = ends();
        // On the wire to each end.
        let mut wires: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
        let mut said: [Vec<Message>; 2] = [Vec::new(), Vec::new()];
        let mut heard: [Vec<Message>; 2] = [Vec::new(), Vec::new()];
        let mut last: Vec<u8> = Vec::new();
        let mut touched = false;
        let mut count = 0;
        while !source.is_empty() {
            let op = source.byte();
            let to = usize::from(op & 1);
            match op >> 1 & 7 {
                0 => {
                    count += 1;
                    let message = Message::Ping(WallTime(count));
                    if ends[1 - to].is_open() {
                        ends[1 - to].send(&message);
                        said[1 - to].push(message);
                    }
                }
                1..=3 => {
                    // A part of the bytes on the wire arrives.
                    let most = usize::from(source.byte()) + 1;
                    let rest = wires[to].split_off(most.min(wires[to].len()));
                    last = std::mem::replace(&mut wires[to], rest);
                    ends[to].handle_bytes(&last);
                }
                4 => {
                    let at = usize::from(source.byte());
                    if let Some(byte) = wires[to].get_mut(at) {
                        *byte ^= 1 << (op >> 5);
                        touched = true;
                    }
                }
                5 => {
                    touched |= !last.is_empty();
                    ends[to].handle_bytes(&last);
                }
                6 => {
                    let most = usize::from(source.byte());
                    touched |= !wires[to].is_empty() && most > 0;
                    wires[to].drain(..most.min(wires[to].len()));
                }
                _ => {
                    let foreign = source.take(usize::from(op >> 4));
                    touched |= !foreign.is_empty();
                    wires[to].extend_from_slice(foreign);
                }
            }
            for n in [0, 1] {
                let mut bytes = Vec::new();
                ends[n].poll_transmit(&mut bytes);
                wires[1 - n].extend_from_slice(&bytes);
                for event in events(&mut ends[n]) {
                    match event {
                        Event::Message(message) => heard[n].push(message),
                        Event::Open { public_key: theirs } => {
                            let other = [2, 1][n];
                            assert_eq!(theirs, Some(public_key(&Key::new([other; 32]))));
                        }
                        Event::Ended(_) => assert!(touched, "an untouched session ended"),
                    }
                }
                // Whatever happened on the way: every received message was sent, in this order, and no other.
                assert!(said[1 - n].starts_with(&heard[n]), "{:?} {:?}", said[1 - n], heard[n]);
            }
        }
        heard.iter().any(|heard| !heard.is_empty())
    }
}

#[cfg(feature = "encryption")]
pub use encryption::{handshake, session};
