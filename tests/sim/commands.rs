//! What people decide and ask, and what comes of it on every machine.

use owsync::model::settings::HistoryBounds;
use owsync::node::api::{Command, DiffWith, Fault, Former, Pick, Reply, Tree};
use owsync::store::state::Why;

use super::disk;
use super::world::{World, path};

/// Two pairs of machines that synced on their own, each with a `dhcp` of its own, and meet: nobody has a claim.
fn two_clusters(seed: u64) -> World {
    let mut world = World::new(seed, 4);
    world.ask();
    // Nothing is kept but what must be.
    world.set_all(|settings| settings.history = HistoryBounds { size: 0, days: 30, versions: 10 });
    world.pair(0, 1);
    world.pair(2, 3);
    world.start_all();
    world.settle();
    world.write(0, "dhcp", "of the first");
    world.write(2, "dhcp", "of the second");
    world.settle();
    world.pair(1, 2);
    world.reload(1);
    world.reload(2);
    world.run_ms(10_000);
    assert!(!world.is_in_sync(), "it waits for a person");
    world
}

#[test]
fn what_is_not_picked_at_first_contact_is_kept_wherever_it_lies() {
    for (pick, winner, loser, losers) in
        [(Pick::Mine, "of the first", "of the second", [2, 3]), (Pick::Theirs, "of the second", "of the first", [0, 1])]
    {
        let mut world = two_clusters(80);
        world.done(1, Command::Approve { share: None, path: None, pick: Some(pick), dry_run: false });
        world.settle();
        assert!((0..4).all(|id| world.read(id, "dhcp").as_deref() == Some(winner)), "{pick:?}");
        for id in losers {
            assert!(world.history_holds(id, loser), "{pick:?}: m{id} had it, and nobody replaced it knowingly");
        }
    }
}

/// Two machines with `dhcp` in its third version, and a former one of `gone`; the history of the second has what was.
fn with_a_past(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    for content in ["a\nb\nc\n", "a\nB\nc\n", "a\nB\nC\n"] {
        world.write(0, "dhcp", content);
        world.settle();
    }
    world.write(0, "gone", "it was here\n");
    world.settle();
    world.remove(0, "gone");
    world.settle();
    world
}

fn newest(name: &str) -> Former {
    Former::Newest { share: None, path: path(name) }
}

