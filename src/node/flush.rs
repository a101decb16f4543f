//! Ends every input: what can be applied is begun, what is missing is requested, everything is written down, and only
//! then anything is sent.

use std::time::Duration;

use crate::fs::{Fs, FsError, Root};
use crate::model::reason::Trouble;
use crate::model::{NodeId, Now, ShareName, WallTime, limits};
use crate::node::api::{Fault, Level, Reply, Tree};
use crate::node::context::{Context, StoreTrouble};
use crate::node::{Identity, LinkId, Node};
use crate::store::state::{Change, Me, ShareMeta};

impl<F: Fs> Context<F> {
    pub(crate) fn note_store_trouble(&mut self, error: FsError) {
        if self.store_trouble.is_none() {
            self.log(Level::Error, format!("the database cannot be written, so nothing is exchanged: {error}"));
        }
        // Each attempt may write to a flash memory that fails, so the pauses grow.
        let attempts = self.store_trouble.as_ref().map_or(0, |trouble| trouble.attempts);
        let pause = limits::LOCK_TIME.saturating_mul(1 << attempts.min(8)).min(limits::RETRY_MAX);
        let retry_at = self.now.mono.plus(pause);
        self.store_trouble = Some(StoreTrouble { error, attempts: attempts.saturating_add(1), retry_at });
    }
}

impl<F: Fs> Node<F> {
    /// Brings everything that follows from the latest input to an end.
    pub(crate) fn settle(&mut self, now: Now) {
        // A landing that needs nothing of the disk stirs things up again; each round uses up batches, so it ends.
        for _ in 0..limits::BATCHES_OPEN {
            if !std::mem::take(&mut self.cx.stirred) {
                break;
            }
            let exchanging: Vec<(LinkId, ShareName)> = self
                .peers
                .links
                .iter()
                .flat_map(|(id, link)| link.exchanges.keys().map(|name| (*id, name.clone())))
                .collect();
            for (id, name) in exchanging {
                if let Some(share) = self.shares.get_mut(&name) {
                    let result = share.prepare_received(&mut self.cx, &mut self.peers, id);
                    self.answer_offence(now, id, result);
                }
            }
            for share in self.shares.values_mut() {
                share.end_waits(&mut self.cx, &mut self.peers);
                share.apply_next(&mut self.cx);
            }
            for share in self.shares.values_mut() {
                share.fetch(&mut self.cx, &mut self.peers);
                share.ask_for_forms(&mut self.peers);
            }
            for share in self.shares.values_mut() {
                share.note_progress(&mut self.cx, &mut self.peers);
            }
            for share in self.shares.values_mut() {
                share.push_offers(&mut self.cx, &mut self.peers);
            }
            let exchanges: Vec<(LinkId, ShareName)> = self
                .peers
                .links
                .iter()
                .flat_map(|(id, link)| {
                    link.exchanges
                        .iter()
                        .filter(|(_, exchange)| !exchange.completed)
                        .map(|(name, _)| (*id, name.clone()))
                })
                .collect();
            for (id, name) in exchanges {
                if let Some(share) = self.shares.get_mut(&name) {
                    share.check_completed(&mut self.cx, &mut self.peers, id);
                }
            }
        }
        self.cx.report_held(now);
        if self.cx.store.is_dirty() && !self.write_down(now) {
            // No peer is sent anything that a crash could undo.
            return;
        }
        for share in self.shares.values_mut() {
            share.continue_commit(&mut self.cx, &mut self.peers);
        }
        self.again = self.cx.stirred;
        self.drop_forms();
        for share in self.shares.values_mut() {
            for path in std::mem::take(&mut share.transaction.leftovers) {
                // What cannot be removed now goes with the staging area.
                let _ = share.root.as_ref().map(|root| root.remove(&path));
            }
        }
        for share in self.shares.values_mut().filter(|share| {
            share.inbox.batches.is_empty() && share.transfer.partial.is_empty() && share.transaction.landing.is_none()
        }) {
            if let Some(root) = &share.root {
                share.staging.close(root);
            }
        }
        for link in self.peers.links.values_mut().filter(|link| !link.over) {
            link.flush();
        }
        self.drop_unresponsive(now);
        self.note_sync_times(now);
        for share in self.shares.values_mut() {
            share.note_deliveries(&mut self.cx, &mut self.peers);
        }
        self.report_around(now);
        for share in self.shares.values_mut() {
            share.note_pace(&self.cx, &mut self.peers);
        }
        self.time_runs(now);
    }

