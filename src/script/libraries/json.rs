//! `cjson` 2.1.0: JSON to and from values of Lua.

use super::arguments::{Arguments, type_name};
use crate::script::prelude::Machine;
use mlua::{Function, LightUserData, Lua, Table, Value, Variadic};
use std::cell::Cell;
use std::rc::Rc;

mod decode;
mod encode;
mod number;

/// What cjson lets scripts set. It lasts as long as the machine, as in the servers.
#[derive(Clone, Copy, Debug)]
struct Settings {
    sparse_convert: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth_max: i32,
    decode_depth_max: i32,
    encode_invalid: Invalid,
    decode_invalid: bool,
    precision: i32,
    keep_buffer: bool,
}

/// What becomes of NaN and infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            precision: 14,
            keep_buffer: true,
        }
    }
}

type Shared = Rc<Cell<Settings>>;

/// Puts the library into the globals.
pub(super) fn open(machine: &Machine) -> mlua::Result<()> {
    fill(&machine.lua, &machine.library("cjson")?, machine.real.clone())
}

/// Fills a table with the functions, which share new settings.
fn fill(lua: &Lua, library: &Table, real: Table) -> mlua::Result<()> {
    let settings = Shared::default();
    let shared = Rc::clone(&settings);
    let behind = real.clone();
    let encode = lua.create_function(move |lua, args: Variadic<Value>| {
        let args = Arguments::new(lua, &args);
        let Some(value) = args.get(1).filter(|_| args.count() == 1) else {
            return Err(args.complain(1, "expected 1 argument"));
        };
        let text = encode::encode(lua, value, shared.get(), &behind)?;
        lua.create_string(text)
    })?;
    library.raw_set("encode", encode)?;
    let shared = Rc::clone(&settings);
    let decode = lua.create_function(move |lua, args: Variadic<Value>| {
        let args = Arguments::new(lua, &args);
        if args.count() != 1 {
            return Err(args.complain(1, "expected 1 argument"));
        }
        decode::decode(lua, &args.string(1)?.as_bytes(), shared.get())
    })?;
    library.raw_set("decode", decode)?;
    fill_settings(lua, library, &settings)?;
    let new = lua.create_function(move |lua, _: Variadic<Value>| {
        let library = lua.create_table()?;
        fill(lua, &library, real.clone())?;
        Ok(library)
    })?;
    library.raw_set("new", new)?;
    library.raw_set("null", Value::LightUserData(LightUserData(std::ptr::null_mut())))?;
    library.raw_set("_NAME", "cjson")?;
    library.raw_set("_VERSION", "2.1.0")
}

/// The functions that show and change settings.
fn fill_settings(lua: &Lua, library: &Table, settings: &Shared) -> mlua::Result<()> {
    let sparse = setting(lua, settings, 3, |args, settings| {
        let convert = switch(args, 1, &mut settings.sparse_convert)?;
        let ratio = number(args, 2, &mut settings.sparse_ratio, 0..=i32::MAX)?;
        let safe = number(args, 3, &mut settings.sparse_safe, 0..=i32::MAX)?;
        Ok([convert, ratio, safe].into_iter().collect())
    })?;
    library.raw_set("encode_sparse_array", sparse)?;
    let one = |name: &str, read: fn(&Arguments<'_>, &mut Settings) -> mlua::Result<Value>| {
        let function =
            setting(lua, settings, 1, move |args, settings| Ok([read(args, settings)?].into_iter().collect()))?;
        library.raw_set(name, function)
    };
    one("encode_max_depth", |args, settings| number(args, 1, &mut settings.encode_depth_max, 1..=i32::MAX))?;
    one("decode_max_depth", |args, settings| number(args, 1, &mut settings.decode_depth_max, 1..=i32::MAX))?;
    one("encode_number_precision", |args, settings| number(args, 1, &mut settings.precision, 1..=14))?;
    one("encode_keep_buffer", |args, settings| switch(args, 1, &mut settings.keep_buffer))?;
    one("decode_invalid_numbers", |args, settings| switch(args, 1, &mut settings.decode_invalid))?;
    one("encode_invalid_numbers", |args, settings| {
        if !args.is_nil(1) {
            settings.encode_invalid = match args.get(1) {
                Some(Value::Boolean(false)) => Invalid::Refused,
                Some(Value::Boolean(true)) => Invalid::Written,
                _ => [Invalid::Refused, Invalid::Written, Invalid::Null][option(args, 1, &["off", "on", "null"])?],
            };
        }
        match settings.encode_invalid {
            Invalid::Refused => Ok(Value::Boolean(false)),
            Invalid::Written => Ok(Value::Boolean(true)),
            Invalid::Null => Ok(Value::String(args.lua.create_string("null")?)),
        }
    })
}

/// A function of up to `most` arguments over the settings.
fn setting(
    lua: &Lua,
    settings: &Shared,
    most: usize,
    change: impl Fn(&Arguments<'_>, &mut Settings) -> mlua::Result<Variadic<Value>> + 'static,
) -> mlua::Result<Function> {
    let settings = Rc::clone(settings);
    lua.create_function(move |lua, args: Variadic<Value>| {
        let args = Arguments::new(lua, &args);
        if args.count() > most {
            return Err(args.complain(most + 1, "found too many arguments"));
        }
        let mut changed = settings.get();
        let shown = change(&args, &mut changed)?;
        settings.set(changed);
        Ok(shown)
    })
}

fn number(
    args: &Arguments<'_>,
    at: usize,
    setting: &mut i32,
    range: std::ops::RangeInclusive<i32>,
) -> mlua::Result<Value> {
    if !args.is_nil(at) {
        let value = args.integer(at)? as i32;
        if !range.contains(&value) {
            let (low, high) = (range.start(), range.end());
            return Err(args.complain(1, &format!("expected integer between {low} and {high}")));
        }
        *setting = value;
    }
    Ok(Value::Integer((*setting).into()))
}

fn switch(args: &Arguments<'_>, at: usize, setting: &mut bool) -> mlua::Result<Value> {
    if !args.is_nil(at) {
        *setting = match args.get(at) {
            Some(Value::Boolean(yes)) => *yes,
            _ => option(args, at, &["off", "on"])? == 1,
        };
    }
    Ok(Value::Boolean(*setting))
}

/// Which of the words an argument is (C: `luaL_checkoption`).
fn option(args: &Arguments<'_>, at: usize, words: &[&str]) -> mlua::Result<usize> {
    let text = args.string(at)?;
    let text = text.as_bytes();
    words
        .iter()
        .position(|word| word.as_bytes() == &text[..])
        .ok_or_else(|| args.complain(at, &format!("invalid option '{}'", String::from_utf8_lossy(&text))))
}

/// The null of JSON: a pointer to nothing.
fn is_null(value: &Value) -> bool {
    matches!(value, Value::LightUserData(LightUserData(pointer)) if pointer.is_null())
}

/// The name of a value's type, for complaints.
fn kind(value: &Value) -> &'static str {
    type_name(value)
}
