//! What must hold at the end.

use std::collections::{BTreeMap, BTreeSet};

use owsync::model::settings::Symlinks;
use owsync::model::{Direction, Kind as EntryKind, RelPath};
use owsync::node::api::Tree;

use super::Story;
use crate::world::{MachineId, main};

impl Story {
    /// Two machines that both say that they are in sync with each other, with nothing under way between them, have
    /// recorded the same, but for what one of them leaves out by its settings.
    pub(super) fn truth(&mut self) -> Result<(), String> {
        let says = |status: &Tree, of: MachineId| {
            let peer = status.get("peers").and_then(|peers| peers.get(&format!("m{of}")));
            peer.and_then(|peer| peer.get("in_sync")) == Some(&Tree::Bool(true))
        };
        let running: Vec<MachineId> =
            (0..self.machines()).filter(|id| self.world.machines[*id].node.is_some()).collect();
        let statuses: BTreeMap<MachineId, Tree> = running.iter().map(|id| (*id, self.world.status(*id))).collect();
        for (n, a) in running.iter().copied().enumerate() {
            for b in running[n + 1..].iter().copied() {
                // An answer may have taken time, in which things went on.
                let quiet = self.world.machines[a].node.is_some()
                    && self.world.machines[b].node.is_some()
                    && self.world.under_way(a) + self.world.under_way(b) == 0;
                if !quiet || !says(&statuses[&a], b) || !says(&statuses[&b], a) {
                    continue;
                }
                if !says(&self.world.status(a), b) || !says(&self.world.status(b), a) {
                    continue;
                }
                self.tally.note("two machines in sync");
                if let Some(path) = self.difference(a, b) {
                    let record = |id: MachineId| self.world.node(id).state().shares[&main()].index.get(&path).cloned();
                    return Err(format!(
                        "m{a} and m{b} both say that they are in sync, and differ in {path}: {:?} {:?}",
                        record(a),
                        record(b)
                    ));
                }
            }
        }
        Ok(())
    }

    /// A path that two machines record differently although neither leaves it out.
    fn difference(&self, a: MachineId, b: MachineId) -> Option<RelPath> {
        let settings = |id: MachineId| &self.world.machines[id].settings.shares[0];
        if [a, b].iter().any(|id| settings(*id).direction != Direction::Both) {
            return None;
        }
        let state = |id: MachineId| &self.world.node(id).state().shares[&main()];
        let left_out = |id: MachineId, path: &RelPath| {
            let settings = settings(id);
            let excluded = settings.exclude.iter().any(|pattern| {
                let below = pattern.strip_suffix(b"/**").unwrap_or(pattern);
                let rest = path.as_bytes().strip_prefix(below);
                rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            });
            let record = state(id).index.get(path);
            let sleeps = record.is_some_and(|record| record.sleep.is_some());
            let large = [a, b].iter().any(|other| {
                let size = state(*other).index.get(path).map_or(0, |record| record.entry.size);
                settings.max_file_size > 0 && size > settings.max_file_size
            });
            let waits = state(id).owed.iter().any(|((_, owed), why)| owed == path && why.reason.is_choice());
            let link = settings.symlinks == Symlinks::Ignore
                && [a, b].iter().any(|other| {
                    state(*other).index.get(path).is_some_and(|record| record.entry.kind == EntryKind::Symlink)
                });
            excluded || sleeps || large || waits || link
        };
        let paths: BTreeSet<&RelPath> =
            [a, b].iter().flat_map(|id| state(*id).index.iter().map(|(path, _)| path)).collect();
        let what = |id: MachineId, path: &RelPath| {
            let record = state(id).index.get(path).filter(|record| record.entry.is_live());
            record.map(|record| (record.entry.kind, record.entry.digest, record.entry.mode))
        };
        paths
            .into_iter()
            .find(|path| what(a, path) != what(b, path) && !left_out(a, path) && !left_out(b, path))
            .cloned()
    }

    /// Counts guards that begin to hold something.
    pub(super) fn sample(&mut self) {
        let mut firing = BTreeSet::new();
        for id in 0..self.machines() {
            let Some(node) = &self.world.machines[id].node else { continue };
            let Some(state) = node.state().shares.get(&main()) else { continue };
            firing.extend(state.meta.hold.as_ref().map(|(hold, _)| (id, format!("held: {}", hold.code()))));
            firing.extend(state.owed.values().map(|owed| (id, format!("waits: {}", owed.reason.code()))));
            firing.extend(state.trial.as_ref().map(|_| (id, "unconfirmed".to_string())));
            let asleep = state.index.iter().filter_map(|(_, record)| record.sleep);
            firing.extend(asleep.map(|sleep| (id, format!("sleeps: {sleep:?}"))));
        }
        for (_, what) in firing.difference(&self.firing) {
            self.tally.note(what);
        }
        self.firing = firing;
    }

