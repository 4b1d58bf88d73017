//! Dates and times.

use std::fmt;

const MILLISECOND: i64 = 1_000_000;
const DAY: i64 = 86_400_000;

/// A moment, in nanoseconds of unix time, as ISO 8601 writes it: to the millisecond, in UTC.
pub(super) struct DateTime(pub(super) i64);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.div_euclid(MILLISECOND);
        let (day, time) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
        let (year, month, day) = date(day);
        let (hour, minute) = (time / 3_600_000, time / 60_000 % 60);
        let (second, milli) = (time / 1000 % 60, time % 1000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

/// Year, month and day, so many days after 1970-01-01.
///
/// The calendar repeats every 400 years. With years that begin in March the leap day is the last
/// of its year, and months lie on a line: the one with the number `m` from March begins on day
/// `(153 m + 2) / 5`.
fn date(days: i64) -> (i64, i64, i64) {
    const UNTIL_1970: i64 = 719_468;
    const ERA: i64 = 146_097;
    let days = days + UNTIL_1970;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let leap_days = day / 1460 - day / 36_524 + day / (ERA - 1);
    let year = (day - leap_days) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn moments_are_written_as_iso_8601() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_750_000_000, "2025-06-15T15:06:40.000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(DateTime(seconds * SECOND).to_string(), text);
        }
        let late = DateTime(1_750_000_000 * SECOND + 999_999_999);
        assert_eq!(late.to_string(), "2025-06-15T15:06:40.999Z");
        // All there is.
        assert_eq!(DateTime(i64::MIN).to_string(), "1677-09-21T00:12:43.145Z");
        assert_eq!(DateTime(i64::MAX).to_string(), "2262-04-11T23:47:16.854Z");
    }

    #[test]
    fn each_day_is_followed_by_the_next() {
        let length = |year: i64, month| match month {
            4 | 6 | 9 | 11 => 30,
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            _ => 31,
        };
        let mut expected = (1970, 1, 1);
        for day in 0..80_000 {
            assert_eq!(date(day), expected);
            let (year, month, day) = expected;
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (month, day) if day == length(year, month) => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }
}
