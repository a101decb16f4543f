//! Asks a peer what it has at single paths, and answers such questions.
//!
//! Nothing follows from it but an answer to a person: nobody has heard, offered or applied anything by it. A node tells
//! what it would offer, whether it offered it or not: what its filter, its direction or a guard keeps back stays back.

use crate::fs::Fs;
use crate::model::{Map, Now, RelPath, ShareName, limits};
use crate::node::peers::Peers;
use crate::node::peers::exchange::Offers;
use crate::node::peers::link::Asked;
use crate::node::{LinkId, Node};
use crate::proto::message::{self, Message, Offer};

impl<F: Fs> Peers<F> {
    /// Asks a peer what it has at a few paths; the number of the question, unless too many wait for answers.
    pub(crate) fn ask_for(&mut self, id: LinkId, name: &ShareName, paths: Vec<RelPath>) -> Option<u32> {
        let link = self.links.get_mut(&id)?;
        if link.asked.len() >= limits::ASKS_MAX {
            return None;
        }
        let number = link.next_request;
        link.next_request = link.next_request.wrapping_add(1);
        let asked = Asked { share: name.clone(), paths: paths.iter().map(|path| (path.clone(), None)).collect() };
        link.asked.insert(number, asked);
        link.say(Message::Ask { id: number, share: name.clone(), paths });
        Some(number)
    }
}

impl<F: Fs> Node<F> {
    /// A peer asks what lies here.
    pub(crate) fn handle_ask(&mut self, id: LinkId, number: u32, name: &ShareName, paths: Vec<RelPath>) {
        let Some(link) = self.peers.links.get_mut(&id) else { return };
        if link.is_full() {
            // It asks faster than it reads.
            return;
        }
        let offers = link.exchanges.get(name).map_or(Offers::Nothing, |exchange| exchange.offers);
        let (share, state) = (self.shares.get(name), self.cx.store.state().shares.get(name));
        let deletions = share.is_some_and(|share| share.settings.deletions.sends());
        let mut entries = Vec::new();
        let mut size = 0;
        for path in paths {
            let record = state.and_then(|state| state.index.get(&path)).filter(|record| {
                if !share.is_some_and(|share| share.filter.holds_as(&path, record.entry.kind)) {
                    return false;
                }
                let shown = match offers {
                    Offers::All => true,
                    Offers::Relayed => !record.entry.version.is_unversioned(),
                    Offers::Nothing => false,
                };
                shown && record.sleep.is_none() && (deletions || record.entry.is_live())
            });
            let Some(record) = record else { continue };
            let more = message::offer_size(&path, &record.entry);
            if size + more > limits::DATA_MAX {
                link.say(Message::Tell { id: number, last: false, entries: std::mem::take(&mut entries) });
                size = 0;
            }
            size += more;
            entries.push(Offer {
                path,
                entry: record.entry.clone(),
                seq: record.seq,
                batch: record.seq,
                approved: false,
            });
        }
        link.say(Message::Tell { id: number, last: true, entries });
    }

    /// A peer says what it has where it was asked.
    pub(crate) fn handle_tell(&mut self, now: Now, id: LinkId, number: u32, last: bool, entries: Vec<Offer>) {
        let Some(link) = self.peers.links.get_mut(&id) else { return };
        let Some(asked) = link.asked.get_mut(&number) else {
            self.misbehaved(now, id, "an answer without a question".into());
            return;
        };
        let mut strange = false;
        for offer in entries {
            match asked.paths.get_mut(&offer.path) {
                Some(told) => *told = Some(offer.entry),
                None => strange = true,
            }
        }
        if strange {
            self.misbehaved(now, id, "entries that were not asked for".into());
            return;
        }
        if !last {
            return;
        }
        let (Some(asked), Some(node)) = (link.asked.remove(&number), link.node) else { return };
        let told: Map<RelPath, Option<_>> = asked.paths;
        for preview in self.previews.iter_mut().filter(|preview| preview.asked.contains(&(id, number))) {
            preview.asked.retain(|one| *one != (id, number));
            for (path, entry) in told.iter() {
                preview.told.insert((node, asked.share.clone(), path.clone()), entry.clone());
            }
        }
        if let Some((_, entry)) = told.into_iter().next() {
            self.compare_on(id, number, entry);
        }
    }
}
