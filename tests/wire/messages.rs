//! The bytes of every message, both ways.

use std::rc::Rc;

use owsync::model::reason::{Choice, LeftOut};
use owsync::model::{
    Digest, Direction, Entry, GivenUp, Kind, LostBy, NodeId, Owner, Reason, RelPath, Release, ShareName, Stamp,
    StateId, Version, WallTime, limits,
};
use owsync::proto::Message;
use owsync::proto::message::{
    Around, Bye, ByeCode, Chunk, Hello, IndexPart, Introduced, Introduction, Offer, Patterns, Piece, Progress,
    ShareHello,
};

use crate::bytes::hex;

/// A moment in 2026, in ms: 1b 000001a1f806614b on the wire.
pub const WALL: WallTime = WallTime(1_795_162_530_123);

pub fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

pub fn both_ways(message: &Message, golden: &str) {
    let golden = hex(golden);
    let mut written = Vec::new();
    message.encode(&mut written);
    assert_eq!(written, golden, "{message:?} is written as {written:02x?}");
    assert_eq!(&Message::decode(&golden).unwrap(), message);
}

#[test]
fn hello() {
    let hello = Hello {
        versions: (2, 2),
        name: "r1".into(),
        wall: WALL,
        settled: true,
        rank: 1,
        state: StateId(0x5f1c_0000_0000_0001),
        asks: false,
        token: Some([0x77; 16]),
        shares: vec![
            ShareHello {
                name: ShareName::main(),
                seq: 300,
                direction: Direction::Both,
                filter: [1, 2, 3, 4, 5, 6, 7, 8],
                patterns: Some(Patterns { include: vec![b"*".to_vec()], exclude: vec![b"\xff".to_vec()] }),
                held: None,
                release_guard: true,
            },
            ShareHello {
                name: ShareName::parse("vpn").unwrap(),
                seq: 0,
                direction: Direction::Observe,
                filter: [0; 8],
                patterns: None,
                held: Some("no".into()),
                release_guard: false,
            },
        ],
        node: NodeId([0xab; 16]),
        program: "2.0.0".into(),
        release: Release::parse("24.10.4"),
        instance: 7,
        addresses: vec!["10.0.0.1:4321".parse().unwrap()],
    };
    both_ways(
        &Message::Hello(hello.clone()),
        "01                                      # Hello
         af                                      # fifteen keys
         00 02                                   # lowest version
         01 02                                   # highest version
         02 62 7231                              # name 'r1'
         03 1b 000001a1f806614b                  # wall clock, ms
         04 f5                                   # up for ten minutes
         05 01                                   # rank
         06 1b 5f1c000000000001                  # state id
         07 f4                                   # does not ask at first contact
         08 50 77777777777777777777777777777777  # join token
         09 82                                   # two shares
           a6 00 64 6d61696e 01 19 012c 02 00 03 48 0102030405060708 05 f5 # main, up to 300, both ways, its filter, guards releases
              06 a2 00 81 41 2a 01 81 41 ff                              # which includes '*' without a name in no encoding
           a5 00 63 76706e 01 00 02 03 03 48 0000000000000000 04 62 6e6f # vpn, nothing yet, observes, held: 'no'
         0a 50 abababababababababababababababab  # node id
         0b 65 322e302e30                        # program '2.0.0'
         0c 67 32342e31302e34                    # release '24.10.4'
         0d 07                                   # this start of the program
         0e 81 6d 31302e302e302e313a34333231     # reachable at 10.0.0.1:4321",
    );
    // Without a token there is no key 8, and without a release no key 12.
    both_ways(
        &Message::Hello(Hello {
            token: None,
            release: None,
            shares: Vec::new(),
            asks: true,
            settled: false,
            rank: 0,
            ..hello
        }),
        "01 ad 00 02 01 02 02 62 7231 03 1b 000001a1f806614b 04 f4 05 00 06 1b 5f1c000000000001 07 f5
         09 80 0a 50 abababababababababababababababab 0b 65 322e302e30
         0d 07 0e 81 6d 31302e302e302e313a34333231",
    );
}

