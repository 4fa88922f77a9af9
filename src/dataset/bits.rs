//! Bits of a string, numbered from the highest bit of the first byte. Bits behind the end are zero.

use std::ops::Range;

/// The bit at `offset`.
pub fn get(bytes: &[u8], offset: usize) -> bool {
    bytes.get(offset / 8).is_some_and(|byte| byte << (offset % 8) & 0x80 != 0)
}

/// Sets the bit at `offset`; behind the end nothing happens.
pub fn set(bytes: &mut [u8], offset: usize, bit: bool) {
    if let Some(byte) = bytes.get_mut(offset / 8) {
        let mask = 0x80 >> (offset % 8);
        *byte = if bit { *byte | mask } else { *byte & !mask };
    }
}

/// Number of ones among these bits.
pub fn count(bytes: &[u8], bits: Range<usize>) -> u64 {
    let end = bits.end.min(bytes.len() * 8);
    if bits.start >= end {
        return 0;
    }
    let (first, last) = (bits.start / 8, (end - 1) / 8);
    let before = bytes[first] & !(0xff >> (bits.start % 8));
    let behind = bytes[last] & (0x7f_u8 >> ((end - 1) % 8));
    let (words, rest) = bytes[first..=last].as_chunks::<8>();
    let ones: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    let rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    ones + u64::from(rest) - u64::from(before.count_ones() + behind.count_ones())
}

/// Offset of the first bit among these that is `bit`.
pub fn find(bytes: &[u8], bit: bool, bits: Range<usize>) -> Option<usize> {
    let end = bits.end.min(bytes.len() * 8);
    if bits.start >= end {
        return None;
    }
    let flip = if bit { 0 } else { 0xff };
    let first = bits.start / 8;
    let head = (bytes[first] ^ flip) & (0xff >> (bits.start % 8));
    let at = if head != 0 { first } else { first + 1 + position_not(&bytes[first + 1..], flip)? };
    let byte = if at == first { head } else { bytes.get(at)? ^ flip };
    Some(at * 8 + byte.leading_zeros() as usize).filter(|offset| *offset < end)
}

/// Index of the first byte that is not `value`.
fn position_not(bytes: &[u8], value: u8) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let from = words.iter().position(|word| *word != [value; 8]).unwrap_or(words.len()) * 8;
    bytes.get(from..)?.iter().position(|byte| *byte != value).map(|at| from + at)
}

/// The bytes that `width` bits from some offset can touch.
const WINDOW: usize = 9;

/// The `width` (1 to 64) bits from `offset` on as a number, high bits first.
pub fn read(bytes: &[u8], offset: usize, width: u32) -> u64 {
    let window = u128::from_be_bytes(window(bytes, offset / 8));
    (window << (offset % 8) >> (128 - width)) as u64
}

/// Writes the lower `width` (1 to 64) bits of `value` at `offset`; bits behind the end are lost.
pub fn write(bytes: &mut [u8], offset: usize, width: u32, value: u64) {
    let (first, shift) = (offset / 8, 128 - width as usize - offset % 8);
    let mask = u128::from(u64::MAX >> (64 - width)) << shift;
    let old = u128::from_be_bytes(window(bytes, first));
    let new = (old & !mask | u128::from(value) << shift & mask).to_be_bytes();
    let end = bytes.len().min(first.saturating_add(WINDOW));
    if let Some(target) = bytes.get_mut(first..end) {
        target.copy_from_slice(&new[..target.len()]);
    }
}

fn window(bytes: &[u8], first: usize) -> [u8; 16] {
    let mut window = [0; 16];
    let there = bytes.get(first..).unwrap_or_default();
    let len = there.len().min(WINDOW);
    window[..len].copy_from_slice(&there[..len]);
    window
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same questions asked bit by bit.
    #[test]
    fn counting_and_finding_agree_with_single_bits() {
        let seed = 5;
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2000 {
            let filler = [0, 0xff, 0xf0][random.usize(..3)];
            let mut bytes = vec![filler; random.usize(..40)];
            if let Some(byte) = random.choice(bytes.iter_mut()) {
                *byte = random.u8(..);
            }
            let bits = random.usize(..330)..random.usize(..330);
            let inside = bits.start..bits.end.min(bytes.len() * 8);
            let ones = inside.clone().filter(|at| get(&bytes, *at)).count();
            assert_eq!(count(&bytes, bits.clone()), ones as u64, "{bytes:?} {bits:?}");
            for bit in [false, true] {
                let first = inside.clone().find(|at| get(&bytes, *at) == bit);
                assert_eq!(find(&bytes, bit, bits.clone()), first, "{bytes:?} {bits:?} {bit}");
            }
        }
    }

    #[test]
    fn numbers_of_any_width_come_back_and_leave_their_neighbours_alone() {
        let seed = 6;
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = vec![0_u8; 40];
        for _ in 0..3000 {
            let (offset, width, value) = (random.usize(..250), random.u32(1..=64), random.u64(..));
            let before = bytes.clone();
            write(&mut bytes, offset, width, value);
            assert_eq!(read(&bytes, offset, width), value & u64::MAX >> (64 - width));
            let touched = offset..offset + width as usize;
            for at in (0..320).filter(|at| !touched.contains(at)) {
                assert_eq!(get(&bytes, at), get(&before, at));
            }
            let bit = random.bool();
            set(&mut bytes, offset, bit);
            assert_eq!((get(&bytes, offset), read(&bytes, offset, 1)), (bit, u64::from(bit)));
        }
    }

    #[test]
    fn behind_the_end_everything_is_zero() {
        assert!(!get(b"\xff", 8));
        assert_eq!(read(b"\xff", 4, 8), 0xf0);
        assert_eq!(read(b"", 100, 64), 0);
        let mut bytes = [0];
        write(&mut bytes, 4, 8, 0xff);
        write(&mut bytes, 400, 8, 0xff);
        set(&mut bytes, 8, true);
        assert_eq!(bytes, [0x0f]);
    }
}
