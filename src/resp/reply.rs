//! Writes replies of RESP2 and RESP3 into a buffer. A command says what it means (a map, a double); this file
//! knows how each version spells it.

use super::number;
use super::refusal::Refusal;

/// The protocol version that a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Proto {
    /// RESP2, what every connection starts with.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// How doubles are spelled: Redis up to 7.0 and later servers differ (protocol facts in `resp::number`).
pub use super::number::DoubleStyle;

/// A type, a number, CR LF.
const HEADER_BYTES_MAX: usize = 23;

/// A growing reply buffer of one connection.
#[derive(Debug)]
pub struct Reply {
    buf: Vec<u8>,
    /// Bytes that it may grow to.
    room: usize,
    /// Something did not fit and was left out.
    over: bool,
    /// The version in which the next values are written.
    pub proto: Proto,
    /// How doubles are printed.
    pub doubles: DoubleStyle,
}

impl Default for Reply {
    fn default() -> Self {
        Self::new(Proto::default())
    }
}

impl Reply {
    /// An empty buffer for a version, without a bound.
    pub fn new(proto: Proto) -> Self {
        Self { buf: Vec::new(), room: usize::MAX, over: false, proto, doubles: DoubleStyle::default() }
    }

    /// From now on there is room for so many bytes in all. Values that do not fit are left out: the reply makes no sense
    /// then, [`Reply::is_over`] says so, and whoever sends it must not. So a command need not look how much it writes.
    pub fn bound(&mut self, bytes: usize) {
        self.room = bytes;
        self.over = false;
    }

