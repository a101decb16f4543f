//! A node whose only peer is out to harm it.
//!
//! The peer is accepted: it has the key, or none is needed. So it may change and delete every file of the share, and
//! that is what it may do. It must not make the node fall, nor forget what a user wrote, nor write outside the share,
//! nor remember, send or stage without bound.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use owsync::model::reason::LeftOut;
use owsync::model::{
    Digest, Direction, Entry, Kind, NodeId, Reason, RelPath, Stamp, StateId, Version, WallTime, limits,
};
use owsync::node::LinkId;
use owsync::proto::Message;
use owsync::proto::frame::{Preface, Received, push_record};
use owsync::proto::message::{Bye, ByeCode, Chunk, Hello, IndexPart, Offer, Piece, Progress, ShareHello};

use super::Source;
use crate::world::{World, main, path};

/// Names a peer may offer, also those that no share ever holds.
const NAMES: [&str; 10] = [
    "dhcp",
    "etc",
    "etc/hosts",
    "etc/hosts/x",
    "new",
    "deep/er/file",
    ".owsync-000000005eed0000/1",
    ".owsync-0123456789abcdef/1",
    ".dhcp.uci-Ab3xYz",
    "a\n\u{1b}[2J",
];

/// Contents a peer may offer.
const CONTENTS: [&[u8]; 4] = [b"", b"of the peer", b"first", &[b'x'; 3000]];

/// Content that a peer never has, and the size it says that has.
const NOWHERE: (Digest, u64) = (Digest([9; 32]), 3 << 40);

struct Story<'a> {
    world: World,
    source: Source<'a>,
    link: Option<LinkId>,
    /// What the node wrote, and how much of it at once.
    heard: Received,
    most: usize,
    asked: Vec<(u32, RelPath, Digest, u64, u64)>,
    seq: u64,
    round: u32,
    /// What users wrote, and whether a user replaced it.
    written: BTreeMap<Vec<u8>, bool>,
}

pub fn node(data: &[u8]) -> bool {
    let mut world = World::new(7, 1);
    world.share_settings(0).max_file_size = 100_000;
    world.machines[0].disk.0.borrow_mut().capacity = 1024 * 1024;
    let mut story = Story {
        world,
        source: Source::new(data),
        link: None,
        heard: Received::default(),
        most: 0,
        asked: Vec::new(),
        seq: 0,
        round: 0,
        written: BTreeMap::new(),
    };
    story.write("dhcp", b"first");
    story.write("etc/hosts", b"hosts");
    story.world.start(0);
    story.world.run_ms(500);
    story.connect();
    for _ in 0..60 {
        if story.source.is_empty() {
            break;
        }
        story.act();
    }
    story.close();
    // Until what it left half done is given up.
    story.world.run(limits::BROKEN_KEPT + Duration::from_secs(60));
    story.check()
}

