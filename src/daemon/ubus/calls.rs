//! Calls of other objects' methods, from the question to the answer.
//!
//! A call looks its object up, invokes the method and waits. Ids of objects change whenever their programs restart, so
//! none is kept: a lookup is one short message to ubusd on the same machine. Whatever happens, every call is answered
//! exactly once, at the latest when its time is over.

use std::fmt;

use crate::daemon::ubus::blobmsg;
use crate::daemon::ubus::message::Outbox;
use crate::model::{Map, Monotonic, limits};
use crate::node::api::Tree;

/// Names a call between a connection and its caller.
pub type CallId = u64;

/// Numbers for messages, one after the other. 65,536 of them pass before one is used again, and no call waits that long.
#[derive(Debug, Default)]
pub struct Sequence(u16);

impl Sequence {
    /// The next one.
    pub fn take(&mut self) -> u16 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is no ubus at this moment.
    Away,
    /// There is no such object.
    NoObject,
    /// The object, or ubusd, refused: `UBUS_STATUS_*`.
    Refused(i32),
    /// No response in time.
    Late,
    /// The answer makes no sense.
    Garbage,
    /// Too many calls wait for their answers.
    TooMany,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Away => f.write_str("ubus is not available"),
            Failure::NoObject => f.write_str("no such object on ubus"),
            Failure::Refused(status) => write!(f, "the call failed with ubus status {status}"),
            Failure::Late => write!(f, "no response within {} s", limits::UBUS_CALL_TIME.as_secs()),
            Failure::Garbage => f.write_str("the response is malformed"),
            Failure::TooMany => f.write_str("too many calls wait for their answers"),
        }
    }
}

/// What came of a call: the table that was answered, empty where there was none.
pub type Answer = Result<Tree, Failure>;

/// Calls that wait for their answers.
#[derive(Debug, Default)]
pub struct Calls {
    open: Map<CallId, Call>,
    last: CallId,
}

#[derive(Debug)]
struct Call {
    object: String,
    method: String,
    arguments: Vec<u8>,
    until: Monotonic,
    stage: Stage,
    /// The object went between lookup and call, and is looked up once more.
    again: bool,
}

#[derive(Debug)]
enum Stage {
    /// ubusd has not said hello yet.
    Waiting,
    /// It was asked for the object's id.
    Looking { seq: u16, found: Option<u32> },
    /// The object was called.
    Invoked { seq: u16, object: u32, said: Answer },
}

impl Calls {
    /// Notes a call; [`Calls::start`] sends it on its way.
    ///
    /// # Errors
    /// [`Failure::TooMany`].
    pub fn add(
        &mut self,
        now: Monotonic,
        object: &str,
        method: &str,
        arguments: &Tree,
    ) -> (CallId, Result<(), Failure>) {
        self.last += 1;
        if self.open.len() >= limits::UBUS_CALLS {
            return (self.last, Err(Failure::TooMany));
        }
        let call = Call {
            object: object.into(),
            method: method.into(),
            arguments: blobmsg::encode(arguments),
            until: now.plus(limits::UBUS_CALL_TIME),
            stage: Stage::Waiting,
            again: false,
        };
        self.open.insert(self.last, call);
        (self.last, Ok(()))
    }

    /// Looks up the objects of all calls that wait for it.
    pub fn start(&mut self, out: &mut Outbox, sequence: &mut Sequence) {
        for call in self.open.values_mut().filter(|call| matches!(call.stage, Stage::Waiting)) {
            let seq = sequence.take();
            out.lookup(seq, &call.object);
            call.stage = Stage::Looking { seq, found: None };
        }
    }

    /// A part of an answer came in.
    pub fn handle_data(&mut self, seq: u16, peer: u32, object: Option<u32>, content: &[u8]) {
        for call in self.open.values_mut() {
            match &mut call.stage {
                Stage::Looking { seq: own, found } if *own == seq && peer == 0 => *found = object,
                Stage::Invoked { seq: own, object, said } if *own == seq && *object == peer => {
                    *said = blobmsg::decode(content).map_err(|_| Failure::Garbage);
                }
                _ => {}
            }
        }
    }

    /// An answer is over; the call that it ends, if it ends one.
    pub fn handle_status(
        &mut self,
        seq: u16,
        peer: u32,
        status: i32,
        from: Option<u32>,
        out: &mut Outbox,
        sequence: &mut Sequence,
    ) -> Option<(CallId, Answer)> {
        let (id, call) = self.open.iter_mut().find(|(_, call)| match call.stage {
            Stage::Waiting => false,
            Stage::Looking { seq: own, .. } => own == seq && peer == 0,
            Stage::Invoked { seq: own, object, .. } => own == seq && object == peer,
        })?;
        let answer = match (&mut call.stage, status) {
            (Stage::Looking { found: Some(object), .. }, 0) => {
                let (object, seq) = (*object, sequence.take());
                out.invoke(seq, object, &call.method, &call.arguments);
                call.stage = Stage::Invoked { seq, object, said: Ok(Tree::map()) };
                return None;
            }
            (Stage::Looking { .. }, 0 | 4) => Err(Failure::NoObject),
            (Stage::Invoked { said, .. }, 0) => std::mem::replace(said, Ok(Tree::map())),
            // ubusd itself says so: the program restarted just now, and its object has another id.
            (Stage::Invoked { .. }, 4) if from.is_none() && !call.again => {
                call.again = true;
                let seq = sequence.take();
                out.lookup(seq, &call.object);
                call.stage = Stage::Looking { seq, found: None };
                return None;
            }
            (_, status) => Err(Failure::Refused(status)),
        };
        let id = *id;
        self.open.remove(&id);
        Some((id, answer))
    }

    /// When the next call is late.
    pub fn poll_timeout(&self) -> Monotonic {
        self.open.values().map(|call| call.until).min().unwrap_or(Monotonic::NEVER)
    }

    /// Calls whose time is over.
    pub fn take_late(&mut self, now: Monotonic) -> Vec<CallId> {
        let late: Vec<CallId> = self.open.iter().filter(|(_, call)| call.until <= now).map(|(id, _)| *id).collect();
        late.iter().for_each(|id| drop(self.open.remove(id)));
        late
    }

    /// All calls: there is no ubus any more.
    pub fn take_all(&mut self) -> Vec<CallId> {
        std::mem::take(&mut self.open).into_keys().collect()
    }
}
