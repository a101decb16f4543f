//! Tests connections that are no peer's, or of a peer that misbehaves: no other peer is affected.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::json;

use owsync::proto::Message;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::ports::connect_from;
use crate::proxy::{Proxy, Way};
use crate::stranger::{Stranger, now};
use crate::wait::{promptly, until, until_within};
use crate::words::{NO_PREFACES, hello, nonsense};

/// Resident memory now, and at its highest, in KiB.
pub fn memory(node: &Node) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let find = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (find("VmRSS:"), find("VmHWM:"))
}

/// Changes go both ways between two nodes, as they should whatever else happens.
#[track_caller]
fn assert_they_sync(a: &Node, b: &Node, what: &str) {
    a.write("from-a", what);
    b.write("from-b", what);
    b.until_holds("from-a", what);
    a.until_holds("from-b", what);
}

/// Ends within a second of SIGTERM, whatever others do; started again where the machine was too busy for that.
fn ends_promptly(node: &Node) {
    promptly(Duration::from_secs(1), "the end", || {
        if !node.is_running() {
            node.start();
        }
        node.stop()
    });
}

/// F30
#[test]
fn a_port_scan_changes_nothing() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let before = a.log().lines().filter(|line| line.contains("127.0.0.1:")).count();

    for n in 0..20 {
        let stream = TcpStream::connect(a.address()).unwrap();
        if n % 2 == 0 {
            // As a scanner that resets instead of closing.
            setsockopt(&stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
        }
    }

    assert_they_sync(a, b, "after the scan");
    assert!(a.is_running());
    let after = a.log().lines().filter(|line| line.contains("127.0.0.1:")).count();
    assert!(after - before <= 20, "one line each, at most");
    // It is no more than a line at the debug level.
    a.set("log_level", "2");
    a.restart();
    let quiet = a.log().len();
    drop(TcpStream::connect(a.address()).unwrap());
    assert_they_sync(a, b, "after one more");
    assert!(!a.log()[quiet..].contains("127.0.0.1: "), "{}", &a.log()[quiet..]);
}

/// F31
#[test]
fn a_peer_that_says_nothing_delays_nobody() {
    let silent = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 66), 0)).unwrap();
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.set_peer("silent", "address", &silent.local_addr().unwrap().to_string());
    cluster.nodes().iter().for_each(Node::spawn);
    until("both answer", || cluster.nodes().iter().all(|node| node.try_status().is_some()));
    let (_held, _) = silent.accept().unwrap();

    assert_they_sync(a, b, "beside a silent one");

    until("its silence is named", || a.peer("silent")["reason"] == json!("silent"));
    ends_promptly(a);
}

/// F31
#[test]
fn a_peer_that_stops_reading_in_the_middle_delays_nobody() {
    let cluster = Cluster::running(&["a", "b", "c"]);
    let (a, b, c) = (&cluster["a"], &cluster["b"], &cluster["c"]);
    c.signal(Signal::SIGSTOP);

    // More than the kernel's buffers and a session's queue hold.
    (0..4).for_each(|n| a.write(&format!("big-{n}"), vec![n; 8 << 20]));
    assert_they_sync(a, b, "beside a stopped one");
    until("everything is at b", || (0..4).all(|n| b.exists(&format!("big-{n}"))));
    ends_promptly(a);

    c.signal(Signal::SIGCONT);
    a.start();
    cluster.until_equal();
}

/// Whether the other side has not closed it.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    matches!(stream.peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// F32
#[test]
fn fifty_idle_connections_keep_no_peer_out() {
    let cluster = Cluster::idle(&["a", "b", "c"]);
    let (a, b, c) = (&cluster["a"], &cluster["b"], &cluster["c"]);
    a.spawn();
    b.spawn();
    until("two are connected", || b.try_status().is_some_and(|status| status["peers"]["a"]["in_sync"] == json!(true)));

    let from = |n: u8| connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 1, n)), a.address()).unwrap();
    let idle: Vec<TcpStream> = (1..=50).map(from).collect();
    let begun = Instant::now();
    until_within(Duration::from_secs(4), "sixteen are left", || {
        idle.iter().filter(|stream| is_open(stream)).count() <= 16
    });
    // The oldest went first.
    if begun.elapsed() < Duration::from_secs(4) {
        assert!(idle[..34].iter().all(|stream| !is_open(stream)));
    }
    let same: Vec<TcpStream> = (0..10).map(|_| from(99)).collect();
    until_within(Duration::from_secs(4), "three of one address", || {
        same.iter().filter(|stream| is_open(stream)).count() <= 3
    });
    assert_they_sync(a, b, "beside idle ones");
    // Only `c` dials: it must get in although sixteen strangers are at the door.
    a.awaits(c);
    c.start();
    until_within(Duration::from_secs(15), "a third gets in", || a.peer("c")["connected"] == json!(true));
    cluster.until_in_sync();

    until("the last of them has had its time", || !idle.iter().chain(&same).any(is_open));
}

