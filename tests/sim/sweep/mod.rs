//! A fixed story, with a crash or a failing disk at every operation in turn.
//!
//! The story is told once undisturbed, counting the operations of each machine's disk that change something or flush.
//! Then it is told again and again: power goes, or the daemon is killed, at operation k; or k fails, half of it done,
//! with EIO or ENOSPC; or all of a dozen from k on fail; or k fails and power goes a little later. Whatever died starts
//! again, as a service does, and when it is quiet the same must hold as after any random history. Nobody approves
//! anything: nothing in this story gives a reason to hold.
//!
//! Every operation with every fault is a few thousand stories, which take two cores half a minute. Where that is too
//! long, `OWSYNC_SWEEP_STRIDE` tells every so many-th, from `OWSYNC_SWEEP_OFFSET` on; `OWSYNC_SWEEP_CASE` tells one, with
//! its trace.

mod store;

use std::collections::{BTreeMap, BTreeSet};

use owsync::model::{RelPath, limits};
use owsync::node::api::Command;

use super::chaos::number;
use super::disk::Fault;
use super::world::{MachineId, World, main, path};

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// Power goes; what was not flushed survives in part.
    Crash,
    /// The daemon is killed.
    Kill,
    /// This operation fails, and what it writes is written in part.
    Fails(i32),
    /// It and those after it fail.
    KeepsFailing(i32),
    /// It fails, and power goes while that is dealt with.
    FailsThenCrash(i32),
}

const HOWS: [How; 6] = [
    How::Crash,
    How::Kill,
    How::Fails(libc::EIO),
    How::Fails(libc::ENOSPC),
    How::KeepsFailing(libc::EIO),
    How::FailsThenCrash(libc::EIO),
];

/// Operations that fail in a row.
const ROW: u64 = 12;

/// What users did, and what may be asked of it.
#[derive(Default)]
struct Witness {
    /// Every content by path, and whether a user who saw it replaced or deleted it.
    written: BTreeMap<(RelPath, Vec<u8>), bool>,
    /// Contents that a user replaced on a node that had no say over them yet.
    excused: BTreeSet<Vec<u8>>,
    pasts: BTreeSet<MachineId>,
}

struct Story {
    world: World,
    witness: Witness,
    /// What happens to the disk of which machine, at which of its operations.
    faults: (MachineId, BTreeMap<u64, Fault>),
    /// A machine lost power, or its daemon was killed.
    died: bool,
}

impl Story {
    fn new(faults: (MachineId, BTreeMap<u64, Fault>)) -> Story {
        let mut world = World::new(1, 3);
        world.pair(0, 1);
        world.pair(1, 2);
        Story { world, witness: Witness::default(), faults, died: false }
    }

    fn start(&mut self, id: MachineId) {
        self.died |= self.world.machines[id].disk.0.borrow().dead;
        self.world.start(id);
        // A boot repairs a disk; here it stays as bad as it was.
        if id == self.faults.0 {
            self.world.machines[id].disk.0.borrow_mut().faults = self.faults.1.clone();
        }
    }

    /// Time passes. What died comes back as soon as somebody looks, as procd does.
    fn run(&mut self, ms: u64) {
        let until = self.world.now_ms + ms;
        while self.world.now_ms < until {
            let step = (until - self.world.now_ms).min(100);
            self.world.run_ms(step);
            for id in 0..3 {
                match &self.world.machines[id].node {
                    Some(node) => {
                        if node.state().shares.get(&main()).is_some_and(|state| state.meta.past) {
                            self.witness.pasts.insert(id);
                        }
                    }
                    None => self.start(id),
                }
            }
        }
    }

    fn replaced(&mut self, id: MachineId, name: &RelPath, old: Option<Vec<u8>>) {
        let Some(old) = old else { return };
        if !self.witness.pasts.contains(&id) {
            self.witness.excused.insert(old.clone());
        }
        self.witness.written.insert((name.clone(), old), true);
    }

    fn write(&mut self, id: MachineId, name: &str, content: &str) {
        let name = path(name);
        let user = self.world.user(id);
        let old = user.read(&name);
        // A conflict elsewhere may have made a directory of what was to be a file, or the reverse.
        if user.write(&name, content.as_bytes()) {
            self.replaced(id, &name, old);
            self.witness.written.insert((name.clone(), content.into()), false);
            self.world.announce(id, &name);
        }
    }

    fn remove(&mut self, id: MachineId, name: &str) {
        let name = path(name);
        let user = self.world.user(id);
        let below = user.files().into_iter().filter(|(p, _)| *p == name || p.is_below(&name));
        for (p, old) in below.collect::<Vec<_>>() {
            self.replaced(id, &p, Some(old));
        }
        user.remove(&name);
        self.world.announce(id, &name);
    }

