//! Keeps changes of LuCI that are not confirmed yet on this node.

use crate::daemon::applies::Step;
use crate::daemon::shell::Shell;
use crate::daemon::ubus::calls::{Answer, CallId, Failure};
use crate::model::settings::Reload;
use crate::model::{RelPath, Set, ShareName};
use crate::node::api::{Level, Tree};

/// A session that does not exist: rpcd checks whether an apply is pending before it checks whose it is (rpcd:uci.c).
const NOBODY: &str = "0";

/// rpcd's words for "another session's apply is pending" and "none is" (ubus, ubusmsg.h, UBUS_STATUS_*).
const PENDING: i32 = 6;
const NONE_PENDING: i32 = 5;

impl Shell {
    /// Checks whether an apply began or ended, before the node acts on its changes.
    pub(super) fn look_at_applies(&mut self) {
        let now = self.p.env.now();
        for step in self.applies.look(now.mono, now.wall) {
            self.take_step(step);
        }
    }

    /// Whether this was the answer to a question about applies.
    pub(super) fn handle_apply_answer(&mut self, call: CallId, answer: &Answer) -> bool {
        if self.apply_question != Some(call) {
            return false;
        }
        self.apply_question = None;
        let pending = match answer {
            Err(Failure::Refused(PENDING)) => Some(true),
            Err(Failure::Refused(NONE_PENDING)) => Some(false),
            _ => None,
        };
        let step = self.applies.handle_answer(pending);
        step.into_iter().for_each(|step| self.take_step(step));
        true
    }

    fn take_step(&mut self, step: Step) {
        let now = self.p.env.now();
        match step {
            Step::Ask => {
                let arguments = Tree::map().with("ubus_rpc_session", NOBODY);
                if let Some(ubus) = &mut self.p.ubus {
                    self.apply_question = Some(ubus.call(now.mono, "uci", "confirm", &arguments));
                }
            }
            Step::Withhold(packages) => {
                self.report_withheld(&packages);
                for share in self.uci_shares() {
                    self.p.node.handle_withheld(now, &share, packages.clone());
                }
                self.drain();
            }
        }
    }

    /// A share was opened: it has the same packages as the others.
    pub(super) fn withhold_in(&mut self, share: &ShareName) {
        if self.applies.is_pending() && self.uci_shares().contains(share) {
            self.p.node.handle_withheld(self.p.env.now(), share, self.applies.packages().clone());
        }
    }

    fn uci_shares(&self) -> Vec<ShareName> {
        let shares = self.p.node.settings().shares.iter();
        shares.filter(|share| share.reload() == Reload::Uci).map(|share| share.name.clone()).collect()
    }

    fn report_withheld(&self, packages: &Set<RelPath>) {
        let names: Vec<String> = packages.iter().map(RelPath::to_text).collect();
        let text = if names.is_empty() {
            "nothing in LuCI awaits confirmation any more: the present state is synced".to_string()
        } else {
            format!("{}: not sent until it is confirmed in LuCI or rolled back", names.join(", "))
        };
        self.p.log.say(Level::Notice, text);
    }
}
