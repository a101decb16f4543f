//! Starts and ends a node.

use crate::fs::Fs;
use crate::model::reason::Trouble;
use crate::model::{Map, Monotonic, Now, limits};
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::{LinkId, Node, Parts};
use crate::store::News;

impl<F: Fs> Context<F> {
    fn report_news(&mut self, news: &News) {
        match news {
            News::Fresh => {}
            News::Imported { entries } => self.log(Level::Notice, format!("took over the database of owsync 1.x with {entries} paths")),
            News::Damaged { aside, why } => {
                self.log(Level::Error, format!("the database was damaged ({why}) and is kept as {aside}: continuing with an empty database; no file is lost"));
            }
            News::DroppedLines { bytes } => self.log(Level::Warning, format!("the last {bytes} bytes of the journal were incomplete and were dropped: their changes are detected again")),
            News::SetBack => self.log(Level::Warning, "the database was restored from a backup or copied: continuing with a new state id".into()),
        }
    }
}

impl<F: Fs> Node<F> {
    /// A node of these parts. It opens its shares at the first [`Node::work`].
    pub fn new(mut parts: Parts<F>, now: Now) -> Node<F> {
        let (news, reserved) = (std::mem::take(&mut parts.news), std::mem::take(&mut parts.reserved));
        let (tag, token, instance) = (parts.tag, parts.token, parts.rng.mark());
        let mut node = Node {
            cx: Context::new(parts, now),
            peers: Peers::new(instance, token),
            shares: Map::new(),
            tag,
            reserved,
            started: now.mono,
            next_expiry: now.mono.plus(limits::EXPIRY_EVERY),
            next_resume: Monotonic::NEVER,
            next_sync: 1,
            previews: Vec::new(),
            comparisons: Vec::new(),
            again: false,
        };
        let set_back = news.iter().any(|news| matches!(news, News::SetBack));
        for news in news {
            node.cx.report_news(&news);
        }
        node.sweep_history();
        node.set_up_shares(now, set_back);
        node.cx.set_up_introduced();
        node.set_up_dials(now);
        node.retire_the_unconfigured();
        node.settle(now);
        node
    }

    /// Removes contents that a crash left in the history without a line. An interrupted transaction may need them: then they
    /// stay until the next start.
    fn sweep_history(&mut self) {
        if self.cx.store.state().shares.values().any(|share| share.landing.is_some()) {
            return;
        }
        match self.cx.history.sweep() {
            Ok(0) => {}
            Ok(count) => {
                let text = format!("history: removed {count} incomplete versions that a crash had left");
                self.cx.log(Level::Notice, text);
            }
            Err(error) => {
                self.cx.log(Level::Warning, format!("history: files that a crash left cannot be removed: {error}"));
            }
        }
    }

    /// Ends every session and writes everything down, as well as it goes.
    pub fn shut_down(&mut self, now: Now) {
        self.cx.now = now;
        let links: Vec<LinkId> = self.peers.links.keys().copied().collect();
        for id in links {
            self.disconnect(now, id, Trouble::EndedHere("this node is shutting down"));
        }
        for share in self.shares.values_mut() {
            share.end_commit_at_shutdown(&mut self.cx, &mut self.peers);
        }
        for (name, share) in self.shares.iter_mut() {
            share.drop_partial(Monotonic::NEVER);
            // A landing that has begun is completed at the next start; what is staged for others is removed now.
            let Some(root) = &share.root else { continue };
            let batches = std::mem::take(&mut share.inbox.batches);
            let landing = share.transaction.landing.as_ref().and_then(|landing| landing.batch);
            for (id, batch) in batches {
                if landing != Some(id) {
                    batch.offers.into_values().for_each(|pending| pending.discard(root));
                }
            }
            if self.cx.store.state().shares.get(name).is_some_and(|state| state.landing.is_none()) {
                share.staging.close(root);
            }
        }
        self.note_scans(None);
        let folded = if self.cx.store.has_unfolded() { self.cx.store.fold() } else { Ok(()) };
        // The history is a file of its own, perhaps on another filesystem: it is written although the database cannot be.
        for (what, written) in [("database", folded), ("history", self.cx.history.commit())] {
            if let Err(error) = written {
                self.cx.log(Level::Error, format!("the {what} could not be written at shutdown: {error}"));
            }
        }
    }
}