    /// Removes shared forms that nothing needs any more, once that is written down.
    fn drop_forms(&mut self) {
        if !std::mem::take(&mut self.cx.forms_stirred) {
            return;
        }
        let mut needed = self.cx.needed_forms();
        for batch in self.shares.values().flat_map(|share| share.inbox.batches.values()) {
            for formed in batch.forms.values().filter(|formed| formed.is_local) {
                needed.insert(formed.form);
            }
        }
        if let Err(error) = self.cx.history.keep_forms(needed) {
            self.cx.log(Level::Warning, format!("a shared form that is no longer needed cannot be removed: {error}"));
        }
    }

    /// Writes the state; `false` when that is not possible now.
    fn write_down(&mut self, now: Now) -> bool {
        if self.cx.store_trouble.as_ref().is_some_and(|trouble| now.mono < trouble.retry_at) {
            return false;
        }
        self.note_scans(Some(limits::SCAN_NOTED));
        match self.cx.store.commit() {
            Ok(()) => {
                if self.cx.store_trouble.take().is_some() {
                    self.cx.log(Level::Notice, "the database can be written again".into());
                    self.cx.stirred = true;
                }
                true
            }
            Err(error) => {
                self.cx.note_store_trouble(error);
                false
            }
        }
    }

    /// Writes down when shares were last looked at, where what is written is older than `span`: whatever is found deleted
    /// after a restart went since then.
    pub(crate) fn note_scans(&mut self, span: Option<Duration>) {
        let most = span.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        for (name, share) in self.shares.iter() {
            let Some(state) = self.cx.store.state().shares.get(name) else { continue };
            // Also when the clock was ahead and is put right: nothing can have been seen later than now.
            if share.detect.last_scan.since_ms(state.meta.scanned).unsigned_abs() > most
                && share.detect.last_scan > WallTime(0)
            {
                let meta = ShareMeta { scanned: share.detect.last_scan, ..state.meta.clone() };
                self.cx.store.change_lazily(Change::Share(name.clone(), meta));
            }
        }
    }

    /// A peer that reads nothing for so long that its queue overflows is let go.
    fn drop_unresponsive(&mut self, now: Now) {
        let deaf: Vec<LinkId> = self
            .peers
            .links
            .iter()
            .filter(|(_, link)| !link.over && link.session.queued() > limits::SEND_MAX)
            .map(|(id, _)| *id)
            .collect();
        for id in deaf {
            self.misbehaved(now, id, "it does not read its messages".into());
        }
    }

    /// A peer says what only another life of this database can explain. A peer can say that at any time, and every time it
    /// costs every session: so after a few times it is disconnected instead.
    pub(crate) fn renew_for(&mut self, now: Now, id: LinkId, why: &str) {
        while self.peers.renewals.front().is_some_and(|&at| now.mono.since(at) >= limits::RENEWALS_TIME) {
            self.peers.renewals.pop_front();
        }
        if self.peers.renewals.len() >= limits::RENEWALS_MAX {
            self.misbehaved(now, id, format!("{why}, repeatedly"));
            return;
        }
        self.peers.renewals.push_back(now.mono);
        self.renew_state(now, why);
    }

    /// Gives a node in plain mode, whose identity is part of its database, another one: the database is a copy of another
    /// node's.
    pub(crate) fn new_identity(&mut self, now: Now) -> Reply {
        if self.cx.identity.mode.is_encrypted() {
            let text =
                "the identity of an encrypted node is a file beside its database: stop owsync, then run this again";
            return Reply::failed(Fault::State, text);
        }
        let mut plain_id = NodeId([0; 16]);
        plain_id.0.copy_from_slice(&self.cx.rng.bytes32()[..16]);
        self.cx.store.change(Change::Me(Me { plain_id, ..self.cx.store.state().me.clone() }));
        self.renew_state(now, "the user asked for a new identity");
        self.cx.identity = Identity::of(self.cx.identity.mode.clone(), plain_id);
        self.retire_the_unconfigured();
        Reply::Done(Tree::from(&self.who_am_i()))
    }

    /// Begins another life of the database: every session starts anew, so that every peer hears of it.
    pub(crate) fn renew_state(&mut self, now: Now, why: &str) {
        self.cx.log(Level::Warning, format!("the database continues with a new state id: {why}"));
        self.cx.store.renew_state_id();
        let links: Vec<LinkId> = self.peers.links.keys().copied().collect();
        for id in links {
            self.disconnect(now, id, Trouble::EndedHere("this node's database continues with a new state id"));
        }
        self.peers.dial_now(&mut self.cx, None);
    }
}
