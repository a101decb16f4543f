//! Two entries, or a handful: what both sides make of them.

use proptest::prelude::*;

use owsync::model::settings::FirstSync;
use owsync::model::{Digest, Entry, GivenUp, Kind, LostBy, Owner, Stamp, StateId, Version, WallTime};
use owsync::reconcile::{FirstContact, Loser, Source, Verdict, edit_stamp, reconcile};

use crate::cluster::{Cluster, NEWEST, file, short, tree, version};

/// The same meeting, seen from the other side.
fn from_there(contact: FirstContact) -> FirstContact {
    FirstContact { settled_here: contact.settled_there, settled_there: contact.settled_here, ..contact }
}

/// A new node that no longer has a path reports nothing about it.
fn no_say(entry: &Entry) -> bool {
    !entry.is_live() && entry.version.is_unversioned()
}

/// What a side has afterwards; `None` when the user must choose.
fn after(local: &Entry, remote: &Entry, contact: FirstContact) -> Option<Entry> {
    match reconcile(Some(local), remote, contact) {
        Verdict::Known => Some(local.clone()),
        Verdict::Agree { entry, .. } => Some(entry),
        Verdict::Ask => None,
    }
}

/// Every contact there is.
fn contacts() -> Vec<FirstContact> {
    let mut all = Vec::new();
    for rule in [FirstSync::Newest, FirstSync::Ask] {
        for settled_here in [false, true] {
            for settled_there in [false, true] {
                all.push(FirstContact { rule, settled_here, settled_there });
            }
        }
    }
    all
}

/// Every entry with two lives of databases, two numbers, two ranks, two times and few contents: also those that no
/// history leads to, because a peer may offer them.
fn small_entries() -> Vec<Entry> {
    let versions: Vec<Version> = (0..9u64)
        .map(|n| version(&[(1, n / 3), (2, n % 3)].into_iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>()))
        .collect();
    let mut all = Vec::new();
    for version in versions {
        let ranks = if version.is_unversioned() { 0..=0 } else { 0..=1u8 };
        for (rank, ms) in ranks.flat_map(|rank| [(rank, 1), (rank, 2)]) {
            let stamp = Stamp { rank, ms };
            for (content, given_up) in vectors(&version) {
                let bare = Entry { given_up, ..Entry::tombstone(version.clone(), stamp).with_content(&content) };
                let file = |text, mode| {
                    let Entry { content, given_up, .. } = bare.clone();
                    Entry { mode, content, given_up, ..file(text, version.clone(), rank, ms) }
                };
                all.extend([file("x", 0o644), file("y", 0o644), file("x", 0o600)]);
                all.push(Entry { kind: Kind::Dir, mode: 0o755, ..bare.clone() });
                all.push(bare);
            }
        }
    }
    all
}

/// What the bytes of an entry of this version may include, with what it may name as given up.
fn vectors(version: &Version) -> Vec<(Version, Option<Box<GivenUp>>)> {
    let one = crate::cluster::version(&[(2, 1)]);
    let given_up = Some(Box::new(GivenUp { edits: one, by: LostBy::Rejection })).filter(|_| !version.is_unversioned());
    let mut contents = vec![version.clone()];
    contents.extend([(1, 2), (2, 2)].map(|only| version.within(&crate::cluster::version(&[only]))));
    contents.dedup();
    let mut all: Vec<_> = contents.into_iter().map(|content| (content, None)).collect();
    all.extend(given_up.map(|given_up| (version.clone(), Some(given_up))));
    all
}

