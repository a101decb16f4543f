//! Entries and records on disk.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::model::{Digest, DiskStat, Entry, GivenUp, Kind, LostBy, Owner, RelPath, Sleep, Stamp, Version, WallTime};
use crate::store::lines::{BadLine, is_default, rel_path, state_id};
use crate::store::state::{LandingStep, Why};

/// The fields of an entry, shared by records, pending changes and transactions.
#[derive(Serialize, Deserialize)]
pub(super) struct LineEntry {
    pub(super) kind: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(super) digest: String,
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) size: u64,
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) mtime: i64,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(super) mode: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) group: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(super) version: String,
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) rank: u8,
    pub(super) stamp: i64,
    /// The edits that the bytes include, where those are fewer than in `version`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) content: Option<String>,
    /// Edits that were rejected or rolled back.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(super) given_up: String,
    /// How: the word of a [`LostBy`].
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(super) given_up_by: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineRecord {
    pub(super) share: String,
    pub(super) path: String,
    pub(super) is: LineEntry,
    pub(super) seq: u64,
    pub(super) batch: u64,
    /// Size, mtime and ctime in ns, inode, mode in octal, uid, gid.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(super) disk: String,
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) recorded: i64,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(super) sleep: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) draft: Option<i64>,
    #[serde(rename = "unreleased", alias = "pending", skip_serializing_if = "is_default", default)]
    pub(super) pending: bool,
    /// Of a UCI package.
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) sections: u32,
    /// The digest of the file, where it contains values of this node only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) local: Option<String>,
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) approved: bool,
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) withdraws: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LineLanding {
    pub(super) share: String,
    pub(super) run: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) cause: Option<String>,
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) confirm: u32,
    pub(super) steps: Vec<LineStep>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct LineStep {
    pub(super) path: String,
    pub(super) is: LineEntry,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) staged: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) local: Option<String>,
    #[serde(skip_serializing_if = "is_default", default)]
    pub(super) drops_local: bool,
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
            content: entry.content.as_deref().map(version_text),
            given_up: entry.given_up.as_ref().map(|given_up| version_text(&given_up.edits)).unwrap_or_default(),
            given_up_by: entry.given_up.as_ref().map(|given_up| given_up.by.word().into()).unwrap_or_default(),
        }
    }
}

impl LineEntry {
    pub(super) fn into_entry(self) -> Result<Entry, BadLine> {
        let owner = match (self.user, self.group) {
            (Some(user), Some(group)) => Some(Rc::new(Owner { user: user.into(), group: group.into() })),
            _ => None,
        };
        let given_up = if self.given_up.is_empty() {
            None
        } else {
            let by = LostBy::ALL.into_iter().find(|by| by.word() == self.given_up_by).ok_or(BadLine("given_up_by"))?;
            Some(Box::new(GivenUp { edits: version_from(&self.given_up)?, by }))
        };
        let version = version_from(&self.version)?;
        let content = match &self.content {
            Some(content) => Some(Box::new(version_from(content)?)),
            None => None,
        };
        if content.as_ref().is_some_and(|content| !version.includes(content)) {
            return Err(BadLine("content"));
        }
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
            version,
            content,
            stamp: Stamp { rank: self.rank.min(1), ms: self.stamp },
            given_up,
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
            local: step.local.map(Digest::to_hex),
            drops_local: step.drops_local,
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
        let old = digest_from(line.old.as_deref(), "digest")?;
        let why = match &line.why {
            Some(word) => Some(why_from(word)?),
            None => None,
        };
        let local = digest_from(line.local.as_deref(), "local")?;
        let (path, entry) = (rel_path(&line.path)?, line.is.into_entry()?);
        Ok(LandingStep { path, entry, staged, old, why, local, drops_local: line.drops_local })
    }
}

/// A digest that may be left out.
pub(super) fn digest_from(text: Option<&str>, field: &'static str) -> Result<Option<Digest>, BadLine> {
    text.map(|text| Digest::from_hex(text).ok_or(BadLine(field))).transpose()
}

pub(crate) fn why_from(word: &str) -> Result<Why, BadLine> {
    Why::ALL.into_iter().find(|why| why.word() == word).ok_or(BadLine("why"))
}

pub(crate) fn kind_from(word: &str) -> Result<Kind, BadLine> {
    [Kind::File, Kind::Dir, Kind::Symlink, Kind::Tombstone]
        .into_iter()
        .find(|kind| kind.word() == word)
        .ok_or(BadLine("kind"))
}

pub(super) fn sleep_word(sleep: Sleep) -> &'static str {
    match sleep {
        Sleep::Filtered => "filtered",
        Sleep::TooLarge => "too large",
        Sleep::Unreadable => "unreadable",
        Sleep::Skipped => "skipped",
        Sleep::Flapping => "flapping",
        Sleep::Withheld => "withheld",
        Sleep::SectionsLost => "sections lost",
    }
}

pub(super) fn sleep_from(word: &str) -> Result<Sleep, BadLine> {
    use Sleep::{Filtered, Flapping, SectionsLost, Skipped, TooLarge, Unreadable, Withheld};
    [Filtered, TooLarge, Unreadable, Skipped, Flapping, Withheld, SectionsLost]
        .into_iter()
        .find(|&sleep| sleep_word(sleep) == word)
        .ok_or(BadLine("sleep"))
}

pub(crate) fn version_text(version: &Version) -> String {
    let pairs: Vec<String> = version.pairs().iter().map(|(id, number)| format!("{}:{number}", id.to_hex())).collect();
    pairs.join(" ")
}

pub(crate) fn version_from(text: &str) -> Result<Version, BadLine> {
    let pair = |text: &str| {
        let (id, number) = text.split_once(':').ok_or(BadLine("version"))?;
        Ok((state_id(id)?, number.parse().map_err(|_| BadLine("version"))?))
    };
    Ok(Version::from_pairs(text.split_ascii_whitespace().map(pair).collect::<Result<Vec<_>, BadLine>>()?))
}

pub(super) fn disk_text(disk: &DiskStat) -> String {
    // A directory may exist where the entry says "deleted": it still contains something that is not synced.
    let kind = disk.kind.word();
    format!(
        "{kind} {} {} {} {} {:o} {} {}",
        disk.size, disk.mtime_ns, disk.ctime_ns, disk.inode, disk.mode, disk.uid, disk.gid
    )
}

pub(super) fn disk_stat(text: &str) -> Result<DiskStat, BadLine> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StateId;

    #[test]
    fn a_content_that_includes_an_edit_which_its_version_does_not_is_a_damaged_line() {
        let version = |number| Version::from_pairs([(StateId(1), number)]);
        let entry = |content| Entry {
            content: Some(Box::new(content)),
            ..Entry::tombstone(version(2), Stamp { rank: 0, ms: 0 })
        };
        assert!(LineEntry::from(&entry(version(1))).into_entry().is_ok());
        assert!(matches!(LineEntry::from(&entry(version(3))).into_entry(), Err(BadLine("content"))));
    }
}
