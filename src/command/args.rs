//! A cursor over the words of one request. Arguments become typed values here, at the head of a command,
//! with the servers' own refusals.

use crate::dataset::Dialect;
use crate::number;
use crate::resp::refusal::Refusal;
pub use crate::resp::request::Span;

/// The words of one request; the cursor starts behind the command's name (and subcommand).
#[derive(Clone, Debug)]
pub struct Args<'a> {
    frame: &'a [u8],
    spans: &'a [Span],
    at: usize,
}

impl<'a> Args<'a> {
    /// Words at `spans` of `frame`; the cursor stands on word `at`.
    pub fn new(frame: &'a [u8], spans: &'a [Span], at: usize) -> Self {
        Self { frame, spans, at }
    }

    /// Word `index` of the whole request, the name being 0.
    pub fn word(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        self.frame.get(span.start as usize..span.end as usize)
    }

    /// All words of the request, the name first, wherever the cursor stands.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let frame = self.frame;
        self.spans.iter().map(move |span| span.of(frame))
    }

    /// Moves the cursor to word `at` of the whole request.
    pub fn skip_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Number of words of the whole request, the name included.
    pub fn word_count(&self) -> usize {
        self.spans.len()
    }

    /// Words from the cursor on.
    pub fn remaining(&self) -> usize {
        self.spans.len().saturating_sub(self.at)
    }

    /// Nothing left?
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The word under the cursor, without moving.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.word(self.at)
    }

    /// The next word; a syntax error at the end.
    pub fn require(&mut self) -> Result<&'a [u8], Refusal> {
        self.optional().ok_or(Refusal::SYNTAX)
    }

    /// The next word, if there is one.
    pub fn optional(&mut self) -> Option<&'a [u8]> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    /// Moves past the next word if it is `word`, in either case.
    pub fn take(&mut self, word: &str) -> bool {
        let here = self.peek().is_some_and(|w| w.eq_ignore_ascii_case(word.as_bytes()));
        self.at += usize::from(here);
        here
    }

    /// The next word as a signed integer (`ERR value is not an integer or out of range`).
    pub fn integer(&mut self) -> Result<i64, Refusal> {
        number::parse_integer(self.require()?).ok_or(Refusal::NOT_AN_INTEGER)
    }

    /// The next word as a double (`ERR value is not a valid float`); NaN is refused.
    pub fn float(&mut self) -> Result<f64, Refusal> {
        number::parse_float(self.require()?).ok_or(Refusal::NOT_A_FLOAT)
    }

    /// The same as servers of this dialect read it.
    pub fn float_as(&mut self, dialect: Dialect) -> Result<f64, Refusal> {
        let read = if dialect.reads_hexadecimal() { number::parse_float } else { number::parse_decimal_float };
        read(self.require()?).ok_or(Refusal::NOT_A_FLOAT)
    }

    /// Nothing may follow: a syntax error otherwise.
    pub fn end(&self) -> Result<(), Refusal> {
        if self.is_empty() { Ok(()) } else { Err(Refusal::SYNTAX) }
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.optional()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining(), Some(self.remaining()))
    }
}
