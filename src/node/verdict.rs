//! Whether this node is in sync, with whom, and if not why not: the one definition that status, metrics, `sync`, `connect`,
//! LuCI and exit codes use.
//!
//! # Definition
//! This node is in sync with a peer when at least one share is common and for each common share nothing is
//! - received and not applied ([`Gap`] `pending`, `receiving`, `applying`), on either side,
//! - changed here and not offered, or offered and not settled there (`sending`, `unreleased`),
//! - held, paused or not scanned yet, on either side,
//! - unconfirmed, on either side,
//! - unreadable or refused, on either side.
//!
//! It is in sync as a whole when that holds for every configured peer and for every peer that is connected or missed, and
//! each share is common with at least one of them. What a user changed within the last moments and no scan has seen yet
//! is not known here: see [`Node::has_undetected`].
//!
//! Paths that differ by choice (filters, `max_file_size`, ignored symlinks, directions) do not change the verdict. They
//! are counted in its sentence: [`LeftOut`] by number, [`Node::left_out`] by path. Nodes behind a peer do not change it
//! either, and are named in it.

use crate::fs::Fs;
use crate::model::reason::{LeftOut, Trouble};
use crate::model::{Map, NodeId, Now, PeerName, Reason, RelPath, ShareName, WallTime};
use crate::node::context::StoreTrouble;
use crate::node::peers::link::Link;
pub use crate::node::share::exchange::left_out::LeftOutPath;
use crate::node::status::AWAY;
use crate::node::{LinkId, Node};

/// How useful a gap is to know first: what blocks everything, what the user must decide, what has a cause to be
/// removed, what waits for somebody, and at last what resolves by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// The database, or a share without anything in it.
    PartialContent,
    /// `approve` or `reject` ends it.
    Decision,
    /// It will be rolled back unless it is confirmed.
    Unconfirmed,
    /// A path has a cause that can be removed, here or at the peer.
    Cause,
    /// There is no session, or no common share.
    Apart,
    /// The user switched it off, or wants to say when.
    Asked,
    /// It resolves by itself.
    Moving,
}

/// One reason why this node is not in sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The peer, where it concerns one.
    pub peer: Option<String>,
    /// The share, where it concerns one.
    pub share: Option<ShareName>,
    /// The word that scripts test.
    pub code: &'static str,
    /// For people.
    pub text: String,
    /// It is being resolved at this moment.
    pub moving: bool,
    /// How useful it is to know first.
    pub urgency: Urgency,
}

impl Gap {
    pub(crate) fn new(urgency: Urgency, code: &'static str, text: impl Into<String>) -> Gap {
        Gap { peer: None, share: None, code, text: text.into(), moving: urgency == Urgency::Moving, urgency }
    }

    fn of_share(self, name: &ShareName) -> Gap {
        Gap { share: Some(name.clone()), ..self }
    }

    fn of_peer(self, peer: impl Into<String>) -> Gap {
        Gap { peer: Some(peer.into()), ..self }
    }

    fn moving(self, moving: bool) -> Gap {
        Gap { moving, ..self }
    }

    /// The gap with the peer and the share that it concerns.
    pub fn sentence(&self) -> String {
        match (&self.peer, &self.share) {
            (Some(peer), Some(share)) => format!("{peer}, share {share}: {}", self.text),
            (Some(peer), None) => format!("{peer}: {}", self.text),
            (None, Some(share)) => format!("share {share}: {}", self.text),
            (None, None) => self.text.clone(),
        }
    }
}

/// Whether this node is in sync, with everybody or with one peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Why it is not, the most useful first.
    pub gaps: Vec<Gap>,
    /// Paths that differ by choice.
    pub left_out: LeftOut,
    /// Nodes that are known not to be in sync with a peer: the peer's name, and theirs.
    pub behind: Vec<(String, String)>,
    /// Nodes that were turned away because there are too many sessions.
    pub turned_away: Vec<String>,
    /// How many sessions may be open here.
    pub max_sessions: usize,
    /// Since when it is, if it is.
    pub since: Option<WallTime>,
}

impl Verdict {
    fn of(mut gaps: Vec<Gap>) -> Verdict {
        gaps.sort_by_key(|gap| gap.urgency);
        Verdict { gaps, ..Verdict::default() }
    }

