//! Merge decisions: pure, total, and the same on every node.
//!
//! [`reconcile`] takes this node's entry of one path and a peer's, and returns what both must agree on. It
//! cannot fail and cannot act. The whole table is one function; `tests/reconcile.rs` checks its laws over generated and
//! exhaustive small spaces: both sides decide alike, a fixpoint is reached, no content is lost unseen.
//!
//! [`safety`] checks what a batch of such decisions would do to a share, and approves or holds it. [`filter`] says
//! which paths a share contains.

pub mod filter;
pub mod safety;
mod verdict;

use std::cmp::Ordering;

use crate::model::settings::FirstSync;

use crate::model::{Digest, Entry, GivenUp, LostBy, Stamp, StateId, Version, WallTime, limits};
pub use verdict::{FirstContact, Loser, Source, Verdict};

/// Decides which entry this node must have after it has `local` and a peer offers `remote`.
pub fn reconcile(local: Option<&Entry>, remote: &Entry, contact: FirstContact) -> Verdict {
    let no_say = |entry: &Entry| !entry.is_live() && entry.version.is_unversioned();
    if no_say(remote) {
        // A new node no longer has what it once offered. Nothing is lost by that.
        return Verdict::Known;
    }
    let Some(local) = local.filter(|local| !no_say(local)) else {
        // Nothing is known here, so nothing can be lost. A tombstone is applied too: it must be relayed.
        return Verdict::Agree { entry: remote.clone(), source: Source::There, loser: None, set_back: false };
    };
    let same_content = local.same_content(remote);
    match local.version.compare(&remote.version) {
        Some(Ordering::Greater) => Verdict::Known,
        Some(Ordering::Equal) if local.same_fields(remote) => {
            // The same edits and the same result. Two unversioned files keep the later stamp on both sides.
            let news = remote.news_of_losses(Some(local)).is_some() || !local.content().includes(remote.content());
            if remote.stamp > local.stamp || news { agree_here(joined(local, remote)) } else { Verdict::Known }
        }
        Some(Ordering::Less) if same_content => {
            // The peer's entry was decided knowing this node's; only times, mode, owner or the vectors may be new. It is taken as
            // it is: joining what the bytes include would make an entry that no node offered, without an edit.
            agree_here(remote.clone())
        }
        Some(Ordering::Less) => {
            // The peer's entry was decided knowing this node's, and its content differs. An unversioned file had no claim;
            // and edits that the peer's bytes do not include were not seen by their author.
            let loser = if local.version.is_unversioned() { Loser::FirstContact } else { loser(remote, local) };
            Verdict::Agree {
                entry: remote.clone(),
                source: Source::There,
                loser: local.is_live().then_some(loser),
                set_back: false,
            }
        }
        Some(Ordering::Equal) | None if same_content => {
            // Neither includes the other and the bytes are the same: the conflict order decides the other fields, on
            // both sides alike, and no report is needed.
            let remote_stays = remote.conflict_order(local) == Ordering::Greater;
            agree_here(if remote_stays { joined(remote, local) } else { joined(local, remote) })
        }
        Some(Ordering::Equal) | None => decide_difference(local, remote, contact),
    }
}

