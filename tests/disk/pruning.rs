//! What goes from history, in which order, and what never goes before its time.

use owsync::fs::Root;
use owsync::model::settings::HistoryBounds;
use owsync::model::{Digest, Set, WallTime};
use owsync::store::history::{History, Item};
use owsync::store::state::Why;

use crate::machine::Machine;
use crate::p;
use crate::stores::{NOW, item};

claims!(
    what_is_older_goes_first_and_the_newest_version_of_a_path_last,
    a_path_has_so_many_versions_and_no_more,
    a_base_is_not_dropped_for_the_number_of_versions_but_for_its_size_and_age,
    what_is_too_old_goes_and_with_0_days_nothing_does,
    what_nobody_gave_up_is_kept_for_a_day_whatever_the_bounds,
    a_clock_that_is_not_to_be_believed_drops_nothing_for_its_age,
    a_content_goes_with_the_last_version_that_has_it,
    a_large_content_goes_first_and_takes_nobodys_place_f121,
    as_many_go_at_once_as_must,
);

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Without bounds but those that a test names.
const ALL: HistoryBounds = HistoryBounds { size: u64::MAX, days: 0, versions: u32::MAX };

fn after(ms: i64) -> WallTime {
    WallTime(NOW.0 + ms)
}

/// A history of one hundred bytes each: path, letter of its content, why, and when it came.
fn history<M: Machine>(m: &M, versions: &[(&str, u8, Why, i64)]) -> History<M::Root> {
    let share = m.open();
    let mut history = History::load(m.open_beside(), p("owsync.db-history"), ALL).unwrap();
    for &(path, letter, why, at) in versions {
        let content = [letter; 100];
        m.write(&p(path), &content);
        let kept = Item { at: after(at), ..item(path, &content, why) };
        history.keep(&share, &p(path), kept).unwrap();
    }
    history.commit().unwrap();
    history
}

/// What is listed, in order; every content of it is there, also for the next start, and no other.
fn left<M: Machine>(m: &M, history: &History<M::Root>) -> String {
    let again = History::load(m.open_beside(), p("owsync.db-history"), ALL).unwrap();
    assert!(again.items().eq(history.items()), "the list on disk is the one in memory");
    let letter = |item: &Item| (b'a'..=b'z').find(|&letter| Digest::of(&[letter; 100]) == item.digest).unwrap();
    let listed: Vec<u8> = history.items().map(letter).collect();
    for letter in b'a'..=b'z' {
        let object = history.object(Digest::of(&[letter; 100])).unwrap();
        let lies = history.root().stat(&object).unwrap().is_some();
        assert_eq!(lies, listed.contains(&letter), "{}", char::from(letter));
    }
    String::from_utf8(listed).unwrap()
}

/// Prunes with these bounds at this time; what is left.
fn pruned<M: Machine>(m: &M, history: &mut History<M::Root>, bounds: HistoryBounds, at: Option<i64>) -> String {
    history.set_bounds(bounds);
    history.prune(at.map(after), &Set::new()).unwrap();
    left(m, history)
}

fn what_is_older_goes_first_and_the_newest_version_of_a_path_last<M: Machine>(m: &M) {
    // The only version of `w` is the oldest of all.
    let versions = [("w", b'a'), ("x", b'b'), ("x", b'c'), ("y", b'd'), ("x", b'e'), ("y", b'f')];
    let mut history = history(m, &versions.map(|(path, letter)| (path, letter, Why::Replaced, 0)));
    for (size, expected) in
        [(600, "abcdef"), (599, "acdef"), (400, "adef"), (300, "aef"), (200, "ef"), (199, "f"), (0, "")]
    {
        assert_eq!(pruned(m, &mut history, HistoryBounds { size, ..ALL }, Some(0)), expected, "{size} bytes");
    }
}

fn a_base_is_not_dropped_for_the_number_of_versions_but_for_its_size_and_age<M: Machine>(m: &M) {
    let mut history = history(m, &[b'a', b'b', b'c', b'd'].map(|letter| ("x", letter, Why::Replaced, 0)));
    let bases = Set::from_iter([history.items().nth(1).unwrap().number]);
    for (bounds, at, expected) in [
        (HistoryBounds { versions: 1, ..ALL }, 0, "bd"),
        (HistoryBounds { days: 1, ..ALL }, DAY, "bd"),
        (HistoryBounds { size: 100, ..ALL }, 0, "d"),
        (HistoryBounds { days: 1, ..ALL }, 2 * DAY, ""),
    ] {
        history.set_bounds(bounds);
        history.prune(Some(after(at)), &bases).unwrap();
        assert_eq!(left(m, &history), expected);
    }
}

fn a_path_has_so_many_versions_and_no_more<M: Machine>(m: &M) {
    let versions = [("x", b'a'), ("y", b'b'), ("x", b'c'), ("x", b'd')].map(|(p, l)| (p, l, Why::Replaced, 0));
    let mut history = history(m, &versions);
    for (most, expected) in [(3, "abcd"), (2, "bcd"), (1, "bd"), (0, "")] {
        assert_eq!(pruned(m, &mut history, HistoryBounds { versions: most, ..ALL }, Some(0)), expected, "{most}");
    }
}

fn what_is_too_old_goes_and_with_0_days_nothing_does<M: Machine>(m: &M) {
    let versions = [("x", b'a', Why::Replaced, 0), ("x", b'b', Why::Deleted, DAY), ("y", b'c', Why::Created, 3 * DAY)];
    let mut history = history(m, &versions);
    assert_eq!(pruned(m, &mut history, HistoryBounds { days: 0, ..ALL }, Some(10_000 * DAY)), "abc");
    let bounds = HistoryBounds { days: 2, ..ALL };
    for (at, expected) in [(2 * DAY, "abc"), (2 * DAY + 1, "bc"), (3 * DAY + 1, "c"), (5 * DAY + 1, "")] {
        assert_eq!(pruned(m, &mut history, bounds, Some(at)), expected, "after {at} ms");
    }
}