/// The laws of two entries.
fn check_pair(a: &Entry, b: &Entry, contact: FirstContact) {
    let there = from_there(contact);
    let (at_a, at_b) = (reconcile(Some(a), b, contact), reconcile(Some(b), a, there));
    let story = || format!("\n{}\n{}\n{contact:?}\n{at_a:?}\n{at_b:?}", short(a), short(b));
    assert_eq!(at_a == Verdict::Ask, at_b == Verdict::Ask, "both ask, or neither: {}", story());
    for (local, remote, verdict) in [(a, b, &at_a), (b, a, &at_b)] {
        let Verdict::Agree { entry, source, loser, .. } = verdict else { continue };
        match source {
            // Nothing is transferred, so nothing else may result here.
            Source::Here => assert!(entry.same_content(local), "{}", story()),
            Source::There => assert!(entry.same_content(remote), "{}", story()),
        }
        let replaced = *source == Source::There && !local.same_content(remote);
        if replaced && local.is_live() {
            assert!(loser.is_some(), "what is replaced here has a reason: {}", story());
        }
        let (winner, other) = if *source == Source::There { (remote, local) } else { (local, remote) };
        let no_claim = |entry: &Entry| entry.version.is_unversioned() || entry.stamp.rank == 0;
        let fits = match loser {
            None => true,
            // Only the edits that the bytes include say that it was seen.
            Some(Loser::Seen) => winner.content().includes(other.content()) && !local.version.is_unversioned(),
            Some(Loser::FirstContact) => no_claim(local) && (local.version.is_unversioned() || no_claim(remote)),
            Some(Loser::Unseen(_)) => !local.version.is_unversioned() && !remote.version.is_unversioned(),
            // Only a node merges, once this function has named the loser.
            Some(Loser::Merged) => false,
        };
        assert!(fits, "{loser:?} says why: {}", story());
    }
    let (Some(x), Some(y)) = (after(a, b, contact), after(b, a, there)) else { return };
    if no_say(a) && no_say(b) {
        return;
    }
    let both_versionless = a.version.is_unversioned() && b.version.is_unversioned();
    if both_versionless {
        // Only the stamp may take a second exchange: a node that just started has the later one and loses all the same.
        assert!(x.same_fields(&y), "both sides decide alike: {}", story());
        let (x, y) = (after(&x, &y, contact), after(&y, &x, there));
        assert_eq!(x, y, "{}", story());
    } else {
        assert_eq!(x, y, "both sides decide alike: {}", story());
        // Applied on both sides, it is the end of it: also for what is still under way.
        for late in [&x, a, b] {
            match reconcile(Some(&x), late, contact) {
                Verdict::Known => {}
                Verdict::Agree { entry, source: Source::Here, .. } => assert_eq!(entry, x, "{}", story()),
                other => panic!("decided again as {other:?}: {}", story()),
            }
        }
    }
}

#[test]
fn two_sides_decide_alike_and_it_is_the_end_of_it() {
    let entries = small_entries();
    assert!(entries.len() > 400, "{}", entries.len());
    for a in &entries {
        for b in &entries {
            for contact in contacts() {
                check_pair(a, b, contact);
            }
        }
    }
}

#[test]
fn what_is_unknown_here_is_taken_as_it_is() {
    for remote in small_entries() {
        for contact in contacts() {
            let verdict = reconcile(None, &remote, contact);
            if no_say(&remote) {
                assert_eq!(verdict, Verdict::Known);
            } else {
                let taken =
                    Verdict::Agree { entry: remote.clone(), source: Source::There, loser: None, set_back: false };
                assert_eq!(verdict, taken);
            }
        }
    }
}

