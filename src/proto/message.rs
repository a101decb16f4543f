//! Messages: what two nodes say to each other once they may.
//!
//! [`Message`] is what the node works with; the `Wire*` types are its only form on the wire, with explicit conversions
//! both ways. Decoding checks every bound before anything is believed: a message that decodes is well-formed, and one
//! that does not is the peer's fault, with the reason named. Unknown types and unknown fields are skipped.

use std::fmt;
use std::rc::Rc;

use minicbor::{Decode, Encode};

use crate::model::{
    Digest, Direction, Entry, Kind, NodeId, Owner, Reason, RelPath, ShareName, Stamp, StateId, Version, WallTime,
    entry::MODE_BITS, escape, limits,
};

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Who I am and what I have.
    Hello(Hello),
    /// The session ends, for this reason.
    Bye(Bye),
    /// Send what changed in a share since a sequence of a state.
    Want {
        /// The share.
        share: ShareName,
        /// The life of the database that the sequence belongs to.
        state: StateId,
        /// Everything above it is wanted.
        since: u64,
        /// Which Want of this session it is: every Index says which it answers.
        round: u32,
    },
    /// Entries of a share.
    Index(IndexPart),
    /// Content is wanted.
    Request {
        /// The share.
        share: ShareName,
        /// What of it.
        pieces: Vec<Piece>,
    },
    /// Content, as requested.
    Data(Vec<Chunk>),
    /// Requested content that cannot be supplied.
    Unavailable {
        /// The request.
        id: u32,
        /// Why.
        reason: Reason,
    },
    /// How far the sender has come with what the receiver offered.
    Progress(Progress),
    /// Are you there?
    Ping(WallTime),
    /// I am.
    Pong(WallTime),
    /// A share is held, or no longer.
    ShareNews {
        /// The share.
        share: ShareName,
        /// Why it is held; `None`: it is not.
        held: Option<String>,
    },
    /// A type of a later version.
    Unknown(u8),
}

/// The first message of each side.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    /// Lowest and highest version of the message layer.
    pub versions: (u16, u16),
    /// What people call the node.
    pub name: String,
    /// Its clock.
    pub wall: WallTime,
    /// It is up for ten minutes.
    pub settled: bool,
    /// 1: it is, or descends from, a declared reference.
    pub rank: u8,
    /// The life of its database.
    pub state: StateId,
    /// It lets a person decide at first contact.
    pub asks: bool,
    /// The token of a join text.
    pub token: Option<[u8; 16]>,
    /// Its shares.
    pub shares: Vec<ShareHello>,
    /// Its id, in plain mode.
    pub node: NodeId,
    /// Its program's version.
    pub program: String,
}

/// A share in a Hello.
#[derive(Debug, Clone, PartialEq)]
pub struct ShareHello {
    /// The share.
    pub name: ShareName,
    /// The greatest sequence number in it.
    pub seq: u64,
    /// Which way its changes go.
    pub direction: Direction,
    /// The first bytes of its filter's digest: equal filters hold the same paths.
    pub filter: [u8; 8],
    /// Why it is held.
    pub held: Option<String>,
}

/// Why a session ends, to the other side.
#[derive(Debug, Clone, PartialEq)]
pub struct Bye {
    /// What kind of reason.
    pub code: ByeCode,
    /// A number that goes with it: milliseconds of skew.
    pub number: i64,
    /// A text that goes with it, escaped.
    pub text: String,
}

/// The kinds of reasons to end a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByeCode {
    /// Our clocks differ by `number` ms.
    ClockSkew,
    /// No version in common.
    Version,
    /// You must be accepted here first.
    NotAccepted,
    /// You show another identity than you had.
    IdentityRefused,
    /// You show my identity.
    SameIdentity,
    /// Two machines show your identity.
    TwoMachines,
    /// You broke the protocol; `text` says how.
    Misbehaved,
    /// Too many sessions.
    Full,
    /// You are switched off here.
    Disabled,
    /// I am shutting down or restarting.
    Leaving,
    /// Another session between us stays.
    Duplicate,
    /// You said nothing for too long.
    Silent,
    /// A code of a later version; `text` says what it means.
    Unknown(u8),
}

