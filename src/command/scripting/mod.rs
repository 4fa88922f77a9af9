//! Scripts and functions: what clients ask, and what the stream says of them.
//!
//! A client's script runs on a thread of its own (`script::thread`), so that workers go on; here it is only handed in
//! through the [`desk`], and the connection waits. Inside a transaction it runs at once instead.

mod applied;
pub mod cache;
pub mod desk;
pub mod flags;
mod function;
pub mod request;
mod run;
mod script;

use super::help;
use super::row::{DeclaresFn, Keys, Row, SessionFn, container, read, session, write};

/// The rows of this family.
pub static ROWS: &[Row] = &[
    caller("eval", run::eval, flags::of_eval).also_applied(applied::script),
    caller("evalsha", run::evalsha, flags::of_evalsha).also_applied(applied::script),
    caller("eval_ro", run::eval_ro, flags::of_eval),
    caller("evalsha_ro", run::evalsha_ro, flags::of_evalsha),
    caller("fcall", run::fcall, flags::of_fcall),
    caller("fcall_ro", run::fcall_ro, flags::of_fcall),
    container("script", -2),
    session("script load", 3, run::load).while_stale().also_applied(applied::cached),
    session("script flush", -2, script::flush).also_applied(applied::cached),
    session("script exists", -3, script::exists),
    session("script kill", 2, script::kill),
    session("script show", 3, script::show).while_stale(),
    session("script debug", 3, script::debug),
    session("script help", 2, help::help).always(),
    container("function", -2),
    write("function load", -3, Keys::None, applied::load).since(Some((7, 0)), Some((7, 2))),
    write("function delete", 3, Keys::None, applied::delete).since(Some((7, 0)), Some((7, 2))),
    write("function flush", -2, Keys::None, applied::flush).since(Some((7, 0)), Some((7, 2))),
    write("function restore", -3, Keys::None, applied::restore).since(Some((7, 0)), Some((7, 2))),
    session("function list", -2, run::libraries),
    read("function dump", 2, Keys::None, function::dump).samples(&["FUNCTION DUMP x"]),
    session("function stats", 2, function::stats),
    session("function kill", 2, function::kill),
    session("function help", 2, help::help).always(),
];

/// A row of EVAL's form: a count of keys at argument 2, the keys behind it. What it may do here, its flags say.
const fn caller(name: &'static str, run: SessionFn, flags: DeclaresFn) -> Row {
    session(name, -3, run).keys(Keys::Counted(2, false)).while_stale().declares(flags)
}
