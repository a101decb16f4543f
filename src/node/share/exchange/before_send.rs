//! Notifies hooks before changes of this node are offered; until they have ended nothing of the share is offered.
//!
//! What changes while they run is told to another call, before it is offered; but after [`limits::SEND_CALLS`] calls in a
//! row what there is goes out, so that a file which changes all the time holds up nobody for ever.

use crate::fs::Fs;
use crate::model::{RelPath, limits};
use crate::node::Output;
use crate::node::context::Context;
use crate::node::share::Share;

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

impl Sending {
    /// The hooks have ended: whether what changed may go out now. What came meanwhile goes out with it when they were
    /// called often enough, and the next call reports it.
    pub fn end_call(&mut self) -> bool {
        self.asked = false;
        let goes_out = self.untold.1 == 0 || self.calls >= limits::SEND_CALLS;
        if goes_out {
            self.calls = 0;
        }
        goes_out
    }
}

impl<F: Fs> Share<F> {
    /// Whether a program of this machine's wants to be told of what happens in a share.
    pub(crate) fn has_hook(&self, cx: &Context<F>) -> bool {
        let of_share = self.settings.hook.program.as_ref();
        of_share.or(cx.settings.hook.program.as_ref()).is_some()
    }

    /// These paths changed here: hooks are told before anybody else.
    pub(crate) fn tell_before_send(&mut self, cx: &mut Context<F>, paths: Vec<RelPath>) {
        if paths.is_empty() {
            return;
        }
        let (some, count) = &mut self.outgoing.sending.untold;
        *count += paths.len();
        let room = limits::OWED_TOLD.saturating_sub(some.len());
        some.extend(paths.into_iter().take(room));
        self.call_before_send(cx);
    }

    pub(crate) fn call_before_send(&mut self, cx: &mut Context<F>) {
        let name = &self.name;
        let sending = &mut self.outgoing.sending;
        if sending.asked || sending.untold.1 == 0 {
            return;
        }
        let (paths, count) = std::mem::take(&mut sending.untold);
        sending.asked = true;
        sending.calls += 1;
        cx.outputs.push_back(Output::BeforeSend { share: name.clone(), paths, count });
    }
}
