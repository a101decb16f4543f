//! One share of a running node: its root, what is being looked at, what is on its way.

use std::collections::VecDeque;
use std::time::Duration;

use crate::fs::scan::{Hint, Rules, Scan};
use crate::fs::stage::Staging;
use crate::fs::{Place, Root};
use crate::model::reason::{Hold, LeftOut};
use crate::model::settings::{Reload, Settle, ShareSettings};
use crate::model::{Digest, Hasher, Map, Monotonic, NodeId, Reason, RelPath, Set, WallTime, limits};
use crate::node::batch::Batch;
use crate::node::broken::Broken;
use crate::node::delivery::{Delivery, Sent};
use crate::node::land::Landing;
use crate::node::send::Sending;
use crate::node::shrunk::Shrunk;
use crate::node::trial::Proving;
use crate::reconcile::filter::{Filter, Reserved};

/// A share of a running node. What must survive is in [`crate::store::state::ShareState`]; this is the rest.
pub(crate) struct Share<R: Root> {
    pub settings: ShareSettings,
    pub filter: Filter,
    /// `None` while it cannot be opened.
    pub root: Option<R>,
    pub place: Place,
    pub staging: Staging,
    /// A scan has completed since the share was opened: its index is what lies on disk.
    pub ready: bool,
    /// No scan has completed since this process started.
    pub unseen: bool,
    /// The database was set back, and this share was not looked at since.
    pub set_back: bool,
    /// A person asked for no exchange.
    pub paused: bool,
    /// It is no longer configured, or lies elsewhere by now: it only brings the landing to its end that has begun.
    pub leaving: bool,
    /// It lies elsewhere than when it was last looked at.
    pub moved: bool,
    /// The user's answer to the hold of this share, until the next scan.
    pub answer: Option<Answer>,
    /// Which paths the hold of this share concerns, and how; `None` before the first scan of this process.
    pub held_content: Option<Digest>,
    pub scan: Option<Scan<R>>,
    /// What the scan sees is told to whoever asked what would happen, and not recorded.
    pub peeks: bool,
    pub generation: u32,
    pub hints: Hints,
    pub next_poll: Monotonic,
    /// Paths that were young or restless when looked at.
    pub relook: Vec<RelPath>,
    pub relook_at: Monotonic,
    pub batches: Map<u64, Batch<R>>,
    /// Whose batch was last applied, or given up.
    pub last_from: Option<NodeId>,
    /// Which batch asks for a content, so that no two do.
    pub fetching: Map<(RelPath, Digest), u64>,
    pub sending: Sending,
    /// What transfers brought that broke off.
    pub broken: Map<RelPath, Broken<R>>,
    pub landing: Option<Landing>,
    /// The trial of what landed, if it landed in this process.
    pub proving: Option<Proving>,
    /// The greatest sequence number in the index.
    pub top: u64,
    pub skipped: Map<RelPath, Reason>,
    /// Grows whenever other paths are skipped, or for other reasons.
    pub skipped_round: u64,
    /// Skipped paths beyond those that are listed: by choice, and those that cannot be read.
    pub skipped_more: LeftOut,
    pub unreadable_more: u32,
    /// Changes made here that are on their way to the peers.
    pub deliveries: VecDeque<Delivery>,
    /// Those that last reached a peer, the newest last.
    pub sent: VecDeque<Sent>,
    /// Deletions recorded lately, and when.
    pub deletions: VecDeque<(Monotonic, u64)>,
    pub flaps: Flaps,
    /// Paths that are held, as far as they still sleep for it.
    pub held_paths: Set<RelPath>,
    /// UCI packages that are held because they lost sections: what was found.
    pub shrunk: Map<RelPath, Shrunk>,
    /// Contents of such packages that the user lets pass.
    pub let_through: Map<RelPath, Digest>,
    /// Paths at which the next scan gives up what is here, because the user rejected it.
    pub given_up: Set<RelPath>,
    /// Changes that waited for this path of this batch of this node need not wait for it any more.
    pub waits_over: Vec<(NodeId, u64, RelPath)>,
    /// Staged files of a landing that ended: they go once it is written down that it did, because until then a restart
    /// would take their absence for having landed.
    pub litter: Vec<RelPath>,
    /// Paths that changed here and for which something is owed.
    pub reconsider: Set<RelPath>,
    /// When the share was last looked at as a whole.
    pub last_scan: WallTime,
    /// Owed changes are tried again at this time.
    pub retry_at: Monotonic,
    /// How long the next wait for that is.
    pub retry_pause: Duration,
    /// Paths that changed while they were read, and how many reads in a row.
    pub restless: Map<RelPath, u32>,
    /// Whether changes on disk are announced, or must be found by looking.
    pub watched: bool,
    /// Paths that somebody else's unconfirmed change touches.
    pub withheld: Set<RelPath>,
}

