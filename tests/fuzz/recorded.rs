//! What nodes and sessions wrote, as seeds: every message, a handshake, the files of a database.

use std::rc::Rc;

use owsync::model::reason::LeftOut;
use owsync::model::settings::FirstSync;
use owsync::model::{
    Digest, Direction, Entry, GivenUp, Kind, LostBy, NodeId, Owner, Reason, Release, ShareName, Stamp, StateId,
    Version, WallTime, limits,
};
use owsync::proto::Message;
use owsync::proto::message::{
    Around, Bye, ByeCode, Chunk, Hello, IndexPart, Introduced, Introduction, Offer, Patterns, Piece, Progress,
    ShareHello,
};

use crate::disk::User;
use crate::seeds::Seeds;
use crate::world::{World, path};

const WALL: WallTime = WallTime(1_795_162_530_123);

pub fn messages() -> Seeds {
    let share = ShareName::main;
    let shared = ShareHello {
        name: ShareName::parse("vpn").unwrap(),
        seq: 300,
        direction: Direction::Observe,
        filter: [7; 8],
        patterns: Some(Patterns { include: vec![b"*".to_vec()], exclude: vec![b"*.key".to_vec()] }),
        held: Some("too many deletions".into()),
        release_guard: true,
    };
    let hello = Hello {
        versions: (2, 3),
        name: "r1".into(),
        wall: WALL,
        settled: true,
        rank: 1,
        state: StateId(u64::MAX),
        asks: false,
        token: Some([7; 16]),
        shares: vec![ShareHello { name: share(), held: None, ..shared.clone() }, shared],
        node: NodeId([9; 16]),
        program: "2.0.0".into(),
        release: Release::parse("24.10.4"),
        instance: 0,
        addresses: Vec::new(),
    };
    let reasons = [
        Reason::TooLarge { size: 300, max: 16 },
        Reason::Unreadable("io".into()),
        Reason::WaitsFor(path("a/b")),
        Reason::MassDeletion { gone: 11, known: 20 },
        Reason::Special("fifo"),
        Reason::Other("later".into()),
    ];
    let ids = Version::from_pairs((0..=limits::VERSION_IDS_JOINED as u64).map(|id| (StateId(1 + id), 1)));
    let mut entries = offers();
    entries[4].entry.version = ids;
    let index = IndexPart { share: share(), round: 1, wall: WALL, upto: 300, last: true, entries: offers() };
    let many = IndexPart { entries, ..index.clone() };
    let mut all = vec![
        ("hello", Message::Hello(hello)),
        ("bye", Message::Bye(Bye { code: ByeCode::ClockSkew, number: -60_001, text: "skew".into() })),
        ("want", Message::Want { share: share(), state: StateId(1 << 63), since: 24, round: 7 }),
        ("index", Message::Index(index)),
        (
            "request",
            Message::Request {
                share: share(),
                pieces: vec![
                    Piece { id: 1, path: path("a"), digest: Digest([2; 32]), offset: 1 << 40, length: 524_288 };
                    2
                ],
            },
        ),
        ("data", Message::Data(vec![Chunk { id: u32::MAX, offset: 65_536, bytes: b"content".to_vec() }; 2])),
        (
            "progress",
            Message::Progress(Progress {
                share: share(),
                heard: 300,
                applied: 299,
                settled: 300,
                pending: 2,
                left_out: LeftOut::from_counts(&[2, 1]),
                paths: reasons.iter().map(|reason| (path("x"), reason.clone())).collect(),
                unreleased: 0,
                unconfirmed: 4,
                full: false,
            }),
        ),
        (
            "around",
            Message::Around(vec![Around {
                name: "r3".into(),
                node: Some(NodeId([9; 16])),
                reason: "away".into(),
                hops: 1,
            }]),
        ),
        ("ping", Message::Ping(WALL)),
        ("pong", Message::Pong(WallTime(i64::MIN))),
        ("news", Message::ShareNews { share: share(), held: Some("held".into()) }),
        ("ask", Message::Ask { id: 7, share: share(), paths: vec![path("a"), path("d/x")] }),
        ("tell", Message::Tell { id: 7, last: true, entries: offers() }),
        ("not-known", Message::Unknown(200)),
        ("not-few-ids", Message::Index(many)),
    ];
    all.extend(reasons.map(|reason| ("unavailable", Message::Unavailable { id: 9, reason })).into_iter().take(2));
    all.push((
        "introduce",
        Message::Introduce(Introduction {
            members: 3,
            nodes: vec![Introduced {
                public_key: [3; 32],
                name: "r3".into(),
                round: 1,
                addresses: vec!["10.0.0.3:4321".parse().unwrap(), "[fd00::3]:4321".parse().unwrap()],
            }],
            forgotten: vec![(NodeId([4; 16]), 2)],
        }),
    ));
    let written = |(n, (name, message)): (usize, (&str, Message))| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        (if name.starts_with("not-") { name.into() } else { format!("{name}-{n}") }, bytes)
    };
    all.into_iter().enumerate().map(written).collect()
}

