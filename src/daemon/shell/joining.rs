//! Serves `init`, `invite` and `join` in the running daemon: LuCI has no terminal.

use crate::config::{Flavour, finish, values};
use crate::daemon::env;
use crate::daemon::joining::text::JoinText;
use crate::daemon::joining::{self, keys, package};
use crate::daemon::shell::{Asker, Shell};
use crate::daemon::ubus::connection::QuestionId;
use crate::model::Now;
use crate::model::settings::Address;
use crate::node::api::{Command, Fault, Reply, Tree};

impl Shell {
    /// `init` or `invite`, asked over ubus: the answer will be a join text.
    pub(super) fn invite(&mut self, now: Now, id: QuestionId, command: Command, told: &[String]) -> Result<(), Reply> {
        // Before the node makes a token that would not be delivered.
        let addresses = joining::reachable_at(told, &self.p.config)
            .map_err(|reason| Reply::failed(if told.is_empty() { Fault::State } else { Fault::Argument }, reason))?;
        if command == Command::Init {
            self.make_key()?;
        }
        if let Some(problem) = &self.p.config.key_problem {
            return Err(Reply::failed(Fault::State, problem.clone()));
        }
        self.ask(now, Asker::Invited { id, addresses }, command);
        Ok(())
    }

    /// The node's answer, as the join text and what the user needs to know about it.
    pub(super) fn with_join_text(&self, answer: &Tree, addresses: Vec<Address>) -> Reply {
        let now = self.p.env.now().wall;
        match joining::invitation(&self.p.config, answer, addresses, now) {
            Ok(text) => {
                let listed: Vec<Tree> = text.addresses.iter().map(|one| Tree::Text(one.to_string())).collect();
                let tree = Tree::map()
                    .with("join_text", text.encode().as_str())
                    .with("addresses", listed)
                    .with("expires", text.expires);
                Reply::Done(tree)
            }
            Err(reason) => Reply::failed(Fault::State, reason),
        }
    }

    /// The cluster's key, if UCI needs one and there is none: an existing one is never replaced.
    fn make_key(&mut self) -> Result<(), Reply> {
        let config = &self.p.config;
        let wanted = config.flavour == Flavour::Uci && !config.settings.plain_mode && config.settings.key.is_none();
        if !wanted {
            return Ok(());
        }
        match finish::read_key(&config.key_file, &mut Vec::new()) {
            // It was put there since the configuration was read.
            Ok(Some(_)) => {}
            Ok(None) => {
                let made = keys::new_key().and_then(|key| keys::write_key(&config.key_file, &key));
                made.map_err(|reason| Reply::failed(Fault::System, reason))?;
            }
            Err(reason) => return Err(Reply::failed(Fault::State, reason)),
        }
        match self.reload() {
            Reply::Done(_) => Ok(()),
            failed => Err(failed),
        }
    }

    /// Joins the cluster of the text: writes its settings into the UCI package, and puts them in force.
    pub(super) fn join(&mut self, now: Now, text: &str, told: &[String]) -> Reply {
        match self.try_join(now, text, told) {
            Ok(tree) => match self.reload() {
                Reply::Done(_) => Reply::Done(tree),
                failed => failed,
            },
            Err((fault, message)) => Reply::failed(fault, message),
        }
    }

    fn try_join(&mut self, now: Now, text: &str, told: &[String]) -> Result<Tree, (Fault, String)> {
        let argument = |message: String| (Fault::Argument, message);
        let state = |message: String| (Fault::State, message);
        let system = |message: String| (Fault::System, message);
        if self.p.config.flavour != Flavour::Uci {
            return Err(state("this node has a config file: stop the daemon, and run `owsync join -c FILE`".into()));
        }
        let mut text = JoinText::parse(text).map_err(|broken| argument(broken.to_string()))?;
        if text.secret.is_some() && now.wall >= text.expires {
            return Err(state(format!("the join text expired: run `owsync invite` on {}", text.name)));
        }
        if text.secret.is_some() && !cfg!(feature = "encryption") {
            return Err(state("this owsync was built without encryption, and the cluster has a key".into()));
        }
        joining::check_mode(&text, self.p.config.settings.plain_mode).map_err(state)?;
        if !told.is_empty() {
            let port = text.addresses.first().map_or(crate::config::PORT, |address| address.port);
            let read = told.iter().map(|one| values::address(one, port)).collect::<Result<Vec<_>, _>>();
            text.addresses = read.map_err(|error| argument(format!("address: {error}")))?;
        }
        let dirs = env::uci_dirs();
        // As it would be, before anything is written.
        let mut changed = package::read(&dirs).map_err(system)?;
        if let Some(why) = package::configured(&changed) {
            return Err(state(format!("this node is already configured: {why}")));
        }
        package::change(&mut changed, &text, &[]).map_err(|error| argument(error.to_string()))?;
        package::check(&changed).map_err(|errors| argument(errors.join("; ")))?;
        let key_file = self.p.config.key_file.clone();
        let has_key = joining::is_key_there(&key_file, text.secret.as_ref()).map_err(state)?;
        if let Some(secret) = &text.secret {
            if !has_key {
                keys::write_key(&key_file, &secret.key).map_err(system)?;
            }
            joining::write_token(&self.p.place.token_file(), &secret.token).map_err(system)?;
            self.p.has_token_file = true;
            self.p.node.show_token(secret.token);
        }
        // Last: where it is there, the join is complete.
        package::write(&dirs, &text, &[]).map_err(system)?;
        let shares: Vec<Tree> = text.shares.iter().map(|share| Tree::Text(share.name.to_string())).collect();
        Ok(Tree::map()
            .with("joined", text.name.clone())
            .with_some("peer", text.addresses.first().map(ToString::to_string))
            .with("shares", shares))
    }
}
