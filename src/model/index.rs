//! The index of a share: an entry per path, with the file's stat when it was recorded.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::model::{Digest, Entry, Kind, Life, RelPath, Stamp, WallTime};

/// A file's stat: equal stats mean that nothing was written since.
///
/// Times are in nanoseconds, so that an edit of the same size within a second is noticed without reading the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskStat {
    /// Never [`Kind::Tombstone`].
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Change time of the inode, nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Inode number.
    pub inode: u64,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}

impl DiskStat {
    /// Modification time in whole milliseconds, rounded down: the precision that is synced.
    pub fn mtime(&self) -> WallTime {
        WallTime(self.mtime_ns.div_euclid(1_000_000))
    }

    /// Whether nothing was written between the two. For a directory, whose times and size change with its contents, only
    /// mode and owner are compared.
    pub fn unchanged(&self, other: &DiskStat) -> bool {
        match (self.kind, other.kind) {
            (Kind::Dir, Kind::Dir) => (self.mode, self.uid, self.gid) == (other.mode, other.uid, other.gid),
            _ => self == other,
        }
    }

    /// Whether both belong to the same file with the same content, under any name: a rename changes the change time.
    pub fn same_file(&self, other: &DiskStat) -> bool {
        self.kind == other.kind
            && self.inode == other.inode
            && self.size == other.size
            && self.mtime_ns == other.mtime_ns
    }
}

/// Why an entry sleeps: it is not offered, and its absence from the disk is not a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// Outside the share's filter.
    Filtered,
    /// The file is larger than `max_file_size`.
    TooLarge,
    /// The file, or a directory above it, cannot be read.
    Unreadable,
    /// Something that is not synced is at the path: a device, an ignored symlink, another filesystem.
    Skipped,
    /// It changed back and forth between nodes and waits for the user.
    Flapping,
    /// An unconfirmed change of LuCI: it may be rolled back, and must not have been sent then.
    Withheld,
    /// The UCI package lost most of its sections at once and waits for the user; the entry is the one from before.
    SectionsLost,
}

impl Sleep {
    /// Whether only the user ends the sleep.
    pub fn is_held(self) -> bool {
        matches!(self, Sleep::Flapping | Sleep::SectionsLost)
    }
}

/// One path of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The entry, on which all nodes agree.
    pub entry: Entry,
    /// The stat when `entry` was last found, or made, identical on disk. `None`: there is no file.
    pub disk: Option<DiskStat>,
    /// This node's number of the latest change of this record: peers ask for the changes above one.
    pub seq: u64,
    /// Records with the same number changed together and are offered together.
    pub batch: u64,
    /// When this node recorded a tombstone: it expires from here, not from its stamp.
    pub recorded: WallTime,
    /// Why the entry sleeps, if it does.
    pub sleep: Option<Sleep>,
    /// In a share whose mode is manual: changed here, and not released by `owsync sync` yet.
    pub pending: bool,
    /// `Some(ms)` while the stamp is provisional: until the entry is first offered, or first compared with a peer's.
    ///
    /// `ms` is the stamp of the last entry before it that was not provisional. The stamp is computed again when it becomes
    /// final ([`Record::final_stamp`]), so that a clock that was wrong and then corrected has no lasting effect.
    pub draft: Option<i64>,
    /// The life of the peer's database that this entry came from, as long as it is exactly what that life has. Not kept
    /// across a restart.
    pub from: Option<Life>,
    /// Read at the next scan whatever its stat is: it was written at about the time it was read. Not kept.
    pub young: bool,
    /// The scan that last saw it. Not kept.
    pub seen: u32,
    /// Sections of a UCI package; 0 for everything else.
    pub sections: u32,
    /// The digest of the file, where it is not `entry.digest`: the package contains values of this router only, and the
    /// entry is its shared form, which the history stores.
    pub local: Option<Digest>,
    /// The user approved this very version, here or at a peer that is trusted with it, where a guard held it: no other node
    /// needs to ask again.
    pub approved: bool,
    /// Peers that were offered an earlier entry of this path may wait for it: those that are not offered this one are sent a
    /// withdrawal instead.
    pub withdraws: bool,
}

impl Record {
    /// A record of `entry` as found on disk, not numbered yet.
    pub fn new(entry: Entry, disk: Option<DiskStat>) -> Record {
        Record {
            entry,
            disk,
            seq: 0,
            batch: 0,
            recorded: WallTime(0),
            sleep: None,
            pending: false,
            draft: None,
            from: None,
            young: false,
            seen: 0,
            sections: 0,
            local: None,
            approved: false,
            withdraws: false,
        }
    }

    /// The digest of the bytes on disk.
    pub fn disk_digest(&self) -> Digest {
        self.local.unwrap_or(self.entry.digest)
    }

