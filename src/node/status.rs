//! Composes the status from what the node knows: the verdict, and everything that it rests on, from memory.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use crate::fs::Fs;
use crate::model::reason::{Choice, Hold, LeftOut, Trouble};
use crate::model::settings::{Accept, Mode, PeerSettings};
use crate::model::{
    Direction, Entry, Index, Kind, Monotonic, NodeId, Now, Reason, Record, RelPath, ShareName, WallTime, escape, limits,
};
use crate::node::api::Event;
use crate::node::api::record::Field;
use crate::node::api::status::{
    BehindNode, BlockedStatus, CounterStatus, EventStatus, ExchangeStatus, HoldStatus, Identity, NotKeptStatus,
    PathStatus, PauseStatus, PeerState, PeerStatus, Role, ShareState as ShareWord, ShareStatus, Status, StatusReason,
    WaitingPeer,
};
use crate::node::context::NotKept;
use crate::node::peers::exchange::Exchange;
use crate::node::peers::link::Link;
use crate::node::share::Share;
use crate::node::share::exchange::delivery::Sent;
use crate::node::verdict::{Gap, LeftOutPath, NO_INCLUDE, Urgency};
use crate::node::{LinkId, Node};
use crate::proto::message::Around;
use crate::store::state::{KnownPeer, Owed, Pause, ShareState};

/// Events that status lists.
const EVENTS_LISTED: usize = 20;

/// Why nothing is known of a node that connects by itself, and what to do.
pub(crate) const AWAY: &str = "not connected: this node has no address for it and waits for its connection; if it is gone for good, run `owsync peers forget`";

/// Why a configured peer is not dialled, and what to do.
const FORGOTTEN: &str = "forgotten by the user: remove its section from the configuration, or invite it again";

impl<F: Fs> Node<F> {
    /// Whoever was met, is not configured and not here: its state still counts for deletions.
    pub(crate) fn away(&self) -> impl Iterator<Item = (NodeId, &KnownPeer)> {
        let connected =
            |node: NodeId| self.peers.links.values().any(|link| link.is_admitted() && link.node == Some(node));
        let configured = |known: &KnownPeer| {
            let section = known.section.as_deref();
            section.is_some_and(|section| self.cx.peers().any(|peer| *peer.name.0 == *section))
        };
        let known = self.cx.store.state().peers.iter().map(|(node, known)| (*node, known));
        known.filter(move |(node, known)| known.accepted && !configured(known) && !connected(*node))
    }

    /// Whether a node that is away is missed: where any holder of the key may enter, one may have come just once, and
    /// what was met in plain mode comes back under its identity.
    pub(crate) fn is_missed(&self, known: &KnownPeer) -> bool {
        self.cx.settings.accept == Accept::Known && self.cx.identity.mode.is_encrypted() && known.public_key.is_some()
    }

    /// The whole status.
    pub fn status(&self, now: Now) -> Status {
        let verdict = self.verdict(now, None, None);
        let event = |event: &Event| {
            let about = EventStatus {
                event: event.name.into(),
                time: event.at,
                text: event.text.clone(),
                ..EventStatus::default()
            };
            match event.name {
                "owsync.merged" => {
                    let EventStatus { share, path, number, not_taken, .. } =
                        EventStatus::from_tree(&event.details).unwrap_or_default();
                    EventStatus { share, path, number, not_taken, ..about }
                }
                _ => about,
            }
        };
        let c = &self.cx.counters;
        Status {
            identity: self.who_am_i(),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime: now.mono.since(self.started).as_secs(),
            in_sync: verdict.is_in_sync(),
            since: verdict.since,
            summary: verdict.sentence(),
            reasons: verdict.gaps.iter().take(limits::GAPS_LISTED).map(status_reason).collect(),
            exceptions: verdict.clauses(),
            left_out: left_out_counts(&verdict.left_out),
            peers: self.peer_statuses(now),
            shares: self.share_statuses(now),
            database_error: self.cx.store_trouble.as_ref().map(|trouble| trouble.error.to_string()),
            not_kept: self.cx.not_kept.iter().rev().map(not_kept_status).collect(),
            not_kept_count: if self.cx.not_kept.is_empty() { 0 } else { self.cx.not_kept_count },
            waiting: self.waiting_peers(),
            events: self.cx.events.iter().rev().take(EVENTS_LISTED).map(event).collect(),
            counters: CounterStatus {
                edited: c.edited,
                applied: c.landed,
                conflicts: c.conflicts,
                merges: c.merges,
                received_bytes: c.received,
                reused_bytes: c.reused,
                reused_files: c.reused_files,
                supplied_bytes: c.supplied,
                sent_bytes: c.bytes_out,
                history_bytes: self.cx.history.size(),
            },
        }
    }

