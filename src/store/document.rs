//! Reading a document and its journal.

use std::collections::VecDeque;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::store::lines::Line;
use crate::store::state::State;
use crate::store::{FORMAT, import, lines};

/// A state in the making, with the latest mark.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) state: State,
    pub(super) mark: u64,
}

pub(super) enum Document {
    Ours(Loaded),
    Predecessors(VecDeque<import::OldEntry>),
}

struct DocumentVisitor(State);

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a database of owsync")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut loaded = Loaded { state: self.0, mark: 0 };
        let mut format = None;
        let mut has_state = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "owsync" => format = Some(map.next_value::<u64>()?),
                "mark" => {
                    loaded.mark = u64::from_str_radix(&map.next_value::<String>()?, 16).map_err(de::Error::custom)?;
                }
                "state" => {
                    map.next_value_seed(Changes(&mut loaded))?;
                    has_state = true;
                }
                "files" if format.is_none() => return import::read_files(map).map(Document::Predecessors),
                _ => {
                    map.next_value::<de::IgnoredAny>()?;
                }
            }
        }
        match format {
            Some(FORMAT) if has_state => Ok(Document::Ours(loaded)),
            Some(other) if other > FORMAT => Err(de::Error::custom(format!("format {other} is of a newer owsync"))),
            Some(older) if older < FORMAT => Err(de::Error::custom(format!("format {older} is of an older owsync"))),
            _ => Err(de::Error::custom("not a database of owsync")),
        }
    }
}

struct Changes<'a>(&'a mut Loaded);

impl<'de> de::DeserializeSeed<'de> for Changes<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Changes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of changes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(line) = seq.next_element::<Line>()? {
            apply_line(line, self.0).map_err(|bad| de::Error::custom(format!("bad {}", bad.0)))?;
        }
        Ok(())
    }
}

/// What replaying a journal came to.
pub(super) enum Replayed {
    /// It belongs to an earlier document.
    Stale,
    /// It was applied up to this byte.
    Upto(u64),
}

/// Reads a document, ours or the predecessor's, change by change.
pub(super) fn read_document(bytes: &[u8], blank: State) -> Result<Document, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let document = deserializer.deserialize_map(DocumentVisitor(blank)).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(document)
}

fn apply_line(line: Line, loaded: &mut Loaded) -> Result<(), lines::BadLine> {
    if let Line::Mark(mark) = &line {
        loaded.mark = u64::from_str_radix(mark, 16).map_err(|_| lines::BadLine("mark"))?;
    }
    if let Some(change) = line.into_change()? {
        loaded.state.apply(change);
    }
    Ok(())
}

/// Applies the valid prefix of a journal. It begins with the mark of its document; a commit ends with a mark of its own,
/// and counts whole or not at all.
pub(super) fn replay(bytes: &[u8], loaded: &mut Loaded) -> Replayed {
    let base = loaded.mark;
    let mut valid = 0;
    let mut position = 0;
    let mut commit: Vec<Line> = Vec::new();
    while let Some(length) = bytes[position..].iter().position(|&b| b == b'\n') {
        let Some(line) = lines::read_checked(&bytes[position..position + length]) else { break };
        let begins = position == 0;
        position += length + 1;
        if let Line::Mark(mark) = &line {
            if begins {
                if *mark != format!("{base:016x}") {
                    return Replayed::Stale;
                }
                continue;
            }
            commit.push(line);
            for line in commit.drain(..) {
                // A line that is whole and makes no sense ends the replay as a torn one does.
                if apply_line(line, loaded).is_err() {
                    return Replayed::Upto(valid);
                }
            }
            valid = position as u64;
        } else {
            commit.push(line);
        }
    }
    Replayed::Upto(valid)
}
