//! Judges an offer: whether it is known, is left out, must wait, or may be applied, and then as what.
//!
//! There is one judgement, [`Share::judge`], which is asked twice: when an offer is received or tried again, and when its
//! batch is planned, because the index and the disk may have changed while its content was on its way.
//!
//! # Why is the second question without an [`Admission`]?
//! An admission holds for the moment at which a peer's change is let in: the direction of the exchange, a system upgrade
//! that is awaited, a node that was away for long, and in mode manual the `owsync sync` that is running. A batch that was
//! let in is applied. A change of a direction or of another rule drops the batches that it concerns, so it need not be asked
//! for again; and a sync that has ended meanwhile must not keep back what the user let in with it.

use crate::fs::Fs;
use crate::model::entry::Entry;
use crate::model::settings::Symlinks;
use crate::model::{Direction, Kind, Reason, RelPath, Sleep};
use crate::node::context::Context;
use crate::node::share::Share;
use crate::reconcile::{self, FirstContact, Loser, Source, Verdict};

/// What decides whether a peer's change is let in, besides what it says.
pub(crate) struct Admission {
    /// What share and peer section together allow.
    pub direction: Direction,
    /// It comes from a node that was away for long.
    pub long_away: bool,
    /// Why it must wait for a system upgrade. An approval of the user does not end that: the upgrade does, or
    /// `release_guard 0`.
    pub release: Option<Reason>,
    /// The user asked for it.
    pub by_person: bool,
}

/// What becomes of an offer.
pub(crate) enum Judgement {
    /// This node's filter leaves it out.
    LeftOut,
    /// What is here includes it.
    Known,
    /// It cannot be applied now.
    Pending(Reason),
    /// It may be applied.
    Apply {
        /// What both sides come to.
        entry: Entry,
        /// Whose content that is.
        source: Source,
        /// What gives way here.
        loser: Option<Loser>,
        /// Its stamp was set back.
        set_back: bool,
        /// Its content is not here.
        wanted: bool,
    },
}

impl<F: Fs> Share<F> {
    /// Judges an offer as things are now. `admission` is asked only for what is not let in yet.
    pub(crate) fn judge(
        &self,
        cx: &Context<F>,
        path: &RelPath,
        offered: &Entry,
        contact: FirstContact,
        admission: Option<&Admission>,
    ) -> Judgement {
        if !self.filter.holds_as(path, offered.kind) {
            return Judgement::LeftOut;
        }
        let record = cx.store.share(&self.name).index.get(path);
        let (entry, source, loser, set_back) =
            match reconcile::reconcile(record.map(|record| &record.entry), offered, contact) {
                Verdict::Known => return Judgement::Known,
                // What is picked crosses, too.
                Verdict::Ask => {
                    let release = admission.and_then(|admission| admission.release.clone());
                    return Judgement::Pending(release.unwrap_or(Reason::FirstContact));
                }
                Verdict::Agree { entry, source, loser, set_back } => (entry, source, loser, set_back),
            };
        if let Some(sleep) = record.and_then(|record| record.sleep) {
            return Judgement::Pending(self.asleep(path, sleep));
        }
        let theirs = source == Source::There;
        if let Some(admission) = admission {
            // A share that takes nothing still joins versions, as long as nothing changes on disk.
            let touches_disk = theirs || record.is_some_and(|record| !record.entry.same_fields(&entry));
            let deletes = theirs && !offered.is_live() && record.is_some_and(|record| record.entry.is_live());
            let unknown = record.is_none() && offered.is_live();
            let refused = self.keeps_out(admission, touches_disk, deletes, unknown);
            // Only what nothing else keeps out waits for the user: a sync would not bring the rest in.
            let manual = || touches_disk && !admission.by_person && !self.crosses(cx);
            let refused = refused.or_else(|| self.cannot_hold(path, offered));
            if let Some(reason) = refused.or_else(|| manual().then_some(Reason::Manual)) {
                return Judgement::Pending(reason);
            }
        }
        let here = record.is_some_and(|record| record.entry.same_content(offered));
        let wanted = theirs && offered.has_content() && !here;
        Judgement::Apply { entry, source, loser, set_back, wanted }
    }

    /// Why a change is not let in: by direction, release or deletions, or because it comes from a node that was away.
    fn keeps_out(&self, admission: &Admission, touches_disk: bool, deletes: bool, unknown: bool) -> Option<Reason> {
        match admission.direction {
            Direction::Send if touches_disk => return Some(Reason::OnlySends),
            Direction::Observe => return Some(Reason::OnlyObserves),
            Direction::Both | Direction::Send | Direction::Receive => {}
        }
        if let Some(gap) = admission.release.clone().filter(|_| touches_disk) {
            return Some(gap);
        }
        if deletes && !self.settings.deletions.takes() {
            return Some(Reason::KeepsDeleted);
        }
        (unknown && admission.long_away).then_some(Reason::LongAway)
    }

    /// Why an entry cannot be at a path of this share: a limit, or what is there or above.
    fn cannot_hold(&self, path: &RelPath, entry: &Entry) -> Option<Reason> {
        let max = self.settings.max_file_size;
        if self.detect.withheld.contains(path) {
            return Some(Reason::Unconfirmed);
        }
        match entry.kind {
            Kind::File if max > 0 && entry.size > max => Some(Reason::TooLarge { size: entry.size, max }),
            Kind::Symlink if self.settings.symlinks == Symlinks::Ignore => Some(Reason::SymlinkIgnored),
            // A fifo, say, that no scan made an entry of can be there too, or above.
            _ => self.skipped_at_or_above(path),
        }
    }

    /// Why nothing is applied at a path, because a scan skipped what is there, or above.
    fn skipped_at_or_above(&self, path: &RelPath) -> Option<Reason> {
        let listed = &self.detect.skipped.listed;
        let ignored = |path: &RelPath| listed.get(path) == Some(&Reason::SymlinkIgnored);
        if ignored(path) || path.ancestors().any(|dir| ignored(&dir)) {
            // Left out by choice, as the symlink itself.
            return Some(Reason::SymlinkIgnored);
        }
        let mut at_or_above = std::iter::once(path.clone()).chain(path.ancestors());
        at_or_above
            .find_map(|path| listed.get(&path))
            .map(|reason| match reason {
                Reason::SymlinkOutside => Reason::InTheWay("symlink"),
                Reason::Special(word) => Reason::InTheWay(word),
                other => other.clone(),
            })
            .filter(|reason| !matches!(reason, Reason::UnknownOwner(_)))
    }

    /// Why a sleeping path takes nothing: what a setting of this node leaves out differs by choice, whether it was synced
    /// before or not.
    fn asleep(&self, path: &RelPath, sleep: Sleep) -> Reason {
        let reason = match sleep {
            Sleep::Filtered | Sleep::Skipped | Sleep::TooLarge => self.skipped_at_or_above(path),
            Sleep::Unreadable | Sleep::Flapping | Sleep::Withheld | Sleep::SectionsLost => None,
        };
        reason.unwrap_or_else(|| asleep(sleep))
    }
}

/// Why a sleeping path takes nothing, where no scan has said more.
fn asleep(sleep: Sleep) -> Reason {
    match sleep {
        Sleep::Filtered | Sleep::Skipped => Reason::InTheWay("thing"),
        Sleep::TooLarge => Reason::InTheWay("file larger than max_file_size"),
        Sleep::Unreadable => Reason::Unreadable("the present file cannot be read".into()),
        Sleep::Flapping => Reason::Flapping,
        Sleep::Withheld => Reason::Unconfirmed,
        Sleep::SectionsLost => Reason::Other("the change made here is held".into()),
    }
}
