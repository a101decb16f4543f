//! Waiting for whatever happens first.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};

/// What a descriptor is waited on for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something can be read, or it ended.
    Read,
    /// Something can be written, or it broke.
    Write,
    /// Either.
    Both,
}

/// What a wait is for, in the order in which it is answered.
pub struct Poller<'a, T> {
    tokens: Vec<T>,
    fds: Vec<PollFd<'a>>,
}

impl<'a, T: Copy> Poller<'a, T> {
    /// A wait for nothing.
    pub fn new() -> Poller<'a, T> {
        Poller { tokens: Vec::new(), fds: Vec::new() }
    }

    /// Waits for this as well.
    pub fn add(&mut self, token: T, fd: BorrowedFd<'a>, interest: Interest) {
        let flags = match interest {
            Interest::Read => PollFlags::POLLIN,
            Interest::Write => PollFlags::POLLOUT,
            Interest::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
        };
        self.tokens.push(token);
        self.fds.push(PollFd::new(fd, flags));
    }

    /// Waits at most this long; what is ready. An interrupted wait is one that ended early.
    pub fn wait(mut self, time: Duration) -> Vec<T> {
        // Rounded up: a wait that ends a fraction too early is followed by another, of nothing.
        let ms = time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
        let timeout = PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX);
        match nix::poll::poll(&mut self.fds, timeout) {
            Ok(0) | Err(_) => Vec::new(),
            Ok(_) => {
                let ready = self.fds.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
                self.tokens.iter().zip(ready).filter(|(_, ready)| *ready).map(|(token, _)| *token).collect()
            }
        }
    }
}

impl<T: Copy> Default for Poller<'_, T> {
    fn default() -> Self {
        Poller::new()
    }
}
