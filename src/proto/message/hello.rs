//! Hello on the wire: identity, clock and shares.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::model::{Direction, NodeId, Release, StateId, WallTime, limits};
use crate::proto::message::introduce::{address_texts, addresses_from, node_name};
use crate::proto::message::{BadMessage, Hello, Patterns, ShareHello, cut, foreign_text, share_name};

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireHello {
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
    #[n(12)]
    release: Option<String>,
    #[n(13)]
    instance: u64,
    #[n(14)]
    addresses: Vec<String>,
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
    #[n(5)]
    release_guard: Option<bool>,
    #[n(6)]
    patterns: Option<WirePatterns>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WirePatterns {
    #[n(0)]
    include: Vec<ByteVec>,
    #[n(1)]
    exclude: Vec<ByteVec>,
}

impl From<&Patterns> for WirePatterns {
    fn from(patterns: &Patterns) -> WirePatterns {
        let wire = |list: &[Vec<u8>]| list.iter().map(|pattern| ByteVec::from(pattern.clone())).collect();
        WirePatterns { include: wire(&patterns.include), exclude: wire(&patterns.exclude) }
    }
}

impl TryFrom<WirePatterns> for Patterns {
    type Error = BadMessage;

    fn try_from(wire: WirePatterns) -> Result<Patterns, BadMessage> {
        let list = |list: Vec<ByteVec>| {
            let fits = list.len() <= limits::PATTERNS_MAX && list.iter().all(|one| one.len() <= limits::PATTERN_MAX);
            let patterns = || list.into_iter().map(Vec::from).collect();
            if fits { Ok(patterns()) } else { Err(BadMessage("too many patterns, or too long ones".into())) }
        };
        Ok(Patterns { include: list(wire.include)?, exclude: list(wire.exclude)? })
    }
}

impl From<&Hello> for WireHello {
    fn from(hello: &Hello) -> WireHello {
        WireHello {
            min: hello.versions.0,
            max: hello.versions.1,
            name: cut(&hello.name).into(),
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
                    held: share.held.as_deref().map(|held| cut(held).into()),
                    release_guard: Some(true).filter(|_| share.release_guard),
                    patterns: share.patterns.as_ref().map(WirePatterns::from),
                })
                .collect(),
            node: hello.node.0,
            program: cut(&hello.program).into(),
            release: hello.release.as_ref().map(ToString::to_string),
            instance: hello.instance,
            addresses: address_texts(&hello.addresses),
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
                release_guard: share.release_guard.unwrap_or(false),
                patterns: share.patterns.map(Patterns::try_from).transpose()?,
            });
        }
        if wire.state == 0 {
            return Err(BadMessage("state id is 0".into()));
        }
        let release = match wire.release.as_deref().map(Release::parse) {
            Some(None) => return Err(BadMessage("the release is not one printable word".into())),
            Some(Some(release)) => Some(release),
            None => None,
        };
        let addresses = addresses_from(wire.addresses)?;
        Ok(Hello {
            versions: (wire.min, wire.max),
            name: node_name(&wire.name),
            wall: WallTime(wire.wall),
            settled: wire.settled,
            rank: wire.rank.min(1),
            state: StateId(wire.state),
            asks: wire.asks,
            token: wire.token,
            shares,
            node: NodeId(wire.node),
            program: foreign_text(&wire.program),
            release,
            instance: wire.instance,
            addresses,
        })
    }
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
