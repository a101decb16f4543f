//! Makes the files that a peer's shared forms mean on this router, before they are checked and applied.

use std::rc::Rc;

use crate::fs::form::{Shared, measured, names, read_small, too_large};
use crate::fs::{Fs, FsError, Root, read_whole};
use crate::model::{Digest, Direction, Entry, Kind, Map, Reason, Record, RelPath, WallTime, limits};
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::forms::is_live_file;
use crate::node::share::inbox::batch::{Batch, Pending};
use crate::node::share::transaction::apply::{attributes_of, stage_text};
use crate::reconcile::safety::Step;
use crate::reconcile::{self, Loser, Source};
use crate::uci::PackageName;
use crate::uci::form;

/// What a step of a batch makes of a package with local options.
pub(crate) struct Formed {
    /// Where the new file is.
    pub file: NewFile,
    /// Its digest.
    pub digest: Digest,
    /// Whether anything of it is local.
    pub is_local: bool,
    /// The digest of its shared form.
    pub form: Digest,
    /// Its size.
    size: u64,
    /// The content that was offered.
    of: Digest,
    /// The file that it was made from.
    over: Option<Digest>,
    /// Local values that have no place in it.
    pub dropped: Vec<String>,
    /// A pattern here makes an edit of it.
    pub is_edit: bool,
}

impl Formed {
    /// Whether it was made for a step as it is planned now.
    pub fn is_for(&self, step: &Step) -> bool {
        match self.file {
            NewFile::Nowhere => step.source == Source::There && step.entry.kind != Kind::File,
            NewFile::InPlace => step.source == Source::Here && step.entry.digest == self.form,
            NewFile::Offered | NewFile::Staged(_) => {
                step.source == Source::There && step.entry.kind == Kind::File && step.entry.digest == self.form
            }
        }
    }
}

impl Formed {
    /// What a commit of this node makes of a package: the file as the user wants it, and its shared form.
    pub fn committed(file: NewFile, text: &[u8], shared: &Shared, over: Option<Digest>) -> Formed {
        let (form, size) = measured(&shared.text);
        let (digest, is_local) = (measured(text).0, shared.is_local);
        Formed { file, digest, is_local, form, size, of: form, over, dropped: Vec::new(), is_edit: false }
    }
}

impl NewFile {
    /// The staged file, where it is one beside the offered content.
    pub fn staged(&self) -> Option<&RelPath> {
        match self {
            NewFile::Staged(staged) => Some(staged),
            NewFile::Offered | NewFile::InPlace | NewFile::Nowhere => None,
        }
    }
}

/// Where the bytes of a new file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NewFile {
    /// They are the offered ones.
    Offered,
    /// Staged beside the offered ones.
    Staged(RelPath),
    /// On disk already.
    InPlace,
    /// There is none: the package is deleted.
    Nowhere,
}

/// A file, and the shared form that it corresponds to.
type BothForms = (Rc<[u8]>, Rc<[u8]>);

/// Why a step has no file.
pub(crate) enum Unformed {
    /// It cannot have one: its sender and the user are told why.
    Refused(String),
    /// The file changed since it was recorded: it is scanned first.
    Changed,
    /// The disk refused.
    Disk(FsError),
}

impl From<Unformed> for Reason {
    fn from(why: Unformed) -> Reason {
        match why {
            Unformed::Refused(why) => Reason::Unreadable(why),
            Unformed::Changed => Reason::Other("it changed meanwhile".into()),
            Unformed::Disk(error) => Reason::Unreadable(error.cause()),
        }
    }
}

impl From<FsError> for Unformed {
    fn from(error: FsError) -> Unformed {
        Unformed::Disk(error)
    }
}

impl<R: Root> Batch<R> {
    /// The staged file that a path is to become.
    pub fn staged(&self, path: &RelPath) -> Option<&RelPath> {
        if let Some(Formed { file: NewFile::Staged(staged), .. }) = self.forms.get(path) {
            return Some(staged);
        }
        self.offers.get(path)?.staged()
    }
}

