//! The program without its edges: peers, shares, transfers and commands, as a value.
//!
//! A [`Node`] has no socket, no clock and no thread. Its owner gives it what happened ([`Node::handle_bytes`],
//! [`Node::handle_change`], [`Node::handle_command`], [`Node::handle_timeout`] ...), lets it [`Node::work`] while it
//! [`Node::has_work`], and after each of these takes [`Node::poll_output`] until there is nothing more and
//! [`Node::transmit`] for every session. So ten of them run in one thread, on virtual time, from a seed: `tests/sim`.
//!
//! # Reading order
//! [`api`] is what people and scripts ask and hear; `parts` what a node is made of, `life` how it begins and ends. Then the
//! way of a change: `look` notices it and `edit` makes it an entry, `offer` tells peers, `hear` takes in what they tell,
//! `fetch` and `serve` move content, `decide` makes a plan that passed every guard and `check`, `land` puts it in place,
//! `landed`, `undo` and `keep` end that, `settle` writes it down and only then says so; what could not land is `owed`, what
//! waits for a sync is `manual`, what waits for a person is on `hold`, what waits for a system upgrade is in `release`, and `past` says who gives a version to what has none. `door` and `admit` decide
//! who may enter, `mesh` introduces nodes to each other, `dial` whom to call, `farewell` how that ends, `expire` what may be forgotten, `reload` what a new
//! configuration changes. People ask through `command`: `run`, `approve`, `former`, `members`, and are answered by
//! `status`, `verdict`, `lists` and `metrics`; `preview` and `would` tell what would happen, `ask` what peers have, and
//! `compare` how that differs.
//!
//! # Invariants
//! - Nothing is told to a peer before the state that it speaks of is on disk: messages wait in an outbox until the
//!   commit at the end of each input succeeded.
//! - A share neither offers nor lands anything before a scan of it completed, and while it is held.
//! - What was heard is landed, or on its way in memory and heard again after a restart, or owed on disk. There is no
//!   fourth place.

mod admit;
pub mod api;
mod approve;
mod around;
mod ask;
mod batch;
mod broken;
mod check;
mod command;
mod compare;
mod decide;
mod delivery;
mod dial;
mod diff;
mod door;
mod edit;
mod expire;
mod farewell;
mod fetch;
mod former;
mod hear;
mod hold;
mod keep;
mod land;
mod landed;
mod life;
mod link;
mod lists;
mod local;
mod look;
mod manual;
mod members;
mod mesh;
mod metrics;
mod moved;
mod offer;
mod op;
mod owed;
mod own;
mod parts;
mod past;
mod pause;
mod preview;
mod quiet;
mod release;
mod reload;
mod run;
mod send;
mod serve;
mod settle;
mod share;
mod shrunk;
mod slow;
mod status;
mod summary;
mod timers;
mod told;
mod trial;
mod undo;
pub mod verdict;
mod who;
mod withdraw;
mod would;

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::fs::scan::Hint;
use crate::fs::{Fs, FsError, Root};
use crate::model::reason::Trouble;
use crate::model::settings::PeerSettings;
use crate::model::{Map, Monotonic, NodeId, Now, PeerName, Reason, RelPath, Rng, Set, Settings, ShareName, limits};
use crate::proto::Session;
use crate::reconcile::filter::Reserved;
use crate::store::Store;
use crate::store::history::History;

use api::{Command, Event, Level, LogLine};
use dial::Dial;
use link::Link;
use share::Share;

pub use parts::{Candidate, Identity, Output, Parts};

/// Names a session between the node and its owner.
pub type LinkId = u64;

/// Names a command between the node and its owner.
pub type CommandId = u64;

/// The database cannot be written.
struct StoreTrouble {
    error: FsError,
    /// When the next attempt is made.
    retry_at: Monotonic,
}

