//! Completes a configuration with what depends on the machine: key files, database, names that are never synced.
//!
//! Reads the key files, finds the path of the database, and determines which files of owsync's own are inside a share and
//! must never be synced.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::AccessFlags;
use zeroize::Zeroizing;

use crate::config::{Config, Flavour, Outcome, Place, Problem, Told, share};
use crate::daemon::env;
use crate::daemon::place::plain;
use crate::fs::local;
use crate::model::reserved::Reserved;
use crate::model::settings::Reload;
use crate::model::{Key, RelPath, Release, Settings, ShareName, limits};

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
                "no key: put one into {} (`owsync genkey` creates one), or set plain_mode",
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
        // The working directory of a service is arbitrary, so a relative path is made absolute once.
        if let Ok(absolute) = std::path::absolute(&share.dir) {
            share.dir = absolute;
        }
    }
    // What the spelling alone tells was said when the options were read.
    let by_name = share::overlaps(&settings.shares, Path::to_path_buf).len();
    let overlaps = share::overlaps(&settings.shares, canonical);
    if by_name == 0 {
        errors.extend(overlaps.iter().map(|reason| problem("dir", reason)));
        if overlaps.is_empty() {
            errors.extend(one_directory(&settings).iter().map(|reason| problem("dir", reason)));
        }
    }
    for (option, program) in programs(&settings) {
        // A peer that may write into a share could otherwise choose the program that runs here as root.
        if let Some(share) = share_around(&settings, program) {
            let reason = format!("{} is inside the share {share}: a peer could replace it", program.display());
            errors.push(problem(option, &reason));
        }
    }
    let metrics_file = told.metrics_file.map(|file| std::path::absolute(&file).unwrap_or(file));
    if let Some((file, share)) = metrics_file.as_ref().and_then(|file| Some((file, share_around(&settings, file)?))) {
        // Each node would replace it by its own, for ever.
        errors.push(problem("metrics_file", &format!("{} is inside the share {share}", file.display())));
    }
    let database = told
        .database
        .map_or_else(|| default_database(flavour), |database| std::path::absolute(&database).unwrap_or(database));
    let mut history = database.clone().into_os_string();
    history.push("-history");
    let history = PathBuf::from(history);
    for share in settings.shares.iter().filter(|share| canonical(&share.dir).starts_with(canonical(&history))) {
        // It would sync the previous contents of every share.
        let reason = format!("the share {} is inside owsync's own history ({})", share.name, history.display());
        errors.push(problem("dir", &reason));
    }
    if !told.has_history_size {
        settings.history.size = default_history_size(flavour, &database);
    }
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
        peer_problem: None,
        configured_release,
        reserved,
        file: around.file.clone(),
        flavour,
        enabled: told.enabled,
    };
    Outcome { result: if errors.is_empty() { Ok(config) } else { Err(errors) }, warnings }
}

/// Shares of one directory that has two names, as a bind mount gives it.
fn one_directory(settings: &Settings) -> Vec<String> {
    let mut seen: Vec<(&ShareName, (u64, u64))> = Vec::new();
    let mut found = Vec::new();
    for share in settings.shares.iter().filter(|share| share.enabled) {
        let Ok(about) = std::fs::metadata(&share.dir) else { continue };
        let identity = (about.dev(), about.ino());
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == identity) {
            found.push(format!("the shares {other} and {} have the same directory", share.name));
        }
        seen.push((&share.name, identity));
    }
    found
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

/// The share that contains a path, if there is one.
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
            None => Err(format!("the key file {} does not exist (`owsync genkey` creates a key)", file.display())),
        };
    }
    if let Some(text) = &around.env_key {
        return match Key::from_hex(text) {
            Some(key) => Ok(Some((key, From::Explicit))),
            None => Err("OWSYNC_KEY does not contain a key: 64 hexadecimal digits".into()),
        };
    }
    Ok(read_key(default, warnings)?.map(|key| (key, From::Default)))
}

/// Reads a key file; `None` when there is none.
///
/// # Errors
/// It cannot be read, is empty, or holds something that is not a key; the text never repeats what it holds.
pub fn read_key(file: &Path, warnings: &mut Vec<Problem>) -> Result<Option<Key>, String> {
    let bytes = match local::read(file, limits::KEY_FILE_MAX) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound && file.symlink_metadata().is_err() => return Ok(None),
        Err(error) => return Err(format!("the key file {} cannot be read: {}", file.display(), plain(&error))),
    };
    warn_if_readable(file, warnings);
    if bytes.trim_ascii().is_empty() {
        // A power cut leaves such a file: the key may still be known elsewhere, so it is never created again.
        return Err(format!(
            "the key file {0} is empty: copy the key from another node, or remove {0} to create a new key",
            file.display()
        ));
    }
    match std::str::from_utf8(&bytes).ok().and_then(Key::from_hex) {
        Some(key) => Ok(Some(key)),
        None => Err(format!("the key file {} does not contain a key: 64 hexadecimal digits", file.display())),
    }
}

