//! Decides what each node reports to its peers of its other peers, and takes in what they report of theirs.
//!
//! Only nodes that are not in sync are told of, so between nodes in sync nothing is said. What resolves by itself within
//! [`limits::AROUND_AFTER`] is not worth a message. A node passes on what it hears, never to where it came from and at most
//! [`limits::AROUND_HOPS`] times, and leaves out what the receiver knows better: itself.
//!
//! # Why it comes to an end
//! Of several reports of one node the one that was passed on least often is told, and what is told has one order, with
//! those first that were passed on least often. So what is told with `n` hops follows from what was heard with fewer, and
//! what is told with none from what this node finds itself: while nothing changes, all nodes say the same after
//! [`limits::AROUND_HOPS`] rounds, however they are connected. What does change is told at most every
//! [`limits::AROUND_EVERY`].

use crate::fs::Fs;
use crate::model::{NodeId, limits};
use crate::node::LinkId;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::proto::message::Around;

impl<F: Fs> Peers<F> {
    /// Whether this node knows of a node itself: it is that node, or connected with it.
    pub(crate) fn is_near(&self, cx: &Context<F>, one: &Around) -> bool {
        let connected = |node| self.links.values().any(|link| link.is_admitted() && link.node == Some(node));
        one.node.is_some_and(|node| node == cx.identity.id || connected(node))
    }