fn any_version() -> impl Strategy<Value = Version> {
    proptest::collection::vec((1..6u64, 1..4u64), 0..5).prop_map(|pairs| version(&pairs))
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let kinds = prop_oneof![Just(Kind::File), Just(Kind::Dir), Just(Kind::Symlink), Just(Kind::Tombstone)];
    let fields = (0..4u8, 0..2u8, 0..3i64, 0..2u32, proptest::option::of(0..2u8));
    let vectors = (proptest::option::of(any_version()), proptest::option::of(any_version()));
    (kinds, any_version(), 0..2u8, -3..3i64, fields, vectors).prop_map(
        |(kind, version, rank, ms, (content, size, mtime, mode, owner), (included, given_up))| {
            let has_content = matches!(kind, Kind::File | Kind::Symlink);
            let included = included.unwrap_or_else(|| version.clone());
            let entry = Entry {
                kind,
                digest: if has_content { Digest::of(&[content]) } else { Digest::NONE },
                size: if has_content { u64::from(size) } else { 0 },
                mtime: WallTime(if kind == Kind::File { mtime } else { 0 }),
                mode: if matches!(kind, Kind::File | Kind::Dir) { 0o640 + mode } else { 0 },
                owner: owner
                    .filter(|_| kind != Kind::Tombstone)
                    .map(|n| Owner { user: format!("u{n}").into(), group: "g".into() }.into()),
                stamp: Stamp { rank: if version.is_unversioned() { 0 } else { rank }, ms },
                given_up: given_up
                    .filter(|edits| !edits.is_unversioned() && !version.is_unversioned())
                    .map(|edits| Box::new(GivenUp { edits, by: LostBy::Rollback })),
                content: None,
                version,
            };
            entry.with_content(&included)
        },
    )
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn two_sides_decide_alike_whatever_a_peer_offers(a in any_entry(), b in any_entry(), n in 0..8usize) {
        check_pair(&a, &b, contacts()[n]);
    }

    #[test]
    fn one_side_unchanged_means_exactly_the_others_change(
        base in any_entry(), made in any_entry(), id in 1..9u64, n in 0..8usize, skew in -1000..1000i64,
    ) {
        // Given one entry on both sides, and an edit of it on one.
        let number = base.version.pairs().iter().map(|&(_, number)| number).max().unwrap_or(0) + 1;
        let stamp = edit_stamp(1, WallTime(skew), WallTime(skew), Some(base.stamp));
        let edit = Entry { stamp, ..made }.edited(Some(&base), StateId(id), number);
        // When the sides hear of each other.
        let contact = contacts()[n];
        let taken = reconcile(Some(&base), &edit, contact);
        // Then it is applied as it is, whatever clocks and contents are, and nothing is rolled back.
        prop_assert_eq!(reconcile(Some(&edit), &base, contact), Verdict::Known);
        let Verdict::Agree { entry, loser, set_back, .. } = taken else {
            return Err(TestCaseError::fail(format!("{taken:?}")));
        };
        prop_assert_eq!(entry, edit);
        prop_assert!(!set_back && !matches!(loser, Some(Loser::Unseen(_))));
    }
}

#[test]
fn three_users_who_never_met_agree_on_the_latest() {
    // Given three nodes that share a file, and a user on each who edits it at once, with clocks that all differ.
    let mut cluster = Cluster::with_past(&[0, -40_000, 90_000]);
    cluster.write(0, "dhcp", "base");
    cluster.settle(&[(0, 1), (1, 2)]).unwrap();
    cluster.write(0, "dhcp", "x");
    cluster.write(1, "dhcp", "y");
    cluster.write(2, "dhcp", "z");
    cluster.write(1, "firewall", "b");
    // When they meet as a chain.
    cluster.settle(&[(0, 1), (1, 2)]).unwrap();
    // Then all have the one with the greatest stamp, and the others are in a history.
    cluster.check().unwrap();
    assert_eq!(cluster.tree(0), tree! { "dhcp" => "z", "firewall" => "b" });
    for (node, loser) in [(1, "y"), (0, "x")] {
        let kept = cluster.nodes.iter().any(|node| node.history.contains(&Digest::of(loser.as_bytes())));
        assert!(kept, "{loser} of node {node}");
    }
}

#[test]
fn a_reset_node_takes_what_the_cluster_has() {
    // Given a reference with a week-old file, and a node that was reset and has a new one.
    let mut cluster = Cluster::fresh(&[0, 0, 0]);
    cluster.write_aged(0, "dhcp", "production", 7 * 86_400_000);
    cluster.init(0);
    cluster.write(1, "dhcp", "factory default");
    cluster.write(2, "dhcp", "another default");
    // When the two resets meet first.
    cluster.meet(1, 2);
    cluster.settle(&[(0, 1), (1, 2)]).unwrap();
    // Then production stands, and the defaults are in a history.
    cluster.check().unwrap();
    assert_eq!(cluster.tree(2), tree! { "dhcp" => "production" });
}

#[test]
fn contact_is_only_asked_about_where_nobody_has_a_claim() {
    let ask = FirstContact { rule: FirstSync::Ask, ..NEWEST };
    for a in small_entries() {
        for b in small_entries() {
            let claim = a.stamp.rank > 0 || b.stamp.rank > 0 || a.version.shares_an_id_with(&b.version);
            let both_versionless = a.version.is_unversioned() && b.version.is_unversioned();
            if claim && !both_versionless {
                assert_ne!(reconcile(Some(&a), &b, ask), Verdict::Ask, "{a:#?} {b:#?}");
            }
        }
    }
}
