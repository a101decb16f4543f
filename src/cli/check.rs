//! `check`: the effective configuration, or everything that is wrong with it.

use crate::cli::args::Invocation;
use crate::cli::{Done, Failure, conf_text, setup, start};

/// Prints what holds, in the form of a config file; warnings go to standard error.
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
    if let Some(problem) = &config.key_problem {
        notes.push(format!("warning: {problem}: owsync runs, and opens no port"));
    }
    let settings = &config.settings;
    for share in settings.shares.iter().filter(|share| share.enabled) {
        if share.include.is_empty() {
            notes.push(format!("warning: share {}: no include pattern, so nothing is synced", share.name));
        }
        if let Some(problem) = start::directory_problem(&share.dir, share.direction) {
            notes.push(format!("warning: share {}: {problem}: it is held until that is mended", share.name));
        }
    }
    if settings.shares.is_empty() {
        notes.push("warning: no share is configured, so nothing is synced".into());
    }
    if settings.peers.is_empty() {
        notes.push("warning: no peer is configured: this node waits for others to connect".into());
    }
    let text = conf_text::effective(&config).map_err(Failure::Usage)?;
    Ok(Done { text, notes, code: 0 })
}
