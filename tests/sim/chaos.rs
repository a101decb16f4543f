//! Random histories, and what must hold when it is quiet again.
//!
//! 3 to 7 machines in a mesh, star, chain or ring; users who create, edit, delete, rename and chmod, also the same file on
//! two machines at once and between two of owsync's own operations; cables that delay, split, stall and break; machines
//! that are killed, lose power, are stopped, reset, or get an old database back; clocks that are wrong and jump; disks
//! that fill, fail and vanish. Then everything is mended, a person approves whatever is held, and when it is quiet:
//! - all shares are equal, modes included, and every node says that it is in sync;
//! - every content that a user wrote is current, or was replaced by a user who had seen it, or is in a history;
//! - nothing that a user deleted or replaced is current;
//! - no temporary file is left, and nothing is owed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use owsync::model::settings::FirstSync;
use owsync::model::{Reason, RelPath};
use owsync::node::api::{Command, Pick, Tree};

use super::Dice;
use super::disk::{Fault, Intrusion};
use super::world::{MachineId, World, main, path};

/// Seeds that CI runs; `OWSYNC_SIM_SEEDS` changes it, `OWSYNC_SIM_SEED` runs one with its trace.
const SEEDS: u64 = 2_000;

#[test]
fn random_histories_end_equal_and_lose_nothing() {
    if let Some(seed) = number("OWSYNC_SIM_SEED") {
        let outcome = Story::tell(seed, None, true);
        println!("digest {:016x}", outcome.expect("the story must hold").0);
        return;
    }
    let first = number("OWSYNC_SIM_FIRST").unwrap_or(0);
    let seeds = number("OWSYNC_SIM_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let failures: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut failures = Vec::new();
                    for seed in (first..first + seeds).filter(|seed| seed % threads == thread) {
                        if let Err(why) = tell_safely(seed) {
                            failures.push(format!("seed {seed}: {why}"));
                        }
                    }
                    failures
                })
            })
            .collect();
        runs.into_iter().flat_map(|run| run.join().expect("a thread of seeds")).collect()
    });
    println!("{seeds} histories, {} failed", failures.len());
    for failure in failures.iter().take(40) {
        println!("{failure}");
    }
    assert!(failures.is_empty(), "{} of {seeds} seeds failed, the first: {}", failures.len(), failures[0]);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 17, 40] {
        assert_eq!(Story::tell(seed, None, false).unwrap(), Story::tell(seed, None, false).unwrap(), "seed {seed}");
    }
}

#[test]
fn fifty_machines_converge() {
    Story::tell(50, Some(50), false).unwrap();
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn tell_safely(seed: u64) -> Result<(u64, u64), String> {
    let told = std::panic::catch_unwind(|| Story::tell(seed, None, false));
    told.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()))
            .unwrap_or_default();
        Err(format!("panic: {}", text.lines().take(6).collect::<Vec<_>>().join(" | ")))
    })
}

/// What happens in one seed, and what users did.
struct Story {
    world: World,
    dice: Dice,
    count: u64,
    /// Every content a user wrote, by path: on which machine a user who saw it replaced or deleted it, if one did.
    written: BTreeMap<(RelPath, Vec<u8>), Option<MachineId>>,
    /// Contents that went with a machine, or with a user's own destruction.
    excused: BTreeSet<Vec<u8>>,
    backups: BTreeMap<MachineId, Vec<(RelPath, Vec<u8>)>>,
    down: BTreeMap<MachineId, u64>,
    /// Machines that had a past when they were last seen running.
    pasts: BTreeSet<MachineId>,
    /// What may happen in this story besides users at work.
    crashes: bool,
    faults: bool,
    clocks: bool,
    resets: bool,
    holds: bool,
    intrusions: bool,
}

