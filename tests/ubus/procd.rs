//! F63: what landed is told to procd, once for each package that says something else than before.

use serde_json::{Value, json};

use crate::daemon::OnBus;
use crate::stand_in::StandIn;
use crate::wait::until;

/// Two nodes in sync, of which the first tells procd what lands there.
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
    // Another comment is another file, and no other package.
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
    // Nobody has scripts for it, which is nothing to speak of.
    assert!(!a.log().contains("hotplug"), "{}", a.log());
    // What changed here, whoever changed it tells.
    a.write("dhcp", "config dnsmasq\n\toption a '2'\n");
    b.until_holds("dhcp", "config dnsmasq\n\toption a '2'\n");
    assert_eq!(service.take(), [] as [Value; 0]);
}

/// Waits until procd was told of a package that could not be told before, and status has nothing to say any more.
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
    assert_eq!(on_bus.a().status()["problems"], json!(["reload of dhcp: procd was not told: there is no ubus here"]));

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
        json!(["reload of dhcp: procd was not told: nobody on ubus has that object"])
    );

    told_at_last(&on_bus, &StandIn::service(&on_bus.bus));
}
