//! Tests scans: nothing is missed, nothing unchanged is read, and what cannot be read is not missing.

use std::collections::BTreeSet;

use owsync::fs::Root;
use owsync::fs::scan::Scanned;
use owsync::model::settings::Symlinks;
use owsync::model::{Digest, Entry, Kind, Now, Reason, Record, RelPath, Sleep, limits};

use crate::ground::Ground;
use crate::looker::Looker;
use crate::machine::{Look, Machine, Simulated};
use crate::meddled::{Before, Meddled};
use crate::{alone, p, skip};

claims!(
    everything_is_found_once_and_what_did_not_change_is_not_read,
    an_edit_of_the_same_size_within_one_tick_is_seen_f23,
    what_was_as_young_as_the_look_is_read_once_more,
    what_was_written_while_it_was_read_is_looked_at_again,
    more_names_than_one_piece_are_all_found_and_none_is_gone,
    what_was_removed_is_gone_with_everything_below,
    a_fifo_is_skipped_without_being_opened_f36,
    a_directory_that_became_a_symlink_was_not_deleted,
    a_file_that_grew_too_large_sleeps,
    symlinks_travel_only_where_they_stay_inside,
    a_file_became_a_directory_and_the_reverse,
);

mod on_disk {
    use super::*;

    real_claims!(
        unchanged_files_cost_no_bytes,
        what_may_not_be_read_sleeps_and_wakes_f9,
        what_is_mounted_over_sleeps_and_wakes,
        a_reboot_changes_nothing,
    );
}

fn found(scanned: &Scanned) -> Vec<RelPath> {
    scanned.found.keys().cloned().collect()
}

/// Nothing to report at all.
#[track_caller]
fn assert_quiet(scanned: &Scanned) {
    assert_eq!((found(scanned), scanned.asleep.len()), (vec![], 0));
    assert_eq!((&scanned.gone, &scanned.dropped, &scanned.restless), (&vec![], &vec![], &vec![]));
}

/// A share that grows without end does not take this machine's memory, nor its peers'.
#[test]
fn a_share_takes_in_as_many_paths_as_its_limit_and_says_what_it_leaves_out() {
    let m = Simulated::new();
    m.write(&p("one"), b"1");
    m.write(&p("other"), b"2");
    let root = m.open();
    let mut looker = Looker::new();
    for n in 1..limits::INDEX_MAX {
        looker.index.insert(p(&format!("known/{n}")), Record::new(Entry::nothing(), None));
    }

    let scanned = looker.look_near(&m, &root, &[("one", false), ("other", false)]);

    assert_eq!((scanned.found.len(), scanned.skipped.len()), (1, 1));
    let reasons: Vec<String> = scanned.skipped.iter().map(|(_, reason)| reason.to_string()).collect();
    assert_eq!(reasons, ["this share has more than 200000 paths"]);
}

fn everything_is_found_once_and_what_did_not_change_is_not_read<M: Machine>(m: &M) {
    let longest = "n".repeat(255);
    for path in ["a", "dir/b", "dir/sub/c", ".hidden", "a..b", longest.as_str()] {
        m.write(&p(path), path.as_bytes());
    }
    m.write(&RelPath::parse(b"\xff\xfe").unwrap(), b"not UTF-8");
    m.make_dir(&p("empty"));
    let root = m.open();
    let meddled = Meddled::new(&root);
    let mut looker = Looker::new();
    let scanned = looker.look(m, &meddled);
    assert_eq!(found(&scanned), m.paths());
    assert_eq!(scanned.found[&p("dir/b")].digest, Digest::of(b"dir/b"));
    assert_eq!(scanned.found[&p("empty")].stat.kind, Kind::Dir);
    assert_eq!((scanned.full, scanned.skipped.len()), (true, 0));
    assert_eq!(meddled.opened.borrow_mut().drain(..).count(), 7);
    // When nothing changed,
    assert_quiet(&looker.look(m, &meddled));
    assert_eq!(*meddled.opened.borrow(), []);
    // when one did, by content, by mode, by another of the same content and time,
    m.tick();
    m.write_in_place(&p("a"), b"b");
    m.chmod(&p("dir/b"), 0o600);
    assert_eq!(found(&looker.look(m, &meddled)), [p("a"), p("dir/b")]);
    assert_eq!(*meddled.opened.borrow(), [p("a"), p("dir/b")]);
    // and when a directory's names did, which is no change of the directory.
    m.write(&p("dir/new"), b"new");
    assert_eq!(found(&looker.look(m, &meddled)), [p("dir/new")]);
}

