//! Names: what makes, swaps and removes them, and what never does.

use std::collections::BTreeSet;

use owsync::fs::{Found, Rename, Root};
use owsync::model::{Kind, RelPath, limits};

use crate::machine::{Look, Machine};
use crate::p;

claims!(
    a_new_file_is_its_owners_alone_and_never_replaces,
    a_new_name_never_replaces,
    a_file_replaces_a_file_and_never_a_directory,
    an_exchange_swaps_two_names_and_loses_neither,
    a_second_name_never_replaces,
    what_is_removed_is_what_was_said,
    a_directory_is_made_for_its_owner_alone,
    a_directory_that_vanished_is_missing,
    names_are_bytes_f18,
    a_directory_of_more_names_than_one_piece_is_read_to_its_end,
    what_vanishes_while_a_directory_is_read_is_left_out_and_ends_nothing,
    what_lies_under_a_file_is_missing,
    a_file_moves_between_directories_of_one_filesystem,
    a_file_with_another_name_stays_where_it_is,
);

fn a_new_file_is_its_owners_alone_and_never_replaces<M: Machine>(m: &M) {
    m.write(&p("old"), b"old");
    m.make_link(&p("dangling"), b"nowhere");
    m.make_dir(&p("dir"));
    let root = m.open();

    let file = root.create(&p("new")).unwrap();
    assert_eq!(root.stat_file(&file).unwrap().mode, 0o600);
    assert_eq!(root.stat_of(&p("new")).size, 0);

    for taken in ["new", "old", "dangling", "dir"] {
        assert!(root.create(&p(taken)).err().unwrap().exists(), "{taken}");
    }
    assert!(root.create(&p("nowhere/new")).err().unwrap().is_missing());
    assert_eq!(m.read(&p("old")).unwrap(), b"old");
    assert_eq!(m.read(&p("nowhere")), None);
}

fn a_new_name_never_replaces<M: Machine>(m: &M) {
    m.write(&p("a"), b"a");
    m.write(&p("b"), b"b");
    m.make_dir(&p("dir"));
    let root = m.open();
    for taken in ["b", "dir"] {
        assert!(root.rename(&p("a"), &p(taken), Rename::New).unwrap_err().exists(), "{taken}");
    }
    assert!(root.rename(&p("none"), &p("c"), Rename::New).unwrap_err().is_missing());
    assert!(root.rename(&p("a"), &p("none/c"), Rename::New).unwrap_err().is_missing());
    let before = root.stat_of(&p("a"));
    root.rename(&p("a"), &p("dir/c"), Rename::New).unwrap();
    assert!(root.stat_of(&p("dir/c")).same_file(&before));
    assert_eq!(m.paths(), [p("b"), p("dir"), p("dir/c")]);
    assert_eq!((m.read(&p("b")).unwrap(), m.read(&p("dir/c")).unwrap()), (b"b".to_vec(), b"a".to_vec()));
}

fn a_file_replaces_a_file_and_never_a_directory<M: Machine>(m: &M) {
    m.write(&p("a"), b"a");
    m.write(&p("b"), b"b");
    m.make_link(&p("link"), b"b");
    m.make_dir(&p("dir"));
    let root = m.open();
    let error = root.rename(&p("a"), &p("dir"), Rename::Replace).unwrap_err();
    assert_eq!(error.errno, libc::EISDIR);
    root.rename(&p("a"), &p("b"), Rename::Replace).unwrap();
    // Over the link itself, not over what it names.
    root.rename(&p("b"), &p("link"), Rename::Replace).unwrap();
    assert_eq!(m.paths(), [p("dir"), p("link")]);
    assert_eq!(m.read(&p("link")).unwrap(), b"a");
    assert!(root.rename(&p("a"), &p("b"), Rename::Replace).unwrap_err().is_missing());
}

fn an_exchange_swaps_two_names_and_loses_neither<M: Machine>(m: &M) {
    m.write(&p("a"), b"a");
    m.write(&p("dir/b"), b"b");
    m.make_link(&p("link"), b"a");
    let root = m.open();
    let (a, b) = (root.stat_of(&p("a")), root.stat_of(&p("dir/b")));
    if !m.exchanges() {
        assert!(root.rename(&p("a"), &p("dir/b"), Rename::Exchange).unwrap_err().is_unsupported());
        assert!(root.stat_of(&p("a")).same_file(&a) && root.stat_of(&p("dir/b")).same_file(&b));
        return;
    }
    root.rename(&p("a"), &p("dir/b"), Rename::Exchange).unwrap();
    assert!(root.stat_of(&p("dir/b")).same_file(&a), "a rename keeps inode, size and time");
    assert!(root.stat_of(&p("a")).same_file(&b));

    root.rename(&p("a"), &p("link"), Rename::Exchange).unwrap();
    assert_eq!(m.read(&p("a")).unwrap(), b"-> a");
    assert_eq!(m.read(&p("link")).unwrap(), b"b");

    // A directory that appeared there swaps as well: the check of what came out sees it.
    m.make_dir(&p("came"));
    m.write(&p("came/c"), b"c");
    root.rename(&p("link"), &p("came"), Rename::Exchange).unwrap();
    assert_eq!(m.read(&p("came")).unwrap(), b"b");
    assert_eq!(m.read(&p("link/c")).unwrap(), b"c");

    for (from, to) in [("came", "none"), ("none", "came"), ("came", "none/x")] {
        assert!(root.rename(&p(from), &p(to), Rename::Exchange).unwrap_err().is_missing(), "{from} {to}");
    }
    assert_eq!(m.read(&p("came")).unwrap(), b"b");
}

