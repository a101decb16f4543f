//! Collects changed paths until they are quiet.

use crate::fs::scan::Hint;
use crate::model::settings::Settle;
use crate::model::{Map, Monotonic, RelPath, limits};

/// Changed paths, until they have settled.
#[derive(Default)]
pub(crate) struct Hints {
    paths: Map<RelPath, bool>,
    /// So much changed, or so little is known, that everything must be looked at.
    all: bool,
    first: Option<Monotonic>,
    last: Monotonic,
}

impl Hints {
    /// A path changed; `deep`: also what is below it.
    pub fn add(&mut self, now: Monotonic, hint: Hint) {
        self.touch(now);
        if self.all {
            return;
        }
        *self.paths.get_or_insert(hint.path, false) |= hint.deep;
        if self.paths.len() > limits::HINTS_MAX {
            self.all = true;
            self.paths.clear();
        }
    }

    /// Anything may have changed.
    pub fn add_all(&mut self, now: Monotonic) {
        self.touch(now);
        self.all = true;
        self.paths.clear();
    }

    fn touch(&mut self, now: Monotonic) {
        self.first.get_or_insert(now);
        self.last = now;
    }

    /// When they have settled; [`Monotonic::NEVER`] when there are none.
    pub fn due(&self, settle: Settle) -> Monotonic {
        match self.first {
            None => Monotonic::NEVER,
            Some(first) => self.last.plus(settle.quiet).min(first.plus(settle.most)),
        }
    }

    /// Takes what settled: `Some(None)` for everything.
    pub fn take(&mut self) -> Option<Option<Vec<Hint>>> {
        self.first.take()?;
        let paths = std::mem::take(&mut self.paths);
        let all = std::mem::take(&mut self.all);
        Some((!all).then(|| paths.into_iter().map(|(path, deep)| Hint { path, deep }).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn p(s: &str) -> RelPath {
        RelPath::parse(s.as_bytes()).unwrap()
    }

    /// F140: a quiet time above 2 s was cut without a word.
    #[test]
    fn changes_settle_but_not_for_ever() {
        let settle = Settle::default();
        let mut hints = Hints::default();
        assert_eq!(hints.due(settle), Monotonic::NEVER);
        hints.add(Monotonic(1000), Hint { path: p("a"), deep: false });
        hints.add(Monotonic(1150), Hint { path: p("a"), deep: true });
        assert_eq!(hints.due(settle), Monotonic(1350));
        for at in (1150..4000).step_by(100) {
            hints.add(Monotonic(at), Hint { path: p("b"), deep: false });
        }
        assert_eq!(hints.due(settle), Monotonic(3000));
        let slow = Settle { quiet: Duration::from_secs(60), most: Duration::from_secs(90) };
        assert_eq!(hints.due(slow), Monotonic(3950 + 60_000));
        assert_eq!(hints.due(Settle { most: Duration::from_secs(60), ..slow }), Monotonic(61_000));
        let taken = hints.take().unwrap().unwrap();
        assert_eq!(taken, [Hint { path: p("a"), deep: true }, Hint { path: p("b"), deep: false }]);
        assert!(hints.take().is_none());
    }

    #[test]
    fn too_many_hints_become_a_full_look() {
        let mut hints = Hints::default();
        for i in 0..=limits::HINTS_MAX {
            hints.add(Monotonic(0), Hint { path: p(&i.to_string()), deep: false });
        }
        assert_eq!(hints.take(), Some(None));
    }
}