    /// Nodes that want to connect and are not accepted yet.
    fn waiting_peers(&self) -> Vec<WaitingPeer> {
        let waiting = self.peers.waiting.iter().filter(|(_, waiting)| waiting.trouble != Trouble::Duplicate);
        waiting
            .map(|(node, waiting)| WaitingPeer {
                name: waiting.name.clone(),
                address: waiting.remote.to_canonical().to_string(),
                node: node.to_hex(),
                public_key: waiting.public_key.map(|key| escape::hex(&key)),
                reason: waiting.trouble.code().into(),
                message: waiting.trouble.to_string(),
                since: waiting.since,
            })
            .collect()
    }

    fn role(&self) -> Role {
        match &self.cx.store.state().me {
            me if me.reference => Role::Reference,
            me if me.rank > 0 => Role::Member,
            _ => Role::New,
        }
    }

    /// Who this node is.
    pub(crate) fn who_am_i(&self) -> Identity {
        Identity {
            name: self.cx.settings.name.clone(),
            node: self.cx.identity.id.to_hex(),
            public_key: self.cx.identity.public_key.map(|key| escape::hex(&key)),
            encryption: Some(self.cx.identity.mode.is_encrypted()),
            key_fingerprint: self.cx.settings.key.as_ref().map(|key| key.fingerprint()),
            role: self.role(),
            reference: Some(self.cx.store.state().me.reference),
            release: self.cx.settings.release.as_ref().map(ToString::to_string),
        }
    }

    /// Every peer, by name.
    pub fn peer_statuses(&self, now: Now) -> BTreeMap<String, PeerStatus> {
        let mut peers = BTreeMap::new();
        for peer in self.cx.peers() {
            let link = self.link_of_peer(&peer.name).and_then(|id| Some((id, self.peers.links.get(&id)?)));
            let other = link.and_then(|(_, link)| link.section.as_ref()).filter(|section| **section != peer.name);
            let introducer = self.cx.introducer_of(&peer.name);
            let status = PeerStatus {
                address: self.address_shown(peer, link.map(|(_, link)| link)),
                same_node_as: other.map(ToString::to_string),
                configured: introducer.is_none(),
                introduced_by: introducer.map(|by| self.cx.node_label(by)),
                path: self.peers.path_of(&self.cx, &peer.name, link.is_some()),
                direction: (peer.direction != Direction::Both).then(|| peer.direction.word().into()),
                ..match link {
                    Some((id, link)) => self.connected_peer(now, id, link),
                    None => self.unconnected_peer(now, peer),
                }
            };
            peers.insert(peer.name.to_string(), status);
        }
        for (id, link) in self.peers.links.iter().filter(|(_, link)| link.is_admitted() && link.section.is_none()) {
            let address = Some(link.remote.to_canonical().to_string());
            peers.insert(
                self.peers.peer_label(&self.cx, *id),
                PeerStatus { address, ..self.connected_peer(now, *id, link) },
            );
        }
        for (node, known) in self.away() {
            peers.insert(self.cx.node_label(node), self.away_peer(node, known));
        }
        peers
    }

    /// A node that is not configured and not connected now.
    fn away_peer(&self, node: NodeId, known: &KnownPeer) -> PeerStatus {
        let away = PeerStatus {
            state: PeerState::Away,
            node: Some(node.to_hex()),
            last_connected: Some(known.met),
            ..PeerStatus::default()
        };
        match self.cx.pause_of_node(node) {
            Some(pause) => paused_peer(pause, away),
            None if self.is_missed(known) => PeerStatus { in_sync: Some(false), ..because("away", AWAY, away) },
            None => away,
        }
    }

