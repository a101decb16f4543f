//! Tests content: what is read, written, locked, and what an open file is when its name refers to a different one.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use owsync::fs::form::Content;
use owsync::fs::{self, Found, Rename, Root};
use owsync::model::{Kind, RelPath, limits};

use crate::ground::Ground;
use crate::machine::{Look, Machine};
use crate::{alone, p};

claims!(
    what_was_written_is_read,
    writing_where_it_lies_keeps_the_rest,
    a_file_that_was_replaced_while_open_is_still_itself,
    only_one_has_the_lock_and_it_ends_with_its_value,
    what_is_no_regular_file_is_not_opened_f36,
    a_file_is_written_whole_or_stays_as_it_was,
    a_symlinks_text_is_its_content,
    flushing_takes_files_directories_and_everything,
);

mod on_disk {
    use super::*;

    real_claims!(
        a_lock_of_another_process_is_seen,
        sockets_and_devices_are_named_and_not_opened,
        what_may_not_be_read_is_an_error_and_not_missing_f9,
    );
}

fn what_was_written_is_read<M: Machine>(m: &M) {
    let root = m.open();
    let file = root.create(&p("new")).unwrap();
    root.write(&file, 0, b"hello").unwrap();
    root.write(&file, 8, b"world").unwrap();
    let mut buffer = [1; 20];
    assert_eq!(root.read(&file, 0, &mut buffer).unwrap(), 13);
    assert_eq!(&buffer[..13], b"hello\0\0\0world");
    assert_eq!(root.read(&file, 9, &mut buffer[..2]).unwrap(), 2);
    assert_eq!(&buffer[..2], b"or");
    assert_eq!(root.read(&file, 13, &mut buffer).unwrap(), 0);
    assert_eq!(root.read(&file, 1000, &mut buffer).unwrap(), 0);
    root.truncate(&file, 4).unwrap();
    assert_eq!(root.stat_file(&file).unwrap().size, 4);
    root.truncate(&file, 6).unwrap();
    assert_eq!(m.read(&p("new")).unwrap(), b"hell\0\0");
    // More than one call of the system's takes.
    let large: Vec<u8> = (0..3 * limits::STEP + 1).map(|at| (at % 251) as u8).collect();
    root.write(&file, 0, &large).unwrap();
    let mut all = vec![0; large.len() + 10];
    assert_eq!(root.read(&file, 0, &mut all).unwrap(), large.len());
    assert!(all[..large.len()] == large);
}

fn writing_where_it_lies_keeps_the_rest<M: Machine>(m: &M) {
    m.write(&p("file"), b"0123456789");
    m.chmod(&p("file"), 0o640);
    let root = m.open();
    let file = root.open_write(&p("file")).unwrap();
    root.write(&file, 3, b"xyz").unwrap();
    assert_eq!(m.read(&p("file")).unwrap(), b"012xyz6789");
    assert_eq!(root.stat_of(&p("file")).mode, 0o640);
    assert!(root.open_write(&p("none")).err().unwrap().is_missing());
    assert!(root.open_file(&p("none")).err().unwrap().is_missing());
}

fn a_file_that_was_replaced_while_open_is_still_itself<M: Machine>(m: &M) {
    m.write(&p("file"), b"old");
    let root = m.open();
    let open = root.open_file(&p("file")).unwrap();
    let old = root.stat_file(&open).unwrap();
    assert_eq!(old, root.stat_of(&p("file")));
    // When an editor renames another over it,
    m.write(&p("file"), b"newer");
    let mut buffer = [0; 8];
    assert_eq!(root.read(&open, 0, &mut buffer).unwrap(), 3);
    assert_eq!(&buffer[..3], b"old");
    assert_eq!(root.stat_file(&open).unwrap().inode, old.inode);
    // then its path names another.
    assert_ne!(root.stat_of(&p("file")).inode, old.inode);
    assert!(!root.stat_of(&p("file")).same_file(&old));
    // What is set on the open one does not reach the other.
    let mode = fs::Attributes { mode: Some(0o600), ..Default::default() };
    if let Err(error) = root.set_file(&open, mode) {
        // overlayfs cannot copy up a file of its lower layer any more once its name refers to a different one.
        assert!(error.exists(), "{error}");
    }
    assert_eq!(root.stat_of(&p("file")).mode, 0o644);
    // And what is written where it lies is seen in both.
    let again = root.open_file(&p("file")).unwrap();
    m.tick();
    m.write_in_place(&p("file"), b"newest");
    assert_eq!(root.read(&again, 0, &mut buffer).unwrap(), 6);
    assert_eq!(root.stat_file(&again).unwrap(), root.stat_of(&p("file")));
}

