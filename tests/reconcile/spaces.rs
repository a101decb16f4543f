//! Whole histories: every one of a few acts, and long generated ones.

use proptest::prelude::*;

use owsync::model::{Entry, RelPath, StateId, Version, limits};
use owsync::reconcile::{Verdict, reconcile};

use crate::cluster::{Cluster, NEWEST, file, path};

/// One thing that can happen.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write(usize),
    /// As `cp -p` of an old backup does.
    WriteOld(usize),
    Remove(usize),
    Chmod(usize),
    /// The first hears the second, and the session breaks.
    Hear(usize, usize),
    /// Both hear each other.
    Meet(usize, usize),
}

/// Does it; whether anything came of it.
fn act(cluster: &mut Cluster, act: Act, name: &str, count: usize) -> bool {
    match act {
        Act::Write(at) => cluster.write(at, name, &format!("content {count}")),
        Act::WriteOld(at) => cluster.write_aged(at, name, &format!("content {count}"), 500_000),
        Act::Remove(at) => return cluster.remove(at, name),
        Act::Chmod(at) => return cluster.chmod(at, name, 0o600 + count as u32 % 2),
        Act::Hear(to, from) => return cluster.hear(to, from),
        Act::Meet(a, b) => return cluster.meet(a, b),
    }
    true
}

/// All orders in which three pairs can meet, and a chain either way.
const ORDERS: [&[(usize, usize)]; 8] = [
    &[(0, 1), (1, 2), (0, 2)],
    &[(0, 1), (0, 2), (1, 2)],
    &[(1, 2), (0, 1), (0, 2)],
    &[(1, 2), (0, 2), (0, 1)],
    &[(0, 2), (0, 1), (1, 2)],
    &[(0, 2), (1, 2), (0, 1)],
    &[(0, 1), (1, 2)],
    &[(1, 2), (0, 1)],
];

/// Walks every history of `depth` acts; acts without effect lead to histories that are walked anyway.
fn walk(cluster: &Cluster, acts: &[Act], depth: usize, told: &mut Vec<Act>, end: &mut impl FnMut(&Cluster, &[Act])) {
    if depth == 0 {
        end(cluster, told);
        return;
    }
    for &next in acts {
        let mut cluster = cluster.clone();
        if act(&mut cluster, next, "p", told.len()) {
            told.push(next);
            walk(&cluster, acts, depth - 1, told, end);
            told.pop();
        }
    }
}

/// Settles a copy of `cluster` in each of `orders`, checks it, and gives back what all came to.
fn outcomes(cluster: &Cluster, orders: &[&[(usize, usize)]], told: &[Act]) -> Vec<Cluster> {
    let settled = |order: &&[(usize, usize)]| {
        let mut cluster = cluster.clone();
        cluster
            .settle(order)
            .and_then(|()| cluster.check())
            .unwrap_or_else(|why| panic!("{told:?} then {order:?}: {why}"));
        cluster
    };
    orders.iter().map(settled).collect()
}

/// What a quiet cluster has come to, the same in whatever order it got there.
fn come_to(cluster: &Cluster) -> Vec<(RelPath, Entry)> {
    let entries = &cluster.nodes[0].entries;
    entries.iter().map(|(path, entry)| (path.clone(), without_lost(entry.clone()))).collect()
}

/// Which edits an entry lists as lost depends on the order of exchanges: a node that receives only a winner never learns
/// what that had beaten before. All nodes of a cluster converge to one list; two orders need not.
fn without_lost(entry: Entry) -> Entry {
    Entry { content: None, given_up: None, ..entry }
}

#[test]
fn every_short_history_of_two_nodes_ends_well() {
    let acts = [
        Act::Write(0),
        Act::Write(1),
        Act::WriteOld(1),
        Act::Remove(0),
        Act::Remove(1),
        Act::Chmod(0),
        Act::Hear(0, 1),
        Act::Hear(1, 0),
    ];
    let mut histories = 0;
    for skew in [-5_000, 0, 5_000] {
        let cluster = Cluster::with_past(&[0, skew]);
        walk(&cluster, &acts, 7, &mut Vec::new(), &mut |cluster, told| {
            histories += 1;
            outcomes(cluster, &[&[(0, 1)]], told);
        });
    }
    assert!(histories > 500_000, "{histories}");
}

