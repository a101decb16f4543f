//! When a node may say that it is in sync, and what its status must name.
//!
//! Judged by what lies on the disks, not by what nodes recorded:
//! - A node says "in sync" with a peer. Then the two trees are equal outside the paths that it counts as left out, unless
//!   something was not detected yet on one of the two disks, or is on its way between the two. One node that says so is
//!   enough, whatever the other says.
//! - At rest, every path at which two connected nodes differ is named in the status of both.

use std::collections::{BTreeMap, BTreeSet};

use owsync::fs::Found;
use owsync::model::{Kind as EntryKind, RelPath};
use owsync::node::Node;
use owsync::node::api::Tree;
use owsync::node::api::status::{PathStatus, Status};
use owsync::reconcile::filter::Filter;

use super::Story;
use crate::disk::SimFs;
use crate::world::{MachineId, main};

/// What a node says of a peer in a share.
struct Said {
    in_sync: bool,
    /// How many paths it counts as left out, and which it names as that.
    left_out: i64,
    named: BTreeSet<String>,
}

impl Story {
    fn node_of(&self, id: MachineId) -> Option<&Node<SimFs>> {
        self.world.machines[id].node.as_ref()
    }

    /// Whether nothing of what lies at a path is unknown to the machine's node.
    fn is_detected(&self, id: MachineId, path: &RelPath) -> bool {
        let Some(node) = self.node_of(id) else { return false };
        let Some(state) = node.state().shares.get(&main()) else { return false };
        let found = self.world.machines[id].disk.user("/share").stat(path);
        match (state.index.get(path), found) {
            // What sleeps is left out, whatever lies there.
            (Some(record), _) if record.sleep.is_some() => true,
            (Some(record), None) => !record.entry.is_live() || record.disk.is_none(),
            (Some(record), Some(Found::Synced(stat))) => {
                let kept = !record.entry.is_live() && stat.kind == EntryKind::Dir;
                let as_recorded = record.disk.is_some_and(|disk| disk.unchanged(&stat)) && !record.young;
                as_recorded && (record.entry.is_live() || kept)
            }
            (Some(_), Some(Found::Special(_))) => false,
            (None, None) => true,
            // Either no scan has seen it, or the node leaves it out and says so.
            (None, Some(_)) => {
                let status = node.state().shares.get(&main());
                status.is_some() && (!self.holds(id, path) || self.skips(id, path))
            }
        }
    }

    /// Whether a machine's filter holds a path.
    fn holds(&self, id: MachineId, path: &RelPath) -> bool {
        let share = &self.world.machines[id].settings.shares[0];
        Filter::new(&share.include, &share.exclude, &[]).holds(path)
    }

    /// Whether a machine's status lists a path, or one above it, as skipped.
    fn skips(&self, id: MachineId, path: &RelPath) -> bool {
        let Some(statuses) = self.statuses.get(&id) else { return false };
        let skipped = statuses.shares.get("main").map(|share| paths_of(&share.skipped)).unwrap_or_default();
        std::iter::once(path.clone()).chain(path.ancestors()).any(|path| skipped.contains(&path.to_text()))
    }

    /// The paths at which two machines differ, as far as one of the two has them in its share.
    fn differences(&self, a: MachineId, b: MachineId) -> Vec<RelPath> {
        let user = |id: MachineId| self.world.machines[id].disk.user("/share");
        if !user(a).exists() || !user(b).exists() {
            return Vec::new();
        }
        let has = |id: MachineId, path: &RelPath| user(id).stat(path).is_some() && self.holds(id, path);
        let all = user(a).differing(&user(b));
        all.into_iter().filter(|path| has(a, path) || has(b, path)).collect()
    }

    /// Whether everything that one machine's node detected has reached the other's.
    fn is_delivered(&self, from: MachineId, to: MachineId) -> bool {
        let (Some(node), Some(other)) = (self.node_of(from), self.node_of(to)) else { return false };
        if self.world.under_way(from) + self.world.under_way(to) > 0 || node.has_undetected() || other.has_undetected()
        {
            return false;
        }
        // A session that only one side still believes in delivers nothing; nor does a share that a user paused, or of which
        // the disk takes neither the database nor the end of a transaction.
        let keeps_to_itself = ["paused", "database", "blocked"];
        node.verdict_with(other.id())
            .is_some_and(|verdict| !verdict.gaps.iter().any(|gap| gap.moving || keeps_to_itself.contains(&gap.code)))
    }

