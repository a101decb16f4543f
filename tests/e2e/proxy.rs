//! A wire with hands on it: between a node that dials and one that listens, stopped, cut, recorded or changed at will.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use owsync::proto::Message;

use crate::node::Node;
use crate::ports::connect_from;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the node that dialled.
    There,
    /// To it.
    Back,
}

/// Changes messages on their way; plain mode only.
pub type Tamper = Box<dyn Fn(Way, &mut Message) + Send + Sync>;

/// The wire.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    tamper: Option<Tamper>,
}

#[derive(Default)]
struct State {
    /// Bytes that still may pass; `None`: any number.
    allowed: [Option<u64>; 2],
    /// What passed, connection by connection.
    recorded: Vec<[Vec<u8>; 2]>,
    streams: Vec<TcpStream>,
    closed: bool,
}

impl Proxy {
    /// A wire from `dialler` to `target`. The dialler's section for the target leads here, and the target sees the
    /// dialler's own address.
    pub fn between(dialler: &Node, target: &Node) -> Proxy {
        Proxy::with(dialler, target, None)
    }

    /// As [`Proxy::between`], changing every message.
    pub fn tampering(dialler: &Node, target: &Node, tamper: Tamper) -> Proxy {
        Proxy::with(dialler, target, Some(tamper))
    }

    fn with(dialler: &Node, target: &Node, tamper: Option<Tamper>) -> Proxy {
        let listener = TcpListener::bind((target.ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        dialler.set_peer(&target.name, "address", &address.to_string());
        target.awaits(dialler);
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), tamper });
        let (source, to, inner) = (dialler.ip, target.address(), shared.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if inner.state.lock().unwrap().closed {
                    return;
                }
                // Nothing listens there: the dialler sees its connection end.
                if let Ok(onward) = connect_from(source, to) {
                    inner.carry(stream, onward);
                }
            }
        });
        Proxy { address, shared }
    }

    /// Lets `bytes` more pass in this direction, then none.
    pub fn allow(&self, way: Way, bytes: u64) {
        self.shared.state.lock().unwrap().allowed[way as usize] = Some(bytes);
        self.shared.changed.notify_all();
    }

    /// Lets everything pass again.
    pub fn open(&self) {
        self.shared.state.lock().unwrap().allowed = [None; 2];
        self.shared.changed.notify_all();
    }

    /// Whether as much has passed in this direction as was allowed.
    pub fn is_stopped(&self, way: Way) -> bool {
        self.shared.state.lock().unwrap().allowed[way as usize] == Some(0)
    }

    /// What passed in this direction, connection by connection.
    pub fn recorded(&self, way: Way) -> Vec<Vec<u8>> {
        self.shared.state.lock().unwrap().recorded.iter().map(|both| both[way as usize].clone()).collect()
    }

    /// Breaks every connection that stands.
    pub fn cut(&self) {
        for stream in self.shared.state.lock().unwrap().streams.drain(..) {
            // It may be broken already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().closed = true;
        self.open();
        self.cut();
        // Wakes the thread that accepts, so that it ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn carry(self: &Arc<Shared>, dialled: TcpStream, onward: TcpStream) {
        let number = {
            let mut state = self.state.lock().unwrap();
            state.streams.extend([dialled.try_clone().unwrap(), onward.try_clone().unwrap()]);
            state.recorded.push(Default::default());
            state.recorded.len() - 1
        };
        let pairs =
            [(Way::There, dialled.try_clone().unwrap(), onward.try_clone().unwrap()), (Way::Back, onward, dialled)];
        for (way, from, to) in pairs {
            let shared = self.clone();
            std::thread::spawn(move || shared.copy(way, number, from, to));
        }
    }

    fn copy(&self, way: Way, number: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        let mut pending = Vec::new();
        let mut begun = false;
        while let Ok(count) = from.read(&mut buffer) {
            if count == 0 {
                break;
            }
            let bytes = match &self.tamper {
                Some(tamper) => {
                    pending.extend_from_slice(&buffer[..count]);
                    change(way, &mut pending, &mut begun, tamper)
                }
                None => buffer[..count].to_vec(),
            };
            if !self.pass(way, number, &bytes, &mut to) {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    /// Writes as much as is allowed, when it is; whether the connection still stands.
    fn pass(&self, way: Way, number: usize, mut bytes: &[u8], to: &mut TcpStream) -> bool {
        while !bytes.is_empty() {
            let mut state = self.state.lock().unwrap();
            while state.allowed[way as usize] == Some(0) {
                state = self.changed.wait(state).unwrap();
            }
            let allowed = state.allowed[way as usize].unwrap_or(u64::MAX);
            let count = bytes.len().min(usize::try_from(allowed).unwrap_or(usize::MAX));
            if let Some(left) = &mut state.allowed[way as usize] {
                *left -= count as u64;
            }
            state.recorded[number][way as usize].extend_from_slice(&bytes[..count]);
            drop(state);
            if to.write_all(&bytes[..count]).is_err() {
                return false;
            }
            bytes = &bytes[count..];
        }
        true
    }
}

/// The whole records of `pending`, changed; the preface stays as it is.
fn change(way: Way, pending: &mut Vec<u8>, begun: &mut bool, tamper: &Tamper) -> Vec<u8> {
    let mut out = Vec::new();
    if !*begun && pending.len() >= 8 {
        out.extend(pending.drain(..8));
        *begun = true;
    }
    while *begun && pending.len() >= 2 {
        let length = usize::from(u16::from_be_bytes([pending[0], pending[1]]));
        if pending.len() < 2 + length {
            break;
        }
        let record: Vec<u8> = pending.drain(..2 + length).skip(2).collect();
        let mut message = Message::decode(&record).unwrap();
        tamper(way, &mut message);
        let mut changed = Vec::new();
        message.encode(&mut changed);
        out.extend_from_slice(&u16::try_from(changed.len()).unwrap().to_be_bytes());
        out.extend_from_slice(&changed);
    }
    out
}
