//! What may happen in stories that have this or that kind of trouble.

use std::path::PathBuf;

use owsync::fs::scan::Hint;
use owsync::model::settings::{Mode, ShareSettings, Symlinks};
use owsync::model::{Direction, NodeId, RelPath, ShareName, StateId, Version};
use owsync::node::api::Command;
use owsync::proto::Message;
use owsync::proto::message::{Chunk, Offer, Piece, Progress};

use super::kinds::Kind;
use super::{Lasting, Story};
use crate::world::stranger::{Stranger, digest};
use crate::world::{MachineId, main, path};

/// A share that not all machines have.
pub(super) fn extra() -> ShareName {
    ShareName::parse("extra").expect("a name")
}

/// The longest path there is: 16 components, 15 of them of 255 bytes.
fn longest() -> RelPath {
    let mut bytes = Vec::new();
    for component in 0..16 {
        bytes.extend(std::iter::repeat_n(b'a' + component, 255));
        bytes.push(b'/');
    }
    bytes.truncate(owsync::model::limits::PATH_MAX - 1);
    RelPath::parse(&bytes).expect("a path within the limits")
}

impl Story {
    /// Chooses what trouble this story has, and prepares for it.
    pub(super) fn choose_kinds(&mut self, enabled: &[Kind]) {
        if enabled.is_empty() || !self.dice.chance(70) {
            return;
        }
        for _ in 0..1 + self.dice.below(3) {
            let kind = *self.dice.pick(enabled);
            self.kinds.insert(kind);
        }
        if self.kinds.contains(&Kind::LongPath) {
            self.names.push(longest());
            self.names.push(path(&"n".repeat(255)));
        }
        if self.kinds.contains(&Kind::OddName) {
            for name in [&b"caf\xe9"[..], b"\xff\xfe/\x80", b"-", b" ", b"..."] {
                self.names.push(RelPath::parse(name).expect("a name"));
            }
        }
        if self.kinds.contains(&Kind::FilterForGood) {
            for _ in 0..1 + self.dice.below(2) {
                let id = self.dice.below(self.machines() as u64) as usize;
                let lasting = match self.dice.below(3) {
                    0 => Lasting { exclude: vec![b"vpn".to_vec()], max: None },
                    1 => Lasting { exclude: vec![b"d/e".to_vec(), b"dhcp".to_vec()], max: None },
                    _ => Lasting { exclude: Vec::new(), max: Some(1 + self.dice.below(100)) },
                };
                let share = self.world.share_settings(id);
                share.exclude.clone_from(&lasting.exclude);
                share.max_file_size = lasting.max.unwrap_or(share.max_file_size);
                self.lasting.insert(id, lasting);
                // Others do not hear of everything that its users replace, nor by way of it.
                (0..self.machines()).for_each(|id| self.give_up_claims(id));
            }
        }
        if self.kinds.contains(&Kind::ShareForGood) {
            self.kinds.remove(&Kind::OtherShare);
            self.has_extra = true;
            for id in 0..2 {
                let mut share = ShareSettings::new(extra(), PathBuf::from("/extra"));
                share.include = vec![b"*".to_vec()];
                self.world.machines[id].settings.shares.push(share);
                self.world.machines[id].disk.add_root("/extra");
            }
        }
        if self.kinds.contains(&Kind::Links) && self.dice.chance(60) {
            for id in 0..self.machines() {
                self.world.share_settings(id).symlinks = Symlinks::Copy;
            }
        }
    }

    /// One of the troubles that this story has.
    pub(super) fn trouble(&mut self, id: MachineId) {
        let kinds: Vec<Kind> = self.kinds.iter().copied().collect();
        if kinds.is_empty() || !self.dice.chance(35) {
            return;
        }
        let kind = *self.dice.pick(&kinds);
        if self.cause(kind, id) {
            self.tally.note(kind.word());
        }
    }

    fn works_in_share(&self, id: MachineId) -> bool {
        self.world.user(id).exists() && !self.world.machines[id].disk.is_hidden("/share")
    }

