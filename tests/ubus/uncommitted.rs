//! What was changed by `uci set`, or in LuCI, and not committed: status says so, on ubus as on the command line.

use std::fs;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::bus::nothing;
use crate::cluster::Cluster;
use crate::router::Router;

#[test]
fn status_names_the_packages_that_nobody_committed() {
    let cluster = Cluster::at(&[("a", Ipv4Addr::new(127, 0, 0, 74).into())]);
    let a = Router::of_packages(&cluster.nodes()[0], "\tlist exclude 'wireless'\n");
    a.node.write("network", "config interface 'lan'\n");
    a.node.write("wireless", "config wifi-device 'radio0'\n");
    a.run(&[]);
    let told = || {
        let shares = a.call("shares", nothing()).1["shares"].take();
        assert_eq!(a.call("status", nothing()).1["shares"]["main"]["uncommitted"], shares["main"]["uncommitted"]);
        shares["main"]["uncommitted"].clone()
    };
    assert_eq!(told(), Value::Null);

    for (place, text) in [
        ("tmp/.uci/network", "network.lan.proto='dhcp'\n"),
        ("tmp/.uci/wireless", "wireless.radio0.channel='1'\n"),
        ("var/run/rpcd/uci-00112233/network", "network.lan.ipaddr='10.0.0.1'\n"),
    ] {
        let path = a.root().join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    assert_eq!(told(), json!(["network"]));
    let printed = a.node.command(&["shares"]).output().unwrap();
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.contains("network has uncommitted changes (not synced until `uci commit`)"), "{printed}");
    // As `uci commit` and `uci revert` leave them.
    fs::write(a.root().join("tmp/.uci/network"), "").unwrap();
    fs::remove_dir_all(a.root().join("var/run/rpcd")).unwrap();
    assert_eq!(told(), Value::Null);
}
