//! F63: procd is notified of applied changes, once for each package whose content differs from before.

use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::daemon::OnBus;
use crate::router::Router;
use crate::stand_in::StandIn;
use crate::wait::until;

/// Two nodes in sync, of which the first notifies procd of changes applied there.
fn told() -> OnBus {
    let on_bus = OnBus::idle(&["a", "b"]);
    on_bus.a().set("reload", "uci");
    on_bus.cluster.start();
    on_bus
}

fn changed(package: &str) -> Value {
    json!({ "type": "config.change", "data": { "package": package } })
}

#[test]
fn f63_procd_hears_once_of_each_package_that_changed() {
    let on_bus = told();
    let service = StandIn::service(&on_bus.bus);
    let (a, b) = (on_bus.a(), on_bus.b());

    b.write("dhcp", "config dnsmasq\n\toption a '1'\n");
    a.until_holds("dhcp", "config dnsmasq\n\toption a '1'\n");
    // A different comment is a different file, and the same package.
    b.write("dhcp", "# so it is\nconfig dnsmasq\n\toption a '1'\n");
    a.until_holds("dhcp", "# so it is\nconfig dnsmasq\n\toption a '1'\n");
    b.write("firewall", "config defaults\n");
    a.until_holds("firewall", "config defaults\n");

    let mut heard = Vec::new();
    until("procd was told of both", || {
        heard.extend(service.take());
        heard.len() >= 2
    });
    assert_eq!(heard, [changed("dhcp"), changed("firewall")]);
    until("status says so", || a.status()["in_force"]["firewall"]["notified"].is_number());
    assert_eq!(a.status()["problems"], json!([]));
    // There are no scripts for it, which is no fault.
    assert!(!a.log().contains("hotplug"), "{}", a.log());
    // A change made here is reported by the program that made it.
    a.write("dhcp", "config dnsmasq\n\toption a '2'\n");
    b.until_holds("dhcp", "config dnsmasq\n\toption a '2'\n");
    assert_eq!(service.take(), [] as [Value; 0]);
}

/// Waits until procd was notified of a package after a failure, and status has nothing to report any more.
fn told_at_last(on_bus: &OnBus, service: &StandIn) {
    let mut heard = Vec::new();
    until("procd was told", || {
        heard.extend(service.take());
        !heard.is_empty()
    });
    assert_eq!(heard, [changed("dhcp")]);
    until("status is content", || on_bus.a().status()["problems"] == json!([]));
}

#[test]
fn what_changed_while_ubusd_was_away_is_told_when_it_is_back() {
    let on_bus = told();
    on_bus.bus.stop();
    until("ubusd is missed", || on_bus.a().status()["ubus"] == json!("not connected"));

    on_bus.b().write("dhcp", "config dnsmasq\n");
    until("status says so", || on_bus.a().status()["in_force"]["dhcp"]["failed"].is_string());
    assert_eq!(
        on_bus.a().status()["problems"],
        json!(["reload of dhcp: procd was not notified: ubus is not available"])
    );

    on_bus.bus.start();
    told_at_last(&on_bus, &StandIn::service(&on_bus.bus));
}

#[test]
fn what_changed_while_procd_was_away_is_told_when_it_is_back() {
    let on_bus = told();

    on_bus.b().write("dhcp", "config dnsmasq\n");
    until("status says so", || on_bus.a().status()["in_force"]["dhcp"]["failed"].is_string());
    assert_eq!(
        on_bus.a().status()["problems"],
        json!(["reload of dhcp: procd was not notified: no such object on ubus"])
    );
    let summary = on_bus.a().status()["summary"].as_str().unwrap().to_string();
    assert!(summary.starts_with("not in sync: reload of dhcp: procd was not notified: "), "{summary}");

    told_at_last(&on_bus, &StandIn::service(&on_bus.bus));
}

/// F132: what the init script does (the firewall's rule, the announcement) follows `uci commit owsync` alone, because the
/// daemon, which sees its package change, tells procd.
#[test]
fn procd_hears_that_the_own_package_was_committed() {
    let cluster = Cluster::apart(&["a"]);
    let router = Router::of_packages(&cluster.nodes()[0], "");
    let service = StandIn::service(&router.bus);
    router.run(&[]);
    until("it reads its configuration", || router.call("status", json!({})).1["shares"]["main"].is_object());

    for (option, value) in [("firewall_rule", "1"), ("mdns", "1"), ("firewall_zone", "vpn")] {
        router.uci_set("owsync", "main", option, value);
        let mut heard = Vec::new();
        until("procd was told", || {
            heard.extend(service.take());
            !heard.is_empty()
        });
        assert_eq!(heard, [changed("owsync")], "{option}");
    }
    // procd runs the init script, which makes procd send a SIGHUP: nothing follows from that.
    router.node.signal(Signal::SIGHUP);
    until("it was read again", || router.node.log().matches("the configuration was read again").count() == 4);
    assert_eq!(service.take(), [] as [Value; 0]);
    assert_eq!(router.call("status", json!({})).1["problems"], json!([]));
}

/// F133: a router listens on the addresses of its configured networks, as netifd names them, and follows them.
#[test]
fn networks_are_listened_on_where_they_are() {
    let cluster = Cluster::apart(&["a"]);
    let node = &cluster.nodes()[0];
    let router = Router::of_packages(node, "\tlist network 'lan'\n\tlist network 'vpn'\n");
    let addresses = Arc::new(Mutex::new(vec![
        ("lan", "127.0.0.71".to_string()),
        ("wan", "127.0.0.72".to_string()),
        ("vpn", "127.0.0.73".to_string()),
    ]));
    let netifd = StandIn::netifd(&router.bus, &addresses);
    let listens = || router.call("status", json!({})).1["listen"].clone();
    let at = |ips: &[&str]| ips.iter().map(|ip| format!("{ip}:{}", node.port)).collect::<Vec<_>>();
    router.run(&[]);
    until("it listens on both", || listens() == json!(at(&["127.0.0.71", "127.0.0.73"])));

    *addresses.lock().unwrap() = vec![("lan", "127.0.0.74".to_string()), ("vpn", "127.0.0.73".to_string())];
    // As `/etc/init.d/owsync networks` does it, when procd says that a network changed.
    node.signal(Signal::SIGUSR1);
    until("it follows", || listens() == json!(at(&["127.0.0.73", "127.0.0.74"])));
    drop(netifd);
}
