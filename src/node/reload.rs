//! Puts a configuration in force: at the start, and again while running.
//!
//! [`Node::reconfigure`] compares what was said with what is said now, and touches only what differs:
//! - A session ends, and is begun anew, when something that its Hello said is not so any more: this node's name,
//!   release or `first_sync`, or that there is a share more, whether the peer has it or may add it later; or when a share that the peer
//!   has too was removed, moved, or has another filter, size limit, symlink rule or direction. It also ends when its peer's section changed, or another section claims the peer, and when
//!   a key that was accepted is accepted no more. Every other session stands, with what is under way on it.
//! - Everything else applies in place: intervals, clock skew, history's bounds, guards, `accept`.
//!
//! A share that is no longer configured keeps its state on disk. If it comes back, what was deleted meanwhile stays
//! deleted, and what changed meanwhile is an edit, behind the guards of a start. A landing that has begun is brought to
//! its end first: half of a batch in a directory that nobody looks at any more could not be told from anybody's edits.
//!
//! # Why is a share that moved neither new nor the same?
//! Its new directory may hold the same files, moved there, or none, or others. What is absent there was not deleted, and
//! what differs was not written by somebody who had seen what the cluster has; but forgetting everything would let files
//! return that were deleted, and lose which of the unchanged files are this node's edits. So the first scan of the new
//! directory is taken as after a reject: what is as recorded keeps its version, what is absent is forgotten, what differs
//! has no version and yields to whoever has one, and everything is heard again. The share has no past until then, as on a
//! node that is new. No guard stands in the way of that scan, because nothing of it can be read as a deletion or
//! overwrite what others have. The directory is part of the state, so the same holds when it changed while owsync was not
//! running. What would reopen it: a wish to move a share together with edits that nobody has seen, which now go to
//! history when the moved file differs.

use std::os::unix::ffi::OsStrExt;

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::reserved::Reserved;
use crate::model::settings::{Accept, ShareSettings};
use crate::model::{Direction, Map, Monotonic, Now, PeerName, Set, Settings, ShareName, Sleep, escape};
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::forms::Forms;
use crate::node::share::{Lifecycle, Share};
use crate::node::{Identity, LinkId, Node, Output};
use crate::proto::session::Mode;
use crate::reconcile::filter::Filter;
use crate::store::state::{Change, Ledger, ShareMeta};

/// What of a new configuration concerns sessions.
struct Changed {
    /// Every session: Hello says something else.
    hello: bool,
    /// Every session: who could open it may not be able to any more.
    mode: bool,
    /// Peer sections that were added, removed, switched or changed.
    peers: Set<PeerName>,
    /// Shares of which peers must be told something else.
    shares: Set<ShareName>,
    /// There is a share that no peer was told of.
    added: bool,
}

impl<F: Fs> Share<F> {
    /// A filter, size limit, symlink rule or direction that changed means that everything must be heard again: what was
    /// left out before may be wanted now.
    fn note_rules(&mut self, cx: &mut Context<F>) {
        let name = &self.name;
        if self.is_leaving() {
            return;
        }
        let (rules, direction) = (self.rules_digest(), self.settings.direction);
        let state = cx.store.share(name);
        let (meta, ledgers) = (state.meta.clone(), state.ledgers.clone());
        if meta.rules == Some(rules) && meta.direction == direction {
            return;
        }
        let news = meta.rules.is_some();
        // What a receiver wrote itself has no version. It gets one as on a node that is new: after everything was heard.
        let past = meta.past && (meta.direction != Direction::Receive || direction == Direction::Receive);
        let meta = ShareMeta { rules: Some(rules), direction, past, ..meta };
        cx.store.change_lazily(Change::Share(name.clone(), meta));
        if news {
            for (node, ledger) in ledgers {
                cx.forget_pending_from(name, node);
                cx.store.change_lazily(Change::Ledger(name.clone(), node, Ledger { heard: 0, ..ledger }));
            }
        }
    }
}

impl<F: Fs> Peers<F> {
    /// Whether a session rests on something that is not so any more.
    fn is_affected(&self, cx: &Context<F>, id: LinkId, changed: &Changed) -> bool {
        let Some(link) = self.links.get(&id).filter(|link| !link.over) else { return false };
        let named = |name: &Option<PeerName>| name.as_ref().is_some_and(|name| changed.peers.contains(name));
        if changed.mode || named(&link.section) || named(&link.dialled_for) {
            return true;
        }
        let Some(node) = link.node.filter(|_| link.hello.is_some()) else {
            // Our Hello goes out as soon as a session is open, and theirs is on its way.
            return link.session.is_open() && (changed.hello || !changed.shares.is_empty());
        };
        if changed.hello || changed.added || cx.section_of(link, node) != link.section {
            return true;
        }
        let section = link.section.as_ref().and_then(|name| cx.settings.peers.iter().find(|peer| peer.name == *name));
        let concerns = |name: &ShareName| changed.shares.contains(name) && section.is_none_or(|peer| peer.allows(name));
        link.hello.iter().flat_map(|hello| &hello.shares).any(|share| concerns(&share.name))
    }
}

