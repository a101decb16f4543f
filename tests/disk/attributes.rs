//! Modes, owners and times: what was set is what is there, to the nanosecond and the last bit.

use std::os::unix::fs::MetadataExt;

use owsync::fs::stage::{ArrivalError, Incoming, Staging};
use owsync::fs::unix::UnixFs;
use owsync::fs::{Attributes, Fs, Rename, Root};
use owsync::model::{Digest, Kind, Owner, WallTime};

use crate::ground::Ground;
use crate::machine::{Look, Machine};
use crate::{alone, p, skip};

claims!(
    a_files_time_is_the_one_that_was_set,
    a_change_of_content_is_a_change_of_times,
    modes_are_kept_to_the_last_bit,
    set_user_id_bits_outlive_a_change_of_owner,
    what_arrives_is_its_owners_alone_until_it_is_complete,
    content_of_another_digest_leaves_nothing,
    the_roots_time_is_that_of_its_names,
);

mod on_disk {
    use super::*;

    real_claims!(
        owners_travel_by_name_as_root,
        owners_do_not_travel_for_anybody_else,
        the_owner_of_a_symlink_is_not_that_of_its_target,
        no_umask_takes_a_bit_away,
        the_new_file_gets_the_extended_attributes_of_the_old_one_f122,
        a_file_that_a_program_has_open_for_writing_is_not_adopted_f74,
    );
}

const NONE: Attributes = Attributes { mode: None, owner: None, mtime: None };

fn a_files_time_is_the_one_that_was_set<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    let root = m.open();
    // With milliseconds, before the first of them, and after 32 bits of seconds.
    for ms in [1_700_000_000_123, 0, -1, -86_400_001, 4_294_967_296_789] {
        let file = root.open_file(&p("file")).unwrap();
        root.set_file(&file, Attributes { mtime: Some(WallTime(ms)), ..NONE }).unwrap();
        let stat = root.stat_of(&p("file"));
        assert_eq!((stat.mtime(), stat.mtime_ns), (WallTime(ms), ms * 1_000_000));
        assert_eq!((stat.size, stat.mode), (1, 0o644));
    }
}

fn a_change_of_content_is_a_change_of_times<M: Machine>(m: &M) {
    m.write(&p("file"), b"one");
    let root = m.open();
    let before = root.stat_of(&p("file"));
    m.tick();
    m.write_in_place(&p("file"), b"two");
    let after = root.stat_of(&p("file"));
    // The same size, the same inode, within the same second (F23).
    assert_eq!((after.size, after.inode), (before.size, before.inode));
    assert!(after.mtime_ns > before.mtime_ns && after.ctime_ns > before.ctime_ns);
    assert!(!after.unchanged(&before) && !after.same_file(&before));

    m.tick();
    m.chmod(&p("file"), 0o600);
    let changed = root.stat_of(&p("file"));
    assert!(changed.same_file(&after) && !changed.unchanged(&after) && changed.ctime_ns > after.ctime_ns);

    m.tick();
    root.rename(&p("file"), &p("renamed"), Rename::New).unwrap();
    let renamed = root.stat_of(&p("renamed"));
    assert!(renamed.same_file(&changed));
}

fn modes_are_kept_to_the_last_bit<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    m.make_dir(&p("dir"));
    let root = m.open();
    for mode in [0o600, 0o644, 0o755, 0o4755, 0o2755, 0o6777, 0o1777, 0o400] {
        let file = root.open_file(&p("file")).unwrap();
        root.set_file(&file, Attributes { mode: Some(mode), ..NONE }).unwrap();
        assert_eq!(root.stat_of(&p("file")).mode, mode, "{mode:o}");
        root.set_path(&p("dir"), Attributes { mode: Some(mode | 0o100), ..NONE }).unwrap();
        assert_eq!(root.stat_of(&p("dir")).mode, mode | 0o100, "{mode:o}");
    }
    // A file that cannot be opened any more gets one all the same, and stays what it is.
    m.chmod(&p("file"), 0);
    root.set_path(&p("file"), Attributes { mode: Some(0o600), ..NONE }).unwrap();
    assert_eq!((root.stat_of(&p("file")).kind, root.stat_of(&p("file")).mode), (Kind::File, 0o600));
    // Nothing but permissions is taken from a number that a peer sent.
    root.set_path(&p("dir"), Attributes { mode: Some(0o170_755), ..NONE }).unwrap();
    assert_eq!((root.stat_of(&p("dir")).kind, root.stat_of(&p("dir")).mode), (Kind::Dir, 0o755));
    assert!(root.set_path(&p("none"), Attributes { mode: Some(0o755), ..NONE }).unwrap_err().is_missing());
}

