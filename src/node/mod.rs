//! The program without its edges: peers, shares, transfers and commands, as a value.
//!
//! A [`Node`] has no socket, no clock and no thread. Its owner gives it what happened ([`Node::handle_bytes`],
//! [`Node::handle_change`], [`Node::handle_command`], [`Node::handle_timeout`] ...), lets it [`Node::work`] while it
//! [`Node::has_work`], and after each of these takes [`Node::poll_output`] until there is nothing more and
//! [`Node::transmit`] for every session. So ten of them run in one thread, on virtual time, from a seed: `tests/sim`.
//!
//! # Reading order
//! `context` is all that a machine may touch. `share` is the machine that everything else serves: read its text first, then
//! `share/detect` (a change here becomes an entry), `share/exchange` (it is offered), `share/inbox` (a peer's offer is
//! received and judged), `share/transfer` (its content comes), `share/transaction` (it is put in place). `peers` has the
//! sessions and the dials. Neither knows a [`Node`]: `tests/layers.rs` checks that imports go downwards, from the node to
//! `share` to `peers` to `context`.
//!
//! What remains is the node's own: `messages`, `answers` and `serving` route an input to the machine that it concerns,
//! `flush` ends every input, `timers` asks everybody what is due, `sessions` admits and ends sessions, where that concerns
//! shares as well, `reload` puts a configuration in force and `requests` answers users. `docs/architecture.md` walks five
//! inputs through them.
//!
//! # Invariants
//! - Nothing is sent to a peer before the state that it speaks of is on disk: messages wait in an outbox until the commit at
//!   the end of each input succeeded.
//! - A share neither offers nor applies anything before a scan of it completed, and while it is held.
//! - What was received is applied, or in memory and received again after a restart, or pending on disk. There is no fourth
//!   place.

mod answers;
pub mod api;
mod command;
mod context;
mod expire;
mod flush;
mod lists;
mod messages;
mod metrics;
mod parts;
pub(crate) mod peers;
mod reload;
mod requests;
mod serving;
mod sessions;
pub(crate) mod share;
mod start;
mod status;
pub mod summary;
mod timers;
pub mod verdict;

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::fs::Fs;
use crate::fs::scan::Hint;
use crate::model::reason::Trouble;
use crate::model::reserved::Reserved;
use crate::model::{Map, Monotonic, NodeId, Now, Reason, RelPath, Set, Settings, ShareName};
use crate::proto::Session;
use crate::store::history::History;

use api::Command;
use context::Context;
use peers::Peers;
use peers::link::Link;
use share::Share;

pub use parts::{Candidate, DeltaChange, Identity, Output, Parts};
pub use share::transaction::uncommitted::References;

/// Names a session between the node and its owner.
pub type LinkId = u64;

/// Names a command between the node and its owner.
pub type CommandId = u64;

/// A node. See the module's text.
pub struct Node<F: Fs> {
    cx: Context<F>,
    peers: Peers<F>,
    shares: Map<ShareName, Share<F>>,
    /// Tells its staging directories from those of other databases.
    tag: u64,
    /// Names of its own that must never be synced, per share.
    reserved: Map<ShareName, Vec<Reserved>>,
    started: Monotonic,
    next_expiry: Monotonic,
    /// When something that the user paused for a while resumes.
    next_resume: Monotonic,
    next_sync: u64,
    previews: Vec<requests::preview::Preview>,
    comparisons: Vec<requests::compare::Comparison>,
    /// The last `settle` had more to do than fits one.
    again: bool,
}

