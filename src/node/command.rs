//! What people ask for, sorted to whoever does it.

use crate::fs::Fs;
use crate::model::{Now, PeerName, ShareName};
use crate::node::api::{Command, Fault, Reply, Tree};
use crate::node::context::Context;
use crate::node::lists::Wanted;
use crate::node::peers::Peers;
use crate::node::requests::compare::Ours;
use crate::node::requests::pause::Wish;
use crate::node::requests::preview::Of;
use crate::node::share::Share;
use crate::node::share::forms::listed::LocalRows;
use crate::node::{CommandId, Node, Output};

impl<F: Fs> Node<F> {
    /// Does what somebody asks.
    pub(crate) fn command(&mut self, now: Now, id: CommandId, command: Command) {
        let reply = match self.with_peer_meant(command) {
            Err(reply) => reply,
            Ok(command) => match self.obey(now, id, command) {
                Some(reply) => reply,
                // The answer comes when it is done.
                None => return,
            },
        };
        self.cx.outputs.push_back(Output::Reply { id, reply });
    }

    /// The same command, with the peer that its word means.
    fn with_peer_meant(&self, command: Command) -> Result<Command, Reply> {
        Ok(match command {
            Command::Sync { peer, share, dry_run, wait } => {
                Command::Sync { peer: self.peer_meant(peer)?, share, dry_run, wait }
            }
            Command::DiffPeer { peer, share, path, number, options } => {
                Command::DiffPeer { peer: PeerName(self.who(&peer.0)?.label.into()), share, path, number, options }
            }
            other => other,
        })
    }

    fn obey(&mut self, now: Now, id: CommandId, command: Command) -> Option<Reply> {
        Some(match command {
            Command::Commit(request) => self.commit(id, *request)?,
            Command::Local { share, path, all } => {
                let which = if all { LocalRows::All } else { LocalRows::Local };
                self.local(share.as_ref(), path.as_ref(), which)
            }
            Command::ShareLocal { pattern, yes } => self.share_local(&pattern, yes),
            Command::Files { share, from } => self.with_share(share, |node, name| node.files(&name, from.as_ref())),
            Command::Sync { peer, share, dry_run: true, .. } => {
                self.preview(now, id, share.as_ref(), Of::Sync { peer })?
            }
            Command::Approve { share, path, pick, dry_run: true } => {
                self.preview_one(now, id, share, Of::Approve { path, pick })?
            }
            Command::Reject { share, path, dry_run: true } => self.preview_one(now, id, share, Of::Reject { path })?,
            Command::Sync { peer, share, wait, .. } => self.sync(now, id, peer, share, wait)?,
            Command::Pause { peer, share, reason, seconds } => self.pause(now, &Wish { peer, share }, reason, seconds),
            Command::Resume { peer, share } => self.resume(now, &Wish { peer, share }),
            Command::Approve { share, path, pick, .. } => {
                self.in_share(share, |share, cx, peers| share.approve(cx, peers, path.as_ref(), pick))
            }
            Command::Reject { share, path, .. } => {
                self.in_share(share, |share, cx, peers| share.reject(cx, peers, path.as_ref()))
            }
            Command::Log { share, path, why, node, limit } => {
                let wanted = Wanted { share, path, why, node };
                self.log_tree(&wanted, limit)
            }
            Command::Show { version } => self.with_former(&version, |node, item| node.show(&item)),
            Command::Diff { version, with, options } => {
                self.with_former(&version, |node, item| node.compare(&item, with.as_ref(), options))
            }
            Command::DiffPeer { peer, share, path, number, options } => {
                let begun = match self.named_or_only(share.as_ref()) {
                    Ok(share) => self.compare_with_peer(now, id, Ours { share, path, number, options }, &peer),
                    Err(reply) => Some(reply),
                };
                begun?
            }
            Command::Restore { version, options } => {
                let begun = match self.former(&version) {
                    Ok(item) if options.is_empty() => self.restore(id, &item),
                    Ok(item) => self.restore_options(id, &item, &options),
                    Err(reply) => Some(reply),
                };
                begun?
            }
            Command::Merge { version, dry_run } => {
                let begun = match self.former(&version) {
                    Ok(item) => self.merge_version(id, &item, dry_run),
                    Err(reply) => Some(reply),
                };
                begun?
            }
            Command::Confirm { share } => self.confirm(share.as_ref()),
            Command::Rollback { share } => self.roll_back(id, share.as_ref())?,
            Command::Undo { run } => self.undo_run(id, run)?,
            Command::Forget { share, path } => self.with_share(share, |node, name| node.cx.forget(&name, &path)),
            Command::Accept { peer } => self.accept(now, peer.as_deref()),
            Command::ForgetPeer { peer } => self.forget_peer(now, &peer),
            Command::Invite => self.invite(now),
            Command::Init => self.init(now),
            Command::NewIdentity => self.new_identity(now),
            Command::Identity => Reply::Done(Tree::from(&self.who_am_i())),
            Command::Metrics => Reply::Done(Tree::map().with("text", self.metrics(now))),
        })
    }

    fn preview_one(&mut self, now: Now, id: CommandId, share: Option<ShareName>, of: Of) -> Option<Reply> {
        match self.named_or_only(share.as_ref()) {
            Ok(name) => self.preview(now, id, Some(&name), of),
            Err(reply) => Some(reply),
        }
    }

    /// Has the share that is meant, the named one or the only one, do something.
    fn in_share(
        &mut self,
        share: Option<ShareName>,
        then: impl FnOnce(&mut Share<F>, &mut Context<F>, &mut Peers<F>) -> Reply,
    ) -> Reply {
        let name = match self.named_or_only(share.as_ref()) {
            Ok(name) => name,
            Err(reply) => return reply,
        };
        match self.shares.get_mut(&name) {
            Some(share) => then(share, &mut self.cx, &mut self.peers),
            None => Reply::failed(Fault::NotFound, format!("there is no share {name}")),
        }
    }

    /// The share that is meant: the named one, or the only one.
    fn with_share(&mut self, share: Option<ShareName>, then: impl FnOnce(&mut Self, ShareName) -> Reply) -> Reply {
        match self.named_or_only(share.as_ref()) {
            Ok(name) => then(self, name),
            Err(reply) => reply,
        }
    }

    pub(crate) fn named_or_only(&self, share: Option<&ShareName>) -> Result<ShareName, Reply> {
        let names: Vec<&ShareName> = self.shares.keys().collect();
        match (share, &names[..]) {
            (Some(name), _) if self.shares.contains_key(name) => Ok(name.clone()),
            (Some(name), _) => Err(Reply::failed(Fault::NotFound, format!("there is no share {name}"))),
            (None, [only]) => Ok((*only).clone()),
            (None, []) => Err(Reply::failed(Fault::NotFound, "there is no share")),
            (None, _) => Err(Reply::failed(Fault::Argument, "there are several shares: name one")),
        }
    }
}
