//! Ask and Tell on the wire: a question about single paths, and its answer.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::model::{RelPath, ShareName, limits};
use crate::proto::message::index::WireOffer;
use crate::proto::message::{BadMessage, Message, Offer, rel_path, share_name};

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireAsk {
    #[n(0)]
    share: String,
    #[n(1)]
    id: u32,
    #[n(2)]
    paths: Vec<ByteVec>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireTell {
    #[n(0)]
    id: u32,
    #[n(1)]
    last: bool,
    #[n(2)]
    entries: Vec<WireOffer>,
}

impl WireAsk {
    pub(super) fn new(id: u32, share: &ShareName, paths: &[RelPath]) -> WireAsk {
        let paths = paths.iter().map(|path| path.as_bytes().to_vec().into()).collect();
        WireAsk { share: share.to_string(), id, paths }
    }
}

impl TryFrom<WireAsk> for Message {
    type Error = BadMessage;

    fn try_from(wire: WireAsk) -> Result<Message, BadMessage> {
        if wire.paths.len() > limits::ASK_PATHS {
            return Err(BadMessage("too many paths are asked for".into()));
        }
        let paths = wire.paths.iter().map(|path| rel_path(path)).collect::<Result<_, _>>()?;
        Ok(Message::Ask { id: wire.id, share: share_name(&wire.share)?, paths })
    }
}

impl WireTell {
    pub(super) fn new(id: u32, last: bool, entries: &[Offer]) -> WireTell {
        WireTell { id, last, entries: entries.iter().map(WireOffer::from).collect() }
    }
}

impl TryFrom<WireTell> for Message {
    type Error = BadMessage;

    fn try_from(wire: WireTell) -> Result<Message, BadMessage> {
        if wire.entries.len() > limits::ASK_PATHS {
            return Err(BadMessage("more entries than can be asked for".into()));
        }
        let entries = wire.entries.into_iter().map(Offer::try_from).collect::<Result<_, _>>()?;
        Ok(Message::Tell { id: wire.id, last: wire.last, entries })
    }
}
