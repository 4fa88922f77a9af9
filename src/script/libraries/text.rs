//! What of Lua's `string` could take for ever in C: find, match, gmatch, gsub, rep.

use super::arguments::{Arguments, type_name};
use super::pattern::{Capture, Fault, Matcher};
use crate::limits::SCRIPT_MEMORY_BYTES_MAX;
use crate::script::prelude::{Machine, pass_on};
use crate::script::raise::{self, Raised};
use crate::script::watch::Watch;
use mlua::{Function, Lua, LuaString, Value, Variadic};
use std::cell::Cell;
use std::rc::Rc;

/// Bytes that mean something in a pattern.
const SPECIAL: &[u8] = b"^$*+?.([%-";

type Values = Variadic<Value>;

/// Puts the functions into `string`, in place of Lua's own.
pub(super) fn open(machine: &Machine) -> mlua::Result<()> {
    let (lua, string) = (&machine.lua, machine.library("string")?);
    let watch = &machine.watch;
    let looker = Rc::clone(watch);
    let find = lua.create_function(move |lua, args: Values| search(&Arguments::new(lua, &args), &looker, true))?;
    string.raw_set("find", find)?;
    let looker = Rc::clone(watch);
    let found =
        lua.create_function(move |lua, args: Values| search(&Arguments::new(lua, &args), &looker, false))?;
    string.raw_set("match", found)?;
    let looker = Rc::clone(watch);
    let gmatch = lua.create_function(move |lua, args: Values| gmatch(&Arguments::new(lua, &args), &looker))?;
    string.raw_set("gmatch", &gmatch)?;
    string.raw_set("gfind", gmatch)?;
    let (looker, pcall) = (Rc::clone(watch), machine.pcall.clone());
    let gsub = lua.create_function(move |lua, args: Values| gsub(&Arguments::new(lua, &args), &looker, &pcall))?;
    string.raw_set("gsub", gsub)?;
    string.raw_set("rep", lua.create_function(|lua, args: Values| repeat(&Arguments::new(lua, &args)))?)
}

/// An error of the matcher as one of Lua's.
fn raised(lua: &Lua, fault: Fault<Raised>) -> mlua::Error {
    match fault {
        Fault::Pattern(complaint) => raise::error(lua, complaint),
        Fault::Ended(raised) => raised.into(),
    }
}