impl<F: Fs> Context<F> {
    fn report_reload(&mut self, changed: &Changed) {
        let list = |word: &str, names: Vec<String>| {
            if names.is_empty() { String::new() } else { format!("; {word} {}", names.join(", ")) }
        };
        let peers = list("peers changed:", changed.peers.iter().map(ToString::to_string).collect());
        let shares = list("shares changed:", changed.shares.iter().map(ToString::to_string).collect());
        let all = match (changed.mode, changed.hello) {
            (true, _) => "; keys or mode changed: every session restarts",
            (false, true) => "; every session restarts",
            (false, false) => "",
        };
        self.log(Level::Notice, format!("new configuration in force{peers}{shares}{all}"));
    }
}

impl<F: Fs> Node<F> {
    /// Puts a new configuration in force. See the text of `node::reload` for what goes on and what begins anew.
    ///
    /// `mode` and `reserved` are as in [`crate::node::Parts`]. Whoever watches directories drops those of shares that are
    /// gone; the others are announced by [`Output::Watch`].
    pub fn reconfigure(&mut self, now: Now, settings: Settings, mode: Mode, reserved: Map<ShareName, Vec<Reserved>>) {
        self.cx.now = now;
        let old = std::mem::replace(&mut self.cx.settings, settings);
        let new = &self.cx.settings;
        let changed = Changed {
            hello: old.name != new.name || old.first_sync != new.first_sync || old.release != new.release,
            mode: !self.cx.identity.mode.is_included_in(&mode),
            peers: differing(&old.peers, &new.peers, |peer| &peer.name, PartialEq::eq),
            added: enabled(&new.shares).any(|share| !enabled(&old.shares).any(|known| known.name == share.name)),
            shares: differing(enabled(&old.shares), enabled(&new.shares), |share| &share.name, says_the_same),
        };
        if self.cx.identity.mode != mode {
            // The sessions that stand keep the identity they began with; they end below if it is another by now.
            self.cx.identity = Identity::of(mode, self.cx.store.state().me.plain_id);
        }
        let reserved = std::mem::replace(&mut self.reserved, reserved);
        self.cx.set_up_introduced();
        self.peers.mesh_stirred = true;
        self.end_affected(now, &changed);
        self.set_up_dials(now);
        self.retire_the_unconfigured();
        self.replace_shares(now, &old.shares, &reserved);
        for share in self.shares.values_mut() {
            share.detect.next_poll = share.detect.next_poll.min(now.mono.plus(self.cx.settings.poll_interval));
        }
        if self.cx.settings.accept == Accept::Key {
            self.peers.waiting.retain(|_, waiting| !matches!(waiting.trouble, Trouble::NotAcceptedHere(_)));
        }
        for run in &mut self.cx.syncs {
            run.unseen.retain(|name| self.shares.contains_key(name));
        }
        if old.history != self.cx.settings.history {
            self.cx.history.set_bounds(self.cx.settings.history);
            self.cx.prune_history();
        }
        self.cx.report_reload(&changed);
        self.cx.stirred = true;
        self.finish(now);
    }

