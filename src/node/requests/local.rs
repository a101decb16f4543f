//! Lists what belongs to this node in UCI packages, and shares it on the user's request.

use crate::fs::Fs;
use crate::model::{RelPath, ShareName};
use crate::node::Node;
use crate::node::api::{Fault, Reply, Tree};
use crate::node::share::forms::listed::LocalRows;
use crate::uci::local::Pattern;

impl<F: Fs> Node<F> {
    /// Lists what is local, and what may be worth it.
    pub(crate) fn local(&self, share: Option<&ShareName>, path: Option<&RelPath>, which: LocalRows) -> Reply {
        if let Some(share) = share.filter(|share| !self.shares.contains_key(*share)) {
            return Reply::failed(Fault::NotFound, format!("there is no share {share}"));
        }
        let shares =
            self.shares.iter().filter(|(name, one)| !one.is_leaving() && share.is_none_or(|share| share == *name));
        let (mut rows, mut idle, mut suggested) = (Vec::new(), Vec::new(), Vec::new());
        for (_, share) in shares {
            rows.extend(share.local_rows(&self.cx, path, which));
            if path.is_none() {
                idle.extend(share.idle_patterns(&self.cx).into_iter().map(Tree::Text));
                suggested.extend(share.suggested_patterns(&self.cx));
            }
        }
        Reply::Done(Tree::map().with("local", rows).with("without_match", idle).with("suggested", suggested))
    }

    /// Gives the values of this router to all: removes the markers that a pattern covers. Without `yes` it lists them.
    pub(crate) fn share_local(&mut self, text: &str, yes: bool) -> Reply {
        let pattern = match Pattern::parse(text) {
            Ok(pattern) if !text.starts_with('!') => pattern,
            Ok(_) => {
                return Reply::failed(Fault::Argument, "a pattern of what is to be shared does not begin with '!'");
            }
            Err(error) => return Reply::failed(Fault::Argument, format!("'{text}' is not a pattern: {error}")),
        };
        let package = pattern.package().clone();
        let Ok(path) = RelPath::parse(package.as_str().as_bytes()) else {
            return Reply::failed(Fault::Argument, "it names no package");
        };
        let nothing =
            || Reply::failed(Fault::NotFound, format!("no option that {pattern} covers is local on all routers"));
        let found = self.shares.iter_mut().find_map(|(_, share)| {
            let record = self.cx.record_of(&share.name, &path).filter(|record| record.local.is_some())?;
            record.sleep.is_none().then_some((share, record))
        });
        let Some((share, record)) = found else { return nothing() };
        match share.give_local(&mut self.cx, &path, &record, &package, &pattern, yes) {
            Ok(Some(rows)) => Reply::Done(Tree::map().with(if yes { "shared" } else { "would_share" }, rows)),
            Ok(None) => nothing(),
            Err(why) => Reply::failed(Fault::State, why),
        }
    }
}
