//! Stand-ins for the objects that OpenWrt's own programs have on ubus: they write down what they are asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use ubus::Transport;
use ubus::blobmsg::BlobBuilder;
use ubus::client::UbusClient;
use ubus::envelope::{EnvBuilder, UbusAttr, try_find};
use ubus::json::blobmsg_to_json;
use ubus::unix::UnixUbusTransport;
use ubus::wire::{Frame, MsgType};

use crate::bus::Bus;

/// An object with one method.
pub struct StandIn {
    heard: Arc<Mutex<Vec<Value>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// procd's `service`, which hears that packages changed.
    pub fn service(bus: &Bus) -> StandIn {
        StandIn::start(bus, "service", "event", || 0)
    }

    /// netifd's `network.interface`, whose networks have the addresses that `addresses` says.
    pub fn netifd(bus: &Bus, addresses: &Arc<Mutex<Vec<(&'static str, String)>>>) -> StandIn {
        let addresses = addresses.clone();
        let said = move || {
            let mut dump = BlobBuilder::new();
            dump.open_array(Some("interface"));
            for (network, address) in addresses.lock().unwrap().iter() {
                dump.open_table(None);
                dump.put_str(Some("interface"), network);
                dump.put_bool(Some("up"), true);
                dump.open_array(Some("ipv4-address"));
                dump.open_table(None);
                dump.put_str(Some("address"), address);
                dump.close_table();
                dump.close_array();
                dump.close_table();
            }
            dump.close_array();
            Some(dump.finish())
        };
        StandIn::answering(bus, "network.interface", "dump", || 0, said)
    }

    /// procd's `hotplug.owsync`, which is there while there is a directory /etc/hotplug.d/owsync.
    pub fn hotplug(bus: &Bus) -> StandIn {
        StandIn::start(bus, "hotplug.owsync", "call", || 0)
    }

    /// rpcd's `uci`, of which an apply waits to be confirmed while `pending` says so. The statuses are those of the real one
    /// for a session that does not exist.
    pub fn rpcd(bus: &Bus, pending: &Arc<AtomicBool>) -> StandIn {
        let pending = pending.clone();
        StandIn::start(bus, "uci", "confirm", move || if pending.load(Ordering::Relaxed) { 6 } else { 5 })
    }

    fn start(bus: &Bus, object: &str, method: &str, answer: impl Fn() -> i32 + Send + 'static) -> StandIn {
        StandIn::answering(bus, object, method, answer, || None)
    }

    /// One that answers with a status, and data if it has some.
    fn answering(
        bus: &Bus,
        object: &str,
        method: &str,
        answer: impl Fn() -> i32 + Send + 'static,
        data: impl Fn() -> Option<Vec<u8>> + Send + 'static,
    ) -> StandIn {
        let (heard, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (hears, stopped) = (heard.clone(), stop.clone());
        let transport = UnixUbusTransport::connect(bus.socket().to_str().unwrap()).unwrap();
        let mut client = UbusClient::connect(transport).unwrap();
        let mut signature = BlobBuilder::new();
        signature.open_table(Some(method));
        signature.close_table();
        let mut envelope = EnvBuilder::new();
        envelope.push_str(UbusAttr::ObjPath, object);
        envelope.push_signature(&signature.finish());
        client.request(MsgType::AddObject, 0, envelope, |_| Ok(())).unwrap();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Some(frame) = client.recv_frame().unwrap() else {
                    client.transport_mut().wait_recv();
                    continue;
                };
                if frame.hdr.ty != MsgType::Invoke {
                    continue;
                }
                let content = try_find(&frame.payload, UbusAttr::Data).unwrap();
                hears.lock().unwrap().push(content.map_or(json!({}), |data| blobmsg_to_json(data.payload).unwrap()));
                if let Some(data) = data() {
                    let object = try_find(&frame.payload, UbusAttr::ObjId).unwrap().and_then(|id| id.as_u32()).unwrap();
                    let mut reply = EnvBuilder::new();
                    reply.push_u32(UbusAttr::ObjId, object);
                    reply.push_data(&data);
                    let reply = Frame::to_peer(MsgType::Data, frame.hdr.seq, frame.hdr.peer, reply.finish());
                    client.transport_mut().send(&reply).unwrap();
                }
                client.acknowledge(&frame, answer()).unwrap();
            }
        });
        bus.until_there(object);
        StandIn { heard, stop, thread: Some(thread) }
    }

    /// What it was asked since the last look.
    pub fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}