/// F113: a member is introduced by the key that it must prove; a forgotten one is named by its id.
#[test]
fn introduce() {
    let node = Introduced {
        public_key: [0x11; 32],
        name: "r3".into(),
        round: 2,
        addresses: vec!["10.0.0.3:4321".parse().unwrap(), "[fd00::3]:4321".parse().unwrap()],
    };
    let forgotten = vec![(NodeId([0xcd; 16]), 3)];
    both_ways(
        &Message::Introduce(Introduction { members: 4, nodes: vec![node], forgotten }),
        "0e a3
         00 04                                   # four members
         01 81                                   # one of them is introduced
           a4 00 58 20 1111111111111111111111111111111111111111111111111111111111111111
              01 62 7233                         # name 'r3'
              02 02                              # round
              03 82 6d 31302e302e302e333a34333231 6e 5b666430303a3a335d3a34333231
         02 81                                   # one was forgotten, in round 3
           82 50 cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd 03",
    );
}

/// F113: no node is introduced to more nodes, or at more addresses, than are kept; one that leads nowhere is left out.
#[test]
fn an_introduction_is_bounded() {
    let node = |n: u8, addresses: usize| Introduced {
        public_key: [n; 32],
        name: String::new(),
        round: 1,
        addresses: vec!["10.0.0.3:4321".parse().unwrap(); addresses],
    };
    let written = |nodes: Vec<Introduced>, forgotten: usize| {
        let mut bytes = Vec::new();
        let forgotten = vec![(NodeId([1; 16]), 1); forgotten];
        Message::Introduce(Introduction { members: 9, nodes, forgotten }).encode(&mut bytes);
        bytes
    };
    let nodes = |count: usize, addresses: usize| (0..count).map(|n| node(n as u8, addresses)).collect::<Vec<_>>();
    let most = written(nodes(limits::MESH_FULL, limits::ADDRESSES_TOLD), limits::FORGOTTEN_MAX);
    assert!(most.len() <= limits::MESSAGE_MAX && Message::decode(&most).is_ok());
    for more in [
        written(nodes(limits::MESH_FULL + 1, 1), 0),
        written(nodes(1, limits::ADDRESSES_TOLD + 1), 0),
        written(Vec::new(), limits::FORGOTTEN_MAX + 1),
    ] {
        assert!(Message::decode(&more).is_err());
    }
    let mut nowhere = node(1, 0);
    for address in ["0.0.0.0:1", "10.0.0.1:0", "224.0.0.1:5", "[::]:4321", "10.0.0.1:1"] {
        nowhere.addresses.push(address.parse().unwrap());
    }
    let Ok(Message::Introduce(read)) = Message::decode(&written(vec![nowhere], 0)) else { panic!("it is well-formed") };
    assert_eq!(read.nodes[0].addresses, ["10.0.0.1:1".parse().unwrap()]);
}

#[test]
fn the_directions_of_a_share() {
    for (direction, number) in
        [(Direction::Both, 0), (Direction::Send, 1), (Direction::Receive, 2), (Direction::Observe, 3)]
    {
        let share = ShareHello {
            name: ShareName::main(),
            seq: 0,
            direction,
            filter: [0; 8],
            patterns: None,
            held: None,
            release_guard: false,
        };
        let hello = Hello {
            versions: (2, 3),
            name: String::new(),
            wall: WallTime(-1),
            settled: false,
            rank: 0,
            state: StateId(1),
            asks: false,
            token: None,
            shares: vec![share],
            node: NodeId([0; 16]),
            program: String::new(),
            release: None,
            instance: 0,
            addresses: Vec::new(),
        };
        both_ways(
            &Message::Hello(hello),
            &format!(
                "01 ad 00 02 01 03 02 60 03 20 04 f4 05 00 06 01 07 f4
                 09 81 a4 00 64 6d61696e 01 00 02 {number:02x} 03 48 0000000000000000
                 0a 50 00000000000000000000000000000000 0b 60 0d 00 0e 80"
            ),
        );
    }
}

