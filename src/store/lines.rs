//! Changes as lines of JSON: the only form of the state on disk.
//!
//! ```text
//! {"entry":{"share":"main","path":"dhcp","is":{"kind":"file","digest":"9f86…","size":1024,"mtime":1795162530123,
//!  "mode":"644","user":"root","group":"root","version":"5f1c…:1795162530200","stamp":1795162530123},"seq":17,…}}
//! ```
//! Names are escaped as everywhere ([`crate::model::escape`]); numbers that JSON tools may round are
//! strings. A field that is left out has the value that most entries have. Unknown fields are skipped, so an older
//! owsync reads what a newer one wrote, except for kinds of lines it does not know: those count as damage.

mod checked;
mod entry;
mod pause;
mod peer;
mod reason;
mod trial;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};

use crate::model::{Digest, Direction, NodeId, Record, RelPath, ShareName, StateId, WallTime, escape};
use crate::store::state::{
    Cause, Change, Forgotten, LandingRecord, LandingStep, Ledger, Me, Owed, Pause, ShareMeta, Token, Trial,
};
use entry::{LineEntry, LineLanding, LineRecord, LineStep, digest_from, disk_stat, disk_text, sleep_from, sleep_word};
use pause::LinePause;
use peer::LinePeer;
use reason::{LineHold, LineReason, hold_from, line_hold};
use trial::{LineOpen, LineTrial};

pub(crate) use checked::{push_bare, push_change, push_line, push_mark, read_checked};
pub(crate) use entry::{kind_from, version_from, version_text, why_from};

/// A line that this program does not understand.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine(pub &'static str);

