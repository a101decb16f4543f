//! Which hook hears of what, when, and in which form.

use super::*;
use crate::model::settings::ShareSettings;

fn name(text: &str) -> ShareName {
    ShareName::parse(text).unwrap()
}

/// A node with a hook, and shares `main` without one and `vpn` with one.
fn settings() -> Settings {
    let mut settings = Settings::new("r1");
    settings.hook.program = Some("/h/node".into());
    settings.shares = vec![
        ShareSettings::new(name("main"), "/etc/config".into()),
        ShareSettings::new(name("vpn"), "/etc/openvpn".into()),
    ];
    settings.shares[1].hook = Hook { program: Some("/h/vpn".into()), time: std::time::Duration::from_secs(5) };
    settings
}

fn event(name: &'static str, details: Tree) -> Event {
    Event { name, at: WallTime(7_000), text: "it happened".into(), details }
}

fn conflict(share: &str, path: &str) -> Call {
    let details = Tree::map().with("share", share).with("path", path).with("peer", "r2");
    Call::of(&event("owsync.conflict", details)).unwrap()
}

/// The hooks that would be started now, with what they hear of, and their ends.
fn start(hooks: &mut Hooks, settings: &Settings, ids: &mut std::ops::RangeFrom<JobId>) -> Vec<(JobId, String)> {
    let mut started = Vec::new();
    while let Some((whose, job, _)) = hooks.next(settings) {
        let path =
            job.env.iter().find(|(key, _)| key == "OWSYNC_PATH").map(|(_, path)| path.to_string_lossy().into_owned());
        let id = ids.next().unwrap();
        started.push((id, format!("{whose}: {}", path.unwrap())));
        hooks.note_started(id, whose);
    }
    started
}

#[test]
fn hooks_get_the_events_that_the_documentation_names() {
    let up = |up: bool| Tree::map().with("peer", "r2").with("up", up);
    let knocks = up(false).with("waiting", true);
    for (event, hook) in [
        (event("owsync.synced", Tree::map().with("cause", "offered")), Some("after-apply")),
        (event("owsync.synced", Tree::map().with("run", 1u64)), None),
        (event("owsync.conflict", Tree::map()), Some("conflict")),
        (event("owsync.hold", Tree::map()), Some("hold")),
        (event("owsync.rollback", Tree::map()), Some("rollback")),
        (event("owsync.peer", up(true)), Some("peer-up")),
        (event("owsync.peer", up(false)), Some("peer-down")),
        (event("owsync.peer", knocks), None),
    ] {
        assert_eq!(Call::of(&event).map(|call| call.event), hook, "{event:?}");
        let page = include_str!("../../../docs/hooks.md");
        assert!(hook.is_none_or(|hook| page.contains(&format!("| `{hook}` |"))), "docs/hooks.md lacks {hook:?}");
    }
}

#[test]
fn a_hook_has_the_event_as_argument_in_variables_and_as_json() {
    let settings = settings();
    let job = conflict("vpn", "a b").job(&settings, &Whose::Share(name("vpn"))).unwrap();

    assert_eq!((job.what.as_str(), job.time.as_secs()), ("hook of share vpn on conflict", 5));
    assert_eq!(job.command, ["/h/vpn", "conflict"]);
    let said: Vec<String> = job.env.iter().map(|(key, value)| format!("{key}={}", value.to_string_lossy())).collect();
    assert_eq!(
        said,
        [
            "OWSYNC_EVENT=conflict",
            "OWSYNC_NODE=r1",
            "OWSYNC_TIME=7",
            "OWSYNC_TEXT=it happened",
            "OWSYNC_SHARE=vpn",
            "OWSYNC_PEER=r2",
            "OWSYNC_REASON=",
            "OWSYNC_PATH=a b",
            "OWSYNC_PATHS=",
            "OWSYNC_COUNT=0",
            "OWSYNC_DIR=/etc/openvpn",
        ]
    );
    let told: serde_json::Value = serde_json::from_slice(&job.input).unwrap();
    assert_eq!((&told["event"], &told["time"], &told["path"]), (&"conflict".into(), &7.into(), &"a b".into()));
}