fn set_user_id_bits_outlive_a_change_of_owner<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    let root = m.open();
    let stat = root.stat_of(&p("file"));
    // The kernel clears the bits when the owner changes, even to the same one.
    let all = Attributes { mode: Some(0o6755), owner: Some((stat.uid, stat.gid)), mtime: Some(WallTime(1)) };
    root.set_file(&root.open_file(&p("file")).unwrap(), all).unwrap();
    assert_eq!((root.stat_of(&p("file")).mode, root.stat_of(&p("file")).mtime()), (0o6755, WallTime(1)));
}

fn what_arrives_is_its_owners_alone_until_it_is_complete<M: Machine>(m: &M) {
    let root = m.open();
    let mut staging = Staging::new(7);
    let name = staging.name(&root).unwrap();
    assert_eq!(root.stat_of(staging.dir()).mode, 0o700);
    // Given content that everybody may read in the end, and run as root,
    let attributes = Attributes { mode: Some(0o4755), owner: None, mtime: Some(WallTime(1_600_000_000_001)) };
    let mut incoming = Incoming::start(name.clone(), Kind::File, 10);
    for (offset, piece) in [(0, b"01234"), (5, b"56789")] {
        incoming.take(&root, offset, piece).unwrap();
        assert_eq!(root.stat_of(&name).mode, 0o600, "while it arrives");
    }
    // then it has its attributes before it has its name.
    assert_eq!(incoming.finish(&root, Digest::of(b"0123456789"), attributes).unwrap(), name);
    let staged = root.stat_of(&name);
    assert_eq!((staged.mode, staged.mtime_ns), (0o4755, 1_600_000_000_001_000_000));
    owsync::fs::apply::put(&root, &name, &p("tool"), None).unwrap();
    let landed = root.stat_of(&p("tool"));
    assert!(landed.same_file(&staged) && landed.mode == 0o4755);
    staging.close(&root);
    assert_eq!(m.paths(), [p("tool")]);
}

fn content_of_another_digest_leaves_nothing<M: Machine>(m: &M) {
    let root = m.open();
    let mut staging = Staging::new(7);
    let name = staging.name(&root).unwrap();
    let mut incoming = Incoming::start(name, Kind::File, 4);
    assert_eq!(incoming.take(&root, 1, b"x"), Err(ArrivalError::OutOfPlace));
    assert_eq!(incoming.take(&root, 0, b"12345"), Err(ArrivalError::OutOfPlace));
    incoming.take(&root, 0, b"torn").unwrap();
    assert!(incoming.is_complete());
    assert_eq!(incoming.finish(&root, Digest::of(b"whole"), NONE), Err(ArrivalError::OtherDigest));
    staging.close(&root);
    assert_eq!(m.paths(), []);
}

fn the_roots_time_is_that_of_its_names<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    let root = m.open();
    let before = root.mtime().unwrap();
    m.tick();
    m.tick();
    m.remove(&p("file"));
    assert!(root.mtime().unwrap() > before);
}

fn owners_travel_by_name_as_root(ground: &Ground) {
    if !skip::is_root() {
        return skip::not_run("needs root: nobody else gives files away");
    }
    ground.write(&p("file"), b"x");
    ground.make_dir(&p("dir"));
    let (fs, root) = (ground.fs(), ground.open());
    let root_owner = Owner { user: "root".into(), group: "root".into() };
    assert_eq!(fs.owner(0, 0).as_deref(), Some(&root_owner));
    assert_eq!(fs.owner_ids(&root_owner), Some((0, 0)));
    // Given a number that no name here has, which is synced as a number,
    let stranger = Owner { user: "4000000".into(), group: "4000001".into() };
    assert_eq!(fs.owner(4_000_000, 4_000_001).as_deref(), Some(&stranger));
    assert_eq!(fs.owner_ids(&stranger), Some((4_000_000, 4_000_001)));
    // and a name that this machine does not know, which is said and not guessed.
    let unknown = Owner { user: "no-such-user-here".into(), group: "root".into() };
    assert_eq!(fs.owner_ids(&unknown), None);

    let given = Attributes { owner: fs.owner_ids(&stranger), ..NONE };
    let file = root.open_file(&p("file")).unwrap();
    if root.set_file(&file, given).is_err_and(|error| error.errno == libc::EINVAL) {
        return skip::not_run("this namespace has one user");
    }
    root.set_path(&p("dir"), given).unwrap();
    for path in ["file", "dir"] {
        let stat = root.stat_of(&p(path));
        assert_eq!(fs.owner(stat.uid, stat.gid).as_deref(), Some(&stranger), "{path}");
    }
}

