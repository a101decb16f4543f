//! What people decide.

use crate::fs::apply::{self, Refusal};
use crate::fs::form::Content as FormContent;
use crate::fs::scan::Hint;
use crate::fs::{Attributes, Fs, Root};
use crate::model::reason::Trouble;
use crate::model::{
    Entry, Kind, Monotonic, NodeId, Now, PeerName, Reason, Record, RelPath, ShareName, Sleep, Stamp, escape, limits,
};
use crate::node::api::{Command, Fault, Level, Pick, Reply, Tree};
use crate::node::land::seen_in;
use crate::node::{CommandId, LinkId, Node, Output};
use crate::reconcile;
use crate::store::state::{Change, KnownPeer, Owed, ShareMeta, Token, Why};

/// A `sync` that somebody waits for.
pub(crate) struct Run {
    pub id: u64,
    pub command: CommandId,
    pub share: Option<ShareName>,
    pub peer: Option<PeerName>,
    pub deadline: Monotonic,
    /// Shares that were not looked at since it began.
    pub unseen: Vec<ShareName>,
}

impl<F: Fs> Node<F> {
    /// Does what somebody asks.
    pub(crate) fn command(&mut self, now: Now, id: CommandId, command: Command) {
        let reply = match command {
            Command::Status => Reply::Done(self.status(now)),
            Command::Peers => Reply::Done(Tree::map().with("peers", self.peers_tree(now))),
            Command::Shares => Reply::Done(Tree::map().with("shares", self.shares_tree(now))),
            Command::Files { share, from } => self.with_share(share, |node, name| node.files(&name, from.as_ref())),
            Command::Sync { peer, share, dry_run: true, .. } => self.preview(peer.as_ref(), share.as_ref()),
            Command::Sync { peer, share, wait, .. } => match self.sync(now, id, peer, share, wait) {
                Some(reply) => reply,
                // The answer comes when it is done.
                None => return,
            },
            Command::Pause { peer, share } => self.set_paused(now, peer.as_ref(), share.as_ref(), true),
            Command::Resume { peer, share } => self.set_paused(now, peer.as_ref(), share.as_ref(), false),
            Command::Approve { share, path, pick } => {
                self.with_share(share, |node, name| node.approve(now, &name, path.as_ref(), pick))
            }
            Command::Reject { share, path } => {
                self.with_share(share, |node, name| node.reject(now, &name, path.as_ref()))
            }
            Command::Log { share, path, limit } => self.log_tree(share.as_ref(), path.as_ref(), limit),
            Command::Show { number } => self.show(number),
            Command::Restore { number } => self.restore(now, number),
            Command::Forget { share, path } => self.with_share(share, |node, name| node.forget(&name, &path)),
            Command::Accept { peer } => self.accept(now, peer.as_deref()),
            Command::ForgetPeer { peer } => self.forget_peer(now, &peer),
            Command::Invite => self.invite(now),
            Command::Init => self.init(now),
            Command::Identity => Reply::Done(self.identity_tree()),
        };
        self.outputs.push_back(Output::Reply { id, reply });
    }

    /// The share that is meant: the named one, or the only one.
    fn with_share(&mut self, share: Option<ShareName>, then: impl FnOnce(&mut Self, ShareName) -> Reply) -> Reply {
        let names: Vec<ShareName> = self.shares.keys().cloned().collect();
        match (share, &names[..]) {
            (Some(name), _) if self.shares.contains_key(&name) => then(self, name),
            (Some(name), _) => Reply::failed(Fault::NotFound, format!("there is no share {name}")),
            (None, [only]) => then(self, only.clone()),
            (None, []) => Reply::failed(Fault::NotFound, "there is no share"),
            (None, _) => Reply::failed(Fault::Argument, "there are several shares: name one"),
        }
    }