    pub(super) fn check(&mut self) -> Result<(), String> {
        for id in 0..self.machines() {
            if self.world.machines[id].node.is_none() {
                return Err(format!("m{id} is down"));
            }
            let status = self.world.status(id);
            if status.get("in_sync") != Some(&Tree::Bool(true)) {
                if self.world.trace {
                    for id in 0..self.machines() {
                        let peers = self.world.status(id);
                        println!(
                            "STATUS m{id} {}",
                            format!("{:?}", peers.get("peers"))
                                .replace("Text(", "")
                                .replace("Int(", "")
                                .replace("Map([", "{")
                                .replace("\"", "")
                        );
                    }
                }
                return Err(format!("m{id} is not in sync: {:?}", status.get("summary")));
            }
            let node = self.world.machines[id].node.as_ref().unwrap();
            let state = &node.state().shares[&main()];
            if let Some(((node, path), owed)) = state.owed.iter().next() {
                let there: Vec<String> = self
                    .world
                    .machines
                    .iter()
                    .map(|m| m.node.as_ref().unwrap())
                    .map(|n| {
                        format!(
                            "{}: {:?}",
                            n.id(),
                            n.state().shares[&main()].index.get(path).map(|r| (r.entry.digest, &r.entry.version))
                        )
                    })
                    .collect();
                return Err(format!(
                    "m{id} owes {path}: {} to {node}: {:?} {:?} {there:?}",
                    owed.reason, owed.entry.digest, owed.entry.version
                ));
            }
            if state.landing.is_some() {
                return Err(format!("m{id} is still landing"));
            }
            if let Some(left) = self.world.user(id).paths().into_iter().find(|p| p.as_bytes().starts_with(b".owsync-"))
            {
                let all: Vec<RelPath> =
                    self.world.user(id).paths().into_iter().filter(|p| p.as_bytes().starts_with(b".owsync-")).collect();
                return Err(format!("m{id} left {left} {all:?}"));
            }
        }
        let view = |id: MachineId| {
            let user = self.world.machines[id].disk.user("/share");
            user.paths().into_iter().map(|p| (user.mode(&p), user.read(&p), p)).collect::<Vec<_>>()
        };
        let first = view(0);
        for id in 1..self.machines() {
            let other = view(id);
            if other != first {
                let differing: Vec<String> = first
                    .iter()
                    .filter(|x| !other.contains(x))
                    .map(|x| format!("m0 {}", short(x)))
                    .chain(other.iter().filter(|x| !first.contains(x)).map(|x| format!("m{id} {}", short(x))))
                    .take(6)
                    .collect();
                let odd = first
                    .iter()
                    .find(|x| !other.contains(x))
                    .or(other.iter().find(|x| !first.contains(x)))
                    .map(|x| x.2.clone());
                let record = |id: MachineId| {
                    odd.as_ref().and_then(|path| {
                        self.world.machines[id].node.as_ref().unwrap().state().shares[&main()].index.get(path).cloned()
                    })
                };
                return Err(format!("m0 and m{id} differ: {differing:?} {:?} {:?}", record(0), record(id)));
            }
        }
        let current: BTreeMap<RelPath, Vec<u8>> = self.world.user(0).files();
        let kept: BTreeSet<Vec<u8>> =
            (0..self.machines()).flat_map(|id| self.world.history(id)).map(|(_, bytes, _)| bytes).collect();
        for ((name, content), replaced) in &self.written {
            let is_current = current.get(name) == Some(content);
            let text = String::from_utf8_lossy(&content[..content.len().min(40)]).into_owned();
            // What was not confirmed makes way for what was there before.
            let excused = self.trials || self.excused.contains(content);
            if replaced.is_some() && is_current && !excused {
                return Err(format!("{name}: {text:?} is back, although a user who saw it replaced or deleted it"));
            }
            if replaced.is_none() && !is_current && !kept.contains(content) && !self.excused.contains(content) {
                return Err(format!("{name}: {text:?} is lost"));
            }
        }
        Ok(())
    }
}

fn short(x: &(Option<u32>, Option<Vec<u8>>, RelPath)) -> String {
    let (mode, content, path) = x;
    format!(
        "{path} {:o} {:?}",
        mode.unwrap_or(0),
        content.as_ref().map(|c| String::from_utf8_lossy(&c[..c.len().min(30)]).into_owned())
    )
}
