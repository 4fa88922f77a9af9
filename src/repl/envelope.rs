//! How a snapshot is wrapped on the wire: by length (`$123⏎`) or by end mark (`$EOF:<40 bytes>⏎`).
//!
//! Comes in: the bytes behind the wrapping's first line, in pieces. Goes out: the snapshot's bytes, and what
//! follows it.

use crate::resp::number::parse_integer;
use bytes::{Bytes, BytesMut};

/// Bytes of the random mark that ends a diskless snapshot.
pub const MARK_BYTES: usize = 40;

/// A snapshot on its way.
#[derive(Debug)]
pub enum Envelope {
    /// So many bytes are still to come.
    Length { left: u64 },
    /// It ends where the mark stands. `held` is what may be the mark's beginning.
    EndMark { mark: [u8; MARK_BYTES], held: BytesMut },
}

/// What one piece brought.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the snapshot, maybe none.
    pub snapshot: Bytes,
    /// Behind the end: the first bytes of the stream, if any. `None` before the end.
    pub rest: Option<Bytes>,
}

impl Envelope {
    /// Reads the wrapping's first line, without its line end. `None` if it is none.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = line.strip_prefix(b"$")?;
        if let Some(mark) = line.strip_prefix(b"EOF:") {
            return Some(Self::EndMark { mark: mark.try_into().ok()?, held: BytesMut::new() });
        }
        let left = u64::try_from(parse_integer(line)?).ok()?;
        Some(Self::Length { left })
    }

    /// Bytes of the whole snapshot, where they are known.
    pub fn total(&self) -> Option<u64> {
        if let Self::Length { left } = self { Some(*left) } else { None }
    }

    /// Takes the next bytes from the wire. An end mark is found wherever it stands; up to 39 bytes are held back
    /// until it is clear that they are not its beginning.
    pub fn feed(&mut self, mut bytes: Bytes) -> Piece {
        match self {
            Self::Length { left } => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let snapshot = bytes.split_to(take);
                *left -= take as u64;
                Piece { snapshot, rest: (*left == 0).then_some(bytes) }
            }
            Self::EndMark { mark, held } => {
                if !held.is_empty() {
                    held.extend_from_slice(&bytes);
                    bytes = held.split().freeze();
                }
                if let Some(at) = memchr::memmem::find(&bytes, &mark[..]) {
                    let snapshot = bytes.split_to(at);
                    return Piece { snapshot, rest: Some(bytes.slice(MARK_BYTES..)) };
                }
                let keep = bytes.len().min(MARK_BYTES - 1);
                let snapshot = bytes.split_to(bytes.len() - keep);
                held.extend_from_slice(&bytes);
                Piece { snapshot, rest: None }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_the_wrapping() {
        assert!(matches!(Envelope::parse(b"$123"), Some(Envelope::Length { left: 123 })));
        let line = [&b"$EOF:"[..], &[b'm'; 40]].concat();
        assert!(matches!(Envelope::parse(&line), Some(Envelope::EndMark { .. })));
        for bad in [&b"$EOF:short"[..], b"$-1", b"+OK", b"", b"$", b"$1x"] {
            assert!(Envelope::parse(bad).is_none(), "{bad:?}");
        }
    }

    fn unwrap(first: &[u8], body: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>) {
        let mut envelope = Envelope::parse(first).unwrap();
        let (mut snapshot, mut rest) = (vec![], None::<Vec<u8>>);
        for bytes in body.chunks(piece) {
            match &mut rest {
                Some(rest) => rest.extend_from_slice(bytes),
                None => {
                    let piece = envelope.feed(Bytes::copy_from_slice(bytes));
                    snapshot.extend_from_slice(&piece.snapshot);
                    rest = piece.rest.map(|rest| rest.to_vec());
                }
            }
        }
        (snapshot, rest.expect("the end was seen"))
    }

    #[test]
    fn a_snapshot_is_unwrapped_whatever_the_pieces() {
        let mark = *b"abcdefghijklmnopqrstuvwxyz0123456789ABCD";
        let first = [&b"$EOF:"[..], &mark].concat();
        let content = [&b"REDIS0012 some bytes 01234567890123456789"[..], &mark[..39]].concat();
        let body = [&content[..], b"x", &mark, b"*1\r\n"].concat();
        for piece in 1..body.len() + 1 {
            let expected = ([&content[..], b"x"].concat(), b"*1\r\n".to_vec());
            assert_eq!(unwrap(&first, &body, piece), expected, "pieces of {piece}");
        }
        for piece in 1..10 {
            assert_eq!(unwrap(b"$5", b"RDB..*1", piece), (b"RDB..".to_vec(), b"*1".to_vec()));
        }
    }
}
