//! Prefaces, records and alerts: the outer form of the stream.

use crate::model::limits;

/// Length of a preface, in bytes.
pub const PREFACE: usize = 8;

/// The mode of a side, by its preface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preface {
    /// Noise handshake, form 1.
    Encrypted,
    /// No handshake.
    Plain,
    /// A later form of owsync.
    Unknown,
    /// The C program: a frame length instead of a preface.
    Predecessor,
    /// Not owsync.
    Foreign,
}

impl Preface {
    /// The bytes that open a stream of this form, and are the prologue of the handshake.
    pub fn bytes(encrypted: bool) -> &'static [u8; PREFACE] {
        if encrypted { b"owsyncE1" } else { b"owsyncP1" }
    }

    /// Reads a preface; `None` until enough bytes are there to tell.
    pub fn read(bytes: &[u8]) -> Option<Preface> {
        let first = *bytes.first()?;
        if first <= 2 {
            // The predecessor's frames are at most 33,554,432 bytes, 0x02000000.
            return Some(Preface::Predecessor);
        }
        let known = bytes.len().min(6);
        if bytes[..known] != b"owsync"[..known] {
            return Some(Preface::Foreign);
        }
        match bytes.get(..PREFACE)? {
            b"owsyncE1" => Some(Preface::Encrypted),
            b"owsyncP1" => Some(Preface::Plain),
            _ => Some(Preface::Unknown),
        }
    }
}

/// Why a side ends a handshake, unencrypted: one byte, in a record of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// The first message could not be read: a different key.
    KeyRefused,
    /// This side runs in plain mode.
    PlainMode,
    /// This side is encrypted.
    EncryptedMode,
    /// Too many sessions.
    Full,
    /// Connections from this address are not accepted.
    NotConfigured,
    /// The handshake's form is not known.
    UnknownForm,
    /// A code of a later version.
    Unknown(u8),
}

impl Alert {
    /// The byte on the wire.
    pub fn code(self) -> u8 {
        match self {
            Alert::KeyRefused => 1,
            Alert::PlainMode => 2,
            Alert::EncryptedMode => 3,
            Alert::Full => 4,
            Alert::NotConfigured => 5,
            Alert::UnknownForm => 6,
            Alert::Unknown(code) => code,
        }
    }

    /// Reads the byte.
    pub fn from_code(code: u8) -> Alert {
        match code {
            1 => Alert::KeyRefused,
            2 => Alert::PlainMode,
            3 => Alert::EncryptedMode,
            4 => Alert::Full,
            5 => Alert::NotConfigured,
            6 => Alert::UnknownForm,
            other => Alert::Unknown(other),
        }
    }
}

/// A record longer than is allowed at this point: the stream is out of step, close it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong(pub usize);

/// Bytes received and not used yet; gives out whole records.
///
/// Never holds more than one record and what came with it in one read: records are taken out after every read.
#[derive(Default)]
pub struct Received {
    bytes: Vec<u8>,
    start: usize,
}

impl Received {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// All unused bytes.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Skips `count` bytes, which must be there.
    pub fn skip(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.bytes = Vec::new();
        self.start = 0;
    }

    /// The next whole record, of at most `most` bytes; `None` while it is incomplete.
    ///
    /// # Errors
    /// [`TooLong`] as soon as its length is known.
    pub fn record(&mut self, most: usize) -> Result<Option<&[u8]>, TooLong> {
        let rest = &self.bytes[self.start..];
        let Some(head) = rest.get(..2) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([head[0], head[1]]));
        if length > most {
            return Err(TooLong(length));
        }
        if rest.len() < 2 + length {
            return Ok(None);
        }
        let from = self.start + 2;
        self.start = from + length;
        Ok(Some(&self.bytes[from..from + length]))
    }
}

/// Appends a record of handshake or alert bytes, or of a message that [`limits::MESSAGE_MAX`] bounds: what exceeds
/// [`limits::RECORD_MAX`] is cut, which the other side reports as malformed.
pub fn push_record(stream: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(limits::RECORD_MAX)];
    // Cut to RECORD_MAX, the length fits.
    stream.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    stream.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_record_is_just_a_split_record_f34() {
        let mut stream = Vec::new();
        push_record(&mut stream, b"one");
        push_record(&mut stream, b"");
        push_record(&mut stream, b"three");
        let mut received = Received::default();
        let mut records: Vec<Vec<u8>> = Vec::new();
        for byte in stream {
            received.push(&[byte]);
            while let Some(record) = received.record(100).unwrap() {
                records.push(record.to_vec());
            }
        }
        assert_eq!(records, [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]);
    }

    #[test]
    fn an_announced_length_costs_nothing_f35() {
        let mut received = Received::default();
        received.push(&[0xff, 0xff]);
        assert_eq!(received.record(limits::HANDSHAKE_MAX), Err(TooLong(65_535)));
    }

    #[test]
    fn prefaces_are_told_apart_as_early_as_possible() {
        for (bytes, preface) in [
            (&b""[..], None),
            (b"ow", None),
            (b"owsyncE", None),
            (b"owsyncE1", Some(Preface::Encrypted)),
            (b"owsyncP1+", Some(Preface::Plain)),
            (b"owsyncE2", Some(Preface::Unknown)),
            (b"G", Some(Preface::Foreign)),
            (b"owl", Some(Preface::Foreign)),
            (b"\0", Some(Preface::Predecessor)),
            (b"\x02\0\0\0", Some(Preface::Predecessor)),
            (b"\x03", Some(Preface::Foreign)),
        ] {
            assert_eq!(Preface::read(bytes), preface, "{bytes:?}");
        }
    }
}
