//! What changes in the shares' directories, and which of them are watched.

use crate::daemon::shell::Shell;
use crate::daemon::watcher::{Seen, Watcher};
use crate::model::{Now, ShareName};
use crate::node::api::Level;

impl Shell {
    pub(super) fn handle_watch(&mut self, now: Now) {
        let seen = self.p.watcher.as_mut().map(Watcher::read).unwrap_or_default();
        for seen in seen {
            match seen {
                Seen::Hint(share, hint) => {
                    self.learn_changed(&share, &hint.path);
                    self.p.node.handle_change(now, &share, Some(hint));
                }
                Seen::Anything(share) => self.p.node.handle_change(now, &share, None),
                Seen::Partly(share) => self.note_watched(&share, false),
            }
        }
    }

    pub(super) fn watch(&mut self, share: &ShareName) {
        let settings = self.p.node.settings().share(share).cloned();
        settings.iter().for_each(|settings| self.in_force.learn(settings));
        self.withhold_in(share);
        let (Some(watcher), Some(settings)) = (&mut self.p.watcher, settings) else { return };
        let watched = watcher.watch_share(share, &settings.dir, &self.p.config.filter(&settings));
        self.note_watched(share, watched);
    }

    fn note_watched(&mut self, share: &ShareName, watched: bool) {
        if !watched {
            let text = format!(
                "share {share}: inotify does not watch all of it; it is scanned every {} s",
                self.p.node.settings().poll_interval.as_secs()
            );
            self.p.log.say(Level::Warning, text);
        }
        self.p.node.handle_watched(share, watched);
    }
}
