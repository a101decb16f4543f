//! Fuzz targets: functions of bytes that must come back, whatever the bytes are.
//!
//! Each gives them to one parser or state machine, and says what must hold of the outcome beyond that nothing panics.
//! `cargo test` calls them through tests/fuzz_corpus.rs, libFuzzer through tests/fuzz/libfuzzer.

mod database;
mod packages;
mod peer;
mod streams;
mod text;
mod ubus;

pub use database::known_from;
#[cfg(feature = "encryption")]
pub use streams::encryption;

/// A target. True where the bytes were understood to their end, so that a corpus can show that it reaches that far.
pub type Target = fn(&[u8]) -> bool;

/// Every target by its name, which is also its directory's in tests/fuzz/corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("blobmsg", ubus::blobmsg),
    ("conf", text::conf),
    ("control", text::control),
    ("document", database::document),
    ("escape", text::escape),
    ("filter", text::filter),
    ("form", packages::form),
    ("frame", streams::frame),
    #[cfg(feature = "encryption")]
    ("handshake", streams::handshake),
    ("history", database::history),
    ("join", text::join),
    ("journal", database::journal),
    ("merge", packages::merge),
    ("message", streams::message),
    ("node", peer::node),
    ("path", text::path),
    #[cfg(feature = "encryption")]
    ("session", streams::session),
    ("ubus", ubus::ubus),
    ("uci", text::uci),
    ("uci_delta", text::uci_delta),
    ("zone", text::zone),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// Whether a terminal could show it and nothing else happen.
fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Bytes as numbers, choices and lengths; endless zeroes after their end.
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Source<'a> {
        Source(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub fn number(&mut self) -> u64 {
        let bytes = self.take(8);
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// At most so many bytes.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Lines without their ends, to the end.
    pub fn lines(&mut self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.take(usize::MAX).split(|&b| b == b'\n')
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }
}