/// Decides between two contents whose versions do not include each other.
fn decide_difference(local: &Entry, remote: &Entry, contact: FirstContact) -> Verdict {
    let one_version = !local.version.is_unversioned() && local.version == remote.version;
    let set_back = one_version && local.content() == remote.content();
    let unversioned = local.version.is_unversioned() && remote.version.is_unversioned();
    let no_claim = local.stamp.rank == 0 && remote.stamp.rank == 0 && !local.version.shares_an_id_with(&remote.version);
    // Rank decides before anything else, so a first contact is one only where neither side descends from a reference.
    let first_contact = unversioned || no_claim;
    if first_contact && contact.rule == FirstSync::Ask {
        return Verdict::Ask;
    }
    // Bytes that include all edits of the others replace them, although neither version includes the other.
    let includes = remote.content().compare(local.content());
    let remote_wins = match (unversioned, contact.settled_here, contact.settled_there) {
        // A node that has just started may carry factory defaults with new times.
        (true, true, false) => false,
        (true, false, true) => true,
        _ => match includes {
            Some(Ordering::Greater) => true,
            Some(Ordering::Less) => false,
            Some(Ordering::Equal) | None => remote.conflict_order(local) == Ordering::Greater,
        },
    };
    if unversioned && !remote_wins {
        // The peer decides alike and takes this node's entry.
        return Verdict::Known;
    }
    let (winner, other) = if remote_wins { (remote, local) } else { (local, remote) };
    let loser = match includes {
        _ if first_contact => Loser::FirstContact,
        Some(Ordering::Greater | Ordering::Less) => loser(winner, other),
        // Neither bytes include the other's edits, or they claim to be the same edits and are not.
        Some(Ordering::Equal) | None => Loser::Unseen(LostBy::Conflict),
    };
    // No increment: every node that receives both comes to this same entry, in whatever order.
    Verdict::Agree {
        entry: joined(winner, other),
        source: if remote_wins { Source::There } else { Source::Here },
        loser: other.is_live().then_some(loser),
        set_back,
    }
}

fn agree_here(entry: Entry) -> Verdict {
    Verdict::Agree { entry, source: Source::Here, loser: None, set_back: false }
}

/// Why the content of `other` is lost where `stays` replaces it.
fn loser(stays: &Entry, other: &Entry) -> Loser {
    stays.loses(other).map_or(Loser::Seen, Loser::Unseen)
}

/// The entry that stays, under a version that includes both, stamped no earlier than either, with every edit that either
/// names as given up. Its bytes include what they included before; the same bytes include what either side says.
fn joined(stays: &Entry, other: &Entry) -> Entry {
    let equals = stays.conflict_order(other) == Ordering::Equal;
    let version = stays.version.joined(&other.version, equals, limits::VERSION_IDS_JOINED);
    let given_up = given_up_by_all([stays, other].into_iter());
    let entry = Entry { version, stamp: stays.stamp.max(other.stamp), given_up, content: None, ..stays.clone() };
    if stays.same_content(other) {
        entry.with_content(&stays.content().join(other.content()))
    } else {
        entry.with_content(stays.content())
    }
}

/// The edits that any of the entries names as given up.
fn given_up_by_all<'a>(entries: impl Iterator<Item = &'a Entry> + Clone) -> Option<Box<GivenUp>> {
    let all = entries.filter_map(|entry| entry.given_up.as_ref());
    let by = all.clone().map(|given_up| given_up.by).max()?;
    given_up(all.flat_map(|given_up| given_up.edits.pairs().iter().copied()), by)
}

/// The edits that an entry names as given up: the latest [`limits::LOST_IDS`] of `pairs`.
fn given_up(pairs: impl Iterator<Item = (StateId, u64)>, by: LostBy) -> Option<Box<GivenUp>> {
    let mut pairs = Version::from_pairs(pairs).pairs().to_vec();
    pairs.sort_unstable_by_key(|&(id, number)| std::cmp::Reverse((number, id)));
    pairs.truncate(limits::LOST_IDS);
    (!pairs.is_empty()).then(|| Box::new(GivenUp { edits: Version::from_pairs(pairs), by }))
}

/// What an entry that rolls `entry` back names as given up: its latest edit, too, whose author did not give it up; and the
/// latest that `me` did not make. They differ where this node made an edit of what it was offered, a merge for example: the
/// peer has only what it offered.
pub fn rolled_back(entry: &Entry, me: StateId) -> Option<Box<GivenUp>> {
    let named = entry.given_up.as_ref().map(|given_up| given_up.edits.pairs().to_vec()).unwrap_or_default();
    let edits = || entry.version.pairs().iter().copied();
    let latest = edits().max_by_key(|&(_, number)| number);
    let theirs = edits().filter(|&(id, _)| id != me).max_by_key(|&(_, number)| number);
    given_up(named.into_iter().chain(latest).chain(theirs), LostBy::Rollback)
}

