//! What differs between a content here and what a peer has: asked for, read into memory, compared, forgotten.
//!
//! Three steps: the peer says what it has at the path; where that is another content, which lies neither here nor in
//! history, it is asked for as content is that lands, at most [`limits::DIFF_FILE`] bytes of it; and both are compared.
//! Nothing of it is staged, recorded or kept.

use crate::fs::Fs;
use crate::model::{Digest, Entry, Kind, Monotonic, Now, PeerName, Reason, RelPath, ShareName, limits};
use crate::node::api::{Fault, Former, Reply, Tree};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::link::{Link, Sample};
use crate::node::requests::versions::{Named, Text};
use crate::node::{CommandId, LinkId, Node, Output};
use crate::proto::message::{Chunk, Message, Piece};
use crate::uci::PackageName;

/// A comparison that waits for a peer.
pub(crate) struct Comparison {
    command: CommandId,
    link: LinkId,
    /// The question, or the content asked for, that it waits for.
    waits_for: u32,
    share: ShareName,
    path: RelPath,
    ours: Named,
    /// The package, where it is compared option by option.
    package: Option<PackageName>,
    /// What the peer said it has, once it did.
    theirs: Option<Entry>,
    deadline: Monotonic,
}

/// What is compared with what a peer has.
pub(crate) struct Ours {
    pub share: ShareName,
    pub path: RelPath,
    /// A former version of it; `None`: what lies there now.
    pub number: Option<u64>,
    /// Compared as UCI packages, option by option.
    pub options: bool,
}

impl<F: Fs> Peers<F> {
    fn end_comparison(&mut self, cx: &mut Context<F>, one: Comparison, text: Text) {
        let label = self.peer_label(cx, one.link);
        let digest = one.theirs.as_ref().map(|entry| entry.digest);
        let theirs = Named { name: format!("{label}/{}:{}", one.share, one.path), digest, text };
        let tree =
            Tree::map().with("share", one.share.to_string()).with("path", one.path.to_text()).with("peer", label);
        let reply = Node::<F>::differences(tree, one.package.as_ref(), &theirs, &one.ours);
        cx.answer(one.command, reply);
    }
}

impl<F: Fs> Context<F> {
    /// A content of this digest that lies here, so that it need not travel.
    fn content_at_hand(&self, one: &Comparison, digest: Digest) -> Option<Text> {
        if digest == Digest::of(b"") {
            return Some(Text::Whole(Vec::new()));
        }
        match &one.ours.text {
            Text::Whole(bytes) if Digest::of(bytes) == digest => return Some(Text::Whole(bytes.clone())),
            _ => {}
        }
        let item = self.history.items().find(|item| item.digest == digest)?;
        self.text_of(item).ok().map(|named| named.text)
    }

    fn answer(&mut self, id: CommandId, reply: Reply) {
        self.outputs.push_back(Output::Reply { id, reply });
    }
}

impl<F: Fs> Node<F> {
    /// Begins to compare what lies here with what a peer has; `None` when the answer comes later.
    pub(crate) fn compare_with_peer(
        &mut self,
        now: Now,
        command: CommandId,
        ours: Ours,
        peer: &PeerName,
    ) -> Option<Reply> {
        self.begin_comparison(now, command, ours, peer).err()
    }

    fn begin_comparison(
        &mut self,
        now: Now,
        command: CommandId,
        Ours { share, path, number, options }: Ours,
        peer: &PeerName,
    ) -> Result<(), Reply> {
        if !self.knows_peer(peer) {
            return Err(Reply::failed(Fault::NotFound, format!("there is no peer {peer}")));
        }
        let named = |(id, link): &(&LinkId, &Link<F::Root>)| {
            link.is_admitted()
                && (link.section.as_ref() == Some(peer) || *self.peers.peer_label(&self.cx, **id) == *peer.0)
        };
        let Some((id, link)) = self.peers.links.iter().find(named) else {
            return Err(Reply::failed(Fault::State, format!("{peer} is not connected")));
        };
        if !link.exchanges.contains_key(&share) {
            return Err(Reply::failed(Fault::State, format!("{peer} does not take part in the share {share}")));
        }
        let id = *id;
        let package = if options { Some(self.package_to_compare(&share, &path)?) } else { None };
        let ours = match number {
            Some(number) => {
                let (share, path) = (Some(share.clone()), path.clone());
                self.cx.text_of(&self.former(&Former::At { share, path, number })?)?
            }
            None => self.current_text(&share, &path)?,
        };
        let busy = || Reply::failed(Fault::State, "too many comparisons are in progress: try again");
        if self.comparisons.len() >= limits::COMPARISONS_MAX {
            return Err(busy());
        }
        let waits_for = self.peers.ask_for(id, &share, vec![path.clone()]).ok_or_else(busy)?;
        let deadline = now.mono.plus(limits::ASK_TIME);
        let one = Comparison { command, link: id, waits_for, share, path, ours, package, theirs: None, deadline };
        self.comparisons.push(one);
        Ok(())
    }

