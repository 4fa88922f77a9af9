//! Scripts and functions of clients: Lua 5.1 in the servers' sandbox, on a thread of its own.
//!
//! Comes in: requests from the desk (`command::scripting::desk`), `&Dataset` under one entry of the gate per script. Goes
//! out: whole replies. Commands of scripts go through the same rows as those of clients. It knows no sockets and no
//! link; built without the feature `lua` it is empty, and the desk refuses.

#[cfg(feature = "lua")]
mod api;
#[cfg(feature = "lua")]
mod call;
#[cfg(feature = "lua")]
mod engine;
#[cfg(feature = "lua")]
mod functions;
#[cfg(feature = "lua")]
mod libraries;
#[cfg(feature = "lua")]
mod machine;
#[cfg(feature = "lua")]
mod prelude;
#[cfg(feature = "lua")]
mod raise;
#[cfg(feature = "lua")]
mod run;
#[cfg(feature = "lua")]
mod thread;
#[cfg(feature = "lua")]
mod to_lua;
#[cfg(feature = "lua")]
mod to_reply;
#[cfg(feature = "lua")]
mod watch;
#[cfg(feature = "lua")]
mod wording;

#[cfg(feature = "lua")]
pub use thread::{ScriptThread, start};

#[cfg(not(feature = "lua"))]
pub use absent::{ScriptThread, start};

/// What stands here in a build without Lua.
#[cfg(not(feature = "lua"))]
mod absent {
    use crate::command::session::Server;
    use crate::dataset::gate::Reader;
    use std::sync::Arc;

    /// No thread.
    pub struct ScriptThread;

    impl ScriptThread {
        /// Nothing is to be ended.
        pub fn stop(self) {}
    }

    /// Starts nothing: the desk refuses what is handed in.
    pub fn start(_: Reader, _: Arc<Server>) -> std::io::Result<ScriptThread> {
        Ok(ScriptThread)
    }
}
