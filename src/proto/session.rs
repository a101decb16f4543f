//! The state machine of one connection, without the connection.
//!
//! [`Session`] has no socket and no clock. The owner of the connection calls, in any order:
//! - [`handle_bytes`](Session::handle_bytes) with what was read,
//! - [`handle_end`](Session::handle_end) when the other side closed,
//! - [`handle_timeout`](Session::handle_timeout) when [`poll_timeout`](Session::poll_timeout) has come,
//! - [`send`](Session::send) with a message, once open;
//!
//! and after each of these [`poll_event`](Session::poll_event) and [`poll_transmit`](Session::poll_transmit) until they
//! have nothing more. After [`Event::Ended`] what is left to transmit is transmitted, and the connection closed.

use std::collections::VecDeque;

use crate::model::reason::Trouble;
use crate::model::{Monotonic, limits};
use crate::proto::frame::{self, Alert, Preface, Received};
#[cfg(feature = "encryption")]
use crate::proto::handshake::{Channel, Handshake};
use crate::proto::message::{BadMessage, Bye, ByeCode, Message};

pub use crate::proto::mode::{Credentials, Mode};

/// What a session reports to its owner.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The other side has the key; this is its identity (`None` in plain mode).
    Open {
        /// Its public key.
        public_key: Option<[u8; 32]>,
    },
    /// A message arrived.
    Message(Message),
    /// The session is over.
    Ended(Trouble),
}

enum State {
    /// Waiting for the other side's preface.
    Preface,
    #[cfg(feature = "encryption")]
    Handshake(Box<Handshake>),
    Open(Seal),
    Ended,
}

enum Seal {
    Plain,
    #[cfg(feature = "encryption")]
    Sealed(Box<Channel>),
}

/// One session. See the module's text for how to drive it.
pub struct Session {
    dialled: bool,
    mode: Mode,
    /// Random bytes for this session's one ephemeral key.
    #[cfg(feature = "encryption")]
    ephemeral: zeroize::Zeroizing<[u8; 32]>,
    state: State,
    /// A dialled session's handshake, begun before the other side's preface arrived.
    #[cfg(feature = "encryption")]
    begun: Option<Box<Handshake>>,
    /// The first message of an answered handshake fitted, and the second was sent.
    #[cfg(feature = "encryption")]
    replied: bool,
    received: Received,
    transmit: Vec<u8>,
    events: VecDeque<Event>,
    /// The handshake must be over by then; [`Monotonic::NEVER`] once it is.
    deadline: Monotonic,
    scratch: Vec<u8>,
}

impl Session {
    /// A session that this side opens. `with_previous`: use the second key, because the first was refused.
    pub fn dial(now: Monotonic, mode: Mode, with_previous: bool, ephemeral: [u8; 32]) -> Session {
        let mut session = Session::new(now, mode, true, ephemeral);
        session.transmit.extend_from_slice(Preface::bytes(session.mode.is_encrypted()));
        #[cfg(not(feature = "encryption"))]
        let _ = with_previous;
        #[cfg(feature = "encryption")]
        if let Mode::Encrypted(credentials) = &session.mode {
            let key = credentials.previous.as_ref().filter(|_| with_previous).unwrap_or(&credentials.key);
            let mut handshake = Handshake::new(true, key, &credentials.identity, &session.ephemeral);
            match handshake.write() {
                Ok(message) => frame::push_record(&mut session.transmit, &message),
                Err(error) => unreachable!("the dialling side writes first: {error}"),
            }
            session.begun = Some(Box::new(handshake));
        }
        session
    }

    /// A session that the other side opened.
    pub fn answer(now: Monotonic, mode: Mode, ephemeral: [u8; 32]) -> Session {
        Session::new(now, mode, false, ephemeral)
    }

    fn new(now: Monotonic, mode: Mode, dialled: bool, ephemeral: [u8; 32]) -> Session {
        #[cfg(not(feature = "encryption"))]
        let _ = ephemeral;
        Session {
            dialled,
            mode,
            #[cfg(feature = "encryption")]
            ephemeral: zeroize::Zeroizing::new(ephemeral),
            state: State::Preface,
            #[cfg(feature = "encryption")]
            begun: None,
            #[cfg(feature = "encryption")]
            replied: false,
            received: Received::default(),
            transmit: Vec::new(),
            events: VecDeque::new(),
            deadline: now.plus(limits::HANDSHAKE_TIME),
            scratch: Vec::new(),
        }
    }

    /// Whether messages may be sent.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether [`Event::Ended`] was, or will be, given.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether this side opened it.
    pub fn dialled(&self) -> bool {
        self.dialled
    }

    /// Bytes that wait to be transmitted.
    pub fn queued(&self) -> usize {
        self.transmit.len()
    }

