//! What somebody may have meant.

/// The one of `known` that `written` most likely stands for.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let written = written.to_ascii_lowercase();
    let close = written.len().div_ceil(4).max(2);
    let by_distance = known
        .clone()
        .map(|name| (distance(&written, name), name))
        .filter(|(distance, _)| *distance <= close)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name);
    // The right name in the wrong section, or without one, is nearer than another name in that section.
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let named = |name: &&str| last(name) == last(&written);
    let section = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let elsewhere = known
        .clone()
        .filter(named)
        .min_by_key(|name| section(name) != section(&written));
    by_distance
        .filter(|name| elsewhere.is_none() || named(name))
        .or(elsewhere)
}

/// How many letters must be changed, added, removed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let changed = rows[i][j] + usize::from(from != to);
            let mut best = changed.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = [
            "rtmp.listen",
            "rtmps.listen",
            "publish.on_conflict",
            "rtmp.chunk_size",
            "tls.key",
            "directory.tls.ca",
            "directory.tls.key",
            "relay.tls.ca",
            "relay.tls.key",
        ];
        for (written, meant) in [
            ("rtmp.litsen", Some("rtmp.listen")),
            ("RTMP.listen", Some("rtmp.listen")),
            ("rtmp.chunksize", Some("rtmp.chunk_size")),
            ("rtmp.on_conflict", Some("publish.on_conflict")),
            ("on_conflict", Some("publish.on_conflict")),
            ("relay.tls.cas", Some("relay.tls.ca")),
            ("relay.tls_ca", Some("relay.tls.ca")),
            ("relay.key", Some("relay.tls.key")),
            ("tls.ca", Some("directory.tls.ca")),
            ("colour.scheme", None),
        ] {
            assert_eq!(nearest(written, known.into_iter()), meant, "{written}");
        }
    }

    #[test]
    fn a_swap_of_neighbours_is_one_change() {
        assert_eq!(distance("listen", "litsen"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
