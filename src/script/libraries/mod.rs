//! The servers' libraries beside Lua's own, as scripts know them; results are those of the C originals, byte by byte.

use super::prelude::Machine;

mod arguments;
mod bit;
mod json;
mod msgpack;
mod pack;
mod pattern;
mod random;
mod text;

/// Puts all of them into a machine that is not sealed yet.
pub(super) fn open(machine: &Machine, valkey: bool) -> mlua::Result<()> {
    random::open(machine)?;
    text::open(machine)?;
    bit::open(machine)?;
    pack::open(machine)?;
    msgpack::open(machine, valkey)?;
    json::open(machine)
}
