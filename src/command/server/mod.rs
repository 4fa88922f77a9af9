//! The server: settings, numbers, the catalogue of commands, debugging.

mod catalogue;
mod commandlog;
mod config;
mod debug;
mod identity;
mod info;
mod latency;
mod lolwut;
mod memory;
mod saving;
mod shutdown;

pub(super) use identity::Identity;
pub use shutdown::Shutdown;

use super::args::Args;
use super::context::SessionCx;
use super::help;
use super::row::{Keys, Row, container, read, session};
use crate::clock;
use crate::dataset::Dialect;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// The rows of this family.
pub static ROWS: &[Row] = &[
    session("bgrewriteaof", 1, saving::bgrewriteaof),
    session("bgsave", -1, saving::bgsave),
    container("command", -1).alone(catalogue::command).always(),
    session("command count", 2, catalogue::count).always(),
    session("command list", -2, catalogue::list).samples(&["COMMAND LIST FILTERBY ACLCAT STREAM"]).always(),
    session("command info", -2, catalogue::info).always(),
    session("command docs", -2, catalogue::docs).always(),
    session("command getkeys", -3, catalogue::getkeys)
        .samples(&[
            "COMMAND GETKEYS OBJECT nosuch k",
            "COMMAND GETKEYS ZDIFF 0 k",
            "COMMAND GETKEYS ZDIFFSTORE d 0 k",
            "COMMAND GETKEYS EVAL script 0",
            "COMMAND GETKEYS EVAL script 2 a b c",
        ])
        .always(),
    session("command getkeysandflags", -3, catalogue::getkeysandflags).always(),
    session("command help", 2, help::help).always(),
    container("commandlog", -2).always(),
    session("commandlog get", 4, commandlog::get).always(),
    session("commandlog len", 3, commandlog::len).always(),
    session("commandlog reset", 3, commandlog::reset).always(),
    session("commandlog help", 2, help::help).always(),
    container("config", -2).always(),
    session("config get", -3, config::get).always(),
    session("config set", -4, config::set).always().redacted(),
    session("config resetstat", 2, config::resetstat).always(),
    session("config rewrite", 2, config::rewrite).always(),
    session("config help", 2, help::help).always(),
    session("debug", -2, debug::debug).always(),
    session("info", -1, info::info).always(),
    session("lastsave", 1, saving::lastsave).always(),
    container("latency", -2).always(),
    session("latency doctor", 2, latency::doctor).always(),
    session("latency graph", 3, latency::graph).always(),
    session("latency histogram", -2, latency::histogram).always(),
    session("latency history", 3, latency::history).always(),
    session("latency latest", 2, latency::latest).always(),
    session("latency reset", -2, latency::reset).always(),
    session("latency help", 2, help::help).always(),
    session("lolwut", -1, lolwut::lolwut),
    container("memory", -2).always(),
    read("memory usage", -3, Keys::One(2), memory::usage)
        .samples(&["MEMORY USAGE missing", "MEMORY USAGE s:a SAMPLES x"]),
    session("memory stats", 2, memory::stats),
    session("memory doctor", 2, memory::doctor),
    session("memory malloc-stats", 2, memory::malloc_stats),
    session("memory purge", 2, memory::purge),
    session("memory help", 2, help::help).always(),
    container("module", -2).always(),
    session("module list", 2, module_list),
    session("module load", -3, module_load).forbidden(|| Refusal::NO_MODULES),
    session("module loadex", -3, module_load).forbidden(|| Refusal::NO_MODULES),
    session("module unload", 3, module_load).forbidden(|| Refusal::NO_MODULES),
    session("module help", 2, help::help).always(),
    session("save", 1, saving::save),
    session("shutdown", -1, shutdown::shutdown).always(),
    container("slowlog", -2).always(),
    session("slowlog get", -2, commandlog::slowest).always(),
    session("slowlog len", 2, commandlog::slow_len).always(),
    session("slowlog reset", 2, commandlog::slow_reset).always(),
    session("slowlog help", 2, help::help).always(),
    session("time", 1, time).always(),
];

/// Seconds and microseconds, as texts.
fn time(_: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let now_us = clock::unix_us();
    out.array(2);
    out.bulk_integer(now_us / 1_000_000);
    out.bulk_integer(now_us % 1_000_000);
    Ok(())
}

/// RediSearch, RedisJSON and their kin are asked for with this before they are used.
fn module_list(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    modules(cx.dialect(), out);
    Ok(())
}

/// No module is loaded. Valkey 9.1 counts what runs its scripts as one; the vector sets of Redis 8.0 are not kept here.
pub(super) fn modules(dialect: Dialect, out: &mut Reply) {
    if !dialect.has_engine_modules() || !cfg!(feature = "lua") {
        return out.array(0);
    }
    out.array(1);
    out.map(4);
    out.bulk("name");
    out.bulk("lua");
    out.bulk("ver");
    out.integer(1);
    out.bulk("path");
    out.bulk("lua");
    out.bulk("args");
    out.array(0);
}

/// The rows are refused before they run.
fn module_load(_: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    Err(Refusal::NO_MODULES)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Session as Harness;

    #[test]
    fn small_commands_answer_as_the_servers_do() {
        let mut client = Harness::new(&[]);
        assert!(client.ask("TIME").starts_with("*2\r\n$"));
        assert_eq!(client.ask("MODULE LIST"), "*0\r\n");
    }
}
