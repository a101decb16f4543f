//! Connects to peers: resolves names in a thread of their own, and connects to addresses without waiting.
//!
//! Only the system's resolver knows what a name means here, and it blocks; so each name has a short-lived thread, which
//! gives its answer through a channel and wakes the loop with a byte. Everything else is one non-blocking connect after
//! the other.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, sockopt};

use crate::daemon::conn::Conn;
use crate::daemon::place::plain;
use crate::model::reason::Trouble;
use crate::model::settings::{Address, zoned};
use crate::model::{Map, Monotonic, limits};
use crate::node::LinkId;

/// Names that are resolved at a time: each costs a thread.
const RESOLVING: usize = 16;

/// Time for one address, where a name has several.
const ONE_OF_SEVERAL: Duration = Duration::from_secs(3);

type Resolved = (LinkId, Result<Vec<SocketAddr>, String>);

/// All attempts under way.
pub struct Dialler {
    attempts: Map<LinkId, Attempt>,
    resolving: usize,
    answers: Receiver<Resolved>,
    answer: Sender<Resolved>,
    wake: UnixStream,
    waker: UnixStream,
}

struct Attempt {
    source: Option<IpAddr>,
    /// Not tried yet.
    addresses: VecDeque<SocketAddr>,
    /// Being tried.
    socket: Option<OwnedFd>,
    until: Monotonic,
    last_error: String,
}

/// How an attempt ended.
pub enum Dialled {
    /// It stands.
    Conn(LinkId, Conn),
    /// It does not.
    Failed(LinkId, Trouble),
}

impl Dialler {
    /// Nothing under way.
    ///
    /// # Errors
    /// Of making the pair of sockets that wakes the loop.
    pub fn new() -> io::Result<Dialler> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let (answer, answers) = channel();
        Ok(Dialler { attempts: Map::new(), resolving: 0, answers, answer, wake, waker })
    }

    /// Begins an attempt.
    pub fn start(&mut self, now: Monotonic, link: LinkId, address: &Address) -> Option<Dialled> {
        let source = address.source;
        let mut attempt = Attempt {
            source,
            addresses: VecDeque::new(),
            socket: None,
            until: now.plus(limits::DIAL_TIME),
            last_error: String::new(),
        };
        match socket_address(&address.host, address.port) {
            Some(Ok(address)) => {
                attempt.addresses.push_back(address);
                self.attempts.insert(link, attempt);
                return self.next_address(now, link);
            }
            Some(Err(reason)) => return Some(Dialled::Failed(link, Trouble::Unreachable(reason))),
            None => {}
        }
        if self.resolving >= RESOLVING {
            return Some(Dialled::Failed(link, Trouble::Unresolved("too many names are being resolved".into())));
        }
        self.attempts.insert(link, attempt);
        match self.resolve(link, address.host.clone(), address.port) {
            Ok(()) => {
                self.resolving += 1;
                None
            }
            Err(error) => self.fail(link, Trouble::Unresolved(plain(&error))),
        }
    }

    #[allow(clippy::disallowed_methods)]
    fn resolve(&self, link: LinkId, host: String, port: u16) -> io::Result<()> {
        let answer = self.answer.clone();
        let mut waker = self.waker.try_clone()?;
        std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
            let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect).map_err(|error| {
                // "failed to lookup address information: Name or service not known": the cause is what helps.
                let text = error.to_string();
                text.rsplit(": ").next().unwrap_or(&text).to_string()
            });
            // The loop may have ended: then the answer is not needed.
            let _ = answer.send((link, found));
            let _ = waker.write(&[1]);
        })?;
        Ok(())
    }

    /// Gives an attempt up.
    pub fn forget(&mut self, link: LinkId) {
        self.attempts.remove(&link);
    }

    /// To wait on for resolved names.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// To wait on for connections, until they can be written to.
    pub fn sockets(&self) -> impl Iterator<Item = (LinkId, BorrowedFd<'_>)> {
        self.attempts.iter().filter_map(|(link, attempt)| Some((*link, attempt.socket.as_ref()?.as_fd())))
    }

    /// When [`Dialler::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Monotonic {
        let trying = self.attempts.values().filter(|attempt| attempt.socket.is_some());
        trying.map(|attempt| attempt.until).min().unwrap_or(Monotonic::NEVER)
    }

    /// Takes the resolver's answers.
    pub fn handle_resolved(&mut self, now: Monotonic) -> Vec<Dialled> {
        let mut buffer = [0; 64];
        while matches!(self.wake.read(&mut buffer), Ok(count) if count > 0) {}
        let mut ended = Vec::new();
        while let Ok((link, found)) = self.answers.try_recv() {
            self.resolving = self.resolving.saturating_sub(1);
            let Some(attempt) = self.attempts.get_mut(&link) else { continue };
            match found {
                Ok(addresses) => {
                    attempt.addresses = addresses.into();
                    ended.extend(self.next_address(now, link));
                }
                Err(error) => ended.extend(self.fail(link, Trouble::Unresolved(error))),
            }
        }
        ended
    }

    /// A socket can be written to: it is connected, or failed.
    pub fn handle_writable(&mut self, now: Monotonic, link: LinkId) -> Option<Dialled> {
        let attempt = self.attempts.get_mut(&link)?;
        let socket = attempt.socket.take()?;
        match socket::getsockopt(&socket, sockopt::SocketError) {
            Ok(0) => {
                self.attempts.remove(&link);
                match Conn::new(TcpStream::from(socket)) {
                    Ok(conn) => Some(Dialled::Conn(link, conn)),
                    Err(error) => Some(Dialled::Failed(link, Trouble::Unreachable(plain(&error)))),
                }
            }
            Ok(code) => {
                attempt.last_error = Errno::from_raw(code).desc().into();
                self.next_address(now, link)
            }
            Err(errno) => {
                attempt.last_error = errno.desc().into();
                self.next_address(now, link)
            }
        }
    }

    /// Continues with the next address where one did not respond in time.
    pub fn handle_timeout(&mut self, now: Monotonic) -> Vec<Dialled> {
        let late = |attempt: &Attempt| attempt.socket.is_some() && attempt.until <= now;
        let links: Vec<LinkId> =
            self.attempts.iter().filter(|(_, attempt)| late(attempt)).map(|(link, _)| *link).collect();
        let mut ended = Vec::new();
        for link in links {
            if let Some(attempt) = self.attempts.get_mut(&link) {
                attempt.socket = None;
                attempt.last_error = "no answer".into();
            }
            ended.extend(self.next_address(now, link));
        }
        ended
    }

    fn fail(&mut self, link: LinkId, trouble: Trouble) -> Option<Dialled> {
        self.attempts.remove(&link);
        Some(Dialled::Failed(link, trouble))
    }

    /// Tries addresses until one is under way.
    fn next_address(&mut self, now: Monotonic, link: LinkId) -> Option<Dialled> {
        loop {
            let attempt = self.attempts.get_mut(&link)?;
            let Some(address) = attempt.addresses.pop_front() else {
                let error = std::mem::take(&mut attempt.last_error);
                let error = if error.is_empty() { "it has no address".into() } else { error };
                return self.fail(link, Trouble::Unreachable(error));
            };
            match connect(address, attempt.source) {
                Ok(socket) => {
                    attempt.socket = Some(socket);
                    let time = if attempt.addresses.is_empty() { limits::DIAL_TIME } else { ONE_OF_SEVERAL };
                    attempt.until = now.plus(time);
                    return None;
                }
                Err(error) => attempt.last_error = error,
            }
        }
    }
}