    /// The address of a peer: as configured; of an introduced one where it is connected, or was last looked for.
    fn address_shown(&self, peer: &PeerSettings, link: Option<&Link<F::Root>>) -> Option<String> {
        if !self.cx.is_introduced(&peer.name) {
            return peer.address.as_ref().map(ToString::to_string);
        }
        let retries = self.peers.dials.get(&peer.name).map_or(0, |dial| dial.retries);
        match link {
            Some(link) => Some(link.remote.to_canonical().to_string()),
            None => self.cx.candidate(&peer.name, retries).map(|(address, _)| address.to_string()),
        }
    }

    fn connected_peer(&self, now: Now, id: LinkId, link: &Link<F::Root>) -> PeerStatus {
        let gaps = self.link_gaps(id, link, None);
        let since = link
            .exchanges
            .values()
            .map(|exchange| exchange.in_sync_since)
            .collect::<Option<Vec<WallTime>>>()
            .and_then(|all| all.into_iter().max());
        let state = if gaps.is_empty() {
            PeerState::InSync
        } else if gaps.iter().all(|gap| gap.moving) {
            PeerState::Syncing
        } else {
            PeerState::NotInSync
        };
        let is_common = |name: &ShareName| link.exchanges.contains_key(name);
        let section =
            link.section.as_ref().and_then(|name| self.cx.settings.peers.iter().find(|peer| peer.name == *name));
        let is_meant = |name: &ShareName| section.is_none_or(|peer| peer.allows(name));
        let here = self.shares.iter().filter(|(name, share)| !share.is_leaving() && !is_common(name) && is_meant(name));
        let hello = link.hello.as_ref();
        let there = hello.iter().flat_map(|hello| &hello.shares).map(|share| &share.name);
        let shares = link.exchanges.iter();
        PeerStatus {
            state,
            connected: true,
            in_sync: Some(gaps.is_empty()),
            since: since.filter(|_| gaps.is_empty()),
            reason: gaps.first().map(|gap| gap.code.into()),
            message: gaps.first().map(|gap| gap.text.clone()),
            behind: self.peers.behind(&self.cx, Some(id)).into_iter().map(|(_, one)| behind_node(one)).collect(),
            only_here: here.map(|(name, _)| name.to_string()).collect(),
            only_there: there.filter(|name| !self.shares.contains_key(name)).map(ToString::to_string).collect(),
            connected_for: Some(now.mono.since(link.opened).as_secs()),
            node: link.node.map(NodeId::to_hex),
            public_key: link.public_key.map(|key| escape::hex(&key)),
            name: hello.map(|hello| hello.name.clone()),
            version: hello.map(|hello| hello.program.clone()),
            release: hello.and_then(|hello| hello.release.as_ref()).map(ToString::to_string),
            quiet_for: Some(now.mono.since(link.last_heard).as_secs()),
            shares: shares.map(|(name, one)| (name.to_string(), self.exchange_status(id, name, one))).collect(),
            ..PeerStatus::default()
        }
    }

    fn exchange_status(&self, id: LinkId, name: &ShareName, exchange: &Exchange) -> ExchangeStatus {
        let gap = self.gap(id, name);
        let node = self.peers.links.get(&id).and_then(|link| link.node);
        let state = self.cx.store.state().shares.get(name);
        let of_peer = state.iter().flat_map(|state| state.owed.iter()).filter(|((owner, _), _)| Some(*owner) == node);
        let mut pending: Vec<(&RelPath, &Owed)> =
            of_peer.filter(|(_, owed)| !owed.reason.is_choice()).map(|((_, path), owed)| (path, &**owed)).collect();
        pending.sort_by_key(|(_, owed)| owed.reason.rank());
        let pending_path = |(path, owed): &(&RelPath, &Owed)| PathStatus {
            since: Some(owed.since),
            ..path_status(path, &owed.reason)
        };
        let there = exchange.paths_there.iter().filter(|(_, reason)| !reason.is_choice());
        let there = there.map(|(path, reason)| path_status(path, reason));
        let mut filter = [0; 8];
        if let Some(share) = self.shares.get(name) {
            filter.copy_from_slice(&share.rules_digest().0[..8]);
        }
        let left_out = node.map(|node| self.left_out(node, name)).unwrap_or_default();
        ExchangeStatus {
            in_sync: gap.is_none(),
            since: exchange.in_sync_since,
            reason: gap.as_ref().map(|gap| gap.code.into()),
            message: gap.as_ref().map(|gap| gap.text.clone()),
            offered: exchange.offered.unwrap_or(0),
            applied_there: exchange.their_applied,
            received: exchange.heard,
            applied: exchange.told.unwrap_or_default().applied,
            pending_count: pending.len() as u64,
            pending: pending.iter().take(limits::OWED_TOLD).map(pending_path).collect(),
            pending_there: if exchange.pending_there > 0 { there.collect() } else { Vec::new() },
            pending_there_count: exchange.pending_there.into(),
            unreleased_there: exchange.unreleased_there.into(),
            unconfirmed_there: exchange.unconfirmed_there.into(),
            left_out: left_out_counts(&self.left_out_between(id, name)),
            left_out_count: left_out.len() as u64,
            left_out_paths: left_out.iter().take(limits::REPLY_PATHS).map(left_out_status).collect(),
            filters_differ: exchange.theirs.filter != filter,
        }
    }