#[test]
fn bye_and_its_codes() {
    for (code, number) in [
        (ByeCode::ClockSkew, "01"),
        (ByeCode::Version, "02"),
        (ByeCode::NotAccepted, "03"),
        (ByeCode::IdentityRefused, "04"),
        (ByeCode::SameIdentity, "05"),
        (ByeCode::TwoMachines, "06"),
        (ByeCode::Misbehaved, "07"),
        (ByeCode::Full, "08"),
        (ByeCode::Disabled, "09"),
        (ByeCode::Leaving, "0a"),
        (ByeCode::Duplicate, "0b"),
        (ByeCode::Silent, "0c"),
        (ByeCode::Paused, "0d"),
        (ByeCode::Unknown(0xc8), "18c8"),
    ] {
        // code, number -60,001 (major type 1: -1 - 60,000), text
        let golden = format!("02 a3 00 {number} 01 39 ea60 02 62 6f6b");
        both_ways(&Message::Bye(Bye { code, number: -60_001, text: "ok".into() }), &golden);
    }
}

#[test]
fn want() {
    both_ways(
        &Message::Want { share: ShareName::main(), state: StateId(u64::MAX), since: 24, round: 7 },
        "03 a4 00 64 6d61696e   # share 'main'
         01 1b ffffffffffffffff # state id
         02 18 18               # since 24
         03 07                  # round",
    );
}

#[test]
fn index_with_every_kind_of_entry() {
    let owner = Rc::new(Owner { user: "root".into(), group: "wheel".into() });
    let version = Version::from_pairs([(StateId(2), 9), (StateId(1), 5)]);
    let stamp = |ms| Stamp { rank: 1, ms };
    let file = Entry {
        kind: Kind::File,
        digest: Digest::of(b"a"),
        size: 1,
        mtime: WallTime(-2),
        mode: 0o4755,
        owner: Some(owner),
        version: version.clone(),
        stamp: stamp(1000),
        content: Some(Box::new(Version::from_pairs([(StateId(1), 5)]))),
        given_up: Some(Box::new(GivenUp { edits: Version::from_pairs([(StateId(2), 9)]), by: LostBy::Rejection })),
    };
    let plain = Entry {
        owner: None,
        content: None,
        given_up: None,
        mode: 0o600,
        version: Version::UNVERSIONED,
        ..file.clone()
    };
    let dir = Entry { kind: Kind::Dir, mode: 0o755, ..Entry::tombstone(version.clone(), stamp(0)) };
    let link = Entry {
        kind: Kind::Symlink,
        digest: Digest([0x11; 32]),
        size: 4096,
        ..Entry::tombstone(version.clone(), Stamp { rank: 0, ms: -1 })
    };
    let gone = Entry::tombstone(version, stamp(7));
    let offer = |name: &str, entry: Entry, seq, batch| Offer { path: path(name), entry, seq, batch, approved: false };
    let part = IndexPart {
        share: ShareName::main(),
        round: 1,
        wall: WALL,
        upto: 300,
        last: true,
        entries: vec![
            offer("a", file, 256, 250),
            offer("b", plain, 257, 257),
            offer("d", dir, 258, 258),
            offer("d/l", link, 259, 258),
            offer("g", gone, 300, 0),
        ],
    };
    both_ways(
        &Message::Index(part),
        "04 a6                   # Index, six keys
         00 64 6d61696e          # share 'main'
         01 1b 000001a1f806614b  # wall clock
         02 19 012c              # received up to 300
         03 f5                   # nothing more for now
         04 85                   # five entries
           b0                    # a file with everything
             00 41 61            # path, as bytes
             01 19 0100          # sequence 256
             02 00               # file
             03 84 01 05 02 09   # version {1: 5, 2: 9}
             04 01               # rank
             05 19 03e8          # stamp 1000
             06 58 20 ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb # SHA-256 of 'a'
             07 01               # size
             08 21               # mtime -2
             09 19 09ed          # mode 4755
             0a 64 726f6f74      # user
             0b 65 776865656c    # group
             0c 82 02 09         # given up {2: 9}
             0d 06               # its batch lies 6 below
             0e 01               # by a rejection
             10 82 01 05         # its bytes include {1: 5}
           aa                    # a plain file that had no conflict
             00 41 62 01 19 0101 02 00 03 80 04 01 05 19 03e8
             06 58 20 ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb
             07 01 08 21 09 19 0180
           a7                    # a directory: no digest, size or mtime
             00 41 64 01 19 0102 02 01 03 84 01 05 02 09 04 01 05 00 09 19 01ed
           a9                    # a symlink: neither mtime nor mode
             00 43 642f6c 01 19 0103 02 02 03 84 01 05 02 09 04 00 05 20
             06 58 20 1111111111111111111111111111111111111111111111111111111111111111
             07 19 1000 0d 01
           a7                    # a tombstone
             00 41 67 01 19 012c 02 03 03 84 01 05 02 09 04 01 05 07 0d 19 012c
         05 01                   # round",
    );
}

