//! The whole story: two routers in networks of their own, each with its ubus, its procd and its UCI.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::bus::nothing;
use crate::cluster::Cluster;
use crate::router::Router;
use crate::skip::{has_program, not_run};
use crate::space::{Own, Space};
use crate::stand_in::StandIn;
use crate::wait::until_some;

const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

/// Two networks with a cable between them; reported as not run where there can be none.
fn cable() -> Option<[Space; 2]> {
    if !has_program("ip") {
        not_run("needs ip (iproute2)");
        return None;
    }
    let one = Space::new(Own::Network)?;
    let other = one.beside(Own::Network)?;
    let pid = other.pid().to_string();
    let laid = one.output(&["ip", "link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", &pid]);
    if !laid.status.success() {
        not_run(&format!("no veth here: {}", String::from_utf8_lossy(&laid.stderr)));
        return None;
    }
    let spaces = [one, other];
    for (space, address) in spaces.iter().zip(ADDRESSES) {
        space.run(&["ip", "addr", "add", &format!("{address}/24"), "dev", "lan"]);
        space.run(&["ip", "link", "set", "lan", "up"]);
        space.run(&["ip", "link", "set", "lo", "up"]);
    }
    Some(spaces)
}

/// What must not change on a router that sent something: its file, and the applied changes.
fn untouched(router: &Router) -> (u64, i64, i64, Value) {
    let meta = fs::metadata(router.node.path("dhcp")).unwrap();
    let counters = router.call("status", nothing()).1["counters"].take();
    (meta.ino(), meta.ctime(), meta.ctime_nsec(), counters["applied"].clone())
}

#[test]
fn a_change_by_uci_is_in_force_on_the_other_router_once_and_nothing_comes_back() {
    let Some(spaces) = cable() else { return };
    let any: IpAddr = "0.0.0.0".parse().unwrap();
    let cluster = Cluster::at(&[("a", any), ("b", any)]);
    let [a, b] = [0, 1].map(|n| Router::of_packages(&cluster.nodes()[n], ""));
    for router in [&a, &b] {
        router.node.write("dhcp", "config dnsmasq 'lan'\n\toption domain 'lan'\n");
        // Of the same age on both, so that the first contact changes nothing.
        let file = fs::File::options().write(true).open(router.node.path("dhcp")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    }
    a.dials(&b, ADDRESSES[1], ADDRESSES[0]);
    b.dials(&a, ADDRESSES[0], ADDRESSES[1]);
    let procd = [&a, &b].map(|router| StandIn::service(&router.bus));
    let scripts = [&a, &b].map(|router| StandIn::hotplug(&router.bus));
    a.run(&spaces[0].enter());
    b.run(&spaces[1].enter());
    a.until_in_sync();
    b.until_in_sync();

    for (n, (from, to, domain)) in [(&a, &b, "home"), (&b, &a, "cellar")].into_iter().enumerate() {
        from.uci_set("dhcp", "lan", "domain", domain);
        let before = untouched(from);

        let text = from.node.read("dhcp").unwrap();
        assert!(text.contains(domain), "{text}");
        to.node.until_holds("dhcp", &text);
        let heard = until_some("procd hears of it", || Some(procd[1 - n].take()).filter(|heard| !heard.is_empty()));
        assert_eq!(heard, [json!({ "type": "config.change", "data": { "package": "dhcp" } })]);
        let called =
            until_some("scripts hear of it", || Some(scripts[1 - n].take()).filter(|called| !called.is_empty()));
        let dir = format!("DIR={}", to.node.share().display());
        assert_eq!(called, [json!({ "env": ["ACTION=synced", "SHARE=main", dir, "PATHS=dhcp", "COUNT=1"] })]);

        // All that could still be on its way has come after a scan of everything on both sides.
        from.node.sync();
        to.node.sync();
        assert_eq!(untouched(from), before, "nothing came back to {}", from.node.name);
        for (procd, scripts) in procd.iter().zip(&scripts) {
            assert_eq!((procd.take(), scripts.take()), (vec![], vec![]));
        }
        assert_eq!(to.call("status", nothing()).1["problems"], json!([]));
    }
}
