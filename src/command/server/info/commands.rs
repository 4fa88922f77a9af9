//! Sections that count commands and errors by name.

use super::Text;
use crate::command::context::SessionCx;
use crate::command::table;

pub(super) fn commandstats(cx: &SessionCx<'_>, text: &mut Text) {
    let totals = cx.server.status.totals();
    for (row, stat) in table::rows().zip(&totals.commands) {
        if stat.calls == 0 && stat.rejected == 0 {
            continue;
        }
        let per_call = if stat.calls == 0 { 0.0 } else { stat.usec() as f64 / stat.calls as f64 };
        text.field(
            &format!("cmdstat_{}", row.name.replace(' ', "|")),
            format_args!(
                "calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
                stat.calls,
                stat.usec(),
                stat.rejected,
                stat.failed,
            ),
        );
    }
}

pub(super) fn errorstats(cx: &SessionCx<'_>, text: &mut Text) {
    for (code, count) in &cx.server.status.totals().errors {
        text.field(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}
