//! Listpacks for servers that write back lengths in the other form.

use super::element::{BackLengths, Head, back_length};
use super::listpack::Listpack;
use std::borrow::Cow;

/// Shortest blob in which the two forms can differ: an element of 16383 bytes and the frame around it.
const ODD_BYTES_MIN: usize = 16_383;

impl Listpack {
    /// The blob with back lengths in this form: borrowed, unless an element of an odd size has the other one. Short
    /// blobs, which is nearly all, are not looked at.
    pub fn in_form(&self, form: BackLengths) -> Cow<'_, [u8]> {
        if self.byte_len() < ODD_BYTES_MIN || parts(self).all(|(body, back)| back == written(body, form)) {
            return Cow::Borrowed(self.as_bytes());
        }
        let mut blob = Vec::with_capacity(self.byte_len() + 8);
        blob.extend_from_slice(&self.as_bytes()[..Self::HEADER]);
        for (body, _) in parts(self) {
            let (back, bytes) = back_length(body.len(), form);
            blob.extend_from_slice(body);
            blob.extend_from_slice(&back[..bytes]);
        }
        blob.push(Self::END);
        let total = u32::try_from(blob.len()).expect("containers split their blobs far below 4 GiB");
        blob[..4].copy_from_slice(&total.to_le_bytes());
        Cow::Owned(blob)
    }
}

/// How many bytes the back length of an element has in this form.
fn written(body: &[u8], form: BackLengths) -> usize {
    back_length(body.len(), form).1
}

/// Encoding and data of each element, and how many bytes its back length has.
fn parts(pack: &Listpack) -> impl Iterator<Item = (&[u8], usize)> {
    let mut rest = pack.body();
    std::iter::from_fn(move || {
        let head = Head::read(rest)?;
        let (body, after) = (rest.get(..head.size())?, head.after(rest)?);
        let back = rest.len() - after.len() - body.len();
        rest = after;
        Some((body, back))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_odd_sizes_are_written_differently() {
        for (text, differs) in [(16_377, false), (16_378, true), (16_379, false), (2_097_146, true), (100, false)]
        {
            let mut pack = Listpack::new();
            pack.push(b"before");
            pack.push(&vec![b'x'; text]);
            pack.push(b"7");
            let valkey = pack.in_form(BackLengths::Valkey91);
            assert_eq!(valkey.len() + usize::from(differs), pack.byte_len(), "{text}");
            assert_eq!(matches!(valkey, Cow::Owned(_)), differs, "{text}");
            // Both are read, and each becomes the other.
            let back = Listpack::parse(&valkey).expect("valid");
            assert!(back.iter().eq(pack.iter()) && back.iter().rev().eq(pack.iter().rev()), "{text}");
            assert_eq!(back.in_form(BackLengths::Redis), pack.as_bytes(), "{text}");
            assert!(matches!(pack.in_form(BackLengths::Redis), Cow::Borrowed(_)), "{text}");
        }
    }
}