    /// The entry's stamp, computed as if it became final at `now`: not later than that, and always later than the last
    /// entry before it that was not provisional.
    pub fn final_stamp(&self, now: WallTime) -> Stamp {
        let stamp = self.entry.stamp;
        match self.draft {
            Some(base) => Stamp { ms: stamp.ms.min(now.0).max(base.saturating_add(1)), ..stamp },
            None => stamp,
        }
    }

    /// The draft and the stamp of an edit that replaces this record, written at `written` and noticed at `now`.
    ///
    /// The stamp grows along every chain of edits, also while all of them are provisional: an older time of an edit
    /// (`cp -p`, a router without a clock) must not let an older edit of a peer win over it.
    pub fn draft_after(&self, written: WallTime, now: WallTime) -> (i64, i64) {
        let stamp = written.0.max(self.final_stamp(now).ms.saturating_add(1));
        (self.draft.unwrap_or(self.entry.stamp.ms), stamp)
    }

    /// Whether the entry stands for a file or directory that should exist on disk here.
    pub fn is_awake_and_live(&self) -> bool {
        self.sleep.is_none() && self.entry.is_live()
    }
}

/// All records of one share, in byte order of their paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    // As many rows as files, in any order: see `map`.
    records: BTreeMap<RelPath, Box<Record>>,
}

impl Index {
    /// The record of a path.
    pub fn get(&self, path: &RelPath) -> Option<&Record> {
        self.records.get(path).map(Box::as_ref)
    }

    /// The record of a path, to change it.
    pub fn get_mut(&mut self, path: &RelPath) -> Option<&mut Record> {
        self.records.get_mut(path).map(Box::as_mut)
    }

    /// Inserts a record, in place of the previous one.
    pub fn insert(&mut self, path: RelPath, record: Record) {
        let mut record = Box::new(record);
        // Most files of a share have one owner: then one copy of its name serves them all.
        if let Some(last) = self.records.values().next_back() {
            if record.entry.owner == last.entry.owner {
                record.entry.owner.clone_from(&last.entry.owner);
            }
        }
        self.records.insert(path, record);
    }

    /// Removes a path from the index.
    pub fn remove(&mut self, path: &RelPath) -> Option<Record> {
        self.records.remove(path).map(|record| *record)
    }

    /// All records in byte order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&RelPath, &Record)> {
        self.records.iter().map(|(path, record)| (path, &**record))
    }

    /// All records in byte order, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&RelPath, &mut Record)> {
        self.records.iter_mut().map(|(path, record)| (path, &mut **record))
    }

    /// All records below `dir`.
    pub fn below(&self, dir: &RelPath) -> impl Iterator<Item = (&RelPath, &Record)> + use<'_> {
        let (from, to) = dir.subtree();
        self.records
            .range::<RelPath, _>((Bound::Included(&from), Bound::Excluded(&to)))
            .map(|(path, record)| (path, &**record))
    }

    /// Whether a live path that does not sleep is below `dir`.
    pub fn has_live_below(&self, dir: &RelPath) -> bool {
        self.below(dir).any(|(_, record)| record.is_awake_and_live())
    }

    /// Number of records, tombstones included.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether the index is empty.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The greatest sequence number of any record.
    pub fn last_seq(&self) -> u64 {
        self.records.values().map(|record| record.seq).max().unwrap_or(0)
    }

    /// Files (and symlinks) that should exist on disk, and the sum of their sizes.
    pub fn live_files(&self) -> (u64, u64) {
        let live = self.records.values().filter(|r| r.is_awake_and_live() && r.entry.has_content());
        live.fold((0, 0), |(files, bytes), r| (files + 1, bytes.saturating_add(r.entry.size)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Version;

    fn record(draft: Option<i64>, ms: i64) -> Record {
        let entry = Entry::tombstone(Version::UNVERSIONED, Stamp { rank: 0, ms });
        Record { draft, ..Record::new(entry, None) }
    }

    /// F66
    #[test]
    fn a_final_stamp_lies_above_what_it_replaced_and_else_not_in_the_future() {
        let stamp_at = |now, draft| record(draft, 900).final_stamp(WallTime(now)).ms;
        assert_eq!(stamp_at(1_000, Some(50)), 900);
        // The clock was ahead when the edit was made, and is right by now.
        assert_eq!(stamp_at(100, Some(50)), 100);
        assert_eq!(stamp_at(100, Some(500)), 501);
        assert_eq!(stamp_at(100, None), 900);
    }

    /// F66
    #[test]
    fn provisional_edits_in_a_row_keep_the_base_of_the_first_and_grow() {
        let (old, now) = (WallTime(10), WallTime(1_000));
        assert_eq!(record(None, 900).draft_after(old, now), (900, 901));
        assert_eq!(record(Some(50), 900).draft_after(old, now), (50, 901));
        assert_eq!(record(Some(50), 900).draft_after(WallTime(950), now), (50, 950));
    }
}