impl<F: Fs> Node<F> {
    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.cx.identity.id
    }

    /// What it was told to do.
    pub fn settings(&self) -> &Settings {
        &self.cx.settings
    }

    /// The token of a join text, to be shown once to the node that made it.
    pub fn show_token(&mut self, token: [u8; 16]) {
        self.peers.token = Some(token);
    }

    /// Whether it still has the token of a join text to show.
    pub fn shows_token(&self) -> bool {
        self.peers.token.is_some()
    }

    /// What it did so far.
    pub fn counters(&self) -> &api::Counters {
        &self.cx.counters
    }

    /// What it remembers.
    pub fn state(&self) -> &crate::store::state::State {
        self.cx.store.state()
    }

    /// Former contents.
    pub fn history(&self) -> &History<F::Root> {
        &self.cx.history
    }

    /// Somebody connected. The session to use for it; what it has to say first is transmitted even when it is refused.
    pub fn handle_incoming(&mut self, now: Now, remote: IpAddr) -> LinkId {
        self.cx.now = now;
        let id = self.peers.next_link;
        self.peers.next_link += 1;
        let session = Session::answer(now.mono, self.cx.identity.mode.clone(), self.cx.rng.bytes32());
        self.peers.links.insert(id, Link::new(session, remote, None, now.mono));
        self.check_connection(now, id);
        self.finish(now);
        id
    }

    /// The connection that [`Output::Dial`] asked for stands.
    pub fn handle_dialled(&mut self, now: Now, link: LinkId, remote: IpAddr) {
        self.cx.now = now;
        if let Some(link) = self.peers.links.get_mut(&link) {
            link.connected = true;
            link.remote = remote;
            link.opened = now.mono;
            link.last_heard = now.mono;
        }
        self.peers.start_handshake(&mut self.cx, link);
        self.finish(now);
    }

    /// The connection that [`Output::Dial`] asked for did not come about.
    pub fn handle_dial_failed(&mut self, now: Now, link: LinkId, trouble: Trouble) {
        self.cx.now = now;
        if let Some(link) = self.peers.links.remove(&link) {
            self.peers.note_dial_failure(&mut self.cx, link.dialled_for.as_ref(), trouble);
        }
        self.finish(now);
    }

    /// Bytes were read on a session.
    pub fn handle_bytes(&mut self, now: Now, id: LinkId, bytes: &[u8]) {
        self.cx.now = now;
        if let Some(link) = self.peers.links.get_mut(&id) {
            link.note_heard(now.mono);
            link.session.handle_bytes(bytes);
            self.cx.counters.bytes_in += bytes.len() as u64;
        }
        self.pump(now, id);
        self.finish(now);
    }

    /// The other side closed a session, or it broke.
    pub fn handle_closed(&mut self, now: Now, id: LinkId) {
        self.cx.now = now;
        if let Some(link) = self.peers.links.get_mut(&id) {
            link.session.handle_end();
        }
        self.pump(now, id);
        self.peers.links.remove(&id);
        self.finish(now);
    }

    /// The machine at the other end of a session does not answer any more.
    pub fn handle_lost(&mut self, now: Now, id: LinkId) {
        self.cx.now = now;
        if let Some(link) = self.peers.links.get_mut(&id) {
            link.session.end(Trouble::NoAnswer);
        }
        self.handle_closed(now, id);
    }

    /// Something changed in a share: at a path, or (`None`) anywhere.
    pub fn handle_change(&mut self, now: Now, share: &ShareName, hint: Option<Hint>) {
        self.cx.now = now;
        if let Some(share) = self.shares.get_mut(share) {
            match hint {
                Some(hint) if !share.filter.is_reserved(&hint.path) => share.detect.hints.add(now.mono, hint),
                Some(_) => {}
                None => share.detect.hints.add_all(now.mono),
            }
        }
    }

    /// Whether changes in a share are announced by [`Node::handle_change`] at once.
    pub fn handle_watched(&mut self, share: &ShareName, watched: bool) {
        if let Some(share) = self.shares.get_mut(share) {
            share.detect.watched = watched;
        }
    }

    /// Changes here touch these paths of a share that are not confirmed yet, and may be taken back: until the set is
    /// another, what lies there is neither offered nor replaced.
    pub fn handle_withheld(&mut self, now: Now, name: &ShareName, paths: Set<RelPath>) {
        self.cx.now = now;
        let Some(share) = self.shares.get_mut(name) else { return };
        let before = std::mem::replace(&mut share.detect.withheld, paths);
        let mut released = false;
        for path in before.iter().filter(|path| !share.detect.withheld.contains(*path)) {
            share.detect.hints.add(now.mono, Hint { path: path.clone(), deep: false });
            released = true;
        }
        for path in share.detect.withheld.iter().filter(|path| !before.contains(*path)) {
            share.detect.hints.add(now.mono, Hint { path: path.clone(), deep: false });
        }
        if released {
            if let Some(share) = self.shares.get_mut(name) {
                share.retry_pending(&mut self.cx, &mut self.peers, false, |_, _, owed| {
                    matches!(owed.reason, Reason::Unconfirmed | Reason::WaitsFor(_))
                });
            }
        }
        self.finish(now);
    }

    /// Somebody asks, or decides. The answer comes as [`Output::Reply`], perhaps later.
    pub fn handle_command(&mut self, now: Now, id: CommandId, command: Command) {
        self.cx.now = now;
        self.command(now, id, command);
        self.finish(now);
    }

    /// Whether [`Node::work`] would do something.
    pub fn has_work(&self) -> bool {
        let now = self.cx.clock.latest();
        let shares = self.shares.values().any(|share| {
            // A scan waits for a landing, and a landing may wait for its next attempt.
            share.transaction.landing.as_ref().map_or(share.detect.scan.is_some(), |landing| landing.can_work(now.mono))
        });
        let serves = |link: &Link<F::Root>| {
            !link.over
                && !link.is_full()
                && (!link.serving.is_empty()
                    || link.exchanges.iter().any(|(name, exchange)| {
                        !exchange.queue.is_empty()
                            && exchange.in_flight.has_room()
                            && self.shares.get(name).is_some_and(|share| share.may_offer(&self.cx))
                    }))
        };
        self.again
            || shares
            || self.shares.values().any(|share| share.copies())
            || self.peers.links.values().any(serves)
    }

    /// Does a little of what there is to do: about `budget` bytes read, hashed or written.
    pub fn work(&mut self, now: Now, budget: usize) {
        self.cx.now = now;
        self.cx.clock.tick(now);
        self.again = false;
        // Whatever made work may have made something to tell.
        self.cx.stirred = true;
        let names: Vec<ShareName> = self.shares.keys().cloned().collect();
        for name in &names {
            if let Some(share) = self.shares.get_mut(name) {
                share.continue_transaction(&mut self.cx);
            }
            if let Some(share) = self.shares.get_mut(name) {
                share.continue_scan(&mut self.cx, &mut self.peers, budget);
            }
            if let Some(share) = self.shares.get_mut(name) {
                share.continue_copying(&mut self.cx, budget);
            }
        }
        let links: Vec<LinkId> = self.peers.links.keys().copied().collect();
        for id in links {
            self.serve(id, budget);
        }
        self.finish(now);
    }

    /// What the node wants done, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        let next = self.cx.outputs.pop_front();
        if next.is_none() {
            // Looking at all files of a share says something of each one: that much is not kept for the next time.
            self.cx.outputs = VecDeque::new();
        }
        next
    }

    /// Whether somebody reads the lines that say something of each single path: at first they are made.
    pub fn set_verbose(&mut self, verbose: bool) {
        self.cx.verbose = verbose;
    }

    /// Appends what is to be written on a session.
    pub fn transmit(&mut self, id: LinkId, bytes: &mut Vec<u8>) {
        if let Some(link) = self.peers.links.get_mut(&id) {
            let before = bytes.len();
            link.session.poll_transmit(bytes);
            self.cx.counters.bytes_out += (bytes.len() - before) as u64;
        }
    }

    /// Everything an input needs at its end.
    pub(crate) fn finish(&mut self, now: Now) {
        self.end_leaving(now);
        self.continue_previews(now);
        self.time_comparisons(now);
        self.peers.introduce(&mut self.cx);
        self.settle(now);
        self.peers.links.retain(|_, link| !link.over || link.session.queued() > 0);
    }
}
