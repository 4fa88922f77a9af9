//! Values of Lua as replies to a client.

use crate::limits::{SCRIPT_REPLY_BYTES_MAX, SCRIPT_REPLY_SLOTS_MAX};
use crate::resp::reply::{Proto, Reply};
use mlua::{Lua, LuaString, Table, Value};

/// The names of fields that make a table something else than an array.
pub(super) struct Fields {
    err: LuaString,
    ok: LuaString,
    double: LuaString,
    big_number: LuaString,
    verbatim_string: LuaString,
    format: LuaString,
    string: LuaString,
    map: LuaString,
    set: LuaString,
    /// The tables that are being written, the outermost first.
    open: Table,
}

/// Why a value could not be written: out of memory, or the reply is too long.
pub(super) enum Unfit {
    Lua(mlua::Error),
    TooLong,
}

impl From<mlua::Error> for Unfit {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

impl Fields {
    pub(super) fn new(lua: &Lua) -> mlua::Result<Self> {
        let name = |text: &str| lua.create_string(text);
        Ok(Self {
            err: name("err")?,
            ok: name("ok")?,
            double: name("double")?,
            big_number: name("big_number")?,
            verbatim_string: name("verbatim_string")?,
            format: name("format")?,
            string: name("string")?,
            map: name("map")?,
            set: name("set")?,
            open: lua.create_table()?,
        })
    }

    /// Writes `value`; `spoken` is what the script has set with redis.setresp. Tables inside tables are not met by
    /// recursion: a script can nest thousands, and some can hold themselves.
    pub(super) fn write(&self, lua: &Lua, value: &Value, spoken: Proto, out: &mut Reply) -> Result<(), Unfit> {
        let mut writer = Writer { fields: self, lua, spoken, out, frames: Vec::new(), slots: 0 };
        let written = writer.value(value).and_then(|()| writer.rest());
        if !writer.frames.is_empty() || written.is_err() {
            self.open.clear()?;
        }
        written
    }
}

/// A table whose items are being written; the table itself is at this depth of [`Fields::open`].
struct Frame {
    kind: Kind,
    next: usize,
    items: usize,
    /// Slots of the real servers' stack that were taken where it began (they recurse).
    slots: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Array,
    Pairs,
    Members,
}

impl Kind {
    /// Slots between a table and its item number `at`: what the real servers push meanwhile.
    fn slots(self, at: usize) -> usize {
        match self {
            Self::Array => 1,
            Self::Pairs if at % 2 == 1 => 4,
            Self::Pairs | Self::Members => 3,
        }
    }
}

struct Writer<'a> {
    fields: &'a Fields,
    lua: &'a Lua,
    spoken: Proto,
    out: &'a mut Reply,
    frames: Vec<Frame>,
    /// Slots taken where the present value stands.
    slots: usize,
}

