//! Asking the administrator's programs what they think of what is about to land, and of what landed.

use std::time::Duration;

use crate::daemon::checks::{Checks, Verdict};
use crate::daemon::shell::Shell;
use crate::model::ShareName;
use crate::node::Candidate;

impl Shell {
    /// A batch must be looked at before it lands.
    pub(super) fn check(&mut self, share: &ShareName, check: u64, candidates: &[Candidate]) {
        let now = self.p.env.now();
        let settings = self.p.node.settings().share(share).cloned();
        for (path, job) in settings.iter().flat_map(|settings| Checks::files(settings, candidates)) {
            let started = self.runner.start(now.mono, job);
            self.checks.note_file(share, check, path, started);
        }
        if let Some(verdict) = self.checks.verdict(share, check) {
            self.tell_verdict(verdict);
        }
    }

    /// The machine must be looked at, because something is on trial.
    pub(super) fn probe(&mut self, share: ShareName, run: u64, time: Duration) {
        let now = self.p.env.now();
        let program = self.p.node.settings().share(&share).and_then(|settings| settings.probe.clone());
        let Some(program) = program else {
            return self.tell_verdict(Verdict::Machine { share, run, result: Ok(()) });
        };
        match self.runner.start(now.mono, Checks::machine(&share, &program, run, time)) {
            Ok(id) => self.checks.note_machine(share, run, id),
            Err(reason) => self.tell_verdict(Verdict::Machine { share, run, result: Err(reason) }),
        }
    }

    pub(super) fn tell_verdict(&mut self, verdict: Verdict) {
        let now = self.p.env.now();
        match verdict {
            Verdict::Batch { share, check, refused } => self.p.node.handle_checked(now, &share, check, &refused),
            Verdict::Machine { share, run, result } => self.p.node.handle_probed(now, &share, run, result),
        }
    }
}
