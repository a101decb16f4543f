//! Commit and CommitAnswer on the wire: a change that is put in force on all nodes, or on none.

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

use crate::model::commit::{Answer, Step};
use crate::model::{NodeId, ShareName, limits};
use crate::proto::message::index::WireOffer;
use crate::proto::message::{BadMessage, Message, Offer, cut, foreign_text, share_name};

/// What a coordinator has a node do.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The share.
    pub share: ShareName,
    /// The coordinator's number of the commit.
    pub number: u64,
    /// What is to be done.
    pub step: Step,
    /// Seconds after which the node rolls back what is not kept; with [`Step::Prepare`].
    pub seconds: u32,
    /// The nodes that take part besides the coordinator; with [`Step::Prepare`].
    pub members: Vec<NodeId>,
    /// What is committed; with [`Step::Prepare`].
    pub entries: Vec<Offer>,
}

impl Order {
    /// A step that needs no more than its number.
    pub fn plain(share: ShareName, number: u64, step: Step) -> Order {
        Order { share, number, step, seconds: 0, members: Vec::new(), entries: Vec::new() }
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireCommit {
    #[n(0)]
    share: String,
    #[n(1)]
    number: u64,
    #[n(2)]
    step: u8,
    #[n(3)]
    seconds: Option<u32>,
    #[n(4)]
    members: Option<Vec<ByteArray<16>>>,
    #[n(5)]
    entries: Option<Vec<WireOffer>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireAnswer {
    #[n(0)]
    share: String,
    #[n(1)]
    number: u64,
    #[n(2)]
    answer: u8,
    #[n(3)]
    why: Option<String>,
}

impl WireCommit {
    pub(super) fn new(order: &Order) -> WireCommit {
        let prepares = order.step == Step::Prepare;
        let number = Step::ALL.iter().position(|step| *step == order.step).unwrap_or(0);
        WireCommit {
            share: order.share.to_string(),
            number: order.number,
            step: number as u8,
            seconds: prepares.then_some(order.seconds),
            members: prepares.then(|| order.members.iter().map(|node| ByteArray::from(node.0)).collect()),
            entries: prepares.then(|| order.entries.iter().map(WireOffer::from).collect()),
        }
    }
}

impl TryFrom<WireCommit> for Message {
    type Error = BadMessage;

    fn try_from(wire: WireCommit) -> Result<Message, BadMessage> {
        let Some(step) = Step::ALL.get(usize::from(wire.step)) else {
            return Err(BadMessage(format!("a commit with the unknown step {}", wire.step)));
        };
        let (members, entries) = (wire.members.unwrap_or_default(), wire.entries.unwrap_or_default());
        if members.len() > limits::COMMIT_NODES || entries.len() > limits::COMMIT_PATHS {
            return Err(BadMessage("a commit of too many nodes or paths".into()));
        }
        if *step == Step::Prepare && entries.is_empty() {
            return Err(BadMessage("a commit of nothing".into()));
        }
        let entries = entries.into_iter().map(Offer::try_from).collect::<Result<Vec<_>, _>>()?;
        let mut paths: Vec<_> = entries.iter().map(|offer| &offer.path).collect();
        paths.sort();
        if paths.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(BadMessage("a commit that names a path twice".into()));
        }
        Ok(Message::Commit(Order {
            share: share_name(&wire.share)?,
            number: wire.number,
            step: *step,
            seconds: wire.seconds.unwrap_or(0),
            members: members.into_iter().map(|node| NodeId(*node)).collect(),
            entries,
        }))
    }
}

impl WireAnswer {
    pub(super) fn new(share: &ShareName, number: u64, answer: &Answer) -> WireAnswer {
        let (code, why) = match answer {
            Answer::Ready => (0, None),
            Answer::Applied => (1, None),
            Answer::Reachable => (2, None),
            Answer::Kept => (3, None),
            Answer::RolledBack => (4, None),
            Answer::Refused(why) => (5, Some(cut(why).into())),
        };
        WireAnswer { share: share.to_string(), number, answer: code, why }
    }
}

impl TryFrom<WireAnswer> for Message {
    type Error = BadMessage;

    fn try_from(wire: WireAnswer) -> Result<Message, BadMessage> {
        let answer = match wire.answer {
            0 => Answer::Ready,
            1 => Answer::Applied,
            2 => Answer::Reachable,
            3 => Answer::Kept,
            4 => Answer::RolledBack,
            // A later version may refuse in more ways.
            _ => Answer::Refused(foreign_text(wire.why.as_deref().unwrap_or("no reason was given"))),
        };
        Ok(Message::CommitAnswer { share: share_name(&wire.share)?, number: wire.number, answer })
    }
}
