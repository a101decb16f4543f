//! Taking away, directories and attributes, and disks that refuse: whatever does not land leaves everything as it was.

use owsync::fs::apply::{self, Refusal, Seen};
use owsync::fs::{Attributes, FsError, Root};
use owsync::model::Digest;

use crate::ground::Ground;
use crate::machine::{Look, Machine};
use crate::meddled::{Before, Meddled};
use crate::replacing::{seen_now, stage};
use crate::{alone, p};

claims!(
    what_was_seen_is_taken_away,
    what_is_not_what_the_decision_saw_is_not_deleted,
    what_came_between_the_look_and_the_removal_is_put_back,
    a_file_that_was_created_meanwhile_outlives_a_deletion,
    directories_are_made_and_removed_around_what_is_not_synced,
    attributes_are_set_on_what_was_seen,
);

mod on_disk {
    use super::*;

    real_claims!(
        a_directory_that_may_not_be_written_keeps_what_is_in_it,
        a_disk_that_turned_read_only_keeps_what_is_on_it,
    );
}

fn what_was_seen_is_taken_away<M: Machine>(m: &M) {
    m.write(&p("dir/file"), b"old");
    m.make_link(&p("link"), b"dir");
    let root = m.open();
    for path in ["dir/file", "link"] {
        let seen = seen_now(&root, &p(path));
        apply::delete(&root, &p(path), &p(".aside"), seen).unwrap();
        assert!(root.stat_of(&p(".aside")).same_file(&seen.stat));
        root.remove(&p(".aside")).unwrap();
    }
    assert_eq!(m.paths(), [p("dir")]);
}

fn what_is_not_what_the_decision_saw_is_not_deleted<M: Machine>(m: &M) {
    m.write(&p("file"), b"old");
    m.make_link(&p("link"), b"file");
    let root = m.open();
    let (file, link) = (seen_now(&root, &p("file")), seen_now(&root, &p("link")));
    m.write(&p("file"), b"new");
    m.remove(&p("link"));
    m.make_link(&p("link"), b"else");
    for (path, seen) in [("file", file), ("link", link), ("none", file)] {
        assert_eq!(apply::delete(&root, &p(path), &p(".aside"), seen), Err(Refusal::Changed), "{path}");
    }
    assert_eq!(m.paths(), [p("file"), p("link")]);
    assert_eq!(m.read(&p("file")).unwrap(), b"new");
    assert_eq!(m.read(&p("link")).unwrap(), b"-> else");
}

fn what_came_between_the_look_and_the_removal_is_put_back<M: Machine>(m: &M) {
    m.write(&p("file"), b"old");
    let root = m.open();
    let seen = seen_now(&root, &p("file"));
    let meddled = Meddled::new(&root).before(Before::Rename, 0, || m.write(&p("file"), b"new"));
    assert_eq!(apply::delete(&meddled, &p("file"), &p(".aside"), seen), Err(Refusal::Changed));
    assert_eq!(m.read(&p("file")).unwrap(), b"new");
    assert_eq!(m.paths(), [p("file")]);
}

fn a_file_that_was_created_meanwhile_outlives_a_deletion<M: Machine>(m: &M) {
    m.write(&p("file"), b"old");
    let root = m.open();
    let seen = seen_now(&root, &p("file"));
    let meddled =
        Meddled::new(&root)
            .before(Before::Rename, 0, || m.write(&p("file"), b"one"))
            .before(Before::Rename, 1, || m.write(&p("file"), b"two"));
    assert_eq!(apply::delete(&meddled, &p("file"), &p(".aside"), seen), Err(Refusal::Changed));
    assert_eq!(m.read(&p("file")).unwrap(), b"two");
    // What the user replaced lies aside, for history.
    assert_eq!(m.read(&p(".aside")).unwrap(), b"one");
}

fn directories_are_made_and_removed_around_what_is_not_synced<M: Machine>(m: &M) {
    m.write(&p("full/file"), b"x");
    m.write(&p("file"), b"x");
    m.make_fifo(&p("fifo"));
    m.make_link(&p("link"), b"full");
    let root = m.open();
    let mode = |mode| Attributes { mode: Some(mode), ..Attributes::default() };
    apply::make_dir(&root, &p("new"), mode(0o750)).unwrap();
    assert_eq!(root.stat_of(&p("new")).mode, 0o750);
    apply::make_dir(&root, &p("new"), mode(0o711)).unwrap();
    assert_eq!(root.stat_of(&p("new")).mode, 0o711);
    for (path, refusal) in
        [("file", Refusal::Changed), ("fifo", Refusal::InTheWay("fifo")), ("link", Refusal::InTheWay("symlink"))]
    {
        assert_eq!(apply::make_dir(&root, &p(path), mode(0o700)), Err(refusal.clone()), "{path}");
        assert_eq!(apply::make_parents(&root, &p(path).join(b"x").unwrap()), Err(refusal), "{path}");
    }
    // Through a symlink nothing is made, however deep.
    let deep = apply::make_parents(&root, &p("link/a/b/c"));
    assert!(
        matches!(deep, Err(Refusal::Fs(FsError { errno: libc::ELOOP, .. }) | Refusal::InTheWay("symlink"))),
        "{deep:?}"
    );
    assert_eq!(apply::make_parents(&root, &p("new/a/b/c")).unwrap(), [p("new/a"), p("new/a/b")]);
    assert_eq!(root.stat_of(&p("new/a/b")).mode, 0o755);
    assert_eq!(apply::make_parents(&root, &p("new/a/b/c")).unwrap(), []);

    assert_eq!(apply::remove_dir(&root, &p("full")), Err(Refusal::DirNotEmpty));
    assert_eq!(apply::remove_dir(&root, &p("none")), Ok(()));
    assert_eq!(apply::remove_dir(&root, &p("new/a/b")), Ok(()));
    assert_eq!(m.paths(), [p("fifo"), p("file"), p("full"), p("full/file"), p("link"), p("new"), p("new/a")]);
}