#[test]
fn an_index_without_entries() {
    both_ways(
        &Message::Index(IndexPart {
            share: ShareName::main(),
            round: 0,
            wall: WallTime(0),
            upto: 0,
            last: false,
            entries: Vec::new(),
        }),
        "04 a6 00 64 6d61696e 01 00 02 00 03 f4 04 80 05 00",
    );
}

#[test]
fn request_and_data() {
    let piece = Piece { id: 1, path: path("a"), digest: Digest([0x22; 32]), offset: 65_536, length: 524_288 };
    both_ways(
        &Message::Request { share: ShareName::main(), pieces: vec![piece] },
        "05 a2 00 64 6d61696e   # share
         01 81                  # one piece
           85                   # an array: id, path, digest, offset, length
             01 41 61
             58 20 2222222222222222222222222222222222222222222222222222222222222222
             1a 00010000 1a 00080000",
    );
    both_ways(
        &Message::Data(vec![
            Chunk { id: 1, offset: 65_536, bytes: b"hi".to_vec() },
            Chunk { id: 4_294_967_295, offset: 0, bytes: Vec::new() },
        ]),
        "06 a1 00 82            # two chunks
           83 01 1a 00010000 42 6869
           83 1a ffffffff 00 40",
    );
}

#[test]
fn unavailable_with_every_reason() {
    for (reason, golden) in [
        (Reason::SymlinkIgnored, "a1 00 02"),
        (Reason::SymlinkOutside, "a1 00 03"),
        (Reason::TooLarge { size: 300, max: 16 }, "a3 00 04 01 19 012c 02 10"),
        (Reason::Unreadable("io".into()), "a2 00 05 03 62 696f"),
        (Reason::OtherFilesystem, "a1 00 06"),
        (Reason::DirNotEmpty, "a1 00 08"),
        (Reason::NoRoom { need: 1, free: 0 }, "a3 00 09 01 01 02 00"),
        (Reason::HistoryFull, "a1 00 0a"),
        (Reason::Unwritable("io".into()), "a2 00 0b 03 62 696f"),
        (Reason::Busy, "a1 00 0c"),
        (Reason::NotSupplied("io".into()), "a2 00 0d 03 62 696f"),
        (Reason::WaitsFor(path("a")), "a2 00 0e 03 61 61"),
        (Reason::ShareHeld, "a1 00 0f"),
        (Reason::FirstContact, "a1 00 10"),
        (Reason::MassDeletion { gone: 11, known: 20 }, "a3 00 11 01 0b 02 14"),
        (Reason::LongAway, "a1 00 12"),
        (Reason::Flapping, "a1 00 13"),
        (Reason::OnlySends, "a1 00 14"),
        (Reason::OnlyObserves, "a1 00 15"),
        (Reason::UnknownOwner("io".into()), "a2 00 16 03 62 696f"),
        (
            Reason::ReleaseDiffers { from: Release::parse("25.12.1").unwrap(), to: Release::parse("24.10").unwrap() },
            "a2 00 181b 03 6d 32352e31322e312032342e3130",
        ),
        (Reason::LeftOut(Choice::Direction), "a2 00 181d 01 06"),
        (Reason::Other("io".into()), "a2 00 18ff 03 62 696f"),
    ] {
        both_ways(&Message::Unavailable { id: 9, reason }, &format!("07 a2 00 09 01 {golden}"));
    }
}

