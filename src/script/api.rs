//! The table `redis` (in valkey also `server`): all of it but call and pcall, which need the data of a run.

use super::raise;
use super::wording::Wording;
use crate::command::acl::{User, would_permit};
use crate::command::scripting::cache::Sha;
use crate::command::table;
use crate::dataset::Dialect;
use crate::position::DbIndex;
use crate::resp::reply::Proto;
use mlua::{Lua, LuaString, Table, Value, Variadic};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// As whom and in which database the present run began.
pub(super) type Asker = Rc<RefCell<Option<(Arc<User>, DbIndex)>>>;

/// Longest text that redis.log writes, bytes (as redis: `LOG_MAX_LEN`).
const LOG_BYTES_MAX: usize = 1024;
/// What redis.set_repl takes: to the AOF 1, to replicas 2.
const REPL_ALL: i64 = 3;

/// Puts the functions and constants of a run into `redis`.
pub(super) fn fill(
    lua: &Lua,
    redis: &Table,
    dialect: Dialect,
    wording: &'static Wording,
    spoken: &Rc<Cell<Proto>>,
    asker: &Asker,
) -> mlua::Result<()> {
    log_and_version(lua, redis, dialect, wording)?;
    let spoken = Rc::clone(spoken);
    let set_resp = lua.create_function(move |lua, args: Variadic<Value>| setresp(lua, &args, wording, &spoken))?;
    redis.raw_set("setresp", set_resp)?;
    redis.raw_set("sha1hex", lua.create_function(|lua, args: Variadic<Value>| sha1hex(lua, &args))?)?;
    redis.raw_set("error_reply", lua.create_function(|lua, args: Variadic<Value>| error_reply(lua, &args))?)?;
    redis.raw_set("status_reply", lua.create_function(|lua, args: Variadic<Value>| status_reply(lua, &args))?)?;
    redis.raw_set(
        "set_repl",
        lua.create_function(move |lua, args: Variadic<Value>| set_repl(lua, &args, wording))?,
    )?;
    let asker = Rc::clone(asker);
    let check = move |lua: &Lua, args: Variadic<Value>| acl_check_cmd(lua, &args, wording, &asker);
    redis.raw_set("acl_check_cmd", lua.create_function(check)?)?;
    for (name, value) in [("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2)] {
        redis.raw_set(name, value)?;
    }
    redis.raw_set("REPL_ALL", REPL_ALL)
}

/// What only scripts have, not functions.
pub(super) fn fill_for_eval(lua: &Lua, redis: &Table) -> mlua::Result<()> {
    redis.raw_set("breakpoint", lua.create_function(|_, ()| Ok(false))?)?;
    redis.raw_set("debug", lua.create_function(|_, _: Variadic<Value>| Ok(()))?)?;
    redis.raw_set("replicate_commands", lua.create_function(|_, _: Variadic<Value>| Ok(true))?)
}

/// redis.log, its levels, and the versions: also there while a library is loaded.
pub(super) fn log_and_version(
    lua: &Lua,
    redis: &Table,
    dialect: Dialect,
    wording: &'static Wording,
) -> mlua::Result<()> {
    redis.raw_set("log", lua.create_function(move |lua, args: Variadic<Value>| log(lua, &args, wording))?)?;
    for (level, name) in ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"].into_iter().enumerate() {
        redis.raw_set(name, level)?;
    }
    let number = |major: u8, minor: u8| (i64::from(major) << 16) | (i64::from(minor) << 8);
    match dialect {
        Dialect::Redis(major, minor) => {
            redis.raw_set("REDIS_VERSION", format!("{major}.{minor}.0"))?;
            redis.raw_set("REDIS_VERSION_NUM", number(major, minor))
        }
        // All Valkeys say so for the sake of scripts that ask.
        Dialect::Valkey(major, minor) => {
            redis.raw_set("REDIS_VERSION", "7.2.4")?;
            redis.raw_set("REDIS_VERSION_NUM", number(7, 2) | 4)?;
            redis.raw_set("VALKEY_VERSION", format!("{major}.{minor}.0"))?;
            redis.raw_set("VALKEY_VERSION_NUM", number(major, minor))?;
            redis.raw_set("SERVER_NAME", "valkey")
        }
    }
}

