//! One TCP connection: bytes in, bytes out, and an end that loses neither.
//!
//! A connection is closed in steps: what is queued is written, then our direction is closed, then the rest of the other
//! side's is read and dropped until it ends or the time is up. Closing with unread bytes would send a reset, which can
//! destroy the alert that says why; and the C predecessor dies of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use crate::daemon::poller::Interest;
use crate::model::{Monotonic, limits};

/// How long the end of a connection is waited for after our last byte.
const LINGER: Duration = Duration::from_secs(2);

/// Time without an acknowledgement of what was written, after which the kernel ends a connection, in ms.
///
/// Linux measures keepalive probes by it too, from the last segment received (tcp_keepalive_timer in net/ipv4/tcp_timer.c):
/// it must have passed when the last probe is due, or an idle connection lives one interval longer.
const UNACKNOWLEDGED_MS: u32 = 25_000;

/// Idle time after which the kernel asks whether the other machine is there, in seconds.
const KEEPALIVE_IDLE: u32 = 15;
/// Time between two of these probes, in seconds.
const KEEPALIVE_INTERVAL: u32 = 4;
/// Probes without an answer after which the connection ends: 15 s + 3 x 4 s = 27 s after the last segment.
const KEEPALIVE_PROBES: u32 = 3;

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
    /// The other side ended it, or reset it.
    End,
    /// The other machine does not answer any more, or cannot be reached.
    Lost,
}

