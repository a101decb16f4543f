//! Notifies services of applied changes, and records the results.

use crate::daemon::inforce::Action;
use crate::daemon::runner::Ended;
use crate::daemon::shell::Shell;
use crate::model::settings::ShareSettings;
use crate::model::{RelPath, ShareName};
use crate::node::api::Level;

impl Shell {
    /// These paths were applied and recorded.
    pub(super) fn handle_landed(&mut self, share: &ShareName, paths: &[RelPath]) {
        let Some(settings) = self.p.node.settings().share(share).cloned() else { return };
        self.put_in_force(&settings, paths);
        self.note_in_force(share);
    }

    fn put_in_force(&mut self, settings: &ShareSettings, paths: &[RelPath]) {
        for action in self.in_force.landed(settings, paths) {
            let now = self.p.env.now();
            match action {
                Action::Package(package) => self.tell_procd(package.as_str()),
                Action::Run(share, job) => {
                    let started = self.runner.start(now.mono, job);
                    if let Err(reason) = &started {
                        self.p.log.say(Level::Error, reason.clone());
                    }
                    self.in_force.note_started(now.wall, share, started);
                }
            }
        }
    }

    /// Nothing that was started for this share runs any more: the applied changes are in force.
    fn note_in_force(&mut self, share: &ShareName) {
        if self.in_force.is_idle(share) {
            let now = self.p.env.now();
            self.p.node.handle_in_force(now, share);
        }
    }

    /// A path changed here, so its package has new content.
    pub(super) fn learn_changed(&mut self, share: &ShareName, path: &RelPath) {
        if let Some(settings) = self.p.node.settings().share(share).cloned() {
            self.in_force.learn_path(&settings, path);
        }
    }

    pub(super) fn handle_children(&mut self) {
        let now = self.p.env.now();
        for ended in self.runner.handle_children(now.mono) {
            if let Some(is_hook) = self.checks.is_hook(ended.id) {
                // The output of a check becomes the reason of the refusal; that of a hook is logged too.
                if is_hook {
                    self.report(&ended);
                }
                let verdict = self.checks.ended(&ended);
                verdict.into_iter().for_each(|verdict| self.tell_verdict(verdict));
                continue;
            }
            self.report(&ended);
            if let Some((share, again)) = self.in_force.ended(&ended) {
                if !again.is_empty() {
                    self.handle_landed(&share, &again);
                }
                self.note_in_force(&share);
            }
            if self.hooks.note_ended(ended.id) {
                self.start_hooks();
            }
        }
    }

    fn report(&self, ended: &Ended) {
        for line in ended.output.lines() {
            self.p.log.say(Level::Notice, format!("{}: {line}", ended.what));
        }
        match &ended.result {
            Ok(()) => self.p.log.say(Level::Debug, format!("{}: done", ended.what)),
            Err(reason) => self.p.log.say(Level::Error, format!("{}: {reason}", ended.what)),
        }
    }
}
