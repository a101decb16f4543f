//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// Time in which a claim that has no time of its own must come true. A busy machine needs some of it, a broken build all.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until something holds.
///
/// # Panics
/// It does not within [`PATIENCE`].
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    until_within(PATIENCE, what, condition);
}

/// Waits until something holds; how long that took.
///
/// # Panics
/// It does not within `limit`.
#[track_caller]
pub fn until_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(LOOK);
    }
    start.elapsed()
}

/// Waits for a value.
///
/// # Panics
/// There is none within [`PATIENCE`].
#[track_caller]
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    until(what, || {
        found = look();
        found.is_some()
    });
    found.unwrap()
}

/// Does something that must not take long, and does it again where it did: on a busy machine once may be too slow. The
/// action says what of it took how long.
///
/// # Panics
/// It takes `limit` or longer five times in a row.
#[track_caller]
pub fn promptly(limit: Duration, what: &str, action: impl FnMut() -> Duration) {
    let took: Vec<Duration> = std::iter::repeat_with(action).take(5).take_while(|took| *took >= limit).collect();
    assert!(took.len() < 5, "{what}: not within {limit:?}, but {took:?}");
}

/// The time that a user or his program takes between two steps: part of a story, never a way to wait.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// How long something takes.
pub fn timed(action: impl FnOnce()) -> Duration {
    let start = Instant::now();
    action();
    start.elapsed()
}

/// Checks something again and again for a time in which it must stay so.
///
/// For claims that something does not happen; the time is part of the claim.
///
/// # Panics
/// It is not so once.
#[track_caller]
pub fn throughout(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(condition(), "after {:?} no longer: {what}", start.elapsed());
        std::thread::sleep(LOOK);
    }
}
