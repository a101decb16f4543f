//! Several nodes that belong together.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::node::Node;
use crate::scratch::Scratch;
use crate::wait::{PATIENCE, until_within};

/// Nodes with a directory each below one that goes with them. When a test fails it prints what they say.
///
/// On loopback every node has an address of its own: which peer a connection belongs to is found by its address.
pub struct Cluster {
    nodes: Vec<Node>,
    scratch: Scratch,
}

impl Cluster {
    /// Nodes that know nothing of each other, none of them started.
    pub fn apart(names: &[&str]) -> Cluster {
        Cluster::at(
            &names.iter().zip(10..).map(|(name, n)| (*name, Ipv4Addr::new(127, 0, 0, n).into())).collect::<Vec<_>>(),
        )
    }

    /// As [`Cluster::apart`], at these addresses.
    pub fn at(names: &[(&str, IpAddr)]) -> Cluster {
        let scratch = Scratch::new();
        let nodes = names.iter().map(|(name, ip)| Node::new(&scratch.path().join(name), name, *ip)).collect();
        Cluster { nodes, scratch }
    }

    /// Nodes of which each dials each other, none of them started.
    pub fn idle(names: &[&str]) -> Cluster {
        let cluster = Cluster::apart(names);
        for node in &cluster.nodes {
            cluster.others(node).for_each(|other| node.dials(other));
        }
        cluster
    }

    /// Nodes of which each dials each other, all started, connected and in sync.
    pub fn running(names: &[&str]) -> Cluster {
        let cluster = Cluster::idle(names);
        cluster.start();
        cluster
    }

    /// Starts all, and waits until they are in sync.
    pub fn start(&self) {
        // Not one after the other: the first would find no peer and wait before it dials again.
        self.nodes.iter().for_each(Node::spawn);
        self.until_in_sync();
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    fn others<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Node> {
        self.nodes.iter().filter(|other| other.name != node.name)
    }

    /// Gives an option of every node this value.
    pub fn set(&self, key: &str, value: &str) {
        self.nodes.iter().for_each(|node| node.set(key, value));
    }

    /// Waits until every status says that everything is in sync.
    #[track_caller]
    pub fn until_in_sync(&self) {
        self.nodes.iter().for_each(Node::until_in_sync);
    }

    /// Waits until all shares hold the same, and every status says so.
    #[track_caller]
    pub fn until_equal(&self) {
        self.until_equal_within(PATIENCE);
    }

    /// As [`Cluster::until_equal`], with a deadline.
    #[track_caller]
    pub fn until_equal_within(&self, limit: Duration) -> Duration {
        let mut last = String::new();
        let look = || {
            let trees: Vec<_> = self.nodes.iter().map(Node::tree).collect();
            let equal = trees.windows(2).all(|pair| pair[0] == pair[1]);
            if !equal {
                last =
                    self.nodes.iter().zip(&trees).map(|(node, tree)| format!("{}: {tree:#?}\n", node.name)).collect();
            }
            equal && self.nodes.iter().all(Node::is_in_sync)
        };
        let took =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until_within(limit, "all hold the same", look)));
        match took {
            Ok(took) => took,
            Err(_) => panic!("not within {limit:?}: all hold the same, in sync. Last difference:\n{last}"),
        }
    }

    /// What all nodes hold, once it is the same.
    #[track_caller]
    pub fn settled(&self) -> std::collections::BTreeMap<String, String> {
        self.until_equal();
        self.nodes[0].tree()
    }
}

impl std::ops::Index<&str> for Cluster {
    type Output = Node;

    fn index(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).expect("a node of this name")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.nodes.iter().for_each(|node| eprintln!("{}", node.report()));
        }
    }
}