#[test]
fn things_that_only_a_peer_has_a_word_for_are_told_as_text() {
    both_ways(
        &Message::Unavailable { id: 9, reason: Reason::Special("fifo") },
        "07 a2 00 09 01 a2 00 01 03 64 6669666f",
    );
    both_ways(
        &Message::Unavailable { id: 9, reason: Reason::InTheWay("fifo") },
        "07 a2 00 09 01 a2 00 07 03 64 6669666f",
    );
    for (golden, heard) in [
        ("a2 00 01 03 64 646f6f72", "skipped: it is a door"),
        ("a2 00 07 03 64 646f6f72", "a door that is not synced is in the way; move it away"),
    ] {
        let told = Message::Unavailable { id: 9, reason: Reason::Other(heard.into()) };
        assert_eq!(Message::decode(&hex(&format!("07 a2 00 09 01 {golden}"))).unwrap(), told);
    }
    // A path that is none, and a code of a later version with its text.
    for (golden, heard) in [
        ("a2 00 0e 03 62 2e2e", "waits for a path that this version cannot name"),
        ("a2 00 18 63 03 63 6e6577", "new"),
        ("a1 00 18 63", ""),
    ] {
        let told = Message::Unavailable { id: 9, reason: Reason::Other(heard.into()) };
        assert_eq!(Message::decode(&hex(&format!("07 a2 00 09 01 {golden}"))).unwrap(), told);
    }
}

#[test]
fn progress() {
    both_ways(
        &Message::Progress(Progress {
            share: ShareName::main(),
            heard: 300,
            applied: 299,
            settled: 300,
            pending: 2,
            left_out: LeftOut::from_counts(&[2, 1]),
            paths: vec![(path("a"), Reason::Busy)],
            unreleased: 3,
            unconfirmed: 4,
            full: true,
        }),
        "08 aa 00 64 6d61696e   # share
         01 19 012c             # received
         02 19 012b             # applied
         03 02                  # pending paths
         04 81                  # one of them
           a2 00 41 61 01 a1 00 0c
         05 03                  # not released there
         06 19 012c             # applied, or left out by choice
         07 89 02 01 00 00 00 00 00 00 00 # left out: 2 by filter, 1 too large
         08 04                  # await confirmation there
         09 f5                  # it receives no more",
    );
    // What is 0 takes no bytes.
    both_ways(
        &Message::Progress(Progress {
            share: ShareName::main(),
            heard: 1,
            applied: 1,
            settled: 1,
            pending: 0,
            left_out: LeftOut::default(),
            paths: Vec::new(),
            unreleased: 0,
            unconfirmed: 0,
            full: false,
        }),
        "08 a6 00 64 6d61696e 01 01 02 01 03 00 04 80 06 01",
    );
}

#[test]
fn nodes_behind_a_peer() {
    let node = |node| Around { name: "r3".into(), node, reason: "away".into(), hops: 1 };
    both_ways(
        &Message::Around(vec![node(Some(NodeId([0xab; 16]))), node(None)]),
        "14 a1 00 82                             # two nodes
           a4 00 62 7233 01 50 abababababababababababababababab 02 64 61776179 03 01 # r3, its id, away, passed on once
           a3 00 62 7233 02 64 61776179 03 01    # one that was never met",
    );
    both_ways(&Message::Around(Vec::new()), "14 a1 00 80");
    // No more than fit, however many there are.
    let many = vec![node(None); limits::AROUND_TOLD + 1];
    let mut bytes = Vec::new();
    Message::Around(many).encode(&mut bytes);
    let Message::Around(told) = Message::decode(&bytes).unwrap() else { panic!("nodes") };
    assert_eq!(told.len(), limits::AROUND_TOLD);
}

#[test]
fn ping_pong_and_news() {
    both_ways(&Message::Ping(WALL), "09 a1 00 1b 000001a1f806614b");
    both_ways(&Message::Pong(WallTime(i64::MIN)), "0a a1 00 3b 7fffffffffffffff");
    let news = |held: Option<&str>| Message::ShareNews { share: ShareName::main(), held: held.map(Into::into) };
    both_ways(&news(Some("no")), "0b a2 00 64 6d61696e 01 62 6e6f");
    both_ways(&news(None), "0b a1 00 64 6d61696e");
}