impl<F: Fs> Share<F> {
    /// Makes the files of a batch; whether it may go on.
    pub(crate) fn form_batch(&mut self, cx: &mut Context<F>, id: u64, steps: &mut [Step]) -> bool {
        let mut refused: Map<RelPath, String> = Map::new();
        for step in steps.iter_mut().filter(|step| step.source == Source::There) {
            match self.form_step(cx, id, step) {
                Ok(()) => {}
                Err(Unformed::Refused(why)) => drop(refused.insert(step.path.clone(), why)),
                Err(Unformed::Changed) => {
                    let hint = crate::fs::scan::Hint { path: step.path.clone(), deep: false };
                    self.detect.hints.add(cx.now.mono, hint);
                    if let Some(batch) = self.inbox.batches.get_mut(&id) {
                        batch.not_before = cx.now.mono.plus(cx.settings.settle.quiet * 2);
                    }
                    return false;
                }
                Err(Unformed::Disk(error)) => {
                    let free = self.root.as_ref().and_then(|root| root.free().ok()).unwrap_or(0);
                    let reason = match error.is_full() {
                        true => Reason::NoRoom { need: 0, free },
                        false => Reason::Unwritable(error.cause()),
                    };
                    let path = step.path.clone();
                    self.note_batch_pending(cx, id, |p| {
                        if *p == path { reason.clone() } else { Reason::WaitsFor(path.clone()) }
                    });
                    return false;
                }
            }
        }
        if refused.is_empty() {
            return true;
        }
        self.refuse_paths(cx, id, &refused);
        false
    }

