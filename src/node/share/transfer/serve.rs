//! Reads the content that peers ask for, if it is still what was offered.

use crate::fs::Fs;
use crate::fs::form::Content;
use crate::fs::scan::Hint;
use crate::model::{Kind, Reason};
use crate::node::LinkId;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::proto::message::Piece;
use crate::store::history::Item;
use crate::store::state::Why;

impl<F: Fs> Share<F> {
    /// Reads part of a piece, if the file is still what was offered.
    ///
    /// # Errors
    /// Why it cannot be supplied.
    pub(crate) fn read_piece(
        &mut self,
        cx: &Context<F>,
        peers: &mut Peers<F>,
        id: LinkId,
        piece: &Piece,
        sent: u64,
        want: usize,
    ) -> Result<Vec<u8>, Reason> {
        let name = &self.name;
        let root = self.root.as_ref().ok_or(Reason::ShareHeld)?;
        if let Some(staged) = self.committed_content(&piece.path, piece.digest) {
            let mut bytes = vec![0; want];
            let content = Content::open(root, &staged, Kind::File);
            let count = content.and_then(|content| content.read(root, piece.offset + sent, &mut bytes));
            let count = count.map_err(|error| Reason::Unreadable(error.cause()))?;
            return if count < want { Err(Reason::Other("it changed".into())) } else { Ok(bytes) };
        }
        // The filter holds for requests as for offers: what is not offered is not supplied.
        let record = cx.store.share(name).index.get(&piece.path);
        let record = record.filter(|record| {
            record.sleep.is_none() && record.entry.has_content() && record.entry.digest == piece.digest
        });
        let changed = || Reason::Other("it changed".into());
        if !self.filter.holds(&piece.path) {
            return Err(changed());
        }
        let Some(record) = record else { return self.read_previous(cx, piece, sent, want).ok_or_else(changed) };
        let link = peers.links.get_mut(&id).ok_or_else(changed)?;
        let kept = matches!(&link.open_file, Some((share, path, digest, _)) if share == name && *path == piece.path && *digest == piece.digest);
        if !kept {
            let content = match record.disk.filter(|_| record.local.is_some()) {
                // What belongs to this router is in the file, and not in its shared form.
                Some(disk) => {
                    let form = self.stored_form(cx, &piece.path, record).map_err(Reason::Unreadable)?;
                    Content::of_form(form.to_vec(), disk)
                }
                None => Content::open(root, &piece.path, record.entry.kind)
                    .map_err(|error| if error.is_missing() { changed() } else { Reason::Unreadable(error.cause()) })?,
            };
            if !record.disk.is_some_and(|disk| disk.unchanged(&content.stat())) {
                // Written since it was looked at: look again, and offer what is there then.
                self.detect.hints.add(cx.now.mono, Hint { path: piece.path.clone(), deep: false });
                return Err(changed());
            }
            link.open_file = Some((name.clone(), piece.path.clone(), piece.digest, content));
        }
        let Some((_, _, _, content)) = &link.open_file else { return Err(changed()) };
        let mut bytes = vec![0; want];
        let count =
            content.read(root, piece.offset + sent, &mut bytes).map_err(|error| Reason::Unreadable(error.cause()))?;
        if count < want {
            self.detect.hints.add(cx.now.mono, Hint { path: piece.path.clone(), deep: false });
            return Err(changed());
        }
        Ok(bytes)
    }

    /// Part of a previous version of a package, for a peer whose current shared form it is and that has lost it. Files that
    /// contain values of this router are no such versions.
    fn read_previous(&self, cx: &Context<F>, piece: &Piece, sent: u64, want: usize) -> Option<Vec<u8>> {
        let is_wanted = |item: &&Item| {
            let of_path = item.share == self.name && item.path == piece.path && item.kind == Kind::File;
            let was_shared = item.why != Why::Local && !item.version.is_unversioned();
            of_path && was_shared && item.digest == piece.digest
        };
        self.package_at(&piece.path)?;
        cx.history.items().find(is_wanted)?;
        let content = cx.history.content(piece.digest).ok()??;
        let from = usize::try_from(piece.offset + sent).ok()?;
        content.get(from..from.checked_add(want)?).map(<[u8]>::to_vec)
    }
}