    fn rename(&mut self, id: MachineId, from: &str, to: &str) {
        let (from, to) = (path(from), path(to));
        let user = self.world.user(id);
        let (moved, old) = (user.read(&from), user.read(&to));
        if user.rename(&from, &to) {
            self.replaced(id, &to, old);
            self.replaced(id, &from, moved.clone());
            self.witness.written.extend(moved.map(|content| ((to.clone(), content), false)));
            self.world.announce(id, &from);
            self.world.announce(id, &to);
        }
    }

    /// A person makes machine 0 the reference, again when no answer came.
    fn init(&mut self) {
        for _ in 0..20 {
            let answered = self.world.with(0, |node, now| {
                node.handle_command(now, 1_000, Command::Init);
            });
            let reply = self.world.machines[0].replies.remove(&1_000);
            if answered.is_some() && reply.is_some_and(|reply| matches!(reply, owsync::node::api::Reply::Done(_))) {
                return;
            }
            self.run(1_000);
        }
        panic!("nobody answers `init`");
    }

    /// Everything a node does on a disk, at least once.
    fn tell(&mut self) {
        for (name, content) in [("dhcp", "production"), ("network", "n"), ("etc/hosts", "h"), ("etc/rc", "r")] {
            self.write(0, name, content);
        }
        for n in 0..6 {
            self.write(0, &format!("keep/{n}"), &format!("kept {n}"));
        }
        self.write(1, "dhcp", "factory default");
        self.write(1, "own", "of machine 1");
        (0..3).for_each(|id| self.start(id));
        self.init();
        self.run(4_000);
        self.write(0, "dhcp", "edited");
        self.world.user(0).chmod(&path("etc/hosts"), 0o600);
        self.world.announce(0, &path("etc/hosts"));
        self.run(900);
        let big = format!("big {}", "x".repeat(300_000));
        self.write(2, "image", &big);
        self.run(1_500);
        self.remove(1, "network");
        self.write(1, "etc/hosts", "edited on 1");
        self.run(900);
        self.rename(0, "keep/1", "keep/moved");
        self.write(0, "own", "edited on 0");
        self.run(900);
        // A directory becomes a file, and a directory again.
        self.remove(0, "etc");
        self.write(0, "etc", "a file now");
        self.run(1_500);
        self.remove(2, "etc");
        self.write(2, "etc/new/deep", "a directory again");
        self.run(1_500);
        // Two who do not see each other.
        self.world.set_cut(0, 1, true);
        self.write(0, "keep/2", "conflict on 0");
        self.write(1, "keep/2", "conflict on 1, later");
        self.remove(2, "keep/3");
        self.run(1_000);
        self.write(0, "keep/3", "edited while 2 deleted it");
        self.run(1_000);
        self.world.heal_all();
        self.run(3_000);
        // A proper stop folds the journal; edits wait for the next start.
        if self.world.machines[1].node.is_some() {
            self.world.stop(1);
        }
        self.write(1, "dhcp", "edited while 1 was down");
        self.write(0, "keep/4", "edited meanwhile");
        self.run(3_000);
        self.remove(2, "image");
        self.run(2_000);
    }

    /// The disk is well again; time passes until it is quiet.
    fn mend(&mut self) {
        self.faults.1.clear();
        for machine in &self.world.machines {
            machine.disk.0.borrow_mut().faults.clear();
        }
        for _ in 0..120 {
            self.run(5_000);
            if self.world.machines.iter().all(|machine| machine.node.is_some()) && self.world.is_in_sync() {
                break;
            }
        }
        // What is quiet stays quiet.
        self.run(65_000);
        if (0..3).any(|id| !self.world.is_swept(id)) {
            // What broke off may still come; then it is given up.
            self.world.run(limits::BROKEN_KEPT);
        }
    }

