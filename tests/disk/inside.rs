//! Nothing leaves the share: not through a symlink, not by a name, not into what is mounted in it.

use owsync::fs::{Attributes, Found, Fs, FsError, Rename, Root};
use owsync::model::{Kind, PathError, RelPath};

use crate::machine::{Look, Machine};
use crate::{alone, ground::Ground, p};

claims!(no_operation_follows_a_symlink_above_the_last_name_f53, a_symlink_at_the_end_is_itself);

mod on_disk {
    use super::*;

    real_claims!(
        what_a_symlink_leads_to_stays_as_it_is_f53,
        a_sibling_of_the_same_prefix_is_not_inside_f53,
        a_directory_moved_away_is_not_written_to,
        what_is_mounted_in_the_share_is_another_filesystem,
        a_share_hidden_by_a_mount_is_another_place,
        the_root_itself_may_be_a_symlink,
    );
}

type Op<R> = (&'static str, fn(&R, &R, &RelPath) -> Result<(), FsError>);

/// Every operation that takes a path: in a share, with a directory beside it. `file`, `link` and `dir` are in the share.
fn operations<R: Root>() -> Vec<Op<R>> {
    const MODE: Attributes = Attributes { mode: Some(0o777), owner: None, mtime: None };
    vec![
        ("stat", |root, _, path| root.stat(path).map(drop)),
        ("open_dir", |root, _, path| root.open_dir(Some(path)).map(drop)),
        ("open_file", |root, _, path| root.open_file(path).map(drop)),
        ("open_write", |root, _, path| root.open_write(path).map(drop)),
        ("read_link", |root, _, path| root.read_link(path).map(drop)),
        ("create", |root, _, path| root.create(path).map(drop)),
        ("set_path", |root, _, path| root.set_path(path, MODE)),
        ("make_link", |root, _, path| root.make_link(path, b"x")),
        ("make_dir", |root, _, path| root.make_dir(path)),
        ("remove", |root, _, path| root.remove(path)),
        ("remove_dir", |root, _, path| root.remove_dir(path)),
        ("rename from", |root, _, path| root.rename(path, &p("file"), Rename::Replace)),
        ("rename to", |root, _, path| root.rename(&p("file"), path, Rename::Replace)),
        ("link from", |root, _, path| root.link(path, &p("second"))),
        ("link to", |root, _, path| root.link(&p("file"), path)),
        ("adopt from", |root, beside, path| beside.adopt(root, path, &p("adopted")).map(drop)),
        ("adopt to", |root, beside, path| root.adopt(beside, &p("stays"), path).map(drop)),
        ("sync_dir", |root, _, path| root.sync_dir(Some(path))),
    ]
}

fn no_operation_follows_a_symlink_above_the_last_name_f53<M: Machine>(m: &M) {
    m.write(&p("dir/inner/file"), b"inside");
    m.write(&p("file"), b"file");
    m.make_link(&p("link"), b"dir");
    m.make_link(&p("dir/up"), b"..");
    let (root, beside) = (m.open(), m.open_beside());
    beside.create(&p("stays")).unwrap();
    let before = m.paths();
    // Where they lead does not matter, nor whether it exists: also a target inside the share can be another tomorrow.
    for path in ["link/inner", "link/inner/file", "link/none", "dir/up/file", "dir/up/dir/inner", "link/up/link/none"] {
        for (name, operation) in operations() {
            let error = operation(&root, &beside, &p(path)).unwrap_err();
            assert!(error.is_symlink(), "{name} {path}: {error}");
        }
    }
    assert_eq!(m.paths(), before);
    assert_eq!(m.read(&p("dir/inner/file")).unwrap(), b"inside");
    assert_eq!(beside.stat_of(&p("stays")).size, 0);
}

fn a_symlink_at_the_end_is_itself<M: Machine>(m: &M) {
    m.write(&p("file"), b"file");
    m.make_dir(&p("dir"));
    m.make_link(&p("to-file"), b"file");
    m.make_link(&p("to-dir"), b"dir");
    let root = m.open();
    for link in ["to-file", "to-dir"] {
        let link = p(link);
        let stat = root.stat_of(&link);
        assert_eq!((stat.kind, stat.mode), (Kind::Symlink, 0));
        assert_eq!(root.read_link(&link).unwrap().len() as u64, stat.size);
        assert!(root.open_file(&link).err().unwrap().is_symlink());
        assert!(root.open_write(&link).err().unwrap().is_symlink());
        assert!(root.open_dir(Some(&link)).err().unwrap().is_symlink());
        assert!(root.sync_dir(Some(&link)).unwrap_err().is_symlink());
        assert!(root.create(&link).err().unwrap().exists());
        root.remove(&link).unwrap();
    }
    assert_eq!(root.read_link(&p("file")).unwrap_err().errno, libc::EINVAL);
    root.make_link(&p("new"), b"../any\xfftext").unwrap();
    assert_eq!(root.read_link(&p("new")).unwrap(), b"../any\xfftext");
    assert!(root.make_link(&p("file"), b"x").unwrap_err().exists());
    assert_eq!(m.paths(), [p("dir"), p("file"), p("new")]);
}

fn what_a_symlink_leads_to_stays_as_it_is_f53(ground: &Ground) {
    // Given a share with links to a directory outside, by a relative and by an absolute text,
    let outside = ground.base().join("outside");
    std::fs::create_dir_all(outside.join("dir")).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    ground.write(&p("file"), b"file");
    ground.make_link(&p("relative"), b"../outside");
    ground.make_link(&p("absolute"), outside.as_os_str().as_encoded_bytes());
    let (root, beside) = (ground.open(), ground.open_beside());
    beside.create(&p("stays")).unwrap();
    let outside = ground.base().join("outside");
    // when everything is tried through them,
    for link in ["relative", "absolute"] {
        for name in ["secret", "dir", "none", "dir/none"] {
            for (operation, run) in operations() {
                let path = p(link).join(name.as_bytes()).unwrap();
                let error = run(&root, &beside, &path).unwrap_err();
                assert!(error.is_symlink(), "{operation} {path}: {error}");
            }
        }
    }
    // then nothing came of it.
    let mut names: Vec<_> = std::fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["dir", "secret"]);
    assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert_eq!(std::fs::read_dir(outside.join("dir")).unwrap().count(), 0);
}

