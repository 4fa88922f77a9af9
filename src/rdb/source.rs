//! Pull cursor over snapshot bytes that are still arriving, or over a slice that is all there.
//!
//! Comes in: chunks from a `Feed`, which blocks until there is one (the loader has its own thread while the
//! socket is still being read). Goes out: runs of bytes, borrowed from the chunk where they lie in one; the number
//! of bytes taken; their checksum, computed a chunk at a time.

use super::crc64::Crc64;
use super::{Fault, LoadError, lzf};
use bytes::Bytes;

/// Room that is taken for a run of bytes before they have arrived; lengths in a snapshot are not trusted.
const RESERVE_BYTES_MAX: usize = 1 << 20;

/// Where the chunks of a snapshot come from.
pub trait Feed {
    /// The next bytes in order, `None` after the last. Blocks until either is known.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, Aborted>;
}

impl<F: FnMut() -> Result<Option<Bytes>, Aborted>> Feed for F {
    fn next_chunk(&mut self) -> Result<Option<Bytes>, Aborted> {
        self()
    }
}

/// The snapshot will not be completed: the link is gone or the program ends. Whoever aborted knows why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted;

enum Window<'a> {
    Slice(&'a [u8]),
    Chunk(Bytes),
}

impl Window<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Slice(bytes) => bytes,
            Self::Chunk(bytes) => bytes,
        }
    }
}

/// The cursor.
pub struct Source<'a> {
    feed: Option<Box<dyn Feed + 'a>>,
    window: Window<'a>,
    /// Next byte of the window.
    at: usize,
    /// Bytes of the windows before this one.
    before: u64,
    /// Bytes of this window that are in the checksum already.
    summed: usize,
    crc: Crc64,
    /// A run of bytes that was cut across chunks.
    gathered: Vec<u8>,
    /// What a packed string stands for.
    unpacked: Vec<u8>,
    bytes_total: Option<u64>,
}

impl<'a> Source<'a> {
    /// A cursor over bytes that are all there.
    pub fn from_slice(bytes: &'a [u8]) -> Self {
        Self::with(None, Window::Slice(bytes), Some(bytes.len() as u64))
    }

    /// A cursor over bytes that are still arriving.
    pub fn new(feed: impl Feed + 'a) -> Self {
        Self::with(Some(Box::new(feed)), Window::Slice(&[]), None)
    }

    fn with(feed: Option<Box<dyn Feed + 'a>>, window: Window<'a>, bytes_total: Option<u64>) -> Self {
        Self {
            feed,
            window,
            at: 0,
            before: 0,
            summed: 0,
            crc: Crc64::default(),
            gathered: Vec::new(),
            unpacked: Vec::new(),
            bytes_total,
        }
    }

    /// The same cursor, told how many bytes there will be (a master that states the length).
    #[must_use]
    pub fn expecting(mut self, bytes: u64) -> Self {
        self.bytes_total = Some(bytes);
        self
    }