#[test]
fn a_type_of_a_later_version_is_not_an_error() {
    for (bytes, number) in [("1e", 30), ("ff a1 00 00", 255), ("00", 0)] {
        assert_eq!(Message::decode(&hex(bytes)).unwrap(), Message::Unknown(number));
    }
}

#[test]
fn fields_of_a_later_version_are_skipped() {
    // Under key 24 and above, of any form, also inside of what is repeated; and what is appended to a list of fields.
    for (older, newer) in [
        ("09 a1 00 00", "09 a2 00 00 18 63 82 a1 61 61 01 f6"),
        ("02 a3 00 0a 01 00 02 60", "02 a4 00 0a 01 00 02 60 19 03e8 fb 3ff0000000000000"),
        ("0b a1 00 64 6d61696e", "0b a2 18 40 9f 01 02 ff 00 64 6d61696e"),
        (
            "08 a6 00 61 61 01 00 02 00 03 00 04 81 a2 00 41 61 01 a1 00 0c 06 00",
            "08 a7 00 61 61 01 00 02 00 03 00 04 81 a3 00 41 61 01 a2 00 0c 18 20 f5 18 30 80 06 00 07 83 00 00 00",
        ),
        (
            "08 a7 00 61 61 01 00 02 00 03 00 04 80 06 00 07 81 01",
            "08 a7 00 61 61 01 00 02 00 03 00 04 80 06 00 07 8a 01 00 00 00 00 00 00 00 00 09",
        ),
        ("06 a1 00 81 83 01 00 42 6869", "06 a1 00 81 85 01 00 42 6869 63 6e6577 00"),
    ] {
        assert_eq!(Message::decode(&hex(newer)), Message::decode(&hex(older)), "{newer}");
        assert!(Message::decode(&hex(older)).is_ok());
    }
}

#[test]
fn what_a_peer_says_is_safe_to_print() {
    // A cursor movement, a line of its own, and more text than fits a line.
    let mut bytes = hex("0b a2 00 64 6d61696e 01 79 0190");
    let mut text = "\x1b[2J\nevil".to_string();
    text.push_str(&"x".repeat(400 - text.len()));
    bytes.extend_from_slice(text.as_bytes());
    let Message::ShareNews { held: Some(held), .. } = Message::decode(&bytes).unwrap() else { panic!("news") };
    assert!(held.starts_with("\\x1b[2J\\x0aevilxxx") && held.len() < 320, "{held}");
}

