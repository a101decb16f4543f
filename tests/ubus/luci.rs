//! What LuCI applied waits for its confirmation: meanwhile it neither leaves the router nor is replaced.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::bus::nothing;
use crate::cluster::Cluster;
use crate::router::Router;
use crate::stand_in::StandIn;
use crate::wait::{promptly, throughout, timed, until};

/// rpcd, as far as LuCI's applies go (rpcd:uci.c): it keeps what was there before, until it is confirmed.
struct Rpcd<'a> {
    router: &'a Router<'a>,
    pending: Arc<AtomicBool>,
    object: StandIn,
}

impl<'a> Rpcd<'a> {
    fn start(router: &'a Router<'a>) -> Rpcd<'a> {
        let pending = Arc::new(AtomicBool::new(false));
        let object = StandIn::rpcd(&router.bus, &pending);
        Rpcd { router, pending, object }
    }

    fn snapshot(&self) -> PathBuf {
        self.router.root().join("var/run/rpcd/snapshot-files")
    }

    /// Save & Apply: the packages are kept, then changed.
    fn apply(&self, packages: &[&str], value: &str) {
        self.pending.store(true, Ordering::Relaxed);
        self.leave_snapshot(packages);
        for package in packages {
            self.router.uci_set(package, "s", "o", value);
        }
    }

    fn leave_snapshot(&self, packages: &[&str]) {
        fs::create_dir_all(self.snapshot()).unwrap();
        for package in packages {
            fs::copy(self.router.node.path(package), self.snapshot().join(package)).unwrap();
        }
    }

    /// The browser still reaches the router.
    fn confirm(&self) {
        self.empty_snapshot();
        self.pending.store(false, Ordering::Relaxed);
    }

    /// It does not.
    fn roll_back(&self) {
        for kept in fs::read_dir(self.snapshot()).unwrap().flatten() {
            fs::copy(kept.path(), self.router.node.path(kept.file_name().to_str().unwrap())).unwrap();
        }
        self.confirm();
    }

    fn empty_snapshot(&self) {
        for kept in fs::read_dir(self.snapshot()).unwrap().flatten() {
            fs::remove_file(kept.path()).unwrap();
        }
    }
}

/// What a commit leaves.
fn package(value: &str) -> String {
    format!("\nconfig t 's'\n\toption o '{value}'\n\n")
}

/// Two routers that hold the same three packages.
fn couple(cluster: &Cluster) -> [Router<'_>; 2] {
    let [a, b] = [0, 1].map(|n| Router::of_packages(&cluster.nodes()[n], ""));
    for router in [&a, &b] {
        for name in ["network", "firewall", "dhcp"] {
            router.node.write(name, package("former"));
        }
    }
    let ips = [&a, &b].map(|router| router.node.ip.to_string());
    a.dials(&b, &ips[1], &ips[0]);
    b.dials(&a, &ips[0], &ips[1]);
    [a, b]
}

fn cluster(ip: u8) -> Cluster {
    Cluster::at(&[("a", Ipv4Addr::new(127, 0, 0, ip).into()), ("b", Ipv4Addr::new(127, 0, 0, ip + 1).into())])
}

fn start(routers: [&Router; 2]) {
    routers.iter().for_each(|router| router.run(&[]));
    routers.iter().for_each(|router| router.until_in_sync());
}

/// Long enough for whatever is not withheld: the settle time several times over.
const A_WHILE: Duration = Duration::from_millis(1500);

#[test]
fn what_luci_applied_stays_until_it_is_confirmed_and_then_travels_at_once() {
    let cluster = cluster(76);
    let [a, b] = &couple(&cluster);
    let (rpcd, procd) = (Rpcd::start(a), StandIn::service(&b.bus));
    start([a, b]);
    let mut round = 0;

    promptly(Duration::from_secs(1), "a confirmed change is on the other router", || {
        round += 1;
        let value = format!("better{round}");
        rpcd.apply(&["network", "firewall"], &value);
        a.uci_set("dhcp", "s", "o", &value);
        b.node.until_holds("dhcp", &package(&value));
        throughout(A_WHILE, "nothing of it travels", || {
            ["network", "firewall"].iter().all(|name| !b.node.read(name).unwrap().contains(&value))
        });
        until("rpcd was asked whose name nobody has", || {
            rpcd.object.take().iter().any(|asked| *asked == json!({ "ubus_rpc_session": "0" }))
        });
        let heard = procd.take();
        assert_eq!(heard, [json!({ "type": "config.change", "data": { "package": "dhcp" } })]);

        rpcd.confirm();
        let took = timed(|| {
            ["network", "firewall"].iter().for_each(|name| b.node.until_holds(name, &package(&value)));
        });
        let mut heard = 0;
        until("procd there hears of both", || {
            heard += procd.take().len();
            heard == 2
        });
        took
    });
}

#[test]
fn what_was_rolled_back_never_travelled_and_what_came_meanwhile_lands_then() {
    let cluster = cluster(78);
    let [a, b] = &couple(&cluster);
    let (rpcd, procd) = (Rpcd::start(a), [a, b].map(|router| StandIn::service(&router.bus)));
    start([a, b]);

    rpcd.apply(&["network", "firewall"], "locks out");
    b.uci_set("firewall", "s", "o", "from b");
    until("a owes it", || a.node.main()["pending"][0]["reason"] == json!("unconfirmed"));
    let owed = a.node.main()["pending"][0].take();
    assert_eq!((&owed["path"], &owed["peer"]), (&json!("firewall"), &json!("b")));
    throughout(A_WHILE, "neither way", || {
        a.node.read("firewall").unwrap() == package("locks out") && b.node.read("network").unwrap() == package("former")
    });
    assert_eq!(procd[0].take(), [] as [serde_json::Value; 0]);

    rpcd.roll_back();

    a.node.until_holds("firewall", &package("from b"));
    a.until_in_sync();
    b.until_in_sync();
    for router in [a, b] {
        assert_eq!(router.node.read("network").unwrap(), package("former"), "{}", router.node.name);
    }
    // It was never there, so no service was notified, and nothing was kept but what the edit made here replaced.
    assert_eq!(procd[1].take(), [] as [serde_json::Value; 0]);
    let kept = b.call("history", nothing()).1;
    let versions = kept["versions"].as_array().unwrap();
    assert!(versions.iter().all(|version| version["why"] == json!("edited")) && versions.len() == 1, "{kept}");
}

#[test]
fn a_snapshot_that_was_left_behind_withholds_nothing() {
    let cluster = cluster(80);
    let [a, b] = &couple(&cluster);
    let rpcd = Rpcd::start(a);
    rpcd.leave_snapshot(&["network"]);
    start([a, b]);

    a.uci_set("network", "s", "o", "applied unchecked");

    b.node.until_holds("network", &package("applied unchecked"));
    assert!(rpcd.snapshot().join("network").exists());
}
