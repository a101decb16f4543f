//! Shows, compares, restores and forgets previous versions.

use crate::fs::form::Content as FormContent;
use crate::fs::{Found, Fs, FsError, Root};
use crate::model::{Digest, Kind, RelPath, ShareName, limits};
use crate::node::api::{DiffWith, Fault, Former, Level, Reply, Tree};
use crate::node::context::Context;
use crate::node::requests::diff::{self, Side};
use crate::node::requests::options;
use crate::node::{CommandId, Node};
use crate::store::history::Item;
use crate::store::state::{Cause, Why};
use crate::uci::pick::{self, NotTaken};
use crate::uci::{PackageName, changes};

impl<F: Fs> Context<F> {
    /// The content of a former version.
    pub(crate) fn text_of(&self, item: &Item) -> Result<Named, Reply> {
        let failed = |error: FsError| Reply::failed(Fault::System, error.to_string());
        let name = format!("{}:{}@{}", item.share, item.path, item.number);
        if !item.had_content() {
            return Ok(Named { name, digest: None, text: Text::Nothing });
        }
        let object = self.history.object(item.digest).map_err(failed)?;
        // The content of a symlink, its text, lies in history as a file too.
        let content = FormContent::open(self.history.root(), &object, Kind::File).map_err(failed)?;
        let text = read_text(self.history.root(), &content).map_err(failed)?;
        if let Text::Whole(bytes) = &text {
            if Digest::of(bytes) != item.digest {
                return Err(Reply::failed(Fault::System, format!("{name}: {DAMAGED}")));
            }
        }
        Ok(Named { name, digest: Some(item.digest), text })
    }

    pub(crate) fn forget(&mut self, name: &ShareName, path: &RelPath) -> Reply {
        match self.history.forget(name, path) {
            Ok(0) => Reply::failed(Fault::NotFound, format!("the history has no version of {path}")),
            Ok(count) => {
                self.log(
                    Level::Notice,
                    format!("share {name}: {count} previous versions of {path} were removed by the user"),
                );
                Reply::Done(Tree::map().with("forgotten", count))
            }
            Err(error) => Reply::failed(Fault::System, error.to_string()),
        }
    }
}

impl<F: Fs> Node<F> {
    /// The former version that is meant.
    pub(crate) fn with_former(&mut self, former: &Former, then: impl FnOnce(&mut Self, Item) -> Reply) -> Reply {
        match self.former(former) {
            Ok(item) => then(self, item),
            Err(reply) => reply,
        }
    }

    pub(crate) fn former(&self, former: &Former) -> Result<Item, Reply> {
        let (found, what) = match former {
            Former::Number(number) => (self.cx.history.item(*number), format!("there is no version {number}")),
            Former::At { share, path, number } => {
                let name = self.named_or_only(share.as_ref())?;
                match self.cx.history.item(*number) {
                    // Numbers are typed by hand: the wrong one must not bring back another file.
                    Some(item) if item.share != name || item.path != *path => {
                        let text = format!(
                            "version {number} is one of {}:{}, not of {name}:{path}: `owsync log {name}:{path}` lists those",
                            item.share, item.path
                        );
                        return Err(Reply::failed(Fault::Argument, text));
                    }
                    item => (item, format!("there is no version {number} of {path}")),
                }
            }
            Former::Newest { share, path } => {
                let name = self.named_or_only(share.as_ref())?;
                let newest = self.cx.history.items().rev().find(|item| {
                    item.share == name && item.path == *path && item.had_content() && item.why != Why::Local
                });
                (newest, format!("the history has no version of {path}"))
            }
        };
        found.cloned().ok_or_else(|| Reply::failed(Fault::NotFound, format!("{what}: `owsync log` lists the versions")))
    }

    pub(crate) fn show(&self, item: &Item) -> Reply {
        if !item.had_content() {
            return Reply::failed(Fault::State, format!("{} did not exist at that time", item.path));
        }
        match self.cx.history.object(item.digest) {
            Ok(object) => {
                let tree = self.item_tree(item).with("object", object.to_text());
                Reply::Done(tree.with("digest", item.digest.to_hex()))
            }
            Err(error) => Reply::failed(Fault::System, error.to_string()),
        }
    }

    /// What changed since a former version, or from one to another.
    pub(crate) fn compare(&self, item: &Item, with: Option<&DiffWith>, options: bool) -> Reply {
        self.compared(item, with, options).unwrap_or_else(|reply| reply)
    }

