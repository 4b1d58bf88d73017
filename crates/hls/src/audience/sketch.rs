//! How many different numbers there were, in little memory, and mergeable.
//!
//! Few are kept as they are. Of many a HyperLogLog is kept, with 4096 registers and the estimator
//! of O. Ertl ("New cardinality estimation algorithms for HyperLogLog sketches", 2017), which
//! needs no tables of corrections.

use std::collections::BTreeSet;
use std::fmt;

/// Bits of a number that choose its register.
const BITS: u32 = 12;
const REGISTERS: usize = 1 << BITS;
/// No register is higher: what is left of a number has so many bits, and one is added.
const HIGHEST: u8 = 32 - BITS as u8 + 1;
/// So many numbers take less room as they are.
const FEW: usize = REGISTERS / 4 - 1;

/// How many different numbers have been added.
///
/// Up to a thousand are counted as they are (two look alike once in ten thousand times). More are
/// estimated, with a standard error of 1.6 %.
#[derive(Clone, PartialEq, Eq)]
pub struct Sketch(Kept);

#[derive(Clone, PartialEq, Eq)]
enum Kept {
    Few(BTreeSet<u32>),
    Many(Box<[u8; REGISTERS]>),
}

/// Bytes that are no sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sketch of viewers")]
pub struct SketchError;

impl Default for Sketch {
    fn default() -> Self {
        Self(Kept::Few(BTreeSet::new()))
    }
}

impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sketch(about {})", self.estimate())
    }
}

impl Sketch {
    /// Counts `number`, once however often it is added, here and in sketches merged into this.
    pub fn add(&mut self, number: u64) {
        self.put(mixed(number));
    }

    /// Takes in what another has counted.
    pub fn merge(&mut self, other: &Self) {
        match &other.0 {
            Kept::Few(numbers) => numbers.iter().for_each(|number| self.put(*number)),
            Kept::Many(theirs) => {
                let mine = self.registers();
                for (mine, theirs) in mine.iter_mut().zip(theirs.iter()) {
                    *mine = (*mine).max(*theirs);
                }
            }
        }
    }

    /// How many there were.
    pub fn estimate(&self) -> u64 {
        match &self.0 {
            Kept::Few(numbers) => numbers.len() as u64,
            Kept::Many(registers) => estimate(registers),
        }
    }

    /// In as few bytes as are needed: at most 4 KiB, nothing at all for nobody.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Kept::Few(numbers) => numbers.iter().flat_map(|it| it.to_be_bytes()).collect(),
            Kept::Many(registers) => registers.to_vec(),
        }
    }

    /// As [`to_bytes`](Self::to_bytes) wrote it, on any node.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        if let Ok(registers) = <&[u8; REGISTERS]>::try_from(bytes) {
            let fits = registers.iter().all(|rank| *rank <= HIGHEST);
            let many = Self(Kept::Many(Box::new(*registers)));
            return fits.then_some(many).ok_or(SketchError);
        }
        let (numbers, rest) = bytes.as_chunks();
        if numbers.len() > FEW || !rest.is_empty() {
            return Err(SketchError);
        }
        let numbers = numbers.iter().map(|it| u32::from_be_bytes(*it));
        Ok(Self(Kept::Few(numbers.collect())))
    }

    /// Adds a number that is well mixed.
    fn put(&mut self, mixed: u32) {
        if let Kept::Few(numbers) = &mut self.0 {
            numbers.insert(mixed);
            if numbers.len() <= FEW {
                return;
            }
        }
        raise(self.registers(), mixed);
    }

    /// Counts in registers from now on.
    fn registers(&mut self) -> &mut [u8; REGISTERS] {
        if let Kept::Few(numbers) = &self.0 {
            let mut registers = Box::new([0; REGISTERS]);
            numbers.iter().for_each(|it| raise(&mut registers, *it));
            self.0 = Kept::Many(registers);
        }
        match &mut self.0 {
            Kept::Many(registers) => registers,
            Kept::Few(_) => unreachable!("it has registers now"),
        }
    }
}

