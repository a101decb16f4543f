//! The files on disk: the database, its journal, the list of the history. Whatever happened to them, the node starts,
//! what cannot be read is kept, and what is written from there on can be read.

use std::path::Path;

use owsync::fs::Fs;
use owsync::model::settings::HistoryBounds;
use owsync::model::{Digest, Rng, WallTime};
use owsync::store::history::{History, Item};
use owsync::store::state::{Change, State, Token};
use owsync::store::{News, Place, Store};

use super::Source;
use crate::disk::{Disk, SimFs};
use crate::world::path;

type SimRoot = <SimFs as Fs>::Root;

const NOW: WallTime = WallTime(1_795_132_800_000);

fn root(disk: &Disk, dir: &str) -> SimRoot {
    SimFs(disk.clone()).open(Path::new(dir)).expect("a root")
}

fn load(disk: &Disk) -> (Store<SimRoot>, Vec<News>) {
    let place = Place {
        root: root(disk, "/state"),
        name: path("owsync.db"),
        run: None,
        boot: "boot".into(),
        rng: Rng::new([3; 32]),
    };
    Store::load(place, NOW).expect("a disk that works")
}

/// Loads, writes and loads again.
fn goes_on(disk: &Disk) -> Vec<News> {
    let (mut store, news) = load(disk);
    let number = store.next_number(NOW);
    assert!(number > 0);
    store.change(Change::Tokens(vec![Token { token: [1; 16], expires: NOW, used: true }]));
    store.commit().expect("a disk that works");
    let (again, second) = load(disk);
    assert_eq!(kept(again.state()), kept(store.state()));
    assert_eq!(second, [], "what this program wrote is whole");
    news
}

/// The state as it is written: parts of it live only in memory.
fn kept(state: &State) -> Vec<String> {
    state.as_changes().map(|change| format!("{change:?}")).collect()
}

/// What a node knows from what a target was given.
pub fn known_from(target: &str, data: &[u8]) -> Vec<String> {
    let disk = match target {
        "document" => with_document(data),
        "journal" => with_journal(data),
        "history" => return listed(&history_of(&with_index(data))),
        other => panic!("{other} is on no disk"),
    };
    let (store, news) = load(&disk);
    let mut known = kept(store.state());
    known.push(format!("{news:?}"));
    known
}

fn with_document(data: &[u8]) -> Disk {
    let disk = Disk::new();
    disk.user("/state").write(&path("owsync.db"), data);
    disk
}

pub fn document(data: &[u8]) -> bool {
    let disk = with_document(data);
    let mut read = true;
    for said in goes_on(&disk) {
        if let News::Damaged { aside, .. } = said {
            assert_eq!(disk.user("/state").read(&path(&aside)).as_deref(), Some(data), "what was damaged is kept");
            read = false;
        }
    }
    read
}

/// A line with a valid checksum, which random bytes never have.
fn checked(line: &[u8]) -> Vec<u8> {
    let sum = Digest::of(line).to_hex();
    [&sum.as_bytes()[..8], b" ", line, b"\n"].concat()
}

/// Lines of a journal. Where the first byte is even they get their checksums, and a mark behind each.
fn with_journal(data: &[u8]) -> Disk {
    let disk = Disk::new();
    let (mut store, _) = load(&disk);
    store.change(Change::Tokens(Vec::new()));
    store.fold().expect("a disk that works");
    let document = disk.user("/state").read(&path("owsync.db")).expect("a document");
    let head = String::from_utf8_lossy(&document[..64.min(document.len())]).into_owned();
    let mark = head.split("\"mark\":\"").nth(1).and_then(|rest| rest.get(..16)).expect("a mark").to_string();
    let mut source = Source::new(data);
    let mut bytes = checked(format!("{{\"mark\":\"{mark}\"}}").as_bytes());
    if source.byte() & 1 == 0 {
        for line in source.lines() {
            bytes.extend(checked(line));
            bytes.extend(checked(b"{\"mark\":\"0000000000000007\"}"));
        }
    } else {
        bytes.extend(source.take(usize::MAX));
    }
    disk.user("/state").write(&path("owsync.db-journal"), &bytes);
    disk
}

pub fn journal(data: &[u8]) -> bool {
    let news = goes_on(&with_journal(data));
    assert!(!news.iter().any(|said| matches!(said, News::Damaged { .. } | News::Fresh)), "{news:?}");
    !news.iter().any(|said| matches!(said, News::DroppedLines { .. }))
}

/// Lines of the history's list. Where the first byte is even they get their checksums.
fn with_index(data: &[u8]) -> Disk {
    let disk = Disk::new();
    let mut source = Source::new(data);
    let mut bytes = Vec::new();
    if source.byte() & 1 == 0 {
        source.lines().for_each(|line| bytes.extend(checked(line)));
    } else {
        bytes.extend(source.take(usize::MAX));
    }
    disk.user("/state").write(&path("h/index"), &bytes);
    disk
}

fn history_of(disk: &Disk) -> History<SimRoot> {
    let bounds = HistoryBounds { size: 1000, days: 30, versions: 3 };
    History::load(root(disk, "/state"), path("h"), bounds).expect("a disk that works")
}

fn listed(history: &History<SimRoot>) -> Vec<String> {
    history.items().map(|item| format!("{item:?}")).collect()
}

pub fn history(data: &[u8]) -> bool {
    let disk = with_index(data);
    let mut history = history_of(&disk);
    for item in history.items() {
        assert!(history.object(item.digest).is_ok());
    }
    let last = history.items().next_back().cloned();
    let read = last.is_some();
    if let Some(last) = last {
        disk.user("/state").write(&path("replaced"), b"replaced");
        let item = Item { digest: Digest::of(b"replaced"), ..last.clone() };
        let (number, _) = history.keep(&root(&disk, "/state"), &path("replaced"), item).expect("a disk that works");
        assert!(number > last.number, "a number given twice");
    }
    history.size();
    history.prune(Some(NOW), &Default::default()).expect("a disk that works");
    history.commit().expect("a disk that works");
    assert_eq!(listed(&history_of(&disk)), listed(&history));
    read
}
