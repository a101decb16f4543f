//! Confirms what was applied and awaits that, or rolls it back.

use crate::fs::Fs;
use crate::model::ShareName;
use crate::node::api::{Fault, Reply, Tree};
use crate::node::{CommandId, Node};

impl<F: Fs> Node<F> {
    /// Shares in which something waits to be confirmed.
    ///
    /// A landing that a crash interrupted counts if what it brings has to be confirmed: it is completed, and goes back.
    pub fn on_trial(&self) -> usize {
        let shares = self.cx.store.state().shares.values();
        shares.filter(|share| share.trial.is_some() || share.landing.as_ref().is_some_and(|l| l.confirm > 0)).count()
    }

    /// A person confirms what is on trial.
    pub(crate) fn confirm(&mut self, share: Option<&ShareName>) -> Reply {
        if let Some(name) = self.committing(share) {
            let share = self.shares.get_mut(&name);
            if let Some(reply) = share.and_then(|share| share.keep_commit(&mut self.cx, &mut self.peers)) {
                return reply;
            }
        }
        let names = self.trials(share);
        for name in &names {
            if let Some(share) = self.shares.get_mut(name) {
                share.end_confirmed(&mut self.cx, "by the user");
            }
        }
        match names.len() {
            0 => Reply::failed(Fault::State, "nothing is awaiting confirmation"),
            count => Reply::Done(Tree::map().with("confirmed", count)),
        }
    }

    /// A person takes back what is on trial, or the start of a machine does.
    pub(crate) fn roll_back(&mut self, id: CommandId, share: Option<&ShareName>) -> Option<Reply> {
        if let Some(name) = self.committing(share) {
            let why = "the user rolled it back";
            let share = self.shares.get_mut(&name);
            return share.and_then(|share| share.cancel_commit(&mut self.cx, &mut self.peers, why));
        }
        let names = self.trials(share);
        let Some((last, others)) = names.split_last() else {
            return Some(Reply::failed(
                Fault::State,
                "nothing is awaiting confirmation, so there is nothing to roll back",
            ));
        };
        for name in others {
            if let Some(share) = self.shares.get_mut(name) {
                share.roll_back_unconfirmed(&mut self.cx, None, "by the user");
            }
        }
        self.shares.get_mut(last).and_then(|share| share.roll_back_unconfirmed(&mut self.cx, Some(id), "by the user"))
    }

    /// The share in which a commit is under way, if it is meant.
    fn committing(&self, share: Option<&ShareName>) -> Option<ShareName> {
        self.cx.committing.clone().filter(|name| share.is_none_or(|only| only == name))
    }

    fn trials(&self, share: Option<&ShareName>) -> Vec<ShareName> {
        let wanted = |name: &&ShareName| share.is_none_or(|only| only == *name) && self.cx.trial_of(name).is_some();
        self.shares.keys().filter(wanted).cloned().collect()
    }
}
