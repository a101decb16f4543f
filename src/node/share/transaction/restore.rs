//! Brings previous versions back, as a change of this node like any other.
//!
//! It takes the way that a peer's batch takes: through the journal, past whoever writes meanwhile, with what it replaces
//! to history and a notice to whoever uses the files. So a crash completes it, and it travels.

use crate::fs::apply::{Seen, in_turn};
use crate::fs::form::Content;
use crate::fs::{Attributes, Fs, FsError, Root};
use crate::model::{Digest, Direction, Entry, Hasher, Kind, Reason, RelPath, Stamp, Version, WallTime, limits};
use crate::node::api::{Fault, Reply, Tree};
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::transaction::apply::{Landing, attributes_of, reason_of, seen_in, stage_text};
use crate::node::share::transaction::prepared::{Prepared, PreparedStep};
use crate::node::share::transaction::record::NotBegun;
use crate::node::share::transaction::step::Outcome;
use crate::node::{CommandId, Output};
use crate::reconcile::{self, edit_stamp};
use crate::store::history::{History, Item, Room};
use crate::store::state::{Cause, LandingStep, Why};

impl<F: Fs> Share<F> {
    /// Begins to bring former versions back; the answer comes when they are in place.
    ///
    /// # Errors
    /// The answer, when it cannot begin: nothing has changed then.
    pub(crate) fn restore_items(
        &mut self,
        cx: &mut Context<F>,
        command: Option<CommandId>,
        cause: Cause,
        items: &[Item],
        left: Vec<RelPath>,
    ) -> Result<(), Reply> {
        self.restore_all(cx, Wanted { command, cause, left, text: None }, items)
    }

    /// Begins to put a content in place that is not in the history, under the name of a version.
    ///
    /// # Errors
    /// The answer, when it cannot begin: nothing has changed then.
    pub(crate) fn restore_text(
        &mut self,
        cx: &mut Context<F>,
        command: CommandId,
        cause: Cause,
        item: &Item,
        text: &[u8],
    ) -> Result<(), Reply> {
        let wanted = Wanted { command: Some(command), cause, left: Vec::new(), text: Some(text) };
        self.restore_all(cx, wanted, std::slice::from_ref(item))
    }

    fn restore_all(&mut self, cx: &mut Context<F>, wanted: Wanted<'_>, items: &[Item]) -> Result<(), Reply> {
        let Wanted { command, cause, left, text } = wanted;
        let name = &self.name;
        let state = |text: String| Reply::failed(Fault::State, text);
        if cx.hold_of(name).is_some() && cause != Cause::TakenBack {
            return Err(state(format!("the share {name} is held: `owsync status` says what to do")));
        }
        if let Some(reply) = cx.unwritable() {
            return Err(reply);
        }
        if self.is_leaving() {
            return Err(Reply::failed(Fault::NotFound, format!("there is no share {name}")));
        }
        if self.transaction.landing.is_some() {
            return Err(state(format!("a change of the share {name} is being applied: try again")));
        }
        let mut items: Vec<&Item> = items.iter().collect();
        items
            .sort_unstable_by(|a, b| in_turn((a.kind, !a.had_content(), &a.path), (b.kind, !b.had_content(), &b.path)));
        let mut steps: Vec<PreparedStep> = Vec::with_capacity(items.len());
        for item in items {
            match self.restore_step(cx, cause, item, text) {
                Ok((step, seen)) => steps.push(PreparedStep { step, seen, noted: None }),
                Err(reason) => {
                    steps.iter().for_each(|one| self.leftovers(one.step.staged.as_ref()));
                    if cause == Cause::TakenBack {
                        self.note_refused(cx, &item.path, &reason);
                    }
                    return Err(Reply::failed(Fault::System, format!("{}: {reason}", item.path)));
                }
            }
        }
        let staged: Vec<RelPath> = steps.iter().filter_map(|one| one.step.staged.clone()).collect();
        let prepared =
            Prepared { cause, from: None, confirm: 0, batch: None, command, left, moved: 0, on_disk: true, steps };
        if let Err(why) = self.begin_transaction(cx, prepared) {
            staged.iter().for_each(|staged| self.leftovers(Some(staged)));
            let reply = match why {
                NotBegun::Database => cx.unwritable(),
                NotBegun::Refused(path, reason) => Some(Reply::failed(Fault::System, format!("{path}: {reason}"))),
                NotBegun::Vanished => None,
            };
            return Err(
                reply.unwrap_or_else(|| Reply::failed(Fault::System, "its temporary files were removed: try again"))
            );
        }
        cx.stirred = true;
        Ok(())
    }

