//! Percentiles without keeping every sample.

/// Buckets per power of two: a percentile is off by at most 1.6 %.
const SUB: u64 = 64;
const BUCKETS: usize = (SUB as usize) * 60;

/// Counts of microseconds in logarithmic buckets.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            max: 0,
        }
    }
}

fn bucket(value: u64) -> usize {
    if value < SUB {
        return value as usize;
    }
    let shift = value.ilog2() - SUB.ilog2();
    let index = (u64::from(shift) + 1) * SUB + ((value >> shift) - SUB);
    (index as usize).min(BUCKETS - 1)
}

/// The middle of a bucket.
fn value(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUB {
        return bucket;
    }
    let shift = bucket / SUB - 1;
    ((SUB + bucket % SUB) << shift) + ((1 << shift) >> 1)
}

impl Histogram {
    pub(crate) fn record(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket(value)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(value);
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The value below which the share `quantile` (0 to 1) of the samples lies.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<u64> {
        let rank = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(value(index).min(self.max));
            }
        }
        None
    }

    /// Milliseconds of a percentile; 0 without samples.
    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.quantile(quantile)
            .map_or(0.0, |micros| micros as f64 / 1000.0)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }
}

/// The middle of the values, the mean of the two in the middle of an even number.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.get(middle.wrapping_sub(1))) {
        (Some(high), Some(low)) if values.len().is_multiple_of(2) => (high + low) / 2.0,
        (Some(value), _) => *value,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_close_to_those_of_the_sorted_samples() {
        let mut histogram = Histogram::default();
        for sample in 1..=100_000_u64 {
            histogram.record(sample * 7);
        }
        for quantile in [0.01, 0.5, 0.9, 0.99, 0.999] {
            let exact = quantile * 700_000.0;
            let got = histogram.quantile(quantile).unwrap() as f64;
            assert!(
                (got - exact).abs() / exact < 0.017,
                "{quantile}: {got} for {exact}"
            );
        }
        assert_eq!(histogram.max(), 700_000);
    }

    #[test]
    fn small_values_are_exact_and_huge_ones_do_not_overflow() {
        let mut histogram = Histogram::default();
        histogram.record(3);
        assert_eq!(histogram.quantile(0.5), Some(3));
        histogram.record(u64::MAX);
        assert_eq!(histogram.total(), 2);
        assert!(Histogram::default().quantile(0.5).is_none());
    }

    #[test]
    fn merging_adds_the_samples() {
        let (mut one, mut two) = (Histogram::default(), Histogram::default());
        one.record(10);
        two.record(1000);
        one.merge(&two);
        assert_eq!((one.total(), one.max()), (2, 1000));
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }
}
