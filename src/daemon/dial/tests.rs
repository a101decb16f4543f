//! Over loopback: every answer is waited for as the loop waits.

use std::net::{Ipv4Addr, TcpListener};

use super::*;
use crate::daemon::poller::{Interest, Poller};

const NOW: Monotonic = Monotonic(86_400_000);
const PATIENCE: Duration = Duration::from_secs(20);

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address at which nothing listens, and nothing else will as long as the socket exists.
fn nobody() -> (OwnedFd, SocketAddr) {
    let socket = socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))).unwrap();
    let bound: SockaddrStorage = socket::getsockname(socket.as_raw_fd()).unwrap();
    let port = bound.as_sockaddr_in().unwrap().port();
    (socket, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
}

fn to(address: SocketAddr) -> Address {
    Address { host: address.ip().to_string(), port: address.port(), source: None }
}

/// Waits for whatever comes first, as the loop does, until an attempt ends.
fn until_the_end(dialler: &mut Dialler) -> Dialled {
    loop {
        let mut poller = Poller::new();
        poller.add(None, dialler.wake_fd(), Interest::Read);
        for (link, fd) in dialler.sockets() {
            poller.add(Some(link), fd, Interest::Write);
        }
        let ready = poller.wait(PATIENCE);
        assert!(!ready.is_empty(), "nothing happens any more");
        for token in ready {
            let ended = match token {
                Some(link) => dialler.handle_writable(NOW, link),
                None => dialler.handle_resolved(NOW).pop(),
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
    }
}

#[track_caller]
fn failure(dialled: Option<Dialled>) -> (LinkId, String) {
    match dialled {
        Some(Dialled::Failed(link, Trouble::Unreachable(text) | Trouble::Unresolved(text))) => (link, text),
        Some(Dialled::Failed(link, trouble)) => panic!("{link}: {trouble}"),
        Some(Dialled::Conn(..)) => panic!("it stands"),
        None => panic!("it is under way"),
    }
}

/// An attempt at these addresses, as if a name had been resolved to them.
fn resolved(dialler: &mut Dialler, link: LinkId, addresses: &[SocketAddr]) -> Option<Dialled> {
    let attempt = Attempt {
        source: None,
        addresses: addresses.iter().copied().collect(),
        socket: None,
        until: NOW,
        last_error: String::new(),
    };
    dialler.attempts.insert(link, attempt);
    dialler.next_address(NOW, link)
}

/// A listener whose queue is full: a connection to it gets no response.
fn silent() -> (TcpListener, Vec<TcpStream>) {
    let (listener, address) = listen();
    socket::listen(&listener, socket::Backlog::new(1).unwrap()).unwrap();
    let mut callers = Vec::new();
    while let Ok(caller) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        callers.push(caller);
        assert!(callers.len() < 100, "its queue has no end");
    }
    (listener, callers)
}

#[test]
fn an_address_is_called_and_answers() {
    let (listener, address) = listen();
    let mut dialler = Dialler::new().unwrap();
    assert!(dialler.start(NOW, 7, &to(address)).is_none());
    assert_eq!(dialler.poll_timeout(), NOW.plus(limits::DIAL_TIME));
    let Dialled::Conn(link, mut conn) = until_the_end(&mut dialler) else { panic!("it failed") };
    assert_eq!((link, conn.remote()), (7, Some(address.ip())));
    assert!(conn.send(|out| out.extend_from_slice(b"")));
    assert!(listener.accept().is_ok());
    assert_eq!((dialler.attempts.len(), dialler.poll_timeout()), (0, Monotonic::NEVER));
}

#[test]
fn an_address_that_refuses_says_so() {
    let (_held, address) = nobody();
    let mut dialler = Dialler::new().unwrap();
    let ended = dialler.start(NOW, 7, &to(address)).unwrap_or_else(|| until_the_end(&mut dialler));
    assert_eq!(failure(Some(ended)), (7, "Connection refused".into()));
    assert_eq!(dialler.attempts.len(), 0);
}

#[test]
fn a_name_is_resolved_while_the_loop_goes_on() {
    let (listener, address) = listen();
    let mut dialler = Dialler::new().unwrap();
    let by_name = Address { host: "localhost".into(), port: address.port(), source: None };
    assert!(dialler.start(NOW, 7, &by_name).is_none());
    assert_eq!((dialler.sockets().count(), dialler.resolving), (0, 1));
    // Where it leads to ::1 first, that is refused, and the next address is tried.
    assert!(matches!(until_the_end(&mut dialler), Dialled::Conn(7, _)));
    assert!(listener.accept().is_ok());
    assert_eq!(dialler.resolving, 0);
}

#[test]
fn a_name_that_leads_nowhere_is_unresolved() {
    let mut dialler = Dialler::new().unwrap();
    // No resolver asks anybody for a name of more than 255 bytes.
    let address = Address { host: format!("{}.invalid", "x.".repeat(200)), port: 1, source: None };
    assert!(dialler.start(NOW, 7, &address).is_none());
    let ended = until_the_end(&mut dialler);
    assert!(matches!(&ended, Dialled::Failed(7, Trouble::Unresolved(text)) if !text.contains(": ")));
    assert_eq!((dialler.resolving, dialler.attempts.len()), (0, 0));
}

#[test]
fn so_many_names_are_resolved_at_a_time() {
    let mut dialler = Dialler::new().unwrap();
    dialler.resolving = RESOLVING;
    let address = Address { host: "localhost".into(), port: 1, source: None };
    assert_eq!(failure(dialler.start(NOW, 7, &address)), (7, "too many names are being resolved".into()));
    // Addresses need no resolver.
    let (_listener, address) = listen();
    assert!(dialler.start(NOW, 8, &to(address)).is_none());
}

#[test]
fn each_address_of_a_name_has_its_turn() {
    let (listener, address) = listen();
    let (mute, _callers) = silent();
    let (_held, refuses) = nobody();
    let mut dialler = Dialler::new().unwrap();
    // One that refuses, one that is silent, one that answers.
    assert!(resolved(&mut dialler, 7, &[refuses, mute.local_addr().unwrap(), address]).is_none());
    while dialler.attempts[&7].addresses.len() > 1 {
        assert!(dialler.handle_writable(NOW, 7).is_none());
    }
    assert_eq!(dialler.poll_timeout(), NOW.plus(ONE_OF_SEVERAL));
    assert_eq!(dialler.handle_timeout(NOW).len(), 0);
    assert_eq!(dialler.attempts[&7].addresses.len(), 1);
    let later = NOW.plus(ONE_OF_SEVERAL);
    assert_eq!(dialler.handle_timeout(later).len(), 0);
    assert_eq!(dialler.poll_timeout(), later.plus(limits::DIAL_TIME));
    assert!(matches!(until_the_end(&mut dialler), Dialled::Conn(7, _)));
    assert!(listener.accept().is_ok());
}

#[test]
fn silence_ends_after_its_time_and_delays_no_other() {
    let (mute, _callers) = silent();
    let (listener, address) = listen();
    let mut dialler = Dialler::new().unwrap();
    assert!(dialler.start(NOW, 7, &to(mute.local_addr().unwrap())).is_none());
    assert!(dialler.start(NOW, 8, &to(address)).is_none());
    assert!(matches!(until_the_end(&mut dialler), Dialled::Conn(8, _)));
    assert!(listener.accept().is_ok());
    let mut ended = dialler.handle_timeout(NOW.plus(limits::DIAL_TIME));
    assert_eq!(failure(ended.pop()), (7, "no answer".into()));
    assert_eq!(dialler.poll_timeout(), Monotonic::NEVER);
}

#[test]
fn a_name_without_addresses_is_unreachable() {
    let mut dialler = Dialler::new().unwrap();
    assert_eq!(failure(resolved(&mut dialler, 7, &[])), (7, "it has no address".into()));
}

#[test]
fn the_source_address_is_the_one_that_was_asked_for() {
    let (listener, address) = listen();
    let mut dialler = Dialler::new().unwrap();
    let from = |source: &str| Address { source: Some(source.parse().unwrap()), ..to(address) };
    assert!(dialler.start(NOW, 7, &from("127.0.0.2")).is_none());
    assert!(matches!(until_the_end(&mut dialler), Dialled::Conn(7, _)));
    assert_eq!(listener.accept().unwrap().1.ip(), Ipv4Addr::new(127, 0, 0, 2));

    let (_, text) = failure(dialler.start(NOW, 8, &from("192.0.2.1")));
    assert_eq!(text, "cannot use the source address 192.0.2.1: Cannot assign requested address");
    let (_, text) = failure(dialler.start(NOW, 9, &from("::1")));
    assert_eq!(text, "the source address ::1 has a different address family");
}

#[test]
fn what_was_given_up_gives_nothing_any_more() {
    let (_listener, address) = listen();
    let mut dialler = Dialler::new().unwrap();
    assert!(dialler.start(NOW, 7, &to(address)).is_none());
    dialler.forget(7);
    assert_eq!((dialler.sockets().count(), dialler.poll_timeout()), (0, Monotonic::NEVER));
    assert!(dialler.handle_writable(NOW, 7).is_none());
    // A resolver that answers late frees its place, and nothing else happens.
    let by_name = Address { host: "localhost".into(), port: address.port(), source: None };
    assert!(dialler.start(NOW, 8, &by_name).is_none());
    dialler.forget(8);
    let mut poller = Poller::new();
    poller.add((), dialler.wake_fd(), Interest::Read);
    assert_eq!(poller.wait(PATIENCE).len(), 1);
    assert_eq!(dialler.handle_resolved(NOW).len(), 0);
    assert_eq!((dialler.resolving, dialler.attempts.len()), (0, 0));
}

/// F117: `fe80::1%eth0` was bound and dialled without its interface, which no kernel takes.
#[test]
fn a_link_local_address_is_on_the_interface_of_its_zone() {
    let scope = |host| match socket_address(host, 4321) {
        Some(Ok(SocketAddr::V6(address))) => (address.ip().to_string(), address.port(), address.scope_id()),
        other => panic!("{host}: {other:?}"),
    };
    let lo = if_nametoindex("lo").unwrap();
    assert_eq!(scope("fe80::1%lo"), ("fe80::1".into(), 4321, lo));
    assert_eq!(scope("fe80::1%7"), ("fe80::1".into(), 4321, 7));
    assert_eq!(scope("2001:db8::1"), ("2001:db8::1".into(), 4321, 0));
    // Where the interface is not known, the text says so.
    let error = |host| socket_address(host, 4321).unwrap().unwrap_err();
    assert_eq!(error("fe80::1%none"), "there is no interface none");
    assert!(error("fe80::1").contains("fe80::1%eth0"), "{}", error("fe80::1"));
    // What is no address is a name.
    assert!(socket_address("router", 4321).is_none());
}
