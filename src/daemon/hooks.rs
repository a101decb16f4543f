//! Hooks: programs of the administrator that are run on events.
//!
//! An event of the node becomes a [`Call`], and a call becomes a [`Job`] for the hook of its share and one for that of
//! the node. A job has the event's name as its argument, the details in variables and, as a whole, as one JSON object
//! on standard input; everything from elsewhere is escaped and bounded. [`Call::job`] depends on nothing else here, so
//! that checks use it too.
//!
//! # Why one event after another?
//! A program that follows the state of peers must not get "peer-down" after the "peer-up" that
//! came later. So a hook is called again when it has ended; several hooks run side by side, as many as
//! [`limits::HOOKS_AT_ONCE`]. Other events wait, [`limits::HOOKS_WAITING`] altogether; beyond that the
//! oldest event of the hook with the most waiting events is dropped, since the newest one has the present state. What would reopen
//! it: a hook that must get every event.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::rc::Rc;

use crate::daemon::inforce;
use crate::daemon::json;
use crate::daemon::runner::{self, Job, JobId};
use crate::model::{Hook, Map, Settings, ShareName, WallTime, escape, limits};
use crate::node::api::{Event, Tree};

/// Bytes of one variable: far below the kernel's limit, and enough for any use.
const VARIABLE: usize = 4096;

/// An event, in the form that hooks get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name: the argument, as docs/hooks.md lists them.
    pub event: &'static str,
    /// Where, if in a share.
    pub share: Option<ShareName>,
    /// When.
    pub at: WallTime,
    /// One sentence for users.
    pub text: String,
    /// Further details.
    pub details: Tree,
}

/// Whose hook.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// The node's, which gets every event.
    Node,
    /// A share's.
    Share(ShareName),
}

/// Events on their way to hooks.
#[derive(Default)]
pub struct Hooks {
    waiting: VecDeque<(Whose, Rc<Call>)>,
    running: Map<JobId, Whose>,
    /// Events that were dropped for each hook since its last call.
    missed: Map<Whose, u64>,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whose::Node => f.write_str("hook"),
            Whose::Share(share) => write!(f, "hook of share {share}"),
        }
    }
}

impl Whose {
    fn hook<'a>(&self, settings: &'a Settings) -> Option<&'a Hook> {
        match self {
            Whose::Node => Some(&settings.hook),
            Whose::Share(share) => settings.share(share).map(|share| &share.hook),
        }
    }

    fn has_program(&self, settings: &Settings) -> bool {
        self.hook(settings).is_some_and(|hook| hook.program.is_some())
    }
}

impl Call {
    /// The call for an event of the node; `None` for events that hooks do not get.
    pub fn of(event: &Event) -> Option<Call> {
        let details = &event.details;
        let name = match (event.name, details.get("up")) {
            // The end of a `sync` has no cause: the changes that it applied were reported when they were applied.
            ("owsync.synced", _) if details.get("cause").is_some() => "after-apply",
            ("owsync.conflict", _) => "conflict",
            ("owsync.hold", _) => "hold",
            ("owsync.rollback", _) => "rollback",
            // The steps of single routers have no result.
            ("owsync.commit", _) if details.get("result").is_some() => "after-commit",
            ("owsync.rejected", _) => "rejected",
            ("owsync.peer", Some(Tree::Bool(true))) => "peer-up",
            // A node that is waiting to be accepted was never up.
            ("owsync.peer", Some(Tree::Bool(false))) if details.get("waiting").is_none() => "peer-down",
            _ => return None,
        };
        let share = text(details, "share").and_then(ShareName::parse);
        Some(Call { event: name, share, at: event.at, text: event.text.clone(), details: details.clone() })
    }

    /// The job for a hook; `None` where there is no program.
    pub fn job(&self, settings: &Settings, whose: &Whose) -> Option<Job> {
        let hook = whose.hook(settings)?;
        let program = hook.program.as_ref()?;
        let dir = self.share.as_ref().and_then(|share| settings.share(share)).map(|share| share.dir.as_path());
        Some(Job {
            what: format!("{whose} on {}", self.event),
            command: vec![program.clone().into_os_string(), self.event.into()],
            env: self.variables(&settings.name, dir.unwrap_or(Path::new(""))),
            input: self.input(&settings.name),
            time: hook.time,
        })
    }