    /// How many bytes there will be, where that is known.
    pub fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }

    /// Bytes taken so far.
    pub fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// An error at this place.
    pub fn error(&self, fault: impl Into<Fault>) -> LoadError {
        LoadError::at(self.offset(), fault.into())
    }

    /// The next `n` bytes in one piece; copied only if they are cut across chunks.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> Result<&[u8], LoadError> {
        if n <= self.left_in_window() {
            let from = self.at;
            self.at += n;
            return Ok(&self.window.bytes()[from..from + n]);
        }
        self.gather(n)
    }

    /// The next byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, LoadError> {
        Ok(self.array::<1>()?[0])
    }

    /// A little endian `u16`.
    pub fn u16_le(&mut self) -> Result<u16, LoadError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// A little endian `u32`.
    pub fn u32_le(&mut self) -> Result<u32, LoadError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A big endian `u32`.
    pub fn u32_be(&mut self) -> Result<u32, LoadError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A little endian `i32`.
    pub fn i32_le(&mut self) -> Result<i32, LoadError> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    /// A little endian `u64`.
    pub fn u64_le(&mut self) -> Result<u64, LoadError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A big endian `u64` (stream ids).
    pub fn u64_be(&mut self) -> Result<u64, LoadError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A little endian `i64`.
    pub fn i64_le(&mut self) -> Result<i64, LoadError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A little endian double.
    pub fn f64_le(&mut self) -> Result<f64, LoadError> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        Ok(*self.bytes(N)?.first_chunk().expect("bytes(N) answers N bytes"))
    }

    /// Steps over `n` bytes without keeping them.
    pub fn skip(&mut self, n: u64) -> Result<(), LoadError> {
        let mut left = n;
        loop {
            let step = left.min(self.left_in_window() as u64);
            self.at += step as usize;
            left -= step;
            if left == 0 {
                return Ok(());
            }
            self.refill()?;
        }
    }

    /// Takes `packed` bytes of LZF data and answers the `len` bytes they stand for.
    pub(super) fn lzf(&mut self, packed: usize, len: usize) -> Result<&[u8], LoadError> {
        let mut unpacked = std::mem::take(&mut self.unpacked);
        let done = lzf::decompress(self.bytes(packed)?, len, &mut unpacked);
        self.unpacked = unpacked;
        match done {
            Ok(()) => Ok(&self.unpacked),
            Err(what) => Err(self.error(what)),
        }
    }

    /// The decimal text of an integer, kept until the next string.
    pub(super) fn integer_text(&mut self, n: i32) -> &[u8] {
        self.unpacked.clear();
        self.unpacked.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
        &self.unpacked
    }

    /// Checksum of all bytes taken so far.
    pub fn checksum(&mut self) -> u64 {
        self.sum_window();
        self.crc.value()
    }

    /// Whether all bytes are taken. Waits for the feed to say so.
    pub fn is_at_end(&mut self) -> Result<bool, LoadError> {
        while self.left_in_window() == 0 {
            match self.refill() {
                Ok(()) => {}
                Err(error) if error.fault == Fault::Truncated => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    #[inline]
    fn left_in_window(&self) -> usize {
        self.window.bytes().len() - self.at
    }

    #[cold]
    fn gather(&mut self, n: usize) -> Result<&[u8], LoadError> {
        if self.feed.is_none() {
            self.at = self.window.bytes().len();
            return Err(self.error(Fault::Truncated));
        }
        self.gathered.clear();
        self.gathered.shrink_to(RESERVE_BYTES_MAX);
        self.gathered.reserve(n.min(RESERVE_BYTES_MAX));
        loop {
            let step = self.left_in_window().min(n - self.gathered.len());
            self.gathered.extend_from_slice(&self.window.bytes()[self.at..self.at + step]);
            self.at += step;
            if self.gathered.len() == n {
                return Ok(&self.gathered);
            }
            self.refill()?;
        }
    }

    fn sum_window(&mut self) {
        self.crc.update(&self.window.bytes()[self.summed..self.at]);
        self.summed = self.at;
    }

    /// Puts the next chunk in place of a window that is used up; an error at the end.
    #[cold]
    fn refill(&mut self) -> Result<(), LoadError> {
        debug_assert_eq!(self.left_in_window(), 0, "a window is replaced only when it is used up");
        let chunk = match &mut self.feed {
            None => return Err(self.error(Fault::Truncated)),
            Some(feed) => feed.next_chunk(),
        };
        let chunk = match chunk {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Err(self.error(Fault::Truncated)),
            Err(Aborted) => return Err(self.error(Fault::Aborted)),
        };
        self.sum_window();
        self.before += self.at as u64;
        (self.at, self.summed) = (0, 0);
        self.window = Window::Chunk(chunk);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::crc64::checksum;

    fn chunks<'a>(data: &'a [u8], size: usize) -> Source<'a> {
        let mut pieces = data.chunks(size);
        Source::new(move || Ok(pieces.next().map(Bytes::copy_from_slice)))
    }

    #[test]
    fn takes_the_same_bytes_however_they_arrive() {
        let data: Vec<u8> = (0..=255).collect();
        for size in 1..=256 {
            let mut source = chunks(&data, size);
            assert_eq!(source.u8(), Ok(0));
            assert_eq!(source.u32_le(), Ok(0x0403_0201));
            assert_eq!(source.bytes(45).map(<[u8]>::to_vec), Ok(data[5..50].to_vec()));
            assert_eq!(source.skip(100), Ok(()));
            assert_eq!(source.checksum(), checksum(&data[..150]), "chunks of {size}");
            assert_eq!(source.u64_be(), Ok(0x9697_9899_9a9b_9c9d));
            assert_eq!(source.offset(), 158);
            assert_eq!(source.skip(98), Ok(()));
            assert_eq!((source.checksum(), source.is_at_end()), (checksum(&data), Ok(true)));
        }
    }

    #[test]
    fn the_end_and_an_abort_are_told_with_their_place() {
        let mut cut = chunks(b"abc", 2);
        assert_eq!(cut.bytes(usize::MAX).map_err(|e| (e.offset, e.fault)), Err((3, Fault::Truncated)));
        let mut slice = Source::from_slice(b"abc");
        assert_eq!(slice.u32_le().map_err(|e| (e.offset, e.fault)), Err((3, Fault::Truncated)));
        let mut aborted = Source::new(|| Err(Aborted));
        assert_eq!(aborted.u8().map_err(|e| (e.offset, e.fault)), Err((0, Fault::Aborted)));
    }
}