/// `string.find` or, without positions, `string.match`.
fn search(args: &Arguments<'_>, watch: &Watch, positions: bool) -> mlua::Result<Values> {
    let lua = args.lua;
    let (text, pattern) = (args.string(1)?, args.string(2)?);
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let from = match args.integer_or(3, 1)? {
        from @ 1.. => usize::try_from(from - 1).unwrap_or(usize::MAX).min(text.len()),
        0 => 0,
        back => text.len().saturating_sub(usize::try_from(back.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let plain = |pattern: &[u8]| {
        let as_c = pattern.split(|&c| c == 0).next().unwrap_or_default();
        !as_c.iter().any(|c| SPECIAL.contains(c))
    };
    let wants_plain = args.get(4).is_some_and(|value| !matches!(value, Value::Nil | Value::Boolean(false)));
    if positions && (wants_plain || plain(&pattern)) {
        let found = memchr::memmem::find(&text[from..], &pattern).map(|at| from + at);
        return Ok(found.map_or_else(nil, |at| {
            [at + 1, at + pattern.len()].map(|n| Value::Number(n as f64)).into_iter().collect()
        }));
    }
    let anchored = pattern.first() == Some(&b'^');
    let mut matcher = Matcher::new(&text, &pattern[usize::from(anchored)..], || watch.look());
    let last = if anchored { from } else { text.len() };
    for start in from..=last {
        if let Some(end) = matcher.at(start).map_err(|fault| raised(lua, fault))? {
            let mut found = Values::new();
            if positions {
                found.extend([start + 1, end].map(|n| Value::Number(n as f64)));
            }
            let whole = !positions && matcher.captures() == 0;
            for index in 0..matcher.captures().max(usize::from(whole)) {
                let capture = matcher.capture(index, start, end).map_err(|fault| raised(lua, fault))?;
                found.push(value(lua, &text, capture)?);
            }
            return Ok(found);
        }
    }
    Ok(nil())
}

fn nil() -> Values {
    [Value::Nil].into_iter().collect()
}

fn value(lua: &Lua, text: &[u8], capture: Capture) -> mlua::Result<Value> {
    Ok(match capture {
        Capture::Text(from, to) => Value::String(lua.create_string(text.get(from..to).unwrap_or_default())?),
        Capture::Position(at) => Value::Number(at as f64),
    })
}

/// All captures of a match, or the whole of it.
fn all_captures<T: FnMut() -> Result<(), Raised>>(
    lua: &Lua,
    text: &[u8],
    matcher: &Matcher<'_, T>,
    start: usize,
    end: usize,
) -> mlua::Result<Values> {
    (0..matcher.captures().max(1))
        .map(|index| {
            let capture = matcher.capture(index, start, end).map_err(|fault| raised(lua, fault))?;
            value(lua, text, capture)
        })
        .collect()
}

fn gmatch(args: &Arguments<'_>, watch: &Rc<Watch>) -> mlua::Result<Function> {
    let (text, pattern) = (args.string(1)?, args.string(2)?);
    let (watch, next) = (Rc::clone(watch), Cell::new(0));
    args.lua.create_function(move |lua, _: Values| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let mut matcher = Matcher::new(&text, &pattern, || watch.look());
        for start in next.get()..=text.len() {
            if let Some(end) = matcher.at(start).map_err(|fault| raised(lua, fault))? {
                next.set(if end == start { end + 1 } else { end });
                return all_captures(lua, &text, &matcher, start, end);
            }
        }
        next.set(text.len() + 1);
        Ok(Values::new())
    })
}

/// `string.gsub(text, pattern, replacement [, most])`
fn gsub(args: &Arguments<'_>, watch: &Watch, pcall: &Function) -> mlua::Result<(LuaString, usize)> {
    let lua = args.lua;
    let (text, pattern) = (args.string(1)?, args.string(2)?);
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let replacement = match args.get(3) {
        Some(Value::String(_) | Value::Integer(_) | Value::Number(_)) => Replacement::Text(args.string(3)?),
        Some(value @ (Value::Table(_) | Value::Function(_))) => Replacement::Asked(value),
        _ => return Err(args.complain(3, "string/function/table expected")),
    };
    let most = usize::try_from(args.integer_or(4, (text.len() + 1) as i64)?).unwrap_or(0);
    let anchored = pattern.first() == Some(&b'^');
    let mut matcher = Matcher::new(&text, &pattern[usize::from(anchored)..], || watch.look());
    let (mut out, mut at, mut count) = (Vec::new(), 0, 0);
    while count < most {
        let end = matcher.at(at).map_err(|fault| raised(lua, fault))?;
        if let Some(end) = end {
            count += 1;
            let found = Found { lua, text: &text, start: at, end, pcall };
            found.replace(&matcher, &replacement, &mut out)?;
        }
        if out.len() > SCRIPT_MEMORY_BYTES_MAX {
            return Err(raise::bare("not enough memory"));
        }
        match end {
            Some(end) if end > at => at = end,
            _ if at < text.len() => {
                out.push(text[at]);
                at += 1;
            }
            _ => break,
        }
        if anchored {
            break;
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    Ok((lua.create_string(out)?, count))
}

/// What a match is replaced by.
enum Replacement<'a> {
    /// A text with `%1` in it.
    Text(LuaString),
    /// What a function or table says.
    Asked(&'a Value),
}

/// One match of gsub.
struct Found<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    start: usize,
    end: usize,
    pcall: &'a Function,
}

impl Found<'_> {
    fn replace<T: FnMut() -> Result<(), Raised>>(
        &self,
        matcher: &Matcher<'_, T>,
        replacement: &Replacement<'_>,
        out: &mut Vec<u8>,
    ) -> mlua::Result<()> {
        let answer = match replacement {
            Replacement::Text(text) => return self.fill_in(matcher, &text.as_bytes(), out),
            Replacement::Asked(Value::Table(table)) => {
                let capture = matcher.capture(0, self.start, self.end);
                let capture = capture.map_err(|fault| raised(self.lua, fault))?;
                table.get(value(self.lua, self.text, capture)?)?
            }
            Replacement::Asked(function) => {
                let captures = all_captures(self.lua, self.text, matcher, self.start, self.end)?;
                self.ask(function, captures)?
            }
        };
        match answer {
            Value::Nil | Value::Boolean(false) => out.extend_from_slice(&self.text[self.start..self.end]),
            answer => match self.lua.coerce_string(answer.clone())? {
                Some(text) => out.extend_from_slice(&text.as_bytes()),
                None => {
                    let text = format!("invalid replacement value (a {})", type_name(&answer));
                    return Err(raise::error(self.lua, text));
                }
            },
        }
        Ok(())
    }

    /// Calls a function of the script; what it raises goes on as it is.
    fn ask(&self, function: &Value, captures: Values) -> mlua::Result<Value> {
        match self.pcall.call((function, captures))? {
            (true, answer) => Ok(answer),
            (false, Value::Error(error)) => Err(*error),
            (false, error) => Err(pass_on(self.lua, error)),
        }
    }

    fn fill_in<T: FnMut() -> Result<(), Raised>>(
        &self,
        matcher: &Matcher<'_, T>,
        replacement: &[u8],
        out: &mut Vec<u8>,
    ) -> mlua::Result<()> {
        let mut bytes = replacement.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                out.push(byte);
                continue;
            }
            // A % at the end is followed by C's zero.
            match bytes.next().unwrap_or(0) {
                b'0' => out.extend_from_slice(&self.text[self.start..self.end]),
                digit @ b'1'..=b'9' => {
                    let capture = matcher.capture(usize::from(digit - b'1'), self.start, self.end);
                    match capture.map_err(|fault| raised(self.lua, fault))? {
                        Capture::Text(from, to) => out.extend_from_slice(&self.text[from..to]),
                        Capture::Position(at) => out.extend_from_slice(at.to_string().as_bytes()),
                    }
                }
                other => out.push(other),
            }
        }
        Ok(())
    }
}

fn repeat(args: &Arguments<'_>) -> mlua::Result<LuaString> {
    let text = args.string(1)?;
    let times = usize::try_from(args.integer(2)? as i32).unwrap_or(0);
    let text = text.as_bytes();
    match text.len().checked_mul(times) {
        Some(bytes) if bytes <= SCRIPT_MEMORY_BYTES_MAX => args.lua.create_string(text.repeat(times)),
        _ => Err(raise::bare("not enough memory")),
    }
}
