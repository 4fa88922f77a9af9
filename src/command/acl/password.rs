//! Passwords: kept as SHA-256 in hexadecimal, as the real servers keep them.

use sha2::{Digest, Sha256};

/// The hash of a password, 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hash([u8; 64]);

impl Hash {
    /// Hashes a password.
    pub(super) fn of(password: &[u8]) -> Self {
        let mut hex = [0; 64];
        for (at, byte) in Sha256::digest(password).iter().enumerate() {
            hex[2 * at] = digit(byte >> 4);
            hex[2 * at + 1] = digit(byte & 15);
        }
        Self(hex)
    }

    /// Takes a hash that was computed elsewhere; `None` if it is none.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let hex: [u8; 64] = text.try_into().ok()?;
        hex.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')).then_some(Self(hex))
    }

    /// The digits.
    pub(super) fn hex(&self) -> &[u8] {
        &self.0
    }

    /// Are both the same? Takes as long whatever differs.
    pub(super) fn matches(&self, other: &Self) -> bool {
        let differing = self.0.iter().zip(&other.0).fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// ACL GENPASS: so many bits of the operating system's chance, in hexadecimal digits. `None` if it gives none.
pub(super) fn generate(bits: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; bits.div_ceil(8)];
    getrandom::fill(&mut bytes).ok()?;
    let digits = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    Some(digits.take(bits.div_ceil(4)).collect())
}

fn digit(value: u8) -> u8 {
    b"0123456789abcdef"[usize::from(value)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_servers() {
        let hash = Hash::of(b"pw");
        assert_eq!(hash.hex(), b"30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4");
        assert!(Hash::parse(hash.hex()).is_some_and(|parsed| parsed.matches(&hash)));
        assert!(!hash.matches(&Hash::of(b"pw2")));
        assert!(Hash::parse(b"123").is_none() && Hash::parse(&[b'A'; 64]).is_none());
        assert_eq!(format!("{hash:?}"), "***");
    }

    #[test]
    fn generated_passwords_have_the_wanted_length_and_differ() {
        assert_eq!(generate(5).map(|text| text.len()), Some(2));
        let (a, b) = (generate(256).expect("chance"), generate(256).expect("chance"));
        assert!(a.len() == 64 && a != b && a.iter().all(u8::is_ascii_hexdigit));
    }
}
