//! `scan`: prints the contents of a directory, in the form of owsync 1.x.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::args::Invocation;
use crate::cli::table::Opt;
use crate::cli::{Done, Failure, setup, start};
use crate::config::finish;
use crate::daemon::env::Env;
use crate::fs::Fs;
use crate::fs::form::LocalOptions;
use crate::fs::scan::{Rules, Scan};
use crate::fs::unix::UnixFs;
use crate::model::{Direction, Index, Kind, Set, ShareName, limits};
use crate::reconcile::filter::Filter;

/// Times a file that changes while it is read is read again.
const TRIES: u32 = 3;

/// Prints every file that the filter holds; nothing is remembered.
///
/// # Errors
/// The configuration or the directory cannot be used.
pub fn scan(invocation: &Invocation) -> Result<Done, Failure> {
    let loaded = setup::load_told(invocation);
    let told = loaded.result.map_err(Failure::Usage)?;
    let dir = PathBuf::from(invocation.operand(0).unwrap_or_default());
    if let Some(problem) = start::directory_problem(&dir, Direction::Send) {
        return Err(Failure::failed(problem));
    }
    let share = told.settings.share(&ShareName::main()).cloned();
    let share = share.unwrap_or_else(|| crate::model::settings::ShareSettings::new(ShareName::main(), dir.clone()));
    let key_file = told.key_file.unwrap_or_else(|| Path::new(finish::ETC).join("key"));
    let file = invocation.path(Opt::Config);
    let own: Vec<&Path> = [file.as_deref(), Some(key_file.as_path())].into_iter().flatten().collect();
    let database = setup::database(invocation)?;
    let filter = Filter::new(&share.include, &share.exclude, &finish::reserved_in(&dir, &own, &database));
    let mut notes: Vec<String> = loaded.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    if filter.is_empty() {
        notes.push("warning: no include pattern, so nothing is synced: add -i PATTERN, as -i '*'".into());
    }
    let rules = Rules {
        filter: &filter,
        symlinks: share.symlinks,
        max_file_size: share.max_file_size,
        withheld: &Set::new(),
        packages: false,
        local: &LocalOptions::default(),
        reread: false,
    };

    let failed = |error: crate::fs::FsError| Failure::failed(format!("{}: {error}", dir.display()));
    let root = UnixFs::new().open(&dir).map_err(failed)?;
    let env = Env::new();
    let mut list = Vec::new();
    let mut hints = None;
    for generation in 1..=TRIES {
        let mut index = Index::default();
        let mut scan = Scan::new(generation, hints.take(), env.now());
        let seen = loop {
            if let Some(seen) = scan.step(&root, &mut index, &rules, env.now(), limits::STEP).map_err(failed)? {
                break seen;
            }
        };
        for (path, finding) in seen.found.iter() {
            if finding.stat.kind == Kind::Dir {
                continue;
            }
            list.push((
                path.clone(),
                json!({
                    "path": path.to_text(),
                    "hash": finding.digest.to_hex(),
                    "mtime": finding.stat.mtime().0,
                    "size": finding.stat.size,
                    "deleted": false,
                }),
            ));
        }
        notes.extend(seen.skipped.iter().map(|(path, reason)| format!("{path}: {reason}")));
        if seen.restless.is_empty() {
            break;
        }
        if generation == TRIES {
            notes.extend(seen.restless.iter().map(|path| format!("{path}: changed while it was read")));
        }
        let again = |path| crate::fs::scan::Hint { path, deep: true };
        hints = Some(seen.restless.into_iter().map(again).collect());
    }
    list.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    if invocation.has(Opt::Quiet) {
        notes.clear();
    }
    let list: Vec<Value> = list.into_iter().map(|(_, file)| file).collect();
    Ok(Done { text: format!("{:#}\n", Value::Array(list)).into(), notes, code: 0 })
}