    /// Whether it came to that.
    fn cause(&mut self, kind: Kind, id: MachineId) -> bool {
        let name = self.name();
        match kind {
            Kind::Empty => {
                // The same on many machines, and of many times.
                self.excused.insert(Vec::new());
                self.user_writes(id, &name, Vec::new())
            }
            Kind::Times => self.user_writes_in_a_row(id, &name),
            Kind::LongPath | Kind::OddName => {
                let extra = self.names.len() as u64;
                let name = self.names[self.dice.below(extra) as usize].clone();
                let content = self.content(id).into_bytes();
                self.user_writes(id, &name, content)
            }
            Kind::Links => self.user_links(id, &name),
            Kind::Swap => self.user_swaps(id, &name),
            Kind::Mount => {
                if self.dice.chance(40) {
                    self.say(id, "unmounts all");
                    self.world.machines[id].disk.unmount_all();
                    return true;
                }
                let dir = path(self.dice.pick::<&str>(&["d", "d/e", "vpn"]));
                let mounted = self.works_in_share(id) && self.world.machines[id].disk.mount_on("/share", &dir);
                if mounted {
                    self.say(id, &format!("mounts on {dir}"));
                    self.world.announce(id, &dir);
                }
                mounted
            }
            Kind::Permissions => self.user_forbids(id, &name),
            Kind::Direction => {
                let direction =
                    *self.dice.pick(&[Direction::Both, Direction::Send, Direction::Receive, Direction::Observe]);
                self.give_up_claims(id);
                self.world.share_settings(id).direction = direction;
                self.reload(id, &format!("direction {}", direction.word()))
            }
            Kind::Filter => {
                let exclude: Vec<Vec<u8>> = match self.dice.below(3) {
                    0 => Vec::new(),
                    1 => vec![b"d".to_vec(), b"d/**".to_vec()],
                    _ => vec![name.as_bytes().to_vec()],
                };
                self.give_up_claims(id);
                let always = self.lasting.get(&id).map(|lasting| lasting.exclude.clone()).unwrap_or_default();
                self.world.share_settings(id).exclude = [always, exclude].concat();
                self.reload(id, "filter")
            }
            Kind::SizeLimit => {
                let max = *self.dice.pick(&[0, 20, 100, 200_000]);
                self.give_up_claims(id);
                let max = self.lasting.get(&id).and_then(|lasting| lasting.max).unwrap_or(max);
                self.world.share_settings(id).max_file_size = max;
                self.reload(id, &format!("max_file_size {max}"))
            }
            Kind::Mode => {
                self.people = true;
                let mode = *self.dice.pick(&[Mode::Auto, Mode::Manual]);
                self.world.share_settings(id).mode = mode;
                self.reload(id, "mode")
            }
            Kind::Descriptors => {
                let left = *self.dice.pick(&[0, 1, 2, 5, usize::MAX]);
                self.say(id, &format!("{left} descriptors"));
                self.world.machines[id].disk.0.borrow_mut().descriptors = left;
                true
            }
            Kind::Inodes => {
                let left = *self.dice.pick(&[0, 1, 3, 10, usize::MAX]);
                self.say(id, &format!("{left} inodes left"));
                self.world.machines[id].disk.set_spare_inodes(left);
                true
            }
            Kind::HistoryDisk => {
                let full = self.dice.chance(60);
                self.say(id, &format!("history full: {full}"));
                self.world.machines[id].disk.0.borrow_mut().full_below = full.then(|| b"owsync.db-history".to_vec());
                true
            }
            Kind::RootSwapped => {
                if !self.works_in_share(id) {
                    self.mount(id);
                    return false;
                }
                let foreign = if self.dice.chance(50) { path("foreign") } else { name };
                let content = format!("foreign {}", self.count).into_bytes();
                self.count += 1;
                self.excused.insert(content.clone());
                // What lies in the old one is older than what others made of it, when it comes back.
                let old = self.everything(id);
                self.excused.extend(old);
                self.say(id, "another directory is in the root's place");
                self.world.machines[id].disk.swap_root("/share", &foreign, &content);
                true
            }
            Kind::Emptied => {
                if !self.works_in_share(id) {
                    return false;
                }
                let all: Vec<RelPath> = self.world.user(id).paths();
                let top: Vec<RelPath> = all.into_iter().filter(|path| path.parent().is_none()).collect();
                for name in top.iter().filter(|name| !name.as_bytes().starts_with(b".owsync-")) {
                    self.user_removes(id, name);
                }
                !top.is_empty()
            }
            Kind::Decides => self.decides(id),
            Kind::OpenFile => self.writes_to_open_file(id, &name),
            Kind::Clone => self.copy_database(id),
            Kind::OtherShare => {
                let name = extra();
                let shares = &mut self.world.machines[id].settings.shares;
                if shares.len() > 1 {
                    shares.truncate(1);
                } else {
                    let mut share = ShareSettings::new(name, PathBuf::from("/extra"));
                    share.include = vec![b"*".to_vec()];
                    shares.push(share);
                    if !self.world.machines[id].disk.user("/extra").exists() {
                        self.world.machines[id].disk.add_root("/extra");
                    }
                }
                self.reload(id, "a share that nobody else has")
            }
            Kind::Hostile => self.hostile(id),
            // It leaves something out all the time.
            Kind::FilterForGood => {
                let ids: Vec<MachineId> = self.lasting.keys().copied().collect();
                let id = *self.dice.pick(&ids);
                let name = path(self.dice.pick::<&str>(&["vpn/key", "d/e/f", "dhcp", "firewall"]));
                let content = self.content(id).into_bytes();
                self.user_writes(id, &name, content)
            }
            Kind::ShareForGood => self.writes_to_extra(&name),
        }
    }

