//! Networks that go away and come back, between nodes in network namespaces of their own.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::skip::{has_program, not_run};
use crate::space::{Own, Space};
use crate::wait::{promptly, throughout, timed, until, until_within};

/// Nodes, each in a network of its own, each connected to each other by a cable.
pub struct Net {
    pub cluster: Cluster,
    pub spaces: Vec<Space>,
    names: Vec<&'static str>,
}

impl Net {
    /// Networks with cables between all, nothing started; reported as not run where there can be none.
    pub fn new(names: &[&'static str]) -> Option<Net> {
        if !has_program("ip") {
            not_run("needs ip (iproute2)");
            return None;
        }
        let first = Space::new(Own::Network)?;
        let mut spaces = vec![];
        for _ in 1..names.len() {
            spaces.push(first.beside(Own::Network)?);
        }
        spaces.insert(0, first);
        let probe = spaces[0].output(&["ip", "link", "add", "probe", "type", "veth", "peer", "name", "probe2"]);
        if !probe.status.success() {
            not_run(&format!("no veth here: {}", String::from_utf8_lossy(&probe.stderr)));
            return None;
        }
        spaces[0].run(&["ip", "link", "del", "probe"]);
        let any: IpAddr = "0.0.0.0".parse().unwrap();
        let cluster = Cluster::at(&names.iter().map(|name| (*name, any)).collect::<Vec<_>>());
        let net = Net { cluster, spaces, names: names.to_vec() };
        for (n, node) in net.cluster.nodes().iter().enumerate() {
            node.set("port", "4321");
            node.launch_by(net.spaces[n].enter());
            net.spaces[n].run(&["ip", "link", "set", "lo", "up"]);
        }
        for n in 0..names.len() {
            for m in n + 1..names.len() {
                net.connect(n, m);
            }
        }
        Some(net)
    }

    /// The end at `n` of the cable between `n` and `m`.
    pub fn port(n: usize, m: usize) -> String {
        let _ = n;
        format!("to{m}")
    }

    /// The address of `n` on the cable between `n` and `m`.
    fn ip(n: usize, m: usize) -> String {
        format!("10.77.{}{}.{}", n.min(m) + 1, n.max(m) + 1, n + 1)
    }

    /// Lays a cable, and makes both ends peers.
    fn connect(&self, n: usize, m: usize) {
        let pid = self.spaces[m].pid().to_string();
        self.spaces[n].run(&[
            "ip",
            "link",
            "add",
            &Net::port(n, m),
            "type",
            "veth",
            "peer",
            "name",
            &Net::port(m, n),
            "netns",
            &pid,
        ]);
        for (n, m) in [(n, m), (m, n)] {
            self.spaces[n].run(&["ip", "addr", "add", &format!("{}/24", Net::ip(n, m)), "dev", &Net::port(n, m)]);
            self.spaces[n].run(&["ip", "link", "set", &Net::port(n, m), "up"]);
            self.cluster.nodes()[n].set_peer(self.names[m], "address", &Net::ip(m, n));
        }
    }

    fn place(&self, name: &str) -> usize {
        self.names.iter().position(|known| *known == name).unwrap()
    }

    /// Pulls the cable between two, or puts it back.
    fn cable(&self, one: &str, other: &str, state: &str) {
        let (n, m) = (self.place(one), self.place(other));
        self.spaces[n].run(&["ip", "link", "set", &Net::port(n, m), state]);
    }
}

#[test]
fn three_machines_go_on_while_cables_are_pulled() {
    let Some(net) = Net::new(&["a", "b", "c"]) else { return };
    let cluster = &net.cluster;
    let (a, b) = (&cluster["a"], &cluster["b"]);
    cluster.start();
    a.write("first", "over veth");
    cluster.until_equal();

    // One cable of three: c hands it on.
    net.cable("a", "b", "down");
    a.write("second", "by way of c");
    b.until_holds("second", "by way of c");
    until("the silence is noticed", || a.peer("b")["in_sync"] == json!(false));
    net.cable("a", "b", "up");
    cluster.until_equal();

    // All cables of one machine.
    net.cable("a", "b", "down");
    net.cable("a", "c", "down");
    a.write("alone", "from a");
    a.write("both", "a's");
    b.write("together", "from b");
    b.write("both", "b's");
    cluster["c"].until_holds("both", "b's");
    throughout(Duration::from_millis(500), "the parts stay apart", || !b.exists("alone") && !a.exists("together"));
    net.cable("a", "b", "up");
    net.cable("a", "c", "up");
    cluster.until_equal();
    let winner = a.read("both").unwrap();
    let loser = if winner == "a's" { "b's" } else { "a's" };
    assert!(cluster.nodes().iter().any(|node| node.history("both").iter().any(|one| one == loser)), "{loser} is lost");
    assert_eq!(a.tree().len(), 5);
}

/// How often a node's process went to sleep by itself: once for each time that it woke up.
fn wakes(node: &Node) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    count.trim().parse().unwrap()
}

