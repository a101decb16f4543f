//! The last step of a configuration: what only the machine can tell.
//!
//! Reads the key files, finds the place of the database, and works out which files of owsync's own lie inside a share and
//! must never be synced.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::{Config, Flavour, Outcome, Place, Problem, Told};
use crate::model::settings::Reload;
use crate::model::{Key, RelPath, Release, Settings, ShareName};
use crate::reconcile::filter::Reserved;

/// Where OpenWrt, and any Linux whose /var/lib is cleared by a reboot, keeps what must survive.
pub const ETC: &str = "/etc/owsync";

/// Where UCI keeps its configuration files.
const ETC_CONFIG: &str = "/etc/config";

/// What the surroundings of a configuration are.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// The value of OWSYNC_KEY.
    pub env_key: Option<Zeroizing<String>>,
    /// The release of the system, if that is OpenWrt.
    pub release: Option<Release>,
}

/// Completes a configuration.
pub fn finish(told: Told, flavour: Flavour, around: &Surroundings) -> Outcome<Config> {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    let mut settings = told.settings;
    // What is configured counts: a derivative of OpenWrt may number its releases otherwise.
    let configured_release = settings.release.is_some();
    settings.release = settings.release.or_else(|| around.release.clone());
    let key_file = told.key_file.clone().unwrap_or_else(|| Path::new(ETC).join("key"));
    let mut key_problem = None;
    match find_key(told.key, told.key_file.as_deref(), around, &key_file, &mut warnings) {
        Ok(Some((_, from))) if settings.plain_mode && from != From::Default => {
            errors.push(problem("plain_mode", "a key and plain_mode exclude each other: remove one"));
        }
        Ok(_) if settings.plain_mode => {}
        Ok(Some((key, _))) => settings.key = Some(key),
        Ok(None) => {
            key_problem = Some(format!(
                "no key: put one into {} (`owsync genkey` makes one), or set plain_mode",
                key_file.display()
            ));
        }
        // The default key file may be root's, and plain mode was asked for.
        Err(_) if settings.plain_mode && told.key_file.is_none() && around.env_key.is_none() => {}
        Err(reason) => key_problem = Some(reason),
    }
    if !cfg!(feature = "encryption") && !settings.plain_mode {
        key_problem = Some("this owsync was built without encryption and supports plain_mode only".into());
    }
    if let Some(file) = &told.previous_key_file {
        match read_key(file, &mut warnings) {
            Ok(Some(key)) => settings.previous_key = Some(key),
            Ok(None) => errors.push(problem("previous_key_file", &format!("{} does not exist", file.display()))),
            Err(reason) => errors.push(problem("previous_key_file", &reason)),
        }
    }
    if let (Flavour::Conf, Some(reason)) = (flavour, &key_problem) {
        errors.push(problem("key", reason));
    }
    for share in &mut settings.shares {
        // A service manager's working directory is nobody's choice, so a relative path means the same from now on.
        if let Ok(absolute) = std::path::absolute(&share.dir) {
            share.dir = absolute;
        }
    }
    for (option, program) in programs(&settings) {
        // Whoever may write into a share could otherwise choose what runs here as root.
        if let Some(share) = share_around(&settings, program) {
            let reason = format!("{} lies inside the share {share}: a peer could replace it", program.display());
            errors.push(problem(option, &reason));
        }
    }
    let metrics_file = told.metrics_file.map(|file| std::path::absolute(&file).unwrap_or(file));
    if let Some((file, share)) = metrics_file.as_ref().and_then(|file| Some((file, share_around(&settings, file)?))) {
        // Each node would replace it by its own, for ever.
        errors.push(problem("metrics_file", &format!("{} lies inside the share {share}", file.display())));
    }
    let database = told
        .database
        .map_or_else(|| default_database(flavour), |database| std::path::absolute(&database).unwrap_or(database));
    let own: Vec<&Path> = [around.file.as_deref(), Some(key_file.as_path()), told.previous_key_file.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    let reserved = settings
        .shares
        .iter()
        .map(|share| (share.name.clone(), reserved_in(&share.dir, &own, &database)))
        .collect::<Vec<(ShareName, Vec<Reserved>)>>();
    let config = Config {
        settings,
        bind_host: told.bind_host,
        networks: told.networks,
        port: told.port,
        log_level: told.log_level,
        database,
        metrics_file,
        key_file,
        key_problem,
        configured_release,
        reserved,
        file: around.file.clone(),
        flavour,
        enabled: told.enabled,
    };
    Outcome { result: if errors.is_empty() { Ok(config) } else { Err(errors) }, warnings }
}

/// Every program that is run here, with the option that names it.
fn programs(settings: &Settings) -> Vec<(&'static str, &Path)> {
    let mut programs: Vec<(&str, &Path)> = Vec::new();
    programs.extend(settings.hook.program.as_deref().map(|program| ("hook", program)));
    for share in &settings.shares {
        if let Some(Reload::Script(script)) = &share.reload {
            programs.push(("reload", script));
        }
        for (option, program) in [("hook", &share.hook.program), ("validate", &share.validate), ("probe", &share.probe)]
        {
            programs.extend(program.as_deref().map(|program| (option, program)));
        }
    }
    programs
}

/// The share that a path lies in, if it lies in one.
fn share_around<'a>(settings: &'a Settings, path: &Path) -> Option<&'a ShareName> {
    let path = canonical(path);
    settings.shares.iter().find(|share| path.starts_with(canonical(&share.dir))).map(|share| &share.name)
}

