//! Former versions: shown, brought back, forgotten.

use crate::fs::apply::{self, Refusal};
use crate::fs::form::Content as FormContent;
use crate::fs::scan::Hint;
use crate::fs::{Attributes, Found, Fs, FsError, Rename, Root};
use crate::model::entry::SETID_BITS;
use crate::model::{Digest, Entry, Kind, Now, Reason, RelPath, ShareName, limits};
use crate::node::Node;
use crate::node::api::{DiffWith, Fault, Former, Level, Reply, Tree};
use crate::node::diff::{self, Side};
use crate::node::keep::Lost;
use crate::node::land::{reason_of, seen_in};
use crate::store::history::{History, Item, Room};
use crate::store::state::Why;

impl<F: Fs> Node<F> {
    /// The former version that is meant.
    pub(crate) fn with_former(&mut self, former: &Former, then: impl FnOnce(&mut Self, Item) -> Reply) -> Reply {
        match self.former(former) {
            Ok(item) => then(self, item),
            Err(reply) => reply,
        }
    }

    fn former(&self, former: &Former) -> Result<Item, Reply> {
        let (found, what) = match former {
            Former::Number(number) => (self.history.item(*number), format!("there is no version {number}")),
            Former::Newest { share, path } => {
                let name = self.named_or_only(share.as_ref())?;
                let newest = self.history.items().rev().find(|item| item.share == name && item.path == *path);
                (newest, format!("history holds nothing of {path}"))
            }
        };
        found
            .cloned()
            .ok_or_else(|| Reply::failed(Fault::NotFound, format!("{what}: `owsync log` lists what there is")))
    }

    pub(crate) fn show(&self, item: &Item) -> Reply {
        match self.history.object(item.digest) {
            Ok(object) => Reply::Done(self.item_tree(item).with("object", object.to_text())),
            Err(error) => Reply::failed(Fault::System, error.to_string()),
        }
    }

    /// What changed since a former version, or from one to another.
    pub(crate) fn compare(&self, item: &Item, with: Option<&DiffWith>) -> Reply {
        match self.compared(item, with) {
            Ok(tree) => Reply::Done(tree),
            Err(reply) => reply,
        }
    }

    fn compared(&self, item: &Item, with: Option<&DiffWith>) -> Result<Tree, Reply> {
        let old = self.text_of(item)?;
        let (new, number) = match with {
            Some(DiffWith::Former(former)) => {
                let other = self.former(former)?;
                (self.text_of(&other)?, Some(other.number))
            }
            Some(DiffWith::Current { share, path }) => {
                (self.current_text(&self.named_or_only(share.as_ref())?, path)?, None)
            }
            None => (self.current_text(&item.share, &item.path)?, None),
        };
        let tree = Tree::map()
            .with("share", item.share.to_string())
            .with("path", item.path.to_text())
            .with("from", item.number)
            .with_some("to", number);
        if let (Text::Large(_), _) | (_, Text::Large(_)) = (&old.text, &new.text) {
            let same = old.text.size() == new.text.size() && old.digest == new.digest;
            let text = format!(
                "{} and {} differ, and are too large to be compared: {} and {} bytes, at most {}\n",
                old.name,
                new.name,
                old.text.size(),
                new.text.size(),
                limits::DIFF_FILE
            );
            return Ok(tree.with("diff", if same { String::new() } else { text }).with("too_large", !same));
        }
        let diff = diff::diff(&old.side(), &new.side());
        Ok(tree.with("diff", diff.text).with("binary", diff.binary).with("truncated", diff.truncated))
    }

    /// The content of a former version.
    fn text_of(&self, item: &Item) -> Result<Named, Reply> {
        let failed = |error: FsError| Reply::failed(Fault::System, error.to_string());
        let name = format!("{}:{}@{}", item.share, item.path, item.number);
        let object = self.history.object(item.digest).map_err(failed)?;
        // The content of a symlink, its text, lies in history as a file too.
        let content = FormContent::open(self.history.root(), &object, Kind::File).map_err(failed)?;
        let text = read_text(self.history.root(), &content).map_err(failed)?;
        Ok(Named { name, digest: Some(item.digest), text })
    }