fn warn_if_readable(file: &Path, warnings: &mut Vec<Problem>) {
    let mode = std::fs::metadata(file).map(|meta| meta.mode()).unwrap_or(0);
    if mode & 0o077 != 0 {
        warnings.push(problem(
            "",
            &format!("{} contains a key and can be read by others: run `chmod 600 {}`", file.display(), file.display()),
        ));
    }
}

/// Bytes of history where nothing was said: 1 MiB on a router, whose flash is small, and elsewhere a twentieth of the
/// filesystem that the database is on, from 1 MiB to 1 GiB.
pub fn default_history_size(flavour: Flavour, database: &Path) -> u64 {
    const LEAST: u64 = 1024 * 1024;
    const MOST: u64 = 1024 * 1024 * 1024;
    if flavour == Flavour::Uci || is_var_volatile() {
        return LEAST;
    }
    // The directory may not be there yet: then it will be on the filesystem of what is.
    let mut places = database.ancestors().skip(1);
    let size = places.find_map(|dir| nix::sys::statvfs::statvfs(dir).ok());
    let size = size.map_or(0, |stat| wide(stat.blocks()).saturating_mul(wide(stat.fragment_size())));
    (size / 20).clamp(LEAST, MOST)
}

/// The C library's numbers have 32 bits on many routers and 64 elsewhere.
fn wide(number: impl Into<u64>) -> u64 {
    number.into()
}

/// Whether a reboot clears /var, as on OpenWrt.
fn is_var_volatile() -> bool {
    nix::sys::statfs::statfs("/var/lib")
        .or_else(|_| nix::sys::statfs::statfs("/var"))
        .is_ok_and(|stat| stat.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC)
}

