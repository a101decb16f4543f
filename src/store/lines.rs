//! Changes as lines of JSON: the only form of the state on disk.
//!
//! ```text
//! {"entry":{"share":"main","path":"dhcp","is":{"kind":"file","digest":"9f86…","size":1024,"mtime":1795162530123,
//!  "mode":"644","user":"root","group":"root","version":"5f1c…:1795162530200","stamp":1795162530123},"seq":17,…}}
//! ```
//! Names are escaped as everywhere ([`crate::model::escape`]); numbers that exceed what JSON tools keep exactly stand in
//! strings. A field that is left out has the value that most entries have. Unknown fields are skipped, so an older
//! owsync reads what a newer one wrote, except for kinds of lines it does not know: those count as damage.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::model::reason::Hold;
use crate::model::{
    Digest, Direction, DiskStat, Entry, Kind, NodeId, Owner, Reason, Record, RelPath, ShareName, Sleep, Stamp, StateId,
    Version, WallTime, escape,
};
use crate::store::state::{Change, KnownPeer, LandingRecord, LandingStep, Ledger, Me, Owed, ShareMeta, Token, Why};

/// A line that says nothing this program understands.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine(pub &'static str);

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Line {
    Node(LineMe),
    Entry(Box<LineRecord>),
    Drop(LinePath),
    Stamped {
        share: String,
        at: i64,
    },
    Share(LineShare),
    Peer(LinePeer),
    Forget {
        node: String,
    },
    Ledger(LineLedger),
    NoLedger {
        share: String,
        node: String,
    },
    Owed(Box<LineOwed>),
    Paid(LinePaid),
    Landing(Box<LineLanding>),
    Landed {
        share: String,
    },
    Tokens(Vec<LineToken>),
    /// Renewed at every write, to notice a database that was restored or copied.
    Mark(String),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineMe {
    node: String,
    state: String,
    rank: u8,
    number: u64,
    seq: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LinePath {
    share: String,
    path: String,
}

/// The fields of an entry, shared by records, owed changes and landings.
#[derive(Serialize, Deserialize)]
struct LineEntry {
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    digest: String,
    #[serde(skip_serializing_if = "is_default", default)]
    size: u64,
    #[serde(skip_serializing_if = "is_default", default)]
    mtime: i64,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    group: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    version: String,
    #[serde(skip_serializing_if = "is_default", default)]
    rank: u8,
    stamp: i64,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    lost: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineRecord {
    share: String,
    path: String,
    is: LineEntry,
    seq: u64,
    batch: u64,
    /// Size, mtime and ctime in ns, inode, mode in octal, uid, gid.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    disk: String,
    #[serde(skip_serializing_if = "is_default", default)]
    recorded: i64,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    sleep: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    draft: Option<i64>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineShare {
    share: String,
    past: bool,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    rules: String,
    direction: String,
    #[serde(default)]
    filesystem: String,
    #[serde(default)]
    scanned: i64,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    dir: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    hold: Option<LineHold>,
}

#[derive(Serialize, Deserialize)]
struct LineHold {
    why: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    changed: u64,
    #[serde(default)]
    known: u64,
    since: i64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LinePeer {
    node: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    key: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    section: Option<String>,
    accepted: bool,
    met: i64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineLedger {
    share: String,
    node: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    their_state: String,
    heard: u64,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    our_state: String,
    applied: u64,
    met: bool,
    sends: bool,
    #[serde(skip_serializing_if = "is_default", default)]
    away: bool,
    #[serde(skip_serializing_if = "is_default", default)]
    withheld: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineOwed {
    share: String,
    node: String,
    path: String,
    is: LineEntry,
    seq: u64,
    batch: u64,
    reason: LineReason,
    since: i64,
    #[serde(skip_serializing_if = "is_default", default)]
    decided: bool,
}

#[derive(Serialize, Deserialize)]
struct LineReason {
    why: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    text: String,
    #[serde(skip_serializing_if = "is_default", default)]
    a: u64,
    #[serde(skip_serializing_if = "is_default", default)]
    b: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LinePaid {
    share: String,
    node: String,
    path: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineLanding {
    share: String,
    run: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    from: Option<String>,
    steps: Vec<LineStep>,
}

#[derive(Serialize, Deserialize)]
struct LineStep {
    path: String,
    is: LineEntry,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    staged: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    why: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineToken {
    token: String,
    expires: i64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<&Change> for Line {
    fn from(change: &Change) -> Line {
        match change {
            Change::Me(me) => Line::Node(LineMe {
                node: me.plain_id.to_hex(),
                state: me.state.to_hex(),
                rank: me.rank,
                number: me.number,
                seq: me.seq,
            }),
            Change::Record(share, path, record) => Line::Entry(Box::new(LineRecord {
                share: share.to_string(),
                path: path.to_text(),
                is: LineEntry::from(&record.entry),
                seq: record.seq,
                batch: record.batch,
                disk: record.disk.as_ref().map(disk_text).unwrap_or_default(),
                recorded: record.recorded.0,
                sleep: record.sleep.map(|sleep| sleep_word(sleep).into()).unwrap_or_default(),
                draft: record.draft,
            })),
            Change::Drop(share, path) => Line::Drop(LinePath { share: share.to_string(), path: path.to_text() }),
            Change::Stamped(share, at) => Line::Stamped { share: share.to_string(), at: at.0 },
            Change::Share(share, meta) => Line::Share(LineShare {
                share: share.to_string(),
                past: meta.past,
                rules: meta.rules.map(Digest::to_hex).unwrap_or_default(),
                direction: meta.direction.word().into(),
                filesystem: meta.filesystem.clone(),
                scanned: meta.scanned.0,
                dir: escape::escape(meta.dir.as_os_str().as_bytes()),
                hold: meta.hold.as_ref().map(|(hold, since)| line_hold(hold, *since)),
            }),
            Change::Ledger(share, node, ledger) => Line::Ledger(LineLedger {
                share: share.to_string(),
                node: node.to_hex(),
                their_state: ledger.their_state.map(StateId::to_hex).unwrap_or_default(),
                heard: ledger.heard,
                our_state: ledger.our_state.map(StateId::to_hex).unwrap_or_default(),
                applied: ledger.acked,
                met: ledger.met,
                sends: ledger.sends,
                away: ledger.away,
                withheld: ledger.withheld,
            }),
            Change::NoLedger(share, node) => Line::NoLedger { share: share.to_string(), node: node.to_hex() },
            Change::Owed(share, node, path, owed) => Line::Owed(Box::new(LineOwed {
                share: share.to_string(),
                node: node.to_hex(),
                path: path.to_text(),
                is: LineEntry::from(&owed.entry),
                seq: owed.seq,
                batch: owed.batch,
                reason: LineReason::from(&owed.reason),
                since: owed.since.0,
                decided: owed.decided,
            })),
            Change::Paid(share, node, path) => {
                Line::Paid(LinePaid { share: share.to_string(), node: node.to_hex(), path: path.to_text() })
            }
            Change::Landing(share, landing) => Line::Landing(Box::new(LineLanding {
                share: share.to_string(),
                run: landing.run,
                from: landing.from.map(NodeId::to_hex),
                steps: landing.steps.iter().map(LineStep::from).collect(),
            })),
            Change::Landed(share) => Line::Landed { share: share.to_string() },
            Change::Peer(node, peer) => Line::Peer(LinePeer {
                node: node.to_hex(),
                key: peer.public_key.map(|key| escape::hex(&key)).unwrap_or_default(),
                name: peer.name.clone(),
                section: peer.section.clone(),
                accepted: peer.accepted,
                met: peer.met.0,
            }),
            Change::NoPeer(node) => Line::Forget { node: node.to_hex() },
            Change::Tokens(tokens) => Line::Tokens(
                tokens.iter().map(|t| LineToken { token: escape::hex(&t.token), expires: t.expires.0 }).collect(),
            ),
        }
    }
}

impl Line {
    /// The change this line says; `None` for a mark.
    pub(crate) fn into_change(self) -> Result<Option<Change>, BadLine> {
        Ok(Some(match self {
            Line::Mark(_) => return Ok(None),
            Line::Node(me) => Change::Me(Me {
                plain_id: node_id(&me.node)?,
                state: state_id(&me.state)?,
                rank: me.rank.min(1),
                number: me.number,
                seq: me.seq,
            }),
            Line::Entry(record) => {
                let disk = if record.disk.is_empty() { None } else { Some(disk_stat(&record.disk)?) };
                let sleep = if record.sleep.is_empty() { None } else { Some(sleep_from(&record.sleep)?) };
                let entry = record.is.into_entry()?;
                let whole = Record {
                    seq: record.seq,
                    batch: record.batch,
                    recorded: WallTime(record.recorded),
                    sleep,
                    draft: record.draft,
                    ..Record::new(entry, disk)
                };
                Change::Record(share_name(&record.share)?, rel_path(&record.path)?, whole)
            }
            Line::Drop(at) => Change::Drop(share_name(&at.share)?, rel_path(&at.path)?),
            Line::Stamped { share, at } => Change::Stamped(share_name(&share)?, WallTime(at)),
            Line::Share(share) => {
                let hold = match &share.hold {
                    Some(hold) => Some((hold_from(hold)?, WallTime(hold.since))),
                    None => None,
                };
                let rules = if share.rules.is_empty() {
                    None
                } else {
                    Some(Digest::from_hex(&share.rules).ok_or(BadLine("rules"))?)
                };
                let direction = Direction::parse(&share.direction).ok_or(BadLine("direction"))?;
                Change::Share(
                    share_name(&share.share)?,
                    ShareMeta {
                        past: share.past,
                        rules,
                        direction,
                        filesystem: share.filesystem,
                        hold,
                        scanned: WallTime(share.scanned),
                        dir: OsString::from_vec(escape::unescape(&share.dir).ok_or(BadLine("dir"))?).into(),
                    },
                )
            }
            Line::Peer(peer) => {
                let public_key =
                    if peer.key.is_empty() { None } else { Some(escape::unhex(&peer.key).ok_or(BadLine("key"))?) };
                Change::Peer(
                    node_id(&peer.node)?,
                    KnownPeer {
                        public_key,
                        name: peer.name,
                        section: peer.section,
                        accepted: peer.accepted,
                        met: WallTime(peer.met),
                    },
                )
            }
            Line::Forget { node } => Change::NoPeer(node_id(&node)?),
            Line::Ledger(ledger) => {
                let state = |text: &str| if text.is_empty() { Ok(None) } else { state_id(text).map(Some) };
                let whole = Ledger {
                    their_state: state(&ledger.their_state)?,
                    heard: ledger.heard,
                    our_state: state(&ledger.our_state)?,
                    acked: ledger.applied,
                    met: ledger.met,
                    sends: ledger.sends,
                    away: ledger.away,
                    withheld: ledger.withheld,
                };
                Change::Ledger(share_name(&ledger.share)?, node_id(&ledger.node)?, whole)
            }
            Line::NoLedger { share, node } => Change::NoLedger(share_name(&share)?, node_id(&node)?),
            Line::Owed(owed) => {
                let whole = Owed {
                    entry: owed.is.into_entry()?,
                    seq: owed.seq,
                    batch: owed.batch,
                    reason: owed.reason.into(),
                    since: WallTime(owed.since),
                    decided: owed.decided,
                };
                Change::Owed(share_name(&owed.share)?, node_id(&owed.node)?, rel_path(&owed.path)?, Box::new(whole))
            }
            Line::Paid(paid) => Change::Paid(share_name(&paid.share)?, node_id(&paid.node)?, rel_path(&paid.path)?),
            Line::Landing(landing) => {
                let from = match &landing.from {
                    Some(node) => Some(node_id(node)?),
                    None => None,
                };
                let steps = landing.steps.into_iter().map(LandingStep::try_from).collect::<Result<_, _>>()?;
                Change::Landing(share_name(&landing.share)?, Box::new(LandingRecord { run: landing.run, from, steps }))
            }
            Line::Landed { share } => Change::Landed(share_name(&share)?),
            Line::Tokens(tokens) => Change::Tokens(
                tokens
                    .iter()
                    .map(|t| {
                        Ok(Token {
                            token: escape::unhex(&t.token).ok_or(BadLine("token"))?,
                            expires: WallTime(t.expires),
                        })
                    })
                    .collect::<Result<_, BadLine>>()?,
            ),
        }))
    }
}

impl From<&Entry> for LineEntry {
    fn from(entry: &Entry) -> LineEntry {
        LineEntry {
            kind: entry.kind.word().into(),
            digest: if entry.has_content() { entry.digest.to_hex() } else { String::new() },
            size: entry.size,
            mtime: entry.mtime.0,
            mode: if matches!(entry.kind, Kind::File | Kind::Dir) {
                format!("{:o}", entry.mode)
            } else {
                String::new()
            },
            user: entry.owner.as_ref().map(|owner| owner.user.to_string()),
            group: entry.owner.as_ref().map(|owner| owner.group.to_string()),
            version: version_text(&entry.version),
            rank: entry.stamp.rank,
            stamp: entry.stamp.ms,
            lost: entry.lost.as_ref().map(|lost| version_text(lost)).unwrap_or_default(),
        }
    }
}

impl LineEntry {
    fn into_entry(self) -> Result<Entry, BadLine> {
        let owner = match (self.user, self.group) {
            (Some(user), Some(group)) => Some(Rc::new(Owner { user: user.into(), group: group.into() })),
            _ => None,
        };
        let lost = if self.lost.is_empty() { None } else { Some(Box::new(version_from(&self.lost)?)) };
        Ok(Entry {
            kind: kind_from(&self.kind)?,
            digest: if self.digest.is_empty() {
                Digest::NONE
            } else {
                Digest::from_hex(&self.digest).ok_or(BadLine("digest"))?
            },
            size: self.size,
            mtime: WallTime(self.mtime),
            mode: if self.mode.is_empty() {
                0
            } else {
                u32::from_str_radix(&self.mode, 8).map_err(|_| BadLine("mode"))?
            },
            owner,
            version: version_from(&self.version)?,
            stamp: Stamp { rank: self.rank.min(1), ms: self.stamp },
            lost,
        })
    }
}

impl From<&LandingStep> for LineStep {
    fn from(step: &LandingStep) -> LineStep {
        LineStep {
            path: step.path.to_text(),
            is: LineEntry::from(&step.entry),
            staged: step.staged.as_ref().map(RelPath::to_text),
            old: step.old.map(Digest::to_hex),
            why: step.why.map(|why| why.word().into()),
        }
    }
}

impl TryFrom<LineStep> for LandingStep {
    type Error = BadLine;

    fn try_from(line: LineStep) -> Result<LandingStep, BadLine> {
        let staged = match &line.staged {
            Some(path) => Some(rel_path(path)?),
            None => None,
        };
        let old = match &line.old {
            Some(digest) => Some(Digest::from_hex(digest).ok_or(BadLine("digest"))?),
            None => None,
        };
        let why = match &line.why {
            Some(word) => Some(why_from(word)?),
            None => None,
        };
        Ok(LandingStep { path: rel_path(&line.path)?, entry: line.is.into_entry()?, staged, old, why })
    }
}

pub(crate) fn why_from(word: &str) -> Result<Why, BadLine> {
    [Why::Replaced, Why::Deleted, Why::Conflict, Why::FirstContact, Why::Given]
        .into_iter()
        .find(|why| why.word() == word)
        .ok_or(BadLine("why"))
}

pub(crate) fn kind_from(word: &str) -> Result<Kind, BadLine> {
    [Kind::File, Kind::Dir, Kind::Symlink, Kind::Tombstone]
        .into_iter()
        .find(|kind| kind.word() == word)
        .ok_or(BadLine("kind"))
}

fn sleep_word(sleep: Sleep) -> &'static str {
    match sleep {
        Sleep::Filtered => "filtered",
        Sleep::TooLarge => "too large",
        Sleep::Unreadable => "unreadable",
        Sleep::Skipped => "skipped",
        Sleep::Flapping => "flapping",
    }
}

fn sleep_from(word: &str) -> Result<Sleep, BadLine> {
    [Sleep::Filtered, Sleep::TooLarge, Sleep::Unreadable, Sleep::Skipped, Sleep::Flapping]
        .into_iter()
        .find(|&sleep| sleep_word(sleep) == word)
        .ok_or(BadLine("sleep"))
}

fn version_text(version: &Version) -> String {
    let pairs: Vec<String> = version.pairs().iter().map(|(id, number)| format!("{}:{number}", id.to_hex())).collect();
    pairs.join(" ")
}

fn version_from(text: &str) -> Result<Version, BadLine> {
    let pair = |text: &str| {
        let (id, number) = text.split_once(':').ok_or(BadLine("version"))?;
        Ok((state_id(id)?, number.parse().map_err(|_| BadLine("version"))?))
    };
    Ok(Version::from_pairs(text.split_ascii_whitespace().map(pair).collect::<Result<Vec<_>, BadLine>>()?))
}

fn disk_text(disk: &DiskStat) -> String {
    // A directory may stand where the entry says "deleted": it still holds something that is not synced.
    let kind = disk.kind.word();
    format!(
        "{kind} {} {} {} {} {:o} {} {}",
        disk.size, disk.mtime_ns, disk.ctime_ns, disk.inode, disk.mode, disk.uid, disk.gid
    )
}

fn disk_stat(text: &str) -> Result<DiskStat, BadLine> {
    const BAD: BadLine = BadLine("disk");
    let mut fields = text.split_ascii_whitespace();
    let mut next = || fields.next().ok_or(BAD);
    let kind = kind_from(next()?)?;
    let size = next()?.parse().map_err(|_| BAD)?;
    let mtime_ns = next()?.parse().map_err(|_| BAD)?;
    let ctime_ns = next()?.parse().map_err(|_| BAD)?;
    let inode = next()?.parse().map_err(|_| BAD)?;
    let mode = u32::from_str_radix(next()?, 8).map_err(|_| BAD)?;
    let uid = next()?.parse().map_err(|_| BAD)?;
    let gid = next()?.parse().map_err(|_| BAD)?;
    Ok(DiskStat { kind, size, mtime_ns, ctime_ns, inode, mode, uid, gid })
}

fn line_hold(hold: &Hold, since: WallTime) -> LineHold {
    let line = |text: &str, changed, known| LineHold {
        why: hold.code().into(),
        text: text.into(),
        changed,
        known,
        since: since.0,
    };
    match hold {
        Hold::RootMissing(text) => line(text, 0, 0),
        Hold::NotMounted => line("", 0, 0),
        Hold::Emptied { known } => line("", 0, *known),
        Hold::Replaced { changed, known } | Hold::SetBack { changed, known } => line("", *changed, *known),
        Hold::MassDeletion { gone, known } => line("", *gone, *known),
    }
}

fn hold_from(line: &LineHold) -> Result<Hold, BadLine> {
    let (changed, known) = (line.changed, line.known);
    Ok(match line.why.as_str() {
        "root_missing" => Hold::RootMissing(line.text.clone()),
        "not_mounted" => Hold::NotMounted,
        "emptied" => Hold::Emptied { known },
        "replaced" => Hold::Replaced { changed, known },
        "set_back" => Hold::SetBack { changed, known },
        "mass_deletion" => Hold::MassDeletion { gone: changed, known },
        _ => return Err(BadLine("hold")),
    })
}

impl From<&Reason> for LineReason {
    fn from(reason: &Reason) -> LineReason {
        let line = |text: &str, a, b| LineReason { why: reason.code().into(), text: text.into(), a, b };
        match reason {
            Reason::Special(what) | Reason::InTheWay(what) => line(what, 0, 0),
            Reason::TooLarge { size: a, max: b }
            | Reason::NoRoom { need: a, free: b }
            | Reason::MassDeletion { gone: a, known: b } => line("", *a, *b),
            Reason::Unreadable(text)
            | Reason::Unwritable(text)
            | Reason::NotSupplied(text)
            | Reason::UnknownOwner(text)
            | Reason::Other(text) => line(text, 0, 0),
            Reason::WaitsFor(path) => line(&path.to_text(), 0, 0),
            Reason::SymlinkIgnored
            | Reason::SymlinkOutside
            | Reason::OtherFilesystem
            | Reason::DirNotEmpty
            | Reason::HistoryFull
            | Reason::Busy
            | Reason::ShareHeld
            | Reason::FirstContact
            | Reason::LongAway
            | Reason::Flapping
            | Reason::OnlySends
            | Reason::OnlyObserves => line("", 0, 0),
        }
    }
}

impl From<LineReason> for Reason {
    /// A reason is only shown, and the change is tried again anyway: one that is not understood is kept as its text.
    fn from(line: LineReason) -> Reason {
        let LineReason { why, text, a, b } = line;
        match why.as_str() {
            "too_large" => Reason::TooLarge { size: a, max: b },
            "no_room" => Reason::NoRoom { need: a, free: b },
            "mass_deletion" => Reason::MassDeletion { gone: a, known: b },
            "unreadable" => Reason::Unreadable(text),
            "unwritable" => Reason::Unwritable(text),
            "not_supplied" => Reason::NotSupplied(text),
            "unknown_owner" => Reason::UnknownOwner(text),
            "waits_for" => match rel_path(&text) {
                Ok(path) => Reason::WaitsFor(path),
                Err(_) => Reason::Other(text),
            },
            "symlink_ignored" => Reason::SymlinkIgnored,
            "symlink_outside" => Reason::SymlinkOutside,
            "other_filesystem" => Reason::OtherFilesystem,
            "dir_not_empty" => Reason::DirNotEmpty,
            "history_full" => Reason::HistoryFull,
            "busy" => Reason::Busy,
            "share_held" => Reason::ShareHeld,
            "first_contact" => Reason::FirstContact,
            "long_away" => Reason::LongAway,
            "flapping" => Reason::Flapping,
            "only_sends" => Reason::OnlySends,
            "only_observes" => Reason::OnlyObserves,
            "special" | "in_the_way" => Reason::Other(format!("a {text} that is not synced lies there")),
            _ => Reason::Other(text),
        }
    }
}

pub(crate) fn share_name(text: &str) -> Result<ShareName, BadLine> {
    ShareName::parse(text).ok_or(BadLine("share"))
}

pub(crate) fn rel_path(text: &str) -> Result<RelPath, BadLine> {
    escape::unescape(text).and_then(|bytes| RelPath::parse(&bytes).ok()).ok_or(BadLine("path"))
}

fn node_id(text: &str) -> Result<NodeId, BadLine> {
    NodeId::from_hex(text).ok_or(BadLine("node"))
}

fn state_id(text: &str) -> Result<StateId, BadLine> {
    StateId::from_hex(text).filter(|id| id.0 != 0).ok_or(BadLine("state"))
}

/// Bytes of checksum in front of a journal line, in hexadecimal digits.
const SUM: usize = 8;

/// Appends a change as a journal line: checksum, space, JSON.
pub(crate) fn push_change(bytes: &mut Vec<u8>, change: &Change) {
    push_line(bytes, &Line::from(change));
}

/// Appends the mark that ends a commit.
pub(crate) fn push_mark(bytes: &mut Vec<u8>, mark: u64) {
    push_line(bytes, &Line::Mark(format!("{mark:016x}")));
}

/// Appends a line with its checksum.
pub(crate) fn push_line<T: Serialize>(bytes: &mut Vec<u8>, line: &T) {
    let start = bytes.len();
    bytes.extend_from_slice(&[b' '; SUM + 1]);
    push_json(bytes, line);
    let sum = checksum(&bytes[start + SUM + 1..]);
    bytes[start..start + SUM].copy_from_slice(sum.as_bytes());
    bytes.push(b'\n');
}

/// Appends a change as it stands in the document: without checksum and end of line.
pub(crate) fn push_bare(bytes: &mut Vec<u8>, change: &Change) {
    push_json(bytes, &Line::from(change));
}

/// Reads a journal line without its end of line, if its checksum fits.
pub(crate) fn read_checked<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    let (sum, json) = line.split_at_checked(SUM)?;
    let json = json.strip_prefix(b" ")?;
    if checksum(json).as_bytes() != sum {
        return None;
    }
    serde_json::from_slice(json).ok()
}

fn push_json<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    // Writing to a Vec cannot fail, and no type here can refuse to be JSON.
    let written = serde_json::to_writer(bytes, value);
    debug_assert!(written.is_ok(), "a line always serialises");
}

/// The first digits of the SHA-256: torn writes are what it must notice, and the hash is there anyway.
fn checksum(json: &[u8]) -> String {
    escape::hex(&Digest::of(json).0[..SUM / 2])
}