fn attributes_are_set_on_what_was_seen<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    m.make_dir(&p("dir"));
    let root = m.open();
    let mode = Attributes { mode: Some(0o600), ..Attributes::default() };
    let file = seen_now(&root, &p("file"));
    let now = apply::set_attributes(&root, &p("file"), mode, file).unwrap();
    assert_eq!((now, now.mode), (root.stat_of(&p("file")), 0o600));
    let dir = Seen { stat: root.stat_of(&p("dir")), digest: Digest::NONE };
    assert_eq!(apply::set_attributes(&root, &p("dir"), mode, dir).unwrap().mode, 0o600);
    // The first one is out of date by now.
    assert_eq!(apply::set_attributes(&root, &p("file"), mode, file), Err(Refusal::Changed));
    // What a user puts in its place meanwhile is not touched, nor taken for it.
    let file = seen_now(&root, &p("file"));
    let meddled = Meddled::new(&root).before(Before::StatFile, 0, || m.write(&p("file"), b"y"));
    match apply::set_attributes(&meddled, &p("file"), Attributes { mode: Some(0o777), ..mode }, file) {
        Ok(stat) => assert_eq!(stat.inode, file.stat.inode),
        Err(refusal) => assert_eq!(refusal, Refusal::Changed),
    }
    assert_eq!((m.read(&p("file")).unwrap(), root.stat_of(&p("file")).mode), (b"y".to_vec(), 0o600));
    assert_ne!(root.stat_of(&p("file")).inode, file.stat.inode);
    m.remove(&p("file"));
    assert_eq!(apply::set_attributes(&root, &p("file"), mode, file), Err(Refusal::Changed));
}

fn a_directory_that_may_not_be_written_keeps_what_is_in_it(ground: &Ground) {
    if !alone::in_a_process() {
        return;
    }
    ground.write(&p("dir/file"), b"old");
    ground.write(&p("open/.staged"), b"new");
    for path in ["dir/file", "open/.staged"] {
        ground.chmod(&p(path), 0o666);
    }
    ground.chmod(&p("dir"), 0o555);
    ground.chmod(&p("open"), 0o777);
    let root = ground.open();
    let seen = seen_now(&root, &p("dir/file"));
    if !alone::become_nobody() {
        return;
    }
    let refused = [
        apply::delete(&root, &p("dir/file"), &p("open/.aside"), seen),
        apply::put(&root, &p("open/.staged"), &p("dir/new"), None),
        apply::make_dir(&root, &p("dir/new"), Attributes::default()),
        apply::put(&root, &p("open/.staged"), &p("dir/file"), Some(seen)),
    ];
    for refusal in refused {
        assert!(matches!(refusal, Err(Refusal::Fs(FsError { errno: libc::EACCES, .. }))), "{refusal:?}");
    }
    // The ground may be in a home that is closed to others.
    alone::become_oneself();
    assert_eq!(ground.read(&p("dir/file")).unwrap(), b"old");
    assert_eq!(ground.read(&p("open/.staged")).unwrap(), b"new");
    assert_eq!(ground.paths(), [p("dir"), p("dir/file"), p("open"), p("open/.staged")]);
}

fn a_disk_that_turned_read_only_keeps_what_is_on_it(ground: &Ground) {
    if !alone::with_mounts() {
        return;
    }
    ground.open();
    // As ext4 and UBIFS do after an error.
    ground.mount("tmpfs", "tmpfs", "", &ground.dir());
    ground.write(&p("file"), b"old");
    let root = ground.open();
    let staged = stage(&root, b"new");
    let seen = seen_now(&root, &p("file"));
    ground.mount("bind", ground.dir().to_str().unwrap(), "", &ground.dir());
    alone::mount("tmpfs", "tmpfs", "remount,bind,ro", &ground.dir());
    let root = ground.open();
    for refusal in [
        apply::put(&root, &staged, &p("file"), Some(seen)),
        apply::put(&root, &staged, &p("new"), None),
        apply::delete(&root, &p("file"), &p(".aside"), seen),
        apply::set_attributes(&root, &p("file"), Attributes { mode: Some(0), ..Attributes::default() }, seen).map(drop),
    ] {
        assert!(matches!(refusal, Err(Refusal::Fs(FsError { errno: libc::EROFS, .. }))), "{refusal:?}");
    }
    assert_eq!(root.create(&p("new")).err().unwrap().errno, libc::EROFS);
    assert_eq!(ground.read(&p("file")).unwrap(), b"old");
    assert_eq!(ground.read(&staged).unwrap(), b"new");
}
