//! What passes between machines, and when: the queue of happenings, connections and cables.

use owsync::model::Monotonic;
use owsync::model::reason::Trouble;
use owsync::model::settings::Address;
use owsync::node::{LinkId, Output};

use super::{Conn, ConnId, Happening, MachineId, World};

impl World {
    pub(super) fn hang_up(&mut self, conn: ConnId, side: usize, at: u64) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        c.alive = false;
        let at = at.max(c.horizon[side]);
        self.schedule(at, Happening::Closed(conn, side));
    }

    pub(super) fn schedule(&mut self, at: u64, happening: Happening) {
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

    /// Services read the configuration again: where the file `network` says so, the machine is off the network.
    pub fn put_in_force(&mut self, id: MachineId) {
        if !self.user(id).exists() {
            return;
        }
        if let Some(network) = self.read(id, "network") {
            for other in (0..self.machines.len()).filter(|other| *other != id) {
                let cut = self.machines[id].deaf_after.unwrap_or("cut");
                let there = self.machines[other]
                    .deaf_after
                    .is_some_and(|cut| self.read(other, "network").is_some_and(|network| network.contains(cut)));
                self.set_cut(id, other, there || network.contains(cut));
            }
        }
    }

    pub fn heal_all(&mut self) {
        self.cut.clear();
    }

    pub(super) fn is_cut(&self, a: MachineId, b: MachineId) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    /// Somebody who holds the wire puts bytes into a machine's session.
    #[cfg(feature = "encryption")]
    pub fn inject(&mut self, to: MachineId, bytes: Vec<u8>) {
        let (conn, side) = *self.machines[to].links.values().next().expect("a session");
        let now = self.now_ms;
        self.schedule(now, Happening::Deliver(conn, side, bytes));
    }

    /// Bytes that are on their way to a machine.
    pub fn under_way(&self, to: MachineId) -> usize {
        let bytes = |happening: &Happening| match happening {
            Happening::Deliver(conn, side, bytes) if self.conns[conn].ends[*side].0 == to => bytes.len(),
            _ => 0,
        };
        self.queue.values().map(bytes).sum()
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

    /// Takes everything a node wants done, and plans its next call.
    pub(super) fn after(&mut self, id: MachineId) {
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
                Output::Landed { share, begun, .. } => {
                    self.put_in_force(id);
                    begun.into_iter().for_each(|begun| node.handle_told(self.now(id), begun));
                    node.handle_in_force(self.now(id), &share);
                }
                Output::Check { share, check, candidates, .. } => self.validate(id, share, check, &candidates),
                Output::Uncommitted { share, question, paths } => self.name_uncommitted(id, share, question, &paths),
                Output::BeforeSend { share, paths, .. } => self.hear_before_send(id, share, &paths),
                Output::Probe { share, run, .. } => self.probe(id, share, run),
                Output::Deltas { deltas, change, .. } => self.machines[id].deltas.push((change, deltas)),
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
            self.messages += u64::from(!bytes.is_empty());
            let Some(c) = self.conns.get_mut(&conn) else { continue };
            let (alive, delay, dialled_by) = (c.alive, c.delay, c.ends[0].0);
            if alive && !bytes.is_empty() {
                if let Some(tape) = &mut self.tape {
                    tape.push((dialled_by, id, bytes.clone()));
                }
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
            Happening::Ended(id, started, answer) => self.hear_program(id, started, answer),
        }
        true
    }

    pub(super) fn connect(&mut self, id: MachineId, link: LinkId, address: &Address) {
        if self.machines[id].node.is_none() {
            return;
        }
        let at = |other: &MachineId| [Self::address(*other), Self::second_address(*other)];
        let target = (0..self.machines.len()).find(|other| at(other).iter().any(|one| one.to_string() == address.host));
        let reached = target.filter(|target| self.machines[*target].node.is_some() && !self.is_cut(id, *target));
        if let Some(mute) = target.filter(|target| self.mute.contains(target)) {
            let conn = self.next_conn;
            self.next_conn += 1;
            let ends = [(id, Some(link)), (mute, None)];
            self.conns.insert(conn, Conn { ends, alive: true, delay: 1, horizon: [0, 0] });
            self.machines[id].links.insert(link, (conn, 0));
            self.with(id, |node, now| node.handle_dialled(now, link, Self::address(mute)));
            return;
        }
        let Some(target) = reached else {
            self.with(id, |node, now| {
                node.handle_dial_failed(now, link, Trouble::Unreachable("connection refused".into()));
            });
            return;
        };
        let conn = self.next_conn;
        self.next_conn += 1;
        let delay = self.dice.below(self.slowest);
        self.note(|| format!("m{id} dials m{target}"));
        self.conns.insert(conn, Conn { ends: [(id, Some(link)), (target, None)], alive: true, delay, horizon: [0, 0] });
        let there = self.machines[target].node.as_mut().map(|_| ()).is_some();
        if there {
            let now = self.now(target);
            let from = Self::address(self.seen.get(&id).copied().unwrap_or(id));
            let answered = self.machines[target].node.as_mut().unwrap().handle_incoming(now, from);
            self.conns.get_mut(&conn).unwrap().ends[1].1 = Some(answered);
            self.machines[target].links.insert(answered, (conn, 1));
            self.after(target);
        }
        // Not before: a machine that dials itself says nothing on a session that is not connected.
        self.machines[id].links.insert(link, (conn, 0));
        self.with(id, |node, now| node.handle_dialled(now, link, Self::address(target)));
    }
}
