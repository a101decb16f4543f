//! Small machines and greedy peers, on the real disk and network.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use owsync::model::limits;
use owsync::proto::message::{Chunk, Offer};
use owsync::proto::{Event, Message};

use crate::cluster::Cluster;
use crate::node::Node;
use crate::stranger::{Stranger, offer};
use crate::wait::until_within;

/// F78: with one descriptor per requested file, a first sync of more files than that never ends.
#[test]
fn a_first_sync_of_ten_thousand_files_ends_with_few_descriptors() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    for n in 0..100 {
        let dir = a.path(&format!("d{n}"));
        fs::create_dir_all(&dir).unwrap();
        (0..100).for_each(|m| fs::write(dir.join(m.to_string()), format!("{n} {m}")).unwrap());
    }
    // Hard and soft, so that it cannot be raised.
    b.launch_by(["sh", "-c", "ulimit -n 48 && exec \"$@\"", "sh"].map(String::from).to_vec());
    cluster.nodes().iter().for_each(Node::spawn);
    until_within(Duration::from_secs(240), "everything is there", || {
        b.path("d99/99").exists() && b.tree().len() >= 10_000
    });
    assert!(!b.log().contains("oo many open files"), "{}", b.log());
}

/// A login shell's soft limit of 1024, or less, is not what the daemon gets by with.
#[test]
fn the_daemon_raises_its_limit_of_open_files() {
    let cluster = Cluster::idle(&["a"]);
    let a = &cluster["a"];
    a.launch_by(["sh", "-c", "ulimit -S -n 64 && exec \"$@\"", "sh"].map(String::from).to_vec());
    a.start();

    let table = fs::read_to_string(format!("/proc/{}/limits", a.pid())).unwrap();

    let line = table.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [soft, hard] = [0, 1].map(|n| line.split_whitespace().nth(n).unwrap().parse().unwrap_or(u64::MAX));
    assert_eq!(soft, limits::DESCRIPTORS.min(hard), "{line}");
    assert!(soft > 64, "this machine's hard limit is too low to show anything: {line}");
}

/// Offers one-file batches as fast as it may, and supplies them, until it is stopped; how many.
fn flood(address: SocketAddr, stop: &AtomicBool, sent: &AtomicUsize) {
    let mut stranger = Stranger::meet_at(address, |hello| hello.rank = 1);
    stranger.until_wanted();
    let mut in_flight: Vec<(u64, usize)> = Vec::new();
    let mut next = 1;
    while !stop.load(Ordering::Relaxed) && next < 60_000 {
        let waiting: usize = in_flight.iter().map(|(_, count)| count).sum();
        if waiting + limits::INDEX_CHUNK <= limits::INDEX_WINDOW {
            let to = next + limits::INDEX_CHUNK as u64;
            let some: Vec<Offer> =
                (next..to).map(|n| offer(&format!("f{n}"), n.to_string().as_bytes(), 0o644, n)).collect();
            in_flight.push((to - 1, some.len()));
            sent.fetch_add(some.len(), Ordering::Relaxed);
            stranger.offers_more(some);
            next = to;
            continue;
        }
        match stranger.event() {
            Some(Event::Message(Message::Progress(progress))) => in_flight.retain(|(upto, _)| *upto > progress.heard),
            Some(Event::Message(Message::Request { pieces, .. })) => {
                let chunks = pieces.iter().map(|piece| Chunk {
                    id: piece.id,
                    offset: 0,
                    bytes: piece.path.to_text().trim_start_matches('f').as_bytes().to_vec(),
                });
                stranger.say(&Message::Data(chunks.collect()));
            }
            Some(Event::Message(_) | Event::Open { .. }) => {}
            Some(Event::Ended(_)) | None => return,
        }
    }
}

/// F101: an honest change waits 49 s for everything that another peer has sent before.
#[test]
fn an_honest_change_arrives_in_time_while_a_peer_floods_the_node() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    for node in [a, b] {
        Stranger::expected_by(node);
    }
    cluster.nodes().iter().for_each(Node::start);
    a.write("honest", "first");
    b.until_holds("honest", "first");
    let took = |content: &str| {
        let start = Instant::now();
        a.write("honest", content);
        until_within(Duration::from_secs(120), "it arrives", || b.read("honest").as_deref() == Some(content));
        start.elapsed()
    };
    let median = |what: &str| {
        let mut times: Vec<Duration> = (0..5).map(|n| took(&format!("{what} {n}"))).collect();
        times.sort_unstable();
        times[2]
    };
    let idle = median("idle").max(Duration::from_millis(250));

    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (thread_stop, thread_sent, address) = (stop.clone(), sent.clone(), b.address());
    #[allow(clippy::disallowed_methods)]
    let thread = std::thread::spawn(move || flood(address, &thread_stop, &thread_sent));
    until_within(Duration::from_secs(60), "the flood is there", || {
        sent.load(Ordering::Relaxed) >= limits::INDEX_WINDOW
    });
    let flooded = median("flooded");
    let applied = b.status()["counters"]["applied"].as_u64().unwrap();
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();

    println!("idle {idle:?}, with a flood {flooded:?}, {applied} applied");
    assert!(applied > 50, "the flood was no flood: {applied}");
    assert!(flooded <= 5 * idle, "{flooded:?}, idle {idle:?}");
}
