//! Takes the answers of the programs and services that the node's owner ran for it.

use crate::fs::Fs;
use crate::model::{Map, Monotonic, Now, RelPath, ShareName};
#[cfg(doc)]
use crate::node::Output;
use crate::node::{Node, References};

impl<F: Fs> Node<F> {
    /// The programs that [`Output::Check`] asked for have looked at a batch: what they refused, with their words.
    pub fn handle_checked(&mut self, now: Now, name: &ShareName, check: u64, refused: &[(RelPath, String)]) {
        self.cx.now = now;
        if let Some(share) = self.shares.get_mut(name) {
            share.handle_checked(&mut self.cx, check, refused);
        }
        self.cx.stirred = true;
        self.finish(now);
    }

    /// The answer to [`Output::Uncommitted`]: the packages whose uncommitted changes refer to sections by number.
    pub fn handle_uncommitted(&mut self, now: Now, name: &ShareName, question: u64, answer: &Map<RelPath, References>) {
        self.cx.now = now;
        if let Some(share) = self.shares.get_mut(name) {
            share.handle_uncommitted(&mut self.cx, question, answer);
        }
        self.cx.stirred = true;
        self.finish(now);
    }

    /// The hooks that [`Output::BeforeSend`] asked for have ended.
    pub fn handle_before_send(&mut self, now: Now, name: &ShareName) {
        self.cx.now = now;
        if self.shares.get_mut(name).is_some_and(|share| share.outgoing.sending.end_call()) {
            self.cx.stirred = true;
            self.settle(now);
        }
        if let Some(share) = self.shares.get_mut(name) {
            share.call_before_send(&mut self.cx);
        }
        self.finish(now);
    }

    /// [`Output::Landed`] was handled: everything that it needed is done, so this is when it ended.
    pub fn handle_told(&mut self, now: Now, begun: Monotonic) {
        self.cx.now = now;
        self.cx.counters.applied += 1;
        self.cx.counters.applying += now.mono.since(begun);
    }

    /// What was applied is in force, as far as services had to be notified.
    pub fn handle_in_force(&mut self, now: Now, name: &ShareName) {
        self.cx.now = now;
        if let Some(share) = self.shares.get_mut(name) {
            share.note_commit_in_force(&self.cx);
            share.handle_in_force(&self.cx);
        }
    }

    /// The program that [`Output::Probe`] asked for has ended.
    pub fn handle_probed(&mut self, now: Now, name: &ShareName, run: u64, result: Result<(), String>) {
        self.cx.now = now;
        if let Some(share) = self.shares.get_mut(name) {
            if !share.note_commit_probed(&mut self.cx, run, &result) {
                share.handle_probed(&self.cx, run, result);
            }
        }
        self.finish(now);
    }
}
