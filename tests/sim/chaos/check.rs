//! What must hold at the end.

use std::collections::{BTreeMap, BTreeSet};

use owsync::model::RelPath;
use owsync::reconcile::filter::covers;

use super::Story;
use crate::world::{MachineId, main};

impl Story {
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

    /// Whether a machine may leave a path out for good, by a setting that it has from the first day to the last. What another
    /// content of the same path was too large for may differ as well.
    fn is_left_out(&self, path: &RelPath, content: Option<&[u8]>) -> bool {
        self.lasting.values().any(|one| {
            let excluded = one.exclude.iter().any(|pattern| covers(pattern, path));
            let large = |max: u64| {
                // A file that is too large also keeps away what is in a directory of its name elsewhere.
                let at_or_above = || std::iter::once(path.clone()).chain(path.ancestors());
                let of = |id: MachineId| at_or_above().filter_map(move |path| self.size_at(id, &path));
                let sizes = (0..self.machines()).flat_map(of);
                sizes.chain(content.map(|content| content.len() as u64)).any(|size| size > max)
            };
            excluded || one.max.is_some_and(large)
        })
    }

    /// Whether a directory stays on some machine, deleted or not, because it has something in it that is left out.
    fn is_kept_somewhere(&self, dir: &RelPath) -> bool {
        let keeps = |id: MachineId| {
            let user = self.world.machines[id].disk.user("/share");
            let below = user.paths().into_iter().filter(|path| path.is_below(dir));
            below.into_iter().any(|path| self.is_left_out(&path, user.read(&path).as_deref()))
        };
        !self.lasting.is_empty() && (0..self.machines()).any(keeps)
    }

    fn size_at(&self, id: MachineId, path: &RelPath) -> Option<u64> {
        let content = self.world.machines[id].disk.user("/share").read(path)?;
        Some(content.len() as u64)
    }

    /// Whether a path may be pending for this reason at the end.
    pub(super) fn may_stay(&self, reason: &owsync::model::Reason) -> bool {
        !self.lasting.is_empty() && reason.is_choice()
    }

    /// What lies at paths that some machine leaves out for good.
    fn left_out_files(&self) -> BTreeMap<RelPath, BTreeSet<Vec<u8>>> {
        let mut all: BTreeMap<RelPath, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for id in 0..self.machines() {
            for (path, content) in self.world.machines[id].disk.user("/share").files() {
                if self.is_left_out(&path, Some(&content)) {
                    all.entry(path).or_default().insert(content);
                }
            }
        }
        all
    }

    pub(super) fn check(&mut self) -> Result<(), String> {
        for id in 0..self.machines() {
            if self.world.machines[id].node.is_none() {
                return Err(format!("m{id} is down"));
            }
            let status = self.world.status(id);
            if !status.in_sync {
                if self.world.trace {
                    for id in 0..self.machines() {
                        println!("STATUS m{id} {:?}", self.world.status(id).peers);
                    }
                }
                return Err(format!("m{id} is not in sync: {:?}", status.summary));
            }
            let node = self.world.machines[id].node.as_ref().unwrap();
            let state = &node.state().shares[&main()];
            if let Some(((node, path), owed)) = state.owed.iter().find(|(_, owed)| !self.may_stay(&owed.reason)) {
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
        self.named_at_rest()?;
        if self.has_extra {
            let user = |id: MachineId| self.world.machines[id].disk.user("/extra");
            if let Some(path) = user(0).differing(&user(1)).first() {
                return Err(format!("m0 and m1 differ in {path} of the share that only they have"));
            }
        }
        let view = |id: MachineId| {
            let user = self.world.machines[id].disk.user("/share");
            let all = user.paths().into_iter().map(|p| (user.mode(&p), user.read(&p), p));
            all.filter(|(_, content, path)| !self.is_left_out(path, content.as_deref()))
                .filter(|(_, content, path)| content.is_some() || !self.is_kept_somewhere(path))
                .collect::<Vec<_>>()
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
        let left_out: BTreeMap<RelPath, BTreeSet<Vec<u8>>> = self.left_out_files();
        let kept: BTreeSet<Vec<u8>> =
            (0..self.machines()).flat_map(|id| self.world.history(id)).map(|(_, bytes, _)| bytes).collect();
        for ((name, content), replaced) in &self.written {
            let is_current = current.get(name) == Some(content);
            let text = String::from_utf8_lossy(&content[..content.len().min(40)]).into_owned();
            // What was not confirmed makes way for what was there before.
            let excused = self.trials || self.excused.contains(content) || self.is_left_out(name, Some(content));
            if replaced.is_some() && is_current && !excused {
                return Err(format!("{name}: {text:?} is back, although a user who saw it replaced or deleted it"));
            }
            let is_current = is_current || left_out.get(name).is_some_and(|there| there.contains(content));
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
