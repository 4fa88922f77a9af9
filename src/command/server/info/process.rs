//! Sections about the process: server, memory, cpu.

use super::{Text, human};
use crate::clock;
use crate::command::context::SessionCx;
use crate::command::server::Identity;
use crate::command::server::memory::{Figures, difference, ratio};
use crate::config::Config;
use crate::process;
use std::sync::atomic::Ordering::Relaxed;

const SECONDS_PER_DAY: i64 = 86_400;

pub(super) fn server(cx: &SessionCx<'_>, text: &mut Text) {
    let status = &cx.server.status;
    let config = cx.server.config.get();
    let identity = Identity::of(cx.dialect());
    let uptime_s = (cx.now.0 - status.started.0).max(0) / 1000;
    text.field("redis_version", &identity.redis_version);
    if identity.server == "valkey" {
        text.field("server_name", "valkey");
        text.field("valkey_version", &identity.version);
        text.field("valkey_release_stage", "ga");
    }
    text.field("remora_version", env!("CARGO_PKG_VERSION"));
    let valkey = cx.dialect().is_valkey();
    text.fixed("redis_git_sha1:00000000 redis_git_dirty:0 redis_build_id:0");
    text.field(if valkey { "server_mode" } else { "redis_mode" }, "standalone");
    text.field("os", process::os());
    text.field("arch_bits", usize::BITS);
    text.field("monotonic_clock", "POSIX clock_gettime");
    text.field("multiplexing_api", "epoll");
    if !valkey {
        text.field("atomicvar_api", "rust-atomics");
    }
    text.field("gcc_version", "0.0.0");
    text.field("process_id", std::process::id());
    text.field("process_supervised", "no");
    text.field("run_id", &status.run_id);
    text.field("tcp_port", if config.port == 0 { config.tls.port } else { config.port });
    text.field("server_time_usec", clock::unix_us());
    text.field("uptime_in_seconds", uptime_s);
    text.field("uptime_in_days", uptime_s / SECONDS_PER_DAY);
    text.fixed("hz:10 configured_hz:10");
    text.field("lru_clock", (cx.now.0 / 1000) & 0xff_ffff);
    let executable = std::env::current_exe().unwrap_or_default();
    text.field("executable", executable.display());
    let file = cx.server.config.get().config_file.clone().unwrap_or_default();
    text.field("config_file", file.display());
    text.field("io_threads_active", u8::from(config.io_threads > 1));
    if valkey {
        // A word for operators to set; there is no setting for it here.
        text.field("availability_zone", "");
    }
    listeners(&config, text);
}

/// Each kind has its number, as with redis 8.0.
fn listeners(config: &Config, text: &mut Text) {
    let binds: String = config.bind.iter().map(|bind| format!("bind={bind},")).collect();
    if config.port != 0 && !config.bind.is_empty() {
        text.field("listener0", format_args!("name=tcp,{binds}port={}", config.port));
    }
    if let Some(path) = &config.unixsocket {
        text.field("listener1", format_args!("name=unix,bind={}", path.display()));
    }
    if config.tls.port != 0 && !config.bind.is_empty() {
        text.field("listener2", format_args!("name=tls,{binds}port={}", config.tls.port));
    }
}

/// What scripts and functions take: the two Lua machines, the sources of scripts, those of libraries.
fn scripts(cx: &SessionCx<'_>, text: &mut Text) {
    let scripts = &cx.server.scripts;
    let (eval, functions) =
        (scripts.figures.eval_bytes.load(Relaxed), scripts.figures.functions_bytes.load(Relaxed));
    let (cached, sources) = {
        let cache = scripts.cache();
        (cache.len(), cache.bytes())
    };
    let libraries: usize = cx.data.functions.iter().map(|(name, source)| name.len() + source.len()).sum();
    text.field("used_memory_lua", eval);
    text.field("used_memory_vm_eval", eval);
    text.field("used_memory_lua_human", human(eval as u64));
    text.field("used_memory_scripts_eval", sources);
    let before_7 = cx.dialect().is_before_redis_7();
    if before_7 {
        text.size("used_memory_scripts", sources + libraries);
    }
    text.field("number_of_cached_scripts", cached);
    text.field("number_of_functions", scripts.figures.functions.load(Relaxed));
    text.field("number_of_libraries", cx.data.functions.len());
    text.field("used_memory_vm_functions", functions);
    text.size("used_memory_vm_total", eval + functions);
    text.field("used_memory_functions", libraries);
    if !before_7 {
        text.size("used_memory_scripts", sources + libraries);
    }
}

