//! F63: what landed is told to procd, once for each package that says something else than before.

use serde_json::{Value, json};

use crate::daemon::OnBus;
use crate::service::Service;
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
    let service = Service::start(&on_bus.bus);
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
    // What changed here, whoever changed it tells.
    a.write("dhcp", "config dnsmasq\n\toption a '2'\n");
    b.until_holds("dhcp", "config dnsmasq\n\toption a '2'\n");
    assert_eq!(service.take(), [] as [Value; 0]);
}

#[test]
fn what_procd_could_not_be_told_is_said_and_told_later() {
    let on_bus = told();
    let (a, b) = (on_bus.a(), on_bus.b());

    b.write("dhcp", "config dnsmasq\n");
    until("status says so", || a.status()["in_force"]["dhcp"]["failed"].is_string());
    let problem = "reload of dhcp: procd was not told: nobody on ubus has that object";
    assert_eq!(a.status()["problems"], json!([problem]));

    // ubusd comes back, and procd a little later.
    on_bus.bus.stop();
    until("ubusd is missed", || a.status()["ubus"] == json!("not connected"));
    on_bus.bus.start();
    until("ubusd is back", || a.status()["ubus"] == json!("registered"));
    let service = Service::start(&on_bus.bus);
    let mut heard = Vec::new();
    until("procd was told", || {
        heard.extend(service.take());
        !heard.is_empty()
    });
    assert_eq!(heard, [changed("dhcp")]);
    until("status is content", || a.status()["problems"] == json!([]));
}
