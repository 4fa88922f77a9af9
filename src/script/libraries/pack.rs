//! `struct`: C structures to and from strings (struct 0.2 with the servers' fixes).

use super::arguments::Arguments;
use crate::script::prelude::Machine;
use crate::script::raise;
use mlua::{IntoLua, Lua, Value, Variadic};

/// Biggest integer, bytes.
const INTEGER_BYTES_MAX: usize = 32;
/// Default of `!`: the alignment of a double.
const ALIGNMENT_DEFAULT: usize = 8;

/// Puts the library into the globals.
pub(super) fn open(machine: &Machine) -> mlua::Result<()> {
    let (lua, library) = (&machine.lua, machine.library("struct")?);
    let function = lua.create_function(|lua, mut args: Variadic<Value>| {
        if !args.is_empty() {
            args.push(Value::Nil);
        }
        let packed = pack(&Arguments::new(lua, &args))?;
        lua.create_string(packed)
    })?;
    library.raw_set("pack", function)?;
    let function = lua.create_function(|lua, args: Variadic<Value>| unpack(&Arguments::new(lua, &args)))?;
    library.raw_set("unpack", function)?;
    let function = lua.create_function(|lua, args: Variadic<Value>| size(&Arguments::new(lua, &args)))?;
    library.raw_set("size", function)
}

/// A format on the way: what is left of it, byte order and alignment so far.
struct Format<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    little: bool,
    alignment: usize,
}

/// One option: its letter, the bytes it takes, the padding before it.
struct Item {
    letter: u8,
    size: usize,
    padding: usize,
}

impl<'a> Format<'a> {
    fn new(lua: &'a Lua, text: &'a [u8]) -> Self {
        // A C string: it ends at the first zero byte.
        let rest = text.split(|&c| c == 0).next().unwrap_or_default();
        Self { lua, rest, little: true, alignment: 1 }
    }

    /// The next option at position `at`; options about byte order and alignment are applied by [`Format::control`].
    fn next(&mut self, at: usize) -> mlua::Result<Option<Item>> {
        let Some((&letter, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match letter {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => match self.number(4)? {
                size if size > INTEGER_BYTES_MAX => {
                    let text = format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(raise::error(self.lua, text));
                }
                size => size,
            },
            _ => 0,
        };
        let padding = if size == 0 || letter == b'c' {
            0
        } else {
            // As C computes it, also for sizes that are no power of two.
            let align = size.min(self.alignment);
            align.wrapping_sub(at & align.wrapping_sub(1)) & align.wrapping_sub(1)
        };
        Ok(Some(Item { letter, size, padding }))
    }

    fn number(&mut self, default: usize) -> mlua::Result<usize> {
        let digits = self.rest.iter().take_while(|c| c.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (digits, rest) = self.rest.split_at(digits);
        self.rest = rest;
        digits
            .iter()
            .try_fold(0_i32, |n, c| n.checked_mul(10)?.checked_add(i32::from(c - b'0')))
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| raise::error(self.lua, "integral size overflow"))
    }

    /// Applies an option that is no item.
    fn control(&mut self, letter: u8) -> mlua::Result<()> {
        match letter {
            b' ' => {}
            b'>' => self.little = false,
            b'<' => self.little = true,
            b'!' => {
                let alignment = self.number(ALIGNMENT_DEFAULT)?;
                if !alignment.is_power_of_two() {
                    let text = format!("alignment {alignment} is not a power of 2");
                    return Err(raise::error(self.lua, text));
                }
                self.alignment = alignment;
            }
            letter => {
                let complaint = [b"invalid format option '", &[letter][..], b"'"].concat();
                return Err(raise::argument(self.lua, 1, &String::from_utf8_lossy(&complaint)));
            }
        }
        Ok(())
    }
}

/// Packs what is there; behind the last argument C finds a nil of its own making.
fn pack(args: &Arguments<'_>) -> mlua::Result<Vec<u8>> {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(args.lua, &text);
    let (mut out, mut arg) = (Vec::new(), 2);
    while let Some(item) = format.next(out.len())? {
        out.resize(out.len() + item.padding, 0);
        match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                put_integer(args.number(arg)?, item.size, format.little, &mut out);
                arg += 1;
            }
            b'x' => out.push(0),
            b'f' => {
                let value = args.number(arg)? as f32;
                out.extend(if format.little { value.to_le_bytes() } else { value.to_be_bytes() });
                arg += 1;
            }
            b'd' => {
                let value = args.number(arg)?;
                out.extend(if format.little { value.to_le_bytes() } else { value.to_be_bytes() });
                arg += 1;
            }
            b'c' | b's' => {
                let value = args.string(arg)?;
                arg += 1;
                let value = value.as_bytes();
                let size = if item.size == 0 { value.len() } else { item.size };
                // The complaint names the argument behind the short one, as the original does.
                let part = value.get(..size).ok_or_else(|| args.complain(arg, "string too short"))?;
                out.extend_from_slice(part);
                if item.letter == b's' {
                    out.push(0);
                }
            }
            letter => format.control(letter)?,
        }
    }
    Ok(out)
}

