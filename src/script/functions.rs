//! Function libraries, loaded: what each registers, and what is wrong with those that cannot be loaded.

use super::engine::World;
use super::machine::{Kind, Vm};
use super::raise;
use super::watch::Watch;
use crate::command::args::Args;
use crate::command::glob;
use crate::command::scripting::desk::{Registry, Run};
use crate::command::scripting::flags::Flags;
use crate::dataset::Dataset;
use crate::dataset::functions::{Stamp, library_name};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use mlua::{Function, Lua, Table, Value, Variadic};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// Longest time that loading one library may take. Its master has loaded it within 500 ms.
const LOAD_LIMIT_MS: u64 = 5_000;

/// One function.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) flags: Flags,
    description: Option<Vec<u8>>,
}

/// What a library has registered, by name.
type Library = BTreeMap<Vec<u8>, Registered>;

/// All libraries of a dataset in a machine of their own.
pub(super) struct Loaded {
    vm: Vm,
    stamp: Stamp,
    /// By name in lower case: functions are called in either case.
    functions: HashMap<Vec<u8>, Registered>,
    /// What they call, by the same names, in the machine.
    callbacks: Table,
    libraries: BTreeMap<Vec<u8>, Result<Library, String>>,
}

impl Loaded {
    /// Loads all of them. An error is about the machine, not about a library.
    pub(super) fn load(world: World<'_>, watch: &Rc<Watch>) -> mlua::Result<Self> {
        let data = world.data;
        // Libraries are written for the master, whoever we answer as.
        let vm = Vm::new(Kind::Functions, data.limits.dialect, watch)?;
        let open: Rc<RefCell<Library>> = Rc::default();
        let callbacks = vm.machine.lua.create_table()?;
        let (registering, calling) = (Rc::clone(&open), callbacks.clone());
        let register = vm.machine.lua.create_function(move |lua, args: Variadic<Value>| {
            let (name, callback, function) = read_registration(lua, &args)?;
            let key = lua.create_string(name.to_ascii_lowercase())?;
            register(&mut registering.borrow_mut(), name, function)?;
            calling.raw_set(key, callback)
        })?;
        let names = vm.load_names(&register)?;
        vm.machine.names.raw_set("__index", names)?;
        let (functions, libraries) = (HashMap::new(), BTreeMap::new());
        let mut loaded = Self { stamp: data.functions.stamp(), functions, callbacks, libraries, vm };
        for (name, source) in data.functions.iter() {
            let outcome = loaded.load_one(world, watch, name, source, &open);
            if let Err(complaint) = &outcome {
                let library = String::from_utf8_lossy(name);
                tracing::warn!(%library, %complaint, "a function library of the master cannot be loaded here");
            }
            let registered = open.take();
            let outcome = outcome.map(|()| registered);
            if let Ok(library) = &outcome {
                let functions = library.iter().map(|(name, found)| (name.to_ascii_lowercase(), found.clone()));
                loaded.functions.extend(functions);
            }
            loaded.libraries.insert(name.to_vec(), outcome);
        }
        loaded.vm.machine.names.raw_set("__index", &loaded.vm.machine.globals)?;
        Ok(loaded)
    }

    fn load_one(
        &self,
        world: World<'_>,
        watch: &Watch,
        name: &[u8],
        source: &[u8],
        open: &RefCell<Library>,
    ) -> Result<(), String> {
        let start = source.iter().position(|&c| c == b'\n').unwrap_or(source.len());
        if library_name(source).is_none() {
            return Err("ERR Missing library metadata".into());
        }
        let main = self.vm.machine.compile(&source[start..], "@user_function").map_err(|complaint| {
            format!("ERR Error compiling function: {}", String::from_utf8_lossy(&complaint))
        })?;
        let run = std::sync::Arc::new(Run::loading(name.to_vec()));
        watch.begin(run, LOAD_LIMIT_MS, world.dialect().is_valkey());
        let outcome = self.vm.machine.xpcall.call::<(bool, Value)>((main, &self.vm.handler));
        watch.end();
        let complaint = match outcome {
            Ok((true, _)) if open.borrow().is_empty() => return Err("ERR No functions registered".into()),
            Ok((true, _)) => return Ok(()),
            Ok((false, Value::Table(table))) => {
                table.get::<mlua::LuaString>("err").map(|text| text.to_string_lossy()).unwrap_or_default()
            }
            Ok((false, value)) => format!("ERR {}", value.to_string().unwrap_or_default()),
            Err(error) => format!("ERR {}", raise::foreign_text(&error)),
        };
        Err(format!("ERR Error registering functions: {complaint}"))
    }

