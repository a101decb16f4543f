//! A previous version, and its line in the index of the history.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::model::{Digest, Kind, NodeId, Owner, RelPath, ShareName, Version, WallTime};
use crate::store::lines::{self, BadLine};
use crate::store::state::Why;

/// A previous version of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its number: `PATH@N` names it. Never given twice.
    pub number: u64,
    /// The share.
    pub share: ShareName,
    /// The path.
    pub path: RelPath,
    /// [`Kind::File`] or [`Kind::Symlink`]; [`Kind::Tombstone`] where the path did not exist before.
    pub kind: Kind,
    /// The content; [`Digest::NONE`] where the path did not exist before.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Its modification time.
    pub mtime: WallTime,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner.
    pub owner: Option<Rc<Owner>>,
    /// When it was replaced here.
    pub at: WallTime,
    /// The clock was not reliable then: its age counts from when it is.
    pub doubtful: bool,
    /// Why.
    pub why: Why,
    /// The node whose change replaced it; `None`: this one.
    pub by: Option<NodeId>,
    /// The run that replaced it: a whole one can be undone.
    pub run: u64,
    /// The content that replaced it, [`Digest::NONE`] for none: the undo of the run must find it there.
    pub after: Option<Digest>,
    /// The version of its entry; unversioned where that is not known, as of bytes that no scan had recorded.
    pub version: Version,
    /// The edits that the bytes include: see [`crate::model::Entry::content`].
    pub content: Version,
    /// The sequence number under which its entry was recorded; 0 where that is not known.
    pub seq: u64,
}

impl Item {
    /// Whether the path existed: the content is in the history.
    pub fn had_content(&self) -> bool {
        self.kind != Kind::Tombstone
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct LineItem {
    number: u64,
    share: String,
    path: String,
    kind: String,
    digest: String,
    size: u64,
    mtime: i64,
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    group: Option<String>,
    at: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    doubtful: bool,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    by: Option<String>,
    run: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    after: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    version: String,
    /// Where it is not `version`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    content: Option<String>,
    #[serde(skip_serializing_if = "lines::is_default", default)]
    seq: u64,
}

impl From<&Item> for LineItem {
    fn from(item: &Item) -> LineItem {
        LineItem {
            number: item.number,
            share: item.share.to_string(),
            path: item.path.to_text(),
            kind: item.kind.word().into(),
            digest: item.digest.to_hex(),
            size: item.size,
            mtime: item.mtime.0,
            mode: format!("{:o}", item.mode),
            user: item.owner.as_ref().map(|owner| owner.user.to_string()),
            group: item.owner.as_ref().map(|owner| owner.group.to_string()),
            at: item.at.0,
            doubtful: item.doubtful,
            why: item.why.word().into(),
            by: item.by.map(NodeId::to_hex),
            run: item.run,
            after: item.after.map(Digest::to_hex),
            version: lines::version_text(&item.version),
            content: (item.content != item.version).then(|| lines::version_text(&item.content)),
            seq: item.seq,
        }
    }
}

impl TryFrom<LineItem> for Item {
    type Error = BadLine;

    fn try_from(line: LineItem) -> Result<Item, BadLine> {
        let owner = match (line.user, line.group) {
            (Some(user), Some(group)) => Some(Rc::new(Owner { user: user.into(), group: group.into() })),
            _ => None,
        };
        let version = lines::version_from(&line.version)?;
        let content = match &line.content {
            Some(content) => lines::version_from(content)?,
            None => version.clone(),
        };
        if !version.includes(&content) {
            return Err(BadLine("content"));
        }
        Ok(Item {
            number: lines::counted(line.number)?,
            share: lines::share_name(&line.share)?,
            path: lines::rel_path(&line.path)?,
            kind: lines::kind_from(&line.kind)?,
            digest: Digest::from_hex(&line.digest).ok_or(BadLine("digest"))?,
            size: line.size,
            mtime: WallTime(line.mtime),
            mode: u32::from_str_radix(&line.mode, 8).map_err(|_| BadLine("mode"))?,
            owner,
            at: WallTime(line.at),
            doubtful: line.doubtful,
            why: lines::why_from(&line.why)?,
            by: line.by.as_deref().and_then(NodeId::from_hex),
            run: lines::counted(line.run)?,
            after: line.after.as_deref().and_then(Digest::from_hex),
            version,
            content,
            seq: line.seq,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StateId;

    #[test]
    fn a_content_that_includes_an_edit_which_its_version_does_not_is_a_damaged_line() {
        let version = |number| Version::from_pairs([(StateId(1), number)]);
        let item = |content| Item {
            number: 1,
            share: ShareName::main(),
            path: RelPath::parse(b"a").unwrap(),
            kind: Kind::File,
            digest: Digest::of(b"a"),
            size: 1,
            mtime: WallTime(0),
            mode: 0o600,
            owner: None,
            at: WallTime(0),
            doubtful: false,
            why: Why::Conflict,
            by: None,
            run: 1,
            after: None,
            version: version(2),
            content,
            seq: 0,
        };
        assert!(Item::try_from(LineItem::from(&item(version(1)))).is_ok());
        assert!(matches!(Item::try_from(LineItem::from(&item(version(3)))), Err(BadLine("content"))));
    }
}
