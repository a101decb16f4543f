//! The real daemon on a bus of its own.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::bus::{Bus, nothing};
use crate::cluster::Cluster;
use crate::node::Node;
use crate::refusing::Refusing;
use crate::wait::until;

/// A cluster of which the first node is on ubus.
pub struct OnBus {
    pub cluster: Cluster,
    pub bus: Bus,
}

impl OnBus {
    /// Nodes of which each dials each other, none of them started.
    pub fn idle(names: &[&str]) -> OnBus {
        let nodes: Vec<_> =
            names.iter().zip(60..).map(|(name, n)| (*name, Ipv4Addr::new(127, 0, 0, n).into())).collect();
        let cluster = Cluster::at(&nodes);
        for node in cluster.nodes() {
            cluster.nodes().iter().filter(|other| other.name != node.name).for_each(|other| node.dials(other));
        }
        let bus = Bus::start_in(cluster.scratch().path());
        let socket = format!("OWSYNC_UBUS_SOCKET={}", bus.socket().display());
        cluster.nodes()[0].launch_by(vec!["env".into(), socket]);
        OnBus { cluster, bus }
    }

    /// One node, started, whose object is there.
    pub fn alone() -> OnBus {
        let on_bus = OnBus::idle(&["a"]);
        on_bus.a().start();
        on_bus.bus.until_there("owsync");
        on_bus
    }

    /// The node that is on ubus.
    pub fn a(&self) -> &Node {
        &self.cluster.nodes()[0]
    }

    /// The second node.
    pub fn b(&self) -> &Node {
        &self.cluster.nodes()[1]
    }
}

#[test]
fn the_object_says_which_arguments_its_methods_take() {
    let on_bus = OnBus::alone();

    let methods = on_bus.bus.client().methods("owsync").unwrap();

    // Types of blobmsg: 1 a list, 3 a text, 5 a number, 7 true or false.
    assert_eq!(methods["status"], json!({}));
    assert_eq!(methods["sync"], json!({ "peer": 3, "share": 3, "dry_run": 7 }));
    assert_eq!(methods["history"], json!({ "share": 3, "path": 3, "why": 3, "node": 3, "limit": 5 }));
    assert_eq!(methods["approve"], json!({ "share": 3, "path": 3, "pick": 3, "dry_run": 7 }));
    assert_eq!(methods["join"], json!({ "text": 3, "address": 1 }));
    assert!(methods.get("subscribe").is_none());
}

/// F62
#[test]
fn answers_are_those_of_the_control_socket() {
    let on_bus = OnBus::alone();
    on_bus.a().write("dhcp", "one");
    until("it was looked at", || on_bus.a().main()["files"] == json!(1));
    let mut client = on_bus.bus.client();

    let status = client.ask("status", nothing());
    assert_eq!((&status["name"], &status["pid"]), (&json!("a"), &json!(on_bus.a().pid())));
    assert_eq!((&status["in_sync"], &status["ubus"]), (&json!(false), &json!("registered")));
    assert_eq!(status["shares"]["main"]["files"], json!(1));
    for (method, arguments) in [
        ("identity", nothing()),
        ("peers", nothing()),
        ("files", json!({ "share": "main" })),
        ("history", json!({ "limit": 5 })),
        ("sync", json!({ "dry_run": true })),
    ] {
        assert_eq!(client.ask(method, arguments.clone()), on_bus.a().ask(method, arguments), "{method}");
    }
    // Nothing that could be read tells a key.
    let told = format!("{status}{}", client.ask("identity", nothing()));
    assert!(!told.contains(crate::node::KEY));
    assert_eq!(told.contains("key_fingerprint"), cfg!(feature = "encryption"));
}

