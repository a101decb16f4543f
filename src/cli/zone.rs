//! Local time, for output.
//!
//! Reads what the C library reads: TZ, /etc/localtime (RFC 8536), and /etc/TZ, where OpenWrt keeps a rule in the form of
//! POSIX (IEEE 1003.1, 8.3). Why not the C library's `localtime_r`? It needs `unsafe`, which is kept to two files, for
//! something that a hundred lines do; a zone that cannot be read is UTC here as there.

use std::path::Path;

use crate::daemon::env;
use crate::fs::local;
use crate::model::{WallTime, limits};

/// How far local time is from UTC, and when that changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Zone {
    /// Changes that are known one by one: from this second (UTC) on, this many seconds east.
    changes: Vec<(i64, i64)>,
    /// Before the first of them.
    first: i64,
    /// After the last of them.
    rule: Option<Rule>,
}

/// A rule in the form of POSIX.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rule {
    standard: i64,
    /// Summer time: seconds east, and when it begins and ends.
    summer: Option<(i64, Change, Change)>,
}

/// A moment in every year.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Change {
    day: Day,
    /// Seconds after midnight, by the clock that holds until then.
    time: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Day {
    /// Month, week (5: the last), day of the week from Sunday.
    Weekly(i64, i64, i64),
    /// Day of the year from 1, where February never has 29.
    Julian(i64),
    /// Day of the year from 0.
    Zero(i64),
}

impl Zone {
    /// This machine's zone.
    pub fn local() -> Zone {
        let rule = |text: &str| Rule::parse(text.trim()).map(|rule| Zone { rule: Some(rule), ..Zone::default() });
        let file =
            |path: &Path| local::read(path, limits::CONF_FILE_MAX).ok().and_then(|bytes| Zone::from_file(&bytes));
        if let Some(tz) = env::variable("TZ").and_then(|tz| tz.into_string().ok()) {
            let name = tz.strip_prefix(':').unwrap_or(&tz);
            let named = Path::new("/usr/share/zoneinfo").join(name);
            // `join` takes an absolute name as it is, which is what TZ=:/path means.
            return rule(&tz).or_else(|| file(&named)).unwrap_or_default();
        }
        file(Path::new("/etc/localtime"))
            .or_else(|| {
                local::read(Path::new("/etc/TZ"), limits::CONF_FILE_MAX)
                    .ok()
                    .and_then(|text| rule(std::str::from_utf8(&text).ok()?))
            })
            .unwrap_or_default()
    }

    /// Seconds east of UTC at this second.
    fn offset(&self, at: i64) -> i64 {
        let past = self.changes.partition_point(|(from, _)| *from <= at);
        match (past.checked_sub(1), self.rule) {
            (Some(last), Some(rule)) if last + 1 == self.changes.len() => rule.offset(at),
            (Some(last), _) => self.changes[last].1,
            (None, Some(rule)) if self.changes.is_empty() => rule.offset(at),
            (None, _) => self.first,
        }
    }

    /// The date and the time of day: `2026-11-20`, `08:15:30`.
    pub fn date_and_time(&self, at: i64) -> (String, String) {
        let text = WallTime(at.saturating_add(self.offset(at)).saturating_mul(1000)).to_string();
        match text.trim_end_matches('Z').split_once('T') {
            Some((date, time)) => (date.into(), time.into()),
            None => (text, String::new()),
        }
    }

    /// Reads a file of the zone database; `None` where it is none.
    pub fn from_file(bytes: &[u8]) -> Option<Zone> {
        let (head, body) = bytes.split_at_checked(44)?;
        let counts = Counts::read(head)?;
        if head[4] < b'2' {
            return Zone::from_block(body, counts, 4).map(|(zone, _)| zone);
        }
        // The same again with eight bytes for a time, and a rule for what comes after.
        let (head, body) = body.get(counts.size(4)..)?.split_at_checked(44)?;
        let (mut zone, rest) = Zone::from_block(body, Counts::read(head)?, 8)?;
        let footer = rest.strip_prefix(b"\n")?.split(|&b| b == b'\n').next()?;
        zone.rule = Rule::parse(std::str::from_utf8(footer).ok()?);
        Some(zone)
    }