impl Story<'_> {
    fn write(&mut self, name: &str, content: &[u8]) {
        let user = self.world.user(0);
        let old = user.read(&path(name));
        if user.write(&path(name), content) {
            if let Some(old) = old.filter(|old| old != content) {
                self.written.insert(old, true);
            }
            self.written.insert(content.to_vec(), false);
            self.world.announce(0, &path(name));
        }
    }

    fn connect(&mut self) {
        self.close();
        let from = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));
        self.link = self.world.with(0, |node, now| node.handle_incoming(now, from));
        self.heard = Received::default();
        self.send_bytes(Preface::bytes(false));
        let share = |name| ShareHello {
            name,
            seq: self.seq,
            direction: Direction::Both,
            filter: [0; 8],
            patterns: None,
            held: None,
            release_guard: false,
        };
        let hello = Hello {
            versions: (2, 2),
            name: "peer".into(),
            wall: self.world.wall(0),
            settled: true,
            rank: 1,
            state: StateId(77),
            asks: false,
            token: None,
            shares: vec![share(main())],
            node: NodeId([9; 16]),
            program: "9".into(),
            release: None,
            instance: 0,
            addresses: Vec::new(),
        };
        self.say(&Message::Hello(hello));
    }

    fn close(&mut self) {
        if let Some(link) = self.link.take() {
            self.world.with(0, |node, now| node.handle_closed(now, link));
        }
        self.asked.clear();
    }

    fn say(&mut self, message: &Message) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        if bytes.len() <= limits::RECORD_MAX {
            let mut record = Vec::new();
            push_record(&mut record, &bytes);
            self.send_bytes(&record);
        }
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        let Some(link) = self.link else { return };
        self.world.with(0, |node, now| node.handle_bytes(now, link, bytes));
        self.world.run_ms(1);
        self.listen();
    }

    /// Reads what the node writes, to know what it asks for.
    fn listen(&mut self) {
        let Some(link) = self.link else { return };
        let mut bytes = Vec::new();
        self.world.with(0, |node, _| node.transmit(link, &mut bytes));
        self.most = self.most.max(bytes.len());
        let fresh = self.heard.rest().is_empty() && bytes.starts_with(Preface::bytes(false));
        self.heard.push(if fresh { &bytes[8..] } else { &bytes });
        while let Ok(Some(record)) = self.heard.record(limits::RECORD_MAX) {
            match Message::decode(record) {
                Ok(Message::Request { pieces, .. }) => {
                    self.asked.extend(pieces.into_iter().map(|p: Piece| (p.id, p.path, p.digest, p.offset, p.length)));
                }
                Ok(Message::Want { round, .. }) => self.round = round,
                Ok(_) => {}
                // An alert, or something in between after this peer broke off.
                Err(_) => break,
            }
        }
    }

    fn name(&mut self) -> RelPath {
        let pick = self.source.byte();
        match NAMES.get(usize::from(pick)) {
            Some(name) => path(name),
            None => path(&format!("n{}", pick % 100)),
        }
    }

    fn offer(&mut self) -> Offer {
        let name = self.name();
        let shape = self.source.byte();
        let (digest, size) = match shape >> 4 {
            15 => NOWHERE,
            n => {
                let content = CONTENTS[usize::from(n) % CONTENTS.len()];
                (Digest::of(content), content.len() as u64)
            }
        };
        let kind = [Kind::File, Kind::File, Kind::Tombstone, Kind::Dir, Kind::Symlink][usize::from(shape & 15) % 5];
        let number = 1 + u64::from(self.source.byte());
        let version = match self.source.byte() {
            0 => Version::UNVERSIONED,
            1 => Version::from_pairs((1..=200).map(|id| (StateId(id), number))),
            // As if it had seen everything this node ever writes.
            2 => Version::from_pairs([(StateId(77), u64::MAX), (StateId(1), u64::MAX)]),
            _ => Version::from_pairs([(StateId(77), number)]),
        };
        let ms = match self.source.byte() {
            0 => i64::MAX,
            1 => i64::MIN,
            n => self.world.wall(0).0 + i64::from(n) - 100,
        };
        let rank = u8::from(!version.is_unversioned());
        let mut entry = Entry::tombstone(version, Stamp { rank, ms });
        entry.kind = kind;
        if entry.has_content() {
            (entry.digest, entry.size) = (digest, if kind == Kind::Symlink { size.clamp(1, 4096) } else { size });
        }
        if matches!(kind, Kind::File | Kind::Dir) {
            entry.mode = [0o644, 0o6777, 0, 0o755][usize::from(shape & 3)];
        }
        if kind == Kind::File {
            entry.mtime = WallTime(ms);
        }
        let step = u64::from(self.source.byte() % 8);
        self.seq = self.seq.saturating_add(1 + step);
        Offer { path: name, entry, seq: self.seq, batch: self.seq.saturating_sub(step / 2), approved: step % 3 == 0 }
    }

    fn act(&mut self) {
        match self.source.byte() % 16 {
            0..=4 => {
                let count = self.source.byte() % 6;
                let entries: Vec<Offer> = (0..count).map(|_| self.offer()).collect();
                let (wall, round) = (self.world.wall(0), self.round);
                let (upto, last) = (self.seq, self.source.byte() % 4 > 0);
                self.say(&Message::Index(IndexPart { share: main(), round, wall, upto, last, entries }));
            }
            5..=8 => self.supply(),
            9 => {
                let path = self.name();
                let digest = Digest::of(self.source.pick(&CONTENTS));
                let (offset, length) = (self.source.number(), u64::from(self.source.byte()));
                let piece = Piece { id: 1, path, digest, offset: offset >> (self.source.byte() % 64), length };
                self.say(&Message::Request { share: main(), pieces: vec![piece; usize::from(length as u8 % 9)] });
            }
            10 => {
                let (state, since) = (StateId(self.source.number()), self.source.number());
                let round = u32::from(self.source.byte());
                self.say(&Message::Want { share: main(), state, since, round });
            }
            11 => {
                let message = match self.source.byte() % 8 {
                    0 => Message::Unavailable { id: u32::from(self.source.byte()), reason: Reason::Busy },
                    1 => Message::Bye(Bye { code: ByeCode::Leaving, number: 0, text: "x".repeat(300) }),
                    2 => Message::ShareNews { share: main(), held: Some("\u{1b}[2J".into()) },
                    3 => Message::Ping(WallTime(self.source.number() as i64)),
                    4 => Message::Unknown(200),
                    5 => Message::Ask { id: 7, share: main(), paths: vec![self.name(), path("dhcp")] },
                    6 => Message::Tell { id: u32::from(self.source.byte()), last: true, entries: Vec::new() },
                    _ => Message::Progress(Progress {
                        share: main(),
                        heard: self.source.number(),
                        applied: self.source.number(),
                        settled: 7,
                        pending: 7,
                        left_out: LeftOut::from_counts(&[u32::MAX, 7]),
                        paths: vec![(path("dhcp"), Reason::Busy)],
                        unreleased: 0,
                        unconfirmed: 1,
                        full: false,
                    }),
                };
                self.say(&message);
            }
            12 => {
                let count = usize::from(self.source.byte());
                let bytes = self.source.take(count).to_vec();
                self.send_bytes(&bytes);
            }
            13 => {
                let wait = [100, 1_000, 61_000, 131_000][usize::from(self.source.byte() % 4)];
                self.world.run_ms(wait);
                self.listen();
            }
            14 => {
                let (name, text) = (self.name(), format!("user {} {}", self.written.len(), self.source.byte()));
                if !name.as_bytes().starts_with(b".") {
                    self.write(&name.to_text(), text.as_bytes());
                }
            }
            _ => self.connect(),
        }
    }

    /// Answers a request: rightly, wrongly, twice, elsewhere, or without one.
    fn supply(&mut self) {
        let how = self.source.byte();
        let index = usize::from(self.source.byte());
        let asked = if self.asked.is_empty() { None } else { Some(self.asked[index % self.asked.len()].clone()) };
        let Some((id, _, digest, offset, length)) = asked else {
            if how == 0 {
                self.say(&Message::Data(vec![Chunk { id: 99, offset: 0, bytes: b"unsolicited".to_vec() }]));
            }
            return;
        };
        let content = CONTENTS.iter().find(|content| Digest::of(content) == digest).copied().unwrap_or(b"wrong");
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let to = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(content.len());
        let right = content[from..to].to_vec();
        let chunk = match how % 8 {
            0 => Chunk { id, offset: offset.wrapping_add(1), bytes: right },
            1 => Chunk { id, offset, bytes: vec![b'y'; right.len()] },
            2 => Chunk { id, offset, bytes: [&right[..], b"more"].concat() },
            3 => Chunk { id, offset, bytes: Vec::new() },
            _ => {
                self.asked.retain(|asked| asked.0 != id);
                Chunk { id, offset, bytes: right }
            }
        };
        self.say(&Message::Data(vec![chunk]));
    }

    /// True if a change of the peer was applied.
    fn check(&self) -> bool {
        let node = self.world.machines[0].node.as_ref().expect("a node");
        let share = self.world.machines[0].disk.user("/share");
        let state = self.world.machines[0].disk.user("/state");
        // The share contains only its own files, and no leftovers.
        for name in share.paths() {
            let own = name.as_bytes().starts_with(b".owsync-") || name.name().starts_with(b".dhcp.uci-");
            assert!(!own, "{name} was left or written");
            if let Some(mode) = share.mode(&name) {
                assert_eq!(mode & 0o6000, 0, "{name} has mode {mode:o}, and the share allows none of that");
            }
        }
        for name in state.paths() {
            assert!(name.as_bytes().starts_with(b"owsync.db"), "{name} was written outside the share");
        }
        // What a user wrote is there, or a user replaced it, or it is in history.
        let current: BTreeSet<Vec<u8>> = share.files().into_values().collect();
        let kept: BTreeSet<Vec<u8>> = self.world.history(0).into_iter().map(|(_, content, _)| content).collect();
        for (content, replaced) in &self.written {
            let there = *replaced || current.contains(content) || kept.contains(content);
            assert!(there, "{:?} is lost", String::from_utf8_lossy(content));
        }
        // Memory: a peer that says a little makes the node remember a little.
        let remembered = &node.state().shares[&main()];
        assert!(remembered.index.len() + remembered.owed.len() <= 1000, "{} paths", remembered.index.len());
        assert!(self.most <= limits::SEND_MAX, "{} bytes at once", self.most);
        CONTENTS[1..].iter().any(|content| current.contains(*content) && self.written.get(*content) != Some(&false))
    }
}
