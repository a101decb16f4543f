//! Peers that mean harm: with the wire in their hands, or with the key.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::time::Duration;

use owsync::model::Digest;
use owsync::proto::Message;
use owsync::proto::message::{Chunk, Offer, Piece};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::cluster::Cluster;
use crate::node::Node;
use crate::ports::connect_from;
use crate::proxy::{Proxy, Way};
use crate::stranger::{Stranger, main, offer, path};
use crate::wait::until;

/// F50
#[test]
#[cfg(feature = "encryption")]
fn a_recorded_session_can_be_neither_replayed_nor_reflected() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let wire = Proxy::between(b, a);
    cluster.start();
    b.write("f", "the old content");
    a.until_holds("f", "the old content");
    b.write("f", "the new content");
    a.until_holds("f", "the new content");
    let (there, back) = (wire.recorded(Way::There).remove(0), wire.recorded(Way::Back).remove(0));
    assert!(there.starts_with(b"owsyncE1") && there.len() > 500);
    assert!(!there.windows(7).any(|window| window == b"content"), "the peer is encrypted");
    drop(wire);
    b.kill();
    until("b is missed", || a.peer("b")["connected"] == json!(false));

    // Everything that b said; the same and a frame twice; what a itself said.
    let twice = [&there[..], &there[there.len() / 2..]].concat();
    for recorded in [&there, &twice, &back] {
        let mut stream = connect_from(b.ip, a.address()).unwrap();
        let _ = stream.write_all(recorded);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(a.is_running());
    }
    // What a says comes back to it while the session is fresh.
    let mut stream = connect_from(b.ip, a.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(7))).unwrap();
    let _ = stream.write_all(&there[..8 + 2 + 48]);
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            break;
        }
    }

    assert_eq!(a.read("f").as_deref(), Some("the new content"));
    assert_eq!(a.peer("b")["connected"], json!(false));
    assert_eq!(a.status()["counters"]["conflicts"], json!(0));
    b.start();
    // It reconnects automatically, directly this time.
    a.dials(b);
    b.dials(a);
    a.restart();
    b.restart();
    a.write("g", "and all is well");
    b.until_holds("g", "and all is well");
}

/// F51
#[test]
fn content_that_nobody_asked_for_ends_the_session() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    Stranger::expected_by(a);
    a.start();
    let mut stranger = Stranger::meet(a, |_| ());

    stranger.say(&Message::Data(vec![Chunk { id: 7, offset: 0, bytes: b"evil".to_vec() }]));

    let (last, _) = stranger.until_ended();
    assert!(matches!(last, Some(Message::Bye(_))), "{last:?}");
    assert!(a.tree().is_empty());
    a.until_logged("the peer broke the protocol");
}

/// F51
#[test]
fn content_that_is_not_what_was_offered_does_not_land() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    Stranger::expected_by(a);
    a.start();
    let mut stranger = Stranger::meet(a, |_| ());
    stranger.offers(vec![offer("f", b"promised", 0o644, 1)]);

    let id = stranger.until_asked()[0].id;
    stranger.say(&Message::Data(vec![Chunk { id, offset: 0, bytes: b"evil one".to_vec() }]));

    until("it is reported", || a.main()["pending"][0]["reason"] == json!("not_supplied"));
    assert!(a.tree().is_empty(), "{:?}", a.tree());
}

/// F51
#[test]
fn a_strangers_file_lands_without_set_user_id() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    Stranger::expected_by(a);
    a.start();
    let mut stranger = Stranger::meet(a, |hello| hello.rank = 1);
    stranger.offers(vec![offer("tool", b"#!", 0o6777, 1)]);

    let id = stranger.until_asked()[0].id;
    stranger.say(&Message::Data(vec![Chunk { id, offset: 0, bytes: b"#!".to_vec() }]));

    a.until_holds("tool", "#!");
    assert_eq!(a.mode("tool"), Some(0o777));
}

