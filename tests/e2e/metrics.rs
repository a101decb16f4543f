//! The file that a node exporter collects, and the command that prints the same.

use std::fs;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::{until, until_within};

fn file(node: &Node) -> String {
    fs::read_to_string(node.home().join("collector/owsync.prom")).unwrap_or_default()
}

/// The number behind a sample's name and labels.
fn number(text: &str, sample: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
}

#[test]
fn the_file_of_metrics_is_there_whole_and_current_for_as_long_as_the_daemon_is() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    b.set("metrics_file", b.home().join("collector/owsync.prom").to_str().unwrap());
    b.set("poll_interval", "1");
    cluster.start();
    until("it is there", || !file(b).is_empty());
    let first = file(b);
    assert!(first.starts_with("# HELP owsync_build_info ") && first.contains(",name=\"b\"} 1\n"), "{first}");

    a.write("f", "content");
    b.until_holds("f", "content");
    // 15 s, and the rescan that comes next.
    until_within(Duration::from_secs(40), "it says so", || {
        let text = file(b);
        assert!(text.starts_with("# HELP ") && text.ends_with('\n'), "torn: {text}");
        number(&text, "owsync_share_files{share=\"main\"}") == Some(1)
    });
    let text = file(b);
    assert_eq!(number(&text, "owsync_peer_up{peer=\"a\"}"), Some(1), "{text}");
    assert_eq!(number(&text, "owsync_applied_paths_total"), Some(1), "{text}");
    assert!(number(&text, "owsync_flash_written_bytes_total").is_some_and(|bytes| bytes > 7), "{text}");

    let output = b.owsync(&["metrics"]);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let names =
        |text: &str| text.lines().filter(|line| line.starts_with("# TYPE")).map(String::from).collect::<Vec<_>>();
    assert_eq!(names(&printed), names(&text));
    assert!(printed.contains("\nowsync_apply_duration_seconds_count 1\n"), "{printed}");

    b.stop();
    assert_eq!(fs::read_dir(b.home().join("collector")).unwrap().count(), 0, "nobody reads of peers that are up");
}

#[test]
fn metrics_that_cannot_be_written_harm_nobody_and_are_named() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    b.set("metrics_file", "/nowhere/collector/owsync.prom");
    cluster.start();

    b.until_logged("the metrics cannot be written to /nowhere/collector/owsync.prom: No such file");
    until("status names it", || b.status()["problems"].to_string().contains("the metrics cannot be written"));
    a.write("f", "content");
    b.until_holds("f", "content");
    cluster.until_in_sync();
}