    /// The same variables for every event, so that a script may rely on them; empty where there is no value.
    fn variables(&self, node: &str, dir: &Path) -> Vec<(String, OsString)> {
        let said = |key| text(&self.details, key).unwrap_or_default();
        let paths = match self.details.get("paths") {
            Some(Tree::List(paths)) => &paths[..],
            _ => &[],
        };
        let texts = paths.iter().filter_map(|path| if let Tree::Text(path) = path { Some(path.clone()) } else { None });
        let count = match self.details.get("files") {
            Some(Tree::Int(files)) => *files,
            _ => i64::try_from(paths.len()).unwrap_or(i64::MAX),
        };
        let variables = [
            ("EVENT", self.event.to_string()),
            ("NODE", node.to_string()),
            ("TIME", self.at.as_secs().to_string()),
            ("TEXT", self.text.clone()),
            ("SHARE", said("share").to_string()),
            ("PEER", said("peer").to_string()),
            ("REASON", said("reason").to_string()),
            ("PATH", said("path").to_string()),
            ("PATHS", inforce::named(texts)),
            ("COUNT", count.to_string()),
        ];
        // Names are escaped so that they cannot look like something else; a zero byte could not be passed at all.
        let visible = variables.map(|(name, value)| (name, bounded(escape::visible(&value)).into()));
        // The directory is configured here, and is the path that a program opens.
        let all = visible.into_iter().chain([("DIR", dir.as_os_str().to_os_string())]);
        all.map(|(name, value)| (format!("OWSYNC_{name}"), value)).collect()
    }

    /// One JSON object. If it is too long, the ends of its lists and texts are cut: half an object is of no use.
    fn input(&self, node: &str) -> Vec<u8> {
        let head = Tree::map()
            .with("event", self.event)
            .with("node", node)
            .with("time", self.at)
            .with("text", self.text.clone());
        let (Tree::Map(mut fields), Tree::Map(details)) = (head, self.details.clone()) else { return Vec::new() };
        fields.extend(details);
        let mut tree = Tree::Map(fields);
        let mut most = runner::INPUT / 2;
        loop {
            let object = json::to_json(&tree).to_string().into_bytes();
            if object.len() <= runner::INPUT {
                return object;
            }
            most /= 2;
            shorten(&mut tree, most);
        }
    }
}

/// Cuts texts to `most` bytes, and lists to that many thousandths of it.
fn shorten(tree: &mut Tree, most: usize) {
    match tree {
        Tree::Bool(_) | Tree::Int(_) => {}
        Tree::Text(text) => cut(text, most),
        Tree::List(list) => {
            list.truncate(most / 1000);
            list.iter_mut().for_each(|one| shorten(one, most));
        }
        Tree::Map(fields) => fields.iter_mut().for_each(|(_, one)| shorten(one, most)),
    }
}

fn text<'a>(tree: &'a Tree, key: &str) -> Option<&'a str> {
    match tree.get(key) {
        Some(Tree::Text(text)) => Some(text),
        _ => None,
    }
}

fn bounded(mut text: String) -> String {
    cut(&mut text, VARIABLE);
    text
}

fn cut(text: &mut String, most: usize) {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

impl Hooks {
    /// Adds a call for every hook that gets the event. Returns lines for the log, where another event is dropped for it.
    pub fn note(&mut self, settings: &Settings, call: Call) -> Vec<String> {
        let call = Rc::new(call);
        let mut lines = Vec::new();
        for whose in call.share.clone().map(Whose::Share).into_iter().chain([Whose::Node]) {
            if !whose.has_program(settings) {
                continue;
            }
            self.waiting.push_back((whose, call.clone()));
            if self.waiting.len() > limits::HOOKS_WAITING {
                lines.extend(self.drop_one());
            }
        }
        lines
    }

    /// Drops the oldest event of the hook with the most waiting events; returns the line for the log, once until its next call.
    fn drop_one(&mut self) -> Option<String> {
        let mut counts: Map<&Whose, usize> = Map::new();
        self.waiting.iter().for_each(|(whose, _)| *counts.get_or_default(whose) += 1);
        let most = counts.iter().max_by_key(|(_, count)| **count).map(|(whose, _)| (*whose).clone())?;
        let oldest = self.waiting.iter().position(|(whose, _)| *whose == most)?;
        self.waiting.remove(oldest);
        let missed = self.missed.get_or_default(most.clone());
        *missed += 1;
        let waiting = limits::HOOKS_WAITING;
        (*missed == 1)
            .then(|| format!("{most}: more than {waiting} events wait for it to end; older events are dropped"))
    }

    /// The next job that may be started, and what to log before it.
    pub fn next(&mut self, settings: &Settings) -> Option<(Whose, Job, Option<String>)> {
        // A hook that was removed from the configuration gets no more events.
        self.waiting.retain(|(whose, _)| whose.has_program(settings));
        if self.running.len() >= limits::HOOKS_AT_ONCE {
            return None;
        }
        let idle = |whose: &Whose| !self.running.values().any(|running| running == whose);
        let next = self.waiting.iter().position(|(whose, _)| idle(whose))?;
        let (whose, call) = self.waiting.remove(next)?;
        let job = call.job(settings, &whose)?;
        let line = self.missed.remove(&whose).map(|missed| format!("{whose}: {missed} events were dropped"));
        Some((whose, job, line))
    }

    /// What [`Hooks::next`] gave was started.
    pub fn note_started(&mut self, id: JobId, whose: Whose) {
        self.running.insert(id, whose);
    }

    /// A job ended; whether it was a hook, so that there may be a next one.
    pub fn note_ended(&mut self, id: JobId) -> bool {
        self.running.remove(&id).is_some()
    }
}

#[cfg(test)]
mod tests;
