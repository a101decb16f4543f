//! The database and the history on a disk that fills up, and what is found damaged at a start.

use owsync::fs::{Fs, Root};
use owsync::model::settings::HistoryBounds;
use owsync::model::{Digest, Kind, Rng, ShareName, Version, WallTime};
use owsync::store::history::{History, Item, Room};
use owsync::store::state::{Change, Me, ShareMeta, Why};
use owsync::store::{News, Place, Store};

use crate::full::{Small, empty, fill};
use crate::machine::{Look, Machine};
use crate::p;

claims!(
    a_database_that_cannot_be_written_is_the_one_before_f22,
    a_damaged_database_is_set_aside_and_begun_anew_f14,
    the_torn_end_of_a_journal_is_dropped,
    a_database_that_was_copied_back_is_another_life_of_it,
    what_was_replaced_is_in_history_for_its_owner_alone_f51,
    a_content_that_is_damaged_in_history_is_taken_in_anew_f74,
    a_history_that_was_removed_is_begun_anew,
    history_keeps_what_its_mode_lets_nobody_read,
    history_that_cannot_be_written_leaves_the_file_where_it_was,
    history_on_another_disk_holds_copies,
);

pub const NOW: WallTime = WallTime(1_800_000_000_000);

fn main_share() -> ShareName {
    ShareName::parse("main").unwrap()
}

fn load<M: Machine>(m: &M, run: Option<M::Root>) -> (Store<M::Root>, Vec<News>) {
    let place = Place { root: m.open(), name: p("owsync.db"), run, boot: "this boot".into(), rng: Rng::new([7; 32]) };
    Store::load(place, NOW).unwrap()
}

/// A change of the state that takes this many bytes on disk.
fn change(mark: &str, size: usize) -> Change {
    Change::Share(main_share(), ShareMeta { filesystem: format!("{mark}{}", "x".repeat(size)), ..ShareMeta::default() })
}

/// Which change was made last.
fn mark<R: Root>(store: &Store<R>) -> Option<String> {
    let filesystem = &store.state().shares.get(&main_share())?.meta.filesystem;
    Some(filesystem.trim_end_matches('x').to_string())
}

fn a_database_that_cannot_be_written_is_the_one_before_f22<M: Small>(m: &M) {
    if !m.shrink() {
        return;
    }
    // Given a document and a journal,
    let (mut store, news) = load(m, None);
    assert_eq!(news, [News::Fresh]);
    store.change(change("one ", 20_000));
    store.commit().unwrap();
    store.change(change("two ", 10_000));
    store.commit().unwrap();
    assert!(m.read(&p("owsync.db-journal")).is_some());
    // when the disk is full,
    fill(store.root());
    store.change(change("three ", 15_000));
    let error = store.commit().unwrap_err();
    assert!(error.is_full(), "{error}");
    // then nothing may be told, everything is remembered, trying again changes nothing,
    assert!(store.is_dirty());
    assert_eq!(mark(&store).unwrap(), "three ");
    assert!(store.commit().unwrap_err().is_full());
    assert!(store.fold().unwrap_err().is_full());
    // a start at this moment finds what was reported before,
    assert_eq!(mark(&load(m, None).0).unwrap(), "two ");
    // and with room it continues as if nothing had been.
    empty(store.root());
    store.commit().unwrap();
    assert!(!store.is_dirty());
    store.change(change("four ", 100));
    store.commit().unwrap();
    drop(store);
    let (store, news) = load(m, None);
    assert_eq!((mark(&store).unwrap().as_str(), news.len()), ("four ", 0));
    for path in ["owsync.db", "owsync.db-journal"] {
        assert_eq!(store.root().stat_of(&p(path)).mode, 0o600, "{path}");
    }
    assert_eq!(m.read(&p("owsync.db-new")), None);
}

