//! What nodes count, as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use owsync::model::RelPath;
use owsync::node::api::{Command, Tree};

use super::world::{World, path};

/// The samples of one node, by name and labels as they stand in the text.
///
/// # Panics
/// It is no text that Prometheus takes.
fn samples(world: &mut World, id: usize) -> BTreeMap<String, f64> {
    let Some(Tree::Text(text)) = world.done(id, Command::Metrics).get("text").cloned() else { panic!("no text") };
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let (mut samples, mut families, mut helped) = (BTreeMap::new(), BTreeSet::new(), "");
    let mut family = ("", "");
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').expect("a name and a sentence").0;
            assert!(families.insert(helped), "{helped} stands there twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            family = kind.split_once(' ').unwrap();
            assert_eq!(family.0, helped);
            assert_eq!(family.1 == "counter", family.0.ends_with("_total"), "{line}");
            assert!(["counter", "gauge", "summary"].contains(&family.1), "{line}");
        } else {
            let (key, value) = line.rsplit_once(' ').unwrap();
            let name = key.split('{').next().unwrap();
            let of_summary = name.strip_suffix("_sum").or(name.strip_suffix("_count"));
            let named = if family.1 == "summary" { of_summary.unwrap() } else { name };
            assert!(is_name(name) && named == family.0, "{line}");
            if let Some(labels) = key.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                assert!(labels.starts_with('{') && labels.ends_with("\"}"), "{line}");
            }
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(samples.insert(key.to_string(), value).is_none(), "{line} stands there twice");
        }
    }
    samples
}