    /// Takes what was read from the connection.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if self.is_ended() {
            return;
        }
        self.received.push(bytes);
        while self.advance() {}
    }

    /// The other side closed the connection.
    pub fn handle_end(&mut self) {
        self.end(Trouble::Closed);
    }

    /// To be called at the time that [`Session::poll_timeout`] named.
    pub fn handle_timeout(&mut self, now: Monotonic) {
        if now >= self.deadline {
            self.deadline = Monotonic::NEVER;
            self.end(Trouble::Silent);
        }
    }

    /// When to call [`Session::handle_timeout`].
    pub fn poll_timeout(&self) -> Monotonic {
        self.deadline
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends everything that is to be written to the connection.
    pub fn poll_transmit(&mut self, bytes: &mut Vec<u8>) {
        // What was gathered for a first exchange is not kept for the keepalives that follow.
        let mut transmit = std::mem::take(&mut self.transmit);
        if bytes.is_empty() {
            *bytes = transmit;
        } else {
            bytes.append(&mut transmit);
        }
    }

    /// Sends a message; before the session is open, and after its end, it is dropped.
    ///
    /// A message above [`limits::MESSAGE_MAX`] ends the session: the code that builds messages bounds them, and a missing bound
    /// there costs one session and not the daemon.
    pub fn send(&mut self, message: &Message) {
        let State::Open(seal) = &mut self.state else { return };
        self.scratch.clear();
        message.encode(&mut self.scratch);
        debug_assert!(self.scratch.len() <= limits::MESSAGE_MAX, "a message is never made larger than a record holds");
        if self.scratch.len() > limits::MESSAGE_MAX {
            let size = self.scratch.len();
            self.end(Trouble::Other(format!("a message of {size} bytes cannot be sent: please report this")));
            return;
        }
        match seal {
            Seal::Plain => frame::push_record(&mut self.transmit, &self.scratch),
            #[cfg(feature = "encryption")]
            Seal::Sealed(channel) => {
                if let Err(error) = channel.seal(&self.scratch, &mut self.transmit) {
                    self.end(Trouble::Other(format!("sealing failed: {error}")));
                }
            }
        }
    }

    /// Ends the session from this side; a last message must have been sent before.
    pub fn end(&mut self, trouble: Trouble) {
        if !self.is_ended() {
            self.state = State::Ended;
            self.received.clear();
            self.deadline = Monotonic::NEVER;
            self.events.push_back(Event::Ended(trouble));
        }
    }

    /// Ends a session that has not begun, with an alert to the other side.
    pub fn refuse(&mut self, alert: Alert, trouble: Trouble) {
        if !self.dialled {
            self.transmit.extend_from_slice(Preface::bytes(self.mode.is_encrypted()));
        }
        frame::push_record(&mut self.transmit, &[alert.code()]);
        self.end(trouble);
    }

    /// Does the next thing that the received bytes allow; whether there may be more.
    fn advance(&mut self) -> bool {
        match &mut self.state {
            State::Ended => false,
            State::Preface => self.read_preface(),
            #[cfg(feature = "encryption")]
            State::Handshake(_) => self.read_handshake(),
            State::Open(_) => self.read_message(),
        }
    }

    fn read_preface(&mut self) -> bool {
        let Some(preface) = Preface::read(self.received.rest()) else { return false };
        let encrypted = self.mode.is_encrypted();
        match preface {
            Preface::Predecessor => self.end(Trouble::Predecessor),
            Preface::Foreign => self.end(Trouble::Misbehaved("it is not owsync".into())),
            Preface::Unknown if self.dialled => self.end(Trouble::Version { min: 0, max: 0 }),
            Preface::Unknown => self.refuse(Alert::UnknownForm, Trouble::Version { min: 0, max: 0 }),
            Preface::Plain if encrypted && self.dialled => self.end(Trouble::PlainThere),
            Preface::Plain if encrypted => self.refuse(Alert::EncryptedMode, Trouble::PlainThere),
            Preface::Encrypted if !encrypted && self.dialled => self.end(Trouble::PlainHere),
            Preface::Encrypted if !encrypted => self.refuse(Alert::PlainMode, Trouble::PlainHere),
            Preface::Plain | Preface::Encrypted => {
                self.received.skip(frame::PREFACE);
                self.begin();
            }
        }
        true
    }

    /// The other side's preface fits this side's.
    fn begin(&mut self) {
        match &self.mode {
            Mode::Plain => {
                if !self.dialled {
                    self.transmit.extend_from_slice(Preface::bytes(false));
                }
                self.open(Seal::Plain, None);
            }
            Mode::Closed => self.end(Trouble::Other("this node has no key".into())),
            #[cfg(feature = "encryption")]
            Mode::Encrypted(credentials) => {
                let handshake = self.begun.take().unwrap_or_else(|| {
                    Box::new(Handshake::new(false, &credentials.key, &credentials.identity, &self.ephemeral))
                });
                self.state = State::Handshake(handshake);
            }
        }
    }

    fn open(&mut self, seal: Seal, public_key: Option<[u8; 32]>) {
        self.state = State::Open(seal);
        self.events.push_back(Event::Open { public_key });
    }

    #[cfg(feature = "encryption")]
    fn read_handshake(&mut self) -> bool {
        let record = match self.received.record(limits::HANDSHAKE_MAX) {
            Ok(Some(record)) => record.to_vec(),
            Ok(None) => return false,
            Err(frame::TooLong(length)) => {
                self.end(Trouble::Misbehaved(format!("a handshake record of {length} bytes")));
                return false;
            }
        };
        if let [code] = record[..] {
            self.end(trouble_of(Alert::from_code(code)));
            return false;
        }
        let State::Handshake(handshake) = &mut self.state else { return false };
        let mut read = handshake.read(&record);
        if read.is_err() && !self.dialled {
            // The first message was made with a different key: perhaps the second one. A failed handshake is of no further use.
            if let Mode::Encrypted(Credentials { previous: Some(previous), identity, .. }) = &self.mode {
                let mut second = Handshake::new(false, previous, identity, &self.ephemeral);
                read = second.read(&record);
                **handshake = second;
            }
        }
        if read.is_err() {
            // Only the first message proves the key; a side that fails later has the key and a different fault.
            if self.dialled || self.replied {
                self.end(Trouble::Misbehaved("a handshake that does not fit".into()));
            } else {
                self.refuse(Alert::KeyRefused, Trouble::KeyRefusedHere);
            }
            return false;
        }
        if !handshake.is_finished() {
            match handshake.write() {
                Ok(message) => {
                    if !self.dialled {
                        self.transmit.extend_from_slice(Preface::bytes(true));
                        self.replied = true;
                    }
                    frame::push_record(&mut self.transmit, &message);
                }
                Err(error) => self.end(Trouble::Misbehaved(format!("handshake out of turn: {error}"))),
            }
        }
        let finished = matches!(&self.state, State::Handshake(handshake) if handshake.is_finished());
        if finished {
            if let State::Handshake(handshake) = std::mem::replace(&mut self.state, State::Ended) {
                match handshake.finish() {
                    Ok((channel, public_key)) => self.open(Seal::Sealed(Box::new(channel)), Some(public_key)),
                    Err(error) => self.events.push_back(Event::Ended(Trouble::Misbehaved(format!(
                        "handshake without an identity: {error}"
                    )))),
                }
            }
        }
        true
    }

    fn read_message(&mut self) -> bool {
        let State::Open(seal) = &mut self.state else { return false };
        let record = match self.received.record(limits::RECORD_MAX) {
            Ok(Some(record)) => record,
            // RECORD_MAX is all that the length can say.
            Ok(None) | Err(_) => return false,
        };
        let decoded = match seal {
            Seal::Plain if record.len() == 1 => {
                // No message is that short: it is an alert.
                let alert = Alert::from_code(record[0]);
                self.end(trouble_of(alert));
                return false;
            }
            Seal::Plain => Message::decode(record),
            #[cfg(feature = "encryption")]
            Seal::Sealed(channel) => match channel.open(record, &mut self.scratch) {
                Ok(()) => Message::decode(&self.scratch),
                Err(_) => {
                    self.end(Trouble::Misbehaved("a record that its key did not seal, or not in this order".into()));
                    return false;
                }
            },
        };
        match decoded {
            Ok(message) => {
                self.deadline = Monotonic::NEVER;
                self.events.push_back(Event::Message(message));
                true
            }
            Err(BadMessage(how)) => {
                // The other side is informed as well: perhaps its version means something by this.
                self.send(&Message::Bye(Bye {
                    code: ByeCode::Misbehaved,
                    number: 0,
                    text: how.chars().take(200).collect(),
                }));
                self.end(Trouble::Misbehaved(how));
                false
            }
        }
    }
}

fn trouble_of(alert: Alert) -> Trouble {
    match alert {
        Alert::KeyRefused => Trouble::KeyRefusedThere,
        Alert::PlainMode => Trouble::PlainThere,
        Alert::EncryptedMode => Trouble::PlainHere,
        Alert::Full => Trouble::TooManySessions,
        Alert::NotConfigured => Trouble::DisabledThere,
        Alert::UnknownForm => Trouble::Version { min: 0, max: 0 },
        Alert::Unknown(code) => {
            Trouble::Other(format!("it refused with code {code}, which this version does not know"))
        }
    }
}
