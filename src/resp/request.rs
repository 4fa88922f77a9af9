//! Bytes to one command: arrays of bulk strings and inline lines, in place, resuming after any cut.
//!
//! Comes in: the unread bytes of a connection or of the master's stream. Goes out: where the words are in them.
//! Nothing is copied; an inline line with quotes is unescaped where it stands. What has been parsed of an
//! incomplete command is remembered, so that a big one that arrives in many pieces is looked at once.

use super::number::parse_integer;
use crate::limits;
use std::fmt;

/// Where one word stands in the bytes that were parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The word itself; empty if the span does not belong to `bytes`.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// What a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Words of a command.
    pub arguments: usize,
    /// Bytes of a word.
    pub bulk_bytes: usize,
    /// Bytes of a whole command.
    pub request_bytes: usize,
    /// These limits hold before authentication, and break with the texts for that.
    pub unauthenticated: bool,
    /// Inline lines are commands. In a master's stream they are a fault; only empty ones may come.
    pub inline: bool,
}

impl RequestLimits {
    /// A client that may do everything.
    pub const CLIENT: Self = Self {
        arguments: limits::REQUEST_ARGUMENTS_MAX,
        bulk_bytes: limits::BULK_BYTES_MAX,
        request_bytes: limits::REQUEST_BYTES_MAX,
        unauthenticated: false,
        inline: true,
    };
    /// A client that has yet to authenticate (as redis 7.0).
    pub const UNAUTHENTICATED: Self = Self {
        arguments: limits::UNAUTHENTICATED_ARGUMENTS_MAX,
        bulk_bytes: limits::UNAUTHENTICATED_BULK_BYTES_MAX,
        request_bytes: limits::REQUEST_BYTES_MAX,
        unauthenticated: true,
        inline: true,
    };
    /// The master's stream.
    pub const STREAM: Self = Self {
        arguments: limits::STREAM_ARGUMENTS_MAX,
        bulk_bytes: limits::STREAM_COMMAND_BYTES_MAX,
        request_bytes: limits::STREAM_COMMAND_BYTES_MAX,
        unauthenticated: false,
        inline: false,
    };
}

/// Why the bytes cannot be a command; the connection is of no use afterwards. Displayed as the servers' text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    MultibulkLength,
    UnauthenticatedMultibulk,
    MultibulkLine,
    BulkLength,
    UnauthenticatedBulk,
    BulkLine,
    ExpectedDollar(u8),
    InlineTooBig,
    UnbalancedQuotes,
    RequestTooBig,
    InlineInStream,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::MultibulkLength => "invalid multibulk length",
            Self::UnauthenticatedMultibulk => "unauthenticated multibulk length",
            Self::MultibulkLine => "too big mbulk count string",
            Self::BulkLength => "invalid bulk length",
            Self::UnauthenticatedBulk => "unauthenticated bulk length",
            Self::BulkLine => "too big bulk count string",
            Self::ExpectedDollar(got) => return write!(f, "expected '$', got '{}'", char::from(*got)),
            Self::InlineTooBig => "too big inline request",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::RequestTooBig => "request too big",
            Self::InlineInStream => "inline command in the replication stream",
        };
        f.write_str(text)
    }
}

/// What has been parsed of a command that is not complete yet.
#[derive(Debug, Default)]
pub struct Parser {
    /// Words so far, relative to the command's first byte.
    words: Vec<Span>,
    /// Words still to come; `None` before the array header.
    missing: Option<usize>,
    /// Bytes looked at, from the command's first byte.
    at: usize,
}

