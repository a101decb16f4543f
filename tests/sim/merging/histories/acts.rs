//! What users and accidents do.

use std::collections::BTreeSet;

use owsync::model::RelPath;

use super::kinds::{Kind, PATTERNS, covers};
use super::package::{Line, MINE, OWN, Package, Section};
use super::{History, PACKAGE, Secret, Written};
use crate::world::{MachineId, path};

impl History {
    pub(super) fn step(&mut self) {
        let count = self.world.machines.len() as u64;
        let (a, b) = (self.dice.below(count) as usize, self.dice.below(count) as usize);
        match self.dice.below(100) {
            0..42 => self.edit(a),
            42..48 => self.write_own(a),
            48..60 if a != b => self.world.set_cut(a, b, true),
            60..70 if a != b => self.world.set_cut(a, b, false),
            70..74 if self.runs(a) => self.world.stop(a),
            74..76 if self.runs(a) => self.world.kill(a),
            76..78 if self.has(Kind::Power) && self.runs(a) => self.world.lose_power(a),
            78..86 if !self.runs(a) && self.sleeper != Some(a) => self.world.start(a),
            86..90 if self.has(Kind::Trials) => {
                let programs = &mut self.world.machines[a].programs;
                programs.is_broken = !programs.is_broken;
            }
            90..92 if self.has(Kind::Restored) => self.restore_database(a),
            92..93 if self.has(Kind::Lost) => self.lose_database(a),
            93..95 if self.has(Kind::Local) && !self.has(Kind::Restored) && !self.has(Kind::Lost) => {
                self.add_pattern(a);
            }
            _ => {}
        }
        let most = *self.dice.pick(&[200, 2_000, 20_000, 90_000]);
        let time = self.dice.below(most);
        self.world.run_ms(time);
    }

    fn runs(&self, id: MachineId) -> bool {
        self.world.machines[id].node.is_some()
    }

    fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// A value that no other is equal to.
    fn value(&mut self) -> String {
        self.next += 1;
        format!("v{}", self.next)
    }

    /// A user changes a few things in the package.
    fn edit(&mut self, id: MachineId) {
        if self.receiver == Some(id) {
            return;
        }
        let Some(text) = self.world.read(id, PACKAGE) else { return };
        let before = Package::of(&text);
        let mut package = before.clone();
        for _ in 0..1 + self.dice.below(2) {
            self.change(&mut package);
        }
        let (had, has) = (before.values(), package.values());
        for gone in had.difference(&has) {
            self.written.remove(*gone);
        }
        for section in &package.0 {
            for value in Package(vec![section.clone()]).values().into_iter().filter(|value| !had.contains(value)) {
                let written = Written { at: self.world.now_ms, by: id, section: section.reported() };
                self.written.insert(value.into(), written);
            }
        }
        let labels: BTreeSet<String> = package.0.iter().map(Section::label).collect();
        self.secrets.retain(|(machine, label), _| *machine != id || labels.contains(label));
        self.shapes.borrow_mut().insert(package.shared());
        if self.is_shown {
            println!("{} m{id} writes {:?}", self.world.now_ms, has.difference(&had));
        }
        self.world.write(id, PACKAGE, &package.text());
    }

    fn change(&mut self, package: &mut Package) {
        let sections = &mut package.0;
        let of_kind = |kind: &str, sections: &[Section]| -> Vec<usize> {
            (0..sections.len()).filter(|at| sections[*at].kind == kind && sections[*at].name.is_none()).collect()
        };
        let value = self.value();
        match self.dice.below(20) {
            0..10 => {
                let named: Vec<usize> = (0..sections.len())
                    .filter(|at| sections[*at].kind == "dhcp" && sections[*at].name.as_deref() != Some(MINE))
                    .collect();
                let at = *self.dice.pick(&named);
                sections[at].set(self.dice.pick::<&str>(&["start", "limit", "leasetime"]), &value);
            }
            10..12 => {
                let hosts = of_kind("host", sections);
                if !hosts.is_empty() {
                    sections[*self.dice.pick(&hosts)].set(self.dice.pick::<&str>(&["mac", "ip"]), &value);
                }
            }
            12..14 => {
                let (mac, ip) = (self.value(), self.value());
                sections.push(Section::new("host", None, &[("name", &value), ("mac", &mac), ("ip", &ip)]));
            }
            14 => {
                let kind = *self.dice.pick(&["host", "route"]);
                let all = of_kind(kind, sections);
                if !all.is_empty() {
                    sections.remove(*self.dice.pick(&all));
                }
            }
            15 => {
                let (gateway, metric) = (self.value(), self.value());
                let route = [("target", &value[..]), ("gateway", &gateway), ("metric", &metric)];
                sections.push(Section::new("route", None, &route));
            }
            16 => {
                let routes = of_kind("route", sections);
                if !routes.is_empty() {
                    sections[*self.dice.pick(&routes)].set(self.dice.pick::<&str>(&["gateway", "metric"]), &value);
                }
            }
            17 => {
                let hosts = of_kind("host", sections);
                if let [first, .., last] = hosts[..] {
                    sections.swap(first, last);
                }
            }
            _ => {
                let Some(dnsmasq) = sections.iter_mut().find(|section| section.kind == "dnsmasq") else { return };
                match self.dice.below(3) {
                    0 => dnsmasq.set("domain", &value),
                    1 => dnsmasq.lines.push(Line::Item("server".into(), value)),
                    _ => {
                        let item = dnsmasq.lines.iter().rposition(|line| matches!(line, Line::Item(..)));
                        item.map(|at| dnsmasq.lines.remove(at));
                    }
                }
            }
        }
    }

