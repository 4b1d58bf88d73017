//! Dates and times as playlists have them.

/// Milliseconds of unix time of a date and time by ISO 8601, as RFC 8216bis 4.4.4.6 wants it: to
/// the millisecond at least, and with a time zone. `None` if it is none.
pub(super) fn date_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, zone) = match time.strip_suffix('Z') {
        Some(time) => (time, 0),
        None => {
            let at = time.rfind(['+', '-'])?;
            let (time, zone) = time.split_at(at);
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let zone = number(hours)? * 60 + number(minutes)?;
            (time, if zone_is_west(text, at) { -zone } else { zone })
        }
    };
    let (clock, fraction) = time.split_once('.')?;
    let mut clock = clock.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let milli = number(fraction.get(..3)?)?;
    let is_sane = date.next().is_none()
        && clock.next().is_none()
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61
        && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let days = days_before(year) - days_before(1970)
        + (1..month).map(|month| days_of(year, month)).sum::<i64>()
        + day
        - 1;
    let minutes = (days * 24 + hour) * 60 + minute - zone;
    is_sane.then_some((minutes * 60 + second) * 1000 + milli)
}

fn zone_is_west(text: &str, at: usize) -> bool {
    let time = text.split_once('T').map_or("", |(_, time)| time);
    time.as_bytes().get(at) == Some(&b'-')
}

fn number(text: &str) -> Option<i64> {
    super::attributes::integer(text).and_then(|number| i64::try_from(number).ok())
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days in all years before.
fn days_before(year: i64) -> i64 {
    let last = year - 1;
    last * 365 + last / 4 - last / 100 + last / 400
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_moments() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T00:00:00.000Z", 951_782_400),
            ("2025-06-15T15:06:40.000Z", 1_750_000_000),
            ("2025-06-15T17:06:40.000+02:00", 1_750_000_000),
            ("2025-06-15T10:06:40.000-05:00", 1_750_000_000),
        ] {
            assert_eq!(date_time(text), Some(seconds * 1000), "{text}");
        }
        for text in [
            "2025-06-15",
            "2025-06-15T15:06:40Z",
            "2025-06-15T15:06:40.000",
            "2025-02-29T15:06:40.000Z",
            "2025-13-01T15:06:40.000Z",
            "2025-06-15T25:06:40.000Z",
            "2025-06-15T15:06:40.0Z",
        ] {
            assert_eq!(date_time(text), None, "{text}");
        }
    }
}
