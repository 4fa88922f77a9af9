//! The two machines: one for EVAL, one for functions, as the servers have them.

use super::prelude::{Machine, unknown_name};
use super::run::handler;
use super::to_reply::Fields;
use super::watch::Watch;
use super::wording::wording;
use super::{api, libraries};
use crate::dataset::Dialect;
use crate::resp::reply::Proto;
use mlua::{Function, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// A sealed machine.
pub(super) struct Vm {
    pub(super) machine: Machine,
    /// The table behind what scripts hold as `redis`.
    pub(super) redis: Table,
    pub(super) fields: Fields,
    pub(super) handler: Function,
    /// What redis.setresp has set in this run.
    pub(super) spoken: Rc<Cell<Proto>>,
    /// As whom the present run acts.
    pub(super) asker: api::Asker,
    /// Whose master's wording and names it has.
    pub(super) dialect: Dialect,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Eval,
    Functions,
}

impl Vm {
    /// A machine with everything that the servers of this dialect have.
    pub(super) fn new(kind: Kind, dialect: Dialect, watch: &Rc<Watch>) -> mlua::Result<Self> {
        let machine = Machine::new(watch)?;
        let lua = &machine.lua;
        libraries::open(&machine, dialect.is_valkey())?;
        let wording = wording(dialect);
        let spoken = Rc::new(Cell::new(Proto::Resp2));
        let redis = lua.create_table()?;
        let asker = api::Asker::default();
        api::fill(lua, &redis, dialect, wording, &spoken, &asker)?;
        let handler = lua.create_function(handler)?;
        machine.globals.raw_set("redis", &redis)?;
        if dialect.is_valkey() {
            machine.globals.raw_set("server", &redis)?;
        }
        if kind == Kind::Eval {
            api::fill_for_eval(lua, &redis)?;
            machine.globals.raw_set("__redis__err__handler", &handler)?;
            if dialect.is_valkey() {
                machine.globals.raw_set("__server__err__handler", &handler)?;
            }
        }
        if !dialect.has_set_listpacks() {
            // Redis 7.0 has no `os`; later ones have os.clock.
            machine.globals.raw_set("os", Value::Nil)?;
        }
        let fields = Fields::new(lua)?;
        machine.seal()?;
        Ok(Self { machine, redis, fields, handler, spoken, asker, dialect })
    }

    /// The names that a library finds while it is loaded: `redis`, which can register functions and little more.
    pub(super) fn load_names(&self, register: &Function) -> mlua::Result<Table> {
        let lua = &self.machine.lua;
        let unknown = lua.create_table_from([("__index", unknown_name(lua)?)])?;
        let redis = lua.create_table()?;
        api::log_and_version(lua, &redis, self.dialect, wording(self.dialect))?;
        redis.raw_set("register_function", register)?;
        redis.set_metatable(Some(unknown.clone()))?;
        let names = lua.create_table()?;
        let shown = self.machine.protect(&redis)?;
        names.raw_set("redis", &shown)?;
        if self.dialect.is_valkey() {
            names.raw_set("server", &shown)?;
        }
        names.set_metatable(Some(unknown))?;
        Ok(names)
    }
}
