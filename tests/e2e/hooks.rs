//! Tests hooks with the real daemon.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::{until, until_some};

/// A program at `name` in the node's home, which runs these lines of shell there.
fn program(node: &Node, name: &str, lines: &str) -> String {
    let path = node.home().join(name);
    let home = node.home().display();
    fs::write(&path, format!("#!/bin/sh\ncd '{home}' || exit\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// Gives the node's share, or the node itself, a hook.
fn set_hook(node: &Node, of_share: bool, hook: &str) {
    // Options of a section stand behind its line; peers come after all of them.
    node.add(if of_share { "[share main]\nhook" } else { "hook" }, hook);
}

/// The events that a hook wrote down: a line for each event, and the JSON of the last of each kind.
const NOTES: &str = r#"cat >"$0.new" && mv "$0.new" "$0.$1"
echo "$1=$OWSYNC_EVENT node=$OWSYNC_NODE share=$OWSYNC_SHARE peer=$OWSYNC_PEER reason=$OWSYNC_REASON path=$OWSYNC_PATH paths=$OWSYNC_PATHS count=$OWSYNC_COUNT" >>"$0.notes""#;

fn notes(node: &Node, hook: &str) -> Vec<String> {
    let text = fs::read_to_string(node.home().join(format!("{hook}.notes"))).unwrap_or_default();
    text.lines().map(str::to_string).collect()
}

/// Waits until a hook got this event; its JSON.
#[track_caller]
fn until_noted(node: &Node, hook: &str, line: &str) -> Value {
    until(&format!("{hook} hears '{line}', not {:?}", notes(node, hook)), || {
        notes(node, hook).iter().any(|n| n == line)
    });
    let (event, _) = line.split_once('=').unwrap();
    serde_json::from_slice(&fs::read(node.home().join(format!("{hook}.{event}"))).unwrap()).unwrap()
}

#[test]
fn both_hooks_hear_of_everything_that_happens_with_its_details() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    set_hook(b, false, &program(b, "all", NOTES));
    b.set("confirm", "600");
    set_hook(b, true, &program(b, "ours", NOTES));
    cluster.start();
    until_noted(b, "all", "peer-up=peer-up node=b share= peer=a reason= path= paths= count=0");

    a.write("f", "1");
    let line = "after-apply=after-apply node=b share=main peer=a reason= path= paths=f count=1";
    let told = until_noted(b, "ours", line);
    assert_eq!(
        (&told["event"], &told["cause"], &told["paths"][0]),
        (&"after-apply".into(), &"offered".into(), &"f".into())
    );
    until_noted(b, "all", line);

    // For 10 s nothing asks whether it works.
    assert!(b.owsync(&["rollback"]).status.success());
    let line = "rollback=rollback node=b share=main peer=a reason=by the user path= paths=f count=1";
    until_noted(b, "ours", line);
    until_noted(b, "all", line);
    cluster.until_in_sync();

    a.stop();
    let line = "peer-down=peer-down node=b share= peer=a reason=leaving path= paths= count=0";
    until_noted(b, "all", line);
    a.write("c", "of a");
    b.write("c", "of b");
    b.sync();
    a.start();
    let line = "conflict=conflict node=b share=main peer=a reason=conflict path=c paths=c count=1";
    until_noted(b, "ours", line);
    until_noted(b, "all", line);
    cluster.until_equal();

    fs::rename(b.share(), b.home().join("elsewhere")).unwrap();
    let line = "hold=hold node=b share=main peer= reason=root_missing path= paths= count=0";
    let told = until_noted(b, "ours", line);
    assert!(told["message"].as_str().unwrap().contains("the directory cannot be opened"), "{told}");
    until_noted(b, "all", line);
    assert!(notes(b, "ours").iter().all(|line| !line.starts_with("peer-")), "no share of theirs");
}

#[test]
fn a_hook_that_hangs_is_killed_with_its_children_and_keeps_nobody_waiting() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let lines = r#"[ "$1" = after-apply ] || exit 0
sleep 1000 &
echo "$!" >child
echo 'about to hang'
wait"#;
    set_hook(b, false, &program(b, "hook", lines));
    b.set("hook_timeout", "5");
    cluster.start();

    a.write("f", "1");
    b.until_holds("f", "1");
    let child =
        until_some("it hangs", || fs::read_to_string(b.home().join("child")).ok().filter(|pid| pid.ends_with('\n')));
    a.write("f", "2");
    b.until_holds("f", "2");
    assert!(!b.log().contains("killed after"), "a change lands while it hangs");

    b.until_logged("hook on after-apply: about to hang");
    b.until_logged("hook on after-apply: killed after 5 s");
    until("its child is gone", || {
        // Until its parent asks for its end it is a zombie.
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    cluster.until_equal();
}

#[test]
fn a_hook_that_prints_without_end_neither_fills_the_log_nor_keeps_the_daemon() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    set_hook(b, false, &program(b, "hook", "[ \"$1\" = after-apply ] || exit 0\n: >started\nexec yes flood"));
    b.set("hook_timeout", "5");
    cluster.start();

    a.write("f", "1");
    until("it prints", || b.home().join("started").exists());
    a.write("f", "2");
    b.until_holds("f", "2");
    b.until_in_sync();
    assert!(!b.log().contains("killed after"), "it answers meanwhile");

    b.until_logged("hook on after-apply: killed after 5 s");
    b.until_logged("hook on after-apply: (it printed more before)");
    // It runs once for each of the two changes.
    let flood = b.log().lines().filter(|line| line.ends_with("hook on after-apply: flood")).count();
    assert!((1..=64).contains(&flood), "{flood}");
}

#[test]
fn a_hook_that_fails_or_does_not_exist_is_in_the_log_and_harms_nobody() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    set_hook(b, false, "/nowhere/hook");
    // On before-apply that would be a refusal.
    set_hook(b, true, &program(b, "hook", "[ \"$1\" = before-apply ] || { echo 'no such relay' >&2; exit 3; }"));
    cluster.start();

    a.write("f", "1");

    b.until_logged("hook on after-apply: cannot run /nowhere/hook after-apply: No such file");
    b.until_logged("hook of share main on after-apply: no such relay");
    b.until_logged("hook of share main on after-apply: exit code 3");
    cluster.until_equal();
}

#[test]
fn what_a_connect_started_ends_before_it_does() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    b.set("first_sync", "newest");
    set_hook(b, true, &program(b, "hook", "[ \"$1\" = after-apply ] || exit 0\nsleep 2\n: >done"));
    a.write("f", "1");
    a.start();

    // Without encryption the address is all there is to know it by.
    let output = b.owsync(&["connect", &format!("{},{}", a.address(), b.ip)]);

    assert!(output.status.success(), "{output:?}");
    assert!(b.home().join("done").exists(), "it waited for its hook");
}

#[test]
fn nothing_happens_to_who_ends_while_a_hook_runs() {
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    set_hook(b, false, &program(b, "hook", ": >started\nexec sleep 1000"));
    cluster.start();
    a.write("f", "1");
    until("it runs", || b.home().join("started").exists());

    assert!(b.stop() < Duration::from_secs(2), "an end waits for no hook");
}
