//! Replacing, on a disk that others write too: what a decision did not see is never replaced, and never lost.

use std::cell::Cell;

use owsync::fs::apply::{self, Refusal, Seen};
use owsync::fs::{Attributes, Rename, Root};
use owsync::model::{DiskStat, Kind, RelPath, limits};

use crate::content::Holder;
use crate::ground::Ground;
use crate::machine::{Look, Machine};
use crate::meddled::{Before, Meddled};
use crate::p;

claims!(
    a_new_file_lands_and_takes_nobodys_place,
    what_was_seen_is_replaced_and_lies_under_the_staging_name,
    a_file_of_another_stat_is_not_replaced,
    what_came_between_the_look_and_the_exchange_stays_f8,
    what_was_written_in_place_between_the_look_and_the_exchange_stays_f8,
    the_latest_of_two_that_came_between_stays_and_the_other_is_not_lost,
    the_latest_of_three_that_came_between_stays,
    a_file_that_is_locked_is_left_alone,
    a_file_that_was_replaced_while_its_lock_was_taken_is_not_replaced,
    a_symlink_is_replaced_itself,
    an_interrupted_exchange_by_a_second_name_is_finished,
);

mod on_disk {
    use super::*;

    real_claims!(a_file_that_uci_holds_locked_is_left_alone, a_large_file_is_told_by_its_stat,);
}

/// What a decision about a path saw.
pub fn seen_now<R: Root>(root: &R, path: &RelPath) -> Seen {
    let stat = root.stat_of(path);
    Seen { stat, digest: apply::digest_of(root, path, stat.kind).unwrap() }
}

/// Content that is ready to land.
pub fn stage<R: Root>(root: &R, bytes: &[u8]) -> RelPath {
    let staged = p(".staged");
    let file = root.create(&staged).unwrap();
    root.write(&file, 0, bytes).unwrap();
    staged
}

fn a_new_file_lands_and_takes_nobodys_place<M: Machine>(m: &M) {
    m.write(&p("theirs"), b"theirs");
    m.make_fifo(&p("fifo"));
    m.make_link(&p("link"), b"theirs");
    m.make_dir(&p("dir"));
    let root = m.open();
    let staged = stage(&root, b"ours");
    for (path, refusal) in [
        ("theirs", Refusal::Changed),
        ("dir", Refusal::Changed),
        ("fifo", Refusal::InTheWay("fifo")),
        ("link", Refusal::InTheWay("symlink")),
    ] {
        assert_eq!(apply::put(&root, &staged, &p(path), None), Err(refusal), "{path}");
    }
    assert_eq!(m.read(&staged).unwrap(), b"ours");
    assert_eq!(m.read(&p("theirs")).unwrap(), b"theirs");
    assert_eq!(m.read(&p("link")).unwrap(), b"-> theirs");
    apply::put(&root, &staged, &p("dir/new"), None).unwrap();
    assert_eq!(m.read(&p("dir/new")).unwrap(), b"ours");
    assert_eq!(m.read(&staged), None);
}

fn what_was_seen_is_replaced_and_lies_under_the_staging_name<M: Machine>(m: &M) {
    m.write(&p("file"), b"old");
    let root = m.open();
    let seen = seen_now(&root, &p("file"));
    let staged = stage(&root, b"new");
    apply::put(&root, &staged, &p("file"), Some(seen)).unwrap();
    assert_eq!(m.read(&p("file")).unwrap(), b"new");
    assert_eq!(m.read(&staged).unwrap(), b"old");
    let old = root.stat_of(&staged);
    // With a second name in between, overlayfs shows another inode number.
    assert!(old.same_file(&DiskStat { inode: old.inode, ..seen.stat }));
    assert!(!m.exchanges() || old.inode == seen.stat.inode);
    assert_eq!(m.paths(), [staged, p("file")]);
}

fn a_file_of_another_stat_is_not_replaced<M: Machine>(m: &M) {
    m.write(&p("file"), b"old");
    m.write(&p("gone"), b"old");
    m.write(&p("became-dir"), b"old");
    m.make_link(&p("link"), b"old");
    let root = m.open();
    let decided: Vec<(RelPath, Seen)> =
        ["file", "gone", "became-dir", "link"].map(|path| (p(path), seen_now(&root, &p(path)))).into();
    let staged = stage(&root, b"new");
    // A change of the mode alone is a change by the user.
    m.tick();
    m.chmod(&p("file"), 0o600);
    m.remove(&p("gone"));
    m.remove(&p("became-dir"));
    m.make_dir(&p("became-dir"));
    m.remove(&p("link"));
    m.make_link(&p("link"), b"other");
    let (before, link) = (m.paths(), root.stat_of(&p("link")));
    m.tick();
    for (path, seen) in decided {
        assert_eq!(apply::put(&root, &staged, &path, Some(seen)), Err(Refusal::Changed), "{path}");
    }
    assert_eq!(m.paths(), before);
    // Not even for a moment.
    assert_eq!(root.stat_of(&p("link")), link);
    assert_eq!(m.read(&p("file")).unwrap(), b"old");
    assert_eq!(m.read(&staged).unwrap(), b"new");
}