pub(super) fn memory(cx: &SessionCx<'_>, text: &mut Text) {
    let figures = Figures::of(cx);
    let valkey = cx.dialect().is_valkey();
    let memory = &figures.allocator;
    let (used, resident) = (memory.allocated, figures.resident);
    let machine = usize::try_from(process::machine_bytes()).unwrap_or(usize::MAX);
    text.size("used_memory", used);
    text.size("used_memory_rss", resident);
    text.size("used_memory_peak", figures.peak);
    text.field("used_memory_peak_perc", format_args!("{:.2}%", figures.peak_percent()));
    text.field("used_memory_overhead", figures.overhead());
    text.field("used_memory_startup", figures.startup);
    text.field("used_memory_dataset", figures.dataset());
    text.field("used_memory_dataset_perc", format_args!("{:.2}%", figures.dataset_percent()));
    text.field("allocator_allocated", used);
    text.field("allocator_active", memory.active);
    text.field("allocator_resident", memory.resident);
    text.field("allocator_muzzy", 0);
    text.size("total_system_memory", machine);
    scripts(cx, text);
    text.fixed("maxmemory:0 maxmemory_human:0B");
    text.field("maxmemory_policy", cx.server.config.get().uses.policy.as_str());
    overhead(text, "allocator_frag", memory.active, used);
    overhead(text, "allocator_rss", memory.resident, memory.active);
    overhead(text, "rss_overhead", resident, memory.resident);
    text.field("mem_fragmentation_ratio", format_args!("{:.2}", ratio(resident, used)));
    text.field("mem_fragmentation_bytes", difference(resident, used));
    text.field("mem_not_counted_for_evict", 0);
    text.field("mem_replication_backlog", figures.backlog);
    // Sub-replicas are fed from the backlog, there is no buffer beside it.
    text.field("mem_total_replication_buffers", figures.backlog);
    text.field(if valkey { "mem_replicas_repl_buffer" } else { "mem_replica_full_sync_buffer" }, 0);
    text.field("mem_clients_slaves", figures.sub_replicas);
    text.field("mem_clients_normal", figures.clients);
    text.field("mem_cluster_links", 0);
    if valkey {
        text.fixed("mem_cluster_slot_import:0 mem_cluster_slot_export:0");
    }
    text.fixed(
        "mem_aof_buffer:0 mem_allocator:jemalloc-5.3.1 mem_overhead_db_hashtable_rehashing:0 \
         active_defrag_running:0 lazyfree_pending_objects:0 lazyfreed_objects:0",
    );
}

/// `name_ratio` and `name_bytes`: how much more `whole` is than `part`.
fn overhead(text: &mut Text, name: &str, whole: usize, part: usize) {
    text.field(&format!("{name}_ratio"), format_args!("{:.2}", ratio(whole, part)));
    text.field(&format!("{name}_bytes"), difference(whole, part));
}

pub(super) fn cpu(_: &SessionCx<'_>, text: &mut Text) {
    let time = process::cpu_time();
    text.field("used_cpu_sys", format_args!("{:.6}", time.system_s));
    text.field("used_cpu_user", format_args!("{:.6}", time.user_s));
    text.fixed("used_cpu_sys_children:0.000000 used_cpu_user_children:0.000000");
}
