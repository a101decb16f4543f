//! Peers: their sections, and the short form of one.

use crate::config::known::PEER;
use crate::config::options::Reader;
use crate::config::{Place, Raw, Section, Told, values};
use crate::model::settings::PeerSettings;
use crate::model::{Direction, PeerName, ShareName, escape, limits};

impl Reader {
    pub(crate) fn peer(&mut self, name: &str, section: &Section, told: &mut Told) {
        let valid = !name.is_empty() && name.len() <= limits::LABEL_MAX && !name.contains(char::is_control);
        if !valid {
            self.error(&section.place, "", format!("'{}' cannot name a peer", escape::escape(name.as_bytes())));
            return;
        }
        let mut peer = PeerSettings {
            name: PeerName(name.into()),
            enabled: true,
            address: None,
            public_key: None,
            introducer: false,
            shares: None,
            direction: Direction::Both,
        };
        let mut port = None;
        let mut source = None;
        for raw in &section.options {
            match self.find(raw, PEER) {
                Some("enabled") => {
                    if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                        peer.enabled = value;
                    }
                }
                Some("address") => {
                    let Some(text) = self.text(raw) else { continue };
                    match values::address(text, told.dial_port()) {
                        Ok(address) => peer.address = Some(address),
                        Err(error) => self.error(&raw.place, &raw.key, error),
                    }
                }
                Some("port") => port = self.one(raw, "a port (1 to 65535)", values::port),
                Some("source_address") => source = self.one(raw, "an IP address", values::source),
                Some("public_key") => peer.public_key = self.pin(raw),
                Some("introducer") => {
                    if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                        peer.introducer = value;
                    }
                }
                Some("share") => {
                    let names = raw.values.iter().flat_map(|value| {
                        String::from_utf8_lossy(value).split_whitespace().map(str::to_string).collect::<Vec<_>>()
                    });
                    for share in names {
                        match ShareName::parse(&share) {
                            Some(share) => peer.shares.get_or_insert_with(Vec::new).push(share),
                            None => self.error(
                                &raw.place,
                                &raw.key,
                                format!("'{}' cannot name a share", escape::escape(share.as_bytes())),
                            ),
                        }
                    }
                }
                Some("direction") => {
                    if let Some(value) = self.one(raw, "'both', 'send', 'receive' or 'observe'", Direction::parse) {
                        peer.direction = value;
                    }
                }
                Some(other) => unreachable!("{other} is in the table and read here"),
                None => {}
            }
        }
        if let Some(address) = &mut peer.address {
            address.port = port.unwrap_or(address.port);
            address.source = source.or(address.source);
        } else if peer.public_key.is_none() {
            self.error(&section.place, "address", "a peer needs an address or a public key".into());
        }
        if peer.introducer && peer.public_key.is_none() {
            let why =
                "an introducer needs a public_key: without one, any machine at its address would be the introducer"
                    .into();
            self.error(&section.place, "introducer", why);
        }
        self.add_peer(&section.place, peer, told);
    }

    pub(crate) fn peer_short(&mut self, raw: &Raw, text: &str, told: &mut Told) {
        match values::address(text, told.dial_port()) {
            Ok(address) => {
                let name = text.split(',').next().unwrap_or(text);
                let peer = PeerSettings {
                    name: PeerName(name.into()),
                    enabled: true,
                    address: Some(address),
                    public_key: None,
                    introducer: false,
                    shares: None,
                    direction: Direction::Both,
                };
                self.add_peer(&raw.place, peer, told);
            }
            Err(error) => self.error(&raw.place, &raw.key, error),
        }
    }

    /// The public key that a peer must show; an empty one pins nothing, as the shipped configuration has it.
    fn pin(&mut self, raw: &Raw) -> Option<[u8; 32]> {
        if raw.values.iter().all(|value| value.is_empty()) {
            return None;
        }
        self.one(raw, "a public key: 64 hexadecimal digits, as `owsync identity` prints them", escape::unhex)
    }

    /// A peer given twice is one peer; the section says more than the short form.
    fn add_peer(&mut self, place: &Place, peer: PeerSettings, told: &mut Told) {
        let peers = &mut told.settings.peers;
        let same = |other: &PeerSettings| {
            other.name == peer.name || (other.address.is_some() && other.address == peer.address)
        };
        match peers.iter().position(same) {
            Some(at)
                if *peers[at].name.0 == *peer.name.0
                    && peers[at].address != peer.address
                    && peers[at].address.is_some() =>
            {
                self.error(place, "peer", format!("'{}' names two peers", peer.name));
            }
            Some(at) => {
                let short = peers[at].address.as_ref().is_some_and(|address| *peers[at].name.0 == address.host);
                if short || peers[at].address == peer.address {
                    peers[at] = peer;
                }
            }
            None => peers.push(peer),
        }
    }
}