    /// Whether it is in sync.
    pub fn is_in_sync(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Whether something is being resolved at this moment.
    pub fn is_moving(&self) -> bool {
        self.gaps.iter().any(|gap| gap.moving)
    }

    /// What restricts the sentence without changing the verdict.
    pub fn clauses(&self) -> Vec<String> {
        let mut clauses = Vec::new();
        if self.left_out.total() > 0 {
            clauses.push(self.left_out.to_string());
        }
        clauses.extend(self.behind.iter().take(3).map(|(peer, node)| format!("{node}, behind {peer}, is not in sync")));
        if self.behind.len() > 3 {
            clauses.push(format!("{} more nodes behind peers are not in sync", self.behind.len() - 3));
        }
        if !self.turned_away.is_empty() {
            let names = few(self.turned_away.iter().cloned());
            let most = self.max_sessions;
            clauses.push(format!("refused, because {most} sessions are open (max_sessions): {names}"));
        }
        clauses
    }

    /// The verdict in one sentence, without its time.
    pub fn sentence(&self) -> String {
        let mut text = match &self.gaps[..] {
            [] => "in sync".to_string(),
            [only] => format!("not in sync: {}", only.sentence()),
            [first, rest @ ..] => format!("not in sync: {} (and {} more)", first.sentence(), rest.len()),
        };
        for clause in self.clauses().iter().filter(|_| self.is_in_sync()) {
            text.push_str("; ");
            text.push_str(clause);
        }
        text
    }
}

impl<F: Fs> Node<F> {
    /// How many paths of a share differ between this node and a peer by choice.
    pub(crate) fn left_out_between(&self, id: LinkId, name: &ShareName) -> LeftOut {
        self.shares.get(name).map(|share| share.left_out_between(&self.cx, &self.peers, id)).unwrap_or_default()
    }

    /// Whether this node is in sync: with every peer in every share, or only with this peer, or in this share.
    pub fn verdict(&self, now: Now, peer: Option<&PeerName>, share: Option<&ShareName>) -> Verdict {
        let mut verdict = Verdict::of(self.gaps(now, peer, share));
        let mut since = None;
        for (id, link) in self.peers.links.iter().filter(|(id, link)| link.is_admitted() && self.is_meant(**id, peer)) {
            for (name, exchange) in link.exchanges.iter().filter(|(name, _)| share.is_none_or(|only| only == *name)) {
                since = since.max(exchange.in_sync_since);
                verdict.left_out.add_all(&self.left_out_between(*id, name));
            }
        }
        if share.is_none() {
            let of_peer = |id: LinkId| self.is_meant(id, peer);
            let links: Vec<LinkId> = self.peers.links.keys().copied().filter(|id| of_peer(*id)).collect();
            let only = if peer.is_some() { links.first().copied() } else { None };
            let behind = self.peers.behind(&self.cx, only).into_iter().map(|(peer, one)| (peer, one.name));
            verdict.behind = behind.collect();
        }
        if peer.is_none() {
            let turned_away = self.peers.waiting.values().filter(|one| one.trouble == Trouble::TooManySessions);
            verdict.max_sessions = self.cx.settings.max_sessions;
            verdict.turned_away = turned_away.map(|one| one.name.clone()).collect();
        }
        verdict.since = since.filter(|_| verdict.is_in_sync());
        verdict
    }

    /// Whether this node is in sync with one node that is connected; `None` when it is not connected.
    pub fn verdict_with(&self, node: NodeId) -> Option<Verdict> {
        let (id, link) = self.peers.links.iter().find(|(_, link)| link.is_admitted() && link.node == Some(node))?;
        let mut verdict = Verdict::of(self.link_gaps(*id, link, None));
        for name in link.exchanges.keys() {
            verdict.left_out.add_all(&self.left_out_between(*id, name));
        }
        let since = link.exchanges.values().filter_map(|exchange| exchange.in_sync_since).max();
        verdict.since = since.filter(|_| verdict.is_in_sync());
        Some(verdict)
    }

    /// The paths of a share that this node knows to differ from a connected peer's by choice: its own, and those that the
    /// peer named. [`Verdict::left_out`] also counts those that the peer did not name.
    pub fn left_out(&self, node: NodeId, name: &ShareName) -> Map<RelPath, LeftOutPath> {
        let found = self.peers.links.iter().find(|(_, link)| link.is_admitted() && link.node == Some(node));
        let Some((id, link)) = found else { return Map::new() };
        let mut paths =
            self.shares.get(name).map(|share| share.own_left_out(&self.cx, &self.peers, *id)).unwrap_or_default();
        for (path, reason) in link.exchanges.get(name).into_iter().flat_map(|exchange| &exchange.paths_there) {
            if let (Some(choice), None) = (reason.choice(), paths.get(path)) {
                paths.insert(path.clone(), LeftOutPath { choice, reason: Some(reason.clone()) });
            }
        }
        paths
    }

