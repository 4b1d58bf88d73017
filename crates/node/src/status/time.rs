//! Points in time, as the API writes them.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, in milliseconds; written as RFC 3339 has it: `2026-01-31T12:00:00.250Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// The text is no point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time such as 2026-01-31T12:00:00Z")]
pub struct TimestampError;

const DAY: i64 = 86_400_000;
/// The years that the form has room for, as milliseconds since 1970.
const FIRST: i64 = -62_167_219_200_000;
const LAST: i64 = 253_402_300_799_999;

impl Timestamp {
    /// The point in time so many milliseconds after the beginning of 1970.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(FIRST, LAST))
    }

    /// Milliseconds since the beginning of 1970.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// It as the system counts time; nothing before 1970.
    #[must_use]
    pub fn time(self) -> SystemTime {
        let since = u64::try_from(self.0).unwrap_or(0);
        UNIX_EPOCH + Duration::from_millis(since)
    }

    /// Whole seconds from it to `now`.
    #[must_use]
    pub fn seconds_to(self, now: Self) -> u64 {
        u64::try_from(now.0.saturating_sub(self.0) / 1000).unwrap_or(0)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(i64::try_from(since.as_millis()).unwrap_or(LAST))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (year, month, day) = date(days);
        let (seconds, millis) = (rest / 1000, rest % 1000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z"
        )
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text).ok_or(TimestampError)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone_at);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hours, minutes, seconds] = numbers(time, ':', [2, 2, 2])?;
    let is_time = hours < 24 && minutes < 60 && seconds <= 60;
    if !is_time || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let east = match zone {
        "Z" | "z" => 0,
        zone => {
            let (sign, zone) = zone.split_at(1);
            let [hours, minutes] = numbers(zone, ':', [2, 2])?;
            let east = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
            match sign {
                "+" => east,
                "-" => -east,
                _ => return None,
            }
        }
    };
    let minutes = hours * 60 + minutes - east;
    let millis = days(year, month, day) * DAY + (minutes * 60 + seconds) * 1000 + millis;
    Some(Timestamp::from_millis(millis))
}

/// Numbers of so many digits each, with `between` between them.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = is_number.then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Years are counted from March, so that the day that is sometimes there comes last; they repeat
/// after 400, which is one era.
const ERA: i64 = 146_097;
/// Days from the first of March of the year 0 to the beginning of 1970.
const TO_1970: i64 = 719_468;

/// The days since the beginning of 1970 of a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA + year * 365 + year / 4 - year / 100 + of_year - TO_1970
}

/// The date so many days after the beginning of 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + TO_1970;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    (year, month, day)
}

fn days_in(year: i64, month: i64) -> i64 {
    let (next_year, next) = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    days(next_year, next, 1) - days(year, month, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<i64> {
        text.parse().ok().map(Timestamp::millis)
    }

    #[test]
    fn a_time_is_written_as_rfc_3339_has_it_and_read_again() {
        for (number, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (4_107_542_400_250, "2100-03-01T00:00:00.250Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(number).to_string(), text);
            assert_eq!(millis(text), Some(number), "{text}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            let text = Timestamp::from_millis(extreme).to_string();
            assert_eq!((text.len(), millis(&text).is_some()), (24, true), "{text}");
        }
    }

    #[test]
    fn zones_and_fractions_are_understood() {
        for (text, number) in [
            ("1970-01-01T00:00:01Z", 1000),
            ("1970-01-01t01:00:01.5+01:00", 1500),
            ("1969-12-31 18:30:00.123456789-05:30", 123),
        ] {
            assert_eq!(millis(text), Some(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-13-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-1-1T0:0:0Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00+1:00",
            "+970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Zulu",
            "1970-01-01T00:00:00Z01:00",
            "1970-01-01T00:00:00ä",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_some_centuries_has_its_own_date() {
        let mut last = date(-1);
        for day in 0..300 * 366 {
            let (year, month, of_month) = date(day);
            assert!((year, month, of_month) > last);
            assert_eq!(days(year, month, of_month), day);
            last = (year, month, of_month);
        }
    }
}
