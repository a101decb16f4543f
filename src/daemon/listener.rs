//! Listening sockets, retried until they can be bound.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt};

use crate::config::Config;
use crate::daemon::dial;
use crate::model::Monotonic;

/// Time between two attempts to have an address.
const AGAIN: Duration = Duration::from_secs(5);

/// Pause after the system had no descriptor for a connection: it would be announced again at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Before netifd was asked.
const NOT_KNOWN: &str = "their addresses are not known yet";

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 64;

/// Connections accepted before anything else has its turn.
const AT_ONCE: usize = 16;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// On an address or a name; `::` is every address of both families.
    Host(String),
    /// On the addresses of these networks of netifd, which [`Listener::set_addresses`] names.
    Networks(Vec<String>),
}

impl Where {
    /// Where a configuration says.
    pub fn of(config: &Config) -> Where {
        match config.networks.as_slice() {
            [] => Where::Host(config.bind_host.clone()),
            networks => Where::Networks(networks.to_vec()),
        }
    }
}

/// The listening sockets of this node.
pub struct Listener {
    at: Where,
    /// Addresses of the networks, or why they are not known.
    addresses: Result<Vec<IpAddr>, String>,
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
    /// Listens there.
    pub fn new(now: Monotonic, at: Where, port: u16) -> Listener {
        let mut listener = Listener {
            at,
            addresses: Err(NOT_KNOWN.into()),
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
    pub fn is_at(&self, at: &Where, port: u16) -> bool {
        self.at == *at && self.port == port
    }

    /// The addresses that its networks have now, or why they are not known; whether that changed where it listens, or why
    /// it does not. Sockets on addresses that stay are kept.
    pub fn set_addresses(&mut self, now: Monotonic, addresses: Result<Vec<IpAddr>, String>) -> bool {
        if self.addresses == addresses && self.trouble.is_none() {
            return false;
        }
        let before = (self.trouble.clone(), self.addresses());
        if addresses.is_ok() || self.sockets.is_empty() {
            // While netifd cannot be asked, the sockets stay: it is restarted, and the networks are still there.
            self.addresses = addresses;
        }
        self.attempt(now);
        before != (self.trouble.clone(), self.addresses())
    }

    /// Whether it waits for the addresses of its networks for the first time.
    pub fn is_waiting(&self) -> bool {
        matches!(&self.addresses, Err(reason) if reason == NOT_KNOWN) && matches!(self.at, Where::Networks(_))
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
        let bound = match self.at.clone() {
            Where::Host(host) => self.bind(&host),
            Where::Networks(_) => self.bind_networks(),
        };
        if let Err(reason) = bound {
            let at = match &self.at {
                Where::Host(host) if host.contains(':') => format!("[{host}]:{}", self.port),
                Where::Host(host) => format!("{host}:{}", self.port),
                Where::Networks(networks) => format!("the network {}, port {}", networks.join(", "), self.port),
            };
            self.trouble = Some(format!("cannot listen on {at}: {reason}"));
            self.next = now.plus(AGAIN);
        }
    }

    /// Listens on every address of the networks, as far as that is possible.
    fn bind_networks(&mut self) -> Result<(), String> {
        let addresses = self.addresses.clone()?;
        self.sockets.retain(|socket| socket.local_addr().is_ok_and(|at| addresses.contains(&at.ip())));
        let mut result = if addresses.is_empty() { Err("it has no address".to_string()) } else { Ok(()) };
        for ip in addresses {
            if self.sockets.iter().any(|socket| socket.local_addr().is_ok_and(|at| at.ip() == ip)) {
                continue;
            }
            match open(SocketAddr::new(ip, self.port), false) {
                Ok(socket) => self.sockets.push(socket),
                // An IPv6 address cannot be used until the kernel has made sure that no other machine has it.
                Err(errno) => result = Err(format!("{ip}: {}", errno.desc())),
            }
        }
        result
    }

    fn bind(&mut self, host: &str) -> Result<(), String> {
        let literal = dial::socket_address(host, self.port).transpose()?;
        let addresses = match literal.map(|address| (address.ip(), address)) {
            Some((IpAddr::V6(Ipv6Addr::UNSPECIFIED), _)) => {
                match open(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), self.port), true) {
                    Ok(socket) => {
                        self.sockets = vec![socket];
                        return Ok(());
                    }
                    // A kernel without IPv6 listens on what it has.
                    Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL) => {
                        vec![SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port)]
                    }
                    Err(errno) => return Err(errno.desc().into()),
                }
            }
            Some((_, address)) => vec![address],
            None => self.resolve(host)?.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect(),
        };
        // A name counts as had when one of its addresses is: the others may be of a family that is switched off.
        let mut last = Err("it has no address".to_string());
        self.sockets.clear();
        for address in addresses {
            match open(address, false) {
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
    fn resolve(&mut self, host: &str) -> Result<Vec<IpAddr>, String> {
        let pending = match self.resolving.take() {
            Some(pending) => pending,
            None => {
                let (answer, pending) = channel();
                let host = host.to_string();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::poller::{Interest, Poller};
    use crate::daemon::skipped;

    const NOW: Monotonic = Monotonic(86_400_000);

    fn host_at(host: &str) -> Where {
        Where::Host(host.into())
    }

    fn address(listener: &Listener) -> SocketAddr {
        assert_eq!(listener.trouble(), None);
        listener.addresses()[0]
    }

    /// Waits until a connection to the first of its sockets is there.
    fn wait(listener: &Listener) {
        let mut poller = Poller::new();
        let (_, fd) = listener.fds(NOW).next().unwrap();
        poller.add((), fd, Interest::Read);
        assert_eq!(poller.wait(Duration::from_secs(20)).len(), 1, "no connection arrived");
    }

    #[test]
    fn every_address_of_both_families_is_one_socket() {
        let listener = Listener::new(NOW, host_at("::"), 0);
        let port = address(&listener).port();
        assert_ne!(port, 0);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        if !address(&listener).is_ipv6() {
            return skipped::say("the kernel has no IPv6");
        }
        assert_eq!(listener.addresses().len(), 1);
        if TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_err() {
            skipped::say("loopback has no IPv6");
        }
    }

    #[test]
    fn one_address_is_listened_on_and_no_other() {
        let listener = Listener::new(NOW, host_at("127.0.0.1"), 0);
        let port = address(&listener).port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        assert!(TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), port)).is_err());
        assert!(
            listener.is_at(&host_at("127.0.0.1"), 0)
                && !listener.is_at(&host_at("::"), 0)
                && !listener.is_at(&host_at("127.0.0.1"), port)
        );
        assert_eq!(listener.poll_timeout(NOW), Monotonic::NEVER);
    }

    #[test]
    fn a_name_is_listened_on_where_it_leads() {
        let mut listener = Listener::new(NOW, host_at("localhost"), 0);
        let mut now = NOW;
        // A slow resolver's answer is for the next attempt.
        while listener.trouble() == Some("cannot listen on localhost:0: its name is being resolved") {
            now = listener.poll_timeout(now);
            listener.handle_timeout(now);
        }
        assert!(address(&listener).ip().is_loopback());
    }

    #[test]
    fn a_port_that_is_taken_is_tried_again_and_said_once_f38() {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let mut listener = Listener::new(NOW, host_at("127.0.0.1"), port);
        assert_eq!(listener.trouble().unwrap(), format!("cannot listen on 127.0.0.1:{port}: Address already in use"));
        assert_eq!((listener.addresses(), listener.fds(NOW).count()), (vec![], 0));
        assert_eq!(listener.poll_timeout(NOW), NOW.plus(AGAIN));
        // The same trouble again is no news.
        let again = NOW.plus(AGAIN);
        assert!(!listener.handle_timeout(again));
        assert!(listener.trouble().is_some());
        // Nothing is tried before its time,
        drop(other);
        assert!(!listener.handle_timeout(again));
        assert!(listener.trouble().is_some());
        // and then it is there.
        assert!(listener.handle_timeout(again.plus(AGAIN)));
        assert_eq!(address(&listener).port(), port);
        assert_eq!(listener.poll_timeout(again), Monotonic::NEVER);
    }

    #[test]
    fn an_address_of_somebody_else_is_trouble_with_its_name() {
        // TEST-NET-1 and the documentation prefix (RFC 5737, RFC 3849) belong to no machine.
        for (host, shown) in [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "[2001:db8::1]")] {
            let listener = Listener::new(NOW, host_at(host), 0);
            let trouble = listener.trouble().unwrap();
            assert!(trouble.starts_with(&format!("cannot listen on {shown}:0: ")), "{trouble}");
        }
    }

    #[test]
    fn so_many_are_let_in_before_anything_else_has_its_turn() {
        let mut listener = Listener::new(NOW, host_at("127.0.0.1"), 0);
        assert_eq!(listener.accept(NOW, 0).len(), 0);
        let to = address(&listener);
        let clients: Vec<TcpStream> = (0..AT_ONCE + 4).map(|_| TcpStream::connect(to).unwrap()).collect();
        wait(&listener);
        let first = listener.accept(NOW, 0);
        assert_eq!(first.len(), AT_ONCE);
        assert_eq!(first[0].peer_addr().unwrap(), clients[0].local_addr().unwrap());
        wait(&listener);
        assert_eq!(listener.accept(NOW, 0).len(), 4);
        assert_eq!(listener.accept(NOW, 7).len(), 0);
    }

    #[test]
    fn without_a_descriptor_left_it_pauses_instead_of_running_hot() {
        // In a process of its own, because the others need theirs.
        const ALONE: &str = "OWSYNC_LISTENER_ALONE";
        if crate::daemon::env::variable(ALONE).is_none() {
            let test = std::thread::current().name().unwrap().to_string();
            let exe = std::env::current_exe().unwrap();
            let mut command = std::process::Command::new("sh");
            command.args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"]).arg(exe).args(["--exact", &test]);
            let output = command.env(ALONE, "1").output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
            return;
        }
        let mut listener = Listener::new(NOW, host_at("127.0.0.1"), 0);
        let _client = TcpStream::connect(address(&listener)).unwrap();
        wait(&listener);
        let mut taken = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        assert_eq!(listener.accept(NOW, 0).len(), 0);
        assert_eq!(listener.fds(NOW).count(), 0);
        assert_eq!(listener.poll_timeout(NOW), NOW.plus(PAUSE));
        // Connections that arrived meanwhile are accepted afterwards.
        drop(taken);
        assert_eq!(listener.fds(NOW.plus(PAUSE)).count(), 1);
        assert_eq!(listener.accept(NOW.plus(PAUSE), 0).len(), 1);
        assert_eq!(listener.poll_timeout(NOW.plus(PAUSE)), Monotonic::NEVER);
    }

    /// F133: it listens on what the networks have, and on nothing else, and follows them.
    #[test]
    fn the_addresses_of_networks_are_followed() {
        let ips = |last: &[u8]| Ok(last.iter().map(|n| Ipv4Addr::new(127, 0, 0, *n).into()).collect::<Vec<IpAddr>>());
        let heard = |listener: &Listener| listener.addresses().iter().map(SocketAddr::ip).collect::<Vec<_>>();
        let mut listener = Listener::new(NOW, Where::Networks(vec!["lan".into(), "vpn".into()]), 0);
        let unknown = "cannot listen on the network lan, vpn, port 0: their addresses are not known yet";
        assert_eq!((listener.trouble(), heard(&listener)), (Some(unknown), Vec::new()));
        assert_eq!(listener.poll_timeout(NOW), NOW.plus(AGAIN));

        assert!(listener.set_addresses(NOW, ips(&[1, 2])));
        assert_eq!((listener.trouble(), Ok(heard(&listener))), (None, ips(&[1, 2])));
        assert_eq!(listener.poll_timeout(NOW), Monotonic::NEVER);
        let kept = listener.addresses()[1];
        assert!(!listener.set_addresses(NOW, ips(&[1, 2])));

        // An address goes and another comes; the socket on the one that stays is the same.
        assert!(listener.set_addresses(NOW, ips(&[2, 3])));
        assert_eq!(Ok(heard(&listener)), ips(&[2, 3]));
        assert!(listener.addresses().contains(&kept));

        // While netifd cannot be asked it stays as it is; a network without an address has no socket.
        assert!(!listener.set_addresses(NOW, Err("no ubus".into())));
        assert_eq!((listener.trouble(), heard(&listener).len()), (None, 2));
        assert!(listener.set_addresses(NOW, ips(&[])));
        assert_eq!(listener.trouble(), Some("cannot listen on the network lan, vpn, port 0: it has no address"));
        assert!(heard(&listener).is_empty());

        // One that cannot be bound is named and retried, and does not affect the others.
        let mut two = ips(&[1]);
        two.iter_mut().for_each(|two| two.push(Ipv4Addr::new(192, 0, 2, 1).into()));
        assert!(listener.set_addresses(NOW, two));
        assert!(listener.trouble().unwrap().contains("port 0: 192.0.2.1: "), "{:?}", listener.trouble());
        assert_eq!(heard(&listener).len(), 1);
        assert_eq!(listener.poll_timeout(NOW), NOW.plus(AGAIN));
    }
}
