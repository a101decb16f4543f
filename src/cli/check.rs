//! `check`: prints the effective configuration, or every error in it.

use crate::cli::args::Invocation;
use crate::cli::{Done, Failure, conf_text, setup, start};
use crate::config::{Config, Flavour};
use crate::fs::unix::UnixFs;
use crate::fs::{Found, Fs, Root};
use crate::model::settings::ShareSettings;
use crate::model::{Kind, RelPath, escape, limits};
use crate::reconcile::filter;

/// Names that are read at most, so that a check of a large tree ends.
const LOOKS: usize = 200_000;

/// Prints the effective configuration in the form of a config file; warnings go to standard error.
///
/// # Errors
/// Every error in the configuration.
pub fn check(invocation: &Invocation) -> Result<Done, Failure> {
    let loaded = setup::load(invocation);
    let mut notes: Vec<String> = loaded.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    let config = match loaded.result {
        Ok(config) => config,
        Err(errors) => return Err(Failure::Usage([errors, notes].concat())),
    };
    if let (Flavour::Conf, Some(problem)) = (config.flavour, &config.peer_problem) {
        return Err(Failure::Usage([vec![problem.clone()], notes].concat()));
    }
    if let Some(problem) = config.idle_because() {
        notes.push(format!("warning: {problem}: owsync runs but opens no port"));
    }
    let settings = &config.settings;
    for share in settings.shares.iter().filter(|share| share.enabled) {
        if share.include.is_empty() {
            notes.push(format!("warning: share {}: no include pattern, so nothing is synced", share.name));
        }
        if let Some(problem) = start::directory_problem(&share.dir, share.direction) {
            notes.push(format!("warning: share {}: {problem}: the share is held until this is fixed", share.name));
        } else {
            let idle = without_match(&config, share);
            notes.extend(
                idle.iter().map(|one| format!("warning: share {}: include '{one}' matches nothing", share.name)),
            );
        }
    }
    if settings.shares.is_empty() {
        notes.push("warning: no share is configured, so nothing is synced".into());
    }
    if settings.peers.is_empty() {
        notes.push("warning: no peer is configured: this node only waits for connections".into());
    }
    let text = conf_text::effective(&config).map_err(Failure::Usage)?;
    Ok(Done { text, notes, code: 0 })
}

/// The includes of a share that match nothing in its directory; none where that is not known.
fn without_match(config: &Config, share: &ShareSettings) -> Vec<String> {
    let filter = config.filter(share);
    let mut idle: Vec<&Vec<u8>> = share.include.iter().collect();
    let Ok(root) = UnixFs::new().open(&share.dir) else { return Vec::new() };
    let mut todo: Vec<Option<RelPath>> = vec![None];
    let mut left = LOOKS;
    while let Some(dir) = todo.pop() {
        let Ok(mut handle) = root.open_dir(dir.as_ref()) else { continue };
        while let Ok(names) = root.read_dir(&mut handle, limits::STEP_NAMES) {
            if names.is_empty() || idle.is_empty() {
                break;
            }
            for (name, found) in names {
                let Ok(path) = RelPath::below(dir.as_ref(), &name) else { continue };
                idle.retain(|pattern| !filter::covers(pattern, &path));
                let is_dir = matches!(found, Found::Synced(stat) if stat.kind == Kind::Dir);
                if is_dir && (filter.holds(&path) || filter.may_hold_below(&path)) {
                    todo.push(Some(path));
                }
                left = left.saturating_sub(1);
            }
        }
        if left == 0 {
            return Vec::new();
        }
        if idle.is_empty() {
            break;
        }
    }
    // In an empty directory every pattern matches nothing, and none is wrong for that.
    if left == LOOKS { Vec::new() } else { idle.into_iter().map(|pattern| escape::escape(pattern)).collect() }
}