fn a_damaged_database_is_set_aside_and_begun_anew_f14<M: Machine>(m: &M) {
    for damage in [
        "{\"owsync\":3,\"mark\":\"00",
        "{\"owsync\":2,\"mark\":\"0000000000000000\",\"state\":[]}",
        "not a database",
        "{\"owsync\":99,\"state\":[]}",
        "[]",
    ] {
        m.write(&p("owsync.db"), damage.as_bytes());
        m.write(&p("owsync.db-journal"), b"of the damaged one");
        let (mut store, news) = load(m, None);
        let [News::Damaged { aside, why }] = &news[..] else { panic!("{damage}: {news:?}") };
        assert_eq!(aside, "owsync.db.damaged-1800000000");
        assert!(!why.is_empty());
        assert_eq!(m.read(&p("owsync.db-journal")), None, "it belongs to nothing");
        // A new node; the old database is kept for the user.
        assert!(store.state().shares.is_empty());
        assert_eq!(m.read(&p(aside)).unwrap(), damage.as_bytes());
        store.change(change("new ", 10));
        store.commit().unwrap();
        drop(store);
        let (store, news) = load(m, None);
        assert_eq!((mark(&store).unwrap().as_str(), news), ("new ", vec![]));
        m.remove(&p("owsync.db"));
    }
    // An empty file, as some filesystems leave after a power cut, holds nothing to keep.
    m.write(&p("owsync.db"), b"");
    assert_eq!(load(m, None).1, [News::Fresh]);
}

fn the_torn_end_of_a_journal_is_dropped<M: Machine>(m: &M) {
    let (mut store, _) = load(m, None);
    store.change(change("one ", 10));
    store.commit().unwrap();
    let mut whole = 0;
    for mark in ["two ", "three "] {
        whole = m.read(&p("owsync.db-journal")).map_or(0, |journal| journal.len());
        store.change(change(mark, 100));
        store.commit().unwrap();
    }
    let life = store.state().me.state;
    let torn = m.read(&p("owsync.db-journal")).unwrap();
    drop(store);
    m.write(&p("owsync.db-journal"), &torn[..torn.len() - 30]);
    let (store, news) = load(m, None);
    assert_eq!(mark(&store).unwrap(), "two ");
    assert_eq!(news, [News::DroppedLines { bytes: (torn.len() - 30 - whole) as u64 }]);
    // Numbers of the lines that were dropped may have been told: none of them is given again.
    assert_ne!(store.state().me.state, life);
}

fn a_database_that_was_copied_back_is_another_life_of_it<M: Machine>(m: &M) {
    let (mut store, _) = load(m, Some(m.open_beside()));
    store.change(change("one ", 10));
    store.commit().unwrap();
    store.fold().unwrap();
    let backup = m.read(&p("owsync.db")).unwrap();
    // Of two writes: the mark before the latest counts too, because a crash may have kept the latest from the disk.
    for mark in ["two ", "three "] {
        store.change(change(mark, 10));
        store.fold().unwrap();
    }
    let Me { state: life, .. } = store.state().me;
    drop(store);
    // Started again it is the same life,
    let (store, news) = load(m, Some(m.open_beside()));
    assert_eq!((news, store.state().me.state), (vec![], life));
    drop(store);
    // restored from a backup it is a different one.
    m.write(&p("owsync.db"), &backup);
    let (store, news) = load(m, Some(m.open_beside()));
    assert_eq!((news, mark(&store).unwrap().as_str()), (vec![News::SetBack], "one "));
    assert_ne!(store.state().me.state, life);
}

fn history<R: Root>(root: R) -> History<R> {
    History::load(root, p("owsync.db-history"), HistoryBounds::default()).unwrap()
}

pub fn item(path: &str, content: &[u8], why: Why) -> Item {
    Item {
        number: 0,
        share: main_share(),
        path: p(path),
        kind: Kind::File,
        digest: Digest::of(content),
        size: content.len() as u64,
        mtime: NOW,
        mode: 0o4755,
        owner: None,
        at: NOW,
        doubtful: false,
        why,
        by: None,
        run: 1,
        after: None,
        version: Version::UNVERSIONED,
        content: Version::UNVERSIONED,
        seq: 0,
    }
}

