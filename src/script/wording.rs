//! Texts in which the two families differ.

use crate::dataset::Dialect;

/// The words of one family.
#[derive(Debug)]
pub(super) struct Wording {
    pub(super) unknown: &'static str,
    pub(super) arity: &'static str,
    pub(super) not_allowed: &'static str,
    pub(super) no_arguments: &'static str,
    pub(super) wrong_arguments: &'static str,
    /// What stands before a function's name: `redis.log()`.
    pub(super) api: &'static str,
    /// Does the end of an error line name the script or function?
    pub(super) names_the_script: bool,
    pub(super) no_script: &'static str,
    pub(super) log_level: &'static str,
    pub(super) set_repl: &'static str,
}

static REDIS_7_0: Wording = Wording {
    log_level: "ERR Invalid debug level.",
    set_repl: "ERR redis.set_repl() requires two arguments.",
    ..REDIS
};

const REDIS: Wording = Wording {
    unknown: "ERR Unknown Redis command called from script",
    arity: "ERR Wrong number of args calling Redis command from script",
    not_allowed: "ERR This Redis command is not allowed from script",
    no_arguments: "ERR Please specify at least one argument for this redis lib call",
    wrong_arguments: "ERR Lua redis lib command arguments must be strings or integers",
    api: "redis",
    names_the_script: true,
    no_script: "NOSCRIPT No matching script. Please use EVAL.",
    log_level: "ERR Invalid log level.",
    set_repl: "ERR redis.set_repl() requires one argument.",
};

static REDIS_LATER: Wording = REDIS;

static VALKEY: Wording = Wording {
    unknown: "ERR Unknown command called from script",
    arity: "ERR Wrong number of args calling command from script",
    not_allowed: "ERR This Valkey command is not allowed from script",
    no_arguments: "ERR Please specify at least one argument for this call",
    wrong_arguments: "ERR Command arguments must be strings or integers",
    api: "server",
    names_the_script: false,
    no_script: "NOSCRIPT No matching script.",
    log_level: "ERR Invalid log level.",
    set_repl: "ERR server.set_repl() requires one argument.",
};

/// The words of the master's family.
pub(super) fn wording(dialect: Dialect) -> &'static Wording {
    match dialect {
        Dialect::Valkey(..) => &VALKEY,
        dialect if !dialect.has_set_listpacks() => &REDIS_7_0,
        Dialect::Redis(..) => &REDIS_LATER,
    }
}
