//! Carries out the decisions of the user: approve what is held, reject it, or pick a side.

use crate::fs::Fs;
use crate::fs::scan::Hint;
use crate::model::reason::Hold;
use crate::model::{Entry, Map, NodeId, Reason, Record, RelPath, Set, Sleep, Stamp, Version, limits};
use crate::node::api::{Fault, Level, Pick, Reply, Tree};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::node::share::detect::guards::Answer;
use crate::reconcile;
use crate::store::state::{Change, Owed, ShareState};

impl<F: Fs> Share<F> {
    pub(crate) fn approve(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        path: Option<&RelPath>,
        pick: Option<Pick>,
    ) -> Reply {
        let name = &self.name.clone();
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        let mut done = 0u64;
        if let Some(pick) = pick {
            done += self.pick(cx, peers, path, pick);
        } else if path.is_none() && cx.hold_of(name).is_some() {
            if let Err(reply) = self.answer_hold(cx, false) {
                return reply;
            }
            done += 1;
            cx.log(Level::Notice, format!("share {name}: the hold was approved by the user"));
        }
        done += self.approve_held(cx, path);
        let state = cx.store.share(name);
        let waits = |reason: &Reason| goes_on(reason, path, state);
        done += state.owed.iter().filter(|((_, other), owed)| covers(other) && waits(&owed.reason)).count() as u64;
        let chosen: Set<(NodeId, RelPath)> = state
            .owed
            .iter()
            .filter(|((_, other), owed)| covers(other) && waits(&owed.reason))
            .map(|(key, _)| key.clone())
            .collect();
        let refused = state.owed.iter().find(|((_, other), owed)| covers(other) && owed.reason.is_refusal());
        let refused = refused.map(|((_, path), owed)| format!("{path}: {}; name the path to apply it", owed.reason));
        self.retry_pending(cx, peers, true, |node, other, _| chosen.contains(&(node, other.clone())));
        let asks = pick.is_none()
            && cx.store.state().shares.get(name).is_some_and(|state| {
                state.owed.iter().any(|((_, other), owed)| covers(other) && owed.reason == Reason::FirstContact)
            });
        match done {
            0 if asks => Reply::failed(
                Fault::Argument,
                "both nodes have these paths and the versions differ: choose with --mine, --theirs or --newest",
            ),
            0 => Reply::failed(Fault::State, refused.as_deref().unwrap_or("nothing is waiting for approval")),
            count => Reply::Done(Tree::map().with("share", name.to_string()).with("approved", count)),
        }
    }

    /// The user answers the hold of a share: the next scan carries that out, if it finds what was answered.
    ///
    /// # Errors
    /// The reply, where no answer would change anything.
    fn answer_hold(&mut self, cx: &mut Context<F>, rejects: bool) -> Result<(), Reply> {
        let name = &self.name;
        let hold = cx.hold_of(name).cloned();
        match hold {
            None => return Err(Reply::failed(Fault::State, format!("the share {name} is not held"))),
            // Nothing was compared with anything: an answer now would be one to whatever appears there later.
            Some(hold @ Hold::RootMissing(_)) => {
                return Err(Reply::failed(Fault::State, format!("the hold cannot be answered: {hold}")));
            }
            Some(hold) => self.detect.guards.answer = Some(Answer::new(hold, self.detect.guards.held_content, rejects)),
        }
        self.detect.next_poll = cx.now.mono;
        self.detect.scan = None;
        Ok(())
    }

    /// Paths that are held may go on.
    fn approve_held(&mut self, cx: &mut Context<F>, path: Option<&RelPath>) -> u64 {
        let name = &self.name.clone();
        let state = cx.store.share(name);
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        let held: Vec<(RelPath, Record)> = state
            .index
            .iter()
            .filter(|(other, record)| record.sleep.is_some_and(Sleep::is_held) && covers(other))
            .map(|(path, record)| (path.clone(), record.clone()))
            .collect();
        let count = held.len() as u64;
        for (path, record) in held {
            if record.sleep == Some(Sleep::SectionsLost) {
                // The answer is to what was found, and to nothing that is there later.
                if let Some(shrunk) = self.detect.guards.lost_sections.get(&path).copied() {
                    self.detect.guards.let_through.insert(path.clone(), shrunk.digest);
                    self.detect.hints.add(cx.now.mono, Hint { path, deep: false });
                    continue;
                }
            }
            let seq = cx.store.next_seq(cx.now.wall);
            self.detect.guards.flaps.approve_held(&path);
            self.detect.guards.held_paths.remove(&path);
            self.outgoing.top = seq;
            self.detect.hints.add(cx.now.mono, Hint { path: path.clone(), deep: false });
            cx.store.change(Change::Record(
                name.clone(),
                path,
                Record { sleep: None, seq, batch: seq, from: None, ..record },
            ));
        }
        count
    }