    /// What lies at a path now, as far as it is synced.
    fn current_text(&self, name: &ShareName, path: &RelPath) -> Result<Named, Reply> {
        let failed = |error: FsError| Reply::failed(Fault::System, error.to_string());
        let not_here = |what: &str| Reply::failed(Fault::State, format!("{path}: {what}"));
        let share = self.shares.get(name).filter(|share| !share.leaving);
        let share = share.ok_or_else(|| Reply::failed(Fault::NotFound, format!("there is no share {name}")))?;
        if !share.filter.holds(path) {
            return Err(not_here("the filter of this share leaves it out"));
        }
        let root = share.root.as_ref().ok_or_else(|| not_here("the directory of this share cannot be opened"))?;
        let text = match root.stat(path).map_err(failed)? {
            None => Text::Nothing,
            Some(Found::Synced(stat)) if matches!(stat.kind, Kind::File | Kind::Symlink) => {
                read_text(root, &FormContent::open(root, path, stat.kind).map_err(failed)?).map_err(failed)?
            }
            Some(_) => return Err(not_here("neither a file nor a symlink lies there")),
        };
        let record = self.store.state().shares.get(name).and_then(|state| state.index.get(path));
        Ok(Named { name: format!("{name}:{path}"), digest: record.map(|record| record.entry.digest), text })
    }

    /// Brings a former version back: a change of this node like any other.
    pub(crate) fn restore(&mut self, now: Now, item: &Item) -> Reply {
        let (name, number) = (item.share.clone(), item.number);
        if self.hold_of(&name).is_some() {
            return Reply::failed(Fault::State, format!("the share {name} is held"));
        }
        match self.put_back(now, item) {
            Ok(()) => {
                if let Some(share) = self.shares.get_mut(&name) {
                    share.hints.add(now.mono, Hint { path: item.path.clone(), deep: false });
                }
                self.log(
                    Level::Notice,
                    format!("share {name}: {} restored to version {number} by a person", item.path),
                );
                Reply::Done(
                    Tree::map()
                        .with("share", name.to_string())
                        .with("path", item.path.to_text())
                        .with("restored", number),
                )
            }
            Err(reason) => Reply::failed(Fault::System, format!("{}: {reason}", item.path)),
        }
    }

    /// Puts a former version in place of what lies there, which goes to history.
    fn put_back(&mut self, now: Now, item: &Item) -> Result<(), Reason> {
        let state = self.store.state().shares.get(&item.share);
        let seen = state.and_then(|state| seen_in(&state.index, &item.path));
        let record = state.and_then(|state| state.index.get(&item.path)).cloned();
        let gone = || Reason::Other("the directory of its share cannot be opened".into());
        let share = self.shares.get_mut(&item.share).filter(|share| !share.leaving).ok_or_else(gone)?;
        let root = share.root.as_ref().ok_or_else(gone)?;
        let replaced = seen.filter(|seen| seen.stat.kind != Kind::Dir);
        if let Some(seen) = replaced {
            let room = self.history.room(seen.digest, seen.stat.size, Why::Given, share.settings.min_free);
            if room == Room::Full {
                return Err(Reason::HistoryFull);
            }
        }
        let staged = share.staging.name(root).map_err(|error| Reason::Unwritable(error.cause()))?;
        let mode = if share.settings.allow_setuid { item.mode } else { item.mode & !SETID_BITS };
        let owner = item.owner.as_ref().and_then(|owner| self.fs.owner_ids(owner));
        let attributes = Attributes { mode: Some(mode), owner, mtime: Some(now.wall) };
        let put = stage_former(&self.history, item, root, &staged, attributes)
            .and_then(|()| apply::make_parents(root, &item.path).map(drop))
            .and_then(|()| apply::put(root, &staged, &item.path, seen));
        if let Err(refusal) = put {
            self.clear_staged(now, item, &staged);
            return Err(reason_of(refusal));
        }
        if let (Some(seen), Some(record)) = (replaced, record) {
            let former = Item {
                number: 0,
                kind: seen.stat.kind,
                digest: seen.digest,
                size: seen.stat.size,
                mtime: seen.stat.mtime(),
                mode: seen.stat.mode,
                owner: record.entry.owner,
                at: now.wall,
                doubtful: self.clock.is_doubtful(),
                why: Why::Given,
                by: None,
                run: self.next_run,
                ..item.clone()
            };
            self.next_run += 1;
            if let Err(error) = self.history.keep(root, &staged, former.clone()) {
                // It may have been moved in already, and only lack its line.
                if !self.history.adopt_object(former).unwrap_or(false) {
                    // What was replaced goes back to its place rather than nowhere.
                    let back = root.rename(&staged, &item.path, Rename::Exchange);
                    let back = back.or_else(|_| root.rename(&staged, &item.path, Rename::Replace));
                    let _ = back.and_then(|()| root.remove(&staged));
                    return Err(Reason::Unwritable(error.cause()));
                }
            }
        }
        // It is in place and what it replaced lies in history: what is not flushed yet is with the next landing.
        let flushed = root.sync_dir(item.path.parent().as_ref()).and_then(|()| self.history.commit());
        if let Err(error) = flushed {
            self.log(Level::Warning, format!("share {}: {} is not flushed: {error}", item.share, item.path));
        }
        Ok(())
    }

