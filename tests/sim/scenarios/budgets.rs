//! What a small machine keeps of its peers, and with how little of its own it gets by.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use owsync::model::{Digest, Entry, Kind, StateId, Version, WallTime, limits};
use owsync::proto::Message;
use owsync::proto::message::{Chunk, Offer, offer_size};

use super::{couple, tree};
use crate::world::stranger::Stranger;
use crate::world::{World, main, path};

/// A path of about `length` bytes.
fn long(name: &str, length: usize) -> String {
    let dir = "d".repeat(200);
    let deep = vec![dir.as_str(); (length - name.len()) / 201].join("/");
    let last = length - deep.len() - name.len();
    format!("{deep}/{}{name}", "x".repeat(last.min(200)))
}

/// F69: a Progress that is not bounded by bytes while it is built ends the daemon, again after every restart.
#[test]
fn pending_paths_of_any_length_are_reported_and_stop_nobody() {
    // Given a machine that takes no large files, and a peer that has forty of them under paths of 3,900 bytes,
    let mut world = World::new(6900, 2);
    world.pair(0, 1);
    world.share_settings(1).max_file_size = 10;
    for n in 0..40 {
        assert!(world.user(0).write(&path(&long(&format!("f{n}"), 3_900)), b"longer than that"));
    }
    world.start_all();
    // when they meet, then all of them are pending,
    assert!(world.run_until(Duration::from_secs(60), |world| world.owed(1).len() == 40));
    // and the rest goes on, also after a restart.
    world.write(0, "dhcp", "one");
    assert!(world.run_until(Duration::from_secs(5), |world| world.read(1, "dhcp").as_deref() == Some("one")));
    world.stop(1);
    world.start(1);
    world.write(0, "dhcp", "two");
    assert!(world.run_until(Duration::from_secs(20), |world| world.read(1, "dhcp").as_deref() == Some("two")));
}

/// F78: with one descriptor per requested file, a first sync of more files than that never ends.
#[test]
fn a_first_sync_of_many_files_needs_a_handful_of_descriptors() {
    sync_with_few_descriptors(7800, (0..2_500).map(|n| (format!("d{}/f{n}", n % 50), format!("{n}"))).collect());
}

/// A first sync of these files to a machine that can open eight, which is always enough.
fn sync_with_few_descriptors(seed: u64, files: BTreeMap<String, String>) {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.put(0, &files);
    world.machines[1].disk.0.borrow_mut().descriptors = 8;
    world.start_all();
    world.settle();
    assert_eq!(world.tree(1), files);
    let disk = world.machines[1].disk.0.borrow();
    assert_eq!(disk.exhausted.get(), 0, "{} at once", disk.most_open.get());
}

/// F78: with one descriptor per requested file, a first sync of more files than that never ends.
#[test]
fn descriptors_that_are_used_up_for_a_while_lose_nothing_and_everything_goes_on() {
    for few in 0..3 {
        // Given two machines in sync, when one of them has hardly a descriptor left,
        let mut world = couple(7801 + few as u64);
        world.put(0, &tree! { "kept" => "k", "d/deep" => "1", "gone" => "g" });
        world.settle();
        let files = (0..300).map(|n| (format!("f{n}"), format!("{n}"))).collect();
        world.machines[1].disk.0.borrow_mut().descriptors = few;
        world.put(0, &files);
        world.write(1, "d/deep", "2");
        world.remove(0, "gone");
        // and scans, restarts and retries fall into that time,
        world.run(Duration::from_secs(150));
        assert!(few > 1 || world.machines[1].disk.0.borrow().exhausted.get() > 0);
        // then nothing is taken for deleted or unreadable,
        assert_eq!(world.read(0, "kept").as_deref(), Some("k"));
        world.machines[1].disk.0.borrow_mut().descriptors = usize::MAX;
        // and afterwards all is well without anybody's help.
        world.settle();
        let mut all: BTreeMap<String, String> = files;
        all.extend(tree! { "kept" => "k", "d/deep" => "2" });
        assert_eq!((world.tree(0), world.tree(1)), (all.clone(), all), "with {few}");
    }
}