#[test]
fn peers_that_come_and_go_are_counted_and_when_they_last_held_the_same() {
    let mut world = World::new(300, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    let now = world.wall(0).as_secs() as f64;
    let there = samples(&mut world, 0);
    assert_eq!((there["owsync_in_sync"], there["owsync_peer_up{peer=\"m1\"}"]), (1.0, 1.0));
    let last = "owsync_peer_last_success_timestamp_seconds{peer=\"m1\"}";
    assert!(now - there[last] < 70.0, "a session is never silent for longer");
    assert!(there.keys().any(|key| key.starts_with("owsync_build_info{version=\"2.") && key.ends_with("name=\"m0\"}")));

    world.stop(1);
    world.run(Duration::from_secs(600));
    let gone = samples(&mut world, 0);
    assert_eq!((gone["owsync_in_sync"], gone["owsync_peer_up{peer=\"m1\"}"]), (0.0, 0.0));
    assert_eq!(gone["owsync_peer_in_sync{peer=\"m1\"}"], 0.0);
    assert!(gone[last] >= there[last] && gone[last] < now + 70.0, "{} {now}", gone[last]);

    world.stop(0);
    world.start(0);
    assert!(!samples(&mut world, 0).contains_key(last), "nothing is known of it any more, and nothing is invented");
}

#[test]
fn what_travels_lands_and_is_written_is_counted_on_both_sides() {
    let mut world = World::new(301, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    let [before_0, before] = [0, 1].map(|id| samples(&mut world, id));
    world.write(0, "f", &"x".repeat(1000));
    world.write(0, "g", "y");
    world.settle();
    let after = samples(&mut world, 1);
    let more = |name: &str| after[name] - before[name];

    assert_eq!(
        (after["owsync_share_files{share=\"main\"}"], after["owsync_share_size_bytes{share=\"main\"}"]),
        (2.0, 1001.0)
    );
    assert_eq!((more("owsync_applied_paths_total"), more("owsync_content_received_bytes_total")), (2.0, 1001.0));
    assert!(more("owsync_flash_written_bytes_total") > 1001.0, "content, and what is known of it");
    assert!(more("owsync_session_received_bytes_total") > 1001.0);
    let applied = more("owsync_apply_duration_seconds_count");
    assert!((1.0..=2.0).contains(&applied), "{applied}");
    assert!(more("owsync_apply_duration_seconds_sum") < 5.0);

    let sent = samples(&mut world, 0);
    for (name, least) in [("owsync_content_sent_bytes_total", 1001.0), ("owsync_session_sent_bytes_total", 1001.0)] {
        assert!(sent[name] - before_0[name] >= least, "{name}");
    }
    assert_eq!(sent["owsync_edited_paths_total"] - before_0["owsync_edited_paths_total"], 2.0);

    world.write(0, "g", "z");
    world.settle();
    assert!(samples(&mut world, 1)["owsync_history_size_bytes"] > after["owsync_history_size_bytes"]);
    world.run(Duration::from_secs(3600));
    let quiet = samples(&mut world, 1);
    world.run(Duration::from_secs(3600));
    let quieter = samples(&mut world, 1);
    let written = "owsync_flash_written_bytes_total";
    assert_eq!(quieter[written], quiet[written], "who has nothing to do writes nothing");
}

#[test]
fn conflicts_holds_and_rollbacks_are_counted_and_what_waits_is_named() {
    let mut world = World::new(302, 2);
    world.pair(0, 1);
    world.start_all();
    world.settle();
    world.write(0, "f", "first");
    world.settle();
    world.set_cut(0, 1, true);
    world.write(0, "f", "of m0");
    world.write(1, "f", "of m1");
    world.run(Duration::from_secs(5));
    world.set_cut(0, 1, false);
    world.settle();
    assert_eq!([0, 1].map(|id| samples(&mut world, id)["owsync_conflicts_total"]), [1.0, 1.0]);

    world.share_settings(1).confirm = Some(600);
    world.reload(1);
    world.settle();
    world.write(0, "f", "on trial");
    assert!(world.run_until(Duration::from_secs(5), |world| world.read(1, "f").as_deref() == Some("on trial")));
    assert_eq!(samples(&mut world, 1)["owsync_share_unconfirmed{share=\"main\"}"], 1.0);
    world.done(1, Command::Rollback { share: None });
    world.settle();
    let back = samples(&mut world, 1);
    assert_eq!((back["owsync_rollbacks_total"], back["owsync_share_unconfirmed{share=\"main\"}"]), (1.0, 0.0));
    world.share_settings(1).confirm = None;
    world.reload(1);
    world.settle();

    // Nobody knows whether these should go: a person decides, path by path.
    (0..20).for_each(|n| world.write(0, &format!("d{n}"), "x"));
    world.settle();
    let names: Vec<RelPath> = (0..20).map(|n| path(&format!("d{n}"))).collect();
    for name in &names {
        world.user(0).remove(name);
    }
    world.tell(0, Command::Sync { peer: None, share: None, dry_run: false, wait: false });
    world.run(Duration::from_secs(60));
    let held = samples(&mut world, 0);
    assert_eq!((held["owsync_share_held{share=\"main\"}"], held["owsync_holds_total"]), (1.0, 1.0));
    assert_eq!(held["owsync_in_sync"], 0.0);
}

#[test]
fn what_cannot_land_is_counted_as_owed() {
    let mut world = World::new(303, 2);
    world.share_settings(1).min_free = 1 << 40;
    world.pair(0, 1);
    world.start_all();
    world.settle();
    world.write(0, "f", "no room");
    world.run(Duration::from_secs(30));
    let owed = samples(&mut world, 1);
    assert_eq!(owed["owsync_share_pending_paths{share=\"main\"}"], 1.0);
    assert_eq!(owed["owsync_share_held_paths{share=\"main\"}"], 0.0, "no person is needed");
}

#[test]
fn many_that_call_themselves_the_same_are_told_apart() {
    let mut world = World::new(304, 4);
    world.set_all(|settings| settings.name = "OpenWrt".into());
    // The first knows nobody: they come from addresses that it has no section for.
    (1..4).for_each(|id| world.peer(id, 0));
    world.start_all();
    world.settle();
    let up = samples(&mut world, 0).into_iter().filter(|(key, _)| key.starts_with("owsync_peer_up{")).count();
    assert_eq!(up, 3, "and a scrape with two of one name would have been refused");
}
