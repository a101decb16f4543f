//! Bye on the wire: why a session ends.

use minicbor::{Decode, Encode};

/// Why a session ends, to the other side.
#[derive(Debug, Clone, PartialEq)]
pub struct Bye {
    /// What kind of reason.
    pub code: ByeCode,
    /// A number that goes with it: milliseconds of skew.
    pub number: i64,
    /// A text that goes with it, escaped.
    pub text: String,
}

/// The kinds of reasons to end a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByeCode {
    /// The clocks differ by `number` ms.
    ClockSkew,
    /// No version in common.
    Version,
    /// The receiver must be accepted first.
    NotAccepted,
    /// The receiver's identity changed.
    IdentityRefused,
    /// The receiver has the sender's identity.
    SameIdentity,
    /// Two machines have the receiver's identity.
    TwoMachines,
    /// The receiver broke the protocol; `text` says how.
    Misbehaved,
    /// Too many sessions.
    Full,
    /// The receiver is disabled in the sender's configuration.
    Disabled,
    /// The sender is shutting down or restarting.
    Leaving,
    /// A different session between the two is kept.
    Duplicate,
    /// The receiver sent nothing for too long.
    Silent,
    /// The user paused the exchange at the sender; `text` says until when, and why.
    Paused,
    /// A code of a later version; `text` says what it means.
    Unknown(u8),
}

impl ByeCode {
    const TABLE: [(ByeCode, u8); 13] = [
        (ByeCode::ClockSkew, 1),
        (ByeCode::Version, 2),
        (ByeCode::NotAccepted, 3),
        (ByeCode::IdentityRefused, 4),
        (ByeCode::SameIdentity, 5),
        (ByeCode::TwoMachines, 6),
        (ByeCode::Misbehaved, 7),
        (ByeCode::Full, 8),
        (ByeCode::Disabled, 9),
        (ByeCode::Leaving, 10),
        (ByeCode::Duplicate, 11),
        (ByeCode::Silent, 12),
        (ByeCode::Paused, 13),
    ];

    pub(super) fn number(self) -> u8 {
        match self {
            ByeCode::Unknown(number) => number,
            known => ByeCode::TABLE.iter().find(|&&(code, _)| code == known).map_or(0, |&(_, number)| number),
        }
    }

    pub(super) fn from_number(number: u8) -> ByeCode {
        ByeCode::TABLE.iter().find(|&&(_, n)| n == number).map_or(ByeCode::Unknown(number), |&(code, _)| code)
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireBye {
    #[n(0)]
    pub(super) code: u8,
    #[n(1)]
    pub(super) number: i64,
    #[n(2)]
    pub(super) text: String,
}