/// What a peer came to that offered a lot.
struct Flood {
    stranger: Stranger,
    /// Changes that it sent, message by message, and that were not acknowledged.
    in_flight: VecDeque<(u64, usize)>,
    sent: usize,
    /// It was told that no more is received.
    full: bool,
    /// It supplies what it offered.
    supplies: bool,
    /// What the node said at the end.
    bye: String,
}

impl Flood {
    fn begin(world: &mut World) -> Flood {
        let mut stranger = world.meet(0, |hello| hello.rank = 1);
        stranger.until_wanted(world);
        Flood { stranger, in_flight: VecDeque::new(), sent: 0, full: false, supplies: false, bye: String::new() }
    }

    /// Hears what the node said, and answers its requests.
    fn hear(&mut self, world: &mut World) {
        self.stranger.talk(world);
        while let Some(message) = self.stranger.hear() {
            match message {
                Message::Progress(progress) => {
                    self.full = progress.full;
                    self.in_flight.retain(|(upto, _)| *upto > progress.heard);
                }
                Message::Request { pieces, .. } if self.supplies => {
                    let content = |name: &str| name.trim_start_matches('f').to_string().into_bytes();
                    let chunks = pieces.iter().map(|piece| Chunk {
                        id: piece.id,
                        offset: 0,
                        bytes: content(&piece.path.to_text()),
                    });
                    let data = Message::Data(chunks.collect());
                    self.stranger.say(world, &data);
                }
                Message::Bye(bye) => self.bye = bye.text,
                _ => {}
            }
        }
    }

    /// Offers these in full messages; a polite one waits for acknowledgements as owsync does, for a while. Whether all
    /// were sent.
    fn offer(&mut self, world: &mut World, offers: impl Iterator<Item = Offer>, polite: bool, open: bool) -> bool {
        let mut offers = offers.peekable();
        while offers.peek().is_some() {
            let in_flight = |flood: &Flood| flood.in_flight.iter().map(|(_, count)| count).sum::<usize>();
            for _ in 0..50 {
                self.hear(world);
                if !polite || in_flight(self) + limits::INDEX_CHUNK <= limits::INDEX_WINDOW {
                    break;
                }
                world.run_ms(20);
            }
            let blocked = polite && in_flight(self) + limits::INDEX_CHUNK > limits::INDEX_WINDOW;
            if blocked || self.stranger.is_closed(world) {
                return false;
            }
            let mut some: Vec<Offer> = Vec::new();
            let mut room = limits::DATA_MAX;
            while let Some(next) = offers.next_if(|next| offer_size(&next.path, &next.entry) <= room) {
                room -= offer_size(&next.path, &next.entry);
                some.push(next);
                if some.len() == limits::INDEX_CHUNK {
                    break;
                }
            }
            self.sent += some.len();
            self.in_flight.push_back((some[some.len() - 1].seq, some.len()));
            self.stranger.offers_more(world, some, !open);
        }
        self.hear(world);
        true
    }

    /// How the node said goodbye.
    fn accusation(&mut self, world: &mut World) -> String {
        assert!(self.stranger.is_closed(world), "it is still connected");
        self.hear(world);
        self.bye.clone()
    }
}

/// How long a change of the honest peer takes, in ms.
fn honest(world: &mut World, content: &str) -> u64 {
    let before = world.now_ms;
    world.write(1, "honest", content);
    let arrived = world.run_until(Duration::from_secs(60), |world| world.read(0, "honest").as_deref() == Some(content));
    assert!(arrived, "the honest change {content} does not arrive");
    world.now_ms - before
}

/// Rows of what is pending at m0, and bytes of its database.
fn pending(world: &World) -> (usize, u64) {
    let rows = world.node(0).state().shares.get(&main()).map_or(0, |share| share.owed.len());
    let files = world.machines[0].disk.user("/state").files();
    (rows, files.values().map(|bytes| bytes.len() as u64).sum())
}

