//! Finds the peers that a preview is about, and how far each has come.

use crate::fs::Fs;
use crate::model::{Direction, Life, NodeId, PeerName, Reason, Record, ShareName, StateId};
use crate::node::peers::exchange::Offers;
use crate::node::peers::link::Link;
use crate::node::{LinkId, Node};
use crate::reconcile::FirstContact;

/// A peer in a share.
pub(crate) struct Counterpart {
    pub label: String,
    pub life: Life,
    pub link: Option<LinkId>,
    /// Why nothing passes between it and this node.
    pub kept: Option<String>,
    /// What it said that counts: by now this node has heard everything up to it.
    pub(super) is_heard: bool,
    pub(super) contact: FirstContact,
    pub(super) offers: Offers,
    /// Up to here it has applied what this node has.
    pub(super) applied: u64,
    /// Why it takes nothing, by its direction or the release of its system.
    pub(super) takes_nothing: Option<Reason>,
}

impl Counterpart {
    /// Whether it has not applied what is recorded here. What waits for a sync has a number that it passed already.
    pub(super) fn lacks(&self, record: &Record) -> bool {
        record.pending || record.seq > self.applied
    }
}

impl<F: Fs> Node<F> {
    /// The peers of a share, those that are away too.
    pub(crate) fn counterparts(&self, name: &ShareName, only: Option<&PeerName>) -> Vec<Counterpart> {
        let mut all = Vec::new();
        let here = self.cx.hold_of(name).map(|_| "the share is held here".to_string());
        let paused = self.shares.get(name).is_some_and(|share| share.paused).then(|| "the share is paused here".into());
        let here: Option<String> = here.or(paused);
        for (id, link) in self.peers.links.iter().filter(|(_, link)| link.is_admitted()) {
            let label = self.peers.peer_label(&self.cx, *id);
            if only.is_some_and(|only| link.section.as_ref() != Some(only) && *only.0 != *label) {
                continue;
            }
            if let Some(one) = self.counterpart(name, *id, link, label, here.clone()) {
                all.push(one);
            }
        }
        for peer in self.cx.peers().filter(|peer| peer.enabled && peer.allows(name)) {
            let linked =
                self.peers.links.values().any(|link| link.is_admitted() && link.section.as_ref() == Some(&peer.name));
            if linked || only.is_some_and(|only| *only != peer.name) {
                continue;
            }
            let known = self.cx.store.state().peers.iter().rev();
            let mut nodes = known.filter(|(_, known)| known.section.as_deref() == Some(&*peer.name.0));
            let node = nodes.next().map(|(node, _)| *node);
            let dial = self.peers.dials.get(&peer.name);
            let away = match dial.and_then(|dial| dial.trouble.as_ref()) {
                _ if dial.is_some_and(|dial| dial.paused) => "paused here".to_string(),
                Some((trouble, _)) => trouble.to_string(),
                None => "not connected".to_string(),
            };
            let ledger = node.and_then(|node| self.cx.store.state().shares.get(name)?.ledgers.get(&node));
            let applied = ledger.filter(|ledger| ledger.our_state == Some(self.cx.store.state().me.state));
            all.push(Counterpart {
                label: peer.name.to_string(),
                // Nobody has these ids: what was never met gave nothing.
                life: Life {
                    node: node.unwrap_or(NodeId([0; 16])),
                    state: ledger.and_then(|ledger| ledger.their_state).unwrap_or(StateId(0)),
                },
                link: None,
                kept: Some(here.clone().unwrap_or(away)),
                is_heard: false,
                contact: FirstContact { rule: self.cx.settings.first_sync, settled_here: true, settled_there: true },
                offers: if peer.direction.sends() { Offers::All } else { Offers::Nothing },
                applied: applied.map_or(0, |ledger| ledger.acked),
                takes_nothing: None,
            });
        }
        all
    }

    fn counterpart(
        &self,
        name: &ShareName,
        id: LinkId,
        link: &Link<F::Root>,
        label: String,
        here: Option<String>,
    ) -> Option<Counterpart> {
        let exchange = link.exchanges.get(name)?;
        let there = exchange.theirs.held.as_ref().map(|_| "the share is held there".to_string());
        Some(Counterpart {
            label,
            life: link.life()?,
            link: Some(id),
            kept: here.or(there),
            is_heard: exchange.listening && exchange.has_heard_all() && exchange.theirs.held.is_none(),
            contact: self.peers.contact_at(&self.cx, link),
            offers: exchange.offers,
            applied: exchange.their_applied,
            takes_nothing: match exchange.theirs.direction {
                Direction::Observe => Some(Reason::OnlyObserves),
                Direction::Send => Some(Reason::OnlySends),
                Direction::Both | Direction::Receive => {
                    self.shares.get(name).and_then(|share| share.release_gap(&self.cx, link)).map(from_here)
                }
            },
        })
    }
}

/// The gap between two releases, as the peer reports it of what this node offers.
fn from_here(gap: Reason) -> Reason {
    match gap {
        Reason::ReleaseDiffers { from, to } => Reason::ReleaseDiffers { from: to, to: from },
        other => other,
    }
}
