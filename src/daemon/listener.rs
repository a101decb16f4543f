//! Where peers connect: one or more listening sockets, tried again until they can be had.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt};

use crate::model::Monotonic;

/// Time between two attempts to have an address.
const AGAIN: Duration = Duration::from_secs(5);

/// Pause after the system had no descriptor for a connection: it would be announced again at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 64;

/// Connections accepted before anything else has its turn.
const AT_ONCE: usize = 16;

/// The listening sockets of this node.
pub struct Listener {
    host: String,
    port: u16,
    sockets: Vec<TcpListener>,
    /// Why there are none, and when to try again.
    trouble: Option<String>,
    next: Monotonic,
    paused: Monotonic,
    /// A name that is being resolved.
    resolving: Option<Receiver<Result<Vec<IpAddr>, String>>>,
}

impl Listener {
    /// Listens on `host`, an address or a name; `::` is every address of both families.
    pub fn new(now: Monotonic, host: &str, port: u16) -> Listener {
        let mut listener = Listener {
            host: host.into(),
            port,
            sockets: Vec::new(),
            trouble: None,
            next: Monotonic::NEVER,
            paused: Monotonic(0),
            resolving: None,
        };
        listener.attempt(now);
        listener
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Whether it is, or wants to be, there.
    pub fn is_at(&self, host: &str, port: u16) -> bool {
        self.host == host && self.port == port
    }

    /// Why it does not listen.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// To wait on for connections.
    pub fn fds(&self, now: Monotonic) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let open = self.paused <= now;
        self.sockets.iter().enumerate().filter(move |_| open).map(|(index, socket)| (index, socket.as_fd()))
    }

    /// When [`Listener::handle_timeout`] has something to do.
    pub fn poll_timeout(&self, now: Monotonic) -> Monotonic {
        if self.paused > now { self.paused.min(self.next) } else { self.next }
    }

    /// Tries again, if it is time to; whether that changed anything.
    pub fn handle_timeout(&mut self, now: Monotonic) -> bool {
        if self.next > now {
            return false;
        }
        let before = self.trouble.clone();
        self.attempt(now);
        before != self.trouble
    }

    /// The connections that wait at one of its sockets.
    pub fn accept(&mut self, now: Monotonic, index: usize) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        let Some(socket) = self.sockets.get(index) else { return streams };
        while streams.len() < AT_ONCE {
            match socket.accept() {
                Ok((stream, _)) => streams.push(stream),
                Err(error) => {
                    let none_left = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
                    if error.raw_os_error().is_some_and(|code| none_left.contains(&Errno::from_raw(code))) {
                        self.paused = now.plus(PAUSE);
                    }
                    break;
                }
            }
        }
        streams
    }

    fn attempt(&mut self, now: Monotonic) {
        self.next = Monotonic::NEVER;
        self.trouble = None;
        if let Err(reason) = self.bind() {
            let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
            self.trouble = Some(format!("cannot listen on {host}:{}: {reason}", self.port));
            self.next = now.plus(AGAIN);
        }
    }

    fn bind(&mut self) -> Result<(), String> {
        let addresses = match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => {
                match open(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), self.port), true) {
                    Ok(socket) => {
                        self.sockets = vec![socket];
                        return Ok(());
                    }
                    // A kernel without IPv6 listens on what it has.
                    Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL) => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
                    Err(errno) => return Err(errno.desc().into()),
                }
            }
            Ok(ip) => vec![ip],
            Err(_) => self.resolve()?,
        };
        // A name counts as had when one of its addresses is: the others may be of a family that is switched off.
        let mut last = Err("it has no address".to_string());
        self.sockets.clear();
        for ip in addresses {
            match open(SocketAddr::new(ip, self.port), false) {
                Ok(socket) => {
                    self.sockets.push(socket);
                    last = Ok(());
                }
                Err(errno) if self.sockets.is_empty() => last = Err(errno.desc().into()),
                Err(_) => {}
            }
        }
        last
    }

    /// The addresses of a name; the system's resolver may take long, so it has a thread, and the answer may be for the
    /// next attempt.
    #[allow(clippy::disallowed_methods)]
    fn resolve(&mut self) -> Result<Vec<IpAddr>, String> {
        let pending = match self.resolving.take() {
            Some(pending) => pending,
            None => {
                let (answer, pending) = channel();
                let host = self.host.clone();
                let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
                    let found = (host.as_str(), 0u16).to_socket_addrs();
                    let ips = found.map(|all| all.map(|address| address.ip()).collect());
                    let _ = answer.send(ips.map_err(|_| "its name does not resolve".to_string()));
                });
                thread.map_err(|error| error.to_string())?;
                // At start most names are in a file: half a second is worth a clean first line.
                return match pending.recv_timeout(Duration::from_millis(500)) {
                    Ok(found) => found,
                    Err(_) => {
                        self.resolving = Some(pending);
                        Err("its name is being resolved".into())
                    }
                };
            }
        };
        match pending.try_recv() {
            Ok(found) => found,
            Err(TryRecvError::Empty) => {
                self.resolving = Some(pending);
                Err("its name is being resolved".into())
            }
            Err(TryRecvError::Disconnected) => Err("its name does not resolve".into()),
        }
    }
}

fn open(address: SocketAddr, both: bool) -> Result<TcpListener, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &!both)?;
    }
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    socket::listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(socket))
}
