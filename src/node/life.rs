//! How a node begins, and how it ends.

use std::collections::VecDeque;

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{Map, Monotonic, Now, limits};
use crate::node::api::Level;
use crate::node::{LinkId, Node, Parts, api, expire};
use crate::store::News;

impl<F: Fs> Node<F> {
    /// A node of these parts. It opens its shares at the first [`Node::work`].
    pub fn new(parts: Parts<F>, now: Now) -> Node<F> {
        let mut node = Node {
            instance: parts.rng.mark(),
            introduced: Vec::new(),
            mesh_stirred: false,
            fs: parts.fs,
            settings: parts.settings,
            store: parts.store,
            history: parts.history,
            identity: parts.identity,
            rng: parts.rng,
            tag: parts.tag,
            reserved: parts.reserved,
            settled_at: parts.settled_at,
            started: now.mono,
            attended: parts.attended,
            token: parts.token,
            shares: Map::new(),
            links: Map::new(),
            next_link: 1,
            dials: Map::new(),
            waiting: Map::new(),
            next_batch: 1,
            next_run: 1,
            next_check: 1,
            outputs: VecDeque::new(),
            verbose: true,
            events: VecDeque::new(),
            not_kept: VecDeque::new(),
            not_kept_count: 0,
            held_news: Default::default(),
            store_trouble: None,
            next_expiry: now.mono.plus(limits::EXPIRY_EVERY),
            next_resume: Monotonic::NEVER,
            clock: expire::Clock::new(now),
            syncs: Vec::new(),
            next_sync: 1,
            previews: Vec::new(),
            comparisons: Vec::new(),
            counters: api::Counters::default(),
            stirred: true,
            again: false,
            renewals: VecDeque::new(),
            peer_lines: Map::new(),
            stranger_lines: Default::default(),
        };
        node.next_run = node.history.items().map(|item| item.run).max().unwrap_or(0) + 1;
        let set_back = parts.news.iter().any(|news| matches!(news, News::SetBack));
        for news in parts.news {
            node.report_news(&news);
        }
        node.set_up_shares(now, set_back);
        node.set_up_introduced();
        node.set_up_dials(now);
        node.retire_the_unconfigured();
        node.settle(now);
        node
    }

    /// Ends every session and writes everything down, as well as it goes.
    pub fn shut_down(&mut self, now: Now) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for id in links {
            self.say_bye(now, id, Trouble::EndedHere("this node is shutting down"));
        }
        for (name, share) in self.shares.iter_mut() {
            share.drop_broken(Monotonic::NEVER);
            // A landing that has begun is completed at the next start; what is staged for others is removed now.
            let Some(root) = &share.root else { continue };
            let batches = std::mem::take(&mut share.batches);
            let landing = share.landing.as_ref().and_then(|landing| landing.batch);
            for (id, batch) in batches {
                if landing != Some(id) {
                    batch.offers.into_values().for_each(|pending| pending.content.discard(root));
                }
            }
            if self.store.state().shares.get(name).is_some_and(|state| state.landing.is_none()) {
                share.staging.close(root);
            }
        }
        self.note_scans(None);
        let folded = if self.store.has_unfolded() { self.store.fold() } else { Ok(()) };
        if let Err(error) = folded.and_then(|()| self.history.commit()) {
            self.log(Level::Error, format!("the database could not be written at shutdown: {error}"));
        }
    }

    fn report_news(&mut self, news: &News) {
        match news {
            News::Fresh => {}
            News::Imported { entries } => self.log(Level::Notice, format!("took over the database of owsync 1.x with {entries} paths")),
            News::Damaged { aside, why } => {
                self.log(Level::Error, format!("the database was damaged ({why}) and is kept as {aside}: this node goes on as one without a past, which loses nothing"));
            }
            News::DroppedLines { bytes } => self.log(Level::Warning, format!("the last {bytes} bytes of the journal were not whole and were dropped: what they said is found again")),
            News::SetBack => self.log(Level::Warning, "the database was restored from a backup or copied: it goes on under a new state id".into()),
        }
    }
}