    /// A user of one of the two machines that have another share writes to it, or removes something.
    fn writes_to_extra(&mut self, name: &RelPath) -> bool {
        let id = self.dice.below(2) as usize;
        let content = self.content(id).into_bytes();
        let user = self.world.user_of(id, "/extra");
        let done = if self.dice.chance(70) { user.write(name, &content) } else { user.remove(name) };
        if done {
            self.say(id, &format!("changes {name} of the share extra"));
            let hint = Hint { path: name.ancestors().last().unwrap_or_else(|| name.clone()), deep: true };
            self.world.with(id, |node, now| node.handle_change(now, &extra(), Some(hint)));
        }
        done
    }

    pub(super) fn reload(&mut self, id: MachineId, what: &str) -> bool {
        self.say(id, &format!("configures {what}"));
        if self.world.machines[id].node.is_some() {
            self.world.reload(id);
            self.notice_intrusions(id);
        }
        true
    }

    /// What users of a machine replaced may come back: by its settings others do not hear of it, or not for sure.
    pub(super) fn give_up_claims(&mut self, id: MachineId) {
        for ((_, content), replaced) in &mut self.written {
            if *replaced == Some(id) {
                *replaced = None;
                self.excused.insert(content.clone());
            }
        }
        self.restricted.insert(id);
    }

    /// Several versions of one file, with times of all sorts, some of them before owsync looks.
    fn user_writes_in_a_row(&mut self, id: MachineId, name: &RelPath) -> bool {
        let mut written = false;
        let base = self.world.wall(id).plus_ms(-(self.dice.below(200_000_000) as i64));
        for _ in 0..2 + self.dice.below(3) {
            let content = self.content(id).into_bytes();
            if !self.user_writes(id, name, content) {
                continue;
            }
            written = true;
            let wall = self.world.wall(id);
            let time = match self.dice.below(4) {
                0 => base,
                1 => wall.plus_ms(self.dice.below(86_400_000) as i64),
                2 => base.plus_ms(-(self.dice.below(1_000_000) as i64)),
                _ => wall,
            };
            self.world.user(id).set_mtime(name, time);
            self.announce(id, name);
            let pause = *self.dice.pick(&[0, 0, 100, 400, 2_000]);
            self.run(pause);
        }
        written
    }

    /// A symlink takes the place of whatever is there, or goes.
    fn user_links(&mut self, id: MachineId, name: &RelPath) -> bool {
        if !self.works_in_share(id) {
            return false;
        }
        let text: &[u8] = self.dice.pick::<&[u8]>(&[&b"dhcp"[..], b"network", b"e", b"../outside", b"/etc/passwd"]);
        let user = self.world.user(id);
        // Where symlinks are ignored, what a link replaced is not deleted.
        let below: Vec<RelPath> = user.paths().into_iter().filter(|p| p == name || p.is_below(name)).collect();
        let old: Vec<Vec<u8>> = below.iter().filter_map(|p| user.read(p)).collect();
        self.excused.extend(old);
        self.excused.insert([b"-> ", text].concat());
        self.user_removes(id, name);
        let made = self.world.user(id).make_link(name, text);
        if made {
            self.say(id, &format!("links {name}"));
            self.announce(id, name);
        }
        made
    }