#[test]
fn every_short_history_of_three_nodes_ends_alike_in_any_order() {
    let acts = [
        Act::Write(0),
        Act::Write(1),
        Act::Write(2),
        Act::Remove(0),
        Act::Remove(1),
        Act::Hear(0, 1),
        Act::Hear(1, 0),
        Act::Hear(1, 2),
        Act::Hear(2, 1),
        Act::Hear(0, 2),
        Act::Hear(2, 0),
    ];
    let mut histories = 0;
    let cluster = Cluster::with_past(&[0, -5_000, 5_000]);
    walk(&cluster, &acts, 6, &mut Vec::new(), &mut |cluster, told| {
        histories += 1;
        let all = outcomes(cluster, &ORDERS, told);
        for other in &all[1..] {
            assert_eq!(come_to(&all[0]), come_to(other), "{told:?}");
        }
    });
    assert!(histories > 50_000, "{histories}");
}

#[test]
fn every_short_history_of_nodes_without_a_past_ends_well() {
    let acts = [
        Act::Write(0),
        Act::Write(1),
        Act::Write(2),
        Act::Remove(1),
        Act::Hear(0, 1),
        Act::Hear(1, 2),
        Act::Meet(0, 1),
        Act::Meet(1, 2),
        Act::Meet(0, 2),
    ];
    let mut histories = 0;
    for reference in [None, Some(0)] {
        let mut cluster = Cluster::fresh(&[0, -5_000, 5_000]);
        cluster.write(0, "p", "there at first");
        if let Some(at) = reference {
            cluster.init(at);
        }
        walk(&cluster, &acts, 6, &mut Vec::new(), &mut |cluster, told| {
            histories += 1;
            outcomes(cluster, &ORDERS, told);
        });
    }
    assert!(histories > 150_000, "{histories}");
}

fn any_act(nodes: usize) -> impl Strategy<Value = (Act, usize)> {
    let node = 0..nodes;
    let two = (0..nodes, 1..nodes).prop_map(move |(a, step)| (a, (a + step) % nodes));
    let act = prop_oneof![
        4 => node.clone().prop_map(Act::Write),
        1 => node.clone().prop_map(Act::WriteOld),
        2 => node.clone().prop_map(Act::Remove),
        1 => node.prop_map(Act::Chmod),
        5 => two.clone().prop_map(|(a, b)| Act::Hear(a, b)),
        2 => two.prop_map(|(a, b)| Act::Meet(a, b)),
    ];
    (act, 0..3usize)
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() }
}

const NAMES: [&str; 3] = ["dhcp", "etc/hosts", "vpn"];

/// A history of several paths, and some order of pairs in which everybody can hear of everything.
fn tell(mut cluster: Cluster, acts: &[(Act, usize)]) -> Cluster {
    for (count, &(next, name)) in acts.iter().enumerate() {
        act(&mut cluster, next, NAMES[name], count);
    }
    cluster
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_order_of_meetings_converges_to_the_same(
        acts in proptest::collection::vec(any_act(4), 0..60),
        one in Just(all_pairs(4)).prop_shuffle(),
        two in Just(all_pairs(4)).prop_shuffle(),
        skews in proptest::collection::vec(-100_000..100_000i64, 4),
    ) {
        let cluster = tell(Cluster::with_past(&skews), &acts);
        let told: Vec<Act> = acts.iter().map(|(act, _)| *act).collect();
        let all = outcomes(&cluster, &[&one, &two], &told);
        prop_assert_eq!(come_to(&all[0]), come_to(&all[1]), "{:?}", acts);
    }

    #[test]
    fn any_order_of_meetings_of_fresh_nodes_converges(
        acts in proptest::collection::vec(any_act(4), 0..40),
        init in proptest::option::of(0..4usize),
        order in Just(all_pairs(4)).prop_shuffle(),
    ) {
        let mut cluster = Cluster::fresh(&[0, 50, -50, 4_000]);
        if let Some(at) = init {
            cluster.init(at);
        }
        outcomes(&tell(cluster, &acts), &[&order], &[]);
    }

    #[test]
    fn the_order_in_which_a_node_hears_of_things_does_not_matter(
        acts in proptest::collection::vec(any_act(3), 1..40),
        seed in any::<u64>(),
    ) {
        // Given every entry that a history brought forth, also those that were replaced long ago.
        let cluster = tell(Cluster::with_past(&[0, -5_000, 5_000]), &acts);
        let mine = |name: &str| {
            cluster.born.iter().filter(|(p, _)| *p == path(name)).map(|(_, entry)| entry.clone()).collect::<Vec<_>>()
        };
        for name in NAMES {
            // When nodes hear of them in different orders.
            let orders = shuffles(&mine(name), seed);
            let merged = orders.iter().map(|order| {
                order.iter().fold(None, |local: Option<Entry>, next| {
                    match reconcile(local.as_ref(), next, NEWEST) {
                        Verdict::Agree { entry, .. } => Some(entry),
                        Verdict::Known | Verdict::Ask => local,
                    }
                })
            });
            let merged: Vec<_> = merged.map(|entry| entry.map(without_lost)).collect();
            // Then all have the same.
            for other in &merged[1..] {
                prop_assert_eq!(&merged[0], other);
            }
        }
    }
}

