//! The loop: passes inputs to the node, and does what the node asks for.

mod applies;
mod begin;
mod checks;
mod deltas;
mod hooks;
mod in_force;
mod joining;
mod metrics;
mod networks;
mod questions;
mod reload;
mod sessions;
mod ubus;
mod watching;

use std::time::Duration;

use nix::sys::signalfd::SignalFd;
use serde_json::Value;

use crate::config::Config;
use crate::daemon::applies::Applies;
use crate::daemon::checks::Checks;
use crate::daemon::conn::Conn;
use crate::daemon::connect::Progress;
use crate::daemon::control::{ClientId, Control};
use crate::daemon::dial::Dialler;
use crate::daemon::env::{self, Env};
use crate::daemon::hooks::Hooks;
use crate::daemon::inforce::InForce;
use crate::daemon::listener::Listener;
use crate::daemon::log::Log;
use crate::daemon::memory::Memory;
use crate::daemon::metrics::MetricsFile;
use crate::daemon::place::{Lock, Place};
use crate::daemon::poller::{Interest, Poller};
use crate::daemon::runner::{JobId, Runner};
use crate::daemon::selfwatch::SelfWatch;
use crate::daemon::signals::{self, Wish};
use crate::daemon::ubus::Ubus;
use crate::daemon::ubus::calls::CallId;
use crate::daemon::ubus::connection::QuestionId;
use crate::daemon::watcher::Watcher;
use crate::daemon::{Reread, Role};
use crate::fs::uci_file::DeltaDir;
use crate::fs::unix::UnixFs;
use crate::model::reason::Trouble;
use crate::model::settings::Address;
use crate::model::{Map, Monotonic, Now, limits};
use crate::node::api::Level;
use crate::node::{CommandId, LinkId, Node, Output};

/// Time in which sessions are ended cleanly at the end.
const GOODBYE: Duration = Duration::from_millis(300);

/// What a shell is made of.
pub struct Pieces {
    pub env: Env,
    pub memory: Memory,
    pub log: Log,
    pub place: Place,
    /// Held for as long as the node runs.
    pub _lock: Lock,
    pub config: Config,
    pub role: Role,
    pub reread: Option<Reread>,
    pub node: Node<UnixFs>,
    pub signals: SignalFd,
    pub listener: Option<Listener>,
    pub control: Option<Control>,
    pub ubus: Option<Ubus>,
    pub dialler: Dialler,
    pub watcher: Option<Watcher>,
    pub self_watch: Option<SelfWatch>,
    pub progress: Option<Progress>,
    /// A token's file may be beside the database.
    pub has_token_file: bool,
}

/// A running node with its edges.
pub struct Shell {
    p: Pieces,
    conns: Map<LinkId, Conn>,
    /// Clients that wait for answers.
    asked: Map<CommandId, Asker>,
    /// Where the uncommitted changes of the latest commits are.
    committing: Vec<(CommandId, DeltaDir)>,
    next_command: CommandId,
    /// Why the last reload changed nothing.
    config_errors: Vec<String>,
    in_force: InForce,
    applies: Applies,
    apply_question: Option<CallId>,
    network_question: Option<CallId>,
    notices: ubus::Notices,
    runner: Runner,
    checks: Checks,
    hooks: Hooks,
    metrics: MetricsFile,
    buffer: Vec<u8>,
    /// Its work is done, with this exit code: it ends when what it started has ended.
    done: Option<u8>,
    exit: Option<u8>,
}

enum Asker {
    Client { client: ClientId, id: Value, method: String },
    Ubus { id: QuestionId, method: &'static str },
    Invited { id: QuestionId, addresses: Vec<Address> },
    Progress,
}

/// Everything that can wake owsync.
#[derive(Debug, Clone, Copy)]
enum Token {
    Signal,
    Listener(usize),
    Conn(LinkId),
    Dialling(LinkId),
    Resolved,
    Watch,
    SelfWatch,
    ControlListener,
    Control(ClientId),
    Job(JobId),
    Ubus,
}

impl Shell {
    /// These pieces, put together.
    pub fn new(pieces: Pieces) -> Shell {
        Shell {
            p: pieces,
            conns: Map::new(),
            asked: Map::new(),
            committing: Vec::new(),
            // 0 means that no client waits.
            next_command: 1,
            config_errors: Vec::new(),
            in_force: InForce::default(),
            applies: Applies::new(env::variable("OWSYNC_ROOT").map(Into::into)),
            apply_question: None,
            network_question: None,
            notices: ubus::Notices::default(),
            runner: Runner::default(),
            checks: Checks::default(),
            hooks: Hooks::default(),
            metrics: MetricsFile::default(),
            buffer: vec![0; sessions::READ],
            done: None,
            exit: None,
        }
    }

