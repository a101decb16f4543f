//! Telling the administrator's programs what happens.

use crate::daemon::hooks::Call;
use crate::daemon::shell::Shell;
use crate::node::api::{Event, Level};

impl Shell {
    /// Something happened that hooks may want to hear of.
    pub(super) fn tell_hooks(&mut self, event: &Event) {
        // What happens at the end is not told: whoever was started now would be killed at once.
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
