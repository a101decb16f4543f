//! Entries: what a node knows of one path.

use std::rc::Rc;

use crate::model::{Digest, Stamp, StateId, Version, WallTime, limits};

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
    /// The edits that were decided about: the author of the entry, or of the conflict that it won, knew of them.
    pub version: Version,
    /// The edits that its bytes include, where those are fewer; `None` where they are the same. Always included in
    /// `version`. See [`Entry::content`].
    pub content: Option<Box<Version>>,
    /// When it was written, for ordering entries that have not seen each other.
    pub stamp: Stamp,
    /// Edits that its bytes include, or whose place they took, and that a user rejected or rolled back elsewhere. A node
    /// that still has one of them keeps its content, and its user is notified. See [`Entry::loses`].
    pub given_up: Option<Box<GivenUp>>,
}

/// Edits that were rejected or rolled back, and which of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The edits.
    pub edits: Version,
    /// How the latest of them was given up: [`LostBy::Rollback`] or [`LostBy::Rejection`].
    pub by: LostBy,
}

/// Why the bytes of an edit are no longer in force. The order is the one in which two of them are merged: the greater
/// stays.
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
            content: None,
            given_up: None,
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

    /// The edits that the bytes include: what decides whether another content would be lost.
    ///
    /// `version` cannot: after a conflict it includes both edits, and so does every later one, although the bytes of one of
    /// them may exist on a single node that was away meanwhile.
    pub fn content(&self) -> &Version {
        self.content.as_deref().unwrap_or(&self.version)
    }

    /// The same entry, whose bytes include the edits `content`, as far as its version does.
    pub fn with_content(self, content: &Version) -> Entry {
        let content = content.within(&self.version);
        Entry { content: (content != self.version).then(|| Box::new(content)), ..self }
    }

    /// The same bytes as edit `number` of the life `author`, by an author who replaced `replaced`.
    pub fn edited(self, replaced: Option<&Entry>, author: StateId, number: u64) -> Entry {
        let edit = |of: &Version| of.edited(author, number, limits::VERSION_IDS);
        let Some(replaced) = replaced else { return Entry { version: edit(&Version::UNVERSIONED), ..self } };
        let entry = Entry { version: edit(&replaced.version), given_up: replaced.given_up.clone(), ..self };
        match &replaced.content {
            None => Entry { content: None, ..entry },
            Some(content) => entry.with_content(&content.join(&Version::from_pairs([(author, number)]))),
        }
    }

    /// Whether this entry in the place of `other` loses bytes that were not replaced knowingly; and why.
    pub fn loses(&self, other: &Entry) -> Option<LostBy> {
        if !self.content().includes(other.content()) {
            return Some(LostBy::Conflict);
        }
        // A node that knows of it has what came in its place.
        let known = |id, number| other.given_up.as_ref().is_some_and(|known| known.edits.number(id) == number);
        let given_up = self.given_up.as_ref()?;
        let is_here = |&(id, number): &(_, u64)| other.version.number(id) == number && !known(id, number);
        given_up.edits.pairs().iter().any(is_here).then_some(given_up.by)
    }

    /// Whether this entry in the place of `known` is news of edits that are no longer in force; and why they are not.
    pub fn news_of_losses(&self, known: Option<&Entry>) -> Option<LostBy> {
        if let (Some(content), Some(known)) = (&self.content, known) {
            let left_out =
                |entry: &Entry, id, number| entry.version.number(id) >= number && entry.content().number(id) < number;
            let is_news = |&(id, number): &(_, u64)| content.number(id) < number && !left_out(known, id, number);
            if self.version.pairs().iter().any(is_news) {
                return Some(LostBy::Conflict);
            }
        }
        let known = known.and_then(|entry| entry.given_up.as_ref());
        let given_up = self.given_up.as_ref()?;
        let is_news = |&(id, number): &(_, u64)| known.is_none_or(|known| known.edits.number(id) < number);
        given_up.edits.pairs().iter().any(is_news).then_some(given_up.by)
    }

    /// The total order by which a conflict is decided: stamp, digest, then every remaining field.
    pub fn conflict_order(&self, other: &Entry) -> std::cmp::Ordering {
        fn key(e: &Entry) -> (Stamp, Digest, Kind, u64, WallTime, u32, &Option<Rc<Owner>>) {
            (e.stamp, e.digest, e.kind, e.size, e.mtime, e.mode, &e.owner)
        }
        key(self).cmp(&key(other))
    }
}