impl Writer<'_> {
    /// Writes what is left of all open tables.
    fn rest(&mut self) -> Result<(), Unfit> {
        while let Some(frame) = self.frames.last_mut() {
            if frame.next > frame.items {
                self.frames.pop();
                continue;
            }
            let at = frame.next;
            frame.next += 1;
            self.slots = frame.slots + frame.kind.slots(at);
            let table: Table = self.fields.open.raw_get(self.frames.len())?;
            let item: Value = table.raw_get(at)?;
            drop(table);
            self.value(&item)?;
        }
        Ok(())
    }

    /// Writes a value; of a table that has items, the header only.
    fn value(&mut self, value: &Value) -> Result<(), Unfit> {
        if self.slots > SCRIPT_REPLY_SLOTS_MAX {
            self.out.error_line(b"ERR reached lua stack limit");
            return Ok(());
        }
        if self.out.len() > SCRIPT_REPLY_BYTES_MAX {
            return Err(Unfit::TooLong);
        }
        match value {
            Value::String(text) => self.out.bulk(&text.as_bytes()[..]),
            Value::Boolean(yes) => match (self.spoken, yes) {
                (Proto::Resp3, yes) => self.out.boolean(*yes),
                (Proto::Resp2, true) => self.out.integer(1),
                (Proto::Resp2, false) => self.out.null(),
            },
            Value::Integer(n) => self.out.integer(*n),
            Value::Number(n) => self.out.integer(as_c_integer(*n)),
            Value::Table(table) => self.table(table)?,
            _ => self.out.null(),
        }
        Ok(())
    }

    fn table(&mut self, table: &Table) -> Result<(), Unfit> {
        let fields = self.fields;
        if let Value::String(line) = table.raw_get(&fields.err)? {
            self.out.error_line(c_text(&line.as_bytes()));
        } else if let Value::String(text) = table.raw_get(&fields.ok)? {
            self.out.status_line(c_text(&text.as_bytes()));
        } else if let Some(number) = number(&table.raw_get(&fields.double)?) {
            self.out.double(number);
        } else if let Value::String(digits) = table.raw_get(&fields.big_number)? {
            self.out.big_number(&digits.as_bytes());
        } else if let Value::Table(inner) = table.raw_get(&fields.verbatim_string)?
            && let Value::String(format) = inner.raw_get(&fields.format)?
            && let Value::String(text) = inner.raw_get(&fields.string)?
        {
            self.out.verbatim(&three_letters(&format.as_bytes()), &text.as_bytes()[..]);
        } else if let Value::Table(pairs) = table.raw_get(&fields.map)? {
            let (list, count) = self.list(&pairs, true)?;
            self.out.map(count / 2);
            self.open(list, count, Kind::Pairs)?;
        } else if let Value::Table(members) = table.raw_get(&fields.set)? {
            let (list, count) = self.list(&members, false)?;
            self.out.set(count);
            self.open(list, count, Kind::Members)?;
        } else {
            let mut count = 0;
            while !table.raw_get::<Value>(count + 1)?.is_nil() {
                count += 1;
            }
            self.out.array(count);
            self.open(table.clone(), count, Kind::Array)?;
        }
        Ok(())
    }

    /// The keys of a table in its own order, each followed by its value if `values`; and how many these are.
    fn list(&self, table: &Table, values: bool) -> mlua::Result<(Table, usize)> {
        let (list, mut count) = (self.lua.create_table()?, 0);
        table.for_each(|key: Value, value: Value| {
            list.raw_seti(count + 1, key)?;
            count += 1;
            if values {
                list.raw_seti(count + 1, value)?;
                count += 1;
            }
            Ok(())
        })?;
        Ok((list, count))
    }

    fn open(&mut self, table: Table, items: usize, kind: Kind) -> mlua::Result<()> {
        if items == 0 {
            return Ok(());
        }
        self.frames.push(Frame { kind, next: 1, items, slots: self.slots });
        self.fields.open.raw_seti(self.frames.len(), table)
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        _ => None,
    }
}

/// As C on x86 converts: what does not fit is the smallest integer.
fn as_c_integer(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

/// Up to the first zero byte: these are C strings in the servers.
fn c_text(text: &[u8]) -> &[u8] {
    text.split(|&c| c == 0).next().unwrap_or_default()
}

/// The format of a verbatim string: three letters, spaces for what is missing.
fn three_letters(format: &[u8]) -> String {
    let format = String::from_utf8_lossy(c_text(format)).into_owned();
    format.chars().filter(char::is_ascii).chain("   ".chars()).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, spoken: Proto, wanted: Proto, expected: &str) {
        let lua = Lua::new();
        let value: Value = lua.load(source).eval().unwrap();
        let mut out = Reply::new(wanted);
        let written = Fields::new(&lua).unwrap().write(&lua, &value, spoken, &mut out);
        assert!(written.is_ok(), "{source}");
        assert_eq!(String::from_utf8_lossy(out.bytes()).replace("\r\n", " ").trim_end(), expected, "{source}");
    }

    #[test]
    fn values_are_written_as_the_servers_write_them() {
        use Proto::{Resp2, Resp3};
        for (source, two, three) in [
            ("return 3.99", ":3", ":3"),
            ("return 0/0", ":-9223372036854775808", ":-9223372036854775808"),
            ("return 1e300", ":-9223372036854775808", ":-9223372036854775808"),
            ("return 'a'", "$1 a", "$1 a"),
            ("return nil", "$-1", "_"),
            ("return true", ":1", ":1"),
            ("return false", "$-1", "_"),
            ("return {1, 'x', {2}, nil, 3}", "*3 :1 $1 x *1 :2", "*3 :1 $1 x *1 :2"),
            ("return {err = 'A b\\nc'}", "-A b c", "-A b c"),
            ("return {ok = 'fine\\0x'}", "+fine", "+fine"),
            ("return {double = 1.5}", "$3 1.5", ",1.5"),
            ("return {big_number = '12'}", "$2 12", "(12"),
            ("return {verbatim_string = {format = 'md', string = 'x'}}", "$1 x", "=5 md :x"),
            ("return {map = {a = 1}}", "*2 $1 a :1", "%1 $1 a :1"),
            ("return {set = {a = true}}", "*1 $1 a", "~1 $1 a"),
            ("return print", "$-1", "_"),
        ] {
            check(source, Resp2, Resp2, two);
            check(source, Resp2, Resp3, three);
        }
        check("return true", Resp3, Resp3, "#t");
        check("return false", Resp3, Resp2, ":0");
    }
}
