//! Section of counters and rates.

use super::Text;
use crate::command::acl::Reason;
use crate::command::context::SessionCx;

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
    text.field("instantaneous_input_kbps", kbps(rates.net_in + rates.repl_in));
    text.field("instantaneous_output_kbps", kbps(rates.net_out));
    text.field("instantaneous_input_repl_kbps", kbps(rates.repl_in));
    text.field("instantaneous_output_repl_kbps", "0.00");
    text.field("rejected_connections", counts.rejected);
    text.field("sync_full", counts.syncs_full);
    text.field("sync_partial_ok", counts.syncs_partial);
    text.field("sync_partial_err", counts.syncs_refused);
    text.fixed(
        "expired_subkeys:0 expired_keys:0 expired_stale_perc:0.00 \
         expired_time_cap_reached_count:0 expire_cycle_cpu_milliseconds:0 evicted_keys:0",
    );
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
    text.fixed("dump_payload_sanitizations:0 client_query_buffer_limit_disconnections:0");
    text.field("client_output_buffer_limit_disconnections", counts.cut);
    let denied = |reason| cx.server.users.log.count(reason);
    text.field("acl_access_denied_auth", denied(Reason::Auth));
    text.field("acl_access_denied_cmd", denied(Reason::Command));
    text.field("acl_access_denied_key", denied(Reason::Key));
    text.field("acl_access_denied_channel", denied(Reason::Channel));
    if cx.dialect().has_database_rules() {
        text.field("acl_access_denied_db", denied(Reason::Database));
    }
}