    /// Ends the sessions that a new configuration concerns.
    fn end_affected(&mut self, now: Now, changed: &Changed) {
        let affected: Vec<LinkId> =
            self.peers.links.keys().copied().filter(|id| self.peers.is_affected(&self.cx, *id, changed)).collect();
        for id in affected {
            let disabled =
                |name: &PeerName| self.cx.settings.peers.iter().any(|peer| peer.name == *name && !peer.enabled);
            let section =
                self.peers.links.get(&id).and_then(|link| link.section.as_ref().or(link.dialled_for.as_ref()));
            let trouble = if section.is_some_and(disabled) {
                Trouble::DisabledHere
            } else {
                Trouble::EndedHere("the session restarts with the new configuration")
            };
            self.disconnect(now, id, trouble);
        }
        if self.cx.identity.mode.is_encrypted() || self.cx.settings.plain_from_anywhere {
            return;
        }
        // Without a key the address is all there is. Looked at last, because a session that was dialled vouches for one.
        let strangers: Vec<LinkId> = self
            .peers
            .links
            .iter()
            .filter(|(_, link)| {
                !link.over && link.dialled_for.is_none() && !self.peers.is_configured_address(&self.cx, link.remote)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in strangers {
            self.disconnect(now, id, Trouble::DisabledHere);
        }
    }

    /// Brings the shares in line with the settings. `old` and `reserved` are what was said before.
    fn replace_shares(&mut self, now: Now, old: &[ShareSettings], reserved: &Map<ShareName, Vec<Reserved>>) {
        let wanted: Vec<ShareSettings> = enabled(&self.cx.settings.shares).cloned().collect();
        let gone: Vec<ShareName> =
            self.shares.keys().filter(|name| !wanted.iter().any(|share| share.name == **name)).cloned().collect();
        for name in gone {
            self.leave_share(&name);
        }
        for settings in wanted {
            let name = settings.name.clone();
            let same_names = self.reserved.get(&name) == reserved.get(&name);
            match self.shares.get(&name).map(|share| (share.is_leaving(), share.settings.dir == settings.dir)) {
                Some((false, true)) => {
                    let same = old.contains(&settings);
                    if !same || !same_names {
                        self.adapt_share(now, settings);
                    }
                }
                Some((false, false)) => self.leave_share(&name),
                // It is taken up again as soon as its landing is over.
                Some((true, _)) => {}
                None => self.add_share(now, settings, false),
            }
        }
        self.end_leaving(now);
    }

    /// Brings the shares of a node that starts in line with the settings. `set_back`: its database was.
    pub(crate) fn set_up_shares(&mut self, now: Now, set_back: bool) {
        // A landing that was interrupted in a share that is not configured any more is brought to its end, too.
        let begun: Vec<ShareSettings> = self
            .cx
            .store
            .state()
            .shares
            .iter()
            .filter(|(_, state)| state.landing.is_some() && !state.meta.dir.as_os_str().is_empty())
            .map(|(name, state)| ShareSettings::new(name.clone(), state.meta.dir.clone()))
            .collect();
        for settings in begun {
            let configured = enabled(&self.cx.settings.shares).find(|share| share.name == settings.name);
            if configured.is_none_or(|share| share.dir != settings.dir) {
                self.add_share(now, settings.clone(), set_back);
                self.leave_share(&settings.name);
            }
        }
        let wanted: Vec<ShareSettings> = enabled(&self.cx.settings.shares).cloned().collect();
        for settings in wanted {
            if !self.shares.contains_key(&settings.name) {
                self.add_share(now, settings, set_back);
            }
        }
        self.end_leaving(now);
    }

    /// Takes up a share.
    fn add_share(&mut self, now: Now, settings: ShareSettings, set_back: bool) {
        let name = settings.name.clone();
        let reserved = self.reserved.get(&name).cloned().unwrap_or_default();
        let mut share = Share::new(settings, &reserved, self.tag);
        share.detect.set_back = set_back;
        share.detect.next_poll = now.mono;
        let state = self.cx.store.share(&name);
        share.detect.last_scan = state.meta.scanned;
        share.outgoing.top = state.index.last_seq();
        let held = state.index.iter().filter(|(_, record)| record.sleep.is_some_and(Sleep::is_held));
        share.detect.guards.held_paths = held.map(|(path, _)| path.clone()).collect();
        share.detect.moved = !state.meta.dir.as_os_str().is_empty() && state.meta.dir != share.settings.dir;
        if let Some(index) = self.cx.store.index_mut(&name) {
            // What scans of an earlier life of this share noted means nothing to its own.
            index.iter_mut().for_each(|(_, record)| record.seen = 0);
        }
        if share.filter.is_empty() {
            self.cx.log(Level::Warning, format!("share {name}: no include pattern, so nothing is synced"));
        }
        if share.detect.moved {
            self.cx.log(
                Level::Notice,
                format!("share {name}: the directory changed: files that differ from the last known state are replaced by the peers' versions"),
            );
        }
        share.paused = self.cx.pause_of_share(&name).is_some();
        share.note_rules(&mut self.cx);
        share.open_share(&mut self.cx, &mut self.peers);
        self.shares.insert(name, share);
    }

    /// A share goes on in the same directory, under other rules.
    fn adapt_share(&mut self, now: Now, settings: ShareSettings) {
        let name = settings.name.clone();
        let reserved = self.reserved.get(&name).cloned().unwrap_or_default();
        let Some(share) = self.shares.get_mut(&name) else { return };
        let told = !says_the_same(&share.settings, &settings);
        let checked_by = |share: &ShareSettings| (share.reload(), share.validate.clone());
        let other_checks = checked_by(&share.settings) != checked_by(&settings);
        let other_local = share.settings.local != settings.local || share.settings.reload() != settings.reload();
        share.filter = Filter::new(&settings.include, &settings.exclude, &reserved);
        share.settings = settings;
        // Whether it offers anything decides about forms, too.
        share.forms = Forms::new(&share.settings);
        // What the new rules leave out or let in is known after the next scan, and until then nothing is offered.
        if (told || other_local) && share.is_ready() {
            share.life = Lifecycle::Changed;
        }
        share.detect.scan = None;
        share.detect.next_poll = now.mono;
        if share.filter.is_empty() {
            self.cx.log(Level::Warning, format!("share {name}: no include pattern, so nothing is synced"));
        }
        if told || other_local {
            share.drop_batches(|_| true);
            // Where the sessions stay, what was dropped, or arrives before the next scan, would count as applied without being
            // so: that scan has everything received again that is not.
            for exchange in self.peers.links.values_mut().filter_map(|link| link.exchanges.get_mut(&name)) {
                exchange.listening = false;
                exchange.forget_received();
            }
            share.note_rules(&mut self.cx);
        }
        if other_checks {
            share.check_again(&mut self.cx);
        }
    }

    /// A share is no longer configured, or lies elsewhere: it ends what is on its way, and goes as soon as a landing that
    /// has begun is over.
    fn leave_share(&mut self, name: &ShareName) {
        for link in self.peers.links.values_mut() {
            link.exchanges.remove(name);
        }
        if let Some(share) = self.shares.get_mut(name) {
            // What is decided is not changed by that.
            let _ = share.cancel_commit(&mut self.cx, &mut self.peers, "the share was removed from the configuration");
            share.drop_batches(|_| true);
            share.life = Lifecycle::Leaving;
            share.detect.scan = None;
        }
    }

    /// Lets go of shares that are not configured any more, or lie elsewhere, once nothing is under way in them.
    pub(crate) fn end_leaving(&mut self, now: Now) {
        let over: Vec<ShareName> = self
            .shares
            .iter()
            .filter(|(_, share)| share.is_leaving() && share.transaction.landing.is_none())
            .map(|(name, _)| name.clone())
            .collect();
        for name in over {
            let Some(mut share) = self.shares.remove(&name) else { continue };
            share.abandon_commit(&mut self.cx);
            share.drop_partial(Monotonic::NEVER);
            self.cx.packages.forget_share(&name);
            let again = enabled(&self.cx.settings.shares).find(|settings| settings.name == name).cloned();
            let begun = self.cx.store.state().shares.get(&name).is_some_and(|state| state.landing.is_some());
            if let Some(root) = share.root.as_ref().filter(|_| !begun) {
                for batch in std::mem::take(&mut share.inbox.batches).into_values() {
                    batch.offers.into_values().for_each(|pending| pending.discard(root));
                }
                share.staging.close(root);
            }
            if begun && again.as_ref().is_some_and(|settings| settings.dir != share.settings.dir) {
                // Its former directory cannot be opened, and with it goes what was under way there. It is heard again.
                let dir = escape::escape(share.settings.dir.as_os_str().as_bytes());
                self.cx.log(
                    Level::Error,
                    format!("share {name}: an interrupted batch in {dir} can no longer be completed"),
                );
                self.cx.store.change(Change::Landed(name.clone()));
            }
            self.cx.outputs.push_back(Output::Watch { share: name.clone() });
            if let Some(settings) = again {
                self.add_share(now, settings, share.detect.set_back);
            }
            self.cx.stirred = true;
        }
    }
}

fn enabled(shares: &[ShareSettings]) -> impl Iterator<Item = &ShareSettings> {
    shares.iter().filter(|share| share.enabled)
}

/// Whether peers would be told, and offered, the same by both.
fn says_the_same(a: &ShareSettings, b: &ShareSettings) -> bool {
    a.dir == b.dir
        && a.include == b.include
        && a.exclude == b.exclude
        && a.direction == b.direction
        && a.symlinks == b.symlinks
        && a.max_file_size == b.max_file_size
        && a.deletions == b.deletions
        && a.guards_release() == b.guards_release()
}

/// The names of what is only in one of two lists, or differs.
fn differing<'a, T: 'a, N: Ord + Clone + 'a>(
    old: impl IntoIterator<Item = &'a T>,
    new: impl IntoIterator<Item = &'a T>,
    name: impl Fn(&'a T) -> &'a N,
    same: impl Fn(&T, &T) -> bool,
) -> Set<N> {
    let mut left: Map<&N, &T> = old.into_iter().map(|item| (name(item), item)).collect();
    let mut differ: Set<N> = Set::new();
    for item in new {
        if left.remove(name(item)).is_none_or(|before| !same(before, item)) {
            differ.insert(name(item).clone());
        }
    }
    differ.extend(left.into_keys().cloned());
    differ
}
