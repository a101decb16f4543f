//! One TCP connection: bytes in, bytes out, and an end that loses neither.
//!
//! A connection is closed in steps: what is queued is written, then our direction is closed, then the rest of the other
//! side's is read and dropped until it ends or the time is up. Closing with unread bytes would send a reset, which can
//! destroy the alert that says why; and the C predecessor dies of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use crate::daemon::poller::Interest;
use crate::model::{Monotonic, limits};

/// How long the end of a connection is waited for after our last byte.
const LINGER: Duration = Duration::from_secs(2);

/// Time without an acknowledgement of what was written, after which the kernel ends a connection, in ms.
const UNACKNOWLEDGED_MS: u32 = 30_000;

/// Bytes kept for writing, above which no more are taken from the session.
const QUEUE: usize = 128 * 1024;

/// A connection.
pub struct Conn {
    stream: TcpStream,
    out: Vec<u8>,
    /// How much of `out` was written.
    written: usize,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Not in sight.
    Open,
    /// When everything is written.
    Flushing { until: Monotonic },
    /// Our direction is closed.
    Waiting { until: Monotonic },
}

/// What reading gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The other side ended it, or it broke.
    End,
}

impl Conn {
    /// A connection over a stream that stands.
    pub fn new(stream: TcpStream) -> std::io::Result<Conn> {
        stream.set_nonblocking(true)?;
        // Small messages must not wait for each other; without either option it works too, only later.
        let _ = stream.set_nodelay(true);
        let _ = setsockopt(&stream, sockopt::TcpUserTimeout, &UNACKNOWLEDGED_MS);
        Ok(Conn { stream, out: Vec::new(), written: 0, end: End::Open })
    }

    /// The other side's address; an IPv4 address is one, however it came.
    pub fn remote(&self) -> Option<IpAddr> {
        self.stream.peer_addr().ok().map(|address| address.ip().to_canonical())
    }

    /// To wait on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// What to wait for.
    pub fn interest(&self) -> Interest {
        if self.queued() > 0 { Interest::Both } else { Interest::Read }
    }

    fn queued(&self) -> usize {
        self.out.len() - self.written
    }

    /// Where the session may put more to write; `None` while there is enough.
    pub fn room(&mut self) -> Option<&mut Vec<u8>> {
        if self.queued() >= QUEUE || matches!(self.end, End::Waiting { .. }) {
            return None;
        }
        self.out.drain(..self.written);
        self.written = 0;
        Some(&mut self.out)
    }

    /// Whether nothing that it says matters any more.
    pub fn is_ending(&self) -> bool {
        self.end != End::Open
    }

    /// Ends it once everything is written. `slow`: the other side may go on writing for long, and must not be cut off.
    pub fn end(&mut self, now: Monotonic, slow: bool) {
        if self.end == End::Open {
            let time = if slow { limits::PREDECESSOR_TIME } else { LINGER };
            self.end = End::Flushing { until: now.plus(time) };
        }
    }

    /// When it is over at the latest.
    pub fn poll_timeout(&self) -> Monotonic {
        match self.end {
            End::Open => Monotonic::NEVER,
            End::Flushing { until } | End::Waiting { until } => until,
        }
    }

    /// Writes what can be written; whether the connection still stands.
    pub fn write(&mut self) -> bool {
        while self.queued() > 0 {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return false,
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        // An idle connection costs no buffer.
        self.out = Vec::new();
        self.written = 0;
        if let End::Flushing { until } = self.end {
            self.end = End::Waiting { until };
            return self.stream.shutdown(Shutdown::Write).is_ok();
        }
        true
    }

    /// Reads what there is into `buffer`.
    pub fn read(&mut self, buffer: &mut [u8]) -> Got {
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Got::End,
                Ok(count) => Got::Bytes(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Got::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => Got::End,
            };
        }
    }
}
