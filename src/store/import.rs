//! Imports the database of owsync 1.x, once.
//!
//! It had path, hash, mtime, size, mode and deletion of each file. A node with such a database is established, with rank 1: what it
//! synced with its peers for months must not lose to a factory default.

use std::collections::VecDeque;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};

use crate::model::{Digest, Entry, Kind, Record, RelPath, ShareName, Stamp, Version, WallTime, limits};
use crate::store::state::{Change, State};

/// One path of the predecessor's database.
pub(crate) struct OldEntry {
    path: Vec<u8>,
    file: OldFile,
}

#[derive(Deserialize)]
struct OldFile {
    hash: Option<String>,
    #[serde(default)]
    mtime: f64,
    #[serde(default)]
    size: f64,
    #[serde(default)]
    mode: u32,
    #[serde(default)]
    deleted: bool,
}

/// Reads the value of "files", and the rest of the document.
pub(crate) fn read_files<'de, A: MapAccess<'de>>(mut map: A) -> Result<VecDeque<OldEntry>, A::Error> {
    let entries = map.next_value::<Files>()?.0;
    while map.next_key::<de::IgnoredAny>()?.is_some() {
        map.next_value::<de::IgnoredAny>()?;
    }
    Ok(entries)
}

struct Files(VecDeque<OldEntry>);

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Files, D::Error> {
        struct FilesVisitor;
        impl<'de> Visitor<'de> for FilesVisitor {
            type Value = Files;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the files of a database of owsync 1.x")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Files, A::Error> {
                let mut entries = VecDeque::new();
                while let Some((path, file)) = map.next_entry::<String, OldFile>()? {
                    entries.push_back(OldEntry { path: path.into_bytes(), file });
                }
                Ok(Files(entries))
            }
        }
        deserializer.deserialize_map(FilesVisitor)
    }
}

/// Converts the entries of owsync 1.x, in the share `main`.
pub(crate) fn take_over(entries: VecDeque<OldEntry>, state: &mut State, now: WallTime) {
    state.me.rank = 1;
    let share = ShareName::main();
    let mut meta = state.shares.get(&share).map(|share| share.meta.clone()).unwrap_or_default();
    meta.past = true;
    state.apply(Change::Share(share.clone(), meta));
    for OldEntry { path, file } in entries.into_iter().take(limits::INDEX_MAX) {
        let Ok(path) = RelPath::parse(&path) else { continue };
        state.me.number = state.me.number.saturating_add(1).max(u64::try_from(now.0).unwrap_or(0));
        state.me.seq = state.me.seq.saturating_add(1).max(u64::try_from(now.0).unwrap_or(0));
        let version = Version::from_pairs([(state.me.state, state.me.number)]);
        // Casting saturates, and like any stamp the time of a deletion is not in the future.
        let ms = (file.mtime as i64).min(now.0);
        let stamp = Stamp { rank: 1, ms };
        let entry = match file.hash.as_deref().and_then(Digest::from_hex) {
            Some(digest) if !file.deleted => Entry {
                kind: Kind::File,
                digest,
                size: file.size as u64,
                mtime: WallTime(file.mtime as i64),
                mode: file.mode & 0o777,
                owner: None,
                version,
                stamp,
                content: None,
                given_up: None,
            },
            _ if file.deleted => Entry::tombstone(version, stamp),
            _ => continue,
        };
        // Without a stat of the disk the first scan reads every file and compares.
        let record = Record { seq: state.me.seq, batch: state.me.seq, recorded: now, ..Record::new(entry, None) };
        state.apply(Change::Record(share.clone(), path, record));
    }
}