    /// Runs until the end; the exit code.
    pub fn run(&mut self) -> u8 {
        self.begin();
        loop {
            self.drain();
            if let Some(code) = self.exit.or(self.done.filter(|_| self.runner.is_idle())) {
                self.shut_down();
                return code;
            }
            self.write_metrics();
            let now = self.p.env.now();
            let time = if self.p.node.has_work() { Duration::ZERO } else { self.poll_timeout(now).since(now.mono) };
            if time > Duration::ZERO {
                self.p.memory.give_back(now.mono);
            }
            let ready = self.wait(now, time);
            self.look_at_applies();
            for token in ready {
                self.pump(token);
                self.drain();
            }
            self.handle_timeout();
            if self.p.node.has_work() {
                self.p.node.work(self.p.env.now(), limits::STEP);
            }
        }
    }

    /// What to wait for, waited for.
    fn wait(&self, now: Now, time: Duration) -> Vec<Token> {
        let mut poller = Poller::new();
        use std::os::fd::AsFd;
        poller.add(Token::Signal, self.p.signals.as_fd(), Interest::Read);
        if let Some(watcher) = &self.p.watcher {
            poller.add(Token::Watch, watcher.fd(), Interest::Read);
        }
        if let Some(watch) = &self.p.self_watch {
            poller.add(Token::SelfWatch, watch.fd(), Interest::Read);
        }
        for (id, conn) in self.conns.iter() {
            poller.add(Token::Conn(*id), conn.fd(), conn.interest());
        }
        poller.add(Token::Resolved, self.p.dialler.wake_fd(), Interest::Read);
        for (link, fd) in self.p.dialler.sockets() {
            poller.add(Token::Dialling(link), fd, Interest::Write);
        }
        if let Some(control) = &self.p.control {
            if let Some(fd) = control.listener_fd() {
                poller.add(Token::ControlListener, fd, Interest::Read);
            }
            for (id, fd, interest) in control.client_fds() {
                poller.add(Token::Control(id), fd, interest);
            }
        }
        for (id, fd) in self.runner.fds() {
            poller.add(Token::Job(id), fd, Interest::Read);
        }
        if let Some((fd, interest)) = self.p.ubus.as_ref().and_then(Ubus::fd) {
            poller.add(Token::Ubus, fd, interest);
        }
        if let Some(listener) = &self.p.listener {
            for (index, fd) in listener.fds(now.mono) {
                poller.add(Token::Listener(index), fd, Interest::Read);
            }
        }
        poller.wait(time)
    }

    fn pump(&mut self, token: Token) {
        let now = self.p.env.now();
        match token {
            Token::Signal => self.handle_signals(),
            Token::Watch => self.handle_watch(now),
            Token::SelfWatch => self.p.self_watch.iter_mut().for_each(|watch| watch.handle_events(now.mono)),
            Token::Conn(id) => self.handle_conn(id),
            Token::Listener(index) => self.handle_incoming(now, index),
            Token::Resolved => {
                let ended = self.p.dialler.handle_resolved(now.mono);
                ended.into_iter().for_each(|dialled| self.handle_dialled(now, dialled));
            }
            Token::Dialling(link) => {
                let ended = self.p.dialler.handle_writable(now.mono, link);
                ended.into_iter().for_each(|dialled| self.handle_dialled(now, dialled));
            }
            Token::Ubus => {
                self.p.ubus.iter_mut().for_each(|ubus| ubus.pump(now.mono));
                self.handle_ubus(now);
            }
            Token::Job(id) => self.runner.handle_output(id),
            Token::ControlListener => self.p.control.iter_mut().for_each(Control::accept),
            Token::Control(client) => {
                let questions = self.p.control.as_mut().map(|control| control.pump(client)).unwrap_or_default();
                for question in questions {
                    self.handle_question(now, question);
                    self.drain();
                }
            }
        }
    }

    fn poll_timeout(&self, now: Now) -> Monotonic {
        let conns = self.conns.values().map(Conn::poll_timeout).min().unwrap_or(Monotonic::NEVER);
        let listener = self.p.listener.as_ref().map_or(Monotonic::NEVER, |listener| listener.poll_timeout(now.mono));
        let progress = self.p.progress.as_ref().map_or(Monotonic::NEVER, Progress::poll_timeout);
        let config = self.p.self_watch.as_ref().map_or(Monotonic::NEVER, SelfWatch::poll_timeout);
        self.p
            .node
            .poll_timeout()
            .min(config)
            .min(conns)
            .min(listener)
            .min(self.p.dialler.poll_timeout())
            .min(progress)
            .min(self.runner.poll_timeout())
            .min(self.applies.poll_timeout())
            .min(self.p.ubus.as_ref().map_or(Monotonic::NEVER, Ubus::poll_timeout))
            .min(self.notices.poll_timeout())
    }

