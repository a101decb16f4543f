//! A stand-in for procd's object `service`, which hears that packages changed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use ubus::json::blobmsg_to_json;
use ubus::server::UbusConnection;
use ubus::unix::UnixUbusTransport;
use ubus::{BlobMsgTable, UbusObject};

use crate::bus::Bus;

/// It writes down what it is told.
pub struct Service {
    heard: Arc<Mutex<Vec<Value>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// A running one.
    pub fn start(bus: &Bus) -> Service {
        let (heard, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (hears, stopped) = (heard.clone(), stop.clone());
        let socket = bus.socket().to_str().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let object = UbusObject::new("service").method("event", move |data| {
                hears.lock().unwrap().push(blobmsg_to_json(data)?);
                Ok(BlobMsgTable::empty())
            });
            let transport = UnixUbusTransport::connect(&socket).unwrap();
            let mut connection = UbusConnection::connect_and_register(transport, object).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                connection.poll_one().unwrap();
                ubus::Transport::wait_recv(connection.transport_mut());
            }
        });
        bus.until_there("service");
        Service { heard, stop, thread: Some(thread) }
    }

    /// What it was told since the last look.
    pub fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}