#[test]
fn whatever_a_peer_says_a_hook_can_be_called() {
    let long = "\u{e4}".repeat(40_000);
    let paths: Vec<Tree> = (0..32).map(|_| Tree::from("\0\x1b".repeat(4000).as_str())).collect();
    let details = Tree::map().with("share", "vpn").with("path", long).with("reason", "a\0b").with("paths", paths);
    let job = Call::of(&event("owsync.hold", details)).unwrap().job(&settings(), &Whose::Node).unwrap();

    assert!(job.env.iter().all(|(_, value)| value.len() <= VARIABLE && !value.as_encoded_bytes().contains(&0)));
    assert!(job.input.len() <= runner::INPUT);
    let told: serde_json::Value = serde_json::from_slice(&job.input).unwrap();
    assert_eq!((&told["share"], &told["reason"]), (&"vpn".into(), &"a\0b".into()));
}

#[test]
fn the_hook_of_the_share_and_that_of_the_node_each_hear_of_it_in_order() {
    let (settings, mut hooks, mut ids) = (settings(), Hooks::default(), 1..);
    for (share, path) in [("vpn", "1"), ("vpn", "2"), ("main", "3")] {
        assert_eq!(hooks.note(&settings, conflict(share, path)), [] as [String; 0]);
    }
    let first = start(&mut hooks, &settings, &mut ids);
    assert_eq!(first, [(1, "hook of share vpn: 1".into()), (2, "hook: 1".into())]);

    assert!(hooks.note_ended(2));
    assert_eq!(start(&mut hooks, &settings, &mut ids), [(3, "hook: 2".into())]);
    assert!(hooks.note_ended(1) && hooks.note_ended(3) && !hooks.note_ended(3));
    assert_eq!(start(&mut hooks, &settings, &mut ids), [(4, "hook of share vpn: 2".into()), (5, "hook: 3".into())]);
}

#[test]
fn a_flood_is_bounded_told_of_and_takes_nothing_from_other_hooks() {
    let (settings, mut hooks, mut ids) = (settings(), Hooks::default(), 1..);
    hooks.note(&settings, conflict("vpn", "first"));
    start(&mut hooks, &settings, &mut ids);
    hooks.note(&settings, conflict("vpn", "second"));

    let mut lines = Vec::new();
    for n in 0..500 {
        lines.extend(hooks.note(&settings, conflict("main", &n.to_string())));
        assert!(hooks.waiting.len() <= limits::HOOKS_WAITING);
    }

    assert_eq!(lines, ["hook: more than 64 events wait for it to end; older events are dropped"]);
    hooks.note_ended(1);
    hooks.note_ended(2);
    assert_eq!(start(&mut hooks, &settings, &mut ids)[0].1, "hook of share vpn: second", "it was not the one");
    assert_eq!(hooks.waiting.back().map(|(_, call)| text(&call.details, "path")), Some(Some("499")), "the newest");
    let missed = {
        hooks.note_ended(4);
        hooks.missed.get(&Whose::Node).copied()
    };
    assert_eq!(missed, None, "it was said when it was called again");
}

#[test]
fn only_some_run_at_a_time_and_one_that_is_configured_no_more_is_not_run() {
    let (mut settings, mut hooks, mut ids) = (settings(), Hooks::default(), 1..);
    for n in 0..9 {
        let mut share = ShareSettings::new(name(&format!("s{n}")), format!("/s{n}").into());
        share.hook.program = Some("/h".into());
        settings.shares.push(share);
        hooks.note(&settings, conflict(&format!("s{n}"), "x"));
    }
    assert_eq!(start(&mut hooks, &settings, &mut ids).len(), limits::HOOKS_AT_ONCE);

    settings.shares.iter_mut().for_each(|share| share.hook.program = None);
    settings.hook.program = None;
    assert!((1..5).all(|id| hooks.note_ended(id)));
    assert_eq!(start(&mut hooks, &settings, &mut ids), []);
    assert!(hooks.waiting.is_empty());
}
