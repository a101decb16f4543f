//! Bytes between sessions and their connections.

use crate::daemon::conn::{Conn, Got};
use crate::daemon::dial::Dialled;
use crate::daemon::shell::Shell;
use crate::model::reason::Trouble;
use crate::model::{Now, limits};
use crate::node::LinkId;

/// Bytes read from one connection in one step.
pub(super) const READ: usize = 64 * 1024;

/// Such steps before another connection has its turn.
const READS: usize = 4;

/// Connections beside those of sessions: of strangers, and those that only wait for their end.
const OTHER_CONNS: usize = 2 * limits::STRANGERS_MAX;

impl Shell {
    pub(super) fn handle_incoming(&mut self, now: Now, index: usize) {
        let streams = self.p.listener.as_mut().map(|listener| listener.accept(now.mono, index)).unwrap_or_default();
        for stream in streams {
            let Ok(conn) = Conn::new(stream) else { continue };
            let Some(remote) = conn.remote() else { continue };
            if self.conns.len() >= self.p.node.settings().max_sessions + OTHER_CONNS {
                // Sessions that are ending are dropped first.
                let ending = self.conns.iter().find(|(_, conn)| conn.is_ending()).map(|(id, _)| *id);
                let Some(ending) = ending else { continue };
                self.conns.remove(&ending);
            }
            let id = self.p.node.handle_incoming(now, remote);
            self.conns.insert(id, conn);
            self.drain();
        }
    }

    pub(super) fn handle_dialled(&mut self, now: Now, dialled: Dialled) {
        match dialled {
            Dialled::Failed(link, trouble) => self.p.node.handle_dial_failed(now, link, trouble),
            Dialled::Conn(link, conn) => match conn.remote() {
                Some(remote) => {
                    self.conns.insert(link, conn);
                    self.p.node.handle_dialled(now, link, remote);
                }
                None => self.p.node.handle_dial_failed(now, link, Trouble::Closed),
            },
        }
    }

    pub(super) fn handle_conn(&mut self, id: LinkId) {
        for _ in 0..READS {
            let now = self.p.env.now();
            let Some(conn) = self.conns.get_mut(&id) else { return };
            match conn.read(&mut self.buffer) {
                Got::Nothing => return,
                Got::End => {
                    self.conns.remove(&id);
                    self.p.node.handle_closed(now, id);
                    return;
                }
                Got::Lost => {
                    self.conns.remove(&id);
                    self.p.node.handle_lost(now, id);
                    return;
                }
                Got::Bytes(count) => {
                    if !conn.is_ending() {
                        self.p.node.handle_bytes(now, id, &self.buffer[..count]);
                    }
                    if count < READ {
                        return;
                    }
                }
            }
            self.drain();
        }
    }

    /// Moves bytes from sessions to connections; whether a connection broke, so that the node has news.
    pub(super) fn transmit(&mut self) -> bool {
        let mut broken = Vec::new();
        for (id, conn) in self.conns.iter_mut() {
            let node = &mut self.p.node;
            if !conn.send(|out| node.transmit(*id, out)) {
                broken.push(*id);
            }
        }
        let now = self.p.env.now();
        for id in &broken {
            self.conns.remove(id);
            self.p.node.handle_closed(now, *id);
        }
        if !self.p.node.shows_token() && self.p.config.settings.key.is_some() {
            self.drop_token();
        }
        !broken.is_empty()
    }
}