    /// One path on its way back, its content staged and flushed.
    fn restore_step(
        &mut self,
        cx: &mut Context<F>,
        cause: Cause,
        item: &Item,
        text: Option<&[u8]>,
    ) -> Result<(LandingStep, Option<Seen>), Reason> {
        let name = &self.name;
        let other = |text: &str| Reason::Other(text.into());
        let formed = self.form_restored(cx, cause, item, text)?;
        let state = cx.store.share(name);
        let before = state.index.get(&item.path);
        if before.is_some_and(|record| record.sleep.is_some()) {
            return Err(other("the present file is not synced"));
        }
        let replaced_stamp = before.map(|record| record.final_stamp(cx.now.wall));
        let before = before.map(|record| record.entry.clone());
        let seen = seen_in(&state.index, &item.path);
        let past = state.meta.past;
        let number = cx.store.next_number(cx.now.wall);
        let me = cx.store.state().me.clone();
        let gone = || other("the directory of its share cannot be opened");
        if !self.filter.holds_as(&item.path, item.kind) {
            return Err(other("the filter of this share leaves it out"));
        }
        let root = self.root.as_ref().ok_or_else(gone)?;
        let settings = &self.settings;
        // Where only mode, owner or time differ, the content stays where it is.
        let on_disk = formed.as_ref().map_or(item.digest, |formed| formed.local.unwrap_or(formed.form.0));
        let same = |seen: &Seen| seen.stat.kind == item.kind && seen.digest == on_disk;
        let replaced = seen.filter(|seen| seen.stat.kind != Kind::Dir && !same(seen));
        let lies_there = seen.as_ref().is_some_and(same);
        self.staging.check(root);
        if let Some(old) = replaced {
            if cx.history.room(old.digest, old.stat.size, Why::Given, settings.min_free) == Room::Full {
                return Err(Reason::HistoryFull);
            }
        }
        Context::<F>::has_room(root, item.size, settings.min_free)
            .map_err(|free| Reason::NoRoom { need: item.size, free })?;
        // As an edit: whoever edits what has a version has seen it, past or no past.
        let versioned = past || before.as_ref().is_some_and(|entry| !entry.version.is_unversioned());
        let versioned = versioned && settings.direction != Direction::Receive;
        // What goes back unconfirmed is just later than what it replaces: any correction of that is newer still.
        let written = if cause == Cause::TakenBack { WallTime(0) } else { cx.now.wall };
        let stamp = edit_stamp(me.rank, written, cx.now.wall, replaced_stamp);
        let stamp = if versioned { stamp } else { Stamp { rank: 0, ..stamp } };
        let entry = Entry {
            kind: item.kind,
            digest: formed.as_ref().map_or(item.digest, |formed| formed.form.0),
            size: formed.as_ref().map_or(item.size, |formed| formed.form.1),
            mtime: match (item.kind, cause) {
                (Kind::File, Cause::TakenBack) => item.mtime,
                (Kind::File, _) => cx.now.wall,
                _ => WallTime(0),
            },
            mode: if matches!(item.kind, Kind::File | Kind::Dir) { item.mode } else { 0 },
            owner: item.owner.clone(),
            ..Entry::tombstone(Version::UNVERSIONED, stamp)
        };
        let mut entry = if versioned { entry.edited(before.as_ref(), me.state, number) } else { entry };
        if cause == Cause::Merged {
            let content = entry.content().join(&item.content);
            entry = entry.with_content(&content);
        }
        if let (Cause::TakenBack, Some(before), true) = (cause, &before, versioned) {
            // The author did not give it up, so it is kept there as well.
            entry.given_up = reconcile::rolled_back(before, me.state);
        }
        let mut staged = None;
        if (entry.has_content() && !lies_there) || replaced.is_some() {
            staged = Some(self.staging.name(root).map_err(|error| Reason::Unwritable(error.cause()))?);
        }
        if let (Some(staged), true) = (&staged, entry.has_content()) {
            let attributes: Attributes = attributes_of(&cx.fs, &entry, settings.allow_setuid);
            let brought = match (&formed, text) {
                (Some(formed), _) => stage_text(root, staged, &formed.text, attributes),
                (None, Some(text)) => stage_text(root, staged, text, attributes),
                (None, None) => bring(&cx.history, item, root, staged, attributes),
            };
            if let Err(refusal) = brought {
                let _ = root.remove(staged);
                return Err(reason_of(refusal.into()));
            }
        }
        let why = replaced.map(|_| if cause == Cause::TakenBack { Why::RolledBack } else { Why::Given });
        let path = item.path.clone();
        let local = formed.as_ref().and_then(|formed| formed.local);
        let drops_local = formed.is_some_and(|formed| !formed.dropped.is_empty());
        let old = replaced.map(|old| old.digest);
        Ok((LandingStep { path, entry, staged, old, why, local, drops_local }, seen))
    }