    /// Nodes that are not in sync with a peer, as that peer says: each with the peer's name, one time each.
    pub(crate) fn behind(&self, cx: &Context<F>, only: Option<LinkId>) -> Vec<(String, Around)> {
        let links = self.links.iter().filter(|(id, link)| link.is_admitted() && only.is_none_or(|only| only == **id));
        let told = links.flat_map(|(id, link)| link.around.iter().map(|one| (*id, one)));
        let mut told: Vec<(LinkId, &Around)> = told.filter(|(_, one)| !self.is_near(cx, one)).collect();
        told.sort_by(|(_, a), (_, b)| rank(a).cmp(&rank(b)));
        let mut behind: Vec<(String, Around)> = Vec::new();
        for (id, one) in told {
            if !behind.iter().any(|(_, known)| is_same(known, one)) {
                behind.push((self.peer_label(cx, id), one.clone()));
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

/// What is told of a node of which a peer told; nothing when that was passed on too often.
pub(crate) fn pass_on(one: &Around) -> Option<Around> {
    (one.hops < limits::AROUND_HOPS).then(|| Around { hops: one.hops + 1, ..one.clone() })
}

/// Sorts reports by [`rank`].
pub(crate) fn put_in_order(out: &mut [(Option<LinkId>, Around)]) {
    out.sort_by(|(_, a), (_, b)| rank(a).cmp(&rank(b)));
}

/// The order in which nodes are told, the same on every node: what was passed on least often goes first.
pub(crate) fn rank(one: &Around) -> (u8, Option<NodeId>, &str, &str) {
    (one.hops, one.node, &one.name, &one.reason)
}

/// Whether two reports speak of one node: ids say it, and names where no id is known.
pub(crate) fn is_same(a: &Around, b: &Around) -> bool {
    a.node == b.node && (a.node.is_some() || a.name == b.name)
}

/// What the peer `to` of the session `id` is told: each node one time, nothing of itself, and nothing that came from it.
/// `out` is [in order](put_in_order).
pub(crate) fn nodes_for(out: &[(Option<LinkId>, Around)], id: LinkId, to: NodeId) -> Vec<Around> {
    let mut nodes: Vec<Around> = Vec::new();
    for (from, one) in out {
        let known = nodes.iter().any(|known| is_same(known, one));
        if *from != Some(id) && one.node != Some(to) && !known && nodes.len() < limits::AROUND_TOLD {
            nodes.push(one.clone());
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rng;

    /// Nodes of a random network that tell each other of five nodes outside of it, until nobody has news; each of them
    /// finds some of these not in sync, for reasons of its own.
    struct Network {
        /// For each node, its neighbours, and what each of them told last.
        heard: Vec<Vec<(usize, Vec<Around>)>>,
        own: Vec<Vec<Around>>,
    }

    fn id(node: usize) -> NodeId {
        NodeId([u8::try_from(node).unwrap(); 16])
    }

    fn one(outside: usize, reason: usize) -> Around {
        let node = (outside > 0).then(|| id(100 + outside));
        Around { name: format!("n{outside}"), node, reason: format!("r{reason}"), hops: 0 }
    }

    impl Network {
        fn new(rng: &mut Rng) -> Network {
            let nodes = 3 + usize::try_from(rng.below(6)).unwrap();
            let mut heard = vec![Vec::new(); nodes];
            for a in 0..nodes {
                for b in 0..a {
                    if b + 1 == a || rng.below(2) == 0 {
                        heard[a].push((b, Vec::new()));
                        heard[b].push((a, Vec::new()));
                    }
                }
            }
            let mut network = Network { heard, own: vec![Vec::new(); nodes] };
            network.change(rng);
            network
        }

        /// Other nodes are not in sync now.
        fn change(&mut self, rng: &mut Rng) {
            for own in &mut self.own {
                own.clear();
                for outside in 0..5 {
                    if rng.below(6) == 0 {
                        own.push(one(outside, usize::try_from(rng.below(3)).unwrap()));
                    }
                }
            }
        }

        /// One node tells one neighbour, if that is news to it.
        fn tell(&mut self, from: usize, to: usize) -> bool {
            let mut out: Vec<(Option<LinkId>, Around)> =
                self.own[from].iter().cloned().map(|one| (None, one)).collect();
            for (by, nodes) in &self.heard[from] {
                out.extend(nodes.iter().filter_map(pass_on).map(|one| (Some(*by as u64), one)));
            }
            put_in_order(&mut out);
            let told = nodes_for(&out, to as u64, id(to));
            let known = &mut self.heard[to].iter_mut().find(|(by, _)| *by == from).unwrap().1;
            let news = *known != told;
            *known = told;
            news
        }

        /// Tells news in a random order until there are none; whether that came to an end.
        fn settle(&mut self, rng: &mut Rng) -> bool {
            let pairs = |heard: &[Vec<(usize, Vec<Around>)>]| -> Vec<(usize, usize)> {
                let each = heard.iter().enumerate();
                each.flat_map(|(to, links)| links.iter().map(move |(from, _)| (*from, to))).collect()
            };
            let mut pairs = pairs(&self.heard);
            for _ in 0..=usize::from(limits::AROUND_HOPS) + 1 {
                for at in (1..pairs.len()).rev() {
                    pairs.swap(at, usize::try_from(rng.below(at as u64 + 1)).unwrap());
                }
                let news: Vec<bool> = pairs.iter().map(|(from, to)| self.tell(*from, *to)).collect();
                if !news.contains(&true) {
                    return true;
                }
            }
            false
        }
    }

    /// Reports of nodes went round in circles for ever, and kept whole networks busy.
    #[test]
    fn what_is_told_of_nodes_comes_to_an_end_in_every_network() {
        for seed in 0..500 {
            let mut rng = Rng::new([u8::try_from(seed % 256).unwrap(); 32]);
            for _ in 0..seed / 256 {
                rng.below(2);
            }
            let mut network = Network::new(&mut rng);
            assert!(network.settle(&mut rng), "seed {seed}");
            network.change(&mut rng);
            assert!(network.settle(&mut rng), "seed {seed}, after a change");
            // What is over is forgotten everywhere, and does not come back from those who heard of it.
            network.own.iter_mut().for_each(Vec::clear);
            assert!(network.settle(&mut rng), "seed {seed}, when it is over");
            assert!(network.heard.iter().flatten().all(|(_, told)| told.is_empty()), "seed {seed}");
        }
    }
}
