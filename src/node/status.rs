//! Status: the verdict, and everything that it rests on, from memory.

use crate::fs::Fs;
use crate::model::reason::{Choice, LeftOut};
use crate::model::settings::{Accept, Mode, PeerSettings};
use crate::model::{
    Direction, Entry, Index, Kind, NodeId, Now, Reason, Record, RelPath, ShareName, WallTime, escape, limits,
};
use crate::node::api::Tree;
use crate::node::context::NotKept;
use crate::node::context::StoreTrouble;
use crate::node::peers::exchange::Exchange;
use crate::node::peers::link::Link;
use crate::node::requests::pause::pause_tree;
use crate::node::share::exchange::delivery::Sent;
use crate::node::verdict::{Gap, LeftOutPath, NO_INCLUDE, Urgency};
use crate::node::{LinkId, Node};
use crate::proto::message::Around;
use crate::store::state::{KnownPeer, Owed, Pause};

/// Why nothing is known of a node that connects by itself, and what to do.
pub(crate) const AWAY: &str =
    "not connected: it dials this node by itself; if it is gone for good, run `owsync peers forget`";

/// Why a configured peer is not dialled, and what to do.
const FORGOTTEN: &str = "forgotten by a user: remove its section from the configuration, or invite it anew";

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
    pub(crate) fn status(&self, now: Now) -> Tree {
        let verdict = self.verdict(now, None, None);
        let except: Vec<Tree> = verdict.clauses().into_iter().map(Tree::Text).collect();
        let gaps: Vec<Tree> = verdict.gaps.iter().take(limits::GAPS_LISTED).map(gap_tree).collect();
        let mut tree = self
            .identity_tree()
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("uptime", u64::from(u32::try_from(now.mono.since(self.started).as_secs()).unwrap_or(u32::MAX)))
            .with("in_sync", verdict.is_in_sync())
            .with_some("since", verdict.since)
            .with("summary", verdict.sentence())
            .with("reasons", gaps)
            .with("except", except)
            .with_some("left_out", left_out_tree(&verdict.left_out))
            .with("peers", self.peers_tree(now))
            .with("shares", self.shares_tree(now));
        if let Some(StoreTrouble { error, .. }) = &self.cx.store_trouble {
            tree = tree.with("database_error", error.to_string());
        }
        let waiting: Vec<Tree> = self
            .peers
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.trouble != crate::model::reason::Trouble::Duplicate)
            .map(|(node, waiting)| {
                Tree::map()
                    .with("name", waiting.name.clone())
                    .with("address", waiting.remote.to_canonical().to_string())
                    .with("node", node.to_hex())
                    .with_some("public_key", waiting.public_key.map(|key| escape::hex(&key)))
                    .with("reason", waiting.trouble.code())
                    .with("message", waiting.trouble.to_string())
                    .with("since", waiting.since)
            })
            .collect();
        let events: Vec<Tree> = self
            .cx
            .events
            .iter()
            .rev()
            .take(20)
            .map(|event| Tree::map().with("event", event.name).with("time", event.at).with("text", event.text.clone()))
            .collect();
        let c = self.cx.counters;
        let counters = Tree::map()
            .with("edited", c.edited)
            .with("applied", c.landed)
            .with("conflicts", c.conflicts)
            .with("received_bytes", c.received)
            .with("reused_bytes", c.reused)
            .with("reused_files", c.reused_files)
            .with("supplied_bytes", c.supplied)
            .with("sent_bytes", c.bytes_out)
            .with("history_bytes", self.cx.history.size());
        let not_kept = |one: &NotKept| {
            let tree = Tree::map().with("share", one.share.to_string()).with("path", one.path.to_text());
            tree.with("size", one.size).with("time", one.at)
        };
        let not_kept: Vec<Tree> = self.cx.not_kept.iter().rev().map(not_kept).collect();
        let tree = match not_kept.is_empty() {
            true => tree,
            false => tree.with("not_kept", not_kept).with("not_kept_count", self.cx.not_kept_count),
        };
        tree.with("waiting", waiting).with("events", events).with("counters", counters)
    }

    /// What this node is in its cluster: `reference` where the user declared it that, `member` where it exchanged with a
    /// descendant of one, else `new`.
    fn role(&self) -> &'static str {
        match &self.cx.store.state().me {
            me if me.reference => "reference",
            me if me.rank > 0 => "member",
            _ => "new",
        }
    }

    /// Who this node is.
    pub(crate) fn identity_tree(&self) -> Tree {
        let encrypted = self.cx.identity.mode.is_encrypted();
        Tree::map()
            .with("name", self.cx.settings.name.clone())
            .with("node", self.cx.identity.id.to_hex())
            .with_some("public_key", self.cx.identity.public_key.map(|key| escape::hex(&key)))
            .with("encryption", encrypted)
            .with_some("key_fingerprint", self.cx.settings.key.as_ref().map(|key| key.fingerprint()))
            .with("role", self.role())
            .with("reference", self.cx.store.state().me.reference)
            .with_some("release", self.cx.settings.release.as_ref().map(ToString::to_string))
    }

    /// Every peer, by name.
    pub(crate) fn peers_tree(&self, now: Now) -> Tree {
        let mut tree = Tree::map();
        for peer in self.cx.peers() {
            let link = self.link_of_peer(&peer.name).and_then(|id| Some((id, self.peers.links.get(&id)?)));
            let mut one = match link {
                Some((id, link)) => self.linked_tree(now, id, link),
                None => self.unlinked_tree(now, peer),
            };
            let other = link.and_then(|(_, link)| link.section.as_ref()).filter(|section| **section != peer.name);
            let introducer = self.cx.introducer_of(&peer.name);
            one = one
                .with_some("address", self.address_shown(peer, link.map(|(_, link)| link)))
                .with_some("same_node_as", other.map(ToString::to_string))
                .with("configured", introducer.is_none())
                .with_some("introduced_by", introducer.map(|by| self.cx.node_label(by)))
                .with_some("path", self.peers.path_of(&self.cx, &peer.name, link.is_some()));
            if peer.direction != Direction::Both {
                one = one.with("direction", peer.direction.word());
            }
            tree = tree.with(&*peer.name.0, one);
        }
        for (id, link) in self.peers.links.iter().filter(|(_, link)| link.is_admitted() && link.section.is_none()) {
            tree = tree.with(
                self.peers.peer_label(&self.cx, *id),
                self.linked_tree(now, *id, link)
                    .with("address", link.remote.to_canonical().to_string())
                    .with("configured", false),
            );
        }
        for (node, known) in self.away() {
            let pause = self.cx.pause_of_node(node);
            let mut one = Tree::map()
                .with("state", if pause.is_some() { "paused" } else { "away" })
                .with("node", node.to_hex())
                .with("met", known.met)
                .with("configured", false)
                .with("connected", false);
            let label = self.cx.node_label(node);
            if let Some(pause) = pause {
                one = one
                    .with("in_sync", false)
                    .with("reason", "paused")
                    .with("message", pause.to_string())
                    .with("paused", pause_tree(pause));
            } else if self.is_missed(known) {
                one = one.with("in_sync", false).with("reason", "away").with("message", AWAY);
            }
            tree = tree.with(label, one);
        }
        tree
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

    fn linked_tree(&self, now: Now, id: LinkId, link: &Link<F::Root>) -> Tree {
        let gaps = self.link_gaps(id, link, None);
        let since = link
            .exchanges
            .values()
            .map(|exchange| exchange.in_sync_since)
            .collect::<Option<Vec<WallTime>>>()
            .and_then(|all| all.into_iter().max());
        let state = if gaps.is_empty() {
            "in sync"
        } else if gaps.iter().all(|gap| gap.moving) {
            "syncing"
        } else {
            "not in sync"
        };
        let names = |names: Vec<String>| Some(names.into_iter().map(Tree::Text).collect::<Vec<_>>());
        let is_common = |name: &ShareName| link.exchanges.contains_key(name);
        let section =
            link.section.as_ref().and_then(|name| self.cx.settings.peers.iter().find(|peer| peer.name == *name));
        let only_here: Vec<String> = self
            .shares
            .iter()
            .filter(|(name, share)| {
                !share.is_leaving() && !is_common(name) && section.is_none_or(|peer| peer.allows(name))
            })
            .map(|(name, _)| name.to_string())
            .collect();
        let there = link.hello.iter().flat_map(|hello| &hello.shares).map(|share| &share.name);
        let only_there: Vec<String> =
            there.filter(|name| !self.shares.contains_key(name)).map(ToString::to_string).collect();
        let mut shares = Tree::map();
        for (name, exchange) in link.exchanges.iter() {
            shares = shares.with(name.as_str(), self.exchange_tree(id, name, exchange));
        }
        let up = now.mono.since(link.opened).as_secs();
        Tree::map()
            .with("state", state)
            .with("connected", true)
            .with("in_sync", gaps.is_empty())
            .with_some("since", since.filter(|_| gaps.is_empty()))
            .with_some("reason", gaps.first().map(|gap| gap.code))
            .with_some("message", gaps.first().map(|gap| gap.text.clone()))
            .with_some(
                "behind",
                Some(self.peers.behind(&self.cx, Some(id))).filter(|all| !all.is_empty()).map(behind_tree),
            )
            .with_some("only_here", names(only_here).filter(|names| !names.is_empty()))
            .with_some("only_there", names(only_there).filter(|names| !names.is_empty()))
            .with("connected_for", up)
            .with_some("node", link.node.map(NodeId::to_hex))
            .with_some("public_key", link.public_key.map(|key| escape::hex(&key)))
            .with_some("name", link.hello.as_ref().map(|hello| hello.name.clone()))
            .with_some("version", link.hello.as_ref().map(|hello| hello.program.clone()))
            .with_some("release", link.hello.as_ref().and_then(|hello| hello.release.as_ref()).map(ToString::to_string))
            .with("quiet_for", now.mono.since(link.last_heard).as_secs())
            .with("shares", shares)
    }

    fn exchange_tree(&self, id: LinkId, name: &ShareName, exchange: &Exchange) -> Tree {
        let gap = self.gap(id, name);
        let node = self.peers.links.get(&id).and_then(|link| link.node);
        let state = self.cx.store.state().shares.get(name);
        let of_peer = state.iter().flat_map(|state| state.owed.iter()).filter(|((owner, _), _)| Some(*owner) == node);
        let mut pending: Vec<(&RelPath, &Owed)> =
            of_peer.filter(|(_, owed)| !owed.reason.is_choice()).map(|((_, path), owed)| (path, &**owed)).collect();
        pending.sort_by_key(|(_, owed)| owed.reason.rank());
        let pending_count = pending.len();
        let pending: Vec<Tree> = pending
            .into_iter()
            .take(limits::OWED_TOLD)
            .map(|(path, owed)| path_tree(path, &owed.reason).with("since", owed.since))
            .collect();
        let there = exchange.paths_there.iter().filter(|(_, reason)| !reason.is_choice());
        let there: Vec<Tree> = there.map(|(path, reason)| path_tree(path, reason)).collect();
        let mut filter = [0; 8];
        if let Some(share) = self.shares.get(name) {
            filter.copy_from_slice(&share.rules_digest().0[..8]);
        }
        let mut tree = Tree::map()
            .with("in_sync", gap.is_none())
            .with_some("since", exchange.in_sync_since)
            .with_some("reason", gap.as_ref().map(|gap| gap.code))
            .with_some("message", gap.as_ref().map(|gap| gap.text.clone()));
        let told = exchange.told.unwrap_or_default();
        tree = tree
            .with("offered", exchange.offered.unwrap_or(0))
            .with("applied_there", exchange.their_applied)
            .with("received", exchange.heard)
            .with("applied", told.applied);
        if !pending.is_empty() {
            tree = tree.with("pending", pending).with("pending_count", pending_count);
        }
        if exchange.pending_there > 0 {
            tree = tree.with("pending_there", there).with("pending_there_count", exchange.pending_there);
        }
        if exchange.unreleased_there > 0 {
            tree = tree.with("unreleased_there", exchange.unreleased_there);
        }
        if exchange.unconfirmed_there > 0 {
            tree = tree.with("unconfirmed_there", exchange.unconfirmed_there);
        }
        tree = tree.with_some("left_out", left_out_tree(&self.left_out_between(id, name)));
        let left_out = node.map(|node| self.left_out(node, name)).unwrap_or_default();
        if !left_out.is_empty() {
            let one = |(path, one): (&RelPath, &LeftOutPath)| {
                let tree = Tree::map().with("path", path.to_text()).with("reason", one.choice.code());
                tree.with("message", one.text())
            };
            let all = left_out.len();
            let paths: Vec<Tree> = left_out.iter().take(limits::REPLY_PATHS).map(one).collect();
            tree = tree.with("left_out_paths", paths).with("left_out_count", all);
        }
        if exchange.theirs.filter != filter {
            tree = tree.with("filters_differ", true);
        }
        tree
    }

    fn unlinked_tree(&self, now: Now, peer: &PeerSettings) -> Tree {
        let (name, enabled) = (&peer.name, peer.enabled);
        if enabled && self.cx.is_forgotten_peer(peer) {
            return Tree::map().with("state", "forgotten").with("connected", false).with("message", FORGOTTEN);
        }
        if self.peers.dials.get(name).is_some_and(|dial| dial.own) {
            return Tree::map()
                .with("state", "this node")
                .with("connected", false)
                .with("in_sync", true)
                .with("this_node", true);
        }
        let known = self
            .cx
            .store
            .state()
            .peers
            .iter()
            .find(|(_, known)| known.accepted && known.section.as_deref() == Some(&name.0));
        let Some(dial) = self.peers.dials.get(name).filter(|_| enabled) else {
            return Tree::map()
                .with("state", "disabled")
                .with("connected", false)
                .with("in_sync", false)
                .with("reason", "disabled")
                .with("message", "switched off here");
        };
        let mut tree = Tree::map();
        let relays = self.cx.introducer_of(name).and_then(|by| self.peers.relay(by));
        tree = match (&dial.trouble, dial.paused) {
            (trouble, false) if relays.is_some() => {
                let why = trouble.as_ref().map_or("not connected yet".to_string(), |(trouble, _)| trouble.to_string());
                tree.with("state", "relayed")
                    .with("connected", false)
                    .with("in_sync", relays.is_some_and(|(_, link)| link.is_in_sync()))
                    .with("message", format!("no direct session: {why}"))
            }
            (_, true) => tree
                .with("state", "paused")
                .with("connected", false)
                .with("in_sync", false)
                .with("reason", "paused")
                .with("message", self.cx.pause_of_peer(name).map_or_else(|| "paused here".into(), Pause::to_string)),
            (Some((trouble, since)), _) => tree
                .with("state", "not connected")
                .with("connected", false)
                .with("in_sync", false)
                .with("reason", trouble.code())
                .with("message", trouble.to_string())
                .with("since", *since),
            (None, _) => tree
                .with("state", "connecting")
                .with("connected", false)
                .with("in_sync", false)
                .with("reason", "connecting")
                .with("message", "not connected yet"),
        };
        if dial.poll_timeout() > now.mono && dial.poll_timeout() != crate::model::Monotonic::NEVER {
            tree = tree.with("retry_in", dial.poll_timeout().since(now.mono).as_secs());
        }
        tree = tree.with_some("retries", Some(dial.retries).filter(|&retries| retries > 0));
        tree = tree.with_some("last_ok", dial.last_ok).with_some("paused", self.cx.pause_of_peer(name).map(pause_tree));
        match known {
            Some((node, known)) => tree
                .with("node", node.to_hex())
                .with_some("public_key", known.public_key.map(|key| escape::hex(&key)))
                .with("name", known.name.clone()),
            None => tree,
        }
    }

    /// Every share, by name.
    pub(crate) fn shares_tree(&self, now: Now) -> Tree {
        let mut tree = Tree::map();
        for (name, share) in self.shares.iter() {
            let Some(state) = self.cx.store.state().shares.get(name) else { continue };
            let (files, bytes) = state.index.live_files();
            let tombstones =
                state.index.iter().filter(|(_, record)| !record.entry.is_live() && !record.entry.is_nothing()).count();
            let word = match (
                self.cx.hold_of(name),
                share.paused,
                share.is_ready(),
                share.detect.scan.is_some(),
                share.transaction.landing.is_some(),
            ) {
                (Some(_), ..) => "held",
                (None, true, ..) => "paused",
                (None, _, false, ..) => "scanning",
                (None, _, _, _, true) => "applying",
                (None, _, _, true, _) => "scanning",
                _ => "idle",
            };
            let mut one = Tree::map()
                .with("state", word)
                .with("dir", escape::escape(std::os::unix::ffi::OsStrExt::as_bytes(share.settings.dir.as_os_str())))
                .with("files", files)
                .with("bytes", bytes)
                .with("deleted", tombstones);
            if share.settings.direction != Direction::Both {
                one = one.with("direction", share.settings.direction.word());
            }
            if let Some((hold, since)) = &state.meta.hold {
                one = one.with(
                    "hold",
                    Tree::map()
                        .with("reason", hold.code())
                        .with("message", hold.to_string())
                        .with("since", *since)
                        .with("needs_user", hold.needs_user()),
                );
            }
            one = one.with_some("last_sent", share.outgoing.sent.back().map(Sent::tree));
            let retry_in =
                share.transaction.landing.as_ref().map(|landing| landing.retry_at().since(now.mono).as_secs());
            one = one.with_some(
                "blocked",
                share.blocked().map(|why| Tree::map().with("message", why.to_string()).with_some("retry_in", retry_in)),
            );
            one = one.with_some("paused", self.cx.pause_of_share(name).map(pause_tree));
            one = one.with_some("unconfirmed", share.trial_tree(&self.cx));
            if share.settings.mode == Mode::Manual {
                one = one.with("mode", share.settings.mode.word());
            }
            let unreleased = share.unreleased(&self.cx).count();
            if unreleased > 0 {
                let paths = share.unreleased(&self.cx).take(limits::REPLY_PATHS);
                let paths: Vec<Tree> = paths.map(|(path, record)| unreleased_tree(path, &record.entry)).collect();
                one = one.with("unreleased_count", unreleased).with("unreleased", paths);
            }
            let deviations = share.deviations(&self.cx).count();
            if deviations > 0 {
                let paths = share.deviations(&self.cx).take(limits::REPLY_PATHS);
                let paths: Vec<Tree> = paths.map(|(path, record)| deviation_tree(path, &record.entry)).collect();
                one = one.with("deviations_count", deviations).with("deviations", paths);
            }
            let kept: Vec<Tree> = kept_dirs(&state.index).take(limits::REPLY_PATHS).map(kept_tree).collect();
            if !kept.is_empty() {
                one = one.with("kept_dirs", kept);
            }
            if share.filter.is_empty() {
                one = one.with("warning", NO_INCLUDE);
            }
            // A new node has nothing yet that could match.
            if share.is_ready() && files > 0 {
                let idle: Vec<Tree> = share
                    .filter
                    .idle_includes(&state.index)
                    .take(limits::REPLY_PATHS)
                    .map(|pattern| Tree::Text(escape::escape(pattern)))
                    .collect();
                if !idle.is_empty() {
                    one = one.with("includes_without_match", idle);
                }
            }
            one = one
                .with("detector", if share.detect.watched { "inotify" } else { "poll" })
                .with("next_scan", share.detect.next_poll.since(now.mono).as_secs());
            let mut skipped: Vec<(&RelPath, &Reason)> = share.detect.skipped.listed.iter().collect();
            skipped.sort_by_key(|(_, reason)| reason.rank());
            let skipped: Vec<Tree> = skipped.into_iter().map(|(path, reason)| path_tree(path, reason)).collect();
            if !skipped.is_empty() {
                one = one.with("skipped", skipped).with("skipped_count", share.detect.skipped.count());
            }
            let held: Vec<Tree> = share
                .held_paths(&self.cx)
                .take(limits::REPLY_PATHS)
                .map(|(path, record, reason)| path_tree(path, &reason).with("since", record.recorded))
                .collect();
            if !held.is_empty() {
                one = one.with("held_paths", held);
            }
            let mut pending: Vec<(NodeId, &RelPath, &Owed)> =
                state.owed.iter().map(|((node, path), owed)| (*node, path, &**owed)).collect();
            // The causes first: they must not be cut off by what only waits for them.
            pending.sort_by_key(|(_, _, owed)| owed.reason.rank());
            let (left_out, pending): (Vec<_>, Vec<_>) =
                pending.into_iter().partition(|(_, _, owed)| owed.reason.is_choice());
            for (key, count, paths) in [("pending", "pending_count", pending), ("left_out", "left_out_count", left_out)]
            {
                if !paths.is_empty() {
                    let all = paths.len();
                    let paths: Vec<Tree> = paths
                        .into_iter()
                        .take(limits::REPLY_PATHS)
                        .map(|(node, path, owed)| {
                            path_tree(path, &owed.reason)
                                .with("peer", self.cx.node_label(node))
                                .with("since", owed.since)
                                .with("needs_user", owed.reason.needs_user())
                        })
                        .collect();
                    one = one.with(count, all).with(key, paths);
                }
            }
            tree = tree.with(name.as_str(), one);
        }
        tree
    }
}