    fn from_block(body: &[u8], counts: Counts, width: usize) -> Option<(Zone, &[u8])> {
        let (block, rest) = body.split_at_checked(counts.size(width))?;
        let (times, block) = block.split_at(counts.times * width);
        let (kinds, block) = block.split_at(counts.times);
        let types: Vec<i64> = block[..counts.types * 6]
            .chunks_exact(6)
            .map(|one| i64::from(i32::from_be_bytes([one[0], one[1], one[2], one[3]])))
            .collect();
        let mut changes = Vec::with_capacity(counts.times);
        for (time, kind) in times.chunks_exact(width).zip(kinds) {
            let at = match *time {
                [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
                [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
                _ => return None,
            };
            changes.push((at, *types.get(usize::from(*kind))?));
        }
        Some((Zone { changes, first: types.first().copied().unwrap_or(0), rule: None }, rest))
    }
}

/// How much of what a block of a zone file holds.
#[derive(Clone, Copy)]
struct Counts {
    utc: usize,
    standard: usize,
    leaps: usize,
    times: usize,
    types: usize,
    chars: usize,
}

impl Counts {
    fn read(head: &[u8]) -> Option<Counts> {
        if !head.starts_with(b"TZif") {
            return None;
        }
        // No zone has a thousandth of this; the bound keeps the sums far from any overflow.
        let count = |at: usize| {
            let four = head.get(at..at + 4)?;
            let count = u32::from_be_bytes([four[0], four[1], four[2], four[3]]);
            usize::try_from(count).ok().filter(|&count| count < 1_000_000)
        };
        Some(Counts {
            utc: count(20)?,
            standard: count(24)?,
            leaps: count(28)?,
            times: count(32)?,
            types: count(36)?,
            chars: count(40)?,
        })
    }

    fn size(self, width: usize) -> usize {
        self.times * (width + 1) + self.types * 6 + self.chars + self.leaps * (width + 4) + self.standard + self.utc
    }
}

impl Rule {
    /// Reads `CET-1CEST,M3.5.0,M10.5.0/3` and the like.
    fn parse(text: &str) -> Option<Rule> {
        let text = skip_name(text)?;
        let (west, text) = take_time(text)?;
        let standard = -west;
        if text.is_empty() {
            return Some(Rule { standard, summer: None });
        }
        let text = skip_name(text)?;
        let (summer, text) = match text.strip_prefix(',') {
            Some(_) => (standard + 3600, text),
            None => take_time(text).map(|(west, rest)| (-west, rest))?,
        };
        let mut changes = text.strip_prefix(',')?.split(',');
        let (begin, end) = (Change::parse(changes.next()?)?, Change::parse(changes.next()?)?);
        changes.next().is_none().then_some(Rule { standard, summer: Some((summer, begin, end)) })
    }

    fn offset(&self, at: i64) -> i64 {
        let Some((summer, begin, end)) = self.summer else { return self.standard };
        let year = year_of(at + self.standard);
        let (begin, end) = (begin.in_year(year) - self.standard, end.in_year(year) - summer);
        // South of the equator summer time begins in one year and ends in the next.
        let is_summer = if begin < end { (begin..end).contains(&at) } else { !(end..begin).contains(&at) };
        if is_summer { summer } else { self.standard }
    }
}

impl Change {
    fn parse(text: &str) -> Option<Change> {
        let (day, time) = match text.split_once('/') {
            Some((day, time)) => (day, take_time(time).filter(|(_, rest)| rest.is_empty())?.0),
            None => (text, 2 * 3600),
        };
        let day = if let Some(weekly) = day.strip_prefix('M') {
            let mut numbers = weekly.split('.').map(|number| number.parse::<i64>().ok());
            let (month, week, weekday) = (numbers.next()??, numbers.next()??, numbers.next()??);
            let fits = (1..=12).contains(&month) && (1..=5).contains(&week) && (0..=6).contains(&weekday);
            (fits && numbers.next().is_none()).then_some(Day::Weekly(month, week, weekday))?
        } else if let Some(julian) = day.strip_prefix('J') {
            Day::Julian(julian.parse().ok().filter(|day| (1..=365).contains(day))?)
        } else {
            Day::Zero(day.parse().ok().filter(|day| (0..=365).contains(day))?)
        };
        Some(Change { day, time })
    }

    /// Its second in this year, by the clock on the wall.
    fn in_year(&self, year: i64) -> i64 {
        let day = match self.day {
            Day::Weekly(month, week, weekday) => {
                let first = days(year, month, 1);
                // 1970-01-01 was a Thursday.
                let offset = (weekday - (first + 4)).rem_euclid(7);
                let next_month = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
                let day = first + offset + (week - 1) * 7;
                if day < next_month { day } else { day - 7 }
            }
            Day::Julian(day) => {
                let leap = days(year, 3, 1) - days(year, 2, 1) == 29;
                days(year, 1, 1) + day - 1 + i64::from(leap && day >= 60)
            }
            Day::Zero(day) => days(year, 1, 1) + day,
        };
        day * 86_400 + self.time
    }
}

/// The text behind the name of a zone: three letters at least, or anything in `<>`.
fn skip_name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>').map(|(_, rest)| rest);
    }
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    (letters >= 3).then(|| &text[letters..])
}