/// F89: nothing is said on an idle session, its cable dies without a sign, and status says so within 30 s; while it is
/// healthy the kernel asks, and the process sleeps.
#[test]
fn a_dead_cable_is_noticed_while_nothing_is_said() {
    let Some(net) = Net::new(&["a", "b"]) else { return };
    let (a, b) = (&net.cluster["a"], &net.cluster["b"]);
    net.cluster.start();
    a.write("first", "over veth");
    net.cluster.until_equal();
    let pid = a.pid();
    // Longer than the kernel waits before it asks.
    let before = wakes(a);
    throughout(Duration::from_secs(17), "it runs", || Path::new(&format!("/proc/{pid}")).exists());
    let woke = wakes(a) - before;
    assert!(woke <= 2, "it woke {woke} times in 17 s");

    // Packets go to a machine that is not there: no carrier is lost, nobody answers.
    for (n, m) in [(0, 1), (1, 0)] {
        let nowhere = ["lladdr", "02:00:00:00:00:99", "dev", &Net::port(n, m), "nud", "permanent"];
        net.spaces[n].run(&[&["ip", "neigh", "replace", &Net::ip(m, n)], &nowhere[..]].concat());
    }
    let reason = |node: &Node, peer: &str| node.peer(peer)["reason"].clone();
    let took = until_within(Duration::from_secs(30), "a misses b", || a.peer("b")["in_sync"] == json!(false));
    assert_eq!(reason(a, "b"), json!("no_answer"), "after {took:?}");
    assert!(!a.is_in_sync());
    until_within(Duration::from_secs(15), "b misses a", || b.peer("a")["in_sync"] == json!(false));

    for (n, m) in [(0, 1), (1, 0)] {
        net.spaces[n].run(&["ip", "neigh", "del", &Net::ip(m, n), "dev", &Net::port(n, m)]);
    }
    b.write("second", "once there is a way");
    a.until_holds("second", "once there is a way");
}

#[test]
fn a_node_that_starts_without_a_network_connects_when_there_is_one() {
    let Some(net) = Net::new(&["a", "b"]) else { return };
    let (a, b) = (&net.cluster["a"], &net.cluster["b"]);
    net.cable("a", "b", "down");
    net.spaces[0].run(&["ip", "addr", "flush", "dev", &Net::port(0, 1)]);
    a.write("f", "written before");

    net.cluster.nodes().iter().for_each(Node::spawn);
    until("the fault is named", || {
        a.try_status().is_some_and(|status| {
            let peer = &status["peers"]["b"];
            peer["reason"] == json!("unreachable")
                && peer["message"].as_str().unwrap().to_lowercase().contains("unreachable")
        })
    });

    net.spaces[0].run(&["ip", "addr", "add", &format!("{}/24", Net::ip(0, 1)), "dev", &Net::port(0, 1)]);
    net.cable("a", "b", "up");
    b.until_holds("f", "written before");
    net.cluster.until_equal();
}

