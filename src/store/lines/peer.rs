//! Known peers on disk.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::{NodeId, WallTime, escape};
use crate::store::lines::{BadLine, counted, is_default, node_id};
use crate::store::state::{KnownPeer, Mesh};

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
    #[serde(skip_serializing_if = "is_default", default)]
    joined: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    by: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    addresses: Vec<SocketAddr>,
    #[serde(skip_serializing_if = "is_default", default)]
    round: u64,
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
            joined: peer.mesh.joined,
            by: peer.mesh.by.map(NodeId::to_hex),
            addresses: peer.mesh.addresses.clone(),
            round: peer.mesh.round,
        }
    }

    pub(super) fn known(self) -> Result<(NodeId, KnownPeer), BadLine> {
        let public_key = if self.key.is_empty() { None } else { Some(escape::unhex(&self.key).ok_or(BadLine("key"))?) };
        let (name, section, accepted) = (self.name, self.section, self.accepted);
        let by = self.by.map(|by| node_id(&by)).transpose()?;
        let mesh = Mesh { joined: self.joined, by, addresses: self.addresses, round: counted(self.round)? };
        Ok((node_id(&self.node)?, KnownPeer { public_key, name, section, accepted, met: WallTime(self.met), mesh }))
    }
}