/// The number in `log` of the oldest former version of a path.
fn oldest(world: &mut World, id: usize, name: &str) -> Former {
    let log = world.done(id, Command::Log { share: None, path: Some(path(name)), why: None, node: None, limit: 10 });
    match log.get("versions") {
        Some(Tree::List(versions)) => {
            // The very first is that nothing lay there.
            let first = versions.iter().find(|version| version.get("why") != Some(&Tree::Text("created".into())));
            match first.and_then(|version| version.get("number")) {
                Some(Tree::Int(number)) => Former::Number(*number as u64),
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

fn diff(world: &mut World, version: Former, with: Option<DiffWith>) -> String {
    match world.done(1, Command::Diff { version, with, options: false }).get("diff") {
        Some(Tree::Text(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_former_version_is_compared_with_the_file_with_another_and_with_nothing() {
    let mut world = with_a_past(81);
    let first = oldest(&mut world, 1, "dhcp");
    let hunk = |text: String| text.split_once("@@\n").map(|(_, rest)| rest.to_string()).unwrap_or_default();
    assert_eq!(hunk(diff(&mut world, first.clone(), None)), " a\n-b\n-c\n+B\n+C\n");
    assert_eq!(hunk(diff(&mut world, newest("dhcp"), None)), " a\n B\n-c\n+C\n");
    let former = Some(DiffWith::Former(newest("dhcp")));
    assert_eq!(hunk(diff(&mut world, first.clone(), former)), " a\n-b\n+B\n c\n");
    let current = Some(DiffWith::Current { share: None, path: path("dhcp") });
    assert_eq!(diff(&mut world, newest("gone"), current).lines().next(), Some("--- main:gone@5"));
    assert!(diff(&mut world, newest("gone"), None).contains("+++ /dev/null"));
    let same = Some(DiffWith::Former(first.clone()));
    assert_eq!(diff(&mut world, first, same), "");
}

#[test]
fn contents_that_are_no_text_or_too_large_only_differ() {
    let mut world = with_a_past(82);
    world.write(0, "blob", "a\0b");
    world.settle();
    world.write(0, "blob", &"x".repeat(300 * 1024));
    world.settle();
    assert!(diff(&mut world, newest("blob"), None).contains("too large to be compared: 3 and 307200 bytes"));
    world.write(0, "blob", "a\0c");
    world.settle();
    let first = oldest(&mut world, 1, "blob");
    assert_eq!(diff(&mut world, first, None), "binary files main:blob@7 and main:blob differ\n");
}

#[test]
fn what_is_not_synced_is_not_shown() {
    let mut world = with_a_past(83);
    world.share_settings(1).exclude = vec![b"secret".to_vec()];
    world.reload(1);
    world.settle();
    assert!(world.user(1).write(&path("secret"), b"key"));
    let with = Some(DiffWith::Current { share: None, path: path("secret") });
    let reply = world.command(1, Command::Diff { version: newest("dhcp"), with, options: false });
    assert!(matches!(reply, Reply::Failed { fault: Fault::State, .. }), "{reply:?}");
    let reply = world.command(1, Command::Show { version: newest("never") });
    assert!(matches!(reply, Reply::Failed { fault: Fault::NotFound, .. }), "{reply:?}");
}

#[test]
fn the_newest_former_version_comes_back_by_its_path() {
    let mut world = with_a_past(84);
    world.done(1, Command::Restore { version: newest("gone"), options: Vec::new() });
    world.done(1, Command::Restore { version: newest("dhcp"), options: Vec::new() });
    world.settle();
    assert_eq!(world.read(0, "gone").as_deref(), Some("it was here\n"));
    assert_eq!(world.read(0, "dhcp").as_deref(), Some("a\nB\nc\n"));
    assert!(world.history_holds(1, "a\nB\nC\n"), "what a restore replaces can come back, too");
    world.assert_equal();
}

#[test]
fn a_restore_that_history_has_no_room_for_changes_nothing() {
    let mut world = with_a_past(85);
    world.machines[1].disk.0.borrow_mut().capacity = 1024;
    let reply = world.command(1, Command::Restore { version: newest("dhcp"), options: Vec::new() });
    assert!(matches!(&reply, Reply::Failed { message, .. } if message.contains("history full")), "{reply:?}");
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("a\nB\nC\n"));
    let left = world.user(1).paths();
    assert!(left.iter().all(|path| !path.to_text().contains("owsync")), "{left:?}");
}

#[test]
fn a_restore_that_fails_at_any_operation_loses_nothing() {
    for operation in 1..20 {
        let mut world = with_a_past(86);
        {
            let mut state = world.machines[1].disk.0.borrow_mut();
            let at = state.operations + operation;
            state.faults.insert(at, disk::Fault::Errno(5));
        }
        let reply = world.command(1, Command::Restore { version: newest("dhcp"), options: Vec::new() });
        let (now, former) = ("a\nB\nC\n", "a\nB\nc\n");
        let lies = world.read(1, "dhcp");
        assert!(
            lies.as_deref() == Some(now) || world.history_holds(1, now),
            "operation {operation}: {lies:?} {reply:?}"
        );
        let done = matches!(reply, Reply::Done(_));
        assert_eq!(lies.as_deref(), Some(if done { former } else { now }), "operation {operation}: {reply:?}");
        world.settle();
        world.assert_equal();
    }
}

/// The paths in a log, with why.
fn logged(world: &mut World, path: Option<&str>, why: Option<Why>, node: Option<&str>) -> Vec<(String, String)> {
    let (path, node) = (path.map(super::world::path), node.map(str::to_string));
    let log = world.done(1, Command::Log { share: None, path, why, node, limit: 100 });
    let Some(Tree::List(versions)) = log.get("versions") else { panic!("{log:?}") };
    let text = |one: &Tree, key: &str| if let Some(Tree::Text(text)) = one.get(key) { text.clone() } else { panic!() };
    versions.iter().map(|one| (text(one, "path"), text(one, "why"))).collect()
}

#[test]
fn the_log_is_searched_by_path_reason_and_node() {
    let mut world = with_a_past(87);
    world.done(1, Command::Restore { version: newest("dhcp"), options: Vec::new() });
    world.settle();
    let one = |path: &str, why: &str| (path.to_string(), why.to_string());
    assert_eq!(logged(&mut world, None, Some(Why::Deleted), None), [one("gone", "deleted")]);
    assert_eq!(logged(&mut world, None, None, Some("m1")), [one("dhcp", "given up")]);
    assert_eq!(logged(&mut world, Some("gone"), None, Some("m0")), [one("gone", "created"), one("gone", "deleted")]);
    assert_eq!(logged(&mut world, None, Some(Why::Replaced), Some("m0")).len(), 2);
    assert_eq!(logged(&mut world, None, Some(Why::Conflict), None), []);
    let stranger = Command::Log { share: None, path: None, why: None, node: Some("m7".into()), limit: 9 };
    assert!(matches!(world.command(1, stranger), Reply::Failed { fault: Fault::NotFound, .. }));
    assert_eq!(logged(&mut world, None, None, Some("0123456789abcdef")), [], "a node that was forgotten");
    assert!(Why::ALL.into_iter().all(|why| Why::from_word(&why.word().replace(' ', "-")) == Some(why)));
}
