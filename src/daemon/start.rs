//! Makes a running node from a configuration.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::{Config, Flavour};
use crate::daemon::control::Control;
use crate::daemon::dial::Dialler;
use crate::daemon::env::{self, Env};
use crate::daemon::joining;
use crate::daemon::listener::{Listener, Where};
use crate::daemon::log::Log;
use crate::daemon::memory::Memory;
use crate::daemon::place::{self, Holder, Lock, Place, Taken, plain};
use crate::daemon::poller::Poller;
use crate::daemon::selfwatch::SelfWatch;
use crate::daemon::shell::Shell;
use crate::daemon::ubus::Ubus;
use crate::daemon::watcher::Watcher;
use crate::daemon::{Role, Start, connect, signals};
use crate::fs::Fs;
use crate::fs::unix::UnixFs;
use crate::model::settings::PeerSettings;
use crate::model::{Direction, Map, PeerName, RelPath, Rng, limits};
use crate::node::api::Level;
use crate::node::{Identity, Node, Parts};
use crate::proto::session::Mode;
use crate::store::history::History;
use crate::store::{self, Store};

/// How often a `connect` that waits for another one retries.
const LOCK_AGAIN: Duration = Duration::from_millis(100);

/// Makes everything that runs.
///
/// # Errors
/// The fault that keeps it from starting, as one line for users.
pub fn start(start: Start) -> Result<Shell, String> {
    let Start { mut config, role, log, reread } = start;
    // Before anything that a signal could interrupt halfway.
    let signals = signals::listen().map_err(|errno| format!("cannot wait for signals: {}", errno.desc()))?;
    raise_descriptors();
    let env = Env::new();
    let memory = Memory::new(env.now().mono);
    if let Role::Connect { to, .. } = &role {
        config.settings.peers = vec![only_peer(to)];
    }
    let listens = !matches!(role, Role::Connect { .. }) && config.idle_because().is_none();
    if listens {
        config.settings.reachable = joining::reported(&config);
    }
    let place = Place::new(&config.database);
    place.make_directory()?;
    let lock = take(&place, &role)?;
    let node = make_node(&env, &place, &config, role != Role::Daemon, place.read_token())?;
    let now = env.now();
    let listener = listens.then(|| Listener::new(now.mono, Where::of(&config), config.port));
    if let (Role::Listen, Some(trouble)) = (&role, listener.as_ref().and_then(Listener::trouble)) {
        return Err(trouble.to_string());
    }
    let control = if matches!(role, Role::Connect { .. }) { None } else { open_control(&place, &log) };
    let dialler = Dialler::new().map_err(|error| format!("cannot start: {}", plain(&error)))?;
    let watcher = Watcher::new();
    if watcher.is_none() {
        log.say(Level::Warning, "no inotify: changes are found by rescans only");
    }
    let self_watch = match (&config.file, config.flavour) {
        (Some(file), Flavour::Uci) => SelfWatch::new(file),
        _ => None,
    };
    let progress = match &role {
        Role::Connect { to, quiet } => Some(connect::Progress::new(now.mono, to, *quiet)),
        _ => None,
    };
    // Who runs `listen` or `connect` asks at the terminal.
    let ubus = (role == Role::Daemon).then(|| Ubus::new(now.mono));
    let shell = Shell::new(crate::daemon::shell::Pieces {
        env,
        memory,
        log,
        place,
        _lock: lock,
        config,
        role,
        reread,
        node,
        signals,
        listener,
        control,
        ubus,
        dialler,
        watcher,
        self_watch,
        progress,
        has_token_file: true,
    });
    Ok(shell)
}

/// Raises the soft limit of open files, as far as it is below [`limits::DESCRIPTORS`] and the hard limit allows. What
/// cannot be raised is no reason not to start: owsync gets by with few, more slowly.
fn raise_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let wanted = limits::DESCRIPTORS.min(hard);
        if soft < wanted {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
        }
    }
}

fn only_peer(to: &crate::model::settings::Address) -> PeerSettings {
    PeerSettings {
        name: PeerName(to.host.as_str().into()),
        enabled: true,
        address: Some(to.clone()),
        public_key: None,
        introducer: false,
        shares: None,
        direction: Direction::Both,
    }
}

