//! Sockets that std does not make: a port held without listening, a connection from a chosen address.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt};

use crate::wait::PATIENCE;

/// A port of the kernel's choice at this address, which no other process gets while the socket exists; `None` where the address
/// is not this machine's own. A program that sets SO_REUSEADDR, as every server does, can listen there.
pub fn hold_port(ip: IpAddr) -> Option<(OwnedFd, u16)> {
    let family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&socket, sockopt::ReuseAddr, &true).unwrap();
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(ip, 0))).ok()?;
    let bound: SockaddrStorage = socket::getsockname(socket.as_raw_fd()).unwrap();
    let port = bound.as_sockaddr_in().map(|v4| v4.port()).or(bound.as_sockaddr_in6().map(|v6| v6.port())).unwrap();
    Some((socket, port))
}

/// A connection from this address.
///
/// # Errors
/// Nothing listens there.
pub fn connect_from(source: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, 0)))?;
    socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE + Duration::from_secs(60)))?;
    Ok(stream)
}
