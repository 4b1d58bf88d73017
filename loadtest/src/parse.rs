//! Numbers with units, as written on a command line.

use std::time::Duration;

use anyhow::{Context, Result, bail};

fn split(text: &str) -> (&str, &str) {
    let at = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    text.split_at(at)
}

/// `0`, `40ms`, `2s`, `1m`; a bare number counts seconds.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let (number, unit) = split(text);
    let number: f64 = number
        .parse()
        .with_context(|| format!("`{text}` is no duration"))?;
    let seconds = match unit {
        "" | "s" => number,
        "ms" => number / 1000.0,
        "us" => number / 1_000_000.0,
        "m" => number * 60.0,
        _ => bail!("`{text}` is no duration: ms, s or m"),
    };
    Ok(Duration::try_from_secs_f64(seconds)?)
}

/// `200k`, `2.1M`: bits per second.
pub(crate) fn rate(text: &str) -> Result<u64> {
    let (number, unit) = split(text);
    let number: f64 = number
        .parse()
        .with_context(|| format!("`{text}` is no bit rate"))?;
    let factor = match unit {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        _ => bail!("`{text}` is no bit rate: k or M"),
    };
    Ok((number * factor) as u64)
}

/// `500` or `500/s`: how many begin in a second; `at-once`: all together.
pub(crate) fn ramp(text: &str) -> Result<f64> {
    match text {
        "at-once" => Ok(1e9),
        _ => text
            .trim_end_matches("/s")
            .parse()
            .with_context(|| format!("`{text}` is no ramp: 500/s, at-once")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood() {
        assert_eq!(duration("40ms").unwrap(), Duration::from_millis(40));
        assert_eq!(duration("0").unwrap(), Duration::ZERO);
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert_eq!(rate("2.155M").unwrap(), 2_155_000);
        assert_eq!(ramp("500/s").unwrap(), 500.0);
        assert!(duration("soon").is_err() && rate("2x").is_err() && ramp("").is_err());
    }
}
