//! What would happen is told as it then happens, and asking changes nothing.

use std::collections::BTreeSet;

use owsync::model::settings::{Mode, Reload};
use owsync::model::{Digest, Direction, Entry, PeerName, RelPath, Sleep};
use owsync::node::api::{Command, Fault, Former, Pick, Reply, Tree};

use super::world::{MachineId, World, main, path};

/// A row of an answer: where, at whom, which path, what, and whether it waits.
type Row = (String, String, String, String, bool);

fn sync(dry_run: bool) -> Command {
    Command::Sync { peer: None, share: None, dry_run, wait: !dry_run }
}

fn approve(pick: Option<Pick>, dry_run: bool) -> Command {
    Command::Approve { share: None, path: None, pick, dry_run }
}

fn reject(dry_run: bool) -> Command {
    Command::Reject { share: None, path: None, dry_run }
}

fn field(tree: &Tree, key: &str) -> String {
    match tree.get(key) {
        Some(Tree::Text(text)) => text.clone(),
        other => panic!("{key}: {other:?} of {tree:?}"),
    }
}

fn list<'a>(reply: &'a Tree, key: &str) -> &'a [Tree] {
    match reply.get(key) {
        Some(Tree::List(list)) => list,
        None => &[],
        other => panic!("{key}: {other:?}"),
    }
}

fn rows(reply: &Tree) -> BTreeSet<Row> {
    list(reply, "preview")
        .iter()
        .map(|row| {
            let waits = row.get("waits") == Some(&Tree::Bool(true));
            (field(row, "where"), field(row, "peer"), field(row, "path"), field(row, "what"), waits)
        })
        .collect()
}

fn row(place: &str, peer: &str, path: &str, what: &str) -> Row {
    (place.into(), peer.into(), path.into(), what.into(), false)
}

fn waiting(row: Row) -> Row {
    (row.0, row.1, row.2, row.3, true)
}

type Recorded = (RelPath, Entry, u64, Option<Sleep>);

/// What machines remember and what lies on their disks: nothing of it may change by asking.
fn everything(world: &World) -> Vec<(Vec<Recorded>, usize, String)> {
    (0..world.machines.len())
        .filter(|id| world.machines[*id].node.is_some())
        .map(|id| {
            let state = world.node(id).state();
            let share = &state.shares[&main()];
            let records =
                share.index.iter().map(|(path, one)| (path.clone(), one.entry.clone(), one.seq, one.sleep)).collect();
            let rest = format!("{:?} {:?} {:?} {:?}", world.tree(id), state.me, share.meta, share.owed);
            (records, world.node(id).history().items().count(), rest)
        })
        .collect()
}

/// Asks what would happen, and checks that nothing did.
fn asked(world: &mut World, id: MachineId, command: Command) -> Tree {
    let before = everything(world);
    let reply = world.done(id, command);
    world.run_ms(300);
    assert_eq!(everything(world), before, "asking changed something");
    reply
}

