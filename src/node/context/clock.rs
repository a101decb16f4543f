//! Judges how far the clock can be believed.

use crate::model::{Now, limits};

/// The clock as far as it can be believed.
pub(crate) struct Clock {
    latest: Now,
    /// A peer confirmed the time since it last jumped.
    trusted: bool,
}

impl Clock {
    pub fn new(now: Now) -> Clock {
        Clock { latest: now, trusted: false }
    }

    /// Notices a jump: the calendar moved by a day more, or less, than time passed.
    pub fn tick(&mut self, now: Now) {
        let passed = i64::try_from(now.mono.since(self.latest.mono).as_millis()).unwrap_or(i64::MAX);
        let jump = now.wall.since_ms(self.latest.wall).saturating_sub(passed).unsigned_abs();
        if u128::from(jump) > limits::CLOCK_JUMP.as_millis() {
            self.trusted = false;
        }
        self.latest = now;
    }

    /// A peer's clock agrees.
    pub fn confirm(&mut self, now: Now) {
        self.tick(now);
        self.trusted = true;
    }

    /// Whether a peer confirmed the time since it last jumped.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Whether times noted now may be wrong by days.
    pub fn is_doubtful(&self) -> bool {
        !self.trusted
    }

    pub fn latest(&self) -> Now {
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Monotonic, WallTime};

    #[test]
    fn a_clock_that_jumps_is_not_believed_until_a_peer_confirms_it() {
        let at = |mono: u64, wall: i64| Now { mono: Monotonic(mono), wall: WallTime(wall) };
        let day = 86_400_000;
        let mut clock = Clock::new(at(0, 0));
        clock.confirm(at(10, 10));
        clock.tick(at(3 * 86_400_000, 3 * day + day / 2));
        assert!(clock.trusted);
        clock.tick(at(3 * 86_400_000 + 10, 60 * day));
        assert!(!clock.trusted);
        clock.confirm(at(3 * 86_400_000 + 20, 60 * day + 10));
        assert!(clock.trusted);
        clock.tick(at(3 * 86_400_000 + 30, 0));
        assert!(!clock.trusted);
    }
}
