//! Builds the preview of a request, path by path, from the local scan, the recorded state and the peers' answers.
//!
//! A path at a time, this node's state of it meets that of a peer, and [`reconcile`] says what both would come to: the
//! same function that decides when it is no preview. What a peer has and has not said (it is away, or does not answer)
//! is not guessed: what this node would send it is listed, and that its own changes are not known is said beside the list.

mod counterpart;
mod list;

use crate::fs::Fs;
use crate::model::{Direction, Entry, LostBy, Map, PeerName, Reason, Record, RelPath, Set, ShareName, Sleep};
use crate::node::Node;
use crate::node::api::{Fault, Pick, Reply, Tree};
use crate::node::context::Context;
use crate::node::context::{Noticed, Seen};
use crate::node::peers::Peers;
use crate::node::peers::exchange::Offers;
use crate::node::requests::options::Compared;
use crate::node::requests::preview::{Of, Preview};
use crate::node::share::Share;
use crate::node::share::approve::{Choice, goes_on, is_refused_by_reject};
use crate::node::share::detect::renames::moved;
use crate::node::share::exchange::offer::may_go;
use crate::reconcile::safety::Deletions;
use crate::reconcile::{self, Loser, Source, Verdict, edit_stamp};
use counterpart::Counterpart;
use list::{Before, List, Row};

/// What becomes of a mass deletion that was approved where it began.
const ASKS_THERE: &str = "the peer's delete_guard asks too: run `owsync approve` there";

/// One path as both sides have it.
struct Meeting<'a> {
    path: &'a RelPath,
    mine: Option<&'a Entry>,
    theirs: Before<'a>,
    /// What it waits for, if it does.
    waits: Option<&'a str>,
}

impl<F: Fs> Peers<F> {
    /// What a peer said of paths that it cannot take.
    fn reasons_there(&self, name: &ShareName, who: &Counterpart) -> Map<&RelPath, &Reason> {
        let exchange = who.link.and_then(|id| self.links.get(&id)).and_then(|link| link.exchanges.get(name));
        exchange
            .into_iter()
            .flat_map(|exchange| exchange.paths_there.iter().map(|(path, reason)| (path, reason)))
            .collect()
    }
}

impl<F: Fs> Context<F> {
    fn say_unheard(&self, name: &ShareName, who: &Counterpart, list: &mut List) {
        if !who.is_heard {
            let why = who.kept.as_deref().unwrap_or("the exchange is not complete");
            list.unknown(name, &who.label, format!("further changes there are not known: {why}"));
        }
    }
}

impl<F: Fs> Node<F> {
    /// The answer to a question what would happen.
    pub(crate) fn would(&self, preview: &Preview) -> Reply {
        let list = self.would_list(preview);
        if !list.waits && !matches!(preview.of, Of::Sync { .. }) {
            return Reply::failed(Fault::State, "nothing is waiting for approval");
        }
        let describe = |row: Tree, one: &Compared| match self.package_at(&one.share, &one.path) {
            Some(package) => preview.contents.describe(row, &package, one),
            None => row,
        };
        Reply::Done(list.tree(describe))
    }

    /// What would happen, path by path.
    pub(super) fn would_list(&self, preview: &Preview) -> List {
        let mut list = List::default();
        for name in &preview.shares {
            match &preview.of {
                Of::Sync { peer } => {
                    self.would_sync(preview, name, peer.as_ref(), &mut list);
                    self.would_deviate(preview, name, &mut list);
                }
                Of::Approve { path, pick: Some(pick) } => self.would_pick(name, path.as_ref(), *pick, &mut list),
                Of::Approve { path, pick: None } => self.would_approve(preview, name, path.as_ref(), &mut list),
                Of::Reject { path } => self.would_reject(preview, name, path.as_ref(), &mut list),
            }
        }
        list
    }

