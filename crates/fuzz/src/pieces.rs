//! Input in pieces, as a socket or a file may bring it.

/// The first bytes of `data` choose how the rest is cut and treated.
pub(crate) fn choices<const N: usize>(data: &[u8]) -> Option<([u8; N], &[u8])> {
    let (choices, rest) = data.split_first_chunk()?;
    Some((*choices, rest))
}

/// Cuts `data` into pieces of 1 byte up to 2048, sizes that follow from `seed`.
pub(crate) fn pieces(data: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    let mut state = u32::from(seed).wrapping_mul(0x9e37_79b9) | 1;
    std::iter::from_fn(move || {
        // xorshift32. Its top bits choose between tiny pieces and large ones.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let most = [1, 7, 64, 2048][usize::from((state >> 30) as u8)];
        let size = 1 + (state >> 8) as usize % most;
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_and_differ_by_seed() {
        let data: Vec<u8> = (0..=255).cycle().take(5000).collect();
        assert_eq!(pieces(&data, 7).collect::<Vec<_>>().concat(), data);
        assert_ne!(pieces(&data, 7).count(), pieces(&data, 8).count());
        assert_eq!(pieces(&[], 1).count(), 0);
    }
}
