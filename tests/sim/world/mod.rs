//! Machines, cables and time.

mod cable;
mod look;
mod power;
mod programs;
pub mod stranger;
mod typing;
#[allow(dead_code)]
#[path = "../../e2e/words.rs"]
pub mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use owsync::fs::scan::Hint;
use owsync::model::reserved::Reserved;
use owsync::model::settings::{Accept, Address, FirstSync, HistoryBounds, PeerSettings, ShareSettings};
use owsync::model::{Direction, Map, Monotonic, Now, PeerName, RelPath, Settings, ShareName, WallTime};
use owsync::node::api::status::{ShareStatus, Status};
use owsync::node::api::{Command, Level, Reply, Tree};
use owsync::node::{CommandId, DeltaChange, LinkId, Node};
use owsync::proto::session::Mode;
use owsync::store::News;

use programs::{Answer, Programs};

use super::Dice;
use super::disk::{Disk, SimFs, User};

pub type MachineId = usize;
type ConnId = u64;

/// Who dialled, who speaks, and the bytes, in their order.
pub type Tape = Vec<(MachineId, MachineId, Vec<u8>)>;

/// Virtual time begins here: 2026-11-20T00:00:00Z.
const EPOCH_MS: i64 = 1_795_132_800_000;

/// One computer.
pub struct Machine {
    pub disk: Disk,
    pub settings: Settings,
    pub node: Option<Node<SimFs>>,
    /// Its clock is off by so much.
    pub skew_ms: i64,
    pub news: Vec<News>,
    pub log: Vec<(u64, Level, String)>,
    pub events: Vec<(&'static str, String)>,
    pub replies: BTreeMap<CommandId, Reply>,
    started_ms: u64,
    /// Machine uptime begins here.
    booted_ms: u64,
    boot: u64,
    timer: u64,
    links: BTreeMap<LinkId, (ConnId, usize)>,
    closing: BTreeSet<LinkId>,
    next_command: CommandId,
    pub attended: bool,
    /// Names in its shares that belong to owsync.
    pub reserved: BTreeMap<ShareName, Vec<Reserved>>,
    pub identity: Option<[u8; 32]>,
    /// Changes on disk are announced at once.
    pub inotify: bool,
    pub programs: Programs,
    /// What became of uncommitted changes that were committed here.
    pub deltas: Vec<(DeltaChange, Map<RelPath, Vec<u8>>)>,
    /// It is off the network while its file `network` has this in it.
    pub deaf_after: Option<&'static str>,
}

struct Conn {
    /// Machine and session of whoever dialled, and of whoever answered.
    ends: [(MachineId, Option<LinkId>); 2],
    alive: bool,
    delay: u64,
    /// Nothing arrives before this, so that bytes stay in order.
    horizon: [u64; 2],
}

#[derive(Debug)]
enum Happening {
    Timer(MachineId, u64),
    Work(MachineId),
    Deliver(ConnId, usize, Vec<u8>),
    Closed(ConnId, usize),
    Connect(MachineId, LinkId, Address),
    /// A program that a machine's daemon started then has ended.
    Ended(MachineId, u64, Answer),
}

impl Machine {
    /// How its sessions are secured, by its settings.
    fn mode(&self) -> Mode {
        match (self.identity, &self.settings.key) {
            #[cfg(feature = "encryption")]
            (Some(identity), Some(key)) => Mode::Encrypted(owsync::proto::Credentials {
                key: key.clone(),
                previous: self.settings.previous_key.clone(),
                identity: owsync::model::Key::new(identity),
            }),
            _ => Mode::Plain,
        }
    }
}

/// Everything there is.
pub struct World {
    pub machines: Vec<Machine>,
    pub now_ms: u64,
    pub dice: Dice,
    queue: BTreeMap<(u64, u64), Happening>,
    next: u64,
    conns: BTreeMap<ConnId, Conn>,
    next_conn: ConnId,
    /// Pairs of machines with no cable between them.
    cut: BTreeSet<(MachineId, MachineId)>,
    /// Machines whose daemon takes connections and says nothing.
    pub mute: BTreeSet<MachineId>,
    /// Machines whose connections come from the address of another.
    seen: BTreeMap<MachineId, MachineId>,
    /// Longest delay of a cable, in ms.
    pub slowest: u64,
    pub trace: bool,
    /// A running digest of everything that happened: equal seeds must give equal digests.
    pub digest: u64,
    pub steps: u64,
    pub bytes: u64,
    /// How often a machine transmitted something.
    pub messages: u64,
    /// What was said on whose connections, and by whom, once somebody listens.
    pub tape: Option<Tape>,
    happened: u64,
}

pub fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

pub fn main() -> ShareName {
    ShareName::main()
}

impl World {
    /// Machines with empty disks, no peers, and one share of everything in `/share`.
    pub fn new(seed: u64, machines: usize) -> World {
        let mut dice = Dice::new(seed);
        let mut world = World {
            machines: Vec::new(),
            now_ms: 0,
            queue: BTreeMap::new(),
            next: 0,
            conns: BTreeMap::new(),
            next_conn: 1,
            cut: BTreeSet::new(),
            mute: BTreeSet::new(),
            seen: BTreeMap::new(),
            slowest: 30,
            trace: false,
            digest: seed,
            steps: 0,
            bytes: 0,
            messages: 0,
            tape: None,
            happened: 0,
            dice: dice.clone(),
        };
        for id in 0..machines {
            let mut settings = Settings::new(&format!("m{id}"));
            settings.plain_mode = true;
            settings.plain_from_anywhere = true;
            settings.reachable = vec![std::net::SocketAddr::new(Self::address(id), 4321)];
            settings.history = HistoryBounds { size: 16 * 1024 * 1024, days: 30, versions: 1000 };
            let mut share = ShareSettings::new(main(), PathBuf::from("/share"));
            share.include = vec![b"*".to_vec()];
            share.min_free = 64 * 1024;
            settings.shares.push(share);
            world.machines.push(Machine {
                disk: Disk::new(),
                settings,
                node: None,
                skew_ms: 0,
                news: Vec::new(),
                log: Vec::new(),
                events: Vec::new(),
                replies: BTreeMap::new(),
                started_ms: 0,
                booted_ms: 0,
                boot: dice.next(),
                timer: 0,
                links: BTreeMap::new(),
                closing: BTreeSet::new(),
                next_command: 1,
                attended: false,
                reserved: BTreeMap::new(),
                identity: None,
                inotify: true,
                programs: Programs::default(),
                deltas: Vec::new(),
                deaf_after: None,
            });
        }
        world.dice = dice;
        world
    }

