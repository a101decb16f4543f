//! What ubus asks of this node, and what this node asks of others on it.

use crate::daemon::request::{self, Request};
use crate::daemon::shell::{Asker, Shell};
use crate::daemon::ubus::News;
use crate::daemon::ubus::calls::{Answer, CallId, Failure};
use crate::daemon::ubus::connection::QuestionId;
use crate::model::Now;
use crate::node::api::{Fault, Level, Reply, Tree};

impl Shell {
    /// Takes what there is, one by one: each is done before the next is looked at.
    pub(super) fn handle_ubus(&mut self, now: Now) {
        while let Some(news) = self.p.ubus.as_mut().and_then(|ubus| ubus.poll_news(now.mono)) {
            match news {
                News::Log(level, text) => self.p.log.say(level, text),
                News::Question { id, method, arguments } => self.handle_ubus_question(now, id, method, &arguments),
                News::Answer { id, answer } => self.handle_ubus_answer(id, answer),
                News::Ready => self.tell_procd_again(),
            }
            self.drain();
        }
    }

    fn handle_ubus_question(&mut self, now: Now, id: QuestionId, method: &'static str, arguments: &Tree) {
        let reply = match request::parse(self.p.node.settings(), method, arguments) {
            Ok(Request::Command(command)) => return self.ask(now, Asker::Ubus { id, method }, command),
            Ok(Request::Reload) => self.reload(),
            // No method of the object: whoever wants to hear subscribes to it.
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
        let event =
            Tree::map().with("type", "config.change").with("data", Tree::map().with("package", package.to_string()));
        match self.p.ubus.as_mut().map(|ubus| ubus.call(now.mono, "service", "event", &event)) {
            Some(call) => drop(self.notices.insert(call, package.to_string())),
            None => self.note_told(package, Err(Failure::Away)),
        }
    }

    fn handle_ubus_answer(&mut self, call: CallId, answer: Answer) {
        if self.handle_apply_answer(call, &answer) {
            return;
        }
        if let Some(package) = self.notices.remove(&call) {
            self.note_told(&package, answer.map(drop));
        }
    }

    fn note_told(&mut self, package: &str, told: Result<(), Failure>) {
        let trouble = told.err().map(|failure| format!("procd was not told: {failure}"));
        match &trouble {
            Some(trouble) => self.p.log.say(Level::Warning, format!("{package} changed, but {trouble}")),
            None => self.p.log.say(Level::Debug, format!("{package} changed: procd was told")),
        }
        self.in_force.note_package(self.p.env.now().wall, package, trouble);
    }

    /// ubusd is there again: procd hears what it could not be told.
    fn tell_procd_again(&mut self) {
        for package in self.in_force.untold() {
            self.tell_procd(&package);
        }
    }
}
