//! Lists the paths that differ from what the peers have: by choice, because they cannot be read, or for now.

use crate::fs::Fs;
use crate::model::reason::{Choice, LeftOut};
use crate::model::{Direction, Kind, Map, Reason, Record, RelPath, Sleep};
use crate::node::LinkId;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::node::share::exchange::offer::may_go;

/// A path that differs by choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutPath {
    /// Why.
    pub choice: Choice,
    /// The reason with its details, where there is one.
    pub reason: Option<Reason>,
}

impl LeftOutPath {
    /// The reason for people.
    pub fn text(&self) -> String {
        self.reason.as_ref().map_or_else(|| self.choice.to_string(), ToString::to_string)
    }
}

impl<F: Fs> Share<F> {
    /// Why the disk refuses the end of a share's transaction, which is tried again.
    pub(crate) fn blocked(&self) -> Option<&str> {
        self.transaction.landing.as_ref()?.trouble.as_deref()
    }

    /// What cannot be read here, with its reason.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = (&RelPath, &Reason)> {
        self.detect.skipped.listed.iter().filter(|(_, reason)| matches!(reason, Reason::Unreadable(_)))
    }

    /// Paths that somebody else's unconfirmed change touches, as far as they differ from what peers were offered.
    pub(crate) fn withheld<'a>(&'a self, cx: &'a Context<F>) -> impl Iterator<Item = &'a RelPath> {
        let index = &cx.store.share(&self.name).index;
        self.detect
            .withheld
            .iter()
            .filter(move |path| index.get(path).is_none_or(|record| record.sleep == Some(Sleep::Withheld)))
    }

    /// Whether a change made here stays here: the share only receives, and this is no version that anybody sent.
    pub(crate) fn is_deviation(&self, record: &Record) -> bool {
        let receives = self.settings.direction == Direction::Receive;
        receives && record.sleep.is_none() && record.entry.version.is_unversioned() && !record.entry.is_nothing()
    }

    /// Changes made here in a share that only receives: they are not sent, and yield to the next version of a peer.
    pub(crate) fn deviations<'a>(&'a self, cx: &'a Context<F>) -> impl Iterator<Item = (&'a RelPath, &'a Record)> {
        let records = cx.store.share(&self.name).index.iter();
        records.filter(|(_, record)| self.is_deviation(record))
    }

    /// The paths that differ from a peer's by a choice of this node, or of the peer as far as this node can tell.
    pub(crate) fn own_left_out(&self, cx: &Context<F>, peers: &Peers<F>, id: LinkId) -> Map<RelPath, LeftOutPath> {
        let name = &self.name;
        let mut paths: Map<RelPath, LeftOutPath> = Map::new();
        let Some(link) = peers.links.get(&id) else { return paths };
        let (Some(life), Some(exchange)) = (link.life(), link.exchanges.get(name)) else { return paths };
        let node = life.node;
        let state = cx.store.share(name);
        let deletions = self.settings.deletions.sends();
        for (path, record) in state.index.iter() {
            let live = record.entry.is_live();
            let choice = match record.sleep {
                _ if record.entry.is_nothing() => None,
                Some(Sleep::Filtered) => Some(Choice::Filter),
                Some(Sleep::TooLarge) => Some(Choice::TooLarge),
                Some(Sleep::Skipped) if !self.detect.skipped.listed.contains_key(path) => {
                    let above = path.ancestors().find_map(|dir| self.detect.skipped.listed.get(&dir)?.choice());
                    Some(above.unwrap_or(Choice::Symlink))
                }
                Some(_) => None,
                None if !live && record.disk.is_some_and(|disk| disk.kind == Kind::Dir) => Some(Choice::KeptDir),
                None if live && exchange.their_filter.as_ref().is_some_and(|filter| !filter.holds(path)) => {
                    Some(Choice::Filter)
                }
                None if may_go(record, exchange.offers, deletions, life) || record.from == Some(life) => None,
                None if !live && !deletions => Some(Choice::Deletion),
                None => Some(Choice::Direction),
            };
            if let Some(choice) = choice {
                paths.insert(path.clone(), LeftOutPath { choice, reason: None });
            }
        }
        let owed = state.owed.iter().filter(|((owner, _), _)| *owner == node);
        let owed = owed.map(|((_, path), owed)| (path, &owed.reason));
        for (path, reason) in owed.chain(self.detect.skipped.listed.iter()) {
            if let Some(choice) = reason.choice() {
                paths.insert(path.clone(), LeftOutPath { choice, reason: Some(reason.clone()) });
            }
        }
        paths
    }

    /// How many paths differ between this node and a peer by choice: those that this node knows, and those that the peer
    /// counts.
    pub(crate) fn left_out_between(&self, cx: &Context<F>, peers: &Peers<F>, id: LinkId) -> LeftOut {
        let name = &self.name;
        let Some(exchange) = peers.links.get(&id).and_then(|link| link.exchanges.get(name)) else {
            return LeftOut::default();
        };
        let own = self.own_left_out(cx, peers, id);
        let mut left_out = self.counted(&own);
        let mut there = exchange.left_out_there;
        for (path, reason) in &exchange.paths_there {
            if let (Some(choice), true) = (reason.choice(), own.contains_key(path)) {
                there.remove(choice);
            }
        }
        left_out.add_all(&there);
        left_out
    }

    /// How many paths these are, and those that are skipped beyond what is listed.
    pub(crate) fn counted(&self, paths: &Map<RelPath, LeftOutPath>) -> LeftOut {
        let mut left_out = self.detect.skipped.more;
        paths.values().for_each(|one| left_out.add(one.choice));
        left_out
    }
}
