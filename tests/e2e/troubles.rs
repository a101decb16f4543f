//! What keeps nodes apart, each with a name of its own: in status and log, on both sides.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use owsync::proto::Message;
use serde_json::json;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::proxy::{Proxy, Way};
use crate::wait::{promptly, timed, until, until_within};

/// Waits until both name this reason for not being connected, in status and in the log.
#[track_caller]
fn until_both_say(cluster: &Cluster, reason: &str, texts: [&str; 2]) {
    for (node, other, text) in [("a", "b", texts[0]), ("b", "a", texts[1])] {
        let node = &cluster[node];
        until(&format!("{} says {reason}: {text}", node.name), || {
            let peer = node.peer(other);
            peer["reason"] == json!(reason) && peer["message"].as_str().is_some_and(|message| message.contains(text))
        });
        assert_eq!(node.status()["in_sync"], json!(false));
        node.until_logged(text);
    }
}

/// Two nodes that know each other, started, without waiting for them to meet.
fn strange_couple(prepare: impl FnOnce(&Node, &Node)) -> Cluster {
    let cluster = Cluster::idle(&["a", "b"]);
    prepare(&cluster["a"], &cluster["b"]);
    cluster["a"].write("f", "of a");
    cluster.nodes().iter().for_each(Node::spawn);
    until("both answer", || cluster.nodes().iter().all(|node| node.try_status().is_some()));
    cluster
}

/// F55
#[test]
#[cfg(feature = "encryption")]
fn another_key_is_named_on_both_sides() {
    let cluster = strange_couple(|_, b| b.set("encryption_key", &"ab".repeat(32)));

    until_both_say(&cluster, "wrong_key", ["wrong key", "wrong key"]);
    assert!(!cluster["b"].exists("f"));
    let fingerprints = cluster.nodes().iter().map(|node| node.status()["key_fingerprint"].clone());
    let fingerprints: Vec<_> = fingerprints.collect();
    assert!(fingerprints[0].is_string() && fingerprints[0] != fingerprints[1], "{fingerprints:?}");
}

/// F55
#[test]
#[cfg(feature = "encryption")]
fn another_mode_is_named_on_both_sides() {
    let cluster = strange_couple(|_, b| {
        b.unset("encryption_key");
        b.set("plain_mode", "1");
    });

    until_both_say(&cluster, "wrong_mode", ["the peer runs in plain mode", "this node runs in plain mode"]);
    assert!(!cluster["b"].exists("f"));
}

/// Both nodes in plain mode, with a wire between them that changes what each says.
fn tampered(change: impl Fn(Way, &mut Message) + Send + Sync + 'static) -> (Cluster, Proxy) {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    for node in [a, b] {
        node.unset("encryption_key");
        node.set("plain_mode", "1");
    }
    let wire = Proxy::tampering(b, a, Box::new(change));
    a.write("f", "of a");
    cluster.nodes().iter().for_each(Node::spawn);
    until("both answer", || cluster.nodes().iter().all(|node| node.try_status().is_some()));
    (cluster, wire)
}

/// F55
#[test]
fn clocks_that_differ_are_named_with_the_seconds_on_both_sides() {
    // b's clock is 90 s behind a's.
    let shift = |way, ms: &mut i64| *ms += if way == Way::There { -90_000 } else { 90_000 };
    let (cluster, _wire) = tampered(move |way, message| match message {
        Message::Hello(hello) => shift(way, &mut hello.wall.0),
        Message::Index(part) => shift(way, &mut part.wall.0),
        Message::Ping(wall) | Message::Pong(wall) => shift(way, &mut wall.0),
        _ => {}
    });

    until_both_say(&cluster, "clock_skew", ["s behind this node's", "s ahead of this node's"]);
    let message = cluster["a"].peer("b")["message"].as_str().unwrap().to_string();
    let seconds: u64 = message.split(' ').filter_map(|word| word.parse().ok()).next().unwrap();
    assert!((89..=92).contains(&seconds), "{message}");
    assert!(!cluster["b"].exists("f"));
}

/// F55
#[test]
fn versions_without_one_in_common_are_named_on_both_sides() {
    let (cluster, _wire) = tampered(|way, message| {
        if let (Way::There, Message::Hello(hello)) = (way, message) {
            hello.versions = (7, 9);
        }
    });

    until("a names it", || {
        let peer = cluster["a"].peer("b");
        peer["reason"] == json!("version") && peer["message"].as_str().unwrap().contains("7 to 9")
    });
    until("b names it", || cluster["b"].peer("a")["reason"] == json!("version"));
    cluster["a"].until_logged("the peer speaks versions 7 to 9");
    assert!(!cluster["b"].exists("f"));
}

/// F55
#[test]
fn a_network_fault_is_named_as_the_system_names_it() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    a.set_peer("nobody", "address", &a.closed_address().to_string());
    a.set_peer("nameless", "address", "no-such-host.invalid");
    a.start();

    until("a refused connection", || {
        let peer = a.peer("nobody");
        peer["reason"] == json!("unreachable") && peer["message"].as_str().unwrap().contains("Connection refused")
    });
    until("a name that does not resolve", || a.peer("nameless")["reason"] == json!("unresolved"));
    a.until_logged("peer nobody: unreachable: Connection refused");
}

