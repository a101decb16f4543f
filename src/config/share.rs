//! Shares: their sections, and the options of the share `main` outside any.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::options::Reader;
use crate::config::{Place, Raw, Section, Told, values};
use crate::model::settings::{Mode, Reload, ShareSettings, Symlinks};
use crate::model::{Direction, Hook, escape, limits};
use crate::reconcile::filter::{self, Absolute, Doubt};
use crate::uci::local::Pattern;

/// What is wrong with the directories of enabled shares: two of one directory, or one inside the other. `place` makes
/// different spellings of a directory one.
pub fn overlaps(shares: &[ShareSettings], place: impl Fn(&Path) -> PathBuf) -> Vec<String> {
    let shares: Vec<(&ShareSettings, PathBuf)> = shares
        .iter()
        .filter(|share| share.enabled && !share.dir.as_os_str().is_empty())
        .map(|share| (share, place(&share.dir)))
        .collect();
    let mut found = Vec::new();
    for (n, (a, a_dir)) in shares.iter().enumerate() {
        for (b, b_dir) in &shares[n + 1..] {
            let (inner, outer) = match (a_dir.starts_with(b_dir), b_dir.starts_with(a_dir)) {
                (true, true) => {
                    let dir = a_dir.display();
                    found.push(format!("the shares {} and {} have the same directory: {dir}", a.name, b.name));
                    continue;
                }
                (true, false) => (a, b),
                (false, true) => (b, a),
                (false, false) => continue,
            };
            found.push(format!(
                "the share {0} ({1}) is inside the share {2} ({3}), so both would sync the same files: split {2} into shares without that directory, or remove one of the two",
                inner.name,
                inner.dir.display(),
                outer.name,
                outer.dir.display()
            ));
        }
    }
    found
}

