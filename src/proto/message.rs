//! Messages: everything that two nodes exchange after the handshake.
//!
//! [`Message`] is the form that the node uses; the `Wire*` types are its only form on the wire, with explicit conversions
//! both ways. Decoding checks every bound: a message that decodes is well-formed, and one
//! that does not is the peer's fault, with the reason named. Unknown types and unknown fields are skipped.

mod around;
mod ask;
mod bye;
mod commit;
mod content;
mod hello;
mod index;
mod introduce;
mod progress;

use std::fmt;
use std::net::SocketAddr;

use minicbor::{Decode, Encode};

use crate::model::commit::Answer;
use crate::model::reason::LeftOut;
use crate::model::{
    Digest, Direction, Entry, NodeId, Reason, RelPath, Release, ShareName, StateId, WallTime, escape, limits,
};

use around::WireAround;
use ask::{WireAsk, WireTell};
use bye::WireBye;
use commit::{WireAnswer, WireCommit};
use content::{WireChunk, WireData, WirePiece, WireRequest, WireUnavailable};
use hello::WireHello;
use index::WireIndex;
use introduce::WireIntroduction;
use progress::{WireProgress, WireReason};

pub use bye::{Bye, ByeCode};
pub use commit::Order;
pub use introduce::{Introduced, Introduction};

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Identity, clock and shares of the sender.
    Hello(Hello),
    /// The session ends, for this reason.
    Bye(Bye),
    /// Requests what changed in a share since a sequence of a state.
    Want {
        /// The share.
        share: ShareName,
        /// The life of the database that the sequence belongs to.
        state: StateId,
        /// Everything above it is requested.
        since: u64,
        /// Which Want of this session it is: every Index says which it answers.
        round: u32,
    },
    /// Entries of a share.
    Index(IndexPart),
    /// Requests content.
    Request {
        /// The share.
        share: ShareName,
        /// The requested pieces.
        pieces: Vec<Piece>,
    },
    /// Content, as requested.
    Data(Vec<Chunk>),
    /// Requested content that cannot be sent.
    Unavailable {
        /// The request.
        id: u32,
        /// Why.
        reason: Reason,
    },
    /// How far the sender has applied the receiver's offers.
    Progress(Progress),
    /// Requests a Pong.
    Ping(WallTime),
    /// Answers a Ping.
    Pong(WallTime),
    /// A share is held, or no longer.
    ShareNews {
        /// The share.
        share: ShareName,
        /// Why it is held; `None`: it is not.
        held: Option<String>,
    },
    /// Asks which entries the receiver has at these paths. Only the answer follows from it.
    Ask {
        /// The sender's number for it.
        id: u32,
        /// The share.
        share: ShareName,
        /// The paths; at most [`limits::ASK_PATHS`].
        paths: Vec<RelPath>,
    },
    /// The answer to Ask, or part of it. The sender does not have, or does not show, paths that it does not name.
    Tell {
        /// The number of the Ask.
        id: u32,
        /// Nothing more follows.
        last: bool,
        /// The entries.
        entries: Vec<Offer>,
    },
    /// The members of the cluster for which the sender vouches.
    Introduce(Introduction),
    /// Which of the sender's other peers are not in sync with it; replaces the previous message.
    Around(Vec<Around>),
    /// What the coordinator of a commit has the receiver do.
    Commit(Order),
    /// What the sender has done of a commit that the receiver coordinates.
    CommitAnswer {
        /// The share.
        share: ShareName,
        /// The receiver's number of the commit.
        number: u64,
        /// What was done.
        answer: Answer,
    },
    /// A type of a later version.
    Unknown(u8),
}

/// The first message of each side.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    /// Lowest and highest version of the message layer.
    pub versions: (u16, u16),
    /// The name of the node.
    pub name: String,
    /// Its clock.
    pub wall: WallTime,
    /// It is up for ten minutes.
    pub settled: bool,
    /// 1: it is, or descends from, a declared reference.
    pub rank: u8,
    /// The life of its database.
    pub state: StateId,
    /// Its `first_sync` is `ask`.
    pub asks: bool,
    /// The token of a join text.
    pub token: Option<[u8; 16]>,
    /// Its shares.
    pub shares: Vec<ShareHello>,
    /// Its id, in plain mode.
    pub node: NodeId,
    /// Its program's version.
    pub program: String,
    /// The release of its system, where that is known.
    pub release: Option<Release>,
    /// Random for each start of the program: with it a node recognises itself, and distinguishes itself from a copy.
    pub instance: u64,
    /// Where it can be reached, best first; at most
    /// [`limits::ADDRESSES_TOLD`].
    pub addresses: Vec<SocketAddr>,
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
    /// The filter's patterns, so that the peer can count what they leave out; `None` where they take too many bytes.
    pub patterns: Option<Patterns>,
    /// Why it is held.
    pub held: Option<String>,
    /// Its packages are exchanged only between systems of one release series.
    pub release_guard: bool,
}

/// The patterns of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patterns {
    /// The includes.
    pub include: Vec<Vec<u8>>,
    /// The excludes.
    pub exclude: Vec<Vec<u8>>,
}

impl Patterns {
    /// Bytes that they take on the wire at most.
    pub fn size(&self) -> usize {
        self.include.iter().chain(&self.exclude).map(|pattern| pattern.len() + 3).sum()
    }
}

/// A node that is not in sync with a peer of the sender's, or with the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// Its name at the node that is connected with it.
    pub name: String,
    /// Its id, where it was connected before.
    pub node: Option<NodeId>,
    /// Why it is not in sync: a word.
    pub reason: String,
    /// Nodes that passed this on.
    pub hops: u8,
}