/// `[+-]hh[:mm[:ss]]` in seconds, and the text behind it.
fn take_time(text: &str) -> Option<(i64, &str)> {
    let (sign, body) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let length = body.bytes().take_while(|b| b.is_ascii_digit() || *b == b':').count();
    let (time, rest) = body.split_at(length);
    let mut seconds = 0;
    let mut unit = 3600;
    for part in time.split(':') {
        let number = part.parse::<i64>().ok().filter(|&number| number <= 167 && unit > 0)?;
        seconds += number * unit;
        unit /= 60;
    }
    Some((sign * seconds, rest))
}

fn year_of(seconds: i64) -> i64 {
    let text = WallTime(seconds.saturating_mul(1000)).to_string();
    text.split_once('-').and_then(|(year, _)| year.parse().ok()).unwrap_or(1970)
}

/// Days from 1970-01-01 to a civil date: "chrono-Compatible Low-Level Date Algorithms" by Howard Hinnant.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(rule: &str) -> Zone {
        Zone { rule: Some(Rule::parse(rule).unwrap()), ..Zone::default() }
    }

    #[test]
    fn rules_give_local_time_in_both_hemispheres() {
        // 2026-03-29T01:00:00Z and 2026-10-25T01:00:00Z are the European changes.
        for (rule, at, time) in [
            ("UTC0", 0, "1970-01-01 00:00:00"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_774_745_999, "2026-03-29 01:59:59"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_774_746_000, "2026-03-29 03:00:00"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_792_889_999, "2026-10-25 02:59:59"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_792_890_000, "2026-10-25 02:00:00"),
            ("NZST-12NZDT,M9.5.0,M4.1.0/3", 1_767_225_600, "2026-01-01 13:00:00"),
            ("NZST-12NZDT,M9.5.0,M4.1.0/3", 1_782_864_000, "2026-07-01 12:00:00"),
            ("<+0545>-5:45", 1_767_225_600, "2026-01-01 05:45:00"),
            ("EST5EDT,J60,J300", 1_782_864_000, "2026-06-30 20:00:00"),
        ] {
            let (date, clock) = zone(rule).date_and_time(at);
            assert_eq!(format!("{date} {clock}"), time, "{rule} {at}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in
            ["", "UT", "UTC", "Europe/Berlin", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "A-1B"]
        {
            assert_eq!(Rule::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_zone_file_is_read_to_its_rule() {
        // One change at 1000 to two hours east, one hour before it; after it the rule holds.
        let header = |version: u8, times: u8, types: u8| {
            let mut head = b"TZif".to_vec();
            head.push(version);
            head.extend([0; 15]);
            for count in [0, 0, 0, times, types, 4] {
                head.extend([0, 0, 0, count]);
            }
            head
        };
        let mut bytes = header(b'2', 0, 1);
        bytes.extend([0, 0, 0, 0, 0, 0]);
        bytes.extend(b"UTC\0");
        bytes.extend(header(b'2', 2, 2));
        bytes.extend(1000i64.to_be_bytes());
        bytes.extend(2000i64.to_be_bytes());
        bytes.extend([1, 0]);
        for east in [3600i32, 7200] {
            bytes.extend(east.to_be_bytes());
            bytes.extend([0, 0]);
        }
        bytes.extend(b"AAA\0");
        bytes.extend(b"\nBBB-3\n");

        let zone = Zone::from_file(&bytes).unwrap();

        assert_eq!((zone.offset(0), zone.offset(1500), zone.offset(5000)), (3600, 7200, 10_800));
        for cut in 0..bytes.len() - 7 {
            assert_eq!(Zone::from_file(&bytes[..cut]), None, "{cut}");
        }
    }
}