    /// The first contacts that a pick decides, with everybody's offer.
    pub(crate) fn contacts(
        &self,
        cx: &Context<F>,
        peers: &Peers<F>,
        path: Option<&RelPath>,
        pick: Pick,
    ) -> Map<RelPath, Vec<(NodeId, Owed)>> {
        let name = &self.name.clone();
        let mut held: Map<RelPath, Vec<(NodeId, Owed)>> = Default::default();
        let state = cx.store.share(name);
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        for ((node, other), owed) in
            state.owed.iter().filter(|((_, other), owed)| owed.reason == Reason::FirstContact && covers(other))
        {
            held.get_or_default(other.clone()).push((*node, Owed::clone(owed)));
        }
        if pick != Pick::Mine {
            // Only who is here can supply what is picked.
            held.retain(|_, offers| offers.iter().any(|(node, _)| peers.is_here(*node)));
        }
        held
    }

    /// Whose state of a path a pick chooses.
    pub(crate) fn choice(
        &self,
        peers: &Peers<F>,
        local: Option<&Record>,
        pick: Pick,
        offers: &[(NodeId, Owed)],
    ) -> Option<Choice> {
        let reached = offers.iter().filter(|(node, _)| pick == Pick::Mine || peers.is_here(*node));
        let (node, best) = reached.max_by(|(_, a), (_, b)| a.entry.conflict_order(&b.entry)).cloned()?;
        let mine = match (pick, local) {
            (Pick::Mine, _) => true,
            (Pick::Theirs, _) | (Pick::Newest, None) => false,
            (Pick::Newest, Some(local)) => local.entry.conflict_order(&best.entry).is_gt(),
        };
        Some(Choice { node, best, mine })
    }

    /// A person picks a side at first contact.
    fn pick(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, path: Option<&RelPath>, pick: Pick) -> u64 {
        let name = &self.name.clone();
        // What was decided elsewhere meanwhile is no longer open.
        self.retry_pending(cx, peers, false, |_, _, owed| owed.reason == Reason::FirstContact);
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        let held = self.contacts(cx, peers, path, pick);
        if held.is_empty() {
            return 0;
        }
        let count = held.len() as u64;
        cx.finish_stamps(name, held.keys());
        // Whoever decides for everybody is the reference from here on.
        let me = cx.store.state().me.clone();
        cx.store.change(Change::Me(crate::store::state::Me { rank: 1, reference: true, ..me }));
        let mut together = Together::default();
        for (path, offers) in held {
            let local = cx.store.share(name).index.get(&path).cloned();
            let Some(Choice { node, best, mine }) = self.choice(peers, local.as_ref(), pick, &offers) else {
                continue;
            };
            let number = cx.store.next_number(cx.now.wall);
            let seen: Vec<&Entry> =
                offers.iter().map(|(_, owed)| &owed.entry).chain(local.iter().map(|record| &record.entry)).collect();
            let chosen = local.as_ref().filter(|_| mine).map_or(&best.entry, |record| &record.entry);
            let entry = reconcile::decided(chosen, &seen, cx.store.state().me.state, number, 1);
            match local {
                Some(record) if mine => {
                    self.record_decided(cx, &path, Record { entry, ..record }, &mut together);
                    for (node, _) in offers {
                        cx.store.change(Change::Paid(name.clone(), node, path.clone()));
                    }
                }
                _ => {
                    // Their content under a version above all of them: it lands here, and everywhere, as this decision.
                    cx.store.change(Change::Owed(
                        name.clone(),
                        node,
                        path.clone(),
                        Box::new(Owed {
                            entry,
                            reason: Reason::NotSupplied("it is asked for".into()),
                            decided: true,
                            ..best
                        }),
                    ));
                    for (other, _) in offers.iter().filter(|(other, _)| *other != node) {
                        cx.store.change(Change::Paid(name.clone(), *other, path.clone()));
                    }
                }
            }
        }
        self.retry_pending(cx, peers, true, |_, other, owed| covers(other) && owed.reason != Reason::FirstContact);
        // Whoever has it may be away at this moment.
        self.inbox.retry_at = self.inbox.retry_at.min(cx.now.mono.plus(limits::RETRY_OWED));
        cx.stirred = true;
        count
    }

    /// Records this node's state of a path as a decision above everything seen.
    fn record_decided(&mut self, cx: &mut Context<F>, path: &RelPath, mut record: Record, together: &mut Together) {
        let name = &self.name.clone();
        record.seq = cx.store.next_seq(cx.now.wall);
        record.batch = together.batch(record.seq);
        record.draft = None;
        record.from = None;
        record.recorded = cx.now.wall;
        self.outgoing.top = record.seq;
        cx.store.change(Change::Record(name.clone(), path.clone(), record));
        cx.stirred = true;
    }