    fn form_step(&mut self, cx: &mut Context<F>, id: u64, step: &mut Step) -> Result<(), Unformed> {
        let record = cx.record_of(&self.name, &step.path);
        let formed = self.formed(&step.path, record.as_ref());
        if step.entry.kind != Kind::File {
            return match formed {
                Some(package) if record.as_ref().is_some_and(|record| record.local.is_some()) => {
                    self.form_deletion(cx, id, step, &package, record.as_ref())
                }
                _ => Ok(()),
            };
        }
        let Some(package) = formed.clone().or_else(|| self.package_at(&step.path)) else { return Ok(()) };
        let (Some(root), Some(batch)) = (&self.root, self.inbox.batches.get_mut(&id)) else { return Ok(()) };
        let Some(offered) = batch.offers.get(&step.path).and_then(Pending::staged) else { return Ok(()) };
        let over = record.as_ref().filter(|record| record.disk.is_some()).map(Record::disk_digest);
        if let Some(known) = batch.forms.get(&step.path) {
            let is_there = match &known.file {
                NewFile::Staged(staged) => matches!(root.stat(staged), Ok(Some(_))),
                NewFile::Offered | NewFile::InPlace | NewFile::Nowhere => true,
            };
            if known.of == step.entry.digest && known.over == over && is_there {
                let (form, size, in_place) = (known.form, known.size, known.file == NewFile::InPlace);
                self.enter_form(cx, step, form, size, in_place);
                return Ok(());
            }
            // What the checks saw is not what would be applied.
            batch.checks.forget(&step.path);
            let stale = batch.forms.remove(&step.path);
            if let Some(Formed { file: NewFile::Staged(staged), .. }) = stale {
                let _ = root.remove(&staged);
            }
        }
        let new = match read_whole(root, offered, limits::PACKAGE_KEPT as u64) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(()),
            Err(error) if error.errno == libc::EFBIG => {
                let why = formed.and_then(|_| too_large(step.entry.size));
                return why.map_or(Ok(()), |why| Err(Unformed::Refused(why)));
            }
            Err(error) => return Err(error.into()),
        };
        if formed.is_none() && !form::has_markers(&package, &new) {
            return Ok(());
        }
        let new_form = self.make_form(cx, id, step, &package, record.as_ref(), new)?;
        let (form, size, in_place) = (new_form.form, new_form.size, new_form.file == NewFile::InPlace);
        if let Some(batch) = self.inbox.batches.get_mut(&id) {
            batch.forms.insert(step.path.clone(), Formed { over, ..new_form });
        }
        self.enter_form(cx, step, form, size, in_place);
        Ok(())
    }

    /// The file that the shared form `new` makes here.
    fn make_form(
        &mut self,
        cx: &mut Context<F>,
        id: u64,
        step: &Step,
        package: &PackageName,
        record: Option<&Record>,
        new: Vec<u8>,
    ) -> Result<Formed, Unformed> {
        let refused = |error: form::FormError| Unformed::Refused(error.to_string());
        let of = step.entry.digest;
        let live = record.filter(|record| is_live_file(record) && record.disk.is_some());
        let (file, old) = match live {
            Some(record) => {
                let (file, old) = self.both_forms(cx, &step.path, record)?;
                (Some(file), Some(old))
            }
            None => (None, None),
        };
        let decided = self.inbox.batches.get(&id).and_then(|batch| batch.offers.get(&step.path));
        let unseen = !matches!(step.loser, None | Some(Loser::Seen | Loser::Merged))
            || decided.is_some_and(|pending| pending.decided);
        let mut new = new;
        if let (Some(old), true) = (&old, unseen && self.may_edit(cx, record, &step.entry)) {
            // The author of the new form did not know of these markers.
            if let Some(carried) = form::carried(package, old, &new).map_err(refused)? {
                new = carried;
            }
        }
        let options = &self.forms.options;
        let applied = options.apply(package, file.as_deref(), old.as_deref(), &new).map_err(refused)?;
        let (form, size) = measured(&new);
        if applied.is_local {
            cx.store_form(&new)?;
        }
        let digest = measured(&applied.text).0;
        let root = self.root.as_ref().ok_or(Unformed::Changed)?;
        let in_place = file.as_deref() == Some(&applied.text[..]);
        let file = match &file {
            Some(file) if in_place => {
                // What was shared until now is still in place, so it goes to the history from memory.
                if live.is_some_and(|record| record.local.is_none()) {
                    cx.store_form(file)?;
                }
                NewFile::InPlace
            }
            _ if form == of && applied.text == new => NewFile::Offered,
            _ => {
                let staged = self.staging.name(root)?;
                let attributes = attributes_of(&cx.fs, &step.entry, self.settings.allow_setuid);
                stage_text(root, &staged, &applied.text, attributes)?;
                NewFile::Staged(staged)
            }
        };
        self.forms.idle.insert(step.path.clone(), applied.idle);
        let (is_local, is_edit, dropped) = (applied.is_local, applied.is_edit, applied.dropped);
        Ok(Formed { file, digest, is_local, form, size, of, over: None, dropped, is_edit })
    }

    /// A package that is deleted takes its local values along.
    fn form_deletion(
        &mut self,
        cx: &mut Context<F>,
        id: u64,
        step: &Step,
        package: &PackageName,
        record: Option<&Record>,
    ) -> Result<(), Unformed> {
        let Some(record) = record.filter(|record| is_live_file(record) && record.disk.is_some()) else { return Ok(()) };
        let file = self.read_recorded(&step.path, record)?;
        let old = self.stored_form(cx, &step.path, record).ok();
        let values = self.forms.options.values(package, &file, old.as_deref());
        let formed = Formed {
            file: NewFile::Nowhere,
            digest: Digest::NONE,
            is_local: false,
            form: Digest::NONE,
            size: 0,
            of: step.entry.digest,
            over: record.local,
            // What cannot be read may contain any value.
            dropped: values.map_or_else(|_| vec![package.to_string()], |values| names(&values)),
            is_edit: false,
        };
        if let Some(batch) = self.inbox.batches.get_mut(&id) {
            batch.forms.insert(step.path.clone(), formed);
        }
        Ok(())
    }

    /// The file of a record, and the shared form that it corresponds to.
    pub(crate) fn both_forms(&self, cx: &Context<F>, path: &RelPath, record: &Record) -> Result<BothForms, Unformed> {
        let file = self.read_recorded(path, record)?;
        let form = match record.local {
            Some(_) => self.stored_form(cx, path, record).map_err(Unformed::Refused)?,
            None => file.clone(),
        };
        Ok((file, form))
    }

    /// The file of a record, as it was recorded.
    fn read_recorded(&self, path: &RelPath, record: &Record) -> Result<Rc<[u8]>, Unformed> {
        let root = self.root.as_ref().ok_or(Unformed::Changed)?;
        // Scanned again it would be as large.
        if let Some(why) = record.disk.and_then(|disk| too_large(disk.size)) {
            return Err(Unformed::Refused(why));
        }
        let text = read_small(root, path, limits::PACKAGE_KEPT)?;
        let text = text.filter(|text| Digest::of(text) == record.disk_digest());
        text.map(Into::into).ok_or(Unformed::Changed)
    }

    /// Whether a change made here is an edit: a node that was never in sync, or sends nothing, makes none.
    fn may_edit(&self, cx: &Context<F>, record: Option<&Record>, offered: &Entry) -> bool {
        let past = cx.store.share(&self.name).meta.past;
        let versioned = |entry: &Entry| !entry.version.is_unversioned();
        self.settings.direction != Direction::Receive
            && self.settings.direction != Direction::Observe
            && (past || versioned(offered) || record.is_some_and(|record| versioned(&record.entry)))
    }

    /// Has a step mean the form that was made: where that is not the offered one, it is an edit of this node.
    fn enter_form(&mut self, cx: &mut Context<F>, step: &mut Step, form: Digest, size: u64, in_place: bool) {
        if form != step.entry.digest {
            let number = cx.store.next_number(cx.now.wall);
            let me = &cx.store.state().me;
            let offered = &step.entry;
            let stamp = reconcile::edit_stamp(me.rank, WallTime(offered.stamp.ms), cx.now.wall, Some(offered.stamp));
            let carried = Entry { digest: form, size, stamp, ..offered.clone() };
            step.entry = carried.edited(Some(offered), me.state, number);
        }
        if in_place {
            step.source = Source::Here;
        }
    }
}