fn owners_do_not_travel_for_anybody_else(ground: &Ground) {
    if !alone::in_a_process() {
        return;
    }
    drop(ground.open());
    if !alone::become_nobody() {
        return;
    }
    let fs = UnixFs::new();
    assert_eq!(fs.owner(0, 0), None);
    assert_eq!(fs.owner_ids(&Owner { user: "root".into(), group: "root".into() }), None);
}

fn the_owner_of_a_symlink_is_not_that_of_its_target(ground: &Ground) {
    if !skip::is_root() {
        return skip::not_run("needs root: nobody else gives files away");
    }
    ground.write(&p("file"), b"x");
    ground.make_link(&p("link"), b"file");
    let root = ground.open();
    if root
        .set_path(&p("link"), Attributes { owner: Some((1, 2)), ..NONE })
        .is_err_and(|error| error.errno == libc::EINVAL)
    {
        return skip::not_run("this namespace has one user");
    }
    let link = std::fs::symlink_metadata(ground.at(&p("link"))).unwrap();
    let file = std::fs::metadata(ground.at(&p("file"))).unwrap();
    assert_eq!((link.uid(), link.gid()), (1, 2));
    assert_eq!((file.uid(), file.gid()), (0, 0));
}

fn no_umask_takes_a_bit_away(ground: &Ground) {
    if !alone::in_a_process() {
        return;
    }
    let root = ground.open();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let file = root.create(&p("file")).unwrap();
    root.set_file(&file, Attributes { mode: Some(0o666), ..NONE }).unwrap();
    root.make_dir(&p("dir")).unwrap();
    root.set_path(&p("dir"), Attributes { mode: Some(0o777), ..NONE }).unwrap();
    assert_eq!((root.stat_of(&p("file")).mode, root.stat_of(&p("dir")).mode), (0o666, 0o777));
}

/// Runs a program of the attr or acl package; `None` where it is not here, or the filesystem has none of that.
fn run(program: &str, arguments: &[&str], file: &std::path::Path) -> Option<String> {
    let output = std::process::Command::new(program).args(arguments).arg(file).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn the_new_file_gets_the_extended_attributes_of_the_old_one_f122(ground: &Ground) {
    ground.write(&p("old"), b"old");
    ground.write(&p("new"), b"new");
    let root = ground.open();
    // Without any there is nothing to keep, and that is no failure.
    assert_eq!(root.keep_extended(&p("old"), &p("new")), Ok(true));
    if run("setfattr", &["-n", "user.label", "-v", "local"], &ground.at(&p("old"))).is_none() {
        return skip::not_run("no setfattr here, or a filesystem without extended attributes");
    }
    let acl = run("setfacl", &["-m", "u:65534:r"], &ground.at(&p("old"))).is_some();
    assert_eq!(root.keep_extended(&p("old"), &p("new")), Ok(true));
    let told = run("getfattr", &["-d"], &ground.at(&p("new"))).unwrap();
    assert!(told.contains("user.label=\"local\""), "{told}");
    if acl {
        let told = run("getfacl", &["-cpn"], &ground.at(&p("new"))).unwrap();
        assert!(told.contains("user:65534:r--"), "{told}");
    }
    assert_eq!(std::fs::read(ground.at(&p("new"))).unwrap(), b"new");
}

fn a_file_that_a_program_has_open_for_writing_is_not_adopted_f74(ground: &Ground) {
    // A program that another test starts has every descriptor of this process until it runs: also one for writing.
    if !alone::in_a_process() {
        return;
    }
    for (how, adopted) in [("write", false), ("read", true), ("closed", true)] {
        ground.write(&p("file"), b"content");
        // Before the program opens it: an overlay is mounted here, and what was opened below it is a different file.
        let (share, beside) = (ground.open(), ground.open_beside());
        let program = match how {
            "write" => Some(std::fs::OpenOptions::new().read(true).write(true).open(ground.at(&p("file"))).unwrap()),
            "read" => Some(std::fs::File::open(ground.at(&p("file"))).unwrap()),
            _ => None,
        };
        assert_eq!(beside.adopt(&share, &p("file"), &p("taken")), Ok(adopted), "{how}");
        drop(program);
    }
}
