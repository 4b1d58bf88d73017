//! How durations and sizes are written.

use std::time::Duration;

/// The longest duration; sums of it with an instant stay far from any overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Units in nanoseconds, longest first.
const DURATIONS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units in bytes; the first three are those that sizes are written in.
const SIZES: [(&str, u64); 9] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads `500ms`, `2s`, `1h30m`, `1.5s`; a bare number is seconds.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a duration such as 500ms, 2s or 1h30m, found {text:?}");
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(wrong());
    }
    let mut nanos = 0.0;
    let mut rest = trimmed;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest).ok_or_else(wrong)?;
        let end = tail
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = match unit {
            // Only a number alone may leave it out: `1h30` could mean anything.
            "" if number.len() == trimmed.len() => "s",
            "µs" | "μs" => "us",
            unit => unit,
        };
        let (_, scale) = DURATIONS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        nanos += number.parse::<f64>().map_err(|_| wrong())? * *scale as f64;
        rest = tail;
    }
    seconds(nanos / 1e9, text)
}

/// A duration of so many seconds, which were written as `text`.
pub(super) fn seconds(seconds: f64, text: &str) -> Result<Duration, String> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err(format!("{text} is too long, at most 365d are allowed")),
        Err(_) => Err(format!("expected a duration of 0 to 365d, found {text}")),
    }
}

/// Writes a duration the way [`parse_duration`] reads it.
#[must_use]
pub fn write_duration(duration: Duration) -> String {
    let mut nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if nanos == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, scale) in DURATIONS {
        if nanos >= scale {
            text.push_str(&format!("{}{unit}", nanos / scale));
            nanos %= scale;
        }
    }
    text
}

/// Reads `64KiB`, `4MB`, `1.5GiB`; a bare number is bytes. The case of units does not matter.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("expected a size such as 64KiB, 4MB or a number of bytes, found {text:?}");
    let (number, unit) = split_number(text.trim()).ok_or_else(wrong)?;
    let unit = match unit.trim() {
        "" => "B",
        unit => unit,
    };
    let known = SIZES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let (_, scale) = known.ok_or_else(wrong)?;
    if let Ok(number) = number.parse::<u64>() {
        return number
            .checked_mul(*scale)
            .ok_or_else(|| format!("{text} is too large"));
    }
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * *scale as f64;
    if bytes.fract() != 0.0 {
        return Err(format!("{text} is no whole number of bytes"));
    }
    // 2^53, up to which an f64 is exact.
    if bytes < 9_007_199_254_740_992.0 {
        Ok(bytes as u64)
    } else {
        Err(format!("{text} is too large"))
    }
}

/// Writes a size the way [`parse_size`] reads it, or as a number where no binary unit fits.
#[must_use]
pub fn write_size(bytes: u64) -> String {
    let fits = SIZES
        .iter()
        .take(3)
        .find(|(_, scale)| bytes >= *scale && bytes.is_multiple_of(*scale));
    match fits {
        Some((unit, scale)) => format!("{}{unit}", bytes / scale),
        None => bytes.to_string(),
    }
}

/// The number in front of `text`, and what follows it.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    number
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_in_every_form() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("500ms", ms(500)),
            ("2s", ms(2000)),
            ("1h30m", ms(5_400_000)),
            ("1m0.5s", ms(60_500)),
            ("1.5s", ms(1500)),
            ("250us", Duration::from_micros(250)),
            ("250µs", Duration::from_micros(250)),
            ("1d", ms(86_400_000)),
            ("10", ms(10_000)),
            ("0.25", ms(250)),
            ("0", ms(0)),
            (" 3s ", ms(3000)),
        ] {
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in [
            "", "s", "2x", "1h30", "-2s", "2 s", "1..5s", ".5s", "2S", "999999h", "1e3", "2s,",
            "٣s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writes_durations_as_it_reads_them() {
        for text in ["0s", "500ms", "2s", "1h30m", "1m500ms", "1d1ns", "250us"] {
            assert_eq!(
                parse_duration(text).map(write_duration).as_deref(),
                Ok(text)
            );
        }
    }

    #[test]
    fn reads_sizes_in_every_form() {
        for (text, expected) in [
            ("64KiB", 65_536),
            ("64kib", 65_536),
            ("4MB", 4_000_000),
            ("1kB", 1000),
            ("1.5GiB", 1_610_612_736),
            ("2 MiB", 2_097_152),
            ("12", 12),
            ("12B", 12),
            ("0", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "KiB",
            "64K",
            "-1",
            "1.3B",
            "99999999999TiB",
            "1e9",
            "64KiBs",
            "9999999999999999999.5",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writes_sizes_as_it_reads_them() {
        for text in ["64KiB", "16MiB", "3GiB", "2500000", "0", "1000"] {
            assert_eq!(parse_size(text).map(write_size).as_deref(), Ok(text));
        }
    }
}
