//! A run that landed, undone as a whole.

use owsync::node::api::{Command, Fault, Reply, Tree};

use super::disk;
use super::world::World;

/// Two machines; a batch of the first has replaced `dhcp`, deleted `old` and made `new` on the second.
fn after_a_batch(seed: u64) -> (World, u64) {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    world.write(0, "dhcp", "before");
    world.write(0, "old", "it was here");
    world.settle();
    world.write(0, "dhcp", "after");
    world.write(0, "new", "made");
    world.remove(0, "old");
    world.settle();
    let run = run_of(&mut world, "dhcp");
    (world, run)
}

/// The number of the run that the newest former version of a path belongs to, on the second machine.
fn run_of(world: &mut World, name: &str) -> u64 {
    let listed = world.done(1, Command::Log { share: None, path: None, why: None, node: None, limit: 100 });
    let Some(Tree::List(versions)) = listed.get("versions") else { panic!("{listed:?}") };
    let of = versions.iter().rev().find(|version| version.get("path") == Some(&Tree::Text(name.into())));
    match of.and_then(|version| version.get("run")) {
        Some(Tree::Int(run)) => u64::try_from(*run).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn texts(reply: &Tree, key: &str) -> Vec<String> {
    let Some(Tree::List(list)) = reply.get(key) else { panic!("{reply:?}") };
    list.iter().map(|one| if let Tree::Text(text) = one { text.clone() } else { panic!("{one:?}") }).collect()
}

fn files(world: &World, id: usize) -> [Option<String>; 3] {
    ["dhcp", "old", "new"].map(|name| world.read(id, name))
}

#[test]
fn a_run_is_undone_as_a_whole_and_that_travels() {
    let (mut world, run) = after_a_batch(90);
    let reply = world.done(1, Command::Undo { run });
    assert_eq!(texts(&reply, "paths").len(), 3, "{reply:?}");
    assert_eq!(texts(&reply, "unchanged"), [""; 0]);
    world.settle();
    for id in [0, 1] {
        assert_eq!(files(&world, id), [Some("before".into()), Some("it was here".into()), None], "m{id}");
    }
    assert!(world.history_holds(1, "after") && world.history_holds(1, "made"), "and what it replaced can come back");

    let again = run_of(&mut world, "dhcp");
    world.done(1, Command::Undo { run: again });
    world.settle();
    for id in [0, 1] {
        assert_eq!(files(&world, id), [Some("after".into()), None, Some("made".into())], "m{id}: undone in turn");
    }
    world.assert_equal();
}

#[test]
fn what_changed_since_stays_and_is_named() {
    let (mut world, run) = after_a_batch(91);
    world.write(0, "dhcp", "changed since");
    world.settle();
    let reply = world.done(1, Command::Undo { run });
    assert_eq!(texts(&reply, "unchanged"), ["dhcp"]);
    world.settle();
    assert_eq!(files(&world, 0), [Some("changed since".into()), Some("it was here".into()), None]);

    let reply = world.command(1, Command::Undo { run });
    assert!(matches!(reply, Reply::Failed { fault: Fault::State, .. }), "{reply:?}");
    let reply = world.command(1, Command::Undo { run: 999 });
    assert!(matches!(reply, Reply::Failed { fault: Fault::NotFound, .. }), "{reply:?}");
    world.assert_equal();
}

#[test]
fn a_crash_at_any_operation_of_an_undo_completes_it_or_leaves_everything() {
    let mut completed = 0;
    for operation in 1..60 {
        let (mut world, run) = after_a_batch(92);
        {
            let mut state = world.machines[1].disk.0.borrow_mut();
            let at = state.operations + operation;
            state.faults.insert(at, if operation % 2 == 0 { disk::Fault::Crash } else { disk::Fault::Kill });
        }
        world.tell(1, Command::Undo { run });
        world.run_ms(2_000);
        if world.machines[1].node.is_none() {
            world.start(1);
        }
        world.settle();
        let now = files(&world, 1);
        let undone = [Some("before".into()), Some("it was here".into()), None];
        let left = [Some("after".into()), None, Some("made".into())];
        assert!(now == undone || now == left, "operation {operation}: {now:?}");
        completed += u32::from(now == undone);
        for content in ["before", "it was here", "after", "made"] {
            let lies = now.iter().flatten().any(|lies| lies == content);
            assert!(lies || world.history_holds(1, content), "operation {operation}: {content} is lost");
        }
        world.assert_equal();
    }
    assert!(completed > 10, "{completed} were completed");
}

/// Nothing removed them: what power cuts left in the history filled the flash.
#[test]
fn contents_that_a_crash_left_without_a_line_go_with_the_next_start() {
    let (mut world, _) = after_a_batch(731);
    let kept = world.history(1).len();
    let object = world.node(1).history().object(owsync::model::Digest::of(b"left by a crash")).unwrap();
    world.stop(1);
    world.run_ms(1_000);
    let state = world.user_of(1, "/state");
    assert!(kept > 0 && state.write(&object, b"left by a crash"));

    world.start(1);
    world.settle();

    assert_eq!(world.user_of(1, "/state").read(&object), None);
    assert_eq!(world.history(1).len(), kept, "what is listed stays");
    assert!(world.log_has(1, "history: removed 1 incomplete versions"));
}
