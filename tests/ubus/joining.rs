//! Two routers become one cluster over ubus alone, as LuCI does it.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::bus::nothing;
use crate::cluster::Cluster;
use crate::router::Router;
use crate::wait::until;

#[test]
fn two_routers_become_a_cluster_over_ubus_alone() {
    let ips = [("a", Ipv4Addr::new(127, 0, 0, 70).into()), ("b", Ipv4Addr::new(127, 0, 0, 71).into())];
    let cluster = Cluster::at(&ips);
    let (a, b) = (&cluster.nodes()[0], &cluster.nodes()[1]);
    a.write("dhcp", "config dnsmasq\n");
    let (a, b) = (Router::start(a, "\tlist include 'dhcp'\n"), Router::start(b, ""));
    assert_eq!(a.call("invite", nothing()).0, 8, "there is no key yet");
    let (status, refused) = a.call("init", json!({ "address": ["no such:thing:at all"] }));
    assert_eq!(status, 2, "{refused}");
    assert!(!a.node.home().join("key").exists(), "nothing was made");

    // The reference makes a key, and says what the other needs.
    let (status, invited) = a.call("init", nothing());
    assert_eq!(status, 0, "{invited}");
    let key = fs::read_to_string(a.node.home().join("key")).unwrap().trim().to_string();
    assert_eq!(fs::metadata(a.node.home().join("key")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(invited["addresses"], json!([a.node.address().to_string()]));
    let text = invited["join_text"].as_str().unwrap().to_string();
    assert!(!invited.to_string().contains(&key), "the key is in the text, and not in the clear");

    // What is no text, or damaged, changes nothing.
    for broken in ["rubbish".to_string(), text.replacen(&text[30..34], "AAAA", 1)] {
        let before = b.package();
        let (status, refused) = b.call("join", json!({ "text": broken }));
        assert_eq!((status, b.package()), (2, before), "{refused}");
        assert!(!refused.to_string().contains(&broken[..7.min(broken.len())]), "{refused}");
    }
    let (status, joined) = b.call("join", json!({ "text": text }));
    assert_eq!(status, 0, "{joined}");
    assert_eq!(joined, json!({ "joined": "a", "peer": a.node.address().to_string(), "shares": ["main"] }));

    // No restart, and no second word: they are in sync.
    until("b is in sync", || b.call("status", nothing()).1["in_sync"] == json!(true));
    until("a is in sync", || a.call("status", nothing()).1["in_sync"] == json!(true));
    assert_eq!(fs::read_to_string(b.node.home().join("key")).unwrap().trim(), key);
    assert!(b.package().contains("config peer 'a'"), "{}", b.package());
    assert!(!b.package().contains(&key));
    let (status, again) = b.call("join", json!({ "text": text }));
    assert_eq!(status, 8, "{again}");
    // A second text has a different token for the same cluster.
    let (status, second) = a.call("invite", json!({ "address": "192.0.2.1" }));
    assert_eq!((status, &second["addresses"]), (0, &json!([format!("192.0.2.1:{}", a.node.port)])));
    assert_ne!(second["join_text"], json!(text));
}

#[test]
fn the_command_join_has_the_daemon_that_runs_do_it() {
    let ips = [("a", Ipv4Addr::new(127, 0, 0, 72).into()), ("b", Ipv4Addr::new(127, 0, 0, 73).into())];
    let cluster = Cluster::at(&ips);
    let (a, b) = (&cluster.nodes()[0], &cluster.nodes()[1]);
    let (a, b) = (Router::start(a, "\tlist include 'dhcp'\n"), Router::start(b, ""));
    let invited = a.node.command(&["init"]).output().unwrap();
    assert!(invited.status.success(), "{}", String::from_utf8_lossy(&invited.stderr));

    let text = a.node.home().join("text");
    fs::write(&text, &invited.stdout).unwrap();
    let dir = b.node.share().display().to_string();
    let joined = b.node.command(&["join", "--dir", &dir, text.to_str().unwrap()]).output().unwrap();

    let said = String::from_utf8_lossy(&joined.stderr).into_owned();
    assert!(joined.status.success() && said.contains("owsync already runs with this configuration"), "{said}");
    until("b is in sync", || b.call("status", nothing()).1["in_sync"] == json!(true));
    a.node.write("dhcp", "config dnsmasq\n");
    b.node.until_holds("dhcp", "config dnsmasq\n");
}

#[test]
fn a_node_with_a_config_file_joins_by_its_command() {
    let on_bus = crate::daemon::OnBus::alone();
    let mut client = on_bus.bus.client();
    let text = client.ask("init", nothing())["join_text"].as_str().unwrap().to_string();

    let (status, data) = client.call("join", json!({ "text": text }));

    assert_eq!(status, 8, "{data:?}");
    assert!(data[0]["message"].as_str().unwrap().contains("owsync join -c FILE"), "{data:?}");
    assert_eq!(client.call("join", nothing()).0, 2);
}