    /// A user gives an option that belongs to this router a value, if there is one.
    fn write_own(&mut self, id: MachineId) {
        let Some(text) = self.world.read(id, PACKAGE) else { return };
        let mut package = Package::of(&text);
        let patterns = self.world.share_settings(id).local.clone();
        let form = self.form(id);
        if patterns.iter().any(|pattern| pattern == "dhcp.mine") && self.dice.chance(30) {
            let value = self.secret(id);
            let known = package.0.iter_mut().find(|section| section.name.as_deref() == Some(MINE));
            match known {
                Some(section) => section.set(OWN, &value),
                None => package.0.insert(1, Section::new("dhcp", Some(MINE), &[(OWN, &value)])),
            }
            self.secrets.insert((id, format!("dhcp {MINE}")), Secret { value, at: self.world.now_ms });
        } else {
            let is_local = |section: &Section| {
                let (name, host) = (section.name.as_deref(), section.option("name"));
                let marked = form.iter().flat_map(|form| &form.0).filter(|one| one.label() == section.label());
                patterns.iter().any(|pattern| covers(pattern, &section.kind, name, host))
                    || marked.into_iter().any(|one| one.is_local(OWN))
            };
            let local: Vec<usize> =
                (0..package.0.len()).filter(|at| package.0[*at].kind != "route" && is_local(&package.0[*at])).collect();
            if local.is_empty() {
                return;
            }
            let at = *self.dice.pick(&local);
            let value = self.secret(id);
            package.0[at].set(OWN, &value);
            self.secrets.insert((id, package.0[at].label()), Secret { value, at: self.world.now_ms });
        }
        self.world.write(id, PACKAGE, &package.text());
    }

    fn secret(&mut self, id: MachineId) -> String {
        self.next += 1;
        let secret = format!("secret-{}-of-m{id}", self.next);
        self.all_secrets.push((id, secret.clone()));
        secret
    }

    /// The shared form that a machine's node has.
    pub(super) fn form(&self, id: MachineId) -> Option<Package> {
        let node = self.world.machines[id].node.as_ref()?;
        let record = node.state().shares.values().next()?.index.get(&path(PACKAGE))?;
        record.local?;
        let bytes = node.history().content(record.entry.digest).ok()??;
        Some(Package::of(&String::from_utf8_lossy(&bytes)))
    }

    fn add_pattern(&mut self, id: MachineId) {
        if !self.runs(id) {
            return;
        }
        let pattern = self.dice.pick(&PATTERNS).to_string();
        let local = &mut self.world.share_settings(id).local;
        if local.contains(&pattern) {
            return;
        }
        local.push(pattern);
        self.world.reload(id);
    }

    /// A backup of the database is taken, or put back while owsync is not running.
    fn restore_database(&mut self, id: MachineId) {
        let state = self.world.machines[id].disk.user("/state");
        // The shared forms are in the history.
        let whole = self.has(Kind::Local);
        let is_database = |p: &RelPath| whole || [&b"owsync.db"[..], b"owsync.db-journal"].contains(&p.as_bytes());
        match self.backups.remove(&id) {
            None => {
                let files: Vec<(RelPath, Vec<u8>)> =
                    state.files().into_iter().filter(|(p, _)| is_database(p)).collect();
                self.backups.insert(id, files);
            }
            Some(files) => {
                if self.runs(id) {
                    self.world.stop(id);
                }
                self.remove_database(id);
                for (p, _) in state.files().into_iter().filter(|(p, _)| is_database(p)) {
                    state.remove(&p);
                }
                for (p, bytes) in files {
                    state.write(&p, &bytes);
                }
            }
        }
    }

    fn lose_database(&mut self, id: MachineId) {
        if self.lost.is_some() || self.receiver == Some(id) {
            return;
        }
        if self.runs(id) {
            self.world.stop(id);
        }
        self.remove_database(id);
        self.lost = Some(id);
    }

    fn remove_database(&mut self, id: MachineId) {
        let state = self.world.machines[id].disk.user("/state");
        for name in ["owsync.db", "owsync.db-journal"] {
            state.remove(&path(name));
        }
    }
}