fn raise(registers: &mut [u8; REGISTERS], mixed: u32) {
    // The bit behind the last ends the run of zeros at the latest.
    let rest = mixed << BITS | 1 << (BITS - 1);
    let rank = u8::try_from(rest.leading_zeros() + 1).unwrap_or(HIGHEST);
    let at = (mixed >> (32 - BITS)) as usize;
    if let Some(register) = registers.get_mut(at) {
        *register = (*register).max(rank);
    }
}

fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let mut counts = [0_u32; HIGHEST as usize + 1];
    for &register in registers {
        if let Some(count) = counts.get_mut(usize::from(register)) {
            *count += 1;
        }
    }
    let [none, ranks @ .., highest] = &counts;
    let size = REGISTERS as f64;
    let mut sum = size * tau(1.0 - f64::from(*highest) / size);
    for &count in ranks.iter().rev() {
        sum = 0.5 * (sum + f64::from(count));
    }
    sum += size * sigma(f64::from(*none) / size);
    let estimate = size * size / (2.0 * std::f64::consts::LN_2 * sum);
    // Saturates, which is fine.
    estimate.round() as u64
}

/// Numbers may be alike; their mixtures are not (the finaliser of SplitMix64, and half of it).
fn mixed(number: u64) -> u32 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 32) as u32
}

/// The share of registers that are empty, as it goes into the sum.
fn sigma(mut share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut sum, mut weight) = (share, 1.0);
    loop {
        share *= share;
        let before = sum;
        sum += share * weight;
        weight += weight;
        if sum <= before {
            return sum;
        }
    }
}

/// The share of registers that are not full, as it goes into the sum.
fn tau(mut share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    let (mut sum, mut weight) = (1.0 - share, 1.0);
    loop {
        share = share.sqrt();
        weight *= 0.5;
        let before = sum;
        sum -= (1.0 - share).powi(2) * weight;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(numbers: impl IntoIterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::default();
        numbers.into_iter().for_each(|number| sketch.add(number));
        sketch
    }

    #[test]
    fn few_are_counted_as_they_are() {
        for count in [0, 1, 2, 40, 500, 1000] {
            assert_eq!(of(0..count).estimate(), count);
        }
    }

    /// The worst of many runs of each size: four standard errors.
    #[test]
    fn many_are_counted_as_the_documentation_says() {
        for count in [100, 1000, 4000, 10_000, 20_000, 100_000, 1_000_000] {
            let runs = if count > 100_000 { 5 } else { 40 };
            for run in 0..runs {
                let first = run * 10_000_000;
                let estimate = of(first..first + count).estimate();
                let error = (estimate as f64 - count as f64).abs() / count as f64;
                assert!(error < 0.065, "{estimate} of {count}");
            }
        }
    }

    #[test]
    fn who_is_in_two_sketches_counts_once() {
        let mut few = of(0..5);
        few.merge(&of(3..9));
        assert_eq!(few.estimate(), 9);
        few.merge(&of(0..5000));
        assert_eq!(few, of(0..5000));
        let mut here = of(0..3000);
        let there = of(1000..5000);
        here.merge(&there);
        assert_eq!(here, of(0..5000));
    }

    #[test]
    fn bytes_are_few_and_tell_the_same() {
        for (count, most) in [(0, 0), (3, 12), (1000, 4000), (100_000, REGISTERS)] {
            let sketch = of(0..count);
            let bytes = sketch.to_bytes();
            assert!(bytes.len() <= most, "{} bytes for {count}", bytes.len());
            assert_eq!(Sketch::from_bytes(&bytes), Ok(sketch));
        }
    }

    #[test]
    fn what_is_no_sketch_is_refused() {
        for bytes in [
            &[1, 2][..],
            &[HIGHEST + 1; REGISTERS],
            &[0; REGISTERS + 4],
            &[0; REGISTERS - 1],
            &[0; REGISTERS * 3],
        ] {
            assert_eq!(Sketch::from_bytes(bytes), Err(SketchError));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(sketch) = Sketch::from_bytes(&bytes) {
                prop_assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Ok(sketch));
            }
        }
    }
}
