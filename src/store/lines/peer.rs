//! Nodes that were met, on disk.

use serde::{Deserialize, Serialize};

use crate::model::{NodeId, WallTime, escape};
use crate::store::lines::{BadLine, node_id};
use crate::store::state::KnownPeer;

#[derive(Serialize, Deserialize)]
pub(crate) struct LinePeer {
    node: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    key: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    section: Option<String>,
    accepted: bool,
    met: i64,
}

impl LinePeer {
    pub(super) fn new(node: NodeId, peer: &KnownPeer) -> LinePeer {
        LinePeer {
            node: node.to_hex(),
            key: peer.public_key.map(|key| escape::hex(&key)).unwrap_or_default(),
            name: peer.name.clone(),
            section: peer.section.clone(),
            accepted: peer.accepted,
            met: peer.met.0,
        }
    }

    pub(super) fn known(self) -> Result<(NodeId, KnownPeer), BadLine> {
        let public_key = if self.key.is_empty() { None } else { Some(escape::unhex(&self.key).ok_or(BadLine("key"))?) };
        let (name, section, accepted) = (self.name, self.section, self.accepted);
        Ok((node_id(&self.node)?, KnownPeer { public_key, name, section, accepted, met: WallTime(self.met) }))
    }
}
