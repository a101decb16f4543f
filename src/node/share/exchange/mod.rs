//! Exchanges a share with the peers: offers what is new here, and reports how far this node has come with their offers.
//!
//! An exchange begins when both sides of a session have the share and ends with the session. `offer` sends what is new
//! here, `progress` reports how far this node has come with what the peer offered, `complete` says when both have received
//! each other's index to its end; `pace` limits how long that may take, `delivery` reports what reached the peers, and
//! `left_out` counts what never will, by choice. `before_send`, `manual` and `release` hold back what waits for hooks, for
//! `owsync sync` and for a system upgrade, and
//! `withdraw` takes back what peers still wait for.

pub(crate) mod before_send;
pub(crate) mod complete;
pub(crate) mod delivery;
pub(crate) mod left_out;
pub(crate) mod manual;
pub(crate) mod offer;
pub(crate) mod pace;
pub(crate) mod progress;
pub(crate) mod release;
pub(crate) mod withdraw;

use std::collections::VecDeque;

use before_send::Sending;
use delivery::{Delivery, Sent};

/// What leaves, and what became of it.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// The greatest sequence number in the index.
    pub top: u64,
    pub sending: Sending,
    /// Changes made here that are on their way to the peers.
    pub deliveries: VecDeque<Delivery>,
    /// Those that last reached a peer, the newest last.
    pub sent: VecDeque<Sent>,
}
