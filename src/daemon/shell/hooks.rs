//! Runs hooks on events of the node.

use crate::daemon::hooks::Call;
use crate::daemon::shell::Shell;
use crate::node::api::{Event, Level};

impl Shell {
    /// An event that hooks may get.
    pub(super) fn tell_hooks(&mut self, event: &Event) {
        // Events at the end are not passed on: a hook that was started now would be killed at once.
        let Some(call) = Call::of(event).filter(|_| self.exit.is_none()) else { return };
        for line in self.hooks.note(self.p.node.settings(), call) {
            self.p.log.say(Level::Warning, line);
        }
        self.start_hooks();
    }

    /// Starts what may run by now.
    pub(super) fn start_hooks(&mut self) {
        while let Some((whose, job, line)) = self.hooks.next(self.p.node.settings()) {
            line.into_iter().for_each(|line| self.p.log.say(Level::Warning, line));
            match self.runner.start(self.p.env.now().mono, job) {
                Ok(id) => self.hooks.note_started(id, whose),
                Err(reason) => self.p.log.say(Level::Error, reason),
            }
        }
    }
}