fn what_came_between_the_look_and_the_exchange_stays_f8<M: Machine>(m: &M) {
    m.write(&p("file"), b"old");
    let root = m.open();
    let seen = seen_now(&root, &p("file"));
    let staged = stage(&root, b"ours");
    // Of the same size, within the same tick.
    let meddled = Meddled::new(&root).before(Before::Rename, 0, || m.write(&p("file"), b"new"));
    // Without an exchange the first rename is the attempt at one, and the look comes after it.
    assert_eq!(apply::put(&meddled, &staged, &p("file"), Some(seen)), Err(Refusal::Changed));
    assert_eq!(m.read(&p("file")).unwrap(), b"new");
    assert_eq!(m.read(&staged).unwrap(), b"ours");
    assert_eq!(m.paths(), [staged, p("file")]);
}

fn what_was_written_in_place_between_the_look_and_the_exchange_stays_f8<M: Machine>(m: &M) {
    m.write(&p("file"), b"old");
    let root = m.open();
    let seen = seen_now(&root, &p("file"));
    let staged = stage(&root, b"ours");
    // As libuci writes: the same inode and size; its time may even be set back.
    let meddled = Meddled::new(&root).before(Before::Rename, 0, || {
        m.write_in_place(&p("file"), b"new");
        let file = root.open_file(&p("file")).unwrap();
        root.set_file(&file, Attributes { mtime: Some(seen.stat.mtime()), ..Attributes::default() }).unwrap();
    });
    assert_eq!(apply::put(&meddled, &staged, &p("file"), Some(seen)), Err(Refusal::Changed));
    assert_eq!(m.read(&p("file")).unwrap(), b"new");
    assert_eq!(m.read(&staged).unwrap(), b"ours");
}

fn the_latest_of_two_that_came_between_stays_and_the_other_is_not_lost<M: Machine>(m: &M) {
    // The user replaced ours, which can come again; what they replaced before lies where history finds it.
    edits_come_between(m, &[b"one", b"two"], b"one");
}

fn the_latest_of_three_that_came_between_stays<M: Machine>(m: &M) {
    // The third replaced the first, which had been put back; the second was not replaced.
    edits_come_between(m, &[b"one", b"two", b"three"], b"two");
}

/// Before each exchange another process writes the next of `edits`: the last of them stays, and `aside` is kept beside it.
fn edits_come_between<M: Machine>(m: &M, edits: &[&[u8]], aside: &[u8]) {
    if !m.exchanges() {
        return;
    }
    m.write(&p("file"), b"old");
    let root = m.open();
    let seen = seen_now(&root, &p("file"));
    let staged = stage(&root, b"ours");
    let meddled = edits.iter().enumerate().fold(Meddled::new(&root), |meddled, (n, edit)| {
        meddled.before(Before::Rename, n, || m.write(&p("file"), edit))
    });
    assert_eq!(apply::put(&meddled, &staged, &p("file"), Some(seen)), Err(Refusal::Changed));
    assert_eq!(m.read(&p("file")).unwrap(), edits[edits.len() - 1]);
    assert_eq!(m.read(&staged).unwrap(), aside);
}

fn a_file_that_is_locked_is_left_alone<M: Machine>(m: &M) {
    m.write(&p("file"), b"old");
    let root = m.open();
    let seen = seen_now(&root, &p("file"));
    let staged = stage(&root, b"ours");
    let file = root.open_file(&p("file")).unwrap();
    let lock = root.lock(&file).unwrap();
    assert_eq!(apply::put(&root, &staged, &p("file"), Some(seen)), Err(Refusal::Busy));
    assert_eq!(apply::delete(&root, &p("file"), &p(".aside"), seen), Err(Refusal::Busy));
    assert_eq!(m.read(&p("file")).unwrap(), b"old");
    drop(lock);
    apply::put(&root, &staged, &p("file"), Some(seen)).unwrap();
    // Nothing keeps a lock of ours.
    root.lock(&root.open_file(&p("file")).unwrap()).unwrap();
    root.lock(&root.open_file(&staged).unwrap()).unwrap();
}

