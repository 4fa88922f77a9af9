//! Lua's patterns, as `lstrlib.c` of 5.1 matches them.
//!
//! In Rust because C's matcher cannot be interrupted: a pattern such as `.-.-.-.-b` takes hours over a long text, and a
//! script must end when it is killed. A pattern ends at its first zero byte, as in C.

use crate::limits::{PATTERN_CAPTURES_MAX, PATTERN_DEPTH_MAX};

/// Why a match ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault<E> {
    /// The pattern is malformed: the complaint.
    Pattern(&'static str),
    /// `tick` said so.
    Ended(E),
}

/// What a capture holds so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Unfinished,
    /// `()`: where it stands.
    Position,
    Bytes(usize),
}

/// A finished capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// From byte to byte.
    Text(usize, usize),
    /// A position, from 1.
    Position(usize),
}

const ESCAPE: u8 = b'%';
/// Steps between two calls of `tick`.
const TICK_STEPS: u32 = 1 << 16;

/// A pattern being matched against a text. `tick` is called now and then, and may end it.
pub(super) struct Matcher<'a, T> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: [(usize, Length); PATTERN_CAPTURES_MAX],
    level: usize,
    depth: usize,
    steps: u32,
    tick: T,
}

type Found<E> = Result<Option<usize>, Fault<E>>;

impl<'a, E, T: FnMut() -> Result<(), E>> Matcher<'a, T> {
    pub(super) fn new(text: &'a [u8], pattern: &'a [u8], tick: T) -> Self {
        let captures = [(0, Length::Unfinished); PATTERN_CAPTURES_MAX];
        let pattern = pattern.split(|&c| c == 0).next().unwrap_or_default();
        Self { text, pattern, captures, level: 0, depth: 0, steps: 0, tick }
    }

    /// Where a match that begins exactly at `start` ends.
    pub(super) fn at(&mut self, start: usize) -> Found<E> {
        self.level = 0;
        self.depth = 0;
        self.go(start, 0)
    }

    /// Number of captures of the last match.
    pub(super) fn captures(&self) -> usize {
        self.level
    }

    /// Capture `index` of the last match from `start` to `end`; without any, 0 is the match itself.
    pub(super) fn capture(&self, index: usize, start: usize, end: usize) -> Result<Capture, Fault<E>> {
        if index >= self.level {
            return match index {
                0 => Ok(Capture::Text(start, end)),
                _ => Err(Fault::Pattern("invalid capture index")),
            };
        }
        match self.captures[index] {
            (from, Length::Bytes(count)) => Ok(Capture::Text(from, from + count)),
            (from, Length::Position) => Ok(Capture::Position(from + 1)),
            (_, Length::Unfinished) => Err(Fault::Pattern("unfinished capture")),
        }
    }

