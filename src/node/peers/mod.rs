//! The peers of a node: its sessions, the dials that open them, and who waits to be accepted.

pub(crate) mod admission;
pub(crate) mod around;
pub(crate) mod dial;
pub(crate) mod disconnect;
pub(crate) mod exchange;
pub(crate) mod handshake;
pub(crate) mod link;
pub(crate) mod mesh;
pub(crate) mod names;

use std::collections::VecDeque;

use crate::fs::Fs;
use crate::model::{Map, Monotonic, NodeId, PeerName, ShareName};
use crate::node::LinkId;
use crate::proto::message::Message;
use admission::Waiting;
use dial::Dial;
use exchange::Exchange;
use link::Link;

/// The sessions of a node, and what concerns them as a whole.
pub(crate) struct Peers<F: Fs> {
    pub links: Map<LinkId, Link<F::Root>>,
    pub next_link: LinkId,
    pub dials: Map<PeerName, Dial>,
    /// Nodes that belong to no section and were not accepted.
    pub waiting: Map<NodeId, Waiting>,
    /// Something changed that peers must be told of the cluster's members.
    pub mesh_stirred: bool,
    /// Random for this start of the program: what is sent under it is sent by this very node.
    pub instance: u64,
    /// When peers made the database begin another life, lately.
    pub renewals: VecDeque<Monotonic>,
    /// The token of a join text, to be shown once to the node that made it.
    pub token: Option<[u8; 16]>,
}

impl<F: Fs> Peers<F> {
    /// No peers. `instance` is random for this start of the program.
    pub fn new(instance: u64, token: Option<[u8; 16]>) -> Peers<F> {
        Peers {
            links: Map::new(),
            next_link: 1,
            dials: Map::new(),
            waiting: Map::new(),
            mesh_stirred: false,
            instance,
            renewals: VecDeque::new(),
            token,
        }
    }

    /// What passes in one share on a session.
    pub fn exchange_mut(&mut self, id: LinkId, name: &ShareName) -> Option<&mut Exchange> {
        self.links.get_mut(&id)?.exchanges.get_mut(name)
    }

    /// Sends a message to a node, if it is connected.
    pub fn say(&mut self, node: NodeId, message: Message) {
        let mut links = self.links.values_mut();
        if let Some(link) = links.find(|link| link.node == Some(node) && link.is_admitted()) {
            link.say(message);
        }
    }

    /// The sessions in which a share is exchanged.
    pub fn exchanging(&self, name: &ShareName) -> Vec<LinkId> {
        let with = |link: &Link<F::Root>| link.is_admitted() && link.exchanges.contains_key(name);
        self.links.iter().filter(|(_, link)| with(link)).map(|(id, _)| *id).collect()
    }
}