    fn compared(&self, item: &Item, with: Option<&DiffWith>, options: bool) -> Result<Reply, Reply> {
        let package = if options { Some(self.package_to_compare(&item.share, &item.path)?) } else { None };
        let old = self.cx.text_of(item)?;
        let (new, number) = match with {
            Some(DiffWith::Former(former)) => {
                let other = self.former(former)?;
                (self.cx.text_of(&other)?, Some(other.number))
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
        Ok(Self::differences(tree, package.as_ref(), &old, &new))
    }

    /// What differs between two contents, beside what is said already: option by option, if they are of a package.
    pub(crate) fn differences(tree: Tree, package: Option<&PackageName>, old: &Named, new: &Named) -> Reply {
        match package {
            Some(package) => options::differences(tree, package, old, new),
            None => Reply::Done(Self::lines_that_differ(tree, old, new)),
        }
    }

    fn lines_that_differ(tree: Tree, old: &Named, new: &Named) -> Tree {
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
            return tree.with("diff", if same { String::new() } else { text }).with("too_large", !same);
        }
        let diff = diff::diff(&old.side(), &new.side());
        tree.with("diff", diff.text).with("binary", diff.binary).with("truncated", diff.truncated)
    }

    /// What lies at a path now, as far as it is synced.
    pub(crate) fn current_text(&self, name: &ShareName, path: &RelPath) -> Result<Named, Reply> {
        let failed = |error: FsError| Reply::failed(Fault::System, error.to_string());
        let not_here = |what: &str| Reply::failed(Fault::State, format!("{path}: {what}"));
        let share = self.shares.get(name).filter(|share| !share.is_leaving());
        let share = share.ok_or_else(|| Reply::failed(Fault::NotFound, format!("there is no share {name}")))?;
        if !share.filter.holds(path) {
            return Err(not_here("the filter of this share leaves it out"));
        }
        let root = share.root.as_ref().ok_or_else(|| not_here("the directory of this share cannot be opened"))?;
        let record = self.cx.store.state().shares.get(name).and_then(|state| state.index.get(path));
        let record = record.filter(|record| record.is_awake_and_live());
        let form =
            record.filter(|record| record.local.is_some()).map(|record| share.stored_form(&self.cx, path, record));
        let text = match root.stat(path).map_err(failed)? {
            // What is synced of a package with local options is its shared form.
            Some(Found::Synced(stat)) if stat.kind == Kind::File && form.is_some() => match form {
                Some(Ok(form)) => Text::Whole(form.to_vec()),
                Some(Err(why)) => return Err(not_here(&why)),
                None => Text::Nothing,
            },
            None => Text::Nothing,
            Some(Found::Synced(stat)) if matches!(stat.kind, Kind::File | Kind::Symlink) => {
                read_text(root, &FormContent::open(root, path, stat.kind).map_err(failed)?).map_err(failed)?
            }
            Some(_) => return Err(not_here("the path is neither a file nor a symlink")),
        };
        Ok(Named { name: format!("{name}:{path}"), digest: record.map(|record| record.entry.digest), text })
    }

    /// Brings a former version back: a change of this node like any other.
    pub(crate) fn restore(&mut self, id: CommandId, item: &Item) -> Option<Reply> {
        if let Some(reply) = refused_as_local(item) {
            return Some(reply);
        }
        self.restore_items(id, &item.share, Cause::Restored, std::slice::from_ref(item), Vec::new())
    }

    /// Takes single options of a previous version of a UCI package into the present file: a change of this node like any
    /// other.
    pub(crate) fn restore_options(&mut self, id: CommandId, item: &Item, options: &[String]) -> Option<Reply> {
        if let Some(reply) = refused_as_local(item) {
            return Some(reply);
        }
        match self.with_options_of(item, options) {
            Ok((item, text)) => self.restore_text(id, Cause::Restored, &item, &text),
            Err(reply) => Some(reply),
        }
    }

    /// Begins to put a content in place that is not in the history; the answer, when that is not possible.
    pub(crate) fn restore_text(&mut self, id: CommandId, cause: Cause, item: &Item, text: &[u8]) -> Option<Reply> {
        match self.shares.get_mut(&item.share) {
            Some(share) => share.restore_text(&mut self.cx, id, cause, item, text).err(),
            None => Some(Reply::failed(Fault::NotFound, format!("there is no share {}", item.share))),
        }
    }

    /// The present file with these options as a previous version has them, as a version to restore and its content.
    fn with_options_of(&self, item: &Item, options: &[String]) -> Result<(Item, Vec<u8>), Reply> {
        let state = |text: String| Reply::failed(Fault::State, format!("{}:{}: {text}", item.share, item.path));
        let Some(package) = self.package_at(&item.share, &item.path) else {
            let text = format!("{}:{} is not a UCI package: restore the whole file", item.share, item.path);
            return Err(Reply::failed(Fault::Argument, text));
        };
        let (version, present) = (self.cx.text_of(item)?, self.current_text(&item.share, &item.path)?);
        let (Text::Whole(version), Text::Whole(present)) = (&version.text, &present.text) else {
            return Err(state(
                "the file or that version does not exist, or is too large: restore the whole file".into(),
            ));
        };
        let index = self.cx.store.state().shares.get(&item.share).map(|state| &state.index);
        let record = index.and_then(|index| index.get(&item.path)).filter(|record| record.is_awake_and_live());
        let Some(record) = record.filter(|record| record.entry.digest == Digest::of(present)) else {
            return Err(state("the file is changing at this moment: try again".into()));
        };
        let text = pick::pick(&package, present, version, options).map_err(|why| match why {
            NotTaken::Name(_) | NotTaken::NoSection(_) | NotTaken::NoOption(_) => {
                Reply::failed(Fault::Argument, why.to_string())
            }
            _ => state(why.to_string()),
        })?;
        if changes::changes(&package, present, &text).is_ok_and(|changes| changes.is_empty()) {
            return Err(state("the present file has these values already".into()));
        }
        let entry = &record.entry;
        let (digest, size) = (Digest::of(&text), text.len() as u64);
        let item =
            Item { kind: Kind::File, digest, size, mode: entry.mode, owner: entry.owner.clone(), ..item.clone() };
        Ok((item, text))
    }

    /// Undoes a landing: what it replaced comes back, what it made goes. What changed since stays, and is named.
    pub(crate) fn undo_run(&mut self, id: CommandId, run: u64) -> Option<Reply> {
        // A file of this router is no version of the share.
        let items = self.cx.history.items().filter(|item| item.run == run && item.why != Why::Local);
        let items: Vec<Item> = items.cloned().collect();
        let Some(name) = items.first().map(|item| item.share.clone()) else {
            let text = format!("the history has nothing of run {run}: `owsync log` lists the runs");
            return Some(Reply::failed(Fault::NotFound, text));
        };
        let index = self.cx.store.state().shares.get(&name).map(|state| &state.index);
        let lies = |path: &RelPath| {
            let live = index.and_then(|index| index.get(path)).filter(|record| record.is_awake_and_live());
            live.map_or(Digest::NONE, |record| record.entry.digest)
        };
        let (back, changed): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| item.share == name && item.after == Some(lies(&item.path)));
        if back.is_empty() {
            let text = format!(
                "everything that run {run} changed was changed again since: restore single paths with `owsync restore`"
            );
            return Some(Reply::failed(Fault::State, text));
        }
        let left = changed.into_iter().map(|item| item.path).collect();
        self.restore_items(id, &name, Cause::Undone, &back, left)
    }