/// The database's lock; a `connect` waits for another `connect`.
fn take(place: &Place, role: &Role) -> Result<Lock, String> {
    let holder = match role {
        Role::Daemon => Holder::Daemon,
        Role::Listen => Holder::Listen,
        Role::Connect { .. } => Holder::Connect,
    };
    loop {
        match place.lock(holder) {
            Ok(lock) => return Ok(lock),
            Err(Taken::Failed(reason)) => return Err(reason),
            Err(Taken::By { pid, holder: other }) => {
                let ends = [Holder::Connect.word(), Holder::Setup.word()].contains(&other.as_str()) || other.is_empty();
                if !ends && holder == Holder::Connect {
                    return Err(format!("in use by owsync (pid {pid}): use `owsync sync`"));
                }
                if !ends {
                    return Err(format!("{} is in use by owsync (pid {pid})", place.database().display()));
                }
            }
        }
        Poller::<()>::new().wait(LOCK_AGAIN);
    }
}

/// How this node's sessions are secured, by the configuration; its identity is made at the first need.
///
/// # Errors
/// Its identity cannot be read or made.
pub fn mode(place: &Place, config: &Config) -> Result<Mode, String> {
    match &config.settings.key {
        #[cfg(feature = "encryption")]
        Some(key) => Ok(Mode::Encrypted(crate::proto::session::Credentials {
            key: key.clone(),
            previous: config.settings.previous_key.clone(),
            identity: place.identity()?,
        })),
        _ => {
            let _ = place;
            // Plain mode is only ever what the configuration says, never what is left where a key is missing.
            Ok(if config.settings.plain_mode { Mode::Plain } else { Mode::Closed })
        }
    }
}

/// The node of a configuration, with the state of its database, whose lock is held. `attended`: a user waits for
/// it; `token`: the token of the join text that it was set up with.
///
/// # Errors
/// Its database, history or identity cannot be used.
pub fn make_node(
    env: &Env,
    place: &Place,
    config: &Config,
    attended: bool,
    token: Option<[u8; 16]>,
) -> Result<Node<UnixFs>, String> {
    let now = env.now();
    let fs = UnixFs::new();
    let name = place.database().file_name().unwrap_or_default();
    let name = RelPath::parse(name.as_bytes())
        .map_err(|_| format!("'{}' cannot name a database", place.database().display()))?;
    let open =
        || fs.open(place.directory()).map_err(|error| format!("the database's directory cannot be used: {error}"));
    // Another one: what is written there is in memory, and does not count as written to flash.
    let run = place.run_directory().and_then(|dir| UnixFs::new().open(&dir).ok());
    let place_of_store =
        store::Place { root: open()?, name: name.clone(), run, boot: env::boot_id(), rng: Rng::new(env::random()?) };
    let failed = |error| format!("the database {} cannot be read: {error}", place.database().display());
    let (store, news) = Store::load(place_of_store, now.wall).map_err(failed)?;
    let history_name =
        RelPath::parse(&[name.as_bytes(), b"-history"].concat()).map_err(|_| "the database's name is too long")?;
    let history = History::load(open()?, history_name, config.settings.history).map_err(failed)?;
    let identity = Identity::of(mode(place, config)?, store.state().me.plain_id);
    let node = Node::new(
        Parts {
            fs,
            settings: config.settings.clone(),
            store,
            news,
            history,
            identity,
            rng: Rng::new(env::random()?),
            tag: place.tag(),
            reserved: config.reserved.iter().cloned().collect::<Map<_, _>>(),
            settled_at: env.up_for(limits::SETTLED_AFTER),
            attended,
            token,
        },
        now,
    );
    Ok(node)
}

fn open_control(place: &Place, log: &Log) -> Option<Control> {
    let paths = place.control_sockets();
    let Some(path) = place::first_usable(&paths) else {
        log.say(Level::Warning, "no control socket: no directory for it can be used");
        return None;
    };
    match Control::open(path) {
        Ok(control) => Some(control),
        Err(error) => {
            log.say(Level::Warning, format!("no control socket at {}: {}", path.display(), plain(&error)));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flavour, conf, finish, options};
    use std::path::Path;

    /// F54, F130
    #[test]
    fn without_a_key_there_is_no_session_unless_plain_mode_is_configured() {
        for (text, expected) in [("", Mode::Closed), ("plain_mode=1\npeer=192.0.2.1\n", Mode::Plain)] {
            let text = format!("sync_dir=/nowhere/a\nkey_file=/nowhere/key\n{text}");
            let (sections, _) = conf::parse(text.as_bytes());
            let told = options::build(&sections, Flavour::Uci, "node").result.unwrap();
            let config = finish::finish(told, Flavour::Uci, &finish::Surroundings::default()).result.unwrap();
            assert_eq!(mode(&Place::new(Path::new("/nowhere/owsync.db")), &config), Ok(expected));
        }
    }
}
