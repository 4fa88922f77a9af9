//! math.random and math.randomseed: the servers' own generator, the same sequence everywhere.

use super::arguments::Arguments;
use crate::script::prelude::Machine;
use crate::script::raise;
use mlua::{Value, Variadic};
use std::cell::Cell;
use std::rc::Rc;

/// The 48 bit linear congruential generator of drand48, without its seeding at start.
#[derive(Clone, Copy, Debug)]
struct Generator(u64);

const MULTIPLIER: u64 = 0x5_deec_e66d;
const INCREMENT: u64 = 0xb;
const MASK: u64 = (1 << 48) - 1;
const FIRST: u64 = 0x1234_abcd_330e;
/// One more than the biggest number that `next` answers.
const LIMIT: u64 = i32::MAX as u64;

impl Generator {
    fn seeded(seed: i32) -> Self {
        Self((u64::from(seed as u32) << 16) | 0x330e)
    }

    /// The next number of 31 bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        self.0 >> 17
    }
}

/// Puts the two functions into `math`.
pub(super) fn open(machine: &Machine) -> mlua::Result<()> {
    let generator = Rc::new(Cell::new(Generator(FIRST)));
    let math = machine.library("math")?;
    let seeded = Rc::clone(&generator);
    let random = machine.lua.create_function(move |lua, args: Variadic<Value>| {
        let args = Arguments::new(lua, &args);
        let mut state = generator.get();
        let part = (state.next() % LIMIT) as f64 / LIMIT as f64;
        generator.set(state);
        let (low, high) = match args.count() {
            0 => return Ok(part),
            1 => (1, args.integer(1)? as i32),
            2 => (args.integer(1)? as i32, args.integer(2)? as i32),
            _ => return Err(raise::error(lua, "wrong number of arguments")),
        };
        if low > high {
            return Err(args.complain(args.count(), "interval is empty"));
        }
        Ok((part * f64::from(high.wrapping_sub(low).wrapping_add(1))).floor() + f64::from(low))
    })?;
    math.raw_set("random", random)?;
    let randomseed = machine.lua.create_function(move |lua, args: Variadic<Value>| {
        let seed = Arguments::new(lua, &args).integer(1)?;
        seeded.set(Generator::seeded(seed as i32));
        Ok(())
    })?;
    math.raw_set("randomseed", randomseed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_servers() {
        // redis 8.0: math.randomseed(5) and math.random(1000) three times.
        let mut generator = Generator::seeded(5);
        let found: Vec<u64> = (0..3).map(|_| generator.next() % LIMIT * 1000 / LIMIT + 1).collect();
        assert_eq!(found, [525, 273, 789]);
    }
}