impl ByeCode {
    const TABLE: [(ByeCode, u8); 12] = [
        (ByeCode::ClockSkew, 1),
        (ByeCode::Version, 2),
        (ByeCode::NotAccepted, 3),
        (ByeCode::IdentityRefused, 4),
        (ByeCode::SameIdentity, 5),
        (ByeCode::TwoMachines, 6),
        (ByeCode::Misbehaved, 7),
        (ByeCode::Full, 8),
        (ByeCode::Disabled, 9),
        (ByeCode::Leaving, 10),
        (ByeCode::Duplicate, 11),
        (ByeCode::Silent, 12),
    ];

    fn number(self) -> u8 {
        match self {
            ByeCode::Unknown(number) => number,
            known => ByeCode::TABLE.iter().find(|&&(code, _)| code == known).map_or(0, |&(_, number)| number),
        }
    }

    fn from_number(number: u8) -> ByeCode {
        ByeCode::TABLE.iter().find(|&&(_, n)| n == number).map_or(ByeCode::Unknown(number), |&(code, _)| code)
    }
}

/// Part of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexPart {
    /// The share.
    pub share: ShareName,
    /// The Want that it answers: what answers an earlier one is under way by mistake.
    pub round: u32,
    /// The sender's clock.
    pub wall: WallTime,
    /// With this message the receiver has heard everything up to this sequence.
    pub upto: u64,
    /// There is nothing more for now: the catch-up that a Want began has ended, and so has every batch.
    pub last: bool,
    /// The entries, by ascending sequence.
    pub entries: Vec<Offer>,
}

/// An entry as a peer offers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The path.
    pub path: RelPath,
    /// What the peer has.
    pub entry: Entry,
    /// The peer's number of this change.
    pub seq: u64,
    /// The peer's number that all changes of one batch have in common; never above `seq`.
    pub batch: u64,
}

/// A piece of content that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The receiver's number for it.
    pub id: u32,
    /// Where the sender has it.
    pub path: RelPath,
    /// Which content it must still be.
    pub digest: Digest,
    /// From this byte.
    pub offset: u64,
    /// So many bytes.
    pub length: u64,
}

/// A piece of content, or part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// The request it answers.
    pub id: u32,
    /// Where in the file it lies.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// How far a receiver has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The share.
    pub share: ShareName,
    /// It has heard everything up to here.
    pub heard: u64,
    /// Everything up to here has landed, or needed not to.
    pub applied: u64,
    /// Paths that it owes.
    pub owed: u32,
    /// Some of them.
    pub owed_paths: Vec<(RelPath, Reason)>,
}

/// Why bytes are no message of this protocol: the peer's fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMessage(pub String);

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Message {
    /// Appends type and body to `bytes`.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Message::Hello(hello) => put(bytes, 1, &WireHello::from(hello)),
            Message::Bye(bye) => {
                put(bytes, 2, &WireBye { code: bye.code.number(), number: bye.number, text: bye.text.clone() })
            }
            Message::Want { share, state, since, round } => {
                put(bytes, 3, &WireWant { share: share.to_string(), state: state.0, since: *since, round: *round })
            }
            Message::Index(part) => put(bytes, 4, &WireIndex::from(part)),
            Message::Request { share, pieces } => put(
                bytes,
                5,
                &WireRequest { share: share.to_string(), pieces: pieces.iter().map(WirePiece::from).collect() },
            ),
            Message::Data(chunks) => put(
                bytes,
                6,
                &WireData {
                    chunks: chunks.iter().map(|c| WireChunk { id: c.id, offset: c.offset, bytes: &c.bytes }).collect(),
                },
            ),
            Message::Unavailable { id, reason } => {
                put(bytes, 7, &WireUnavailable { id: *id, reason: WireReason::from(reason) })
            }
            Message::Progress(progress) => put(bytes, 8, &WireProgress::from(progress)),
            Message::Ping(wall) => put(bytes, 9, &WirePing { wall: wall.0 }),
            Message::Pong(wall) => put(bytes, 10, &WirePing { wall: wall.0 }),
            Message::ShareNews { share, held } => {
                put(bytes, 11, &WireNews { share: share.to_string(), held: held.clone() })
            }
            Message::Unknown(number) => bytes.push(*number),
        }
    }

    /// Reads type and body.
    ///
    /// # Errors
    /// What is wrong with it, for the log of both sides.
    pub fn decode(bytes: &[u8]) -> Result<Message, BadMessage> {
        let Some((&number, body)) = bytes.split_first() else { return Err(BadMessage("empty message".into())) };
        Ok(match number {
            1 => Message::Hello(take::<WireHello>("Hello", body)?.try_into()?),
            2 => {
                let bye = take::<WireBye>("Bye", body)?;
                Message::Bye(Bye {
                    code: ByeCode::from_number(bye.code),
                    number: bye.number,
                    text: foreign_text(&bye.text),
                })
            }
            3 => {
                let want = take::<WireWant>("Want", body)?;
                Message::Want {
                    share: share_name(&want.share)?,
                    state: StateId(want.state),
                    since: want.since,
                    round: want.round,
                }
            }
            4 => Message::Index(take::<WireIndex>("Index", body)?.try_into()?),
            5 => {
                let request = take::<WireRequest>("Request", body)?;
                let pieces = request.pieces.into_iter().map(Piece::try_from).collect::<Result<_, _>>()?;
                Message::Request { share: share_name(&request.share)?, pieces }
            }
            6 => {
                let data = take::<WireData<'_>>("Data", body)?;
                Message::Data(
                    data.chunks
                        .into_iter()
                        .map(|c| Chunk { id: c.id, offset: c.offset, bytes: c.bytes.to_vec() })
                        .collect(),
                )
            }
            7 => {
                let wire = take::<WireUnavailable>("Unavailable", body)?;
                Message::Unavailable { id: wire.id, reason: wire.reason.into() }
            }
            8 => Message::Progress(take::<WireProgress>("Progress", body)?.try_into()?),
            9 => Message::Ping(WallTime(take::<WirePing>("Ping", body)?.wall)),
            10 => Message::Pong(WallTime(take::<WirePing>("Pong", body)?.wall)),
            11 => {
                let news = take::<WireNews>("ShareNews", body)?;
                Message::ShareNews { share: share_name(&news.share)?, held: news.held.as_deref().map(foreign_text) }
            }
            other => Message::Unknown(other),
        })
    }
}

