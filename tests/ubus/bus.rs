//! An ubus of a test's own: a broker that knows nothing of owsync, and clients of it.
//!
//! The broker is that of the crate `ubusd`, in a thread; `OWSYNC_TEST_UBUSD` names a program that is run in its place,
//! such as OpenWrt's own.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use ubus::client::UbusClient;
use ubus::envelope::{EnvBuilder, UbusAttr, try_find};
use ubus::json::{blobmsg_to_json, json_to_blobmsg};
use ubus::unix::UnixUbusTransport;
use ubus::wire::{Frame, MsgType};
use ubus::{Transport, UbusError};
use ubusd::{Broker, Config};

use crate::wait::{until, until_some};

/// An ubus.
pub struct Bus {
    socket: PathBuf,
    running: RefCell<Option<Running>>,
}

enum Running {
    Thread { stop: Arc<AtomicBool>, thread: JoinHandle<()> },
    Program(Child),
}

impl Bus {
    /// A running one, in this directory.
    pub fn start_in(dir: &Path) -> Bus {
        std::fs::create_dir_all(dir.join("ubus")).unwrap();
        let bus = Bus { socket: dir.join("ubus/ubus.sock"), running: RefCell::default() };
        bus.start();
        bus
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Starts it, and waits until it answers.
    pub fn start(&self) {
        let running = match std::env::var_os("OWSYNC_TEST_UBUSD") {
            Some(program) => Running::Program(Command::new(program).arg("-s").arg(&self.socket).spawn().unwrap()),
            None => broker(&self.socket),
        };
        *self.running.borrow_mut() = Some(running);
        until("ubusd answers", || Client::try_new(&self.socket).is_ok());
    }

    /// Ends it.
    pub fn stop(&self) {
        match self.running.borrow_mut().take() {
            Some(Running::Thread { stop, thread }) => {
                stop.store(true, Ordering::Relaxed);
                thread.join().unwrap();
            }
            Some(Running::Program(mut child)) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            None => {}
        }
    }

    /// A client.
    pub fn client(&self) -> Client {
        Client::try_new(&self.socket).unwrap()
    }

    /// Waits until a client has this object.
    #[track_caller]
    pub fn until_there(&self, object: &str) {
        until(&format!("{object} is on ubus"), || self.client().methods(object).is_some());
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.stop();
    }
}

fn broker(socket: &Path) -> Running {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let socket_path = socket.to_str().unwrap().to_string();
    let (ready, bound) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        // The user who runs the tests may do everything, as root on a router.
        let config = Config { socket_path, peer_uid_override: Some(0), ..Config::default() };
        let mut broker = Broker::bind(config).unwrap();
        ready.send(()).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            broker.poll_once(20).unwrap();
        }
    });
    bound.recv().unwrap();
    Running::Thread { stop, thread }
}

/// An answer: its status, and the data in front of it.
pub type Answer = (i32, Vec<Value>);

/// A client of ubus.
pub struct Client(UbusClient<UnixUbusTransport>);

impl Client {
    fn try_new(socket: &Path) -> Result<Client, UbusError> {
        let mut transport = UnixUbusTransport::connect(socket.to_str().unwrap())?;
        transport.set_deadline(Some(Duration::from_secs(40)));
        Ok(Client(UbusClient::connect(transport)?))
    }

    /// The methods of an object, with the types of their arguments; `None` where there is no such object.
    pub fn methods(&mut self, object: &str) -> Option<Value> {
        let objects = match self.0.lookup_objects(Some(object)) {
            Ok(objects) => objects,
            Err(UbusError::Status(4)) => return None,
            Err(error) => panic!("{object}: {error}"),
        };
        objects.into_iter().find(|one| one.path == object).map(|one| blobmsg_to_json(&one.signature).unwrap())
    }

    /// Calls a method of `owsync`, and waits for the answer.
    pub fn call(&mut self, method: &str, arguments: Value) -> Answer {
        let object = self.0.lookup("owsync").unwrap();
        let mut data = Vec::new();
        let outcome = self.0.request(MsgType::Invoke, object, invocation(object, method, &arguments), |frame| {
            let content = try_find(&frame.payload, UbusAttr::Data)?.unwrap();
            data.push(blobmsg_to_json(content.payload)?);
            Ok(())
        });
        match outcome {
            Ok(()) => (0, data),
            Err(UbusError::Status(status)) => (status, data),
            Err(error) => panic!("{method}: {error}"),
        }
    }

    /// As [`Client::call`], for what must be done: the data.
    #[track_caller]
    pub fn ask(&mut self, method: &str, arguments: Value) -> Value {
        match self.call(method, arguments) {
            (0, data) if data.len() == 1 => data.into_iter().next().unwrap(),
            other => panic!("{method}: {other:?}"),
        }
    }

    /// Sends a question, and does not wait.
    pub fn send(&mut self, seq: u16, method: &str, arguments: Value) {
        let object = self.0.lookup("owsync").unwrap();
        let envelope = invocation(object, method, &arguments).finish();
        self.0.transport_mut().send(&Frame::to_peer(MsgType::Invoke, seq, object, envelope)).unwrap();
    }

    /// The next status that an object answers with, and its sequence. ubusd's own have no peer.
    pub fn next_status(&mut self) -> (u16, i32) {
        until_some("an answer", || {
            let frame = self.next_frame()?;
            (frame.hdr.ty == MsgType::Status && frame.hdr.peer != 0)
                .then(|| (frame.hdr.seq, ubus::envelope::read_status(&frame.payload).unwrap()))
        })
    }

    /// From now on this client hears the events of these names.
    pub fn listen(&mut self, pattern: &str) {
        let object = self.0.add_anonymous_object().unwrap();
        self.0.register_event(object, pattern).unwrap();
    }

    /// From now on this client hears what `owsync` notifies of.
    pub fn subscribe(&mut self) {
        let object = self.0.add_anonymous_object().unwrap();
        let target = self.0.lookup("owsync").unwrap();
        self.0.subscribe(object, target).unwrap();
    }

    /// Waits for the next event or notification of which this holds; its details.
    #[track_caller]
    pub fn until_told(&mut self, name: &str, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        until_some(&format!("{name} is told"), || {
            let frame = self.next_frame()?;
            if frame.hdr.ty != MsgType::Invoke {
                return None;
            }
            let method = try_find(&frame.payload, UbusAttr::Method).unwrap()?.as_str()?.to_string();
            let content = try_find(&frame.payload, UbusAttr::Data).unwrap()?;
            let details = blobmsg_to_json(content.payload).unwrap();
            (method == name && is_it(&details)).then_some(details)
        })
    }

    /// Takes the name `owsync` for itself.
    pub fn take_name(&mut self) {
        let mut envelope = EnvBuilder::new();
        envelope.push_str(UbusAttr::ObjPath, "owsync");
        envelope.push_signature(&[]);
        self.0.request(MsgType::AddObject, 0, envelope, |_| Ok(())).unwrap();
    }

    fn next_frame(&mut self) -> Option<Frame> {
        self.0.transport_mut().set_deadline(Some(Duration::from_secs(40)));
        self.0.recv_frame().unwrap()
    }
}

fn invocation(object: u32, method: &str, arguments: &Value) -> EnvBuilder {
    let mut envelope = EnvBuilder::new();
    envelope.push_u32(UbusAttr::ObjId, object);
    envelope.push_str(UbusAttr::Method, method);
    envelope.push_data(json_to_blobmsg(arguments).unwrap().contents());
    envelope
}

/// Arguments that say nothing.
pub fn nothing() -> Value {
    json!({})
}