fn only_one_has_the_lock_and_it_ends_with_its_value<M: Machine>(m: &M) {
    m.write(&p("file"), b"x");
    m.write(&p("other"), b"x");
    let root = m.open();
    let (one, two) = (root.open_file(&p("file")).unwrap(), root.open_file(&p("file")).unwrap());
    let lock = root.lock(&one).unwrap();
    assert!(root.lock(&two).err().unwrap().is_busy());
    root.lock(&root.open_file(&p("other")).unwrap()).unwrap();
    drop(lock);
    let lock = root.lock(&two).unwrap();
    // The lock is the file's, whatever it is called, and it outlives the handle it was taken with.
    drop(two);
    root.rename(&p("file"), &p("renamed"), Rename::New).unwrap();
    assert!(root.lock(&root.open_file(&p("renamed")).unwrap()).err().unwrap().is_busy());
    drop(lock);
    root.lock(&one).unwrap();
}

fn what_is_no_regular_file_is_not_opened_f36<M: Machine>(m: &M) {
    m.make_fifo(&p("fifo"));
    m.make_dir(&p("dir"));
    let root = m.open();
    assert_eq!(root.stat(&p("fifo")), Ok(Some(Found::Special("fifo"))));
    let mut dir = root.open_dir(None).unwrap();
    let found = root.read_dir(&mut dir, 10).unwrap();
    assert!(found.contains(&(b"fifo".to_vec(), Found::Special("fifo"))));
    // No process writes to it or reads: opening it as other programs do would wait for ever.
    assert!(root.open_file(&p("fifo")).err().unwrap().is_missing());
    assert!(root.open_write(&p("fifo")).err().unwrap().is_missing());
    assert!(Content::open(&root, &p("fifo"), Kind::File).is_err());
    for result in [root.open_file(&p("dir")), root.open_write(&p("dir"))] {
        assert!(matches!(result.err().unwrap().errno, libc::ENOENT | libc::EISDIR));
    }
}

fn a_file_is_written_whole_or_stays_as_it_was<M: Machine>(m: &M) {
    m.write(&p("state"), b"old");
    m.make_dir(&p("dir"));
    let root = m.open();
    assert_eq!(fs::read_whole(&root, &p("none"), 10), Ok(None));
    assert_eq!(fs::read_whole(&root, &p("state"), 2).unwrap_err().errno, libc::EFBIG);
    assert_eq!(fs::read_whole(&root, &p("state"), 3).unwrap().unwrap(), b"old");
    // A leftover of a crash beside it disturbs nothing,
    root.create(&p("state-new")).unwrap();
    fs::write_whole(&root, &p("state"), &p("state-new"), b"new state").unwrap();
    assert_eq!(m.read(&p("state")).unwrap(), b"new state");
    assert_eq!(root.stat_of(&p("state")).mode, 0o600);
    // and what could not be put in place is not left there.
    assert!(fs::write_whole(&root, &p("dir"), &p("state-new"), b"x").is_err());
    assert_eq!(m.paths(), [p("dir"), p("state")]);
}

fn a_symlinks_text_is_its_content<M: Machine>(m: &M) {
    m.make_link(&p("link"), b"some/where");
    m.write(&p("file"), b"x");
    let root = m.open();
    let content = Content::open(&root, &p("link"), Kind::Symlink).unwrap();
    let mut buffer = [0; 4];
    assert_eq!(content.read(&root, 5, &mut buffer).unwrap(), 4);
    assert_eq!(&buffer, b"wher");
    assert_eq!(content.stat().size, 10);
    // It became something else since the last check.
    assert!(Content::open(&root, &p("file"), Kind::Symlink).err().unwrap().is_missing());
    assert!(Content::open(&root, &p("link"), Kind::File).err().unwrap().is_symlink());
}