/// About how many bytes an offer takes on the wire, never less than it does: for filling messages.
pub fn offer_size(path: &RelPath, entry: &Entry) -> usize {
    let owner = entry.owner.as_ref().map_or(0, |owner| owner.user.len() + owner.group.len());
    let pairs = entry.version.pairs().len() + entry.lost.as_ref().map_or(0, |lost| lost.pairs().len());
    160 + path.as_bytes().len() + owner + pairs * 18
}

fn put<T: Encode<()>>(bytes: &mut Vec<u8>, number: u8, body: &T) {
    bytes.push(number);
    // Encoding into a Vec cannot fail: it has no end, and the types hold nothing that CBOR lacks.
    let encoded = minicbor::encode(body, &mut *bytes);
    debug_assert!(encoded.is_ok(), "a message always encodes");
}

fn take<'b, T: Decode<'b, ()>>(name: &str, body: &'b [u8]) -> Result<T, BadMessage> {
    let mut decoder = minicbor::Decoder::new(body);
    let value = decoder.decode().map_err(|error| BadMessage(format!("malformed {name}: {error}")))?;
    // What follows the body would be read by nobody: a sender that puts something there means something else.
    if decoder.position() == body.len() {
        Ok(value)
    } else {
        Err(BadMessage(format!("malformed {name}: trailing bytes")))
    }
}

/// A text from a peer, safe to print: escaped, and cut to a line's length.
fn foreign_text(text: &str) -> String {
    let mut end = text.len().min(300);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // Backslashes of a peer's own escapes are not escaped twice.
    escape::escape(&text.as_bytes()[..end]).replace("\\\\", "\\")
}

fn share_name(text: &str) -> Result<ShareName, BadMessage> {
    ShareName::parse(text).ok_or_else(|| BadMessage("a share's name is not a label".into()))
}

