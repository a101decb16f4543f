//! Machines, cables and time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use owsync::fs::Fs;
use owsync::fs::scan::Hint;
use owsync::model::reason::Trouble;
use owsync::model::settings::{Accept, Address, FirstSync, HistoryBounds, PeerSettings, ShareSettings};
use owsync::model::{Direction, Monotonic, Now, PeerName, RelPath, Rng, Settings, ShareName, WallTime};
use owsync::node::api::{Command, Level, Reply, Tree};
use owsync::node::{CommandId, Identity, LinkId, Node, Output, Parts};
use owsync::proto::session::Mode;
use owsync::store::history::History;
use owsync::store::{News, Place, Store};

use super::Dice;
use super::disk::{Disk, SimFs, User};

pub type MachineId = usize;
type ConnId = u64;

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
    pub identity: Option<[u8; 32]>,
    /// Changes on disk are announced at once.
    pub inotify: bool,
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
    /// Longest delay of a cable, in ms.
    pub slowest: u64,
    pub trace: bool,
    /// A running digest of everything that happened: equal seeds must give equal digests.
    pub digest: u64,
    pub steps: u64,
    pub bytes: u64,
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
            slowest: 30,
            trace: false,
            digest: seed,
            steps: 0,
            bytes: 0,
            happened: 0,
            dice: dice.clone(),
        };
        for id in 0..machines {
            let mut settings = Settings::new(&format!("m{id}"));
            settings.plain_mode = true;
            settings.plain_from_anywhere = true;
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
                identity: None,
                inotify: true,
            });
        }
        world.dice = dice;
        world
    }

    pub fn address(machine: MachineId) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, (machine / 200) as u8, (machine % 200) as u8 + 1))
    }

    /// `a` has `b` configured as a peer.
    pub fn peer(&mut self, a: MachineId, b: MachineId) {
        let name = format!("m{b}");
        self.machines[a].settings.peers.push(PeerSettings {
            name: PeerName(name.into()),
            enabled: true,
            address: Some(Address { host: Self::address(b).to_string(), port: 4321, source: None }),
            public_key: None,
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
    pub fn encrypt(&mut self) {
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

    fn now(&self, id: MachineId) -> Now {
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

    pub fn start_all(&mut self) {
        for id in 0..self.machines.len() {
            self.start(id);
        }
    }

    /// The daemon of a machine starts.
    pub fn start(&mut self, id: MachineId) {
        self.note(|| format!("m{id} starts"));
        let now_ms = self.now_ms;
        let seed = self.dice.bytes32();
        let rng = self.dice.bytes32();
        let now = {
            let machine = &mut self.machines[id];
            assert!(machine.node.is_none(), "one daemon a machine");
            machine.started_ms = now_ms;
            machine.disk.boot();
            self.now(id)
        };
        self.machines[id].disk.set_clock(now.wall);
        let machine = &mut self.machines[id];
        let fs = SimFs(machine.disk.clone());
        let open = |dir: &str| fs.open(Path::new(dir)).unwrap();
        let place = Place {
            root: open("/state"),
            name: path("owsync.db"),
            run: Some(open("/run")),
            boot: format!("boot-{}", machine.boot),
            rng: Rng::new(seed),
        };
        let (store, news) = match Store::load(place, now.wall) {
            Ok(loaded) => loaded,
            // The disk died under it.
            Err(_) if machine.disk.0.borrow().dead => return self.machine_died(id),
            Err(error) => panic!("m{id} cannot load its database: {error}"),
        };
        let history = match History::load(open("/state"), path("owsync.db-history"), machine.settings.history) {
            Ok(history) => history,
            Err(_) if machine.disk.0.borrow().dead => return self.machine_died(id),
            Err(error) => panic!("m{id} cannot load its history: {error}"),
        };
        machine.news = news.clone();
        let identity = Identity::of(machine.mode(), store.state().me.plain_id);
        let uptime = now_ms - machine.booted_ms;
        let settled_at = Monotonic((now.mono.0 + 600_000).saturating_sub(uptime));
        let parts = Parts {
            fs,
            settings: machine.settings.clone(),
            store,
            news,
            history,
            identity,
            rng: Rng::new(rng),
            tag: 0x5eed_0000 + id as u64,
            reserved: BTreeMap::new(),
            settled_at,
            attended: machine.attended,
            token: None,
        };
        machine.node = Some(Node::new(parts, now));
        self.after(id);
    }

    /// The daemon ends properly.
    pub fn stop(&mut self, id: MachineId) {
        self.note(|| format!("m{id} stops"));
        let now = self.now(id);
        if let Some(node) = self.machines[id].node.as_mut() {
            node.shut_down(now);
        }
        self.after(id);
        self.drop_node(id, 5);
    }

    /// kill -9: memory is gone, the disk is as it is.
    pub fn kill(&mut self, id: MachineId) {
        self.note(|| format!("m{id} is killed"));
        self.drop_node(id, 5);
    }

    /// Power goes; what was not flushed is lost in part. The machine must be started again.
    pub fn lose_power(&mut self, id: MachineId) {
        self.note(|| format!("m{id} loses power"));
        let mut dice = self.dice.clone();
        self.machines[id].disk.lose_power(&mut dice);
        self.dice = dice;
        self.machines[id].boot = self.dice.next();
        self.machines[id].booted_ms = self.now_ms;
        self.drop_node(id, 20_000);
    }

    /// The machine is a new one: nothing on its disk but what `defaults` brings.
    pub fn factory_reset(&mut self, id: MachineId) {
        self.note(|| format!("m{id} is reset"));
        self.drop_node(id, 1000);
        let machine = &mut self.machines[id];
        machine.disk = Disk::new();
        machine.boot = self.dice.next();
        machine.booted_ms = self.now_ms;
    }

    fn machine_died(&mut self, id: MachineId) {
        self.lose_power(id);
    }

    /// The node is gone; whoever talked to it notices within `within` ms.
    fn drop_node(&mut self, id: MachineId, within: u64) {
        self.machines[id].node = None;
        self.machines[id].timer += 1;
        self.machines[id].closing.clear();
        let links = std::mem::take(&mut self.machines[id].links);
        for (_, (conn, side)) in links {
            let at = self.now_ms + 1 + self.dice.below(within);
            self.hang_up(conn, 1 - side, at);
        }
    }

    fn hang_up(&mut self, conn: ConnId, side: usize, at: u64) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        c.alive = false;
        let at = at.max(c.horizon[side]);
        self.schedule(at, Happening::Closed(conn, side));
    }

    fn schedule(&mut self, at: u64, happening: Happening) {
        let key = (at.max(self.now_ms), self.next);
        self.next += 1;
        self.queue.insert(key, happening);
    }

    /// No cable between two machines, or one again.
    pub fn set_cut(&mut self, a: MachineId, b: MachineId, cut: bool) {
        let pair = (a.min(b), a.max(b));
        let changed = if cut { self.cut.insert(pair) } else { self.cut.remove(&pair) };
        if changed {
            self.note(|| format!("m{a} and m{b} {}", if cut { "are cut off" } else { "are connected" }));
        }
    }

    pub fn heal_all(&mut self) {
        self.cut.clear();
    }

    fn is_cut(&self, a: MachineId, b: MachineId) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    /// Breaks every session of a machine, in the middle of whatever it is doing.
    pub fn reset_links(&mut self, id: MachineId) {
        let links: Vec<(ConnId, usize)> = self.machines[id].links.values().copied().collect();
        for (conn, side) in links {
            let now = self.now_ms;
            self.hang_up(conn, side, now + 1);
            self.hang_up(conn, 1 - side, now + 1);
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
        let (settings, mode) = (self.machines[id].settings.clone(), self.machines[id].mode());
        self.with(id, |node, now| node.reconfigure(now, settings, mode, BTreeMap::new()));
    }

    /// Something changed in a machine's share; inotify says so.
    pub fn announce(&mut self, id: MachineId, what: &RelPath) {
        if self.machines[id].inotify {
            let hint = Hint { path: what.clone(), deep: true };
            self.with(id, |node, now| node.handle_change(now, &main(), Some(hint)));
        }
    }

    /// A user writes, and inotify says so.
    pub fn write(&mut self, id: MachineId, name: &str, content: &str) {
        let what = path(name);
        assert!(self.user(id).write(&what, content.as_bytes()), "{name} can be written");
        self.note(|| format!("m{id} user writes {name}"));
        self.announce(id, &what);
    }

    pub fn remove(&mut self, id: MachineId, name: &str) {
        let what = path(name);
        assert!(self.user(id).remove(&what), "{name} can be removed");
        self.note(|| format!("m{id} user removes {name}"));
        self.announce(id, &what);
    }

    pub fn read(&self, id: MachineId, name: &str) -> Option<String> {
        self.machines[id]
            .disk
            .user("/share")
            .read(&path(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Asks a node; the answer must come at once.
    pub fn command(&mut self, id: MachineId, command: Command) -> Reply {
        let number = self.machines[id].next_command;
        self.machines[id].next_command += 1;
        self.with(id, |node, now| node.handle_command(now, number, command));
        self.machines[id].replies.remove(&number).expect("an answer at once")
    }

    pub fn done(&mut self, id: MachineId, command: Command) -> Tree {
        match self.command(id, command) {
            Reply::Done(tree) => tree,
            Reply::Failed { message, .. } => panic!("m{id}: {message}"),
        }
    }

    pub fn status(&mut self, id: MachineId) -> Tree {
        self.done(id, Command::Status)
    }

    /// Takes everything a node wants done, and plans its next call.
    fn after(&mut self, id: MachineId) {
        if self.machines[id].disk.0.borrow().dead {
            // It died in the middle of that call: nothing of what the call said got out.
            if self.machines[id].node.is_some() {
                self.machine_died(id);
            }
            return;
        }
        let Some(mut node) = self.machines[id].node.take() else { return };
        while let Some(output) = node.poll_output() {
            match output {
                Output::Log(line) => {
                    if self.trace {
                        println!("{:>9} m{id} {:?}: {}", self.now_ms, line.level, line.text);
                    }
                    let now_ms = self.now_ms;
                    self.machines[id].log.push((now_ms, line.level, line.text));
                }
                Output::Event(event) => self.machines[id].events.push((event.name, event.text)),
                Output::Reply { id: command, reply } => {
                    self.machines[id].replies.insert(command, reply);
                }
                Output::Dial { link, address } => {
                    let at = self.now_ms + 1 + self.dice.below(self.slowest);
                    self.schedule(at, Happening::Connect(id, link, address));
                }
                Output::Close { link, .. } => {
                    self.machines[id].closing.insert(link);
                }
                Output::Landed { .. } => {}
                Output::Watch { share } => {
                    let inotify = self.machines[id].inotify;
                    node.handle_watched(&share, inotify);
                }
            }
        }
        let links: Vec<(LinkId, ConnId, usize)> =
            self.machines[id].links.iter().map(|(link, (conn, side))| (*link, *conn, *side)).collect();
        for (link, conn, side) in links {
            let mut bytes = Vec::new();
            node.transmit(link, &mut bytes);
            self.bytes += bytes.len() as u64;
            let Some(c) = self.conns.get_mut(&conn) else { continue };
            let (alive, delay) = (c.alive, c.delay);
            if alive && !bytes.is_empty() {
                // Split anywhere: a record is a record however it comes.
                let mut rest = bytes;
                let mut at = self.now_ms + 1 + delay;
                while !rest.is_empty() {
                    let take =
                        if self.dice.chance(10) { 1 + self.dice.below(rest.len() as u64) as usize } else { rest.len() };
                    let tail = rest.split_off(take);
                    at += self.dice.below(3);
                    if let Some(c) = self.conns.get_mut(&conn) {
                        at = at.max(c.horizon[1 - side]);
                        c.horizon[1 - side] = at;
                    }
                    self.schedule(at, Happening::Deliver(conn, 1 - side, rest));
                    rest = tail;
                }
            }
            if self.machines[id].closing.remove(&link) {
                self.machines[id].links.remove(&link);
                let at = self.now_ms + 1;
                self.hang_up(conn, 1 - side, at);
            }
        }
        let due = node.poll_timeout();
        let has_work = node.has_work();
        self.machines[id].node = Some(node);
        self.machines[id].timer += 1;
        let timer = self.machines[id].timer;
        if has_work {
            let at = self.now_ms + 1;
            self.schedule(at, Happening::Work(id));
        } else if due != Monotonic::NEVER {
            let wait = due.0.saturating_sub(self.now(id).mono.0);
            let at = self.now_ms + wait;
            self.schedule(at, Happening::Timer(id, timer));
        }
    }

    /// The next thing happens; `false` when it lies after `until`.
    pub fn step(&mut self, until: u64) -> bool {
        let Some(&key) = self.queue.keys().next() else {
            self.now_ms = until;
            return false;
        };
        if key.0 > until {
            self.now_ms = until;
            return false;
        }
        let Some(happening) = self.queue.remove(&key) else { return false };
        self.now_ms = key.0;
        self.happened += 1;
        if self.happened >= 2_000_000 {
            let timers: Vec<String> = (0..self.machines.len())
                .filter_map(|id| {
                    let now = self.now(id).mono;
                    let due: Vec<(String, Monotonic)> =
                        self.machines[id].node.as_ref()?.timers().into_iter().filter(|(_, at)| *at <= now).collect();
                    (!due.is_empty()).then(|| format!("m{id} {now:?} {due:?}"))
                })
                .collect();
            panic!("the story runs away at {} ms: {happening:?} {timers:?}", self.now_ms);
        }
        match happening {
            Happening::Timer(id, timer) => {
                if self.machines[id].timer == timer {
                    self.note(|| format!("m{id} timer"));
                    self.with(id, |node, now| node.handle_timeout(now));
                }
            }
            Happening::Work(id) => {
                self.with(id, |node, now| {
                    if node.has_work() {
                        node.work(now, 64 * 1024);
                    }
                });
            }
            Happening::Deliver(conn, side, bytes) => {
                let Some(c) = self.conns.get(&conn) else { return true };
                let (id, link) = c.ends[side];
                let other = c.ends[1 - side].0;
                if self.is_cut(id, other) {
                    // TCP tries again until there is a cable, or somebody gives up.
                    let at = self.now_ms + 500;
                    if c.alive {
                        let c = self.conns.get_mut(&conn).unwrap();
                        c.horizon[side] = c.horizon[side].max(at);
                        let at = c.horizon[side];
                        // What follows must not overtake it.
                        let later: Vec<(u64, u64)> = self
                            .queue
                            .iter()
                            .filter(|(_, h)| matches!(h, Happening::Deliver(c, s, _) if *c == conn && *s == side))
                            .map(|(key, _)| *key)
                            .collect();
                        self.schedule(at, Happening::Deliver(conn, side, bytes));
                        for key in later {
                            let happening = self.queue.remove(&key).unwrap();
                            self.schedule(at, happening);
                        }
                    }
                    return true;
                }
                let Some(link) = link else { return true };
                if self.machines[id].links.get(&link) != Some(&(conn, side)) {
                    return true;
                }
                self.note(|| format!("m{id} hears {} bytes of m{other}", bytes.len()));
                self.with(id, |node, now| node.handle_bytes(now, link, &bytes));
            }
            Happening::Closed(conn, side) => {
                let Some(c) = self.conns.get(&conn) else { return true };
                let (id, link) = c.ends[side];
                let Some(link) = link else { return true };
                if self.machines[id].links.get(&link) == Some(&(conn, side)) {
                    self.machines[id].links.remove(&link);
                    self.machines[id].closing.remove(&link);
                    self.note(|| format!("m{id} loses a session"));
                    self.with(id, |node, now| node.handle_closed(now, link));
                }
            }
            Happening::Connect(id, link, address) => self.connect(id, link, &address),
        }
        true
    }

    fn connect(&mut self, id: MachineId, link: LinkId, address: &Address) {
        if self.machines[id].node.is_none() {
            return;
        }
        let target = (0..self.machines.len()).find(|other| Self::address(*other).to_string() == address.host);
        let reached = target.filter(|target| self.machines[*target].node.is_some() && !self.is_cut(id, *target));
        let Some(target) = reached else {
            self.with(id, |node, now| {
                node.handle_dial_failed(now, link, Trouble::Unreachable("connection refused".into()))
            });
            return;
        };
        let conn = self.next_conn;
        self.next_conn += 1;
        let delay = self.dice.below(self.slowest);
        self.note(|| format!("m{id} dials m{target}"));
        self.conns.insert(conn, Conn { ends: [(id, Some(link)), (target, None)], alive: true, delay, horizon: [0, 0] });
        self.machines[id].links.insert(link, (conn, 0));
        let there = self.machines[target].node.as_mut().map(|_| ()).is_some();
        if there {
            let now = self.now(target);
            let answered = self.machines[target].node.as_mut().unwrap().handle_incoming(now, Self::address(id));
            self.conns.get_mut(&conn).unwrap().ends[1].1 = Some(answered);
            self.machines[target].links.insert(answered, (conn, 1));
            self.after(target);
        }
        self.with(id, |node, now| node.handle_dialled(now, link, Self::address(target)));
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
                let show = |v: &Vec<(RelPath, Option<u32>, Option<Vec<u8>>)>| {
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
