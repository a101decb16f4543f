//! The command `connect`: one exchange with one peer, for a user or a script.
//!
//! It asks the node for a `sync` with the peer, shows the progress where there is a terminal, asks again while
//! something changes, and ends when both sides have applied everything, or when nothing changes any more.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::daemon::log::Log;
use crate::fs::Fs;
use crate::model::settings::Address;
use crate::model::{Monotonic, time};
use crate::node::Node;
use crate::node::api::{Command, Counters, Level, LogLine, Reply, Tree, record};
use crate::node::summary::{NotSynced, Summary};

/// How often a terminal's line is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// How often an exchange may end without anything having moved since the last time, before it is given up.
const STANDSTILLS: u32 = 2;

/// Paths of one kind that a summary names; the rest is counted.
const NAMED: usize = 20;

/// The state of a `connect`.
pub struct Progress {
    to: String,
    quiet: bool,
    /// Lines are drawn over each other.
    terminal: bool,
    started: Monotonic,
    /// The summary was printed.
    over: bool,
    next: Monotonic,
    drawn: bool,
    last: Counters,
    standstills: u32,
}

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ask again: something moves.
    GoOn,
    /// It is over, with this exit code.
    Over(u8),
}

impl Progress {
    /// Nothing has happened yet.
    pub fn new(now: Monotonic, to: &Address, quiet: bool) -> Progress {
        Progress {
            to: to.to_string(),
            quiet,
            terminal: !quiet && std::io::stderr().is_terminal(),
            started: now,
            over: false,
            next: Monotonic(0),
            drawn: false,
            last: Counters::default(),
            standstills: 0,
        }
    }

    /// What the node is asked.
    pub fn command(&self) -> Command {
        Command::Sync { peer: None, share: None, dry_run: false, wait: true }
    }

    /// Whether a line of the node's log is for the waiting user: the summary contains what notices say.
    pub fn lets_through(&mut self, line: &LogLine) -> bool {
        if line.level <= Level::Warning {
            self.wipe();
        }
        line.level != Level::Notice && !self.over
    }

    /// When [`Progress::handle_timeout`] has something to draw.
    pub fn poll_timeout(&self) -> Monotonic {
        if self.terminal { self.next } else { Monotonic::NEVER }
    }

    /// Draws how far it is.
    pub fn handle_timeout<F: Fs>(&mut self, now: Monotonic, node: &Node<F>) {
        if !self.terminal || self.next > now {
            return;
        }
        self.next = now.plus(REDRAW);
        let counters = node.counters();
        let bytes = counters.received + counters.supplied;
        let ms = now.since(self.started).as_millis().max(1);
        let rate = u64::try_from(u128::from(bytes) * 1000 / ms).unwrap_or(u64::MAX);
        self.drawn = true;
        let line = format!("\r{}: {} files, {}, {}/s\x1b[K", self.to, counters.landed, size(bytes), size(rate));
        // A terminal that is gone is no reason to stop.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    /// Removes the drawn line, so that what follows stands alone.
    fn wipe(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }

    /// What an answer means.
    pub fn judge<F: Fs>(&mut self, log: &Log, now: Monotonic, node: &Node<F>, reply: &Reply) -> Verdict {
        let tree = match reply {
            Reply::Failed { message, .. } => {
                self.wipe();
                log.say(Level::Error, message.clone());
                return Verdict::Over(1);
            }
            Reply::Done(tree) => tree,
        };
        let in_sync = tree.get("in_sync") == Some(&Tree::Bool(true));
        let counters = *node.counters();
        if !in_sync && tree.get("moving") == Some(&Tree::Bool(true)) {
            self.standstills = if counters == self.last { self.standstills + 1 } else { 0 };
            self.last = counters;
            if self.standstills < STANDSTILLS {
                return Verdict::GoOn;
            }
        }
        self.wipe();
        self.over = true;
        let summary = node.summary();
        self.report(log, &summary);
        if !in_sync {
            for missing in texts(tree, "missing") {
                log.say(Level::Error, format!("not in sync: {missing}"));
            }
        }
        if !self.quiet {
            let took = now.since(self.started);
            let except: String = texts(tree, "exceptions").iter().map(|clause| format!("; {clause}")).collect();
            log.say(Level::Notice, self.sentence(&summary, in_sync, took) + &except);
        }
        Verdict::Over(if in_sync { 0 } else { 1 })
    }

    /// Names the paths that were not synced.
    fn report(&self, log: &Log, summary: &Summary) {
        for (list, level) in [(&summary.skipped, Level::Notice), (&summary.failed, Level::Error)] {
            for NotSynced { share, path, message } in list.iter().take(NAMED) {
                log.say(level, format!("{share}:{}: {message}", path.to_text()));
            }
            if list.len() > NAMED {
                log.say(level, format!("and {} more paths", list.len() - NAMED));
            }
        }
    }

    fn sentence(&self, summary: &Summary, done: bool, took: Duration) -> String {
        let moved = format!(
            "received {} ({}), sent {} ({}), deleted {} here, in {}",
            files(summary.received_files),
            size(summary.received_bytes),
            files(summary.supplied_files),
            size(summary.supplied_bytes),
            summary.deleted,
            time::brief(took),
        );
        if done {
            format!("in sync with {}: {moved}", self.to)
        } else {
            format!("not in sync with {}: {moved}", self.to)
        }
    }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".into() } else { format!("{count} files") }
}

fn texts(tree: &Tree, key: &str) -> Vec<String> {
    record::take(tree, key)
}

/// `17 B`, `3.4 KiB`, `12 MiB`: for output.
pub fn size(bytes: u64) -> String {
    let mut unit = "B";
    let mut tenths = bytes.saturating_mul(10);
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    if unit == "B" || tenths >= 100 {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (3482, "3.4 KiB"),
            (12 << 20, "12 MiB"),
            (5 << 30, "5.0 GiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }
}
