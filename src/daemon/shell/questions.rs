//! Questions from the control socket, and the answers to all questions.

use std::collections::BTreeMap;

use crate::daemon::connect::{Progress, Verdict};
use crate::daemon::control::Question;
use crate::daemon::env;
use crate::daemon::listener::Listener;
use crate::daemon::shell::{Asker, Shell};
use crate::daemon::status::DaemonStatus;
use crate::daemon::ubus::Ubus;
use crate::daemon::uncommitted::Holder;
use crate::model::Now;
use crate::node::CommandId;
use crate::node::api::record::Field;
use crate::node::api::status::ShareStatus;
use crate::node::api::{Command, Reply, Tree};
use crate::ops::{self, Read, Request};

impl Shell {
    pub(super) fn handle_question(&mut self, now: Now, question: Question) {
        let Question { client, id, method, params } = question;
        let reply = match ops::request(self.p.node.settings(), &method, &params) {
            Ok(Request::Command(command)) => {
                self.ask(now, Asker::Client { client, id, method }, command);
                return;
            }
            Ok(Request::Read(read)) => self.read(now, read),
            Ok(Request::Reload) => self.reload(),
            Ok(Request::Subscribe) => {
                self.p.control.iter_mut().for_each(|control| control.subscribe(client));
                Reply::Done(Tree::map().with("subscribed", true))
            }
            Ok(Request::Join { text, addresses }) => self.join(now, &text, &addresses),
            Err(reply) => reply,
        };
        if let Some(control) = &mut self.p.control {
            control.answer(client, &id, &reply);
        }
    }

    pub(super) fn ask(&mut self, now: Now, asker: Asker, command: Command) {
        let id = self.next_command;
        self.next_command += 1;
        self.asked.insert(id, asker);
        match self.with_deltas(id, command) {
            Ok(command) => self.p.node.handle_command(now, id, command),
            Err(reply) => self.answer(id, reply),
        }
    }

    pub(super) fn ask_for_progress(&mut self) {
        if let Some(command) = self.p.progress.as_ref().map(Progress::command) {
            self.ask(self.p.env.now(), Asker::Progress, command);
        }
    }

    pub(super) fn answer(&mut self, id: CommandId, reply: Reply) {
        match self.asked.remove(&id) {
            Some(Asker::Ubus { id, method }) => {
                let reply = self.completed(method, reply);
                if let Some(ubus) = &mut self.p.ubus {
                    ubus.answer(self.p.env.now().mono, id, reply);
                }
            }
            Some(Asker::Invited { id, addresses }) => {
                let reply = match reply {
                    Reply::Done(tree) => self.with_join_text(&tree, addresses),
                    failed => failed,
                };
                if let Some(ubus) = &mut self.p.ubus {
                    ubus.answer(self.p.env.now().mono, id, reply);
                }
            }
            Some(Asker::Client { client, id, method }) => {
                let reply = self.completed(&method, reply);
                if let Some(control) = &mut self.p.control {
                    control.answer(client, &id, &reply);
                }
            }
            Some(Asker::Progress) => {
                let now = self.p.env.now().mono;
                let verdict =
                    self.p.progress.as_mut().map(|progress| progress.judge(&self.p.log, now, &self.p.node, &reply));
                match verdict {
                    Some(Verdict::GoOn) => self.ask_for_progress(),
                    Some(Verdict::Over(code)) => self.done = Some(code),
                    None => {}
                }
            }
            None => {}
        }
    }

    /// The answer to what is answered from memory.
    pub(super) fn read(&self, now: Now, read: Read) -> Reply {
        let shares = || {
            let mut shares = self.p.node.share_statuses(now);
            self.add_uncommitted(&mut shares);
            shares
        };
        Reply::Done(match read {
            Read::Status => Tree::from(&self.status(now)),
            Read::Peers => Tree::map().with_some("peers", self.p.node.peer_statuses(now).to_tree()),
            Read::Shares => Tree::map().with_some("shares", shares().to_tree()),
        })
    }

    /// The status of this daemon.
    fn status(&self, now: Now) -> DaemonStatus {
        let mut node = self.p.node.status(now);
        self.add_uncommitted(&mut node.shares);
        let mut problems: Vec<String> =
            self.config_errors.iter().map(|error| format!("configuration: {error}")).collect();
        problems.extend(self.p.config.idle_because().map(String::from));
        problems.extend(self.p.listener.as_ref().and_then(Listener::trouble).map(String::from));
        problems.extend(self.in_force.troubles());
        // With one of these the node is not as the user wants it, whatever it knows itself.
        if let [first, rest @ ..] = &problems[..] {
            node.in_sync = false;
            node.summary = match rest.len() + node.reasons.len() {
                0 => format!("not in sync: {first}"),
                more => format!("not in sync: {first} (and {more} more)"),
            };
        }
        problems.extend(self.metrics.trouble().map(String::from));
        // Without its name on ubus it cannot be asked there; what is synced does not depend on it.
        problems.extend(self.p.ubus.as_ref().and_then(Ubus::problem));
        let listen = self.p.listener.as_ref().map(Listener::addresses).unwrap_or_default();
        DaemonStatus {
            node,
            problems,
            pid: std::process::id().into(),
            listen: listen.iter().map(ToString::to_string).collect(),
            ubus: self.p.ubus.as_ref().and_then(Ubus::state).map(String::from),
            in_force: self.in_force.status(),
            database: self.p.place.database().display().to_string(),
            config: self.p.config.file.as_ref().map(|file| file.display().to_string()),
        }
    }

    /// Adds the packages with uncommitted changes to the shares that they are in.
    fn add_uncommitted(&self, shares: &mut BTreeMap<String, ShareStatus>) {
        let dirs = env::uci_dirs();
        for settings in &self.p.node.settings().shares {
            let Some(share) = shares.get_mut(settings.name.as_str()) else { continue };
            match Holder::new(&dirs, settings, self.p.config.filter(settings)).map(|holder| holder.packages(&dirs)) {
                Some(Ok(packages)) => share.uncommitted = packages,
                Some(Err(error)) => share.uncommitted_error = Some(error.to_string()),
                None => {}
            }
        }
    }

    /// The node's reply, with what only the daemon knows.
    fn completed(&self, method: &str, reply: Reply) -> Reply {
        match reply {
            Reply::Done(tree) if method == "show" => Reply::Done(self.with_absolute_object(tree)),
            other => other,
        }
    }

    /// A version with the place of its content as anybody can open it: the node knows it relative to the database.
    pub(super) fn with_absolute_object(&self, tree: Tree) -> Tree {
        let Tree::Map(fields) = tree else { return tree };
        let absolute = |(key, value): (String, Tree)| match value {
            Tree::Text(object) if key == "object" => {
                (key, Tree::Text(self.p.place.directory().join(object).display().to_string()))
            }
            value => (key, value),
        };
        Tree::Map(fields.into_iter().map(absolute).collect())
    }
}
