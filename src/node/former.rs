//! Former versions: shown, brought back, forgotten.

use crate::fs::apply::{self, Refusal};
use crate::fs::form::Content as FormContent;
use crate::fs::scan::Hint;
use crate::fs::{Attributes, Fs, Root};
use crate::model::{Kind, Now, RelPath, ShareName, limits};
use crate::node::Node;
use crate::node::api::{Fault, Level, Reply, Tree};
use crate::node::land::seen_in;
use crate::store::state::Why;

impl<F: Fs> Node<F> {
    pub(crate) fn show(&self, number: u64) -> Reply {
        let Some(item) = self.history.item(number) else {
            return Reply::failed(Fault::NotFound, format!("there is no version {number}: `owsync log` lists them"));
        };
        match self.history.object(item.digest) {
            Ok(object) => Reply::Done(self.item_tree(item).with("object", object.to_text())),
            Err(error) => Reply::failed(Fault::System, error.to_string()),
        }
    }

    /// Brings a former version back: a change of this node like any other.
    pub(crate) fn restore(&mut self, now: Now, number: u64) -> Reply {
        let Some(item) = self.history.item(number).cloned() else {
            return Reply::failed(Fault::NotFound, format!("there is no version {number}: `owsync log` lists them"));
        };
        let name = item.share.clone();
        if self.hold_of(&name).is_some() {
            return Reply::failed(Fault::State, format!("the share {name} is held"));
        }
        match self.put_back(now, &item) {
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
            Err(refusal) => {
                let reason = crate::node::land::reason_of(refusal);
                Reply::failed(Fault::System, format!("{}: {reason}", item.path))
            }
        }
    }

    fn put_back(&mut self, now: Now, item: &crate::store::history::Item) -> Result<(), Refusal> {
        let share = self.shares.get_mut(&item.share).ok_or(Refusal::Changed)?;
        let root = share.root.as_ref().ok_or(Refusal::Changed)?;
        let object = self.history.object(item.digest)?;
        let staged = share.staging.name(root)?;
        let content = FormContent::open(self.history.root(), &object, Kind::File)?;
        let mode = if share.settings.allow_setuid { item.mode } else { item.mode & !crate::model::entry::SETID_BITS };
        let owner = item.owner.as_ref().and_then(|owner| self.fs.owner_ids(owner));
        let mut buffer = vec![0; limits::STEP];
        if item.kind == Kind::Symlink {
            let count = content.read(self.history.root(), 0, &mut buffer)?;
            root.make_link(&staged, &buffer[..count])?;
        } else {
            let file = root.create(&staged)?;
            let mut offset = 0;
            loop {
                let count = content.read(self.history.root(), offset, &mut buffer)?;
                if count == 0 {
                    break;
                }
                root.write(&file, offset, &buffer[..count])?;
                offset += count as u64;
            }
            root.set_file(&file, Attributes { mode: Some(mode), owner, mtime: Some(now.wall) })?;
            root.sync(&file)?;
        }
        let record = self.store.state().shares.get(&item.share).and_then(|state| state.index.get(&item.path)).cloned();
        let seen = self.store.state().shares.get(&item.share).and_then(|state| seen_in(&state.index, &item.path));
        apply::make_parents(root, &item.path)?;
        if let Err(refusal) = apply::put(root, &staged, &item.path, seen) {
            let _ = root.remove(&staged);
            return Err(refusal);
        }
        root.sync_dir(item.path.parent().as_ref())?;
        if let (Some(seen), Some(record)) = (seen, record) {
            let former = crate::store::history::Item {
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
            self.history.keep(root, &staged, former)?;
            self.history.commit()?;
        }
        Ok(())
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