    /// Removes what was staged of a former version; what somebody's edit left under its name goes to history.
    fn clear_staged(&mut self, now: Now, item: &Item, staged: &RelPath) {
        let Some(root) = self.shares.get(&item.share).and_then(|share| share.root.as_ref()) else { return };
        let Ok(Some(Found::Synced(stat))) = root.stat(staged) else { return };
        match apply::digest_of(root, staged, stat.kind) {
            Ok(digest) if digest != item.digest => {
                let bare = Entry::tombstone(Default::default(), Default::default());
                let entry =
                    Entry { kind: stat.kind, digest, size: stat.size, mtime: stat.mtime(), mode: stat.mode, ..bare };
                let (share, path) = (&item.share, &item.path);
                let lost = Lost { share, path, entry: &entry, why: Why::Conflict, by: None, run: self.next_run };
                self.next_run += 1;
                self.keep(now, staged, &lost);
            }
            _ => {
                let _ = root.remove(staged);
            }
        }
    }

    pub(crate) fn forget(&mut self, name: &ShareName, path: &RelPath) -> Reply {
        match self.history.forget(name, path) {
            Ok(0) => Reply::failed(Fault::NotFound, format!("history holds nothing of {path}")),
            Ok(count) => {
                self.log(
                    Level::Notice,
                    format!("share {name}: {count} former versions of {path} were forgotten by a person"),
                );
                Reply::Done(Tree::map().with("forgotten", count))
            }
            Err(error) => Reply::failed(Fault::System, error.to_string()),
        }
    }
}

/// One side of a comparison, read.
struct Named {
    name: String,
    digest: Option<Digest>,
    text: Text,
}

enum Text {
    Nothing,
    Whole(Vec<u8>),
    /// Larger than [`limits::DIFF_FILE`]: this many bytes.
    Large(u64),
}

impl Text {
    fn size(&self) -> u64 {
        match self {
            Text::Nothing => 0,
            Text::Whole(bytes) => bytes.len() as u64,
            Text::Large(size) => *size,
        }
    }
}

impl Named {
    fn side(&self) -> Side<'_> {
        let content = match &self.text {
            Text::Whole(bytes) => Some(&bytes[..]),
            Text::Nothing | Text::Large(_) => None,
        };
        Side { name: self.name.clone(), content }
    }
}

/// Stages a former version, flushed.
fn stage_former<R: Root>(
    history: &History<R>,
    item: &Item,
    root: &R,
    staged: &RelPath,
    attributes: Attributes,
) -> Result<(), Refusal> {
    let object = history.object(item.digest)?;
    let content = FormContent::open(history.root(), &object, Kind::File)?;
    let mut buffer = vec![0; limits::STEP];
    if item.kind == Kind::Symlink {
        let count = content.read(history.root(), 0, &mut buffer)?;
        return Ok(root.make_link(staged, &buffer[..count])?);
    }
    let file = root.create(staged)?;
    let mut offset = 0;
    loop {
        let count = content.read(history.root(), offset, &mut buffer)?;
        if count == 0 {
            break;
        }
        root.write(&file, offset, &buffer[..count])?;
        offset += count as u64;
    }
    root.set_file(&file, attributes)?;
    Ok(root.sync(&file)?)
}

/// Reads a content that is not too large to be compared.
fn read_text<R: Root>(root: &R, content: &FormContent<R>) -> Result<Text, FsError> {
    let size = content.stat().size;
    if size > limits::DIFF_FILE {
        return Ok(Text::Large(size));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < bytes.len() {
        match content.read(root, filled as u64, &mut bytes[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(Text::Whole(bytes))
}