    /// Whether something may have changed here that no scan has seen yet, or that is on its way to or from the disk or a
    /// peer: while it may, a verdict speaks of the state before.
    pub fn has_undetected(&self) -> bool {
        let shares = self.shares.values().any(|share| {
            share.detect.scan.is_some()
                || share.detect.hints.due(self.cx.settings.settle) != crate::model::Monotonic::NEVER
        });
        shares
            || self.has_work()
            || self.peers.links.values().any(|link| !link.outbox.is_empty() || link.session.queued() > 0)
    }

    /// Whether a session is with the peer that is meant: that of this section, or that people call so.
    fn is_meant(&self, id: LinkId, peer: Option<&PeerName>) -> bool {
        let Some(peer) = peer else { return true };
        match self.peers.links.get(&id).and_then(|link| link.section.as_ref()) {
            Some(section) => section == peer || self.link_of_peer(peer) == Some(id),
            None => *self.peers.peer_label(&self.cx, id) == *peer.0,
        }
    }

    /// The session with a peer: its own, or one with the same node that came about by another of its addresses.
    pub(crate) fn link_of_peer(&self, name: &PeerName) -> Option<LinkId> {
        let admitted = || self.peers.links.iter().filter(|(_, link)| link.is_admitted());
        let own = admitted().find(|(_, link)| link.section.as_ref() == Some(name)).map(|(id, _)| *id);
        let node = self.peers.dials.get(name).and_then(|dial| dial.node);
        own.or_else(|| admitted().find(|(_, link)| node.is_some() && link.node == node).map(|(id, _)| *id))
    }

    /// Why this node is not in sync, in no order.
    pub(crate) fn gaps(&self, now: Now, peer: Option<&PeerName>, share: Option<&ShareName>) -> Vec<Gap> {
        let mut gaps = Vec::new();
        if let Some(StoreTrouble { error, .. }) = &self.cx.store_trouble {
            gaps.push(Gap::new(
                Urgency::PartialContent,
                "database",
                format!("the database here cannot be written: {error}"),
            ));
        }
        let admitted = |id: LinkId| self.is_meant(id, peer);
        let links: Vec<(LinkId, &Link<F::Root>)> = self
            .peers
            .links
            .iter()
            .filter(|(id, link)| link.is_admitted() && admitted(**id))
            .map(|(id, link)| (*id, link))
            .collect();
        for (name, dial) in self.peers.dials.iter().filter(|(name, _)| peer.is_none_or(|only| only == *name)) {
            if let Some(pause) = self.cx.pause_of_peer(name) {
                gaps.push(Gap::new(Urgency::Asked, "paused", pause.to_string()).of_peer(&*name.0));
                continue;
            }
            // One node is one state, by whichever of its addresses it is connected; and an introduced one is reached
            // by way of its introducer where there is no direct session.
            if self.link_of_peer(name).is_some() || dial.own || self.peers.is_relayed(&self.cx, name) {
                continue;
            }
            let (code, text) = match &dial.trouble {
                Some((trouble, _)) => (trouble.code(), trouble.to_string()),
                None => ("connecting", "not connected".to_string()),
            };
            let moving = dial.link.is_some() || dial.at <= now.mono;
            gaps.push(Gap::new(Urgency::Apart, code, text).of_peer(&*name.0).moving(moving));
        }
        let named = |node: NodeId| peer.is_some_and(|only| *only.0 == *self.cx.node_label(node));
        let away =
            self.away().filter(|(node, known)| if peer.is_none() { self.is_missed(known) } else { named(*node) });
        for (node, _) in away {
            // Another machine may have its name by now: then the label has its id.
            let label = self.cx.node_label(node);
            gaps.push(match self.cx.pause_of_node(node) {
                Some(pause) => Gap::new(Urgency::Asked, "paused", pause.to_string()).of_peer(label),
                None => Gap::new(Urgency::Apart, "away", AWAY).of_peer(label),
            });
        }
        for (id, link) in &links {
            gaps.extend(self.link_gaps(*id, link, share));
        }
        let shares =
            self.shares.iter().filter(|(name, one)| !one.is_leaving() && share.is_none_or(|only| only == *name));
        for (name, share) in shares {
            if let Some(hold) = self.cx.hold_of(name) {
                if !gaps.iter().any(|gap| gap.code == "held" && gap.share.as_ref() == Some(name)) {
                    gaps.push(held_gap(hold).of_share(name));
                }
            } else if let Some(why) = share.blocked() {
                if !gaps.iter().any(|gap| gap.code == "blocked" && gap.share.as_ref() == Some(name)) {
                    gaps.push(
                        Gap::new(Urgency::PartialContent, "blocked", format!("blocked here: {why}")).of_share(name),
                    );
                }
            } else if share.filter.is_empty() {
                gaps.push(Gap::new(Urgency::PartialContent, "no_include", NO_INCLUDE).of_share(name));
            } else if !links.is_empty() && !links.iter().any(|(_, link)| link.exchanges.contains_key(name)) {
                let text = "no connected peer has this share; shares are common by their names";
                let known = gaps.iter().any(|gap| gap.code == "no_common_share");
                if !known {
                    gaps.push(Gap::new(Urgency::Apart, "no_common_share", text).of_share(name));
                }
            }
        }
        if gaps.is_empty() && links.is_empty() {
            gaps.push(if self.shares.is_empty() {
                Gap::new(Urgency::PartialContent, "no_share", "no share is configured")
            } else {
                Gap::new(Urgency::Apart, "no_peer", "no peer is configured or connected")
            });
        }
        gaps
    }

