//! Nodes that joined one reference, with the real commands: they are introduced to each other.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::{throughout, until};

/// Runs a command of a node, with this text at its standard input; what it prints.
#[track_caller]
fn said(node: &Node, arguments: &[&str], input: &str) -> String {
    let config = node.config();
    let words = [arguments, &["-c", config.to_str().unwrap()]].concat();
    let mut command = node.command(&words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The options that say where a node lies and listens.
fn place(node: &Node) -> Vec<String> {
    let dir = node.share().display().to_string();
    let (database, host, port) = (node.database().display().to_string(), node.ip.to_string(), node.port.to_string());
    ["--dir", &dir, "--db", &database, "--host", &host, "--port", &port].map(String::from).to_vec()
}

/// Runs the daemon with the configuration that the command wrote.
fn run(node: &Node) {
    let config = node.config();
    node.adopt(&mut node.command(&["daemon", "-f", "--log-level", "3", "-c", config.to_str().unwrap()]));
    until(&format!("{} answers", node.name), || node.try_status().is_some());
}

/// The label of the peer with which a node has a session and whose node is `other`'s.
fn label(node: &Node, other: &Node) -> Option<String> {
    let (peers, id) = (node.try_status()?["peers"].take(), other.try_status()?["node"].take());
    let mut all = peers.as_object()?.iter();
    all.find(|(_, peer)| peer["node"] == id && peer["connected"] == json!(true)).map(|(name, _)| name.clone())
}

/// F113: `init`, `invite` and `join` for three nodes; after the hub stopped, the other two still sync; what one forgets, all do.
#[test]
fn three_nodes_that_joined_sync_without_the_hub() {
    let cluster = Cluster::apart(&["a", "b", "c"]);
    let (a, b, c) = (&cluster["a"], &cluster["b"], &cluster["c"]);
    let address = a.address().to_string();
    let options = place(a);
    let mut words: Vec<&str> = vec!["init", "-i", "*", "--address", &address];
    words.extend(options.iter().map(String::as_str));
    let first = said(a, &words, "");
    a.write("f", "from the reference");
    run(a);
    let second = said(a, &["invite", "--address", &address], "");
    for (node, text) in [(b, &first), (c, &second)] {
        let options = place(node);
        let mut words: Vec<&str> = vec!["join"];
        words.extend(options.iter().map(String::as_str));
        let written = said(node, &words, text);
        assert!(written.contains("introducer=1"), "{written}");
        run(node);
    }
    for node in [b, c] {
        node.until_holds("f", "from the reference");
    }
    for (node, other) in [(a, b), (a, c), (b, a), (b, c), (c, a), (c, b)] {
        until(&format!("{} has a session with {}", node.name, other.name), || label(node, other).is_some());
    }
    cluster.until_in_sync();
    let name = label(b, c).unwrap();
    assert_eq!(b.peer(&name)["path"], json!("direct"));
    let by = b.peer(&name)["introduced_by"].clone();
    let text = said(b, &["status"], "");
    assert!(text.contains(&format!("introduced by {}; direct", by.as_str().unwrap())), "{text}");

    let id = a.status()["node"].as_str().unwrap().to_string();
    a.stop();
    b.write("f", "from b, without the hub");
    c.until_holds("f", "from b, without the hub");
    for node in [b, c] {
        node.stop();
        run(node);
    }
    c.write("f", "from c, after restarts");
    b.until_holds("f", "from c, after restarts");

    // The hub is gone for good: one user says so, on one node.
    let hub = by.as_str().unwrap();
    said(b, &["peers", "forget", &id], "");
    for node in [b, c] {
        until(&format!("{} forgot the hub", node.name), || node.peer(hub)["state"] == json!("forgotten"));
        node.until_in_sync();
    }
    run(a);
    a.write("f", "from whom nobody knows");
    b.write("g", "still");
    c.until_holds("g", "still");
    throughout(Duration::from_secs(2), "nobody connects to it", || label(a, b).is_none() && label(a, c).is_none());
    assert_eq!(c.read("f").as_deref(), Some("from c, after restarts"));
}