impl<R: Root> Share<R> {
    pub fn new(settings: ShareSettings, reserved: &[Reserved], tag: u64) -> Share<R> {
        let filter = Filter::new(&settings.include, &settings.exclude, reserved);
        Share {
            settings,
            filter,
            root: None,
            place: Place::default(),
            staging: Staging::new(tag),
            ready: false,
            unseen: true,
            set_back: false,
            paused: false,
            leaving: false,
            moved: false,
            answer: None,
            held_content: None,
            scan: None,
            peeks: false,
            generation: 0,
            hints: Hints::default(),
            next_poll: Monotonic(0),
            relook: Vec::new(),
            relook_at: Monotonic::NEVER,
            batches: Map::new(),
            last_from: None,
            fetching: Map::new(),
            sending: Sending::default(),
            broken: Map::new(),
            landing: None,
            proving: None,
            top: 0,
            skipped: Map::new(),
            skipped_round: 0,
            skipped_more: LeftOut::default(),
            unreadable_more: 0,
            deliveries: VecDeque::new(),
            sent: VecDeque::new(),
            deletions: VecDeque::new(),
            flaps: Flaps::default(),
            held_paths: Set::new(),
            shrunk: Map::new(),
            let_through: Map::new(),
            given_up: Set::new(),
            waits_over: Vec::new(),
            litter: Vec::new(),
            reconsider: Set::new(),
            last_scan: WallTime(0),
            retry_at: Monotonic::NEVER,
            retry_pause: limits::RETRY_OWED,
            restless: Map::new(),
            watched: false,
            withheld: Set::new(),
        }
    }

    /// Lists a path that is skipped; whether it is new. What cannot be read takes the place of what is left out by choice.
    pub fn note_skipped(&mut self, path: &RelPath, reason: &Reason) -> bool {
        if self.skipped.len() >= limits::SKIPPED_MAX && !self.skipped.contains_key(path) {
            let choice = self.skipped.iter().find_map(|(path, reason)| Some((path.clone(), reason.choice()?)));
            match (reason.choice(), choice) {
                (Some(choice), _) => {
                    self.skipped_more.add(choice);
                    return false;
                }
                (None, None) => {
                    self.unreadable_more = self.unreadable_more.saturating_add(1);
                    return false;
                }
                (None, Some((other, choice))) => {
                    self.skipped.remove(&other);
                    self.skipped_more.add(choice);
                }
            }
        }
        self.skipped.insert(path.clone(), reason.clone()).is_none()
    }

    /// How many paths are skipped.
    pub fn skipped_count(&self) -> u64 {
        self.skipped.len() as u64 + self.skipped_more.total() + u64::from(self.unreadable_more)
    }

