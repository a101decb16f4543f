//! Random histories, and what must hold when it is quiet again.
//!
//! 3 to 7 machines in a mesh, star, chain or ring; users who create, edit, delete, rename and chmod, also the same file on
//! two machines at once and between two of owsync's own operations; cables that delay, split, stall and break; machines
//! that are killed, lose power, are stopped, reset, or get an old database back; clocks that are wrong and jump; disks
//! that fill, fail and vanish. Then everything is mended, a person approves whatever is held, and when it is quiet:
//! - all shares are equal, modes included, but for what a setting leaves out for good; every node says that it is in sync,
//!   and names what is left out ([`oracle`]);
//! - every content that a user wrote is current, or was replaced by a user who had seen it, or is in a history;
//! - nothing that a user deleted or replaced is current;
//! - no temporary file is left, and nothing is owed.
//!
//! Each story has a few kinds of trouble besides ([`kinds::Kind`]), and at every step whichever node says that it is in sync
//! with another must be right ([`oracle`]). What happened and which guards fired is counted and printed.

mod acts;
mod check;
mod kinds;
mod mend;
mod oracle;
mod outcome;
mod users;
mod wide;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use owsync::model::settings::Mode;
use owsync::model::{NodeId, RelPath};
use owsync::node::api::Command;

use super::Dice;
use super::disk::Writer;
use super::world::stranger::Stranger;
use super::world::{MachineId, World};
use kinds::{GUARDS, Kind, Tally};
use outcome::Outcome;

/// Seeds that CI runs; `OWSYNC_SIM_SEEDS` changes it, `OWSYNC_SIM_SEED` runs one with its trace.
const SEEDS: u64 = 2_000;

#[test]
fn random_histories_end_equal_and_lose_nothing() {
    if let Some(seed) = number("OWSYNC_SIM_SEED") {
        let outcome = Story::tell(seed, None, true, &kinds::enabled());
        println!("digest {:016x}", outcome.expect("the story must hold").digest);
        return;
    }
    let first = number("OWSYNC_SIM_FIRST").unwrap_or(0);
    let seeds = number("OWSYNC_SIM_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let enabled = kinds::enabled();
    type Run = (Vec<String>, Tally, Vec<(u64, Option<Outcome>)>);
    let (failures, tally, mut outcomes): Run = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|thread| {
                let enabled = &enabled;
                scope.spawn(move || {
                    let (mut failures, mut tally, mut outcomes) = Run::default();
                    for seed in (first..first + seeds).filter(|seed| seed % threads == thread) {
                        match tell_safely(seed, enabled) {
                            Ok(told) => {
                                tally.add(&told.tally);
                                outcomes.push((seed, Some(told.outcome)));
                            }
                            Err(why) => {
                                failures.push(format!("seed {seed}: {why}"));
                                outcomes.push((seed, None));
                            }
                        }
                    }
                    (failures, tally, outcomes)
                })
            })
            .collect();
        let mut all = Run::default();
        for run in runs {
            let (failures, tally, outcomes) = run.join().expect("a thread of seeds");
            all.0.extend(failures);
            all.1.add(&tally);
            all.2.extend(outcomes);
        }
        all
    });
    outcomes.sort_by_key(|(seed, _)| *seed);
    outcome::write(&outcomes);
    for (what, count) in &tally.0 {
        println!("{count:>8} {what}");
    }
    println!("{seeds} histories, {} failed", failures.len());
    for failure in failures.iter().take(40) {
        println!("{failure}");
    }
    if first == 0 && seeds >= SEEDS {
        let wanted = enabled.iter().map(|kind| kind.word()).chain(GUARDS.iter().copied());
        let missing: Vec<&str> = wanted.filter(|what| !tally.0.contains_key(*what)).collect();
        assert!(missing.is_empty(), "never happened in {seeds} histories: {missing:?}");
    }
    assert!(failures.is_empty(), "{} of {seeds} seeds failed, the first: {}", failures.len(), failures[0]);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 17, 40] {
        let tell = || Story::tell(seed, None, false, &kinds::enabled()).unwrap();
        assert_eq!(tell(), tell(), "seed {seed}");
    }
}

