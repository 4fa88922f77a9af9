//! Section about clients.

use super::Text;
use crate::command::context::SessionCx;
use crate::command::pause::Paused;

pub(super) fn clients(cx: &SessionCx<'_>, text: &mut Text) {
    let counts = &cx.server.status.clients;
    text.field("connected_clients", cx.server.status.connected_clients());
    text.field("cluster_connections", 0);
    text.field("maxclients", cx.server.config.get().maxclients);
    text.fixed("client_recent_max_input_buffer:0 client_recent_max_output_buffer:0");
    text.field("blocked_clients", counts.blocked());
    text.field("tracking_clients", cx.server.hub.tracking_counts().clients);
    text.field("pubsub_clients", cx.server.hub.counts().subscribers);
    let watching = cx.server.clients.all().iter().filter(|client| client.watching() > 0).count();
    text.field("watching_clients", watching);
    text.fixed("clients_in_timeout_table:0");
    text.field("total_watched_keys", cx.server.watched.keys());
    text.field("total_blocking_keys", cx.server.hub.awaited_keys());
    text.fixed("total_blocking_keys_on_nokey:0");
    if cx.dialect().is_valkey() {
        paused(cx, text);
    }
}

fn paused(cx: &SessionCx<'_>, text: &mut Text) {
    let (reason, actions, rest_ms) = match cx.server.pause.rest(cx.now) {
        None | Some((Paused::Nobody, _)) => ("none", "none", 0),
        Some((Paused::Writes, rest_ms)) => ("client_pause", "write", rest_ms),
        Some((Paused::All, rest_ms)) => ("client_pause", "all", rest_ms),
    };
    text.field("paused_reason", reason);
    text.field("paused_actions", actions);
    text.field("paused_timeout_milliseconds", rest_ms);
}
