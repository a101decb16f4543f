//! Logs the start of a daemon.

use crate::daemon::Role;
use crate::daemon::listener::Listener;
use crate::daemon::shell::Shell;
use crate::node::api::Level;

impl Shell {
    /// Logs what runs, and which faults there are.
    pub(super) fn begin(&mut self) {
        self.p.node.set_verbose(self.p.log.wants(Level::Debug));
        let listening = match &self.p.listener {
            Some(listener) if listener.is_waiting() => "not listening yet".to_string(),
            Some(listener) => match listener.trouble() {
                Some(trouble) => {
                    self.p.log.say(Level::Error, format!("{trouble}; retrying every 5 s"));
                    "not listening yet".to_string()
                }
                None => format!("listening on {}", addresses(listener)),
            },
            None => "not listening".into(),
        };
        if let Some(problem) = self.p.config.idle_because() {
            self.p.log.say(Level::Error, format!("{problem}; nothing is exchanged until this is fixed"));
        }
        let settings = self.p.node.settings();
        if settings.plain_mode && !matches!(self.p.role, Role::Connect { .. }) {
            let who = if settings.plain_from_anywhere {
                "every machine that reaches the port may exchange"
            } else {
                "only the configured addresses may exchange"
            };
            self.p.log.say(Level::Warning, format!("plain mode: nothing is encrypted or authenticated; {who}"));
        }
        if self.p.progress.is_none() {
            let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
            let (shares, peers) = (count(settings.shares.len(), "share"), count(settings.peers.len(), "peer"));
            let (name, version) = (&settings.name, env!("CARGO_PKG_VERSION"));
            let text = format!("owsync {version} started as {name}: {shares}, {peers}, {listening}");
            self.p.log.say(Level::Notice, text);
        }
        self.ask_for_progress();
    }

    /// Logs whether peers can connect.
    pub(super) fn report_listener(&self) {
        let Some(listener) = &self.p.listener else { return };
        match listener.trouble() {
            Some(trouble) => self.p.log.say(Level::Error, format!("{trouble}; retrying every 5 s")),
            None => self.p.log.say(Level::Notice, format!("listening on {}", addresses(listener))),
        }
    }
}

fn addresses(listener: &Listener) -> String {
    listener.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
