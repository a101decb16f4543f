//! Around on the wire: nodes behind a peer.

use minicbor::{Decode, Encode};

use crate::model::{NodeId, limits};
use crate::proto::message::{Around, BadMessage, cut_to, foreign_text};

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireAround {
    #[n(0)]
    nodes: Vec<WireNode>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireNode {
    #[n(0)]
    name: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    node: Option<[u8; 16]>,
    #[n(2)]
    reason: String,
    #[n(3)]
    hops: u8,
}

impl WireAround {
    pub fn new(nodes: &[Around]) -> WireAround {
        let wire = |one: &Around| WireNode {
            name: cut_to(&one.name, limits::LABEL_MAX).into(),
            node: one.node.map(|node| node.0),
            reason: cut_to(&one.reason, limits::LABEL_MAX).into(),
            hops: one.hops,
        };
        WireAround { nodes: nodes.iter().take(limits::AROUND_TOLD).map(wire).collect() }
    }
}

impl TryFrom<WireAround> for Vec<Around> {
    type Error = BadMessage;

    fn try_from(wire: WireAround) -> Result<Vec<Around>, BadMessage> {
        if wire.nodes.len() > limits::AROUND_TOLD {
            return Err(BadMessage("too many nodes behind a peer".into()));
        }
        let nodes = wire.nodes.into_iter().map(|one| Around {
            name: foreign_text(cut_to(&one.name, limits::LABEL_MAX)),
            node: one.node.map(NodeId),
            reason: foreign_text(cut_to(&one.reason, limits::LABEL_MAX)),
            hops: one.hops,
        });
        Ok(nodes.collect())
    }
}
