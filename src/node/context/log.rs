//! Limits the lines about what others do: a peer, or a node without the key, must not fill the log of a router.

use std::time::Duration;

use crate::fs::Fs;
use crate::model::{Monotonic, NodeId, Now, limits};
use crate::node::api::Level;
use crate::node::context::Context;

/// The lines about one source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    /// Since when they are counted; `None` before the first.
    since: Option<Monotonic>,
    written: u32,
    left_out: u64,
}

/// Whether a line is written.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// It is, after this many that were not.
    After(u64),
    /// It is the first of those that are not.
    NoMore,
    /// It is not.
    Not,
}

impl Lines {
    fn count(&mut self, now: Monotonic, most: u32, time: Duration) -> Said {
        let mut before = 0;
        if self.since.is_none_or(|since| now.since(since) >= time) {
            before = self.left_out;
            *self = Lines { since: Some(now), written: 0, left_out: 0 };
        }
        if self.written < most {
            self.written += 1;
            return Said::After(before);
        }
        self.left_out += 1;
        if self.left_out == 1 { Said::NoMore } else { Said::Not }
    }

    fn is_over(&self, now: Monotonic) -> bool {
        self.left_out == 0 && self.since.is_none_or(|since| now.since(since) >= limits::LINES_TIME)
    }
}

impl<F: Fs> Context<F> {
    /// Writes a line about what a node does that is not accepted here; whether it was written.
    pub fn log_of_stranger(&mut self, now: Now, level: Level, text: String) -> bool {
        if level == Level::Debug {
            self.log(level, text);
            return true;
        }
        let said = self.stranger_lines.count(now.mono, limits::STRANGER_LINES, limits::LINES_TIME);
        self.log_said(said, "nodes that are not accepted", level, text)
    }

    /// Writes a line about what a peer does; whether it was written.
    pub fn log_of_peer(&mut self, now: Now, node: NodeId, level: Level, text: String) -> bool {
        if level == Level::Debug {
            self.log(level, text);
            return true;
        }
        if !self.peer_lines.contains_key(&node) && self.peer_lines.len() >= limits::LINES_PEERS {
            self.peer_lines.retain(|_, lines| !lines.is_over(now.mono));
            if self.peer_lines.len() >= limits::LINES_PEERS {
                return self.log_of_stranger(now, level, text);
            }
        }
        let lines = self.peer_lines.get_or_default(node);
        let said = lines.count(now.mono, limits::PEER_LINES, limits::LINES_TIME);
        let label = self.node_label(node);
        self.log_said(said, &label, level, text)
    }

    fn log_said(&mut self, said: Said, whose: &str, level: Level, text: String) -> bool {
        match said {
            Said::After(0) => {}
            Said::After(count) => self.log(Level::Warning, format!("{count} lines about {whose} were left out")),
            Said::NoMore => {
                let minutes = limits::LINES_TIME.as_secs() / 60;
                let text = format!("more lines about {whose} are left out for up to {minutes} minutes");
                self.log(Level::Warning, text);
                return false;
            }
            Said::Not => return false,
        }
        self.log(level, text);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_up_to_their_limit_and_the_rest_is_counted() {
        let mut lines = Lines::default();
        let minute = Duration::from_secs(60);
        let mut at = |ms| lines.count(Monotonic(ms), 2, minute);
        assert_eq!([at(5), at(6)], [Said::After(0), Said::After(0)]);
        assert_eq!([at(7), at(8), at(59_000)], [Said::NoMore, Said::Not, Said::Not]);
        assert_eq!([at(60_005), at(60_006), at(60_007)], [Said::After(3), Said::After(0), Said::NoMore]);
    }
}