fn a_file_that_was_replaced_while_its_lock_was_taken_is_not_replaced<M: Machine>(m: &M) {
    m.write(&p("file"), b"old");
    let root = m.open();
    let seen = seen_now(&root, &p("file"));
    let staged = stage(&root, b"ours");
    // libuci unlocks, and renames its own over it: the lock is then on a file without a name.
    let new = Cell::new(None);
    let meddled = Meddled::new(&root).before(Before::Lock, 0, || {
        m.write(&p("file"), b"new");
        new.set(Some(root.stat_of(&p("file"))));
        m.tick();
    });
    assert_eq!(apply::put(&meddled, &staged, &p("file"), Some(seen)), Err(Refusal::Changed));
    assert_eq!(m.read(&p("file")).unwrap(), b"new");
    // Not even for a moment was something else there.
    assert_eq!(Some(root.stat_of(&p("file"))), new.get());
    assert_eq!(m.read(&staged).unwrap(), b"ours");
}

fn a_symlink_is_replaced_itself<M: Machine>(m: &M) {
    m.write(&p("target"), b"target");
    m.make_link(&p("link"), b"target");
    let root = m.open();
    let seen = seen_now(&root, &p("link"));
    assert_eq!(seen.stat.kind, Kind::Symlink);
    let staged = stage(&root, b"file now");
    apply::put(&root, &staged, &p("link"), Some(seen)).unwrap();
    assert_eq!(m.read(&p("link")).unwrap(), b"file now");
    assert_eq!(m.read(&p("target")).unwrap(), b"target");
    assert_eq!(m.read(&staged).unwrap(), b"-> target");
}

fn an_interrupted_exchange_by_a_second_name_is_finished<M: Machine>(m: &M) {
    let root = m.open();
    let lies = |path: &str, bytes: &[u8]| m.write(&p(path), bytes);
    // Before the new file was put in place: it has a second name, and loses it.
    lies("a", b"old");
    lies("s", b"new");
    root.link(&p("a"), &p("s-old")).unwrap();
    apply::finish_exchange(&root, &p("s"), &p("a")).unwrap();
    assert_eq!((m.read(&p("a")).unwrap(), m.read(&p("s")).unwrap()), (b"old".to_vec(), b"new".to_vec()));
    // After: the old one comes to lie where an exchange leaves it.
    root.link(&p("a"), &p("s-old")).unwrap();
    root.rename(&p("s"), &p("a"), Rename::Replace).unwrap();
    apply::finish_exchange(&root, &p("s"), &p("a")).unwrap();
    assert_eq!((m.read(&p("a")).unwrap(), m.read(&p("s")).unwrap()), (b"new".to_vec(), b"old".to_vec()));
    // With no second names at all, the path was empty for a moment: the old one is moved back.
    root.rename(&p("a"), &p("s-old"), Rename::Replace).unwrap();
    apply::finish_exchange(&root, &p("s"), &p("a")).unwrap();
    assert_eq!(m.read(&p("a")).unwrap(), b"new");
    assert_eq!(m.paths(), [p("a"), p("s")]);
    apply::finish_exchange(&root, &p("s"), &p("a")).unwrap();
}

fn a_file_that_uci_holds_locked_is_left_alone(ground: &Ground) {
    ground.write(&p("network"), b"old");
    let root = ground.open();
    let decided = seen_now(&root, &p("network"));
    let staged = stage(&root, b"ours");
    // Given `uci commit` in the middle: it has the lock and writes another file,
    let uci = Holder::of(ground, &p("network"));
    assert_eq!(apply::put(&root, &staged, &p("network"), Some(decided)), Err(Refusal::Busy));
    assert_eq!(apply::delete(&root, &p("network"), &p(".aside"), decided), Err(Refusal::Busy));
    // when it has unlocked, and renamed that over it,
    drop(uci);
    ground.write(&p("network"), b"new");
    // then the decision is void, and one about the new file is not.
    assert_eq!(apply::put(&root, &staged, &p("network"), Some(decided)), Err(Refusal::Changed));
    assert_eq!(ground.read(&p("network")).unwrap(), b"new");
    apply::put(&root, &staged, &p("network"), Some(seen_now(&root, &p("network")))).unwrap();
    assert_eq!(ground.read(&p("network")).unwrap(), b"ours");
}

fn a_large_file_is_told_by_its_stat(ground: &Ground) {
    let large = vec![7; limits::LOOK_AGAIN as usize + 1];
    ground.write(&p("file"), &large);
    let root = ground.open();
    let seen = seen_now(&root, &p("file"));
    let staged = stage(&root, b"ours");
    apply::put(&root, &staged, &p("file"), Some(seen)).unwrap();
    assert!(ground.read(&staged).unwrap() == large);
    apply::put(&root, &staged, &p("file"), Some(seen_now(&root, &p("file")))).unwrap();
    assert!(ground.read(&p("file")).unwrap() == large);
}
