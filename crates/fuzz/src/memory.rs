//! How much memory work may take.

/// Runs `work`, and panics if at any time it held more than `per_byte` bytes of memory for each
/// of `length` bytes of input, and `grace` beyond.
pub(crate) fn bounded<T>(
    length: usize,
    per_byte: usize,
    grace: usize,
    work: impl FnOnce() -> T,
) -> T {
    let mut result = None;
    let held = allocation_counter::measure(|| result = Some(work())).bytes_max;
    let limit = length * per_byte + grace;
    assert!(
        held <= limit as u64,
        "{length} bytes of input took {held} of memory"
    );
    result.expect("the work was done")
}

#[cfg(test)]
mod tests {
    use super::bounded;

    #[test]
    fn yields_what_the_work_yields() {
        assert_eq!(bounded(10, 8, 0, || vec![0_u8; 80]).len(), 80);
    }

    #[test]
    #[should_panic(expected = "10 bytes of input took 81 of memory")]
    fn notices_what_takes_too_much() {
        bounded(10, 8, 0, || drop(vec![0_u8; 81]));
    }
}
