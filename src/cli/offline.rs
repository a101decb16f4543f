//! Asks a node that does not run.
//!
//! `init` and `invite` change the state. Where no daemon has it, the command takes its lock, makes a node of it, asks that
//! node, and has it write everything down: so what a command means is written once, in [`crate::node`].

use std::time::Duration;

use crate::cli::ask::Refusal;
use crate::cli::keys;
use crate::config::Config;
use crate::daemon;
use crate::daemon::env::Env;
use crate::daemon::place::{Holder, Place};
use crate::model::limits;
use crate::node::Output;
use crate::node::api::{Command, Level, Reply, Tree};

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
    let mut node = daemon::make_node(&env, &place, config, true, None).map_err(Refusal::Broken)?;
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
            // It has no connections, and no program reads its events.
            Output::Log(_)
            | Output::Event(_)
            | Output::Watch { .. }
            | Output::Landed { .. }
            | Output::Check { .. }
            | Output::Uncommitted { .. }
            | Output::Probe { .. }
            | Output::Deltas { .. }
            | Output::BeforeSend { .. }
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

/// Rolls back what is unconfirmed in any share; returns the number of these shares.
///
/// # Errors
/// A daemon runs, the state cannot be used, or it cannot be done within `PATIENCE`.
pub fn take_back(config: &Config) -> Result<usize, Refusal> {
    let place = Place::new(&config.database);
    let _lock = place.lock(Holder::Setup).map_err(|taken| Refusal::Broken(keys::in_use(&taken)))?;
    let env = Env::new();
    let mut node = daemon::make_node(&env, &place, config, true, None).map_err(Refusal::Broken)?;
    let open = node.on_trial();
    let until = env.now().mono.plus(PATIENCE);
    let mut trouble = String::new();
    // A change that was unconfirmed at the end of the last process is rolled back automatically at the start of this one.
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
            // No loop runs here, and nothing reports when the disk works again.
            let _ = nix::poll::poll(&mut [], TRY_AGAIN);
        }
    }
    node.shut_down(env.now());
    Ok(open)
}

/// How long it may delay the start of a machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Milliseconds until the next attempt, where the disk refused one.
const TRY_AGAIN: u8 = 100;
