//! Looking at machines from outside: whether they are in sync, and what lies on their disks.

use std::collections::BTreeMap;
use std::time::Duration;

use owsync::model::RelPath;
use owsync::node::api::Tree;

use super::{MachineId, World};

/// What lies at a path: its mode, and its content.
type Seen = (RelPath, Option<u32>, Option<Vec<u8>>);

impl World {
    /// Whether every running node says that it is in sync.
    pub fn is_in_sync(&mut self) -> bool {
        (0..self.machines.len())
            .filter(|id| self.machines[*id].node.is_some())
            .collect::<Vec<_>>()
            .into_iter()
            .all(|id| self.status(id).get("in_sync") == Some(&Tree::Bool(true)))
    }

    /// Time passes until everybody is in sync.
    pub fn settle(&mut self) {
        // What a user just did is not noticed yet.
        self.run_ms(700);
        let quiet = self.run_until(Duration::from_secs(900), |world| world.is_in_sync());
        if !quiet {
            let states: Vec<String> = (0..self.machines.len())
                .filter(|id| self.machines[*id].node.is_some())
                .collect::<Vec<_>>()
                .into_iter()
                .map(|id| format!("m{id}: {:?}", self.status(id).get("summary")))
                .collect();
            panic!("not in sync after 15 minutes: {states:#?}");
        }
        self.run_ms(700);
    }

    /// The files of every machine's share, which must be equal, with the modes of files.
    pub fn assert_equal(&self) -> BTreeMap<RelPath, Vec<u8>> {
        let view = |id: MachineId| {
            let user = self.machines[id].disk.user("/share");
            let paths: Vec<(RelPath, Option<u32>, Option<Vec<u8>>)> =
                user.paths().into_iter().map(|p| (p.clone(), user.mode(&p), user.read(&p))).collect();
            paths
        };
        let first = view(0);
        for id in 1..self.machines.len() {
            let other = view(id);
            if first != other {
                let show = |v: &[Seen]| {
                    v.iter()
                        .map(|(p, m, c)| {
                            format!(
                                "{p} {:o} {:?}",
                                m.unwrap_or(0),
                                c.as_ref().map(|c| String::from_utf8_lossy(c).into_owned())
                            )
                        })
                        .collect::<Vec<_>>()
                };
                panic!("m0 and m{id} differ:\n{:#?}\n{:#?}", show(&first), show(&other));
            }
        }
        self.machines[0].disk.user("/share").files()
    }

    /// Contents in a machine's history.
    pub fn history(&self, id: MachineId) -> Vec<(RelPath, Vec<u8>, &'static str)> {
        let Some(node) = &self.machines[id].node else { return Vec::new() };
        let state = self.machines[id].disk.user("/state");
        node.history()
            .items()
            .filter_map(|item| {
                let object = node.history().object(item.digest).ok()?;
                state.read(&object).map(|bytes| (item.path.clone(), bytes, item.why.word()))
            })
            .collect()
    }

    pub fn history_holds(&self, id: MachineId, content: &str) -> bool {
        self.history(id).iter().any(|(_, bytes, _)| bytes == content.as_bytes())
    }

    pub fn log_has(&self, id: MachineId, text: &str) -> bool {
        self.machines[id].log.iter().any(|(_, _, line)| line.contains(text))
    }
}
