//! Guards: whether a change may happen without the user's decision, by its effect on a share.
//!
//! Only [`approve`] creates an [`ApprovedPlan`], and nothing else can be applied. The other functions judge the result of
//! a scan before any of it is recorded or offered. All of them are arithmetic over counts.

use std::collections::BTreeMap;

use crate::model::reason::{Hold, Reason};
use crate::model::{Digest, Entry, RelPath, limits};
use crate::reconcile::{Loser, Source};

/// One path of a batch, decided: an [`Agree`](crate::reconcile::Verdict::Agree) with its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The path.
    pub path: RelPath,
    /// The entry that this node must have.
    pub entry: Entry,
    /// Where its content is.
    pub source: Source,
    /// What happens to the content that is replaced here.
    pub loser: Option<Loser>,
    /// Equal versions with different entries.
    pub set_back: bool,
    /// A file or symlink is here now.
    pub replaces_content: bool,
    /// A user approved this very version where a guard held it.
    pub approved: bool,
}

impl Step {
    /// Whether a content is removed from this path.
    pub fn deletes_content(&self) -> bool {
        self.replaces_content && !self.entry.is_live() && self.source == Source::There
    }
}

/// A batch that passed every guard. Only [`approve`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct ApprovedPlan(Vec<Step>);

impl ApprovedPlan {
    /// The decided paths.
    pub fn into_steps(self) -> Vec<Step> {
        self.0
    }

    /// The decided paths.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

/// The numbers for the guard against mass deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletions {
    /// Files and symlinks that are here now.
    pub live: u64,
    /// Files that were here and were deleted within [`limits::DELETE_GUARD_TIME`]: many small steps are one big one.
    pub lately: u64,
    /// Deleted paths whose content is still elsewhere in the share.
    pub moved: u64,
    /// The share's `delete_guard`, percent; 0 switches the guard off.
    pub guard: u8,
}

impl Deletions {
    /// Whether `gone` more files may be deleted; `known` of the answer includes those that were deleted lately.
    pub fn check(self, gone: u64) -> Option<u64> {
        let known = self.live.saturating_add(self.lately);
        let all_gone = gone.saturating_add(self.lately);
        let over = all_gone.saturating_mul(100) > known.saturating_mul(u64::from(self.guard));
        (self.guard > 0 && gone > 0 && all_gone >= limits::DELETE_GUARD_FILES && over).then_some(known)
    }
}

/// Approves a peer's batch, unless it deletes too much at once.
///
/// # Errors
/// [`Reason::MassDeletion`] for the whole batch: the user must decide.
pub fn approve(steps: Vec<Step>, deletions: Deletions, by_person: bool) -> Result<ApprovedPlan, (Reason, Vec<Step>)> {
    let gone = steps.iter().filter(|step| step.deletes_content() && !step.approved).count() as u64;
    match deletions.check(gone.saturating_sub(deletions.moved)) {
        Some(known) if !by_person => {
            Err((Reason::MassDeletion { gone: gone.saturating_add(deletions.lately), known }, steps))
        }
        _ => Ok(ApprovedPlan(steps)),
    }
}

/// Whether a UCI package with so many sections may not become one with so few unless the user approves it: an interrupted
/// write, a full flash or a power cut leaves such a file, and a user rarely does.
pub fn loses_sections(had: u32, has: u32) -> bool {
    (has == 0 && had > 0) || (had >= limits::SECTIONS_GUARD && u64::from(has) * 2 < u64::from(had))
}

/// Contents that were removed from their paths, and how many of them are at other paths: each explains one.
#[derive(Debug, Default)]
pub struct Missing {
    unexplained: BTreeMap<Digest, u64>,
    explained: u64,
}

impl Missing {
    /// A path with this content was removed.
    pub fn add(&mut self, digest: Digest) {
        *self.unexplained.entry(digest).or_default() += 1;
    }

    /// The content is at another path.
    pub fn explain(&mut self, digest: Digest) {
        if let Some(count) = self.unexplained.get_mut(&digest) {
            *count -= 1;
            self.explained += 1;
            if *count == 0 {
                self.unexplained.remove(&digest);
            }
        }
    }

    /// Whether everything is explained.
    pub fn is_empty(&self) -> bool {
        self.unexplained.is_empty()
    }

    /// How many paths are explained.
    pub fn explained(&self) -> u64 {
        self.explained
    }
}

/// The result of a scan, as numbers of files and symlinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanCounts {
    /// Known before, and not asleep.
    pub known: u64,
    /// Of those, missing on the disk.
    pub gone: u64,
    /// Of those, missing at their path only: their content is still in the share. Each content that is there explains one
    /// missing path.
    pub moved: u64,
    /// Of those, still there with different content.
    pub changed: u64,
}

impl ScanCounts {
    /// Files whose content is missing as well.
    pub fn lost(self) -> u64 {
        self.gone.saturating_sub(self.moved)
    }
}