/// F37
#[test]
#[cfg(feature = "encryption")]
fn a_bad_key_keeps_it_from_starting_and_is_named_but_never_shown() {
    for key in ["abcd", &"g".repeat(64), &"0".repeat(63), &"0".repeat(65)] {
        let cluster = Cluster::apart(&["a"]);
        let a = &cluster["a"];
        a.set("encryption_key", key);

        a.spawn();
        let (status, _) = a.until_ended();

        assert_eq!(status.code(), Some(2), "{}", a.log());
        assert!(a.log().contains("64 hexadecimal digits"), "{}", a.log());
        assert!(!a.log().contains(key), "{}", a.log());
        assert!(!a.database().exists());
    }
}

/// F54
#[test]
#[cfg(feature = "encryption")]
fn without_a_key_it_does_not_start_and_says_how_to_go_on() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    a.unset("encryption_key");
    a.set("key_file", a.home().join("no-key").to_str().unwrap());

    a.spawn();
    let (status, _) = a.until_ended();

    assert_eq!(status.code(), Some(2), "{}", a.log());
    assert!(a.log().contains("no-key does not exist") && a.log().contains("genkey"), "{}", a.log());
}

/// F54
#[test]
#[cfg(feature = "encryption")]
fn a_node_without_a_key_never_falls_back_to_plain_text() {
    let cluster = strange_couple(|_, b| {
        b.unset("encryption_key");
        b.set("plain_mode", "1");
    });
    let (a, b) = (&cluster["a"], &cluster["b"]);
    until("they met and parted", || a.peer("b")["reason"] == json!("wrong_mode"));

    a.sync();
    b.sync();

    assert!(!b.exists("f"));
    assert_eq!(a.status()["encryption"], json!(true));
}

/// F38
#[test]
fn a_daemon_whose_port_is_taken_keeps_trying_and_says_so() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    let taken = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 99), 0)).unwrap();
    let address = taken.local_addr().unwrap();
    a.set("bind_host", &address.ip().to_string());
    a.set("port", &address.port().to_string());

    a.start();

    let status = a.status();
    let text = format!("cannot listen on {address}: ");
    assert!(status["problems"][0].as_str().unwrap().starts_with(&text), "{}", status["problems"]);
    assert_eq!((&status["listen"], &status["in_sync"]), (&json!([]), &json!(false)));
    assert!(a.log().contains(&text), "{}", a.log());

    drop(taken);
    until("it listens when it can", || a.status()["listen"] == json!([address.to_string()]));
    assert_eq!(a.status()["problems"], json!([]));
    a.until_logged(&format!("listening on {address}"));
    std::net::TcpStream::connect(address).unwrap();
}

/// F38
#[test]
fn listen_ends_at_once_where_its_port_is_taken() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    let taken = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 99), 0)).unwrap();
    a.set("bind_host", &taken.local_addr().unwrap().ip().to_string());
    a.set("port", &taken.local_addr().unwrap().port().to_string());

    promptly(Duration::from_secs(1), "its end", || {
        timed(|| {
            let output = a.owsync(&["listen"]);
            assert_eq!(output.status.code(), Some(1));
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains(&format!("cannot listen on {}", taken.local_addr().unwrap())), "{text}");
        })
    });
}

/// The fault is over: no action of the user is needed.
#[test]
#[cfg(feature = "encryption")]
fn a_key_put_right_connects_by_itself() {
    let cluster = strange_couple(|_, b| b.set("encryption_key", &"ab".repeat(32)));
    let (a, b) = (&cluster["a"], &cluster["b"]);
    until("it is named", || b.peer("a")["reason"] == json!("wrong_key"));

    b.set("encryption_key", crate::node::KEY);
    b.restart();

    b.until_holds("f", "of a");
    cluster.until_equal();
    until_within(Duration::from_secs(5), "nothing of it is left in status", || a.peer("b")["reason"].is_null());
}

#[cfg(feature = "encryption")]
#[test]
fn a_node_that_was_let_in_and_is_gone_is_missed_until_a_person_forgets_it() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.set("accept", "known");
    b.dials(a);
    cluster.nodes().iter().for_each(Node::start);
    until("b waits to be accepted", || !a.status()["waiting"].as_array().unwrap().is_empty());
    assert!(a.owsync(&["accept"]).status.success());
    cluster.until_in_sync();

    b.kill();

    until("b is missed", || a.status()["in_sync"] == json!(false));
    let status = a.status();
    let summary = status["summary"].as_str().unwrap();
    assert!(summary.starts_with("not in sync: b: ") && summary.contains("peers forget"), "{summary}");
    assert_eq!(a.peer("b")["reason"], json!("away"));
    assert!(a.owsync(&["peers", "forget", "b"]).status.success());
    assert_eq!(a.status()["summary"], json!("not in sync: no peer is configured or connected"));
}

#[test]
fn plain_mode_says_at_start_who_may_exchange() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    cluster.set("plain_mode", "1");
    cluster.nodes().iter().for_each(|node| node.unset("encryption_key"));

    a.set_peer("other", "address", &format!("127.0.0.77:{}", a.port));
    a.start();
    b.dials(a);
    b.start();

    a.until_logged("plain mode: nothing is encrypted or authenticated; only the configured addresses may exchange");
    b.until_logged("only the configured addresses may exchange");
    until("b is refused", || b.peer("a")["reason"] == json!("disabled"));
}