    /// A file becomes a directory with something in it, or the reverse, perhaps several times.
    fn user_swaps(&mut self, id: MachineId, name: &RelPath) -> bool {
        let mut swapped = false;
        for _ in 0..1 + self.dice.below(3) {
            if !self.works_in_share(id) {
                return swapped;
            }
            let is_file = self.world.user(id).read(name).is_some();
            self.user_removes(id, name);
            let content = self.content(id).into_bytes();
            let Ok(below) = RelPath::below(Some(name), b"below") else { return swapped };
            swapped |= self.user_writes(id, if is_file { &below } else { name }, content);
            let pause = *self.dice.pick(&[0, 100, 700]);
            self.run(pause);
        }
        swapped
    }

    /// Files and directories that owsync may not read, write or enter.
    fn user_forbids(&mut self, id: MachineId, name: &RelPath) -> bool {
        if !self.works_in_share(id) {
            return false;
        }
        let dir = path(self.dice.pick::<&str>(&["d", "d/e", "vpn"]));
        let name = if self.dice.chance(50) { name.clone() } else { dir };
        let mode = *self.dice.pick(&[0o000, 0o555, 0o444, 0o300, 0o755]);
        let user = self.world.user(id);
        let below: Vec<RelPath> = user.paths().into_iter().filter(|p| *p == name || p.is_below(&name)).collect();
        // What lies there while nobody can read it may be older or newer than what others have.
        let seen: Vec<Vec<u8>> = below.iter().filter_map(|p| user.read(p)).collect();
        let done = user.chmod(&name, mode);
        if done {
            self.excused.extend(seen);
            self.say(id, &format!("chmods {name} {mode:o}"));
            self.announce(id, &name);
        }
        done
    }

    /// A person approves or rejects, whatever there is.
    fn decides(&mut self, id: MachineId) -> bool {
        if self.world.machines[id].node.is_none() {
            return false;
        }
        // A person who decides about a directory that is not there, or about one half, gives up what others may have.
        let all: Vec<Vec<u8>> = (0..self.machines()).flat_map(|id| self.everything(id)).collect();
        self.excused.extend(all);
        (0..self.machines()).for_each(|id| self.give_up_claims(id));
        let approves = self.dice.chance(60);
        self.say(id, if approves { "approves, whatever there is" } else { "rejects, whatever there is" });
        let (share, path) = (None, None);
        let command = if approves {
            Command::Approve { share, path, pick: None, dry_run: false }
        } else {
            Command::Reject { share, path, dry_run: false }
        };
        self.command(id, command);
        true
    }

    /// A program keeps a file open and writes to it, wherever the file lies by then.
    fn writes_to_open_file(&mut self, id: MachineId, name: &RelPath) -> bool {
        if !self.works_in_share(id) {
            return false;
        }
        let user = self.world.user(id);
        // A machine that was off, or is another one by now, runs none of its former programs.
        let boot = self.world.boot(id);
        let Some((file, at, _)) = self.open.remove(&id).filter(|(.., since)| *since == boot) else {
            if let Some(file) = user.open(name) {
                self.say(id, &format!("opens {name}"));
                self.open.insert(id, (file, name.clone(), boot));
            }
            return false;
        };
        let content = self.content(id).into_bytes();
        if file.is_at(&user, &at) {
            let old = user.read(&at);
            file.save(&content);
            self.say(id, &format!("writes to the open {at}"));
            self.replaced(id, &at, old, Some(content));
            self.announce(id, &at);
            self.open.insert(id, (file, at, boot));
        } else {
            // Its name is another file's by now, so nobody counts on what is written here. Where the file was renamed or is
            // hidden by a mount, the program destroys what it held; what owsync set aside is owsync's to keep.
            self.excused.extend(file.named_content("/share"));
            file.save(&content);
            self.say(id, &format!("writes to what was {at}"));
        }
        true
    }

