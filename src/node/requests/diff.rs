//! What changed between two contents, as a unified diff: a pure function over bytes.
//!
//! Lines are compared by the algorithm of Myers ("An O(ND) Difference Algorithm and Its Variations", 1986) in its linear
//! space form, so memory is a few numbers per line. Its time grows with the number of differences; a budget bounds it, and
//! what it leaves open is shown as replaced as a whole, which is longer than it could be and still true.
//!
//! Why not a crate? In a stripped binary (x86-64, "z") this takes 12 KB, `imara-diff` 0.2 takes 27 and `similar` 2.7 takes 46,
//! and both compare texts; the bound on work comes in as a number here, not as a clock (`similar`) or not at all
//! (`imara-diff`'s Myers gives up by a heuristic of its own). A second use of a diff would reopen this.

use std::fmt::Write as _;
use std::ops::Range;

use crate::model::{Map, limits};

/// One side of a comparison.
pub(crate) struct Side<'a> {
    /// What stands in the head of the diff.
    pub name: String,
    /// `None`: there is nothing.
    pub content: Option<&'a [u8]>,
}

/// What a comparison came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Diff {
    /// The diff; empty when nothing changed.
    pub text: String,
    /// One of the contents is no text, and the diff only says that they differ.
    pub binary: bool,
    /// The diff was cut at [`limits::DIFF_TEXT`].
    pub truncated: bool,
}

/// Lines of context around a change, as every unified diff has.
const CONTEXT: usize = 3;

/// Compares two contents.
pub(crate) fn diff(old: &Side<'_>, new: &Side<'_>) -> Diff {
    let (before, after) = (old.content.unwrap_or_default(), new.content.unwrap_or_default());
    if old.content == new.content {
        return Diff { text: String::new(), binary: false, truncated: false };
    }
    if before.contains(&0) || after.contains(&0) {
        let text = format!("binary files {} and {} differ\n", old.name, new.name);
        return Diff { text, binary: true, truncated: false };
    }
    let (old_lines, new_lines) = (lines(before), lines(after));
    let changes = compare(&old_lines, &new_lines, limits::DIFF_WORK);
    let head = |side: &Side<'_>| if side.content.is_some() { side.name.clone() } else { "/dev/null".into() };
    let mut text = format!("--- {}\n+++ {}\n", head(old), head(new));
    for hunk in hunks(&changes) {
        write_hunk(&mut text, &old_lines, &new_lines, hunk);
        if text.len() > limits::DIFF_TEXT {
            let mut end = limits::DIFF_TEXT;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            // Whole lines, so that nobody takes the last one for what is in the file.
            text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
            return Diff { text, binary: false, truncated: true };
        }
    }
    Diff { text, binary: false, truncated: false }
}

/// The lines of a content, each with its end of line.
fn lines(content: &[u8]) -> Vec<&[u8]> {
    content.split_inclusive(|&b| b == b'\n').collect()
}

/// Lines that were replaced: these of the old content by those of the new. Either may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    old: Range<usize>,
    new: Range<usize>,
}

/// Changes that stand close together, and are shown with their context as one.
fn hunks(changes: &[Change]) -> impl Iterator<Item = &[Change]> {
    changes.chunk_by(|a, b| b.old.start - a.old.end <= 2 * CONTEXT)
}

fn write_hunk(text: &mut String, old: &[&[u8]], new: &[&[u8]], hunk: &[Change]) {
    let [first, ..] = hunk else { return };
    let [.., last] = hunk else { return };
    let lead = first.old.start.min(first.new.start).min(CONTEXT);
    let trail = (old.len() - last.old.end).min(new.len() - last.new.end).min(CONTEXT);
    let (old_start, old_end) = (first.old.start - lead, last.old.end + trail);
    let (new_start, new_end) = (first.new.start - lead, last.new.end + trail);
    // Nothing is counted from the line before it.
    let at = |start: usize, end: usize| {
        let line = if start == end { start } else { start + 1 };
        if end - start == 1 { line.to_string() } else { format!("{line},{}", end - start) }
    };
    let _ = writeln!(text, "@@ -{} +{} @@", at(old_start, old_end), at(new_start, new_end));
    let mut next = old_start;
    for change in hunk {
        old[next..change.old.start].iter().for_each(|line| write_line(text, ' ', line));
        old[change.old.clone()].iter().for_each(|line| write_line(text, '-', line));
        new[change.new.clone()].iter().for_each(|line| write_line(text, '+', line));
        next = change.old.end;
    }
    old[next..old_end].iter().for_each(|line| write_line(text, ' ', line));
}

