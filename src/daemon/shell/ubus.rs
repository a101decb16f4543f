//! What ubus asks of this node, and what this node asks of others on it.

use std::time::Duration;

use crate::daemon::inforce;
use crate::daemon::shell::{Asker, Shell};
use crate::daemon::ubus::News;
use crate::daemon::ubus::calls::{Answer, CallId, Failure};
use crate::daemon::ubus::connection::QuestionId;
use crate::model::{Map, Monotonic, Now, RelPath, ShareName};
use crate::node::api::{Command, Fault, Level, Reply, Tree};
use crate::ops::{self, Request};

/// Time between two tries to tell procd something.
const AGAIN: Duration = Duration::from_secs(5);

/// Such tries, before only ubusd's next start is one.
const TRIES: u32 = 12;

impl Shell {
    /// Handles messages one by one: each is done before the next is read.
    pub(super) fn handle_ubus(&mut self, now: Now) {
        while let Some(news) = self.p.ubus.as_mut().and_then(|ubus| ubus.poll_news(now.mono)) {
            match news {
                News::Log(level, text) => self.p.log.say(level, text),
                News::Question { id, method, arguments } => self.handle_ubus_question(now, id, method, &arguments),
                News::Answer { id, answer } => self.handle_ubus_answer(now, id, answer),
                News::Ready => self.handle_ready(now),
            }
            self.drain();
        }
    }

    fn handle_ubus_question(&mut self, now: Now, id: QuestionId, method: &'static str, arguments: &Tree) {
        let reply = match ops::request(self.p.node.settings(), method, arguments) {
            Ok(Request::Command(command @ (Command::Init | Command::Invite))) => {
                let invited = ops::texts(arguments, "address").and_then(|told| self.invite(now, id, command, &told));
                match invited {
                    Ok(()) => return,
                    Err(reply) => reply,
                }
            }
            Ok(Request::Join { text, addresses }) => self.join(now, &text, &addresses),
            Ok(Request::Command(command)) => return self.ask(now, Asker::Ubus { id, method }, command),
            Ok(Request::Read(read)) => self.read(now, read),
            Ok(Request::Reload) => self.reload(),
            // Not a method of the object: subscribers use ubus itself.
            Ok(Request::Subscribe) => Reply::failed(Fault::NotFound, "there is no such method"),
            Err(reply) => reply,
        };
        if let Some(ubus) = &mut self.p.ubus {
            ubus.answer(now.mono, id, reply);
        }
    }

    /// Tells procd that a package changed; it reloads every service that named the package (procd:service/service.c).
    pub(super) fn tell_procd(&mut self, package: &str) {
        let now = self.p.env.now();
        let data = Tree::map().with("package", package.to_string());
        let event = Tree::map().with("type", "config.change").with("data", data);
        match self.p.ubus.as_mut().map(|ubus| ubus.call(now.mono, "service", "event", &event)) {
            Some(call) => drop(self.notices.calls.insert(call, package.to_string())),
            None => self.note_told(now, package, Err(Failure::Away)),
        }
    }

    /// Notifies the scripts in /etc/hotplug.d/owsync of applied changes, once for each batch. procd runs them, and has this object
    /// only where there is such a directory (procd:hotplug-dispatch.c).
    pub(super) fn tell_scripts(&mut self, share: &ShareName, paths: &[RelPath]) {
        let now = self.p.env.now();
        let (Some(ubus), Some(settings)) = (&mut self.p.ubus, self.p.node.settings().share(share)) else { return };
        let mut env = vec![Tree::from("ACTION=synced")];
        env.extend(
            inforce::told(settings, paths)
                .map(|(name, value)| Tree::Text(format!("{name}={}", value.to_string_lossy()))),
        );
        let call = ubus.call(now.mono, "hotplug.owsync", "call", &Tree::map().with("env", env));
        self.notices.scripts.insert(call, share.clone());
    }

    fn handle_ubus_answer(&mut self, now: Now, call: CallId, answer: Answer) {
        if self.handle_apply_answer(call, &answer) || self.handle_networks(now, call, &answer) {
            return;
        }
        if let Some(share) = self.notices.scripts.remove(&call) {
            return self.note_scripts_told(&share, answer);
        }
        if let Some(package) = self.notices.calls.remove(&call) {
            self.note_told(now, &package, answer.map(drop));
        }
    }

    fn note_scripts_told(&self, share: &ShareName, answer: Answer) {
        match answer {
            // There are no such scripts, or no procd to run them.
            Err(Failure::NoObject | Failure::Away) => {}
            Err(failure) => {
                let text = format!("share {share}: the scripts in /etc/hotplug.d/owsync were not notified: {failure}");
                self.p.log.say(Level::Warning, text);
            }
            Ok(_) => {
                self.p.log.say(Level::Debug, format!("share {share}: notified the scripts in /etc/hotplug.d/owsync"));
            }
        }
    }

    fn note_told(&mut self, now: Now, package: &str, told: Result<(), Failure>) {
        let trouble = told.err().map(|failure| format!("procd was not notified: {failure}"));
        let known = self.in_force.untold().iter().any(|untold| untold == package);
        match (&trouble, told) {
            (Some(trouble), _) if !known => {
                self.p.log.say(Level::Warning, format!("{package} changed, but {trouble}"));
            }
            (Some(_), _) => {}
            (None, _) if known => {
                self.p.log.say(Level::Notice, format!("{package} changed: procd was notified after a retry"));
            }
            (None, _) => self.p.log.say(Level::Debug, format!("{package} changed: notified procd")),
        }
        // After ubusd restarted, procd is there a little later than this node. Where there is no ubus at all, the next
        // try is when there is one.
        if matches!(told, Err(Failure::NoObject | Failure::Late)) && self.notices.tries < TRIES {
            self.notices.again = now.mono.plus(AGAIN);
        }
        self.in_force.note_package(now.wall, package, trouble);
    }

    /// ubusd is there again: procd hears what it could not be told, and rpcd is asked.
    fn handle_ready(&mut self, now: Now) {
        self.applies.ask_again(now.mono);
        self.ask_for_networks();
        self.notices.tries = 0;
        self.tell_procd_again();
    }

    /// Tells procd what it could not be told before.
    pub(super) fn tell_procd_again(&mut self) {
        self.notices.again = Monotonic::NEVER;
        self.notices.tries += 1;
        for package in self.in_force.untold() {
            if !self.notices.calls.values().any(|waiting| *waiting == package) {
                self.tell_procd(&package);
            }
        }
    }
}

/// Packages of which procd is notified.
pub struct Notices {
    calls: Map<CallId, String>,
    /// Calls that notify scripts of changes applied in a share.
    scripts: Map<CallId, ShareName>,
    /// When to tell it again what it could not be told.
    again: Monotonic,
    tries: u32,
}

impl Notices {
    /// When to tell procd again.
    pub fn poll_timeout(&self) -> Monotonic {
        self.again
    }
}

impl Default for Notices {
    fn default() -> Notices {
        Notices { calls: Map::new(), scripts: Map::new(), again: Monotonic::NEVER, tries: 0 }
    }
}
