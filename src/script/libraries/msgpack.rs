//! `cmsgpack`: MessagePack (lua-cmsgpack 0.4.0).

use super::arguments::Arguments;
use crate::limits::SCRIPT_MEMORY_BYTES_MAX;
use crate::script::prelude::Machine;
use crate::script::raise;
use mlua::{IntoLua, Lua, Table, Value, Variadic};

/// Tables inside tables that are packed; what is deeper becomes nil.
const NESTING_MAX: usize = 16;
/// Tables inside tables that are unpacked; the original has no bound and takes C's stack.
const UNPACKED_NESTING_MAX: usize = 1_000;

/// Puts the library into the globals.
pub(super) fn open(machine: &Machine, valkey: bool) -> mlua::Result<()> {
    let (lua, library) = (&machine.lua, machine.library("cmsgpack")?);
    let function = lua.create_function(|lua, args: Variadic<Value>| {
        if args.is_empty() {
            return Err(raise::argument(lua, 0, "MessagePack pack needs input."));
        }
        let mut packer = Packer { lua, out: Vec::new() };
        args.iter().try_for_each(|value| packer.value(value, 0))?;
        lua.create_string(packer.out)
    })?;
    library.raw_set("pack", function)?;
    let function = lua.create_function(|lua, args: Variadic<Value>| unpack(&Arguments::new(lua, &args), 0, 0))?;
    library.raw_set("unpack", function)?;
    let function = lua.create_function(|lua, args: Variadic<Value>| {
        let args = Arguments::new(lua, &args);
        let offset = args.integer_or(2, 0)?;
        unpack(&args, 1, offset)
    })?;
    library.raw_set("unpack_one", function)?;
    let function = lua.create_function(|lua, args: Variadic<Value>| {
        let args = Arguments::new(lua, &args);
        let (limit, offset) = (args.integer(2)?, args.integer_or(3, 0)?);
        unpack(&args, limit, offset)
    })?;
    library.raw_set("unpack_limit", function)?;
    library.raw_set("_NAME", "cmsgpack")?;
    library.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    let holder = if valkey { "Redis Ltd." } else { "Salvatore Sanfilippo" };
    library.raw_set("_COPYRIGHT", format!("Copyright (C) 2012, {holder}"))?;
    library.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")
}

struct Packer<'a> {
    lua: &'a Lua,
    out: Vec<u8>,
}

impl Packer<'_> {
    fn value(&mut self, value: &Value, level: usize) -> mlua::Result<()> {
        if self.out.len() > SCRIPT_MEMORY_BYTES_MAX {
            return Err(raise::error(self.lua, "not enough memory"));
        }
        match value {
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Boolean(yes) => self.out.push(if *yes { 0xc3 } else { 0xc2 }),
            Value::Integer(n) => self.integer(*n),
            Value::Number(n) => self.number(*n),
            Value::Table(_) if level == NESTING_MAX => self.out.push(0xc0),
            Value::Table(table) => self.table(table, level)?,
            _ => self.out.push(0xc0),
        }
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        match text.len() {
            n @ ..32 => self.out.push(0xa0 | n as u8),
            n @ ..0x100 => self.out.extend([0xd9, n as u8]),
            n => self.length(n, 0xda, 0xdb),
        }
        self.out.extend_from_slice(text);
    }

    /// A length of two or four bytes behind its kind.
    fn length(&mut self, n: usize, short: u8, long: u8) {
        match u16::try_from(n) {
            Ok(n) => {
                self.out.push(short);
                self.out.extend(n.to_be_bytes());
            }
            Err(_) => {
                self.out.push(long);
                self.out.extend((n as u32).to_be_bytes());
            }
        }
    }

    fn number(&mut self, n: f64) {
        // Whole numbers within 64 bits are integers, however they came; mlua has told most of them apart.
        let whole = n as i64;
        if n.is_finite() && whole as f64 == n && whole != i64::MAX {
            return self.integer(whole);
        }
        let short = n as f32;
        if f64::from(short) == n {
            self.out.push(0xca);
            self.out.extend(short.to_be_bytes());
        } else {
            self.out.push(0xcb);
            self.out.extend(n.to_be_bytes());
        }
    }

    fn integer(&mut self, n: i64) {
        let (kind, bytes) = match n {
            -32..=127 => return self.out.push(n as u8),
            128..=0xff => (0xcc, 1),
            0x100..=0xffff => (0xcd, 2),
            0x1_0000..=0xffff_ffff => (0xce, 4),
            0x1_0000_0000.. => (0xcf, 8),
            -128..-32 => (0xd0, 1),
            -32_768..-128 => (0xd1, 2),
            -2_147_483_648..-32_768 => (0xd2, 4),
            _ => (0xd3, 8),
        };
        self.out.push(kind);
        self.out.extend_from_slice(&n.to_be_bytes()[8 - bytes..]);
    }

    fn table(&mut self, table: &Table, level: usize) -> mlua::Result<()> {
        let (keys, is_array) = shape(table)?;
        if is_array {
            let items = table.raw_len();
            if items < 16 {
                self.out.push(0x90 | items as u8)
            } else {
                self.length(items, 0xdc, 0xdd)
            }
            for at in 1..=items {
                let item: Value = table.get(at)?;
                self.value(&item, level + 1)?;
            }
            return Ok(());
        }
        if keys < 16 {
            self.out.push(0x80 | keys as u8)
        } else {
            self.length(keys, 0xde, 0xdf)
        }
        table.for_each(|key: Value, value: Value| {
            self.value(&key, level + 1)?;
            self.value(&value, level + 1)
        })
    }
}

