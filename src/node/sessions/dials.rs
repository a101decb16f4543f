//! Brings the dials in line with the configured and introduced peers.

use crate::fs::Fs;
use crate::model::settings::PeerSettings;
use crate::model::{Map, Monotonic, Now, PeerName};
use crate::node::Node;
use crate::node::peers::dial::Dial;

impl<F: Fs> Node<F> {
    /// Brings the dials in line with the configured and introduced peers.
    pub(crate) fn set_up_dials(&mut self, now: Now) {
        let wanted = |peer: &&PeerSettings| peer.enabled && !self.cx.is_forgotten_peer(peer);
        let peers: Map<PeerName, bool> =
            self.cx.peers().filter(wanted).map(|peer| (peer.name.clone(), peer.address.is_some())).collect();
        self.peers.dials.retain(|name, _| peers.contains_key(name));
        for (name, has_address) in peers.iter() {
            let at = if *has_address { now.mono } else { Monotonic::NEVER };
            let dial = self.peers.dials.get_or_insert_with(name.clone(), || Dial::new(at));
            if dial.link.is_none() {
                dial.at = at;
            }
        }
        self.take_up_pauses(now);
    }
}
