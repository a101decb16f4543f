//! Withdraws entries that peers were offered and that this node no longer has.
//!
//! A peer that could not apply an entry (no room, `mode manual`, held, not supplied yet) keeps it pending and asks this
//! node for its content until it is applied or superseded. A new entry of this node supersedes it: the peer drops what it
//! keeps of a path as soon as it receives something newer of that path from the same life of a database. But a node can
//! also stop having an entry without a newer one that may go to that peer:
//! - the user rejects a hold, the share is moved, or the filter holds a path again that is not there: the entry is given up;
//! - the filter, `max_file_size`, a symlink, a mount or missing permissions put it to sleep;
//! - it is edited in `mode manual`, or with a `direction` or `propagate_deletions` that keep the edit from the peer.
//!
//! Without a message the peer would ask for ever and say "could not supply it". So it is sent a withdrawal: an entry
//! without kind, version and time ([`Entry::nothing`]), under a new sequence number. It supersedes like any other entry, and
//! says nothing about the path: `reconcile` ignores it, so a peer that did apply the entry keeps it, and its version with
//! it. A deletion would be wrong here, because a deletion wins against whoever has the entry, and giving up is no claim.
//! A version for the withdrawal would be wrong as well: it would have to include the entry, and would win against its
//! later edits elsewhere. If this node has the path again, its entry has a new number and supersedes the withdrawal.
//!
//! Which entries a peer may still wait for is known from what it acknowledged ([`Ledger::acked`]). So a filter that leaves
//! out ten thousand files which all peers have applied sends nothing.
//!
//! [`Ledger::acked`]: crate::store::state::Ledger::acked

use crate::fs::Fs;
use crate::model::{Entry, Life, Record, RelPath, ShareName, Sleep};
use crate::node::LinkId;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::node::share::detect::edit::Edit;
use crate::store::state::Change;

/// What a peer is sent of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Its entry.
    Entry,
    /// That this node no longer has what it offered.
    Withdrawal,
}

impl Word {
    /// What `peer` is sent of a record whose entry is offered to it (`offered`), or not; `None` for nothing.
    pub fn of(record: &Record, offered: bool, peer: Life) -> Option<Word> {
        if offered && !record.entry.is_nothing() {
            return Some(Word::Entry);
        }
        // A peer that gave this very entry has it, and so waits for no earlier one.
        (record.withdraws && record.from != Some(peer)).then_some(Word::Withdrawal)
    }
}

impl<F: Fs> Share<F> {
    /// Gives up the entry of a path: nothing is known of it from here on.
    pub(crate) fn give_up(&mut self, cx: &mut Context<F>, path: RelPath, edit: &mut Edit) {
        let state = cx.store.share(&self.name);
        let me = cx.store.state().me.state;
        if !state.index.get(&path).is_some_and(|record| state.is_awaited(me, record)) {
            cx.store.change(Change::Drop(self.name.clone(), path));
            return;
        }
        let mut record = Record { recorded: cx.now.wall, withdraws: true, ..Record::new(Entry::nothing(), None) };
        self.number(cx, &path, &mut record, edit);
        cx.store.change(Change::Record(self.name.clone(), path, record));
        cx.stirred = true;
    }

    /// An entry that this node still has is not offered any more.
    pub(crate) fn put_to_sleep(&mut self, cx: &mut Context<F>, path: RelPath, sleep: Sleep, edit: &mut Edit) {
        let state = cx.store.share(&self.name);
        let me = cx.store.state().me.state;
        let Some(before) = state.index.get(&path) else { return };
        let mut record = Record { sleep: Some(sleep), ..before.clone() };
        if before.sleep.is_some() || !state.is_awaited(me, before) {
            cx.store.change_lazily(Change::Record(self.name.clone(), path, record));
            return;
        }
        self.number(cx, &path, &mut record, edit);
        cx.store.change(Change::Record(self.name.clone(), path, record));
        cx.stirred = true;
    }
}

impl<F: Fs> Context<F> {
    /// Forgets withdrawals that every peer has received.
    pub fn forget_withdrawals(&mut self, name: &ShareName) {
        let state = self.store.share(name);
        let me = self.store.state().me.state;
        let done = state.index.iter().filter(|(_, record)| record.entry.is_nothing() && !state.is_awaited(me, record));
        let done: Vec<RelPath> = done.map(|(path, _)| path.clone()).collect();
        for path in done {
            self.store.change_lazily(Change::Drop(name.clone(), path));
        }
    }
}

impl<F: Fs> Peers<F> {
    /// A peer has no part in some shares, by its Hello or by this node's settings: nothing of these is pending from it, and
    /// everything is received again if that changes.
    pub fn end_parts(&self, cx: &mut Context<F>, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (Some(node), Some(hello)) = (link.node, &link.hello) else { return };
        let peer = link.section.as_ref().and_then(|section| cx.peer_settings(section));
        let has = |name: &ShareName| hello.shares.iter().any(|theirs| theirs.name == *name);
        let takes_part = |name: &ShareName| has(name) && peer.is_none_or(|peer| peer.allows(name));
        let shares = cx.store.state().shares.iter();
        let ended = shares.filter(|(name, state)| state.ledgers.contains_key(&node) && !takes_part(name));
        let ended: Vec<ShareName> = ended.map(|(name, _)| name.clone()).collect();
        for name in ended {
            cx.forget_pending_from(&name, node);
        }
    }
}