    fn unconnected_peer(&self, now: Now, peer: &PeerSettings) -> PeerStatus {
        let name = &peer.name;
        let none = PeerStatus::default();
        if peer.enabled && self.cx.is_forgotten_peer(peer) {
            return PeerStatus { state: PeerState::Forgotten, message: Some(FORGOTTEN.into()), ..none };
        }
        if self.peers.dials.get(name).is_some_and(|dial| dial.own) {
            return PeerStatus { state: PeerState::ThisNode, in_sync: Some(true), this_node: true, ..none };
        }
        let none = PeerStatus { in_sync: Some(false), ..none };
        let Some(dial) = self.peers.dials.get(name).filter(|_| peer.enabled) else {
            return PeerStatus { state: PeerState::Disabled, ..because("disabled", "disabled here", none) };
        };
        let relays = self.cx.introducer_of(name).and_then(|by| self.peers.relay(by));
        let pause = self.cx.pause_of_peer(name);
        let status = match (&dial.trouble, pause) {
            (_, Some(pause)) => paused_peer(pause, none),
            (trouble, None) if relays.is_some() => {
                let why = trouble.as_ref().map_or("not connected yet".to_string(), |(trouble, _)| trouble.to_string());
                let in_sync = relays.is_some_and(|(_, link)| link.is_in_sync());
                let message = Some(format!("no direct session: {why}"));
                PeerStatus { state: PeerState::Relayed, in_sync: Some(in_sync), message, ..none }
            }
            (Some((trouble, since)), None) => PeerStatus {
                state: PeerState::NotConnected,
                since: Some(*since),
                ..because(trouble.code(), trouble.to_string(), none)
            },
            (None, None) => {
                PeerStatus { state: PeerState::Connecting, ..because("connecting", "not connected yet", none) }
            }
        };
        let next = Some(dial.poll_timeout()).filter(|next| *next > now.mono && *next != Monotonic::NEVER);
        let known = self.cx.store.state().peers.iter();
        let mut known = known.filter(|(_, known)| known.accepted && known.section.as_deref() == Some(&name.0));
        let (node, known) = known.next().unzip();
        PeerStatus {
            retry_in: next.map(|next| next.since(now.mono).as_secs()),
            retries: dial.retries.into(),
            last_connected: dial.last_ok,
            node: node.map(|node| node.to_hex()),
            public_key: known.and_then(|known| known.public_key).map(|key| escape::hex(&key)),
            name: known.map(|known| known.name.clone()),
            ..status
        }
    }

    /// Every share, by name.
    pub fn share_statuses(&self, now: Now) -> BTreeMap<String, ShareStatus> {
        let states = &self.cx.store.state().shares;
        let shares = self.shares.iter().filter_map(|(name, share)| Some((name, share, states.get(name)?)));
        shares.map(|(name, share, state)| (name.to_string(), self.share_status(now, name, share, state))).collect()
    }

