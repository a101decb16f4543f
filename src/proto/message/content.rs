//! Request and Data on the wire: pieces of content.

use minicbor::{Decode, Encode};

use crate::model::{Digest, limits};
use crate::proto::message::{BadMessage, Piece, progress::WireReason, rel_path};

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireRequest {
    #[n(0)]
    pub(super) share: String,
    #[n(1)]
    pub(super) pieces: Vec<WirePiece>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct WirePiece {
    #[n(0)]
    pub(super) id: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(super) path: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(super) digest: [u8; 32],
    #[n(3)]
    pub(super) offset: u64,
    #[n(4)]
    pub(super) length: u64,
}

impl From<&Piece> for WirePiece {
    fn from(piece: &Piece) -> WirePiece {
        WirePiece {
            id: piece.id,
            path: piece.path.as_bytes().to_vec(),
            digest: piece.digest.0,
            offset: piece.offset,
            length: piece.length,
        }
    }
}

impl TryFrom<WirePiece> for Piece {
    type Error = BadMessage;

    fn try_from(wire: WirePiece) -> Result<Piece, BadMessage> {
        if wire.length > limits::REQUEST_PIECE || wire.offset.checked_add(wire.length).is_none() {
            return Err(BadMessage("a requested piece is too large".into()));
        }
        Ok(Piece {
            id: wire.id,
            path: rel_path(&wire.path)?,
            digest: Digest(wire.digest),
            offset: wire.offset,
            length: wire.length,
        })
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireData<'b> {
    #[b(0)]
    pub(super) chunks: Vec<WireChunk<'b>>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct WireChunk<'b> {
    #[n(0)]
    pub(super) id: u32,
    #[n(1)]
    pub(super) offset: u64,
    #[cbor(b(2), with = "minicbor::bytes")]
    pub(super) bytes: &'b [u8],
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct WireUnavailable {
    #[n(0)]
    pub(super) id: u32,
    #[n(1)]
    pub(super) reason: WireReason,
}
