//! Runs the checks of batches before they are applied, and of the machine afterwards.

use std::time::Duration;

use crate::daemon::checks::{Checks, Verdict};
use crate::daemon::env;
use crate::daemon::hooks::{Call, Whose};
use crate::daemon::runner::Job;
use crate::daemon::shell::Shell;
use crate::daemon::uncommitted::Holder;
use crate::model::{Map, RelPath, ShareName, limits};
use crate::node::Candidate;
use crate::node::api::{Level, Tree};

impl Shell {
    /// A batch must be checked before it is applied.
    pub(super) fn check(&mut self, share: &ShareName, check: u64, candidates: &[Candidate], event: &'static str) {
        let now = self.p.env.now();
        let settings = self.p.node.settings().share(share).cloned();
        for (path, job) in settings.iter().flat_map(|settings| Checks::files(settings, candidates)) {
            let started = self.runner.start(now.mono, job);
            self.checks.note_file(share, check, path, started);
        }
        let now = self.p.env.now();
        let paths: Vec<RelPath> = candidates.iter().map(|candidate| candidate.path.clone()).collect();
        let some = || paths.iter().take(limits::OWED_TOLD).map(|path| Tree::Text(path.to_text()));
        let details = Tree::map()
            .with("share", share.to_string())
            .with("files", paths.len())
            .with("paths", some().collect::<Vec<Tree>>())
            .with("changes", candidates.iter().take(limits::OWED_TOLD).map(change_tree).collect::<Vec<Tree>>());
        let text = format!("{share}: {} files are about to change", paths.len());
        let call = Call { event, share: Some(share.clone()), at: now.wall, text, details };
        for job in self.hook_jobs(share, &call) {
            match self.runner.start(now.mono, job) {
                Ok(id) => self.checks.note_hook(share, check, paths.clone(), id),
                Err(reason) => self.p.log.say(Level::Error, reason),
            }
        }
        if let Some(verdict) = self.checks.verdict(share, check) {
            self.tell_verdict(verdict);
        }
    }

    /// Hooks run before changes of a share are sent. The changes are sent when they have ended, whatever their result.
    pub(super) fn tell_before_send(&mut self, share: &ShareName, paths: &[RelPath], count: usize) {
        let now = self.p.env.now();
        let details = Tree::map()
            .with("share", share.to_string())
            .with("files", count)
            .with("paths", paths.iter().map(|path| Tree::Text(path.to_text())).collect::<Vec<Tree>>());
        let text = format!("{share}: {count} files changed here and are about to be sent");
        let call = Call { event: "before-send", share: Some(share.clone()), at: now.wall, text, details };
        for job in self.hook_jobs(share, &call) {
            match self.runner.start(now.mono, job) {
                Ok(id) => self.checks.note_sending(share, id),
                Err(reason) => self.p.log.say(Level::Error, reason),
            }
        }
        if self.checks.may_send(share) {
            self.tell_verdict(Verdict::Told { share: share.clone() });
        }
    }

    /// Packages are about to be replaced: uncommitted changes may refer to their sections by number.
    pub(super) fn answer_uncommitted(&mut self, share: &ShareName, question: u64, paths: &[RelPath]) {
        let dirs = env::uci_dirs();
        let settings = self.p.node.settings().share(share).cloned();
        let holder = settings.and_then(|settings| Holder::new(&dirs, &settings, self.p.config.filter(&settings)));
        let answer = match holder.map(|holder| holder.references(&dirs, paths)) {
            Some(Ok(answer)) => answer,
            // Status reports that too. A user who may not read them could otherwise never apply anything.
            Some(Err(error)) => {
                self.p.log.say(Level::Debug, format!("cannot check for uncommitted changes: {error}"));
                Map::new()
            }
            None => Map::new(),
        };
        self.p.node.handle_uncommitted(self.p.env.now(), share, question, &answer);
    }

    fn hook_jobs(&self, share: &ShareName, call: &Call) -> Vec<Job> {
        let settings = self.p.node.settings();
        [Whose::Share(share.clone()), Whose::Node].iter().filter_map(|whose| call.job(settings, whose)).collect()
    }

    /// The machine must be checked, because a change awaits confirmation.
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
            Verdict::Told { share } => self.p.node.handle_before_send(now, &share),
            Verdict::Machine { share, run, result } => self.p.node.handle_probed(now, &share, run, result),
        }
    }
}

/// What a hook gets about one path that is about to change.
fn change_tree(candidate: &Candidate) -> Tree {
    let tree = Tree::map().with("path", candidate.path.to_text()).with("kind", candidate.kind.word());
    tree.with("size", candidate.size).with_some("staged", candidate.staged.as_ref().map(RelPath::to_text))
}
