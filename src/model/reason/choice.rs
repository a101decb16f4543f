//! Differences between nodes that are chosen by options: which path differs for which option, and how many do.

use std::fmt;

/// Why a path differs between two nodes by choice: because of an option, and nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Choice {
    /// `include` and `exclude` of one of the nodes leave it out.
    Filter,
    /// Larger than `max_file_size`.
    TooLarge,
    /// A symlink where `symlinks` is `ignore`, or one whose target is outside the share.
    Symlink,
    /// A device, socket or fifo.
    Special,
    /// Another filesystem is mounted there.
    Mount,
    /// `propagate_deletions` keeps a path that was deleted on the other node.
    Deletion,
    /// `direction` keeps a change on the node where it was made.
    Direction,
    /// A deleted directory that stays because it contains files that are not synced.
    KeptDir,
    /// Its owner does not exist on one of the machines; content and mode are the same.
    Owner,
}

impl Choice {
    /// Every choice, in the order of its number on the wire.
    pub const ALL: [Choice; 9] = [
        Choice::Filter,
        Choice::TooLarge,
        Choice::Symlink,
        Choice::Special,
        Choice::Mount,
        Choice::Deletion,
        Choice::Direction,
        Choice::KeptDir,
        Choice::Owner,
    ];

    /// The code for scripts.
    pub fn code(self) -> &'static str {
        match self {
            Choice::Filter => "filter",
            Choice::TooLarge => "too_large",
            Choice::Symlink => "symlink",
            Choice::Special => "special",
            Choice::Mount => "other_filesystem",
            Choice::Deletion => "deletion",
            Choice::Direction => "direction",
            Choice::KeptDir => "kept_dir",
            Choice::Owner => "unknown_owner",
        }
    }

    /// The words after a number: `2 by filter`.
    fn counted(self) -> &'static str {
        match self {
            Choice::Filter => "by filter",
            Choice::TooLarge => "too large",
            Choice::Symlink => "symlink",
            Choice::Special => "special file",
            Choice::Mount => "on another filesystem",
            Choice::Deletion => "by propagate_deletions",
            Choice::Direction => "by direction",
            Choice::KeptDir => "directory that contains unsynced files",
            Choice::Owner => "with an owner that does not exist on one of the nodes",
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Choice::Filter => "left out by the filter of one of the nodes",
            Choice::TooLarge => "too large: larger than max_file_size",
            Choice::Symlink => "skipped: it is a symlink",
            Choice::Special => "skipped: it is a special file",
            Choice::Mount => "skipped: another filesystem is mounted there",
            Choice::Deletion => "kept by propagate_deletions",
            Choice::Direction => "local deviation: changed here, not sent because of direction",
            Choice::KeptDir => "deleted, but kept because it contains files that are not synced",
            Choice::Owner => "its owner does not exist on one of the nodes",
        })
    }
}

/// How many paths differ between two nodes by choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOut([u32; Choice::ALL.len()]);

impl LeftOut {
    /// The counts, in the order of [`Choice::ALL`]; missing ones are 0, surplus ones are ignored.
    pub fn from_counts(counts: &[u32]) -> LeftOut {
        let mut left_out = LeftOut::default();
        left_out.0.iter_mut().zip(counts).for_each(|(known, count)| *known = *count);
        left_out
    }

    /// The numbers, in the order of [`Choice::ALL`].
    pub fn counts(&self) -> &[u32] {
        &self.0
    }

    /// How many for this choice.
    pub fn of(&self, choice: Choice) -> u32 {
        self.0[choice as usize]
    }

    /// Counts one more path.
    pub fn add(&mut self, choice: Choice) {
        let count = &mut self.0[choice as usize];
        *count = count.saturating_add(1);
    }

    /// Uncounts one path that was counted already.
    pub fn remove(&mut self, choice: Choice) {
        let count = &mut self.0[choice as usize];
        *count = count.saturating_sub(1);
    }

    /// Adds all of these counts.
    pub fn add_all(&mut self, other: &LeftOut) {
        self.0.iter_mut().zip(other.0).for_each(|(known, count)| *known = known.saturating_add(count));
    }

    /// All paths together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|&count| u64::from(count)).sum()
    }

    /// Each choice whose count is not 0.
    pub fn iter(&self) -> impl Iterator<Item = (Choice, u32)> + '_ {
        Choice::ALL.into_iter().map(|choice| (choice, self.of(choice))).filter(|(_, count)| *count > 0)
    }
}

/// `3 paths left out: 2 by filter, 1 too large`.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        write!(f, "{total} path{} left out: ", if total == 1 { "" } else { "s" })?;
        for (index, (choice, count)) in self.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let (one, many) = match choice {
                Choice::Symlink | Choice::Special => (choice.counted().to_string(), format!("{}s", choice.counted())),
                Choice::KeptDir => (choice.counted().into(), "directories that contain unsynced files".into()),
                _ => (choice.counted().into(), choice.counted().into()),
            };
            write!(f, "{comma}{count} {}", if count == 1 { one } else { many })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_by_its_cause() {
        let mut left_out = LeftOut::default();
        for choice in [Choice::TooLarge, Choice::Filter, Choice::Filter] {
            left_out.add(choice);
        }
        assert_eq!(left_out.to_string(), "3 paths left out: 2 by filter, 1 too large");
        assert_eq!(LeftOut::from_counts(left_out.counts()), left_out);
        assert_eq!(LeftOut::from_counts(&[0, 0, 1]).to_string(), "1 path left out: 1 symlink");
        assert_eq!(LeftOut::from_counts(&[0, 0, 2]).to_string(), "2 paths left out: 2 symlinks");
    }

    #[test]
    fn the_number_of_a_choice_is_its_place() {
        assert!(Choice::ALL.iter().enumerate().all(|(place, choice)| *choice as usize == place));
    }
}