    /// What keeps this node from being in sync with a connected peer.
    pub(crate) fn link_gaps(&self, id: LinkId, link: &Link<F::Root>, share: Option<&ShareName>) -> Vec<Gap> {
        let label = self.peers.peer_label(&self.cx, id);
        let names = link.exchanges.keys().filter(|name| share.is_none_or(|only| only == *name));
        let mut gaps: Vec<Gap> =
            names.filter_map(|name| self.gap(id, name).map(|gap| gap.of_share(name).of_peer(label.clone()))).collect();
        gaps.sort_by_key(|gap| gap.urgency);
        let common = link.exchanges.keys().any(|name| share.is_none_or(|only| only == name));
        if !common {
            gaps.push(Gap::new(Urgency::Apart, "no_common_share", self.no_common_share(link, share)).of_peer(label));
        }
        gaps
    }

    /// Which shares there are on either side, where none is common.
    fn no_common_share(&self, link: &Link<F::Root>, share: Option<&ShareName>) -> String {
        let here = self.shares.iter().filter(|(_, share)| !share.is_leaving()).map(|(name, _)| name.to_string());
        let there = link.hello.iter().flat_map(|hello| &hello.shares).map(|share| share.name.to_string());
        match share {
            Some(name) => format!("it does not have the share {name}; it has {}", few(there)),
            None => format!("no share is common: here {}, there {}", few(here), few(there)),
        }
    }

