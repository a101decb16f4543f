//! Questions from the control socket, and the answers to all questions.

use crate::daemon::connect::{Progress, Verdict};
use crate::daemon::control::Question;
use crate::daemon::env;
use crate::daemon::listener::Listener;
use crate::daemon::shell::{Asker, Shell};
use crate::daemon::ubus::Ubus;
use crate::daemon::uncommitted::Holder;
use crate::model::Now;
use crate::node::CommandId;
use crate::node::api::{Command, Reply, Tree};
use crate::ops::{self, Request};

impl Shell {
    pub(super) fn handle_question(&mut self, now: Now, question: Question) {
        let Question { client, id, method, params } = question;
        let reply = match ops::request(self.p.node.settings(), &method, &params) {
            Ok(Request::Command(command)) => {
                self.ask(now, Asker::Client { client, id, method }, command);
                return;
            }
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
        self.p.node.handle_command(now, id, command);
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

    /// The node's reply, with what only the edges know.
    fn completed(&self, method: &str, reply: Reply) -> Reply {
        match reply {
            Reply::Done(tree) if method == "status" => Reply::Done(self.with_uncommitted(self.with_edges(tree))),
            Reply::Done(tree) if method == "shares" => Reply::Done(self.with_uncommitted(tree)),
            Reply::Done(tree) if method == "show" => Reply::Done(self.with_absolute_object(tree)),
            other => other,
        }
    }

    /// A status with what only the edges know.
    pub(super) fn with_edges(&self, tree: Tree) -> Tree {
        let mut problems: Vec<Tree> =
            self.config_errors.iter().map(|error| Tree::Text(format!("configuration: {error}"))).collect();
        problems.extend(self.p.config.idle_because().map(Tree::from));
        problems.extend(self.p.listener.as_ref().and_then(Listener::trouble).map(Tree::from));
        problems.extend(self.in_force.troubles().into_iter().map(Tree::Text));
        let listen = self.p.listener.as_ref().map(Listener::addresses).unwrap_or_default();
        let listen: Vec<Tree> = listen.iter().map(|address| Tree::Text(address.to_string())).collect();
        let reasons = match tree.get("reasons") {
            Some(Tree::List(reasons)) => reasons.len(),
            _ => 0,
        };
        // Whatever the node knows: with one of these, it is not as its owner wants it.
        let summary = match &problems[..] {
            [Tree::Text(first), rest @ ..] if rest.len() + reasons > 0 => {
                Some(format!("not in sync: {first} (and {} more)", rest.len() + reasons))
            }
            [Tree::Text(first), ..] => Some(format!("not in sync: {first}")),
            _ => None,
        };
        problems.extend(self.metrics.trouble().map(Tree::from));
        // Without its name on ubus it cannot be asked there; what is synced does not depend on it.
        problems.extend(self.p.ubus.as_ref().and_then(Ubus::problem).map(Tree::Text));
        let tree = tree
            .with("problems", problems)
            .with("pid", std::process::id())
            .with("listen", listen)
            .with_some("ubus", self.p.ubus.as_ref().and_then(Ubus::state))
            .with("in_force", self.in_force.tree())
            .with("database", self.p.place.database().display().to_string())
            .with_some("config", self.p.config.file.as_ref().map(|file| file.display().to_string()));
        match (tree, summary) {
            (Tree::Map(fields), Some(summary)) => {
                let patched = |(key, value): (String, Tree)| match key.as_str() {
                    "in_sync" => (key, Tree::Bool(false)),
                    "summary" => (key, Tree::Text(summary.clone())),
                    _ => (key, value),
                };
                Tree::Map(fields.into_iter().map(patched).collect())
            }
            (tree, _) => tree,
        }
    }

    /// An answer about shares, with the packages in them that have changes nobody committed.
    fn with_uncommitted(&self, tree: Tree) -> Tree {
        let dirs = env::uci_dirs();
        let told = |name: &str, share: Tree| {
            let settings = self.p.node.settings().shares.iter().find(|settings| settings.name.as_str() == name);
            let holder = settings.and_then(|settings| Holder::new(&dirs, settings, self.p.config.filter(settings)));
            match holder {
                Some(holder) => holder.tell(&dirs, share),
                None => share,
            }
        };
        let Tree::Map(fields) = tree else { return tree };
        let patched = |(key, value): (String, Tree)| match value {
            Tree::Map(shares) if key == "shares" => {
                let one = |(name, share): (String, Tree)| (name.clone(), told(&name, share));
                (key, Tree::Map(shares.into_iter().map(one).collect()))
            }
            value => (key, value),
        };
        Tree::Map(fields.into_iter().map(patched).collect())
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
