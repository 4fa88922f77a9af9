//! JSON to values of Lua: the original's tokens, leniency and complaints.

use super::Settings;
use super::number::strtod;
use crate::script::raise;
use mlua::{IntoLua, LightUserData, Lua, Table, Value};

/// The value of a text.
pub(super) fn decode(lua: &Lua, text: &[u8], settings: Settings) -> mlua::Result<Value> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(raise::error(lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut decoder = Decoder { lua, text, at: 0, settings, depth: 0, string: Vec::new() };
    let token = decoder.next();
    let value = decoder.value(token)?;
    match decoder.next() {
        Token { kind: Kind::End, .. } => Ok(value),
        token => Err(decoder.expected("the end", &token)),
    }
}

/// A token and where it begins; of a faulty one, where the fault is.
struct Token {
    kind: Kind,
    at: usize,
}

enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// Its bytes are in the decoder.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Fault(&'static str),
}

impl Kind {
    /// As complaints name it.
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Fault(fault) => fault,
        }
    }
}

struct Decoder<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    settings: Settings,
    depth: i32,
    /// The last string token.
    string: Vec<u8>,
}

impl Decoder<'_> {
    /// The byte `ahead` of the present one; 0 behind the end, as C has it.
    fn byte(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn starts(&self, word: &str) -> bool {
        self.text.get(self.at..).unwrap_or_default().starts_with(word.as_bytes())
    }

    fn next(&mut self) -> Token {
        while matches!(self.byte(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let at = self.at;
        let single = match self.byte(0) {
            b'{' => Some(Kind::ObjectBegin),
            b'}' => Some(Kind::ObjectEnd),
            b'[' => Some(Kind::ArrayBegin),
            b']' => Some(Kind::ArrayEnd),
            b',' => Some(Kind::Comma),
            b':' => Some(Kind::Colon),
            0 => return Token { kind: Kind::End, at },
            _ => None,
        };
        if let Some(kind) = single {
            self.at += 1;
            return Token { kind, at };
        }
        let kind = match self.byte(0) {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' if !self.settings.decode_invalid && self.is_invalid_number() => {
                Kind::Fault("invalid number")
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => self.word(),
            _ => Kind::Fault("invalid token"),
        };
        let at = if matches!(kind, Kind::Fault(_)) { self.at } else { at };
        Token { kind, at }
    }

    fn word(&mut self) -> Kind {
        for (word, kind) in [("true", Kind::Boolean(true)), ("false", Kind::Boolean(false)), ("null", Kind::Null)]
        {
            if self.starts(word) {
                self.at += word.len();
                return kind;
            }
        }
        match self.settings.decode_invalid && self.is_invalid_number() {
            true => self.number(),
            false => Kind::Fault("invalid token"),
        }
    }

    fn number(&mut self) -> Kind {
        match strtod(self.text.get(self.at..).unwrap_or_default()) {
            Some((value, length)) => {
                self.at += length;
                Kind::Number(value)
            }
            None => Kind::Fault("invalid number"),
        }
    }

    /// What strtod takes and JSON does not: signs, leading zeros, hexadecimal, infinity.
    fn is_invalid_number(&self) -> bool {
        let skip = match self.byte(0) {
            b'+' => return true,
            b'-' => 1,
            _ => 0,
        };
        match (self.byte(skip), self.byte(skip + 1)) {
            (b'0', second) => (second | 0x20) == b'x' || second.is_ascii_digit(),
            (first, _) if first <= b'9' => false,
            _ => {
                let word = self.text.get(self.at + skip..self.at + skip + 3).unwrap_or_default();
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn string(&mut self) -> Kind {
        self.string.clear();
        self.at += 1;
        loop {
            match self.byte(0) {
                b'"' => {
                    self.at += 1;
                    return Kind::String;
                }
                0 => return Kind::Fault("unexpected end of string"),
                b'\\' => {
                    let plain = match self.byte(1) {
                        c @ (b'"' | b'\\' | b'/') => c,
                        b'b' => 8,
                        b't' => b'\t',
                        b'n' => b'\n',
                        b'f' => 12,
                        b'r' => b'\r',
                        b'u' => match self.unicode() {
                            Some(()) => continue,
                            None => return Kind::Fault("invalid unicode escape code"),
                        },
                        _ => return Kind::Fault("invalid escape code"),
                    };
                    self.string.push(plain);
                    self.at += 2;
                }
                byte => {
                    self.string.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    /// `\uXXXX`, or two of them for one character beyond 16 bits.
    fn unicode(&mut self) -> Option<()> {
        let first = self.hex4(2)?;
        let (code, length) = match first & 0xf800 == 0xd800 {
            false => (first, 6),
            true if first & 0x400 != 0 || self.byte(6) != b'\\' || self.byte(7) != b'u' => return None,
            true => {
                let second = self.hex4(8).filter(|second| second & 0xfc00 == 0xdc00)?;
                (((first & 0x3ff) << 10 | second & 0x3ff) + 0x1_0000, 12)
            }
        };
        let mut bytes = [0; 4];
        self.string.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut bytes).as_bytes());
        self.at += length;
        Some(())
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        (0..4).try_fold(0, |code, at| Some(code << 4 | char::from(self.byte(ahead + at)).to_digit(16)?))
    }

    fn expected(&self, what: &str, token: &Token) -> mlua::Error {
        let (found, at) = (token.kind.name(), token.at + 1);
        raise::error(self.lua, format!("Expected {what} but found {found} at character {at}"))
    }

    fn descend(&mut self) -> mlua::Result<Table> {
        /// Lua's own stack ends the original's nesting there.
        const DEPTH_MAX: i32 = 2_000;
        self.depth += 1;
        if self.depth > self.settings.decode_depth_max.min(DEPTH_MAX) {
            let (depth, at) = (self.depth, self.at);
            let text = format!("Found too many nested data structures ({depth}) at character {at}");
            return Err(raise::error(self.lua, text));
        }
        self.lua.create_table()
    }

    fn value(&mut self, token: Token) -> mlua::Result<Value> {
        match token.kind {
            Kind::String => self.lua.create_string(&self.string)?.into_lua(self.lua),
            Kind::Number(value) => Ok(Value::Number(value)),
            Kind::Boolean(yes) => Ok(Value::Boolean(yes)),
            Kind::Null => Ok(Value::LightUserData(LightUserData(std::ptr::null_mut()))),
            Kind::ObjectBegin => self.object(),
            Kind::ArrayBegin => self.array(),
            _ => Err(self.expected("value", &token)),
        }
    }

    fn object(&mut self) -> mlua::Result<Value> {
        let table = self.descend()?;
        let mut token = self.next();
        if !matches!(token.kind, Kind::ObjectEnd) {
            loop {
                if !matches!(token.kind, Kind::String) {
                    return Err(self.expected("object key string", &token));
                }
                let key = self.lua.create_string(&self.string)?;
                let colon = self.next();
                if !matches!(colon.kind, Kind::Colon) {
                    return Err(self.expected("colon", &colon));
                }
                let next = self.next();
                let value = self.value(next)?;
                table.raw_set(key, value)?;
                let end = self.next();
                match end.kind {
                    Kind::ObjectEnd => break,
                    Kind::Comma => token = self.next(),
                    _ => return Err(self.expected("comma or object end", &end)),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self) -> mlua::Result<Value> {
        let table = self.descend()?;
        let mut token = self.next();
        if !matches!(token.kind, Kind::ArrayEnd) {
            for at in 1.. {
                let value = self.value(token)?;
                table.raw_seti(at, value)?;
                let end = self.next();
                match end.kind {
                    Kind::ArrayEnd => break,
                    Kind::Comma => token = self.next(),
                    _ => return Err(self.expected("comma or array end", &end)),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }
}
