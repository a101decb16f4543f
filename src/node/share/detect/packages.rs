//! Keeps what a local edit of a UCI package replaces: its previous content goes into history, as that of a peer's change does.

use std::rc::Rc;

use crate::fs::Fs;
use crate::fs::form::read_small;
use crate::model::{Digest, Entry, Kind, Record, RelPath, Stamp, Version, limits};
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::detect::edit::Edit;
use crate::node::share::transaction::keep::{Lost, item_of};
use crate::store::history::{Item, Room};
use crate::store::state::Why;

/// What an edit replaced.
pub(crate) struct Former {
    item: Item,
    /// `None` where nothing was there.
    bytes: Option<Rc<[u8]>>,
}

impl<F: Fs> Share<F> {
    /// Puts aside what an edit replaces at a path, where that is a UCI package whose content is in memory.
    pub(crate) fn put_aside(
        &self,
        cx: &Context<F>,
        path: &RelPath,
        old: Option<&Record>,
        entry: &Entry,
        edit: &mut Edit,
    ) {
        if !self.is_package(path) || old.is_some_and(|old| old.entry.same_content(entry)) {
            return;
        }
        let nothing = Entry::tombstone(Version::UNVERSIONED, Stamp::default());
        let live = old.filter(|old| old.entry.kind == Kind::File);
        let bytes = live.and_then(|old| cx.packages.get(&self.name, path, old.entry.digest));
        let why = match (&live, &bytes) {
            (Some(_), Some(_)) => Why::Edited,
            // What was there before this process started is not known, and what appears then is not worth an undo.
            (None, _) if self.is_ready() && entry.has_content() && edit.former.len() < limits::UNDO_CREATED => {
                Why::Created
            }
            _ => return,
        };
        let item = item_of(
            cx.noted(),
            &Lost {
                share: &self.name,
                path,
                entry: live.map_or(&nothing, |old| &old.entry),
                why,
                by: None,
                run: cx.next_run,
                after: Some(entry.digest),
                seq: live.map_or(0, |old| old.seq),
            },
        );
        edit.former.push(Former { item, bytes });
    }

    /// Moves what the edits of a scan replaced into history, as one run.
    pub(crate) fn keep_former(&mut self, cx: &mut Context<F>, former: Vec<Former>) {
        if former.is_empty() {
            return;
        }
        cx.next_run += 1;
        let (name, min_free) = (&self.name, self.settings.min_free);
        for Former { item, bytes } in former {
            let Some(bytes) = bytes else {
                cx.history.note_created(item);
                continue;
            };
            let (path, size) = (item.path.clone(), item.size);
            let fits = cx.history.room(item.digest, size, item.why, min_free) == Room::Keep;
            let kept = if fits { cx.history.keep_bytes(&bytes, item).map(|_| true) } else { Ok(false) };
            match kept {
                Ok(true) => {}
                Ok(false) => cx.note_not_kept(name, path, size),
                Err(error) if error.is_full() => cx.note_not_kept(name, path, size),
                Err(error) => {
                    let text = format!(
                        "share {name}: the version of {path} before this edit cannot be kept in the history: {error}"
                    );
                    cx.log(Level::Warning, text);
                }
            }
        }
        if let Err(error) = cx.history.commit() {
            cx.log(Level::Warning, format!("the history cannot be written: {error}"));
        }
        cx.prune_history();
    }

    /// Remembers the content of a package that was read, or forgets it where it is not known.
    pub(crate) fn remember_package(
        &self,
        cx: &mut Context<F>,
        path: &RelPath,
        digest: Digest,
        package: Option<Rc<[u8]>>,
    ) {
        if !self.is_package(path) {
            return;
        }
        match package {
            Some(bytes) => {
                cx.packages.put(&self.name, path, digest, bytes);
            }
            None => cx.packages.remove(&self.name, path),
        }
    }

    /// Packages that are not merged, because they, or all packages together, are too large to be held in memory.
    pub(crate) fn not_merged(&self, cx: &Context<F>) -> Vec<String> {
        let index = &cx.store.share(&self.name).index;
        let is_beyond = |path: &RelPath, record: &Record| {
            let current = record.is_awake_and_live() && record.entry.kind == Kind::File && self.merges(path);
            current && cx.packages.get(&self.name, path, record.entry.digest).is_none()
        };
        let beyond = index.iter().filter(|(path, record)| is_beyond(path, record));
        beyond.map(|(path, _)| path.to_text()).collect()
    }

    /// Reads packages whose content is not in memory: those among `paths`, or all.
    pub(crate) fn load_packages(&self, cx: &mut Context<F>, paths: Option<&[RelPath]>) {
        let Some(root) = &self.root else { return };
        let index = &cx.store.share(&self.name).index;
        let wanted = |path: &RelPath, record: &Record| {
            let fits = record.entry.kind == Kind::File && record.entry.size <= limits::PACKAGE_KEPT as u64;
            let current = record.sleep.is_none() && self.is_package(path);
            fits && current && cx.packages.get(&self.name, path, record.entry.digest).is_none()
        };
        let missing: Vec<(RelPath, Digest)> = match paths {
            Some(paths) => paths
                .iter()
                .filter_map(|path| {
                    Some((path.clone(), index.get(path).filter(|record| wanted(path, record))?.entry.digest))
                })
                .collect(),
            None => index
                .iter()
                .filter(|(path, record)| wanted(path, record))
                .map(|(path, record)| (path.clone(), record.entry.digest))
                .collect(),
        };
        for (path, digest) in missing {
            // Another content by now is an edit, which the next scan finds.
            let is_formed = cx.store.share(&self.name).index.get(&path).is_some_and(|record| record.local.is_some());
            let bytes = match is_formed {
                // The file contains more than is synced.
                true => cx.history.content(digest),
                false => read_small(root, &path, limits::PACKAGE_KEPT),
            };
            let Some(bytes) = bytes.ok().flatten().filter(|bytes| Digest::of(bytes) == digest) else {
                cx.packages.remove(&self.name, &path);
                continue;
            };
            if !cx.packages.put(&self.name, &path, digest, bytes.into()) {
                return;
            }
        }
    }
}
