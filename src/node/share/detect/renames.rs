//! Tells a rename from a deletion: content that is still in the share did not go.

use crate::model::{Digest, Index, Map, RelPath, Set};
use crate::reconcile::safety::Missing;

/// How many of the paths that went left a content that is still in the share: at another path that was there before, or
/// at one that came with the same changes.
///
/// Counted one for one, so that the last of many equal files does not explain the absence of all the others. `after` holds
/// the digests at the paths that the changes touch.
pub(crate) fn moved(index: &Index, gone: &Set<&RelPath>, after: &Map<&RelPath, Digest>) -> u64 {
    let mut missing = Missing::default();
    for record in gone.iter().filter_map(|path| index.get(path)) {
        if record.is_awake_and_live() && record.entry.has_content() {
            missing.add(record.entry.digest);
        }
    }
    for (path, digest) in after.iter() {
        // Found again is not found elsewhere.
        let was = index.get(path).filter(|record| record.is_awake_and_live());
        if was.is_none_or(|was| was.entry.digest != *digest) {
            missing.explain(*digest);
        }
    }
    if !missing.is_empty() {
        for (path, record) in index.iter().filter(|(_, record)| record.is_awake_and_live()) {
            let changed = after.get(&path).is_some_and(|digest| *digest != record.entry.digest);
            if record.entry.has_content() && !changed && !gone.contains(&path) {
                missing.explain(record.entry.digest);
            }
        }
    }
    missing.explained()
}
