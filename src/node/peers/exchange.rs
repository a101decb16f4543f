//! What passes between this node and a peer in one share: offers in both directions, and how far each side has come.

use std::collections::VecDeque;

use crate::model::reason::LeftOut;
use crate::model::{Digest, Direction, Monotonic, Reason, RelPath, WallTime, limits};
use crate::proto::message::{Offer, ShareHello};
use crate::reconcile::filter::Filter;

/// What passes between two nodes in one share.
pub(crate) struct Exchange {
    /// What the peer said of it.
    pub theirs: ShareHello,
    /// What share and peer section together allow here.
    pub direction: Direction,
    /// What of this node may be offered: a share that only receives still relays what it took.
    pub offers: Offers,
    /// Everything up to here was offered; `None` until the peer said from where it wants to hear.
    pub offered: Option<u64>,
    /// The peer's Want that offers answer.
    pub their_round: u32,
    /// Our latest Want.
    pub round: u32,
    /// What was asked for and is not offered yet, by number.
    pub queue: VecDeque<(u64, RelPath)>,
    /// The greatest number of this share when the queue was filled: what is above is not in it.
    pub queue_top: u64,
    /// Where the catch-up ended, once it has.
    pub catch_up: Option<u64>,
    pub their_heard: u64,
    pub their_applied: u64,
    /// Everything up to here was applied there, or is left out there by choice.
    pub their_settled: u64,
    /// Paths that the peer cannot apply or read now.
    pub pending_there: u32,
    /// Some of these, the cause first, then some that the peer leaves out by choice.
    pub paths_there: Vec<(RelPath, Reason)>,
    /// Paths that differ there by choice.
    pub left_out_there: LeftOut,
    /// Changes made there that are not released by `owsync sync` there.
    pub unreleased_there: u32,
    /// Paths applied there that await confirmation there.
    pub unconfirmed_there: u32,
    /// Which paths the peer's filter holds, as far as it said.
    pub their_filter: Option<Filter>,
    /// What was last counted as left out here, of what, and when.
    pub left_out: Option<LeftOutCount>,
    /// When the oldest change that the peer has not applied was offered.
    pub unanswered: Option<Monotonic>,
    /// It did not answer in time.
    pub late: bool,
    /// Everything of the peer's up to here was heard.
    pub heard: u64,
    /// We asked to hear, and are not held: what the peer says counts.
    pub listening: bool,
    /// The peer's catch-up has ended.
    pub heard_all: bool,
    /// The greatest number of the peer's that is known of.
    pub their_top: u64,
    /// Offers of a batch that has not ended.
    pub partial: Vec<Offer>,
    /// Whole batches that were received and are not prepared yet, in their order.
    pub waiting: VecDeque<Vec<Offer>>,
    /// Bytes of `partial` and of `waiting`, as a message counts them.
    pub partial_bytes: usize,
    pub waiting_bytes: usize,
    /// Offers received above what was acknowledged.
    pub unacked: Window,
    /// The greatest number that was acknowledged as received.
    pub acked: u64,
    /// No more are acknowledged: as many as are kept for one peer are pending.
    pub full: bool,
    /// The same there.
    pub full_there: bool,
    /// Offers sent above what the peer acknowledged.
    pub in_flight: Window,
    /// How long that takes.
    pub pace: Pace,
    /// What the peer was last told.
    pub told: Option<Told>,
    pub completed: bool,
    /// Since when nothing is missing in either direction.
    pub in_sync_since: Option<WallTime>,
}

/// Offers that were sent in one direction and not acknowledged, message by message.
#[derive(Debug, Default)]
pub(crate) struct Window {
    sent: VecDeque<(u64, usize)>,
    offers: usize,
}

impl Window {
    /// A message with so many offers went by, and with it everything up to a number.
    pub fn add(&mut self, upto: u64, offers: usize) {
        if offers > 0 {
            self.sent.push_back((upto, offers));
            self.offers += offers;
        }
    }

    /// Everything up to a number is acknowledged.
    pub fn acknowledge(&mut self, upto: u64) {
        while let Some(&(_, offers)) = self.sent.front().filter(|(number, _)| *number <= upto) {
            self.offers -= offers;
            self.sent.pop_front();
        }
    }

