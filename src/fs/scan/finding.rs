//! Rules and results of a scan.

use std::rc::Rc;

use crate::fs::form::LocalOptions;
use crate::model::settings::Symlinks;
use crate::model::{Digest, DiskStat, Index, Map, Reason, RelPath, Set, Sleep, WallTime, limits};
use crate::reconcile::filter::Filter;
use crate::reconcile::safety::ScanCounts;

/// The rules by which a scan includes paths.
pub struct Rules<'a> {
    /// Which paths the share contains.
    pub filter: &'a Filter,
    /// Whether symlinks are synced.
    pub symlinks: Symlinks,
    /// Largest file in bytes; 0: no limit.
    pub max_file_size: u64,
    /// Paths that are not included, because their present content may be rolled back.
    pub withheld: &'a Set<RelPath>,
    /// Files at the top of the share are UCI packages: their sections are counted.
    pub packages: bool,
    /// What belongs to this node in them.
    pub local: &'a LocalOptions,
    /// Packages whose forms may differ are read whatever their stat is: what is local in them may have changed.
    pub reread: bool,
}

/// Something whose stat is not the recorded one, or that is new, or that is awake again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its stat; read after its content.
    pub stat: DiskStat,
    /// Its content's digest; [`Digest::NONE`] for a directory.
    pub digest: Digest,
    /// Its content's size.
    pub size: u64,
    /// The digest of the file, where digest, size and package are those of its shared form.
    pub local: Option<Digest>,
    /// It was written so recently that it may change again without a new time.
    pub young: bool,
    /// Sections of a UCI package; 0 for everything else.
    pub sections: u32,
    /// The content of a UCI package of at most [`limits::PACKAGE_KEPT`] bytes.
    pub package: Option<Rc<[u8]>>,
}

impl Finding {
    /// A directory.
    pub fn dir(stat: DiskStat) -> Finding {
        Finding { stat, digest: Digest::NONE, size: 0, local: None, young: false, sections: 0, package: None }
    }
}

/// The result of a finished scan. Paths that are as recorded do not appear.
#[derive(Debug, Default)]
pub struct Scanned {
    /// New, changed, or awake again.
    pub found: Map<RelPath, Finding>,
    /// Recorded as live, and missing.
    pub gone: Vec<RelPath>,
    /// Recorded, and from now on asleep.
    pub asleep: Vec<(RelPath, Sleep)>,
    /// Deleted, asleep until now, and nothing is there: they are awake again.
    pub awake: Vec<RelPath>,
    /// Left out by the filter until now, and missing: their entries are dropped, not deleted, and received again.
    pub dropped: Vec<RelPath>,
    /// Hinted, and nothing is there: what kept something from being there is gone, too.
    pub absent: Vec<RelPath>,
    /// Not synced, with the reason; names of owsync's own are not listed.
    pub skipped: Vec<(RelPath, Reason)>,
    /// Changed while being read: to be read again.
    pub restless: Vec<RelPath>,
    /// Numbers for the guards.
    pub counts: ScanCounts,
    /// The whole share was scanned.
    pub full: bool,
}

impl Scanned {
    /// Counts the recorded contents that are different now.
    pub fn count_changes(&mut self, index: &Index) {
        let changed = |(path, finding): (&RelPath, &Finding)| {
            index.get(path).is_some_and(|record| {
                record.is_awake_and_live() && record.entry.has_content() && record.entry.digest != finding.digest
            })
        };
        self.counts.changed = self.found.iter().filter(|found| changed(*found)).count() as u64;
    }
}

/// A path to check, and whether to check everything below it as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The path.
    pub path: RelPath,
    /// Everything below it, too.
    pub deep: bool,
}

/// Whether a file was written so recently that another write may leave the same stat.
pub fn is_young(stat: &DiskStat, now: WallTime) -> bool {
    // A filesystem that keeps whole seconds shows no nanoseconds.
    let coarse = stat.ctime_ns.rem_euclid(1_000_000_000) == 0;
    let span = if coarse { limits::YOUNG_COARSE } else { limits::YOUNG };
    let near = |ns: i64| {
        now.since_ms(WallTime(ns.div_euclid(1_000_000))).unsigned_abs()
            < u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
    };
    // A time far in the future is not young: the next write would set it back to the present.
    near(stat.mtime_ns) || near(stat.ctime_ns)
}