    /// The pattern's byte; 0 behind its end.
    fn p(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    /// The text's byte; 0 behind its end.
    fn s(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn step(&mut self) -> Result<(), Fault<E>> {
        self.steps += 1;
        if self.steps < TICK_STEPS {
            return Ok(());
        }
        self.steps = 0;
        (self.tick)().map_err(Fault::Ended)
    }

    fn go(&mut self, s: usize, p: usize) -> Found<E> {
        self.depth += 1;
        if self.depth > PATTERN_DEPTH_MAX {
            return Err(Fault::Pattern("pattern too complex"));
        }
        let found = self.walk(s, p);
        self.depth -= 1;
        found
    }

    /// Matches from pattern position `p` on at text position `s`.
    fn walk(&mut self, mut s: usize, mut p: usize) -> Found<E> {
        loop {
            self.step()?;
            match (self.p(p), self.p(p + 1)) {
                (b'(', b')') => return self.open(s, p + 2, Length::Position),
                (b'(', _) => return self.open(s, p + 1, Length::Unfinished),
                (b')', _) => return self.close(s, p + 1),
                (0, _) => return Ok(Some(s)),
                (b'$', 0) => return Ok((s == self.text.len()).then_some(s)),
                (ESCAPE, b'b') => {
                    let Some(end) = self.balance(s, p + 2)? else { return Ok(None) };
                    (s, p) = (end, p + 4);
                }
                (ESCAPE, b'f') => {
                    p += 2;
                    if self.p(p) != b'[' {
                        return Err(Fault::Pattern("missing '[' after '%f' in pattern"));
                    }
                    let end = self.class_end(p)?;
                    let before = if s == 0 { 0 } else { self.s(s - 1) };
                    if self.in_set(before, p, end - 1) || !self.in_set(self.s(s), p, end - 1) {
                        return Ok(None);
                    }
                    p = end;
                }
                (ESCAPE, digit) if digit.is_ascii_digit() => {
                    let Some(end) = self.back_reference(s, digit)? else { return Ok(None) };
                    (s, p) = (end, p + 2);
                }
                _ => {
                    let end = self.class_end(p)?;
                    let fits = s < self.text.len() && self.single(self.s(s), p, end);
                    match self.p(end) {
                        b'?' => {
                            if fits && let Some(found) = self.go(s + 1, end + 1)? {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        b'*' => return self.longest(s, p, end),
                        b'+' if fits => return self.longest(s + 1, p, end),
                        b'-' => return self.shortest(s, p, end),
                        _ if !fits || self.p(end) == b'+' => return Ok(None),
                        _ => (s, p) = (s + 1, end),
                    }
                }
            }
        }
    }

    /// Where the single class at `p` ends.
    fn class_end(&self, p: usize) -> Result<usize, Fault<E>> {
        match (self.p(p), self.p(p + 1)) {
            (ESCAPE, 0) => Err(Fault::Pattern("malformed pattern (ends with '%')")),
            (ESCAPE, _) => Ok(p + 2),
            (b'[', first) => {
                let mut at = p + 1 + usize::from(first == b'^');
                loop {
                    let byte = self.p(at);
                    if byte == 0 {
                        return Err(Fault::Pattern("malformed pattern (missing ']')"));
                    }
                    at += 1 + usize::from(byte == ESCAPE && self.p(at + 1) != 0);
                    if self.p(at) == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    fn single(&self, byte: u8, p: usize, end: usize) -> bool {
        match self.p(p) {
            b'.' => true,
            ESCAPE => in_class(byte, self.p(p + 1)),
            b'[' => self.in_set(byte, p, end - 1),
            own => own == byte,
        }
    }

    /// Is the byte in the set from `[` at `p` to `]` at `last`?
    fn in_set(&self, byte: u8, mut p: usize, last: usize) -> bool {
        let negated = self.p(p + 1) == b'^';
        p += 1 + usize::from(negated);
        while p < last {
            if self.p(p) == ESCAPE {
                p += 1;
                if in_class(byte, self.p(p)) {
                    return !negated;
                }
            } else if self.p(p + 1) == b'-' && p + 2 < last {
                if (self.p(p)..=self.p(p + 2)).contains(&byte) {
                    return !negated;
                }
                p += 2;
            } else if self.p(p) == byte {
                return !negated;
            }
            p += 1;
        }
        negated
    }

    fn balance(&mut self, s: usize, p: usize) -> Found<E> {
        let (open, close) = (self.p(p), self.p(p + 1));
        if open == 0 || close == 0 {
            return Err(Fault::Pattern("unbalanced pattern"));
        }
        if self.s(s) != open {
            return Ok(None);
        }
        let mut depth = 1_usize;
        for at in s + 1..self.text.len() {
            self.step()?;
            let byte = self.text[at];
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    fn longest(&mut self, s: usize, p: usize, end: usize) -> Found<E> {
        let mut count = 0;
        while s + count < self.text.len() && self.single(self.s(s + count), p, end) {
            self.step()?;
            count += 1;
        }
        for count in (0..=count).rev() {
            if let Some(found) = self.go(s + count, end + 1)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn shortest(&mut self, mut s: usize, p: usize, end: usize) -> Found<E> {
        loop {
            if let Some(found) = self.go(s, end + 1)? {
                return Ok(Some(found));
            }
            if s >= self.text.len() || !self.single(self.s(s), p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn open(&mut self, s: usize, p: usize, length: Length) -> Found<E> {
        let Some(capture) = self.captures.get_mut(self.level) else {
            return Err(Fault::Pattern("too many captures"));
        };
        *capture = (s, length);
        self.level += 1;
        let found = self.go(s, p)?;
        if found.is_none() {
            self.level -= 1;
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize) -> Found<E> {
        let open = self.captures[..self.level].iter().rposition(|(_, length)| *length == Length::Unfinished);
        let open = open.ok_or(Fault::Pattern("invalid pattern capture"))?;
        self.captures[open].1 = Length::Bytes(s - self.captures[open].0);
        let found = self.go(s, p)?;
        if found.is_none() {
            self.captures[open].1 = Length::Unfinished;
        }
        Ok(found)
    }

    fn back_reference(&mut self, s: usize, digit: u8) -> Found<E> {
        let index = usize::from(digit).checked_sub(usize::from(b'1')).filter(|index| *index < self.level);
        let index = index.ok_or(Fault::Pattern("invalid capture index"))?;
        let (from, count) = match self.captures[index] {
            (_, Length::Unfinished) => return Err(Fault::Pattern("invalid capture index")),
            // In C a position is a length of -2, which never fits.
            (_, Length::Position) => return Ok(None),
            (from, Length::Bytes(count)) => (from, count),
        };
        let there = self.text.get(s..s + count) == self.text.get(from..from + count);
        Ok((there && s + count <= self.text.len()).then_some(s + count))
    }
}

/// `%a` and the like; a capital is the opposite. Other letters stand for themselves.
fn in_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is != class.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, pattern: &str) -> Option<(usize, usize)> {
        let mut matcher = Matcher::new(text.as_bytes(), pattern.as_bytes(), || Ok::<(), ()>(()));
        (0..=text.len()).find_map(|start| Some((start, matcher.at(start).unwrap()?)))
    }

    #[test]
    fn patterns_match_as_in_lua() {
        for (text, pattern, expected) in [
            ("hello", "l+", Some((2, 4))),
            ("hello", "x", None),
            ("hello", "", Some((0, 0))),
            ("key=value", "(%w+)=(%w+)", Some((0, 9))),
            ("f(a(b)c)d", "%b()", Some((1, 8))),
            ("THE (quick)", "%f[%a]%a+", Some((0, 3))),
            ("abcabc", "(abc)%1", Some((0, 6))),
            ("a]b", "[]]", Some((1, 2))),
            ("a-z", "[a%-z]+", Some((0, 3))),
            ("aaab", "a-b", Some((0, 4))),
            ("abc", "c$", Some((2, 3))),
            ("a$c", "$c", Some((1, 3))),
            ("abc", "a?b?c?d?", Some((0, 3))),
            ("x\u{b}y", "%s", Some((1, 2))),
        ] {
            assert_eq!(find(text, pattern), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn a_malformed_pattern_is_complained_of() {
        for (pattern, complaint) in [
            ("[a", "malformed pattern (missing ']')"),
            ("%", "malformed pattern (ends with '%')"),
            ("%b", "unbalanced pattern"),
            ("%f", "missing '[' after '%f' in pattern"),
            ("a)", "invalid pattern capture"),
            ("%1", "invalid capture index"),
            (&"(a".repeat(40), "too many captures"),
            (&"a?".repeat(PATTERN_DEPTH_MAX + 1), "pattern too complex"),
        ] {
            let text = "a".repeat(PATTERN_DEPTH_MAX + 2);
            let mut matcher = Matcher::new(text.as_bytes(), pattern.as_bytes(), || Ok::<(), ()>(()));
            assert_eq!(matcher.at(0), Err(Fault::Pattern(complaint)), "{pattern}");
        }
    }

    #[test]
    fn a_match_that_would_take_for_ever_can_be_ended() {
        let text = "a".repeat(10_000);
        let mut ticks = 0;
        let tick = || {
            ticks += 1;
            if ticks < 3 { Ok(()) } else { Err("enough") }
        };
        let found = Matcher::new(text.as_bytes(), b".-.-.-.-.-b", tick).at(0);
        assert_eq!(found, Err(Fault::Ended("enough")));
    }
}
