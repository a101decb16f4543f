//! Sends the content that a peer asked for, in the order of its requests and in bounded steps.

use crate::fs::Fs;
use crate::model::{Now, Reason, ShareName, limits};
use crate::node::peers::exchange::Offers;
use crate::node::peers::link::Serving;
use crate::node::{LinkId, Node};
use crate::proto::message::{Chunk, Message, Piece};

/// Why a peer that is offered nothing gets no content either.
const NOT_SENT: &str = "the direction of the share, or of this peer, is not to send";

impl<F: Fs> Node<F> {
    /// A peer asks for content.
    pub(crate) fn handle_request(&mut self, now: Now, id: LinkId, name: &ShareName, pieces: Vec<Piece>) {
        let Some(link) = self.peers.links.get_mut(&id) else { return };
        let Some(exchange) = link.exchanges.get(name) else {
            self.misbehaved(now, id, format!("a request in the share {name}, in which it does not take part"));
            return;
        };
        if exchange.offers == Offers::Nothing {
            // The peer cannot know: its question may be about a previous version.
            let lacks = |piece: Piece| Message::Unavailable { id: piece.id, reason: Reason::Other(NOT_SENT.into()) };
            pieces.into_iter().map(lacks).for_each(|message| link.say(message));
            return;
        }
        if link.serving.len() + pieces.len() > limits::SERVE_MAX {
            self.misbehaved(now, id, "too many requests at a time".into());
            return;
        }
        link.serving.extend(pieces.into_iter().map(|piece| Serving { share: name.clone(), piece, sent: 0 }));
    }

    /// Supplies about `budget` bytes of what was asked for.
    pub(crate) fn serve(&mut self, id: LinkId, budget: usize) {
        let mut left = budget;
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut filled = 0;
        loop {
            let Some(link) = self.peers.links.get_mut(&id) else { return };
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
            let share = self.shares.get_mut(&name).ok_or(Reason::ShareHeld);
            let bytes = share.and_then(|share| share.read_piece(&self.cx, &mut self.peers, id, &piece, sent, want));
            match bytes {
                Ok(bytes) => {
                    let Some(link) = self.peers.links.get_mut(&id) else { return };
                    filled += bytes.len() + HEAD;
                    // Opening a small file costs about as much as reading a page of it.
                    left = left.saturating_sub(bytes.len().max(4096));
                    self.cx.counters.supplied += bytes.len() as u64;
                    self.cx.counters.supplied_files += u64::from(piece.offset == 0 && sent == 0);
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
                    let Some(link) = self.peers.links.get_mut(&id) else { return };
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
        if let Some(link) = self.peers.links.get_mut(&id) {
            if !chunks.is_empty() {
                link.session.send(&Message::Data(chunks));
            }
        }
    }
}
