//! Renders the daemon's answers as text for users.
//!
//! Everything here is a function of the answer and a [`Look`]: no clock, no terminal. Names and messages are the
//! daemon's, which escapes what it got from elsewhere; [`lines`] hides what would still reach a terminal.

pub mod acts;
pub mod history;
pub mod local;
pub mod node;
pub mod preview;
pub mod status;

use crate::model::{escape, time};
use crate::node::api::Tree;

use std::time::Duration;

use super::zone::Zone;

/// How an answer is to look.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// This second.
    pub now: i64,
    /// Where the reader is.
    pub zone: Zone,
    /// Whole lists.
    pub verbose: bool,
    /// Only what was asked, or nothing.
    pub quiet: bool,
    /// The reader is a terminal.
    pub colour: bool,
}

impl Look {
    /// A moment: the time of day, with its date unless that is today's.
    pub fn moment(&self, at: i64) -> String {
        let (today, _) = self.zone.date_and_time(self.now);
        let (date, time) = self.zone.date_and_time(at);
        if date == today { time } else { format!("{date} {}", time.get(..5).unwrap_or(&time)) }
    }

    /// How long ago a moment was.
    pub fn ago(&self, at: i64) -> String {
        time::short(Duration::from_secs(u64::try_from(self.now.saturating_sub(at)).unwrap_or(0)))
    }

    /// A moment and how long ago it was: `14:02:10 (3 h)`.
    pub fn since(&self, at: i64) -> String {
        format!("{} ({})", self.moment(at), self.ago(at))
    }
}

/// Access to an answer's fields. What is absent, or of another form than expected, is empty: the answer may come from
/// another version of owsync.
pub trait Fields {
    /// A text.
    fn text(&self, key: &str) -> &str;
    /// A number.
    fn number(&self, key: &str) -> Option<i64>;
    /// Whether something is said to be so.
    fn flag(&self, key: &str) -> bool;
    /// A list.
    fn list(&self, key: &str) -> &[Tree];
}

impl Fields for Tree {
    fn text(&self, key: &str) -> &str {
        match self.get(key) {
            Some(Tree::Text(text)) => text,
            _ => "",
        }
    }

    fn number(&self, key: &str) -> Option<i64> {
        match self.get(key) {
            Some(Tree::Int(number)) => Some(*number),
            _ => None,
        }
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key) == Some(&Tree::Bool(true))
    }

    fn list(&self, key: &str) -> &[Tree] {
        match self.get(key) {
            Some(Tree::List(list)) => list,
            _ => &[],
        }
    }
}

/// A list's item, where it is a text.
pub fn said(item: &Tree) -> Option<&str> {
    match item {
        Tree::Text(text) => Some(text),
        _ => None,
    }
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// Its cells.
    Cells(Vec<String>),
    /// A remark on the row above.
    Note(String),
}

/// A table with aligned columns; a remark stands indented below its row. Empty columns are left out.
pub fn table(headings: &[&str], rows: &[Row]) -> String {
    let cell = |row: &Row, column: usize| match row {
        Row::Cells(cells) => cells.get(column).cloned().unwrap_or_default(),
        Row::Note(_) => String::new(),
    };
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0))
        .collect();
    let line = |cells: Vec<String>| {
        let mut line = String::new();
        for (column, text) in cells.into_iter().enumerate().filter(|(column, _)| widths[*column] > 0) {
            let width = widths[column].max(headings[column].chars().count()) + 2;
            line.push_str(&format!("{text:width$}"));
        }
        line.trim_end().to_string() + "\n"
    };
    let mut text = line(headings.iter().map(|heading| heading.to_string()).collect());
    for row in rows {
        match row {
            Row::Cells(_) => text.push_str(&line((0..headings.len()).map(|column| cell(row, column)).collect())),
            Row::Note(note) => text.push_str(&format!("    {note}\n")),
        }
    }
    text
}

/// Lines as they may go to a terminal.
pub fn lines(text: &str) -> String {
    text.split('\n').map(escape::visible).collect::<Vec<_>>().join("\n")
}

/// A number of bytes, for output.
pub fn size(bytes: u64) -> String {
    let mut value = bytes;
    let mut rest = 0;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024 || unit == "GiB" {
            return if value < 10 && unit != "B" {
                format!("{value}.{} {unit}", rest * 10 / 1024)
            } else {
                format!("{value} {unit}")
            };
        }
        (value, rest) = (value / 1024, value % 1024);
    }
    unreachable!("the largest unit takes everything")
}

/// `1 path`, `2 paths`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_empty_ones_go() {
        let rows = [
            Row::Cells(vec!["r2".into(), "".into(), "in sync".into()]),
            Row::Note("a remark that is much longer than any column".into()),
            Row::Cells(vec!["r\u{e9}sidence".into(), "".into(), "x".into()]),
        ];
        assert_eq!(
            table(&["PEER", "EMPTY", "STATE"], &rows),
            "PEER       STATE\nr2         in sync\n    a remark that is much longer than any column\nr\u{e9}sidence  x\n"
        );
    }

    #[test]
    fn sizes_and_times_are_for_people() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (10_240, "10 KiB"), (1 << 40, "1024 GiB")]
        {
            assert_eq!(size(bytes), text);
        }
        let look = Look { now: 1_795_162_530, ..Look::default() };
        assert_eq!(look.since(1_795_162_500), "08:15:00 (30 s)");
        assert_eq!(look.since(1_795_062_530), "2026-11-19 04:28 (27 h)");
    }

    #[test]
    fn nothing_that_moves_a_cursor_is_printed() {
        assert_eq!(lines("a\n\u{1b}[2Jb\n"), "a\n\\x1b[2Jb\n");
    }
}