    pub fn address(machine: MachineId) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, (machine / 200) as u8, (machine % 200) as u8 + 1))
    }

    /// Another address of the same machine.
    pub fn second_address(machine: MachineId) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 1, (machine / 200) as u8, (machine % 200) as u8 + 1))
    }

    /// Connections of machine `a` come from the address of `b`.
    #[allow(dead_code)]
    pub fn seen_as(&mut self, a: MachineId, b: MachineId) {
        self.seen.insert(a, b);
    }

    /// `a` has `b` configured as a peer.
    pub fn peer(&mut self, a: MachineId, b: MachineId) {
        let name = format!("m{b}");
        self.machines[a].settings.peers.push(PeerSettings {
            name: PeerName(name.into()),
            enabled: true,
            address: Some(Address { host: Self::address(b).to_string(), port: 4321, source: None }),
            public_key: None,
            introducer: false,
            shares: None,
            direction: Direction::Both,
        });
    }

    /// Both have each other configured.
    pub fn pair(&mut self, a: MachineId, b: MachineId) {
        self.peer(a, b);
        self.peer(b, a);
    }

    /// Everybody has everybody configured.
    pub fn mesh(&mut self) {
        let count = self.machines.len();
        for a in 0..count {
            for b in 0..count {
                if a != b {
                    self.peer(a, b);
                }
            }
        }
    }

    /// Every machine uses encrypted sessions with one key and an identity of its own.
    ///
    /// # Panics
    /// owsync was built without encryption: the machines would run in plain mode with the settings of an encrypted one.
    pub fn encrypt(&mut self) {
        if cfg!(not(feature = "encryption")) {
            panic!("a build without encryption has only plain mode");
        }
        for id in 0..self.machines.len() {
            let secret = self.dice.bytes32();
            let machine = &mut self.machines[id];
            machine.identity = Some(secret);
            machine.settings.plain_mode = false;
            machine.settings.plain_from_anywhere = false;
            machine.settings.key = Some(owsync::model::Key::new([7; 32]));
            machine.settings.accept = Accept::Key;
        }
    }

    pub fn set_all(&mut self, change: impl Fn(&mut Settings)) {
        self.machines.iter_mut().for_each(|machine| change(&mut machine.settings));
    }

    pub fn share_settings(&mut self, id: MachineId) -> &mut ShareSettings {
        &mut self.machines[id].settings.shares[0]
    }

    pub fn ask(&mut self) {
        self.set_all(|settings| settings.first_sync = FirstSync::Ask);
    }

    pub fn now(&self, id: MachineId) -> Now {
        let machine = &self.machines[id];
        Now {
            mono: Monotonic(1_000_000 + self.now_ms - machine.started_ms),
            wall: WallTime(EPOCH_MS + self.now_ms as i64 + machine.skew_ms),
        }
    }

    pub fn wall(&self, id: MachineId) -> WallTime {
        self.now(id).wall
    }

    /// A user of a machine's share.
    pub fn user(&self, id: MachineId) -> User {
        self.user_of(id, "/share")
    }

    /// A user of another directory of a machine.
    pub fn user_of(&self, id: MachineId, root: &str) -> User {
        self.machines[id].disk.set_clock(self.wall(id));
        self.machines[id].disk.user(root)
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        self.steps += 1;
        let text = text();
        for byte in text.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if self.trace {
            println!("{:>9} {text}", self.now_ms);
        }
    }

    /// Does something with a node, and everything that follows at once.
    pub fn with<T>(&mut self, id: MachineId, act: impl FnOnce(&mut Node<SimFs>, Now) -> T) -> Option<T> {
        let now = self.now(id);
        self.machines[id].disk.set_clock(now.wall);
        let result = self.machines[id].node.as_mut().map(|node| act(node, now));
        self.after(id);
        result
    }

    /// The daemon of a machine is told to read its configuration again, which is the machine's settings by now.
    pub fn reload(&mut self, id: MachineId) {
        self.note(|| format!("m{id} reads its configuration again"));
        let machine = &self.machines[id];
        let (settings, mode, reserved) = (machine.settings.clone(), machine.mode(), machine.reserved.clone());
        self.with(id, |node, now| node.reconfigure(now, settings, mode, reserved.into_iter().collect()));
    }

    /// Something changed in a machine's share; inotify says so.
    pub fn announce(&mut self, id: MachineId, what: &RelPath) {
        if self.machines[id].inotify {
            let hint = Hint { path: what.clone(), deep: true };
            self.with(id, |node, now| node.handle_change(now, &main(), Some(hint)));
        }
    }

    /// Which boot of a machine this is: another number after every one.
    pub fn boot(&self, id: MachineId) -> u64 {
        self.machines[id].boot
    }

    /// When the daemon of a machine was started, if it runs.
    pub fn started(&self, id: MachineId) -> Option<u64> {
        self.machines[id].node.as_ref().map(|_| self.machines[id].started_ms)
    }

    /// Asks a node, and lets time pass until it answers.
    pub fn command(&mut self, id: MachineId, command: Command) -> Reply {
        let number = self.machines[id].next_command;
        self.machines[id].next_command += 1;
        self.with(id, |node, now| node.handle_command(now, number, command));
        let until = self.now_ms + 60_000;
        loop {
            if let Some(reply) = self.machines[id].replies.remove(&number) {
                return reply;
            }
            assert!(self.step(until), "an answer within a minute");
        }
    }

    /// Asks, and does not wait for the answer.
    pub fn tell(&mut self, id: MachineId, command: Command) {
        self.with(id, |node, now| node.handle_command(now, 0, command));
    }

    pub fn done(&mut self, id: MachineId, command: Command) -> Tree {
        match self.command(id, command) {
            Reply::Done(tree) => tree,
            Reply::Failed { message, .. } => panic!("m{id}: {message}"),
        }
    }

    /// The status of a machine's node, which runs.
    pub fn status(&self, id: MachineId) -> Status {
        self.node(id).status(self.now(id))
    }

    /// What a machine's node says of its share.
    pub fn share(&self, id: MachineId) -> ShareStatus {
        self.status(id).shares.remove(main().as_str()).unwrap_or_default()
    }

    /// A person takes what the other nodes have.
    pub fn reject(&mut self, id: MachineId) -> Reply {
        self.command(id, Command::Reject { share: None, path: None, dry_run: false })
    }

    /// A person declares a machine the reference.
    pub fn init(&mut self, id: MachineId) {
        self.done(id, Command::Init);
    }

    /// A machine's node, which runs.
    pub fn node(&self, id: MachineId) -> &Node<SimFs> {
        self.machines[id].node.as_ref().expect("it runs")
    }

    /// Time passes.
    pub fn run(&mut self, time: Duration) {
        let until = self.now_ms + time.as_millis() as u64;
        while self.step(until) {}
    }

    pub fn run_ms(&mut self, ms: u64) {
        self.run(Duration::from_millis(ms));
    }

    /// Time passes until `done`, at most `most`; whether it came to that.
    pub fn run_until(&mut self, most: Duration, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let until = self.now_ms + most.as_millis() as u64;
        let mut looked = 0;
        while self.step(until) {
            // Looking costs more than stepping.
            if self.now_ms >= looked + 20 {
                looked = self.now_ms;
                if done(self) {
                    return true;
                }
            }
        }
        done(self)
    }
}