fn an_edit_of_the_same_size_within_one_tick_is_seen_f23<M: Machine>(m: &M) {
    m.write(&p("file"), b"0");
    let root = m.open();
    let mut looker = Looker::new();
    looker.look_at(&root, None, m.now());
    for round in 1..=50 {
        let content = format!("{}", round % 10);
        m.write_in_place(&p("file"), content.as_bytes());
        let scanned = looker.look_at(&root, None, m.now());
        assert_eq!(scanned.found[&p("file")].digest, Digest::of(content.as_bytes()), "round {round}");
    }
}

fn what_was_as_young_as_the_look_is_read_once_more<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    let root = m.open();
    let meddled = Meddled::new(&root);
    let mut looker = Looker::new();
    // However long this machine takes for it:
    let now = Now { wall: root.stat_of(&p("file")).mtime(), ..m.now() };
    assert!(looker.look_at(&meddled, None, now).found[&p("file")].young);
    // Scanned in the same moment it may have changed since; an hour later it is read for the last time.
    assert!(looker.look_at(&meddled, None, now).found[&p("file")].young);
    assert!(!looker.look(m, &meddled).found[&p("file")].young);
    assert_eq!(meddled.opened.borrow_mut().drain(..).count(), 3);
    assert_quiet(&looker.look(m, &meddled));
    assert_eq!(*meddled.opened.borrow(), []);
}

fn what_was_written_while_it_was_read_is_looked_at_again<M: Machine>(m: &M) {
    m.write(&p("file"), b"before");
    m.write(&p("shrinks"), b"before");
    let root = m.open();
    let mut looker = Looker::new();
    let meddled = Meddled::new(&root).before(Before::Read, 0, || {
        m.tick();
        m.write_in_place(&p("file"), b"after!");
        m.write_in_place(&p("shrinks"), b"af");
    });
    let scanned = looker.look(m, &meddled);
    // Which of the two was being read is the disk's choice; the other one is found as it is now.
    assert_eq!((scanned.restless.len(), scanned.found.len(), scanned.gone.len()), (1, 1, 0));
    let all = looker.look(m, &root);
    assert_eq!(found(&all), scanned.restless);
    let digest = |path: &str| looker.index.get(&p(path)).unwrap().entry.digest;
    assert_eq!((digest("file"), digest("shrinks")), (Digest::of(b"after!"), Digest::of(b"af")));
}

fn more_names_than_one_piece_are_all_found_and_none_is_gone<M: Machine>(m: &M) {
    let all: BTreeSet<RelPath> = (0..limits::STEP_NAMES * 2 + 1).map(|n| p(&format!("d/{n}"))).collect();
    for path in &all {
        m.write(path, b"");
    }
    let root = m.open();
    let mut looker = Looker::new();
    assert_eq!(looker.look(m, &root).found.len(), all.len() + 1);
    assert_quiet(&looker.look(m, &root));
    assert_quiet(&looker.look_near(m, &root, &[("d", true)]));
    m.remove(&p("d/1024"));
    assert_eq!(looker.look(m, &root).gone, [p("d/1024")]);
}

