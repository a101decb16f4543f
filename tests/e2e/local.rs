//! Options that stay on one router, on two daemons and one that joins later, with real packages where they are there.

use std::path::{Path, PathBuf};

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::until;

/// A real package, or one like it.
fn package(name: &str, like: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../shared/data/openwrt-config/{name}.conf"));
    std::fs::read_to_string(file).unwrap_or_else(|_| like.to_string())
}

/// `system` with the host name of this router, and `network` with its address.
fn prepare(node: &Node, host: &str, address: &str) {
    let system = package("system", "config system\n\toption timezone 'UTC'\n");
    let named = format!("config system\n\toption hostname '{host}'\n");
    // The package of an installation names the router already, or names none.
    let lines = system.lines().filter(|line| !line.contains("hostname")).collect::<Vec<_>>().join("\n");
    node.write("system", lines.replacen("config system\n", &named, 1) + "\n");
    let network = package("network", "");
    let lan = format!(
        "\nconfig interface 'attic'\n\toption proto 'static'\n\toption ipaddr '{address}'\n\toption mtu '1500'\n"
    );
    node.write("network", format!("{}\n{lan}", network.trim_end()));
    node.set("reload", "uci");
}

fn has(node: &Node, file: &str, text: &str) -> bool {
    node.read(file).is_some_and(|found| found.contains(text))
}

/// Every file below a directory.
fn all(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
        if kind.is_dir() {
            found.extend(all(&path));
        } else if kind.is_file() {
            // What the daemon removes meanwhile is no longer on the disk.
            found.extend(std::fs::read(&path).map(|bytes| (path, bytes)));
        }
    }
    found
}

/// The bytes are in none of a node's files: its share, its database, its history, its log.
fn assert_unknown(node: &Node, value: &str) {
    for (path, bytes) in all(node.home()) {
        let found = bytes.windows(value.len()).any(|window| window == value.as_bytes());
        assert!(!found, "{value} is in {}", path.display());
    }
}

/// Waits until these nodes have exchanged everything. Their status is not in sync: no procd is here to be notified.
fn until_exchanged(cluster: &Cluster, names: &[&str]) {
    let pairs = names.iter().flat_map(|name| names.iter().map(move |peer| (name, peer))).filter(|(a, b)| a != b);
    for (name, peer) in pairs {
        until(&format!("{name} is in sync with {peer}"), || {
            cluster[name].try_status().is_some() && cluster[name].peer(peer)["in_sync"] == serde_json::json!(true)
        });
    }
}

#[test]
fn host_names_and_addresses_stay_and_a_router_that_joins_later_keeps_its_own() {
    let cluster = Cluster::idle(&["a", "b", "c"]);
    let (a, b, c) = (&cluster["a"], &cluster["b"], &cluster["c"]);
    for (node, host, address) in
        [(a, "alpha-host", "10.77.1.1"), (b, "bravo-host", "10.77.2.2"), (c, "charlie-host", "10.77.3.3")]
    {
        prepare(node, host, address);
        node.set("history_size", "1M");
    }
    for node in [a, b] {
        node.add("local", "system.@system[0].hostname");
        node.add("local", "network.*.ipaddr");
    }
    a.spawn();
    b.spawn();
    [a, b].iter().for_each(|node| until("it answers", || node.try_status().is_some()));
    until_exchanged(&cluster, &["a", "b"]);
    // It has no pattern: what is local it learns from the others.
    c.spawn();
    until("c answers", || c.try_status().is_some());
    until_exchanged(&cluster, &["a", "b", "c"]);

    let network = b.read("network").unwrap();
    b.write("network", network.replace("option mtu '1500'", "option mtu '1400'"));
    until("the change is on a and c", || [a, c].iter().all(|node| has(node, "network", "'1400'")));
    until_exchanged(&cluster, &["a", "b", "c"]);

    for (node, host, address) in
        [(a, "alpha-host", "10.77.1.1"), (b, "bravo-host", "10.77.2.2"), (c, "charlie-host", "10.77.3.3")]
    {
        assert!(has(node, "system", &format!("'{host}'")), "{host} stays");
        assert!(has(node, "network", &format!("'{address}'")), "{address} stays");
        for other in cluster.nodes().iter().filter(|other| other.home() != node.home()) {
            assert_unknown(other, host);
            assert_unknown(other, address);
        }
    }
    let listed = String::from_utf8(c.owsync(&["local"]).stdout).unwrap();
    assert!(listed.contains("network.attic.ipaddr") && listed.contains("'10.77.3.3'"), "{listed}");
    assert!(listed.contains("local on all nodes"), "{listed}");

    b.restart();
    until_exchanged(&cluster, &["a", "b", "c"]);
    assert!(has(b, "network", "'10.77.2.2'"));
    let listed = String::from_utf8(b.owsync(&["local", "network"]).stdout).unwrap();
    assert!(listed.contains("local 'network.*.ipaddr'"), "{listed}");
}
