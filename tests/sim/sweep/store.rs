//! The same for the database and the history alone: what was committed is there, whole, and what was not is not there in
//! part.

use std::path::Path;

use owsync::fs::{Fs, FsError};
use owsync::model::settings::HistoryBounds;
use owsync::model::{Digest, Entry, Kind, Record, RelPath, Rng, ShareName, Stamp, StateId, Version, WallTime};
use owsync::store::history::{History, Item};
use owsync::store::state::{Change, State, Token};
use owsync::store::{News, Place, Store, Why};

use super::super::Dice;
use super::super::disk::{Disk, Fault, SimFs};
use super::super::world::{main, path};

type SimRoot = <SimFs as Fs>::Root;

const NOW: WallTime = WallTime(1_795_132_800_000);

const FAULTS: [Fault; 4] = [Fault::Crash, Fault::Kill, Fault::Errno(libc::EIO), Fault::Errno(libc::ENOSPC)];

fn root(disk: &Disk, dir: &str) -> SimRoot {
    SimFs(disk.clone()).open(Path::new(dir)).unwrap()
}

/// The power comes back, or the daemon; what lay unflushed is lost in part if it was the power.
fn restart(disk: &Disk, fault: Fault, seed: u64) {
    if disk.0.borrow().dead && fault == Fault::Crash {
        disk.lose_power(&mut Dice::new(seed));
    }
    disk.boot();
}

fn load(disk: &Disk, boot: u64) -> (Store<SimRoot>, Vec<News>) {
    try_load(disk, boot).unwrap()
}

fn try_load(disk: &Disk, boot: u64) -> Result<(Store<SimRoot>, Vec<News>), FsError> {
    let place = Place {
        root: root(disk, "/state"),
        name: path("owsync.db"),
        run: Some(root(disk, "/run")),
        boot: format!("boot {boot}"),
        rng: Rng::new([boot as u8; 32]),
    };
    Store::load(place, NOW)
}

fn record(step: u64, number: u64) -> Change {
    let version = Version::from_pairs([(StateId(7), number)]);
    let entry = Entry {
        kind: Kind::File,
        digest: Digest::of(&number.to_be_bytes()),
        size: 8,
        mode: 0o644,
        ..Entry::tombstone(version, Stamp { rank: 1, ms: number as i64 })
    };
    let record = Record { seq: step, batch: step, ..Record::new(entry, None) };
    Change::Record(main(), path(&format!("file {}", step % 5)), record)
}

/// A fixed life of a database: `committed` is called with the state after each commit that succeeded.
fn live(store: &mut Store<SimRoot>, mut committed: impl FnMut(&State)) {
    for step in 1..=12 {
        let number = store.next_number(NOW);
        store.change(record(step, number));
        match step % 4 {
            0 => store.change(Change::Drop(main(), path("file 3"))),
            1 => {
                store.change_lazily(Change::Tokens(vec![Token { token: [step as u8; 16], expires: NOW, used: false }]));
            }
            _ => {}
        }
        // A fold comes in between, as at shutdown and when the journal outgrows the document.
        let written = if step % 5 == 0 { store.fold() } else { store.commit() };
        // What could not be written is tried again, as after every input.
        if written.or_else(|_| store.commit()).is_ok() {
            committed(store.state());
        }
    }
}

/// All but the numbers that a restart takes anew.
fn facts(state: &State) -> State {
    State { me: State::new(state.me.plain_id, StateId(1)).me, ..state.clone() }
}

fn with_fault(at: u64, fault: Fault) -> Disk {
    let disk = Disk::new();
    disk.0.borrow_mut().faults.insert(at, fault);
    disk
}

#[test]
fn a_commit_counts_whole_or_not_at_all() {
    // Given how many operations a fixed life of a database takes.
    let disk = Disk::new();
    let (mut store, _) = load(&disk, 1);
    live(&mut store, |_| {});
    let operations = disk.0.borrow().operations;
    assert!(operations > 80, "{operations}");
    for (at, fault) in (0..operations).flat_map(|at| FAULTS.map(|fault| (at, fault))) {
        // When one of them fails.
        let disk = with_fault(at, fault);
        let (mut store, _) = try_load(&disk, 1).unwrap_or_else(|_| {
            // A daemon that cannot load its database ends, and is started again.
            restart(&disk, fault, at);
            load(&disk, 1)
        });
        let (mut last, mut me) = (facts(store.state()), store.state().me.clone());
        live(&mut store, |state| (last, me) = (facts(state), state.me.clone()));
        let in_memory = facts(store.state());
        let died = disk.0.borrow().dead;
        drop(store);
        restart(&disk, fault, at);
        let (store, news) = load(&disk, if fault == Fault::Crash { 2 } else { 1 });
        // Then a restart finds what was last committed, or also what was just being committed.
        let found = facts(store.state());
        let found = State { me: last.me.clone(), ..found };
        let story = format!("{fault:?} at {at}: {news:?}");
        if died {
            let begun = begun_after(&last);
            assert!(
                found == last || Some(&found) == begun.as_ref(),
                "{story}\nfound {}\nlast {}\nbegun {:?}",
                short(&found),
                short(&last),
                begun.as_ref().map(short)
            );
        } else {
            assert_eq!(found, State { me: last.me.clone(), ..in_memory }, "{story}");
        }
        // No number is given out again, and a crash is neither damage nor a restored backup.
        let now = &store.state().me;
        assert!(now.number >= me.number || now.state != me.state, "{story}: {now:?} {me:?}");
        let damage = |news: &News| matches!(news, News::Damaged { .. } | News::SetBack | News::Imported { .. });
        assert!(!news.iter().any(damage), "{story}");
    }
}

