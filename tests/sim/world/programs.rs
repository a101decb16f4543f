//! Programs of a machine's administrator, which the node asks what they think.

use std::collections::BTreeMap;
use std::rc::Rc;

use owsync::model::{Map, RelPath, ShareName};
use owsync::node::{Candidate, References};

use super::{Happening, MachineId, World};

/// Whether a text is refused.
pub type Refuses = Rc<dyn Fn(&str) -> bool>;

/// What a machine's programs say.
#[derive(Default)]
pub struct Programs {
    /// `validate` refuses a file in which this stands, with these words.
    pub dislikes: Option<(&'static str, &'static str)>,
    /// `validate` refuses a file of which this is true.
    pub refuses: Option<Refuses>,
    /// `probe` fails.
    pub is_broken: bool,
    /// They never end.
    pub hang: bool,
    /// How many ms they take; otherwise at most two seconds.
    pub takes: Option<u64>,
    /// What `validate` was shown.
    pub shown: Vec<String>,
    /// What a hook was told before it left.
    pub told: Vec<String>,
    /// Sections that uncommitted changes of a package refer to by number.
    pub uncommitted: BTreeMap<String, Vec<String>>,
    /// How often that was asked.
    pub asked: u32,
}

impl World {
    /// `validate` looks at a check, and says what it thinks a while later.
    pub(super) fn validate(&mut self, id: MachineId, share: ShareName, check: u64, candidates: &[Candidate]) {
        let dislikes = self.machines[id].programs.dislikes;
        let refuses = self.machines[id].programs.refuses.clone();
        let mut refused = Vec::new();
        for candidate in candidates {
            let Some(staged) = &candidate.staged else { continue };
            // A disk that fails shows it nothing.
            let there = self.user(id).exists();
            let Some(content) = there.then(|| self.read(id, &staged.to_text())).flatten() else { continue };
            self.machines[id].programs.shown.push(content.clone());
            if let Some((_, words)) = dislikes.filter(|(bad, _)| content.contains(bad)) {
                refused.push((candidate.path.clone(), words.to_string()));
            } else if refuses.as_ref().is_some_and(|refuses| refuses(&content)) {
                refused.push((candidate.path.clone(), "refused".to_string()));
            }
        }
        self.answer(id, Answer::Checked(share, check, refused));
    }

    /// Answers which sections uncommitted changes refer to by number.
    pub(super) fn name_uncommitted(&mut self, id: MachineId, share: ShareName, question: u64, paths: &[RelPath]) {
        let programs = &mut self.machines[id].programs;
        programs.asked += 1;
        let of = |path: &RelPath| {
            let names = programs.uncommitted.get(&path.to_text())?.iter().cloned().collect();
            Some((path.clone(), References { names, in_luci: false }))
        };
        let answer = Answer::Uncommitted(share, question, paths.iter().filter_map(of).collect());
        let (at, started) = (self.now_ms + 1, self.machines[id].started_ms);
        self.schedule(at, Happening::Ended(id, started, answer));
    }

    /// A hook is told what is about to leave.
    pub(super) fn hear_before_send(&mut self, id: MachineId, share: ShareName, paths: &[RelPath]) {
        self.machines[id].programs.told.extend(paths.iter().map(RelPath::to_text));
        self.answer(id, Answer::Told(share));
    }

    /// `probe` looks at the machine.
    pub(super) fn probe(&mut self, id: MachineId, share: ShareName, run: u64) {
        let result = if self.machines[id].programs.is_broken { Err("no route".to_string()) } else { Ok(()) };
        self.answer(id, Answer::Probed(share, run, result));
    }

    fn answer(&mut self, id: MachineId, answer: Answer) {
        if self.machines[id].programs.hang {
            return;
        }
        let at = self.now_ms + self.machines[id].programs.takes.unwrap_or_else(|| 1 + self.dice.below(2_000));
        let started = self.machines[id].started_ms;
        self.schedule(at, Happening::Ended(id, started, answer));
    }

    /// A program has ended, unless its daemon did before it.
    pub(super) fn hear_program(&mut self, id: MachineId, started: u64, answer: Answer) {
        if self.machines[id].started_ms != started {
            return;
        }
        self.with(id, |node, now| match answer {
            Answer::Checked(share, check, refused) => node.handle_checked(now, &share, check, &refused),
            Answer::Told(share) => node.handle_before_send(now, &share),
            Answer::Uncommitted(share, question, answer) => node.handle_uncommitted(now, &share, question, &answer),
            Answer::Probed(share, run, result) => node.handle_probed(now, &share, run, result),
        });
    }
}

/// What a program says.
#[derive(Debug)]
pub(super) enum Answer {
    Checked(ShareName, u64, Vec<(RelPath, String)>),
    Probed(ShareName, u64, Result<(), String>),
    Told(ShareName),
    Uncommitted(ShareName, u64, Map<RelPath, References>),
}
