//! What a machine of a node may touch: the time, the disk, the state, the history, and what it wants done.
//!
//! A share gets a [`Context`] with every call and has nothing else; what concerns another share, or decides which share
//! or peer is meant, is the [`crate::node::Node`]'s.

pub(crate) mod clock;
pub(crate) mod log;
pub(crate) mod notices;
pub(crate) mod packages;

use std::collections::VecDeque;

use crate::fs::{Fs, FsError, Root};
use crate::model::reason::Hold;
use crate::model::settings::PeerSettings;
use crate::model::{
    Entry, Map, Monotonic, NodeId, Now, PeerName, Record, RelPath, Rng, Settings, ShareName, WallTime, limits,
};
use crate::node::api::{Counters, Event, Level, LogLine};
use crate::node::{CommandId, Identity, LinkId, Output, Parts};
use crate::store::Store;
use crate::store::history::History;
use crate::store::state::{KnownPeer, Pause, Paused, Trial};

/// What a machine may touch. See the module's text.
pub(crate) struct Context<F: Fs> {
    /// The time of the input that is being handled.
    pub now: Now,
    pub fs: F,
    pub settings: Settings,
    pub store: Store<F::Root>,
    pub history: History<F::Root>,
    /// The current content of UCI packages.
    pub packages: packages::Packages,
    pub identity: Identity,
    pub rng: Rng,
    /// The clock as far as it can be believed.
    pub clock: clock::Clock,
    /// The machine is up for ten minutes from here on.
    pub settled_at: Monotonic,
    /// The user started it and waits: a share that was replaced meanwhile is reported, not held.
    pub attended: bool,
    /// Peers that a reference introduced, as if they were configured: made from the state and the settings.
    pub introduced: Vec<PeerSettings>,
    /// Connected nodes that belong to no section, with the names that they call themselves.
    pub guests: Map<LinkId, (NodeId, String)>,
    pub next_batch: u64,
    pub next_run: u64,
    pub next_check: u64,
    pub outputs: VecDeque<Output>,
    pub verbose: bool,
    /// The latest events, for status.
    pub events: VecDeque<Event>,
    /// Previous versions that were not kept since this process started, the latest last.
    pub not_kept: VecDeque<NotKept>,
    pub not_kept_count: u64,
    /// Held paths that are reported at the end of this input.
    pub held_news: notices::HeldNews,
    /// Why the state cannot be written, and when to try again.
    pub store_trouble: Option<StoreTrouble>,
    pub counters: Counters,
    /// Lines about single peers, and about nodes that are not accepted.
    pub peer_lines: Map<NodeId, log::Lines>,
    pub stranger_lines: log::Lines,
    /// Set by everything that may have changed what peers must be told; cleared at the end of the input.
    pub stirred: bool,
    /// Shared forms may be stored that nothing needs any more.
    pub forms_stirred: bool,
    /// The share in which a commit is under way: there is one at a time.
    pub committing: Option<ShareName>,
    /// Each `sync` that is running.
    pub syncs: Vec<Run>,
    /// What scans found that record nothing: for the previews that wait for it.
    pub peeks: Vec<(ShareName, Seen)>,
}

impl<F: Fs> Context<F> {
    /// The context of a node that is made of these parts.
    pub fn new(parts: Parts<F>, now: Now) -> Context<F> {
        let next_run = parts.history.items().map(|item| item.run).max().unwrap_or(0) + 1;
        let mut cx = Context {
            now,
            fs: parts.fs,
            settings: parts.settings,
            store: parts.store,
            history: parts.history,
            packages: packages::Packages::default(),
            identity: parts.identity,
            rng: parts.rng,
            clock: clock::Clock::new(now),
            settled_at: parts.settled_at,
            attended: parts.attended,
            introduced: Vec::new(),
            guests: Map::new(),
            next_batch: 1,
            next_run,
            next_check: 1,
            outputs: VecDeque::new(),
            verbose: true,
            events: VecDeque::new(),
            not_kept: VecDeque::new(),
            not_kept_count: 0,
            held_news: Default::default(),
            store_trouble: None,
            counters: Counters::default(),
            peer_lines: Map::new(),
            stranger_lines: Default::default(),
            stirred: true,
            forms_stirred: false,
            committing: None,
            syncs: Vec::new(),
            peeks: Vec::new(),
        };
        cx.find_forms();
        cx
    }

    /// Writes a line to the log.
    pub fn log(&mut self, level: Level, text: String) {
        self.outputs.push_back(Output::Log(LogLine { level, text }));
    }

