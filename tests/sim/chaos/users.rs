//! What users do, and what must be remembered of it.

use std::collections::{BTreeMap, BTreeSet};

use owsync::model::RelPath;

use super::{Story, text};
use crate::world::{MachineId, main, path};

impl Story {
    pub(super) fn name(&mut self) -> RelPath {
        if !self.names.is_empty() && self.dice.chance(15) {
            return self.dice.pick(&self.names).clone();
        }
        let name = *self.dice.pick(&[
            "dhcp",
            "firewall",
            "network",
            "d/a",
            "d/b",
            "d/e/f",
            "vpn",
            "a b\n",
            "caf\u{e9}",
            "vpn/key",
            "d",
        ]);
        path(name)
    }

    pub(super) fn content(&mut self, id: MachineId) -> String {
        self.count += 1;
        let size = if self.dice.chance(6) {
            100_000 + self.dice.below(900_000) as usize
        } else {
            self.dice.below(200) as usize
        };
        format!("m{id} wrote {} {}", self.count, "x".repeat(size))
    }

    pub(super) fn user_writes(&mut self, id: MachineId, name: &RelPath, content: Vec<u8>) -> bool {
        let user = self.world.user(id);
        // Nobody works in an empty mount point.
        if !user.exists() || self.world.machines[id].disk.is_hidden("/share") {
            return false;
        }
        let old = user.read(name);
        let written = if self.dice.chance(30) && old.is_some() {
            user.write_in_place(name, &content)
        } else {
            user.write(name, &content)
        };
        if !written {
            return false;
        }
        if self.dice.chance(8) {
            // An old backup put back with cp -p, or a file from the future.
            let shift = self.dice.below(4_000_000) as i64 - 2_000_000;
            user.set_mtime(name, self.world.wall(id).plus_ms(shift));
        }
        self.say(id, &format!("writes {name}: {}", text(&content)));
        self.replaced(id, name, old, Some(content));
        self.announce(id, name);
        true
    }

    pub(super) fn say(&self, id: MachineId, what: &str) {
        if self.world.trace {
            println!("{:>9} m{id} USER {what}", self.world.now_ms);
        }
    }

    /// A user who saw `old` put `new` in its place.
    pub(super) fn replaced(&mut self, id: MachineId, name: &RelPath, old: Option<Vec<u8>>, new: Option<Vec<u8>>) {
        if let Some(old) = old.filter(|old| Some(old) != new.as_ref()) {
            if !self.has_past(id) || self.restricted.contains(&id) {
                // A node without a past has no say over what others have, nor has one that offers only some of it.
                self.excused.insert(old);
            } else {
                self.written.insert((name.clone(), old), Some(id));
            }
        }
        if let Some(new) = new {
            self.written.insert((name.clone(), new), None);
        }
    }

    pub(super) fn has_past(&self, id: MachineId) -> bool {
        match &self.world.machines[id].node {
            Some(node) => node.state().shares.get(&main()).is_some_and(|state| state.meta.past),
            None => self.pasts.contains(&id),
        }
    }

    /// What users did on a machine goes with it, as far as nobody else has heard of it: what they replaced may come back.
    pub(super) fn forget_acts(&mut self, id: MachineId) {
        let current: Vec<BTreeMap<RelPath, Vec<u8>>> = (0..self.machines())
            .filter(|other| *other != id)
            .map(|other| self.world.machines[other].disk.user("/share"))
            .filter(|user| user.exists())
            .map(|user| user.files())
            .collect();
        let mine: BTreeSet<Vec<u8>> = self.everything(id).into_iter().collect();
        let only_here = |name: &RelPath, content: &Vec<u8>| {
            mine.contains(content) && !current.iter().any(|files| files.get(name) == Some(content))
        };
        self.written.retain(|(name, content), replaced| replaced.is_some() || !only_here(name, content));
        for ((_, content), replaced) in &mut self.written {
            // Also behind a mount that hides it at this moment.
            if *replaced == Some(id) {
                *replaced = None;
                self.excused.insert(content.clone());
            }
        }
    }

    pub(super) fn announce(&mut self, id: MachineId, name: &RelPath) {
        // What happened inside that call is a user's act, too.
        self.world.announce(id, name);
        self.notice_intrusions(id);
    }

    pub(super) fn notice_intrusions(&mut self, id: MachineId) {
        let intruded = std::mem::take(&mut self.world.machines[id].disk.0.borrow_mut().intruded);
        for (name, old, new) in intruded {
            self.say(id, &format!("intrudes {name}: {}", text(&new)));
            self.replaced(id, &name, old, Some(new));
            self.world.announce(id, &name);
        }
    }

    pub(super) fn user_removes(&mut self, id: MachineId, name: &RelPath) {
        let user = self.world.user(id);
        if !user.exists() || self.world.machines[id].disk.is_hidden("/share") {
            return;
        }
        let below: Vec<RelPath> = user.paths().into_iter().filter(|p| p == name || p.is_below(name)).collect();
        let contents: Vec<(RelPath, Vec<u8>)> =
            below.into_iter().filter_map(|p| user.read(&p).map(|c| (p, c))).collect();
        if user.remove(name) {
            self.say(id, &format!("removes {name}"));
            for (p, old) in contents {
                self.replaced(id, &p, Some(old), None);
            }
            self.announce(id, name);
        }
    }

    /// Contents that exist only on this machine are not owsync's to keep.
    pub(super) fn excuse(&mut self, id: MachineId, mut lost: Vec<Vec<u8>>) {
        let elsewhere: BTreeSet<Vec<u8>> =
            (0..self.machines()).filter(|other| *other != id).flat_map(|other| self.everything(other)).collect();
        lost.retain(|content| !elsewhere.contains(content));
        self.excused.extend(lost);
    }

    /// Every content on a machine: current, staged or in history.
    pub(super) fn everything(&self, id: MachineId) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for root in ["/share", "/state"] {
            let user = self.world.machines[id].disk.user(root);
            if user.exists() {
                all.extend(user.files().into_values());
            }
        }
        all
    }
}