fn what_was_removed_is_gone_with_everything_below<M: Machine>(m: &M) {
    for path in ["a", "dir/b", "dir/sub/c", "other/d"] {
        m.write(&p(path), b"x");
    }
    let root = m.open();
    let mut looker = Looker::new();
    looker.look(m, &root);
    m.remove(&p("dir"));
    m.remove(&p("a"));
    m.remove(&p("other/d"));
    // A hint tells only of what it names, and of what is below it if it is deep,
    let scanned = looker.look_near(m, &root, &[("other", false)]);
    assert_eq!(scanned.gone, []);
    let scanned = looker.look_near(m, &root, &[("dir", true)]);
    assert_eq!(scanned.gone, [p("dir"), p("dir/b"), p("dir/sub"), p("dir/sub/c")]);
    assert_eq!((scanned.counts.gone, scanned.full), (2, false));
    // and the whole share of everything.
    assert_eq!(looker.look(m, &root).gone, [p("a"), p("other/d")]);
}

fn a_fifo_is_skipped_without_being_opened_f36<M: Machine>(m: &M) {
    m.make_fifo(&p("fifo"));
    m.write(&p("becomes"), b"x");
    m.write(&p("dir/file"), b"x");
    let root = m.open();
    let meddled = Meddled::new(&root);
    let mut looker = Looker::new();
    let scanned = looker.look(m, &meddled);
    assert_eq!(scanned.skipped, [(p("fifo"), Reason::Special("fifo"))]);
    meddled.opened.borrow_mut().clear();
    // What becomes one was not deleted,
    for path in ["becomes", "dir"] {
        m.remove(&p(path));
        m.make_fifo(&p(path));
    }
    let scanned = looker.look(m, &meddled);
    assert_eq!(scanned.gone, []);
    assert_eq!(looker.sleepers(), ["becomes", "dir", "dir/file"].map(|path| (p(path), Sleep::Skipped)));
    // and is opened by no kind of look.
    looker.look_near(m, &meddled, &[("fifo", true), ("becomes", true), ("dir/file", true)]);
    assert_eq!(*meddled.opened.borrow(), []);
}

fn a_directory_that_became_a_symlink_was_not_deleted<M: Machine>(m: &M) {
    m.write(&p("dir/file"), b"x");
    m.write(&p("dir/sub/file"), b"x");
    let root = m.open();
    let looker = || {
        let mut looker = Looker::new();
        looker.symlinks = Symlinks::Ignore;
        looker
    };
    let (mut full, mut near) = (looker(), looker());
    full.look(m, &root);
    near.look(m, &root);
    // Its files went to a larger disk, and a link to there took its place.
    m.remove(&p("dir"));
    m.make_link(&p("dir"), b"/mnt/large/dir");
    root.place().unwrap();
    let scanned = full.look(m, &root);
    assert_eq!((scanned.gone.len(), scanned.counts.gone), (0, 0));
    assert!(scanned.skipped.contains(&(p("dir"), Reason::SymlinkIgnored)));
    let all = ["dir", "dir/file", "dir/sub", "dir/sub/file"].map(|path| (p(path), Sleep::Skipped));
    assert_eq!(full.sleepers(), all);
    // The same when only something below it was hinted at, before the link was reported: the link is checked, too.
    let scanned = near.look_near(m, &root, &[("dir/file", false), ("dir/sub", true)]);
    assert_eq!((scanned.gone.len(), scanned.counts.gone), (0, 0));
    assert_eq!(near.sleepers(), all);
}

fn a_file_that_grew_too_large_sleeps<M: Machine>(m: &M) {
    m.write(&p("file"), b"1234");
    let root = m.open();
    let mut looker = Looker::new();
    looker.max_file_size = 4;
    assert_eq!(found(&looker.look(m, &root)), [p("file")]);
    m.tick();
    m.write(&p("file"), b"12345");
    let scanned = looker.look(m, &root);
    assert_eq!(scanned.skipped, [(p("file"), Reason::TooLarge { size: 5, max: 4 })]);
    assert_eq!((looker.sleepers(), scanned.gone), (vec![(p("file"), Sleep::TooLarge)], vec![]));
    m.tick();
    m.write(&p("file"), b"123");
    assert_eq!(found(&looker.look(m, &root)), [p("file")]);
}