/// Writes a line; bytes that are not UTF-8 as `\xHH`.
fn write_line(text: &mut String, mark: char, line: &[u8]) {
    text.push(mark);
    let (line, whole) = match line.strip_suffix(b"\n") {
        Some(line) => (line, true),
        None => (line, false),
    };
    for chunk in line.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.push('\n');
    if !whole {
        text.push_str("\\ No newline at end of file\n");
    }
}

/// The changes that make `new` of `old`, in order. `work` bounds how long the fewest are searched for.
fn compare(old: &[&[u8]], new: &[&[u8]], work: usize) -> Vec<Change> {
    let mut numbers: Map<&[u8], u32> = Map::new();
    let mut number = |line| {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        *numbers.get_or_insert(line, next)
    };
    let mut search = Search {
        old: old.iter().map(|line| number(line)).collect(),
        new: new.iter().map(|line| number(line)).collect(),
        forward: vec![0; old.len() + new.len() + 3],
        backward: vec![0; old.len() + new.len() + 3],
        work,
        changes: Vec::new(),
    };
    search.compare(0..old.len(), 0..new.len());
    let mut changes: Vec<Change> = Vec::new();
    for change in search.changes {
        match changes.last_mut() {
            Some(last) if last.old.end == change.old.start && last.new.end == change.new.start => {
                last.old.end = change.old.end;
                last.new.end = change.new.end;
            }
            _ => changes.push(change),
        }
    }
    changes
}

struct Search {
    old: Vec<u32>,
    new: Vec<u32>,
    /// How far the furthest path on each diagonal has come, from the start and from the end.
    forward: Vec<isize>,
    backward: Vec<isize>,
    /// Steps that may still be made.
    work: usize,
    changes: Vec<Change>,
}

impl Search {
    pub(crate) fn compare(&mut self, mut old: Range<usize>, mut new: Range<usize>) {
        let alike = |search: &Search, a: usize, b: usize| search.old[a] == search.new[b];
        while !old.is_empty() && !new.is_empty() && alike(self, old.start, new.start) {
            old.start += 1;
            new.start += 1;
        }
        while !old.is_empty() && !new.is_empty() && alike(self, old.end - 1, new.end - 1) {
            old.end -= 1;
            new.end -= 1;
        }
        if old.is_empty() && new.is_empty() {
            return;
        }
        let middle = if old.is_empty() || new.is_empty() { None } else { self.middle(&old, &new) };
        match middle {
            Some((x, y)) => {
                self.compare(old.start..x, new.start..y);
                self.compare(x..old.end, y..new.end);
            }
            None => self.changes.push(Change { old, new }),
        }
    }

    /// A point that a shortest way passes about half way; `None` when it is not found in time.
    ///
    /// Two searches go to meet each other, from the start and from the end, along diagonals k = x - y; both count from
    /// their own end, so the backward search's diagonal k is the forward search's n - m - k. Both ranges hold something
    /// and begin and end with different lines, so at least two lines differ, and both halves are smaller than the whole.
    fn middle(&mut self, old: &Range<usize>, new: &Range<usize>) -> Option<(usize, usize)> {
        let (n, m) = (old.len() as isize, new.len() as isize);
        let delta = n - m;
        // Diagonals that leave the rectangle are not looked at.
        let first = |d: isize| 2 * (d - m).max(0) - d;
        let last = |d: isize| d - 2 * (d - n).max(0);
        let at = |k: isize| (k + m + 1) as usize;
        self.forward[at(1)] = 0;
        self.backward[at(1)] = 0;
        for d in 0..=(n + m + 1) / 2 {
            for backward in [false, true] {
                for k in (first(d)..=last(d)).step_by(2) {
                    let reached = if backward { &self.backward } else { &self.forward };
                    let (left, right) = (reached[at(k - 1)], reached[at(k + 1)]);
                    let mut x = if k == -d || (k != d && left < right) { right } else { left + 1 };
                    let mut y = x - k;
                    let from = x;
                    while x < n && y < m && self.alike(old, new, (x as usize, y as usize), backward) {
                        x += 1;
                        y += 1;
                    }
                    self.work = self.work.checked_sub(1 + (x - from) as usize)?;
                    let reached = if backward { &mut self.backward } else { &mut self.forward };
                    reached[at(k)] = x;
                    // They meet when both have passed the same point of one diagonal.
                    let (other, since) = if backward { (&self.forward, d) } else { (&self.backward, d - 1) };
                    let mirrored = delta - k;
                    let may_meet = (delta % 2 == 0) == backward;
                    if may_meet && (first(since)..=last(since)).contains(&mirrored) && x + other[at(mirrored)] >= n {
                        let (x, y) = if backward { (n - x, m - y) } else { (x, y) };
                        return Some((old.start + x as usize, new.start + y as usize));
                    }
                }
            }
        }
        None
    }