fn flushing_takes_files_directories_and_everything<M: Machine>(m: &M) {
    m.make_dir(&p("dir"));
    let root = m.open();
    let file = root.create(&p("dir/file")).unwrap();
    root.write(&file, 0, b"x").unwrap();
    root.sync(&file).unwrap();
    root.sync_dir(Some(&p("dir"))).unwrap();
    root.sync_dir(None).unwrap();
    root.sync_all().unwrap();
    assert!(root.free().unwrap() > 0);
    assert_eq!(root.sync_dir(Some(&p("dir/file"))).unwrap_err().errno, libc::ENOTDIR);
}

/// A process that holds a file's lock, as `uci` does while it writes, until this value goes.
pub struct Holder {
    process: std::process::Child,
    /// Kept open, so that the process can say how it ended.
    _output: BufReader<std::process::ChildStdout>,
}

impl Holder {
    pub fn of(ground: &Ground, path: &RelPath) -> Holder {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "content::another_process", "--ignored", "--nocapture"]);
        command.env("OWSYNC_DISK_LOCK", ground.at(path)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let locked = output.by_ref().lines().any(|line| line.unwrap().ends_with("locked"));
        assert!(locked, "the other process has no lock");
        Holder { process, _output: output }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "a process that another test starts"]
fn another_process() {
    let Some(path) = std::env::var_os("OWSYNC_DISK_LOCK") else { return };
    let file = std::fs::File::open(path).unwrap();
    let _lock = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).map_err(|(_, errno)| errno).unwrap();
    println!("locked");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn a_lock_of_another_process_is_seen(ground: &Ground) {
    ground.write(&p("file"), b"x");
    let root = ground.open();
    let file = root.open_file(&p("file")).unwrap();
    let holder = Holder::of(ground, &p("file"));
    assert!(root.lock(&file).err().unwrap().is_busy());
    drop(holder);
    root.lock(&file).unwrap();
}

fn sockets_and_devices_are_named_and_not_opened(ground: &Ground) {
    ground.write(&p("dir/x"), b"x");
    let root = ground.open();
    // The name of a socket may be too long where the share lies deep: from its directory it is short.
    let link = std::env::temp_dir().join(format!("owsync-disk-{}", std::process::id()));
    std::os::unix::fs::symlink(ground.dir(), &link).unwrap();
    let made = std::os::unix::net::UnixListener::bind(link.join("socket"));
    std::fs::remove_file(&link).unwrap();
    made.unwrap();
    assert_eq!(root.stat(&p("socket")), Ok(Some(Found::Special("socket"))));
    assert!(root.open_file(&p("socket")).is_err() && root.open_write(&p("socket")).is_err());

    for (kind, word) in [("c", "character device"), ("b", "block device")] {
        let path = p(kind);
        let made = Command::new("mknod").arg(ground.at(&path)).args([kind, "1", "3"]).output();
        // Only root makes devices, and not in a namespace of its own.
        if made.is_ok_and(|output| output.status.success()) {
            assert_eq!(root.stat(&path), Ok(Some(Found::Special(word))));
            assert!(root.open_file(&path).is_err());
        }
    }
}

fn what_may_not_be_read_is_an_error_and_not_missing_f9(ground: &Ground) {
    if !alone::in_a_process() {
        return;
    }
    ground.write(&p("file"), b"x");
    ground.chmod(&p("file"), 0);
    ground.write(&p("closed/file"), b"x");
    ground.chmod(&p("closed"), 0);
    ground.write(&p("listed/file"), b"x");
    ground.chmod(&p("listed"), 0o444);
    let root = ground.open();
    if !alone::become_nobody() {
        return;
    }
    for error in [
        root.open_file(&p("file")).err(),
        root.open_dir(Some(&p("closed"))).err(),
        root.stat(&p("closed/file")).err(),
        root.open_file(&p("closed/file")).err(),
        root.stat(&p("listed/file")).err(),
    ] {
        let error = error.expect("nobody may do that");
        assert!(error.errno == libc::EACCES && !error.is_missing(), "{error}");
    }
    // Names can be read where nothing behind them can: that is no end of the directory either.
    let mut dir = root.open_dir(Some(&p("listed"))).unwrap();
    assert_eq!(root.read_dir(&mut dir, 10).unwrap_err().errno, libc::EACCES);
}