    /// Looks at everything again and exchanges it; `None` when the answer comes later.
    fn sync(
        &mut self,
        now: Now,
        id: CommandId,
        peer: Option<PeerName>,
        share: Option<ShareName>,
        wait: bool,
    ) -> Option<Reply> {
        if share.as_ref().is_some_and(|name| !self.shares.contains_key(name)) {
            return Some(Reply::failed(Fault::NotFound, "there is no such share"));
        }
        if peer.as_ref().is_some_and(|name| !self.knows_peer(name)) {
            return Some(Reply::failed(Fault::NotFound, "there is no such peer"));
        }
        let names: Vec<ShareName> =
            self.shares.keys().filter(|name| share.as_ref().is_none_or(|only| only == *name)).cloned().collect();
        for name in &names {
            if let Some(share) = self.shares.get_mut(name) {
                share.next_poll = now.mono;
                share.scan = None;
            }
            self.retry_owed(now, name, false, |_, _, _| true);
        }
        self.dial_now(now, peer.as_ref());
        let run = Run {
            id: self.next_sync,
            command: id,
            share,
            peer,
            deadline: now.mono.plus(limits::SYNC_TIME),
            unseen: names,
        };
        self.next_sync += 1;
        let started = Reply::Done(Tree::map().with("started", true).with("run", run.id));
        self.syncs.push(run);
        if wait {
            return None;
        }
        if let Some(run) = self.syncs.last_mut() {
            run.command = 0;
        }
        Some(started)
    }

    /// Ends the runs whose exchanges are over, or whose time is.
    pub(crate) fn time_runs(&mut self, now: Now) {
        let mut index = 0;
        while let Some(run) = self.syncs.get(index) {
            let looked = run.unseen.is_empty();
            let late = now.mono >= run.deadline;
            let behind = self.behind(now, run.peer.as_ref(), run.share.as_ref());
            if !late && (!looked || behind.iter().any(|(_, moving)| *moving)) {
                index += 1;
                continue;
            }
            let run = self.syncs.remove(index);
            let moving = !looked || behind.iter().any(|(_, moving)| *moving);
            let missing: Vec<Tree> = behind.into_iter().map(|(text, _)| Tree::Text(text)).collect();
            let done = missing.is_empty() && looked;
            let tree =
                Tree::map().with("run", run.id).with("in_sync", done).with("moving", moving).with("missing", missing);
            if run.command != 0 {
                self.outputs.push_back(Output::Reply { id: run.command, reply: Reply::Done(tree) });
            }
        }
    }

    /// A share was looked at as a whole.
    pub(crate) fn note_looked(&mut self, name: &ShareName) {
        for run in &mut self.syncs {
            run.unseen.retain(|unseen| unseen != name);
        }
    }

    fn set_paused(&mut self, now: Now, peer: Option<&PeerName>, share: Option<&ShareName>, paused: bool) -> Reply {
        if peer.is_some_and(|name| !self.dials.contains_key(name))
            || share.is_some_and(|name| !self.shares.contains_key(name))
        {
            return Reply::failed(Fault::NotFound, "there is no such peer or share");
        }
        if peer.is_some() || share.is_none() {
            for (name, dial) in &mut self.dials {
                if peer.is_none_or(|only| only == name) {
                    dial.paused = paused;
                    dial.at = now.mono;
                }
            }
            let links: Vec<LinkId> = self
                .links
                .iter()
                .filter(|(_, link)| {
                    link.is_admitted() && link.section.as_ref().is_some_and(|s| peer.is_none_or(|only| only == s))
                })
                .map(|(id, _)| *id)
                .collect();
            if paused {
                for id in links {
                    self.say_bye(now, id, Trouble::EndedHere("paused by a person"));
                }
            }
        }
        if peer.is_none() {
            let names: Vec<ShareName> =
                self.shares.keys().filter(|name| share.is_none_or(|only| only == *name)).cloned().collect();
            for name in names {
                self.pause_share(&name, paused);
            }
        }
        self.stirred = true;
        Reply::Done(Tree::map().with("paused", paused))
    }

