//! Looking at machines from outside: whether they are in sync, and what lies on their disks.

use std::collections::BTreeMap;
use std::time::Duration;

use owsync::model::RelPath;
use owsync::node::api::status::{CounterStatus, PeerStatus};

use super::{MachineId, World, main};

/// What lies at a path: its mode, and its content.
type Seen = (RelPath, Option<u32>, Option<Vec<u8>>);

impl World {
    /// Whether every running node says that it is in sync.
    pub fn is_in_sync(&mut self) -> bool {
        (0..self.machines.len())
            .filter(|id| self.machines[*id].node.is_some())
            .collect::<Vec<_>>()
            .into_iter()
            .all(|id| self.status(id).in_sync)
    }

    /// Time passes until everybody is in sync.
    pub fn settle(&mut self) {
        // What a user just did is not noticed yet.
        self.run_ms(700);
        // A refused path is tried again every 4 minutes at the latest, and a disk may refuse it several times.
        let quiet = self.run_until(Duration::from_secs(3_600), |world| world.is_in_sync());
        if !quiet {
            let states: Vec<String> = (0..self.machines.len())
                .filter(|id| self.machines[*id].node.is_some())
                .collect::<Vec<_>>()
                .into_iter()
                .map(|id| format!("m{id}: {:?}", self.status(id).summary))
                .collect();
            panic!("not in sync after an hour: {states:#?}");
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
                let show = |v: &[Seen]| {
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

    /// The regular files of a machine's share, by name.
    pub fn tree(&self, id: MachineId) -> BTreeMap<String, String> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        self.machines[id].disk.user("/share").files().into_iter().map(|(p, bytes)| (p.to_text(), text(bytes))).collect()
    }

    /// Why a machine's share waits, as the word that scripts test.
    pub fn hold(&self, id: MachineId) -> Option<&'static str> {
        let meta = &self.machines[id].node.as_ref()?.state().shares.get(&main())?.meta;
        meta.hold.as_ref().map(|(hold, _)| hold.code())
    }

    /// What a machine owes, by path, with the reason's word.
    pub fn owed(&self, id: MachineId) -> BTreeMap<String, &'static str> {
        let Some(node) = &self.machines[id].node else { return BTreeMap::new() };
        let Some(state) = node.state().shares.get(&main()) else { return BTreeMap::new() };
        state.owed.iter().map(|((_, path), owed)| (path.to_text(), owed.reason.code())).collect()
    }

    /// What a machine says of a path that it leaves out.
    pub fn skipped(&mut self, id: MachineId, name: &str) -> Option<String> {
        let skipped = self.share(id).skipped;
        skipped.into_iter().find(|one| one.path == name).map(|one| one.message)
    }

    /// The sentence of a machine's status.
    pub fn summary(&mut self, id: MachineId) -> String {
        self.status(id).summary
    }

    /// What a machine says of a peer; nothing if it does not know the peer.
    pub fn of_peer(&self, id: MachineId, peer: MachineId) -> PeerStatus {
        self.of_named(id, &format!("m{peer}"))
    }

    /// What a machine says of a peer by the name that it has there.
    pub fn of_named(&self, id: MachineId, name: &str) -> PeerStatus {
        self.node(id).peer_statuses(self.now(id)).remove(name).unwrap_or_default()
    }

    /// Waits until a machine says this of a peer: the word for why they do not exchange.
    pub fn await_reason(&mut self, id: MachineId, peer: MachineId, reason: &str) {
        let seen =
            self.run_until(Duration::from_secs(300), |world| world.of_peer(id, peer).reason.as_deref() == Some(reason));
        assert!(seen, "m{id} of m{peer}: {:?}, not {reason}", self.of_peer(id, peer).message);
    }

    /// The numbers that only grow.
    pub fn counters(&self, id: MachineId) -> CounterStatus {
        self.status(id).counters
    }

    /// Whether no temporary file of owsync's own lies in a machine's share.
    pub fn is_swept(&self, id: MachineId) -> bool {
        !self.machines[id].disk.user("/share").paths().iter().any(|p| p.as_bytes().starts_with(b".owsync-"))
    }
}