    /// What keeps a share from being in sync with a peer; `None` when nothing does.
    pub(crate) fn gap(&self, id: LinkId, name: &ShareName) -> Option<Gap> {
        let link = self.peers.links.get(&id)?;
        let exchange = link.exchanges.get(name)?;
        let share = self.shares.get(name)?;
        let node = link.node?;
        if let Some(StoreTrouble { error, .. }) = &self.cx.store_trouble {
            let text = format!("the database here cannot be written: {error}");
            return Some(Gap::new(Urgency::PartialContent, "database", text));
        }
        if let Some(hold) = self.cx.hold_of(name) {
            return Some(held_gap(hold));
        }
        if let Some(why) = share.blocked() {
            return Some(Gap::new(Urgency::PartialContent, "blocked", format!("blocked here: {why}")));
        }
        if let Some(pause) = self.cx.pause_of_share(name) {
            return Some(Gap::new(Urgency::Asked, "paused", pause.to_string()));
        }
        if share.filter.is_empty() {
            return Some(Gap::new(Urgency::PartialContent, "no_include", NO_INCLUDE));
        }
        if let Some(trial) = self.cx.trial_of(name) {
            let from = self.cx.node_label(trial.from);
            let text =
                format!("run {} is awaiting confirmation and will be rolled back unless {from} responds", trial.run);
            if trial.first {
                let text = format!("first sync: applied; waiting for a response of {from}");
                return Some(Gap::new(Urgency::Unconfirmed, "first_sync", text).moving(true));
            }
            return Some(Gap::new(Urgency::Unconfirmed, "unconfirmed", text).moving(true));
        }
        if let Some(held) = &exchange.theirs.held {
            return Some(Gap::new(Urgency::Cause, "held_there", format!("held there: {held}")));
        }
        if exchange.their_filter.as_ref().is_some_and(crate::reconcile::filter::Filter::is_empty) {
            let text = "no include pattern is configured there, so nothing is synced";
            return Some(Gap::new(Urgency::PartialContent, "no_include_there", text));
        }
        if !share.is_ready() {
            return Some(Gap::new(Urgency::Moving, "scanning", "the files here are being scanned"));
        }
        let state = self.cx.store.state().shares.get(name)?;
        let pending = state
            .owed
            .iter()
            .filter(|((owner, path), owed)| {
                *owner == node && !owed.reason.is_choice() && !share.inbox.is_coming(node, path)
            })
            .map(|((_, path), owed)| (path, &owed.reason));
        if let Some(gap) = first_of("pending", "pending here", 0, pending) {
            return Some(gap);
        }
        if let Some((path, _, reason)) = share.held_paths(&self.cx).next() {
            return Some(Gap::new(Urgency::Decision, "held", format!("held here: {path}: {reason}")));
        }
        if let Some(gap) =
            first_of("unreadable", "here", share.detect.skipped.unreadable_more.into(), share.unreadable())
        {
            return Some(gap);
        }
        let withheld = share.withheld(&self.cx).count();
        if withheld > 0 {
            let text = format!("{} changed here in LuCI, awaiting confirmation", paths(withheld as u64));
            return Some(Gap::new(Urgency::Unconfirmed, "unconfirmed", text));
        }
        let there =
            exchange.paths_there.iter().filter(|(_, reason)| !reason.is_choice()).map(|(path, reason)| (path, reason));
        let named = exchange.paths_there.iter().filter(|(_, reason)| !reason.is_choice()).count() as u64;
        let more = u64::from(exchange.pending_there).saturating_sub(named);
        if let Some(gap) = first_of("pending_there", "pending there", more, there) {
            return Some(gap);
        }
        if exchange.pending_there > 0 {
            let text = format!("pending there: {}", paths(exchange.pending_there.into()));
            return Some(Gap::new(Urgency::Cause, "pending_there", text));
        }
        if exchange.unconfirmed_there > 0 {
            let (has, label) = (paths(exchange.unconfirmed_there.into()), self.peers.peer_label(&self.cx, id));
            let text = format!("{label} has {has} awaiting confirmation there");
            return Some(Gap::new(Urgency::Unconfirmed, "unconfirmed_there", text).moving(true));
        }
        let unreleased = share.unreleased(&self.cx).count();
        if unreleased > 0 && !share.crosses(&self.cx) {
            let text = format!("mode manual: {} changed here, waiting for `owsync sync`", paths(unreleased as u64));
            return Some(Gap::new(Urgency::Asked, "unreleased", text));
        }
        if exchange.unreleased_there > 0 {
            let changed = paths(exchange.unreleased_there.into());
            let text = format!("mode manual there: {changed} changed, waiting for `owsync sync` there");
            return Some(Gap::new(Urgency::Asked, "unreleased_there", text));
        }
        self.motion(id, name)
    }

    /// What is under way between this node and a peer in a share.
    fn motion(&self, id: LinkId, name: &ShareName) -> Option<Gap> {
        let exchange = self.peers.links.get(&id)?.exchanges.get(name)?;
        let share = self.shares.get(name)?;
        let node = self.peers.links.get(&id)?.node?;
        if exchange.full {
            let text = "the limit of pending changes of one peer is reached here; no more are received until some are resolved";
            return Some(Gap::new(Urgency::Cause, "full", text));
        }
        if exchange.full_there {
            let text =
                "the limit of pending changes is reached there; it receives no more until some are resolved there";
            return Some(Gap::new(Urgency::Cause, "full_there", text));
        }
        if exchange.late {
            let text = "it has not confirmed a change for 10 s";
            return Some(Gap::new(Urgency::Cause, "late", text).moving(true));
        }
        if exchange.pace.stopped.is_some() {
            let text = format!("stopped by hard_max_time ({} times); resumes automatically", exchange.pace.stops);
            return Some(Gap::new(Urgency::Cause, "stopped", text));
        }
        if !exchange.listening || !exchange.has_heard_all() || !exchange.completed {
            return Some(Gap::new(Urgency::Moving, "exchanging", "the indexes are being exchanged"));
        }
        if share.commits.current.is_some() {
            return Some(Gap::new(Urgency::Moving, "applying", "a commit is under way"));
        }
        let coming: usize =
            share.inbox.batches.values().filter(|batch| batch.from.node == node).map(|batch| batch.offers.len()).sum();
        let waiting: usize = exchange.waiting.iter().map(Vec::len).sum();
        let coming = coming + exchange.partial.len() + waiting;
        if coming > 0 {
            return Some(Gap::new(Urgency::Moving, "receiving", format!("receiving {}", paths(coming as u64))));
        }
        if share.transaction.landing.is_some() {
            return Some(Gap::new(Urgency::Moving, "applying", "a change is being applied here"));
        }
        let offered = exchange.offered.unwrap_or(0);
        if offered < share.outgoing.top || exchange.their_settled < offered {
            return Some(Gap::new(Urgency::Moving, "sending", "changes are being sent"));
        }
        None
    }