/// A cursor over the bytes of one command.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Parser {
    /// Parses the command that starts at `bytes[base]`. `Some(length)`: it is complete, and its words were added to
    /// `spans` (none for an empty line or array). `None`: more bytes are needed; call again with the same bytes and
    /// what came behind them (they may have moved: `base` may differ). After an error the connection is to be closed.
    pub fn parse(
        &mut self,
        bytes: &mut [u8],
        base: usize,
        spans: &mut Vec<Span>,
        limits: &RequestLimits,
    ) -> Result<Option<usize>, RequestError> {
        let Some(&first) = bytes.get(base) else { return Ok(None) };
        if self.missing.is_none() && first != b'*' {
            return inline(bytes, base, spans, limits);
        }
        let shift = u32::try_from(base).map_err(|_| RequestError::RequestTooBig)?;
        let mark = spans.len();
        let mut cursor = Cursor { bytes, at: base + self.at };
        let complete = if self.missing.is_none() {
            // Mostly all of it is there.
            let complete = self.array(&mut cursor, spans, limits)?;
            if !complete {
                self.words
                    .extend(spans.drain(mark..).map(|w| Span { start: w.start - shift, end: w.end - shift }));
            }
            complete
        } else {
            self.read_on(&mut cursor, shift, spans, limits)?
        };
        if complete {
            *self = Self::default();
            return Ok(Some(cursor.at - base));
        }
        self.at = cursor.at - base;
        if bytes.len() - base > limits.request_bytes {
            return Err(RequestError::RequestTooBig);
        }
        Ok(None)
    }

    /// Bytes that a command in the making still needs at least, beyond those looked at: a hint for reading.
    pub fn in_progress(&self) -> bool {
        self.missing.is_some()
    }

    /// Reads on in a command that came in pieces. Its words are moved to `spans` once, when all are there: a command may
    /// have as many words as it likes and come in as many pieces.
    #[cold]
    fn read_on(
        &mut self,
        cursor: &mut Cursor<'_>,
        shift: u32,
        spans: &mut Vec<Span>,
        limits: &RequestLimits,
    ) -> Result<bool, RequestError> {
        let mut words = std::mem::take(&mut self.words);
        let known = words.len();
        let complete = self.array(cursor, &mut words, limits)?;
        words[known..].iter_mut().for_each(|w| *w = Span { start: w.start - shift, end: w.end - shift });
        if complete {
            spans.extend(words.into_iter().map(|w| Span { start: w.start + shift, end: w.end + shift }));
        } else {
            self.words = words;
        }
        Ok(complete)
    }

    /// Reads on in an array; `true` when it is complete.
    fn array(
        &mut self,
        cursor: &mut Cursor<'_>,
        spans: &mut Vec<Span>,
        limits: &RequestLimits,
    ) -> Result<bool, RequestError> {
        let mut missing = match self.missing {
            Some(missing) => missing,
            None => match cursor.header(RequestError::MultibulkLine)? {
                None => return Ok(false),
                Some(count) => array_length(count, limits)?,
            },
        };
        while missing > 0 {
            let start = cursor.at;
            let Some(word) = cursor.bulk(limits)? else {
                cursor.at = start;
                self.missing = Some(missing);
                return Ok(false);
            };
            spans.push(word);
            missing -= 1;
        }
        Ok(true)
    }
}

fn array_length(count: Option<i64>, limits: &RequestLimits) -> Result<usize, RequestError> {
    let count =
        count.filter(|n| *n <= limits::REQUEST_ARGUMENTS_MAX as i64).ok_or(RequestError::MultibulkLength)?;
    let count = usize::try_from(count).unwrap_or(0);
    match count > limits.arguments {
        true if limits.unauthenticated => Err(RequestError::UnauthenticatedMultibulk),
        true => Err(RequestError::MultibulkLength),
        false => Ok(count),
    }
}

impl Cursor<'_> {
    /// A header line: one type byte, a number, CR LF. The outer `None`: not complete; the inner: not a number.
    #[inline]
    fn header(&mut self, too_long: RequestError) -> Result<Option<Option<i64>>, RequestError> {
        let line = self.bytes.get(self.at + 1..).unwrap_or_default();
        if let [digit @ b'0'..=b'9', b'\r', _, ..] = line {
            self.at += 4;
            return Ok(Some(Some(i64::from(digit - b'0'))));
        }
        let Some(end) = memchr::memchr(b'\r', &line[..line.len().min(limits::INLINE_REQUEST_BYTES_MAX)]) else {
            return if line.len() >= limits::INLINE_REQUEST_BYTES_MAX { Err(too_long) } else { Ok(None) };
        };
        if line.len() < end + 2 {
            return Ok(None);
        }
        self.at += end + 3;
        Ok(Some(parse_integer(&line[..end])))
    }

    /// One bulk string; `None` if it is not complete (the cursor is then anywhere).
    #[inline]
    fn bulk(&mut self, limits: &RequestLimits) -> Result<Option<Span>, RequestError> {
        match self.bytes.get(self.at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&other) => return Err(RequestError::ExpectedDollar(other)),
        }
        let Some(len) = self.header(RequestError::BulkLine)? else { return Ok(None) };
        let len = len.and_then(|len| usize::try_from(len).ok()).ok_or(RequestError::BulkLength)?;
        if len > limits.bulk_bytes {
            let too_long =
                if limits.unauthenticated { RequestError::UnauthenticatedBulk } else { RequestError::BulkLength };
            return Err(too_long);
        }
        let end = self.at + len;
        let (Ok(start), Ok(stop)) = (u32::try_from(self.at), u32::try_from(end)) else {
            return Err(RequestError::RequestTooBig);
        };
        if self.bytes.len() < end + 2 {
            return Ok(None);
        }
        self.at = end + 2;
        Ok(Some(Span { start, end: stop }))
    }
}