    fn pause_share(&mut self, name: &ShareName, paused: bool) {
        let Some(share) = self.shares.get_mut(name) else { return };
        if std::mem::replace(&mut share.paused, paused) == paused {
            return;
        }
        let ready = share.ready;
        if paused {
            self.drop_batches(name, |_| true);
        }
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.exchanges.contains_key(name)).map(|(id, _)| *id).collect();
        for id in links {
            if paused {
                if let Some(exchange) = self.links.get_mut(&id).and_then(|link| link.exchanges.get_mut(name)) {
                    exchange.listening = false;
                    exchange.partial.clear();
                }
            } else if ready && self.hold_of(name).is_none() {
                self.listen(id, name);
            }
        }
        self.log(
            Level::Notice,
            format!("share {name}: {}", if paused { "paused by a person" } else { "resumed by a person" }),
        );
    }

    fn approve(&mut self, now: Now, name: &ShareName, path: Option<&RelPath>, pick: Option<Pick>) -> Reply {
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        let mut done = 0u64;
        if let Some(pick) = pick {
            done += self.pick(now, name, path, pick);
        } else if path.is_none() && self.hold_of(name).is_some() {
            let Some(share) = self.shares.get_mut(name) else { return Reply::failed(Fault::NotFound, "no such share") };
            share.approved = true;
            share.next_poll = now.mono;
            share.scan = None;
            done += 1;
            self.log(Level::Notice, format!("share {name}: approved by a person"));
        }
        done += self.forgive(now, name, path);
        let Some(state) = self.store.state().shares.get(name) else {
            return Reply::failed(Fault::NotFound, "no such share");
        };
        let waits = |reason: &Reason| {
            reason.needs_person() && *reason != Reason::FirstContact
                || matches!(reason, Reason::WaitsFor(_)) && path.is_some()
        };
        done += state.owed.iter().filter(|((_, other), owed)| covers(other) && waits(&owed.reason)).count() as u64;
        self.retry_owed(now, name, true, |_, other, owed| covers(other) && waits(&owed.reason));
        let asks = pick.is_none()
            && self.store.state().shares.get(name).is_some_and(|state| {
                state.owed.iter().any(|((_, other), owed)| covers(other) && owed.reason == Reason::FirstContact)
            });
        match done {
            0 if asks => Reply::failed(
                Fault::Argument,
                "both sides have these paths and differ: say --mine, --theirs or --newest",
            ),
            0 => Reply::failed(Fault::State, "nothing here waits for a person"),
            count => Reply::Done(Tree::map().with("share", name.to_string()).with("approved", count)),
        }
    }

    /// Paths that flapped may go on.
    fn forgive(&mut self, now: Now, name: &ShareName, path: Option<&RelPath>) -> u64 {
        let Some(state) = self.store.state().shares.get(name) else { return 0 };
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        let flapping: Vec<(RelPath, Record)> = state
            .index
            .iter()
            .filter(|(other, record)| record.sleep == Some(Sleep::Flapping) && covers(other))
            .map(|(path, record)| (path.clone(), record.clone()))
            .collect();
        let count = flapping.len() as u64;
        for (path, record) in flapping {
            let seq = self.store.next_seq(now.wall);
            if let Some(share) = self.shares.get_mut(name) {
                share.flaps.forgive(&path);
                share.top = seq;
                share.hints.add(now.mono, Hint { path: path.clone(), deep: false });
            }
            self.store.change(Change::Record(
                name.clone(),
                path,
                Record { sleep: None, seq, batch: seq, from: None, ..record },
            ));
        }
        count
    }

    /// A person picks a side at first contact.
    fn pick(&mut self, now: Now, name: &ShareName, path: Option<&RelPath>, pick: Pick) -> u64 {
        // What was decided elsewhere meanwhile is no longer open.
        self.retry_owed(now, name, false, |_, _, owed| owed.reason == Reason::FirstContact);
        let Some(state) = self.store.state().shares.get(name) else { return 0 };
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        let mut held: std::collections::BTreeMap<RelPath, Vec<(NodeId, Owed)>> = Default::default();
        for ((node, other), owed) in
            state.owed.iter().filter(|((_, other), owed)| owed.reason == Reason::FirstContact && covers(other))
        {
            held.entry(other.clone()).or_default().push((*node, owed.clone()));
        }
        let here = |node: NodeId| self.links.values().any(|link| link.node == Some(node) && link.is_admitted());
        if pick != Pick::Mine {
            // Only who is here can supply what is picked.
            held.retain(|_, offers| offers.iter().any(|(node, _)| here(*node)));
        }
        if held.is_empty() {
            return 0;
        }
        let count = held.len() as u64;
        // Whoever decides for everybody is the reference from here on.
        let me = self.store.state().me.clone();
        self.store.change(Change::Me(crate::store::state::Me { rank: 1, ..me }));
        for (path, offers) in held {
            let local = self.store.state().shares.get(name).and_then(|state| state.index.get(&path)).cloned();
            let reached: Vec<&(NodeId, Owed)> = offers
                .iter()
                .filter(|(node, _)| {
                    pick == Pick::Mine || self.links.values().any(|link| link.node == Some(*node) && link.is_admitted())
                })
                .collect();
            let Some((node, best)) =
                reached.into_iter().max_by(|(_, a), (_, b)| a.entry.conflict_order(&b.entry)).cloned()
            else {
                continue;
            };
            let mine = match (pick, &local) {
                (Pick::Mine, _) => true,
                (Pick::Theirs, _) | (Pick::Newest, None) => false,
                (Pick::Newest, Some(local)) => local.entry.conflict_order(&best.entry).is_gt(),
            };
            let versions = offers
                .iter()
                .map(|(_, owed)| &owed.entry.version)
                .chain(local.iter().map(|record| &record.entry.version));
            let above = reconcile::above(versions);
            let latest = offers
                .iter()
                .map(|(_, owed)| owed.entry.stamp.ms)
                .chain(local.iter().map(|record| record.entry.stamp.ms))
                .max()
                .unwrap_or(0);
            let number = self.store.next_number(now.wall);
            let version = above.edited(self.store.state().me.state, number, limits::VERSION_IDS);
            let stamp = Stamp { rank: 1, ms: latest.saturating_add(1) };
            match local {
                Some(record) if mine => {
                    self.record_decided(now, name, &path, record, version, stamp);
                    for (node, _) in offers {
                        self.store.change(Change::Paid(name.clone(), node, path.clone()));
                    }
                }
                _ => {
                    // Their content under a version above all of them: it lands here, and everywhere, as this decision.
                    let entry = Entry { version, stamp, ..best.entry.clone() };
                    self.store.change(Change::Owed(
                        name.clone(),
                        node,
                        path.clone(),
                        Box::new(Owed {
                            entry,
                            reason: Reason::NotSupplied("it is asked for".into()),
                            decided: true,
                            ..best
                        }),
                    ));
                    for (other, _) in offers.iter().filter(|(other, _)| *other != node) {
                        self.store.change(Change::Paid(name.clone(), *other, path.clone()));
                    }
                }
            }
        }
        self.retry_owed(now, name, true, |_, other, owed| covers(other) && owed.reason != Reason::FirstContact);
        if let Some(share) = self.shares.get_mut(name) {
            // Whoever has it may be away at this moment.
            share.retry_at = share.retry_at.min(now.mono.plus(limits::RETRY_OWED));
        }
        self.stirred = true;
        count
    }

    /// Records this node's state of a path as a decision above everything seen.
    fn record_decided(
        &mut self,
        now: Now,
        name: &ShareName,
        path: &RelPath,
        mut record: Record,
        version: crate::model::Version,
        stamp: Stamp,
    ) {
        record.entry.version = version;
        record.entry.stamp = stamp;
        record.seq = self.store.next_seq(now.wall);
        record.batch = record.seq;
        record.draft = None;
        record.from = None;
        record.recorded = now.wall;
        if let Some(share) = self.shares.get_mut(name) {
            share.top = record.seq;
        }
        self.store.change(Change::Record(name.clone(), path.clone(), record));
        self.stirred = true;
    }

    fn reject(&mut self, now: Now, name: &ShareName, path: Option<&RelPath>) -> Reply {
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        let mut done = 0u64;
        if path.is_none() && self.hold_of(name).is_some() {
            let Some(share) = self.shares.get_mut(name) else { return Reply::failed(Fault::NotFound, "no such share") };
            share.approved = true;
            share.taking_back = true;
            share.next_poll = now.mono;
            share.scan = None;
            done += 1;
            self.log(Level::Notice, format!("share {name}: rejected by a person: the other nodes' state is taken"));
        }
        let Some(state) = self.store.state().shares.get(name) else {
            return Reply::failed(Fault::NotFound, "no such share");
        };
        let owed: Vec<(NodeId, RelPath, Owed)> = state
            .owed
            .iter()
            .filter(|((_, other), owed)| covers(other) && owed.reason.needs_person())
            .map(|((node, path), owed)| (*node, path.clone(), owed.clone()))
            .collect();
        done += self.pick(now, name, path, Pick::Theirs);
        for (node, path, owed) in owed {
            if !matches!(owed.reason, Reason::MassDeletion { .. } | Reason::LongAway) {
                continue;
            }
            done += 1;
            // This node's state stays, under a version that includes what was asked for, so that nobody disagrees.
            let record = self.store.state().shares.get(name).and_then(|state| state.index.get(&path)).cloned();
            let seen = reconcile::above(
                [&owed.entry.version].into_iter().chain(record.iter().map(|record| &record.entry.version)),
            );
            let number = self.store.next_number(now.wall);
            let version = seen.edited(self.store.state().me.state, number, limits::VERSION_IDS);
            let latest = record.as_ref().map_or(i64::MIN, |record| record.entry.stamp.ms).max(owed.entry.stamp.ms);
            let stamp =
                Stamp { rank: self.store.state().me.rank.max(owed.entry.stamp.rank), ms: latest.saturating_add(1) };
            let record = record.unwrap_or_else(|| Record::new(Entry::tombstone(version.clone(), stamp), None));
            self.record_decided(now, name, &path, record, version, stamp);
            self.store.change(Change::Paid(name.clone(), node, path));
        }
        match done {
            0 => Reply::failed(Fault::State, "nothing here waits for a person"),
            count => Reply::Done(Tree::map().with("share", name.to_string()).with("rejected", count)),
        }
    }

    fn show(&self, number: u64) -> Reply {
        let Some(item) = self.history.item(number) else {
            return Reply::failed(Fault::NotFound, format!("there is no version {number}: `owsync log` lists them"));
        };
        match self.history.object(item.digest) {
            Ok(object) => Reply::Done(self.item_tree(item).with("object", object.to_text())),
            Err(error) => Reply::failed(Fault::System, error.to_string()),
        }
    }

    /// Brings a former version back: a change of this node like any other.
    fn restore(&mut self, now: Now, number: u64) -> Reply {
        let Some(item) = self.history.item(number).cloned() else {
            return Reply::failed(Fault::NotFound, format!("there is no version {number}: `owsync log` lists them"));
        };
        let name = item.share.clone();
        if self.hold_of(&name).is_some() {
            return Reply::failed(Fault::State, format!("the share {name} is held"));
        }
        match self.put_back(now, &item) {
            Ok(()) => {
                if let Some(share) = self.shares.get_mut(&name) {
                    share.hints.add(now.mono, Hint { path: item.path.clone(), deep: false });
                }
                self.log(
                    Level::Notice,
                    format!("share {name}: {} restored to version {number} by a person", item.path),
                );
                Reply::Done(
                    Tree::map()
                        .with("share", name.to_string())
                        .with("path", item.path.to_text())
                        .with("restored", number),
                )
            }
            Err(refusal) => {
                let reason = crate::node::land::reason_of(refusal);
                Reply::failed(Fault::System, format!("{}: {reason}", item.path))
            }
        }
    }

    fn put_back(&mut self, now: Now, item: &crate::store::history::Item) -> Result<(), Refusal> {
        let share = self.shares.get_mut(&item.share).ok_or(Refusal::Changed)?;
        let root = share.root.as_ref().ok_or(Refusal::Changed)?;
        let object = self.history.object(item.digest)?;
        let staged = share.staging.name(root)?;
        let content = FormContent::open(self.history.root(), &object, Kind::File)?;
        let mode = if share.settings.allow_setuid { item.mode } else { item.mode & !crate::model::entry::SETID_BITS };
        let owner = item.owner.as_ref().and_then(|owner| self.fs.owner_ids(owner));
        let mut buffer = vec![0; limits::STEP];
        if item.kind == Kind::Symlink {
            let count = content.read(self.history.root(), 0, &mut buffer)?;
            root.make_link(&staged, &buffer[..count])?;
        } else {
            let file = root.create(&staged)?;
            let mut offset = 0;
            loop {
                let count = content.read(self.history.root(), offset, &mut buffer)?;
                if count == 0 {
                    break;
                }
                root.write(&file, offset, &buffer[..count])?;
                offset += count as u64;
            }
            root.set_file(&file, Attributes { mode: Some(mode), owner, mtime: Some(now.wall) })?;
            root.sync(&file)?;
        }
        let record = self.store.state().shares.get(&item.share).and_then(|state| state.index.get(&item.path)).cloned();
        let seen = self.store.state().shares.get(&item.share).and_then(|state| seen_in(&state.index, &item.path));
        apply::make_parents(root, &item.path)?;
        if let Err(refusal) = apply::put(root, &staged, &item.path, seen) {
            let _ = root.remove(&staged);
            return Err(refusal);
        }
        root.sync_dir(item.path.parent().as_ref())?;
        if let (Some(seen), Some(record)) = (seen, record) {
            let former = crate::store::history::Item {
                number: 0,
                kind: seen.stat.kind,
                digest: seen.digest,
                size: seen.stat.size,
                mtime: seen.stat.mtime(),
                mode: seen.stat.mode,
                owner: record.entry.owner,
                at: now.wall,
                doubtful: self.clock.is_doubtful(),
                why: Why::Given,
                by: None,
                run: self.next_run,
                ..item.clone()
            };
            self.next_run += 1;
            self.history.keep(root, &staged, former)?;
            self.history.commit()?;
        }
        Ok(())
    }

    fn forget(&mut self, name: &ShareName, path: &RelPath) -> Reply {
        match self.history.forget(name, path) {
            Ok(0) => Reply::failed(Fault::NotFound, format!("history holds nothing of {path}")),
            Ok(count) => {
                self.log(
                    Level::Notice,
                    format!("share {name}: {count} former versions of {path} were forgotten by a person"),
                );
                Reply::Done(Tree::map().with("forgotten", count))
            }
            Err(error) => Reply::failed(Fault::System, error.to_string()),
        }
    }

    fn accept(&mut self, now: Now, peer: Option<&str>) -> Reply {
        let matches = |node: &NodeId, waiting: &crate::node::door::Waiting| match peer {
            None => true,
            Some(text) => {
                waiting.name == text
                    || waiting.remote.to_canonical().to_string() == text
                    || node.to_hex().starts_with(text)
                    || waiting.public_key.is_some_and(|key| text.len() >= 8 && escape::hex(&key).starts_with(text))
            }
        };
        let found: Vec<NodeId> = self
            .waiting
            .iter()
            .filter(|(node, waiting)| waiting.trouble != Trouble::Duplicate && matches(node, waiting))
            .map(|(node, _)| *node)
            .collect();
        let [node] = found[..] else {
            return match found.len() {
                0 => {
                    Reply::failed(Fault::NotFound, "no peer like that waits to be accepted: `owsync peers` lists them")
                }
                _ => Reply::failed(
                    Fault::Argument,
                    "several peers wait to be accepted: name one of those that `owsync peers` lists",
                ),
            };
        };
        let Some(waiting) = self.waiting.remove(&node) else { return Reply::failed(Fault::NotFound, "it left") };
        let remote = waiting.remote.to_canonical();
        let section = self
            .settings
            .peers
            .iter()
            .find(|peer| {
                peer.public_key.is_none()
                    && peer
                        .address
                        .as_ref()
                        .and_then(|a| a.host.parse::<std::net::IpAddr>().ok())
                        .is_some_and(|ip| ip.to_canonical() == remote)
            })
            .map(|peer| peer.name.0.to_string());
        if let Some(section) = &section {
            // It takes the place of who was known there before.
            let before: Vec<(NodeId, KnownPeer)> = self
                .store
                .state()
                .peers
                .iter()
                .filter(|(other, known)| **other != node && known.section.as_ref() == Some(section))
                .map(|(n, k)| (*n, k.clone()))
                .collect();
            for (other, known) in before {
                self.store.change(Change::Peer(other, KnownPeer { section: None, accepted: false, ..known }));
            }
        }
        self.store.change(Change::Peer(
            node,
            KnownPeer {
                public_key: waiting.public_key,
                name: waiting.name.clone(),
                section,
                accepted: true,
                met: now.wall,
            },
        ));
        self.log(Level::Notice, format!("{} ({remote}) was accepted by a person", waiting.name));
        self.dial_now(now, None);
        Reply::Done(Tree::map().with("accepted", waiting.name).with("node", node.to_hex()))
    }

    fn forget_peer(&mut self, now: Now, peer: &str) -> Reply {
        let matches = |node: &NodeId, known: &KnownPeer| {
            known.name == peer
                || known.section.as_deref() == Some(peer)
                || (peer.len() >= 8 && node.to_hex().starts_with(peer))
        };
        let found: Vec<NodeId> = self
            .store
            .state()
            .peers
            .iter()
            .filter(|(node, known)| matches(node, known))
            .map(|(node, _)| *node)
            .collect();
        let [node] = found[..] else {
            return match found.len() {
                0 => Reply::failed(Fault::NotFound, "no such peer was ever met"),
                _ => Reply::failed(
                    Fault::Argument,
                    "several peers have that name: give the start of the node id that `owsync peers` shows",
                ),
            };
        };
        let label = self.node_label(node);
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.node == Some(node)).map(|(id, _)| *id).collect();
        for id in links {
            self.say_bye(now, id, Trouble::EndedHere("forgotten by a person"));
        }
        let names: Vec<ShareName> = self.store.state().shares.keys().cloned().collect();
        for name in names {
            self.disown(now, &name, node, None);
            self.store.change(Change::NoLedger(name, node));
        }
        self.store.change(Change::NoPeer(node));
        self.log(Level::Notice, format!("peer {label} was forgotten by a person"));
        Reply::Done(Tree::map().with("forgotten", label))
    }

    /// A token for a join text, valid once and for a day.
    fn invite(&mut self, now: Now) -> Reply {
        let mut token = [0; 16];
        token.copy_from_slice(&self.rng.bytes32()[..16]);
        let mut tokens: Vec<Token> =
            self.store.state().tokens.iter().filter(|token| now.wall < token.expires).cloned().collect();
        tokens.push(Token { token, expires: now.wall.plus(limits::TOKEN_LIFE) });
        let excess = tokens.len().saturating_sub(limits::TOKENS_MAX);
        tokens.drain(..excess);
        self.store.change(Change::Tokens(tokens));
        Reply::Done(self.identity_tree().with("token", escape::hex(&token)))
    }

    /// Declares this node the reference.
    fn init(&mut self, now: Now) -> Reply {
        let me = self.store.state().me.clone();
        self.store.change(Change::Me(crate::store::state::Me { rank: 1, ..me }));
        let names: Vec<ShareName> = self.shares.keys().cloned().collect();
        for name in names {
            let meta = self.store.state().shares.get(&name).map(|state| state.meta.clone()).unwrap_or_default();
            self.store.change(Change::Share(name.clone(), ShareMeta { past: true, ..meta }));
            self.version_the_rest(now, &name);
        }
        self.log(Level::Notice, "this node was declared the reference".into());
        self.invite(now)
    }

    /// Gives every unversioned entry that is not disputed a version of rank 1, because a person declared this node's
    /// state to be the one that counts.
    fn version_the_rest(&mut self, now: Now, name: &ShareName) {
        let Some(state) = self.store.state().shares.get(name) else { return };
        let disputed = |path: &RelPath| state.owed.keys().any(|(_, owed)| owed == path);
        let mut paths: Vec<(u64, RelPath)> = state
            .index
            .iter()
            .filter(|(path, r)| r.entry.version.is_unversioned() && r.entry.is_live() && !disputed(path))
            .map(|(path, r)| (r.seq, path.clone()))
            .collect();
        paths.sort_unstable();
        for (_, path) in &paths {
            if let Some(record) = self.store.index_mut(name).and_then(|index| index.get_mut(path)) {
                record.entry.stamp.rank = 1;
            }
        }
        self.version_paths(now, name, paths.into_iter().map(|(_, path)| path));
        self.stirred = true;
    }
}