    /// The function of this name. Where there is none and a library could not be loaded, the refusal says so.
    pub(super) fn find(&self, name: &[u8]) -> Result<&Registered, Refusal> {
        self.functions.get(&name.to_ascii_lowercase()).ok_or_else(|| {
            let broken =
                self.libraries.iter().find_map(|(library, loaded)| Some((library, loaded.as_ref().err()?)));
            match broken {
                None => Refusal::text("ERR Function not found"),
                Some((library, complaint)) => {
                    let library = String::from_utf8_lossy(library);
                    Refusal::text(format!(
                        "ERR Function not found; library '{library}' could not be loaded: {complaint}"
                    ))
                }
            }
        })
    }

    /// What they declare, for those who must know before one is called.
    pub(super) fn registry(&self) -> Registry {
        let flags = self.functions.iter().map(|(name, function)| (name.clone(), function.flags)).collect();
        Registry { stamp: self.stamp, dialect: self.vm.dialect, flags }
    }

    /// What the function of this name calls.
    pub(super) fn callback(&self, name: &[u8]) -> mlua::Result<Function> {
        self.callbacks.raw_get(self.vm.machine.lua.create_string(name.to_ascii_lowercase())?)
    }

    /// Of which state of the dataset's libraries this is.
    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The machine that holds them.
    pub(super) fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Number of functions.
    pub(super) fn count(&self) -> usize {
        self.functions.len()
    }

    /// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`
    pub(super) fn list(&self, data: &Dataset, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
        let (mut with_code, mut pattern) = (false, None);
        while let Some(word) = args.peek() {
            if !with_code && args.take("WITHCODE") {
                with_code = true;
            } else if pattern.is_none() && args.take("LIBRARYNAME") {
                let missing = Refusal::text("ERR library name argument was not given");
                pattern = Some(args.optional().ok_or(missing)?);
            } else {
                return Err(Refusal::text(format!("ERR Unknown argument {}", String::from_utf8_lossy(word))));
            }
        }
        let chosen = data.functions.iter().filter(|(name, _)| {
            pattern.is_none_or(|pattern| glob::matches(&pattern.to_ascii_lowercase(), &name.to_ascii_lowercase()))
        });
        let chosen: Vec<_> = chosen.collect();
        out.array(chosen.len());
        for (name, source) in chosen {
            self.describe(name, source, with_code, out);
        }
        Ok(())
    }

    fn describe(&self, name: &[u8], source: &[u8], with_code: bool, out: &mut Reply) {
        out.map(if with_code { 4 } else { 3 });
        out.bulk("library_name");
        out.bulk(name);
        out.bulk("engine");
        out.bulk("LUA");
        out.bulk("functions");
        let empty = Library::new();
        let library = self.libraries.get(name).and_then(|loaded| loaded.as_ref().ok()).unwrap_or(&empty);
        out.array(library.len());
        for (name, function) in library {
            out.map(3);
            out.bulk("name");
            out.bulk(name);
            out.bulk("description");
            match &function.description {
                Some(text) => out.bulk(text),
                None => out.null(),
            }
            out.bulk("flags");
            out.set(function.flags.names().count());
            function.flags.names().for_each(|flag| out.simple(flag));
        }
        if with_code {
            out.bulk("library_code");
            out.bulk(source);
        }
    }
}