    /// What decides which paths a scan takes up.
    pub fn rules(&self) -> Rules<'_> {
        Rules {
            filter: &self.filter,
            symlinks: self.settings.symlinks,
            max_file_size: self.settings.max_file_size,
            withheld: &self.withheld,
            packages: self.settings.reload() == Reload::Uci,
        }
    }

    /// A digest of everything that decides which entries this node can know: another one means hearing all again.
    pub fn rules_digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(&self.filter.digest().0);
        hasher.update(&self.settings.max_file_size.to_be_bytes());
        hasher.update(self.settings.symlinks.word().as_bytes());
        hasher.finish()
    }

    /// Whether a path that a node offered is on its way here.
    pub fn is_coming(&self, from: NodeId, path: &RelPath) -> bool {
        self.batches.values().any(|batch| batch.from.node == from && batch.offers.contains_key(path))
    }

    /// Takes away batches, all but the one that is landing.
    pub fn take_batches(&mut self, which: impl Fn(&Batch<R>) -> bool) -> Vec<Batch<R>> {
        let landing = self.landing.as_ref().and_then(|landing| landing.batch);
        let ids = self.batches.iter().filter(|(id, batch)| landing != Some(**id) && which(batch));
        let ids: Vec<u64> = ids.map(|(id, _)| *id).collect();
        self.fetching.retain(|_, by| !ids.contains(by));
        ids.iter().filter_map(|id| self.batches.remove(id)).collect()
    }

    /// Files deleted within the guard's time.
    pub fn deleted_lately(&mut self, now: Monotonic) -> u64 {
        while self.deletions.front().is_some_and(|&(at, _)| now.since(at) >= limits::DELETE_GUARD_TIME) {
            self.deletions.pop_front();
        }
        self.deletions.iter().map(|&(_, count)| count).sum()
    }

    /// Notes deletions for the guard.
    pub fn note_deletions(&mut self, now: Monotonic, count: u64) {
        if count > 0 {
            self.deletions.push_back((now, count));
        }
        if self.deletions.len() > limits::FLAP_PATHS {
            // Sums are kept, only their times become coarser, to the safe side.
            let (_, first) = self.deletions.pop_front().unwrap_or((now, 0));
            if let Some((_, next)) = self.deletions.front_mut() {
                *next += first;
            }
        }
    }

    /// When to look at it next. What is hinted at does not matter while the root cannot be opened.
    pub fn look_at(&self, settle: Settle) -> Monotonic {
        match (&self.scan, &self.root) {
            (Some(_), _) => Monotonic::NEVER,
            _ if self.leaving => Monotonic::NEVER,
            (None, None) => self.next_poll,
            (None, Some(_)) => self.hints.due(settle).min(self.next_poll),
        }
    }

    /// When this share next has something to do by itself.
    pub fn poll_timeout(&self, settle: Settle) -> Monotonic {
        let batches = self
            .batches
            .values()
            .map(|batch| batch.not_before)
            .filter(|&at| at > Monotonic(0))
            .min()
            .unwrap_or(Monotonic::NEVER);
        let landing = self.landing.as_ref().map_or(Monotonic::NEVER, Landing::retry_at);
        let trial = self.proving.as_ref().map_or(Monotonic::NEVER, Proving::poll_timeout);
        self.look_at(settle)
            .min(self.relook_at)
            .min(self.retry_at)
            .min(batches)
            .min(landing)
            .min(trial)
            .min(self.broken_until())
    }
}

/// What the user answered to a hold.
///
/// An answer belongs to what the user was shown. It ends when the hold gets another reason, or concerns other paths: then
/// the user is asked again.
pub(crate) struct Answer {
    /// The hold that was shown.
    hold: Hold,
    /// What it concerned, if that was known.
    content: Option<Digest>,
    /// The peers' state is taken; otherwise what differs here becomes this node's edits.
    pub rejects: bool,
}

impl Answer {
    /// An answer to this hold.
    pub fn new(hold: Hold, content: Option<Digest>, rejects: bool) -> Answer {
        Answer { hold, content, rejects }
    }

    /// Whether it answers a hold as a scan has just found it.
    pub fn covers(&self, hold: &Hold, content: Digest) -> bool {
        match self.content {
            Some(answered) => self.hold.code() == hold.code() && answered == content,
            // After a restart only the reason and its numbers are known.
            None => self.hold == *hold,
        }
    }
}

/// Changed paths, until they have settled.
#[derive(Default)]
pub(crate) struct Hints {
    paths: Map<RelPath, bool>,
    /// So much changed, or so little is known, that everything must be looked at.
    all: bool,
    first: Option<Monotonic>,
    last: Monotonic,
}

impl Hints {
    /// A path changed; `deep`: also what is below it.
    pub fn add(&mut self, now: Monotonic, hint: Hint) {
        self.touch(now);
        if self.all {
            return;
        }
        *self.paths.get_or_insert(hint.path, false) |= hint.deep;
        if self.paths.len() > limits::HINTS_MAX {
            self.all = true;
            self.paths.clear();
        }
    }

    /// Anything may have changed.
    pub fn add_all(&mut self, now: Monotonic) {
        self.touch(now);
        self.all = true;
        self.paths.clear();
    }

    fn touch(&mut self, now: Monotonic) {
        self.first.get_or_insert(now);
        self.last = now;
    }

