//! Tests what everything else needs: changes are synced, the kernel's port is known, the end is clean.

use serde_json::json;

use crate::cluster::Cluster;
use crate::wait::until;

#[test]
fn a_change_and_a_deletion_travel_both_ways() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);

    a.write("one", "from a");
    b.write("deep/er/two", "from b");

    b.until_holds("one", "from a");
    a.until_holds("deep/er/two", "from b");
    b.remove("one");
    a.until_gone("one");
    cluster.until_equal();
}

#[test]
fn the_port_that_the_kernel_chose_is_in_status() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    a.set("port", "0");

    a.start();

    let listen = a.status()["listen"][0].as_str().unwrap().to_string();
    let address: std::net::SocketAddr = listen.parse().unwrap();
    assert_eq!(address.ip(), a.ip);
    assert_ne!(address.port(), 0);
    std::net::TcpStream::connect(address).unwrap();
}

#[test]
fn a_restart_keeps_what_was_in_sync_in_sync() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("f", "1");
    b.until_holds("f", "1");

    b.restart();
    until("they met again", || a.peer("b")["in_sync"] == json!(true) && b.peer("a")["in_sync"] == json!(true));

    a.write("f", "2");
    b.until_holds("f", "2");
    assert_eq!(b.status()["counters"]["conflicts"], json!(0));
}
