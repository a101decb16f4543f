//! Answers what is local in the packages of a share, and gives local values to the other routers.

use crate::fs::scan::Hint;
use crate::fs::{Fs, read_whole};
use crate::model::{Digest, Direction, Record, RelPath, limits};
use crate::node::api::{Level, Tree};
use crate::node::context::Context;
use crate::node::share::Share;
use crate::node::share::forms::is_live_file;
use crate::uci::PackageName;
use crate::uci::form::{self, Listed, LocalValue};
use crate::uci::local::{Pattern, USUAL};

/// Which options are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocalRows {
    /// Those that belong to this router.
    Local,
    /// Those that are shared too.
    All,
}

/// The forms of a package as they are now.
struct Both {
    file: Vec<u8>,
    /// `None` where nothing is local yet.
    current: Option<Vec<u8>>,
}

impl<F: Fs> Share<F> {
    /// Patterns that match nothing in the packages of the share.
    pub(crate) fn idle_patterns(&self, cx: &Context<F>) -> Vec<String> {
        let index = &cx.store.share(&self.name).index;
        let idle = self.forms.options.patterns().iter().filter(|pattern| {
            let path = RelPath::parse(pattern.package().as_str().as_bytes());
            let Ok(path) = path else { return true };
            match self.forms.idle.get(&path) {
                Some(idle) => idle.iter().any(|known| *known == pattern.to_string()),
                // It is not read yet, or it is not there.
                None => !index.get(&path).is_some_and(Record::is_awake_and_live),
            }
        });
        idle.map(ToString::to_string).collect()
    }

    fn both_now(&self, cx: &Context<F>, path: &RelPath, record: &Record) -> Result<Both, String> {
        let root = self.root.as_ref().ok_or("the directory of this share cannot be opened")?;
        let file = read_whole(root, path, limits::PACKAGE_KEPT as u64).map_err(|error| error.to_string())?;
        let file = file.ok_or("it is not there")?;
        let current = match record.local {
            Some(_) => Some(self.stored_form(cx, path, record)?.to_vec()),
            None => (Digest::of(&file) == record.entry.digest).then(|| file.clone()),
        };
        Ok(Both { file, current })
    }

    /// Patterns of what usually belongs to one router that match something in a synced package of which nothing is local.
    pub(crate) fn suggested_patterns(&self, cx: &Context<F>) -> Vec<Tree> {
        let index = &cx.store.share(&self.name).index;
        let fits = |text: &&&str| {
            let Ok(pattern) = Pattern::parse(text) else { return false };
            let package = pattern.package();
            let is_known = self.forms.options.patterns().iter().any(|known| known.package() == package);
            let Ok(path) = RelPath::parse(package.as_str().as_bytes()) else { return false };
            // What is synced is known before the first scan ends.
            let is_local = index.get(&path).is_some_and(|record| record.local.is_some());
            let is_synced = self.is_package(&path) && self.filter.holds(&path);
            let (false, false, true, Some(root)) = (is_known, is_local, is_synced, self.root.as_ref()) else {
                return false;
            };
            let file = read_whole(root, &path, limits::PACKAGE_KEPT as u64).ok().flatten();
            file.is_some_and(|file| form::is_covered(package, &file, &pattern))
        };
        USUAL.iter().filter(fits).map(|text| Tree::from(*text)).collect()
    }

    /// What is local, a row for each value; with [`LocalRows::All`] also what is shared.
    pub(crate) fn local_rows(&self, cx: &Context<F>, only: Option<&RelPath>, which: LocalRows) -> Vec<Tree> {
        let index = &cx.store.share(&self.name).index;
        let packages = index.iter().filter(|(path, record)| {
            only.is_none_or(|only| only == *path) && is_live_file(record) && record.sleep.is_none()
        });
        let mut rows = Vec::new();
        for (path, record) in packages {
            let package = match which {
                LocalRows::Local => self.formed(path, Some(record)),
                LocalRows::All => self.package_at(path),
            };
            let Some(package) = package else { continue };
            let row = |name: String| {
                Tree::map()
                    .with("share", self.name.to_string())
                    .with("path", path.to_text())
                    .with("option", format!("{package}.{name}"))
            };
            let both = match self.both_now(cx, path, record) {
                Ok(both) => both,
                Err(why) => {
                    rows.push(row("*".into()).with("message", why));
                    continue;
                }
            };
            let options = &self.forms.options;
            let values = options.listed(&package, &both.file, both.current.as_deref());
            let shared = options.shared(&package, &both.file, both.current.as_deref());
            let (values, missing) = match (values, shared) {
                (Ok(values), Ok(shared)) => (values, shared.missing),
                (Err(error), _) | (_, Err(error)) => {
                    rows.push(row("*".into()).with("message", error.to_string()));
                    continue;
                }
            };
            for Listed { value, is_local, exact } in values {
                if !is_local && which == LocalRows::Local {
                    continue;
                }
                let LocalValue { section, option, value, pattern } = value;
                let name = option.map_or(section.clone(), |option| format!("{section}.{option}"));
                let one = row(name).with_some("value", value.map(|value| value.to_string()));
                let one = one.with_some("pattern", pattern.filter(|_| is_local)).with_some("exact", exact);
                rows.push(if is_local { one } else { one.with("shared", true) });
            }
            // A marker without a value here.
            rows.extend(missing.into_iter().map(|name| row(name).with("missing", true)));
        }
        rows
    }
}

impl<F: Fs> Share<F> {
    /// Has the next scan share the values that stand for markers; what that is, and nothing where there is none.
    pub(crate) fn give_local(
        &mut self,
        cx: &mut Context<F>,
        path: &RelPath,
        record: &Record,
        package: &PackageName,
        pattern: &Pattern,
        yes: bool,
    ) -> Result<Option<Vec<Tree>>, String> {
        if matches!(self.settings.direction, Direction::Receive | Direction::Observe) {
            return Err(format!("the share {} offers nothing: run this on another router", self.name));
        }
        let Both { file, current } = self.both_now(cx, path, record)?;
        let current = current.ok_or("the file is being changed: try again")?;
        let (unmarked, names) = form::unmarked(package, &current, pattern).map_err(|error| error.to_string())?;
        if names.is_empty() {
            return Ok(None);
        }
        let options = &self.forms.options;
        let shared = options.shared(package, &file, Some(&unmarked)).map_err(|error| error.to_string())?;
        if form::says_the_same(package, &current, &shared.text) == Ok(true) {
            return Err(format!(
                "patterns of this router still cover it: remove `list local` from the configuration of the share {} first",
                self.name
            ));
        }
        let values = options.values(package, &file, Some(&current)).map_err(|error| error.to_string())?;
        let value_of = |name: &String| {
            let is = |value: &&LocalValue| crate::fs::form::names(std::slice::from_ref(*value)).first() == Some(name);
            values.iter().find(is).and_then(|value| value.value.as_ref()).map(ToString::to_string)
        };
        let row = |name: &String| {
            let option = format!("{package}.{name}");
            Tree::map().with("option", option).with_some("value", value_of(name))
        };
        let rows = names.iter().map(row).collect();
        if yes {
            self.forms.given.insert(path.clone(), pattern.clone());
            if let Some(known) = cx.store.index_mut(&self.name).and_then(|index| index.get_mut(path)) {
                known.young = true;
            }
            self.detect.hints.add(cx.now.mono, Hint { path: path.clone(), deep: false });
            let text = format!("share {}: the user shares {pattern}: its values are no longer local", self.name);
            cx.log(Level::Notice, text);
        }
        Ok(Some(rows))
    }
}