    fn handle_timeout(&mut self) {
        let now = self.p.env.now();
        if self.p.node.poll_timeout() <= now.mono {
            self.p.node.handle_timeout(now);
            self.drain();
        }
        for dialled in self.p.dialler.handle_timeout(now.mono) {
            self.handle_dialled(now, dialled);
            self.drain();
        }
        let late: Vec<LinkId> =
            self.conns.iter().filter(|(_, conn)| conn.poll_timeout() <= now.mono).map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| drop(self.conns.remove(&id)));
        if self.p.listener.as_ref().is_some_and(|listener| listener.poll_timeout(now.mono) <= now.mono) {
            // Whatever it could not have may be there by now, and an address of a network may be another.
            self.ask_for_networks();
            if self.p.listener.as_mut().is_some_and(|listener| listener.handle_timeout(now.mono)) {
                self.report_listener();
            }
        }
        self.runner.handle_timeout(now.mono);
        if self.p.self_watch.as_mut().is_some_and(|watch| watch.has_changed(now.mono)) {
            self.handle_own_package();
        }
        if let Some(progress) = &mut self.p.progress {
            progress.handle_timeout(now.mono, &self.p.node);
        }
        if let Some(ubus) = self.p.ubus.as_mut().filter(|ubus| ubus.poll_timeout() <= now.mono) {
            ubus.handle_timeout(now.mono);
            self.handle_ubus(now);
        }
        if self.notices.poll_timeout() <= now.mono {
            self.tell_procd_again();
        }
    }

    /// Does what the node asks for, until it asks for nothing more.
    fn drain(&mut self) {
        loop {
            while let Some(output) = self.p.node.poll_output() {
                self.act(output);
            }
            if !self.transmit() {
                return;
            }
        }
    }

    fn act(&mut self, output: Output) {
        let now = self.p.env.now();
        match output {
            Output::Log(line) => {
                if self.p.progress.as_mut().is_none_or(|progress| progress.lets_through(&line)) {
                    self.p.log.write(&line);
                }
            }
            Output::Dial { link, address } => match &self.p.config.key_problem {
                Some(problem) => self.p.node.handle_dial_failed(now, link, Trouble::Other(problem.clone())),
                None => {
                    let ended = self.p.dialler.start(now.mono, link, &address);
                    ended.into_iter().for_each(|dialled| self.handle_dialled(now, dialled));
                }
            },
            Output::Close { link, linger } => {
                self.p.dialler.forget(link);
                if let Some(conn) = self.conns.get_mut(&link) {
                    conn.end(now.mono, linger);
                }
            }
            Output::Reply { id, reply } => self.answer(id, reply),
            Output::Event(event) => {
                self.p.control.iter_mut().for_each(|control| control.tell(&event));
                self.p.ubus.iter_mut().for_each(|ubus| ubus.tell(now.mono, &event));
                self.tell_hooks(&event);
            }
            Output::Landed { share, paths, begun } => {
                begun.into_iter().for_each(|begun| self.p.node.handle_told(now, begun));
                self.handle_landed(&share, &paths);
                self.tell_scripts(&share, &paths);
            }
            Output::Check { share, check, candidates, commit } => {
                let event = if commit { "before-commit" } else { "before-apply" };
                self.check(&share, check, &candidates, event);
            }
            Output::Uncommitted { share, question, paths } => self.answer_uncommitted(&share, question, &paths),
            Output::BeforeSend { share, paths, count } => self.tell_before_send(&share, &paths, count),
            Output::Probe { share, run, time } => self.probe(share, run, time),
            Output::Watch { share } => self.watch(&share),
            Output::Deltas { command, deltas, change } => self.change_deltas(command, &deltas, change),
        }
    }

    /// A token that was shown is worth nothing any more.
    fn drop_token(&mut self) {
        if std::mem::take(&mut self.p.has_token_file) {
            // It is valid once: left behind it is useless, but no danger.
            let _ = std::fs::remove_file(self.p.place.token_file());
        }
    }

    fn handle_signals(&mut self) {
        while let Some(wish) = signals::next(&self.p.signals) {
            match wish {
                Wish::End => self.exit = Some(if self.p.progress.is_some() { 1 } else { 0 }),
                Wish::Child => self.handle_children(),
                Wish::Networks => self.ask_for_networks(),
                Wish::Reload => {
                    // No client waits for the answer; the log has it.
                    let _ = self.reload();
                }
            }
        }
    }

    /// Ends within a second, whatever other programs do.
    fn shut_down(&mut self) {
        self.p.listener = None;
        self.p.node.shut_down(self.p.env.now());
        self.drain();
        let until = self.p.env.now().mono.plus(GOODBYE);
        loop {
            let now = self.p.env.now();
            if self.conns.is_empty() || now.mono >= until {
                break;
            }
            for token in self.wait(now, until.since(now.mono)) {
                if let Token::Conn(id) = token {
                    self.handle_conn(id);
                }
            }
            self.drain();
        }
        if self.p.progress.is_none() {
            self.p.log.say(Level::Notice, "owsync ended");
        }
    }
}