impl Conn {
    /// A connection over a stream that stands.
    pub fn new(stream: TcpStream) -> std::io::Result<Conn> {
        stream.set_nonblocking(true)?;
        // Small messages must not wait for each other; without any of these options it works too, only later.
        let _ = stream.set_nodelay(true);
        let _ = setsockopt(&stream, sockopt::TcpUserTimeout, &UNACKNOWLEDGED_MS);
        // An idle cable that dies is noticed by the kernel: no process wakes up while it is healthy.
        let _ = setsockopt(&stream, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE);
        let _ = setsockopt(&stream, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL);
        let _ = setsockopt(&stream, sockopt::TcpKeepCount, &KEEPALIVE_PROBES);
        let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
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

    /// Writes what is queued, and what `more` puts behind it, until the other side's buffers are full or there is no
    /// more; whether the connection still stands.
    ///
    /// Called when there may be more, and when the socket can be written to again: what was left over is written even
    /// when `more` has nothing.
    pub fn send(&mut self, mut more: impl FnMut(&mut Vec<u8>)) -> bool {
        loop {
            if let Some(out) = self.room() {
                more(out);
            }
            if self.queued() == 0 && self.end == End::Open {
                return true;
            }
            if !self.write() {
                return false;
            }
            if self.queued() > 0 || self.is_ending() {
                return true;
            }
        }
    }

    /// Where the session may put more to write; `None` while there is enough.
    fn room(&mut self) -> Option<&mut Vec<u8>> {
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

    /// Ends it once everything is written. `slow`: the other side may write for long, and must not be cut off.
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
    fn write(&mut self) -> bool {
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
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::ETIMEDOUT | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => Got::Lost,
                    _ => Got::End,
                },
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use nix::sys::socket::getsockopt;

    use super::*;
    use crate::daemon::poller::Poller;
    use crate::daemon::skipped;

    /// Time that only a broken build needs, in ms.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A connection and its other end.
    fn pair() -> (Conn, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        theirs.set_read_timeout(Some(PATIENCE)).unwrap();
        (Conn::new(listener.accept().unwrap().0).unwrap(), theirs)
    }

    /// Waits until `conn` has something to do, as the loop does.
    fn wait(conn: &Conn) {
        let mut poller = Poller::new();
        poller.add((), conn.fd(), conn.interest());
        assert_eq!(poller.wait(PATIENCE).len(), 1, "nothing happens any more");
    }

    /// Gives a session's bytes away, once.
    fn once(bytes: &[u8]) -> impl FnMut(&mut Vec<u8>) + '_ {
        let mut left = Some(bytes);
        move |out| out.extend_from_slice(left.take().unwrap_or_default())
    }

    /// Writes what is queued, as the loop does: whenever the socket can be written to, some of it goes.
    fn write_the_rest(conn: &mut Conn) {
        while conn.queued() > 0 {
            let before = conn.queued();
            wait(conn);
            assert!(conn.send(|_| {}));
            assert!(conn.queued() < before, "{before} bytes stay queued");
        }
    }

    /// F89
    #[test]
    fn the_kernel_asks_on_an_idle_connection_and_gives_up_within_30_s() {
        let (conn, _theirs) = pair();
        let stream = &conn.stream;
        assert!(getsockopt(stream, sockopt::KeepAlive).unwrap());
        let interval = getsockopt(stream, sockopt::TcpKeepInterval).unwrap();
        let probes = getsockopt(stream, sockopt::TcpKeepCount).unwrap();
        let seconds = getsockopt(stream, sockopt::TcpKeepIdle).unwrap() + interval * probes;
        assert!(seconds < 30, "{seconds} s");
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at / 7 % 251) as u8).collect()
    }

    #[test]
    fn what_did_not_fit_is_written_once_the_other_side_reads_on() {
        // Given more than the buffers between the two hold, and a session that has nothing more to say,
        let (mut conn, mut theirs) = pair();
        let bytes = pattern(24 * 1024 * 1024);
        assert!(conn.send(once(&bytes)));
        assert!(conn.queued() > 0, "the buffers took everything");
        assert_eq!(conn.interest(), Interest::Both);
        // when the other side reads,
        let reader = std::thread::Builder::new().spawn(move || {
            let mut got = vec![0; 24 * 1024 * 1024];
            theirs.read_exact(&mut got).unwrap();
            (got, theirs)
        });
        write_the_rest(&mut conn);
        // then all of it arrives, and the connection waits for nothing but input.
        let (got, _theirs) = reader.unwrap().join().unwrap();
        assert!(got == bytes);
        assert_eq!(conn.interest(), Interest::Read);
    }

    #[test]
    fn a_full_queue_takes_no_more_from_the_session() {
        let (mut conn, _theirs) = pair();
        let mut taken = 0;
        for _ in 0..1024 {
            assert!(conn.send(|out| {
                out.extend_from_slice(&[0; 64 * 1024]);
                taken += 64 * 1024;
            }));
        }
        let written = taken - conn.queued();
        assert!(conn.queued() < QUEUE + 64 * 1024, "{} bytes queued", conn.queued());
        assert!(taken < written + QUEUE + 64 * 1024, "{taken} bytes taken, {written} written");
    }

    #[test]
    fn an_ended_connection_says_its_last_words_and_hears_the_other_side_out() {
        let (mut conn, mut theirs) = pair();
        let now = Monotonic(1000);
        // When it is ended before the session's last words were taken,
        conn.end(now, false);
        assert!(conn.send(once(b"because")));
        // then they arrive, and then the end,
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"because");
        // nothing is taken after them,
        assert!(conn.send(|_| panic!("taken after the end")));
        // and what the other side still had to say is read, so that it is not reset before it has read ours.
        theirs.write_all(b"goodbye").unwrap();
        drop(theirs);
        let mut buffer = [0; 64];
        wait(&conn);
        assert_eq!(conn.read(&mut buffer), Got::Bytes(7));
        wait(&conn);
        assert_eq!(conn.read(&mut buffer), Got::End);
    }

    #[test]
    fn last_words_that_do_not_fit_are_written_before_the_end() {
        let (mut conn, mut theirs) = pair();
        let bytes = pattern(24 * 1024 * 1024);
        conn.end(Monotonic(0), false);
        assert!(conn.send(once(&bytes)));
        assert!(conn.queued() > 0, "the buffers took everything");
        let reader = std::thread::Builder::new().spawn(move || {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).unwrap();
            got
        });
        write_the_rest(&mut conn);
        assert!(reader.unwrap().join().unwrap() == bytes);
    }

    #[test]
    fn an_end_has_a_time_longer_for_the_predecessor() {
        let (mut conn, _theirs) = pair();
        assert_eq!(conn.poll_timeout(), Monotonic::NEVER);
        conn.end(Monotonic(1000), false);
        assert_eq!(conn.poll_timeout(), Monotonic(1000).plus(LINGER));
        // The time runs from the first end, however often it is ended.
        conn.end(Monotonic(2000), true);
        assert_eq!(conn.poll_timeout(), Monotonic(1000).plus(LINGER));

        let (mut conn, _theirs) = pair();
        conn.end(Monotonic(1000), true);
        assert_eq!(conn.poll_timeout(), Monotonic(1000).plus(limits::PREDECESSOR_TIME));
    }

    #[test]
    fn a_connection_that_broke_is_an_end_and_no_signal_f30() {
        let (mut conn, theirs) = pair();
        // Closing with unread bytes resets the connection.
        assert!(conn.send(once(b"unread")));
        let mut poller = Poller::new();
        poller.add((), theirs.as_fd(), Interest::Read);
        assert_eq!(poller.wait(PATIENCE).len(), 1);
        drop(theirs);
        wait(&conn);
        assert_eq!(conn.read(&mut [0; 64]), Got::End);
        // What is written into it is refused.
        assert!(!conn.send(once(b"anybody?")));
    }

    #[test]
    fn an_idle_connection_has_nothing_to_read_and_holds_no_buffer() {
        let (mut conn, _theirs) = pair();
        assert_eq!(conn.read(&mut [0; 64]), Got::Nothing);
        assert!(conn.send(once(&pattern(64 * 1024))));
        assert_eq!(conn.queued(), 0);
        assert_eq!(conn.out.capacity(), 0);
    }

    #[test]
    fn an_ipv4_address_is_one_however_it_came() {
        let Ok(listener) = TcpListener::bind("[::]:0") else { return skipped::say("the kernel has no IPv6") };
        let port = listener.local_addr().unwrap().port();
        let _theirs = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let conn = Conn::new(listener.accept().unwrap().0).unwrap();
        assert_eq!(conn.remote(), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
