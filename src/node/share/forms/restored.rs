//! Makes the files that previous versions mean on this router.
//!
//! A previous version is a shared form from a time when other options were local. It is restored with the markers of the
//! current form, and with the values that this router has now. Where the change that is undone took values of this router
//! along, they come from the file that the history kept then.

use crate::fs::Fs;
use crate::fs::form::measured;
use crate::model::{Digest, Kind, Reason};
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::forms::is_live_file;
use crate::store::history::Item;
use crate::store::state::{Cause, Why};
use crate::uci::form;

/// A previous version of a package with local options, as it will be here.
pub(crate) struct Restored {
    /// The digest of its shared form, and its size.
    pub form: (Digest, u64),
    /// The file.
    pub text: Vec<u8>,
    /// Its digest, where anything of it is local.
    pub local: Option<Digest>,
    /// Local values that have no place in it.
    pub dropped: Vec<String>,
}

impl<F: Fs> Share<F> {
    /// The file that a previous version means here; `None` where nothing of it is local. `given` is its text, where that is not
    /// in the history.
    ///
    /// # Errors
    /// Why it cannot be restored.
    pub(crate) fn form_restored(
        &self,
        cx: &mut Context<F>,
        cause: Cause,
        item: &Item,
        given: Option<&[u8]>,
    ) -> Result<Option<Restored>, Reason> {
        let other = |text: String| Reason::Other(text);
        let before = cx.record_of(&self.name, &item.path);
        let formed = self.formed(&item.path, before.as_ref());
        let live = before.as_ref().filter(|record| is_live_file(record) && record.disk.is_some());
        if item.kind != Kind::File {
            let Some((package, record)) = formed.zip(live.filter(|record| record.local.is_some())) else {
                return Ok(None);
            };
            let (file, old) = self.both_forms(cx, &item.path, record)?;
            let values = self.forms.options.values(&package, &file, Some(&old));
            let dropped = values.map_or_else(|_| vec![package.to_string()], |values| crate::fs::form::names(&values));
            let restored = Restored { form: (Digest::NONE, 0), text: Vec::new(), local: None, dropped };
            return Ok(Some(restored));
        }
        let is_formed = formed.is_some();
        let Some(package) = formed.or_else(|| self.package_at(&item.path)) else { return Ok(None) };
        let text = match given.map_or_else(|| cx.history.content(item.digest), |text| Ok(Some(text.to_vec()))) {
            Ok(Some(text)) => text,
            // It is too large for local options, or damaged: that is found when it is copied.
            Ok(None) if !is_formed => return Ok(None),
            Ok(None) => return Err(other("its content in the history is missing or damaged".into())),
            Err(error) => return Err(Reason::Unreadable(error.cause())),
        };
        if !is_formed && !form::has_markers(&package, &text) {
            return Ok(None);
        }
        let (file, old) = match live {
            Some(record) => {
                let (file, old) = self.both_forms(cx, &item.path, record)?;
                (Some(file), Some(old))
            }
            None => (None, None),
        };
        let options = &self.forms.options;
        let refused = |error: form::FormError| other(error.to_string());
        let new = options.restored(&package, &text, old.as_deref()).map_err(refused)?;
        let took_along = cx.history.items().rev().find(|kept| {
            kept.why == Why::Local && kept.run == item.run && kept.path == item.path && kept.share == item.share
        });
        let took_along = took_along.filter(|_| matches!(cause, Cause::TakenBack | Cause::Undone));
        let applied = match took_along.and_then(|kept| cx.history.content(kept.digest).ok().flatten()) {
            Some(kept) => options.apply(&package, Some(&kept), Some(&text), &new),
            None => options.apply(&package, file.as_deref(), old.as_deref(), &new),
        };
        let applied = applied.map_err(refused)?;
        if applied.is_local {
            cx.store_form(&new).map_err(|error| Reason::Unwritable(error.cause()))?;
        }
        let local = applied.is_local.then(|| measured(&applied.text).0);
        Ok(Some(Restored { form: measured(&new), text: applied.text, local, dropped: applied.dropped }))
    }
}
