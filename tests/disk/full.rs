//! A full disk: what did not fit is an error, and everything that was there stays.

use std::time::{Duration, Instant};

use owsync::fs::apply::{self, Refusal};
use owsync::fs::stage::{ArrivalError, Incoming, Staging};
use owsync::fs::{self, Attributes, FsError, Rename, Root};
use owsync::model::{Digest, Kind};

use crate::ground::Ground;
use crate::machine::{Look, Machine, Simulated};
use crate::replacing::{seen_now, stage};
use crate::{alone, p};

/// Bytes of a small disk.
pub const SMALL: u64 = 256 * 1024;

/// A machine whose disk can be made small.
pub trait Small: Machine {
    /// Makes it small, if that is possible here; before the share is opened.
    fn shrink(&self) -> bool;
}

impl Small for Simulated {
    fn shrink(&self) -> bool {
        self.disk.0.borrow_mut().capacity = SMALL;
        true
    }
}

impl Small for Ground {
    /// On an overlay it is the upper layer that is small: as on a router.
    fn shrink(&self) -> bool {
        if !alone::with_mounts() {
            return false;
        }
        if !self.shrink_upper(SMALL) {
            self.mount("tmpfs", "tmpfs", &format!("size={SMALL}"), &self.dir());
        }
        true
    }
}

claims!(
    a_write_that_does_not_fit_fails_and_says_so_f2,
    a_file_that_cannot_be_written_whole_stays_as_it_was_f2,
    what_arrives_and_does_not_fit_leaves_what_was_there_f2,
    a_full_disk_replaces_a_file_or_leaves_it,
);

/// Fills the disk to the last byte; again, if it was filled before.
pub fn fill<R: Root>(root: &R) {
    let file = root.create(&p("ballast")).or_else(|_| root.open_write(&p("ballast"))).unwrap();
    let mut offset = root.stat_file(&file).unwrap().size;
    for piece in [64 * 1024, 4096, 512, 1] {
        let bytes = vec![1; piece];
        while root.write(&file, offset, &bytes).is_ok() {
            offset += piece as u64;
        }
    }
}

/// Makes room again, at once: a program that another test starts at this moment may hold the file open until it runs.
pub fn empty<R: Root>(root: &R) {
    root.truncate(&root.open_write(&p("ballast")).unwrap(), 0).unwrap();
    root.remove(&p("ballast")).unwrap();
}

fn a_write_that_does_not_fit_fails_and_says_so_f2<M: Small>(m: &M) {
    if !m.shrink() {
        return;
    }
    m.write(&p("old"), b"old");
    let root = m.open();
    assert!(root.free().unwrap() <= SMALL);
    let file = root.create(&p("new")).unwrap();
    let error = root.write(&file, 0, &vec![7; 2 * SMALL as usize]).unwrap_err();
    assert!(error.is_full(), "{error}");
    // Part of it is there, as 8,192 of 54,038 bytes were in owsync 1.x (F2): the error is what tells.
    assert!(root.stat_of(&p("new")).size < 2 * SMALL);
    assert!(root.free().unwrap() < 8192);
    root.remove(&p("new")).unwrap();
    drop(file);
    // Another test's program holds the descriptor, too, from its fork to its exec.
    let begun = Instant::now();
    while root.free().unwrap() <= SMALL / 2 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the room does not come back");
        m.tick();
    }
    assert_eq!(m.read(&p("old")).unwrap(), b"old");
}

fn a_file_that_cannot_be_written_whole_stays_as_it_was_f2<M: Small>(m: &M) {
    if !m.shrink() {
        return;
    }
    let old = vec![1; 20_000];
    m.write(&p("state"), &old);
    let root = m.open();
    fill(&root);
    let error = fs::write_whole(&root, &p("state"), &p("state-new"), &vec![2; 30_000]).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert!(m.read(&p("state")).unwrap() == old);
    assert_eq!(m.paths(), [p("ballast"), p("state")]);
    empty(&root);
    fs::write_whole(&root, &p("state"), &p("state-new"), &vec![2; 30_000]).unwrap();
    assert!(m.read(&p("state")).unwrap() == vec![2; 30_000]);
}

fn what_arrives_and_does_not_fit_leaves_what_was_there_f2<M: Small>(m: &M) {
    if !m.shrink() {
        return;
    }
    m.write(&p("file"), b"old");
    let root = m.open();
    let mut staging = Staging::new(1);
    let content = vec![3; 2 * SMALL as usize];
    let name = staging.name(&root).unwrap();
    let mut incoming = Incoming::start(name, Kind::File, content.len() as u64);
    let mut outcome = Ok(());
    for (n, piece) in content.chunks(16 * 1024).enumerate() {
        outcome = incoming.take(&root, n as u64 * 16 * 1024, piece);
        if outcome.is_err() {
            break;
        }
    }
    assert!(matches!(&outcome, Err(ArrivalError::Fs(error)) if error.is_full()), "{outcome:?}");
    assert!(!incoming.is_complete());
    // What arrived in part is not taken for the whole.
    assert_eq!(incoming.finish(&root, Digest::of(&content), Attributes::default()), Err(ArrivalError::OtherDigest));
    staging.close(&root);
    assert_eq!(m.paths(), [p("file")]);
    assert_eq!(m.read(&p("file")).unwrap(), b"old");
}

/// On an overlay the old file must be copied up before it can be swapped out, which takes room.
fn a_full_disk_replaces_a_file_or_leaves_it<M: Small>(m: &M) {
    let old = vec![1; 50_000];
    m.write(&p("file"), &old);
    m.write(&p("gone"), &old);
    if !m.shrink() {
        return;
    }
    // A disk of its own was mounted over what was given.
    if m.read(&p("file")).is_none() {
        m.write(&p("file"), &old);
        m.write(&p("gone"), &old);
    }
    let root = m.open();
    let staged = stage(&root, b"new");
    let (file, gone) = (seen_now(&root, &p("file")), seen_now(&root, &p("gone")));
    fill(&root);
    let full = |refusal: &Refusal| matches!(refusal, Refusal::Fs(error) if error.is_full());
    match apply::put(&root, &staged, &p("file"), Some(file)) {
        Ok(()) => assert!(m.read(&p("file")).unwrap() == b"new" && m.read(&staged).unwrap() == old),
        Err(refusal) => {
            assert!(full(&refusal), "{refusal:?}");
            assert!(m.read(&p("file")).unwrap() == old && m.read(&staged).unwrap() == b"new");
        }
    }
    match apply::delete(&root, &p("gone"), &p("aside"), gone) {
        Ok(()) => assert!(m.read(&p("gone")).is_none() && m.read(&p("aside")).unwrap() == old),
        Err(refusal) => {
            assert!(full(&refusal), "{refusal:?}");
            assert!(m.read(&p("gone")).unwrap() == old && m.read(&p("aside")).is_none());
        }
    }
    // With room again both go.
    empty(&root);
    let _: Result<(), FsError> = root.rename(&p("aside"), &p("gone"), Rename::New);
    if m.read(&p("file")).unwrap() == old {
        apply::put(&root, &staged, &p("file"), Some(seen_now(&root, &p("file")))).unwrap();
    }
    apply::delete(&root, &p("gone"), &p("aside"), seen_now(&root, &p("gone"))).unwrap();
    assert_eq!(m.paths(), [p(".staged"), p("aside"), p("file")]);
}