fn a_sibling_of_the_same_prefix_is_not_inside_f53(ground: &Ground) {
    // Given a directory whose path begins as the share's does,
    let sibling = ground.base().join("share-secret");
    std::fs::create_dir_all(&sibling).unwrap();
    std::fs::write(sibling.join("key"), "key").unwrap();
    let root = ground.open();
    // then there is no name for it,
    for text in ["../share-secret/key", "..", "x/../../share-secret/key", "/share-secret/key"] {
        assert!(matches!(RelPath::parse(text.as_bytes()), Err(PathError::Dots | PathError::Absolute)), "{text}");
    }
    // and what looks like one lies inside.
    root.create(&p("-secret")).unwrap();
    assert!(ground.at(&p("-secret")).is_file());
    assert!(!ground.base().join("share-secret/-secret").exists());
    assert_eq!(root.stat(&p("share-secret/key")), Ok(None));
}

fn a_directory_moved_away_is_not_written_to(ground: &Ground) {
    ground.write(&p("d/file"), b"x");
    let root = ground.open();
    root.create(&p("d/first")).unwrap();
    // Between two steps of work a user moves the directory out of the share, where the share's rules do not hold.
    let outside = ground.base().join("outside");
    if ground.is_overlay() {
        // An overlay moves no directory of its lower layer: to the same effect, a different one is there.
        std::fs::remove_dir_all(ground.at(&p("d"))).unwrap();
        std::fs::create_dir(&outside).unwrap();
    } else {
        std::fs::rename(ground.at(&p("d")), &outside).unwrap();
    }
    root.place().unwrap();
    assert!(root.create(&p("d/second")).err().unwrap().is_missing());
    assert!(root.rename(&p("d/first"), &p("d/third"), Rename::Replace).unwrap_err().is_missing());
    assert!(!outside.join("second").exists() && !outside.join("third").exists());
}

