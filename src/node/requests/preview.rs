//! Previews `sync`, `approve` and `reject` (`dry_run`) without doing them.
//!
//! Three things are looked at. The disk here: a scan whose outcome is not recorded says what lies there and nobody
//! knows. The state here: what was not applied by whom, what is on its way, what is owed. And what peers said of
//! themselves. `would` puts that together. Nothing is written, offered, fetched or decided meanwhile, here or there; the
//! files of the shares are read, as any scan reads them.

use crate::fs::Fs;
use crate::fs::scan::{Scan, Scanned};
use crate::model::{Entry, Map, Monotonic, NodeId, Now, PeerName, RelPath, Set, ShareName, limits};
use crate::node::api::{Fault, Pick, Reply};
use crate::node::context::{Context, Noticed, Seen};
use crate::node::peers::link::Link;
use crate::node::requests::options::Contents;
use crate::node::share::Share;
use crate::node::{CommandId, LinkId, Node, Output};
use crate::reconcile::safety::ScanCounts;

/// A question what would happen, while it is being answered.
pub(crate) struct Preview {
    command: CommandId,
    pub of: Of,
    pub shares: Vec<ShareName>,
    /// Shares that are still to be looked at.
    unseen: Vec<ShareName>,
    /// Questions to peers that are not answered; `asks` until they are asked.
    pub asked: Vec<(LinkId, u32)>,
    asks: bool,
    /// What was seen in the others.
    pub seen: Map<ShareName, Seen>,
    /// What peers said they have at paths, where they were asked.
    pub told: Map<(NodeId, ShareName, RelPath), Option<Entry>>,
    pub deadline: Monotonic,
    /// What it compares by option.
    pub contents: Contents,
}

/// Of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Of {
    Sync { peer: Option<PeerName> },
    Approve { path: Option<RelPath>, pick: Option<Pick> },
    Reject { path: Option<RelPath> },
}

impl<F: Fs> Share<F> {
    /// Begins to look at a share without recording what is seen, unless it is being looked at.
    fn peek(&mut self, cx: &mut Context<F>) {
        let name = &self.name.clone();
        // Before its first scan nothing is known that anything could be compared with.
        let known = self.is_ready() || cx.store.share(name).meta.hold.is_some();
        if self.detect.scan.is_some() || self.root.is_none() || !known {
            return;
        }
        self.detect.generation = self.detect.generation.wrapping_add(1);
        self.detect.scan = Some(Scan::new(self.detect.generation, None, cx.now));
        self.detect.peeks = true;
    }

    /// A look at a share is over: what it saw goes to whoever asked.
    pub(crate) fn take_peek(&mut self, cx: &mut Context<F>, scanned: &Scanned) {
        let name = &self.name.clone();
        let counts = ScanCounts { moved: self.moved_within(cx, scanned), ..scanned.counts };
        let guard = self.guard(cx, counts).filter(|_| cx.hold_of(name).is_none());
        let mut noticed = Vec::new();
        let state = cx.store.share(name);
        for path in &scanned.gone {
            let Some(record) = state.index.get(path) else { continue };
            let after = Entry::tombstone(record.entry.version.clone(), record.entry.stamp);
            noticed.push(Noticed { path: path.clone(), before: Some(record.entry.clone()), after });
        }
        for (path, finding) in scanned.found.iter() {
            let record = state.index.get(path);
            let (after, same) = cx.entry_of(record, finding);
            if !same {
                noticed.push(Noticed { path: path.clone(), before: record.map(|record| record.entry.clone()), after });
            }
        }
        noticed.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        cx.peeks.push((name.clone(), Seen { noticed, guard }));
    }
}

impl<F: Fs> Node<F> {
    /// Begins to find out what would happen; `None` when the answer comes later.
    pub(crate) fn preview(&mut self, now: Now, command: CommandId, share: Option<&ShareName>, of: Of) -> Option<Reply> {
        if share.is_some_and(|name| !self.shares.contains_key(name)) {
            return Some(Reply::failed(Fault::NotFound, "there is no such share"));
        }
        if matches!(&of, Of::Sync { peer: Some(name) } if !self.knows_peer(name)) {
            return Some(Reply::failed(Fault::NotFound, "there is no such peer"));
        }
        if self.previews.len() >= limits::PREVIEWS_MAX {
            return Some(Reply::failed(Fault::State, "too many previews are in progress: try again"));
        }
        let names =
            self.shares.iter().filter(|(name, one)| !one.is_leaving() && share.is_none_or(|only| only == *name));
        let shares: Vec<ShareName> = names.map(|(name, _)| name.clone()).collect();
        // What is picked, or owed, lies in memory; a share is looked at where what lies in it counts.
        let unseen = match &of {
            Of::Sync { .. } => shares.clone(),
            Of::Approve { path: None, pick: None } | Of::Reject { path: None } => {
                shares.iter().filter(|name| self.cx.hold_of(name).is_some()).cloned().collect()
            }
            Of::Approve { .. } | Of::Reject { .. } => Vec::new(),
        };
        let deadline = now.mono.plus(limits::PREVIEW_TIME);
        self.previews.push(Preview {
            command,
            of,
            shares,
            unseen,
            asked: Vec::new(),
            asks: true,
            seen: Map::new(),
            told: Map::new(),
            deadline,
            contents: Contents::default(),
        });
        None
    }

