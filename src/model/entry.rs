//! Entries: what a node knows of one path.

use std::rc::Rc;

use crate::model::{Digest, Stamp, Version, WallTime};

/// What is, or was, at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory; it has no content and no time of its own.
    Dir,
    /// A symbolic link; its content is its text.
    Symlink,
    /// A path that was deleted.
    Tombstone,
}

impl Kind {
    /// The word in JSON and in output for users.
    pub fn word(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Dir => "directory",
            Kind::Symlink => "symlink",
            Kind::Tombstone => "deleted",
        }
    }
}

/// Owner and group by name, so that they mean the same on machines with other numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// User name, as in /etc/passwd; a number where there is no name.
    pub user: Box<str>,
    /// Group name, as in /etc/group; a number where there is no name.
    pub group: Box<str>,
}

/// The permission bits that are synced: `rwxrwxrwx`, set-user-id, set-group-id and sticky.
pub const MODE_BITS: u32 = 0o7777;

/// The set-user-id and set-group-id bits, which are applied only where a share allows them.
pub const SETID_BITS: u32 = 0o6000;

/// An entry: the same value on every node that is in sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// SHA-256 of the content; [`Digest::NONE`] for directories and tombstones.
    pub digest: Digest,
    /// Bytes of content; 0 for directories and tombstones.
    pub size: u64,
    /// Modification time of a file, as its writer had it; 0 for everything else.
    pub mtime: WallTime,
    /// Permission bits ([`MODE_BITS`]); 0 for symlinks and tombstones.
    pub mode: u32,
    /// Owner and group; `None` when the writer did not run as root, and for tombstones.
    pub owner: Option<Rc<Owner>>,
    /// Which edits this entry includes.
    pub version: Version,
    /// When it was written, for ordering entries that have not seen each other.
    pub stamp: Stamp,
    /// The edits that this entry's version includes although its author did not replace their content knowingly. A node that
    /// still has one of them keeps its content as a loser. See [`Entry::has_lost`].
    pub lost: Option<Box<Lost>>,
}

/// Edits that lost, and what the latest of them lost to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The edits.
    pub edits: Version,
    /// What the latest of them lost to.
    pub by: LostBy,
}

/// What an edit lost to. The order is the one in which two of them are merged: the greater one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LostBy {
    /// It was not confirmed where it was applied, or the user rolled it back there.
    Rollback,
    /// The user rejected it, or picked another version.
    Rejection,
    /// An edit of another node that had not seen it.
    Conflict,
}

impl LostBy {
    /// All of them.
    pub const ALL: [LostBy; 3] = [LostBy::Rollback, LostBy::Rejection, LostBy::Conflict];

    /// The word on disk.
    pub fn word(self) -> &'static str {
        match self {
            LostBy::Rollback => "rollback",
            LostBy::Rejection => "rejection",
            LostBy::Conflict => "conflict",
        }
    }
}

impl Entry {
    /// A tombstone of this version and stamp.
    pub fn tombstone(version: Version, stamp: Stamp) -> Entry {
        Entry {
            kind: Kind::Tombstone,
            digest: Digest::NONE,
            size: 0,
            mtime: WallTime(0),
            mode: 0,
            owner: None,
            version,
            stamp,
            lost: None,
        }
    }

    /// What a node says of a path of which it no longer has anything to say: no kind, no version, no time. It is no
    /// deletion, and takes nothing from anybody.
    pub fn nothing() -> Entry {
        Entry::tombstone(Version::UNVERSIONED, Stamp { rank: 0, ms: i64::MIN })
    }

    /// Whether it says nothing, as [`Entry::nothing`].
    pub fn is_nothing(&self) -> bool {
        !self.is_live() && self.version.is_unversioned() && self.stamp.ms == i64::MIN
    }

    /// Whether something is there: everything but a tombstone.
    pub fn is_live(&self) -> bool {
        self.kind != Kind::Tombstone
    }

    /// Whether it has content to transfer: a file or a symlink.
    pub fn has_content(&self) -> bool {
        matches!(self.kind, Kind::File | Kind::Symlink)
    }

    /// Whether both store the same: kind and bytes. Times, modes and owners may differ.
    pub fn same_content(&self, other: &Entry) -> bool {
        self.kind == other.kind && self.digest == other.digest
    }

    /// Whether everything but version, stamp and history of conflicts is identical.
    pub fn same_fields(&self, other: &Entry) -> bool {
        self.same_content(other)
            && self.size == other.size
            && self.mtime == other.mtime
            && self.mode == other.mode
            && self.owner == other.owner
    }

    /// Whether `other` lost on the way to this entry, so that its content was not replaced knowingly; and to what.
    ///
    /// A version alone cannot tell: after a conflict it includes both edits, and so does every later one, although the
    /// loser's content may be stored only on a node that was away meanwhile.
    pub fn has_lost(&self, other: &Entry) -> Option<LostBy> {
        // A node that knows of the loss has the content that won, not the one that lost.
        let known = |id, number| other.lost.as_ref().is_some_and(|lost| lost.edits.number(id) == number);
        let lost = self.lost.as_ref()?;
        let gave_way = |&(id, number): &(_, u64)| other.version.number(id) == number && !known(id, number);
        lost.edits.pairs().iter().any(gave_way).then_some(lost.by)
    }

    /// Whether this entry lists edits that lost and that `known` does not list; and what they lost to.
    pub fn tells_more_than(&self, known: Option<&Entry>) -> Option<LostBy> {
        let known = known.and_then(|entry| entry.lost.as_ref());
        let lost = self.lost.as_ref()?;
        let is_news = |&(id, number): &(_, u64)| known.is_none_or(|known| known.edits.number(id) < number);
        lost.edits.pairs().iter().any(is_news).then_some(lost.by)
    }

    /// The total order by which a conflict is decided: stamp, digest, then every remaining field.
    pub fn conflict_order(&self, other: &Entry) -> std::cmp::Ordering {
        fn key(e: &Entry) -> (Stamp, Digest, Kind, u64, WallTime, u32, &Option<Rc<Owner>>) {
            (e.stamp, e.digest, e.kind, e.size, e.mtime, e.mode, &e.owner)
        }
        key(self).cmp(&key(other))
    }
}