fn a_second_name_never_replaces<M: Machine>(m: &M) {
    m.write(&p("a"), b"a");
    m.write(&p("b"), b"b");
    let root = m.open();
    assert!(root.link(&p("a"), &p("b")).unwrap_err().exists());
    assert!(root.link(&p("none"), &p("c")).unwrap_err().is_missing());
    root.link(&p("a"), &p("c")).unwrap();
    // One file with two names; not by its inode number, which overlayfs changes when it gets the second one.
    m.write_in_place(&p("a"), b"changed");
    assert_eq!(m.read(&p("c")).unwrap(), b"changed");
    root.remove(&p("a")).unwrap();
    assert_eq!(m.read(&p("c")).unwrap(), b"changed");
    assert_eq!(m.read(&p("b")).unwrap(), b"b");
}

fn what_is_removed_is_what_was_said<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    m.write(&p("full/file"), b"x");
    m.make_dir(&p("empty"));
    m.make_link(&p("link"), b"file");
    let root = m.open();
    assert_eq!(root.remove(&p("empty")).unwrap_err().errno, libc::EISDIR);
    assert!(root.remove(&p("none")).unwrap_err().is_missing());
    assert!(root.remove_dir(&p("full")).unwrap_err().is_not_empty());
    assert_eq!(root.remove_dir(&p("file")).unwrap_err().errno, libc::ENOTDIR);
    assert_eq!(root.remove_dir(&p("link")).unwrap_err().errno, libc::ENOTDIR);
    assert!(root.remove_dir(&p("none")).unwrap_err().is_missing());
    assert_eq!(m.paths().len(), 5);

    root.remove(&p("link")).unwrap();
    root.remove_dir(&p("empty")).unwrap();
    root.remove(&p("full/file")).unwrap();
    root.remove_dir(&p("full")).unwrap();
    assert_eq!(m.paths(), [p("file")]);
}

fn a_directory_is_made_for_its_owner_alone<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    let root = m.open();
    root.make_dir(&p("d")).unwrap();
    assert_eq!((root.stat_of(&p("d")).kind, root.stat_of(&p("d")).mode), (Kind::Dir, 0o700));
    assert!(root.make_dir(&p("d")).unwrap_err().exists());
    assert!(root.make_dir(&p("file")).unwrap_err().exists());
    assert!(root.make_dir(&p("none/d")).unwrap_err().is_missing());
}

fn a_directory_that_vanished_is_missing<M: Machine>(m: &M) {
    m.write(&p("d/e/file"), b"x");
    let root = m.open();
    // Given one that owsync has just used,
    root.create(&p("d/e/mine")).unwrap();
    // when a user removes it, at the next step of work,
    m.remove(&p("d/e"));
    root.place().unwrap();
    // then everything in it is missing, and nothing comes to lie elsewhere.
    assert_eq!(root.stat(&p("d/e/mine")), Ok(None));
    assert!(root.create(&p("d/e/new")).err().unwrap().is_missing());
    assert!(root.open_dir(Some(&p("d/e"))).err().unwrap().is_missing());
    assert!(root.sync_dir(Some(&p("d/e"))).unwrap_err().is_missing());
    assert!(root.remove(&p("d/e/mine")).unwrap_err().is_missing());
    assert_eq!(m.paths(), [p("d")]);
}

fn names_are_bytes_f18<M: Machine>(m: &M) {
    let longest = vec![b'n'; 255];
    let all: [&[u8]; 11] = [
        b"nginx.tmpl",
        b"a.dbus",
        b"a..b",
        b"...",
        b".hidden",
        b"a b\nc",
        b"\xff\xfe\x80",
        b"-rf",
        b"caf\xc3\xa9",
        b"*?[",
        &longest,
    ];
    for name in &all[..6] {
        m.write(&RelPath::parse(name).unwrap(), name);
    }
    let root = m.open();
    for name in &all[6..] {
        let path = RelPath::parse(name).unwrap();
        let staged = p("staged");
        root.write(&root.create(&staged).unwrap(), 0, name).unwrap();
        root.rename(&staged, &path, Rename::New).unwrap();
    }
    let mut dir = root.open_dir(None).unwrap();
    let found = root.read_dir(&mut dir, 100).unwrap();
    let found: BTreeSet<&[u8]> = found.iter().map(|(name, _)| name.as_slice()).collect();
    assert_eq!(found, all.iter().copied().collect());
    for name in all {
        let path = RelPath::parse(name).unwrap();
        assert_eq!(owsync::fs::read_whole(&root, &path, 1000).unwrap().unwrap(), name);
        assert_eq!(m.read(&path).unwrap(), name);
    }
}