fn what_nobody_gave_up_is_kept_for_a_day_whatever_the_bounds<M: Machine>(m: &M) {
    let nothing = HistoryBounds { size: 0, days: 1, versions: 0 };
    let kept = [Why::Conflict, Why::FirstContact, Why::Deleted, Why::Given, Why::OnTrial];
    for why in kept {
        let mut history = history(m, &[("x", b'a', why, 0), ("x", b'b', Why::Replaced, 0), ("x", b'c', why, HOUR)]);
        assert_eq!(pruned(m, &mut history, nothing, Some(HOUR)), "ac", "{why:?}");
        assert_eq!(pruned(m, &mut history, nothing, Some(DAY - 1)), "ac", "{why:?}");
        assert_eq!(pruned(m, &mut history, nothing, Some(DAY)), "c", "{why:?}");
        assert_eq!(pruned(m, &mut history, nothing, Some(DAY + HOUR)), "", "{why:?}");
    }
    // What makes room for it is whatever need not be kept, also where that is newer.
    let mut history = history(m, &[("x", b'a', Why::Conflict, 0), ("x", b'b', Why::Replaced, HOUR)]);
    assert_eq!(pruned(m, &mut history, HistoryBounds { size: 100, ..ALL }, Some(2 * HOUR)), "a");
}

fn a_clock_that_is_not_to_be_believed_drops_nothing_for_its_age<M: Machine>(m: &M) {
    let mut history = history(m, &[("x", b'a', Why::Conflict, 0), ("y", b'b', Why::Replaced, 0)]);
    let bounds = HistoryBounds { days: 1, ..ALL };
    assert_eq!(pruned(m, &mut history, bounds, None), "ab");
    assert_eq!(pruned(m, &mut history, HistoryBounds { size: 0, ..ALL }, None), "a", "its day has not begun");
    // What came while the clock was wrong counts from when it was right again.
    m.write(&p("z"), &[b'd'; 100]);
    let doubtful = Item { at: after(-900 * DAY), doubtful: true, ..item("z", &[b'd'; 100], Why::Conflict) };
    history.keep(&m.open(), &p("z"), doubtful).unwrap();
    history.commit().unwrap();
    assert_eq!(pruned(m, &mut history, bounds, Some(2 * DAY)), "d");
    assert_eq!(pruned(m, &mut history, bounds, Some(3 * DAY)), "d");
    assert_eq!(pruned(m, &mut history, bounds, Some(3 * DAY + 1)), "");
}

fn a_content_goes_with_the_last_version_that_has_it<M: Machine>(m: &M) {
    // The same content as a conflict's loser and as a version that was replaced: it takes its room once.
    let versions = [("x", b'a', Why::Conflict, 0), ("y", b'a', Why::Replaced, 0), ("x", b'b', Why::Replaced, 0)];
    let mut history = history(m, &versions);
    assert_eq!(history.size(), 200);
    assert_eq!(pruned(m, &mut history, HistoryBounds { size: 200, ..ALL }, Some(0)), "aab");
    assert_eq!(pruned(m, &mut history, HistoryBounds { size: 0, ..ALL }, Some(0)), "a");
    assert_eq!(pruned(m, &mut history, HistoryBounds { size: 0, ..ALL }, Some(DAY)), "");
}

fn as_many_go_at_once_as_must<M: Machine>(m: &M) {
    let versions = [b'a', b'b', b'c', b'd', b'e'].map(|letter| ("x", letter, Why::Replaced, 0));
    let mut history = history(m, &versions);
    assert_eq!(pruned(m, &mut history, HistoryBounds { size: 250, ..ALL }, Some(0)), "de");
}

/// What is larger than half of the history goes first, however new, and what of it must be kept is kept above the bound.
fn a_large_content_goes_first_and_takes_nobodys_place_f121<M: Machine>(m: &M) {
    for (why, at, size, expected) in [
        (Why::Replaced, 0, 900, "abcl"),
        (Why::Replaced, 0, 899, "abc"),
        (Why::Replaced, 0, 300, "abc"),
        (Why::Replaced, 0, 299, "bc"),
        (Why::Conflict, 0, 899, "abcl"),
        (Why::Conflict, 0, 300, "abcl"),
        (Why::Conflict, 0, 299, "bcl"),
        (Why::Conflict, DAY, 300, "abc"),
    ] {
        let share = m.open();
        let mut history = History::load(m.open_beside(), p("owsync.db-history"), ALL).unwrap();
        for (name, bytes, why) in
            [("a", 100, Why::Replaced), ("b", 100, Why::Replaced), ("l", 600, why), ("c", 100, Why::Replaced)]
        {
            let content = vec![name.as_bytes()[0]; bytes];
            m.write(&p(name), &content);
            history.keep(&share, &p(name), Item { at: NOW, ..item(name, &content, why) }).unwrap();
        }
        history.commit().unwrap();
        history.set_bounds(HistoryBounds { size, ..ALL });
        history.prune(Some(after(at)), &Set::new()).unwrap();
        let mut left: Vec<String> = history.items().map(|item| item.path.to_text()).collect();
        left.sort();
        assert_eq!(left.concat(), expected, "{why:?} {at} {size}");
        history.set_bounds(HistoryBounds { size: 0, ..ALL });
        history.prune(Some(after(2 * DAY)), &Set::new()).unwrap();
        assert_eq!(history.items().count(), 0);
    }
}
