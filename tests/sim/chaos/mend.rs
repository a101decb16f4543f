//! Everything is repaired, and people decide.

use std::collections::BTreeSet;

use owsync::model::{Reason, RelPath, ShareName, limits};
use owsync::node::api::{Command, Pick};

use super::Story;
use super::kinds::Kind;
use super::wide::extra;
use crate::world::{MachineId, main};

impl Story {
    /// Everything is repaired, and a person approves what is held.
    pub(super) fn mend(&mut self) -> Result<(), String> {
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
        let symlinks = self.world.share_settings(0).symlinks;
        self.end_troubles();
        for id in 0..self.machines() {
            self.world.machines[id].programs.dislikes = None;
            if self.kinds.contains(&Kind::Mode) {
                self.world.share_settings(id).mode = owsync::model::settings::Mode::Auto;
            }
            self.world.share_settings(id).validate = None;
            if self.world.machines[id].node.is_some() {
                self.world.reload(id);
            }
        }
        for _ in 0..40 {
            for id in 0..self.machines() {
                self.world.machines[id].disk.0.borrow_mut().faults.clear();
                self.start(id);
            }
            self.run(30_000);
            self.truth()?;
            self.sample();
            for id in 0..self.machines() {
                self.end_copies();
                self.open_up(id, symlinks);
                self.forget_strangers(id);
                self.make_way(id);
                self.approve(id);
                if self.people {
                    self.world.tell(id, Command::Resume { peer: None, share: None });
                    self.world.tell(id, Command::Sync { peer: None, share: None, dry_run: false, wait: false });
                }
            }
            self.run(5_000);
            if self.world.machines.iter().all(|machine| machine.node.is_some()) && self.world.is_in_sync() {
                // What is quiet stays quiet.
                self.run(70_000);
                if self.world.is_in_sync() && !self.anything_owed() {
                    if (0..self.machines()).any(|id| !self.world.is_swept(id)) {
                        // What broke off may still come; then it is given up.
                        self.world.run(limits::BROKEN_KEPT);
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Users take away what their machine leaves out where it is in the way of what others have.
    fn make_way(&mut self, id: MachineId) {
        if self.lasting.is_empty() {
            return;
        }
        let Some(node) = &self.world.machines[id].node else { return };
        let Some(state) = node.state().shares.get(&main()) else { return };
        let in_the_way = |reason: &Reason| matches!(reason, Reason::DirNotEmpty | Reason::InTheWay(_));
        let paths: BTreeSet<RelPath> =
            state.owed.iter().filter(|(_, owed)| in_the_way(&owed.reason)).map(|((_, path), _)| path.clone()).collect();
        for path in paths {
            let user = self.world.user(id);
            let lost = user.paths().into_iter().filter(|at| *at == path || at.is_below(&path));
            let lost: Vec<Vec<u8>> = lost.filter_map(|at| user.read(&at)).collect();
            self.excused.extend(lost);
            self.user_removes(id, &path);
        }
    }

    pub(super) fn anything_owed(&self) -> bool {
        self.world.machines.iter().any(|machine| {
            let owed = |node: &owsync::node::Node<crate::disk::SimFs>| {
                let shares = node.state().shares.values();
                shares.flat_map(|share| share.owed.values()).any(|owed| !self.may_stay(&owed.reason))
            };
            machine.node.as_ref().is_some_and(owed)
        })
    }

    fn approve(&mut self, id: MachineId) {
        self.approve_share(id, &main());
        if self.has_extra && id < 2 {
            self.approve_share(id, &extra());
        }
    }

    fn approve_share(&mut self, id: MachineId, name: &ShareName) {
        let Some(node) = &self.world.machines[id].node else { return };
        let Some(state) = node.state().shares.get(name) else { return };
        let first_contact = state.owed.values().any(|owed| owed.reason == Reason::FirstContact);
        let held = state.meta.hold.is_some() || state.owed.values().any(|owed| owed.reason.needs_user());
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
            self.world.command(
                id,
                Command::Approve { share: Some(name.clone()), path: None, pick: Some(pick), dry_run: false },
            );
        } else if held || sleeping {
            let reject = self.dice.chance(30) && state_held(self.world.machines[id].node.as_ref().unwrap(), name);
            if reject {
                // What only lies here is given up by a person who was asked.
                let user = self.world.machines[id].disk.user("/share");
                if user.exists() {
                    let lost = user.files().into_values().collect();
                    self.excuse(id, lost);
                    self.forget_acts(id);
                }
                self.say(id, "rejects");
                self.world.command(id, Command::Reject { share: Some(name.clone()), path: None, dry_run: false });
            } else {
                self.say(id, "approves");
                self.world.command(
                    id,
                    Command::Approve { share: Some(name.clone()), path: None, pick: None, dry_run: false },
                );
            }
        }
    }
}

fn state_held(node: &owsync::node::Node<crate::disk::SimFs>, name: &ShareName) -> bool {
    node.state().shares.get(name).is_some_and(|state| state.meta.hold.is_some())
}