impl Story {
    fn tell(seed: u64, machines: Option<usize>, trace: bool) -> Result<(u64, u64), String> {
        let mut dice = Dice::new(seed ^ 0xfeed);
        let count = machines.unwrap_or(3 + dice.below(5) as usize);
        let mut world = World::new(seed, count);
        world.trace = trace;
        world.slowest = 1 + dice.below(80);
        match dice.below(if machines.is_some() { 3 } else { 4 }) {
            0 => (1..count).for_each(|id| world.pair(0, id)),
            1 => (1..count).for_each(|id| world.pair(id - 1, id)),
            2 => (0..count).for_each(|id| world.pair(id, (id + 1) % count)),
            _ => world.mesh(),
        }
        if dice.chance(30) {
            world.ask();
        }
        if dice.chance(15) && cfg!(feature = "encryption") {
            world.encrypt();
        }
        if dice.chance(20) {
            world.set_all(|settings| settings.settle = Duration::from_millis(50));
        }
        let mut story = Story {
            world,
            count: 0,
            written: BTreeMap::new(),
            excused: BTreeSet::new(),
            backups: BTreeMap::new(),
            down: BTreeMap::new(),
            pasts: BTreeSet::new(),
            crashes: dice.chance(50),
            faults: dice.chance(35),
            clocks: dice.chance(30),
            resets: dice.chance(20),
            holds: dice.chance(30),
            intrusions: dice.chance(30),
            dice,
        };
        for id in 0..count {
            story.world.machines[id].inotify = !story.dice.chance(15);
            story.world.machines[id].disk.0.borrow_mut().no_exchange = story.dice.chance(10);
        }
        story.begin();
        let acts = if machines.is_some() { 60 } else { 30 + story.dice.below(40) };
        for _ in 0..acts {
            story.act();
        }
        story.mend();
        story.check()?;
        Ok((story.world.digest, story.world.steps))
    }

    fn machines(&self) -> usize {
        self.world.machines.len()
    }

    /// Some machines have files before they ever met.
    fn begin(&mut self) {
        for id in 0..self.machines() {
            if self.dice.chance(60) {
                for _ in 0..self.dice.below(6) {
                    let name = self.name();
                    let shared = self.dice.chance(30);
                    let content = if shared { format!("the same {name}") } else { self.content(id) };
                    if shared {
                        // Written on several machines, so nobody who replaces it on one has seen all of them.
                        self.excused.insert(content.clone().into_bytes());
                    }
                    self.user_writes(id, &name, content.into_bytes());
                }
            }
        }
        for id in 0..self.machines() {
            if self.dice.chance(85) {
                self.world.start(id);
            } else {
                self.down.insert(id, 0);
            }
        }
        if self.dice.chance(40) && self.world.machines[0].node.is_some() {
            self.world.run_ms(50);
            if self.world.machines[0].node.is_some() {
                self.world.command(0, Command::Init);
            }
        }
    }

