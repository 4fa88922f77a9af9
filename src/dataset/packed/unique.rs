//! Are the fields or members of a foreign blob all different?

use super::listpack::{IntText, Listpack};
use smallvec::SmallVec;
use std::hash::BuildHasher;

/// Whether the elements 0, `step`, 2*`step` and so on differ from each other as text. Linear but for sorting their
/// hashes, which nobody outside can guess.
pub fn all_differ(pack: &Listpack, step: usize) -> bool {
    let hasher = foldhash::fast::RandomState::default();
    let mut scratch = IntText::default();
    let texts = pack.iter().step_by(step.max(1));
    let mut hashes: SmallVec<[u64; 128]> = texts.map(|text| hasher.hash_one(text.text(&mut scratch))).collect();
    hashes.sort_unstable();
    let may_repeat = hashes.windows(2).any(|pair| pair[0] == pair[1]);
    !may_repeat || all_differ_surely(pack, step)
}

/// The same without hashes; slow, asked only when two of them agree.
fn all_differ_surely(pack: &Listpack, step: usize) -> bool {
    let mut texts: Vec<Vec<u8>> = pack.iter().step_by(step.max(1)).map(|text| text.to_vec()).collect();
    texts.sort_unstable();
    texts.windows(2).all(|pair| pair[0] != pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_every_nth_element_counts() {
        let check = |texts: &[&str], step, expected| {
            let mut pack = Listpack::new();
            texts.iter().for_each(|text| pack.push(text.as_bytes()));
            assert_eq!(all_differ(&pack, step), expected, "{texts:?} by {step}");
            assert_eq!(all_differ_surely(&pack, step), expected, "{texts:?} by {step}");
        };
        check(&[], 2, true);
        check(&["a", "b", "c"], 1, true);
        check(&["a", "b", "a"], 1, false);
        check(&["a", "1", "b", "1"], 2, true);
        check(&["7", "a", "7", "b"], 2, false);
        check(&["7", "a", "07", "b"], 2, true);
    }

    #[test]
    fn an_integer_and_its_text_are_the_same() {
        // 7 as integer, then as the string "7": no server writes it so, but a foreign blob may.
        let pack = Listpack::parse(&[12, 0, 0, 0, 2, 0, 7, 1, 0x81, b'7', 2, 0xff]).unwrap();
        assert!(!all_differ(&pack, 1));
    }
}
