//! `bit`: operations on 32 bits (Lua BitOp 1.0.2).

use super::arguments::Arguments;
use crate::script::prelude::Machine;
use mlua::{Value, Variadic};

type Pair = fn(u32, u32) -> u32;

/// Puts the library into the globals.
pub(super) fn open(machine: &Machine) -> mlua::Result<()> {
    let (lua, bit) = (&machine.lua, machine.library("bit")?);
    let one = |f: fn(u32) -> u32| {
        lua.create_function(move |lua, args: Variadic<Value>| Ok(signed(f(bits(&Arguments::new(lua, &args), 1)?))))
    };
    bit.raw_set("tobit", one(|b| b)?)?;
    bit.raw_set("bnot", one(|b| !b)?)?;
    bit.raw_set("bswap", one(u32::swap_bytes)?)?;
    let folds: [(&str, Pair); 3] = [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
    for (name, fold) in folds {
        let function = lua.create_function(move |lua, args: Variadic<Value>| {
            let args = Arguments::new(lua, &args);
            let mut result = bits(&args, 1)?;
            // From the last to the second, so that of several wrong arguments the same one is complained of.
            for at in (2..=args.count()).rev() {
                result = fold(result, bits(&args, at)?);
            }
            Ok(signed(result))
        })?;
        bit.raw_set(name, function)?;
    }
    let shifts: [(&str, Pair); 5] = [
        ("lshift", |b, n| b << n),
        ("rshift", |b, n| b >> n),
        ("arshift", |b, n| (b.cast_signed() >> n).cast_unsigned()),
        ("rol", u32::rotate_left),
        ("ror", u32::rotate_right),
    ];
    for (name, shift) in shifts {
        let function = lua.create_function(move |lua, args: Variadic<Value>| {
            let args = Arguments::new(lua, &args);
            Ok(signed(shift(bits(&args, 1)?, bits(&args, 2)? & 31)))
        })?;
        bit.raw_set(name, function)?;
    }
    let tohex = lua.create_function(|lua, args: Variadic<Value>| {
        let args = Arguments::new(lua, &args);
        let value = bits(&args, 1)?;
        let digits = if args.count() < 2 { 8 } else { bits(&args, 2)?.cast_signed() };
        lua.create_string(hexadecimal(value, digits))
    })?;
    bit.raw_set("tohex", tohex)
}

/// The lowest digits of a number; a negative count asks for capitals.
fn hexadecimal(value: u32, digits: i32) -> String {
    let count = digits.unsigned_abs().min(8) as usize;
    let text = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    text[8 - count..].to_owned()
}

/// A number as 32 bits: rounded to the nearest integer (ties to even), modulo 2^32.
fn bits(args: &Arguments<'_>, at: usize) -> mlua::Result<u32> {
    /// Beyond it doubles are whole, so adding it rounds: the bits are then those of the integer.
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    let number = args.number(at)?;
    Ok((number + ROUNDER).to_bits() as u32)
}

fn signed(value: u32) -> i32 {
    value.cast_signed()
}