    fn alike(&self, old: &Range<usize>, new: &Range<usize>, (x, y): (usize, usize), backward: bool) -> bool {
        if backward {
            self.old[old.end - 1 - x] == self.new[new.end - 1 - y]
        } else {
            self.old[old.start + x] == self.new[new.start + y]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rng;

    fn text(old: &str, new: &str) -> String {
        let side = |name: &str, content| Side { name: name.into(), content: Some(content) };
        diff(&side("a", old.as_bytes()), &side("b", new.as_bytes())).text
    }

    #[test]
    fn a_changed_line_is_shown_with_three_lines_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        assert_eq!(
            text(old, &old.replace('5', "five")),
            "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
        );
        assert_eq!(text(old, old), "");
    }

    #[test]
    fn changes_far_apart_are_hunks_of_their_own() {
        let old: String = (0..30).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n3\n", "\nx\n").replace("\n25\n", "\n");
        let heads: Vec<String> =
            text(&old, &new).lines().filter(|line| line.starts_with("@@")).map(str::to_string).collect();
        assert_eq!(heads, ["@@ -1,7 +1,7 @@", "@@ -23,7 +23,6 @@"]);
    }

    #[test]
    fn a_missing_end_of_line_and_a_missing_file_are_said() {
        assert_eq!(text("a\nb", "a\nb\n"), "--- a\n+++ b\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n");
        let gone = Side { name: "b".into(), content: None };
        let old = Side { name: "a".into(), content: Some(&b"x\n"[..]) };
        assert_eq!(diff(&old, &gone).text, "--- a\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n");
    }

    #[test]
    fn what_is_no_text_only_differs() {
        let [old, new] = [&b"a\0b"[..], b"a\0c"].map(|content| Side { name: "x".into(), content: Some(content) });
        let found = diff(&old, &new);
        assert!(found.binary);
        assert_eq!(found.text, "binary files x and x differ\n");
        assert_eq!(text("caf\u{e9}\n", "cafe\n").lines().nth(3), Some("-caf\u{e9}"));
        let latin = Side { name: "a".into(), content: Some(&b"caf\xe9\n"[..]) };
        let none = Side { name: "b".into(), content: None };
        assert_eq!(diff(&latin, &none).text.lines().nth(3), Some("-caf\\xe9"));
    }

    #[test]
    fn a_diff_that_is_too_long_ends_with_a_whole_line_and_says_so() {
        let old: String = (0..limits::DIFF_TEXT / 8).map(|n| format!("old {n:08}\n")).collect();
        let found = diff(
            &Side { name: "a".into(), content: Some(old.as_bytes()) },
            &Side { name: "b".into(), content: Some(b"") },
        );
        assert!(found.truncated && found.text.ends_with('\n') && found.text.len() <= limits::DIFF_TEXT);
    }

    /// Replaces what the changes say, and counts the lines they touch.
    fn apply(old: &[&[u8]], new: &[&[u8]], changes: &[Change]) -> (Vec<u8>, usize) {
        let (mut out, mut next, mut touched) = (Vec::new(), 0, 0);
        for change in changes {
            out.extend(old[next..change.old.start].concat());
            out.extend(new[change.new.clone()].concat());
            next = change.old.end;
            touched += change.old.len() + change.new.len();
        }
        out.extend(old[next..].concat());
        (out, touched)
    }

    /// The fewest lines that must be touched, by the table that everybody knows.
    fn fewest(old: &[&[u8]], new: &[&[u8]]) -> usize {
        let mut row: Vec<usize> = (0..=new.len()).collect();
        for (i, a) in old.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for (j, b) in new.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if a == b { diagonal } else { above.min(row[j]) + 1 };
                diagonal = above;
            }
        }
        row[new.len()]
    }

    #[test]
    fn the_changes_make_the_new_of_the_old_and_are_the_fewest() {
        let mut rng = Rng::new([7; 32]);
        for round in 0..3000 {
            let letters = 1 + rng.below(4);
            let mut random = |most| -> Vec<u8> {
                (0..rng.below(most)).flat_map(|_| [b'a' + rng.below(letters) as u8, b'\n']).collect()
            };
            let (old, new) = (random(1 + round / 60), random(1 + round / 60));
            let (old, new) = (lines(&old), lines(&new));
            let changes = compare(&old, &new, usize::MAX);
            let (made, touched) = apply(&old, &new, &changes);
            assert_eq!(made, new.concat());
            assert_eq!(touched, fewest(&old, &new), "{old:?} {new:?} {changes:?}");
            // Out of time it is still true.
            for work in [0, 3, 20] {
                assert_eq!(apply(&old, &new, &compare(&old, &new, work)).0, new.concat());
            }
        }
    }
}
