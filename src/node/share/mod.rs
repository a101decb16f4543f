//! A share of a running node: one directory that is kept in sync with the peers.
//!
//! A [`Share`] is a machine. It is made of its settings, the directory that it has open, where it is in its life, and of
//! the machines below, each of which owns its part of the state. It is given a [`Context`] with every call, and the sessions
//! ([`crate::node::peers::Peers`]) where it has something to say to a peer; it knows neither the node nor other shares. What
//! must survive a restart is not here but in [`crate::store::state::ShareState`].
//!
//! - [`Detect`]: what changes on disk, from the first hint to an entry of the index.
//! - [`Inbox`]: what peers offer, until it is applied or written down as pending.
//! - [`Transfer`]: content on its way here.
//! - [`Transaction`]: a batch that is put in place, and whether it stays.
//! - [`Outgoing`]: what leaves, and what became of it.
//! - [`Forms`]: what stays on this router of the packages that are synced.
//! - [`Commits`]: a change that is put in force on all nodes, or on none.

pub(crate) mod approve;
pub(crate) mod commit;
pub(crate) mod detect;
pub(crate) mod exchange;
pub(crate) mod forms;
pub(crate) mod hold;
pub(crate) mod inbox;
#[cfg(test)]
mod tests;
pub(crate) mod transaction;
pub(crate) mod transfer;

use crate::fs::scan::Rules;
use crate::fs::stage::Staging;
use crate::fs::{Fs, Place};
use crate::model::reserved::Reserved;
use crate::model::settings::{Reload, Settle, ShareSettings};
use crate::model::{Digest, Hasher, Monotonic, ShareName};
use crate::reconcile::filter::Filter;
use commit::Commits;
use detect::Detect;
use exchange::Outgoing;
use forms::Forms;
use inbox::Inbox;
use inbox::batch::Batch;
use transaction::Transaction;
use transfer::Transfer;

/// A share of a running node. See the module's text.
pub(crate) struct Share<F: Fs> {
    pub name: ShareName,
    pub settings: ShareSettings,
    pub filter: Filter,
    /// `None` while it cannot be opened.
    pub root: Option<F::Root>,
    pub place: Place,
    pub staging: Staging,
    pub life: Lifecycle,
    /// The user asked for no exchange.
    pub paused: bool,
    pub detect: Detect<F::Root>,
    pub inbox: Inbox<F::Root>,
    pub transfer: Transfer<F::Root>,
    pub transaction: Transaction,
    pub outgoing: Outgoing,
    pub forms: Forms,
    pub commits: Commits,
}

/// Where a share is in its life. Whether it is held is part of the state on disk, because a restart does not end that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    /// No scan has completed since this process started: what differs from the index may have changed at any time.
    New,
    /// Its rules changed, and no scan has completed since.
    Changed,
    /// A scan has completed: the index is what the directory has, and the share takes part.
    Ready,
    /// It is no longer configured, or has another directory by now: it only ends the transaction that has begun.
    Leaving,
}

impl<F: Fs> Share<F> {
    /// A share that was not scanned yet. `set_back`: its database was. `tag` tells its staging directory from those of other
    /// databases.
    pub fn new(settings: ShareSettings, reserved: &[Reserved], tag: u64) -> Share<F> {
        let filter = Filter::new(&settings.include, &settings.exclude, reserved);
        let forms = Forms::new(&settings);
        Share {
            name: settings.name.clone(),
            settings,
            filter,
            root: None,
            place: Place::default(),
            staging: Staging::new(tag),
            life: Lifecycle::New,
            paused: false,
            detect: Detect::new(),
            inbox: Inbox::new(),
            transfer: Transfer::new(),
            transaction: Transaction::default(),
            outgoing: Outgoing::default(),
            forms,
            commits: Commits::default(),
        }
    }

    /// Whether a scan has completed, so that the index is what the directory has.
    pub fn is_ready(&self) -> bool {
        self.life == Lifecycle::Ready
    }

    /// Whether it only ends what has begun.
    pub fn is_leaving(&self) -> bool {
        self.life == Lifecycle::Leaving
    }

    /// Whether no scan has completed since this process started.
    pub fn is_new(&self) -> bool {
        self.life == Lifecycle::New
    }

    /// What decides which paths a scan takes up.
    pub fn rules(&self) -> Rules<'_> {
        Rules {
            filter: &self.filter,
            symlinks: self.settings.symlinks,
            max_file_size: self.settings.max_file_size,
            withheld: &self.detect.withheld,
            packages: self.settings.reload() == Reload::Uci,
            local: &self.forms.options,
            reread: self.forms.reread,
        }
    }

    /// A digest of everything that decides which entries this node can know: when it changes, everything is received again.
    pub fn rules_digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(&self.filter.digest().0);
        hasher.update(&self.settings.max_file_size.to_be_bytes());
        hasher.update(self.settings.symlinks.word().as_bytes());
        hasher.finish()
    }

    /// Takes away batches, all but the one that is being applied.
    pub fn take_batches(&mut self, which: impl Fn(&Batch<F::Root>) -> bool) -> Vec<Batch<F::Root>> {
        let landing = self.transaction.landing.as_ref().and_then(|landing| landing.batch);
        let ids = self.inbox.batches.iter().filter(|(id, batch)| landing != Some(**id) && which(batch));
        let ids: Vec<u64> = ids.map(|(id, _)| *id).collect();
        self.transfer.fetching.retain(|_, by| !ids.contains(by));
        ids.iter().filter_map(|id| self.inbox.batches.remove(id)).collect()
    }

    /// When the next scan is due. Hints do not matter while the root cannot be opened.
    pub fn scan_due(&self, settle: Settle) -> Monotonic {
        match (&self.detect.scan, &self.root) {
            (Some(_), _) => Monotonic::NEVER,
            _ if self.is_leaving() => Monotonic::NEVER,
            (None, None) => self.detect.next_poll,
            (None, Some(_)) => self.detect.hints.due(settle).min(self.detect.next_poll),
        }
    }

    /// When this share next has something to do.
    pub fn poll_timeout(&self, settle: Settle) -> Monotonic {
        self.scan_due(settle)
            .min(self.detect.relook_at)
            .min(self.inbox.poll_timeout())
            .min(self.transaction.poll_timeout())
            .min(self.commits.poll_timeout())
            .min(self.partial_until())
    }
}
