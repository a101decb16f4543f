//! Hooks that are told before changes of this node leave it: until they have ended nothing of the share is offered.
//!
//! What changes while they run is told to another call, before it is offered; but after [`limits::SEND_CALLS`] calls in a
//! row what there is goes out, so that a file which changes all the time holds up nobody for ever.

use crate::fs::Fs;
use crate::model::{Now, RelPath, ShareName, limits};
use crate::node::{Node, Output};

/// What hooks are told before it leaves.
#[derive(Default)]
pub(crate) struct Sending {
    /// Paths that changed and that no hook was told of, and how many there are.
    untold: (Vec<RelPath>, usize),
    /// Hooks run.
    pub asked: bool,
    /// Calls since something was last offered.
    calls: u32,
}

impl<F: Fs> Node<F> {
    /// Whether a program of this machine's wants to be told of what happens in a share.
    pub(crate) fn has_hook(&self, name: &ShareName) -> bool {
        let of_share = self.shares.get(name).and_then(|share| share.settings.hook.program.as_ref());
        of_share.or(self.settings.hook.program.as_ref()).is_some()
    }

    /// These paths changed here: hooks are told before anybody else.
    pub(crate) fn tell_before_send(&mut self, name: &ShareName, paths: Vec<RelPath>) {
        if paths.is_empty() {
            return;
        }
        let Some(share) = self.shares.get_mut(name) else { return };
        let (some, count) = &mut share.sending.untold;
        *count += paths.len();
        let room = limits::OWED_TOLD.saturating_sub(some.len());
        some.extend(paths.into_iter().take(room));
        self.call_before_send(name);
    }

    fn call_before_send(&mut self, name: &ShareName) {
        let Some(sending) = self.shares.get_mut(name).map(|share| &mut share.sending) else { return };
        if sending.asked || sending.untold.1 == 0 {
            return;
        }
        let (paths, count) = std::mem::take(&mut sending.untold);
        sending.asked = true;
        sending.calls += 1;
        self.outputs.push_back(Output::BeforeSend { share: name.clone(), paths, count });
    }

    /// The hooks that [`Output::BeforeSend`] asked for have ended.
    pub fn handle_before_send(&mut self, now: Now, name: &ShareName) {
        if let Some(sending) = self.shares.get_mut(name).map(|share| &mut share.sending) {
            sending.asked = false;
            if sending.untold.1 == 0 || sending.calls >= limits::SEND_CALLS {
                // What came meanwhile goes out with it, and the next call tells of it.
                sending.calls = 0;
                self.stirred = true;
                self.settle(now);
            }
            self.call_before_send(name);
        }
        self.finish(now);
    }
}