/// F101: what a peer sends is kept without a bound, in memory and on disk.
#[test]
fn a_peer_of_which_everything_stays_pending_is_stopped_and_both_sides_say_why() {
    for polite in [true, false] {
        // Given a node that takes no large files, and an honest peer,
        let mut world = couple(10_100);
        world.share_settings(0).max_file_size = 10;
        world.reload(0);
        world.run_ms(2_000);
        let idle = honest(&mut world, "idle");
        // when another peer offers 150,000 of them,
        let mut flood = Flood::begin(&mut world);
        let offer = |n: u64| world_offer(n, "far more than ten bytes");
        let all = flood.offer(&mut world, (1..=150_000).map(offer), polite, false);
        // then few are kept,
        assert!(!all);
        let (rows, bytes) = pending(&world);
        let most = limits::PENDING_ROWS + limits::INDEX_WINDOW + limits::INDEX_CHUNK;
        assert!(rows <= most && bytes < 8 * 1024 * 1024, "{rows} rows, {bytes} bytes");
        // it is told so, or cut where it does not wait,
        if polite {
            assert!(flood.full && rows > limits::PENDING_ROWS && !flood.stranger.is_closed(&world));
            let status = format!("{:?}", world.status(0));
            assert!(status.contains("the limit of pending changes of one peer is reached here"), "{status}");
        } else {
            assert!(flood.accusation(&mut world).contains("changes were sent that were not acknowledged"));
        }
        // and the honest peer notices nothing.
        let delayed = honest(&mut world, "meanwhile").saturating_sub(idle);
        assert!(delayed <= 1_000, "{delayed} ms");
        if polite {
            // When the reason is gone, more is received without anybody's help.
            world.share_settings(0).exclude = vec![b"f*".to_vec()];
            world.reload(0);
            let mut flood = Flood::begin(&mut world);
            for _ in 0..240 {
                flood.hear(&mut world);
                world.run_ms(500);
            }
            assert_eq!(pending(&world).0, 0);
            let offer = world.offer(0, "g", "content", 200_000);
            flood.offer(&mut world, [offer].into_iter(), true, false);
            world.run_ms(1_000);
            flood.hear(&mut world);
            assert!(flood.in_flight.is_empty() && !flood.full);
        }
    }
}

/// A file as a hostile peer offers it, in a batch of its own.
fn world_offer(n: u64, content: &str) -> Offer {
    let world = World::new(1, 1);
    world.offer(0, &format!("f{n}"), content, n)
}

/// F101: a batch that does not end is kept in memory as long as its sender likes.
#[test]
fn a_batch_that_does_not_end_ends_the_session() {
    for (long, most) in [(0, limits::BATCH_MAX), (2_000, limits::BATCH_CHANGES / 2_000)] {
        let mut world = couple(10_110);
        let idle = honest(&mut world, "idle");
        let mut flood = Flood::begin(&mut world);
        let template = world.offer(0, "x", "content", 1);
        let offers = (1..=49_000).map(|n| Offer {
            path: if long == 0 { path(&format!("f{n}")) } else { path(&self::long(&format!("f{n}"), long)) },
            seq: n,
            batch: 1,
            ..template.clone()
        });
        assert!(!flood.offer(&mut world, offers, true, true));
        assert!(flood.sent <= most + limits::INDEX_CHUNK, "{} were taken", flood.sent);
        assert!(flood.accusation(&mut world).contains("a batch of more than"));
        assert!(world.log_has(0, "a batch of more than"));
        let delayed = honest(&mut world, "meanwhile").saturating_sub(idle);
        assert!(delayed <= 1_000, "{delayed} ms");
    }
}