/// Whether this user may keep files in the directory, which need not be there yet.
fn is_usable(dir: &Path) -> bool {
    let access = |dir: &Path| nix::unistd::access(dir, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    // root may everything, also where a directory above is missing.
    nix::unistd::geteuid().is_root() || access(dir) || (!dir.exists() && dir.parent().is_some_and(access))
}

/// Where a user's programs keep their state: the XDG Base Directory Specification.
fn user_state(state_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |dir: OsString| Some(PathBuf::from(dir)).filter(|dir| dir.is_absolute());
    let state = state_home.and_then(absolute);
    state.or_else(|| Some(home.and_then(absolute)?.join(".local/state"))).map(|dir| dir.join("owsync"))
}

/// /var/lib/owsync, unless a reboot clears that; of a user who may not write there, the directory for that user's state.
pub fn default_database(flavour: Flavour) -> PathBuf {
    if flavour == Flavour::Uci {
        return Path::new(ETC).join("owsync.db");
    }
    let system = if is_var_volatile() { Path::new(ETC).to_path_buf() } else { PathBuf::from("/var/lib/owsync") };
    let state =
        if is_usable(&system) { None } else { user_state(env::variable("XDG_STATE_HOME"), env::variable("HOME")) };
    state.unwrap_or(system).join("owsync.db")
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

    /// F130: a key file that is missing, empty or holds no key is an error, and never plain mode.
    // A build without encryption refuses every key file, whatever is in it.
    #[cfg(feature = "encryption")]
    #[test]
    fn a_key_file_is_missing_empty_or_holds_no_key() {
        let dir = std::env::temp_dir().join(format!("owsync-key-file-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("key");
        let problems = |mode: &str| {
            let text = format!("key_file={}\nsync_dir=/nowhere/a\n{mode}", file.display());
            let (sections, _) = conf::parse(text.as_bytes());
            let told = options::build(&sections, Flavour::Conf, "node").result.unwrap();
            let outcome = finish(told, Flavour::Conf, &Surroundings::default());
            outcome.result.err().into_iter().flatten().map(|error| error.to_string()).collect::<Vec<_>>()
        };
        let read = || read_key(&file, &mut Vec::new());
        assert_eq!(read(), Ok(None));
        assert!(matches!(&problems("")[..], [one] if one.contains("does not exist")), "{:?}", problems(""));
        for empty in ["", "\n", " \n\n"] {
            std::fs::write(&file, empty).unwrap();
            assert!(read().unwrap_err().contains("is empty"));
            assert!(matches!(&problems("")[..], [one] if one.contains("is empty")), "{:?}", problems(""));
        }
        for other in ["abc", &"g".repeat(64), &"f".repeat(63)] {
            std::fs::write(&file, other).unwrap();
            assert!(read().unwrap_err().contains("does not contain a key"));
            assert!(matches!(&problems("")[..], [one] if one.contains("does not contain a key")), "{:?}", problems(""));
        }
        std::fs::write(&file, "f".repeat(64)).unwrap();
        assert_eq!(read(), Ok(Some(Key::new([0xff; 32]))));
        let both = problems("plain_mode=1\n");
        assert!(matches!(&both[..], [one] if one.contains("exclude each other")), "{both:?}");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_each_node_writes_of_itself_does_not_travel() {
        assert_eq!(errors("sync_dir=/nowhere/a\nmetrics_file=/nowhere/owsync.prom\n"), [""; 0]);
        assert_eq!(
            errors("sync_dir=/nowhere/a\nmetrics_file=/nowhere/a/owsync.prom\n"),
            ["metrics_file: /nowhere/a/owsync.prom is inside the share main"]
        );
    }

    /// F98: shares inside each other, or of one directory, were accepted, also by another spelling or a symlink.
    #[test]
    fn no_two_shares_overlap_however_their_directories_are_written() {
        let dir = std::env::temp_dir().join(format!("owsync-finish-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("a/sub")).unwrap();
        std::fs::create_dir_all(dir.join("b")).unwrap();
        std::os::unix::fs::symlink(dir.join("a"), dir.join("link")).unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        let of = |a: &str, b: &str| errors(&format!("[share one]\ndir={a}\n[share two]\ndir={b}\n"));
        let build = |a: &str, b: &str| {
            let text = format!("plain_mode=1\n[share one]\ndir={a}\n[share two]\ndir={b}\n");
            let (sections, _) = conf::parse(text.as_bytes());
            let errors = options::build(&sections, Flavour::Conf, "node").result.err().unwrap_or_default();
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (a, b, word) in [
            (at("a"), at("a"), "the same directory"),
            (at("a"), at("a/sub"), "two ("),
            (at("a/sub"), at("a"), "one ("),
            (at("a/./sub/"), at("a"), "one ("),
            (at("a/new/dir"), at("a"), "one ("),
        ] {
            let found = build(&a, &b);
            assert!(found.len() == 1 && found[0].contains(word), "{a} {b}: {found:?}");
            assert!(found[0].contains("one") && found[0].contains("two"), "{found:?}");
        }
        for (a, b, word) in [
            (at("link"), at("a"), "the same directory"),
            (at("link/sub"), at("a"), "one ("),
            (at("b/../a/sub"), at("a"), "one ("),
            (at("link/not-there"), at("a"), "one ("),
        ] {
            let found = of(&a, &b);
            assert!(found.len() == 1 && found[0].contains(word), "{a} {b}: {found:?}");
        }
        assert_eq!(of(&at("a"), &at("b")), [""; 0]);
        assert_eq!(build(&at("a"), &at("ab")), [""; 0]);
        let history = errors(&format!("database={}\n[share one]\ndir={}\n", at("o.db"), at("o.db-history/x")));
        assert!(history.len() == 1 && history[0].contains("history"), "{history:?}");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// F99: an absolute exclude excluded nothing, and what it named was sent.
    #[test]
    fn an_absolute_pattern_is_taken_as_it_is_meant_with_a_warning() {
        let text = "plain_mode=1\nsync_dir=/nowhere/a\ninclude=*\nexclude=/nowhere/a/secret.key\nexclude=/etc/x/key\n";
        let (sections, _) = conf::parse(text.as_bytes());
        let outcome = options::build(&sections, Flavour::Conf, "node");
        assert_eq!(
            outcome.result.unwrap().settings.shares[0].exclude,
            [b"secret.key".to_vec(), b"/etc/x/key".to_vec()]
        );
        let warnings: Vec<String> = outcome.warnings.iter().map(ToString::to_string).collect();
        assert!(
            warnings[0].starts_with("line 4: exclude: ") && warnings[0].ends_with("'secret.key' is used"),
            "{warnings:?}"
        );
        assert!(warnings[1].contains("/nowhere/a/etc/x/key"), "{warnings:?}");
    }

    #[test]
    fn the_state_of_an_ordinary_user_is_where_such_state_belongs() {
        let state = |state: Option<&str>, home: Option<&str>| user_state(state.map(Into::into), home.map(Into::into));
        assert_eq!(state(Some("/s"), Some("/home/u")), Some("/s/owsync".into()));
        assert_eq!(state(Some("relative"), Some("/home/u")), Some("/home/u/.local/state/owsync".into()));
        assert_eq!(state(None, Some("/home/u")), Some("/home/u/.local/state/owsync".into()));
        assert_eq!(state(None, None), None);
    }

    #[test]
    fn no_program_that_a_peer_could_replace_is_taken() {
        let shares = "sync_dir=/nowhere/a\n[share b]\ndir=/nowhere/b\n";
        assert_eq!(errors(&format!("hook=/nowhere/hook\n{shares}hook=/nowhere/hook\nreload=/nowhere/r\n")), [""; 0]);
        assert_eq!(
            errors(&format!("hook=/nowhere/a/x/h\n{shares}hook=/nowhere/b/h\nreload=/nowhere/a/r\n")),
            [
                "hook: /nowhere/a/x/h is inside the share main: a peer could replace it",
                "reload: /nowhere/a/r is inside the share main: a peer could replace it",
                "hook: /nowhere/b/h is inside the share b: a peer could replace it",
            ]
        );
    }
}