fn what_was_replaced_is_in_history_for_its_owner_alone_f51<M: Machine>(m: &M) {
    // Given a tool that everybody may run as root,
    m.write(&p("tool"), b"run me");
    m.chmod(&p("tool"), 0o6755);
    m.make_link(&p("link"), b"tool");
    let (share, beside) = (m.open(), m.open_beside());
    let mut history = history(beside);
    // when it is replaced,
    let (number, _) = history.keep(&share, &p("tool"), item("tool", b"run me", Why::Replaced)).unwrap();
    let link = Item { kind: Kind::Symlink, ..item("link", b"tool", Why::Deleted) };
    history.keep(&share, &p("link"), link).unwrap();
    history.commit().unwrap();
    // then no other user can read it, and no user can run it there,
    assert_eq!(m.paths(), []);
    for content in [&b"run me"[..], b"tool"] {
        let object = history.object(Digest::of(content)).unwrap();
        let stat = history.root().stat_of(&object);
        assert_eq!((stat.kind, stat.mode), (Kind::File, 0o600));
        assert_eq!(owsync::fs::read_whole(history.root(), &object, 100).unwrap().unwrap(), content);
    }
    for dir in ["owsync.db-history", "owsync.db-history/objects"] {
        assert_eq!(history.root().stat_of(&p(dir)).mode, 0o700);
    }
    // and its own mode is known.
    let mut again = crate::stores::history(m.open_beside());
    assert_eq!(again.item(number).map(|item| (item.mode, &item.path)), Some((0o4755, &p("tool"))));
    assert_eq!(again.items().count(), 2);
    // A number is given once, also across a restart.
    m.write(&p("more"), b"more");
    let (next, _) = again.keep(&share, &p("more"), item("more", b"more", Why::Replaced)).unwrap();
    assert_eq!(again.items().map(|item| item.number).collect::<Vec<_>>(), [number, number + 1, next]);
}

fn a_history_that_was_removed_is_begun_anew<M: Machine>(m: &M) {
    let mut history = history(m.open_beside());
    let keep = |history: &mut History<M::Root>, name: &str| {
        m.write(&p(name), name.as_bytes());
        history.keep(&m.open(), &p(name), item(name, name.as_bytes(), Why::Conflict)).map(|_| ())
    };
    let remove = |history: &History<M::Root>, name: &str, index: bool| {
        let root = history.root();
        root.remove(&history.object(Digest::of(name.as_bytes())).unwrap()).unwrap();
        root.remove_dir(&p("owsync.db-history/objects")).unwrap();
        if index {
            root.remove(&p("owsync.db-history/index")).unwrap();
        }
        root.remove_dir(&p("owsync.db-history")).unwrap();
    };
    keep(&mut history, "one").unwrap();
    history.commit().unwrap();
    remove(&history, "one", true);
    // What cannot be moved there stays where it is, and the next attempt makes the directories.
    assert!(keep(&mut history, "two").unwrap_err().is_missing());
    assert_eq!(m.read(&p("two")).unwrap(), b"two");
    keep(&mut history, "two").unwrap();
    remove(&history, "two", false);
    assert!(history.commit().unwrap_err().is_missing());
    history.commit().unwrap();
    keep(&mut history, "three").unwrap();
    history.commit().unwrap();
    assert!(history.is_intact(Digest::of(b"three")).unwrap());
    assert!(!history.is_intact(Digest::of(b"two")).unwrap());
}

fn a_content_that_is_damaged_in_history_is_taken_in_anew_f74<M: Machine>(m: &M) {
    let share = m.open();
    let mut history = history(m.open_beside());
    m.write(&p("file"), b"content");
    history.keep(&share, &p("file"), item("file", b"content", Why::Conflict)).unwrap();
    history.commit().unwrap();
    let digest = Digest::of(b"content");
    let object = history.object(digest).unwrap();
    let file = history.root().open_write(&object).unwrap();
    history.root().write(&file, 0, b"damaged").unwrap();
    // The text of a symlink is copied, and only where it is not there already.
    m.make_link(&p("link"), b"content");
    let link = Item { kind: Kind::Symlink, ..item("link", b"content", Why::Conflict) };
    history.keep(&share, &p("link"), link).unwrap();
    history.commit().unwrap();
    assert!(history.is_intact(digest).unwrap());
}