#[test]
fn fifty_machines_converge() {
    Story::tell(50, Some(50), false, &[]).unwrap();
}

/// A number from the environment: which histories to run is asked for there.
#[allow(clippy::disallowed_methods)]
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// What came of a story that held.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    digest: u64,
    steps: u64,
    tally: Tally,
    outcome: Outcome,
}

fn tell_safely(seed: u64, enabled: &[Kind]) -> Result<Told, String> {
    let told = std::panic::catch_unwind(|| Story::tell(seed, None, false, enabled));
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
    /// What lands must be confirmed.
    trials: bool,
    /// People pause things, and say when what waits for them may cross.
    people: bool,
    /// What trouble this story has.
    kinds: BTreeSet<Kind>,
    /// Names besides the usual ones.
    names: Vec<RelPath>,
    /// Machines that do not, or did not, offer everything.
    restricted: BTreeSet<MachineId>,
    /// Files that programs keep open, with the names that they had, and since which boot of the machine.
    open: BTreeMap<MachineId, (Writer, RelPath, u64)>,
    /// Hostile peers, and which nodes they claimed to be.
    strangers: Vec<Stranger>,
    claimed: BTreeSet<NodeId>,
    /// Machines in plain mode that have a copy of another's database.
    copies: BTreeSet<MachineId>,
    /// Settings that leave something out for good.
    lasting: BTreeMap<MachineId, Lasting>,
    /// The first two machines have a share that the others do not have.
    has_extra: bool,
    statuses: oracle::Statuses,
    tally: Tally,
    /// Guards that hold something at this moment.
    firing: BTreeSet<(MachineId, String)>,
}

/// What a machine leaves out, from the first day to the last.
#[derive(Clone, Default)]
struct Lasting {
    exclude: Vec<Vec<u8>>,
    /// `max_file_size`, if it has one of its own.
    max: Option<u64>,
}

impl Story {
    fn tell(seed: u64, machines: Option<usize>, trace: bool, enabled: &[Kind]) -> Result<Told, String> {
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
            world.set_all(|settings| settings.settle.quiet = Duration::from_millis(50));
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
            trials: false,
            people: false,
            kinds: BTreeSet::new(),
            names: Vec::new(),
            restricted: BTreeSet::new(),
            open: BTreeMap::new(),
            strangers: Vec::new(),
            claimed: BTreeSet::new(),
            copies: BTreeSet::new(),
            lasting: BTreeMap::new(),
            has_extra: false,
            statuses: BTreeMap::new(),
            tally: Tally::default(),
            firing: BTreeSet::new(),
            dice,
        };
        for id in 0..count {
            story.world.machines[id].inotify = !story.dice.chance(15);
            story.world.machines[id].disk.0.borrow_mut().no_exchange = story.dice.chance(10);
        }
        story.trials = story.dice.chance(25);
        if story.trials {
            // What is cut off for longer than that takes back what it landed.
            for id in 0..count {
                let time = *story.dice.pick(&[0, 5, 10, 40]);
                story.world.share_settings(id).confirm = Some(time);
            }
        }
        if story.dice.chance(20) {
            // Programs take their time over what lands, and refuse some of it.
            for id in 0..count {
                if story.dice.chance(60) {
                    story.world.share_settings(id).validate = Some("/usr/libexec/validate".into());
                    story.world.machines[id].programs.dislikes = Some(("7", "there is a seven in it"));
                }
            }
        }
        story.people = story.dice.chance(25);
        if story.people {
            for id in 0..count {
                if story.dice.chance(40) {
                    story.world.share_settings(id).mode = Mode::Manual;
                }
            }
        }
        story.choose_kinds(enabled);
        story.begin();
        let acts = if machines.is_some() { 60 } else { 30 + story.dice.below(40) };
        for _ in 0..acts {
            story.act()?;
        }
        story.mend()?;
        story.check()?;
        let outcome = Outcome::of(&story.world);
        Ok(Told { digest: story.world.digest, steps: story.world.steps, tally: story.tally, outcome })
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
            // A new process has descriptors of its own.
            self.world.machines[id].disk.0.borrow_mut().descriptors = usize::MAX;
            self.world.start(id);
        }
    }
}

fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(&content[..content.len().min(24)]).into_owned()
}