/// Whether a scan may be recorded: the first guard that refuses it.
///
/// `lately` counts deletions recorded shortly before, `first_since_start` the first scan of this process over a known
/// share, `set_back` a database that was restored or copied.
pub fn check_scan(
    counts: ScanCounts,
    guard: u8,
    lately: u64,
    other_mount: bool,
    first_since_start: bool,
    set_back: bool,
) -> Option<Hold> {
    let ScanCounts { known, gone, changed, .. } = counts;
    let lost = counts.lost();
    if other_mount && gone > 0 {
        // A stick that was pulled, or a partition that did not come up: its mount point looks like an empty share, or
        // like one with few files, if a program wrote something there meanwhile.
        return Some(Hold::NotMounted);
    }
    // Whatever else is there now: a root that was replaced by a different directory may contain files, but not the known ones.
    if gone == known && lost > 0 && known >= 2 {
        return Some(Hold::Emptied { known });
    }
    if set_back && gone.saturating_add(changed) > 0 {
        return Some(Hold::SetBack { changed: gone.saturating_add(changed), known });
    }
    let differing = lost.saturating_add(changed);
    if first_since_start && known >= limits::REPLACED_FILES && differing.saturating_mul(10) >= known.saturating_mul(9) {
        return Some(Hold::Replaced { changed: differing, known });
    }
    let deletions = Deletions { live: known, lately, moved: 0, guard };
    deletions.check(lost).map(|known| Hold::MassDeletion { gone: gone.saturating_add(lately), known })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(known: u64, gone: u64, changed: u64) -> ScanCounts {
        ScanCounts { known, gone, moved: 0, changed }
    }

    fn code(counts: ScanCounts, other_mount: bool, first: bool, set_back: bool) -> &'static str {
        check_scan(counts, 50, 0, other_mount, first, set_back).map_or("passes", |hold| hold.code())
    }

    #[test]
    fn scans_are_held_where_the_user_must_decide_f4() {
        for (found, other_mount, first, set_back, expected) in [
            (counts(50, 50, 0), false, false, false, "emptied"),
            (counts(50, 50, 0), true, false, false, "not_mounted"),
            (counts(50, 1, 0), true, false, false, "not_mounted"),
            (counts(50, 0, 9), true, false, false, "passes"),
            (counts(1, 1, 0), false, false, false, "passes"),
            (counts(2, 2, 0), false, false, false, "emptied"),
            (counts(20, 10, 0), false, false, false, "passes"),
            (counts(20, 11, 0), false, false, false, "mass_deletion"),
            (counts(12, 9, 0), false, false, false, "passes"),
            (counts(10, 4, 5), false, true, false, "replaced"),
            (counts(10, 4, 4), false, true, false, "passes"),
            (counts(10, 4, 5), false, false, false, "passes"),
            (counts(2, 0, 2), false, true, false, "passes"),
            (counts(3, 0, 3), false, true, false, "replaced"),
            (counts(10, 0, 1), false, true, true, "set_back"),
            (counts(10, 0, 0), false, true, true, "passes"),
        ] {
            assert_eq!(
                code(found, other_mount, first, set_back),
                expected,
                "{found:?} {other_mount} {first} {set_back}"
            );
        }
    }

    #[test]
    fn many_small_deletions_count_as_one() {
        assert_eq!(check_scan(counts(50, 5, 0), 50, 0, false, false, false), None);
        assert_eq!(
            check_scan(counts(50, 5, 0), 50, 49, false, false, false),
            Some(Hold::MassDeletion { gone: 54, known: 99 })
        );
        assert_eq!(check_scan(counts(50, 0, 0), 50, 80, false, false, false), None);
    }

    /// F75, F91
    #[test]
    fn content_that_is_still_in_the_share_did_not_go() {
        let moved =
            |known, gone, moved| check_scan(ScanCounts { known, gone, moved, changed: 0 }, 50, 0, false, false, false);
        for (known, gone, elsewhere, expected) in [
            (13, 12, 12, None),
            (12, 12, 12, None),
            (12, 12, 11, Some(Hold::Emptied { known: 12 })),
            (2, 2, 0, Some(Hold::Emptied { known: 2 })),
            (30, 26, 4, Some(Hold::MassDeletion { gone: 26, known: 30 })),
            (30, 26, 17, None),
        ] {
            assert_eq!(moved(known, gone, elsewhere), expected, "{known} {gone} {elsewhere}");
        }
    }

    /// F77
    #[test]
    fn a_package_that_loses_most_of_its_sections_is_held() {
        for (had, has, held) in
            [(1, 0, true), (0, 0, false), (3, 1, false), (4, 1, true), (4, 2, false), (20, 9, true), (20, 10, false)]
        {
            assert_eq!(loses_sections(had, has), held, "{had} {has}");
        }
        assert!(!loses_sections(2, u32::MAX) && loses_sections(u32::MAX, 1));
    }

    #[test]
    fn a_guard_of_zero_is_off() {
        assert_eq!(check_scan(counts(100, 99, 0), 0, 0, false, false, false), None);
    }
}