fn all_pairs(nodes: usize) -> Vec<(usize, usize)> {
    (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect()
}

/// Some orders of `entries`: as they came, backwards, and a few drawn from `seed`.
fn shuffles<T: Clone>(entries: &[T], seed: u64) -> Vec<Vec<T>> {
    let mut orders = vec![entries.to_vec(), entries.iter().rev().cloned().collect()];
    let mut state = seed;
    for _ in 0..6 {
        let mut order = entries.to_vec();
        for at in (1..order.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(at, (state >> 33) as usize % (at + 1));
        }
        orders.push(order);
    }
    orders
}

/// A version of as many ids as a peer may send, with numbers from `first` on.
fn wide(ids: u64, first: u64) -> Version {
    Version::from_pairs((0..limits::VERSION_IDS_JOINED as u64).map(|n| (StateId(1000 * ids + n), first + n)))
}

/// F100: a join that is longer than what peers accept makes honest peers reject the honest node that made it.
#[test]
fn no_version_grows_beyond_what_every_peer_accepts_and_every_edit_still_counts() {
    let old = 1;
    let (now, future) = (1_000_100, u64::MAX - 100);
    for (one, other) in [(old, old), (old, now), (now, now), (future, old), (future, now), (future, future)] {
        for (pairs, writer) in ORDERS.into_iter().flat_map(|pairs| (0..3).map(move |writer| (pairs, writer))) {
            // Given a file in sync, and two peers that each give one node another content under a full vector,
            let mut cluster = Cluster::with_past(&[0, 0, 0]);
            cluster.write(2, "p", "honest");
            cluster.settle(ORDERS[0]).unwrap();
            for (at, first) in [(0, one), (1, other)] {
                let content = format!("hostile {at}");
                cluster.written.insert(owsync::model::Digest::of(content.as_bytes()), content.clone());
                let stamp = 1_000_050 + at as i64;
                cluster.put(at, path("p"), file(&content, wide(1 + at as u64, first), 1, stamp));
            }
            // when the nodes meet in any order, then they agree,
            let at = format!("{one} {other} {pairs:?} {writer}");
            cluster.settle(pairs).unwrap_or_else(|error| panic!("{at}: {error}"));
            // and what a user writes then is what all have in the end, also twice, and on two nodes at a time,
            for round in 0..3 {
                cluster.write(writer, "p", &format!("edit {round}"));
                if round == 2 {
                    cluster.write((writer + 1) % 3, "p", "edit beside it");
                }
                cluster.settle(pairs).unwrap_or_else(|error| panic!("{at}: {error}"));
                let content = if round == 2 { "edit beside it".to_string() } else { format!("edit {round}") };
                for node in 0..3 {
                    assert_eq!(cluster.tree(node).get("p"), Some(&content), "{at}: {}", cluster.show());
                }
            }
            // under versions that every peer takes.
            let widest = cluster.born.iter().map(|(_, entry)| entry.version.pairs().len()).max();
            assert!(widest <= Some(limits::VERSION_IDS_JOINED), "{at}: {widest:?}");
        }
    }
}