    /// What a peer must be asked about, to know what would become of it there.
    pub(crate) fn in_question<'a>(
        &'a self,
        name: &ShareName,
        who: &'a Counterpart,
        noticed: &'a [Noticed],
        of: &'a Of,
    ) -> impl Iterator<Item = &'a RelPath> {
        let index = self.cx.store.state().shares.get(name).into_iter().flat_map(|state| state.index.iter());
        let deletions = self.shares.get(name).is_none_or(|share| share.settings.deletions.sends());
        let records = index.filter(move |(_, record)| match of {
            Of::Sync { .. } => who.lacks(record) && may_go(record, who.offers, deletions, who.life),
            Of::Approve { .. } => record.sleep.is_some_and(Sleep::is_held),
            Of::Reject { .. } => false,
        });
        noticed.iter().map(|noticed| &noticed.path).chain(records.map(|(path, _)| path))
    }

    /// What a sync may do something with: what is new here, and what a peer offered.
    fn concerned<'a>(&'a self, name: &ShareName, who: &'a Counterpart, seen: &'a Seen, of: &'a Of) -> Set<&'a RelPath> {
        let batches = self.shares.get(name).into_iter().flat_map(|share| share.inbox.batches.values());
        let coming = batches.filter(|batch| batch.from.node == who.life.node).flat_map(|batch| batch.offers.keys());
        let owed = self.cx.store.state().shares.get(name).into_iter().flat_map(|state| state.owed.keys());
        let owed = owed.filter(|(owner, _)| *owner == who.life.node).map(|(_, path)| path);
        // What cannot go there is no matter, unless the peer has something of its own for it.
        let own = self.in_question(name, who, &seen.noticed, of).filter(|_| who.offers != Offers::Nothing);
        own.chain(coming).chain(owed).collect()
    }

    fn would_sync(&self, preview: &Preview, name: &ShareName, only: Option<&PeerName>, list: &mut List) {
        let Some(state) = self.cx.store.state().shares.get(name) else { return };
        let Some(share) = self.shares.get(name) else { return };
        let seen = preview.seen.get(name).cloned().unwrap_or_default();
        let guard = seen.guard.as_ref().map(|hold| format!("the share would be held: {hold}"));
        for who in self.counterparts(name, only) {
            if !who.is_heard {
                let why = who.kept.as_deref().unwrap_or("the exchange is not complete");
                list.unknown(name, &who.label, format!("the changes there are not known: {why}"));
            }
            let mut offered: Map<&RelPath, (&Entry, Option<&Reason>)> = Map::new();
            for batch in share.inbox.batches.values().filter(|batch| batch.from.node == who.life.node) {
                offered.extend(batch.offers.iter().map(|(path, pending)| (path, (&pending.entry, None))));
            }
            let owed = state.owed.iter().filter(|((owner, _), _)| *owner == who.life.node);
            for ((_, path), owed) in owed {
                offered.get_or_insert(path, (&owed.entry, Some(&owed.reason)));
            }
            let paths = self.concerned(name, &who, &seen, &preview.of);
            let there = self.peers.reasons_there(name, &who);
            let by_path: Map<&RelPath, &Noticed> =
                seen.noticed.iter().map(|noticed| (&noticed.path, noticed)).collect();
            for path in paths.iter().copied() {
                let noticed = by_path.get(path).copied();
                let mine = self.state_of(name, state.index.get(path), noticed);
                let mine = mine.as_ref();
                let told = preview.told.get(&(who.life.node, name.clone(), path.clone()));
                let offer = offered.get(path);
                let record = state.index.get(path);
                let theirs = match (told, offer, record) {
                    (Some(told), ..) => Before::Known(told.as_ref()),
                    (None, Some((entry, _)), _) => Before::Known(Some(*entry)),
                    // It has applied what is recorded here, or gave it; what is not recorded it would have offered.
                    (None, None, Some(record)) if !who.lacks(record) || record.from == Some(who.life) => {
                        Before::Known(Some(&record.entry))
                    }
                    (None, None, None) if who.is_heard => Before::Known(None),
                    (None, None, _) => Before::Unknown,
                };
                // What waits for a sync is what a sync lets go.
                let owed = offer.and_then(|(_, reason)| *reason).filter(|reason| **reason != Reason::Manual);
                let waits = owed.or_else(|| there.get(path).copied());
                let waits = waits.map(ToString::to_string);
                let waits = waits.or_else(|| who.kept.clone()).or_else(|| guard.clone().filter(|_| noticed.is_some()));
                self.meet(name, &who, &Meeting { path, mine, theirs, waits: waits.as_deref() }, list);
            }
        }
    }

    /// What differs from the peers and stays so, because the share only receives.
    fn would_deviate(&self, preview: &Preview, name: &ShareName, list: &mut List) {
        let receives = |share: &&Share<F>| share.settings.direction == Direction::Receive;
        let Some(share) = self.shares.get(name).filter(receives) else { return };
        let noticed = preview.seen.get(name).map(|seen| &seen.noticed[..]).unwrap_or_default();
        let noticed: Map<&RelPath, &Entry> = noticed.iter().map(|one| (&one.path, &one.after)).collect();
        for (path, record) in share.deviations(&self.cx).filter(|(path, _)| !noticed.contains_key(*path)) {
            list.deviation(name, path, &record.entry);
        }
        noticed.iter().for_each(|(path, entry)| list.deviation(name, path, entry));
    }

    /// What this node would say of a path once it has recorded what lies there.
    fn state_of(&self, name: &ShareName, record: Option<&Record>, noticed: Option<&Noticed>) -> Option<Entry> {
        let Some(noticed) = noticed else { return record.map(|record| record.entry.clone()) };
        let me = &self.cx.store.state().me;
        let before = noticed.before.as_ref();
        let mut entry = noticed.after.clone();
        entry.stamp = edit_stamp(me.rank, entry.mtime, entry.mtime, before.map(|before| before.stamp));
        let receives = self.shares.get(name).is_some_and(|share| share.settings.direction == Direction::Receive);
        if !receives {
            entry = entry.edited(before, me.state, me.number + 1);
        }
        Some(entry)
    }

    /// What both sides would come to at one path.
    fn meet(&self, name: &ShareName, who: &Counterpart, meeting: &Meeting<'_>, list: &mut List) {
        let &Meeting { path, mine, theirs, waits } = meeting;
        // This node keeps it to itself.
        let keeps = match who.offers {
            Offers::All => {
                let kept = self.shares.get(name).is_some_and(|share| !share.settings.deletions.sends());
                kept && waits.is_none() && mine.is_some_and(|mine| !mine.is_live())
            }
            Offers::Relayed => mine.is_some_and(|mine| mine.version.is_unversioned()),
            Offers::Nothing => waits.is_none(),
        };
        let mut row = |there, before, after: &Entry, why: &str, waits: Option<&str>| {
            let why = waits.unwrap_or(why);
            if there && keeps {
                return;
            }
            list.push(Row { share: name, peer: &who.label, path, there, before, after, why, waits: waits.is_some() });
        };
        let takes_nothing = who.takes_nothing.as_ref().map(|reason| format!("there: {reason}"));
        let waits_there = waits.or(takes_nothing.as_deref());
        let changed = |mine: &Entry| if mine.is_live() { "changed here" } else { "deleted here" };
        match (mine, theirs) {
            (None, Before::Unknown | Before::Known(None)) => {}
            (Some(mine), Before::Unknown) => row(true, theirs, mine, changed(mine), waits_there),
            (Some(mine), Before::Known(None)) => row(true, theirs, mine, "created here", waits_there),
            (mine, Before::Known(Some(theirs))) => match reconcile::reconcile(mine, theirs, who.contact) {
                Verdict::Known => {
                    if let Some(mine) = mine {
                        row(true, Before::Known(Some(theirs)), mine, changed(mine), waits_there);
                    }
                }
                Verdict::Ask => {
                    let asks = Reason::FirstContact.to_string();
                    row(false, Before::Known(mine), theirs, "", waits.or(Some(&asks)));
                }
                Verdict::Agree { entry, source, loser, .. } => {
                    row(false, Before::Known(mine), &entry, why_here(source, loser, theirs), waits);
                    if mine.is_some() {
                        row(true, Before::Known(Some(theirs)), &entry, why_there(source, loser), waits_there);
                    }
                }
            },
        }
    }

    fn would_approve(&self, preview: &Preview, name: &ShareName, path: Option<&RelPath>, list: &mut List) {
        let Some(share) = self.shares.get(name) else { return };
        let Some(state) = self.cx.store.state().shares.get(name) else { return };
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        let all = self.counterparts(name, None);
        if path.is_none() && self.cx.hold_of(name).is_some() {
            list.waits = true;
            let noticed = preview.seen.get(name).map(|seen| &seen.noticed[..]).unwrap_or_default();
            let guarded = self.passes_no_guard(name, noticed).then_some(ASKS_THERE);
            for who in &all {
                self.cx.say_unheard(name, who, list);
                for one in noticed.iter().filter(|_| who.offers == Offers::All) {
                    let mine = self.state_of(name, None, Some(one));
                    let told = preview.told.get(&(who.life.node, name.clone(), one.path.clone()));
                    let before = told.cloned().unwrap_or_else(|| one.before.clone());
                    let away = who.link.is_none().then(|| who.kept.clone()).flatten();
                    let (mine, theirs) = (mine.as_ref(), Before::Known(before.as_ref()));
                    let meeting = Meeting { path: &one.path, mine, theirs, waits: away.as_deref().or(guarded) };
                    self.meet(name, who, &meeting, list);
                }
            }
        }
        for (other, record, _) in share.held_paths(&self.cx).filter(|(other, _, _)| covers(other)) {
            list.waits = true;
            for who in &all {
                let told = preview.told.get(&(who.life.node, name.clone(), other.clone()));
                let owed = state.owed.get(&(who.life.node, other.clone())).map(|owed| &owed.entry);
                let theirs = owed.map(Some).or(told.map(Option::as_ref)).map_or(Before::Unknown, Before::Known);
                let (mine, waits) = (Some(&record.entry), who.kept.as_deref());
                self.meet(name, who, &Meeting { path: other, mine, theirs, waits }, list);
            }
        }
        for ((node, other), owed) in state.owed.iter().filter(|((_, other), _)| covers(other)) {
            list.waits |= owed.reason == Reason::FirstContact;
            let flaps = state.index.get(other).and_then(|record| record.sleep).is_some_and(Sleep::is_held);
            if flaps || !(goes_on(&owed.reason, path, state) || owed.reason == Reason::FirstContact) {
                continue;
            }
            list.waits = true;
            let Some(who) = all.iter().find(|who| who.life.node == *node) else { continue };
            let mine = state.index.get(other).map(|record| &record.entry);
            // Which side it is to be, is to be said first.
            let asks = (owed.reason == Reason::FirstContact).then(|| owed.reason.to_string());
            let waits = asks.as_deref().or(who.kept.as_deref());
            let theirs = Before::Known(Some(&owed.entry));
            self.meet(name, who, &Meeting { path: other, mine, theirs, waits }, list);
        }
    }

    fn would_pick(&self, name: &ShareName, path: Option<&RelPath>, pick: Pick, list: &mut List) {
        let Some(share) = self.shares.get(name) else { return };
        let Some(state) = self.cx.store.state().shares.get(name) else { return };
        let all = self.counterparts(name, None);
        for (path, offers) in share.contacts(&self.cx, &self.peers, path, pick).iter() {
            let local = state.index.get(path);
            let Some(Choice { node, best, mine }) = share.choice(&self.peers, local, pick, offers) else {
                continue;
            };
            list.waits = true;
            let Some(chosen) = local.filter(|_| mine).map(|record| &record.entry).or((!mine).then_some(&best.entry))
            else {
                continue;
            };
            let label = self.cx.node_label(node);
            let row = |there, peer, before, waits| {
                let why = if mine { "this node's version is chosen" } else { "the peer's version is chosen" };
                let (why, waits) = match waits {
                    Some(kept) => (kept, true),
                    None => (why, false),
                };
                Row { share: name, peer, path, there, before: Before::Known(before), after: chosen, why, waits }
            };
            list.push(row(false, &label, local.map(|record| &record.entry), None));
            for who in &all {
                // Whoever did not offer another content has this node's.
                let offer = offers.iter().find(|(node, _)| *node == who.life.node).map(|(_, owed)| &owed.entry);
                let before = offer.or(local.map(|record| &record.entry));
                list.push(row(true, &who.label, before, who.kept.as_deref()));
            }
        }
    }

    fn would_reject(&self, preview: &Preview, name: &ShareName, path: Option<&RelPath>, list: &mut List) {
        let Some(state) = self.cx.store.state().shares.get(name) else { return };
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        let all = self.counterparts(name, None);
        if path.is_none() && self.cx.hold_of(name).is_some() {
            list.waits = true;
            let from = all.iter().find(|who| who.link.is_some());
            let label = from.map_or("", |who| &who.label);
            let waits = from.is_none().then_some("no connected peer has it");
            for one in preview.seen.get(name).map(|seen| &seen.noticed[..]).unwrap_or_default() {
                let told = from.and_then(|who| preview.told.get(&(who.life.node, name.clone(), one.path.clone())));
                let before = told.cloned().unwrap_or_else(|| one.before.clone());
                match before {
                    Some(theirs) => list.push(Row {
                        share: name,
                        peer: label,
                        path: &one.path,
                        there: false,
                        before: Before::Known(Some(&one.after)),
                        after: &theirs,
                        why: waits.unwrap_or(if one.after.is_live() {
                            "the other nodes' state is restored; the present version goes to the history"
                        } else {
                            "the other nodes' state is restored"
                        }),
                        waits: waits.is_some(),
                    }),
                    None => {
                        for who in all.iter().filter(|who| who.offers == Offers::All) {
                            list.push(Row {
                                share: name,
                                peer: &who.label,
                                path: &one.path,
                                there: true,
                                before: Before::Known(None),
                                after: &one.after,
                                why: "no other node has it",
                                waits: who.link.is_none(),
                            });
                        }
                    }
                }
            }
            all.iter().for_each(|who| self.cx.say_unheard(name, who, list));
        }
        self.would_pick(name, path, Pick::Theirs, list);
        let refused =
            state.owed.iter().filter(|((_, other), owed)| covers(other) && is_refused_by_reject(&owed.reason));
        for ((node, other), owed) in refused {
            list.waits = true;
            let nothing = Entry::tombstone(Default::default(), owed.entry.stamp);
            list.push(Row {
                share: name,
                peer: &self.cx.node_label(*node),
                path: other,
                there: true,
                before: Before::Known(Some(&owed.entry)),
                after: state.index.get(other).map_or(&nothing, |record| &record.entry),
                why: "this node's version stays and replaces the others",
                waits: false,
            });
        }
    }

    /// Whether the other nodes will hold so many deletions as well, if their guard is as this share's.
    fn passes_no_guard(&self, name: &ShareName, noticed: &[Noticed]) -> bool {
        let Some(share) = self.shares.get(name) else { return false };
        let live = self.cx.store.state().shares.get(name).map_or(0, |state| state.index.live_files().0);
        let went = |one: &&Noticed| one.before.as_ref().is_some_and(Entry::has_content) && !one.after.is_live();
        let gone: Set<&RelPath> = noticed.iter().filter(went).map(|one| &one.path).collect();
        let after = noticed.iter().filter(|one| one.after.has_content());
        let after = after.map(|one| (&one.path, one.after.digest)).collect();
        let index = self.cx.store.state().shares.get(name).map(|state| &state.index);
        let gone = (gone.len() as u64).saturating_sub(index.map_or(0, |index| moved(index, &gone, &after)));
        Deletions { live, lately: 0, moved: 0, guard: share.settings.delete_guard }.check(gone).is_some()
    }
}

fn why_here(source: Source, loser: Option<Loser>, theirs: &Entry) -> &'static str {
    match (source, loser) {
        (Source::There, Some(Loser::Unseen(LostBy::Rejection))) => {
            "rejected there: the version here goes to the history"
        }
        (Source::There, Some(Loser::Unseen(LostBy::Rollback))) => {
            "rolled back there: the version here goes to the history"
        }
        (Source::There, Some(Loser::Unseen(LostBy::Conflict))) => {
            "changed on both nodes, the peer's version is newer: the version here goes to the history"
        }
        (Source::There, Some(Loser::Merged)) => "changed on both nodes: both changes are merged",
        (Source::There, Some(Loser::FirstContact)) => "the peer is established: the version here goes to the history",
        (Source::There, _) if !theirs.is_live() => "deleted there",
        (Source::There | Source::Here, _) => "changed there",
    }
}

fn why_there(source: Source, loser: Option<Loser>) -> &'static str {
    match (source, loser) {
        (Source::Here, Some(Loser::Unseen(_))) => {
            "changed on both nodes, this node's version is newer: the version there goes to the history"
        }
        (Source::Here, Some(Loser::FirstContact)) => "this node is established: the version there goes to the history",
        _ => "changed here",
    }
}