fn path_tree(path: &RelPath, reason: &Reason) -> Tree {
    Tree::map().with("path", path.to_text()).with("reason", reason.code()).with("message", reason.to_string())
}

fn unreleased_tree(path: &RelPath, entry: &Entry) -> Tree {
    path_tree(path, &Reason::Manual).with("what", what_of(entry)).with("size", entry.size)
}

/// A change made here in a share that only receives.
pub(crate) fn deviation_tree(path: &RelPath, entry: &Entry) -> Tree {
    let what = what_of(entry);
    let message = format!("{what} here and not sent, because this share only receives");
    Tree::map().with("path", path.to_text()).with("reason", "direction").with("message", message).with("what", what)
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

fn kept_tree(path: &RelPath) -> Tree {
    let choice = Choice::KeptDir;
    Tree::map().with("path", path.to_text()).with("reason", choice.code()).with("message", choice.to_string())
}

fn gap_tree(gap: &Gap) -> Tree {
    Tree::map()
        .with_some("peer", gap.peer.clone())
        .with_some("share", gap.share.as_ref().map(ToString::to_string))
        .with("reason", gap.code)
        .with("message", gap.text.clone())
        .with("needs_user", gap.urgency == Urgency::Decision)
}

/// Nodes behind a peer that are not in sync.
fn behind_tree(behind: Vec<(String, Around)>) -> Vec<Tree> {
    let tree = |(_, one): (String, Around)| {
        let node = one.node.map(NodeId::to_hex);
        Tree::map().with("name", one.name).with_some("node", node).with("reason", one.reason)
    };
    behind.into_iter().map(tree).collect()
}

/// How many paths are left out by choice, by its code; `None` where there are none.
fn left_out_tree(left_out: &LeftOut) -> Option<Tree> {
    let tree = left_out.iter().fold(Tree::map(), |tree, (choice, count)| tree.with(choice.code(), count));
    Some(tree).filter(|_| left_out.total() > 0)
}