/// F52
#[test]
fn no_file_of_owsyncs_own_is_served_or_taken() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    Stranger::expected_by(a);
    // Everything inside the share, as the predecessor's users have it.
    let database = a.path("state.db");
    a.set("database", database.to_str().unwrap());
    a.set("exclude", "secret");
    a.write("open", "for all");
    a.write("secret", "not for peers");
    fs::create_dir_all(a.share()).unwrap();
    a.start();
    a.sync();
    let own: Vec<String> = a.tree().into_keys().filter(|name| name.starts_with("state.db")).collect();
    assert!(own.len() >= 2, "{own:?}");

    // What it offers: only what is shared.
    let mut stranger = Stranger::meet(a, |_| ());
    stranger.say(&Message::Want { share: main(), state: stranger.state, since: 0, round: 1 });
    let index =
        stranger.until("its index", |message| matches!(message, Message::Index(part) if !part.entries.is_empty()));
    let Message::Index(part) = index else { unreachable!() };
    let names: Vec<String> = part.entries.iter().map(|offer| offer.path.to_text()).collect();
    assert_eq!(names, ["open"]);

    // What it serves when asked by name.
    for (n, name) in own.iter().map(String::as_str).chain(["secret", "owsync.conf"]).enumerate() {
        let content = fs::read(a.path(name)).unwrap_or_default();
        let mut stranger = Stranger::meet(a, |hello| hello.node.0[1] = u8::try_from(n).unwrap());
        let digest = Digest(Sha256::digest(&content).into());
        let piece = Piece { id: 1, path: path(name), digest, offset: 0, length: content.len().max(1) as u64 };
        stranger.say(&Message::Request { share: main(), pieces: vec![piece] });
        let answer = stranger.until("an answer", |message| {
            matches!(message, Message::Data(_) | Message::Unavailable { .. } | Message::Bye(_))
        });
        assert!(!matches!(answer, Message::Data(_)), "{name} was served");
    }

    // What it takes: an offer for one of its own names changes nothing.
    let before = fs::read(a.path("secret")).unwrap();
    let mut stranger = Stranger::meet(a, |hello| hello.rank = 1);
    let mut entries: Vec<Offer> = own.iter().zip(1..).map(|(name, n)| offer(name, b"evil", 0o644, n)).collect();
    entries.push(offer("secret", b"evil", 0o644, 50));
    entries.push(offer("welcome", b"good", 0o644, 51));
    stranger.offers(entries);
    let pieces = stranger.until_asked();
    let wanted: Vec<String> = pieces.iter().map(|piece| piece.path.to_text()).collect();
    assert_eq!(wanted, ["welcome"]);
    stranger.say(&Message::Data(vec![Chunk { id: pieces[0].id, offset: 0, bytes: b"good".to_vec() }]));
    a.until_holds("welcome", "good");
    assert_eq!(fs::read(a.path("secret")).unwrap(), before);
}

/// F53
#[test]
fn nothing_is_written_through_a_symlink() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    // A sibling with the share's name as prefix, as the predecessor's check let pass.
    let outside = b.home().join("share-outside");
    fs::create_dir_all(outside.join("sub")).unwrap();
    fs::write(outside.join("victim"), "safe").unwrap();
    symlink(&outside, b.path("d")).unwrap();
    symlink(outside.join("victim"), b.path("file")).unwrap();
    symlink("../share-outside", b.path("relative")).unwrap();
    a.write("d/victim", "evil");
    a.write("d/new/deep", "evil");
    a.write("relative/victim", "evil");
    a.write("file", "evil");
    cluster.nodes().iter().for_each(Node::spawn);

    until("both say that not everything lands", || {
        // What symlinks are in the way of is left out by the settings of the share.
        let says =
            |node: &Node| node.try_status().is_some_and(|status| status["summary"].to_string().contains("left out"));
        says(b) && says(a)
    });
    a.write("plain", "lands all the same");
    b.until_holds("plain", "lands all the same");

    let left = crate::files::tree(&outside);
    assert_eq!(left.keys().collect::<Vec<_>>(), ["sub", "victim"]);
    assert_eq!(fs::read_to_string(outside.join("victim")).unwrap(), "safe");
    let reported = format!("{} {} {}", b.main()["pending"], b.main()["left_out"], b.main()["skipped"]);
    assert!(reported.contains("\"d") && reported.contains("\"file\""), "each is named: {reported}");
}