fn put_integer(number: f64, size: usize, little: bool, out: &mut Vec<u8>) {
    let value = if number < 0.0 { to_c_long(number) as u64 } else { to_c_unsigned_long(number) };
    let byte = |at: usize| if at < 8 { (value >> (8 * at)) as u8 } else { 0 };
    match little {
        true => out.extend((0..size).map(byte)),
        false => out.extend((0..size).rev().map(byte)),
    }
}

/// As x86 converts: what does not fit is the smallest integer.
fn to_c_long(number: f64) -> i64 {
    if (-(2_f64.powi(63))..2_f64.powi(63)).contains(&number) { number as i64 } else { i64::MIN }
}

fn to_c_unsigned_long(number: f64) -> u64 {
    match number {
        n if n < 2_f64.powi(63) => n as u64,
        n if n < 2_f64.powi(64) => n as u64,
        _ => 0,
    }
}

fn unpack(args: &Arguments<'_>) -> mlua::Result<Variadic<Value>> {
    let lua = args.lua;
    let (text, data) = (args.string(1)?, args.string(2)?);
    let (text, data) = (text.as_bytes(), data.as_bytes());
    let start = args.integer_or(3, 1)?;
    let Ok(mut at) = usize::try_from(start.wrapping_sub(1)) else {
        // A negative offset is a huge one in C, and beyond the data.
        let complaint = if start == 0 { (3, "offset must be 1 or greater") } else { (2, "data string too short") };
        return Err(args.complain(complaint.0, complaint.1));
    };
    let mut format = Format::new(lua, &text);
    let mut found = Variadic::new();
    while let Some(item) = format.next(at)? {
        at = at.saturating_add(item.padding);
        let mut size = item.size;
        let too_short = || args.complain(2, "data string too short");
        let mut bytes = part(&data, at, size).ok_or_else(too_short)?;
        match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                found.push(Value::Number(integer(bytes, format.little, item.letter.is_ascii_lowercase())));
            }
            b'x' => {}
            b'f' => found.push(Value::Number(f64::from(f32::from_bits(unsigned(bytes, format.little) as u32)))),
            b'd' => found.push(Value::Number(f64::from_bits(unsigned(bytes, format.little)))),
            b'c' => {
                if size == 0 {
                    let Some(count) = found.pop().and_then(|value| value.as_f64()) else {
                        return Err(raise::error(lua, "format 'c0' needs a previous size"));
                    };
                    size = count as usize;
                    bytes = part(&data, at, size).ok_or_else(too_short)?;
                }
                found.push(lua.create_string(bytes)?.into_lua(lua)?);
            }
            b's' => {
                let rest = data.get(at..).unwrap_or_default();
                let end = memchr::memchr(0, rest).ok_or_else(|| raise::error(lua, "unfinished string in data"))?;
                size = end + 1;
                found.push(lua.create_string(&rest[..end])?.into_lua(lua)?);
            }
            letter => format.control(letter)?,
        }
        at += size;
    }
    found.push(Value::Number((at + 1) as f64));
    Ok(found)
}

fn part(data: &[u8], at: usize, size: usize) -> Option<&[u8]> {
    data.get(at..at.checked_add(size)?)
}

fn unsigned(bytes: &[u8], little: bool) -> u64 {
    let push = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
    if little { bytes.iter().rev().fold(0, push) } else { bytes.iter().fold(0, push) }
}

fn integer(bytes: &[u8], little: bool, is_signed: bool) -> f64 {
    let value = unsigned(bytes, little);
    match bytes.len() {
        _ if !is_signed => value as f64,
        0 => 0.0,
        size if size < 8 => {
            let unused = 64 - 8 * size as u32;
            ((value << unused).cast_signed() >> unused) as f64
        }
        _ => value.cast_signed() as f64,
    }
}

fn size(args: &Arguments<'_>) -> mlua::Result<f64> {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(args.lua, &text);
    let mut at = 0_usize;
    while let Some(item) = format.next(at)? {
        at += item.padding;
        match item.letter {
            b's' => return Err(args.complain(1, "option 's' has no fixed size")),
            b'c' if item.size == 0 => return Err(args.complain(1, "option 'c0' has no fixed size")),
            letter if !letter.is_ascii_alphanumeric() => format.control(letter)?,
            _ => {}
        }
        at += item.size;
    }
    Ok(at as f64)
}
