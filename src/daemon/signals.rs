//! Signals as a descriptor in the loop's wait.
//!
//! They are blocked and read from a descriptor. A blocked signal is delivered even where it was inherited as ignored, as
//! SIGINT is by the background jobs of a script (signal(7): an ignored signal that is blocked stays pending).

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// End cleanly.
    End,
    /// Read the configuration again.
    Reload,
    /// A child ended.
    Child,
    /// Ask which addresses the networks have that it listens on.
    Networks,
}

/// Blocks the signals that owsync answers to, and gives the descriptor to read them from.
///
/// # Errors
/// The kernel refuses, which leaves the signals as they were.
pub fn listen() -> Result<SignalFd, nix::Error> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD, Signal::SIGUSR1] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// The next signal's wish, if one came.
pub fn next(signals: &SignalFd) -> Option<Wish> {
    let info = signals.read_signal().ok().flatten()?;
    match Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()? {
        Signal::SIGHUP => Some(Wish::Reload),
        Signal::SIGCHLD => Some(Wish::Child),
        Signal::SIGUSR1 => Some(Wish::Networks),
        _ => Some(Wish::End),
    }
}