/// F101: an honest change waits for everything that another peer has sent before.
#[test]
fn one_file_batches_without_number_delay_nobody() {
    // Of one that supplies nothing, the node prepares a few, and waits before it acknowledges more,
    let mut world = couple(10_120);
    let idle = honest(&mut world, "idle");
    let mut flood = Flood::begin(&mut world);
    let template = world.offer(0, "x", "content", 1);
    let offers = |from: u64, to: u64| {
        let template = template.clone();
        (from..=to).map(move |n| Offer { path: path(&format!("f{n}")), seq: n, batch: n, ..template.clone() })
    };
    assert!(!flood.offer(&mut world, offers(1, 60_000), true, false));
    let most = limits::QUEUE_BATCHES + limits::INDEX_WINDOW + 2 * limits::INDEX_CHUNK;
    assert!(flood.sent <= most && !flood.stranger.is_closed(&world), "{} were taken", flood.sent);
    for n in 0..5 {
        let delayed = honest(&mut world, &format!("meanwhile {n}")).saturating_sub(idle);
        assert!(delayed <= 1_000, "{delayed} ms");
    }
    // and of one that supplies everything, one batch is applied at a time, in turns with the honest peer's.
    let mut world = couple(10_121);
    let mut flood = Flood::begin(&mut world);
    flood.supplies = true;
    let files: Vec<Offer> = (1..=1_200u64).map(|n| world.offer(0, &format!("f{n}"), &n.to_string(), n)).collect();
    let mut offers = files.into_iter();
    let mut at = 0;
    while at < 1_200 {
        at += 300;
        flood.offer(&mut world, offers.by_ref().take(300), true, false);
        let before = world.counters(0).applied;
        let (start, name) = (world.now_ms, format!("honest {at}"));
        world.write(1, "honest", &name);
        while world.read(0, "honest").as_deref() != Some(name.as_str()) {
            flood.hear(&mut world);
            world.run_ms(10);
            let took = world.now_ms - start;
            assert!(took <= idle + 1_000, "{took} ms, {before} applied before");
        }
    }
    for _ in 0..500 {
        flood.hear(&mut world);
        world.run_ms(10);
    }
    assert_eq!(world.tree(0).len(), 1_201);
}

/// F101: a peer can make the database begin another life, which ends every session, as often as it likes.
#[test]
fn a_peer_that_claims_to_know_more_of_this_node_is_disconnected_after_a_few_times() {
    let mut world = couple(10_130);
    let mut cut = 0;
    for n in 0..12 {
        let mut flood = Flood::begin(&mut world);
        let state = flood.stranger.state;
        let mut offer = world.offer(0, "x", "content", 1 + n);
        offer.entry.version = Version::from_pairs([(state, u64::MAX)]);
        flood.offer(&mut world, [offer].into_iter(), true, false);
        world.run_ms(3_000);
        cut += u64::from(world.log_has(0, "repeatedly"));
    }
    let renewed =
        world.machines[0].log.iter().filter(|(_, _, line)| line.starts_with("the database continues with")).count();
    assert!(renewed <= limits::RENEWALS_MAX && cut > 0, "{renewed} times");
    world.write(1, "dhcp", "honest");
    world.settle();
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("honest"));
}

/// F104: everybody who can reach the port can fill the log.
#[test]
#[cfg(feature = "encryption")]
fn strangers_make_a_limited_number_of_lines_whatever_they_do() {
    for what in ["garbage", "another mode", "another key", "a predecessor", "nothing"] {
        let mut world = World::new(10_400, 2);
        world.pair(0, 1);
        world.encrypt();
        world.start_all();
        world.settle();
        let before = world.machines[0].log.len();
        for n in 0..400u32 {
            let mut stranger = world.knock(0, (n % 250) as u8);
            match what {
                "garbage" => stranger.write(&mut world, b"GET / HTTP/1.0\r\n\r\n"),
                "another mode" => stranger.write(&mut world, b"owsyncP1\0\x01\x01"),
                "another key" => stranger.write(&mut world, &[&b"owsyncE1"[..], &[0, 48], &[7; 48]].concat()),
                "a predecessor" => stranger.write(&mut world, &[0, 0, 0, 9, 1, 2, 3]),
                _ => {}
            }
            world.run_ms(50);
            stranger.hang_up(&mut world);
        }
        let lines =
            || world.machines[0].log[before..].iter().filter(|(_, level, _)| *level < owsync::node::api::Level::Debug);
        assert!(lines().count() <= limits::STRANGER_LINES as usize + 1, "{what}: {} lines", lines().count());
        if matches!(what, "another mode" | "another key" | "a predecessor") {
            assert!(lines().any(|(_, _, line)| line.contains("are left out")), "{what}");
        }
        // The peer that belongs here is still reported.
        world.write(1, "dhcp", "honest");
        world.settle();
        assert!(world.log_has(0, "dhcp"));
    }
}