/// The address that a host is, with the interface of its zone; `None` where it is a name.
///
/// # Errors
/// A link-local address without a zone, or with one that is no interface here: the text names what is missing.
pub fn socket_address(host: &str, port: u16) -> Option<Result<SocketAddr, String>> {
    let (ip, zone) = zoned(host)?;
    let scope = match (ip, zone) {
        (IpAddr::V6(_), Some(zone)) => match zone.parse::<u32>().or_else(|_| if_nametoindex(zone)) {
            Ok(scope) => scope,
            Err(_) => return Some(Err(format!("there is no interface {zone}"))),
        },
        (IpAddr::V6(ip), None) if ip.is_unicast_link_local() => {
            return Some(Err(format!("{ip} is a link-local address: write its interface after it, as {ip}%eth0")));
        }
        _ => 0,
    };
    Some(Ok(match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, port),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, scope).into(),
    }))
}

/// A connection under way.
fn connect(address: SocketAddr, source: Option<IpAddr>) -> Result<OwnedFd, String> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(family, SockType::Stream, flags, None).map_err(|errno| errno.desc().to_string())?;
    if let Some(source) = source {
        if source.is_ipv4() != address.is_ipv4() {
            return Err(format!("the source address {source} has a different address family"));
        }
        // A link-local source is on the link of the address that it goes to.
        let local = match (source, address) {
            (IpAddr::V6(source), SocketAddr::V6(to)) if source.is_unicast_link_local() => {
                SocketAddrV6::new(source, 0, 0, to.scope_id()).into()
            }
            _ => SocketAddr::new(source, 0),
        };
        let local = SockaddrStorage::from(local);
        socket::bind(socket.as_raw_fd(), &local)
            .map_err(|errno| format!("cannot use the source address {source}: {}", errno.desc()))?;
    }
    match socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(errno.desc().to_string()),
    }
}

#[cfg(test)]
mod tests;
