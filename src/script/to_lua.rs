//! Replies of commands as values of Lua.
//!
//! The bytes come from our own rows, so they are well formed; what is not ends the conversion with an error.

use super::raise;
use mlua::{Lua, Value};

/// The value of one whole reply; errors become tables with `err`.
pub(super) fn value(lua: &Lua, reply: &[u8]) -> mlua::Result<Value> {
    Parser { lua, rest: reply }.value()
}

struct Parser<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> mlua::Result<Value> {
        let (kind, text) = self.line()?;
        match kind {
            b'$' => match length(text)? {
                None => Ok(Value::Boolean(false)),
                Some(bytes) => self.string(bytes),
            },
            b':' => Ok(Value::Number(integer(text)? as f64)),
            b'*' => match length(text)? {
                None => Ok(Value::Boolean(false)),
                Some(items) => self.array(items),
            },
            b'+' => self.named("ok", text),
            b'-' => raise::line_table(self.lua, &raise::with_code(&[b"-", text].concat()), true),
            b'_' => Ok(Value::Nil),
            b'#' => Ok(Value::Boolean(text == b"t")),
            b',' => self.double(text),
            b'(' => self.named("big_number", text),
            b'=' => self.verbatim(text),
            b'%' => self.map(text),
            b'~' => self.set(text),
            b'>' => self.array(length(text)?.unwrap_or(0)),
            b'|' => {
                for _ in 0..length(text)?.unwrap_or(0) * 2 {
                    self.value()?;
                }
                self.value()
            }
            _ => Err(broken()),
        }
    }

    /// The first byte of a line and what is behind it.
    fn line(&mut self) -> mlua::Result<(u8, &'a [u8])> {
        let end = memchr::memchr(b'\r', self.rest).ok_or_else(broken)?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(b"\r\n").ok_or_else(broken)?;
        let (kind, text) = line.split_first().ok_or_else(broken)?;
        Ok((*kind, text))
    }

    fn bytes(&mut self, count: usize) -> mlua::Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(broken)?;
        self.rest = rest.strip_prefix(b"\r\n").ok_or_else(broken)?;
        Ok(bytes)
    }

    fn string(&mut self, count: usize) -> mlua::Result<Value> {
        let bytes = self.bytes(count)?;
        Ok(Value::String(self.lua.create_string(bytes)?))
    }

    fn named(&self, name: &str, text: &[u8]) -> mlua::Result<Value> {
        let table = self.lua.create_table()?;
        table.raw_set(name, self.lua.create_string(text)?)?;
        Ok(Value::Table(table))
    }

    fn array(&mut self, items: usize) -> mlua::Result<Value> {
        let table = self.lua.create_table()?;
        for at in 1..=items {
            let item = self.value()?;
            table.raw_seti(at, item)?;
        }
        Ok(Value::Table(table))
    }

    fn double(&self, text: &[u8]) -> mlua::Result<Value> {
        let value = match text {
            b"nan" | b"-nan" => f64::NAN,
            text => crate::number::parse_float_bound(text).ok_or_else(broken)?,
        };
        let table = self.lua.create_table()?;
        table.raw_set("double", value)?;
        Ok(Value::Table(table))
    }

    fn verbatim(&mut self, text: &[u8]) -> mlua::Result<Value> {
        let bytes = self.bytes(length(text)?.unwrap_or(0))?;
        let (format, text) = bytes.split_at_checked(4).ok_or_else(broken)?;
        let inner = self.lua.create_table()?;
        inner.raw_set("string", self.lua.create_string(text)?)?;
        inner.raw_set("format", self.lua.create_string(&format[..3])?)?;
        let table = self.lua.create_table()?;
        table.raw_set("verbatim_string", inner)?;
        Ok(Value::Table(table))
    }

    fn map(&mut self, text: &[u8]) -> mlua::Result<Value> {
        let inner = self.lua.create_table()?;
        for _ in 0..length(text)?.unwrap_or(0) {
            let key = self.value()?;
            let value = self.value()?;
            inner.raw_set(key, value)?;
        }
        let table = self.lua.create_table()?;
        table.raw_set("map", inner)?;
        Ok(Value::Table(table))
    }

    fn set(&mut self, text: &[u8]) -> mlua::Result<Value> {
        let inner = self.lua.create_table()?;
        for _ in 0..length(text)?.unwrap_or(0) {
            let member = self.value()?;
            inner.raw_set(member, true)?;
        }
        let table = self.lua.create_table()?;
        table.raw_set("set", inner)?;
        Ok(Value::Table(table))
    }
}

fn integer(text: &[u8]) -> mlua::Result<i64> {
    crate::number::parse_integer(text).ok_or_else(broken)
}

/// A length; `None` for -1.
fn length(text: &[u8]) -> mlua::Result<Option<usize>> {
    Ok(usize::try_from(integer(text)?).ok())
}

fn broken() -> mlua::Error {
    raise::line("ERR a reply of this server could not be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reply: &[u8], expected: &str) {
        let lua = Lua::new();
        lua.globals().set("v", value(&lua, reply).unwrap()).unwrap();
        let yes: bool = lua.load(expected).eval().unwrap_or_else(|why| panic!("{expected}: {why}"));
        assert!(yes, "{}: {expected}", reply.escape_ascii());
    }

    #[test]
    fn replies_are_what_the_servers_make_of_them() {
        check(b"$2\r\nab\r\n", "v == 'ab'");
        check(b"$-1\r\n", "v == false");
        check(b"*-1\r\n", "v == false");
        check(b":12\r\n", "v == 12");
        check(b"+OK\r\n", "v.ok == 'OK'");
        check(b"-ERR no\r\n", "v.err == 'ERR no' and v.ignore_error_stats_update");
        check(b"*3\r\n:1\r\n$-1\r\n*0\r\n", "#v == 3 and v[2] == false and #v[3] == 0");
        check(b"_\r\n", "v == nil");
        check(b"#t\r\n", "v == true");
        check(b",1.5\r\n", "v.double == 1.5");
        check(b",inf\r\n", "v.double == math.huge");
        check(b"(123\r\n", "v.big_number == '123'");
        check(b"=6\r\ntxt:hi\r\n", "v.verbatim_string.string == 'hi' and v.verbatim_string.format == 'txt'");
        check(b"%1\r\n$1\r\na\r\n:1\r\n", "v.map.a == 1");
        check(b"~1\r\n$1\r\na\r\n", "v.set.a == true");
    }

    #[test]
    fn a_reply_that_is_cut_is_an_error() {
        let lua = Lua::new();
        for reply in [&b"$5\r\nab"[..], b"*2\r\n:1\r\n", b"?", b"", b":x\r\n", b"$9999999999\r\n"] {
            assert!(value(&lua, reply).is_err(), "{}", reply.escape_ascii());
        }
    }
}
