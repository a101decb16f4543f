//! Machines that start, stop, die and are replaced.

use std::path::Path;

use owsync::fs::Fs;
use owsync::model::{Monotonic, Rng};
use owsync::node::{Identity, Node, Parts};
use owsync::store::history::History;
use owsync::store::{Place, Store};

use super::{MachineId, World, path};
use crate::disk::{Disk, SimFs};

impl World {
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
            reserved: machine.reserved.clone().into_iter().collect(),
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

    /// Everything is switched off for a while, batteries of clocks excepted.
    pub fn sleep_through(&mut self, days: u64) {
        self.run_ms(60_000);
        for id in 0..self.machines.len() {
            if self.machines[id].node.is_some() {
                self.stop(id);
            }
        }
        // Nobody is there to whom anything could happen.
        self.queue.clear();
        self.conns.clear();
        self.now_ms += days * 86_400_000;
        for id in 0..self.machines.len() {
            self.machines[id].boot = self.dice.next();
            self.machines[id].booted_ms = self.now_ms;
        }
    }

    pub(super) fn machine_died(&mut self, id: MachineId) {
        let killed = std::mem::take(&mut self.machines[id].disk.0.borrow_mut().killed);
        if killed { self.kill(id) } else { self.lose_power(id) }
    }

    /// The node is gone; whoever talked to it notices within `within` ms.
    pub(super) fn drop_node(&mut self, id: MachineId, within: u64) {
        self.machines[id].node = None;
        self.machines[id].timer += 1;
        self.machines[id].closing.clear();
        let links = std::mem::take(&mut self.machines[id].links);
        for (_, (conn, side)) in links {
            let at = self.now_ms + 1 + self.dice.below(within);
            self.hang_up(conn, 1 - side, at);
        }
    }
}