/// One line. Aliases are the words of databases from before the first release.
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
    Forgotten {
        node: String,
        round: u64,
        at: i64,
    },
    Recalled {
        node: String,
    },
    Ledger(LineLedger),
    NoLedger {
        share: String,
        node: String,
    },
    #[serde(rename = "pending", alias = "owed")]
    Owed(Box<LineOwed>),
    #[serde(rename = "resolved", alias = "paid")]
    Paid(LinePaid),
    #[serde(rename = "transaction", alias = "landing")]
    Landing(Box<LineLanding>),
    #[serde(rename = "completed", alias = "landed")]
    Landed {
        share: String,
    },
    #[serde(rename = "unconfirmed", alias = "trial")]
    Trial(Box<LineTrial>),
    Tokens(Vec<LineToken>),
    Pauses(Vec<LinePause>),
    /// Renewed at every write, to notice a database that was restored or copied.
    Mark(String),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineMe {
    node: String,
    state: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    former: Vec<String>,
    rank: u8,
    #[serde(skip_serializing_if = "is_default", default)]
    reference: bool,
    number: u64,
    seq: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LinePath {
    share: String,
    path: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineShare {
    share: String,
    #[serde(rename = "established", alias = "past")]
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
pub(crate) struct LineLedger {
    share: String,
    node: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    their_state: String,
    #[serde(rename = "received", alias = "heard")]
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
    #[serde(skip_serializing_if = "is_default", default)]
    withheld_all: bool,
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
    #[serde(skip_serializing_if = "is_default", default)]
    approved: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LinePaid {
    share: String,
    node: String,
    path: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineToken {
    token: String,
    expires: i64,
    #[serde(skip_serializing_if = "is_default", default)]
    used: bool,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<&Change> for Line {
    fn from(change: &Change) -> Line {
        match change {
            Change::Me(me) => Line::Node(LineMe {
                node: me.plain_id.to_hex(),
                state: me.state.to_hex(),
                former: me.former.iter().map(|state| state.to_hex()).collect(),
                rank: me.rank,
                reference: me.reference,
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
                pending: record.pending,
                sections: record.sections,
                local: record.local.map(Digest::to_hex),
                approved: record.approved,
                withdraws: record.withdraws,
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
                withheld_all: ledger.withheld_all,
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
                approved: owed.approved,
            })),
            Change::Paid(share, node, path) => {
                Line::Paid(LinePaid { share: share.to_string(), node: node.to_hex(), path: path.to_text() })
            }
            Change::Landing(share, landing) => Line::Landing(Box::new(LineLanding {
                share: share.to_string(),
                run: landing.run,
                from: landing.from.map(NodeId::to_hex),
                confirm: landing.confirm,
                cause: (landing.cause != Cause::Offered).then(|| landing.cause.word().to_string()),
                steps: landing.steps.iter().map(LineStep::from).collect(),
            })),
            Change::Landed(share) => Line::Landed { share: share.to_string() },
            Change::Trial(share, trial) => {
                let open = trial.as_deref().map(LineOpen::from);
                Line::Trial(Box::new(LineTrial { share: share.to_string(), open }))
            }
            Change::Peer(node, peer) => Line::Peer(LinePeer::new(*node, peer)),
            Change::NoPeer(node) => Line::Forget { node: node.to_hex() },
            Change::Forgotten(node, one) => Line::Forgotten { node: node.to_hex(), round: one.round, at: one.at.0 },
            Change::Recalled(node) => Line::Recalled { node: node.to_hex() },
            Change::Tokens(tokens) => Line::Tokens(
                tokens
                    .iter()
                    .map(|t| LineToken { token: escape::hex(&t.token), expires: t.expires.0, used: t.used })
                    .collect(),
            ),
            Change::Pauses(pauses) => Line::Pauses(pauses.iter().map(LinePause::from).collect()),
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
                former: me.former.iter().map(|state| state_id(state)).collect::<Result<_, _>>()?,
                rank: me.rank.min(1),
                reference: me.reference,
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
                    pending: record.pending,
                    sections: record.sections,
                    local: digest_from(record.local.as_deref(), "local")?,
                    approved: record.approved,
                    withdraws: record.withdraws,
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
                let (node, known) = peer.known()?;
                Change::Peer(node, known)
            }
            Line::Forget { node } => Change::NoPeer(node_id(&node)?),
            Line::Forgotten { node, round, at } => {
                Change::Forgotten(node_id(&node)?, Forgotten { round: counted(round)?, at: WallTime(at) })
            }
            Line::Recalled { node } => Change::Recalled(node_id(&node)?),
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
                    withheld_all: ledger.withheld_all,
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
                    approved: owed.approved,
                };
                Change::Owed(share_name(&owed.share)?, node_id(&owed.node)?, rel_path(&owed.path)?, Box::new(whole))
            }
            Line::Paid(paid) => Change::Paid(share_name(&paid.share)?, node_id(&paid.node)?, rel_path(&paid.path)?),
            Line::Landing(landing) => {
                let from = match &landing.from {
                    Some(node) => Some(node_id(node)?),
                    None => None,
                };
                let cause = match &landing.cause {
                    Some(word) => Cause::from_word(word).ok_or(BadLine("cause"))?,
                    None => Cause::Offered,
                };
                let steps = landing.steps.into_iter().map(LandingStep::try_from).collect::<Result<_, _>>()?;
                let record = LandingRecord { run: counted(landing.run)?, from, cause, confirm: landing.confirm, steps };
                Change::Landing(share_name(&landing.share)?, Box::new(record))
            }
            Line::Landed { share } => Change::Landed(share_name(&share)?),
            Line::Trial(trial) => {
                let open = trial.open.map(Trial::try_from).transpose()?;
                Change::Trial(share_name(&trial.share)?, open.map(Box::new))
            }
            Line::Pauses(pauses) => {
                Change::Pauses(pauses.into_iter().map(Pause::try_from).collect::<Result<_, BadLine>>()?)
            }
            Line::Tokens(tokens) => Change::Tokens(
                tokens
                    .iter()
                    .map(|t| {
                        Ok(Token {
                            token: escape::unhex(&t.token).ok_or(BadLine("token"))?,
                            expires: WallTime(t.expires),
                            used: t.used,
                        })
                    })
                    .collect::<Result<_, BadLine>>()?,
            ),
        }))
    }
}

/// A number that others are counted on from: there is always a next one.
pub(crate) fn counted(number: u64) -> Result<u64, BadLine> {
    if number < u64::MAX / 2 { Ok(number) } else { Err(BadLine("number")) }
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