    fn check(&mut self) -> Result<(), String> {
        for id in 0..3 {
            let status = self.world.status(id);
            if !status.in_sync {
                return Err(format!("m{id} is not in sync: {:?}", status.summary));
            }
            let state = &self.world.machines[id].node.as_ref().unwrap().state().shares[&main()];
            if !state.owed.is_empty() || state.landing.is_some() || state.meta.hold.is_some() {
                return Err(format!("m{id}: owed {:?}, hold {:?}", state.owed.keys().next(), state.meta.hold));
            }
            for (root, temporary) in [("/share", &b".owsync-"[..]), ("/state", b"-new"), ("/state", b"incoming")] {
                let left = self.world.machines[id]
                    .disk
                    .user(root)
                    .paths()
                    .into_iter()
                    .find(|p| p.as_bytes().starts_with(temporary) || p.as_bytes().ends_with(temporary));
                if let Some(left) = left {
                    return Err(format!("m{id} left {root}/{left}"));
                }
            }
        }
        let view = |id: MachineId| {
            let user = self.world.machines[id].disk.user("/share");
            user.paths().into_iter().map(|p| (user.mode(&p), user.read(&p), p)).collect::<Vec<_>>()
        };
        for id in 1..3 {
            let (first, other) = (view(0), view(id));
            if let Some((mode, content, p)) =
                first.iter().find(|x| !other.contains(x)).or(other.iter().find(|x| !first.contains(x)))
            {
                let content = content.as_ref().map(|c| String::from_utf8_lossy(&c[..c.len().min(30)]).into_owned());
                return Err(format!("m0 and m{id} differ in {p} {mode:?} {content:?}"));
            }
        }
        let current = self.world.machines[0].disk.user("/share").files();
        let kept: BTreeSet<Vec<u8>> =
            (0..3).flat_map(|id| self.world.history(id)).map(|(_, content, _)| content).collect();
        for ((name, content), seen) in &self.witness.written {
            let text = String::from_utf8_lossy(&content[..content.len().min(30)]).into_owned();
            let is_current = current.get(name) == Some(content);
            if self.witness.excused.contains(content) {
                continue;
            }
            if *seen && is_current {
                return Err(format!("{name}: {text:?} is back, although a user who saw it replaced it"));
            }
            if !seen && !is_current && !kept.contains(content) {
                return Err(format!("{name}: {text:?} is lost"));
            }
        }
        Ok(())
    }
}

/// The story with a fault; what went wrong, if anything did.
fn tell(id: MachineId, how: How, k: u64, trace: bool) -> Result<(), String> {
    let told = std::panic::catch_unwind(|| {
        let faults = match how {
            How::Crash => BTreeMap::from([(k, Fault::Crash)]),
            How::Kill => BTreeMap::from([(k, Fault::Kill)]),
            How::Fails(errno) => BTreeMap::from([(k, Fault::Errno(errno))]),
            How::KeepsFailing(errno) => (k..k + ROW).map(|k| (k, Fault::Errno(errno))).collect(),
            // So far after it that every step of an undoing has its turn.
            How::FailsThenCrash(errno) => {
                BTreeMap::from([(k, Fault::Errno(errno)), (k + 1 + k * 7 % 31, Fault::Crash)])
            }
        };
        let mut story = Story::new((id, faults));
        story.world.trace = trace;
        story.tell();
        let struck = story.world.machines[id].disk.0.borrow().operations > k;
        if !struck || (matches!(how, How::Crash | How::Kill) && !story.died) {
            return Err("the fault did not strike".into());
        }
        story.mend();
        story.check()
    });
    told.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into())).unwrap_or_default())
    })
}

#[test]
fn a_crash_or_a_failure_at_any_operation_loses_nothing() {
    // Given the story undisturbed, and how many operations it takes on each disk.
    let mut story = Story::new((0, BTreeMap::new()));
    story.tell();
    let counts: Vec<u64> = (0..3).map(|id| story.world.machines[id].disk.0.borrow().operations).collect();
    story.mend();
    story.check().unwrap();
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    // When each of them fails in each way.
    let mut cases: Vec<(MachineId, How, u64)> = Vec::new();
    for (id, &count) in counts.iter().enumerate() {
        // A start repairs the disk before its first operation, so that one is left out.
        cases.extend(HOWS.into_iter().flat_map(|how| (1..count).map(move |k| (id, how, k))));
    }
    if let Some(case) = number("OWSYNC_SWEEP_CASE") {
        let (id, how, k) = cases[case as usize];
        return tell(id, how, k, true).unwrap();
    }
    let stride = number("OWSYNC_SWEEP_STRIDE").unwrap_or(1).max(1) as usize;
    let offset = number("OWSYNC_SWEEP_OFFSET").unwrap_or(0) as usize % stride;
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|thread| {
                let told = cases.iter().enumerate().skip(offset).step_by(stride).skip(thread).step_by(threads);
                scope.spawn(move || {
                    let failed = told.filter_map(|(case, &(id, how, k))| {
                        let why = tell(id, how, k, false).err()?;
                        Some(format!("case {case}, m{id} {how:?} at {k}: {why}"))
                    });
                    failed.collect::<Vec<_>>()
                })
            })
            .collect();
        runs.into_iter().flat_map(|run| run.join().expect("a thread of stories")).collect()
    });
    // Then nothing of what users did is lost or undone, and all is equal and quiet.
    println!("{counts:?} operations, every {stride}th of {} stories, {} failed", cases.len(), failures.len());
    for failure in failures.iter().take(40) {
        println!("{failure}");
    }
    assert!(failures.is_empty(), "{} failed, the first: {}", failures.len(), failures[0]);
}