    /// Notes since when every pair is in sync.
    pub(crate) fn note_sync_times(&mut self, now: Now) {
        let pairs: Vec<(LinkId, ShareName)> = self
            .peers
            .links
            .iter()
            .filter(|(_, link)| link.is_admitted())
            .flat_map(|(id, link)| link.exchanges.keys().map(|name| (*id, name.clone())))
            .collect();
        for (id, name) in pairs {
            let synced = self.gap(id, &name).is_none();
            if let Some(exchange) = self.peers.links.get_mut(&id).and_then(|link| link.exchanges.get_mut(&name)) {
                match (synced, exchange.in_sync_since) {
                    (true, None) => exchange.in_sync_since = Some(now.wall),
                    (false, Some(_)) => exchange.in_sync_since = None,
                    _ => {}
                }
            }
        }
        for link in self.peers.links.values().filter(|link| link.is_admitted() && link.is_in_sync()) {
            for (name, dial) in self.peers.dials.iter_mut() {
                if link.section.as_ref() == Some(name) || (dial.node.is_some() && dial.node == link.node) {
                    dial.last_in_sync = Some(link.heard_at(now));
                }
            }
        }
    }

    pub(crate) fn knows_peer(&self, name: &PeerName) -> bool {
        self.peers.dials.contains_key(name)
            || self
                .peers
                .links
                .iter()
                .any(|(id, link)| link.is_admitted() && *self.peers.peer_label(&self.cx, *id) == *name.0)
            || self.away().any(|(node, _)| *self.cx.node_label(node) == *name.0)
    }
}

/// Why a share without an include pattern is not synced.
pub(crate) const NO_INCLUDE: &str = "no include pattern, so nothing is synced";

fn held_gap(hold: &crate::model::reason::Hold) -> Gap {
    let urgency = if hold.needs_user() { Urgency::Decision } else { Urgency::PartialContent };
    Gap::new(urgency, "held", format!("held here: {hold}"))
}

/// The gap that paths with their reasons are: the cause first, the others counted, and `more` that are not known by name.
fn first_of<'a>(
    code: &'static str,
    lead: &str,
    more: u64,
    all: impl Iterator<Item = (&'a RelPath, &'a Reason)>,
) -> Option<Gap> {
    let mut count = more;
    let mut first: Option<(&RelPath, &Reason)> = None;
    for (path, reason) in all {
        count += 1;
        if first.is_none_or(|(_, known)| reason.rank() < known.rank()) {
            first = Some((path, reason));
        }
    }
    let (path, reason) = first?;
    let more = if count > 1 { format!(" (and {})", more_paths(count - 1)) } else { String::new() };
    let urgency = match reason {
        _ if reason.needs_user() => Urgency::Decision,
        Reason::Manual => Urgency::Asked,
        Reason::Unconfirmed => Urgency::Unconfirmed,
        _ => Urgency::Cause,
    };
    Some(Gap::new(urgency, code, format!("{lead}: {path}: {reason}{more}")))
}

/// `1 path`, `2 paths`.
pub(crate) fn paths(count: u64) -> String {
    if count == 1 { "1 path".into() } else { format!("{count} paths") }
}

fn more_paths(count: u64) -> String {
    if count == 1 { "1 more path".into() } else { format!("{count} more paths") }
}

/// Some names for people; the others counted.
fn few(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    match names.len() {
        0 => "none".into(),
        1..=4 => names.join(", "),
        count => format!("{} and {} more", names[..3].join(", "), count - 3),
    }
}