    /// Begins to bring previous versions back, in the share that has them; the answer, when that is not possible.
    pub(crate) fn restore_items(
        &mut self,
        id: CommandId,
        name: &ShareName,
        cause: Cause,
        items: &[Item],
        left: Vec<RelPath>,
    ) -> Option<Reply> {
        match self.shares.get_mut(name) {
            Some(share) => share.restore_items(&mut self.cx, Some(id), cause, items, left).err(),
            None => {
                let reply = self.cx.unwritable();
                Some(reply.unwrap_or_else(|| Reply::failed(Fault::NotFound, format!("there is no share {name}"))))
            }
        }
    }
}

/// The answer where a version is a file of this router, whose values must not come to be shared.
pub(crate) fn refused_as_local(item: &Item) -> Option<Reply> {
    let at = format!("{}:{}@{}", item.share, item.path, item.number);
    let text = format!(
        "{at} is a file of this router with values that are not synced: it cannot be restored as a version of the share; \
         `owsync show {at}` prints it"
    );
    (item.why == Why::Local).then(|| Reply::failed(Fault::State, text))
}

/// What is said of a content of history that is no longer what its digest says.
const DAMAGED: &str = "its content in the history is damaged: its digest differs";

/// One side of a comparison, read.
pub(crate) struct Named {
    /// What stands in the head of a diff.
    pub name: String,
    pub digest: Option<Digest>,
    pub text: Text,
}

pub(crate) enum Text {
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