/// A node. See the module's text.
pub struct Node<F: Fs> {
    fs: F,
    settings: Settings,
    store: Store<F::Root>,
    history: History<F::Root>,
    identity: Identity,
    rng: Rng,
    tag: u64,
    reserved: Map<ShareName, Vec<Reserved>>,
    settled_at: Monotonic,
    started: Monotonic,
    attended: bool,
    token: Option<[u8; 16]>,
    shares: Map<ShareName, Share<F::Root>>,
    links: Map<LinkId, Link<F::Root>>,
    next_link: LinkId,
    dials: Map<PeerName, Dial>,
    /// Peers that a reference introduced, as if they were configured: made from the state and the settings.
    introduced: Vec<PeerSettings>,
    /// Something changed that peers are to be told of the cluster's members.
    mesh_stirred: bool,
    /// Random for this start of the program: what is said under it is said by this very node.
    instance: u64,
    /// Troubles with nodes that belong to no section: who knocked and was not let in.
    waiting: Map<NodeId, admit::Waiting>,
    next_batch: u64,
    next_run: u64,
    next_check: u64,
    outputs: VecDeque<Output>,
    verbose: bool,
    events: VecDeque<Event>,
    /// Previous versions that were not kept since this process started, the latest last.
    not_kept: VecDeque<keep::NotKept>,
    not_kept_count: u64,
    /// Held paths that are told of at the end of this input.
    held_news: told::HeldNews,
    /// Why the state cannot be written, and when to try again.
    store_trouble: Option<StoreTrouble>,
    next_expiry: Monotonic,
    /// When something that a person switched off for a while goes on.
    next_resume: Monotonic,
    clock: expire::Clock,
    syncs: Vec<run::Run>,
    next_sync: u64,
    previews: Vec<preview::Preview>,
    comparisons: Vec<compare::Comparison>,
    counters: api::Counters,
    /// When peers made the database begin another life, lately.
    renewals: VecDeque<Monotonic>,
    /// Lines about single peers, and about nodes that are not accepted.
    peer_lines: Map<NodeId, quiet::Lines>,
    stranger_lines: quiet::Lines,
    /// Set by everything that may have changed what peers must be told; cleared by `settle`.
    stirred: bool,
    /// The last `settle` had more to do than fits one.
    again: bool,
}