fn a_directory_of_more_names_than_one_piece_is_read_to_its_end<M: Machine>(m: &M) {
    let all: BTreeSet<Vec<u8>> = (0..2 * limits::STEP_NAMES + 76).map(|n| format!("{n:05}").into_bytes()).collect();
    m.make_dir(&p("d"));
    for name in &all {
        m.write(&p("d").join(name).unwrap(), b"");
    }
    let root = m.open();
    for most in [limits::STEP_NAMES, 7] {
        let mut dir = root.open_dir(Some(&p("d"))).unwrap();
        let mut seen = BTreeSet::new();
        loop {
            let piece = root.read_dir(&mut dir, most).unwrap();
            assert!(piece.len() <= most);
            if piece.is_empty() {
                break;
            }
            for (name, found) in piece {
                assert!(matches!(found, Found::Synced(stat) if stat.kind == Kind::File));
                assert!(seen.insert(name), "a name came twice");
            }
        }
        assert_eq!(seen, all);
        // The end stays the end.
        assert_eq!(root.read_dir(&mut dir, most).unwrap(), []);
    }
    // Two readers do not move each other.
    let (mut one, mut other) = (root.open_dir(Some(&p("d"))).unwrap(), root.open_dir(Some(&p("d"))).unwrap());
    assert_eq!(root.read_dir(&mut one, 3).unwrap(), root.read_dir(&mut other, 3).unwrap());
}

fn what_vanishes_while_a_directory_is_read_is_left_out_and_ends_nothing<M: Machine>(m: &M) {
    let names: Vec<RelPath> = (0..40).map(|n| p(&format!("d/{n:02}"))).collect();
    m.make_dir(&p("d"));
    for path in &names {
        m.write(path, b"");
    }
    let root = m.open();
    // Given a reader that has begun,
    let mut dir = root.open_dir(Some(&p("d"))).unwrap();
    let first = root.read_dir(&mut dir, 1).unwrap();
    assert_eq!(first.len(), 1);
    // when all but three of the names vanish, more than several pieces of them,
    let stay: Vec<&RelPath> = names.iter().filter(|path| path.name() != first[0].0).skip(9).step_by(13).collect();
    for path in names.iter().filter(|path| !stay.contains(path)) {
        m.remove(path);
    }
    // then it continues to the end, and reports the three: a scan would treat what is not reported as deleted.
    let mut seen = Vec::new();
    loop {
        let piece = root.read_dir(&mut dir, 2).unwrap();
        if piece.is_empty() {
            break;
        }
        seen.extend(piece.into_iter().map(|(name, _)| p("d").join(&name).unwrap()));
    }
    seen.sort();
    assert_eq!(seen.iter().collect::<Vec<_>>(), stay);
}

fn what_lies_under_a_file_is_missing<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    let root = m.open();
    assert_eq!(root.stat(&p("file/x")), Ok(None));
    assert_eq!(root.stat(&p("file/x/y")), Ok(None));
    assert!(root.open_file(&p("file/x")).err().unwrap().is_missing());
    assert!(root.create(&p("file/x")).err().unwrap().is_missing());
    assert!(root.open_dir(Some(&p("file"))).err().unwrap().is_missing());
}

fn a_file_moves_between_directories_of_one_filesystem<M: Machine>(m: &M) {
    m.write(&p("d/file"), b"content");
    m.chmod(&p("d/file"), 0o640);
    let (share, beside) = (m.open(), m.open_beside());
    let before = share.stat_of(&p("d/file"));
    beside.create(&p("there")).unwrap();
    assert_eq!(beside.adopt(&share, &p("d/file"), &p("there")), Ok(true));
    assert!(beside.stat_of(&p("there")).same_file(&before));
    assert_eq!(beside.stat_of(&p("there")).mode, 0o640);
    assert_eq!(m.read(&p("d/file")), None);
    assert!(beside.adopt(&share, &p("d/file"), &p("there")).unwrap_err().is_missing());
    assert_eq!(beside.stat_of(&p("there")).size, 7);
}

fn a_file_with_another_name_stays_where_it_is<M: Machine>(m: &M) {
    m.write(&p("file"), b"content");
    let (share, beside) = (m.open(), m.open_beside());
    share.link(&p("file"), &p("other")).unwrap();
    // Moved in, it would change with every edit under its other name.
    assert_eq!(beside.adopt(&share, &p("file"), &p("there")), Ok(false));
    assert_eq!(beside.stat(&p("there")), Ok(None));
    assert_eq!(m.paths(), [p("file"), p("other")]);
}