    /// What a status says of a peer in the share that all have; `None` if they do not exchange it.
    fn said_of(&self, status: &Status, of: MachineId) -> Option<Said> {
        let peer = status.peers.get(&format!("m{of}"))?;
        // Where databases are copied, the session under a name may be with another machine.
        let node = self.node_of(of)?.id().to_hex();
        if peer.node.as_ref() != Some(&node) {
            return None;
        }
        let share = peer.shares.get("main")?;
        Some(Said {
            in_sync: share.in_sync,
            left_out: share.left_out.values().sum::<u64>() as i64,
            named: paths_of(&share.left_out_paths),
        })
    }

    /// See the module's text: what holds at any moment.
    pub(super) fn truth(&mut self) -> Result<(), String> {
        let running: Vec<MachineId> = (0..self.machines()).filter(|id| self.node_of(*id).is_some()).collect();
        self.statuses = running.iter().map(|id| (*id, self.world.status(*id))).collect();
        // What is said of a node that two machines show themselves as is said of either.
        let is_one = |id: MachineId| {
            let same = |other: &&MachineId| self.world.node(**other).id() == self.world.node(id).id();
            running.iter().filter(same).count() == 1
        };
        let distinct: BTreeSet<MachineId> = running.iter().copied().filter(|id| is_one(*id)).collect();
        for (a, b) in running.iter().flat_map(|a| running.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b) {
            if !distinct.contains(&a) || !distinct.contains(&b) {
                continue;
            }
            let Some(said) = self.statuses.get(&a).and_then(|status| self.said_of(status, b)) else { continue };
            if !said.in_sync || !self.is_delivered(b, a) || self.world.machines[a].disk.is_hidden("/share") {
                continue;
            }
            if self.world.machines[b].disk.is_hidden("/share") {
                continue;
            }
            // An answer may have taken time, in which things went on.
            let status = self.world.status(a);
            let Some(now) = self.said_of(&status, b) else { continue };
            if !now.in_sync {
                continue;
            }
            self.tally.note("a node says in sync");
            let covered = |path: &RelPath| {
                std::iter::once(path.clone()).chain(path.ancestors()).any(|path| now.named.contains(&path.to_text()))
            };
            let differing = self.differences(a, b);
            let unnamed: Vec<RelPath> = differing
                .into_iter()
                .filter(|path| !covered(path) && self.is_detected(a, path) && self.is_detected(b, path))
                .collect();
            let counted = now.left_out - i64::try_from(now.named.len()).unwrap_or(i64::MAX);
            if i64::try_from(unnamed.len()).unwrap_or(i64::MAX) > counted.max(0) {
                let path = &unnamed[0];
                let record = |id: MachineId| self.world.node(id).state().shares[&main()].index.get(path).cloned();
                return Err(format!(
                    "m{a} says that it is in sync with m{b} ({} left out, named {:?}), and they differ in {path}: {:?} {:?}",
                    now.left_out,
                    now.named,
                    record(a),
                    record(b)
                ));
            }
        }
        Ok(())
    }

    /// See the module's text: what holds at rest.
    pub(super) fn named_at_rest(&mut self) -> Result<(), String> {
        self.statuses = (0..self.machines()).map(|id| (id, self.world.status(id))).collect();
        for (a, b) in (0..self.machines()).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let both = [(a, b), (b, a)];
            if both.iter().any(|(of, with)| self.said_of(&self.statuses[of], *with).is_none()) {
                continue;
            }
            for path in self.differences(a, b) {
                self.tally.note("a difference at rest");
                for id in [a, b] {
                    let named = paths_in(&Tree::from(&self.statuses[&id]));
                    let text = |path: &RelPath| path.to_text();
                    if !std::iter::once(path.clone()).chain(path.ancestors()).any(|path| named.contains(&text(&path))) {
                        return Err(format!(
                            "m{a} and m{b} differ in {path}, and the status of m{id} does not name it"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Every path that is named somewhere in an answer.
fn paths_in(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo = vec![tree];
    while let Some(tree) = todo.pop() {
        match tree {
            Tree::Map(fields) => {
                for (key, value) in fields {
                    match value {
                        Tree::Text(path) if key == "path" => drop(found.insert(path.clone())),
                        value => todo.push(value),
                    }
                }
            }
            Tree::List(list) => todo.extend(list),
            _ => {}
        }
    }
    found
}

/// The paths in a list.
fn paths_of(list: &[PathStatus]) -> BTreeSet<String> {
    list.iter().map(|one| one.path.clone()).collect()
}

/// The statuses of all machines, as they were last asked for.
pub(super) type Statuses = BTreeMap<MachineId, Status>;
