//! Sections about what runs scripts: a module and an engine, as Valkey 9.1 sees them.

use super::Text;
use crate::command::context::SessionCx;
use std::sync::atomic::Ordering::Relaxed;

/// Redis 8.0 has its vector sets here, which remora does not keep.
pub(super) fn modules(cx: &SessionCx<'_>, text: &mut Text) {
    if cx.dialect().has_engine_modules() && cfg!(feature = "lua") {
        text.field(
            "module",
            "name=lua,ver=1,api=1,filters=0,usedby=[],using=[],options=[handle-repl-async-load|\
             handle-atomic-slot-migration]",
        );
    }
}

/// The machines' memory is all that an engine takes.
pub(super) fn engines(cx: &SessionCx<'_>, text: &mut Text) {
    let figures = &cx.server.scripts.figures;
    let used = figures.eval_bytes.load(Relaxed) + figures.functions_bytes.load(Relaxed);
    text.field("engines_count", u8::from(cfg!(feature = "lua")));
    text.field("engines_total_used_memory", used);
    text.field("engines_total_memory_overhead", 0);
    if cfg!(feature = "lua") {
        // 4: what an engine of Valkey 9.1 must be able to do.
        let engine = format_args!("name=LUA,module=lua,abi_version=4,used_memory={used},memory_overhead=0");
        text.field("engine_0", engine);
    }
}
