//! A Lua machine as the servers give it to scripts: which functions there are, and that none of it can be changed.

use super::raise::{self, PASSED_ON, Raised};
use super::watch::Watch;
use crate::limits::{SCRIPT_MEMORY_BYTES_MAX, SCRIPT_STACK_BYTES_MAX};
use mlua::chunk::ChunkMode;
use mlua::{
    Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table, Value, Variadic, VmState,
};
use std::rc::Rc;

/// The prelude's own Lua.
const PRELUDE: &str = include_str!("prelude.lua");
/// How often a running script is looked at, in instructions of the virtual machine: each some 50 µs.
const HOOK_INSTRUCTIONS: u32 = 10_000;
/// Functions of Lua that scripts do not have.
const ABSENT: [&str; 6] = ["dofile", "loadfile", "print", "newproxy", "getfenv", "setfenv"];

/// A machine without libraries of the servers' own.
pub(super) struct Machine {
    pub(super) lua: Lua,
    /// What scripts find by name; only we change it.
    pub(super) globals: Table,
    /// The metatable of the table that scripts hold as their globals: `__index` says where names are looked up.
    pub(super) names: Table,
    protect: Function,
    /// Lua's own, before the prelude.
    pub(super) pcall: Function,
    pub(super) xpcall: Function,
    pub(super) call: Function,
    /// Tables that scripts hold in place of others, by themselves.
    pub(super) real: Table,
    shown_metatable: Table,
    pub(super) watch: Rc<Watch>,
}

impl Machine {
    /// A machine whose scripts `watch` ends.
    pub(super) fn new(watch: &Rc<Watch>) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(true))?;
        lua.set_memory_limit(SCRIPT_MEMORY_BYTES_MAX)?;
        let looker = Rc::clone(watch);
        lua.set_global_hook(HookTriggers::new().every_nth_instruction(HOOK_INSTRUCTIONS), move |_, _| {
            looker.look().map_err(mlua::Error::from).map(|()| VmState::Continue)
        })?;
        let prelude = lua.load(PRELUDE).set_name(raise::PRELUDE).set_mode(ChunkMode::Text).into_function()?;
        let parts: Table = prelude.call(host(&lua, watch)?)?;
        let globals = lua.globals();
        let base: Table = parts.raw_get("base")?;
        base.for_each(|name: Value, value: Value| globals.raw_set(name, value))?;
        for name in ABSENT {
            globals.raw_set(name, Value::Nil)?;
        }
        let clock: Function = globals.raw_get::<Table>("os")?.raw_get("clock")?;
        globals.raw_set("os", lua.create_table_from([("clock", clock)])?)?;
        let names = lua.create_table()?;
        Ok(Self {
            globals,
            names,
            protect: parts.raw_get("protect")?,
            pcall: parts.raw_get("pcall")?,
            xpcall: parts.raw_get("xpcall")?,
            call: parts.raw_get("call")?,
            real: parts.raw_get("real")?,
            shown_metatable: parts.raw_get("shown_metatable")?,
            watch: Rc::clone(watch),
            lua,
        })
    }

    /// The library of this name, made if there is none.
    pub(super) fn library(&self, name: &str) -> mlua::Result<Table> {
        match self.globals.raw_get(name)? {
            Value::Table(table) => Ok(table),
            _ => {
                let table = self.lua.create_table()?;
                self.globals.raw_set(name, &table)?;
                Ok(table)
            }
        }
    }

    /// The table that a script holds instead of `table`, and cannot change.
    pub(super) fn protect(&self, table: &Table) -> mlua::Result<Table> {
        self.protect.call(table)
    }

    /// Ends the building: from now on no script can change what all see. Unknown names are errors.
    pub(super) fn seal(&self) -> mlua::Result<()> {
        let mut tables = Vec::new();
        self.globals.for_each(|name: Value, value: Value| {
            if let Value::Table(table) = value {
                tables.push((name, table));
            }
            Ok(())
        })?;
        let mut shown: Vec<(Table, Table)> = Vec::new();
        for (name, table) in tables {
            // `redis` and `server` are one table; `_G` comes below.
            let known = shown.iter().find(|(real, _)| *real == table).map(|(_, shown)| shown.clone());
            let protected = match known {
                Some(protected) => protected,
                None => self.protect(&table)?,
            };
            self.globals.raw_set(name, &protected)?;
            shown.push((table, protected));
        }
        self.seal_strings()?;
        self.seal_globals()
    }

    fn seal_strings(&self) -> mlua::Result<()> {
        let metatable = self.lua.type_metatable::<LuaString>();
        let metatable = metatable.ok_or_else(|| mlua::Error::runtime("strings have no metatable"))?;
        metatable.raw_set("__index", self.globals.raw_get::<Value>("string")?)?;
        self.shown_metatable.raw_set("string", self.protect(&metatable)?)
    }

    fn seal_globals(&self) -> mlua::Result<()> {
        let unknown = self.lua.create_table_from([("__index", unknown_name(&self.lua)?)])?;
        self.globals.set_metatable(Some(unknown.clone()))?;
        let names = &self.names;
        names.raw_set("__index", &self.globals)?;
        names.raw_set("__newindex", readonly(&self.lua)?)?;
        let shown = self.lua.create_table()?;
        shown.set_metatable(Some(names.clone()))?;
        self.real.raw_set(&shown, &self.globals)?;
        self.shown_metatable.raw_set(&shown, self.protect(&unknown)?)?;
        self.globals.raw_set("_G", &shown)?;
        self.lua.set_globals(shown)
    }

    /// Compiles a script's or library's text; its lines are told of under `name`.
    pub(super) fn compile(&self, text: &[u8], name: &str) -> Result<Function, Vec<u8>> {
        load_text(&self.lua, text, name).map_err(String::into_bytes)
    }
}