#[test]
fn what_cannot_be_done_has_a_status_and_a_reason() {
    let on_bus = OnBus::alone();
    let mut client = on_bus.bus.client();
    for (method, arguments, status, reason) in [
        ("sync", json!({ "peer": 7 }), 2, "peer is not a text"),
        ("sync", json!({ "dry_run": "maybe" }), 2, "dry_run is not true or false"),
        ("history", json!({ "limit": "many" }), 2, "limit is not a number"),
        ("approve", json!({ "pick": "best" }), 2, "pick is not mine, theirs or newest"),
        ("forget", nothing(), 2, "name the path to forget"),
        ("none", nothing(), 3, "there is no such method"),
        ("subscribe", nothing(), 3, "there is no such method"),
        ("files", json!({ "share": "vpn" }), 4, "there is no share vpn"),
        ("approve", nothing(), 8, "nothing is waiting for approval"),
    ] {
        let (given, data) = client.call(method, arguments);
        assert_eq!((given, &data[0]["message"]), (status, &json!(reason)), "{method}");
    }
    // Arguments that are not known are ignored, as with every object; LuCI sends one with each call.
    client.ask("peers", json!({ "ubus_rpc_session": "0123", "peer": 7 }));
}

#[test]
fn a_sync_answers_at_once_and_ends_in_an_event() {
    let on_bus = OnBus::idle(&["a", "b"]);
    on_bus.a().start();
    on_bus.bus.until_there("owsync");
    let (mut client, mut listener) = (on_bus.bus.client(), on_bus.bus.client());
    listener.listen("owsync.*");
    let mut outcome_of_sync = || {
        let started = client.ask("sync", nothing());
        let run = started["run"].as_i64().unwrap();
        assert_eq!(started, json!({ "started": true, "run": run }));
        let told = listener.until_told("owsync.synced", |details| details["run"] == json!(run));
        (told["in_sync"].clone(), told["missing"].clone())
    };

    on_bus.b().start();
    on_bus.a().until_in_sync();
    assert_eq!(outcome_of_sync(), (json!(true), json!([])));
}

#[test]
fn a_sync_of_a_lone_node_ends_in_what_is_missing() {
    let on_bus = OnBus::alone();
    let (mut client, mut listener) = (on_bus.bus.client(), on_bus.bus.client());
    listener.listen("owsync.*");

    let run = client.ask("sync", nothing())["run"].clone();

    let told = listener.until_told("owsync.synced", |details| details["run"] == run);
    assert_eq!((&told["in_sync"], &told["missing"]), (&json!(false), &json!(["no peer is configured or connected"])));
}

#[test]
fn what_happens_is_told_to_listeners_and_subscribers() {
    let on_bus = OnBus::idle(&["a", "b"]);
    let (a, b) = (on_bus.a(), on_bus.b());
    a.start();
    on_bus.bus.until_there("owsync");
    let (mut listener, mut subscriber) = (on_bus.bus.client(), on_bus.bus.client());
    listener.listen("owsync.*");
    subscriber.subscribe();

    b.start();
    for client in [&mut listener, &mut subscriber] {
        let told = client.until_told("owsync.peer", |details| details["up"] == json!(true));
        assert_eq!((&told["peer"], &told["text"]), (&json!("b"), &json!("b connected")));
        assert!(told["time"].as_i64().unwrap() > 1_700_000_000);
    }

    b.write("dhcp", "from b");
    for client in [&mut listener, &mut subscriber] {
        let told = client.until_told("owsync.synced", |details| details["share"] == json!("main"));
        assert_eq!((&told["peer"], &told["paths"]), (&json!("b"), &json!(["dhcp"])));
    }
}

#[test]
fn the_object_is_there_again_after_ubusd_restarted() {
    let on_bus = OnBus::alone();

    on_bus.bus.stop();
    until("it is missed", || on_bus.a().status()["ubus"] == json!("not connected"));
    on_bus.bus.start();

    on_bus.bus.until_there("owsync");
    assert_eq!(on_bus.bus.client().ask("identity", nothing())["name"], json!("a"));
    on_bus.a().until_logged("ubus: registered as owsync again");
    assert_eq!(on_bus.a().status()["problems"], json!([]));
}