    /// A landing of this node's own is over: whoever asked for it hears what came of it.
    pub(crate) fn answer_request(&mut self, cx: &mut Context<F>, landing: &Landing) {
        let name = &self.name;
        let Some(id) = landing.command else { return };
        let list = |done: bool| -> Vec<Tree> {
            let of = |op: &&crate::node::share::transaction::step::Op| {
                matches!(op.outcome, Outcome::Done | Outcome::Noted) == done
            };
            let paths = landing.ops.iter().filter(of).take(limits::REPLY_PATHS);
            paths.map(|op| Tree::Text(op.step.path.to_text())).collect()
        };
        let (done, mut left) = (list(true), list(false));
        left.extend(landing.left.iter().take(limits::REPLY_PATHS).map(|path| Tree::Text(path.to_text())));
        let reply = if done.is_empty() {
            Reply::failed(Fault::State, "the file changed at the same moment: check it, then try again")
        } else {
            let tree = Tree::map().with("share", name.to_string()).with("run", landing.run).with("paths", done);
            Reply::Done(tree.with("unchanged", left))
        };
        cx.outputs.push_back(Output::Reply { id, reply });
    }

    /// The same, when it was refused.
    pub(crate) fn fail_request(&mut self, cx: &mut Context<F>, landing: &Landing, path: &RelPath, reason: &Reason) {
        if let Some(id) = landing.command {
            let reply = Reply::failed(Fault::System, format!("{path}: {reason}"));
            cx.outputs.push_back(Output::Reply { id, reply });
        }
    }
}

impl<F: Fs> Context<F> {
    pub fn unwritable(&self) -> Option<Reply> {
        let error = &self.store_trouble.as_ref()?.error;
        Some(Reply::failed(Fault::System, format!("the database cannot be written: {error}")))
    }
}

/// What a restore is to do.
struct Wanted<'a> {
    /// Who asked for it and waits for the answer.
    command: Option<CommandId>,
    cause: Cause,
    /// Paths that were asked for and changed since, so they are left alone.
    left: Vec<RelPath>,
    /// The content, where it is not in the history.
    text: Option<&'a [u8]>,
}

/// Copies a former version to a new file, flushed.
fn bring<R: Root>(
    history: &History<R>,
    item: &Item,
    root: &R,
    staged: &RelPath,
    attributes: Attributes,
) -> Result<(), FsError> {
    let content = Content::open(history.root(), &history.object(item.digest)?, Kind::File)?;
    let mut buffer = vec![0; limits::STEP];
    if item.kind == Kind::Symlink {
        let count = content.read(history.root(), 0, &mut buffer)?;
        if Digest::of(&buffer[..count]) != item.digest {
            return Err(FsError::new("verify the digest of", Some(&item.path), libc::EIO));
        }
        return root.make_link(staged, &buffer[..count]);
    }
    let file = root.create(staged)?;
    let mut hasher = Hasher::new();
    loop {
        let count = content.read(history.root(), hasher.fed(), &mut buffer)?;
        if count == 0 {
            break;
        }
        root.write(&file, hasher.fed(), &buffer[..count])?;
        hasher.update(&buffer[..count]);
    }
    // What other nodes are told must be what is put in place here.
    if hasher.finish() != item.digest {
        return Err(FsError::new("verify the digest of", Some(&item.path), libc::EIO));
    }
    root.set_file(&file, attributes)?;
    root.sync(&file)
}