    fn share_status(&self, now: Now, name: &ShareName, share: &Share<F>, state: &ShareState) -> ShareStatus {
        let (files, bytes) = state.index.live_files();
        let remembered = state.index.iter().filter(|(_, record)| !record.entry.is_live() && !record.entry.is_nothing());
        let retry_in = share.transaction.landing.as_ref().map(|landing| landing.retry_at().since(now.mono).as_secs());
        let blocked = |why: &str| BlockedStatus { message: why.into(), retry_in };
        // A new node has nothing yet that could match.
        let idle = share.filter.idle_includes(&state.index).filter(|_| share.is_ready() && files > 0);
        let idle = idle.take(limits::REPLY_PATHS).map(escape::escape);
        let mut skipped: Vec<(&RelPath, &Reason)> = share.detect.skipped.listed.iter().collect();
        skipped.sort_by_key(|(_, reason)| reason.rank());
        let held = share.held_paths(&self.cx).take(limits::REPLY_PATHS);
        let (left_out, pending): (Vec<_>, Vec<_>) =
            state.owed.iter().map(|(key, owed)| (key, &**owed)).partition(|(_, owed)| owed.reason.is_choice());
        let manual = |(path, record): (&RelPath, &Record)| PathStatus {
            what: Some(what_of(&record.entry).into()),
            size: Some(record.entry.size),
            ..path_status(path, &Reason::Manual)
        };
        ShareStatus {
            state: self.share_word(name, share),
            dir: escape::escape(share.settings.dir.as_os_str().as_bytes()),
            files,
            bytes,
            tombstones: remembered.count() as u64,
            direction: (share.settings.direction != Direction::Both).then(|| share.settings.direction.word().into()),
            hold: state.meta.hold.as_ref().map(|(hold, since)| hold_status(hold, *since)),
            last_sent: share.outgoing.sent.back().map(Sent::status),
            blocked: share.blocked().map(blocked),
            paused: self.cx.pause_of_share(name).map(pause_status),
            unconfirmed: share.unconfirmed_status(&self.cx),
            commit: share.commit_status(&self.cx),
            last_commit: share.last_commit_status(),
            mode: (share.settings.mode == Mode::Manual).then(|| share.settings.mode.word().into()),
            unreleased_count: share.unreleased(&self.cx).count() as u64,
            unreleased: share.unreleased(&self.cx).take(limits::REPLY_PATHS).map(manual).collect(),
            deviations_count: share.deviations(&self.cx).count() as u64,
            deviations: share
                .deviations(&self.cx)
                .take(limits::REPLY_PATHS)
                .map(|(path, record)| deviation_status(path, &record.entry))
                .collect(),
            kept_dirs: kept_dirs(&state.index).take(limits::REPLY_PATHS).map(kept_dir_status).collect(),
            warning: share.filter.is_empty().then(|| NO_INCLUDE.into()),
            includes_without_match: idle.collect(),
            local_without_match: if share.is_ready() { share.idle_patterns(&self.cx) } else { Vec::new() },
            not_merged: if share.is_ready() { share.not_merged(&self.cx) } else { Vec::new() },
            detector: if share.detect.watched { "inotify" } else { "poll" }.into(),
            next_scan: share.detect.next_poll.since(now.mono).as_secs(),
            skipped_count: if skipped.is_empty() { 0 } else { share.detect.skipped.count() },
            skipped: skipped.into_iter().map(|(path, reason)| path_status(path, reason)).collect(),
            held_paths: held
                .map(|(path, record, reason)| PathStatus { since: Some(record.recorded), ..path_status(path, &reason) })
                .collect(),
            pending_count: pending.len() as u64,
            pending: self.owed_paths(pending),
            left_out_count: left_out.len() as u64,
            left_out: self.owed_paths(left_out),
            uncommitted: Vec::new(),
            uncommitted_error: None,
        }
    }

    fn share_word(&self, name: &ShareName, share: &Share<F>) -> ShareWord {
        let (scans, applies) = (share.detect.scan.is_some(), share.transaction.landing.is_some());
        match (self.cx.hold_of(name), share.paused, share.is_ready(), scans, applies) {
            (Some(_), ..) => ShareWord::Held,
            (None, true, ..) => ShareWord::Paused,
            (None, _, false, ..) => ShareWord::Scanning,
            (None, _, _, _, true) => ShareWord::Applying,
            (None, _, _, true, _) => ShareWord::Scanning,
            _ => ShareWord::Idle,
        }
    }