/// The merge of the entry here with a peer's, as an edit of this node that includes both: `bytes` are the digest and size of
/// the merged text, `author` and `number` identify the edit.
///
/// Everything but the bytes follows from the two entries, so that two nodes that merge the same come to the same.
pub fn merged(
    local: &Entry,
    remote: &Entry,
    given_up: Option<Box<GivenUp>>,
    (digest, size): (Digest, u64),
    author: StateId,
    number: u64,
) -> Entry {
    let version = local.version.join(&remote.version).edited(author, number, limits::VERSION_IDS);
    let stamp = Stamp {
        rank: local.stamp.rank.max(remote.stamp.rank),
        ms: local.stamp.ms.max(remote.stamp.ms).saturating_add(1),
    };
    let content = local.content().join(remote.content()).join(&Version::from_pairs([(author, number)]));
    let mtime = local.mtime.max(remote.mtime);
    Entry { digest, size, mtime, version, stamp, given_up, content: None, ..remote.clone() }.with_content(&content)
}

/// The stamp of an edit made at `written`, noticed at `now`, by a node of `rank`, over an entry stamped `replaced`.
///
/// Never older than what its author had seen, never later than when it was noticed, and growing along every chain of
/// edits.
pub fn edit_stamp(rank: u8, written: WallTime, now: WallTime, replaced: Option<Stamp>) -> Stamp {
    let ms = written.0.min(now.0);
    match replaced {
        None => Stamp { rank, ms },
        Some(replaced) => Stamp { rank: rank.max(replaced.rank), ms: ms.max(replaced.ms.saturating_add(1)) },
    }
}

