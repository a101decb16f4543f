//! Updates the metrics file whenever the daemon is awake.

use crate::daemon::shell::Shell;
use crate::node::api::Level;

impl Shell {
    pub(super) fn write_metrics(&mut self) {
        if self.p.progress.is_some() {
            // A process that ends has nothing to measure.
            return;
        }
        self.metrics.set_path(self.p.config.metrics_file.as_deref());
        let now = self.p.env.now();
        if !self.metrics.is_due(now.mono) {
            return;
        }
        let text = self.p.node.metrics(now);
        let most = self.p.node.settings().poll_interval;
        if let Some(trouble) = self.metrics.update(now.mono, text, most) {
            self.p.log.say(Level::Warning, trouble);
        }
    }
}