#[test]
fn a_name_that_another_program_has_is_said_and_taken_when_it_is_free() {
    let on_bus = OnBus::idle(&["a"]);
    // Where a real ubusd is there to be had, another program takes the name from it.
    let mut other = std::env::var_os("OWSYNC_TEST_UBUSD").map(|_| on_bus.bus.client());
    let refusing = Refusing::start_in(on_bus.cluster.scratch().path());
    match &mut other {
        Some(client) => client.take_name(),
        None => on_bus.a().launch_by(vec!["env".into(), format!("OWSYNC_UBUS_SOCKET={}", refusing.socket().display())]),
    }

    on_bus.a().start();

    until("status says so", || on_bus.a().status()["ubus"] == json!("name taken"));
    let status = on_bus.a().status();
    let problem = status["problems"][0].as_str().unwrap().to_string();
    assert!(problem.starts_with("ubus: ") && problem.contains("name owsync"), "{problem}");
    on_bus.a().until_logged(&problem);
    // What is synced does not depend on it.
    assert!(!status["summary"].as_str().unwrap().contains(&problem), "{status}");
    drop(other);
    refusing.give();
    until("it has the name", || on_bus.a().status()["ubus"] == json!("registered"));
    assert_eq!(on_bus.a().status()["problems"], json!([]));
}

#[test]
fn two_hundred_calls_at_once_are_all_answered() {
    let on_bus = OnBus::alone();
    for n in 0..300 {
        on_bus.a().write(&format!("file{n}"), "x");
    }
    until("they were looked at", || on_bus.a().main()["files"] == json!(300));
    let mut clients: Vec<_> = (0..10).map(|_| on_bus.bus.client()).collect();

    for seq in 1000..1020u16 {
        for client in &mut clients {
            client.send(seq, if seq % 2 == 0 { "status" } else { "files" }, nothing());
        }
    }

    for client in &mut clients {
        let mut answers: Vec<_> = (0..20).map(|_| client.next_status()).collect();
        answers.sort_unstable();
        assert_eq!(answers, (1000..1020).map(|seq| (seq, 0)).collect::<Vec<_>>());
    }
}

#[test]
fn metrics_are_one_text() {
    let on_bus = OnBus::alone();
    let answer = on_bus.bus.client().ask("metrics", nothing());
    assert!(answer["text"].as_str().unwrap().contains("\nowsync_share_held{share=\"main\"} 0\n"), "{answer}");
}

#[test]
fn reload_puts_a_new_configuration_in_force() {
    let on_bus = OnBus::alone();
    let mut client = on_bus.bus.client();
    assert_eq!(client.ask("status", nothing())["name"], json!("a"));

    on_bus.a().set("max_file_size", "nonsense");
    on_bus.a().write_config();
    let (status, data) = client.call("reload", nothing());
    assert_eq!(status, 2, "{data:?}");
    assert!(data[0]["message"].as_str().unwrap().contains("max_file_size"), "{data:?}");

    on_bus.a().unset("max_file_size");
    on_bus.a().set("include", "dhcp");
    on_bus.a().write_config();
    assert_eq!(client.ask("reload", nothing()), json!({ "reloaded": true }));
    until("it is content", || client.ask("status", nothing())["problems"] == json!([]));
}

#[test]
fn without_ubus_everything_else_works() {
    let on_bus = OnBus::idle(&["a"]);
    on_bus.bus.stop();

    on_bus.a().start();

    let status = on_bus.a().status();
    assert_eq!((status.get("ubus"), &status["problems"]), (None, &json!([])));
    // ubusd comes later.
    on_bus.bus.start();
    on_bus.bus.until_there("owsync");
    let took = on_bus.a().stop();
    assert!(took.as_secs() < 1, "{took:?}");
    until("the object goes with its program", || on_bus.bus.client().methods("owsync").is_none());
}