    /// The peer said what it has.
    pub(crate) fn compare_on(&mut self, link: LinkId, number: u32, theirs: Option<Entry>) {
        let Some(mut one) = self.take_comparison(link, number) else { return };
        let text = match &theirs {
            None => Text::Nothing,
            Some(entry) if !entry.is_live() => Text::Nothing,
            Some(entry) if entry.kind == Kind::Dir => {
                let text = format!("{} has a directory at this path", self.peers.peer_label(&self.cx, link));
                return self.cx.answer(one.command, Reply::failed(Fault::State, text));
            }
            Some(entry) if entry.size > limits::DIFF_FILE => Text::Large(entry.size),
            Some(entry) => match self.cx.content_at_hand(&one, entry.digest) {
                Some(text) => text,
                None => {
                    let (path, size) = (one.path.clone(), usize::try_from(entry.size).unwrap_or(usize::MAX));
                    let Some(link) = self.peers.links.get_mut(&link) else { return };
                    let id = link.next_request;
                    link.next_request = link.next_request.wrapping_add(1);
                    link.samples.insert(id, Sample { bytes: Vec::new(), size });
                    let piece = Piece { id, path, digest: entry.digest, offset: 0, length: entry.size };
                    link.say(Message::Request { share: one.share.clone(), pieces: vec![piece] });
                    one.waits_for = id;
                    one.theirs = theirs;
                    self.comparisons.push(one);
                    return;
                }
            },
        };
        one.theirs = theirs;
        self.peers.end_comparison(&mut self.cx, one, text);
    }

    /// Bytes of a content that is to be compared; whether it was asked for.
    pub(crate) fn take_sample(&mut self, now: Now, id: LinkId, chunk: &Chunk) -> bool {
        let Some(link) = self.peers.links.get_mut(&id) else { return false };
        let Some(sample) = link.samples.get_mut(&chunk.id) else { return false };
        let left = sample.size - sample.bytes.len();
        if chunk.offset != sample.bytes.len() as u64 || chunk.bytes.is_empty() || chunk.bytes.len() > left {
            self.misbehaved(now, id, "content out of place".into());
            return true;
        }
        sample.bytes.extend_from_slice(&chunk.bytes);
        if chunk.bytes.len() == left {
            let bytes = link.samples.remove(&chunk.id).map(|sample| sample.bytes).unwrap_or_default();
            self.end_sample(id, chunk.id, Ok(bytes));
        }
        true
    }

    /// The peer cannot supply a content that is to be compared.
    pub(crate) fn lack_sample(&mut self, id: LinkId, number: u32, reason: &Reason) {
        let sample = self.peers.links.get_mut(&id).and_then(|link| link.samples.remove(&number));
        if sample.is_some() {
            self.end_sample(id, number, Err(reason.to_string()));
        }
    }

    /// A content that is to be compared is here, or will not come.
    fn end_sample(&mut self, link: LinkId, number: u32, sample: Result<Vec<u8>, String>) {
        let content = sample.as_deref().ok();
        if self.previews.iter_mut().any(|preview| preview.contents.receive(link, number, content)) {
            return;
        }
        if self.shares.values_mut().any(|share| share.receive_form(&mut self.cx, link, number, content)) {
            return;
        }
        let Some(one) = self.take_comparison(link, number) else { return };
        let expected = one.theirs.as_ref().map_or(Digest::NONE, |entry| entry.digest);
        let label = self.peers.peer_label(&self.cx, link);
        match sample {
            Ok(bytes) if Digest::of(&bytes) == expected => {
                self.peers.end_comparison(&mut self.cx, one, Text::Whole(bytes));
            }
            Ok(_) => {
                self.cx
                    .answer(one.command, Reply::failed(Fault::State, format!("{label}: the file changed: try again")));
            }
            Err(why) => {
                let text = format!("{label} cannot send the file: {why}; known of it: {}", known(&one));
                self.cx.answer(one.command, Reply::failed(Fault::State, text));
            }
        }
    }

    /// Answers what has waited for too long, or whose peer left.
    pub(crate) fn time_comparisons(&mut self, now: Now) {
        let mut index = 0;
        while let Some(one) = self.comparisons.get(index) {
            let here = self.peers.links.get(&one.link).is_some_and(Link::is_admitted);
            if here && now.mono < one.deadline {
                index += 1;
                continue;
            }
            let one = self.comparisons.remove(index);
            let label = self.peers.peer_label(&self.cx, one.link);
            let text = match &one.theirs {
                _ if !here => "the peer disconnected".to_string(),
                None => {
                    format!("{label} does not respond: it is busy, or its version of owsync does not support this")
                }
                Some(_) => format!("{label} does not send the file; known of it: {}", known(&one)),
            };
            self.cx.answer(one.command, Reply::failed(Fault::State, text));
        }
    }

    /// When the next comparison must be answered.
    pub(crate) fn comparisons_timeout(&self) -> Monotonic {
        self.comparisons.iter().map(|one| one.deadline).min().unwrap_or(Monotonic::NEVER)
    }

    fn take_comparison(&mut self, link: LinkId, number: u32) -> Option<Comparison> {
        let at = self.comparisons.iter().position(|one| one.link == link && one.waits_for == number)?;
        Some(self.comparisons.remove(at))
    }
}

/// What can be said of a content that is not here.
fn known(one: &Comparison) -> String {
    match &one.theirs {
        Some(entry) => format!("{} of {} bytes, written {}", entry.kind.word(), entry.size, entry.mtime),
        None => "nothing".into(),
    }
}