/// F69: a message that is not bounded while it is built ends the session, or the daemon.
#[test]
fn no_message_exceeds_a_record_whatever_is_in_it() {
    let bytes = |message: &Message| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes.len()
    };
    let longest = |n: usize| {
        // No byte of it is text, so that what shows it is four times as long.
        let mut path = vec![0xff; limits::PATH_MAX - 1];
        (limits::NAME_MAX..limits::PATH_MAX - 1).step_by(limits::NAME_MAX + 1).for_each(|at| path[at] = b'/');
        path[0] = 128 + u8::try_from(n % 100).unwrap();
        RelPath::parse(&path).unwrap()
    };
    let text = "\u{20ac}".repeat(5_000);
    let share = ShareName::parse(&"s".repeat(limits::LABEL_MAX)).unwrap();
    // Texts, of which there may be one, or one for each share.
    let names = (0..limits::SHARES_MAX).map(|n| ShareName::parse(&format!("{n:064}")).unwrap());
    // All patterns together take as many bytes as a Hello has for them.
    let pattern = vec![0xff; limits::PATTERN_MAX];
    let mut patterns = Patterns { include: Vec::new(), exclude: vec![pattern.clone()] };
    while patterns.size() + pattern.len() + 3 <= limits::PATTERNS_TOLD {
        patterns.include.push(pattern.clone());
    }
    let mut patterns = Some(patterns);
    let shares = names.map(|name| ShareHello {
        name,
        seq: u64::MAX,
        direction: Direction::Observe,
        filter: [0xff; 8],
        patterns: patterns.take(),
        held: Some(text.clone()),
        release_guard: true,
    });
    let hello = Hello {
        versions: (u16::MAX, u16::MAX),
        name: text.clone(),
        wall: WallTime(i64::MIN),
        settled: true,
        rank: 1,
        state: StateId(u64::MAX),
        asks: true,
        token: Some([0xff; 16]),
        shares: shares.collect(),
        node: NodeId([0xff; 16]),
        program: text.clone(),
        release: Release::parse(&"r".repeat(32)),
        instance: u64::MAX,
        addresses: vec!["10.0.0.1:4321".parse().unwrap(); limits::ADDRESSES_TOLD],
    };
    let reasons = [
        Reason::Refused(text.clone()),
        Reason::Uncommitted(text.clone()),
        Reason::Other(text.clone()),
        Reason::WaitsFor(longest(200)),
        Reason::MassDeletion { gone: u64::MAX, known: u64::MAX },
    ];
    let mut all = vec![
        Message::Hello(hello),
        Message::Bye(Bye { code: ByeCode::Misbehaved, number: i64::MIN, text: text.clone() }),
        Message::ShareNews { share: share.clone(), held: Some(text.clone()) },
        Message::Around(vec![
            Around { name: text.clone(), node: Some(NodeId([0xff; 16])), reason: text, hops: 255 };
            100
        ]),
    ];
    for reason in reasons {
        // Pending paths: as many as fit, and at least one.
        let paths = Progress::name_paths((0..100).map(|n| (longest(n), reason.clone())));
        assert!(!paths.is_empty() && paths.len() <= limits::OWED_TOLD);
        let progress = Progress {
            share: share.clone(),
            heard: u64::MAX,
            applied: u64::MAX,
            settled: u64::MAX,
            pending: u32::MAX,
            left_out: LeftOut::from_counts(&[u32::MAX; 9]),
            paths,
            unreleased: u32::MAX,
            unconfirmed: u32::MAX,
            full: true,
        };
        all.extend([Message::Progress(progress), Message::Unavailable { id: u32::MAX, reason }]);
    }
    for message in &all {
        assert!(bytes(message) <= limits::MESSAGE_MAX, "{} bytes: {message:.100?}", bytes(message));
    }
    // What is filled by its size: the size is never less than what it takes.
    let wide =
        || Version::from_pairs((1..=limits::VERSION_IDS_JOINED as u64).map(|n| (StateId(u64::MAX - n), u64::MAX)));
    // The greatest content that is not the version itself.
    let narrow = || {
        let smaller = |&(id, number): &(StateId, u64)| (id, number - id.0 % 2);
        Version::from_pairs(wide().pairs().iter().map(smaller))
    };
    let owner = Owner { user: "u".repeat(limits::OWNER_MAX).into(), group: "g".repeat(limits::OWNER_MAX).into() };
    let entry = Entry {
        kind: Kind::File,
        digest: Digest([0xff; 32]),
        size: u64::MAX,
        mtime: WallTime(i64::MIN),
        mode: 0o7777,
        owner: Some(Rc::new(owner)),
        content: Some(Box::new(narrow())),
        given_up: Some(Box::new(GivenUp { edits: wide(), by: LostBy::Rollback })),
        ..Entry::tombstone(wide(), Stamp { rank: 1, ms: i64::MIN })
    };
    let offer = Offer { path: longest(0), entry, seq: u64::MAX, batch: 1, approved: true };
    let index = |entries| {
        let part =
            IndexPart { share: share.clone(), wall: WallTime(i64::MIN), upto: u64::MAX, last: true, entries, round: 9 };
        bytes(&Message::Index(part))
    };
    let one = index(vec![offer.clone()]) - index(vec![]);
    assert!(one <= owsync::proto::message::offer_size(&offer.path, &offer.entry), "{one}");
    assert!(index(vec![]) < limits::MESSAGE_MAX - limits::DATA_MAX);
}