/// An inline line: words separated by blanks, quotes as in redis-cli.
fn inline(
    bytes: &mut [u8],
    base: usize,
    spans: &mut Vec<Span>,
    limits: &RequestLimits,
) -> Result<Option<usize>, RequestError> {
    let rest = &bytes[base..];
    let Some(len) = memchr::memchr(b'\n', &rest[..rest.len().min(limits::INLINE_REQUEST_BYTES_MAX)]) else {
        return if rest.len() >= limits::INLINE_REQUEST_BYTES_MAX {
            Err(RequestError::InlineTooBig)
        } else {
            Ok(None)
        };
    };
    let end = base + if len > 0 && rest[len - 1] == b'\r' { len - 1 } else { len };
    if !limits.inline && end > base {
        return Err(RequestError::InlineInStream);
    }
    u32::try_from(end).map_err(|_| RequestError::RequestTooBig)?;
    split_words(bytes, base, end, spans)?;
    Ok(Some(len + 1))
}

/// Splits `bytes[at..end]` into words, unescaping quoted ones in place (they only get shorter).
fn split_words(bytes: &mut [u8], at: usize, end: usize, spans: &mut Vec<Span>) -> Result<(), RequestError> {
    let mark = spans.len();
    let mut read = at;
    loop {
        while read < end && is_blank(bytes[read]) {
            read += 1;
        }
        if read == end {
            return Ok(());
        }
        let start = read;
        let Some((next, stop)) = unquote(bytes, start, end) else {
            spans.truncate(mark);
            return Err(RequestError::UnbalancedQuotes);
        };
        spans.push(Span { start: start as u32, end: stop as u32 });
        read = next;
    }
}

fn is_blank(c: u8) -> bool {
    c.is_ascii_whitespace() || c == 0x0b || c == 0
}

