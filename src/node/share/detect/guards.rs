//! Guards what a scan found before it is recorded, and remembers what the user answered.

use std::collections::VecDeque;

use crate::model::reason::Hold;
use crate::model::{Digest, Map, Monotonic, RelPath, Set, limits};
use crate::node::share::detect::sections::LostSections;

/// The guards of a share, and what the user answered to them.
#[derive(Default)]
pub(crate) struct Guards {
    /// The user's answer to the hold of this share, until the next scan.
    pub answer: Option<Answer>,
    /// Which paths the hold of this share concerns, and how; `None` before the first scan of this process.
    pub held_content: Option<Digest>,
    /// Paths that are held, as far as they still sleep for it.
    pub held_paths: Set<RelPath>,
    /// UCI packages that are held because they lost sections: what was found.
    pub lost_sections: Map<RelPath, LostSections>,
    /// Contents of such packages that the user lets pass.
    pub let_through: Map<RelPath, Digest>,
    pub deletions: Deletions,
    pub flaps: Flaps,
}

/// What the user answered to a hold.
///
/// An answer belongs to what the user was shown. It ends when the hold gets another reason, or concerns other paths: then
/// the user is asked again.
pub(crate) struct Answer {
    /// The hold that was shown.
    hold: Hold,
    /// What it concerned, if that was known.
    content: Option<Digest>,
    /// The peers' state is taken; otherwise what differs here becomes this node's edits.
    pub rejects: bool,
}

impl Answer {
    /// An answer to this hold.
    pub fn new(hold: Hold, content: Option<Digest>, rejects: bool) -> Answer {
        Answer { hold, content, rejects }
    }

    /// Whether it answers a hold as a scan has just found it.
    pub fn covers(&self, hold: &Hold, content: Digest) -> bool {
        match self.content {
            Some(answered) => self.hold.code() == hold.code() && answered == content,
            // After a restart only the reason and its numbers are known.
            None => self.hold == *hold,
        }
    }
}

/// Deletions recorded lately, and when.
#[derive(Default)]
pub(crate) struct Deletions(VecDeque<(Monotonic, u64)>);

impl Deletions {
    /// Files deleted within the guard's time.
    pub fn lately(&mut self, now: Monotonic) -> u64 {
        while self.0.front().is_some_and(|&(at, _)| now.since(at) >= limits::DELETE_GUARD_TIME) {
            self.0.pop_front();
        }
        self.0.iter().map(|&(_, count)| count).sum()
    }

    /// Notes deletions for the guard.
    pub fn note(&mut self, now: Monotonic, count: u64) {
        if count > 0 {
            self.0.push_back((now, count));
        }
        if self.0.len() > limits::FLAP_PATHS {
            // Sums are kept, only their times become coarser, to the safe side.
            let (_, first) = self.0.pop_front().unwrap_or((now, 0));
            if let Some((_, next)) = self.0.front_mut() {
                *next += first;
            }
        }
    }
}

/// Counts paths that change here and at a peer in turn.
///
/// Two programs that each rewrite what the other wrote would otherwise go on for ever, wearing out flash on every node.
/// Changes of one side alone do not count: a file that is written every second is a busy file, not a quarrel.
#[derive(Default)]
pub(crate) struct Flaps(Map<RelPath, Flap>);

struct Flap {
    since: Monotonic,
    turns: u32,
    here: bool,
}

impl Flaps {
    /// Notes a change of `path`, made here or landed from a peer; whether it now flaps.
    pub fn note(&mut self, now: Monotonic, path: &RelPath, here: bool) -> bool {
        if let Some(flap) = self.0.get_mut(path) {
            if now.since(flap.since) < limits::FLAP_TIME {
                flap.turns += u32::from(flap.here != here);
                flap.here = here;
                return flap.turns >= limits::FLAP_CHANGES;
            }
        }
        if self.0.len() >= limits::FLAP_PATHS {
            self.0.retain(|_, flap| now.since(flap.since) < limits::FLAP_TIME);
            if self.0.len() >= limits::FLAP_PATHS {
                return false;
            }
        }
        self.0.insert(path.clone(), Flap { since: now, turns: 1, here });
        false
    }

    /// A person let the path go on.
    pub fn approve_held(&mut self, path: &RelPath) {
        self.0.remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(s: &str) -> RelPath {
        RelPath::parse(s.as_bytes()).unwrap()
    }

    #[test]
    fn a_busy_file_is_no_quarrel_and_a_quarrel_is_stopped() {
        let mut flaps = Flaps::default();
        for at in 0..50 {
            assert!(!flaps.note(Monotonic(at * 1000), &p("log"), true));
        }
        let held =
            (0..20).map(|turn| flaps.note(Monotonic(turn * 1000), &p("dhcp"), turn % 2 == 0)).position(|held| held);
        assert_eq!(held, Some(9));
        // The same turns, slowly, are two people at work.
        let mut flaps = Flaps::default();
        assert!(!(0..40).any(|turn| flaps.note(Monotonic(turn * 10_000), &p("dhcp"), turn % 2 == 0)));
    }
}