fn log(lua: &Lua, args: &[Value], wording: &Wording) -> mlua::Result<()> {
    let Some((level, rest)) = args.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Err(raise::line(format!("ERR {}.log() requires two arguments or more.", wording.api)));
    };
    let level = lua.coerce_number(level.clone())?;
    let level = level.ok_or_else(|| raise::line("ERR First argument must be a number (log level)."))? as i64;
    let mut text = String::new();
    for value in rest {
        if let Some(word) = lua.coerce_string(value.clone())? {
            text.push_str(if text.is_empty() { "" } else { " " });
            text.push_str(&word.to_string_lossy());
        }
        if text.len() > LOG_BYTES_MAX {
            text.truncate(text.floor_char_boundary(LOG_BYTES_MAX));
            break;
        }
    }
    match level {
        0 | 1 => tracing::debug!(target: "script", "{text}"),
        2 => tracing::info!(target: "script", "{text}"),
        3 => tracing::warn!(target: "script", "{text}"),
        _ => return Err(raise::line(wording.log_level)),
    }
    Ok(())
}

fn setresp(lua: &Lua, args: &[Value], wording: &Wording, spoken: &Cell<Proto>) -> mlua::Result<()> {
    let [version] = args else {
        return Err(raise::line(format!("ERR {}.setresp() requires one argument.", wording.api)));
    };
    spoken.set(match lua.coerce_number(version.clone())?.map(|version| version as i64) {
        Some(2) => Proto::Resp2,
        Some(3) => Proto::Resp3,
        _ => return Err(raise::line("ERR RESP version must be 2 or 3.")),
    });
    Ok(())
}

fn sha1hex(lua: &Lua, args: &[Value]) -> mlua::Result<LuaString> {
    let [value] = args else { return Err(raise::line("ERR wrong number of arguments")) };
    let text = lua.coerce_string(value.clone())?;
    let sha = text.map_or_else(|| Sha::of(b""), |text| Sha::of(&text.as_bytes()));
    lua.create_string(sha.as_bytes())
}

fn error_reply(lua: &Lua, args: &[Value]) -> mlua::Result<Value> {
    let [Value::String(text)] = args else { return wrong_arguments(lua) };
    let text = text.as_bytes();
    let text = text.split(|&c| c == 0).next().unwrap_or_default();
    let line = [if text.starts_with(b"-") { &b""[..] } else { b"-" }, text].concat();
    raise::line_table(lua, &raise::with_code(&line), false)
}

fn status_reply(lua: &Lua, args: &[Value]) -> mlua::Result<Value> {
    let [text @ Value::String(_)] = args else { return wrong_arguments(lua) };
    Ok(Value::Table(lua.create_table_from([("ok", text.clone())])?))
}

/// Answered, not raised, as the real servers do.
fn wrong_arguments(lua: &Lua) -> mlua::Result<Value> {
    raise::line_table(lua, b"ERR wrong number or type of arguments", false)
}

/// Checked and without effect: nothing that runs here is replicated.
fn set_repl(lua: &Lua, args: &[Value], wording: &Wording) -> mlua::Result<()> {
    let [flags] = args else {
        return Err(raise::line(wording.set_repl));
    };
    let flags = lua.coerce_number(flags.clone())?.unwrap_or(0.0) as i64;
    if flags & !REPL_ALL != 0 {
        let text = "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(raise::line(text));
    }
    Ok(())
}

fn acl_check_cmd(lua: &Lua, args: &[Value], wording: &'static Wording, asker: &Asker) -> mlua::Result<bool> {
    if args.is_empty() {
        return Err(raise::line(wording.no_arguments));
    }
    let mut words = Vec::new();
    for value in args {
        let word = lua.coerce_string(value.clone())?.ok_or_else(|| raise::line(wording.wrong_arguments))?;
        words.push(word.as_bytes().to_vec());
    }
    match table::find(&words[0], words.get(1).map(Vec::as_slice)) {
        Some((found, _)) => Ok(asker.borrow().as_ref().is_none_or(|(user, db)| {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            would_permit(user, found, &words, *db)
        })),
        None => Err(raise::line(format!("ERR Invalid command passed to {}.acl_check_cmd()", wording.api))),
    }
}
