//! Progress on the wire, with the reasons in it.

use minicbor::{Decode, Encode};

use crate::model::reason::{Choice, LeftOut};
use crate::model::{Reason, RelPath, Release, escape, limits};
use crate::proto::message::{BadMessage, Progress, cut, foreign_text, rel_path, share_name};

/// A reason as code and numbers, so that each side uses its own text; `text` for reasons without a code.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireReason {
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
        let text = |code, text: &str| WireReason { code, a: None, b: None, text: Some(cut(text).into()) };
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
            // A path is bounded by PATH_MAX, and would be a different one if it were cut.
            Reason::WaitsFor(path) => WireReason { text: Some(path.to_text()), ..plain(14) },
            Reason::ShareHeld => plain(15),
            Reason::FirstContact => plain(16),
            Reason::MassDeletion { gone, known } => numbers(17, *gone, *known),
            Reason::LongAway => plain(18),
            Reason::Flapping => plain(19),
            Reason::OnlySends => plain(20),
            Reason::OnlyObserves => plain(21),
            Reason::UnknownOwner(owner) => text(22, owner),
            Reason::Unconfirmed => plain(23),
            Reason::Refused(why) => text(24, why),
            Reason::Manual => plain(25),
            Reason::KeepsDeleted => plain(26),
            // A release contains no space.
            Reason::ReleaseDiffers { from, to } => text(27, &format!("{from} {to}")),
            Reason::SectionsLost { had, has } => numbers(28, *had, *has),
            Reason::Uncommitted(section) => text(30, section),
            Reason::LeftOut(choice) => WireReason { a: Some(*choice as u64), ..plain(29) },
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
                None => Reason::Other("waits for a path that this version cannot name".into()),
            },
            15 => Reason::ShareHeld,
            16 => Reason::FirstContact,
            17 => Reason::MassDeletion { gone: a, known: b },
            18 => Reason::LongAway,
            19 => Reason::Flapping,
            20 => Reason::OnlySends,
            21 => Reason::OnlyObserves,
            22 => Reason::UnknownOwner(text()),
            23 => Reason::Unconfirmed,
            24 => Reason::Refused(text()),
            25 => Reason::Manual,
            26 => Reason::KeepsDeleted,
            27 => match releases(wire.text.as_deref().unwrap_or("")) {
                Some((from, to)) => Reason::ReleaseDiffers { from, to },
                None => Reason::Other("the releases of the two systems differ".into()),
            },
            28 => Reason::SectionsLost { had: a, has: b },
            29 => match usize::try_from(a).ok().and_then(|a| Choice::ALL.get(a)) {
                Some(choice) => Reason::LeftOut(*choice),
                None => Reason::Other("it differs by choice".into()),
            },
            30 => Reason::Uncommitted(text()),
            1 => match known_word(wire.text.as_deref()) {
                Some(word) => Reason::Special(word),
                None => Reason::Other(format!("skipped: it is a {}", text())),
            },
            7 => match known_word(wire.text.as_deref()) {
                Some(word) => Reason::InTheWay(word),
                None => Reason::Other(format!("a {} that is not synced is in the way; move it away", text())),
            },
            _ => Reason::Other(text()),
        }
    }
}

/// Bytes that a pending path takes in a Progress, never less than it does: for filling messages.
pub(super) fn owed_size(path: &RelPath, reason: &Reason) -> usize {
    // Two heads, the code and two numbers.
    64 + path.as_bytes().len() + WireReason::from(reason).text.map_or(0, |text| text.len())
}

fn releases(text: &str) -> Option<(Release, Release)> {
    let (from, to) = text.split_once(' ')?;
    Some((Release::parse(from)?, Release::parse(to)?))
}

/// The words for what is not synced: of these a peer's reason is the same here, so that what it leaves out by choice
/// counts as that.
const THINGS: [&str; 7] =
    ["fifo", "socket", "block device", "character device", "symlink", "thing", "file larger than max_file_size"];

fn known_word(text: Option<&str>) -> Option<&'static str> {
    THINGS.into_iter().find(|word| Some(*word) == text)
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireProgress {
    #[n(0)]
    share: String,
    #[n(1)]
    heard: u64,
    #[n(2)]
    applied: u64,
    #[n(3)]
    pending: u32,
    #[n(4)]
    paths: Vec<WirePath>,
    #[n(5)]
    unreleased: Option<u32>,
    #[n(6)]
    settled: u64,
    #[n(7)]
    left_out: Option<Vec<u32>>,
    #[n(8)]
    unconfirmed: Option<u32>,
    #[n(9)]
    full: Option<bool>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WirePath {
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
            settled: progress.settled,
            pending: progress.pending,
            left_out: Some(progress.left_out.counts().to_vec()).filter(|_| progress.left_out.total() > 0),
            unreleased: Some(progress.unreleased).filter(|&count| count > 0),
            unconfirmed: Some(progress.unconfirmed).filter(|&count| count > 0),
            full: Some(progress.full).filter(|&full| full),
            paths: progress
                .paths
                .iter()
                .map(|(path, reason)| WirePath { path: path.as_bytes().to_vec(), reason: reason.into() })
                .collect(),
        }
    }
}

impl TryFrom<WireProgress> for Progress {
    type Error = BadMessage;

    fn try_from(wire: WireProgress) -> Result<Progress, BadMessage> {
        if wire.paths.len() > limits::OWED_TOLD {
            return Err(BadMessage("too many pending paths".into()));
        }
        let paths = wire
            .paths
            .into_iter()
            .map(|one| Ok((rel_path(&one.path)?, one.reason.into())))
            .collect::<Result<_, BadMessage>>()?;
        Ok(Progress {
            share: share_name(&wire.share)?,
            heard: wire.heard,
            applied: wire.applied,
            settled: wire.settled,
            pending: wire.pending,
            left_out: LeftOut::from_counts(&wire.left_out.unwrap_or_default()),
            paths,
            unreleased: wire.unreleased.unwrap_or(0),
            unconfirmed: wire.unconfirmed.unwrap_or(0),
            full: wire.full.unwrap_or(false),
        })
    }
}
