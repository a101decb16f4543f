//! Tells each peer which of this node's other peers are not in sync.

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{Monotonic, Now, limits};
use crate::node::peers::around::{nodes_for, pass_on, put_in_order};
use crate::node::{LinkId, Node};
use crate::proto::message::{Around, Message};

impl<F: Fs> Node<F> {
    /// Tells every peer which of this node's other peers are not in sync, where that is news.
    pub(crate) fn report_around(&mut self, now: Now) {
        for link in self.peers.links.values_mut().filter(|link| link.is_admitted()) {
            match link.is_in_sync() {
                true => link.out_since = None,
                false => drop(link.out_since.get_or_insert(now.mono)),
            }
        }
        let ids: Vec<LinkId> =
            self.peers.links.iter().filter(|(_, link)| link.is_admitted()).map(|(id, _)| *id).collect();
        let out: Vec<(Option<LinkId>, Around)> = if ids.is_empty() { Vec::new() } else { self.out_of_sync(now) };
        for id in ids {
            let Some(link) = self.peers.links.get_mut(&id) else { continue };
            let Some(to) = link.node else { continue };
            let nodes = nodes_for(&out, id, to);
            let next = link.around_at.map_or(now.mono, |at| at.plus(limits::AROUND_EVERY));
            link.around_due = Monotonic::NEVER;
            if link.around_told == nodes {
                continue;
            }
            if next > now.mono {
                link.around_due = next;
                continue;
            }
            link.around_at = Some(now.mono);
            link.around_told = nodes.clone();
            // It speaks of nothing that is on disk, so it need not wait for the disk.
            link.session.send(&Message::Around(nodes));
        }
    }

    /// The peers of this node that are not in sync with it, and what they say of theirs; each with the session that it
    /// is, or came from, in the order in which they are told.
    fn out_of_sync(&self, now: Now) -> Vec<(Option<LinkId>, Around)> {
        let mut out = Vec::new();
        for (name, dial) in self.peers.dials.iter() {
            let reached =
                self.peers.links.values().any(|link| link.is_admitted() && link.section.as_ref() == Some(name));
            let reason = match &dial.trouble {
                _ if reached => continue,
                _ if dial.paused => "paused",
                Some((trouble, _)) => trouble.code(),
                None => continue,
            };
            let known =
                self.cx.store.state().peers.iter().find(|(_, known)| known.section.as_deref() == Some(&*name.0));
            let node = known.map(|(node, _)| *node);
            out.push((None, Around { name: name.to_string(), node, reason: reason.into(), hops: 0 }));
        }
        for (node, _) in self.away().filter(|(_, known)| self.is_missed(known)) {
            let name = self.cx.node_label(node);
            out.push((None, Around { name, node: Some(node), reason: "away".into(), hops: 0 }));
        }
        for (node, waiting) in self.peers.waiting.iter().filter(|(_, one)| one.trouble == Trouble::TooManySessions) {
            let reason = waiting.trouble.code().into();
            out.push((None, Around { name: waiting.name.clone(), node: Some(*node), reason, hops: 0 }));
        }
        for (id, link) in self.peers.links.iter().filter(|(_, link)| link.is_admitted()) {
            if let Some(since) = link.out_since {
                let gaps = self.link_gaps(*id, link, None);
                let long = now.mono.since(since) >= limits::AROUND_AFTER;
                if let Some(gap) = gaps.first().filter(|gap| long || !gap.moving) {
                    let (name, reason) = (self.peers.peer_label(&self.cx, *id), gap.code.into());
                    out.push((Some(*id), Around { name, node: link.node, reason, hops: 0 }));
                }
            }
        }
        for (id, link) in self.peers.links.iter().filter(|(_, link)| link.is_admitted()) {
            let behind = link.around.iter().filter(|one| !self.peers.is_near(&self.cx, one));
            out.extend(behind.filter_map(pass_on).map(|one| (Some(*id), one)));
        }
        put_in_order(&mut out);
        out
    }
}