fn rel_path(bytes: &[u8]) -> Result<RelPath, BadMessage> {
    RelPath::parse(bytes)
        .map_err(|error| BadMessage(format!("{error}: {}", escape::escape(&bytes[..bytes.len().min(100)]))))
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireHello {
    #[n(0)]
    min: u16,
    #[n(1)]
    max: u16,
    #[n(2)]
    name: String,
    #[n(3)]
    wall: i64,
    #[n(4)]
    settled: bool,
    #[n(5)]
    rank: u8,
    #[n(6)]
    state: u64,
    #[n(7)]
    asks: bool,
    #[cbor(n(8), with = "minicbor::bytes")]
    token: Option<[u8; 16]>,
    #[n(9)]
    shares: Vec<WireShare>,
    #[cbor(n(10), with = "minicbor::bytes")]
    node: [u8; 16],
    #[n(11)]
    program: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireShare {
    #[n(0)]
    name: String,
    #[n(1)]
    seq: u64,
    #[n(2)]
    direction: u8,
    #[cbor(n(3), with = "minicbor::bytes")]
    filter: [u8; 8],
    #[n(4)]
    held: Option<String>,
}

fn direction_number(direction: Direction) -> u8 {
    match direction {
        Direction::Both => 0,
        Direction::Send => 1,
        Direction::Receive => 2,
        Direction::Observe => 3,
    }
}

fn direction_from(number: u8) -> Result<Direction, BadMessage> {
    [Direction::Both, Direction::Send, Direction::Receive, Direction::Observe]
        .get(usize::from(number))
        .copied()
        .ok_or_else(|| BadMessage("unknown direction".into()))
}

impl From<&Hello> for WireHello {
    fn from(hello: &Hello) -> WireHello {
        WireHello {
            min: hello.versions.0,
            max: hello.versions.1,
            name: hello.name.clone(),
            wall: hello.wall.0,
            settled: hello.settled,
            rank: hello.rank,
            state: hello.state.0,
            asks: hello.asks,
            token: hello.token,
            shares: hello
                .shares
                .iter()
                .map(|share| WireShare {
                    name: share.name.to_string(),
                    seq: share.seq,
                    direction: direction_number(share.direction),
                    filter: share.filter,
                    held: share.held.clone(),
                })
                .collect(),
            node: hello.node.0,
            program: hello.program.clone(),
        }
    }
}

impl TryFrom<WireHello> for Hello {
    type Error = BadMessage;

    fn try_from(wire: WireHello) -> Result<Hello, BadMessage> {
        if wire.shares.len() > limits::SHARES_MAX {
            return Err(BadMessage("too many shares".into()));
        }
        let mut shares: Vec<ShareHello> = Vec::with_capacity(wire.shares.len());
        for share in wire.shares {
            let name = share_name(&share.name)?;
            if shares.iter().any(|known| known.name == name) {
                return Err(BadMessage("a share appears twice".into()));
            }
            shares.push(ShareHello {
                name,
                seq: share.seq,
                direction: direction_from(share.direction)?,
                filter: share.filter,
                held: share.held.as_deref().map(foreign_text),
            });
        }
        if wire.state == 0 {
            return Err(BadMessage("state id is 0".into()));
        }
        let mut name = foreign_text(&wire.name);
        name.truncate(
            name.char_indices()
                .map(|(at, c)| at + c.len_utf8())
                .take_while(|&end| end <= limits::LABEL_MAX)
                .last()
                .unwrap_or(0),
        );
        Ok(Hello {
            versions: (wire.min, wire.max),
            name,
            wall: WallTime(wire.wall),
            settled: wire.settled,
            rank: wire.rank.min(1),
            state: StateId(wire.state),
            asks: wire.asks,
            token: wire.token,
            shares,
            node: NodeId(wire.node),
            program: foreign_text(&wire.program),
        })
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireBye {
    #[n(0)]
    code: u8,
    #[n(1)]
    number: i64,
    #[n(2)]
    text: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireWant {
    #[n(0)]
    share: String,
    #[n(1)]
    state: u64,
    #[n(2)]
    since: u64,
    #[n(3)]
    round: u32,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireIndex {
    #[n(0)]
    share: String,
    #[n(1)]
    wall: i64,
    #[n(2)]
    upto: u64,
    #[n(3)]
    last: bool,
    #[n(4)]
    entries: Vec<WireOffer>,
    #[n(5)]
    round: u32,
}

/// Keys above 5 are left out when they are as for a plain file nobody quarrelled about.
#[derive(Encode, Decode)]
#[cbor(map)]
struct WireOffer {
    #[cbor(n(0), with = "minicbor::bytes")]
    path: Vec<u8>,
    #[n(1)]
    seq: u64,
    #[n(2)]
    kind: u8,
    /// State ids and numbers, alternating.
    #[n(3)]
    version: Vec<u64>,
    #[n(4)]
    rank: u8,
    #[n(5)]
    stamp: i64,
    #[cbor(n(6), with = "minicbor::bytes")]
    digest: Option<[u8; 32]>,
    #[n(7)]
    size: Option<u64>,
    #[n(8)]
    mtime: Option<i64>,
    #[n(9)]
    mode: Option<u32>,
    #[n(10)]
    user: Option<String>,
    #[n(11)]
    group: Option<String>,
    #[n(12)]
    lost: Option<Vec<u64>>,
    /// How far the batch's number lies below `seq`.
    #[n(13)]
    batch_back: Option<u64>,
}

impl From<&IndexPart> for WireIndex {
    fn from(part: &IndexPart) -> WireIndex {
        WireIndex {
            share: part.share.to_string(),
            wall: part.wall.0,
            upto: part.upto,
            last: part.last,
            entries: part.entries.iter().map(WireOffer::from).collect(),
            round: part.round,
        }
    }
}

impl TryFrom<WireIndex> for IndexPart {
    type Error = BadMessage;

    fn try_from(wire: WireIndex) -> Result<IndexPart, BadMessage> {
        let entries: Vec<Offer> = wire.entries.into_iter().map(Offer::try_from).collect::<Result<_, _>>()?;
        if entries.windows(2).any(|pair| pair[0].seq >= pair[1].seq)
            || entries.last().is_some_and(|offer| offer.seq > wire.upto)
        {
            return Err(BadMessage("sequence numbers do not ascend".into()));
        }
        Ok(IndexPart {
            share: share_name(&wire.share)?,
            wall: WallTime(wire.wall),
            upto: wire.upto,
            last: wire.last,
            entries,
            round: wire.round,
        })
    }
}

fn flat(version: &Version) -> Vec<u64> {
    version.pairs().iter().flat_map(|&(id, number)| [id.0, number]).collect()
}

fn unflat(numbers: &[u64]) -> Result<Version, BadMessage> {
    if numbers.len() % 2 != 0 || numbers.len() > 2 * limits::VERSION_IDS_FROM_PEER {
        return Err(BadMessage("a version has too many ids, or half a pair".into()));
    }
    if numbers.contains(&0) {
        return Err(BadMessage("a version holds a 0".into()));
    }
    let version = Version::from_pairs(numbers.chunks_exact(2).map(|pair| (StateId(pair[0]), pair[1])));
    if version.pairs().len() * 2 == numbers.len() {
        Ok(version)
    } else {
        Err(BadMessage("a version holds an id twice".into()))
    }
}

impl From<&Offer> for WireOffer {
    fn from(offer: &Offer) -> WireOffer {
        let entry = &offer.entry;
        WireOffer {
            path: offer.path.as_bytes().to_vec(),
            seq: offer.seq,
            kind: match entry.kind {
                Kind::File => 0,
                Kind::Dir => 1,
                Kind::Symlink => 2,
                Kind::Tombstone => 3,
            },
            version: flat(&entry.version),
            rank: entry.stamp.rank,
            stamp: entry.stamp.ms,
            digest: entry.has_content().then_some(entry.digest.0),
            size: entry.has_content().then_some(entry.size),
            mtime: (entry.kind == Kind::File).then_some(entry.mtime.0),
            mode: matches!(entry.kind, Kind::File | Kind::Dir).then_some(entry.mode),
            user: entry.owner.as_ref().map(|owner| owner.user.to_string()),
            group: entry.owner.as_ref().map(|owner| owner.group.to_string()),
            lost: entry.lost.as_ref().map(|lost| flat(lost)),
            batch_back: Some(offer.seq - offer.batch.min(offer.seq)).filter(|&back| back > 0),
        }
    }
}

impl TryFrom<WireOffer> for Offer {
    type Error = BadMessage;

    fn try_from(wire: WireOffer) -> Result<Offer, BadMessage> {
        let path = rel_path(&wire.path)?;
        let bad = |what: &str| BadMessage(format!("{what}: {path}"));
        let kind = match wire.kind {
            0 => Kind::File,
            1 => Kind::Dir,
            2 => Kind::Symlink,
            3 => Kind::Tombstone,
            _ => return Err(bad("unknown kind")),
        };
        let has_content = matches!(kind, Kind::File | Kind::Symlink);
        if has_content != wire.digest.is_some() || has_content != wire.size.is_some() {
            return Err(bad("content without digest and size, or the reverse"));
        }
        if (kind == Kind::File) != wire.mtime.is_some() || matches!(kind, Kind::File | Kind::Dir) != wire.mode.is_some()
        {
            return Err(bad("mode or mtime missing, or where there is none"));
        }
        if wire.mode.is_some_and(|mode| mode & !MODE_BITS != 0) || wire.rank > 1 {
            return Err(bad("mode or rank out of range"));
        }
        if kind == Kind::Symlink && wire.size.is_some_and(|size| size == 0 || size > limits::LINK_TEXT_MAX as u64) {
            return Err(bad("a symlink's text is empty or too long"));
        }
        let owner = match (wire.user, wire.group) {
            (Some(user), Some(group)) if kind != Kind::Tombstone => {
                let named = |name: &str| {
                    !name.is_empty() && name.len() <= limits::OWNER_MAX && !name.contains([':', '\n', '\0'])
                };
                if !named(&user) || !named(&group) {
                    return Err(bad("owner or group is no name"));
                }
                Some(Rc::new(Owner { user: user.into(), group: group.into() }))
            }
            (None, None) => None,
            _ => return Err(bad("half an owner")),
        };
        let lost = match wire.lost {
            Some(numbers) => Some(Box::new(unflat(&numbers)?)).filter(|lost| !lost.is_unversioned()),
            None => None,
        };
        let entry = Entry {
            kind,
            digest: wire.digest.map_or(Digest::NONE, Digest),
            size: wire.size.unwrap_or(0),
            mtime: WallTime(wire.mtime.unwrap_or(0)),
            mode: wire.mode.unwrap_or(0),
            owner,
            version: unflat(&wire.version)?,
            stamp: Stamp { rank: wire.rank, ms: wire.stamp },
            lost,
        };
        let batch = wire.seq.checked_sub(wire.batch_back.unwrap_or(0)).ok_or_else(|| bad("a batch number below 0"))?;
        Ok(Offer { path, entry, seq: wire.seq, batch })
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireRequest {
    #[n(0)]
    share: String,
    #[n(1)]
    pieces: Vec<WirePiece>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WirePiece {
    #[n(0)]
    id: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    path: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    digest: [u8; 32],
    #[n(3)]
    offset: u64,
    #[n(4)]
    length: u64,
}

impl From<&Piece> for WirePiece {
    fn from(piece: &Piece) -> WirePiece {
        WirePiece {
            id: piece.id,
            path: piece.path.as_bytes().to_vec(),
            digest: piece.digest.0,
            offset: piece.offset,
            length: piece.length,
        }
    }
}

impl TryFrom<WirePiece> for Piece {
    type Error = BadMessage;

    fn try_from(wire: WirePiece) -> Result<Piece, BadMessage> {
        if wire.length > limits::REQUEST_PIECE || wire.offset.checked_add(wire.length).is_none() {
            return Err(BadMessage("a requested piece is too large".into()));
        }
        Ok(Piece {
            id: wire.id,
            path: rel_path(&wire.path)?,
            digest: Digest(wire.digest),
            offset: wire.offset,
            length: wire.length,
        })
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireData<'b> {
    #[b(0)]
    chunks: Vec<WireChunk<'b>>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WireChunk<'b> {
    #[n(0)]
    id: u32,
    #[n(1)]
    offset: u64,
    #[cbor(b(2), with = "minicbor::bytes")]
    bytes: &'b [u8],
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireUnavailable {
    #[n(0)]
    id: u32,
    #[n(1)]
    reason: WireReason,
}

/// A reason as code and numbers, so that each side says it in its own words; `text` for what has none.
#[derive(Encode, Decode)]
#[cbor(map)]
struct WireReason {
    #[n(0)]
    code: u8,
    #[n(1)]
    a: Option<u64>,
    #[n(2)]
    b: Option<u64>,
    #[n(3)]
    text: Option<String>,
}

impl From<&Reason> for WireReason {
    fn from(reason: &Reason) -> WireReason {
        let plain = |code| WireReason { code, a: None, b: None, text: None };
        let numbers = |code, a, b| WireReason { code, a: Some(a), b: Some(b), text: None };
        let text = |code, text: &str| WireReason { code, a: None, b: None, text: Some(text.into()) };
        match reason {
            Reason::Special(what) => text(1, what),
            Reason::SymlinkIgnored => plain(2),
            Reason::SymlinkOutside => plain(3),
            Reason::TooLarge { size, max } => numbers(4, *size, *max),
            Reason::Unreadable(why) => text(5, why),
            Reason::OtherFilesystem => plain(6),
            Reason::InTheWay(what) => text(7, what),
            Reason::DirNotEmpty => plain(8),
            Reason::NoRoom { need, free } => numbers(9, *need, *free),
            Reason::HistoryFull => plain(10),
            Reason::Unwritable(why) => text(11, why),
            Reason::Busy => plain(12),
            Reason::NotSupplied(why) => text(13, why),
            Reason::WaitsFor(path) => text(14, &path.to_text()),
            Reason::ShareHeld => plain(15),
            Reason::FirstContact => plain(16),
            Reason::MassDeletion { gone, known } => numbers(17, *gone, *known),
            Reason::LongAway => plain(18),
            Reason::Flapping => plain(19),
            Reason::OnlySends => plain(20),
            Reason::OnlyObserves => plain(21),
            Reason::UnknownOwner(owner) => text(22, owner),
            Reason::Other(why) => text(255, why),
        }
    }
}

impl From<WireReason> for Reason {
    fn from(wire: WireReason) -> Reason {
        let text = || foreign_text(wire.text.as_deref().unwrap_or(""));
        let (a, b) = (wire.a.unwrap_or(0), wire.b.unwrap_or(0));
        match wire.code {
            2 => Reason::SymlinkIgnored,
            3 => Reason::SymlinkOutside,
            4 => Reason::TooLarge { size: a, max: b },
            5 => Reason::Unreadable(text()),
            6 => Reason::OtherFilesystem,
            8 => Reason::DirNotEmpty,
            9 => Reason::NoRoom { need: a, free: b },
            10 => Reason::HistoryFull,
            11 => Reason::Unwritable(text()),
            12 => Reason::Busy,
            13 => Reason::NotSupplied(text()),
            14 => match escape::unescape(wire.text.as_deref().unwrap_or(""))
                .and_then(|bytes| RelPath::parse(&bytes).ok())
            {
                Some(path) => Reason::WaitsFor(path),
                None => Reason::Other("it waits for another path".into()),
            },
            15 => Reason::ShareHeld,
            16 => Reason::FirstContact,
            17 => Reason::MassDeletion { gone: a, known: b },
            18 => Reason::LongAway,
            19 => Reason::Flapping,
            20 => Reason::OnlySends,
            21 => Reason::OnlyObserves,
            22 => Reason::UnknownOwner(text()),
            1 => Reason::Other(format!("a {} lies there", text())),
            7 => Reason::Other(format!("a {} that is not synced lies there", text())),
            _ => Reason::Other(text()),
        }
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireProgress {
    #[n(0)]
    share: String,
    #[n(1)]
    heard: u64,
    #[n(2)]
    applied: u64,
    #[n(3)]
    owed: u32,
    #[n(4)]
    paths: Vec<WireOwed>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireOwed {
    #[cbor(n(0), with = "minicbor::bytes")]
    path: Vec<u8>,
    #[n(1)]
    reason: WireReason,
}

impl From<&Progress> for WireProgress {
    fn from(progress: &Progress) -> WireProgress {
        WireProgress {
            share: progress.share.to_string(),
            heard: progress.heard,
            applied: progress.applied,
            owed: progress.owed,
            paths: progress
                .owed_paths
                .iter()
                .map(|(path, reason)| WireOwed { path: path.as_bytes().to_vec(), reason: reason.into() })
                .collect(),
        }
    }
}

impl TryFrom<WireProgress> for Progress {
    type Error = BadMessage;

    fn try_from(wire: WireProgress) -> Result<Progress, BadMessage> {
        if wire.paths.len() > limits::OWED_TOLD {
            return Err(BadMessage("too many owed paths".into()));
        }
        let owed_paths = wire
            .paths
            .into_iter()
            .map(|owed| Ok((rel_path(&owed.path)?, owed.reason.into())))
            .collect::<Result<_, BadMessage>>()?;
        Ok(Progress {
            share: share_name(&wire.share)?,
            heard: wire.heard,
            applied: wire.applied,
            owed: wire.owed,
            owed_paths,
        })
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WirePing {
    #[n(0)]
    wall: i64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireNews {
    #[n(0)]
    share: String,
    #[n(1)]
    held: Option<String>,
}
