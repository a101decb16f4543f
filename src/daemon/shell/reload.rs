//! Reading the configuration again, without ending what it does not touch.

use crate::config::{Config, uci};
use crate::daemon::joining;
use crate::daemon::listener::{Listener, Where};
use crate::daemon::place::Place;
use crate::daemon::shell::Shell;
use crate::daemon::start;
use crate::model::ShareName;
use crate::node::api::{Fault, Level, Reply, Tree};

impl Shell {
    /// Reads the configuration again. What is wrong with it changes nothing.
    pub(super) fn reload(&mut self) -> Reply {
        let Some(reread) = &self.p.reread else {
            return Reply::failed(
                Fault::State,
                "owsync was started with options only: there is no configuration to read",
            );
        };
        let outcome = reread();
        for warning in &outcome.warnings {
            self.p.log.say(Level::Warning, format!("configuration: {warning}"));
        }
        let config = match outcome.result {
            Ok(config) => config,
            Err(errors) => {
                self.config_errors = errors.iter().map(ToString::to_string).collect();
                for error in &self.config_errors {
                    self.p.log.say(Level::Error, format!("configuration: {error}"));
                }
                self.p.log.say(Level::Error, "the configuration has errors: the previous one stays in force");
                return Reply::failed(Fault::Argument, self.config_errors.join("; "));
            }
        };
        match self.adopt(config) {
            Ok(()) => {
                self.config_errors.clear();
                self.p.log.say(Level::Notice, "the configuration was read again");
                Reply::Done(Tree::map().with("reloaded", true))
            }
            Err(reason) => {
                self.p.log.say(Level::Error, format!("configuration: {reason}"));
                self.config_errors = vec![reason.clone()];
                Reply::failed(Fault::System, reason)
            }
        }
    }

    pub(super) fn adopt(&mut self, mut config: Config) -> Result<(), String> {
        let now = self.p.env.now();
        let place = Place::new(&config.database);
        if place != self.p.place {
            return Err(format!("database: the new path ({}) needs a restart of owsync", place.database().display()));
        }
        let mode = start::mode(&place, &config)?;
        if config.idle_because().is_none() {
            config.settings.reachable = joining::reported(&config);
        }
        self.p.log.set_level(config.log_level);
        self.p.node.set_verbose(self.p.log.wants(Level::Debug));
        if config.idle_because().is_some() {
            self.p.listener = None;
        } else if self.p.listener.as_ref().is_none_or(|listener| !listener.is_at(&Where::of(&config), config.port)) {
            // The old sockets go first: the new ones may overlap them.
            self.p.listener = None;
            self.p.listener = Some(Listener::new(now.mono, Where::of(&config), config.port));
            self.report_listener();
        }
        let reserved = config.reserved.iter().cloned().collect();
        let settings = config.settings.clone();
        self.p.config = config;
        self.p.node.reconfigure(now, settings, mode, reserved);
        if let Some(watcher) = &mut self.p.watcher {
            let known: Vec<ShareName> = self.p.node.settings().shares.iter().map(|share| share.name.clone()).collect();
            watcher.keep_only(&known);
        }
        self.p.ubus.iter_mut().for_each(|ubus| ubus.look_again(now.mono));
        self.ask_for_networks();
        Ok(())
    }

    /// This node's own UCI package was committed. What procd does for it (the firewall's rule, the announcement, the files it
    /// watches) is in the init script, which procd runs again once it hears of it: `uci commit` alone does not tell it.
    pub(super) fn handle_own_package(&mut self) {
        // No client waits for the answer; the log has it.
        if matches!(self.reload(), Reply::Done(_)) && self.p.ubus.is_some() {
            self.tell_procd(uci::package_name().as_str());
        }
    }
}
