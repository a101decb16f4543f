//! Whoever reaches the port and is no peer, or a peer that says nothing, too much, or nonsense: nobody else notices.

use owsync::model::limits;
use owsync::model::reason::Trouble;
use owsync::proto::Message;
use owsync::proto::message::Piece;

use super::{couple, trio};
use crate::world::stranger::{Stranger, digest};
use crate::world::words::{NO_PREFACES, nonsense};
use crate::world::{World, main, path};

/// Changes go both ways between the first two machines, as fast as they should whatever else happens.
#[track_caller]
fn assert_they_sync(world: &mut World, what: &str) {
    world.write(0, "from-0", what);
    world.write(1, "from-1", what);
    world.run_ms(1_500);
    assert_eq!(world.read(1, "from-0").as_deref(), Some(what));
    assert_eq!(world.read(0, "from-1").as_deref(), Some(what));
}

/// F30
#[test]
fn connections_that_close_at_once_change_nothing() {
    let mut world = couple(50);
    let lines = world.machines[0].log.len();
    for n in 0..20 {
        let stranger = world.knock(0, n);
        stranger.hang_up(&mut world);
    }
    assert_they_sync(&mut world, "after the scan");
    let loud = world.machines[0].log[lines..]
        .iter()
        .filter(|(_, level, line)| *level != owsync::node::api::Level::Debug && line.contains("192.0.2."));
    assert_eq!(
        loud.collect::<Vec<_>>(),
        Vec::<&(u64, owsync::node::api::Level, String)>::new(),
        "a debug line at most"
    );
}

/// F31
#[test]
fn a_peer_that_takes_the_connection_and_says_nothing_is_named_and_delays_nobody() {
    let mut world = World::new(51, 3);
    world.pair(0, 1);
    world.peer(0, 2);
    world.mute.insert(2);
    world.start(0);
    world.start(1);
    world.run_ms(2_000);
    assert_they_sync(&mut world, "beside a silent one");
    world.await_reason(0, 2, "silent");
    assert_they_sync(&mut world, "after it");
}

/// F31
#[test]
fn a_peer_that_asks_for_much_and_reads_nothing_delays_nobody_and_costs_a_bounded_queue() {
    let mut world = couple(52);
    world.share_settings(0).max_file_size = 0;
    world.reload(0);
    world.run_ms(2_000);
    let big = "x".repeat(6_000_000);
    world.write(0, "big", &big);
    world.settle();
    let mut stranger = world.meet(0, |_| ());
    let piece = |n: u64| Piece {
        id: n as u32 + 1,
        path: path("big"),
        digest: digest(&big),
        offset: n * limits::REQUEST_PIECE,
        length: limits::REQUEST_PIECE,
    };
    stranger.say_deafly(&mut world, &Message::Request { share: main(), pieces: (0..11).map(piece).collect() });
    world.run_ms(10_000);
    assert_they_sync(&mut world, "beside a deaf one");
    let queued = stranger.read(&mut world).len();
    assert!(queued >= limits::SEND_HIGH / 2, "it was served: {queued}");
    assert!(queued <= limits::SEND_HIGH + limits::STEP, "{queued} bytes wait for it");
}

/// F32
#[test]
fn fifty_idle_connections_keep_no_peer_out_and_end_by_themselves() {
    // Given two machines in sync and a third that only dials,
    let mut world = World::new(53, 3);
    world.pair(0, 1);
    world.peer(2, 0);
    world.start(0);
    world.start(1);
    world.settle();
    // when 50 strangers stand at the door,
    let idle: Vec<Stranger> = (0..50).map(|n| world.knock(0, n)).collect();
    let open: Vec<usize> = (0..50).filter(|n| !idle[*n].is_closed(&world)).collect();
    // then the sixteen that came last are left,
    assert_eq!(open, (34..50).collect::<Vec<_>>());
    let same: Vec<Stranger> = (0..10).map(|_| world.knock(0, 99)).collect();
    assert_eq!(same.iter().filter(|stranger| !stranger.is_closed(&world)).count(), 3, "of one address");
    // peers go on, and one more gets in,
    assert_they_sync(&mut world, "beside idle ones");
    world.start(2);
    world.run_ms(1_500);
    assert_eq!(world.tree(2).len(), 2);
    // and after their time none is left.
    world.run(limits::HANDSHAKE_TIME);
    assert!(idle.iter().chain(&same).all(|stranger| stranger.is_closed(&world)));
}

