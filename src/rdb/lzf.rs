//! LZF decompression.
//!
//! A control byte below 32 is followed by that many literals plus one. Any other is a back reference: the length
//! is its high three bits (7: plus the next byte) plus 2, the distance its low five bits and the next byte plus 1.

/// The most bytes that one compressed byte can stand for: three bytes make at most 264.
const EXPANSION_MAX: usize = 88;

/// Decompresses into `out`, replacing what it held. The result must be exactly `len` bytes long; a length that
/// `packed` cannot reach is refused before anything is allocated for it.
pub fn decompress(packed: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
    out.clear();
    if len > packed.len().saturating_mul(EXPANSION_MAX) {
        return Err("LZF: stated length cannot be reached");
    }
    out.reserve(len);
    let mut rest = packed;
    while let Some((&control, tail)) = rest.split_first() {
        rest = if control < 32 {
            let (literals, tail) =
                tail.split_at_checked(usize::from(control) + 1).ok_or("LZF: literals are cut")?;
            out.extend_from_slice(literals);
            tail
        } else {
            back_reference(control, tail, out)?
        };
        if out.len() > len {
            return Err("LZF: longer than stated");
        }
    }
    if out.len() == len { Ok(()) } else { Err("LZF: shorter than stated") }
}

/// Copies what a back reference points at; answers the input behind it.
fn back_reference<'a>(control: u8, tail: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    const CUT: &str = "LZF: back reference is cut";
    let (length, tail) = match control >> 5 {
        7 => tail.split_first().map(|(more, tail)| (usize::from(*more) + 7, tail)).ok_or(CUT)?,
        length => (usize::from(length), tail),
    };
    let (&low, tail) = tail.split_first().ok_or(CUT)?;
    let distance = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
    let from = out.len().checked_sub(distance).ok_or("LZF: back reference before the start")?;
    // Source and target may overlap: each turn copies what is there, which doubles with every turn.
    let mut left = length + 2;
    while left > 0 {
        let step = left.min(out.len() - from);
        out.extend_from_within(from..from + step);
        left -= step;
    }
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(packed: &[u8], len: usize, expected: Result<&[u8], &str>) {
        let mut out = b"from before".to_vec();
        let result = decompress(packed, len, &mut out);
        assert_eq!(result.map(|()| out.as_slice()), expected, "{packed:?}");
    }

    #[test]
    fn literals_and_overlapping_references() {
        check(b"", 0, Ok(b""));
        check(b"\x02abc", 3, Ok(b"abc"));
        check(b"\x02abc\x20\x02", 6, Ok(b"abcabc"));
        check(b"\x00a\xe0\x03\x00", 13, Ok(b"aaaaaaaaaaaaa"));
        check(b"\x01ab\x60\x01", 7, Ok(b"abababa"));
    }

    #[test]
    fn refuses_what_does_not_add_up() {
        check(b"\x02ab", 3, Err("LZF: literals are cut"));
        check(b"\x00a\x20", 4, Err("LZF: back reference is cut"));
        check(b"\x00a\xe0\x01", 4, Err("LZF: back reference is cut"));
        check(b"\x00a\x20\x01", 4, Err("LZF: back reference before the start"));
        check(b"\x02abc", 2, Err("LZF: longer than stated"));
        check(b"\x02abc", 4, Err("LZF: shorter than stated"));
        check(b"\x02abc", usize::MAX, Err("LZF: stated length cannot be reached"));
    }
}