/// Which edit each path has.
fn short(state: &State) -> String {
    let records = state.shares.values().flat_map(|share| share.index.iter());
    let records: Vec<String> = records.map(|(path, record)| format!("{path}: {}", record.seq)).collect();
    format!("{records:?}, {} tokens", state.tokens.first().map_or(0, |token| token.token[0]))
}

/// What the next commit of [`live`] would have made of `state`.
fn begun_after(state: &State) -> Option<State> {
    let mut states = Vec::new();
    let (mut store, _) = load(&Disk::new(), 1);
    states.push(facts(store.state()));
    live(&mut store, |state| states.push(facts(state)));
    let of = |other: &State| State { me: state.me.clone(), ..other.clone() };
    // A commit may leave everything as it was.
    let at = states.iter().rposition(|known| of(known) == *state)?;
    states.get(at + 1).map(of)
}

fn content(number: u64) -> Vec<u8> {
    // Two versions have one content.
    format!("content {}", number.min(6)).into_bytes()
}

fn item(number: u64) -> Item {
    Item {
        number: 0,
        share: ShareName::main(),
        path: path(&format!("file {}", number % 3)),
        kind: Kind::File,
        digest: Digest::of(&content(number)),
        size: content(number).len() as u64,
        mtime: NOW,
        mode: 0o600,
        owner: None,
        at: NOW,
        doubtful: false,
        why: Why::Conflict,
        by: None,
        run: number,
        after: None,
        version: Version::UNVERSIONED,
        content: Version::UNVERSIONED,
        seq: 0,
    }
}

fn aside(number: u64) -> RelPath {
    path(&format!("aside {number}"))
}

fn history(disk: &Disk) -> History<SimRoot> {
    let bounds = HistoryBounds { size: 0, days: 1, versions: 1 };
    History::load(root(disk, "/state"), path("owsync.db-history"), bounds).unwrap()
}

/// Seven old files go into history in three commits, each tried again until it succeeds or everything is dead; with what
/// was committed.
fn keep(disk: &Disk) -> Vec<u64> {
    let share = root(disk, "/share");
    let user = disk.user("/share");
    let mut history = history(disk);
    let mut committed = Vec::new();
    for batch in [&[1, 2, 3][..], &[4], &[5, 6, 7]] {
        batch.iter().for_each(|number| assert!(user.write(&aside(*number), &content(*number))));
        for _ in 0..3 {
            let kept = batch.iter().try_for_each(|number| {
                // As after a failure: what is there no longer lies aside.
                if user.read(&aside(*number)).is_none() {
                    return Ok(());
                }
                history.keep(&share, &aside(*number), item(*number)).map(|_| ())
            });
            if kept.and_then(|()| history.commit()).is_ok() {
                committed.extend_from_slice(batch);
                break;
            }
        }
        // Nothing that lost a conflict goes before a day has passed, whatever the bounds say.
        let _ = history.prune(Some(NOW), &Default::default());
    }
    committed
}

#[test]
fn a_content_is_in_history_or_still_where_it_lay() {
    let disk = Disk::new();
    assert_eq!(keep(&disk), [1, 2, 3, 4, 5, 6, 7]);
    let operations = disk.0.borrow().operations;
    assert!(operations > 30, "{operations}");
    for (at, fault) in (0..operations).flat_map(|at| FAULTS.map(|fault| (at, fault))) {
        let disk = with_fault(at, fault);
        let committed = keep(&disk);
        let _died = disk.0.borrow().dead;
        restart(&disk, fault, at);
        let history = history(&disk);
        let (share, state) = (disk.user("/share"), disk.user("/state"));
        let objects = state.files();
        for number in committed {
            // What was committed is listed, and its content is there and whole.
            let listed = history.items().find(|item| item.run == number);
            let object = listed.map(|item| history.object(item.digest).unwrap());
            let found = object.and_then(|object| state.read(&object));
            assert_eq!(found, Some(content(number)), "{fault:?} at {at}: content {number}");
        }
        for number in 1..=7 {
            // What was not lies where it lay, or in the history's directory: the landing knows of it.
            let is = |bytes: &Vec<u8>| *bytes == content(number);
            let somewhere = share.files().values().any(is) || objects.values().any(is);
            assert!(somewhere, "{fault:?} at {at}: content {number} is nowhere");
        }
    }
}