fn register(library: &mut Library, name: Vec<u8>, function: Registered) -> mlua::Result<()> {
    let fits = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_';
    if name.is_empty() || !name.iter().all(fits) {
        return Err(raise::line(
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one \
             character long",
        ));
    }
    if library.keys().any(|known| known.eq_ignore_ascii_case(&name)) {
        return Err(raise::line("ERR Function already exists in the library"));
    }
    library.insert(name, function);
    Ok(())
}

/// A name, what is called, and what is declared.
type Registration = (Vec<u8>, Function, Registered);

/// The arguments of redis.register_function, in either form.
fn read_registration(lua: &Lua, args: &[Value]) -> mlua::Result<Registration> {
    match args {
        [Value::Table(named)] => read_named(lua, named),
        [_] => Err(raise::line(
            "ERR calling redis.register_function with a single argument is only applicable to Lua table \
             (representing named arguments).",
        )),
        [name, callback] => {
            let name = text(lua, name)?
                .ok_or_else(|| raise::line("ERR first argument to redis.register_function must be a string"))?;
            let Value::Function(callback) = callback else {
                return Err(raise::line("ERR second argument to redis.register_function must be a function"));
            };
            Ok((name, callback.clone(), Registered { flags: Flags::default(), description: None }))
        }
        _ => Err(raise::line("ERR wrong number of arguments to redis.register_function")),
    }
}

fn read_named(lua: &Lua, named: &Table) -> mlua::Result<Registration> {
    let (mut name, mut callback, mut description, mut flags) = (None, None, None, Flags::default());
    named.for_each(|key: Value, value: Value| {
        let key = text(lua, &key)?.ok_or_else(|| {
            raise::line("ERR named argument key given to redis.register_function is not a string")
        })?;
        let text_wanted = |what: &str| {
            let complaint = format!("ERR {what} argument given to redis.register_function must be a string");
            text(lua, &value)?.ok_or_else(|| raise::line(complaint))
        };
        match key.to_ascii_lowercase().as_slice() {
            b"function_name" => name = Some(text_wanted("function_name")?),
            b"description" => description = Some(text_wanted("description")?),
            b"callback" => match &value {
                Value::Function(function) => callback = Some(function.clone()),
                _ => {
                    return Err(raise::line(
                        "ERR callback argument given to redis.register_function must be a function",
                    ));
                }
            },
            b"flags" => flags = read_flags(lua, &value)?,
            _ => return Err(raise::line("ERR unknown argument given to redis.register_function")),
        }
        Ok(())
    })?;
    let name = name.ok_or_else(|| raise::line("ERR redis.register_function must get a function name argument"))?;
    let callback =
        callback.ok_or_else(|| raise::line("ERR redis.register_function must get a callback argument"))?;
    Ok((name, callback, Registered { flags, description }))
}

fn read_flags(lua: &Lua, value: &Value) -> mlua::Result<Flags> {
    let Value::Table(list) = value else {
        return Err(raise::line(
            "ERR flags argument to redis.register_function must be a table representing function flags",
        ));
    };
    let mut flags = Flags::default();
    for at in 1_i64.. {
        let item: Value = list.get(at)?;
        if item.is_nil() {
            break;
        }
        let known = text(lua, &item)?.is_some_and(|name| flags.add(&name.to_ascii_lowercase()));
        if !known {
            return Err(raise::line("ERR unknown flag given"));
        }
    }
    Ok(flags)
}

/// The bytes of a string or number.
fn text(lua: &Lua, value: &Value) -> mlua::Result<Option<Vec<u8>>> {
    match value {
        Value::String(_) | Value::Integer(_) | Value::Number(_) => {
            Ok(lua.coerce_string(value.clone())?.map(|text| text.as_bytes().to_vec()))
        }
        _ => Ok(None),
    }
}
