//! The wire protocol: this text is its specification, the modules below its only implementation.
//!
//! # Stream
//! TCP, port 4321. Whoever dials sends first; the other side sends nothing before it has read the first bytes.
//! ```text
//! preface   8 bytes: "owsync", then 'E' (encrypted) or 'P' (plain mode), then '1', the form of the handshake
//! record    u16 length, big-endian, then that many bytes
//! ```
//! The first four bytes of the preface are a frame length that the C predecessor (owsync 1.x) refuses as impossible;
//! its own first byte is never above 2. So both programs end cleanly, and each side can name what it met. A connection
//! of the predecessor is read to its end before it is closed, because a write to a closed connection kills it.
//!
//! # Handshake, form 1
//! Noise_XXpsk0_25519_AESGCM_SHA256, the preface as prologue, three records without payload (48, 96 and 64 bytes).
//! The pre-shared key lets a node knock: whoever does not have it fails at the first message. That message can be
//! replayed, so a peer counts as authenticated only after the third. The static key is the node's identity.
//! Until the handshake ends, a record of one byte is an alert ([`frame::Alert`]): it says in clear why the other side
//! ends the session. It is a hint for people; nothing is decided by it.
//! In plain mode the preface alone is the handshake.
//!
//! # Messages
//! Every later record is one message: u8 type, then a CBOR map with small integer keys; unknown keys are skipped, so that
//! versions can differ by one. Encrypted, the record is one AES-256-GCM ciphertext under the session's own key and
//! counter for its direction.
//!
//! | type | message | keys |
//! | --- | --- | --- |
//! | 1 | Hello | 0 lowest and 1 highest version, 2 name, 3 wall clock ms, 4 up for ten minutes, 5 rank, 6 state id, 7 asks at first contact, 8 join token, 9 shares, 10 node id (plain mode), 11 program version, 12 release of its system |
//! | 2 | Bye | 0 code, 1 number, 2 text: why the session ends |
//! | 3 | Want | 0 share, 1 state id, 2 sequence: send what changed since, 3 round |
//! | 4 | Index | 0 share, 1 wall clock ms, 2 heard up to this sequence, 3 nothing more for now, 4 entries, 5 round of the Want it answers |
//! | 5 | Request | 0 share, 1 pieces: id, path, digest, offset, length |
//! | 6 | Data | 0 pieces: id, offset, bytes |
//! | 7 | Unavailable | 0 id, 1 reason |
//! | 8 | Progress | 0 share, 1 received up to, 2 applied up to, 3 number of pending paths, 4 some paths with reasons, 5 paths changed there and not released, 6 settled up to (applied, or left out by choice), 7 paths left out by choice, a number for each choice, 8 paths awaiting confirmation there |
//! | 9 | Ping | 0 wall clock ms |
//! | 10 | Pong | 0 wall clock ms |
//! | 11 | ShareNews | 0 share, 1 why it is held |
//! | 12 | Ask | 0 share, 1 id, 2 paths: what do you have there? |
//! | 13 | Tell | 0 id of the Ask, 1 nothing more follows, 2 entries as in Index |
//! | 20 | Around | 0 nodes behind the sender that are not in sync: 0 name, 1 id, 2 a word why, 3 how often it was passed on |
//!
//! Both sides send Hello first. Then, per share that both have: Want, answered by Index messages up to the end of the
//! catch-up; from there on each local change is pushed as Index. Content is only ever pulled: Request names path, digest
//! and range, Data answers in order. Data that was not requested, a second Hello, or anything before Hello ends the
//! session as the peer's fault. Ask and Tell serve previews and comparisons only: neither side has heard, offered or
//! applied anything by them. Sequence numbers count a node's own index changes in one life of its database. Entries
//! of one batch carry the same batch number and follow each other; a batch ends where another begins, or nothing more
//! follows for now.

pub mod frame;
#[cfg(feature = "encryption")]
pub mod handshake;
pub mod message;
mod mode;
pub mod session;

pub use message::Message;
pub use session::{Credentials, Event, Session};

/// The versions of the message layer that this program speaks, lowest and highest. The predecessor's was 1.
pub const VERSIONS: (u16, u16) = (2, 2);
