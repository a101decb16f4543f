//! The control socket: questions and answers as lines of JSON.
//!
//! `{"id":1,"method":"status","params":{}}` is answered by `{"id":1,"result":{...}}` or
//! `{"id":1,"error":{"code":"not_found","message":"..."}}`. Answers may come in a different order than questions. After
//! `subscribe` the same connection also carries events, as `{"event":"owsync.synced","data":{...}}`. Only the socket's
//! owner can connect: it has mode 0600, and that is the whole of its protection.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::{Mode, fchmod};
use serde_json::{Value, json};

use crate::daemon::json;
use crate::daemon::poller::Interest;
use crate::model::{Map, limits};
use crate::node::api::{Event, Fault, Reply, Tree};

/// Names a client.
pub type ClientId = u64;

/// Clients that may wait to be accepted.
const WAITING: i32 = 16;

/// The socket and who is connected to it.
pub struct Control {
    path: PathBuf,
    listener: UnixListener,
    clients: Map<ClientId, Client>,
    next: ClientId,
}

struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    subscribed: bool,
    /// It has said everything; what it asked is still answered.
    ended: bool,
    /// Questions without an answer yet.
    open: usize,
}

/// A question.
#[derive(Debug)]
pub struct Question {
    /// Who asks.
    pub client: ClientId,
    /// The client's number for it, to be given back.
    pub id: Value,
    /// What is asked.
    pub method: String,
    /// Its arguments.
    pub params: Tree,
}

impl Control {
    /// Listens there. The database's lock is held, so an existing socket is a leftover.
    ///
    /// # Errors
    /// Of the system.
    pub fn open(path: &Path) -> io::Result<Control> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket =
            socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
        // The name gets the mode of its socket, so that at no moment other users can connect.
        fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
        bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        listen(&socket, Backlog::new(WAITING)?)?;
        let listener = UnixListener::from(socket);
        Ok(Control { path: path.into(), listener, clients: Map::new(), next: 1 })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// To wait on for clients; `None` while there are as many as there may be.
    pub fn listener_fd(&self) -> Option<BorrowedFd<'_>> {
        (self.clients.len() < limits::CONTROL_MAX).then(|| self.listener.as_fd())
    }

    /// To wait on for requests, and for writing to clients.
    pub fn client_fds(&self) -> impl Iterator<Item = (ClientId, BorrowedFd<'_>, Interest)> {
        self.clients.iter().filter_map(|(id, client)| {
            let interest = match (client.ended, client.output.is_empty()) {
                (false, _) if client.is_backed_up() => Interest::Write,
                (false, true) => Interest::Read,
                (false, false) => Interest::Both,
                (true, false) => Interest::Write,
                (true, true) => return None,
            };
            Some((*id, client.stream.as_fd(), interest))
        })
    }

    /// Accepts clients.
    pub fn accept(&mut self) {
        while self.clients.len() < limits::CONTROL_MAX {
            let Ok((stream, _)) = self.listener.accept() else { return };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let client =
                Client { stream, input: Vec::new(), output: Vec::new(), subscribed: false, ended: false, open: 0 };
            self.clients.insert(self.next, client);
            self.next += 1;
        }
    }

    /// Reads and writes what a client has and wants; its questions.
    pub fn pump(&mut self, id: ClientId) -> Vec<Question> {
        let mut questions = Vec::new();
        let Some(client) = self.clients.get_mut(&id) else { return questions };
        let mut buffer = [0; 16 * 1024];
        // What is beyond that waits in the socket, and so does what a client asks that does not read its answers.
        while !client.ended && !client.is_backed_up() && questions.len() < limits::CONTROL_MAX {
            match client.stream.read(&mut buffer) {
                Ok(0) => client.ended = true,
                Ok(count) => {
                    client.input.extend_from_slice(&buffer[..count]);
                    client.take_lines(id, &mut questions);
                    if client.input.len() > limits::CONTROL_LINE {
                        client.say(&failure(&Value::Null, Fault::Argument, "the line is too long"));
                        client.ended = true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.clients.remove(&id);
                    return Vec::new();
                }
            }
        }
        client.open += questions.len();
        self.write(id);
        questions
    }

    /// Answers a question.
    pub fn answer(&mut self, to: ClientId, id: &Value, reply: &Reply) {
        let Some(client) = self.clients.get_mut(&to) else { return };
        client.open = client.open.saturating_sub(1);
        match reply {
            Reply::Done(tree) => client.say(&json!({ "id": id, "result": json::to_json(tree) })),
            Reply::Failed { fault, message } => client.say(&failure(id, *fault, message)),
        }
        self.write(to);
    }

    /// From now on this client receives events.
    pub fn subscribe(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.subscribed = true;
        }
    }

    /// Sends an event to all subscribers.
    pub fn tell(&mut self, event: &Event) {
        let line = json!({ "event": event.name, "text": event.text, "time": event.at.as_secs(), "data": json::to_json(&event.details) });
        let listening: Vec<ClientId> =
            self.clients.iter().filter(|(_, client)| client.subscribed).map(|(id, _)| *id).collect();
        for id in listening {
            if let Some(client) = self.clients.get_mut(&id) {
                // A client that does not read is not waited for, and its backlog does not grow without bound.
                if client.is_backed_up() {
                    self.clients.remove(&id);
                    continue;
                }
                client.say(&line);
            }
            self.write(id);
        }
    }

    fn write(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        while !client.output.is_empty() {
            match client.stream.write(&client.output) {
                Ok(count) if count > 0 => drop(client.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => {
                    self.clients.remove(&id);
                    return;
                }
            }
        }
        client.output = Vec::new();
        if client.ended && client.open == 0 {
            self.clients.remove(&id);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // If it is gone already, so much the better.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Client {
    /// It asks, or subscribed, and does not read.
    fn is_backed_up(&self) -> bool {
        self.output.len() > limits::CONTROL_LINE
    }

    fn say(&mut self, line: &Value) {
        self.output.extend_from_slice(line.to_string().as_bytes());
        self.output.push(b'\n');
    }

    fn take_lines(&mut self, client: ClientId, questions: &mut Vec<Question>) {
        while let Some(end) = self.input.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            if line.trim_ascii().is_empty() {
                continue;
            }
            match parse(&line) {
                Ok((id, method, params)) => questions.push(Question { client, id, method, params }),
                Err(reason) => self.say(&failure(&Value::Null, Fault::Argument, reason)),
            }
        }
    }
}

fn failure(id: &Value, fault: Fault, message: &str) -> Value {
    json!({ "id": id, "error": { "code": fault.word(), "message": message } })
}

/// A line's question: the client's number, the method, the arguments.
///
/// # Errors
/// It is none; the text says why.
pub fn parse(line: &[u8]) -> Result<(Value, String, Tree), &'static str> {
    let value: Value = serde_json::from_slice(line).map_err(|_| "the line is not JSON")?;
    let Value::Object(mut fields) = value else { return Err("the line is not a JSON object") };
    let Some(Value::String(method)) = fields.remove("method") else { return Err("there is no method") };
    let id = fields.remove("id").unwrap_or(Value::Null);
    let params = match fields.remove("params") {
        None | Some(Value::Null) => Tree::map(),
        Some(params @ Value::Object(_)) => json::from_json(&params),
        Some(_) => return Err("params is not an object"),
    };
    Ok((id, method, params))
}

#[cfg(test)]
mod tests;