    /// The database of another machine is copied here, as an image of a router is.
    fn copy_database(&mut self, id: MachineId) -> bool {
        let other = self.dice.below(self.machines() as u64) as usize;
        if other == id || self.world.machines[id].node.is_none() {
            return false;
        }
        let database = |p: &RelPath| p.as_bytes() == b"owsync.db" || p.as_bytes() == b"owsync.db-journal";
        let files = self.world.machines[other].disk.snapshot("/state");
        let files: Vec<(RelPath, Vec<u8>)> = files.into_iter().filter(|(p, _)| database(p)).collect();
        if files.is_empty() {
            return false;
        }
        self.world.stop(id);
        let seen = self.everything(id);
        self.excused.extend(seen);
        self.forget_acts(id);
        self.give_up_claims(id);
        let state = self.world.machines[id].disk.user("/state");
        state.remove(&path("owsync.db"));
        state.remove(&path("owsync.db-journal"));
        for (p, bytes) in files {
            state.write(&p, &bytes);
        }
        self.say(id, &format!("gets a copy of the database of m{other}"));
        if self.world.machines[id].identity.is_none() {
            // Its identity came with it: two machines are one node until a user does what both of them say.
            self.copies.insert(id);
            self.give_up_claims(other);
        }
        self.start(id);
        true
    }

    /// Somebody with a place in the network who misbehaves, within the protocol and beyond.
    fn hostile(&mut self, id: MachineId) -> bool {
        if self.world.machines[id].node.is_none() {
            return false;
        }
        let current =
            self.strangers.iter().position(|stranger| Some(stranger.whom().1) == self.world.started(stranger.whom().0));
        let mut stranger = match current {
            Some(at) if self.dice.chance(70) => self.strangers.swap_remove(at),
            _ => {
                self.count += 1;
                let mut node = [0xee; 16];
                node[14] = (self.count >> 8) as u8;
                node[15] = self.count as u8;
                let state = StateId(self.dice.next());
                match self.world.call(id, NodeId(node), state) {
                    Some(stranger) => {
                        self.claimed.insert(stranger.node);
                        stranger
                    }
                    None => return false,
                }
            }
        };
        let to = stranger.whom().0;
        if self.world.started(to) != Some(stranger.whom().1) || stranger.is_closed(&self.world) {
            return false;
        }
        stranger.talk(&mut self.world);
        stranger.take_want();
        self.misbehave(to, &mut stranger);
        self.notice_intrusions(to);
        self.strangers.push(stranger);
        true
    }

    fn misbehave(&mut self, to: MachineId, stranger: &mut Stranger) {
        let what = self.dice.below(7);
        self.say(to, &format!("hears misbehaviour {what}"));
        self.count += 1000;
        let seq = 1_000_000 + self.count;
        let offer = |story: &Story, n: u64| -> Offer {
            let mut offer = story.world.offer(to, &format!("evil/{n}"), &format!("content {n}"), seq + n);
            offer.entry.version = Version::from_pairs([(StateId(0xbad), seq + n)]);
            offer
        };
        match what {
            // A flood of files whose content it never supplies.
            0 => {
                let count = 1 + self.dice.below(300);
                let offers = (0..count).map(|n| offer(self, n)).collect();
                stranger.offer_part(&mut self.world, offers, true);
            }
            // Strange versions.
            1 => {
                let mut one = offer(self, 1);
                let ids = *self.dice.pick(&[1, 32, 255, 256]);
                let number = *self.dice.pick(&[0, 1, u64::MAX, u64::MAX - 1]);
                one.entry.version = Version::from_pairs((0..ids).map(|n| (StateId(0xbad0 + n), number)));
                stranger.offer_part(&mut self.world, vec![one], true);
            }
            // Numbers of the node's own that it never gave.
            2 => {
                let mut one = offer(self, 2);
                one.entry.version = Version::from_pairs([(stranger.state, u64::MAX - 1)]);
                stranger.offer_part(&mut self.world, vec![one], true);
            }
            // It asks for what nobody has.
            3 => {
                let piece = |n| Piece {
                    id: n,
                    path: path("nothing/here"),
                    digest: digest("no such content"),
                    offset: u64::from(n),
                    length: u64::MAX / 2,
                };
                stranger
                    .say(&mut self.world, &Message::Request { share: main(), pieces: (0..20).map(piece).collect() });
            }
            // A batch that does not end.
            4 => {
                let offers = (0..50).map(|n| Offer { batch: seq, ..offer(self, n) }).collect();
                stranger.offer_part(&mut self.world, offers, false);
            }
            // Content that nobody asked for.
            5 => {
                let chunk = Chunk { id: 7, offset: 0, bytes: b"unasked".to_vec() };
                stranger.say(&mut self.world, &Message::Data(vec![chunk]));
            }
            // It applied what it was never offered, and reads nothing from here on.
            _ => {
                let progress = Progress {
                    share: main(),
                    heard: u64::MAX,
                    applied: u64::MAX,
                    settled: u64::MAX,
                    pending: u32::MAX,
                    left_out: Default::default(),
                    paths: Vec::new(),
                    unreleased: u32::MAX,
                    unconfirmed: u32::MAX,
                    full: false,
                };
                stranger.say_deafly(&mut self.world, &Message::Progress(progress));
            }
        }
    }

