//! Lines with a checksum in front, as the journal and the index of history have them.

use serde::{Deserialize, Serialize};

use crate::model::{Digest, escape};
use crate::store::lines::Line;
use crate::store::state::Change;

/// Bytes of checksum in front of a journal line, in hexadecimal digits.
const SUM: usize = 8;

/// Appends a change as a journal line: checksum, space, JSON.
pub(crate) fn push_change(bytes: &mut Vec<u8>, change: &Change) {
    push_line(bytes, &Line::from(change));
}

/// Appends the mark that ends a commit.
pub(crate) fn push_mark(bytes: &mut Vec<u8>, mark: u64) {
    push_line(bytes, &Line::Mark(format!("{mark:016x}")));
}

/// Appends a line with its checksum.
pub(crate) fn push_line<T: Serialize>(bytes: &mut Vec<u8>, line: &T) {
    let start = bytes.len();
    bytes.extend_from_slice(&[b' '; SUM + 1]);
    push_json(bytes, line);
    let sum = checksum(&bytes[start + SUM + 1..]);
    bytes[start..start + SUM].copy_from_slice(sum.as_bytes());
    bytes.push(b'\n');
}

/// Appends a change as it stands in the document: without checksum and end of line.
pub(crate) fn push_bare(bytes: &mut Vec<u8>, change: &Change) {
    push_json(bytes, &Line::from(change));
}

/// Reads a journal line without its end of line, if its checksum fits.
pub(crate) fn read_checked<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    let (sum, json) = line.split_at_checked(SUM)?;
    let json = json.strip_prefix(b" ")?;
    if checksum(json).as_bytes() != sum {
        return None;
    }
    serde_json::from_slice(json).ok()
}

fn push_json<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    // Writing to a Vec cannot fail, and no type here can refuse to be JSON.
    let written = serde_json::to_writer(bytes, value);
    debug_assert!(written.is_ok(), "a line always serialises");
}

/// The first digits of the SHA-256: torn writes are what it must notice, and the hash is there anyway.
fn checksum(json: &[u8]) -> String {
    escape::hex(&Digest::of(json).0[..SUM / 2])
}