    /// Goes on with what is asked for; answers what is complete.
    pub(crate) fn continue_previews(&mut self, now: Now) {
        for (name, seen) in std::mem::take(&mut self.cx.peeks) {
            for preview in self.previews.iter_mut().filter(|preview| preview.unseen.contains(&name)) {
                preview.unseen.retain(|unseen| *unseen != name);
                preview.seen.insert(name.clone(), seen.clone());
            }
        }
        let mut index = 0;
        while let Some(preview) = self.previews.get(index) {
            let late = now.mono >= preview.deadline;
            for name in preview.unseen.clone() {
                if let Some(share) = self.shares.get_mut(&name) {
                    share.peek(&mut self.cx);
                }
            }
            let Some(preview) = self.previews.get_mut(index) else { return };
            let shares = &self.shares;
            // What cannot be opened cannot be looked at.
            preview.unseen.retain(|name| shares.get(name).is_some_and(|share| share.root.is_some()));
            if !late && !preview.unseen.is_empty() {
                index += 1;
                continue;
            }
            if preview.asks && preview.unseen.is_empty() {
                preview.asks = false;
                let asked = self.ask_peers(index);
                let Some(preview) = self.previews.get_mut(index) else { return };
                preview.asked = asked;
                preview.deadline = now.mono.plus(limits::ASK_TIME);
                continue;
            }
            let links = &self.peers.links;
            preview.asked.retain(|(link, _)| links.get(link).is_some_and(Link::is_admitted));
            if !preview.asked.is_empty() && now.mono < preview.deadline {
                index += 1;
                continue;
            }
            if !preview.contents.collected && preview.unseen.is_empty() {
                self.collect_contents(index, now.mono);
                continue;
            }
            let links = &self.peers.links;
            preview.contents.asked.retain(|(link, _)| links.get(link).is_some_and(Link::is_admitted));
            if !preview.contents.asked.is_empty() && now.mono < preview.deadline {
                index += 1;
                continue;
            }
            let preview = self.previews.remove(index);
            let reply = if preview.unseen.is_empty() {
                self.would(&preview)
            } else {
                Reply::failed(Fault::State, "the files of the share are still being scanned: try again")
            };
            self.cx.outputs.push_back(Output::Reply { id: preview.command, reply });
        }
    }

    /// Asks those who are there what they have where something would happen to it.
    fn ask_peers(&mut self, index: usize) -> Vec<(LinkId, u32)> {
        let Some(preview) = self.previews.get(index) else { return Vec::new() };
        let only = match &preview.of {
            Of::Sync { peer } => peer.as_ref(),
            Of::Approve { .. } | Of::Reject { .. } => None,
        };
        let mut questions = Vec::new();
        for name in &preview.shares {
            let noticed = preview.seen.get(name).map(|seen| &seen.noticed[..]).unwrap_or_default();
            for who in self.counterparts(name, only) {
                let Some(link) = who.link else { continue };
                let paths: Set<&RelPath> =
                    self.in_question(name, &who, noticed, &preview.of).take(limits::REPLY_PATHS).collect();
                let mut some = Vec::new();
                let mut size = 0;
                for path in paths.iter() {
                    size += path.as_bytes().len();
                    if some.len() >= limits::ASK_PATHS || size > limits::ASK_BYTES && !some.is_empty() {
                        questions.push((link, name.clone(), std::mem::take(&mut some)));
                        size = path.as_bytes().len();
                    }
                    some.push((*path).clone());
                }
                if !some.is_empty() {
                    questions.push((link, name.clone(), some));
                }
            }
        }
        questions
            .into_iter()
            .filter_map(|(link, name, paths)| Some((link, self.peers.ask_for(link, &name, paths)?)))
            .collect()
    }

    /// When the next preview must be answered.
    pub(crate) fn previews_timeout(&self) -> Monotonic {
        self.previews.iter().map(|preview| preview.deadline).min().unwrap_or(Monotonic::NEVER)
    }
}
