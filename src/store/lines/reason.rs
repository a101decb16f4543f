//! Reasons and holds on disk.

use serde::{Deserialize, Serialize};

use crate::model::reason::Hold;
use crate::model::{Reason, Release, WallTime};
use crate::store::lines::{BadLine, is_default, rel_path};

#[derive(Serialize, Deserialize)]
pub(super) struct LineHold {
    pub(super) why: String,
    #[serde(default)]
    pub(super) text: String,
    #[serde(default)]
    pub(super) changed: u64,
    #[serde(default)]
    pub(super) known: u64,
    pub(super) since: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct LineReason {
    pub(super) why: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(super) text: String,
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) a: u64,
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) b: u64,
}

impl From<&Reason> for LineReason {
    fn from(reason: &Reason) -> LineReason {
        let line = |text: &str, a, b| LineReason { why: reason.code().into(), text: text.into(), a, b };
        match reason {
            Reason::Special(what) | Reason::InTheWay(what) => line(what, 0, 0),
            Reason::TooLarge { size: a, max: b }
            | Reason::NoRoom { need: a, free: b }
            | Reason::MassDeletion { gone: a, known: b }
            | Reason::SectionsLost { had: a, has: b } => line("", *a, *b),
            Reason::Unreadable(text)
            | Reason::Unwritable(text)
            | Reason::NotSupplied(text)
            | Reason::UnknownOwner(text)
            | Reason::Refused(text)
            | Reason::Uncommitted(text)
            | Reason::Other(text) => line(text, 0, 0),
            Reason::WaitsFor(path) => line(&path.to_text(), 0, 0),
            Reason::ReleaseDiffers { from, to } => line(&format!("{from} {to}"), 0, 0),
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
            | Reason::Unconfirmed
            | Reason::Manual
            | Reason::KeepsDeleted
            | Reason::OnlySends
            | Reason::OnlyObserves
            | Reason::LeftOut(_) => line("", 0, 0),
        }
    }
}

impl From<LineReason> for Reason {
    /// A reason is only shown, and the change is retried anyway: an unknown one is kept as its text.
    fn from(line: LineReason) -> Reason {
        let LineReason { why, text, a, b } = line;
        match why.as_str() {
            "too_large" => Reason::TooLarge { size: a, max: b },
            "no_room" => Reason::NoRoom { need: a, free: b },
            "mass_deletion" => Reason::MassDeletion { gone: a, known: b },
            "sections_lost" => Reason::SectionsLost { had: a, has: b },
            "unreadable" => Reason::Unreadable(text),
            "unwritable" => Reason::Unwritable(text),
            "not_supplied" => Reason::NotSupplied(text),
            "unknown_owner" => Reason::UnknownOwner(text),
            "waits_for" => match rel_path(&text) {
                Ok(path) => Reason::WaitsFor(path),
                Err(_) => Reason::Other(text),
            },
            "release_differs" => match text.split_once(' ') {
                Some((from, to)) => match (Release::parse(from), Release::parse(to)) {
                    (Some(from), Some(to)) => Reason::ReleaseDiffers { from, to },
                    _ => Reason::Other(text),
                },
                None => Reason::Other(text),
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
            "unconfirmed" => Reason::Unconfirmed,
            "refused" => Reason::Refused(text),
            "uncommitted" => Reason::Uncommitted(text),
            "manual" => Reason::Manual,
            "keeps_deleted" => Reason::KeepsDeleted,
            "only_sends" => Reason::OnlySends,
            "only_observes" => Reason::OnlyObserves,
            "special" | "in_the_way" => {
                Reason::Other(format!("a {text} that is not synced is in the way; move it away"))
            }
            _ => Reason::Other(text),
        }
    }
}

pub(super) fn line_hold(hold: &Hold, since: WallTime) -> LineHold {
    let line = |text: &str, changed, known| LineHold {
        why: hold.code().into(),
        text: text.into(),
        changed,
        known,
        since: since.0,
    };
    match hold {
        Hold::RootMissing(text) | Hold::Interrupted(text) => line(text, 0, 0),
        Hold::NotMounted => line("", 0, 0),
        Hold::Emptied { known } => line("", 0, *known),
        Hold::Replaced { changed, known } | Hold::SetBack { changed, known } => line("", *changed, *known),
        Hold::MassDeletion { gone, known } => line("", *gone, *known),
    }
}

pub(super) fn hold_from(line: &LineHold) -> Result<Hold, BadLine> {
    let (changed, known) = (line.changed, line.known);
    Ok(match line.why.as_str() {
        "root_missing" => Hold::RootMissing(line.text.clone()),
        "interrupted" => Hold::Interrupted(line.text.clone()),
        "not_mounted" => Hold::NotMounted,
        "emptied" => Hold::Emptied { known },
        "replaced" => Hold::Replaced { changed, known },
        "set_back" => Hold::SetBack { changed, known },
        "mass_deletion" => Hold::MassDeletion { gone: changed, known },
        _ => return Err(BadLine("hold")),
    })
}