    /// When they have settled; [`Monotonic::NEVER`] when there are none.
    pub fn due(&self, settle: Settle) -> Monotonic {
        match self.first {
            None => Monotonic::NEVER,
            Some(first) => self.last.plus(settle.quiet).min(first.plus(settle.most)),
        }
    }

    /// Takes what settled: `Some(None)` for everything.
    pub fn take(&mut self) -> Option<Option<Vec<Hint>>> {
        self.first.take()?;
        let paths = std::mem::take(&mut self.paths);
        let all = std::mem::take(&mut self.all);
        Some((!all).then(|| paths.into_iter().map(|(path, deep)| Hint { path, deep }).collect()))
    }
}

/// Counts paths that change here and at a peer in turn.
///
/// Two programs that each rewrite what the other wrote would otherwise go on for ever, wearing out flash on every node.
/// Changes of one side alone do not count: a file that is written every second is a busy file, not a quarrel.
#[derive(Default)]
pub(crate) struct Flaps(Map<RelPath, Flap>);

struct Flap {
    since: Monotonic,
    turns: u32,
    here: bool,
}

impl Flaps {
    /// Notes a change of `path`, made here or landed from a peer; whether it now flaps.
    pub fn note(&mut self, now: Monotonic, path: &RelPath, here: bool) -> bool {
        if let Some(flap) = self.0.get_mut(path) {
            if now.since(flap.since) < limits::FLAP_TIME {
                flap.turns += u32::from(flap.here != here);
                flap.here = here;
                return flap.turns >= limits::FLAP_CHANGES;
            }
        }
        if self.0.len() >= limits::FLAP_PATHS {
            self.0.retain(|_, flap| now.since(flap.since) < limits::FLAP_TIME);
            if self.0.len() >= limits::FLAP_PATHS {
                return false;
            }
        }
        self.0.insert(path.clone(), Flap { since: now, turns: 1, here });
        false
    }

    /// A person let the path go on.
    pub fn forgive(&mut self, path: &RelPath) {
        self.0.remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn p(s: &str) -> RelPath {
        RelPath::parse(s.as_bytes()).unwrap()
    }

    /// F140: a quiet time above 2 s was cut without a word.
    #[test]
    fn changes_settle_but_not_for_ever() {
        let settle = Settle::default();
        let mut hints = Hints::default();
        assert_eq!(hints.due(settle), Monotonic::NEVER);
        hints.add(Monotonic(1000), Hint { path: p("a"), deep: false });
        hints.add(Monotonic(1150), Hint { path: p("a"), deep: true });
        assert_eq!(hints.due(settle), Monotonic(1350));
        for at in (1150..4000).step_by(100) {
            hints.add(Monotonic(at), Hint { path: p("b"), deep: false });
        }
        assert_eq!(hints.due(settle), Monotonic(3000));
        let slow = Settle { quiet: Duration::from_secs(60), most: Duration::from_secs(90) };
        assert_eq!(hints.due(slow), Monotonic(3950 + 60_000));
        assert_eq!(hints.due(Settle { most: Duration::from_secs(60), ..slow }), Monotonic(61_000));
        let taken = hints.take().unwrap().unwrap();
        assert_eq!(taken, [Hint { path: p("a"), deep: true }, Hint { path: p("b"), deep: false }]);
        assert!(hints.take().is_none());
    }

    #[test]
    fn too_many_hints_become_a_full_look() {
        let mut hints = Hints::default();
        for i in 0..=limits::HINTS_MAX {
            hints.add(Monotonic(0), Hint { path: p(&i.to_string()), deep: false });
        }
        assert_eq!(hints.take(), Some(None));
    }

    #[test]
    fn a_busy_file_is_no_quarrel_and_a_quarrel_is_stopped() {
        let mut flaps = Flaps::default();
        for at in 0..50 {
            assert!(!flaps.note(Monotonic(at * 1000), &p("log"), true));
        }
        let held =
            (0..20).map(|turn| flaps.note(Monotonic(turn * 1000), &p("dhcp"), turn % 2 == 0)).position(|held| held);
        assert_eq!(held, Some(9));
        // The same turns, slowly, are two people at work.
        let mut flaps = Flaps::default();
        assert!(!(0..40).any(|turn| flaps.note(Monotonic(turn * 10_000), &p("dhcp"), turn % 2 == 0)));
    }
}
