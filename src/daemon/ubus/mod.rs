//! The object `owsync` on ubus, and calls of other objects.
//!
//! Methods, answers and events are those of the control socket ([`crate::ops`]), in ubus's form. Everything works
//! without ubus too: where its socket's directory is missing, nothing is tried at all; where ubusd is not there or goes,
//! it is retried with growing pauses, and everything is registered again.
//!
//! # Reading order
//! [`Ubus`] here is the socket. [`connection`] is what is said on it, without a socket; [`methods`] the table of what can
//! be asked; [`calls`] what we ask others. [`message`] and [`blobmsg`] are the bytes.
//!
//! Why `ubus-zero` for the bytes, and only for them? Its blob and blobmsg codecs meet data/ubus-trace.txt, the recorded
//! words of the C programs; its higher layers lack too much (see [`connection`]), and its framing is not used
//! either (see [`message`]).

pub mod blobmsg;
pub mod calls;
pub mod connection;
pub mod message;
pub mod methods;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};

use crate::daemon::env;
use crate::daemon::poller::Interest;
use crate::model::{Monotonic, limits};
use crate::node::api::{self, Level, Reply, Tree};

use crate::ops::Op;
use calls::{Answer, CallId};
use connection::{Broken, Connection, Event, QuestionId};

/// Where ubusd listens; `OWSYNC_UBUS_SOCKET` names another place, for tests.
const SOCKET: &str = "/var/run/ubus/ubus.sock";

/// Bytes read from ubusd in one step.
const READ: usize = 64 * 1024;

/// What ubus has for the loop.
#[derive(Debug, PartialEq)]
pub enum News {
    /// A call from a client; [`Ubus::answer`] follows, now or later.
    Question {
        /// To answer it by.
        id: QuestionId,
        /// The method's name.
        method: &'static str,
        /// Its arguments.
        arguments: Tree,
    },
    /// A call has its answer.
    Answer {
        /// The call.
        id: CallId,
        /// What came of it.
        answer: Answer,
    },
    /// ubusd is there, also if it was not before: what could not be called then can be called now.
    Ready,
    /// A line for the log.
    Log(Level, String),
}

/// owsync's place on ubus.
pub struct Ubus {
    socket: PathBuf,
    stream: Option<UnixStream>,
    connection: Connection,
    /// When to connect again; `NEVER` where there is no ubus.
    next: Monotonic,
    pause: Duration,
    /// ubusd was there once, so it will be again.
    met: bool,
    state: State,
    news: VecDeque<News>,
}

/// The state for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing yet.
    New,
    /// The object can be called.
    Named,
    /// Another program has its name.
    NameTaken,
    /// ubusd went.
    Lost,
}

impl Ubus {
    /// A place on the machine's ubus, to be connected at the first [`Ubus::handle_timeout`].
    pub fn new(now: Monotonic) -> Ubus {
        let socket = env::variable("OWSYNC_UBUS_SOCKET").unwrap_or_else(|| OsString::from(SOCKET));
        Ubus::at(now, socket.into())
    }

    /// As [`Ubus::new`], where ubusd listens at `socket`.
    pub fn at(now: Monotonic, socket: PathBuf) -> Ubus {
        Ubus {
            socket,
            stream: None,
            connection: Connection::new(),
            next: now,
            pause: limits::UBUS_RETRY_FIRST,
            met: false,
            state: State::New,
            news: VecDeque::new(),
        }
    }

    /// To wait on for ubusd.
    pub fn fd(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        let stream = self.stream.as_ref()?;
        let interest = match (self.connection.wants_more(), self.connection.output().bytes().is_empty()) {
            (false, _) => Interest::Write,
            (true, false) => Interest::Both,
            (true, true) => Interest::Read,
        };
        Some((stream.as_fd(), interest))
    }

