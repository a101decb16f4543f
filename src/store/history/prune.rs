//! Removes versions from the history: by its bounds, on the user's request, or because a crash left a content without a line.

use crate::fs::{FsError, Root};
use crate::model::{Digest, Map, RelPath, Set, ShareName, WallTime, limits};
use crate::store::history::History;
use crate::store::item::Item;

impl<R: Root> History<R> {
    /// Drops what the bounds no longer cover; how many versions went. `now` is `None` while the clock cannot be believed:
    /// then nothing is dropped for its age, and whatever must be kept for a day is kept. `bases` are versions that their
    /// number of a path does not drop.
    ///
    /// # Errors
    /// Of removing contents; what was dropped from the list stays dropped.
    pub fn prune(&mut self, now: Option<WallTime>, bases: &Set<u64>) -> Result<usize, FsError> {
        if let Some(now) = now {
            for item in self.items.values_mut().filter(|item| item.doubtful) {
                item.at = now;
                item.doubtful = false;
                self.stale = true;
            }
        }
        let mut doomed: Set<u64> = Set::new();
        let age_ms = |item: &Item| now.map_or(0, |now| now.since_ms(item.at));
        let day = i64::try_from(limits::HISTORY_KEEP.as_millis()).unwrap_or(i64::MAX);
        let kept_for_now = |item: &Item| item.why.must_be_kept() && age_ms(item) < day;
        let days = i64::from(self.bounds.days).saturating_mul(86_400_000);
        let mut per_path: Map<(&ShareName, &RelPath), u32> = Map::new();
        for item in self.items.values().rev() {
            let count = per_path.get_or_insert((&item.share, &item.path), 0);
            *count += 1;
            let too_old = self.bounds.days > 0 && age_ms(item) > days;
            let too_many = *count > self.bounds.versions && !bases.contains(&item.number);
            if (too_old || too_many) && !kept_for_now(item) {
                doomed.insert(item.number);
            }
        }
        // Size: first what has a newer version of its path, oldest first; then the newest ones, oldest first.
        let mut newest: Map<(&ShareName, &RelPath), u64> = Map::new();
        for item in self.items.values().filter(|item| !doomed.contains(&item.number)) {
            newest.insert((&item.share, &item.path), item.number);
        }
        let is_newest = |item: &Item| newest.get(&(&item.share, &item.path)) == Some(&item.number);
        let mut uses: Map<Digest, (u64, usize)> = Map::new();
        for item in self.items.values().filter(|item| !doomed.contains(&item.number)) {
            uses.get_or_insert(item.digest, (item.size, 0)).1 += 1;
        }
        let mut size = uses.values().fold(0u64, |sum, (size, _)| sum.saturating_add(*size));
        let mut count = self.items.len() - doomed.len();
        // What is large goes first, so that one such file never takes the place of everything else.
        for (large, last_resort) in [(true, false), (true, true), (false, false), (false, true)] {
            if !large && !last_resort && size > self.bounds.size {
                // What is large and must be kept for now is kept above the bound, and not instead of others.
                let kept = uses.values().filter(|(bytes, users)| *users > 0 && self.is_large(*bytes));
                size -= kept.fold(0u64, |sum, (bytes, _)| sum.saturating_add(*bytes)).min(size);
            }
            for item in self.items.values() {
                if size <= self.bounds.size && count <= limits::HISTORY_ITEMS {
                    break;
                }
                if doomed.contains(&item.number)
                    || self.is_large(item.size) != large
                    || is_newest(item) != last_resort
                    || kept_for_now(item)
                {
                    continue;
                }
                doomed.insert(item.number);
                count -= 1;
                if let Some((bytes, users)) = uses.get_mut(&item.digest) {
                    *users -= 1;
                    if *users == 0 {
                        size -= *bytes;
                    }
                }
            }
        }
        self.drop_items(&doomed)
    }

    /// Drops every version of a path, or of everything below it.
    ///
    /// # Errors
    /// Of removing contents.
    pub fn forget(&mut self, share: &ShareName, path: &RelPath) -> Result<usize, FsError> {
        let doomed = self
            .items
            .values()
            .filter(|i| i.share == *share && (i.path == *path || i.path.is_below(path)))
            .map(|i| i.number)
            .collect();
        self.drop_items(&doomed)
    }

    /// Removes contents that no line lists, as a crash can leave them.
    ///
    /// # Errors
    /// Of reading or removing.
    pub fn sweep(&mut self) -> Result<usize, FsError> {
        let objects = self.file("objects")?;
        let mut dir = match self.root.open_dir(Some(&objects)) {
            Ok(dir) => dir,
            Err(error) if error.is_missing() => return Ok(0),
            Err(error) => return Err(error),
        };
        let listed: Set<String> = self
            .items
            .values()
            .map(|item| &item.digest)
            .chain(self.forms.iter())
            .map(|digest| digest.to_hex())
            .collect();
        let mut doomed = Vec::new();
        loop {
            let names = self.root.read_dir(&mut dir, limits::STEP_NAMES)?;
            if names.is_empty() {
                break;
            }
            let unlisted =
                names.into_iter().filter(|(name, _)| !listed.contains(String::from_utf8_lossy(name).as_ref()));
            doomed.extend(unlisted.filter_map(|(name, _)| objects.join(&name).ok()));
        }
        for object in &doomed {
            self.root.remove(object)?;
        }
        Ok(doomed.len())
    }

    fn drop_items(&mut self, doomed: &Set<u64>) -> Result<usize, FsError> {
        if doomed.is_empty() {
            return Ok(0);
        }
        let gone: Vec<Item> = doomed.iter().filter_map(|number| self.items.remove(number)).collect();
        // The list first: a crash in between leaves contents without a line, which the next start sweeps.
        self.stale = true;
        self.commit()?;
        for item in &gone {
            if !self.is_used(item.digest) {
                match self.root.remove(&self.object(item.digest)?) {
                    Err(error) if !error.is_missing() => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(gone.len())
    }
}