    pub(crate) fn reject(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, path: Option<&RelPath>) -> Reply {
        let name = &self.name.clone();
        let covers = |other: &RelPath| path.is_none_or(|path| path == other || other.is_below(path));
        let mut done = 0u64;
        if path.is_none() && cx.hold_of(name).is_some() {
            if let Err(reply) = self.answer_hold(cx, true) {
                return reply;
            }
            done += 1;
            cx.log(
                Level::Notice,
                format!("share {name}: the hold was rejected by the user: the peers' state is restored"),
            );
        }
        let state = cx.store.share(name);
        let shrunk =
            state.index.iter().filter(|(other, record)| record.sleep == Some(Sleep::SectionsLost) && covers(other));
        let shrunk: Vec<RelPath> = shrunk.map(|(path, _)| path.clone()).collect();
        let owed: Vec<(NodeId, RelPath, Owed)> = state
            .owed
            .iter()
            .filter(|((_, other), owed)| covers(other) && owed.reason.needs_user())
            .map(|((node, path), owed)| (*node, path.clone(), Owed::clone(owed)))
            .collect();
        for path in shrunk {
            // What is here has no claim any more: the scan records it as such, and what the peers have is taken.
            {
                self.detect.given_up.insert(path.clone());
                self.detect.hints.add(cx.now.mono, Hint { path, deep: false });
                done += 1;
            }
        }
        cx.finish_stamps(name, owed.iter().map(|(_, path, _)| path));
        done += self.pick(cx, peers, path, Pick::Theirs);
        let mut together = Together::default();
        for (node, path, owed) in owed {
            if !is_refused_by_reject(&owed.reason) {
                continue;
            }
            done += 1;
            // This node's state stays, under a version that includes what was asked for, so that nobody disagrees.
            let record = cx.store.share(name).index.get(&path).cloned();
            let number = cx.store.next_number(cx.now.wall);
            let me = &cx.store.state().me;
            let rank = me.rank.max(owed.entry.stamp.rank);
            let unheard = Entry::tombstone(Version::UNVERSIONED, Stamp { rank: 0, ms: i64::MIN });
            let record = record.unwrap_or_else(|| Record::new(unheard, None));
            let entry = reconcile::decided(&record.entry, &[&owed.entry], me.state, number, rank);
            self.record_decided(cx, &path, Record { entry, ..record }, &mut together);
            cx.store.change(Change::Paid(name.clone(), node, path));
        }
        match done {
            0 => Reply::failed(Fault::State, "nothing is waiting for approval"),
            count => Reply::Done(Tree::map().with("share", name.to_string()).with("rejected", count)),
        }
    }
}

impl<F: Fs> Peers<F> {
    fn is_here(&self, node: NodeId) -> bool {
        self.links.values().any(|link| link.node == Some(node) && link.is_admitted())
    }
}

/// Decisions that the user made with one command travel together, so that other nodes tell of them together.
#[derive(Default)]
struct Together {
    batch: Option<u64>,
    paths: usize,
}

impl Together {
    /// The batch of the next path, whose number is `seq`.
    fn batch(&mut self, seq: u64) -> u64 {
        if self.paths >= limits::BATCH_FILES {
            *self = Together::default();
        }
        self.paths += 1;
        *self.batch.get_or_insert(seq)
    }
}

/// Whose state of a path a pick chooses.
pub(crate) struct Choice {
    /// Of those that offer it, the one whose offer counts.
    pub node: NodeId,
    pub best: Owed,
    /// This node's is chosen, not that one's.
    pub mine: bool,
}

/// Whether what is owed for this reason goes on when a person approves it, by its path or with everything else.
pub(crate) fn goes_on(reason: &Reason, path: Option<&RelPath>, state: &ShareState) -> bool {
    let is_refused = |other: &RelPath| {
        let stops = |reason: &Reason| reason.is_refusal() || matches!(reason, Reason::SectionsLost { .. });
        state.owed.iter().any(|((_, path), owed)| path == other && stops(&owed.reason))
    };
    match reason {
        Reason::FirstContact => false,
        // What a check refused lands only for somebody who names it; what waits for it may go on without.
        reason if reason.is_refusal() => path.is_some(),
        Reason::WaitsFor(other) => path.is_some() || is_refused(other),
        reason => reason.needs_user(),
    }
}

/// Whether a reject of what is owed for this reason keeps this node's state.
pub(crate) fn is_refused_by_reject(reason: &Reason) -> bool {
    matches!(reason, Reason::MassDeletion { .. } | Reason::LongAway | Reason::SectionsLost { .. })
}
