//! Index on the wire: offered entries.

use std::rc::Rc;

use minicbor::{Decode, Encode};

use crate::model::{
    Digest, Entry, GivenUp, Kind, LostBy, Owner, Stamp, StateId, Version, WallTime, entry::MODE_BITS, limits,
};
use crate::proto::message::{BadMessage, IndexPart, Offer, rel_path, share_name};

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireIndex {
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

/// Keys above 5 are omitted where they have the values of a plain file without conflicts.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireOffer {
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
    /// Edits that were rejected or rolled back, as in `version`.
    #[n(12)]
    given_up: Option<Vec<u64>>,
    /// How far the batch's number lies below `seq`.
    #[n(13)]
    batch_back: Option<u64>,
    /// How they were given up: 1 a rejection, 2 a rollback.
    #[n(14)]
    given_up_by: Option<u8>,
    /// 1: a user approved this very version where a guard held it.
    #[n(15)]
    approved: Option<u8>,
    /// The edits that the bytes include, as in `version`, where those are fewer.
    #[n(16)]
    content: Option<Vec<u64>>,
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
        if wire.entries.len() > limits::INDEX_CHUNK {
            return Err(BadMessage("too many entries in one message".into()));
        }
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
            given_up: entry.given_up.as_ref().map(|given_up| flat(&given_up.edits)),
            given_up_by: entry.given_up.as_ref().map(|given_up| match given_up.by {
                LostBy::Rejection | LostBy::Conflict => 1,
                LostBy::Rollback => 2,
            }),
            approved: offer.approved.then_some(1),
            content: entry.content.as_deref().map(flat),
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
        let given_up = match wire.given_up {
            Some(numbers) => {
                let by = match wire.given_up_by {
                    Some(2) => LostBy::Rollback,
                    // A later version may know more causes.
                    None | Some(_) => LostBy::Rejection,
                };
                Some(Box::new(GivenUp { edits: unflat(&numbers)?, by })).filter(|it| !it.edits.is_unversioned())
            }
            None => None,
        };
        let version = unflat(&wire.version)?;
        let content = match wire.content {
            Some(numbers) => {
                let content = unflat(&numbers)?;
                if !version.includes(&content) {
                    return Err(bad("the content includes an edit that the version does not"));
                }
                Some(Box::new(content)).filter(|content| **content != version)
            }
            None => None,
        };
        let entry = Entry {
            kind,
            digest: wire.digest.map_or(Digest::NONE, Digest),
            size: wire.size.unwrap_or(0),
            mtime: WallTime(wire.mtime.unwrap_or(0)),
            mode: wire.mode.unwrap_or(0),
            owner,
            version,
            content,
            stamp: Stamp { rank: wire.rank, ms: wire.stamp },
            given_up,
        };
        let batch = wire.seq.checked_sub(wire.batch_back.unwrap_or(0)).ok_or_else(|| bad("a batch number below 0"))?;
        Ok(Offer { path, entry, seq: wire.seq, batch, approved: wire.approved == Some(1) })
    }
}

fn flat(version: &Version) -> Vec<u64> {
    version.pairs().iter().flat_map(|&(id, number)| [id.0, number]).collect()
}

fn unflat(numbers: &[u64]) -> Result<Version, BadMessage> {
    if numbers.len() % 2 != 0 || numbers.len() > 2 * limits::VERSION_IDS_JOINED {
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
