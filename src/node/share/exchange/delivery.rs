//! Reports which changes made here have reached the peers, once per change.
//!
//! A [`Delivery`] begins when a scan records changes of this node and ends when every connected peer that takes them has
//! settled them. It lives in memory: after a restart nothing is told of what was changed before.

use crate::fs::Fs;
use crate::model::{Monotonic, NodeId, Reason, RelPath, WallTime, limits};
use crate::node::api::status::SentStatus;
use crate::node::api::{Event, Level, Tree};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::exchange::Offers;
use crate::node::share::Share;

/// Changes of this node that are on their way to its peers.
pub(crate) struct Delivery {
    /// The number of the last of them.
    upto: u64,
    /// Some of the paths.
    paths: Vec<RelPath>,
    count: u64,
    begun: Monotonic,
    /// Peers that have them.
    done: Vec<NodeId>,
    /// How many of these were told of.
    told: usize,
}

/// The changes of this node that last reached a peer.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub paths: Vec<RelPath>,
    pub count: u64,
    pub peers: Vec<String>,
    pub at: WallTime,
    pub took_ms: u64,
}

impl Sent {
    /// Whether the path is among what was sent. Where not all paths are named, any may be.
    pub fn may_hold(&self, path: &RelPath) -> bool {
        self.count > self.paths.len() as u64 || self.paths.iter().any(|one| one == path || one.is_below(path))
    }

    fn list(&self) -> String {
        let names: Vec<String> = self.paths.iter().map(RelPath::to_text).collect();
        let more = self.count.saturating_sub(names.len() as u64);
        if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
    }

    /// `dhcp sent to r2 and r3 in 0.4 s`.
    pub fn text(&self) -> String {
        let peers = match &self.peers[..] {
            [only] => only.clone(),
            [first @ .., last] => format!("{} and {last}", first.join(", ")),
            [] => "no peer".into(),
        };
        format!("{} sent to {peers} in {}.{} s", self.list(), self.took_ms / 1000, self.took_ms % 1000 / 100)
    }

    /// For status and events.
    pub fn status(&self) -> SentStatus {
        SentStatus {
            time: self.at,
            files: self.count,
            paths: self.paths.iter().map(RelPath::to_text).collect(),
            peers: self.peers.clone(),
            took_ms: self.took_ms,
        }
    }
}

impl<F: Fs> Share<F> {
    /// These paths changed here and are offered from now on.
    pub(crate) fn begin_delivery(&mut self, cx: &mut Context<F>, mut paths: Vec<RelPath>, count: u64) {
        if count == 0 {
            return;
        }
        paths.truncate(limits::SENT_PATHS);
        if self.outgoing.deliveries.len() >= limits::DELIVERIES {
            self.outgoing.deliveries.pop_front();
        }
        let (upto, begun) = (self.outgoing.top, cx.now.mono);
        self.outgoing.deliveries.push_back(Delivery { upto, paths, count, begun, done: Vec::new(), told: 0 });
    }

    /// Reports the changes of this node that have reached its peers.
    pub(crate) fn note_deliveries(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        if self.outgoing.deliveries.is_empty() {
            return;
        }
        let name = &self.name;
        let mut deliveries = std::mem::take(&mut self.outgoing.deliveries);
        let mut sent = Vec::new();
        deliveries.retain_mut(|delivery| {
            let mut waiting = 0;
            for link in peers.links.values().filter(|link| link.is_admitted()) {
                let (Some(node), Some(exchange)) = (link.node, link.exchanges.get(name)) else { continue };
                let filter = exchange.their_filter.as_ref();
                let is_left_out = |path: &RelPath| {
                    let named = |(other, reason): &(RelPath, Reason)| other == path && reason.is_choice();
                    filter.is_some_and(|filter| !filter.holds(path)) || exchange.paths_there.iter().any(named)
                };
                if exchange.offers != Offers::All || delivery.paths.iter().all(is_left_out) {
                    continue;
                }
                let has_it = exchange.offered.is_some_and(|offered| offered >= delivery.upto)
                    && exchange.their_settled >= delivery.upto;
                match (has_it, delivery.done.contains(&node)) {
                    (true, false) => delivery.done.push(node),
                    (false, false) => waiting += 1,
                    (_, true) => {}
                }
            }
            let took = cx.now.mono.since(delivery.begun);
            let news = delivery.done.len() > delivery.told;
            if news && (waiting == 0 || took >= limits::ANSWER_TIME) {
                let peers = delivery.done[delivery.told..].iter().map(|node| cx.node_label(*node)).collect();
                delivery.told = delivery.done.len();
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                let (paths, count) = (delivery.paths.clone(), delivery.count);
                sent.push(Sent { paths, count, peers, at: cx.now.wall, took_ms });
            }
            waiting > 0 || delivery.done.is_empty()
        });
        self.outgoing.deliveries = deliveries;
        for one in sent {
            let text = one.text();
            cx.log(Level::Notice, format!("share {name}: {text}"));
            let details = Tree::from(&one.status()).with("share", name.to_string());
            cx.tell(Event { name: "owsync.sent", at: cx.now.wall, text: format!("{name}: {text}"), details });
            if self.outgoing.sent.len() >= limits::SENT_KEPT {
                self.outgoing.sent.pop_front();
            }
            self.outgoing.sent.push_back(one);
        }
    }
}