    /// The first of these changes, the causes before what only waits for them.
    fn owed_paths(&self, mut owed: Vec<(&(NodeId, RelPath), &Owed)>) -> Vec<PathStatus> {
        owed.sort_by_key(|(_, owed)| owed.reason.rank());
        let status = |((node, path), owed): (&(NodeId, RelPath), &Owed)| PathStatus {
            peer: Some(self.cx.node_label(*node)),
            since: Some(owed.since),
            needs_user: owed.reason.needs_user(),
            ..path_status(path, &owed.reason)
        };
        owed.into_iter().take(limits::REPLY_PATHS).map(status).collect()
    }
}

/// A peer with why it is not in sync.
fn because(code: &str, message: impl Into<String>, peer: PeerStatus) -> PeerStatus {
    PeerStatus { reason: Some(code.into()), message: Some(message.into()), ..peer }
}

/// A peer that the user paused.
fn paused_peer(pause: &Pause, peer: PeerStatus) -> PeerStatus {
    let peer = PeerStatus { state: PeerState::Paused, in_sync: Some(false), paused: Some(pause_status(pause)), ..peer };
    because("paused", pause.to_string(), peer)
}

fn path_status(path: &RelPath, reason: &Reason) -> PathStatus {
    let (reason, message) = (reason.code().into(), reason.to_string());
    PathStatus { path: path.to_text(), reason, message, ..PathStatus::default() }
}

/// A change made here in a share that only receives.
pub(crate) fn deviation_status(path: &RelPath, entry: &Entry) -> PathStatus {
    let what = what_of(entry);
    PathStatus {
        path: path.to_text(),
        reason: "direction".into(),
        message: format!("{what} here and not sent, because this share only receives"),
        what: Some(what.into()),
        ..PathStatus::default()
    }
}

fn what_of(entry: &Entry) -> &'static str {
    if entry.is_live() { "changed" } else { "deleted" }
}

/// Directories that were deleted and stay because they contain files that are not synced.
fn kept_dirs(index: &Index) -> impl Iterator<Item = &RelPath> {
    let is_dir = |record: &Record| record.disk.is_some_and(|disk| disk.kind == Kind::Dir);
    let kept = move |record: &Record| !record.entry.is_live() && record.sleep.is_none() && is_dir(record);
    index.iter().filter(move |(_, record)| kept(record)).map(|(path, _)| path)
}

fn kept_dir_status(path: &RelPath) -> PathStatus {
    let (reason, message) = (Choice::KeptDir.code().into(), Choice::KeptDir.to_string());
    PathStatus { path: path.to_text(), reason, message, ..PathStatus::default() }
}

fn left_out_status((path, one): (&RelPath, &LeftOutPath)) -> PathStatus {
    PathStatus { path: path.to_text(), reason: one.choice.code().into(), message: one.text(), ..PathStatus::default() }
}

fn hold_status(hold: &Hold, since: WallTime) -> HoldStatus {
    HoldStatus { reason: hold.code().into(), message: hold.to_string(), since, needs_user: hold.needs_user() }
}

fn pause_status(pause: &Pause) -> PauseStatus {
    let reason = Some(pause.reason.clone()).filter(|reason| !reason.is_empty());
    PauseStatus { since: pause.since, until: pause.until, reason }
}

fn not_kept_status(one: &NotKept) -> NotKeptStatus {
    NotKeptStatus { share: one.share.to_string(), path: one.path.to_text(), size: one.size, time: one.at }
}

fn status_reason(gap: &Gap) -> StatusReason {
    StatusReason {
        peer: gap.peer.clone(),
        share: gap.share.as_ref().map(ToString::to_string),
        reason: gap.code.into(),
        message: gap.text.clone(),
        needs_user: gap.urgency == Urgency::Decision,
    }
}

fn behind_node(one: Around) -> BehindNode {
    BehindNode { name: one.name, node: one.node.map(NodeId::to_hex), reason: one.reason }
}

/// How many paths are left out by choice, by its word.
fn left_out_counts(left_out: &LeftOut) -> BTreeMap<String, u64> {
    left_out.iter().map(|(choice, count)| (choice.code().to_string(), count.into())).collect()
}