/// Part of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexPart {
    /// The share.
    pub share: ShareName,
    /// The Want that it answers: an answer to an earlier one is outdated.
    pub round: u32,
    /// The sender's clock.
    pub wall: WallTime,
    /// With this message the receiver has received everything up to this sequence.
    pub upto: u64,
    /// Nothing more follows for now: the catch-up that a Want began has ended, and so has every batch.
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
    /// A user approved this very version where a guard held it.
    pub approved: bool,
}

/// A requested piece of content.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The receiver's number for it.
    pub id: u32,
    /// Where the sender has it.
    pub path: RelPath,
    /// The content that it must still be.
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

/// How far a receiver has applied a sender's changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The share.
    pub share: ShareName,
    /// It has received everything up to here.
    pub heard: u64,
    /// Everything up to here was applied, or needed no change.
    pub applied: u64,
    /// Everything up to here was applied, needed no change, or is left out by choice.
    pub settled: u64,
    /// Paths that it cannot apply or read now.
    pub pending: u32,
    /// Paths that differ there by choice.
    pub left_out: LeftOut,
    /// Some of these paths: the causes of what is pending first.
    pub paths: Vec<(RelPath, Reason)>,
    /// Paths changed there that are not released by `owsync sync`.
    pub unreleased: u32,
    /// Paths applied there that await confirmation and may be rolled back.
    pub unconfirmed: u32,
    /// As many changes are pending as it keeps for one peer: it receives no more until some are resolved.
    pub full: bool,
}

/// Why bytes are not a message of this protocol: the peer's fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMessage(pub String);

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Progress {
    /// As many of these pending paths as fit into one message, at most [`limits::OWED_TOLD`].
    pub fn name_paths(paths: impl Iterator<Item = (RelPath, Reason)>) -> Vec<(RelPath, Reason)> {
        let mut size = 0;
        paths
            .take(limits::OWED_TOLD)
            .take_while(|(path, reason)| {
                size += progress::owed_size(path, reason);
                size <= limits::DATA_MAX
            })
            .collect()
    }
}

impl Message {
    /// Appends type and body to `bytes`: at most [`limits::MESSAGE_MAX`] bytes, if the lists in it are filled by
    /// [`offer_size`], [`Progress::name_paths`], [`limits::ASK_BYTES`] and [`limits::DATA_MAX`]. Texts are cut here.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Message::Hello(hello) => put(bytes, 1, &WireHello::from(hello)),
            Message::Bye(bye) => {
                put(bytes, 2, &WireBye { code: bye.code.number(), number: bye.number, text: cut(&bye.text).into() });
            }
            Message::Want { share, state, since, round } => {
                put(bytes, 3, &WireWant { share: share.to_string(), state: state.0, since: *since, round: *round });
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
                put(bytes, 7, &WireUnavailable { id: *id, reason: WireReason::from(reason) });
            }
            Message::Progress(progress) => put(bytes, 8, &WireProgress::from(progress)),
            Message::Ping(wall) => put(bytes, 9, &WirePing { wall: wall.0 }),
            Message::Pong(wall) => put(bytes, 10, &WirePing { wall: wall.0 }),
            Message::ShareNews { share, held } => {
                put(
                    bytes,
                    11,
                    &WireNews { share: share.to_string(), held: held.as_deref().map(|held| cut(held).into()) },
                );
            }
            Message::Ask { id, share, paths } => put(bytes, 12, &WireAsk::new(*id, share, paths)),
            Message::Tell { id, last, entries } => put(bytes, 13, &WireTell::new(*id, *last, entries)),
            Message::Introduce(introduction) => put(bytes, 14, &WireIntroduction::from(introduction)),
            Message::Around(nodes) => put(bytes, 20, &WireAround::new(nodes)),
            Message::Commit(order) => put(bytes, 15, &WireCommit::new(order)),
            Message::CommitAnswer { share, number, answer } => put(bytes, 16, &WireAnswer::new(share, *number, answer)),
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
            12 => take::<WireAsk>("Ask", body)?.try_into()?,
            13 => take::<WireTell>("Tell", body)?.try_into()?,
            14 => Message::Introduce(take::<WireIntroduction>("Introduce", body)?.try_into()?),
            15 => take::<WireCommit>("Commit", body)?.try_into()?,
            16 => take::<WireAnswer>("CommitAnswer", body)?.try_into()?,
            20 => Message::Around(take::<WireAround>("Around", body)?.try_into()?),
            other => Message::Unknown(other),
        })
    }
}

/// About how many bytes an offer takes on the wire, never less than it does: for filling messages.
pub fn offer_size(path: &RelPath, entry: &Entry) -> usize {
    let owner = entry.owner.as_ref().map_or(0, |owner| owner.user.len() + owner.group.len());
    let given_up = entry.given_up.as_ref().map_or(0, |given_up| given_up.edits.pairs().len());
    let content = entry.content.as_ref().map_or(0, |content| content.pairs().len());
    let pairs = entry.version.pairs().len() + given_up + content;
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
    // Trailing bytes would be ignored: a sender that puts something there means something different.
    if decoder.position() == body.len() {
        Ok(value)
    } else {
        Err(BadMessage(format!("malformed {name}: trailing bytes")))
    }
}

/// The first [`limits::TEXT_MAX`] bytes of a text, in whole characters.
fn cut(text: &str) -> &str {
    cut_to(text, limits::TEXT_MAX)
}

/// The beginning of a text, at most so many bytes of it.
fn cut_to(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A text from a peer, safe to print: escaped, and cut to a line's length.
fn foreign_text(text: &str) -> String {
    // Backslashes of a peer's own escapes are not escaped twice.
    escape::escape(cut(text).as_bytes()).replace("\\\\", "\\")
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
