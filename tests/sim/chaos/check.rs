//! What must hold at the end.

use std::collections::{BTreeMap, BTreeSet};

use owsync::model::RelPath;
use owsync::node::api::Tree;

use super::Story;
use crate::world::{MachineId, main};

impl Story {
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