fn symlinks_travel_only_where_they_stay_inside<M: Machine>(m: &M) {
    m.write(&p("dir/file"), b"x");
    for (path, text) in [("dir/in", "../dir/file"), ("dir/dangling", "none"), ("out", "../x"), ("etc", "/etc/passwd")] {
        m.make_link(&p(path), text.as_bytes());
    }
    let root = m.open();
    let mut looker = Looker::new();
    let scanned = looker.look(m, &root);
    assert_eq!(found(&scanned), [p("dir"), p("dir/dangling"), p("dir/file"), p("dir/in")]);
    assert_eq!(scanned.found[&p("dir/in")].digest, Digest::of(b"../dir/file"));
    let skipped: BTreeSet<_> = scanned.skipped.into_iter().map(|(path, reason)| (path, reason.to_string())).collect();
    let outside = Reason::SymlinkOutside.to_string();
    assert_eq!(skipped, [(p("etc"), outside.clone()), (p("out"), outside)].into());
    m.remove(&p("dir/in"));
    m.make_link(&p("dir/in"), b"../dir/else");
    assert_eq!(found(&looker.look(m, &root)), [p("dir/in")]);
}

fn a_file_became_a_directory_and_the_reverse<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    m.write(&p("dir/inner"), b"x");
    let root = m.open();
    let mut looker = Looker::new();
    looker.look(m, &root);
    m.remove(&p("file"));
    m.write(&p("file/inner"), b"y");
    m.remove(&p("dir"));
    m.write(&p("dir"), b"y");
    let scanned = looker.look(m, &root);
    assert_eq!(found(&scanned), [p("dir"), p("file"), p("file/inner")]);
    assert_eq!(scanned.gone, [p("dir/inner")]);
    assert_eq!(scanned.found[&p("file")].stat.kind, Kind::Dir);
    assert_quiet(&looker.look(m, &root));
}

#[test]
fn what_the_simulation_may_not_read_sleeps_and_wakes_f9() {
    let m = Simulated::new();
    m.write(&p("file"), b"x");
    let root = m.open();
    let mut looker = Looker::new();
    looker.look(&m, &root);
    m.tick();
    m.chmod(&p("file"), 0);
    let scanned = looker.look(&m, &root);
    assert_eq!((scanned.gone.len(), looker.sleepers()), (0, vec![(p("file"), Sleep::Unreadable)]));
    m.chmod(&p("file"), 0o644);
    assert_eq!(found(&looker.look(&m, &root)), [p("file")]);
}

fn what_may_not_be_read_sleeps_and_wakes_f9(ground: &Ground) {
    if !alone::in_a_process() {
        return;
    }
    for path in ["file", "closed/file", "listed/file", "open/file"] {
        ground.write(&p(path), b"x");
    }
    let root = ground.open();
    let mut looker = Looker::new();
    looker.look(ground, &root);
    let close = |file, closed, listed| {
        ground.chmod(&p("file"), file);
        ground.chmod(&p("closed"), closed);
        ground.chmod(&p("listed"), listed);
    };
    close(0, 0, 0o444);
    root.place().unwrap();
    if !alone::become_nobody() {
        return;
    }
    // By everything, and by hints at what cannot be reached:
    for near in [&[][..], &[("closed/file", false), ("file", false), ("listed/file", true), ("closed", true)]] {
        let scanned = if near.is_empty() { looker.look(ground, &root) } else { looker.look_near(ground, &root, near) };
        assert_eq!((scanned.gone.len(), scanned.dropped.len(), scanned.counts.gone), (0, 0, 0), "{near:?}");
        assert!(
            scanned.skipped.iter().any(|(path, reason)| {
                *path == p("file") && *reason == Reason::Unreadable("permission denied".into())
            })
        );
        let sleepers = looker.sleepers();
        for path in ["file", "closed/file", "listed/file"] {
            assert!(sleepers.contains(&(p(path), Sleep::Unreadable)), "{path}: {sleepers:?}");
        }
        assert!(looker.index.get(&p("open/file")).unwrap().sleep.is_none());
    }
    // Given back, nothing was lost on the way.
    alone::become_oneself();
    close(0o644, 0o755, 0o755);
    looker.look(ground, &root);
    assert_eq!((looker.sleepers(), looker.index.len()), (vec![], 7));
}