/// The user's decision: `chosen`, as an edit above everything that `seen` contains of the path, so that no node that saw
/// any of it disagrees. `author` and `number` identify the edit, `rank` is its rank.
///
/// The content of the edits that were not chosen counts as replaced knowingly. They are named as given up: a node that has
/// one of them keeps its content, and its user is notified.
pub fn decided(chosen: &Entry, seen: &[&Entry], author: StateId, number: u64, rank: u8) -> Entry {
    let all = || seen.iter().copied().chain([chosen]);
    let named =
        all().filter_map(|entry| entry.given_up.as_ref()).flat_map(|given_up| given_up.edits.pairs().iter().copied());
    let other = seen.iter().filter(|entry| !entry.same_content(chosen));
    let unseen = other
        .flat_map(|entry| entry.version.pairs().iter().copied())
        .filter(|&(id, number)| number > chosen.version.number(id));
    let version = all().fold(Version::UNVERSIONED, |above, entry| above.join(&entry.version));
    let content = all().fold(Version::UNVERSIONED, |above, entry| above.join(entry.content()));
    let latest = all().map(|entry| entry.stamp.ms).max().unwrap_or(0);
    let entry = Entry {
        version: version.edited(author, number, limits::VERSION_IDS),
        stamp: Stamp { rank, ms: latest.saturating_add(1) },
        given_up: given_up(named.chain(unseen), LostBy::Rejection),
        content: None,
        ..chosen.clone()
    };
    entry.with_content(&content.join(&Version::from_pairs([(author, number)])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, Kind};

    const NEWEST: FirstContact = FirstContact { rule: FirstSync::Newest, settled_here: true, settled_there: true };
    const ASK: FirstContact = FirstContact { rule: FirstSync::Ask, ..NEWEST };

    fn file(content: &str, version: &[(u64, u64)], rank: u8, ms: i64) -> Entry {
        Entry {
            kind: Kind::File,
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            mtime: WallTime(ms),
            mode: 0o644,
            owner: None,
            version: Version::from_pairs(version.iter().map(|&(id, n)| (StateId(id), n))),
            stamp: Stamp { rank, ms },
            content: None,
            given_up: None,
        }
    }

    fn gone(version: &[(u64, u64)], rank: u8, ms: i64) -> Entry {
        Entry::tombstone(file("", version, rank, ms).version, Stamp { rank, ms })
    }

    /// The source and the loser of a verdict, for short tables.
    fn short(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Known => "known".into(),
            Verdict::Ask => "ask".into(),
            Verdict::Agree { source, loser, set_back, .. } => {
                format!("{source:?} {loser:?}{}", if *set_back { " set back" } else { "" })
            }
        }
    }

    #[test]
    fn the_table() {
        let (a, b) = (&[(1, 5)][..], &[(2, 5)][..]);
        let ab = &[(1, 5), (2, 6)][..];
        let rows: &[(&str, Option<Entry>, Entry, FirstContact, &str)] = &[
            ("new path", None, file("x", a, 1, 10), NEWEST, "There None"),
            ("old news", Some(file("x", ab, 1, 10)), file("y", a, 1, 99), NEWEST, "known"),
            (
                "an edit that saw ours, with an older mtime",
                Some(file("x", a, 1, 99)),
                file("y", ab, 1, 100),
                NEWEST,
                "There Some(Seen)",
            ),
            ("a chmod that saw ours", Some(file("x", a, 1, 9)), file("x", ab, 1, 10), NEWEST, "Here None"),
            (
                "both edited, theirs newer",
                Some(file("x", a, 1, 10)),
                file("y", b, 1, 11),
                NEWEST,
                "There Some(Unseen(Conflict))",
            ),
            (
                "both edited, ours newer",
                Some(file("x", a, 1, 12)),
                file("y", b, 1, 11),
                NEWEST,
                "Here Some(Unseen(Conflict))",
            ),
            ("both edited alike", Some(file("x", a, 1, 12)), file("x", b, 1, 11), NEWEST, "Here None"),
            ("deleted there before our edit", Some(file("x", a, 1, 12)), gone(b, 1, 11), NEWEST, "Here None"),
            (
                "deleted there after our edit",
                Some(file("x", a, 1, 12)),
                gone(b, 1, 13),
                NEWEST,
                "There Some(Unseen(Conflict))",
            ),
            (
                "deleted here after their edit",
                Some(gone(a, 1, 12)),
                file("y", b, 1, 11),
                NEWEST,
                "Here Some(Unseen(Conflict))",
            ),
            ("deleted on both", Some(gone(a, 1, 12)), gone(b, 1, 11), NEWEST, "Here None"),
            (
                "we have no past, they do, and are older",
                Some(file("x", &[], 0, 99)),
                file("y", a, 0, 1),
                ASK,
                "There Some(FirstContact)",
            ),
            (
                "this node is established, the peer is new",
                Some(file("x", a, 0, 1)),
                file("y", &[], 0, 99),
                ASK,
                "known",
            ),
            (
                "we have no past, they deleted it",
                Some(file("x", &[], 0, 99)),
                gone(a, 1, 1),
                ASK,
                "There Some(FirstContact)",
            ),
            (
                "no past on either, newest, theirs",
                Some(file("x", &[], 0, 1)),
                file("y", &[], 0, 2),
                NEWEST,
                "There Some(FirstContact)",
            ),
            ("no past on either, newest, ours", Some(file("x", &[], 0, 3)), file("y", &[], 0, 2), NEWEST, "known"),
            ("no past on either, ask", Some(file("x", &[], 0, 3)), file("y", &[], 0, 2), ASK, "ask"),
            ("no past on either, ask, equal", Some(file("x", &[], 0, 3)), file("x", &[], 0, 3), ASK, "known"),
            (
                "two fresh clusters meet, newest",
                Some(file("x", a, 0, 3)),
                file("y", b, 0, 4),
                NEWEST,
                "There Some(FirstContact)",
            ),
            ("two fresh clusters meet, ask", Some(file("x", a, 0, 3)), file("y", b, 0, 4), ASK, "ask"),
            (
                "a fresh cluster meets the reference, older",
                Some(file("x", a, 0, 99)),
                file("y", b, 1, 4),
                ASK,
                "There Some(Unseen(Conflict))",
            ),
            (
                "one cluster, both edited",
                Some(file("x", &[(1, 5), (3, 1)], 0, 3)),
                file("y", &[(2, 5), (3, 1)], 0, 4),
                ASK,
                "There Some(Unseen(Conflict))",
            ),
            ("a new node no longer has it", Some(file("x", &[], 0, 3)), gone(&[], 0, 9), NEWEST, "known"),
            ("it was never here, and is not there any more", None, gone(&[], 0, 9), NEWEST, "known"),
            ("we have no past and deleted it", Some(gone(&[], 0, 9)), file("x", &[], 0, 3), ASK, "There None"),
            (
                "one version, two contents",
                Some(file("x", a, 1, 3)),
                file("y", a, 1, 4),
                NEWEST,
                "There Some(Unseen(Conflict)) set back",
            ),
        ];
        for (claim, local, remote, contact, expected) in rows {
            assert_eq!(short(&reconcile(local.as_ref(), remote, *contact)), *expected, "{claim}");
        }
    }

    #[test]
    fn a_node_without_a_past_never_wins_against_one_with_one_f1() {
        let week_old = file("production", &[(1, 5)], 1, 1_000);
        let fresh = file("factory default", &[], 0, 1_000_000);
        assert_eq!(reconcile(Some(&week_old), &fresh, NEWEST), Verdict::Known);
        let Verdict::Agree { entry, source, loser, .. } = reconcile(Some(&fresh), &week_old, NEWEST) else {
            panic!("must take")
        };
        assert_eq!((entry, source, loser), (week_old, Source::There, Some(Loser::FirstContact)));
    }

    #[test]
    fn clocks_do_not_decide_what_versions_decide_f5_f20() {
        // A's clock is 40 s behind, and the file that it replaces is dated in the future: its edit still wins.
        let seen = file("old", &[(2, 1)], 1, 9_999_999);
        let edit = Entry { version: seen.version.edited(StateId(1), 2, 32), ..file("new", &[], 1, 40) };
        assert!(matches!(
            reconcile(Some(&seen), &edit, NEWEST),
            Verdict::Agree { source: Source::There, loser: Some(Loser::Seen), .. }
        ));
        assert_eq!(reconcile(Some(&edit), &seen, NEWEST), Verdict::Known);
    }

    #[test]
    fn a_node_that_just_started_loses_a_first_contact_under_newest() {
        let (old, new) = (file("x", &[], 0, 1), file("y", &[], 0, 2));
        let fresh_there = FirstContact { settled_there: false, ..NEWEST };
        let fresh_here = FirstContact { settled_here: false, ..NEWEST };
        assert_eq!(reconcile(Some(&old), &new, fresh_there), Verdict::Known);
        assert_eq!(short(&reconcile(Some(&new), &old, fresh_here)), "There Some(FirstContact)");
    }

    #[test]
    fn bytes_that_include_the_others_edits_replace_them_whatever_the_clocks_say() {
        // Two conflicts about "x" were decided apart, and "x" won both; in one of the two places it was edited since.
        let of = |entry: Entry, content: &[(u64, u64)]| {
            entry.with_content(&Version::from_pairs(content.iter().map(|&(id, n)| (StateId(id), n))))
        };
        let edited = of(file("z", &[(1, 6), (2, 1)], 1, 10), &[(1, 6)]);
        let older = of(file("x", &[(1, 5), (3, 1)], 1, 99), &[(1, 5)]);
        assert_eq!(short(&reconcile(Some(&edited), &older, NEWEST)), "Here Some(Seen)");
        assert_eq!(short(&reconcile(Some(&older), &edited, NEWEST)), "There Some(Seen)");
    }

    #[test]
    fn a_loser_is_kept_although_a_later_edit_includes_it() {
        let (winner, loser) = (file("x", &[(1, 5)], 1, 11), file("y", &[(2, 5)], 1, 10));
        let Verdict::Agree { entry, source: Source::Here, .. } = reconcile(Some(&winner), &loser, NEWEST) else {
            panic!("conflict")
        };
        assert_eq!(entry.news_of_losses(Some(&winner)), Some(LostBy::Conflict));
        // The winner is edited before the loser's node hears of anything: it must not take "y" for seen.
        let edit = file("z", &[], 1, 12).edited(Some(&entry), StateId(1), 6);
        assert!(matches!(
            reconcile(Some(&loser), &edit, NEWEST),
            Verdict::Agree { loser: Some(Loser::Unseen(LostBy::Conflict)), .. }
        ));
        // Nor what the loser had replaced: the bytes in force include neither edit.
        assert!(matches!(
            reconcile(Some(&file("w", &[(2, 4)], 1, 9)), &edit, NEWEST),
            Verdict::Agree { loser: Some(Loser::Unseen(LostBy::Conflict)), .. }
        ));
        // A node that edits the loser's file after taking the winner has replaced it.
        let above = file("v", &[], 1, 13).edited(Some(&edit), StateId(2), 7);
        assert!(matches!(reconcile(Some(&loser), &above, NEWEST), Verdict::Agree { loser: Some(Loser::Seen), .. }));
    }

    #[test]
    fn three_conflicting_edits_agree_in_any_order() {
        let edits = [file("x", &[(1, 5)], 1, 10), file("y", &[(2, 5)], 1, 11), file("z", &[(3, 5)], 1, 9)];
        let merge = |order: [usize; 3]| {
            order.iter().fold(None, |local: Option<Entry>, &next| {
                match reconcile(local.as_ref(), &edits[next], NEWEST) {
                    Verdict::Agree { entry, .. } => Some(entry),
                    Verdict::Known | Verdict::Ask => local,
                }
            })
        };
        let first = merge([0, 1, 2]);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            assert_eq!(merge(order), first);
        }
        assert_eq!(first.unwrap().content().pairs(), [(StateId(2), 5)]);
    }

    #[test]
    fn stamps_grow_along_a_chain_and_never_lie_in_the_future() {
        let at = |written, now, replaced: Option<i64>| {
            edit_stamp(0, WallTime(written), WallTime(now), replaced.map(|ms| Stamp { rank: 0, ms })).ms
        };
        assert_eq!(at(100, 200, None), 100);
        assert_eq!(at(900, 200, None), 200);
        assert_eq!(at(100, 200, Some(150)), 151);
        assert_eq!(edit_stamp(0, WallTime(1), WallTime(1), Some(Stamp { rank: 1, ms: 5 })), Stamp { rank: 1, ms: 6 });
    }

    #[test]
    fn equal_files_without_a_past_keep_the_later_stamp_on_both_sides() {
        let early = file("x", &[], 0, 3);
        let late = Entry { stamp: Stamp { rank: 0, ms: 5 }, ..early.clone() };
        let Verdict::Agree { entry, source: Source::Here, .. } = reconcile(Some(&early), &late, NEWEST) else {
            panic!("the stamp is new")
        };
        assert_eq!(entry.stamp, late.stamp);
        assert_eq!(reconcile(Some(&late), &early, NEWEST), Verdict::Known);
    }

    /// F100
    #[test]
    fn versions_that_are_too_long_together_come_to_one_on_both_sides() {
        let wide = |first: u64| Version::from_pairs((first..first + 40).map(|id| (StateId(id), id)));
        let came_to = |local: &Entry, remote: &Entry| match reconcile(Some(local), remote, NEWEST) {
            Verdict::Agree { entry, .. } => entry.version,
            other => panic!("{other:?}"),
        };
        for ms in [9, 10, 11] {
            let a = Entry { version: wide(1), ..file("x", &[], 1, 10) };
            let b = Entry { version: wide(100), ..file("x", &[], 1, ms) };
            assert_eq!(came_to(&a, &b), came_to(&b, &a), "{ms}");
        }
    }

    #[test]
    fn a_decision_is_above_all_that_was_seen_and_names_what_was_not_chosen() {
        let named = given_up([(StateId(9), 1)].into_iter(), LostBy::Rollback);
        let mine = file("x", &[(1, 5), (3, 2)], 0, 10);
        let theirs = Entry { given_up: named, ..file("y", &[(1, 4), (2, 5)], 0, 30) };

        let decision = decided(&mine, &[&theirs], StateId(1), 9, 1);

        assert!(decision.same_content(&mine));
        assert_eq!(decision.version.pairs(), [(StateId(1), 9), (StateId(2), 5), (StateId(3), 2)]);
        assert_eq!(decision.stamp, Stamp { rank: 1, ms: 31 });
        assert_eq!(decision.content, None, "what was shown counts as replaced knowingly");
        let named = decision.given_up.unwrap();
        // The edit (1, 4) was seen by the author of the chosen version.
        assert_eq!((named.edits.pairs(), named.by), (&[(StateId(2), 5), (StateId(9), 1)][..], LostBy::Rejection));
        // Of equal contents none is given up.
        assert_eq!(decided(&mine, &[&file("x", &[(2, 5)], 0, 30)], StateId(1), 9, 1).given_up, None);
    }

    #[test]
    fn a_merge_includes_the_bytes_of_both_sides_and_wins_over_either() {
        let of = |entry: Entry, content: &[(u64, u64)]| {
            entry.with_content(&Version::from_pairs(content.iter().map(|&(id, n)| (StateId(id), n))))
        };
        // Each side's bytes include an edit that the other's do not, and each version one that neither's bytes include.
        let local = of(file("x", &[(1, 5), (4, 1)], 1, 30), &[(1, 5)]);
        let remote = of(file("y", &[(1, 4), (2, 5), (3, 2)], 0, 10), &[(1, 4), (2, 5)]);
        let bytes = (Digest::of(b"xy"), 2);

        let here = merged(&local, &remote, None, bytes, StateId(9), 6);

        assert_eq!(here.content().pairs(), [(StateId(1), 5), (StateId(2), 5), (StateId(9), 6)]);
        let ids = [(1, 5), (2, 5), (3, 2), (4, 1), (9, 6)].map(|(id, number)| (StateId(id), number));
        assert_eq!(here.version.pairs(), ids);
        assert_eq!(here.stamp, Stamp { rank: 1, ms: 31 });
        assert_eq!((here.digest, here.size, here.mtime), (bytes.0, bytes.1, WallTime(30)));
        for side in [&local, &remote] {
            assert_eq!(here.loses(side), None);
            assert_eq!(here.conflict_order(side), Ordering::Greater);
        }
        // A second author comes to the same but for the number of its edit.
        let there = merged(&remote, &local, None, bytes, StateId(9), 6);
        assert_eq!(
            (there.stamp, there.content().clone(), there.version),
            (here.stamp, here.content().clone(), here.version)
        );
    }

    #[test]
    fn a_rollback_names_the_latest_edit_besides_those_already_named() {
        let named = given_up([(StateId(9), 1)].into_iter(), LostBy::Rollback);
        let entry = Entry { given_up: named, ..file("x", &[(1, 5), (2, 7)], 0, 10) };
        let named = rolled_back(&entry, StateId(7)).unwrap();
        assert_eq!((named.edits.pairs(), named.by), (&[(StateId(2), 7), (StateId(9), 1)][..], LostBy::Rollback));
        assert_eq!(rolled_back(&file("x", &[], 0, 10), StateId(7)), None);
        // The latest edit is this node's own, of what edit 5 of node 1 was.
        let named = rolled_back(&entry, StateId(2)).unwrap();
        assert_eq!(named.edits.pairs(), &[(StateId(1), 5), (StateId(2), 7), (StateId(9), 1)]);
    }
}