fn load_text(lua: &Lua, text: &[u8], name: &str) -> Result<Function, String> {
    const NO_TEXT: u8 = 0x1b;
    let name = name.split('\0').next().unwrap_or_default();
    // Compiled code is never taken: Lua does not check it. The servers complain of its first byte.
    let is_binary = text.first() == Some(&NO_TEXT);
    let text = if is_binary { b"\x01" } else { text };
    match lua.load(text).set_name(name).set_mode(ChunkMode::Text).into_function() {
        Ok(function) => Ok(function),
        Err(error) if is_binary => Err(raise::foreign_text(&error).replace("char(1)", "char(27)")),
        Err(error) => Err(raise::foreign_text(&error)),
    }
}

/// What the prelude's Lua calls.
fn host(lua: &Lua, watch: &Rc<Watch>) -> mlua::Result<Table> {
    let host = lua.create_table()?;
    // Both look first: a script that is killed gets no error to catch.
    let looker = Rc::clone(watch);
    let recover = lua.create_function(move |lua, value: Value| {
        looker.look()?;
        raise::recover(lua, value)
    })?;
    host.raw_set("recover", recover)?;
    let looker = Rc::clone(watch);
    let plain = lua.create_function(move |lua, value: Value| {
        looker.look()?;
        plain(lua, value)
    })?;
    host.raw_set("plain", plain)?;
    host.raw_set(
        "fail",
        lua.create_function(|lua, (text, positioned): (LuaString, bool)| -> mlua::Result<()> {
            let text = text.as_bytes();
            Err(if positioned { raise::error(lua, &text[..]) } else { raise::bare(&text[..]) })
        })?,
    )?;
    let base = watch.stack_base();
    host.raw_set(
        "guard",
        lua.create_function(move |lua, ()| {
            let used = base.abs_diff(stack_here());
            if used < SCRIPT_STACK_BYTES_MAX { Ok(()) } else { Err(raise::error(lua, "C stack overflow")) }
        })?,
    )?;
    host.raw_set("readonly", readonly(lua)?)?;
    host.raw_set(
        "load_text",
        lua.create_function(|lua, (text, name): (LuaString, LuaString)| {
            match load_text(lua, &text.as_bytes(), &name.to_string_lossy()) {
                Ok(function) => Ok((Value::Function(function), Value::Nil)),
                Err(error) => Ok((Value::Nil, Value::String(lua.create_string(error)?))),
            }
        })?,
    )?;
    Ok(host)
}

/// About where the stack of this thread ends now.
pub(super) fn stack_here() -> usize {
    let here = 0_u8;
    std::ptr::addr_of!(here).addr()
}

/// What pcall answers for an error: of a table, its `err` (as redis 7.0, for scripts of older releases).
fn plain(lua: &Lua, value: Value) -> mlua::Result<Variadic<Value>> {
    let value = raise::recover(lua, value)?;
    let Value::Table(table) = &value else { return Ok([value].into_iter().collect()) };
    let field = table.get("err")?;
    Ok(match field {
        Value::String(_) | Value::Integer(_) | Value::Number(_) => [field].into_iter().collect(),
        // The servers leave the field there, behind the table.
        field => [value, field].into_iter().collect(),
    })
}

fn readonly(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, _: MultiValue| -> mlua::Result<()> {
        Err(raise::error(lua, "Attempt to modify a readonly table"))
    })
}

/// `__index` of tables whose unknown names are errors.
pub(super) fn unknown_name(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, (_, name): (Value, Value)| -> mlua::Result<()> {
        let Some(name) = lua.coerce_string(name)? else {
            return Err(raise::error(lua, "Second argument to luaProtectedTableError must be a string or number"));
        };
        let text = [b"Script attempted to access nonexistent global variable '", &name.as_bytes()[..], b"'"];
        Err(raise::error(lua, text.concat()))
    })
}

/// Raises a value of Lua as it is.
pub(super) fn pass_on(lua: &Lua, value: Value) -> mlua::Error {
    match lua.set_named_registry_value(PASSED_ON, value) {
        Ok(()) => Raised::PassedOn.into(),
        Err(error) => error,
    }
}