    /// As [`Reply::bound`] has set it.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Something did not fit.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Is there room for a value of so many bytes?
    #[inline]
    fn fits(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.room.saturating_sub(self.buf.len());
        self.over |= !fits;
        fits
    }

    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.buf
    }

    /// The buffer itself, for whoever sends it.
    pub fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }

    /// Bytes written so far: a mark for `truncate`.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Nothing written yet.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Takes back everything after a mark (a command that failed halfway), what did not fit too.
    pub fn truncate(&mut self, mark: usize) {
        self.buf.truncate(mark);
        self.over = false;
    }

    fn resp3(&self) -> bool {
        self.proto == Proto::Resp3
    }

    fn header(&mut self, kind: u8, n: impl itoa::Integer) {
        if !self.fits(HEADER_BYTES_MAX) {
            return;
        }
        self.buf.push(kind);
        self.buf.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
        self.buf.extend_from_slice(b"\r\n");
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.buf.extend_from_slice(b"+OK\r\n");
    }

    /// `+text`; the text has no line end.
    pub fn simple(&mut self, text: &str) {
        self.buf.push(b'+');
        self.buf.extend_from_slice(text.as_bytes());
        self.buf.extend_from_slice(b"\r\n");
    }

    /// `-CODE text`. Line ends inside become spaces, as real servers do.
    pub fn error(&mut self, refusal: &Refusal) {
        self.line(b'-', refusal.as_bytes());
    }

    /// The same for a text of any bytes (a script's).
    pub fn error_line(&mut self, text: &[u8]) {
        self.line(b'-', text);
    }

    /// `+text` of any bytes; line ends inside become spaces.
    pub fn status_line(&mut self, text: &[u8]) {
        self.line(b'+', text);
    }

    /// A number of any length: `(123`, in RESP2 a bulk string. Line ends inside become spaces.
    pub fn big_number(&mut self, digits: &[u8]) {
        if self.resp3() {
            return self.line(b'(', digits);
        }
        self.header(b'$', digits.len());
        self.rest_of_line(digits);
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.buf.push(kind);
        self.rest_of_line(text);
    }

    fn rest_of_line(&mut self, text: &[u8]) {
        self.buf.extend(text.iter().map(|&c| if c == b'\r' || c == b'\n' { b' ' } else { c }));
        self.buf.extend_from_slice(b"\r\n");
    }

    /// `:n`
    pub fn integer(&mut self, n: i64) {
        self.header(b':', n);
    }

    /// `:n` for counts.
    pub fn count(&mut self, n: usize) {
        self.header(b':', n);
    }

    /// `:1` or `:0`.
    pub fn flag(&mut self, yes: bool) {
        self.buf.extend_from_slice(if yes { b":1\r\n" } else { b":0\r\n" });
    }

    /// A bulk string.
    pub fn bulk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if !self.fits(bytes.len() + 2 * HEADER_BYTES_MAX) {
            return;
        }
        self.buf.reserve(bytes.len() + 16);
        self.header(b'$', bytes.len());
        self.buf.extend_from_slice(bytes);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// A bulk string, or null.
    pub fn bulk_or_null(&mut self, bytes: Option<impl AsRef<[u8]>>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// An integer as bulk string.
    pub fn bulk_integer(&mut self, n: i64) {
        self.bulk(itoa::Buffer::new().format(n));
    }

    /// No value: `$-1`, in RESP3 `_`.
    pub fn null(&mut self) {
        self.buf.extend_from_slice(if self.resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// No array: `*-1`, in RESP3 `_`.
    pub fn null_array(&mut self) {
        self.buf.extend_from_slice(if self.resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// Opens an array of `n` values.
    pub fn array(&mut self, n: usize) {
        self.header(b'*', n);
    }

    /// Opens a map of `n` pairs: `%n`, in RESP2 an array of `2n`.
    pub fn map(&mut self, n: usize) {
        if self.resp3() { self.header(b'%', n) } else { self.header(b'*', n * 2) }
    }

    /// Opens `n` pairs that stand before a value and tell something of it: `|n`. RESP2 has none.
    pub fn attributes(&mut self, n: usize) {
        self.header(b'|', n);
    }

    /// Opens a set of `n` values: `~n`, in RESP2 an array.
    pub fn set(&mut self, n: usize) {
        self.header(if self.resp3() { b'~' } else { b'*' }, n);
    }

    /// Opens a push of `n` values: `>n`, in RESP2 an array.
    pub fn push(&mut self, n: usize) {
        self.header(if self.resp3() { b'>' } else { b'*' }, n);
    }

    /// A double: `,1.5`, in RESP2 a bulk string; printed as `doubles` says.
    pub fn double(&mut self, value: f64) {
        let mut text = number::DoubleText::default();
        self.double_text(text.format(value, self.doubles));
    }

    /// A double that has been printed otherwise than `doubles` says (coordinates).
    pub fn double_text(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        if self.resp3() {
            if !self.fits(text.len() + 3) {
                return;
            }
            self.buf.push(b',');
            self.buf.extend_from_slice(text);
            self.buf.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// `#t` or `#f`, in RESP2 `:1` or `:0`.
    pub fn boolean(&mut self, yes: bool) {
        match (self.resp3(), yes) {
            (true, true) => self.buf.extend_from_slice(b"#t\r\n"),
            (true, false) => self.buf.extend_from_slice(b"#f\r\n"),
            (false, yes) => self.flag(yes),
        }
    }

    /// Text for people: `=`, with its three-letter format, in RESP2 a bulk string.
    pub fn verbatim(&mut self, format: &str, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        if !self.resp3() {
            return self.bulk(text);
        }
        self.header(b'=', text.len() + 4);
        self.buf.extend_from_slice(format.as_bytes());
        self.buf.push(b':');
        self.buf.extend_from_slice(text);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// Writes the header of an aggregate whose length is known only afterwards: `body` returns it. `open` is
    /// `Reply::array`, `Reply::map` or `Reply::set`. Costs one move of the body.
    pub fn deferred<E>(
        &mut self,
        open: fn(&mut Self, usize),
        body: impl FnOnce(&mut Self) -> Result<usize, E>,
    ) -> Result<(), E> {
        let start = self.buf.len();
        let n = body(self)?;
        let end = self.buf.len();
        open(self, n);
        let header = self.buf.len() - end;
        self.buf[start..].rotate_right(header);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_told() {
        let mut reply = Reply::new(Proto::Resp3);
        reply.bound(100);
        reply.bulk([b'x'; 40]);
        assert!(!reply.is_over());
        let mark = reply.len();
        reply.bulk([b'x'; 40]);
        assert!(reply.is_over() && reply.len() == mark);
        reply.truncate(mark);
        assert!(!reply.is_over(), "it was taken back");
        let writes: [fn(&mut Reply); 3] =
            [|reply| reply.double(1.5), |reply| reply.integer(7), |reply| reply.array(2)];
        for write in writes {
            reply.bound(100);
            (0..1000).for_each(|_| write(&mut reply));
            assert!(reply.is_over() && reply.len() <= 100, "{}", reply.len());
        }
    }
}