fn history_keeps_what_its_mode_lets_nobody_read<M: Machine>(m: &M) {
    // Given what a daemon that is not root was sent and could not open again,
    for mode in [0, 0o044, 0o200] {
        let content = format!("mode {mode:o}");
        m.write(&p("file"), content.as_bytes());
        m.chmod(&p("file"), mode);
        let mut history = history(m.open_beside());
        // when it is kept,
        history.keep(&m.open(), &p("file"), item("file", content.as_bytes(), Why::Conflict)).unwrap();
        history.commit().unwrap();
        // then it can be given back.
        let object = history.object(Digest::of(content.as_bytes())).unwrap();
        assert_eq!(history.root().stat_of(&object).mode, 0o600);
        assert_eq!(owsync::fs::read_whole(history.root(), &object, 100).unwrap().unwrap(), content.as_bytes());
    }
}

fn history_that_cannot_be_written_leaves_the_file_where_it_was<M: Small>(m: &M) {
    // The share is on another disk than the history, which is full.
    let (content, more) = (vec![5; 40_000], vec![6; 40_000]);
    if !m.shrink() {
        return;
    }
    let share = m.open_beside();
    let make = |path: &str, bytes: &[u8]| {
        let file = share.create(&p(path)).unwrap();
        share.write(&file, 0, bytes).unwrap();
    };
    make("file", &content);
    make("more", &more);
    let small: Vec<String> = (0..200).map(|n| format!("{n}-{}", "n".repeat(200))).collect();
    small.iter().for_each(|path| make(path, b""));
    let there = |path: &str| owsync::fs::read_whole(&share, &p(path), 1 << 20).unwrap();
    let mut history = history(m.open());
    history.keep(&share, &p("file"), item("file", &content, Why::Conflict)).unwrap();
    history.commit().unwrap();
    fill(history.root());
    // What must be kept has no room; what need not be goes.
    let digest = Digest::of(&more);
    assert_eq!(history.room(digest, more.len() as u64, Why::Conflict, 1), Room::Full);
    assert_eq!(history.room(digest, more.len() as u64, Why::Replaced, 1), Room::LetGo);
    assert_eq!(history.room(Digest::of(&content), 40_000, Why::Conflict, 1), Room::Keep);
    // An attempt all the same loses nothing, and takes no room for what is of no use.
    match history.keep(&share, &p("more"), item("more", &more, Why::Conflict)) {
        Ok(_) => assert!(history.root().stat(&history.object(digest).unwrap()).unwrap().is_some()),
        Err(error) => {
            assert!(error.is_full(), "{error}");
            assert!(there("more").unwrap() == more);
            assert_eq!(history.root().stat(&p("owsync.db-history/objects/incoming")), Ok(None));
            assert_eq!(history.items().count(), 1);
            empty(history.root());
            history.keep(&share, &p("more"), item("more", &more, Why::Conflict)).unwrap();
            fill(history.root());
        }
    }
    // A list that cannot be written is written at the next try, whole.
    for path in &small {
        history.keep(&share, &p(path), item(path, b"", Why::Replaced)).unwrap();
    }
    fill(history.root());
    assert!(history.commit().unwrap_err().is_full());
    assert!(history.commit().unwrap_err().is_full());
    empty(history.root());
    history.commit().unwrap();
    let known: Vec<u64> = history.items().map(|item| item.number).collect();
    let again = crate::stores::history(m.open());
    assert_eq!(again.items().map(|item| item.number).collect::<Vec<_>>(), known);
}

/// History and share on different filesystems: /etc/owsync on flash, a share on a disk.
fn history_on_another_disk_holds_copies<M: Small>(m: &M) {
    if !m.shrink() {
        return;
    }
    m.write(&p("file"), b"content");
    m.chmod(&p("file"), 0o644);
    let share = m.open();
    let mut history = history(m.open_beside());
    history.keep(&share, &p("file"), item("file", b"content", Why::Deleted)).unwrap();
    history.commit().unwrap();
    assert_eq!(share.stat(&p("file")), Ok(None));
    let object = history.object(Digest::of(b"content")).unwrap();
    assert_eq!(history.root().stat_of(&object).mode, 0o600);
    // The same content again takes no room.
    m.write(&p("other"), b"content");
    history.keep(&share, &p("other"), item("other", b"content", Why::Replaced)).unwrap();
    assert_eq!((history.size(), history.items().count()), (7, 2));
    assert_eq!(m.read(&p("other")), None);
    assert!(m.fs().open("/nowhere/at/all".as_ref()).is_err());
}
