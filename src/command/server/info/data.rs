//! Sections about the data: persistence (loading, and our own snapshot), keyspace.

use super::Text;
use crate::command::context::SessionCx;
use crate::dataset::Dialect;
use crate::status::{LinkPhase, Restore, SaveStatus, Status};

/// `loading` is 1 until the first snapshot is in place: clients such as ioredis wait for it, and reads answer LOADING.
/// Later snapshots are loaded beside the data that is served: `async_loading`.
pub(super) fn persistence(cx: &SessionCx<'_>, text: &mut Text) {
    let status = &cx.server.status;
    let loaded = status.is_loaded();
    let syncing = status.link.phase() == LinkPhase::Sync;
    text.field("loading", u8::from(!loaded));
    text.field("async_loading", u8::from(loaded && syncing));
    saves(cx, status, text);
    text.field("rdb_last_load_keys_loaded", status.link.sync().keys);
    text.fixed(
        "aof_enabled:0 aof_rewrite_in_progress:0 aof_rewrite_scheduled:0 aof_last_rewrite_time_sec:-1 \
         aof_current_rewrite_time_sec:-1 aof_last_bgrewrite_status:ok aof_rewrites:0 \
         aof_rewrites_consecutive_failures:0 aof_last_write_status:ok aof_last_cow_size:0 module_fork_in_progress:0 \
         module_fork_last_cow_size:0",
    );
    if cx.dialect().is_valkey() {
        text.field("slot_migration_fork_in_progress", 0);
    }
    restore(&status.saves, text);
    if !loaded {
        loading(cx, text);
    }
}

fn saves(cx: &SessionCx<'_>, status: &Status, text: &mut Text) {
    let saves = &status.saves;
    let seconds = |time: Option<i64>| time.map_or(-1, |ms| ms / 1000);
    let (done, total) = saves.progress();
    text.fixed("current_cow_peak:0 current_cow_size:0 current_cow_size_age:0 current_fork_perc:0.00");
    text.field("current_save_keys_processed", done);
    text.field("current_save_keys_total", total);
    text.field("rdb_changes_since_last_save", saves.changes(status.link.applied_commands()));
    text.field("rdb_bgsave_in_progress", u8::from(saves.is_running()));
    text.field("rdb_last_save_time", saves.last_at().unwrap_or(status.started).0 / 1000);
    text.field("rdb_last_bgsave_status", if saves.last_failed() { "err" } else { "ok" });
    text.field("rdb_last_bgsave_time_sec", saves.last_took().map_or(-1, |took| took.as_secs().cast_signed()));
    text.field("rdb_current_bgsave_time_sec", seconds(saves.running_since().map(|began| cx.now.0 - began.0)));
    text.field("rdb_saves", status.counts().saves);
    text.fixed("rdb_last_cow_size:0 rdb_last_load_keys_expired:0");
}

/// What became of the file of the last run: a field of our own.
fn restore(saves: &SaveStatus, text: &mut Text) {
    match saves.restore() {
        Restore::None => text.field("remora_restore_status", "none"),
        Restore::Loading => text.field("remora_restore_status", "loading"),
        Restore::Done => text.field("remora_restore_status", "ok"),
        Restore::Refused(why) => {
            text.field("remora_restore_status", "err");
            text.field("remora_restore_error", why);
        }
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
        let (keys, expires, hashes) = (keyspace.len(), keyspace.expires(), keyspace.expiring_hashes());
        let mut value = format!("keys={keys},expires={expires},avg_ttl=0");
        // Hashes that have fields which expire.
        match cx.dialect() {
            Dialect::Redis(..) if cx.dialect().has_field_expiry() => value += &format!(",subexpiry={hashes}"),
            Dialect::Valkey(9.., _) => value += &format!(",keys_with_volatile_items={hashes}"),
            _ => {}
        }
        text.field(&format!("db{}", index.0), value);
    }
}
