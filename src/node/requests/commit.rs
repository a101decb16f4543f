//! Begins commits: finds the share that is meant, and its changes.

use crate::fs::Fs;
use crate::model::{RelPath, ShareName};
use crate::node::api::{CommitRequest, Fault, Reply};
use crate::node::share::commit::Wish;
use crate::node::{CommandId, Node};

impl<F: Fs> Node<F> {
    /// Begins a commit; the answer, unless that comes when it is decided.
    pub(crate) fn commit(&mut self, id: CommandId, request: CommitRequest) -> Option<Reply> {
        self.begin_commit(id, request).unwrap_or_else(Some)
    }

    fn begin_commit(&mut self, id: CommandId, request: CommitRequest) -> Result<Option<Reply>, Reply> {
        let mut paths = Vec::new();
        let mut named = request.share.clone();
        for word in request.what.iter().filter(|word| word.contains([':', '/'])) {
            let (share, path) = path_of(word)?;
            if share.is_some() && named.is_some() && share != named {
                return Err(Reply::failed(Fault::Argument, SEVERAL));
            }
            named = share.or(named);
            paths.push(path);
        }
        let mut deltas = request.deltas;
        let share = match named {
            Some(share) => share,
            None if deltas.is_empty() => self.named_or_only(None)?,
            None => self.share_of_packages(&deltas.keys().cloned().collect::<Vec<_>>())?,
        };
        if !paths.is_empty() && !deltas.is_empty() {
            return Err(Reply::failed(Fault::Argument, "commit either UCI packages or files: one after the other"));
        }
        let share = self.named_or_only(Some(&share))?;
        let Some(machine) = self.shares.get_mut(&share) else { return Ok(None) };
        if request.what.is_empty() {
            // What belongs to other shares, or to none, is not meant.
            deltas.retain(|path, _| machine.is_package(path) && machine.filter.holds(path));
        }
        let CommitRequest { without, by_hand, dry_run, wait, .. } = request;
        let wish = Wish { deltas, paths, without, by_hand, dry_run, wait };
        machine.begin_commit(&mut self.cx, &mut self.peers, id, wish)
    }

    /// The share that has these packages.
    fn share_of_packages(&self, packages: &[RelPath]) -> Result<ShareName, Reply> {
        let mut found: Option<&ShareName> = None;
        for package in packages {
            let mut holders =
                self.shares.iter().filter(|(_, share)| share.is_package(package) && share.filter.holds(package));
            let Some((name, _)) = holders.next() else { continue };
            if found.is_some_and(|other| other != name) {
                return Err(Reply::failed(Fault::Argument, SEVERAL));
            }
            found = Some(name);
        }
        let list = packages.iter().map(RelPath::to_text).collect::<Vec<_>>().join(" ");
        let none = || {
            let text = format!("no share has the changed packages ({list}): commit them with `uci commit`");
            Reply::failed(Fault::NotFound, text)
        };
        found.cloned().ok_or_else(none)
    }
}

const SEVERAL: &str = "the changes are in several shares: commit those of one share after the other (--share NAME)";

/// `SHARE:PATH`, or a path in the only share.
fn path_of(word: &str) -> Result<(Option<ShareName>, RelPath), Reply> {
    let wrong = || Reply::failed(Fault::Argument, format!("{word} is neither a UCI package nor SHARE:PATH"));
    let (share, path) = match word.split_once(':') {
        Some((share, path)) => (Some(ShareName::parse(share).ok_or_else(wrong)?), path),
        None => (None, word),
    };
    Ok((share, RelPath::parse(path.as_bytes()).map_err(|_| wrong())?))
}
