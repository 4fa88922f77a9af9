//! Section of counters and rates.

use super::Text;
use crate::command::acl::Reason;
use crate::command::context::SessionCx;
use crate::status::ThreadTotals;

pub(super) fn stats(cx: &SessionCx<'_>, text: &mut Text) {
    let status = &cx.server.status;
    let (totals, rates) = (status.totals(), status.rates());
    let counts = status.counts();
    let kbps = |rate: f64| format!("{:.2}", rate / 1024.0);
    text.field("total_connections_received", counts.accepted);
    text.field("total_commands_processed", totals.commands_processed());
    text.field("instantaneous_ops_per_sec", rates.ops.round());
    text.field("total_net_input_bytes", totals.net_in + counts.link_in);
    text.field("total_net_output_bytes", totals.net_out + counts.link_out + counts.downstream_out);
    text.field("total_net_repl_input_bytes", counts.link_in);
    text.field("total_net_repl_output_bytes", counts.downstream_out);
    if cx.dialect().is_valkey() {
        text.fixed("total_net_cluster_slot_import_bytes:0 total_net_cluster_slot_export_bytes:0");
    }
    text.field("instantaneous_input_kbps", kbps(rates.net_in + rates.repl_in));
    text.field("instantaneous_output_kbps", kbps(rates.net_out));
    text.field("instantaneous_input_repl_kbps", kbps(rates.repl_in));
    text.field("instantaneous_output_repl_kbps", "0.00");
    text.field("rejected_connections", counts.rejected);
    text.field("sync_full", counts.syncs_full);
    text.field("sync_partial_ok", counts.syncs_partial);
    text.field("sync_partial_err", counts.syncs_refused);
    // Only the master lets keys expire.
    text.fixed(if cx.dialect().is_valkey() {
        "expired_keys:0 expired_fields:0 expired_stale_perc:0.00 expired_keys_with_volatile_items_stale_perc:0.00"
    } else {
        "expired_subkeys:0 expired_keys:0 expired_stale_perc:0.00"
    });
    text.fixed("expired_time_cap_reached_count:0 expire_cycle_cpu_milliseconds:0 evicted_keys:0");
    text.field("evicted_clients", 0);
    text.field("evicted_scripts", cx.server.scripts.cache().evicted());
    text.fixed("total_eviction_exceeded_time:0 current_eviction_exceeded_time:0");
    text.field("keyspace_hits", totals.hits);
    text.field("keyspace_misses", totals.misses);
    let listened = cx.server.hub.counts();
    text.field("pubsub_channels", listened.channels);
    text.field("pubsub_patterns", listened.patterns);
    text.field("pubsubshard_channels", listened.shard_channels);
    text.fixed(
        "latest_fork_usec:0 total_forks:0 \
         migrate_cached_sockets:0 slave_expires_tracked_keys:0 active_defrag_hits:0 active_defrag_misses:0 \
         active_defrag_key_hits:0 active_defrag_key_misses:0 total_active_defrag_time:0 \
         current_active_defrag_time:0 ",
    );
    let tracked = cx.server.hub.tracking_counts();
    text.field("tracking_total_keys", tracked.keys);
    text.field("tracking_total_items", tracked.items);
    text.field("tracking_total_prefixes", tracked.prefixes);
    text.fixed("unexpected_error_replies:0");
    text.field("total_error_replies", totals.error_replies());
    text.field("dump_payload_sanitizations", 0);
    threads(cx, &totals.threads, text);
    text.field("client_query_buffer_limit_disconnections", 0);
    text.field("client_output_buffer_limit_disconnections", counts.cut);
    // A turn of a worker is a turn of its runtime, which counts them and its time anyway.
    text.field("eventloop_cycles", totals.turns());
    text.field("eventloop_duration_sum", totals.busy_usec());
    text.field("eventloop_duration_cmd_sum", totals.commands_usec());
    text.field("instantaneous_eventloop_cycles_per_sec", rates.turns.round());
    text.field("instantaneous_eventloop_duration_usec", rates.turn_usec.round());
    let denied = |reason| cx.server.users.log.count(reason);
    text.field("acl_access_denied_auth", denied(Reason::Auth));
    text.field("acl_access_denied_cmd", denied(Reason::Command));
    text.field("acl_access_denied_key", denied(Reason::Key));
    text.field("acl_access_denied_channel", denied(Reason::Channel));
    if cx.dialect().is_valkey() {
        // Nobody logs in by a certificate here.
        text.field("acl_access_denied_tls_cert", 0);
        text.field("acl_access_denied_db", denied(Reason::Database));
    }
}

/// Reads and writes of all workers, and of those beside the first, which are the threaded ones.
fn threads(cx: &SessionCx<'_>, threads: &[ThreadTotals], text: &mut Text) {
    let sum = |count: fn(&ThreadTotals) -> u64, skip| threads.iter().skip(skip).map(count).sum::<u64>();
    text.field("total_reads_processed", sum(|thread| thread.reads, 0));
    text.field("total_writes_processed", sum(|thread| thread.writes, 0));
    text.field("io_threaded_reads_processed", sum(|thread| thread.reads, 1));
    text.field("io_threaded_writes_processed", sum(|thread| thread.writes, 1));
    if cx.dialect().is_valkey() {
        // Workers hand each other no work: they free, accept, poll and look up for themselves.
        text.fixed(
            "io_threaded_freed_objects:0 io_threaded_accept_processed:0 io_threaded_poll_processed:0 \
             io_threaded_total_prefetch_batches:0 io_threaded_total_prefetch_entries:0",
        );
    }
}