impl<F: Fs> Node<F> {
    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.identity.id
    }

    /// What it was told to do.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The token of a join text, to be shown once to the node that made it.
    pub fn show_token(&mut self, token: [u8; 16]) {
        self.token = Some(token);
    }

    /// Whether it still has the token of a join text to show.
    pub fn shows_token(&self) -> bool {
        self.token.is_some()
    }

    /// What it did so far.
    pub fn counters(&self) -> &api::Counters {
        &self.counters
    }

    /// What it remembers.
    pub fn state(&self) -> &crate::store::state::State {
        self.store.state()
    }

    /// Former contents.
    pub fn history(&self) -> &History<F::Root> {
        &self.history
    }

    /// Somebody connected. The session to use for it; what it has to say first is transmitted even when it is refused.
    pub fn handle_incoming(&mut self, now: Now, remote: IpAddr) -> LinkId {
        let id = self.next_link;
        self.next_link += 1;
        let session = Session::answer(now.mono, self.identity.mode.clone(), self.rng.bytes32());
        self.links.insert(id, Link::new(session, remote, None, now.mono));
        self.check_at_door(now, id);
        self.finish(now);
        id
    }

    /// The connection that [`Output::Dial`] asked for stands.
    pub fn handle_dialled(&mut self, now: Now, link: LinkId, remote: IpAddr) {
        if let Some(link) = self.links.get_mut(&link) {
            link.connected = true;
            link.remote = remote;
            link.opened = now.mono;
            link.last_heard = now.mono;
        }
        self.start_handshake(now, link);
        self.finish(now);
    }

    /// The connection that [`Output::Dial`] asked for did not come about.
    pub fn handle_dial_failed(&mut self, now: Now, link: LinkId, trouble: Trouble) {
        if let Some(link) = self.links.remove(&link) {
            self.note_dial_failure(now, link.dialled_for.as_ref(), trouble);
        }
        self.finish(now);
    }

    /// Bytes were read on a session.
    pub fn handle_bytes(&mut self, now: Now, id: LinkId, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(&id) {
            link.note_heard(now.mono);
            link.session.handle_bytes(bytes);
            self.counters.bytes_in += bytes.len() as u64;
        }
        self.pump(now, id);
        self.finish(now);
    }

    /// The other side closed a session, or it broke.
    pub fn handle_closed(&mut self, now: Now, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.session.handle_end();
        }
        self.pump(now, id);
        self.links.remove(&id);
        self.finish(now);
    }

    /// The machine at the other end of a session does not answer any more.
    pub fn handle_lost(&mut self, now: Now, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.session.end(Trouble::NoAnswer);
        }
        self.handle_closed(now, id);
    }

    /// Something changed in a share: at a path, or (`None`) anywhere.
    pub fn handle_change(&mut self, now: Now, share: &ShareName, hint: Option<Hint>) {
        if let Some(share) = self.shares.get_mut(share) {
            match hint {
                Some(hint) if !share.filter.is_reserved(&hint.path) => share.hints.add(now.mono, hint),
                Some(_) => {}
                None => share.hints.add_all(now.mono),
            }
        }
    }

    /// Whether changes in a share are announced by [`Node::handle_change`] at once.
    pub fn handle_watched(&mut self, share: &ShareName, watched: bool) {
        if let Some(share) = self.shares.get_mut(share) {
            share.watched = watched;
        }
    }

    /// Changes here touch these paths of a share that are not confirmed yet, and may be taken back: until the set is
    /// another, what lies there is neither offered nor replaced.
    pub fn handle_withheld(&mut self, now: Now, name: &ShareName, paths: Set<RelPath>) {
        let Some(share) = self.shares.get_mut(name) else { return };
        let before = std::mem::replace(&mut share.withheld, paths);
        let mut released = false;
        for path in before.iter().filter(|path| !share.withheld.contains(*path)) {
            share.hints.add(now.mono, Hint { path: path.clone(), deep: false });
            released = true;
        }
        for path in share.withheld.iter().filter(|path| !before.contains(*path)) {
            share.hints.add(now.mono, Hint { path: path.clone(), deep: false });
        }
        if released {
            self.retry_owed(now, name, false, |_, _, owed| {
                matches!(owed.reason, Reason::Unconfirmed | Reason::WaitsFor(_))
            });
        }
        self.finish(now);
    }

    /// Somebody asks, or decides. The answer comes as [`Output::Reply`], perhaps later.
    pub fn handle_command(&mut self, now: Now, id: CommandId, command: Command) {
        self.command(now, id, command);
        self.finish(now);
    }

    /// Whether [`Node::work`] would do something.
    pub fn has_work(&self) -> bool {
        let now = self.clock.latest();
        let shares = self.shares.values().any(|share| {
            // A scan waits for a landing, and a landing may wait for its next attempt.
            share.landing.as_ref().map_or(share.scan.is_some(), |landing| landing.can_work(now.mono))
        });
        let serves = |link: &Link<F::Root>| {
            !link.over
                && !link.is_full()
                && (!link.serving.is_empty()
                    || link.exchanges.iter().any(|(name, exchange)| {
                        !exchange.queue.is_empty() && exchange.in_flight.has_room() && self.may_offer(name)
                    }))
        };
        self.again || shares || self.shares.keys().any(|name| self.copies(name)) || self.links.values().any(serves)
    }

    /// Does a little of what there is to do: about `budget` bytes read, hashed or written.
    pub fn work(&mut self, now: Now, budget: usize) {
        self.clock.tick(now);
        self.again = false;
        // Whatever made work may have made something to tell.
        self.stirred = true;
        let names: Vec<ShareName> = self.shares.keys().cloned().collect();
        for name in &names {
            self.land_on(now, name);
            self.look_on(now, name, budget);
            self.copy_on(now, name, budget);
        }
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for id in links {
            self.serve_on(now, id, budget);
        }
        self.finish(now);
    }

    /// What the node wants done, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        let next = self.outputs.pop_front();
        if next.is_none() {
            // Looking at all files of a share says something of each one: that much is not kept for the next time.
            self.outputs = VecDeque::new();
        }
        next
    }

    /// Whether somebody reads the lines that say something of each single path: at first they are made.
    pub fn set_verbose(&mut self, verbose: bool) {
        self.verbose = verbose;
    }

    /// Appends what is to be written on a session.
    pub fn transmit(&mut self, id: LinkId, bytes: &mut Vec<u8>) {
        if let Some(link) = self.links.get_mut(&id) {
            let before = bytes.len();
            link.session.poll_transmit(bytes);
            self.counters.bytes_out += (bytes.len() - before) as u64;
        }
    }

    /// Everything an input needs at its end.
    fn finish(&mut self, now: Now) {
        self.end_leaving(now);
        self.preview_on(now);
        self.time_comparisons(now);
        self.introduce();
        self.settle(now);
        self.links.retain(|_, link| !link.over || link.session.queued() > 0);
    }

    /// Says a line to the log.
    fn log(&mut self, level: Level, text: String) {
        self.outputs.push_back(Output::Log(LogLine { level, text }));
    }

    /// Tells whoever listens, and remembers it for status.
    fn tell(&mut self, event: Event) {
        match event.name {
            "owsync.hold" => self.counters.holds += 1,
            "owsync.rollback" => self.counters.rollbacks += 1,
            _ => {}
        }
        self.events.push_back(event.clone());
        if self.events.len() > limits::EVENTS_KEPT {
            self.events.pop_front();
        }
        self.outputs.push_back(Output::Event(event));
    }

    /// The free space that must remain for `share`, checked against what there is; the bytes that are free.
    fn has_room(root: &F::Root, need: u64, min_free: u64) -> Result<u64, u64> {
        let free = root.free().unwrap_or(0);
        if free.saturating_sub(need) >= min_free { Ok(free) } else { Err(free) }
    }
}
