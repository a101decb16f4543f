//! Two sessions and the cable between them.

use owsync::model::reason::Trouble;
use owsync::model::{Monotonic, WallTime};
use owsync::proto::session::Mode;
use owsync::proto::{Event, Message, Session};

pub const START: Monotonic = Monotonic(1_000);

/// What each end has to say, with the bytes it writes.
pub struct Pair {
    pub dialled: Session,
    pub answered: Session,
    /// Everything written so far: by the dialling side, and by the answering side.
    pub wrote: [Vec<u8>; 2],
    pub events: [Vec<Event>; 2],
}

impl Pair {
    pub fn new(dials: Mode, answers: Mode) -> Pair {
        Pair::of(Session::dial(START, dials, false, [3; 32]), Session::answer(START, answers, [4; 32]))
    }

    pub fn of(dialled: Session, answered: Session) -> Pair {
        Pair { dialled, answered, wrote: [Vec::new(), Vec::new()], events: [Vec::new(), Vec::new()] }
    }

    pub fn end(&mut self, n: usize) -> &mut Session {
        if n == 0 { &mut self.dialled } else { &mut self.answered }
    }

    /// Carries everything across, in pieces as `cut` says, until both are quiet.
    pub fn run(&mut self, cut: &mut impl FnMut(usize) -> usize) -> &mut Pair {
        loop {
            let mut moved = false;
            for n in [0, 1] {
                let mut bytes = Vec::new();
                self.end(n).poll_transmit(&mut bytes);
                self.wrote[n].extend_from_slice(&bytes);
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    moved = true;
                    let (piece, later) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
                    self.end(1 - n).handle_bytes(piece);
                    rest = later;
                }
                while let Some(event) = self.end(n).poll_event() {
                    self.events[n].push(event);
                }
            }
            if !moved {
                return self;
            }
        }
    }

    /// As [`Pair::run`], each write in one piece.
    pub fn talk(&mut self) -> &mut Pair {
        self.run(&mut |all| all)
    }

    /// Why each end's session is over.
    pub fn troubles(&self) -> [Option<&Trouble>; 2] {
        [0, 1].map(|n| {
            self.events[n].iter().find_map(|event| match event {
                Event::Ended(trouble) => Some(trouble),
                Event::Open { .. } | Event::Message(_) => None,
            })
        })
    }
}

/// A session alone with bytes: what it says, and what it writes back.
pub fn alone(mut session: Session, bytes: &[u8]) -> (Vec<Event>, Vec<u8>) {
    let mut wrote = Vec::new();
    session.poll_transmit(&mut wrote);
    wrote.clear();
    session.handle_bytes(bytes);
    session.poll_transmit(&mut wrote);
    let events = std::iter::from_fn(|| session.poll_event()).collect();
    (events, wrote)
}

pub fn ping(ms: i64) -> Message {
    Message::Ping(WallTime(ms))
}

/// Checks that however the stream is split, both ends say and write the same: `begin` gives a fresh pair, `then` what is
/// done once it is quiet.
pub fn however_it_is_split(begin: impl Fn() -> Pair, then: impl Fn(&mut Pair)) {
    let mut whole = begin();
    whole.talk();
    then(&mut whole);
    whole.talk();
    let longest = whole.wrote.iter().map(Vec::len).max().unwrap();
    for at in 1..longest {
        // Every write is cut after `at` bytes; then again after each byte.
        for step in [usize::MAX, 1] {
            let mut cut = |rest: usize| if step == 1 { 1 } else { at.min(rest) };
            let mut split = begin();
            split.run(&mut cut);
            then(&mut split);
            split.run(&mut cut);
            assert_eq!(split.events, whole.events, "cut after {at}");
            assert_eq!(split.wrote, whole.wrote, "cut after {at}");
        }
    }
}
