//! Values of Lua to JSON.

use super::number::percent_g;
use super::{Invalid, Settings, is_null, kind};
use crate::limits::SCRIPT_MEMORY_BYTES_MAX;
use crate::script::raise;
use mlua::{Lua, Table, Value};

/// The text of a value. `real` has the tables behind those that scripts cannot change.
pub(super) fn encode(lua: &Lua, value: &Value, settings: Settings, real: &Table) -> mlua::Result<Vec<u8>> {
    let mut encoder = Encoder { lua, settings, real, out: Vec::new() };
    encoder.value(value, 0)?;
    Ok(encoder.out)
}

struct Encoder<'a> {
    lua: &'a Lua,
    settings: Settings,
    real: &'a Table,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn value(&mut self, value: &Value, depth: i32) -> mlua::Result<()> {
        if self.out.len() > SCRIPT_MEMORY_BYTES_MAX {
            return Err(raise::error(self.lua, "not enough memory"));
        }
        match value {
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Integer(n) => self.number(*n as f64, value)?,
            Value::Number(n) => self.number(*n, value)?,
            Value::Boolean(yes) => self.out.extend_from_slice(if *yes { b"true" } else { b"false" }),
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::Table(table) => self.table(table, depth + 1)?,
            value if is_null(value) => self.out.extend_from_slice(b"null"),
            value => return Err(self.refuse(value, "type not supported")),
        }
        Ok(())
    }

    fn refuse(&self, value: &Value, reason: &str) -> mlua::Error {
        raise::error(self.lua, format!("Cannot serialise {}: {reason}", kind(value)))
    }

    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        for &byte in text {
            match byte {
                b'"' => self.out.extend_from_slice(b"\\\""),
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'/' => self.out.extend_from_slice(b"\\/"),
                8 => self.out.extend_from_slice(b"\\b"),
                9 => self.out.extend_from_slice(b"\\t"),
                10 => self.out.extend_from_slice(b"\\n"),
                12 => self.out.extend_from_slice(b"\\f"),
                13 => self.out.extend_from_slice(b"\\r"),
                ..32 | 127 => self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                byte => self.out.push(byte),
            }
        }
        self.out.push(b'"');
    }

    fn number(&mut self, number: f64, value: &Value) -> mlua::Result<()> {
        match self.settings.encode_invalid {
            _ if number.is_finite() => {}
            Invalid::Refused => return Err(self.refuse(value, "must not be NaN or Inf")),
            Invalid::Null => {
                self.out.extend_from_slice(b"null");
                return Ok(());
            }
            Invalid::Written if number.is_nan() => {
                self.out.extend_from_slice(b"nan");
                return Ok(());
            }
            Invalid::Written => {}
        }
        percent_g(number, self.settings.precision, &mut self.out);
        Ok(())
    }

    fn table(&mut self, table: &Table, depth: i32) -> mlua::Result<()> {
        if depth > self.settings.encode_depth_max.min(Self::DEPTH_MAX) {
            return Err(raise::error(self.lua, format!("Cannot serialise, excessive nesting ({depth})")));
        }
        if table.has_metatable()
            && let Value::Table(behind) = self.real.raw_get(table)?
        {
            return self.table(&behind, depth);
        }
        match self.array_length(table)? {
            0 => self.object(table, depth),
            length => self.array(table, length, depth),
        }
    }

    /// Lua's own stack ends the original's nesting there.
    const DEPTH_MAX: i32 = 2_000;

    /// The biggest index of a table that has only those; 0 for any other table and for the empty one.
    fn array_length(&self, table: &Table) -> mlua::Result<i64> {
        let (mut max, mut items, mut pure) = (0_i64, 0_i64, true);
        // Not `for_each`: the first other key ends it.
        for pair in table.pairs::<Value, Value>() {
            let (key, _) = pair?;
            match key {
                Value::Integer(n) if n >= 1 => {
                    // As in C, where the biggest index is an int.
                    max = max.max(n.min(i32::MAX.into()));
                    items += 1;
                }
                Value::Number(n) if n >= 1.0 && n.floor() == n => {
                    max = i32::MAX.into();
                    items += 1;
                }
                _ => {
                    pure = false;
                    break;
                }
            }
        }
        if !pure {
            return Ok(0);
        }
        let (ratio, safe) = (i64::from(self.settings.sparse_ratio), i64::from(self.settings.sparse_safe));
        if ratio > 0 && max > items * ratio && max > safe {
            if !self.settings.sparse_convert {
                return Err(raise::error(self.lua, "Cannot serialise table: excessively sparse array"));
            }
            return Ok(0);
        }
        Ok(max)
    }

    fn array(&mut self, table: &Table, length: i64, depth: i32) -> mlua::Result<()> {
        self.out.push(b'[');
        for at in 1..=length {
            if at > 1 {
                self.out.push(b',');
            }
            let item: Value = table.raw_get(at)?;
            self.value(&item, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: i32) -> mlua::Result<()> {
        self.out.push(b'{');
        let mut first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            match &key {
                Value::String(text) => self.string(&text.as_bytes()),
                Value::Integer(_) | Value::Number(_) => {
                    self.out.push(b'"');
                    self.value(&key, depth)?;
                    self.out.push(b'"');
                }
                key => return Err(self.refuse(key, "table key must be a number or string")),
            }
            self.out.push(b':');
            self.value(&value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}