/// F104: a peer with the key can fill the log as well.
#[test]
fn a_peer_makes_a_limited_number_of_lines() {
    let mut world = couple(10_410);
    let before = world.machines[0].log.len();
    let lines = |world: &World| {
        let log = &world.machines[0].log[before..];
        log.iter().filter(|(_, level, _)| *level < owsync::node::api::Level::Debug).count()
    };
    // Something lies at each of these paths that is not synced, so that each becomes pending with a warning,
    for n in 1..=600 {
        world.user(0).make_fifo(&path(&format!("f{n}")));
    }
    world.announce(0, &path("f1"));
    world.run(Duration::from_secs(40));
    let mut flood = Flood::begin(&mut world);
    let template = world.offer(0, "x", "content", 1);
    let offers = (1..=600).map(|n| Offer { path: path(&format!("f{n}")), seq: n, batch: n, ..template.clone() });
    flood.offer(&mut world, offers, true, false);
    world.run_ms(2_000);
    flood.stranger.hang_up(&mut world);
    // and it comes and goes.
    for _ in 0..100 {
        let stranger = world.meet(0, |hello| hello.rank = 1);
        world.run_ms(20);
        stranger.hang_up(&mut world);
    }
    let (lines, most) = (lines(&world), limits::PEER_LINES as usize + 50);
    assert!(lines <= most, "{lines} lines");
    assert!(world.log_has(0, "are left out"));
}

/// F78: a first sync on a machine that has just been switched on ends, or says why not.
#[test]
fn a_first_sync_with_a_clock_of_1970_or_a_full_disk_ends_or_says_why() {
    let files: BTreeMap<String, String> = (0..300).map(|n| (format!("d{}/f{n}", n % 7), "x".repeat(1_000))).collect();
    // Its clock starts in 1970: both say so, and it ends when the clock is right.
    let mut world = World::new(7_810, 2);
    world.pair(0, 1);
    world.set_all(|settings| settings.max_clock_skew = Duration::from_secs(60));
    world.put(0, &files);
    world.machines[1].skew_ms = -world.wall(1).0 + 5_000;
    world.start_all();
    world.run(Duration::from_secs(60));
    for (id, peer) in [(0, 1), (1, 0)] {
        assert_eq!(world.of_peer(id, peer).reason.as_deref(), Some("clock_skew"), "m{id}");
    }
    world.machines[1].skew_ms = 0;
    world.settle();
    assert_eq!(world.tree(1), files);
    // The same where clocks are not compared: at once.
    let mut world = World::new(7_811, 2);
    world.pair(0, 1);
    world.set_all(|settings| settings.max_clock_skew = Duration::ZERO);
    world.put(0, &files);
    world.machines[1].skew_ms = -world.wall(1).0 + 5_000;
    world.start_all();
    world.settle();
    assert_eq!(world.tree(1), files);
    // Its disk fills: both say so, and it ends when there is room.
    let mut world = World::new(7_812, 2);
    world.pair(0, 1);
    world.put(0, &files);
    world.machines[1].disk.0.borrow_mut().capacity = 200_000;
    world.start_all();
    world.run(Duration::from_secs(60));
    assert!(world.owed(1).values().any(|reason| *reason == "no_room"), "{:?}", world.owed(1));
    world.await_reason(1, 0, "pending");
    world.await_reason(0, 1, "pending_there");
    world.machines[1].disk.0.borrow_mut().capacity = 64 * 1024 * 1024;
    world.settle();
    assert_eq!(world.tree(1), files);
}

