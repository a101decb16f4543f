//! One client of ubusd, without its socket: bytes in, bytes out.
//!
//! The owner gives it what was read ([`Connection::handle_bytes`]) and when time passed, takes [`Connection::poll_event`]
//! until there is nothing more, and writes [`Connection::output`]. What was read is understood one message at a time, and
//! only while little waits to be written: however many ask at once, memory holds the answers of a few.
//!
//! Questions of others are answered when their answer is known ([`Connection::answer`]), in any order, while calls of our
//! own wait for theirs. A client that is gone, or never was there, is ubusd's concern: an answer to it vanishes.
//!
//! Why no `ubus::server::UbusConnection`? It cannot declare the types of arguments, has one status for every failure,
//! answers before it returns, and blocks.

use std::collections::VecDeque;

use crate::daemon::ubus::blobmsg;
use crate::daemon::ubus::calls::{Answer, CallId, Calls, Failure, Sequence};
use crate::daemon::ubus::message::{self, Body, Message, Outbox};
use crate::daemon::ubus::methods::{self, status};
use crate::model::{Map, Monotonic, limits};
use crate::node::api::{Fault, Tree};
use crate::ops::Op;

/// Names a question between a connection and its owner; never used twice, also not after ubusd restarted.
pub type QuestionId = u64;

/// What happened.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The object has its name, and can be called.
    Named,
    /// ubusd refuses the name: it is taken, or this user may not have it. It is asked for again every
    /// [`limits::UBUS_NAME_AGAIN`].
    NameRefused,
    /// A call from a client.
    Question {
        /// To answer it by.
        id: QuestionId,
        /// What is called.
        method: &'static Op,
        /// With which arguments.
        arguments: Tree,
    },
    /// A call has its answer.
    Answer {
        /// The call.
        id: CallId,
        /// What came of it.
        answer: Answer,
    },
}

/// Why the connection must be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The stream cannot be understood any more.
    OutOfStep,
    /// ubusd does not answer.
    Silent,
}

/// A client of ubusd. See the module's text.
pub struct Connection {
    phase: Phase,
    input: Vec<u8>,
    out: Outbox,
    events: VecDeque<Event>,
    /// Who waits for an answer.
    asked: Map<QuestionId, Asker>,
    last_question: QuestionId,
    calls: Calls,
    sequence: Sequence,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is no connection.
    Away,
    /// ubusd accepted it, and has said nothing yet.
    Greeting { until: Monotonic },
    /// The name was asked for.
    Naming { seq: u16, until: Monotonic, object: Option<u32> },
    /// The name was refused.
    Nameless { again: Monotonic },
    /// The object is there.
    Named { object: u32, subscribed: bool },
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy)]
struct Asker {
    client: u32,
    seq: u16,
    object: u32,
    no_reply: bool,
}

impl Connection {
    /// A client that is not connected.
    pub fn new() -> Connection {
        Connection {
            phase: Phase::Away,
            input: Vec::new(),
            out: Outbox::default(),
            events: VecDeque::new(),
            asked: Map::new(),
            last_question: 0,
            calls: Calls::default(),
            sequence: Sequence::default(),
        }
    }

    /// Its socket is connected.
    pub fn handle_connected(&mut self, now: Monotonic) {
        self.handle_closed();
        self.phase = Phase::Greeting { until: now.plus(limits::UBUS_ANSWER_TIME) };
    }

    /// Its socket is gone: no caller waits for an answer any more, and no call gets one.
    pub fn handle_closed(&mut self) {
        self.phase = Phase::Away;
        self.input = Vec::new();
        self.out = Outbox::default();
        self.asked.clear();
        let lost = self.calls.take_all();
        self.events.retain(|event| matches!(event, Event::Answer { .. }));
        self.events.extend(lost.into_iter().map(|id| Event::Answer { id, answer: Err(Failure::Away) }));
    }