    /// Reports an event, and remembers it for status.
    pub fn tell(&mut self, event: Event) {
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

    /// Every peer that has settings: the configured ones, then those that were introduced.
    pub fn peers(&self) -> impl Iterator<Item = &PeerSettings> {
        self.settings.peers.iter().chain(&self.introduced)
    }

    /// The settings of a peer.
    pub fn peer_settings(&self, name: &PeerName) -> Option<&PeerSettings> {
        self.peers().find(|peer| peer.name == *name)
    }

    /// Whether a peer was introduced, and is not configured.
    pub fn is_introduced(&self, name: &PeerName) -> bool {
        self.introduced.iter().any(|peer| peer.name == *name)
    }

    /// The name by which users know a node.
    pub fn node_label(&self, node: NodeId) -> String {
        match self.store.state().peers.get(&node) {
            Some(KnownPeer { section: Some(section), .. }) => section.clone(),
            Some(peer) if !peer.name.is_empty() => self.distinct(&peer.name, Some(node)),
            _ => node.to_string(),
        }
    }

    /// The name by which users know a node, or this one.
    pub fn router_label(&self, node: NodeId) -> String {
        if node == self.identity.id { self.settings.name.clone() } else { self.node_label(node) }
    }

    /// The name of a node without a section, with its id where the name alone could mean another.
    pub fn distinct(&self, name: &str, node: Option<NodeId>) -> String {
        let Some(node) = node else { return name.into() };
        let configured = |section: &str| self.peers().any(|peer| *peer.name.0 == *section);
        let taken = name == self.settings.name
            || configured(name)
            || self.guests.values().any(|(other, known)| *other != node && known == name)
            || self.store.state().peers.iter().any(|(other, known)| {
                *other != node
                    && known.accepted
                    && known.name == name
                    && !known.section.as_deref().is_some_and(configured)
            });
        if taken { format!("{name} ({node})") } else { name.into() }
    }

    /// What is recorded of a path.
    pub fn record_of(&self, name: &ShareName, path: &RelPath) -> Option<Record> {
        self.store.share(name).index.get(path).cloned()
    }

    /// Why a share is held, if it is.
    pub fn hold_of(&self, name: &ShareName) -> Option<&Hold> {
        self.store.share(name).meta.hold.as_ref().map(|(hold, _)| hold)
    }

    /// Why nothing of a share is exchanged, held or paused, as the text that peers are told.
    pub fn stop_text(&self, name: &ShareName) -> Option<String> {
        let pause = || self.pause_of_share(name).map(ToString::to_string);
        self.hold_of(name).map(ToString::to_string).or_else(pause)
    }

    /// The changes of a share that await confirmation, if there are any.
    pub fn trial_of(&self, name: &ShareName) -> Option<&Trial> {
        self.store.share(name).trial.as_deref()
    }

    /// Checks that `min_free` bytes remain in a share's root after `need` more: the bytes that are free.
    ///
    /// # Errors
    /// The bytes that are free, where that is not enough.
    pub fn has_room(root: &F::Root, need: u64, min_free: u64) -> Result<u64, u64> {
        let free = root.free().unwrap_or(0);
        if free.saturating_sub(need) >= min_free { Ok(free) } else { Err(free) }
    }

    /// What history says of this moment.
    pub fn noted(&self) -> Noted {
        Noted { at: self.now.wall, doubtful: self.clock.is_doubtful() }
    }

    /// The pause of a node that has no section: it is paused by its id.
    pub fn pause_of_node(&self, node: NodeId) -> Option<&Pause> {
        let id = node.to_hex();
        self.store.state().pauses.iter().find(|pause| matches!(&pause.of, Paused::Peer(peer) if *peer == id))
    }

    /// The pause of a share.
    pub fn pause_of_share(&self, name: &ShareName) -> Option<&Pause> {
        self.store.state().pauses.iter().find(|pause| matches!(&pause.of, Paused::Share(share) if share == name))
    }

    /// The pause of a configured peer.
    pub fn pause_of_peer(&self, name: &PeerName) -> Option<&Pause> {
        self.store.state().pauses.iter().find(|pause| matches!(&pause.of, Paused::Peer(peer) if **peer == *name.0))
    }
}

/// A `sync` whose caller waits for the answer.
pub(crate) struct Run {
    pub id: u64,
    pub command: CommandId,
    pub share: Option<ShareName>,
    pub peer: Option<PeerName>,
    pub deadline: Monotonic,
    /// Shares that were not scanned since it began.
    pub unseen: Vec<ShareName>,
}

/// The result of a scan that records nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// What is on disk and not recorded.
    pub noticed: Vec<Noticed>,
    /// The guard that would hold the share.
    pub guard: Option<Hold>,
}

/// A path that is not as recorded.
#[derive(Debug, Clone)]
pub(crate) struct Noticed {
    pub path: RelPath,
    /// What is recorded of it.
    pub before: Option<Entry>,
    /// What is on disk; without version.
    pub after: Entry,
}

/// A previous version that did not fit into the history.
#[derive(Debug, Clone)]
pub(crate) struct NotKept {
    pub share: ShareName,
    pub path: RelPath,
    /// Bytes.
    pub size: u64,
    pub at: WallTime,
}

/// When something went into history, and whether this node's clock can be believed.
pub(crate) struct Noted {
    pub at: WallTime,
    pub doubtful: bool,
}

/// The database cannot be written.
pub(crate) struct StoreTrouble {
    pub error: FsError,
    /// How often that was tried.
    pub attempts: u32,
    /// When the next attempt is made.
    pub retry_at: Monotonic,
}