/// Two machines in sync with these files, which notice what users do only when they look.
fn in_sync(seed: u64, files: &[&str]) -> World {
    let mut world = World::new(seed, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    for name in files {
        world.write(0, name, &format!("config {name}\n"));
    }
    world.settle();
    world.machines.iter_mut().for_each(|machine| machine.inotify = false);
    world
}

fn hundred() -> Vec<String> {
    (0..20).map(|n| format!("f{n:02}")).collect()
}

#[test]
fn a_sync_is_told_path_by_path_before_it_is_done() {
    let mut world = in_sync(95, &["dhcp", "system", "network"]);
    world.write(0, "dhcp", "changed");
    world.write(0, "new", "made");
    world.remove(0, "system");
    assert!(world.user(0).chmod(&path("network"), 0o600));

    let told = asked(&mut world, 0, sync(true));
    assert_eq!(
        rows(&told),
        [
            row("there", "m1", "dhcp", "changed"),
            row("there", "m1", "network", "mode"),
            row("there", "m1", "new", "created"),
            row("there", "m1", "system", "deleted"),
        ]
        .into()
    );
    let size = |path: &str| list(&told, "preview").iter().find(|row| field(row, "path") == path)?.get("size").cloned();
    assert_eq!(size("dhcp"), Some(Tree::Int(7)), "of what would lie there");
    assert_eq!(size("system"), Some(Tree::Int(14)), "of what would go");

    world.done(0, sync(false));
    world.settle();
    assert_eq!(rows(&asked(&mut world, 0, sync(true))), [].into(), "it was done");
    world.assert_equal();
}

#[test]
fn a_peer_that_is_away_is_told_of_with_what_is_not_known() {
    let mut world = in_sync(96, &["dhcp", "system"]);
    world.stop(1);
    world.run_ms(2_000);
    world.write(0, "dhcp", "changed");
    world.write(0, "new", "made");
    world.done(0, sync(false));

    let told = asked(&mut world, 0, sync(true));
    let away = [waiting(row("there", "m1", "dhcp", "sent")), waiting(row("there", "m1", "new", "sent"))];
    assert_eq!(rows(&told), away.into(), "that it has system was said when it was here");
    let unknown = list(&told, "unknown");
    assert!(matches!(unknown, [one] if field(one, "peer") == "m1"), "{unknown:?}");
}

#[test]
fn a_held_share_is_told_what_approve_and_what_reject_would_do() {
    for (rejects, seed) in [(false, 97), (true, 98)] {
        let names = hundred();
        let mut world = in_sync(seed, &names.iter().map(String::as_str).collect::<Vec<_>>());
        names.iter().take(15).for_each(|name| world.remove(0, name));
        world.write(0, "f19", "changed");
        let would_hold = asked(&mut world, 0, sync(true));
        assert!(rows(&would_hold).iter().all(|row| row.4), "the guard would say no: {would_hold:?}");
        assert!(list(&would_hold, "preview").iter().all(|row| field(row, "why").contains("15 of 20 files vanished")));
        world.done(0, sync(false));
        assert_eq!(world.hold(0), Some("mass_deletion"));
        let waits = asked(&mut world, 0, sync(true));
        assert!(rows(&waits).len() == 16 && rows(&waits).iter().all(|row| row.4), "it waits for a person: {waits:?}");

        let (place, what) = if rejects { ("here", "created") } else { ("there", "deleted") };
        let mut expected: BTreeSet<Row> = names.iter().take(15).map(|name| row(place, "m1", name, what)).collect();
        expected.insert(row(place, "m1", "f19", "changed"));
        if !rejects {
            // The other node asks its own people.
            expected = expected.into_iter().map(waiting).collect();
        }
        let command = |dry_run| if rejects { reject(dry_run) } else { approve(None, dry_run) };
        assert_eq!(rows(&asked(&mut world, 0, command(true))), expected);

        world.done(0, command(false));
        if !rejects {
            world.run_ms(3_000);
            let told = rows(&asked(&mut world, 1, approve(None, true)));
            assert!(told.len() == 16 && told.iter().all(|row| row.0 == "here" && !row.4), "{told:?}");
            world.done(1, approve(None, false));
        }
        world.settle();
        let files = world.assert_equal();
        assert_eq!(files.len(), if rejects { 20 } else { 5 });
        assert_eq!(files[&path("f19")] == b"changed", !rejects);
        assert!(!rejects || world.history_holds(0, "changed"), "what is given up is kept");
        let over = world.command(0, command(true));
        assert!(matches!(over, Reply::Failed { fault: Fault::State, .. }), "{over:?}");
    }
}

#[test]
fn a_mass_deletion_that_a_peer_asks_for_is_told_before_it_is_let_in_or_refused() {
    for (rejects, seed) in [(false, 99), (true, 100)] {
        let names = hundred();
        let mut world = in_sync(seed, &names.iter().map(String::as_str).collect::<Vec<_>>());
        world.share_settings(0).delete_guard = 0;
        world.reload(0);
        names.iter().take(15).for_each(|name| world.remove(0, name));
        world.done(0, sync(false));
        world.run_ms(3_000);
        assert_eq!(world.owed(1).len(), 15);

        let (place, what) = if rejects { ("there", "created") } else { ("here", "deleted") };
        let expected: BTreeSet<Row> = names.iter().take(15).map(|name| row(place, "m0", name, what)).collect();
        let command = |dry_run| if rejects { reject(dry_run) } else { approve(None, dry_run) };
        assert_eq!(rows(&asked(&mut world, 1, command(true))), expected);
        world.done(1, command(false));
        world.settle();
        assert_eq!(world.assert_equal().len(), if rejects { 20 } else { 5 });
    }
}

#[test]
fn a_pick_at_first_contact_is_told_for_both_sides() {
    for (pick, place, seed) in [(Pick::Mine, "there", 101), (Pick::Theirs, "here", 102), (Pick::Newest, "here", 103)] {
        let mut world = World::new(seed, 2);
        world.ask();
        world.pair(0, 1);
        assert!(world.user(0).write(&path("dhcp"), b"of the first"));
        world.run_ms(5_000);
        assert!(world.user(1).write(&path("dhcp"), b"of the second"));
        assert!(world.user(1).write(&path("alone"), b"x"));
        world.start_all();
        world.run_ms(5_000);
        assert_eq!(world.owed(0).get("dhcp"), Some(&"first_contact"));
        let waits = asked(&mut world, 0, approve(None, true));
        assert_eq!(rows(&waits), [waiting(row("here", "m1", "dhcp", "changed"))].into());

        let told = asked(&mut world, 0, approve(Some(pick), true));
        assert_eq!(rows(&told), [row(place, "m1", "dhcp", "changed")].into(), "{pick:?}");
        world.done(0, approve(Some(pick), false));
        world.settle();
        let winner = if pick == Pick::Mine { "of the first" } else { "of the second" };
        assert_eq!(world.read(0, "dhcp").as_deref(), Some(winner));
        world.assert_equal();
    }
}

#[test]
fn whoever_observes_is_told_what_differs_and_who_would_win() {
    for (later, place, seed) in [(0, "there", 104), (1, "here", 105)] {
        let mut world = in_sync(seed, &["dhcp", "system"]);
        world.share_settings(0).direction = Direction::Observe;
        world.reload(0);
        for id in [1 - later, later] {
            world.run_ms(5_000);
            world.write(id, "dhcp", &format!("of m{id}"));
        }
        world.done(1, Command::Sync { peer: None, share: None, dry_run: false, wait: false });
        world.run_ms(3_000);
        let told = asked(&mut world, 0, sync(true));
        assert_eq!(rows(&told), [waiting(row(place, "m1", "dhcp", "changed"))].into(), "{told:?}");
    }
}

/// What `diff PATH m1` says on the first machine.
fn diff(world: &mut World, name: &str, number: Option<u64>) -> Reply {
    let peer = PeerName("m1".into());
    world.command(0, Command::DiffPeer { peer, share: None, path: path(name), number, options: false })
}

fn hunk(reply: &Reply) -> String {
    match reply {
        Reply::Done(tree) => field(tree, "diff").split_once("@@\n").map(|(_, rest)| rest.into()).unwrap_or_default(),
        Reply::Failed { message, .. } => panic!("{message}"),
    }
}

#[test]
fn what_a_peer_has_is_asked_for_and_compared_with_what_lies_here() {
    let mut world = in_sync(106, &["dhcp", "gone"]);
    world.write(0, "dhcp", "config dhcp\noption a\n");
    world.write(0, "new", "made\n");
    world.remove(0, "gone");
    let before = everything(&world);

    let same = in_sync(107, &["dhcp"]);
    let mut same = same;
    assert_eq!(hunk(&diff(&mut same, "dhcp", None)), "", "both have the same");
    let changed = diff(&mut world, "dhcp", None);
    assert_eq!(hunk(&changed), " config dhcp\n+option a\n");
    assert!(
        matches!(&changed, Reply::Done(tree) if field(tree, "diff").starts_with("--- m1/main:dhcp\n+++ main:dhcp\n"))
    );
    assert_eq!(hunk(&diff(&mut world, "new", None)), "+made\n");
    assert_eq!(hunk(&diff(&mut world, "gone", None)), "-config gone\n");
    assert_eq!(everything(&world), before, "comparing changed something");
    assert!(world.is_swept(0));

    let large = "x\n".repeat(200 * 1024);
    world.write(0, "dhcp", &large);
    let reply = diff(&mut world, "dhcp", None);
    assert!(
        matches!(&reply, Reply::Done(tree) if field(tree, "diff").contains("too large to be compared")),
        "{reply:?}"
    );
}

#[test]
fn what_cannot_be_compared_says_why() {
    let mut world = in_sync(108, &["dhcp"]);
    let unknown = PeerName("m7".into());
    let reply = world
        .command(0, Command::DiffPeer { peer: unknown, share: None, path: path("dhcp"), number: None, options: false });
    assert!(matches!(reply, Reply::Failed { fault: Fault::NotFound, .. }), "{reply:?}");

    // It was written there since it was last looked at.
    world.write(0, "dhcp", "changed here\n");
    world.write(1, "dhcp", "changed there\n");
    let reply = diff(&mut world, "dhcp", None);
    assert!(matches!(&reply, Reply::Failed { message, .. } if message.contains("it changed")), "{reply:?}");

    world.set_cut(0, 1, true);
    let reply = diff(&mut world, "dhcp", None);
    assert!(matches!(&reply, Reply::Failed { message, .. } if message.contains("does not respond")), "{reply:?}");
    world.run_ms(140_000);
    let reply = diff(&mut world, "dhcp", None);
    assert!(matches!(&reply, Reply::Failed { message, .. } if message.contains("not connected")), "{reply:?}");
}

#[test]
fn what_a_peer_has_is_asked_where_a_change_waits_to_travel() {
    let mut world = in_sync(109, &["dhcp", "old"]);
    // Recorded here, and not there: the share is paused meanwhile.
    world.done(0, Command::Pause { peer: None, share: Some(main()), reason: None, seconds: None });
    world.write(0, "dhcp", "changed");
    world.write(0, "new", "made");
    world.remove(0, "old");
    world.run_ms(70_000);
    let told = asked(&mut world, 0, sync(true));
    let waits = [("dhcp", "changed"), ("new", "created"), ("old", "deleted")];
    assert_eq!(rows(&told), waits.map(|(path, what)| waiting(row("there", "m1", path, what))).into());
    assert!(!list(&told, "unknown").is_empty(), "and what changed there is not known");
}

#[test]
fn a_manual_share_is_told_what_its_sync_lets_go_both_ways() {
    let mut world = in_sync(112, &["dhcp", "system"]);
    world.share_settings(0).mode = Mode::Manual;
    world.reload(0);
    world.run_ms(2_000);
    world.write(0, "dhcp", "changed");
    world.remove(1, "system");
    world.done(1, sync(false));
    world.run_ms(70_000);
    assert_eq!(world.read(1, "dhcp").as_deref(), Some("config dhcp\n"), "it waits");

    let told = asked(&mut world, 0, sync(true));
    assert_eq!(rows(&told), [row("there", "m1", "dhcp", "changed"), row("here", "m1", "system", "deleted")].into());
    assert_eq!(hunk(&diff(&mut world, "dhcp", None)), "-config dhcp\n+changed\n\\ No newline at end of file\n");
    world.done(0, sync(false));
    world.settle();
    assert_eq!(world.assert_equal().len(), 1);
}

/// What a preview says of the options of a path, at this place.
fn options(reply: &Tree, place: &str, name: &str) -> Option<Vec<String>> {
    let row = list(reply, "preview").iter().find(|row| field(row, "where") == place && field(row, "path") == name)?;
    assert_eq!(row.get("options_unknown"), None, "{row:?}");
    let text = |one: &Tree| match one {
        Tree::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    row.get("options").map(|_| list(row, "options").iter().map(text).collect())
}

/// As [`in_sync`], in a share of UCI packages.
fn packages(seed: u64) -> World {
    let mut world = in_sync(seed, &[]);
    for id in [0, 1] {
        world.share_settings(id).reload = Some(Reload::Uci);
        world.reload(id);
    }
    for (name, text) in [
        ("dhcp", "config dnsmasq\n\toption domain 'lan'\n\tlist server '1.1.1.1'\n\nconfig host\n\toption name 'a'\n"),
        ("network", "config interface 'lan'\n\toption mtu '1400'\n"),
        ("system", "config system\n\toption hostname 'r1'\n"),
    ] {
        world.write(0, name, text);
    }
    world.run_ms(70_000);
    world.settle();
    world
}

#[test]
fn the_options_that_would_change_are_named_wherever_their_contents_are() {
    let mut world = packages(113);
    // Neither node has the content of the other side: it is requested, and not kept.
    world.write(
        0,
        "dhcp",
        "config host\n\toption name 'a'\n\nconfig dnsmasq\n\toption domain 'home'\n\tlist server '1.1.1.1'\n\tlist server '9.9.9.9'\n",
    );
    world.write(0, "system", "# a comment\nconfig system\n\toption hostname r1\n");
    world.share_settings(0).mode = Mode::Manual;
    world.reload(0);
    world.run_ms(2_000);
    world.write(1, "network", "config interface 'lan'\n\toption mtu '1300'\n");
    world.done(1, sync(false));
    world.run_ms(70_000);

    let told = asked(&mut world, 0, sync(true));
    let dhcp = ["dhcp.@dnsmasq[0].domain: 'lan' -> 'home'", "dhcp.@dnsmasq[0].server: added item '9.9.9.9'"];
    let moved = options(&told, "there", "dhcp").unwrap();
    assert!(dhcp.iter().all(|line| moved.iter().any(|known| known == line)), "{moved:?}");
    assert!(moved.len() == 3 && moved.iter().any(|line| line.ends_with(": moved")), "{moved:?}");
    assert_eq!(options(&told, "here", "network").unwrap(), ["network.lan.mtu: '1400' -> '1300'"]);
    assert_eq!(options(&told, "there", "system").unwrap(), [""; 0], "a comment and quotes are no difference");
    assert!(world.is_swept(0));

    world.done(0, sync(false));
    world.settle();
    world.assert_equal();
}

#[test]
fn options_of_what_a_peer_does_not_send_are_not_guessed() {
    let mut world = packages(114);
    world.write(0, "dhcp", "config dnsmasq\n\toption domain 'home'\n");
    // The peer's file is not what it said any more; being asked for it, the peer reads it again.
    world.write(1, "dhcp", "config dnsmasq\n\toption domain 'other'\n");
    let told = world.done(0, sync(true));
    let row = list(&told, "preview").iter().find(|row| field(row, "path") == "dhcp").unwrap();
    assert_eq!(row.get("options"), None);
    assert!(field(row, "options_unknown").contains("not received"), "{row:?}");
}

/// What `diff` says of the options, each as a text.
fn option_texts(reply: Reply) -> Vec<String> {
    match reply {
        Reply::Done(tree) => list(&tree, "options").iter().map(|one| field(one, "text")).collect(),
        Reply::Failed { message, .. } => panic!("{message}"),
    }
}

#[test]
fn a_package_is_compared_by_option_with_a_peer_and_with_a_previous_version() {
    let mut world = packages(115);
    world.write(0, "network", "config interface 'lan'\n\toption mtu '1300'\n\toption proto 'static'\n");
    let with_peer = |world: &mut World, name: &str| {
        let peer = PeerName("m1".into());
        world.command(0, Command::DiffPeer { peer, share: None, path: path(name), number: None, options: true })
    };
    let expected = ["network.lan.mtu: '1400' -> '1300'", "network.lan.proto: added 'static'"];
    assert_eq!(option_texts(with_peer(&mut world, "network")), expected);
    assert_eq!(option_texts(with_peer(&mut world, "system")), [""; 0]);

    world.write(0, "system", "\nconfig system # other text\n\toption hostname r1\n");
    match with_peer(&mut world, "system") {
        Reply::Done(tree) => {
            assert_eq!((list(&tree, "options").len(), tree.get("same_text")), (0, Some(&Tree::Bool(false))));
        }
        other => panic!("{other:?}"),
    }
    world.done(0, sync(false));
    world.settle();
    let newest = Former::Newest { share: None, path: path("network") };
    let reply = world.command(1, Command::Diff { version: newest, with: None, options: true });
    assert_eq!(option_texts(reply), expected);

    world.write(0, "network", "config interface 'lan'\n\toption\n");
    let reply = with_peer(&mut world, "network");
    assert!(matches!(&reply, Reply::Failed { message, .. } if message.contains("no UCI package: ")), "{reply:?}");
    world.share_settings(0).reload = Some(Reload::Nobody);
    world.reload(0);
    world.run_ms(10_000);
    let reply = with_peer(&mut world, "system");
    assert!(matches!(&reply, Reply::Failed { fault: Fault::Argument, .. }), "{reply:?}");
}

#[test]
fn single_options_are_restored_from_a_previous_version_and_the_rest_stays() {
    let mut world = packages(116);
    let dhcp = |domain: &str, ip: &str| {
        format!(
            "\nconfig dnsmasq\n\toption domain '{domain}'\n\nconfig host\n\toption name 'a'\n\toption ip '{ip}'\n\n"
        )
    };
    for (domain, ip) in [("lan", "1"), ("home", "2"), ("home", "3")] {
        world.write(0, "dhcp", &dhcp(domain, ip));
        world.done(0, sync(false));
        world.settle();
    }
    let log = world.done(1, Command::Log { share: None, path: Some(path("dhcp")), why: None, node: None, limit: 10 });
    let versions: Vec<u64> = list(&log, "versions")
        .iter()
        .filter_map(|one| match one.get("number") {
            Some(Tree::Int(number)) => u64::try_from(*number).ok(),
            _ => None,
        })
        .collect();
    let holds = |world: &World, number: u64, text: &str| {
        let item = world.node(1).history().items().find(|item| item.number == number).cloned();
        item.is_some_and(|item| item.digest == Digest::of(text.as_bytes()))
    };
    let first = versions.iter().copied().find(|number| holds(&world, *number, &dhcp("lan", "1"))).unwrap();
    let restore = |world: &mut World, options: &[&str]| {
        let options = options.iter().map(|option| option.to_string()).collect();
        world.command(1, Command::Restore { version: Former::Number(first), options })
    };
    let refused = restore(&mut world, &["@dnsmasq[0].domain", "lan.limit"]);
    assert!(matches!(&refused, Reply::Failed { fault: Fault::Argument, .. }), "{refused:?}");
    assert_eq!(world.read(1, "dhcp"), Some(dhcp("home", "3")), "nothing of it was done");

    assert!(matches!(restore(&mut world, &["@dnsmasq[0].domain"]), Reply::Done(_)));
    world.settle();
    assert_eq!(world.read(0, "dhcp"), Some(dhcp("lan", "3")));
    assert!(world.history_holds(1, &dhcp("home", "3")), "what it replaced can be restored");
    let again = restore(&mut world, &["dhcp.@dnsmasq[0].domain"]);
    assert!(
        matches!(&again, Reply::Failed { message, .. } if message.contains("has these values already")),
        "{again:?}"
    );

    assert!(matches!(restore(&mut world, &["@host[name=a].ip"]), Reply::Done(_)));
    world.settle();
    assert_eq!(world.read(0, "dhcp"), Some(dhcp("lan", "1")));
    world.assert_equal();
}
