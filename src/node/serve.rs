//! Supplying content that peers ask for, in order and in bounded steps.

use crate::fs::Fs;
use crate::fs::form::Content;
use crate::fs::scan::Hint;
use crate::model::{Now, Reason, ShareName, limits};
use crate::node::link::{Offers, Serving};
use crate::node::{LinkId, Node};
use crate::proto::message::{Chunk, Message, Piece};

impl<F: Fs> Node<F> {
    /// A peer asks for content.
    pub(crate) fn handle_request(&mut self, now: Now, id: LinkId, name: &ShareName, pieces: Vec<Piece>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let sends = link.exchanges.get(name).is_some_and(|exchange| exchange.offers != Offers::Nothing);
        if !sends {
            self.misbehaved(now, id, format!("a request in the share {name}, which it has no part in"));
            return;
        }
        if link.serving.len() + pieces.len() > limits::SERVE_MAX {
            self.misbehaved(now, id, "too many requests at a time".into());
            return;
        }
        link.serving.extend(pieces.into_iter().map(|piece| Serving { share: name.clone(), piece, sent: 0 }));
    }

    /// Supplies about `budget` bytes of what was asked for.
    pub(crate) fn serve_on(&mut self, now: Now, id: LinkId, budget: usize) {
        let mut left = budget;
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut filled = 0;
        loop {
            let Some(link) = self.links.get_mut(&id) else { return };
            if left == 0 || link.is_full() {
                break;
            }
            let Some(serving) = link.serving.front() else { break };
            let (name, piece, sent) = (serving.share.clone(), serving.piece.clone(), serving.sent);
            let room = limits::DATA_MAX - filled;
            // A head costs about this much in a record.
            const HEAD: usize = 24;
            if room <= HEAD {
                link.session.send(&Message::Data(std::mem::take(&mut chunks)));
                filled = 0;
                continue;
            }
            let want = usize::try_from(piece.length - sent).unwrap_or(usize::MAX).min(room - HEAD);
            match self.read_piece(now, id, &name, &piece, sent, want) {
                Ok(bytes) => {
                    let Some(link) = self.links.get_mut(&id) else { return };
                    filled += bytes.len() + HEAD;
                    // Opening a small file costs about as much as reading a page of it.
                    left = left.saturating_sub(bytes.len().max(4096));
                    self.counters.supplied += bytes.len() as u64;
                    self.counters.supplied_files += u64::from(piece.offset == 0 && sent == 0);
                    let done = sent + bytes.len() as u64 == piece.length;
                    match link.serving.front_mut() {
                        Some(front) if !done => front.sent += bytes.len() as u64,
                        _ => {
                            link.serving.pop_front();
                        }
                    }
                    chunks.push(Chunk { id: piece.id, offset: piece.offset + sent, bytes });
                }
                Err(reason) => {
                    let Some(link) = self.links.get_mut(&id) else { return };
                    link.serving.pop_front();
                    link.open_file = None;
                    if !chunks.is_empty() {
                        link.session.send(&Message::Data(std::mem::take(&mut chunks)));
                        filled = 0;
                    }
                    link.session.send(&Message::Unavailable { id: piece.id, reason });
                }
            }
        }
        if let Some(link) = self.links.get_mut(&id) {
            if !chunks.is_empty() {
                link.session.send(&Message::Data(chunks));
            }
        }
    }

    /// Reads part of a piece, if the file is still what was offered.
    fn read_piece(
        &mut self,
        now: Now,
        id: LinkId,
        name: &ShareName,
        piece: &Piece,
        sent: u64,
        want: usize,
    ) -> Result<Vec<u8>, Reason> {
        let share = self.shares.get_mut(name).ok_or(Reason::ShareHeld)?;
        let root = share.root.as_ref().ok_or(Reason::ShareHeld)?;
        // The filter holds for requests as for offers: what is not offered is not supplied.
        let record = self.store.state().shares.get(name).and_then(|state| state.index.get(&piece.path));
        let record = record.filter(|record| {
            record.sleep.is_none() && record.entry.has_content() && record.entry.digest == piece.digest
        });
        let Some(record) = record.filter(|_| share.filter.holds(&piece.path)) else {
            return Err(Reason::Other("it changed".into()));
        };
        let changed = || Reason::Other("it changed".into());
        let link = self.links.get_mut(&id).ok_or_else(changed)?;
        let kept = matches!(&link.open_file, Some((share, path, digest, _)) if share == name && *path == piece.path && *digest == piece.digest);
        if !kept {
            let content = Content::open(root, &piece.path, record.entry.kind)
                .map_err(|error| if error.is_missing() { changed() } else { Reason::Unreadable(error.cause()) })?;
            if !record.disk.is_some_and(|disk| disk.unchanged(&content.stat())) {
                // Written since it was looked at: look again, and offer what is there then.
                share.hints.add(now.mono, Hint { path: piece.path.clone(), deep: false });
                return Err(changed());
            }
            link.open_file = Some((name.clone(), piece.path.clone(), piece.digest, content));
        }
        let Some((_, _, _, content)) = &link.open_file else { return Err(changed()) };
        let mut bytes = vec![0; want];
        let count =
            content.read(root, piece.offset + sent, &mut bytes).map_err(|error| Reason::Unreadable(error.cause()))?;
        if count < want {
            share.hints.add(now.mono, Hint { path: piece.path.clone(), deep: false });
            return Err(changed());
        }
        Ok(bytes)
    }
}
