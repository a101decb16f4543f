//! Wall clock time and monotonic time, which must not be mixed; both are passed in.

use std::fmt;
use std::time::Duration;

/// A point on the calendar, in milliseconds since 1970 (UTC). It can jump, be wrong, and be before 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(pub i64);

impl WallTime {
    /// This time shifted by `ms`, clamped to the range instead of overflowing.
    pub fn plus_ms(self, ms: i64) -> WallTime {
        WallTime(self.0.saturating_add(ms))
    }

    /// This time shifted by `d`.
    pub fn plus(self, d: Duration) -> WallTime {
        self.plus_ms(i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }

    /// Milliseconds from `earlier` to this time; negative if it is before.
    pub fn since_ms(self, earlier: WallTime) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since 1970, rounded down.
    pub fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// `2026-11-20T08:15:30Z`, for logs and JSON.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.as_secs().div_euclid(86_400), self.as_secs().rem_euclid(86_400));
        // Civil date from a day count: the era algorithm of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
    }
}

/// Milliseconds since some start of this process. It never decreases and has no meaning outside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// A time so far away that it is never reached.
    pub const NEVER: Monotonic = Monotonic(u64::MAX);

    /// This time plus `d`.
    pub fn plus(self, d: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this one; zero when `earlier` is later.
    pub fn since(self, earlier: Monotonic) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Both times of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For timers and waits.
    pub mono: Monotonic,
    /// For stamps, history and output.
    pub wall: WallTime,
}

/// `3 s`, `5 min`, `2 h`, `4 d`: the largest unit that fits, for output.
pub fn short(d: Duration) -> String {
    match d.as_secs() {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7_199 => format!("{} min", s / 60),
        s @ 7_200..=172_799 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// `0.34 s`, `12.1 s`, else as [`short`]: for waiting times in output.
pub fn brief(d: Duration) -> String {
    match d.as_millis() {
        ms @ 0..=9_999 => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
        ms @ 10_000..=119_999 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => short(d),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_162_530_123, "2026-11-20T08:15:30Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(WallTime(ms).to_string(), text);
        }
    }
}