impl Reader {
    pub(crate) fn share_option(&mut self, name: &str, raw: &Raw, share: &mut ShareSettings) {
        match name {
            "enabled" => {
                if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                    share.enabled = value;
                }
            }
            "dir" => {
                if let Some(value) = self.path(raw) {
                    share.dir = value;
                }
            }
            "include" | "exclude" => {
                for value in &raw.values {
                    let shown = escape::escape(value);
                    match filter::doubt(value) {
                        Some(Doubt::Wrong(text)) => {
                            self.error(&raw.place, &raw.key, format!("the pattern '{shown}' {text}"));
                            continue;
                        }
                        Some(Doubt::Odd(text)) => self.warn(raw, format!("the pattern '{shown}' {text}")),
                        None => {}
                    }
                    let list = if name == "include" { &mut share.include } else { &mut share.exclude };
                    list.push(value.clone());
                }
                if share.include.len() > limits::PATTERNS_MAX || share.exclude.len() > limits::PATTERNS_MAX {
                    self.error(&raw.place, &raw.key, format!("more than {} patterns", limits::PATTERNS_MAX));
                }
            }
            "local" => self.local(raw, share),
            "direction" => {
                if let Some(value) = self.one(raw, "'both', 'send', 'receive' or 'observe'", Direction::parse) {
                    share.direction = value;
                }
            }
            "symlinks" => {
                if let Some(value) = self.one(raw, "'ignore' or 'copy'", |text| {
                    [Symlinks::Ignore, Symlinks::Copy].into_iter().find(|s| s.word() == text)
                }) {
                    share.symlinks = value;
                }
            }
            "max_file_size" => {
                if let Some(value) = self.one(raw, "a size, as 16777216 or 16M; 0 for any", values::size) {
                    share.max_file_size = value;
                }
            }
            "propagate_approvals" => {
                if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                    share.propagate_approvals = value;
                }
            }
            "merge" => {
                if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                    share.merge = value;
                }
            }
            "allow_setuid" => {
                if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                    share.allow_setuid = value;
                }
            }
            "delete_guard" => {
                if let Some(value) = self.one(raw, "a percentage from 0 to 100", |text| {
                    values::number(text).filter(|&n| n <= 100).and_then(|n| u8::try_from(n).ok())
                }) {
                    share.delete_guard = value;
                }
            }
            "min_free" => {
                if let Some(value) = self.one(raw, "a size, as 1048576 or 1M", values::size) {
                    share.min_free = value;
                }
            }
            "reload" => share.reload = self.reload(raw),
            "confirm" => {
                if let Some(value) = self.one(raw, "a time from 5 s to 1 h, as 60 or 2m; 0 for never", |text| {
                    let time = values::duration(text)?;
                    let known = time.is_zero() || (limits::CONFIRM_MIN..=limits::CONFIRM_MAX).contains(&time);
                    if known { u32::try_from(time.as_secs()).ok() } else { None }
                }) {
                    share.confirm = Some(value);
                }
            }
            "mode" => {
                if let Some(value) = self.one(raw, "'auto' or 'manual'", |text| {
                    [Mode::Auto, Mode::Manual].into_iter().find(|mode| mode.word() == text)
                }) {
                    share.mode = value;
                }
            }
            "validate" => share.validate = self.program(raw),
            "probe" => share.probe = self.program(raw),
            "propagate_deletions" => {
                if let Some(value) = self.one(raw, "'both', 'send', 'receive' or 'none'", |text| match text {
                    "none" => Some(Direction::Observe),
                    "observe" => None,
                    text => Direction::parse(text),
                }) {
                    share.deletions = value;
                }
            }
            "soft_max_time" => share.soft_max_time = self.time_limit(raw, share.soft_max_time),
            "hard_max_time" => share.hard_max_time = self.time_limit(raw, share.hard_max_time),
            "release_guard" => {
                if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                    share.release_guard = value;
                }
            }
            "hook" | "hook_timeout" => self.hook(name, raw, &mut share.hook),
            other => unreachable!("{other} is in the table and read here"),
        }
    }

    /// Patterns of what stays on this node.
    fn local(&mut self, raw: &Raw, share: &mut ShareSettings) {
        for value in &raw.values {
            let text = String::from_utf8_lossy(value).trim().to_string();
            match Pattern::parse(&text) {
                Ok(_) => share.local.push(text),
                Err(error) => {
                    self.error(
                        &raw.place,
                        &raw.key,
                        format!("the pattern '{}' is not valid: {error}", escape::escape(value)),
                    );
                }
            }
        }
        if share.local.len() > limits::LOCAL_PATTERNS {
            self.error(&raw.place, &raw.key, format!("more than {} patterns", limits::LOCAL_PATTERNS));
        }
    }

    /// Options exist in UCI packages only: elsewhere, what was meant to stay would be sent.
    pub(crate) fn check_local(&mut self, sections: &[Section], told: &Told) {
        for share in told.settings.shares.iter().filter(|share| !share.local.is_empty()) {
            if share.reload() == Reload::Uci {
                continue;
            }
            let mut raws = sections.iter().flat_map(|section| &section.options);
            let raw = raws.find(|raw| raw.key == "local");
            let reason = format!(
                "the share {} has no UCI packages: its directory must be below /etc/config, or `reload` must be 'uci'",
                share.name
            );
            self.error(raw.map_or(&Place::Argument, |raw| &raw.place), "local", reason);
        }
    }

    /// What is called when something happens, in a share or in any.
    pub(crate) fn hook(&mut self, name: &str, raw: &Raw, hook: &mut Hook) {
        if name == "hook" {
            hook.program = self.program(raw);
        } else if let Some(value) = self.one(raw, "a time from 1 s to 1 h, as 30 or 2m", |text| {
            values::duration(text).filter(|time| !time.is_zero() && *time <= limits::HOOK_TIME_MAX)
        }) {
            hook.time = value;
        }
    }

    /// A program of the administrator's. It is run from no directory in particular, so its path must be absolute.
    pub(crate) fn program(&mut self, raw: &Raw) -> Option<PathBuf> {
        let path = self.path(raw)?;
        if !path.is_absolute() {
            let shown = escape::escape(path.as_os_str().as_bytes());
            self.error(&raw.place, &raw.key, format!("'{shown}' is not the absolute path of a program"));
            return None;
        }
        Some(path)
    }

    /// A time limit; 0 is none.
    fn time_limit(&mut self, raw: &Raw, before: Option<Duration>) -> Option<Duration> {
        match self.one(raw, "a time, as 300 or 5m; 0 for no limit", values::duration) {
            Some(time) => Some(time).filter(|time| !time.is_zero()),
            None => before,
        }
    }

    pub(crate) fn path(&mut self, raw: &Raw) -> Option<PathBuf> {
        let value = raw.values.last()?;
        if value.is_empty() || value.contains(&0) {
            self.error(&raw.place, &raw.key, "a path is needed".into());
            return None;
        }
        Some(PathBuf::from(OsString::from_vec(value.clone())))
    }

    /// Takes absolute paths among the patterns for what they mean, which depends on the directory of their share.
    pub(crate) fn check_patterns(&mut self, sections: &[Section], told: &mut Told) {
        for share in &mut told.settings.shares {
            let root = std::path::absolute(&share.dir).unwrap_or_else(|_| share.dir.clone());
            for (key, list) in [("include", &mut share.include), ("exclude", &mut share.exclude)] {
                for pattern in list {
                    let Some(found) = filter::absolute(pattern, root.as_os_str().as_bytes()) else { continue };
                    let shown = escape::escape(pattern);
                    let reason = match &found {
                        Absolute::Inside(meant) => format!(
                            "the pattern '{shown}' is an absolute path, and patterns are relative to the directory of the share: '{}' is used",
                            escape::escape(meant)
                        ),
                        Absolute::Outside => format!(
                            "the pattern '{shown}' looks like an absolute path that is not in the share {}: it matches only \
                             {}{shown}",
                            share.name,
                            root.display()
                        ),
                    };
                    let mut raws = sections.iter().flat_map(|section| &section.options);
                    let raw = raws.find(|raw| raw.key == key && raw.values.contains(pattern)).cloned();
                    let raw = raw.unwrap_or(Raw { place: Place::Argument, key: key.into(), values: Vec::new() });
                    self.warn(&raw, reason);
                    if let Absolute::Inside(meant) = found {
                        *pattern = meant;
                    }
                }
            }
        }
    }

    /// Two shares of one directory, or one inside the other, would sync each file twice.
    pub(crate) fn check_overlap(&mut self, told: &Told) {
        for reason in overlaps(&told.settings.shares, |dir| std::path::absolute(dir).unwrap_or_else(|_| dir.into())) {
            self.error(&Place::Argument, "dir", reason);
        }
    }
}
