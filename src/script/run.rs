//! One run of a script or function on a machine: its commands see the data, its outcome becomes a reply.

use super::call::Caller;
use super::machine::Vm;
use super::raise::{self, Raised};
use super::to_reply::Unfit;
use crate::resp::reply::{Proto, Reply};
use mlua::{Function, Lua, Table, Value, Variadic};

/// What is run: a script, or a function of a library with its two tables.
pub(super) enum Callee {
    Script(Function),
    Function(Function, Table, Table),
}

/// Runs `callee` and writes its reply, which may be an error line. `name` is the script's hash or the function's name.
pub(super) fn run(vm: &Vm, callee: &Callee, caller: &Caller<'_>, name: &[u8], out: &mut Reply) {
    caller.spoken.set(Proto::Resp2);
    vm.asker.replace(Some((std::sync::Arc::clone(caller.user), caller.db)));
    let mark = out.len();
    let outcome = vm.machine.lua.scope(|scope| {
        vm.redis
            .raw_set("call", scope.create_function(|lua, args: Variadic<Value>| caller.call(lua, &args, true))?)?;
        let pcall = scope.create_function(|lua, args: Variadic<Value>| caller.call(lua, &args, false))?;
        vm.redis.raw_set("pcall", pcall)?;
        let (ok, value): (bool, Value) = match callee {
            Callee::Script(script) => vm.machine.xpcall.call((script, &vm.handler))?,
            Callee::Function(function, keys, argv) => vm.machine.call.call((function, &vm.handler, keys, argv))?,
        };
        match ok {
            true => Ok(vm.fields.write(&vm.machine.lua, &value, caller.spoken.get(), out)),
            false => {
                failed(&value, name, caller, out)?;
                Ok(Ok(()))
            }
        }
    });
    let complaint = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(Unfit::TooLong)) => "the reply is too long".to_owned(),
        Ok(Err(Unfit::Lua(error))) | Err(error) => raise::foreign_text(&error),
    };
    out.truncate(mark);
    broken_off(name, &complaint, out);
}

/// The error handler's table as an error line (as redis 7.0's `luaCallFunction`).
fn failed(value: &Value, name: &[u8], caller: &Caller<'_>, out: &mut Reply) -> mlua::Result<()> {
    let table = match value {
        Value::Table(table) => table,
        Value::String(text) => {
            broken_off(name, &text.to_string_lossy(), out);
            return Ok(());
        }
        _ => {
            broken_off(name, "execution failure", out);
            return Ok(());
        }
    };
    let text = |field: &str| -> mlua::Result<Option<Vec<u8>>> {
        let value: Value = table.get(field)?;
        Ok(match value {
            Value::String(text) => Some(text.as_bytes().to_vec()),
            Value::Integer(n) => Some(n.to_string().into_bytes()),
            _ => None,
        })
    };
    let mut line = text("err")?.unwrap_or_else(|| b"ERR unknown error".to_vec());
    if let (Some(source), Some(at)) = (text("source")?, text("line")?) {
        line.extend_from_slice(b" script: ");
        if caller.wording.names_the_script {
            line.extend_from_slice(name);
            line.extend_from_slice(b", ");
        }
        line.extend_from_slice(&[b"on ", &source[..], b":", &at, b"."].concat());
    }
    out.error_line(&line);
    Ok(())
}

/// A run that ended without its error handler: out of memory or of stack.
fn broken_off(name: &[u8], complaint: &str, out: &mut Reply) {
    const COMPLAINT_CHARS_MAX: usize = 100;
    let complaint: String = complaint.chars().take(COMPLAINT_CHARS_MAX).collect();
    let name = String::from_utf8_lossy(name);
    out.error_line(format!("ERR Error running script {name}, {complaint}").as_bytes());
}

/// Called by Lua with an error where it was raised: adds where that was (as the servers' `__redis__err__handler`).
pub(super) fn handler(lua: &Lua, value: Value) -> mlua::Result<Value> {
    let value = match &value {
        Value::Error(error) => match raise::raised(error) {
            Some(Raised::Killed(line)) => raise::line_table(lua, line.as_bytes(), false)?,
            _ => raise::recover(lua, value)?,
        },
        _ => raise::recover(lua, value)?,
    };
    let table = match value {
        Value::Table(table) => table,
        value => {
            let text = [b"ERR ", &as_text(lua, &value)?[..]].concat();
            lua.create_table_from([("err", lua.create_string(text)?)])?
        }
    };
    if let Some((source, line)) = raise::origin(lua) {
        table.set("source", source)?;
        table.set("line", line)?;
    }
    Ok(Value::Table(table))
}

/// As Lua's tostring.
fn as_text(lua: &Lua, value: &Value) -> mlua::Result<Vec<u8>> {
    match value {
        Value::Nil => Ok(b"nil".to_vec()),
        Value::String(_) | Value::Integer(_) | Value::Number(_) => {
            let text = lua.coerce_string(value.clone())?;
            Ok(text.map(|text| text.as_bytes().to_vec()).unwrap_or_default())
        }
        value => Ok(value.to_string()?.into_bytes()),
    }
}