/// F69: the same of a question for contents.
#[test]
fn contents_under_paths_of_any_length_are_asked_for_in_parts() {
    let mut world = World::new(6901, 2);
    world.pair(0, 1);
    for n in 0..40 {
        assert!(world.user(0).write(&path(&long(&format!("f{n}"), 3_900)), format!("{n}").as_bytes()));
    }
    world.start_all();
    world.settle();
    assert_eq!(world.tree(1).len(), 40);
}

/// F69: the same of the answer to a question what is at some paths.
#[test]
fn entries_of_any_size_are_told_in_parts() {
    // Given 80 directories that 64 databases have edited,
    let mut world = couple(6_902);
    let mut stranger = world.meet(0, |hello| hello.rank = 1);
    stranger.until_wanted(&mut world);
    let template = world.offer(0, "x", "", 1);
    let pairs = (0..limits::VERSION_IDS_JOINED as u64).map(|n| (StateId(u64::MAX - n), u64::MAX / 2 + n));
    let dir =
        Entry { kind: Kind::Dir, digest: Digest::NONE, mtime: WallTime(0), mode: 0o755, ..template.entry.clone() };
    let dir = Entry { version: Version::from_pairs(pairs), ..dir };
    let name = |n: u64| path(&format!("d{n}"));
    let offer = |n: u64| Offer { path: name(n), entry: dir.clone(), seq: n, batch: n, ..template.clone() };
    for part in [1..=40, 41..=80] {
        stranger.offers_more(&mut world, part.map(offer).collect(), true);
        world.run_ms(2_000);
    }
    // when all of them are asked for at once,
    let paths: Vec<_> = (1..=80).map(name).collect();
    let size: usize = paths.iter().map(|path| offer_size(path, &dir)).sum();
    assert!(size > limits::MESSAGE_MAX && paths.len() <= limits::ASK_PATHS);
    stranger.say(&mut world, &Message::Ask { id: 1, share: main(), paths });
    // then all of them are told.
    let (mut told, mut parts, mut ended) = (0, 0, false);
    while !ended {
        let tell = stranger.until(&mut world, "an answer", |message| matches!(message, Message::Tell { .. }));
        let Message::Tell { last, entries, .. } = tell else { unreachable!("it was waited for") };
        (told, parts, ended) = (told + entries.len(), parts + 1, last);
    }
    assert!(told == 80 && parts > 1, "{told} in {parts}");
}

/// F78: the same of large files, which arrive in many pieces.
#[test]
fn a_first_sync_of_large_files_needs_a_handful_of_descriptors() {
    sync_with_few_descriptors(7805, (0..40).map(|n| (format!("f{n}"), format!("{n:06}").repeat(30_000))).collect());
}

/// F101: few changes can be as large as many.
#[test]
fn what_one_peer_sends_is_bounded_in_bytes_as_well() {
    // Given a node that takes no large files, or all of them, and a peer that supplies none,
    for (max_file_size, bytes) in [(10, limits::PENDING_BYTES), (0, limits::QUEUE_BYTES)] {
        let mut world = couple(10_140);
        world.share_settings(0).max_file_size = max_file_size;
        world.reload(0);
        world.run_ms(2_000);
        let idle = honest(&mut world, "idle");
        // when it offers 12 MB of changes,
        let mut flood = Flood::begin(&mut world);
        let template = world.offer(0, "x", "far more than ten bytes", 1);
        let name = |n: u64| path(&long(&format!("f{n}"), 3_900));
        let offers = (1..=3_000).map(|n| Offer { path: name(n), seq: n, batch: 1 + n / 200, ..template.clone() });
        // then it is stopped in time,
        assert!(!flood.offer(&mut world, offers, true, true), "{max_file_size}");
        let most = bytes / 3_900 + limits::INDEX_WINDOW + limits::INDEX_CHUNK;
        assert!(flood.sent <= most && !flood.stranger.is_closed(&world), "{max_file_size}: {} were taken", flood.sent);
        // and the honest peer notices nothing.
        let delayed = honest(&mut world, "meanwhile").saturating_sub(idle);
        assert!(delayed <= 1_000, "{max_file_size}: {delayed} ms");
    }
}
