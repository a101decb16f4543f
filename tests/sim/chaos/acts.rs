//! What may happen next.

use owsync::model::{PeerName, RelPath};
use owsync::node::api::Command;

use super::Story;
use crate::disk::{Fault, Intrusion};
use crate::world::{MachineId, main, path};

impl Story {
    /// A person pauses something for a while, or for good, or lets what waits cross.
    fn person_acts(&mut self, id: MachineId) {
        let share = if self.dice.chance(50) { Some(main()) } else { None };
        let command = match self.dice.below(5) {
            0 => Command::Pause { peer: None, share, reason: None, seconds: Some(1 + self.dice.below(100)) },
            1 => Command::Pause { peer: None, share, reason: Some("a test".into()), seconds: None },
            2 => Command::Resume { peer: None, share },
            _ => Command::Sync { peer: None, share: None, dry_run: false, wait: false },
        };
        self.say(id, &format!("says {command:?}"));
        self.command(id, command);
    }

    pub(super) fn command(&mut self, id: MachineId, command: Command) {
        self.world.tell(id, command);
        // What somebody did to a file while it was answered came before what users do next.
        self.notice_intrusions(id);
    }

    pub(super) fn act(&mut self) -> Result<(), String> {
        let wait = match self.dice.below(20) {
            0..=7 => self.dice.below(60),
            8..=16 => self.dice.below(3_000),
            17..=18 => self.dice.below(20_000),
            _ => self.dice.below(150_000),
        };
        self.run(wait);
        self.truth()?;
        self.sample();
        let id = self.dice.below(self.machines() as u64) as usize;
        self.trouble(id);
        let name = self.name();
        if self.people && self.dice.chance(15) {
            self.person_acts(id);
        }
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
                // A directory that nobody may enter is a kind of trouble of its own.
                let mode = if user.exists() && user.read(&name).is_some() { mode } else { mode | 0o700 };
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
                        self.world.machines[id].disk.remove_root("/share");
                    } else {
                        self.world.machines[id].disk.unmount("/share");
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
            _ => self.ask(id),
        }
        Ok(())
    }

    /// A person asks what would happen, and what differs: nothing does by that.
    fn ask(&mut self, id: MachineId) {
        let (share, path) = (None, None);
        let what = match self.dice.below(4) {
            0 => Command::Sync { peer: None, share, dry_run: true, wait: false },
            1 => Command::Approve { share, path, pick: None, dry_run: true },
            2 => Command::Reject { share, path, dry_run: true },
            _ => {
                let peer = PeerName(format!("m{}", self.dice.below(self.machines() as u64)).into());
                Command::DiffPeer { peer, share, path: self.name(), number: None, options: false }
            }
        };
        self.command(id, what);
    }

    pub(super) fn mount(&mut self, id: MachineId) {
        self.world.machines[id].disk.mount("/share");
    }

    pub(super) fn crash(&mut self, id: MachineId) {
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

    pub(super) fn reset(&mut self, id: MachineId) {
        self.mount(id);
        // A machine that starts anew has nothing mounted: what was hidden goes with the rest.
        self.world.machines[id].disk.unmount_all();
        let lost = self.everything(id);
        self.excuse(id, lost);
        self.forget_acts(id);
        self.world.factory_reset(id);
        if self.has_extra && id < 2 {
            self.world.machines[id].disk.add_root("/extra");
        }
        self.pasts.remove(&id);
        self.backups.remove(&id);
        self.copies.remove(&id);
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
    pub(super) fn restore_database(&mut self, id: MachineId) {
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
}
