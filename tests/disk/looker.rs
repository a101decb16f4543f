//! A share's scans, one after the other, with the index that a node would make of them.

use owsync::fs::Root;
use owsync::fs::form::LocalOptions;
use owsync::fs::scan::{Finding, Hint, Rules, Scan, Scanned};
use owsync::model::settings::Symlinks;
use owsync::model::{Entry, Index, Kind, Now, Record, RelPath, Set, Sleep, Stamp, Version, WallTime, limits};
use owsync::reconcile::filter::Filter;

use crate::machine::Machine;

/// A scanner of one share.
pub struct Looker {
    pub index: Index,
    pub filter: Filter,
    pub symlinks: Symlinks,
    pub max_file_size: u64,
    generation: u32,
}

impl Looker {
    /// One that takes up everything, symlinks too.
    pub fn new() -> Looker {
        let filter = Filter::new(&[b"*".to_vec()], &[], &[]);
        Looker { index: Index::default(), filter, symlinks: Symlinks::Copy, max_file_size: 0, generation: 0 }
    }

    /// Scans the whole share, long after anything was written.
    pub fn look<R: Root>(&mut self, m: &impl Machine, root: &R) -> Scanned {
        self.look_at(root, None, later(m.now()))
    }

    /// Checks these paths only.
    pub fn look_near<R: Root>(&mut self, m: &impl Machine, root: &R, hints: &[(&str, bool)]) -> Scanned {
        let hints = hints.iter().map(|&(path, deep)| Hint { path: crate::p(path), deep }).collect();
        self.look_at(root, Some(hints), later(m.now()))
    }

    /// Looks, and records what was found as a node does.
    pub fn look_at<R: Root>(&mut self, root: &R, hints: Option<Vec<Hint>>, now: Now) -> Scanned {
        self.generation += 1;
        let mut scan = Scan::new(self.generation, hints, now);
        let withheld = Set::new();
        let (symlinks, max_file_size) = (self.symlinks, self.max_file_size);
        let rules = Rules {
            filter: &self.filter,
            symlinks,
            max_file_size,
            withheld: &withheld,
            packages: false,
            local: &LocalOptions::default(),
            reread: false,
        };
        let scanned = loop {
            // In small steps, so that every place where a scan may pause is one where this does.
            if let Some(scanned) = scan.step(root, &mut self.index, &rules, now, limits::STEP / 16).unwrap() {
                break scanned;
            }
        };
        for (path, finding) in scanned.found.iter() {
            self.index.insert(path.clone(), record(finding));
        }
        for path in scanned.gone.iter().chain(&scanned.dropped) {
            self.index.remove(path);
        }
        for (path, sleep) in &scanned.asleep {
            self.index.get_mut(path).unwrap().sleep = Some(*sleep);
        }
        scanned
    }

    /// What sleeps, and why.
    pub fn sleepers(&self) -> Vec<(RelPath, Sleep)> {
        self.index.iter().filter_map(|(path, record)| Some((path.clone(), record.sleep?))).collect()
    }
}

/// An hour later: nothing is young any more.
fn later(now: Now) -> Now {
    Now { wall: now.wall.plus_ms(3_600_000), ..now }
}

fn record(finding: &Finding) -> Record {
    let stat = finding.stat;
    let entry = Entry {
        kind: stat.kind,
        digest: finding.digest,
        size: if stat.kind == Kind::Dir { 0 } else { stat.size },
        mtime: if stat.kind == Kind::File { stat.mtime() } else { WallTime(0) },
        mode: stat.mode,
        owner: None,
        version: Version::UNVERSIONED,
        stamp: Stamp { rank: 0, ms: stat.mtime().0 },
        content: None,
        given_up: None,
    };
    Record { young: finding.young, ..Record::new(entry, Some(stat)) }
}