    /// Whatever this story had of troubles ends.
    pub(super) fn end_troubles(&mut self) {
        for stranger in std::mem::take(&mut self.strangers) {
            let (to, started) = stranger.whom();
            if self.world.started(to) == Some(started) && !stranger.is_closed(&self.world) {
                stranger.hang_up(&mut self.world);
            }
        }
        for id in 0..self.machines() {
            let disk = self.world.machines[id].disk.clone();
            disk.unmount_all();
            disk.set_spare_inodes(usize::MAX);
            disk.0.borrow_mut().full_below = None;
            disk.0.borrow_mut().descriptors = usize::MAX;
            let symlinks = self.world.share_settings(id).symlinks;
            if !self.has_extra {
                self.world.machines[id].settings.shares.truncate(1);
            }
            let lasting = self.lasting.get(&id).cloned().unwrap_or_default();
            let share = self.world.share_settings(id);
            share.direction = Direction::Both;
            share.exclude = lasting.exclude;
            share.max_file_size = lasting.max.unwrap_or_else(owsync::model::settings::default_max_file_size);
            self.open_up(id, symlinks);
        }
    }

    /// Users let owsync read and write everything, and take away symlinks that it does not sync.
    pub(super) fn open_up(&mut self, id: MachineId, symlinks: Symlinks) {
        let user = self.world.user(id);
        if !user.exists() {
            return;
        }
        for name in user.paths().into_iter().filter(|name| !name.as_bytes().starts_with(b".owsync-")) {
            let Some(mode) = user.mode(&name) else { continue };
            let content = user.read(&name);
            let leaves = content.as_ref().is_some_and(|text| text.starts_with(b"-> .") || text.starts_with(b"-> /"));
            let is_link = content.as_ref().is_some_and(|text| text.starts_with(b"-> "));
            if is_link {
                if (symlinks == Symlinks::Ignore || leaves) && user.remove(&name) {
                    self.say(id, &format!("takes the symlink {name} away"));
                    self.announce(id, &name);
                }
                continue;
            }
            let wanted = mode | if content.is_some() { 0o600 } else { 0o700 };
            if wanted != mode && user.chmod(&name, wanted) {
                self.say(id, &format!("chmods {name} {wanted:o}"));
                self.excused.extend(content);
                self.announce(id, &name);
            }
        }
    }

    /// Whoever has a copy of another node's database makes another node of it.
    pub(super) fn end_copies(&mut self) {
        for id in std::mem::take(&mut self.copies) {
            if self.world.machines[id].node.is_some() {
                self.say(id, "makes a new identity");
                self.command(id, Command::NewIdentity);
            } else {
                self.copies.insert(id);
            }
        }
    }

    /// Nodes that a hostile peer claimed to be are forgotten.
    pub(super) fn forget_strangers(&mut self, id: MachineId) {
        let Some(node) = &self.world.machines[id].node else { return };
        let known: Vec<NodeId> =
            node.state().peers.keys().copied().filter(|node| self.claimed.contains(node)).collect();
        for node in known {
            self.world.tell(id, Command::ForgetPeer { peer: node.to_hex() });
        }
    }
}