/// F33
#[test]
fn both_sides_may_have_much_to_send_and_little_of_it_is_under_way() {
    // Given a slow wire, and more on both sides than any buffer holds,
    let mut world = World::new(54, 2);
    world.slowest = 400;
    world.pair(0, 1);
    for n in 0..20 {
        world.write(0, &format!("a{n}"), &"a".repeat(800_000 + n));
        world.write(1, &format!("b{n}"), &"b".repeat(800_000 + n));
    }
    world.start_all();
    // when they exchange, then both at once,
    let (mut most, mut both) = ([0; 2], 0);
    let until = world.now_ms + 600_000;
    while world.now_ms < until && (world.tree(0).len() < 40 || world.tree(1).len() < 40) {
        world.run_ms(1);
        let now = [world.under_way(0), world.under_way(1)];
        both += u64::from(now[0] > 65_536 && now[1] > 65_536);
        most = [most[0].max(now[0]), most[1].max(now[1])];
    }
    assert!(both > 0, "both ways at a time");
    // and never more than was asked for.
    let window = limits::REQUEST_WINDOW as usize + limits::REQUEST_PIECE as usize + limits::SEND_HIGH;
    assert!(most.iter().all(|most| *most < window), "{most:?} of {window}");
    world.settle();
    assert_eq!(world.assert_equal().len(), 40);
}

/// F34
#[test]
fn nonsense_ends_its_own_session_with_a_word_and_nothing_else() {
    let mut world = couple(55);
    world.write(0, "dhcp", "untouched");
    world.settle();
    for (what, record) in nonsense() {
        let mut stranger = world.meet(0, |_| ());
        stranger.write_record(&mut world, &record);
        let said = stranger.farewell(&mut world);
        assert!(matches!(said, Some(Message::Bye(_))), "{what}: {said:?}");
    }
    // Before Hello, and instead of a preface.
    for bytes in NO_PREFACES {
        let mut stranger = world.knock(0, 1);
        stranger.write(&mut world, bytes);
        stranger.hang_up(&mut world);
    }
    assert!(world.log_has(0, "the peer broke the protocol"));
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("untouched"));
    assert_they_sync(&mut world, "after the nonsense");
}

/// F34
#[test]
fn a_message_may_come_byte_by_byte() {
    let mut world = trio(56);
    let mut stranger = world.knock(0, 1);
    let mut record = Vec::new();
    Message::Hello(world.hello(0)).encode(&mut record);
    let length = u16::try_from(record.len()).unwrap().to_be_bytes();
    stranger.talk(&mut world);
    for byte in [&length[..], &record].concat() {
        stranger.write(&mut world, &[byte]);
    }
    stranger.until(&mut world, "a question for its index", |message| matches!(message, Message::Want { .. }));
}

/// F35
#[test]
#[cfg(feature = "encryption")]
fn before_the_key_is_proved_nothing_longer_than_a_handshake_message_is_waited_for() {
    let mut world = World::new(57, 2);
    world.pair(0, 1);
    world.encrypt();
    world.start_all();
    world.settle();
    // One byte more than a handshake message may have; the longest record; the predecessor's frame of 32 MiB.
    let more = u16::try_from(limits::HANDSHAKE_MAX + 1).unwrap().to_be_bytes();
    for head in [[&b"owsyncE1"[..], &more].concat(), b"owsyncE1\xff\xff".to_vec(), vec![2, 0, 0, 0, b'{']] {
        let mut stranger = world.knock(0, 1);
        stranger.write_only(&mut world, &head);
        assert!(stranger.is_closed(&world), "{head:?}: it is not read to the end of what it announces");
    }
    // As long as allowed, it has its time.
    let mut stranger = world.knock(0, 1);
    let most = u16::try_from(limits::HANDSHAKE_MAX).unwrap().to_be_bytes();
    stranger.write_only(&mut world, &[&b"owsyncE1"[..], &most].concat());
    assert!(!stranger.is_closed(&world));
    world.run(limits::HANDSHAKE_TIME);
    world.run_ms(1_000);
    assert!(stranger.is_closed(&world));
    assert_they_sync(&mut world, "after that");
}

/// F32: the same of those that have the key and never say who they are.
#[test]
fn sessions_without_a_hello_are_bounded_and_keep_no_peer_out() {
    let mut world = couple(57);
    world.machines[0].settings.max_sessions = 8;
    world.reload(0);
    let most = 8 + limits::STRANGERS_MAX;
    let mut sessions: Vec<Stranger> = Vec::new();
    for from in 0..most + 4 {
        let mut session = world.knock(0, u8::try_from(from).unwrap());
        session.talk(&mut world);
        sessions.push(session);
    }
    // One is the peer's.
    let refused = sessions.iter().filter(|session| session.ended == Some(Trouble::TooManySessions)).count();
    assert_eq!(refused, 5);
    assert_they_sync(&mut world, "beside them");
}