/// How many keys a table has, and whether they are exactly the numbers from 1 on.
fn shape(table: &Table) -> mlua::Result<(usize, bool)> {
    let (mut keys, mut max, mut numbers) = (0_usize, 0_i64, true);
    table.for_each(|key: Value, _: Value| {
        keys += 1;
        match key {
            Value::Integer(n) if n > 0 && n <= i64::from(i32::MAX) => max = max.max(n),
            _ => numbers = false,
        }
        Ok(())
    })?;
    Ok((keys, numbers && usize::try_from(max) == Ok(keys)))
}

/// Up to `limit` values from `offset` on, behind the offset of the rest; with neither all, without it.
fn unpack(args: &Arguments<'_>, limit: i64, offset: i64) -> mlua::Result<Variadic<Value>> {
    let lua = args.lua;
    let text = args.string(1)?;
    let text = text.as_bytes();
    let all = limit == 0 && offset == 0;
    if offset < 0 || limit < 0 {
        let complaint =
            format!("Invalid request to unpack with offset of {} and limit of {}.", offset as i32, text.len());
        return Err(raise::error(lua, complaint));
    }
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let Some(rest) = text.get(start..) else {
        let complaint = format!("Start offset {} greater than input length {}.", offset as i32, text.len());
        return Err(raise::error(lua, complaint));
    };
    let mut unpacker = Unpacker { lua, rest, depth: 0 };
    let mut found = Variadic::new();
    let limit = if all { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    while !unpacker.rest.is_empty() && found.len() < limit {
        if found.len() >= VALUES_MAX {
            let complaint = "stack overflow (too many return values at once; use unpack_one or unpack_limit \
                             instead.)";
            return Err(raise::error(lua, complaint));
        }
        found.push(unpacker.value()?);
    }
    if !all {
        let next = if unpacker.rest.is_empty() { -1 } else { (text.len() - unpacker.rest.len()) as i64 };
        found.insert(0, Value::Integer(next));
    }
    Ok(found)
}

/// Most values at once: Lua's stack, less what the call takes.
const VALUES_MAX: usize = 7_900;

struct Unpacker<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    depth: usize,
}

impl<'a> Unpacker<'a> {
    fn value(&mut self) -> mlua::Result<Value> {
        let kind = self.take(1)?[0];
        Ok(match kind {
            0..0x80 => Value::Integer(kind.into()),
            0x80..0x90 => self.map((kind & 0xf).into())?,
            0x90..0xa0 => self.array((kind & 0xf).into())?,
            0xa0..0xc0 => self.string((kind & 0x1f).into())?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f32::from_bits(self.unsigned(4)? as u32).into()),
            0xcb => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xcc => Value::Integer(self.unsigned(1)? as i64),
            0xcd => Value::Integer(self.unsigned(2)? as i64),
            0xce => Value::Integer(self.unsigned(4)? as i64),
            // Through a signed integer, as the original: beyond 2^63 it is negative.
            0xcf => Value::Number(self.unsigned(8)?.cast_signed() as f64),
            0xd0 => Value::Integer((self.unsigned(1)? as u8).cast_signed().into()),
            0xd1 => Value::Integer((self.unsigned(2)? as u16).cast_signed().into()),
            0xd2 => Value::Integer((self.unsigned(4)? as u32).cast_signed().into()),
            0xd3 => Value::Number(self.unsigned(8)?.cast_signed() as f64),
            0xd9 => self.counted(1, Self::string)?,
            0xda => self.counted(2, Self::string)?,
            0xdb => self.counted(4, Self::string)?,
            0xdc => self.counted(2, Self::array)?,
            0xdd => self.counted(4, Self::array)?,
            0xde => self.counted(2, Self::map)?,
            0xdf => self.counted(4, Self::map)?,
            0xe0.. => Value::Integer(kind.cast_signed().into()),
            _ => return Err(raise::error(self.lua, "Bad data format in input.")),
        })
    }

    fn take(&mut self, count: usize) -> mlua::Result<&'a [u8]> {
        let missing = || raise::error(self.lua, "Missing bytes in input.");
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(missing)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, bytes: usize) -> mlua::Result<u64> {
        Ok(self.take(bytes)?.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    }

    fn counted(&mut self, bytes: usize, read: fn(&mut Self, usize) -> mlua::Result<Value>) -> mlua::Result<Value> {
        let count = self.unsigned(bytes)? as usize;
        read(self, count)
    }

    fn string(&mut self, count: usize) -> mlua::Result<Value> {
        let bytes = self.take(count)?;
        self.lua.create_string(bytes)?.into_lua(self.lua)
    }

    fn descend(&mut self) -> mlua::Result<Table> {
        self.depth += 1;
        if self.depth > UNPACKED_NESTING_MAX {
            return Err(raise::error(self.lua, "Bad data format in input."));
        }
        self.lua.create_table()
    }

    fn array(&mut self, count: usize) -> mlua::Result<Value> {
        let table = self.descend()?;
        for at in 1..=count {
            let item = self.value()?;
            table.raw_set(at, item)?;
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn map(&mut self, count: usize) -> mlua::Result<Value> {
        let table = self.descend()?;
        for _ in 0..count {
            let (key, value) = (self.value()?, self.value()?);
            let bad = match &key {
                Value::Nil => Some("index is nil"),
                Value::Number(n) if n.is_nan() => Some("index is NaN"),
                _ => None,
            };
            match bad {
                Some(complaint) => return Err(raise::bare(format!("table {complaint}"))),
                None => table.raw_set(key, value)?,
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }
}
