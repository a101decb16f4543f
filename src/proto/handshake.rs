//! The Noise handshake: proves that a side has the key, and which identity it has.
//!
//! `snow` does the cryptography; this module gives it its inputs. Randomness is passed in, so a session can be
//! simulated from a seed: a session draws exactly one ephemeral key, and asking for more is an error, never a repeat.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroizing;

use crate::model::{Key, NodeId, limits};
use sha2::{Digest as _, Sha256};

/// Name of the handshake (Noise, revision 34): identities in both directions, the pre-shared key in the first message.
const NAME: &str = "Noise_XXpsk0_25519_AESGCM_SHA256";

/// The public half of an identity.
pub type PublicKey = [u8; 32];

/// Gives out one ephemeral key, once.
struct OneDraw(Option<Zeroizing<[u8; 32]>>);

impl Random for OneDraw {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        match self.0.take() {
            Some(bytes) if dest.len() == bytes.len() => dest.copy_from_slice(&bytes[..]),
            _ => return Err(snow::Error::Rng),
        }
        Ok(())
    }
}

/// snow's own primitives, with the session's randomness.
struct Resolver(Zeroizing<[u8; 32]>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(OneDraw(Some(self.0.clone()))))
    }

    // Only what NAME asks for, by name: then the linker leaves snow's other primitives out of the binary.
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => DefaultResolver.resolve_dh(&DHChoice::Curve25519),
            _ => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::SHA256 => DefaultResolver.resolve_hash(&HashChoice::SHA256),
            _ => None,
        }
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        match choice {
            CipherChoice::AESGCM => DefaultResolver.resolve_cipher(&CipherChoice::AESGCM),
            _ => None,
        }
    }
}

/// A handshake in progress.
pub struct Handshake(HandshakeState);

impl Handshake {
    /// A handshake with this key and identity; `ephemeral` must never be used twice.
    pub fn new(initiator: bool, key: &Key, identity: &Key, ephemeral: &[u8; 32]) -> Handshake {
        let build = || -> Result<HandshakeState, snow::Error> {
            let resolver = Box::new(Resolver(Zeroizing::new(*ephemeral)));
            let builder = Builder::with_resolver(NAME.parse()?, resolver)
                .psk(0, key.bytes())?
                .local_private_key(identity.bytes())?
                .prologue(crate::proto::frame::Preface::bytes(true))?;
            if initiator { builder.build_initiator() } else { builder.build_responder() }
        };
        // The name is a constant, every key has 32 bytes, and all primitives are compiled in: it always builds, which
        // every test of a session shows.
        Handshake(build().unwrap_or_else(|error| unreachable!("the handshake's inputs are always complete: {error}")))
    }

    /// The next message to send.
    ///
    /// # Errors
    /// When it is not this side's turn.
    pub fn write(&mut self) -> Result<Vec<u8>, snow::Error> {
        let mut message = vec![0; limits::HANDSHAKE_MAX];
        let length = self.0.write_message(&[], &mut message)?;
        message.truncate(length);
        Ok(message)
    }

    /// Reads the other side's next message.
    ///
    /// # Errors
    /// When it does not fit: a different key, or not a handshake at all.
    pub fn read(&mut self, message: &[u8]) -> Result<(), snow::Error> {
        self.0.read_message(message, &mut [0; limits::HANDSHAKE_MAX]).map(|_| ())
    }

    /// Whether all three messages have passed.
    pub fn is_finished(&self) -> bool {
        self.0.is_handshake_finished()
    }

    /// The ciphers of the session, and the identity on the other side.
    ///
    /// # Errors
    /// Before [`Handshake::is_finished`].
    pub fn finish(self) -> Result<(Channel, PublicKey), snow::Error> {
        let mut theirs = [0; 32];
        match self.0.get_remote_static() {
            Some(key) if key.len() == theirs.len() => theirs.copy_from_slice(key),
            _ => return Err(snow::Error::Input),
        }
        Ok((Channel(self.0.into_transport_mode()?), theirs))
    }
}

/// An open session's two ciphers, each with its own key and counter.
pub struct Channel(TransportState);

impl Channel {
    /// Appends the sealed record of `message`.
    ///
    /// # Errors
    /// When the counter is used up, after 2^64 - 1 records.
    pub fn seal(&mut self, message: &[u8], stream: &mut Vec<u8>) -> Result<(), snow::Error> {
        let length = message.len() + limits::TAG;
        // Messages are bounded by MESSAGE_MAX, so the record's length fits its two bytes.
        stream.extend_from_slice(&(length as u16).to_be_bytes());
        let start = stream.len();
        stream.resize(start + length, 0);
        self.0.write_message(message, &mut stream[start..]).map(|_| ())
    }

    /// Opens a record into `message`.
    ///
    /// # Errors
    /// When it was not sealed by the other side, as the next of its records.
    pub fn open(&mut self, record: &[u8], message: &mut Vec<u8>) -> Result<(), snow::Error> {
        message.resize(record.len(), 0);
        let length = self.0.read_message(record, message)?;
        message.truncate(length);
        Ok(())
    }
}

/// The public half of a private key.
pub fn public_key(identity: &Key) -> PublicKey {
    let mut theirs = [0; 32];
    if let Some(mut dh) = DefaultResolver.resolve_dh(&DHChoice::Curve25519) {
        dh.set(identity.bytes());
        theirs.copy_from_slice(dh.pubkey());
    }
    theirs
}

/// The node that a public key belongs to.
pub fn node_id(key: &PublicKey) -> NodeId {
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(key)[..16]);
    NodeId(id)
}
