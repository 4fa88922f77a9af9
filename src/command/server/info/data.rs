//! Sections about the data: persistence (of which there is loading only), keyspace.

use super::Text;
use crate::command::context::SessionCx;
use crate::status::LinkPhase;

/// `loading` is 1 until the first snapshot is in place: clients such as ioredis wait for it, and reads answer LOADING.
/// Later snapshots are loaded beside the data that is served: `async_loading`.
pub(super) fn persistence(cx: &SessionCx<'_>, text: &mut Text) {
    let status = &cx.server.status;
    let loaded = status.is_loaded();
    let syncing = status.link.phase() == LinkPhase::Sync;
    text.field("loading", u8::from(!loaded));
    text.field("async_loading", u8::from(loaded && syncing));
    text.fixed(
        "current_cow_peak:0 current_cow_size:0 current_cow_size_age:0 current_fork_perc:0.00 \
         current_save_keys_processed:0 current_save_keys_total:0 rdb_changes_since_last_save:0 rdb_bgsave_in_progress:0",
    );
    text.field("rdb_last_save_time", status.started.0 / 1000);
    text.fixed(
        "rdb_last_bgsave_status:ok rdb_last_bgsave_time_sec:-1 rdb_current_bgsave_time_sec:-1 rdb_saves:0 \
         rdb_last_cow_size:0 rdb_last_load_keys_expired:0",
    );
    text.field("rdb_last_load_keys_loaded", status.link.sync().keys);
    text.fixed(
        "aof_enabled:0 aof_rewrite_in_progress:0 aof_rewrite_scheduled:0 aof_last_rewrite_time_sec:-1 \
         aof_current_rewrite_time_sec:-1 aof_last_bgrewrite_status:ok aof_rewrites:0 \
         aof_rewrites_consecutive_failures:0 aof_last_write_status:ok aof_last_cow_size:0 module_fork_in_progress:0 \
         module_fork_last_cow_size:0",
    );
    if !loaded {
        loading(cx, text);
    }
}

fn loading(cx: &SessionCx<'_>, text: &mut Text) {
    let sync = cx.server.status.link.sync();
    let started = sync.started.unwrap_or(cx.server.status.started);
    let elapsed_s = (cx.now.0 - started.0).max(0) as f64 / 1000.0;
    let total = sync.total_bytes.unwrap_or(0).max(sync.loaded_bytes);
    let eta_s = match sync.loaded_bytes {
        // Nothing to reckon from: a second, so that clients ask again soon.
        0 => 1.0,
        loaded => elapsed_s * (total - loaded) as f64 / loaded as f64,
    };
    let perc = if total == 0 { 0.0 } else { sync.loaded_bytes as f64 * 100.0 / total as f64 };
    text.field("loading_start_time", started.0 / 1000);
    text.field("loading_total_bytes", total);
    text.field("loading_rdb_used_mem", 0);
    text.field("loading_loaded_bytes", sync.loaded_bytes);
    text.field("loading_loaded_perc", format_args!("{perc:.2}"));
    text.field("loading_eta_seconds", eta_s.ceil());
}

/// Logically expired keys count until the master deletes them, as on a real replica.
pub(super) fn keyspace(cx: &SessionCx<'_>, text: &mut Text) {
    for (index, keyspace) in cx.data.dbs().filter(|(_, keyspace)| !keyspace.is_empty()) {
        let value = format_args!("keys={},expires={},avg_ttl=0", keyspace.len(), keyspace.expires()).to_string();
        text.field(&format!("db{}", index.0), value);
    }
}
