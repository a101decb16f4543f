//! Nodes behind peers: what each node tells its peers of its other peers, and what it says of theirs.
//!
//! Only nodes that are not in sync are told of, so between nodes in sync nothing is said. What resolves by itself within
//! [`limits::AROUND_AFTER`] is not worth a message. A node passes on what it hears, never to where it came from and at most
//! [`limits::AROUND_HOPS`] times, and leaves out what the receiver knows better: itself.

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{Now, limits};
use crate::node::{LinkId, Node};
use crate::proto::message::{Around, Message};

impl<F: Fs> Node<F> {
    /// Tells every peer which of this node's other peers are not in sync, where that is news.
    pub(crate) fn tell_around(&mut self, now: Now) {
        for link in self.links.values_mut().filter(|link| link.is_admitted()) {
            match link.is_in_sync() {
                true => link.out_since = None,
                false => drop(link.out_since.get_or_insert(now.mono)),
            }
        }
        let ids: Vec<LinkId> = self.links.iter().filter(|(_, link)| link.is_admitted()).map(|(id, _)| *id).collect();
        let out: Vec<(Option<LinkId>, Around)> = if ids.is_empty() { Vec::new() } else { self.out_of_sync(now) };
        for id in ids {
            let Some(to) = self.links.get(&id).and_then(|link| link.node) else { continue };
            let mut nodes: Vec<Around> = Vec::new();
            for (from, one) in &out {
                let known = nodes.iter().any(|known| known.node == one.node && known.name == one.name);
                if *from != Some(id) && one.node != Some(to) && !known && nodes.len() < limits::AROUND_TOLD {
                    nodes.push(one.clone());
                }
            }
            let Some(link) = self.links.get_mut(&id) else { continue };
            if link.around_told != nodes {
                link.around_told = nodes.clone();
                // It speaks of nothing that is on disk, so it need not wait for the disk.
                link.session.send(&Message::Around(nodes));
            }
        }
    }

    /// The peers of this node that are not in sync with it, and what they say of theirs; each with the session that it
    /// is, or came from.
    fn out_of_sync(&self, now: Now) -> Vec<(Option<LinkId>, Around)> {
        let mut out = Vec::new();
        for (name, dial) in self.dials.iter() {
            let reached = self.links.values().any(|link| link.is_admitted() && link.section.as_ref() == Some(name));
            let reason = match &dial.trouble {
                _ if reached => continue,
                _ if dial.paused => "paused",
                Some((trouble, _)) => trouble.code(),
                None => continue,
            };
            let known = self.store.state().peers.iter().find(|(_, known)| known.section.as_deref() == Some(&*name.0));
            let node = known.map(|(node, _)| *node);
            out.push((None, Around { name: name.to_string(), node, reason: reason.into(), hops: 0 }));
        }
        for (node, _) in self.away().filter(|(_, known)| self.is_missed(known)) {
            let name = self.node_label(node);
            out.push((None, Around { name, node: Some(node), reason: "away".into(), hops: 0 }));
        }
        for (node, waiting) in self.waiting.iter().filter(|(_, one)| one.trouble == Trouble::TooManySessions) {
            let reason = waiting.trouble.code().into();
            out.push((None, Around { name: waiting.name.clone(), node: Some(*node), reason, hops: 0 }));
        }
        for (id, link) in self.links.iter().filter(|(_, link)| link.is_admitted()) {
            if let Some(since) = link.out_since {
                let gaps = self.link_gaps(*id, link, None);
                let long = now.mono.since(since) >= limits::AROUND_AFTER;
                if let Some(gap) = gaps.first().filter(|gap| long || !gap.moving) {
                    let (name, reason) = (self.peer_label(*id), gap.code.into());
                    out.push((Some(*id), Around { name, node: link.node, reason, hops: 0 }));
                }
            }
        }
        for (id, link) in self.links.iter().filter(|(_, link)| link.is_admitted()) {
            let behind = link.around.iter().filter(|one| one.hops < limits::AROUND_HOPS && !self.is_near(one));
            out.extend(behind.map(|one| (Some(*id), Around { hops: one.hops + 1, ..one.clone() })));
        }
        out
    }

    /// Whether this node knows of a node itself: it is that node, or connected with it.
    fn is_near(&self, one: &Around) -> bool {
        let connected = |node| self.links.values().any(|link| link.is_admitted() && link.node == Some(node));
        one.node.is_some_and(|node| node == self.identity.id || connected(node))
    }

    /// Nodes that are not in sync with a peer, as that peer says: each with the peer's name, one time each.
    pub(crate) fn behind(&self, only: Option<LinkId>) -> Vec<(String, Around)> {
        let mut behind: Vec<(String, Around)> = Vec::new();
        let links = self.links.iter().filter(|(id, link)| link.is_admitted() && only.is_none_or(|only| only == **id));
        for (id, link) in links {
            for one in link.around.iter().filter(|one| !self.is_near(one)) {
                if !behind.iter().any(|(_, known)| known.node == one.node && known.name == one.name) {
                    behind.push((self.peer_label(*id), one.clone()));
                }
            }
        }
        behind
    }

    /// A peer tells which of its other peers are not in sync with it.
    pub(crate) fn handle_around(&mut self, id: LinkId, nodes: Vec<Around>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.around = nodes;
        }
    }
}