fn problem(key: &str, reason: &str) -> Problem {
    Problem { place: Place::Argument, key: key.into(), reason: reason.into() }
}

#[derive(PartialEq)]
enum From {
    Explicit,
    Default,
}

/// The key: from the configuration, an explicit key file, the environment, or the default key file, in this order.
fn find_key(
    key: Option<Key>,
    explicit: Option<&Path>,
    around: &Surroundings,
    default: &Path,
    warnings: &mut Vec<Problem>,
) -> Result<Option<(Key, From)>, String> {
    if let Some(key) = key {
        if let Some(file) = &around.file {
            warn_if_readable(file, warnings);
        }
        return Ok(Some((key, From::Explicit)));
    }
    if let Some(file) = explicit {
        return match read_key(file, warnings)? {
            Some(key) => Ok(Some((key, From::Explicit))),
            None => Err(format!("the key file {} does not exist (`owsync genkey` makes a key)", file.display())),
        };
    }
    if let Some(text) = &around.env_key {
        return match Key::from_hex(text) {
            Some(key) => Ok(Some((key, From::Explicit))),
            None => Err("OWSYNC_KEY does not hold a key: 64 hexadecimal digits".into()),
        };
    }
    Ok(read_key(default, warnings)?.map(|key| (key, From::Default)))
}

/// Reads a key file; `None` when there is none.
///
/// # Errors
/// It cannot be read, or holds no key; the text never repeats what it holds.
pub fn read_key(file: &Path, warnings: &mut Vec<Problem>) -> Result<Option<Key>, String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("the key file {} cannot be read: {error}", file.display())),
    };
    warn_if_readable(file, warnings);
    match Key::from_hex(&text) {
        Some(key) => Ok(Some(key)),
        None => Err(format!("the key file {} does not hold a key: 64 hexadecimal digits", file.display())),
    }
}

fn warn_if_readable(file: &Path, warnings: &mut Vec<Problem>) {
    let mode = std::fs::metadata(file).map(|meta| meta.mode()).unwrap_or(0);
    if mode & 0o077 != 0 {
        warnings.push(problem(
            "",
            &format!("{} holds a key and can be read by others: chmod 600 {}", file.display(), file.display()),
        ));
    }
}

/// /var/lib/owsync, unless a reboot clears that.
pub fn default_database(flavour: Flavour) -> PathBuf {
    let volatile = || {
        nix::sys::statfs::statfs("/var/lib")
            .or_else(|_| nix::sys::statfs::statfs("/var"))
            .is_ok_and(|stat| stat.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC)
    };
    if flavour == Flavour::Uci || volatile() {
        Path::new(ETC).join("owsync.db")
    } else {
        PathBuf::from("/var/lib/owsync/owsync.db")
    }
}

/// What of owsync's own lies inside a share.
pub fn reserved_in(dir: &Path, own: &[&Path], database: &Path) -> Vec<Reserved> {
    let dir = canonical(dir);
    let inside = |path: &Path| {
        let path = canonical(path);
        path.strip_prefix(&dir).ok().and_then(|rel| RelPath::parse(rel.as_os_str().as_bytes()).ok())
    };
    let mut reserved: Vec<Reserved> = own.iter().filter_map(|path| inside(path)).map(Reserved::Path).collect();
    reserved.extend(inside(database).map(Reserved::Database));
    let etc_config = canonical(Path::new(ETC_CONFIG));
    if dir.starts_with(&etc_config) {
        reserved.push(Reserved::UciDir(None));
    } else if let Some(rel) = inside(&etc_config) {
        reserved.push(Reserved::UciDir(Some(rel)));
    }
    reserved
}

/// The path without symlinks, as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    if let Ok(whole) = std::fs::canonicalize(&path) {
        return whole;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent != path => canonical(parent).join(name),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{conf, options};

    fn errors(text: &str) -> Vec<String> {
        let (sections, _) = conf::parse(format!("plain_mode=1\n{text}").as_bytes());
        let told = options::build(&sections, Flavour::Conf, "node").result.unwrap();
        let outcome = finish(told, Flavour::Conf, &Surroundings::default());
        outcome.result.err().into_iter().flatten().map(|error| error.to_string()).collect()
    }

    #[test]
    fn what_each_node_writes_of_itself_does_not_travel() {
        assert_eq!(errors("sync_dir=/nowhere/a\nmetrics_file=/nowhere/owsync.prom\n"), [""; 0]);
        assert_eq!(
            errors("sync_dir=/nowhere/a\nmetrics_file=/nowhere/a/owsync.prom\n"),
            ["metrics_file: /nowhere/a/owsync.prom lies inside the share main"]
        );
    }

    #[test]
    fn no_program_that_a_peer_could_replace_is_taken() {
        let shares = "sync_dir=/nowhere/a\n[share b]\ndir=/nowhere/b\n";
        assert_eq!(errors(&format!("hook=/nowhere/hook\n{shares}hook=/nowhere/hook\nreload=/nowhere/r\n")), [""; 0]);
        assert_eq!(
            errors(&format!("hook=/nowhere/a/x/h\n{shares}hook=/nowhere/b/h\nreload=/nowhere/a/r\n")),
            [
                "hook: /nowhere/a/x/h lies inside the share main: a peer could replace it",
                "reload: /nowhere/a/r lies inside the share main: a peer could replace it",
                "hook: /nowhere/b/h lies inside the share b: a peer could replace it",
            ]
        );
    }
}