    /// When [`Ubus::handle_timeout`] is to be called, and [`Ubus::poll_news`] after it.
    pub fn poll_timeout(&self) -> Monotonic {
        if !self.news.is_empty() || self.connection.has_events() {
            return Monotonic(0);
        }
        match self.stream {
            Some(_) => self.connection.poll_timeout(),
            None => self.next,
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Monotonic) {
        if self.stream.is_none() {
            if self.next <= now {
                self.connect(now);
            }
        } else if let Err(broken) = self.connection.handle_timeout(now) {
            self.lose(now, broken.text());
        }
        self.write(now);
    }

    /// Tries to connect to ubus where there was none: the configuration is being read again.
    pub fn look_again(&mut self, now: Monotonic) {
        if self.stream.is_none() {
            self.next = now;
        }
    }

    /// The socket is ready.
    pub fn pump(&mut self, now: Monotonic) {
        let mut buffer = vec![0; READ];
        while let (Some(stream), true) = (&mut self.stream, self.connection.wants_more()) {
            match stream.read(&mut buffer) {
                Ok(0) => return self.lose(now, "the peer closed the connection"),
                Ok(count) => {
                    self.connection.handle_bytes(&buffer[..count]);
                    // One step at a time: what was read is answered first.
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.lose(now, "the connection broke"),
            }
        }
        self.write(now);
    }

    /// What there is to do; `None` when all of it was taken.
    pub fn poll_news(&mut self, now: Monotonic) -> Option<News> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Some(news);
            }
            match self.connection.poll_event(now) {
                Ok(None) => {
                    let full = !self.connection.wants_more();
                    self.write(now);
                    // Writing may have failed, which is news, or made room for the next question.
                    let room = full && self.connection.wants_more();
                    if self.news.is_empty() && !room && !self.connection.has_events() {
                        return None;
                    }
                }
                Ok(Some(Event::Question { id, method: Op { name, .. }, arguments })) => {
                    return Some(News::Question { id, method: name, arguments });
                }
                Ok(Some(Event::Answer { id, answer })) => return Some(News::Answer { id, answer }),
                Ok(Some(Event::Named)) => self.note(State::Named),
                Ok(Some(Event::NameRefused)) => self.note(State::NameTaken),
                Err(broken) => self.lose(now, broken.text()),
            }
        }
    }

    /// Answers a question.
    pub fn answer(&mut self, now: Monotonic, id: QuestionId, reply: Reply) {
        let (status, tree) = methods::answer(reply);
        self.connection.answer(id, status, &tree);
        self.write(now);
    }

    /// Sends an event to all listeners.
    pub fn tell(&mut self, now: Monotonic, event: &api::Event) {
        let details = event.details.clone().with("text", event.text.clone()).with("time", event.at);
        self.connection.tell(event.name, &details);
        self.write(now);
    }

    /// Calls a method of another object; [`News::Answer`] follows in any case.
    pub fn call(&mut self, now: Monotonic, object: &str, method: &str, arguments: &Tree) -> CallId {
        let id = self.connection.call(now, object, method, arguments);
        self.write(now);
        id
    }

    /// For status: how it stands; `None` where there is no ubus.
    pub fn state(&self) -> Option<&'static str> {
        match self.state {
            State::New => None,
            State::Named => Some("registered"),
            State::NameTaken => Some("name taken"),
            State::Lost => Some("not connected"),
        }
    }

    /// For status: a fault that the user should fix.
    pub fn problem(&self) -> Option<String> {
        (self.state == State::NameTaken).then(name_taken)
    }

    fn connect(&mut self, now: Monotonic) {
        match open(&self.socket) {
            Ok(stream) => {
                self.stream = Some(stream);
                self.connection.handle_connected(now);
            }
            Err(_) => self.wait(now),
        }
    }

    /// Waits before the next try; for ever where nothing says that there is an ubus.
    fn wait(&mut self, now: Monotonic) {
        let there = self.met || self.socket.parent().is_some_and(std::path::Path::is_dir);
        self.next = if there { now.plus(self.pause) } else { Monotonic::NEVER };
        self.pause = (self.pause * 2).min(limits::UBUS_RETRY_MAX);
    }

    fn lose(&mut self, now: Monotonic, why: &str) {
        self.stream = None;
        self.connection.handle_closed();
        if self.state == State::Named || self.state == State::NameTaken {
            self.state = State::Lost;
            self.news
                .push_back(News::Log(Level::Warning, format!("ubus: connection to ubusd lost ({why}); reconnecting")));
        }
        self.wait(now);
    }

    fn note(&mut self, state: State) {
        self.met = true;
        self.pause = limits::UBUS_RETRY_FIRST;
        self.news.push_back(News::Ready);
        if self.state == state {
            return;
        }
        let (level, text) = match state {
            State::NameTaken => (Level::Error, format!("{}; retrying every 10 s", name_taken())),
            _ if self.state == State::New => (Level::Debug, "ubus: registered as owsync".into()),
            _ => (Level::Notice, "ubus: registered as owsync again".into()),
        };
        self.state = state;
        self.news.push_back(News::Log(level, text));
    }

    fn write(&mut self, now: Monotonic) {
        let Some(stream) = &mut self.stream else { return };
        let out = self.connection.output_mut();
        while !out.bytes().is_empty() {
            match stream.write(out.bytes()) {
                Ok(count) if count > 0 => out.written(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => return self.lose(now, "the connection broke"),
            }
        }
    }
}

impl Broken {
    fn text(self) -> &'static str {
        match self {
            Broken::OutOfStep => "its messages are malformed",
            Broken::Silent => "it does not respond",
        }
    }
}

fn name_taken() -> String {
    let root = nix::unistd::geteuid().is_root();
    if root {
        "ubus: the name owsync is in use by a second daemon, or by the rpcd plugin of owsync 1.x; remove /usr/libexec/rpcd/owsync, then run `service rpcd reload`".into()
    } else {
        "ubus: the name owsync cannot be registered: another program has it, or ubusd does not allow this user to publish it (/usr/share/acl.d)".into()
    }
}

/// A connected socket. Connecting to a local socket never waits, unless its queue is full: then this fails, and is tried
/// again.
fn open(path: &std::path::Path) -> nix::Result<UnixStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd.into())
}
