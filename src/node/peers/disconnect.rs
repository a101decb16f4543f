//! Translates the reasons for which sessions end between the wire and this node.

use std::net::IpAddr;

use crate::fs::Fs;
use crate::model::reason::{JoinText, Trouble};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::proto::message::{Bye, ByeCode};

/// What a peer sends that a share cannot take: its session ends, or this node's database begins another life.
pub(crate) enum Offence {
    /// It broke the protocol.
    Misbehaved(String),
    /// It knows of edits of this node that its database does not know: the database is older than it was.
    KnowsMore(&'static str),
}

impl<F: Fs> Peers<F> {
    /// A configured peer tried to connect and failed: its status should say why.
    pub(crate) fn note_trouble_at(&mut self, cx: &mut Context<F>, remote: IpAddr, trouble: &Trouble) {
        if matches!(
            trouble,
            Trouble::Closed | Trouble::Silent | Trouble::Duplicate | Trouble::ThisNode | Trouble::PausedHere(_)
        ) {
            return;
        }
        let remote = remote.to_canonical();
        let literal = |peer: &&crate::model::settings::PeerSettings| {
            peer.address.as_ref().and_then(|a| a.ip()).is_some_and(|ip| ip.to_canonical() == remote)
        };
        if let Some(peer) = cx.settings.peers.iter().find(literal) {
            if let Some(dial) = self.dials.get_mut(&peer.name).filter(|dial| dial.link.is_none()) {
                dial.trouble = Some((trouble.clone(), cx.now.wall));
            }
        }
    }
}

impl<F: Fs> Context<F> {
    pub(crate) fn is_skewed(&self, ms: i64) -> bool {
        let most = u64::try_from(self.settings.max_clock_skew.as_millis()).unwrap_or(u64::MAX);
        most > 0 && ms.unsigned_abs() > most
    }
}

/// The numbers that go with [`ByeCode::NotAccepted`]: what the reference knows of the join text that was shown to it.
pub(crate) const JOIN_TEXTS: [(JoinText, i64); 4] =
    [(JoinText::None, 0), (JoinText::Used, 1), (JoinText::Expired, 2), (JoinText::Unknown, 3)];

/// What the other side's reason means here.
pub(crate) fn trouble_of(bye: Bye) -> Trouble {
    match bye.code {
        ByeCode::ClockSkew => Trouble::ClockSkew(bye.number),
        ByeCode::Version => Trouble::Version { min: (bye.number >> 16) as u16, max: bye.number as u16 },
        ByeCode::NotAccepted => {
            let text = JOIN_TEXTS.iter().find(|(_, number)| *number == bye.number);
            Trouble::NotAcceptedThere(text.map_or(JoinText::None, |(text, _)| *text))
        }
        ByeCode::IdentityRefused => Trouble::IdentityRefusedThere,
        ByeCode::SameIdentity => Trouble::SameIdentity,
        ByeCode::TwoMachines => Trouble::TwoMachines,
        ByeCode::Misbehaved => Trouble::Accuses(bye.text),
        ByeCode::Full => Trouble::TooManySessions,
        ByeCode::Disabled => Trouble::DisabledThere,
        ByeCode::Leaving => Trouble::Leaving,
        ByeCode::Duplicate => Trouble::Duplicate,
        ByeCode::Silent => Trouble::Silent,
        ByeCode::Paused => Trouble::PausedThere(bye.text),
        ByeCode::Unknown(_) => Trouble::Other(bye.text),
    }
}
