//! Keeps a peer's batch in memory until it is applied or pending.

use std::collections::VecDeque;

use crate::fs::Root;
use crate::fs::stage::Incoming;
use crate::model::{Digest, Entry, Life, Map, Monotonic, Reason, RelPath, WallTime};
use crate::node::LinkId;
use crate::node::share::forms::applied::Formed;
use crate::node::share::transaction::check::Checks;
use crate::node::share::transaction::merge::Merging;
use crate::node::share::transfer::reuse::Copying;
use crate::proto::message::offer_size;
use crate::reconcile::FirstContact;
use crate::store::state::Owed;

/// Changes that one author made together, as one peer offered them.
pub(crate) struct Batch<R: Root> {
    /// Who offered it, and in which life of its database.
    pub from: Life,
    /// The session its content is asked on; `None` when that ended after everything had arrived.
    pub link: Option<LinkId>,
    /// What both sides knew of each other when it was offered.
    pub contact: FirstContact,
    /// When it was offered.
    pub opened: Monotonic,
    /// What is left of it.
    pub offers: Map<RelPath, Pending<R>>,
    /// A person let it pass the guards.
    pub by_person: bool,
    /// It belongs to the commit that is under way in the share.
    pub of_commit: bool,
    /// Not looked at before this time: a path was changing or locked.
    pub not_before: Monotonic,
    /// Paths whose content must be asked for, as far as they are still wanted.
    pub unasked: VecDeque<RelPath>,
    /// How often another process removed what was staged for it.
    pub vanished: usize,
    /// A landing found a path busy at this time first: it is tried again for a while.
    pub busy_since: Option<Monotonic>,
    /// What this machine's own checks said.
    pub checks: Checks,
    /// What its packages with local options become here.
    pub forms: Map<RelPath, Formed>,
    /// What it wants was looked for on this machine.
    pub sought: bool,
    /// Paths whose content is copied from elsewhere on this machine, in turn.
    pub copies: VecDeque<RelPath>,
}

/// One path of a batch.
pub(crate) struct Pending<R: Root> {
    /// What the peer has.
    pub entry: Entry,
    /// The peer's number of the change.
    pub seq: u64,
    /// The peer's number of the batch.
    pub batch: u64,
    /// Where its content is.
    pub content: Content<R>,
    /// What is applied instead of it, because this node changed the path as well.
    pub merging: Option<Box<Merging>>,
    /// It is recorded as owed, and stays so until it lands.
    pub owed: bool,
    /// The entry is this node's decision, made by the user, and not what the peer has.
    pub decided: bool,
    /// A user approved this very version where a guard held it, at a peer that is trusted with that.
    pub approved: bool,
}

impl<R: Root> Pending<R> {
    /// What was just offered, under these numbers of the change and its batch; `approved` by a user there.
    pub fn offered(entry: Entry, (seq, batch): (u64, u64), approved: bool) -> Pending<R> {
        let content = Content::Unneeded;
        Pending { entry, seq, batch, content, merging: None, owed: false, decided: false, approved }
    }

    /// As it is written down when it cannot land; what was staged for it is removed.
    pub fn give_up(self, root: Option<&R>, reason: Reason, since: WallTime) -> Owed {
        let (entry, seq, batch) = (self.entry.clone(), self.seq, self.batch);
        let (decided, approved) = (self.decided, self.approved);
        if let Some(root) = root {
            self.discard(root);
        }
        Owed { entry, seq, batch, reason, since, decided, approved }
    }

    /// Removes what is on disk of it.
    pub fn discard(self, root: &R) {
        self.content.discard(root);
        // What cannot be removed now is removed at the next start.
        if let Some(staged) = self.merging.and_then(|merging| merging.staged) {
            let _ = root.remove(&staged);
        }
    }

    /// Where the content that would be applied is staged.
    pub fn staged(&self) -> Option<&RelPath> {
        let merged = self.merging.as_ref().and_then(|merging| merging.staged.as_ref());
        merged.or(match &self.content {
            Content::Staged(staged) => Some(staged),
            _ => None,
        })
    }

    /// The digest of the content that would be applied.
    pub fn digest(&self) -> Digest {
        self.merging.as_ref().map_or(self.entry.digest, |merging| merging.entry.digest)
    }
}

/// Where a pending path's content is.
pub(crate) enum Content<R: Root> {
    /// Nothing must travel.
    Unneeded,
    /// At the peer.
    Wanted,
    /// On its way.
    Arriving(Box<Arriving<R>>),
    /// Being copied from elsewhere on this machine.
    Copying(Box<Copying<R>>),
    /// Staged and verified.
    Staged(RelPath),
}

/// Content on its way.
pub(crate) struct Arriving<R: Root> {
    /// What has arrived.
    pub incoming: Incoming<R>,
    /// Bytes asked for so far.
    pub asked: u64,
    /// When the last of it came, or was asked for.
    pub last: Monotonic,
}

impl<R: Root> Batch<R> {
    /// A batch without paths.
    pub fn new(from: Life, link: LinkId, contact: FirstContact, now: Monotonic) -> Batch<R> {
        Batch {
            from,
            link: Some(link),
            contact,
            opened: now,
            offers: Map::new(),
            by_person: false,
            of_commit: false,
            not_before: Monotonic(0),
            unasked: VecDeque::new(),
            vanished: 0,
            busy_since: None,
            checks: Checks::default(),
            forms: Map::new(),
            sought: false,
            copies: VecDeque::new(),
        }
    }

    /// Adds a path; `arrived` is content of it that an earlier offer brought.
    pub fn add(&mut self, path: RelPath, mut pending: Pending<R>, wanted: bool, arrived: Option<Content<R>>) {
        if wanted {
            pending.content = arrived.unwrap_or(Content::Wanted);
            match pending.content {
                Content::Wanted => self.unasked.push_back(path.clone()),
                Content::Copying(_) => self.copies.push_back(path.clone()),
                Content::Unneeded | Content::Arriving(_) | Content::Staged(_) => {}
            }
        }
        self.offers.insert(path, pending);
    }

    /// Whether everything it needs is here.
    pub fn is_complete(&self) -> bool {
        self.offers.values().all(|pending| matches!(pending.content, Content::Unneeded | Content::Staged(_)))
    }

    /// Bytes of its changes, as a message counts them.
    pub fn bytes(&self) -> usize {
        self.offers.iter().map(|(path, pending)| offer_size(path, &pending.entry)).sum()
    }

    /// The lowest number of its changes that only the session's memory knows of.
    pub fn lowest_unowed(&self) -> Option<u64> {
        self.offers.values().filter(|pending| !pending.owed && !self.of_commit).map(|pending| pending.seq).min()
    }

    /// The lowest number of its changes.
    pub fn lowest(&self) -> Option<u64> {
        // What is committed is in no index, so it has no number.
        self.offers.values().filter(|_| !self.of_commit).map(|pending| pending.seq).min()
    }
}

impl<R: Root> Content<R> {
    /// Removes what is on disk of it.
    pub fn discard(self, root: &R) {
        match self {
            Content::Unneeded | Content::Wanted => {}
            Content::Arriving(arriving) => arriving.incoming.discard(root),
            Content::Copying(copying) => copying.discard(root),
            // What cannot be removed now is removed at the next start.
            Content::Staged(path) => drop(root.remove(&path)),
        }
    }
}