fn what_is_mounted_over_sleeps_and_wakes(ground: &Ground) {
    if !alone::with_mounts() || !ground.has_openat2() {
        return;
    }
    ground.write(&p("dir/file"), b"x");
    ground.write(&p("dir/sub/file"), b"x");
    ground.write(&p("file"), b"x");
    let root = ground.open();
    let mut looker = Looker::new();
    looker.look(ground, &root);
    let outside = ground.base().join("outside");
    std::fs::write(&outside, "another file").unwrap();
    ground.mount("tmpfs", "tmpfs", "", &ground.at(&p("dir")));
    std::fs::write(ground.at(&p("dir/theirs")), "x").unwrap();
    ground.mount("bind", outside.to_str().unwrap(), "", &ground.at(&p("file")));
    root.place().unwrap();
    for near in [&[][..], &[("dir/file", false), ("dir/sub", true), ("dir", true), ("file", false)]] {
        let scanned = if near.is_empty() { looker.look(ground, &root) } else { looker.look_near(ground, &root, near) };
        assert_eq!((found(&scanned), scanned.gone.len(), scanned.dropped.len()), (vec![], 0, 0), "{near:?}");
        assert!(scanned.skipped.contains(&(p("dir"), Reason::OtherFilesystem)), "{:?}", scanned.skipped);
        assert!(scanned.skipped.contains(&(p("file"), Reason::OtherFilesystem)), "{:?}", scanned.skipped);
    }
    // The directory itself is there all the time.
    let asleep = ["dir/file", "dir/sub", "dir/sub/file", "file"].map(|path| (p(path), Sleep::Skipped));
    assert_eq!(looker.sleepers(), asleep);
    ground.unmount();
    ground.unmount();
    root.place().unwrap();
    let scanned = looker.look(ground, &root);
    assert_eq!((found(&scanned).len(), looker.sleepers()), (4, vec![]));
}

fn unchanged_files_cost_no_bytes(ground: &Ground) {
    /// Bytes that this thread has read from files of any kind.
    fn bytes_read() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/thread-self/io").ok()?;
        text.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
    }
    const FILES: u64 = 40;
    const SIZE: u64 = 64 * 1024;
    for n in 0..FILES {
        ground.write(&p(&format!("d/{n}")), &vec![n as u8; SIZE as usize]);
    }
    let root = ground.open();
    let mut looker = Looker::new();
    let Some(before) = bytes_read() else { return skip::not_run("the kernel does not count what a thread reads") };
    looker.look(ground, &root);
    let first = bytes_read().unwrap() - before;
    assert!(first >= FILES * SIZE, "{first} bytes read");
    looker.look(ground, &root);
    let again = bytes_read().unwrap() - before - first;
    // Counting reads a little, too.
    assert!(again < 1024, "{again} bytes read of files that did not change");
}

fn a_reboot_changes_nothing(ground: &Ground) {
    ground.write(&p("dir/brought"), b"by the image");
    ground.write(&p("edited"), b"by the image");
    let root = ground.open();
    ground.write_in_place(&p("edited"), b"by the user");
    ground.write(&p("dir/made"), b"by the user");
    let mut looker = Looker::new();
    assert_eq!(looker.look(ground, &root).found.len(), 4);
    let place = root.place().unwrap();
    drop(root);
    ground.remount();
    let root = ground.open();
    let meddled = Meddled::new(&root);
    // It is the same place,
    assert_eq!(root.place().unwrap().filesystem, place.filesystem);
    let scanned = looker.look(ground, &meddled);
    assert_eq!((scanned.gone.len(), scanned.counts.gone, scanned.counts.changed), (0, 0, 0));
    // with the same files in it. overlayfs may have forgotten the inode number of one that was taken up from the lower
    // layer, so that it is read once more; no other is.
    let opened = meddled.opened.borrow().clone();
    assert!(opened.is_empty() || (ground.is_overlay() && opened == [p("edited")]), "{opened:?}");
    assert_quiet(&looker.look(ground, &root));
}