fn what_is_mounted_in_the_share_is_another_filesystem(ground: &Ground) {
    if !alone::with_mounts() || !ground.has_openat2() {
        return;
    }
    ground.make_dir(&p("tmpfs"));
    ground.make_dir(&p("bound"));
    ground.write(&p("bound-file"), b"below");
    ground.write(&p("file"), b"file");
    ground.write(&p("tmpfs/hidden"), b"hidden");
    let (root, beside) = (ground.open(), ground.open_beside());
    beside.create(&p("stays")).unwrap();
    // Given another filesystem, a directory and a file of the very same one, all mounted in the share,
    let outside = ground.base().join("outside");
    std::fs::create_dir_all(outside.join("dir")).unwrap();
    std::fs::write(outside.join("file"), "outside").unwrap();
    ground.mount("tmpfs", "tmpfs", "mode=0750", &ground.at(&p("tmpfs")));
    std::fs::create_dir(ground.at(&p("tmpfs/dir"))).unwrap();
    ground.mount("bind", outside.to_str().unwrap(), "", &ground.at(&p("bound")));
    ground.mount("bind", outside.join("file").to_str().unwrap(), "", &ground.at(&p("bound-file")));
    // then nothing goes in, whatever st_dev says,
    for path in ["tmpfs/dir", "tmpfs/none", "tmpfs/dir/none", "bound/file", "bound/dir", "bound/none"] {
        for (name, operation) in operations() {
            let error = operation(&root, &beside, &p(path)).unwrap_err();
            assert!(error.crosses(), "{name} {path}: {error}");
        }
    }
    // nor opens, or changes, the place itself,
    assert!(root.open_dir(Some(&p("tmpfs"))).err().unwrap().crosses());
    assert!(root.open_file(&p("bound-file")).err().unwrap().crosses());
    let all = Attributes { mode: Some(0o777), owner: Some((0, 0)), mtime: None };
    for path in ["tmpfs", "bound"] {
        let before = root.stat_of(&p(path));
        assert!(root.set_path(&p(path), all).unwrap_err().crosses(), "{path}");
        assert_eq!(root.stat_of(&p(path)), before);
    }
    // and what is in use stays where it is.
    for refused in [
        root.remove_dir(&p("tmpfs")),
        root.rename(&p("file"), &p("bound-file"), Rename::Replace),
        root.remove(&p("bound-file")),
    ] {
        assert_eq!(refused.unwrap_err().errno, libc::EBUSY);
    }
    assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"outside");
    assert_eq!(std::fs::read_dir(outside.join("dir")).unwrap().count(), 0);
}

fn a_share_hidden_by_a_mount_is_another_place(ground: &Ground) {
    if !alone::with_mounts() {
        return;
    }
    let before = ground.open().place().unwrap();
    assert_eq!(ground.open().place().unwrap(), before);
    assert_ne!(before.filesystem, "");
    // Another filesystem over it,
    ground.mount("tmpfs", "elsewhere", "", &ground.dir());
    let hidden = ground.fs().open(&ground.dir()).unwrap().place().unwrap();
    assert_eq!(hidden.filesystem, "tmpfs elsewhere");
    assert_ne!(hidden.identity, before.identity);
    ground.unmount();
    assert_eq!(ground.open().place().unwrap(), before);
    // the same filesystem from another place,
    ground.mount("bind", ground.base().join("beside").to_str().unwrap(), "", &ground.dir());
    let bound = ground.fs().open(&ground.dir()).unwrap().place().unwrap();
    assert_ne!(bound.identity, before.identity);
    ground.unmount();
    // and its own, mounted again as after a reboot, which is the same filesystem.
    ground.remount();
    assert_eq!(ground.open().place().unwrap().filesystem, before.filesystem);
}

fn the_root_itself_may_be_a_symlink(ground: &Ground) {
    ground.write(&p("file"), b"x");
    ground.open();
    let link = ground.base().join("link");
    std::os::unix::fs::symlink(ground.dir(), &link).unwrap();
    let root = ground.fs().open(&link).unwrap();
    assert!(matches!(root.stat(&p("file")), Ok(Some(Found::Synced(_)))));
    assert_eq!(root.place().unwrap(), ground.open().place().unwrap());
    assert!(ground.fs().open(&ground.base().join("none")).err().unwrap().is_missing());
    assert_eq!(ground.fs().open(&ground.at(&p("file"))).err().unwrap().errno, libc::ENOTDIR);
}
