//! A client of the control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// A connection to a node's control socket.
pub struct Control {
    stream: BufReader<UnixStream>,
    next: u64,
}

impl Control {
    /// Connects.
    ///
    /// # Errors
    /// No process is there.
    pub fn open(socket: &Path) -> std::io::Result<Control> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(40)))?;
        Ok(Control { stream: BufReader::new(stream), next: 1 })
    }

    /// Gives up on an answer that does not come within this time.
    pub fn set_patience(&self, time: Duration) {
        self.stream.get_ref().set_read_timeout(Some(time)).unwrap();
    }

    /// Asks, and waits for the answer: the result, or the error as `{"code":..,"message":..}`.
    ///
    /// # Errors
    /// The connection broke, or the answer took too long; the inner error is the node's.
    pub fn ask(&mut self, method: &str, params: Value) -> std::io::Result<Result<Value, Value>> {
        let id = self.next;
        self.next += 1;
        let question = json!({ "id": id, "method": method, "params": params });
        self.stream.get_mut().write_all(format!("{question}\n").as_bytes())?;
        loop {
            let mut answer = self.line()?;
            if answer["id"] == json!(id) {
                return Ok(match answer.get_mut("error") {
                    Some(error) => Err(error.take()),
                    None => Ok(answer["result"].take()),
                });
            }
        }
    }

    /// The next line: an answer, or after `subscribe` an event.
    ///
    /// # Errors
    /// The connection broke, or nothing comes.
    pub fn line(&mut self) -> std::io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