    /// Forgets what went by: a new Want begins anew.
    pub fn clear(&mut self) {
        *self = Window::default();
    }

    /// Whether a full message may go by.
    pub fn has_room(&self) -> bool {
        self.offers + limits::INDEX_CHUNK <= limits::INDEX_WINDOW
    }

    /// Whether more went by than may.
    pub fn is_exceeded(&self) -> bool {
        self.offers > limits::INDEX_WINDOW
    }
}

/// What a peer was told of how far this node has come with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Told {
    pub heard: u64,
    pub applied: u64,
    pub settled: u64,
    pub pending: u32,
    pub left_out: LeftOut,
    /// Of the paths that are left out by choice and named.
    pub named: Option<Digest>,
    pub unreleased: u32,
    pub unconfirmed: u32,
    pub full: bool,
}

/// Which paths were left out by choice when they were last counted.
#[derive(Debug, Clone)]
pub(crate) struct LeftOutCount {
    pub count: LeftOut,
    /// Some of those that the peer can only know from this node.
    pub named: Vec<(RelPath, Reason)>,
    /// Of all of them.
    pub digest: Digest,
    /// What it depends on: the greatest number in the index, pending paths, and how often other paths were skipped.
    pub of: (u64, Digest, u64),
    pub at: Monotonic,
}

/// What a node offers a peer of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offers {
    /// Nothing.
    Nothing,
    /// What others wrote, and not what was written here.
    Relayed,
    /// Everything.
    All,
}

impl Exchange {
    /// Forgets what was received and is not prepared: it is received again.
    pub fn forget_received(&mut self) {
        self.partial = Vec::new();
        self.waiting = VecDeque::new();
        (self.partial_bytes, self.waiting_bytes) = (0, 0);
    }

    /// The batch that was being received has ended.
    pub fn end_partial(&mut self) {
        if !self.partial.is_empty() {
            self.waiting.push_back(std::mem::take(&mut self.partial));
            self.waiting_bytes += std::mem::take(&mut self.partial_bytes);
        }
    }

    /// The lowest number that was received and is not prepared.
    pub fn lowest_waiting(&self) -> Option<u64> {
        self.waiting.front().and_then(|offers| offers.first()).or(self.partial.first()).map(|offer| offer.seq)
    }

    /// Whether the peer's catch-up has ended and all of it was taken up.
    pub fn has_heard_all(&self) -> bool {
        self.heard_all && self.waiting.is_empty()
    }

    pub fn new(theirs: ShareHello, direction: Direction, offers: Offers, heard: u64) -> Exchange {
        Exchange {
            their_top: theirs.seq,
            direction,
            offers,
            offered: None,
            their_round: 0,
            round: 0,
            queue: VecDeque::new(),
            queue_top: 0,
            catch_up: None,
            their_heard: 0,
            their_applied: 0,
            their_settled: 0,
            pending_there: 0,
            paths_there: Vec::new(),
            left_out_there: LeftOut::default(),
            unreleased_there: 0,
            unconfirmed_there: 0,
            their_filter: theirs
                .patterns
                .as_ref()
                .map(|patterns| Filter::new(&patterns.include, &patterns.exclude, &[])),
            left_out: None,
            unanswered: None,
            late: false,
            listening: false,
            heard,
            heard_all: false,
            partial: Vec::new(),
            waiting: VecDeque::new(),
            partial_bytes: 0,
            waiting_bytes: 0,
            unacked: Window::default(),
            acked: heard,
            full: false,
            full_there: false,
            in_flight: Window::default(),
            pace: Pace::default(),
            told: None,
            completed: false,
            in_sync_since: None,
            theirs,
        }
    }
}

/// How long what comes in from a peer has been under way.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Since when something has been.
    pub since: Option<Monotonic>,
    pub warned: bool,
    /// It was stopped, and goes on at this time.
    pub stopped: Option<Monotonic>,
    /// How often it was stopped since it was last complete.
    pub stops: u32,
}
