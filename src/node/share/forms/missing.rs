//! Fetches shared forms that this node should have stored and does not have.
//!
//! A package whose current shared form is unknown sleeps, because it could not be told which of its options are local. A peer
//! may have that very content: as its own, or among its previous versions. Each peer is asked once per session.

use crate::fs::Fs;
use crate::fs::scan::Hint;
use crate::model::{Digest, Direction, Map, Record, RelPath, limits};
use crate::node::LinkId;
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::link::Sample;
use crate::node::share::Share;
use crate::proto::message::{Message, Piece};

/// Shared forms that are missing, by the paths of their packages.
pub(crate) type MissingForms = Map<RelPath, Missing>;

/// A shared form that is missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    digest: Digest,
    size: u64,
    /// Sessions in which it was asked for.
    asked: Vec<LinkId>,
    /// The request that was not answered yet.
    open: Option<(LinkId, u32)>,
}

impl<F: Fs> Share<F> {
    /// Notes that the shared form of a record is missing.
    pub(crate) fn note_missing(&mut self, path: &RelPath, record: &Record) {
        let (digest, size) = (record.entry.digest, record.entry.size);
        if self.forms.missing.get(path).is_none_or(|known| known.digest != digest) {
            self.forms.missing.insert(path.clone(), Missing { digest, size, asked: Vec::new(), open: None });
        }
    }

    /// Asks peers for missing forms, one peer at a time.
    pub(crate) fn ask_for_forms(&mut self, peers: &mut Peers<F>) {
        for (path, missing) in self.forms.missing.iter_mut() {
            let is_open = |(id, number): (LinkId, u32)| {
                peers.links.get(&id).is_some_and(|link| link.samples.contains_key(&number))
            };
            if missing.size > limits::PACKAGE_KEPT as u64 || missing.open.is_some_and(is_open) {
                continue;
            }
            missing.open = None;
            let links = peers.links.iter_mut().filter(|(id, link)| link.is_admitted() && !missing.asked.contains(id));
            let mut willing = links.filter(|(_, link)| {
                let exchange = link.exchanges.get(&self.name);
                let offers = exchange.is_some_and(|one| one.heard_all && one.theirs.direction != Direction::Observe);
                offers && link.samples.len() < limits::ASKS_MAX
            });
            let Some((id, link)) = willing.next() else { continue };
            let number = link.next_request;
            link.next_request = link.next_request.wrapping_add(1);
            let size = usize::try_from(missing.size).unwrap_or(usize::MAX);
            link.samples.insert(number, Sample { bytes: Vec::new(), size });
            let piece =
                Piece { id: number, path: path.clone(), digest: missing.digest, offset: 0, length: missing.size };
            link.say(Message::Request { share: self.name.clone(), pieces: vec![piece] });
            missing.asked.push(*id);
            missing.open = Some((*id, number));
        }
    }

    /// A peer sent what it was asked for, or cannot; whether that was a missing form of this share.
    pub(crate) fn receive_form(
        &mut self,
        cx: &mut Context<F>,
        link: LinkId,
        number: u32,
        content: Option<&[u8]>,
    ) -> bool {
        let asked = self.forms.missing.iter_mut().find(|(_, missing)| missing.open == Some((link, number)));
        let Some((path, missing)) = asked else { return false };
        let path = path.clone();
        missing.open = None;
        cx.stirred = true;
        let Some(content) = content.filter(|content| Digest::of(content) == missing.digest) else { return true };
        self.forms.missing.remove(&path);
        let Some(record) = cx.store.index_mut(&self.name).and_then(|index| index.get_mut(&path)) else { return true };
        let (digest, is_stored) = (record.entry.digest, record.local.is_some());
        if Digest::of(content) != digest {
            return true;
        }
        record.young = true;
        let stored = if is_stored { cx.store_form(content).map(|_| true) } else { Ok(false) };
        let kept = cx.packages.put(&self.name, &path, digest, content.into());
        match stored {
            Err(error) => {
                let text = format!("share {}: the shared form of {path} cannot be stored: {error}", self.name);
                cx.log(Level::Error, text);
            }
            Ok(false) if !kept => {}
            Ok(_) => {
                let text = format!("share {}: {path}: a peer supplied its missing shared form", self.name);
                cx.log(Level::Notice, text);
                self.detect.hints.add(cx.now.mono, Hint { path, deep: false });
            }
        }
        true
    }
}