/// F33
#[test]
fn both_sides_may_have_much_to_send_at_once() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    // Both ways at once through a wire that holds almost nothing: each side must read while it writes.
    let wire = Proxy::between(b, a);
    for n in 0..6u8 {
        a.write(&format!("a{n}"), vec![n; 1 << 20]);
        b.write(&format!("b{n}"), vec![n + 100; 1 << 20]);
    }
    cluster.nodes().iter().for_each(Node::spawn);
    let step = 40_000;
    until("everything has passed in small steps", || {
        for way in [Way::There, Way::Back] {
            wire.allow(way, step);
        }
        a.exists("b5") && b.exists("a5") && a.tree().len() == 12 && b.tree().len() == 12
    });
    wire.open();
    cluster.until_equal();
}

/// F34
#[test]
fn garbage_ends_its_own_session_and_nothing_else() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    Stranger::expected_by(a);
    b.unset("encryption_key");
    b.set("plain_mode", "1");
    cluster.nodes().iter().for_each(Node::spawn);
    b.until_in_sync();
    a.write("f", "untouched");
    b.until_holds("f", "untouched");

    for (what, record) in nonsense() {
        let mut stranger = Stranger::meet(a, |_| ());
        stranger.say_record(&record);
        let (last, _) = stranger.until_ended();
        assert!(matches!(last, Some(Message::Bye(_))), "{what}: it says why: {last:?}");
        assert!(a.is_running(), "{what}");
    }
    // Before Hello, and instead of a preface.
    for bytes in NO_PREFACES {
        let mut stream = connect_from(Stranger::IP, a.address()).unwrap();
        stream.write_all(bytes).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(a.is_running(), "{bytes:?}");
    }

    assert_eq!(a.read("f").as_deref(), Some("untouched"));
    assert_they_sync(a, b, "after the garbage");
    a.until_logged("the peer broke the protocol");
}

/// F34
#[test]
fn a_message_may_come_byte_by_byte() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    Stranger::expected_by(a);
    a.start();
    let mut stranger = Stranger::dial(a);

    let mut record = Vec::new();
    Message::Hello(hello(now())).encode(&mut record);
    let bytes = [&u16::try_from(record.len()).unwrap().to_be_bytes()[..], &record].concat();
    stranger.stream.set_nodelay(true).unwrap();
    for byte in bytes {
        stranger.write(&[byte]);
    }

    stranger.until("a question for its index", |message| matches!(message, Message::Want { .. }));
    assert_eq!(a.peer("stranger")["connected"], json!(true));
}

/// F35
#[test]
fn announced_lengths_cost_no_memory() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    a.start();
    drop(TcpStream::connect(a.address()).unwrap());
    let (_, before) = memory(a);

    let mut streams = Vec::new();
    for n in 0..12u8 {
        let mut stream = connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 2, n / 3 + 1)), a.address()).unwrap();
        // The predecessor's frame of 32 MiB, then as much of it as is taken; or our own longest record.
        let head: &[u8] = if n % 2 == 0 { &[2, 0, 0, 0] } else { b"owsyncE1\xff\xff" };
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let chunk = vec![0x41; 64 * 1024];
        let _ = stream.write_all(head);
        for _ in 0..32 {
            if stream.write_all(&chunk).is_err() {
                break;
            }
        }
        streams.push(stream);
    }
    assert!(a.try_status().is_some());
    let (_, after) = memory(a);
    assert!(after - before < 2048, "{before} KiB before, {after} KiB at most");
}

/// A connection of the predecessor is named, and read to its end: a write to a closed connection would kill it.
#[test]
fn the_predecessor_is_named_and_read_to_its_end() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    // In plain mode no other address is accepted.
    a.set_peer("old", "address", "127.0.0.1:1");
    a.start();

    let mut stream = TcpStream::connect(a.address()).unwrap();
    let hello = br#"{"type":"Hello","hostname":"old","timestamp":1795211172.0,"version":1}"#;
    stream.write_all(&u32::try_from(hello.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(hello).unwrap();
    a.until_logged("the peer runs owsync 1.x");
    // It keeps writing its state, in pieces, and gets no reset.
    for _ in 0..50 {
        stream.write_all(&[b'x'; 20_000]).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"", "nothing that it would take for a frame");
    assert!(a.is_running());
}