/// One word from `start`: where reading goes on, and where the unescaped word ends. `None`: a quote is open, or a
/// closing quote is not followed by a blank (as redis: `sdssplitargs`).
fn unquote(bytes: &mut [u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let (mut read, mut write) = (start, start);
    let mut quote = None;
    while read < end {
        let c = bytes[read];
        let (byte, used) = match quote {
            None if is_blank(c) => return Some((read, write)),
            None if c == b'"' || c == b'\'' => {
                quote = Some(c);
                read += 1;
                continue;
            }
            Some(open) if c == open => {
                quote = None;
                read += 1;
                if read < end && !is_blank(bytes[read]) {
                    return None;
                }
                continue;
            }
            Some(b'"') if c == b'\\' && read + 1 < end => escape(&bytes[read + 1..end]),
            Some(b'\'') if c == b'\\' && bytes.get(read + 1) == Some(&b'\'') && read + 1 < end => (b'\'', 2),
            _ => (c, 1),
        };
        bytes[write] = byte;
        write += 1;
        read += used;
    }
    quote.is_none().then_some((read, write))
}

/// What stands behind a backslash inside double quotes, and how many bytes the whole escape takes.
fn escape(rest: &[u8]) -> (u8, usize) {
    let hex = |c: &u8| char::from(*c).to_digit(16);
    match rest {
        [b'x', high, low, ..] if hex(high).is_some() && hex(low).is_some() => {
            let digit = |c| hex(c).unwrap_or(0) as u8;
            (digit(high) << 4 | digit(low), 4)
        }
        [b'n', ..] => (b'\n', 2),
        [b'r', ..] => (b'\r', 2),
        [b't', ..] => (b'\t', 2),
        [b'b', ..] => (0x08, 2),
        [b'a', ..] => (0x07, 2),
        [other, ..] => (*other, 2),
        [] => (b'\\', 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8], spans: &[Span]) -> Vec<String> {
        spans.iter().map(|span| String::from_utf8_lossy(span.of(bytes)).into_owned()).collect()
    }

    fn parse_all(input: &[u8], limits: RequestLimits) -> Result<Vec<Vec<String>>, RequestError> {
        let (mut bytes, mut base, mut parser, mut out) = (input.to_vec(), 0, Parser::default(), Vec::new());
        let mut spans = Vec::new();
        while let Some(used) = parser.parse(&mut bytes, base, &mut spans, &limits)? {
            out.push(words(&bytes, &spans));
            spans.clear();
            base += used;
        }
        Ok(out)
    }

    fn check(input: &[u8], expected: &[&[&str]]) {
        assert_eq!(parse_all(input, RequestLimits::CLIENT).expect("no error"), expected, "{input:?}");
    }

    #[test]
    fn arrays_and_lines_become_words() {
        check(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", &[&["GET", "k"]]);
        check(b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", &[&["PING"], &["PING"]]);
        check(b"PING\r\nGET k\n", &[&["PING"], &["GET", "k"]]);
        check(b"\r\n\n*0\r\n*-1\r\n", &[&[], &[], &[], &[]]);
        check(b"  SET  k \t v  \r\n", &[&["SET", "k", "v"]]);
        check(b"SET \"a b\\x41\\n\" 'it\\'s' \"\"\n", &[&["SET", "a bA\n", "it's", ""]]);
        check(b"*1\r\n$10\r\n0123456789\r\n", &[&["0123456789"]]);
        check(b"*2\r\n$3\r\nGET\r\n$1\r\nk", &[]);
    }

    #[test]
    fn words_are_moved_once_however_many_pieces_a_command_comes_in() {
        let input = [&b"*10000\r\n"[..], &b"$1\r\nk\r\n".repeat(10_000)].concat();
        let (mut parser, mut bytes, mut pieces) = (Parser::default(), Vec::new(), 0);
        for piece in input.chunks(700) {
            bytes.extend_from_slice(piece);
            // Room is taken by whoever moves a word there.
            let mut spans = Vec::new();
            let used = parser.parse(&mut bytes, 0, &mut spans, &RequestLimits::STREAM).expect("well formed");
            pieces += 1;
            if bytes.len() < input.len() {
                assert!(used.is_none() && (pieces == 1 || spans.capacity() == 0), "words moved at piece {pieces}");
            } else {
                assert_eq!((used, spans.len()), (Some(input.len()), 10_000));
                assert!(spans.iter().all(|span| span.of(&bytes) == b"k"));
            }
        }
        assert_eq!(parser.words.capacity(), 0, "nothing is kept for the next command");
    }

    fn refused(input: &[u8], limits: RequestLimits, text: &str) {
        let error = parse_all(input, limits).expect_err("an error");
        assert_eq!(error.to_string(), text, "{input:?}");
    }

    #[test]
    fn what_is_no_command_is_refused_with_the_servers_text() {
        let client = RequestLimits::CLIENT;
        refused(b"*x\r\n", client, "invalid multibulk length");
        refused(b"*99999999999\r\n", client, "invalid multibulk length");
        refused(b"*1\r\n:1\r\n", client, "expected '$', got ':'");
        refused(b"*1\r\n$-1\r\n", client, "invalid bulk length");
        refused(b"*1\r\n$600000000\r\n", client, "invalid bulk length");
        refused(b"GET \"k\n", client, "unbalanced quotes in request");
        refused(b"GET \"k\"v\n", client, "unbalanced quotes in request");
        refused(&[b'x'; 70_000], client, "too big inline request");
        refused(&[&b"*1\r\n$"[..], &[b'1'; 70_000]].concat(), client, "too big bulk count string");
        refused(&[&b"*"[..], &[b'1'; 70_000]].concat(), client, "too big mbulk count string");
        let early = RequestLimits::UNAUTHENTICATED;
        refused(b"*11\r\n", early, "unauthenticated multibulk length");
        refused(b"*1\r\n$16385\r\n", early, "unauthenticated bulk length");
        refused(b"PING\r\n", RequestLimits::STREAM, "inline command in the replication stream");
    }

    #[test]
    fn a_command_may_be_cut_anywhere() {
        let input = b"*3\r\n$3\r\nSET\r\n$10\r\nkkkkkkkkkk\r\n$2\r\n\r\n\r\n\n*1\r\n$4\r\nPING\r\n";
        for first in 0..input.len() {
            for second in first..input.len() {
                let (mut parser, mut spans, mut got, mut bytes) = (Parser::default(), vec![], vec![], vec![]);
                for piece in [&input[..first], &input[first..second], &input[second..]] {
                    bytes.extend_from_slice(piece);
                    while let Some(used) =
                        parser.parse(&mut bytes, 0, &mut spans, &RequestLimits::STREAM).expect("well formed")
                    {
                        got.push(words(&bytes, &spans));
                        spans.clear();
                        bytes.drain(..used);
                    }
                }
                let expected = [vec!["SET", "kkkkkkkkkk", "\r\n"], vec![], vec!["PING"]];
                assert_eq!(got, expected, "cut at {first} and {second}");
            }
        }
    }
}
