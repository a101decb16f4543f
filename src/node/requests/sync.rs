//! Runs a `sync` and reports its end.

use crate::fs::Fs;
use crate::model::{Now, PeerName, ShareName, limits};
use crate::node::api::{Event, Fault, Reply, Tree};
use crate::node::context::{Context, Run};
use crate::node::{CommandId, Node, Output};

impl<F: Fs> Node<F> {
    /// Looks at everything again and exchanges it; `None` when the answer comes later.
    pub(crate) fn sync(
        &mut self,
        now: Now,
        id: CommandId,
        peer: Option<PeerName>,
        share: Option<ShareName>,
        wait: bool,
    ) -> Option<Reply> {
        if share.as_ref().is_some_and(|name| !self.shares.contains_key(name)) {
            return Some(Reply::failed(Fault::NotFound, "there is no such share"));
        }
        if peer.as_ref().is_some_and(|name| !self.knows_peer(name)) {
            return Some(Reply::failed(Fault::NotFound, "there is no such peer"));
        }
        let names: Vec<ShareName> =
            self.shares.keys().filter(|name| share.as_ref().is_none_or(|only| only == *name)).cloned().collect();
        for name in &names {
            if let Some(share) = self.shares.get_mut(name) {
                share.detect.next_poll = now.mono;
                share.detect.scan = None;
            }
        }
        self.peers.dial_now(&mut self.cx, peer.as_ref());
        let run = Run {
            id: self.next_sync,
            command: id,
            share,
            peer,
            deadline: now.mono.plus(limits::SYNC_TIME),
            unseen: names.clone(),
        };
        self.next_sync += 1;
        let started = Reply::Done(Tree::map().with("started", true).with("run", run.id));
        self.cx.syncs.push(run);
        for name in &names {
            if let Some(share) = self.shares.get_mut(name) {
                share.retry_pending(&mut self.cx, &mut self.peers, false, |_, _, _| true);
            }
        }
        if wait {
            return None;
        }
        if let Some(run) = self.cx.syncs.last_mut() {
            run.command = 0;
        }
        Some(started)
    }

    /// Ends the runs whose exchanges are over, or whose time is.
    pub(crate) fn time_runs(&mut self, now: Now) {
        let mut index = 0;
        while let Some(run) = self.cx.syncs.get(index) {
            let looked = run.unseen.is_empty();
            let late = now.mono >= run.deadline;
            let is_moving = self.gaps(now, run.peer.as_ref(), run.share.as_ref()).iter().any(|gap| gap.moving);
            if !late && (!looked || is_moving) {
                index += 1;
                continue;
            }
            let run = self.cx.syncs.remove(index);
            let moving = !looked || is_moving;
            let verdict = self.verdict(now, run.peer.as_ref(), run.share.as_ref());
            let lacking = match verdict.gaps.first() {
                Some(first) => Some(first.sentence()),
                None if looked => None,
                None => Some("the files are still being scanned".to_string()),
            };
            let missing: Vec<Tree> = verdict.gaps.iter().map(|gap| Tree::Text(gap.sentence())).collect();
            let exceptions: Vec<Tree> = verdict.clauses().into_iter().map(Tree::Text).collect();
            let tree = Tree::map()
                .with("run", run.id)
                .with("in_sync", lacking.is_none())
                .with("moving", moving)
                .with("missing", missing)
                .with("exceptions", exceptions);
            // Whoever started it and did not wait hears of its end. What it changed has events of its own, so this one is
            // not kept for status.
            let text = match lacking {
                None => format!("sync {} finished: everything is in sync", run.id),
                Some(lacking) => format!("sync {} finished: {lacking}", run.id),
            };
            let event = Event { name: "owsync.synced", at: now.wall, text, details: tree.clone() };
            self.cx.outputs.push_back(Output::Event(event));
            if run.command != 0 {
                self.cx.outputs.push_back(Output::Reply { id: run.command, reply: Reply::Done(tree) });
            }
        }
    }
}

impl<F: Fs> Context<F> {
    /// A share was looked at as a whole.
    pub fn note_looked(&mut self, name: &ShareName) {
        for run in &mut self.syncs {
            run.unseen.retain(|unseen| unseen != name);
        }
    }
}
