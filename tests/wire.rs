//! The wire, byte by byte: what a node of another version, or of another author, would have to write and to expect.
//!
//! Every message is compared with bytes written by hand from the specification (`src/proto/mod.rs`) and RFC 8949, in both
//! directions; every way to be refused is reached once. A change that makes one of these fail is a change of the
//! protocol: it needs a new version, or a field that older nodes skip.
//!
//! `messages` has the bytes of messages, `asking` those of questions about single paths, `refusals` what is wrong with others, `streams` prefaces, records and plain
//! sessions, `handshakes` what only encrypted sessions have.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "wire/asking.rs"]
mod asking;
#[path = "wire/bytes.rs"]
mod bytes;
#[path = "wire/committing.rs"]
mod committing;
#[cfg(feature = "encryption")]
#[path = "wire/handshakes.rs"]
mod handshakes;
#[path = "wire/messages.rs"]
mod messages;
#[path = "wire/pair.rs"]
mod pair;
#[path = "wire/refusals.rs"]
mod refusals;
#[path = "wire/streams.rs"]
mod streams;
