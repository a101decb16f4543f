//! What must hold when it is quiet.

use super::kinds::Kind;
use super::package::{Line, OWN, Package, Section};
use super::{History, PACKAGE, Written};

impl History {
    /// All files say the same, but for what belongs to one router.
    pub(super) fn assert_equal(&self) {
        let said =
            |id: usize| Package::of(&self.world.read(id, PACKAGE).expect("no user removed the package")).shared();
        let entry = |id: usize| {
            let state = self.world.node(id).state().shares.values().next().unwrap().clone();
            state.index.get(&crate::world::path(PACKAGE)).unwrap().entry.digest
        };
        // A node that sends nothing may have rolled a change back.
        let deviates = |id: &usize| self.receiver == Some(*id) && self.world.share(*id).deviations_count > 0;
        for id in (1..self.world.machines.len()).filter(|id| !deviates(id)) {
            assert_eq!(said(0), said(id), "m0 and m{id} differ");
            assert_eq!(entry(0), entry(id), "m0 and m{id} have different shared forms");
        }
    }

    /// Values that are neither in force nor named by any report.
    pub(super) fn unreported(&self) -> Vec<(&String, &Written)> {
        let package = Package::of(&self.world.read(0, PACKAGE).unwrap());
        let in_force = package.values();
        let gone = self.written.iter().filter(|(value, _)| !in_force.contains(&value[..]));
        gone.filter(|(value, written)| !self.is_reported(value, written)).collect()
    }

    fn is_reported(&self, value: &str, written: &Written) -> bool {
        let quoted = format!("'{value}'");
        let machines = || self.world.machines.iter();
        let lines = || machines().flat_map(|machine| &machine.log).filter(|(at, ..)| *at >= written.at);
        let lines = || lines().map(|(_, _, line)| &line[..]);
        // A merge names the option, or its section.
        let fates = [": kept removed, ", ": kept changed, ", ": kept changed beyond recognition, "];
        let by_merge = |line: &str| {
            let Some((_, lost)) = line.split_once("not in force from here: ") else { return false };
            lost.contains(&quoted) || (lost.contains(&written.section) && fates.iter().any(|fate| lost.contains(fate)))
        };
        if lines().any(by_merge) {
            return true;
        }
        let kept = |why: Option<&str>| {
            let ids = 0..self.world.machines.len();
            let mut items = ids.flat_map(|id| self.world.history(id));
            items.any(|(_, bytes, of)| {
                why.is_none_or(|why| of == why) && String::from_utf8_lossy(&bytes).contains(&quoted)
            })
        };
        // The package as a whole was replaced, rolled back or rejected.
        let of_package = |line: &str| {
            let conflict = line.contains(&format!("conflict: {PACKAGE} "));
            // Of a database that was lost no node knows any more which edits were its.
            let orphaned = self.lost.is_some() && line.contains("was changed on two nodes before they saw each other");
            conflict
                || orphaned
                || line.contains("is rolled back: ")
                || line.contains(&format!("{PACKAGE} was rolled back by"))
        };
        // A backup has an old history.
        let forgets = self.kinds.contains(&Kind::Pruned) || self.kinds.contains(&Kind::Restored);
        let whole = lines().any(of_package) && (forgets || kept(None));
        // A node without a database starts again: what it had is in its history.
        let first = || self.lost.is_some() && kept(Some("first contact"));
        whole || first()
    }

    /// Values of one router that are in a message, or on another router's disk.
    pub(super) fn assert_secret(&self) {
        for (owner, secret) in &self.all_secrets {
            let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            for (_, from, bytes) in self.world.tape.iter().flatten() {
                assert!(!holds(bytes), "m{from} sent {secret}");
            }
            for other in (0..self.world.machines.len()).filter(|other| other != owner) {
                for root in ["/share", "/state"] {
                    for (path, bytes) in self.world.machines[other].disk.snapshot(root) {
                        assert!(!holds(&bytes), "m{other} has {secret} in {root}/{path}");
                    }
                }
            }
        }
    }

    /// Every router has the values that its user gave it, unless their section is gone, with a report.
    pub(super) fn assert_own(&self) {
        for ((id, label), secret) in &self.secrets {
            let package = Package::of(&self.world.read(*id, PACKAGE).unwrap());
            let line = Line::Option(OWN.into(), secret.value.clone());
            let is_it = |section: &&Section| section.label() == *label;
            // The only host there was and the only host there is are one, for all that can be known.
            let is_renamed = |section: &&Section| label.starts_with("host ") && section.kind == "host";
            let mut sections = package.0.iter().filter(|section| is_it(section) || is_renamed(section));
            let has = sections.any(|section| section.lines.contains(&line));
            let log = &self.world.machines[*id].log;
            let mut reports = log.iter().filter(|(at, ..)| *at >= secret.at);
            let dropped = reports.any(|(_, _, line)| line.contains("have no place in the applied version"));
            assert!(has || dropped, "m{id} has not {} in {label}: {package:?}", secret.value);
        }
    }
}
