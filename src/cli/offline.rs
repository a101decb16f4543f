//! Asking a node that does not run.
//!
//! `init` and `invite` change the state. Where no daemon has it, the command takes its lock, makes a node of it, asks that
//! node, and has it write everything down: so what a command means is written once, in [`crate::node`].

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::cli::ask::Refusal;
use crate::cli::keys;
use crate::config::Config;
use crate::daemon::env::{self, Env};
use crate::daemon::place::{Holder, Place};
use crate::fs::Fs;
use crate::fs::unix::UnixFs;
use crate::model::{Map, RelPath, Rng, limits};
use crate::node::api::{Command, Level, Reply, Tree};
use crate::node::{Identity, Node, Output, Parts};
use crate::proto::session::Mode;
use crate::store::history::History;
use crate::store::{self, Store};

/// The answer, and what the node had to warn of.
pub type Answer = (Tree, Vec<String>);

/// Asks the node of this configuration, which must not be running.
///
/// # Errors
/// It runs, its state cannot be used, or it refuses.
pub fn ask(config: &Config, command: Command) -> Result<Answer, Refusal> {
    let place = Place::new(&config.database);
    place.make_directory().map_err(Refusal::Broken)?;
    let _lock = place.lock(Holder::Setup).map_err(|taken| Refusal::Broken(keys::in_use(&taken)))?;
    let env = Env::new();
    let mut node = node(&env, &place, config).map_err(Refusal::Broken)?;
    node.handle_command(env.now(), 1, command);
    let mut answer = Err(Refusal::Broken("the node did not answer".into()));
    let mut warnings = Vec::new();
    while let Some(output) = node.poll_output() {
        match output {
            Output::Reply { reply: Reply::Done(tree), .. } => answer = Ok(tree),
            Output::Reply { reply: Reply::Failed { fault, message }, .. } => {
                answer = Err(Refusal::Said { code: fault.word().into(), message });
            }
            Output::Log(line) if line.level <= Level::Warning => warnings.push(line.text),
            // It has no connections, and nobody listens.
            Output::Log(_)
            | Output::Event(_)
            | Output::Watch { .. }
            | Output::Landed { .. }
            | Output::Dial { .. }
            | Output::Close { .. } => {}
        }
    }
    node.shut_down(env.now());
    while let Some(output) = node.poll_output() {
        match output {
            // What was answered is not on disk.
            Output::Log(line) if line.level == Level::Error => return Err(Refusal::Broken(line.text)),
            _ => {}
        }
    }
    answer.map(|tree| (tree, warnings))
}

/// Takes back what is on trial in any share; how many shares that were.
///
/// # Errors
/// A daemon runs, the state cannot be used, or it cannot be done within [`PATIENCE`].
pub fn take_back(config: &Config) -> Result<usize, Refusal> {
    let place = Place::new(&config.database);
    let _lock = place.lock(Holder::Setup).map_err(|taken| Refusal::Broken(keys::in_use(&taken)))?;
    let env = Env::new();
    let mut node = node(&env, &place, config).map_err(Refusal::Broken)?;
    let open = node.on_trial();
    let until = env.now().mono.plus(PATIENCE);
    let mut trouble = String::new();
    // Whatever was on trial at the end of the last process goes back by itself at the start of this one.
    while node.on_trial() > 0 {
        let now = env.now();
        node.handle_timeout(now);
        node.work(now, limits::STEP);
        while let Some(output) = node.poll_output() {
            match output {
                Output::Log(line) if line.level == Level::Error => trouble = line.text,
                _ => {}
            }
        }
        if now.mono > until {
            return Err(Refusal::Broken(trouble));
        }
        if node.on_trial() > 0 && !node.has_work() {
            // No loop runs here, and nothing tells when the disk is well again.
            let _ = nix::poll::poll(&mut [], TRY_AGAIN);
        }
    }
    node.shut_down(env.now());
    Ok(open)
}

/// How long a machine's start is held up for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Milliseconds until the next attempt, where the disk refused one.
const TRY_AGAIN: u8 = 100;

fn node(env: &Env, place: &Place, config: &Config) -> Result<Node<UnixFs>, String> {
    let now = env.now();
    let fs = UnixFs::new();
    let name = place.database().file_name().unwrap_or_default().as_bytes();
    let named = |suffix: &[u8]| {
        RelPath::parse(&[name, suffix].concat())
            .map_err(|_| format!("'{}' cannot name a database", place.database().display()))
    };
    let open =
        || fs.open(place.directory()).map_err(|error| format!("the database's directory cannot be used: {error}"));
    let failed = |error| format!("the database {} cannot be read: {error}", place.database().display());
    let run = place.run_directory().and_then(|dir| fs.open(&dir).ok());
    let of_store =
        store::Place { root: open()?, name: named(b"")?, run, boot: env::boot_id(), rng: Rng::new(env::random()?) };
    let (store, news) = Store::load(of_store, now.wall).map_err(failed)?;
    let history = History::load(open()?, named(b"-history")?, config.settings.history).map_err(failed)?;
    let identity = match &config.settings.key {
        #[cfg(feature = "encryption")]
        Some(key) => {
            use crate::proto::handshake;
            let identity = place.identity()?;
            let public = handshake::public_key(&identity);
            let previous = config.settings.previous_key.clone();
            let credentials = crate::proto::session::Credentials { key: key.clone(), previous, identity };
            Identity { mode: Mode::Encrypted(credentials), id: handshake::node_id(&public), public_key: Some(public) }
        }
        _ => Identity { mode: Mode::Plain, id: store.state().me.plain_id, public_key: None },
    };
    let parts = Parts {
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
        attended: true,
        token: None,
    };
    Ok(Node::new(parts, now))
}
