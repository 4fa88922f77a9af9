//! Section of what no real server has: how the copy stands.

use super::Text;
use crate::clock;
use crate::command::context::SessionCx;
use crate::status::Stale;

pub(super) fn remora(cx: &SessionCx<'_>, text: &mut Text) {
    let status = &cx.server.status;
    let link = &status.link;
    let received = link.received().0.max(cx.data.position.offset.0);
    text.field("remora_link_phase", link.phase().as_str());
    text.field("remora_link_last_error", link.last_error().unwrap_or_default());
    text.field("remora_loaded", u8::from(status.is_loaded()));
    text.field("remora_caught_up_once", u8::from(status.is_caught_up()));
    let lag = status.lag(clock::instant(), cx.now);
    text.field("remora_staleness_ms", lag.staleness_ms());
    text.field("remora_staleness_source", lag.source.as_str());
    text.field("remora_lag_bytes", lag.bytes);
    text.field("remora_lag_probe_error", status.freshness.error().unwrap_or_default());
    text.field("remora_max_lag_exceeded", status.lag_exceeded().map_or("", Stale::setting));
    text.field("remora_unapplied_bytes", received - cx.data.position.offset.0);
    text.field("remora_acked_offset", link.acked());
    text.field("remora_applied_commands", link.applied_commands());
    text.field("remora_apply_errors", link.apply_errors.total());
    text.field("remora_full_syncs", link.full_syncs.total());
    text.field("remora_partial_syncs", link.partial_syncs.of("ok"));
    text.field("remora_disconnects", link.disconnects.total());
    text.field("remora_marked_keys", status.marked_keys());
    text.field("remora_diverged", u8::from(status.diverged().is_some()));
    text.field("remora_diverged_reason", status.diverged().unwrap_or_default());
}