    /// Bytes were read.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Whether more should be read: not while answers wait to be written.
    pub fn wants_more(&self) -> bool {
        self.out.bytes().len() < limits::UBUS_BACKLOG
    }

    /// What is to be written.
    pub fn output(&self) -> &Outbox {
        &self.out
    }

    /// As [`Connection::output`], to take out what was written.
    pub fn output_mut(&mut self) -> &mut Outbox {
        &mut self.out
    }

    /// When [`Connection::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Monotonic {
        let phase = match self.phase {
            Phase::Greeting { until } | Phase::Naming { until, .. } => until,
            Phase::Nameless { again } => again,
            Phase::Away | Phase::Named { .. } => Monotonic::NEVER,
        };
        phase.min(self.calls.poll_timeout())
    }

    /// Time passed.
    ///
    /// # Errors
    /// [`Broken::Silent`].
    pub fn handle_timeout(&mut self, now: Monotonic) -> Result<(), Broken> {
        let late = self.calls.take_late(now);
        self.events.extend(late.into_iter().map(|id| Event::Answer { id, answer: Err(Failure::Late) }));
        match self.phase {
            Phase::Greeting { until } | Phase::Naming { until, .. } if until <= now => Err(Broken::Silent),
            Phase::Nameless { again } if again <= now => {
                self.ask_for_name(now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What happened next.
    ///
    /// # Errors
    /// [`Broken::OutOfStep`].
    pub fn poll_event(&mut self, now: Monotonic) -> Result<Option<Event>, Broken> {
        let input = std::mem::take(&mut self.input);
        let mut taken = 0;
        let outcome = loop {
            if let Some(event) = self.events.pop_front() {
                break Ok(Some(event));
            }
            if !self.wants_more() {
                break Ok(None);
            }
            match message::parse(&input[taken..]) {
                Ok(None) => break Ok(None),
                Ok(Some((message, length))) => {
                    taken += length;
                    self.handle(now, &message);
                }
                Err(message::OutOfStep) => break Err(Broken::OutOfStep),
            }
        };
        if taken < input.len() {
            self.input = input;
            self.input.drain(..taken);
        }
        outcome
    }

    /// Whether [`Connection::poll_event`] has something that did not come from ubusd.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether the object has its name.
    pub fn is_named(&self) -> bool {
        matches!(self.phase, Phase::Named { .. })
    }

    /// Answers a question: a table, and a status.
    pub fn answer(&mut self, id: QuestionId, status: i32, tree: &Tree) {
        if let Some(asker) = self.asked.remove(&id) {
            self.answer_to(asker, status, tree);
        }
    }

    /// Sends an event to all listeners for this name, and to the subscribers of the object.
    pub fn tell(&mut self, name: &str, details: &Tree) {
        // Events may be dropped: where ubusd does not read, they do not pile up.
        if !self.is_ready() || !self.wants_more() {
            return;
        }
        let seq = self.sequence.take();
        let event = Tree::map().with("id", name).with("data", details.clone());
        self.out.invoke(seq, message::EVENTS, "send", &blobmsg::encode(&event));
        if let Phase::Named { object, subscribed: true } = self.phase {
            let seq = self.sequence.take();
            self.out.notify(seq, object, name, &blobmsg::encode(details));
        }
    }

    /// Calls a method of another object; [`Event::Answer`] follows in any case.
    pub fn call(&mut self, now: Monotonic, object: &str, method: &str, arguments: &Tree) -> CallId {
        let (id, added) = self.calls.add(now, object, method, arguments);
        match (added, self.phase) {
            (Err(failure), _) => self.events.push_back(Event::Answer { id, answer: Err(failure) }),
            (Ok(()), Phase::Away) => self.handle_closed(),
            (Ok(()), Phase::Greeting { .. }) => {}
            (Ok(()), _) => self.start_calls(),
        }
        id
    }

    fn is_ready(&self) -> bool {
        !matches!(self.phase, Phase::Away | Phase::Greeting { .. })
    }

    fn handle(&mut self, now: Monotonic, message: &Message<'_>) {
        let Message { seq, peer, body } = *message;
        match body {
            Body::Hello => {
                if matches!(self.phase, Phase::Greeting { .. }) {
                    self.ask_for_name(now);
                    self.start_calls();
                }
            }
            Body::Data { object, content } => match &mut self.phase {
                Phase::Naming { seq: own, object: given, .. } if *own == seq && peer == 0 => *given = object,
                _ => self.calls.handle_data(seq, peer, object, content),
            },
            Body::Status { status, object } => self.handle_status(now, seq, peer, status, object),
            Body::Invoke { object, method, content, no_reply } => {
                let asker = Asker { client: peer, seq, object, no_reply };
                if matches!(self.phase, Phase::Named { object: own, .. } if own == object) {
                    self.handle_question(asker, method, content);
                }
            }
            Body::Subscribed { object, active } => {
                if let Phase::Named { object: own, subscribed } = &mut self.phase {
                    if *own == object {
                        *subscribed = active;
                    }
                }
            }
            Body::Other => {}
        }
    }

    fn handle_status(&mut self, now: Monotonic, seq: u16, peer: u32, status: i32, from: Option<u32>) {
        match self.phase {
            Phase::Naming { seq: own, object, .. } if own == seq && peer == 0 => {
                self.phase = match object {
                    Some(object) if status == status::OK => {
                        self.events.push_back(Event::Named);
                        Phase::Named { object, subscribed: false }
                    }
                    _ => {
                        self.events.push_back(Event::NameRefused);
                        Phase::Nameless { again: now.plus(limits::UBUS_NAME_AGAIN) }
                    }
                };
            }
            _ => {
                let ended = self.calls.handle_status(seq, peer, status, from, &mut self.out, &mut self.sequence);
                self.events.extend(ended.map(|(id, answer)| Event::Answer { id, answer }));
            }
        }
    }

    fn handle_question(&mut self, asker: Asker, name: &[u8], content: &[u8]) {
        let Some(method) = methods::named(name) else {
            return self.refuse(asker, status::METHOD_NOT_FOUND, Fault::NotFound, "there is no such method");
        };
        if self.asked.len() >= limits::UBUS_QUESTIONS {
            let why = "too many questions wait for their answers";
            return self.refuse(asker, status::NO_MEMORY, Fault::System, why);
        }
        match methods::arguments(method, content) {
            Ok(arguments) => {
                self.last_question += 1;
                self.asked.insert(self.last_question, asker);
                self.events.push_back(Event::Question { id: self.last_question, method, arguments });
            }
            Err(wrong) => self.refuse(asker, status::INVALID_ARGUMENT, Fault::Argument, &wrong),
        }
    }

    fn refuse(&mut self, asker: Asker, status: i32, fault: Fault, message: &str) {
        self.answer_to(asker, status, &methods::failure(fault, message));
    }

    fn answer_to(&mut self, asker: Asker, status: i32, tree: &Tree) {
        let Asker { client, seq, object, no_reply } = asker;
        if no_reply {
            return;
        }
        match blobmsg::encode_within(tree, limits::UBUS_ANSWER) {
            Some(content) => {
                self.out.data(seq, client, object, &content);
                self.out.status(seq, client, object, status);
            }
            None => self.out.status(seq, client, object, status::NO_MEMORY),
        }
    }

    fn ask_for_name(&mut self, now: Monotonic) {
        let seq = self.sequence.take();
        self.out.add_object(seq, methods::OBJECT, &methods::signature(methods::methods()));
        self.phase = Phase::Naming { seq, until: now.plus(limits::UBUS_ANSWER_TIME), object: None };
    }

    fn start_calls(&mut self) {
        self.calls.start(&mut self.out, &mut self.sequence);
    }
}

impl Default for Connection {
    fn default() -> Self {
        Connection::new()
    }
}
