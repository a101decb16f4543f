//! Introduce on the wire: the nodes that a reference vouches for, and those that were forgotten.

use std::net::SocketAddr;

use minicbor::{Decode, Encode};

use crate::model::{NodeId, limits};
use crate::proto::message::{BadMessage, foreign_text};

/// What a node reports of the cluster's members to one peer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Introduction {
    /// How many members there are, the sender included.
    pub members: u32,
    /// Those that the receiver is to connect to; at most [`limits::MESH_FULL`].
    pub nodes: Vec<Introduced>,
    /// Those that no longer belong to the cluster, each with the round of that decision; at most
    /// [`limits::FORGOTTEN_MAX`].
    pub forgotten: Vec<(NodeId, u64)>,
}

/// A member.
#[derive(Debug, Clone, PartialEq)]
pub struct Introduced {
    /// The identity that it must prove.
    pub public_key: [u8; 32],
    /// Its own name for itself.
    pub name: String,
    /// How often its membership was decided: the highest number counts.
    pub round: u64,
    /// Where to dial it, best first; at most [`limits::ADDRESSES_TOLD`].
    pub addresses: Vec<SocketAddr>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireIntroduction {
    #[n(0)]
    members: u32,
    #[n(1)]
    nodes: Vec<WireIntroduced>,
    #[n(2)]
    forgotten: Vec<WireForgotten>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireIntroduced {
    #[cbor(n(0), with = "minicbor::bytes")]
    public_key: [u8; 32],
    #[n(1)]
    name: String,
    #[n(2)]
    round: u64,
    #[n(3)]
    addresses: Vec<String>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WireForgotten {
    #[cbor(n(0), with = "minicbor::bytes")]
    node: [u8; 16],
    #[n(1)]
    round: u64,
}

/// Addresses as texts: `10.0.0.1:4321`, `[fd00::1]:4321`.
pub(super) fn address_texts(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

/// Reads addresses. One that cannot be used is left out; one that is malformed is the peer's fault.
pub(super) fn addresses_from(texts: Vec<String>) -> Result<Vec<SocketAddr>, BadMessage> {
    if texts.len() > limits::ADDRESSES_TOLD {
        return Err(BadMessage("too many addresses".into()));
    }
    let read = |text: &String| text.parse::<SocketAddr>().map_err(|_| BadMessage("malformed address".into()));
    let all = texts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let leads = |one: &SocketAddr| one.port() != 0 && !one.ip().is_unspecified() && !one.ip().is_multicast();
    Ok(all.into_iter().filter(leads).collect())
}

/// A node's name from a peer, safe to print and cut to a label's length.
pub(super) fn node_name(text: &str) -> String {
    let mut name = foreign_text(text);
    let end = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|&end| end <= limits::LABEL_MAX).last();
    name.truncate(end.unwrap_or(0));
    name
}

impl From<&Introduction> for WireIntroduction {
    fn from(one: &Introduction) -> WireIntroduction {
        WireIntroduction {
            members: one.members,
            nodes: one
                .nodes
                .iter()
                .map(|node| WireIntroduced {
                    public_key: node.public_key,
                    name: node.name.clone(),
                    round: node.round,
                    addresses: address_texts(&node.addresses),
                })
                .collect(),
            forgotten: one
                .forgotten
                .iter()
                .map(|(node, round)| WireForgotten { node: node.0, round: *round })
                .collect(),
        }
    }
}

impl TryFrom<WireIntroduction> for Introduction {
    type Error = BadMessage;

    fn try_from(wire: WireIntroduction) -> Result<Introduction, BadMessage> {
        if wire.nodes.len() > limits::MESH_FULL || wire.forgotten.len() > limits::FORGOTTEN_MAX {
            return Err(BadMessage("too many nodes are introduced or forgotten at once".into()));
        }
        let nodes = wire.nodes.into_iter().map(|node| {
            Ok(Introduced {
                public_key: node.public_key,
                name: node_name(&node.name),
                round: node.round,
                addresses: addresses_from(node.addresses)?,
            })
        });
        Ok(Introduction {
            members: wire.members,
            nodes: nodes.collect::<Result<_, BadMessage>>()?,
            forgotten: wire.forgotten.iter().map(|one| (NodeId(one.node), one.round)).collect(),
        })
    }
}
