//! Arguments of a library's function, read as Lua's C libraries read them, with their complaints.

use crate::script::raise;
use mlua::{Lua, LuaString, Value};

/// The arguments of one call.
pub(super) struct Arguments<'a> {
    pub(super) lua: &'a Lua,
    values: &'a [Value],
}

impl<'a> Arguments<'a> {
    pub(super) fn new(lua: &'a Lua, values: &'a [Value]) -> Self {
        Self { lua, values }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.values.len()
    }

    /// Argument `at`, from 1; `None` where there is none.
    pub(super) fn get(&self, at: usize) -> Option<&'a Value> {
        self.values.get(at.checked_sub(1)?)
    }

    /// There is none, or it is nil.
    pub(super) fn is_nil(&self, at: usize) -> bool {
        self.get(at).is_none_or(Value::is_nil)
    }

    /// A string, or a number as Lua prints it.
    pub(super) fn string(&self, at: usize) -> mlua::Result<LuaString> {
        match self.get(at) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(value @ (Value::Integer(_) | Value::Number(_))) => {
                self.lua.coerce_string(value.clone())?.ok_or_else(|| self.wrong_type(at, "string"))
            }
            _ => Err(self.wrong_type(at, "string")),
        }
    }

    /// A number, or a string that is one.
    pub(super) fn number(&self, at: usize) -> mlua::Result<f64> {
        self.number_if(at)?.ok_or_else(|| self.wrong_type(at, "number"))
    }

    /// The same; `None` if it is none.
    pub(super) fn number_if(&self, at: usize) -> mlua::Result<Option<f64>> {
        match self.get(at) {
            Some(Value::Integer(n)) => Ok(Some(*n as f64)),
            Some(Value::Number(n)) => Ok(Some(*n)),
            Some(value @ Value::String(_)) => self.lua.coerce_number(value.clone()),
            _ => Ok(None),
        }
    }

    /// A number as C makes an integer of it.
    pub(super) fn integer(&self, at: usize) -> mlua::Result<i64> {
        Ok(self.number(at)? as i64)
    }

    /// The same, or `default` where there is none.
    pub(super) fn integer_or(&self, at: usize, default: i64) -> mlua::Result<i64> {
        if self.is_nil(at) { Ok(default) } else { self.integer(at) }
    }

    /// `bad argument #at to 'f' (complaint)`
    pub(super) fn complain(&self, at: usize, complaint: &str) -> mlua::Error {
        raise::argument(self.lua, at, complaint)
    }

    fn wrong_type(&self, at: usize, wanted: &str) -> mlua::Error {
        let got = self.get(at).map_or("no value", type_name);
        self.complain(at, &format!("{wanted} expected, got {got}"))
    }
}

/// The name of a type as Lua has it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) | Value::Number(_) => "number",
        Value::LightUserData(_) | Value::UserData(_) | Value::Error(_) => "userdata",
        value => value.type_name(),
    }
}