    fn name(&mut self) -> RelPath {
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

    fn content(&mut self, id: MachineId) -> String {
        self.count += 1;
        let size = if self.dice.chance(6) {
            100_000 + self.dice.below(900_000) as usize
        } else {
            self.dice.below(200) as usize
        };
        format!("m{id} wrote {} {}", self.count, "x".repeat(size))
    }

    fn user_writes(&mut self, id: MachineId, name: &RelPath, content: Vec<u8>) {
        let user = self.world.user(id);
        // Nobody works in an empty mount point.
        if !user.exists() || self.world.machines[id].disk.is_hidden("/share") {
            return;
        }
        let old = user.read(name);
        let written = if self.dice.chance(30) && old.is_some() {
            user.write_in_place(name, &content)
        } else {
            user.write(name, &content)
        };
        if !written {
            return;
        }
        if self.dice.chance(8) {
            // An old backup put back with cp -p, or a file from the future.
            let shift = self.dice.below(4_000_000) as i64 - 2_000_000;
            user.set_mtime(name, self.world.wall(id).plus_ms(shift));
        }
        self.say(id, &format!("writes {name}: {}", text(&content)));
        self.replaced(id, name, old, Some(content));
        self.announce(id, name);
    }

    fn say(&self, id: MachineId, what: &str) {
        if self.world.trace {
            println!("{:>9} m{id} USER {what}", self.world.now_ms);
        }
    }

    /// A user who saw `old` put `new` in its place.
    fn replaced(&mut self, id: MachineId, name: &RelPath, old: Option<Vec<u8>>, new: Option<Vec<u8>>) {
        if let Some(old) = old.filter(|old| Some(old) != new.as_ref()) {
            if !self.has_past(id) {
                // A node without a past has no say over what others have.
                self.excused.insert(old);
            } else {
                self.written.insert((name.clone(), old), Some(id));
            }
        }
        if let Some(new) = new {
            self.written.insert((name.clone(), new), None);
        }
    }

    fn has_past(&self, id: MachineId) -> bool {
        match &self.world.machines[id].node {
            Some(node) => node.state().shares.get(&main()).is_some_and(|state| state.meta.past),
            None => self.pasts.contains(&id),
        }
    }

    /// What users did on a machine goes with it, as far as nobody else has heard of it: what they replaced may come back.
    fn forget_acts(&mut self, id: MachineId) {
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

    fn announce(&mut self, id: MachineId, name: &RelPath) {
        // What happened inside that call is a user's act, too.
        self.world.announce(id, name);
        self.notice_intrusions(id);
    }

    fn notice_intrusions(&mut self, id: MachineId) {
        let intruded = std::mem::take(&mut self.world.machines[id].disk.0.borrow_mut().intruded);
        for (name, old, new) in intruded {
            self.say(id, &format!("intrudes {name}: {}", text(&new)));
            self.replaced(id, &name, old, Some(new));
            self.world.announce(id, &name);
        }
    }

    fn user_removes(&mut self, id: MachineId, name: &RelPath) {
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

    fn run(&mut self, ms: u64) {
        // In steps, so that what happens between owsync's operations is noticed soon.
        let until = self.world.now_ms + ms;
        while self.world.now_ms < until {
            let step = (until - self.world.now_ms).min(250);
            self.world.run_ms(step);
            for id in 0..self.machines() {
                self.notice_intrusions(id);
                if self.world.machines[id].node.is_some() && self.has_past(id) {
                    self.pasts.insert(id);
                }
                // A machine that died in the middle of something comes back later.
                if self.world.machines[id].node.is_none() && !self.down.contains_key(&id) {
                    let at = self.world.now_ms + self.dice.below(10_000);
                    self.down.insert(id, at);
                }
            }
            let back: Vec<MachineId> =
                self.down.iter().filter(|(_, at)| **at > 0 && **at <= self.world.now_ms).map(|(id, _)| *id).collect();
            for id in back {
                self.down.remove(&id);
                self.start(id);
            }
        }
    }

    fn start(&mut self, id: MachineId) {
        if self.world.machines[id].node.is_none() {
            self.world.start(id);
        }
    }

    fn act(&mut self) {
        let wait = match self.dice.below(20) {
            0..=7 => self.dice.below(60),
            8..=16 => self.dice.below(3_000),
            17..=18 => self.dice.below(20_000),
            _ => self.dice.below(150_000),
        };
        self.run(wait);
        let id = self.dice.below(self.machines() as u64) as usize;
        let name = self.name();
        match self.dice.below(100) {
            0..=34 => {
                let content = self.content(id).into_bytes();
                self.user_writes(id, &name, content);
            }
            35..=42 => {
                // The same file on two machines at the same moment.
                let other = self.dice.below(self.machines() as u64) as usize;
                for id in [id, other] {
                    let content = self.content(id).into_bytes();
                    self.user_writes(id, &name, content);
                }
            }
            43..=52 => self.user_removes(id, &name),
            53..=57 => {
                let to = self.name();
                let user = self.world.user(id);
                if user.exists()
                    && user.read(&name).is_some()
                    && to != name
                    && !self.world.machines[id].disk.is_hidden("/share")
                {
                    let (moved, old) = (user.read(&name), user.read(&to));
                    if user.rename(&name, &to) {
                        self.say(id, &format!("renames {name} to {to}"));
                        self.replaced(id, &to, old, moved.clone());
                        self.replaced(id, &name, moved, None);
                        self.announce(id, &name);
                        self.announce(id, &to);
                    }
                }
            }
            58..=62 => {
                let mode = *self.dice.pick(&[0o600, 0o644, 0o755, 0o640]);
                let user = self.world.user(id);
                if user.exists() && user.chmod(&name, mode) {
                    self.say(id, &format!("chmods {name} {mode:o}"));
                    // Whoever changes a file's mode confirms its content: against an edit elsewhere either may win.
                    self.excused.extend(user.read(&name));
                    self.announce(id, &name);
                }
            }
            63..=65 => {
                let user = self.world.user(id);
                if user.exists() && !self.world.machines[id].disk.is_hidden("/share") && user.make_dir(&name) {
                    self.announce(id, &name);
                }
            }
            66..=75 => {
                let other = self.dice.below(self.machines() as u64) as usize;
                if id != other {
                    let cut = self.dice.chance(60);
                    self.world.set_cut(id, other, cut);
                }
            }
            76..=79 => self.world.reset_links(id),
            80..=85 if self.crashes => self.crash(id),
            86..=88 if self.faults => {
                let disk = self.world.machines[id].disk.clone();
                let mut state = disk.0.borrow_mut();
                let at = state.operations + self.dice.below(40);
                let fault = match self.dice.below(3) {
                    0 => Fault::Crash,
                    1 => Fault::Errno(libc::EIO),
                    _ => Fault::Errno(libc::ENOSPC),
                };
                state.faults.insert(at, fault);
            }
            89..=90 if self.faults => {
                let disk = self.world.machines[id].disk.clone();
                let tight = self.dice.chance(50);
                disk.0.borrow_mut().capacity =
                    if tight { 70 * 1024 + self.dice.below(400_000) } else { 64 * 1024 * 1024 };
            }
            91..=92 if self.clocks => {
                self.world.machines[id].skew_ms = match self.dice.below(4) {
                    0 => 0,
                    1 => self.dice.below(100_000) as i64 - 50_000,
                    2 => -(self.dice.below(100 * 86_400_000) as i64),
                    _ => self.dice.below(100 * 86_400_000) as i64,
                };
            }
            93 if self.resets => self.reset(id),
            94 if self.resets => self.restore_database(id),
            95 if self.holds => {
                let gone = self.dice.chance(50);
                if self.world.user(id).exists() && !self.world.machines[id].disk.is_hidden("/share") {
                    if gone {
                        self.world.machines[id].disk.remove_root("/share")
                    } else {
                        self.world.machines[id].disk.unmount("/share")
                    }
                }
            }
            96 if self.holds => self.mount(id),
            97..=99 if self.intrusions => {
                let disk = self.world.machines[id].disk.clone();
                let content = self.content(id).into_bytes();
                let mut state = disk.0.borrow_mut();
                let at = state.operations + self.dice.below(12);
                let by_rename = self.dice.chance(60);
                state.intrusions.insert(at, Intrusion { root: "/share".into(), path: name, bytes: content, by_rename });
            }
            _ => {}
        }
    }

    fn mount(&mut self, id: MachineId) {
        self.world.machines[id].disk.mount("/share");
    }

    fn crash(&mut self, id: MachineId) {
        if self.down.contains_key(&id) || self.world.machines[id].node.is_none() {
            return;
        }
        match self.dice.below(3) {
            0 => self.world.kill(id),
            1 => self.world.lose_power(id),
            _ => self.world.stop(id),
        }
        let at = self.world.now_ms + 1 + self.dice.below(30_000);
        self.down.insert(id, at);
    }

    /// Contents that exist only on this machine are not owsync's to keep.
    fn excuse(&mut self, id: MachineId, mut lost: Vec<Vec<u8>>) {
        let elsewhere: BTreeSet<Vec<u8>> =
            (0..self.machines()).filter(|other| *other != id).flat_map(|other| self.everything(other)).collect();
        lost.retain(|content| !elsewhere.contains(content));
        self.excused.extend(lost);
    }

    /// Every content on a machine: current, staged or in history.
    fn everything(&self, id: MachineId) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for root in ["/share", "/state"] {
            let user = self.world.machines[id].disk.user(root);
            if user.exists() {
                all.extend(user.files().into_values());
            }
        }
        all
    }

    fn reset(&mut self, id: MachineId) {
        self.mount(id);
        let lost = self.everything(id);
        self.excuse(id, lost);
        self.forget_acts(id);
        self.world.factory_reset(id);
        self.pasts.remove(&id);
        self.backups.remove(&id);
        for _ in 0..self.dice.below(4) {
            let name = self.name();
            let content = format!("factory default {} of m{id} {}", name, self.count);
            self.count += 1;
            self.user_writes(id, &name, content.into_bytes());
        }
        self.down.remove(&id);
        self.start(id);
    }

    /// A backup of the database is taken, or put back while owsync is not running.
    fn restore_database(&mut self, id: MachineId) {
        let state = self.world.machines[id].disk.user("/state");
        let database = |p: &RelPath| p.as_bytes() == b"owsync.db" || p.as_bytes() == b"owsync.db-journal";
        match self.backups.remove(&id) {
            None => {
                let files: Vec<(RelPath, Vec<u8>)> = state.files().into_iter().filter(|(p, _)| database(p)).collect();
                if !files.is_empty() {
                    self.backups.insert(id, files);
                }
            }
            Some(files) => {
                if self.world.machines[id].node.is_some() {
                    self.world.stop(id);
                }
                // The database no longer knows what lies on the disk, so whoever replaces it has, for all it knows, seen
                // something older: against an edit elsewhere either may win.
                let seen = self.everything(id);
                self.excused.extend(seen);
                self.forget_acts(id);
                state.remove(&path("owsync.db"));
                state.remove(&path("owsync.db-journal"));
                for (p, bytes) in files {
                    state.write(&p, &bytes);
                }
                self.down.remove(&id);
                self.start(id);
            }
        }
    }

    /// Everything is repaired, and a person approves what is held.
    fn mend(&mut self) {
        self.world.heal_all();
        for id in 0..self.machines() {
            self.mount(id);
            self.world.machines[id].skew_ms = 0;
            let mut state = self.world.machines[id].disk.0.borrow_mut();
            state.capacity = 256 * 1024 * 1024;
            state.faults.clear();
            state.intrusions.clear();
        }
        self.down.clear();
        for _ in 0..40 {
            for id in 0..self.machines() {
                self.world.machines[id].disk.0.borrow_mut().faults.clear();
                self.start(id);
            }
            self.run(30_000);
            for id in 0..self.machines() {
                self.approve(id);
            }
            self.run(5_000);
            if self.world.machines.iter().all(|machine| machine.node.is_some()) && self.world.is_in_sync() {
                // What is quiet stays quiet.
                self.run(70_000);
                if self.world.is_in_sync() && !self.anything_owed() {
                    return;
                }
            }
        }
    }

    fn anything_owed(&self) -> bool {
        self.world.machines.iter().any(|machine| {
            machine.node.as_ref().is_some_and(|node| node.state().shares.values().any(|share| !share.owed.is_empty()))
        })
    }

    fn approve(&mut self, id: MachineId) {
        let Some(node) = &self.world.machines[id].node else { return };
        let Some(state) = node.state().shares.get(&main()) else { return };
        let first_contact = state.owed.values().any(|owed| owed.reason == Reason::FirstContact);
        let held = state.meta.hold.is_some() || state.owed.values().any(|owed| owed.reason.needs_person());
        let sleeping = state.index.iter().any(|(_, record)| record.sleep.is_some());
        if first_contact {
            let pick = *self.dice.pick(&[Pick::Mine, Pick::Theirs, Pick::Newest]);
            self.say(id, &format!("picks {pick:?}"));
            // A person confirms one content and gives up another, of which they may never have seen the successor.
            let open: BTreeSet<RelPath> = state
                .owed
                .iter()
                .filter(|(_, owed)| owed.reason == Reason::FirstContact)
                .map(|((_, path), _)| path.clone())
                .collect();
            let confirmed: Vec<Vec<u8>> = self
                .written
                .keys()
                .filter(|(path, _)| open.contains(path))
                .map(|(_, content)| content.clone())
                .collect();
            self.excused.extend(confirmed);
            self.world.command(id, Command::Approve { share: None, path: None, pick: Some(pick) });
        } else if held || sleeping {
            let reject = self.dice.chance(30) && state_held(self.world.machines[id].node.as_ref().unwrap());
            if reject {
                // What only lies here is given up by a person who was asked.
                let user = self.world.machines[id].disk.user("/share");
                if user.exists() {
                    let lost = user.files().into_values().collect();
                    self.excuse(id, lost);
                    self.forget_acts(id);
                }
                self.say(id, "rejects");
                self.world.command(id, Command::Reject { share: None, path: None });
            } else {
                self.say(id, "approves");
                self.world.command(id, Command::Approve { share: None, path: None, pick: None });
            }
        }
    }

    fn check(&mut self) -> Result<(), String> {
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
            if replaced.is_some() && is_current && !self.excused.contains(content) {
                return Err(format!("{name}: {text:?} is back, although a user who saw it replaced or deleted it"));
            }
            if replaced.is_none() && !is_current && !kept.contains(content) && !self.excused.contains(content) {
                return Err(format!("{name}: {text:?} is lost"));
            }
        }
        Ok(())
    }
}

fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(&content[..content.len().min(24)]).into_owned()
}

fn state_held(node: &owsync::node::Node<super::disk::SimFs>) -> bool {
    node.state().shares.get(&main()).is_some_and(|state| state.meta.hold.is_some())
}

fn short(x: &(Option<u32>, Option<Vec<u8>>, RelPath)) -> String {
    let (mode, content, path) = x;
    format!(
        "{path} {:o} {:?}",
        mode.unwrap_or(0),
        content.as_ref().map(|c| String::from_utf8_lossy(&c[..c.len().min(30)]).into_owned())
    )
}
