//! Section of what no real server has: how the copy stands.

use super::Text;
use crate::command::context::SessionCx;

pub(super) fn remora(cx: &SessionCx<'_>, text: &mut Text) {
    let status = &cx.server.status;
    let link = &status.link;
    let received = link.received().0.max(cx.data.position.offset.0);
    text.field("remora_link_phase", link.phase().as_str());
    text.field("remora_link_last_error", link.last_error().unwrap_or_default());
    text.field("remora_loaded", u8::from(status.is_loaded()));
    text.field("remora_caught_up_once", u8::from(status.is_caught_up()));
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