#[test]
fn a_slow_and_lossy_link_delays_only_itself() {
    let Some(net) = Net::new(&["a", "b", "c"]) else { return };
    let cluster = &net.cluster;
    let (a, b, c) = (&cluster["a"], &cluster["b"], &cluster["c"]);
    if !has_program("tc") {
        return not_run("needs tc (iproute2)");
    }
    // c is behind slow links only.
    for (n, m) in [(0, 2), (1, 2)] {
        let add = ["tc", "qdisc", "add", "dev", &Net::port(n, m), "root"];
        // Delay and loss where the kernel has them, else a narrow link.
        let lossy = ["netem", "delay", "100ms", "loss", "2%", "rate", "4mbit"];
        let narrow = ["tbf", "rate", "4mbit", "burst", "32k", "latency", "400ms"];
        let space = &net.spaces[n];
        if space.output(&[&add[..], &lossy].concat()).status.success() {
            continue;
        }
        let output = space.output(&[&add[..], &narrow].concat());
        if !output.status.success() {
            return not_run(&format!("needs netem or tbf: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    cluster.start();

    a.write("big", vec![7; 2 << 20]);
    until("the fast one has it", || b.exists("big"));
    assert!(!c.exists("big"), "the slow one cannot have it yet");
    let mut round = 0;
    promptly(Duration::from_secs(2), "a change between the fast ones", || {
        round += 1;
        timed(|| {
            a.write("small", format!("meanwhile {round}"));
            b.until_holds("small", &format!("meanwhile {round}"));
        })
    });
    cluster.until_equal();
}

#[test]
fn a_peer_is_dialled_from_its_source_address() {
    let Some(net) = Net::new(&["a", "b"]) else { return };
    let (a, b) = (&net.cluster["a"], &net.cluster["b"]);
    net.spaces[0].run(&["ip", "addr", "add", "10.77.12.77/24", "dev", &Net::port(0, 1)]);
    a.set_peer("b", "source_address", "10.77.12.77");
    // b waits; who comes from that address is a.
    b.set_peer("a", "address", "10.77.12.77:9");
    net.cluster.start();

    a.write("f", "from there");
    b.until_holds("f", "from there");
    let table = net.spaces[1].output(&["cat", "/proc/net/tcp"]).stdout;
    let table = String::from_utf8_lossy(&table).into_owned();
    // 10.77.12.77 in the kernel's byte order, connected (01) to our port 4321.
    let from_there = table.lines().filter(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() > 3 && words[1].ends_with(":10E1") && words[3] == "01" && words[2].starts_with("4D0C4D0A:")
    });
    assert_eq!(from_there.count(), 1, "{table}");
    assert_eq!(b.peer("a")["connected"], json!(true));
}

#[test]
fn a_source_address_that_is_not_here_is_named() {
    let Some(net) = Net::new(&["a", "b"]) else { return };
    let a = &net.cluster["a"];
    a.set_peer("b", "source_address", "10.99.99.99");
    a.start();

    until("the fault is named", || {
        let peer = a.peer("b");
        peer["message"].as_str().is_some_and(|text| text.contains("cannot use the source address 10.99.99.99"))
    });
}

#[test]
fn without_a_port_it_is_4321_on_both_families() {
    let Some(net) = Net::new(&["a", "b"]) else { return };
    let (a, b) = (&net.cluster["a"], &net.cluster["b"]);
    for node in [a, b] {
        node.unset("port");
        node.unset("bind_host");
    }
    net.cluster.start();

    let table = net.spaces[0].output(&["cat", "/proc/net/tcp6"]).stdout;
    let table = String::from_utf8_lossy(&table).into_owned();
    if table.is_empty() {
        return not_run("needs IPv6");
    }
    let any = format!("{}:10E1", "0".repeat(32));
    assert!(table.lines().any(|line| line.contains(&any) && line.contains(" 0A ")), "{table}");
    b.write("f", "over IPv4 at the same socket");
    a.until_holds("f", "over IPv4 at the same socket");
}

/// Two machines; what lands in `network` on the second is put in force by a script, which takes its cable away where the
/// file says `down`.
fn careful() -> Option<Net> {
    let net = Net::new(&["a", "b"])?;
    let b = &net.cluster["b"];
    let script = b.home().join("put-in-force");
    let text = format!("#!/bin/sh\nip link set {} \"$(cat \"$OWSYNC_DIR/network\")\"\n", Net::port(1, 0));
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    b.set("reload", script.to_str().unwrap());
    b.set("confirm", "6");
    net.cluster.start();
    net.cluster["a"].write("network", "up");
    net.cluster.until_equal();
    until("nothing is on trial", || b.main()["unconfirmed"].is_null());
    Some(net)
}

#[test]
fn a_change_that_cuts_the_cable_is_back_in_time_on_both() {
    let Some(net) = careful() else { return };
    let (a, b) = (&net.cluster["a"], &net.cluster["b"]);
    a.write("network", "down");
    b.until_holds("network", "down");
    assert_eq!(b.main()["unconfirmed"]["peer"], json!("a"));

    until("b has taken it back", || b.read("network").as_deref() == Some("up"));
    b.until_logged("is rolled back: a did not respond within 6 s");
    a.until_holds("network", "up");
    net.cluster.until_equal();
    for node in [a, b] {
        assert!(node.history("network").iter().any(|content| content == "down"), "{} has the bad one", node.name);
    }

    a.write("network", "up\n");
    b.until_holds("network", "up\n");
    b.until_logged("is confirmed: a responded");
    net.cluster.until_equal();
}

#[test]
fn a_daemon_that_is_killed_within_the_time_takes_it_back_when_it_starts() {
    let Some(net) = careful() else { return };
    let (a, b) = (&net.cluster["a"], &net.cluster["b"]);
    b.set("confirm", "600");
    b.restart();
    net.cluster.until_in_sync();
    a.write("network", "down");
    b.until_holds("network", "down");
    b.kill();

    // As at boot, before anything else runs.
    let output = b.command(&["rollback", "-c", b.config().to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "rolled back: the previous contents are in place\n");
    assert_eq!(b.read("network").as_deref(), Some("up"));

    net.spaces[1].run(&["ip", "link", "set", &Net::port(1, 0), "up"]);
    b.spawn();
    net.cluster.until_equal();
    assert_eq!(a.read("network").as_deref(), Some("up"));
}