/// An entry of every kind.
fn offers() -> Vec<Offer> {
    let version = Version::from_pairs([(StateId(2), 9), (StateId(u64::MAX), u64::MAX)]);
    let stamp = Stamp { rank: 1, ms: 1000 };
    let gone = Entry::tombstone(version, stamp);
    let file = Entry {
        kind: Kind::File,
        digest: Digest::of(b"a"),
        size: 1,
        mtime: WallTime(-2),
        mode: 0o4755,
        owner: Some(Rc::new(Owner { user: "root".into(), group: "wheel".into() })),
        given_up: Some(Box::new(GivenUp { edits: Version::from_pairs([(StateId(2), 8)]), by: LostBy::Rejection })),
        ..gone.clone()
    };
    let plain = Entry { owner: None, given_up: None, version: Version::UNVERSIONED, ..file.clone() };
    let dir = Entry { kind: Kind::Dir, mode: 0o755, ..gone.clone() };
    let link = Entry { kind: Kind::Symlink, digest: Digest([1; 32]), size: 4096, ..gone.clone() };
    let all = [("a", file), ("b", plain), ("d", dir), ("d/l", link), ("g", gone)];
    let offer = |(n, (name, entry)): (u64, (&str, Entry))| Offer {
        path: path(name),
        entry,
        seq: 250 + n,
        batch: 250,
        approved: false,
    };
    (0..).zip(all).map(offer).collect()
}

/// What each end of a session writes, for the other to hear.
#[cfg(feature = "encryption")]
pub fn handshakes() -> Seeds {
    let mut ends = crate::fuzz::encryption::ends();
    let mut wrote = [Vec::new(), Vec::new()];
    for round in 0..4 {
        if round == 3 {
            ends.iter_mut().for_each(|end| end.send(&Message::Ping(WALL)));
        }
        for n in [0, 1] {
            let mut bytes = Vec::new();
            ends[n].poll_transmit(&mut bytes);
            ends[1 - n].handle_bytes(&bytes);
            wrote[n].extend(bytes);
        }
    }
    let [dialled, answered] = wrote;
    let begun = [&[40], &dialled[..20]].concat();
    let mut forged = dialled.clone();
    forged[100] ^= 1;
    vec![
        ("dialled".into(), [&[255], &dialled[..]].concat()),
        ("answered".into(), [&[6], &answered[..]].concat()),
        ("not-whole".into(), begun),
        ("not-genuine".into(), [&[255], &forged[..]].concat()),
    ]
}

/// Where a node keeps what it knows, after some days with another: tombstones, conflicts, a path it waits for.
fn lived(folded: bool) -> User {
    let mut world = World::new(5, 2);
    world.pair(0, 1);
    world.share_settings(0).max_file_size = 40;
    world.set_all(|settings| settings.first_sync = FirstSync::Newest);
    world.write(0, "dhcp", "one");
    world.write(0, "a/b", "two");
    assert!(world.user(1).make_link(&path("link"), b"a/b"));
    world.start_all();
    world.settle();
    world.write(1, "large", &"x".repeat(50));
    world.write(1, "dhcp", "three");
    world.remove(1, "a/b");
    world.run_ms(5_000);
    world.set_cut(0, 1, true);
    world.write(0, "dhcp", "mine");
    world.write(1, "dhcp", "theirs");
    world.run_ms(5_000);
    world.heal_all();
    world.run_ms(60_000);
    if folded {
        world.stop(0);
    } else {
        world.kill(0);
    }
    world.user_of(0, "/state")
}

fn lies(of: &User, name: &str) -> Vec<u8> {
    of.read(&path(name)).unwrap_or_else(|| panic!("{name} is not among {:?}", of.paths()))
}

pub fn documents() -> Seeds {
    let written = lies(&lived(true), "owsync.db");
    let torn = written[..written.len() / 2].to_vec();
    let predecessor = format!(
        r#"{{"files":{{"dhcp":{{"path":"dhcp","hash":"{}","mtime":1795162530.5,"size":3,"mode":420,"deleted":false}},
            "gone":{{"hash":null,"mtime":-1e300,"deleted":true}},"../x":{{"mode":0}}}},"version":1}}"#,
        "ab".repeat(32)
    );
    vec![
        ("written".into(), written),
        ("predecessor".into(), predecessor.into_bytes()),
        ("not-whole".into(), torn),
        ("not-ours".into(), br#"{"owsync":4,"state":[]}"#.to_vec()),
    ]
}

/// The lines without their checksums, where the target makes new ones; those of a mark are made there too.
fn lines(bytes: &[u8]) -> Vec<u8> {
    let all = bytes.split(|&b| b == b'\n').filter(|line| line.len() > 9).map(|line| &line[9..]);
    let mut lines = vec![0];
    lines.extend(all.filter(|line| !line.starts_with(b"{\"mark\"")).collect::<Vec<_>>().join(&b'\n'));
    lines
}

pub fn journals() -> Seeds {
    let written = lies(&lived(false), "owsync.db-journal");
    let raw = [&[1], &written[..200]].concat();
    let nothing = b"\0{\"nothing\":{}}".to_vec();
    vec![("written".into(), lines(&written)), ("not-summed".into(), raw), ("not-known".into(), nothing)]
}

pub fn histories() -> Seeds {
    let written = lies(&lived(true), "owsync.db-history/index");
    let raw = [&[1], &written[..]].concat();
    vec![("written".into(), lines(&written)), ("summed".into(), raw), ("not-known".into(), b"\0{}".to_vec())]
}
