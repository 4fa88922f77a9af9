//! HyperLogLog: an estimate of how many different elements were added, kept in a string, byte for byte as the
//! servers make it. A byte that differs here shows in every later digest.
//!
//! `HYLL`, encoding (0 dense, 1 sparse), 3 zeros, cached count in 8 bytes little endian whose highest bit says that
//! it is stale, registers.

mod count;
mod sparse;

pub use count::estimate;

/// Number of registers.
pub const REGISTERS: usize = 16384;
/// Bits of the hash that are not a register number: the highest register value is one more.
pub(super) const HASH_BITS: u32 = 50;
const HEADER: usize = 16;
const DENSE_BYTES: usize = HEADER + REGISTERS * 6 / 8;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const STALE: u8 = 0x80;

/// The values of all registers.
pub type Registers = [u8; REGISTERS];

/// The registers do not decode, though the header is right (`INVALIDOBJ` on the servers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Whether a string has the header of a HyperLogLog, and the length if it is a dense one.
pub fn is_hyperloglog(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER
        && bytes.starts_with(b"HYLL")
        && match bytes[4] {
            DENSE => bytes.len() == DENSE_BYTES,
            SPARSE => true,
            _ => false,
        }
}

/// One without elements: sparse, 18 bytes. Its count is stale: making the key was a change.
pub fn empty() -> Vec<u8> {
    [b"HYLL\x01".as_slice(), &[0; 10], &[STALE], &sparse::EMPTY].concat()
}

/// Adds elements; answers whether a register changed. `sparse_max` is `hll-sparse-max-bytes`.
pub fn add<'a>(
    bytes: &mut Vec<u8>,
    elements: impl Iterator<Item = &'a [u8]>,
    sparse_max: usize,
) -> Result<bool, Corrupt> {
    let mut changed = false;
    for element in elements {
        let (register, value) = place(element);
        changed |= set(bytes, register, value, sparse_max)?;
    }
    if changed {
        make_stale(bytes);
    }
    Ok(changed)
}

/// Raises the registers to `registers`, the maximum of all sources. The target goes dense if `dense`.
pub fn raise(bytes: &mut Vec<u8>, registers: &Registers, dense: bool, sparse_max: usize) -> Result<(), Corrupt> {
    if dense {
        make_dense(bytes)?;
    }
    for (register, value) in registers.iter().enumerate().filter(|(_, value)| **value > 0) {
        set(bytes, register, *value, sparse_max)?;
    }
    make_stale(bytes);
    Ok(())
}

/// Registers without elements, for [`merge_into`].
pub fn no_registers() -> Box<Registers> {
    Box::new([0; REGISTERS])
}

/// Raises `registers` to those of a string where they are higher; answers whether the string is dense.
pub fn merge_into(registers: &mut Registers, bytes: &[u8]) -> Result<bool, Corrupt> {
    visit(bytes, |first, run, value| {
        registers[first..first + run].iter_mut().for_each(|register| *register = (*register).max(value));
    })?;
    Ok(is_dense(bytes))
}

/// The number of different elements: the cached count, or the estimate if that is stale.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    match cached_count(bytes) {
        Some(count) => Ok(count),
        None => {
            let mut registers = no_registers();
            merge_into(&mut registers, bytes)?;
            Ok(estimate(&registers))
        }
    }
}

/// Stores a count as the cached one (what PFCOUNT of one key does on a master).
pub fn store_count(bytes: &mut [u8], count: u64) {
    if let Some(cache) = bytes.get_mut(8..HEADER) {
        cache.copy_from_slice(&count.to_le_bytes());
    }
}

/// Makes a sparse one dense; header and cached count stay.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupt> {
    if is_dense(bytes) {
        return Ok(());
    }
    let mut dense = vec![0; DENSE_BYTES];
    dense[..HEADER].copy_from_slice(bytes.get(..HEADER).ok_or(Corrupt)?);
    dense[4] = DENSE;
    visit(bytes, |first, run, value| {
        if value > 0 {
            for register in first..first + run {
                set_dense(&mut dense[HEADER..], register, value);
            }
        }
    })?;
    *bytes = dense;
    Ok(())
}

/// Which register an element concerns, and the value it wants there.
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let rest = hash >> 14 | 1 << HASH_BITS;
    (hash as usize % REGISTERS, rest.trailing_zeros() as u8 + 1)
}

/// Raises one register; answers whether it changed.
fn set(bytes: &mut Vec<u8>, register: usize, value: u8, sparse_max: usize) -> Result<bool, Corrupt> {
    if !is_dense(bytes) {
        let outcome = sparse::set(bytes, HEADER, register, value, sparse_max)?;
        match outcome {
            sparse::Outcome::Same => return Ok(false),
            sparse::Outcome::Changed => return Ok(true),
            sparse::Outcome::TooBig => make_dense(bytes)?,
        }
    }
    Ok(set_dense(bytes.get_mut(HEADER..).ok_or(Corrupt)?, register, value))
}

/// Register `i` is in bits `6i` to `6i+5` of the little endian bit string.
fn set_dense(body: &mut [u8], register: usize, value: u8) -> bool {
    let (byte, bit) = (register * 6 / 8, register * 6 % 8);
    let next = body.get(byte + 1).copied().unwrap_or(0);
    let Some(first) = body.get_mut(byte) else { return false };
    let both = u16::from_le_bytes([*first, next]);
    if (both >> bit & 63) as u8 >= value {
        return false;
    }
    let [low, high] = (both & !(63 << bit) | u16::from(value) << bit).to_le_bytes();
    *first = low;
    if let Some(second) = body.get_mut(byte + 1) {
        *second = high;
    }
    true
}

/// Hands out runs of registers of equal value: first, how many, value. All registers, in order.
fn visit(bytes: &[u8], mut run: impl FnMut(usize, usize, u8)) -> Result<(), Corrupt> {
    let body = bytes.get(HEADER..).ok_or(Corrupt)?;
    if !is_dense(bytes) {
        return sparse::visit(body, run);
    }
    if bytes.len() != DENSE_BYTES {
        return Err(Corrupt);
    }
    for (group, three) in body.chunks_exact(3).enumerate() {
        let four = u32::from_le_bytes([three[0], three[1], three[2], 0]);
        for at in 0..4 {
            run(group * 4 + at, 1, (four >> (6 * at) & 63) as u8);
        }
    }
    Ok(())
}

fn is_dense(bytes: &[u8]) -> bool {
    bytes.get(4) == Some(&DENSE)
}

fn cached_count(bytes: &[u8]) -> Option<u64> {
    let cache = bytes.get(8..HEADER)?.first_chunk()?;
    (cache[7] & STALE == 0).then(|| u64::from_le_bytes(*cache))
}

fn make_stale(bytes: &mut [u8]) {
    if let Some(last) = bytes.get_mut(HEADER - 1) {
        *last |= STALE;
    }
}

/// MurmurHash64A with the servers' seed.
fn murmur(data: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const SEED: u64 = 0xadc8_3b19;
    let mut hash = SEED ^ (data.len() as u64).wrapping_mul(M);
    let (words, rest) = data.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 47;
        hash = (hash ^ k.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    hash ^= hash >> 47;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 47
}

#[cfg(test)]
mod tests;
