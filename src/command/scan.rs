//! What SCAN, HSCAN, SSCAN and ZSCAN have in common: cursor, options, and whether a name passes the pattern.
//!
//! The order of checks is the servers': the cursor first, then the key (a missing one answers an empty page
//! whatever the options are), then the options.

use super::args::Args;
use super::glob;
use crate::dataset::{Dialect, ValueKind};
use crate::limits;
use crate::number::parse_integer;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// Which of the four commands asks; decides the options that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanOf {
    Keys,
    Hash,
    Set,
    ZSet,
}

/// The options behind the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanOptions<'a> {
    /// COUNT, at least 1.
    pub count: usize,
    /// MATCH; `None` also for `*`, which matches all, the empty name included.
    pub pattern: Option<&'a [u8]>,
    /// TYPE, as given (SCAN only).
    pub kind: Option<&'a [u8]>,
    /// NOVALUES or NOSCORES: names alone.
    pub names_only: bool,
}

/// Reads a cursor: an unsigned 64 bit number, and what else `strtoull` makes one of.
pub fn cursor(args: &mut Args<'_>, dialect: Dialect) -> Result<u64, Refusal> {
    parse_cursor(args.require()?, dialect).ok_or(Refusal::INVALID_CURSOR)
}

/// Reads the options up to the end of the request.
pub fn options<'a>(args: &mut Args<'a>, of: ScanOf, dialect: Dialect) -> Result<ScanOptions<'a>, Refusal> {
    let mut options =
        ScanOptions { count: limits::SCAN_COUNT_DEFAULT, pattern: None, kind: None, names_only: false };
    while args.remaining() > 0 {
        let has_value = args.remaining() >= 2;
        if has_value && args.take("count") {
            let count = args.integer()?;
            options.count = usize::try_from(count).ok().filter(|&n| n > 0).ok_or(Refusal::SYNTAX)?;
        } else if has_value && args.take("match") {
            options.pattern = Some(args.require()?).filter(|pattern| *pattern != b"*");
        } else if has_value && of == ScanOf::Keys && args.take("type") {
            let kind = args.require()?;
            if dialect.is_valkey() && !is_known_type(kind) {
                let kind = String::from_utf8_lossy(kind);
                return Err(Refusal::text(format!("ERR unknown type name '{kind}'")));
            }
            options.kind = Some(kind);
        } else if args.take("novalues") {
            options.names_only = only_for(of, ScanOf::Hash, "NOVALUES", "HSCAN")?;
        } else if args.take("noscores") {
            options.names_only = only_for(of, ScanOf::ZSet, "NOSCORES", "ZSCAN")?;
        } else {
            return Err(Refusal::SYNTAX);
        }
    }
    Ok(options)
}

/// The reply of HSCAN, SSCAN and ZSCAN for a missing key.
pub fn empty_page(out: &mut Reply) {
    out.array(2);
    out.bulk("0");
    out.array(0);
}

impl ScanOptions<'_> {
    /// Does this name pass MATCH?
    pub fn accepts(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name))
    }
}

fn is_known_type(name: &[u8]) -> bool {
    use ValueKind::{Hash, List, Set, Str, Stream, ZSet};
    [Str, List, Set, ZSet, Hash, Stream].iter().any(|kind| name.eq_ignore_ascii_case(kind.name().as_bytes()))
}

fn only_for(of: ScanOf, right: ScanOf, option: &str, command: &str) -> Result<bool, Refusal> {
    if of == right {
        return Ok(true);
    }
    Err(Refusal::text(format!("ERR {option} option can only be used in {command}")))
}

/// As `strtoull`: a zero byte ends it, spaces in front, either sign, negative numbers wrap. Newer servers take plain
/// negative numbers and the empty text out of this, older ones spaces.
fn parse_cursor(text: &[u8], dialect: Dialect) -> Option<u64> {
    let newer = dialect.reads_cursors_as_numbers();
    let is_odd = if newer {
        text.is_empty() || parse_integer(text).is_some_and(|number| number < 0)
    } else {
        text.first().is_some_and(u8::is_ascii_whitespace)
    };
    let text = text.split(|byte| *byte == 0).next().filter(|_| !is_odd)?.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if !digits.iter().all(u8::is_ascii_digit) || digits.is_empty() && (newer || !text.is_empty()) {
        return None;
    }
    let size: u64 = if digits.is_empty() { 0 } else { std::str::from_utf8(digits).ok()?.parse().ok()? };
    Some(if negative { size.wrapping_neg() } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::args::Span;

    fn with_args<R>(line: &str, run: impl FnOnce(&mut Args<'_>) -> R) -> R {
        let mut spans = Vec::new();
        let mut at = 0;
        for word in line.split(' ') {
            spans.push(Span { start: at, end: at + u32::try_from(word.len()).unwrap() });
            at += u32::try_from(word.len()).unwrap() + 1;
        }
        run(&mut Args::new(line.as_bytes(), &spans, 0))
    }

    #[test]
    fn cursors_are_unsigned_numbers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            (" 1", Some(1)),
            ("-0", Some(0)),
            ("-9223372036854775809", Some(9223372036854775807)),
            (" -1", Some(u64::MAX)),
            ("+-1", None),
            ("1 ", None),
            ("-1", None),
            ("", None),
            ("1x", None),
            ("+", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes(), Dialect::default()), expected, "{text:?}");
        }
    }

    #[test]
    fn options_come_in_any_order_and_case() {
        let seen = with_args("match a* COUNT 5 NoValues", |args| {
            let options = options(args, ScanOf::Hash, Dialect::default()).unwrap();
            (options.count, options.pattern.map(<[u8]>::to_vec), options.names_only)
        });
        assert_eq!(seen, (5, Some(b"a*".to_vec()), true));
    }

    #[test]
    fn wrong_options_are_refused_as_servers_do() {
        for (of, line, expected) in [
            (ScanOf::Set, "COUNT 0", "ERR syntax error"),
            (ScanOf::Set, "COUNT -1", "ERR syntax error"),
            (ScanOf::Set, "COUNT x", "ERR value is not an integer or out of range"),
            (ScanOf::Set, "COUNT", "ERR syntax error"),
            (ScanOf::Set, "TYPE string", "ERR syntax error"),
            (ScanOf::Set, "NOVALUES", "ERR NOVALUES option can only be used in HSCAN"),
            (ScanOf::Keys, "NOSCORES", "ERR NOSCORES option can only be used in ZSCAN"),
        ] {
            let refusal = with_args(line, |args| options(args, of, Dialect::default()).unwrap_err());
            assert_eq!(refusal.as_bytes(), expected.as_bytes(), "{line}");
        }
    }
}
