//! Patterns of KEYS, the SCAN family and PSUBSCRIBE: `*`, `?`, `[a-c]`, `[^a]`, `\` before a literal byte.
//!
//! The semantics are the servers' own, oddities included. The work is bounded by pattern length times text
//! length: only the last `*` seen is ever tried again, which is enough because all other parts match exactly
//! one byte.

/// Does the whole `text` match `pattern`?
///
/// Oddities of all servers: an empty text is matched by the empty pattern alone (not by `*`); an unclosed class
/// ends at the end of the pattern; a backslash at the end stands for itself.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    Glob { ignore_case: false }.matches(pattern, text)
}

/// As `matches`, ASCII letters of both cases being equal (CONFIG GET, COMMAND LIST).
pub fn matches_any_case(pattern: &[u8], text: &[u8]) -> bool {
    Glob { ignore_case: true }.matches(pattern, text)
}

struct Glob {
    ignore_case: bool,
}

impl Glob {
    fn matches(&self, pattern: &[u8], text: &[u8]) -> bool {
        if text.is_empty() {
            return pattern.is_empty();
        }
        let (mut pattern, mut text) = (pattern, text);
        // What follows the last star, and the text from where it was tried last.
        let mut star: Option<(&[u8], &[u8])> = None;
        while let Some((&byte, text_rest)) = text.split_first() {
            if let [b'*', rest @ ..] = pattern {
                if rest.is_empty() {
                    return true;
                }
                star = Some((rest, text));
                pattern = rest;
            } else if let Some(pattern_rest) = self.one(pattern, byte) {
                (pattern, text) = (pattern_rest, text_rest);
            } else if let Some((after_star, [_, tried_rest @ ..])) = star {
                star = Some((after_star, tried_rest));
                (pattern, text) = (after_star, tried_rest);
            } else {
                return false;
            }
        }
        pattern.iter().all(|&c| c == b'*')
    }

    /// Matches one byte with the first part of `pattern`, which is no star; answers what is behind that part.
    fn one<'p>(&self, pattern: &'p [u8], byte: u8) -> Option<&'p [u8]> {
        let (matched, rest) = match pattern {
            [] => return None,
            [b'?', rest @ ..] => (true, rest),
            [b'[', b'^', class @ ..] => {
                let (inside, rest) = self.class(class, byte);
                (!inside, rest)
            }
            [b'[', class @ ..] => self.class(class, byte),
            [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (self.equal(*literal, byte), rest),
        };
        matched.then_some(rest)
    }

    /// Is `byte` in the class that starts here? Also answers what is behind its closing bracket.
    fn class<'p>(&self, mut class: &'p [u8], byte: u8) -> (bool, &'p [u8]) {
        let mut inside = false;
        loop {
            class = match class {
                [] => return (inside, class),
                // Within a class an escaped letter is compared exactly, also where the case is ignored.
                [b'\\', literal, rest @ ..] => {
                    inside |= *literal == byte;
                    rest
                }
                [b']', rest @ ..] => return (inside, rest),
                [first, b'-', last, rest @ ..] => {
                    inside |= self.between(*first, *last, byte);
                    rest
                }
                [literal, rest @ ..] => {
                    inside |= self.equal(*literal, byte);
                    rest
                }
            }
        }
    }

    fn between(&self, a: u8, b: u8, byte: u8) -> bool {
        let (low, high) = (a.min(b), a.max(b));
        (self.fold(low)..=self.fold(high)).contains(&self.fold(byte))
    }

    fn equal(&self, a: u8, b: u8) -> bool {
        self.fold(a) == self.fold(b)
    }

    fn fold(&self, byte: u8) -> u8 {
        if self.ignore_case { byte.to_ascii_lowercase() } else { byte }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_servers() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", false),
            ("**", "", false),
            ("", "a", false),
            ("*", "a", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("ab", "a", false),
            ("a*", "a", true),
            ("a***", "a", true),
            ("*a", "a", true),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*c", "abc", true),
            ("a*c", "abcc", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcdef", false),
            ("?", "a", true),
            ("?", "ab", false),
            ("??*", "ab", true),
            ("h[ae]llo", "hello", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            ("h[a-b]llo", "hcllo", false),
            ("[a-]", "a", true),
            ("[a-]", "-", false),
            ("[a-]x", "]", true),
            ("[]a]", "a]", false),
            ("[]", "a", false),
            ("[^]", "a", true),
            ("[\\]]", "]", true),
            ("[\\-z]", "-", true),
            ("[ab", "a", true),
            ("[ab", "c", false),
            ("[", "[", false),
            ("[^", "x", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("a\\", "a\\", true),
            ("\\a", "a", true),
            ("*\\**", "x*y", true),
            ("*[0-9]*x", "a1b2x", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn ignores_case_only_when_asked() {
        for (pattern, text) in [("HELLO", "hello"), ("h[A-F]llo", "hello"), ("[H]*", "hello")] {
            assert!(matches_any_case(pattern.as_bytes(), text.as_bytes()), "{pattern}");
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_not_exponential() {
        let pattern = b"a*".repeat(2_000);
        let text = b"a".repeat(4_000);
        assert!(matches(&pattern, &text));
        assert!(!matches(&[pattern.as_slice(), b"b"].concat(), &text));
    }
}
